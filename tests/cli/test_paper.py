"""paper, run as a person runs it: on an emulated exchange, as fast as it can be computed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from quantkit.cli.app import run
from quantkit.live.alerts import Level
from quantkit.live.journal import read_journal, verify
from quantkit.live.schedule import FileRecord
from quantkit.trading.events import Kind
from tests.cli.trades import SYMBOLS, events, lay_out, promoted

FAST = ["--speed", "max", "--seed", "5", "--tick-seconds", "300"]
RUN = ["paper", "both.py", "--account", "first", "--symbols", SYMBOLS, *FAST]
DAY = ["--from", "2025-10-01", "--to", "2025-10-01"]


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with accounts and a strategy that is promoted to paper."""
    monkeypatch.chdir(tmp_path)
    lay_out(tmp_path)
    promoted("paper")
    return tmp_path


def entries(account: str = "first") -> list[Any]:
    journal = read_journal(f"data/journals/{account}.sqlite", account)
    try:
        assert verify(journal).good
        return [recorded.entry for recorded in journal.read()]
    finally:
        journal.close()


def test_a_session_on_paper_trades_the_opening_auction_and_ends_by_itself(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run([*RUN, *DAY]) == 0, capsys.readouterr().err
    said = capsys.readouterr()
    assert "made-up prices (seed 5)" in said.err
    for words in (
        "paper of Both on first begins",
        "opening auction",
        "buy 000010 filled",
        "bar closed",
        "run ended: over",
    ):
        assert words in said.out
    kinds = [entry.kind for entry in entries()]
    assert kinds.count(Kind.ORDER_FILLED) == 2
    assert kinds[-1] is Kind.RUN_ENDED
    account = json.loads((here / "data/journals/first.paper.json").read_text(encoding="utf-8"))
    assert sorted(account["ledger"]["shares"]) == ["000010", "000020"]
    begun = next(entry.payload for entry in entries() if entry.kind is Kind.RUN_STARTED)
    assert (begun["promotion"]["after"], begun["promotion"]["override"]) == ("paper", "a test")
    report = json.loads((here / "data/journals/reports/drift-first-2025-10-01.json").read_text(encoding="utf-8"))
    assert (report["filled"], len(report["fills"])) == (report["ordered"], 2)
    equity = report["equity"]
    assert sum(line["since"] for line in report["bridge"]) == equity["real"] - equity["expected"]


def final(told: list[dict[str, Any]]) -> dict[str, Any]:
    """How the account stood at the end of a run."""
    return {name: told[-2][name] for name in ("equity", "cash", "positions", "time")}


SIGNALLED = """
import os, sys
from quantkit.cli.app import run
from quantkit.live.journal.store import StoredJournal

kind, left, number = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
plain = StoredJournal.append


def append(self, entries, **more):
    global left
    found = plain(self, entries, **more)
    before, left = left, left - sum(entry.kind.value == kind for entry in entries)
    if left <= 0 < before:
        os.kill(os.getpid(), number)
    return found


StoredJournal.append = append
sys.exit(run(sys.argv[4:]))
"""


def until(kind: Kind, count: int, number: signal.Signals) -> int:
    """Run paper in a process of its own that gets a signal when the journal holds so many entries; its exit code."""
    command = [sys.executable, "-c", SIGNALLED, kind.value, str(count), str(int(number)), *RUN, *DAY]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    return subprocess.run(command, env=environment, capture_output=True, check=False).returncode


def test_killed_and_stopped_in_a_session_it_goes_on_and_nothing_is_sent_twice(
    here: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    assert until(Kind.ORDER_ACCEPTED, 2, signal.SIGKILL) == -signal.SIGKILL
    assert until(Kind.ORDER_FILLED, 1, signal.SIGTERM) == 0
    assert entries()[-1].payload["reason"] == "SIGTERM"
    resumed = final(events([*RUN, *DAY]))
    kinds = Counter(entry.kind for entry in entries())
    assert kinds[Kind.RUN_STARTED] == 3
    sent = Counter(entry.order for entry in entries() if entry.kind is Kind.ORDER_SUBMITTING)
    assert set(sent.values()) == {1}
    capsys.readouterr()
    assert run([*RUN, *DAY]) == 2  # the same command again has nothing left to do
    assert "the account stands at 2025-10-01 16:15" in capsys.readouterr().err
    other = tmp_path_factory.mktemp("whole")
    monkeypatch.chdir(other)
    lay_out(other)
    promoted("paper")
    assert final(events([*RUN, *DAY])) == resumed


@pytest.mark.parametrize(
    ("changed", "code", "words"),
    [
        ({"--account": "third"}, 2, "no account 'third'"),
        ({"--symbols": "000030,000040"}, 1, "promote both.py --to paper --account first --symbols 000030,000040"),
        ({"--param": "swap=true"}, 1, "it is not what was promoted: params.swap: True, promoted with False"),
        ({"--fill": "close"}, 2, "the close a rule decides on is over"),
        ({"--fill": "next_close"}, 2, "next_open"),
        ({"--broker": "moon"}, 2, "expected one of paper, emulator"),
        ({"--prices": "moon"}, 2, "expected one of emulator"),
        (
            {"--from": "2025-10-04", "--to": "2025-10-05"},
            2,
            "closed from 2025-10-04 to 2025-10-05; the next session is",
        ),
        ({"--from": "2025-10-02", "--to": "2025-10-01"}, 2, "--from 2025-10-02 is after --to 2025-10-01"),
        ({"--from": "soon"}, 2, "--from"),
        ({"--speed": "0"}, 2, "--speed 0: time has to pass"),
        ({"--speed": "fast"}, 2, "--speed fast"),
        ({"--tick-seconds": "0"}, 2, "--tick-seconds 0"),
        ({"--capital": "2000000"}, 2, "at most the account's cash"),
        ({"--seed": None}, 2, "no lake at data/lake"),
        ({"--freq": "5m"}, 1, "it is not what was promoted: freq: '5m'"),
        ({"--freq": "10t"}, 2, "--freq 10t"),
    ],
)
def test_what_is_wrong_is_said_before_anything_begins(
    here: Path, capsys: pytest.CaptureFixture[str], changed: dict[str, str | None], code: int, words: str
) -> None:
    given = dict(zip(RUN[2::2], RUN[3::2], strict=True)) | {"--from": "2025-10-01"} | changed
    line = [word for option, value in given.items() if value is not None for word in (option, value)]
    assert run(["paper", "both.py", *line]) == code
    assert words in " ".join(capsys.readouterr().err.split())
    assert not Path("data/journals").exists()


def test_a_file_that_holds_no_strategy_and_one_that_is_not_there(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("empty.py").write_text("x = 1\n", encoding="utf-8")
    for file in ("empty.py", "nowhere.py"):
        assert run(["paper", file, *RUN[2:], *DAY]) == 2
        assert file in capsys.readouterr().err


def test_an_account_that_another_process_runs_is_left_alone(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    holder = (
        "from pathlib import Path; from quantkit.cli.owner import owned\n"
        "with owned(Path('data/journals/first.lock'), 'first', 'quantkit paper x.py'):\n"
        "    print('mine', flush=True); input()"
    )
    root = str(Path(__file__).parents[2])
    with subprocess.Popen([sys.executable, "-c", holder], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
                          env={**os.environ, "PYTHONPATH": root}) as process:  # fmt: skip
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stdout.readline() == "mine\n"
        assert run([*RUN, *DAY]) == 1
        assert f"ACCOUNT_IN_USE: first is run by process {process.pid} (quantkit paper x.py)" in capsys.readouterr().err
        process.stdin.write("\n")


def test_alerts_jobs_and_figures_of_a_session(
    here: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[str] = []

    def sender(urls: list[str]) -> Any:
        assert urls == ["json://127.0.0.1:9/x"]

        def send(title: str, body: str, level: Level) -> bool:
            told.append(body)
            return len(told) > 1  # nobody is there the first time

        return send

    monkeypatch.setattr("quantkit.live.alerts.apprise_sender", sender)
    with Path("quantkit.toml").open("a", encoding="utf-8") as file:
        file.write('[alerts]\nurls = ["json://127.0.0.1:9/x"]\nleast = "info"\n')
    assert run([*RUN, *DAY, "--metrics", "out/figures.prom"]) == 0, capsys.readouterr().err
    assert "alerts not sent" in capsys.readouterr().err
    said = [line for body in told[1:] for line in body.splitlines()]
    alerts = [line for line in said if line.startswith("#")]
    numbers = [int(line[1:].split()[0]) for line in alerts]
    assert numbers == sorted(set(numbers))  # in order, each once
    assert told[1].startswith(told[0])  # what nobody heard is told again
    assert sum("OrderFilled" in line for line in alerts) == 2
    assert "RunEnded" in alerts[-1]
    journal = read_journal("data/journals/first.sqlite", "first")
    hashes = {recorded.seq: recorded.hash for recorded in journal.read()}
    journal.close()
    (head,) = [line for line in said if "the journal's last entry is" in line]
    seq, hash_ = head.rpartition(" is ")[2].split(", ")
    assert hashes[int(seq)] == hash_
    assert Path("data/journals/first.alerts").read_text(encoding="ascii") == f"{max(hashes)}\n"
    runs = {each.job: each.result for each in FileRecord(Path("data/journals/first.jobs.jsonl")).runs()}
    assert {"morning", "bar mismatch", "journal head"} <= set(runs)
    assert runs.pop("memory") == runs.pop("capital") == "skipped"  # the run begins after their time
    assert set(runs.values()) == {"ok"}
    figures = Path("out/figures.prom").read_text(encoding="utf-8")
    assert 'quantkit_entries_total{account="first",kind="OrderFilled"}' in figures
    assert 'quantkit_jobs_total{job="journal head",result="ok"}' in figures
