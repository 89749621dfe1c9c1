"""`Result.plot()`: the run as one matplotlib figure.

Contract: the object-oriented API only, on the Agg canvas: no pyplot, no global state, no window, so threads may draw at
once and a notebook shows what is returned. Lines of many bars are thinned to what a screen can show. Prices are rebased
to the won of the last bar. Panels from the top: equity (beside the benchmark), drawdown, names held with the part of
the money that is invested, and, for one symbol, its price with every fill.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from quantkit.backtest.canvas import (
    BUY,
    HELD,
    INK,
    LINE,
    LOSS,
    MUTED,
    OTHER,
    SELL,
    STOPPED,
    blank,
    dates_on,
    dress,
    finish,
    legend,
    money_on,
    percent_on,
)
from quantkit.backtest.fonts import drawable
from quantkit.backtest.thinning import thin
from quantkit.backtest.wording import percent, price_text
from quantkit.core.state import RULES
from quantkit.errors import ConfigError

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from quantkit.backtest.result import Result

__all__ = ["draw", "equity_panel", "fill", "line", "price_column", "rebased", "stamps", "wide_range"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

POINTS = 3000


def price_column(result: Result, symbol: str | None) -> int | None:
    """Column whose price is drawn: the one asked for, or the only one. ConfigError for a symbol not in the run."""
    symbols = result.bars.symbols
    if symbol is None:
        return 0 if len(symbols) == 1 else None
    if symbol not in symbols:
        raise ConfigError(
            f"plot(symbol={symbol!r}): the run has {', '.join(symbols[:8])}{', ...' if len(symbols) > 8 else ''}"
        )
    return symbols.index(symbol)


def rebased(result: Result, column: int) -> tuple[Floats, Floats]:
    """Closes of one symbol in the won of the last bar, and the (T,) factor that makes them so."""
    bars = result.bars.select([result.bars.symbols[column]])
    factor = bars.factor[:, 0]
    scale = factor / factor[-1]
    return np.asarray(bars.raw.close[:, 0] * scale, np.float64), np.asarray(scale, np.float64)


def wide_range(*series: Floats) -> bool:
    """Whether lines of money span so much that only a logarithmic axis shows their beginning."""
    low, high = min(float(values.min()) for values in series), max(float(values.max()) for values in series)
    return low > 0.0 and high > 20.0 * low


def stamps(result: Result) -> NDArray[Any]:
    """Times as matplotlib takes them, on the clock of Seoul."""
    return result.bars.index.tz_localize(None).to_numpy()


def line(axes: Axes, times: NDArray[Any], values: Floats, **style: Any) -> None:
    rows = thin(np.nan_to_num(values), points=POINTS)
    axes.plot(times[rows], values[rows], **style)


def fill(axes: Axes, times: NDArray[Any], values: Floats, color: str, **style: Any) -> None:
    rows = thin(values, points=POINTS)
    axes.fill_between(times[rows], values[rows], 0.0, facecolor=color, alpha=0.22, linewidth=0.0, **style)
    axes.plot(times[rows], values[rows], color=color, linewidth=0.9)


def equity_panel(axes: Axes, result: Result, times: NDArray[Any]) -> None:
    from matplotlib.ticker import LogLocator, NullLocator

    unit, currency = result.bars.minor_unit, result.bars.currency
    lines = [
        (result.run.equity / unit, drawable(result.name, "strategy"), {"color": LINE, "linewidth": 1.5, "zorder": 3})
    ]
    if result.comparison is not None:
        other = result.comparison.account(result.run.initial_cash / unit, result.run.deposits / unit)
        lines.append((other, drawable(result.comparison.name, "benchmark"), {"color": OTHER, "linewidth": 1.2}))
    if result.run.deposits.any():
        paid = (result.run.initial_cash + np.cumsum(result.run.deposits)) / unit
        lines.append((paid, "money paid in", {"color": MUTED, "linewidth": 1.0, "linestyle": (0, (4, 3))}))
    for values, label, style in lines:
        line(axes, times, values, label=label, **style)
    if wide_range(*(values for values, _, _ in lines)):
        axes.set_yscale("log")
        axes.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
        axes.yaxis.set_minor_locator(NullLocator())
    money_on(axes.yaxis, currency)
    legend(axes)


def _invested(axes: Axes, result: Result, times: NDArray[Any]) -> None:
    fill(axes, times, np.asarray(result.exposure, np.float64), HELD)
    axes.set_ylim(bottom=min(0.0, axes.get_ylim()[0]))
    percent_on(axes.yaxis)


def _names(axes: Axes, result: Result, times: NDArray[Any]) -> None:
    from matplotlib.ticker import MaxNLocator

    fill(axes, times, np.asarray(result.names_held, np.float64), MUTED)
    axes.yaxis.set_major_locator(MaxNLocator(integer=True, nbins=4))
    axes.set_ylim(bottom=0.0)


def _price(axes: Axes, result: Result, times: NDArray[Any], column: int) -> None:
    from matplotlib.ticker import FuncFormatter

    close, scale = rebased(result, column)
    line(axes, times, close, color=INK, linewidth=1.0)
    fills = result.run.fills
    mine = fills["symbol"] == column
    bar, side, rule = fills["bar"][mine], fills["side"][mine], fills["rule"][mine]
    price = fills["price"][mine] * scale[bar]
    stops = rule >= RULES.index("stop_loss")
    for label, chosen, marker, color in (
        ("buy", side > 0, "^", BUY),
        ("sell", (side < 0) & ~stops, "v", SELL),
        ("sell by stop, target or delisting", (side < 0) & stops, "X", STOPPED),
    ):
        if chosen.any():
            axes.scatter(times[bar[chosen]], price[chosen], s=30, marker=marker, color=color, edgecolors="white",
                         linewidths=0.5, zorder=3, label=label)  # fmt: skip
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: price_text(value)))
    if len(bar):
        legend(axes)


def draw(result: Result, *, symbol: str | None = None) -> Figure:
    """The figure. ConfigError when `symbol` is not in the run."""
    column = price_column(result, symbol)
    several = len(result.bars.symbols) > 1
    heights = [3.0, 1.3, 1.1] + [0.9] * several + [2.6] * (column is not None)
    figure = blank(11.0, 1.1 + 1.2 * sum(heights))
    panels = list(figure.subplots(len(heights), 1, sharex=True, squeeze=False, height_ratios=heights)[:, 0])
    times = stamps(result)
    stats = result.figures
    equity_panel(panels[0], result, times)
    dress(panels[0], "Equity" if panels[0].get_yscale() == "linear" else "Equity, logarithmic")
    fill(panels[1], times, np.asarray(result.drawdown, np.float64), LOSS)
    dress(panels[1], f"Drawdown, deepest {percent(stats['max_drawdown'])}")
    percent_on(panels[1].yaxis)
    _invested(panels[2], result, times)
    dress(panels[2], f"Money invested, mean {percent(stats['exposure'], digits=0)}")
    if several:
        _names(panels[3], result, times)
        dress(panels[3], "Names held")
    if column is not None:
        _price(panels[-1], result, times, column)
        code = result.bars.symbols[column]
        dress(panels[-1], f"{drawable(result.label(code), code)}, close in the won of the last bar")
    for panel in panels:
        panel.margins(x=0.01)
    dates_on(panels[-1])
    first, last = result.span
    head = f"{drawable(result.name, 'strategy')}   {first} to {last}   {percent(stats['total_return'])}"
    return finish(figure, head)
