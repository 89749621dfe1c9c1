"""Daily jobs on virtual time: moments, catching up, failing, and what is recorded."""

from __future__ import annotations

import asyncio
import datetime as dt
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from quantkit.errors import BadData, ConfigError
from quantkit.live.clock import SECOND, VirtualClock, run_virtual
from quantkit.live.schedule import FileRecord, Job, MemoryRecord, Record, Run, Schedule, last_run
from quantkit.live.windows import clock_text

SEOUL = dt.timezone(dt.timedelta(hours=9))


def at(text: str) -> int:
    return round(dt.datetime.fromisoformat(text).replace(tzinfo=SEOUL).timestamp()) * SECOND


class Diary:
    """Jobs that note when they ran and for which date."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.clock: VirtualClock | None = None

    def job(self, name: str) -> Callable[[dt.date], Awaitable[str | None]]:
        async def run(date: dt.date) -> str | None:
            assert self.clock is not None
            self.lines.append(f"{name} {date:%m-%d} {clock_text(self.clock.now_ns())}")
            return f"{name} done"

        return run


def live(jobs: list[Job], diary: Diary, begin: str, end: str, record: Record | None = None, **given: object) -> Record:
    kept = MemoryRecord() if record is None else record

    async def main(clock: VirtualClock) -> None:
        diary.clock = clock
        running = asyncio.create_task(Schedule(clock, jobs, kept, **given).run())  # type: ignore[arg-type]
        await clock.sleep_until(at(end))
        assert not running.done()
        running.cancel()
        await asyncio.wait([running])

    run_virtual(main, start=at(begin))
    return kept


def test_jobs_follow_the_hours_of_the_day() -> None:
    diary = Diary()
    jobs = [
        Job("sweep", diary.job("sweep"), "close", 600),
        Job("checks", diary.job("checks"), "open", -1800),
        Job("refresh", diary.job("refresh"), "midnight", 7 * 3600, sessions_only=False),
    ]
    live(jobs, diary, "2025-11-12T06:00", "2025-11-15T23:00")
    assert diary.lines == [
        "refresh 11-12 07:00", "checks 11-12 08:30", "sweep 11-12 15:40",
        "refresh 11-13 07:00", "checks 11-13 09:30", "sweep 11-13 16:40",  # the exam day
        "refresh 11-14 07:00", "checks 11-14 08:30", "sweep 11-14 15:40",
        "refresh 11-15 07:00",  # a Saturday
    ]  # fmt: skip


def test_what_was_missed_is_run_once_or_left_by_its_rule() -> None:
    diary = Diary()
    jobs = [
        Job("refresh", diary.job("refresh"), "midnight", 7 * 3600, rule="once"),
        Job("checks", diary.job("checks"), "open", -1800, rule="skip"),
    ]
    record = MemoryRecord()
    live(jobs, diary, "2025-11-10T06:00", "2025-11-10T12:00", record)
    live(jobs, diary, "2025-11-13T12:00", "2025-11-14T12:00", record)  # down for three days
    assert diary.lines == [
        "refresh 11-10 07:00", "checks 11-10 08:30", "refresh 11-13 12:00", "refresh 11-14 07:00", "checks 11-14 08:30",
    ]  # fmt: skip
    left = [(run.job, run.date[5:]) for run in record.runs() if run.result == "skipped"]
    assert left == [("refresh", "11-11"), ("refresh", "11-12"), ("checks", "11-11"), ("checks", "11-12"),
                    ("checks", "11-13")]  # fmt: skip


def test_what_is_recorded_is_not_run_again(tmp_path: Path) -> None:
    diary = Diary()
    jobs = [Job("sweep", diary.job("sweep"), "close", 600)]
    record = FileRecord(tmp_path / "jobs" / "runs.jsonl")
    live(jobs, diary, "2025-11-12T06:00", "2025-11-12T16:00", record)
    live(jobs, diary, "2025-11-12T16:01", "2025-11-12T23:00", FileRecord(record.path))
    assert diary.lines == ["sweep 11-12 15:40"]
    found = last_run(record, "sweep")
    assert found == Run("sweep", "2025-11-12", at("2025-11-12T15:40"), at("2025-11-12T15:40"), at("2025-11-12T15:40"),
                        "ok", "sweep done")  # fmt: skip
    assert last_run(record, "other") is None


def test_a_limit_is_seconds_of_the_machine_where_time_is_hurried_on() -> None:
    diary = Diary()

    async def slow(date: dt.date) -> None:
        await asyncio.sleep(600.0)  # at ten times the machine's pace: a minute of it

    jobs = [Job("slow", slow, "close", 0, limit=90.0)]
    for pace, result in ((1.0, "failed"), (10.0, "ok")):
        record = live(jobs, diary, "2025-11-12T15:00", "2025-11-12T20:00", pace=pace)
        assert [run.result for run in record.runs()] == [result]


def test_a_failing_job_is_recorded_told_and_holds_nobody_up() -> None:
    diary, alarms = Diary(), []

    async def broken(date: dt.date) -> None:
        raise OSError("disk")

    async def endless(date: dt.date) -> None:
        await asyncio.sleep(1e6)

    jobs = [
        Job("broken", broken, "close", 0),
        Job("endless", endless, "close", 0, limit=60.0),
        Job("last", diary.job("last"), "close", 0),
    ]
    record = live(jobs, diary, "2025-11-12T15:00", "2025-11-12T20:00", alarm=lambda code, detail: alarms.append(detail))
    assert [(run.job, run.result) for run in record.runs()] == [
        ("broken", "failed"), ("endless", "failed"), ("last", "ok"),
    ]  # fmt: skip
    assert diary.lines == ["last 11-12 15:31"]
    assert alarms == ["broken of 2025-11-12: OSError: disk", "endless of 2025-11-12: not done within 60 s"]


def test_a_job_may_be_tried_again() -> None:
    tries = []

    async def third(date: dt.date) -> None:
        tries.append(date)
        if len(tries) < 3:
            raise OSError("not yet")

    record = live([Job("x", third, "close", 0, retries=3)], Diary(), "2025-11-12T15:00", "2025-11-12T20:00")
    assert (len(tries), record.runs()[0].result) == (3, "ok")


def test_a_line_cut_short_by_a_crash_counts_as_not_run(tmp_path: Path) -> None:
    diary = Diary()
    path = tmp_path / "runs.jsonl"
    path.write_text('{"job": "sweep", "date": "2025-11-1')
    live([Job("sweep", diary.job("sweep"), "close", 600)], diary, "2025-11-12T15:00", "2025-11-12T16:00",
         FileRecord(path))  # fmt: skip
    assert diary.lines == ["sweep 11-12 15:40"]
    assert [run.date for run in FileRecord(path).runs()] == ["2025-11-12"]
    path.write_text("something else\n")
    with pytest.raises(BadData, match="no run of a job"):
        FileRecord(path).runs()


def test_two_jobs_of_one_name_are_refused() -> None:
    with pytest.raises(ConfigError, match="two jobs of one name: x"):
        Schedule(VirtualClock(None), [Job("x", None, "close", 0), Job("x", None, "open", 0)], MemoryRecord())  # type: ignore[arg-type]


def test_a_schedule_without_a_coming_job_is_refused() -> None:
    with pytest.raises(ConfigError, match="within a month"):
        Schedule(VirtualClock(None), [], MemoryRecord()).next(at("2025-11-12T12:00"))  # type: ignore[arg-type]
