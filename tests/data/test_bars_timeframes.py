"""Coarser bars, their alignment, and running values of the session."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quantkit.data.actions import Action
from quantkit.data.bars import Bars
from quantkit.errors import BadData, ConfigError


def minutes(sessions, *, closes=None, volumes=None):
    """One-minute bars of one symbol; `sessions` is a list of (first stamp, number of bars)."""
    stamps = pd.DatetimeIndex(
        [stamp for first, count in sessions for stamp in pd.date_range(first, periods=count, freq="1min")]
    ).tz_localize("Asia/Seoul")
    closes = np.arange(len(stamps)) + 100.0 if closes is None else np.asarray(closes, dtype=float)
    volumes = np.ones(len(stamps)) if volumes is None else np.asarray(volumes)
    prices = {"open": closes - 1, "high": closes + 2, "low": closes - 3, "close": closes}
    frame = pd.DataFrame(prices, index=stamps).assign(volume=volumes)
    frame.loc[frame.volume == 0, ["open", "high", "low"]] = 0.0
    return Bars.from_pandas(frame, freq="1m")


def daily(days, *, actions=None):
    index = pd.DatetimeIndex(days)
    closes = np.arange(len(index)) + 100.0
    prices = {"open": closes - 1, "high": closes + 2, "low": closes - 3, "close": closes, "volume": 10.0}
    return Bars.from_pandas(pd.DataFrame(prices, index=index), actions=actions, symbol="A")


def test_a_stamp_on_the_boundary_closes_the_bar_before_it():
    bars = minutes([("2024-01-02 09:01", 11)])
    coarse = bars.resample("5m")
    assert [str(stamp.time()) for stamp in coarse.index] == ["09:05:00", "09:10:00"]  # 09:15 is not over at 09:11
    assert coarse.raw.open.ravel().tolist() == [99.0, 104.0]
    assert coarse.raw.high.ravel().tolist() == [106.0, 111.0]
    assert coarse.raw.low.ravel().tolist() == [97.0, 102.0]
    assert coarse.raw.close.ravel().tolist() == [104.0, 109.0]
    assert coarse.volume.ravel().tolist() == [5.0, 5.0]
    assert coarse.freq == "5m"


def test_a_day_exists_once_the_next_one_has_begun():
    bars = minutes([("2024-01-02 09:01", 5), ("2024-01-03 09:01", 5)])
    day = bars.at("1d")
    assert [str(stamp.date()) for stamp in day.index] == ["2024-01-02"]
    assert day.raw.close.ravel().tolist() == [104.0]
    assert bars.at("1d") is day
    assert bars.at("1m") is bars


def test_a_day_is_known_from_the_next_session_on():
    bars = minutes([("2024-01-02 09:01", 2), ("2024-01-03 09:01", 2), ("2024-01-04 09:01", 1)])
    day = bars.at("1d")
    known = bars.align(day.close, day).ravel()
    assert np.isnan(known[:2]).all()
    assert known[2:].tolist() == [101.0, 101.0, 103.0]


def test_five_minutes_are_known_at_the_bar_that_ends_them():
    bars = minutes([("2024-01-02 09:01", 6)])
    coarse = bars.at("5m")
    known = bars.align(coarse.close, coarse).ravel()
    assert np.isnan(known[:4]).all()
    assert known[4:].tolist() == [104.0, 104.0]


def test_a_daily_value_counts_from_its_own_day_on_daily_bars():
    bars, index = daily(["2024-01-02", "2024-01-03", "2024-01-05"]), daily(["2024-01-02", "2024-01-04"])
    assert bars.align(index.close, index).ravel().tolist() == [100.0, 100.0, 101.0]


def test_bool_values_align_to_numbers_with_nan_before_the_first():
    bars = minutes([("2024-01-02 09:01", 1), ("2024-01-03 09:01", 1)])
    day = bars.at("1d")
    aligned = bars.align(day.close > 0, day).ravel()
    assert np.isnan(aligned[0])
    assert aligned[1] == 1.0


def test_weeks_and_months_end_with_their_last_session():
    bars = daily(["2024-01-29", "2024-01-31", "2024-02-02", "2024-02-05", "2024-02-29", "2024-03-04"])
    week, month = bars.at("1w"), bars.at("1M")
    assert [str(day.date()) for day in week.index] == ["2024-02-02", "2024-02-05", "2024-02-29"]
    assert [str(day.date()) for day in month.index] == ["2024-01-31", "2024-02-29"]
    assert month.volume.ravel().tolist() == [20.0, 30.0]
    assert bars.align(month.close, month).ravel()[1:3].tolist()[1] == 101.0


def test_prices_of_a_week_with_a_split_are_on_the_basis_of_its_end():
    split = [Action("A", "2024-01-04", "split", share_ratio=2.0)]
    frame = daily(["2024-01-03", "2024-01-04", "2024-01-08"], actions=split)
    week = frame.at("1w")
    assert week.raw.open[0, 0] == 99.0 / 2
    assert week.raw.high[0, 0] == 103.0
    assert week.raw.close[0, 0] == 101.0
    assert week.volume[0, 0] == 10.0 + 10.0 / 2
    assert week.close[0, 0] == frame.close[1, 0]


def test_carried_minutes_do_not_widen_a_coarse_bar():
    bars = minutes([("2024-01-02 09:01", 10)], volumes=[1, 0, 0, 0, 0, 0, 0, 1, 0, 0])
    coarse = bars.at("5m")
    assert coarse.raw.high.ravel().tolist() == [102.0, 109.0]
    assert coarse.raw.open.ravel().tolist() == [99.0, 106.0]
    empty = minutes([("2024-01-02 09:01", 10)], volumes=[1, 0, 0, 0, 0, 0, 0, 0, 0, 0]).at("5m")
    assert empty.raw.open[1, 0] == empty.raw.high[1, 0] == empty.raw.close[1, 0] == 100.0
    assert not empty.traded[1, 0]
    assert empty.valid[1, 0]


def test_the_session_runs_from_its_first_trade():
    bars = minutes([("2024-01-02 09:01", 3), ("2024-01-03 09:01", 2)], volumes=[0, 2, 3, 4, 5])
    session = bars.session
    assert session.bar.tolist() == [0, 1, 2, 0, 1]
    assert np.isnan(session.open[0, 0])
    assert session.open[1:].ravel().tolist() == [100.0, 100.0, 102.0, 102.0]
    assert session.high[1:].ravel().tolist() == [103.0, 104.0, 105.0, 106.0]
    assert session.low[1:].ravel().tolist() == [98.0, 98.0, 100.0, 100.0]
    assert session.volume.ravel().tolist() == [0.0, 2.0, 5.0, 4.0, 9.0]
    assert session.value[1:3].ravel().tolist() == [202.0, 202.0 + 306.0]


def test_the_session_of_a_daily_bar_is_the_bar():
    bars = daily(["2024-01-02", "2024-01-03"])
    assert np.array_equal(bars.session.high, bars.high)
    assert np.array_equal(bars.session.volume, bars.volume)


@pytest.mark.parametrize("freq", ["1m", "30s", "7m"])
def test_a_frequency_that_does_not_fit_is_refused(freq):
    with pytest.raises(ConfigError, match="must be longer than the bars' own '1m', a multiple of it, and divide a day"):
        minutes([("2024-01-02 09:01", 3)]).resample(freq)


def test_daily_bars_do_not_become_finer():
    with pytest.raises(ConfigError, match="'5m' must be longer"):
        daily(["2024-01-02"]).resample("5m")
    with pytest.raises(ConfigError, match="'1d' is not coarser"):
        daily(["2024-01-02"]).resample("1d")


def test_an_unknown_frequency_is_refused():
    with pytest.raises(BadData, match="frequency 'weekly' is not known"):
        daily(["2024-01-02"]).resample("weekly")


def test_values_of_another_length_do_not_align():
    bars = minutes([("2024-01-02 09:01", 5), ("2024-01-03 09:01", 5)])
    with pytest.raises(ConfigError, match=r"values have \(10,\) rows, the coarse bars 1"):
        bars.align(bars.close, bars.at("1d"))
    with pytest.raises(ConfigError, match="1m bars do not fit into 1d ones"):
        daily(["2024-01-02"]).align(bars.close, bars)


sessions = st.lists(st.tuples(st.integers(0, 5), st.integers(1, 12)), min_size=1, max_size=4)


@given(sessions=sessions, data=st.data(), freq=st.sampled_from(["5m", "10m", "1h", "1d", "1w"]))
@settings(max_examples=150)
def test_resampling_and_sessions_never_look_ahead(sessions, data, freq):
    firsts = [f"2024-01-{4 + 2 * day:02d} 09:{1 + late:02d}" for day, (late, _) in enumerate(sessions)]
    plan = list(zip(firsts, (count for _, count in sessions), strict=True))
    size = sum(count for _, count in plan)
    closes = data.draw(st.lists(st.integers(50, 60), min_size=size, max_size=size))
    volumes = data.draw(st.lists(st.integers(0, 2), min_size=size, max_size=size))
    bars = minutes(plan, closes=closes, volumes=volumes)
    cut = data.draw(st.integers(1, size))
    early, coarse = bars.slice(0, cut), bars.resample(freq)
    seen = early.resample(freq)
    assert seen.times.tolist() == coarse.times[: len(seen)].tolist()
    for name in ("open", "high", "low", "close", "volume", "value", "flags"):
        assert np.array_equal(getattr(seen, name), getattr(coarse, name)[: len(seen)], equal_nan=True), name
    whole = bars.align(coarse.close, coarse)
    assert np.array_equal(early.align(seen.close, seen), whole[:cut], equal_nan=True)
    for name in ("open", "high", "low", "volume"):
        assert np.array_equal(getattr(early.session, name), getattr(bars.session, name)[:cut], equal_nan=True), name
