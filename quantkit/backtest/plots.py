"""`Result.plot()`: the run as one matplotlib figure.

Contract: the object-oriented API only, on the Agg canvas: no pyplot, no global state, no window, so threads may draw at
once and a notebook shows what is returned. Lines of many bars are thinned to what a screen can show. Prices are rebased
to the won of the last bar. Panels from the top: equity (beside the benchmark), drawdown, names held with the part of
the money that is invested, and, for one symbol, its price with every fill.
"""

from __future__ import annotations

from functools import partial
from io import BytesIO
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from quantkit.backtest.fonts import drawable, set_fonts
from quantkit.backtest.thinning import thin
from quantkit.backtest.wording import percent, price_text, short_money
from quantkit.core.state import RULES
from quantkit.errors import ConfigError

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from quantkit.backtest.result import Result

__all__ = ["draw", "price_column", "rebased", "wide_range"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

INK, MUTED, GRID = "#1f2937", "#6b7280", "#e5e7eb"
LINE, OTHER, LOSS, HELD, BUY, SELL, STOPPED = (
    "#2f5fd0",
    "#9aa3b2",
    "#d6455d",
    "#0f9d8a",
    "#d6455d",
    "#2f5fd0",
    "#e08a00",
)
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


def _stamps(result: Result) -> NDArray[Any]:
    """Times as matplotlib takes them, on the clock of Seoul."""
    return result.bars.index.tz_localize(None).to_numpy()


def _line(axes: Axes, times: NDArray[Any], values: Floats, **style: Any) -> None:
    rows = thin(np.nan_to_num(values), points=POINTS)
    axes.plot(times[rows], values[rows], **style)


def _fill(axes: Axes, times: NDArray[Any], values: Floats, color: str, **style: Any) -> None:
    rows = thin(values, points=POINTS)
    axes.fill_between(times[rows], values[rows], 0.0, facecolor=color, alpha=0.22, linewidth=0.0, **style)
    axes.plot(times[rows], values[rows], color=color, linewidth=0.9)


def _equity(axes: Axes, result: Result, times: NDArray[Any]) -> None:
    from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

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
        _line(axes, times, values, label=label, **style)
    if wide_range(*(values for values, _, _ in lines)):
        axes.set_yscale("log")
        axes.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
        axes.yaxis.set_minor_locator(NullLocator())
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: short_money(value, currency)))
    _legend(axes)


def _invested(axes: Axes, result: Result, times: NDArray[Any]) -> None:
    from matplotlib.ticker import PercentFormatter

    _fill(axes, times, np.asarray(result.exposure, np.float64), HELD)
    axes.set_ylim(bottom=min(0.0, axes.get_ylim()[0]))
    axes.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))


def _names(axes: Axes, result: Result, times: NDArray[Any]) -> None:
    from matplotlib.ticker import MaxNLocator

    _fill(axes, times, np.asarray(result.names_held, np.float64), MUTED)
    axes.yaxis.set_major_locator(MaxNLocator(integer=True, nbins=4))
    axes.set_ylim(bottom=0.0)


def _legend(axes: Axes) -> None:
    """Beside the title, so that it never covers a line."""
    axes.legend(loc="lower right", bbox_to_anchor=(1.0, 1.0), frameon=False, labelcolor=INK, fontsize=9, ncols=3,
                borderaxespad=0.1, handlelength=1.6)  # fmt: skip


def _price(axes: Axes, result: Result, times: NDArray[Any], column: int) -> None:
    from matplotlib.ticker import FuncFormatter

    close, scale = rebased(result, column)
    _line(axes, times, close, color=INK, linewidth=1.0)
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
        _legend(axes)


def _dress(axes: Axes, title: str) -> None:
    """One look for every panel."""
    axes.set_title(title, loc="left", fontsize=10, color=INK, fontweight="bold", pad=6)
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    axes.spines["bottom"].set_color(GRID)
    axes.tick_params(colors=MUTED, labelsize=9, length=0)
    axes.margins(x=0.01)


def _png(figure: Figure) -> bytes:
    """The figure as a PNG file."""
    file = BytesIO()
    figure.savefig(file, format="png")
    return file.getvalue()


def draw(result: Result, *, symbol: str | None = None) -> Figure:
    """The figure. ConfigError when `symbol` is not in the run."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.dates import AutoDateLocator, ConciseDateFormatter
    from matplotlib.figure import Figure
    from matplotlib.ticker import PercentFormatter

    column = price_column(result, symbol)
    several = len(result.bars.symbols) > 1
    heights = [3.0, 1.3, 1.1] + [0.9] * several + [2.6] * (column is not None)
    figure = Figure(figsize=(11.0, 1.1 + 1.2 * sum(heights)), dpi=110, layout="constrained", facecolor="white")
    FigureCanvasAgg(figure)
    figure.__dict__["_repr_png_"] = partial(_png, figure)  # how Jupyter shows what a cell returns
    figure.get_layout_engine().set(h_pad=0.08, hspace=0.04)  # type: ignore[union-attr, call-arg]
    panels = list(figure.subplots(len(heights), 1, sharex=True, squeeze=False, height_ratios=heights)[:, 0])
    times = _stamps(result)
    stats = result.figures
    _equity(panels[0], result, times)
    _dress(panels[0], "Equity" if panels[0].get_yscale() == "linear" else "Equity, logarithmic")
    _fill(panels[1], times, np.asarray(result.drawdown, np.float64), LOSS)
    _dress(panels[1], f"Drawdown, deepest {percent(stats['max_drawdown'])}")
    panels[1].yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    _invested(panels[2], result, times)
    _dress(panels[2], f"Money invested, mean {percent(stats['exposure'], digits=0)}")
    if several:
        _names(panels[3], result, times)
        _dress(panels[3], "Names held")
    if column is not None:
        _price(panels[-1], result, times, column)
        code = result.bars.symbols[column]
        _dress(panels[-1], f"{drawable(result.label(code), code)}, close in the won of the last bar")
    for panel in panels:
        panel.grid(axis="y", color=GRID, linewidth=0.8)
        panel.set_axisbelow(True)
    locator = AutoDateLocator(minticks=4, maxticks=12)  # type: ignore[no-untyped-call]
    panels[-1].xaxis.set_major_locator(locator)
    panels[-1].xaxis.set_major_formatter(ConciseDateFormatter(locator, show_offset=False))  # type: ignore[no-untyped-call]
    first, last = result.span
    head = f"{drawable(result.name, 'strategy')}   {first} to {last}   {percent(stats['total_return'])}"
    figure.suptitle(head, x=0.012, ha="left", fontsize=13, fontweight="bold", color=INK)
    set_fonts(figure)
    return figure
