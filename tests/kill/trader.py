"""The process that is killed: a whole host with one account, trading at an exchange in another process.

Contract: the strategy has no memory (a hash of time and name says what it wants), so that a restart in the middle of
the day needs no more history than it starts with. `Death` says where the process ends itself; else others do that.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import signal
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

import quantkit as qk
import quantkit.host
from quantkit.data.bars import Bars
from quantkit.errors import OutcomeUnknown, Refused, RetryLater
from quantkit.host import Deployment, Host, Hosted
from quantkit.live.bars import Bar
from quantkit.live.clock import SECOND, VirtualClock, run_paced, seeded_random
from quantkit.live.engine import Engine
from quantkit.live.hub import Subscription
from quantkit.live.journal import open_journal
from quantkit.live.messages import MarketData
from quantkit.live.runner import AccountRunner, RunnerSettings
from quantkit.trading.approval import Approved
from quantkit.trading.ports import BrokerOrder, Capabilities, Cash, Notice, Position, Tick, Ticket
from tests.kill.venue import ACCOUNT, CASH, NAMES, Pace, day_of_trading, market, packed, unpacked

STEP = 5 * SECOND
SYMBOLS = tuple(f"{number + 1:05d}0" for number in range(NAMES))


class Death(NamedTuple):
    """Where the process kills itself: "append" or "submit", before or after its nth; "": nowhere."""

    where: str = ""
    after: bool = False
    nth: int = 0

    def comes(self, where: str, count: int, *, after: bool) -> None:
        if (where, after, count) == (self.where, self.after, self.nth):
            os.kill(os.getpid(), signal.SIGKILL)


class Flips(qk.Strategy):
    """In and out at the whim of a hash."""

    policy = qk.Policy(weighting="equal", gross=0.2, funding="cash", collar=0.03)

    def targets(self, bars: Bars) -> Any:
        word = bars.times[:, None] // (STEP // 1_000) * 2_654_435_761 + np.arange(len(bars.symbols)) * 40_503
        return (word >> 7) % 5 < 2


def history() -> Bars:
    """The last two bars of the session before."""
    last = int(day_of_trading().opens // 1_000 - 17 * 3_600 * 10**6 - 30 * 60 * 10**6)
    times = np.array([last - STEP // 1_000, last])
    close = np.full((2, NAMES), 10_000.0)
    fields = dict.fromkeys(("open", "high", "low", "close"), close) | {"volume": np.full((2, NAMES), 1_000.0)}
    return Bars(times=times, symbols=SYMBOLS, fields=fields, markets="KOSPI", freq="5s")


class Wire:
    """The broker's port over the socket, and the few questions of a feed."""

    capabilities = Capabilities(name="venue", execution_numbers=True, cumulative_notices=True)

    def __init__(self, path: Path, clock: VirtualClock, death: Death) -> None:
        self.path, self.clock, self.death = path, clock, death
        self.connected = asyncio.Event()
        self._numbers, self._submits = itertools.count(1), itertools.count(1)
        self._asked: dict[int, asyncio.Future[Any]] = {}
        self._heard: asyncio.Queue[Notice | None] = asyncio.Queue()
        self._writer: asyncio.StreamWriter | None = None
        self._reading: asyncio.Task[None] | None = None

    async def connect(self) -> None:
        if self._writer is not None:
            return
        try:
            reader, self._writer = await asyncio.open_unix_connection(self.path)
        except OSError as error:
            raise RetryLater(f"no exchange: {error}") from error
        self._reading = asyncio.get_running_loop().create_task(self._read(reader))
        self.connected.set()

    async def close(self) -> None:
        if self._writer is not None and self._reading is not None:
            self._reading.cancel()
            self._writer.close()
            self._writer = None
            self.connected.clear()
            self._heard.put_nowait(None)

    async def _read(self, reader: asyncio.StreamReader) -> None:
        while True:
            number, answer = await unpacked(reader)
            if number == 0:
                self._heard.put_nowait(answer)
            elif (future := self._asked.pop(number, None)) is not None and not future.done():
                future.set_result(answer)

    async def ask(self, method: str, *given: Any) -> Any:
        if self._writer is None:
            raise RetryLater(f"{method}: not connected")
        number, future = next(self._numbers), asyncio.get_running_loop().create_future()
        self._asked[number] = future
        self._writer.write(packed((number, self.clock.now_ns(), method, given)))
        await self._writer.drain()
        answer = await future
        if isinstance(answer, Refused):
            raise answer
        return answer

    async def submit(self, order: Approved) -> Ticket:
        intent, count = order.order.intent, next(self._submits)
        self.death.comes("submit", count, after=False)
        asking = asyncio.ensure_future(
            self.ask("submit", order.order.id, intent.symbol, intent.side, order.quantity, intent.type, order.price)
        )
        await asyncio.sleep(0)  # the request leaves
        self.death.comes("submit", count, after=True)
        try:
            return await asking  # type: ignore[no-any-return]
        except ConnectionError as error:
            raise OutcomeUnknown(f"submit: {error}") from error

    async def cancel(self, number: str, symbol: str, quantity: int) -> Ticket:
        return await self.ask("cancel", number, quantity)  # type: ignore[no-any-return]

    async def modify(self, number: str, symbol: str, quantity: int, price: float | None) -> Ticket:
        return await self.ask("modify", number, quantity, price)  # type: ignore[no-any-return]

    async def orders(self) -> Sequence[BrokerOrder]:
        return await self.ask("orders")  # type: ignore[no-any-return]

    async def positions(self) -> Sequence[Position]:
        return await self.ask("positions")  # type: ignore[no-any-return]

    async def cash(self) -> Cash:
        return await self.ask("cash")  # type: ignore[no-any-return]

    async def orderable_cash(self, symbol: str, price: float | None) -> int:
        return (await self.cash()).orderable

    async def sellable(self, symbol: str) -> int:
        return await self.ask("sellable", symbol)  # type: ignore[no-any-return]

    async def notices(self) -> AsyncIterator[Notice]:
        while (notice := await self._heard.get()) is not None:
            yield notice


class Quotes:
    """Stands where a hub stands: prices every second, a bar every five, from what the exchange says."""

    up, market = True, "KOSPI"

    def __init__(self, wire: Wire, clock: VirtualClock) -> None:
        self.wire, self.clock = wire, clock
        self.wanted: Subscription | None = None
        self.trading = True

    def subscribe(self, subscription: Subscription) -> None:
        self.wanted = subscription

    def leave(self, name: str) -> None:
        self.wanted = None

    async def run(self) -> None:
        await self.wire.connected.wait()
        assert self.wanted is not None
        assert self.wanted.on_session is not None
        self.wanted.on_session(day_of_trading(), tuple(await self.wire.ask("day")))
        edge = (self.clock.now_ns() // STEP + 1) * STEP
        while self.trading:
            await asyncio.sleep(1.0)
            prices, now = await self.wire.ask("prices"), self.clock.now_ns()
            assert self.wanted.on_data is not None
            self.wanted.on_data(MarketData(now, tuple(Tick(name, now, price, 1) for name, price in prices.items())))
            if now >= edge:
                self.wanted.on_bar(self._bar(prices, edge, now))
                edge = (now // STEP + 1) * STEP
        await asyncio.Event().wait()

    def _bar(self, prices: dict[str, float], edge: int, now: int) -> Bar:
        close, yes = np.array([prices[name] for name in SYMBOLS]), np.ones(NAMES, bool)
        volume = np.full(NAMES, 1_000.0)
        return Bar(edge - STEP, edge, now, SYMBOLS, close, close, close, close, volume, close * volume, yes, yes, True)


def deployment() -> Deployment:
    return Deployment(name="flips", strategy=Flips(), bars=history(), capital=float(CASH))


def run_trader(path: Path, journal: str, pace: Pace, *, death: Death, ready: int, calm: bool, owner: str) -> None:
    """A life. ready: file descriptor that hears a byte when the account runs; calm: trade nothing, settle and leave."""

    def opened(*given: Any, **options: Any) -> Any:
        made = open_journal(*given, **options)
        append, appends = made.append, itertools.count(1)

        def counted(*entries: Any, **more: Any) -> Any:
            count = next(appends)
            death.comes("append", count, after=False)
            done = append(*entries, **more)
            death.comes("append", count, after=True)
            return done

        made.append = counted  # type: ignore[method-assign]
        return made

    async def main(clock: VirtualClock) -> None:
        wire = Wire(path, clock, death)
        quotes = Quotes(wire, clock)
        quotes.trading = not calm
        account = Hosted(name=ACCOUNT, deployments=[deployment()], broker=lambda _: wire, journal=journal)

        async def tell() -> None:
            while not _ready(host.supervisor.runners.get(ACCOUNT)):
                await asyncio.sleep(0.5)
            os.write(ready, b"r")
            if calm:
                await settled(host, clock)
                host.stop(by="campaign")
            await asyncio.Event().wait()

        host = Host(
            [account], quotes, clock, chance=seeded_random(os.getpid()), owner=owner, services={"ready": tell},  # type: ignore[arg-type]
            settings=RunnerSettings(snapshot_every=200, intake=30.0),
        )  # fmt: skip
        await host.run()

    vars(quantkit.host)["open_journal"] = opened
    run_paced(main, start=pace.now(), speed=pace.speed)


async def settled(host: Host, clock: VirtualClock) -> None:
    """Until every order has ended and what the broker shows has been the same for a while; 20 minutes at the most."""
    quiet, until = 0, clock.now_ns() + 1_200 * SECOND
    while quiet < 45 and clock.now_ns() < until:
        await asyncio.sleep(1.0)
        quiet = 0 if _busy(host.supervisor.runners.get(ACCOUNT)) else quiet + 1


def _ready(runner: AccountRunner | None) -> bool:
    """Whether an account runs and agrees with the exchange."""
    return runner is not None and isinstance(runner.engine, Engine) and runner.engine.now.phase == "ready"


def _busy(runner: AccountRunner | None) -> bool:
    if runner is None or not _ready(runner):
        return True
    engine = runner.engine
    assert isinstance(engine, Engine)
    return bool(engine.working or engine.waiting or engine.unconfirmed)


def warm(seed: int) -> None:
    """Load and compile what a trader needs, once, before it is forked."""
    from quantkit.host import new_sleeve
    from quantkit.live.deciding import Decider
    from quantkit.live.journal import MemoryJournal
    from quantkit.live.recovery import recover

    made = deployment()
    engine = recover(MemoryJournal(ACCOUNT), [new_sleeve(made)])
    market(seed)
    Decider(made.terms, made.bars, deployment=made.name)
    assert engine.account == ACCOUNT
