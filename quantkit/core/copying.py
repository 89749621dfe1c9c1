"""Copy one record of a table onto another as bytes, in compiled and in plain code.

Numba assigns records byte by byte, which for the wide records of orders makes more code than the whole of a step.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import numba
from numba.core import cgutils, types
from numba.extending import intrinsic

if TYPE_CHECKING:
    from collections.abc import Callable

    from quantkit.core.state import Records


@intrinsic
def _copy(_typing: Any, target: Any, _i: types.Type, source: Any, _j: types.Type) -> Any:
    if target.dtype.size != source.dtype.size:
        raise numba.core.errors.TypingError(f"records of {target.dtype.size} and {source.dtype.size} bytes")

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        places = []
        for kind, value, row in ((signature.args[0], args[0], args[1]), (signature.args[2], args[2], args[3])):
            first = builder.bitcast(context.make_array(kind)(context, builder, value).data, cgutils.voidptr_t)
            places.append(builder.gep(first, [builder.mul(row, row.type(target.dtype.size))]))
        cgutils.raw_memcpy(builder, places[0], places[1], cgutils.intp_t(target.dtype.size), 1)
        return context.get_dummy_value()

    return types.void(target, types.int64, source, types.int64), codegen


def _assign(target: Records, i: int, source: Records, j: int) -> None:
    target[i] = source[j]


_PLAIN = bool(getattr(numba.config, "DISABLE_JIT", 0))
copy_record = cast("Callable[[Records, int, Records, int], None]", _assign if _PLAIN else _copy)
"""`target[i] = source[j]` for two tables of the same columns."""
