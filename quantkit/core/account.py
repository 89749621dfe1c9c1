"""Fill to cash and shares, the morning of a bar, and its closing mark.

Contract: pure steps over `State`; money is int64 minor units; nothing is allocated. `apply` books a fill whoever made
it: the simulator here, a broker live. The steps are those of `docs/execution.md`, under the same names.
"""

from __future__ import annotations

import numpy as np

from quantkit.core.state import (
    BARS,
    BLOCKED,
    CASH_BEFORE,
    CLOSE_ENTRY,
    DAILY_LOSS_LATCH,
    DAY,
    DAY_START,
    DRAWDOWN_LATCH,
    EQUITY,
    EVENT,
    EVENT_ACTION,
    EVENT_DEPOSIT,
    IN,
    KIND_DELISTING,
    LATCH,
    N_ACTIVE,
    N_ORDERS,
    N_PAY,
    NEW_SESSION,
    NEXT_1,
    NEXT_2,
    NEXT_ID,
    OPEN_ENTRY,
    PEAK_EQUITY,
    PREV_ROW,
    RECEIVABLE,
    RULE_CLOSE,
    RULE_DELISTING,
    RULE_OPEN,
    RULE_SAME_CLOSE,
    RULE_STOP,
    RULE_TAKE_GAP,
    SETTLED,
    UNKNOWN_ACTIONS,
    WAITING,
    Events,
    Inputs,
    Log,
    Plan,
    State,
)
from quantkit.data.bars import LISTED
from quantkit.jit import njit

__all__ = ["activate", "apply", "cash_of", "commission_of", "mark", "money", "open_bar", "tax_of"]


@njit
def money(price: float, quantity: int, unit: float) -> int:
    """Value in minor units, rounded to the nearest."""
    return np.int64(np.floor(price * quantity * unit + 0.5))


@njit
def commission_of(plan: Plan, market: int, value: int) -> int:
    """Commission on one fill worth `value`, minor units, cut as the broker cuts it."""
    if value == 0:
        return np.int64(0)
    raw = value * plan.commission[market] + plan.fixed
    if raw < plan.minimum:
        raw = plan.minimum
    return np.int64(np.floor((raw + 1e-6) / plan.truncate_to) * plan.truncate_to)


@njit
def tax_of(plan: Plan, market_rate: float, value: int) -> int:
    """Tax on a sale worth `value`, cut to the minor unit."""
    rate = plan.tax if plan.tax >= 0.0 else market_rate
    return np.int64(np.floor(value * rate + 1e-6))


@njit
def cash_of(state: State) -> int:
    """All cash, settled or on its way: what can be spent."""
    return state.account[SETTLED] + state.account[NEXT_1] + state.account[NEXT_2]


@njit
def activate(state: State, s: int) -> None:
    """Put a name on the list that every bar looks at."""
    if state.slot[s] < 0:
        place = state.account[N_ACTIVE]
        state.active[place] = s
        state.slot[s] = place
        state.account[N_ACTIVE] = place + 1


@njit
def apply(
    state: State, s: int, side: int, quantity: int, price: float, value: int, commission: int, tax: int, rule: int
) -> None:
    """Book one fill, or a piece of one: cash to its settlement day, shares, entry price, and what a stop does to the goal."""
    account = state.account
    account[NEXT_2] -= side * value + commission + tax
    if side > 0:
        activate(state, s)
        if state.shares[s] == 0:
            state.entry_value[s] = 0
            state.entry_qty[s] = 0.0
            state.peak[s] = price
            if rule == RULE_CLOSE or rule == RULE_SAME_CLOSE:
                state.marks[s] |= CLOSE_ENTRY
            elif rule == RULE_OPEN:
                state.marks[s] |= OPEN_ENTRY
        state.entry_value[s] += value
        state.entry_qty[s] += quantity
        if price > state.peak[s]:
            state.peak[s] = price
    state.shares[s] += side * quantity
    if RULE_STOP <= rule <= RULE_TAKE_GAP:
        state.goal[s] = 0
        state.marks[s] |= BLOCKED
        account[WAITING] = 1
    elif rule == RULE_DELISTING:
        state.goal[s] = 0
        state.target[s] = 0.0
        state.marks[s] &= ~IN
        account[WAITING] = 1


@njit
def write_fill(
    log: Log, bar: int, s: int, side: int, quantity: int, price: float, value: int, commission: int, tax: int,
    slippage: int, order: int, rule: int, proceeds: int,
) -> None:  # fmt: skip
    """One row of fills."""
    k = log.count[0]
    log.fill_bar[k] = bar
    log.fill_symbol[k] = s
    log.fill_side[k] = side
    log.fill_quantity[k] = quantity
    log.fill_price[k] = price
    log.fill_value[k] = value
    log.fill_commission[k] = commission
    log.fill_tax[k] = tax
    log.fill_slippage[k] = slippage
    log.fill_order[k] = order
    log.fill_rule[k] = rule
    log.fill_proceeds[k] = proceeds
    log.count[0] = k + 1


@njit
def write_order(
    log: Log, order: int, bar: int, s: int, side: int, quantity: int, filled: int, kind: int, status: int, reason: int,
    done: int,
) -> None:  # fmt: skip
    """One row of orders, written when the order's life ends."""
    k = log.count[1]
    log.order_id[k] = order
    log.order_bar[k] = bar
    log.order_symbol[k] = s
    log.order_side[k] = side
    log.order_quantity[k] = quantity
    log.order_filled[k] = filled
    log.order_kind[k] = kind
    log.order_status[k] = status
    log.order_reason[k] = reason
    log.order_done[k] = done
    log.count[1] = k + 1


@njit
def previous_close(state: State, inputs: Inputs, t: int, s: int) -> float:
    """Close of the bar before, which may lie in the chunk before."""
    return inputs.close[t - 1, s] if t > 0 else state.last_close[s]


@njit
def _pay_dividends(state: State) -> None:
    """Move what is due from receivable to cash; the list stays dense."""
    account = state.account
    k = 0
    while k < account[N_PAY]:
        if state.pay_day[k] <= account[DAY]:
            account[SETTLED] += state.pay_amount[k]
            account[RECEIVABLE] -= state.pay_amount[k]
            last = account[N_PAY] - 1
            state.pay_day[k] = state.pay_day[last]
            state.pay_amount[k] = state.pay_amount[last]
            account[N_PAY] = last
        else:
            k += 1


@njit
def _owe_dividend(state: State, amount: int, pay_day: int) -> None:
    """Book a dividend on its ex-date; one entry for each pay date."""
    account = state.account
    if pay_day <= account[DAY]:
        account[SETTLED] += amount
        return
    account[RECEIVABLE] += amount
    place = account[N_PAY]
    for k in range(account[N_PAY]):
        if state.pay_day[k] == pay_day:
            place = k
    if place == account[N_PAY]:
        if place == len(state.pay_day):  # 512 pay dates are outstanding: join the last one
            place -= 1
        else:
            account[N_PAY] += 1
            state.pay_day[place] = pay_day
            state.pay_amount[place] = 0
    state.pay_amount[place] += amount


@njit
def _corporate_action(
    state: State, inputs: Inputs, events: Events, plan: Plan, log: Log, t: int, e: int
) -> None:
    """Apply one action to shares, goal, waiting orders, entry price and reference price."""
    account = state.account
    s = events.symbol[e]
    ratio, factor = events.share_ratio[e], events.price_factor[e]
    unknown = 0
    if ratio != ratio:
        unknown = 1
        ratio = 1.0 / factor
    if factor != factor:
        factor = 1.0 / ratio
    if state.base_day[s] != account[DAY]:
        state.base_factor[s] = 1.0
        state.base_day[s] = account[DAY]
    state.base_factor[s] *= factor
    held = state.shares[s]
    cash = np.int64(0)
    if held > 0 and events.cash[e] > 0.0:
        cash = money(events.cash[e], held, plan.unit)
        _owe_dividend(state, cash, events.pay_day[e])
    if ratio != 1.0:
        exact = held * ratio
        state.shares[s] = np.int64(np.floor(exact + 1e-9))
        part = exact - state.shares[s]
        if part > 1e-9:
            value = money(previous_close(state, inputs, t, s) * factor * part, 1, plan.unit)
            account[SETTLED] += value
            cash += value
        state.goal[s] = np.int64(np.floor(state.goal[s] * ratio + 1e-9))
        for k in range(account[N_ORDERS]):
            if state.order_symbol[k] == s:
                state.order_qty[k] = np.int64(np.floor(state.order_qty[k] * ratio + 1e-9))
                state.order_want[k] = np.int64(np.floor(state.order_want[k] * ratio + 1e-9))
    state.entry_qty[s] /= factor
    state.peak[s] *= factor
    if held != 0:
        k = log.count[2]
        log.action_bar[k] = account[BARS]
        log.action_symbol[k] = s
        log.action_shares[k] = state.shares[s] - held
        log.action_cash[k] = cash
        log.action_unknown[k] = unknown
        log.count[2] = k + 1
        account[UNKNOWN_ACTIONS] += unknown


@njit
def _settle_delisted(state: State, inputs: Inputs, plan: Plan, log: Log, t: int) -> None:
    """Close positions in names that left the list, at their last close."""
    account = state.account
    bar = account[BARS]
    for i in range(account[N_ACTIVE]):
        s = state.active[i]
        if state.shares[s] > 0 and (inputs.flags[t, s] & LISTED) == 0:
            price = previous_close(state, inputs, t, s)
            quantity = state.shares[s]
            value = money(price, quantity, plan.unit)
            order = account[NEXT_ID]
            account[NEXT_ID] += 1
            apply(state, s, -1, quantity, price, value, 0, 0, RULE_DELISTING)
            write_fill(log, bar, s, -1, quantity, price, value, 0, 0, 0, order, RULE_DELISTING, 0)
            write_order(log, order, bar, s, -1, quantity, quantity, KIND_DELISTING, 1, 0, bar)


@njit
def open_bar(state: State, inputs: Inputs, events: Events, plan: Plan, log: Log, t: int) -> None:
    """Step 1: the new session, the bar's events, names that are gone."""
    account = state.account
    if inputs.day[t] != account[DAY]:
        account[SETTLED] += account[NEXT_1]
        account[NEXT_1] = account[NEXT_2]
        account[NEXT_2] = 0
        account[DAY] = inputs.day[t]
        account[DAY_START] = account[EQUITY]
        account[LATCH] &= ~DAILY_LOSS_LATCH
        account[NEW_SESSION] = 1
        account[PREV_ROW] = t - 1
        if t == 0:
            state.session_close[:] = state.last_close
        if account[N_PAY] > 0:
            _pay_dividends(state)
    else:
        account[NEW_SESSION] = 0
    while account[EVENT] < len(events.bar) and events.bar[account[EVENT]] == t:
        e = account[EVENT]
        account[EVENT] += 1
        if events.kind[e] == EVENT_DEPOSIT:
            amount = money(events.cash[e], 1, plan.unit)
            account[SETTLED] += amount
            account[DAY_START] += amount
            account[PEAK_EQUITY] += amount
        elif events.kind[e] == EVENT_ACTION:
            _corporate_action(state, inputs, events, plan, log, t, e)
        else:
            state.market[events.symbol[e]] = events.value[e]
    _settle_delisted(state, inputs, plan, log, t)
    account[CASH_BEFORE] = cash_of(state)


@njit
def mark(state: State, inputs: Inputs, plan: Plan, t: int) -> None:
    """Step 7: equity at the close, the peaks of trailing stops, the loss limits."""
    account = state.account
    equity = cash_of(state) + account[RECEIVABLE]
    for i in range(account[N_ACTIVE]):
        s = state.active[i]
        held = state.shares[s]
        if held != 0:
            equity += money(inputs.close[t, s], held, plan.unit)
            if plan.trailing_stop > 0.0 and state.marks[s] & CLOSE_ENTRY == 0:
                state.peak[s] = max(state.peak[s], inputs.high[t, s])
            state.marks[s] &= ~(OPEN_ENTRY | CLOSE_ENTRY)
    account[EQUITY] = equity
    if equity > account[PEAK_EQUITY]:
        account[PEAK_EQUITY] = equity
    if account[DAY_START] - equity > plan.max_daily_loss * account[DAY_START]:
        account[LATCH] |= DAILY_LOSS_LATCH
    if account[PEAK_EQUITY] - equity > plan.max_drawdown * account[PEAK_EQUITY]:
        account[LATCH] |= DRAWDOWN_LATCH
