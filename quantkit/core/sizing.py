"""How many shares a target stands for: places, weights, goals. The first half of step 8 of `docs/execution.md`.

Contract: changes goals and who is in, makes no order and books nothing. Ties are broken by rank, liquidity and symbol,
never by column order.
"""

from __future__ import annotations

import numpy as np

from quantkit.core.account import activate, cash_of, owned
from quantkit.core.state import (
    BLOCKED,
    EQUITY,
    FRESH_GOAL,
    FRESH_VALUE,
    IN,
    N_ACTIVE,
    NO_REASON,
    SCRATCH,
    SET_CHANGED,
    UNMET,
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
def set_goal(state: State, s: int, goal: int) -> None:
    name = state.names[s]
    name.goal = goal
    name.marks |= FRESH_GOAL
    name.noted = NO_REASON
    state.account[UNMET] = 1
    activate(state, s)


@njit_bare
def _better(state: State, inputs: Inputs, t: int, i: int, j: int) -> bool:
    """Whether name i is chosen before name j: rank, then liquidity, then symbol; a NaN comes last."""
    for scores in (inputs.rank, inputs.liquidity):
        if len(scores) > 0:
            a, b = scores[t, i], scores[t, j]
            if a > b or (a == a and b != b):
                return True
            if b > a or (b == b and a != a):
                return False
    return state.names[i].tie < state.names[j].tie


@njit_bare
def best(state: State, inputs: Inputs, log: Log, t: int, count: int, wanted: int) -> int:
    """Sort the best `wanted` of the names in work[:count] to its front and drop the rest; returns how many stay."""
    kept = i64(0)
    if wanted <= 0:
        return kept
    for c in range(count):
        s = log.work[c].i
        if kept == wanted and not _better(state, inputs, t, s, log.work[kept - 1].i):
            continue
        place = kept if kept < wanted else kept - 1
        while place > 0 and _better(state, inputs, t, s, log.work[place - 1].i):
            log.work[place].i = log.work[place - 1].i
            place -= 1
        log.work[place].i = s
        if kept < wanted:
            kept += 1
    return kept


@njit_call
def _choose(state: State, inputs: Inputs, plan: Record, log: Log, t: int, dated: int, rare: int | None) -> int:
    """Give places to the names that want one; returns how many names are in."""
    account = state.account
    count, names, wanting = i64(0), i64(0), i64(0)
    anew = dated and plan.periodic and plan.max_names > 0
    for i in range(account[N_ACTIVE]):
        s = state.names[i].active
        name = state.names[s]
        wants = state.target[s] != 0.0 and name.marks & BLOCKED == 0
        if name.marks & IN and not wants:
            name.marks &= ~IN
            account[SET_CHANGED] = 1
        sure = inputs.flags[t, s] & VALID and inputs.targets[t, s] == inputs.targets[t, s]
        if name.marks & IN and not (anew and sure):
            names += 1
        elif wants:
            wanting += 1
            if sure:
                if name.marks & IN:  # its place is given anew
                    name.marks |= SCRATCH
                    name.marks &= ~IN
                log.work[count].i = s
                count += 1
    free = plan.max_names - names if plan.max_names > 0 else count
    chosen = count
    if rare is not None and count > free:
        chosen = best(state, inputs, log, t, count, max(free, 0))
    for c in range(chosen):
        s = log.work[c].i
        name = state.names[s]
        name.marks |= IN
        if name.marks & SCRATCH == 0:
            name.marks |= FRESH_VALUE
            account[SET_CHANGED] = 1
    if anew:
        for i in range(account[N_ACTIVE]):
            s = state.names[i].active
            name = state.names[s]
            if name.marks & SCRATCH:
                name.marks &= ~SCRATCH
                if name.marks & IN == 0:
                    account[SET_CHANGED] = 1
                    set_goal(state, s, i64(0))
    account[WAITING] = 1 if wanting > chosen else 0
    return names + chosen


@njit_bare
def _shares_wanted(state: State, inputs: Inputs, plan: Record, t: int, s: int, names: int, members: int) -> float:
    """Shares, not yet whole, that a target stands for."""
    value, close = state.target[s], inputs.close[t, s] * plan.unit
    if plan.weighting == SHARES:
        return value * plan.amount
    if plan.weighting == CASH:
        return value * plan.amount * plan.unit / close
    if plan.weighting == BUYING_POWER:
        return owned(state.names[s]) + value * plan.amount * cash_of(state) / close
    weight = value
    if plan.weighting == EQUAL:
        weight = plan.gross / (plan.max_names if plan.max_names > 0 else members)
    elif plan.weighting == EQUAL_HELD:
        weight = plan.gross / names
    return weight * state.account[EQUITY] * (1.0 - plan.cash_buffer) / close


@njit_bare
def _whole(state: State, plan: Record, s: int, wanted: float) -> int:
    """The goal in whole shares, never below none."""
    name = state.names[s]
    if plan.rounding_order:
        gap = wanted - owned(name)
        step = np.floor(gap + 1e-9) if gap >= 0.0 else -np.floor(-gap + 1e-9)
        return max(i64(0), owned(name) + i64(step))
    return max(i64(0), i64(np.floor(wanted + 1e-9)))


@njit_call
def size(state: State, inputs: Inputs, plan: Record, log: Log, t: int, dated: int, rare: int | None) -> None:
    """Set the goals of the names whose value is fresh, or of all on a rebalance date."""
    account = state.account
    chooses = plan.weighting == EQUAL or plan.weighting == EQUAL_HELD or plan.max_names > 0
    account[WAITING] = 0
    names, members = i64(0), i64(0)
    if chooses:
        names = _choose(state, inputs, plan, log, t, dated, rare)
    if plan.weighting == EQUAL and plan.max_names == 0:
        for s in range(inputs.flags.shape[1]):
            if inputs.flags[t, s] & (VALID | MEMBER) == VALID | MEMBER:
                members += 1
    together = plan.weighting == EQUAL_HELD and plan.periodic == 0 and account[SET_CHANGED]
    for i in range(account[N_ACTIVE]):
        s = state.names[i].active
        name = state.names[s]
        fresh = name.marks & FRESH_VALUE != 0
        name.marks &= ~FRESH_VALUE
        if state.target[s] == 0.0 or name.marks & BLOCKED or (chooses and name.marks & IN == 0):
            continue
        again = (dated or together) and plan.weighting != BUYING_POWER and inputs.targets[t, s] == inputs.targets[t, s]
        if (fresh or again) and inputs.flags[t, s] & VALID:
            wanted = _shares_wanted(state, inputs, plan, t, s, names, members)
            set_goal(state, s, _whole(state, plan, s, wanted))
    account[SET_CHANGED] = 0
