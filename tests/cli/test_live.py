"""live, run as a person runs it: rehearsed on an emulated exchange whose account outlives the process."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from quantkit.cli.app import run
from quantkit.emulator.memory import read_lines
from quantkit.live.journal import read_journal, verify
from quantkit.trading.events import Kind
from tests.cli.trades import SETTINGS, SYMBOLS, events, lay_out, promoted

RUN = ["live", "both.py", "--account", "second", "--symbols", SYMBOLS, "--speed", "max", "--seed", "5",
       "--tick-seconds", "300", "--param", "swap=true", "--from", "2025-10-01"]  # fmt: skip
MEMORY = Path("data/journals/second.emulator.jsonl")


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    lay_out(tmp_path)
    return tmp_path


@pytest.fixture(scope="module")
def a_day(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which a session was traded with a twentieth of the capital. To be copied."""
    folder = tmp_path_factory.mktemp("day")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        lay_out(folder)
        promoted("live_capped", account="second", swap=True)
        (folder / "stood.json").write_text(json.dumps(stood("--to", "2025-10-01")), encoding="utf-8")
    return folder


@pytest.fixture
def after_a_day(a_day: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """The same folder again, and how the account stands."""
    folder = shutil.copytree(a_day, tmp_path / "day")
    monkeypatch.chdir(folder)
    found: dict[str, Any] = json.loads((folder / "stood.json").read_text(encoding="utf-8"))
    return found


def test_an_account_that_is_not_armed_gets_no_order(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("quantkit.toml").write_text(SETTINGS.replace("armed = true", ""), encoding="utf-8")
    promoted("live", account="second", swap=True)
    assert run(RUN) == 2
    assert "account second is not armed" in capsys.readouterr().err


def test_live_asks_for_a_promotion_to_live_and_says_how(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    line = f"quantkit promote both.py --to {{}} --account second --symbols {SYMBOLS} --param swap=true"
    assert run(RUN) == 1
    assert f"it was never promoted. Run: {line.format('paper')}" in " ".join(capsys.readouterr().err.split())
    promoted("paper", account="second", swap=True)
    assert run(RUN) == 1
    assert f"it is promoted to paper. Run: {line.format('live')}" in " ".join(capsys.readouterr().err.split())
    promoted("live", account="second", swap=True)
    Path("both.py").write_text(Path("both.py").read_text(encoding="utf-8") + "\n", encoding="utf-8")
    assert run(RUN) == 1
    assert f"not what was promoted: both.py changed. Run: {line.format('paper')}" in " ".join(
        capsys.readouterr().err.split()
    )
    assert not Path("data/journals").exists()


def test_paper_is_not_live(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    promoted("live", account="second", swap=True)
    assert run([*RUN, "--broker", "paper"]) == 2
    assert "--broker emulator rehearses live" in capsys.readouterr().err


def stood(*arguments: str) -> dict[str, Any]:
    """How the account stands after a run."""
    status = events([*RUN, *arguments])[-2]
    return {name: status[name] for name in ("equity", "cash", "positions", "modes")}


def test_a_twentieth_of_the_capital_trades_and_the_exchange_remembers_it(after_a_day: dict[str, Any]) -> None:
    first = after_a_day
    assert first["modes"] == {"Both": "running"}
    assert 0 < sum(line["value"] for line in first["positions"]) <= 1_000_000
    requests = len(read_lines(MEMORY))
    second = stood("--to", "2025-10-02")
    assert second["modes"] == {"Both": "running"}  # shares and cash were found as they were left
    assert {line["symbol"] for line in second["positions"]} != {line["symbol"] for line in first["positions"]}
    assert len(read_lines(MEMORY)) > requests
    journal = read_journal("data/journals/second.sqlite", "second")
    assert verify(journal).good
    kinds = Counter(recorded.entry.kind for recorded in journal.read())
    journal.close()
    assert kinds[Kind.RUN_STARTED] == 2
    assert not kinds[Kind.POSITION_ADOPTED] + kinds[Kind.ORDER_UNRESOLVED] + kinds[Kind.ORDER_DENIED]


@pytest.mark.usefixtures("after_a_day")
def test_a_promotion_to_live_enlarges_the_sleeve_with_the_next_morning() -> None:
    promoted("live", account="second", swap=True)
    second = stood("--to", "2025-10-02")
    assert second["modes"] == {"Both": "running"}
    journal = read_journal("data/journals/second.sqlite", "second")
    granted = [each.entry.payload["assigned"] for each in journal.read() if each.entry.payload.get("granted")]
    journal.close()
    assert granted == [{"Both": 19_000_000}]


@pytest.mark.usefixtures("after_a_day")
def test_after_a_panic_the_next_run_is_halted_and_sends_nothing() -> None:
    requests = len(read_lines(MEMORY))
    assert run(["panic", "second", "--yes", "--reason", "a drill"]) == 0
    second = stood("--to", "2025-10-02")
    assert set(second["modes"].values()) == {"halted"}
    assert len(read_lines(MEMORY)) == requests
