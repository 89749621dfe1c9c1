"""What a rule may do, behind one door: `ask`, compiled once and called by address.

Contract: a rule's own code holds none of this, so it compiles in a moment and need not be compiled again when the steps
behind it change. Whoever calls `ask` (compiled `ctx`, or `quantkit.Context` in Python) gives all of its arguments; NaN
stands for a price not given, -1 for a default. Nothing done here can fill before the next bar.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

import numba
import numpy as np

from quantkit.core.book import cancel, cancel_all, find, one_cancels_other, place, replace
from quantkit.core.context import (
    LOOKED,
    NOW_DETAIL,
    NOW_ERROR,
    NOW_NAME,
    NOW_ROW,
    SHORTED,
    RuleError,
    inputs_of,
    log_of,
    now_of,
    plan_of,
    state_of,
)
from quantkit.core.interface import ARGUMENTS, REQUESTS
from quantkit.core.places import set_goal
from quantkit.core.sizing import whole
from quantkit.core.state import EQUITY, QUIET, Inputs, Ints, Record, State, i64
from quantkit.data.bars import MEMBER, VALID
from quantkit.jit import njit_call, njit_entry

if TYPE_CHECKING:
    from quantkit.core.context import Address

PLACE, CANCEL, CANCEL_ALL, REPLACE, OCO, TARGET, TARGET_SHARES, WORKING, FILLED = range(len(REQUESTS))

MOST_SHARES = 2.0**53


@njit_call
def _goal(state: State, inputs: Inputs, plan: Record, now: Ints, s: int, wanted: float) -> None:
    """Set a goal of so many shares, where the name may be judged at all."""
    name = state.names[s]
    flags = inputs.flags[now[NOW_ROW], s]
    if flags & VALID == 0 or wanted != wanted:
        return
    if wanted < 0.0 and plan.shorting == 0:
        now[NOW_ERROR], now[NOW_DETAIL], now[NOW_NAME] = SHORTED, 0, s
        raise RuleError
    goal = i64(0)
    if flags & MEMBER:
        goal = whole(state, plan, s, max(-MOST_SHARES, min(wanted, MOST_SHARES)))
    if goal != name.goal:
        set_goal(state, s, goal)


@njit_entry
def ask(
    frame: Address, what: int, s: int, side: int, quantity: float, limit: float, stop: float, trail: float,
    from_open: float, at: int, tif: int, days: int, take: float, stop_loss: float, tag: int,
) -> int:  # fmt: skip
    """Do one of REQUESTS on the bar the frame stands on. `s` is the name, or the order's id where one is meant.

    Returns an order's id, a count, 1 for yes and 0 for no, or -1 for "there is none". RuleError: there is no such name,
    or a goal below 0.
    """
    state, inputs, plan, log, now = state_of(frame), inputs_of(frame), plan_of(frame), log_of(frame), now_of(frame)
    t = now[NOW_ROW]
    if what != WORKING and what != FILLED:
        state.account[QUIET] = 0
    named = what in (PLACE, CANCEL_ALL, TARGET, TARGET_SHARES)
    if named and (s < 0 or s >= len(state.names)):
        now[NOW_ERROR], now[NOW_DETAIL], now[NOW_NAME] = LOOKED, 0, s
        raise RuleError
    whole = i64(-1)
    if quantity >= 0.0:
        whole = i64(np.floor(min(quantity, MOST_SHARES) + 1e-9))
    if what == PLACE:
        return place(
            state, inputs, plan, log, t, s, side, whole, limit, stop, trail, from_open, at, tif, days, take,
            stop_loss, tag,
        )  # fmt: skip
    if what == CANCEL:
        return i64(cancel(state, log, s))
    if what == CANCEL_ALL:
        return cancel_all(state, log, s)
    if what == REPLACE:
        return replace(state, inputs, plan, log, t, s, whole, limit, stop)
    if what == OCO:
        return i64(one_cancels_other(state, s, side))
    if what == TARGET:
        close = inputs.close[t, s] * plan.unit
        equity = max(state.account[EQUITY], i64(0))
        _goal(state, inputs, plan, now, s, limit * equity * (1.0 - plan.cash_buffer) / close)
        return i64(0)
    if what == TARGET_SHARES:
        _goal(state, inputs, plan, now, s, quantity)
        return i64(0)
    k = find(state, s)
    if what == WORKING:
        return i64(k >= 0)
    return state.orders[k].filled if k >= 0 else i64(-1)


@cache
def address_of_ask() -> int:
    """Where compiled `ask` lies."""
    whole, number = numba.types.int64, numba.types.float64
    kinds = [whole if isinstance(value, int) else number for value in ARGUMENTS.values()]
    compiled: Any = ask
    compiled.compile(whole(whole, whole, *kinds))
    result = next(iter(compiled.overloads.values()))
    return int(result.library.get_pointer_to_function(result.fndesc.llvm_func_name))
