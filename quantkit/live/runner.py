"""One account's actor: an inbox, one task that reduces and journals, and tasks around it that only send messages.

Contract: nobody but `_write` touches the engine or the journal. Inputs are taken in the order they came:

1. `reduce` makes entries and effects of one, and of those that wait behind it, up to the first that has effects other
   than timers;
2. ONE transaction writes the entries (and the state, when it is due);
3. only then the effects start, so nothing leaves this machine that the journal does not know.

What goes wrong stops this account and no other, and is told by `failure`: an unknown exception in `reduce` halts the
account in its journal (`by` "rule RUNNER"), a journal that cannot be written halts it by silence. The input and those
behind it are kept in a file either way. A locked journal is tried again for a few seconds first.
Time comes from the clock given, chance (jitter) from the generator given.
"""

from __future__ import annotations

import asyncio
import contextlib
import pickle
import traceback
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final, Protocol, TypeAlias

from quantkit.errors import BadData, Bug, QuantkitError, Refused, RetryLater
from quantkit.live import metrics
from quantkit.live.clock import SECOND
from quantkit.live.effects import Effects, Limits
from quantkit.live.haltfile import read_halt
from quantkit.live.messages import Answered, Command, ConnectionChanged, Effect, Input, Noticed, Submit, Wake
from quantkit.trading.backoff import Backoff
from quantkit.trading.events import Entry, Kind

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence
    from pathlib import Path

    from quantkit.live.clock import Clock
    from quantkit.live.messages import Backfill
    from quantkit.trading.orders import Order
    from quantkit.trading.ports import Broker

_LOCKED: Final = (0.1, 0.3, 1.0, 3.0)  # seconds between attempts to write a locked journal
_TURNS: Final = 32  # inputs of one transaction at most


class Reduced(Protocol):
    """What the runner needs to know of an engine."""

    account: str
    orders: dict[str, Order]
    due: bool

    def snapshot(self) -> bytes: ...


class Written(Protocol):
    """What the runner needs of a journal."""

    def append(self, entries: Sequence[Entry], *, snapshot: bytes | None = None) -> object: ...
    def commands(self) -> list[Command]: ...
    def close(self) -> None: ...


Reduce: TypeAlias = "Callable[[Any, Input], tuple[Any, list[Entry], list[Effect]]]"


@dataclass(frozen=True, slots=True)
class Failure:
    """Why an account stopped. code: "BUG", "JOURNAL" or the code of a refusal; kept: the file with the inputs."""

    code: str
    detail: str
    kept: Path | None
    inputs: tuple[Input, ...]

    @property
    def restartable(self) -> bool:
        """Whether starting again from the journal may help: not after a bug, nor where somebody else is the owner."""
        return self.code not in ("BUG", "SECOND_OWNER")


@dataclass(frozen=True, slots=True, kw_only=True)
class RunnerSettings:
    """snapshot_every: entries between two states in the journal; intake: seconds between looks for commands."""

    limits: Limits = field(default_factory=Limits)
    snapshot_every: int = 2_000
    intake: float = 0.5
    close_wait: float = 15.0


@dataclass(frozen=True, slots=True)
class _Note:
    """Entries from the runner itself."""

    entries: tuple[Entry, ...]


@dataclass(frozen=True, slots=True)
class _Leave:
    """The last word of the inbox."""


@dataclass(slots=True)
class _Batch:
    """Inputs that were reduced, and their entries, which one transaction is to keep."""

    items: list[Input | _Note] = field(default_factory=list)
    entries: list[Entry] = field(default_factory=list)


class _Failed(Exception):
    """Ends the writer; `AccountRunner.failure` says why."""


class AccountRunner:
    """Runs one account until it is stopped or fails. `engine` has been recovered, `journal` holds the lease.

    reduce, fold: the engine's own functions (`quantkit.live.engine`); record: hears every input before it is reduced;
    started: payload of RunStarted, where one is to be written; halt_file: halts the account by being there.
    """

    def __init__(
        self,
        engine: Reduced,
        journal: Written,
        broker: Broker,
        clock: Clock,
        *,
        reduce: Reduce,
        chance: Callable[[], float],
        fold: Callable[[Any, Entry], object] | None = None,
        keep: Path | None = None,
        settings: RunnerSettings | None = None,
        backfill: Callable[[Backfill], Awaitable[None]] | None = None,
        record: Callable[[Input], None] | None = None,
        started: dict[str, Any] | None = None,
        halt_file: Path | None = None,
    ) -> None:
        self.engine, self.journal, self.broker, self.clock = engine, journal, broker, clock
        self.account = engine.account
        self.settings = RunnerSettings() if settings is None else settings
        self.failure: Failure | None = None
        self.state = "new"
        self.generation = 0
        self._reduce, self._fold, self._chance, self._keep, self._record = reduce, fold, chance, keep, record
        self._started, self._halt_file = started, halt_file
        self._inbox: asyncio.Queue[Input | _Note | _Leave] = asyncio.Queue()
        self._since_snapshot = 0
        self._status: dict[str, str] = {}
        self._ended = False  # RunEnded stands in the journal
        self._taken: set[str] = set()  # ids of commands that are on their way
        self._stopping = asyncio.Event()
        self.effects = Effects(
            self.account, broker, clock, self.post, limits=self.settings.limits, backfill=backfill, alarm=self.alarm
        )

    # --- from outside -----------------------------------------------------------------------------------------------

    def post(self, item: Input) -> None:
        """Send the account an input; from the loop's own thread."""
        if self.failure is None:
            self._inbox.put_nowait(item)

    def note(self, kind: Kind, payload: dict[str, Any]) -> None:
        """Write an entry that needs no decision: alarms, gaps, the run's beginning."""
        if self.failure is None:
            self._inbox.put_nowait(_Note((Entry(kind, self.clock.now_ns(), payload),)))

    def alarm(self, code: str, detail: str) -> None:
        """Write an alarm; whoever reads the journal tells people."""
        self.note(Kind.ALARM, {"code": code, "detail": detail, "key": f"{code} {self.clock.now_ns()}"})

    def stop(self, *, by: str, reason: str = "") -> None:
        """Leave in good order: no new orders, answers of those under way are waited for, open ones stay."""
        now = self.clock.now_ns()
        self.post(Command(now, f"stop:{self.account}:{now}", "stop", by, reason))

    @property
    def depth(self) -> int:
        """Inputs that wait."""
        return self._inbox.qsize()

    async def run(self) -> None:
        """Until `stop` or a failure; `failure` tells which."""
        if self.state != "new":
            raise Bug(f"account {self.account} was run before: make a new runner from its journal")
        self.state = "running"
        if self._started is not None:
            self.note(Kind.RUN_STARTED, self._started)
        loop = asyncio.get_running_loop()
        writer = loop.create_task(self._write(), name=f"{self.account} writer")
        around = [
            loop.create_task(self._listen(), name=f"{self.account} order stream"),
            loop.create_task(self._take_commands(), name=f"{self.account} commands"),
        ]
        stopping = loop.create_task(self._stopping.wait(), name=f"{self.account} stop")
        try:
            await asyncio.wait([writer, stopping, *around], return_when=asyncio.FIRST_COMPLETED)
            if not writer.done() and self._stopping.is_set():
                await self._leave(writer)
        finally:
            for task in (writer, stopping, *around):
                task.cancel()
            for end in await asyncio.gather(writer, stopping, *around, return_exceptions=True):
                if isinstance(end, Exception) and not isinstance(end, _Failed) and self.failure is None:
                    self._fail("BUG", end, [])
            await self._shut()
        self.state = "stopped" if self.failure is None else "failed"

    async def _leave(self, writer: asyncio.Task[None]) -> None:
        """Wait for answers of what is under way, write them, and let the writer go."""
        await self.effects.settle()
        if not self._ended:
            self.note(Kind.RUN_ENDED, {"reason": "stop"})
        self._inbox.put_nowait(_Leave())
        await asyncio.wait([writer])

    async def _shut(self) -> None:
        self.effects.drop_timers()
        await self.effects.settle()
        with contextlib.suppress(QuantkitError, OSError, TimeoutError):
            async with asyncio.timeout(self.settings.close_wait):
                await self.broker.close()
        with contextlib.suppress(QuantkitError, OSError):
            self.journal.close()
        metrics.CONNECTED.labels(self.account, "orders").set(0)

    # --- the writer -------------------------------------------------------------------------------------------------

    async def _write(self) -> None:
        """What waits is reduced in its order, up to the first turn that wants more done than to be woken; one
        transaction keeps all of it, then that is done. So a burst of answers waits for the disk once, not once each."""
        while True:
            item, batch, effects = await self._inbox.get(), _Batch(), list[Effect]()
            metrics.QUEUE_DEPTH.labels(self.account).set(self._inbox.qsize())
            while not isinstance(item, _Leave):
                wanted = await self._turn(item, batch)
                effects += wanted
                acts = any(not isinstance(effect, Wake) for effect in wanted)
                whole = acts or self.engine.due or isinstance(item, Command) or len(batch.items) == _TURNS
                if whole or self._inbox.empty():
                    break
                item = self._inbox.get_nowait()
            if batch.items:
                await self._append(batch)
            if isinstance(item, _Leave):
                return
            for effect in effects:
                self._start(effect, item)
            if isinstance(item, Command) and item.name == "stop":
                self._stopping.set()
            if not self._inbox.empty():
                await asyncio.sleep(0)  # requests leave now, not after the rest of the inbox

    async def _turn(self, item: Input | _Note, batch: _Batch) -> list[Effect]:
        """Reduce one input; what it wants done."""
        if isinstance(item, _Note):
            if self._fold is not None:
                for entry in item.entries:
                    self._fold(self.engine, entry)
            entries, effects = list(item.entries), list[Effect]()
        else:
            if self._record is not None:
                self._record(item)
            metrics.INPUTS.labels(self.account, type(item).__name__).inc()
            try:
                self.engine, entries, effects = self._reduce(self.engine, item)
            except Exception as error:
                await self._append(batch, whole=False)
                self._fail("BUG", error, [item])
                raise _Failed from error
        batch.items.append(item)
        batch.entries += entries
        return effects

    def _start(self, effect: Effect, item: Input | _Note) -> None:
        """An order that waited too long behind the inbox or the journal does not leave: its gates saw other prices, and
        so late nobody would look for it."""
        now, decided = self.clock.now_ns(), 0 if isinstance(item, _Note) else item.time
        if isinstance(effect, Submit) and now - decided > self.settings.limits.leave * SECOND:
            detail = f"decided {(now - decided) / SECOND:.0f} s before it could leave"
            self.post(Answered(now, "submit", effect.approved.order.id, "not_sent", None, "NOT_SENT", detail))
            return
        self.effects.run(effect)

    async def _append(self, batch: _Batch, *, whole: bool = True) -> None:
        """One transaction. A locked journal is tried again; anything else ends this run. whole: the engine is as these
        entries leave it, so its state may be kept."""
        entries = batch.entries
        self._since_snapshot += len(entries)
        wanted = whole and (self.engine.due or self._since_snapshot >= self.settings.snapshot_every)
        if not entries and not wanted:
            return
        loop = asyncio.get_running_loop()
        begun = loop.time()
        given = [item for item in batch.items if not isinstance(item, _Note)]
        for wait in (*_LOCKED, None):
            try:
                self.journal.append(entries, snapshot=self.engine.snapshot() if wanted else None)
                break
            except RetryLater as error:
                if wait is None:
                    self._fail("JOURNAL", error, given)
                    raise _Failed from error
                await asyncio.sleep(wait)
            except Exception as error:
                refused = isinstance(error, Refused | BadData)
                self._fail(error.code if isinstance(error, Refused) else "JOURNAL" if refused else "BUG", error, given)
                raise _Failed from error
        metrics.APPEND_SECONDS.labels(self.account).observe(loop.time() - begun)
        if wanted:
            self._since_snapshot = 0
        self._count(entries)

    def _count(self, entries: Sequence[Entry]) -> None:
        """Figures of what was written."""
        for entry in entries:
            metrics.ENTRIES.labels(self.account, entry.kind.value).inc()
            self._ended |= entry.kind is Kind.RUN_ENDED
            if entry.order is None or (order := self.engine.orders.get(entry.order)) is None:
                continue
            before = self._status.get(order.id)
            if before != order.status:
                if before is not None:
                    metrics.ORDERS.labels(self.account, before).dec()
                metrics.ORDERS.labels(self.account, order.status.value).inc()
                self._status[order.id] = order.status.value

    # --- failing ----------------------------------------------------------------------------------------------------

    def _fail(self, code: str, error: Exception, inputs: list[Input]) -> None:
        """Keep the inputs and those behind them, and say so in the journal where it still can be written."""
        while not self._inbox.empty():
            waiting = self._inbox.get_nowait()
            if not isinstance(waiting, _Note | _Leave):
                inputs.append(waiting)
        detail = f"{type(error).__name__}: {error}"
        kept = self._keep_inputs(inputs, error)
        self.failure = Failure(code, detail, kept, tuple(inputs))
        metrics.FAILURES.labels(self.account, code).inc()
        if code != "BUG":
            return
        now = self.clock.now_ns()
        halted = {
            "scope": "account", "name": self.account, "mode": "halted", "reason": f"BUG {detail}", "by": "rule RUNNER",
            "lifts": "",
        }  # fmt: skip
        alarm = {"code": "BUG", "detail": f"{detail}; inputs kept: {kept}", "key": f"BUG {now}"}
        with contextlib.suppress(QuantkitError, OSError):
            self.journal.append([Entry(Kind.RISK_STATE_CHANGED, now, halted), Entry(Kind.ALARM, now, alarm)])

    def _keep_inputs(self, inputs: list[Input], error: Exception) -> Path | None:
        """A pickle to replay and a text to read beside it; None where neither could be written."""
        if self._keep is None:
            return None
        name = f"{self.account}-{self.clock.now_ns()}"
        try:
            self._keep.mkdir(parents=True, exist_ok=True)
            text = "".join(traceback.format_exception(error)) + "\n" + "\n".join(map(repr, inputs)) + "\n"
            (self._keep / f"{name}.txt").write_text(text, encoding="utf-8")
            path = self._keep / f"{name}.pickle"
            path.write_bytes(pickle.dumps(inputs))
        except (OSError, pickle.PicklingError, TypeError, AttributeError):
            return None  # they are in `failure.inputs` still
        return path

    # --- around it --------------------------------------------------------------------------------------------------

    async def _listen(self) -> None:
        """The order stream: connect, tell, hand over, reconnect; for as long as the account runs."""
        wait = Backoff(self._chance)
        refused = ""
        while True:
            self.generation += 1
            generation, why = self.generation, "the stream ended"
            try:
                async with asyncio.timeout(self.settings.limits.connect):
                    await self.broker.connect()
                self._connected(generation)
                async for notice in self.broker.notices():
                    wait.reset()
                    self.post(Noticed(self.clock.now_ns(), replace(notice, generation=generation)))
            except Refused as error:
                why = str(error)
                if error.code != refused:
                    refused = error.code
                    self.alarm("CONNECTION_REFUSED", why)
            except (QuantkitError, OSError, TimeoutError) as error:
                why = f"{type(error).__name__}: {error}"
            metrics.CONNECTED.labels(self.account, "orders").set(0)
            metrics.RECONNECTS.labels(self.account, "orders").inc()
            self.post(ConnectionChanged(self.clock.now_ns(), "orders", False, generation, why))
            with contextlib.suppress(QuantkitError, OSError, TimeoutError):
                async with asyncio.timeout(self.settings.close_wait):
                    await self.broker.close()
            await asyncio.sleep(wait.next())

    def _connected(self, generation: int) -> None:
        metrics.CONNECTED.labels(self.account, "orders").set(1)
        self.post(ConnectionChanged(self.clock.now_ns(), "orders", True, generation))

    async def _take_commands(self) -> None:
        """Commands that other processes left in the journal's table, and that of the halt file. An id is handed over
        once, and the engine knows those that it has seen."""
        while True:
            halt = None if self._halt_file is None else read_halt(self._halt_file)
            waiting = [] if halt is None else [halt]
            with contextlib.suppress(RetryLater, Refused):
                waiting += self.journal.commands()
            for command in waiting:
                if command.id not in self._taken:
                    self._taken.add(command.id)
                    self.post(replace(command, time=self.clock.now_ns()))
            await asyncio.sleep(self.settings.intake)
