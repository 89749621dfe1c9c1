"""The state of a name, bar by bar."""

from __future__ import annotations

import numpy as np
import pytest

from quantkit.data.status import LOCKED_UP, STATUS
from tests.core.hand import GONE, HALTED, MISSING, Bar, hand_bars


def words(*bars: Bar, **options: object) -> list[str]:
    return hand_bars(bars, **options).frame("status").iloc[:, 0].tolist()  # type: ignore[arg-type]


def test_a_name_is_unlisted_before_its_listing_and_delisted_after() -> None:
    assert words(GONE, 10_000, 10_100, GONE) == ["unlisted", "trading", "trading", "delisted"]


@pytest.mark.parametrize("quiet", [HALTED, MISSING])
def test_a_bar_without_a_trade_is_halted(quiet: str) -> None:
    assert words(10_000, quiet, 10_100) == ["trading", "halted", "trading"]


def test_a_bar_is_locked_when_every_print_is_at_the_limit() -> None:
    assert words(10_000, 13_000, 9_100) == ["trading", "locked_up", "locked_down"]
    assert words(10_000, (12_900, 13_000, 12_900, 13_000), 12_900) == ["trading", "trading", "trading"]


def test_a_lock_is_of_the_days_rule_and_market() -> None:
    assert words(10_000, 11_500, start="2014-03-26") == ["trading", "locked_up"]
    assert words(10_000, 11_500, start="2024-03-26", markets=["KONEX"]) == ["trading", "locked_up"]
    assert words(10_000, 16_000, markets=["ETF"], leverage=np.array([2.0])) == ["trading", "locked_up"]
    moved = [(0, "005930", "KONEX"), (19_810, "005930", "KOSPI")]  # from 2024-03-28, the third bar
    assert words(10_000, 11_500, 13_220, market_changes=moved) == ["trading", "locked_up", "trading"]


def test_an_ex_day_is_locked_around_its_own_base() -> None:
    bars = hand_bars([10_000, 6_500, 6_500], actions=[{"symbol": "005930", "ex_date": "2024-03-27", "kind": "split",
                                                       "share_ratio": 2.0}])  # fmt: skip
    assert bars.frame("status").iloc[:, 0].tolist() == ["trading", "locked_up", "trading"]
    bars = hand_bars([10_000, 6_500])
    bars._fields["base"] = np.array([[np.nan], [5_000.0]])
    assert bars.status[1, 0] == LOCKED_UP


def test_neither_liquidation_trading_nor_adjusted_prices_are_ever_locked() -> None:
    assert words(10_000, 13_000, HALTED, 300, liquidation=[1, 2, 3]) == [
        "trading", "liquidation", "halted", "liquidation",
    ]  # fmt: skip
    assert words(10_000, 13_000, prices="adjusted") == ["trading", "trading"]


def test_a_first_day_is_locked_at_four_times_its_offer_price() -> None:
    bars = hand_bars([GONE, 40_000, 52_000], first_day=[1])
    bars._fields["base"] = np.array([[np.nan], [10_000.0], [40_000.0]])
    assert bars.frame("status").iloc[:, 0].tolist() == ["unlisted", "locked_up", "locked_up"]
    old = hand_bars([GONE, 20_000, 26_000], first_day=[1], start="2021-03-16")
    assert old.frame("status").iloc[:, 0].tolist() == ["unlisted", "trading", "locked_up"]


def test_a_part_knows_what_the_whole_knows() -> None:
    bars = hand_bars([10_000, 13_000, GONE, GONE], [GONE, GONE, 5_000, 5_100])
    for start in range(4):
        np.testing.assert_array_equal(bars.slice(start, 4).status, bars.status[start:])
        np.testing.assert_array_equal(bars.slice(0, start).status, bars.status[:start])
    np.testing.assert_array_equal(bars.slice(1, 4).slice(1, 3).status, bars.status[2:])


def test_words_and_numbers_go_together() -> None:
    assert STATUS[LOCKED_UP] == "locked_up"
    assert len(set(STATUS)) == 7
