"""The figures of a run in one compiled pass over what the fold wrote, for runs by the thousand.

Contract: the same numbers as `backtest.figures` to the last bit (tests say so), by the same formulas in the same order
of additions, but for `cagr` and `calmar`, which need a power and are computed by whoever reads the row (`finished`).
Nothing is allocated: a `Desk` of work space serves run after run. Where a table is not in the order of time, which no
fold writes, `tally` answers 0 and the caller takes the long way.

    1. money: equity, cash and deposits -> growth, returns, drawdowns         _risk, _activity
    2. fills and actions in one sequence by name and time                     _merge, _by_name
    3. round trips, in the order of their exits                               lots.matched, _in_order, _trading
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from quantkit.backtest import metrics
from quantkit.backtest.figures import calendar_years, session_ends
from quantkit.backtest.lots import ENTRY_BAR, EXIT_BAR, OPEN, SYMBOL, matched
from quantkit.backtest.sums import Floats, Ints, Stack, deviation, new_stack, total
from quantkit.core.state import ENTRY_BORROW, ENTRY_INTEREST, Log, i64
from quantkit.jit import njit_call

if TYPE_CHECKING:
    from collections.abc import Sequence

NAMES = (
    "total_return", "cagr", "volatility", "sharpe", "sortino", "calmar", "max_drawdown", "max_drawdown_days",
    "best_day", "worst_day", "exposure", "time_in_market", "turnover", "proceeds_funded_share", "trades",
    "open_trades", "win_rate", "profit_factor", "avg_win", "avg_loss", "avg_bars_held", "ambiguous_trades",
    "final_equity", "deposits", "profit", "commission", "tax", "slippage", "dividends", "dividend_tax", "interest",
    "borrow_cost",
)  # fmt: skip
(
    TOTAL_RETURN, CAGR, VOLATILITY, SHARPE, SORTINO, CALMAR, MAX_DRAWDOWN, MAX_DRAWDOWN_DAYS,
    BEST_DAY, WORST_DAY, EXPOSURE, TIME_IN_MARKET, TURNOVER, PROCEEDS_FUNDED, TRADES,
    OPEN_TRADES, WIN_RATE, PROFIT_FACTOR, AVG_WIN, AVG_LOSS, AVG_BARS_HELD, AMBIGUOUS_TRADES,
    FINAL_EQUITY, DEPOSITS, PROFIT, COMMISSION, TAX, SLIPPAGE, DIVIDENDS, DIVIDEND_TAX, INTEREST,
    BORROW_COST,
) = range(len(NAMES))  # fmt: skip


class Sheet(NamedTuple):
    """What the figures of all runs over the same bars share."""

    days: Ints  # (T,) epoch days
    ends: Ints  # (E,) rows of the last bar of each session
    deposits: Ints  # (T,) minor units
    last_price: Floats  # (N,) close of the last bar, at which open trades are valued
    initial: int  # minor units
    unit: float  # minor units in one unit of price
    years: float
    periods: float  # a year
    root: float  # of periods
    free: float  # risk-free rate a period


class Desk(NamedTuple):
    """Work space for runs of T bars, N names, and so many fills and actions as the log holds."""

    growth: Floats  # (T,) of the run last tallied
    returns: Floats  # (E,)
    work: Floats  # (max(T, 2F),)
    other: Floats  # (max(T, 2F),)
    shares: Ints  # (N + 1,)
    counts: Ints  # (max(T, N) + 2,)
    merged: Ints  # (F + A,)
    places: Ints  # (max(F + A, 2F),)
    symbol: Ints  # (F + A,), as the next six: `lots.matched`
    bar: Ints
    is_fill: Ints
    change: Ints
    price: Floats
    money: Floats
    rule: Ints
    lots: Ints  # (F, 2)
    worth: Floats  # (F, 3)
    whole: Ints  # (2F, 6)
    values: Floats  # (2F, 4)
    stack: Stack


def new_sheet(
    days: Ints, *, deposits: Sequence[tuple[int, float]], last_price: Floats, initial: int, unit: int, periods: float,
    risk_free: float = 0.0,
) -> Sheet:  # fmt: skip
    """The sheet of runs over these days; deposits are (row, amount in units of price)."""
    paid = np.zeros(len(days), np.int64)
    for row, amount in deposits:
        paid[row] += round(amount * unit)
    return Sheet(
        days=np.ascontiguousarray(days),
        ends=session_ends(days),
        deposits=paid,
        last_price=np.ascontiguousarray(last_price, np.float64),
        initial=initial,
        unit=float(unit),
        years=calendar_years(days),
        periods=periods,
        root=float(np.sqrt(periods)),
        free=risk_free / periods,
    )


def new_desk(sheet: Sheet, log: Log) -> Desk:
    """Work space for the runs of a sheet that write into this log."""
    bars, names, fills = len(sheet.days), len(sheet.last_price), len(log.fills)
    events = fills + len(log.actions)
    whole, floats = np.int64, np.float64
    return Desk(
        growth=np.empty(bars), returns=np.empty(len(sheet.ends)),
        work=np.empty(max(bars, 2 * fills)), other=np.empty(max(bars, 2 * fills)),
        shares=np.zeros(names + 1, whole), counts=np.zeros(max(bars, names) + 2, whole),
        merged=np.empty(events, whole), places=np.empty(max(events, 2 * fills), whole),
        symbol=np.empty(events, whole), bar=np.empty(events, whole), is_fill=np.empty(events, whole),
        change=np.empty(events, whole), price=np.empty(events, floats), money=np.empty(events, floats),
        rule=np.empty(events, whole), lots=np.empty((fills, 2), whole), worth=np.empty((fills, 3), floats),
        whole=np.empty((2 * fills, 6), whole), values=np.empty((2 * fills, 4), floats), stack=new_stack(),
    )  # fmt: skip


@njit_call
def _grow(sheet: Sheet, desk: Desk, equity: Ints) -> None:
    """`figures.growth_of` and `figures.session_returns`."""
    growth, returns = desk.growth, desk.returns
    paid = i64(0)
    for t in range(len(equity)):
        paid |= sheet.deposits[t]
    if paid == 0:
        for t in range(len(equity)):
            growth[t] = equity[t] / sheet.initial
    else:
        before, worth = sheet.initial, 1.0
        for t in range(len(equity)):
            there = float(before + sheet.deposits[t])
            step = equity[t] / there if there > 0.0 else 1.0
            worth = worth * step if t > 0 else step
            growth[t] = worth
            before = equity[t]
    ends = sheet.ends
    returns[0] = growth[ends[0]] - 1.0
    if len(ends) == len(growth):
        for k in range(1, len(ends)):
            returns[k] = growth[k] / growth[k - 1] - 1.0 if growth[k - 1] > 0.0 else 0.0
    else:
        for k in range(1, len(ends)):
            earlier = growth[ends[k - 1]]
            returns[k] = growth[ends[k]] / earlier - 1.0 if earlier > 0.0 else 0.0


@njit_call
def _fall(sheet: Sheet, desk: Desk, row: Floats) -> None:
    """`metrics.drawdowns`, the deepest and the longest: one division for each peak, which for one peak keeps order."""
    growth, days = desk.growth, sheet.days
    size = len(growth)
    peak, low, deepest, last, longest = 1.0, np.inf, 1.0, i64(0), i64(0)
    for t in range(size):
        value = growth[t]
        if value >= peak:
            if t - last > 1:
                longest = max(longest, days[t] - days[last])
            if low < peak:
                deepest = min(deepest, low / peak)
            peak, low, last = value, value, t
        else:
            low = min(low, value)
    if low < peak:
        deepest = min(deepest, low / peak)
        longest = max(longest, days[size - 1] - days[last])
    row[MAX_DRAWDOWN] = deepest - 1.0
    row[MAX_DRAWDOWN_DAYS] = float(longest)


@njit_call
def _extremes(values: Floats, count: int) -> tuple[float, float]:
    """The largest and the smallest; four at a time, since each comparison waits for the one before."""
    a = b = c = d = values[0]
    e = f = g = h = values[0]
    whole = count - count % 4
    for k in range(0, whole, 4):
        w, x, y, z = values[k], values[k + 1], values[k + 2], values[k + 3]
        a, b, c, d = max(a, w), max(b, x), max(c, y), max(d, z)
        e, f, g, h = min(e, w), min(f, x), min(g, y), min(h, z)
    for k in range(whole, count):
        a, e = max(a, values[k]), min(e, values[k])
    return max(max(a, b), max(c, d)), min(min(e, f), min(g, h))


@njit_call
def _risk(sheet: Sheet, desk: Desk, row: Floats) -> None:
    """Returns and their ratios."""
    returns, work, stack = desk.returns, desk.work, desk.stack
    count, free = len(returns), sheet.free
    for k in range(count):
        short = returns[k] - free
        short = min(0.0, short)
        work[k] = short * short
    risk = np.sqrt(total(work, count, stack) / count) * sheet.root
    mean = total(returns, count, stack) / count
    spread = deviation(returns, count, mean, work, stack)
    best, worst = _extremes(returns, count)
    row[TOTAL_RETURN] = desk.growth[len(desk.growth) - 1] - 1.0
    row[VOLATILITY] = spread * sheet.root if count > 1 else np.nan
    row[SORTINO] = (mean - free) * sheet.periods / risk if risk > 0.0 else np.nan
    row[BEST_DAY], row[WORST_DAY] = best, worst
    if free != 0.0:
        excess = desk.other
        for k in range(count):
            excess[k] = returns[k] - free
        mean = total(excess, count, stack) / count
        spread = deviation(excess, count, mean, work, stack)
    widest = max(abs(best - free), abs(worst - free))
    row[SHARPE] = mean / spread * sheet.root if count > 1 and spread > 1e-14 * widest else np.nan


@njit_call
def _activity(sheet: Sheet, desk: Desk, log: Log, equity: Ints, cash: Ints, row: Floats) -> None:
    """How much of the money was at work, and how often it moved."""
    work, fills, stack = desk.work, log.fills, desk.stack
    for t in range(len(equity)):
        work[t] = cash[t] / max(equity[t], 1)
    row[EXPOSURE] = 1.0 - total(work, len(equity), stack) / len(equity)
    count, funded = log.used[0], i64(0)
    for k in range(count):
        t = fills[k].bar
        before = (equity[t - 1] if t > 0 else sheet.initial) + sheet.deposits[t]
        work[k] = 0.5 * sheet.unit * fills[k].price * fills[k].quantity / max(before, 1)
    row[TURNOVER] = total(work, count, stack) / sheet.years
    for k in range(count):
        work[k] = fills[k].price * fills[k].quantity * (1.0 if fills[k].side > 0 else 0.0)
        if fills[k].from_proceeds != 0:
            desk.other[funded] = work[k]
            funded += 1
    spent = total(work, count, stack)
    row[PROCEEDS_FUNDED] = total(desk.other, funded, stack) / spent if spent > 0.0 else 0.0


@njit_call
def _money(sheet: Sheet, log: Log, equity: Ints, row: Floats) -> None:
    """Sums of money, in units of price."""
    unit, last = sheet.unit, equity[len(equity) - 1]
    paid, commission, tax, slippage = i64(0), i64(0), i64(0), i64(0)
    for t in range(len(sheet.deposits)):
        paid += sheet.deposits[t]
    for k in range(log.used[0]):
        fill = log.fills[k]
        commission += fill.commission
        tax += fill.tax
        slippage += fill.slippage
    dividends, withheld, interest, borrowed = i64(0), i64(0), i64(0), i64(0)
    for k in range(log.used[2]):
        entry = log.actions[k]
        if entry.symbol >= 0:
            dividends += entry.cash
            withheld += entry.tax
        elif entry.kind == ENTRY_INTEREST:
            interest += entry.cash
        elif entry.kind == ENTRY_BORROW:
            borrowed += entry.cash
    row[FINAL_EQUITY] = float(last) / unit
    row[DEPOSITS] = float(paid) / unit
    row[PROFIT] = float(last - sheet.initial) / unit - float(paid) / unit
    row[COMMISSION], row[TAX], row[SLIPPAGE] = float(commission) / unit, float(tax) / unit, float(slippage) / unit
    row[DIVIDENDS], row[DIVIDEND_TAX] = float(dividends) / unit, float(withheld) / unit
    row[INTEREST], row[BORROW_COST] = float(interest) / unit, -float(borrowed) / unit


@njit_call
def _merge(desk: Desk, log: Log) -> int:
    """Fills (k) and actions of names (-1 - k) by bar, actions first; returns how many, or -1 where time runs back."""
    fills, actions, merged = log.fills, log.actions, desk.merged
    count, a, bar = i64(0), i64(0), i64(0)
    for k in range(log.used[0]):
        while a < log.used[2] and actions[a].bar <= fills[k].bar:
            if actions[a].symbol >= 0:
                if actions[a].bar < bar:
                    return i64(-1)
                bar = actions[a].bar
                merged[count] = -1 - a
                count += 1
            a += 1
        if fills[k].bar < bar:
            return i64(-1)
        bar = fills[k].bar
        merged[count] = k
        count += 1
    while a < log.used[2]:
        if actions[a].symbol >= 0:
            if actions[a].bar < bar:
                return i64(-1)
            bar = actions[a].bar
            merged[count] = -1 - a
            count += 1
        a += 1
    return count


@njit_call
def _time_held(desk: Desk, log: Log, count: int, bars: int) -> int:
    """Bars at whose close some name was held, from the merged events."""
    shares, names, held, last = desk.shares, i64(0), i64(0), i64(0)
    shares[:] = 0
    for e in range(count):
        k = desk.merged[e]
        if k >= 0:
            fill = log.fills[k]
            s, t, change = fill.symbol, fill.bar, fill.side * fill.quantity
        else:
            entry = log.actions[-1 - k]
            s, t, change = entry.symbol, entry.bar, entry.share_delta
        if names > 0:
            held += t - last
        last = t
        before = shares[s]
        shares[s] = before + change
        names += (1 if shares[s] != 0 else 0) - (1 if before != 0 else 0)
    return held + bars - last if names > 0 else held


@njit_call
def _by_name(sheet: Sheet, desk: Desk, log: Log, count: int) -> None:
    """The merged events as columns, names together, each name's in the order of time."""
    counts, names = desk.counts, len(sheet.last_price)
    counts[: names + 1] = 0
    for e in range(count):
        k = desk.merged[e]
        s = log.fills[k].symbol if k >= 0 else log.actions[-1 - k].symbol
        counts[s + 1] += 1
    for s in range(names):
        counts[s + 1] += counts[s]
    for e in range(count):
        k = desk.merged[e]
        s = log.fills[k].symbol if k >= 0 else log.actions[-1 - k].symbol
        place = counts[s]
        counts[s] = place + 1
        desk.symbol[place] = s
        if k >= 0:
            fill = log.fills[k]
            desk.bar[place], desk.is_fill[place], desk.rule[place] = fill.bar, 1, fill.rule
            desk.change[place], desk.price[place] = fill.side * fill.quantity, fill.price
            desk.money[place] = (fill.commission + fill.tax) / sheet.unit
        else:
            entry = log.actions[-1 - k]
            desk.bar[place], desk.is_fill[place], desk.rule[place] = entry.bar, 0, -1
            desk.change[place], desk.price[place] = entry.share_delta, 0.0
            desk.money[place] = entry.cash / sheet.unit


@njit_call
def _sorted_by(desk: Desk, source: Ints, target: Ints, closed: int, bars: int, column: int) -> None:
    """Places of trades from `source` into `target`, by one of their bars, stable."""
    counts = desk.counts
    counts[: bars + 1] = 0
    for c in range(closed):
        counts[desk.whole[source[c], column] + 1] += 1
    for t in range(bars):
        counts[t + 1] += counts[t]
    for c in range(closed):
        place = source[c]
        t = desk.whole[place, column]
        target[counts[t]] = place
        counts[t] += 1


@njit_call
def _in_order(desk: Desk, rows: int, bars: int) -> int:
    """Places of the closed trades by exit, entry and name into `places`; returns how many."""
    whole, places = desk.whole, desk.places
    closed, sorted_ = i64(0), True
    for k in range(rows):
        if whole[k, OPEN] != 0:
            continue
        if closed > 0:
            last = places[closed - 1]
            later = whole[k, EXIT_BAR] - whole[last, EXIT_BAR]
            sorted_ &= later > 0 or (later == 0 and whole[k, ENTRY_BAR] >= whole[last, ENTRY_BAR])
        places[closed] = k
        closed += 1
    if not sorted_:
        _sorted_by(desk, places, desk.merged, closed, bars, i64(ENTRY_BAR))
        _sorted_by(desk, desk.merged, places, closed, bars, i64(EXIT_BAR))
    return closed


@njit_call
def _unsure(log: Log, s: int, t: int) -> bool:
    """Whether an ambiguous fill of the name happened on bar t."""
    low, high = i64(0), log.used[0]
    while low < high:
        middle = (low + high) // 2
        if log.fills[middle].bar < t:
            low = middle + 1
        else:
            high = middle
    while low < log.used[0] and log.fills[low].bar == t:
        if log.fills[low].symbol == s and log.fills[low].ambiguous != 0:
            return True
        low += 1
    return False


@njit_call
def _trading(desk: Desk, log: Log, rows: int, bars: int, row: Floats) -> None:
    """Figures of the closed round trips."""
    whole, values, gains, rates, stack = desk.whole, desk.values, desk.work, desk.other, desk.stack
    doubt, unsure = i64(0), i64(0)
    for k in range(log.used[0]):
        doubt |= log.fills[k].ambiguous
    if doubt != 0:
        for k in range(rows):
            s = whole[k, SYMBOL]
            if _unsure(log, s, whole[k, ENTRY_BAR]) or _unsure(log, s, whole[k, EXIT_BAR]):
                unsure += 1
    closed = _in_order(desk, rows, bars)
    won, lost, held = i64(0), i64(0), i64(0)
    for c in range(closed):
        k = desk.places[c]
        pnl = values[k, 1] - values[k, 0] - values[k, 2] + values[k, 3]
        held += whole[k, EXIT_BAR] - whole[k, ENTRY_BAR]
        if pnl > 0.0:
            gains[won], rates[won] = pnl, pnl / abs(values[k, 0])
            won += 1
    earned = total(gains, won, stack)
    row[AVG_WIN] = total(rates, won, stack) / won if won > 0 else np.nan
    for c in range(closed):
        k = desk.places[c]
        pnl = values[k, 1] - values[k, 0] - values[k, 2] + values[k, 3]
        if pnl < 0.0:
            gains[lost], rates[lost] = pnl, pnl / abs(values[k, 0])
            lost += 1
    losses = -total(gains, lost, stack)
    row[AVG_LOSS] = total(rates, lost, stack) / lost if lost > 0 else np.nan
    row[PROFIT_FACTOR] = earned / losses if losses > 0.0 else np.nan
    row[TRADES], row[OPEN_TRADES], row[AMBIGUOUS_TRADES] = float(closed), float(rows - closed), float(unsure)
    row[WIN_RATE] = float(won) / closed if closed > 0 else np.nan
    row[AVG_BARS_HELD] = float(held) / closed if closed > 0 else np.nan


@njit_call
def tally(sheet: Sheet, desk: Desk, log: Log, equity: Ints, cash: Ints, row: Floats) -> int:
    """Write the figures of a run into `row`, in the order of `NAMES`; 1, or 0 where they could not be computed."""
    bars = len(equity)
    row[CAGR] = row[CALMAR] = np.nan
    _grow(sheet, desk, equity)
    _fall(sheet, desk, row)
    _risk(sheet, desk, row)
    _activity(sheet, desk, log, equity, cash, row)
    _money(sheet, log, equity, row)
    count = _merge(desk, log)
    if count < 0:
        return i64(0)
    row[TIME_IN_MARKET] = float(_time_held(desk, log, count, bars)) / bars
    _by_name(sheet, desk, log, count)
    rows = i64(0)
    if log.used[0] > 0:
        rows = matched(
            desk.symbol, desk.bar, desk.is_fill, desk.change, desk.price, desk.money, desk.rule, count,
            sheet.last_price, bars - 1, desk.lots, desk.worth, desk.whole, desk.values,
        )  # fmt: skip
    _trading(desk, log, rows, bars, row)
    return i64(1)


def finished(row: list[float], years: float) -> list[float]:
    """The figures of a tallied row with those that need a power."""
    row[CAGR] = rate = metrics.compound_rate(row[TOTAL_RETURN], years)
    row[CALMAR] = metrics.calmar(rate, row[MAX_DRAWDOWN])
    return row
