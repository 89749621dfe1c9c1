"""How many shares a target stands for, and what the policies make of it. Part of step 8 of `docs/execution.md`.

Contract: changes goals, makes no order and books nothing. Where room is short it goes by rank, liquidity and symbol,
never by column order.
"""

from __future__ import annotations

import numpy as np

from quantkit.core.account import cash_of, money, owned
from quantkit.core.places import better, choose, cools, set_goal
from quantkit.core.state import (
    BARS,
    BLOCKED,
    EQUITY,
    FRESH_VALUE,
    HELD_OUT,
    IN,
    N_ACTIVE,
    SCRATCH,
    SET_CHANGED,
    UNIT_DUE,
    WAITING,
    Inputs,
    Log,
    Record,
    State,
    i64,
)
from quantkit.data.bars import MEMBER, VALID
from quantkit.jit import njit_bare, njit_call

WEIGHT, EQUAL, EQUAL_HELD, CASH, SHARES, BUYING_POWER = range(6)


@njit_bare
def shares_wanted(
    state: State, inputs: Inputs, plan: Record, t: int, s: int, names: int, members: int, scale: float
) -> float:
    """Shares, not yet whole, that a target stands for."""
    value, close = state.target[s], inputs.close[t, s] * plan.unit
    if plan.weighting == SHARES:
        return value * plan.amount * scale
    if plan.weighting == CASH:
        return value * plan.amount * plan.unit / close * scale
    if plan.weighting == BUYING_POWER:
        return owned(state.names[s]) + value * plan.amount * max(cash_of(state), i64(0)) / close * scale
    weight = value
    if plan.weighting == EQUAL:
        weight = plan.gross / (plan.max_names if plan.max_names > 0 else members)
    elif plan.weighting == EQUAL_HELD:
        weight = plan.gross / names
    return weight * max(state.account[EQUITY], i64(0)) * (1.0 - plan.cash_buffer) / close * scale


@njit_bare
def whole(state: State, plan: Record, s: int, wanted: float) -> int:
    """The goal in whole lots, cut toward none; never below none but where short positions are simulated."""
    held = owned(state.names[s]) if plan.rounding_order else i64(0)
    gap, lot = wanted - held, plan.lot[state.names[s].market]
    step = np.floor(abs(gap) / lot + 1e-9) * lot
    goal = held + i64(step if gap >= 0.0 else -step)
    return goal if plan.shorting else max(i64(0), goal)


@njit_bare
def _list_due(
    state: State, inputs: Inputs, plan: Record, log: Log, t: int, s: int, marks: int, again: int, count: int
) -> int:
    """Put a name that is to be sized on the list in the work space, or let it wait; returns the new length."""
    name = state.names[s]
    if inputs.flags[t, s] & VALID == 0:
        again = i64(0)
    held_up = cools(state, plan, s)
    if plan.scaled:
        held_up = held_up or inputs.scale[t, s] != inputs.scale[t, s]
    if plan.scaled or plan.cooldown > 0:
        held_up = held_up or inputs.flags[t, s] & VALID == 0
    if held_up:
        if marks & FRESH_VALUE or again:
            name.marks |= FRESH_VALUE
            state.account[WAITING] = 1
    elif (marks & (FRESH_VALUE | UNIT_DUE) or again) and inputs.flags[t, s] & VALID:
        name.marks |= marks & (FRESH_VALUE | UNIT_DUE)
        log.work[count].i = s
        return count + 1
    return count


@njit_bare
def _sort(state: State, inputs: Inputs, log: Log, t: int, count: int) -> None:
    """Sort the names in work[:count], best first."""
    gap = count // 2
    while gap > 0:
        for c in range(gap, count):
            s = log.work[c].i
            place = c
            while place >= gap and better(state, inputs, t, s, log.work[place - gap].i):
                log.work[place].i = log.work[place - gap].i
                place -= gap
            log.work[place].i = s
        gap //= 2


@njit_bare
def _goal_value(state: State, inputs: Inputs, plan: Record, t: int, s: int) -> int:
    return money(inputs.close[t, s], abs(state.names[s].goal), plan.unit)


@njit_bare
def _standing(state: State, inputs: Inputs, plan: Record, log: Log, t: int, count: int) -> float:
    """Value of the goals of the names that are not on the list: in all, and by group in the work space."""
    total = 0.0
    for c in range(count):
        state.names[log.work[c].i].marks |= SCRATCH
    for i in range(state.account[N_ACTIVE]):
        group = state.names[state.names[i].active].group
        if group >= 0:
            log.work[group].f = 0.0
    for i in range(state.account[N_ACTIVE]):
        s = state.names[i].active
        name = state.names[s]
        if name.marks & SCRATCH == 0 and name.goal != 0:
            value = _goal_value(state, inputs, plan, t, s)
            total += value
            if name.group >= 0:
                log.work[name.group].f += value
        name.marks &= ~SCRATCH
    return total


@njit_bare
def _within_caps(
    state: State, inputs: Inputs, plan: Record, log: Log, t: int, s: int, wanted: float, gross: float
) -> float:
    """What the caps leave of the shares wanted: by name, by group, in all."""
    name = state.names[s]
    equity = state.account[EQUITY]
    room = np.inf
    if plan.cap_name < np.inf:
        room = plan.cap_name * equity
    if plan.cap_group < np.inf and name.group >= 0:
        room = min(room, plan.cap_group * equity - log.work[name.group].f)
    if plan.cap_gross < np.inf:
        room = min(room, plan.cap_gross * equity - gross)
    most = max(0.0, room) / (inputs.close[t, s] * plan.unit)
    return min(wanted, most) if wanted >= 0.0 else max(wanted, -most)


@njit_call
def _shape(
    state: State, inputs: Inputs, plan: Record, log: Log, t: int, count: int, resizing: int, names: int, members: int
) -> None:
    """Set the goals of the names on the list as the policies say: volatility, units, caps by rank, drift."""
    capped = plan.cap_name < np.inf or plan.cap_group < np.inf or plan.cap_gross < np.inf
    gross = 0.0
    if capped:
        _sort(state, inputs, log, t, count)
        gross = _standing(state, inputs, plan, log, t, count)
    for c in range(count):
        s = log.work[c].i
        name = state.names[s]
        again = resizing != 0 and inputs.targets[t, s] == inputs.targets[t, s]
        unit = name.marks & UNIT_DUE != 0
        anew = again or name.marks & FRESH_VALUE != 0
        name.marks &= ~(FRESH_VALUE | UNIT_DUE)
        if name.goal * state.target[s] <= 0.0:
            name.units = 1
        elif unit:
            name.units += 1
        scale = inputs.scale[t, s] if plan.scaled else 1.0
        wanted = shares_wanted(state, inputs, plan, t, s, names, members, scale)
        if plan.weighting != BUYING_POWER:
            wanted = wanted * name.units if anew else name.goal + wanted
        if capped:
            room = _within_caps(state, inputs, plan, log, t, s, wanted, gross)
            wanted = room if anew else max(room, float(name.goal))
        drifted = abs(name.goal - wanted) > plan.drift * abs(wanted)
        if drifted or plan.drift < 0.0 or name.goal == 0 or unit or not again:
            set_goal(state, s, whole(state, plan, s, wanted))
        if capped:
            value = _goal_value(state, inputs, plan, t, s)
            gross += value
            if name.group >= 0:
                log.work[name.group].f += value


@njit_call
def look(state: State, inputs: Inputs, plan: Record, t: int) -> None:
    """End the goals of names held for `max_holding` bars; mark those whose price has earned them another unit."""
    account = state.account
    for i in range(account[N_ACTIVE]):
        s = state.names[i].active
        name = state.names[s]
        if owned(name) == 0 or name.goal == 0:
            continue
        if plan.max_holding > 0 and account[BARS] - name.entry_bar >= plan.max_holding:
            set_goal(state, s, i64(0))
            name.marks |= HELD_OUT if state.target[s] == 0.0 else HELD_OUT | BLOCKED
            account[WAITING] = 1
        elif 0 < name.goal == owned(name) and name.units < plan.pyramid and inputs.flags[t, s] & VALID:
            wanted = state.target[s] > 0.0 and inputs.targets[t, s] == inputs.targets[t, s]
            if wanted and inputs.close[t, s] >= name.last_entry * (1.0 + plan.pyramid_step):
                name.marks |= UNIT_DUE
                account[WAITING] = 1


@njit_bare
def size(state: State, inputs: Inputs, plan: Record, log: Log, t: int, dated: int, extra: int | None) -> None:
    """Set the goals of the names whose value is fresh, or of all on a rebalance date."""
    account = state.account
    chooses = plan.weighting == EQUAL or plan.weighting == EQUAL_HELD or plan.max_names > 0
    account[WAITING] = 0
    names, members, due = i64(0), i64(0), i64(0)
    if chooses:
        names = choose(state, inputs, plan, log, t, dated, extra)
    if plan.weighting == EQUAL and plan.max_names == 0:
        for s in range(inputs.flags.shape[1]):
            if inputs.flags[t, s] & (VALID | MEMBER) == VALID | MEMBER:
                members += 1
    together = plan.weighting == EQUAL_HELD and plan.periodic == 0 and account[SET_CHANGED]
    resizing = 1 if (dated or together) and plan.weighting != BUYING_POWER else 0
    for i in range(account[N_ACTIVE]):
        s = state.names[i].active
        name = state.names[s]
        marks = name.marks
        name.marks &= ~(FRESH_VALUE | UNIT_DUE)
        if state.target[s] == 0.0 or marks & BLOCKED or (chooses and marks & IN == 0):
            continue
        again = resizing and inputs.targets[t, s] == inputs.targets[t, s]
        if extra is not None:
            due = _list_due(state, inputs, plan, log, t, s, marks, 1 if again else 0, due)
        elif (marks & FRESH_VALUE or again) and inputs.flags[t, s] & VALID:
            wanted = shares_wanted(state, inputs, plan, t, s, names, members, 1.0)
            set_goal(state, s, whole(state, plan, s, wanted))
    if extra is not None:
        _shape(state, inputs, plan, log, t, due, resizing, names, members)
    account[SET_CHANGED] = 0
