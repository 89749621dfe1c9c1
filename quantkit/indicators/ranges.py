"""What the bars' ranges say: true range and ATR, Wilder's directional system, Donchian channels.

Contract: inputs high, low, close (T,) or (T, N), time first, all of one shape; outputs float64 of that shape.
true_range, atr and donchian are in the unit of the prices, dmi and adx run from 0 to 100. A bar with a missing price
gives NaN.

>>> true_range([10.0, 12.0], [9.0, 11.0], [9.5, 11.5]).tolist()
[nan, 2.5]
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from quantkit.indicators import recursive_kernels as kernels
from quantkit.indicators.inputs import FloatArray, integer, matrices, shaped
from quantkit.indicators.memo import shared
from quantkit.indicators.rolling import rolling_max, rolling_min

if TYPE_CHECKING:
    from numpy.typing import ArrayLike


class Dmi(NamedTuple):
    """Two arrays of the input's shape, 0 to 100: +DI and -DI."""

    plus: FloatArray
    minus: FloatArray


class Donchian(NamedTuple):
    """Three arrays of the input's shape, in the unit of the prices."""

    upper: FloatArray
    middle: FloatArray
    lower: FloatArray


@shared
def true_range(high: ArrayLike, low: ArrayLike, close: ArrayLike) -> FloatArray:
    """True range, Wilder (1978): the widest of high - low, |high - last close|, |low - last close|.

    The last close is the last known one; a column's first bar has none and gives NaN, as in TA-Lib.
    Raises BadData for inputs of different shapes.
    """
    tables = matrices("true_range", high=high, low=low, close=close)
    out = np.empty_like(tables[0])
    kernels.true_ranges(tables[0], tables[1], tables[2], out)
    return shaped(out, high)


@shared
def atr(high: ArrayLike, low: ArrayLike, close: ArrayLike, window: int = 14) -> FloatArray:
    """Average true range, Wilder (1978): avg += (true_range - avg) / window.

    Seeded with the mean of the first `window` true ranges, so the first value stands `window` rows after the first
    bar, as in TA-Lib. A missing bar gives NaN and leaves the average. Raises ConfigError for window < 1, BadData for
    inputs of different shapes.
    """
    window = integer("atr", "window", window)
    tables = matrices("atr", high=high, low=low, close=close)
    ranges, out = np.empty_like(tables[0]), np.empty_like(tables[0])
    kernels.true_ranges(tables[0], tables[1], tables[2], ranges)
    ranges.flags.writeable = False
    kernels.smooth(ranges, window, 1.0 / window, out)
    return shaped(out, high)


@shared
def dmi(high: ArrayLike, low: ArrayLike, close: ArrayLike, window: int = 14) -> Dmi:
    """Directional indicators, Wilder (1978): smoothed up and down movement in percent of the smoothed true range.

    s = s - s / window + new for movement and range, first sums over `window` - 1 moves as in TA-Lib; the first value
    stands `window` rows after the first bar. A missing bar gives NaN; the next one is compared with the last complete
    bar. Raises ConfigError for window < 2, BadData for inputs of different shapes.
    """
    window = integer("dmi", "window", window, low=2)
    plus, minus = _directional("dmi", high, low, close, window)
    return Dmi(shaped(plus, high), shaped(minus, high))


@shared
def adx(high: ArrayLike, low: ArrayLike, close: ArrayLike, window: int = 14) -> FloatArray:
    """Average directional index, Wilder (1978): 100 * |+DI - -DI| / (+DI + -DI) of `dmi`, smoothed as in `atr`.

    The first value stands 2 * window - 1 rows after the first bar, as in TA-Lib. Raises as `dmi` does.
    """
    window = integer("adx", "window", window, low=2)
    plus, minus = _directional("adx", high, low, close, window)
    out = np.empty_like(plus)
    kernels.directional_index(plus, minus, window, out)
    return shaped(out, high)


@shared
def donchian(high: ArrayLike, low: ArrayLike, window: int = 20) -> Donchian:
    """Donchian channel (Donchian, 1960): highest high and lowest low of the last `window` bars, and their middle.

    This bar is included, so no close lies outside; for breakouts compare the close with `lag(upper, 1)`. NaN unless all
    bars of the window are known. Raises ConfigError for window < 1, BadData for inputs of different shapes.
    """
    window = integer("donchian", "window", window)
    tops, bottoms = matrices("donchian", high=high, low=low)
    upper, lower = rolling_max(tops, window), rolling_min(bottoms, window)
    return Donchian(shaped(upper, high), shaped((upper + lower) / 2.0, high), shaped(lower, high))


def _directional(
    function: str, high: ArrayLike, low: ArrayLike, close: ArrayLike, window: int
) -> tuple[FloatArray, FloatArray]:
    tables = matrices(function, high=high, low=low, close=close)
    plus, minus = np.empty_like(tables[0]), np.empty_like(tables[0])
    kernels.directional(tables[0], tables[1], tables[2], window, plus, minus)
    return plus, minus
