"""What the doctor finds in accounts, from what runs leave behind."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from quantkit.brokers.paper import PaperBroker
from quantkit.cli.account_checks import account_findings
from quantkit.cli.app import run
from quantkit.live.clock import SystemClock
from quantkit.live.journal import open_journal
from quantkit.live.messages import Command
from quantkit.live.promote import PromotionStore
from quantkit.live.schedule import FileRecord, Run
from quantkit.settings import load
from quantkit.trading.events import Entry, Kind
from tests.cli.trades import lay_out, promoted

NINE = 1_759_276_800_000_000_000  # 2025-10-01 09:00 in Seoul
HALTED = {"scope": "account", "name": "first", "mode": "halted", "reason": "odd", "by": "ann", "lifts": ""}


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("QUANTKIT_CONFIG", raising=False)
    lay_out(tmp_path)
    return tmp_path


def said(state: str, name: str = "first") -> list[str]:
    found = account_findings(load())
    return [each.text for each in found if (each.area, each.state) == (f"account {name}", state)]


def ran(*entries: Entry, artifact: str = "abc", commands: tuple[Command, ...] = ()) -> None:
    """Leave a journal as a run does."""
    journal = open_journal("data/journals/first.sqlite", "first", owner="test", now=NINE)
    started = {"mode": "paper", "artifact": artifact, "params": {"Both": {"swap": False}}, "version": "1"}
    journal.append([Entry(Kind.RUN_STARTED, NINE, started), *entries])
    for command in commands:
        journal.send(command)
    journal.close()


def test_an_account_that_never_ran_has_nothing_to_be_looked_at(here: Path) -> None:
    assert said("ok") == ["no journal yet: the first run makes it"]
    assert not said("failed") + said("warning")


def test_a_sound_account(here: Path) -> None:
    promoted("paper")
    (promotion,) = PromotionStore("data/promotions.sqlite").promotions()
    ran(Entry(Kind.RUN_ENDED, NINE + 1, {"reason": "over"}), artifact=promotion.pins.digest)
    found = said("ok")
    assert found[0].startswith("journal: 2 entries, chain and tables agree, head ")
    assert "last run: paper, began 2025-10-01 09:00:00 in Seoul, ended 2025-10-01 09:00:00 in Seoul (over)" in found
    assert "Both: promoted to paper (promotion 1)" in found
    assert not said("failed") + said("warning")


def test_what_a_run_left_behind(here: Path) -> None:
    ran(Entry(Kind.RISK_STATE_CHANGED, NINE, HALTED), commands=(Command(NINE, "a", "resume", "ann", "why"),))
    Path("data/journals/first.halt").write_text("odd prices\n", encoding="utf-8")
    record = FileRecord(Path("data/journals/first.jobs.jsonl"))
    record.add(Run("daily report", "2025-10-01", NINE, NINE, NINE, "failed", "BadData: no bars"))
    found = said("warning")
    assert "a file asks for halt: odd prices" in found
    assert "account is HALTED by ann: odd" in found
    assert "1 commands wait, first resume: the next start obeys" in found
    assert "what ran last is not promoted in data/promotions.sqlite" in found
    assert "job daily report of 2025-10-01 failed: BadData: no bars" in found
    assert any("runs, or was killed" in text for text in said("ok"))


def test_a_journal_that_was_changed_fails(here: Path) -> None:
    ran()
    with sqlite3.connect("data/journals/first.sqlite") as database:
        for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
            database.execute(f"DROP TRIGGER {name}")
        database.execute("UPDATE journal SET payload = replace(payload, 'paper', 'paprika')")
    database.close()
    (text,) = said("failed")
    assert text.startswith("journal: ")


def test_what_brokers_on_this_machine_remember(here: Path) -> None:
    broker = PaperBroker("first", clock=SystemClock(), cash=7, state=Path("data/journals/first.paper.json"))
    broker.desk.advance(NINE)
    broker._keep()
    assert any(text.startswith("paper broker: as of 2025-10-01 09:00:00 in Seoul, 0 names held") for text in said("ok"))
    begun = {"version": 1, "account": "first", "cash": 1, "seed": 5, "first": "2025-10-01"}
    Path("data/journals/first.emulator.jsonl").write_text(json.dumps(begun) + "\n", encoding="utf-8")
    assert "emulated exchange: from 2025-10-01, seed 5, 0 requests" in said("ok")
    Path("data/journals/first.emulator.jsonl").write_text("nonsense\n", encoding="utf-8")
    assert any("no line of an emulated exchange's memory" in text for text in said("failed"))


def test_a_broker_nobody_knows_and_a_journal_without_settings(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ran()
    Path("quantkit.toml").write_text('[accounts.other]\nbroker = "moon"\n', encoding="utf-8")
    assert said("failed", "other") == ["broker = 'moon' is not known"]
    assert said("warning") == ["it has a journal, and no settings any more"]
    assert run(["doctor", "--json"]) == 1
    document: dict[str, Any] = json.loads(capsys.readouterr().out)
    assert {"account first", "account other"} <= {finding["area"] for finding in document["findings"]}


def test_entries_nobody_was_told_of(here: Path) -> None:
    with Path("quantkit.toml").open("a", encoding="utf-8") as file:
        file.write('[alerts]\nurls = ["json://127.0.0.1:9/x"]\n')
    ran()
    assert "alerts: told up to entry 0, 1 after it" in said("warning")
    Path("data/journals/first.alerts").write_text("1\n", encoding="ascii")
    assert "alerts: told up to entry 1, 0 after it" in said("ok")
