"""The life of one order of a strategy: what kind it is, what its fill does besides the booking, how it ends.

Contract: steps over `State` and its table of orders; one row is written when a life ends. Below `matching` and `book`,
which both need it.
"""

from __future__ import annotations

from quantkit.core.account import write_order
from quantkit.core.state import (
    BARS,
    CUT,
    DROPPED,
    ENDED,
    FILLED,
    KIND_CONDITIONAL,
    KIND_LIMIT,
    KIND_STOP_LIMIT,
    KIND_VWAP,
    N_ORDERS,
    NO_CASH,
    NO_REASON,
    NO_SHARES,
    ONE_CANCELS_OTHER,
    OWN_WORKING,
    PARENT_GONE,
    QUIET,
    STAGE_CHILD,
    STAGE_LIVE,
    STAGE_OVER,
    STAGE_TRIGGERED,
    Log,
    Record,
    State,
    i64,
)
from quantkit.jit import njit_bare, njit_call

MUTED, PARKED, WAITING = 1, 2, 3  # ORDER.mute: until the next bar, the next session, the bar's second extreme


@njit_bare
def is_limit(order: Record) -> bool:
    """Whether it acts where the price is good for it; the others act where the price runs away."""
    return (
        order.kind == KIND_LIMIT
        or order.kind == KIND_CONDITIONAL
        or (order.kind == KIND_STOP_LIMIT and order.stage == STAGE_TRIGGERED)
    )


@njit_bare
def is_cut(reason: int) -> bool:
    """Whether it says why some shares of an order are gone, and not why it waits."""
    return reason in (NO_CASH, NO_SHARES, ONE_CANCELS_OTHER)


@njit_bare
def is_print(order: Record) -> bool:
    """Whether it fills at one print of a bar (open, close, average), not along the path."""
    return order.kind <= KIND_VWAP


@njit_call
def end_order(state: State, log: Log, k: int, reason: int) -> None:
    """Write the row of an order whose life ends, and take it off its name; a child that never lived ends with it."""
    order = state.orders[k]
    status, why = FILLED, i64(NO_REASON)
    if order.filled < order.want or order.want == 0:  # a split may leave none
        status = CUT if order.filled > 0 else DROPPED
        why = reason
    write_order(
        log, order.id, order.bar, order.symbol, order.side, order.want, order.filled, order.kind, i64(status), why,
        state.account[BARS], order.tag,
    )  # fmt: skip
    order.stage = STAGE_OVER
    state.account[ENDED], state.account[QUIET] = 1, 0
    state.names[order.symbol].resting -= 1
    state.account[OWN_WORKING] -= 1


@njit_call
def close_order(state: State, log: Log, k: int, reason: int) -> None:
    """`end_order`, and the children of an entry that never filled."""
    end_order(state, log, k, reason)
    order = state.orders[k]
    if order.kids and order.filled == 0:
        for c in range(state.account[N_ORDERS]):
            child = state.orders[c]
            if child.parent == order.id and child.stage == STAGE_CHILD:
                end_order(state, log, c, i64(PARENT_GONE))


@njit_call
def own_filled(state: State, log: Log, k: int, quantity: int) -> None:
    """What a fill of an own order does besides the booking: the goal, its group, its children, its end."""
    order = state.orders[k]
    name = state.names[order.symbol]
    if order.side > 0:
        name.goal += quantity
    elif name.goal > 0:
        name.goal = max(i64(0), name.goal - quantity)
    if order.group > 0:
        for c in range(state.account[N_ORDERS]):
            other = state.orders[c]
            if other.group == order.group and c != k and other.own and other.stage != STAGE_OVER:
                if other.stage == STAGE_CHILD or other.qty <= other.filled:
                    continue
                other.qty = max(other.filled, other.qty - quantity)
                other.reason = ONE_CANCELS_OTHER
                if other.qty <= other.filled:
                    close_order(state, log, c, i64(ONE_CANCELS_OTHER))
    if order.kids:
        for c in range(state.account[N_ORDERS]):
            child = state.orders[c]
            if child.parent == order.id and child.stage != STAGE_OVER and child.own:
                if child.stage == STAGE_CHILD:
                    child.stage = STAGE_LIVE
                    child.fresh = 2
                    child.want, child.qty, child.filled = i64(0), i64(0), i64(0)
                    child.mute = PARKED if child.mute == PARKED else 0
                child.want += quantity
                child.qty += quantity
