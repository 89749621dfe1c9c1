"""Universe queries look at the bar before, at delisted names too, and at nothing else."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quantkit import BadData, Lake
from quantkit.data.universe import columns_of, rolling_mean
from tests.data.lake_data import days, frame, prices, row

DAY = [str(day) for day in days(count=12)]


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    found = Lake(tmp_path / "lake")
    rows = [row("000001", day, 900 + 50 * n, volume=100) for n, day in enumerate(DAY)]
    rows += [row("000002", day, 2000, volume=10) for day in DAY[:6]]
    found.ingest(frame(*rows), market="KOSPI")
    found.ingest(pd.DataFrame({"symbol": ["000002"], "delisting": [DAY[6]]}), "instruments")
    return found


def test_a_condition_holds_from_the_bar_after_it_was_met(lake: Lake) -> None:
    bars = lake.bars(universe="close > 1000")
    expected = np.zeros((12, 2), dtype=bool)
    expected[1:, 0] = bars.raw.close[:-1, 0] > 1000
    expected[1:6, 1] = True  # delisted later, a member while it was listed
    np.testing.assert_array_equal(bars.member, expected)


def test_a_window_has_the_members_of_the_whole(lake: Lake) -> None:
    condition = "value_3d > 100000 or symbol = '000002'"
    whole = lake.bars(universe=condition)
    for start in (0, 1, 4):
        part = lake.bars(["000001", "000002"], DAY[start], DAY[5], universe=condition)
        np.testing.assert_array_equal(part.member, whole.member[start:6])


def test_listed_days_and_means_count_from_the_first_stored_bar(lake: Lake) -> None:
    bars = lake.bars(["000001"], DAY[5], universe="listed_days >= 8 and volume_5d = 100")
    assert bars.member[:, 0].tolist() == [False] * 3 + [True] * 4


def test_a_list_of_symbols_is_a_universe(lake: Lake) -> None:
    assert lake.bars(universe=["000002"]).member.any(axis=0).tolist() == [False, True]
    with pytest.raises(BadData, match="no symbol '999999'"):
        lake.bars(universe=["999999"])


def test_market_is_that_of_the_day(tmp_path: Path) -> None:
    lake = Lake(tmp_path / "lake")
    table = prices(("000001",), count=8)
    lake.ingest(table.assign(market=["KOSDAQ"] * 4 + ["KOSPI"] * 4))
    assert lake.bars(universe="market = 'KOSPI'").member[:, 0].tolist() == [False] * 5 + [True] * 3


@pytest.mark.parametrize(
    ("condition", "message"),
    [
        ("clse > 1", "clse"),
        ("close >", "universe query"),
        ("market_cap > 1e12", "market_cap is not stored"),
        ("close > (select max(close) from read_csv('/etc/passwd'))", "universe query"),
    ],
)
def test_a_wrong_condition_says_what_it_may_use(lake: Lake, condition: str, message: str) -> None:
    with pytest.raises(BadData, match=message):
        lake.bars(universe=condition)


def test_the_columns_of_a_condition_are_recognised() -> None:
    query = "market = 'close' and value_20d > 1e9 and CLOSE > volume_5d"
    assert columns_of(query) == ({"market", "value_20d", "close", "volume_5d"}, 21)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 6), st.integers(2, 20))
def test_a_rolling_mean_does_not_depend_on_what_follows(seed: int, length: int, rows: int) -> None:
    matrix = np.random.default_rng(seed).normal(size=(rows, 3))
    whole = rolling_mean(matrix, length)
    for stop in range(1, rows + 1):
        np.testing.assert_array_equal(rolling_mean(matrix[:stop], length), whole[:stop])


def test_membership_does_not_depend_on_later_bars(tmp_path: Path) -> None:
    table = prices(("000001", "000002", "000003"), count=30)
    condition = "close > close_5d and value_10d > 100000000"
    whole = Lake(tmp_path / "whole")
    whole.ingest(table, market="KOSPI")
    member = whole.bars(universe=condition).member
    for stop in (8, 15, 22):
        short = Lake(tmp_path / f"short{stop}")
        short.ingest(table[table["date"] <= days(count=30)[stop - 1]], market="KOSPI")
        np.testing.assert_array_equal(short.bars(universe=condition).member, member[:stop])
