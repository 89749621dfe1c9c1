"""Pictures of a sweep: the metric over two parameters, in colours or as a surface; over one, a line.

Contract: as `backtest.canvas`. A cell shows the best run that has its two values, whatever the other parameters are; a
cell without a run, or with failed ones only, is empty. The best run is marked. Colours run from the worst to the best,
symmetric around 0 where both signs occur, so that losses can be told from gains.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from quantkit.backtest.canvas import GRID, INK, LINE, LOSS, MUTED, STOPPED, blank, dress, finish
from quantkit.backtest.tally import NAMES
from quantkit.backtest.wording import FIGURES, show
from quantkit.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from quantkit.core.state import Floats
    from quantkit.research.sweep_result import SweepResult

TICKS = 12


class Cells(NamedTuple):
    """The metric by the values of two axes."""

    x: list[Any]
    y: list[Any]
    values: Floats  # (Y, X), NaN where there is no run
    best: tuple[int, int] | None  # (row, column) of the best run
    others: tuple[str, ...]  # axes that the best is taken over


def _axes(result: SweepResult, x: str | None, y: str | None) -> tuple[str, str | None]:
    """The two axes to draw: those asked for, else the first that have several values."""
    names = result.space.names
    for asked in (x, y):
        if asked is not None and asked not in names:
            raise ConfigError(f"heatmap({asked!r}): the sweep has {', '.join(names)}")
    if x is not None and x == y:
        raise ConfigError(f"heatmap({x!r}, {y!r}): two different parameters")
    wide = [name for place, name in enumerate(names) if len({point[place] for point in result.points}) > 1]
    free = [name for name in (*wide, *names) if name not in (x, y)]
    first = x or (free.pop(0) if free else names[0])
    free = [name for name in dict.fromkeys(free) if name != first]
    return first, y or (free[0] if free else None)


def cells(result: SweepResult, x: str, y: str | None, metric: str) -> Cells:
    """Gather the runs by two axes (or one: a single row)."""
    name = metric.removeprefix("-")
    if name not in NAMES:
        raise ConfigError(f"heatmap(metric={metric!r}): choose one of {', '.join(NAMES)}")
    sign = -1.0 if metric.startswith("-") else 1.0
    scores = result.rows[:, NAMES.index(name)] * sign
    names = result.space.names
    across = [point[names.index(x)] for point in result.points]
    up = [point[names.index(y)] for point in result.points] if y is not None else [None] * len(across)
    columns, rows = _ordered(result, x, across), _ordered(result, y, up)
    table = np.full((len(rows), len(columns)), np.nan)
    place = {value: k for k, value in enumerate(columns)}
    level = {value: k for k, value in enumerate(rows)}
    for score, right, high in zip(scores.tolist(), across, up, strict=True):
        if score == score:
            cell = level[high], place[right]
            table[cell] = np.fmax(table[cell], score)
    best = None
    if not np.isnan(table).all():
        row, column = np.unravel_index(int(np.nanargmax(table)), table.shape)
        best = int(row), int(column)
    others = tuple(
        axis for axis in names if axis not in (x, y) and len({p[names.index(axis)] for p in result.points}) > 1
    )
    return Cells(columns, rows, table * sign, best, others)


def _ordered(result: SweepResult, name: str | None, values: Sequence[Any]) -> list[Any]:
    found = list(dict.fromkeys(values))
    axis = next((axis for axis in result.space.axes if axis.name == name), None)
    return sorted(found) if axis is not None and axis.numeric else found


def _text(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def _title(result: SweepResult, metric: str, others: tuple[str, ...]) -> str:
    words = FIGURES[metric.removeprefix("-")][0]
    over = f", best over {', '.join(others)}" if others else ""
    return f"{words} of {result.strategy_class.__name__}{over}"


def _colours(table: Floats) -> tuple[str, float, float]:
    """A map and its ends: symmetric around 0 where both signs occur."""
    low, high = float(np.nanmin(table)), float(np.nanmax(table))
    if low < 0.0 < high:
        wide = max(-low, high)
        return "RdBu", -wide, wide
    return ("Blues", low, high) if low >= 0.0 else ("Reds_r", low, high)


def _ticks(axes: Axes, which: str, values: list[Any]) -> None:
    """Values of an axis, as many as can be read."""
    step = max(1, -(-len(values) // TICKS))
    places = list(range(0, len(values), step))
    getattr(axes, f"set_{which}ticks")(places, [_text(values[place]) for place in places])


def _none(result: SweepResult, metric: str) -> ConfigError:
    return ConfigError(
        f"nothing to draw: no run of this sweep has a {metric} ({result.failed} of {len(result)} failed)"
    )


def heatmap(result: SweepResult, x: str | None, y: str | None, metric: str) -> Figure:
    """See `SweepResult.heatmap`."""
    from matplotlib.patches import Rectangle

    x, y = _axes(result, x, y)
    found = cells(result, x, y, metric)
    if found.best is None:
        raise _none(result, metric)
    if len(found.y) == 1:
        return _curve(result, found, x, metric)
    name = metric.removeprefix("-")
    figure = blank(min(11.0, 4.5 + 0.28 * len(found.x)), min(8.5, 3.2 + 0.28 * len(found.y)))
    axes = figure.subplots()
    colours, low, high = _colours(found.values)
    image = axes.imshow(
        np.ma.masked_invalid(found.values), origin="lower", aspect="auto", cmap=colours, vmin=low, vmax=high,
        interpolation="nearest",
    )  # fmt: skip
    axes.set_facecolor("#c9ced6")  # where no run is
    dress(axes, _title(result, metric, found.others), grid=None)
    axes.set_title(axes.get_title(loc="left"), loc="left", fontsize=10, color=INK, fontweight="bold", pad=20)
    axes.set_xlabel(x)
    axes.set_ylabel(str(y))
    _ticks(axes, "x", found.x)
    _ticks(axes, "y", found.y)
    row, column = found.best
    numbered = found.values.size <= 150
    for colour, width in (("white", 4.0), (STOPPED, 2.0)):
        if numbered:  # a ring would hide the number
            axes.add_patch(Rectangle((column - 0.46, row - 0.46), 0.92, 0.92, fill=False, edgecolor=colour, lw=width))
        else:
            axes.plot([column], [row], "o", markersize=13, markerfacecolor="none", markeredgecolor=colour, mew=width)
    if numbered:
        _numbers(axes, found.values, name, result.bars.currency, low, high)
    _bar(figure, axes, image, name, result.bars.currency)
    top = show(name, float(found.values[row, column]), result.bars.currency)
    said = f"best {top} at {x}={_text(found.x[column])}, {y}={_text(found.y[row])}"
    axes.text(0.0, 1.012, said, transform=axes.transAxes, ha="left", va="bottom", fontsize=8.5, color=MUTED)
    return finish(figure)


def _numbers(axes: Axes, table: Floats, name: str, currency: str, low: float, high: float) -> None:
    """The figures in the cells, where there are few."""
    wide = max(high - low, 1e-300)
    two_sided = low < 0.0 < high
    for (row, column), value in np.ndenumerate(table):
        if value == value:
            part = abs(value) / high if two_sided else (value - low) / wide
            dark = part > 0.62 if low >= 0.0 or two_sided else part < 0.38
            axes.text(column, row, show(name, float(value), currency), ha="center", va="center", fontsize=7.5,
                      color="white" if dark else INK)  # fmt: skip


def _bar(figure: Figure, axes: Any, image: Any, name: str, currency: str) -> None:
    from matplotlib.ticker import FuncFormatter

    bar = figure.colorbar(image, ax=axes, pad=0.02, fraction=0.05, shrink=0.75 if axes.name == "3d" else 1.0)
    bar.outline.set_visible(False)
    bar.ax.tick_params(colors=MUTED, labelsize=8, length=0)
    bar.ax.yaxis.set_major_formatter(FuncFormatter(lambda value, _: show(name, float(value), currency)))


def _curve(result: SweepResult, found: Cells, x: str, metric: str) -> Figure:
    """One parameter: the metric as a line."""
    from matplotlib.ticker import FuncFormatter

    name = metric.removeprefix("-")
    figure = blank(9.0, 4.0)
    axes = figure.subplots()
    values = found.values[0]
    ordered = all(isinstance(value, int | float) and not isinstance(value, bool) for value in found.x)
    places = np.array(found.x, np.float64) if ordered else np.arange(len(found.x), dtype=np.float64)
    axes.plot(places, values, color=LINE, linewidth=1.5, marker="o", markersize=3.5 if len(values) < 80 else 0.0)
    dress(axes, _title(result, metric, found.others))
    axes.set_xlabel(x)
    if not ordered:
        axes.set_xticks(places, [_text(value) for value in found.x])
    _, column = found.best or (0, 0)
    axes.plot([places[column]], [values[column]], marker="o", markersize=10, markerfacecolor="none",
              markeredgecolor=LOSS, markeredgewidth=1.8)  # fmt: skip
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: show(name, float(value), result.bars.currency)))
    return finish(figure)


def surface(result: SweepResult, x: str | None, y: str | None, metric: str) -> Figure:
    """See `SweepResult.surface`."""
    x, y = _axes(result, x, y)
    found = cells(result, x, y, metric)
    if found.best is None:
        raise _none(result, metric)
    if len(found.y) < 2 or len(found.x) < 2:
        raise ConfigError(f"surface: needs two parameters with several values each; {x} alone is heatmap()")
    from matplotlib.ticker import FuncFormatter

    name = metric.removeprefix("-")
    figure = blank(8.5, 6.5)
    axes: Any = figure.add_subplot(projection="3d")
    right, high = np.meshgrid(_places(found.x), _places(found.y))
    colours, low, top = _colours(found.values)
    drawn = axes.plot_surface(
        right, high, found.values, cmap=colours, vmin=low, vmax=top, linewidth=0.2, edgecolor="#ffffff55",
        rstride=1, cstride=1, antialiased=True,
    )  # fmt: skip
    axes.set_xlabel(x, color=MUTED, fontsize=9)
    axes.set_ylabel(str(y), color=MUTED, fontsize=9)
    axes.tick_params(colors=MUTED, labelsize=8)
    axes.zaxis.set_major_formatter(FuncFormatter(lambda value, _: show(name, float(value), result.bars.currency)))
    for axis, values in (("x", found.x), ("y", found.y)):
        if not _numeric(values):
            getattr(axes, f"set_{axis}ticks")(range(len(values)), [_text(value) for value in values])
    for pane in (axes.xaxis, axes.yaxis, axes.zaxis):
        pane.set_pane_color((1.0, 1.0, 1.0, 0.0))
        pane._axinfo["grid"]["color"] = GRID
    axes.view_init(elev=32, azim=-58)
    axes.set_title(_title(result, metric, found.others), loc="left", fontsize=10, color=INK, fontweight="bold")
    _bar(figure, axes, drawn, name, result.bars.currency)
    return finish(figure)


def _numeric(values: list[Any]) -> bool:
    return all(isinstance(value, int | float) and not isinstance(value, bool) for value in values)


def _places(values: list[Any]) -> Floats:
    return np.array(values, np.float64) if _numeric(values) else np.arange(len(values), dtype=np.float64)
