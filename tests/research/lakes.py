"""A small lake and a rule in a file, for the tests of the run log and of what is said of runs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from quantkit import Bars, Lake
from quantkit.market.calendar import sessions

RULE = '''"""A rule for tests."""

from quantkit import Bars, Strategy, param, ta


class Rising(Strategy):
    """Hold a name that stands above its average."""

    window: int = param(5, low=2, high=60)

    def targets(self, bars: Bars):
        return bars.close > ta.sma(bars.close, self.window)
'''


def walk(symbols: tuple[str, ...] = ("005930", "000660"), *, count: int = 120, seed: int = 1) -> pd.DataFrame:
    """Prices in steps of 100 won."""
    days = sessions("2024-01-02", "2026-12-31")[:count]
    frames = []
    for place, symbol in enumerate(symbols):
        random = np.random.default_rng(seed + place)
        close = 80_000 + 100 * np.cumsum(random.integers(-9, 11, count))
        around = {"open": close - 100, "high": close + 300, "low": close - 400, "close": close, "volume": 50_000}
        frames.append(pd.DataFrame({"symbol": symbol, "date": days, **around}))
    return pd.concat(frames, ignore_index=True)


def make_lake(folder: Path, **options: object) -> Lake:
    """A lake with two names."""
    lake = Lake(folder / "lake")
    lake.ingest(walk(**options), market="KOSPI")  # type: ignore[arg-type]
    return lake


def write_rule(folder: Path, text: str = RULE) -> Path:
    """The rule's file."""
    path = folder / "rising.py"
    path.write_text(text, encoding="utf-8")
    return path


def bars_in_memory(**options: object) -> Bars:
    """The same prices without a lake."""
    return Bars.from_pandas(walk(**options), market="KOSPI")  # type: ignore[arg-type]
