"""The panel the biases are planted in: a market with everything that tempts a rule to peek.

Six names over 700 sessions: one listed late, one delisted early, a split, days without a trade, a month of missing
volume. A seeded walk of whole won.
"""

from __future__ import annotations

from functools import cache

import numpy as np

from quantkit import Bars
from quantkit.data.actions import Action
from quantkit.data.bars import REQUIRED, midnights
from tests.backtest.factories import weekdays

SYMBOLS = ("000020", "000040", "000050", "000070", "000080", "000100")
LATE, GONE, SPLIT = 3, 4, 5  # columns
LISTED, DELISTED, SPLIT_ROW = 260, 480, 350
LENGTH = 700


@cache
def panel(length: int = LENGTH, *, seed: int = 11) -> Bars:
    """Daily bars."""
    random = np.random.default_rng(seed)
    names = len(SYMBOLS)
    steps = random.normal(0.0003, 0.02, (length, names)) + random.normal(0, 0.008, (length, 1))
    close = np.round(random.uniform(20_000, 90_000, names) * np.exp(np.cumsum(steps, axis=0)))
    close[SPLIT_ROW:, SPLIT] = np.round(close[SPLIT_ROW:, SPLIT] / 2)
    opens = np.round(close * np.exp(random.normal(0, 0.006, close.shape)))
    high = np.round(np.maximum(opens, close) * (1 + random.uniform(0, 0.01, close.shape)))
    low = np.round(np.minimum(opens, close) * (1 - random.uniform(0, 0.01, close.shape)))
    volume = np.round(np.exp(random.normal(11, 0.7, close.shape)))
    quiet = random.random(close.shape) < 0.01
    quiet[0] = False
    fields = {"open": opens, "high": high, "low": low, "close": close, "volume": volume}
    for row, name in np.argwhere(quiet):
        close[row, name] = close[row - 1, name]
        opens[row, name] = high[row, name] = low[row, name] = close[row, name]
        volume[row, name] = 0.0
    for name in REQUIRED:
        fields[name][:LISTED, LATE] = np.nan
        fields[name][DELISTED:, GONE] = np.nan
    days = weekdays(length)
    split = Action(SYMBOLS[SPLIT], int(days[SPLIT_ROW]), "split", share_ratio=2.0)
    return Bars(times=midnights(days), symbols=SYMBOLS, fields=fields, actions=[split])


@cache
def minutes(sessions: int = 12, bars: int = 40, *, seed: int = 5) -> Bars:
    """One-minute bars of two names: `sessions` sessions of `bars` bars."""
    random = np.random.default_rng(seed)
    days = np.repeat(weekdays(sessions), bars)
    inside = np.tile(np.arange(1, bars + 1), sessions)
    times = midnights(days) + (9 * 3_600 + 60 * inside) * 1_000_000
    close = 10_000.0 + 10 * np.cumsum(random.integers(-3, 4, (len(days), 2)), axis=0)
    fields = {"open": close - 10, "high": close + 20, "low": close - 20, "close": close}
    fields["volume"] = np.round(np.exp(random.normal(6, 0.5, close.shape)))
    return Bars(times=times, symbols=SYMBOLS[:2], fields=fields, freq="1m")
