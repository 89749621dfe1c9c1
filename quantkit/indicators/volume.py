"""Prices weighed by volume: on-balance volume, VWAP, typical price.

Contract: inputs (T,) or (T, N), time first, all of one shape; volume in shares. Outputs float64 of that shape. A row
with a missing price or volume (NaN or infinite) gives NaN.

>>> vwap([10.0, 20.0], [3.0, 1.0], 2).tolist()
[nan, 12.5]
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from quantkit.errors import BadData, ConfigError
from quantkit.indicators import recursive_kernels, window_kernels
from quantkit.indicators.inputs import FloatArray, IntArray, integer, matrices, shaped
from quantkit.indicators.memo import shared

if TYPE_CHECKING:
    from numpy.typing import ArrayLike


@shared
def typical_price(high: ArrayLike, low: ArrayLike, close: ArrayLike) -> FloatArray:
    """(high + low + close) / 3, in the unit of the prices. Raises BadData for inputs of different shapes."""
    tops, bottoms, last = matrices("typical_price", high=high, low=low, close=close)
    with np.errstate(invalid="ignore"):
        out = (tops + bottoms + last) / 3.0
    out[~np.isfinite(out)] = np.nan
    return shaped(out, high)


@shared
def obv(close: ArrayLike, volume: ArrayLike) -> FloatArray:
    """On-balance volume, Granville (1963), in shares: plus the bar's volume on a rise, minus on a fall, else unchanged.

    Starts, as in TA-Lib, with the first bar's volume; whole numbers of shares add exactly. A missing bar gives NaN
    and leaves the balance; the next one is compared with the last known close. Raises BadData for inputs of different
    shapes.
    """
    prices, shares = matrices("obv", close=close, volume=volume)
    out = np.empty_like(prices)
    recursive_kernels.balance_volume(prices, shares, out)
    return shaped(out, close)


@shared
def vwap(
    price: ArrayLike, volume: ArrayLike, window: int | None = None, *, session: ArrayLike | None = None
) -> FloatArray:
    """Volume-weighted average price, Berkowitz, Logue & Noser (1988): sum(price * volume) / sum(volume).

    Over the last `window` rows (NaN unless all are known), or since the start of the `session`: (T,) numbers or dates
    that change where a new one begins (`bars.days`); there a missing row gives NaN and is left out. NaN where no
    volume is. `price` is what you want weighed, often `typical_price`; the result is in its unit. Raises ConfigError
    unless exactly one of window >= 1 and session is given, BadData for inputs of different shapes.
    """
    if (window is None) == (session is None):
        raise ConfigError(f"ta.vwap: window = {window!r}, expected exactly one of window and session")
    prices, shares = matrices("vwap", price=price, volume=volume)
    out = np.empty_like(prices)
    if window is None:
        recursive_kernels.session_vwap(prices, shares, _sessions(session, len(prices)), out)
    elif integer("vwap", "window", window) == 1:
        out[:] = np.where(np.isfinite(prices) & np.isfinite(shares) & (shares != 0.0), prices, np.nan)
    else:
        window_kernels.window_vwap(prices, shares, int(window), out)
    return shaped(out, price)


def _sessions(session: ArrayLike | None, rows: int) -> IntArray:
    labels = np.asarray(session)
    if labels.shape != (rows,):
        raise BadData(f"ta.vwap: session has shape {labels.shape}, expected ({rows},): one label a row")
    numbers = np.zeros(rows, dtype=np.int64)
    numbers[1:] = np.cumsum(labels[1:] != labels[:-1])
    return numbers
