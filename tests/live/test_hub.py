"""The hub on virtual time: whole sessions of a scripted feed with drops, silences, late starts and missing charts."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Any

import pytest

from quantkit.errors import ConfigError, RetryLater
from quantkit.live import metrics
from quantkit.live.bars import MINUTE, SECOND, Bar, Revision
from quantkit.live.clock import VirtualClock, run_virtual
from quantkit.live.hub import Gap, HubSettings, MarketHub, Subscription
from quantkit.live.messages import ConnectionChanged, MarketData
from quantkit.live.windows import session_of
from quantkit.trading.ports import Candle, InstrumentDay, Lost, Quote, Tick

SPAN = session_of("2025-11-12")
assert SPAN is not None
OPENS, CLOSES = SPAN.opens, SPAN.closes
NAMES = ("A", "B")


def price(symbol: str, time: int) -> float:
    """What a name costs at a time: whole won, the same for the stream and for the chart."""
    return {"A": 100.0, "B": 50.0}.get(symbol, 10.0) + (time - OPENS) // SECOND % 7


class FakeFeed:
    """Each name trades one share every `step` seconds of continuous trading and prints at the close."""

    def __init__(self, clock: VirtualClock, *, step: int = 5) -> None:
        self.clock, self.step = clock, step
        self.connects: list[int] = []
        self.names: tuple[str, ...] = ()
        self.asked: list[tuple[str, str, int, int]] = []
        self.silent: Callable[[str, int], bool] = lambda _symbol, _time: False
        self.drops: list[int] = []  # moments at which the connection breaks
        self.away: Callable[[int], bool] = lambda _time: False
        self.chart_error: Callable[[str, int], bool] = lambda _symbol, _time: False
        self.last: dict[str, int] = {}

    async def connect(self) -> None:
        now = self.clock.now_ns()
        if self.away(now):
            raise RetryLater("nobody answers")
        self.connects.append(now)

    async def close(self) -> None:
        """Nothing to leave."""

    async def subscribe(self, symbols: Sequence[str]) -> None:
        self.names = tuple(symbols)

    def trades(self, symbol: str, since: int, until: int) -> list[Tick]:
        """Trades in [since, until)."""
        step = self.step * SECOND
        first = max(OPENS, since + (OPENS - since) % step)
        found = [Tick(symbol, t, price(symbol, t), 1) for t in range(first, min(until, CLOSES - 10 * MINUTE), step)]
        if since <= CLOSES + 7 * SECOND < until:
            found.append(Tick(symbol, CLOSES + 7 * SECOND, 120.0, 9, auction=True))
        return found

    async def stream(self) -> AsyncIterator[Tick | Quote]:
        generation = len(self.connects)
        at = self.clock.now_ns()
        while True:
            after = at + SECOND
            await self.clock.sleep_until(after)
            if self.drops and self.drops[0] <= after:
                self.drops.pop(0)
                raise RetryLater("dropped")
            for symbol in self.names:
                for tick in self.trades(symbol, at, after):
                    if not self.silent(symbol, tick.time):
                        yield Tick(tick.symbol, tick.time, tick.price, tick.volume, generation, tick.auction)
            at = after

    async def candles(self, symbol: str, freq: str, since: int, until: int) -> Sequence[Candle]:
        now = self.clock.now_ns()
        self.asked.append((symbol, freq, since, until))
        await asyncio.sleep(0.05)
        if self.chart_error(symbol, now):
            raise RetryLater("busy")
        found = []
        step = MINUTE if freq == "1m" else CLOSES - OPENS
        for end in range(OPENS + step, CLOSES + 1, step):
            if since < end <= until and end <= now:
                trades = self.trades(symbol, end - step, end if end < CLOSES else CLOSES + MINUTE)
                if trades:
                    prices = [tick.price for tick in trades]
                    volume = sum(tick.volume for tick in trades)
                    found.append(Candle(symbol, end, prices[0], max(prices), min(prices), prices[-1], volume))
        return found

    async def day(self, symbols: Sequence[str]) -> Sequence[InstrumentDay]:
        return [InstrumentDay(symbol=s, base=price(s, OPENS), previous_close=price(s, OPENS)) for s in symbols]


class Ear:
    """A subscriber that remembers."""

    def __init__(self, freq: str = "1m", symbols: tuple[str, ...] = NAMES, **given: Any) -> None:
        self.bars: list[Bar] = []
        self.data: list[MarketData] = []
        self.connections: list[ConnectionChanged] = []
        self.gaps: list[tuple[Gap, bool]] = []
        self.revisions: list[Revision] = []
        self.sessions: list[tuple[int, list[str]]] = []
        self.subscription = Subscription(
            name=given.pop("name", freq), symbols=symbols, freq=freq, on_bar=self.bars.append,
            on_data=self.data.append, on_connection=self.connections.append,
            on_session=lambda span, known: self.sessions.append((span.opens, [day.symbol for day in known])),
            on_gap=lambda gap, filled: self.gaps.append((gap, filled)), on_revised=self.revisions.extend, **given,
        )  # fmt: skip


def session(
    ears: list[Ear],
    *,
    begin: int = OPENS - 30 * MINUTE,
    end: int = CLOSES + 5 * MINUTE,
    arrange: Callable[[FakeFeed], None] = lambda _feed: None,
    act: Callable[[MarketHub, FakeFeed], Awaitable[None]] | None = None,
    step: int = 5,
    **given: Any,
) -> tuple[MarketHub, FakeFeed]:
    """A hub from `begin` to `end`."""

    async def main(clock: VirtualClock) -> tuple[MarketHub, FakeFeed]:
        feed = FakeFeed(clock, step=step)
        arrange(feed)
        hub = MarketHub(feed, clock, chance=lambda: 0.5, **given)
        for ear in ears:
            hub.subscribe(ear.subscription)
        running = asyncio.create_task(hub.run())
        await clock.sleep_until(end)
        if act is not None:
            await act(hub, feed)
        assert not running.done()
        running.cancel()
        await asyncio.wait([running])
        return hub, feed

    return run_virtual(main, start=begin)


def test_a_quiet_day_gives_every_bar_once_whole_and_on_time() -> None:
    ear = Ear()
    session([ear])
    assert [(bar.end - OPENS) // MINUTE for bar in ear.bars] == list(range(1, 391))
    assert all(bar.complete and bar.valid.all() for bar in ear.bars)
    assert {bar.time - bar.end for bar in ear.bars[:-1]} == {3 * SECOND // 2}
    assert ear.bars[-1].time == CLOSES + 8 * SECOND  # both names had printed, on the frame of that second
    assert ear.bars[-1].close.tolist() == [120.0, 120.0]
    assert ear.bars[384].traded.tolist() == [False, False]  # the call auction before it
    assert ear.gaps == []
    assert [change.up for change in ear.connections] == [True]


def test_ticks_reach_those_who_watch_prices_and_only_their_names() -> None:
    both, one = Ear(name="both"), Ear(symbols=("B",), name="one")
    session([both, one], end=OPENS + MINUTE)
    assert {item.symbol for data in both.data for item in data.items} == {"A", "B"}
    assert {item.symbol for data in one.data for item in data.items} == {"B"}
    assert sum(len(data.items) for data in one.data) == 12


def test_a_drop_is_a_gap_that_the_chart_fills_before_the_bar_is_given() -> None:
    ear = Ear()
    _, feed = session(
        [ear], end=OPENS + 10 * MINUTE, arrange=lambda feed: feed.drops.append(OPENS + 150 * SECOND), step=1
    )
    assert [bar.complete for bar in ear.bars] == [True] * 9
    third = ear.bars[2]
    assert third.time <= third.end + 12 * SECOND
    assert third.volume.tolist() == [60.0, 60.0]
    assert {ask[0] for ask in feed.asked} == {"A", "B"}
    ((gap, filled), (again, done)) = ear.gaps
    assert (gap, filled, done) == (again, False, True)
    assert OPENS + 140 * SECOND < gap.since < gap.until < OPENS + 160 * SECOND
    assert [change.up for change in ear.connections] == [True, False, True]
    assert [change.generation for change in ear.connections] == [1, 1, 2]


def test_without_a_chart_the_bar_is_given_in_time_and_is_not_valid() -> None:
    ear = Ear()

    def arrange(feed: FakeFeed) -> None:
        feed.drops.append(OPENS + 150 * SECOND)
        feed.chart_error = lambda symbol, now: symbol == "B" and now < OPENS + 5 * MINUTE

    session([ear], end=OPENS + 10 * MINUTE, arrange=arrange, step=1)
    third = ear.bars[2]
    assert third.time == third.end + 12 * SECOND
    assert third.valid.tolist() == [True, False]
    assert not third.complete
    assert [(revision.end, revision.candle.symbol) for revision in ear.revisions] == [(third.end, "B")]
    assert ear.gaps[-1][1]  # filled in the end
    assert all(bar.complete for bar in ear.bars[3:])


def test_holes_of_a_name_near_one_another_are_asked_for_at_once() -> None:
    """The first minute was given with its holes before charts could be read; the second may still wait."""

    def arrange(feed: FakeFeed) -> None:
        feed.drops += [OPENS + 30 * SECOND, OPENS + 90 * SECOND]
        feed.chart_error = lambda _symbol, now: now < OPENS + 123 * SECOND

    ear = Ear()
    _, feed = session([ear], end=OPENS + 4 * MINUTE, arrange=arrange)
    assert [(symbol, since, until) for symbol, _, since, until in feed.asked[-2:]] == [
        (name, OPENS, OPENS + 2 * MINUTE) for name in NAMES
    ]  # fmt: skip
    assert [bar.complete for bar in ear.bars] == [False, True, True]
    assert {revision.end for revision in ear.revisions} == {OPENS + MINUTE}


def test_a_feed_that_is_away_is_tried_until_it_comes_and_nothing_is_valid_meanwhile() -> None:
    ear = Ear()

    def arrange(feed: FakeFeed) -> None:
        feed.drops.append(OPENS + 60 * SECOND)
        feed.away = lambda now: OPENS + 60 * SECOND <= now < OPENS + 40 * MINUTE
        feed.chart_error = lambda _symbol, now: now < OPENS + 40 * MINUTE

    _, feed = session([ear], end=OPENS + 60 * MINUTE, arrange=arrange)
    assert len(ear.bars) == 59
    assert not any(bar.valid.any() for bar in ear.bars[1:39])
    assert all(bar.valid.all() for bar in ear.bars[42:])
    assert feed.connects[1] < OPENS + 41 * MINUTE
    assert [change.up for change in ear.connections] == [True, False, True]
    assert len({(r.end, r.candle.symbol) for r in ear.revisions}) >= 2 * 37
    assert [filled for _, filled in ear.gaps] == [False, True]


def test_no_frame_for_thirty_seconds_is_a_dead_connection() -> None:
    ear = Ear()

    def arrange(feed: FakeFeed) -> None:
        feed.silent = lambda _symbol, time: len(feed.connects) < 2 and time >= OPENS + 60 * SECOND

    _, feed = session([ear], end=OPENS + 5 * MINUTE, arrange=arrange)
    assert OPENS + 85 * SECOND < feed.connects[1] <= OPENS + 90 * SECOND
    assert "NO_FRAME" in ear.connections[1].detail
    assert all(bar.complete for bar in ear.bars)  # the chart had what the stream swallowed


def test_names_that_trade_once_a_minute_are_not_taken_for_a_dead_connection_all_day() -> None:
    _, feed = session([Ear()], step=60)
    assert len(feed.connects) <= 3  # until their pace is known
    assert all(time < OPENS + 10 * MINUTE for time in feed.connects)


def beats(feed: FakeFeed, heard: Callable[[], int]) -> list[Lost]:
    """Let a feed give signs of life; what it is to have missed goes into the list."""
    lost: list[Lost] = []

    def told() -> list[Lost]:
        found = [each for each in lost if each.until <= feed.clock.now_ns()]
        lost[:] = [each for each in lost if each not in found]
        return found

    feed.heard, feed.lost, feed.counts = heard, told, dict  # type: ignore[attr-defined]
    return lost


def test_a_heartbeat_is_life_and_its_end_is_not() -> None:
    def arrange(feed: FakeFeed) -> None:
        beats(feed, lambda: min(feed.clock.now_ns(), OPENS + 60 * MINUTE))

    ear = Ear()
    _, feed = session([ear], end=OPENS + 62 * MINUTE, arrange=arrange, step=1_800)
    assert feed.connects[1] == pytest.approx(OPENS + 60 * MINUTE + 31 * SECOND, abs=2 * SECOND)
    assert "NO_FRAME" in ear.connections[1].detail


def test_what_a_feed_knows_it_missed_is_a_hole_of_those_names() -> None:
    """A misses half a minute, and everybody a moment of two later ones: one gap that goes on."""
    begin = OPENS + 60 * SECOND
    later = OPENS + 200 * SECOND

    def arrange(feed: FakeFeed) -> None:
        feed.silent = lambda symbol, time: symbol == "A" and begin <= time < begin + 30 * SECOND
        beats(feed, feed.clock.now_ns).extend([
            Lost(("A", "elsewhere"), begin, begin + 30 * SECOND), Lost(("elsewhere",), begin, begin + SECOND),
            Lost(None, later, later + SECOND), Lost(None, later + SECOND, later + 2 * SECOND),
        ])  # fmt: skip

    ear = Ear()
    _, feed = session([ear], end=OPENS + 5 * MINUTE, arrange=arrange)
    assert len(feed.connects) == 1
    assert [(gap.symbols, gap.since, gap.until, filled) for gap, filled in ear.gaps] == [
        (("A",), begin, begin + 30 * SECOND, False), (("A",), begin, begin + 30 * SECOND, True),
        (("A", "B"), later, later + SECOND, False), (("A", "B"), later, later + 2 * SECOND, True),
    ]  # fmt: skip
    assert [symbol for symbol, _, _, _ in feed.asked] == ["A", "A", "B"]
    assert all(bar.complete and bar.volume.tolist() == [12.0, 12.0] for bar in ear.bars[1:])


def test_prices_beside_a_dead_stream_are_no_life_and_the_hole_begins_with_the_last_sign() -> None:
    last = OPENS + 59 * SECOND

    def arrange(feed: FakeFeed) -> None:
        beats(feed, lambda: feed.clock.now_ns() if len(feed.connects) > 1 else min(feed.clock.now_ns(), last))
        feed.silent = lambda symbol, time: symbol == "A" and last <= time and len(feed.connects) < 2

    ear = Ear()
    _, feed = session([ear], end=OPENS + 4 * MINUTE, arrange=arrange)  # B's prices are snapshots, and go on
    assert feed.connects[1] == pytest.approx(last + 31 * SECOND, abs=2 * SECOND)
    assert ear.gaps[0][0].since == last - 3 * SECOND // 2
    assert all(bar.complete and bar.volume.tolist() == [12.0, 12.0] for bar in ear.bars[1:])


def test_a_liquid_basket_that_stops_trading_is_a_dead_connection() -> None:
    ear = Ear()

    def arrange(feed: FakeFeed) -> None:
        feed.silent = lambda symbol, time: symbol == "A" and len(feed.connects) < 2 and time >= OPENS + 60 * SECOND

    _, feed = session([ear], end=OPENS + 5 * MINUTE, arrange=arrange, basket=("A",))
    assert OPENS + 65 * SECOND < feed.connects[1] < OPENS + 70 * SECOND
    assert "BASKET_SILENT" in ear.connections[1].detail


def test_silence_outside_continuous_trading_is_none() -> None:
    ear = Ear()
    _, feed = session([ear], begin=OPENS - 50 * MINUTE, end=CLOSES + 60 * MINUTE, basket=("A",))
    assert len(feed.connects) == 1


def test_a_late_start_reads_the_morning_from_the_chart() -> None:
    ear = Ear(after=OPENS + 5 * MINUTE)
    session([ear], begin=OPENS + 30 * MINUTE + 20 * SECOND, end=OPENS + 40 * MINUTE)
    assert [(bar.end - OPENS) // MINUTE for bar in ear.bars] == list(range(6, 40))
    assert [bar.backfill for bar in ear.bars] == [True] * 25 + [False] * 9
    assert all(bar.complete for bar in ear.bars)
    assert ear.bars[0].volume.tolist() == [12.0, 12.0]


def test_sessions_missed_come_as_backfill_before_the_one_that_is_on() -> None:
    ear = Ear(freq="1d", after=OPENS - 100 * MINUTE)
    begin = CLOSES + 17 * 60 * MINUTE  # the next morning, 08:30
    session([ear], begin=begin, end=begin + 45 * MINUTE)
    (bar,) = ear.bars
    assert ear.sessions == [(OPENS + 25 * 60 * MINUTE, ["A", "B"])]  # the exam day
    assert (bar.end, bar.backfill, bar.complete) == (CLOSES, True, True)
    assert bar.close.tolist() == [120.0, 120.0]
    assert bar.time >= begin


def test_a_daily_bar_waits_for_its_candle() -> None:
    ear = Ear(freq="1d")

    def arrange(feed: FakeFeed) -> None:
        feed.chart_error = lambda _symbol, now: now < CLOSES + 20 * MINUTE

    session([ear], end=CLOSES + 30 * MINUTE, arrange=arrange)
    (bar,) = ear.bars
    assert CLOSES + 20 * MINUTE <= bar.time < CLOSES + 21 * MINUTE
    assert bar.valid.all()
    assert bar.volume[0] == 380 * 12 + 9


def test_an_unconfirmed_daily_bar_is_given_in_the_end_and_not_valid() -> None:
    ear = Ear(freq="1d")

    def arrange(feed: FakeFeed) -> None:
        feed.chart_error = lambda symbol, _now: symbol == "B"

    session([ear], end=CLOSES + 130 * MINUTE, arrange=arrange)
    (bar,) = ear.bars
    assert (bar.time, bar.valid.tolist()) == (CLOSES + 120 * MINUTE, [True, False])


def test_names_beyond_the_slots_are_asked_for_at_each_edge() -> None:
    ear = Ear(symbols=("A", "B", "C"), priority={"C": 0})
    hub, feed = session([ear], end=OPENS + 5 * MINUTE, settings=HubSettings(slots=2, requests_per_second=5.0), step=5)
    assert hub.plan.polled == ("B",)
    assert feed.names == ("C", "A")
    assert all(bar.complete for bar in ear.bars)
    assert {ask[0] for ask in feed.asked} == {"B"}
    assert ear.gaps == []  # a plan, not a gap


def test_what_was_on_its_way_when_the_connection_broke_is_a_hole_too() -> None:
    ear = Ear()

    def arrange(feed: FakeFeed) -> None:
        feed.silent = lambda symbol, time: symbol == "A" and time == OPENS + 59 * SECOND  # B's came, right on the edge
        feed.drops = [OPENS + 61 * SECOND]

    session([ear], end=OPENS + 3 * MINUTE, arrange=arrange, step=1)
    assert ear.bars[0].complete
    assert ear.bars[0].volume.tolist() == [60.0, 60.0]


def test_names_told_by_snapshots_are_fed_and_corrected_by_charts() -> None:
    ear = Ear(symbols=("A", "B", "C"), priority={"C": 0})
    settings = HubSettings(slots=2, requests_per_second=5.0, at_once=30)
    hub, feed = session([ear], end=OPENS + 5 * MINUTE, settings=settings, step=5)
    assert (hub.plan.sampled, feed.names) == (("B",), ("C", "A", "B"))
    assert all(bar.complete and bar.time == bar.end + hub.plan.ages["B"] * 10**9 for bar in ear.bars)
    assert [(symbol, until) for symbol, _, _, until in feed.asked] == [
        ("B", OPENS + k * MINUTE) for k in range(1, len(ear.bars) + 1)
    ]  # fmt: skip


def test_a_universe_that_cannot_be_served_is_refused_and_the_rest_goes_on() -> None:
    hub, _ = session([], end=OPENS)
    hub.settings = HubSettings(slots=1, requests_per_second=0.01)
    hub.subscribe(Ear(symbols=("A",)).subscription)
    with pytest.raises(ConfigError, match="take fewer names"):
        hub.subscribe(Ear(name="more").subscription)
    assert [one.subscription.symbols for one in hub.served] == [("A",)]


def test_who_leaves_hears_no_more() -> None:
    stays, leaves = Ear(name="stays"), Ear(symbols=("B",), name="leaves")

    async def act(hub: MarketHub, feed: FakeFeed) -> None:
        hub.leave("leaves")
        await asyncio.sleep(120)

    session([stays, leaves], end=OPENS + 90 * SECOND, act=act)
    assert (len(leaves.bars), len(stays.bars)) == (1, 3)


def test_late_ticks_are_counted() -> None:
    before = metrics.value("late_ticks_total", feed="prices", freq="1m")

    class Late(FakeFeed):
        async def stream(self) -> AsyncIterator[Tick | Quote]:
            async for item in super().stream():
                yield item
                if item.symbol == "A" and isinstance(item, Tick) and item.time == OPENS + 65 * SECOND:
                    yield Tick("A", OPENS + 30 * SECOND, 1.0, 1, item.generation)

    ear = Ear()

    async def main(clock: VirtualClock) -> None:
        hub = MarketHub(Late(clock), clock, chance=lambda: 0.5)
        hub.subscribe(ear.subscription)
        running = asyncio.create_task(hub.run())
        await clock.sleep_until(OPENS + 3 * MINUTE)
        running.cancel()
        await asyncio.wait([running])

    run_virtual(main, start=OPENS - MINUTE)
    assert metrics.value("late_ticks_total", feed="prices", freq="1m") == before + 1
    assert ear.bars[0].low[0] > 1.0


def test_own_bars_agree_with_the_chart_after_the_close() -> None:
    ear = Ear()
    found = []

    async def act(hub: MarketHub, feed: FakeFeed) -> None:
        found.append(await hub.mismatch())
        feed.chart_error = lambda symbol, _now: symbol == "B"
        found.append(await hub.mismatch())

    session([ear], act=act)
    assert (found[0].compared, found[0].rate, found[0].unknown) == (2 * 381, 0.0, ())
    assert found[1].unknown == ("B",)


def test_a_bug_of_the_feed_ends_the_hub() -> None:
    class Broken(FakeFeed):
        async def stream(self) -> AsyncIterator[Tick | Quote]:
            raise KeyError("no such field")
            yield

    async def main(clock: VirtualClock) -> None:
        hub = MarketHub(Broken(clock), clock, chance=lambda: 0.5)
        hub.subscribe(Ear().subscription)
        await hub.run()

    with pytest.raises(KeyError):
        run_virtual(main, start=OPENS)


def test_the_same_day_gives_the_same_bars() -> None:
    def day() -> list[tuple[int, list[float], list[bool]]]:
        ear = Ear()
        session([ear], end=OPENS + 20 * MINUTE, arrange=lambda feed: feed.drops.append(OPENS + 150 * SECOND))
        return [(bar.time, bar.close.tolist(), bar.valid.tolist()) for bar in ear.bars]

    assert day() == day()
