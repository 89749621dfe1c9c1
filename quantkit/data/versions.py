"""What one version of a bars table holds, by the indexes of its files: symbols, spans, times. No row is read.

Contract: a version never changes, so everything here is worked out once and kept. Times are in the table's unit:
epoch days (daily) or UTC microseconds. Called by `panel`, `reading`, `derive` and `survey`.
"""

from __future__ import annotations

import difflib
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from quantkit.data.parts import PartIndex, read_index
from quantkit.data.rows import ADJUSTED, GROUPS
from quantkit.data.tables import Table, frequency
from quantkit.errors import BadData

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

IntArray = NDArray[np.int64]


@dataclass(frozen=True)
class Part:
    """A file of the version and its index."""

    path: str
    index: PartIndex
    days_path: Path | None


@dataclass
class Parts:
    """All files of one version of a bars table."""

    table: Table
    version: int
    days_folder: Path | None = None
    parts: list[Part] = field(init=False)
    _summary: dict[str, SymbolSpan] | None = field(init=False, default=None)

    def __post_init__(self) -> None:
        self.freq = frequency(self.table.name)
        self.parts = []
        for file in self.table.files(self.version):
            path = self.table.folder / file.path
            copy = None if self.days_folder is None else self.days_folder / path.name
            self.parts.append(Part(str(path), read_index(str(path)), copy))

    def within(self, start: int, stop: int) -> list[Part]:
        """Parts with a time in [start, stop]."""
        return [part for part in self.parts if part.index.span[0] <= stop and part.index.span[1] >= start]

    def summary(self) -> dict[str, SymbolSpan]:
        """Span, rows, calendar group, last market and flag bits of every symbol; worked out once."""
        if self._summary is None:
            self._summary = self._summarise()
        return self._summary

    def _summarise(self) -> dict[str, SymbolSpan]:
        found: dict[str, SymbolSpan] = {}
        for part in self.parts:
            index = part.index
            counts = np.diff(index.start)
            rows = zip(
                index.symbols, index.first.tolist(), index.last.tolist(), counts.tolist(), index.group.tolist(),
                index.market.tolist(), index.marks.tolist(), strict=True,
            )  # fmt: skip
            for symbol, first, last, count, group, market, marks in rows:
                old = found.get(symbol)
                if old is None:
                    found[symbol] = SymbolSpan(first, last, count, group, market, marks)
                else:
                    newest = last > old.last
                    found[symbol] = SymbolSpan(
                        min(first, old.first), max(last, old.last), old.rows + count,
                        group if newest else old.group, market if newest else old.market, old.marks | marks,
                    )  # fmt: skip
        return found

    def times(self, groups: set[int], start: int, stop: int) -> IntArray:
        """Distinct times in [start, stop] at which any symbol of these calendar groups has a row."""
        found = [
            times[np.searchsorted(times, start) : np.searchsorted(times, stop, side="right")]
            for part in self.within(start, stop)
            for times in (part.index.times[group] for group in groups)
        ]
        return np.unique(np.concatenate(found)) if found else np.zeros(0, np.int64)

    @property
    def present(self) -> set[str]:
        """Fields with at least one value."""
        return {name for part in self.parts for name in part.index.present}


@lru_cache(maxsize=8)
def open_parts(folder: str, version: int, days_folder: str | None) -> Parts:
    """`Parts` of a version, kept: a version never changes."""
    return Parts(Table(Path(folder)), version, None if days_folder is None else Path(days_folder))


@dataclass(frozen=True, slots=True)
class SymbolSpan:
    """What the indexes say of a symbol; times in the table's unit."""

    first: int
    last: int
    rows: int
    group: int
    market: int
    marks: int

    @property
    def adjusted(self) -> bool:
        """Whether its prices are adjusted ones."""
        return bool(self.marks & ADJUSTED)

    @property
    def calendar(self) -> str:
        """Name of the calendar group."""
        return GROUPS[self.group]


def check_symbols(wanted: Sequence[str], known: Mapping[str, object], table: str) -> None:
    """BadData naming the first unknown symbol, and near ones."""
    for symbol in wanted:
        if symbol not in known:
            near = difflib.get_close_matches(str(symbol), list(known), n=3)
            hint = f"; did you mean {', '.join(near)}?" if near else f"; {len(known)} symbols are stored"
            raise BadData(f"{table} has no symbol {symbol!r}{hint}")
