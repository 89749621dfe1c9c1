"""What every broker keeps, whoever it is: the suite that each one's tests subclass.

    class TestPaper(BrokerContract):
        bench = PaperBench

A bench puts a broker on virtual time, at ten o'clock on a quiet day, with an account that holds `shares` of `symbol`
and `money`, and lets the test be the rest of the market. Nothing here asks for more than the port promises: numbers of
cancels may be the order's or their own, notices may come twice and in any order.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from typing import Any, ClassVar, Protocol, Self

import pytest

from quantkit.errors import OutcomeUnknown, Refused, RetryLater
from quantkit.live.clock import VirtualClock, run_virtual
from quantkit.trading.approval import Approved, approve
from quantkit.trading.orders import Intent, OrderType, Side, TimeInForce, Window, new_order
from quantkit.trading.ports import Broker, BrokerOrder, Notice

SECOND = 1_000_000_000
BUY, SELL = Side.BUY, Side.SELL
THREE = (Refused, RetryLater, OutcomeUnknown)


class Bench(Protocol):
    """A broker to be tested, and the market around it. Prices: whole hundreds around `price`, ticks of `tick`."""

    start: ClassVar[int]  # UTC nanoseconds: ten in the morning of a session
    broker: Broker
    symbol: str
    other: str  # another name, of which the account holds nothing
    price: float  # the last price of both
    tick: float
    shares: int
    money: int
    steps: ClassVar[int] = 100  # of the longest test
    immediate: ClassVar[bool] = True  # whether it takes IOC and FOK at all
    run: ClassVar[Callable[..., None]] = staticmethod(run_virtual)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        """Nothing is left behind."""

    async def offer(self, symbol: str, side: Side, price: float, shares: int) -> None:
        """Somebody else's order stands in the book: these shares at this price, and hardly more."""

    async def trade(self, symbol: str, side: Side, price: float, shares: int) -> None:
        """Others trade so that an order of ours of that side, resting at that price, gets `shares`."""

    async def until_closed(self) -> None:
        """The session ends."""

    async def unanswered(self, order: Approved) -> None:
        """Submit it so that it arrives and its answer is lost: OutcomeUnknown, and the broker works again after it."""


def on_bench(test: Callable[[Any, Any], Awaitable[None]]) -> Callable[[Any], None]:
    """Run a test on a fresh bench, connected, in virtual time."""

    def run(self: Any) -> None:
        async def main(clock: VirtualClock) -> None:
            async with self.bench(clock) as bench:
                await bench.broker.connect()
                await test(self, bench)
                await bench.broker.close()

        self.bench.run(main, start=self.bench.start)

    run.__name__, run.__doc__ = test.__name__, test.__doc__  # not `wraps`: pytest would ask for a fixture `bench`
    return run


class Asker:
    """Makes orders that the gates have let through."""

    made = 0

    def __call__(self, symbol: str, side: Side, quantity: int, price: float | None = None, **more: Any) -> Approved:
        Asker.made += 1
        kind = more.pop("type", OrderType.MARKET if price is None else OrderType.LIMIT)
        wanted = Intent(
            id=f"t:0:{Asker.made}", deployment="t", symbol=symbol, side=side, quantity=quantity, type=kind, price=price,
            window=Window("continuous", 0, 1 << 62), **more,
        )  # fmt: skip
        return approve(new_order(wanted))


ask = Asker()


async def line(broker: Broker, number: str) -> BrokerOrder:
    """The line of an order in the list."""
    (found,) = [each for each in await broker.orders() if each.number == number]
    return found


async def standing(broker: Broker) -> list[BrokerOrder]:
    """Lines of which something is left."""
    return [each for each in await broker.orders() if each.leaves]


async def holding(broker: Broker, symbol: str) -> int:
    """Shares of a name."""
    return sum(each.quantity for each in await broker.positions() if each.symbol == symbol)


async def heard(broker: Broker, seconds: float = 5.0) -> list[Notice]:
    """What the order stream says within some seconds."""
    found: list[Notice] = []

    async def listen() -> None:
        async for notice in broker.notices():
            found.append(notice)  # noqa: PERF401 - what came before the time was up is kept

    with suppress(TimeoutError):
        await asyncio.wait_for(listen(), seconds)
    return found


def sound(lines: Sequence[BrokerOrder]) -> None:
    """What holds for every list of the day."""
    numbers = [each.number for each in lines]
    assert len(set(numbers)) == len(numbers)
    for each in lines:
        assert 0 <= each.filled <= each.quantity
        assert 0 <= each.leaves <= each.quantity - each.filled
        assert (each.value > 0) == (each.filled > 0)
        assert each.status in ("open", "filled", "canceled", "rejected", "expired")
        assert (each.status == "open") == (each.leaves > 0)


class BrokerContract:
    """One test for each promise of the port."""

    bench: ClassVar[Any]

    # --- orders in ------------------------------------------------------------------------------------------------

    @on_bench
    async def test_an_order_gets_a_number_and_stands_in_the_list(self, bench: Bench) -> None:
        broker, price = bench.broker, bench.price - bench.tick
        assert isinstance(broker, Broker)
        first = await broker.submit(ask(bench.symbol, BUY, 3, price))
        second = await broker.submit(ask(bench.symbol, SELL, 2, bench.price + bench.tick))
        assert first.number
        assert first.number != second.number
        found = await line(broker, first.number)
        assert (found.symbol, found.side, found.quantity, found.price) == (bench.symbol, BUY, 3, price)
        assert (found.filled, found.leaves, found.value, found.status) == (0, 3, 0, "open")
        assert found.type is OrderType.LIMIT
        assert bench.start <= found.time
        sound(await broker.orders())

    @on_bench
    async def test_what_cannot_be_is_refused_and_nothing_stands(self, bench: Bench) -> None:
        broker, price = bench.broker, bench.price
        before = (await broker.cash(), await broker.positions())
        for code, wanted in (
            ("INSUFFICIENT_SHARES", ask(bench.symbol, SELL, bench.shares + 1, price)),
            ("INSUFFICIENT_SHARES", ask(bench.other, SELL, 1, price)),
            ("INSUFFICIENT_CASH", ask(bench.symbol, BUY, int(bench.money / price) + 1, price)),
            ("PRICE_TICK", ask(bench.symbol, BUY, 1, price + bench.tick / 2)),
            ("PRICE_LIMIT", ask(bench.symbol, BUY, 1, 2 * price)),
            ("UNKNOWN_SYMBOL", ask("999999", BUY, 1, price)),
        ):
            with pytest.raises(Refused) as refusal:
                await broker.submit(wanted)
            assert refusal.value.code == code
        assert await standing(broker) == []
        assert (await broker.cash(), await broker.positions()) == before

    @on_bench
    async def test_the_list_has_every_order_of_the_day(self, bench: Bench) -> None:
        """More than a page of any broker."""
        numbers = [
            (await bench.broker.submit(ask(bench.symbol, BUY, 1, bench.price - bench.tick))).number for _ in range(130)
        ]
        lines = await bench.broker.orders()
        assert {each.number for each in lines} >= set(numbers)
        sound(lines)

    # --- fills ----------------------------------------------------------------------------------------------------

    @on_bench
    async def test_quantities_in_the_list_are_cumulative(self, bench: Bench) -> None:
        broker, price = bench.broker, bench.price - bench.tick
        ticket = await broker.submit(ask(bench.symbol, BUY, 10, price))
        for filled in (3, 7):
            await bench.trade(bench.symbol, BUY, price, filled - (await line(broker, ticket.number)).filled)
            found = await line(broker, ticket.number)
            assert (found.filled, found.leaves, found.value) == (filled, 10 - filled, round(filled * price))
            assert found.status == "open"
        await bench.trade(bench.symbol, BUY, price, 3)
        found = await line(broker, ticket.number)
        assert (found.filled, found.leaves, found.status) == (10, 0, "filled")

    @on_bench
    async def test_a_fill_moves_money_and_shares_by_what_the_list_says(self, bench: Bench) -> None:
        broker, price = bench.broker, bench.price
        for side, sign in ((BUY, 1), (SELL, -1)):
            cash, held = await broker.cash(), await holding(broker, bench.symbol)
            await bench.offer(bench.symbol, SELL if side is BUY else BUY, price, 50)
            ticket = await broker.submit(ask(bench.symbol, side, 5, price))
            found = await line(broker, ticket.number)
            assert (found.filled, found.value) == (5, round(5 * price))
            after = await broker.cash()
            costs = cash.next_2 - after.next_2 - sign * found.value
            if found.commission is None:  # a broker that tells its costs later
                assert 0 <= costs < 0.005 * found.value
            else:
                assert costs == found.commission + (found.tax or 0)
            assert after.today == cash.today  # it settles two sessions later
            assert await holding(broker, bench.symbol) == held + sign * 5

    @on_bench
    async def test_notices_and_list_tell_the_same(self, bench: Bench) -> None:
        broker, price = bench.broker, bench.price - bench.tick
        listening = asyncio.ensure_future(heard(broker, 60.0))
        ticket = await broker.submit(ask(bench.symbol, BUY, 10, price))
        await bench.trade(bench.symbol, BUY, price, 4)
        await broker.cancel(ticket.number, bench.symbol, 6)
        notices = [each for each in await listening if ticket.number in (each.number, each.original)]
        assert {"accepted", "filled", "canceled"} <= {each.kind for each in notices}
        fills = [each for each in notices if each.kind == "filled"]
        assert all((each.symbol, each.side, each.price) == (bench.symbol, BUY, price) for each in fills)
        if broker.capabilities.execution_numbers:
            assert sum({each.execution: each.quantity for each in fills}.values()) == 4
        if broker.capabilities.cumulative_notices:
            assert max(each.cumulative or 0 for each in fills) == 4
        assert {each.generation for each in notices} == {1}

    @on_bench
    async def test_an_immediate_order_leaves_nothing_behind(self, bench: Bench) -> None:
        broker, price = bench.broker, bench.price
        await bench.offer(bench.symbol, SELL, price, 4)
        if not bench.immediate:
            with pytest.raises(Refused):
                await broker.submit(ask(bench.symbol, BUY, 40, price, tif=TimeInForce.IOC))
            return
        ticket = await broker.submit(ask(bench.symbol, BUY, 40, price, tif=TimeInForce.IOC))
        found = await line(broker, ticket.number)
        assert 4 <= found.filled < 40
        assert found.leaves == 0
        await bench.offer(bench.symbol, SELL, price, 4)
        ticket = await broker.submit(ask(bench.symbol, BUY, 40, price, tif=TimeInForce.FOK))
        found = await line(broker, ticket.number)
        assert (found.filled, found.leaves) == (0, 0)
        await bench.offer(bench.symbol, SELL, price, 60)
        ticket = await broker.submit(ask(bench.symbol, BUY, 40, price, tif=TimeInForce.FOK))
        assert (await line(broker, ticket.number)).filled == 40

    # --- what orders bind -----------------------------------------------------------------------------------------

    @on_bench
    async def test_an_open_buy_binds_money_until_it_ends(self, bench: Bench) -> None:
        broker, price = bench.broker, bench.price - bench.tick
        before = await broker.cash()
        assert before.orderable == bench.money
        ticket = await broker.submit(ask(bench.symbol, BUY, 10, price))
        bound = before.orderable - (await broker.cash()).orderable
        assert 10 * price <= bound <= 10.1 * price
        if broker.capabilities.witnesses:
            assert await broker.orderable_cash(bench.symbol, price) == before.orderable - bound
        assert (await broker.cash()).next_2 == before.next_2
        await broker.cancel(ticket.number, bench.symbol, 10)
        assert await broker.cash() == before

    @on_bench
    async def test_sales_are_bounded_by_what_is_sellable(self, bench: Bench) -> None:
        broker, price = bench.broker, bench.price + bench.tick
        ticket = await broker.submit(ask(bench.symbol, SELL, bench.shares - 5, price))
        (position,) = [each for each in await broker.positions() if each.symbol == bench.symbol]
        assert (position.quantity, position.sellable) == (bench.shares, 5)
        assert await broker.sellable(bench.symbol) == 5
        with pytest.raises(Refused) as refusal:
            await broker.submit(ask(bench.symbol, SELL, 6, price))
        assert refusal.value.code == "INSUFFICIENT_SHARES"
        await broker.cancel(ticket.number, bench.symbol, bench.shares - 5)
        assert await broker.sellable(bench.symbol) == bench.shares
        assert await broker.sellable(bench.other) == 0

    # --- cancel and replace ---------------------------------------------------------------------------------------

    @on_bench
    async def test_what_is_cancelled_is_cancelled_once(self, bench: Bench) -> None:
        broker, price = bench.broker, bench.price - bench.tick
        ticket = await broker.submit(ask(bench.symbol, BUY, 10, price))
        assert (await broker.cancel(ticket.number, bench.symbol, 10)).number
        found = await line(broker, ticket.number)
        assert (found.leaves, found.filled, found.status) == (0, 0, "canceled")
        with pytest.raises(Refused):
            await broker.cancel(ticket.number, bench.symbol, 10)
        assert await standing(broker) == []

    @on_bench
    async def test_a_part_may_be_cancelled(self, bench: Bench) -> None:
        broker, price = bench.broker, bench.price - bench.tick
        ticket = await broker.submit(ask(bench.symbol, BUY, 10, price))
        await bench.trade(bench.symbol, BUY, price, 3)
        await broker.cancel(ticket.number, bench.symbol, 5)
        family = [each for each in await broker.orders() if ticket.number in (each.number, each.original)]
        assert sum(each.leaves for each in family) == 2
        assert sum(each.filled for each in family) == 3

    @on_bench
    async def test_what_has_filled_can_neither_be_cancelled_nor_replaced(self, bench: Bench) -> None:
        broker, price = bench.broker, bench.price
        await bench.offer(bench.symbol, SELL, price, 50)
        ticket = await broker.submit(ask(bench.symbol, BUY, 10, price))
        assert (await line(broker, ticket.number)).status == "filled"
        with pytest.raises(Refused):
            await broker.cancel(ticket.number, bench.symbol, 10)
        with pytest.raises(Refused):
            await broker.modify(ticket.number, bench.symbol, 10, price)
        with pytest.raises(Refused):
            await broker.cancel("no such number", bench.symbol, 1)
        with pytest.raises(Refused):
            await broker.modify("no such number", bench.symbol, 1, price)

    @on_bench
    async def test_a_replacement_has_a_number_of_its_own_and_names_the_old(self, bench: Bench) -> None:
        broker, price = bench.broker, bench.price - bench.tick
        if not broker.capabilities.modify:
            return
        numbers = [(await broker.submit(ask(bench.symbol, BUY, 10, price))).number]
        for place in range(1, 4):
            better = price - place * bench.tick
            numbers.append((await broker.modify(numbers[-1], bench.symbol, 10, better)).number)
            new, old = await line(broker, numbers[-1]), await line(broker, numbers[-2])
            assert (new.original, new.price, new.leaves) == (numbers[-2], better, 10)
            assert (old.leaves, old.filled) == (0, 0)
        assert len(set(numbers)) == 4
        assert sum(each.leaves for each in await standing(broker)) == 10

    @on_bench
    async def test_a_replacement_never_asks_for_more_than_is_left(self, bench: Bench) -> None:
        """A modify that races a fill: the broker's own leaves count, not ours."""
        broker, price = bench.broker, bench.price - bench.tick
        if not broker.capabilities.modify:
            return
        first = await broker.submit(ask(bench.symbol, BUY, 10, price))
        await bench.trade(bench.symbol, BUY, price, 4)
        second = await broker.modify(first.number, bench.symbol, 10, price - bench.tick)
        old, new = await line(broker, first.number), await line(broker, second.number)
        assert (old.filled, old.leaves, new.quantity, new.leaves) == (4, 0, 6, 6)

    @on_bench
    async def test_a_replacement_that_is_refused_leaves_the_order_as_it_was(self, bench: Bench) -> None:
        broker, price = bench.broker, bench.price - bench.tick
        if not broker.capabilities.modify:
            return
        ticket = await broker.submit(ask(bench.symbol, BUY, 10, price))
        before, cash = await line(broker, ticket.number), await broker.cash()
        with pytest.raises(Refused):
            await broker.modify(ticket.number, bench.symbol, 10, 2 * price)
        assert (await line(broker, ticket.number), await broker.cash()) == (before, cash)

    # --- what may go wrong ----------------------------------------------------------------------------------------

    @on_bench
    async def test_an_order_whose_answer_was_lost_is_in_the_list(self, bench: Bench) -> None:
        price = bench.price - bench.tick
        with pytest.raises(OutcomeUnknown):
            await bench.unanswered(ask(bench.symbol, BUY, 7, price))
        await asyncio.sleep(bench.broker.capabilities.list_lag)
        (found,) = await standing(bench.broker)
        assert (found.symbol, found.side, found.quantity, found.price) == (bench.symbol, BUY, 7, price)

    @on_bench
    async def test_without_a_connection_nothing_leaves(self, bench: Bench) -> None:
        broker = bench.broker
        ticket = await broker.submit(ask(bench.symbol, BUY, 1, bench.price - bench.tick))
        await broker.close()
        with pytest.raises(RetryLater):
            await broker.submit(ask(bench.symbol, BUY, 7, bench.price - bench.tick))
        with pytest.raises(RetryLater):
            await broker.orders()
        with pytest.raises(RetryLater):
            await broker.cash()
        await broker.connect()
        assert [each.number for each in await broker.orders()] == [ticket.number]

    @on_bench
    async def test_each_connection_is_another_generation_and_orders_outlive_it(self, bench: Bench) -> None:
        broker, price = bench.broker, bench.price - bench.tick
        first = asyncio.ensure_future(heard(broker, 3_600.0))
        ticket = await broker.submit(ask(bench.symbol, BUY, 10, price))
        await asyncio.sleep(5)
        await broker.close()
        before = await asyncio.wait_for(first, 60)  # the stream ends with its connection
        await broker.connect()
        second = asyncio.ensure_future(heard(broker, 60.0))
        await bench.trade(bench.symbol, BUY, price, 10)
        after = await second
        assert {each.generation for each in before} == {1}
        assert {each.generation for each in after} == {2}
        assert (await line(broker, ticket.number)).status == "filled"

    @on_bench
    async def test_a_caller_that_gives_up_leaves_one_order_or_none(self, bench: Bench) -> None:
        broker = bench.broker
        for patience in (0.0, 0.01, 0.03, 0.05, 0.2):
            before = len(await broker.orders())
            with suppress(TimeoutError):
                await asyncio.wait_for(broker.submit(ask(bench.symbol, BUY, 1, bench.price - bench.tick)), patience)
            await asyncio.sleep(5)
            assert len(await broker.orders()) - before in (0, 1)
        sound(await broker.orders())

    @on_bench
    async def test_orders_end_with_the_session(self, bench: Bench) -> None:
        broker = bench.broker
        buy = await broker.submit(ask(bench.symbol, BUY, 10, bench.price - 5 * bench.tick))
        sale = await broker.submit(ask(bench.symbol, SELL, 10, bench.price + 5 * bench.tick))
        await bench.until_closed()
        for ticket in (buy, sale):
            found = await line(broker, ticket.number)
            assert (found.leaves, found.status) == (0, "expired")
        assert (await broker.cash()).orderable == bench.money
        assert await broker.sellable(bench.symbol) == bench.shares
        with pytest.raises(Refused):
            await broker.submit(ask(bench.symbol, BUY, 1, bench.price))

    @on_bench
    async def test_whatever_is_asked_only_the_three_errors_come_back_and_the_books_agree(self, bench: Bench) -> None:
        """Many requests, sensible and not, while the market moves; after each the account is sound."""
        broker, refused = bench.broker, 0
        numbers = ["none"]
        for step in range(bench.steps):
            side = SELL if step % 3 == 0 else BUY
            price = bench.price + bench.tick * (step * 7 % 9 - 4)
            number = numbers[step * 5 % len(numbers)]
            symbol = bench.symbol if step % 11 else bench.other
            if step % 4 == 0:
                await bench.offer(symbol, BUY if side is SELL else SELL, price, step % 6 + 1)
            try:
                match step % 5:
                    case 0 | 1 | 2:
                        wanted = ask(symbol, side, step % 13 + 1, price if step % 7 else None)
                        numbers.append((await broker.submit(wanted)).number)
                    case 3:
                        await broker.cancel(number, symbol, step % 4)
                    case _:
                        numbers.append((await broker.modify(number, symbol, step % 6 + 1, price)).number)
            except THREE:
                refused += 1
            lines, cash = await broker.orders(), await broker.cash()
            sound(lines)
            assert 0 <= cash.orderable <= cash.next_2
            on_sale = sum(each.leaves for each in lines if each.side is SELL and each.symbol == bench.symbol)
            (position,) = [each for each in await broker.positions() if each.symbol == bench.symbol]
            assert position.sellable == position.quantity - on_sale >= 0
            bought = sum(each.side.sign * each.filled for each in lines if each.symbol == bench.symbol)
            assert position.quantity == bench.shares + bought
        assert 0 < refused < 0.8 * bench.steps  # the requests were of both kinds
