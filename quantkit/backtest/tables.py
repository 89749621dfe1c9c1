"""The tables of a result as DataFrames, and its figures as text.

Contract: one function a table, each reading `Result` and building fresh; `Result` keeps what it got.
"""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from quantkit.backtest import figures
from quantkit.backtest.tearsheet import rolling, rolling_window
from quantkit.backtest.wording import FIGURES, show
from quantkit.core.state import ENTRY_KINDS, ORDER_KINDS, ORDER_STATUS, REASONS, RULES
from quantkit.errors import ConfigError

if TYPE_CHECKING:
    from quantkit.backtest.result import Result

__all__ = [
    "actions_table",
    "costs_table",
    "drawdowns_table",
    "fills_table",
    "flows_table",
    "monthly_table",
    "orders_table",
    "rolling_table",
    "summary_html",
    "summary_text",
    "trades_table",
]

Codes = NDArray[Any]


def _text(words: tuple[str, ...] | list[str], codes: Codes) -> pd.Series[str]:
    """Words for codes; -1 is empty. Categories are expanded once, which is quicker than one text a row."""
    kinds = {word: number for number, word in enumerate(dict.fromkeys(words))}  # categories must differ; names may not
    place = np.array([kinds[word] for word in words] + [-1], np.int64)
    values = pd.Categorical.from_codes(place[codes.astype(np.int64)], categories=pd.Index(list(kinds), dtype="str"))
    return pd.Series(values).astype("str").where(codes >= 0, "")


def _side(codes: Codes) -> pd.Series[str]:
    return _text(("sell", "buy"), (codes > 0).astype(np.int64))


def _who(result: Result, columns: Codes) -> dict[str, pd.Series[str]]:
    """Code and name of each row; only the names that occur are looked at."""
    used, place = np.unique(columns, return_inverse=True)
    symbols = [result.bars.symbols[column] for column in used]
    names = [result.bars.names.get(symbol, "") for symbol in symbols]
    return {"symbol": _text(symbols, place), "name": _text(names, place)}


def _when(result: Result, rows: Codes) -> pd.DatetimeIndex:
    """Time of each row; -1 is NaT."""
    times = result.bars.index.take(np.maximum(rows.astype(np.int64), 0))
    return pd.DatetimeIndex(times.where(rows >= 0)) if (rows < 0).any() else times


def fills_table(result: Result) -> pd.DataFrame:
    """`Result.fills`."""
    fills, unit = result.run.fills, result.bars.minor_unit
    return pd.DataFrame(
        {
            "time": _when(result, fills["bar"]),
            **_who(result, fills["symbol"]),
            "side": _side(fills["side"]),
            "quantity": fills["quantity"],
            "price": fills["price"],
            "commission": fills["commission"] / unit,
            "tax": fills["tax"] / unit,
            "slippage": fills["slippage"] / unit,
            "order_id": fills["order_id"],
            "rule": _text(RULES, fills["rule"]),
            "from_proceeds": fills["from_proceeds"],
        }
    )


def orders_table(result: Result) -> pd.DataFrame:
    """`Result.orders`: decided is the bar of the decision, done the bar it ended on (NaT while it works).

    tag: the strategy's own number; -1: sold because `max_holding` was over.
    """
    orders = result.run.orders
    return pd.DataFrame(
        {
            "order_id": orders["order_id"],
            "decided": _when(result, orders["bar"]),
            **_who(result, orders["symbol"]),
            "side": _side(orders["side"]),
            "quantity": orders["quantity"],
            "filled": orders["filled"],
            "kind": _text(ORDER_KINDS, orders["kind"]),
            "status": _text(ORDER_STATUS, orders["status"]),
            "reason": _text(REASONS, orders["reason"]),
            "done": _when(result, orders["done_bar"]),
            "tag": orders["tag"],
        }
    )


def actions_table(result: Result) -> pd.DataFrame:
    """`Result.actions`: corporate actions on names that were held; cash after tax, from the ex-date on."""
    actions, unit = result.run.actions, result.bars.minor_unit
    return pd.DataFrame(
        {
            "time": _when(result, actions["bar"]),
            **_who(result, actions["symbol"]),
            "kind": _text(ENTRY_KINDS, actions["kind"]),
            "shares": actions["share_delta"],
            "cash": actions["cash"] / unit,
            "tax": actions["tax"] / unit,
            "assumed": actions["assumed"] != 0,
        }
    )


def flows_table(result: Result) -> pd.DataFrame:
    """`Result.cash_flows`: money that belongs to no name: interest received, fees on borrowed shares (negative)."""
    flows = result.run.flows
    return pd.DataFrame(
        {
            "time": _when(result, flows["bar"]),
            "kind": _text(ENTRY_KINDS, flows["kind"]),
            "amount": flows["cash"] / result.bars.minor_unit,
        }
    )


def trades_table(result: Result) -> pd.DataFrame:
    """`Result.trades`. An open trade is valued at the last close; its exit time is the last bar and `open` is True."""
    trades = result.round_trips
    return pd.DataFrame(
        {
            **_who(result, trades.symbol),
            "entry_time": _when(result, trades.entry_bar),
            "exit_time": _when(result, trades.exit_bar),
            "quantity": trades.quantity,
            "entry_price": trades.entry_price,
            "exit_price": trades.exit_price,
            "cost": trades.cost,
            "dividend": trades.dividend,
            "pnl": trades.pnl,
            "return": trades.ret,
            "bars_held": trades.exit_bar - trades.entry_bar,
            "exit_rule": _text(RULES, trades.rule),
            "open": trades.open,
            "ambiguous": trades.ambiguous,
        }
    )


def costs_table(result: Result) -> pd.DataFrame:
    """`Result.costs`: every month of the run has a row."""
    fills = result.run.fills
    months = result.bars.days.astype("datetime64[D]").astype("datetime64[M]").astype(np.int64)
    row = months[fills["bar"]] - months[0]
    size = int(months[-1] - months[0]) + 1
    unit = result.bars.minor_unit
    table = {
        name: np.bincount(row, weights=fills[name], minlength=size) / unit for name in ("commission", "tax", "slippage")
    }
    index = pd.PeriodIndex(
        np.arange(months[0], months[-1] + 1).astype("datetime64[M]").astype("datetime64[ns]"), freq="M"
    )
    return pd.DataFrame({**table, "total": sum(table.values())}, index=index.rename("month"))


def monthly_table(result: Result) -> pd.DataFrame:
    """`Result.monthly`: index year, columns 1 to 12 and "year"; NaN outside the run."""
    days = result.bars.days.astype("datetime64[D]")
    months = days.astype("datetime64[M]").astype(np.int64)
    ends = figures.session_ends(months)
    returns = figures.session_returns(result.growth, ends)
    year, month = months[ends] // 12 + 1970, months[ends] % 12
    first, last = int(year[0]), int(year[-1])
    table = np.full((last - first + 1, 13), np.nan)
    table[year - first, month] = returns
    years = figures.session_ends(months // 12)
    table[months[years] // 12 + 1970 - first, 12] = figures.session_returns(result.growth, years)
    return pd.DataFrame(table, index=pd.RangeIndex(first, last + 1, name="year"), columns=[*range(1, 13), "year"])


def drawdowns_table(result: Result) -> pd.DataFrame:
    """`Result.drawdowns`: days are calendar days; one that has not recovered is counted to the end of the run."""
    episodes, days = result.episodes, result.bars.days
    order = episodes.worst(len(episodes))
    peak, trough, recovered = episodes.peak[order], episodes.trough[order], episodes.recovered[order]
    down = days[trough] - days[peak]
    return pd.DataFrame(
        {
            "depth": episodes.depth[order],
            "peak": _when(result, peak),
            "trough": _when(result, trough),
            "recovered": _when(result, recovered),
            "days": episodes.length()[order],
            "days_down": down,
            "days_up": np.where(recovered >= 0, days[recovered] - days[trough], np.nan),
        }
    )


def rolling_table(result: Result, window: int | None) -> pd.DataFrame:
    """`Result.rolling()`. ConfigError for a window that no stretch of the run fills."""
    returns = result.returns
    chosen = rolling_window(len(returns)) if window is None else window
    if chosen is None or isinstance(chosen, bool) or not isinstance(chosen, int) or not 2 <= chosen <= len(returns):
        raise ConfigError(
            f"rolling(window={window!r}): expected 2 to {len(returns)} sessions, which is what the run has"
        )
    free = result.risk_free / result.periods
    columns = rolling(result.session_returns, chosen, periods=result.periods, risk_free=free)
    names = ("return", "volatility", "sharpe")
    return pd.DataFrame(dict(zip(names, columns, strict=True)), index=returns.index)


def _lines(result: Result) -> list[tuple[str, str]]:
    currency = result.bars.currency
    return [(FIGURES[name][0], show(name, value, currency)) for name, value in result.figures.items()]


def _title(result: Result) -> str:
    first, last = result.span
    symbols = result.bars.symbols
    who = result.label(symbols[0]) if len(symbols) == 1 else f"{len(symbols):,} symbols"
    return f"{result.name} · {who} · {first} to {last}"


def summary_text(result: Result) -> str:
    """`Result.summary()`."""
    lines = _lines(result)
    wide, far = max(len(label) for label, _ in lines), max(len(text) for _, text in lines)
    said = [f"  ! {text}" for text in result.warnings]
    return "\n".join([_title(result), *(f"  {label:<{wide}}  {text:>{far}}" for label, text in lines), *said])


def summary_html(result: Result) -> str:
    """What a notebook shows for a result: the figures in columns, then the warnings."""
    cells = "".join(
        f'<div style="display:flex;justify-content:space-between;gap:1.5em;break-inside:avoid">'
        f'<span style="opacity:.7">{escape(label)}</span>'
        f'<b style="font-variant-numeric:tabular-nums">{escape(text)}</b></div>'
        for label, text in _lines(result)
    )
    said = "".join(f'<li style="margin:.2em 0">{escape(text)}</li>' for text in result.warnings)
    notes = f'<ul style="margin:.6em 0 0;padding-left:1.2em;opacity:.85">{said}</ul>' if said else ""
    return (
        f'<div style="max-width:60em"><b>{escape(_title(result))}</b>'
        f'<div style="columns:3 16em;column-gap:2.5em;margin-top:.5em;line-height:1.6">{cells}</div>{notes}</div>'
    )
