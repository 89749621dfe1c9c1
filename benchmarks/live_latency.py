"""Tick to order, on the real clock: 500 names, 5,000 ticks a second, journal on disk.

Work: a whole host (hub, ten-second bars, decider, fold, gates, journal, runner) over a feed of 5,000 ticks a second of
500 names. The rule holds all names with a stop; twenty times a second the price of one falls through it. Measured for
each stop: from the tick's arrival in this process to the order in the hands of the broker. In between: the hub's
batch, the account's inbox, the fold's step, the gates, one durable transaction (SQLite, synchronous=FULL), the request.
The broker answers at once, from memory.

The floor: an asyncio queue, then a row of as many bytes in a SQLite file with the same durability, while the same ticks
are read and thrown away. It says what this disk and this machine's load leave of the bound.

usage: python benchmarks/live_latency.py [--json] [--side NAME]
"""

from __future__ import annotations

import asyncio
import json
import sqlite3
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from common import run_sides

import quantkit as qk
from quantkit.data.bars import Bars
from quantkit.host import Deployment, Host, Hosted
from quantkit.live.clock import SECOND, VirtualClock, run_paced, seeded_random
from quantkit.live.hub import MarketHub
from quantkit.live.journal import read_journal
from quantkit.live.pauses import frozen
from quantkit.live.windows import session_of
from quantkit.market.costs import Costs
from quantkit.trading.approval import Approved
from quantkit.trading.events import Kind
from quantkit.trading.orders import Side
from quantkit.trading.ports import (
    BrokerOrder,
    Candle,
    Capabilities,
    Cash,
    InstrumentDay,
    Notice,
    Position,
    Tick,
    Ticket,
)

NAMES, RATE, STOPS, EVERY = 500, 5_000, 400, 0.05
CASH, PRICE = 10_000_000_000, 10_000.0
SYMBOLS = tuple(f"{number + 1:05d}0" for number in range(NAMES))
STEP = 10
SPAN = session_of(np.datetime64("2025-06-10", "D").item())


class Hold(qk.Strategy):
    """A thousand shares of everything, with a stop; what it sold it does not buy again."""

    policy = qk.Policy(weighting="shares", amount=1_000, collar=0.03, stop_loss=0.02, cooldown=1_000)

    def targets(self, bars: Bars) -> Any:
        return np.ones((len(bars), len(bars.symbols)), bool)


def history() -> Bars:
    """Two bars of the session before."""
    assert SPAN is not None
    last = int(SPAN.opens // 1_000 - (17 * 3_600 + 1_800) * 10**6)
    flat = np.full((2, NAMES), PRICE)
    fields = dict.fromkeys(("open", "high", "low", "close"), flat) | {"volume": np.full((2, NAMES), 1_000.0)}
    times = np.array([last - STEP * 10**6, last])
    return Bars(times=times, symbols=SYMBOLS, fields=fields, markets="KOSPI", freq=f"{STEP}s")


class Prices:
    """The feed. `fall` lets the next tick of a name go through its stop; `arrived`: when that was."""

    def __init__(self, clock: VirtualClock) -> None:
        self.clock = clock
        self.falling: list[str] = []
        self.arrived: dict[str, float] = {}
        self.low: dict[str, float] = {}
        self.count = 0

    async def connect(self) -> None: ...
    async def close(self) -> None: ...
    async def subscribe(self, symbols: Sequence[str]) -> None: ...

    async def stream(self) -> AsyncIterator[Tick]:
        loop, begun = asyncio.get_running_loop(), None
        while True:
            begun = begun or loop.time()
            due = round((loop.time() - begun) * RATE) - self.count
            for _ in range(due):
                yield self._next()
            await asyncio.sleep(0.002)

    def _next(self) -> Tick:
        self.count += 1
        now = self.clock.now_ns()
        if self.falling:
            symbol = self.falling.pop()
            self.low[symbol] = PRICE * 0.97
            self.arrived[symbol] = time.perf_counter()
        else:
            symbol = SYMBOLS[self.count % NAMES]
        return Tick(symbol, now, self.low.get(symbol, PRICE), 1)

    async def candles(self, symbol: str, freq: str, since: int, until: int) -> Sequence[Candle]:  # noqa: ARG002
        return []

    async def day(self, symbols: Sequence[str]) -> Sequence[InstrumentDay]:
        return [InstrumentDay(symbol=symbol, base=PRICE, previous_close=PRICE) for symbol in symbols]


class Fills:
    """The broker: every order fills at once, at the market's price."""

    capabilities = Capabilities(name="memory", execution_numbers=True, cumulative_notices=True)

    def __init__(self, clock: VirtualClock, prices: Prices) -> None:
        self.clock, self.prices = clock, prices
        self.money, self.held = CASH, dict.fromkeys(SYMBOLS, 0)
        self.lines: list[BrokerOrder] = []
        self.latency: list[float] = []
        self._heard: asyncio.Queue[Notice] = asyncio.Queue()

    async def connect(self) -> None: ...
    async def close(self) -> None: ...

    async def submit(self, order: Approved) -> Ticket:
        handed = time.perf_counter()
        symbol, side = order.order.intent.symbol, order.order.intent.side
        price = self.prices.low.get(symbol, PRICE)
        if side is Side.SELL and symbol in self.prices.arrived:
            self.latency.append(handed - self.prices.arrived[symbol])
        number, now, value = f"{len(self.lines) + 1:08d}", self.clock.now_ns(), round(price * order.quantity)
        self.held[symbol] += side.sign * order.quantity
        self.money -= side.sign * value
        self.lines.append(
            BrokerOrder(
                number=number, symbol=symbol, side=side, quantity=order.quantity, filled=order.quantity, value=value,
                leaves=0, type=order.order.intent.type, time=now, price=order.price, status="filled",
            )
        )  # fmt: skip
        self._heard.put_nowait(
            Notice(number=number, kind="filled", symbol=symbol, side=side, quantity=order.quantity, time=now,
                   price=price, execution=number, cumulative=order.quantity)
        )  # fmt: skip
        return Ticket(number=number, time=now)

    async def cancel(self, number: str, symbol: str, quantity: int) -> Ticket:
        raise NotImplementedError

    async def modify(self, number: str, symbol: str, quantity: int, price: float | None) -> Ticket:
        raise NotImplementedError

    async def orders(self) -> Sequence[BrokerOrder]:
        return list(self.lines)

    async def positions(self) -> Sequence[Position]:
        return [Position(symbol=name, quantity=held, sellable=held) for name, held in self.held.items() if held]

    async def cash(self) -> Cash:
        return Cash(today=self.money, next_1=self.money, next_2=self.money, orderable=self.money)

    async def orderable_cash(self, symbol: str, price: float | None) -> int:  # noqa: ARG002
        return self.money

    async def sellable(self, symbol: str) -> int:
        return self.held[symbol]

    async def notices(self) -> AsyncIterator[Notice]:
        while True:
            yield await self._heard.get()


def spread(seconds: Sequence[float]) -> dict[str, float]:
    """p50, p99 and the largest, in milliseconds."""
    found = np.array(seconds) * 1_000
    return {
        "orders": len(found), "p50_ms": float(np.percentile(found, 50)), "p99_ms": float(np.percentile(found, 99)),
        "max_ms": float(found.max()),
    }  # fmt: skip


def ours() -> dict[str, float]:
    """The live engine."""
    assert SPAN is not None
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder) / "bench.sqlite"

        async def main(clock: VirtualClock) -> dict[str, float]:
            prices = Prices(clock)
            broker = Fills(clock, prices)
            hub = MarketHub(prices, clock, chance=seeded_random(1))
            rule = Deployment(name="hold", strategy=Hold(), bars=history(), capital=float(CASH), costs=Costs.free())
            host = Host(
                [Hosted(name="bench", deployments=[rule], broker=lambda _: broker, journal=place)],
                hub, clock, chance=seeded_random(2), owner="benchmark",
            )  # fmt: skip
            running = asyncio.create_task(host.run())
            await _holds(broker)
            await clock.sleep_until(SPAN.opens + (STEP + 5) * SECOND)  # the first bar is over
            begun, ticks = clock.now_ns(), prices.count
            for symbol in SYMBOLS[:STOPS]:
                prices.falling.append(symbol)
                await asyncio.sleep(EVERY)
            await asyncio.sleep(1.0)
            ended, seconds = clock.now_ns(), (clock.now_ns() - begun) / SECOND
            host.stop(by="benchmark")
            await running
            last = ended - 2 * SECOND  # a bar after that may still be waiting for late ticks
            entries = [recorded.entry for recorded in read_journal(place, "bench").read()]
            bars = [entry.payload["bar"] for entry in entries if entry.kind is Kind.BAR_FOLDED]
            folded = [end for end in bars if begun < end <= last]
            edges = last // (STEP * SECOND) - begun // (STEP * SECOND)
            return spread(broker.latency) | {
                "ticks_s": round((prices.count - ticks) / seconds), "bars": len(folded),
                "bars_missed": int(edges) - len(folded),
            }  # fmt: skip

        with frozen():
            return run_paced(main, start=SPAN.opens - 105 * SECOND, speed=1.0)


async def _holds(broker: Fills) -> None:
    """Until all names are held, from the opening auction."""
    loop = asyncio.get_running_loop()
    until = loop.time() + 150.0
    while not all(broker.held.values()):
        await asyncio.sleep(0.5)
        if loop.time() > until:
            raise RuntimeError("the names were not bought in the opening auction: the machine is too busy to measure")


def floor() -> dict[str, float]:
    """A queue and a durable row."""
    with tempfile.TemporaryDirectory() as folder:
        base = sqlite3.connect(Path(folder) / "floor.sqlite", isolation_level=None)
        base.execute("PRAGMA journal_mode=WAL")
        base.execute("PRAGMA synchronous=FULL")
        base.execute("CREATE TABLE journal (seq INTEGER PRIMARY KEY, payload TEXT)")
        payload = json.dumps({"kind": "order", "text": "x" * 1_500})

        async def main(clock: VirtualClock) -> dict[str, float]:
            prices, inbox, latency = Prices(clock), asyncio.Queue[str](), []

            async def read() -> None:
                async for tick in prices.stream():
                    if tick.symbol in prices.arrived and tick.symbol not in done:
                        done.add(tick.symbol)
                        inbox.put_nowait(tick.symbol)

            async def write() -> None:
                while True:
                    symbol = await inbox.get()
                    base.execute("INSERT INTO journal (payload) VALUES (?)", (payload,))
                    latency.append(time.perf_counter() - prices.arrived[symbol])

            done: set[str] = set()
            tasks = [asyncio.create_task(read()), asyncio.create_task(write())]
            for symbol in SYMBOLS[:STOPS]:
                prices.falling.append(symbol)
                await asyncio.sleep(EVERY)
            await asyncio.sleep(0.5)
            for task in tasks:
                task.cancel()
            return spread(latency)

        return run_paced(main, start=0, speed=1.0)


SIDES: dict[str, Callable[[], dict[str, float]]] = {"quantkit": ours, "queue and durable row": floor}

if __name__ == "__main__":
    run_sides(
        __file__, SIDES, time="p99_ms", packages=("numpy", "sqlalchemy"),
        title=f"Tick to order: {NAMES} names, {RATE:,} ticks/s, journal on disk (bound: p99 20 ms, aim 5 ms)",
    )  # fmt: skip
