"""Small price tables for the lake's tests: real calendar days, prices on the grid, nothing random without a seed."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from quantkit import Bars
from quantkit.market.calendar import sessions

COLUMNS = ["symbol", "date", "open", "high", "low", "close", "volume"]

REAL = Path(os.environ.get("QUANTKIT_REAL_DATA", Path(__file__).parents[3] / "shared" / "data"))
needs_real_data = pytest.mark.skipif(
    not (REAL / "krx_daily_raw.parquet").exists(), reason=f"no folder of real prices at {REAL} (set QUANTKIT_REAL_DATA)"
)


def days(start: str = "2024-01-02", count: int = 10) -> np.ndarray:
    """The first sessions from `start`."""
    return sessions(start, "2026-12-31")[:count]


def prices(
    symbols: tuple[str, ...] = ("005930", "000660"), *, start: str = "2024-01-02", count: int = 10
) -> pd.DataFrame:
    """Long table, sorted by symbol and date: a seeded walk in steps of 100 won between 50,000 and 200,000."""
    frames = []
    for place, symbol in enumerate(symbols):
        random = np.random.default_rng(place)
        close = 100_000 + 100 * np.cumsum(random.integers(-5, 6, count))
        frames.append(
            pd.DataFrame(
                {
                    "symbol": symbol,
                    "date": days(start, count),
                    "open": close - 100,
                    "high": close + 200,
                    "low": close - 300,
                    "close": close,
                    "volume": 1_000 + np.arange(count),
                }
            )
        )
    return pd.concat(frames, ignore_index=True)


def row(symbol: str, date: str, close: float, **other: float) -> dict[str, object]:
    """One row with open = high = low = close unless said otherwise."""
    return {
        "symbol": symbol,
        "date": date,
        "open": close,
        "high": close,
        "low": close,
        "close": close,
        "volume": 10,
        **other,
    }


def frame(*rows: dict[str, object]) -> pd.DataFrame:
    """Rows as a frame, dates as datetimes."""
    table = pd.DataFrame(list(rows))
    table["date"] = pd.to_datetime(table["date"])
    return table


def same_bars(left: Bars, right: Bars) -> bool:
    names = ("open", "high", "low", "close", "volume")
    return (
        left.symbols == right.symbols
        and np.array_equal(left.times, right.times)
        and np.array_equal(left.flags, right.flags)
        and all(np.array_equal(left.field(name), right.field(name), equal_nan=True) for name in names)
        and np.array_equal(left.close, right.close, equal_nan=True)
    )
