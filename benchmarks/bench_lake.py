"""Speed of the lake against the least that must be done: decode and scatter, np.load, and DuckDB on files laid out to
fit.

    python benchmarks/bench_lake.py [--symbols 2500] [--days 2520] [--missing 0.01]

Both sides run in one process on the same synthetic prices (6.3 million rows by default). Per question, the median of
several runs and the ratio are printed. "cold" clears the column cache before every read, so the tables themselves
answer; "cached" repeats the same query. DuckDB keeps its footers (`parquet_metadata_cache`), as the lake keeps its
own; both sides hand out NumPy arrays. The operating system's page cache is warm on both sides.
"""

from __future__ import annotations

import argparse
import shutil
import statistics
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from quantkit.data.lake import Lake

if TYPE_CHECKING:
    from collections.abc import Callable

FIELDS = ("open", "high", "low", "close", "volume")


def make_prices(symbols: int, days: int) -> pa.Table:
    """Long table sorted by symbol and date: random walks on a 10-won grid over Korean sessions."""
    from quantkit.market.calendar import sessions

    rng = np.random.default_rng(7)
    dates = sessions("2008-01-01", "2026-06-30")[:days].astype("datetime64[D]")
    close = np.empty((symbols, days))
    for row in close:
        row[:] = np.round(20_000 * np.exp(np.cumsum(rng.normal(0, 0.01, days))) / 10) * 10
    open_ = np.roll(close, 1, axis=1)
    open_[:, 0] = close[:, 0]
    high, low = np.maximum(open_, close) + 10, np.maximum(np.minimum(open_, close) - 10, 10)
    codes = pa.DictionaryArray.from_arrays(
        pa.array(np.repeat(np.arange(symbols, dtype=np.int32), days)), pa.array([f"{n:06d}" for n in range(symbols)])
    )
    prices = {name: pa.array(matrix.ravel()) for name, matrix in zip(FIELDS, (open_, high, low, close), strict=False)}
    volume = pa.array(rng.integers(1, 1_000_000, symbols * days).astype(float))
    date = pa.array(np.tile(dates.astype(np.int32), symbols)).view(pa.date32())
    return pa.table({"symbol": codes, "date": date, **prices, "volume": volume})


def median_ms(work: Callable[[], object], *, before: Callable[[], object] = lambda: None, repeat: int = 7) -> float:
    """Median milliseconds of `work`; `before` is not timed."""
    taken = []
    for _ in range(repeat):
        before()
        start = time.perf_counter()
        work()
        taken.append((time.perf_counter() - start) * 1e3)
    return statistics.median(taken)


def decode_and_scatter(folder: Path, shape: tuple[int, int]) -> np.ndarray:
    """The reference: decode integer ids, date and close with pyarrow, scatter with NumPy."""
    table = pq.read_table(folder / "prices.parquet", columns=["id", "date", "close"])
    day = table["date"].cast(pa.int32()).to_numpy()
    first = int(day.min())
    lookup = np.full(int(day.max()) - first + 1, -1)
    present = np.zeros(len(lookup), dtype=bool)
    present[day - first] = True
    lookup[present] = np.arange(shape[0])
    matrix = np.full(shape, np.nan)
    matrix.reshape(-1)[lookup[day - first] * shape[1] + table["id"].to_numpy()] = table["close"].to_numpy()
    return matrix


def report(question: str, ours: float, reference: float, what: str) -> None:
    print(f"{question:<44} {ours:9.2f} ms   {what:<38} {reference:9.2f} ms   ratio {ours / reference:5.2f}")


def main() -> None:
    """Build the data, run every question, print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--symbols", type=int, default=2_500)
    parser.add_argument("--days", type=int, default=2_520)
    parser.add_argument("--missing", type=float, default=0.0, help="share of the rows to leave out")
    parser.add_argument("--folder", type=Path, default=None, help="work folder; default: a temporary one, removed")
    options = parser.parse_args()
    folder = options.folder or Path(tempfile.mkdtemp(prefix="lake-bench-"))
    try:
        run(folder, options.symbols, options.days, options.missing)
    finally:
        if options.folder is None:
            shutil.rmtree(folder)


def run(folder: Path, symbols: int, days: int, missing: float) -> None:
    """All questions in order."""
    prices = make_prices(symbols, days)
    if missing:
        prices = prices.filter(np.random.default_rng(1).random(prices.num_rows) >= missing)
        prices = prices.unify_dictionaries().combine_chunks()
    lake = Lake(folder / "lake")
    if not lake.tables():
        start = time.perf_counter()
        lake.ingest(prices, market="KOSPI")
        print(f"ingest of {prices.num_rows:,} rows: {time.perf_counter() - start:.1f} s")
    layout(folder, prices)
    live = next(info.bytes for info in lake.info() if info.table == "bars_1d")
    copies = sum(file.stat().st_size for file in (folder / "lake" / "cache" / "days").rglob("*.parquet"))
    print(f"newest version {live / 1e6:.0f} MB, by-date copies {copies / 1e6:.0f} MB")

    def clear() -> None:
        shutil.rmtree(lake.cache.folder, ignore_errors=True)

    matrix_questions(lake, folder, (days, symbols), clear)
    row_questions(lake, folder, prices, clear)


def layout(folder: Path, prices: pa.Table) -> None:
    """Files as a person lays them out for each question: one sorted by symbol, one by date, small row groups."""
    by_symbol, by_date = folder / "by_symbol", folder / "by_date"
    prices = prices.append_column("id", prices["symbol"].chunk(0).indices)
    for target, order in ((by_symbol, None), (by_date, "date")):
        target.mkdir(exist_ok=True)
        ordered = (
            prices
            if order is None
            else prices.take(np.argsort(prices[order].cast(pa.int32()).to_numpy(), kind="stable"))
        )
        pq.write_table(ordered, target / "prices.parquet", row_group_size=10_000, compression="lz4")


def matrix_questions(lake: Lake, folder: Path, shape: tuple[int, int], clear: Callable[[], None]) -> None:
    """The close of everything, from the tables and from the cache."""
    bars, reference = lake.bars(), decode_and_scatter(folder / "by_symbol", shape)
    assert np.array_equal(bars.raw.close[bars.valid], reference[bars.valid])
    ours = median_ms(lambda: lake.bars().raw.close, before=clear)
    report(
        "close matrix, cold",
        ours,
        median_ms(lambda: decode_and_scatter(folder / "by_symbol", shape)),
        "pyarrow decode + scatter",
    )
    np.save(folder / "close.npy", lake.bars().raw.close)
    ours = median_ms(lambda: float(lake.bars().raw.close.sum()))
    report(
        "close matrix, cached, and its sum",
        ours,
        median_ms(lambda: float(np.load(folder / "close.npy").sum())),
        "np.load and its sum",
    )
    ours = median_ms(lambda: lake.bars().raw.close)
    report("close matrix, cached (mapped)", ours, median_ms(lambda: np.load(folder / "close.npy")), "np.load")


def row_questions(lake: Lake, folder: Path, prices: pa.Table, clear: Callable[[], None]) -> None:
    """One symbol, and one day, all five fields."""
    connection = duckdb.connect()
    connection.sql("set parquet_metadata_cache=true")
    symbol = f"{len(prices['symbol'].chunk(0).dictionary) // 3:06d}"
    date = str(prices["date"][len(prices) // 2])
    columns = ", ".join(FIELDS)

    def ask(file: str, condition: str, key: str) -> Callable[[], object]:
        path = folder / file / "prices.parquet"
        return lambda: connection.sql(
            f"select {key}, {columns} from read_parquet('{path}') where {condition}"
        ).fetchnumpy()

    def read(**query: object) -> Callable[[], object]:
        def work() -> list[np.ndarray]:
            bars = lake.bars(**query)  # type: ignore[arg-type]
            return [bars.field(name) for name in FIELDS]

        return work

    one_symbol, one_day = (
        ask("by_symbol", f"symbol = '{symbol}'", "date"),
        ask("by_date", f"date = date '{date}'", "symbol"),
    )
    for name, ours, theirs in (
        ("one symbol", read(symbols=[symbol]), one_symbol),
        ("one day of all", read(start=date, end=date), one_day),
    ):
        for state, before in (("cold", clear), ("cached", ours)):
            timed = [(median_ms(ours, before=before, repeat=1), median_ms(theirs, repeat=1)) for _ in range(25)]
            mine, reference = (statistics.median(side) for side in zip(*timed, strict=True))
            report(f"{name}, {state}", mine, reference, "DuckDB, file sorted for it")


if __name__ == "__main__":
    main()
