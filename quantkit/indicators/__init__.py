"""Indicators, for use in strategies as `from quantkit import ta`.

Contract, the same for every function:

- Inputs are (T,) or (T, N), time first: NumPy, pandas, polars or lists. Outputs are new C-contiguous float64 arrays
  of the same shape (bool for crossings), or pandas objects with the labels of a pandas input. Inputs are never changed.
- Causal and prefix-stable: `f(x[:k])` equals `f(x)[:k]` to the last bit, whatever comes after k. A column's result
  does not depend on other columns, save across names (`rank`, `zscore`, `demean`), where each row stands alone.
- Missing is NaN or infinite, and stays with what it touches: a window that holds a missing value is NaN, a recursion
  gives NaN at a missing row and goes on from its last state. Rows before a listing are skipped, a column without
  values is NaN.
- A window longer than the data gives NaN. A wrong window raises ConfigError, a wrong array BadData, naming function,
  argument and value.
- Compiled and uncompiled (`NUMBA_DISABLE_JIT=1`) give the same bits. Kernels release the GIL.

Formulas, warm-up lengths and what each equals in TA-Lib or pandas: `docs/indicators.md`.

>>> sma([1.0, 2.0, 3.0, 4.0], 2).tolist()
[nan, 1.5, 2.5, 3.5]
"""

from __future__ import annotations

from quantkit.indicators.cross import demean, rank, zscore
from quantkit.indicators.oscillators import Stochastic, momentum, roc, rsi, stochastic
from quantkit.indicators.ranges import Dmi, Donchian, adx, atr, dmi, donchian, true_range
from quantkit.indicators.rolling import (
    rolling_corr,
    rolling_max,
    rolling_min,
    rolling_std,
    rolling_sum,
    rolling_zscore,
)
from quantkit.indicators.signals import cross_over, cross_under, hold, lag
from quantkit.indicators.smoothing import Bollinger, Macd, bollinger, ema, macd, sma, wma
from quantkit.indicators.volume import obv, typical_price, vwap

__all__ = [
    "Bollinger",
    "Dmi",
    "Donchian",
    "Macd",
    "Stochastic",
    "adx",
    "atr",
    "bollinger",
    "cross_over",
    "cross_under",
    "demean",
    "dmi",
    "donchian",
    "ema",
    "hold",
    "lag",
    "macd",
    "momentum",
    "obv",
    "rank",
    "roc",
    "rolling_corr",
    "rolling_max",
    "rolling_min",
    "rolling_std",
    "rolling_sum",
    "rolling_zscore",
    "rsi",
    "sma",
    "stochastic",
    "true_range",
    "typical_price",
    "vwap",
    "wma",
    "zscore",
]
