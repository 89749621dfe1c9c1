"""The fold calls a rule by address: it sees the frame, and what it raises comes out."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import numba
import pytest

from quantkit.core.context import (
    NOW_FROM,
    NOW_LEAD,
    NOW_REACH,
    NOW_ROW,
    Frame,
    Rule,
    frame_address,
    no_inputs,
    no_rule,
    now_of,
    state_of,
    step_rule,
)
from quantkit.core.state import PLAN, Inputs, Log, Record, State, new_log, new_state, no_records
from quantkit.jit import njit_entry

PYTHON = os.environ.get("NUMBA_DISABLE_JIT", "0") not in ("", "0")


@njit_entry
def run(state: State, inputs: Inputs, plan: Record, log: Log, rule: Rule, bars: int) -> None:
    """What the fold does about rules, without the rest."""
    frame = frame_address(Frame(state, inputs, plan, log, rule.past, rule.signals, rule.now))
    for t in range(bars):
        step_rule(rule.call, rule.params, frame, rule.now, t)


def count(add: Any, frame: Any) -> None:
    state_of(frame).account[0] += add
    if now_of(frame)[NOW_ROW] == 7:
        raise ValueError("bar seven")


def compiled(function: Any) -> tuple[Any, Any]:
    """The compiled function, and its address."""
    if PYTHON:
        return function, function
    kind = numba.types.none(numba.types.int64, numba.types.int64)
    made = numba.njit([kind], no_cpython_wrapper=True, no_cfunc_wrapper=True)(function)
    result = next(iter(made.overloads.values()))
    return made, result.library.get_pointer_to_function(result.fndesc.llvm_func_name)


@pytest.fixture
def parts() -> tuple[State, Inputs, Record, Log]:
    return new_state(2, cash=0), no_inputs(), no_records(1, PLAN)[0], new_log(2)


@pytest.fixture(scope="module")
def rule() -> Iterator[Rule]:
    kept, address = compiled(count)
    rule = no_rule()._replace(call=address, params=3)
    rule.now[[NOW_LEAD, NOW_FROM, NOW_REACH]] = 2, 4, 4
    yield rule
    del kept  # its code had to live as long as its address


def test_a_rule_acts_once_enough_bars_lie_behind_it(parts: Any, rule: Rule) -> None:
    parts[0].account[0] = 0
    run(*parts, rule, 6)
    assert parts[0].account[0] == 3 * 4  # bars 2, 3, 4 and 5
    assert rule.now[NOW_ROW] == 5


def test_what_a_rule_raises_comes_out_of_the_fold(parts: Any, rule: Rule) -> None:
    with pytest.raises(ValueError, match="bar seven"):
        run(*parts, rule, 20)
    assert rule.now[NOW_ROW] == 7


def test_arrays_that_may_not_be_written_to_lie_in_a_frame_as_any(parts: Any, rule: Rule) -> None:
    past = rule.past._replace(close=rule.past.close.copy())
    past.close.flags.writeable = False
    parts[0].account[0] = 0
    run(*parts, rule._replace(past=past), 3)
    assert parts[0].account[0] == 3
