"""The one way quantkit compiles: Numba with the same settings everywhere.

Kernels are cached on disk, release the GIL, and divide as NumPy does (no ZeroDivisionError). They use only
`+ - * / sqrt floor` and comparisons, so a run with `NUMBA_DISABLE_JIT=1` gives the same bits as a compiled one.

`njit` is for kernels that may make arrays. `njit_bare` compiles without Numba's memory manager: such a kernel cannot
allocate (an attempt fails when it compiles), and its calls carry no reference counting, which for records of many arrays
is the difference between nanoseconds and microseconds a call.

>>> @njit
... def double(x: float) -> float:
...     return 2.0 * x
>>> double(1.5)
3.0
"""

from __future__ import annotations

from collections.abc import Callable
from typing import ParamSpec, TypeVar, cast

import numba

P = ParamSpec("P")
R = TypeVar("R")


_BARE = {"cache": True, "nogil": True, "error_model": "numpy", "_nrt": False}
_INNER = _BARE | {"no_cpython_wrapper": True, "no_cfunc_wrapper": True}


def njit(function: Callable[P, R]) -> Callable[P, R]:
    """Compile `function` on first call; typed as the plain function so that strict checking goes on through it."""
    compiled = numba.njit(cache=True, nogil=True, error_model="numpy")(function)
    return cast(Callable[P, R], compiled)


def njit_bare(function: Callable[P, R]) -> Callable[P, R]:
    """Like `njit`, for small steps that allocate nothing and are called from compiled code, into which LLVM copies them.

    `python_step` makes one callable from Python.
    """
    return cast(Callable[P, R], numba.njit(**_INNER, forceinline=True)(function))


def njit_call(function: Callable[P, R]) -> Callable[P, R]:
    """Like `njit_bare`, for larger steps of some bars only: called, which keeps what compiles small."""
    return cast(Callable[P, R], numba.njit(**_INNER)(function))


def njit_inline(function: Callable[P, R]) -> Callable[P, R]:
    """Like `njit_bare`, for steps of every bar: copied into their caller, so that a quiet bar pays for no call."""
    compiled = numba.njit(**_BARE, inline="always")(function)
    return cast(Callable[P, R], compiled)


def njit_entry(function: Callable[P, R]) -> Callable[P, R]:
    """Like `njit_bare`, for the few kernels that Python calls."""
    compiled = numba.njit(**_BARE, no_cfunc_wrapper=True)(function)
    return cast(Callable[P, R], compiled)


def python_step(step: Callable[P, R]) -> Callable[P, R]:
    """A step compiled by `njit_bare` as something Python can call (the step itself where compilation is off)."""
    return njit_entry(getattr(step, "py_func", step))
