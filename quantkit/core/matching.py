"""Order against bar: which orders fill, at what price, and why the others do not.

Contract: `release`, `match_open`, `match_stops`, `match_close` and `expire` are steps 2 to 6 of `docs/execution.md`;
they read one bar, book fills through `account.apply` and write what they did to the log. Live replaces them by a
broker. Nothing here depends on the order of columns.
"""

from __future__ import annotations

import numpy as np

from quantkit.core.account import cash_of, commission_asked, commission_of, lots, money, write_order
from quantkit.core.orders import MUTED, PARKED, is_limit, is_print, own_filled
from quantkit.core.pricing import book_fill, day_limits, order_limit, reference_price, slipped
from quantkit.core.short import (
    buying_power,
    closes,
    cut_to_margin,
    cut_to_position,
    list_short,
    reserved_for_covers,
    take_before,
)
from quantkit.core.state import (
    AT_ANY,
    AT_CLOSE,
    AT_OPEN,
    BARS,
    BEYOND_COLLAR,
    CASH_BEFORE,
    CLOSING,
    CUT,
    DROPPED,
    FILLED,
    GONE,
    HALTED,
    KIND_CLOSE,
    KIND_CONDITIONAL,
    KIND_OPEN,
    KIND_SAME_CLOSE,
    KIND_VWAP,
    LOCKED,
    N_ORDERS,
    NEW_SESSION,
    NO_CASH,
    NO_REASON,
    NO_SHARES,
    OPENING,
    OVER_TURNOVER,
    RULE_CONDITIONAL,
    RULE_VWAP,
    STAGE_LIVE,
    STAGE_NEW,
    STAGE_OVER,
    STAGE_TRIGGERED,
    TIF_FOK,
    TIF_IOC,
    TOO_THIN,
    Inputs,
    Log,
    Record,
    State,
    i64,
)
from quantkit.data.bars import LISTED, TRADED
from quantkit.jit import njit_bare, njit_call
from quantkit.market.kernels import ceil_tick, floor_tick

SCALE, SEQUENCE = 0, 1  # indices in core.policy.SHORTFALLS; the third, reject, is what is left


@njit_call
def affordable(plan: Record, order: Record, market: int, price: float, cash: int) -> int:
    """Most shares of a buy, in whole lots, whose value and commission fit `cash`."""
    if cash <= 0:
        return i64(0)
    quantity = i64(np.floor(cash / (price * plan.unit * (1.0 + plan.commission[market])))) + 1
    while quantity > 0:
        value = money(price, quantity, plan.unit)
        over = value + commission_asked(plan, order, market, value) - cash
        if over <= 0:
            return lots(plan, market, quantity)
        quantity -= max(i64(1), i64(np.floor(over / (price * plan.unit * (1.0 + plan.commission[market])))))
    return i64(0)


@njit_call
def _cost_of_buys(state: State, plan: Record, log: Log, buys: int, ratio: float) -> int:
    """Value and commission of the waiting buys when each quantity is cut by `ratio` to whole lots."""
    total = i64(0)
    for b in range(buys):
        k = log.work[b].i
        working = state.orders[k]
        left, market = working.qty - working.filled, state.names[working.symbol].market
        quantity = lots(plan, market, i64(np.floor(left * ratio))) if ratio < 1.0 else left
        value = money(log.work[b].f, quantity, plan.unit)
        total += value + commission_asked(plan, working, market, value)
    return total


@njit_call
def _fit_by_ratio(state: State, plan: Record, log: Log, buys: int, available: int) -> None:
    """Cut all waiting buys by one ratio until their cost fits `available`."""
    needed = _cost_of_buys(state, plan, log, buys, 1.0)
    if needed <= max(available, i64(0)):
        return
    ratio = max(0.0, available / needed)
    while ratio > 0.0 and _cost_of_buys(state, plan, log, buys, ratio) > available:
        ratio = ratio * 0.999 if ratio > 1e-12 else 0.0
    for b in range(buys):
        k = log.work[b].i
        working = state.orders[k]
        left = working.qty - working.filled
        quantity = lots(plan, state.names[working.symbol].market, i64(np.floor(left * ratio)))
        if quantity < left:
            working.qty = working.filled + quantity
            working.reason = NO_CASH


@njit_call
def _fit_one_by_one(state: State, plan: Record, log: Log, buys: int, available: int) -> None:
    """ "sequence": rising value, each takes what is left; "reject": by symbol, whole or not at all."""
    for b in range(1, buys):
        k, price = log.work[b].i, log.work[b].f
        working = state.orders[k]
        value = money(price, working.qty - working.filled, plan.unit) if plan.shortfall == SEQUENCE else i64(0)
        place = b
        while place > 0:
            other = log.work[place - 1].i
            theirs = i64(0)
            if plan.shortfall == SEQUENCE:
                left = state.orders[other].qty - state.orders[other].filled
                theirs = money(log.work[place - 1].f, left, plan.unit)
            tie = state.names[state.orders[other].symbol].tie > state.names[working.symbol].tie
            if not (theirs > value or (theirs == value and tie)):
                break
            log.work[place].i = other
            log.work[place].f = log.work[place - 1].f
            place -= 1
        log.work[place].i = k
        log.work[place].f = price
    for b in range(buys):
        k, price = log.work[b].i, log.work[b].f
        working = state.orders[k]
        market = state.names[working.symbol].market
        left = working.qty - working.filled
        value = money(price, left, plan.unit)
        cost = value + commission_asked(plan, working, market, value)
        if cost > available and left > 0:
            quantity = affordable(plan, working, market, price, available) if plan.shortfall == SEQUENCE else i64(0)
            left = min(quantity, left)
            working.qty = working.filled + left
            working.reason = NO_CASH
            value = money(price, left, plan.unit)
            cost = value + commission_asked(plan, working, market, value)
        available -= cost


@njit_bare
def _fit(state: State, plan: Record, log: Log, buys: int, available: int, extra: int | None) -> None:
    if plan.shortfall == SCALE:
        _fit_by_ratio(state, plan, log, buys, available)
    if extra is not None and plan.shortfall != SCALE:
        _fit_one_by_one(state, plan, log, buys, available)


@njit_bare
def spendable(plan: Record, cash: int) -> int:
    return cash - i64(np.floor(plan.min_cash * plan.unit + 0.5))


@njit_call
def reserve_price(state: State, inputs: Inputs, plan: Record, t: int, k: int) -> float:
    """What a broker reserves for a share of a buy: its limit, else the upper price limit, else the reference."""
    order = state.orders[k]
    price = (
        order.level if order.kind > KIND_VWAP and order.level == order.level else print_limit(state, inputs, plan, t, k)
    )
    if not price < np.inf:
        price = day_limits(state, inputs, plan, t, order.symbol)[1]
    if not price < np.inf:
        price = reference_price(state, inputs, plan, t, order.symbol)
    return price


@njit_call
def release(state: State, inputs: Inputs, plan: Record, log: Log, t: int, kept: int, extra: int | None) -> int:
    """Step 2: with `funding="cash"`, cut buys to the cash held now, each reserved at its limit price.

    kept: cash that orders of before have reserved. Returns what these reserve.
    """
    if plan.funding_cash == 0 or state.account[N_ORDERS] == 0:
        return i64(0)
    buys, before = i64(0), i64(0)
    morning = state.account[NEW_SESSION]
    for k in range(state.account[N_ORDERS]):
        working = state.orders[k]
        s = working.symbol
        coming = working.at == AT_OPEN and not morning and working.until > 0  # its session has not begun
        over = working.own and (working.stage == STAGE_OVER or coming)
        if working.kind <= KIND_VWAP and working.side > 0 and inputs.flags[t, s] & LISTED and not over:
            if working.own and working.at != AT_ANY and not morning and working.bar < state.account[BARS] - 1:
                value = money(working.extreme, working.qty - working.filled, plan.unit)
                before += value + commission_of(plan, state.names[s].market, value)
                continue
            log.work[buys].i = k
            log.work[buys].f = reserve_price(state, inputs, plan, t, k)
            if working.own and working.at != AT_ANY:
                working.extreme = log.work[buys].f  # what stays reserved until the auction
            buys += 1
    kept += before
    cash, covers = cash_of(state), i64(0)
    if extra is not None and plan.shorting:
        cash = buying_power(state, inputs, plan, t, cash, i64(0))
        buys, covers = reserved_for_covers(state, plan, log, buys)
    _fit(state, plan, log, buys, spendable(plan, cash) - kept - covers, extra)
    return _cost_of_buys(state, plan, log, buys, 1.0) + covers + before


@njit_bare
def _waits(inputs: Inputs, t: int, order: Record) -> bool:
    """Whether a strategy's order is over, or waits for an auction that this bar does not hold."""
    if order.stage == STAGE_OVER or (order.stage == STAGE_NEW and order.kind != KIND_SAME_CLOSE):
        return True
    phase = inputs.dates[t].phase
    if order.kind == KIND_CONDITIONAL:
        return order.stage != STAGE_LIVE or phase & CLOSING == 0
    return (order.at == AT_OPEN and phase & OPENING == 0) or (order.at == AT_CLOSE and phase & CLOSING == 0)


@njit_bare
def _fills_here(order: Record, kind: int) -> bool:
    """Whether an order fills at the print of a kind: a conditional one joins those at the close."""
    return order.kind == kind or (kind == KIND_CLOSE and order.kind == KIND_CONDITIONAL)


@njit_bare
def _missed(state: State, inputs: Inputs, plan: Record, t: int, order: Record, print_price: float, limit: float) -> int:
    """The reason an order does not fill at a print, or 0."""
    s, side = order.symbol, order.side
    if inputs.flags[t, s] & TRADED == 0:
        return HALTED if inputs.flags[t, s] & LISTED else GONE
    lower, upper = day_limits(state, inputs, plan, t, s)
    if (side > 0 and print_price >= upper) or (side < 0 and print_price <= lower):
        return LOCKED
    if (side > 0 and print_price > limit) or (side < 0 and print_price < limit):
        return BEYOND_COLLAR
    return NO_REASON


@njit_bare
def _had_one_print(order: Record) -> bool:
    """Whether an own order that missed its print is over: an auction of a halted name may come again."""
    return order.kind != KIND_CONDITIONAL and (order.reason != HALTED or order.at != AT_CLOSE)


@njit_call
def reserved(state: State, inputs: Inputs, plan: Record, t: int, but: int, kind: int) -> int:
    """What placed buys beside that at place `but` set aside: limits that rest, and prints that are still to come once
    those of `kind` are there.
    """
    total = i64(0)
    for k in range(state.account[N_ORDERS]):
        order = state.orders[k]
        if k == but or order.side < 0 or order.qty <= order.filled or inputs.flags[t, order.symbol] & LISTED == 0:
            continue
        placed = order.own == 0 or STAGE_LIVE <= order.stage <= STAGE_TRIGGERED
        if is_print(order) and order.own and order.at == AT_OPEN:
            placed = placed and order.until <= 0 and _waits(inputs, t, order)
        elif is_print(order):
            placed = placed and order.kind > kind if kind == KIND_OPEN else placed and order.kind == KIND_CLOSE
            placed = placed and (kind != KIND_CLOSE or (order.own == 1 and _waits(inputs, t, order)))
        elif order.kind == KIND_CONDITIONAL and kind == KIND_CLOSE and not _waits(inputs, t, order):
            placed = False
        else:
            over = order.mute == PARKED or (order.mute == MUTED and order.tif in (TIF_IOC, TIF_FOK))
            placed = placed and is_limit(order) and not over and order.fresh != 2
        if placed:
            price = order.extreme if order.own and order.at != AT_ANY else reserve_price(state, inputs, plan, t, k)
            value = money(price, order.qty - order.filled, plan.unit)
            total += value + commission_of(plan, state.names[order.symbol].market, value)
    return total


@njit_call
def print_limit(state: State, inputs: Inputs, plan: Record, t: int, k: int) -> float:
    """Limit price of an order that fills at a print: a strategy's own, or the collar."""
    order = state.orders[k]
    s = order.symbol
    if order.kind == KIND_CONDITIONAL:
        return np.inf if order.side > 0 else 0.0
    if order.own and order.limit == order.limit:
        row, market = inputs.dates[t].row, state.names[s].market
        return (
            floor_tick(plan, row, market, order.limit) if order.side > 0 else ceil_tick(plan, row, market, order.limit)
        )
    return order_limit(state, inputs, plan, t, s, order.side, order.kind)


@njit_bare
def print_of(inputs: Inputs, t: int, s: int, kind: int) -> float:
    """The price of the bar that orders of a kind fill at."""
    if kind == KIND_OPEN:
        return inputs.open[t, s]
    return inputs.vwap[t, s] if kind == KIND_VWAP else inputs.close[t, s]


@njit_call
def _cut_to_volume(state: State, inputs: Inputs, plan: Record, t: int, k: int) -> None:
    """The participation cap: what a bar's volume leaves for this order."""
    order = state.orders[k]
    room = i64(np.floor(plan.participation * inputs.volume[t, order.symbol])) - state.names[order.symbol].used
    if room < order.qty - order.filled:
        order.qty = order.filled + lots(plan, state.names[order.symbol].market, max(i64(0), room))
        order.reason = TOO_THIN


@njit_bare
def _match(
    state: State,
    inputs: Inputs,
    plan: Record,
    log: Log,
    t: int,
    kind: int,
    rare: int | None,
    extra: int | None,
    book: object,
) -> None:
    """Fill the orders of one kind at the bar's open, close or average: sells, then buys."""
    account = state.account
    if account[N_ORDERS] == 0:
        return
    buys, shorts = i64(0), i64(0)
    for k in range(account[N_ORDERS]):
        working = state.orders[k]
        if not _fills_here(working, kind) or working.qty <= working.filled:
            continue
        if book is not None and working.own and _waits(inputs, t, working):
            continue
        s, side = working.symbol, working.side
        name = state.names[s]
        print_price, limit = print_of(inputs, t, s, kind), print_limit(state, inputs, plan, t, k)
        missed = _missed(state, inputs, plan, t, working, print_price, limit)
        if missed != NO_REASON:
            working.reason = missed
            if working.own and _had_one_print(working):
                working.qty = working.filled  # nothing that follows on this bar ends it otherwise
            continue
        if side < 0 and working.short == 0 and working.qty > name.shares + working.filled:
            working.qty = max(name.shares, i64(0)) + working.filled
            working.reason = NO_SHARES
        covers = False
        if extra is not None and plan.shorting:
            covers = closes(state, working)
            cut_to_position(state, working)
            if working.qty <= working.filled:
                continue
        if rare is not None and plan.participation < np.inf:
            _cut_to_volume(state, inputs, plan, t, k)
            if working.qty <= working.filled:
                continue
        price = slipped(inputs, plan, t, s, name.market, side, working.qty - working.filled, print_price, limit)
        if covers:
            cash = cash_of(state)
            _fill_print(state, inputs, plan, log, t, k, price, print_price, i64(0), book)
            take_before(state, cash - cash_of(state))
            continue
        if side > 0:
            if rare is not None:
                log.work[buys].j = working.qty - working.filled
                name.used += working.qty - working.filled
            log.work[buys].i = k
            log.work[buys].f = price
            buys += 1
            continue
        if extra is not None and working.short:
            shorts += 1
            list_short(state, log, k, price, shorts)
        elif working.qty > working.filled:
            _fill_print(state, inputs, plan, log, t, k, price, print_price, i64(0), book)
    if buys > 0 or shorts > 0:
        _match_buys(state, inputs, plan, log, t, kind, buys, shorts, rare, extra, book)


@njit_bare
def _match_buys(
    state: State, inputs: Inputs, plan: Record, log: Log, t: int, kind: int, buys: int, shorts: int, rare: int | None,
    extra: int | None, book: object,
) -> None:  # fmt: skip
    """Cut the buys listed in the work space to the cash and fill them; before, what sells short."""
    cash = min(cash_of(state), state.account[CASH_BEFORE]) if plan.funding_cash else cash_of(state)
    cash = spendable(plan, cash)
    if book is not None and plan.funding_cash:
        cash -= reserved(state, inputs, plan, t, i64(-1), kind)
    if extra is not None and plan.shorting:
        cash = cut_to_margin(state, inputs, plan, log, t, shorts, cash, kind)
        for b in range(shorts):
            k = log.work[len(log.work) - 1 - b].i
            state.names[state.orders[k].symbol].used -= log.work[len(log.work) - 1 - b].j
            if state.orders[k].qty > state.orders[k].filled:
                print_price, price = (
                    print_of(inputs, t, state.orders[k].symbol, kind),
                    log.work[len(log.work) - 1 - b].f,
                )
                _fill_print(state, inputs, plan, log, t, k, price, print_price, i64(0), book)
    if rare is not None:
        for b in range(buys):
            state.names[state.orders[log.work[b].i].symbol].used -= log.work[b].j
    _fit(state, plan, log, buys, cash, extra)
    spent = _cost_of_buys(state, plan, log, buys, 1.0)
    proceeds = i64(1) if spent > state.account[CASH_BEFORE] else i64(0)
    for b in range(buys):
        k = log.work[b].i
        if state.orders[k].qty > state.orders[k].filled:
            print_price = print_of(inputs, t, state.orders[k].symbol, kind)
            _fill_print(state, inputs, plan, log, t, k, log.work[b].f, print_price, proceeds, book)
    take_before(state, spent)


@njit_bare
def _fill_print(
    state: State, inputs: Inputs, plan: Record, log: Log, t: int, k: int, price: float, unslipped: float,
    proceeds: int, book: object,
) -> None:  # fmt: skip
    """Fill what is left of an order at a print."""
    order = state.orders[k]
    quantity, rule = order.qty - order.filled, order.kind
    if rule == KIND_VWAP:
        rule = i64(RULE_VWAP)
    elif rule == KIND_CONDITIONAL:
        rule = i64(RULE_CONDITIONAL)
    book_fill(
        state, inputs, plan, log, t, order.symbol, order.side, quantity, price, unslipped, order.id, k, rule, proceeds
    )
    order.filled += quantity
    if book is not None and order.own:
        own_filled(state, log, k, quantity)


@njit_bare
def match_open(
    state: State, inputs: Inputs, plan: Record, log: Log, t: int, rare: int | None, extra: int | None, book: object
) -> None:
    """Step 3: orders "at open"."""
    _match(state, inputs, plan, log, t, i64(KIND_OPEN), rare, extra, book)


@njit_bare
def match_close(
    state: State, inputs: Inputs, plan: Record, log: Log, t: int, rare: int | None, extra: int | None, book: object
) -> None:
    """Step 5: orders "at close" or at the average, and those of `fill="close"` on the bar they were decided on."""
    if plan.fill_kind != KIND_OPEN:
        _match(state, inputs, plan, log, t, plan.fill_kind, rare, extra, book)
    if book is not None and plan.fill_kind != KIND_CLOSE:
        _match(state, inputs, plan, log, t, i64(KIND_CLOSE), rare, extra, book)


@njit_call
def forget_used(state: State) -> None:
    """With `fill="close"` a bar's cap counts until after the decision, which may have dropped names from the list."""
    for s in range(len(state.names)):
        state.names[s].used = 0


@njit_bare
def expire(state: State, log: Log, book: object) -> None:
    """Step 6: the day's orders of goals end; each becomes a row with what it filled and why not more."""
    account = state.account
    for k in range(account[N_ORDERS]):
        working = state.orders[k]
        if book is not None and working.own:
            continue
        filled, want = working.filled, working.want
        status = FILLED if filled >= want else (CUT if filled > 0 else DROPPED)
        reason = NO_REASON if filled >= want else working.reason
        if reason != NO_REASON and (working.side > 0 or working.short or reason == OVER_TURNOVER):
            state.names[working.symbol].noted = reason
        write_order(
            log, working.id, working.bar, working.symbol, working.side, want, filled,
            working.kind, status, reason, account[BARS], working.tag,
        )  # fmt: skip
    if book is None:
        account[N_ORDERS] = 0
