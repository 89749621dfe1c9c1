"""`Result.plot("rolling")` and its kin, and `Result.tearsheet()`: every picture of a run, in matplotlib.

Contract: as in `canvas`: no pyplot, no global state. A panel is a function (axes, result) that draws and titles itself;
where there is nothing to draw it says so in place of an empty box. Numbers come from `tearsheet`, `regression` and
`capacity`. `PANELS` names them all; the tear sheet shows those that need no further run.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from quantkit.backtest import tearsheet
from quantkit.backtest.canvas import (
    BUY,
    GRID,
    HELD,
    INK,
    LINE,
    LOSS,
    MUTED,
    OTHER,
    SELL,
    blank,
    dates_on,
    dress,
    finish,
    legend,
    money_on,
    percent_on,
)
from quantkit.backtest.fonts import drawable
from quantkit.backtest.plots import equity_panel, fill, stamps
from quantkit.backtest.wording import number, percent, short_money
from quantkit.errors import BadData, ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from quantkit.backtest.result import Result

__all__ = ["PANELS", "draw_panel", "draw_tearsheet"]

Floats = NDArray[np.float64]
WORST = 5


def _nothing(axes: Axes, title: str, why: str) -> None:
    axes.text(0.5, 0.5, why, ha="center", va="center", color=MUTED, fontsize=10, transform=axes.transAxes, wrap=True)
    axes.set_xticks([])
    axes.set_yticks([])
    dress(axes, title, grid=None)


def _say(axes: Axes, *lines: str, right: bool = False) -> None:
    """A few figures in an upper corner, over whatever is drawn there."""
    box = {"facecolor": "white", "edgecolor": "none", "alpha": 0.8, "pad": 2.0}
    axes.text(0.985 if right else 0.015, 0.97, "\n".join(lines), ha="right" if right else "left", va="top", color=INK,
              fontsize=8.5, transform=axes.transAxes, linespacing=1.4, bbox=box)  # fmt: skip


def _equity(axes: Axes, result: Result) -> None:
    equity_panel(axes, result, stamps(result))
    axes.margins(x=0.01)
    dates_on(axes)
    dress(axes, "Equity" if axes.get_yscale() == "linear" else "Equity, logarithmic")


def _drawdown(axes: Axes, result: Result) -> None:
    """Under water, the worst stretches shaded."""
    times = stamps(result)
    episodes = result.episodes
    for k in episodes.worst(WORST):
        axes.axvspan(times[episodes.peak[k]], times[episodes.last[k]], color=GRID, alpha=0.55, linewidth=0.0, zorder=0)
    fill(axes, times, np.asarray(result.drawdown, np.float64), LOSS)
    axes.margins(x=0.01)
    axes.set_ylim(min(1.06 * result.figures["max_drawdown"], -0.01), 0.0)
    percent_on(axes.yaxis)
    dates_on(axes)
    many = min(WORST, len(episodes))
    shaded = f", the {many} deepest shaded" if many > 1 else ""
    dress(axes, f"Under water, deepest {percent(result.figures['max_drawdown'])}{shaded}")


def _rolling(axes: Axes, result: Result) -> None:
    title = "Rolling Sharpe ratio"
    returns = result.returns
    window = tearsheet.rolling_window(len(returns))
    if window is None:
        return _nothing(axes, title, f"{len(returns)} sessions are too few: it takes {2 * tearsheet.WINDOWS[-1]}")
    _, _, ratio = tearsheet.rolling(
        result.session_returns, window, periods=result.periods, risk_free=result.risk_free / result.periods
    )
    if np.isnan(ratio).all():
        return _nothing(axes, title, "the returns never vary")
    times = returns.index.tz_localize(None).to_numpy()  # type: ignore[attr-defined]
    axes.axhline(0.0, color=OTHER, linewidth=0.9)
    axes.plot(times, ratio, color=LINE, linewidth=1.2, label=f"{window} sessions")
    whole = result.figures["sharpe"]
    if np.isfinite(whole):
        axes.axhline(whole, color=INK, linewidth=1.0, linestyle=(0, (4, 3)), label=f"whole run {number(whole)}")
    axes.set_xlim(times[0], times[-1])
    axes.margins(x=0.01)
    dates_on(axes)
    legend(axes)
    return dress(axes, title)


def _months(axes: Axes, result: Result) -> None:
    """Year by month, gains red."""
    from matplotlib.colors import LinearSegmentedColormap

    table = result.monthly
    values = table.to_numpy(dtype=np.float64)
    inner = np.abs(values[:, :12][np.isfinite(values[:, :12])])
    scale = (float(np.quantile(inner, 0.95)) if len(inner) else 0.0) or 0.01
    colours = LinearSegmentedColormap.from_list("gain", [SELL, "#ffffff", BUY])
    shown = np.column_stack((values[:, :12], np.full(len(values), np.nan)))
    axes.imshow(shown, cmap=colours, vmin=-1.6 * scale, vmax=1.6 * scale, aspect="auto", interpolation="nearest")
    size = 8.5 if len(values) <= 16 else 7.0 if len(values) <= 24 else 6.0
    for (row, column), value in np.ndenumerate(values):
        if np.isfinite(value):
            weight = "bold" if column == 12 else "normal"
            axes.text(
                column, row, percent(value), ha="center", va="center", fontsize=size, color=INK, fontweight=weight
            )
    names = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec", "Year")
    axes.set_xticks(range(13), names)
    axes.set_yticks(range(len(values)), [str(year) for year in table.index])
    dress(axes, "Monthly returns", grid=None)
    axes.spines["bottom"].set_visible(False)


def _distribution(axes: Axes, result: Result) -> None:
    from matplotlib.ticker import MaxNLocator

    title, returns = "Returns of the sessions", result.session_returns
    bins = tearsheet.histogram(returns)
    if bins is None:
        return _nothing(axes, title, "fewer than ten sessions with a return that is not 0")
    said = tearsheet.distribution(returns)
    axes.bar(bins.edges[:-1], bins.counts, np.diff(bins.edges), align="edge", color=LINE, alpha=0.55, edgecolor="white",
             linewidth=0.5)  # fmt: skip
    axes.plot(bins.normal[0], bins.normal[1], color=INK, linewidth=1.2, label="normal")
    axes.axvline(said.var, color=LOSS, linewidth=1.1, linestyle=(0, (4, 3)), label=f"5% worst: {percent(said.var)}")
    percent_on(axes.xaxis, digits=1 if bins.edges[-1] - bins.edges[0] < 0.05 else 0)
    legend(axes)
    axes.yaxis.set_major_locator(MaxNLocator(integer=True, nbins=6))
    _say(axes, f"skew {number(said.skew)}", f"kurtosis {number(said.kurtosis)} (normal 3)",
         f"beyond 3σ {percent(said.beyond, digits=2)} (0.27%)", right=True)  # fmt: skip
    return dress(axes, title)


def _exposure(axes: Axes, result: Result) -> None:
    invested = np.asarray(result.exposure, np.float64)
    fill(axes, stamps(result), invested, HELD)
    axes.set_ylim(min(0.0, 1.05 * float(invested.min())), max(1.05 * float(invested.max()), 0.05))
    axes.margins(x=0.01)
    percent_on(axes.yaxis)
    dates_on(axes)
    dress(axes, f"Money invested, mean {percent(result.figures['exposure'], digits=0)}")


def _turnover(axes: Axes, result: Result) -> None:
    first, turned = tearsheet.monthly_turnover(result)
    if not turned.any():
        return _nothing(axes, "Turnover by month", "nothing was traded")
    times = stamps(result)
    ends = np.append(times[first[1:]], times[-1])
    width = (ends - times[first]) / np.timedelta64(1, "D")
    axes.bar(times[first], turned, np.maximum(0.9 * width, 0.5).tolist(), align="edge", color=MUTED, alpha=0.6)
    axes.margins(x=0.01)
    percent_on(axes.yaxis)
    dates_on(axes)
    return dress(axes, f"Turnover by month, {percent(result.figures['turnover'], digits=0)} a year")


def _costs(axes: Axes, result: Result) -> None:
    """From gross to net."""
    title, steps, currency = "Where the money went", tearsheet.waterfall(result), result.bars.currency
    if not any(amount for _, amount in steps):
        return _nothing(axes, title, "no gain, no loss, no costs")
    level, names = 0.0, [name for name, _ in steps]
    low = min(0.0, float(np.cumsum([amount for _, amount in steps[:-1]]).min()))
    high = max(0.0, float(np.cumsum([amount for _, amount in steps[:-1]]).max()))
    room = (high - low) * 0.02
    for k, (_, amount) in enumerate(steps):
        start = 0.0 if k in (0, len(steps) - 1) else level
        colour = INK if k in (0, len(steps) - 1) else BUY if amount > 0.0 else SELL
        axes.barh(k, amount, left=start, color=colour, height=0.62, alpha=0.85)
        level = start + amount
        axes.text(max(start, level, 0.0) + room, k, short_money(amount, currency), va="center", fontsize=9, color=INK)
    axes.axvline(0.0, color=OTHER, linewidth=0.9)
    axes.set_yticks(range(len(steps)), names)
    axes.set_ylim(len(steps) - 0.4, -0.6)
    axes.set_xlim(low - room, high + (high - low) * 0.22)
    money_on(axes.xaxis, currency)
    axes.locator_params(axis="x", nbins=6)
    return dress(axes, title, grid="x")


def _regression(axes: Axes, result: Result) -> None:
    """The sessions beside the benchmark's, with the line."""
    title = "Against the benchmark"
    if result.comparison is None:
        return _nothing(axes, title, "the run has no benchmark: benchmark=")
    try:
        fitted = result.regression()
    except BadData as error:
        return _nothing(axes, title, str(error).removeprefix("regression: "))
    x, y = fitted.factors[:, 0], fitted.returns
    if not np.ptp(y) > 0.0:
        return _nothing(axes, title, "the run's returns never vary")
    axes.axhline(0.0, color=GRID, linewidth=0.9)
    axes.axvline(0.0, color=GRID, linewidth=0.9)
    axes.scatter(x, y, s=9, color=LINE, alpha=0.35, linewidths=0.0)
    ends = np.array([x.min(), x.max()])
    axes.plot(ends, fitted.coefficients[0] + fitted.coefficients[1] * ends, color=INK, linewidth=1.3)
    percent_on(axes.xaxis, digits=1 if np.ptp(x) < 0.05 else 0)
    percent_on(axes.yaxis, digits=1 if np.ptp(y) < 0.05 else 0)
    axes.set_xlabel(drawable(fitted.names[1], "benchmark"))
    _say(axes, f"alpha {percent(fitted.alpha)} a year, t {number(float(fitted.t[0]))}",
         f"beta {number(float(fitted.coefficients[1]))}, t {number(float(fitted.t[1]))}",
         f"R² {number(fitted.r2)}, {fitted.method}")  # fmt: skip
    return dress(axes, title, grid="both")


def _capacity(axes: Axes, result: Result) -> None:
    from matplotlib.ticker import LogLocator, NullLocator

    from quantkit.backtest.capacity import half_capital

    table = result.capacity() if result.capacities is None else result.capacities
    capital, currency = np.asarray(table.index, np.float64), result.bars.currency
    axes.plot(capital, table["cagr"], color=LINE, linewidth=1.6, marker="o", markersize=5, label="growth a year")
    axes.axhline(0.0, color=OTHER, linewidth=0.9)
    half = half_capital(table)
    if np.isfinite(half):
        axes.axvline(half, color=LOSS, linewidth=1.1, linestyle=(0, (4, 3)),
                     label=f"half is left at {short_money(float(f'{half:.2g}'), currency)}")  # fmt: skip
    if len(capital) > 1:
        axes.set_xscale("log")
        axes.xaxis.set_major_locator(LogLocator(numticks=9))
        axes.xaxis.set_minor_locator(NullLocator())
    money_on(axes.xaxis, currency)
    percent_on(axes.yaxis, digits=1 if np.ptp(table["cagr"]) < 0.05 else 0)
    legend(axes)
    part = percent(table.attrs["participation"], digits=0)
    axes.set_xlabel(f"capital; impact {table.attrs['impact']:.3g}, at most {part} of a bar's volume")
    dress(axes, "Growth against capital", grid="both")


PANELS: dict[str, tuple[Callable[[Axes, Result], None], tuple[float, float]]] = {
    "equity": (_equity, (11.0, 4.2)),
    "drawdown": (_drawdown, (11.0, 3.0)),
    "rolling": (_rolling, (11.0, 3.0)),
    "months": (_months, (11.0, 3.4)),
    "distribution": (_distribution, (8.0, 4.2)),
    "exposure": (_exposure, (11.0, 2.6)),
    "turnover": (_turnover, (11.0, 2.6)),
    "costs": (_costs, (8.0, 3.6)),
    "regression": (_regression, (8.0, 5.0)),
    "capacity": (_capacity, (8.0, 4.2)),
}


def _years(result: Result) -> float:
    """Height of the monthly panel, in inches."""
    return 0.9 + 0.26 * len(result.monthly)


def draw_panel(result: Result, what: str) -> Figure:
    """One picture by name. ConfigError for a name that is none of them."""
    if what not in PANELS:
        raise ConfigError(
            f"plot({what!r}): choose one of {', '.join(PANELS)}; without a name: all of the run at a glance"
        )
    panel, (width, height) = PANELS[what]
    figure = blank(width, _years(result) + 0.3 if what == "months" else height)
    panel(figure.subplots(), result)
    return finish(figure)


def draw_tearsheet(result: Result) -> Figure:
    """Everything on one figure; capacity where it was computed, the regression where there is a benchmark."""
    rows: list[tuple[float, tuple[str, ...]]] = [
        (3.4, ("equity",)),
        (1.9, ("drawdown",)),
        (1.9, ("rolling",)),
        (_years(result), ("months",)),
        (3.2, ("distribution", "costs")),
        (1.7, ("exposure",)),
        (1.7, ("turnover",)),
    ]
    last = [
        name
        for name, there in (("regression", result.comparison), ("capacity", result.capacities))
        if there is not None
    ]
    if last:
        rows.append((3.6, tuple(last)))
    figure = blank(11.0, 0.6 + sum(height for height, _ in rows))
    grid = figure.add_gridspec(len(rows), 2, height_ratios=[height for height, _ in rows])
    for row, (_, names) in enumerate(rows):
        for column, name in enumerate(names):
            place = grid[row, :] if len(names) == 1 else grid[row, column]
            PANELS[name][0](figure.add_subplot(place), result)
    first, final = result.span
    stats = result.figures
    head = f"{drawable(result.name, 'strategy')}   {first} to {final}   {percent(stats['total_return'])}"
    return finish(figure, f"{head}   Sharpe {number(stats['sharpe'])}")
