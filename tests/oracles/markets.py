"""Prices both engines are run on: real daily bars, and small random markets with gaps and wide bars."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pandas as pd
import pytest

from quantkit.data.bars import Bars
from tests.oracles.exact import goog, panel


class Prices(NamedTuple):
    """(T, N) each."""

    open: np.ndarray
    high: np.ndarray
    low: np.ndarray
    close: np.ndarray

    def bars(self, quiet: np.ndarray | None = None) -> Bars:
        """Without exchange rules, in float money; `quiet` (T, N) marks bars without a trade."""
        if quiet is None:
            return panel(*self)
        rows = np.where(quiet, 0, np.arange(len(quiet))[:, None])
        last = np.take_along_axis(self.close, np.maximum.accumulate(rows), axis=0)
        return panel(*(np.where(quiet, last, each) for each in self), volume=(~quiet).astype(float))

    def frame(self, column: int = 0) -> pd.DataFrame:
        """One market as backtesting.py reads it."""
        columns = dict(zip(("Open", "High", "Low", "Close"), (each[:, column] for each in self), strict=True))
        index = pd.date_range("2015-01-01", periods=len(self.close), freq="D")
        return pd.DataFrame(columns, index=index).assign(Volume=1.0)


def of_goog() -> Prices:
    """Real daily prices of GOOG, 2,148 bars."""
    frame = goog()
    return Prices(*(frame[name].to_numpy(float)[:, None] for name in ("Open", "High", "Low", "Close")))


def of_stocks() -> Prices:
    """Real daily prices of AAPL, GOOG, IBM and MSFT on their common days, unadjusted: splits are gaps."""
    stocks = pytest.importorskip("bokeh_sampledata.stocks", reason="the extra [demo] brings bokeh-sampledata")
    given = {"AAPL": stocks.AAPL, "GOOG": stocks.GOOG, "IBM": stocks.IBM, "MSFT": stocks.MSFT}
    frames = [pd.DataFrame(data).set_index("date").add_prefix(f"{name} ") for name, data in given.items()]
    together = pd.concat(frames, axis=1, join="inner").astype(float)
    return Prices(
        *(together[[f"{name} {field}" for name in given]].to_numpy() for field in ("open", "high", "low", "close"))
    )


def at_random(
    random: np.random.Generator, rows: int, columns: int = 1, *, wild: float = 1.0, digits: int = 2
) -> Prices:
    """Prices around 100: a bar moves some 3 %, gaps 1.5 %; `wild` multiplies both. digits: after the point; with none
    prices often meet each other."""
    shape = (rows, columns)
    close = 100 * np.exp(np.cumsum(random.normal(0, 0.03 * wild, shape), axis=0))
    open_ = np.vstack([close[:1], close[:-1]]) * np.exp(random.normal(0, 0.015 * wild, shape))
    high = np.maximum(open_, close) * (1 + random.exponential(0.01 * wild, shape))
    low = np.minimum(open_, close) * (1 - np.minimum(random.exponential(0.01 * wild, shape), 0.5))
    open_, high, low, close = (np.round(each, digits) for each in (open_, high, low, close))
    return Prices(open_, np.maximum(high, np.maximum(open_, close)), np.minimum(low, np.minimum(open_, close)), close)


def by_hand(*bars: float | tuple[float, float, float, float]) -> Prices:
    """One market: a number is a bar that stays there, a tuple open, high, low, close."""
    rows = np.array([bar if isinstance(bar, tuple) else (bar,) * 4 for bar in bars], float)
    return Prices(*(rows[:, field : field + 1].copy() for field in range(4)))


def side_by_side(*markets: Prices) -> Prices:
    """Several of them in one panel."""
    return Prices(*(np.hstack(fields) for fields in zip(*markets, strict=True)))


def of_every_kind(random: np.random.Generator, columns: int = 1) -> Prices:
    """Calm and wild ones, in cents and in whole money."""
    rows, wild, digits = int(random.integers(25, 80)), float(random.choice([0.5, 1, 2.5])), int(random.choice([0, 2]))
    return at_random(random, rows, columns, wild=wild, digits=digits)


def digits_of(prices: Prices) -> int:
    return 0 if all((each == np.round(each)).all() for each in prices) else 2
