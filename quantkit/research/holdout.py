"""A holdout: the last years, put aside before research begins, and looked at once.

    held = quantkit.holdout(bars, "2Y")        declared: where it begins is fixed from now on
    ... sweep, walk forward, choose, on held.research ...
    result = held.open(strategy)               one backtest over the years put aside, on the record

Contract: the beginning is written down when first declared, in the lake's folder (of other bars: in the user's cache
folder), and stays: new bars lengthen the holdout, asking for another length is refused. A version is a strategy's code
(its file and local modules), parameters and policy; each may open it once. An opening is written down before its
backtest runs, so a look that crashes half-way may be repeated, one that was seen may not. Every opening is counted, and
the result says in its manifest and its warnings how many versions had looked before: with each one the holdout proves
less. Nothing keeps a person from reading the bars by other means; the record is for those who want to know.
"""

from __future__ import annotations

import hashlib
import json
import math
import sqlite3
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from quantkit.backtest.run import backtest
from quantkit.data.bars import Bars
from quantkit.data.dates import day_text, epoch_day
from quantkit.errors import BadData, ConfigError
from quantkit.research.windows import back_from_end
from quantkit.strategy import Strategy
from quantkit.strategy.artifacts import cache_home

if TYPE_CHECKING:
    from collections.abc import Iterator

    from quantkit.backtest.result import Result
    from quantkit.core.policy import Policy

__all__ = ["Holdout", "holdout"]

FILE = "holdout.sqlite"
_TABLES = """
create table if not exists holdouts (
    name text primary key, start text not null, asked text not null,
    declared text not null default (strftime('%Y-%m-%dT%H:%M:%SZ', 'now')));
create table if not exists openings (
    id integer primary key, holdout text not null, version text not null, strategy text not null, params text not null,
    figures text, time text not null default (strftime('%Y-%m-%dT%H:%M:%SZ', 'now')), unique (holdout, version));
"""


def holdout(
    bars: Bars, size: str | float = "2Y", *, name: str | None = None, home: str | Path | None = None
) -> Holdout:
    """Put the end of the bars aside; the same call later finds the holdout as it was declared.

    size   a period ("2Y", "6M", "250D" sessions), a number of bars, a part of the bars below 1 (0.2), or the date it
           begins on ("2023-01-02")
    name   keeps several apart. Default: one a frequency for the bars of a lake, one a set of symbols for other bars
    home   folder of the record. Default: the lake's, or the user's cache folder

    ConfigError where nothing would be left on either side, and for another size than was declared.
    """
    if not isinstance(bars, Bars):
        raise ConfigError(f"holdout(bars={bars!r}): give Bars, from Bars.from_pandas(frame) or Lake(path).bars(...)")
    if not len(bars):
        raise BadData("holdout: no bars")
    path = _place(bars, home)
    called = name or _name(bars)
    with _database(path) as database:
        known = database.execute("select start, asked from holdouts where name = ?", (called,)).fetchone()
        if known is None:
            start = day_text(int(bars.days[_row(bars, size)]))
            database.execute("insert or ignore into holdouts (name, start, asked) values (?, ?, ?)",
                             (called, start, str(size)))  # fmt: skip
            known = (start, str(size))
    if known[1] != str(size):
        raise ConfigError(
            f"holdout(size={size!r}): it was declared as {known[1]} and begins on {known[0]} ({path}); a holdout that "
            "moves is none. Ask for the same size, or give another name for another one"
        )
    row = int(np.searchsorted(bars.days, epoch_day(known[0], what="holdout")))
    if not 0 < row < len(bars):
        raise ConfigError(f"the holdout begins on {known[0]}, and the bars are {bars!r}: none are left on one side")
    return Holdout(bars, row, called, path)


class Holdout:
    """Bars put aside. Made by `quantkit.holdout`.

    research   the bars before it: use these for everything
    start      its first session, as text; sessions: how many it has
    path       the record
    """

    def __init__(self, bars: Bars, row: int, name: str, path: Path) -> None:
        self._bars, self._row, self.name, self.path = bars, row, name, path
        self.research = bars.slice(0, row)
        self.start = day_text(int(bars.days[row]))
        self.sessions = len(np.unique(bars.days[row:]))

    @property
    def openings(self) -> list[dict[str, Any]]:
        """Every look at it, oldest first: time, strategy, params, version, figures (None: it never finished)."""
        with _database(self.path) as database:
            rows = database.execute(
                "select time, strategy, params, version, figures from openings where holdout = ? order by id",
                (self.name,),
            ).fetchall()
        return [
            {"time": time, "strategy": strategy, "params": json.loads(params), "version": version,
             "figures": None if figures is None else json.loads(figures)}
            for time, strategy, params, version, figures in rows
        ]  # fmt: skip

    def open(self, strategy: Strategy, *, policy: Policy | None = None, **options: Any) -> Result:
        """Run a strategy over the holdout, once.

        Bars before it warm the strategy up. options: those of `quantkit.backtest` but start and end. ConfigError for a
        version that has looked already; it says what was seen.
        """
        if not isinstance(strategy, Strategy):
            raise ConfigError(f"Holdout.open({strategy!r}): expected an instance of a Strategy class")
        taken = {"start", "end", "bars", "targets"} & set(options)
        if taken:
            raise ConfigError(f"Holdout.open({', '.join(sorted(taken))}=...): a holdout is opened whole")
        version = version_of(strategy, policy)
        number, before = self._begin(strategy, version)
        result = backtest(strategy, self._bars, start=self.start, policy=policy, **options)
        self._seen(version, result)
        return _told(result, self, number, before, version)

    def _begin(self, strategy: Strategy, version: str) -> tuple[int, int]:
        """Write the opening down; its number, and how many other versions have looked before."""
        with _database(self.path) as database:
            row = database.execute(
                "select time, figures from openings where holdout = ? and version = ?", (self.name, version)
            ).fetchone()
            if row is not None and row[1] is not None:
                figures = json.loads(row[1])
                seen = ", ".join(f"{name} {figures[name]:.3g}" for name in ("total_return", "sharpe") if figures[name])
                raise ConfigError(
                    f"{strategy!r} opened this holdout on {row[0][:10]} ({seen or 'no trade'}), and each version may "
                    "once. A second look is no second opinion; Holdout.openings has the record"
                )
            if row is None:
                database.execute(
                    "insert into openings (holdout, version, strategy, params) values (?, ?, ?, ?)",
                    (self.name, version, strategy.name, json.dumps(strategy.params)),
                )
            order = [found[0] for found in database.execute(
                "select version from openings where holdout = ? order by id", (self.name,))]  # fmt: skip
        number = order.index(version) + 1
        return number, number - 1

    def _seen(self, version: str, result: Result) -> None:
        figures = {
            name: value if math.isfinite(value) else None
            for name, value in result.figures.items()
            if name in ("total_return", "cagr", "sharpe", "max_drawdown", "trades")
        }
        with _database(self.path) as database:
            database.execute("update openings set figures = ? where holdout = ? and version = ?",
                             (json.dumps(figures), self.name, version))  # fmt: skip

    def __repr__(self) -> str:
        count = len(self.openings)
        looked = "never opened" if not count else "opened once" if count == 1 else f"opened {count} times"
        return f"<Holdout from {self.start}, {self.sessions} sessions, {looked}>"


def version_of(strategy: Strategy, policy: Policy | None = None) -> str:
    """Hash of a strategy's code, local modules, parameters and policy."""
    source = strategy.source
    files = [hashlib.sha256(path.read_bytes()).hexdigest() for path in source.local_modules]
    facts = [strategy.name, source.sha256, files, strategy.params, (policy or strategy.policy).to_dict()]
    return hashlib.sha256(json.dumps(facts, sort_keys=True, default=repr).encode()).hexdigest()


def _told(result: Result, held: Holdout, number: int, before: int, version: str) -> Result:
    """The result, which says what it is in its manifest and warnings."""
    facts = {
        "start": held.start,
        "opening": number,
        "versions_before": before,
        "version": version,
        "record": str(held.path),
    }
    if before:
        many = "one other version has" if before == 1 else f"{before} other versions have"
        said = (
            f"This is opening {number} of the holdout: {many} been looked at before, so it is no longer untouched; "
            f"judge this as the best of {number} tries."
        )
    else:
        said = "This is the first opening of the holdout; with any other version it will no longer be untouched."
    result.again = None  # settings nearby, or other costs, would be more looks
    result.__dict__["manifest"] = {**result.manifest, "holdout": facts}
    result.__dict__["warnings"] = [said, *result.warnings]
    return result


def _row(bars: Bars, size: str | float) -> int:
    """Row at which a holdout of this size begins. ConfigError where one side would be empty."""
    if isinstance(size, float) and 0.0 < size < 1.0:
        row = len(bars) - max(1, round(len(bars) * size))
        row = int(np.searchsorted(bars.days, bars.days[row]))
    elif isinstance(size, str) and size[:4].isdigit() and "-" in size:
        row = int(np.searchsorted(bars.days, epoch_day(size, what="holdout")))
    elif isinstance(size, str) or (isinstance(size, int | np.integer) and not isinstance(size, bool) and size > 0):
        row = back_from_end(bars.days, size)
    else:
        raise ConfigError(f'holdout(size={size!r}): give a period ("2Y"), a number of bars, a part (0.2), or a date')
    if not 0 < row < len(bars):
        raise ConfigError(f"holdout(size={size!r}): of {bars!r} nothing would be left on one side; give another size")
    return row


def _name(bars: Bars) -> str:
    if bars.source and bars.version is not None and Path(bars.source).is_dir():
        return bars.freq
    text = json.dumps([bars.source, bars.freq, sorted(bars.symbols)])
    return f"{bars.freq} {hashlib.sha256(text.encode()).hexdigest()[:16]}"


def _place(bars: Bars, home: str | Path | None) -> Path:
    if home is not None:
        return Path(home).expanduser() / FILE
    lake = Path(bars.source) if bars.source and bars.version is not None else None
    return (lake if lake is not None and lake.is_dir() else cache_home()) / FILE


@contextmanager
def _database(path: Path) -> Iterator[sqlite3.Connection]:
    """The record, in one transaction. ConfigError where it cannot be written."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with closing(sqlite3.connect(path, timeout=30.0)) as database:
            database.executescript(_TABLES)
            with database:
                database.execute("begin immediate")
                yield database
    except (sqlite3.Error, OSError) as error:
        raise ConfigError(f"the record of holdouts, {path}, cannot be used: {error}; give home=FOLDER") from error
