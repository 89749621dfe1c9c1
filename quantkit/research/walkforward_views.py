"""A walk-forward as text and as a picture; its page is made in `report`.

Contract: pictures on the Agg canvas in the look of `backtest.canvas`. Nothing here computes a figure.
"""

from __future__ import annotations

import math
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from quantkit.backtest.canvas import GRID, INK, LINE, LOSS, MUTED, OTHER, blank, dates_on, dress, finish, legend
from quantkit.backtest.wording import percent

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from quantkit.research.walkforward_result import WalkForwardResult

__all__ = ["cautions", "draw", "summary_text"]

MOST_PARAMETERS = 6  # that get a panel of their own


def draw(found: WalkForwardResult) -> Figure:
    """Equity, one panel a parameter, and the metric in and out of sample."""
    names = found.candidates.names[:MOST_PARAMETERS]
    heights = [3.2, *[1.0] * len(names), 1.6]
    figure = blank(11.0, 1.4 + 1.15 * sum(heights))
    panels = list(figure.subplots(len(heights), 1, squeeze=False, height_ratios=heights)[:, 0])
    _equity(panels[0], found)
    for axes, name in zip(panels[1:-1], names, strict=True):
        _parameter(axes, found, name)
    _scores(panels[-1], found)
    for axes in panels[1:-1]:
        axes.sharex(panels[0])
    for axes in panels[:-1]:
        dates_on(axes)
    stats, (first, last) = found.result.figures, found.result.span
    settings = found.settings
    kind = "anchored" if settings["anchored"] else "rolling"
    return finish(
        figure,
        f"{found.strategy_class.__name__}, walk-forward   {first} to {last}   {percent(stats['total_return'])}\n"
        f"{kind}: {_length(settings['train'])} in sample, {_length(settings['test'])} out of sample, chosen by "
        f"{found.metric}",
    )


def _length(length: object) -> str:
    return f"{length} bars" if isinstance(length, int) else str(length)


def _edges(found: WalkForwardResult) -> list[Any]:
    """Times of the windows' first bars, and of the last bar."""
    times = found.bars.index.tz_localize(None).to_numpy()
    return [*(times[window.test] for window in found.places), times[found.places[-1].stop - 1]]


def _equity(axes: Axes, found: WalkForwardResult) -> None:
    from quantkit.backtest.plots import equity_panel, stamps

    edges = _edges(found)
    for number, (begin, end) in enumerate(pairwise(edges)):
        if number % 2:
            axes.axvspan(begin, end, color=GRID, alpha=0.45, linewidth=0.0, zorder=0)
    equity_panel(axes, found.result, stamps(found.result))
    axes.margins(x=0.01)
    dress(axes, "Equity of one account, out of sample; shading: every other window")


def _parameter(axes: Axes, found: WalkForwardResult, name: str) -> None:
    """The chosen value over time, on the range that was tried."""
    edges = _edges(found)
    chosen = [choice.parameters[name] for choice in found.choices]
    tried = list({repr(one[name]): one[name] for one in found.candidates.sets}.values())
    if all(isinstance(value, int | float) and not isinstance(value, bool) for value in tried):
        places, low, high = [float(value) for value in chosen], float(min(tried)), float(max(tried))
        axes.set_ylim(low - 0.08 * (high - low or 1.0), high + 0.08 * (high - low or 1.0))
    else:
        places = [float(tried.index(value)) for value in chosen]
        axes.set_yticks(range(len(tried)), [str(value) for value in tried])
        axes.set_ylim(-0.5, len(tried) - 0.5)
    axes.step(edges, [*places, places[-1]], where="post", color=LINE, linewidth=1.6)
    unsure = [k for k, choice in enumerate(found.choices) if math.isnan(choice.score)]
    if unsure:
        axes.scatter([edges[k] for k in unsure], [places[k] for k in unsure], marker="x", color=LOSS, zorder=3,
                     label="no in-sample figure: the value before is kept")  # fmt: skip
        legend(axes)
    dress(axes, f"{name} chosen")


def _scores(axes: Axes, found: WalkForwardResult) -> None:
    """The metric of every window in sample (also the middle set's) and out of it."""
    from matplotlib.ticker import FuncFormatter

    table = found.windows
    at = np.arange(len(table))
    for offset, name, label, color in (
        (-0.27, "median_in_sample", "in sample, middle set", GRID),
        (0.0, "in_sample", "in sample, chosen", OTHER),
        (0.27, "out_of_sample", "out of sample", LINE),
    ):
        values = table[name].to_numpy(np.float64)
        axes.bar(at + offset, np.nan_to_num(values), width=0.25, color=color, label=label)
    for place in np.flatnonzero(table["mark"].str.contains("no trades").to_numpy()):
        axes.text(place + 0.27, 0.0, "no trades", rotation=90, ha="center", va="bottom", fontsize=8, color=MUTED)
    axes.axhline(0.0, color=INK, linewidth=0.8)
    step = max(1, math.ceil(len(table) / 14))
    labels = [f"{start:%Y-%m}" for start in table["test_start"]]
    axes.set_xticks(at[::step], labels[::step])
    if found.metric in ("total_return", "cagr", "max_drawdown", "volatility"):
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: percent(value, digits=0)))
    dress(axes, f"{found.metric} of each window, by its first month")
    legend(axes)


def summary_text(found: WalkForwardResult) -> str:
    """The account's figures, the windows, and how stable the parameters were."""
    stats, table, stability = found.result.figures, found.windows, found.stability()
    columns = ["test_start", "test_end", *found.candidates.names, "in_sample", "out_of_sample", "total_return", "fills"]
    shown = table[[*columns, "mark"]].copy()
    for name in ("test_start", "test_end"):
        shown[name] = shown[name].dt.strftime("%Y-%m-%d")
    lines = [
        repr(found)[1:-1],
        f"max drawdown {stats['max_drawdown']:.1%}, trades {stats['trades']:.0f}, {found.metric} out of sample is "
        f"{found.efficiency:.0%} of in sample" if not math.isnan(found.efficiency)
        else f"max drawdown {stats['max_drawdown']:.1%}, trades {stats['trades']:.0f}",
        "", shown.to_string(index=False, float_format=lambda value: f"{value:.3g}"),
        "", stability[["values", "tried", "most_common", "share", "step"]].to_string(
            float_format=lambda value: f"{value:.2f}"),
    ]  # fmt: skip
    return "\n".join([*lines, *(f"! {text}" for text in cautions(found))])


def cautions(found: WalkForwardResult) -> list[str]:
    """What to know before believing the curve."""
    table, said = found.windows, []
    mute = int(table["mark"].str.contains("no trades").sum())
    if mute:
        said.append(
            f"{mute} of {len(table)} windows have no trade at all; their equity is flat because nothing happened."
        )
    unsure = int(table["mark"].str.contains("no in-sample figure").sum())
    if unsure:
        said.append(f"In {unsure} windows no parameter set had a {found.metric}; the parameters before were kept.")
    failed = int(table["failed"].sum())
    if failed:
        error = table["error"][table["failed"] > 0].iloc[0]
        said.append(f"{failed} of {int(table['sets'].sum())} in-sample runs raised; the first: {error}.")
    if len(table) < 4:
        said.append(f"{len(table)} windows are few: one lucky year decides.")
    moved = found.stability()["step"].to_numpy(np.float64)
    if np.nanmax(moved, initial=-1.0) > 0.3:
        said.append("A parameter moves between windows as if it were drawn at random: the optimum is noise.")
    return said
