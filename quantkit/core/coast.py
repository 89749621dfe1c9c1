"""Bars on which nothing can happen, in one tight loop.

Contract: `coast` does for a quiet bar exactly what the steps of `fold` do: the session rolls, the account is marked,
peaks rise. A bar is quiet when no order works, no goal is unmet, no target changes, no date re-sizes, no event is due
and no stop is near; a run of limits or policies that look at every bar never coasts (`plan.coasts`).
"""

from __future__ import annotations

from quantkit.core.account import cash_of, money, owned
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
)
from quantkit.data.bars import TRADED
from quantkit.jit import njit_bare

CAREFUL = 1e-9


@njit_bare
def may_coast(state: State, events: Records, plan: Record, t: int) -> bool:
    """Whether bar t may be the first of some quiet ones, as far as the account knows."""
    account = state.account
    busy = account[N_ORDERS] + account[UNMET] + account[WAITING] + account[N_PAY]
    due = account[EVENT] < len(events) and events[account[EVENT]].bar == t
    return plan.coasts != 0 and t > 0 and busy == 0 and not due


@njit_bare
def _no_stop_near(state: State, inputs: Inputs, plan: Record, t: int, s: int) -> bool:
    """Whether no level a bar may raise is met by it, whatever the order of its extremes.

    Compared as money, a billionth too careful, since dividing by the shares costs more than all the rest.
    """
    name = state.names[s]
    paid, shares = float(name.entry_value), name.entry_qty * plan.unit
    high, low = inputs.high[t, s], inputs.low[t, s]
    if plan.stop_loss > 0.0 and low * shares <= paid * (1.0 - plan.stop_loss) * (1.0 + CAREFUL):
        return False
    if plan.trailing_stop > 0.0 and low <= max(name.peak, high) * (1.0 - plan.trailing_stop):
        return False
    return not (plan.take_profit > 0.0 and high * shares >= paid * (1.0 + plan.take_profit) * (1.0 - CAREFUL))


@njit_bare
def coast(state: State, inputs: Inputs, events: Records, plan: Record, equity: Ints, cash: Ints, start: int) -> int:
    """Fold quiet bars from `start` on; returns the first that is not quiet, or T."""
    account = state.account
    stops = plan.stop_loss > 0.0 or plan.take_profit > 0.0 or plan.trailing_stop > 0.0
    last = len(inputs.dates)
    if account[EVENT] < len(events):
        last = min(last, events[account[EVENT]].bar)
    active, columns = account[N_ACTIVE], inputs.targets.shape[1]
    receivable, settled, next_1, next_2 = account[RECEIVABLE], account[SETTLED], account[NEXT_1], account[NEXT_2]
    held_cash, peak, worth, day = cash_of(state), account[PEAK_EQUITY], account[EQUITY], account[DAY]
    day_start, row, new_session = account[DAY_START], account[PREV_ROW], account[NEW_SESSION]
    session_bar = account[SESSION_BAR]
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
        total = held_cash + receivable
        for i in range(active):
            s = state.names[i].active
            name = state.names[s]
            held = owned(name)
            if held != 0:
                total += money(inputs.close[t, s], held, plan.unit)
                if stops and inputs.flags[t, s] & TRADED and not _no_stop_near(state, inputs, plan, t, s):
                    quiet = False
        if not quiet:
            break
        if plan.trailing_stop > 0.0:
            for i in range(active):
                name = state.names[state.names[i].active]
                if owned(name) != 0 and inputs.flags[t, state.names[i].active] & TRADED:
                    name.peak = max(name.peak, inputs.high[t, state.names[i].active])
        new_session, session_bar = 0, session_bar + 1
        if inputs.dates[t].day != day:
            day, day_start, row, new_session = inputs.dates[t].day, worth, t - 1, 1
            session_bar = 0
            settled, next_1, next_2 = settled + next_1, next_2, 0
        worth = total
        peak = max(peak, worth)
        equity[t] = worth
        cash[t] = held_cash
        t += 1
    account[SETTLED], account[NEXT_1], account[NEXT_2] = settled, next_1, next_2
    account[PEAK_EQUITY], account[EQUITY], account[DAY], account[DAY_START] = peak, worth, day, day_start
    account[PREV_ROW], account[NEW_SESSION] = row, new_session
    account[SESSION_BAR] = session_bar
    account[BARS] += t - start
    return t
