"""A strategy's own orders: made, changed, looked at each morning, ended.

Contract: `place`, `cancel`, `replace` and `one_cancels_other` are what `ctx` calls while a bar is decided; nothing they
do can fill before the next bar. `open_orders`, `release_own` and `expire_own` are the own orders' part of steps 1, 2
and 6 of `docs/execution.md`; `path` walks them through a bar. An order's prices stay as given, in the won of today;
`level` is where it acts today, on the grid. One row is written when an order's life ends.
"""

from __future__ import annotations

import numpy as np

from quantkit.core.account import activate, cash_of, commission_of, money, write_order
from quantkit.core.decide import denied
from quantkit.core.matching import affordable, spendable
from quantkit.core.orders import close_order, end_order, is_limit, is_print
from quantkit.core.pricing import day_limits, reference_price
from quantkit.core.state import (
    AT_ANY,
    AT_CLOSE,
    AT_OPEN,
    AUCTION_ONLY,
    BAD_ORDER,
    BARS,
    CANCELLED,
    CLOSING,
    DROPPED,
    EXPIRED,
    GONE,
    HALTED,
    KIND_CLOSE,
    KIND_CONDITIONAL,
    KIND_FROM_OPEN,
    KIND_HELD_STOP,
    KIND_HELD_TRAIL,
    KIND_LIMIT,
    KIND_OPEN,
    KIND_SAME_CLOSE,
    KIND_STOP_LIMIT,
    KIND_VWAP,
    N_ORDERS,
    NEW_SESSION,
    NEXT_GROUP,
    NEXT_ID,
    NO_CASH,
    NO_REASON,
    NOT_ACCEPTED,
    OPENING,
    OUT_OF_LIMITS,
    REPLACED,
    RESERVED,
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
    UNCLOSED,
    Inputs,
    Log,
    Record,
    State,
    i64,
)
from quantkit.data.bars import LIQUIDATION, LISTED, TRADED
from quantkit.jit import njit_bare, njit_call
from quantkit.market.kernels import ceil_tick, floor_tick

FOREVER = 1 << 40  # sessions
MUTED, PARKED = 1, 2  # ORDER.mute: until the next bar, until the next session


@njit_bare
def _bad(quantity: int, limit: float, stop: float, trail: float, from_open: float) -> bool:
    if quantity < 1 or limit <= 0.0 or stop <= 0.0:
        return True
    held = i64(stop == stop) + i64(trail == trail) + i64(from_open == from_open)
    if held > 1 or trail <= 0.0 or trail >= 1.0:
        return True
    return held == 1 and limit == limit and stop != stop  # only a stop may have a limit


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
    order.at = AT_ANY
    order.next = -1
    order.mute = 0
    order.kids = 0
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
    state.names[s].resting += 1
    activate(state, s)
    return k


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
    children = i64(take == take) + i64(stop_loss == stop_loss)
    wrong = _bad(quantity, limit, stop, trail, from_open) or take <= 0.0 or stop_loss <= 0.0
    held = kind >= KIND_HELD_STOP
    wrong = wrong or (held and (at != AT_ANY or (tif >= 0 and tif not in (TIF_DAY, TIF_GTC))))
    wrong = wrong or (kind <= KIND_VWAP and tif >= 0) or (tif == TIF_CONDITIONAL and limit != limit)
    if wrong or days == 0 or (days > 0 and tif >= 0 and tif != TIF_GTC):
        return _write_refused(state, log, s, side, quantity, kind, i64(BAD_ORDER), tag)
    reason = i64(NO_REASON)
    close = inputs.close[t, s]
    if account[N_ORDERS] + 1 + children + 2 * len(state.names) > len(state.orders):
        reason = i64(TOO_MANY_ORDERS)
    elif side > 0:
        price = limit if limit == limit else (stop if stop == stop else close)
        reason = denied(state, plan, s, quantity, price, close)
    if reason != NO_REASON:
        return _write_refused(state, log, s, side, quantity, kind, reason, tag)
    life = tif
    if tif < 0 or tif == TIF_CONDITIONAL:
        life = TIF_GTC if days > 0 or (held and kind != KIND_FROM_OPEN) else TIF_DAY
    until = i64(FOREVER)
    if life == TIF_DAY:
        until = i64(1)
    elif days > 0:
        until = days + (0 if inputs.dates[t].phase & CLOSING else 1)
    k = _append(state, s, side, quantity, kind, limit, stop, trail, from_open, life, until, tag, close)
    order = state.orders[k]
    order.at = at
    if children > 0:
        order.kids = 1
        group = i64(0)
        if children == 2:
            account[NEXT_GROUP] += 1
            group = account[NEXT_GROUP]
        nan = np.nan
        forever = i64(FOREVER)
        gtc = i64(TIF_GTC)
        if stop_loss == stop_loss:
            c = _append(
                state, s, -side, i64(0), i64(KIND_HELD_STOP), nan, stop_loss, nan, nan, gtc, forever, tag, close
            )
            state.orders[c].parent = order.id
            state.orders[c].stage = STAGE_CHILD
            state.orders[c].group = group
        if take == take:
            c = _append(state, s, -side, i64(0), i64(KIND_LIMIT), take, nan, nan, nan, gtc, forever, tag, close)
            state.orders[c].parent = order.id
            state.orders[c].stage = STAGE_CHILD
            state.orders[c].group = group
    return order.id


@njit_bare
def find(state: State, order: int) -> int:
    """Place of an own working order in the table, or -1."""
    for k in range(state.account[N_ORDERS]):
        found = state.orders[k]
        if found.id == order:
            return k if found.own and found.stage != STAGE_OVER else -1
    return -1


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
def replace(state: State, log: Log, order: int, quantity: int, limit: float, stop: float) -> int:
    """End a working order and make one like it with another open quantity (-1: as it is), limit or stop (NaN: as it
    is); returns the new id, or -1 where there is none of that id or a change does not fit its kind.
    """
    k = find(state, order)
    if k < 0 or quantity == 0 or limit <= 0.0 or stop <= 0.0:
        return i64(-1)
    old = state.orders[k]
    has_limit = is_limit(old) or old.kind == KIND_STOP_LIMIT or old.limit == old.limit
    if (limit == limit and not has_limit) or (stop == stop and old.stop != old.stop):
        return i64(-1)
    if state.account[N_ORDERS] + 1 + 2 * len(state.names) > len(state.orders):
        return i64(-1)
    open_ = quantity if quantity > 0 else old.qty - old.filled
    c = _append(
        state, old.symbol, old.side, open_, old.kind, limit if limit == limit else old.limit,
        stop if stop == stop else old.stop, old.trail, old.from_open, old.tif, old.until, old.tag, old.extreme,
    )  # fmt: skip
    new = state.orders[c]
    new.at, new.group, new.parent, new.kids = old.at, old.group, old.parent, old.kids
    new.stage = old.stage
    if old.stage == STAGE_CHILD and quantity < 0:
        new.want, new.qty = i64(0), i64(0)
    if old.kids:
        for j in range(state.account[N_ORDERS]):
            if state.orders[j].parent == old.id:
                state.orders[j].parent = new.id
    end_order(state, log, k, i64(REPLACED))
    return new.id


@njit_call
def one_cancels_other(state: State, a: int, b: int) -> bool:
    """Put two working orders of one name into one group; False where they are not."""
    i, j = find(state, a), find(state, b)
    if i < 0 or j < 0 or i == j or state.orders[i].symbol != state.orders[j].symbol:
        return False
    state.account[NEXT_GROUP] += 1
    state.orders[i].group = state.account[NEXT_GROUP]
    state.orders[j].group = state.account[NEXT_GROUP]
    return True


@njit_bare
def open_orders(state: State, log: Log) -> None:
    """Step 1 of own orders: a session that ended without its closing auction ends now; ranges start anew."""
    account = state.account
    if account[NEW_SESSION]:
        if account[UNCLOSED]:
            end_session(state, log)
        for k in range(account[N_ORDERS]):  # a closing auction that never came
            order = state.orders[k]
            if order.own and order.at == AT_CLOSE and order.stage == STAGE_LIVE:
                close_order(state, log, k, order.reason if order.reason == HALTED else i64(EXPIRED))
        account[UNCLOSED] = 1
        for s in range(len(state.names)):
            name = state.names[s]
            if name.high >= name.low:
                name.range = name.high - name.low
            name.high, name.low = -np.inf, np.inf


@njit_call
def end_session(state: State, log: Log) -> None:
    """One session less to live for each order that was live in this one."""
    state.account[UNCLOSED] = 0
    for k in range(state.account[N_ORDERS]):
        order = state.orders[k]
        if order.own and STAGE_LIVE <= order.stage <= STAGE_TRIGGERED and order.kind > KIND_VWAP:
            order.until -= 1
            if order.until <= 0:
                close_order(state, log, k, order.reason if order.reason == HALTED else i64(EXPIRED))


@njit_bare
def _level(state: State, inputs: Inputs, plan: Record, t: int, k: int) -> float:
    """Where an order acts today: limits on the grid inward, triggers outward; NaN: not yet known."""
    order = state.orders[k]
    row, market = inputs.dates[t].row, state.names[order.symbol].market
    if is_limit(order):
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
def set_level(state: State, inputs: Inputs, plan: Record, t: int, k: int) -> None:
    """Put an order's price of today into `level`."""
    state.orders[k].level = _level(state, inputs, plan, t, k)


@njit_bare
def _not_accepted(inputs: Inputs, t: int, order: Record, lower: float, upper: float) -> bool:
    """Whether the exchange would refuse an order of this kind on this bar."""
    special = order.kind == KIND_CONDITIONAL or order.tif == TIF_IOC or order.tif == TIF_FOK
    if special and inputs.flags[t, order.symbol] & LIQUIDATION:
        return True
    if (order.tif == TIF_IOC or order.tif == TIF_FOK) and inputs.dates[t].phase & AUCTION_ONLY:
        return True
    if order.kind == KIND_CONDITIONAL:
        return order.level >= upper if order.side > 0 else order.level <= lower
    return False


@njit_call
def release_own(state: State, inputs: Inputs, plan: Record, log: Log, t: int) -> None:
    """Step 2 of own orders: what was decided goes live; each morning what rests is looked at again.

    Builds the list of each name's orders that this bar's path may meet (`NAME.first`, `ORDER.next`).
    """
    account = state.account
    morning = account[NEW_SESSION] == 1
    for i in range(account[N_ORDERS]):
        state.names[state.orders[i].symbol].first = -1
    for k in range(account[N_ORDERS] - 1, -1, -1):
        order = state.orders[k]
        s = order.symbol
        if order.own == 0 or order.stage == STAGE_OVER:
            continue
        if inputs.flags[t, s] & LISTED == 0:
            close_order(state, log, k, i64(GONE))
            continue
        if is_print(order):
            if order.stage == STAGE_NEW:
                order.stage = STAGE_LIVE
            continue
        fresh = order.stage == STAGE_NEW
        if fresh:
            order.stage = STAGE_LIVE
        if morning or order.mute != PARKED:
            order.reason = NO_REASON
            order.mute = 0
        if order.stage != STAGE_CHILD and (fresh or morning):
            _look_anew(state, inputs, plan, log, t, k)
        if order.stage != STAGE_OVER:
            set_level(state, inputs, plan, t, k)
            order.next = state.names[s].first
            state.names[s].first = k


@njit_call
def _look_anew(state: State, inputs: Inputs, plan: Record, log: Log, t: int, k: int) -> None:
    """The morning of an order: may it stand in today's book?"""
    order = state.orders[k]
    s = order.symbol
    if order.kind == KIND_FROM_OPEN:
        order.stop = np.nan  # known at the session's first trade
        return
    if not is_limit(order) and order.tif != TIF_IOC and order.tif != TIF_FOK:
        return
    set_level(state, inputs, plan, t, k)
    lower, upper = day_limits(state, inputs, plan, t, s)
    if _not_accepted(inputs, t, order, lower, upper):
        close_order(state, log, k, i64(NOT_ACCEPTED))
    elif order.level > upper or order.level < lower:
        if order.tif == TIF_GTC:
            order.mute = PARKED
            order.reason = OUT_OF_LIMITS
        else:
            close_order(state, log, k, i64(OUT_OF_LIMITS))


@njit_call
def reserve(state: State, inputs: Inputs, plan: Record, t: int, taken: int) -> None:
    """Step 2 with `funding="cash"`: limit buys, older first, reserve what `taken` leaves of the cash held now."""
    account = state.account
    account[RESERVED] = 0
    left = spendable(plan, cash_of(state)) - taken
    for k in range(account[N_ORDERS]):
        order = state.orders[k]
        if order.own == 0 or order.side < 0 or order.kind <= KIND_VWAP or order.mute == PARKED:
            continue
        if not is_limit(order) or not (STAGE_LIVE <= order.stage <= STAGE_TRIGGERED):
            continue
        market = state.names[order.symbol].market
        price = order.level if order.level == order.level else day_limits(state, inputs, plan, t, order.symbol)[1]
        if not price < np.inf:
            price = reference_price(state, inputs, plan, t, order.symbol)
        quantity = min(order.qty - order.filled, affordable(plan, market, price, left))
        if quantity < order.qty - order.filled:
            order.qty = order.filled + quantity
            order.reason = NO_CASH
            order.mute = MUTED if quantity == 0 else order.mute
        value = money(price, quantity, plan.unit)
        cost = value + commission_of(plan, market, value)
        left -= cost
        account[RESERVED] += cost


@njit_call
def expire_own(state: State, inputs: Inputs, log: Log, t: int, deciding: int) -> None:
    """Step 6 of own orders; then the table is made dense again. deciding: the second look of `fill="close"`."""
    account = state.account
    phase = inputs.dates[t].phase
    for k in range(account[N_ORDERS]):
        order = state.orders[k]
        if order.own == 0 or order.stage == STAGE_OVER or (deciding and order.kind != KIND_SAME_CLOSE):
            continue
        s = order.symbol
        traded = inputs.flags[t, s] & TRADED
        why = order.reason if order.reason != NO_REASON else i64(EXPIRED)
        if order.kind <= KIND_VWAP:
            waits = order.at == AT_OPEN and not (phase & OPENING or account[NEW_SESSION])
            waits = waits or (order.at == AT_CLOSE and not (phase & CLOSING and traded))
            if not waits:
                close_order(state, log, k, why)
        elif order.stage >= STAGE_LIVE:
            if traded == 0:
                order.reason = HALTED
            if order.tif == TIF_IOC or order.tif == TIF_FOK or order.qty <= order.filled:
                close_order(state, log, k, order.reason if order.reason != NO_REASON else why)
    if deciding == 0 and phase & CLOSING and account[UNCLOSED]:
        end_session(state, log)
    kept = i64(0)
    for k in range(account[N_ORDERS]):
        if state.orders[k].own and state.orders[k].stage != STAGE_OVER:
            if kept != k:
                state.orders[kept] = state.orders[k]
            kept += 1
    account[N_ORDERS] = kept
