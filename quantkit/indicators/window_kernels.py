"""Compiled sliding windows: sums, means, deviations, extremes.

Every kernel takes (T, N) arrays, writes a (T, N) array and costs the same per value whatever the window. How:

1. Rows are cut into blocks of `window - 1`. A window then always covers the tail of one block and the head of the next.
2. At a block's start the tails of the block before are summed backwards into `tail`; then the head is summed forwards
   row by row, and each window is `tail[i] + head`. Nothing is ever subtracted, so nothing drifts and a missing value
   leaves with the window that held it. Blocks are counted from row 0: a result depends on the past alone, to the last
   bit.
3. The last row of the earlier block, `pivot`, lies in all of these windows. Means and deviations are taken of `value
   - pivot`, so a constant window has exactly its constant as mean and exactly zero as deviation, and the cancellation
   in a variance is bounded by the window's length (Chan, Golub & LeVeque 1983, "Algorithms for computing the sample
   variance", on shifted data).

The tail-and-head split is that of van Herk (1992) and Gil & Werman (1993) for sliding extremes. Columns are taken in
groups so that a block of them stays in the processor's cache. Missing is NaN or infinite. Called by `rolling`,
`smoothing` and `volume`.
"""

from __future__ import annotations

from math import isnan, sqrt
from typing import TYPE_CHECKING

import numpy as np

from quantkit.jit import njit

if TYPE_CHECKING:
    from quantkit.indicators.inputs import FloatArray

COLUMNS = 256  # columns worked on together: 2 KB of each row
LARGEST = 1.7976931348623157e308


@njit
def known(value: float) -> float:
    """The value, or NaN for an infinity: both are missing."""
    return value if -LARGEST <= value <= LARGEST else np.nan


@njit
def blank(out: FloatArray, rows: int) -> None:
    """NaN in the first `rows` rows: no window is full there."""
    for t in range(min(rows, out.shape[0])):
        for j in range(out.shape[1]):
            out[t, j] = np.nan


@njit
def window_sum(values: FloatArray, window: int, out: FloatArray) -> None:
    """Sum of the last `window` rows; window >= 2 in this and all kernels below."""
    rows, columns = values.shape
    block = window - 1
    tail = np.empty(block)
    blank(out, block)
    for first in range(0, columns, COLUMNS):
        for start in range(block, rows, block):
            for j in range(first, min(first + COLUMNS, columns)):
                total = 0.0
                for i in range(block - 1, -1, -1):
                    total += known(values[start - block + i, j])
                    tail[i] = total
                total = 0.0
                for i in range(min(block, rows - start)):
                    total += known(values[start + i, j])
                    out[start + i, j] = tail[i] + total


@njit
def window_mean(values: FloatArray, window: int, out: FloatArray) -> None:
    """Mean of the last `window` rows; correctly rounded for whole numbers, exact for a constant."""
    rows, columns = values.shape
    block = window - 1
    tail = np.empty(block)
    blank(out, block)
    for first in range(0, columns, COLUMNS):
        for start in range(block, rows, block):
            for j in range(first, min(first + COLUMNS, columns)):
                pivot = known(values[start - 1, j])
                total = 0.0
                for i in range(block - 1, -1, -1):
                    total += known(values[start - block + i, j]) - pivot
                    tail[i] = total
                total = 0.0
                for i in range(min(block, rows - start)):
                    total += known(values[start + i, j]) - pivot
                    offset = tail[i] + total
                    out[start + i, j] = pivot if offset == 0.0 else (pivot * window + offset) / window


@njit
def window_weighted(values: FloatArray, window: int, out: FloatArray) -> None:
    """Mean of the last `window` rows with weights 1, 2, ..., window, the newest heaviest."""
    rows, columns = values.shape
    block = window - 1
    weights = window * (window + 1) / 2.0
    tail = np.empty(block)
    blank(out, block)
    for first in range(0, columns, COLUMNS):
        for start in range(block, rows, block):
            for j in range(first, min(first + COLUMNS, columns)):
                pivot = known(values[start - 1, j])
                total = 0.0
                weighted = 0.0
                for i in range(block - 1, -1, -1):
                    total += known(values[start - block + i, j]) - pivot
                    weighted += total  # each step back moves all later rows up by one weight
                    tail[i] = weighted
                total = 0.0
                weighted = 0.0
                for i in range(min(block, rows - start)):
                    offset = known(values[start + i, j]) - pivot
                    total += offset
                    weighted += (i + 1) * offset
                    lean = tail[i] + (weighted + (block - i) * total)
                    out[start + i, j] = pivot if lean == 0.0 else (pivot * weights + lean) / weights


@njit
def window_deviation(values: FloatArray, window: int, ddof: int, score: bool, out: FloatArray) -> None:
    """Standard deviation of the last `window` rows, or with `score` the newest row's distance from the mean in it."""
    rows, columns = values.shape
    block = window - 1
    tail = np.empty(block)
    tail_square = np.empty(block)
    blank(out, block)
    for first in range(0, columns, COLUMNS):
        for start in range(block, rows, block):
            for j in range(first, min(first + COLUMNS, columns)):
                pivot = known(values[start - 1, j])
                total = 0.0
                square = 0.0
                for i in range(block - 1, -1, -1):
                    offset = known(values[start - block + i, j]) - pivot
                    total += offset
                    square += offset * offset
                    tail[i] = total
                    tail_square[i] = square
                total = 0.0
                square = 0.0
                for i in range(min(block, rows - start)):
                    offset = known(values[start + i, j]) - pivot
                    total += offset
                    square += offset * offset
                    both = tail[i] + total
                    left = (tail_square[i] + square) - both * both / window
                    deviation = 0.0 if left <= 0.0 else sqrt(left / (window - ddof))
                    if score:
                        deviation = (offset - both / window) / deviation if deviation != 0.0 else np.nan
                    out[start + i, j] = deviation


@njit
def window_correlation(left: FloatArray, right: FloatArray, window: int, out: FloatArray) -> None:
    """Pearson correlation of the last `window` rows of two arrays; NaN where either is constant."""
    rows, columns = left.shape
    block = window - 1
    tail = np.empty((block, 5))
    blank(out, block)
    for first in range(0, columns, COLUMNS):
        for start in range(block, rows, block):
            for j in range(first, min(first + COLUMNS, columns)):
                a0 = known(left[start - 1, j])
                b0 = known(right[start - 1, j])
                sa = sb = saa = sbb = sab = 0.0
                for i in range(block - 1, -1, -1):
                    a = known(left[start - block + i, j]) - a0
                    b = known(right[start - block + i, j]) - b0
                    sa += a
                    sb += b
                    saa += a * a
                    sbb += b * b
                    sab += a * b
                    tail[i, 0] = sa
                    tail[i, 1] = sb
                    tail[i, 2] = saa
                    tail[i, 3] = sbb
                    tail[i, 4] = sab
                sa = sb = saa = sbb = sab = 0.0
                for i in range(min(block, rows - start)):
                    a = known(left[start + i, j]) - a0
                    b = known(right[start + i, j]) - b0
                    sa += a
                    sb += b
                    saa += a * a
                    sbb += b * b
                    sab += a * b
                    ta = tail[i, 0] + sa
                    tb = tail[i, 1] + sb
                    va = (tail[i, 2] + saa) - ta * ta / window
                    vb = (tail[i, 3] + sbb) - tb * tb / window
                    cov = (tail[i, 4] + sab) - ta * tb / window
                    out[start + i, j] = max(-1.0, min(1.0, cov / sqrt(va * vb))) if va > 0.0 and vb > 0.0 else np.nan


@njit
def window_maximum(values: FloatArray, sign: float, window: int, out: FloatArray) -> None:
    """Largest of the last `window` rows with sign 1.0, smallest with sign -1.0."""
    rows, columns = values.shape
    block = window - 1
    tail = np.empty(block)
    blank(out, block)
    for first in range(0, columns, COLUMNS):
        for start in range(block, rows, block):
            for j in range(first, min(first + COLUMNS, columns)):
                top = -np.inf
                for i in range(block - 1, -1, -1):
                    value = sign * known(values[start - block + i, j])
                    top = top if top > value or isnan(top) else value  # NaN stays once met
                    tail[i] = top
                top = -np.inf
                for i in range(min(block, rows - start)):
                    value = sign * known(values[start + i, j])
                    top = top if top > value or isnan(top) else value
                    best = top if top > tail[i] or isnan(top) else tail[i]
                    out[start + i, j] = sign * best


@njit
def window_vwap(price: FloatArray, volume: FloatArray, window: int, out: FloatArray) -> None:
    """Mean price of the last `window` rows weighted by volume; NaN where no volume is."""
    rows, columns = price.shape
    block = window - 1
    tail = np.empty(block)
    tail_volume = np.empty(block)
    blank(out, block)
    for first in range(0, columns, COLUMNS):
        for start in range(block, rows, block):
            for j in range(first, min(first + COLUMNS, columns)):
                pivot = known(price[start - 1, j])
                value = 0.0
                shares = 0.0
                for i in range(block - 1, -1, -1):
                    row = start - block + i
                    value += (known(price[row, j]) - pivot) * known(volume[row, j])
                    shares += known(volume[row, j])
                    tail[i] = value
                    tail_volume[i] = shares
                value = 0.0
                shares = 0.0
                for i in range(min(block, rows - start)):
                    value += (known(price[start + i, j]) - pivot) * known(volume[start + i, j])
                    shares += known(volume[start + i, j])
                    weight = tail_volume[i] + shares
                    out[start + i, j] = pivot + (tail[i] + value) / weight if weight != 0.0 else np.nan
