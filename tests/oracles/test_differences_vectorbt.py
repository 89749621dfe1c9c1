"""Where quantkit and vectorbt mean different things, on the smallest market that shows it: docs/oracles.md says why.

Fills are (bar, column, shares bought or sold, price).
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from quantkit.backtest.run import backtest
from quantkit.core.policy import Policy
from quantkit.data.bars import Bars, midnights
from tests.oracles.exact import NANO, fills_of, float_costs
from tests.oracles.markets import Prices, by_hand, side_by_side
from tests.oracles.rules import AlwaysIn, DayOrders, GoalsAtClose, SignalsAtClose, told

pytestmark = pytest.mark.filterwarnings("ignore")
TEN = Policy(weighting="shares", amount=10, collar=None)


def flags(prices: Prices, bars: list[int]) -> np.ndarray:
    return np.isin(np.arange(len(prices.close)), bars)[:, None] & np.ones(prices.close.shape, bool)


def short(fills: Any) -> list[tuple[int, int, float, float]]:
    return [(fill[0], fill[1], fill[2] * fill[3], round(fill[4], 6)) for fill in fills]


def records(portfolio: Any) -> list[tuple[int, int, float, float]]:
    rows = portfolio.order_records
    return short(
        sorted(
            (int(r["idx"]), int(r["col"]), -1 if r["side"] else 1, float(r["size"]), float(r["price"])) for r in rows
        )
    )


def from_signals(vbt: Any, prices: Prices, enter: list[int], leave: list[int], **settings: Any):
    frames = {name: pd.DataFrame(getattr(prices, name)) for name in ("open", "high", "low")}
    return records(
        vbt.Portfolio.from_signals(
            pd.DataFrame(prices.close), pd.DataFrame(flags(prices, enter)), pd.DataFrame(flags(prices, leave)),
            **frames, freq="1D", **({"size": 10.0, "init_cash": 100_000.0} | settings),
        )
    )  # fmt: skip


def ours(
    prices: Prices,
    rule: Any = None,
    *,
    targets: Any = None,
    policy: Policy = TEN,
    fill: str = "close",
    cash: float = 100_000.0,
    slippage: float = 0.0,
):
    result = backtest(
        rule, prices.bars(), targets=None if targets is None else np.array(targets)[:, None], policy=policy, fill=fill,
        cash=cash, costs=float_costs(slippage=slippage),
    )  # fmt: skip
    return short(fills_of(result))


def follow(rule: type, prices: Prices, enter: list[int], leave: list[int], **params: Any) -> Any:
    return told(rule, {"enter": flags(prices, enter), "leave": flags(prices, leave)}, **params)


def test_a_bar_that_opens_beyond_the_take_sells_there_whatever_follows(vbt: Any) -> None:
    prices = by_hand(100, (112, 113, 90, 95), 95)
    assert from_signals(vbt, prices, [0], [], sl_stop=0.05, tp_stop=0.1) == [(0, 0, 10, 100), (1, 0, -10, 95)]
    sold_at_once = [(0, 0, 10, 100), (1, 0, -10, 112)]
    rule = follow(SignalsAtClose, prices, [0], [], stop=0.05, take=0.1)
    assert ours(prices, rule, policy=Policy(collar=None, limit_fill="touch")) == sold_at_once
    rule = follow(GoalsAtClose, prices, [0], [], shares=10)
    assert ours(prices, rule, policy=Policy(collar=None, stop_loss=0.05, take_profit=0.1)) == sold_at_once


def test_the_policys_trailing_stop_follows_the_high_of_the_same_bar(vbt: Any) -> None:
    prices = by_hand(100, (100, 120, 99, 101), (110, 111, 109, 110))
    assert from_signals(vbt, prices, [0], [], sl_stop=0.05, sl_trail=True) == [(0, 0, 10, 100), (2, 0, -10, 110)]
    rule = follow(GoalsAtClose, prices, [0], [], shares=10)
    assert ours(prices, rule, policy=Policy(collar=None, trailing_stop=0.05)) == [(0, 0, 10, 100), (1, 0, -10, 114)]


def test_the_bar_of_an_entry_at_the_open_can_stop_it_out(vbt: Any) -> None:
    prices = by_hand(100, (100, 101, 80, 100), 100)
    there = from_signals(vbt, prices, [1], [], price=pd.DataFrame(prices.open), sl_stop=0.05)
    assert there == [(1, 0, 10, 100)]
    policy = Policy(weighting="shares", amount=10, collar=None, stop_loss=0.05)
    here = ours(prices, targets=[True, True, True], policy=policy, fill="next_open")
    assert here == [(1, 0, 10, 100), (1, 0, -10, 95)]


def test_a_stop_is_measured_from_the_price_paid(vbt: Any) -> None:
    prices = by_hand(100, (100, 101, 97, 98), (97, 97, 90, 92))
    there = from_signals(vbt, prices, [1], [], price=pd.DataFrame(prices.open), sl_stop=0.05)
    assert there == [(1, 0, 10, 100), (2, 0, -10, 93.1)]  # 98 x 0.95
    policy = Policy(weighting="shares", amount=10, collar=None, stop_loss=0.05)
    here = ours(prices, targets=[True, True, True], policy=policy, fill="next_open")
    assert here == [(1, 0, 10, 100), (2, 0, -10, 95)]


def test_buying_more_moves_the_stop_to_the_average_price(vbt: Any) -> None:
    prices = by_hand(100, 100, 120, 113, 100)
    there = from_signals(vbt, prices, [1, 2], [], sl_stop=0.05, accumulate=True)
    assert there == [(1, 0, 10, 100), (2, 0, 10, 120), (3, 0, -20, 113)]  # 120 x 0.95 = 114
    policy = Policy(weighting="shares", amount=10, collar=None, stop_loss=0.05)
    here = ours(prices, targets=[0.0, 1.0, 2.0, 2.0, 2.0], policy=policy)
    assert here == [(1, 0, 10, 100), (2, 0, 10, 120), (4, 0, -20, 100)]  # 110 x 0.95 = 104.5


def test_a_rule_may_act_on_the_bar_of_its_stop(vbt: Any) -> None:
    prices = by_hand(100, (100, 100, 90, 94), 96)
    there = from_signals(vbt, prices, [0, 1, 2], [], sl_stop=0.05)
    assert there == [(0, 0, 10, 100), (1, 0, -10, 95), (2, 0, 10, 96)]
    here = ours(prices, told(AlwaysIn, {}), policy=Policy(collar=None, stop_loss=0.05))
    assert here == [(0, 0, 10, 100), (1, 0, -10, 95), (1, 0, 10, 94)]


def test_a_target_that_was_stopped_out_stays_out_until_it_was_flat(vbt: Any) -> None:
    prices = by_hand(100, (100, 100, 90, 94), 96, 97, 98)
    there = from_signals(vbt, prices, [0, 1, 2, 3, 4], [], sl_stop=0.05)
    assert there == [(0, 0, 10, 100), (1, 0, -10, 95), (2, 0, 10, 96)]
    policy = Policy(weighting="shares", amount=10, collar=None, stop_loss=0.05)
    assert ours(prices, targets=[True] * 5, policy=policy) == [(0, 0, 10, 100), (1, 0, -10, 95)]
    again = ours(prices, targets=[True, True, True, False, True], policy=policy)
    assert again == [(0, 0, 10, 100), (1, 0, -10, 95), (4, 0, 10, 98)]


def test_an_exit_at_the_open_comes_before_a_stop_later_in_that_bar(vbt: Any) -> None:
    prices = by_hand(100, 100, (99, 99, 90, 92), 92)
    there = from_signals(vbt, prices, [1], [2], price=pd.DataFrame(prices.open), sl_stop=0.05)
    assert there == [(1, 0, 10, 100), (2, 0, -10, 95)]
    policy = Policy(weighting="shares", amount=10, collar=None, stop_loss=0.05)
    here = ours(prices, targets=[True, False, False, False], policy=policy, fill="next_open")
    assert here == [(1, 0, 10, 100), (2, 0, -10, 99)]


def test_slippage_stays_inside_the_bar(vbt: Any) -> None:
    prices = by_hand((100, 102, 98, 100), (100, 100, 94.9, 96))
    there = from_signals(vbt, prices, [0], [], sl_stop=0.05, slippage=0.01, stop_exit_price="stopmarket")
    assert there == [(0, 0, 10, 101), (1, 0, -10, 94.05)]
    there = from_signals(vbt, prices, [0], [], sl_stop=0.05, slippage=0.01)  # its default: none on a stop
    assert there == [(0, 0, 10, 101), (1, 0, -10, 95)]
    rule = follow(SignalsAtClose, prices, [0], [], stop=0.05)
    assert ours(prices, rule, slippage=0.01) == [(0, 0, 10, 101), (1, 0, -10, 94.9)]


def test_shares_are_whole(vbt: Any) -> None:
    prices = by_hand(100, 300)
    there = from_signals(vbt, prices, [0], [1], size=np.inf, init_cash=1_050.0)
    assert there == [(0, 0, 10.5, 100), (1, 0, -10.5, 300)]
    rule = follow(GoalsAtClose, prices, [0], [1])
    assert ours(prices, rule, policy=Policy(collar=None), cash=1_050.0) == [(0, 0, 10, 100), (1, 0, -10, 300)]


def test_a_price_that_the_bar_never_saw_fills_nothing(vbt: Any) -> None:
    prices = by_hand(100, (100, 102, 99, 101))
    size, price = pd.DataFrame([np.nan, 10.0]), pd.DataFrame([100.0, 50.0])
    there = vbt.Portfolio.from_orders(pd.DataFrame(prices.close), size, price=price, init_cash=1_000.0, freq="1D")
    assert records(there) == [(1, 0, 10, 50)]
    orders = {"size": [[10.0], [0.0]], "limit": [[50.0], [0.0]], "stop": [[np.nan], [np.nan]]}
    assert ours(prices, told(DayOrders, orders), fill="next_open") == []


def test_money_from_a_sale_inside_the_bar_buys_nothing_else_in_it(vbt: Any) -> None:
    prices = side_by_side(by_hand(100, 100, (100, 111, 99, 105)), by_hand(50, 50, (50, 51, 40, 45)))
    size = pd.DataFrame([[np.nan, np.nan], [10.0, np.nan], [-10.0, 20.0]])
    price = pd.DataFrame([[100.0, 50.0], [100.0, 50.0], [110.0, 42.0]])
    there = vbt.Portfolio.from_orders(
        pd.DataFrame(prices.close), size, price=price, group_by=True, cash_sharing=True, init_cash=1_000.0, freq="1D"
    )
    assert records(there) == [(1, 0, 10, 100), (2, 0, -10, 110), (2, 1, 20, 42)]
    orders = {
        "size": [[10.0, 0.0], [-10.0, 20.0], [0.0, 0.0]],
        "limit": [[100.0, 0.0], [110.0, 42.0], [0.0, 0.0]],
        "stop": [[np.nan, np.nan]] * 3,
    }
    policy = Policy(collar=None, limit_fill="touch")
    here = ours(prices, told(DayOrders, orders), policy=policy, fill="next_open", cash=1_000.0)
    assert here == [(1, 0, 10, 100), (2, 0, -10, 110)]


def test_buys_that_do_not_fit_are_all_cut_alike(vbt: Any) -> None:
    prices = side_by_side(by_hand(10), by_hand(20))
    there = vbt.Portfolio.from_orders(
        pd.DataFrame(prices.close), pd.DataFrame([[0.6, 0.4]]), size_type="targetpercent", group_by=True,
        cash_sharing=True, call_seq="auto", size_granularity=1.0, fees=0.1, init_cash=10_000.0, freq="1D",
    )  # fmt: skip
    assert records(there) == [(0, 0, 509, 10), (0, 1, 200, 20)]

    def here(policy: Policy) -> Any:
        targets = np.array([[0.6, 0.4]])
        costs = float_costs(0.1)
        return short(
            fills_of(
                backtest(targets=targets, bars=prices.bars(), policy=policy, cash=10_000.0, fill="close", costs=costs)
            )
        )

    assert here(Policy(weighting="weight", collar=None)) == [(0, 0, 545, 10), (0, 1, 181, 20)]
    assert here(Policy(weighting="weight", collar=None, shortfall="sequence")) == [(0, 0, 509, 10), (0, 1, 200, 20)]


def test_a_delisted_name_is_settled_at_its_last_close(vbt: Any) -> None:
    close = np.array([[10.0, 20.0], [8.0, 20.0], [np.nan, 20.0], [np.nan, 20.0]])
    targets = np.array([[0.5, np.nan], [np.nan, np.nan], [np.nan, np.nan], [0.0, 0.7]])
    there = vbt.Portfolio.from_orders(
        pd.DataFrame(close), pd.DataFrame(targets), size_type="targetpercent", group_by=True, cash_sharing=True,
        call_seq="auto", size_granularity=1.0, init_cash=1_000.0, freq="1D",
    )  # fmt: skip
    assert records(there) == [(0, 0, 50, 10), (3, 1, 25, 20)]  # cut to its cash of 500; 50 shares stay for ever at 8
    bars = Bars(
        times=midnights(np.arange(4) + 12_000), symbols=("A", "B"), prices="adjusted", markets="NONE", minor_unit=NANO,
        fields=dict.fromkeys(("open", "high", "low", "close"), close) | {"volume": np.ones_like(close)},
    )  # fmt: skip
    result = backtest(
        targets=targets, bars=bars, policy=Policy(weighting="weight", collar=None), cash=1_000.0, fill="close",
        costs=float_costs(),
    )  # fmt: skip
    assert short(fills_of(result)) == [(0, 0, 50, 10), (2, 0, -50, 8), (3, 1, 31, 20)]
