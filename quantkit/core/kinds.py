"""`ctx` in compiled code, part one: its types, and what a rule may write.

A `ContextType` is the address of a frame; `ctx.close` is the same address under a `ViewType` that remembers which
column is meant; a `MemoryType` is the address of a record. What a rule asks for that is not there is a TypingError
whose text begins with `MARK` and is meant for people. The names are those of `quantkit.Context`; a test compares them.
"""

from __future__ import annotations

import difflib
import hashlib
import operator
from typing import TYPE_CHECKING, Any

from numba.core import types
from numba.core.errors import TypingError
from numba.core.typing.templates import AbstractTemplate, AttributeTemplate, infer, infer_getattr, infer_global
from numba.extending import models, register_model
from numba.np.numpy_support import from_dtype

from quantkit.data.bars import MEMBER, TRADED, VALID

if TYPE_CHECKING:
    import numpy as np

MARK = "on_bar: "  # begins every message of our own inside one of Numba's

PRICES = ("open", "high", "low", "close", "volume")
FLAGS = {"valid": VALID, "traded": TRADED, "member": MEMBER}
SCALARS = {
    "i": types.int64,
    "n": types.int64,
    "time": types.int64,
    "day": types.int64,
    "minute": types.int64,
    "session_bar": types.int64,
    "new_session": types.boolean,
    "cash": types.float64,
    "equity": types.float64,
}
COLUMNS = (*PRICES, *FLAGS, "factor", "position", "entry")
RECORDS = ("params", "state", "symbol_state", "signals")
METHODS: dict[str, Any] = {}  # name -> template; `calling` fills it
OVERLOADED: set[str] = set()  # methods that `calling` writes as overloads


class ContextType(types.Opaque):
    """The address of a frame, with what differs from class to class.

    signals: names of `prepare`'s columns. params: the type of `self`. state, symbol_state: what the class declares; an
    empty dtype: nothing.
    """

    def __init__(
        self, signals: tuple[str, ...], params: MemoryType, state: np.dtype[Any], symbol_state: np.dtype[Any]
    ) -> None:
        self.signals, self.params, self.state, self.symbol_state = signals, params, state, symbol_state
        self.digest = hashlib.sha256(repr((signals, params, state, symbol_state)).encode()).hexdigest()
        super().__init__(f"ctx#{self.digest}")


class ViewType(types.Opaque):
    """One column of a context, not yet indexed. `place` counts signals."""

    def __init__(self, owner: ContextType, what: str, place: int = 0) -> None:
        self.owner, self.what, self.place = owner, what, place
        super().__init__(f"ctx.{what}#{place}.{owner.digest}")


class MemoryType(types.Opaque):
    """The address of a record: parameters (`self`, `ctx.params`), `ctx.state`, or one of `ctx.symbol_state`.

    beside: names that the class has and compiled code cannot read, with what to say of them.
    """

    def __init__(self, what: str, dtype: np.dtype[Any], beside: tuple[tuple[str, str], ...] = ()) -> None:
        self.what, self.dtype, self.beside = what, dtype, beside
        digest = hashlib.sha256(repr((what, dtype, beside)).encode()).hexdigest()
        super().__init__(f"{what}#{digest}")

    @property
    def record(self) -> Any:
        """Numba's type of the record."""
        return from_dtype(self.dtype)


for _kind in (ContextType, ViewType, MemoryType):
    register_model(_kind)(models.OpaqueModel)


def no_such(what: str, name: str, known: list[str]) -> str:
    """That something has no such attribute, what may have been meant, and what there is."""
    near = difflib.get_close_matches(name, known, n=1)
    hint = f"did you mean {what}.{near[0]}? It" if near else "it"
    return f"{what} has no {name!r}; {hint} has {', '.join(known) or 'nothing'}"


def known_names() -> list[str]:
    """Every name that `ctx` offers."""
    return sorted([*SCALARS, *COLUMNS, *RECORDS, *METHODS, *OVERLOADED])


@infer_getattr
class _Attributes(AttributeTemplate):
    key = ContextType

    def generic_resolve(self, typ: ContextType, attr: str) -> Any:  # type: ignore[override]
        if attr in SCALARS:
            return SCALARS[attr]
        if attr in COLUMNS or attr == "signals":
            return ViewType(typ, attr)
        if attr == "params":
            return typ.params
        if attr in ("state", "symbol_state"):
            if not getattr(typ, attr).names:
                raise TypingError(f"{MARK}the class declares no {attr}; say what it holds: {attr} = {{'last': float}}")
            return MemoryType("ctx.state", typ.state) if attr == "state" else ViewType(typ, attr)
        if attr in METHODS:
            return types.BoundFunction(METHODS[attr], typ)
        if attr in OVERLOADED:
            return None
        raise TypingError(f"{MARK}{no_such('ctx', attr, known_names())}")


@infer_getattr
class _Fields(AttributeTemplate):
    key = MemoryType

    def generic_resolve(self, typ: MemoryType, attr: str) -> Any:  # type: ignore[override]
        for name, why in typ.beside:
            if name == attr:
                raise TypingError(f"{MARK}{why}")
        if attr not in typ.record.fields:
            raise TypingError(f"{MARK}{no_such(typ.what, attr, list(typ.record.fields))}")
        return typ.record.typeof(attr)


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
            return MemoryType("ctx.symbol_state[s]", view.owner.symbol_state)
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
