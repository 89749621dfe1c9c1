"""Goals and places: which of the names that want to be held are in. Part of step 8 of `docs/execution.md`.

Contract: changes goals and who is in, makes no order and books nothing. Ties are broken by rank, liquidity and symbol,
never by column order.
"""

from __future__ import annotations

from quantkit.core.account import activate, owned
from quantkit.core.state import (
    BARS,
    BLOCKED,
    FRESH_GOAL,
    FRESH_VALUE,
    HELD_OUT,
    IN,
    KIND_SAME_CLOSE,
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
from quantkit.data.bars import VALID
from quantkit.jit import njit_bare, njit_call


@njit_bare
def set_goal(state: State, s: int, goal: int) -> None:
    name = state.names[s]
    name.goal = goal
    name.marks = name.marks & ~HELD_OUT | FRESH_GOAL
    name.noted = NO_REASON
    state.account[UNMET] = 1
    activate(state, s)


@njit_call
def better(state: State, inputs: Inputs, t: int, i: int, j: int) -> bool:
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
        if kept == wanted and not better(state, inputs, t, s, log.work[kept - 1].i):
            continue
        place = kept if kept < wanted else kept - 1
        while place > 0 and better(state, inputs, t, s, log.work[place - 1].i):
            log.work[place].i = log.work[place - 1].i
            place -= 1
        log.work[place].i = s
        if kept < wanted:
            kept += 1
    return kept


@njit_bare
def cools(state: State, plan: Record, s: int) -> bool:
    """Whether a buy decided now could open a position within `cooldown` bars of the end of the last one."""
    name = state.names[s]
    soonest = state.account[BARS] + (0 if plan.fill_kind == KIND_SAME_CLOSE else 1)
    return plan.cooldown > 0 and owned(name) == 0 and name.goal == 0 and soonest - name.exit_bar <= plan.cooldown


@njit_call
def choose(state: State, inputs: Inputs, plan: Record, log: Log, t: int, dated: int, extra: int | None) -> int:
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
        sure = False
        if wants:
            sure = inputs.flags[t, s] & VALID != 0 and inputs.targets[t, s] == inputs.targets[t, s]
        if name.marks & IN and not (anew and sure):
            names += 1
        elif wants:
            wanting += 1
            if sure:
                if name.marks & IN:  # its place is given anew
                    name.marks |= SCRATCH
                    name.marks &= ~IN
                if extra is not None and cools(state, plan, s):
                    continue
                log.work[count].i = s
                count += 1
    free = plan.max_names - names if plan.max_names > 0 else count
    chosen = count
    if extra is not None and count > free:
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
