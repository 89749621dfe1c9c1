"""Trade by trade against backtesting.py: limit, stop and stop-limit entries, brackets, resting exits, trailing stops.

Its decisions are scripts: what `next()` orders on each bar, in columns both engines read. What a rule of ours says in
the place of its `buy(sl=..., tp=...)` is in `rules`; what cannot be said is in `test_differences_backtesting_py`.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pandas as pd
import pytest

from quantkit.backtest.run import backtest
from quantkit.core.policy import Policy
from tests.oracles.exact import NANO, fills_of, float_costs
from tests.oracles.markets import Prices, at_random, digits_of, of_every_kind, of_goog
from tests.oracles.rules import Book, Bracketed, Scripted, Trail, told

pytestmark = pytest.mark.filterwarnings("ignore")
CASH = 1e7
NAMES = ("size", "limit", "stop", "sl", "tp")
Script = dict[str, np.ndarray]  # (T,) each: NAMES, NaN where not given, and close
Filled = Counter[tuple[int, int, float]]  # (bar, side, price) -> shares


def drawn(random: np.random.Generator, prices: Prices, *, chance: float, bracketed: str) -> Script:
    """At most one entry a bar; now and then all is closed.

    bracketed: which entries have exits, "market" orders ("only": there are no others) or those that were "waiting". A
    market order that has some makes theirs look at its bar twice, which other orders that wait for something then meet:
    not both in one script.
    """
    close, digits = prices.close[:, 0], digits_of(prices)
    rows, step = len(close), 10.0**-digits
    script = {name: np.full(rows, np.nan) for name in NAMES}
    ordering = np.flatnonzero(random.random(rows) < chance)
    for t in ordering[(ordering > 0) & (ordering < rows - 1)]:
        kind = "market" if bracketed == "only" else random.choice(["market", "limit", "stop", "stop-limit"])
        low = high = price = close[t]
        if kind in ("stop", "stop-limit"):
            low = high = script["stop"][t] = round(price * (1 + random.uniform(-0.01, 0.04)), digits)
        if kind == "stop-limit":
            side = 1 if bracketed == "market" else random.choice([-1, 1])
            low = script["limit"][t] = high + side * max(step, round(random.uniform(0.05, 3), digits))
        if kind == "limit":
            low = high = script["limit"][t] = round(price * (1 - random.uniform(-0.01, 0.04)), digits)
        script["size"][t] = random.integers(1, 20)
        exits = (kind == "market") != (bracketed == "waiting")
        if exits and random.random() < 0.7:
            below = min(low, high, price)
            script["sl"][t] = min(below - step, round(below * (1 - random.uniform(0.01, 0.06)), digits))
        if exits and kind != "stop" and random.random() < 0.7:
            above = max(low, high, price)
            script["tp"][t] = max(above + step, round(above * (1 + random.uniform(0.01, 0.08)), digits))
    script["close"] = (random.random(rows) < 0.04).astype(float)
    script["close"][-1] = 0  # it has no bar left to fill on
    return script


def theirs(backtesting: Any, prices: Prices, script: Script, **settings: Any) -> tuple[list[Any], np.ndarray]:
    """Their trades, those still open too, tagged with the bar of their order; equity."""

    class Follow(backtesting.Strategy):
        def init(self) -> None:
            pass

        def next(self) -> None:
            t = len(self.data) - 1
            if script["close"][t] > 0:
                self.position.close()
            if script["size"][t] > 0:
                given = {name: float(script[name][t]) for name in NAMES[1:] if script[name][t] > 0}
                self.buy(size=int(script["size"][t]), tag=t, **given)

    stats = backtesting.Backtest(prices.frame(), Follow, **({"cash": CASH} | settings)).run()
    closed = [
        (int(row.Tag), int(row.EntryBar), float(row.EntryPrice), int(row.Size), int(row.ExitBar), float(row.ExitPrice))
        for row in stats["_trades"].itertuples()
    ]
    still = [
        (trade.tag, trade.entry_bar, float(trade.entry_price), trade.size, -1, 0.0)
        for trade in stats["_strategy"].trades
    ]
    return closed + still, stats["_equity_curve"]["Equity"].to_numpy()


def on_a_path(trades: list[Any], prices: Prices, script: Script) -> tuple[Filled, int]:
    """Their fills, but two kinds at the open that came first: what opened beyond the take, and a stop-limit that opened
    beyond its stop (see docs/oracles.md); how many these were."""
    filled: Filled = Counter()
    changed = 0
    for tag, bought, entry, size, sold, exit_ in trades:
        stop, limit, tp = script["stop"][tag], script["limit"][tag], script["tp"][tag]
        price = entry
        if limit > stop and entry == stop and prices.open[bought, 0] > stop:
            price = min(prices.open[bought, 0], limit)
        changed += price != entry
        filled[bought, 1, round(price, 6)] += size
        if sold >= 0:
            price = max(exit_, prices.open[sold, 0]) if prices.open[sold, 0] >= tp else exit_
            changed += price != exit_
            filled[sold, -1, round(price, 6)] += size
    return filled, changed


def ours(prices: Prices, script: Script, *, fees: float = 0.0, path: str = "nearer", fill: str = "next_open"):
    columns = {name: values[:, None] for name, values in script.items()}
    result = backtest(
        told(Scripted, columns), prices.bars(), cash=CASH, fill=fill, costs=float_costs(fees),
        policy=Policy(collar=None, limit_fill="touch", path=path),
    )  # fmt: skip
    filled: Filled = Counter()
    for fill_ in fills_of(result):
        filled[fill_.bar, fill_.side, round(fill_.price, 6)] += fill_.shares
    return filled, result.run.equity / NANO


def assert_equal_runs(backtesting: Any, prices: Prices, script: Script, *, fees: float, path: str) -> tuple[int, int]:
    trades, value = theirs(backtesting, prices, script, commission=fees)
    expected, changed = on_a_path(trades, prices, script)
    actual, equity = ours(prices, script, fees=fees, path=path)
    assert actual - expected == expected - actual
    if not changed:
        np.testing.assert_allclose(equity[1:], value[1:], rtol=1e-9)
    return len(actual), changed


@pytest.mark.parametrize("bracketed", ["market", "waiting"])
def test_orders_of_every_kind_on_real_prices_equal_backtesting_py(backtesting: Any, bracketed: str) -> None:
    prices = of_goog()
    script = drawn(np.random.default_rng(1), prices, chance=0.2, bracketed=bracketed)
    fills, changed = assert_equal_runs(backtesting, prices, script, fees=0.001, path="nearer")
    assert fills > 300
    assert changed < 30


@pytest.mark.parametrize(("seed", "markets"), [(2, 80), pytest.param(22, 1_500, marks=pytest.mark.slow)])
@pytest.mark.parametrize("bracketed", ["market", "waiting", "only"])
def test_orders_of_every_kind_on_random_markets_equal_backtesting_py(
    backtesting: Any, bracketed: str, seed: int, markets: int
) -> None:
    random = np.random.default_rng(seed)
    total = gaps = 0
    for k in range(markets):
        prices = of_every_kind(random)
        script = drawn(random, prices, chance=float(random.choice([0.15, 0.5])), bracketed=bracketed)
        fees, path = float(random.choice([0, 0.002])), ("nearer", "pessimistic")[k % 2]
        fills, changed = assert_equal_runs(backtesting, prices, script, fees=fees, path=path)
        total, gaps = total + fills, gaps + changed
    assert total > 12 * markets
    assert 0 < gaps < 0.1 * total


def test_brackets_after_entries_at_the_close_equal_backtesting_py(backtesting: Any) -> None:
    random = np.random.default_rng(3)
    total = 0
    for _ in range(60):
        prices = at_random(random, 50)
        script = drawn(random, prices, chance=0.3, bracketed="only")
        trades, _ = theirs(backtesting, prices, script, trade_on_close=True)
        expected, _ = on_a_path(trades, prices, script)
        actual, _ = ours(prices, script, fill="close")
        assert actual - expected == expected - actual
        total += len(actual)
    assert total > 500


def test_a_take_on_the_bar_of_its_stop_entry_equals_backtesting_py(backtesting: Any) -> None:
    """Both lie on one way up; their stop loss, far away here, would have waited a bar."""
    random = np.random.default_rng(6)
    total = at_once = 0
    for _ in range(60):
        prices = at_random(random, 50)
        script = drawn(random, prices, chance=0.0, bracketed="only")
        for t in np.flatnonzero(random.random(len(prices.close) - 1) < 0.3) + 1:
            stop = prices.close[t, 0] * (1 + random.uniform(-0.01, 0.03))
            levels = {
                "stop": stop,
                "sl": stop * 0.6,
                "tp": max(stop, prices.close[t, 0]) * (1 + random.uniform(0.005, 0.05)),
            }
            script["size"][t] = 5
            for name, level in levels.items():
                script[name][t] = round(level, 2)
        script["close"][:] = 0
        trades, _ = theirs(backtesting, prices, script)
        expected, _ = on_a_path(trades, prices, script)
        columns = {
            name + more: script[name][:, None] * (np.nan if more else 1) for name in NAMES for more in ("", " 2")
        }
        actual, _ = played(told(Bracketed, columns), prices)
        assert actual - expected == expected - actual
        total, at_once = total + len(actual), at_once + sum(trade[1] == trade[4] for trade in trades)
    assert total > 500
    assert at_once > 50


def resting(random: np.random.Generator, prices: Prices, chance: float) -> Script:
    close, digits = prices.close[:, 0], digits_of(prices)
    rows = len(close)
    script = {name: np.full(rows, np.nan) for name in ("size", "limit", "stop")}
    ordering = np.flatnonzero(random.random(rows) < chance)
    for t in ordering[ordering > 0]:
        side = int(random.choice([-1, 1]))
        script["size"][t] = side * int(random.integers(1, 20))
        kind = random.choice(["market", "limit", "stop"])
        if kind != "market":
            away = side * random.uniform(-0.01, 0.05) * (1 if kind == "stop" else -1)
            script[str(kind)][t] = round(close[t] * (1 + away), digits)
    return script | {"cancel": (random.random(rows) < 0.05).astype(float)}


def their_book(backtesting: Any, prices: Prices, script: Script, **settings: Any) -> tuple[Filled, np.ndarray]:
    class Follow(backtesting.Strategy):
        def init(self) -> None:
            pass

        def next(self) -> None:
            t = len(self.data) - 1
            if script["cancel"][t] > 0:
                for order in self.orders:
                    order.cancel()
            size = script["size"][t]
            free = self.position.size + sum(order.size for order in self.orders if order.size < 0)
            given = {name: float(script[name][t]) for name in ("limit", "stop") if script[name][t] > 0}
            if size > 0:
                self.buy(size=int(size), **given)
            elif size < 0 and free >= -size:
                self.sell(size=int(-size), **given)

    stats = backtesting.Backtest(prices.frame(), Follow, cash=CASH, **settings).run()
    filled: Filled = Counter()
    for row in stats["_trades"].itertuples():
        filled[int(row.EntryBar), 1, round(float(row.EntryPrice), 6)] += int(row.Size)
        filled[int(row.ExitBar), -1, round(float(row.ExitPrice), 6)] += int(row.Size)
    for trade in stats["_strategy"].trades:
        filled[trade.entry_bar, 1, round(float(trade.entry_price), 6)] += trade.size
    return filled, stats["_equity_curve"]["Equity"].to_numpy()


def played(rule: Any, prices: Prices, fees: float = 0.0) -> tuple[Filled, np.ndarray]:
    result = backtest(
        rule, prices.bars(), cash=CASH, costs=float_costs(fees), policy=Policy(collar=None, limit_fill="touch")
    )
    filled: Filled = Counter()
    for fill in fills_of(result):
        filled[fill.bar, fill.side, round(fill.price, 6)] += fill.shares
    return filled, result.run.equity / NANO


@pytest.mark.parametrize("market", ["goog", "random"])
def test_a_book_of_resting_buys_and_sales_equals_backtesting_py(backtesting: Any, market: str) -> None:
    random = np.random.default_rng(4)
    total = 0
    for _ in range(1 if market == "goog" else 80):
        prices = of_goog() if market == "goog" else of_every_kind(random)
        script, fees = resting(random, prices, 0.4), float(random.choice([0, 0.002]))
        expected, value = their_book(backtesting, prices, script, commission=fees)
        actual, equity = played(told(Book, {name: each[:, None] for name, each in script.items()}), prices, fees)
        assert actual == expected
        np.testing.assert_allclose(equity[1:], value[1:], rtol=1e-9)
        total += len(actual)
    assert total > 400


def average_true_range(prices: Prices, periods: int) -> np.ndarray:
    """Mean over `periods` bars of the true range; before that, of the first such mean, as theirs looks ahead."""
    before = np.vstack([np.full((1, 1), np.nan), prices.close[:-1]])
    true = np.maximum(prices.high, before) - np.minimum(prices.low, before)
    return pd.Series(true[:, 0]).rolling(periods).mean().bfill().to_numpy()


@pytest.mark.parametrize("market", ["goog", "random"])
def test_its_trailing_strategy_equals_a_rule_that_moves_a_stop(backtesting: Any, market: str) -> None:
    from backtesting.lib import TrailingStrategy

    random = np.random.default_rng(5)
    total = 0
    for _ in range(1 if market == "goog" else 60):
        prices = of_goog() if market == "goog" else at_random(random, 60)
        periods, times = int(random.choice([5, 20])), float(random.choice([1.5, 2.75]))
        enter, leave = random.random(len(prices.close)) < 0.2, random.random(len(prices.close)) < 0.02
        enter[0] = False

        class Follow(TrailingStrategy):
            def init(self, periods: int = periods, times: float = times) -> None:
                super().init()
                self.set_atr_periods(periods)
                self.set_trailing_sl(times)

            def next(self, enter: Any = enter, leave: Any = leave) -> None:
                super().next()
                t = len(self.data) - 1
                if self.position and leave[t]:
                    self.position.close()
                elif not self.position and enter[t]:
                    self.buy(size=10)

        stats = backtesting.Backtest(prices.frame(), Follow, cash=CASH).run()
        expected: Filled = Counter()
        for row in stats["_trades"].itertuples():
            expected[int(row.EntryBar), 1, round(float(row.EntryPrice), 6)] += int(row.Size)
            expected[int(row.ExitBar), -1, round(float(row.ExitPrice), 6)] += int(row.Size)
        for trade in stats["_strategy"].trades:
            expected[trade.entry_bar, 1, round(float(trade.entry_price), 6)] += trade.size
        columns = {"enter": enter, "leave": leave, "distance": times * average_true_range(prices, periods)}
        actual, _ = played(told(Trail, {name: each[:, None] for name, each in columns.items()}), prices)
        assert actual == expected
        total += len(actual)
    assert total > 150
