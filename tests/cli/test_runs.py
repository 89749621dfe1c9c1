"""`quantkit runs` and `quantkit reproduce`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from quantkit import backtest, load_strategy, runs
from quantkit.cli.app import run
from tests.research.lakes import RULE, make_lake, write_rule


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a lake, a rule and three runs of it."""
    lake = make_lake(tmp_path)
    rule = load_strategy(write_rule(tmp_path))
    for window in (5, 9):
        backtest(rule(window=window), lake.bars(), cash=10_000_000)
    backtest(rule(window=5), lake.bars(), cash=10_000_000, start="2024-03-04")
    runs.record(kind="sweep", strategy=rule, bars=lake.bars(), parameters={"window": [3, 4]}, metrics={"sharpe": 1.0},
                sharpes=[0.1, 0.2])  # fmt: skip
    monkeypatch.chdir(tmp_path)
    return tmp_path


def said(capsys: pytest.CaptureFixture[str]) -> str:
    return capsys.readouterr().out


def test_runs_are_listed_with_their_figures_and_the_trials_they_make(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["runs", "--lake", str(folder / "lake")]) == 0
    text = said(capsys)
    assert "window=5" in text
    assert "Rising" in text
    assert "Rising: 5 trials in all" in text
    assert run(["runs", "--lake", str(folder / "lake"), "--strategy", "rising.py", "--kind", "sweep", "--json"]) == 0
    found = json.loads(said(capsys))["runs"]
    assert [(one["id"], one["trials"]) for one in found] == [(4, 2)]
    assert run(["runs", "--lake", str(folder / "lake"), "--strategy", "Nobody"]) == 0
    assert "no such runs" in said(capsys)


def test_two_runs_side_by_side_say_what_differs(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["runs", "1", "2", "--lake", str(folder / "lake"), "--json"]) == 0
    assert json.loads(said(capsys))["differing"] == {"param window": [5, 9]}
    assert run(["runs", "1", "3", "--lake", str(folder / "lake")]) == 0
    text = said(capsys)
    assert "2024-03-04" in text
    assert "Sharpe ratio" in text
    assert run(["runs", "2", "--lake", str(folder / "lake")]) == 0
    assert "param window" in said(capsys)


def test_a_run_repeats_from_the_log(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for number in ("1", "3"):
        assert run(["reproduce", number, "--lake", str(folder / "lake"), "--json"]) == 0
        found = json.loads(said(capsys))
        assert found["same"]
        assert found["fills"]["first_difference"] is None
        assert found["fills"]["now"] > 0
    assert len(runs.RunLog(folder / "lake").rows()) == 4  # a repeat is no try


def test_data_that_was_added_since_is_left_out(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from quantkit import Lake
    from tests.research.lakes import walk

    Lake(folder / "lake").ingest(walk(count=140), market="KOSPI")
    assert run(["reproduce", "1", "--lake", str(folder / "lake")]) == 0
    assert "the same to the last bit" in said(capsys)


def test_a_changed_file_runs_as_it_was_or_as_it_is(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_rule(folder, RULE.replace("bars.close >", "bars.close <"))
    assert run(["reproduce", "1", "--lake", str(folder / "lake")]) == 0
    assert "run as it was" in said(capsys)
    assert run(["reproduce", "1", "--lake", str(folder / "lake"), "--current"]) == 1
    out, error = capsys.readouterr()
    assert "the first that differs, number 1: then 2024-" in out
    assert "rising.py has changed" in error
    (folder / "rising.py").unlink()
    assert run(["reproduce", "1", "--lake", str(folder / "lake"), "--json"]) == 0


def test_a_moved_lake_is_found_where_it_lies(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "lake").rename(folder / "elsewhere")
    assert run(["reproduce", "1", "--lake", str(folder / "elsewhere")]) == 0


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["runs", "--lake", "nowhere"], 2, "no lake at nowhere"),
        (["runs", "99", "--lake", "lake"], 1, "has no run 99; the last is 4"),
        (["reproduce", "4", "--lake", "lake"], 2, "run 4 is a sweep of 2 runs; only a backtest"),
        (["reproduce", "nothing.json"], 2, "no such file"),
        (["runs", "--last", "-1"], 2, "last"),
    ],
)
def test_what_is_not_there_is_named(
    folder: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], code: int, words: str
) -> None:
    assert run([str(folder / word) if word == "lake" else word for word in arguments]) == code
    assert words in capsys.readouterr().err


def test_a_folder_named_by_the_environment_is_read_too(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("QUANTKIT_RUNS", str(folder / "logs"))
    assert run(["backtest", "rising.py", "--lake", str(folder / "lake")]) == 0
    error = capsys.readouterr().err
    assert "run 1 of the run log" in error
    assert run(["runs", "--json"]) == 0
    assert len(json.loads(said(capsys))["runs"]) == 1
    assert run(["reproduce", "1"]) == 0
