"""Figures of a return series: what each is, by whose definition.

Contract: pure NumPy. `returns` is a (P,) float64 array of simple returns, one a period, already time-weighted (no
deposits in it). `periods` is periods a year: 252 for sessions, which is what other tools assume, so that ratios
compare; KRX has 244 to 249 sessions a year, which would make a Sharpe ratio about 1 % smaller. Standard deviations
are of the sample (ddof = 1). The risk-free rate is per period and 0 unless given. What is not defined (fewer than two
periods, no variation) is NaN, never infinite. `docs/metrics.md` lists every figure of a result.

>>> round(sharpe(np.array([0.01, -0.005, 0.02, 0.0])), 4)
8.949
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from quantkit.errors import ConfigError

__all__ = [
    "alpha_beta",
    "calmar",
    "compound_rate",
    "downside_deviation",
    "drawdowns",
    "information_ratio",
    "longest_drawdown",
    "periods_per_year",
    "sharpe",
    "sortino",
    "volatility",
]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

SESSIONS = 252.0
DAYS_PER_YEAR = 365.25


def periods_per_year(freq: str) -> float:
    """Periods a year that ratios are annualised with: intraday bars are sampled once a session, so 252 as for "1d".

    "1w" is 52, "1M" 12, and "5d" 252 / 5. ConfigError for a frequency that is none of these.
    """
    count, unit = freq[:-1], freq[-1:]
    per_year = {"t": SESSIONS, "s": SESSIONS, "m": SESSIONS, "h": SESSIONS, "d": SESSIONS, "w": 52.0, "M": 12.0}
    if unit not in per_year or not count.isdigit() or int(count) < 1:
        raise ConfigError(f"freq={freq!r}: expected a number and one of {', '.join(per_year)}, as in '1d' or '5m'")
    return per_year[unit] / (int(count) if unit in ("d", "w", "M") else 1)


def _spread(values: Floats) -> float:
    """Sample standard deviation; NaN below two values or where only rounding noise varies."""
    if len(values) < 2:
        return math.nan
    spread = float(values.std(ddof=1))
    return spread if spread > 1e-14 * float(np.abs(values).max(initial=0.0)) else math.nan


def compound_rate(total_return: float, years: float) -> float:
    """Growth a year that compounds to `total_return` over `years` (CAGR); -1 when all is lost."""
    if not years > 0.0:
        return math.nan
    growth = 1.0 + total_return
    return growth ** (1.0 / years) - 1.0 if growth > 0.0 else -1.0


def volatility(returns: Floats, *, periods: float = SESSIONS) -> float:
    """Standard deviation of returns times sqrt(periods); 0 for a series that never moves."""
    return float(returns.std(ddof=1)) * math.sqrt(periods) if len(returns) > 1 else math.nan


def sharpe(returns: Floats, *, periods: float = SESSIONS, risk_free: float = 0.0) -> float:
    """Mean excess return over its standard deviation, times sqrt(periods).

    W. F. Sharpe, "The Sharpe Ratio", Journal of Portfolio Management 21 (1994).
    """
    excess = returns - risk_free if risk_free else returns
    return float(excess.mean()) / _spread(excess) * math.sqrt(periods) if len(excess) else math.nan


def downside_deviation(returns: Floats, *, periods: float = SESSIONS, target: float = 0.0) -> float:
    """Root of the mean squared shortfall below `target` over all periods, times sqrt(periods)."""
    if not len(returns):
        return math.nan
    short = np.minimum(returns - target if target else returns, 0.0)
    return math.sqrt(float((short * short).sum()) / len(returns)) * math.sqrt(periods)


def sortino(returns: Floats, *, periods: float = SESSIONS, target: float = 0.0) -> float:
    """Mean return above `target` a year over the downside deviation.

    F. A. Sortino and L. N. Price, "Performance Measurement in a Downside Risk Framework", Journal of Investing 3
    (1994).
    """
    risk = downside_deviation(returns, periods=periods, target=target)
    return (float(returns.mean()) - target) * periods / risk if risk > 0.0 else math.nan


def drawdowns(growth: Floats) -> Floats:
    """Distance of each value of a growth curve that starts at 1 from its highest so far: (T,), 0 or negative."""
    peak = np.maximum.accumulate(growth)
    np.maximum(peak, 1.0, out=peak)
    np.divide(growth, peak, out=peak)
    peak -= 1.0
    return peak


def longest_drawdown(drawdown: Floats, days: Ints) -> int:
    """Longest stretch below a peak, in calendar days from the peak to the recovery (or to the end)."""
    if not len(drawdown):
        return 0
    peaks = np.flatnonzero(drawdown == 0.0)
    if not len(peaks) or peaks[0] != 0:  # under water from the first bar: the start was the peak
        peaks = np.concatenate((np.zeros(1, peaks.dtype), peaks))
    spans = np.diff(days[peaks])[np.diff(peaks) > 1]
    unfinished = int(days[-1] - days[peaks[-1]]) if drawdown[-1] < 0.0 else 0
    return max(int(spans.max(initial=0)), unfinished)


def calmar(annual_return: float, max_drawdown: float) -> float:
    """Annual return over the size of the deepest drawdown. T. W. Young, "Calmar Ratio", Futures (October 1991).

    Young looks at the last 36 months; here, as in most tools, it is the whole run.
    """
    return annual_return / -max_drawdown if max_drawdown < 0.0 else math.nan


def alpha_beta(
    returns: Floats, benchmark: Floats, *, periods: float = SESSIONS, risk_free: float = 0.0
) -> tuple[float, float]:
    """Alpha a year (arithmetic) and beta of the least-squares line of excess returns on the benchmark's.

    M. C. Jensen, "The Performance of Mutual Funds in the Period 1945-1964", Journal of Finance 23 (1968).
    """
    ours, theirs = returns - risk_free, benchmark - risk_free
    if math.isnan(_spread(theirs)):
        return math.nan, math.nan
    centred = theirs - theirs.mean()
    beta = float(np.dot(centred, ours - ours.mean()) / np.dot(centred, centred))
    return float(ours.mean() - beta * theirs.mean()) * periods, beta


def information_ratio(returns: Floats, benchmark: Floats, *, periods: float = SESSIONS) -> tuple[float, float]:
    """Mean active return over its standard deviation, times sqrt(periods); and that deviation a year (tracking error).

    T. H. Goodwin, "The Information Ratio", Financial Analysts Journal 54 (1998).
    """
    active = returns - benchmark
    if len(active) < 2:
        return math.nan, math.nan
    spread = _spread(active)
    ratio = float(active.mean()) / spread * math.sqrt(periods) if not math.isnan(spread) else math.nan
    return ratio, float(active.std(ddof=1)) * math.sqrt(periods)
