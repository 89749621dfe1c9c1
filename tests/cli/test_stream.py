"""`quantkit backtest` on more minutes than a panel should hold."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest

from quantkit.cli import inputs
from quantkit.cli.app import run
from tests.data.test_stream import filled, minute_rows

RULE = """
from quantkit import Bars, Policy, Strategy, ta

class Cross(Strategy):
    policy = Policy(weighting="equal")
    warmup = 3

    def targets(self, bars: Bars):
        return bars.close > ta.sma(bars.close, 3)
"""


@pytest.fixture
def minutes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    known = pd.DataFrame([("000010", "KOSPI"), ("000020", "KOSPI")], columns=["symbol", "market"])
    filled(str(tmp_path / "lake"), (minute_rows([[2] * 15, [2, 0, 2] * 5], bars=3), known, pd.DataFrame()))
    (tmp_path / "cross.py").write_text(RULE, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    return ["backtest", "cross.py", "--lake", str(tmp_path / "lake"), "--freq", "1m", "--cash", "1000000", "--json"]


def test_minutes_beyond_the_limit_run_in_chunks_with_the_same_answer(
    minutes: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert run([*minutes, "--save-manifest", "m.json"]) == 0
    whole = capsys.readouterr()
    assert "chunks" not in whole.err
    monkeypatch.setattr(inputs, "STREAM_ABOVE", 0)
    assert run(minutes) == 0
    parts = capsys.readouterr()
    assert "15 bars of 2 names: run in 1 chunks, the state carried" in parts.err
    ours, theirs = json.loads(parts.out), json.loads(whole.out)
    assert (theirs.pop("run"), ours.pop("run")) == (1, 2)  # both are in the run log
    assert ours == theirs
    assert run(["backtest", "--manifest", "m.json"]) == 0
    assert "the same to the last bit" in capsys.readouterr().err


def test_minutes_lose_a_tick_unless_told(minutes: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert run(minutes) == 0
    assert json.loads(capsys.readouterr().out)["manifest"]["run"]["costs"]["slippage_ticks"] == 1.0
    assert run([*minutes, "--slippage-ticks", "0"]) == 0
    assert json.loads(capsys.readouterr().out)["manifest"]["run"]["costs"]["slippage_ticks"] == 0.0
