"""NumPy's sums, means and deviations in compiled code, to the last bit.

Contract: `total(values, count, stack)` is `values[:count].sum()` for float64: NumPy adds in pairs (eight running sums
in blocks of at most 128, blocks added as a tree), which is both fast and exact to a few bits; adding from left to right
would give other last bits. Nothing is allocated; `stack` is `new_stack()`, work space for any length.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from quantkit.core.state import i64
from quantkit.jit import njit_call

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

BLOCK = 128
_DEPTH = 128
_ADD = -1  # in the list of what to do: add the two sums found last


class Stack(NamedTuple):
    """Work space of `total`: what is still to be added, and sums found so far."""

    start: Ints
    size: Ints
    found: Floats


def new_stack() -> Stack:
    """Work space for sums of any length."""
    return Stack(np.empty(_DEPTH, np.int64), np.empty(_DEPTH, np.int64), np.empty(_DEPTH))


@njit_call
def _block(values: Floats, start: int, size: int) -> float:
    """The sum of at most `BLOCK` values: eight running sums, then what is left over."""
    if size < 8:
        few = -0.0
        for i in range(start, start + size):
            few += values[i]
        return few
    a, b, c, d = values[start], values[start + 1], values[start + 2], values[start + 3]
    e, f, g, h = values[start + 4], values[start + 5], values[start + 6], values[start + 7]
    whole = size - size % 8
    for i in range(start + 8, start + whole, 8):
        a += values[i]
        b += values[i + 1]
        c += values[i + 2]
        d += values[i + 3]
        e += values[i + 4]
        f += values[i + 5]
        g += values[i + 6]
        h += values[i + 7]
    result = ((a + b) + (c + d)) + ((e + f) + (g + h))
    for i in range(start + whole, start + size):
        result += values[i]
    return float(result)


@njit_call
def total(values: Floats, count: int, stack: Stack) -> float:
    """`values[:count].sum()` of NumPy."""
    if count == 0:
        return 0.0
    if count <= BLOCK:
        return _block(values, i64(0), count)
    todo, sums = i64(1), i64(0)
    stack.start[0], stack.size[0] = 0, count
    while todo > 0:
        todo -= 1
        start, size = stack.start[todo], stack.size[todo]
        if size == _ADD:
            sums -= 1
            stack.found[sums - 1] += stack.found[sums]
        elif size <= BLOCK:
            stack.found[sums] = _block(values, start, size)
            sums += 1
        else:
            half = size // 2
            half -= half % 8
            stack.size[todo] = _ADD
            stack.start[todo + 1], stack.size[todo + 1] = start + half, size - half
            stack.start[todo + 2], stack.size[todo + 2] = start, half
            todo += 3
    return float(stack.found[0])


@njit_call
def deviation(values: Floats, count: int, mean: float, work: Floats, stack: Stack) -> float:
    """`values[:count].std(ddof=1)` of NumPy, given its mean; `work` is work space of that size."""
    for i in range(count):
        away = values[i] - mean
        work[i] = away * away
    return float(np.sqrt(total(work, count, stack) / max(count - 1, 0)))
