"""Laws of the grid, and that compiled, uncompiled and vectorised code agree to the last bit."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import quantkit
from quantkit.errors import BadData
from quantkit.market import MARKET_ID, MARKETS, grid, kernels
from quantkit.market.days import epoch_days
from quantkit.market.rules import change_days, rule_rows, rule_tables
from tests.market.conftest import Answers

RULES = rule_tables(np.zeros(0, dtype=np.int64))
ROWS = st.integers(0, RULES.tick.shape[0] - 1)
KRX_IDS = st.integers(0, MARKET_ID["ELW"])
IDS = st.integers(0, len(MARKETS) - 1)
WHOLE = st.integers(1, 3_000_000).map(float)
PRICES = st.one_of(WHOLE, st.floats(0.01, 3e6))
ODD = st.sampled_from([0.0, -1.0, float("nan"), float("inf")])
LEVERAGE = st.sampled_from([1.0, 2.0, -2.0, 3.0, 0.5, float("nan")])
SLACK = 1.01 * kernels.TOLERANCE


@given(ROWS, KRX_IDS, PRICES)
def test_rounding_gives_the_nearest_grid_prices_around(row: int, market: int, price: float) -> None:
    floor, ceil = kernels.floor_tick(RULES, row, market, price), kernels.ceil_tick(RULES, row, market, price)
    tick = kernels.tick_at(RULES, row, market, price)
    assert floor - SLACK * tick <= price <= ceil + SLACK * tick
    assert ceil - floor in (0.0, tick)


@given(ROWS, KRX_IDS, PRICES)
def test_rounding_twice_is_rounding_once(row: int, market: int, price: float) -> None:
    for rounded in (kernels.floor_tick, kernels.ceil_tick):
        once = rounded(RULES, row, market, price)
        assert rounded(RULES, row, market, once) == once
        assert kernels.floor_tick(RULES, row, market, once) == kernels.ceil_tick(RULES, row, market, once)


@given(ROWS, KRX_IDS, PRICES, PRICES)
def test_a_higher_price_never_rounds_or_limits_lower(row: int, market: int, one: float, other: float) -> None:
    low, high = min(one, other), max(one, other)
    assert kernels.floor_tick(RULES, row, market, low) <= kernels.floor_tick(RULES, row, market, high)
    assert kernels.ceil_tick(RULES, row, market, low) <= kernels.ceil_tick(RULES, row, market, high)
    assert kernels.tick_at(RULES, row, market, low) <= kernels.tick_at(RULES, row, market, high)


@given(ROWS, st.integers(0, MARKET_ID["ETN"]), WHOLE, LEVERAGE)
def test_limits_stand_on_the_grid_around_a_base_on_the_grid(
    row: int, market: int, price: float, leverage: float
) -> None:
    base = kernels.ceil_tick(RULES, row, market, price)
    lower, upper = kernels.limits_at(RULES, row, market, base, leverage)
    assert 0.0 < lower <= base <= upper
    assert kernels.floor_tick(RULES, row, market, lower) == lower
    assert kernels.floor_tick(RULES, row, market, upper) == upper
    rate = RULES.limit_rate[row, market] * max(1.0, abs(leverage) if leverage == leverage else 1.0)
    tick = kernels.tick_at(RULES, row, market, base)
    assert upper - base <= max(base * rate * (1 + 1e-9), tick)
    assert base - lower <= max(base * rate * (1 + 1e-9), tick)


@given(st.lists(st.tuples(ROWS, IDS, PRICES | ODD, LEVERAGE), min_size=1, max_size=60))
def test_vectorised_and_compiled_rules_agree_to_the_last_bit(cases: list[tuple[int, int, float, float]]) -> None:
    rows, ids = (np.array(part, dtype=np.int64) for part in list(zip(*cases, strict=True))[:2])
    prices, leverage = (np.array(part) for part in list(zip(*cases, strict=True))[2:])
    lower, upper = grid.limit_prices(rows, ids, prices, leverage)
    for k, (row, market, price, multiple) in enumerate(cases):
        same = np.testing.assert_array_equal
        same(grid.ticks(rows, ids, prices)[k], kernels.tick_at(RULES, row, market, price))
        same(grid.floor_prices(rows, ids, prices)[k], kernels.floor_tick(RULES, row, market, price))
        same(grid.ceil_prices(rows, ids, prices)[k], kernels.ceil_tick(RULES, row, market, price))
        same((lower[k], upper[k]), kernels.limits_at(RULES, row, market, price, multiple))


def test_the_band_of_a_first_day_is_that_of_the_real_cases(answers: Answers) -> None:
    for case in answers("ipo_cases"):
        row, market = int(rule_rows(epoch_days(case["date"]))), MARKET_ID[case["market"]]
        assert RULES.first_day[row, market] == kernels.FIRST_DAY_BAND
        found = kernels.session_limits(RULES, row, market, float(case["offer"]), 1.0, True)
        assert found == (float(case["lowest"]), float(case["highest"])), case


def digest() -> str:
    """Every kernel over a sweep of rules and prices, as one hash of the bits."""
    import hashlib

    hashed = hashlib.sha256()
    prices = np.concatenate([np.geomspace(0.5, 3e6, 60), [999.0, 1_000.0, 2_000.0, 77_000.00000000001]])
    for row in range(RULES.tick.shape[0]):
        for market in range(len(MARKETS)):
            for price in prices.tolist():
                values = (
                    kernels.tick_at(RULES, row, market, price),
                    kernels.floor_tick(RULES, row, market, price),
                    kernels.ceil_tick(RULES, row, market, price),
                    *kernels.limits_at(RULES, row, market, price, 2.0),
                    *kernels.session_limits(RULES, row, market, price, 1.0, True),
                )
                hashed.update(np.array(values).tobytes())
    return hashed.hexdigest()


def test_a_run_without_compilation_gives_the_same_bits() -> None:
    home = Path(quantkit.__path__[0]).parent
    code = f"import sys; sys.path[:0] = [{str(home)!r}]; from tests.market.test_kernels import digest; print(digest())"
    disabled = "0" if os.environ.get("NUMBA_DISABLE_JIT") == "1" else "1"
    run = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "NUMBA_DISABLE_JIT": disabled},
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        check=True,
    )
    assert run.stdout.strip() == digest()


def test_where_there_is_no_grid_prices_stay_as_they_are() -> None:
    none = MARKET_ID["NONE"]
    assert kernels.tick_at(RULES, 0, none, 123.456) == 0.0
    assert kernels.floor_tick(RULES, 0, none, 123.456) == 123.456
    assert kernels.limits_at(RULES, 0, none, 123.456, 1.0) == (0.0, np.inf)


def test_adjusted_prices_have_no_grid_and_no_limit_but_pay_tax() -> None:
    adjusted = rule_tables(np.array([20_000]), grid=False)
    row = int(adjusted.row[0])
    assert kernels.floor_tick(adjusted, row, 0, 70_003.7) == 70_003.7
    assert kernels.limits_at(adjusted, row, 0, 70_003.7, 1.0) == (0.0, np.inf)
    assert adjusted.tax_rate[row, 0] == rule_tables(np.array([20_000])).tax_rate[row, 0] > 0


def test_rule_tables_are_the_callers_own_and_ready_for_compiled_code() -> None:
    tables = rule_tables(np.array([0, 20_000, 10_000]))
    assert tables.row.dtype == np.int32
    assert all(array.flags.c_contiguous and array.flags.writeable for array in tables)
    tables.tick[:] = -1.0
    assert rule_tables(np.array([0])).tick.min() >= 0.0


@pytest.mark.parametrize("days", [np.array(["2024-01-02"]), np.array([20_000.0]), np.array([[20_000]])])
def test_rule_tables_take_a_row_of_epoch_days_only(days: np.ndarray) -> None:
    with pytest.raises(BadData, match="epoch days"):
        rule_tables(days)


def test_a_rule_row_begins_on_its_day() -> None:
    changes = change_days()
    assert (np.diff(changes) > 0).all()
    np.testing.assert_array_equal(rule_rows(changes), np.arange(1, len(changes) + 1))
    np.testing.assert_array_equal(rule_rows(changes - 1), np.arange(len(changes)))
