"""The parts of a report page, each a function from a result to HTML; an empty text where there is nothing to say.

Contract: pure; every text that comes from outside is escaped. Called by `report` in the order of the page.
"""

from __future__ import annotations

import json
import re
from html import escape
from typing import TYPE_CHECKING

import numpy as np

from quantkit.backtest.cautions import REASON_WORDS, unfilled
from quantkit.backtest.charts import Line, Marks, chart
from quantkit.backtest.plots import price_column, rebased, wide_range
from quantkit.backtest.tear_sections import section, waterfall
from quantkit.backtest.wording import FIGURES, count, money, number, percent, price_text, short_money, show
from quantkit.core.state import RULES

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from quantkit.backtest.result import Result

ROWS = 200  # of a long table
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_FILLS = {
    "next_open": "the next bar's open",
    "next_close": "the next bar's close",
    "close": "the close it was decided on",
}


def _who(result: Result, symbol: str) -> str:
    """A code with its name after it, paler."""
    name = result.bars.names.get(symbol, "")
    return escape(symbol) + (f" <small>{escape(name)}</small>" if name else "")


def _tone(value: float) -> str:
    return "gain" if value > 0.0 else "loss" if value < 0.0 else ""


def _table(head: Sequence[str], rows: Iterable[str], *, text: int = 1) -> str:
    """A table whose first `text` columns are words."""
    cells = "".join(f"<th{' class=text' if k < text else ''}>{escape(name)}</th>" for k, name in enumerate(head))
    return f'<div class="scroll"><table><thead><tr>{cells}</tr></thead><tbody>{"".join(rows)}</tbody></table></div>'


def header(result: Result) -> str:
    """Name, period, universe, settings, parameters."""
    first, last = result.span
    symbols = result.bars.symbols
    shown = ", ".join(_who(result, symbol) for symbol in symbols[:4])
    more = f" and {len(symbols) - 4:,} more" if len(symbols) > 4 else ""
    lines = [f"<b>{first}</b> to <b>{last}</b>", f'<span class="who">{shown}{more}</span>']
    lines.append(f"{count(len(result.bars))} bars ({escape(result.bars.freq)})")
    if result.fill is not None:
        lines.append(f"fills at {_FILLS.get(result.fill, escape(result.fill))}")
    lines.append(f"{money(result.run.initial_cash / result.bars.minor_unit, result.bars.currency)} at the start")
    doc = (type(result.strategy).__doc__ or "").strip().split("\n\n")[0] if result.strategy is not None else ""
    lead = re.sub(r"`([^`]+)`", r"<code>\1</code>", escape(" ".join(doc.split())))
    chips = [f"<li>{escape(name)} <b>{escape(str(value))}</b></li>" for name, value in _parameters(result).items()]
    return (
        f"<header><h1>{escape(result.name)}</h1>"
        + (f'<p class="lead">{lead}</p>' if doc else "")
        + f'<ul class="meta">{"".join(f"<li>{line}</li>" for line in lines)}</ul>'
        + (f'<ul class="chips">{"".join(chips)}</ul>' if chips else "")
        + "</header>"
    )


def _parameters(result: Result) -> dict[str, object]:
    """The strategy's parameters, then what its policy says beyond the default."""
    from quantkit.core.policy import Policy

    found: dict[str, object] = dict(result.strategy.params) if result.strategy is not None else {}
    if result.policy is not None:
        usual = Policy().to_dict()
        found |= {name: value for name, value in result.policy.to_dict().items() if value != usual[name]}
    return found


def warnings(result: Result) -> str:
    """What to know first."""
    if not result.warnings:
        return ""
    said = "".join(f"<li>{escape(text)}</li>" for text in result.warnings)
    return f'<aside class="warn" role="note"><h2>Before you believe this</h2><ul>{said}</ul></aside>'


def cards(result: Result) -> str:
    """The eight figures everybody asks for."""
    stats, currency = result.figures, result.bars.currency
    versus = ""
    if result.comparison is not None:
        versus = f"{escape(result.comparison.name)} {percent(stats['benchmark_return'])}"
    costs = stats["commission"] + stats["tax"] + stats["slippage"]
    wins = f"{percent(stats['win_rate'], digits=0)} won" if stats["trades"] else "none closed"
    shown = [
        (
            "Total return",
            percent(stats["total_return"]),
            versus or f"profit {money(stats['profit'], currency)}",
            "total_return",
        ),
        ("Annual growth", percent(stats["cagr"]), f"over {number(result.years, digits=1)} years", "cagr"),
        ("Sharpe ratio", number(stats["sharpe"]), f"Sortino {number(stats['sortino'])}", ""),
        ("Deepest drawdown", percent(stats["max_drawdown"]), f"longest {count(stats['max_drawdown_days'])} days", ""),
        ("Volatility", percent(stats["volatility"]), f"worst day {percent(stats['worst_day'])}", ""),
        ("Round trips", count(stats["trades"]), wins, ""),
        (
            "Money invested",
            percent(stats["exposure"], digits=0),
            f"turnover {percent(stats['turnover'], digits=0)} a year",
            "",
        ),
        (
            "Costs",
            short_money(costs, currency) if costs >= 1e9 else money(costs, currency),
            f"dividends {money(stats['dividends'], currency)}",
            "",
        ),
    ]
    boxes = "".join(
        f'<div class="card"><div class="label">{label}</div>'
        f'<div class="value {_tone(stats[name]) if name else ""}">{value}</div><div class="note">{note}</div></div>'
        for label, value, note, name in shown
    )
    return f'<div class="cards">{boxes}</div>'


def equity(result: Result) -> str:
    """Equity beside the benchmark, drawdown, how much was invested, how many names."""
    bars, run, currency = result.bars, result.run, result.bars.currency
    unit, stats = bars.minor_unit, result.figures
    lines = []
    if run.deposits.any():
        lines.append(Line((run.initial_cash + np.cumsum(run.deposits)) / unit, "paid", "money paid in"))
    if result.comparison is not None:
        other = result.comparison.account(run.initial_cash / unit, run.deposits / unit)
        lines.append(Line(other, "other", result.comparison.name))
    lines.append(Line(run.equity / unit, "ours", result.name))
    log = wide_range(*(line.values for line in lines))
    marks = "".join(
        f'<span><i class="{"dash" if line.css == "paid" else ""}" style="color:var(--{line.css})"></i>'
        f"{escape(line.label)}</span>"
        for line in reversed(lines)
    )
    drawdown = Line(np.asarray(result.drawdown, np.float64), "drop", "drawdown", area=True)
    invested = Line(np.asarray(result.exposure, np.float64), "held", "invested", area=True)
    held = Line(np.asarray(result.names_held, np.float64), "names", "names held", area=True)
    body = [
        chart(bars.days, lines, height=330, form="money", currency=currency, log=log, title="Equity"),
        f'<p class="sub">Drawdown, deepest {percent(stats["max_drawdown"])}</p>',
        chart(bars.days, [drawdown], height=130, form="percent", ceiling=0.0, title="Drawdown"),
        f'<p class="sub">Money invested, mean {percent(stats["exposure"], digits=0)}</p>',
        chart(bars.days, [invested], height=110, form="percent", floor=0.0, title="Money invested"),
    ]
    if len(bars.symbols) > 1:
        body.append('<p class="sub">Names held</p>')
        body.append(chart(bars.days, [held], height=100, form="number", floor=0.0, title="Names held"))
    title = "Equity, logarithmic" if log else "Equity"
    return section(title, f'<div class="plot">{"".join(body)}</div>', extra=f'<div class="legend">{marks}</div>')


def price(result: Result) -> str:
    """The price of the only symbol, with its fills."""
    column = price_column(result, None)
    if column is None:
        return ""
    close, scale = rebased(result, column)
    if not np.isfinite(close).all():
        return ""
    fills = result.run.fills
    bar, side = fills["bar"].astype(np.int64), fills["side"]
    paid = fills["price"] * scale[bar]
    held_order = fills["rule"] >= RULES.index("stop_loss")
    kinds = (
        ("buy", side > 0, True),
        ("sell", (side < 0) & ~held_order, False),
        ("stopped", (side < 0) & held_order, False),
    )
    marks = [Marks(bar[chosen][-600:], paid[chosen][-600:], css, up=up) for css, chosen, up in kinds]
    said = '<span><i class="tri" style="border-bottom-color:var(--gain);margin-bottom:5px"></i>buy</span>'
    said += '<span><i class="tri" style="border-top-color:var(--loss);margin-bottom:-5px"></i>sell</span>'
    if len(marks[2].rows):
        said += '<span><i class="tri" style="border-top-color:var(--stop);margin-bottom:-5px"></i>'
        said += "stop, target, delisting</span>"
    body = chart(
        result.bars.days, [Line(close, "price", "close")], height=260, form="number", marks=marks, title="Price"
    )
    note = '<p class="note">Closes in the won of the last bar; the last 600 fills of each kind.</p>'
    title = result.label(result.bars.symbols[column])
    return section(title, f'<div class="plot">{body}</div>{note}', extra=f'<div class="legend">{said}</div>')


def _heat(value: float, scale: float) -> str:
    """One month's cell."""
    if not np.isfinite(value):
        return "<td></td>"
    depth = min(abs(value) / scale, 1.0) * 62.0 if scale > 0.0 else 0.0
    tint = "gain" if value > 0.0 else "loss"
    return f'<td style="background:color-mix(in srgb, var(--{tint}) {depth:.0f}%, var(--card))">{percent(value)}</td>'


def months(result: Result) -> str:
    """Year by month."""
    table = result.monthly
    values = table.to_numpy()
    inner = np.abs(values[:, :12][np.isfinite(values[:, :12])])
    scale = float(np.quantile(inner, 0.95)) if len(inner) else 1.0  # one wild month must not pale the rest
    rows = []
    for year, row in zip(table.index, values, strict=True):
        total = f'<td class="total {_tone(row[12])}">{percent(row[12])}</td>'
        rows.append(f"<tr><th>{year}</th>{''.join(_heat(value, scale) for value in row[:12])}{total}</tr>")
    head = "".join(f"<th>{name}</th>" for name in ("", *_MONTHS, "Year"))
    body = f'<table class="months"><thead><tr>{head}</tr></thead><tbody>{"".join(rows)}</tbody></table>'
    note = '<p class="note">Gains red, losses blue. Money paid in is not a gain.</p>'
    return section("Monthly returns", f'<div class="scroll">{body}</div>{note}')


_GROUPS = (
    ("Return and risk", ("total_return", "cagr", "volatility", "sharpe", "sortino", "calmar", "max_drawdown",
                         "max_drawdown_days", "best_day", "worst_day")),
    ("Trading", ("trades", "open_trades", "win_rate", "profit_factor", "avg_win", "avg_loss", "avg_bars_held",
                 "ambiguous_trades", "exposure", "time_in_market", "turnover", "proceeds_funded_share")),
    ("Money", ("final_equity", "profit", "deposits", "commission", "tax", "slippage", "dividends")),
    ("Against the benchmark", ("benchmark_return", "excess_return", "alpha", "beta", "tracking_error",
                               "information_ratio")),
)  # fmt: skip


def all_figures(result: Result) -> str:
    """Every figure of `stats`, in groups."""
    stats, currency = result.figures, result.bars.currency
    blocks = []
    for title, names in _GROUPS:
        lines = "".join(
            f"<div><dt>{FIGURES[name][0]}</dt><dd>{show(name, stats[name], currency)}</dd></div>"
            for name in names
            if name in stats
        )
        if lines:
            blocks.append(f"<h3>{title}</h3><dl>{lines}</dl>")
    columns = [blocks[0], blocks[1], "".join(blocks[2:])]
    return section("All figures", f'<div class="pairs">{"".join(f"<div>{column}</div>" for column in columns)}</div>')


def _bar(label: str, value: float, share: float, text: str, css: str = "") -> str:
    width = f"{100.0 * share:.1f}%"
    return (
        f'<tr><td class="text">{label}</td><td class="bar"><i class="{css}" style="width:{width}"></i></td>'
        f'<td class="{_tone(value) if css else ""}">{text}</td></tr>'
    )


def _orders(result: Result) -> str:
    rows = unfilled(result)
    total = len(result.run.orders["bar"])
    if not rows:
        body = (
            f'<p class="note">All {count(total)} orders filled in full.</p>'
            if total
            else '<p class="note">No orders.</p>'
        )
        return section("Orders cut or dropped", body)
    lines = [
        f'<tr><td class="text wrap">{escape(REASON_WORDS.get(reason, reason))}</td><td>{status}</td>'
        f"<td>{count(many)}</td><td>{percent(many / total)}</td></tr>"
        for status, reason, many in rows
    ]
    return section("Orders cut or dropped", _table(("Reason", "", "Orders", "Of all"), lines))


def costs_and_orders(result: Result) -> str:
    """Costs beside what became of the orders."""
    return f'<div class="two">{waterfall(result)}{_orders(result)}</div>'


def by_symbol(result: Result) -> str:
    """What the best and the worst names earned."""
    trades = result.round_trips
    if len(result.bars.symbols) < 2 or not len(trades):
        return ""
    names = np.unique(trades.symbol)
    earned = np.bincount(trades.symbol, weights=trades.pnl)[names]
    order = np.argsort(-earned, kind="stable")
    if len(order) > 10:
        order = np.concatenate((order[:5], order[-5:]))
    top = float(np.abs(earned).max()) or 1.0
    rows = "".join(
        _bar(_who(result, result.bars.symbols[names[k]]), float(earned[k]), abs(float(earned[k])) / top,
             money(float(earned[k]), result.bars.currency), _tone(float(earned[k])) or "gain")
        for k in order
    )  # fmt: skip
    title = "Profit by name" + (f", best and worst five of {len(names):,}" if len(names) > 10 else "")
    return section(title, f'<table class="bars"><tbody>{rows}</tbody></table>')


def open_positions(result: Result) -> str:
    """What is still held."""
    trades, bars = result.round_trips, result.bars
    still = trades.open
    if not still.any():
        return ""
    columns = np.unique(trades.symbol[still])
    total = float(result.run.equity[-1]) / bars.minor_unit
    rows = []
    for column in columns:
        mine = still & (trades.symbol == column)
        shares, gain = int(trades.quantity[mine].sum()), float(trades.pnl[mine].sum())
        close = float(result.last_close[column])
        rows.append(
            f'<tr><td class="text">{_who(result, bars.symbols[column])}</td><td>{shares:,}</td>'
            f"<td>{price_text(close)}</td><td>{money(shares * close, bars.currency)}</td>"
            f"<td>{percent(shares * close / total)}</td>"
            f'<td class="{_tone(gain)}">{money(gain, bars.currency)}</td></tr>'
        )
    head = ("Name", "Shares", "Close", "Value", "Of equity", "Profit so far")
    return section("Held at the end", _table(head, rows[:ROWS]))


def _trade_row(result: Result, k: int) -> str:
    trades, bars = result.round_trips, result.bars
    days = bars.days[[trades.entry_bar[k], trades.exit_bar[k]]]
    entry, leave = days.astype("datetime64[D]")
    rule = (
        "still open" if trades.open[k] else RULES[trades.rule[k]].replace("_", " ") if trades.rule[k] >= 0 else "action"
    )
    pnl, ret = float(trades.pnl[k]), float(trades.ret[k])
    held = int(trades.exit_bar[k] - trades.entry_bar[k])
    return (
        f'<tr><td class="text">{_who(result, bars.symbols[trades.symbol[k]])}</td>'
        f'<td data-value="{days[0]}">{entry}</td><td data-value="{days[1]}">{leave}</td>'
        f'<td data-value="{trades.quantity[k]}">{trades.quantity[k]:,}</td>'
        f'<td data-value="{trades.entry_price[k]:.4f}">{price_text(trades.entry_price[k])}</td>'
        f'<td data-value="{trades.exit_price[k]:.4f}">{price_text(trades.exit_price[k])}</td>'
        f'<td data-value="{pnl:.2f}" class="{_tone(pnl)}">{money(pnl, bars.currency)}</td>'
        f'<td data-value="{ret:.6f}" class="{_tone(ret)}">{percent(ret)}</td>'
        f'<td data-value="{held}">{held:,}</td><td class="text">{rule}</td></tr>'
    )


def trades(result: Result) -> str:
    """Round trips, sortable; the first rows of a long list."""
    many = len(result.round_trips)
    if not many:
        return ""
    head = ("Name", "Bought", "Sold", "Shares", "At", "Sold at", "Profit", "Return", "Bars", "Sold by")
    cells = "".join(f"<th data-sort{' class=text' if k in (0, 9) else ''}>{name}</th>" for k, name in enumerate(head))
    rows = "".join(_trade_row(result, k) for k in range(min(many, ROWS)))
    note = f"The first {ROWS} of {many:,} round trips; " if many > ROWS else f"{many:,} round trips; "
    note += "first in, first out. Profit is after commission and tax, with dividends. Click a column to sort."
    body = f'<div class="scroll"><table><thead><tr>{cells}</tr></thead><tbody>{rows}</tbody></table></div>'
    return section("Trades", f'{body}<p class="note">{note}</p>', css="long")


def manifest(result: Result) -> str:
    """What repeats the run, folded."""
    if not result.manifest:
        return ""
    text = json.dumps(result.manifest, indent=2, ensure_ascii=False, default=str)
    body = f"<details><summary>Manifest: what repeats this run</summary><pre>{escape(text)}</pre></details>"
    return f'<section class="long">{body}</section>'
