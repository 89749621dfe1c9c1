"""An exchange's time follows whoever is connected, and the exchange outlives them."""

from __future__ import annotations

import asyncio

import pytest

from quantkit.emulator.feed import EmulatedFeed
from quantkit.emulator.port import EmulatedBroker
from quantkit.errors import Bug
from quantkit.live.clock import VirtualClock, run_virtual
from tests.emulator.markets import MINUTE, SYMBOL, exchange
from tests.emulator.test_port import hear, order


def test_an_exchange_outlives_a_client_that_dies_and_serves_the_next() -> None:
    made, clock = exchange()
    price = 9_500.0
    first: list[EmulatedBroker] = []

    async def dies(time: VirtualClock) -> None:
        broker = EmulatedBroker(made, "a", now=time.now_ns)
        feed = EmulatedFeed(made, now=time.now_ns)
        await broker.connect()
        await feed.connect()
        await feed.subscribe([SYMBOL])
        await broker.submit(order(price=price))
        first.append(broker)  # no close: the process was killed

    async def comes_back(time: VirtualClock) -> None:
        broker = EmulatedBroker(made, "a", now=time.now_ns)
        await broker.connect()
        assert not first[0].connected
        (line,) = await broker.orders()
        assert (line.price, line.status) == (price, "open")
        await broker.cancel(line.number, SYMBOL, 10)
        assert [notice.kind for notice in await hear(broker, 5)] == ["canceled"]
        assert made.now > clock.open + 30 * MINUTE
        await broker.close()

    run_virtual(dies, start=clock.open + MINUTE)
    run_virtual(comes_back, start=clock.open + 30 * MINUTE)
    assert len(made.desk._listeners["a"]) == 0
    assert not made._watches


def test_what_stops_the_exchange_is_told_to_everybody() -> None:
    made, clock = exchange()

    def breaks() -> None:
        raise Bug("the exchange fell over")

    async def main(time: VirtualClock) -> None:
        broker = EmulatedBroker(made, "a", now=time.now_ns)
        await broker.connect()
        listening = asyncio.ensure_future(hear(broker, 3_600))
        await broker.submit(order(price=9_000.0))
        made.later(time.now_ns() + MINUTE, breaks)
        with pytest.raises(Bug, match="fell over"):
            await listening
        await broker.close()

    run_virtual(main, start=clock.open + MINUTE)


def test_nights_take_no_steps() -> None:
    row = (10_000, 10_200, 9_900, 10_000, 1_000_000)
    made, clock = exchange(row, row)
    steps = 0

    async def main(time: VirtualClock) -> None:
        nonlocal steps

        async def sleep(seconds: float) -> None:
            nonlocal steps
            steps += 1
            await asyncio.sleep(seconds)

        broker = EmulatedBroker(made, "a", now=time.now_ns, sleep=sleep)
        feed = EmulatedFeed(made, now=time.now_ns, sleep=sleep)
        await broker.connect()
        await feed.connect()
        await feed.subscribe([SYMBOL])
        await time.sleep_until(clock.close + 11 * 60 * MINUTE)
        await feed.close()
        await broker.close()

    run_virtual(main, start=clock.close + 60 * MINUTE)
    assert 0 < steps < 30
