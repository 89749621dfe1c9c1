"""Whatever happens to a journal in a database, it says what the one in memory says.

Appends that end well, in the middle, or with a commit nobody answered; owners that come back and owners that take over;
snapshots, commands, reads from anywhere. At the end the whole journal is verified.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from quantkit.errors import QuantkitError, Refused
from quantkit.live.journal import MemoryJournal, read_journal, verify
from quantkit.live.journal.store import StoredJournal
from quantkit.live.messages import Command
from quantkit.trading.events import Entry, Kind
from tests.live.journal.places import Place, alarm, life
from tests.live.journal.test_errors import _lost

STEPS = st.lists(st.integers(0, 4), max_size=6)  # which order lives on; 4: an alarm
STATE = st.none() | st.binary(max_size=20)


class Machine(RuleBasedStateMachine):
    """`make` gives a place for each run."""

    make: Callable[[], Place]

    def __init__(self) -> None:
        super().__init__()
        self.place = type(self).make()
        self.stored: StoredJournal = self.place.open()
        self.model = MemoryJournal(self.place.account)
        self.lives: list[list[Entry]] = [list(life(number)) for number in range(4)]
        self.sent = 0

    def chosen(self, steps: list[int]) -> tuple[list[Entry], list[list[Entry]]]:
        """The next entries of these orders, and the lives after them."""
        lives = [list(each) for each in self.lives]
        return [lives[step].pop(0) if step < 4 and lives[step] else alarm("끝") for step in steps], lives

    def both(self, entries: list[Entry], state: bytes | None = None) -> None:
        assert list(self.stored.append(entries, snapshot=state)) == list(self.model.append(entries, snapshot=state))

    # --- what may happen ---

    @rule(steps=STEPS, state=STATE)
    def append(self, steps: list[int], state: bytes | None) -> None:
        entries, lives = self.chosen(steps)
        self.both(entries, state)
        self.lives = lives

    @rule(steps=STEPS.filter(bool), state=STATE, place=st.sampled_from(["upserts", "keep", "insert"]))
    def fail_in_the_middle(self, steps: list[int], state: bytes | None, place: str) -> None:
        """Nothing of it stands, and nothing of it is remembered."""
        run, error = self.stored._run, _lost(self.stored)

        class Broken:
            def run(self, *_: Any) -> None:
                raise error

        kept = getattr(run, place)
        setattr(run, place, dict.fromkeys(kept, Broken()) if place == "upserts" else Broken())
        entries, lives = self.chosen(steps)
        fails = place == "insert" or (place == "keep" and state is not None)
        fails |= place == "upserts" and any(entry.kind is not Kind.ALARM for entry in entries)
        try:
            if fails:
                with pytest.raises(QuantkitError):
                    self.stored.append(entries, snapshot=state)
            else:
                self.both(entries, state)
                self.lives = lives
        finally:
            setattr(run, place, kept)

    @rule(steps=STEPS.filter(bool), written=st.booleans(), again=st.booleans())
    def lose_the_answer_of_a_commit(self, steps: list[int], *, written: bool, again: bool) -> None:
        """The same entries stand once; a process that starts again finds them where they were written."""
        dialect, (entries, lives) = self.stored._engine.dialect, self.chosen(steps)
        real = dialect.do_commit

        def commit(connection: Any) -> None:
            if written:
                real(connection)
            raise _lost(self.stored)

        dialect.do_commit = commit  # type: ignore[method-assign]
        try:
            with pytest.raises(QuantkitError):
                self.stored.append(entries)
        finally:
            del dialect.do_commit
        if again:
            self.both(entries)
            self.lives = lives
        else:
            if written:
                self.model.append(entries)
                self.lives = lives
            self.reopen()

    @rule()
    def reopen(self) -> None:
        self.stored.close()
        self.stored, self.model = self.place.open(), self.model.reopen()
        assert self.stored.epoch == self.model.epoch

    @rule(steps=STEPS)
    def second_owner(self, steps: list[int]) -> None:
        first, first_model = self.stored, self.model
        self.stored, self.model = self.place.open("second"), self.model.reopen()
        for refused in (first, first_model):
            with pytest.raises(Refused, match="SECOND_OWNER"):
                refused.append([alarm("late")])
        first.close()
        self.append(steps, None)

    @rule(state=st.binary(max_size=20))
    def snapshot(self, state: bytes) -> None:
        self.both([], state)

    @rule(old=st.booleans())
    def send(self, *, old: bool) -> None:
        self.sent += not old
        command = Command(self.sent, f"c{self.sent}", "halt", "kim", "why", {"scope": "account"})
        assert self.stored.send(command) == self.model.send(command)

    @precondition(lambda self: self.model.commands())
    @rule()
    def answer(self) -> None:
        first = self.model.commands()[0]
        given = {"id": first.id, "command": first.name, "arguments": {}, "by": first.by, "reason": first.reason}
        self.both([Entry(Kind.COMMAND_RECEIVED, 5, given)])

    @rule(part=st.floats(0, 1))
    def read(self, part: float) -> None:
        after = round(part * self.model.head()[0])
        assert list(self.stored.read(after)) == list(self.model.read(after))

    # --- what always holds ---

    @invariant()
    def same(self) -> None:
        assert self.stored.head() == self.model.head()
        assert self.stored.snapshot() == self.model.snapshot()
        assert self.stored.commands() == self.model.commands()

    def teardown(self) -> None:
        reader = read_journal(self.place.where, self.place.account)
        found = verify(reader)
        reader.close()
        self.place.close()
        if self.place.kind == "sqlite":
            shutil.rmtree(self.place.where)
        assert (found.entries, found.head, found.problems) == (*self.model.head(), ())


@pytest.mark.parametrize(("kind", "examples"), [("sqlite", 12), ("postgres", 5)])
def test_a_stored_journal_is_the_one_in_memory(kind: str, examples: int, request: pytest.FixtureRequest) -> None:
    where = None if kind == "sqlite" else request.getfixturevalue("postgres")

    class Here(Machine):
        @staticmethod
        def make() -> Place:
            return Place(kind, Path(tempfile.mkdtemp()) if where is None else where)

    run_state_machine_as_test(  # type: ignore[no-untyped-call]
        Here, settings=settings(max_examples=examples, stateful_step_count=15, deadline=None,
                                suppress_health_check=list(HealthCheck)),
    )  # fmt: skip
