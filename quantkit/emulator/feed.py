"""Our Feed port straight on the exchange, with the same faults in between.

Contract: fills `trading.ports.Feed`; ticks and quotes come as the exchange's time passes, in steps of `step` seconds,
stamped with the exchange's time and the connection's generation. `levels` prices of the book are told after each trade,
none by default; in a call, every `call_seconds`, what it would print. Errors: RetryLater, and ConfigError for more
names than `limit`.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING

from quantkit.emulator.candles import candles
from quantkit.emulator.port import Line
from quantkit.emulator.pulse import Pulse
from quantkit.emulator.session import CALLS, SECOND, day_of
from quantkit.errors import ConfigError, RetryLater

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Sequence

    from quantkit.emulator.exchange import Exchange, Watch
    from quantkit.emulator.faults import FaultPlan
    from quantkit.trading.ports import Candle, InstrumentDay, Quote, Tick


class EmulatedFeed(Line):
    """The Feed port of an exchange."""

    def __init__(
        self, exchange: Exchange, faults: FaultPlan | None = None, *, now: Callable[[], int],
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep, levels: int = 0, call_seconds: float = 10.0,
        limit: int | None = None, latency: tuple[float, float] = (0.02, 0.06), timeout: float = 5.0,
        step: float = 1.0,
    ) -> None:  # fmt: skip
        super().__init__(exchange, faults, now=now, sleep=sleep, latency=latency, timeout=timeout, step=step)
        self.levels, self.call_seconds, self.limit = levels, call_seconds, limit
        self._symbols: tuple[str, ...] = ()
        self._watch: Watch | None = None
        self._called = 0

    async def connect(self) -> None:
        """Open the stream; names have to be asked for again."""
        if not self.connected:
            await self.open("prices")

    async def close(self) -> None:
        """Leave."""
        self.shut()

    def gone(self) -> None:
        super().gone()
        if self._watch is not None:
            self.exchange.unwatch(self._watch)
            self._watch, self._symbols = None, ()

    async def subscribe(self, symbols: Sequence[str]) -> None:
        """Ask for these names, all that is wanted."""
        if self.limit is not None and len(symbols) > self.limit:
            raise ConfigError(f"{len(symbols)} names are asked for; this feed serves {self.limit}")
        if not self.connected:
            raise RetryLater("subscribe: not connected")
        if self._watch is not None:
            self.exchange.unwatch(self._watch)
        Pulse.of(self.exchange).hurry()
        self._symbols = tuple(symbols)
        self._watch = self.exchange.watch(symbols, levels=self.levels, generation=self.generation)

    async def stream(self) -> AsyncIterator[Tick | Quote]:
        """Ticks and quotes of this connection; RetryLater when it breaks."""
        generation = self.generation
        lossy = self.faults.concerns("tick")
        while True:
            if self.over(generation):
                return
            now = self.now()
            watch = self._watch
            if watch is None or not watch.items:
                self.ready.clear()
                await self.ready.wait()
                continue
            if self.stalled > now:
                await self.sleep((self.stalled - now) / SECOND)
                continue
            items, off = watch.items, self.faults.skew(now)
            while items and self._watch is watch:
                item = items.popleft()
                if lossy and self.faults.strikes("tick", now, item.symbol):  # it is missing, or cannot be read
                    continue
                yield replace(item, time=item.time + off) if off else item

    def passed(self, now: int) -> None:
        """Time has passed: the stream may stall or break, or there is something to tell."""
        self.socket("prices", now)
        watch = self._watch
        if watch is None:
            return
        if now >= self._called + round(self.call_seconds * SECOND):
            self._called = now
            for symbol in self._symbols:
                issue = self.exchange.issues.get(symbol)
                if issue is not None and issue.phase in CALLS:
                    watch.items.append(self.exchange.quote(symbol, generation=self.generation))
        if watch.items:
            self.ready.set()

    @property
    def eager(self) -> bool:
        """Whether names are asked for and the exchange is open."""
        clock = self.exchange.clock
        open_ = clock is not None and clock.orders <= self.exchange.now <= clock.close + 600 * SECOND
        return self._watch is not None and open_

    async def candles(self, symbol: str, freq: str, since: int, until: int) -> Sequence[Candle]:
        """Finished bars of one name that end in (since, until]."""
        return await self.ask("candles", lambda _: candles(self.exchange, symbol, freq, since, until), symbol)

    async def day(self, symbols: Sequence[str]) -> Sequence[InstrumentDay]:
        """What is known of today's names. RetryLater before 06:00 in Seoul, and on days the source lacks."""
        found = await self.ask("day", lambda _: self.exchange.instruments(symbols))
        if self.exchange.day != day_of(self.exchange.now):
            raise RetryLater("day: today's names are not known")
        return found
