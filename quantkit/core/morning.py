"""The morning of a bar: what a new session brings, corporate actions, deposits, ends of listings.

Contract: step 1 of `docs/execution.md`, pure steps over `State` like those of `account`; money is int64 minor units,
nothing is allocated. What comes later than its ex-date waits in `State.pays`: money (symbol -1), or shares of one name.
"""

from __future__ import annotations

import numpy as np

from quantkit.core.account import apply, cash_of, money, owned, previous_close, write_fill, write_order
from quantkit.core.state import (
    BARS,
    BLOCKED,
    BUY,
    CASH_BEFORE,
    DAILY_LOSS_LATCH,
    DAY,
    DAY_START,
    ENTRY_BORROW,
    ENTRY_DIVIDEND,
    ENTRY_INTEREST,
    ENTRY_RIGHTS,
    ENTRY_SPINOFF,
    ENTRY_UNKNOWN,
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
    N_ORDERS,
    N_PAY,
    NEW_SESSION,
    NEXT_1,
    NEXT_2,
    NEXT_ID,
    NO_REASON,
    PEAK_EQUITY,
    PREV_ROW,
    QUIET,
    RECEIVABLE,
    RULE_DELISTING,
    SELL,
    SESSION_BAR,
    SET_CHANGED,
    SETTLED,
    SHORT_VALUE,
    UNMET,
    WAITING,
    Inputs,
    Log,
    Record,
    Records,
    State,
    i64,
)
from quantkit.jit import njit_bare, njit_call

NOBODY = -1  # the symbol of money on its way


@njit_bare
def write_entry(log: Log, bar: int, s: int, kind: int, share_delta: int, cash: int, tax: int, assumed: int) -> None:
    """One row of the account's entries that are no fills: an action on a name held, interest."""
    k = log.used[2]
    row = log.actions[k]
    row.bar = bar
    row.symbol = s
    row.kind = kind
    row.share_delta = share_delta
    row.cash = cash
    row.tax = tax
    row.assumed = assumed
    log.used[2] = k + 1


@njit_call
def _drop_pay(state: State, k: int) -> None:
    """Take one entry off the list of what is on its way; the list stays dense."""
    last = state.account[N_PAY] - 1
    state.pays[k].day = state.pays[last].day
    state.pays[k].amount = state.pays[last].amount
    state.pays[k].symbol = state.pays[last].symbol
    state.pays[k].shares = state.pays[last].shares
    state.account[N_PAY] = last


@njit_call
def _receive(state: State) -> None:
    """Let what is due by now arrive: money in cash, new shares among those that can be sold."""
    account = state.account
    k = 0
    while k < account[N_PAY]:
        pay = state.pays[k]
        if pay.day > account[DAY]:
            k += 1
            continue
        account[SETTLED] += pay.amount
        account[RECEIVABLE] -= pay.amount
        if pay.symbol >= 0:
            name = state.names[pay.symbol]
            name.shares += pay.shares
            name.due -= pay.shares
            account[UNMET] = 1
        _drop_pay(state, k)


@njit_bare
def _place_for(state: State, day: int, s: int) -> int:
    """The entry for what comes on this day (s: a name, or NOBODY for money), made if need be; -1: the list is full."""
    count = state.account[N_PAY]
    for k in range(count):
        if state.pays[k].day == day and state.pays[k].symbol == s:
            return k
    if count == len(state.pays):
        return i64(-1)
    pay = state.pays[count]
    pay.day = day
    pay.amount = 0
    pay.symbol = s
    pay.shares = 0
    state.account[N_PAY] = count + 1
    return count


@njit_call
def _owe(state: State, amount: int, pay_day: int) -> None:
    """Book money on its ex-date: now, or receivable until it is paid (a full list pays at once)."""
    account = state.account
    k = i64(-1)
    if pay_day > account[DAY]:
        k = _place_for(state, pay_day, i64(NOBODY))
    if k < 0:
        account[SETTLED] += amount
    else:
        account[RECEIVABLE] += amount
        state.pays[k].amount += amount


@njit_call
def _owe_shares(state: State, s: int, shares: int, pay_day: int) -> None:
    """Book new shares that are listed later: owned from now on, not to be sold before."""
    name = state.names[s]
    k = i64(-1)
    if shares > 0 and pay_day > state.account[DAY]:
        k = _place_for(state, pay_day, s)
    if k < 0:
        name.shares += shares
    else:
        name.due += shares
        state.pays[k].shares += shares


@njit_bare
def _scaled(shares: int, ratio: float) -> int:
    """Whole shares of `shares` x `ratio`, cut toward none."""
    size = i64(np.floor(abs(shares) * ratio + 1e-9))
    return size if shares >= 0 else -size


@njit_call
def _scale_shares(state: State, events: Records, s: int, e: int, ratio: float) -> float:
    """Multiply shares, what is due of them, goal and waiting orders; returns the fraction of a share left over."""
    name, account = state.names[s], state.account
    before = owned(name)
    if events[e].receivable and ratio > 1.0 and before > 0:
        _owe_shares(state, s, _scaled(before, ratio) - before, events[e].pay_day)
    else:
        name.shares = _scaled(name.shares, ratio)
        if name.due != 0:
            name.due = 0
            for k in range(account[N_PAY]):
                if state.pays[k].symbol == s:
                    state.pays[k].shares = _scaled(state.pays[k].shares, ratio)
                    name.due += state.pays[k].shares
    name.goal = _scaled(name.goal, ratio)
    account[UNMET], account[QUIET] = 1, 0
    for k in range(account[N_ORDERS]):
        working = state.orders[k]
        if working.symbol == s:
            working.qty = _scaled(working.qty, ratio)
            working.want = _scaled(working.want, ratio)
            working.filled = _scaled(working.filled, ratio)
    left = before * ratio - owned(name)
    return left if abs(left) > 1e-9 else 0.0


@njit_call
def _cash_of_action(
    state: State, inputs: Inputs, events: Records, plan: Record, t: int, e: int, ratio: float, factor: float
) -> tuple[int, int]:
    """(money for the shares held, tax withheld of it): a dividend, a right or a part of the company that is sold."""
    s = events[e].symbol
    name = state.names[s]
    before = owned(name)
    kind, each = events[e].value, events[e].cash
    if each == 0.0 and kind in (ENTRY_RIGHTS, ENTRY_SPINOFF):
        last = previous_close(state, inputs, t, s)
        each = max(last - last / factor * ratio, 0.0)
    if not each > 0.0 or before == 0:
        return i64(0), i64(0)
    if before < 0:  # who sold short pays it, in full
        return -money(each, -before, plan.unit), i64(0)
    gross = money(each, before, plan.unit)
    tax = i64(np.floor(gross * plan.dividend_tax[name.market] + 1e-6)) if kind == ENTRY_DIVIDEND else i64(0)
    return gross - tax, tax


@njit_call
def _rebase_orders(state: State, s: int, factor: float) -> None:
    """Bring the prices of a name's own orders to today's."""
    state.account[QUIET] = 0
    for k in range(state.account[N_ORDERS]):
        working = state.orders[k]
        if working.symbol == s and working.own:
            working.limit /= factor
            working.stop /= factor
            working.extreme /= factor


@njit_call
def _corporate_action(state: State, inputs: Inputs, events: Records, plan: Record, log: Log, t: int, e: int) -> None:
    """Apply one action to shares, goal, waiting orders, entry price and reference price."""
    account = state.account
    s, kind = events[e].symbol, events[e].value
    name = state.names[s]
    ratio, factor = events[e].share_ratio, events[e].price_factor
    if ratio != ratio:
        ratio = factor
    if factor != factor:
        factor = ratio
    if name.base_day != account[DAY]:
        name.base_factor = 1.0
        name.base_day = account[DAY]
    name.base_factor *= factor
    before = owned(name)
    cash, tax = _cash_of_action(state, inputs, events, plan, t, e, ratio, factor)
    assumed = 1 if kind == ENTRY_UNKNOWN or (cash != 0 and events[e].cash == 0.0) else 0
    if ratio != 1.0:
        part = _scale_shares(state, events, s, e, ratio)
        if part != 0.0:
            value = money(previous_close(state, inputs, t, s) / factor * abs(part), i64(BUY), plan.unit)
            cash += value if part > 0.0 else -value
    if cash != 0:
        _owe(state, cash, events[e].pay_day)
    name.entry_qty *= factor
    name.peak /= factor
    if name.high >= name.low:  # of the session before: actions come with a session's first bar
        name.range = name.high - name.low
        name.high, name.low = -np.inf, np.inf
    name.range /= factor
    name.last_entry /= factor
    if name.resting > 0 and factor != 1.0:
        _rebase_orders(state, s, factor)
    if before != 0:
        if owned(name) == 0:
            name.exit_bar = account[BARS]
        write_entry(log, account[BARS], s, kind, owned(name) - before, cash, tax, i64(assumed))


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
    """Close the position in a name that left the list, at its last close, with the shares still on their way."""
    account = state.account
    name = state.names[s]
    k = 0
    while k < account[N_PAY]:
        if state.pays[k].symbol == s:
            _drop_pay(state, k)
        else:
            k += 1
    name.shares += name.due
    name.due = 0
    if name.shares == 0:
        return
    side, quantity = i64(SELL) if name.shares > 0 else i64(BUY), abs(name.shares)
    bar, order = account[BARS], account[NEXT_ID]
    price = previous_close(state, inputs, t, s)
    value = money(price, quantity, plan.unit)
    none, rule = i64(0), i64(RULE_DELISTING)
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
            s = events[e].symbol
            if owned(state.names[s]) != 0:
                _settle_delisted(state, inputs, plan, log, t, s)
            _forget(state, s)


@njit_call
def _accrue(state: State, plan: Record, log: Log, days: int) -> None:
    """Interest on the settled cash, and the fee for borrowed shares, for the calendar days since the last session."""
    account, none, earned = state.account, i64(0), i64(0)
    if plan.interest > 0.0 and account[SETTLED] > 0:
        earned = i64(np.floor(account[SETTLED] * plan.interest * days / 365.0 + 1e-6))
    fee = i64(np.floor(account[SHORT_VALUE] * plan.borrow * days / 365.0 + 1e-6))
    account[SETTLED] += earned - fee
    if earned > 0:
        write_entry(log, account[BARS], i64(NOBODY), i64(ENTRY_INTEREST), none, earned, none, none)
    if fee > 0:
        write_entry(log, account[BARS], i64(NOBODY), i64(ENTRY_BORROW), none, -fee, none, none)


@njit_bare
def open_bar(state: State, inputs: Inputs, events: Records, plan: Record, log: Log, t: int, rare: int | None) -> None:
    """Step 1: the new session, the bar's events, names that are gone."""
    account = state.account
    if inputs.dates[t].day != account[DAY]:
        if rare is not None and account[BARS] > 0:
            _accrue(state, plan, log, inputs.dates[t].day - account[DAY])
        if account[NEXT_1] != 0 or account[NEXT_2] != 0:
            account[SETTLED] += account[NEXT_1]
            account[NEXT_1] = account[NEXT_2]
            account[NEXT_2] = 0
        account[DAY] = inputs.dates[t].day
        account[DAY_START] = account[EQUITY]
        if account[LATCH] != 0:
            account[LATCH] &= ~DAILY_LOSS_LATCH
        account[NEW_SESSION] = 1
        account[SESSION_BAR] = 0
        account[PREV_ROW] = t - 1
        if t == 0:
            for s in range(len(state.names)):
                name = state.names[s]
                name.session_close = name.last_close
        for k in range(account[N_ORDERS]):  # a new order-day of commissions
            state.orders[k].value = 0
            state.orders[k].fee = 0
        if rare is not None and account[N_PAY] > 0:
            _receive(state)
    else:
        account[NEW_SESSION] = 0
        account[SESSION_BAR] += 1
    if rare is not None:
        _events(state, inputs, events, plan, log, t)
    if account[N_ORDERS] > 0 or plan.fill_kind == KIND_SAME_CLOSE:
        account[CASH_BEFORE] = cash_of(state)
