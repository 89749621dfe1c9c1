"""`quantkit walkforward`, and how a command line writes a space."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

import pytest

from quantkit import load_strategy
from quantkit.cli.app import run
from quantkit.cli.space import space_of, where_of
from quantkit.errors import ConfigError


def test_a_walk_prints_windows_and_writes_files(in_demo: Path, sma_cross: str, tmp_path: Path, capsys) -> None:
    report, plot, resume = tmp_path / "a" / "walk.html", tmp_path / "walk.png", tmp_path / "walk.jsonl"
    arguments = ["walkforward", sma_cross, "--symbols", "AAPL", "--cash", "100000", "--param", "fast=10:30:20",
                 "--param", "slow=60", "--start", "2004", "--report", str(report), "--plot", str(plot),
                 "--resume", str(resume)]  # fmt: skip
    assert run(arguments) == 0
    said = capsys.readouterr().out
    assert "test_start" in said
    assert report.stat().st_size > 50_000
    assert plot.stat().st_size > 10_000
    assert run([*arguments, "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert len(resume.read_text().splitlines()) == len(document["windows"])
    assert document["train"] == "3Y"
    assert set(document["windows"][0]["parameters"]) == {"fast", "slow"}
    assert document["stability"]["slow"]["values"] == 1


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--param", "quick=1:3"], "--param quick: SmaCross has the parameters fast, slow"),
        (["--param", "fast=5:1:1"], "low <= high"),
        (["--param", "fast=a:b"], "in numbers"),
        (["--param", "fast=5,x"], "fast"),
        (["--param", "fast="], "is empty"),
        (["--param", "fast=5:10", "--where", "fast < quick"], "'quick' is not tried"),
        (["--param", "fast=5:10", "--where", "__import__('os')"], "only names"),
        (["--param", "fast=5:10", "--where", "fast <"], "cannot be read"),
        (["--train", "99Y"], "longer than the data"),
        (["--train", "3X"], "train='3X'"),
        (["--metric", "sharp"], "choose one of"),
    ],
)
def test_wrong_usage_is_named(options: list[str], words: str, in_demo: Path, sma_cross: str, capsys) -> None:
    assert run(["walkforward", sma_cross, "--symbols", "AAPL", "--cash", "100000", *options]) == 2
    assert words in capsys.readouterr().err


def test_ranges_lists_and_policy_fields(sma_cross: str) -> None:
    cls = load_strategy(sma_cross)
    texts = ["fast=5:14:3", "slow=60,80:100:20", "stop_loss=none,0.05", "rebalance=month", "max_names=3"]
    assert space_of(cls, texts) == {
        "fast": [5, 8, 11, 14], "slow": [60, 80, 100], "stop_loss": [None, 0.05], "rebalance": ["month"],
        "max_names": [3],
    }  # fmt: skip
    with pytest.raises(ConfigError, match="at most"):
        space_of(cls, ["stop_loss=0:1:0.000001"])


@pytest.mark.parametrize(
    ("text", "expected"),
    [("fast < slow", True), ("2 * fast >= slow", False), ("not fast == 5 or slow - fast > 3", True),
     ("1 < fast < slow / 2 and slow % 2 == 0", True), ("-fast < 0", True)],
)  # fmt: skip
def test_conditions(text: str, expected: bool) -> None:
    condition = where_of(text)
    assert condition is not None
    assert condition(SimpleNamespace(fast=5, slow=12)) is expected
