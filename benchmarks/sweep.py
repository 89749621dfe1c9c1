"""10,000 pairs of moving averages over 2,500 daily bars: indicators, simulation, return, Sharpe, deepest drawdown.

Ours is `quantkit.sweep` with an ordinary `Strategy`, on one thread and on two. vectorbt is its idiomatic sweep:
`MA.run` of all pairs, `Portfolio.from_signals`, the three figures of all columns at once; backtesting.py runs a sample
of the pairs one after the other, as its `optimize` does in each process, and is scaled to all of them. Both sides get
the same closes. Ratios are of CPU time, which is what a sweep costs. `sweep_dask.py` is the same on a cluster.

usage: python benchmarks/sweep.py [--json]
"""

from __future__ import annotations

import resource
import statistics
import time
from collections.abc import Callable

import numpy as np
from common import panel, peak_mib, rss_mib, run_sides

BARS = 2_500
FAST, SLOW = range(5, 105), range(110, 310, 2)
SAMPLE = 40  # pairs that backtesting.py runs
RATE = 0.00015


def cpu() -> float:
    """CPU seconds of this process and of the ended ones it started."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(each.ru_utime + each.ru_stime for each in used)


def timed(work: Callable[[], int], *, times: int = 5) -> dict[str, float]:
    """Medians of CPU and wall clock after one call to warm up, and the memory the calls added."""
    before = rss_mib()
    work()
    found = []
    for _ in range(times):
        began, used = time.perf_counter(), cpu()
        runs = work()
        found.append((cpu() - used, time.perf_counter() - began))
    seconds, wall = (statistics.median(column) for column in zip(*found, strict=True))
    return {"median_s": seconds, "wall_s": wall, "runs": runs, "us_a_run": seconds / runs * 1e6,
            "added_mib": peak_mib() - before}  # fmt: skip


def closes() -> np.ndarray:
    return panel(BARS, 1)


def bars_and_rule() -> tuple[object, type]:
    import quantkit as qk
    from quantkit.data.bars import Bars, midnights

    close = closes()
    open_ = np.vstack([close[:1], close[:-1]])
    fields = {"open": open_, "high": np.maximum(open_, close), "low": np.minimum(open_, close), "close": close,
              "volume": np.full(close.shape, 1e6)}  # fmt: skip
    bars = Bars(times=midnights(np.arange(15_000, 15_000 + BARS)), symbols=("005930",), fields=fields)

    class Cross(qk.Strategy):
        fast: int = qk.param(10, low=2, high=400)
        slow: int = qk.param(50, low=2, high=400)

        def targets(self, bars: qk.Bars) -> np.ndarray:
            return qk.ta.sma(bars.close, self.fast) > qk.ta.sma(bars.close, self.slow)

    return bars, Cross


def quantkit(jobs: int) -> dict[str, float]:
    import quantkit as qk

    bars, rule = bars_and_rule()

    def work() -> int:
        return len(qk.sweep(rule, bars, fast=FAST, slow=SLOW, jobs=jobs, progress=False))

    return timed(work)


def vectorbt() -> dict[str, float]:
    import warnings

    warnings.simplefilter("ignore")
    import pandas as pd
    import vectorbt as vbt

    close = pd.Series(closes()[:, 0], index=pd.date_range("2010-01-01", periods=BARS, freq="D"))

    def work() -> int:
        fast = vbt.MA.run(close, np.repeat(list(FAST), len(SLOW)), short_name="fast")
        slow = vbt.MA.run(close, np.tile(list(SLOW), len(FAST)), short_name="slow")
        entries, exits = fast.ma_crossed_above(slow), fast.ma_crossed_below(slow)
        portfolio = vbt.Portfolio.from_signals(close, entries, exits, size_granularity=1.0, fees=RATE, freq="1D")
        figures = portfolio.total_return(), portfolio.sharpe_ratio(), portfolio.max_drawdown()
        return len(figures[0])

    return timed(work, times=1)


def backtesting() -> dict[str, float]:
    import warnings

    warnings.simplefilter("ignore")
    import pandas as pd
    from backtesting import Backtest, Strategy
    from backtesting.lib import crossover

    close = pd.Series(closes()[:, 0], index=pd.date_range("2010-01-01", periods=BARS, freq="D"))
    frame = pd.DataFrame({"Open": close.shift(1).fillna(close.iloc[0]), "Close": close})
    frame["High"], frame["Low"], frame["Volume"] = frame.max(axis=1), frame.min(axis=1), 1e6

    class Cross(Strategy):
        fast, slow = 10, 50

        def init(self) -> None:
            self.a = self.I(lambda x: pd.Series(x).rolling(self.fast).mean(), self.data.Close)
            self.b = self.I(lambda x: pd.Series(x).rolling(self.slow).mean(), self.data.Close)

        def next(self) -> None:
            if crossover(self.a, self.b):
                self.buy()
            elif crossover(self.b, self.a):
                self.position.close()

    engine = Backtest(frame, Cross, cash=1e8, commission=RATE)
    pairs = [(fast, slow) for fast in FAST for slow in SLOW]
    chosen = pairs[:: len(pairs) // SAMPLE][:SAMPLE]

    def work() -> int:
        for fast, slow in chosen:
            engine.run(fast=fast, slow=slow)
        return len(chosen)

    found = timed(work, times=1)
    scale = len(pairs) / len(chosen)
    return found | {"median_s": found["median_s"] * scale, "wall_s": found["wall_s"] * scale, "scaled_from": SAMPLE}


if __name__ == "__main__":
    run_sides(
        __file__,
        {
            "quantkit, 1 thread": lambda: quantkit(1),
            "quantkit, 2 threads": lambda: quantkit(2),
            "vectorbt": vectorbt,
            "backtesting.py": backtesting,
        },
        title="10,000 SMA pairs x 2,500 daily bars, CPU seconds",
        packages=("numpy", "numba", "vectorbt", "vectorbt-rust", "backtesting"),
    )
