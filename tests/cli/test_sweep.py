"""`quantkit sweep`: the best runs as a table, as JSON, as files."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest

from quantkit.cli.app import run

PLACE = ["--symbols", "AAPL", "--cash", "100000", "--start", "2004"]
SPACE = ["--param", "fast=10:30:10", "--param", "slow=20,60", "--where", "fast < slow"]


def test_a_sweep_prints_the_best_and_writes_files(in_demo: Path, sma_cross: str, tmp_path: Path, capsys) -> None:
    out, report, plot = tmp_path / "a" / "runs.csv", tmp_path / "sweep.html", tmp_path / "map.png"
    arguments = ["sweep", sma_cross, *PLACE, *SPACE, "--out", str(out), "--report", str(report), "--plot", str(plot)]
    assert run([*arguments, "--resume", str(tmp_path / "kept"), "--overfit"]) == 0
    shown = capsys.readouterr().out
    assert "4 runs of SmaCross" in shown
    assert "Best 4 of 4 by sharpe" in shown
    assert "probability of backtest overfitting" in shown
    assert len(pd.read_csv(out)) == 4
    assert report.stat().st_size > 10_000
    assert plot.stat().st_size > 5_000
    assert list((tmp_path / "kept").glob("piece-*.parquet"))


def test_json_says_the_same(in_demo: Path, sma_cross: str, capsys) -> None:
    asked = ["--metric=-volatility", "--top", "2", "--json"]
    assert run(["sweep", sma_cross, *PLACE, *SPACE, "--param", "stop_loss=none,0.1", *asked]) == 0
    said = json.loads(capsys.readouterr().out)
    assert (said["runs"], said["failed"], len(said["top"])) == (8, 0, 2)
    assert said["top"][0]["volatility"] <= said["top"][1]["volatility"]
    assert said["best"]["fast"] == said["top"][0]["fast"]


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (["--param", "quick=1,2"], "quick"),
        (["--param", "fast=500"], "from 2 to 120"),
        (["--param", "fast=10", "--where", "fast > 50"], "lets none"),
        (["--param", "fast=10", "--metric", "sharp"], "choose one of"),
        (["--param", "fast=10", "--out", "runs.txt"], "--out runs.txt"),
        ([], "nothing to sweep"),
    ],
)
def test_wrong_use_is_one_line_and_exit_code_2(
    in_demo: Path, sma_cross: str, given: list[str], said: str, capsys
) -> None:
    assert run(["sweep", sma_cross, *PLACE, *given]) == 2
    assert said in capsys.readouterr().err
