"""`Result.to_vectorbt()`: the same fills give the same value, bar by bar."""

from __future__ import annotations

import sys
import warnings
from typing import Any

import numpy as np
import pytest

from quantkit.backtest.result import Result
from quantkit.data.bars import Bars
from quantkit.errors import ConfigError
from tests.backtest.factories import Account, random_bars, random_result, random_run

pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.fixture(scope="module", autouse=True)
def vbt() -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return pytest.importorskip("vectorbt", reason="the extra [vectorbt] brings it")


def finished(account: Account) -> Result:
    for t in range(len(account.bars)):
        account.held_cash[t] = account.cash
    return Result(bars=account.bars, run=account.out())


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("names", [1, 4])
def test_the_value_is_our_equity_at_every_bar(seed: int, names: int) -> None:
    bars = random_bars(300, names, seed=seed)
    result = Result(bars=bars, run=random_run(bars, seed=seed, every=2))
    portfolio = result.to_vectorbt()
    assert len(portfolio.order_records) == len(result.fills)
    np.testing.assert_allclose(portfolio.value(), result.equity, rtol=0, atol=1e-6)
    np.testing.assert_allclose(portfolio.cash(), result.run.cash, rtol=0, atol=1e-6)
    assert (portfolio.value().index == bars.index).all()


def test_intraday_bars_go_over_too() -> None:
    result = random_result(300, 3, freq="5m")
    np.testing.assert_allclose(result.to_vectorbt().value(), result.equity, rtol=0, atol=1e-6)


def test_several_fills_of_a_symbol_in_one_bar_get_rows_of_their_own() -> None:
    bars = random_bars(6, 2)
    account = Account(bars, 10_000_000)
    for t in range(6):
        if t == 2:
            account.fill(t, 0, 1, 10, price=50_000.0)
            account.fill(t, 0, -1, 10, price=51_000.0, rule="take_profit")
            account.fill(t, 1, 1, 5)
            account.fill(t, 0, 1, 3)
        account.mark(t)
    result = Result(bars=bars, run=account.out())
    value = result.to_vectorbt().value()
    assert len(value) == 8
    np.testing.assert_allclose(value.reindex(bars.index), result.equity, rtol=0, atol=1e-6)


def test_a_split_is_put_into_the_shares_of_the_first_bar() -> None:
    source = random_bars(10, 1)
    close = source.raw.close.copy()
    close[5:] = close[5:] / 3
    bars = Bars(times=source.times, symbols=source.symbols, fields=dict.fromkeys(source._fields, close))
    account = Account(bars, 10_000_000)
    for t in range(10):
        if t == 2:
            account.fill(t, 0, 1, 7)
        if t == 5:
            account.act(t, 0, delta=14)
        if t == 8:
            account.fill(t, 0, -1, 10)
        account.mark(t)
    result = Result(bars=bars, run=account.out())
    np.testing.assert_allclose(result.to_vectorbt().value(), result.equity, rtol=0, atol=1.0)  # equity is whole won


def test_cash_that_is_no_order_is_refused_by_name() -> None:
    bars = random_bars(60, 2)
    with pytest.raises(ConfigError, match="deposits"):
        Result(bars=bars, run=random_run(bars, monthly=1_000)).to_vectorbt()
    account = Account(bars, 10_000_000)
    account.fill(1, 0, 1, 10)
    account.act(3, 0, cash=1_000)
    with pytest.raises(ConfigError, match="dividends"):
        finished(account).to_vectorbt()


def test_shares_that_vanish_are_refused_by_name() -> None:
    bars = random_bars(20, 1)
    account = Account(bars, 10_000_000)
    account.fill(1, 0, 1, 10)
    account.act(3, 0, delta=-10)
    with pytest.raises(ConfigError, match="took all 10 shares of 005930"):
        finished(account).to_vectorbt()


def test_a_missing_vectorbt_is_named_with_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "vectorbt", None)
    with pytest.raises(ConfigError, match=r"quantkit\[vectorbt\]"):
        random_result(20, 1).to_vectorbt()
