"""Several accounts in one process: one's end is nobody else's."""

from __future__ import annotations

import asyncio
import datetime as dt
from collections.abc import Awaitable, Callable
from email.utils import format_datetime

import pytest

from quantkit.errors import ConfigError, RetryLater
from quantkit.live import metrics
from quantkit.live.clock import SECOND, SystemClock, VirtualClock, run_virtual
from quantkit.live.messages import Command
from quantkit.live.runner import AccountRunner
from quantkit.live.supervisor import Supervisor
from tests.live.doubles import ListJournal, Script, TinyEngine, tiny_reduce

Maker = Callable[[], Awaitable[AccountRunner]]


class House:
    """Accounts by name; `engines` holds every engine that was made, oldest first."""

    def __init__(self, clock: VirtualClock, names: list[str], **services: Callable[[], Awaitable[None]]) -> None:
        self.clock = clock
        self.engines: dict[str, list[TinyEngine]] = {name: [] for name in names}
        self.journals = {name: ListJournal() for name in names}
        self.made: dict[str, Callable[[], None]] = {}  # raises instead of making a runner
        self.supervisor = Supervisor(
            clock, {name: self.maker(name) for name in names}, chance=lambda: 0.5, services=services
        )

    def maker(self, name: str) -> Maker:
        async def make() -> AccountRunner:
            if name in self.made:
                self.made[name]()
            engine = TinyEngine(name)
            self.engines[name].append(engine)
            return AccountRunner(
                engine, self.journals[name], Script(), self.clock, reduce=tiny_reduce, chance=lambda: 0.5
            )

        return make

    def say(self, account: str, name: str) -> None:
        now = self.clock.now_ns()
        self.supervisor.runners[account].post(Command(now, f"{name}{now}", name, "test"))


def live(act: Callable[[House], Awaitable[None]], names: list[str], **services: Callable[[], Awaitable[None]]) -> House:
    async def main(clock: VirtualClock) -> House:
        house = House(clock, names, **services)
        running = asyncio.create_task(house.supervisor.run())
        await asyncio.sleep(0.1)
        await act(house)
        house.supervisor.stop(by="test")
        await running
        return house

    return run_virtual(main)


def test_a_bug_of_one_account_leaves_the_others_running() -> None:
    async def act(house: House) -> None:
        house.say("a", "raise")
        await asyncio.sleep(60)
        house.say("b", "noted")
        await asyncio.sleep(1)

    house = live(act, ["a", "b"])
    assert list(house.supervisor.given_up) == ["a"]
    assert len(house.engines["a"]) == 1  # a bug is not tried again
    assert house.journals["b"].kinds().count("CommandReceived") == 2
    assert house.journals["b"].alarms() == ["ACCOUNT_DOWN"]


def test_an_account_that_could_not_be_made_is_made_again() -> None:
    async def main(clock: VirtualClock) -> House:
        house = House(clock, ["a", "b"])
        left = [RetryLater("locked"), RetryLater("locked")]

        def away() -> None:
            if left:
                raise left.pop()

        house.made["a"] = away
        running = asyncio.create_task(house.supervisor.run())
        await asyncio.sleep(10)
        house.supervisor.stop(by="test")
        await running
        return house

    house = run_virtual(main)
    assert (len(house.engines["a"]), house.supervisor.given_up) == (1, {})


@pytest.mark.parametrize(
    ("error", "tries"), [(RetryLater("locked"), 6), (ConfigError("no such strategy"), 1), (KeyError("a bug"), 1)]
)
def test_what_keeps_ending_is_given_up(error: Exception, tries: int) -> None:
    async def main(clock: VirtualClock) -> tuple[House, int]:
        house = House(clock, ["a"])
        count = 0

        def fail() -> None:
            nonlocal count
            count += 1
            raise error

        house.made["a"] = fail
        await house.supervisor.run()  # ends by itself
        return house, count

    house, count = run_virtual(main)
    assert count == tries
    assert list(house.supervisor.given_up) == ["a"]


def test_an_account_whose_journal_failed_starts_again_from_it() -> None:
    async def act(house: House) -> None:
        def once(_count: int) -> None:
            if len(house.engines["a"]) == 1:
                raise RetryLater("locked")

        house.journals["a"]._fails = once
        house.say("a", "noted")
        await asyncio.sleep(30)
        house.say("a", "noted")
        await asyncio.sleep(1)

    house = live(act, ["a"])
    assert len(house.engines["a"]) == 2
    assert house.journals["a"].kinds().count("CommandReceived") == 2  # the second word, and the stop


def test_a_stop_while_waiting_to_start_again_ends_at_once() -> None:
    async def main(clock: VirtualClock) -> float:
        house = House(clock, ["a"])

        def fail() -> None:
            raise RetryLater("locked")

        house.made["a"] = fail
        running = asyncio.create_task(house.supervisor.run())
        await asyncio.sleep(5)  # inside the wait before the fourth attempt
        house.supervisor.stop(by="test")
        await running
        return clock.now_ns() / SECOND

    assert run_virtual(main) == pytest.approx(5.0)


def test_a_service_that_breaks_is_told_and_comes_back() -> None:
    starts: list[int] = []

    async def service() -> None:
        starts.append(1)
        await asyncio.sleep(1)
        raise OSError("gone")

    async def act(house: House) -> None:
        await asyncio.sleep(30)

    house = live(act, ["a"], hub=service)
    assert len(starts) > 3
    assert house.journals["a"].alarms() == ["SERVICE_FAILED"]  # once a minute


def test_a_loop_that_wakes_late_alarms_every_account() -> None:
    async def act(house: House) -> None:
        loop = asyncio.get_running_loop()
        loop.advance(0.4)  # type: ignore[attr-defined]  # somebody computes for 400 ms
        await asyncio.sleep(0.2)
        assert metrics.value("quantkit_loop_lag_seconds") < 0.25
        await asyncio.sleep(1)

    house = live(act, ["a", "b"])
    assert house.journals["a"].alarms() == house.journals["b"].alarms() == ["LOOP_LAG"]


def test_ten_accounts_run_beside_each_other() -> None:
    names = [f"acc{k}" for k in range(10)]

    async def act(house: House) -> None:
        for _ in range(60):
            for name in names:
                house.say(name, "noted")
            await asyncio.sleep(1)

    house = live(act, names)
    assert [journal.kinds().count("CommandReceived") for journal in house.journals.values()] == [61] * 10


async def test_the_machines_clock_is_watched() -> None:
    wall, monotonic = 1_763_002_800 * SECOND, 0
    clock = SystemClock(wall=lambda: wall, monotonic=lambda: monotonic)
    journal, engine = ListJournal(), TinyEngine("a")

    async def make() -> AccountRunner:
        return AccountRunner(engine, journal, Script(), clock, reduce=tiny_reduce, chance=lambda: 0.5)

    supervisor = Supervisor(clock, {"a": make}, chance=lambda: 0.5)
    running = asyncio.create_task(supervisor.run())
    await asyncio.sleep(0)
    while "a" not in supervisor.runners:
        await asyncio.sleep(0)
    supervisor._watch(clock)
    wall += 5 * SECOND
    supervisor._watch(clock)  # somebody set it
    for _ in range(5):
        said = dt.datetime.fromtimestamp(wall // SECOND + 9, dt.UTC)
        clock.measure(format_datetime(said, usegmt=True), sent=wall, received=wall)
    supervisor._watch(clock)
    supervisor._watch(clock)
    supervisor.stop(by="test")
    await running
    assert journal.alarms() == ["CLOCK_JUMP", "CLOCK_OFFSET"]
    assert [(c.name, c.by) for c in engine.inputs if isinstance(c, Command)] == [
        ("halt", "watchdog clock"), ("stop", "test"),
    ]  # fmt: skip
