"""Time that is asked for, corrected and, in tests, virtual."""

from __future__ import annotations

import asyncio
import datetime as dt
from email.utils import format_datetime

import pytest

from quantkit.errors import BadData, ConfigError
from quantkit.live.clock import (
    SECOND,
    Deadlock,
    Offset,
    PacedLoop,
    SystemClock,
    VirtualClock,
    run_paced,
    run_virtual,
    seeded_random,
)

NOON = 1_763_002_800 * SECOND  # 2025-11-13 12:00 in Seoul


def header(ns: int) -> str:
    """The `Date` header a server sends at that moment."""
    return format_datetime(dt.datetime.fromtimestamp(ns // SECOND, dt.UTC), usegmt=True)


class Machine:
    """A machine's two clocks, moved by hand."""

    def __init__(self) -> None:
        self.wall, self.monotonic = NOON, 5 * SECOND

    def pass_(self, ns: int) -> None:
        self.wall += ns
        self.monotonic += ns

    def clock(self) -> SystemClock:
        return SystemClock(wall=lambda: self.wall, monotonic=lambda: self.monotonic)


def test_a_session_of_one_second_events_takes_no_time() -> None:
    async def main(clock: VirtualClock) -> list[int]:
        seen = []
        for second in range(1, 23_401):
            await clock.sleep_until(NOON + second * SECOND)
            seen.append(clock.now_ns())
        return seen

    assert run_virtual(main, start=NOON) == [NOON + second * SECOND for second in range(1, 23_401)]


def test_queues_timeouts_and_tasks_keep_their_order_in_virtual_time() -> None:
    async def main(clock: VirtualClock) -> list[tuple[str, float]]:
        queue: asyncio.Queue[str] = asyncio.Queue()

        async def say(word: str, after: float) -> None:
            await asyncio.sleep(after)
            await queue.put(word)

        tasks = [asyncio.create_task(say(word, after)) for word, after in (("b", 2.0), ("a", 1.0), ("c", 2.0))]
        seen = [(await queue.get(), clock.now_ns() / SECOND) for _ in tasks]
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(queue.get(), 10)
        seen.append(("late", clock.now_ns() / SECOND))
        return seen

    first, second = run_virtual(main), run_virtual(main)
    assert first == [("a", 1.0), ("b", 2.0), ("c", 2.0), ("late", 12.0)]
    assert second == first


def test_waiting_for_nothing_is_a_deadlock_that_names_who_waits() -> None:
    async def main(clock: VirtualClock) -> None:
        await asyncio.sleep(1)
        await asyncio.Queue().get()

    with pytest.raises(Deadlock, match=r"waiting: main in Queue.get:\d+"):
        run_virtual(main)


def test_work_for_a_thread_is_done_at_once_and_its_errors_arrive() -> None:
    async def main(clock: VirtualClock) -> int:
        with pytest.raises(ZeroDivisionError):
            await asyncio.to_thread(lambda: 1 // 0)
        return await asyncio.to_thread(lambda: 42)

    assert run_virtual(main) == 42


def test_what_still_runs_at_the_end_is_cancelled_and_may_clean_up() -> None:
    cleaned = []

    async def forever(name: str) -> None:
        try:
            await asyncio.sleep(1e9)
        finally:
            cleaned.append(name)

    async def main(clock: VirtualClock) -> None:
        for name in "xy":
            asyncio.create_task(forever(name))  # noqa: RUF006 - left behind on purpose
        await asyncio.sleep(0)

    run_virtual(main)
    assert cleaned == ["x", "y"]


def test_a_timer_fires_at_its_moment_and_not_once_cancelled() -> None:
    async def main(clock: VirtualClock) -> list[int]:
        fired: list[int] = []
        clock.call_at(7 * SECOND, lambda: fired.append(clock.now_ns()))
        clock.call_at(8 * SECOND, lambda: fired.append(clock.now_ns())).cancel()
        await asyncio.sleep(9)
        clock.call_at(1, lambda: fired.append(clock.now_ns()))  # already past: soon
        await asyncio.sleep(0.001)
        return fired

    assert run_virtual(main) == [7 * SECOND, 9 * SECOND]


def test_a_virtual_run_inside_a_loop_is_refused() -> None:
    async def inner(clock: VirtualClock) -> None:
        """Never awaited: the loop refuses before."""

    async def main(clock: VirtualClock) -> None:
        run_virtual(lambda clock: asyncio.sleep(0))

    with pytest.raises(ConfigError):
        run_virtual(main)


def test_one_late_answer_does_not_move_the_offset() -> None:
    offset = Offset()
    assert (offset.state, offset.ns) == ("unknown", 0)
    for second in range(4):
        sent = NOON + second * SECOND
        offset.add(header(sent + 250_000_000), sent=sent, received=sent + 900_000_000)
    offset.add(header(NOON), sent=NOON + 5 * SECOND, received=NOON + 65 * SECOND)
    assert abs(offset.ns) < SECOND // 10
    assert offset.state == "ok"


@pytest.mark.parametrize(("off", "state"), [(0, "ok"), (1, "alarm"), (-1, "alarm"), (3, "deny"), (-3, "deny")])
def test_the_offset_alarms_over_half_a_second_and_denies_over_two(off: int, state: str) -> None:
    machine = Machine()
    clock = machine.clock()
    for _ in range(5):
        sent = clock.machine_ns()
        said = header(sent + off * SECOND)
        machine.pass_(SECOND // 2 * 2)
        found = clock.measure(said, sent=sent, received=sent + SECOND)
    assert found == state
    assert clock.offset.ns == off * SECOND


def test_four_headers_never_deny_nor_correct() -> None:
    machine = Machine()
    clock = machine.clock()
    before = clock.now_ns()
    for _ in range(4):
        assert clock.measure(header(NOON + 60 * SECOND), sent=NOON, received=NOON) == "alarm"
    assert clock.now_ns() == before


def test_a_correction_back_lets_time_stand_still() -> None:
    machine = Machine()
    clock = machine.clock()
    before = clock.now_ns()
    for _ in range(5):
        clock.measure(header(NOON - 3 * SECOND), sent=NOON, received=NOON)
    machine.pass_(SECOND)
    assert clock.now_ns() == before
    machine.pass_(3 * SECOND)
    assert clock.now_ns() == before + 3 * SECOND // 2  # 4 s on, 2.5 s back


def test_setting_the_machines_clock_moves_no_time_until_it_is_asked_about() -> None:
    machine = Machine()
    clock = machine.clock()
    machine.wall += 90 * SECOND  # somebody sets it, or it slept
    assert clock.now_ns() == NOON
    assert clock.jump() == 90 * SECOND
    assert clock.now_ns() == NOON + 90 * SECOND
    assert clock.jump() == 0


def test_a_header_that_is_no_date_is_bad_data() -> None:
    with pytest.raises(BadData, match="nonsense"):
        Offset().add("nonsense", sent=0, received=0)


async def test_the_real_clock_wakes_no_sooner_than_asked() -> None:
    clock = SystemClock()
    at = clock.now_ns() + 2_000_000
    fired = asyncio.Event()
    clock.call_at(at, fired.set)
    await clock.sleep_until(at)
    assert clock.now_ns() >= at
    await fired.wait()


def test_seeded_numbers_repeat() -> None:
    one, two = seeded_random(7), seeded_random(7)
    assert [one() for _ in range(3)] == [two() for _ in range(3)]


def test_a_paced_loop_wakes_in_its_own_time() -> None:
    async def main(clock: VirtualClock) -> int:
        await asyncio.gather(asyncio.sleep(50.0), clock.sleep_until(NOON + 40 * SECOND))
        return clock.now_ns()

    assert run_paced(main, start=NOON, speed=10_000.0) >= NOON + 50 * SECOND


def test_a_paced_loop_counts_its_machines_time_several_times() -> None:
    machine = Machine()
    loop = PacedLoop(NOON, 4.0, monotonic=lambda: machine.monotonic)
    try:
        machine.pass_(10 * SECOND)
        assert (loop.time(), VirtualClock(loop).now_ns()) == (40.0, NOON + 40 * SECOND)
    finally:
        loop.close()


@pytest.mark.parametrize("speed", [0.0, -1.0, float("inf"), float("nan")])
def test_time_has_to_pass(speed: float) -> None:
    async def main(clock: VirtualClock) -> int:
        return clock.now_ns()

    with pytest.raises(ConfigError, match="above 0"):
        run_paced(main, start=NOON, speed=speed)


def test_a_paced_loop_runs_in_no_other() -> None:
    async def main(clock: VirtualClock) -> None:
        run_paced(lambda again: again.sleep_until(0), start=clock.now_ns(), speed=1.0)

    with pytest.raises(ConfigError, match="inside a running loop"):
        run_virtual(main)
