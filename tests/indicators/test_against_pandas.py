"""Equal to pandas where TA-Lib does not reach (missing values, ddof, cross-sections), by hand where neither does."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from quantkit import indicators as ta
from tests.indicators.catalogue import Market, market, with_holes


@pytest.fixture
def holed() -> Market:
    return with_holes(market(500, 6, 11), 12, share=0.01)


def frame(values: np.ndarray) -> pd.DataFrame:
    return pd.DataFrame(np.where(np.isfinite(values), values, np.nan))


def equal(ours: np.ndarray, theirs: pd.DataFrame, tolerance: float = 1e-10) -> None:
    np.testing.assert_allclose(ours, theirs.to_numpy(), rtol=tolerance, atol=1e-9)


@pytest.mark.parametrize("window", [2, 3, 20, 120, 600])
def test_windows_equal_pandas_with_holes_and_late_listings(holed: Market, window: int) -> None:
    rolling = frame(holed.close).rolling(window)
    equal(ta.sma(holed.close, window), rolling.mean())
    equal(ta.rolling_sum(holed.close, window), rolling.sum())
    equal(ta.rolling_min(holed.close, window), rolling.min())
    equal(ta.rolling_max(holed.close, window), rolling.max())
    for ddof in (0, 1):
        ours = ta.rolling_std(holed.close, window, ddof=ddof)
        # pandas' running sums leave up to 1e-6 in windows that are flat
        np.testing.assert_allclose(ours, rolling.std(ddof=ddof), rtol=1e-7, atol=2e-6)


@pytest.mark.parametrize("window", [2, 3, 20])
def test_zscore_and_correlation_equal_direct_formulas(holed: Market, window: int) -> None:
    other = np.random.default_rng(0).normal(size=holed.close.shape)
    z, corr = ta.rolling_zscore(holed.close, window), ta.rolling_corr(holed.close, other, window)
    for t in range(window - 1, len(z)):
        for j in range(z.shape[1]):
            x, y = holed.close[t - window + 1 : t + 1, j], other[t - window + 1 : t + 1, j]
            if not np.isfinite(x).all() or (x == x[0]).all():
                assert np.isnan(z[t, j])
                assert np.isnan(corr[t, j])
                continue
            assert z[t, j] == pytest.approx((x[-1] - x.mean()) / x.std(ddof=1), rel=1e-9, abs=1e-9)
            assert corr[t, j] == pytest.approx(np.corrcoef(x, y)[0, 1], rel=1e-9, abs=1e-9)


def test_a_deviation_keeps_its_digits_far_from_zero() -> None:
    values = 1e9 + np.random.default_rng(4).normal(size=200)
    expected = [np.std(values[t - 19 : t + 1], ddof=1) for t in range(19, 200)]
    np.testing.assert_allclose(ta.rolling_std(values, 20)[19:], expected, rtol=1e-12)


def test_one_column_serves_every_name_in_a_correlation(holed: Market) -> None:
    index = np.arange(500.0) ** 2
    whole = ta.rolling_corr(holed.close, index, 20)
    for j in range(6):
        np.testing.assert_array_equal(whole[:, j], ta.rolling_corr(holed.close[:, j], index, 20))
    np.testing.assert_allclose(ta.rolling_corr(index, index, 20)[19:], 1.0, rtol=1e-12)


def test_ema_meets_pandas_once_the_seed_is_forgotten() -> None:
    close = market(900, 3, 5).close
    equal(ta.ema(close, 20)[-100:], pd.DataFrame(close).ewm(span=20, adjust=False).mean().iloc[-100:])


def test_lag_and_changes_equal_pandas(holed: Market) -> None:
    prices = frame(holed.close)
    equal(ta.lag(prices, 3), prices.shift(3))
    equal(ta.momentum(holed.close, 3), prices.diff(3))
    equal(ta.roc(holed.close, 3), prices.pct_change(3) * 100.0)


def test_rolling_vwap_equals_its_formula(holed: Market) -> None:
    price, volume = frame(holed.close), frame(holed.volume)
    weight = (volume + 0.0 * price).rolling(10).sum()
    expected = (price * volume).rolling(10).sum() / weight.where(weight > 0)
    equal(ta.vwap(holed.close, holed.volume, 10), expected)
    one = ta.vwap(holed.close, holed.volume, 1)
    equal(one, price.where(volume > 0))


def test_session_vwap_starts_anew_and_skips_missing_rows() -> None:
    price = [10.0, 20.0, np.nan, 40.0, 7.0, 9.0]
    volume = [1.0, 3.0, 5.0, 4.0, 0.0, 2.0]
    day = pd.to_datetime(["2024-01-02"] * 4 + ["2024-01-03"] * 2)
    expected = [10.0, 17.5, np.nan, (10 + 60 + 160) / 8, np.nan, 9.0]
    np.testing.assert_allclose(ta.vwap(price, volume, session=day), expected, rtol=1e-15)


def test_session_vwap_equals_its_formula_on_long_sessions() -> None:
    data = market(1000, 3, 14)
    day = np.arange(1000) // 390
    price, volume = pd.DataFrame(data.close), pd.DataFrame(data.volume)
    shares = volume.groupby(day).cumsum()
    expected = (price * volume).groupby(day).cumsum() / shares.where(shares > 0)
    equal(ta.vwap(data.close, data.volume, session=day), expected)


def test_crossings_by_hand() -> None:
    values = [1.0, 3.0, 2.0, 3.0, 2.0, 1.0, np.nan, 3.0, 1.0]
    assert np.flatnonzero(ta.cross_over(values, 2.0)).tolist() == [1, 3]
    assert np.flatnonzero(ta.cross_under(values, 2.0)).tolist() == [5, 8]
    assert np.flatnonzero(ta.cross_over(values, [2.0] * 9)).tolist() == [1, 3]
    both = ta.cross_over(np.column_stack([values, values]), np.full(9, 2.0))
    assert both.sum(axis=0).tolist() == [2, 2]


@pytest.mark.parametrize("ascending", [True, False])
@pytest.mark.parametrize("pct", [True, False])
def test_rank_equals_pandas_with_ties_and_mask(pct: bool, ascending: bool) -> None:
    draw = np.random.default_rng(6)
    values = draw.integers(0, 8, (200, 12)).astype(np.float64)
    values[draw.random(values.shape) < 0.1] = np.nan
    where = draw.random(values.shape) < 0.8
    chosen = pd.DataFrame(np.where(where, values, np.nan))
    equal(ta.rank(values, where=where, pct=pct, ascending=ascending), chosen.rank(axis=1, pct=pct, ascending=ascending))
    assert np.isnan(ta.rank(values, where=np.zeros_like(where))).all()


def test_rank_works_through_more_rows_than_one_block() -> None:
    values = np.random.default_rng(7).normal(size=(3000, 100))
    equal(ta.rank(values), pd.DataFrame(values).rank(axis=1, pct=True))


@pytest.mark.parametrize("ddof", [0, 1])
def test_zscore_and_demean_equal_pandas(holed: Market, ddof: int) -> None:
    where = holed.volume > 0
    chosen = frame(np.where(where, holed.close, np.nan))
    centred = chosen.sub(chosen.mean(axis=1), axis=0)
    spread = chosen.std(axis=1, ddof=ddof)
    equal(ta.demean(holed.close, where=where), centred)
    equal(ta.zscore(holed.close, where=where, ddof=ddof), centred.div(spread.where(spread > 1e-9), axis=0), 1e-8)


@pytest.mark.parametrize("scale", [1.0, 1e-9, 1e12, 1e-300])
def test_sums_across_names_are_exact_to_the_last_digit(scale: float) -> None:
    values = np.random.default_rng(8).normal(size=(50, 2500)) * scale
    where = np.random.default_rng(9).random(values.shape) < 0.5
    order = np.random.default_rng(10).permutation(2500)
    for function in (ta.demean, ta.zscore):
        result = function(values, where=where)
        np.testing.assert_array_equal(result[:, order], function(values[:, order], where=where[:, order]))
    if scale > 1e-290:
        centred = ta.demean(values, where=where)
        assert max(abs(np.nansum(centred, axis=1))) < 1e-11 * scale


def test_equal_values_across_names_have_no_deviation() -> None:
    values = np.full((3, 7), 0.1)
    assert (ta.demean(values) == 0.0).all()
    assert np.isnan(ta.zscore(values)).all()
    assert np.isnan(ta.zscore(values[:, :1])).all()
