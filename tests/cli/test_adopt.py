"""`quantkit adopt`: what a person may say, what the engine makes of it, what is said when nobody runs the account."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from quantkit.cli import adopt
from quantkit.cli.app import run
from quantkit.live.journal import open_journal
from quantkit.live.journal.base import Journal
from quantkit.live.messages import Command
from tests.live.accounts import CASH, NAMES, Account, at

Answer = Callable[..., tuple[int, str]]
PLACE = "data/journals/first.sqlite"
WHY = ["--reason", "by phone"]


@pytest.fixture
def journal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "quantkit.toml").write_text('[accounts.first]\nbroker = "paper"\n')
    made = open_journal(PLACE, "first", owner="test", now=1)
    yield made
    made.close()


@pytest.fixture
def answer(journal: Journal, capsys: pytest.CaptureFixture[str]) -> Answer:
    def ask(*arguments: str) -> tuple[int, str]:
        capsys.readouterr()
        code = run(["adopt", *arguments])
        found = capsys.readouterr()
        return code, found.out + found.err

    return ask


@pytest.fixture
def engine(journal: Journal, monkeypatch: pytest.MonkeyPatch) -> Account:
    """The account's real engine, which looks into the table of commands while the person waits."""
    account = Account()
    account.ready()
    account.opens(at("08:05"))
    account.tick(70_000.0, time=at("12:00"))

    def work(_seconds: float) -> None:
        for command in journal.commands():
            journal.append(account.feed(Command(account.time + 1, command.id, command.name, command.by, command.reason,
                                                command.arguments)))  # fmt: skip

    monkeypatch.setattr(adopt.time, "sleep", work)
    return account


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--symbol", "005930", "--shares", "12"], {"symbol": "005930", "quantity": 12, "deployment": None}),
        (["--symbol", "005930", "--shares", "0", "--deployment", "sma"],
         {"symbol": "005930", "quantity": 0, "deployment": "sma"}),
        (["--cash", "5000"], {"cash": True, "amount": 5000}),
        (["--assign", "-7", "--symbol", "005930", "--deployment", "sma"],
         {"symbol": "005930", "assign": -7, "deployment": "sma"}),
        (["--assign", "700", "--deployment", "sma"], {"cash": True, "assign": 700, "deployment": "sma"}),
        (["--order", "d:1:0", "--number", "0012"], {"order": "d:1:0", "number": "0012"}),
        (["--order", "d:1:0", "--outcome", "not-found"], {"order": "d:1:0", "outcome": "not_found"}),
        (["--order", "d:1:0", "--outcome", "ended"], {"order": "d:1:0", "outcome": "ended"}),
    ],
)  # fmt: skip
def test_what_is_left_for_the_engine(
    answer: Answer, journal: Journal, arguments: list[str], told: dict[str, Any]
) -> None:
    code, text = answer("first", *WHY, *arguments, "--wait", "0")
    assert (code, "left in its journal" in text) == (0, True)
    (command,) = journal.commands()
    assert (command.name, command.reason, command.arguments) == ("adopt", "by phone", told)
    assert command.by


def test_command_that_nobody_takes_waits_and_exit_code_says_so(answer: Answer, journal: Journal) -> None:
    code, text = answer("first", *WHY, "--cash", "5", "--wait", "0.01", "--json")
    found = json.loads(text)
    assert (code, found["state"]) == (1, "waiting")
    assert "no process seems to run the account" in found["said"]
    assert [command.id for command in journal.commands()] == [found["id"]]


def test_running_engine_does_it_and_the_answer_is_from_its_journal(answer: Answer, engine: Account) -> None:
    code, text = answer("first", *WHY, "--symbol", NAMES[0], "--shares", "3")
    assert (code, "done, entry 1: PositionAdopted" in text) == (0, True)
    assert engine.engine.unassigned == {NAMES[0]: 3}
    code, text = answer("first", *WHY, "--cash", str(CASH + 500), "--json")
    assert (code, json.loads(text)["state"]) == (0, "done")
    code, text = answer("first", *WHY, "--assign", "500", "--deployment", "sma")
    assert (code, "AccountState" in text) == (0, True)
    assert engine.engine.sleeves["sma"].cash() == CASH + 500


def test_what_the_engine_refuses_is_told_with_exit_code_1(answer: Answer, engine: Account) -> None:
    code, text = answer("first", *WHY, "--assign", "500", "--deployment", "sma")
    assert code == 1
    assert "refused: adopt" in text
    assert "NOT_THERE" in text
    assert engine.engine.sleeves["sma"].cash() == CASH


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        ([], "one of --shares, --cash, --assign and --order, not none"),
        (["--cash", "1", "--shares", "2"], "not --shares and --cash"),
        (["--shares", "2"], "of which --symbol?"),
        (["--assign", "2"], "to which --deployment?"),
        (["--order", "x"], "--number, or --outcome"),
        (["--order", "x", "--number", "1", "--outcome", "ended"], "--number, or --outcome"),
        (["--order", "x", "--outcome", "filled"], "--outcome not-found or ended"),
        (["--cash", "1", "--symbol", "005930"], "--symbol says nothing with --cash"),
        (["--reason", " ", "--cash", "1"], "say why"),
    ],
)
def test_what_says_too_little_or_too_much_is_wrong_usage(
    answer: Answer, journal: Journal, arguments: list[str], why: str
) -> None:
    code, text = answer("first", *WHY, *arguments)
    assert code == 2
    assert why in text
    assert journal.commands() == []


def test_account_that_is_not_known_or_never_ran_is_said(answer: Answer, tmp_path: Path) -> None:
    assert answer("second", *WHY, "--cash", "1")[0] == 2
    (tmp_path / "quantkit.toml").write_text("[accounts.first]\n[accounts.second]\n")
    code, text = answer("second", *WHY, "--cash", "1")
    assert (code, "no journal at" in text) == (2, True)
