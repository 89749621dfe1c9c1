"""Daily jobs: data refresh, morning checks, close sweep, drift report, the journal's head hash to the alert channel.

Contract: a job has a moment of the day: seconds after the session's open or close, or after midnight in Seoul; on a day
without a session jobs of a session do not run. Each run is recorded with its result, so that a restart knows what is
done. A run missed while the process was down follows the job's rule:

    once    run it now, one time, for the latest missed day
    skip    leave it, and record that it was left

A job that was never recorded has missed at most today's run.

Jobs run one after the other in the order of their moments; one that fails is recorded as failed, may be tried again
`retries` times, and holds nobody up. Moments are the injected clock's. Each has a time limit, in seconds of the
machine: `pace` says how many of the loop's make one.

>>> job = Job("head hash", run=None, anchor="close", seconds=20 * 60, rule="once")
>>> from quantkit.live.windows import clock_text
>>> clock_text(job.due("2025-11-13")), job.due("2026-06-03")
('16:50', None)
"""

from __future__ import annotations

import asyncio
import datetime as dt
import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Final, Literal, Protocol

from quantkit.errors import BadData, ConfigError
from quantkit.live import metrics
from quantkit.live.windows import date_of, session_of
from quantkit.market.days import epoch_days

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence
    from pathlib import Path

    from quantkit.live.clock import Clock
    from quantkit.market.days import Date

_SECOND: Final = 1_000_000_000
_DAY: Final = 86_400 * _SECOND
_SEOUL: Final = 9 * 3_600 * _SECOND
_BACK: Final = 10  # days that are looked through for missed runs


@dataclass(frozen=True, slots=True)
class Job:
    """One daily job. run: takes the date it is for, and may return a line for the record.

    anchor: "open" or "close" of the session, or "midnight"; sessions_only: with "midnight", only on session days.
    """

    name: str
    run: Callable[[dt.date], Awaitable[str | None]] | None
    anchor: Literal["open", "close", "midnight"]
    seconds: int
    rule: Literal["once", "skip"] = "once"
    sessions_only: bool = True
    limit: float = 1_800.0
    retries: int = 0
    market: str = "KOSPI"

    def due(self, date: Date) -> int | None:
        """When it runs on that date, UTC nanoseconds; None: not at all."""
        span = session_of(date, market=self.market)
        if span is None and (self.anchor != "midnight" or self.sessions_only):
            return None
        if self.anchor == "midnight" or span is None:
            start = int(epoch_days(date)) * _DAY - _SEOUL
        else:
            start = span.opens if self.anchor == "open" else span.closes
        return start + self.seconds * _SECOND


@dataclass(frozen=True, slots=True)
class Run:
    """What became of a job on a date. result: "ok", "failed" or "skipped"."""

    job: str
    date: str
    due: int
    started: int
    ended: int
    result: str
    detail: str = ""


class Record(Protocol):
    """Where runs are kept."""

    def add(self, run: Run) -> None: ...
    def runs(self) -> Sequence[Run]: ...


class MemoryRecord:
    """Runs of one process."""

    def __init__(self) -> None:
        self._runs: list[Run] = []

    def add(self, run: Run) -> None:
        """Keep it."""
        self._runs.append(run)

    def runs(self) -> Sequence[Run]:
        """All, oldest first."""
        return tuple(self._runs)


class FileRecord:
    """Runs in a file, a line of JSON each. A line cut short by a crash is left out; any other damage is BadData."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def add(self, run: Run) -> None:
        """Append it."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        whole = not self.path.exists() or self.path.read_bytes()[-1:] in (b"", b"\n")
        with self.path.open("a", encoding="utf-8") as file:
            file.write(("" if whole else "\n") + json.dumps(asdict(run), ensure_ascii=False) + "\n")

    def runs(self) -> Sequence[Run]:
        """All, oldest first."""
        if not self.path.exists():
            return ()
        text = self.path.read_text(encoding="utf-8")
        lines, found = text.split("\n"), []
        for number, line in enumerate(lines, start=1):
            if not line:
                continue
            try:
                found.append(Run(**json.loads(line)))
            except (ValueError, TypeError) as error:
                if line.startswith('{"job"') and not line.endswith("}"):
                    continue  # the process died while it wrote this one: the job counts as not run
                raise BadData(f"{self.path}:{number}: {line[:60]!r} is no run of a job") from error
        return tuple(found)


class Schedule:
    """Runs jobs when they are due. alarm: hears of failures (code, detail); pace: how many times as fast as the
    machine's the loop's time runs."""

    def __init__(
        self,
        clock: Clock,
        jobs: Sequence[Job],
        record: Record,
        *,
        alarm: Callable[[str, str], None] | None = None,
        pace: float = 1.0,
    ) -> None:
        names = [job.name for job in jobs]
        if len(set(names)) != len(names):
            raise ConfigError(f"two jobs of one name: {', '.join(sorted({n for n in names if names.count(n) > 1}))}")
        self.clock, self.jobs, self.record = clock, tuple(jobs), record
        self._alarm, self._pace = alarm, pace
        self._done = {(run.job, run.date) for run in record.runs()}

    async def run(self) -> None:
        """For as long as the process: first what was missed, then each day's jobs."""
        now = self.clock.now_ns()
        for due, job, date in self._missed(now):
            await self._do(job, date, due)
        while True:
            due, job, date = self.next(self.clock.now_ns())
            await self.clock.sleep_until(due)
            await self._do(job, date, due)

    def next(self, now: int) -> tuple[int, Job, dt.date]:
        """The next run that nobody has recorded: (when, job, date). It may be due already."""
        today = date_of(now)
        found = []
        for job in self.jobs:
            for days in range(-1, 30):
                date = today + dt.timedelta(days=days)
                due = job.due(date)
                if due is None or (job.name, str(date)) in self._done:
                    continue
                if days >= 0 or due >= now:
                    found.append((due, job, date))
                    break
        if not found:
            raise ConfigError("no job is due within a month: a schedule needs jobs on days that come")
        order = {job.name: place for place, job in enumerate(self.jobs)}
        return min(found, key=lambda one: (one[0], order[one[1].name]))

    def _missed(self, now: int) -> list[tuple[int, Job, dt.date]]:
        """Runs to be caught up now, by their moment; those that are left are recorded as skipped."""
        caught = []
        today = date_of(now)
        for job in self.jobs:
            missed: list[tuple[int, dt.date]] = []
            known = any(name == job.name for name, _ in self._done)
            for days in range(_BACK if known else 0, -1, -1):
                date = today - dt.timedelta(days=days)
                due = job.due(date)
                if due is None or due >= now:
                    continue
                if (job.name, str(date)) in self._done:
                    missed = []  # what lay before it is over
                    continue
                missed.append((due, date))
            last = missed.pop() if missed and job.rule == "once" else None
            for due, date in missed:
                self._add(Run(job.name, str(date), due, now, now, "skipped", "missed while the process was down"))
            if last is not None:
                caught.append((last[0], job, last[1]))
        order = {job.name: place for place, job in enumerate(self.jobs)}
        return sorted(caught, key=lambda one: (one[0], order[one[1].name]))

    async def _do(self, job: Job, date: dt.date, due: int) -> None:
        started, result, detail = self.clock.now_ns(), "ok", ""
        for attempt in range(job.retries + 1):
            try:
                async with asyncio.timeout(job.limit * self._pace):
                    detail = "" if job.run is None else await job.run(date) or ""
                result = "ok"
                break
            except TimeoutError:
                result, detail = "failed", f"not done within {job.limit:g} s"
            except Exception as error:  # noqa: BLE001 - whatever it was, the other jobs run
                result, detail = "failed", f"{type(error).__name__}: {error}"
            if attempt < job.retries:
                await asyncio.sleep(min(60.0, 2.0**attempt))
        self._add(Run(job.name, str(date), due, started, self.clock.now_ns(), result, detail))
        if result == "failed" and self._alarm is not None:
            self._alarm("JOB_FAILED", f"{job.name} of {date}: {detail}")

    def _add(self, run: Run) -> None:
        self.record.add(run)
        self._done.add((run.job, run.date))
        metrics.JOBS.labels(run.job, run.result).inc()


def last_run(record: Record, job: str) -> Run | None:
    """The latest run of a job, for whoever shows the state."""
    return next((run for run in reversed(record.runs()) if run.job == job), None)
