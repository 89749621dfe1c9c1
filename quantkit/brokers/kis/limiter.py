"""How many requests a second one app key may make, and who goes first.

Contract: at most `rate` requests start in any `window` seconds (KIS counts in a sliding second and refuses bursts at
its edge). Who waits goes by lane, then by arrival: cancel, risk-reducing, new order, order query, data, history. A
part of the rate (30 %, at least one request where there are two) is kept for the first two lanes, so a cancel never
waits for downloads. After a refusal (`pause`) nobody goes for a whole window. One limiter serves all clients of an app
key. Time is the clock it is given.

>>> [lane.name for lane in Lane][:2], reserved(19), reserved(2), reserved(1)
(['CANCEL', 'REDUCE'], 6, 1, 0)
"""

from __future__ import annotations

import asyncio
import heapq
from collections import deque
from enum import IntEnum
from typing import Final, Protocol

from quantkit.errors import ConfigError

SECOND: Final = 1_000_000_000
CLOSER_S: Final = 0.05  # what two requests may come closer together on their way, on the machine's clock
WINDOW_S: Final = 1.0 + CLOSER_S
SHARE: Final = 0.3


class Clock(Protocol):
    """What everything here needs of a clock: UTC nanoseconds, and waiting."""

    def now_ns(self) -> int:
        """Now."""

    async def sleep_until(self, at: int) -> None:
        """Return when it is that late."""


class Lane(IntEnum):
    """Who goes first."""

    CANCEL = 0
    REDUCE = 1
    ORDER = 2
    QUERY = 3  # orders, balance, what may be bought
    DATA = 4
    HISTORY = 5


def reserved(rate: int) -> int:
    """Requests of a window that only the first two lanes may use."""
    return 0 if rate < 2 else max(1, round(SHARE * rate))


class Limiter:
    """`await limiter.enter(lane)` returns when a request may start."""

    def __init__(self, rate: int, clock: Clock, *, window_s: float = WINDOW_S) -> None:
        if rate < 1 or not 0.0 < window_s < 3600.0:
            raise ConfigError(f"rate={rate}, window_s={window_s}: expected at least one request in some seconds")
        self.rate, self._window, self._clock = rate, round(window_s * SECOND), clock
        self._kept = reserved(rate)
        self._started: deque[int] = deque()
        self._waiting: list[tuple[int, int, asyncio.Future[None]]] = []
        self._count = 0
        self._closed_until = 0
        self._gone = False  # somebody went in this pass of the loop
        self._pump: asyncio.Task[None] | None = None

    @property
    def per_second(self) -> float:
        """Requests a second that all lanes but the first two may make."""
        return (self.rate - reserved(self.rate)) * SECOND / self._window

    @property
    def waiting(self) -> int:
        """How many wait."""
        return sum(not future.done() for _, _, future in self._waiting)

    async def enter(self, lane: Lane) -> None:
        """Wait for this lane's turn."""
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._count += 1
        heapq.heappush(self._waiting, (int(lane), self._count, future))
        self._let_go()
        if not self._gone and self._waiting and self._waiting[0][2] is future:  # whoever was first, went later perhaps
            self._wait()
        await future

    def pause(self, seconds: float | None = None) -> None:
        """Nobody goes for so long: the server said that there were too many. Default: one window."""
        wait = self._window if seconds is None else round(seconds * SECOND)
        self._closed_until = max(self._closed_until, self._clock.now_ns() + wait)

    def _wait(self) -> None:
        """Look again when the first who waits may go."""
        if self._pump is not None:
            self._pump.cancel()
        self._pump = asyncio.create_task(self._run(), name="kis limiter")

    async def _run(self) -> None:
        while self._waiting and not self._gone:
            await self._clock.sleep_until(self._next())
            self._let_go()

    def _let_go(self) -> None:
        """Let the first go, where it may: one in each pass of the loop. A request takes half a millisecond to leave, so
        of many that come at once the rest still waits when one of a better lane comes."""
        while self._waiting and not self._gone:
            lane, _, future = self._waiting[0]
            if future.done():  # whoever waited was cancelled
                heapq.heappop(self._waiting)
            elif self._opens(lane) <= (now := self._clock.now_ns()):
                heapq.heappop(self._waiting)
                self._started.append(now)
                future.set_result(None)
                self._gone = True
                asyncio.get_running_loop().call_soon(self._passed)
            else:
                return

    def _passed(self) -> None:
        """The next pass has come."""
        self._gone = False
        self._let_go()
        if self._waiting and not self._gone:
            self._wait()

    def _next(self) -> int:
        return self._opens(self._waiting[0][0])

    def _opens(self, lane: int) -> int:
        """From when on the first of a lane may go."""
        now = self._clock.now_ns()
        while self._started and self._started[0] + self._window <= now:
            self._started.popleft()
        room = self.rate if lane <= Lane.REDUCE else self.rate - self._kept
        over = len(self._started) - room
        return max(self._closed_until, now if over < 0 else self._started[over] + self._window)
