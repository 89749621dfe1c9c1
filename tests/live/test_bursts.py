"""What waits in an account's inbox is written in one transaction."""

from __future__ import annotations

import asyncio

from quantkit.live.clock import SECOND
from quantkit.live.messages import Effect, Input, TimerFired, Wake
from quantkit.trading.events import Entry, Kind
from tests.live.doubles import TinyEngine, tiny_reduce
from tests.live.test_runner import World, play


def test_a_burst_is_one_transaction_up_to_the_first_turn_that_wants_something() -> None:
    async def act(world: World) -> None:
        for code in ("A", "B", "C"):
            world.runner.alarm(code, "")
        world.say("order", number=1)
        world.runner.alarm("D", "")
        await asyncio.sleep(30)

    world = play(act)
    assert world.journal.appends[:2] == [6, 2]  # alarms and the order; what came behind it, with its answer
    assert [entry.payload.get("code") for entry in world.journal.entries[:3]] == ["A", "B", "C"]


def test_a_bug_leaves_what_was_reduced_before_it() -> None:
    async def act(world: World) -> None:
        world.runner.alarm("A", "")
        world.say("raise")
        await asyncio.sleep(1)

    world = play(act)
    assert [entry.payload.get("code") for entry in world.journal.entries] == ["A", None, "BUG"]
    assert world.journal.snapshots == []


def test_who_wants_only_to_be_woken_holds_up_no_burst() -> None:
    def reduce(engine: TinyEngine, item: Input) -> tuple[TinyEngine, list[Entry], list[Effect]]:
        if isinstance(item, TimerFired) and item.name.startswith("again"):
            alarm = {"code": item.name, "detail": ""}
            wake = Wake(f"last {item.name}", item.time + SECOND)
            return engine, [Entry(Kind.ALARM, item.time, alarm)], [wake]
        return tiny_reduce(engine, item)

    async def act(world: World) -> None:
        for number in range(3):
            world.runner.post(TimerFired(world.clock.now_ns(), f"again {number}"))
        await asyncio.sleep(5)

    world = play(act, reduce=reduce)
    assert world.journal.appends[0] == 3
    assert {item.name for item in world.heard(TimerFired)} == {"last again 0", "last again 1", "last again 2"}
