"""The policy's own stops along a bar: stop loss, take profit and trailing stop of what is held.

Contract: `policy_stop` is the short way for names without a strategy's own orders; `path` uses `fire_stop` and
`high_first` where there are some. Levels and path are those of `docs/execution.md`.
"""

from __future__ import annotations

import numpy as np

from quantkit.core.account import cash_of, end_goal, lots, write_order
from quantkit.core.pricing import book_fill, day_limits, slipped
from quantkit.core.short import drop_opening, take_before
from quantkit.core.state import (
    BARS,
    BUY,
    CUT,
    DROPPED,
    FILLED,
    KIND_STOP,
    KIND_TAKE,
    KIND_TRAIL,
    LOCKED,
    N_ACTIVE,
    NEXT_ID,
    NO_REASON,
    OPEN_ENTRY,
    RULE_STOP,
    RULE_STOP_GAP,
    RULE_TAKE,
    RULE_TAKE_GAP,
    RULE_TRAIL,
    RULE_TRAIL_GAP,
    SELL,
    TOO_THIN,
    Inputs,
    Log,
    Record,
    State,
    i64,
)
from quantkit.data.bars import TRADED
from quantkit.jit import njit_bare, njit_call
from quantkit.market.kernels import ceil_tick, floor_tick

NEARER, PESSIMISTIC, OPTIMISTIC = range(3)  # indices in core.policy.PATHS


@njit_bare
def high_first(plan: Record, open_: float, high: float, low: float, held: int) -> bool:
    """Whether a bar goes to its high before its low."""
    if plan.path == NEARER:
        return high - open_ < open_ - low
    return (held > 0) != (plan.path == PESSIMISTIC)


@njit_bare
def _stop_price(
    state: State, inputs: Inputs, plan: Record, t: int, s: int, at_open: int, upward: bool, literal: int
) -> tuple[float, int]:
    """(price before slippage, rule) of the held order that fires on this bar, or (0, -1).

    at_open: the position was there before the bar opened, so a gap counts. upward: the bar's high came first.
    literal: 1 where a take that is met first does not wait for the stop that the other extreme brings.
    """
    name = state.names[s]
    open_, high, low = inputs.open[t, s], inputs.high[t, s], inputs.low[t, s]
    row, market = inputs.dates[t].row, name.market
    entry = name.entry_value / plan.unit / name.entry_qty
    stop = entry * (1.0 - plan.stop_loss) if plan.stop_loss > 0.0 else 0.0
    take = ceil_tick(plan, row, market, entry * (1.0 + plan.take_profit)) if plan.take_profit > 0.0 else np.inf
    keep = 1.0 - plan.trailing_stop
    trail = name.peak * keep if plan.trailing_stop > 0.0 else 0.0
    if at_open:
        if open_ <= max(stop, trail):
            return open_, RULE_TRAIL_GAP if trail > stop else RULE_STOP_GAP
        if open_ >= take:
            return open_, RULE_TAKE_GAP
    peak = max(name.peak, open_)
    if plan.trailing_stop > 0.0:
        trail = (max(peak, high) if upward else peak) * keep
    level = max(stop, trail)
    if upward and high >= take and literal:
        return max(take, open_), RULE_TAKE
    if low <= level:
        price = max(floor_tick(plan, row, market, level), low)
        return min(price, high if upward else open_), RULE_TRAIL if trail > stop else RULE_STOP
    if high >= take:
        return max(take, open_ if upward else low), RULE_TAKE
    if plan.trailing_stop > 0.0 and not upward:
        trail = max(peak, high) * keep
        if inputs.close[t, s] <= trail:
            price = max(floor_tick(plan, row, market, trail), low)
            return min(price, high), RULE_TRAIL
    return 0.0, i64(-1)


@njit_call
def fire_stop(state: State, inputs: Inputs, plan: Record, log: Log, t: int, s: int, price: float, rule: int) -> None:
    """Sell what is held of a name (buy back what is short) at a stop's price, unless that is at the price limit."""
    account = state.account
    name = state.names[s]
    held, side = abs(name.shares), i64(SELL) if name.shares > 0 else i64(BUY)
    lower, upper = day_limits(state, inputs, plan, t, s)
    kind = KIND_STOP
    if rule >= RULE_TAKE:
        kind = KIND_TAKE
    elif rule >= RULE_TRAIL:
        kind = KIND_TRAIL
    order = account[NEXT_ID]
    account[NEXT_ID] += 1
    filled, status, reason = held, FILLED, NO_REASON
    if (side < 0 and price <= lower) or (side > 0 and price >= upper):
        filled, status, reason = i64(0), DROPPED, LOCKED
    else:
        if plan.participation < np.inf:
            room = i64(np.floor(plan.participation * inputs.volume[t, s])) - name.used
            if room < held:
                filled, status, reason = lots(plan, name.market, max(i64(0), room)), CUT, TOO_THIN
        worst = 0.0 if side < 0 else np.inf
        worse = slipped(inputs, plan, t, s, name.market, side, filled, price, worst)
        if filled > 0:
            cash = cash_of(state)
            book_fill(
                state, inputs, plan, log, t, s, side, filled, worse, price, order, i64(-1), rule, i64(0)
            )  # fmt: skip
            if side > 0:
                take_before(state, cash - cash_of(state))
        else:
            status = DROPPED
            end_goal(state, s)
        drop_opening(state, s)
    write_order(log, order, account[BARS], s, side, held, filled, kind, status, reason, account[BARS], i64(0))


@njit_call
def _sold_at(state: State, inputs: Inputs, plan: Record, t: int, s: int, fill: Record, price: float) -> bool:
    """Whether a stop that acts at `price` (0: none does) would have made the same fill."""
    lower, upper = day_limits(state, inputs, plan, t, s)
    if price == 0.0 or (price <= lower if fill.side < 0 else price >= upper):
        return False
    worst = 0.0 if fill.side < 0 else np.inf
    market = state.names[s].market
    return slipped(inputs, plan, t, s, market, fill.side, fill.quantity, price, worst) == fill.price


@njit_call
def policy_stop(state: State, inputs: Inputs, plan: Record, log: Log, t: int, s: int) -> None:
    """The policy's stops of one name that is held and trades: fire what its bar meets."""
    name = state.names[s]
    at_open = 0 if name.marks & OPEN_ENTRY else 1
    upward = high_first(plan, inputs.open[t, s], inputs.high[t, s], inputs.low[t, s], name.shares)
    literal = i64(plan.path == OPTIMISTIC)
    price, rule = _stop_price(state, inputs, plan, t, s, at_open, upward, literal)
    if rule >= 0:
        one, _ = _stop_price(state, inputs, plan, t, s, at_open, upward, i64(1))
        other, _ = _stop_price(state, inputs, plan, t, s, at_open, not upward, i64(1))
        rows = log.used[0]
        fire_stop(state, inputs, plan, log, t, s, price, rule)
        inside = rule not in (RULE_STOP_GAP, RULE_TRAIL_GAP, RULE_TAKE_GAP)
        if log.used[0] > rows and inside and (one != price or other != price):
            fill = log.fills[rows]
            same = _sold_at(state, inputs, plan, t, s, fill, one) and _sold_at(state, inputs, plan, t, s, fill, other)
            fill.ambiguous = i64(0 if same else 1)


@njit_bare
def _cover_price(
    state: State, inputs: Inputs, plan: Record, t: int, s: int, at_open: int, upward: bool, literal: int
) -> tuple[float, int]:
    """`_stop_price` of a short position: what the high costs, what the low brings."""
    name = state.names[s]
    open_, high, low = inputs.open[t, s], inputs.high[t, s], inputs.low[t, s]
    row, market = inputs.dates[t].row, name.market
    entry = name.entry_value / plan.unit / name.entry_qty
    stop = entry * (1.0 + plan.stop_loss) if plan.stop_loss > 0.0 else np.inf
    take = floor_tick(plan, row, market, entry * (1.0 - plan.take_profit)) if plan.take_profit > 0.0 else 0.0
    keep = 1.0 + plan.trailing_stop
    trail = name.peak * keep if plan.trailing_stop > 0.0 else np.inf
    if at_open:
        if open_ >= min(stop, trail):
            return open_, RULE_TRAIL_GAP if trail < stop else RULE_STOP_GAP
        if open_ <= take:
            return open_, RULE_TAKE_GAP
    peak = min(name.peak, open_)
    if plan.trailing_stop > 0.0:
        trail = (peak if upward else min(peak, low)) * keep
    level = min(stop, trail)
    if not upward and low <= take and literal:
        return min(take, open_), RULE_TAKE
    if high >= level:
        price = min(ceil_tick(plan, row, market, level), high)
        return max(price, open_ if upward else low), RULE_TRAIL if trail < stop else RULE_STOP
    if low <= take:
        return min(take, high if upward else open_), RULE_TAKE
    if plan.trailing_stop > 0.0 and upward:
        trail = min(peak, low) * keep
        if inputs.close[t, s] >= trail:
            price = min(ceil_tick(plan, row, market, trail), high)
            return max(price, low), RULE_TRAIL
    return 0.0, i64(-1)


@njit_call
def cover_stop(state: State, inputs: Inputs, plan: Record, log: Log, t: int, s: int) -> None:
    """`policy_stop` of a short position."""
    name = state.names[s]
    at_open = 0 if name.marks & OPEN_ENTRY else 1
    upward = high_first(plan, inputs.open[t, s], inputs.high[t, s], inputs.low[t, s], name.shares)
    literal = i64(plan.path == OPTIMISTIC)
    price, rule = _cover_price(state, inputs, plan, t, s, at_open, upward, literal)
    if rule >= 0:
        one, _ = _cover_price(state, inputs, plan, t, s, at_open, upward, i64(1))
        other, _ = _cover_price(state, inputs, plan, t, s, at_open, not upward, i64(1))
        rows = log.used[0]
        fire_stop(state, inputs, plan, log, t, s, price, rule)
        inside = rule not in (RULE_STOP_GAP, RULE_TRAIL_GAP, RULE_TAKE_GAP)
        if log.used[0] > rows and inside and (one != price or other != price):
            fill = log.fills[rows]
            same = _sold_at(state, inputs, plan, t, s, fill, one) and _sold_at(state, inputs, plan, t, s, fill, other)
            fill.ambiguous = i64(0 if same else 1)


@njit_bare
def match_stops(state: State, inputs: Inputs, plan: Record, log: Log, t: int, extra: int | None) -> None:
    """Step 4 without own orders: stop loss, take profit and trailing stop of what is held, along the bar's path."""
    if plan.stop_loss == 0.0 and plan.take_profit == 0.0 and plan.trailing_stop == 0.0:
        return
    for i in range(state.account[N_ACTIVE]):
        s = state.names[i].active
        if state.names[s].shares > 0 and inputs.flags[t, s] & TRADED:
            policy_stop(state, inputs, plan, log, t, s)
        elif extra is not None and state.names[s].shares < 0 and inputs.flags[t, s] & TRADED:
            cover_stop(state, inputs, plan, log, t, s)
