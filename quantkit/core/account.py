"""Fill to cash and shares, the morning of a bar, and its closing mark.

Contract: pure steps over `State`; money is int64 minor units; nothing is allocated. `apply` books a fill whoever made
it: the simulator here, a broker live. The steps are those of `docs/execution.md`, under the same names.
"""

from __future__ import annotations

import numpy as np

from quantkit.core.state import (
    BARS,
    BLOCKED,
    BUY,
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
    EVENT_MARKET,
    FILLED,
    IN,
    KIND_DELISTING,
    KIND_SAME_CLOSE,
    LATCH,
    N_ACTIVE,
    N_ORDERS,
    N_PAY,
    NEW_SESSION,
    NEXT_1,
    NEXT_2,
    NEXT_ID,
    NO_REASON,
    OPEN_ENTRY,
    PEAK_EQUITY,
    PREV_ROW,
    RECEIVABLE,
    RULE_CLOSE,
    RULE_CONDITIONAL,
    RULE_DELISTING,
    RULE_OPEN,
    RULE_SAME_CLOSE,
    RULE_STOP,
    RULE_TAKE_GAP,
    RULE_VWAP,
    SELL,
    SET_CHANGED,
    SETTLED,
    UNMET,
    WAITING,
    Inputs,
    Log,
    Record,
    Records,
    State,
    i64,
)
from quantkit.data.bars import TRADED
from quantkit.jit import njit_bare, njit_call

__all__ = ["activate", "apply", "cash_of", "commission_of", "mark", "money", "more_commission", "open_bar", "tax_of"]


@njit_bare
def money(price: float, quantity: int, unit: float) -> int:
    """Value in minor units, rounded to the nearest."""
    return i64(np.floor(price * quantity * unit + 0.5))


@njit_bare
def commission_of(plan: Record, market: int, value: int) -> int:
    """Commission on one fill worth `value`, minor units, cut as the broker cuts it."""
    if value == 0:
        return i64(0)
    raw = value * plan.commission[market] + plan.fixed
    if raw < plan.minimum:
        raw = plan.minimum
    return i64(np.floor((raw + 1e-6) / plan.truncate_to) * plan.truncate_to)


@njit_bare
def more_commission(plan: Record, working: Record, market: int, value: int) -> int:
    """Commission on a further fill of an order worth `value`: its own, or what it adds to that of the order's session.

    `working` is the order's record; whoever books the fill adds `value` and the answer to its `value` and `fee`.
    """
    if plan.per_order_day == 0:
        return commission_of(plan, market, value)
    return commission_of(plan, market, working.value + value) - working.fee


@njit_bare
def tax_of(plan: Record, market_rate: float, value: int) -> int:
    """Tax on a sale worth `value`, cut to the minor unit."""
    rate = plan.tax if plan.tax >= 0.0 else market_rate
    return i64(np.floor(value * rate + 1e-6))


@njit_bare
def cash_of(state: State) -> int:
    """All cash, settled or on its way: what can be spent."""
    return state.account[SETTLED] + state.account[NEXT_1] + state.account[NEXT_2]


@njit_bare
def activate(state: State, s: int) -> None:
    """Put a name on the list that every bar looks at."""
    name = state.names[s]
    if name.slot < 0:
        place = state.account[N_ACTIVE]
        state.names[place].active = s
        name.slot = place
        state.account[N_ACTIVE] = place + 1


@njit_call
def apply(
    state: State, s: int, side: int, quantity: int, price: float, value: int, commission: int, tax: int, rule: int
) -> None:
    """Book one fill, or a piece of one: cash to its settlement day, shares, entry price, a stop's end of the goal."""
    name = state.names[s]
    account = state.account
    account[NEXT_2] -= side * value + commission + tax
    account[UNMET] = 1
    if side > 0:
        activate(state, s)
        if name.shares == 0:
            name.entry_value = 0
            name.entry_qty = 0.0
            name.peak = price
            if rule in (RULE_CLOSE, RULE_SAME_CLOSE, RULE_VWAP, RULE_CONDITIONAL):
                name.marks |= CLOSE_ENTRY
            elif rule == RULE_OPEN:
                name.marks |= OPEN_ENTRY
        name.entry_value += value
        name.entry_qty += quantity
        if price > name.peak:
            name.peak = price
    name.shares += side * quantity
    if RULE_STOP <= rule <= RULE_TAKE_GAP:
        name.goal = 0
        if state.target[s] != 0.0:
            name.marks |= BLOCKED
        account[WAITING] = 1


@njit_call
def write_fill(
    log: Log, bar: int, s: int, side: int, quantity: int, price: float, value: int, commission: int, tax: int,
    slippage: int, order: int, rule: int, proceeds: int, ambiguous: int,
) -> None:  # fmt: skip
    """One row of fills."""
    k = log.used[0]
    row = log.fills[k]
    row.bar = bar
    row.symbol = s
    row.side = side
    row.quantity = quantity
    row.price = price
    row.value = value
    row.commission = commission
    row.tax = tax
    row.slippage = slippage
    row.order_id = order
    row.rule = rule
    row.from_proceeds = proceeds
    row.ambiguous = ambiguous
    log.used[0] = k + 1


@njit_call
def write_order(
    log: Log, order: int, bar: int, s: int, side: int, quantity: int, filled: int, kind: int, status: int, reason: int,
    done: int, tag: int,
) -> None:  # fmt: skip
    """One row of orders, written when the order's life ends."""
    k = log.used[1]
    row = log.orders[k]
    row.order_id = order
    row.bar = bar
    row.symbol = s
    row.side = side
    row.quantity = quantity
    row.filled = filled
    row.kind = kind
    row.status = status
    row.reason = reason
    row.done_bar = done
    row.tag = tag
    log.used[1] = k + 1


@njit_bare
def previous_close(state: State, inputs: Inputs, t: int, s: int) -> float:
    """Close of the bar before, which may lie in the chunk before."""
    return inputs.close[t - 1, s] if t > 0 else state.names[s].last_close


@njit_call
def _pay_dividends(state: State) -> None:
    """Move what is due from receivable to cash; the list stays dense."""
    account = state.account
    k = 0
    while k < account[N_PAY]:
        if state.pays[k].day <= account[DAY]:
            account[SETTLED] += state.pays[k].amount
            account[RECEIVABLE] -= state.pays[k].amount
            last = account[N_PAY] - 1
            state.pays[k].day = state.pays[last].day
            state.pays[k].amount = state.pays[last].amount
            account[N_PAY] = last
        else:
            k += 1


@njit_bare
def _owe_dividend(state: State, amount: int, pay_day: int) -> None:
    """Book a dividend on its ex-date; one entry for each pay date."""
    account = state.account
    if pay_day <= account[DAY]:
        account[SETTLED] += amount
        return
    account[RECEIVABLE] += amount
    place = account[N_PAY]
    for k in range(account[N_PAY]):
        if state.pays[k].day == pay_day:
            place = k
    if place == account[N_PAY]:
        if place == len(state.pays):  # 512 pay dates are outstanding: join the last one
            place -= 1
        else:
            account[N_PAY] += 1
            state.pays[place].day = pay_day
            state.pays[place].amount = 0
    state.pays[place].amount += amount


@njit_call
def _corporate_action(state: State, inputs: Inputs, events: Records, plan: Record, log: Log, t: int, e: int) -> None:
    """Apply one action to shares, goal, waiting orders, entry price and reference price."""
    account = state.account
    s = events[e].symbol
    name = state.names[s]
    ratio, factor = events[e].share_ratio, events[e].price_factor
    unknown = 0
    if ratio != ratio:
        unknown = 1
        ratio = factor
    if factor != factor:
        factor = ratio
    if name.base_day != account[DAY]:
        name.base_factor = 1.0
        name.base_day = account[DAY]
    name.base_factor *= factor
    held = name.shares
    cash = i64(0)
    if held > 0 and events[e].cash > 0.0:
        cash = money(events[e].cash, held, plan.unit)
        _owe_dividend(state, cash, events[e].pay_day)
    if ratio != 1.0:
        exact = held * ratio
        name.shares = i64(np.floor(exact + 1e-9))
        part = exact - name.shares
        if part > 1e-9:
            value = money(previous_close(state, inputs, t, s) / factor * part, i64(BUY), plan.unit)
            account[SETTLED] += value
            cash += value
        name.goal = i64(np.floor(name.goal * ratio + 1e-9))
        account[UNMET] = 1
        for k in range(account[N_ORDERS]):
            working = state.orders[k]
            if working.symbol == s:
                working.qty = i64(np.floor(working.qty * ratio + 1e-9))
                working.want = i64(np.floor(working.want * ratio + 1e-9))
                working.filled = i64(np.floor(working.filled * ratio + 1e-9))
    name.entry_qty *= factor
    name.peak /= factor
    name.range /= factor
    if name.resting > 0 and factor != 1.0:
        for k in range(account[N_ORDERS]):
            working = state.orders[k]
            if working.symbol == s and working.own:
                working.limit /= factor
                working.stop /= factor
                working.extreme /= factor
    if held != 0:
        k = log.used[2]
        row = log.actions[k]
        row.bar = account[BARS]
        row.symbol = s
        row.share_delta = name.shares - held
        row.cash = cash
        row.unknown = unknown
        log.used[2] = k + 1


@njit_bare
def _forget(state: State, s: int) -> None:
    """A name that left the list has no goal, no place and no block."""
    name = state.names[s]
    if name.marks & IN:
        state.account[SET_CHANGED] = 1
        state.account[WAITING] = 1
    name.goal = 0
    name.marks &= ~(IN | BLOCKED)
    state.target[s] = 0.0


@njit_call
def _settle_delisted(state: State, inputs: Inputs, plan: Record, log: Log, t: int, s: int) -> None:
    """Close the position in a name that left the list, at its last close."""
    account = state.account
    bar, order, quantity = account[BARS], account[NEXT_ID], state.names[s].shares
    price = previous_close(state, inputs, t, s)
    value = money(price, quantity, plan.unit)
    none, side, rule = i64(0), i64(SELL), i64(RULE_DELISTING)
    account[NEXT_ID] += 1
    apply(state, s, side, quantity, price, value, none, none, rule)
    write_fill(log, bar, s, side, quantity, price, value, none, none, none, order, rule, none, none)
    kind, status = i64(KIND_DELISTING), i64(FILLED)
    write_order(log, order, bar, s, side, quantity, quantity, kind, status, i64(NO_REASON), bar, none)


@njit_call
def _events(state: State, inputs: Inputs, events: Records, plan: Record, log: Log, t: int) -> None:
    """Let the bar's events happen: deposits, corporate actions, market transfers, ends of listings."""
    account = state.account
    while account[EVENT] < len(events) and events[account[EVENT]].bar == t:
        e = account[EVENT]
        account[EVENT] += 1
        if events[e].kind == EVENT_DEPOSIT:
            amount = money(events[e].cash, i64(BUY), plan.unit)
            account[SETTLED] += amount
            account[DAY_START] += amount
            account[PEAK_EQUITY] += amount
        elif events[e].kind == EVENT_ACTION:
            _corporate_action(state, inputs, events, plan, log, t, e)
        elif events[e].kind == EVENT_MARKET:
            state.names[events[e].symbol].market = events[e].value
        else:
            if state.names[events[e].symbol].shares > 0:
                _settle_delisted(state, inputs, plan, log, t, events[e].symbol)
            _forget(state, events[e].symbol)


@njit_bare
def open_bar(state: State, inputs: Inputs, events: Records, plan: Record, log: Log, t: int, rare: int | None) -> None:
    """Step 1: the new session, the bar's events, names that are gone."""
    account = state.account
    if inputs.dates[t].day != account[DAY]:
        if account[NEXT_1] != 0 or account[NEXT_2] != 0:
            account[SETTLED] += account[NEXT_1]
            account[NEXT_1] = account[NEXT_2]
            account[NEXT_2] = 0
        account[DAY] = inputs.dates[t].day
        account[DAY_START] = account[EQUITY]
        if account[LATCH] != 0:
            account[LATCH] &= ~DAILY_LOSS_LATCH
        account[NEW_SESSION] = 1
        account[PREV_ROW] = t - 1
        if t == 0:
            for s in range(len(state.names)):
                name = state.names[s]
                name.session_close = name.last_close
        for k in range(account[N_ORDERS]):  # a new order-day of commissions
            state.orders[k].value = 0
            state.orders[k].fee = 0
        if rare is not None and account[N_PAY] > 0:
            _pay_dividends(state)
    else:
        account[NEW_SESSION] = 0
    if rare is not None:
        _events(state, inputs, events, plan, log, t)
    if account[N_ORDERS] > 0 or plan.fill_kind == KIND_SAME_CLOSE:
        account[CASH_BEFORE] = cash_of(state)


@njit_bare
def mark(state: State, inputs: Inputs, plan: Record, t: int) -> None:
    """Step 7: equity at the close, the peaks of trailing stops, the loss limits."""
    account = state.account
    equity = cash_of(state) + account[RECEIVABLE]
    for i in range(account[N_ACTIVE]):
        s = state.names[i].active
        name = state.names[s]
        held = name.shares
        if held != 0:
            equity += money(inputs.close[t, s], held, plan.unit)
            if plan.trailing_stop > 0.0 and name.marks & CLOSE_ENTRY == 0 and inputs.flags[t, s] & TRADED:
                name.peak = max(name.peak, inputs.high[t, s])
            if name.marks & (OPEN_ENTRY | CLOSE_ENTRY) != 0:
                name.marks &= ~(OPEN_ENTRY | CLOSE_ENTRY)
        if plan.participation < np.inf:
            name.used = 0
    account[EQUITY] = equity
    if equity > account[PEAK_EQUITY]:
        account[PEAK_EQUITY] = equity
    if plan.max_daily_loss < np.inf and account[DAY_START] - equity > plan.max_daily_loss * account[DAY_START]:
        account[LATCH] |= DAILY_LOSS_LATCH
    if plan.max_drawdown < np.inf and account[PEAK_EQUITY] - equity > plan.max_drawdown * account[PEAK_EQUITY]:
        account[LATCH] |= DRAWDOWN_LATCH
