"""A minute lake larger than a chunk, run through a backtest: peak memory and throughput against reading it.

    python benchmarks/minutes.py [--json]         20 million rows: 200 symbols, 100,000 minutes; half a minute to build

Sides, each in a process of its own over the same synthetic lake (built first, in a temporary folder, a fiftieth of the
minutes missing, a split, a delisting):

    backtest   two moving averages over minutes, equal weights, state carried from chunk to chunk
    panels     the same stream read into (T, N) matrices of open, high, low, close, volume, and nothing else
    decode     the same Parquet files decoded by pyarrow with all its threads, no matrix made: the least there is
    whole      the same backtest on bars in memory, as `lake.bars` gives them

`peak_mib` is the kernel's own high-water mark of resident memory (VmHWM), data and libraries together.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from common import SEED, run_sides

NAMES, SESSIONS = 200, 263
FIELDS = ("open", "high", "low", "close", "volume")
_LAKE = "QUANTKIT_BENCH_MINUTES"
_TABLE = "bars_1m"


def build(folder: str) -> None:
    """Write the lake, a month at a time."""
    import pandas as pd
    import pyarrow as pa

    from quantkit import Lake
    from quantkit.market.calendar import sessions

    random, lake = np.random.default_rng(SEED), Lake(folder)
    days = sessions("2023-02-01", "2026-06-30")[:SESSIONS]
    minutes = np.append(np.arange(541, 921), 930) * 60_000_000  # 09:01 to 15:20, and the closing auction
    stamps = days.astype(np.int64)[:, None] * 86_400_000_000 - 9 * 3_600_000_000 + minutes
    codes = [f"{name:06d}" for name in range(NAMES)]
    level = random.uniform(500, 900, NAMES).astype(np.int64)  # in ticks of 50 won
    for month in np.unique(days.astype("datetime64[M]")):
        rows = stamps[days.astype("datetime64[M]") == month].ravel()
        close = np.clip(level[:, None] + np.cumsum(random.integers(-1, 2, (NAMES, len(rows))), axis=1), 410, 990)
        opens, level = np.concatenate([level[:, None], close[:, :-1]], axis=1), close[:, -1]
        keep = (random.random(close.shape) >= 0.02).ravel()
        prices = (opens, np.maximum(opens, close) + 1, np.minimum(opens, close) - 1, close)
        symbol = pa.array(np.repeat(np.arange(NAMES, dtype=np.int32), len(rows))[keep])
        columns = {name: pa.array(50.0 * matrix.ravel()[keep]) for name, matrix in zip(FIELDS, prices, strict=False)}
        columns["volume"] = pa.array(random.integers(1, 1000, keep.sum()).astype(float))
        moment = pa.array(np.tile(rows, NAMES)[keep]).view(pa.timestamp("us", tz="UTC"))
        table = {"symbol": pa.DictionaryArray.from_arrays(symbol, pa.array(codes)), "time": moment, **columns}
        lake.ingest(pa.table(table), _TABLE, market="KOSPI")
    split = pd.DataFrame(
        [(codes[1], str(days[100]), "split", 2.0)], columns=["symbol", "ex_date", "kind", "share_ratio"]
    )
    lake.ingest(split, "actions")
    gone = pd.DataFrame([(codes[2], "KOSPI", str(days[-1]))], columns=["symbol", "market", "delisting_date"])
    lake.ingest(gone, "instruments")


def lake_path() -> str:
    """The lake that the parent built."""
    return os.environ[_LAKE]


def high_water_mib() -> float:
    """Largest resident memory of this process so far."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM"):
            return int(line.split()[1]) / 1024
    raise OSError("no VmHWM in /proc/self/status")


def timed(work: Callable[[], int], runs: int = 3) -> dict[str, float]:
    """Median seconds, after one uncounted run that compiles and fills the page cache; `work` gives rows."""
    rows = work()
    seconds = []
    for _ in range(runs):
        start = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - start)
    median = sorted(seconds)[len(seconds) // 2]
    return {"median_s": median, "million_rows_per_s": rows / median / 1e6, "peak_mib": high_water_mib()}


def _run(whole: bool) -> dict[str, float]:
    from quantkit import Bars, Lake, Policy, Strategy, backtest, ta

    class Cross(Strategy):
        """Hold a name while its fast average stands above its slow one."""

        policy = Policy(weighting="equal")
        warmup = 60

        def targets(self, bars: Bars) -> np.ndarray:
            return ta.sma(bars.close, 20) > ta.sma(bars.close, 60)

    def work() -> int:
        lake = Lake(lake_path(), cache_limit=0)
        bars = lake.bars(freq="1m") if whole else lake.stream()
        result = backtest(Cross(), bars, cash=1e9)
        if not len(result.run.fills["bar"]):
            raise AssertionError("nothing was traded")
        return bars.shape[0] * bars.shape[1]

    return timed(work)


def backtest_side() -> dict[str, float]:
    return _run(whole=False)


def whole_side() -> dict[str, float]:
    return _run(whole=True)


def panels() -> dict[str, float]:
    from quantkit import Lake

    def work() -> int:
        stream = Lake(lake_path()).stream()
        for bars in stream:
            for name in FIELDS:
                bars.field(name)
        return stream.shape[0] * stream.shape[1]

    return timed(work)


def decode() -> dict[str, float]:
    import pyarrow.parquet as pq

    def work() -> int:
        files = sorted((Path(lake_path()) / _TABLE).glob("month=*/*.parquet"))
        return sum(pq.ParquetFile(file, memory_map=True).read(["time", *FIELDS]).num_rows for file in files)

    return timed(work)


def main() -> None:
    """Build the lake in a process of its own, whose memory does not count here, and compare the sides."""
    if sys.argv[1:2] == ["--build"]:
        build(sys.argv[2])
    elif _LAKE in os.environ or "--help" in sys.argv:
        _compare()
    else:
        with tempfile.TemporaryDirectory() as folder:
            print("building the lake", file=sys.stderr)
            subprocess.run([sys.executable, __file__, "--build", folder], check=True)
            os.environ[_LAKE] = folder
            _compare()


def _compare() -> None:
    sides = {"backtest": backtest_side, "panels": panels, "decode": decode, "whole": whole_side}
    title = f"Minute lake, {NAMES} symbols x {SESSIONS} sessions, in chunks"
    run_sides(__file__, sides, title=title, packages=("quantkit", "numpy", "numba", "pyarrow"))


if __name__ == "__main__":
    main()
