"""Bars on which nothing can happen, in one tight loop.

Contract: `coast` does for a quiet bar exactly what the steps of `fold` do: the session rolls, the account is marked,
peaks rise. A bar is quiet when no order works, no target changes, no date re-sizes, no event is due, no stop is near,
and each goal is met or stands for a buy that cash is still short of, which was written down before; a run of limits or
policies that look at every bar never coasts (`plan.coasts`).

    coast        first bar that is not quiet
    _coast_one   a run of one name, its levels and its peak kept in registers: twice as fast
    _coast_many  a run of several
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from quantkit.core.account import cash_of, commission_of, money, owned
from quantkit.core.state import (
    BARS,
    DAY,
    DAY_START,
    EQUITY,
    EVENT,
    N_ACTIVE,
    N_ORDERS,
    N_PAY,
    NEW_SESSION,
    NEXT_1,
    NEXT_2,
    NO_CASH,
    PEAK_EQUITY,
    PREV_ROW,
    RECEIVABLE,
    SESSION_BAR,
    SETTLED,
    UNMET,
    WAITING,
    Inputs,
    Ints,
    Record,
    Records,
    State,
    i64,
)
from quantkit.data.bars import TRADED, VALID
from quantkit.jit import njit_bare

CAREFUL = 1e-9


class Levels(NamedTuple):
    """The policy's stops as factors: of the money paid, and of the peak; those not set are never met."""

    worst: float
    best: float
    keep: float


class Carry(NamedTuple):
    """The places of the account that a quiet bar moves."""

    worth: int
    peak: int
    day: int
    day_start: int
    row: int
    new_session: int
    session_bar: int
    settled: int
    next_1: int
    next_2: int


@njit_bare
def may_coast(state: State, events: Records, plan: Record, t: int, extra: int | None) -> bool:
    """Whether bar t may be the first of some quiet ones, as far as the account knows."""
    account = state.account
    if plan.coasts == 0 or t == 0 or account[N_ORDERS] + account[WAITING] + account[N_PAY] > 0:
        return False
    if account[EVENT] < len(events) and events[account[EVENT]].bar == t:
        return False
    if account[UNMET] == 0:
        return True
    return False if extra is not None else _may_wait(state, plan)


@njit_bare
def _may_wait(state: State, plan: Record) -> bool:
    """Whether some goal is unmet, and `decide` has nothing to do about any name while cash is short: `_is_dear`."""
    gaps = i64(0)
    for i in range(state.account[N_ACTIVE]):
        s = state.names[i].active
        name = state.names[s]
        want = name.goal - owned(name)
        if want == 0:
            if name.goal == 0 and state.target[s] == 0.0 and name.resting == 0:
                return False  # it leaves the list
        elif plan.retry and (want < 0 or name.noted != NO_CASH):
            return False
        gaps += abs(want)
    return gaps > 0


@njit_bare
def _is_dear(name: Record, plan: Record, close: float, spendable: int) -> bool:
    """Whether a goal that waits, `_may_wait`, still cannot have a lot."""
    if name.goal == owned(name) or plan.retry == 0:
        return True
    share = money(close, plan.lot[name.market], plan.unit)
    return share > spendable or share + commission_of(plan, name.market, share) > spendable


@njit_bare
def _spendable(state: State, plan: Record) -> int:
    """Cash that buys may use."""
    return cash_of(state) - i64(np.floor(plan.min_cash * plan.unit + 0.5))


@njit_bare
def _levels(plan: Record) -> Levels:
    """A billionth too careful, so that rounding cannot hide a stop."""
    return Levels(
        (1.0 - plan.stop_loss) * (1.0 + CAREFUL) if plan.stop_loss > 0.0 else -1.0,
        (1.0 + plan.take_profit) * (1.0 - CAREFUL) if plan.take_profit > 0.0 else np.inf,
        1.0 - plan.trailing_stop if plan.trailing_stop > 0.0 else -1.0,
    )


@njit_bare
def _carried(account: Ints) -> Carry:
    return Carry(
        account[EQUITY], account[PEAK_EQUITY], account[DAY], account[DAY_START], account[PREV_ROW],
        account[NEW_SESSION], account[SESSION_BAR], account[SETTLED], account[NEXT_1], account[NEXT_2],
    )  # fmt: skip


@njit_bare
def _rolled(carry: Carry, day: int, worth: int, t: int) -> Carry:
    """After one more quiet bar, at whose close the account is worth `worth`."""
    start, row, new_session, session_bar = carry.day_start, carry.row, i64(0), carry.session_bar + 1
    settled, next_1, next_2 = carry.settled, carry.next_1, carry.next_2
    if day != carry.day:
        start, row, new_session, session_bar = carry.worth, t - 1, i64(1), i64(0)
        settled, next_1, next_2 = settled + next_1, next_2, i64(0)
    peak = max(carry.peak, worth)
    return Carry(worth, peak, i64(day), start, row, new_session, session_bar, settled, next_1, next_2)


@njit_bare
def _put_back(account: Ints, carry: Carry, bars: int) -> None:
    account[EQUITY], account[PEAK_EQUITY], account[DAY] = carry.worth, carry.peak, carry.day
    account[DAY_START], account[PREV_ROW] = carry.day_start, carry.row
    account[NEW_SESSION], account[SESSION_BAR] = carry.new_session, carry.session_bar
    account[SETTLED], account[NEXT_1], account[NEXT_2] = carry.settled, carry.next_1, carry.next_2
    account[BARS] += bars


@njit_bare
def _coast_one(state: State, inputs: Inputs, plan: Record, equity: Ints, cash: Ints, start: int, last: int) -> int:
    name = state.names[0]
    held, target, peak = owned(name), state.target[0], name.peak
    worst, best, keep = _levels(plan)
    paid, shares = float(name.entry_value), name.entry_qty * plan.unit
    if shares > 0.0:
        worst, best = worst * paid / shares, best * paid / shares
    carry = _carried(state.account)
    held_cash = cash_of(state)
    base = held_cash + state.account[RECEIVABLE]
    waits, spendable = state.account[UNMET] != 0, _spendable(state, plan)
    t = start
    while t < last:
        value, worth = inputs.targets[t, 0], base
        if (inputs.dates[t].rebalance != 0) | ((value == value) & (value != target)):
            break
        if waits and inputs.flags[t, 0] & VALID and not _is_dear(name, plan, inputs.close[t, 0], spendable):
            break
        if held != 0:
            if inputs.flags[t, 0] & TRADED:
                high = inputs.high[t, 0]
                top = max(peak, high)
                if (inputs.low[t, 0] <= max(worst, top * keep)) | (high >= best):
                    break
                peak = top
            worth += money(inputs.close[t, 0], held, plan.unit)
        carry = _rolled(carry, inputs.dates[t].day, worth, t)
        equity[t] = worth
        cash[t] = held_cash
        t += 1
    if held != 0 and plan.trailing_stop > 0.0:
        name.peak = peak
    _put_back(state.account, carry, t - start)
    return t


@njit_bare
def _is_far(name: Record, high: float, low: float, levels: Levels, unit: int) -> bool:
    """Whether a bar meets no level that it may raise itself, whatever the order of its extremes.

    Compared as money, since dividing by the shares costs more than all the rest.
    """
    paid, shares = float(name.entry_value), name.entry_qty * unit
    met = (low * shares <= paid * levels.worst) | (high * shares >= paid * levels.best)
    return not (met | (low <= max(name.peak, high) * levels.keep))


@njit_bare
def is_calm(state: State, inputs: Inputs, plan: Record, t: int) -> bool:
    """Whether no stop of the policy can act on bar t."""
    if plan.stop_loss == 0.0 and plan.take_profit == 0.0 and plan.trailing_stop == 0.0:
        return True
    levels = _levels(plan)
    for i in range(state.account[N_ACTIVE]):
        s = state.names[i].active
        name = state.names[s]
        far = owned(name) == 0 or inputs.flags[t, s] & TRADED == 0  # shares that are due may come this morning
        far = far or (name.shares > 0 and _is_far(name, inputs.high[t, s], inputs.low[t, s], levels, plan.unit))
        if not far:
            return False
    return True


@njit_bare
def _coast_many(state: State, inputs: Inputs, plan: Record, equity: Ints, cash: Ints, start: int, last: int) -> int:
    active, columns = state.account[N_ACTIVE], inputs.targets.shape[1]
    levels = _levels(plan)
    trails = plan.trailing_stop > 0.0
    stops = trails or plan.stop_loss > 0.0 or plan.take_profit > 0.0
    carry = _carried(state.account)
    held_cash = cash_of(state)
    base = held_cash + state.account[RECEIVABLE]
    waits, spendable = state.account[UNMET] != 0, _spendable(state, plan)
    t = start
    while t < last:
        quiet = inputs.dates[t].rebalance == 0
        for s in range(columns):
            value = inputs.targets[t, s]
            if value == value and value != state.target[s]:
                quiet = False
                break
        if not quiet:
            break
        worth = base
        for i in range(active):
            s = state.names[i].active
            name = state.names[s]
            held = owned(name)
            if waits and inputs.flags[t, s] & VALID:
                quiet &= _is_dear(name, plan, inputs.close[t, s], spendable)
            if held != 0:
                worth += money(inputs.close[t, s], held, plan.unit)
                if stops and inputs.flags[t, s] & TRADED:
                    quiet &= _is_far(name, inputs.high[t, s], inputs.low[t, s], levels, plan.unit)
        if not quiet:
            break
        if trails:
            for i in range(active):
                name = state.names[state.names[i].active]
                if owned(name) != 0 and inputs.flags[t, state.names[i].active] & TRADED:
                    name.peak = max(name.peak, inputs.high[t, state.names[i].active])
        carry = _rolled(carry, inputs.dates[t].day, worth, t)
        equity[t] = worth
        cash[t] = held_cash
        t += 1
    _put_back(state.account, carry, t - start)
    return t


@njit_bare
def coast(state: State, inputs: Inputs, events: Records, plan: Record, equity: Ints, cash: Ints, start: int) -> int:
    """Fold quiet bars from `start` on; returns the first that is not quiet, or T."""
    last = len(inputs.dates)
    if state.account[EVENT] < len(events):
        last = min(last, events[state.account[EVENT]].bar)
    if inputs.targets.shape[1] == 1:
        return _coast_one(state, inputs, plan, equity, cash, start, last)
    return _coast_many(state, inputs, plan, equity, cash, start, last)
