"""demo, backtest and compare, run as a person runs them."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from quantkit.cli.app import run
from quantkit.cli.repeat import differences

RUN = ["--symbols", "AAPL,MSFT", "--cash", "100000"]


def answer(arguments: list[str], capsys: pytest.CaptureFixture[str], code: int = 0) -> dict[str, Any]:
    """The JSON document that a command prints."""
    capsys.readouterr()
    assert run(arguments) == code, capsys.readouterr().err
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


def test_the_demo_leaves_a_lake_a_page_a_picture_and_a_manifest(demo_folder: Path) -> None:
    page = (demo_folder / "reports" / "demo.html").read_text(encoding="utf-8")
    assert page.lstrip().lower().startswith("<!doctype html>")
    assert "SmaCross" in page
    assert (demo_folder / "reports" / "demo.png").read_bytes().startswith(b"\x89PNG")
    manifest = json.loads((demo_folder / "reports" / "demo.manifest.json").read_text(encoding="utf-8"))
    assert manifest["data"]["symbols"] == ["AAPL", "FB", "GOOG", "IBM", "MSFT"]
    assert (demo_folder / "data" / "lake" / "bars_1d" / "_delta_log").is_dir()


def test_the_demo_says_where_things_are_and_ends_the_same_the_second_time(
    demo_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(demo_folder, tmp_path / "again")
    monkeypatch.chdir(tmp_path / "again")
    before = json.loads(Path("reports/demo.manifest.json").read_text(encoding="utf-8"))
    assert run(["demo"]) == 0
    said = capsys.readouterr().out
    for words in (
        "Total return",
        "reports/demo.html",
        "reports/demo.png",
        "Try next:",
        "all prices were there already",
    ):
        assert words in said
    after = json.loads(Path("reports/demo.manifest.json").read_text(encoding="utf-8"))
    assert after["result"] == before["result"]
    assert after["data"]["version"] == before["data"]["version"]


def test_the_demo_without_its_prices_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "bokeh_sampledata.stocks", None)
    monkeypatch.chdir(tmp_path)
    assert run(["demo"]) == 2
    assert "pip install bokeh-sampledata" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_backtest_prints_names_figures_and_files(
    in_demo: Path, tmp_path: Path, sma_cross: str, capsys: pytest.CaptureFixture[str]
) -> None:
    page, picture = tmp_path / "new" / "r.html", tmp_path / "r.svg"
    sheet = tmp_path / "sheet.png"
    files = ["--report", str(page), "--plot", str(picture), "--tearsheet", str(sheet), "--capacity"]
    assert run(["backtest", sma_cross, *RUN, "--param", "fast=10", "--benchmark", "hold", *files]) == 0
    said = capsys.readouterr().out
    for words in ("AAPL Apple", "SmaCross(fast=10, slow=60)", "Sharpe ratio", "Benchmark return", f"wrote {page}"):
        assert words in said
    assert page.stat().st_size > 10_000
    assert "Growth a year against capital" in page.read_text(encoding="utf-8")
    assert sheet.read_bytes().startswith(b"\x89PNG")
    assert b"<svg" in picture.read_bytes()[:600]


def test_json_is_one_document_with_figures_and_manifest(
    in_demo: Path, sma_cross: str, capsys: pytest.CaptureFixture[str]
) -> None:
    found = answer(["backtest", sma_cross, *RUN, "--start", "2005-01-03", "--end", "2009-12-31", "--json"], capsys)
    assert found["currency"] == "USD"
    assert (found["start"], found["end"]) == ("2005-01-03", "2009-12-31")
    assert found["stats"]["final_equity"] == found["manifest"]["result"]["final_equity"] / 100
    assert found["manifest"]["run"]["history"] == "2000-03-01"


def test_money_costs_deposits_and_dates_reach_the_run(
    in_demo: Path, sma_cross: str, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ["--deposit", "100", "--costs", "free", "--slippage-bps", "3", "--slippage-ticks", "1", "--fill", "close"]
    found = answer(["backtest", sma_cross, *RUN, *options, "--json"], capsys)
    run_settings = found["manifest"]["run"]
    assert run_settings["fill"] == "close"
    assert run_settings["costs"]["slippage_bps"] == 3.0
    assert run_settings["costs"]["slippage_ticks"] == 1.0
    assert found["stats"]["deposits"] == 100.0 * len(run_settings["deposits"]) == 100.0 * 156


def test_a_csv_file_is_enough(
    in_demo: Path, tmp_path: Path, sma_cross: str, capsys: pytest.CaptureFixture[str]
) -> None:
    from quantkit import Lake

    frame = Lake("data/lake").bars(["IBM"], end="2005-12-30")
    columns = {name: frame.raw.__getattribute__(name)[:, 0] for name in ("open", "high", "low", "close")}
    table = frame.frame("volume").rename(columns={"IBM": "volume"}).assign(**columns)
    table.index = table.index.strftime("%Y-%m-%d")
    table.to_csv(tmp_path / "IBM.csv", index_label="date")
    options = ["--data", str(tmp_path / "IBM.csv"), "--market", "US", "--cash", "100000"]
    found = answer(["backtest", sma_cross, *options, "--json"], capsys)
    assert found["manifest"]["data"]["symbols"] == ["IBM"]
    assert found["stats"]["trades"] > 5
    saved = tmp_path / "saved.json"
    saved.write_text(json.dumps(found), encoding="utf-8")
    assert answer(["backtest", "--manifest", str(saved), "--json"], capsys)["changed"] == []


def test_an_output_that_has_no_korean_won_sign_is_no_reason_to_fail(in_demo: Path, sma_cross: str) -> None:
    environment = {**os.environ, "PYTHONIOENCODING": "ascii", "PYTHONPATH": str(Path(sma_cross).parents[1])}
    command = [sys.executable, "-m", "quantkit", "backtest", sma_cross, *RUN]
    done = subprocess.run(command, capture_output=True, env=environment, check=False)
    assert done.returncode == 0, done.stderr
    assert b"Sharpe ratio" in done.stdout


@pytest.mark.parametrize("name", ["IBM", "levels.csv"])
def test_a_benchmark_may_be_another_name_of_the_lake_or_a_file(
    name: str, in_demo: Path, tmp_path: Path, sma_cross: str, capsys: pytest.CaptureFixture[str]
) -> None:
    levels = tmp_path / "levels.csv"
    levels.write_text("date,close\n2000-01-03,100\n2013-03-01,150\n", encoding="utf-8")
    given = str(levels) if name == "levels.csv" else name
    found = answer(
        ["backtest", sma_cross, "--symbols", "AAPL", "--cash", "100000", "--benchmark", given, "--json"], capsys
    )
    assert found["stats"]["benchmark_return"] == pytest.approx(0.5 if name == "levels.csv" else 1.0, abs=0.5)
    assert found["manifest"]["run"]["benchmark"] == name.removesuffix(".csv")


def test_a_manifest_repeats_to_the_last_bit_and_says_so(
    in_demo: Path, tmp_path: Path, sma_cross: str, capsys: pytest.CaptureFixture[str]
) -> None:
    saved = str(tmp_path / "run.json")
    options = ["--start", "2004-01-02", "--end", "2012-06-29", "--deposit", "50", "--benchmark", "hold"]
    assert run(["backtest", sma_cross, *RUN, *options, "--save-manifest", saved]) == 0
    capsys.readouterr()
    assert run(["backtest", "--manifest", saved]) == 0
    assert "the same to the last bit" in capsys.readouterr().err
    again = answer(["backtest", "--manifest", saved, "--json"], capsys)["manifest"]
    assert {**again, "packages": 0} == {**json.loads(Path(saved).read_text(encoding="utf-8")), "packages": 0}


def test_a_changed_strategy_file_is_found_out(
    in_demo: Path, tmp_path: Path, sma_cross: str, capsys: pytest.CaptureFixture[str]
) -> None:
    mine, saved = tmp_path / "mine.py", str(tmp_path / "run.json")
    text = Path(sma_cross).read_text(encoding="utf-8")
    mine.write_text(text, encoding="utf-8")
    assert run(["backtest", str(mine), *RUN, "--save-manifest", saved]) == 0
    mine.write_text(
        text.replace("stop_loss=0.08", "stop_loss=0.01").replace(" > ta.sma", " < ta.sma"), encoding="utf-8"
    )
    capsys.readouterr()
    assert run(["backtest", "--manifest", saved]) == 1
    said = capsys.readouterr().err
    assert "does not repeat: the result differs" in said
    assert "mine.py has changed" in said


def test_differences_name_the_data_the_rules_and_the_versions() -> None:
    one = {
        "result": {"sha256": "a", "final_equity": 1}, "strategy": {"source_hash": "s", "file": "x.py"},
        "data": {"sha256": "d"}, "rules": {"sha256": "r"}, "packages": {"numpy": "1"},
    }  # fmt: skip
    other = {
        **one, "result": {"sha256": "b", "final_equity": 2}, "data": {"sha256": "e"}, "rules": {"sha256": "q"},
        "packages": {"numpy": "2"},
    }  # fmt: skip
    assert differences(one, {**other, "result": one["result"]}) == []
    assert differences(one, other)[1:] == [
        "the data has changed", "the exchange rules have changed", "numpy was 1, is 2",
    ]  # fmt: skip


def test_a_universe_query_is_answered_by_the_lake_and_repeats(
    in_demo: Path, tmp_path: Path, sma_cross: str, capsys: pytest.CaptureFixture[str]
) -> None:
    mine, saved = tmp_path / "mine.py", tmp_path / "run.json"
    text = Path(sma_cross).read_text(encoding="utf-8")
    mine.write_text(text.replace("    policy =", "    universe = \"symbol = 'IBM'\"\n    policy ="), encoding="utf-8")
    found = answer(["backtest", str(mine), "--cash", "100000", "--save-manifest", str(saved), "--json"], capsys)
    only = answer(["backtest", sma_cross, "--symbols", "IBM", "--cash", "100000", "--json"], capsys)
    assert len(found["manifest"]["data"]["symbols"]) == 5
    assert found["stats"]["trades"] == pytest.approx(only["stats"]["trades"], abs=1)
    assert answer(["backtest", "--manifest", str(saved), "--json"], capsys)["changed"] == []


def test_compare_lays_two_strategies_side_by_side(
    in_demo: Path, sma_cross: str, capsys: pytest.CaptureFixture[str]
) -> None:
    other = sma_cross.replace("sma_cross", "donchian_breakout")
    assert run(["compare", sma_cross, other, *RUN]) == 0
    said = capsys.readouterr().out
    for words in ("SmaCross", "DonchianBreakout", "Sharpe ratio", "Settings that differ", "param fast"):
        assert words in said
    found = answer(["compare", sma_cross, other, *RUN, "--json"], capsys)
    assert found["a"]["name"] == "SmaCross"
    assert found["settings"]["strategy"] == ["SmaCross", "DonchianBreakout"]


def test_compare_reads_saved_results_and_manifests(
    in_demo: Path, tmp_path: Path, sma_cross: str, capsys: pytest.CaptureFixture[str]
) -> None:
    saved, manifest = tmp_path / "a.json", tmp_path / "b.json"
    fast = ["backtest", sma_cross, *RUN, "--param", "fast=10"]
    saved.write_text(json.dumps(answer([*fast, "--json"], capsys)), encoding="utf-8")
    assert run(["backtest", sma_cross, *RUN, "--save-manifest", str(manifest)]) == 0
    found = answer(["compare", str(saved), str(manifest), "--json"], capsys)
    assert found["settings"] == {"param fast": [10, 20]}
    assert run(["compare", str(saved), str(saved)]) == 0
    assert "All settings are the same." in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        ([], 2, "give a strategy file, or --manifest FILE"),
        (["SMA", "--manifest", "x.json"], 2, "one of them"),
        (["nowhere.py"], 2, "no strategy file nowhere.py"),
        (["SMA:Nobody"], 2, "no Strategy class 'Nobody'"),
        (["SMA", "--param", "fast=1"], 2, "SmaCross(fast=1): expected a whole number from 2 to 120"),
        (["SMA", "--param", "fats=1"], 2, "did you mean 'fast'?"),
        (["SMA", "--lake", "nowhere"], 2, "no lake at nowhere"),
        (["SMA", "--symbols", "ZZZ"], 1, "ZZZ"),
        (["SMA", "--data", "nowhere.csv"], 1, "no such file: nowhere.csv"),
        (["SMA", "--prices", "clean", "--data", "nowhere.csv"], 2, "choose raw or adjusted"),
        (["SMA", "--costs", "mine"], 2, "choose one of kis, kiwoom, free"),
        (["SMA", "--cash", "0"], 2, "cash=0.0"),
        (["SMA", "--cash", "-5"], 2, "cash=-5.0"),
        (["SMA", "--fill", "yesterday"], 2, "fill='yesterday'"),
        (["SMA", "--start", "2030-01-01"], 2, "2030-01-01 is after"),
        (["SMA", "--start", "soon"], 2, "--start: 'soon' is not a date"),
        (["SMA", "--start", "2010-01-01", "--end", "2009"], 2, "--start 2010-01-01 is after --end 2009; swap them"),
        (["SMA", "--benchmark", "ZZZ"], 1, "ZZZ"),
        (["SMA", "--report", "."], 2, "is a folder"),
        (["SMA", "--plot", "picture.xyz"], 2, "picture.xyz"),
        (["SMA", "--tearsheet", "picture.xyz"], 2, "--tearsheet picture.xyz"),
        (["SMA", "--capacity"], 2, "give --report FILE or --tearsheet FILE"),
        (["--manifest", "nowhere.json"], 2, "no such file: nowhere.json"),
    ],
)
def test_bad_input_is_one_clear_line(
    arguments: list[str], code: int, said: str, in_demo: Path, sma_cross: str, capsys: pytest.CaptureFixture[str]
) -> None:
    before = sorted(path for path in (in_demo / "data" / "lake" / "bars_1d").rglob("*"))
    given = [text.replace("SMA", sma_cross) for text in arguments]
    assert run(["backtest", *given]) == code
    seen = capsys.readouterr().err.strip()
    assert said in seen
    assert seen.startswith("error: ")
    assert "\n" not in seen
    assert sorted(path for path in (in_demo / "data" / "lake" / "bars_1d").rglob("*")) == before


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("{", "is not JSON"),
        ("[1]", "expected a JSON object"),
        ("{}", "it is no manifest"),
        ('{"manifest_version": 99}', "99"),
    ],
)
def test_a_file_that_is_no_manifest_is_refused(
    content: str, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "m.json"
    path.write_text(content, encoding="utf-8")
    assert run(["backtest", "--manifest", str(path)]) == 2
    assert said in capsys.readouterr().err


def test_a_strategy_file_with_a_syntax_error_names_the_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "broken.py"
    path.write_text("import quantkit\nclass A(:\n", encoding="utf-8")
    assert run(["backtest", str(path)]) == 2
    assert "broken.py, line 2" in capsys.readouterr().err
