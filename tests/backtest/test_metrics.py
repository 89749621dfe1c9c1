"""The figures of a return series: equal to empyrical and quantstats where those define the same."""

from __future__ import annotations

import math
import warnings
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from quantkit.backtest import metrics
from quantkit.errors import ConfigError

SEEDS = range(6)


def returns_of(seed: int, *, count: int = 700) -> np.ndarray:
    return np.random.default_rng(seed).standard_t(4, count) * 0.009 + 0.0003


@pytest.fixture(scope="module")
def theirs() -> Any:
    """empyrical's functions as `.e`, quantstats' as `.q`."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        empyrical = pytest.importorskip("empyrical", reason="the extra [oracles] brings empyrical-reloaded")
        quantstats = pytest.importorskip("quantstats.stats", reason="the extra [oracles] brings quantstats")
    return SimpleNamespace(e=empyrical, q=quantstats)


def dated(values: np.ndarray) -> pd.Series:
    return pd.Series(values, index=pd.bdate_range("2015-01-02", periods=len(values)))


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("seed", SEEDS)
def test_ratios_equal_empyrical(theirs: Any, seed: int) -> None:
    ours = returns_of(seed)
    growth = np.cumprod(1 + ours)
    deepest = metrics.drawdowns(growth).min()
    rate = metrics.compound_rate(growth[-1] - 1, len(ours) / 252)
    e = theirs.e
    assert metrics.sharpe(ours) == pytest.approx(e.sharpe_ratio(ours), rel=1e-12)
    assert metrics.sharpe(ours, risk_free=0.0001) == pytest.approx(e.sharpe_ratio(ours, risk_free=0.0001), rel=1e-12)
    assert metrics.sortino(ours) == pytest.approx(e.sortino_ratio(ours), rel=1e-12)
    assert metrics.sortino(ours, target=0.0002) == pytest.approx(e.sortino_ratio(ours, 0.0002), rel=1e-12)
    assert metrics.downside_deviation(ours) == pytest.approx(e.downside_risk(ours), rel=1e-12)
    assert metrics.volatility(ours) == pytest.approx(e.annual_volatility(ours), rel=1e-12)
    assert deepest == pytest.approx(e.max_drawdown(dated(ours)), rel=1e-12)
    assert rate == pytest.approx(e.annual_return(ours), rel=1e-12)
    assert metrics.calmar(rate, deepest) == pytest.approx(e.calmar_ratio(dated(ours)), rel=1e-12)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("seed", SEEDS)
def test_ratios_equal_quantstats(theirs: Any, seed: int) -> None:
    ours, q = returns_of(seed), theirs.q
    series = dated(ours)
    growth = np.cumprod(1 + ours)
    assert metrics.sharpe(ours) == pytest.approx(q.sharpe(series), rel=1e-12)
    assert metrics.sortino(ours) == pytest.approx(q.sortino(series), rel=1e-12)
    assert metrics.volatility(ours) == pytest.approx(q.volatility(series), rel=1e-12)
    assert metrics.drawdowns(growth).min() == pytest.approx(q.max_drawdown(series), rel=1e-12)
    assert metrics.compound_rate(growth[-1] - 1, len(ours) / 252) == pytest.approx(q.cagr(series), rel=1e-12)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("seed", SEEDS)
def test_figures_against_a_benchmark_equal_both(theirs: Any, seed: int) -> None:
    benchmark = returns_of(seed + 100)
    ours = 0.6 * benchmark + returns_of(seed) * 0.5
    alpha, beta = metrics.alpha_beta(ours, benchmark)
    greeks = theirs.q.greeks(dated(ours), dated(benchmark))
    assert (alpha, beta) == (pytest.approx(greeks["alpha"], rel=1e-9), pytest.approx(greeks["beta"], rel=1e-9))
    assert beta == pytest.approx(theirs.e.beta(dated(ours), dated(benchmark)), rel=1e-9)
    information, tracking = metrics.information_ratio(ours, benchmark)
    per_day = theirs.q.information_ratio(dated(ours), dated(benchmark))  # not annualised there
    assert information == pytest.approx(per_day * math.sqrt(252), rel=1e-9)
    assert tracking == pytest.approx(metrics.volatility(ours - benchmark), rel=1e-12)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("seed", SEEDS)
def test_longest_drawdown_equals_quantstats(theirs: Any, seed: int) -> None:
    growth = np.cumprod(1 + returns_of(seed))
    index = pd.bdate_range("2015-01-02", periods=len(growth))
    days = index.to_numpy().astype("datetime64[D]").astype(np.int64)
    drawdown = metrics.drawdowns(growth)
    details = theirs.q.drawdown_details(pd.Series(drawdown, index=index))
    # They count from the first day below the peak to the last one, both included; we from the peak to the recovery.
    longest = int(details["days"].max())
    assert longest <= metrics.longest_drawdown(drawdown, days) <= longest + 7


def test_drawdown_counts_from_the_money_before_the_first_bar() -> None:
    np.testing.assert_allclose(metrics.drawdowns(np.array([0.9, 1.2, 0.6, 1.2])), [-0.1, 0.0, -0.5, 0.0])


@pytest.mark.parametrize(
    ("drawdown", "longest"),
    [
        ([0.0, 0.0, 0.0], 0),  # never under water: the days between peaks do not count
        ([0.0, -0.1, 0.0, 0.0], 20),  # from the peak on day 0 to the recovery on day 20
        ([-0.1, -0.1, 0.0, -0.1], 20),  # under water from the start
        ([0.0, 0.0, -0.1, -0.2], 20),  # not recovered: to the last day
    ],
)
def test_longest_drawdown_in_calendar_days(drawdown: list[float], longest: int) -> None:
    assert metrics.longest_drawdown(np.array(drawdown), np.array([0, 10, 20, 30])) == longest


@pytest.mark.parametrize("returns", [[], [0.01], [0.01, 0.01, 0.01], [0.0, 0.0]])
def test_a_sharpe_ratio_without_variation_is_not_a_number(returns: list[float]) -> None:
    assert math.isnan(metrics.sharpe(np.array(returns)))


def test_rounding_noise_is_not_variation() -> None:
    noisy = np.array([0.1 + 0.2, 0.3, 0.3, 0.1 + 0.2])
    assert math.isnan(metrics.sharpe(noisy))
    assert math.isnan(metrics.alpha_beta(np.array([0.1, 0.2, 0.1, 0.3]), noisy)[1])


def test_what_is_not_defined_is_nan_and_never_infinite() -> None:
    rising = np.array([0.01, 0.02, 0.01])
    assert math.isnan(metrics.sortino(rising))
    assert math.isnan(metrics.calmar(0.1, 0.0))
    assert math.isnan(metrics.information_ratio(rising, rising)[0])
    assert math.isnan(metrics.compound_rate(0.1, 0.0))


def test_losing_everything_is_minus_one_a_year() -> None:
    assert metrics.compound_rate(-1.0, 3.0) == -1.0


@pytest.mark.parametrize(
    ("freq", "periods"), [("1d", 252), ("5m", 252), ("1h", 252), ("30s", 252), ("5d", 50.4), ("1w", 52), ("1M", 12)]
)
def test_intraday_bars_count_as_sessions(freq: str, periods: float) -> None:
    assert metrics.periods_per_year(freq) == pytest.approx(periods)


@pytest.mark.parametrize("freq", ["", "d", "1x", "0d", "x1d"])
def test_an_unknown_frequency_is_refused_by_name(freq: str) -> None:
    with pytest.raises(ConfigError, match=f"freq='{freq}'"):
        metrics.periods_per_year(freq)
