"""The drift report as a page, in the look of a result's.

Contract: pure; a report in, HTML out; every text from outside is escaped. A cost is red, what was saved is blue.
"""

from __future__ import annotations

import math
from html import escape
from typing import TYPE_CHECKING, Any

import numpy as np

from quantkit.backtest import shapes
from quantkit.backtest.report import page
from quantkit.backtest.tear_sections import section
from quantkit.backtest.wording import count, money, number, percent, price_text
from quantkit.live.drift import DAYS, DriftReport

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    import pandas as pd

__all__ = ["drift_page"]

ROWS = 300
CAUSES = 12
_WORDS = {
    "delay": "from the decision to sending it",
    "spread": "from the mid to the better side of the book",
    "impact": "beyond the better side of the book",
    "fees": "commission and tax",
    "unsplit": "price, no quote to split it by",
    "unfilled": "what did not fill, to the close",
}
_CAUSES = {
    "price": "fills at another price",
    "quantity": "shares that did not come, or too many",
    "cost": "commission, tax, interest",
    "timing": "fills on another bar",
    "decision": "another target or order on the same bars",
    "data": "bars that read differently",
    "gate": "orders that a gate denied",
    "rounding": "a share or a unit of money",
    "external": "what others did to the account",
    "unexplained": "no table accounts for it",
}


def drift_page(report: DriftReport) -> str:
    """The page as text."""
    parts = (_header(report), _alerts(report), _cards(report), _account(report), _shortfall(report),
             _days(report), _unfilled(report), _fills(report), _latency(report))  # fmt: skip
    return page(f"{report.account}, drift, {report.date}", parts, currency=report.currency)


def _bps(value: float) -> str:
    return f"{number(value, digits=1)} bp" if math.isfinite(value) else "–"


def _price(value: float) -> str:
    return price_text(value) if math.isfinite(value) else "–"


def _tone(cost: float) -> str:
    return "gain" if cost > 0.0 else "loss" if cost < 0.0 else ""


def _table(head: Sequence[str], rows: Iterable[Sequence[str]], *, text: int = 1) -> str:
    """A table; the first `text` columns are words. Cells are HTML already."""
    top = "".join(f"<th{' class=text' if k < text else ''}>{escape(name)}</th>" for k, name in enumerate(head))
    body = "".join(
        f"<tr>{''.join(f'<td{_class(k, text)}>{cell}</td>' for k, cell in enumerate(row))}</tr>" for row in rows
    )
    return f'<div class="scroll"><table><thead><tr>{top}</tr></thead><tbody>{body}</tbody></table></div>'


def _class(place: int, text: int) -> str:
    return " class=text" if place < text else ""


def _header(report: DriftReport) -> str:
    lines = (f"<b>{escape(report.date)}</b>", f"{count(len(report.fills))} fill{'' if len(report.fills) == 1 else 's'}",
             f"{count(report.filled)} of {count(report.ordered)} shares filled")  # fmt: skip
    said = "".join(f"<li>{line}</li>" for line in lines)
    lead = "What trading cost beside what the model says it costs, and where the account is not as expected."
    top = f'<h1>{escape(report.account)}: drift</h1><p class="lead">{lead}</p>'
    return f'<header>{top}<ul class="meta">{said}</ul></header>'


def _alerts(report: DriftReport) -> str:
    if not report.alerts:
        return ""
    said = "".join(f"<li>{escape(text)}</li>" for text in report.alerts)
    return f'<aside class="warn" role="note"><h2>Look at this</h2><ul>{said}</ul></aside>'


def _cards(report: DriftReport) -> str:
    low, high = report.band
    cost = float(report.fills["total"].sum())
    ratio, usual = (shares / report.ordered if report.ordered else math.nan
                    for shares in (report.filled, report.model_filled))  # fmt: skip
    more = report.equity[1] - report.equity[0]
    beside = f"{'+' if more > 0 else ''}{money(more, report.currency)} from expected"
    shown = (
        ("Median shortfall", _bps(report.median_bps), f"model's band {_bps(low)} to {_bps(high)}"),
        ("Cost of the fills", money(cost, report.currency), "against the prices decided on"),
        ("Filled", percent(ratio) if math.isfinite(ratio) else "–",
         f"model {percent(usual)}" if math.isfinite(usual) else "nothing ordered"),
        ("Equity", money(report.equity[1], report.currency), beside if math.isfinite(more) else "nothing expected"),
    )  # fmt: skip
    cards = "".join(
        f'<div class="card"><div class="label">{escape(label)}</div><div class="value">{escape(value)}</div>'
        f'<div class="note">{escape(note)}</div></div>' for label, value, note in shown
    )  # fmt: skip
    return f'<div class="cards">{cards}</div>'


def _bars(rows: Sequence[tuple[str, float]], currency: str) -> str:
    """Amounts as bars around zero."""
    low, high = min(0.0, *(amount for _, amount in rows)), max(0.0, *(amount for _, amount in rows))
    span = high - low or 1.0
    drawn = []
    for words, amount in rows:
        left, wide = 100.0 * (min(amount, 0.0) - low) / span, 100.0 * abs(amount) / span
        drawn.append(
            f'<tr><td class="text">{words}</td><td class="bar"><i class="{_tone(amount)}" style="margin-left:'
            f'{left:.1f}%;width:{wide:.1f}%"></i></td><td class="{_tone(amount)}">{money(amount, currency)}</td></tr>'
        )
    return f'<table class="bars"><tbody>{"".join(drawn)}</tbody></table>'


def _shortfall(report: DriftReport) -> str:
    rows = [
        (f"{name} <small>{_WORDS[name]}</small>", amount)
        for name, amount in report.parts.items()
        if amount or name not in ("unsplit", "unfilled")
    ]
    note = f"In all {money(sum(report.parts.values()), report.currency)}; a cost is positive."
    return section("Where it went", _bars(rows, report.currency) + f'<p class="note">{note}</p>')


def _days(report: DriftReport) -> str:
    """Medians against the band, day by day, once there are two."""
    known = [day for day in report.days if day["median"] is not None and math.isfinite(day["median"])][-60:]
    if len(known) < 2:
        return ""
    days = np.array([np.datetime64(day["date"], "D").astype(np.int64) for day in known])
    values = np.array([float(day["median"]) for day in known])
    picture = shapes.columns(days, values, text=lambda value: f"{value:.0f} bp", css="ours",
                             title="median shortfall by day")  # fmt: skip
    outside = 0
    for day in reversed(known):
        if not day["outside"]:
            break
        outside += 1
    said = f"Outside the model's band for {outside} of {DAYS} days that raise an alert." if outside else (
        "The last day is inside the model's band."
    )  # fmt: skip
    return section("Median shortfall, day by day", f'<div class="plot">{picture}</div><p class="note">{said}</p>')


def _fills(report: DriftReport) -> str:
    if not len(report.fills):
        return section("Fills", '<p class="note">None.</p>')
    head = ("Time", "Symbol", "Side", "Phase", "Shares", "Decided", "Arrival", "Model", "Real", "Delay", "Spread",
            "Impact", "Fees", "bp", "bp, model")  # fmt: skip
    rows = [_fill(row, report.currency) for row in report.fills.head(ROWS).to_dict("records")]
    more = len(report.fills) - ROWS
    note = f'<p class="note">{more:,} more in the JSON.</p>' if more > 0 else ""
    return section("Fills", _table(head, rows, text=4) + note)


def _fill(row: dict[Any, Any], currency: str) -> list[str]:
    digits = 0 if currency == "KRW" else 2
    parts = [f'<span class="{_tone(row[name])}">{number(row[name], digits=digits)}</span>' for name in
             ("delay", "spread", "impact", "fees")]  # fmt: skip
    prices = [_price(row[name]) for name in ("decision", "arrival", "model", "price")]
    return [_clock(row["time"]), escape(row["symbol"]), row["side"], _phase(row["phase"]).removesuffix(" auction"),
            count(row["quantity"]), *prices, *parts, number(row["bps"], digits=1),
            number(row["model_bps"], digits=1) if math.isfinite(row["model_bps"]) else "–"]  # fmt: skip


def _phase(name: str) -> str:
    return escape(name.replace("_", " "))


def _clock(time: int) -> str:
    """Seoul's time of day of UTC nanoseconds."""
    seconds = time // 1_000_000_000 + 9 * 3600
    return f"{seconds // 3600 % 24:02}:{seconds // 60 % 60:02}:{seconds % 60:02}"


def _unfilled(report: DriftReport) -> str:
    if not len(report.unfilled):
        return ""
    rows = [
        [escape(row["symbol"]), row["side"], escape(str(row["reason"] or "–")), count(row["quantity"]),
         count(row["left"]),
         f'<span class="{_tone(row["cost"])}">{money(row["cost"], report.currency)}</span>']
        for row in report.unfilled.head(ROWS).to_dict("records")
    ]  # fmt: skip
    head = ("Symbol", "Side", "Reason", "Ordered", "Left", "Cost to the close")
    return section("What did not fill", _table(head, rows, text=3))


def _latency(report: DriftReport) -> str:
    if not len(report.latency):
        return ""
    names = ("accepted_p50", "accepted_p95", "filled_p50", "filled_p95")
    several = bool((report.latency["gateway"] != "").any())
    rows = [
        [_phase(row["phase"]), *([escape(row["gateway"])] if several else ()), count(row["orders"]),
         *(_lasted(row[name]) for name in names)]
        for row in report.latency.to_dict("records")
    ]  # fmt: skip
    head = ("Phase", *(("Gateway",) if several else ()), "Orders", "Acknowledged p50", "p95", "First fill p50", "p95")
    return section("How long it took", _table(head, rows, text=1 + several))


def _lasted(ms: float) -> str:
    """Milliseconds; seconds and minutes where they are many."""
    if not math.isfinite(ms):
        return "–"
    if ms < 10_000.0:
        return f"{ms:,.0f} ms"
    return f"{ms / 1000.0:,.0f} s" if ms < 600_000.0 else f"{ms / 60_000.0:,.0f} min"


def _account(report: DriftReport) -> str:
    """Expected against real: equity with what lies between, and positions."""
    pieces = []
    expected, real = report.equity
    if math.isfinite(expected) and math.isfinite(real):
        pieces.append(_bridged(report, expected, real))
    if len(report.positions):
        pieces.append('<p class="sub">Positions that are not as expected</p>')
        pieces.append(_table(("Symbol", "Expected", "Real", "Difference"), _held(report.positions)))
    else:
        pieces.append('<p class="note">Every position is as expected.</p>')
    return section("Expected and real", "".join(pieces))


def _bridged(report: DriftReport, expected: float, real: float) -> str:
    """From expected to real equity, cause by cause; the parts sum to the difference."""
    currency = report.currency

    def signed(amount: float) -> str:
        tone = "loss" if amount > 0 else "gain" if amount < 0 else ""  # blue: more than expected
        return f'<span class="{tone}">{"+" if amount > 0 else ""}{money(amount, currency)}</span>'

    if not report.bridge:
        return _table(("", "Equity"), [
            ["Expected <small>the backtest of the same days</small>", money(expected, currency)],
            ["<b>Real</b>", f"<b>{money(real, currency)}</b>"],
        ]) + '<p class="note">As expected, to the last unit of money.</p>'  # fmt: skip
    rows = [["Expected equity <small>the backtest of the same days</small>", "", money(expected, currency)]]
    rows += [
        [f"{escape(cause)} <small>{escape(_CAUSES.get(cause, ''))}</small>", signed(today), signed(since)]
        for cause, today, since in report.bridge
    ]
    total = sum(today for _, today, _ in report.bridge)
    rows.append(["<b>Real equity</b>", signed(total), f"<b>{money(real, currency)}</b>"])
    note = ""
    causes = [
        [escape(str(row["time"])), escape(row["cause"]), escape(row["symbol"]), escape(row["detail"]),
         signed(row["amount"])]
        for row in sorted(report.ledger, key=lambda row: -abs(row["amount"]))[:CAUSES]
    ]  # fmt: skip
    if causes:
        more = len(report.ledger) - len(causes)
        note += '<p class="sub">First causes, the largest first</p>'
        note += _table(("Since", "Cause", "Symbol", "What happened", "Equity"), causes, text=4)
        note += f'<p class="note">{more:,} more in the JSON.</p>' if more > 0 else ""
    return _table(("", "Today", "Since the start"), rows) + note


def _held(positions: pd.DataFrame) -> list[list[str]]:
    return [
        [escape(row["symbol"]), count(row["expected"]), count(row["real"]), f"{row['real'] - row['expected']:+,}"]
        for row in positions.to_dict("records")
    ]
