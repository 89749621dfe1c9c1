"""A benchmark beside a run: its returns session by session, and what the same money would be worth in it.

Contract: levels are (T,) float64 on the run's rows, positive, any scale; `benchmark.benchmark_levels` makes them.

>>> Benchmark(np.array([10.0, 11.0]), "KOSPI").account(100.0, np.array([0.0, 50.0]))
array([100., 165.])
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from quantkit.errors import BadData

__all__ = ["Benchmark"]

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Benchmark:
    """A named level a bar; only its ratios matter. BadData where a level is missing or not positive."""

    levels: Floats
    name: str = "benchmark"

    def __post_init__(self) -> None:
        wrong = np.flatnonzero(~(self.levels > 0.0))  # catches nan too
        if len(wrong):
            raise BadData(
                f"benchmark {self.name!r} has the level {self.levels[wrong[0]]} on row {wrong[0]} of the run; it needs "
                "a positive value on or before the first bar: start the run later or give a longer series"
            )

    def returns(self, rows: NDArray[np.int64]) -> Floats:
        """Simple returns between these rows; the first counts from the run's first bar."""
        picked = self.levels[rows]
        before = np.concatenate((self.levels[:1], picked[:-1]))
        return np.asarray(picked / before - 1.0, np.float64)

    def account(self, initial: float, deposits: Floats) -> Floats:
        """Value of the same money put into the benchmark: the initial sum at the first level, each deposit at the
        level before."""
        before = np.concatenate((self.levels[:1], self.levels[:-1]))
        units = initial / self.levels[0] + np.cumsum(deposits / before)
        return np.asarray(units * self.levels, np.float64)
