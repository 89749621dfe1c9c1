"""The paper broker as a broker: its latency, its file, the feed it looks on."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from quantkit.brokers.paper import PaperBroker
from quantkit.brokers.paper.store import Store
from quantkit.errors import BadData, ConfigError, Refused, RetryLater
from quantkit.live.clock import VirtualClock, run_virtual
from quantkit.trading.orders import OrderType, Side
from quantkit.trading.ports import Beating, Candle, Feed, InstrumentDay, Lost, Quote, Tick
from tests.brokers.benches import MONEY, OTHER, SYMBOL, TEN, PaperBench, facts
from tests.brokers.contract import ask

BUY, SELL = Side.BUY, Side.SELL


def on_clock(main: Any, **options: Any) -> None:
    """Run `main(bench)` in virtual time, connected."""

    async def run(clock: VirtualClock) -> None:
        bench = PaperBench(clock, **options)
        await bench.broker.connect()
        await main(bench)

    run_virtual(run, start=TEN)


def test_an_order_arrives_half_a_latency_later_and_meets_the_market_of_then() -> None:
    async def main(bench: PaperBench) -> None:
        await bench.offer(SYMBOL, SELL, 70_000.0, 100)
        sending = asyncio.ensure_future(bench.broker.submit(ask(SYMBOL, BUY, 10, 70_000.0)))
        await asyncio.sleep(0.02)
        await bench.offer(SYMBOL, SELL, 70_100.0, 100)  # the market moves while it travels
        ticket = await sending
        assert ticket.time == TEN + 40_000_000
        assert bench.clock.now_ns() == TEN + 80_000_000
        (found,) = await bench.broker.orders()
        assert found.filled == 0

    on_clock(main)


def test_the_account_survives_its_process(tmp_path: Path) -> None:
    state = tmp_path / "deep" / "test.paper.json"

    async def first(bench: PaperBench) -> None:
        broker = bench.broker
        await bench.offer(SYMBOL, SELL, 70_000.0, 4)
        ticket = await broker.submit(ask(SYMBOL, BUY, 10, 70_000.0))
        await broker.submit(ask(SYMBOL, SELL, 5, 71_000.0, type=OrderType.CONDITIONAL))
        again = PaperBroker("test", clock=bench.clock, cash=1, state=state)
        await again.connect()
        assert await again.orders() == await broker.orders()
        assert await again.positions() == await broker.positions()
        assert await again.cash() == await broker.cash()
        again.observe(Tick(SYMBOL, bench.clock.now_ns(), 69_900.0, 100))  # open orders know their names
        later = await again.submit(ask(SYMBOL, BUY, 1, 60_000.0))
        lines = {each.number: each for each in await again.orders()}
        assert (lines[ticket.number].filled, len(lines)) == (10, 3)
        assert later.number in lines
        with pytest.raises(Refused, match="PAPER_SECOND_OWNER"):
            await broker.submit(ask(SYMBOL, BUY, 1, 60_000.0))
        assert len(await broker.orders()) == 2  # what could not be written has not happened

    on_clock(first, state=state)


def test_a_full_disk_takes_the_order_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def main(bench: PaperBench) -> None:
        broker = bench.broker
        kept = await broker.submit(ask(SYMBOL, BUY, 10, 69_900.0))
        before, written = await broker.cash(), (tmp_path / "a.json").read_bytes()

        def full(*_: object) -> None:
            raise OSError(28, "No space left on device")

        with monkeypatch.context() as disk:
            disk.setattr("os.fsync", full)
            with pytest.raises(RetryLater, match="No space"):
                await broker.submit(ask(SYMBOL, BUY, 10, 69_900.0))
            with pytest.raises(RetryLater, match="No space"):
                await bench.trade(SYMBOL, BUY, 69_900.0, 10)
            with pytest.raises(RetryLater, match="No space"):
                await broker.cancel(kept.number, SYMBOL, 10)
        assert (tmp_path / "a.json").read_bytes() == written
        assert [path.name for path in tmp_path.iterdir()] == ["a.json"]
        assert [each.number for each in await broker.orders()] == [kept.number]
        assert await broker.cash() == before
        await bench.trade(SYMBOL, BUY, 69_900.0, 10)
        assert (await broker.orders())[0].filled == 10

    on_clock(main, state=tmp_path / "a.json")


@pytest.mark.parametrize("text", ["", "{", "[]", '{"version": 2}', "{}"])
def test_a_file_that_is_no_account_is_said_to_be_none(tmp_path: Path, text: str) -> None:
    (tmp_path / "a.json").write_text(text)
    with pytest.raises(BadData, match=r"a\.json"):
        Store(tmp_path / "a.json").read()


def test_an_account_of_another_name_or_market_is_refused(tmp_path: Path) -> None:
    async def main(bench: PaperBench) -> None:
        await bench.broker.submit(ask(SYMBOL, BUY, 10, 69_900.0))
        for name, market in (("else", "KOSPI"), ("test", "KOSDAQ")):
            with pytest.raises(ConfigError, match="is the paper account test of KOSPI"):
                PaperBroker(name, clock=bench.clock, cash=1, market=market, state=tmp_path / "a.json")
        assert json.loads((tmp_path / "a.json").read_text())["version"] == 1

    on_clock(main, state=tmp_path / "a.json")


def test_a_connection_that_goes_on_the_way_there_has_sent_nothing() -> None:
    async def main(bench: PaperBench) -> None:
        for request in (bench.broker.submit(ask(SYMBOL, BUY, 1, 69_900.0)), bench.broker.orders()):
            sending = asyncio.ensure_future(request)
            await asyncio.sleep(0.01)
            await bench.broker.connect()
            with pytest.raises(RetryLater, match="before the request arrived"):
                await sending
        asking = asyncio.ensure_future(bench.broker.orders())
        await asyncio.sleep(0.06)
        await bench.broker.close()
        with pytest.raises(RetryLater, match="before the answer"):
            await asking
        with pytest.raises(RetryLater, match="not connected"):
            await anext(aiter(bench.broker.notices()))
        await bench.broker.connect()
        assert await bench.broker.orders() == []

    on_clock(main)


class Prices:
    """A feed of a few items."""

    def __init__(self, items: Sequence[Tick | Quote]) -> None:
        self.items, self.calls = items, list[str]()

    async def connect(self) -> None:
        self.calls.append("connect")

    async def close(self) -> None:
        self.calls.append("close")

    async def subscribe(self, symbols: Sequence[str]) -> None:
        self.calls.append(f"subscribe {len(symbols)}")

    async def stream(self) -> AsyncIterator[Tick | Quote]:
        for item in self.items:
            yield item

    async def candles(self, symbol: str, freq: str, since: int, until: int) -> Sequence[Candle]:
        return ()

    async def day(self, symbols: Sequence[str]) -> Sequence[InstrumentDay]:
        self.calls.append(f"day {symbols[0]}")
        return [facts(symbol) for symbol in symbols if symbol != "999999"]


class Alive(Prices):
    """One whose connection gives signs of life."""

    def heard(self) -> int:
        return 7

    def lost(self) -> Sequence[Lost]:
        return [Lost((SYMBOL,), 1, 2)]

    def counts(self) -> Mapping[str, int]:
        return {"frames": 3}


def test_a_watched_feed_is_as_alive_as_what_it_watches() -> None:
    async def main(bench: PaperBench) -> None:
        feed = PaperBroker("test", clock=bench.clock, cash=MONEY).watch(Alive([]))
        assert isinstance(feed, Beating)
        assert (feed.heard(), feed.lost(), feed.counts()) == (7, [Lost((SYMBOL,), 1, 2)], {"frames": 3})

    on_clock(main)


def test_the_broker_sees_what_the_engine_sees_and_before_it() -> None:
    async def main(bench: PaperBench) -> None:
        broker = PaperBroker("test", clock=bench.clock, cash=MONEY, share=1.0, chance=lambda: 0.0)
        source = Prices([Tick(SYMBOL, TEN, 69_900.0, 100)])
        feed = broker.watch(source)
        assert isinstance(feed, Feed)
        assert not isinstance(feed, Beating)
        await broker.connect()
        await feed.connect()
        await feed.subscribe([SYMBOL])
        await broker.submit(ask(SYMBOL, BUY, 10, 70_000.0))  # it asks about the name itself
        async for item in feed.stream():
            assert item is source.items[0]
            assert broker.desk.lines()[0].filled == 10
        assert await feed.candles(SYMBOL, "1m", 0, 1) == ()
        await feed.day([OTHER])
        assert set(broker.desk.sights) == {SYMBOL, OTHER}
        with pytest.raises(Refused, match="UNKNOWN_SYMBOL"):
            await broker.submit(ask("999999", BUY, 10, 70_000.0))
        await feed.close()
        assert source.calls == ["connect", "subscribe 1", f"day {SYMBOL}", f"day {OTHER}", "day 999999", "close"]

    on_clock(main)
