"""Several accounts in one process, and what they share: the hub of prices, the daily jobs, the health of the loop.

Contract: one account's end is nobody else's. An account that stopped by a passing cause is made again from its journal
after a back-off; after a bug, where somebody else owns it, or with more than five ends in ten minutes it stays down.
The heartbeat measures how late the loop wakes (over 250 ms is an alarm: somebody computes in it) and watches the clock:
a step of the machine's clock is an alarm, an offset over two seconds halts all accounts until a person looks.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING, Final

from quantkit.errors import QuantkitError
from quantkit.live import metrics
from quantkit.live.clock import SECOND, SystemClock
from quantkit.live.messages import Command
from quantkit.trading.backoff import Backoff

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from quantkit.live.clock import Clock
    from quantkit.live.runner import AccountRunner

LAG_ALARM: Final = 0.25
_QUIET: Final = 60.0  # seconds between two alarms of one kind
_ENDS: Final = 5
_WITHIN: Final = 600.0


class Supervisor:
    """Keeps accounts and services running.

    accounts: by name, how to make a runner from the account's journal; services: by name, work that runs beside them
    for as long as the process (hub, schedule). chance: numbers in [0, 1) for the jitter of restarts. beat: seconds
    between two looks at the loop and the machine's clock; None: none, for virtual time, which has neither.
    """

    def __init__(
        self,
        clock: Clock,
        accounts: Mapping[str, Callable[[], Awaitable[AccountRunner]]],
        *,
        chance: Callable[[], float],
        services: Mapping[str, Callable[[], Awaitable[None]]] | None = None,
        beat: float | None = 0.1,
    ) -> None:
        self.clock, self._every = clock, beat
        self.runners: dict[str, AccountRunner] = {}
        self.given_up: dict[str, str] = {}
        self._accounts, self._services, self._chance = dict(accounts), dict(services or {}), chance
        self._stopping = asyncio.Event()
        self._told: dict[str, float] = {}
        self._offset = "unknown"

    async def run(self) -> None:
        """Until every account has stopped or was given up."""
        loop = asyncio.get_running_loop()
        keeping = [loop.create_task(self._keep(name), name=f"{name} keeper") for name in self._accounts]
        beside = [loop.create_task(self._serve(name), name=f"{name} service") for name in self._services]
        if self._every is not None:
            beside.append(loop.create_task(self._beat(self._every), name="heartbeat"))
        try:
            if keeping:
                await asyncio.wait(keeping)
        finally:
            for task in (*keeping, *beside):
                task.cancel()
            await asyncio.gather(*keeping, *beside, return_exceptions=True)

    def stop(self, *, by: str, reason: str = "") -> None:
        """Ask every account to leave in good order."""
        self._stopping.set()
        for runner in self.runners.values():
            runner.stop(by=by, reason=reason)

    def alarm(self, code: str, detail: str) -> None:
        """Write an alarm into every account's journal, at most once a minute for each code."""
        now = asyncio.get_running_loop().time()
        if now - self._told.get(code, -_QUIET) < _QUIET:
            return
        self._told[code] = now
        for runner in self.runners.values():
            runner.alarm(code, detail)

    # --- accounts -----------------------------------------------------------------------------------------------------

    async def _keep(self, name: str) -> None:
        """One account: make, run, make again."""
        ends: deque[float] = deque(maxlen=_ENDS + 1)
        wait = Backoff(self._chance)
        while not self._stopping.is_set():
            begun = asyncio.get_running_loop().time()
            failure, restartable = await self._once(name)
            if failure is None:
                return
            now = asyncio.get_running_loop().time()
            ends.append(now)
            if now - begun > _WITHIN:
                wait.reset()
            if not restartable or (len(ends) > _ENDS and now - ends[0] <= _WITHIN):
                self.given_up[name] = failure
                for other, runner in self.runners.items():
                    if other != name:
                        runner.alarm("ACCOUNT_DOWN", f"{name}: {failure}")
                return
            await self._pause(wait.next())

    async def _once(self, name: str) -> tuple[str | None, bool]:
        """Run an account to its end: (why it failed, whether trying again may help)."""
        try:
            runner = await self._accounts[name]()
        except QuantkitError as error:
            code = getattr(error, "code", type(error).__name__)
            metrics.FAILURES.labels(name, code).inc()
            return f"{type(error).__name__}: {error}", type(error).__name__ in ("RetryLater", "Refused")
        except Exception as error:  # noqa: BLE001 - a bug of this account must not end the others
            metrics.FAILURES.labels(name, "BUG").inc()
            return repr(error), False
        self.runners[name] = runner
        if self._stopping.is_set():
            runner.stop(by="supervisor")
        await runner.run()
        if runner.failure is None:
            return None, False
        return f"{runner.failure.code}: {runner.failure.detail}", runner.failure.restartable

    async def _pause(self, seconds: float) -> None:
        """Wait, but not when everything is to stop."""
        try:
            async with asyncio.timeout(seconds):
                await self._stopping.wait()
        except TimeoutError:
            return

    async def _serve(self, name: str) -> None:
        """One service, made again whenever it ends by an error; a bug of it is an alarm in every journal."""
        wait = Backoff(self._chance)
        while True:
            try:
                await self._services[name]()
                return
            except Exception as error:  # noqa: BLE001 - accounts go on without it, and are told
                metrics.FAILURES.labels(name, type(error).__name__).inc()
                self.alarm("SERVICE_FAILED", f"{name}: {error!r}")
            await asyncio.sleep(wait.next())

    # --- health -------------------------------------------------------------------------------------------------------

    async def _beat(self, every: float) -> None:
        loop = asyncio.get_running_loop()
        while True:
            wanted = loop.time() + every
            await asyncio.sleep(every)
            lag = max(0.0, loop.time() - wanted)
            metrics.LOOP_LAG.set(lag)
            if lag > LAG_ALARM:
                self.alarm("LOOP_LAG", f"the event loop woke {lag * 1000:.0f} ms late; somebody computes in it")
            if isinstance(self.clock, SystemClock):
                self._watch(self.clock)

    def _watch(self, clock: SystemClock) -> None:
        """Steps of the machine's clock, and its distance from the servers'."""
        if moved := clock.jump():
            self.alarm("CLOCK_JUMP", f"the machine's clock was set by {moved / SECOND:+.3f} s")
        metrics.CLOCK_OFFSET.set(clock.offset.ns / SECOND)
        state = clock.offset.state
        if state == self._offset:
            return
        self._offset = state
        if state in ("alarm", "deny"):
            self.alarm("CLOCK_OFFSET", f"the machine's clock is {clock.offset.ns / SECOND:+.3f} s from the servers'")
        if state == "deny":
            now = clock.now_ns()
            for name, runner in self.runners.items():
                reason = f"CLOCK_OFFSET {clock.offset.ns / SECOND:+.3f} s"
                runner.post(Command(now, f"clock:{name}:{now}", "halt", "watchdog clock", reason))
