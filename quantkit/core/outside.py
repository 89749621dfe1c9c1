"""What comes from outside the fold, and what stands there: fills of a broker, orders that others ended, the orders that
should be at the exchange, the prices at which we would act ourselves.

Contract: entries for one bar at a time, called by a desk's address (`core.steps`). A fill from outside does to the
account and to the order's own life exactly what the simulator's fill does; what a bar's path does besides (peaks,
triggers, the order of two fills) is for whoever watches the path.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from quantkit.core.account import apply, end_goal, write_fill, write_order
from quantkit.core.context import inputs_of, log_of, plan_of, state_of
from quantkit.core.matching import print_limit
from quantkit.core.orders import PARKED, close_order, end_order, is_limit, is_print, own_filled
from quantkit.core.pricing import base_price, day_limits, order_limit
from quantkit.core.resting import level_of
from quantkit.core.short import drop_opening
from quantkit.core.state import (
    AT_ANY,
    BARS,
    CASH_BEFORE,
    CLOSE_ENTRY,
    CUT,
    DROPPED,
    FILLED,
    KIND_FROM_OPEN,
    KIND_HELD_TRAIL,
    KIND_OPEN,
    KIND_SAME_CLOSE,
    KIND_STOP,
    KIND_TAKE,
    KIND_TRAIL,
    N_ORDERS,
    NEXT_ID,
    NO_REASON,
    RULE_HELD,
    RULE_HELD_OPEN,
    RULE_LIMIT,
    RULE_LIMIT_OPEN,
    RULE_STOP,
    RULE_TAKE,
    RULE_TAKE_GAP,
    RULE_TRAIL,
    STAGE_LIVE,
    STAGE_NEW,
    STAGE_OVER,
    STAGE_TRIGGERED,
    TIF_FOK,
    TIF_IOC,
    Floats,
    Records,
    State,
    i64,
)
from quantkit.core.steps import frame_at
from quantkit.jit import njit_bare, njit_entry
from quantkit.market.kernels import ceil_tick, floor_tick

if TYPE_CHECKING:
    from quantkit.core.context import Address


class Standing(NamedTuple):
    """An order that should stand at the exchange: a row of STANDING."""

    order: int
    symbol: int
    side: int
    quantity: int  # shares still to fill
    limit: float  # on the day's grid; nan: a market order, or not yet known
    kind: int
    tif: int
    own: int
    at: int  # the auction it waits for: AT_ANY, AT_OPEN, AT_CLOSE
    tag: int
    bar: int  # it was decided on


STANDING = np.dtype([(name, np.float64 if name == "limit" else np.int64) for name in Standing._fields])


@njit_bare
def _place_of(state: State, order: int) -> int:
    """The place of an order in the table, or -1."""
    for k in range(state.account[N_ORDERS]):
        if state.orders[k].id == order and not (state.orders[k].own and state.orders[k].stage == STAGE_OVER):
            return k
    return i64(-1)


@njit_bare
def _on_path(rule: int) -> bool:
    return rule in (RULE_LIMIT, RULE_LIMIT_OPEN, RULE_HELD, RULE_HELD_OPEN)


@njit_entry
def take_fill(
    desk: Address, order: int, s: int, side: int, quantity: int, price: float, value: int, commission: int, tax: int,
    slippage: int, rule: int, proceeds: int, ambiguous: int,
) -> int:  # fmt: skip
    """Book a fill, or a piece of one. `value`, `commission`, `tax` and `slippage` are minor units. Returns the order's
    place in the table, or -1: it has none, as a stop of the policy or an order that has ended."""
    frame = frame_at(desk)
    state, plan, log = state_of(frame), plan_of(frame), log_of(frame)
    account, name = state.account, state.names[s]
    k = _place_of(state, order)
    before = name.shares
    if plan.participation < np.inf:
        name.used += quantity
    apply(state, s, side, quantity, price, value, commission, tax, rule)
    write_fill(
        log, account[BARS], s, side, quantity, price, value, commission, tax, slippage, order, rule, proceeds, ambiguous
    )
    if side > 0:
        account[CASH_BEFORE] -= min(value + commission + tax, account[CASH_BEFORE])
    if RULE_STOP <= rule <= RULE_TAKE_GAP:
        drop_opening(state, s)
    if k < 0:
        return k
    working = state.orders[k]
    working.value += value
    working.fee += commission
    working.filled += quantity
    if not working.own:
        return k
    if _on_path(rule) and before <= 0 and name.shares > 0:
        name.marks |= CLOSE_ENTRY
    own_filled(state, log, k, quantity)
    if _on_path(rule) and working.filled >= working.qty and working.stage != STAGE_OVER:
        end_order(state, log, k, working.reason)
    return k


@njit_entry
def take_end(desk: Address, order: int, reason: int) -> int:
    """Somebody else ended what was left of an order. Returns 1, or 0 where there is none."""
    frame = frame_at(desk)
    state, log = state_of(frame), log_of(frame)
    k = _place_of(state, order)
    if k < 0:
        return i64(0)
    working = state.orders[k]
    if working.own:
        close_order(state, log, k, reason)
    elif working.qty > working.filled:
        working.qty = working.filled
        working.reason = reason
    return i64(1)


@njit_entry
def new_id(desk: Address) -> int:
    """An id for an order that is in no table: a stop of the policy."""
    account = state_of(frame_at(desk)).account
    account[NEXT_ID] += 1
    return account[NEXT_ID] - 1


@njit_entry
def stop_ended(desk: Address, order: int, s: int, side: int, quantity: int, filled: int, rule: int, reason: int) -> int:
    """A policy's stop is over: its row, and the end of the goal although it sold nothing."""
    frame = frame_at(desk)
    state, log = state_of(frame), log_of(frame)
    kind = KIND_STOP
    if rule >= RULE_TAKE:
        kind = KIND_TAKE
    elif rule >= RULE_TRAIL:
        kind = KIND_TRAIL
    if filled == 0:
        end_goal(state, s)
    status = FILLED if filled >= quantity else (CUT if filled > 0 else DROPPED)
    why = i64(NO_REASON) if filled >= quantity else reason
    bar = state.account[BARS]
    write_order(log, order, bar, s, side, quantity, filled, i64(kind), i64(status), why, bar, i64(0))
    return i64(kind)


@njit_entry
def list_standing(desk: Address, t: int, known: int, out: Records) -> int:
    """Write the orders that should stand at the exchange on bar t, STANDING; returns how many.

    known: 0 before the day's base prices are: a goal's order then has no limit yet.
    """
    frame = frame_at(desk)
    state, inputs, plan = state_of(frame), inputs_of(frame), plan_of(frame)
    count = i64(0)
    for k in range(state.account[N_ORDERS]):
        order = state.orders[k]
        if order.qty <= order.filled:
            continue
        at_once = order.tif == TIF_IOC or order.tif == TIF_FOK
        if order.own:
            new = order.stage == STAGE_NEW and (known == 0 or order.kind == KIND_SAME_CLOSE)
            alive = new or order.stage == STAGE_LIVE or order.stage == STAGE_TRIGGERED
            rests = is_limit(order) or is_print(order)
            if not alive or not rests or (order.mute == PARKED and is_limit(order)):
                continue
        limit, priced = np.nan, order.own and order.limit == order.limit
        if order.own == 0 or is_print(order):
            if known or priced:
                limit = print_limit(state, inputs, plan, t, k)
        elif at_once and not priced:
            if known:
                limit = order_limit(state, inputs, plan, t, order.symbol, order.side, i64(KIND_OPEN))
        else:
            limit = level_of(frame, t, k)
        if known and not priced and 0.0 < limit < np.inf:  # a collar may reach beyond what the exchange takes
            lower, upper = day_limits(state, inputs, plan, t, order.symbol)
            limit = max(lower, min(upper, limit))
        row = out[count]
        row.order = order.id
        row.symbol = order.symbol
        row.side = order.side
        row.quantity = order.qty - order.filled
        row.limit = limit if 0.0 < limit < np.inf else np.nan
        row.kind = order.kind
        row.tif = order.tif if order.own else i64(0)
        row.own = order.own
        row.at = order.at if order.own else i64(AT_ANY)
        row.tag = order.tag
        row.bar = order.bar
        count += 1
    return count


@njit_entry
def alert_levels(desk: Address, s: int, out: Floats) -> int:
    """Prices from which on something of name s that we watch ourselves may act or follow: `out` is (below, above).

    A careful answer: a price beyond one need not bring anything to act.
    """
    frame = frame_at(desk)
    state, plan = state_of(frame), plan_of(frame)
    name = state.names[s]
    below, above = 0.0, np.inf
    for k in range(state.account[N_ORDERS]):
        order = state.orders[k]
        if order.symbol != s or order.own == 0 or is_print(order) or is_limit(order) or order.qty <= order.filled:
            continue
        if order.stage != STAGE_LIVE and order.stage != STAGE_TRIGGERED:
            continue
        if order.stage == STAGE_TRIGGERED or (order.kind == KIND_FROM_OPEN and order.from_open == order.from_open):
            below = np.inf
        elif order.side > 0:
            above = min(above, order.level)
        else:
            below = max(below, order.level)
        if order.kind == KIND_HELD_TRAIL and order.side < 0:
            above = min(above, order.extreme)
        elif order.kind == KIND_HELD_TRAIL:
            below = max(below, order.extreme)
    if name.shares != 0 and (plan.stop_loss > 0.0 or plan.take_profit > 0.0 or plan.trailing_stop > 0.0):
        entry, side = name.entry_value / plan.unit / name.entry_qty, 1.0 if name.shares > 0 else -1.0
        loss = entry * (1.0 - side * plan.stop_loss) if plan.stop_loss > 0.0 else -side * np.inf
        gain = entry * (1.0 + side * plan.take_profit) if plan.take_profit > 0.0 else side * np.inf
        trail = -side * np.inf
        if plan.trailing_stop > 0.0:
            trail = name.peak * (1.0 - side * plan.trailing_stop)
            gain = min(gain, name.peak) if side > 0.0 else max(gain, name.peak)
        if side > 0.0:
            below, above = max(below, max(loss, trail)), min(above, gain)
        else:
            below, above = max(below, gain), min(above, min(loss, trail))
    out[0], out[1] = below, above
    return i64(0)


@njit_entry
def collar_price(desk: Address, s: int, side: int, price: float) -> float:
    """The limit of an order that is sent when `price` is met: the collar around it, on the grid; nan without one."""
    frame = frame_at(desk)
    state, inputs, plan = state_of(frame), inputs_of(frame), plan_of(frame)
    if plan.collar < 0.0:
        return np.nan
    row, market, worst = inputs.dates[0].row, state.names[s].market, price * (1.0 + side * plan.collar)
    lower, upper = day_limits(state, inputs, plan, i64(0), s)
    if side > 0:
        return min(floor_tick(plan, row, market, worst), upper)
    return max(ceil_tick(plan, row, market, worst), lower)


@njit_entry
def day_bases(desk: Address, out: Floats) -> int:
    """Write the day's base price of every name, after the morning of the row that is laid; nan or 0: none."""
    frame = frame_at(desk)
    state, inputs, plan = state_of(frame), inputs_of(frame), plan_of(frame)
    for s in range(len(state.names)):
        out[s] = base_price(state, inputs, plan, i64(0), i64(s))
    return i64(0)
