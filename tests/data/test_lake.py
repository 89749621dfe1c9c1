"""The lake from outside: ingest, versions, bars and their flags."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from quantkit import BadData, Bars, ConfigError, Lake
from quantkit.data import reference, tables
from quantkit.data.tables import Table
from tests.data.lake_data import days, frame, prices, row, same_bars


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return Lake(tmp_path / "lake")


# --- ingest -----------------------------------------------------------------------------------------------------------


def test_the_same_rows_again_change_nothing(lake: Lake) -> None:
    first = lake.ingest(prices(), market="KOSPI")
    again = lake.ingest(prices(), market="KOSPI")
    assert (first.added, first.replaced, first.quarantined) == (20, 0, 0)
    assert (again.added, again.replaced, again.version) == (0, 0, first.version)


def test_a_changed_row_replaces_the_stored_one_and_the_old_version_stays(lake: Lake) -> None:
    table = prices()
    before = lake.ingest(table, market="KOSPI")
    table.loc[3, "close"] += 100
    after = lake.ingest(table, market="KOSPI")
    assert (after.added, after.replaced, after.version) == (0, 1, before.version + 1)
    changed = lake.bars(["005930"]).raw.close[3, 0]
    assert changed == lake.bars(["005930"], version=before.version).raw.close[3, 0] + 100


def test_a_field_that_a_second_source_lacks_keeps_what_the_first_said(lake: Lake) -> None:
    lake.ingest(prices().assign(value=1e9), market="KOSPI")
    report = lake.ingest(prices(), market="KOSPI")
    assert (report.added, report.replaced) == (0, 0)
    assert (lake.bars().value == 1e9).all()


def test_rows_arrive_the_same_in_one_piece_and_day_by_day(lake: Lake, tmp_path: Path) -> None:
    table = prices(("005930", "000660", "035420"), start="2023-12-20", count=20)
    lake.ingest(table, market="KOSPI")
    daily = Lake(tmp_path / "daily")
    for _, rows in table.groupby("date"):
        daily.ingest(rows, market="KOSPI")
    assert same_bars(lake.bars(), daily.bars())
    files = Table(daily.path / "bars_1d").files(daily.info()[0].version)
    assert len(list(daily.path.rglob("cache/days/bars_1d/*.parquet"))) == len(files) == 2


def test_raw_and_adjusted_prices_of_a_symbol_do_not_mix(lake: Lake) -> None:
    before = lake.ingest(prices(("005930",)), market="KOSPI").version
    with pytest.raises(BadData, match="raw prices of 005930"):
        lake.ingest(prices(("005930",), start="2024-03-04"), market="KOSPI", prices="adjusted")
    assert lake.bars().version.startswith(f"bars_1d@{before}")
    lake.ingest(prices(("000660",)), market="KOSPI", prices="adjusted")
    assert (lake.bars(["000660"]).prices, lake.bars(["005930"]).prices) == ("adjusted", "raw")
    with pytest.raises(BadData, match="separately"):
        lake.bars()


def test_a_wrong_column_in_the_last_file_stops_before_the_first_is_read(lake: Lake, tmp_path: Path) -> None:
    folder = tmp_path / "csv"
    folder.mkdir()
    prices(("005930",)).to_csv(folder / "005930.csv", index=False)
    prices(("035420",)).drop(columns="close").to_csv(folder / "035420.csv", index=False)
    with pytest.raises(BadData, match=r"035420\.csv: no column for close"):
        lake.ingest(folder, market="KOSPI")
    assert lake.tables() == ()


def test_finished_files_are_skipped_and_replaced_rows_can_be_restored(lake: Lake, tmp_path: Path) -> None:
    path, other = tmp_path / "a.csv", tmp_path / "b.csv"
    prices().to_csv(path, index=False)
    prices().assign(close=lambda table: table["close"] + 100).to_csv(other, index=False)
    lake.ingest(path, market="KOSPI")
    assert lake.ingest(path, market="KOSPI").skipped == 1
    assert lake.ingest(other, market="KOSPI").replaced == 20
    again = lake.ingest(path, market="KOSPI")
    assert (again.skipped, again.replaced) == (0, 20)


def test_progress_counts_the_files(lake: Lake, tmp_path: Path) -> None:
    for symbol in ("005930", "000660"):
        prices((symbol,)).drop(columns="symbol").to_csv(tmp_path / f"{symbol}.csv", index=False)
    seen: list[tuple[int, int]] = []
    lake.ingest(tmp_path / "0*.csv", market="KOSPI", progress=lambda done, total, _: seen.append((done, total)))
    assert seen == [(0, 2), (1, 2), (2, 2)]
    assert lake.bars().symbols == ("000660", "005930")


def test_a_newer_format_is_refused(lake: Lake, tmp_path: Path) -> None:
    lake.ingest(prices(), market="KOSPI")
    newer = Lake(tmp_path / "newer")
    shutil.copytree(lake.path, newer.path)
    log = newer.path / "bars_1d" / "_delta_log" / "00000000000000000000.json"
    log.write_text(log.read_text().replace('"quantkit.format":"1"', '"quantkit.format":"99"'))
    with pytest.raises(BadData, match="newer quantkit"):
        newer.bars()
    with pytest.raises(BadData, match="newer quantkit"):
        newer.ingest(prices(start="2024-03-04"), market="KOSPI")
    assert Table(newer.path / "bars_1d").version == 1


# --- bars -------------------------------------------------------------------------------------------------------------


def test_bars_of_the_lake_equal_bars_of_the_frame(lake: Lake) -> None:
    table = prices(("005930", "000660", "035420"), start="2023-12-20", count=30)
    lake.ingest(table.sample(frac=1, random_state=1), market="KOSPI")
    direct = Bars.from_pandas(table, market="KOSPI")
    assert same_bars(lake.bars(list(direct.symbols)), direct)


def test_columns_follow_the_order_asked_for(lake: Lake) -> None:
    lake.ingest(prices(("005930", "000660", "035420")), market="KOSPI")
    bars = lake.bars(["035420", "000660"])
    assert bars.symbols == ("035420", "000660")
    every = lake.bars()
    assert np.array_equal(bars.raw.close[:, 1], every.raw.close[:, every.symbols.index("000660")])


def test_halted_missing_and_unlisted_bars_are_told_apart(lake: Lake) -> None:
    d = [str(day) for day in days(count=6)]
    lake.ingest(
        frame(
            *(row("000001", date, 1000) for date in d),
            row("000002", d[1], 500),
            {**row("000002", d[2], 500), "open": 0, "high": 0, "low": 0, "volume": 0},  # halted
            row("000002", d[4], 550),  # d[3] is missing, d[5] too
        ),
        market="KOSPI",
    )
    bars = lake.bars()
    column = bars.symbols.index("000002")
    assert bars.listed[:, column].tolist() == [False, True, True, True, True, True]
    assert bars.traded[:, column].tolist() == [False, True, False, False, True, False]
    assert bars.valid[:, column].tolist() == [False, True, True, False, True, False]
    np.testing.assert_array_equal(bars.raw.close[:, column], [np.nan, 500, 500, 500, 550, 550])
    np.testing.assert_array_equal(bars.raw.open[:, column], [np.nan, 500, 500, 500, 550, 550])
    np.testing.assert_array_equal(bars.raw.volume[:, column], [np.nan, 10, 0, 0, 10, 0])


def test_a_window_shows_what_the_whole_shows(lake: Lake) -> None:
    d = [str(day) for day in days(count=12)]
    table = prices(("000001", "000002"), count=12)
    table = table[~((table["symbol"] == "000002") & table["date"].isin(pd.to_datetime(d[4:7])))]
    lake.ingest(table, market="KOSPI")
    lake.ingest([{"symbol": "000002", "ex_date": d[5], "kind": "split", "share_ratio": 2.0}], "actions")
    whole = lake.bars()
    for start, stop in ((5, 9), (6, 12), (0, 12), (4, 5)):
        part = lake.bars(["000001", "000002"], d[start], d[stop - 1])
        cut = whole.slice(start, stop)
        for name in ("open", "close", "volume"):
            np.testing.assert_array_equal(part.field(name), cut.field(name))
        np.testing.assert_array_equal(part.flags, cut.flags)
        np.testing.assert_allclose(part.close, cut.close)


def test_one_symbol_sees_the_holes_that_the_others_prove(lake: Lake) -> None:
    table = prices(("000001", "000002"), count=8)
    lake.ingest(table[~((table["symbol"] == "000002") & (table["volume"] == 1003))], market="KOSPI")
    bars = lake.bars(["000002"])
    assert len(bars) == 8
    assert bars.valid[:, 0].tolist() == [True, True, True, False, True, True, True, True]


def test_a_delisted_name_ends_at_its_delisting_and_stays_in_the_panel(lake: Lake) -> None:
    d = [str(day) for day in days(count=8)]
    table = prices(("000001", "000002"), count=8)
    lake.ingest(table[(table["symbol"] == "000001") | (table["date"] < d[5])], market="KOSPI")
    lake.ingest(
        pd.DataFrame({"symbol": ["000002"], "delisting": [d[6]], "liquidation_from": [d[3]], "liquidation_to": [d[5]]}),
        "instruments",
    )
    bars = lake.bars()
    assert bars.listed[:, 1].tolist() == [True] * 6 + [False] * 2
    assert ((bars.flags[:, 1] & 16) != 0).tolist() == [False] * 3 + [True] * 3 + [False] * 2
    assert np.isnan(bars.close[6:, 1]).all()


def test_a_lake_of_before_learns_what_an_elw_is_a_right_to(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    new = {"underlying", "warrant", "strike", "barrier"}
    whole = tables.table_schema("instruments")
    with monkeypatch.context() as before:
        before.setattr(
            tables, "table_schema", lambda name: pa.schema([field for field in whole if field.name not in new])
        )
        before.setattr(reference, "table_schema", tables.table_schema)
        before.setattr(reference, "_SAME", [name for name in reference._SAME if name not in new])
        lake.ingest(pd.DataFrame({"symbol": ["005930"], "name": ["삼성전자"], "market": ["KOSPI"]}), "instruments")
        assert new.isdisjoint(lake.query("select * from instruments").columns)
    told = pd.DataFrame(
        {"symbol": ["58J297"], "market": ["ELW"], "underlying": ["005930"], "warrant": ["call"], "strike": [85_000.0]}
    )
    lake.ingest(told, "instruments")
    columns = "symbol, name, underlying, warrant, strike, barrier"
    assert lake.query(f"select {columns} from instruments order by symbol").fetchall() == [
        ("005930", "삼성전자", None, None, None, None), ("58J297", None, "005930", "call", 85_000.0, None),
    ]  # fmt: skip
    seen = {field.name for field in Table(lake.path / "instruments").delta().schema().fields}
    assert seen == set(whole.names)
    version = lake.info()
    lake.ingest(told, "instruments")
    assert lake.info() == version
    with pytest.raises(BadData, match="instruments row 1 \\(58J297\\): strike 'high' is no number"):
        lake.ingest(pd.DataFrame({"symbol": ["58J297"], "strike": ["high"]}), "instruments")


def test_a_first_trading_day_is_the_listing_date_that_is_the_first_stored_bar(lake: Lake) -> None:
    d = [str(day) for day in days(count=6)]
    table = prices(("000001", "000002", "000003"), count=6)
    lake.ingest(table[(table["symbol"] != "000002") | (table["date"] >= d[2])], market="KOSPI")
    lake.ingest(pd.DataFrame({"symbol": ["000001", "000002"], "listing": [d[2], d[2]]}), "instruments")
    marked = (lake.bars().flags & 32) != 0
    assert marked.any(axis=0).tolist() == [False, True, False], "000001 was there before: it moved to this market"
    assert marked[:, 1].tolist() == [day == d[2] for day in d]
    assert not (lake.bars(start=d[3]).flags & 32).any()


def test_actions_adjust_forward_from_the_first_stored_bar(lake: Lake) -> None:
    d = [str(day) for day in days(count=6)]
    lake.ingest(prices(("005930",), count=6), market="KOSPI")
    lake.ingest(
        [
            {"symbol": "005930", "ex_date": "2020-01-02", "kind": "split", "share_ratio": 50.0},  # before the first bar
            {"symbol": "005930", "ex_date": d[3], "kind": "split", "share_ratio": 2.0},
        ],
        "actions",
    )
    bars = lake.bars()
    assert bars.factor[:, 0].tolist() == [1, 1, 1, 2, 2, 2]
    assert lake.bars(start=d[4]).factor[:, 0].tolist() == [2, 2]


def test_markets_and_names_are_dated(lake: Lake) -> None:
    table = prices(("000001",), count=6)
    table["market"] = ["KOSDAQ"] * 3 + ["KOSPI"] * 3
    table["name"] = ["옛 이름"] * 3 + ["새 이름"] * 3
    lake.ingest(table)
    bars = lake.bars()
    assert bars.markets == ("KOSPI",)
    assert [change[1:] for change in bars.market_changes] == [("000001", "KOSDAQ"), ("000001", "KOSPI")]
    assert bars.names == {"000001": "새 이름"}
    assert lake.bars(end=table["date"].iloc[1]).markets == ("KOSDAQ",)


def test_a_version_text_repeats_the_read_after_everything_moved_on(lake: Lake) -> None:
    lake.ingest(prices(), market="KOSPI")
    before = lake.bars()
    lake.ingest(prices(start="2024-03-04"), market="KOSPI")
    day = str(days(count=4)[3])
    lake.ingest([{"symbol": "005930", "ex_date": day, "kind": "split", "share_ratio": 2.0}], "actions")
    assert not same_bars(lake.bars(), before)
    shutil.rmtree(lake.cache.folder)
    assert same_bars(lake.bars(version=before.version), before)


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ({"symbols": ["005931"]}, "no symbol '005931'; did you mean 005930"),
        ({"symbols": []}, "at least one"),
        ({"symbols": ["005930", "005930"]}, "each once"),
        ({"start": "2024-02-01", "end": "2024-01-01"}, "is after end"),
        ({"start": "2030-01-01"}, "no bar between 2030-01-01 and the end; it holds 2024-01-02 to 2024-01-15"),
        ({"version": 99}, "versions 0 to"),
        ({"freq": "5m"}, "has no 5m bars"),
        ({"start": "yesterday"}, "not a date"),
        ({"version": "prices 3"}, "does not pin bars_1d"),
    ],
)
def test_wrong_questions_are_answered_with_what_would_be_right(lake: Lake, query: dict, message: str) -> None:
    lake.ingest(prices(), market="KOSPI")
    with pytest.raises(BadData, match=message):
        lake.bars(**query)


def test_an_empty_lake_says_how_to_fill_it(lake: Lake) -> None:
    with pytest.raises(BadData, match=r"lake\.ingest"):
        lake.bars()
    assert not lake.path.exists()


def test_a_lake_is_a_folder(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(ConfigError, match="is a file"):
        Lake(tmp_path / "file")


def test_tables_are_queried_by_name_at_their_version(lake: Lake) -> None:
    first = lake.ingest(prices(), market="KOSPI").version
    lake.ingest(prices(start="2024-03-04"), market="KOSPI")
    count = "select count(*) from bars_1d"
    assert lake.query(count).fetchall() == [(40,)]
    assert lake.query(count, version=first).fetchall() == [(20,)]
    assert lake.query("select distinct year from bars_1d").fetchall() == [(2024,)]


# --- intraday, US -----------------------------------------------------------------------------------------------------


def minutes(day: str = "2024-01-02", count: int = 20) -> pd.DataFrame:
    stamps = pd.date_range(f"{day} 09:01", periods=count, freq="1min", tz="Asia/Seoul")
    close = 70_000 + 100 * np.arange(count)
    return pd.DataFrame(
        {"symbol": "005930", "date": stamps, "open": close, "high": close, "low": close, "close": close, "volume": 5}
    )


def test_minute_bars_keep_their_close_stamp_and_make_coarser_ones(lake: Lake) -> None:
    lake.ingest(minutes(), "bars_1m", market="KOSPI")
    bars = lake.bars(freq="1m")
    assert str(bars.index[0]) == "2024-01-02 09:01:00+09:00"
    five = lake.bars(freq="5m")
    assert five.raw.close[:, 0].tolist() == bars.raw.close[4::5, 0].tolist()
    assert [part.name for part in (lake.path / "bars_1m").glob("month=*")] == ["month=2024-01"]


def test_opening_stamps_are_moved_to_the_close(lake: Lake) -> None:
    table = minutes().assign(date=lambda frame: frame["date"] - pd.Timedelta(minutes=1))
    lake.ingest(table, "bars_1m", market="KOSPI", stamp="open")
    assert str(lake.bars(freq="1m").index[0]) == "2024-01-02 09:01:00+09:00"


def test_us_prices_are_in_dollars_and_cents_without_a_korean_calendar(lake: Lake) -> None:
    report = lake.ingest(frame(row("AAPL", "2024-01-01", 185.64), row("AAPL", "2024-01-02", 184.25)), market="US")
    bars = lake.bars(["AAPL"])
    assert (report.added, report.quarantined, report.flagged) == (2, 0, 0)
    assert (bars.minor_unit, bars.currency, bars.markets) == (100, "USD", ("US",))


def test_foreign_codes_need_a_market(lake: Lake) -> None:
    with pytest.raises(BadData, match='market="US"'):
        lake.ingest(frame(row("AAPL", "2024-01-02", 184.25)))


def test_the_sample_package_ingests_with_its_splits(lake: Lake) -> None:
    sample = pytest.importorskip("bokeh_sampledata", reason="the sample prices are an optional dependency")
    from quantkit.data.derive import splits_from_adjusted_close

    path = Path(sample.__file__).parent / "_data" / "stocks.csv.gz"
    report = lake.ingest(path, market="US")
    assert (report.added, report.quarantined) == (12_154, 0)
    splits = splits_from_adjusted_close(pd.read_csv(path))
    assert [(one.symbol, one.ex_date, one.share_ratio) for one in splits] == [
        ("AAPL", "2000-06-21", 2.0),
        ("AAPL", "2005-02-28", 2.0),
        ("MSFT", "2003-02-18", 2.0),
    ]
    lake.ingest(splits, "actions")
    apple = lake.bars(["AAPL"])
    steps = np.abs(np.diff(np.log(apple.close[:, 0])))
    assert steps.max() < 0.8 > 0.6  # -52 % on 2000-09-29 is real; the splits are gone
    assert apple.factor[-1, 0] == 4.0


def test_repeated_reads_load_no_table_library(lake: Lake) -> None:
    lake.ingest(prices(), market="KOSPI")
    lake.bars().close.sum()
    root = str(Path(__file__).parents[2])
    script = (
        f"import sys; sys.path.insert(0, {root!r})\nfrom quantkit import Lake\n"
        f"bars = Lake({str(lake.path)!r}).bars()\nassert bars.close.shape == (10, 2)\n"
        "import json; print(json.dumps([m for m in ('duckdb', 'deltalake', 'pyarrow', 'pandas') if m in sys.modules]))"
    )
    child = subprocess.run([sys.executable, "-c", script], capture_output=True, check=True)
    assert json.loads(child.stdout) == []


def test_a_lake_stays_where_it_was_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lakes = []
    for name, close in (("one", 1000), ("two", 2000)):
        (tmp_path / name).mkdir()
        monkeypatch.chdir(tmp_path / name)
        lakes.append(Lake("lake"))
        lakes[-1].ingest(frame(row("005930", "2024-01-02", close)), market="KOSPI")
    assert [lake.bars(["005930"]).close[0, 0] for lake in lakes] == [1000, 2000]
