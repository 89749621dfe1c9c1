"""Our Feed port over KIS: what is registered, what snapshots tell, what charts become."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from functools import partial
from pathlib import Path

import pytest

from quantkit.brokers.kis.charts import day_candle, minute_candles, session_close
from quantkit.brokers.kis.codes import Environment
from quantkit.brokers.kis.feed import KisFeed, _instrument
from quantkit.brokers.kis.figures import moment
from quantkit.brokers.kis.limiter import SECOND
from quantkit.brokers.kis.quotes import Day, Minute, price_of
from quantkit.errors import Bug, ConfigError, RetryLater
from quantkit.market import krx
from quantkit.trading.ports import Beating, Candle, Feed, Quote, Tick
from tests.brokers.kis.conftest import START
from tests.brokers.kis.frames import frame, trade
from tests.brokers.kis.server import Asked, Reply, done, refused
from tests.brokers.kis.sockets import Bench, listen, streaming, until

QUOTES = "/uapi/domestic-stock/v1/quotations/"
TODAY = dt.date(2026, 1, 5)
MINUTE = 60 * SECOND
Opened = Callable[..., AbstractAsyncContextManager[Bench]]


@pytest.fixture
def opened(tmp_path: Path) -> Opened:
    """Open a bench inside a test's own loop."""
    return partial(streaming, tmp_path)


def snapshots(bench: Bench, told: dict[str, tuple[int, int]]) -> None:
    """Answer with a price and a volume a name."""

    def answer(asked: Asked) -> Reply:
        names = [value for name, value in asked.query.items() if name.startswith("FID_INPUT_ISCD")]
        rows = [
            {"inter_shrn_iscd": name, "inter2_prpr": str(told[name][0]), "acml_vol": str(told[name][1]),
             "inter2_bidp": "69900", "shnu_rsqn": "5", "inter2_askp": "70000", "seln_rsqn": "7",
             "inter2_prdy_clpr": "69000", "inter2_sdpr": "68900"}
            for name in names if name in told
        ]  # fmt: skip
        return Reply(done(output=rows))

    bench.kis.at("GET", f"{QUOTES}intstock-multprice", "FHKST11300006", answer)


async def connected(bench: Bench, **options: float) -> KisFeed:
    feed = KisFeed(bench.client, bench.stream, **options)  # type: ignore[arg-type]
    assert isinstance(feed, Feed)
    assert isinstance(feed, Beating)
    await feed.connect()
    assert feed.heard() == bench.clock.now
    return feed


async def test_trades_come_before_books_and_books_take_what_is_left(opened: Opened) -> None:
    async with opened(Environment.PAPER, slots=6, markets={"500001": "ETN"}) as bench:
        feed = await connected(bench)
        assert (feed.slots, feed.at_once) == (5, 0)
        await feed.subscribe(["005930", "000660", "500001"])
        assert [each[1:] for each in bench.sockets.asked[1:]] == [
            ("H0STCNT0", "005930"), ("H0STCNT0", "000660"), ("H0STCNT0", "Q500001"),
            ("H0STASP0", "005930"), ("H0STASP0", "000660"),
        ]  # fmt: skip
        await bench.sockets.say(frame("H0STCNT0", trade(symbol="Q500001")))
        (tick,) = await listen(feed.stream(), 1)
        assert (tick.symbol, tick.generation) == ("500001", 1)


async def test_an_elw_has_a_feed_of_its_own(opened: Opened) -> None:
    async with opened(markets={"58J297": "ELW"}) as bench:
        snapshots(bench, {})
        feed = await connected(bench)
        await feed.subscribe(["58J297"])
        assert [each[1:] for each in bench.sockets.asked[1:]] == [("H0EWCNT0", "58J297"), ("H0EWASP0", "58J297")]
    async with opened(Environment.PAPER, markets={"58J297": "ELW"}) as bench:
        feed = await connected(bench)
        with pytest.raises(ConfigError, match="no ELW"):
            await feed.subscribe(["58J297"])


async def test_more_names_than_can_be_served_are_refused_with_the_numbers(opened: Opened) -> None:
    names = [f"{k:06d}" for k in range(41)]
    async with opened(Environment.PAPER) as bench:
        feed = await connected(bench)
        with pytest.raises(ConfigError, match=r"41 names are asked for: KIS streams 40.*for the other 1"):
            await feed.subscribe(names)
    async with opened() as bench:
        feed = await connected(bench, every=2.0)
        bench.client.wire.limiter.rate = 1
        with pytest.raises(ConfigError, match=r"41 names.*KIS streams 40.*30 names, 1\.0 a second, tell 30 every 2 s"):
            await feed.subscribe(names)
        with pytest.raises(ConfigError, match="venue"):
            KisFeed(bench.client, bench.stream, venue="NYSE")


async def test_snapshots_tell_quotes_of_all_and_trades_of_those_not_streamed(opened: Opened) -> None:
    async with opened(slots=2) as bench:
        told = {"005930": (70_000, 100), "000660": (50_000, 40)}
        snapshots(bench, told)
        feed = await connected(bench)
        await feed.subscribe(["005930", "000660"])
        items = feed.stream()
        first = await listen(items, 2)
        assert first == [Quote(name, START, ((69_900.0, 5),), ((70_000.0, 7),), 1) for name in told]
        told["000660"] = (50_100, 47)
        told["005930"] = (70_100, 130)  # the stream tells of these
        edge = START + 10 * SECOND
        await until(lambda: 10.2 in bench.clock.pending())
        bench.clock.pass_(10.2)
        heard = await listen(feed.stream(), 3)
        assert [item for item in heard if isinstance(item, Tick)] == [Tick("000660", edge - 1, 50_100.0, 7, 1)]
        bench.kis.at("GET", f"{QUOTES}intstock-multprice", "FHKST11300006", Reply(refused("MCA99999", "no")))
        await until(lambda: 10.0 in bench.clock.pending())
        bench.clock.pass_(10.0)
        await until(lambda: bench.stream.counts["snapshots Refusal"] == 1)
        snapshots(bench, told | {"000660": (50_200, 50)})
        await until(lambda: 10.0 in bench.clock.pending())
        bench.clock.pass_(10.0)
        assert Tick("000660", edge + 20 * SECOND - 1, 50_200.0, 3, 1) in await listen(feed.stream(), 3)


async def test_snapshots_that_end_end_the_connection(opened: Opened, monkeypatch: pytest.MonkeyPatch) -> None:
    async with opened() as bench:
        feed = await connected(bench)

        async def broken(*_: object, **__: object) -> None:
            raise Bug("of a test")

        monkeypatch.setattr(bench.client, "snapshots", broken)
        await feed.subscribe(["005930"])
        await until(lambda: bench.stream.counts["snapshots Bug"] == 1)  # counted, and asked for again
        assert bench.stream.connection is not None
        snapshots(bench, {"005930": (1, 1)})
        monkeypatch.undo()
        monkeypatch.setattr(KisFeed, "_items", property(lambda _: 1 / 0))
        looking = feed._looking
        await until(lambda: 10.2 in bench.clock.pending())
        bench.clock.pass_(10.2)
        with pytest.raises(RetryLater, match="snapshots have ended"):
            await listen(feed.stream(), 1)
        assert looking is not None
        await until(looking.done)
        assert isinstance(looking.exception(), ZeroDivisionError)


async def test_a_generation_is_never_below_the_number_of_attempts(opened: Opened) -> None:
    async with opened() as bench:
        snapshots(bench, {"005930": (1, 1)})
        orders = await bench.stream.open("orders")  # the connection stands when prices come to it
        feed = KisFeed(bench.client, bench.stream)
        bench.sockets.refuse["H0STCNT0"] = ["OPSP0007"]
        await feed.connect()
        with pytest.raises(RetryLater):
            await feed.subscribe(["005930"])
        assert orders.connection.why is not None
        await feed.close()
        bench.clock.pass_(10.0)
        await feed.connect()
        await feed.subscribe(["005930"])
        await bench.sockets.say(frame("H0STCNT0", trade()))
        ticks = [item for item in await listen(feed.stream(), 2) if isinstance(item, Tick)]
        assert [tick.generation for tick in ticks] == [2]


async def test_without_a_connection_nothing_is_asked(opened: Opened) -> None:
    async with opened() as bench:
        feed = KisFeed(bench.client, bench.stream)
        with pytest.raises(RetryLater, match="not connected"):
            await feed.subscribe(["005930"])
        with pytest.raises(RetryLater, match="not connected"):
            await anext(aiter(feed.stream()))
        assert feed.heard() == 0
        await feed.close()
        assert not bench.kis.asked


# --- charts -----------------------------------------------------------------------------------------------------------


def minute(clock: str, close: float, volume: int, value: int) -> dict[str, str]:
    price = str(round(close))
    return {"stck_bsop_date": f"{TODAY:%Y%m%d}", "stck_cntg_hour": clock, "stck_prpr": price, "stck_oprc": price,
            "stck_hgpr": price, "stck_lwpr": price, "cntg_vol": str(volume), "acml_tr_pbmn": str(value)}  # fmt: skip


async def test_minutes_become_bars_that_are_over(opened: Opened) -> None:
    async with opened() as bench:
        bench.clock.now = START + 30 * SECOND  # 10:00:30
        rows = [minute("100000", 104, 4, 1_600), minute("095900", 103, 0, 1_200), minute("095800", 102, 2, 1_200),
                minute("095700", 101, 1, 1_000)]  # fmt: skip
        bench.kis.at("GET", f"{QUOTES}inquire-time-itemchartprice", "FHKST03010200", Reply(done(output2=rows)))
        feed = KisFeed(bench.client, bench.stream)
        found = await feed.candles("005930", "1m", START - 2 * MINUTE, START + MINUTE)
        assert found == [Candle("005930", START - MINUTE, 102.0, 102.0, 102.0, 102.0, 2, 200.0),
                         Candle("005930", START, 103.0, 103.0, 103.0, 103.0, 0, 0.0)]  # fmt: skip
        assert await feed.candles("005930", "1m", START - MINUTE, START) == [found[1]]
        with pytest.raises(ConfigError, match="freq='5m'"):
            await feed.candles("005930", "5m", 0, START)


async def test_the_closing_print_belongs_to_the_last_minute_and_is_told_a_minute_later(opened: Opened) -> None:
    close = session_close(TODAY)
    assert close is not None
    async with opened() as bench:
        rows = [minute("153000", 110, 9, 2_000), minute("151900", 108, 3, 1_000)]
        bench.kis.at("GET", f"{QUOTES}inquire-time-itemchartprice", "FHKST03010200", Reply(done(output2=rows)))
        feed = KisFeed(bench.client, bench.stream)
        bench.clock.now = close + 10 * SECOND
        early = await feed.candles("005930", "1m", close - 20 * MINUTE, close - MINUTE)
        with pytest.raises(RetryLater, match="closing print"):
            await feed.candles("005930", "1m", close - 20 * MINUTE, close)
        bench.clock.now = close + MINUTE
        later = await feed.candles("005930", "1m", close - 20 * MINUTE, close)
        assert [candle.close_time for candle in early] == [close - 10 * MINUTE]
        assert [(candle.close_time, candle.volume, candle.value) for candle in later] == [
            (close - 10 * MINUTE, 3, None), (close, 9, 1_000.0)
        ]  # fmt: skip


def test_a_venue_that_trades_on_has_no_last_minute_at_the_close() -> None:
    at = moment(TODAY, "153000")
    row = Minute(time=at, open=1.0, high=1.0, low=1.0, close=1.0, volume=1, value_so_far=1)
    assert [c.close_time - at for c in minute_candles("005930", [row])] == [0]
    assert [c.close_time - at for c in minute_candles("005930", [row], after_hours=True)] == [MINUTE]


def test_a_day_ends_with_its_session() -> None:
    row = Day(date=TODAY, open=1.0, high=4.0, low=0.5, close=2.0, volume=7, value=9, change=0.0, ex_code="00",
              split_ratio=0.0, restated=False, restated_for="")  # fmt: skip
    assert day_candle("005930", row) == Candle("005930", session_close(TODAY) or 0, 1.0, 4.0, 0.5, 2.0, 7, 9.0)
    assert session_close(dt.date(2026, 1, 4)) is None


async def test_today_s_bar_is_told_when_the_day_is_over(opened: Opened) -> None:
    close = session_close(TODAY) or 0
    row = {"stck_bsop_date": "20260105", "stck_clpr": "2", "stck_oprc": "1", "stck_hgpr": "4", "stck_lwpr": "1",
           "acml_vol": "7", "acml_tr_pbmn": "9", "prdy_vrss": "0", "mod_yn": "N"}  # fmt: skip
    async with opened() as bench:
        bench.kis.at("GET", f"{QUOTES}inquire-daily-itemchartprice", "FHKST03010100", Reply(done(output2=[row])))
        feed = KisFeed(bench.client, bench.stream)
        assert await feed.candles("005930", "1d", START - MINUTE, close) == []
        bench.clock.now = close
        with pytest.raises(RetryLater, match="closing print"):
            await feed.candles("005930", "1d", START - MINUTE, close)
        bench.clock.now = close + MINUTE
        (found,) = await feed.candles("005930", "1d", START - MINUTE, close)
        assert (found.close_time, found.close) == (close, 2.0)


# --- the morning ------------------------------------------------------------------------------------------------------


def price(status: str = "55", managed: str = "N") -> dict[str, str]:
    return {"stck_prpr": "70000", "acml_vol": "0", "stck_sdpr": "68900", "iscd_stat_cls_code": status,
            "mang_issu_cls_code": managed}  # fmt: skip


@pytest.mark.parametrize("environment", Environment)
async def test_what_is_known_of_a_name_is_asked_for_once_a_day(opened: Opened, environment: Environment) -> None:
    async with opened(environment) as bench:
        snapshots(bench, {"005930": (70_000, 0), "000660": (70_000, 0), "999999": (1, 1)})
        before = {"stck_bsop_date": "20260102", "stck_clpr": "69000", "stck_oprc": "1", "stck_hgpr": "1",
                  "stck_lwpr": "1", "acml_vol": "1", "acml_tr_pbmn": "1", "mod_yn": "N"}  # fmt: skip
        bench.kis.at("GET", f"{QUOTES}inquire-daily-itemchartprice", "FHKST03010100", Reply(done(output2=[before])))

        def answer(asked: Asked) -> Reply:
            if asked.query["FID_INPUT_ISCD"] == "999999":
                return Reply(refused("MCA05918", "no such name"))
            return Reply(done(output=price(status="58" if asked.query["FID_INPUT_ISCD"] == "000660" else "55")))

        bench.kis.at("GET", f"{QUOTES}inquire-price", "FHKST01010100", answer)
        feed = KisFeed(bench.client, bench.stream)
        found = await feed.day(["005930", "000660", "999999"])
        assert [(each.symbol, each.base, each.previous_close, each.halted) for each in found] == [
            ("005930", 68_900.0, 69_000.0, False), ("000660", 68_900.0, 69_000.0, True)
        ]  # fmt: skip
        asked = len(bench.kis.asked)
        assert [each.symbol for each in await feed.day(["000660", "005930"])] == ["000660", "005930"]
        assert len(bench.kis.asked) == asked
        bench.clock.now += 86_400 * SECOND
        await feed.day(["005930"])
        assert len(bench.kis.asked) > asked


@pytest.mark.parametrize(("base", "upper", "lower", "multiple"), [
    (10_000, 13_000, 7_000, 1.0), (10_000, 16_000, 4_000, 2.0), (10_000, 19_000, 1_000, 3.0),
    (1_005, 1_608, 402, 2.0), (55, 88, 22, 2.0), (55, 71, 39, 1.0),
    (10_000, 40_000, 6_000, 1.0),  # a first day
    (10_000, 11_500, 8_500, 1.0),  # KONEX
    (1_000, 0, 0, 1.0),  # an ELW
])  # fmt: skip
def test_the_multiple_of_a_fund_is_told_by_its_limits(base: int, upper: int, lower: int, multiple: float) -> None:
    row = price() | {"stck_sdpr": str(base), "stck_mxpr": str(upper), "stck_llam": str(lower)}
    found = _instrument(price_of("122630", row), float(base))
    assert found.leverage == multiple
    if multiple > 1.0:
        assert krx.price_limits(base, "2026-09-21", "ETF", leverage=found.leverage) == (lower, upper)
