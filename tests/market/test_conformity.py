"""What a bar that breaks a rule is called."""

from __future__ import annotations

import datetime as dt

import numpy as np
import pytest

from quantkit.errors import BadData
from quantkit.market import MARKET_ID
from quantkit.market.conformity import PRICES, REASONS, Conformity, conformity, regime_starts
from quantkit.market.days import epoch_days

Bar = tuple[str, float, float, float, float, float]


def judge(bars: list[Bar], market: str = "KOSDAQ", **more: object) -> Conformity:
    """Bars of one symbol: (date, open, high, low, close, volume)."""
    columns = np.array([bar[1:] for bar in bars], dtype=np.float64).T
    day = epoch_days([bar[0] for bar in bars])
    return conformity(
        np.zeros(len(bars), dtype=np.int64), day, np.full(len(bars), MARKET_ID[market]),
        dict(zip(PRICES, columns[:4], strict=True)), columns[4], **more,  # type: ignore[arg-type]
    )  # fmt: skip


def reasons(found: Conformity) -> list[str]:
    return [REASONS[index] for index in found.reason]


def test_a_bar_that_keeps_the_rules_has_no_reason() -> None:
    found = judge([("2024-03-04", 1_000, 1_010, 990, 1_000, 5), ("2024-03-05", 1_000, 1_300, 700, 1_000, 5)])
    assert reasons(found) == ["", ""]
    (regime,) = found.regimes
    assert (regime.market, regime.bars, regime.judged, regime.inside) == ("KOSDAQ", 2, 1, 1)
    assert regime.touched == (1, 1)
    assert (regime.since, regime.until) == (dt.date(2023, 1, 25), dt.date(2025, 3, 3))


def test_halted_and_carried_rows_are_not_judged() -> None:
    found = judge([("2024-03-04", 0, 0, 0, 1_001, 0), ("2024-03-05", 1_003, 1_003, 1_003, 1_003, 0)])
    assert reasons(found) == ["no_trade", "no_trade"]
    assert found.regimes[0].bars == 0


def test_off_the_grid_is_a_defect_until_mid_price_orders_exist() -> None:
    found = judge([("2025-02-28", 5_000, 5_001, 5_000, 5_000, 5), ("2025-03-04", 5_000, 5_001, 5_000, 5_000, 5)])
    assert reasons(found) == ["defect", "mid_price"]
    assert [regime.on_grid for regime in found.regimes] == [(1, 0, 1, 1), (1, 0, 1, 1)]
    assert found.defects.tolist() == [0]


def test_a_first_day_inside_the_offer_band_is_explained() -> None:
    day, base = ("2023-12-22", 30_000.0, 40_000.0, 29_000.0, 40_000.0, 5.0), np.array([10_000.0])
    here = {"base": base, "listed_on": epoch_days(["2023-12-22"])}
    assert reasons(judge([day], "KOSPI", **here)) == ["first_day"]
    assert reasons(judge([day], "KOSPI", base=base / 2, listed_on=here["listed_on"])) == ["defect"]
    assert reasons(judge([day], "KOSPI", base=base)) == ["defect"]  # the first day of all data says nothing


def test_liquidation_trading_has_no_limits() -> None:
    bars: list[Bar] = [("2024-03-04", 1_000, 1_000, 1_000, 1_000, 5), ("2024-03-05", 100, 110, 60, 61, 5)]
    assert reasons(judge(bars, liquidation=np.array([False, True]))) == ["", "liquidation"]
    assert reasons(judge(bars)) == ["", "defect"]


def test_what_explains_the_limits_does_not_excuse_a_price_off_the_grid() -> None:
    bars: list[Bar] = [("2024-03-04", 5_000, 5_000, 5_000, 5_000, 5), ("2024-03-05", 2_001, 2_001, 2_001, 2_001, 5)]
    assert reasons(judge(bars, liquidation=np.array([False, True]))) == ["", "defect"]


def test_a_new_base_is_explained_by_the_base_given_or_by_a_suspension() -> None:
    split: list[Bar] = [("2024-03-04", 1_000, 1_000, 1_000, 1_000, 5), ("2024-03-05", 100, 110, 99, 100, 5)]
    assert reasons(judge(split, base=np.array([1_000.0, 100.0]))) == ["", ""]
    halted: list[Bar] = [split[0], ("2024-03-05", 0, 0, 0, 1_000, 0), ("2024-03-06", 100, 110, 99, 100, 5)]
    assert reasons(judge(halted)) == ["", "no_trade", "new_base"]
    gap: list[Bar] = [split[0], ("2024-03-08", 100, 110, 99, 100, 5)]
    assert reasons(judge(gap)) == ["", "defect"]
    assert reasons(judge(gap, session=np.array([0, 4]))) == ["", "new_base"]


def test_a_base_off_the_grid_is_raised_before_it_is_a_reference() -> None:
    bars: list[Bar] = [("2025-07-09", 7_780, 7_780, 7_777, 7_777, 5), ("2025-07-10", 8_135, 10_110, 8_135, 8_380, 5)]
    assert reasons(judge(bars, "ETF")) == ["mid_price", ""]


def test_a_funds_multiple_widens_its_limits() -> None:
    bars: list[Bar] = [
        ("2024-03-04", 10_000, 10_000, 10_000, 10_000, 5),
        ("2024-03-05", 15_000, 16_000, 4_000, 15_000, 5),
    ]
    assert reasons(judge(bars, "ETF", leverage=2.0)) == ["", ""]
    assert reasons(judge(bars, "ETF")) == ["", "defect"]


def test_regimes_begin_where_a_markets_own_rules_change() -> None:
    assert np.array_equal(
        regime_starts(MARKET_ID["KOSPI"]), epoch_days(["2010-10-04", "2015-06-15", "2023-01-25", "2025-03-04"])
    )


def test_unsorted_rows_missing_prices_and_wrong_shapes_are_refused() -> None:
    bar: Bar = ("2024-03-05", 1_000, 1_000, 1_000, 1_000, 5)
    with pytest.raises(BadData, match="position 1"):
        judge([bar, ("2024-03-04", *bar[1:])])  # type: ignore[misc]
    with pytest.raises(BadData, match="base has shape"):
        judge([bar], base=np.zeros(2))
    with pytest.raises(BadData, match="'open'"):
        conformity(
            np.zeros(1, dtype=np.int64), np.zeros(1, dtype=np.int64), np.zeros(1, dtype=np.int64), {}, np.zeros(1)
        )


def test_no_rows_give_no_regimes() -> None:
    empty = np.zeros(0, dtype=np.int64)
    found = conformity(empty, empty, empty, dict.fromkeys(PRICES, np.zeros(0)), np.zeros(0))
    assert found.regimes == ()
    assert found.defects.size == 0
