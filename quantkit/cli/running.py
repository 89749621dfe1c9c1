"""A run of `quantkit paper` or `quantkit live`: the host, what a person sees of it, signals, alerts, jobs.

Contract: what is shown, logged and sent is made from the journal and from the state of the engine; nothing here decides
or holds up trading. The first SIGINT or SIGTERM stops the accounts in good order, a second one ends the process at
once: the journal holds what happened. Exit code 0 where the run ended as asked, 1 where an account was given up.
"""

from __future__ import annotations

import asyncio
import getpass
import os
import signal
import threading
import time
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from quantkit.cli import console
from quantkit.cli.following import Alerting, Follower
from quantkit.cli.owner import owned
from quantkit.errors import QuantkitError

if TYPE_CHECKING:
    from collections.abc import Callable

    from quantkit.cli.trading import Plan
    from quantkit.host import Host, Hosted
    from quantkit.live import planner
    from quantkit.live.clock import Clock
    from quantkit.live.runner import RunnerSettings

LOOK: Final = 0.5  # seconds of the machine between two looks at the journal
AHEAD: Final = 30.0  # seconds of virtual time between them, where time does not pass by itself
INTAKE: Final = 60.0  # seconds of virtual time between two looks for commands, there
METRICS: Final = 15.0  # seconds of the machine between two writings of the figures


def run(made: Plan) -> int:
    """Run a plan until it is over."""
    asked = made.asked
    what = f"quantkit {asked.mode} {asked.file}"
    with owned(made.beside("lock"), asked.account, what):
        running = Running(made)
        try:
            return running.whole()
        finally:
            running.close()


def runner_settings(speed: float | None) -> RunnerSettings:
    """Limits and looks of a run: where a clock is hurried on, they stay seconds of the machine, which answers no
    faster for it."""
    from quantkit.live.effects import Limits
    from quantkit.live.runner import RunnerSettings

    if speed is None:
        return RunnerSettings(intake=INTAKE)
    usual, times = Limits(), max(1.0, speed)
    limits = Limits(order=usual.order * times, look=usual.look * times, connect=usual.connect * times)
    return RunnerSettings(intake=LOOK * speed, limits=limits, close_wait=RunnerSettings().close_wait * times)


class Running:
    """One run."""

    def __init__(self, made: Plan) -> None:
        from quantkit.live import logs

        self.made, self.asked, told = made, made.asked, made.told
        self.where = told.journal_of(made.asked.account)
        self.alerting = Alerting(told, made.asked.account, self.where, made.beside("alerts"))
        self.follower = Follower(made, self.where)
        self.host: Host | None = None
        self.interrupts = 0
        self._written = 0.0
        self.follower.begin()
        self._close_logs = logs.configure(
            level=told.logs.level, form=told.logs.form, file=told.logs.file, stream=self.follower.log_stream()
        )
        self.log = logs.get("run", mode=made.asked.mode, who=made.asked.account)

    def close(self) -> None:
        """Put terminal and logs back."""
        self.follower.end()
        self._close_logs()

    def whole(self) -> int:
        """From the first to the last."""
        from quantkit.live.pauses import frozen

        made = self.made
        self.log.info("begins", strategy=made.strategy.name, resumed=made.resumed)
        before = self._signals()
        try:
            with frozen():
                made.prices.run(self.main, start=made.start)
        finally:
            for number, handler in before:
                signal.signal(number, handler)
            self.follower.look(self.host)
            self._metrics(0.0)
        host = self.host
        down = {} if host is None else host.supervisor.given_up
        try:
            self.alerting.pump()
        except QuantkitError as problem:
            self.log.warning("alerts not sent", why=str(problem))
        self.follower.over(host, down)
        self.log.info("ended", down=down)
        for name, why in down.items():
            console.error(f"{name} stopped: {why}")
        return 1 if down else 0

    async def main(self, clock: Clock) -> None:
        """Put it together on the clock of the prices, and run it."""
        from quantkit.cli.jobs import jobs_of
        from quantkit.host import Host
        from quantkit.live.clock import seeded_random, system_random
        from quantkit.live.hub import MarketHub
        from quantkit.live.schedule import FileRecord, Schedule

        made, prices = self.made, self.made.prices
        chance = system_random() if prices.seed is None else seeded_random(prices.seed)
        feed, broker = made.way.join(made.told, self.asked.account, prices, clock)
        hub = MarketHub(feed, clock, chance=chance, market=prices.market, settings=prices.hub, planned=self._show)
        account = self._account(broker)
        settings = runner_settings(prices.speed)
        schedule = Schedule(
            clock, jobs_of(self), FileRecord(made.beside("jobs.jsonl")), alarm=self.alarm, pace=prices.speed or 1.0
        )
        self.host = Host(
            [account], hub, clock, chance=chance, owner=f"{getpass.getuser()} process {os.getpid()}",
            services={"following": self.follow, "jobs": schedule.run}, settings=settings,
        )  # fmt: skip
        if self.interrupts:
            self.host.stop(by=getpass.getuser(), reason="interrupted before it began")
        await self.host.run(until=prices.until)

    def _show(self, plan: planner.Plan) -> None:
        """How old each name's bar will be, where the feed cannot stream all that are wanted."""
        if self.made.prices.hub.slots is not None:
            console.note(plan.text())

    def _account(self, broker: Any) -> Hosted:
        from quantkit.host import Hosted
        from quantkit.live.haltfile import halt_file

        made = self.made
        bars = made.prices.history(made.start)
        return Hosted(
            name=self.asked.account, deployments=[made.deployment(bars)], broker=lambda _: broker, journal=self.where,
            mode=self.asked.mode, external=made.account.external, artifact=made.pins.digest,
            promotion=None if made.standing.promotion is None else made.standing.promotion.told(),
            keep=made.beside("failed"), halt_file=halt_file(self.where, self.asked.account, made.folder),
        )  # fmt: skip

    # --- beside the accounts --------------------------------------------------------------------------------------

    def alarm(self, code: str, detail: str) -> None:
        """Write an alarm into the account's journal."""
        self.log.warning("alarm", code=code, detail=detail)
        if self.host is not None:
            for runner in self.host.supervisor.runners.values():
                runner.alarm(code, detail)

    async def follow(self) -> None:
        """Show, tell and count, for as long as the run."""
        for alarm in self.made.standing.alarms:
            code, _, detail = alarm.partition(": ")
            self.alarm(code, detail)
        prices = self.made.prices
        pace = LOOK * prices.speed if prices.speed else AHEAD
        while True:
            self.follower.look(self.host)
            await self._tell()
            self._metrics(METRICS)
            await asyncio.sleep(pace)

    async def _tell(self) -> None:
        """Alerts leave in a thread; who cannot be reached is tried again with the next look."""
        if self.alerting.silent or not self.follower.moved:
            return
        try:
            await asyncio.to_thread(self.alerting.pump)
        except QuantkitError as problem:
            self.log.warning("alerts not sent", why=str(problem))

    def _metrics(self, every: float) -> None:
        """The figures, into the file that was asked for; replaced as a whole."""
        path, now = self.asked.metrics, time.monotonic()
        if path is None or now - self._written < every:
            return
        from prometheus_client import write_to_textfile

        from quantkit.live.metrics import FEED, REGISTRY

        self._written = now
        if self.host is not None:
            for what, count in self.host.hub.counts().items():
                FEED.labels(self.host.hub.name, what).set(count)
        path.parent.mkdir(parents=True, exist_ok=True)
        write_to_textfile(str(path), REGISTRY)

    # --- signals --------------------------------------------------------------------------------------------------

    def _signals(self) -> list[tuple[int, Any]]:
        """Listen to SIGINT and SIGTERM; what listened before."""
        if threading.current_thread() is not threading.main_thread():
            return []
        return [(number, signal.signal(number, self._signalled)) for number in (signal.SIGINT, signal.SIGTERM)]

    def _signalled(self, number: int, _frame: object) -> None:
        """The first asks, the second does not."""
        self.interrupts += 1
        if self.interrupts > 1:
            self.follower.end()
            os._exit(130)
        if self.host is None:
            return
        self.follower.say("stopping: answers that are under way are waited for; once more ends at once")
        self._soon(partial(self.host.stop, by=getpass.getuser(), reason=signal.Signals(number).name))

    def _soon(self, act: Callable[[], None]) -> None:
        try:
            asyncio.get_running_loop().call_soon_threadsafe(act)
        except RuntimeError:  # between two turns of the loop there is none; it is in `interrupts`
            return
