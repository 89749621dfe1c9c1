"""Where quantkit and backtesting.py mean different things, on the smallest market that shows it.

docs/oracles.md says why. Fills are (bar, shares bought or sold, price).
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from quantkit.backtest.run import backtest
from quantkit.core.policy import Policy
from tests.oracles.exact import fills_of, float_costs
from tests.oracles.markets import Prices, by_hand
from tests.oracles.rules import Bracketed, told

pytestmark = pytest.mark.filterwarnings("ignore")
LIKE_THEIRS = Policy(collar=None, limit_fill="touch")
Order = dict[str, float]
Orders = dict[int, list[Order]]  # bar it is decided on -> orders; a size below 0 sells
Fills = list[tuple[int, float, float]]
NAMES = ("size", "limit", "stop", "sl", "tp")
CALM = (100.0, 101.0, 99.0, 100.0)


def theirs(backtesting: Any, prices: Prices, orders: Orders, **settings: Any) -> Fills:
    class Follow(backtesting.Strategy):
        def init(self) -> None:
            pass

        def next(self) -> None:
            for order in orders.get(len(self.data) - 1, []):
                size = order["size"]
                given = {name: value for name, value in order.items() if name != "size"}
                (self.buy if size > 0 else self.sell)(size=abs(size), **given)

    stats = backtesting.Backtest(prices.frame(), Follow, **({"cash": 10_000} | settings)).run()
    fills = [(trade.entry_bar, trade.size, float(trade.entry_price)) for trade in stats["_strategy"].trades]
    for row in stats["_trades"].itertuples():
        fills.append((row.EntryBar, row.Size, float(row.EntryPrice)))
        fills.append((row.ExitBar, -row.Size, float(row.ExitPrice)))
    return sorted(fills, key=lambda fill: fill[0])


def ours(
    prices: Prices, orders: Orders, *, policy: Policy = LIKE_THEIRS, cash: float = 10_000, **settings: Any
) -> Fills:
    columns = {name + more: np.full(prices.close.shape, np.nan) for name in NAMES for more in ("", " 2")}
    for bar, given in orders.items():
        for order, more in zip(given, ("", " 2"), strict=False):
            for name, value in order.items():
                columns[name + more][bar] = value
    costs = settings.pop("costs", float_costs())
    result = backtest(told(Bracketed, columns), prices.bars(), policy=policy, cash=cash, costs=costs, **settings)
    return [(fill.bar, fill.side * fill.shares, round(fill.price, 6)) for fill in fills_of(result)]


def test_a_bracket_whose_bar_opens_beyond_the_take_sells_there(backtesting: Any) -> None:
    prices, orders = by_hand(CALM, CALM, CALM, (112, 113, 94, 96)), {1: [{"size": 3.0, "sl": 95, "tp": 110}]}
    assert theirs(backtesting, prices, orders) == [(2, 3, 100), (3, -3, 95)]
    assert ours(prices, orders) == [(2, 3, 100), (3, -3, 112)]


def test_exits_work_from_the_moment_their_limit_entry_fills(backtesting: Any) -> None:
    prices = by_hand(CALM, CALM, (100, 100.5, 94, 96), (96, 97, 94, 96))
    orders = {1: [{"size": 3.0, "limit": 98, "sl": 95}]}
    assert theirs(backtesting, prices, orders) == [(2, 3, 98), (3, -3, 95)]
    assert ours(prices, orders) == [(2, 3, 98), (2, -3, 95)]  # it fell through both


def test_what_one_order_does_hangs_on_no_other(backtesting: Any) -> None:
    prices = by_hand(CALM, CALM, (100, 108, 98, 104), (104, 104, 101, 102))
    entry, other = {"size": 3.0, "stop": 103, "sl": 102}, {"size": 2.0, "sl": 95}
    assert theirs(backtesting, prices, {1: [entry]}) == [(2, 3, 103), (3, -3, 102)]
    both = theirs(backtesting, prices, {1: [entry, other]})
    assert sorted(both) == [(2, -3, 100), (2, 2, 100), (2, 3, 103)]  # sold at the open that came before it was bought
    assert ours(prices, {1: [entry]}) == [(2, 3, 103), (3, -3, 102)]
    assert ours(prices, {1: [entry, other]}) == [(2, 2, 100), (2, 3, 103), (3, -3, 102)]


def test_a_stop_limit_that_opens_past_its_stop_pays_the_open(backtesting: Any) -> None:
    orders = {1: [{"size": 3.0, "stop": 105, "limit": 107}]}
    between = by_hand(CALM, CALM, (106, 108, 105.5, 107))
    assert theirs(backtesting, between, orders) == [(2, 3, 105)]  # the bar's low is 105.5
    assert ours(between, orders) == [(2, 3, 106)]
    beyond = by_hand(CALM, CALM, (110, 111, 106, 109))
    assert theirs(backtesting, beyond, orders) == [(2, 3, 105)]
    assert ours(beyond, orders) == [(2, 3, 107)]


def test_a_stop_limit_may_fill_on_the_way_back(backtesting: Any) -> None:
    prices = by_hand(CALM, CALM, (104, 106, 101.5, 104), (104, 104, 102, 103))
    orders = {1: [{"size": 3.0, "stop": 105, "limit": 103}]}
    assert theirs(backtesting, prices, orders) == [(3, 3, 103)]
    assert ours(prices, orders) == [(2, 3, 103)]  # the high is nearer to the open, so the low came after it
    assert ours(prices, orders, policy=Policy(collar=None, limit_fill="touch", path="optimistic")) == [(3, 3, 103)]


def test_a_limit_is_never_exceeded_by_the_spread(backtesting: Any) -> None:
    prices, orders = by_hand(CALM, CALM, (100, 106, 98, 104)), {1: [{"size": 3.0, "limit": 99}]}
    assert theirs(backtesting, prices, orders, spread=0.02) == [(2, 3, 100.98)]
    assert ours(prices, orders, costs=float_costs(slippage=0.02)) == [(2, 3, 99)]


def test_a_spread_paid_on_entries_is_paid_on_buys(backtesting: Any) -> None:
    prices = by_hand((100, 110, 90, 100), (100, 110, 90, 100), (100, 110, 90, 100), (100, 110, 90, 100))
    there = theirs(backtesting, prices, {1: [{"size": -3.0}], 2: [{"size": 3.0}]}, spread=0.02)
    assert there == [(2, -3, 98), (3, 3, 100)]
    policy = Policy(weighting="shares", amount=3, collar=None, slippage_on="entry", short="simulate")
    targets = np.array([[0.0], [-1.0], [0.0], [0.0]])
    result = backtest(targets=targets, bars=prices.bars(), policy=policy, cash=10_000, costs=float_costs(slippage=0.02))
    assert [(fill.bar, fill.side * fill.shares, fill.price) for fill in fills_of(result)] == [(2, -3, 100), (3, 3, 102)]


def test_a_limit_touched_is_not_filled_unless_asked(backtesting: Any) -> None:
    prices, orders = by_hand(CALM, CALM, (100, 101, 99, 100)), {1: [{"size": 3.0, "limit": 99}]}
    assert theirs(backtesting, prices, orders) == [(2, 3, 99)]
    assert ours(prices, orders) == [(2, 3, 99)]
    assert ours(prices, orders, policy=Policy()) == []


def test_a_market_order_waits_for_a_price_near_the_last(backtesting: Any) -> None:
    prices, orders = by_hand(CALM, CALM, (120, 121, 119, 120)), {1: [{"size": 3.0}]}
    assert theirs(backtesting, prices, orders) == [(2, 3, 120)]
    assert ours(prices, orders) == [(2, 3, 120)]
    assert ours(prices, orders, policy=Policy()) == []  # the collar is 10 %


def test_a_resting_buy_beyond_the_cash_is_cut(backtesting: Any) -> None:
    prices, orders = by_hand(CALM, CALM, (100, 101, 89, 90)), {1: [{"size": 300.0, "limit": 90}]}
    assert theirs(backtesting, prices, orders) == []
    assert ours(prices, orders) == [(2, 111, 90)]


def test_selling_more_than_is_held_opens_no_short(backtesting: Any) -> None:
    prices = by_hand(CALM, CALM, CALM, (104, 105, 101, 102))
    orders = {1: [{"size": 3.0}], 2: [{"size": -5.0, "limit": 103}]}
    assert theirs(backtesting, prices, orders) == [(2, 3, 100), (3, -2, 104), (3, -3, 104)]
    assert ours(prices, orders) == [(2, 3, 100), (3, -3, 104)]


def test_a_stop_passed_in_a_gap_pays_the_open_whatever_market_orders_do(backtesting: Any) -> None:
    prices, orders = by_hand(CALM, CALM, (110, 111, 108, 109)), {1: [{"size": 3.0, "stop": 103}]}
    assert theirs(backtesting, prices, orders) == [(2, 3, 110)]
    assert theirs(backtesting, prices, orders, trade_on_close=True) == [(2, 3, 103)]
    assert ours(prices, orders, fill="close") == [(2, 3, 110)]


def test_a_fixed_commission_does_not_shrink_a_fraction(backtesting: Any) -> None:
    prices = by_hand(10, 10, 10)
    there = theirs(backtesting, prices, {1: [{"size": 0.5}]}, cash=1_000, commission=(5, 0))
    assert there == [(2, 25, 10)]  # it counts 5 / 0.5 a share
    targets = np.array([[0.0], [0.5], [0.5]])
    policy = Policy(weighting="buying_power", amount=1.0, collar=None)
    result = backtest(targets=targets, bars=prices.bars(), policy=policy, cash=1_000, costs=float_costs(fixed=5))
    assert [(fill.bar, fill.shares, fill.price) for fill in fills_of(result)] == [(2, 50, 10)]


def test_what_is_held_at_the_end_counts_at_the_last_close(backtesting: Any) -> None:
    prices, orders = by_hand(CALM, CALM, CALM, (102, 104, 101, 104)), {1: [{"size": 3.0}]}
    assert theirs(backtesting, prices, orders, finalize_trades=True) == [(2, 3, 100), (3, -3, 102)]
    result = backtest(targets=[[False], [True], [True], [True]], bars=prices.bars(), cash=10_000,
                      policy=Policy(weighting="shares", amount=3, collar=None), costs=float_costs())  # fmt: skip
    assert [(fill.bar, fill.shares) for fill in fills_of(result)] == [(2, 3)]
    assert result.equity.iloc[-1] == 10_000 + 3 * 4


def test_a_rule_decides_on_the_first_bar(backtesting: Any) -> None:
    prices, orders = by_hand(CALM, CALM, CALM), {0: [{"size": 3.0}]}
    assert theirs(backtesting, prices, orders) == []
    assert ours(prices, orders) == [(1, 3, 100)]


def test_a_trailing_stop_knows_no_range_of_tomorrow(backtesting: Any) -> None:
    from backtesting.lib import TrailingStrategy

    class Follow(TrailingStrategy):
        def init(self) -> None:
            super().init()
            self.set_atr_periods(4)
            self.set_trailing_sl(1)

        def next(self) -> None:
            super().next()
            if len(self.data) == 2:
                self.buy(size=3)

    def sold(*after: tuple[float, float, float, float]) -> list[tuple[int, float]]:
        prices = by_hand(CALM, CALM, CALM, (97, 98, 96, 97), *after)
        trades = backtesting.Backtest(prices.frame(), Follow).run()["_trades"]
        return [(row.ExitBar, float(row.ExitPrice)) for row in trades.itertuples() if row.ExitBar == 3]

    calm, wild = (97.0, 98.0, 96.0, 97.0), (97.0, 120.0, 80.0, 97.0)
    assert sold(calm) == [(3, 97)]  # of bars 1 to 4, of which the last was still to come
    assert sold(wild) == []  # the same four bars, and another stop on the third
