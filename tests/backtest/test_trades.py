"""Round trips: first in first out by hand, and against a slow matcher in plain Python on random accounts."""

from __future__ import annotations

from collections import deque

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quantkit.backtest.output import RunOutput
from quantkit.backtest.trades import Trades, round_trips
from quantkit.core.state import RULES
from quantkit.data.bars import Bars
from tests.backtest.factories import Account, random_bars, random_run


@pytest.fixture
def bars() -> Bars:
    return random_bars(30, 2)


def trades_of(account: Account) -> Trades:
    return round_trips(account.out(), last_price=account.bars.raw.close[-1])


def test_one_sale_closes_the_oldest_buys_first(bars: Bars) -> None:
    account = Account(bars, 10_000_000)
    account.fill(1, 0, 1, 10, price=100.0, commission=10, tax=0)
    account.fill(2, 0, 1, 10, price=110.0, commission=20, tax=0)
    account.fill(3, 0, -1, 15, price=120.0, commission=30, tax=15, rule="take_profit")
    trades = trades_of(account)
    assert trades.quantity.tolist() == [10, 5, 5]
    assert trades.entry_bar.tolist() == [1, 2, 2]
    assert trades.exit_bar.tolist() == [3, 3, len(bars) - 1]
    assert trades.open.tolist() == [False, False, True]
    assert trades.rule.tolist() == [RULES.index("take_profit")] * 2 + [-1]
    assert trades.cost[:2].tolist() == [10 + 30.0, 10 + 15.0]  # half of the second buy's, a third of the sale's
    assert trades.pnl[:2].tolist() == [10 * 20 - 40.0, 5 * 10 - 25.0]
    assert trades.ret[0] == pytest.approx(160 / 1000)
    assert trades.exit_price[2] == bars.raw.close[-1, 0]


def test_a_split_changes_neither_value_nor_profit(bars: Bars) -> None:
    account = Account(bars, 10_000_000)
    account.fill(1, 0, 1, 10, price=5_000.0, commission=0, tax=0)
    account.act(2, 0, delta=490)
    account.fill(3, 0, -1, 500, price=110.0, commission=0, tax=0)
    trades = trades_of(account)
    assert (trades.quantity[0], trades.entry_price[0], trades.exit_price[0]) == (500, 100.0, 110.0)
    assert trades.pnl[0] == 5_000.0
    assert trades.ret[0] == pytest.approx(0.1)


def test_a_consolidation_keeps_the_sum_of_shares_and_the_money(bars: Bars) -> None:
    account = Account(bars, 10_000_000)
    for t, quantity in ((1, 3), (2, 4), (3, 3)):
        account.fill(t, 0, 1, quantity, price=100.0, commission=0, tax=0)
    account.act(4, 0, delta=-9)  # ten shares become one
    account.fill(5, 0, -1, 1, price=1_500.0, commission=0, tax=0)
    trades = trades_of(account)
    assert trades.quantity.tolist() == [1]
    assert trades.pnl.sum() == pytest.approx(500.0)


def test_an_action_that_takes_all_shares_closes_for_its_cash(bars: Bars) -> None:
    account = Account(bars, 10_000_000)
    account.fill(1, 0, 1, 10, price=100.0, commission=0, tax=0)
    account.act(2, 0, delta=-10, cash=700)
    account.fill(5, 0, 1, 1, price=90.0, commission=0, tax=0)
    trades = trades_of(account)
    assert (trades.pnl[0], trades.rule[0], trades.open[0]) == (-300.0, -1, False)
    assert trades.quantity.tolist() == [10, 1]


def test_dividends_go_to_the_shares_held_by_number(bars: Bars) -> None:
    account = Account(bars, 10_000_000)
    account.act(0, 0, cash=999)  # nothing held: belongs to no trade
    account.fill(1, 0, 1, 30, price=100.0, commission=0, tax=0)
    account.fill(2, 0, 1, 10, price=100.0, commission=0, tax=0)
    account.act(3, 0, cash=400)
    account.fill(4, 0, -1, 40, price=100.0, commission=0, tax=0)
    trades = trades_of(account)
    assert trades.dividend.tolist() == [300.0, 100.0]
    assert trades.pnl.tolist() == [300.0, 100.0]


def test_a_short_is_a_trade_of_negative_shares(bars: Bars) -> None:
    account = Account(bars, 10_000_000)
    account.fill(1, 0, -1, 10, price=100.0, commission=0, tax=0)
    account.fill(2, 0, 1, 15, price=90.0, commission=0, tax=0)  # covers, and turns long by five
    account.fill(3, 0, -1, 5, price=80.0, commission=0, tax=0)
    trades = trades_of(account)
    assert trades.quantity.tolist() == [-10, 5]
    assert trades.pnl.tolist() == [100.0, -50.0]
    assert trades.ret.tolist() == pytest.approx([0.1, -50 / 450])


def test_no_fills_make_no_trades(bars: Bars) -> None:
    assert len(trades_of(Account(bars, 1_000))) == 0


def test_cents_are_put_into_dollars() -> None:
    run = RunOutput(
        np.array([100_000, 100_000, 101_000]), np.array([100_000, 0, 0]), np.zeros(3, np.int64),
        {"bar": [1], "symbol": [0], "side": [1], "quantity": [10], "price": [100.0], "commission": [125], "tax": [0]},
        {}, {}, 100_000,
    )  # fmt: skip
    trades = round_trips(run, last_price=np.array([101.0]), minor_unit=100)
    assert (trades.cost[0], trades.pnl[0]) == (1.25, 10 - 1.25)


def slow_trades(run: RunOutput, last_price: np.ndarray) -> list[tuple[int, int, int, int, bool]]:
    """(symbol, entry bar, exit bar, quantity, open) of every trade, lot by lot; long only, no actions."""
    found = []
    for symbol in range(len(last_price)):
        lots: deque[list[int]] = deque()
        rows = np.flatnonzero(run.fills["symbol"] == symbol)
        for k in rows:
            bar, left = int(run.fills["bar"][k]), int(run.fills["quantity"][k])
            if run.fills["side"][k] > 0:
                lots.append([bar, left])
                continue
            while left:
                taken = min(left, lots[0][1])
                found.append((symbol, lots[0][0], bar, taken, False))
                left -= taken
                lots[0][1] -= taken
                if not lots[0][1]:
                    lots.popleft()
        found += [(symbol, bar, len(run) - 1, quantity, True) for bar, quantity in lots]
    return sorted(found)


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10_000), names=st.integers(1, 5))
def test_random_accounts_equal_the_slow_matcher(seed: int, names: int) -> None:
    bars = random_bars(120, names, seed=seed)
    run = random_run(bars, seed=seed, every=2)
    trades = round_trips(run, last_price=bars.raw.close[-1])
    columns = (trades.symbol, trades.entry_bar, trades.exit_bar, trades.quantity, trades.open)
    assert sorted(zip(*(column.tolist() for column in columns), strict=True)) == slow_trades(run, bars.raw.close[-1])


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10_000), names=st.integers(1, 5))
def test_profits_of_all_trades_are_what_the_account_gained(seed: int, names: int) -> None:
    bars = random_bars(150, names, seed=seed)
    run = random_run(bars, seed=seed, actions=True, monthly=300_000, every=3)
    trades = round_trips(run, last_price=bars.raw.close[-1])
    gained = int(run.equity[-1] - run.initial_cash - run.deposits.sum())
    assert trades.pnl.sum() == pytest.approx(gained, abs=0.01)


def test_trades_come_by_exit_with_open_ones_last() -> None:
    bars = random_bars(300, 3)
    trades = round_trips(random_run(bars), last_price=bars.raw.close[-1])
    assert (np.diff(trades.open.astype(int)) >= 0).all()
    assert (np.diff(trades.exit_bar) >= 0).all()
