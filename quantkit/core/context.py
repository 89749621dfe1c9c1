"""How the fold calls a strategy's `on_bar`: by address, so that the fold is compiled once for all strategies.

    Python                                 the fold, compiled once                  the strategy, compiled once a class
    Rule(call, params, past, signals, now) frame_address(Frame(...))  ─┐            on_bar(self, ctx)
                                           for each bar:               │
                                             call_rule(call, params, frame) ──────> self = the record at `params`
                                                                                    ctx  = the frame, read on demand

A `Frame` is everything a rule may see, written once a run into the fold's stack; `ctx` is its address. `now` tells the
rule where it is and takes what went wrong. An error raised in a rule comes out of the fold as it is.

With `NUMBA_DISABLE_JIT=1` the same names work on Python objects: an address is then the object itself.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any, NamedTuple, cast

import numba
import numpy as np
from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic

from quantkit.core.parts import PartType, read_constant
from quantkit.core.state import DATE, PLAN, Floats, Inputs, Ints, Log, Record, State, new_log, new_state, no_records
from quantkit.jit import frozen, njit_bare

if TYPE_CHECKING:
    from collections.abc import Callable

    Address = Any  # int64 in compiled code, the object itself where nothing is compiled

# Places in Frame.now.
NOW_ROW, NOW_LEAD, NOW_REACH, NOW_ERROR, NOW_DETAIL, NOW_NAME, NOW_PARAMS, NOW_ASK, NOW_FROM = range(9)
NOW_SIZE = 9

# In now[NOW_ERROR]: a rule looked now[NOW_DETAIL] bars back at name now[NOW_NAME], and one does not exist; or it set a
# goal below 0 for that name where shorts are not simulated.
LOOKED, SHORTED = 1, 2


class Past(NamedTuple):
    """The market as a rule may look back on it: H bars before the run's (or the chunk's) first one, then its T bars."""

    open: Floats  # (H + T, N) as traded
    high: Floats
    low: Floats
    close: Floats
    volume: Floats
    factor: Floats  # (H + T, N) forward price factor, or (0, 0) where there are no actions
    share_factor: Floats  # (H + T, N) forward share ratio, or (0, 0)
    times: Ints  # (H + T,) UTC microseconds
    days: Ints  # (H + T,) epoch day of the session


class Frame(NamedTuple):
    """What the fold shows a rule."""

    state: State
    inputs: Inputs
    plan: Record
    log: Log
    past: Past
    signals: Ints  # (signals,) addresses of C-contiguous (T, N) float64 arrays
    now: Ints  # (8,) row in `inputs`, H, how far back a rule may look, what went wrong, addresses; see NOW_ROW


class Books(NamedTuple):
    """What the fold's own steps work on: the first members of a frame, where there is no rule to show the others to."""

    state: State
    inputs: Inputs
    plan: Record
    log: Log


class Rule(NamedTuple):
    """A strategy's `on_bar`, ready to be called by the fold."""

    call: Address  # of the compiled on_bar
    params: Address  # of the record that on_bar knows as `self`
    past: Past
    signals: Ints
    now: Ints


class RuleError(Exception):
    """A rule asked for what cannot be; `Frame.now` says what."""


def no_past(names: int = 0) -> Past:
    """The past of a run without a rule."""
    none = np.empty((0, names))
    empty = np.empty((0, 0))
    return Past(none, none, none, none, none, empty, empty, np.empty(0, np.int64), np.empty(0, np.int64))


def no_rule(names: int = 0) -> Rule:
    """What the fold is given where a strategy has no `on_bar`: nothing to call."""
    return Rule(0, 0, no_past(names), np.empty(0, np.int64), np.zeros(NOW_SIZE, np.int64))


def no_inputs() -> Inputs:
    """Inputs of no bars and no names."""
    empty = {"Floats": np.empty((0, 0)), "Bytes": np.empty((0, 0), np.uint8), "Records": no_records(0, DATE)}
    return Inputs._make(empty[kind.__forward_arg__] for kind in Inputs.__annotations__.values())


@cache
def frame_type() -> Any:
    """The Numba type of every frame: C-contiguous arrays of fixed columns."""
    plan = no_records(1, PLAN)[0]
    rule = no_rule()
    inputs, past = frozen(no_inputs()), frozen(rule.past)  # as `simulate` passes them on
    return numba.typeof(Frame(new_state(1, cash=1), inputs, plan, new_log(1), past, rule.signals, rule.now))


def _same_layout(given: Any, expected: Any) -> bool:
    """Whether two types lie in memory alike; an array that may not be written to is an array."""
    if isinstance(expected, types.BaseTuple):
        if not isinstance(given, types.BaseTuple) or len(given) != len(expected):
            return False
        return all(map(_same_layout, tuple(cast("Any", given)), tuple(cast("Any", expected))))
    if isinstance(expected, types.Array):
        return isinstance(given, types.Array) and (given.dtype, given.ndim, given.layout) == (
            expected.dtype, expected.ndim, expected.layout,
        )  # fmt: skip
    return given == expected


@intrinsic
def _frame_address(_typing: Any, frame: types.Type) -> Any:
    if not all(map(_same_layout, tuple(cast("Any", frame)), tuple(cast("Any", frame_type())))):
        raise numba.core.errors.TypingError(f"not a frame: {frame}")

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        place = cgutils.alloca_once(builder, context.get_value_type(signature.args[0]), name="frame")
        builder.store(args[0], place)
        # A frame is read as what is never written to: LLVM may not see that this address is where it was written.
        whole, address = context.get_value_type(types.int64), builder.ptrtoint(place, cgutils.intp_t)
        return builder.asm(ir.FunctionType(whole, [whole]), "", "=r,0,~{memory}", [address], side_effect=True)

    return types.int64(frame), codegen


@intrinsic
def _call_rule(_typing: Any, _rule: types.Type, _params: types.Type, _frame: types.Type) -> Any:
    """Call native code of the form `on_bar(params, frame) -> None`; what it raises is raised here."""

    def codegen(context: Any, builder: Any, _signature: Any, args: Any) -> Any:
        pointers = (types.voidptr, types.voidptr)
        kind = context.call_conv.get_function_type(types.none, pointers)
        callee = builder.inttoptr(args[0], kind.as_pointer())
        values = [builder.inttoptr(value, cgutils.voidptr_t) for value in args[1:]]
        status, _ = context.call_conv.call_function(builder, callee, types.none, pointers, values)
        with cgutils.if_unlikely(builder, status.is_error):
            context.call_conv.return_status_propagate(builder, status)
        return ir.Constant(cgutils.intp_t, 0)

    return types.int64(types.int64, types.int64, types.int64), codegen


def _python_call(rule: Any, params: Any, frame: Any) -> int:
    rule(params, frame)
    return 0


def _itself(frame: Any) -> Any:
    return frame


_PYTHON = bool(getattr(numba.config, "DISABLE_JIT", 0))
call_rule: Callable[..., int] = cast("Any", _python_call if _PYTHON else _call_rule)
frame_address: Callable[[Frame | Books], Address] = cast("Any", _itself if _PYTHON else _frame_address)


def _member(place: int, name: str) -> Callable[[Address], Any]:
    """A function that reads one member of the frame at an address, and nothing else of it; of a tuple, its part."""

    @intrinsic
    def member(_typing: Any, _frame: types.Type) -> Any:
        kind = frame_type()
        found = kind.types[place]
        is_part = isinstance(found, types.BaseTuple)

        def codegen(context: Any, builder: Any, _signature: Any, args: Any) -> Any:
            whole = builder.inttoptr(args[0], context.get_value_type(kind).as_pointer())
            address = cgutils.gep_inbounds(builder, whole, 0, place)
            return builder.bitcast(address, cgutils.voidptr_t) if is_part else read_constant(builder, address)

        return (PartType(found) if is_part else found)(types.int64), codegen

    def read(frame: Any) -> Any:
        return getattr(frame, name)

    return cast("Any", read if _PYTHON else member)


state_of, inputs_of, plan_of, log_of, past_of, signals_of, now_of = (
    _member(place, name) for place, name in enumerate(Frame._fields)
)


@njit_bare
def step_rule(call: Address, params: Address, frame: Address, now: Ints, t: int) -> None:
    """Let a rule act on bar t, once enough bars lie behind it and it has what it acts on."""
    now[NOW_ROW] = t
    if now[NOW_LEAD] + t >= now[NOW_FROM]:
        call_rule(call, params, frame)
