"""`quantkit replay`: exit codes and what it prints."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from quantkit.cli.app import run

PEEK = '''
from quantkit import Strategy


class Peek(Strategy):
    """Buys before a rise."""

    def targets(self, bars):
        close = bars.frame("close")
        return close.shift(-1) > close
'''
SPAN = ("--symbols", "AAPL", "--start", "2005", "--end", "2006")


def test_a_strategy_that_lives_as_tested_ends_well(
    in_demo: Path, sma_cross: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    journal = tmp_path / "replay.sqlite"
    assert run(["replay", sma_cross, *SPAN, "--journal", str(journal)]) == 0
    shown = capsys.readouterr().out
    assert "the same, to the last won and share" in shown
    assert "largest difference in equity: 0" in shown
    assert journal.is_file()
    assert run(["replay", sma_cross, *SPAN, "--journal", str(journal)]) == 2
    assert "it is there already" in capsys.readouterr().err


def test_one_that_looks_ahead_has_to_be_honest_and_then_differs(
    in_demo: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "peek.py"
    path.write_text(PEEK, encoding="utf-8")
    assert run(["replay", str(path), *SPAN]) == 2
    assert "--honest" in capsys.readouterr().err
    assert run(["replay", str(path), *SPAN[:4], "--end", "2005-03-31", "--honest", "--json"]) == 1
    said = json.loads(capsys.readouterr().out)
    assert said["same"] is False
    assert said["honest"] is True
    assert said["ledger"]["rows"][0]["cause"] == "decision"
    assert run(["replay", str(path), *SPAN[:4], "--end", "2005-03-31", "--honest"]) == 1
    assert "first causes" in capsys.readouterr().out
