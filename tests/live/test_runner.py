"""The actor of one account: order of things, outcomes, connections, commands, and what happens when it breaks."""

from __future__ import annotations

import asyncio
import pickle
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from quantkit.errors import BadData, Bug, OutcomeUnknown, Refused, RetryLater
from quantkit.live import metrics
from quantkit.live.clock import SECOND, VirtualClock, run_virtual
from quantkit.live.effects import Limits
from quantkit.live.messages import (
    Answered,
    Backfill,
    CancelOrder,
    Command,
    ConnectionChanged,
    Looked,
    ModifyOrder,
    Noticed,
    TimerFired,
    Wake,
)
from quantkit.live.runner import AccountRunner, RunnerSettings
from quantkit.trading.events import Kind
from quantkit.trading.orders import Side
from quantkit.trading.ports import Notice, Ticket
from tests.live.doubles import ListJournal, Script, TinyEngine, tiny_reduce

Act = Callable[["World"], Awaitable[None]]


class World:
    """A runner on virtual time, and how to talk to it."""

    def __init__(self, clock: VirtualClock, *, fails: Callable[[int], None] | None = None, broker: Script | None = None,
                 **given: Any) -> None:  # fmt: skip
        self.clock, self.journal = clock, ListJournal(fails)
        self.broker = Script() if broker is None else broker
        self.engine = TinyEngine()
        given.setdefault("reduce", tiny_reduce)
        self.runner = AccountRunner(self.engine, self.journal, self.broker, clock, chance=lambda: 0.5, **given)
        self.count = 0

    def say(self, name: str, **arguments: object) -> None:
        self.count += 1
        self.runner.post(Command(self.clock.now_ns(), f"c{self.count}", name, "test", "", arguments))

    def heard(self, kind: type) -> list[Any]:
        return [item for item in self.engine.inputs if isinstance(item, kind)]


def play(act: Act, **given: Any) -> World:
    """Run an account while `act` plays, then stop it unless it failed."""

    async def main(clock: VirtualClock) -> World:
        world = World(clock, **given)
        running = asyncio.create_task(world.runner.run())
        await asyncio.sleep(0.01)
        await act(world)
        if not running.done():
            world.runner.stop(by="test", reason="done")
        await running
        return world

    return run_virtual(main)


async def nothing(world: World) -> None:
    """Play nothing."""


def order(number: int = 1) -> Act:
    async def act(world: World) -> None:
        world.say("order", number=number)
        await asyncio.sleep(30)

    return act


def test_an_order_is_in_the_journal_before_it_leaves() -> None:
    seen: list[list[str]] = []

    async def act(world: World) -> None:
        world.broker.answers["test:1:1"] = lambda: seen.append(world.journal.kinds()) or Ticket(number="7", time=0)
        await order()(world)

    world = play(act)
    assert seen == [["OrderInitialized", "OrderSubmitting", "CommandReceived"]]
    assert world.journal.appends[0] == 3  # one transaction
    assert world.heard(Answered)[0].outcome == "accepted"
    assert world.engine.orders["test:1:1"].number == "7"


def test_nothing_leaves_when_the_journal_fails() -> None:
    def full(_count: int) -> None:
        raise Refused("JOURNAL_FULL", "no room")

    world = play(order(), fails=full)
    assert world.broker.sent == []
    assert world.runner.state == "failed"
    assert world.runner.failure is not None
    assert world.runner.failure.code == "JOURNAL_FULL"
    assert world.runner.failure.restartable


def test_a_locked_journal_is_tried_again_with_the_same_entries() -> None:
    tries: list[int] = []

    def locked(count: int) -> None:
        tries.append(count)
        if len(tries) < 4:
            raise RetryLater("locked")

    world = play(order(), fails=locked)
    assert world.runner.failure is None
    assert world.broker.sent == ["test:1:1"]
    assert world.journal.kinds().count("OrderSubmitting") == 1


def test_a_journal_that_stays_locked_halts_and_keeps_the_input(tmp_path: Path) -> None:
    def locked(_count: int) -> None:
        raise RetryLater("locked")

    world = play(order(), fails=locked, keep=tmp_path)
    assert (world.runner.failure and world.runner.failure.code) == "JOURNAL"
    assert world.broker.sent == []
    (kept,) = tmp_path.glob("*.pickle")
    assert pickle.loads(kept.read_bytes())[0].name == "order"


@pytest.mark.parametrize(("leave", "sent"), [(5.0, ["test:1:1"]), (4.0, [])])
def test_an_order_that_the_journal_holds_up_too_long_does_not_leave(leave: float, sent: list[str]) -> None:
    locks = iter([RetryLater("locked")] * 4)  # 4.4 s

    def locked(_count: int) -> None:
        if (error := next(locks, None)) is not None:
            raise error

    world = play(order(), fails=locked, settings=RunnerSettings(limits=Limits(leave=leave)))
    (answer,) = world.heard(Answered)
    assert world.broker.sent == sent
    assert answer.outcome == ("accepted" if sent else "not_sent")


@pytest.mark.parametrize(
    ("error", "outcome", "code"),
    [
        (Refused("NO_CASH", "no"), "refused", "NO_CASH"),
        (RetryLater("no route"), "not_sent", "NOT_SENT"),
        (OutcomeUnknown("reset"), "unknown", "NO_ANSWER"),
        (KeyError("a bug of the adapter"), "unknown", "BUG"),
    ],
)
def test_an_error_of_the_broker_is_told_as_what_it_proves(error: Exception, outcome: str, code: str) -> None:
    async def act(world: World) -> None:
        world.broker.answers["test:1:1"] = lambda: error
        await order()(world)

    world = play(act)
    (answer,) = world.heard(Answered)
    assert (answer.outcome, answer.code) == (outcome, code)
    assert world.broker.sent == ["test:1:1"]  # and never again
    assert world.journal.alarms() == (["BROKER_BUG"] if code == "BUG" else [])


def test_no_answer_in_time_is_unknown() -> None:
    async def act(world: World) -> None:
        world.broker.answers["test:1:1"] = lambda: asyncio.sleep(3600)
        world.say("order", number=1)
        await asyncio.sleep(4.9)
        assert world.heard(Answered) == []
        await asyncio.sleep(0.2)

    world = play(act, settings=RunnerSettings(limits=Limits(order=5.0)))
    (answer,) = world.heard(Answered)
    assert (answer.outcome, answer.code) == ("unknown", "TIMEOUT")
    assert world.engine.orders["test:1:1"].unresolved_since == answer.time


def test_cancels_and_changes_answer_too() -> None:
    async def act(world: World) -> None:
        world.runner.effects.run(CancelOrder("o", "1", "005930", 3))
        world.runner.effects.run(ModifyOrder("o", "1", "005930", 3, 99.0))
        await asyncio.sleep(1)

    answers = play(act).heard(Answered)
    assert [(a.request, a.outcome, a.number) for a in answers] == [
        ("cancel", "accepted", "1c"), ("modify", "accepted", "1m"),
    ]  # fmt: skip


def test_a_look_shows_everything_or_says_that_it_failed() -> None:
    async def act(world: World) -> None:
        world.say("look")
        await asyncio.sleep(1)
        world.broker.look_error = RetryLater("page 2 is missing")
        world.say("look")
        await asyncio.sleep(1)
        world.broker.look_error = ValueError("cannot parse")
        world.say("look")
        await asyncio.sleep(1)

    world = play(act)
    good, bad, bug = world.heard(Looked)
    assert (good.orders, good.positions[0].quantity, good.cash.orderable) == ((), 3, 4)
    assert (good.orderable, good.sellable, good.failed) == ({"x": 77}, {"y": 7}, "")
    assert (bad.orders, bad.positions, bad.cash) == (None, None, None)
    assert "page 2" in bad.failed
    assert bug.failed.startswith("BUG")
    assert world.journal.alarms() == ["BROKER_BUG"]


def test_a_look_without_an_end_has_failed() -> None:
    async def act(world: World) -> None:
        async def hang() -> list[Any]:
            await asyncio.sleep(3600)
            return []

        world.broker.orders = hang  # type: ignore[method-assign, assignment]
        world.say("look")
        await asyncio.sleep(31)

    (look,) = play(act).heard(Looked)
    assert look.failed.startswith("TIMEOUT")
    assert look.time - look.asked == 30 * SECOND


def test_a_later_timer_of_the_same_name_replaces_the_earlier() -> None:
    async def act(world: World) -> None:
        for name, at in (("a", 5), ("b", 6), ("a", 7)):
            world.runner.effects.run(Wake(name, at * SECOND))
        await asyncio.sleep(10)

    assert [(t.name, t.time) for t in play(act).heard(TimerFired)] == [("b", 6 * SECOND), ("a", 7 * SECOND)]


def test_a_timer_waits_again_where_the_clock_was_corrected_back() -> None:
    async def act(world: World) -> None:
        clock, effects = world.clock, world.runner.effects
        effects.run(Wake("a", 5 * SECOND))
        world.runner.effects.clock = Behind(clock, 2 * SECOND)
        await asyncio.sleep(10)

    assert [t.time for t in play(act).heard(TimerFired)] == [5 * SECOND]


class Behind:
    """A clock that was set back."""

    def __init__(self, clock: VirtualClock, by: int) -> None:
        self._clock, self._by = clock, by
        self.sleep_until = clock.sleep_until

    def now_ns(self) -> int:
        return self._clock.now_ns() - self._by

    def call_at(self, at: int, callback: Callable[[], object]) -> asyncio.TimerHandle:
        return self._clock.call_at(at + self._by, callback)


def test_a_backfill_is_handed_on_and_its_failure_alarms() -> None:
    asked: list[Backfill] = []

    async def fill(effect: Backfill) -> None:
        asked.append(effect)
        raise OSError("no chart")

    async def act(world: World) -> None:
        world.runner.effects.run(Backfill(("005930",), 1, 2))
        await asyncio.sleep(1)

    world = play(act, backfill=fill)
    assert asked == [Backfill(("005930",), 1, 2)]
    assert world.journal.alarms() == ["EFFECT_FAILED"]


def notice(number: str) -> Notice:
    return Notice(number=number, kind="filled", symbol="005930", side=Side.BUY, quantity=1, time=0, price=1.0)


def test_the_order_stream_comes_back_with_a_new_generation() -> None:
    async def act(world: World) -> None:
        world.broker.stream.put_nowait(notice("1"))
        await asyncio.sleep(1)
        world.broker.stream.put_nowait(RetryLater("dropped"))
        await asyncio.sleep(5)
        world.broker.stream.put_nowait(notice("2"))
        await asyncio.sleep(1)

    world = play(act)
    story = [
        (type(i).__name__, i.up if isinstance(i, ConnectionChanged) else i.notice.generation)
        for i in world.engine.inputs
        if isinstance(i, ConnectionChanged | Noticed)
    ]
    assert story == [
        ("ConnectionChanged", True), ("Noticed", 1), ("ConnectionChanged", False), ("ConnectionChanged", True),
        ("Noticed", 2),
    ]  # fmt: skip
    assert [i.generation for i in world.heard(ConnectionChanged)] == [1, 1, 2]


def test_a_broker_that_is_away_is_tried_again_for_ever_and_told_once() -> None:
    async def act(world: World) -> None:
        await asyncio.sleep(3600)

    world = play(act, broker=Script(refuses=60))
    assert world.broker.connects == 61
    assert world.journal.alarms() == ["CONNECTION_REFUSED"]
    assert world.heard(ConnectionChanged)[-1].up


def test_commands_of_other_processes_are_taken_once() -> None:
    async def act(world: World) -> None:
        world.journal.left.append(Command(0, "from-outside", "halt", "min", "too hot"))
        await asyncio.sleep(10)

    world = play(act)
    (halt,) = [c for c in world.heard(Command) if c.id == "from-outside"]
    assert (halt.name, halt.by, halt.reason) == ("halt", "min", "too hot")
    assert 0 < halt.time <= SECOND


def test_a_stop_waits_for_answers_and_says_so_last() -> None:
    async def act(world: World) -> None:
        async def slow() -> Ticket:
            await asyncio.sleep(3)
            return Ticket(number="9", time=0)

        world.broker.answers["test:1:1"] = slow
        world.say("order", number=1)
        await asyncio.sleep(0.1)

    world = play(act)
    assert world.runner.state == "stopped"
    assert world.engine.orders["test:1:1"].number == "9"
    assert world.journal.kinds()[-2:] == ["OrderAccepted", "RunEnded"]
    assert world.journal.closed
    assert world.broker.closes == 1


def test_a_bug_halts_the_account_and_keeps_the_inputs(tmp_path: Path) -> None:
    async def act(world: World) -> None:
        world.say("raise")
        world.say("order", number=1)  # behind it in the inbox
        await asyncio.sleep(1)

    before = metrics.value("quantkit_failures_total", owner="acc", code="BUG")
    world = play(act, keep=tmp_path)
    failure = world.runner.failure
    assert failure is not None
    assert (failure.code, failure.restartable) == ("BUG", False)
    assert world.broker.sent == []
    entries = world.journal.entries[-2:]
    assert [entry.kind for entry in entries] == [Kind.RISK_STATE_CHANGED, Kind.ALARM]
    assert (entries[0].payload["scope"], entries[0].payload["name"], entries[0].payload["mode"]) == (
        "account", "acc", "halted",
    )  # fmt: skip
    assert failure.kept is not None
    assert [item.name for item in pickle.loads(failure.kept.read_bytes())] == ["raise", "order"]
    assert "ZeroDivisionError" in failure.kept.with_suffix(".txt").read_text()
    assert metrics.value("quantkit_failures_total", owner="acc", code="BUG") == before + 1


def test_inputs_are_kept_in_memory_where_no_file_can_be(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")

    async def act(world: World) -> None:
        world.say("raise")
        await asyncio.sleep(1)

    failure = play(act, keep=tmp_path / "file").runner.failure
    assert failure is not None
    assert failure.kept is None
    assert [item.name for item in failure.inputs] == ["raise"]  # type: ignore[union-attr]


def test_an_owner_that_was_replaced_stops_and_stays_down() -> None:
    def taken(count: int) -> None:
        if count:
            raise Refused("SECOND_OWNER", "epoch 2 owns it")

    async def act(world: World) -> None:
        await order(1)(world)

    failure = play(act, fails=taken).runner.failure
    assert failure is not None
    assert (failure.code, failure.restartable) == ("SECOND_OWNER", False)


def test_a_damaged_journal_is_told() -> None:
    def broken(_count: int) -> None:
        raise BadData("row 7")

    failure = play(order(), fails=broken).runner.failure
    assert failure is not None
    assert failure.code == "JOURNAL"


def test_a_bug_in_the_stream_halts_the_account() -> None:
    async def act(world: World) -> None:
        world.broker.stream.put_nowait(KeyError("no such field"))
        await asyncio.sleep(1)

    world = play(act)
    assert world.runner.failure is not None
    assert world.runner.failure.code == "BUG"
    assert world.journal.kinds()[-2:] == ["RiskStateChanged", "Alarm"]


def test_state_goes_into_the_transaction_when_it_is_due_or_after_many_entries() -> None:
    async def act(world: World) -> None:
        world.say("noted")
        await asyncio.sleep(1)
        assert world.journal.snapshots == []
        world.engine.due = True
        world.say("noted")
        await asyncio.sleep(1)
        world.engine.due = False
        assert len(world.journal.snapshots) == 1
        for _ in range(5):
            world.say("noted")
        await asyncio.sleep(1)

    world = play(act, settings=RunnerSettings(snapshot_every=4))
    assert len(world.journal.snapshots) == 2


def test_the_run_begins_with_its_entry_and_notes_are_folded() -> None:
    folded: list[str] = []
    started = {"mode": "paper", "artifact": "a", "params": {}, "version": "1"}
    world = play(nothing, started=started, fold=lambda engine, entry: folded.append(entry.kind.value))
    assert world.journal.kinds() == ["RunStarted", "CommandReceived", "RunEnded"]
    assert folded == ["RunStarted", "RunEnded"]


def test_a_recorder_hears_every_input_before_it_is_reduced() -> None:
    heard: list[object] = []
    world = play(order(), record=heard.append)
    assert heard == world.engine.inputs


def test_orders_are_counted_by_status() -> None:
    def standing(status: str) -> float:
        return metrics.value("quantkit_orders", account="acc", status=status)

    accepted, submitted = standing("accepted"), standing("submitted")
    play(order())
    assert (standing("accepted"), standing("submitted")) == (accepted + 1, submitted)


def test_the_same_day_gives_the_same_journal() -> None:
    async def act(world: World) -> None:
        for number in range(20):
            world.say("order", number=number)
            await asyncio.sleep(0.3)
        world.broker.stream.put_nowait(None)
        await asyncio.sleep(3)

    assert play(act).journal.entries == play(act).journal.entries


def test_a_runner_runs_once() -> None:
    async def main(clock: VirtualClock) -> None:
        world = World(clock)
        running = asyncio.create_task(world.runner.run())
        await asyncio.sleep(0.1)
        with pytest.raises(Bug, match="run before"):
            await world.runner.run()
        world.runner.stop(by="test")
        await running

    run_virtual(main)
