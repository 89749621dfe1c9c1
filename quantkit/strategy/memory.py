"""What a rule keeps: its parameters and its declared state, as records of fixed shape.

Contract: whole numbers are int64, numbers float64, yes-or-no bool; text stays in Python. `state` is one record a run,
`symbol_state` one a name; both lie in `State.user` as plain bytes, state first, and start at zero.

>>> declared("Grid", "state", {"last": float, "levels": (float, 10)}).names
('last', 'levels')
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from quantkit.errors import ConfigError
from quantkit.strategy.params import Param

if TYPE_CHECKING:
    from quantkit.core.state import Bytes

_KINDS: dict[type, Any] = {int: np.int64, float: np.float64, bool: np.bool_}
_NONE = np.dtype([])


def declared(owner: str, what: str, fields: object) -> np.dtype[np.void]:
    """The record that a class declares as `state` or `symbol_state`; ConfigError names the field that cannot be."""
    if not isinstance(fields, Mapping):
        raise ConfigError(f"{owner}.{what} = {fields!r}: expected a dict of names and types, as in {{'last': float}}")
    columns = []
    for name, kind in fields.items():
        one, *shape = kind if isinstance(kind, tuple | list) and kind else (kind,)
        sizes = shape[0] if len(shape) == 1 and isinstance(shape[0], tuple) else tuple(shape)
        fits = one in _KINDS and all(type(size) is int and size > 0 for size in sizes)
        if not fits or not isinstance(name, str) or not name.isidentifier() or name.startswith("_"):
            raise ConfigError(
                f"{owner}.{what}[{name!r}] = {kind!r}: expected a name and int, float or bool, or (float, 10) for ten"
            )
        if one is bool and sizes:  # Numba knows no array of bool inside a record
            raise ConfigError(f"{owner}.{what}[{name!r}] = {kind!r}: write (int, ...) and keep 0 or 1 in it")
        columns.append((name, _KINDS[one], sizes))
    return _whole_words(columns)


def params_dtype(cls: type, declared_params: Mapping[str, Param]) -> np.dtype[np.void]:
    """The record that `self` is in compiled code: parameters and plain numbers of the class, and `warmup`."""
    kinds: dict[str, Any] = {}
    for ancestor in reversed(cls.__mro__[:-1]):
        for name, value in vars(ancestor).items():
            kinds.pop(name, None)
            if not name.startswith("_") and type(value) in _KINDS:
                kinds[name] = _KINDS[type(value)]
    kinds |= {name: _KINDS[one.type] for name, one in declared_params.items() if one.type in _KINDS}
    kinds["warmup"] = np.int64
    return _whole_words([(name, kind, ()) for name, kind in kinds.items()])


def beside_params(cls: Any) -> tuple[tuple[str, str], ...]:
    """What else a class has that compiled code may try to read of `self`, each with what to say of it."""
    found = {}
    for name in dir(cls):
        value = inspect.getattr_static(cls, name)
        if name.startswith("__") or type(value) in _KINDS or name == "warmup":
            continue
        if isinstance(value, Param):
            if value.type is str:
                found[name] = f"self.{name} is text, which compiled code cannot read; branch on it in prepare(bars)"
        elif isinstance(value, property):
            found[name] = f"self.{name} is a property, which is Python; compute it in prepare(bars)"
        elif callable(value) or isinstance(value, classmethod | staticmethod):
            found[name] = f"self.{name} is a method; make it a function of the module, def {name}(...), and call that"
        else:
            kind = type(value).__name__
            found[name] = f"self.{name} is a {kind}; make it a param, or a tuple or number of the module"
    return tuple(sorted(found.items()))


def params_record(strategy: Any, dtype: np.dtype[np.void]) -> Any:
    """The values of one strategy, (1,) of `dtype`."""
    record = np.zeros(1, dtype)
    for name in dtype.names or ():
        record[name] = getattr(strategy, name)
    return record


def check_rule(cls: Any, default: Any) -> None:
    """ConfigError for a rule that cannot be one. default: `targets` of a class that has none."""
    where, function = f"{cls.__name__}.on_bar", cls.on_bar
    if not inspect.isfunction(function):
        raise ConfigError(f"{where} is a {type(function).__name__}; write it as def on_bar(self, ctx):")
    if inspect.isgeneratorfunction(function) or inspect.iscoroutinefunction(function):
        raise ConfigError(f"{where} cannot yield or await; it acts through ctx and returns nothing")
    names = list(inspect.signature(function).parameters)
    if len(names) != 2:
        raise ConfigError(f"{where}({', '.join(names)}): write it as def on_bar(self, ctx):")
    if cls.targets is not default:
        raise ConfigError(
            f"{cls.__name__} defines both targets and on_bar; keep one: on_bar may read what prepare(bars) computes "
            "and call ctx.target(s, weight)"
        )
    if type(cls.max_orders) is not int or cls.max_orders < 1:
        raise ConfigError(f"{cls.__name__}.max_orders = {cls.max_orders!r}: expected a whole number, 1 or more")
    memory_of(cls)


def memory_of(cls: Any) -> tuple[np.dtype[np.void], np.dtype[np.void]]:
    """(state, symbol_state) of a class."""
    return declared(cls.__name__, "state", cls.state), declared(cls.__name__, "symbol_state", cls.symbol_state)


def user_bytes(cls: Any, names: int) -> Bytes:
    """What `State.user` is before the first bar of a rule over so many names."""
    state, symbol_state = memory_of(cls)
    return np.zeros(state.itemsize + names * symbol_state.itemsize, np.uint8)


def records_in(user: Bytes, cls: Any, names: int) -> tuple[Any, Any]:
    """(state record, (N,) records of the names) as views of `State.user`; None for what is not declared."""
    state, symbol_state = memory_of(cls)
    if len(user) != state.itemsize + names * symbol_state.itemsize:
        raise ConfigError(f"{cls.__name__}: the state at hand holds {len(user)} bytes of another declaration")
    own = user[: state.itemsize].view(state)[0] if state.names else None
    each = user[state.itemsize :].view(symbol_state) if symbol_state.names else None
    return own, each


def _whole_words(columns: list[tuple[str, Any, tuple[int, ...]]]) -> np.dtype[np.void]:
    """A record of aligned fields whose size is a multiple of eight bytes, so that records may follow each other."""
    if not columns:
        return _NONE
    plain = np.dtype(columns, align=True)
    fields = [plain.fields[name] for name in plain.names]  # type: ignore[index, union-attr]
    return np.dtype(
        {
            "names": list(plain.names or ()),
            "formats": [field[0] for field in fields],
            "offsets": [field[1] for field in fields],
            "itemsize": -(-plain.itemsize // 8) * 8,
        },
        align=True,
    )
