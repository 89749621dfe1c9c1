"""halt, resume and panic as a person runs them: what they leave, and for whom."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from quantkit.brokers.paper import PaperBroker
from quantkit.cli.app import run
from quantkit.cli.brokers import paper_of
from quantkit.live.clock import VirtualClock, run_virtual
from quantkit.live.haltfile import read_halt
from quantkit.live.journal import open_journal
from quantkit.live.messages import Command
from quantkit.live.panic import Panicked
from quantkit.settings import load
from quantkit.trading.orders import OrderType, Side
from quantkit.trading.ports import BrokerOrder
from tests.brokers.benches import SYMBOL, TEN, facts
from tests.brokers.contract import ask

Answer = Callable[..., dict[str, Any]]


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with two accounts, the first of which has a journal."""
    monkeypatch.chdir(tmp_path)
    text = '[accounts.first]\nbroker = "paper"\ncash = 1_000_000\noptions = {costs = "free"}\n[accounts.second]\n'
    (tmp_path / "quantkit.toml").write_text(text + 'broker = "emulator"\n[accounts.third]\nbroker = "moon"\n')
    open_journal("data/journals/first.sqlite", "first", owner="test", now=1).close()
    return tmp_path


@pytest.fixture
def answer(here: Path, capsys: pytest.CaptureFixture[str]) -> Answer:
    def ask_(*arguments: str, code: int = 0) -> dict[str, Any]:
        capsys.readouterr()
        assert run([*arguments, "--json"]) == code, capsys.readouterr().err
        found: dict[str, Any] = json.loads(capsys.readouterr().out)
        return found

    return ask_


def left() -> list[Command]:
    """Commands that wait for the engine of the first account."""
    journal = open_journal("data/journals/first.sqlite", "first", owner="test", now=2)
    try:
        return journal.commands()
    finally:
        journal.close()


def the_file(name: str = "first") -> Command | None:
    return read_halt(Path(f"data/journals/{name}.halt"))


def test_halt_leaves_one_command_in_two_places(answer: Answer) -> None:
    told = answer("halt", "first", "--reason", "numbers look wrong", "--mode", "reducing", "--cancel")
    (command,) = left()
    assert the_file() == command
    assert command.id == told["id"]
    assert (command.name, command.reason) == ("halt", "numbers look wrong")
    assert command.arguments == {"scope": "account", "mode": "reducing", "cancel": True}
    assert command.by


def test_halt_works_before_there_is_a_journal(answer: Answer) -> None:
    told = answer("halt", "second", "--reason", "not yet")
    assert told["accounts"][0]["reached"]
    assert "no journal yet" in told["accounts"][0]["said"]
    assert the_file("second") is not None


def test_all_means_every_account(answer: Answer) -> None:
    told = answer("halt", "--all", "--reason", "storm")
    assert [each["account"] for each in told["accounts"]] == ["first", "second", "third"]
    (command,) = left()
    assert command.arguments["scope"] == "global"
    assert the_file("third") == command
    answer("halt", "--all", "--mode", "flatten", "--reason", "out")
    assert [(each.name, each.arguments) for each in left()][1:] == [("flatten", {})]


def test_one_deployment_or_name_is_halted_by_the_journal_alone(answer: Answer) -> None:
    answer("halt", "first", "--deployment", "sma", "--reason", "odd")
    answer("halt", "first", "--symbol", SYMBOL, "--reason", "odd")
    answer("halt", "first", "--deployment", "sma", "--mode", "flatten", "--reason", "odd")
    assert [each.arguments for each in left()] == [
        {"scope": "deployment", "name": "sma", "mode": "halted", "cancel": False},
        {"scope": "symbol", "name": SYMBOL, "mode": "halted", "cancel": False},
        {"scope": "deployment", "name": "sma"},
    ]
    assert the_file() is None
    answer("halt", "second", "--symbol", SYMBOL, "--reason", "odd", code=1)  # nobody would ever hear of it


def test_resume_takes_the_file_away(answer: Answer) -> None:
    answer("halt", "first", "--reason", "x")
    answer("resume", "first", "--reason", "checked")
    answer("resume", "first", "--reason", "again")
    assert the_file() is None
    assert [each.name for each in left()] == ["halt", "resume", "resume"]


@pytest.mark.parametrize(
    "arguments",
    [
        ["halt", "first"],
        ["halt", "first", "--reason", " "],
        ["halt", "--reason", "x"],
        ["halt", "first", "--all", "--reason", "x"],
        ["halt", "first", "--mode", "gently", "--reason", "x"],
        ["halt", "first", "--mode", "flatten", "--symbol", "a", "--reason", "x"],
        ["halt", "first", "--deployment", "d", "--symbol", "a", "--reason", "x"],
        ["halt", "unknown", "--reason", "x"],
        ["resume", "first", "--reason", ""],
        ["panic", "third", "--yes"],
    ],
)
def test_wrong_usage_leaves_nothing(here: Path, arguments: list[str]) -> None:
    assert run(arguments) == 2
    assert left() == []
    assert list(here.glob("data/journals/*.halt")) == []


def test_without_accounts_there_is_nobody_to_halt(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert run(["halt", "--all", "--reason", "x"]) == 2


def test_a_folder_that_cannot_be_written_is_said(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (here / "data/journals/second.halt.new").mkdir()
    assert run(["halt", "second", "--reason", "x"]) == 1
    assert "could not be changed" in capsys.readouterr().out


def test_a_damaged_journal_does_not_keep_the_file_from_working(here: Path, answer: Answer) -> None:
    Path("data/journals/first.sqlite").write_bytes(b"SQLite format 3\x00" + b"rubbish" * 200)
    told = answer("halt", "first", "--reason", "x")
    assert "journal:" in told["accounts"][0]["said"]
    assert the_file() is not None


class Later:
    """A minute after ten."""

    def now_ns(self) -> int:
        return TEN + 60 * 10**9

    async def sleep_until(self, at: int) -> None:
        """It is that late."""


def test_panic_cancels_by_the_broker_alone_and_leaves_the_account_halted(
    answer: Answer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The engine is dead: its paper account stands in the file that it left."""
    monkeypatch.setattr("quantkit.live.clock.SystemClock", Later)
    told = load()

    async def before(clock: VirtualClock) -> None:
        broker = paper_of(told, "first", clock)
        assert isinstance(broker, PaperBroker)
        broker.learn(facts(SYMBOL))
        await broker.connect()
        await broker.submit(ask(SYMBOL, Side.BUY, 10, 69_900.0))
        await broker.close()

    run_virtual(before, start=TEN)
    found = answer("panic", "first", "--yes", "--reason", "engine died")
    assert (found["done"], len(found["cancelled"]), found["left"], found["problems"]) == (True, 1, [], [])
    file = the_file()
    assert file is not None
    assert (file.name, file.reason) == ("halt", "engine died")
    assert [each.name for each in left()] == ["panic"]

    async def after() -> None:
        broker = paper_of(told, "first", Later())
        await broker.connect()
        assert [each.status for each in await broker.orders()] == ["canceled"]

    asyncio.run(after())


def test_what_panic_could_not_cancel_is_said(
    here: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    line = BrokerOrder(number="7", symbol=SYMBOL, side=Side.BUY, quantity=5, filled=0, value=0, leaves=5,
                       type=OrderType.LIMIT, time=0)  # fmt: skip

    async def stuck(_: object) -> Panicked:
        return Panicked(("6",), (line,), ("cancel 7: no answer",))

    monkeypatch.setattr("quantkit.live.panic.cancel_all", stuck)
    assert run(["panic", "first", "--yes"]) == 1
    shown = capsys.readouterr()
    assert "1 orders cancelled" in shown.out
    assert f"still open: 7 {SYMBOL} buy 5" in shown.err
    assert "no answer" in shown.err


def test_panic_reaches_an_emulated_exchange_by_the_process_that_runs_it(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["panic", "second", "--yes", "--reason", "a drill"]) == 0
    assert "stands still while nobody runs it" in capsys.readouterr().out
    file = read_halt(load().journals / "second.halt")
    assert file is not None
    assert (file.name, file.reason) == ("halt", "a drill")


def test_panic_asks_first(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def no(text: str, **_: object) -> bool:
        asked.append(text)
        return False

    monkeypatch.setattr("typer.confirm", no)
    assert run(["panic", "first"]) == 1
    assert asked == ["Cancel every open order of first and halt it?"]
    assert left() == []


def test_options_of_a_paper_account_are_checked(here: Path) -> None:
    for line, wanted in (("colour = 1", "options.colour"), ('costs = "many"', "costs='many'")):
        (here / "quantkit.toml").write_text(f'[accounts.first]\nbroker = "paper"\noptions = {{{line}}}\n')
        assert run(["panic", "first", "--yes"]) == 2, wanted
