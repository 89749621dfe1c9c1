"""The limiter on virtual time."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quantkit.brokers.kis.limiter import Lane, Limiter, reserved
from quantkit.errors import ConfigError
from quantkit.live.clock import SECOND, VirtualClock, run_virtual

WINDOW = round(1.05 * SECOND)


def started(rate: int, plan: list[tuple[int, Lane]], pauses: list[int] | None = None) -> list[tuple[int, Lane]]:
    """When requests that arrive at some milliseconds start: (nanoseconds, lane) in the order of their starts."""

    async def main(clock: VirtualClock) -> list[tuple[int, Lane]]:
        limiter, found = Limiter(rate, clock), []

        async def one(at: int, lane: Lane) -> None:
            await clock.sleep_until(at * 1_000_000)
            await limiter.enter(lane)
            found.append((clock.now_ns(), lane))

        async def pause(at: int) -> None:
            await clock.sleep_until(at * 1_000_000)
            limiter.pause()

        works: list[Awaitable[None]] = [one(at, lane) for at, lane in plan]
        await asyncio.gather(*works, *(pause(at) for at in pauses or []))
        return found

    return run_virtual(main)


def test_no_window_ever_has_more_starts_than_the_rate() -> None:
    found = [at for at, _ in started(19, [(0, Lane.CANCEL)] * 100)]
    assert all(later - earlier >= WINDOW for earlier, later in zip(found, found[19:], strict=False))
    assert found[-1] == 5 * WINDOW


def test_a_part_of_the_rate_is_kept_for_cancels() -> None:
    found = started(19, [(0, Lane.DATA)] * 40 + [(1, Lane.CANCEL)] * 6)
    assert [at for at, lane in found if lane is Lane.CANCEL] == [1_000_000] * 6
    assert sum(lane is Lane.DATA and at == 0 for at, lane in found) == 19 - reserved(19)


def test_who_waits_goes_by_lane_and_then_by_arrival() -> None:
    lanes = [Lane.HISTORY, Lane.DATA, Lane.QUERY, Lane.ORDER, Lane.REDUCE, Lane.CANCEL]
    found = [lane for _, lane in started(1, [(0, Lane.DATA)] + [(5, lane) for lane in lanes])]
    assert found == [Lane.DATA, *reversed(lanes)]


def test_of_many_that_come_at_once_the_better_lane_goes_first() -> None:
    found = started(19, [(0, Lane.ORDER)] * 5 + [(0, Lane.CANCEL), (0, Lane.REDUCE)])
    assert [lane for _, lane in found] == [Lane.ORDER, Lane.CANCEL, Lane.REDUCE] + [Lane.ORDER] * 4
    assert {at for at, _ in found} == {0}


def test_a_cancel_that_comes_late_does_not_wait_for_the_sleep_of_others() -> None:
    found = started(2, [(0, Lane.REDUCE), (500, Lane.REDUCE), (600, Lane.DATA), (700, Lane.CANCEL)])
    assert found[2] == (WINDOW, Lane.CANCEL)
    assert found[3][1] is Lane.DATA


def test_after_a_refusal_nobody_goes_for_a_window() -> None:
    found = started(5, [(0, Lane.CANCEL), (20, Lane.CANCEL)], pauses=[10])
    assert found == [(0, Lane.CANCEL), (10_000_000 + WINDOW, Lane.CANCEL)]


def test_who_gives_up_takes_no_slot() -> None:
    async def main(clock: VirtualClock) -> int:
        limiter = Limiter(1, clock)
        await limiter.enter(Lane.DATA)
        waits = [asyncio.create_task(limiter.enter(Lane.DATA)) for _ in range(3)]
        await asyncio.sleep(0.1)
        assert limiter.waiting == 3
        waits[0].cancel()
        waits[1].cancel()
        await waits[2]
        return clock.now_ns()

    assert run_virtual(main) == WINDOW


@given(st.lists(st.tuples(st.integers(0, 3000), st.sampled_from(Lane)), max_size=40), st.integers(1, 6),
       st.lists(st.integers(0, 3000), max_size=2))  # fmt: skip
def test_all_start_within_the_rate_and_none_is_lost(plan: list[tuple[int, Lane]], rate: int, pauses: list[int]) -> None:
    found = started(rate, plan, pauses)
    assert sorted(lane for _, lane in found) == sorted(lane for _, lane in plan)
    times = [at for at, _ in found]
    assert all(later - earlier >= WINDOW for earlier, later in zip(times, times[rate:], strict=False))
    low = [at for at, lane in found if lane > Lane.REDUCE]
    room = rate - reserved(rate)
    assert all(later - earlier >= WINDOW for earlier, later in zip(low, low[room:], strict=False))


def test_what_is_kept_for_cancels_is_no_rate_of_others() -> None:
    async def rates(clock: VirtualClock) -> list[float]:
        return [Limiter(20, clock, window_s=4.0).per_second, Limiter(1, clock, window_s=2.0).per_second]

    assert run_virtual(rates) == [14 / 4, 1 / 2]


@pytest.mark.parametrize("make", [lambda clock: Limiter(0, clock), lambda clock: Limiter(1, clock, window_s=0.0)])
def test_no_rate_is_a_wrong_setting(make: Callable[[VirtualClock], Limiter]) -> None:
    async def main(clock: VirtualClock) -> None:
        make(clock)

    with pytest.raises(ConfigError, match="rate="):
        run_virtual(main)
