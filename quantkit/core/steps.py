"""The steps of one bar, in the order they are taken, and each part of a bar on its own.

    morning        open_bar -> open_orders -> release_own, reserve, release        before the bar's first trade
    market         match_open -> match_path, follow_ranges, match_stops -> match_close      the simulator's part
    evening        expire -> expire_own -> mark -> on_bar -> decide                once the bar is over
    market_again   match_close, evening_again expire -> mark                       fill="close" alone
    end_bar        the bar is counted

Contract: `fold._run` composes them over many bars in one call; live trading and replay take them one by one, through a
`Desk`, and put a broker in the place of `market`. A desk is what a bar's steps read and write, packed once: calling a
step by its address costs a microsecond, handing over its forty arrays thirty.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any, NamedTuple, cast

import numba
import numpy as np
from numba.core import cgutils, types
from numba.extending import intrinsic

from quantkit.core.account import cash_of, mark
from quantkit.core.coast import coast, is_calm, may_coast
from quantkit.core.context import Frame, frame_type, inputs_of, log_of, now_of, plan_of, state_of, step_rule
from quantkit.core.decide import decide
from quantkit.core.matching import expire, forget_used, match_close, match_open, release
from quantkit.core.morning import open_bar
from quantkit.core.orders import MUTED, is_limit, is_print
from quantkit.core.path import follow_ranges, match_path
from quantkit.core.resting import expire_own, open_orders, release_own, reserve, rests
from quantkit.core.state import (
    AT_PRINTS,
    BARS,
    DAY,
    EQUITY,
    EVENT,
    KIND_SAME_CLOSE,
    N_ORDERS,
    NEW_SESSION,
    PREV_ROW,
    Inputs,
    Ints,
    Log,
    Record,
    Records,
    State,
    i64,
    no_events,
)
from quantkit.core.stops import match_stops
from quantkit.jit import njit_bare, njit_call, njit_entry

if TYPE_CHECKING:
    from collections.abc import Callable

    from quantkit.core.context import Address

RESTING = -1  # of `morning`: the strategy's orders all rest, and this bar brings none to act


@njit_bare
def morning(
    state: State, inputs: Inputs, events: Records, plan: Record, log: Log, frame: Address, t: int,
    rare: int | None, extra: int | None, rule: object, ahead: int | None,
) -> int:  # fmt: skip
    """Steps 1 and 2; how many orders may fill at a print of this bar, or RESTING.

    ahead: None where the bar is not there yet, so that nobody can say whether it leaves resting orders as they are.
    """
    account = state.account
    open_bar(state, inputs, events, plan, log, t, rare)
    if rule is not None:
        open_orders(frame)
        if ahead is not None:  # noqa: SIM102 - Numba leaves out what hangs on this alone
            if rests(frame, t):
                return i64(RESTING)
    prints = account[N_ORDERS]
    if rare is not None:  # noqa: SIM102
        if account[N_ORDERS] > 0:
            kept = i64(0)
            if rule is not None:
                release_own(frame, t)
                prints = account[AT_PRINTS]
                if plan.funding_cash:
                    kept = reserve(frame, t, i64(0), i64(0), extra)
            taken = kept + release(state, inputs, plan, log, t, kept, extra)
            if rule is not None and plan.funding_cash:
                reserve(frame, t, taken, i64(1), extra)
    return prints


@njit_bare
def market(
    state: State, inputs: Inputs, plan: Record, log: Log, frame: Address, t: int, prints: int,
    rare: int | None, extra: int | None, rule: object, plain: int | None,
) -> None:  # fmt: skip
    """Steps 3 to 5: what the bar fills. prints: what `morning` said."""
    if prints > 0:
        match_open(state, inputs, plan, log, t, rare, extra, rule)
    if rule is not None:
        if prints != RESTING:
            match_path(frame, t, extra)
        follow_ranges(frame, t)
    if plain is not None:
        match_stops(state, inputs, plan, log, t, extra)
    if prints > 0:
        match_close(state, inputs, plan, log, t, rare, extra, rule)


@njit_bare
def evening(
    state: State, inputs: Inputs, plan: Record, log: Log, frame: Address, call: Address, params: Address, t: int,
    prints: int, extra: int | None, rule: object, plain: int | None,
) -> None:  # fmt: skip
    """Steps 6 to 8: orders end, the account is marked, the strategy decides."""
    if prints > 0:
        expire(state, log, rule)
    if rule is not None and prints != RESTING:
        expire_own(frame, t, i64(0))
    mark(state, inputs, plan, t, i64(0))
    if rule is not None:
        step_rule(call, params, frame, now_of(frame), t)
    decide(state, inputs, plan, log, t, extra, plain)


@njit_bare
def closes_again(state: State, plan: Record) -> bool:
    """Whether orders decided on this bar wait for its own close."""
    return plan.fill_kind == KIND_SAME_CLOSE and state.account[N_ORDERS] > 0


@njit_bare
def evening_again(state: State, inputs: Inputs, plan: Record, log: Log, frame: Address, t: int, rule: object) -> None:
    """Steps 6 and 7 of the orders that filled at the close they were decided on."""
    expire(state, log, rule)
    if rule is not None:
        expire_own(frame, t, i64(1))
    mark(state, inputs, plan, t, i64(1))


@njit_bare
def end_bar(state: State, plan: Record, rare: int | None) -> None:
    """The bar is over."""
    if rare is not None and plan.participation < np.inf and plan.fill_kind == KIND_SAME_CLOSE:
        forget_used(state)
    state.account[BARS] += 1


# --- one part of a bar at a time ------------------------------------------------------------------------------------


class Desk(NamedTuple):
    """What the steps of a bar read and write."""

    frame: Frame
    events: Records
    equity: Ints  # (T,) filled by `RUN`
    cash: Ints  # (T,)


ROOM = 16_384  # bytes a desk takes at most


@cache
def _desk_type() -> Any:
    """The Numba type of every desk, as far as its layout goes."""
    parts = {"frame": frame_type(), "events": numba.typeof(no_events()), "equity": types.int64[::1],
             "cash": types.int64[::1]}  # fmt: skip
    return types.NamedTuple(tuple(parts.values()), Desk)


@intrinsic
def _store(_typing: Any, desk: types.Type, _place: types.Type) -> Any:
    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        kind = context.get_value_type(signature.args[0])
        if context.get_abi_sizeof(kind) > ROOM:
            raise numba.core.errors.TypingError(f"a desk takes {context.get_abi_sizeof(kind)} bytes")
        builder.store(args[0], builder.inttoptr(args[1], kind.as_pointer()))
        return args[1]

    return types.int64(desk, types.int64), codegen


store_desk: Callable[[Desk, int], int] = cast("Any", _store)


@njit_entry
def _pack(desk: Desk, place: int) -> int:
    return store_desk(desk, place)


def packed(desk: Desk) -> tuple[Address, object]:
    """The address of a desk, and what must live as long as it is used."""
    if _PYTHON:
        return desk, None
    memory = np.zeros(ROOM, np.uint8)
    return int(_pack(desk, memory.ctypes.data)), (memory, desk)


_PYTHON = bool(getattr(numba.config, "DISABLE_JIT", 0))


def _part(place: int, name: str) -> Callable[[Address], Any]:
    """A function that reads one part of the desk at an address."""

    @intrinsic
    def part(_typing: Any, _desk: types.Type) -> Any:
        kind = _desk_type()
        found = kind.types[place]

        def codegen(context: Any, builder: Any, _signature: Any, args: Any) -> Any:
            whole = builder.inttoptr(args[0], context.get_value_type(kind).as_pointer())
            return builder.load(cgutils.gep_inbounds(builder, whole, 0, place))

        return found(types.int64), codegen

    def read(desk: Any) -> Any:
        return getattr(desk, name)

    return cast("Any", read if _PYTHON else part)


events_at, equity_at, cash_at = (_part(place, Desk._fields[place]) for place in (1, 2, 3))


@intrinsic
def _same_address(_typing: Any, _desk: types.Type) -> Any:
    def codegen(_context: Any, _builder: Any, _signature: Any, args: Any) -> Any:
        return args[0]

    return types.int64(types.int64), codegen


def _frame_of_desk(desk: Any) -> Any:
    return desk.frame


frame_at: Callable[[Address], Address] = cast("Any", _frame_of_desk if _PYTHON else _same_address)
"""The frame of a desk: it lies where the desk begins."""

MORNING, MARKET, EVENING, MARKET_AGAIN, EVENING_AGAIN, END, RUN, WATCH = range(8)


@njit_bare
def prints_of(state: State, rule: object) -> int:
    """What `morning` said of this bar, asked for later."""
    if rule is None or state.account[N_ORDERS] == 0:
        return state.account[N_ORDERS]
    return state.account[AT_PRINTS]


@njit_entry
def step(desk: Address, call: Address, params: Address, t: int, what: int, rule: int | None, plain: int | None) -> int:
    """Take one part of bar t (MORNING, ...), or RUN: fold bars from t on for as long as they are quiet.

    rule, plain: 1 and None with a strategy's `on_bar`, None and 1 without; call, params: its address and its
    parameters'. WATCH is step 4 for what we watch ourselves; orders that stand at the exchange are left to it.
    Returns the next bar of a RUN; 1 after EVENING where MARKET_AGAIN has to follow.
    """
    frame = frame_at(desk)
    state, inputs, plan, log = state_of(frame), inputs_of(frame), plan_of(frame), log_of(frame)
    one = i64(1)
    if what == MORNING:
        morning(state, inputs, events_at(desk), plan, log, frame, t, one, one, rule, None)
    elif what == MARKET:
        market(state, inputs, plan, log, frame, t, prints_of(state, rule), one, one, rule, plain)
    elif what == EVENING:
        evening(state, inputs, plan, log, frame, call, params, t, prints_of(state, rule), one, rule, plain)
        return i64(closes_again(state, plan))
    elif what == MARKET_AGAIN:
        match_close(state, inputs, plan, log, t, one, one, rule)
    elif what == EVENING_AGAIN:
        evening_again(state, inputs, plan, log, frame, t, rule)
    elif what == WATCH:
        _watch(state, inputs, plan, log, frame, t, one, rule, plain)
    elif what == END:
        end_bar(state, plan, one)
        _leave(state, inputs, t)
    else:
        return _run_quiet(desk, call, params, t, rule, plain)
    return i64(0)


@njit_call
def _watch(
    state: State, inputs: Inputs, plan: Record, log: Log, frame: Address, t: int, extra: int | None, rule: object,
    plain: int | None,
) -> None:  # fmt: skip
    for k in range(state.account[N_ORDERS]):
        if is_limit(state.orders[k]) or is_print(state.orders[k]):
            state.orders[k].mute = MUTED
    if rule is not None:
        match_path(frame, t, extra)
    if plain is not None:
        match_stops(state, inputs, plan, log, t, extra)


@njit_call
def _leave(state: State, inputs: Inputs, t: int) -> None:
    """Leave the state as if it had never known rows, after bar t."""
    account = state.account
    row = account[PREV_ROW]
    for s in range(len(state.names)):
        if row >= 0:
            state.names[s].session_close = inputs.close[row, s]
        state.names[s].last_close = inputs.close[t, s]
    account[PREV_ROW] = -1
    account[EVENT] = 0


@njit_call
def _run_quiet(desk: Address, call: Address, params: Address, start: int, rule: int | None, plain: int | None) -> int:
    """Fold bars on which no order can fill and no event is due; returns the first that is not one, or T."""
    frame = frame_at(desk)
    state, inputs, plan, log = state_of(frame), inputs_of(frame), plan_of(frame), log_of(frame)
    events, equity, cash = events_at(desk), equity_at(desk), cash_at(desk)
    account, one = state.account, i64(1)
    while account[EVENT] < len(events) and events[account[EVENT]].bar < start:
        account[EVENT] += 1
    t = start
    while t < len(inputs.dates):
        if plain is not None and may_coast(state, events, plan, t, one):
            t = coast(state, inputs, events, plan, equity, cash, t)
            if t == len(inputs.dates):
                break
        if not _is_quiet(frame, events, t, rule):
            break
        prints = morning(state, inputs, events, plan, log, frame, t, one, one, rule, one)
        if rule is not None:
            follow_ranges(frame, t)
        evening(state, inputs, plan, log, frame, call, params, t, prints, one, rule, plain)
        equity[t] = account[EQUITY]
        cash[t] = cash_of(state)
        end_bar(state, plan, one)
        t += 1
    if t > start:
        _leave(state, inputs, t - 1)
    else:
        account[EVENT] = 0
    return t


@njit_bare
def _is_quiet(frame: Address, events: Records, t: int, rule: object) -> bool:
    """Whether nothing can fill on bar t."""
    state, inputs, plan, log = state_of(frame), inputs_of(frame), plan_of(frame), log_of(frame)
    account = state.account
    if account[EVENT] < len(events) and events[account[EVENT]].bar == t:
        return False
    room = 3 * len(state.orders)  # more than a bar writes
    full = log.used[1] + room > len(log.orders) or log.used[2] + room > len(log.actions)
    if full or plan.fill_kind == KIND_SAME_CLOSE:
        return False
    if account[N_ORDERS] > 0:
        if rule is None:
            return False
        before = account[NEW_SESSION]
        account[NEW_SESSION] = i64(inputs.dates[t].day != account[DAY])
        same = rests(frame, t)
        account[NEW_SESSION] = before
        if not same:
            return False
    return is_calm(state, inputs, plan, t)
