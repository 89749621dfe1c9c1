"""The daily jobs of a run."""

from __future__ import annotations

import datetime as dt
import gc
import json
import weakref
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from quantkit.cli.jobs import Jobs
from quantkit.errors import BadData
from quantkit.live import journal, sessions
from quantkit.live.messages import Command
from quantkit.live.pauses import frozen

DATE = dt.date(2026, 11, 20)


class Run:
    """What a job sees of a run with two deployments."""

    def __init__(self, folder: Path) -> None:
        self.alarms: list[tuple[str, str]] = []
        self.where = "somewhere"
        self.asked = SimpleNamespace(account="first")
        self.made = SimpleNamespace(folder=folder, prices=SimpleNamespace(market="KOSPI"))
        decider = SimpleNamespace(terms="terms", bars="bars")
        self.host = SimpleNamespace(deciders={"one": decider, "two": decider})
        self.log = SimpleNamespace(info=lambda *_, **__: None)

    def alarm(self, code: str, detail: str) -> None:
        self.alarms.append((code, detail))


async def test_the_report_of_each_deployment_is_written_and_a_drift_that_lasts_is_an_alarm(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    closed: list[str] = []
    monkeypatch.setattr(journal, "read_journal",
                        lambda *_: SimpleNamespace(close=lambda: closed.append("closed")))  # fmt: skip

    def report(_journal: Any, terms: Any, bars: Any, **given: Any) -> tuple[Path, Path]:
        assert (terms, bars, given["day"], given["account"]) == ("terms", "bars", "2026-11-20", "first")
        if given["deployment"] == "two":
            raise BadData("two has traded no session yet")
        document = tmp_path / "drift.json"
        alerts = ["DRIFT_OUTSIDE_BAND: median shortfall of 9.0, 9.0, 9.0 bp", "POSITION_DIFFERS: 005930 expected 1"]
        document.write_text(json.dumps({"alerts": alerts}), encoding="utf-8")
        return tmp_path / "drift.html", document

    monkeypatch.setattr(sessions, "daily_report", report)
    run = Run(tmp_path)
    said = await Jobs(run).report(DATE)  # type: ignore[arg-type]
    assert said == f"{tmp_path / 'drift.html'}; two: no report: two has traded no session yet"
    assert run.alarms == [("DRIFT_OUTSIDE_BAND", "median shortfall of 9.0, 9.0, 9.0 bp")]
    assert closed == ["closed", "closed"]


async def test_a_promotion_that_came_meanwhile_is_handed_to_the_account(tmp_path: Path) -> None:
    posted: list[Command] = []
    run = Run(tmp_path)
    run.made.allowed = lambda: 20_000_000.0
    bars = SimpleNamespace(minor_unit=1)
    run.host.deciders = {"one": SimpleNamespace(bars=bars)}
    run.host.clock = SimpleNamespace(now_ns=lambda: 7)
    run.host.supervisor = SimpleNamespace(runners={"first": SimpleNamespace(post=posted.append)})
    assert await Jobs(run).capital(DATE) == "20,000,000"  # type: ignore[arg-type]
    (command,) = posted
    assert (command.name, command.arguments) == ("capital", {"deployment": "one", "amount": 20_000_000})


async def test_what_days_before_left_in_memory_goes_at_night(tmp_path: Path) -> None:
    class Node:
        """Of a cycle."""

        me: Any

    before = gc.get_threshold()
    with frozen():
        assert gc.get_threshold()[2] > 10**9  # no full walk while orders leave
        node = Node()
        node.me, known = node, weakref.ref(node)
        gc.collect(1)
        del node
        gc.collect(1)
        assert known() is not None  # it is too old for the young walks
        await Jobs(Run(tmp_path)).memory(DATE)  # type: ignore[arg-type]
        assert known() is None
    assert gc.get_threshold() == before
    assert gc.get_freeze_count() == 0
