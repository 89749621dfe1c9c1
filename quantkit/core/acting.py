"""What an own order does when a bar's path brings the price it acts at.

Contract: one order, one price of the path; fills as far as the price limits, the participation cap, the shares held and
the cash allow, books through `pricing.book_fill`, and says in the order's record why not more. Called by `path`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from quantkit.core.account import cash_of, commission_asked, lots, money
from quantkit.core.context import inputs_of, log_of, plan_of, state_of
from quantkit.core.matching import affordable, reserved, spendable
from quantkit.core.orders import MUTED, PARKED, close_order, end_order, is_cut, is_limit, own_filled
from quantkit.core.pricing import book_fill, day_limits, order_limit, slipped
from quantkit.core.resting import set_level
from quantkit.core.short import buying_power, closes, take_before
from quantkit.core.state import (
    BEYOND_COLLAR,
    CASH_BEFORE,
    CLOSE_ENTRY,
    EXPIRED,
    KIND_OPEN,
    KIND_STOP_LIMIT,
    LOCKED,
    NO_CASH,
    NO_SHARES,
    OUT_OF_LIMITS,
    OWN_CASH,
    POOL,
    RULE_HELD,
    RULE_HELD_OPEN,
    RULE_LIMIT,
    RULE_LIMIT_OPEN,
    STAGE_LIVE,
    STAGE_OVER,
    STAGE_TRIGGERED,
    TIF_FOK,
    TIF_GTC,
    TIF_IOC,
    TOO_THIN,
    Record,
    i64,
)
from quantkit.jit import njit_bare, njit_call
from quantkit.market.kernels import ceil_tick, floor_tick

if TYPE_CHECKING:
    from quantkit.core.context import Address


@njit_call
def power(frame: Address, t: int) -> int:
    """What the account has for buys on the path, before what is set aside."""
    state = state_of(frame)
    plan = plan_of(frame)
    cash = min(cash_of(state), state.account[CASH_BEFORE]) if plan.funding_cash else cash_of(state)
    return buying_power(state, inputs_of(frame), plan, t, cash, i64(0)) if plan.shorting else cash


@njit_bare
def can_act(order: Record) -> bool:
    return order.mute == 0 and STAGE_LIVE <= order.stage <= STAGE_TRIGGERED and order.qty > order.filled


@njit_bare
def at_once(order: Record) -> bool:
    return order.tif == TIF_IOC or order.tif == TIF_FOK


@njit_bare
def acts_upward(order: Record) -> bool:
    """Whether a rising price brings it to act: sell limits and buy triggers."""
    return (order.side < 0) == is_limit(order)


@njit_bare
def is_beyond(plan: Record, order: Record, price: float) -> bool:
    """Whether the price of the moment is already good for a limit, or past a trigger."""
    if order.stage == STAGE_TRIGGERED and not is_limit(order):
        return True  # what the cap left of a trigger: a market order
    gap = (price - order.level) if acts_upward(order) else (order.level - price)
    if is_limit(order) and not plan.touch:
        return gap > 0.0
    return gap >= 0.0


@njit_call
def _final_price(frame: Address, t: int, k: int, quantity: int, price: float, taking: int) -> float:
    """`price` after slippage: none for a limit that waited, up to the limit for one that takes a price, up to
    the collar for a market order."""
    state = state_of(frame)
    inputs = inputs_of(frame)
    plan = plan_of(frame)
    order = state.orders[k]
    s, side = order.symbol, order.side
    market, row = state.names[s].market, inputs.dates[t].row
    if is_limit(order) and order.limit == order.limit:
        if not taking:
            return price
        return slipped(inputs, plan, t, s, market, side, quantity, price, order.level)
    worst = np.inf if side > 0 else 0.0
    if at_once(order):
        worst = order_limit(state, inputs, plan, t, s, side, i64(KIND_OPEN))
    elif plan.collar >= 0.0:
        worst = price * (1.0 + side * plan.collar)
        worst = floor_tick(plan, row, market, worst) if side > 0 else ceil_tick(plan, row, market, worst)
    return slipped(inputs, plan, t, s, market, side, quantity, price, worst)


@njit_call
def _trigger(frame: Address, t: int, k: int) -> None:
    """A stop-limit becomes a limit, if the day's limits allow its price."""
    state = state_of(frame)
    inputs = inputs_of(frame)
    plan = plan_of(frame)
    log = log_of(frame)
    order = state.orders[k]
    order.stage = STAGE_TRIGGERED
    order.fresh = 2
    set_level(frame, t, k)
    lower, upper = day_limits(state, inputs, plan, t, order.symbol)
    if order.level > upper or order.level < lower:
        if order.tif == TIF_GTC:
            order.mute = PARKED
        else:
            close_order(state, log, k, i64(OUT_OF_LIMITS))


@njit_bare
def _wait(order: Record, reason: int) -> None:
    """It cannot act any more on this bar; why shares of a resting order are gone is not forgotten for it."""
    order.mute = MUTED
    if at_once(order) or not is_cut(order.reason):
        order.reason = reason


@njit_call
def act(frame: Address, t: int, k: int, price: float, opening: int, taking: int) -> None:
    """Let an own order act at a price of the path: trigger, or fill.

    opening: 1 at the bar's open. taking: 1 when the price of the moment was there before the order (or the bar), 0 when
    the path came to the order's price.
    """
    state = state_of(frame)
    inputs = inputs_of(frame)
    plan = plan_of(frame)
    log = log_of(frame)
    order = state.orders[k]
    s, side = order.symbol, order.side
    name = state.names[s]
    lower, upper = day_limits(state, inputs, plan, t, s)
    if at_once(order) and side * (price - order.level) > 0.0:
        _wait(order, i64(EXPIRED))
        return
    waited = is_limit(order) and not taking  # it meets those who go beyond it
    if not waited and ((side > 0 and price >= upper) or (side < 0 and price <= lower)):
        _wait(order, i64(LOCKED))
        return
    if at_once(order) and order.limit != order.limit:
        worst = order_limit(state, inputs, plan, t, s, side, i64(KIND_OPEN))
        if side * (price - worst) > 0.0:
            _wait(order, i64(BEYOND_COLLAR))
            return
    if order.kind == KIND_STOP_LIMIT and order.stage == STAGE_LIVE:
        _trigger(frame, t, k)
        if order.stage != STAGE_TRIGGERED or order.mute == PARKED or side * (price - order.level) > 0.0:
            return
        taking = i64(1)
    quantity = order.qty - order.filled
    if side < 0 and name.shares < quantity:
        quantity = max(name.shares, i64(0))
        if order.parent >= 0:
            order.mute = MUTED
        else:
            order.reason = NO_SHARES
            order.qty = order.filled + quantity
        if quantity == 0 or order.tif == TIF_FOK:
            if order.parent < 0:
                close_order(state, log, k, i64(NO_SHARES))
            return
    if plan.participation < np.inf:
        room = i64(np.floor(plan.participation * inputs.volume[t, s])) - name.used
        if room < quantity:
            _wait(order, i64(TOO_THIN))
            if not is_limit(order):
                order.stage = STAGE_TRIGGERED
            quantity = lots(plan, name.market, max(i64(0), room)) if order.tif != TIF_FOK else i64(0)
            if quantity <= 0:
                return
    final = _final_price(frame, t, k, quantity, price, taking)
    closing = plan.shorting != 0 and closes(state, order)
    if side > 0 and not closing:
        fits = _fits(frame, t, k, final, quantity)
        if fits < quantity:
            order.reason = NO_CASH
            if fits == 0 or order.tif == TIF_FOK:
                close_order(state, log, k, i64(NO_CASH))
                return
            quantity = fits
            order.qty = order.filled + quantity
    _book(frame, t, k, quantity, final, price, opening, closing)


@njit_call
def _book(
    frame: Address, t: int, k: int, quantity: int, final: float, price: float, opening: int, closing: bool
) -> None:
    """Book a fill on the path and what follows from it."""
    state = state_of(frame)
    inputs = inputs_of(frame)
    plan = plan_of(frame)
    log = log_of(frame)
    order = state.orders[k]
    s, side = order.symbol, order.side
    name = state.names[s]
    rule = RULE_LIMIT_OPEN if opening else RULE_LIMIT
    if not is_limit(order):
        rule = RULE_HELD_OPEN if opening else RULE_HELD
    before, cash = name.shares, cash_of(state)
    value = money(final, quantity, plan.unit)
    cost = value + commission_asked(plan, order, name.market, value)
    proceeds = i64(1) if side > 0 and not closing and cost > state.account[CASH_BEFORE] else i64(0)
    room = power(frame, t) if closing else i64(0)
    book_fill(state, inputs, plan, log, t, s, side, quantity, final, price, order.id, k, i64(rule), proceeds)
    if side > 0:
        take_before(state, cost)
    if closing:  # what it leaves free serves no buy of this bar's path
        state.account[POOL] += min(i64(0), power(frame, t) - room)
    else:
        _spend(frame, cash - cash_of(state))
    if before <= 0 and name.shares > 0:
        name.marks |= CLOSE_ENTRY  # its peak is followed on the path, not taken from the bar's high
    order.filled += quantity
    own_filled(state, log, k, quantity)
    if order.filled >= order.qty and order.stage != STAGE_OVER:
        end_order(state, log, k, order.reason)


@njit_call
def _fits(frame: Address, t: int, k: int, price: float, quantity: int) -> int:
    """How many of `quantity` shares the cash for buys on the path pays for."""
    state = state_of(frame)
    plan = plan_of(frame)
    account = state.account
    order = state.orders[k]
    market = state.names[order.symbol].market
    available = account[POOL] + account[OWN_CASH]
    if plan.funding_cash:
        available = account[POOL] - reserved(state, inputs_of(frame), plan, t, k, i64(KIND_OPEN))
    available = spendable(plan, available)
    value = money(price, quantity, plan.unit)
    if value + commission_asked(plan, order, market, value) <= available:
        return quantity
    return min(quantity, affordable(plan, order, market, price, available))


@njit_bare
def _spend(frame: Address, cost: int) -> None:
    """Take a fill's cost off what the path may still spend; a sale's proceeds serve its own name until the bar ends."""
    state = state_of(frame)
    plan = plan_of(frame)
    account = state.account
    if plan.funding_cash:
        account[POOL] -= max(i64(0), cost)
        return
    account[OWN_CASH] -= cost
    if account[OWN_CASH] < 0:
        account[POOL] += account[OWN_CASH]
        account[OWN_CASH] = 0
