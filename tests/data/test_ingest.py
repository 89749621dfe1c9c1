"""Sources in every shape end as the same rows."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from quantkit import BadData, ConfigError, Lake
from tests.data.lake_data import frame, prices, row

KOREAN = {
    "symbol": "종목코드", "date": "날짜", "open": "시가", "high": "고가", "low": "저가", "close": "종가",
    "volume": "거래량",
}  # fmt: skip


def write(path: Path, text: str, encoding: str = "utf-8") -> Path:
    path.write_bytes(text.encode(encoding))
    return path


def korean_csv(table: pd.DataFrame, path: Path, encoding: str, **how: object) -> Path:
    return write(path, table.rename(columns=KOREAN).to_csv(index=False, **how), encoding)


def one_file_a_symbol(table: pd.DataFrame, folder: Path) -> Path:
    for symbol, rows in table.groupby("symbol"):
        rows.drop(columns="symbol").to_csv(folder / f"삼성_{symbol}.csv", index=False)
    return folder


def gzipped(table: pd.DataFrame, folder: Path) -> Path:
    path = folder / "p.csv.gz"
    path.write_bytes(gzip.compress(table.to_csv(index=False).encode()))
    return path


def parquet(table: pd.DataFrame, folder: Path) -> Path:
    pq.write_table(pa.Table.from_pandas(table), folder / "p.parquet")
    return folder / "p.parquet"


SHAPES: dict[str, Callable[[pd.DataFrame, Path], object]] = {
    "a CSV": lambda table, folder: write(folder / "p.csv", table.to_csv(index=False)),
    "a CSV with a byte order mark": lambda table, folder: write(
        folder / "p.csv", table.to_csv(index=False), "utf-8-sig"
    ),
    "a Korean CSV in UTF-8": lambda table, folder: korean_csv(table, folder / "p.csv", "utf-8"),
    "a Korean CSV in CP949": lambda table, folder: korean_csv(table, folder / "p.csv", "cp949"),
    "dates without dashes": lambda table, folder: korean_csv(table, folder / "p.csv", "utf-8", date_format="%Y%m%d"),
    "dates with slashes": lambda table, folder: korean_csv(table, folder / "p.csv", "utf-8", date_format="%Y/%m/%d"),
    "a gzipped CSV": gzipped,
    "Parquet": parquet,
    "a folder of one file a symbol": one_file_a_symbol,
    "a glob": lambda table, folder: str(one_file_a_symbol(table, folder) / "*.csv"),
    "a list": lambda table, folder: [table[table["symbol"] == "005930"], table[table["symbol"] == "000660"]],
    "an Arrow table": lambda table, folder: pa.Table.from_pandas(table),
    "a polars frame": lambda table, folder: pl.from_pandas(table),
    "dates in the index": lambda table, folder: table.set_index("date"),
    "two index levels": lambda table, folder: table.set_index(["date", "symbol"]),
    "dates as text": lambda table, folder: table.assign(date=table["date"].astype(str)),
    "dates in UTC": lambda table, folder: table.assign(
        date=pd.to_datetime(table["date"]).dt.tz_localize("Asia/Seoul").dt.tz_convert("UTC")
    ),
    "prices with thousands separators": lambda table, folder: table.assign(close=table["close"].map("{:,}".format)),
    "categorical symbols": lambda table, folder: table.astype({"symbol": "category"}),
    "codes as brokers write them": lambda table, folder: table.assign(symbol="A" + table["symbol"] + ""),
    "codes as Yahoo writes them": lambda table, folder: table.assign(symbol=table["symbol"] + ".KS"),
}


@pytest.mark.parametrize("shape", SHAPES)
def test_every_shape_of_source_gives_the_same_bars(tmp_path: Path, shape: str) -> None:
    table, folder = prices(), tmp_path / "in"
    folder.mkdir()
    plain, lake = Lake(tmp_path / "plain"), Lake(tmp_path / "lake")
    plain.ingest(table, market="KOSPI")
    report = lake.ingest(SHAPES[shape](table, folder), market="KOSPI")
    assert (report.added, report.quarantined) == (20, 0)
    expected, found = plain.bars(), lake.bars()
    assert found.symbols == expected.symbols
    np.testing.assert_array_equal(found.times, expected.times)
    np.testing.assert_array_equal(found.close, expected.close)


def test_optional_columns_are_kept(tmp_path: Path) -> None:
    lake = Lake(tmp_path / "lake")
    lake.ingest(
        prices(("005930",)).assign(거래대금=1e9, 기준가=100_000, 시가총액=5e14, 시장구분="코스피", 종목명="삼성전자")
    )
    bars = lake.bars()
    assert bars.value[0, 0] == 1e9
    assert bars.field("base")[0, 0] == 100_000
    assert (bars.markets, bars.names) == (("KOSPI",), {"005930": "삼성전자"})
    assert lake.query("select min(market_cap) from bars_1d").fetchall() == [(5e14,)]


def test_a_segment_of_kosdaq_is_kosdaq(tmp_path: Path) -> None:
    lake = Lake(tmp_path / "lake")
    lake.ingest(prices(("005930",)).assign(market="KOSDAQ GLOBAL"))
    assert lake.bars().markets == ("KOSDAQ",)


def test_codes_without_a_market_are_noted_and_taken_as_kospi(tmp_path: Path) -> None:
    lake = Lake(tmp_path / "lake")
    report = lake.ingest(prices(("005930",)))
    assert "without a market" in report.notes[0]
    assert lake.bars().markets == ("KOSPI",)


def test_instruments_stated_first_give_the_market(tmp_path: Path) -> None:
    lake = Lake(tmp_path / "lake")
    lake.ingest(
        pd.DataFrame({"symbol": ["005930"], "market": ["KOSDAQ"], "listing_date": ["1975-06-11"]}), "instruments"
    )
    assert lake.ingest(prices(("005930",))).notes == ()
    assert lake.bars().markets == ("KOSDAQ",)


def test_a_word_in_a_price_column_costs_one_row(tmp_path: Path) -> None:
    text = prices(("005930",)).to_csv(index=False).splitlines()
    text[4] = text[4].rsplit(",", 2)[0] + ",없음,100"
    report = Lake(tmp_path / "lake").ingest(write(tmp_path / "p.csv", "\n".join(text)), market="KOSPI")
    assert (report.added, dict(report.reasons)) == (9, {"PRICE_MISSING": 1})


def test_a_date_that_is_none_costs_one_row(tmp_path: Path) -> None:
    text = prices(("005930",)).to_csv(index=False) + "005930,합계,1,1,1,1,1\n"
    report = Lake(tmp_path / "lake").ingest(write(tmp_path / "p.csv", text), market="KOSPI")
    assert (report.added, dict(report.reasons)) == (10, {"DATE_UNREADABLE": 1})


WRONG: dict[str, tuple[Callable[[Path], object], str]] = {
    "a missing file": (lambda folder: folder / "none.csv", "no such file"),
    "a glob without a match": (lambda folder: folder / "*.csv", "no file matches"),
    "an empty folder": (lambda folder: folder, "no .csv"),
    "an empty file": (lambda folder: write(folder / "p.csv", ""), "is empty"),
    "a broken Parquet file": (lambda folder: write(folder / "p.parquet", "PAR1 no"), "not readable as Parquet"),
    "another kind of file": (lambda folder: write(folder / "p.xlsx", "x"), "expected one of"),
    "missing columns": (lambda folder: prices().drop(columns=["close", "volume"]), "no column for close, volume"),
    "two columns of one meaning": (lambda folder: prices().assign(종가=1.0), "both mean 'close'"),
    "no symbol": (lambda folder: prices(("005930",)).drop(columns="symbol"), "no symbol column"),
    "integer codes": (lambda folder: prices().assign(symbol=5930), "leading zeros"),
    "an unknown market": (lambda folder: prices().assign(market="MARS"), "'MARS' is not one of"),
    "stamps within the day": (
        lambda folder: frame(row("005930", "2024-01-02 09:00", 1000), row("005930", "2024-01-02 09:01", 1000)),
        "bars_1m",
    ),
    "mixed zones": (
        lambda folder: prices(("005930",), count=2).assign(
            date=[pd.Timestamp("2024-01-02", tz="Asia/Seoul"), pd.Timestamp("2024-01-03", tz="UTC")]
        ),
        "mixes time zones",
    ),
    "mixed zones as text": (
        lambda folder: prices(("005930",), count=2).assign(date=["2024-01-02T00:00+09:00", "2024-01-03T00:00Z"]),
        "mix time zones",
    ),
    "dates of no kind": (lambda folder: prices().assign(date="soon"), "cannot be read"),
    "no table at all": (lambda folder: 3, "cannot ingest int"),
}


@pytest.mark.parametrize("case", WRONG)
def test_a_wrong_source_is_one_clear_error_and_nothing_is_stored(tmp_path: Path, case: str) -> None:
    make, message = WRONG[case]
    folder = tmp_path / "in"
    folder.mkdir()
    lake = Lake(tmp_path / "lake")
    with pytest.raises(BadData, match=message):
        lake.ingest(make(folder))
    assert [info.rows for info in lake.info() if info.table == "bars_1d"] in ([], [0])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"market": "NYSE"}, "market 'NYSE'"),
        ({"prices": "clean"}, "prices='clean'"),
        ({"stamp": "middle"}, "stamp='middle'"),
        ({"table": "bars_2w"}, "does not exist"),
        ({"table": "quarantine"}, "kept by the lake itself"),
    ],
)
def test_wrong_options_are_configuration_errors(tmp_path: Path, options: dict[str, str], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Lake(tmp_path / "lake").ingest(prices(), **options)


def test_naive_stamps_within_the_day_need_a_zone(tmp_path: Path) -> None:
    table = frame(row("005930", "2024-01-02 09:01", 1000))
    with pytest.raises(BadData, match="need a time zone"):
        Lake(tmp_path / "lake").ingest(table, "bars_1m", market="KOSPI")


def test_a_named_zone_reads_naive_stamps(tmp_path: Path) -> None:
    naive = frame(row("005930", "2024-01-02 09:01", 1000), row("005930", "2024-01-02 09:02", 1010))
    told = frame(row("005930", "2024-01-02 09:01+09:00", 1000), row("005930", "2024-01-02 09:02+09:00", 1010))
    ours, theirs = Lake(tmp_path / "ours"), Lake(tmp_path / "theirs")
    ours.ingest(naive, "bars_1m", market="KOSPI", zone="Asia/Seoul")
    theirs.ingest(told, "bars_1m", market="KOSPI")
    first, second = (lake.bars(["005930"], freq="1m").times for lake in (ours, theirs))
    assert len(first) == 2
    assert (first == second).all()
