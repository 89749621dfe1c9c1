"""`ctx` in compiled code, part two: what reading it becomes.

`ctx.close[k, s]` becomes one look at the frame for the array, one for the row, and a load; nothing else of the frame is
touched and nothing is called. What it gives is what `quantkit.Context` gives, to the bit.
"""

from __future__ import annotations

import operator
from typing import Any

import numpy as np
from llvmlite import ir
from numba.core import cgutils, types
from numba.core.errors import TypingError
from numba.core.imputils import lower_setattr_generic
from numba.core.typing.templates import signature as typed
from numba.extending import lower_builtin, lower_getattr_generic
from numba.np.arrayobj import record_getattr, record_setattr

from quantkit.core.context import (
    LOOKED,
    NOW_DETAIL,
    NOW_ERROR,
    NOW_LEAD,
    NOW_NAME,
    NOW_PARAMS,
    NOW_REACH,
    NOW_ROW,
    Frame,
    Past,
    RuleError,
    frame_type,
)
from quantkit.core.kinds import FLAGS, MARK, METHODS, SCALARS, ContextType, MemoryType, ViewType
from quantkit.core.state import (
    BARS,
    EQUITY,
    NAME,
    NEW_SESSION,
    NEXT_1,
    NEXT_2,
    PLAN,
    SESSION_BAR,
    SETTLED,
    Inputs,
    State,
)
from quantkit.data.dates import DAY_US, SEOUL_US

_I64 = ir.IntType(64)
_MINUTE_US = 60_000_000


class Reader:
    """Writes the loads of one read of a frame."""

    def __init__(self, context: Any, builder: Any, frame: Any) -> None:
        self.context, self.builder = context, builder
        self.whole = builder.bitcast(frame, context.get_value_type(frame_type()).as_pointer())

    def constant(self, value: int) -> Any:
        """A whole number."""
        return ir.Constant(_I64, value)

    def load(self, place: Any) -> Any:
        """A load of what does not change while a rule runs, which lets the compiler keep it."""
        loaded = self.builder.load(place)
        loaded.set_metadata("invariant.load", self.builder.module.add_metadata([]))
        return loaded

    def header(self, *path: Any) -> tuple[Any, Any]:
        """(place of an array's header, its type): by the name in Frame, and in State, Inputs or Past."""
        kind, indices = frame_type(), []
        for fields, name in zip(
            (Frame, {"state": State, "inputs": Inputs, "past": Past}.get(path[0])), path, strict=False
        ):
            place = fields._fields.index(name)  # type: ignore[union-attr]
            indices.append(place)
            kind = kind.types[place]
        return cgutils.gep_inbounds(self.builder, self.whole, 0, *indices), kind

    def data(self, *path: str) -> Any:
        """The address of an array's first cell."""
        header, kind = self.header(*path)
        place = self.context.data_model_manager[kind].get_field_position("data")
        return self.load(cgutils.gep_inbounds(self.builder, header, 0, place))

    def size(self, axis: int, *path: str) -> Any:
        """The length of an array along an axis."""
        header, kind = self.header(*path)
        place = self.context.data_model_manager[kind].get_field_position("shape")
        return self.load(cgutils.gep_inbounds(self.builder, header, 0, place, axis))

    def now(self, place: int) -> Any:
        """One of the numbers in `Frame.now`."""
        return self.load(self.builder.gep(self.data("now"), [self.constant(place)]))

    def account(self, place: int) -> Any:
        """One of the numbers in `State.account`."""
        return self.builder.load(self.builder.gep(self.data("state", "account"), [self.constant(place)]))

    def name_field(self, s: Any, field: str) -> Any:
        """One column of a name's row."""
        return self.field(self.data("state", "names"), s, NAME, field)

    def field(self, data: Any, row: Any, dtype: np.dtype[Any], field: str) -> Any:
        """One column of one record of an array of records, int64 or float64."""
        builder = self.builder
        kind, offset = dtype.fields[field][:2]  # type: ignore[index]
        first = builder.bitcast(data, cgutils.voidptr_t)
        place = builder.add(builder.mul(row, self.constant(dtype.itemsize)), self.constant(offset))
        cell = builder.gep(first, [place])
        number = ir.DoubleType() if kind == np.float64 else _I64
        return builder.load(builder.bitcast(cell, number.as_pointer()))

    def unit(self) -> Any:
        """Minor units in one unit of price."""
        place = cgutils.gep_inbounds(self.builder, self.whole, 0, Frame._fields.index("plan"))
        return self.field(self.load(place), self.constant(0), PLAN, "unit")

    def names(self) -> Any:
        """How many names there are."""
        return self.size(0, "state", "names")

    def row(self) -> Any:
        """This bar's row of the past."""
        return self.builder.add(self.now(NOW_ROW), self.now(NOW_LEAD))

    def refuse_unless(self, fine: Any, k: Any, s: Any) -> None:
        """Leave the rule with a RuleError where the cell does not exist."""
        builder = self.builder
        with cgutils.if_unlikely(builder, builder.not_(fine)):
            first = self.data("now")
            for place, value in ((NOW_ERROR, self.constant(LOOKED)), (NOW_DETAIL, k), (NOW_NAME, s)):
                builder.store(value, builder.gep(first, [self.constant(place)]))
            self.context.call_conv.return_user_exc(builder, RuleError, ())

    def cell(self, k: Any, s: Any) -> Any:
        """Checked: the place in a (H + T, N) array of name s, k bars ago."""
        builder = self.builder
        names = self.size(1, "past", "close")
        fine = builder.and_(builder.icmp_unsigned("<=", k, self.now(NOW_REACH)), builder.icmp_unsigned("<", s, names))
        self.refuse_unless(fine, k, s)
        return builder.add(builder.mul(builder.sub(self.row(), k), names), s)

    def name(self, s: Any) -> Any:
        """Checked: a name's number."""
        self.refuse_unless(self.builder.icmp_unsigned("<", s, self.names()), self.constant(0), s)
        return s


def _number(reader: Reader, attr: str) -> Any:
    """One of SCALARS."""
    builder = reader.builder
    if attr == "i":
        return reader.account(BARS)
    if attr == "n":
        return reader.names()
    if attr == "session_bar":
        return reader.account(SESSION_BAR)
    if attr == "new_session":
        return builder.icmp_signed("!=", reader.account(NEW_SESSION), reader.constant(0))
    if attr in ("cash", "equity"):
        places = (SETTLED, NEXT_1, NEXT_2) if attr == "cash" else (EQUITY,)
        money = reader.account(places[0])
        for place in places[1:]:
            money = builder.add(money, reader.account(place))
        return builder.fdiv(builder.sitofp(money, ir.DoubleType()), reader.unit())
    column = "days" if attr == "day" else "times"
    value = builder.load(builder.gep(reader.data("past", column), [reader.row()]))
    if attr != "minute":
        return value
    day = reader.constant(DAY_US)
    within = builder.srem(builder.add(value, reader.constant(SEOUL_US)), day)
    within = builder.select(builder.icmp_signed("<", within, reader.constant(0)), builder.add(within, day), within)
    return builder.sdiv(within, reader.constant(_MINUTE_US))


def _attribute(context: Any, builder: Any, _typ: ContextType, value: Any, attr: str) -> Any:
    reader = Reader(context, builder, value)
    if attr in SCALARS:
        return _number(reader, attr)
    if attr == "params":
        return builder.inttoptr(reader.now(NOW_PARAMS), cgutils.voidptr_t)
    if attr == "state":
        return builder.bitcast(reader.data("state", "user"), cgutils.voidptr_t)
    return value if attr not in METHODS else context.get_dummy_value()


def _read(context: Any, builder: Any, signature: Any, args: Any) -> Any:
    view, index = signature.args
    reader = Reader(context, builder, args[0])
    if isinstance(index, types.BaseTuple):
        return _price(reader, view.what, *cgutils.unpack_tuple(builder, args[1], 2))
    s = reader.name(args[1])
    if view.what == "signal":
        first = reader.load(builder.gep(reader.data("signals"), [reader.constant(view.place)]))
        cell = builder.add(builder.mul(reader.now(NOW_ROW), reader.names()), s)
        return reader.load(builder.gep(builder.inttoptr(first, ir.DoubleType().as_pointer()), [cell]))
    if view.what == "symbol_state":
        first = builder.bitcast(reader.data("state", "user"), cgutils.voidptr_t)
        size = reader.constant(view.owner.symbol_state.itemsize)
        place = builder.add(reader.constant(view.owner.state.itemsize), builder.mul(s, size))
        return builder.gep(first, [place])
    if view.what in FLAGS:
        cell = builder.add(builder.mul(reader.now(NOW_ROW), reader.size(1, "inputs", "flags")), s)
        flags = reader.load(builder.gep(reader.data("inputs", "flags"), [cell]))
        bit = builder.and_(flags, ir.Constant(flags.type, FLAGS[view.what]))
        return builder.icmp_unsigned("!=", bit, ir.Constant(flags.type, 0))
    if view.what == "position":
        return reader.name_field(s, "shares")
    if view.what == "factor":
        return _factor(reader, s)
    return _entry(reader, s)


def _price(reader: Reader, what: str, k: Any, s: Any) -> Any:
    """A price in the won of today, or a volume in the shares of today."""
    builder = reader.builder
    cell = reader.cell(k, s)
    raw = reader.load(builder.gep(reader.data("past", what), [cell]))
    factor = "share_factor" if what == "volume" else "factor"
    moved = builder.icmp_signed("!=", reader.size(0, "past", factor), reader.constant(0))
    before = builder.block
    with builder.if_then(builder.and_(moved, builder.icmp_signed("!=", k, reader.constant(0)))):
        factors = reader.data("past", factor)
        then = reader.load(builder.gep(factors, [cell]))
        back = builder.mul(k, reader.size(1, "past", "close"))
        today = reader.load(builder.gep(factors, [builder.add(cell, back)]))
        ours, theirs = (today, then) if what == "volume" else (then, today)
        other = builder.fdiv(builder.fmul(raw, ours), theirs)
        same = builder.fcmp_ordered("==", then, today)
        based = builder.select(same, raw, other)
        inside = builder.block
    value = builder.phi(ir.DoubleType())
    value.add_incoming(raw, before)
    value.add_incoming(based, inside)
    return value


def _factor(reader: Reader, s: Any) -> Any:
    """The forward price factor of today; 1 where there are no actions."""
    builder = reader.builder
    moved = builder.icmp_signed("!=", reader.size(0, "past", "factor"), reader.constant(0))
    before = builder.block
    with builder.if_then(moved):
        cell = builder.add(builder.mul(reader.row(), reader.size(1, "past", "close")), s)
        found = reader.load(builder.gep(reader.data("past", "factor"), [cell]))
        inside = builder.block
    value = builder.phi(ir.DoubleType())
    value.add_incoming(ir.Constant(ir.DoubleType(), 1.0), before)
    value.add_incoming(found, inside)
    return value


def _entry(reader: Reader, s: Any) -> Any:
    """Average entry price; NaN where nothing is held."""
    builder = reader.builder
    paid = builder.sitofp(reader.name_field(s, "entry_value"), ir.DoubleType())
    average = builder.fdiv(builder.fdiv(paid, reader.name_field(s, "entry_qty")), reader.unit())
    held = builder.icmp_signed("!=", reader.name_field(s, "shares"), reader.constant(0))
    return builder.select(held, average, ir.Constant(ir.DoubleType(), float("nan")))


def _named_signal(_context: Any, _builder: Any, _signature: Any, args: Any) -> Any:
    return args[0]


def _field(context: Any, builder: Any, typ: MemoryType, value: Any, attr: str) -> Any:
    """One field of a record."""
    place = builder.bitcast(value, context.get_value_type(typ.record))
    return record_getattr(context, builder, typ.record, place, attr)


def _set_field(context: Any, builder: Any, signature: Any, args: Any, attr: str) -> Any:
    """Write one field of a record."""
    typ, value = signature.args
    if typ.what == "self":
        raise TypingError(f"{MARK}parameters are fixed: self.{attr} cannot be set; what changes goes into state")
    place = builder.bitcast(args[0], context.get_value_type(typ.record))
    return record_setattr(context, builder, typed(types.void, typ.record, value), (place, args[1]), attr)


lower_getattr_generic(ContextType)(_attribute)
lower_getattr_generic(MemoryType)(_field)
lower_setattr_generic(MemoryType)(_set_field)
lower_builtin(operator.getitem, ViewType, types.Any)(_read)
lower_builtin("static_getitem", ViewType, types.StringLiteral)(_named_signal)
