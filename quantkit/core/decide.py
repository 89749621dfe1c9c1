"""Targets to goals, goals to orders: step 8 of `docs/execution.md`.

Contract: reads bar t and one row of targets, changes goals and the list of working orders, books nothing. After one look
at the row its cost grows with the names that are held or wanted, not with all names. Ties are broken by liquidity and
symbol, never by column order.
"""

from __future__ import annotations

import numpy as np

from quantkit.core.account import activate, cash_of, commission_of, money, write_order
from quantkit.core.state import (
    BARS,
    BLOCKED,
    DAILY_LOSS_LATCH,
    DRAWDOWN_LATCH,
    DRAWN_DOWN,
    DROPPED,
    EQUITY,
    FRESH_GOAL,
    FRESH_VALUE,
    IN,
    LATCH,
    LOST_TODAY,
    N_ACTIVE,
    N_ORDERS,
    NEXT_ID,
    NO_CASH,
    NO_REASON,
    OVER_EXPOSURE,
    OVER_WEIGHT,
    SET_CHANGED,
    TOO_LARGE,
    TOO_MANY_NAMES,
    WAITING,
    Inputs,
    Log,
    Plan,
    State,
)
from quantkit.data.bars import MEMBER, VALID
from quantkit.jit import njit

WEIGHT, EQUAL, EQUAL_HELD, CASH, SHARES, BUYING_POWER = range(6)


@njit
def _take_value(state: State, plan: Plan, s: int, value: float) -> None:
    """Let one row value count: 0 clears the goal and the block, the rest waits for its size."""
    if value != state.target[s]:
        state.target[s] = value
        state.marks[s] |= FRESH_VALUE
    if value == 0.0:
        if state.marks[s] & IN:
            state.account[SET_CHANGED] = 1
            state.account[WAITING] = 1
        state.marks[s] &= ~(BLOCKED | IN)
        if state.goal[s] != 0 or state.shares[s] != 0:
            _set_goal(state, s, 0)
    else:
        activate(state, s)


@njit
def _set_goal(state: State, s: int, goal: int) -> None:
    state.goal[s] = goal
    state.marks[s] |= FRESH_GOAL
    state.noted[s] = NO_REASON
    activate(state, s)


@njit
def _better(inputs: Inputs, plan: Plan, t: int, i: int, j: int) -> bool:
    """Whether name i is chosen before name j: rank, then liquidity, then symbol; a NaN comes last."""
    if len(inputs.rank) > 0:
        a, b = inputs.rank[t, i], inputs.rank[t, j]
        if a > b or (a == a and b != b):
            return True
        if b > a or (b == b and a != a):
            return False
    if len(inputs.liquidity) > 0:
        a, b = inputs.liquidity[t, i], inputs.liquidity[t, j]
        if a > b or (a == a and b != b):
            return True
        if b > a or (b == b and a != a):
            return False
    return plan.tie[i] < plan.tie[j]


@njit
def _best(inputs: Inputs, plan: Plan, log: Log, t: int, count: int, wanted: int) -> int:
    """Sort the best `wanted` of the names in work_i[:count] to its front; the rest are dropped. Returns how many stay."""
    kept = 0
    for c in range(count):
        s = log.work_i[c]
        if kept == wanted and not _better(inputs, plan, t, s, log.work_i[kept - 1]):
            continue
        place = kept if kept < wanted else kept - 1
        while place > 0 and _better(inputs, plan, t, s, log.work_i[place - 1]):
            log.work_i[place] = log.work_i[place - 1]
            place -= 1
        log.work_i[place] = s
        if kept < wanted:
            kept += 1
    return kept


@njit
def _choose(state: State, inputs: Inputs, plan: Plan, log: Log, t: int, dated: int) -> int:
    """Give places to the names that want one; returns how many names are in."""
    account = state.account
    count, names = 0, 0
    anew = dated and plan.periodic and plan.max_names > 0
    for i in range(account[N_ACTIVE]):
        s = state.active[i]
        wants = state.target[s] != 0.0 and state.marks[s] & BLOCKED == 0
        if state.marks[s] & IN and not wants:
            state.marks[s] &= ~IN
            account[SET_CHANGED] = 1
        sure = inputs.flags[t, s] & VALID and inputs.targets[t, s] == inputs.targets[t, s]
        if state.marks[s] & IN and not (anew and sure):
            names += 1
        elif wants and inputs.flags[t, s] & VALID:
            log.work_i[count] = s
            count += 1
    free = plan.max_names - names if plan.max_names > 0 else count
    waiting = count > free
    chosen = count if count <= free else _best(inputs, plan, log, t, count, max(free, 0))
    if anew:
        for i in range(account[N_ACTIVE]):
            s = state.active[i]
            if state.marks[s] & IN and inputs.flags[t, s] & VALID and inputs.targets[t, s] == inputs.targets[t, s]:
                state.marks[s] |= FRESH_VALUE << 8  # was in
                state.marks[s] &= ~IN
    for c in range(chosen):
        s = log.work_i[c]
        state.marks[s] |= IN
        if state.marks[s] & (FRESH_VALUE << 8) == 0:
            state.marks[s] |= FRESH_VALUE
            account[SET_CHANGED] = 1
    if anew:
        for i in range(account[N_ACTIVE]):
            s = state.active[i]
            if state.marks[s] & (FRESH_VALUE << 8):
                state.marks[s] &= ~(FRESH_VALUE << 8)
                if state.marks[s] & IN == 0:
                    account[SET_CHANGED] = 1
                    _set_goal(state, s, 0)
    account[WAITING] = 1 if waiting else 0
    return names + chosen


@njit
def _shares_wanted(state: State, inputs: Inputs, plan: Plan, t: int, s: int, names: int, members: int) -> float:
    """Shares, not yet whole, that a target stands for."""
    value, close = state.target[s], inputs.close[t, s] * plan.unit
    if plan.weighting == SHARES:
        return value * plan.amount
    if plan.weighting == CASH:
        return value * plan.amount * plan.unit / close
    if plan.weighting == BUYING_POWER:
        return state.shares[s] + value * plan.amount * cash_of(state) / close
    weight = value
    if plan.weighting == EQUAL:
        weight = plan.gross / (plan.max_names if plan.max_names > 0 else members)
    elif plan.weighting == EQUAL_HELD:
        weight = plan.gross / names
    return weight * state.account[EQUITY] * (1.0 - plan.cash_buffer) / close


@njit
def _whole(state: State, plan: Plan, s: int, wanted: float) -> int:
    """The goal in whole shares, never below none."""
    if plan.rounding_order:
        gap = wanted - state.shares[s]
        step = np.floor(gap + 1e-9) if gap >= 0.0 else -np.floor(-gap + 1e-9)
        return max(np.int64(0), state.shares[s] + np.int64(step))
    return max(np.int64(0), np.int64(np.floor(wanted + 1e-9)))


@njit
def _read_row(state: State, inputs: Inputs, plan: Plan, t: int, dated: int) -> None:
    """Let the row's values count where they may."""
    if plan.has_universe:
        for i in range(state.account[N_ACTIVE]):
            s = state.active[i]
            if state.target[s] != 0.0 and inputs.flags[t, s] & (VALID | MEMBER) == VALID:
                _take_value(state, plan, s, 0.0)
    if plan.read_on_dates and not dated:
        return
    targets = inputs.targets
    for s in range(targets.shape[1]):
        value = targets[t, s]
        if value != value or (value == state.target[s] and not (dated and value != 0.0)):
            continue
        flags = inputs.flags[t, s]
        if flags & VALID:
            _take_value(state, plan, s, value if flags & MEMBER else 0.0)


@njit
def _size(state: State, inputs: Inputs, plan: Plan, log: Log, t: int, dated: int) -> None:
    """Set the goals of the names whose value is fresh, or of all on a rebalance date."""
    account = state.account
    chooses = plan.weighting == EQUAL or plan.weighting == EQUAL_HELD or plan.max_names > 0
    names = _choose(state, inputs, plan, log, t, dated) if chooses else 0
    members = 0
    if plan.weighting == EQUAL and plan.max_names == 0:
        for s in range(inputs.flags.shape[1]):
            if inputs.flags[t, s] & (VALID | MEMBER) == VALID | MEMBER:
                members += 1
    together = plan.weighting == EQUAL_HELD and plan.periodic == 0 and account[SET_CHANGED]
    for i in range(account[N_ACTIVE]):
        s = state.active[i]
        fresh = state.marks[s] & FRESH_VALUE != 0
        state.marks[s] &= ~FRESH_VALUE
        if state.target[s] == 0.0 or state.marks[s] & BLOCKED or (chooses and state.marks[s] & IN == 0):
            continue
        again = (dated or together) and plan.weighting != BUYING_POWER and inputs.targets[t, s] == inputs.targets[t, s]
        if (fresh or again) and inputs.flags[t, s] & VALID:
            wanted = _shares_wanted(state, inputs, plan, t, s, names, members)
            _set_goal(state, s, _whole(state, plan, s, wanted))
    account[SET_CHANGED] = 0


@njit
def _note(state: State, plan: Plan, log: Log, s: int, quantity: int, reason: int) -> None:
    """Write an order that was never made, once for a goal and reason."""
    if state.noted[s] == reason:
        return
    state.noted[s] = reason
    account = state.account
    order, bar = account[NEXT_ID], account[BARS]
    account[NEXT_ID] += 1
    write_order(log, order, bar, s, 1, quantity, 0, plan.fill, DROPPED, reason, bar)


@njit
def _make_order(state: State, plan: Plan, s: int, side: int, want: int, quantity: int, reason: int) -> None:
    account = state.account
    k = account[N_ORDERS]
    state.order_id[k] = account[NEXT_ID]
    state.order_symbol[k] = s
    state.order_side[k] = side
    state.order_want[k] = want
    state.order_qty[k] = quantity
    state.order_filled[k] = 0
    state.order_kind[k] = plan.fill
    state.order_reason[k] = reason
    state.order_bar[k] = account[BARS]
    account[NEXT_ID] += 1
    account[N_ORDERS] = k + 1


@njit
def _denied(state: State, inputs: Inputs, plan: Plan, t: int, s: int, quantity: int) -> int:
    """The reason a buy is refused by a limit on itself, or 0."""
    account = state.account
    if account[LATCH] & DRAWDOWN_LATCH:
        return DRAWN_DOWN
    if account[LATCH] & DAILY_LOSS_LATCH:
        return LOST_TODAY
    value = money(inputs.close[t, s], quantity, plan.unit)
    if value > plan.max_order_value * plan.unit or quantity > plan.max_order_shares:
        return TOO_LARGE
    if value + money(inputs.close[t, s], state.shares[s], plan.unit) > plan.max_weight * account[EQUITY]:
        return OVER_WEIGHT
    return NO_REASON


@njit
def _make_sells(state: State, inputs: Inputs, plan: Plan, log: Log, t: int) -> tuple[int, int]:
    """Order what is held beyond its goal; list the names to buy in work_i, their quantity in work_j.

    Returns (number of buys, value of the sells at this close). Names with nothing left to do leave the active list.
    """
    account = state.account
    buys, expected = 0, np.int64(0)
    for i in range(account[N_ACTIVE] - 1, -1, -1):
        s = state.active[i]
        want = state.goal[s] - state.shares[s]
        fresh = state.marks[s] & FRESH_GOAL
        state.marks[s] &= ~FRESH_GOAL
        if want == 0:
            if state.goal[s] == 0 and state.target[s] == 0.0:
                last = account[N_ACTIVE] - 1
                moved = state.active[last]
                state.active[i] = moved
                state.slot[moved] = i
                state.active[last] = 0
                state.slot[s] = -1
                account[N_ACTIVE] = last
            continue
        if inputs.flags[t, s] & VALID == 0 or (plan.retry == 0 and fresh == 0):
            continue
        if want < 0:
            _make_order(state, plan, s, -1, -want, -want, NO_REASON)
            expected += money(inputs.close[t, s], -want, plan.unit)
        else:
            log.work_i[buys] = s
            buys += 1
    return buys, expected


@njit
def _make_buys(state: State, inputs: Inputs, plan: Plan, log: Log, t: int, buys: int, expected: int) -> None:
    """Pass the buys listed in work_i through the limits and order them."""
    account = state.account
    cash = cash_of(state) - np.int64(np.floor(plan.min_cash * plan.unit + 0.5))
    if plan.funding_cash == 0:
        cash += expected
    kept = 0
    for b in range(buys):
        s = log.work_i[b]
        quantity = state.goal[s] - state.shares[s]
        reason = _denied(state, inputs, plan, t, s, quantity)
        if reason == NO_REASON:
            share = money(inputs.close[t, s], 1, plan.unit)
            if share + commission_of(plan, state.market[s], share) > cash:
                reason = NO_CASH
        if reason == NO_REASON:
            log.work_i[kept] = s
            kept += 1
        else:
            _note(state, plan, log, s, quantity, reason)
    if plan.max_positions < np.inf:
        kept = _limit_names(state, inputs, plan, log, t, kept)
    ratio = _exposure_ratio(state, inputs, plan, log, t, kept, expected) if plan.max_exposure < np.inf else 1.0
    for b in range(kept):
        s = log.work_i[b]
        want = state.goal[s] - state.shares[s]
        quantity = want if ratio >= 1.0 else np.int64(np.floor(want * ratio))
        if quantity > 0:
            _make_order(state, plan, s, 1, want, quantity, NO_REASON if quantity == want else OVER_EXPOSURE)
        else:
            _note(state, plan, log, s, want, OVER_EXPOSURE)


@njit
def _limit_names(state: State, inputs: Inputs, plan: Plan, log: Log, t: int, buys: int) -> int:
    """Keep buys of names already held and the best-ranked newcomers that `max_positions` leaves room for."""
    held = 0
    for i in range(state.account[N_ACTIVE]):
        if state.shares[state.active[i]] > 0:
            held += 1
    holders, newcomers = 0, 0
    for b in range(buys):  # newcomers to the front of work_i, holders aside
        s = log.work_i[b]
        if state.shares[s] > 0:
            log.work_j[holders] = s
            holders += 1
        else:
            log.work_i[newcomers] = s
            newcomers += 1
    room = min(newcomers, max(0, int(plan.max_positions) - held))
    for c in range(newcomers):
        state.marks[log.work_i[c]] |= FRESH_VALUE
    for c in range(newcomers):  # all newcomers, so that those not kept can be noted
        log.work_j[holders + c] = log.work_i[c]
    kept = _best(inputs, plan, log, t, newcomers, room) if room > 0 else 0
    for c in range(kept):
        state.marks[log.work_i[c]] &= ~FRESH_VALUE
    for c in range(newcomers):
        s = log.work_j[holders + c]
        if state.marks[s] & FRESH_VALUE:
            state.marks[s] &= ~FRESH_VALUE
            _note(state, plan, log, s, state.goal[s] - state.shares[s], TOO_MANY_NAMES)
    for h in range(holders):
        log.work_i[kept + h] = log.work_j[h]
    return kept + holders


@njit
def _exposure_ratio(
    state: State, inputs: Inputs, plan: Plan, log: Log, t: int, buys: int, expected: int
) -> float:
    """The part of all buys that `max_exposure` leaves room for."""
    room = plan.max_exposure * state.account[EQUITY] + expected
    for i in range(state.account[N_ACTIVE]):
        s = state.active[i]
        if state.shares[s] != 0:
            room -= money(inputs.close[t, s], state.shares[s], plan.unit)
    wanted = np.int64(0)
    for b in range(buys):
        s = log.work_i[b]
        wanted += money(inputs.close[t, s], state.goal[s] - state.shares[s], plan.unit)
    return 1.0 if wanted <= room else max(0.0, room / wanted)


@njit
def decide(state: State, inputs: Inputs, plan: Plan, log: Log, t: int) -> None:
    """Step 8: row values become goals, goals become working orders."""
    account = state.account
    dated = 1 if inputs.rebalance[t] else 0
    before = account[N_ACTIVE]
    _read_row(state, inputs, plan, t, dated)
    if account[N_ACTIVE] == 0 and before == 0:
        return
    _size(state, inputs, plan, log, t, dated)
    buys, expected = _make_sells(state, inputs, plan, log, t)
    if buys > 0:
        _make_buys(state, inputs, plan, log, t, buys, expected)
