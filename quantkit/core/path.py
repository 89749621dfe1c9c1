"""Step 4 of `docs/execution.md`: a bar's path, on which a strategy's own orders and the policy's stops meet the price.

A name walks open -> one extreme -> the other -> close. On each leg the order whose price is met first acts first, and
what it changes (a child that goes live, a position that is gone) holds for the rest of the path. Names without own
orders take the short way of `matching.policy_stop`. Contract: reads one bar; the lists of `book.release_own` are built.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from quantkit.core.account import cash_of, owned
from quantkit.core.acting import act, acts_upward, at_once, can_act, is_beyond, power
from quantkit.core.context import inputs_of, log_of, plan_of, state_of
from quantkit.core.copying import copy_record
from quantkit.core.orders import WAITING, is_limit
from quantkit.core.pricing import day_limits
from quantkit.core.resting import set_level
from quantkit.core.state import (
    KIND_FROM_OPEN,
    KIND_HELD_TRAIL,
    KIND_STOP_LIMIT,
    N_ACTIVE,
    OPEN_ENTRY,
    OWN_CASH,
    POOL,
    RULE_STOP,
    RULE_STOP_GAP,
    RULE_TAKE,
    RULE_TAKE_GAP,
    RULE_TRAIL,
    STAGE_CHILD,
    STAGE_LIVE,
    STAGE_TRIGGERED,
    Log,
    Record,
    i64,
)
from quantkit.core.stops import OPTIMISTIC, cover_stop, fire_stop, high_first, policy_stop
from quantkit.data.bars import TRADED
from quantkit.jit import njit_bare, njit_call
from quantkit.market.kernels import ceil_tick, floor_tick

if TYPE_CHECKING:
    from quantkit.core.context import Address

NOTHING, POLICY = -1, -2  # instead of a place in the table of orders


@njit_bare
def _policy_levels(frame: Address, s: int) -> tuple[float, float, int]:
    """(price whose loss sells, price whose gain sells before the grid, rule of the former); 0 and inf without."""
    state = state_of(frame)
    plan = plan_of(frame)
    name = state.names[s]
    entry = name.entry_value / plan.unit / name.entry_qty
    stop = entry * (1.0 - plan.stop_loss) if plan.stop_loss > 0.0 else 0.0
    trail = name.peak * (1.0 - plan.trailing_stop) if plan.trailing_stop > 0.0 else 0.0
    take = entry * (1.0 + plan.take_profit) if plan.take_profit > 0.0 else np.inf
    return max(stop, trail), take, i64(RULE_TRAIL) if trail > stop else i64(RULE_STOP)


@njit_bare
def _rank(order: Record) -> int:
    """Who acts first at one price: stops before limits, sells before buys, the policy's (1 and 4) after own ones."""
    return i64((3 if is_limit(order) else 0) + (2 if order.side > 0 else 0))


@njit_bare
def _better(up: bool, a: float, b: float) -> bool:
    return a < b if up else a > b


@njit_call
def _stop_comes(frame: Address, t: int, k: int) -> bool:
    """Whether the other extreme of the bar reaches a stop of the same group: the limit then waits for that."""
    state = state_of(frame)
    inputs = inputs_of(frame)
    mine = state.orders[k]
    if mine.group == 0:
        return False
    c = state.names[mine.symbol].first
    while c >= 0:
        other = state.orders[c]
        if other.group == mine.group and other.side == mine.side and can_act(other) and not is_limit(other):
            reaches = other.level <= inputs.high[t, mine.symbol]
            if other.side < 0:
                reaches = other.level >= inputs.low[t, mine.symbol]
            if reaches:
                mine.mute = WAITING
                return True
        c = other.next
    return False


@njit_bare
def _policy_waits(frame: Address, t: int, s: int, stop: float) -> bool:
    """Whether the low that is still to come reaches the policy's stop: stop and take in one bar, the stop."""
    inputs = inputs_of(frame)
    plan = plan_of(frame)
    trail = 0.0
    if plan.trailing_stop > 0.0:
        trail = max(state_of(frame).names[s].peak, inputs.high[t, s]) * (1.0 - plan.trailing_stop)
    return inputs.low[t, s] <= max(stop, trail)


@njit_call
def _next_on_leg(
    frame: Address, t: int, s: int, start: float, end: float, policy: int, early: int
) -> tuple[int, float]:
    """(place of the order that acts first between two prices of the path, or POLICY or NOTHING; the price there).

    early: the other extreme of the bar is still to come, and a stop it brings goes before a take.
    """
    state = state_of(frame)
    inputs = inputs_of(frame)
    plan = plan_of(frame)
    up = end > start
    name = state.names[s]
    chosen, where, rank = i64(NOTHING), end, i64(9)
    if policy and name.shares > 0:
        stop, take, _ = _policy_levels(frame, s)
        level = ceil_tick(plan, inputs.dates[t].row, name.market, take) if up else stop
        if up and early and _policy_waits(frame, t, s, stop):
            level = np.inf
        if (level <= end) if up else (end <= level):
            chosen, rank = i64(POLICY), i64(4 if up else 1)
            if not up:
                level = max(floor_tick(plan, inputs.dates[t].row, name.market, level), end)
            where = max(level, start) if up else min(level, start)
    k = name.first
    while k >= 0:
        order = state.orders[k]
        if can_act(order) and not at_once(order) and acts_upward(order) == up:
            level = order.level
            limit = is_limit(order)
            reached = level <= end if up else end <= level
            if limit and not plan.touch and level == end:
                reached = False
            if reached and limit and early and _stop_comes(frame, t, k):
                reached = False
            if reached:
                level = max(level, start) if up else min(level, start)
                mine = _rank(order)
                if chosen == NOTHING or _better(up, level, where) or (level == where and mine < rank):
                    chosen, where, rank = k, level, i64(mine)
        k = order.next
    return chosen, where


@njit_call
def _act_beyond(frame: Address, t: int, s: int, price: float, way: int, policy: int, early: int) -> int:
    """Let the first order that is beyond its price at this moment act; 0 when there is none, 2 a policy stop that
    could not sell all. way: 1 on a leg upward, -1 downward, 0 at the open; early as in `_next_on_leg`."""
    state = state_of(frame)
    inputs = inputs_of(frame)
    plan = plan_of(frame)
    name = state.names[s]
    opening = i64(way == 0)
    chosen, rank, rule = i64(NOTHING), i64(9), i64(RULE_TAKE)
    if policy and name.shares > 0:
        stop, take, stop_rule = _policy_levels(frame, s)
        if price <= stop and way <= 0:
            chosen, rank, rule = i64(POLICY), i64(1), stop_rule
        elif way >= 0 and price >= ceil_tick(plan, inputs.dates[t].row, name.market, take):
            waits = early == 1 and _policy_waits(frame, t, s, stop)
            chosen, rank = i64(NOTHING if waits else POLICY), i64(9 if waits else 4)
    k = name.first
    while k >= 0:
        order = state.orders[k]
        if can_act(order):
            acts = False
            if at_once(order):
                acts = opening == 1
            else:
                acts = is_beyond(plan, order, price)
                if acts and plan.touch and is_limit(order) and price == order.level:
                    lower, upper = day_limits(state, inputs, plan, t, s)
                    acts = price < upper if order.side > 0 else price > lower
                if acts and early and is_limit(order) and acts_upward(order) == (way > 0) and _stop_comes(frame, t, k):
                    acts = False
            mine = _rank(order)
            if acts and mine < rank:
                chosen, rank = k, mine
        k = order.next
    if chosen == NOTHING:
        return i64(0)
    if chosen == POLICY:
        return _fire(frame, t, s, price, rule + (RULE_STOP_GAP - RULE_STOP) * opening)
    act(frame, t, chosen, price, opening, i64(1))
    return i64(1)


@njit_bare
def _fire(frame: Address, t: int, s: int, price: float, rule: int) -> int:
    """A policy stop on the path; 2 when it could not sell all."""
    state = state_of(frame)
    inputs = inputs_of(frame)
    plan = plan_of(frame)
    log = log_of(frame)
    cash = cash_of(state)
    fire_stop(state, inputs, plan, log, t, s, price, rule)
    if plan.funding_cash == 0:
        state.account[OWN_CASH] += cash_of(state) - cash
    return i64(1) if state.names[s].shares == 0 else i64(2)


@njit_bare
def _follow(frame: Address, t: int, s: int, price: float) -> None:
    """The price came here: peaks and trailing extremes take it in."""
    state = state_of(frame)
    name = state.names[s]
    if owned(name) > 0 and price > name.peak:
        name.peak = price
    k = name.first
    while k >= 0:
        order = state.orders[k]
        trails = order.kind == KIND_HELD_TRAIL and STAGE_LIVE <= order.stage <= STAGE_TRIGGERED
        if trails and order.side * (order.extreme - price) > 0.0:
            order.extreme = price
            set_level(frame, t, k)
        k = order.next


@njit_call
def _walk(frame: Address, t: int, s: int, upward: bool, stop_first: int) -> int:
    """One name's path: at the open, along three legs. Returns the fills written when the open was over.

    stop_first: 1 where a stop that the other extreme brings goes before a take on the first leg.
    """
    state = state_of(frame)
    inputs = inputs_of(frame)
    plan = plan_of(frame)
    log = log_of(frame)
    name = state.names[s]
    o, high, low, c = inputs.open[t, s], inputs.high[t, s], inputs.low[t, s], inputs.close[t, s]
    state.account[OWN_CASH] = 0
    policy = i64(plan.stop_loss > 0.0 or plan.take_profit > 0.0 or plan.trailing_stop > 0.0)
    held = policy if name.marks & OPEN_ENTRY == 0 and name.shares > 0 else i64(0)
    while True:
        done = _act_beyond(frame, t, s, o, i64(0), held, i64(0))
        if done == 0:
            break
        if done == 2 or name.shares <= 0:
            held = i64(0)
            policy = policy if done == 1 else i64(0)
    _follow(frame, t, s, o)
    opened = log.used[0]
    price = o
    for leg in range(3):
        end = c
        if leg < 2:
            end = high if upward == (leg == 0) else low
        way = i64(1 if upward == (leg != 1) else -1)
        price, policy = _leg(frame, t, s, price, end, way, policy, stop_first if leg == 0 else i64(0))
        if leg == 1 and stop_first:
            _end_waiting(frame, s)
    return opened


@njit_call
def _end_waiting(frame: Address, s: int) -> None:
    """Both extremes are over: limits that let a stop go first stand again."""
    state = state_of(frame)
    k = state.names[s].first
    while k >= 0:
        if state.orders[k].mute == WAITING:
            state.orders[k].mute = 0
        k = state.orders[k].next


@njit_call
def _leg(
    frame: Address, t: int, s: int, start: float, end: float, way: int, policy: int, early: int
) -> tuple[float, int]:
    """One leg of the path; returns where it ended and whether the policy's stops are still looked at. way: as in
    `_act_beyond`."""
    price = start
    while True:
        done = _act_beyond(frame, t, s, price, way, policy, early)
        if done == 2:
            policy = i64(0)
        if done != 0:
            continue
        if price == end:
            break
        k, price = _next_on_leg(frame, t, s, price, end, policy, early)
        _follow(frame, t, s, price)
        if k == POLICY:
            policy = _policy_acts(frame, t, s, price)
        elif k != NOTHING:
            act(frame, t, k, price, i64(0), i64(0))
    return end, policy


@njit_call
def _policy_acts(frame: Address, t: int, s: int, price: float) -> int:
    """A stop or take profit met inside the bar; 0 when it could not sell all and waits for the next bar."""
    state = state_of(frame)
    inputs = inputs_of(frame)
    plan = plan_of(frame)
    name = state.names[s]
    stop, _, rule = _policy_levels(frame, s)
    at = price
    if price <= stop:
        at = max(floor_tick(plan, inputs.dates[t].row, name.market, price), inputs.low[t, s])
    else:
        rule = i64(RULE_TAKE)
    return i64(1) if _fire(frame, t, s, at, rule) == 1 else i64(0)


@njit_call
def _reach(frame: Address, t: int, s: int) -> int:
    """What a bar's range may bring to act: bit 1 something below, 2 something above; 4: what acts may bring something
    else to act, or the order of the extremes matters; 8: something follows the price. Fixes triggers that hang on the
    open."""
    state = state_of(frame)
    inputs = inputs_of(frame)
    plan = plan_of(frame)
    name = state.names[s]
    o, high, low = inputs.open[t, s], inputs.high[t, s], inputs.low[t, s]
    found = i64(0)
    k = name.first
    while k >= 0:
        order = state.orders[k]
        if order.kind == KIND_FROM_OPEN and order.from_open == order.from_open and order.stage == STAGE_LIVE:
            order.stop = o + order.side * order.from_open * name.range  # NaN without a range: in vain
            order.from_open = np.nan
            set_level(frame, t, k)
        if can_act(order):
            if at_once(order) or (order.stage == STAGE_TRIGGERED and not is_limit(order)):
                found |= 1
            up = acts_upward(order)
            level = order.level
            if order.kind == KIND_HELD_TRAIL:
                found |= 12
                far = max(order.extreme, high) if order.side < 0 else min(order.extreme, low)
                level = far * (1.0 + order.side * order.trail)
            if up and level <= high:
                found |= 2
            if not up and level >= low:
                found |= 1
            if order.kind == KIND_STOP_LIMIT:
                found |= 4
        elif order.stage == STAGE_CHILD and not (order.level > high or order.level < low):
            found |= 4  # once its entry fills
        k = order.next
    if name.shares > 0 and (plan.stop_loss > 0.0 or plan.take_profit > 0.0 or plan.trailing_stop > 0.0):
        stop, take, _ = _policy_levels(frame, s)
        if plan.trailing_stop > 0.0:
            stop = max(stop, max(name.peak, high) * (1.0 - plan.trailing_stop))
        found |= 4 | (1 if low <= stop else 0) | (2 if high >= take else 0)
    elif plan.stop_loss > 0.0 or plan.take_profit > 0.0 or plan.trailing_stop > 0.0:
        found |= 4
    return found


@njit_call
def _keep(frame: Address, s: int, back: int) -> None:
    """Note a name, its orders and the account as they are, or (back) make them so again."""
    state = state_of(frame)
    log = log_of(frame)
    if back:
        copy_record(state.names, s, log.kept_name, i64(0))
        for i in range(len(state.account)):
            state.account[i] = log.kept_account[i]
    else:
        copy_record(log.kept_name, i64(0), state.names, s)
        for i in range(len(state.account)):
            log.kept_account[i] = state.account[i]
    k = state.names[s].first
    n = i64(0)
    while k >= 0:
        if back:
            copy_record(state.orders, k, log.kept, n)
        else:
            copy_record(log.kept, n, state.orders, k)
        k = state.orders[k].next
        n += 1


@njit_call
def _try(frame: Address, t: int, s: int, upward: bool, stop_first: int) -> tuple[int, int]:
    """Walk a path for its fills only, which stay in the log above those of before; returns where they begin and how
    many of them the open made."""
    state = state_of(frame)
    log = log_of(frame)
    rows, start, target = log.used[1], log.used[0], state.target[s]
    _keep(frame, s, i64(0))
    opened = _walk(frame, t, s, upward, stop_first)
    _keep(frame, s, i64(1))
    state.target[s] = target
    log.used[1] = rows
    return start, opened


@njit_call
def _walk_marked(frame: Address, t: int, s: int, upward: bool, stop_first: int) -> None:
    """Walk the path, and mark its fills after the open when the extremes in one or the other order, each order acting
    as it is met, would have given others."""
    log = log_of(frame)
    first = log.used[0]
    other, _ = _try(frame, t, s, not upward, i64(0))
    third, _ = _try(frame, t, s, upward, i64(0))
    mine = log.used[0]
    opened = _walk(frame, t, s, upward, stop_first)
    made = log.used[0] - mine
    same = _same_fills(log, other, third, mine, made) and _same_fills(log, third, mine, mine, made)
    for i in range(made):
        copy_record(log.fills, first + i, log.fills, mine + i)
        if not same and mine + i >= opened:
            log.fills[first + i].ambiguous = 1
    log.used[0] = first + made


@njit_bare
def _same_fill(log: Log, i: int, j: int) -> int:
    a, b = log.fills[i], log.fills[j]
    stops = RULE_STOP <= a.rule <= RULE_TAKE_GAP and RULE_STOP <= b.rule <= RULE_TAKE_GAP  # numbered as they come
    return i64((stops or a.order_id == b.order_id) and a.quantity == b.quantity and a.price == b.price)


@njit_bare
def _same_fills(log: Log, start: int, stop: int, mine: int, made: int) -> bool:
    """Whether the rows start..stop are the same orders, quantities and prices as those made, in whatever order."""
    if stop - start != made:
        return False
    for i in range(made):
        balance = i64(0)
        for j in range(made):
            balance += _same_fill(log, mine + i, mine + j) - _same_fill(log, mine + i, start + j)
        if balance != 0:
            return False
    return True


@njit_call
def match_path(frame: Address, t: int, extra: int | None) -> None:
    """Step 4 where a strategy has own orders; otherwise `matching.match_stops` is the whole of it."""
    state = state_of(frame)
    inputs = inputs_of(frame)
    plan = plan_of(frame)
    log = log_of(frame)
    account = state.account
    room = power(frame, t)
    account[POOL] = room
    stop_first = i64(0 if plan.path == OPTIMISTIC else 1)
    stops = plan.stop_loss > 0.0 or plan.take_profit > 0.0 or plan.trailing_stop > 0.0
    count = i64(0)
    for i in range(account[N_ACTIVE]):
        s = state.names[i].active
        name = state.names[s]
        traded = inputs.flags[t, s] & TRADED
        if extra is not None and stops and name.shares < 0 and traded:
            cash = cash_of(state)
            cover_stop(state, inputs, plan, log, t, s)
            if cash != cash_of(state):  # what it leaves free serves no buy of this bar's path
                left = power(frame, t)
                account[POOL] += min(i64(0), left - room)
                room = left
        if name.first < 0 or name.resting == 0:
            if stops and name.shares > 0 and traded:
                policy_stop(state, inputs, plan, log, t, s)
        elif traded:
            place = count
            while place > 0 and state.names[log.work[place - 1].i].tie > name.tie:
                log.work[place].i = log.work[place - 1].i
                place -= 1
            log.work[place].i = s
            count += 1
    for n in range(count):
        s = log.work[n].i
        found = _reach(frame, t, s)
        o, high, low = inputs.open[t, s], inputs.high[t, s], inputs.low[t, s]
        upward = high_first(plan, o, high, low, state.names[s].shares)
        if found & 3 == 3 or (found & 3 and found & 4):
            _walk_marked(frame, t, s, upward, stop_first)
        elif found & 3:
            _walk(frame, t, s, upward, stop_first)
        elif found & 8:
            _follow(frame, t, s, o)
            _follow(frame, t, s, high)
            _follow(frame, t, s, low)
    account[POOL], account[OWN_CASH] = 0, 0  # of this path alone: a bar without one leaves the same state


@njit_bare
def follow_ranges(frame: Address, t: int) -> None:
    """The running high and low of each name's session, for orders priced from the open."""
    state = state_of(frame)
    inputs = inputs_of(frame)
    for s in range(len(state.names)):
        if inputs.flags[t, s] & TRADED:
            name = state.names[s]
            name.high = max(name.high, inputs.high[t, s])
            name.low = min(name.low, inputs.low[t, s])
