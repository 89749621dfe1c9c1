"""The one door to time and chance: what o'clock it is, how far off this machine is, and a loop whose time is virtual.

Contract: `now_ns` is UTC nanoseconds of the exchange's time as well as we know it: the machine's clock corrected by
what servers said in their `Date` headers. Between two corrections it runs on the monotonic clock, so a step of the
machine's clock moves nothing (`SystemClock.jump` tells of it); timeouts run on the loop's time, monotonic too.
Nothing else under `quantkit/live` reads a clock or draws a number: a house rule holds that.

`run_virtual` runs a coroutine on a loop that never waits: when nothing is ready, time jumps to the next timer. A whole
session takes about a second, and the same program gives the same order of events each time. When nothing is ready and
no timer is left, nothing can ever happen again: that is a `Deadlock`. Work for other threads runs at once, in the loop.

>>> async def main(clock):
...     await asyncio.sleep(3600)
...     return clock.now_ns()
>>> run_virtual(main, start=1_000) == 1_000 + 3600 * SECOND
True
"""

from __future__ import annotations

import asyncio
import datetime as dt
import random
import select
import selectors
import statistics
import time
from collections import deque
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any, Final, Protocol, TypeVar

from quantkit.errors import BadData, Bug, ConfigError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

Result = TypeVar("Result")

SECOND: Final = 1_000_000_000
MILLISECOND: Final = 1_000_000
ALARM_NS: Final = 500 * MILLISECOND
DENY_NS: Final = 2 * SECOND
SAMPLES: Final = 5
_ON_ITS_WAY: Final = 0.0005  # seconds of the machine that bytes between two sockets of it may take
_DEAD: Final = 5.0  # and after which nothing comes any more, where no timer is set


class Clock(Protocol):
    """What time it is, and waking at a time. Everybody who needs time is given one."""

    def now_ns(self) -> int:
        """UTC nanoseconds of the exchange's time."""

    def call_at(self, at: int, callback: Callable[[], object]) -> asyncio.TimerHandle:
        """Call back when `now_ns` is at least `at`; soon where that has passed. The handle cancels it."""

    async def sleep_until(self, at: int) -> None:
        """Return when `now_ns` is at least `at`."""


class Offset:
    """How far the machine's clock is behind the servers', from the `Date` headers of their answers.

    A header tells whole seconds, cut off: half a second is added, and the median of the last five decides, so one late
    answer moves nothing. `state` is "unknown" before the first, then "ok", "alarm" (over 500 ms) or "deny" (over 2 s).
    """

    def __init__(self) -> None:
        self._samples: deque[int] = deque(maxlen=SAMPLES)

    def add(self, header: str, *, sent: int, received: int) -> None:
        """One answer: its header, and the machine's UTC nanoseconds at request and answer. BadData: no such date."""
        try:
            said = parsedate_to_datetime(header)
        except ValueError as error:
            raise BadData(f"Date header {header!r}: expected a date such as 'Thu, 02 Jan 2025 00:00:00 GMT'") from error
        if said.tzinfo is None:
            said = said.replace(tzinfo=dt.UTC)
        self._samples.append(round(said.timestamp()) * SECOND + SECOND // 2 - (sent + received) // 2)

    @property
    def samples(self) -> int:
        """How many headers it rests on."""
        return len(self._samples)

    @property
    def ns(self) -> int:
        """Nanoseconds to add to the machine's clock; 0 before the first header."""
        return round(statistics.median(self._samples)) if self._samples else 0

    @property
    def state(self) -> str:
        """ "unknown", "ok", "alarm" or "deny"; fewer than five headers never deny."""
        if not self._samples:
            return "unknown"
        off = abs(self.ns)
        if off > DENY_NS and len(self._samples) == SAMPLES:
            return "deny"
        return "alarm" if off > ALARM_NS else "ok"


class SystemClock:
    """The real time. `wall` and `monotonic` stand for the machine's two clocks (tests pass their own)."""

    def __init__(
        self, *, wall: Callable[[], int] = time.time_ns, monotonic: Callable[[], int] = time.monotonic_ns
    ) -> None:
        self._wall, self._monotonic = wall, monotonic
        self._base = wall() - monotonic()
        self.offset = Offset()
        self._correction = 0
        self._latest = 0

    def now_ns(self) -> int:
        self._latest = max(self._latest, self._base + self._monotonic() + self._correction)
        return self._latest

    def machine_ns(self) -> int:
        """The machine's time without the correction: what `measure` takes as `sent` and `received`."""
        return self._base + self._monotonic()

    def measure(self, header: str, *, sent: int, received: int) -> str:
        """Take in the `Date` header of an answer; the state of `Offset` after it.

        The correction follows once there are five; one that moves time back lets it stand still instead.
        """
        self.offset.add(header, sent=sent, received=received)
        if self.offset.samples == SAMPLES:
            self._correction = self.offset.ns
        return self.offset.state

    def jump(self) -> int:
        """Nanoseconds by which the machine's clock has been set since the last call, or it slept; takes them over."""
        moved = self._wall() - self.machine_ns()
        if abs(moved) > ALARM_NS:
            self._base += moved
            return moved
        return 0

    def call_at(self, at: int, callback: Callable[[], object]) -> asyncio.TimerHandle:
        return asyncio.get_running_loop().call_later(max(0, at - self.now_ns()) / SECOND, callback)

    async def sleep_until(self, at: int) -> None:
        while (left := at - self.now_ns()) > 0:
            await asyncio.sleep(left / SECOND)


def system_random() -> Callable[[], float]:
    """Numbers in [0, 1) for the jitter of reconnects, from the machine."""
    return random.SystemRandom().random


def seeded_random(seed: int) -> Callable[[], float]:
    """The same numbers in [0, 1) for the same seed."""
    return random.Random(seed).random


# --- virtual time -----------------------------------------------------------------------------------------------------


class Deadlock(Bug):
    """Tasks wait, and no timer is left that could wake any of them."""


class _NoWait(selectors.BaseSelector):
    """A selector without files: asked to wait, it moves the loop's time instead."""

    def __init__(self, loop: VirtualLoop) -> None:
        self._loop = loop

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is None:
            self._loop.report_deadlock()
        elif timeout > 0:
            self._loop.advance(timeout)
        return []

    def register(self, fileobj: Any, events: int, data: Any = None) -> selectors.SelectorKey:
        return selectors.SelectorKey(fileobj, -1, events, data)

    def unregister(self, fileobj: Any) -> selectors.SelectorKey:
        return selectors.SelectorKey(fileobj, -1, 0, None)

    def get_map(self) -> Mapping[Any, selectors.SelectorKey]:
        return {}


class _Sockets(selectors.DefaultSelector):
    """A selector whose files go first: time moves when nothing has come over any of them."""

    def __init__(self, loop: VirtualLoop) -> None:
        super().__init__()
        self._loop = loop

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is not None and timeout <= 0:
            return super().select(0)
        found = super().select(0)
        if not found:
            wait = _DEAD if timeout is None else _ON_ITS_WAY
            if hasattr(self, "fileno"):  # epoll and its kin, whose own timeouts are whole milliseconds
                select.select([self], [], [], wait)
                wait = 0.0
            found = super().select(wait)
        if not found and timeout is None:
            self._loop.report_deadlock()
        elif not found:
            self._loop.advance(timeout or 0.0)
        return found


class VirtualLoop(asyncio.SelectorEventLoop):
    """An event loop in virtual time, from `start` (UTC nanoseconds). Sockets and threads have no place on it."""

    selector: type[_NoWait | _Sockets] = _NoWait

    def __init__(self, start: int = 0) -> None:
        self._elapsed = 0.0
        self._start = start
        super().__init__(self.selector(self))
        self._clock_resolution = 1e-9
        self._made = 0
        self.set_task_factory(self.numbered)

    def time(self) -> float:
        """Seconds since the start: small numbers, so that a float keeps every nanosecond for days."""
        return self._elapsed

    def now_ns(self) -> int:
        """UTC nanoseconds."""
        return self._start + round(self._elapsed * SECOND)

    def numbered(self, _loop: asyncio.AbstractEventLoop, coro: Any, **options: Any) -> asyncio.Task[Any]:
        """A task that counts from this loop's start: asyncio's own names count through the whole process."""
        self._made += 1
        return asyncio.Task(coro, loop=self, **{"name": f"task-{self._made:09d}", **options})

    def advance(self, seconds: float) -> None:
        """Let time pass; for the selector."""
        self._elapsed += seconds

    def report_deadlock(self) -> None:
        """Deadlock, with what waits where."""
        waiting = sorted(f"{task.get_name()} in {_place(task)}" for task in asyncio.all_tasks(self))
        raise Deadlock(f"nothing is ready and no timer is set; waiting: {', '.join(waiting) or 'nobody'}")

    def run_in_executor(  # type: ignore[override]
        self,
        executor: Any,  # noqa: ARG002 - there is none here
        func: Callable[..., Any],
        *args: Any,
    ) -> asyncio.Future[Any]:
        """The call, made at once: threads would make the order of events a matter of luck."""
        future: asyncio.Future[Any] = self.create_future()
        try:
            future.set_result(func(*args))
        except Exception as error:  # noqa: BLE001 - handed to whoever awaits it, whatever it is
            future.set_exception(error)
        return future


class SocketLoop(VirtualLoop):
    """Virtual time for a program whose sockets lead to itself: a server and its client on one loop.

    Time stands while anything is on its way. Two runs are alike, yet not to the byte: the system decides which of two
    sockets is ready first.
    """

    selector = _Sockets


def _place(task: asyncio.Task[Any]) -> str:
    """Where a task waits: its innermost coroutine."""
    found: Any = task.get_coro()
    while hasattr(inner := getattr(found, "cr_await", None), "cr_frame"):
        found = inner
    frame = getattr(found, "cr_frame", None)
    return f"{found.__qualname__}:{frame.f_lineno}" if frame is not None else "an end"


class VirtualClock:
    """The clock of a `VirtualLoop` or a `PacedLoop`."""

    def __init__(self, loop: VirtualLoop | PacedLoop) -> None:
        self._loop = loop

    def now_ns(self) -> int:
        return self._loop.now_ns()

    def call_at(self, at: int, callback: Callable[[], object]) -> asyncio.TimerHandle:
        return self._loop.call_later(max(0, at - self.now_ns()) / SECOND, callback)

    async def sleep_until(self, at: int) -> None:
        while (left := at - self.now_ns()) > 0:
            await asyncio.sleep(left / SECOND)


def run_virtual(
    main: Callable[[VirtualClock], Awaitable[Result]], *, start: int = 0, loop_type: type[VirtualLoop] = VirtualLoop
) -> Result:
    """Run `main(clock)` to its end on a fresh virtual loop; what is still running then is cancelled.

    Deadlock when nothing can happen any more. ConfigError inside a running loop.
    """
    if _running():
        raise ConfigError("run_virtual inside a running loop: call it from plain code")
    loop = loop_type(start)
    try:
        asyncio.set_event_loop(loop)
        task: asyncio.Task[Result] = loop.create_task(_await(main(VirtualClock(loop))), name="main")
        try:
            return loop.run_until_complete(task)
        finally:
            _cancel_all(loop)
    finally:
        asyncio.set_event_loop(None)
        loop.close()


def _running() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


async def _await(awaitable: Awaitable[Result]) -> Result:
    return await awaitable


def _cancel_all(loop: VirtualLoop) -> None:
    """End what still runs, in the order of its names, and its generators; also what that starts in turn."""
    for _ in range(10):
        left = sorted(asyncio.all_tasks(loop), key=lambda task: task.get_name())
        if not left:
            break
        for task in left:
            task.cancel()
        loop.run_until_complete(asyncio.wait(left))
    loop.run_until_complete(loop.shutdown_asyncgens())


# --- time at a pace ---------------------------------------------------------------------------------------------------


class _Paced(selectors.DefaultSelector):
    """A selector that waits the shorter, the faster the loop's time runs."""

    speed = 1.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        return super().select(timeout if timeout is None or timeout <= 0 else timeout / self.speed)


class PacedLoop(asyncio.SelectorEventLoop):
    """An event loop whose time begins at `start` (UTC nanoseconds) and runs `speed` times as fast as the machine's."""

    def __init__(self, start: int, speed: float, *, monotonic: Callable[[], int] = time.monotonic_ns) -> None:
        self._start, self._speed, self._monotonic, self._base = start, speed, monotonic, monotonic()
        selector = _Paced()
        selector.speed = speed
        super().__init__(selector)

    def time(self) -> float:
        """Seconds since the start, in the loop's own time."""
        return (self._monotonic() - self._base) / SECOND * self._speed

    def now_ns(self) -> int:
        """UTC nanoseconds."""
        return self._start + round(self.time() * SECOND)


def run_paced(main: Callable[[VirtualClock], Awaitable[Result]], *, start: int, speed: float) -> Result:
    """Run `main(clock)` to its end on a loop whose time begins at `start` and runs `speed` times as fast as ours.

    ConfigError inside a running loop, and for a speed that is no number above 0.
    """
    if not 0.0 < speed < float("inf"):
        raise ConfigError(f"speed {speed:g}: time runs at a number above 0")
    if _running():
        raise ConfigError("run_paced inside a running loop: call it from plain code")
    with asyncio.Runner(loop_factory=lambda: PacedLoop(start, speed)) as runner:
        loop = runner.get_loop()
        assert isinstance(loop, PacedLoop)
        return runner.run(_await(main(VirtualClock(loop))))
