"""`Result.to_vectorbt()`: the same fills give the same value, bar by bar."""

from __future__ import annotations

import sys
import warnings
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

import quantkit as qk
from quantkit.backtest.result import Result
from quantkit.backtest.vectorbt import CASH_IN, CASH_OUT
from quantkit.data.bars import Bars
from quantkit.errors import ConfigError
from quantkit.market.costs import Costs
from tests.backtest.factories import Account, random_bars, random_result, random_run

pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.fixture(scope="module", autouse=True)
def vbt() -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return pytest.importorskip("vectorbt", reason="the extra [vectorbt] brings it")


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


def test_deposits_are_refused_by_name() -> None:
    bars = random_bars(60, 2)
    with pytest.raises(ConfigError, match=r"deposits .* count as profit"):
        Result(bars=bars, run=random_run(bars, monthly=1_000)).to_vectorbt()


@pytest.mark.parametrize("seed", range(3))
def test_dividends_and_splits_keep_the_value(seed: int) -> None:
    bars = random_bars(300, 3, seed=seed)
    result = Result(bars=bars, run=random_run(bars, seed=seed, actions=True))
    portfolio = result.to_vectorbt()
    assert result.figures["dividends"] > 0.0
    assert list(portfolio.wrapper.columns) == [*bars.symbols, CASH_IN]
    np.testing.assert_allclose(portfolio.value().reindex(bars.index), result.equity, rtol=0, atol=2.0)
    received = portfolio.trades.records_readable.set_index("Column").loc[CASH_IN]
    assert received["Status"] == "Open"
    assert received["PnL"] == pytest.approx(result.figures["dividends"], abs=1e-3)
    assert portfolio.orders.fees.sum() == pytest.approx(result.fills[["commission", "tax"]].to_numpy().sum())


def test_interest_and_borrowing_fees_are_columns_of_their_own() -> None:
    bars = random_bars(200, 2, drift=-0.002)
    weights = np.where(np.arange(200)[:, None] > 20, [[-0.3, 0.2]], 0.0)
    costs = replace(Costs.kis(), interest=0.03, borrow=0.05)
    result = qk.backtest(targets=weights, bars=bars, short="simulate", costs=costs)
    assert result.figures["interest"] > 0.0
    assert result.figures["borrow_cost"] > 0.0
    portfolio = result.to_vectorbt()
    assert list(portfolio.wrapper.columns[-2:]) == [CASH_IN, CASH_OUT]
    np.testing.assert_allclose(portfolio.value().reindex(bars.index), result.equity, rtol=0, atol=1.0)
    np.testing.assert_allclose(portfolio.cash().reindex(bars.index), result.run.cash, rtol=0, atol=1.0)


def test_shares_that_an_action_took_away_are_sold_for_its_cash() -> None:
    bars = random_bars(20, 1)
    account = Account(bars, 10_000_000)
    for t in range(20):
        if t == 1:
            account.fill(t, 0, 1, 10)
        if t == 3:
            account.act(t, 0, delta=-10, cash=250_000)
        account.mark(t)
    result = Result(bars=bars, run=account.out())
    portfolio = result.to_vectorbt()
    np.testing.assert_allclose(portfolio.value(), result.equity, rtol=0, atol=1.0)
    trade = portfolio.trades.records_readable.iloc[0]
    assert (trade["Status"], trade["Avg Exit Price"]) == ("Closed", 25_000.0)


def test_a_name_that_lists_late_and_leaves_early_has_a_value_throughout() -> None:
    source = random_bars(60, 2)
    fields = {name: source.field(name).copy() for name in ("open", "high", "low", "close", "volume")}
    for values in fields.values():
        values[:20, 1] = np.nan
        values[50:, 1] = np.nan
    bars = Bars(times=source.times, symbols=source.symbols, fields=fields)
    result = qk.backtest(targets=np.ones(bars.shape, bool), bars=bars)
    assert set(result.fills["symbol"]) == set(bars.symbols)
    value = result.to_vectorbt().value()
    np.testing.assert_allclose(value.reindex(bars.index), result.equity, rtol=0, atol=1.0)
    assert np.isfinite(value).all()


@pytest.fixture(scope="module")
def crossing() -> Result:
    bars = random_bars(400, 1, drift=0.001)
    return qk.backtest(targets=qk.ta.sma(bars.close, 5) > qk.ta.sma(bars.close, 20), bars=bars)


def test_its_own_figures_agree_with_ours(crossing: Result) -> None:
    portfolio, ours = crossing.to_vectorbt(), crossing.figures
    theirs = portfolio.stats()
    assert theirs["Total Return [%]"] == pytest.approx(100 * ours["total_return"])
    assert theirs["Total Closed Trades"] == ours["trades"]
    assert theirs["Total Open Trades"] == ours["open_trades"]
    assert theirs["Win Rate [%]"] == pytest.approx(100 * ours["win_rate"])
    assert theirs["Profit Factor"] == pytest.approx(ours["profit_factor"])
    assert theirs["Total Fees Paid"] == pytest.approx(ours["commission"] + ours["tax"])
    assert theirs["Max Drawdown [%]"] == pytest.approx(-100 * ours["max_drawdown"])
    assert theirs["End Value"] == ours["final_equity"]
    assert portfolio.sharpe_ratio(year_freq="252 days") == pytest.approx(ours["sharpe"])
    assert portfolio.sortino_ratio(year_freq="252 days") == pytest.approx(ours["sortino"])


def test_orders_trades_and_drawdowns_are_the_same_rows(crossing: Result) -> None:
    portfolio = crossing.to_vectorbt()
    orders, fills = portfolio.orders.records_readable, crossing.fills
    assert (orders["Timestamp"].to_numpy() == fills["time"].to_numpy()).all()
    assert (orders["Side"].str.lower().to_numpy() == fills["side"].to_numpy()).all()
    np.testing.assert_allclose(orders["Size"], fills["quantity"])
    np.testing.assert_allclose(orders["Price"], fills["price"])
    np.testing.assert_allclose(orders["Fees"], fills["commission"] + fills["tax"])
    trades = portfolio.trades.records_readable
    np.testing.assert_allclose(trades["PnL"], crossing.trades["pnl"], atol=1e-3)
    np.testing.assert_allclose(trades["Return"], crossing.trades["return"], rtol=1e-2)
    drawdowns = portfolio.drawdowns.records_readable
    assert sorted(drawdowns["Valley Timestamp"]) == sorted(crossing.drawdowns["trough"])


def test_its_pictures_are_drawn(crossing: Result) -> None:
    portfolio = crossing.to_vectorbt()
    for draw in (portfolio.plot, portfolio.trades.plot, portfolio.orders.plot, portfolio.drawdowns.plot,
                 portfolio.plot_underwater):  # fmt: skip
        assert len(draw().data) > 0
    several = random_result(120, 3, actions=True).to_vectorbt()
    assert len(several.plot().data) > 0
    assert len(several.trades.plot(column="005930").data) > 0


def test_durations_are_known_inside_the_day() -> None:
    theirs = random_result(300, 2, freq="5m").to_vectorbt().stats()
    assert theirs["Period"] >= np.timedelta64(300 * 5, "m")


def test_a_missing_vectorbt_is_named_with_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "vectorbt", None)
    with pytest.raises(ConfigError, match=r"quantkit\[vectorbt\]"):
        random_result(20, 1).to_vectorbt()
