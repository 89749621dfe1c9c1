"""Equal to TA-Lib wherever both define the same thing, from the first value on; what remains different is named."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from quantkit import indicators as ta
from tests.indicators.catalogue import Market

if TYPE_CHECKING:
    from collections.abc import Callable

talib = pytest.importorskip("talib", reason="TA-Lib is not installed: pip install TA-Lib, or quantkit[dev]")


def walk(seed: int, rows: int = 400) -> Market:
    draw = np.random.default_rng(seed)
    close = 50_000.0 * np.exp(np.cumsum(draw.normal(0, 0.02, rows)))
    high = close * (1 + draw.random(rows) * 0.02)
    low = close * (1 - draw.random(rows) * 0.02)
    return Market(high, low, close, draw.integers(1, 10**6, rows).astype(np.float64))


PAIRS: dict[str, tuple[Callable[[Market, int], object], Callable[[Market, int], object]]] = {
    "sma": (lambda m, n: ta.sma(m.close, n), lambda m, n: talib.SMA(m.close, n)),
    "ema": (lambda m, n: ta.ema(m.close, n), lambda m, n: talib.EMA(m.close, n)),
    "wma": (lambda m, n: ta.wma(m.close, n), lambda m, n: talib.WMA(m.close, n)),
    "rsi": (lambda m, n: ta.rsi(m.close, n), lambda m, n: talib.RSI(m.close, n)),
    "true_range": (
        lambda m, _: ta.true_range(m.high, m.low, m.close),
        lambda m, _: talib.TRANGE(m.high, m.low, m.close),
    ),
    "atr": (lambda m, n: ta.atr(m.high, m.low, m.close, n), lambda m, n: talib.ATR(m.high, m.low, m.close, n)),
    "plus_di": (
        lambda m, n: ta.dmi(m.high, m.low, m.close, n).plus,
        lambda m, n: talib.PLUS_DI(m.high, m.low, m.close, n),
    ),
    "minus_di": (
        lambda m, n: ta.dmi(m.high, m.low, m.close, n).minus,
        lambda m, n: talib.MINUS_DI(m.high, m.low, m.close, n),
    ),
    "adx": (lambda m, n: ta.adx(m.high, m.low, m.close, n), lambda m, n: talib.ADX(m.high, m.low, m.close, n)),
    "roc": (lambda m, n: ta.roc(m.close, n), lambda m, n: talib.ROC(m.close, n)),
    "momentum": (lambda m, n: ta.momentum(m.close, n), lambda m, n: talib.MOM(m.close, n)),
    "rolling_min": (lambda m, n: ta.rolling_min(m.close, n), lambda m, n: talib.MIN(m.close, n)),
    "rolling_max": (lambda m, n: ta.rolling_max(m.close, n), lambda m, n: talib.MAX(m.close, n)),
    "rolling_sum": (lambda m, n: ta.rolling_sum(m.close, n), lambda m, n: talib.SUM(m.close, n)),
    "rolling_std": (lambda m, n: ta.rolling_std(m.close, n, ddof=0), lambda m, n: talib.STDDEV(m.close, n)),
    "rolling_corr": (
        lambda m, n: ta.rolling_corr(m.close, m.volume, n),
        lambda m, n: talib.CORREL(m.close, m.volume, n),
    ),
    "obv": (lambda m, _: ta.obv(m.close, m.volume), lambda m, _: talib.OBV(m.close, m.volume)),
    "bollinger": (lambda m, n: ta.bollinger(m.close, n, 2.5), lambda m, n: talib.BBANDS(m.close, n, 2.5, 2.5)),
    "donchian": (
        lambda m, n: (ta.donchian(m.high, m.low, n).upper, ta.donchian(m.high, m.low, n).lower),
        lambda m, n: (talib.MAX(m.high, n), talib.MIN(m.low, n)),
    ),
    "donchian middle": (
        lambda m, n: ta.donchian(m.high, m.low, n).middle,
        lambda m, n: talib.MIDPRICE(m.high, m.low, n),
    ),
    "typical_price": (
        lambda m, _: ta.typical_price(m.high, m.low, m.close),
        lambda m, _: talib.TYPPRICE(m.high, m.low, m.close),
    ),
}


@pytest.mark.parametrize("window", [2, 3, 5, 14, 50, 399, 400, 401])
@pytest.mark.parametrize("name", PAIRS)
def test_equal_to_talib_from_the_first_value(name: str, window: int) -> None:
    data = walk(window)
    ours, theirs = (np.asarray(side(data, window)) for side in PAIRS[name])
    # a deviation is a difference of squares there, so tiny ones keep fewer digits
    np.testing.assert_allclose(ours, theirs, rtol=1e-8 if name in ("rolling_std", "rolling_corr") else 1e-10, atol=1e-9)


@pytest.mark.parametrize(("window", "smooth", "signal"), [(14, 3, 3), (5, 1, 3), (9, 4, 2)])
def test_stochastic_equals_talib_where_both_have_a_value(window: int, smooth: int, signal: int) -> None:
    data = walk(1)
    ours = ta.stochastic(data.high, data.low, data.close, window, smooth, signal)
    theirs = talib.STOCH(data.high, data.low, data.close, window, smooth, 0, signal, 0)
    # TA-Lib gives no k before there is a d
    np.testing.assert_allclose(ours.d, theirs[1], rtol=1e-10)
    np.testing.assert_allclose(
        ours.k[window + smooth + signal - 3 :], theirs[0][window + smooth + signal - 3 :], rtol=1e-10
    )
    assert np.isfinite(ours.k[window + smooth - 2])


def test_macd_is_made_of_talib_averages() -> None:
    close = walk(2).close
    ours = ta.macd(close, 12, 26, 9)
    line = talib.EMA(close, 12) - talib.EMA(close, 26)
    signal = talib.EMA(line, 9)
    np.testing.assert_allclose(ours.macd, line, rtol=1e-10, atol=1e-9)
    np.testing.assert_allclose(ours.signal, signal, rtol=1e-10, atol=1e-9)
    np.testing.assert_allclose(ours.histogram, line - signal, rtol=1e-10, atol=1e-9)


def test_macd_meets_talib_s_own_after_its_late_start_is_forgotten() -> None:
    close = walk(3).close
    ours, theirs = ta.macd(close, 12, 26, 9), talib.MACD(close, 12, 26, 9)
    assert np.isnan(theirs[0][25])
    assert ours.macd[25] != 0.0
    for a, b in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(a[-100:], b[-100:], rtol=1e-10, atol=1e-8)


def test_flat_prices_are_neutral_where_talib_says_zero() -> None:
    flat = np.full(40, 100.0)
    assert talib.RSI(flat, 14)[-1] == 0.0
    assert ta.rsi(flat, 14)[-1] == 50.0
    assert talib.STOCHF(flat, flat, flat, 5, 3)[0][-1] == 0.0
    assert ta.stochastic(flat, flat, flat, 5, 1, 3).k[-1] == 50.0
    assert ta.adx(flat, flat, flat, 14)[-1] == talib.ADX(flat, flat, flat, 14)[-1] == 0.0
