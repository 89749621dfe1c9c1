"""The doctor says what is right, what will hurt, what does not work and what nobody here can know."""

from __future__ import annotations

import datetime as dt
import json
from pathlib import Path

import pytest

from quantkit import doctor, settings
from quantkit.cli.app import run

NOW = dt.datetime(2026, 11, 18, 23, 30, tzinfo=dt.UTC)  # 08:30 of the exam day 2026-11-19 in Seoul
SECRET = "token-hunter2"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("QUANTKIT_CONFIG", raising=False)
    return tmp_path


def texts(area: str, state: str, now: dt.datetime = NOW) -> list[str]:
    return [found.text for found in doctor.examine(settings.load(), now) if (found.area, found.state) == (area, state)]


def test_the_hours_of_today_are_those_of_an_exam_day(folder: Path) -> None:
    assert texts("calendar", "ok")[:2] == [
        "today 2026-11-19: 10:00 to 16:30 in Seoul", "next session 2026-11-20: 09:00 to 15:30 in Seoul",
    ]  # fmt: skip


def test_a_holiday_is_closed(folder: Path) -> None:
    assert "today 2026-11-22: closed" in texts("calendar", "ok", dt.datetime(2026, 11, 21, 15, 6, tzinfo=dt.UTC))


def test_hearsay_is_listed_as_assumed(folder: Path) -> None:
    assumed = texts("rules", "assumed")
    assert any("after_market" in text for text in assumed)
    assert any("published online rates" in text for text in assumed)
    assert doctor.worst([doctor.Finding("rules", "assumed", text) for text in assumed]) == "ok"


def test_an_old_lake_is_a_warning(demo_folder: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("QUANTKIT_LAKE", str(demo_folder / "data" / "lake"))
    (text,) = [text for text in texts("lake", "warning") if text.startswith("bars_1d")]
    assert text.endswith("sessions since")


def test_no_lake_and_nobody_to_tell_are_warnings(folder: Path) -> None:
    assert texts("lake", "warning") == ["no lake in data/lake"]
    assert texts("alerts", "warning") == ["nobody is told when something goes wrong"]


def test_an_armed_account_without_limits_is_told_of(folder: Path) -> None:
    (folder / "quantkit.toml").write_text(
        "[accounts.mine]\narmed = true\n[accounts.other]\nlimits = {max_weight = 0.1}\n"
    )
    warned = texts("accounts", "warning")
    assert "mine (paper): armed: `quantkit live` may send orders" in warned
    assert "mine: no money limits" in warned
    assert "other (paper): not armed: no order leaves for money" in texts("accounts", "ok")


def test_journals_on_a_folder_that_cannot_be_written_fail(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: object, **__: object) -> None:
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr(doctor.tempfile, "TemporaryFile", refused)
    assert texts("accounts", "failed") == ["journals in data/journals: Read-only file system"]


def test_a_check_that_breaks_is_a_finding(folder: Path) -> None:
    (folder / "quantkit.toml").write_text(f"[alerts]\nurls = ['nonsense://{SECRET}']\n")
    (text,) = texts("alerts", "failed")
    assert "address 1 of 1" in text
    assert SECRET not in text


def test_a_full_disk_fails(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "LEAST_FREE", 1 << 62)
    assert [text for text in texts("machine", "failed") if text.endswith("of disk free")]


def test_the_command_prints_all_and_fails_where_something_failed(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["doctor"]) == 0
    shown = capsys.readouterr().out
    assert "assumed" in shown
    assert "0 failed" in shown
    (folder / "quantkit.toml").write_text(f"[alerts]\nurls = ['nonsense://{SECRET}']\n")
    assert run(["doctor", "--json"]) == 1
    document = json.loads(capsys.readouterr().out)
    assert document["state"] == "failed"
    assert {"area", "state", "text", "remedy"} == set(document["findings"][0])


def test_an_alert_that_reaches_nobody_is_an_error(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "quantkit.toml").write_text(f"[alerts]\nurls = ['json://127.0.0.1:9/{SECRET}']\n")
    assert run(["doctor", "--send-alert"]) == 1
    said = capsys.readouterr()
    assert "not all of the 1 addresses" in said.err
    assert SECRET not in said.out + said.err
