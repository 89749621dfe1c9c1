"""Trade by trade against vectorbt's `Portfolio.from_orders`, on real prices and on random ones."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from quantkit.backtest.run import backtest
from tests.oracles.exact import NANO, close_panel, fills_of, five_stocks, float_costs, goog, like_vectorbt

pytestmark = pytest.mark.filterwarnings("ignore")


def theirs(
    vbt: Any, close: np.ndarray, weights: np.ndarray, *, cash: float, fees: float, fixed: float, slippage: float
):
    import pandas as pd

    portfolio = vbt.Portfolio.from_orders(
        pd.DataFrame(close), pd.DataFrame(weights), size_type="targetpercent", group_by=True, cash_sharing=True,
        call_seq="auto", size_granularity=1.0, fees=fees, fixed_fees=fixed, slippage=slippage, init_cash=cash,
        freq="1D",
    )  # fmt: skip
    records = portfolio.order_records
    fills = sorted(
        (int(row["idx"]), int(row["col"]), -1 if row["side"] else 1, round(float(row["size"])), float(row["price"]),
         float(row["fees"]))
        for row in records
    )  # fmt: skip
    return fills, portfolio.value().to_numpy()


def assert_equal_runs(vbt: Any, close: np.ndarray, weights: np.ndarray, **money: float) -> int:
    cash, fees, fixed, slippage = (money.get(name, 0.0) for name in ("cash", "fees", "fixed", "slippage"))
    result = backtest(
        targets=weights, bars=close_panel(close), policy=like_vectorbt(), cash=cash, fill="close",
        costs=float_costs(fees, fixed=fixed, slippage=slippage),
    )  # fmt: skip
    expected, value = theirs(vbt, close, weights, cash=cash, fees=fees, fixed=fixed, slippage=slippage)
    ours = fills_of(result)
    assert [fill[:4] for fill in ours] == [fill[:4] for fill in expected]
    np.testing.assert_allclose([fill[4] for fill in ours], [fill[4] for fill in expected], rtol=1e-9)
    np.testing.assert_allclose([fill[5] for fill in ours], [fill[5] for fill in expected], rtol=1e-9, atol=1e-8)
    np.testing.assert_allclose(result.run.equity / NANO, value, rtol=1e-9)
    return len(ours)


def crossing(close: np.ndarray, fast: int, slow: int) -> np.ndarray:
    """Weight 1 while the fast average of each column stands above the slow one, given only when it changes."""
    total = np.cumsum(np.vstack([np.zeros((1, close.shape[1])), close]), axis=0)
    averages = []
    for window in (fast, slow):
        average = np.full(close.shape, np.nan)
        average[window - 1 :] = (total[window:] - total[:-window]) / window
        averages.append(average)
    above = (averages[0] > averages[1]).astype(float)
    flips = np.vstack([above[:1] != 0, above[1:] != above[:-1]])
    return np.where(flips, above, np.nan)


@pytest.mark.parametrize(("fees", "fixed", "slippage"), [(0, 0, 0), (0.002, 0, 0), (0.001, 3.0, 0.0015)])
def test_one_stock_all_in_and_out_equals_vectorbt_fill_by_fill(
    vbt: Any, fees: float, fixed: float, slippage: float
) -> None:
    close = goog()["Close"].to_numpy(float)[:, None]
    fills = assert_equal_runs(
        vbt, close, crossing(close, 10, 30), cash=50_000.0, fees=fees, fixed=fixed, slippage=slippage
    )
    assert fills > 60


@pytest.mark.parametrize("fees", [0.0, 0.0025])
def test_a_rebalanced_portfolio_with_shared_cash_equals_vectorbt(vbt: Any, fees: float) -> None:
    close = five_stocks().to_numpy(float)
    weights = np.full(close.shape, np.nan)
    for row in range(60, len(close), 21):
        strength = close[row] / close[row - 60]
        weights[row] = strength / strength.sum()
    assert assert_equal_runs(vbt, close, weights, cash=1_000_000.0, fees=fees) > 300


def test_random_portfolios_equal_vectorbt(vbt: Any) -> None:
    random = np.random.default_rng(7)
    total = 0
    for _ in range(150):
        rows, columns = int(random.integers(10, 40)), int(random.integers(1, 5))
        close = np.round(50 * np.exp(np.cumsum(random.normal(0, 0.04, (rows, columns)), axis=0)), 2)
        weights = random.dirichlet(np.ones(columns), rows) * random.uniform(0.2, 1.0, (rows, 1))
        weights[random.random(rows) < 0.6] = np.nan
        money = {"fees": float(random.choice([0, 0.003])), "slippage": float(random.choice([0, 0.002]))}
        total += assert_equal_runs(vbt, close, weights, cash=float(random.choice([5_000, 1_000_000])), **money)
    assert total > 1_000
