"""A strategy's own orders: made, changed, cancelled.

Contract: `place`, `cancel`, `replace` and `one_cancels_other` are what `ctx` calls while a bar is decided; nothing they
do can fill before the next bar. `resting` looks at the orders each bar, `path` walks them through it. Prices stay as
given, in the won of today. One row is written when an order's life ends.
"""

from __future__ import annotations

import numpy as np

from quantkit.core.account import activate, write_order
from quantkit.core.decide import denied
from quantkit.core.orders import close_order, end_order
from quantkit.core.state import (
    AT_ANY,
    AT_CLOSE,
    AT_OPEN,
    BAD_ORDER,
    BARS,
    BUY,
    CANCELLED,
    CLOSING,
    DROPPED,
    KIND_CLOSE,
    KIND_CONDITIONAL,
    KIND_FROM_OPEN,
    KIND_HELD_STOP,
    KIND_HELD_TRAIL,
    KIND_LIMIT,
    KIND_OPEN,
    KIND_STOP_LIMIT,
    N_ORDERS,
    NEXT_GROUP,
    NEXT_ID,
    NO_REASON,
    OWN_WORKING,
    REPLACED,
    STAGE_CHILD,
    STAGE_LIVE,
    STAGE_NEW,
    STAGE_OVER,
    STAGE_TRIGGERED,
    TIF_CONDITIONAL,
    TIF_DAY,
    TIF_FOK,
    TIF_GTC,
    TIF_IOC,
    TOO_MANY_ORDERS,
    Inputs,
    Log,
    Record,
    State,
    i64,
)
from quantkit.data.bars import LISTED
from quantkit.jit import njit_bare, njit_call

FOREVER = 1 << 40  # sessions


@njit_bare
def _bad(
    quantity: int, limit: float, stop: float, trail: float, from_open: float, at: int, tif: int, days: int,
    take: float, stop_loss: float,
) -> bool:  # fmt: skip
    """Whether what an order was given does not fit together."""
    if quantity < 1 or limit <= 0.0 or stop <= 0.0 or take <= 0.0 or stop_loss <= 0.0 or days == 0 or days < -1:
        return True
    special = tif in (TIF_CONDITIONAL, TIF_IOC, TIF_FOK)
    ways = i64(stop == stop) + i64(trail == trail) + i64(from_open == from_open) + i64(at != AT_ANY)
    if ways > 1 or trail <= 0.0 or trail >= 1.0 or (special and (ways > 0 or days > 0)):
        return True
    if limit != limit:
        return tif == TIF_CONDITIONAL
    return trail == trail or from_open == from_open


@njit_bare
def _kind_of(plan: Record, limit: float, stop: float, trail: float, from_open: float, at: int, tif: int) -> int:
    if trail == trail:
        return KIND_HELD_TRAIL
    if from_open == from_open:
        return KIND_FROM_OPEN
    if stop == stop:
        return KIND_STOP_LIMIT if limit == limit else KIND_HELD_STOP
    if at == AT_OPEN:
        return KIND_OPEN
    if at == AT_CLOSE:
        return KIND_CLOSE
    if tif == TIF_CONDITIONAL:
        return KIND_CONDITIONAL
    if limit == limit or tif in (TIF_IOC, TIF_FOK):
        return KIND_LIMIT
    return plan.fill_kind


@njit_bare
def _write_refused(state: State, log: Log, s: int, side: int, quantity: int, kind: int, reason: int, tag: int) -> int:
    """A row for an order that was never made; returns its id."""
    account = state.account
    order, bar = account[NEXT_ID], account[BARS]
    account[NEXT_ID] += 1
    if log.used[1] < len(log.orders) - 6 * len(state.names) - 64:  # a rule that makes orders without end loses rows
        write_order(log, order, bar, s, side, quantity, i64(0), kind, i64(DROPPED), reason, bar, tag)
    return order


@njit_bare
def _append(
    state: State, s: int, side: int, quantity: int, kind: int, limit: float, stop: float, trail: float,
    from_open: float, tif: int, until: int, tag: int, close: float,
) -> int:  # fmt: skip
    """A new row of the table of working orders; returns its place."""
    account = state.account
    k = account[N_ORDERS]
    order = state.orders[k]
    order.id = account[NEXT_ID]
    order.symbol = s
    order.side = side
    order.want = quantity
    order.qty = quantity
    order.filled = 0
    order.kind = kind
    order.reason = NO_REASON
    order.bar = account[BARS]
    order.limit = limit
    order.stop = stop
    order.own = 1
    order.short = 0
    order.at = AT_ANY
    order.next = -1
    order.mute = 0
    order.kids = 0
    order.fresh = 0
    order.level = np.nan
    order.trail = trail
    order.extreme = close
    order.from_open = from_open
    order.tif = tif
    order.until = until
    order.stage = STAGE_NEW
    order.group = 0
    order.parent = -1
    order.tag = tag
    order.value = 0
    order.fee = 0
    account[NEXT_ID] += 1
    account[N_ORDERS] = k + 1
    account[OWN_WORKING] += 1
    state.names[s].resting += 1
    activate(state, s)
    return k


@njit_bare
def _refusal(
    state: State, plan: Record, s: int, side: int, quantity: int, limit: float, stop: float, close: float, rows: int
) -> int:
    """Why an order that fits together is not made, or 0. rows: places in the table it would take."""
    account = state.account
    room = len(state.orders) - 2 * len(state.names) - 64
    full = account[N_ORDERS] + rows + len(state.names) > len(state.orders)
    if account[OWN_WORKING] + rows > room or full:
        return i64(TOO_MANY_ORDERS)
    if side < 0 or quantity <= -state.names[s].shares:
        return i64(NO_REASON)
    price = limit if limit == limit else (stop if stop == stop else close)
    return i64(denied(state, plan, s, i64(BUY), quantity, price, close))


@njit_call
def place(
    state: State, inputs: Inputs, plan: Record, log: Log, t: int, s: int, side: int, quantity: int,
    limit: float, stop: float, trail: float, from_open: float, at: int, tif: int, days: int,
    take: float, stop_loss: float, tag: int,
) -> int:  # fmt: skip
    """Make an order of `quantity` shares on bar t; NaN: a price not given; days, tif -1: the kind's default.

    at: AT_ANY, AT_OPEN, AT_CLOSE. tif: TIF_DAY, ... Returns the order's id, also where it is refused (a row says why).
    """
    account = state.account
    kind = _kind_of(plan, limit, stop, trail, from_open, at, tif)
    close = inputs.close[t, s]
    wrong = _bad(quantity, limit, stop, trail, from_open, at, tif, days, take, stop_loss)
    if wrong or inputs.flags[t, s] & LISTED == 0 or quantity % plan.lot[state.names[s].market]:
        return _write_refused(state, log, s, side, quantity, kind, i64(BAD_ORDER), tag)
    children = i64(take == take) + i64(stop_loss == stop_loss)
    reason = _refusal(state, plan, s, side, quantity, limit, stop, close, 1 + children)
    if reason != NO_REASON:
        return _write_refused(state, log, s, side, quantity, kind, reason, tag)
    forever, gtc, nan = i64(FOREVER), i64(TIF_GTC), np.nan
    life, until = tif, i64(1)
    if days > 0 or (tif < 0 and kind >= KIND_HELD_STOP and kind != KIND_FROM_OPEN):
        life = gtc
    elif tif < 0 or tif == TIF_CONDITIONAL:
        life = i64(TIF_DAY)
    if life == TIF_GTC:
        until = forever
        if days > 0:
            until = days + (0 if inputs.dates[t].phase & CLOSING or kind == KIND_FROM_OPEN else 1)
    k = _append(state, s, side, quantity, kind, limit, stop, trail, from_open, life, until, tag, close)
    order = state.orders[k]
    order.at = at
    if children > 0:
        order.kids = 1
        group = i64(0)
        if children == 2:
            account[NEXT_GROUP] += 1
            group = account[NEXT_GROUP]
        if stop_loss == stop_loss:
            held = i64(KIND_HELD_STOP)
            c = _append(state, s, -side, quantity, held, nan, stop_loss, nan, nan, gtc, forever, tag, close)
            state.orders[c].parent, state.orders[c].stage, state.orders[c].group = order.id, STAGE_CHILD, group
        if take == take:
            c = _append(state, s, -side, quantity, i64(KIND_LIMIT), take, nan, nan, nan, gtc, forever, tag, close)
            state.orders[c].parent, state.orders[c].stage, state.orders[c].group = order.id, STAGE_CHILD, group
    return order.id


@njit_bare
def find(state: State, order: int) -> int:
    """Place of an own working order in the table, which is sorted by id, or -1."""
    low, high = i64(0), state.account[N_ORDERS]
    while low < high:
        middle = (low + high) // 2
        if state.orders[middle].id < order:
            low = middle + 1
        else:
            high = middle
    if low == state.account[N_ORDERS]:
        return i64(-1)
    found = state.orders[low]
    return low if found.id == order and found.own and found.stage != STAGE_OVER else i64(-1)


@njit_call
def cancel(state: State, log: Log, order: int) -> bool:
    """End a working order; False where there is none of that id."""
    k = find(state, order)
    if k < 0:
        return False
    close_order(state, log, k, i64(CANCELLED))
    return True


@njit_call
def cancel_all(state: State, log: Log, s: int) -> int:
    """End all own orders of a name; returns how many."""
    count = i64(0)
    for k in range(state.account[N_ORDERS]):
        order = state.orders[k]
        if order.symbol == s and order.own and order.stage != STAGE_OVER:
            close_order(state, log, k, i64(CANCELLED))
            count += 1
    return count


@njit_call
def replace(
    state: State, inputs: Inputs, plan: Record, log: Log, t: int, order: int, quantity: int, limit: float, stop: float
) -> int:
    """End a working order and make one like it with another open quantity (-1: as it is), limit or stop (NaN: as it
    is). Returns the new id; where the new one is refused (a row says why) the old one goes on; -1: no such order.
    """
    k = find(state, order)
    if k < 0:
        return i64(-1)
    old = state.orders[k]
    open_ = quantity if quantity != -1 else old.qty - old.filled
    wrong = (limit == limit and old.limit != old.limit) or (stop == stop and old.stop != old.stop)
    wrong = wrong or open_ < 1 or open_ % plan.lot[state.names[old.symbol].market]
    if wrong or limit <= 0.0 or stop <= 0.0 or (stop == stop and old.kind == KIND_FROM_OPEN):
        return _write_refused(state, log, old.symbol, old.side, open_, old.kind, i64(BAD_ORDER), old.tag)
    new_limit = limit if limit == limit else old.limit
    new_stop = stop if stop == stop else old.stop
    account = state.account
    account[OWN_WORKING] -= 1
    close = inputs.close[t, old.symbol]
    reason = _refusal(state, plan, old.symbol, old.side, open_, new_limit, new_stop, close, i64(1))
    account[OWN_WORKING] += 1
    if reason != NO_REASON:
        return _write_refused(state, log, old.symbol, old.side, open_, old.kind, reason, old.tag)
    c = _append(
        state, old.symbol, old.side, open_, old.kind, new_limit, new_stop, old.trail, old.from_open, old.tif,
        old.until, old.tag, old.extreme,
    )  # fmt: skip
    new = state.orders[c]
    new.at, new.group, new.parent, new.kids, new.stage = old.at, old.group, old.parent, old.kids, old.stage
    if stop == stop and old.stage == STAGE_TRIGGERED:
        new.stage = STAGE_LIVE  # another trigger has to be met again
    if old.kids:
        for j in range(account[N_ORDERS]):
            if state.orders[j].parent == old.id:
                state.orders[j].parent = new.id
    end_order(state, log, k, i64(REPLACED))
    return new.id


@njit_call
def one_cancels_other(state: State, a: int, b: int) -> bool:
    """Put two working orders of one name, and what they are grouped with, into one group; False where they are not."""
    i, j = find(state, a), find(state, b)
    if i < 0 or j < 0 or i == j or state.orders[i].symbol != state.orders[j].symbol:
        return False
    state.account[NEXT_GROUP] += 1
    group, mine, other = state.account[NEXT_GROUP], state.orders[i].group, state.orders[j].group
    for k in range(state.account[N_ORDERS]):
        order = state.orders[k]
        if order.own and order.group > 0 and (order.group == mine or order.group == other):
            order.group = group
    state.orders[i].group = group
    state.orders[j].group = group
    return True
