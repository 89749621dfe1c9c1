"""Positions below nothing, under `Policy(short="simulate")`: what they tie up, how they open, how they are bought back.

Contract: pure steps over `State`, used only where `plan.shorting` is 1; rows "Short selling" of `docs/execution.md`. An
order of `ORDER.short` OPENS sells what is not held, one that COVERS buys back; both come from goals.
"""

from __future__ import annotations

import numpy as np

from quantkit.core.account import commission_of, money, previous_close, tax_of
from quantkit.core.state import (
    CASH_BEFORE,
    COVERS,
    DAY,
    KIND_OPEN,
    KIND_SAME_CLOSE,
    N_ACTIVE,
    N_ORDERS,
    NEW_SESSION,
    NO_MARGIN,
    NO_REASON,
    NO_SHARES,
    OPENS,
    SHORT_BANNED,
    STOPPED,
    Inputs,
    Log,
    Record,
    State,
    i64,
)
from quantkit.jit import njit_bare, njit_call


@njit_bare
def tied_up(plan: Record, value: int) -> int:
    """The cash that short positions worth `value` keep from being spent."""
    return i64(np.floor(value * (1.0 + plan.short_margin) + 0.5))


@njit_bare
def _margin(plan: Record, value: int) -> int:
    """What a new short position worth `value` asks for besides its own proceeds."""
    return i64(np.floor(value * plan.short_margin + 0.5))


@njit_bare
def _last_mark(state: State, inputs: Inputs, t: int, s: int, marked: int) -> float:
    """The price of the last mark, in the won of today. marked: this bar's own mark is done."""
    if marked:
        return inputs.close[t, s]
    price = previous_close(state, inputs, t, s)
    name = state.names[s]
    if state.account[NEW_SESSION] and name.base_day == state.account[DAY]:
        price /= name.base_factor
    return price


@njit_call
def buying_power(state: State, inputs: Inputs, plan: Record, t: int, cash: int, marked: int) -> int:
    """What of `cash` the short positions, at the last mark, leave for new ones and for buys."""
    value = i64(0)
    for i in range(state.account[N_ACTIVE]):
        s = state.names[i].active
        shares = state.names[s].shares
        if shares < 0:
            value += money(_last_mark(state, inputs, t, s, marked), -shares, plan.unit)
    return cash - tied_up(plan, value)


@njit_bare
def margin_needed(plan: Record, row: int, market: int, price: float, quantity: int) -> int:
    """What selling `quantity` shares short at `price` takes off the buying power."""
    value = money(price, quantity, plan.unit)
    return _margin(plan, value) + commission_of(plan, market, value) + tax_of(plan, plan.tax_rate[row, market], value)


@njit_call
def _fitting(plan: Record, row: int, market: int, price: float, quantity: int, room: int) -> int:
    """Most of `quantity` shares whose short sale fits the buying power."""
    if room < 0:
        return i64(0)
    rates = plan.short_margin + plan.commission[market] + (plan.tax if plan.tax >= 0.0 else plan.tax_rate[row, market])
    share = price * plan.unit * rates
    if share > 0.0 and room / share < quantity:
        quantity = i64(np.floor(room / share)) + 1
    while quantity > 0:
        over = margin_needed(plan, row, market, price, quantity) - room
        if over <= 0:
            return quantity
        quantity -= max(i64(1), i64(np.floor(over / share)) if share > 0.0 else i64(1))
    return i64(0)


@njit_call
def list_short(state: State, log: Log, k: int, price: float, shorts: int) -> None:
    """Put a short sale at the end of the work space, with what it plans to use of the participation cap."""
    order, place = state.orders[k], log.work[len(log.work) - shorts]
    place.i = k
    place.j = order.qty - order.filled
    place.f = price
    state.names[order.symbol].used += place.j


@njit_call
def cut_to_margin(
    state: State, inputs: Inputs, plan: Record, log: Log, t: int, shorts: int, cash: int, kind: int
) -> int:
    """Cut the short sales listed at the end of the work space, in the order of their symbols, to bans of the day and
    the buying power. Returns what is left of it for buys.
    """
    room = buying_power(state, inputs, plan, t, cash, i64(kind == KIND_SAME_CLOSE))
    row, end = inputs.dates[t].row, len(log.work)
    for b in range(1, shorts):
        k, planned, price = log.work[end - 1 - b].i, log.work[end - 1 - b].j, log.work[end - 1 - b].f
        tie = state.names[state.orders[k].symbol].tie
        place = b
        while place > 0 and state.names[state.orders[log.work[end - place].i].symbol].tie > tie:
            log.work[end - 1 - place].i = log.work[end - place].i
            log.work[end - 1 - place].j = log.work[end - place].j
            log.work[end - 1 - place].f = log.work[end - place].f
            place -= 1
        log.work[end - 1 - place].i = k
        log.work[end - 1 - place].j = planned
        log.work[end - 1 - place].f = price
    for b in range(shorts):
        k, price = log.work[end - 1 - b].i, log.work[end - 1 - b].f
        working = state.orders[k]
        market = state.names[working.symbol].market
        left = working.qty - working.filled
        if plan.short[row, market] != 0:
            working.qty = working.filled
            working.reason = SHORT_BANNED
            continue
        quantity = _fitting(plan, row, market, price, left, room)
        if quantity < left:
            working.qty = working.filled + quantity
            working.reason = NO_MARGIN
        room -= margin_needed(plan, row, market, price, quantity)
    return room


@njit_bare
def closes(state: State, order: Record) -> bool:
    """Whether a buy only closes a short position: a goal's, or a strategy's own of no more than is short."""
    left = order.qty - order.filled
    return order.short == COVERS or (order.own == 1 and order.side > 0 and left <= -state.names[order.symbol].shares)


@njit_call
def cut_to_position(state: State, order: Record) -> None:
    """Cut a goal's order that buys back to what is short; drop one that sells short while shares are due."""
    name = state.names[order.symbol]
    most = order.qty
    if order.short == COVERS:
        most = order.filled + max(-name.shares, i64(0))
    elif order.short == OPENS and name.due > 0:
        most = order.filled
    if most < order.qty:
        order.qty = most
        order.reason = NO_SHARES


@njit_call
def drop_opening(state: State, s: int) -> None:
    """A stop of the policy fired: what waits for a later print and would open a position in the name is dropped."""
    for k in range(state.account[N_ORDERS]):
        order = state.orders[k]
        opens = order.short == OPENS or (order.side > 0 and order.short != COVERS)
        waits = order.own == 0 and order.symbol == s and order.kind != KIND_OPEN and order.qty > order.filled
        if opens and waits:
            order.qty = order.filled
            order.reason = STOPPED


@njit_bare
def take_before(state: State, cost: int) -> None:
    """What a buy costs comes off the cash held before the bar first."""
    state.account[CASH_BEFORE] -= min(cost, state.account[CASH_BEFORE])


@njit_call
def reserved_for_covers(state: State, plan: Record, log: Log, buys: int) -> tuple[int, int]:
    """Take the orders that buy back off the list of buys in the work space, which cash does not cut.

    Returns (buys left, what the others cost at their reserve prices).
    """
    kept, total = i64(0), i64(0)
    for b in range(buys):
        k, price = log.work[b].i, log.work[b].f
        working = state.orders[k]
        if closes(state, working):
            value = money(price, working.qty - working.filled, plan.unit)
            total += value + commission_of(plan, state.names[working.symbol].market, value)
        else:
            log.work[kept].i = k
            log.work[kept].f = price
            kept += 1
    return kept, total


@njit_bare
def refused_short(state: State, inputs: Inputs, plan: Record, t: int, s: int, room: int) -> int:
    """Why a short sale is not even ordered: a ban on the deciding day, no margin for one share; else 0."""
    row, market = inputs.dates[t].row, state.names[s].market
    if plan.short[row, market] != 0:
        return SHORT_BANNED
    if margin_needed(plan, row, market, inputs.close[t, s], i64(1)) > room:
        return NO_MARGIN
    return NO_REASON
