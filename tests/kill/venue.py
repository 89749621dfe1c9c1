"""An emulated exchange in a process of its own, reached through a socket: it does not notice that traders are killed.

Contract: time is paced, and the same in all processes of a campaign (`Pace`). A message is four bytes of length and a
pickle: (number, time, method, arguments) there, (number, answer) or (number, Refused) back, and (0, Notice) whenever
something happens to an order. A request to trade that is older than `REACH` does not arrive: real ones are closed long
before that, and here a busy machine would else deliver one minutes late. Which order of the trader each order at the
exchange is, is remembered here and told to nobody but the judge: no broker of Korea knows a client's order id.
"""

from __future__ import annotations

import asyncio
import contextlib
import pickle
import time
from collections import deque
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np

from quantkit.emulator.exchange import BarSource, Exchange, random_bars
from quantkit.errors import Refused
from quantkit.live.clock import SECOND, VirtualClock, run_paced
from quantkit.live.windows import Span, session_of
from quantkit.trading.orders import OrderType, Side
from quantkit.trading.ports import Notice, Ticket

ACCOUNT: Final = "killed"
CASH: Final = 200_000_000
NAMES: Final = 24
REACH: Final = 25 * SECOND  # of the exchange, after which a request is lost; the engine counts on 30 s
_TRIP: Final = (0.05, 0.6)  # seconds of the exchange that half a request takes
_TRADING: Final = frozenset({"submit", "cancel", "modify"})


def day_of_trading() -> Span:
    """The session that a campaign trades in."""
    span = session_of(np.datetime64("2025-06-10", "D").item())
    assert span is not None
    return span


class Pace(NamedTuple):
    """Exchange time of all processes: `start` at the machine's monotonic `base`, `speed` times as fast."""

    start: int
    base: int
    speed: float

    def now(self) -> int:
        return self.start + round((time.monotonic_ns() - self.base) * self.speed)


def market(seed: int) -> Exchange:
    """A made-up market of one day with many small names."""
    bars = random_bars(seed=seed, symbols=NAMES, sessions_count=25)
    day = int(np.datetime64(day_of_trading().date, "D").astype(np.int64))
    made = Exchange(BarSource(bars, start=day, end=day, tick_seconds=20.0), seed=seed, interrupts=False)
    made.open_account(ACCOUNT, CASH)
    return made


def packed(message: object) -> bytes:
    """One message on the wire."""
    data = pickle.dumps(message)
    return len(data).to_bytes(4, "big") + data


async def unpacked(reader: asyncio.StreamReader) -> Any:
    """The next message; IncompleteReadError where the other side is gone."""
    size = int.from_bytes(await reader.readexactly(4), "big")
    return pickle.loads(await reader.readexactly(size))


class Venue:
    """Serves one exchange."""

    def __init__(self, exchange: Exchange, clock: VirtualClock, seed: int) -> None:
        self.exchange, self.clock = exchange, clock
        self.owners: dict[str, str] = {}  # number -> the trader's order
        self.stale = 0  # requests that came later than `REACH`
        self._random = np.random.default_rng(seed)
        self._over = asyncio.Event()

    async def serve(self, path: Path) -> None:
        """Until somebody says `finish`."""
        server = await asyncio.start_unix_server(self._client, path)
        async with server:
            await self._over.wait()

    async def _client(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.exchange.advance(self.clock.now_ns())
        heard = self.exchange.listen(ACCOUNT)
        loop = asyncio.get_running_loop()
        telling = loop.create_task(self._tell(heard, writer))
        answering: set[asyncio.Task[None]] = set()
        try:
            while True:
                task = loop.create_task(self._answer(await unpacked(reader), writer))
                answering.add(task)
                task.add_done_callback(answering.discard)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass  # killed: requests that are on their way arrive all the same
        finally:
            telling.cancel()
            self.exchange.desk.deafen(ACCOUNT, heard)
            await asyncio.gather(*answering, return_exceptions=True)
            with contextlib.suppress(OSError):
                writer.close()

    async def _tell(self, heard: deque[Notice], writer: asyncio.StreamWriter) -> None:
        while True:
            await asyncio.sleep(0.5)
            self.exchange.advance(self.clock.now_ns())
            while heard and not writer.is_closing():
                writer.write(packed((0, heard.popleft())))
            with contextlib.suppress(ConnectionError):
                await writer.drain()

    async def _answer(self, message: tuple[int, int, str, tuple[Any, ...]], writer: asyncio.StreamWriter) -> None:
        number, sent, method, given = message
        await asyncio.sleep(float(self._random.uniform(*_TRIP)))
        self.exchange.advance(self.clock.now_ns())
        if method in _TRADING and self.exchange.now - sent > REACH:
            self.stale += 1
            return
        answer: object
        try:
            answer = getattr(self, method)(*given)
        except Refused as refused:
            answer = refused
        await asyncio.sleep(float(self._random.uniform(*_TRIP)))
        with contextlib.suppress(ConnectionError):
            if not writer.is_closing():
                writer.write(packed((number, answer)))
                await writer.drain()

    # --- what can be asked ------------------------------------------------------------------------------------------

    def submit(
        self, order: str, symbol: str, side: Side, quantity: int, type_: OrderType, price: float | None
    ) -> Ticket:
        placed = self.exchange.submit(ACCOUNT, symbol, side, quantity, type=type_, price=price)
        self.owners[placed.number] = order
        return Ticket(number=placed.number, time=self.exchange.now)

    def cancel(self, number: str, quantity: int) -> Ticket:
        return Ticket(number=self.exchange.cancel(ACCOUNT, number, quantity), time=self.exchange.now)

    def modify(self, number: str, quantity: int, price: float | None) -> Ticket:
        placed = self.exchange.replace(ACCOUNT, number, quantity, price)
        self.owners[placed.number] = self.owners[number]
        return Ticket(number=placed.number, time=self.exchange.now)

    def orders(self) -> object:
        return self.exchange.orders(ACCOUNT)

    def positions(self) -> object:
        return self.exchange.positions(ACCOUNT)

    def cash(self) -> object:
        return self.exchange.cash(ACCOUNT)

    def sellable(self, symbol: str) -> int:
        return self.exchange.desk.account(ACCOUNT).sellable(symbol)

    def day(self) -> object:
        return self.exchange.instruments(self.exchange.issues)

    def prices(self) -> dict[str, float]:
        for issue in self.exchange.issues.values():
            issue.sync()
        return {symbol: float(issue.last) for symbol, issue in self.exchange.issues.items()}

    def books(self) -> dict[str, Any]:
        """For the judge: the account as it is, and whose each order is."""
        account = self.exchange.desk.account(ACCOUNT)
        shares = {symbol: held for symbol, held in account.shares.items() if held}
        filled = {number: order.filled for number, order in account.orders.items()}
        chained = {number: order.original for number, order in account.orders.items() if order.original}
        times = {number: order.time for number, order in account.orders.items()}
        return {
            "cash": account.total, "shares": shares, "filled": filled, "owners": self.owners, "chained": chained,
            "times": times, "stale": self.stale,
        }  # fmt: skip

    def finish(self) -> None:
        self._over.set()


def run_venue(path: Path, pace: Pace, seed: int) -> None:
    """The exchange's process."""

    async def main(clock: VirtualClock) -> None:
        exchange = market(seed)
        exchange.advance(clock.now_ns())
        await Venue(exchange, clock, seed).serve(path)

    run_paced(main, start=pace.now(), speed=pace.speed)
