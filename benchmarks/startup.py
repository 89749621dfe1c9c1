"""Whole processes: importing, one backtest of 5,000 daily bars with kernels cached, the same with an empty cache.

    import      `import quantkit` beside `import pandas`
    backtest    `quantkit backtest sma_cross.py` on 5,000 daily bars, from a CSV file and from a lake, beside a script
                that does the same with backtesting.py (read the CSV, run an SMA cross with costs, print figures)
    first ever  the same `quantkit backtest` with an empty kernel cache, beside vectorbt's first `from_orders` with its
                Numba engine (its own cache empty too)
    first call  only the first `backtest(...)` of a new process, its strategy's file and numba's own import in it, bars
                and pandas there before, of targets and of a rule (`on_bar`): with kernels cached, and ever

Python's bytecode cache is on. Each line is the median of several processes after one that is not counted; the
first-ever runs are single ones, each in a cache folder of its own.

usage: python benchmarks/startup.py [--json]
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from common import SEED, versions

ROOT = Path(__file__).resolve().parent.parent
RUNS = 7

PEER = """
import sys, pandas as pd
from backtesting import Backtest, Strategy
from backtesting.lib import crossover
from backtesting.test import SMA
class Cross(Strategy):
    def init(self):
        self.fast = self.I(SMA, self.data.Close, 20)
        self.slow = self.I(SMA, self.data.Close, 60)
    def next(self):
        if crossover(self.fast, self.slow): self.buy()
        elif crossover(self.slow, self.fast): self.position.close()
frame = pd.read_csv(sys.argv[1], parse_dates=["date"], index_col="date")
frame.columns = [name.capitalize() for name in frame.columns]
print(Backtest(frame, Cross, cash=1e8, commission=0.00014).run())
"""

VECTORBT = """
import numpy as np, vectorbt as vbt
vbt.settings["engine"] = "numba"
close = 100 * np.exp(np.cumsum(np.random.default_rng(0).normal(0, 0.02, 5000)))
weights = np.full(5000, np.nan); weights[::50] = np.tile([1.0, 0.0], 50)
portfolio = vbt.Portfolio.from_orders(close, weights, size_type="targetpercent", fees=0.00014, freq="1D")
print(portfolio.total_return(), portfolio.sharpe_ratio())
"""


FIRST_CALL = """
import sys, time
import numpy as np, pandas as pd, quantkit as qk
days = pd.bdate_range("2004-01-05", periods=5000, tz="Asia/Seoul").as_unit("ns").asi8
close = np.floor(500 * np.exp(np.cumsum(np.random.default_rng(0).normal(0, 0.015, (5000, 1)), axis=0))) * 100 + 1_000
fields = {"open": close, "high": close + 100, "low": close - 100, "close": close, "volume": np.full((5000, 1), 1e6)}
bars = qk.Bars(times=days, symbols=("000001",), fields=fields)
begun = time.perf_counter()
qk.backtest(qk.load_strategy(sys.argv[1])(), bars)
print(time.perf_counter() - begun)
"""


def prices(path: Path) -> None:
    """5,000 daily bars of one made-up name, whole won on the tick grid of 100."""
    random = np.random.default_rng(SEED)
    close = np.floor(50_000 * np.exp(np.cumsum(random.normal(0.0002, 0.015, 5_000))) / 100) * 100 + 1_000
    open_ = np.r_[close[:1], close[:-1]]
    days = np.busday_offset("2004-01-05", np.arange(5_000), roll="forward").astype(str)
    with path.open("w") as file:
        file.write("date,open,high,low,close,volume\n")
        for day, first, last in zip(days, open_, close, strict=True):
            file.write(f"{day},{first:.0f},{max(first, last):.0f},{min(first, last):.0f},{last:.0f},1000\n")


def ran(command: list[str], **environment: str) -> str:
    """What a process printed; its failure ends the benchmark."""
    settings = {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"} | environment
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT, env=settings)
    if done.returncode:
        raise SystemExit(f"{' '.join(command)} failed:\n{done.stderr[-800:]}")
    return done.stdout


def once(command: list[str], **environment: str) -> float:
    """Wall seconds of one process."""
    start = time.perf_counter()
    ran(command, **environment)
    return time.perf_counter() - start


def first_calls(python: str, strategy: str, cache: Path) -> tuple[float, float]:
    """Seconds of the first `backtest` call of a process: median with kernels cached, and the one that compiles."""
    command = [python, "-c", FIRST_CALL, f"strategies/{strategy}.py"]
    compiling = float(ran(command, NUMBA_CACHE_DIR=str(cache)))
    ran(command)
    return statistics.median(float(ran(command)) for _ in range(RUNS)), compiling


def pair(ours: list[str], theirs: list[str]) -> tuple[float, float]:
    """Median seconds of both commands, run in turn."""
    once(ours), once(theirs)
    taken = [(once(ours), once(theirs)) for _ in range(RUNS)]
    return statistics.median(a for a, _ in taken), statistics.median(b for _, b in taken)


def main() -> None:
    parser = argparse.ArgumentParser(description="whole-process times")
    parser.add_argument("--json", action="store_true", help="print the figures as one JSON object")
    as_json = parser.parse_args().json
    python = sys.executable
    with tempfile.TemporaryDirectory() as folder:
        csv, lake = Path(folder) / "A00001.csv", Path(folder) / "lake"
        prices(csv)
        run = [python, "-m", "quantkit", "backtest", "strategies/sma_cross.py"]
        from_csv = [*run, "--data", str(csv), "--market", "NONE"]
        peer = [python, "-c", PEER, str(csv)]
        rows = {
            "import quantkit / pandas": pair([python, "-c", "import quantkit"], [python, "-c", "import pandas"]),
            "backtest from CSV / backtesting.py": pair(from_csv, peer),
        }
        frame = [python, "-m", "quantkit", "data", "ingest", str(csv), "--lake", str(lake), "--market", "KOSPI"]
        once([*frame, "--symbol", "000001"])
        rows["backtest from lake / backtesting.py"] = pair([*run, "--lake", str(lake)], peer)
        rows["first ever: quantkit / vectorbt numba"] = (
            once(from_csv, NUMBA_CACHE_DIR=str(Path(folder) / "ours")),
            once([python, "-c", VECTORBT], NUMBA_CACHE_DIR=str(Path(folder) / "theirs")),
        )
        calls = {
            "targets": first_calls(python, "sma_cross", Path(folder) / "targets"),
            "a rule": first_calls(python, "grid", Path(folder) / "rule"),
        }
    if as_json:
        print(
            json.dumps(
                {"rows": rows, "first_calls": calls, "versions": versions("numba", "pandas", "backtesting", "vectorbt")}
            )
        )
        return
    print("whole processes, seconds;", versions("numba", "pandas", "backtesting", "vectorbt"))
    for name, (ours, theirs) in rows.items():
        print(f"  {name:<40} {ours:6.3f}  {theirs:6.3f}   ratio {ours / theirs:5.2f}")
    for name, (cached, compiling) in calls.items():
        print(f"  first call of {name:<26} {cached:6.3f} cached  {compiling:6.3f} ever")


if __name__ == "__main__":
    main()
