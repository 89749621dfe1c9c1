"""The numbers of a tear sheet: rolling figures, drawdowns one by one, how returns spread, where the money went.

Contract: pure NumPy from a result's arrays; pictures of them are made by `panels` (matplotlib) and `tear_sections`
(the page). Returns are one a session, as in `metrics`. What is not defined is NaN or an empty array, never a guess.

>>> episodes = drawdown_episodes(np.array([1.0, 0.9, 1.1, 1.0]), np.arange(4))
>>> episodes.peak.tolist(), episodes.recovered.tolist()
([0, 2], [2, -1])
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from quantkit.backtest import metrics

if TYPE_CHECKING:
    from quantkit.backtest.result import Result

__all__ = [
    "Distribution",
    "Episodes",
    "Histogram",
    "distribution",
    "drawdown_episodes",
    "histogram",
    "monthly_turnover",
    "rolling",
    "rolling_window",
    "waterfall",
]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

WINDOWS = (126, 63, 21)  # sessions of half a year, a quarter, a month
TAIL = 0.05
BLOCK = 4096
SLIPPAGE = "Slippage, with impact"


def rolling_window(sessions: int) -> int | None:
    """Sessions of the rolling figures: the longest of half a year, a quarter and a month that fits twice; else None."""
    return next((window for window in WINDOWS if sessions >= 2 * window), None)


def rolling(returns: Floats, window: int, *, periods: float, risk_free: float = 0.0) -> tuple[Floats, Floats, Floats]:
    """Return, volatility and Sharpe ratio of the `window` sessions up to each: three (P,) arrays, NaN before the first.

    Volatility and Sharpe ratio are a year's, `risk_free` is per period; the ratio is NaN where nothing varied.
    """
    gain, spread, ratio = (np.full(len(returns), np.nan) for _ in range(3))
    if len(returns) < window or window < 2:
        return gain, spread, ratio
    every = sliding_window_view(returns, window)
    for start in range(0, len(every), BLOCK):  # in blocks: the windows together are `window` times the returns
        views = every[start : start + BLOCK]
        rows = slice(start + window - 1, start + window - 1 + len(views))
        deviation = views.std(axis=1, ddof=1)
        moved = deviation > 1e-14 * np.maximum(np.abs(views).max(axis=1), 1e-300)
        gain[rows] = np.prod(1.0 + views, axis=1) - 1.0
        spread[rows] = deviation * math.sqrt(periods)
        excess = views.mean(axis=1) - risk_free
        ratio[rows] = np.where(moved, excess / np.where(moved, deviation, 1.0), np.nan) * math.sqrt(periods)
    return gain, spread, ratio


@dataclass(frozen=True, slots=True)
class Episodes:
    """Drawdowns in the order they happened, E of them, as rows of the run.

    peak       last row at the old high (row 0 where the run began under water)
    trough     row of the lowest point
    recovered  row that reached the old high again; -1 while it has not
    last       `recovered`, or the run's last row
    depth      fraction below the peak, negative
    """

    peak: Ints
    trough: Ints
    recovered: Ints
    last: Ints
    depth: Floats
    days: Ints

    def __len__(self) -> int:
        return len(self.peak)

    def length(self) -> Ints:
        """Calendar days from the peak to the recovery, or to the end of the run."""
        return self.days[self.last] - self.days[self.peak]

    def worst(self, count: int) -> Ints:
        """Numbers of the deepest, deepest first."""
        return np.argsort(self.depth, kind="stable")[:count]


def drawdown_episodes(growth: Floats, days: Ints) -> Episodes:
    """Every stretch below a peak of a growth curve that starts at 1; days (T,) epoch days."""
    drawdown = metrics.drawdowns(growth)
    under = np.concatenate(([False], drawdown < 0.0, [False]))
    starts = np.flatnonzero(~under[:-1] & under[1:])
    stops = np.flatnonzero(under[:-1] & ~under[1:])  # first row after each stretch
    pairs = zip(starts.tolist(), stops.tolist(), strict=True)
    trough = np.array([start + int(np.argmin(drawdown[start:stop])) for start, stop in pairs], np.int64)
    size = len(growth)
    return Episodes(
        peak=np.maximum(starts - 1, 0),
        trough=trough,
        recovered=np.where(stops < size, stops, -1),
        last=np.minimum(stops, size - 1),
        depth=drawdown[trough],
        days=days,
    )


@dataclass(frozen=True, slots=True)
class Distribution:
    """What the returns of the sessions look like, all of them.

    skew, kurtosis  moments over the whole (ddof 0); kurtosis is not excess: 3 for a normal distribution
    var, shortfall  the 5 % quantile, and the mean of the returns at or below it
    beyond          part of the sessions more than three deviations from the mean; 0.0027 for a normal distribution
    flat            part of the sessions that returned exactly 0
    """

    sessions: int
    mean: float
    deviation: float
    skew: float
    kurtosis: float
    var: float
    shortfall: float
    beyond: float
    positive: float
    flat: float


def distribution(returns: Floats) -> Distribution:
    """The figures of a (P,) array of returns; NaN where nothing varied or there are fewer than three."""
    nan, size = math.nan, len(returns)
    varied = size >= 3 and not math.isnan(metrics.volatility(returns, periods=1.0)) and float(np.ptp(returns)) > 0.0
    if not varied:
        return Distribution(size, float(returns.mean()) if size else nan, nan, nan, nan, nan, nan, nan, nan, nan)
    mean, deviation = float(returns.mean()), float(returns.std(ddof=1))
    scaled = (returns - mean) / returns.std()
    var = float(np.quantile(returns, TAIL))
    return Distribution(
        sessions=size,
        mean=mean,
        deviation=deviation,
        skew=float((scaled**3).mean()),
        kurtosis=float((scaled**4).mean()),
        var=var,
        shortfall=float(returns[returns <= var].mean()),
        beyond=float((np.abs(returns - mean) > 3.0 * deviation).mean()),
        positive=float((returns > 0.0).mean()),
        flat=float((returns == 0.0).mean()),
    )


@dataclass(frozen=True, slots=True)
class Histogram:
    """Bins of the returns that are not exactly 0, and the normal curve through their mean and deviation.

    edges (B + 1,), counts (B,); normal (2, 200) x and expected counts; left_out: returns that are exactly 0;
    clipped: returns beyond the edges, counted in the outermost bins.
    """

    edges: Floats
    counts: Ints
    normal: Floats
    left_out: int
    clipped: int


def histogram(returns: Floats) -> Histogram | None:
    """None with fewer than ten returns that are not 0, or none that differ.

    The width of a bin is Freedman's and Diaconis', "On the histogram as a density estimator", Zeitschrift für
    Wahrscheinlichkeitstheorie 57 (1981), within 10 and 60 bins over at most five deviations to each side.
    """
    moved = returns[returns != 0.0]
    if len(moved) < 10 or not float(np.ptp(moved)) > 0.0:
        return None
    mean, deviation = float(moved.mean()), float(moved.std(ddof=1))
    low, high = max(float(moved.min()), mean - 5 * deviation), min(float(moved.max()), mean + 5 * deviation)
    quarter, three = np.quantile(moved, [0.25, 0.75])
    width = 2.0 * float(three - quarter) / len(moved) ** (1.0 / 3.0)
    bins = int(np.clip((high - low) / width if width > 0.0 else 10, 10, 60))
    edges = np.linspace(low, high, bins + 1)
    counts, _ = np.histogram(np.clip(moved, low, high), edges)
    x = np.linspace(low, high, 200)
    density = np.exp(-0.5 * ((x - mean) / deviation) ** 2) / (deviation * math.sqrt(2.0 * math.pi))
    expected = density * len(moved) * (edges[1] - edges[0])
    outside = int(((moved < low) | (moved > high)).sum())
    return Histogram(edges, counts.astype(np.int64), np.vstack((x, expected)), len(returns) - len(moved), outside)


def impact_paid(result: Result) -> float:
    """Part of the slippage that market impact explains, in units of price: the model's sum, at most what was lost.

    NaN where the bars' volumes are not in memory (a streamed run): they would have to be read again.
    """
    costs, fills = result.cost_model, result.run.fills
    if costs is None or not costs.impact > 0.0 or not len(fills["bar"]):
        return 0.0
    if "volume" not in result.bars.loaded():
        return math.nan
    volume = result.bars.raw.volume[fills["bar"], fills["symbol"]]
    share = np.where(volume > 0.0, fills["quantity"] / np.where(volume > 0.0, volume, 1.0), 0.0)
    model = costs.impact * fills["price"] * np.sqrt(share) * fills["quantity"]
    return float(np.minimum(model, np.maximum(fills["slippage"] / result.bars.minor_unit, 0.0)).sum())


def waterfall(result: Result) -> list[tuple[str, float]]:
    """From what prices brought to what was left, (label, amount) in order; the amounts add up to the profit, which is
    the last row's. Commission, tax and slippage always have a row, the others where there was such money."""
    stats = result.figures
    impact = impact_paid(result)
    apart = not math.isnan(impact)
    costs = [
        ("Commission", -stats["commission"]),
        ("Tax", -stats["tax"]),
        ("Slippage" if apart else SLIPPAGE, -(stats["slippage"] - impact if apart else stats["slippage"])),
        ("Market impact", -impact if apart else 0.0),
        ("Fees on borrowed shares", -stats["borrow_cost"]),
    ]
    other = [("Dividends", stats["dividends"]), ("Interest", stats["interest"])]
    gross = stats["profit"] - sum(amount for _, amount in costs + other)
    always = ("Commission", "Tax", "Slippage", SLIPPAGE)
    steps = [("Gross: prices alone", gross), *other, *costs]
    shown = [(name, amount + 0.0) for k, (name, amount) in enumerate(steps) if not k or amount or name in always]
    return [*shown, ("Net: profit", stats["profit"])]


def monthly_turnover(result: Result) -> tuple[Ints, Floats]:
    """First row of each month of the run and the turnover of the month: half of what was traded over the equity."""
    months = result.bars.days.astype("datetime64[D]").astype("datetime64[M]").astype(np.int64)
    first = np.flatnonzero(np.concatenate(([True], months[1:] != months[:-1])))
    return first, np.add.reduceat(np.asarray(result.turnover, np.float64), first)
