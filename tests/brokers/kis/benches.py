"""KIS on the contract suite: our broker, real sockets, the emulated servers, and an exchange that the test moves.

Server and client run on one loop whose time is virtual: it stands while bytes are on their way.
"""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import ClassVar, Final, Self

from pydantic import SecretStr

from quantkit.brokers.kis.broker import KisBroker
from quantkit.brokers.kis.client import KisClient, Options
from quantkit.brokers.kis.codes import Environment
from quantkit.brokers.kis.limiter import Clock
from quantkit.brokers.kis.notices import KisOrders
from quantkit.brokers.kis.server import Account, Keys, PaperKeys, RealKeys, Server
from quantkit.brokers.kis.stream import KisStream
from quantkit.brokers.kis.wire import Exchange as Spoken
from quantkit.emulator.exchange import Exchange
from quantkit.emulator.faults import Fault, FaultKind, FaultPlan
from quantkit.emulator.kis import KisEmulator
from quantkit.live.clock import SocketLoop, VirtualClock, run_virtual
from quantkit.trading.approval import Approved
from quantkit.trading.orders import Side
from tests.brokers.benches import MONEY, OTHER, SHARES, SYMBOL, EmulatorBench, Quiet

ACCOUNT = "kis1"  # of the emulator's first customer


def keys_of(server: KisEmulator, environment: Environment) -> Keys:
    """Keys of the emulator's first customer."""
    me = server.customers[0]
    kind = RealKeys if environment is Environment.REAL else PaperKeys
    return kind(
        app_key=SecretStr(me.appkey), app_secret=SecretStr(me.appsecret), account=Account.parse(me.account),
        hts_id=SecretStr(me.hts_id),
    )  # fmt: skip


class KisBench(EmulatorBench):
    """An account at the emulated KIS; another account of the exchange is the rest of the market."""

    environment: ClassVar[Environment] = Environment.REAL
    steps = 40
    options: ClassVar[Options] = Options(rate=1_000)
    run = staticmethod(partial(run_virtual, loop_type=SocketLoop))

    def __init__(self, clock: VirtualClock) -> None:
        self.clock = clock
        self.exchange = Exchange(Quiet(), interrupts=False)
        self.exchange.open_account(ACCOUNT, MONEY, shares={SYMBOL: SHARES})
        self.exchange.open_account("others", 10**12, shares={SYMBOL: 10**6, OTHER: 10**6})
        self.exchange.advance(self.start)
        self.spoken: list[Spoken] = []
        self._kept = tempfile.TemporaryDirectory()
        self.folder = Path(self._kept.name)

    async def __aenter__(self) -> Self:
        self.server = KisEmulator(
            self.exchange, paper=self.environment is Environment.PAPER, start=self.start, calls=10**6, beat=0.25,
            machine=asyncio.get_running_loop().time,
        )  # fmt: skip
        await self.server.__aenter__()
        self.client = self.client_of(self.clock)
        self.stream = KisStream(self.client, chance=lambda: 0.5)
        self.broker = KisBroker(self.client, stream=self.orders())
        return self

    def orders(self) -> KisOrders | None:
        """How own orders are heard; None: by asking."""
        return KisOrders(self.stream, self.server.customers[0].account)

    def client_of(self, clock: Clock, *, listen: Callable[[Spoken], None] | None = None) -> KisClient:
        """Another client of the same account."""
        return KisClient(
            keys_of(self.server, self.environment), clock=clock, folder=self.folder, options=self.options,
            server=Server.emulated(self.environment, self.server.rest, self.server.stream),
            listen=listen or self.spoken.append,
        )  # fmt: skip

    async def __aexit__(self, *_: object) -> None:
        await self.client.close()
        await self.server.__aexit__()
        self._kept.cleanup()

    async def trade(self, symbol: str, side: Side, price: float, shares: int) -> None:
        self.exchange.advance(self.clock.now_ns())
        ours = next(
            each for each in self.exchange.orders(ACCOUNT)
            if (each.symbol, each.side, each.price) == (symbol, side, price) and each.leaves
        )  # fmt: skip
        self.exchange.strike(ACCOUNT, ours.number, shares)

    async def until_closed(self) -> None:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, SocketLoop)
        loop.advance(6 * 3_600)
        await asyncio.sleep(1)

    async def unanswered(self, order: Approved) -> None:
        self.fault(Fault(FaultKind.ANSWER_LOST, on=("submit",), nth=(1,)))
        try:
            await self.broker.submit(order)
        finally:
            self.fault()

    def fault(self, *faults: Fault) -> None:
        """What goes wrong from now on."""
        self.server.faults = FaultPlan(list(faults))

    def sent(self, path: str) -> int:
        """How often something was sent to a path."""
        return sum(each.path.endswith(path) for each in self.spoken)


class PolledBench(KisBench):
    """Keys without an HTS id: own orders are asked for."""

    def orders(self) -> KisOrders | None:
        return None


READS: Final = ("orders", "positions", "cash", "orderable_cash", "sellable", "day")


class StormyBench(KisBench):
    """Everything goes wrong that a client has to get over by itself: nobody behind the port may notice."""

    storm: ClassVar[tuple[Fault, ...]] = (
        Fault(FaultKind.REQUEST_LATE, probability=0.2, seconds=(0.1, 0.9)),
        Fault(FaultKind.ANSWER_LATE, probability=0.2, seconds=(0.1, 0.9)),
        Fault(FaultKind.TOKEN_EXPIRED, on=("orderable_cash",), nth=(1,)),  # else orders wait: a token a minute
        Fault(FaultKind.RATE_LIMITED, on=READS, nth=(2, 9, 16, 23)),
        Fault(FaultKind.SERVER_ERROR, on=READS, nth=(4, 12, 20)),
        Fault(FaultKind.PAGE_MISSING, nth=(1, 5, 9)),
        Fault(FaultKind.NOTICE_LATE, probability=0.3, seconds=(0.1, 0.9)),
        Fault(FaultKind.CLOCK_SKEW, seconds=(0.3, 0.3)),
        Fault(FaultKind.ANSWER_LATE, on=("token", "approval", "register"), probability=0.3, seconds=(0.1, 0.9)),
        Fault(FaultKind.REGISTRATION_DUPLICATED, probability=0.5),
        Fault(FaultKind.REGISTRATION_REFUSED, nth=(1,), forms=("OPSP0011",)),
    )

    async def __aenter__(self) -> Self:
        await super().__aenter__()
        self.fault()
        return self

    def fault(self, *faults: Fault) -> None:
        self.server.faults = FaultPlan([*self.storm, *faults], seed=7)


class KisPaperBench(KisBench):
    """The same as 모의투자."""

    environment = Environment.PAPER
    immediate = False
