"""What a step is handed of a NamedTuple of arrays: its address.

By value, Numba takes such a tuple apart at every call, each array into seven numbers, and puts it together again: for
the state, the inputs and the log of a fold that is half of all code there is to compile. A part is one number; reading
a field (`state.names`) reads that array's seven numbers from memory, where they stay the same while a fold runs.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba.core import cgutils, types
from numba.core.typing.templates import AttributeTemplate
from numba.extending import infer_getattr, lower_getattr_generic, models, register_model


class PartType(types.Opaque):
    """The address of a NamedTuple; its fields are read as those of the tuple are."""

    def __init__(self, kind: Any) -> None:
        self.kind = kind
        super().__init__(f"part.{kind.instance_class.__name__}")


register_model(PartType)(models.OpaqueModel)


@infer_getattr
class _Fields(AttributeTemplate):
    key = PartType

    def generic_resolve(self, part: PartType, name: str) -> Any:  # type: ignore[override]
        return part.kind.types[part.kind.fields.index(name)] if name in part.kind.fields else None


def _read_field(context: Any, builder: Any, part: PartType, address: Any, name: str) -> Any:
    whole = builder.bitcast(address, context.get_value_type(part.kind).as_pointer())
    return read_constant(builder, cgutils.gep_inbounds(builder, whole, 0, part.kind.fields.index(name)))


lower_getattr_generic(PartType)(_read_field)


def read_constant(builder: Any, address: Any) -> Any:
    """What lies at an address where nothing is written to: LLVM need not read it again after a write to elsewhere."""
    module, zero, one = builder.module, ir.IntType(64)(0), ir.IntType(64)(1)
    kind = module.add_metadata(["part", module.add_metadata(["quantkit"]), zero])
    value = builder.load(address)
    value.set_metadata("tbaa", module.add_metadata([kind, kind, zero, one]))
    return value
