"""Prices of KIS for `quantkit paper` and `quantkit live`: its stream and charts, in the time of its server.

Contract: as `prices.Prices`. The history comes from the lake, or from --data; sessions that it lacks are read from KIS
before the run begins to decide. With an emulator (`emulator` of the account, or KIS_EMULATOR) time is the emulator's,
and the run ends with its last session, or with --to. ConfigError for options that only a replay has.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from quantkit.cli.prices import AFTER, Wanted, moment, stored_bars
from quantkit.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from quantkit.brokers.kis.desk import KisDesk
    from quantkit.data.bars import Bars
    from quantkit.live.clock import Clock
    from quantkit.trading.ports import Feed

Result = TypeVar("Result")


class KisPrices:
    """Prices as they come, from KIS or an emulator of it."""

    name = "kis"
    market = "KOSPI"
    seed: int | None = None

    def __init__(self, wanted: Wanted) -> None:
        from quantkit import settings
        from quantkit.kis import server_for, time_of
        from quantkit.live.hub import HubSettings

        _check(wanted)
        told = settings.load()
        self._told, self._real = told, wanted.real
        self._account = wanted.account if told.account(wanted.account).broker == "kis" else None
        self.server = server_for(told, self._account, real=wanted.real)
        now = time_of(self.server)
        self.speed: float | None = now.pace
        self.until = _ends(wanted, now.ends)
        self.bars = stored_bars(wanted)
        self.markets = dict(zip(self.bars.symbols, self.bars.markets, strict=True))
        self.hub = HubSettings()  # KIS's as soon as there is a feed
        self._desk: KisDesk | None = None

    def start(self, after: int) -> int:
        """Now, which must be later than what the account remembers."""
        from quantkit.kis import time_of

        now = time_of(self.server).now
        if after >= now:
            raise ConfigError(
                f"the account stands at {moment(after)}, and at {self.server.name} it is {moment(now)}: take another "
                "account, or an emulator of later sessions"
            )
        if self.until is not None and now >= self.until:
            over = moment(self.until)
            raise ConfigError(f"it is {moment(now)} at {self.server.name}, and the run would end at {over}")
        return now

    def history(self, until: int) -> Bars:
        """Bars that had ended by then."""
        from quantkit.host import bar_ends

        ends = bar_ends(self.bars, market=self.market)
        return self.bars.slice(0, int(ends.searchsorted(until, side="right")))

    def desk(self, clock: Clock) -> KisDesk:
        """Feed and broker of the run."""
        from quantkit.brokers.kis.desk import KisDesk
        from quantkit.brokers.kis.wirelog import WireLog
        from quantkit.kis import client_of, hub_settings
        from quantkit.live.clock import system_random

        if self._desk is None:
            log, pace = WireLog(clock), self.speed or 1.0
            client = client_of(self._told, self._account, clock, listen=log, real=self._real, pace=pace, lines=True)
            client.learn(self.markets)
            self._desk = KisDesk(client, log=log, chance=system_random(), pace=pace)
            self.hub = hub_settings(self._desk.feed, pace=pace)
        return self._desk

    def feed(self, clock: Clock) -> Feed:
        """KIS's prices."""
        return self.desk(clock).feed

    def run(self, main: Callable[[Clock], Awaitable[Result]], *, start: int) -> Result:  # noqa: ARG002 - it is now
        """In the server's time; the connections are let go of at the end."""
        from quantkit.kis import run_at

        async def whole(clock: Clock) -> Result:
            try:
                return await main(clock)
            finally:
                if self._desk is not None:
                    await self._desk.close()

        return run_at(self.server, whole)


def _check(wanted: Wanted) -> None:
    """What only a replay has."""
    for option, given, usual in (
        ("--from", wanted.first, None), ("--speed", wanted.speed, "1"), ("--seed", wanted.seed, None),
        ("--tick-seconds", wanted.tick_seconds, 1.0),
    ):  # fmt: skip
        if given != usual:
            raise ConfigError(f"{option} {given}: prices of KIS come as they come; an emulator has its own pace")


def _ends(wanted: Wanted, ends: int | None) -> int | None:
    """When the run is over: after the close of --to, else of an emulator's last session; None: never."""
    from quantkit.live.windows import session_of

    if wanted.last is None:
        return None if ends is None else ends + AFTER
    session = session_of(wanted.last)
    if session is None:
        raise ConfigError(f"--to {wanted.last}: the exchange is closed on that day")
    return session.closes + AFTER
