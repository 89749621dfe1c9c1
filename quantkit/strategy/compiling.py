"""A rule's `on_bar` as native code.

Contract: one compilation a class, whatever its parameters' values and however many names and bars; kept in memory, and
on disk where the class comes from a file or a notebook. What counts is what the code says, including every function and
value outside of it that it uses, so a changed helper never runs as it was. Plain Python functions that it calls are
compiled with it. A rule that does not compile is a ConfigError that says where and why (`explaining`).
"""

from __future__ import annotations

import hashlib
import types as python
import warnings
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from quantkit.core.kinds import ContextType

_PLAIN = (int, float, bool, str, bytes, type(None), np.generic)


class Native(NamedTuple):
    """Compiled code, and where it lies for as long as this lives."""

    address: int
    dispatcher: Any


_known: dict[tuple[Any, ...], Native] = {}


def compiled(cls: type, ctx: ContextType) -> Native:
    """The native `on_bar(self, ctx)` of a class; `ctx.params` is the type of `self`."""
    function = cls.on_bar  # type: ignore[attr-defined]
    print_ = fingerprint(function)
    key = (print_, ctx.key)
    if key not in _known:
        _known[key] = _compile(cls, function, print_, ctx)
    return _known[key]


def _compile(cls: type, function: Any, print_: str, ctx: ContextType) -> Native:
    import numba
    from numba.core.errors import NumbaWarning

    from quantkit.core import calling  # noqa: F401 - gives ctx its methods
    from quantkit.jit import stamped, watch
    from quantkit.strategy.explaining import explained

    settings: dict[str, Any] = {
        "nogil": True, "error_model": "numpy", "boundscheck": True, "no_cpython_wrapper": True,
        "no_cfunc_wrapper": True,
    }  # fmt: skip
    own = with_helpers(function)
    watch.add(own, f"compiling {cls.__name__}.on_bar, once until it changes")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NumbaWarning)
        try:
            dispatcher = stamped(numba.njit(cache=True, **settings)(own), print_)
        except RuntimeError:  # typed at a prompt: there is no file a copy on disk could belong to
            dispatcher = numba.njit(**settings)(own)
        try:
            dispatcher.compile(numba.types.none(ctx.params, ctx))
        except Exception as error:  # Numba lets errors of any type through when it meets what it does not know
            raise explained(error, cls, function) from error
    result = next(iter(dispatcher.overloads.values()))
    return Native(result.library.get_pointer_to_function(result.fndesc.llvm_func_name), dispatcher)


# --- helpers --------------------------------------------------------------------------------------------------------


def with_helpers(function: Any) -> Any:
    """The function, with the plain Python functions it calls by name made compilable."""
    copy, scope = _copy(function)
    _fill(function, scope, {})
    return copy


def names_in(function: Any, _seen: set[int] | None = None) -> set[str]:
    """Every name that a function, or one that it calls by name, looks up."""
    seen = set() if _seen is None else _seen
    seen.add(id(function))
    names = set(_names(function.__code__))
    for name in list(names):
        called = getattr(function.__globals__.get(name), "py_func", function.__globals__.get(name))
        if isinstance(called, python.FunctionType) and id(called) not in seen:
            names |= names_in(called, seen)
    return names


def _copy(function: Any) -> tuple[Any, dict[str, Any]]:
    """The same function over a copy of the names around it, and that copy."""
    scope = dict(function.__globals__)
    copy = python.FunctionType(function.__code__, scope, function.__name__, function.__defaults__, function.__closure__)
    copy.__kwdefaults__, copy.__qualname__ = function.__kwdefaults__, function.__qualname__
    copy.__module__ = function.__module__
    return copy, scope


def _fill(function: Any, scope: dict[str, Any], made: dict[int, Any]) -> None:
    """Put compilable functions in the place of plain ones, and so on for what these call."""
    import numba

    for name in _names(function.__code__):
        value = scope.get(name)
        if not isinstance(value, python.FunctionType) or _numba_knows(value):
            continue
        if id(value) not in made:
            copy, own = _copy(value)
            made[id(value)] = numba.njit(nogil=True, error_model="numpy", boundscheck=True)(copy)
            _fill(value, own, made)
        scope[name] = made[id(value)]


def _numba_knows(function: Any) -> bool:
    """Whether a function has a meaning in compiled code already, as some of NumPy's do."""
    from numba.core.errors import NumbaError
    from numba.core.registry import cpu_target

    try:
        cpu_target.typing_context.resolve_value_type(function)
    except (NumbaError, ValueError):
        return False
    return True


# --- what the code says ---------------------------------------------------------------------------------------------


def fingerprint(function: Any) -> str:
    """SHA-256 of a function: its code, and all outside of it that its meaning rests on."""
    digest = hashlib.sha256()
    for piece in _pieces(function, set()):
        digest.update(piece)
        digest.update(b"\0")
    return digest.hexdigest()


def _pieces(function: Any, seen: set[int]) -> Iterator[bytes]:
    if id(function) in seen:
        return
    seen.add(id(function))
    yield from _code(function.__code__)
    yield repr((function.__defaults__, function.__kwdefaults__)).encode()
    names = _names(function.__code__)
    for name in names:
        if name in function.__globals__:
            yield name.encode()
            yield from _value(function.__globals__[name], names, seen)
    for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=True):
        yield name.encode()
        try:
            yield from _value(cell.cell_contents, names, seen)
        except ValueError:  # not filled yet
            yield b"empty"


def _code(code: python.CodeType) -> Iterator[bytes]:
    yield code.co_code
    yield repr((code.co_names, code.co_varnames, code.co_freevars, code.co_cellvars)).encode()
    for constant in code.co_consts:
        if isinstance(constant, python.CodeType):
            yield from _code(constant)
        else:
            yield repr(constant).encode()


def _names(code: python.CodeType) -> list[str]:
    """Names a function looks up outside of itself, those of functions within it too."""
    found = list(code.co_names)
    for constant in code.co_consts:
        if isinstance(constant, python.CodeType):
            found.extend(_names(constant))
    return found


def _value(value: Any, names: list[str], seen: set[int]) -> Iterator[bytes]:
    """What of a value outside a function its meaning rests on."""
    function: Callable[..., Any] | None = getattr(value, "py_func", value)
    if isinstance(function, python.FunctionType):
        yield from _pieces(function, seen)
    elif isinstance(value, _PLAIN):
        yield repr(value).encode()
    elif isinstance(value, np.ndarray):
        yield str((value.dtype, value.shape)).encode() + value.tobytes()
    elif isinstance(value, tuple | list | frozenset):
        yield str(type(value)).encode()
        for one in value:
            yield from _value(one, names, seen)
    elif isinstance(value, python.ModuleType):
        yield value.__name__.encode()
        if id(value) not in seen and not value.__name__.startswith(("numpy", "numba", "math")):
            seen.add(id(value))
            for name in names:
                if name in vars(value):
                    yield name.encode()
                    yield from _value(vars(value)[name], names, seen)
    else:
        yield f"{type(value).__module__}.{type(value).__qualname__}:{getattr(value, '__qualname__', '')}".encode()
