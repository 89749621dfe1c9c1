"""Step 4 of `docs/execution.md`: a bar's path, on which a strategy's own orders and the policy's stops meet the price.

A name walks open -> one extreme -> the other -> close. On each leg the order whose price is met first acts first, and
what it changes (a child that goes live, a position that is gone) holds for the rest of the path. Names without own
orders take the short way of `matching.policy_stop`. Contract: reads one bar; the lists of `book.release_own` are built.
"""

from __future__ import annotations

import numpy as np

from quantkit.core.account import cash_of, commission_of, money
from quantkit.core.book import MUTED, set_level
from quantkit.core.matching import affordable, spendable
from quantkit.core.orders import close_order, end_order, is_limit, own_filled
from quantkit.core.pricing import book_fill, day_limits, slipped
from quantkit.core.state import (
    CASH_BEFORE,
    CLOSE_ENTRY,
    CLOSING,
    KIND_CONDITIONAL,
    KIND_FROM_OPEN,
    KIND_HELD_TRAIL,
    KIND_STOP_LIMIT,
    LOCKED,
    N_ACTIVE,
    NO_CASH,
    NO_SHARES,
    OPEN_ENTRY,
    OWN_CASH,
    POOL,
    RESERVED,
    RULE_CONDITIONAL,
    RULE_HELD,
    RULE_HELD_OPEN,
    RULE_LIMIT,
    RULE_LIMIT_OPEN,
    RULE_OPEN,
    RULE_STOP,
    RULE_STOP_GAP,
    RULE_TAKE,
    RULE_TAKE_GAP,
    RULE_TRAIL,
    STAGE_LIVE,
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
from quantkit.core.stops import OPTIMISTIC, fire_stop, high_first, policy_stop
from quantkit.data.bars import TRADED
from quantkit.jit import njit_bare, njit_call
from quantkit.market.kernels import ceil_tick, floor_tick

NOTHING, POLICY = -1, -2  # instead of a place in the table of orders


@njit_bare
def _can_act(order: Record) -> bool:
    return order.mute == 0 and STAGE_LIVE <= order.stage <= STAGE_TRIGGERED and order.qty > order.filled


@njit_bare
def _at_once(order: Record) -> bool:
    return order.tif == TIF_IOC or order.tif == TIF_FOK


@njit_bare
def _acts_upward(order: Record) -> bool:
    """Whether a rising price brings it to act: sell limits and buy triggers."""
    return (order.side < 0) == is_limit(order)


@njit_bare
def _is_beyond(plan: Record, order: Record, price: float) -> bool:
    """Whether the price of the moment is already good for a limit, or past a trigger."""
    gap = (price - order.level) if _acts_upward(order) else (order.level - price)
    if is_limit(order) and not plan.touch:
        return gap > 0.0
    return gap >= 0.0


@njit_bare
def _policy_levels(state: State, plan: Record, s: int) -> tuple[float, float, int]:
    """(price whose loss sells, price whose gain sells before the grid, rule of the former); 0 and inf without."""
    name = state.names[s]
    entry = name.entry_value / plan.unit / name.entry_qty
    stop = entry * (1.0 - plan.stop_loss) if plan.stop_loss > 0.0 else 0.0
    trail = name.peak * (1.0 - plan.trailing_stop) if plan.trailing_stop > 0.0 else 0.0
    take = entry * (1.0 + plan.take_profit) if plan.take_profit > 0.0 else np.inf
    return max(stop, trail), take, i64(RULE_TRAIL) if trail > stop else i64(RULE_STOP)


@njit_call
def _act(state: State, inputs: Inputs, plan: Record, log: Log, t: int, k: int, price: float, opening: int) -> None:
    """Let an own order act at a price of the path: trigger, or fill as far as price, volume, shares and cash allow."""
    order = state.orders[k]
    s, side = order.symbol, order.side
    name = state.names[s]
    if order.kind == KIND_STOP_LIMIT and order.stage == STAGE_LIVE:
        order.stage = STAGE_TRIGGERED
        set_level(state, inputs, plan, t, k)
        return
    lower, upper = day_limits(state, inputs, plan, t, s)
    if (side > 0 and price >= upper) or (side < 0 and price <= lower):
        order.mute = MUTED
        order.reason = LOCKED
        return
    final, row = price, inputs.dates[t].row
    limited = order.limit == order.limit and (is_limit(order) or order.kind == KIND_STOP_LIMIT)
    quantity = order.qty - order.filled
    if (not limited and order.kind != KIND_CONDITIONAL) or (order.kind == KIND_CONDITIONAL and opening == 2):
        worst = np.inf if side > 0 else 0.0
        if plan.collar >= 0.0 and opening != 2:
            worst = price * (1.0 + side * plan.collar)
            worst = floor_tick(plan, row, name.market, worst) if side > 0 else ceil_tick(plan, row, name.market, worst)
        final = slipped(inputs, plan, t, s, name.market, side, quantity, price, worst)
    if plan.participation < np.inf:
        room = i64(np.floor(plan.participation * inputs.volume[t, s])) - name.used
        if room < quantity:
            order.reason = TOO_THIN
            order.mute = MUTED
            quantity = room if order.tif != TIF_FOK else i64(0)
            if quantity <= 0:
                return
    if side < 0 and plan.shorting == 0:
        if name.shares < quantity:
            order.reason = NO_SHARES
            if name.shares <= 0 or order.tif == TIF_FOK:
                if order.parent >= 0:
                    order.mute = MUTED
                else:
                    close_order(state, log, k, i64(NO_SHARES))
                return
            quantity = name.shares
            order.qty = order.filled + quantity
    elif side > 0:
        fits = _fits(state, plan, k, final, quantity)
        if fits < quantity:
            order.reason = NO_CASH
            if fits == 0 or order.tif == TIF_FOK:
                close_order(state, log, k, i64(NO_CASH))
                return
            quantity = fits
            order.qty = order.filled + quantity
    before = name.shares
    rule = RULE_LIMIT_OPEN if opening == 1 else RULE_LIMIT
    if not limited:
        rule = RULE_HELD_OPEN if opening == 1 else RULE_HELD
        if _at_once(order):
            rule = RULE_OPEN
    if opening == 2:
        rule = RULE_CONDITIONAL
    cash = cash_of(state)
    book_fill(state, inputs, plan, log, t, s, side, quantity, final, price, order.id, k, i64(rule), i64(0))
    _spend(state, plan, k, cash - cash_of(state))
    if before == 0:
        name.marks |= CLOSE_ENTRY  # its peak is followed here, not from the bar's high
    order.filled += quantity
    own_filled(state, log, k, quantity, final)
    if order.filled >= order.qty:
        end_order(state, log, k, order.reason)


@njit_bare
def _fits(state: State, plan: Record, k: int, price: float, quantity: int) -> int:
    """How many of `quantity` shares the cash for buys on the path pays for."""
    account = state.account
    order = state.orders[k]
    market = state.names[order.symbol].market
    available = account[POOL] + account[OWN_CASH]
    if plan.funding_cash:
        available = account[POOL] if is_limit(order) else account[POOL] - account[RESERVED]
    available = spendable(plan, available)
    value = money(price, quantity, plan.unit)
    if value + commission_of(plan, market, value) <= available:
        return quantity
    return min(quantity, affordable(plan, market, price, available))


@njit_bare
def _spend(state: State, plan: Record, k: int, cost: int) -> None:
    """Take a fill's cost off what the path may still spend; a sale's proceeds serve its own name until the bar ends."""
    account = state.account
    account[OWN_CASH] -= cost
    if plan.funding_cash and cost < 0:
        account[OWN_CASH] = 0
    if account[OWN_CASH] < 0:
        account[POOL] += account[OWN_CASH]
        account[OWN_CASH] = 0
    if plan.funding_cash and cost > 0 and is_limit(state.orders[k]):
        account[RESERVED] = max(0, account[RESERVED] - cost)


@njit_bare
def _better(up: bool, a: float, b: float) -> bool:
    return a < b if up else a > b


@njit_call
def _stop_comes(state: State, inputs: Inputs, plan: Record, t: int, k: int) -> bool:
    """Whether the other extreme of the bar reaches a stop of the same group: then the stop goes first."""
    if plan.path == OPTIMISTIC:
        return False
    mine = state.orders[k]
    c = state.names[mine.symbol].first
    while c >= 0:
        other = state.orders[c]
        if other.group == mine.group and other.side == mine.side and _can_act(other) and not is_limit(other):
            if other.side > 0 and other.level <= inputs.high[t, mine.symbol]:
                return True
            if other.side < 0 and other.level >= inputs.low[t, mine.symbol]:
                return True
        c = other.next
    return False


@njit_call
def _next_on_leg(
    state: State, inputs: Inputs, plan: Record, t: int, s: int, start: float, end: float, policy: int, early: int
) -> tuple[int, float]:
    """(place of the order that acts first between two prices of the path, or POLICY or NOTHING; the price there).

    early: the other extreme of the bar is still to come.
    """
    up = end > start
    name = state.names[s]
    chosen, where, rank = i64(NOTHING), end, i64(9)
    if policy and name.shares > 0:
        stop, take, _ = _policy_levels(state, plan, s)
        level = ceil_tick(plan, inputs.dates[t].row, name.market, take) if up else stop
        if up and early and plan.path != OPTIMISTIC:
            trail = max(name.peak, inputs.high[t, s]) * (1.0 - plan.trailing_stop) if plan.trailing_stop > 0.0 else 0.0
            if inputs.low[t, s] <= max(stop, trail):
                level = np.inf  # stop and take in one bar: the stop
        if (level <= end) if up else (end <= level):
            chosen, rank = i64(POLICY), i64(0)
            where = max(level, start) if up else min(level, start)
    k = name.first
    while k >= 0:
        order = state.orders[k]
        if _can_act(order) and not _at_once(order) and _acts_upward(order) == up:
            level = order.level
            limit = is_limit(order)
            reached = level <= end if up else end <= level
            if limit and not plan.touch and level == end:
                reached = False
            if reached and limit and early and order.group > 0 and _stop_comes(state, inputs, plan, t, k):
                reached = False
            if reached:
                level = max(level, start) if up else min(level, start)
                mine = (2 if limit else 0) + (1 if order.side > 0 else 0)
                if chosen == NOTHING or _better(up, level, where) or (level == where and mine < rank):
                    chosen, where, rank = k, level, i64(mine)
        k = order.next
    return chosen, where


@njit_call
def _act_beyond(
    state: State, inputs: Inputs, plan: Record, log: Log, t: int, s: int, price: float, opening: int, policy: int
) -> int:
    """Let the first order that is beyond its price at this moment act; 0 when there is none, 2 a policy stop that
    could not fill."""
    name = state.names[s]
    if policy and name.shares > 0:
        stop, take, rule = _policy_levels(state, plan, s)
        gap = RULE_STOP_GAP - RULE_STOP if opening else 0
        if price <= stop:
            return _fire(state, inputs, plan, log, t, s, price, rule + gap)
        if price >= ceil_tick(plan, inputs.dates[t].row, name.market, take):
            return _fire(state, inputs, plan, log, t, s, price, i64(RULE_TAKE_GAP if opening else RULE_TAKE))
    chosen, rank = i64(NOTHING), i64(9)
    k = name.first
    while k >= 0:
        order = state.orders[k]
        if _can_act(order):
            limit = is_limit(order)
            acts = False
            if _at_once(order):
                acts = opening == 1 and not (order.side * (price - order.level) > 0.0)
            else:
                acts = _is_beyond(plan, order, price)
            mine = (2 if limit else 0) + (1 if order.side > 0 else 0)
            if acts and mine < rank:
                chosen, rank = k, i64(mine)
        k = order.next
    if chosen == NOTHING:
        return i64(0)
    _act(state, inputs, plan, log, t, chosen, price, opening)
    return i64(1)


@njit_bare
def _fire(state: State, inputs: Inputs, plan: Record, log: Log, t: int, s: int, price: float, rule: int) -> int:
    """A policy stop on the path; 2 when it could not sell all."""
    cash = cash_of(state)
    fire_stop(state, inputs, plan, log, t, s, price, rule)
    if plan.funding_cash == 0:
        state.account[OWN_CASH] += cash_of(state) - cash
    return i64(1) if state.names[s].shares == 0 else i64(2)


@njit_bare
def _follow(state: State, inputs: Inputs, plan: Record, t: int, s: int, price: float) -> None:
    """The price came here: peaks and trailing extremes take it in."""
    name = state.names[s]
    if name.shares > 0 and price > name.peak:
        name.peak = price
    k = name.first
    while k >= 0:
        order = state.orders[k]
        trails = order.kind == KIND_HELD_TRAIL and STAGE_LIVE <= order.stage <= STAGE_TRIGGERED
        if trails and order.side * (order.extreme - price) > 0.0:
            order.extreme = price
            set_level(state, inputs, plan, t, k)
        k = order.next


@njit_call
def _walk(state: State, inputs: Inputs, plan: Record, log: Log, t: int, s: int, upward: bool) -> None:
    """One name's path: at the open, along three legs, at the close."""
    name = state.names[s]
    o, high, low, c = inputs.open[t, s], inputs.high[t, s], inputs.low[t, s], inputs.close[t, s]
    state.account[OWN_CASH] = 0
    policy = i64(plan.stop_loss > 0.0 or plan.take_profit > 0.0 or plan.trailing_stop > 0.0)
    held = policy if name.marks & OPEN_ENTRY == 0 and name.shares > 0 else i64(0)
    opening = i64(1)
    while True:
        done = _act_beyond(state, inputs, plan, log, t, s, o, opening, held)
        if done == 0:
            break
        if done == 2 or name.shares <= 0:
            held = i64(0)
            policy = policy if done == 1 else i64(0)
    k = name.first
    while k >= 0:
        order = state.orders[k]
        if _at_once(order) and _can_act(order):
            order.mute = MUTED
        k = order.next
    _follow(state, inputs, plan, t, s, o)
    price = o
    for leg in range(3):
        end = c
        if leg < 2:
            end = high if upward == (leg == 0) else low
        price, policy = _leg(state, inputs, plan, log, t, s, price, end, policy, i64(1 if leg == 0 else 0))
    k = name.first
    while k >= 0:
        order = state.orders[k]
        if order.kind == KIND_CONDITIONAL and _can_act(order) and inputs.dates[t].phase & CLOSING:
            _act(state, inputs, plan, log, t, k, c, i64(2))
        k = order.next


@njit_call
def _leg(
    state: State, inputs: Inputs, plan: Record, log: Log, t: int, s: int, start: float, end: float, policy: int,
    early: int,
) -> tuple[float, int]:  # fmt: skip
    """One leg of the path; returns where it ended and whether the policy's stops are still looked at."""
    price = start
    while price != end:
        k, where = _next_on_leg(state, inputs, plan, t, s, price, end, policy, early)
        price = where
        _follow(state, inputs, plan, t, s, price)
        if k == NOTHING:
            break
        if k == POLICY:
            policy = _policy_acts(state, inputs, plan, log, t, s, price)
        else:
            _act(state, inputs, plan, log, t, k, price, i64(0))
        while True:
            done = _act_beyond(state, inputs, plan, log, t, s, price, i64(0), policy)
            if done == 0:
                break
            if done == 2:
                policy = i64(0)
    return end, policy


@njit_call
def _policy_acts(state: State, inputs: Inputs, plan: Record, log: Log, t: int, s: int, price: float) -> int:
    """A stop or take profit met inside the bar; 0 when it could not sell all and waits for the next bar."""
    name = state.names[s]
    stop, _, rule = _policy_levels(state, plan, s)
    at = price
    if price <= stop:
        at = max(floor_tick(plan, inputs.dates[t].row, name.market, price), inputs.low[t, s])
    else:
        rule = i64(RULE_TAKE)
    return i64(1) if _fire(state, inputs, plan, log, t, s, at, rule) == 1 else i64(0)


@njit_call
def _reach(state: State, inputs: Inputs, plan: Record, t: int, s: int) -> int:
    """What a bar's range may bring to act: bit 1 something below, 2 something above, 4 both orders of the extremes
    matter whatever is met; and fixes triggers that hang on the open."""
    name = state.names[s]
    o, high, low = inputs.open[t, s], inputs.high[t, s], inputs.low[t, s]
    found = i64(0)
    k = name.first
    while k >= 0:
        order = state.orders[k]
        if order.kind == KIND_FROM_OPEN and order.stop != order.stop and order.stage == STAGE_LIVE:
            order.stop = o + order.side * order.from_open * name.range
            set_level(state, inputs, plan, t, k)
        if _can_act(order):
            if _at_once(order) or (order.kind == KIND_CONDITIONAL and inputs.dates[t].phase & CLOSING):
                found |= 1
            up = _acts_upward(order)
            if up and order.level <= high:
                found |= 2
            if not up and order.level >= low:
                found |= 1
            if order.kids or order.kind == KIND_HELD_TRAIL or order.kind == KIND_STOP_LIMIT:
                found |= 4
        k = order.next
    if name.shares > 0 and (plan.stop_loss > 0.0 or plan.take_profit > 0.0 or plan.trailing_stop > 0.0):
        stop, take, _ = _policy_levels(state, plan, s)
        found |= (1 if low <= stop else 0) | (2 if high >= take else 0) | (4 if plan.trailing_stop > 0.0 else 0)
    elif plan.stop_loss > 0.0 or plan.take_profit > 0.0 or plan.trailing_stop > 0.0:
        found |= 4
    return found


@njit_call
def _keep(state: State, log: Log, s: int, back: int) -> None:
    """Note a name, its orders and the account as they are, or (back) make them so again."""
    if back:
        state.names[s] = log.kept_name[0]
        for i in range(len(state.account)):
            state.account[i] = log.kept_account[i]
    else:
        log.kept_name[0] = state.names[s]
        for i in range(len(state.account)):
            log.kept_account[i] = state.account[i]
    k = state.names[s].first
    n = i64(0)
    while k >= 0:
        if back:
            state.orders[k] = log.kept[n]
        else:
            log.kept[n] = state.orders[k]
        k = state.orders[k].next
        n += 1


@njit_call
def _walk_both(state: State, inputs: Inputs, plan: Record, log: Log, t: int, s: int, upward: bool) -> None:
    """Walk the path, and mark its fills when the other order of the extremes would have given others."""
    first, rows = log.used[0], log.used[1]
    target = state.target[s]
    _keep(state, log, s, i64(0))
    _walk(state, inputs, plan, log, t, s, not upward)
    _keep(state, log, s, i64(1))
    state.target[s] = target
    log.used[1] = rows
    other = log.used[0]
    _walk(state, inputs, plan, log, t, s, upward)
    made = log.used[0] - other
    same = made == other - first
    for i in range(min(made, other - first)):
        a, b = log.fills[first + i], log.fills[other + i]
        same = same and a.side == b.side and a.quantity == b.quantity and a.price == b.price
    for i in range(made):
        log.fills[first + i] = log.fills[other + i]
        log.fills[first + i].ambiguous = 0 if same else 1
    log.used[0] = first + made


@njit_call
def match_path(state: State, inputs: Inputs, plan: Record, log: Log, t: int) -> None:
    """Step 4 where a strategy has own orders; otherwise `matching.match_stops` is the whole of it."""
    account = state.account
    account[POOL] = min(cash_of(state), account[CASH_BEFORE]) if plan.funding_cash else cash_of(state)
    stops = plan.stop_loss > 0.0 or plan.take_profit > 0.0 or plan.trailing_stop > 0.0
    count = i64(0)
    for i in range(account[N_ACTIVE]):
        s = state.names[i].active
        name = state.names[s]
        traded = inputs.flags[t, s] & TRADED
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
        found = _reach(state, inputs, plan, t, s)
        o, high, low = inputs.open[t, s], inputs.high[t, s], inputs.low[t, s]
        upward = high_first(plan, o, high, low, state.names[s].shares)
        if found == 3 or found >= 5:
            _walk_both(state, inputs, plan, log, t, s, upward)
        elif found:
            _walk(state, inputs, plan, log, t, s, upward)
        else:
            _follow(state, inputs, plan, t, s, o)
            _follow(state, inputs, plan, t, s, high)
            _follow(state, inputs, plan, t, s, low)
    for s in range(len(state.names)):
        if inputs.flags[t, s] & TRADED:
            name = state.names[s]
            name.high = max(name.high, inputs.high[t, s])
            name.low = min(name.low, inputs.low[t, s])
