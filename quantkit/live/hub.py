"""Prices for many accounts from one feed: connection, watchdogs, bars on the clock, holes and their repair.

Contract: one `Feed`, any number of subscriptions, each with its own bars; ticks are read once. Time is the clock's.

1. Connect, subscribe what the plan streams, hand frames on in batches; a dead connection's frames carry an old
   generation and are dropped.
2. A connection is given up when it ends, when nothing came for 30 s of continuous trading (a heartbeat counts; without
   one, six times as long as these names are usually silent), or when none of the liquid basket traded for 10 s of it;
   it comes back after a back-off, without a last attempt.
3. What was missed since the last frame is a hole: bars wait for the broker's candles as long as their length allows,
   then they are given with the names not valid. Later candles come as revisions. The gap is told when it is known and
   again when it is filled.
4. Before a session the base prices are read; a feed that joins late, or bars of sessions missed, come as backfill.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, NamedTuple

from quantkit.data.stamps import step_us
from quantkit.errors import QuantkitError
from quantkit.live import metrics
from quantkit.live.bars import GRACE, MINUTE, SECOND, Bar, Hole, Revision, TickBars
from quantkit.live.messages import ConnectionChanged, MarketData
from quantkit.live.mismatch import Mismatch, compare
from quantkit.live.planner import SHARE, UNIVERSE, Plan, Want, plan
from quantkit.live.windows import Span, Venue, date_of, next_span, phase_at, windows_of
from quantkit.trading.backoff import Backoff
from quantkit.trading.ports import Beating, Tick

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from quantkit.live.clock import Clock
    from quantkit.trading.ports import Candle, Feed, InstrumentDay, Quote

_BATCH: Final = 256
_USUAL: Final = 6  # times the usual pause between frames that a connection may be silent


class Gap(NamedTuple):
    """What the feed missed."""

    symbols: tuple[str, ...]
    since: int
    until: int


@dataclass(slots=True, kw_only=True, eq=False)
class Subscription:
    """Who wants what. freq: "10s", "1m", "1d"; after: end of the last bar folded before, 0 for a first start.

    priority: by name, 0 for what is held; the rest is the universe in its order.
    """

    name: str
    symbols: tuple[str, ...]
    freq: str
    on_bar: Callable[[Bar], None]
    on_data: Callable[[MarketData], None] | None = None
    on_connection: Callable[[ConnectionChanged], None] | None = None
    on_gap: Callable[[Gap, bool], None] | None = None  # the gap, and whether it has been filled
    on_revised: Callable[[tuple[Revision, ...]], None] | None = None
    on_session: Callable[[Span, tuple[InstrumentDay, ...]], None] | None = None  # after all bars of sessions before
    after: int = 0
    priority: Mapping[str, int] = field(default_factory=dict)

    @property
    def length(self) -> int | None:
        """Nanoseconds of a bar; None: the day."""
        return None if self.freq == "1d" else step_us(self.freq) * 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class HubSettings:
    """Seconds, but for `slots` (names that the feed streams; None: all) and `at_once` (names that one of its snapshots
    tells; 0: it has none)."""

    slots: int | None = None
    at_once: int = 0
    requests_per_second: float = 5.0
    silence: float = 30.0
    basket_silence: float = 10.0
    answer: float = 30.0
    retry: float = 1.0
    before: float = 3600.0  # the open: when a session is made ready
    confirm: float = 7200.0  # the close: how long a daily bar waits for its candles


class Served:
    """A subscription and its bars of the session."""

    def __init__(self, subscription: Subscription) -> None:
        self.subscription, self.names = subscription, frozenset(subscription.symbols)
        self.bars: TickBars | None = None
        self.span: Span | None = None
        self.told: Counter[str] = Counter()


class MarketHub:
    """Serves one feed. basket: liquid names of which one should always trade; chance: jitter of reconnects; planned: is
    told each plan, which says how old every name's bar will be."""

    def __init__(
        self,
        feed: Feed,
        clock: Clock,
        *,
        chance: Callable[[], float],
        name: str = "prices",
        market: str = "KOSPI",
        venue: Venue = "KRX",
        basket: Sequence[str] = (),
        settings: HubSettings | None = None,
        planned: Callable[[Plan], object] | None = None,
    ) -> None:
        self._tell_plan = planned
        self.feed, self.clock, self.name, self.market = feed, clock, name, market
        self._beating = feed if isinstance(feed, Beating) else None
        self.venue: Venue = venue
        self.settings = HubSettings() if settings is None else settings
        self.basket = frozenset(basket)
        self.generation = 0
        self.up = False
        self.plan = Plan((), (), {})
        self.served: list[Served] = []
        self.changed, self.work, self.unready = asyncio.Event(), asyncio.Event(), asyncio.Event()
        self.tries: Counter[tuple[str, str]] = Counter()  # requests for a name's chart that filled nothing
        self._chance = chance
        self._reader: asyncio.Task[None] | None = None
        self._why = ""
        self._down_since: int | None = None
        self._last_frame = self._last_basket = self._up_at = 0
        self._begun = 0  # of the continuous trading that is on
        self._pause = 0.0  # how long these names are silent between frames, where that is over a second
        self._gaps: list[tuple[Served, Gap]] = []
        self._batch: list[Tick | Quote] = []
        self._flushing = False

    # --- who wants what ---------------------------------------------------------------------------------------------

    def subscribe(self, subscription: Subscription) -> Plan:
        """Serve one more; the plan of all. ConfigError where the feed cannot, and then nothing changes."""
        wanted = [one.subscription for one in self.served] + [subscription]
        self.plan = self._planned(wanted)
        self.served.append(Served(subscription))
        self.unready.set()
        if self._tell_plan is not None:
            self._tell_plan(self.plan)
        return self.plan

    def leave(self, name: str) -> None:
        """Serve that subscription no more."""
        self.served = [one for one in self.served if one.subscription.name != name]
        self._gaps = [(one, gap) for one, gap in self._gaps if one.subscription.name != name]
        self.plan = self._planned([one.subscription for one in self.served])
        self.unready.set()

    def _planned(self, subscriptions: Sequence[Subscription]) -> Plan:
        wants = [
            Want(name, one.priority.get(name, UNIVERSE)) for one in subscriptions for name in one.symbols
        ]  # fmt: skip
        lengths = [23_400 * SECOND if one.length is None else one.length for one in subscriptions]
        return plan(
            wants,
            length=min(lengths, default=MINUTE) / SECOND,
            slots=self.settings.slots,
            requests_per_second=self.settings.requests_per_second,
            grace=min(GRACE, min(lengths, default=MINUTE) * SHARE) / SECOND,
            at_once=self.settings.at_once,
        )

    async def run(self) -> None:
        """For as long as the process; ends by an error that nobody expected."""
        from quantkit.live.repair import prepare, repair

        loop = asyncio.get_running_loop()
        works = {
            "connection": self._listen(), "watchdog": self._watch(), "bars": self._keep_time(),
            "sessions": prepare(self), "repair": repair(self),
        }  # fmt: skip
        tasks = [loop.create_task(work, name=f"{self.name} {what}") for what, work in works.items()]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            ends = await asyncio.gather(*tasks, return_exceptions=True)
            self.up = False
            with contextlib.suppress(QuantkitError, OSError):
                await self.feed.close()
        for end in ends:
            if isinstance(end, Exception):
                raise end

    # --- the connection ---------------------------------------------------------------------------------------------

    async def _listen(self) -> None:
        wait = Backoff(self._chance)
        while True:
            self.generation += 1
            self._why = ""
            try:
                async with asyncio.timeout(self.settings.answer):
                    await self.feed.connect()
                    await self.feed.subscribe(self.plan.fed)
                self._came()
                why = await self._read_on(wait)
            except (QuantkitError, OSError, TimeoutError) as error:
                why = f"{type(error).__name__}: {error}"
            self._went(why)
            with contextlib.suppress(QuantkitError, OSError, TimeoutError):
                async with asyncio.timeout(self.settings.answer):
                    await self.feed.close()
            await asyncio.sleep(wait.next())

    async def _read_on(self, wait: Backoff) -> str:
        """Read until the connection ends or a watchdog ends it; why."""
        reader = asyncio.get_running_loop().create_task(self._read(wait), name=f"{self.name} reader")
        self._reader = reader
        try:
            await asyncio.wait([reader])
        finally:
            reader.cancel()
            self._reader = None
        if reader.cancelled():
            return self._why
        error = reader.exception()
        if error is not None and not isinstance(error, QuantkitError | OSError | TimeoutError):
            raise error
        return self._why or (f"{type(error).__name__}: {error}" if error is not None else "the stream ended")

    async def _read(self, wait: Backoff) -> None:
        batch = self._batch
        async for item in self.feed.stream():
            now = self.clock.now_ns()
            if self._begun and (quiet := now - max(self._last_frame, self._begun)) > SECOND:
                self._pause += (quiet - self._pause) / 8
            self._last_frame = now
            if item.symbol in self.basket and isinstance(item, Tick):
                self._last_basket = self._last_frame
            batch.append(item)
            if len(batch) >= _BATCH:
                self._flush()
            elif not self._flushing:
                self._flushing = True
                asyncio.get_running_loop().call_soon(self._flush)
            wait.reset()

    def _flush(self) -> None:
        """Hand the batch to everybody: bars first, then whoever watches prices."""
        self._flushing = False
        self._lost()
        batch, now = tuple(self._batch), self.clock.now_ns()
        self._batch.clear()
        if not batch:
            return
        metrics.TICKS.labels(self.name).inc(len(batch))
        ticks = [item for item in batch if isinstance(item, Tick)]
        for one in self.served:
            if one.bars is not None:
                one.bars.add(ticks, now)
                if now >= one.bars.closes:
                    self.changed.set()  # the last print may have closed it
            if one.subscription.on_data is not None:
                own = tuple(item for item in batch if item.symbol in one.names)
                if own:
                    one.subscription.on_data(MarketData(now, own))

    def _lost(self) -> None:
        """Holes in what a connection that stands has told: charts fill them like others."""
        for lost in () if self._beating is None else self._beating.lost():
            for one in self.served:
                names = tuple(name for name in lost.symbols or () if name in one.names)
                if one.bars is not None and (names or lost.symbols is None):
                    one.bars.outage(lost.since, lost.until, symbols=names or None)
                    self._gap(one, lost.since, lost.until, names or one.subscription.symbols)
            self.work.set()
            self.changed.set()

    def _came(self) -> None:
        """The connection stands: holes end, and what they were is told."""
        now, since = self.clock.now_ns(), self._down_since
        self.up, self._up_at, self._down_since = True, now, None
        self._last_frame = self._last_basket = now
        metrics.CONNECTED.labels(self.name, "prices").set(1)
        for one in self.served:
            if one.bars is not None:
                one.bars.generation = self.generation
                one.bars.recovered(now)
                if since is not None:
                    self._gap(one, since, now, one.subscription.symbols)
        self._tell(ConnectionChanged(now, "prices", True, self.generation))
        self.work.set()
        self.changed.set()

    def _gap(self, one: Served, since: int, until: int, symbols: tuple[str, ...]) -> None:
        """Note a gap where the session was on. One that only goes on is not told again."""
        span = one.span
        if span is None or max(since, span.opens) >= min(until, span.closes + MINUTE):
            return
        gap = Gap(symbols, max(since, span.opens), min(until, span.closes + MINUTE))
        for place, (other, told) in enumerate(self._gaps):
            if other is one and told.symbols == symbols and told.since <= gap.since <= told.until:
                self._gaps[place] = (one, told._replace(until=max(told.until, gap.until)))
                return
        self._gaps.append((one, gap))
        metrics.GAPS.labels(self.name).inc()
        if one.subscription.on_gap is not None:
            one.subscription.on_gap(gap, False)

    def _went(self, why: str) -> None:
        metrics.RECONNECTS.labels(self.name, "prices").inc()
        metrics.CONNECTED.labels(self.name, "prices").set(0)
        now = self.clock.now_ns()
        if self.up or self.generation == 1:
            self._tell(ConnectionChanged(now, "prices", False, self.generation, why))
        if self.up:
            self._flush()
            self._down_since = min(self._sign(), now) - GRACE  # what was on its way is lost as well
            for one in self.served:
                if one.bars is not None:
                    one.bars.outage(self._down_since)
        self.up = False

    def _tell(self, change: ConnectionChanged) -> None:
        for one in self.served:
            if one.subscription.on_connection is not None:
                one.subscription.on_connection(change)

    async def resubscribe(self) -> None:
        """Ask the feed for what the plan has it serve now."""
        if self.up:
            async with asyncio.timeout(self.settings.answer):
                await self.feed.subscribe(self.plan.fed)

    async def _watch(self) -> None:
        """Is anything still coming, inside continuous trading? Looked at when silence may have lasted too long."""
        while True:
            await asyncio.sleep(self._patience())

    def _patience(self) -> float:
        """Give a silent connection up; seconds until one may be silent for too long next."""
        now, settings = self.clock.now_ns(), self.settings
        if self._reader is None or not self.plan.fed:
            return 1.0
        if phase_at(now, market=self.market, venue=self.venue) != "continuous":
            self._begun = 0
            return 5.0
        windows = windows_of(date_of(now, market=self.market), market=self.market, venue=self.venue)
        self._begun = begun = max(w.opens for w in windows if w.phase == "continuous" and w.opens <= now)
        heard, allowed = max(self._sign(), begun), settings.silence * SECOND
        if self._beating is None:
            allowed = max(allowed, _USUAL * self._pause)
        left = heard + round(allowed) - now
        if left < 0:
            self._pause = 2 * (now - heard) / _USUAL  # where a new connection is as silent, it was no fault of this one
            self.give_up(f"NO_FRAME: nothing for {allowed / SECOND:.0f} s")
            return 1.0
        if self.basket:
            quiet = max(self._last_basket, begun) + round(settings.basket_silence * SECOND) - now
            if quiet < 0:
                self.give_up(f"BASKET_SILENT: no trade for {settings.basket_silence:g} s")
                return 1.0
            left = min(left, quiet)
        return left / SECOND + 0.1

    def _sign(self) -> int:
        """When the connection last gave a sign of life. What a feed asks for beside its stream is none."""
        return max(self._last_frame if self._beating is None else self._beating.heard(), self._up_at)

    def give_up(self, why: str) -> None:
        """Drop the connection that stands; another follows."""
        self._why = why
        if self._reader is not None:
            self._reader.cancel()

    # --- time -------------------------------------------------------------------------------------------------------

    async def _keep_time(self) -> None:
        """Give bars when they are due, and wake the repair when one is ready but has holes."""
        while True:
            now = self.clock.now_ns()
            moments = []
            self._lost()
            for one in self.served:
                if one.bars is None:
                    continue
                for bar in one.bars.close_due(now):
                    self.give(one, bar)
                    if self.plan.sampled:
                        self.work.set()  # a chart corrects it
                due, ready = one.bars.due(), one.bars.ready()
                if due is not None and ready is not None:
                    moments.append(due if ready <= now else min(due, ready))
                    if ready <= now:
                        self.work.set()
            if self._gaps:
                self.settle_gaps()
            self.changed.clear()
            await self.until(self.changed, min(moments, default=now + 60 * MINUTE))

    async def until(self, event: asyncio.Event, at: int) -> None:
        """Return at that moment, or when the event is set."""
        handle = self.clock.call_at(at, event.set)
        try:
            await event.wait()
        finally:
            handle.cancel()

    def give(self, one: Served, bar: Bar) -> None:
        """Hand a bar over, and count."""
        freq = one.subscription.freq
        metrics.BARS.labels(self.name, freq, str(bar.complete).lower()).inc()
        if not bar.backfill:
            metrics.BAR_AGE.labels(self.name, freq).set((bar.time - bar.end) / SECOND)
        if one.bars is not None:
            new = one.bars.counts - one.told
            one.told = Counter(one.bars.counts)
            metrics.LATE_TICKS.labels(self.name, freq).inc(new.pop("late", 0))
            for why, count in new.items():
                metrics.TICKS_LEFT_OUT.labels(self.name, why).inc(count)
        one.subscription.after = bar.end
        one.subscription.on_bar(bar)

    # --- for others -------------------------------------------------------------------------------------------------

    def settle_gaps(self) -> None:
        """Tell of gaps that nothing is left of."""
        left, now = [], self.clock.now_ns()
        for one, gap in self._gaps:
            bars = one.bars
            holes: tuple[Hole, ...] = () if bars is None else (*bars.holes(now), *bars.scars())
            open_still = any(hole.begin < gap.until and gap.since < hole.end for hole in holes)
            if open_still or (bars is not None and bars.next_begin() < gap.until):
                left.append((one, gap))
            elif one.subscription.on_gap is not None:
                one.subscription.on_gap(gap, True)
        self._gaps = left

    def counts(self) -> dict[str, int]:
        """What the feed counted, where it does."""
        return {} if self._beating is None else dict(self._beating.counts())

    async def candles(self, symbol: str, freq: str, since: int, until: int) -> Sequence[Candle]:
        """The broker's chart, within the time that an answer may take."""
        async with asyncio.timeout(self.settings.answer):
            return await self.feed.candles(symbol, freq, since, until)

    async def instruments(self, symbols: Sequence[str]) -> Sequence[InstrumentDay]:
        """What is known of today's session; asked again until it is there."""
        wait = Backoff(self._chance)
        while True:
            try:
                async with asyncio.timeout(self.settings.answer):
                    return await self.feed.day(symbols)
            except (QuantkitError, OSError, TimeoutError):
                metrics.RECONNECTS.labels(self.name, "day").inc()
            await asyncio.sleep(wait.next())

    async def mismatch(self) -> Mismatch:
        """Own bars of the session beside the broker's minutes: for the close of the day."""
        found = Mismatch(0, ())
        for one in self.served:
            bars, length = one.bars, one.subscription.length
            if bars is None or length is None or length < MINUTE:
                continue
            for symbol in one.subscription.symbols:
                try:
                    chart = await self.candles(symbol, "1m", bars.opens, bars.closes)
                except (QuantkitError, OSError, TimeoutError):
                    found += Mismatch(0, (), (symbol,))
                    continue
                found += compare(symbol, bars.rows(symbol), chart, length=length)
        metrics.MISMATCH.labels(self.name).set(found.rate)
        return found

    def next_span(self) -> Span:
        """The session that is on or comes."""
        return next_span(self.clock.now_ns(), market=self.market)
