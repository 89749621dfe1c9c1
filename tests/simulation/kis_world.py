"""The same world with KIS between engine and exchange: our KIS broker, real sockets, the emulated servers.

    world = KisWorld(drawn_short(7), folder=folder); world.play(); world.judge.broken

Contract: as `World`. Prices, orders and everything of the account go over HTTP and WebSocket, with the faults of the
scenario on the wire. Time is virtual and stands while bytes are on their way, so two runs are alike and not the same
to the byte. A header that KIS does not have tells the judge which order of ours a request carries; neither broker nor
engine reads it.
"""

from __future__ import annotations

import asyncio
import contextlib
from contextvars import ContextVar
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from quantkit.brokers.kis.broker import KisBroker
from quantkit.brokers.kis.client import KisClient
from quantkit.brokers.kis.codes import Environment
from quantkit.brokers.kis.feed import KisFeed
from quantkit.brokers.kis.notices import KisOrders
from quantkit.brokers.kis.server import Server
from quantkit.brokers.kis.stream import KisStream
from quantkit.brokers.kis.transport import Answer, HttpTransport, Request, Timeouts
from quantkit.emulator.kis import KisEmulator
from quantkit.emulator.kis.http import Reply
from quantkit.emulator.kis.http import Request as Arrived
from quantkit.kis import hub_settings
from quantkit.live.clock import SECOND, SocketLoop
from quantkit.live.hub import HubSettings
from quantkit.live.runner import RunnerSettings
from quantkit.trading.approval import Approved
from quantkit.trading.ports import Ticket
from tests.brokers.kis.benches import keys_of
from tests.simulation.judge import ROUNDING, Judge
from tests.simulation.process import Linked, LinkedFeed
from tests.simulation.scenario import Scenario
from tests.simulation.world import ACCOUNT, CASH, World

TAG: ContextVar[str] = ContextVar("tag", default="")
HEADER = "x-simulated-order"
BEAT, NIGHT = 5.0, 3_600.0  # seconds between two looks of the servers at the exchange at most, where nobody asks
AFTER = 3_600 * SECOND  # the close, until when the exchange may tell something late
EVERY = 60.0  # seconds between two snapshots of all names


class KisWorld(World):
    """One scenario over KIS's wire. folder: where tokens lie."""

    loop_type = SocketLoop
    runner = RunnerSettings(intake=BEAT)  # a step of time costs more where sockets are asked first

    def __init__(self, scenario: Scenario, *, folder: Path, every: bool = False, paper: bool = False) -> None:
        super().__init__(scenario, folder=folder, every=every)
        self.server = _Servers(
            self.exchange, accounts=[ACCOUNT], paper=paper, start=self.loop.now_ns(), calls=10**6,
            machine=self.loop.time, faults=self.faults,
        )  # fmt: skip
        self._clients: list[KisClient] = []
        self._tokens = folder / "tokens"
        self._by_hand()

    def _judge(self) -> Judge:
        return Judge(
            self.exchange, ACCOUNT, CASH, rounding=ROUNDING, shown=lambda number: self.server.trading.odno(number)
        )

    def __enter__(self) -> Self:
        super().__enter__()
        self.loop.run_until_complete(self.server.__aenter__())
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        async def leave() -> None:
            for client in self._clients:
                await client.close()
            await self.server.__aexit__()

        if self.process is not None:
            self.process.kill()
        self.loop.run_until_complete(leave())
        super().__exit__(kind, error, trace)

    def _by_hand(self) -> None:
        """Orders that reach the exchange by another way are in KIS's list too."""
        submit, owner = self.exchange.submit, self.server.customers[0]

        def kept(account: str, *args: Any, **more: Any) -> Any:
            placed = submit(account, *args, **more)
            if TAG.get():
                placed.tag = TAG.get()
            elif account == ACCOUNT:
                self.server.trading._keep(owner, placed)
            return placed

        self.exchange.submit = kept  # type: ignore[method-assign]

    def _prices(self) -> tuple[LinkedFeed, HubSettings]:
        environment = Environment.PAPER if self.server.paper else Environment.REAL
        server = Server.emulated(environment, self.server.rest, self.server.stream)
        client = KisClient(
            keys_of(self.server, environment), clock=self.clock, folder=self._tokens, server=server,
            transport=_Tagging(HttpTransport(server.rest, timeouts=Timeouts(), trust_environment=False)),
        )  # fmt: skip
        self._clients.append(client)
        self._stream = KisStream(client, chance=lambda: 0.5)
        feed = _Feed(client, self._stream, self)
        return feed, hub_settings(feed)

    def _inner(self) -> Linked:
        return _Broker(self._stream, self)


def kis_world(scenario: Scenario, folder: Path) -> KisWorld:
    """The world of a seed: one in four is 모의투자, where lists are long to read."""
    return KisWorld(scenario, folder=folder, paper=scenario.seed % 4 == 0)


class _Feed(KisFeed):
    """KIS's prices as a process has them."""

    def __init__(self, client: KisClient, stream: KisStream, world: KisWorld) -> None:
        super().__init__(client, stream, every=EVERY)
        self._world = world

    def shut(self) -> None:
        """Hear no more."""
        self._world.spawn(self.close())


class _Broker(KisBroker):
    """KIS's broker as a process has it."""

    def __init__(self, stream: KisStream, world: KisWorld) -> None:
        super().__init__(stream.client, stream=KisOrders(stream, world.server.customers[0].account))
        self._world = world

    def shut(self) -> None:
        """Hear and send no more."""
        self._world.spawn(self.close())

    async def submit(self, order: Approved) -> Ticket:
        """Say which order it is."""
        TAG.set(order.order.id)  # of the task that the world spawned for this request
        return await super().submit(order)


class _Tagging:
    """A transport that says which order a request carries."""

    def __init__(self, inner: HttpTransport) -> None:
        self._inner = inner

    async def send(self, request: Request) -> Answer:
        return await self._inner.send(replace(request, headers={**request.headers, HEADER: TAG.get()}))

    async def close(self) -> None:
        await self._inner.close()


class _Servers(KisEmulator):
    """The emulated servers, which hand that on to the judge, and look at the exchange where something may have happened
    rather than all the time: no scenario would end."""

    async def handle(self, request: Arrived) -> Reply:
        TAG.set(request.headers.get(HEADER, ""))
        reply = await super().handle(request)
        self._asked.set()
        return reply

    async def _beat(self) -> None:
        self._asked = asyncio.Event()
        while True:
            self.advance()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._rest()):
                    await self._asked.wait()
            self._asked.clear()

    def _rest(self) -> float:
        """Seconds until something may happen that nobody asks for."""
        now, clock, due = self.exchange.now, self.exchange.clock, self.exchange.next_event
        if clock is not None and clock.orders <= now < clock.close + AFTER:
            return BEAT
        return NIGHT if due is None else min(NIGHT, (due - now) / SECOND + 0.001)
