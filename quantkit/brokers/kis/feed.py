"""`KisFeed`: our Feed port over KIS: a stream for the first names, snapshots for the rest, charts for what was missed.

    registrations   own orders first, then the trades of names in the order they are asked for, then, with what is left,
                    books of the first of them
    snapshots       (실전 only) every `every` seconds all names, 30 a request: a quote for each, and for names that are
                    not streamed the shares since the last look as one trade. The look at a bar's edge is stamped just
                    before it. Such bars know no highs and lows between two looks: the hub lays the minute chart beside
                    them
    candles         minute and daily charts, for holes and for the close

Contract: fills `trading.ports.Feed` and `Beating`, for one hub. Times are UTC nanoseconds, KIS's minutes become bars
stamped with their end, and the closing print belongs to the last. A bar is told when it is over; a session's last may
be asked for a minute after its close. Errors: RetryLater, Refused, and ConfigError for more names than can be served,
with numbers.
"""

from __future__ import annotations

import asyncio
import datetime as dt
from typing import TYPE_CHECKING, Final

from quantkit.brokers.kis import charts
from quantkit.brokers.kis.client import AT_ONCE
from quantkit.brokers.kis.codes import Environment, check_venue
from quantkit.brokers.kis.figures import SECOND, day_of, moment
from quantkit.brokers.kis.frames import BOOKS, ELW_BOOKS, ELW_TRADES, TRADES
from quantkit.brokers.kis.limiter import Lane
from quantkit.errors import ConfigError, QuantkitError, Refused, RetryLater
from quantkit.trading.ports import Candle, InstrumentDay, Lost, Quote, Tick

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Coroutine, Mapping, Sequence

    from quantkit.brokers.kis.client import KisClient
    from quantkit.brokers.kis.quotes import Price, Snapshot
    from quantkit.brokers.kis.stream import Ear, KisStream, Registration

EVERY: Final = 10.0
AFTER_EDGE: Final = 0.2  # seconds that a look waits for the last trades before an edge
_WIDTH: Final = 0.30  # of the day's limits, since 2015-06-15 (KOSPI rules 20(2)); a fund's are multiplied
_TICKS: Final = 0.03  # by which a limit may lie off that, having been cut to the grid
AROUND: Final = dt.timedelta(days=14)  # in which there is a session before today


class KisFeed:
    """Prices of one venue ("KRX", "NXT", "SOR"). every: seconds between two snapshots of all names."""

    def __init__(self, client: KisClient, stream: KisStream, *, venue: str = "KRX", every: float = EVERY) -> None:
        check_venue(venue)
        self._client, self._stream, self._venue, self._every = client, stream, venue, every
        self._connects = 0
        self._ear: Ear | None = None
        self._looking: asyncio.Task[None] | None = None
        self._known: tuple[dt.date, dict[str, InstrumentDay | None]] = (dt.date.min, {})

    # --- what it can serve --------------------------------------------------------------------------------------------

    @property
    def slots(self) -> int:
        """Names that can be streamed."""
        return self._stream.free

    @property
    def at_once(self) -> int:
        """Names that one request for snapshots tells; 0 where there are none (모의투자)."""
        return AT_ONCE if self._client.environment is Environment.REAL else 0

    @property
    def requests_per_second(self) -> float:
        """That can be made beside cancels and orders that take risk away."""
        return self._client.wire.limiter.per_second

    # --- the stream ---------------------------------------------------------------------------------------------------

    @property
    def _closes(self) -> bool:
        """Whether the venue's day ends with a print that belongs to its last minute."""
        return self._venue != "NXT"

    async def connect(self) -> None:
        """Open the stream, or join the one that stands."""
        self._connects += 1
        await self._leave("left for another connection")
        self._ear = await self._stream.open("prices", floor=self._connects)

    async def close(self) -> None:
        """Leave. The connection ends for everybody: who closes it may have lost trust in it."""
        await self._leave("prices were closed")

    async def _leave(self, why: str) -> None:
        if self._looking is not None:
            self._looking.cancel()
            self._looking = None
        ear, self._ear = self._ear, None
        if ear is not None:
            await self._stream.drop(ear, why)

    async def subscribe(self, symbols: Sequence[str]) -> None:
        """Ask for these names, all that is wanted, the most important first."""
        ear = self._ear
        if ear is None:
            raise RetryLater("KIS's stream: not connected")
        names = tuple(dict.fromkeys(symbols))
        self._check(names)
        if self._looking is not None:
            self._looking.cancel()
            self._looking = None
        await self._stream.subscribe(ear, self._registrations(names))
        if self.at_once and names:
            work = self._look(ear, names, frozenset(names[: self.slots]))
            self._looking = asyncio.get_running_loop().create_task(self._watched(ear, work), name="kis snapshots")

    async def _watched(self, ear: Ear, work: Coroutine[None, None, None]) -> None:
        """Snapshots that end by an error nobody expected end the connection: names would be silent for good."""
        try:
            await work
        finally:
            if self._looking is asyncio.current_task():
                await self._stream.drop(ear, "snapshots have ended")

    def _check(self, names: tuple[str, ...]) -> None:
        """ConfigError where that is more than it can serve."""
        beyond = len(names) - self.slots
        if beyond <= 0:
            return
        if not self.at_once:
            raise ConfigError(
                f"{len(names)} names are asked for: KIS streams {self.slots}, and 모의투자 has no snapshots of many"
                f" names for the other {beyond}"
            )
        most = int(self._every * self.requests_per_second) * self.at_once
        if len(names) > most:
            raise ConfigError(
                f"{len(names)} names are asked for: KIS streams {self.slots}, and snapshots of {self.at_once} names,"
                f" {self.requests_per_second:.1f} a second, tell {most} every {self._every:g} s; take fewer names"
            )

    def _registrations(self, names: tuple[str, ...]) -> list[Registration]:
        """Trades of as many as there is room for, then books."""
        streamed = names[: self.slots]
        booked = streamed[: self.slots - len(streamed)]
        elw = {name for name in streamed if self._client.markets.get(name) == "ELW"}
        if elw and self._client.environment is Environment.PAPER:
            raise ConfigError(f"모의투자 streams no ELW: take {', '.join(sorted(elw))} out, or ask for them by price")
        trades = [(ELW_TRADES if name in elw else TRADES[self._venue], self._client.code(name)) for name in streamed]
        books = [(ELW_BOOKS if name in elw else BOOKS[self._venue], self._client.code(name)) for name in booked]
        return [*trades, *books]

    async def stream(self) -> AsyncIterator[Tick | Quote]:
        """Ticks and quotes of this connection; RetryLater when it ends."""
        if self._ear is None:
            raise RetryLater("KIS's stream: not connected")
        async for item in self._ear:
            yield item

    def heard(self) -> int:
        """When anything last came over the stream: `trading.ports.Beating`. Snapshots are no sign of its life."""
        return 0 if self._ear is None else self._ear.connection.heard

    def lost(self) -> Sequence[Lost]:
        """What frames that could not be read, and shares that no record told, leave out."""
        if self._ear is None:
            return ()
        found, self._ear.lost = self._ear.lost, []
        return found

    def counts(self) -> Mapping[str, int]:
        """What came over the stream, and what was wrong with it."""
        return self._stream.counts

    # --- snapshots ----------------------------------------------------------------------------------------------------

    async def _look(self, ear: Ear, names: tuple[str, ...], streamed: frozenset[str]) -> None:
        """Look at all names again and again, the first time to know what was traded before."""
        clock, every = self._client.clock, round(self._every * SECOND)
        volumes: dict[str, int] = {}
        day = day_of(clock.now_ns())
        edge = clock.now_ns()
        while ear.connection.why is None:
            try:
                found = await self._client.snapshots(names, venue=self._venue)
            except QuantkitError as problem:
                self._stream.counts[f"snapshots {type(problem).__name__}"] += 1
                found = {}
            now = clock.now_ns()
            if day_of(now) != day:
                volumes, day = {}, day_of(now)
            for name, told in found.items():
                ear.put(self._items(ear, name, told, volumes, edge, now, streamed=name in streamed))
            edge = (now // every + 1) * every
            await clock.sleep_until(edge + round(AFTER_EDGE * SECOND))

    @staticmethod
    def _items(
        ear: Ear, name: str, told: Snapshot, volumes: dict[str, int], edge: int, now: int, *, streamed: bool
    ) -> list[Tick | Quote]:
        """A name's quote, and a trade of the shares since the look before where no stream tells them."""
        bids = ((told.bid, told.bid_quantity),) if told.bid > 0.0 else ()
        asks = ((told.ask, told.ask_quantity),) if told.ask > 0.0 else ()
        items: list[Tick | Quote] = [Quote(name, now, bids, asks, ear.generation)]
        if streamed:
            return items
        more = told.volume - volumes.get(name, told.volume)
        if more > 0 and told.price > 0.0:
            items.insert(0, Tick(name, edge - 1, told.price, more, ear.generation))
        volumes[name] = told.volume
        return items

    # --- charts -------------------------------------------------------------------------------------------------------

    async def candles(self, symbol: str, freq: str, since: int, until: int) -> Sequence[Candle]:
        """Finished bars of one name, "1m" or "1d", (since, until] by their end."""
        if freq not in ("1m", "1d"):
            raise ConfigError(f"freq={freq!r}: KIS has charts of minutes (1m) and days (1d)")
        now = self._client.clock.now_ns()
        first, last = day_of(since), day_of(min(until, now))
        close = charts.session_close(last)
        if self._closes and close is not None and since < close <= until and close <= now < close + charts.MINUTE:
            raise RetryLater("KIS's chart: the closing print is in it a minute after the close")
        found: list[Candle] = []
        if freq == "1d":
            rows = await self._client.days(symbol, first, last, venue=self._venue, lane=Lane.DATA)
            found = [charts.day_candle(symbol, row) for row in rows]
        else:
            for date in (first + dt.timedelta(days=k) for k in range((last - first).days + 1)):
                if charts.session_close(date) is not None:
                    found += await self._minutes(symbol, date, since, min(until, now))
        return [each for each in found if since < each.close_time <= min(until, now)]

    async def _minutes(self, symbol: str, date: dt.date, since: int, until: int) -> list[Candle]:
        """Bars of one day, from the minute before on: a bar's value is what its total is above that one's."""
        begin, end = max(since - charts.MINUTE, moment(date, "000000")), min(until, moment(date, "235959"))
        rows = await self._client.minutes(
            symbol, date, since=charts.label(begin // charts.MINUTE * charts.MINUTE), until=charts.label(end),
            venue=self._venue,
        )  # fmt: skip
        return charts.minute_candles(symbol, rows, after_hours=not self._closes)

    # --- the morning --------------------------------------------------------------------------------------------------

    async def day(self, symbols: Sequence[str]) -> Sequence[InstrumentDay]:
        """What is known of today's session before it opens. Names are asked for one by one, once a day: what was told
        before an error stays known. Names that KIS does not know are left out."""
        today = self._client.today()
        if self._known[0] != today:
            self._known = (today, {})
        known = self._known[1]
        new = [name for name in dict.fromkeys(symbols) if name not in known]
        told = await self._client.snapshots(new, venue=self._venue) if self.at_once and new else {}
        for name in new:
            try:
                price = await self._client.price(name)
                before = told[name].previous_close if name in told else await self._close_before(name, today)
                known[name] = _instrument(price, before)
            except Refused as problem:
                self._stream.counts[f"unknown names {problem.code}"] += 1
                known[name] = None
        return [found for name in symbols if (found := known[name]) is not None]

    async def _close_before(self, symbol: str, today: dt.date) -> float:
        """Raw close of the session before today; 0.0 where there is none."""
        rows = await self._client.days(symbol, today - AROUND, today - dt.timedelta(days=1), lane=Lane.DATA)
        return rows[-1].close if rows else 0.0


def _instrument(price: Price, previous_close: float) -> InstrumentDay:
    return InstrumentDay(
        symbol=price.symbol, base=price.base, previous_close=previous_close or price.base, halted=price.halted,
        managed=price.managed, liquidation=price.liquidation, single_price=price.overheated,
        first_day=not previous_close, leverage=_leverage(price),
    )  # fmt: skip


def _leverage(price: Price) -> float:
    """A fund's multiple, which KIS tells by the limits alone: they are twice or three times as far from the base, up
    and down alike. 1 for all others; the limits of a first day are not alike, an ELW has none."""
    if not (price.base > 0.0 and price.upper > 0.0):
        return 1.0
    up, down = price.upper / price.base - 1.0, 1.0 - price.lower / price.base
    multiple = round(up / _WIDTH)
    alike = max(abs(up - multiple * _WIDTH), abs(down - multiple * _WIDTH)) <= _TICKS
    return float(multiple) if multiple in (2, 3) and alike else 1.0
