"""Readings that take long run one at a time, and nobody is told of what was read before the question."""

from __future__ import annotations

import asyncio

import pytest

from quantkit.brokers.kis.shared import Shared
from quantkit.emulator.faults import Fault, FaultKind
from quantkit.errors import RetryLater
from quantkit.live.clock import SECOND, VirtualClock, run_virtual
from quantkit.trading.orders import Side
from tests.brokers.benches import SYMBOL
from tests.brokers.kis.benches import ACCOUNT, KisPaperBench


def test_who_asks_while_one_reads_shares_the_next_reading() -> None:
    begun: list[int] = []

    async def main(clock: VirtualClock) -> None:
        async def read() -> int:
            begun.append(clock.now_ns() // SECOND)
            await asyncio.sleep(10)
            return begun[-1]

        async def asked(at: int) -> tuple[int, int]:
            await clock.sleep_until(at * SECOND)
            return await shared.ask(), clock.now_ns() // SECOND

        shared = Shared(read)
        found = await asyncio.gather(*(asked(at) for at in (0, 1, 5, 9, 12, 40)))
        assert found == [(0, 10), (10, 20), (10, 20), (10, 20), (20, 30), (40, 50)]

    run_virtual(main)
    assert begun == [0, 10, 20, 40]


def test_an_error_is_told_to_those_who_asked_and_to_nobody_after_them() -> None:
    async def main(clock: VirtualClock) -> None:
        broken = True

        async def read() -> str:
            await asyncio.sleep(1)
            if broken:
                raise RetryLater("not now")
            return "a list"

        shared = Shared(read)
        with pytest.raises(RetryLater):
            await shared.ask()
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.5):  # gives up; the reading goes on and fails unheard
                await shared.ask()
        await asyncio.sleep(2)
        broken = False
        assert await shared.ask() == "a list"

    run_virtual(main)


def test_looks_that_come_faster_than_a_long_list_is_read_all_have_an_answer() -> None:
    """On 모의투자 every answer is late and a list of 60 orders is four pages: a look each five seconds once kept all of
    them from ending."""

    async def main(clock: VirtualClock) -> None:
        async with KisPaperBench(clock) as bench:
            await bench.broker.connect()
            for _ in range(60):
                placed = bench.exchange.submit(ACCOUNT, SYMBOL, Side.BUY, 1, price=69_000.0)
                bench.server.trading._keep(bench.server.customers[0], placed)
            bench.fault(Fault(FaultKind.ANSWER_LATE, probability=1.0, seconds=(2.0, 2.0)))

            async def look(at: int) -> int:
                await asyncio.sleep(at)
                async with asyncio.timeout(30):
                    return len(await bench.broker.orders())

            assert await asyncio.gather(*(look(at) for at in range(0, 100, 5))) == [60] * 20
            assert bench.sent("inquire-daily-ccld") <= 4 * 15

    KisPaperBench.run(main, start=KisPaperBench.start)
