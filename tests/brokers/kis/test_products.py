"""A stock, an ETF, an ETN and an ELW, each through everything that is first-class, against the emulated servers.

KIS knows an ETN by another code and an ELW in another market; the emulator knows them no other way.
"""

from __future__ import annotations

import asyncio
import datetime as dt
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import numpy as np
import pytest

from quantkit.brokers.kis.assumptions import Assumptions, Heard, Untestable
from quantkit.brokers.kis.catalogue import calls
from quantkit.brokers.kis.client import KisClient, Options
from quantkit.brokers.kis.codes import Environment
from quantkit.brokers.kis.feed import KisFeed
from quantkit.brokers.kis.frames import NOTICES
from quantkit.brokers.kis.history import fill, fill_instruments
from quantkit.brokers.kis.masters import Warrant
from quantkit.brokers.kis.server import Server
from quantkit.brokers.kis.stream import KisStream
from quantkit.cli.emulate import _warrants
from quantkit.data.bars import Bars
from quantkit.data.lake import Lake
from quantkit.emulator.exchange import BarSource, Exchange, random_bars, session_clock
from quantkit.emulator.kis import KisEmulator
from quantkit.emulator.session import SECOND
from quantkit.emulator.sources import Warrant as EmulatedTerms
from quantkit.errors import ConfigError, Refused
from quantkit.live.clock import SocketLoop, VirtualClock, run_virtual
from quantkit.trading.orders import OrderType, Side
from quantkit.trading.ports import Quote, Tick
from tests.brokers.kis.benches import keys_of
from tests.brokers.kis.test_emulated import client_of

NAMES = {"005930": "KOSPI", "069500": "ETF", "500001": "ETN", "58J297": "ELW"}
GROUPS = {"KOSPI": "ST", "ETF": "EF", "ETN": "EN", "ELW": "EW"}
TICKS = {"ETF": 5.0, "ETN": 5.0, "ELW": 5.0}


def _bars() -> Bars:
    """Thirty days of each, on the grid of its market."""
    each = [
        random_bars(seed=place, symbols=[name], sessions_count=30, market=market)
        for place, (name, market) in enumerate(NAMES.items())
    ]
    fields = {
        name: np.hstack([one.field(name) for one in each])
        for name in ("open", "high", "low", "close", "volume", "base")
    }
    return Bars(times=each[0].times, symbols=tuple(NAMES), fields=fields, markets=tuple(NAMES.values()))


BARS = _bars()
DAY = int(BARS.days[25])
CLOCK = session_clock(DAY)


@asynccontextmanager
async def served(
    folder: Path, environment: Environment, *, warrants: Mapping[str, EmulatedTerms] | None = None,
    listen: Heard | None = None,
) -> AsyncIterator[KisClient]:  # fmt: skip
    """A client ten minutes into a session; time stands until somebody waits."""
    exchange = Exchange(BarSource(BARS, start=DAY, tick_seconds=20.0, warrants=warrants))
    async with (
        KisEmulator(exchange, paper=environment is Environment.PAPER, speed=0.0, calls=1_000,
                    start=CLOCK.open + 600 * SECOND) as server,
        client_of(server, folder, environment, listen=listen) as client,
    ):  # fmt: skip
        yield client


@pytest.mark.parametrize("environment", Environment)
@pytest.mark.parametrize(("name", "market"), NAMES.items())
async def test_everything_first_class_serves_it(
    tmp_path: Path, name: str, market: str, environment: Environment
) -> None:
    async with served(tmp_path, environment) as client:
        told = await client.names()
        assert (told[name].market, told[name].group) == (market, GROUPS[market])
        price = await client.price(name)
        assert price.price > 0
        assert price.tick == TICKS.get(market, price.tick) > 0
        book = await client.book(name)
        assert book.bids[0][0] < book.asks[0][0]
        assert (await client.minutes(name, client.today()))[-1].close == price.price
        days = await client.days(name, dt.date(2025, 1, 2), client.today())
        assert len(days) == 26
        assert (await client.buyable(name, price.price)).quantity > 0
        low = price.price - 20 * price.tick
        first = await client.submit(name, Side.BUY, 10, price=low)
        second = await client.modify(first.number, first.branch, None, low + price.tick)
        (line,) = [line for line in await client.orders(symbol=name) if line.leaves]
        assert (line.symbol, line.number, line.price) == (name, second.number, low + price.tick)
        await client.cancel(second.number, second.branch)
        bought = await client.submit(name, Side.BUY, 10, price=price.price + 10 * price.tick)
        await client.clock.sleep_until(client.clock.now_ns() + 60 * SECOND)
        held = {one.symbol: one.quantity for one in (await client.balance()).holdings}
        assert held == {name: 10}
        assert (await client.sellable(name)).sellable == 10
        await client.submit(name, Side.SELL, 10, price=price.price - 10 * price.tick)
        assert {line.number for line in await client.orders()} >= {first.number, second.number, bought.number}
        if environment is Environment.REAL:
            assert (await client.snapshots(list(NAMES)))[name].price > 0
            assert (await client.instrument(name)).group == GROUPS[market]


def streamed(folder: Path, test: Callable[[KisClient, KisStream], Awaitable[None]]) -> None:
    """Run a test with a stream of the real profile, on virtual time."""

    async def main(clock: VirtualClock) -> None:
        exchange = Exchange(BarSource(BARS, start=DAY, tick_seconds=20.0))
        machine = asyncio.get_running_loop().time
        async with KisEmulator(
            exchange, paper=False, calls=10**6, start=clock.now_ns(), beat=0.25, machine=machine
        ) as server:
            client = KisClient(
                keys_of(server, Environment.REAL), clock=clock, folder=folder, options=Options(rate=1_000),
                server=Server.emulated(Environment.REAL, server.rest, server.stream),
            )  # fmt: skip
            async with client:
                stream = KisStream(client, chance=lambda: 0.5)
                await test(client, stream)
                await stream.close()

    run_virtual(main, start=CLOCK.open + 600 * SECOND, loop_type=SocketLoop)


@pytest.mark.parametrize("name", NAMES)
def test_the_stream_tells_its_trades_and_books(tmp_path: Path, name: str) -> None:
    async def test(client: KisClient, stream: KisStream) -> None:
        await client.names()
        feed = KisFeed(client, stream, every=3_600.0)
        await feed.connect()
        await feed.subscribe([name])
        heard: dict[type, Tick | Quote] = {}
        async for item in feed.stream():
            if isinstance(item, Tick) or len(item.bids) > 1:  # a snapshot has one level
                heard[type(item)] = item
            if len(heard) == 2:
                break
        assert {each.symbol for each in heard.values()} == {name}
        assert not [count for count in stream.counts if count.startswith("bad")]
        await feed.close()

    streamed(tmp_path, test)


def test_every_feed_of_the_catalogue_is_acknowledged(tmp_path: Path) -> None:
    wanted = sorted(
        {tr for call in calls().values() if call.kind == "stream" for tr in call.real.values()} - {NOTICES[0]}
    )

    async def test(_client: KisClient, stream: KisStream) -> None:
        ear = await stream.open("records")
        for first in range(0, len(wanted), 40):
            await stream.subscribe(ear, [(each, "005930") for each in wanted[first : first + 40]])

    assert len(wanted) == 59
    streamed(tmp_path, test)


async def test_history_of_all_of_them_lands_with_its_market(tmp_path: Path) -> None:
    async with served(tmp_path, Environment.REAL) as client:
        lake = Lake(tmp_path / "lake")
        report = await fill(client, lake, list(NAMES), start=BARS.index[0].date())
        assert {one.symbol: (one.market, one.came) for one in report.names} == {
            name: (market, 25) for name, market in NAMES.items()
        }
        stored = lake.bars(freq="1d")
        assert dict(zip(stored.symbols, stored.markets, strict=True)) == NAMES
        for name in NAMES:
            column, theirs = stored.symbols.index(name), BARS.symbols.index(name)
            np.testing.assert_array_equal(stored.raw.close[:, column], BARS.raw.close[:25, theirs])


async def test_the_doctor_asks_for_an_elw_of_the_master_files(tmp_path: Path) -> None:
    async with served(tmp_path, Environment.PAPER) as client:
        walk = Assumptions(client, Heard())
        assert await walk.master_files() == (True, "1 KOSPI, 1 ETF, 1 ETN, 1 ELW")
        holds, seen = await walk.elw_market()
        assert (holds, seen[:8]) == (True, "58J297: ")
        assert await walk.lots() == (True, "4 names, 0 otherwise")


@pytest.mark.parametrize(("strike", "underlying", "holds"), [
    (70_000.0, "005930", True), (72_500.5, "KOSPI200", True), (70_000.0, "", False),
])  # fmt: skip
async def test_the_doctor_holds_the_terms_of_an_elw_against_its_price(
    tmp_path: Path, strike: float, underlying: str, holds: bool
) -> None:
    terms = EmulatedTerms(underlyings=(underlying,) if underlying else (), right="call", strike=strike)
    heard = Heard()
    async with served(tmp_path, Environment.PAPER, warrants={"58J297": terms}, listen=heard) as client:
        found = await Assumptions(client, heard).elw_terms()
        assert found == (holds, f"58J297: {strike:g} on {underlying}, its price says {strike:g} on {underlying}")
    async with served(tmp_path, Environment.PAPER, listen=heard) as client:
        with pytest.raises(Untestable, match="with a strike"):
            await Assumptions(client, heard).elw_terms()


async def test_the_terms_of_an_elw_land_with_its_market(tmp_path: Path) -> None:
    terms = EmulatedTerms(
        underlyings=("005930", "000660"), right="put", strike=350.25, barrier=400.0, last_day=dt.date(2027, 3, 11)
    )
    async with served(tmp_path, Environment.REAL, warrants={"58J297": terms}) as client:
        told = (await client.names())["58J297"]
        assert (told.lot, told.base > 0) == (10, True)
        assert told.warrant == Warrant(
            underlyings=("005930", "000660"), right="put", form="knock_out", strike=350.25, barrier=400.0,
            last_day=dt.date(2027, 3, 11),
        )  # fmt: skip
        lake = Lake(tmp_path / "lake")
        assert (await fill_instruments(client, lake)).added == len(NAMES)
        assert (await fill_instruments(client, lake)).replaced == 0
        assert lake.query(
            "select market, underlying, warrant, strike, barrier, delisting from instruments where symbol = '58J297'"
        ).fetchall() == [("ELW", "005930,000660", "put", 350.25, 400.0, dt.date(2027, 3, 12))]
        assert _warrants(lake.path) == {"58J297": terms}  # an emulator over this lake tells the same


async def test_a_code_without_its_market_is_a_name_that_is_not_there(tmp_path: Path) -> None:
    async with served(tmp_path, Environment.REAL) as client:
        for name in ("500001", "58J297"):
            with pytest.raises(Refused, match=r"MCA05918.*ETN.*ELW"):
                await client.price(name)
        with pytest.raises(Refused, match=r"APBK0656.*ETN.*ELW"):
            await client.submit("500001", Side.BUY, 1, price=10_000.0)
        with pytest.raises(ConfigError, match="'etn'"):
            client.learn({"500001": "etn"})


@pytest.mark.parametrize("environment", Environment)
async def test_an_elw_is_ordered_at_a_limit_and_in_lots_of_ten(tmp_path: Path, environment: Environment) -> None:
    async with served(tmp_path, environment) as client:
        await client.names()
        price = (await client.price("58J297")).price
        with pytest.raises(Refused, match="of an ELW a multiple of 10"):
            await client.submit("58J297", Side.BUY, 15, price=price)
        with pytest.raises(Refused, match=r"APBK1943.*of an ELW a limit"):
            await client.submit("58J297", Side.BUY, 10, type=OrderType.MARKET)
        assert await client.orders() == []
