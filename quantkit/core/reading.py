"""`ctx` in compiled code, part one: what reading it becomes.

A `ContextType` is the address of a frame. `ctx.close[k, s]` becomes one look at the frame for the array, one for the
row, and a load; nothing else of the frame is touched and nothing is called. `ctx.close` alone is the same address again
under a `ViewType` that remembers which column is meant.

The names and what they give are those of `quantkit.Context`, which says the same in Python; a test compares them.
"""

from __future__ import annotations

import difflib
import operator
from functools import cache
from typing import Any

import numpy as np
from llvmlite import ir
from numba.core import cgutils, types
from numba.core.errors import TypingError
from numba.core.typing.templates import AbstractTemplate, AttributeTemplate, infer, infer_getattr, infer_global
from numba.extending import lower_builtin, lower_getattr_generic, models, register_model
from numba.np.numpy_support import from_dtype

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
    LookError,
    Past,
    frame_type,
)
from quantkit.core.state import BARS, EQUITY, NAME, NEW_SESSION, NEXT_1, NEXT_2, PLAN, SETTLED, Inputs, State
from quantkit.data.bars import MEMBER, TRADED, VALID
from quantkit.data.dates import DAY_US, SEOUL_US

MARK = "on_bar: "  # begins every message of our own inside one of Numba's

PRICES = ("open", "high", "low", "close", "volume")
FLAGS = {"valid": VALID, "traded": TRADED, "member": MEMBER}
SCALARS = {
    "i": types.int64,
    "n": types.int64,
    "time": types.int64,
    "day": types.int64,
    "minute": types.int64,
    "new_session": types.boolean,
    "cash": types.float64,
    "equity": types.float64,
}
COLUMNS = (*PRICES, *FLAGS, "position", "entry")
RECORDS = ("params", "state", "symbol_state", "signals")
METHODS: dict[str, Any] = {}  # name -> template; `calling` fills it,
OVERLOADED: set[str] = set()  # and this with the methods that are written as overloads

_I64 = ir.IntType(64)
_MINUTE_US = 60_000_000


class ContextType(types.Opaque):
    """The address of a frame, with what differs from class to class.

    signals: names of `prepare`'s columns. params, state, symbol_state: dtypes of the records; an empty dtype: none.
    """

    def __init__(
        self, signals: tuple[str, ...], params: np.dtype[Any], state: np.dtype[Any], symbol_state: np.dtype[Any]
    ) -> None:
        self.signals, self.params, self.state, self.symbol_state = signals, params, state, symbol_state
        super().__init__(f"Context({signals}, {params}, {state}, {symbol_state})")


class ViewType(types.Opaque):
    """One column of a context, not yet indexed. `place` counts signals."""

    def __init__(self, owner: ContextType, what: str, place: int = 0) -> None:
        self.owner, self.what, self.place = owner, what, place
        super().__init__(f"{owner}.{what}.{place}")


register_model(ContextType)(models.OpaqueModel)
register_model(ViewType)(models.OpaqueModel)


def known_names() -> list[str]:
    """Every name that `ctx` offers."""
    return sorted([*SCALARS, *COLUMNS, *RECORDS, *METHODS, *OVERLOADED])


@cache
def record_type(dtype: np.dtype[Any]) -> Any:
    """The Numba type of one record."""
    return from_dtype(dtype)


# --- types ----------------------------------------------------------------------------------------------------------


@infer_getattr
class _Attributes(AttributeTemplate):
    key = ContextType

    def generic_resolve(self, typ: ContextType, attr: str) -> Any:  # type: ignore[override]
        if attr in SCALARS:
            return SCALARS[attr]
        if attr in COLUMNS or attr == "signals":
            return ViewType(typ, attr)
        if attr == "params":
            return record_type(typ.params)
        if attr in ("state", "symbol_state"):
            if not getattr(typ, attr).names:
                raise TypingError(f"{MARK}the class declares no {attr}; say what it holds: {attr} = {{'last': float}}")
            return record_type(typ.state) if attr == "state" else ViewType(typ, attr)
        if attr in METHODS:
            return types.BoundFunction(METHODS[attr], typ)
        if attr in OVERLOADED:
            return None
        near = difflib.get_close_matches(attr, known_names(), n=1)
        hint = f"; did you mean ctx.{near[0]}?" if near else ""
        raise TypingError(f"{MARK}ctx has no {attr!r}{hint} It has {', '.join(known_names())}")


@infer_global(operator.getitem)
class _Index(AbstractTemplate):
    prefer_literal = False

    def generic(self, args: Any, _kws: Any) -> Any:
        view, index = args
        if not isinstance(view, ViewType):
            return None
        what = view.what
        if what == "signals":
            raise TypingError(f"{MARK}ctx.signals[...] takes the name of a signal as text, as in ctx.signals['sma'][s]")
        pair = isinstance(index, types.BaseTuple)
        parts = tuple(index) if pair else (index,)
        if not all(isinstance(part, types.Integer) for part in parts):
            raise TypingError(f"{MARK}ctx.{what}[...] takes whole numbers; int(x) makes one of a float")
        if what in PRICES and len(parts) != 2:
            raise TypingError(f"{MARK}ctx.{what} takes how many bars back and which name, as in ctx.{what}[0, s]")
        if what not in PRICES and pair:
            shown = f"ctx.signals[{view.owner.signals[view.place]!r}]" if what == "signal" else f"ctx.{what}"
            raise TypingError(f"{MARK}{shown} takes one number, the name: {shown}[s]")
        kind = types.UniTuple(types.intp, 2) if pair else types.intp
        return self.answer(view)(view, kind)

    @staticmethod
    def answer(view: ViewType) -> Any:
        """The type of one cell."""
        if view.what == "symbol_state":
            return record_type(view.owner.symbol_state)
        if view.what == "position":
            return types.int64
        return types.boolean if view.what in FLAGS else types.float64


@infer
class _SignalByName(AbstractTemplate):
    key = "static_getitem"

    def generic(self, args: Any, _kws: Any) -> Any:
        view, name = args
        if not isinstance(view, ViewType) or view.what != "signals" or not isinstance(name, str):
            return None
        known = view.owner.signals
        if name not in known:
            have = f"prepare gives {', '.join(map(repr, known))}" if known else "there is no prepare that gives any"
            raise TypingError(f"{MARK}no signal {name!r}; {have}")
        return ViewType(view.owner, "signal", known.index(name))(view, types.literal(name))


# --- code -----------------------------------------------------------------------------------------------------------


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
        """Leave the rule with a LookError where the cell does not exist."""
        builder = self.builder
        with cgutils.if_unlikely(builder, builder.not_(fine)):
            first = self.data("now")
            for place, value in ((NOW_ERROR, self.constant(LOOKED)), (NOW_DETAIL, k), (NOW_NAME, s)):
                builder.store(value, builder.gep(first, [self.constant(place)]))
            self.context.call_conv.return_user_exc(builder, LookError, ())

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


def _attribute(context: Any, builder: Any, typ: ContextType, value: Any, attr: str) -> Any:
    reader = Reader(context, builder, value)
    if attr in SCALARS:
        return _number(reader, attr)
    if attr == "params":
        return builder.inttoptr(reader.now(NOW_PARAMS), context.get_value_type(record_type(typ.params)))
    if attr == "state":
        return builder.bitcast(reader.data("state", "user"), context.get_value_type(record_type(typ.state)))
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
        return builder.bitcast(builder.gep(first, [place]), context.get_value_type(signature.return_type))
    if view.what in FLAGS:
        cell = builder.add(builder.mul(reader.now(NOW_ROW), reader.size(1, "inputs", "flags")), s)
        flags = reader.load(builder.gep(reader.data("inputs", "flags"), [cell]))
        bit = builder.and_(flags, ir.Constant(flags.type, FLAGS[view.what]))
        return builder.icmp_unsigned("!=", bit, ir.Constant(flags.type, 0))
    if view.what == "position":
        return reader.name_field(s, "shares")
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


def _entry(reader: Reader, s: Any) -> Any:
    """Average entry price; NaN where nothing is held."""
    builder = reader.builder
    paid = builder.sitofp(reader.name_field(s, "entry_value"), ir.DoubleType())
    average = builder.fdiv(builder.fdiv(paid, reader.name_field(s, "entry_qty")), reader.unit())
    held = builder.icmp_signed("!=", reader.name_field(s, "shares"), reader.constant(0))
    return builder.select(held, average, ir.Constant(ir.DoubleType(), float("nan")))


def _named_signal(_context: Any, _builder: Any, _signature: Any, args: Any) -> Any:
    return args[0]


lower_getattr_generic(ContextType)(_attribute)
lower_builtin(operator.getitem, ViewType, types.Any)(_read)
lower_builtin("static_getitem", ViewType, types.StringLiteral)(_named_signal)
