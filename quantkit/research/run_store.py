"""The file of the run log: SQLite, written in the background, several rows a transaction.

    runs     one row a run, sweep or walk-forward; complete when it is there at all
    shared   what many rows have in common, once each, by its hash: strategy files, long lists of symbols

Contract: a row is one transaction's work, so no reader ever sees a part of it; processes may write at the same time
(write-ahead log, and a wait for each other's turn). Rows are stamped by the database's clock, UTC. Writing happens in
a thread of its own that lives while there is something to write: a run does not wait for the disk, and the interpreter
does not leave before the rows are there. Every failure ends in `Entry.problem`, never in the run.
Loads sqlite3 when the first row is written.
"""

from __future__ import annotations

import hashlib
import json
import os
import threading
import zlib
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from quantkit.errors import BadData, QuantkitError
from quantkit.plain import plain

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from pathlib import Path

SCHEMA_VERSION = 1
WAIT_S = 10.0  # for other processes' turns
GATHER_S = 0.005  # before a batch is written
PENDING = 1_000  # rows that may wait to be written before a run waits for them
LONG = 50  # names in a list that is kept apart

COLUMNS = (
    "token", "kind", "strategy", "file", "code_hash", "parameters", "manifest", "metrics", "data_version", "trial_key",
    "trials", "sharpe_mean", "sharpe_variance", "periods", "fills",
)  # fmt: skip

_SCHEMA = (
    """CREATE TABLE IF NOT EXISTS runs (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        token TEXT NOT NULL UNIQUE,
        time TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ', 'now')),
        kind TEXT NOT NULL,
        strategy TEXT NOT NULL,
        file TEXT,
        code_hash TEXT,
        parameters TEXT NOT NULL CHECK (json_valid(parameters)),
        manifest TEXT NOT NULL CHECK (json_valid(manifest)),
        metrics TEXT NOT NULL CHECK (json_valid(metrics)),
        data_version TEXT,
        trial_key TEXT NOT NULL,
        trials INTEGER NOT NULL CHECK (trials >= 1),
        sharpe_mean REAL,
        sharpe_variance REAL,
        periods REAL NOT NULL,
        fills BLOB
    )""",
    "CREATE INDEX IF NOT EXISTS runs_of_strategy ON runs (strategy, file)",
    "CREATE TABLE IF NOT EXISTS shared (sha256 TEXT PRIMARY KEY, content BLOB NOT NULL)",
)


@dataclass(slots=True)
class Draft:
    """A row to be written: values of COLUMNS, and the texts it shares with others."""

    values: dict[str, Any]
    shared: dict[str, bytes] = field(default_factory=dict)

    def keep(self, content: bytes) -> str:
        """Put `content` among what rows share; its name there."""
        name = hashlib.sha256(content).hexdigest()
        self.shared[name] = zlib.compress(content, 6)
        return name


class Entry:
    """One row on its way; asking for its number waits until it is written."""

    def __init__(self, build: Callable[[], Draft]) -> None:
        self.build: Callable[[], Draft] | None = build
        self._done = threading.Event()
        self._id: int | None = None
        self._problem: str | None = None

    @property
    def run_id(self) -> int | None:
        """Number of the run in the log; None where it could not be written."""
        self._done.wait()
        return self._id

    @property
    def problem(self) -> str | None:
        """Why the run is not in the log, as a sentence; None when it is."""
        self._done.wait()
        return self._problem

    def finish(self, run_id: int | None, problem: str | None = None) -> None:
        """Set what became of it."""
        self._id, self._problem, self.build = run_id, problem, None
        self._done.set()


class Writer:
    """Writes entries to one file, in their order, in a thread that ends when nothing is left."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._waiting: list[Entry] = []
        self._turn = threading.Condition()
        self._busy = False

    def put(self, entry: Entry) -> None:
        """Hand over an entry."""
        with self._turn:
            while len(self._waiting) >= PENDING:
                self._turn.wait()
            self._waiting.append(entry)
            if self._busy:
                return
            self._busy = True
        try:
            threading.Thread(target=self._work, name="quantkit run log").start()
        except RuntimeError:  # no thread to be had, as while the interpreter ends: here and now, then
            self._work()

    def flush(self) -> None:
        """Wait until everything handed over is written."""
        with self._turn:
            while self._busy:
                self._turn.wait()

    def _work(self) -> None:
        while True:
            with self._turn:
                self._turn.wait(GATHER_S)  # the run goes on first; rows of quick runs gather
                batch, self._waiting = self._waiting, []
                self._busy = bool(batch)
                self._turn.notify_all()
                if not batch:
                    return
            write(self.path, batch)


_writers: dict[tuple[int, Path], Writer] = {}  # by process: a thread does not outlive a fork


def writer(path: Path) -> Writer:
    """The writer of a file in this process."""
    return _writers.setdefault((os.getpid(), path.absolute()), Writer(path.absolute()))


def write(path: Path, batch: Iterable[Entry]) -> None:
    """Write entries in one transaction; one that cannot be built is left out and says why."""
    drafts: list[tuple[Entry, Draft]] = []
    for entry in batch:
        try:
            drafts.append((entry, entry.build()))  # type: ignore[misc]  # set until finished
        except Exception as problem:  # noqa: BLE001  # a log that fails must not end a run
            entry.finish(None, _unwritten(path, problem))
    numbers: list[int] = []
    failure: str | None = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with _transaction(path) as database:
            numbers = [_insert(database, draft) for _, draft in drafts]
    except Exception as problem:  # noqa: BLE001  # as above
        failure, numbers = _unwritten(path, problem), []
    for place, (entry, _) in enumerate(drafts):
        entry.finish(numbers[place] if numbers else None, failure)


def _unwritten(path: Path, problem: Exception) -> str:
    said = str(problem) if isinstance(problem, QuantkitError) else f"{type(problem).__name__}: {problem}"
    return (
        f"This run is not in the run log, so it will not count as a trial: {path} cannot be written ({said}). "
        "QUANTKIT_RUNS=FOLDER writes the log elsewhere."
    )


@contextmanager
def _transaction(path: Path) -> Iterator[sqlite3.Connection]:
    """A write transaction on a file, made when missing: all of the block or nothing."""
    import sqlite3

    with closing(sqlite3.connect(path, timeout=WAIT_S, isolation_level=None)) as database:
        for pragma in ("journal_mode=WAL", "synchronous=NORMAL"):
            try:
                database.execute(f"PRAGMA {pragma}")
            except sqlite3.OperationalError:  # another process is setting it just now
                continue
        database.execute("BEGIN IMMEDIATE")
        try:
            check_version(database, path, fresh=True)
            yield database
        except BaseException:
            database.execute("ROLLBACK")
            raise
        database.execute("COMMIT")


def check_version(database: sqlite3.Connection, path: Path, *, fresh: bool = False) -> None:
    """BadData when the file was written by a newer quantkit; `fresh` makes the tables of an empty one."""
    (found,) = database.execute("PRAGMA user_version").fetchone()
    if found > SCHEMA_VERSION:
        raise BadData(f"{path} was written by a newer quantkit (format {found}, this one knows {SCHEMA_VERSION})")
    if fresh and found == 0:
        for statement in _SCHEMA:
            database.execute(statement)
        database.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")


def _insert(database: sqlite3.Connection, draft: Draft) -> int:
    """Number of the row; the one already there where its token is."""
    database.executemany("INSERT OR IGNORE INTO shared VALUES (?, ?)", draft.shared.items())
    row = draft.values
    names, marks = ", ".join(COLUMNS), ", ".join("?" * len(COLUMNS))
    database.execute(
        f"INSERT INTO runs ({names}) VALUES ({marks}) ON CONFLICT (token) DO NOTHING",
        [row.get(name) for name in COLUMNS],
    )
    (number,) = database.execute("SELECT id FROM runs WHERE token = ?", (row["token"],)).fetchone()
    return int(number)


def read_rows(path: Path, where: str = "", given: Iterable[object] = ()) -> list[dict[str, Any]]:
    """Rows as dictionaries, the fills as they are stored; nothing where there is no file yet.

    where   SQL after the table's name, with ? for what is `given`
    """
    with _reader(path) as database:
        if database is None:
            return []
        return [dict(row) for row in database.execute(f"SELECT * FROM runs {where}", tuple(given))]


def read_shared(path: Path, name: str) -> bytes:
    """A text that rows share. BadData when it is not there."""
    with _reader(path) as database:
        found = None
        if database is not None:
            found = database.execute("SELECT content FROM shared WHERE sha256 = ?", (name,)).fetchone()
    if found is None:
        raise BadData(f"{path}: the log lacks a part of its row, {name[:12]}")
    return zlib.decompress(found["content"])


@contextmanager
def _reader(path: Path) -> Iterator[sqlite3.Connection | None]:
    """A connection to read with; None where there is no log. BadData for a file that is none."""
    import sqlite3

    writer(path).flush()
    if not path.is_file():
        yield None
        return
    place = path.absolute().as_uri()
    try:
        try:
            database = _opened(f"{place}?mode=rw", path)
        except sqlite3.OperationalError:  # a folder that cannot be written to: nobody else writes to it either
            database = _opened(f"{place}?immutable=1", path)
    except sqlite3.Error as problem:
        raise BadData(f"{path} cannot be read as a run log: {problem}") from problem
    with closing(database):
        yield database


def _opened(uri: str, path: Path) -> sqlite3.Connection:
    import sqlite3

    database = sqlite3.connect(uri, uri=True, timeout=WAIT_S)
    try:
        database.row_factory = sqlite3.Row
        check_version(database, path)
        database.execute("SELECT count(*) FROM runs").fetchone()
    except BaseException:
        database.close()
        raise
    return database


def plain_json(value: object) -> str:
    """JSON without NaN or infinity (null), numbers of NumPy as plain ones, keys in their order."""
    return json.dumps(plain(value), ensure_ascii=False, separators=(",", ":"), allow_nan=False)


def shorten(manifest: Mapping[str, Any], draft: Draft) -> dict[str, Any]:
    """The manifest with its long lists put among what rows share."""
    data = dict(manifest.get("data") or {})
    for name in ("symbols", "markets"):
        if isinstance(data.get(name), list | tuple) and len(data[name]) > LONG:
            data[name] = {"shared": draft.keep(plain_json(data[name]).encode())}
    return {**manifest, "data": data}


def restore(manifest: Mapping[str, Any], path: Path) -> dict[str, Any]:
    """The inverse of `shorten`."""
    data = {
        name: json.loads(read_shared(path, value["shared"])) if isinstance(value, dict) and "shared" in value else value
        for name, value in (manifest.get("data") or {}).items()
    }
    return {**manifest, "data": data}
