"""How much of its size a name gets under a volatility target: one number for each name and bar, known at that bar.

Contract: uses closes up to the bar only, adds up from the oldest return to the newest, and looks at one column at a
time, so neither other columns nor earlier history change a bit of it.
"""

from __future__ import annotations

from math import ceil
from typing import TYPE_CHECKING

import numpy as np

from quantkit.data.actions import locate
from quantkit.errors import ConfigError
from quantkit.jit import njit_entry

if TYPE_CHECKING:
    from quantkit.core.policy import Policy
    from quantkit.core.state import Floats
    from quantkit.data.bars import Bars

SESSIONS = 252.0
SESSION_SECONDS = 390 * 60  # a regular session; 0.2 bars more a day would move a volatility by 2 %
_PER_YEAR = {"d": SESSIONS, "w": 52.0, "M": 12.0}
_SECONDS = {"s": 1, "m": 60, "h": 3600}


def bars_a_year(freq: str) -> float:
    """Bars of this frequency in a year: 252 sessions of ceil(390 minutes / length) bars; "1w" 52, "1M" 12.

    Raises ConfigError for a frequency that is no number and unit.
    """
    count, unit = freq[:-1], freq[-1:]
    if count.isdigit() and int(count) > 0:
        if unit in _PER_YEAR:
            return _PER_YEAR[unit] / int(count)
        if unit in _SECONDS:
            return SESSIONS * ceil(SESSION_SECONDS / (int(count) * _SECONDS[unit]))
    raise ConfigError(f"freq={freq!r}: a volatility a year needs bars of a fixed length, as '1d' or '5m'")


def returns_of(bars: Bars) -> Floats:
    """(T, N) close x price factors of the bar's actions / close before - 1; NaN on the first row."""
    close = bars.raw.close
    returns = np.full(close.shape, np.nan)
    with np.errstate(divide="ignore", invalid="ignore"):
        np.divide(close[1:], close[:-1], out=returns[1:])
    placed = locate(bars.actions, bars.days, bars.symbols)
    for row, column, action in zip(placed.row, placed.column, placed.table, strict=True):
        factor, ratio = float(action["price_factor"]), float(action["share_ratio"])
        returns[row, column] *= factor if factor == factor else ratio
    returns -= 1.0
    return returns


@njit_entry
def _variances(returns: Floats, window: int, mean: Floats, variance: Floats) -> None:
    """Sample variance of the last `window` returns into `variance`, whose first `window` rows stay as they are."""
    for t in range(window, len(returns)):
        mean[:] = 0.0
        variance[t] = 0.0
        for k in range(t - window + 1, t + 1):
            for s in range(returns.shape[1]):
                mean[s] += returns[k, s]
        for s in range(returns.shape[1]):
            mean[s] /= window
        for k in range(t - window + 1, t + 1):
            for s in range(returns.shape[1]):
                away = returns[k, s] - mean[s]
                variance[t, s] += away * away
        for s in range(returns.shape[1]):
            variance[t, s] /= window - 1


def scale_of(bars: Bars, policy: Policy) -> Floats:
    """(T, N) min(vol_cap, vol_target / volatility), NaN where that is not known; (0, 0) without a target.

    Volatility is sqrt(variance of the last `vol_window` returns x bars a year); one that is 0 gives `vol_cap`.
    """
    if policy.vol_target is None:
        return np.empty((0, 0))
    scale = np.full(bars.shape, np.nan)
    _variances(returns_of(bars), policy.vol_window, np.empty(bars.shape[1]), scale)
    scale *= bars_a_year(bars.freq)
    np.sqrt(scale, out=scale)
    with np.errstate(divide="ignore"):
        np.divide(policy.vol_target, scale, out=scale)
    return np.minimum(scale, policy.vol_cap, out=scale)
