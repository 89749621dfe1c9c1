"""The kill switch: who may turn it which way, and that the journal alone brings it back."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quantkit.errors import BadData, Refused
from quantkit.live.switch import (
    ALL,
    FREE,
    SESSION,
    By,
    Mode,
    Modes,
    Scope,
    Switches,
    change,
    fold_switches,
    next_session,
    person,
    rule,
    who,
)
from quantkit.trading.events import Entry, Kind

ACCOUNT = (Scope.ACCOUNT, "first")
MIN, LOSS, WATCHDOG, FILE = person("min"), rule("DAILY_LOSS"), By("watchdog", "stalled"), By("file", "first.halt")


def turned(state: Switches, mode: Mode, by: By, lifts: str = "") -> tuple[Switches, list[Entry]]:
    return change(state, *ACCOUNT, mode, reason="because", by=by, time=7, lifts=lifts)


def at(mode: Mode, lifts: str = "") -> Switches:
    return turned(Switches(), mode, MIN, lifts)[0]


def test_nothing_set_is_free() -> None:
    assert Switches().modes(account="first", symbol="005930") == FREE
    assert FREE.strictest is Mode.RUNNING


@pytest.mark.parametrize("by", [MIN, LOSS, WATCHDOG, FILE])
@pytest.mark.parametrize("mode", [Mode.REDUCING, Mode.FLATTEN, Mode.HALTED])
def test_anybody_may_tighten(by: By, mode: Mode) -> None:
    state, entries = turned(Switches(), mode, by)
    assert state.mode(*ACCOUNT) is mode
    assert [entry.payload["by"] for entry in entries] == [str(by)]


@pytest.mark.parametrize("by", [LOSS, WATCHDOG, FILE])
def test_only_a_person_clears(by: By) -> None:
    with pytest.raises(Refused, match="RISK_NEEDS_PERSON"):
        turned(at(Mode.HALTED), Mode.RUNNING, by)
    state, entries = turned(at(Mode.HALTED), Mode.RUNNING, MIN)
    assert (state, len(entries)) == (Switches(), 1)


@pytest.mark.parametrize("by", [LOSS, WATCHDOG, FILE])
def test_only_a_person_loosens(by: By) -> None:
    assert turned(at(Mode.HALTED), Mode.REDUCING, by) == (at(Mode.HALTED), [])
    assert turned(at(Mode.HALTED), Mode.REDUCING, MIN)[0].mode(*ACCOUNT) is Mode.REDUCING


@pytest.mark.parametrize("reason", ["", "  "])
def test_every_turn_needs_a_reason(reason: str) -> None:
    with pytest.raises(Refused, match="RISK_NEEDS_REASON"):
        change(Switches(), *ACCOUNT, Mode.HALTED, reason=reason, by=MIN, time=0)


def test_the_same_again_is_no_news() -> None:
    assert turned(at(Mode.HALTED), Mode.HALTED, LOSS) == (at(Mode.HALTED), [])
    assert turned(Switches(), Mode.RUNNING, MIN) == (Switches(), [])
    assert turned(Switches(), Mode.RUNNING, LOSS) == (Switches(), [])


def test_a_daily_loss_lifts_with_the_session_and_nothing_else_does() -> None:
    state, _ = turned(at(Mode.REDUCING, SESSION), Mode.REDUCING, LOSS, SESSION)
    state, _ = change(state, Scope.DEPLOYMENT, "d", Mode.REDUCING, reason="x", by=LOSS, time=1, lifts=SESSION)
    state, _ = change(state, Scope.GLOBAL, ALL, Mode.HALTED, reason="x", by=MIN, time=1)
    lifted, entries = next_session(state, 9)
    assert {(entry.payload["scope"], entry.deployment) for entry in entries} == {("account", None), ("deployment", "d")}
    assert set(lifted.latches) == {(Scope.GLOBAL, ALL)}
    assert next_session(lifted, 10) == (lifted, [])


def test_a_latch_that_would_lift_is_kept_by_who_asks_for_good() -> None:
    state, entries = turned(at(Mode.REDUCING, SESSION), Mode.REDUCING, WATCHDOG)
    assert len(entries) == 1
    assert next_session(state, 9) == (state, [])
    assert turned(state, Mode.REDUCING, LOSS, SESSION) == (state, [])


def test_the_strictest_scope_counts_and_is_named() -> None:
    state, _ = change(at(Mode.REDUCING), Scope.SYMBOL, "005930", Mode.HALTED, reason="x", by=MIN, time=1)
    modes = state.modes(account="first", symbol="005930")
    assert (modes.strictest, modes.scope) == (Mode.HALTED, Scope.SYMBOL)
    assert state.modes(account="first", symbol="000660").strictest is Mode.REDUCING
    assert state.modes(account="second").strictest is Mode.RUNNING
    assert Modes(Mode.FLATTEN, Mode.RUNNING, Mode.REDUCING, Mode.RUNNING).strictest is Mode.FLATTEN


def test_who_turned_it_is_named() -> None:
    with pytest.raises(BadData, match="expected person"):
        By("ghost", "x")
    with pytest.raises(BadData, match="and a name"):
        person(" ")


def test_a_command_of_a_watchdog_or_a_file_is_no_persons() -> None:
    assert [who(text).origin for text in ("watchdog clock", "file a.halt", "rule X", "min", "watchdog", "file ")] == [
        "watchdog", "file", "rule", "person", "person", "person",
    ]  # fmt: skip


TURNS = st.tuples(
    st.sampled_from([(Scope.GLOBAL, ALL), ACCOUNT, (Scope.DEPLOYMENT, "d")]), st.sampled_from(Mode),
    st.sampled_from([MIN, LOSS, WATCHDOG]), st.sampled_from(["", SESSION]),
)  # fmt: skip


@given(st.lists(TURNS | st.none(), max_size=20))
def test_the_journal_and_a_snapshot_bring_the_switch_back(turns: list[tuple[object, ...] | None]) -> None:
    """Latched: without a person, no scope ever gets looser but by the session that it was to last for."""
    state, journal = Switches(), []
    for time, turn in enumerate(turns):
        before = state
        if turn is None:
            state, entries = next_session(state, time)
        else:
            (scope, name), mode, by, lifts = turn  # type: ignore[misc]
            try:
                state, entries = change(state, scope, name, mode, reason="why", by=by, time=time, lifts=lifts)
            except Refused:
                assert by is not MIN
                continue
            if by is not MIN:
                assert state.mode(scope, name).severity >= before.mode(scope, name).severity
        journal += entries
        assert (state == before) == (not entries)
    again = Switches()
    for entry in [Entry(Kind.ALARM, 0, {"code": "x", "detail": ""}), *journal]:
        again = fold_switches(again, entry)
    assert again == state
    assert Switches.from_json(json.loads(json.dumps(state.to_json()))) == state
