"""The one task that lets an exchange's time follow a clock, while anybody is connected.

Contract: `now` of whoever is connected gives UTC nanoseconds and `sleep` waits seconds: the machine's or a virtual
loop's, at any speed. Nothing here reads a clock of its own. Steps are `step` seconds long while somebody watches prices
or has an order open, else to the exchange's next event, but an hour at most; `hurry` cuts a long one short. An exchange
outlives its clients: connections of a loop that is gone are forgotten when the first of another loop comes.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final, Protocol

from quantkit.emulator.session import SECOND

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from quantkit.emulator.exchange import Exchange

_LONGEST: Final = 3600 * SECOND


class Connected(Protocol):
    """Who wants to know that time has passed."""

    now: Callable[[], int]
    sleep: Callable[[float], Awaitable[None]]
    step: float

    @property
    def eager(self) -> bool:
        """Whether something may happen to it any second."""

    def passed(self, now: int) -> None:
        """The exchange is at `now`."""

    def wake(self) -> None:
        """Look again."""

    def gone(self) -> None:
        """Its loop has ended; nothing more is to be kept for it."""


class Pulse:
    """The heartbeat of an exchange; `of` finds or makes it."""

    def __init__(self, exchange: Exchange) -> None:
        self.exchange = exchange
        self._users: list[Connected] = []
        self._task: asyncio.Task[None] | None = None
        self._wakes = 0
        self._failure: BaseException | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    @classmethod
    def of(cls, exchange: Exchange) -> Pulse:
        """The exchange's own pulse."""
        if exchange.pulse is None:
            exchange.pulse = cls(exchange)
        return exchange.pulse

    def join(self, user: Connected) -> None:
        """Beat for somebody more."""
        loop = asyncio.get_running_loop()
        if self._loop is not loop:
            for old in self._users:
                old.gone()
            self._loop, self._users, self._task = loop, [], None
        if user not in self._users:
            self._users.append(user)
        if self._task is None or self._task.done():
            self._start(loop)

    def _start(self, loop: asyncio.AbstractEventLoop) -> None:
        self._task = loop.create_task(self._beat())
        self._task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        """Nobody may wait for a heart that stopped: `check` says why it did."""
        if not task.cancelled() and task.exception() is not None:
            self._failure = task.exception()
            for user in self._users:
                user.wake()

    def check(self) -> None:
        """Raise what stopped the exchange, a Bug."""
        if self._failure is not None:
            raise self._failure

    def leave(self, user: Connected) -> None:
        """Beat for one less; with nobody left, time stands still."""
        self._users = [each for each in self._users if each is not user]
        if not self._users and self._task is not None:
            self._task.cancel()
            self._task = None

    def hurry(self) -> None:
        """Somebody may have become eager."""
        if self._task is None or not self._users:
            return
        user = self._users[0]
        if self._wakes > user.now() + round(user.step * SECOND) and any(each.eager for each in self._users):
            self._task.cancel()
            self._start(asyncio.get_running_loop())

    async def _beat(self) -> None:
        while self._users:
            first = self._users[0]
            now = first.now()
            self.exchange.advance(now)
            for user in tuple(self._users):
                user.passed(now)
            rest = self._rest(now, round(first.step * SECOND))
            self._wakes = now + rest
            await first.sleep(rest / SECOND)

    def _rest(self, now: int, step: int) -> int:
        if any(user.eager for user in self._users):
            return step
        due = self.exchange.next_event
        return max(step, min(_LONGEST, _LONGEST if due is None else due - now))
