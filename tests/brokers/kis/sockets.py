"""A small WebSocket server that does what KIS's does, and a stream on it whose clock is moved by hand."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import websockets
from websockets.asyncio.server import ServerConnection, serve

from quantkit.brokers.kis.client import KisClient, Options
from quantkit.brokers.kis.codes import APPROVAL_PATH, Environment
from quantkit.brokers.kis.limiter import SECOND
from quantkit.brokers.kis.server import Server
from quantkit.brokers.kis.stream import KisStream, StreamSettings
from tests.brokers.kis.conftest import START, JumpClock, keys
from tests.brokers.kis.frames import IV, KEY
from tests.brokers.kis.server import Kis, serving

HTS_ID = "planted-hts-id"


class HandClock(JumpClock):
    """Time that passes by hand: who waits is woken when it has come."""

    def __init__(self) -> None:
        super().__init__(START)
        self.waiting: list[tuple[int, asyncio.Future[None]]] = []

    async def sleep_until(self, at: int) -> None:
        if at <= self.now:
            await asyncio.sleep(0)
            return
        woken: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.waiting.append((at, woken))
        await woken

    def pending(self) -> list[float]:
        """Seconds until each of those who wait is woken."""
        return [(at - self.now) / SECOND for at, woken in self.waiting if not woken.done()]

    def pass_(self, seconds: float) -> None:
        self.now += round(seconds * SECOND)
        for at, woken in self.waiting:
            if at <= self.now and not woken.done():
                woken.set_result(None)


class Sockets:
    """KIS's WebSocket. `refuse`: code of an answer by feed; `script`: what else it does with a message."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str, str]] = []
        self.keys: list[str] = []
        self.refuse: dict[str, list[str]] = {}
        self.open: list[ServerConnection] = []
        self.closed = 0
        self.quiet = False
        self.pongs: list[str] = []

    async def talk(self, socket: ServerConnection) -> None:
        self.open.append(socket)
        try:
            async for message in socket:
                await self.heard(socket, json.loads(message))
        except websockets.ConnectionClosed:
            self.closed += 1
        finally:
            self.open.remove(socket)

    async def heard(self, socket: ServerConnection, told: dict[str, Any]) -> None:
        if told["header"].get("tr_id") == "PINGPONG":
            self.pongs.append(told["header"]["datetime"])
            return
        header, asked = told["header"], told["body"]["input"]
        self.keys.append(header["approval_key"])
        self.asked.append((header["tr_type"], asked["tr_id"], asked["tr_key"]))
        if self.quiet:
            return
        codes = self.refuse.get(asked["tr_id"], [])
        code = codes.pop(0) if codes else "OPSP0000"
        good = code in ("OPSP0000", "OPSP0002")
        body: dict[str, Any] = {"rt_cd": "0" if code == "OPSP0000" else "1", "msg_cd": code, "msg1": "said so"}
        if good:
            body["output"] = {"iv": IV, "key": KEY}
        tr, key = ("(null)", "") if code == "OPSP8996" else (asked["tr_id"], asked["tr_key"])
        await socket.send(json.dumps({"header": {"tr_id": tr, "tr_key": key, "encrypt": "N"}, "body": body}))

    async def say(self, *texts: str | bytes) -> None:
        for text in texts:
            await self.open[-1].send(text, text=True) if isinstance(text, bytes) else await self.open[-1].send(text)


class Bench:
    """A stream, its server, its clock."""

    def __init__(self, kis: Kis, sockets: Sockets, clock: HandClock, stream: KisStream, client: KisClient) -> None:
        self.kis, self.sockets, self.clock, self.stream, self.client = kis, sockets, clock, stream, client
        self.said: list[str] = []

    @property
    def approvals(self) -> int:
        """How often an approval key was asked for."""
        return sum(each.path == APPROVAL_PATH for each in self.kis.asked)


@asynccontextmanager
async def streaming(
    folder: Path, environment: Environment = Environment.REAL, *, markets: dict[str, str] | None = None,
    **settings: Any,
) -> AsyncIterator[Bench]:  # fmt: skip
    """A bench on servers of its own."""
    kis, sockets, clock, said = Kis(), Sockets(), HandClock(), list[str]()
    async with serving(kis), serve(sockets.talk, "127.0.0.1", 0, compression=None) as listening:
        port = listening.sockets[0].getsockname()[1]
        client = KisClient(
            keys(environment), clock=clock, folder=folder / "tokens", options=Options(rate=1_000), markets=markets,
            server=Server.emulated(environment, kis.base, f"ws://127.0.0.1:{port}"),
        )  # fmt: skip
        given = StreamSettings(**{"answer": 2.0, **settings})
        made = KisStream(client, chance=lambda: 0.5, settings=given, told=said.append)
        bench = Bench(kis, sockets, clock, made, client)
        bench.said = said
        try:
            yield bench
        finally:
            await made.close()
            await client.close()


async def until(true: Callable[[], bool]) -> None:
    """Let the loop run until something is so; a test that waits in vain is ended by the time limit below."""
    async with asyncio.timeout(5.0):
        while not true():
            await asyncio.sleep(0)


async def listen(ear: Any, count: int) -> list[Any]:
    """The next items of an ear."""
    heard: list[Any] = []
    async with asyncio.timeout(5.0):
        async for item in ear:
            heard.append(item)
            if len(heard) == count:
                break
    return heard
