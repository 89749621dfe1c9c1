"""What happens to a strategy's own orders besides filling: they go live, are looked at each morning, and end.

Contract: `open_orders`, `release_own` with `reserve`, and `expire_own` are the own orders' part of steps 1, 2 and 6 of
`docs/execution.md`. `level` is where an order acts today, on the grid; its prices stay as given.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from quantkit.core.account import cash_of, commission_of, money
from quantkit.core.context import inputs_of, log_of, plan_of, state_of
from quantkit.core.copying import copy_record
from quantkit.core.matching import affordable, reserve_price, spendable
from quantkit.core.orders import MUTED, PARKED, close_order, end_order, is_cut, is_limit, is_print
from quantkit.core.pricing import day_limits
from quantkit.core.short import buying_power, closes
from quantkit.core.state import (
    AT_CLOSE,
    AT_OPEN,
    AT_PRINTS,
    AUCTION_ONLY,
    BARS,
    CLOSING,
    ENDED,
    EXPIRED,
    GONE,
    HALTED,
    KIND_CLOSE,
    KIND_CONDITIONAL,
    KIND_FROM_OPEN,
    KIND_HELD_STOP,
    KIND_HELD_TRAIL,
    KIND_LIMIT,
    KIND_SAME_CLOSE,
    KIND_VWAP,
    N_ACTIVE,
    N_ORDERS,
    NEW_SESSION,
    NO_CASH,
    NO_REASON,
    NOT_ACCEPTED,
    OPENING,
    OUT_OF_LIMITS,
    QUIET,
    STAGE_CHILD,
    STAGE_LIVE,
    STAGE_NEW,
    STAGE_OVER,
    STAGE_TRIGGERED,
    STILL,
    TIF_FOK,
    TIF_GTC,
    TIF_IOC,
    UNCLOSED,
    i64,
)
from quantkit.data.bars import FIRST_DAY, LIQUIDATION, LISTED, TRADED
from quantkit.jit import njit_bare, njit_call
from quantkit.market.kernels import accepts, ceil_tick, floor_tick

if TYPE_CHECKING:
    from quantkit.core.context import Address


# Places in market.orders: KINDS (an IOC's FOK comes next), FOLD_PHASES.
LIMIT, CONDITIONAL, IOC, MARKET_IOC = 0, 2, 3, 5
IN_OPENING, IN_CONTINUOUS, IN_CLOSING = range(3)


@njit_bare
def open_orders(frame: Address) -> None:
    """Step 1 of own orders: a session that ended without its closing auction ends now; ranges start anew."""
    state = state_of(frame)
    account = state.account
    if account[NEW_SESSION]:
        if account[UNCLOSED]:
            end_session(frame)
        _end_auctions(frame)
        account[UNCLOSED] = 1
        for s in range(len(state.names)):
            name = state.names[s]
            if name.high >= name.low:
                name.range = name.high - name.low
            name.high, name.low = -np.inf, np.inf


@njit_call
def _end_auctions(frame: Address) -> None:
    """End the orders for an auction that never came in the session that is over."""
    state = state_of(frame)
    log = log_of(frame)
    for k in range(state.account[N_ORDERS]):
        order = state.orders[k]
        if order.own and order.at == AT_CLOSE and order.stage == STAGE_LIVE:
            close_order(state, log, k, order.reason if order.reason == HALTED else i64(EXPIRED))
        elif order.own and order.at == AT_OPEN and order.stage == STAGE_LIVE and order.until <= 0:
            still = state.names[order.symbol].marks & STILL
            close_order(state, log, k, i64(HALTED) if still else i64(EXPIRED))


@njit_call
def end_session(frame: Address) -> None:
    """One session less to live for each order that was live in this one."""
    state = state_of(frame)
    log = log_of(frame)
    state.account[UNCLOSED] = 0
    for k in range(state.account[N_ORDERS]):
        order = state.orders[k]
        live = STAGE_LIVE <= order.stage <= STAGE_TRIGGERED
        waits = order.stage == STAGE_NEW and order.until > 1 and order.kind != KIND_FROM_OPEN
        if order.own and (live or waits) and order.kind > KIND_VWAP:
            order.until -= 1
            if order.until <= 0:
                still = state.names[order.symbol].marks & STILL
                close_order(state, log, k, i64(HALTED) if still else i64(EXPIRED))


@njit_call
def level_of(frame: Address, t: int, k: int) -> float:
    """Where an order acts today: limits on the grid inward, triggers outward; NaN: not yet known."""
    state = state_of(frame)
    inputs = inputs_of(frame)
    plan = plan_of(frame)
    order = state.orders[k]
    row, market = inputs.dates[t].row, state.names[order.symbol].market
    if is_limit(order) or is_print(order):
        if order.side > 0:
            return floor_tick(plan, row, market, order.limit)
        return ceil_tick(plan, row, market, order.limit)
    price = order.stop
    if order.kind == KIND_HELD_TRAIL:
        price = order.extreme * (1.0 + order.side * order.trail)
    if order.side > 0:
        return ceil_tick(plan, row, market, price)
    return floor_tick(plan, row, market, price)


@njit_bare
def set_level(frame: Address, t: int, k: int) -> None:
    """Put an order's price of today into `level`."""
    state = state_of(frame)
    state.orders[k].level = level_of(frame, t, k)


@njit_call
def _not_accepted(frame: Address, t: int, k: int, lower: float, upper: float) -> bool:
    """Whether the exchange would refuse an order of this kind on this bar (places of `market.orders`)."""
    inputs = inputs_of(frame)
    order = state_of(frame).orders[k]
    s, phase = order.symbol, inputs.dates[t].phase
    kind, when = i64(LIMIT), i64(IN_OPENING if phase & OPENING else IN_CONTINUOUS)
    if order.tif == TIF_IOC or order.tif == TIF_FOK:
        kind = i64(IOC if order.limit == order.limit else MARKET_IOC) + i64(order.tif - TIF_IOC)
        when = i64(IN_CLOSING if phase & AUCTION_ONLY else IN_CONTINUOUS)
    elif order.kind == KIND_CONDITIONAL:
        kind = i64(CONDITIONAL)
        if (order.level >= upper) if order.side > 0 else (order.level <= lower):
            return True
    status = i64(0)
    if inputs.flags[t, s] & (LIQUIDATION | FIRST_DAY):
        status = i64(1 if inputs.flags[t, s] & LIQUIDATION else 2)
    return not accepts(plan_of(frame), inputs.dates[t].row, state_of(frame).names[s].market, kind, when, status)


@njit_call
def release_own(frame: Address, t: int) -> None:
    """Step 2 of own orders: what was decided goes live; each morning what rests is looked at again.

    Builds the list of each name's orders that this bar's path may meet (`NAME.first`, `ORDER.next`).
    """
    state = state_of(frame)
    inputs = inputs_of(frame)
    log = log_of(frame)
    account = state.account
    morning = account[NEW_SESSION] == 1
    account[AT_PRINTS] = 0
    for i in range(account[N_ORDERS]):
        state.names[state.orders[i].symbol].first = -1
    for k in range(account[N_ORDERS] - 1, -1, -1):
        order = state.orders[k]
        s = order.symbol
        if order.own == 0 or is_print(order) or order.kind == KIND_CONDITIONAL:
            account[AT_PRINTS] += 1
        if order.own == 0:  # a stop on the path may drop it
            order.next = state.names[s].first
            state.names[s].first = k
        if order.own == 0 or order.stage == STAGE_OVER:
            continue
        if inputs.flags[t, s] & LISTED == 0:
            end_order(state, log, k, i64(GONE))  # each of the name's orders for itself
            continue
        if order.qty <= order.filled and order.stage != STAGE_CHILD:  # a reduction left nothing of it
            close_order(state, log, k, i64(EXPIRED))
            continue
        fresh = order.stage == STAGE_NEW
        if fresh and order.kind == KIND_FROM_OPEN and not morning:
            continue  # it waits for the coming session
        if fresh:
            order.stage = STAGE_LIVE
        newest = order.bar == account[BARS] - 1
        fresh = fresh or (newest and order.stage != STAGE_CHILD)  # one that replaces another is placed anew
        if is_print(order):
            placed = morning if order.at == AT_OPEN else fresh
            if morning and order.at == AT_OPEN:
                order.until = 0  # the session of its auction has begun
            if placed and order.limit == order.limit and order.kind <= KIND_CLOSE:
                _look_anew(frame, t, k)
            if order.group > 0 and order.stage != STAGE_OVER:  # what a fill on the path may take shares off
                order.mute = MUTED
                order.next = state.names[s].first
                state.names[s].first = k
            continue
        if morning or order.mute != PARKED:
            if not is_cut(order.reason):
                order.reason = NO_REASON
            order.mute = 0
        order.fresh = 1 if fresh or morning or order.fresh == 2 else 0
        if fresh or morning or newest:
            _look_anew(frame, t, k)
        if order.stage != STAGE_OVER:
            if fresh or morning or order.level != order.level:
                set_level(frame, t, k)
            order.next = state.names[s].first
            state.names[s].first = k


@njit_call
def _look_anew(frame: Address, t: int, k: int) -> None:
    """The morning of an order: may it stand in today's book?"""
    state = state_of(frame)
    inputs = inputs_of(frame)
    plan = plan_of(frame)
    log = log_of(frame)
    order = state.orders[k]
    s = order.symbol
    if not is_limit(order) and not is_print(order):
        return
    set_level(frame, t, k)
    lower, upper = day_limits(state, inputs, plan, t, s)
    if _not_accepted(frame, t, k, lower, upper):
        close_order(state, log, k, i64(NOT_ACCEPTED))
    elif order.level > upper or order.level < lower:
        if order.tif == TIF_GTC:
            order.mute = PARKED
        else:
            close_order(state, log, k, i64(OUT_OF_LIMITS))


@njit_call
def reserve(frame: Address, t: int, taken: int, fresh: int, extra: int | None) -> int:
    """Step 2 with `funding="cash"`: what limit buys reserve of the cash held now, older first; what does not fit is
    cut. Returns the sum.

    fresh: 0 for orders that were placed before on this session, whose reservation stands; 1 for the others, after
    `taken` is gone.
    """
    state = state_of(frame)
    inputs = inputs_of(frame)
    plan = plan_of(frame)
    account = state.account
    left = cash_of(state)
    if extra is not None and plan.shorting:
        left = buying_power(state, inputs, plan, t, left, i64(0))
    left = spendable(plan, left) - taken
    total = i64(0)
    for k in range(account[N_ORDERS]):
        order = state.orders[k]
        if order.own == 0 or order.side < 0 or order.kind <= KIND_VWAP or order.mute == PARKED or order.fresh != fresh:
            continue
        if not is_limit(order) or not (STAGE_LIVE <= order.stage <= STAGE_TRIGGERED):
            continue
        market = state.names[order.symbol].market
        price = reserve_price(state, inputs, plan, t, k)
        quantity = order.qty - order.filled
        closing = False
        if extra is not None and plan.shorting:
            closing = closes(state, order)
        if fresh and not closing:
            quantity = min(quantity, affordable(plan, order, market, price, left))
            if quantity < order.qty - order.filled:
                quantity = quantity if order.tif != TIF_FOK else i64(0)
                order.qty = order.filled + quantity
                order.reason = NO_CASH
                if quantity == 0:  # gone now: a later fill of its parent does not bring it back
                    close_order(state, log_of(frame), k, i64(NO_CASH))
        value = money(price, quantity, plan.unit)
        cost = value + commission_of(plan, market, value)
        left -= cost
        total += cost
    return total


@njit_bare
def rests(frame: Address, t: int) -> bool:
    """Whether this bar brings none of the strategy's orders to act, and all stay as they are: the steps would change
    nothing."""
    state = state_of(frame)
    inputs = inputs_of(frame)
    plan = plan_of(frame)
    account = state.account
    if account[QUIET] == 0 or account[QUIET] != account[N_ORDERS] or account[NEW_SESSION]:
        return False
    stops = plan.stop_loss > 0.0 or plan.take_profit > 0.0 or plan.trailing_stop > 0.0
    if stops or plan.funding_cash or inputs.dates[t].phase & (CLOSING | AUCTION_ONLY):
        return False
    for i in range(account[N_ACTIVE]):
        s = state.names[i].active
        name = state.names[s]
        met = inputs.high[t, s] >= name.above or inputs.low[t, s] <= name.below
        if name.resting > 0 and (met or inputs.flags[t, s] & TRADED == 0):
            return False
    return True


@njit_call
def _look_for_quiet(frame: Address, t: int) -> None:
    """After a bar that changed no order: where the next one acts, if the coming bars may be passed over until then."""
    state = state_of(frame)
    inputs = inputs_of(frame)
    account = state.account
    for k in range(account[N_ORDERS]):
        name = state.names[state.orders[k].symbol]
        name.above, name.below = np.inf, -np.inf
    for k in range(account[N_ORDERS]):
        order = state.orders[k]
        name = state.names[order.symbol]
        plain = order.kind == KIND_LIMIT or order.kind == KIND_HELD_STOP
        plain = plain and (order.stage == STAGE_LIVE or order.stage == STAGE_CHILD)
        plain = plain and order.tif != TIF_IOC and order.tif != TIF_FOK
        same = order.mute == 0 and order.reason == NO_REASON and order.level == order.level
        if not (plain and same and inputs.flags[t, order.symbol] & TRADED and name.slot >= 0):
            return
        if order.stage == STAGE_LIVE:
            if (order.side < 0) == is_limit(order):
                name.above = min(name.above, order.level)
            else:
                name.below = max(name.below, order.level)
    for k in range(account[N_ORDERS]):
        state.orders[k].fresh = 0  # as the next morning would find; only funding by cash asks, and never rests
    account[QUIET] = account[N_ORDERS]


@njit_call
def expire_own(frame: Address, t: int, deciding: int) -> None:
    """Step 6 of own orders; then the table is made dense again. deciding: the second look of `fill="close"`."""
    state = state_of(frame)
    inputs = inputs_of(frame)
    log = log_of(frame)
    account = state.account
    phase = inputs.dates[t].phase
    for k in range(account[N_ORDERS]):
        order = state.orders[k]
        if order.own == 0 or order.stage == STAGE_OVER or (deciding and order.kind != KIND_SAME_CLOSE):
            continue
        s = order.symbol
        traded = inputs.flags[t, s] & TRADED
        state.names[s].marks = (state.names[s].marks & ~STILL) | (0 if traded else STILL)
        why = order.reason if order.reason != NO_REASON else i64(EXPIRED)
        if order.kind <= KIND_VWAP:
            waits = order.at == AT_OPEN and not (phase & OPENING or (phase & CLOSING and order.until <= 0))
            waits = waits or (order.at == AT_CLOSE and not (phase & CLOSING and (traded or phase & OPENING)))
            if order.at == AT_OPEN and phase & OPENING == 0 and order.qty > order.filled:  # no auction came
                why = i64(EXPIRED) if traded else i64(HALTED)
            if not waits or order.qty <= order.filled:
                close_order(state, log, k, why)
        elif order.stage >= STAGE_LIVE:
            if order.qty <= order.filled:
                close_order(state, log, k, why)
            elif order.tif == TIF_IOC or order.tif == TIF_FOK:
                close_order(state, log, k, why if traded else i64(HALTED))
    if deciding == 0 and phase & CLOSING and account[UNCLOSED]:
        end_session(frame)
    account[QUIET] = 0
    if deciding == 0 and account[ENDED] == 0 and account[AT_PRINTS] == 0:
        if phase & CLOSING == 0:
            _look_for_quiet(frame, t)
        return
    account[ENDED] = 0
    kept = i64(0)
    for k in range(account[N_ORDERS]):
        if state.orders[k].own and state.orders[k].stage != STAGE_OVER:
            if kept != k:
                copy_record(state.orders, kept, state.orders, k)
            kept += 1
    account[N_ORDERS] = kept
