"""Compiled cross-sections: each row on its own, across names.

Contract: a row's result is a function of its set of (name, value) pairs. The order of columns and columns left out
change nothing, to the last bit: values that tie share a rank, and sums are exact (`exact_sum`). Missing is NaN or
infinite. Called by `cross`.
"""

from __future__ import annotations

from math import isnan, sqrt
from typing import TYPE_CHECKING

import numpy as np

from quantkit.indicators.window_kernels import known
from quantkit.jit import njit

if TYPE_CHECKING:
    from quantkit.indicators.inputs import BoolArray, FloatArray, IntArray

TWO_53 = 9007199254740992.0
SMALLEST = 1e-290  # the finest grid: what is far smaller counts as zero


@njit
def exact_sum(values: FloatArray) -> float:
    """Sum of finite values, the same bits in any order.

    Each value is split on a grid (a power of two) so coarse that the parts on it add without rounding, and the rest
    once more on a finer one; only joining the two totals rounds. What lies below the second grid, some
    count**2 / 2**104 of the largest value, is dropped. After Demmel & Nguyen (2013), "Fast reproducible
    floating-point summation".
    """
    count = values.size
    largest = 0.0
    for i in range(count):
        largest = max(largest, abs(values[i]))
    if largest == 0.0:
        return 0.0
    need = 4.0 * count * (largest / TWO_53)
    grid = 1.0
    while grid < need:
        grid *= 2.0
    while grid * 0.5 >= need and grid > SMALLEST:
        grid *= 0.5
    finer = 1.0
    while finer < 2.0 * count:
        finer *= 2.0
    coarse_anchor = 0.75 * TWO_53 * grid  # adding and taking it away rounds to a multiple of grid
    fine_anchor = 0.75 * finer * grid
    coarse = 0.0
    fine = 0.0
    for i in range(count):
        part = (values[i] + coarse_anchor) - coarse_anchor
        coarse += part
        fine += ((values[i] - part) + fine_anchor) - fine_anchor
    return coarse + fine


@njit
def centre_rows(values: FloatArray, where: BoolArray, ddof: int, score: bool, out: FloatArray) -> None:
    """Each value less its row's mean; with `score` also divided by the row's deviation (NaN where that is 0)."""
    rows, columns = values.shape
    chosen = np.empty(columns, np.int64)
    offset = np.empty(columns)
    square = np.empty(columns)
    for t in range(rows):
        count = 0
        lowest = np.inf
        for j in range(columns):
            out[t, j] = np.nan
            value = known(values[t, j])
            if where[t, j] and not isnan(value):
                chosen[count] = j
                count += 1
                lowest = min(lowest, value)
        if count == 0 or (score and count <= ddof):
            continue
        for k in range(count):
            offset[k] = values[t, chosen[k]] - lowest  # so that a row of one value has exactly that mean
        mean = exact_sum(offset[:count]) / count
        scale = 1.0
        if score:
            for k in range(count):
                square[k] = (offset[k] - mean) * (offset[k] - mean)
            scale = sqrt(exact_sum(square[:count]) / (count - ddof))
        for k in range(count):
            out[t, chosen[k]] = (offset[k] - mean) / scale if scale != 0.0 else np.nan


@njit
def rank_rows(values: FloatArray, order: IntArray, descending: bool, pct: bool, out: FloatArray) -> None:
    """Ranks 1..n from each row's argsort (NaN last); equal values share the mean of their ranks."""
    rows, columns = values.shape
    for t in range(rows):
        count = 0
        while count < columns and values[t, order[t, count]] == values[t, order[t, count]]:
            count += 1
        start = 0
        while start < count:
            stop = start + 1
            while stop < count and values[t, order[t, stop]] == values[t, order[t, start]]:
                stop += 1
            rank = (start + 1 + stop) / 2.0
            if descending:
                rank = count + 1 - rank
            for k in range(start, stop):
                out[t, order[t, k]] = rank / count if pct else rank
            start = stop
        for k in range(count, columns):
            out[t, order[t, k]] = np.nan
