"""The parts of a sweep's page: what the best means, how runs spread, a map for every pair of parameters, the best runs.

Contract: pure functions from a `SweepResult` to HTML, an empty text where there is nothing to say; `Swept` is what is
read of it. A map of more than two parameters shows the median over the others. Called by `research.report`.
"""

from __future__ import annotations

import math
from html import escape
from itertools import combinations
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from quantkit.backtest import metrics, shapes
from quantkit.backtest.tear_sections import pairs, section
from quantkit.backtest.wording import FIGURES, count, number, percent, show
from quantkit.errors import QuantkitError
from quantkit.research import overfit

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    import pandas as pd

    from quantkit.data.bars import Bars
    from quantkit.strategy import Strategy

Floats = NDArray[np.float64]

ROWS = 25  # of the best runs
MAPS = 10  # of pairs of parameters
AGREE = 10  # best runs whose neighbours are shown
MAP = 500.0  # width of one of several
CELLS = 40  # values of an axis before they are put into bins
FEW_TRADES = 30
COLUMNS = ("total_return", "cagr", "sharpe", "max_drawdown", "volatility", "trades", "win_rate", "turnover")


class Names(Protocol):
    """A space that was searched."""

    @property
    def names(self) -> Sequence[str]:
        """What varied."""


class Swept(Protocol):
    """What a page reads of a sweep: a `SweepResult`, or anything like it."""

    @property
    def frame(self) -> pd.DataFrame:
        """A row a run: parameters, figures, `status` ("done" or not), `error`."""

    @property
    def space(self) -> Names:
        """What was searched."""

    @property
    def metric(self) -> str:
        """Figure that the best is best by; with a "-" in front, less is better."""

    @property
    def strategy_class(self) -> type[Strategy]:
        """What was run."""

    @property
    def bars(self) -> Bars:
        """What it was run on."""

    @property
    def settings(self) -> Mapping[str, Any]:
        """start and end of the runs, among others."""

    def stability(self) -> pd.DataFrame:
        """How much the neighbours of each run agree, best run first."""


def metric_of(result: Swept) -> str:
    """Name of the figure that was chosen by."""
    return result.metric.removeprefix("-")


def done_of(result: Swept) -> pd.DataFrame:
    """The runs that gave a figure of the metric, best first."""
    frame, name = result.frame, metric_of(result)
    known = frame[(frame["status"] == "done") & frame[name].notna()]
    return known.sort_values(name, ascending=result.metric.startswith("-"), kind="stable")


def parameters(result: Swept) -> list[str]:
    """Names that were varied."""
    return list(result.space.names)


def figure(name: str) -> Callable[[float], str]:
    """How a figure is written."""
    return (lambda value: show(name, value)) if name in FIGURES else number


def _values(column: pd.Series[Any]) -> list[Any]:
    """Different values of a parameter: numbers in order, words as they came; None (pandas' NaN too) first."""
    found = list(dict.fromkeys(map(_known, column.tolist())))
    there = [value for value in found if value is not None]
    return [None] * (len(there) < len(found)) + (sorted(there) if _numeric(there) else there)


def _known(value: Any) -> Any:
    """None for what pandas calls missing: a parameter that was None."""
    return None if value is None or value != value else value


def _numeric(values: Sequence[object]) -> bool:
    return all(isinstance(value, int | float | np.number) and not isinstance(value, bool) for value in values)


def word(value: object) -> str:
    """A parameter's value in few letters."""
    known = _known(value)
    return "none" if known is None else f"{known:.4g}" if isinstance(known, float | np.floating) else str(known)


def told(values: Sequence[Any]) -> str:
    """What was tried of a parameter."""
    if len(values) > 3 and _numeric(values):
        return f"{word(min(values))} to {word(max(values))}, {len(values)} values"
    return ", ".join(map(word, values[:8])) + (f" and {len(values) - 8} more" if len(values) > 8 else "")


def header(result: Swept) -> str:
    """Strategy, runs, data, what was tried."""
    bars, frame = result.bars, result.frame
    first, last = bars.days[[0, -1]].astype("datetime64[D]")
    lines = [
        f"<b>{count(len(frame))}</b> runs",
        f"<b>{first}</b> to <b>{last}</b>",
        f"{count(len(bars.symbols))} {'name' if len(bars.symbols) == 1 else 'names'}",
        f"chosen by <b>{escape(_label(metric_of(result)))}</b>",
    ]
    chips = []
    for name in parameters(result):
        values = _values(frame[name])
        tried = told(values)
        chips.append(f"<li>{escape(name)} <b>{escape(tried)}</b></li>")
    return (
        f"<header><h1>{escape(result.strategy_class.__name__)}, sweep</h1>"
        f'<ul class="meta">{"".join(f"<li>{line}</li>" for line in lines)}</ul>'
        f'<ul class="chips">{"".join(chips)}</ul></header>'
    )


def _label(name: str) -> str:
    return FIGURES[name][0] if name in FIGURES else name


def _luck(result: Swept, done: pd.DataFrame) -> list[str]:
    """What the best of so many would be without any skill."""
    if "sharpe" not in done or len(done) < 2:
        return []
    root = math.sqrt(metrics.periods_per_year(result.bars.freq))
    ratios = done["sharpe"].dropna().to_numpy(dtype=np.float64) / root
    best = done.iloc[0]
    if len(ratios) < 2 or not float(ratios.var(ddof=1)) > 0.0 or not math.isfinite(best["sharpe"]):
        return []
    days = result.bars.window(result.settings.get("start"), result.settings.get("end")).days
    variance, sessions = float(ratios.var(ddof=1)), len(np.unique(days))
    try:
        lucky = overfit.expected_maximum_sharpe(len(ratios), variance) * root
        real = overfit.deflated_sharpe_ratio(float(best["sharpe"]) / root, sessions, 0.0, 3.0, len(ratios), variance)
    except QuantkitError:  # too short for the formulas
        return []
    without = (
        f"If no run had any skill and Sharpe ratios spread as here, the best of {count(len(ratios))} would still be "
        f"expected near {number(lucky)}; it has {number(float(best['sharpe']))}."
    )
    deflated = (
        f"The chance that its true Sharpe ratio is above 0, with so many trials: {percent(real)} (deflated Sharpe "
        "ratio, Bailey and López de Prado 2014; returns taken as normal, runs as independent of each other, which "
        "neighbours are not: then fewer count)."
    )
    return [without, deflated]


def meaning(result: Swept, chance: float | None = None) -> str:
    """What to know before using the best run. chance: the probability of overfitting, where it was asked for."""
    frame, done = result.frame, done_of(result)
    first = (
        f"The best of {count(len(frame))} runs is the best partly by luck; what it shows is not what it will earn. "
        "Walk forward, or keep a holdout, before believing it."
    )
    said = [first, *_luck(result, done)]
    if chance is not None:
        said.append(
            f"Probability of backtest overfitting: {percent(chance, digits=0)} (how often the run with the best "
            "Sharpe ratio in one half of the time is below the middle in the other half; Bailey and others 2017)."
        )
    if len(done):
        said += _doubts(done.iloc[0], {name: _values(frame[name]) for name in parameters(result)})
    failed = int((frame["status"] != "done").sum())
    if failed:
        said.append(f"{count(failed)} of {count(len(frame))} runs failed and have no figures; they are listed below.")
    items = "".join(f"<li>{escape(text)}</li>" for text in said)
    return f'<aside class="warn" role="note"><h2>What the best means</h2><ul>{items}</ul></aside>'


def _doubts(best: pd.Series[Any], tried: Mapping[str, list[Any]]) -> list[str]:
    """What speaks against the best run itself."""
    said = [
        f"{name} = {word(best[name])} is the edge of what was tried: the peak may lie outside."
        for name, values in tried.items()
        if _numeric(values) and len(values) > 2 and best[name] in (values[0], values[-1])
    ]
    if "trades" in best and best["trades"] < FEW_TRADES:
        said.append(f"The best run closed {count(best['trades'])} trades: fewer than {FEW_TRADES} say little.")
    return said


def cards(result: Swept) -> str:
    """The best, the middle, how many gained, how the best traded."""
    done, name = done_of(result), metric_of(result)
    if not len(done):
        return ""
    best, text, values = done.iloc[0], figure(name), done[name].to_numpy(dtype=np.float64)
    chosen = ", ".join(f"{one} {word(best[one])}" for one in parameters(result))
    shown = [
        (f"{_label(name)}, best", text(float(best[name])), chosen),
        (
            "Middle run",
            text(float(np.median(values))),
            f"from {text(float(values.min()))} to {text(float(values.max()))}",
        ),
    ]
    if "total_return" in done:
        gained = float((done["total_return"] > 0.0).mean())
        shown.append(("Runs that gained", percent(gained, digits=0), f"of {count(len(done))} with figures"))
    if "max_drawdown" in done:
        shown.append(("Deepest drawdown of the best", percent(float(best["max_drawdown"])),
                      f"growth {percent(float(best['cagr']))} a year" if "cagr" in done else ""))  # fmt: skip
    boxes = "".join(
        f'<div class="card"><div class="label">{escape(label)}</div><div class="value">{value}</div>'
        f'<div class="note">{escape(note)}</div></div>'
        for label, value, note in shown
    )
    return f'<div class="cards">{boxes}</div>'


def spread(result: Swept) -> str:
    """How the metric spreads over the runs, with the best."""
    name = metric_of(result)
    values = done_of(result)[name].to_numpy(dtype=np.float64)
    values = values[np.isfinite(values)]
    if len(values) < 10 or not float(np.ptp(values)) > 0.0:
        return ""
    counts, edges = np.histogram(values, int(np.clip(2.0 * math.sqrt(len(values)), 10, 50)))
    text, best = figure(name), float(values[0])
    mark = (best, f"best: {text(best)}")
    picture = shapes.histogram(edges, counts.astype(np.int64), text=text, mark=mark, title="Runs by metric")
    marks = np.quantile(values, [0.05, 0.25, 0.5, 0.75, 0.95])
    names = ("5% of the runs are below", "25%", "Half", "75%", "95%")
    rows = [(name, text(float(value))) for name, value in zip(names, marks, strict=True)]
    body = f'<div class="beside"><div class="plot">{picture}</div>{pairs(rows)}</div>'
    return section(f"{_label(name)} of all runs", body)


def _binned(column: pd.Series[Any], best: Any) -> tuple[NDArray[np.int64], list[str], int]:
    """Place of each run on an axis, the labels of its places, and the place of the best."""
    values = _values(column)
    if len(values) <= CELLS or not _numeric(values):
        place = {value: k for k, value in enumerate(values)}
        where = np.array([place[_known(value)] for value in column.tolist()], np.int64)
        return where, [word(value) for value in values], place.get(_known(best), 0)
    edges = np.linspace(float(values[0]), float(values[-1]), CELLS // 2 + 1)
    where = np.clip(np.searchsorted(edges, column.to_numpy(dtype=np.float64), side="right") - 1, 0, len(edges) - 2)
    middle = [f"{value:.3g}" for value in (edges[1:] + edges[:-1]) / 2.0]
    at = int(np.searchsorted(edges, float(best), side="right")) - 1
    return where, middle, min(max(at, 0), len(edges) - 2)


def _map(result: Swept, done: pd.DataFrame, x: str, y: str, width: float) -> str:
    """Median of the metric over two parameters, with its range above."""
    name, best = metric_of(result), done.iloc[0]
    across, xs, best_x = _binned(done[x], best[x])
    up, ys, best_y = _binned(done[y], best[y])
    middle = done.assign(_x=across, _y=up).groupby(["_y", "_x"], as_index=False)[name].median()
    values = np.full((len(ys), len(xs)), np.nan)
    values[middle["_y"].to_numpy(), middle["_x"].to_numpy()] = middle[name].to_numpy(dtype=np.float64)
    sign, text = -1.0 if result.metric.startswith("-") else 1.0, figure(name)
    picture = shapes.heat(
        sign * values, xs, ys, text=lambda value: text(sign * value), x_label=x, y_label=y, best=(best_y, best_x),
        width=width, title=f"{_label(name)} over {x} and {y}",
    )  # fmt: skip
    worst, top = (text(sign * float(value)) for value in (np.nanmin(sign * values), np.nanmax(sign * values)))
    return (
        f'<div class="plot"><p class="sub">{escape(x)}, {escape(y)}: {worst} (pale) to {top} (dark)</p>{picture}</div>'
    )


def maps(result: Swept) -> str:
    """A map for every pair of parameters; a line for a single one."""
    done = done_of(result)
    names = [name for name in parameters(result) if len(_values(done[name])) > 1]
    if not names or len(done) < 3:
        return ""
    label = _label(metric_of(result))
    if len(names) == 1:
        return _line(result, done, names[0])
    every = list(combinations(names, 2))
    width = shapes.WHOLE if len(every) == 1 else MAP
    pictures = "".join(_map(result, done, x, y, width) for x, y in every[:MAPS])
    notes = ["The darker the better; the framed cell holds the best run. Empty: not tried, or without a figure."]
    if len(names) > 2:
        notes.append("A cell is the median over the other parameters.")
    if len(every) > MAPS:
        notes.append(f"The first {MAPS} of {len(every)} pairs.")
    return section(f"{label} over each pair of parameters", f'<div class="maps">{pictures}</div>'
                   f'<p class="note">{" ".join(notes)}</p>')  # fmt: skip


def _line(result: Swept, done: pd.DataFrame, name: str) -> str:
    values = _values(done[name])
    metric = metric_of(result)
    middle, best = done.groupby(name)[metric].median(), done.iloc[0]
    label = f"{_label(metric)} over {name}"
    if not _numeric(values):
        rows = [(word(value), figure(metric)(float(middle[value]))) for value in values]
        return section(label, pairs(rows))
    x = np.array(values, np.float64)
    picture = shapes.curve(
        x, [(middle.loc[values].to_numpy(dtype=np.float64), "ours")], x_text=word, y_text=figure(metric),
        label=name, mark=(float(best[name]), f"best: {word(best[name])}"), title=label,
    )  # fmt: skip
    return section(label, f'<div class="plot">{picture}</div>')


def stability(result: Swept) -> str:
    """How much the neighbours of the best runs agree."""
    try:
        found = result.stability()
    except QuantkitError as error:
        return section("Stability", f'<p class="note">{escape(str(error))}</p>')
    if not len(found) or not len(done_of(result)):
        return ""
    note = "The best runs beside those one step away. A peak that falls off at the next value is luck; one that its "
    note += "neighbours share may not be."
    return section("Do neighbours agree?", f'{table(found.head(AGREE))}<p class="note">{note}</p>')


def _cell(name: str, value: object) -> str:
    if not isinstance(value, float | np.floating):
        return escape(word(value))
    known = float(value)
    return figure(name)(known) if name in FIGURES else number(known, digits=3 if abs(known) < 100.0 else 1)


def table(frame: pd.DataFrame) -> str:
    """A frame as a sortable table; figures are written as figures, and text stands left."""
    names = [str(name) for name in frame.columns]
    words = [not _numeric(frame[name].tolist()) for name in frame.columns]
    head = "".join(
        f"<th data-sort{' class=text' if text else ''}>{escape(_label(name))}</th>"
        for name, text in zip(names, words, strict=True)
    )
    whole = [not text and bool((frame[name].dropna() % 1 == 0).all()) for name, text in zip(names, words, strict=True)]
    rows = []
    for values in frame.itertuples(index=False):
        cells = []
        for name, value, text, counts in zip(names, values, words, whole, strict=True):
            order = "" if text or not math.isfinite(value) else f' data-value="{float(value):.10g}"'
            said = count(value) if counts and name not in FIGURES else _cell(name, value)
            cells.append(f"<td{' class=text' if text else order}>{said}</td>")
        rows.append(f"<tr>{''.join(cells)}</tr>")
    body = f"<table><thead><tr>{head}</tr></thead><tbody>{''.join(rows)}</tbody></table>"
    return f'<div class="scroll">{body}</div>'


def best_runs(result: Swept) -> str:
    """The best runs with their parameters and figures."""
    done = done_of(result)
    if not len(done):
        return section("Best runs", '<p class="note">No run has a figure of the metric.</p>')
    columns = list(dict.fromkeys([*parameters(result), metric_of(result), *COLUMNS]))
    shown = done[[name for name in columns if name in done]].head(ROWS)
    note = f"The best {len(shown)} of {count(len(done))} runs with figures. Click a column to sort. "
    note += "<code>sweep.backtest()</code> runs the best one whole."
    return section("Best runs", f'{table(shown)}<p class="note">{note}</p>', css="long")


def failures(result: Swept) -> str:
    """Runs that raised, with what they said."""
    frame = result.frame
    failed = frame[frame["status"] != "done"]
    if not len(failed):
        return ""
    shown = failed[[*parameters(result), "error"]].head(ROWS)
    rows = "".join(
        "<tr>" + "".join(f'<td class="text wrap">{escape(word(value))}</td>' for value in row) + "</tr>"
        for row in shown.itertuples(index=False)
    )
    head = "".join(f'<th class="text">{escape(str(name))}</th>' for name in shown.columns)
    note = f"The first {len(shown)} of {count(len(failed))}." if len(failed) > len(shown) else ""
    return section("Runs that failed", f'<div class="scroll"><table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody>'
                   f'</table></div><p class="note">{note}</p>')  # fmt: skip
