"""How far and how fast a price moved: momentum, rate of change, RSI, stochastic.

Contract: inputs (T,) or (T, N), time first; outputs float64 of the same shape. momentum is in the unit of the input,
all others are percentages: roc of the old price, rsi and stochastic from 0 to 100. Missing (NaN or infinite) rows
give NaN.

>>> roc([100.0, 110.0], 1).round(6).tolist()
[nan, 10.0]
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from quantkit.indicators import recursive_kernels
from quantkit.indicators.inputs import FloatArray, integer, matrices, matrix, shaped
from quantkit.indicators.memo import shared
from quantkit.indicators.rolling import rolling_max, rolling_min
from quantkit.indicators.smoothing import sma

if TYPE_CHECKING:
    from numpy.typing import ArrayLike


class Stochastic(NamedTuple):
    """Two arrays of the input's shape, 0 to 100."""

    k: FloatArray
    d: FloatArray


@shared
def momentum(values: ArrayLike, window: int) -> FloatArray:
    """x[t] - x[t - window], in the unit of `values`; NaN where either is missing. Raises ConfigError for window < 1."""
    window = integer("momentum", "window", window)
    table = matrix("momentum", "values", values)
    out = np.full_like(table, np.nan)
    with np.errstate(invalid="ignore"):
        np.subtract(table[window:], table[:-window], out=out[window:])
    out[~np.isfinite(out)] = np.nan
    return shaped(out, values)


@shared
def roc(values: ArrayLike, window: int) -> FloatArray:
    """Rate of change in percent: 100 * (x[t] / x[t - window] - 1); NaN where either is missing or the old one is 0.

    Raises ConfigError for window < 1.
    """
    window = integer("roc", "window", window)
    table = matrix("roc", "values", values)
    out = np.full_like(table, np.nan)
    with np.errstate(invalid="ignore", divide="ignore"):
        np.divide(table[window:], table[:-window], out=out[window:])
        out -= 1.0
        out *= 100.0
    out[window:][~np.isfinite(table[:-window])] = np.nan  # x / inf is 0, which is no answer
    out[~np.isfinite(out)] = np.nan
    return shaped(out, values)


@shared
def rsi(values: ArrayLike, window: int = 14) -> FloatArray:
    """Relative strength index, Wilder (1978): 100 * gain / (gain + loss), 0 to 100.

    gain and loss are averages of the rises and falls: of the first `window` changes, then avg += (new - avg) /
    window. The first value stands `window` rows after the first known one. A missing row gives NaN; the next change
    is taken from the last known value. Seeded as TA-Lib; where nothing has moved yet this gives 50, TA-Lib 0. Raises
    ConfigError for window < 1.
    """
    window = integer("rsi", "window", window)
    table = matrix("rsi", "values", values)
    out = np.empty_like(table)
    recursive_kernels.relative_strength(table, window, out)
    return shaped(out, values)


@shared
def stochastic(
    high: ArrayLike, low: ArrayLike, close: ArrayLike, window: int = 14, smooth: int = 3, signal: int = 3
) -> Stochastic:
    """Stochastic oscillator, Lane (1984): where the close stands in the range of the last `window` bars, 0 to 100.

    k = sma(100 * (close - lowest low) / (highest high - lowest low), smooth); d = sma(k, signal). smooth=1 is the fast
    one. 50 where the range is zero (TA-Lib: 0). A missing row makes every window that holds it NaN. Raises ConfigError
    for a window < 1, BadData for inputs of different shapes.
    """
    for name, value in (("window", window), ("smooth", smooth), ("signal", signal)):
        integer("stochastic", name, value)
    tops, bottoms, last = matrices("stochastic", high=high, low=low, close=close)
    lowest = rolling_min(bottoms, window)
    spread = rolling_max(tops, window) - lowest
    with np.errstate(invalid="ignore", divide="ignore"):
        position = 100.0 * (last - lowest) / spread
    position[spread == 0.0] = 50.0
    position[~np.isfinite(last)] = np.nan
    k = sma(position, smooth)
    return Stochastic(shaped(k, high), shaped(sma(k, signal), high))
