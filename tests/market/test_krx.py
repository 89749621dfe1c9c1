"""The Korea Exchange's rules against the answer files, one value and many."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pytest

from quantkit.errors import BadData
from quantkit.market import krx

if TYPE_CHECKING:
    from .conftest import Answers


def column(rows: list[dict[str, str]], name: str) -> np.ndarray:
    return np.array([float(row[name]) for row in rows])


def dates(rows: list[dict[str, str]]) -> list[str]:
    return [row["date"] for row in rows]


def markets(rows: list[dict[str, str]]) -> list[str]:
    return [row["market"] for row in rows]


def test_every_tick_answer_holds_as_one_value_and_as_an_array(answers: Answers) -> None:
    rows = answers("ticks")
    found = krx.tick_size(column(rows, "price"), dates(rows), markets(rows))
    np.testing.assert_array_equal(found, column(rows, "tick"))
    for row in rows:
        assert krx.tick_size(float(row["price"]), row["date"], row["market"]) == float(row["tick"]), row


def test_every_locked_limit_day_closed_at_our_limit_price(answers: Answers) -> None:
    rows = answers("limit_cases")
    lower, upper = krx.price_limits(column(rows, "base"), dates(rows), markets(rows))
    at_upper = np.array([row["kind"] == "upper" for row in rows])
    np.testing.assert_array_equal(np.where(at_upper, upper, lower), column(rows, "price"))


def test_limit_rates_change_on_their_days(answers: Answers) -> None:
    rows = answers("limit_rates")
    lower, upper = krx.price_limits([100_000.0] * len(rows), dates(rows), markets(rows))
    np.testing.assert_array_equal(upper, np.round(100_000 * (1 + column(rows, "rate"))))
    np.testing.assert_array_equal(lower, np.round(100_000 * (1 - column(rows, "rate"))))


def test_first_days_stay_inside_the_band_around_the_offer_price(answers: Answers) -> None:
    rows = answers("ipo_cases")
    lowest, highest = krx.ipo_band(column(rows, "offer"), dates(rows), markets(rows))
    np.testing.assert_array_equal(lowest, column(rows, "lowest"))
    np.testing.assert_array_equal(highest, column(rows, "highest"))
    assert (column(rows, "low") >= lowest).all()
    assert (column(rows, "high") <= highest).all()


def test_before_june_2023_a_first_day_is_bounded_by_the_limits_around_the_extreme_opening_prices() -> None:
    assert krx.ipo_band(10_000, "2023-06-23", "KOSDAQ") == (6_300, 26_000)
    assert krx.ipo_band(10_000, "2023-06-26", "KOSDAQ") == (6_000, 40_000)


def test_sale_tax_and_its_parts_by_trade_date(answers: Answers) -> None:
    rows = answers("taxes")
    np.testing.assert_array_equal(krx.sale_tax_rate(dates(rows), markets(rows)), column(rows, "total"))
    securities, rural = krx.sale_tax_parts(dates(rows), markets(rows))
    np.testing.assert_array_equal(securities, column(rows, "securities"))
    np.testing.assert_array_equal(rural, column(rows, "rural"))


def test_the_lower_limit_is_base_minus_width_and_not_seventy_percent() -> None:
    assert krx.price_limits(239_000, "2024-01-02") == (167_500, 310_500)


def test_a_funds_multiple_widens_its_limits_and_below_one_counts_as_one() -> None:
    assert krx.price_limits(10_000, "2024-01-02", "ETF", leverage=2) == (4_000, 16_000)
    assert krx.price_limits(10_000, "2024-01-02", "ETF", leverage=-2) == (4_000, 16_000)
    assert krx.price_limits(10_000, "2024-01-02", "ETF", leverage=0.5) == (7_000, 13_000)
    assert krx.price_limits(10_000, "2024-01-02", "ETF", leverage=4) == (1, 22_000)


def test_a_base_of_a_few_won_still_moves_by_one_tick() -> None:
    assert krx.price_limits(2, "2024-01-02", "KOSDAQ") == (1, 3)
    assert krx.price_limits(20, "2004-01-02", "KOSPI") == (15, 25)


def test_warrants_have_no_limit() -> None:
    assert krx.price_limits(100, "2024-01-02", "ELW") == (0.0, np.inf)


def test_a_base_that_is_no_price_has_no_known_limits() -> None:
    lower, upper = krx.price_limits([0.0, -5.0, np.nan], "2024-01-02")
    assert np.isnan(lower).all()
    assert np.isnan(upper).all()


def test_a_mid_price_close_becomes_the_next_grid_price_up_as_base() -> None:
    assert krx.base_price(2_001, "2026-01-05", "KOSDAQ") == 2_005
    assert krx.base_price(2_005, "2026-01-05", "KOSDAQ") == 2_005


def test_a_formula_base_is_cut_to_the_won_before_it_is_raised_to_the_grid() -> None:
    assert krx.base_price(2_005.9, "2026-01-05") == 2_005
    assert krx.base_price((10_000 * 3 + 5_000 * 2) / 5, "2024-01-02") == 8_000


def test_rounding_forgives_binary_noise() -> None:
    assert krx.ceil_tick(70_000 * 1.1, "2024-01-02") == 77_000
    assert krx.floor_tick(0.1 * 3 * 10_000, "2024-01-02") == 3_000


def test_dates_may_be_text_date_timestamp_or_array() -> None:
    day = "2023-01-25"
    series = pd.Series(pd.to_datetime(["2023-01-24", day]))
    for one in (day, dt.date(2023, 1, 25), pd.Timestamp(day), np.datetime64(day)):
        assert krx.tick_size(2_000, one) == 5
        assert krx.tick_size(1_500, one) == 1
    for many in (
        series,
        series.dt.tz_localize("Asia/Seoul"),
        pd.DatetimeIndex(series),
        series.to_numpy(),
        ["2023-01-24", day],
    ):
        np.testing.assert_array_equal(krx.tick_size(1_500, many), [5, 1])
    np.testing.assert_array_equal(
        krx.tick_size(pd.Series([1_500, 1_500]), series, pd.Series(["KOSPI", "KOSDAQ"])), [5, 1]
    )


def test_a_moment_with_a_zone_counts_on_its_day_in_seoul() -> None:
    late = pd.Timestamp("2023-01-24 16:00", tz="UTC")  # 01:00 of the 25th in Seoul
    assert krx.tick_size(1_500, late) == 1
    np.testing.assert_array_equal(krx.tick_size(1_500, pd.DatetimeIndex([late])), [1])


def test_markets_go_by_any_of_their_labels() -> None:
    assert krx.tick_size(60_000, "2020-01-02", "KOSDAQ GLOBAL") == 100
    np.testing.assert_array_equal(krx.tick_size(200_000, "2020-01-02", ["유가증권", "코스닥"]), [500, 100])


@pytest.mark.parametrize("market", ["US", "NONE", "NYSEX", "", None])
def test_a_market_of_another_house_is_refused_by_name(market: str) -> None:
    with pytest.raises(BadData, match="market="):
        krx.tick_size(100, "2024-01-02", market)


@pytest.mark.parametrize(
    "date",
    [20240102, 19724, np.array([19724]), "20241301", "soon", "2024-01-02 09:00Z", None, pd.NaT, ["2024-01-02", None]],
)
def test_what_is_no_date_is_refused(date: object) -> None:
    with pytest.raises(BadData, match="date"):
        krx.tick_size(100, date)  # type: ignore[call-overload]


def test_an_empty_date_among_dates_is_refused_with_its_position() -> None:
    with pytest.raises(BadData, match="position 1"):
        krx.tick_size(100, np.array(["2024-01-02", "NaT"], dtype="datetime64[D]"))


def test_what_is_no_price_is_refused() -> None:
    with pytest.raises(BadData, match="price='abc'"):
        krx.tick_size("abc", "2024-01-02")  # type: ignore[call-overload]


def test_lots_are_single_shares_but_for_warrants() -> None:
    assert [krx.lot_size(market) for market in ("KOSPI", "KOSDAQ", "KONEX", "ETF", "ETN", "ELW")] == [1, 1, 1, 1, 1, 10]


def test_tables_say_the_same_as_the_functions_do_one_by_one() -> None:
    prices = np.array([999.0, 1_000.0, 12_345.0, 499_999.0])
    days = ["2001-05-02", "2005-05-02", "2012-05-02", "2024-05-02"]
    whole = krx.floor_tick(prices[:, None], np.array(days, dtype="datetime64[D]")[None, :], "KOSDAQ")
    assert whole.shape == (4, 4)
    for i, price in enumerate(prices):
        for j, day in enumerate(days):
            assert whole[i, j] == krx.floor_tick(float(price), day, "KOSDAQ")
