"""`quantkit data ingest --source kis`, over a socket of this machine."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from quantkit.cli.app import run
from tests.brokers.kis.server import Asked, Kis, Reply, done, refused
from tests.cli.test_kis import kis  # noqa: F401  the fixture

CHART = ("GET", "/uapi/domestic-stock/v1/quotations/inquire-daily-itemchartprice", "FHKST03010100")


def day(date: str, price: int) -> dict[str, str]:
    prices = dict.fromkeys(("stck_oprc", "stck_hgpr", "stck_lwpr", "stck_clpr"), str(price))
    return {"stck_bsop_date": date, **prices, "acml_vol": "10", "acml_tr_pbmn": str(10 * price), "mod_yn": "N"}


def chart(asked: Asked) -> Reply:
    """Two of the three sessions of a week, raw; split by two in the adjusted chart."""
    if asked.fields["FID_INPUT_ISCD"] != "005930":
        return Reply(refused("MCA05918", "종목코드 오류입니다."))
    adjusted = asked.fields["FID_ORG_ADJ_PRC"] == "0"
    rows = [day("20250710", 50_000), day("20250708", 50_000 if adjusted else 100_000)]
    inside = [row for row in rows if asked.fields["FID_INPUT_DATE_1"] <= row["stck_bsop_date"]
              <= asked.fields["FID_INPUT_DATE_2"]]  # fmt: skip
    return Reply(done(output1={}, output2=inside))


def ingest(kis: Kis, lake: Path, monkeypatch: pytest.MonkeyPatch, *more: str) -> int:  # noqa: F811
    kis.at(*CHART, chart)
    monkeypatch.setenv("KIS_EMULATOR", kis.base)
    monkeypatch.setenv("KIS_IS_PAPER", "false")
    return run(["data", "ingest", "--source", "kis", "--lake", str(lake), *more])


DAYS = ("--start", "2025-07-08", "--end", "2025-07-10")


def test_a_download_reports_gaps_and_actions(
    kis: Kis, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]  # noqa: F811
) -> None:  # fmt: skip
    lake = tmp_path / "lake"
    assert ingest(kis, lake, monkeypatch, "--symbols", "005930", *DAYS, "--json") == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["added"], told["actions"]) == (2, 1)
    assert told["names"][0]["empty"] == [["2025-07-09", "2025-07-09"]]
    assert "master file" in told["notes"][0]  # this server has none
    assert ingest(kis, lake, monkeypatch, "--symbols", "005930", *DAYS) == 0
    shown = capsys.readouterr().out
    assert "005930 without a row: 2025-07-09" in shown
    assert "0 rows added" in shown


@pytest.mark.parametrize(("more", "code", "words"), [
    (("--symbols", "005930,123450", *DAYS), 1, "123450: MCA05918"),
    (("--symbols", "5930", *DAYS), 2, "six characters"), (("--symbols", "005930"), 2, "--symbols and --start"),
    (("--symbols", "005930", "--start", "July"), 2, "--start July"),
    (("--symbols", "005930", *DAYS, "--freq", "5m"), 2, "1d and 1m"),
    (("--symbols", "005930", *DAYS, "--prices", "adjusted"), 2, "--source kis takes"),
    (("--table", "instruments"), 1, "could not be had"),
])  # fmt: skip
def test_what_cannot_be_asked_says_why(
    kis: Kis, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],  # noqa: F811
    more: tuple[str, ...], code: int, words: str,
) -> None:  # fmt: skip
    assert ingest(kis, tmp_path / "lake", monkeypatch, *more) == code
    assert words in capsys.readouterr().err


def test_the_options_of_kis_are_for_kis(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["data", "ingest", "prices.csv", "--freq", "1d"]) == 2
    assert "--source kis" in capsys.readouterr().err
