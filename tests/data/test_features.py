"""Features at a bar are what was known before its close: nothing later, nothing that depends on what is loaded."""

from __future__ import annotations

import pickle

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quantkit import BadData, Bars, ConfigError, Strategy, backtest
from quantkit.data.featuredates import period_end
from tests.data.lake_data import days, prices

DAY = [str(day) for day in days(count=12)]  # 2024-01-02 (Tue) to 2024-01-17
SYMBOLS = ("000660", "005930")


def panel(features: pd.DataFrame | None = None, count: int = 12) -> Bars:
    return Bars.from_pandas(prices(SYMBOLS, count=count), market="KOSPI", features=features)


def minutes(stamps: list[str], market: str = "KOSPI", zone: str = "Asia/Seoul", freq: str = "30m") -> Bars:
    index = pd.DatetimeIndex(stamps).tz_localize(zone)
    frame = pd.DataFrame(dict.fromkeys(("open", "high", "low", "close"), 100.0), index=index).assign(volume=1.0)
    return Bars.from_pandas(frame, market=market, symbol="005930", freq=freq)


def known(bars: Bars, *rows: tuple[object, ...], **options: int) -> list[float]:
    """Feature of the first symbol, from rows of (as_of, value)."""
    frame = pd.DataFrame([(bars.symbols[0], *row) for row in rows], columns=["symbol", "as_of", "value"])
    return bars.with_feature("x", frame).feature("x", **options)[:, 0].tolist()


def starts(values: list[float]) -> int:
    """The first bar with a value."""
    return int(np.argmax(~np.isnan(values)))


# --- when a number counts ---------------------------------------------------------------------------------------------


def test_a_date_counts_from_the_session_after_it() -> None:
    bars = panel()
    assert starts(known(bars, (DAY[3], 1.0))) == 4
    assert starts(known(bars, ("2024-01-06", 1.0))) == DAY.index("2024-01-08")  # a Saturday
    assert starts(known(bars, ("2023-12-29", 1.0))) == 0


@pytest.mark.parametrize(
    ("stamp", "row"),
    [
        ("2024-01-05 08:00+09:00", 3),
        ("2024-01-05 15:29:59+09:00", 3),
        ("2024-01-05 15:30+09:00", 4),  # out at the close: too late for it
        ("2024-01-05 18:00+09:00", 4),
        ("2024-01-05 00:00+09:00", 4),  # midnight is how databases write a date
        ("2024-01-05 00:00Z", 4),
        ("2024-01-04 15:00Z", 4),
        ("2024-01-06 10:00+09:00", 4),
        ("2024-01-02 09:59+09:00", 0),  # the first session of a year opens at ten
    ],
)
def test_a_time_of_day_before_the_close_counts_on_the_day(stamp: str, row: int) -> None:
    assert starts(known(panel(), (stamp, 1.0))) == row


def test_the_close_is_that_of_the_day() -> None:
    exam = panel_on("2025-11-13")  # closes at 16:30
    assert starts(known(exam, ("2025-11-13 16:00+09:00", 1.0))) == exam.days.tolist().index(day_number("2025-11-13"))


def panel_on(day: str) -> Bars:
    return Bars.from_pandas(prices(SYMBOLS, start=day, count=3), market="KOSPI")


def day_number(text: str) -> int:
    return int(np.datetime64(text, "D").astype(np.int64))


def test_bars_within_the_day_know_what_came_out_before_they_closed() -> None:
    bars = minutes(["2024-01-04 10:00", "2024-01-04 10:30", "2024-01-05 09:30", "2024-01-05 10:00", "2024-01-08 09:30"])
    assert starts(known(bars, ("2024-01-04 10:00+09:00", 1.0))) == 1
    assert starts(known(bars, ("2024-01-04 09:59+09:00", 1.0))) == 0
    assert starts(known(bars, ("2024-01-04", 1.0))) == 2
    assert starts(known(bars, ("2024-01-04 09:00+09:00", 1.0), lag=1)) == 2
    assert starts(known(bars, ("2024-01-04", 1.0), lag=1)) == 4


def test_us_bars_go_by_new_york() -> None:
    bars = minutes(["2024-01-04 10:00", "2024-01-04 15:30", "2024-01-05 10:00"], "US", "America/New_York")
    assert starts(known(bars, ("2024-01-04", 1.0))) == 2
    assert starts(known(bars, ("2024-01-04 12:00-05:00", 1.0))) == 1
    index = pd.DatetimeIndex(["2024-01-03", "2024-01-04", "2024-01-05"])
    frame = pd.DataFrame(dict.fromkeys(("open", "high", "low", "close"), 100.0), index=index).assign(volume=1.0)
    daily = Bars.from_pandas(frame, market="US", symbol="AAPL")
    assert starts(known(daily, ("2024-01-04 08:00-05:00", 1.0))) == 1
    assert starts(known(daily, ("2024-01-04 16:05-05:00", 1.0))) == 2
    assert starts(known(daily, ("2024-01-04", 1.0))) == 2
    assert starts(known(daily, ("2024-01-03", 1.0), lag=1)) == 2


def test_a_market_without_sessions_waits_for_the_next_day() -> None:
    index = pd.DatetimeIndex(["2024-01-05", "2024-01-06", "2024-01-07"])
    frame = pd.DataFrame(dict.fromkeys(("open", "high", "low", "close"), 100.0), index=index).assign(volume=1.0)
    bars = Bars.from_pandas(frame, market="NONE", symbol="BTC")
    assert starts(known(bars, ("2024-01-05 10:00+09:00", 1.0))) == 1
    assert starts(known(bars, ("2024-01-05", 1.0), lag=1)) == 2


def test_lag_waits_for_sessions_of_the_calendar_not_of_the_panel() -> None:
    bars = panel()
    assert starts(known(bars, (DAY[3], 1.0), lag=1)) == 5
    assert starts(known(bars, ("2024-01-06", 1.0), lag=2)) == DAY.index("2024-01-10")
    part = bars.window(DAY[4])
    assert starts(known(part, (DAY[3], 1.0), lag=2)) == 2
    with pytest.raises(ConfigError, match="0 or more"):
        known(bars, (DAY[3], 1.0), lag=-1)


def test_fill_stands_where_nothing_is_known() -> None:
    bars = panel(pd.DataFrame({"symbol": ["005930"], "as_of": [DAY[1]], "kospi200": [True]}))
    assert bars.feature("kospi200", fill=0)[:, 1].tolist() == [0.0, 0.0] + [1.0] * 10
    assert (bars.feature("kospi200", fill=0)[:, 0] == 0).all()
    assert np.isnan(bars.feature("kospi200")[:, 0]).all()


# --- which number counts ----------------------------------------------------------------------------------------------


def test_of_several_restatements_the_last_known_holds_and_older_periods_change_nothing() -> None:
    rows = [
        ("2023Q3", DAY[1], 10.0),
        ("2023Q4", DAY[3], 11.0),
        ("2023Q3", DAY[5], 99.0),  # restated after the next quarter was out
        ("2023Q4", DAY[7], 12.0),
    ]
    frame = pd.DataFrame(rows, columns=["period", "as_of", "eps"]).assign(symbol="005930")
    values = panel(frame).feature("eps")[:, 1].tolist()
    np.testing.assert_array_equal(values, [np.nan] * 2 + [10.0] * 2 + [11.0] * 4 + [12.0] * 4)


def test_an_empty_cell_ends_the_value_before_it_unless_it_says_nothing() -> None:
    frame = pd.DataFrame({"symbol": "000660", "as_of": [DAY[0], DAY[2]], "per": [9.0, None]})
    bars = panel()
    cleared = bars.with_feature("per", frame).feature("per")[:, 0]
    np.testing.assert_array_equal(cleared[:5], [np.nan, 9.0, 9.0, np.nan, np.nan])
    assert bars.with_feature("per", frame, blank="skip").feature("per")[-1, 0] == 9.0


def test_rows_of_every_symbol_hold_until_there_is_one_of_its_own() -> None:
    frame = pd.DataFrame({"symbol": ["*", "005930"], "as_of": [DAY[0], DAY[2]], "rate": [3.5, 1.0]})
    assert panel(frame).feature("rate")[1:4].tolist() == [[3.5, 3.5], [3.5, 3.5], [3.5, 1.0]]


def test_text_is_codes_in_the_order_they_became_known() -> None:
    frame = pd.DataFrame(
        {"symbol": ["005930", "000660", "005930"], "as_of": [DAY[4], DAY[1], DAY[2]], "sector": ["A", "Z", "M"]}
    )
    bars = panel(frame)
    assert bars.feature_labels("sector") == ("Z", "M", "A")
    assert bars.feature("sector")[5].tolist() == [0.0, 2.0]
    before = panel(frame.iloc[1:])
    np.testing.assert_array_equal(before.feature("sector")[:5], bars.feature("sector")[:5])


def test_a_table_of_dates_by_symbols_is_a_feature() -> None:
    frame = pd.DataFrame({"005930": [1.0, 2.0], "000660": [3.0, np.nan]}, index=pd.DatetimeIndex([DAY[1], DAY[3]]))
    found = panel().with_feature("score", frame).frame("score")
    assert found["005930"].tolist()[1:5] == pytest.approx([np.nan, 1.0, 1.0, 2.0], nan_ok=True)
    assert found["000660"].tolist()[3:5] == pytest.approx([3.0, np.nan], nan_ok=True)


def test_a_name_that_is_not_listed_has_no_feature() -> None:
    late = prices(SYMBOLS)
    late = late[(late["symbol"] == "000660") | (late["date"] >= np.datetime64(DAY[5]))]
    frame = pd.DataFrame({"symbol": ["005930"], "as_of": [DAY[0]], "x": [1.0]})
    values = Bars.from_pandas(late, market="KOSPI", features=frame).feature("x")[:, 1]
    assert starts(values.tolist()) == 5


@pytest.mark.parametrize(
    "text",
    [
        "2024Q1",
        "2024-Q1",
        "2024년 1분기",
        "2024.1Q",
        "2024-03",
        "2024/03",
        "202403",
        "2024년 3월",
        "2024.03.31",
        "20240331",
    ],
)
def test_periods_are_read_as_people_write_them(text: str) -> None:
    assert period_end(text) == day_number("2024-03-31")
    assert period_end("2024") == period_end("2024년") == day_number("2024-12-31")
    assert period_end("soon") < -1_000_000


# --- what is refused --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("frame", "message"),
    [
        ({"symbol": ["005930"], "date": DAY[:1], "per": [1.0]}, "no as-of column.*became known.*as_of='date'"),
        ({"as_of": DAY[:1], "per": [1.0]}, "no symbol column"),
        ({"symbol": [5930], "as_of": DAY[:1], "per": [1.0]}, "leading zeros"),
        ({"symbol": ["005930"], "as_of": [None], "per": [1.0]}, "no as-of date"),
        ({"symbol": ["005930", "005930"], "as_of": [DAY[0], None], "per": [1.0, 2.0]}, r"row 1 \(005930, no date\)"),
        ({"symbol": ["005930"], "as_of": ["2024-01-02 10:00"], "per": [1.0]}, "no time zone"),
        ({"symbol": ["005930"], "as_of": ["soon"], "per": [1.0]}, "'soon' cannot be read"),
        ({"symbol": ["005930"] * 2, "as_of": [DAY[0]] * 2, "per": [1.0, 2.0]}, "different values"),
        ({"symbol": ["005930"] * 3, "as_of": DAY[:3], "per": ["1", "2", "x"]}, "the value is no number"),
        ({"symbol": ["005930"], "as_of": DAY[:1], "per": [np.inf]}, "infinite"),
        ({"symbol": ["005930"], "as_of": DAY[:1], "close": [1.0]}, "that of a column of the bars"),
        ({"symbol": ["005930"], "as_of": DAY[:1], "p/e": [1.0]}, "letters, digits and _"),
        ({"symbol": ["005930"], "as_of": DAY[:1]}, "no feature column"),
        ({"symbol": ["005930"], "as_of": DAY[:1], "per": [pd.Timestamp(DAY[0])]}, "expected numbers, flags or text"),
        ({"symbol": ["005930"], "as_of": DAY[:1], "period": ["soon"], "per": [1.0]}, "no period"),
        ({"symbol": ["005930"], "as_of": DAY[:1], "value": [1.0]}, "none that names the feature"),
    ],
)
def test_tables_that_cannot_be_used_say_why(frame: dict[str, list[object]], message: str) -> None:
    with pytest.raises(BadData, match=message):
        panel(pd.DataFrame(frame))


def test_an_unknown_feature_lists_those_there_are() -> None:
    with pytest.raises(ConfigError, match="no feature 'per'; there are none: give them with"):
        panel().feature("per")
    frame = pd.DataFrame({"symbol": ["005930"], "as_of": DAY[:1], "per": [1.0], "pbr": [1.0]})
    with pytest.raises(ConfigError, match="there are pbr, per"):
        panel(frame).feature("roe")


# --- laws -------------------------------------------------------------------------------------------------------------


@st.composite
def tables(draw: st.DrawFn) -> pd.DataFrame:
    """Rows of both symbols and of "*", with and without time of day, over more than the panel's days."""
    span = pd.date_range("2023-12-28", "2024-01-20", tz="Asia/Seoul")
    row = st.tuples(
        st.sampled_from((*SYMBOLS, "*")),
        st.sampled_from(span.tolist()),
        st.sampled_from((0, 0, 9 * 60, 15 * 60 + 30, 18 * 60)),
        st.sampled_from(("2023Q2", "2023Q3", "2023Q4")),
        st.one_of(st.none(), st.integers(0, 9).map(float)),
    )
    rows = draw(st.lists(row, min_size=1, max_size=25, unique_by=lambda one: one[:4]))
    frame = pd.DataFrame(
        [(symbol, day + pd.Timedelta(minutes=minute), period, value) for symbol, day, minute, period, value in rows],
        columns=["symbol", "as_of", "period", "x"],
    )
    frame["x"] = frame["x"].astype(np.float64)
    return frame if draw(st.booleans()) else frame.drop(columns="period").drop_duplicates(["symbol", "as_of"])


def plainly(frame: pd.DataFrame, bars: Bars) -> np.ndarray:
    """The rule, row by row: what was known at the close of each daily bar."""
    out = np.full(bars.shape, np.nan)
    for t, stamp in enumerate(bars.index):
        close = stamp + pd.Timedelta(hours=15, minutes=30)
        for s, symbol in enumerate(bars.symbols):
            best: tuple[object, ...] = ()
            for row in frame[frame["symbol"].isin([symbol, "*"])].itertuples():
                dated = row.as_of == row.as_of.normalize()
                seen = row.as_of.normalize() < stamp if dated else row.as_of < close
                moment = row.as_of + pd.Timedelta(days=1) if dated else row.as_of
                key = (row.symbol != "*", period_end(row.period) if "period" in frame else 0, moment)
                if seen and (not best or key >= best[:3]):
                    best = (*key, row.x)
            if best:
                out[t, s] = best[3]
    return out


@given(tables())
@settings(max_examples=60, deadline=None)
def test_the_matrix_is_the_rule_row_by_row(frame: pd.DataFrame) -> None:
    bars = panel(frame)
    np.testing.assert_array_equal(bars.feature("x"), plainly(frame, bars))


@given(tables(), st.integers(0, 11), st.integers(0, 3))
@settings(max_examples=60, deadline=None)
def test_cutting_the_future_of_the_table_changes_nothing_before(frame: pd.DataFrame, cut: int, lag: int) -> None:
    bars = panel(frame)
    close = bars.index[cut] + pd.Timedelta(hours=15, minutes=30)
    past = frame[frame["as_of"] < close]
    if len(past):
        known_then = panel(past).feature("x", lag=lag)
        np.testing.assert_array_equal(known_then[: cut + 1], bars.feature("x", lag=lag)[: cut + 1])


@given(tables(), st.integers(0, 11), st.integers(1, 12), st.permutations(SYMBOLS))
@settings(max_examples=40, deadline=None)
def test_a_part_shows_what_the_whole_shows_there(
    frame: pd.DataFrame, start: int, length: int, order: list[str]
) -> None:
    whole = panel(frame)
    expected = whole.feature("x", lag=1)
    for fresh in (whole, panel(frame)):  # with the matrix of the whole in memory, and without
        part = fresh.slice(start, min(12, start + length))
        np.testing.assert_array_equal(part.feature("x", lag=1), expected[start : start + length])
        np.testing.assert_array_equal(pickle.loads(pickle.dumps(part)).feature("x", lag=1), part.feature("x", lag=1))
        columns = [SYMBOLS.index(symbol) for symbol in order]
        np.testing.assert_array_equal(fresh.select(order).feature("x", lag=1), expected[:, columns])
    single = panel(frame).select([order[0]]).slice(start, 12)
    np.testing.assert_array_equal(single.feature("x", lag=1)[:, 0], expected[start:, SYMBOLS.index(order[0])])


def test_coarser_bars_know_what_was_known_at_their_close() -> None:
    stamps = [f"{day} {time}" for day in DAY[:4] for time in ("10:00", "15:30")]
    frame = pd.DataFrame(
        {"symbol": "005930", "as_of": [f"{DAY[1]} 12:00+09:00", DAY[2]], "value": [1.0, 2.0]}, index=[0, 1]
    )
    bars = minutes(stamps).with_feature("x", frame)
    np.testing.assert_array_equal(bars.feature("x")[:, 0], [np.nan] * 3 + [1.0] * 3 + [2.0] * 2)
    day = bars.at("1d")
    np.testing.assert_array_equal(day.feature("x")[:, 0], [np.nan, 1.0, 1.0])
    np.testing.assert_array_equal(bars.align(day.feature("x"), day)[:, 0], [np.nan] * 4 + [1.0] * 4)


# --- in a backtest ----------------------------------------------------------------------------------------------------


class Cheap(Strategy):
    """Hold what is cheap."""

    universe = "per < 10"
    history = 3

    def targets(self, bars: Bars) -> np.ndarray:
        return bars.feature("per") > 0


def test_a_universe_reads_features_as_of_the_bar_before() -> None:
    frame = pd.DataFrame({"symbol": ["005930", "000660"], "as_of": [DAY[1], DAY[0]], "per": [8.0, 12.0]})
    result = backtest(Cheap(), panel(frame))
    assert set(result.fills["symbol"]) == {"005930"}
    first = result.fills["time"].min()  # known at the close of day 2, a member on day 3, bought at the open of day 4
    assert str(first)[:10] == DAY[4]


def test_features_given_with_the_bars_are_part_of_what_the_manifest_hashes() -> None:
    frame = pd.DataFrame({"symbol": ["005930", "000660"], "as_of": [DAY[1], DAY[0]], "per": [8.0, 12.0]})
    digests = {
        backtest(Cheap(), panel(table)).manifest["data"]["sha256"] for table in (frame, frame, frame.assign(per=9.0))
    }
    assert len(digests) == 2
