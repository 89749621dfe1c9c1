"""Benches of the contract suite: each broker with a market that the test moves."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from quantkit.brokers.paper import Latency, PaperBroker
from quantkit.emulator.exchange import Exchange
from quantkit.emulator.faults import Fault, FaultKind, FaultPlan
from quantkit.emulator.port import EmulatedBroker
from quantkit.emulator.session import day_of
from quantkit.emulator.sources import SymbolDay
from quantkit.errors import BadData
from quantkit.live.clock import VirtualClock
from quantkit.market.costs import Costs
from quantkit.trading.approval import Approved
from quantkit.trading.orders import OrderType, Side
from quantkit.trading.ports import Candle, InstrumentDay, Quote, Tick
from tests.brokers.contract import Bench

SECOND = 1_000_000_000
TEN = int(np.datetime64("2026-09-21T01:00:00", "ns").astype(np.int64))  # ten in the morning, Seoul
SYMBOL, OTHER, PRICE, TICK = "005930", "000660", 70_000.0, 100.0
SHARES, MONEY = 100, 50_000_000


def facts(symbol: str, **more: object) -> InstrumentDay:
    """What is known of a name in the morning."""
    return InstrumentDay(symbol=symbol, base=PRICE, previous_close=PRICE, **more)  # type: ignore[arg-type]


class PaperBench(Bench):
    """A paper account on prices that the test makes up."""

    start = TEN
    symbol, other, price, tick, shares, money = SYMBOL, OTHER, PRICE, TICK, SHARES, MONEY

    def __init__(self, clock: VirtualClock, *, state: Path | None = None, share: float = 0.25) -> None:
        self.clock, self.share = clock, share
        self.broker = PaperBroker("test", clock=clock, cash=MONEY, state=state, costs=Costs.kis(), share=share,
                                  latency=Latency(80, 40))  # fmt: skip
        self.broker.desk.ledger.shares[SYMBOL] = SHARES
        self.broker.desk.ledger.spent[SYMBOL] = SHARES * PRICE
        for symbol in (SYMBOL, OTHER):
            self.broker.learn(facts(symbol))
            self._tick(symbol, PRICE, 4)

    def _tick(self, symbol: str, price: float, volume: int, *, auction: bool = False) -> None:
        self.broker.observe(Tick(symbol, self.clock.now_ns(), price, volume, auction=auction))

    async def offer(self, symbol: str, side: Side, price: float, shares: int) -> None:
        levels = ((price, shares),)
        bids, asks = ((), levels) if side is Side.SELL else (levels, ())
        self.broker.observe(Quote(symbol, self.clock.now_ns(), bids, asks))

    async def trade(self, symbol: str, side: Side, price: float, shares: int) -> None:
        self._tick(symbol, price - side.sign * TICK, round(shares / self.share))

    async def until_closed(self) -> None:
        await self.clock.sleep_until(TEN + 6 * 3_600 * SECOND)

    async def unanswered(self, order: Approved) -> None:
        sending = asyncio.ensure_future(self.broker.submit(order))
        for _ in range(100):
            await asyncio.sleep(0.001)
            if any(each.quantity == order.quantity for each in self.broker.desk.open_orders()):
                break
        else:
            raise BadData("the order never arrived")
        await self.broker.close()
        try:
            await sending
        finally:
            await self.broker.connect()


class Quiet:
    """A day on which nobody trades."""

    symbols = (SYMBOL, OTHER)

    def days(self) -> Sequence[int]:
        return [day_of(TEN)]

    def day(self, day: int) -> Mapping[str, SymbolDay]:
        return {
            symbol: SymbolDay(symbol=symbol, market="KOSPI", base=PRICE, previous_close=PRICE)
            for symbol in self.symbols
        }  # fmt: skip

    def history(self, symbol: str, freq: str, since: int, until: int) -> Sequence[Candle]:
        return []


class EmulatorBench(Bench):
    """An account at the emulated exchange; another account is the rest of the market."""

    start = TEN
    symbol, other, price, tick, shares, money = SYMBOL, OTHER, PRICE, TICK, SHARES, MONEY

    def __init__(self, clock: VirtualClock) -> None:
        self.clock = clock
        self.exchange = Exchange(Quiet(), interrupts=False)
        self.exchange.open_account("test", MONEY, shares={SYMBOL: SHARES})
        self.exchange.open_account("others", 10**12, shares={SYMBOL: 10**6, OTHER: 10**6})
        self.exchange.advance(TEN)
        self.broker = EmulatedBroker(self.exchange, "test", now=clock.now_ns)

    async def offer(self, symbol: str, side: Side, price: float, shares: int) -> None:
        for each in self.exchange.orders("others"):
            if each.leaves:
                self.exchange.cancel("others", each.number)
        self._send(symbol, side, price, shares)

    async def trade(self, symbol: str, side: Side, price: float, shares: int) -> None:
        self.exchange.advance(self.clock.now_ns())
        ours = next(
            each for each in self.exchange.orders("test")
            if (each.symbol, each.side, each.price) == (symbol, side, price) and each.leaves
        )  # fmt: skip
        self.exchange.strike("test", ours.number, shares)

    def _send(self, symbol: str, side: Side, price: float, shares: int) -> None:
        self.exchange.advance(self.clock.now_ns())
        self.exchange.submit("others", symbol, side, shares, type=OrderType.LIMIT, price=price)

    async def until_closed(self) -> None:
        await self.clock.sleep_until(TEN + 6 * 3_600 * SECOND)

    async def unanswered(self, order: Approved) -> None:
        self.broker.faults = FaultPlan([Fault(FaultKind.ANSWER_LOST, on=("submit",), nth=(1,))])
        try:
            await self.broker.submit(order)
        finally:
            self.broker.faults = FaultPlan()
