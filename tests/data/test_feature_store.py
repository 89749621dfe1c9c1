"""Features in a lake: checked on the way in, versioned, the same by every way out."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quantkit import BadData, ConfigError, Lake, Strategy, backtest
from quantkit.data.bars import Bars
from tests.data.lake_data import REAL, days, needs_real_data, prices

DAY = [str(day) for day in days(count=30)]
WIDE = pd.DataFrame(
    {"symbol": ["005930", "000660", "005930"], "as_of": [DAY[1], DAY[2], DAY[5]], "per": [10.0, 7.0, 9.0],
     "업종": ["전자", "전자", "반도체"]}
)  # fmt: skip


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    found = Lake(tmp_path / "lake")
    found.ingest(prices(count=30), market="KOSPI")
    return found


def test_wide_and_long_tables_are_the_same_features(lake: Lake, tmp_path: Path) -> None:
    report = lake.ingest(WIDE, "features")
    assert (report.added, report.replaced, report.version) == (6, 0, 1)
    other = Lake(tmp_path / "other")
    long = WIDE.drop(columns="업종").melt(["symbol", "as_of"], var_name="항목", value_name="값")
    text = WIDE.drop(columns="per").rename(columns={"업종": "value"})
    other.ingest_features(long.rename(columns={"as_of": "공시일", "symbol": "종목코드"}))
    other.ingest_features(text, name="업종")
    for name in ("per", "업종"):
        one, two = (
            found.query(
                f"select symbol, as_of, value, text from features where name = '{name}' order by all"
            ).fetchall()
            for found in (lake, other)
        )
        assert one == two


def test_files_are_read_as_frames_are(lake: Lake, tmp_path: Path) -> None:
    WIDE.to_csv(tmp_path / "features.csv", index=False, encoding="cp949")
    WIDE.to_parquet(tmp_path / "features.parquet")
    lake.ingest_features([tmp_path / "features.csv"])
    version = lake.ingest_features([tmp_path / "features.parquet", WIDE]).version
    assert version == 1
    assert lake.bars().feature("per")[6].tolist() == [7.0, 9.0]
    assert lake.bars().feature_labels("업종") == ("전자", "반도체")


def test_a_row_the_lake_holds_with_another_value_is_replaced_and_the_old_version_stays(lake: Lake) -> None:
    lake.ingest_features(WIDE)
    before = lake.bars()
    report = lake.ingest_features(WIDE.assign(per=[10.0, 7.0, 8.0]))
    assert (report.added, report.replaced, report.version) == (0, 1, 2)
    assert "features@1" in str(before.version)
    assert "features@2" in str(lake.bars().version)
    assert lake.bars().feature("per")[6, 1] == 8.0
    assert lake.bars(version=before.version).feature("per")[6, 1] == 9.0
    assert before.feature("per")[6, 1] == 9.0


def test_bars_of_a_lake_without_features_are_named_as_before(lake: Lake) -> None:
    bars = lake.bars()
    assert bars.version == "bars_1d@1 instruments@1"
    assert bars.features.names == ()
    lake.ingest_features(WIDE)
    with pytest.raises(ConfigError, match="no feature 'per'; there are none"):
        lake.bars(version=bars.version).feature("per")


def test_rows_that_cannot_be_used_are_set_aside_with_the_reason(lake: Lake) -> None:
    rows = [
        ("005930", DAY[1], "1"), ("005930", None, "2"), (None, DAY[1], "3"), ("005930", DAY[2], "N.M."),
        ("000660", DAY[2], "inf"), ("000660", DAY[3], "5"), ("000660", DAY[3], "6"), ("000660", DAY[4], "7"),
        ("000660", DAY[4], "7"), ("000660", "31 February", "7"), ("000660", DAY[5], ""),
    ]  # fmt: skip
    frame = pd.DataFrame(rows, columns=["symbol", "as_of", "per"])
    report = lake.ingest_features(frame)
    assert (report.added, report.quarantined) == (3, 7)
    assert sorted(report.reasons.values()) == [1, 1, 1, 2, 2]
    assert report.reasons["no as-of date, so nobody can say when it became known"] == 2
    assert lake.ingest_features(frame).quarantined == 7
    quarantine = lake.query("select * from quarantine where \"table\" = 'features'").df()
    assert len(quarantine) == 7
    assert quarantine.loc[quarantine["reason"].str.contains("no number"), "line"].tolist() == [4]


def test_nothing_is_written_when_one_source_is_wrong(lake: Lake) -> None:
    with pytest.raises(BadData, match="no as-of column"):
        lake.ingest_features([WIDE, WIDE.drop(columns="as_of")])
    assert "features" not in lake.tables()
    with pytest.raises(ConfigError, match="blank="):
        lake.ingest_features(WIDE, blank="maybe")  # type: ignore[arg-type]


def test_a_feature_keeps_its_kind_and_its_periods(lake: Lake) -> None:
    lake.ingest_features(WIDE)
    with pytest.raises(BadData, match="stored rows have no periods, this table has"):
        lake.ingest_features(WIDE[["symbol", "as_of", "per"]].assign(period="2023Q4"))
    with pytest.raises(BadData, match="stored as text"):
        lake.ingest_features(WIDE[["symbol", "as_of"]].assign(업종=1.0))
    texts = pd.DataFrame({"symbol": ["005930"] * 2, "as_of": DAY[7:9], "per": ["cheap", "11"]})
    assert lake.ingest_features(texts).reasons == {"per: the value is no number": 1}
    assert lake.bars().feature("per")[-1, 1] == 11.0


def test_columns_that_say_nothing_are_named_in_the_report(lake: Lake) -> None:
    found = lake.ingest_features(WIDE.assign(종목명="삼성전자", 일자=DAY[0]), as_of="as_of")
    assert found.notes == ("columns taken for no feature: 종목명, 일자",)
    assert lake.ingest_features(WIDE.rename(columns={"as_of": "일자"}), as_of="일자").added == 0


def test_features_are_listed_with_their_span(lake: Lake) -> None:
    lake.ingest_features(WIDE)
    lake.ingest_features(WIDE[["symbol", "as_of"]].assign(period="2023Q4", eps=1.0))
    found = {one.name: one for one in lake.features()}
    assert (found["per"].kind, found["per"].rows, found["per"].symbols) == ("number", 3, 2)
    assert (found["per"].first, found["per"].last, found["per"].periods) == (DAY[1], DAY[5], False)
    assert found["업종"].kind == "text"
    assert found["eps"].periods
    assert {one.table: one.rows for one in lake.info()}["features"] == 9


def test_a_killed_ingest_leaves_the_version_before(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    lake.ingest_features(WIDE)

    def killed(*_: object, **__: object) -> int:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("quantkit.data.tables.Table.commit", killed)
        with pytest.raises(KeyboardInterrupt):
            lake.ingest_features(WIDE.assign(per=1.0))
    assert lake.bars().feature("per")[6].tolist() == [7.0, 9.0]
    assert lake.ingest_features(WIDE.assign(per=1.0)).replaced == 3


# --- universe ---------------------------------------------------------------------------------------------------------


def test_universe_queries_read_features_of_the_bar_before(lake: Lake) -> None:
    lake.ingest_features(WIDE)
    bars = lake.bars(universe="market = 'KOSPI' and per < 10")
    expected = np.zeros((30, 2), np.bool_)
    expected[1:] = bars.feature("per")[:-1] < 10
    np.testing.assert_array_equal(bars.member, expected)
    text = lake.bars(universe="업종 = '반도체'").member
    assert text[:, 1].tolist() == [False] * 7 + [True] * 23
    assert not text[:, 0].any()
    mean = lake.bars(universe="per_3d > 9.2 and close > 0").member[:, 1]
    assert np.flatnonzero(mean).tolist() == [5, 6, 7, 8]  # three bars known at 4; at 8 all three are 9
    with pytest.raises(BadData, match=r"pbr.*features: per, 업종"):
        lake.bars(universe="pbr < 1")


def test_a_window_and_a_backtest_have_the_members_of_the_whole(lake: Lake) -> None:
    lake.ingest_features(WIDE)
    whole = lake.bars(universe="per_2d < 10")
    for start in (0, 3, 6):
        np.testing.assert_array_equal(lake.bars(start=DAY[start], universe="per_2d < 10").member, whole.member[start:])

    class Cheap(Strategy):
        universe = "per_2d < 10"

        def targets(self, bars: Bars) -> np.ndarray:
            return bars.close > 0

    fills = [backtest(Cheap(), bars).fills for bars in (lake.bars(), whole)]
    pd.testing.assert_frame_equal(*fills)


def test_a_new_version_of_features_asks_the_universe_again_and_leaves_prices_in_the_cache(lake: Lake) -> None:
    lake.ingest_features(WIDE)
    old = lake.bars(universe="per < 8").member.sum()
    _ = lake.bars().close
    entries = len(list(lake.cache.folder.iterdir()))
    lake.ingest_features(WIDE.assign(per=1.0))
    assert lake.bars(universe="per < 8").member.sum() > old
    _ = lake.bars().close
    assert len(list(lake.cache.folder.iterdir())) == entries + 1


# --- the same by every way --------------------------------------------------------------------------------------------


def test_chunks_of_a_stream_show_what_the_bars_show(tmp_path: Path) -> None:
    lake = Lake(tmp_path / "lake")
    stamps = [pd.Timestamp(f"{day} {time}", tz="Asia/Seoul") for day in DAY[:6] for time in ("10:00", "14:00", "15:30")]
    frame = pd.DataFrame(dict.fromkeys(("open", "high", "low", "close"), 100.0), index=stamps).assign(volume=10)
    lake.ingest(frame.rename_axis("time").reset_index().assign(symbol="005930"), "bars_30m", market="KOSPI")
    lake.ingest_features(
        pd.DataFrame({"symbol": "005930", "as_of": [f"{DAY[1]} 12:00+09:00", DAY[3]], "flow": [1.0, -1.0]})
    )
    bars = lake.bars(freq="30m")
    expected = bars.feature("flow")
    np.testing.assert_array_equal(expected[:, 0], [np.nan] * 4 + [1.0] * 8 + [-1.0] * 6)
    for chunk in (1, 2, 4):
        stream = lake.stream(freq="30m", chunk=chunk)
        found = np.concatenate([piece.feature("flow") for piece in stream])
        np.testing.assert_array_equal(found, expected)
        np.testing.assert_array_equal(stream.panel.feature("flow"), expected)
        for piece, first, row in stream.chunks(lead=2):
            np.testing.assert_array_equal(piece.feature("flow"), expected[row - first : row - first + len(piece)])

    class Flow(Strategy):
        universe = "flow > -2"
        warmup = 3

        def targets(self, bars: Bars) -> np.ndarray:
            return bars.feature("flow", fill=0) > 0

    whole, pieces = backtest(Flow(), bars), backtest(Flow(), lake.stream(freq="30m", chunk=2))
    assert len(whole.fills) > 0
    assert whole.manifest == pieces.manifest


def test_few_symbols_of_many_are_read_alone(tmp_path: Path) -> None:
    lake = Lake(tmp_path / "lake")
    symbols = tuple(f"{number:06d}" for number in range(10, 30))
    lake.ingest(prices(symbols, count=5), market="KOSPI")
    rows = [(symbol, DAY[0], float(number)) for number, symbol in enumerate(symbols)]
    lake.ingest_features(pd.DataFrame([*rows, ("*", DAY[0], -1.0)], columns=["symbol", "as_of", "x"]))
    assert lake.bars(["000012"]).feature("x")[-1].tolist() == [2.0]
    assert lake.bars().feature("x")[-1].tolist() == list(range(20))


# --- laws -------------------------------------------------------------------------------------------------------------


@given(
    st.lists(
        st.tuples(
            st.sampled_from(("005930", "000660", "*")), st.integers(0, 5), st.sampled_from(("2023Q3", "2023Q4")),
            st.one_of(st.none(), st.integers(0, 3)), st.sampled_from(("per", "pbr")),
        ),
        min_size=1, max_size=12,
    ),
    st.integers(0, 12),
)  # fmt: skip
@settings(max_examples=12, deadline=None)
def test_ingesting_again_in_any_pieces_changes_nothing(rows: list[tuple[object, ...]], cut: int) -> None:
    frame = pd.DataFrame(rows, columns=["symbol", "day", "period", "value", "name"])
    frame["as_of"] = [DAY[day] for day in frame.pop("day")]
    frame["value"] = frame["value"].astype(np.float64)
    frame = frame.drop_duplicates(["symbol", "as_of", "period", "name"])
    with tempfile.TemporaryDirectory() as folder:
        once, pieces = Lake(Path(folder) / "once"), Lake(Path(folder) / "pieces")
        first = once.ingest_features(frame)
        assert first.added == len(frame)
        again = once.ingest_features(frame.sample(frac=1, random_state=0))
        assert (again.added, again.replaced, again.version) == (0, 0, first.version)
        parts = [part for part in (frame.iloc[cut:], frame.iloc[:cut]) if len(part)]
        for part in parts:
            pieces.ingest_features(part)
        sql = "select * from features order by all"
        assert repr(once.query(sql).fetchall()) == repr(pieces.query(sql).fetchall())


# --- real data --------------------------------------------------------------------------------------------------------


@needs_real_data
def test_weekly_market_caps_of_the_real_market_are_known_the_session_after(tmp_path: Path) -> None:
    weekly = pd.read_parquet(REAL / "krx_snapshot_weekly.parquet", columns=["symbol", "date", "marcap", "market"])
    weekly = weekly[weekly["date"].astype(str) < "2024-03"]
    daily = pd.read_parquet(
        REAL / "krx_daily_raw.parquet", filters=[("date", ">=", pd.Timestamp("2024-01-01").date())]
    ).query("symbol in ('005930', '000660', '035720')")
    lake = Lake(tmp_path / "lake")
    lake.ingest(daily[daily["date"].astype(str) < "2024-03"])
    report = lake.ingest_features(weekly, as_of="date")
    assert (report.quarantined, report.added) == (0, len(weekly))
    bars = lake.bars(["005930", "000660", "035720"])
    caps = bars.feature("marcap")
    for column, symbol in enumerate(bars.symbols):
        own = weekly[weekly["symbol"] == symbol].set_index("date")["marcap"]
        for row, stamp in enumerate(bars.index):
            assert caps[row, column] == own[own.index < stamp.date()].iloc[-1]
    large = lake.bars(["005930", "000660", "035720"], universe="marcap > 5e13").member
    assert large[1:].all(axis=0).tolist() == [True, True, False]
