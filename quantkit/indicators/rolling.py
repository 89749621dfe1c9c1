"""Figures of a sliding window: sum, extremes, deviation, z-score, correlation.

Contract: inputs (T,) or (T, N), time first; outputs float64 of the same shape. Row t is computed from rows t - window
+ 1 .. t and is NaN unless all of them are known (NaN and infinite are missing), so the first `window - 1` rows of a
listing are NaN, a hole makes `window` rows NaN, and nothing of it remains afterwards. Kernels: `window_kernels`.

>>> rolling_sum([1.0, 2.0, 3.0], 2).tolist()
[nan, 3.0, 5.0]
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from quantkit.indicators import window_kernels as kernels
from quantkit.indicators.inputs import FloatArray, beside, freedom, integer, matrix, shaped
from quantkit.indicators.memo import shared

if TYPE_CHECKING:
    from numpy.typing import ArrayLike


@shared
def rolling_sum(values: ArrayLike, window: int) -> FloatArray:
    """Sum of the last `window` rows, in the unit of `values`.

    Block sums, not a running sum: no drift, see `window_kernels`. Raises ConfigError for window < 1.
    """
    window = integer("rolling_sum", "window", window)
    table = matrix("rolling_sum", "values", values)
    out = np.empty_like(table)
    if window == 1:
        copy_known(table, out)
    else:
        kernels.window_sum(table, window, out)
    return shaped(out, values)


@shared
def rolling_min(values: ArrayLike, window: int) -> FloatArray:
    """Smallest of the last `window` rows, this one included, in the unit of `values`.

    Van Herk (1992), Gil & Werman (1993). Raises ConfigError for window < 1.
    """
    return _extreme("rolling_min", values, window, -1.0)


@shared
def rolling_max(values: ArrayLike, window: int) -> FloatArray:
    """Largest of the last `window` rows, this one included, in the unit of `values`.

    Van Herk (1992), Gil & Werman (1993). Raises ConfigError for window < 1.
    """
    return _extreme("rolling_max", values, window, 1.0)


@shared
def rolling_std(values: ArrayLike, window: int, *, ddof: int = 1) -> FloatArray:
    """Standard deviation of the last `window` rows, in the unit of `values`: sqrt(sum((x - mean)^2) / (window - ddof)).

    Exactly 0.0 for a constant window. Raises ConfigError for window < 2 or ddof >= window.
    """
    return _deviation("rolling_std", values, window, ddof, score=False)


@shared
def rolling_zscore(values: ArrayLike, window: int, *, ddof: int = 1) -> FloatArray:
    """(x - mean) / standard deviation of the last `window` rows, without unit; NaN where the window is constant.

    Raises ConfigError for window < 2 or ddof >= window.
    """
    return _deviation("rolling_zscore", values, window, ddof, score=True)


@shared
def rolling_corr(values: ArrayLike, other: ArrayLike, window: int) -> FloatArray:
    """Correlation of two inputs over the last `window` rows, in [-1, 1]; NaN where either is constant.

    Pearson (1895): cov(x, y) / sqrt(var(x) * var(y)). `other` has the shape of `values`, or is one column (an index,
    say) that every name is compared with. Raises ConfigError for window < 2, BadData for other shapes.
    """
    window = integer("rolling_corr", "window", window, low=2)
    left = matrix("rolling_corr", "values", values)
    right = beside("rolling_corr", "other", other, left.shape)
    out = np.empty_like(left)
    kernels.window_correlation(left, right, window, out)
    return shaped(out, values)


def copy_known(table: FloatArray, out: FloatArray) -> None:
    """A window of one row: the values themselves, infinities as NaN."""
    np.copyto(out, table)
    out[~np.isfinite(table)] = np.nan


def _extreme(function: str, values: ArrayLike, window: int, sign: float) -> FloatArray:
    window = integer(function, "window", window)
    table = matrix(function, "values", values)
    out = np.empty_like(table)
    if window == 1:
        copy_known(table, out)
    else:
        kernels.window_maximum(table, sign, window, out)
    return shaped(out, values)


def _deviation(function: str, values: ArrayLike, window: int, ddof: int, *, score: bool) -> FloatArray:
    window = integer(function, "window", window, low=2)
    ddof = freedom(function, ddof, window)
    table = matrix(function, "values", values)
    out = np.empty_like(table)
    kernels.window_deviation(table, window, ddof, score, out)
    return shaped(out, values)
