"""Moving averages and what is made of them: SMA, EMA, WMA, MACD, Bollinger bands.

Contract: inputs (T,) or (T, N), time first; outputs float64 of the same shape, in the unit of the input. Windowed
averages (sma, wma, bollinger) are NaN unless all `window` rows are known; recursive ones (ema, macd) give NaN at a
missing row and carry on from their last value after it. A constant input gives exactly that constant.

>>> sma([1.0, 2.0, 4.0], 2).tolist()
[nan, 1.5, 3.0]
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from quantkit.errors import ConfigError
from quantkit.indicators import recursive_kernels, window_kernels
from quantkit.indicators.inputs import FloatArray, integer, matrix, positive, shaped
from quantkit.indicators.memo import shared
from quantkit.indicators.rolling import copy_known

if TYPE_CHECKING:
    from numpy.typing import ArrayLike


class Macd(NamedTuple):
    """Three arrays of the input's shape and unit, unpacked in TA-Lib's order."""

    macd: FloatArray
    signal: FloatArray
    histogram: FloatArray


class Bollinger(NamedTuple):
    """Three arrays of the input's shape and unit, unpacked in TA-Lib's order."""

    upper: FloatArray
    middle: FloatArray
    lower: FloatArray


@shared
def sma(values: ArrayLike, window: int) -> FloatArray:
    """Simple moving average: the mean of the last `window` rows.

    Correctly rounded for whole-number prices, so that equal averages of different windows compare as equal.
    Raises ConfigError for window < 1.
    """
    window = integer("sma", "window", window)
    table = matrix("sma", "values", values)
    out = np.empty_like(table)
    if window == 1:
        copy_known(table, out)
    else:
        window_kernels.window_mean(table, window, out)
    return shaped(out, values)


@shared
def wma(values: ArrayLike, window: int) -> FloatArray:
    """Linearly weighted moving average: weights 1, 2, ..., window, the newest row heaviest; their sum divides.

    Raises ConfigError for window < 1.
    """
    window = integer("wma", "window", window)
    table = matrix("wma", "values", values)
    out = np.empty_like(table)
    if window == 1:
        copy_known(table, out)
    else:
        window_kernels.window_weighted(table, window, out)
    return shaped(out, values)


@shared
def ema(values: ArrayLike, window: int) -> FloatArray:
    """Exponential moving average: e += 2 / (window + 1) * (x - e).

    Seeded, as in TA-Lib, with the mean of the first `window` known values and NaN
    before; pandas' `ewm(span=window, adjust=False)` starts from the first value and converges to the same. Raises
    ConfigError for window < 1.
    """
    window = integer("ema", "window", window)
    return shaped(_ema(matrix("ema", "values", values), window), values)


@shared
def macd(values: ArrayLike, fast: int = 12, slow: int = 26, signal: int = 9) -> Macd:
    """Moving average convergence divergence, Appel (1979): ema(fast) - ema(slow), its ema(signal), the difference.

    Each average is `ema`, seeded where its own data starts. TA-Lib's MACD starts the fast one later, so that its first
    rows differ by a remainder that shrinks by (fast - 1) / (fast + 1) a row. Raises ConfigError for a window < 1 or
    fast >= slow.
    """
    for name, window in (("fast", fast), ("slow", slow), ("signal", signal)):
        integer("macd", name, window)
    if fast >= slow:
        raise ConfigError(f"ta.macd: fast = {fast}, expected less than slow = {slow}")
    table = matrix("macd", "values", values)
    line = _ema(table, fast)
    line -= _ema(table, slow)
    smooth = _ema(line, signal)
    return Macd(shaped(line, values), shaped(smooth, values), shaped(line - smooth, values))


@shared
def bollinger(values: ArrayLike, window: int = 20, width: float = 2.0) -> Bollinger:
    """Bollinger bands, Bollinger (2001): sma +- width * standard deviation (ddof 0) of the last `window` rows.

    Raises ConfigError for window < 2 or a width that is not a finite number above zero.
    """
    window = integer("bollinger", "window", window, low=2)
    width = positive("bollinger", "width", width)
    table = matrix("bollinger", "values", values)
    middle, spread = np.empty_like(table), np.empty_like(table)
    window_kernels.window_mean(table, window, middle)
    window_kernels.window_deviation(table, window, 0, False, spread)
    spread *= width
    return Bollinger(shaped(middle + spread, values), shaped(middle, values), shaped(middle - spread, values))


def _ema(table: FloatArray, window: int) -> FloatArray:
    view = table.view()
    view.flags.writeable = False
    out = np.empty(table.shape)
    recursive_kernels.smooth(view, window, 2.0 / (window + 1), out)
    return out
