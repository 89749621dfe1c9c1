"""Over KIS's wire, on the real clock: from a tick leaving the server to the order arriving there, and from the notice
of a fill leaving it to the row that is durable in the journal.

Work: KIS's emulated servers (실전) in a process of their own, 40 names (what one session of KIS holds) and 2,000 trades
a second over a real WebSocket; in this one a host as `quantkit live --broker kis` builds it: client, stream, feed, hub
of two-second bars, decider, fold, gates, journal on disk (SQLite, synchronous=FULL), KIS's limiter. The rule holds all
names with a stop; every 0.2 s the next one prints a trade through it, and two bars later it is bought again, so one
stop in ten fires while the ten buys of a bar leave. Sales that take risk away have 6 of KIS's 20 requests a second for
themselves and need 5, so none of them waits for the limiter. Both ends of each figure are
stamped on the machine's monotonic clock: a frame where the emulator sends it, an order where the emulator has it whole,
a row where its transaction has returned. The first round of names warms up and does not count.

The floor: the same two processes and hops with nothing of ours between them. `websockets` hears frames of the same
bytes at the same rate, a row goes into a SQLite file with the same durability, `httpx` posts; a notice is opened by
`cryptography` and its row is written. It says what this machine, its disk and its load leave of the bound.

usage: python benchmarks/kis_latency.py [--json] [--side NAME]
"""

from __future__ import annotations

import asyncio
import base64
import json
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import numpy as np
from common import run_sides
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from kis_server import (
    CLOCK,
    DAY,
    DIPS,
    ENDS,
    EVERY,
    FIRST,
    IV,
    KEY,
    MARK,
    NAMES,
    PRICE,
    RATE,
    SYMBOLS,
)
from pydantic import SecretStr
from websockets.asyncio.client import connect

import quantkit as qk
from quantkit.brokers.kis.client import KisClient
from quantkit.brokers.kis.codes import Environment
from quantkit.brokers.kis.desk import KisDesk
from quantkit.brokers.kis.frames import Ack, Orders, Trades, day_at, parse
from quantkit.brokers.kis.server import Account, RealKeys, Server
from quantkit.brokers.kis.wirelog import WireLog
from quantkit.data.bars import Bars
from quantkit.host import Deployment, Host, Hosted
from quantkit.kis import hub_settings, run_at
from quantkit.live.clock import SECOND, Clock, system_random
from quantkit.live.hub import MarketHub
from quantkit.live.journal import open_journal, read_journal
from quantkit.live.metrics import value
from quantkit.live.pauses import frozen
from quantkit.market.costs import Costs
from quantkit.research.warmup import warm_up
from quantkit.trading.events import Kind

STEP, SHARES, CASH = 2, 10, 100_000_000
MARKED = f"^{MARK}^".encode()


class Hold(qk.Strategy):
    """A few shares of everything with a stop; what was stopped out comes back after a bar without a fall."""

    policy = qk.Policy(weighting="shares", amount=SHARES, collar=0.03, stop_loss=0.02)

    def targets(self, bars: Bars) -> Any:
        return bars.field("low") > PRICE * 0.98


def history() -> Bars:
    """The last two bars of the session before."""
    last = int(CLOCK.open // 1_000 - (17 * 3_600 + 1_800) * 10**6)
    flat = np.full((2, NAMES), PRICE)
    fields = dict.fromkeys(("open", "high", "low", "close"), flat) | {"volume": np.full((2, NAMES), 1_000.0)}
    times = np.array([last - STEP * 10**6, last])
    return Bars(times=times, symbols=SYMBOLS, fields=fields, markets="KOSPI", freq=f"{STEP}s")


@contextmanager
def far_end(kind: str, heard: dict[str, Any]) -> Iterator[dict[str, str]]:
    """The other process: where it listens; what it logged is in `heard` afterwards."""
    command = [sys.executable, str(Path(__file__).with_name("kis_server.py")), kind]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            yield json.loads(process.stdout.readline())
        finally:
            process.stdin.close()
            heard.update(json.loads(process.stdout.readline()))


def spread(name: str, nanoseconds: list[int]) -> dict[str, float]:
    """p50, p99 and the largest, in milliseconds."""
    found = np.array(nanoseconds) / 1e6
    return {
        f"{name}s": len(found), f"{name}_p50_ms": float(np.percentile(found, 50)),
        f"{name}_p99_ms": float(np.percentile(found, 99)), f"{name}_max_ms": float(found.max()),
    }  # fmt: skip


# --- ours -------------------------------------------------------------------------------------------------------------


class Near:
    """The process that trades. rows: when each fill was durable, by its name in the journal."""

    def __init__(self, where: dict[str, str], folder: Path) -> None:
        self.where, self.folder = where, folder
        self.server = Server.emulated(Environment.REAL, where["rest"], where["stream"])
        self.rows: dict[str, int] = {}
        self.figures: dict[str, float] = {}

    async def main(self, clock: Clock) -> None:
        """A session's first minutes."""
        log, where = WireLog(clock), self.where
        keys = RealKeys(
            app_key=SecretStr(where["key"]), app_secret=SecretStr(where["secret"]),
            account=Account.parse(where["account"]), hts_id=SecretStr(where["hts_id"]),
        )  # fmt: skip
        client = KisClient(keys, clock=clock, server=self.server, folder=self.folder, listen=log)
        desk = KisDesk(client, log=log, chance=system_random())
        hub = MarketHub(desk.feed, clock, chance=system_random(), settings=hub_settings(desk.feed))
        rule = Deployment(name="hold", strategy=Hold(), bars=history(), capital=float(CASH), costs=Costs.kis())
        account = Hosted(
            name="bench", deployments=[rule], broker=lambda _: desk.broker, journal=self._journal, mode="live"
        )
        host = Host([account], hub, clock, chance=system_random(), owner="benchmark")
        running = asyncio.create_task(host.run())
        await clock.sleep_until(CLOCK.open + round((FIRST - 5.0) * SECOND))
        begun, cpu, ticks = time.monotonic(), time.process_time(), self._ticks()
        await clock.sleep_until(CLOCK.open + round(ENDS * SECOND))
        seconds = time.monotonic() - begun
        self.figures = {
            "ticks_s": (self._ticks() - ticks) / seconds, "cpu": (time.process_time() - cpu) / seconds,
            "shares_missed": desk.stream.counts["missed shares"],
        }  # fmt: skip
        host.stop(by="benchmark")
        await running
        await desk.close()

    @staticmethod
    def _ticks() -> float:
        return value("quantkit_ticks_total", feed="prices")

    def _journal(self, now: int) -> Any:
        """The journal on disk, noting when each fill was in it for good."""
        journal: Any = open_journal(self.folder / "bench.sqlite", "bench", owner="benchmark", now=now)
        append = journal.append

        def stamped(entries: Any, *, snapshot: bytes | None = None) -> Any:
            done = append(entries, snapshot=snapshot)
            at = time.monotonic_ns()
            for entry in entries:
                if entry.kind in (Kind.ORDER_FILLED, Kind.ORDER_PARTIALLY_FILLED):
                    self.rows[entry.payload["trade"]] = at
            return done

        journal.append = stamped
        return journal

    def bars(self) -> dict[str, float]:
        """Bars of the session that were folded, and how many were not."""
        entries = [recorded.entry for recorded in read_journal(self.folder / "bench.sqlite", "bench").read()]
        ends = {entry.payload["bar"] for entry in entries if entry.kind is Kind.BAR_FOLDED}
        wanted = range(CLOCK.open + STEP * SECOND, CLOCK.open + round((ENDS - 3.0) * SECOND), STEP * SECOND)
        return {"bars": len(ends), "bars_missed": sum(end not in ends for end in wanted)}


def ours() -> dict[str, float]:
    """The live engine over KIS's client."""
    warm_up()
    heard: dict[str, Any] = {}
    with tempfile.TemporaryDirectory(dir=Path.cwd()) as folder, frozen():
        with far_end("emulator", heard) as where:
            near = Near(where, Path(folder))
            run_at(near.server, near.main)
        falls, notices = _sent(heard["sent"])
        orders = _arrived(falls, heard["orders"])
        late = [near.rows[trade] - sent for sent, trade in notices if trade in near.rows]
        return {
            **spread("order", orders), "orders_missed": len(falls) - NAMES - len(orders), **spread("fill", late),
            "fills_missed": len(notices) - len(late), **near.figures, "server_cpu": heard["cpu"], **near.bars(),
        }  # fmt: skip


def _sent(frames: list[tuple[int, str]]) -> tuple[list[tuple[int, str]], list[tuple[int, str]]]:
    """When each fall left and of which name; when each notice of a fill left and what the journal calls it."""
    falls, notices, secrets, day = list[tuple[int, str]](), list[tuple[int, str]](), {}, day_at(CLOCK.open)
    for at, text in frames:
        said = parse(text, day, secrets=secrets)
        if isinstance(said, Ack) and said.secret is not None:
            secrets[said.feed] = said.secret
        elif isinstance(said, Trades):
            falls += [(at, tick.symbol) for tick in said.ticks if tick.volume == MARK]
        elif isinstance(said, Orders):
            fills = [each for each in said.notices if each.executed]
            notices += [(at, f"{each.number}:{each.time}:{each.price}:{each.quantity}") for each in fills]
    return falls, notices


def _arrived(falls: list[tuple[int, str]], orders: list[tuple[int, str]]) -> list[int]:
    """From each fall to the sale of its name after it; the first fall of each name warms up."""
    found, round_ = [], round(NAMES * EVERY * SECOND)
    for sent, symbol in falls[NAMES:]:
        until = sent + round_ // 2
        arrived = next((at for at, name in orders if name == symbol and sent < at < until), None)
        if arrived is not None:
            found.append(arrived - sent)
    return found


# --- the floor --------------------------------------------------------------------------------------------------------


def floor() -> dict[str, float]:
    """`websockets`, a durable row, `httpx`."""
    heard: dict[str, Any] = {}
    rows: list[int] = []
    with tempfile.TemporaryDirectory(dir=Path.cwd()) as folder:
        base = sqlite3.connect(Path(folder) / "floor.sqlite", isolation_level=None)
        base.execute("PRAGMA journal_mode=WAL")
        base.execute("PRAGMA synchronous=FULL")
        base.execute("CREATE TABLE journal (seq INTEGER PRIMARY KEY, payload TEXT)")
        payload = json.dumps({"kind": "order", "text": "x" * 1_500})

        def write() -> None:
            base.execute("INSERT INTO journal (payload) VALUES (?)", (payload,))

        async def main(where: dict[str, str]) -> float:
            posting = set()
            async with httpx.AsyncClient(base_url=where["rest"]) as client, connect(where["stream"]) as socket:
                begun, records = time.monotonic(), 0
                until = begun + DIPS * EVERY / 10
                while time.monotonic() < until:
                    message = await socket.recv(decode=False)
                    if message[:1] == b"1":
                        opened = Cipher(algorithms.AES(KEY.encode()), modes.CBC(IV.encode())).decryptor()
                        opened.update(base64.b64decode(message.split(b"|", 3)[3]))
                        write()
                        rows.append(time.monotonic_ns())
                        continue
                    records += int(message[11:14])
                    if MARKED in message:
                        write()
                        post = client.post("/uapi/domestic-stock/v1/trading/order-cash", json={"PDNO": SYMBOLS[0]})
                        task = asyncio.create_task(post)
                        posting.add(task)
                        task.add_done_callback(posting.discard)
                return records / (time.monotonic() - begun)

        with frozen(), far_end("bare", heard) as where:
            cpu = time.process_time()
            rate = asyncio.run(main(where))
            share = (time.process_time() - cpu) / (DIPS * EVERY / 10)
    marks = [at for at, text in heard["sent"] if text[0] == "0"]
    sealed = [at for at, text in heard["sent"] if text[0] == "1"]
    orders = [at for at, _ in heard["orders"]]
    return {
        **spread("order", [b - a for a, b in zip(marks, orders, strict=False)]),
        **spread("fill", [b - a for a, b in zip(sealed, rows, strict=False)]),
        "ticks_s": rate, "cpu": share, "server_cpu": heard["cpu"],
    }  # fmt: skip


if __name__ == "__main__":
    run_sides(
        __file__, {"quantkit": ours, "websockets, row, httpx": floor}, time="order_p99_ms",
        packages=("websockets", "httpx", "cryptography", "sqlalchemy"),
        title=f"KIS's wire, {NAMES} names, {RATE:,} ticks/s, {DAY}: order p99 20 ms (aim 5), fill p99 100 ms (aim 10)",
    )  # fmt: skip
