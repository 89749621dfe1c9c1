"""The ports on the exchange, on virtual time, with and without faults."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import suppress

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from quantkit.emulator.candles import candles
from quantkit.emulator.exchange import BarSource, Exchange, random_bars
from quantkit.emulator.faults import Fault, FaultKind, FaultPlan
from quantkit.emulator.feed import EmulatedFeed
from quantkit.emulator.port import EmulatedBroker
from quantkit.emulator.session import SECOND, seoul, session_clock
from quantkit.errors import ConfigError, OutcomeUnknown, Refused, RetryLater
from quantkit.live.clock import VirtualClock, run_virtual
from quantkit.market.costs import Costs
from quantkit.trading.approval import Approved, approve
from quantkit.trading.orders import Intent, OrderType, Side, Window, new_order
from quantkit.trading.ports import Broker, Capabilities, Feed, Notice, Quote, Tick
from tests.emulator.markets import MINUTE, SYMBOL, exchange

K = FaultKind
LIMIT, MARKET = OrderType.LIMIT, OrderType.MARKET
Play = Callable[[Exchange, EmulatedBroker, VirtualClock], Awaitable[None]]


def order(
    side: Side = Side.BUY, quantity: int = 10, price: float | None = None, symbol: str = SYMBOL, number: int = 0
) -> Approved:
    intent = Intent(
        id=f"t:1:{number}", deployment="t", symbol=symbol, side=side, quantity=quantity, price=price,
        type=MARKET if price is None else LIMIT, window=Window("continuous", 0, 2**62),
    )  # fmt: skip
    return approve(new_order(intent))


def run(
    play: Play, *faults: Fault, after_open: int = MINUTE, shares: int = 100, capabilities: Capabilities | None = None
) -> None:
    """A day of one name from `after_open` nanoseconds after its open, with a connected broker."""
    made, clock = exchange(shares=shares)
    start = clock.open + after_open

    async def main(time: VirtualClock) -> None:
        more = {} if capabilities is None else {"capabilities": capabilities}
        broker = EmulatedBroker(made, "a", FaultPlan(faults), now=time.now_ns, **more)  # type: ignore[arg-type]
        await broker.connect()
        await play(made, broker, time)
        await broker.close()

    run_virtual(main, start=start)


async def hear(broker: EmulatedBroker, seconds: float) -> list[Notice]:
    """What the order stream says for a while."""
    heard: list[Notice] = []

    async def listen() -> None:
        async for notice in broker.notices():
            heard.append(notice)  # noqa: PERF401 - what came before the time was up is kept

    with suppress(TimeoutError):
        await asyncio.wait_for(listen(), seconds)
    return heard


def test_the_ports_are_filled() -> None:
    async def play(made: Exchange, broker: EmulatedBroker, time: VirtualClock) -> None:
        assert isinstance(broker, Broker)
        assert isinstance(EmulatedFeed(made, now=time.now_ns), Feed)

    run(play)


def test_an_order_is_taken_filled_and_told_of() -> None:
    async def play(made: Exchange, broker: EmulatedBroker, time: VirtualClock) -> None:
        ticket = await broker.submit(order())
        (line,) = await broker.orders()
        assert (line.number, line.status, line.filled) == (ticket.number, "filled", 10)
        heard = await hear(broker, 5)
        assert [notice.kind for notice in heard] == ["accepted", "filled"]
        assert (heard[1].cumulative, heard[1].quantity) == (10, 10)
        assert heard[1].execution is not None
        (position,) = await broker.positions()
        assert (position.quantity, position.sellable) == (110, 110)
        cash = await broker.cash()
        assert cash.orderable == 100_000_000 - line.value == await broker.orderable_cash(SYMBOL, None)
        assert cash.today == 100_000_000
        assert await broker.sellable(SYMBOL) == 110
        assert ticket.time <= time.now_ns()

    run(play)


def test_a_resting_order_fills_while_nobody_asks() -> None:
    async def play(made: Exchange, broker: EmulatedBroker, time: VirtualClock) -> None:
        best = made.quote(SYMBOL).bids[0][0]
        ticket = await broker.submit(order(price=made.issues[SYMBOL].grid.down(best, 5)))
        heard = await hear(broker, 6 * 3600)
        kinds = [notice.kind for notice in heard if notice.number == ticket.number]
        assert kinds[0] == "accepted"
        assert kinds[-1] in ("filled", "expired")
        late = [notice.time for notice in heard]
        assert late == sorted(late)

    run(play)


def test_cancel_and_modify() -> None:
    async def play(made: Exchange, broker: EmulatedBroker, time: VirtualClock) -> None:
        ticket = await broker.submit(order(price=9_000.0))
        new = await broker.modify(ticket.number, SYMBOL, 10, 9_010.0)
        assert new.number != ticket.number
        await broker.cancel(new.number, SYMBOL, 10)
        with pytest.raises(Refused) as caught:
            await broker.cancel(new.number, SYMBOL, 10)
        assert caught.value.code == "NOTHING_LEFT"
        old, line = await broker.orders()
        assert (old.status, line.status, line.original, line.price) == ("canceled", "canceled", old.number, 9_010.0)
        assert [notice.kind for notice in await hear(broker, 5)] == ["accepted", "replaced", "canceled"]

    run(play)


def test_a_broker_tells_no_more_than_it_can() -> None:
    async def play(made: Exchange, broker: EmulatedBroker, time: VirtualClock) -> None:
        await broker.submit(order())
        assert all(notice.execution is None and notice.cumulative is None for notice in await hear(broker, 5))
        assert (await broker.orders())[0].tag == "t:1:0"

    run(play, capabilities=Capabilities(name="plain", caller_tag=True))


@pytest.mark.parametrize(
    ("kind", "error", "stands"),
    [
        (K.REQUEST_LOST, OutcomeUnknown, False),
        (K.ANSWER_LOST, OutcomeUnknown, True),
        (K.GARBAGE, OutcomeUnknown, True),
        (K.RATE_LIMITED, OutcomeUnknown, False),
        (K.TOKEN_EXPIRED, RetryLater, False),
        (K.SERVER_ERROR, OutcomeUnknown, None),
        (K.REQUEST_LATE, OutcomeUnknown, True),
        (K.ANSWER_LATE, OutcomeUnknown, True),
    ],
)
def test_faults_on_the_way_of_an_order(kind: FaultKind, error: type[Exception], stands: bool | None) -> None:
    async def play(made: Exchange, broker: EmulatedBroker, time: VirtualClock) -> None:
        began = time.now_ns()
        with pytest.raises(error):
            await broker.submit(order())
        assert time.now_ns() - began <= 5 * SECOND + 1  # a request ends with its timeout
        there = len(made.orders("a"))
        await asyncio.sleep(60)
        arrived = await broker.orders()
        if stands is not None:
            assert bool(arrived) is stands
        if kind is K.REQUEST_LATE:
            assert there == 0  # it came when nobody waited for it any more

    run(play, Fault(kind, on=("submit",), nth=(1,), seconds=(20.0, 20.0)))


@pytest.mark.parametrize("kind", [K.REQUEST_LOST, K.ANSWER_LOST, K.GARBAGE, K.RATE_LIMITED, K.SERVER_ERROR])
def test_a_read_that_fails_may_be_tried_later(kind: FaultKind) -> None:
    async def play(made: Exchange, broker: EmulatedBroker, time: VirtualClock) -> None:
        for read in (broker.orders, broker.positions, broker.cash):
            with pytest.raises(RetryLater):
                await read()

    run(play, Fault(kind, on=("orders", "positions", "cash"), probability=1.0))


def test_a_slow_answer_within_the_timeout_is_an_answer() -> None:
    async def play(made: Exchange, broker: EmulatedBroker, time: VirtualClock) -> None:
        began = time.now_ns()
        await broker.submit(order())
        assert 3 * SECOND <= time.now_ns() - began <= 4 * SECOND

    run(play, Fault(K.ANSWER_LATE, on=("submit",), nth=(1,), seconds=(3.0, 3.0)))


def test_a_missing_page_is_no_look() -> None:
    async def play(made: Exchange, broker: EmulatedBroker, time: VirtualClock) -> None:
        with pytest.raises(RetryLater, match="page"):
            await broker.orders()
        assert list(await broker.orders()) == []

    run(play, Fault(K.PAGE_MISSING, on=("orders",), nth=(1,)))


def test_lists_and_snapshots_may_be_old() -> None:
    async def play(made: Exchange, broker: EmulatedBroker, time: VirtualClock) -> None:
        await broker.submit(order())
        assert list(await broker.orders()) == []
        assert (await broker.positions())[0].quantity == 100
        assert (await broker.cash()).orderable == 100_000_000
        await asyncio.sleep(31)
        assert (await broker.orders())[0].filled == 10
        assert (await broker.positions())[0].quantity == 110

    run(play, *(Fault(kind, probability=1.0, seconds=(30.0, 30.0)) for kind in (K.LIST_LAGS, K.STALE_SNAPSHOT)))


def test_notices_are_doubled_dropped_and_reordered() -> None:
    async def play(made: Exchange, broker: EmulatedBroker, time: VirtualClock) -> None:
        await broker.submit(order(price=9_000.0, number=1))  # accepted: twice
        second = await broker.submit(order(price=9_010.0, number=2))  # accepted: not told
        third = await broker.submit(order(price=9_020.0, number=3))  # accepted: after what follows
        await broker.cancel(third.number, SYMBOL, 10)
        heard = [(notice.kind, notice.number) for notice in await hear(broker, 30)]
        assert heard[0] == heard[1]
        assert ("accepted", second.number) not in heard
        assert heard[2:] == [("canceled", third.number), ("accepted", third.number)]

    run(
        play, Fault(K.NOTICE_DUPLICATED, nth=(1,)), Fault(K.NOTICE_MISSING, on=("notice",), nth=(2,)),
        Fault(K.NOTICE_REORDERED, nth=(3,), seconds=(5.0, 5.0)),
    )  # fmt: skip


def test_a_late_notice_holds_up_those_behind_it() -> None:
    async def play(made: Exchange, broker: EmulatedBroker, time: VirtualClock) -> None:
        await broker.submit(order())
        began = time.now_ns()
        assert await hear(broker, 9) == []
        assert [notice.kind for notice in await hear(broker, 3)] == ["accepted", "filled"]
        assert time.now_ns() - began == 12 * SECOND

    run(play, Fault(K.NOTICE_LATE, nth=(1,), seconds=(10.0, 10.0)))


def test_a_fill_may_be_heard_before_the_order_is_acknowledged() -> None:
    async def play(made: Exchange, broker: EmulatedBroker, time: VirtualClock) -> None:
        best = made.quote(SYMBOL).bids[0][0]
        sent = asyncio.create_task(broker.submit(order(price=best, quantity=1)))
        heard = await hear(broker, 1)
        assert not sent.done()
        assert [notice.kind for notice in heard] == ["filled"]
        await sent
        assert [notice.kind for notice in await hear(broker, 5)] == ["accepted"]

    run(play, Fault(K.FILL_FIRST, nth=(1,), seconds=(2.0, 2.0)))


def test_a_cancel_may_find_the_order_filled() -> None:
    async def play(made: Exchange, broker: EmulatedBroker, time: VirtualClock) -> None:
        best = made.quote(SYMBOL).bids[0][0]
        ticket = await broker.submit(order(price=best, quantity=1))
        with pytest.raises(Refused) as caught:
            await broker.cancel(ticket.number, SYMBOL, 1)
        assert caught.value.code == "NOTHING_LEFT"
        assert (await broker.orders())[0].filled == 1

    run(play, Fault(K.CANCEL_RACES_FILL, nth=(1,)))


def test_a_stalled_stream_says_all_of_it_later() -> None:
    async def play(made: Exchange, broker: EmulatedBroker, time: VirtualClock) -> None:
        await asyncio.sleep(2)
        await broker.submit(order())
        assert await hear(broker, 20) == []
        assert [notice.kind for notice in await hear(broker, 60)] == ["accepted", "filled"]

    run(play, Fault(K.SOCKET_STALL, on=("notices",), nth=(2,), seconds=(30.0, 30.0)))


def test_a_broken_stream_has_to_be_opened_again_and_says_nothing_of_the_time_between() -> None:
    async def play(made: Exchange, broker: EmulatedBroker, time: VirtualClock) -> None:
        with pytest.raises(RetryLater):
            await hear(broker, 60)
        with pytest.raises(RetryLater):
            await broker.orders()
        made.submit("a", SYMBOL, Side.BUY, 1, type=MARKET)
        await broker.connect()
        assert broker.generation == 2
        await broker.submit(order())
        heard = await hear(broker, 10)
        assert [(notice.kind, notice.quantity) for notice in heard] == [("accepted", 10), ("filled", 10)]
        assert {notice.generation for notice in heard} == {2}

    run(play, Fault(K.SOCKET_DROP, on=("notices",), nth=(3,)))


def test_a_stream_ends_quietly_when_we_leave() -> None:
    async def play(made: Exchange, broker: EmulatedBroker, time: VirtualClock) -> None:
        heard = asyncio.create_task(hear(broker, 60))
        await asyncio.sleep(1)
        await broker.close()
        assert await heard == []

    run(play)


def test_a_skewed_clock_is_in_everything_the_broker_says() -> None:
    async def play(made: Exchange, broker: EmulatedBroker, time: VirtualClock) -> None:
        ticket = await broker.submit(order())
        heard = await hear(broker, 5)
        for said in (ticket.time, (await broker.orders())[0].time, heard[0].time):
            assert said == made.desk.placed[1].time + 3 * SECOND

    run(play, Fault(K.CLOCK_SKEW, seconds=(3.0, 3.0)))


# --- the feed ---------------------------------------------------------------------------------------------------------


def watch_day(*faults: Fault, levels: int = 0) -> tuple[Exchange, list[Tick | Quote], list[str]]:
    """A whole day of one name heard over a feed that is opened again whenever it breaks."""
    made, clock = exchange()
    heard: list[Tick | Quote] = []
    broke: list[str] = []

    async def listen(feed: EmulatedFeed) -> None:
        while True:
            try:
                await feed.connect()
                await feed.subscribe([SYMBOL])
                async for item in feed.stream():
                    heard.append(item)  # noqa: PERF401 - what came before it broke is kept
                return
            except RetryLater as error:
                broke.append(str(error))
                await asyncio.sleep(5)

    async def main(time: VirtualClock) -> None:
        feed = EmulatedFeed(made, FaultPlan(faults), now=time.now_ns, levels=levels)
        task = asyncio.create_task(listen(feed))
        await time.sleep_until(clock.close + 5 * MINUTE)
        await feed.close()
        await task

    run_virtual(main, start=clock.orders - MINUTE)
    return made, heard, broke


def test_a_feed_tells_every_trade_and_what_calls_would_print() -> None:
    made, heard, broke = watch_day(levels=3)
    ticks = [item for item in heard if isinstance(item, Tick)]
    assert [(tick.time, tick.price, tick.volume) for tick in ticks] == made.issues[SYMBOL].trades()
    assert {tick.generation for tick in ticks} == {1}
    expected = [item for item in heard if isinstance(item, Quote) and item.expected is not None]
    assert len(expected) > 100  # every ten seconds of forty minutes
    books = [item for item in heard if isinstance(item, Quote) and item.bids and item.asks]
    assert all(book.bids[0][0] < book.asks[0][0] and len(book.asks) <= 3 for book in books)
    assert not broke


def test_a_feed_that_breaks_misses_what_happened_until_it_is_opened_again() -> None:
    made, heard, broke = watch_day(Fault(K.SOCKET_DROP, on=("prices",), since="10:00", until="10:05"))
    ticks = [item for item in heard if isinstance(item, Tick)]
    assert broke
    assert not [tick for tick in ticks if "10:00:01" <= seoul(tick.time) < "10:05:00"]
    assert {tick.generation for tick in ticks} == {1, max(tick.generation for tick in ticks)}
    assert made.issues[SYMBOL].trades()[-1][0] == ticks[-1].time


def test_a_feed_may_lose_trades_of_a_name() -> None:
    made, heard, _ = watch_day(Fault(K.NOTICE_MISSING, on=("tick",), probability=0.5))
    ticks = sum(isinstance(item, Tick) for item in heard)
    assert 0.3 < ticks / len(made.issues[SYMBOL].trades()) < 0.7


def test_a_feed_serves_no_more_names_than_it_can() -> None:
    async def play(made: Exchange, broker: EmulatedBroker, time: VirtualClock) -> None:
        feed = EmulatedFeed(made, now=time.now_ns, limit=1)
        with pytest.raises(RetryLater):
            await feed.subscribe([SYMBOL])
        await feed.connect()
        with pytest.raises(ConfigError, match="serves 1"):
            await feed.subscribe([SYMBOL, "000660"])
        assert [day.symbol for day in await feed.day([SYMBOL, "000660"])] == [SYMBOL]
        await feed.close()

    run(play)


def test_candles_are_what_traded_ours_too() -> None:
    row = (10_000, 10_200, 9_900, 10_100, 1_000_000)
    made, clock = exchange(row, row)
    made.advance(clock.open + 10 * MINUTE)
    made.submit("a", SYMBOL, Side.BUY, 777, type=MARKET)
    made.advance(clock.close + 5 * MINUTE)
    trades = made.issues[SYMBOL].trades()
    until = made.now
    for _ in range(2):  # today, and seen from the next day
        bars = candles(made, SYMBOL, "1m", clock.orders, until)
        assert sum(bar.volume for bar in bars) == sum(shares for _, _, shares in trades) == 1_000_777
        assert bars[0].close_time == clock.open + MINUTE
        assert (bars[0].open, bars[-1].close) == (10_000, 10_100)
        (day,) = candles(made, SYMBOL, "1d", clock.orders, until)
        assert (day.open, day.close, day.volume, day.close_time) == (10_000, 10_100, 1_000_777, clock.close)
        made.advance(session_clock(made.source.days()[1]).orders)
    ended = candles(made, SYMBOL, "1m", clock.open, clock.open + 5 * MINUTE)
    assert all(clock.open < bar.close_time <= clock.open + 5 * MINUTE for bar in ended)


# --- everything at once -----------------------------------------------------------------------------------------------


async def trade_a_day(
    made: Exchange, broker: EmulatedBroker, time: VirtualClock, until: int, seen: Counter[str]
) -> None:
    """Orders, cancels and looks as fast as answers come; only the three errors of the port are caught."""
    number = 0
    numbers: list[tuple[str, str]] = []
    while time.now_ns() < until:
        number += 1
        symbol = made.source.symbols[number % len(made.source.symbols)]
        issue = made.issues[symbol]
        price = None if number % 3 else issue.grid.floor(issue.last)
        try:
            if not broker.connected:
                await broker.connect()
            match number % 6:
                case 4 if numbers:
                    await broker.cancel(*numbers.pop(), 1)
                case 5 if numbers:
                    await broker.modify(*numbers.pop(), 5, issue.grid.floor(issue.last))
                case _:
                    side = Side.SELL if number % 5 == 0 else Side.BUY
                    ticket = await broker.submit(order(side, 7, price, symbol, number))
                    numbers.append((ticket.number, symbol))
            await broker.orders()
            await broker.positions()
            await broker.cash()
        except (Refused, RetryLater, OutcomeUnknown) as error:
            seen[type(error).__name__] += 1
        await asyncio.sleep(20)


def storm(seed: int) -> tuple[Exchange, Counter[str], FaultPlan]:
    bars = random_bars(seed=seed, symbols=3, sessions_count=1)
    made = Exchange(BarSource(bars, seed=seed, tick_seconds=30), seed=seed, costs=Costs.kiwoom())
    made.open_account("a", 50_000_000, shares=dict.fromkeys(bars.symbols, 200))
    clock = session_clock(made.source.days()[0])
    made.advance(clock.orders)
    plan, seen = FaultPlan.storm(seed, rate=0.1), Counter[str]()

    async def listen(broker: EmulatedBroker) -> None:
        while True:
            try:
                async for notice in broker.notices():
                    seen[notice.kind] += 1
                    assert notice.generation == broker.generation
            except RetryLater:
                seen["stream"] += 1
            await asyncio.sleep(3)

    async def main(time: VirtualClock) -> None:
        broker = EmulatedBroker(made, "a", plan, now=time.now_ns)
        task = asyncio.create_task(listen(broker))
        await trade_a_day(made, broker, time, clock.open + 3600 * SECOND, seen)
        await time.sleep_until(clock.close + 5 * MINUTE)
        made.advance(time.now_ns())
        assert not task.done()
        task.cancel()
        await broker.close()

    run_virtual(main, start=clock.orders + MINUTE)
    return made, seen, plan


@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(seed=st.integers(0, 10_000))
def test_in_a_storm_only_the_three_errors_come_and_the_books_stay_right(seed: int) -> None:
    made, seen, plan = storm(seed)
    account = made.desk.account("a")
    assert set(seen) & {"RetryLater", "OutcomeUnknown"}
    assert sum(plan.injected.values()) > 20
    assert account.total + account.fees + account.taxes + made.desk.crowd.total == 50_000_000
    assert account.bound_cash == 0
    assert all(order.leaves == 0 for order in account.orders.values())
    assert all(held >= 0 for held in account.shares.values())


def test_a_storm_repeats_itself() -> None:
    once, again = storm(11), storm(11)
    assert once[1] == again[1]
    assert once[0].orders("a") == again[0].orders("a")
