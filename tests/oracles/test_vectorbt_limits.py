"""Trade by trade against vectorbt's `Portfolio.from_orders`, fed with the fills of limit and stop orders computed in
NumPy, several names sharing one account in a stated sequence.

It has no resting orders: who uses it works out where an order fills and passes that price, NaN where it does not.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import pytest

from quantkit.backtest.run import backtest
from quantkit.core.policy import Policy
from tests.oracles.exact import NANO, Fill, assert_same, fills_of, float_costs
from tests.oracles.markets import Prices, digits_of, of_every_kind, of_stocks
from tests.oracles.rules import DayOrders, told

pytestmark = pytest.mark.filterwarnings("ignore")


class Orders(NamedTuple):
    """(T, N): what is ordered on each bar for the next; shares bought or sold (0: nothing), at a limit or a stop."""

    size: np.ndarray
    limit: np.ndarray
    stop: np.ndarray


def drawn(random: np.random.Generator, prices: Prices, *, most: int, stops: float = 0.3) -> Orders:
    shape = prices.close.shape
    size = random.integers(1, most + 1, shape) * np.where(random.random(shape) < 0.55, 1, -1)
    size[random.random(shape) < 0.3] = 0
    away = random.normal(0.01, 0.02, shape) * np.sign(size)
    held = random.random(shape) < stops
    digits = digits_of(prices)
    limit = np.where(held, np.nan, np.round(prices.close * (1 - away), digits))
    stop = np.where(held, np.round(prices.close * (1 + away), digits), np.nan)
    return Orders(size.astype(float), limit, stop)


def on_the_next_bar(prices: Prices, orders: Orders, *, touch: bool, at_open: bool) -> tuple[np.ndarray, np.ndarray]:
    """(size, price) of the bar each order lives on; price NaN where it does not fill."""
    size, limit, stop = (np.vstack([np.full_like(each[:1], np.nan), each[:-1]]) for each in orders)
    buys = size > 0
    open_, high, low, _ = prices
    reach = np.where(buys, low, high)
    if at_open:
        fills, price = np.where(buys, open_ <= limit, open_ >= limit), open_
    else:
        best = np.where(buys, np.minimum(open_, limit), np.maximum(open_, limit))
        gap = np.where(buys, limit - reach, reach - limit)
        at_limit = gap >= 0 if touch else gap > 0
        worst = np.where(buys, np.maximum(open_, stop), np.minimum(open_, stop))
        at_stop = np.where(buys, high >= stop, low <= stop)
        fills, price = np.where(np.isnan(stop), at_limit, at_stop), np.where(np.isnan(stop), best, worst)
    return np.where(fills, size, np.nan), np.where(fills, price, prices.close)


def theirs(vbt: Any, prices: Prices, size: np.ndarray, price: np.ndarray, sequence: Any, **money: float):
    portfolio = vbt.Portfolio.from_orders(
        pd.DataFrame(prices.close), pd.DataFrame(size), price=pd.DataFrame(price), direction="longonly", group_by=True,
        cash_sharing=True, call_seq=sequence, size_granularity=1.0, freq="1D", **money,
    )  # fmt: skip
    fills = sorted(
        Fill(int(row["idx"]), int(row["col"]), -1 if row["side"] else 1, round(float(row["size"])),
             float(row["price"]), float(row["fees"]))
        for row in portfolio.order_records
    )  # fmt: skip
    return fills, portfolio.value().to_numpy()


def buys_first(size: np.ndarray) -> np.ndarray:
    """Columns of each row in the order they trade: buys by column, then the rest."""
    return np.argsort(~(size > 0), axis=1, kind="stable")


def assert_equal_runs(
    vbt: Any, prices: Prices, orders: Orders, *, touch: bool, at_open: bool, cash: float, fees: float, fixed: float
) -> tuple[int, int]:
    """How many fills there were, and how many of them were cut to the cash or the shares left."""
    size, price = on_the_next_bar(prices, orders, touch=touch, at_open=at_open)
    sequence = "auto" if at_open else buys_first(size)
    expected, value = theirs(vbt, prices, size, price, sequence, init_cash=cash, fees=fees, fixed_fees=fixed)
    policy = Policy(collar=None, limit_fill="touch" if touch else "through", shortfall="sequence")
    result = backtest(
        told(DayOrders, orders._asdict(), at_open=at_open), prices.bars(), policy=policy, cash=cash,
        costs=float_costs(fees, fixed=fixed),
    )  # fmt: skip
    actual = fills_of(result)
    assert_same(actual, expected)
    np.testing.assert_allclose(result.run.equity / NANO, value, rtol=1e-9)
    asked = [abs(orders.size[fill.bar - 1, fill.column]) for fill in actual]
    return len(actual), sum(fill.shares < most for fill, most in zip(actual, asked, strict=True))


@pytest.mark.parametrize("touch", [True, False], ids=["touch", "through"])
def test_resting_orders_on_real_prices_equal_vectorbt(vbt: Any, touch: bool) -> None:
    prices = of_stocks()
    orders = drawn(np.random.default_rng(2), prices, most=40)
    fills, cut = assert_equal_runs(
        vbt, prices, orders, touch=touch, at_open=False, cash=30_000.0, fees=0.001, fixed=1.0
    )
    assert fills > 2_000
    assert cut > 100


def test_limits_in_the_opening_auction_on_real_prices_equal_vectorbt(vbt: Any) -> None:
    prices = of_stocks()
    orders = drawn(np.random.default_rng(3), prices, most=40, stops=0.0)
    fills, cut = assert_equal_runs(vbt, prices, orders, touch=True, at_open=True, cash=30_000.0, fees=0.001, fixed=0.0)
    assert fills > 1_000
    assert cut > 100


@pytest.mark.parametrize(("seed", "markets"), [(8, 150), pytest.param(28, 2_000, marks=pytest.mark.slow)])
@pytest.mark.parametrize("at_open", [False, True], ids=["resting", "in the opening auction"])
def test_random_portfolios_of_orders_equal_vectorbt(vbt: Any, at_open: bool, seed: int, markets: int) -> None:
    random = np.random.default_rng(seed)
    total = short = 0
    for _ in range(markets):
        prices = of_every_kind(random, int(random.integers(1, 5)))
        orders = drawn(random, prices, most=int(random.choice([5, 60])), stops=0.0 if at_open else 0.3)
        fills, cut = assert_equal_runs(
            vbt, prices, orders, at_open=at_open, touch=at_open or bool(random.random() < 0.5),
            cash=float(random.choice([2_000, 20_000])), fees=float(random.choice([0, 0.003])),
            fixed=float(random.choice([0, 2])),
        )  # fmt: skip
        total, short = total + fills, short + cut
    assert total > 10 * markets
    assert short > 2 * markets
