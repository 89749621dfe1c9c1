"""`PaperBroker`: a broker whose money is not real and whose prices are. It fills the port over a live feed.

Contract: on the clock and with the chance it is given. A request travels there and back, `Latency` long; what happens
on the way happens. An order that was taken is in the account's file before the answer leaves, and a fill before its
notice, so the account survives its process; a write that fails takes the change back. Errors are the port's three:
Refused as `desk` lists them, RetryLater (not connected, no word of the name yet, the file cannot be written: nothing
stands), and OutcomeUnknown, where the connection went while the answer was on its way.

`watch(feed)` gives the feed that the engine is to read: the broker sees everything on it first.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from quantkit.brokers.paper.desk import Desk
from quantkit.brokers.paper.store import Store
from quantkit.errors import ConfigError, OutcomeUnknown, Refused, RetryLater
from quantkit.market.costs import Costs
from quantkit.trading.ports import Beating, Capabilities, Ticket

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping, Sequence
    from pathlib import Path

    from quantkit.trading.approval import Approved
    from quantkit.trading.ports import (
        BrokerOrder,
        Candle,
        Cash,
        Feed,
        InstrumentDay,
        Lost,
        Notice,
        Position,
        Quote,
        Tick,
    )

_MILLISECOND = 1_000_000
Answer = TypeVar("Answer")


class Clock(Protocol):
    """What the broker needs of a clock: UTC nanoseconds, and waiting."""

    def now_ns(self) -> int:
        """Now."""

    async def sleep_until(self, at: int) -> None:
        """Return when it is that late."""


@dataclass(frozen=True, slots=True)
class Latency:
    """How long a request takes, there and back: `mean_ms`, give or take up to `jitter_ms`."""

    mean_ms: float = 80.0
    jitter_ms: float = 40.0

    def __post_init__(self) -> None:
        if not 0.0 <= self.jitter_ms <= self.mean_ms < 60_000.0:
            raise ConfigError(f"{self!r}: expected a jitter from 0 to the mean, the mean below a minute")

    def draw(self, chance: float) -> int:
        """Nanoseconds one way, for a number in [0, 1)."""
        return round((self.mean_ms + self.jitter_ms * (2.0 * chance - 1.0)) / 2.0 * _MILLISECOND)


class PaperBroker:
    """One paper account.

    cash      money of a new account, minor units; a file that is there goes before it
    state     the account's file; None: nothing survives
    market, markets, share   as `Desk`
    chance    numbers in [0, 1), for the latency
    """

    def __init__(
        self, account: str, *, clock: Clock, cash: int, state: Path | None = None, costs: Costs | None = None,
        market: str = "KOSPI", markets: Mapping[str, str] | None = None, share: float = 0.25,
        latency: Latency | None = None, chance: Callable[[], float] = lambda: 0.5,
    ) -> None:  # fmt: skip
        self.capabilities = Capabilities(
            name="paper", execution_numbers=True, cumulative_notices=True, list_lag=0.0, orders_per_second=20.0
        )
        self.account, self.market = account, market
        self.desk = Desk(cash, costs or Costs.kis(), market=market, markets=markets, share=share)
        self.generation = 0
        self._clock, self._latency, self._chance = clock, latency or Latency(), chance
        self._feed: Feed | None = None
        self._connected = False
        self._heard: list[tuple[int, Notice]] = []
        self._news = asyncio.Event()
        self._store = None if state is None else Store(state)
        found = None if self._store is None else self._store.read()
        if found is not None:
            if (found["account"], found["market"]) != (account, market):
                raise ConfigError(f"{state} is the paper account {found['account']} of {found['market']}")
            self.desk.read(found)
        self._saved: dict[str, Any] = self.desk.to_json()
        self._changes = self.desk.changes

    # --- the market -------------------------------------------------------------------------------------------------

    def watch(self, feed: Feed) -> WatchedFeed:
        """The same feed, with this broker looking on."""
        self._feed = feed
        return _WatchedBeating(feed, feed, self) if isinstance(feed, Beating) else WatchedFeed(feed, self)

    def observe(self, item: Tick | Quote) -> None:
        """A trade or a quote went by. RetryLater where a fill cannot be written: it has not happened."""
        self.desk.observe(item, self._clock.now_ns())
        self._keep()

    def learn(self, facts: InstrumentDay) -> None:
        """What is known of a name today."""
        self.desk.advance(self._clock.now_ns())
        self.desk.learn(facts)
        self._keep()

    # --- the port ---------------------------------------------------------------------------------------------------

    async def connect(self) -> None:
        """Open the order stream."""
        if self._connected:
            await self.close()
        self.generation += 1
        self._connected, self._heard = True, []
        self._advance()

    async def close(self) -> None:
        """Leave; open orders stay, and streams end."""
        self._connected = False
        self._wake()

    async def submit(self, order: Approved) -> Ticket:
        """Send one order."""
        intent = order.order.intent
        await self._there()
        await self._know(intent.symbol)
        held = self._done(
            lambda: self.desk.submit(
                intent.symbol, intent.side, order.quantity, type=intent.type, price=order.price, tif=intent.tif
            )
        )
        return await self._back(held.number, held.time)

    async def cancel(self, number: str, symbol: str, quantity: int) -> Ticket:
        """Take off what is left of an order, or `quantity` of it."""
        await self._there()
        taken = self._done(lambda: self.desk.cancel(number, symbol, quantity))
        return await self._back(taken, self.desk.now)

    async def modify(self, number: str, symbol: str, quantity: int, price: float | None) -> Ticket:
        """Replace what is left of an order."""
        await self._there()
        await self._know(symbol)
        held = self._done(lambda: self.desk.replace(number, symbol, quantity, price))
        return await self._back(held.number, held.time)

    async def orders(self) -> Sequence[BrokerOrder]:
        """The list of the day."""
        return await self._asked(self.desk.lines)

    async def positions(self) -> Sequence[Position]:
        """Shares held."""
        return await self._asked(self.desk.positions)

    async def cash(self) -> Cash:
        """Money by settlement day."""
        return await self._asked(self.desk.cash)

    async def orderable_cash(self, symbol: str, price: float | None) -> int:  # noqa: ARG002 - alike for all names
        """What a buy may bind now."""
        return await self._asked(self.desk.orderable)

    async def sellable(self, symbol: str) -> int:
        """What a sale may bind now."""
        return await self._asked(lambda: self.desk.sellable(symbol))

    async def notices(self) -> AsyncIterator[Notice]:
        """What happens to orders, from `connect` on."""
        if not self._connected:
            raise RetryLater("the paper broker is not connected")
        generation, heard, place = self.generation, self._heard, 0
        while self._connected and self.generation == generation:
            if place < len(heard):
                at, notice = heard[place]
                place += 1
                await self._clock.sleep_until(at)
                yield notice
            else:
                await self._news.wait()

    # --- travelling -------------------------------------------------------------------------------------------------

    async def _there(self) -> None:
        if not self._connected:
            raise RetryLater("the paper broker is not connected: nothing was sent")
        generation = self.generation
        await self._clock.sleep_until(self._clock.now_ns() + self._latency.draw(self._chance()))
        if not self._connected or self.generation != generation:
            raise RetryLater("the connection went before the request arrived")

    async def _back(self, number: str, time: int) -> Ticket:
        generation = self.generation
        await self._clock.sleep_until(self._clock.now_ns() + self._latency.draw(self._chance()))
        if not self._connected or self.generation != generation:
            raise OutcomeUnknown("the connection went before the answer came")
        return Ticket(number=number, time=time)

    async def _asked(self, question: Callable[[], Answer]) -> Answer:
        """The answer to a question, as it was when the question arrived."""
        await self._there()
        self._advance()
        answer = question()
        try:
            await self._back("", 0)
        except OutcomeUnknown as lost:
            raise RetryLater(str(lost)) from lost
        return answer

    async def _know(self, symbol: str) -> None:
        """Ask the feed about a name that nobody has told of yet. RetryLater where it does not answer."""
        self._advance()
        if symbol not in self.desk.sights and self._feed is not None:
            for facts in await self._feed.day([symbol]):
                self.learn(facts)

    def _advance(self) -> None:
        self.desk.advance(self._clock.now_ns())
        self._keep()

    def _done(self, act: Callable[[], Answer]) -> Answer:
        """Carry out a request and write it down."""
        self._advance()
        answer = act()
        self._keep()
        return answer

    def _keep(self) -> None:
        """Write what has changed, then tell of it. What cannot be written has not happened."""
        desk = self.desk
        if desk.changes != self._changes:
            document = desk.to_json()
            if self._store is not None:
                try:
                    self._store.write({"account": self.account, "market": self.market, **document})
                except (OSError, Refused) as problem:
                    desk.read(self._saved)
                    desk.events.clear()
                    self._changes = desk.changes
                    if isinstance(problem, Refused):
                        raise
                    raise RetryLater(f"the paper account cannot be written: {problem}") from problem
            self._saved, self._changes = document, desk.changes
        self._tell()

    def _tell(self) -> None:
        if not self.desk.events:
            return
        if self._connected:
            at = self._clock.now_ns() + self._latency.draw(self._chance())
            at = max(at, self._heard[-1][0] if self._heard else 0)
            self._heard += [(at, replace(notice, generation=self.generation)) for notice in self.desk.events]
        self.desk.events.clear()
        self._wake()

    def _wake(self) -> None:
        news, self._news = self._news, asyncio.Event()
        news.set()


class WatchedFeed:
    """A feed on which a paper broker looks on: it sees each item before whoever reads here does."""

    def __init__(self, feed: Feed, broker: PaperBroker) -> None:
        self._feed, self._broker = feed, broker

    async def connect(self) -> None:
        """Open the stream."""
        await self._feed.connect()

    async def close(self) -> None:
        """Leave."""
        await self._feed.close()

    async def subscribe(self, symbols: Sequence[str]) -> None:
        """Ask for these names."""
        await self._feed.subscribe(symbols)

    async def stream(self) -> AsyncIterator[Tick | Quote]:
        """Ticks and quotes as they come."""
        async for item in self._feed.stream():
            self._broker.observe(item)
            yield item

    async def candles(self, symbol: str, freq: str, since: int, until: int) -> Sequence[Candle]:
        """Finished bars."""
        return await self._feed.candles(symbol, freq, since, until)

    async def day(self, symbols: Sequence[str]) -> Sequence[InstrumentDay]:
        """What is known of today's session."""
        found = await self._feed.day(symbols)
        for facts in found:
            self._broker.learn(facts)
        return found


class _WatchedBeating(WatchedFeed):
    """One that gives signs of life: `trading.ports.Beating`."""

    def __init__(self, feed: Feed, life: Beating, broker: PaperBroker) -> None:
        super().__init__(feed, broker)
        self._life = life

    def heard(self) -> int:
        """When anything last came."""
        return self._life.heard()

    def lost(self) -> Sequence[Lost]:
        """What was missed."""
        return self._life.lost()

    def counts(self) -> Mapping[str, int]:
        """What came, and what was wrong with it."""
        return self._life.counts()
