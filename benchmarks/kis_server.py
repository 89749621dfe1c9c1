"""The far end of `kis_latency.py`, in a process of its own: it sends prices and notices, and stamps what it sees.

    emulator   KIS's emulated servers (실전) over a made-up session: 40 names, 2,000 trades a second; every 0.2 s the
               next name prints one trade 3 % lower, through the stop of whoever holds it
    bare       the same hops without anything of ours behind them: frames of the same bytes over `websockets`, requests
               taken by the same small HTTP server, and a sealed notice 10 ms after each

The first line of standard output is JSON: where it listens, and the keys. It ends when standard input does, and its
last line is JSON: what it sent and heard, stamped on the machine's monotonic clock, and how much of a core it took.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from websockets.asyncio.server import ServerConnection
from websockets.asyncio.server import serve as serve_sockets

import quantkit.emulator.kis.server as emulated
from quantkit.emulator.exchange import Exchange
from quantkit.emulator.kis import KisEmulator, http
from quantkit.emulator.kis.frames import frame, notice_record
from quantkit.emulator.kis.stream import Socket
from quantkit.emulator.paths import Flow
from quantkit.emulator.session import SECOND, session_clock
from quantkit.emulator.sources import SymbolDay
from quantkit.live.pauses import frozen
from quantkit.trading.ports import Candle

DAY = "2025-06-10"
NAMES, RATE = 40, 2_000
PRICE, DIP, USUAL = 10_000.0, 9_700.0, 100
MARK = 777  # shares of a trade that goes through a stop
DIPS, EVERY, FIRST = 440, 0.2, 15.0  # seconds between two of them, and from the open to the first
ENDS = FIRST + DIPS * EVERY + 5.0  # seconds after the open
SYMBOLS = tuple(f"{number + 1:05d}0" for number in range(NAMES))
CLOCK = session_clock(DAY)
BEFORE = 20  # seconds before the open at which time begins
SELL = "TTTC0011U"
KEY, IV = "k" * 32, "v" * 16


class Tape:
    """The source: names take turns, 50 trades a second each."""

    symbols = SYMBOLS

    def days(self) -> Sequence[int]:
        return [int(np.datetime64(DAY, "D").astype(np.int64))]

    def day(self, day: int) -> Mapping[str, SymbolDay]:  # noqa: ARG002 - there is one
        return {symbol: self._symbol(number, symbol) for number, symbol in enumerate(SYMBOLS)}

    def _symbol(self, number: int, symbol: str) -> SymbolDay:
        step, length = NAMES * SECOND // RATE, round((ENDS + 20.0) * RATE / NAMES)
        times = CLOCK.open + 2 * SECOND + number * SECOND // RATE + np.arange(length) * step
        prices, volumes = np.full(length, PRICE), np.full(length, USUAL)
        falls = CLOCK.open + np.round((FIRST + np.arange(number, DIPS, NAMES) * EVERY) * SECOND).astype(np.int64)
        places = np.searchsorted(times, falls)
        prices[places], volumes[places] = DIP, MARK
        return SymbolDay(
            symbol=symbol, market="KOSPI", base=PRICE, previous_close=PRICE, opening=(PRICE, 100_000), deep=True,
            flow=Flow(times, prices, volumes, np.ones(length, np.int64)),
        )  # fmt: skip

    def history(self, symbol: str, freq: str, since: int, until: int) -> Sequence[Candle]:  # noqa: ARG002
        return []


class Log:
    """What went out and came in. cpu: seconds of this process since the first frame."""

    def __init__(self) -> None:
        self.sent: list[tuple[int, str]] = []  # stops, sealed notices, and answers with their keys
        self.orders: list[tuple[int, str]] = []
        self.begun: tuple[float, float] | None = None

    def out(self, text: str) -> None:
        """A frame leaves now."""
        now = time.monotonic_ns()
        if self.begun is None:
            self.begun = (time.monotonic(), time.process_time())
        if _MARK in text or text[0] != "0":
            self.sent.append((now, text))

    def told(self) -> dict[str, Any]:
        """For the near end."""
        since, cpu = self.begun or (time.monotonic(), time.process_time())
        share = (time.process_time() - cpu) / max(time.monotonic() - since, 1e-9)
        return {"sent": self.sent, "orders": self.orders, "cpu": share}


_MARK = f"^{MARK}^"
LOG = Log()


class Stamped(Socket):
    """A session that notes when frames leave."""

    async def send(self, message: Any, *, text: bool | None = None) -> None:
        LOG.out(message)
        await super().send(message, text=text)


class Watched(KisEmulator):
    """KIS's servers, noting when orders come in."""

    async def handle(self, request: http.Request) -> http.Reply:
        if request.headers.get("tr_id") == SELL:
            LOG.orders.append((time.monotonic_ns(), json.loads(request.body)["PDNO"]))
        return await super().handle(request)


async def emulator() -> None:
    emulated.Socket = Stamped  # type: ignore[misc]
    exchange = Exchange(Tape(), interrupts=False, random_end=False)
    async with Watched(exchange, paper=False, cash=10**9, start=CLOCK.open - BEFORE * SECOND) as server:
        me = server.customers[0]
        keys = {"key": me.appkey, "secret": me.appsecret, "account": me.account, "hts_id": me.hts_id}
        await _until_told({"rest": server.rest, "stream": server.stream, **keys})


# --- bare -------------------------------------------------------------------------------------------------------------


def _record(number: int, *, marked: bool) -> str:
    """As many columns and about as many bytes as a record of a trade."""
    shares = MARK if marked else USUAL
    return "^".join([SYMBOLS[number % NAMES], "093000", "10000", *["500.00"] * 9, str(shares), *["1234567"] * 34])


async def bare() -> None:
    ready: set[ServerConnection] = set()

    async def send(text: str) -> None:
        LOG.out(text)
        for socket in ready:
            await socket.send(text)

    async def listen(socket: ServerConnection) -> None:
        ready.add(socket)
        async for _ in socket:
            pass
        ready.discard(socket)

    async def prices() -> None:
        loop = asyncio.get_running_loop()
        begun, count, marks = loop.time(), 0, 0
        while True:
            due = round((loop.time() - begun) * RATE)
            rows = []
            for number in range(count, due):
                marked = number >= (marks + 1) * EVERY / 10 * RATE  # ten times as often: there is nothing to wait for
                marks += marked
                rows.append(_record(number, marked=marked))
            count = due
            if rows and ready:
                await send(frame("H0STCNT0", rows))
            await asyncio.sleep(0.002)

    async def notify(symbol: str) -> None:
        await asyncio.sleep(0.01)
        record = notice_record({"STCK_SHRN_ISCD": symbol, "ODER_NO": str(len(LOG.orders))}, columns="2026-09")
        await send(frame("H0STCNI0", [record], encrypt=(KEY, IV)))

    async def handle(request: http.Request) -> http.Reply:
        symbol = json.loads(request.body)["PDNO"]
        LOG.orders.append((time.monotonic_ns(), symbol))
        told = loop.create_task(notify(symbol))
        telling.add(told)
        told.add_done_callback(telling.discard)
        return http.Reply(200, b'{"rt_cd": "0", "output": {"ODNO": "0000000001"}}')

    loop, telling = asyncio.get_running_loop(), set[asyncio.Task[None]]()
    rest = await http.serve(handle, "127.0.0.1", 0)
    stream = await serve_sockets(listen, "127.0.0.1", 0, ping_interval=None, compression=None)
    port, stream_port = (each.sockets[0].getsockname()[1] for each in (rest, stream))  # type: ignore[attr-defined]
    running = loop.create_task(prices())
    await _until_told({"rest": f"http://127.0.0.1:{port}", "stream": f"ws://127.0.0.1:{stream_port}"})
    running.cancel()


async def _until_told(where: dict[str, str]) -> None:
    """Say where it listens; return when standard input ends."""
    sys.stdout.write(json.dumps(where) + "\n")
    sys.stdout.flush()
    with frozen():
        await asyncio.to_thread(sys.stdin.read)


if __name__ == "__main__":
    asyncio.run({"emulator": emulator, "bare": bare}[sys.argv[1]]())
    sys.stdout.write(json.dumps(LOG.told()) + "\n")
