"""The one way quantkit compiles: Numba with the same settings everywhere.

Kernels are cached on disk, release the GIL, and divide as NumPy does (no ZeroDivisionError). They use only
`+ - * / sqrt floor` and comparisons, so a run with `NUMBA_DISABLE_JIT=1` gives the same bits as a compiled one.

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


def njit(function: Callable[P, R]) -> Callable[P, R]:
    """Compile `function` on first call; typed as the plain function so that strict checking goes on through it."""
    compiled = numba.njit(cache=True, nogil=True, error_model="numpy")(function)
    return cast(Callable[P, R], compiled)
