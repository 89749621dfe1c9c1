"""The parts of a walk-forward's page that a result's page does not have: windows, parameters over time, in against out
of sample.

Contract: pure functions from a `WalkForwardResult` to HTML, an empty text where there is nothing to say. The account's
own sections are those of `backtest.sections` and `backtest.tear_sections`. Called by `research.report`.
"""

from __future__ import annotations

import math
from html import escape
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from quantkit.backtest import shapes
from quantkit.backtest.charts import Line, chart
from quantkit.backtest.plots import wide_range
from quantkit.backtest.tear_sections import pairs, section
from quantkit.backtest.wording import FIGURES, count, money, number, percent
from quantkit.research.sweep_sections import figure, told, word

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import pandas as pd

    from quantkit.backtest.result import Result
    from quantkit.strategy import Strategy

Floats = NDArray[np.float64]

MOST = 8  # parameters that get a picture


class Sets(Protocol):
    """Parameter sets that a window chose among."""

    @property
    def names(self) -> tuple[str, ...]:
        """What varied."""

    @property
    def sets(self) -> Sequence[Mapping[str, Any]]:
        """Every set."""

    def __len__(self) -> int: ...


class Walked(Protocol):
    """What a page reads of a walk-forward: a `WalkForwardResult`, or anything like it."""

    @property
    def result(self) -> Result:
        """The one account over all windows."""

    @property
    def windows(self) -> pd.DataFrame:
        """A row a window: train_start, train_end, test_start, test_end, a column a parameter, in_sample, out_of_sample,
        total_return, max_drawdown, fills, mark."""

    @property
    def settings(self) -> Mapping[str, Any]:
        """train, test, anchored."""

    @property
    def candidates(self) -> Sets:
        """What was chosen among."""

    @property
    def metric(self) -> str:
        """Figure that was chosen by."""

    @property
    def strategy_class(self) -> type[Strategy]:
        """What was walked."""

    @property
    def efficiency(self) -> float:
        """Mean metric out of sample over that in sample."""

    @property
    def beaten(self) -> float:
        """Part of the windows at least as good as the middle set in sample."""

    def stability(self) -> pd.DataFrame:
        """A row a parameter: values, tried, most_common, share, changes, step."""


def _label(name: str) -> str:
    return FIGURES[name][0] if name in FIGURES else name


def _length(length: object) -> str:
    return f"{length} bars" if isinstance(length, int) else str(length)


def header(found: Walked) -> str:
    """Strategy, windows, what they chose by."""
    result, settings = found.result, found.settings
    first, last = result.span
    kind = "from the first bar on" if settings["anchored"] else "moving along"
    training = f"trained on {_length(settings['train'])} ({kind}), traded for {_length(settings['test'])}"
    lines = [
        f"<b>{first}</b> to <b>{last}</b>, all of it out of sample",
        f"<b>{len(found.windows)}</b> windows: {training}",
        f"chosen by <b>{escape(_label(found.metric))}</b> among {count(len(found.candidates))}",
        f"{money(result.run.initial_cash / result.bars.minor_unit, result.bars.currency)} at the start",
    ]
    chips = []
    for name in found.candidates.names:
        tried = list({repr(one[name]): one[name] for one in found.candidates.sets}.values())
        chips.append(f"<li>{escape(name)} <b>{escape(told(tried))}</b></li>")
    return (
        f"<header><h1>{escape(found.strategy_class.__name__)}, walk-forward</h1>"
        f'<ul class="meta">{"".join(f"<li>{line}</li>" for line in lines)}</ul>'
        f'<ul class="chips">{"".join(chips)}</ul></header>'
    )


def _numbers(values: list[Any]) -> bool:
    return all(isinstance(value, int | float | np.number) and not isinstance(value, bool) for value in values)


def warnings(found: Walked, said: list[str]) -> str:
    """What to know before believing the curve: the walk's own cautions, then the account's."""
    every = [*said, *found.result.warnings]
    items = "".join(f"<li>{escape(text)}</li>" for text in every)
    return f'<aside class="warn" role="note"><h2>Before you believe this</h2><ul>{items}</ul></aside>' if every else ""


def equity(found: Walked) -> str:
    """The one account over all windows, with their edges."""
    result, bars = found.result, found.result.bars
    unit, lines = bars.minor_unit, []
    if result.comparison is not None:
        other = result.comparison.account(result.run.initial_cash / unit, result.run.deposits / unit)
        lines.append(Line(other, "other", result.comparison.name))
    lines.append(Line(result.run.equity / unit, "ours", result.name))
    begins = np.searchsorted(bars.index, found.windows["test_start"]).tolist()[1:]
    log = wide_range(*(line.values for line in lines))
    drop = Line(np.asarray(result.drawdown, np.float64), "drop", "drawdown", area=True)
    body = (
        chart(bars.days, lines, height=320, form="money", currency=bars.currency, log=log, title="Equity", edges=begins)
        + f'<p class="sub">Under water, deepest {percent(result.figures["max_drawdown"])}</p>'
        + chart(bars.days, [drop], height=120, form="percent", ceiling=0.0, title="Drawdown", edges=begins)
    )
    marks = "".join(
        f'<span><i style="color:var(--{line.css})"></i>{escape(line.label)}</span>' for line in reversed(lines)
    )
    note = "One account, out of sample throughout; a dashed line is where the next window's parameters take over."
    return section("Equity" if not log else "Equity, logarithmic", f'<div class="plot">{body}</div>'
                   f'<p class="note">{note}</p>', extra=f'<div class="legend">{marks}</div>')  # fmt: skip


def promised(found: Walked) -> str:
    """What parameters made in sample against what they made out of it."""
    table = found.windows
    inside, outside = (table[name].to_numpy(dtype=np.float64) for name in ("in_sample", "out_of_sample"))
    known = np.isfinite(inside) & np.isfinite(outside)
    if int(known.sum()) < 2:
        return ""
    text = figure(found.metric)
    words = [
        f"{start:%Y-%m}: {text(float(a))} in sample, {text(float(b))} out"
        for start, a, b, there in zip(table["test_start"], inside, outside, known, strict=True)
        if there
    ]
    picture = shapes.scatter(
        inside[known], outside[known], x_text=text, y_text=text, label="in sample, the chosen parameters",
        line=(0.0, 1.0), said=words, title="In sample against out of sample",
    )  # fmt: skip
    level = float(np.corrcoef(inside[known], outside[known])[0, 1]) if known.sum() > 2 else math.nan
    rows = [
        ("Mean in sample", text(float(inside[known].mean()))),
        ("Mean out of sample", text(float(outside[known].mean()))),
        ("Kept (out over in)", percent(found.efficiency, digits=0)),
        ("Windows at least as good as the middle set in sample", percent(found.beaten, digits=0)),
        ("Correlation of in and out", number(level)),
        ("Windows above 0", percent(float((outside[known] > 0.0).mean()), digits=0)),
    ]
    body = f'<div class="beside"><div class="plot">{picture}</div>{pairs(rows)}</div>'
    note = "Each point is a window. On the line the promise was kept; below it, it was not."
    return section(f"{_label(found.metric)}: promised and kept", f'{body}<p class="note">{note}</p>')


def chosen(found: Walked) -> str:
    """Each parameter over time, and how much it moved."""
    table, names = found.windows, found.candidates.names
    if not names:
        return ""
    days = table["test_start"].dt.tz_localize(None).to_numpy().astype("datetime64[D]").astype(np.int64)
    parts = []
    for name in names[:MOST]:
        tried = list({repr(one[name]): one[name] for one in found.candidates.sets}.values())
        if len(tried) < 2:
            continue
        parts.append(f'<p class="sub">{escape(name)}</p>{_steps(name, table[name].tolist(), tried, days)}')
    moved = found.stability().reset_index()
    rows = "".join(
        f'<tr><td class="text">{escape(str(row["parameter"]))}</td><td>{escape(word(row["most_common"]))}</td>'
        f"<td>{percent(row['share'], digits=0)}</td><td>{count(row['values'])} of {count(row['tried'])}</td>"
        f"<td>{percent(row['changes'], digits=0)}</td><td>{number(row['step'])}</td></tr>"
        for row in moved.to_dict("records")
    )
    head = '<th class="text">Parameter</th><th>Most often</th><th>In so many windows</th><th>Values chosen</th>'
    head += "<th>Changed at an edge</th><th>Mean step over the range</th>"
    listed = f'<div class="scroll"><table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table></div>'
    note = "The axes span what was tried. A mean step of about 1/3 is what values drawn at random would show."
    return section(
        "Parameters over time", f'<div class="plot">{"".join(parts)}</div>{listed}<p class="note">{note}</p>'
    )


def _steps(name: str, values: list[Any], tried: list[Any], days: NDArray[np.int64]) -> str:
    if _numbers(tried):
        low, high = float(min(tried)), float(max(tried))
        places = np.array([float(value) for value in values])
        return shapes.steps(days, places, text=word, ticks=[low, (low + high) / 2.0, high], title=name)
    ticks = [float(k) for k in range(len(tried))]
    places = np.array([float(tried.index(value)) for value in values])
    return shapes.steps(days, places, text=lambda k: word(tried[int(k)]), ticks=ticks, title=name)


def windows(found: Walked) -> str:
    """What each window chose, and how it did."""
    names, text = found.candidates.names, figure(found.metric)
    head = ["Trained", "Traded", *names, f"{_label(found.metric)} in sample", "Out of sample", "Return",
            "Deepest drawdown", "Fills", ""]  # fmt: skip
    rows = []
    for row in found.windows.to_dict("records"):
        cells = [
            f"{row['train_start']:%Y-%m-%d} to {row['train_end']:%Y-%m-%d}",
            f"{row['test_start']:%Y-%m-%d} to {row['test_end']:%Y-%m-%d}",
            *(word(row[name]) for name in names),
            text(float(row["in_sample"])), text(float(row["out_of_sample"])), percent(row["total_return"]),
            percent(row["max_drawdown"]), count(row["fills"]), str(row["mark"]),
        ]  # fmt: skip
        tone = "gain" if row["total_return"] > 0.0 else "loss" if row["total_return"] < 0.0 else ""
        at = len(names) + 4
        rows.append("<tr>" + "".join(
            f'<td class="{"text" if k < 2 else tone if k == at else ""}">{escape(cell)}</td>'
            for k, cell in enumerate(cells)) + "</tr>")  # fmt: skip
    titles = "".join(f"<th{' class=text' if k < 2 else ''}>{escape(name)}</th>" for k, name in enumerate(head))
    body = f"<table><thead><tr>{titles}</tr></thead><tbody>{''.join(rows)}</tbody></table>"
    return section("What each window chose", f'<div class="scroll">{body}</div>', css="long")
