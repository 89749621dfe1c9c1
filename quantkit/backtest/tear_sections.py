"""The tear sheet's parts of a report page: rolling Sharpe, drawdowns, returns, turnover, where the money went,
regression, capacity.

Contract: as `sections`: pure functions from a result to HTML, an empty text where there is nothing to say. Numbers come
from `tearsheet`, `regression` and `capacity`.
"""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

import numpy as np

from quantkit.backtest import shapes, tearsheet
from quantkit.backtest.capacity import half_capital
from quantkit.backtest.charts import Line, chart
from quantkit.backtest.figures import session_ends
from quantkit.backtest.wording import count, money, number, percent, short_money
from quantkit.errors import BadData

if TYPE_CHECKING:
    from collections.abc import Callable

    from quantkit.backtest.regression import Regression
    from quantkit.backtest.result import Result

WORST = 10
STRONG = 2.0  # a t-value that a reader may take notice of


def section(title: str, body: str, *, extra: str = "", css: str = "") -> str:
    """A box with a heading."""
    kind = f' class="{css}"' if css else ""
    return f"<section{kind}>{extra}<h2>{escape(title)}</h2>{body}</section>"


def pairs(rows: list[tuple[str, str]]) -> str:
    """Names and figures in one column."""
    lines = "".join(f"<div><dt>{escape(name)}</dt><dd>{value}</dd></div>" for name, value in rows)
    return f'<div class="pairs one"><dl>{lines}</dl></div>'


def fraction(low: float, high: float) -> Callable[[float], str]:
    """Percent with the digits that tell ticks of such a range apart."""
    return lambda value: percent(value, digits=1 if high - low < 0.05 else 0)


def rolling(result: Result) -> str:
    """Sharpe ratio of the sessions up to each."""
    returns = result.session_returns
    window = tearsheet.rolling_window(len(returns))
    if window is None:
        return ""
    free = result.risk_free / result.periods
    _, _, ratio = tearsheet.rolling(returns, window, periods=result.periods, risk_free=free)
    days = result.bars.days[session_ends(result.bars.days)]
    known = np.flatnonzero(np.isfinite(ratio))
    if len(known) < 2:
        return ""
    whole = np.full(len(known), result.figures["sharpe"])
    lines = [Line(whole, "paid", "whole run"), Line(ratio[known], "ours", f"{window} sessions")]
    picture = chart(days[known], lines, height=170, form="number", title="Rolling Sharpe ratio")
    below = float((ratio[known] < 0.0).mean())
    note = f"Of the {window} sessions up to each day, a year's. Below 0 in {percent(below, digits=0)} of the days. "
    note += f"The dashed line is the whole run's, {number(result.figures['sharpe'])}."
    return section("Rolling Sharpe ratio", f'<div class="plot">{picture}</div><p class="note">{note}</p>')


def drawdowns(result: Result) -> str:
    """The worst stretches below a peak."""
    episodes, days = result.episodes, result.bars.days
    rows = []
    for k in episodes.worst(WORST):
        peak, trough, recovered = int(episodes.peak[k]), int(episodes.trough[k]), int(episodes.recovered[k])
        dates = [str(days[row].astype("datetime64[D]")) for row in (peak, trough)]
        back = str(days[recovered].astype("datetime64[D]")) if recovered >= 0 else "not yet"
        up = count(float(days[recovered] - days[trough])) if recovered >= 0 else "–"
        rows.append(
            f'<tr><td class="text loss">{percent(float(episodes.depth[k]))}</td><td>{dates[0]}</td><td>{dates[1]}</td>'
            f"<td>{back}</td><td>{count(float(days[episodes.last[k]] - days[peak]))}</td>"
            f"<td>{count(float(days[trough] - days[peak]))}</td><td>{up}</td></tr>"
        )
    if not rows:
        return section("Worst drawdowns", '<p class="note">The account never fell below an earlier peak.</p>')
    head = "".join(
        f"<th{' class=text' if not k else ''}>{name}</th>"
        for k, name in enumerate(("Depth", "Peak", "Lowest", "Recovered", "Days", "Down", "Up again"))
    )
    many = f"The {WORST} deepest of {len(episodes):,}. " if len(episodes) > WORST else ""
    note = f'<p class="note">{many}Calendar days, from the peak to the recovery or to the end of the run.</p>'
    body = f'<div class="scroll"><table><thead><tr>{head}</tr></thead><tbody>{"".join(rows)}</tbody></table></div>'
    return section("Worst drawdowns", body + note)


def distribution(result: Result) -> str:
    """Returns of the sessions beside a normal distribution, with moments and tails."""
    bins = tearsheet.histogram(result.session_returns)
    if bins is None:
        return ""
    said = result.distribution
    text = fraction(float(bins.edges[0]), float(bins.edges[-1]))
    picture = shapes.histogram(
        bins.edges, bins.counts, text=text, curve=bins.normal, mark=(said.var, f"5% worst: {percent(said.var)}"),
        title="Returns of the sessions",
    )  # fmt: skip
    rows = [
        ("Mean", percent(said.mean, digits=3)),
        ("Deviation", percent(said.deviation, digits=2)),
        ("Skew", number(said.skew)),
        ("Kurtosis (normal: 3)", number(said.kurtosis)),
        ("5% worst sessions begin at", percent(said.var, digits=2)),
        ("their mean (expected shortfall)", percent(said.shortfall, digits=2)),
        ("Beyond 3 deviations (normal: 0.27%)", percent(said.beyond, digits=2)),
        ("Sessions above 0", percent(said.positive)),
    ]
    notes = ["The line is the normal distribution of the same mean and deviation."]
    if bins.left_out:
        notes.append(f"{count(bins.left_out)} sessions that returned exactly 0 are not drawn; the figures count them.")
    if bins.clipped:
        notes.append(f"{count(bins.clipped)} beyond five deviations stand in the outermost bars.")
    body = f'<div class="beside"><div class="plot">{picture}</div>{pairs(rows)}</div>'
    return section("Returns of the sessions", f'{body}<p class="note">{" ".join(notes)}</p>')


def turnover(result: Result) -> str:
    """Turnover of each month."""
    first, turned = tearsheet.monthly_turnover(result)
    if not turned.any():
        return ""
    days = result.bars.days[first]
    text = fraction(0.0, float(turned.max()))
    picture = shapes.columns(days, turned, text=text, title="Turnover by month")
    year = percent(result.figures["turnover"], digits=0)
    note = f"Half of what was bought and sold, over the equity; {year} a year. 100% turns the account over once."
    return section("Turnover by month", f'<div class="plot">{picture}</div><p class="note">{note}</p>')


def waterfall(result: Result) -> str:
    """From what prices brought to what was left."""
    steps, currency = tearsheet.waterfall(result), result.bars.currency
    inner = np.cumsum([amount for _, amount in steps[:-1]])
    low, high = min(0.0, float(inner.min())), max(0.0, float(inner.max()))
    span = high - low
    if not span > 0.0:
        return section("Where the money went", '<p class="note">No gain, no loss, no costs.</p>')
    rows, level = [], 0.0
    for k, (name, amount) in enumerate(steps):
        ends = k in (0, len(steps) - 1)
        start = 0.0 if ends else level
        level = start + amount
        left = 100.0 * (min(start, level) - low) / span
        wide = 100.0 * abs(amount) / span
        css = "whole" if ends else "gain" if amount > 0.0 else "loss"
        tone = "gain" if amount > 0.0 else "loss" if amount < 0.0 else ""
        rows.append(
            f'<tr><td class="text">{escape(name)}</td><td class="bar"><i class="{css}" style="margin-left:{left:.1f}%;'
            f'width:{wide:.1f}%"></i></td><td class="{tone}">{money(amount, currency)}</td></tr>'
        )
    fills = result.run.fills
    traded = float((fills["price"] * fills["quantity"]).sum())
    stats = result.figures
    total = stats["commission"] + stats["tax"] + stats["slippage"]
    said = f"Commission, tax and slippage: {money(total, currency)}"
    if traded > 0.0:
        said += f", {percent(total / traded, digits=3)} of the {money(traded, currency)} traded"
    return section("Where the money went", f'<table class="bars"><tbody>{"".join(rows)}</tbody></table>'
                   f'<p class="note">{said}. Slippage is inside the prices of the fills.</p>')  # fmt: skip


def _coefficients(fitted: Regression) -> str:
    rows = []
    for k, (name, value, error, t) in enumerate(
        zip(fitted.names, fitted.coefficients, fitted.deviations, fitted.t, strict=True)
    ):
        shown = percent(fitted.alpha) if not k else number(float(value), digits=3)
        spread = percent(float(error) * fitted.periods) if not k else number(float(error), digits=3)
        label = "alpha, a year" if not k else escape(name)
        strong = f"<b>{number(float(t))}</b>" if abs(t) >= STRONG else number(float(t))
        rows.append(f'<tr><td class="text">{label}</td><td>{shown}</td><td>{spread}</td><td>{strong}</td></tr>')
    head = '<th class="text"></th><th>Estimate</th><th>Error</th><th>t</th>'
    note = (
        f"R² {number(fitted.r2, digits=3)}, adjusted {number(fitted.adjusted, digits=3)}; "
        f"{count(fitted.observations)} sessions; errors: {fitted.method}."
    )
    table = f'<div class="scroll"><table><thead><tr>{head}</tr></thead><tbody>{"".join(rows)}</tbody></table></div>'
    return f'<div>{table}<p class="note">{note} A t-value beyond 2 is bold.</p></div>'


def regression(result: Result) -> str:
    """Returns explained by the benchmark's."""
    if result.comparison is None or not np.ptp(result.session_returns) > 0.0:
        return ""
    try:
        fitted = result.regression()
    except BadData as error:
        text = escape(str(error))
        return section("Against the benchmark", f'<p class="note">No regression on the benchmark: {text}.</p>')
    x, y = fitted.factors[:, 0], fitted.returns
    picture = shapes.scatter(
        x, y, x_text=fraction(float(x.min()), float(x.max())), y_text=fraction(float(y.min()), float(y.max())),
        label=f"{fitted.names[1]}, return of a session", title="Returns against the benchmark's",
        line=(float(fitted.coefficients[0]), float(fitted.coefficients[1])),
    )  # fmt: skip
    body = f'<div class="beside"><div class="plot">{picture}</div>{_coefficients(fitted)}</div>'
    return section(f"Regression on {fitted.names[1]}", body)


def factors(fitted: Regression) -> str:
    """A regression on factor returns."""
    return section("Regression on factors", _coefficients(fitted))


def capacity(result: Result) -> str:
    """Growth against capital, where it was computed."""
    table, currency = result.capacities, result.bars.currency
    if table is None:
        return ""
    capital, growth = np.asarray(table.index, np.float64), table["cagr"].to_numpy(dtype=np.float64)
    half = half_capital(table)
    mark = (half, f"half is left at {short_money(float(f'{half:.2g}'), currency)}") if np.isfinite(half) else None
    picture = shapes.curve(
        capital, [(growth, "ours")], x_text=lambda value: short_money(float(f"{value:.3g}"), currency),
        y_text=fraction(float(growth.min()), float(growth.max())), log_x=len(capital) > 1, label="capital", mark=mark,
        title="Growth a year against capital",
    )  # fmt: skip
    rows = "".join(
        f'<tr><td class="text">{money(value, currency)}</td><td>{percent(row["cagr"])}</td>'
        f"<td>{number(row['sharpe'])}</td><td>{percent(row['max_drawdown'])}</td>"
        f"<td>{percent(row['cost_of_traded'], digits=3)}</td><td>{percent(row['filled'])}</td></tr>"
        for value, row in zip(capital.tolist(), table.to_dict("records"), strict=True)
    )
    head = '<th class="text">Capital</th><th>Growth a year</th><th>Sharpe</th><th>Deepest drawdown</th>'
    head += "<th>Costs of what was traded</th><th>Shares filled of asked</th>"
    impact, part = table.attrs["impact"], table.attrs["participation"]
    note = (
        f"Each row is a run of its own. An order moves its price by {impact:.3g} x the square root of its part of the "
        f"bar's volume, to the next tick against it, and fills take at most {percent(part, digits=0)} of that; the "
        f"rest is asked for again. The run of this page, without that, grew {percent(result.figures['cagr'])} a year."
    )
    listed = f'<div class="scroll"><table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table></div>'
    return section("Capacity", f'<div class="plot">{picture}</div>{listed}<p class="note">{note}</p>')
