"""Evaluation blocks: what a strategy with a finite history is shown, and that more bars never change it."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import pandas as pd
import pytest

from quantkit import Bars, Policy, Strategy, ta
from quantkit.errors import BadData, ConfigError
from quantkit.strategy.blocks import blocks, history_of, in_blocks


def minutes(sessions: int, bars: int = 4, names: int = 2) -> Bars:
    """`sessions` sessions of `bars` one-minute bars, a seeded walk."""
    dates = pd.bdate_range("2024-01-02", periods=sessions)
    stamps = pd.DatetimeIndex(
        [day + pd.Timedelta(minutes=541 + minute) for day in dates for minute in range(bars)]
    ).tz_localize("Asia/Seoul")
    random = np.random.default_rng(5)
    frames = []
    for name in range(names):
        close = 10_000 + 50 * np.cumsum(random.integers(-3, 4, len(stamps)))
        prices = {"open": close, "high": close + 50, "low": close - 50, "close": close, "volume": 10.0}
        frames.append(pd.DataFrame({"symbol": f"00000{name}", "date": stamps, **prices}))
    return Bars.from_pandas(pd.concat(frames), freq="1m")


class Shown(Strategy):
    """Remembers which bars it was shown."""

    policy = Policy()
    warmup = 0
    seen: ClassVar[list[Bars]] = []

    def targets(self, bars: Bars):
        self.seen.append(bars)
        return np.full(bars.shape, float(len(self.seen)))


@pytest.fixture(autouse=True)
def forget():
    Shown.seen.clear()


@pytest.mark.parametrize(("warmup", "begins"), [(0, [0, 4, 8]), (1, [0, 0, 4]), (4, [0, 0, 4]), (5, [0, 0, 0])])
def test_intraday_blocks_are_a_session_and_whole_sessions_before_it(warmup, begins):
    bars = minutes(3)
    strategy = type("Warm", (Shown,), {"warmup": warmup})()
    values = strategy.evaluate(bars)
    assert [seen.times[0] for seen in Shown.seen] == [bars.times[begin] for begin in begins]
    assert [seen.times[-1] for seen in Shown.seen] == [bars.times[stop - 1] for stop in (4, 8, 12)]
    assert values[:, 0].tolist() == [1.0] * 4 + [2.0] * 4 + [3.0] * 4


def test_daily_bars_are_shown_whole_unless_the_strategy_says_how_much_it_needs():
    days = pd.bdate_range("2024-01-29", periods=30)
    bars = Bars.from_pandas(
        pd.DataFrame(dict.fromkeys(("open", "high", "low", "close", "volume"), 100.0), index=days), symbol="A"
    )
    Shown().evaluate(bars)
    assert [len(seen) for seen in Shown.seen] == [30]
    Shown.seen.clear()
    type("Short", (Shown,), {"history": 2})().evaluate(bars)
    firsts = [str(seen.index[0].date()) for seen in Shown.seen]
    assert firsts == ["2024-01-29", "2024-01-30", "2024-02-28"]  # two bars before each month's first


def test_a_strategy_may_ask_for_all_of_its_minutes():
    type("Whole", (Shown,), {"history": "all"})().evaluate(minutes(3))
    assert [len(seen) for seen in Shown.seen] == [12]


@pytest.mark.parametrize("history", [-1, "some", True, 1.5])
def test_a_history_is_all_or_a_number_of_bars(history):
    with pytest.raises(ConfigError, match=r"history = .*: give \"all\", or the number of bars"):
        history_of(type("Odd", (Shown,), {"history": history})(), intraday=True)


def test_blocks_after_a_row_are_those_of_the_whole():
    days = np.repeat(np.arange(5), 3).astype(np.int64)
    assert blocks(days, 4, "1m", first=9) == blocks(days, 4, "1m")[3:]


class Fast(Strategy):
    """A mean of five bars, with the bars it needs."""

    warmup = 5

    def targets(self, bars: Bars):
        return bars.close / ta.sma(bars.close, 5)


def test_more_bars_in_front_or_behind_change_nothing():
    bars = minutes(6)
    whole = Fast().evaluate(bars)
    for first in (4, 8, 12):
        part = Fast().evaluate(bars.slice(first, 24))
        known = 24 - first - 8  # two sessions hold the five bars
        assert part[-known:].tobytes() == whole[-known:].tobytes()
        assert Fast().evaluate(bars.slice(0, first + 8))[-4:].tobytes() == whole[first + 4 : first + 8].tobytes()


def test_coarse_bars_inside_a_block_are_of_whole_sessions():
    bars = minutes(5)

    class Yesterday(Strategy):
        warmup = 1

        def targets(self, part: Bars):
            day = part.at("1d")
            return part.align(day.high, day)

    day = bars.at("1d")
    assert np.array_equal(Yesterday().evaluate(bars), bars.align(day.high, day), equal_nan=True)


def test_one_type_always():
    bars = minutes(2)

    class Mixed(Strategy):
        def targets(self, part: Bars):
            return part.close > 0 if part.days[0] == bars.days[0] else part.close / part.close

    with pytest.raises(BadData, match=r"Mixed\(\).targets: bool up to 2024-01-02 09:04:00\+09:00, float64 after it"):
        Mixed().evaluate(bars)


def test_no_value_at_all_is_refused_once_every_block_has_been_asked():
    class Late(Strategy):
        def targets(self, part: Bars):
            return np.full(part.shape, np.nan if part.days[0] != last else 0.5)

    bars = minutes(3)
    last = bars.days[-1]
    assert np.isnan(Late().evaluate(bars)[:8]).all()
    last = -1
    with pytest.raises(BadData, match="no value at all"):
        Late().evaluate(bars)
    assert np.isnan(Late().evaluate(bars, allow_empty=True)).all()


def test_none_stays_none():
    assert in_blocks(lambda part: None, minutes(2), 3) is None
