"""The tear sheet: its numbers against slow and other people's ones, its pictures, its parts of the page."""

from __future__ import annotations

import warnings
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.figure import Figure
from quantstats import stats as quantstats  # type: ignore[import-untyped]

import quantkit as qk
from quantkit.backtest import metrics, tearsheet
from quantkit.backtest.capacity import half_capital
from quantkit.backtest.panels import PANELS
from quantkit.backtest.report import render
from quantkit.backtest.result import Result
from quantkit.errors import BadData, ConfigError
from quantkit.market.costs import Costs
from tests.backtest.factories import Account, random_bars, random_result, random_run, weekdays
from tests.backtest.test_plots import png

moves = st.lists(st.floats(-0.2, 0.2), min_size=1, max_size=80)


def one_trade() -> Result:
    bars = random_bars(250, 1)
    account = Account(bars, 10_000_000)
    for t in range(250):
        if t in (20, 120):
            account.fill(t, 0, 1 if t == 20 else -1, 100)
        account.mark(t)
    return Result(bars=bars, run=account.out())


def no_trade(count: int = 300) -> Result:
    bars = random_bars(count, 2)
    close = bars.raw.close[:, 0]
    return Result(bars=bars, run=random_run(bars, every=10_000), benchmark=close, benchmark_name="코스피 200")


def crossing(**options: object) -> Result:
    bars = random_bars(400, 3, drift=0.002)
    bars.field("volume")[:] = 200_000.0
    targets = qk.ta.sma(bars.close, 5) > qk.ta.sma(bars.close, 20)
    return qk.backtest(targets=targets, bars=bars, cash=100_000_000, **options)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def result() -> Result:
    return random_result(600, 3)


@given(moves, st.booleans())
def test_every_bar_under_water_belongs_to_one_drawdown(returns: list[float], idle_first: bool) -> None:
    growth = np.cumprod(1.0 + np.array([0.0, *returns] if idle_first else returns))
    days = weekdays(len(growth))
    found, under = tearsheet.drawdown_episodes(growth, days), metrics.drawdowns(growth)
    covered = np.zeros(len(growth), int)
    for k in range(len(found)):
        first = 0 if under[found.peak[k]] < 0.0 else found.peak[k] + 1
        last = found.last[k] if found.recovered[k] < 0 else found.recovered[k] - 1
        covered[first : last + 1] += 1
        assert found.depth[k] == under[first : last + 1].min() == under[found.trough[k]]
    assert (covered == (under < 0.0)).all()
    if len(found):
        assert found.depth.min() == under.min()
    if len(found) and idle_first:
        assert found.length().max() == metrics.longest_drawdown(under, days)


def test_the_drawdown_table_is_sorted_and_agrees_with_the_figures(result: Result) -> None:
    table = result.drawdowns
    assert table["depth"].is_monotonic_increasing
    assert table["depth"].iloc[0] == result.figures["max_drawdown"]
    assert table["days"].max() == result.figures["max_drawdown_days"]
    done = table[table["recovered"].notna()]
    assert (done["days"] == done["days_down"] + done["days_up"]).all()
    assert (result.equity[done["recovered"]].to_numpy() >= result.equity[done["peak"]].to_numpy()).all()
    assert table["recovered"].isna().sum() == 1


def test_rolling_figures_are_those_of_each_stretch_alone(result: Result) -> None:
    table, returns = result.rolling(60), result.returns.to_numpy()
    assert table["sharpe"].isna().sum() == 59
    for row in (59, 300, len(returns) - 1):
        part = returns[row - 59 : row + 1]
        assert table["sharpe"].iloc[row] == pytest.approx(metrics.sharpe(part))
        assert table["volatility"].iloc[row] == pytest.approx(metrics.volatility(part))
        assert table["return"].iloc[row] == pytest.approx(np.prod(1 + part) - 1)
    assert result.rolling()["sharpe"].isna().sum() == 125
    with pytest.raises(ConfigError, match=r"rolling\(window=601\): expected 2 to 600"):
        result.rolling(601)


def test_rolling_sharpe_agrees_with_quantstats(result: Result) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs = quantstats.rolling_sharpe(result.returns.tz_localize(None), rolling_period=126, periods_per_year=252)
    np.testing.assert_allclose(result.rolling(126)["sharpe"].dropna(), theirs.dropna(), rtol=1e-9)


def test_moments_and_tails_are_those_of_scipy() -> None:
    scipy_stats = pytest.importorskip("scipy.stats", reason="scipy comes with the oracles")
    returns = np.random.default_rng(5).standard_t(4, 900) * 0.01
    said = tearsheet.distribution(returns)
    assert said.skew == pytest.approx(scipy_stats.skew(returns))
    assert said.kurtosis == pytest.approx(scipy_stats.kurtosis(returns, fisher=False))
    assert said.shortfall < said.var < 0.0
    assert said.var == np.quantile(returns, 0.05)
    flat = tearsheet.distribution(np.zeros(50))
    assert np.isnan([flat.skew, flat.kurtosis, flat.var]).all()


@given(st.lists(st.floats(-0.3, 0.3), min_size=10, max_size=200))
@settings(max_examples=60)
def test_the_histogram_counts_every_return_that_is_not_zero(returns: list[float]) -> None:
    values = np.array(returns)
    bins = tearsheet.histogram(values)
    if bins is not None:
        assert bins.counts.sum() + bins.left_out == len(values)
        assert (np.diff(bins.edges) > 0).all()
        assert len(bins.counts) <= 60


@pytest.mark.parametrize("impact", [0.0, 0.02])
def test_the_steps_from_gross_to_net_add_up(impact: float) -> None:
    found = crossing(costs=replace(Costs.kis(), impact=impact, slippage_bps=5.0, interest=0.02))
    steps = tearsheet.waterfall(found)
    assert sum(amount for _, amount in steps[:-1]) == pytest.approx(steps[-1][1])
    assert steps[-1] == ("Net: profit", found.figures["profit"])
    named = dict(steps)
    assert ("Market impact" in named) == (impact > 0.0)
    lost = named["Slippage"] + named.get("Market impact", 0.0)
    assert lost == pytest.approx(-found.figures["slippage"])
    assert named["Interest"] > 0.0
    assert named["Commission"] < 0.0


def test_impact_is_what_a_run_without_the_rest_loses() -> None:
    alone = crossing(costs=replace(Costs.free(), impact=0.05))
    assert 0.5 * alone.figures["slippage"] < tearsheet.impact_paid(alone) <= alone.figures["slippage"]


def test_monthly_turnover_adds_up(result: Result) -> None:
    first, turned = tearsheet.monthly_turnover(result)
    assert turned.sum() == pytest.approx(result.turnover.sum())
    assert len(first) == len(result.costs)


@pytest.mark.parametrize("errors", ["newey-west", "plain"])
def test_the_regression_is_that_of_statsmodels(result: Result, errors: str) -> None:
    linear = pytest.importorskip("statsmodels.api", reason="statsmodels comes with arch")
    days = result.returns.index.tz_localize(None)
    rng = np.random.default_rng(2)
    frame = pd.DataFrame(rng.normal(0, 0.01, (len(days), 2)), index=days, columns=["value", "size"])
    frame["value"] += 0.4 * result.returns.to_numpy()
    ours = result.regression(frame, errors=errors)
    model = linear.OLS(result.returns.to_numpy(), linear.add_constant(frame.to_numpy()))
    robust = {"cov_type": "HAC", "cov_kwds": {"maxlags": ours.lags, "use_correction": True}}
    theirs = model.fit(**robust) if errors == "newey-west" else model.fit()
    np.testing.assert_allclose(ours.coefficients, theirs.params, rtol=1e-9)
    np.testing.assert_allclose(ours.t, theirs.tvalues, rtol=1e-9)
    assert (ours.r2, ours.adjusted) == pytest.approx((theirs.rsquared, theirs.rsquared_adj))
    assert ours.lags == (5 if errors == "newey-west" else 0)
    assert list(ours.frame.index) == ["alpha", "value", "size"]
    assert ours.method in repr(ours)


def test_the_line_on_the_benchmark_is_that_of_the_figures(result: Result) -> None:
    fitted = result.regression()
    assert fitted.alpha == pytest.approx(result.figures["alpha"])
    assert fitted.betas["코스피 200"] == pytest.approx(result.figures["beta"])


def test_factors_count_on_the_days_both_have(result: Result) -> None:
    days = result.returns.index.tz_localize(None)[100:300]
    series = pd.Series(np.random.default_rng(1).normal(0, 0.01, 200), index=days, name="momentum")
    assert result.regression(series).observations == 200


def test_wrong_factors_are_named(result: Result) -> None:
    days = result.returns.index.tz_localize(None)
    levels = pd.DataFrame({"KOSPI": np.linspace(2000, 2500, len(days))}, index=days)
    with pytest.raises(BadData, match=r"'KOSPI' is typically 2,250; expected returns as fractions"):
        result.regression(levels)
    noise = pd.DataFrame({"a": np.random.default_rng(1).normal(0, 0.01, len(days))}, index=days)
    with pytest.raises(BadData, match="a, b are sums of one another"):
        result.regression(noise.assign(b=2 * noise["a"]))
    with pytest.raises(BadData, match="'b' never varies"):
        result.regression(noise.assign(b=0.0))
    with pytest.raises(BadData, match="5 sessions in common for 2 coefficients"):
        result.regression(noise.iloc[:5])
    with pytest.raises(BadData, match="expected dates"):
        result.regression(noise.reset_index(drop=True))
    with pytest.raises(ConfigError, match="choose one of newey-west, plain"):
        result.regression(noise, errors="white")
    with pytest.raises(ConfigError, match="no benchmark"):
        one_trade().regression()


def test_more_money_earns_less_of_itself() -> None:
    found = crossing()
    table = found.capacity([1e8, 1e10, 1e12], impact=0.1)
    assert found.capacities is table
    assert table["cagr"].is_monotonic_decreasing
    assert table["cost_of_traded"].iloc[0] < table["cost_of_traded"].iloc[-1]
    assert table["filled"].iloc[-1] < table["filled"].iloc[0]
    assert table.attrs == {"impact": 0.1, "participation": 0.1}
    assert 1e8 < half_capital(table) < 1e12
    text = render(found)
    assert "Shares filled of asked" in text
    assert "half is left at" in text


def test_capacity_at_the_own_capital_without_impact_is_the_run_itself() -> None:
    found = crossing(deposits=1_000_000)
    table = found.capacity([100_000_000], impact=0.0, participation=1.0)
    assert table["total_return"].iloc[0] == pytest.approx(found.figures["total_return"], rel=1e-12)


def test_deposits_grow_with_the_capital() -> None:
    bars = random_bars(100, 1)
    bars.field("volume")[:] = 1e12
    found = qk.backtest(targets=bars.close > 0, bars=bars, cash=10_000_000, deposits=1_000_000, costs=Costs.free())
    table = found.capacity([1e7, 1e9], impact=0.0, participation=1.0)
    assert table["total_return"].iloc[1] == pytest.approx(table["total_return"].iloc[0], rel=0.02)
    assert table["profit"].iloc[1] == pytest.approx(100 * table["profit"].iloc[0], rel=0.05)


def test_capacity_that_cannot_be_run_says_why(result: Result) -> None:
    with pytest.raises(ConfigError, match="not made by backtest"):
        result.capacity()
    with pytest.raises(ConfigError, match=r"capitals=\[-1\].*above 0"):
        crossing().capacity([-1])
    bars = random_bars(50, 1)
    idle = qk.backtest(targets=np.zeros(bars.shape, bool), bars=bars)
    with pytest.raises(ConfigError, match="nothing was traded"):
        idle.capacity()


RUNS = {"long": lambda: random_result(1250, 4, monthly=500_000), "short": lambda: random_result(30, 2),
        "no trade": no_trade, "one trade": one_trade, "one bar": lambda: random_result(1, 1),
        "inside the day": lambda: random_result(600, 2, freq="5m")}  # fmt: skip


@pytest.mark.parametrize("name", RUNS)
def test_every_run_has_a_tear_sheet_and_a_page(name: str) -> None:
    found = RUNS[name]()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert png(found.tearsheet())[:4] == b"\x89PNG"
    text = render(found)
    assert "nan" not in text.split("<script>")[0].replace("finance", "")
    assert len(text.encode()) < 400_000


@pytest.mark.parametrize("what", [name for name in PANELS if name != "capacity"])
def test_each_picture_can_be_had_alone(result: Result, what: str) -> None:
    figure = result.plot(what)
    assert isinstance(figure, Figure)
    assert len(figure.axes) == 1
    assert figure.axes[0].get_title(loc="left")


def test_the_capacity_curve_is_drawn_from_what_was_computed() -> None:
    found = crossing()
    table = found.capacity([1e8, 1e9])
    line = found.plot("capacity").axes[0].lines[0]
    np.testing.assert_allclose(np.asarray(line.get_ydata(), float), table["cagr"])


def test_a_picture_that_does_not_exist_lists_those_that_do(result: Result) -> None:
    with pytest.raises(ConfigError, match=r"plot\('sharpe'\): choose one of equity, drawdown, rolling"):
        result.plot("sharpe")


def test_factors_have_their_part_of_the_page(result: Result, tmp_path: object) -> None:
    days = result.returns.index.tz_localize(None)
    frame = pd.DataFrame({"<momentum>": np.random.default_rng(1).normal(0, 0.01, len(days))}, index=days)
    path = result.report(f"{tmp_path}/page.html", factors=frame)
    text = path.read_text(encoding="utf-8")
    assert "Regression on factors" in text
    assert "&lt;momentum&gt;" in text
