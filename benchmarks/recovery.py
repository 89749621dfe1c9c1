"""Recovery of an account after a kill: 100,000 journal rows, from opening the journal to the engine as it was.

    quantkit    `open_journal` (lease, tables) and `recover`: the latest state and the entries after it, as every start
    replay      the same without states: every row read, its hash checked, folded into orders and books
    bare        sqlite3 and json alone: SELECT the rows and parse their payloads; nothing is checked or folded
    process     quantkit's whole process: Python, its imports, opening, recovery

Rows are what a day of one deployment with 200 names writes: a session, orders with five entries each, filled in two
parts; a state is kept every 2,000 entries, as the runner does, and 1,995 entries follow the last one.

usage: python benchmarks/recovery.py [--json] [--side NAME]
"""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from common import measure, run_sides

from quantkit import Policy, Strategy
from quantkit.emulator.exchange import random_bars
from quantkit.host import Deployment, new_sleeve
from quantkit.live.engine import Engine, fold
from quantkit.live.journal import open_stored
from quantkit.live.recovery import recover
from quantkit.live.sleeves import Sleeve
from quantkit.trading.events import Entry, Kind, intent_to_json
from quantkit.trading.orders import Intent, OrderType, Side, Window

ROWS, NAMES, STATES, A_DAY = 100_000, 200, 2_000, 400
PLACE = "QUANTKIT_BENCH_JOURNAL"
BARS = random_bars(seed=1, symbols=NAMES, sessions_count=3)


class Still(Strategy):
    """Decides nothing: what is measured is the journal's, not a rule's."""

    policy = Policy(weighting="equal")

    def targets(self, bars: object) -> object:
        return bars.close < 0.0  # type: ignore[attr-defined]


def sleeve() -> Sleeve:
    """The deployment as it begins."""
    return new_sleeve(Deployment(name="still", strategy=Still(), bars=BARS, capital=9e11))


def life(number: int, symbol: str | None = None) -> list[Entry]:
    """A buy, or the sale of as many, that fills in two parts."""
    id_ = f"still:{1_700_000_000 + number}:0"
    wanted = Intent(
        id=id_, deployment="still", symbol=symbol or f"{number % 200:06d}", side=Side.SELL if number % 2 else Side.BUY,
        quantity=10, type=OrderType.LIMIT, window=Window("continuous", 0, 10**18), price=70_000.0,
    )  # fmt: skip
    made = [
        Entry(Kind.ORDER_INITIALIZED, number, {"intent": intent_to_json(wanted)}, id_, "still"),
        Entry(Kind.ORDER_SUBMITTING, number, {"quantity": 10, "price": 70_000.0}, id_, "still"),
        Entry(Kind.ORDER_ACCEPTED, number, {"number": f"{number:010d}"}, id_, "still"),
    ]
    for trade, quantity, kind in (("a", 4, Kind.ORDER_PARTIALLY_FILLED), ("b", 6, Kind.ORDER_FILLED)):
        payload = {"trade": f"{number}{trade}", "quantity": quantity, "price": 70_000.0, "value": quantity * 70_000,
                   "commission": 40, "tax": 0, "provisional": False, "inferred": False}  # fmt: skip
        made.append(Entry(kind, number, payload, id_, "still"))
    return made


def entries() -> list[Entry]:
    """All rows: days of 400 orders."""
    made: list[Entry] = []
    for number in range(ROWS):
        if number % A_DAY == 0:
            date = f"{2000 + number // A_DAY // 12:04d}-{number // A_DAY % 12 + 1:02d}-01"
            opened = {"date": date, "actions": [], "bases": {}, "equity": 9 * 10**11, "deployment": "still"}
            made.append(Entry(Kind.SESSION_OPENED, number, opened, None, "still"))
        made += life(number, BARS.symbols[number // 2 % NAMES])
        if len(made) >= ROWS:
            break
    return made[:ROWS]


def write(folder: Path) -> None:
    """The journal, as an engine and its runner leave it when they are killed."""
    engine = Engine("bench", [sleeve()])
    journal = open_stored(folder, "bench", owner="bench", now=1)
    wanted = entries()
    for first in range(0, ROWS, STATES // 2):
        page = wanted[first : first + STATES // 2]
        for entry in page:
            fold(engine, entry)
        last = first + len(page)
        keep = last % STATES == 0 and last < ROWS
        journal.append(page, snapshot=engine.snapshot() if keep else None)
    journal.close()


def start(folder: Path) -> int:
    """What a start does; orders that the engine knows again."""
    journal = open_stored(folder, "bench", owner="again", now=1)
    engine = recover(journal, [sleeve()])
    seq = journal.head()[0]
    journal.close()
    assert engine.orders
    return seq


def without_states(folder: Path) -> int:
    """The same where no state was kept."""
    connection = sqlite3.connect(folder / "bench.sqlite")
    with connection:
        connection.execute("DELETE FROM snapshots")
    connection.close()
    return start(folder)


def bare(folder: Path) -> int:
    """The rows and their payloads, nothing else."""
    connection = sqlite3.connect(folder / "bench.sqlite")
    rows = connection.execute("SELECT * FROM journal WHERE account_id = 'bench' ORDER BY seq").fetchall()
    connection.close()
    return len([json.loads(row[7]) for row in rows])


def process(folder: Path) -> int:
    """A start in a process of its own, from the shell's view."""
    done = subprocess.run([sys.executable, __file__, "--start", str(folder)], check=True, capture_output=True)
    return int(done.stdout)


def in_journal(work: Callable[[Path], int], runs: int = 5) -> dict[str, float]:
    """Time `work` on a copy of the journal."""
    folder = Path(tempfile.mkdtemp())
    try:
        if PLACE in os.environ:
            shutil.copytree(os.environ[PLACE], folder, dirs_exist_ok=True)
        else:
            write(folder)
        assert work(folder) == ROWS
        used = time.process_time()
        figures = measure(lambda: work(folder), runs=runs, warm=0)
        figures["cpu_s"] = (time.process_time() - used) / runs
    finally:
        shutil.rmtree(folder)
    return figures | {"rows": ROWS}


if __name__ == "__main__":
    if "--start" in sys.argv:
        print(start(Path(sys.argv[-1])))
        raise SystemExit
    made = None
    if "--side" not in sys.argv:
        made = os.environ[PLACE] = tempfile.mkdtemp()
        write(Path(made))
    try:
        run_sides(
            __file__,
            {
                "quantkit": lambda: in_journal(start),
                "replay": lambda: in_journal(without_states, runs=2),
                "bare": lambda: in_journal(bare, runs=3),
                "process": lambda: in_journal(process, runs=3),
            },
            title=f"Recovery of an account with {ROWS:,} journal rows, in SQLite (bound: 2 s, aim 0.5 s)",
            packages=("sqlalchemy",),
        )
    finally:
        if made is not None:
            shutil.rmtree(made)
