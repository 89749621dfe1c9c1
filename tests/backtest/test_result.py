"""`Result`: its figures, tables and warnings, by hand and by laws."""

from __future__ import annotations

import json
import math
from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest

from quantkit.backtest.output import RunOutput
from quantkit.backtest.result import Result
from quantkit.data.bars import Bars
from quantkit.errors import BadData, Bug
from tests.backtest.factories import Account, random_bars, random_result, random_run


@pytest.fixture(scope="module")
def result() -> Result:
    return random_result(750, 4)


def still(bars: Bars, *, cash: int = 1_000_000) -> Result:
    """A run that never trades."""
    return Result(bars=bars, run=RunOutput.empty(np.full(len(bars), cash), initial_cash=cash))


# --- figures ----------------------------------------------------------------------------------------------------------


def test_stats_agree_with_the_series_they_come_from(result: Result) -> None:
    stats, returns = result.stats, result.returns
    assert stats["total_return"] == pytest.approx(result.equity.iloc[-1] / 100_000_000 - 1)
    assert stats["total_return"] == pytest.approx((1 + returns).prod() - 1)
    assert stats["max_drawdown"] == result.drawdown.min()
    assert stats["sharpe"] == pytest.approx(returns.mean() / returns.std() * math.sqrt(252))
    assert stats["exposure"] == pytest.approx(result.exposure.mean())
    assert stats["turnover"] == pytest.approx(result.turnover.sum() / result.years)
    assert stats["trades"] == (~result.trades["open"]).sum()
    assert stats["open_trades"] == result.trades["open"].sum()
    closed = result.trades[~result.trades["open"]]
    assert stats["win_rate"] == pytest.approx((closed["pnl"] > 0).mean())
    gains, losses = closed["pnl"].clip(lower=0).sum(), -closed["pnl"].clip(upper=0).sum()
    assert stats["profit_factor"] == pytest.approx(gains / losses)
    assert stats["avg_win"] == pytest.approx(closed.loc[closed["pnl"] > 0, "return"].mean())
    assert stats["commission"] == result.fills["commission"].sum() == result.costs["commission"].sum()
    assert stats["tax"] == result.costs["tax"].sum()
    assert stats["slippage"] == result.costs["slippage"].sum()
    bought = result.fills[result.fills["side"] == "buy"]
    value = bought["price"] * bought["quantity"]
    assert stats["proceeds_funded_share"] == pytest.approx(value[bought["from_proceeds"]].sum() / value.sum())
    assert stats["profit"] == pytest.approx(result.trades["pnl"].sum())


def test_years_are_of_the_calendar() -> None:
    bars = random_bars(261, 1)  # one year of weekdays
    run = RunOutput.empty(np.linspace(100, 110, 261).astype(np.int64), initial_cash=100)
    result = Result(bars=bars, run=run)
    assert result.stats["cagr"] == pytest.approx(1.1 ** (1 / result.years) - 1)
    assert result.years == pytest.approx(365 / 365.25, abs=0.01)


def test_a_deposit_is_not_a_gain() -> None:
    bars = random_bars(4, 1)
    equity = np.array([1_000, 2_000, 2_200, 2_200])
    run = RunOutput(equity, equity, np.array([0, 1_000, 0, 0]), {}, {}, {}, 1_000)
    result = Result(bars=bars, run=run, benchmark=np.array([1.0, 1.0, 2.0, 2.0]))
    np.testing.assert_allclose(result.returns, [0.0, 0.0, 0.1, 0.0])
    assert result.stats["total_return"] == pytest.approx(0.1)
    assert result.stats["deposits"] == 1_000
    assert result.stats["profit"] == 200
    assert result.benchmark is not None
    np.testing.assert_allclose(result.benchmark, [1_000, 2_000, 4_000, 4_000])  # the same money in the benchmark


def test_a_deposit_does_not_hide_a_drawdown() -> None:
    bars = random_bars(3, 1)
    equity = np.array([1_000, 500, 1_500])
    run = RunOutput(equity, equity, np.array([0, 0, 1_000]), {}, {}, {}, 1_000)
    result = Result(bars=bars, run=run)
    np.testing.assert_allclose(result.drawdown, [0.0, -0.5, -0.5])


def test_a_lost_account_stays_lost() -> None:
    bars = random_bars(4, 1)
    equity = np.array([1_000, 0, 0, 500])
    run = RunOutput(equity, equity, np.array([0, 0, 0, 500]), {}, {}, {}, 1_000)
    result = Result(bars=bars, run=run)
    assert result.stats["total_return"] == -1.0
    assert result.stats["cagr"] == -1.0
    np.testing.assert_allclose(result.returns, [0.0, -1.0, 0.0, 0.0])
    assert any("lost everything" in text for text in result.warnings)


def test_intraday_ratios_look_at_one_return_a_session() -> None:
    result = random_result(600, 2, freq="5m")
    assert len(result.returns) == 100
    closing = result.equity.groupby(result.equity.index.date).last()
    np.testing.assert_allclose(result.returns.iloc[1:], closing.pct_change().dropna())
    assert result.stats["volatility"] == pytest.approx(result.returns.std() * math.sqrt(252))
    assert len(result.drawdown) == 600  # drawdowns look at every bar


def test_benchmark_figures_come_only_with_a_benchmark(result: Result) -> None:
    levels = np.asarray(result.benchmark)
    assert result.stats["benchmark_return"] == pytest.approx(levels[-1] / levels[0] - 1)
    assert result.stats["excess_return"] == pytest.approx(
        result.stats["total_return"] - result.stats["benchmark_return"]
    )
    assert "beta" not in still(result.bars).stats
    assert still(result.bars).benchmark is None


def test_the_benchmark_against_itself_has_beta_one_and_no_alpha() -> None:
    bars = random_bars(300, 1)
    equity = (1_000_000 * bars.raw.close[:, 0]).astype(np.int64)
    run = RunOutput.empty(equity, initial_cash=int(equity[0]))
    stats = Result(bars=bars, run=run, benchmark=bars.raw.close[:, 0]).stats
    assert stats["beta"] == pytest.approx(1.0)
    assert stats["alpha"] == pytest.approx(0.0, abs=1e-9)
    assert stats["excess_return"] == pytest.approx(0.0, abs=1e-9)


def test_a_benchmark_with_a_hole_is_refused(result: Result) -> None:
    levels = np.ones(len(result.bars))
    levels[3] = np.nan
    with pytest.raises(BadData, match="'KOSPI' has the level nan on row 3"):
        Result(bars=result.bars, run=result.run, benchmark=levels, benchmark_name="KOSPI")


def test_a_run_of_another_length_is_a_bug(result: Result) -> None:
    with pytest.raises(Bug, match="750 rows"):
        Result(bars=result.bars.slice(0, 10), run=result.run)


def test_risk_free_lowers_the_ratios(result: Result) -> None:
    dearer = Result(bars=result.bars, run=result.run, risk_free=0.03)
    assert dearer.stats["sharpe"] == pytest.approx(
        (result.returns - 0.03 / 252).mean() / result.returns.std() * math.sqrt(252)
    )


def test_cents_show_as_dollars() -> None:
    source = random_bars(5, 1)
    bars = Bars(
        times=source.times, symbols=("AAPL",), fields={name: source.field(name) for name in source._fields},
        markets="US", minor_unit=100,
    )  # fmt: skip
    result = Result(bars=bars, run=RunOutput.empty(np.full(5, 123_456), initial_cash=123_456))
    assert result.equity.iloc[-1] == 1234.56
    assert "$1,234.56" in result.summary()


# --- tables -----------------------------------------------------------------------------------------------------------


def test_fills_have_the_columns_that_are_promised(result: Result) -> None:
    assert list(result.fills) == ["time", "symbol", "name", "side", "quantity", "price", "commission", "tax",
                                  "slippage", "order_id", "rule", "from_proceeds"]  # fmt: skip
    first = result.fills.iloc[0]
    assert str(first["time"].tz) == "Asia/Seoul"
    assert first["side"] in ("buy", "sell")
    assert result.fills.set_index("symbol").loc["005930", "name"].iloc[0] == "삼성전자"
    assert set(result.fills["rule"]) == {"open", "stop_loss"}


def test_orders_say_what_became_of_them(result: Result) -> None:
    dropped = result.orders[result.orders["status"] == "dropped"]
    assert set(dropped["reason"]) == {"LIMIT_LOCKED"}
    assert (result.orders.loc[result.orders["status"] == "filled", "reason"] == "").all()
    assert (result.orders["done"] >= result.orders["decided"]).all()


def test_an_order_still_working_has_no_end() -> None:
    bars = random_bars(5, 1)
    account = Account(bars, 1_000_000)
    account.order(4, 0, 1, 10)
    for t in range(5):
        account.mark(t)
    run = account.out()
    run.orders["done_bar"][:] = -1
    assert Result(bars=bars, run=run).orders["done"].isna().all()


def test_positions_are_the_running_sum_of_fills_and_actions() -> None:
    bars = random_bars(300, 3)
    run = random_run(bars, actions=True)
    result = Result(bars=bars, run=run)
    shares = np.zeros(3, np.int64)
    for t in range(300):
        for columns, change in ((run.actions, run.actions["share_delta"]),
                                (run.fills, run.fills["side"] * run.fills["quantity"])):  # fmt: skip
            np.add.at(shares, columns["symbol"][columns["bar"] == t], change[columns["bar"] == t])
        assert result.positions.iloc[t].tolist() == shares.tolist()
    assert ((result.positions != 0).sum(axis=1) == result.names_held).all()
    marked = (result.positions.to_numpy() * bars.raw.close).sum(axis=1) + run.cash
    np.testing.assert_allclose(result.equity, marked)


def test_monthly_returns_compound_to_the_year_and_to_the_whole(result: Result) -> None:
    monthly = result.monthly
    assert list(monthly) == [*range(1, 13), "year"]
    np.testing.assert_allclose((1 + monthly[list(range(1, 13))].fillna(0)).prod(axis=1) - 1, monthly["year"])
    assert (1 + monthly["year"]).prod() - 1 == pytest.approx(result.stats["total_return"])
    assert math.isnan(monthly.loc[2020, 12])  # the run ends in November


def test_costs_have_a_row_for_every_month(result: Result) -> None:
    assert len(result.costs) == 35
    assert result.costs.index[0] == pd.Period("2018-01", "M")
    assert (result.costs["total"] == result.costs[["commission", "tax", "slippage"]].sum(axis=1)).all()


def test_a_run_without_trades_has_empty_tables_and_no_exposure() -> None:
    result = still(random_bars(40, 2))
    assert len(result.fills) == len(result.orders) == len(result.trades) == 0
    assert result.stats["exposure"] == result.stats["turnover"] == result.stats["volatility"] == 0.0
    assert math.isnan(result.stats["sharpe"])
    assert math.isnan(result.stats["win_rate"])
    assert result.warnings[0] == "Nothing was ever traded."
    assert result.positions.to_numpy().sum() == 0


def test_extra_columns_change_no_figure() -> None:
    bars = random_bars(300, 5)
    few = bars.select(bars.symbols[:3])
    run = random_run(few)
    alone, among = Result(bars=few, run=run), Result(bars=bars, run=run)
    pd.testing.assert_series_equal(alone.stats, among.stats)
    pd.testing.assert_frame_equal(alone.trades, among.trades)


# --- words ------------------------------------------------------------------------------------------------------------


def warned(build: Callable[[Account], None], bars: Bars) -> str:
    account = Account(bars, 100_000_000)
    build(account)
    for t in range(len(bars)):
        account.mark(t)
    return " ".join(Result(bars=bars, run=account.out()).warnings)


@pytest.mark.parametrize(
    ("build", "said"),
    [
        (lambda account: account.fill(1, 0, 1, 10, rule="same_close"), 'fill="close"'),
        (lambda account: account.fill(1, 0, 1, 10), "still open at the end"),
        (lambda account: account.fill(1, 0, 1, 10), "fewer than 30"),
        (lambda account: account.fill(1, 0, 1, 10), "less than a year"),
        (lambda account: account.fill(1, 0, 1, 10, proceeds=True), "100.0% of what was bought"),
        (lambda account: account.fill(1, 0, 1, 10, commission=90_000), "Costs are"),
        (lambda account: account.order(1, 0, 1, 10, reason="COLLAR"), "1 of 1 order cut or dropped"),
        (lambda account: account.act(1, 0, delta=5, kind="unknown"), "1 corporate action of unknown kind"),
    ],
)
def test_a_warning_is_said(build: Callable[[Account], None], said: str) -> None:
    assert said in warned(build, random_bars(30, 1))


def test_adjusted_prices_are_said() -> None:
    source = random_bars(30, 1)
    fields = {name: source.field(name) for name in ("open", "high", "low", "close", "volume")}
    bars = Bars(times=source.times, symbols=source.symbols, fields=fields, prices="adjusted")
    assert "adjusted, not as traded" in warned(lambda account: account.fill(1, 0, 1, 10), bars)


def test_a_long_and_busy_run_has_few_warnings(result: Result) -> None:
    assert not any("fewer than" in text or "less than a year" in text for text in result.warnings)


def test_summary_names_everything_once(result: Result) -> None:
    text = result.summary()
    assert text.startswith("targets · 4 symbols · 2018-01-02 to 2020-11-16")
    for word in ("Sharpe ratio", "Deepest drawdown", "Tax", "Information ratio", "! "):
        assert word in text


def test_a_notebook_shows_figures_and_escapes_names(result: Result) -> None:
    html = result._repr_html_()
    assert "Sharpe ratio" in html
    assert "<script" not in html
    assert repr(result).startswith("<Result targets 2018-01-02..2020-11-16: ")


def test_to_dict_is_json_without_nan() -> None:
    data = json.loads(json.dumps(still(random_bars(10, 1)).to_dict(), allow_nan=False))
    assert data["stats"]["sharpe"] is None
    assert data["stats"]["total_return"] == 0.0


def test_a_manifest_may_be_made_late() -> None:
    asked = []

    def build() -> dict[str, object]:
        asked.append(1)
        return {"cash": 1}

    bars = random_bars(5, 1)
    result = Result(bars=bars, run=RunOutput.empty(np.full(5, 10), initial_cash=10), manifest=build)
    assert asked == []
    assert result.manifest == result.manifest == {"cash": 1}
    assert asked == [1]


def test_columns_of_different_length_are_a_bug() -> None:
    with pytest.raises(Bug, match="fills differ in length"):
        RunOutput(np.ones(2), np.ones(2), np.zeros(2), {"bar": [1], "symbol": [1, 2]}, {}, {}, 1)
    with pytest.raises(Bug, match="one length"):
        RunOutput(np.ones(2), np.ones(3), np.zeros(2), {}, {}, {}, 1)


def test_holding_the_universe_is_called_so() -> None:
    bars = random_bars(5, 1)
    run = RunOutput.empty(np.full(5, 10), initial_cash=10)
    named = Result(bars=bars, run=run, benchmark=np.ones(5), benchmark_name="hold")
    assert named.benchmark is not None
    assert named.benchmark.name == "buy and hold"
