"""Looking for tomorrow: `quantkit.check` of 2,500-bar strategies, each in a process of its own.

An ordinary `Strategy` on NumPy kernels, one on pandas, a rule with memory, a pandas rule that peeks (its cause has to
be found as well) and one over 200 names. Figures are seconds of one check, cuts made, and findings; the aim is 2 s, 5 s
at most.

usage: python benchmarks/check.py [--json]
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from common import SEED, measure, panel, run_sides

import quantkit as qk
from quantkit.data.bars import midnights

BARS = 2_500
STRATEGIES = Path(__file__).parent.parent / "strategies"


def prices(names: int) -> qk.Bars:
    """Seeded daily bars."""
    random = np.random.default_rng(SEED)
    close = panel(BARS, names)
    opens = np.vstack([close[:1], close[:-1]])
    fields = {"open": opens, "high": np.maximum(opens, close) + 10, "low": np.minimum(opens, close) - 10}
    fields |= {"close": close, "volume": np.round(np.exp(random.normal(11, 0.7, close.shape)))}
    symbols = tuple(f"{number:06d}" for number in range(names))
    return qk.Bars(times=midnights(np.arange(BARS) + 14_600), symbols=symbols, fields=fields)


class Averages(qk.Strategy):
    """Two averages of pandas."""

    warmup = 60

    def targets(self, bars: qk.Bars):
        close = bars.frame("close")
        return close.rolling(20).mean() > close.rolling(60).mean()


class Centred(qk.Strategy):
    """Peeks."""

    def targets(self, bars: qk.Bars):
        close = bars.frame("close")
        return close < close.rolling(21, center=True).mean()


def checked(strategy: qk.Strategy, names: int) -> dict[str, float]:
    bars = prices(names)
    reports: list[qk.CheckReport] = []
    figures = measure(lambda: reports.append(qk.check(strategy, bars)), runs=5)
    return figures | {"cuts": reports[-1].cuts, "findings": len(reports[-1].findings)}


def shipped(file: str, names: int) -> dict[str, float]:
    return checked(qk.load_strategy(STRATEGIES / file)(), names)


if __name__ == "__main__":
    run_sides(
        __file__,
        {
            "sma_cross, 1 name": lambda: shipped("sma_cross.py", 1),
            "pandas averages": lambda: checked(Averages(), 5),
            "turtle (on_bar)": lambda: shipped("turtle.py", 5),
            "centred window": lambda: checked(Centred(), 5),
            "momentum, 200 names": lambda: shipped("momentum.py", 200),
        },
        title=f"quantkit.check on {BARS:,} daily bars",
        packages=("numpy", "numba", "pandas"),
    )
