"""A client on a small server of this machine, on a clock that jumps."""

from __future__ import annotations

import asyncio
import datetime as dt
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

import pytest
from pydantic import SecretStr

from quantkit.brokers.kis.client import KisClient, Options
from quantkit.brokers.kis.codes import Environment
from quantkit.brokers.kis.server import Account, Keys, PaperKeys, RealKeys, Server
from quantkit.brokers.kis.transport import Timeouts
from quantkit.brokers.kis.wire import Exchange
from tests.brokers.kis.server import ACCOUNT, APP_KEY, APP_SECRET, Kis, serving

START = round(dt.datetime(2026, 1, 5, 10, 0, tzinfo=dt.timezone(dt.timedelta(hours=9))).timestamp()) * 10**9


class JumpClock:
    """Time that passes only when somebody waits for it; then at once."""

    def __init__(self, now: int = START) -> None:
        self.now = now
        self.waited = 0

    def now_ns(self) -> int:
        return self.now

    async def sleep_until(self, at: int) -> None:
        if at > self.now:
            self.waited += at - self.now
            self.now = at
        await asyncio.sleep(0)


def keys(environment: Environment = Environment.REAL, *, app_key: str = APP_KEY, source: str = "") -> Keys:
    kind = RealKeys if environment is Environment.REAL else PaperKeys
    return kind(
        app_key=SecretStr(app_key), app_secret=SecretStr(APP_SECRET), account=Account(ACCOUNT),
        hts_id=SecretStr("planted-hts-id"), source=source,
    )  # fmt: skip


class Bench:
    """A server, clients of it, and what the wire log was told."""

    def __init__(self, kis: Kis, folder: Path) -> None:
        self.kis, self.folder, self.clock = kis, folder, JumpClock()
        self.heard: list[Exchange] = []
        self.clients: list[KisClient] = []

    def client(
        self, environment: Environment = Environment.REAL, *, total: float = 5.0, markets: dict[str, str] | None = None,
        options: Options | None = None, app_key: str = APP_KEY, vault_key: bytes | None = None, base: str = "",
    ) -> KisClient:  # fmt: skip
        made = KisClient(
            keys(environment, app_key=app_key), clock=self.clock, folder=self.folder, vault_key=vault_key,
            server=Server.emulated(environment, base or self.kis.base), listen=self.heard.append, markets=markets,
            options=options or Options(timeouts=Timeouts(total=total)),
        )  # fmt: skip
        self.clients.append(made)
        return made


Opened = Callable[[], AbstractAsyncContextManager[Bench]]


@pytest.fixture
def opened(tmp_path: Path) -> Opened:
    """Open a bench inside a test's own loop."""

    @asynccontextmanager
    async def make() -> AsyncIterator[Bench]:
        async with serving(Kis()) as kis:
            bench = Bench(kis, tmp_path / "tokens")
            try:
                yield bench
            finally:
                for client in bench.clients:
                    await client.close()

    return make
