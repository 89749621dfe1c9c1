"""What waits in an account's inbox is written in one transaction."""

from __future__ import annotations

import asyncio

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
