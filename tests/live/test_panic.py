"""Cancelling everything by the port alone, on the paper broker and on one that fails."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import pytest

from quantkit.errors import OutcomeUnknown, Refused, RetryLater
from quantkit.live.clock import VirtualClock, run_virtual
from quantkit.live.panic import Panicked, cancel_all
from quantkit.trading.orders import Side
from quantkit.trading.ports import BrokerOrder, Ticket
from tests.brokers.benches import SYMBOL, TEN, PaperBench
from tests.brokers.contract import ask, standing


def playing(act: Callable[[PaperBench], Awaitable[None]]) -> None:
    """Run on a paper account with three open orders."""

    async def main(clock: VirtualClock) -> None:
        bench = PaperBench(clock)
        await bench.broker.connect()
        for price in (69_900.0, 69_800.0):
            await bench.broker.submit(ask(SYMBOL, Side.BUY, 10, price))
        await bench.broker.submit(ask(SYMBOL, Side.SELL, 10, 71_000.0))
        await bench.broker.close()
        await act(bench)

    run_virtual(main, start=TEN)


def test_everything_open_is_cancelled_and_the_list_agrees() -> None:
    async def act(bench: PaperBench) -> None:
        came = await cancel_all(bench.broker)
        assert (len(came.cancelled), came.left, came.problems, came.done) == (3, (), (), True)
        again = await cancel_all(bench.broker)
        assert (again.cancelled, again.done) == ((), True)
        await bench.broker.connect()
        assert await standing(bench.broker) == []

    playing(act)


class Failing:
    """A paper broker whose requests fail as told: by name, the errors of the next calls."""

    def __init__(self, bench: PaperBench, **errors: list[Exception | None]) -> None:
        self._broker, self._errors = bench.broker, errors

    async def _call(self, name: str, *given: Any) -> Any:
        errors = self._errors.get(name, [])
        error = errors.pop(0) if errors else None
        if isinstance(error, OutcomeUnknown):
            await getattr(self._broker, name)(*given)  # it was done; the answer is lost
        if isinstance(error, TimeoutError):
            await asyncio.sleep(3_600)
        if error is not None:
            raise error
        return await getattr(self._broker, name)(*given)

    async def connect(self) -> None:
        await self._call("connect")

    async def close(self) -> None:
        await self._call("close")

    async def orders(self) -> Sequence[BrokerOrder]:
        found: Sequence[BrokerOrder] = await self._call("orders")
        return found

    async def cancel(self, number: str, symbol: str, quantity: int) -> Ticket:
        ticket: Ticket = await self._call("cancel", number, symbol, quantity)
        return ticket


@pytest.mark.parametrize(
    ("errors", "problems"),
    [
        ({"connect": [RetryLater("nobody there")]}, 1),
        ({"orders": [RetryLater("a page is missing"), TimeoutError()]}, 2),
        ({"cancel": [OutcomeUnknown("no answer"), None, RetryLater("429")]}, 2),
        ({"cancel": [TimeoutError(), Refused("NOTHING_LEFT", "gone")]}, 2),
    ],
)
def test_what_fails_is_tried_again_until_the_list_is_empty(errors: dict[str, list[Any]], problems: int) -> None:
    async def act(bench: PaperBench) -> None:
        came = await cancel_all(Failing(bench, **errors))  # type: ignore[arg-type]
        assert came.done
        assert len(came.problems) == problems
        assert all(came.problems)

    playing(act)


def test_what_stands_at_the_end_is_said() -> None:
    async def act(bench: PaperBench) -> None:
        refusing = Failing(bench, cancel=[Refused("NO", "no")] * 100)
        came = await cancel_all(refusing, rounds=3)  # type: ignore[arg-type]
        assert (came.cancelled, len(came.left or ()), came.done) == ((), 3, False)
        blind = Failing(bench, orders=[RetryLater("down")] * 100)
        came = await cancel_all(blind, rounds=3)  # type: ignore[arg-type]
        assert came == Panicked((), None, ("orders: down",) * 3)

    playing(act)


def test_a_broker_that_does_not_let_us_in_says_so() -> None:
    async def act(bench: PaperBench) -> None:
        with pytest.raises(Refused, match="wrong key"):
            await cancel_all(Failing(bench, connect=[Refused("KEY", "wrong key")]))  # type: ignore[arg-type]

    playing(act)
