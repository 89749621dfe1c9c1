"""Compiled recursions: each row from the row before and a small state per column.

Every kernel takes (T, N) arrays and walks them in tiles of rows and columns that fit the processor's cache; `state`
keeps what a column carries from tile to tile. A row with a missing input (NaN or infinite) gives NaN and leaves the
state as it was, so a column that lists later starts later and a hole delays nothing but itself. Called by
`smoothing`, `oscillators`, `ranges` and `volume`.
"""

from __future__ import annotations

from math import isnan
from typing import TYPE_CHECKING

import numpy as np

from quantkit.indicators.window_kernels import known
from quantkit.jit import njit

if TYPE_CHECKING:
    from quantkit.indicators.inputs import FloatArray, IntArray

ROWS = 128
COLUMNS = 256


@njit
def smooth(values: FloatArray, window: int, rate: float, out: FloatArray) -> None:
    """Exponential smoothing: the mean of the first `window` known values, then `level += rate * (value - level)`."""
    rows, columns = values.shape
    state = np.zeros((columns, 3))  # values seen, first value, level (offset from it until seeded)
    for top in range(0, rows, ROWS):
        for first in range(0, columns, COLUMNS):
            for j in range(first, min(first + COLUMNS, columns)):
                seen = state[j, 0]
                start = state[j, 1]
                level = state[j, 2]
                for t in range(top, min(top + ROWS, rows)):
                    value = known(values[t, j])
                    result = np.nan
                    if not isnan(value):
                        if seen >= window:
                            level += rate * (value - level)
                            result = level
                        else:
                            start = value if seen == 0.0 else start
                            seen += 1.0
                            level += value - start
                            if seen == window:
                                level = start if level == 0.0 else (start * window + level) / window
                                result = level
                    out[t, j] = result
                state[j, 0] = seen
                state[j, 1] = start
                state[j, 2] = level


@njit
def relative_strength(values: FloatArray, window: int, out: FloatArray) -> None:
    """Wilder's RSI: 100 * gain / (gain + loss) of smoothed changes; 50 while nothing has moved."""
    rows, columns = values.shape
    state = np.zeros((columns, 4))  # values seen, last value, gain, loss (sums until seeded, then averages)
    rate = 1.0 / window
    for top in range(0, rows, ROWS):
        for first in range(0, columns, COLUMNS):
            for j in range(first, min(first + COLUMNS, columns)):
                seen = state[j, 0]
                last = state[j, 1]
                gain = state[j, 2]
                loss = state[j, 3]
                for t in range(top, min(top + ROWS, rows)):
                    value = known(values[t, j])
                    result = np.nan
                    if not isnan(value):
                        change = value - last if seen > 0.0 else 0.0
                        up = max(0.0, change)
                        down = max(0.0, -change)
                        last = value
                        if seen > window:
                            gain += rate * (up - gain)
                            loss += rate * (down - loss)
                        else:
                            seen += 1.0
                            gain += up
                            loss += down
                            if seen > window:
                                gain /= window
                                loss /= window
                        if seen > window:
                            moved = gain + loss
                            result = 100.0 * gain / moved if moved > 0.0 else 50.0
                    out[t, j] = result
                state[j, 0] = seen
                state[j, 1] = last
                state[j, 2] = gain
                state[j, 3] = loss


@njit
def reach(high: float, low: float, last: float) -> float:
    """True range of one bar: the widest of high - low, |high - last close|, |low - last close|."""
    return max(high - low, abs(high - last), abs(low - last))


@njit
def true_ranges(high: FloatArray, low: FloatArray, close: FloatArray, out: FloatArray) -> None:
    """True range of each bar against the last known close; NaN on a column's first bar."""
    rows, columns = high.shape
    state = np.full(columns, np.nan)  # last known close
    for top in range(0, rows, ROWS):
        for first in range(0, columns, COLUMNS):
            for j in range(first, min(first + COLUMNS, columns)):
                last = state[j]
                for t in range(top, min(top + ROWS, rows)):
                    h = known(high[t, j])
                    lo = known(low[t, j])
                    c = known(close[t, j])
                    complete = not isnan(h) and not isnan(lo) and not isnan(c) and not isnan(last)
                    out[t, j] = reach(h, lo, last) if complete else np.nan
                    last = c if not isnan(c) else last
                state[j] = last


@njit
def moves(high: float, low: float, last_high: float, last_low: float) -> tuple[float, float]:
    """Directional movement (up, down) between two bars: the larger outward move counts, the other is zero."""
    up = high - last_high
    down = last_low - low
    if up > down and up > 0.0:
        return up, 0.0
    if down > up and down > 0.0:
        return 0.0, down
    return 0.0, 0.0


@njit
def directional(
    high: FloatArray, low: FloatArray, close: FloatArray, window: int, plus: FloatArray, minus: FloatArray
) -> None:
    """Wilder's +DI and -DI, seeded as TA-Lib seeds them: first sums over window - 1 moves."""
    rows, columns = high.shape
    state = np.zeros((columns, 7))  # bars seen, last high, low and close, smoothed up, down and range
    for top in range(0, rows, ROWS):
        for first in range(0, columns, COLUMNS):
            for j in range(first, min(first + COLUMNS, columns)):
                seen, last_high, last_low, last_close = state[j, 0], state[j, 1], state[j, 2], state[j, 3]
                ups, downs, ranges = state[j, 4], state[j, 5], state[j, 6]
                for t in range(top, min(top + ROWS, rows)):
                    plus[t, j] = np.nan
                    minus[t, j] = np.nan
                    h, lo, c = known(high[t, j]), known(low[t, j]), known(close[t, j])
                    if isnan(h) or isnan(lo) or isnan(c):
                        continue
                    if seen >= window:
                        ups -= ups / window
                        downs -= downs / window
                        ranges -= ranges / window
                    if seen > 0.0:
                        up, down = moves(h, lo, last_high, last_low)
                        ups += up
                        downs += down
                        ranges += reach(h, lo, last_close)
                    if seen >= window:
                        plus[t, j] = 100.0 * ups / ranges if ranges > 0.0 else 0.0
                        minus[t, j] = 100.0 * downs / ranges if ranges > 0.0 else 0.0
                    seen += 1.0
                    last_high, last_low, last_close = h, lo, c
                state[j, 0], state[j, 1], state[j, 2], state[j, 3] = seen, last_high, last_low, last_close
                state[j, 4], state[j, 5], state[j, 6] = ups, downs, ranges


@njit
def directional_index(plus: FloatArray, minus: FloatArray, window: int, out: FloatArray) -> None:
    """Wilder's ADX: 100 * |+DI - -DI| / (+DI + -DI), the mean of `window`, then smoothed; 0 / 0 is passed over."""
    rows, columns = plus.shape
    state = np.zeros((columns, 2))  # values seen, ADX (a sum until seeded)
    for top in range(0, rows, ROWS):
        for first in range(0, columns, COLUMNS):
            for j in range(first, min(first + COLUMNS, columns)):
                seen = state[j, 0]
                level = state[j, 1]
                for t in range(top, min(top + ROWS, rows)):
                    result = np.nan
                    both = plus[t, j] + minus[t, j]
                    if not isnan(both):
                        if both > 0.0:
                            index = 100.0 * abs(plus[t, j] - minus[t, j]) / both
                            level += index if seen < window else (index - level) / window
                        seen += 1.0
                        if seen == window:
                            level /= window
                        if seen >= window:
                            result = level
                    out[t, j] = result
                state[j, 0] = seen
                state[j, 1] = level


@njit
def balance_volume(close: FloatArray, volume: FloatArray, out: FloatArray) -> None:
    """On-balance volume: the first bar's volume, then plus on a rise, minus on a fall."""
    rows, columns = close.shape
    state = np.full((columns, 2), np.nan)  # last known close, balance
    for top in range(0, rows, ROWS):
        for first in range(0, columns, COLUMNS):
            for j in range(first, min(first + COLUMNS, columns)):
                last = state[j, 0]
                balance = state[j, 1]
                for t in range(top, min(top + ROWS, rows)):
                    price = known(close[t, j])
                    shares = known(volume[t, j])
                    result = np.nan
                    if not isnan(price) and not isnan(shares):
                        if isnan(last):
                            balance = shares
                        elif price > last:
                            balance += shares
                        elif price < last:
                            balance -= shares
                        last = price
                        result = balance
                    out[t, j] = result
                state[j, 0] = last
                state[j, 1] = balance


@njit
def session_vwap(price: FloatArray, volume: FloatArray, session: IntArray, out: FloatArray) -> None:
    """Mean price weighted by volume since the row where the session's number last changed; NaN before any volume."""
    rows, columns = price.shape
    state = np.zeros((columns, 3))  # first price of the session, traded value above it, shares
    for top in range(0, rows, ROWS):
        for first in range(0, columns, COLUMNS):
            for j in range(first, min(first + COLUMNS, columns)):
                pivot = state[j, 0] if top > 0 else np.nan
                value = state[j, 1]
                shares = state[j, 2]
                for t in range(top, min(top + ROWS, rows)):
                    if t > 0 and session[t] != session[t - 1]:
                        pivot = np.nan
                        value = 0.0
                        shares = 0.0
                    p = known(price[t, j])
                    v = known(volume[t, j])
                    result = np.nan
                    if not isnan(p) and not isnan(v):
                        pivot = p if isnan(pivot) else pivot
                        value += (p - pivot) * v
                        shares += v
                        result = pivot + value / shares if shares != 0.0 else np.nan
                    out[t, j] = result
                state[j, 0] = pivot
                state[j, 1] = value
                state[j, 2] = shares
