"""`quantkit data` as a person and as a program use it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from quantkit.cli.app import run
from tests.data.lake_data import prices


@pytest.fixture
def csv(tmp_path: Path) -> Path:
    path = tmp_path / "prices.csv"
    prices().assign(name="이름").to_csv(path, index=False)
    return path


@pytest.fixture
def filled(tmp_path: Path, csv: Path, capsys: pytest.CaptureFixture[str]) -> str:
    lake = str(tmp_path / "lake")
    assert run(["data", "ingest", str(csv), "--lake", lake, "--market", "KOSPI"]) == 0
    capsys.readouterr()
    return lake


def document(capsys: pytest.CaptureFixture[str]) -> dict:
    return json.loads(capsys.readouterr().out)


def test_ingest_reports_and_repeats_without_change(filled: str, csv: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["data", "ingest", str(csv), "--lake", filled, "--market", "KOSPI", "--json"]) == 0
    report = document(capsys)
    assert (report["added"], report["skipped"], report["version"]) == (0, 1, 1)


def test_list_names_tables_versions_and_dates(filled: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["data", "list", "--lake", filled, "--json"]) == 0
    tables = {table["table"]: table for table in document(capsys)["tables"]}
    assert tables["bars_1d"] | {"bytes": 0} == {
        "table": "bars_1d", "version": 1, "rows": 20, "symbols": 2, "first": "2024-01-02", "last": "2024-01-15",
        "bytes": 0,
    }  # fmt: skip
    assert run(["data", "list", "--lake", filled]) == 0
    assert "bars_1d" in capsys.readouterr().out


def test_check_prints_the_rules_kept_and_what_is_wrong(filled: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["data", "check", "--lake", filled]) == 0
    shown = capsys.readouterr().out
    for words in (
        "20 rows",
        "inside the limits: 100.0000 % of 18",
        "sessions without any row: 0",
        "quarantine: empty",
        "unknown kind: 0",
    ):
        assert words in shown
    assert run(["data", "check", "--lake", filled, "--json"]) == 0
    assert document(capsys)["regimes"][0]["bars"] == 20


def test_show_prints_the_last_bars_with_the_name(filled: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["data", "show", "005930", "--lake", filled, "-n", "3"]) == 0
    shown = capsys.readouterr().out
    assert "이름" in shown
    assert "2024-01-15" in shown
    assert "2024-01-10" not in shown
    assert run(["data", "show", "005930", "--lake", filled, "--rows", "2", "--json"]) == 0
    assert [bar["time"] for bar in document(capsys)["bars"]] == ["2024-01-12", "2024-01-15"]


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["show", "999999"], 1, "no symbol '999999'"),
        (["show", "005930", "--start", "2025-01-01"], 1, "no bar"),
        (["check", "--version", "9"], 1, "versions 0 to 1"),
        (["ingest", "none.csv"], 1, "no such file"),
        (["ingest"], 2, "files to ingest"),
        (["ingest", "x.csv", "--prices", "clean"], 2, "--prices"),
        (["ingest", "--source", "pykrx"], 2, "--symbols"),
        (["ingest", "--source", "moon", "--symbols", "005930", "--start", "2024"], 2, "not known"),
        (["show"], 2, "show"),
    ],
)
def test_errors_are_one_line_with_an_exit_code(
    filled: str, capsys: pytest.CaptureFixture[str], arguments: list[str], code: int, words: str
) -> None:
    assert run(["data", *arguments, "--lake", filled]) == code
    heard = capsys.readouterr()
    assert words in heard.err
    assert "Traceback" not in heard.err
    assert heard.out == ""


def test_an_empty_lake_says_how_to_fill_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["data", "list", "--lake", str(tmp_path / "nothing")]) == 0
    assert "quantkit data ingest" in capsys.readouterr().out


def test_features_are_ingested_listed_and_shown_as_they_were_known(
    filled: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "per.csv"
    path.write_text(
        "symbol,date,per,sector\n005930,2024-01-03,11.5,전자\n005930,2024-01-12,10,전자\n", encoding="utf-8"
    )
    assert run(["data", "ingest", str(path), "--lake", filled, "--table", "features"]) == 1
    assert "as_of='date'" in capsys.readouterr().err
    command = ["data", "ingest", str(path), "--lake", filled, "--table", "features", "--as-of", "date", "--json"]
    assert run(command) == 0
    assert document(capsys)["added"] == 4
    assert run(["data", "list", "--lake", filled, "--json"]) == 0
    assert [one["name"] for one in document(capsys)["features"]] == ["per", "sector"]
    assert run(["data", "list", "--lake", filled]) == 0
    assert "first as of" in capsys.readouterr().out
    show = ["data", "show", "005930", "--lake", filled, "--features", "per,sector", "-n", "9"]
    assert run([*show, "--json"]) == 0
    bars = document(capsys)["bars"]
    assert [bar["features"]["per"] for bar in bars] == [None] + [11.5] * 7 + [10.0]
    assert bars[-1]["features"]["sector"] == "전자"
    assert run(show) == 0
    assert "11.5" in capsys.readouterr().out
    assert run(["data", "ingest", str(path), "--lake", filled, "--as-of", "date"]) == 2
