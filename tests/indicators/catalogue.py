"""Every indicator as a case: a name and a call on one market's fields that gives one or more arrays.

`market` makes the fields from random numbers: prices that walk on a grid of 5, bars around them, flat stretches,
volumes with zeros. `WINDOWED` lists the cases whose row t depends on at most `memory` rows; the others are recursive.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from quantkit import indicators as ta

if TYPE_CHECKING:
    from quantkit.indicators.inputs import FloatArray


@dataclass(frozen=True, slots=True)
class Market:
    """Four (T, N) float64 fields."""

    high: FloatArray
    low: FloatArray
    close: FloatArray
    volume: FloatArray

    def map(self, change: Callable[[FloatArray], FloatArray]) -> Market:
        return Market(
            *(np.ascontiguousarray(change(field)) for field in (self.high, self.low, self.close, self.volume))
        )

    def __len__(self) -> int:
        return len(self.close)


Outputs = tuple[np.ndarray, ...]
Call = Callable[[Market], np.ndarray | Outputs]


def sessions(market: Market) -> np.ndarray:
    return np.arange(len(market)) // 7


WINDOWED: dict[str, tuple[int, Call]] = {
    "sma": (5, lambda m: ta.sma(m.close, 5)),
    "sma of one": (1, lambda m: ta.sma(m.close, 1)),
    "wma": (6, lambda m: ta.wma(m.close, 6)),
    "bollinger": (8, lambda m: ta.bollinger(m.close, 8, 1.5)),
    "roc": (4, lambda m: ta.roc(m.close, 3)),
    "momentum": (4, lambda m: ta.momentum(m.close, 3)),
    "rolling_min": (4, lambda m: ta.rolling_min(m.low, 4)),
    "rolling_max": (4, lambda m: ta.rolling_max(m.high, 4)),
    "rolling_sum": (5, lambda m: ta.rolling_sum(m.close, 5)),
    "rolling_sum of two": (2, lambda m: ta.rolling_sum(m.close, 2)),
    "rolling_std": (5, lambda m: ta.rolling_std(m.close, 5)),
    "rolling_zscore": (5, lambda m: ta.rolling_zscore(m.close, 5, ddof=0)),
    "rolling_corr": (6, lambda m: ta.rolling_corr(m.close, m.volume, 6)),
    "vwap": (5, lambda m: ta.vwap(m.close, m.volume, 5)),
    "donchian": (4, lambda m: ta.donchian(m.high, m.low, 4)),
    "stochastic": (9, lambda m: ta.stochastic(m.high, m.low, m.close, 5, 3, 3)),
    "typical_price": (1, lambda m: ta.typical_price(m.high, m.low, m.close)),
    "cross_over": (2, lambda m: ta.cross_over(m.close, m.low + 3.0)),
    "cross_under": (2, lambda m: ta.cross_under(m.close, 100.0)),
    "lag": (3, lambda m: ta.lag(m.close, 2)),
}
RECURSIVE: dict[str, Call] = {
    "ema": lambda m: ta.ema(m.close, 5),
    "rsi": lambda m: ta.rsi(m.close, 4),
    "macd": lambda m: ta.macd(m.close, 3, 6, 4),
    "true_range": lambda m: ta.true_range(m.high, m.low, m.close),
    "atr": lambda m: ta.atr(m.high, m.low, m.close, 4),
    "dmi": lambda m: ta.dmi(m.high, m.low, m.close, 4),
    "adx": lambda m: ta.adx(m.high, m.low, m.close, 4),
    "obv": lambda m: ta.obv(m.close, m.volume),
    "vwap by session": lambda m: ta.vwap(m.close, m.volume, session=sessions(m)),
}
CROSS: dict[str, Call] = {
    "rank": lambda m: ta.rank(m.close, where=m.volume > 0),
    "rank ordinal": lambda m: ta.rank(m.close, pct=False, ascending=False),
    "zscore": lambda m: ta.zscore(m.close, where=m.volume > 0),
    "demean": lambda m: ta.demean(m.close),
}
BY_COLUMN: dict[str, Call] = {name: call for name, (_, call) in WINDOWED.items()} | RECURSIVE
EVERY: dict[str, Call] = BY_COLUMN | CROSS


def outputs(call: Call, market: Market) -> Outputs:
    """What a case gives, always as a tuple of arrays."""
    result = call(market)
    return result if isinstance(result, tuple) else (result,)


def market(rows: int, columns: int, seed: int) -> Market:
    """A random market without missing values."""
    draw = np.random.default_rng(seed)
    close = 1000.0 + 5.0 * np.cumsum(
        draw.integers(-3, 4, (rows, columns)) * draw.integers(0, 2, (rows, columns)), axis=0
    )
    close *= draw.choice([1.0, 0.1, 1.0 / 3.0], columns)
    high = close + draw.integers(0, 4, (rows, columns))
    low = close - draw.integers(0, 4, (rows, columns))
    volume = draw.integers(0, 5, (rows, columns)).astype(np.float64) * 100.0
    return Market(high, low, close, volume)


def with_holes(clean: Market, seed: int, share: float = 0.05) -> Market:
    """The market with a late listing in each column and NaN or infinite values strewn over it."""
    draw = np.random.default_rng(seed)

    def strew(field: FloatArray) -> FloatArray:
        field = field.copy()
        field[draw.random(field.shape) < share] = draw.choice([np.nan, np.inf, -np.inf])
        return field

    holed = clean.map(strew)
    start = draw.integers(0, len(clean), clean.close.shape[1])
    late = np.arange(len(clean))[:, None] < start
    return holed.map(lambda field: np.where(late, np.nan, field))
