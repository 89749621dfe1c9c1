"""A short session with everything in it, killed at every point: before and after each append to the journal, before and
after each effect, and when an answer has come to the wire and nobody has heard it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from tests.simulation.scenario import Act, Scenario
from tests.simulation.world import World

HOUR = 3600.0


def _at(clock: str) -> float:
    hours, minutes, *seconds = clock.split(":")
    return int(hours) * HOUR + int(minutes) * 60 + (float(seconds[0]) if seconds else 0.0)


def _command(clock: str, what: str, id_: str, **arguments: Any) -> Act:
    return Act(_at(clock), "command", {"name": what, "id": id_, "draw": 0.0, "arguments": arguments})


SCRIPT = Scenario(
    7,
    acts=(
        _command("09:02", "order", "b1", column=1, part=0.99, money=500_000),
        _command("09:03", "cancel", "x1", order="manual:b1"),
        _command("09:04", "order", "b2", column=2, part=1.0, money=50_000_000),
        _command("09:10", "flatten", "f1", scope="deployment", name="daily"),
        _command("09:12", "resume", "r1", scope="deployment", name="daily"),
    ),
    delivered=1.0,
    begin=_at("08:58:30"),
    end=_at("09:17"),
    alone=True,
)
"""A daily rule buys in the opening auction, and stops sell; a person bids, takes it back, buys, lets all be sold."""


def points_of(scenario: Scenario) -> list[str]:
    """What each point of an undisturbed run is. Bug-free, or AssertionError."""
    world = World(scenario, every=True)
    judge = world.play()
    assert not judge.broken, judge.broken
    return world.trace


def killed_at(scenario: Scenario, point: int) -> list[str]:
    """What is broken when the process dies at that point, counted from 1, and another one goes on."""
    world = World(replace(scenario, points=(point,)), every=True)
    judge = world.play()
    if world.counts["crashes"] != 1:
        judge.say("points", f"point {point} was not reached")
    return judge.broken
