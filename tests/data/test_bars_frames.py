"""Bars.from_pandas: shapes of frames, carried rows, bad input."""

from __future__ import annotations

import datetime as dt

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quantkit.data.actions import Action
from quantkit.data.bars import FIRST_DAY, LIQUIDATION, Bars
from quantkit.errors import BadData, ConfigError

DAYS = ["2024-01-02", "2024-01-03", "2024-01-04"]


def long_frame(rows):
    """Rows (date, symbol, close) or (date, symbol, open, high, low, close, volume)."""
    full = [row if len(row) == 7 else (row[0], row[1], row[2], row[2] + 1, row[2] - 1, row[2], 10) for row in rows]
    return pd.DataFrame(full, columns=["date", "symbol", "open", "high", "low", "close", "volume"])


def closes(bars):
    return bars.raw.close.T.tolist()


# --- shapes of frames ---------------------------------------------------------------------------------------------


def test_a_long_frame_becomes_one_column_per_symbol_in_order_of_appearance():
    bars = Bars.from_pandas(long_frame([(day, code, 100) for code in ("005930", "000660") for day in DAYS]))
    assert bars.symbols == ("005930", "000660")
    assert [str(day.date()) for day in bars.index] == DAYS
    assert bars.markets == ("KOSPI", "KOSPI")
    assert bars.valid.all()


def test_a_frame_of_one_symbol_may_be_indexed_by_date_with_capitals():
    index = pd.DatetimeIndex(DAYS)
    frame = pd.DataFrame(
        {"Open": 1.0, "High": 2.0, "Low": 1.0, "Close": 2.0, "Volume": 5, "Adj Close": 1.5}, index=index
    )
    bars = Bars.from_pandas(frame, market="US", symbol="GOOG")
    assert bars.symbols == ("GOOG",)
    assert closes(bars) == [[2.0, 2.0, 2.0]]
    assert bars.minor_unit == 100
    assert Bars.from_pandas(frame).symbols == ("ASSET",)


def test_korean_column_names_are_understood():
    frame = pd.DataFrame({"날짜": DAYS, "시가": 10, "고가": 11, "저가": 9, "종가": 10, "거래량": 3, "거래대금": 30})
    bars = Bars.from_pandas(frame, symbol="005930")
    assert bars.value.ravel().tolist() == [30.0] * 3
    indexed = frame.set_index("날짜")
    assert closes(Bars.from_pandas(indexed, symbol="005930")) == closes(bars)


def test_two_levels_of_columns_become_symbols():
    index = pd.DatetimeIndex(DAYS, name="Date")
    values = {
        (field, code): price for code, price in (("A", 10.0), ("B", 20.0)) for field in ("Open", "High", "Low", "Close")
    }
    frame = pd.DataFrame(values | {("Volume", "A"): 1.0, ("Volume", "B"): 1.0}, index=index)
    frame.loc["2024-01-02", [(field, "B") for field in ("Open", "High", "Low", "Close", "Volume")]] = np.nan
    bars = Bars.from_pandas(frame)
    assert bars.symbols == ("A", "B")
    assert bars.listed.T.tolist() == [[True, True, True], [False, True, True]]


def test_dates_may_be_text_numbers_or_date_objects():
    base = long_frame([(day, "A", 10) for day in DAYS])
    forms = [
        [day.replace("-", "") for day in DAYS],
        [day.replace("-", "/") for day in DAYS],
        [int(day.replace("-", "")) for day in DAYS],
        [dt.date.fromisoformat(day) for day in DAYS],
        pd.DatetimeIndex(DAYS).tz_localize("Asia/Seoul"),
        pd.DatetimeIndex(DAYS).tz_localize("Asia/Seoul").tz_convert("UTC"),
        pd.DatetimeIndex(DAYS).tz_localize("America/New_York"),
    ]
    for form in forms:
        bars = Bars.from_pandas(base.assign(date=form))
        assert [str(day.date()) for day in bars.index] == DAYS
        assert bars.freq == "1d"


def test_times_within_the_day_keep_their_instant_and_name_their_frequency():
    index = pd.date_range("2024-01-02 09:05", periods=4, freq="5min", tz="Asia/Seoul")
    frame = pd.DataFrame({"open": 10, "high": 11, "low": 9, "close": 10, "volume": 3}, index=index.tz_convert("UTC"))
    bars = Bars.from_pandas(frame)
    assert bars.freq == "5m"
    assert (bars.index == index).all()
    opened = Bars.from_pandas(frame, stamp="open")
    assert (opened.index == index + pd.Timedelta("5min")).all()


def test_a_new_york_session_is_one_day_though_it_crosses_midnight_in_seoul():
    index = pd.date_range("2024-01-02 10:30", periods=6, freq="1h", tz="America/New_York")
    frame = pd.DataFrame({"open": 10, "high": 11, "low": 9, "close": 10, "volume": 3}, index=index)
    assert len(set(Bars.from_pandas(frame, market="US").days.tolist())) == 1


def test_columns_and_symbols_in_another_order_give_the_same_prices():
    rows = [(day, code, price) for price, code in ((10, "A"), (20, "B")) for day in DAYS]
    frame = long_frame(rows)
    by_day = frame.sort_values("date", kind="stable")[frame.columns[::-1]]
    one, other = Bars.from_pandas(frame), Bars.from_pandas(by_day)
    assert one.frame("close").equals(other.frame("close"))
    swapped = Bars.from_pandas(frame.sort_values("symbol", ascending=False, kind="stable"))
    assert swapped.symbols == ("B", "A")
    assert swapped.select(one.symbols).close.tolist() == one.close.tolist()


def test_the_frame_is_neither_changed_nor_kept():
    frame = long_frame([(day, "A", 10) for day in DAYS]).astype({"close": float})
    bars = Bars.from_pandas(frame)
    before = frame.copy()
    frame.loc[:, "close"] = -1.0
    assert closes(bars) == [[10.0, 10.0, 10.0]]
    bars = Bars.from_pandas(before)
    assert before.equals(long_frame([(day, "A", 10) for day in DAYS]).astype({"close": float}))


# --- markets and instruments --------------------------------------------------------------------------------------


def test_a_market_column_gives_the_last_market_and_the_days_it_changed():
    frame = long_frame([(day, code, 10) for code in ("A", "B") for day in DAYS])
    frame["market"] = ["KOSDAQ", None, "KOSPI", "KOSDAQ GLOBAL", "KOSDAQ", "KOSDAQ"]
    frame["name"] = ["옛이름", "옛이름", "새이름", None, None, None]
    bars = Bars.from_pandas(frame)
    first, last = int(bars.days[0]), int(bars.days[2])
    assert bars.markets == ("KOSPI", "KOSDAQ")
    assert bars.market_changes == [(first, "A", "KOSDAQ"), (last, "A", "KOSPI")]
    assert bars.names == {"A": "새이름"}
    assert Bars.from_pandas(frame, market={"A": "KONEX"}).markets == ("KONEX", "KOSPI")


def test_an_unknown_market_is_refused():
    with pytest.raises(ConfigError, match="market: 'NYSE' is not one of KOSPI"):
        Bars.from_pandas(long_frame([(DAYS[0], "A", 10)]), market="NYSE")


def test_two_currencies_do_not_share_a_panel():
    frame = long_frame([(DAYS[0], code, 10) for code in ("A", "B")])
    with pytest.raises(ConfigError, match="one currency"):
        Bars.from_pandas(frame, market={"A": "US", "B": "KOSPI"})


def test_instruments_end_a_listing_and_mark_liquidation_trading():
    frame = long_frame([(DAYS[0], "A", 10), *((day, "B", 20) for day in DAYS)])
    instruments = pd.DataFrame(
        {
            "symbol": ["A", "B", "C"],
            "name": ["가", "나", "다"],
            "leverage": [1.0, 2.0, 1.0],
            "delisting_date": [DAYS[1], None, None],
            "liquidation_start": [DAYS[0], None, None],
        }
    )
    bars = Bars.from_pandas(frame, instruments=instruments)
    assert bars.listed.T.tolist() == [[True, False, False], [True, True, True]]
    assert np.isnan(bars.close[1:, 0]).all()
    assert (bars.flags[:, 0] & LIQUIDATION).tolist() == [LIQUIDATION, 0, 0]
    assert bars.leverage.tolist() == [1.0, 2.0]
    assert bars.names == {"A": "가", "B": "나"}


def test_a_first_trading_day_is_marked_where_the_listing_date_is_a_names_first_row():
    frame = long_frame([*((day, "A", 20) for day in DAYS), *((day, "B", 10) for day in DAYS[1:]), (DAYS[2], "C", 9)])
    listed = pd.DataFrame({"symbol": ["A", "B", "C"], "listing_date": [DAYS[1], DAYS[1], None]})
    bars = Bars.from_pandas(frame, instruments=listed)
    marked = (bars.flags & FIRST_DAY) != 0
    assert marked[:, 0].tolist() == [False] * 3, "a name with an earlier row has moved here from another market"
    assert marked[:, 1].tolist() == [False, True, False]
    assert marked[:, 2].tolist() == [False] * 3, "a panel that just begins says nothing of a listing"


# --- carried rows -------------------------------------------------------------------------------------------------


def test_a_missing_row_of_a_listed_name_is_carried_but_neither_traded_nor_valid():
    bars = Bars.from_pandas(long_frame([(DAYS[0], "A", 10), (DAYS[2], "A", 12), *((day, "B", 5) for day in DAYS)]))
    assert bars.raw.open[1, 0] == bars.raw.high[1, 0] == bars.raw.low[1, 0] == bars.raw.close[1, 0] == 10.0
    assert bars.volume[1, 0] == 0.0
    assert (bars.listed[1, 0], bars.traded[1, 0], bars.valid[1, 0]) == (True, False, False)


def test_a_halted_row_is_carried_and_valid_but_not_traded():
    rows = [(DAYS[0], "A", 10), (DAYS[1], "A", 0, 0, 0, 10, 0), (DAYS[2], "A", 0, 0, 0, 0, 500)]
    bars = Bars.from_pandas(long_frame(rows))
    assert bars.raw.low.ravel().tolist() == [9.0, 10.0, 10.0]
    assert bars.volume.ravel().tolist() == [10.0, 0.0, 0.0]
    assert bars.traded.ravel().tolist() == [True, False, False]
    assert bars.valid.all()


def test_a_symbol_is_listed_from_its_first_price_on():
    rows = [(DAYS[0], "A", 0, 0, 0, 0, 0), (DAYS[1], "A", 0, 0, 0, 7, 0), (DAYS[2], "A", 8)]
    bars = Bars.from_pandas(long_frame([*rows, *((day, "B", 5) for day in DAYS)]))
    assert bars.listed[:, 0].tolist() == [False, True, True]
    assert bars.raw.close[1:, 0].tolist() == [7.0, 8.0]
    assert np.isnan(bars.raw.open[0, 0])


def test_a_close_carried_over_an_ex_date_is_on_the_new_price_basis():
    split = [Action("A", DAYS[1], "split", share_ratio=10.0)]
    rows = [(DAYS[0], "A", 1000), (DAYS[1], "A", 0, 0, 0, 1000, 0), (DAYS[2], "A", 105)]
    bars = Bars.from_pandas(long_frame(rows), actions=split)
    assert bars.raw.close.ravel().tolist() == [1000.0, 100.0, 105.0]
    assert bars.close.ravel().tolist() == [1000.0, 1000.0, 1050.0]


def test_actions_on_or_before_the_first_row_of_a_symbol_are_left_out():
    rows = [Action("A", DAYS[0], "split", share_ratio=2.0), Action("B", DAYS[2], "split", share_ratio=2.0)]
    bars = Bars.from_pandas(long_frame([(day, code, 10) for code in ("A", "B") for day in DAYS]), actions=rows)
    assert bars.actions["symbol"].tolist() == ["B"]
    assert bars.factor[:, 0].tolist() == [1.0, 1.0, 1.0]


def test_prices_without_volume_still_count_as_traded_when_they_move():
    bars = Bars.from_pandas(long_frame([(DAYS[0], "A", 10, 11, 9, 10, 0), (DAYS[1], "A", 10, 10, 10, 10, 0)]))
    assert bars.traded.ravel().tolist() == [True, False]


cell = st.sampled_from(["trade", "halt", "flat", "absent"])


@st.composite
def markets(draw):
    """What happened to two symbols over a few days, with splits on some of them."""
    length = draw(st.integers(2, 9))
    plan = {code: draw(st.lists(cell, min_size=length, max_size=length)) for code in ("A", "B")}
    prices = {code: draw(st.lists(st.integers(50, 200), min_size=length, max_size=length)) for code in ("A", "B")}
    splits = draw(st.dictionaries(st.integers(1, length - 1), st.sampled_from([2.0, 4.0, 0.5]), max_size=2))
    return length, plan, prices, splits


def built(market, length):
    """The first `length` days of a drawn market as (frame, actions)."""
    _, plan, prices, splits = market
    days = pd.date_range("2024-01-01", periods=length)
    rows = []
    for code, cells in plan.items():
        for day, kind, price in zip(days, cells, prices[code], strict=False):
            if kind == "trade":
                rows.append((day, code, price, price + 2, price - 2, price + 1, 10))
            elif kind == "halt":
                rows.append((day, code, 0, 0, 0, price, 0))
            elif kind == "flat":
                rows.append((day, code, price, price, price, price, 0))
    actions = [Action("A", days[row], "split", share_ratio=ratio) for row, ratio in splits.items() if row < length]
    return long_frame(rows), actions


def carried(cells, prices, ratios):
    """Plain reference: the raw close of each day, None before the listing."""
    shown, last = [], None
    for kind, price, ratio in zip(cells, prices, ratios, strict=True):
        last = None if last is None else last / ratio
        if kind == "trade":
            last = price + 1
        elif kind in ("halt", "flat") and last is None:
            last = price
        shown.append(last)
    return shown


@given(market=markets())
@settings(max_examples=150)
def test_carried_rows_equal_a_plain_reference(market):
    length, plan, prices, splits = market
    frame, actions = built(market, length)
    if frame.empty:
        return
    bars = Bars.from_pandas(frame, actions=actions)
    days = pd.date_range("2024-01-01", periods=length)
    present = [days.get_loc(day.tz_localize(None)) for day in bars.index]
    known = {(action["symbol"], int(action["ex_day"])) for action in bars.actions}
    for column, code in enumerate(bars.symbols):
        ratios = [1.0] * length
        for row, ratio in splits.items():
            if (code, (days[row] - pd.Timestamp(0)).days) in known:
                ratios[row] = ratio
        shown = carried(plan[code], prices[code], ratios)
        found = [None if np.isnan(price) else price for price in bars.raw.close[:, column]]
        assert found == [shown[row] for row in present]
        for place, row in enumerate(present):
            listed = shown[row] is not None
            assert bars.listed[place, column] == listed
            assert bars.traded[place, column] == (plan[code][row] == "trade")
            assert bars.valid[place, column] == (listed and plan[code][row] != "absent")
            if listed and plan[code][row] != "trade":
                assert bars.raw.open[place, column] == bars.raw.high[place, column] == shown[row]
                assert bars.volume[place, column] == 0.0


@given(market=markets(), data=st.data())
@settings(max_examples=100)
def test_adding_bars_never_changes_what_was_seen_before(market, data):
    cut = data.draw(st.integers(1, market[0] - 1))
    (short, few), (whole, many) = built(market, cut), built(market, market[0])
    if short.empty:
        return
    early, late = Bars.from_pandas(short, actions=few), Bars.from_pandas(whole, actions=many)
    late = late.select(early.symbols).slice(0, len(early))
    assert early.times.tolist() == late.times.tolist()
    assert early.flags.tolist() == late.flags.tolist()
    for name in ("open", "high", "low", "close", "volume", "factor", "base"):
        assert np.array_equal(getattr(early, name), getattr(late, name), equal_nan=True), name


# --- bad input ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        ([(DAYS[1], "A", 10), (DAYS[0], "A", 10)], r"row 1 \(A, 2024-01-02\) comes after 2024-01-03 in row 0: sort"),
        ([(DAYS[0], "A", 10), (DAYS[0], "A", 10)], r"row 1 \(A, 2024-01-02\) repeats row 0"),
        (
            [(DAYS[0], "A", 10), (DAYS[0], "B", 10), (DAYS[1], "A", 10), (DAYS[0], "B", 11)],
            r"row 3 \(B, 2024-01-02\) repeats row 1",
        ),
        ([(DAYS[0], "A", -5, 11, 9, 10, 1)], "open -5: expected a price above 0"),
        ([(DAYS[0], "A", 10, 11, 9, 0, 1)], "close 0: expected a price above 0"),
        ([(DAYS[0], "A", 10, 9, 8, 10, 1)], r"row 0 \(A, 2024-01-02\): high 9: below the open or close"),
        ([(DAYS[0], "A", 10, 12, 11, 12, 1)], "low 11: above the open or close"),
        ([(DAYS[0], "A", 10, 12, 9, 12, -1)], "volume -1: expected a number of shares"),
        ([(DAYS[0], "A", 10, 12, 9, 12, None)], "volume nan: expected a number of shares"),
        ([(DAYS[0], "A", 10, None, 9, 12, 1)], "high nan: expected a price above 0"),
        ([(DAYS[0], "A", 0, 0, 0, -3, 0)], "close -3: expected a price above 0"),
        ([(DAYS[0], "A", 10, float("inf"), 9, 12, 1)], "high inf: expected a price above 0"),
        ([(DAYS[0], 5930, 10)], "symbol 5930 .* is not text; codes are text such as '005930'"),
        ([(DAYS[0], None, 10)], "row 0: symbol is missing"),
        ([(None, "A", 10)], "row 0: the date is missing"),
        ([("someday", "A", 10), ("sometime", "A", 10)], "dates cannot be read"),
        ([("01/02/2024", "A", 10), ("02/02/2024", "A", 10)], "dates cannot be read .*; write them like 2024-01-31"),
        ([], "the frame has no rows"),
        ([(DAYS[0], "A", None, None, None, None, None)], "no row has a price"),
    ],
)
def test_rows_that_cannot_be_bars_are_named(rows, words):
    with pytest.raises(BadData, match=words):
        Bars.from_pandas(long_frame(rows))


def test_missing_columns_are_listed_with_those_there_are():
    with pytest.raises(BadData, match="no column for low, volume; it has date, symbol, open, high, close"):
        Bars.from_pandas(long_frame([(DAYS[0], "A", 10)]).drop(columns=["low", "volume"]))


def test_two_columns_for_one_field_are_refused():
    with pytest.raises(BadData, match="columns 'close' and '종가' both mean 'close'"):
        Bars.from_pandas(long_frame([(DAYS[0], "A", 10)]).assign(종가=10))


def test_text_among_numbers_is_named():
    frame = long_frame([(day, "A", 10) for day in DAYS]).astype({"close": object})
    frame.loc[1, "close"] = "1,000"
    with pytest.raises(BadData, match="row 1: close '1,000' is not a number"):
        Bars.from_pandas(frame)


def test_stamps_within_the_day_without_a_zone_are_refused_with_the_remedy():
    frame = long_frame([(pd.Timestamp("2024-01-02 09:01"), "A", 10)])
    with pytest.raises(BadData, match=r"2024-01-02 09:01:00 has a time of day but no time zone; .*zone=.Asia/Seoul"):
        Bars.from_pandas(frame)


def test_a_named_zone_reads_stamps_without_one():
    naive = long_frame([(pd.Timestamp("2024-01-02 09:01"), "A", 10), (pd.Timestamp("2024-01-02 09:02"), "A", 11)])
    told = naive.assign(date=naive["date"].dt.tz_localize("Asia/Seoul"))
    np.testing.assert_array_equal(Bars.from_pandas(naive, zone="Asia/Seoul").times, Bars.from_pandas(told).times)


def test_a_zone_that_is_none_is_refused():
    frame = long_frame([(pd.Timestamp("2024-01-02 09:01"), "A", 10)])
    with pytest.raises(ConfigError, match=r"zone='Asia/Soul': no time zone is called so"):
        Bars.from_pandas(frame, zone="Asia/Soul")


def test_a_time_that_the_clock_showed_twice_is_refused():
    frame = long_frame([(pd.Timestamp("2024-11-03 01:30"), "A", 10)])
    with pytest.raises(BadData, match="in America/New_York; write the stamps with their offset"):
        Bars.from_pandas(frame, market="US", zone="America/New_York")


@pytest.mark.parametrize(
    "stamps",
    [
        [pd.Timestamp("2024-01-02 09:01", tz="Asia/Seoul"), pd.Timestamp("2024-01-02 09:01", tz="America/New_York")],
        [pd.Timestamp("2024-01-02 09:01", tz="Asia/Seoul"), pd.Timestamp("2024-01-02 09:02")],
        ["2024-01-02T09:01:00+09:00", "2024-01-02T09:02:00-05:00"],
    ],
)
def test_mixed_time_zones_are_refused(stamps):
    frame = long_frame([(None, "A", 10), (None, "A", 10)]).assign(date=pd.Series(stamps, dtype=object))
    with pytest.raises(BadData, match="mix time zones"):
        Bars.from_pandas(frame)


def test_rounding_of_adjusted_prices_widens_the_range_by_a_won_at_most():
    rows = [(DAYS[0], "A", 10, 12, 9, 13, 1)]
    assert Bars.from_pandas(long_frame(rows), prices="adjusted").high[0, 0] == 13.0
    with pytest.raises(BadData, match="high 11"):
        Bars.from_pandas(long_frame([(DAYS[0], "A", 10, 11, 9, 13, 1)]), prices="adjusted")


@pytest.mark.parametrize("options", [{"prices": "adj"}, {"stamp": "middle"}])
def test_options_that_cannot_be_are_refused(options):
    with pytest.raises(ConfigError, match="choose"):
        Bars.from_pandas(long_frame([(DAYS[0], "A", 10)]), **options)


def test_what_is_no_frame_is_refused():
    with pytest.raises(BadData, match="expected a pandas DataFrame, got list"):
        Bars.from_pandas([1, 2])
