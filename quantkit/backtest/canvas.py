"""One look for every matplotlib picture: colours, empty figures, axes.

Contract: the object-oriented API on the Agg canvas: no pyplot, no global state, no window, so that threads may draw at
once and a notebook shows what is returned. Used by `plots` and `panels`, and by whoever draws results of research.

    figure = blank(9.0, 4.0)
    axes = figure.subplots()
    ...
    dress(axes, "Rolling Sharpe ratio")
    finish(figure)
"""

from __future__ import annotations

from functools import partial
from io import BytesIO
from typing import TYPE_CHECKING

from quantkit.backtest.fonts import set_fonts
from quantkit.backtest.wording import percent, short_money

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis
    from matplotlib.figure import Figure

__all__ = ["blank", "dates_on", "dress", "finish", "legend", "money_on", "percent_on"]

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


def blank(width: float, height: float) -> Figure:
    """An empty figure of so many inches that a notebook shows as it is."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), dpi=110, layout="constrained", facecolor="white")
    FigureCanvasAgg(figure)
    figure.__dict__["_repr_png_"] = partial(_png, figure)  # how Jupyter shows what a cell returns
    figure.get_layout_engine().set(h_pad=0.08, hspace=0.04)  # type: ignore[union-attr, call-arg]
    return figure


def _png(figure: Figure) -> bytes:
    """The figure as a PNG file."""
    file = BytesIO()
    figure.savefig(file, format="png")
    return file.getvalue()


def dress(axes: Axes, title: str, *, grid: str | None = "y") -> None:
    """Title at the left, no box, a pale grid on "x", "y", "both" or None."""
    axes.set_title(title, loc="left", fontsize=10, color=INK, fontweight="bold", pad=6)
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    axes.spines["bottom"].set_color(GRID)
    axes.tick_params(colors=MUTED, labelsize=9, length=0)
    axes.xaxis.label.set_color(MUTED)
    axes.yaxis.label.set_color(MUTED)
    axes.xaxis.label.set_fontsize(9)
    axes.yaxis.label.set_fontsize(9)
    if grid is not None:
        axes.grid(axis=grid, color=GRID, linewidth=0.8)  # type: ignore[arg-type]
        axes.set_axisbelow(True)


def finish(figure: Figure, title: str | None = None) -> Figure:
    """The title over all panels, and fonts for what every text needs."""
    if title is not None:
        figure.suptitle(title, x=0.012, ha="left", fontsize=13, fontweight="bold", color=INK)
    set_fonts(figure)
    return figure


def legend(axes: Axes, *, columns: int = 3) -> None:
    """Beside the title, so that it never covers a line."""
    axes.legend(loc="lower right", bbox_to_anchor=(1.0, 1.0), frameon=False, labelcolor=INK, fontsize=9, ncols=columns,
                borderaxespad=0.1, handlelength=1.6)  # fmt: skip


def dates_on(axes: Axes) -> None:
    """Years, months or days, whichever fit, without repeating what the tick before said."""
    from matplotlib.dates import AutoDateLocator, ConciseDateFormatter

    locator = AutoDateLocator(minticks=4, maxticks=12)  # type: ignore[no-untyped-call]
    axes.xaxis.set_major_locator(locator)
    axes.xaxis.set_major_formatter(ConciseDateFormatter(locator, show_offset=False))  # type: ignore[no-untyped-call]


def percent_on(axis: Axis, *, digits: int = 0) -> None:
    """Fractions as percent."""
    from matplotlib.ticker import FuncFormatter

    axis.set_major_formatter(FuncFormatter(lambda value, _: percent(value, digits=digits)))


def money_on(axis: Axis, currency: str) -> None:
    """Money in short."""
    from matplotlib.ticker import FuncFormatter

    axis.set_major_formatter(FuncFormatter(lambda value, _: short_money(value, currency)))
