"""History: a lake served by the emulator, downloaded into another lake, is the same lake."""

from __future__ import annotations

import datetime as dt
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from quantkit.brokers.kis import history
from quantkit.brokers.kis.client import KisClient
from quantkit.brokers.kis.codes import Environment
from quantkit.brokers.kis.history import HistoryReport, fill, fill_instruments
from quantkit.brokers.kis.limiter import Lane
from quantkit.brokers.kis.transport import Answer, Lost, Request
from quantkit.data.lake import Lake
from quantkit.emulator.exchange import BarSource, Exchange
from quantkit.emulator.faults import Fault, FaultKind, FaultPlan
from quantkit.emulator.kis import KisEmulator
from quantkit.emulator.session import SECOND, session_clock
from quantkit.errors import BadData, ConfigError, Refused, RetryLater
from quantkit.market.calendar import sessions
from tests.brokers.kis.test_emulated import client_of

DAYS = sessions("2025-01-02", "2025-12-30")
SPLIT, HALT = 150, (90, 91, 92)  # places in DAYS
LAST, TODAY = len(DAYS) - 2, len(DAYS) - 1
NAMES = {"005930": "삼성전자", "500001": "어떤 상장지수증권 이름이 아주 길어서 잘리는 것"}
MINUTES = 4  # sessions that have them, the last ones
SPAN = DAYS[0].item(), DAYS[LAST].item()


def daily() -> pd.DataFrame:
    """A year of two names on the grid: one is halted for three days and split 5 to 1, one comes late in the year."""
    rng = np.random.default_rng(7)
    frames = []
    for symbol, first, price in (("005930", 0, 250_000), ("500001", 200, 10_000)):
        rows = []
        for place in range(first, len(DAYS)):
            tick = 500 if price >= 200_000 else 100 if price >= 50_000 else 50 if price >= 20_000 else 10
            opens, closes = (price + tick * int(step) for step in rng.integers(-5, 6, 2))
            high, low = max(opens, closes) + tick * int(rng.integers(0, 4)), min(opens, closes) - tick
            volume = int(rng.integers(1_000, 50_000))
            halted = symbol == "005930" and place in HALT
            if not halted:
                rows.append(
                    (symbol, DAYS[place].item(), opens, high, low, closes, volume, (opens + closes) // 2 * volume)
                )
            price = closes if place + 1 != SPLIT or symbol != "005930" else round(closes / 5 / 100) * 100
        frames.append(pd.DataFrame(rows, columns=["symbol", "date", "open", "high", "low", "close", "volume", "value"]))
    return pd.concat(frames, ignore_index=True)


def minute_rows(table: pd.DataFrame) -> pd.DataFrame:
    """Minutes of the last sessions: each minute of continuous trading but some, and the closing print at the close."""
    rng = np.random.default_rng(8)
    rows = []
    for symbol in NAMES:
        for day in DAYS[LAST - MINUTES + 1 : LAST + 1]:
            clock = session_clock(day.item())
            close = float(table[(table["symbol"] == symbol) & (table["date"] == day.item())]["close"].iloc[0])
            ends = np.arange(clock.open + 60 * SECOND, clock.closing + 1, 60 * SECOND)
            for end in [*ends[rng.random(len(ends)) < 0.97].tolist(), clock.close]:
                opens, closes = close + 50 * rng.integers(-3, 4, 2)
                volume = int(rng.integers(1, 900))
                rows.append((symbol, pd.Timestamp(end, tz="UTC"), opens, max(opens, closes), min(opens, closes), closes,
                             volume, (opens + closes) // 2 * volume))  # fmt: skip
    return pd.DataFrame(rows, columns=["symbol", "date", "open", "high", "low", "close", "volume", "value"])


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Lake:
    lake = Lake(tmp_path_factory.mktemp("source") / "lake")
    markets = {"005930": "KOSPI", "500001": "ETN"}
    known = pd.DataFrame([
        {"symbol": code, "market": markets[code], "name": name,
         "listing": DAYS[200].item().isoformat() if code == "500001" else None}
        for code, name in NAMES.items()
    ])  # fmt: skip
    lake.ingest(known, "instruments")
    table = daily()
    lake.ingest(table)
    split = {"symbol": "005930", "ex_date": DAYS[SPLIT].item().isoformat(), "kind": "split", "share_ratio": 5.0}
    lake.ingest([split], "actions")
    lake.ingest(minute_rows(table), "bars_1m")
    return lake


@asynccontextmanager
async def served(source: Lake, *, paper: bool = False, calls: int = 1_000) -> AsyncIterator[KisEmulator]:
    """The lake's last day begins; all days before are its history."""
    today = int(DAYS[TODAY].astype(np.int64))
    exchange = Exchange(BarSource(source.bars(freq="1d"), start=today, tick_seconds=600.0,
                                  charts=lambda freq: source.bars(freq=freq)))  # fmt: skip
    start = session_clock(today).open + 60 * SECOND
    async with KisEmulator(exchange, paper=paper, speed=0.0, start=start, calls=calls) as server:
        yield server


def rows(lake: Lake, table: str) -> pd.DataFrame:
    """What is stored up to the last whole session, as it is stored."""
    time = "date" if table == "bars_1d" else "time"
    bound = f"{SPAN[1] + dt.timedelta(days=1)}"
    columns = ["symbol", "time", "open", "high", "low", "close", "volume", "value", "market", "flag"]
    found = lake.query(
        f"select symbol, {time}, {', '.join(columns[2:])} from {table} where {time} < '{bound}' order by 1, 2"
    )
    return pd.DataFrame(found.fetchall(), columns=columns)


async def filled(
    source: Lake, folder: Path, freq: str, *, start: dt.date = SPAN[0], end: dt.date | None = None,
    change: Callable[[KisEmulator, KisClient], None] = lambda _server, _client: None, **options: object,
) -> tuple[Lake, HistoryReport, int]:  # fmt: skip
    """Another lake, what was reported, and how many requests it took."""
    lake = Lake(folder / "lake")
    async with (
        served(source, **options) as server,  # type: ignore[arg-type]
        client_of(server, folder, Environment.PAPER if options.get("paper") else Environment.REAL) as client,
    ):
        change(server, client)
        before = server.requests
        report = await fill(client, lake, list(NAMES), freq=freq, start=start, end=end)
        return lake, report, server.requests - before


async def test_days_come_back_row_by_row(source: Lake, tmp_path: Path) -> None:
    lake, report, _ = await filled(source, tmp_path, "1d")
    pd.testing.assert_frame_equal(rows(lake, "bars_1d"), rows(source, "bars_1d"))
    stock, note = report.names
    assert (stock.asked, stock.came) == (LAST + 1, LAST + 1 - len(HALT))
    assert stock.empty == [(DAYS[HALT[0]].item(), DAYS[HALT[-1]].item())]
    assert (note.market, note.asked, note.empty) == ("ETN", LAST + 1 - 200, [])
    assert report.end == SPAN[1]  # the running session is left out
    assert report.actions == 1
    actions = lake.query("select symbol, ex_date, kind, price_factor, source from actions").fetchall()
    assert actions == [("005930", DAYS[SPLIT].item(), "unknown", 5.0, "adjusted")]
    assert {name: lake.bars(freq="1d").names[name] for name in NAMES} == {
        "005930": "삼성전자", "500001": NAMES["500001"].encode("cp949")[:40].decode("cp949", "ignore"),
    }  # fmt: skip


async def test_minutes_come_back_row_by_row_and_say_where_they_begin(source: Lake, tmp_path: Path) -> None:
    lake, report, _ = await filled(source, tmp_path, "1m", start=DAYS[LAST - 7].item())
    pd.testing.assert_frame_equal(rows(lake, "bars_1m"), rows(source, "bars_1m"))
    first = DAYS[LAST - MINUTES + 1].item()
    for one in report.names:
        assert (one.asked, one.came, one.begins) == (8, MINUTES, first)
        assert one.empty == [(DAYS[LAST - 7].item(), DAYS[LAST - MINUTES].item())]
    assert [note for note in report.notes if "none before" in note]


@pytest.mark.parametrize("freq", ["1d", "1m"])
async def test_a_second_run_asks_only_for_what_lacks(source: Lake, tmp_path: Path, freq: str) -> None:
    start = SPAN[0] if freq == "1d" else DAYS[LAST - MINUTES + 1].item()
    lake, _, _ = await filled(source, tmp_path, freq, start=start, end=DAYS[LAST - 2].item())
    _, report, _ = await filled(source, tmp_path, freq, start=start)
    assert [one.came for one in report.names] == [2, 2]
    pd.testing.assert_frame_equal(rows(lake, f"bars_{freq}"), rows(source, f"bars_{freq}"))
    _, report, requests = await filled(source, tmp_path, freq, start=start)
    assert (report.added, report.replaced, report.actions) == (0, 0, 0)
    assert requests == (4 + 1 + 2 if freq == "1d" else 4)  # master files; a token, the halted days again


async def test_what_came_before_a_cut_stays_and_the_rest_follows(
    source: Lake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(history, "BATCH_ROWS", 300)
    start = DAYS[LAST - MINUTES + 1].item()

    def cut(_server: KisEmulator, client: KisClient) -> None:
        """The line is cut after the eleventh question."""
        send, asked = client.wire._transport.send, []

        async def failing(request: Request) -> Answer:
            asked.append(request)
            if len(asked) > 11:
                raise Lost("the line was cut")
            return await send(request)

        client.wire._transport.send = failing  # type: ignore[method-assign]

    with pytest.raises(RetryLater):
        await filled(source, tmp_path, "1m", start=start, change=cut)
    had = rows(Lake(tmp_path / "lake"), "bars_1m")
    assert 0 < len(had) < len(rows(source, "bars_1m"))
    whole = rows(source, "bars_1m")
    pd.testing.assert_frame_equal(had, whole.merge(had[["symbol", "time"]]))  # what is there is right
    lake, report, _ = await filled(source, tmp_path, "1m", start=start)
    assert report.names[0].stored > 0
    pd.testing.assert_frame_equal(rows(lake, "bars_1m"), whole)


@pytest.mark.parametrize(("every", "landings"), [(0, len(NAMES)), (history.EVERY, 1)])
async def test_what_a_minute_brought_lands(
    source: Lake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, every: int, landings: int
) -> None:
    """A kill costs a minute of a download, however slowly it goes."""
    tables, ingest = [], Lake.ingest

    def counted(self: Lake, rows: pd.DataFrame, table: str) -> object:
        tables.append(table)
        return ingest(self, rows, table)

    monkeypatch.setattr(history, "EVERY", every)
    monkeypatch.setattr(Lake, "ingest", counted)
    await filled(source, tmp_path, "1d")
    assert tables.count("bars_1d") == landings


async def test_downloads_go_in_the_last_lane(source: Lake, tmp_path: Path) -> None:
    lanes: list[Lane] = []

    def watch(_server: KisEmulator, client: KisClient) -> None:
        enter = client.wire.limiter.enter

        async def entering(lane: Lane) -> None:
            lanes.append(lane)
            await enter(lane)

        client.wire.limiter.enter = entering  # type: ignore[method-assign]

    for freq in ("1d", "1m"):
        await filled(source, tmp_path, freq, start=DAYS[LAST - 7].item(), change=watch)
    assert set(lanes) == {Lane.HISTORY, Lane.QUERY}
    assert lanes.count(Lane.QUERY) == 2  # tokens


async def test_refusals_for_the_rate_are_waited_for(source: Lake, tmp_path: Path) -> None:
    plan = FaultPlan((Fault(FaultKind.RATE_LIMITED, on=("candles",), nth=(1, 2, 5)),))

    def refuse(server: KisEmulator, _client: KisClient) -> None:
        server.faults = plan

    lake, _, _ = await filled(source, tmp_path, "1d", change=refuse)
    assert plan.injected[FaultKind.RATE_LIMITED] == 3
    pd.testing.assert_frame_equal(rows(lake, "bars_1d"), rows(source, "bars_1d"))


async def test_paper_has_days_and_says_that_it_has_no_minutes_of_the_past(source: Lake, tmp_path: Path) -> None:
    lake, _, _ = await filled(source, tmp_path, "1d", paper=True)
    pd.testing.assert_frame_equal(rows(lake, "bars_1d"), rows(source, "bars_1d"))
    with pytest.raises(Refused, match=r"PAPER_UNSUPPORTED.*running day only.*실전"):
        await filled(source, tmp_path, "1m", paper=True)


async def test_bad_questions_say_what_is_wrong(source: Lake, tmp_path: Path) -> None:
    lake = Lake(tmp_path / "lake")
    async with served(source) as server, client_of(server, tmp_path, Environment.REAL) as client:
        with pytest.raises(BadData, match=r"no '123450': it is in no master file.*no chart"):
            await fill(client, lake, ["005930", "123450"], start=SPAN[0])
        for symbols, freq, start, words in (
            (["5930"], "1d", SPAN[0], "six characters"), ([], "1d", SPAN[0], "six characters"),
            (["005930"], "5m", SPAN[0], "1d and 1m"), (["005930"], "1d", dt.date(2026, 1, 5), "is after"),
            (["005930"], "1d", dt.date(2025, 12, 25), "no session"),
        ):  # fmt: skip
            end = dt.date(2025, 12, 25) if start.day == 25 else None
            with pytest.raises(ConfigError, match=words):
                await fill(client, lake, symbols, freq=freq, start=start, end=end)
        assert lake.tables() == ()


async def test_instruments_are_stated_once(source: Lake, tmp_path: Path) -> None:
    lake = Lake(tmp_path / "lake")
    async with served(source) as server, client_of(server, tmp_path, Environment.REAL) as client:
        assert (await fill_instruments(client, lake)).added == len(NAMES)
        again = await fill_instruments(client, lake)
        assert (again.added, again.replaced) == (0, 0)
        known = lake.query("select symbol, market, name, listing from instruments order by 1").fetchall()
        assert [(symbol, market) for symbol, market, _, _ in known] == [("005930", "KOSPI"), ("500001", "ETN")]
        assert known[1][3] == DAYS[200].item()
        with pytest.raises(BadData, match="no 999999"):
            await fill_instruments(client, lake, ["999999"])


def test_a_name_that_changed_keeps_its_past(tmp_path: Path) -> None:
    from quantkit.brokers.kis.landing import state_names
    from quantkit.brokers.kis.masters import Listed

    lake = Lake(tmp_path / "lake")
    bars = daily().query("symbol == '005930'").assign(name="옛이름", market="KOSDAQ")
    lake.ingest(bars)
    one = Listed(symbol="005930", isin="", name="새이름", market="KOSPI", group="ST")
    state_names(lake, [one], DAYS[TODAY].item())
    found = lake.query('select market, name from instruments order by "from"').fetchall()
    assert found == [("KOSDAQ", "옛이름"), ("KOSPI", "새이름")]
    version = lake.info()
    state_names(lake, [replace(one)], DAYS[TODAY].item() + dt.timedelta(days=5))
    assert lake.info() == version
