"""Panel: rows of a pinned version, as (T, N) matrices with carried rows and flags.

1. `Parts`: the indexes of the version's files; nothing else is read yet.
2. `Panel`: the axes (times of the chosen symbols' calendar groups; symbols in the caller's order).
3. `Panel.flags`: one scatter of the stored `flag` column; listed from the first stored row to the delisting.
4. `Panel.field(name)`: decode that column, scatter by integer ids, carry the close over bars without a trade.

Contract: no symbol text is decoded: a file's index says which rows belong to whom. Files are read one after another, so the
memory above the answer is that of one file's column. A question about a few symbols reads their row groups only; a question
about few days of many symbols reads the by-time copy. Called by `lake` and `derive`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from quantkit.data.actions import changes, factor_matrix, no_actions
from quantkit.data.carry import LIQUIDATION, LISTED, MEMBER, TRADED, VALID, carry_close, fill_untraded
from quantkit.data.parts import PartIndex, day_groups, read_columns, read_index, time_field, time_values, values
from quantkit.data.rows import ADJUSTED, GROUPS, NO_TRADE, session_days
from quantkit.data.tables import Table, frequency
from quantkit.errors import BadData

IntArray = NDArray[np.int64]
FloatArray = NDArray[np.float64]
FlagArray = NDArray[np.uint8]
BoolArray = NDArray[np.bool_]

_KEEP_POSITIONS = 32_000_000  # rows whose places are remembered between fields: 128 MB at most


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
        """Span, rows, calendar group, last market and flag bits of every symbol."""
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


class Panel:
    """Matrices of chosen symbols over chosen times; see the module.

    stop_days: epoch day after the last listed one, by symbol, for delisted names. liquidation: first and last day.
    """

    def __init__(
        self,
        parts: Parts,
        symbols: Sequence[str],
        times: IntArray,
        spans: Mapping[str, SymbolSpan],
        *,
        stop_times: Mapping[str, int] | None = None,
        liquidation: Mapping[str, tuple[int, int]] | None = None,
        actions: NDArray[np.void] | None = None,
    ) -> None:
        self.parts, self.symbols, self.times = parts, tuple(symbols), times
        self._column = {symbol: place for place, symbol in enumerate(self.symbols)}
        self._places: dict[str, tuple[NDArray[np.int32], list[int] | None, BoolArray | None]] = {}
        self._days_only = False
        self.shape = (len(times), len(self.symbols))
        stops = stop_times or {}
        far = np.iinfo(np.int64).max
        first = np.array([spans[symbol].first for symbol in self.symbols], np.int64)
        stop = np.array([max(stops.get(s, far), spans[s].last + 1) if s in stops else far for s in self.symbols], np.int64)
        self._begin, self._end = np.searchsorted(times, first), np.searchsorted(times, stop)
        self._spans, self._liquidation = spans, liquidation or {}
        self._actions = no_actions() if actions is None else actions
        self.flags = self._build_flags()
        self._close: FloatArray | None = None

    # --- flags ----------------------------------------------------------------------------------------------------

    def _build_flags(self) -> FlagArray:
        flags = np.zeros(self.shape, np.uint8)
        flat = flags.reshape(-1)
        table = np.full(256, LISTED | VALID | MEMBER | TRADED, np.uint8)
        table[[code for code in range(256) if code & NO_TRADE]] = LISTED | VALID | MEMBER
        for part in self._used():
            cells, stored = self._read(part, "flag")
            flat[cells] = table[stored.astype(np.uint8)]
        rows = np.arange(self.shape[0])[:, None]
        if not (flags & LISTED).all():
            listed = (rows >= self._begin) & (rows < self._end)
            flags |= listed.astype(np.uint8) * np.uint8(LISTED | MEMBER)
        for symbol, (begin, end) in self._liquidation.items():
            column = self._column.get(symbol)
            if column is not None:
                start, stop = np.searchsorted(self.times, begin), np.searchsorted(self.times, end, side="right")
                flags[start:stop, column] |= np.uint8(LIQUIDATION)
        return flags

    # --- fields ---------------------------------------------------------------------------------------------------

    def field(self, name: str) -> FloatArray:
        """The field as traded, carried over bars without a trade; NaN outside the listing. (T, N) float64."""
        if name == "close":
            return self.close()
        matrix = self._scattered(name)
        if name == "base":
            return matrix
        if (self.flags & TRADED).all():
            return matrix
        if name in ("open", "high", "low"):
            fill_untraded(matrix, self.flags, closes=self.close())
        elif name in ("volume", "value"):
            fill_untraded(matrix, self.flags)
        return matrix

    def close(self) -> FloatArray:
        """The close, kept: other fields are filled with it."""
        if self._close is None:
            matrix = self._scattered("close")
            self._carry_close(matrix)
            self._close = matrix
        return self._close

    def _scattered(self, name: str) -> FloatArray:
        matrix = np.full(self.shape, np.nan)
        flat = matrix.reshape(-1)
        for part in self._used():
            cells, stored = self._read(part, name)
            flat[cells] = stored
        return matrix

    def _carry_close(self, matrix: FloatArray) -> None:
        """Bars without a trade show the last close; at the top of the panel, that of an earlier row of the table."""
        hole = (self.flags & (LISTED | TRADED)) == LISTED
        if not hole.any():
            return
        missing = hole[0] & ((self.flags[0] & VALID) == 0)
        moved = changes(self._actions, self.symbols)
        factor = factor_matrix(self._actions, self.days, self.symbols) if moved else None
        if missing.any():
            columns = np.flatnonzero(missing)
            closes, when = self._last_closes(columns)
            if factor is not None:  # an ex-date between that row and the panel moves the price basis
                before = np.array([
                    factor_matrix(self._actions, np.array([day]), [self.symbols[column]])[0, 0]
                    for column, day in zip(columns.tolist(), when.tolist(), strict=True)
                ])  # fmt: skip
                closes *= before / factor[0, columns]
            matrix[0, columns] = closes
        carry_close(matrix, self.flags, factor=factor)

    @property
    def days(self) -> IntArray:
        """Epoch day of each row's session."""
        return session_days(self.times, self.parts.freq)

    def _last_closes(self, columns: IntArray) -> tuple[FloatArray, IntArray]:
        """Last stored close before the panel of each column, and its epoch day."""
        wanted = {self.symbols[column]: place for place, column in enumerate(columns.tolist())}
        found, when = np.full(len(columns), np.nan), np.full(len(columns), np.iinfo(np.int64).min)
        top = int(self.times[0])
        name = time_field(self.parts.freq)
        for part in sorted(self.parts.parts, key=lambda part: part.index.span[1], reverse=True):
            index = part.index
            if index.span[0] >= top:
                continue
            here = [
                index.position[symbol] for symbol, place in wanted.items()
                if symbol in index.position and when[place] < min(index.last[index.position[symbol]], top)
            ]  # fmt: skip
            if not here:
                continue
            groups, _ = _row_groups(index, np.array(sorted(here)), part.path)
            table = read_columns(part.path, [name, "close"], groups)
            local = _local_rows(index, np.array(sorted(here)), groups, part.path)
            times, closes = time_values(table[name]), values(table["close"])
            for known in sorted(here):
                rows = local[known]
                before = rows[times[rows] < top]
                place = wanted[index.symbols[known]]
                if len(before) and times[before[-1]] > when[place]:
                    found[place], when[place] = closes[before[-1]], times[before[-1]]
        return found, session_days(when, self.parts.freq)

    # --- reading --------------------------------------------------------------------------------------------------

    def _used(self) -> list[Part]:
        if not len(self.times):
            return []
        return self.parts.within(int(self.times[0]), int(self.times[-1]))

    def _read(self, part: Part, name: str) -> tuple[NDArray[np.int32] | IntArray, NDArray[np.generic]]:
        """(flat positions in the matrix, stored values) of one column of one part."""
        if part.days_path is not None and self._few_days(part):
            return self._read_days(part, name)
        if part.path not in self._places:
            self._remember(part)
        cells, groups, keep = self._places[part.path]
        table = read_columns(part.path, [name], groups)
        stored = table[name].to_numpy()
        if sum(len(known[0]) for known in self._places.values()) > _KEEP_POSITIONS:
            self._places.pop(part.path)
        return cells, stored if keep is None else stored[keep]

    def _remember(self, part: Part) -> None:
        """Work out where the rows of a part go: positions, the row groups to read, which of their rows to keep."""
        index = part.index
        columns = np.array([self._column.get(symbol, -1) for symbol in index.symbols], np.int64)
        chosen = np.flatnonzero(columns >= 0)
        counts = np.diff(index.start)
        groups: list[int] | None = None
        if int(counts[chosen].sum()) * 3 < index.rows:
            groups, _ = _row_groups(index, chosen, part.path)
        name = time_field(self.parts.freq)
        times = time_values(read_columns(part.path, [name], groups)[name]) if groups != [] else np.zeros(0, np.int64)
        if groups is None:
            column = np.repeat(columns, counts)
        else:
            column = np.full(len(times), -1, np.int64)
            for place, rows in _local_rows(index, chosen, groups, part.path).items():
                column[rows] = columns[place]
        row = self._rows_of(times)
        keep = None if bool((row >= 0).all()) and bool((column >= 0).all()) else (row >= 0) & (column >= 0)
        if keep is not None:
            row, column = row[keep], column[keep]
        cells = row * self.shape[1] + column
        small = self.shape[0] * self.shape[1] < 2**31
        self._places[part.path] = (cells.astype(np.int32) if small else cells, groups, keep)  # type: ignore[assignment]

    def _rows_of(self, times: IntArray) -> IntArray:
        """Row of each time, -1 outside the panel."""
        if self.parts.freq == "1d":  # days are few and dense: one table look-up each
            origin = int(self.times[0])
            lookup = np.full(int(self.times[-1]) - origin + 1, -1, np.int64)
            lookup[self.times - origin] = np.arange(len(self.times))
            place = times - origin
            inside = (place >= 0) & (place < len(lookup))
            if inside.all():
                return lookup[place]
            return np.where(inside, lookup[np.where(inside, place, 0)], -1)
        row = np.searchsorted(self.times, times)
        found = np.minimum(row, len(self.times) - 1)
        return np.where(self.times[found] == times, found, -1)

    def _few_days(self, part: Part) -> bool:
        """Whether the by-time copy is the shorter way: at most a tenth of the part's times, many of its symbols."""
        inside = sum(
            int(np.searchsorted(times, self.times[-1], side="right") - np.searchsorted(times, self.times[0]))
            for times in part.index.times
        )
        total = sum(len(times) for times in part.index.times)
        wide = len(self.symbols) * 8 > len(part.index.symbols)
        return wide and inside * 10 <= total and part.days_path is not None and part.days_path.exists()

    def _read_days(self, part: Part, name: str) -> tuple[IntArray, NDArray[np.generic]]:
        path = str(part.days_path)
        groups = day_groups(path, int(self.times[0]), int(self.times[-1]))
        table = read_columns(path, ["place", "moment", name], groups)
        columns = np.array([self._column.get(symbol, -1) for symbol in part.index.symbols], np.int64)
        column, row = columns[table["place"].to_numpy()], self._rows_of(table["moment"].to_numpy())
        keep = (row >= 0) & (column >= 0)
        return (row * self.shape[1] + column)[keep], table[name].to_numpy()[keep]


def _row_groups(index: PartIndex, places: IntArray, path: str) -> tuple[list[int], IntArray]:
    """Row groups that hold these symbols, and the first row of every group."""
    starts = group_starts(path)
    wanted: set[int] = set()
    for place in places.tolist():
        low = int(np.searchsorted(starts, index.start[place], side="right")) - 1
        high = int(np.searchsorted(starts, index.start[place + 1] - 1, side="right")) - 1
        wanted.update(range(low, high + 1))
    return sorted(wanted), starts


def _local_rows(index: PartIndex, places: IntArray, groups: Sequence[int], path: str) -> dict[int, IntArray]:
    """Rows of each symbol within the concatenation of the row groups read."""
    starts = group_starts(path)
    sizes = np.diff(np.append(starts, index.rows))
    offset = dict(zip(groups, np.cumsum([0, *sizes[list(groups)][:-1].tolist()]).tolist(), strict=True))
    found = {}
    for place in places.tolist():
        begin, end = int(index.start[place]), int(index.start[place + 1])
        group = int(np.searchsorted(starts, begin, side="right")) - 1
        local = begin - int(starts[group]) + offset[group]  # a symbol's groups are neighbours, so its rows are too
        found[place] = np.arange(local, local + end - begin)
    return found


def group_starts(path: str) -> IntArray:
    """First row of each row group."""
    from quantkit.data.parts import ROW_GROUP

    rows = read_index(path).rows
    return np.arange(0, max(rows, 1), ROW_GROUP, dtype=np.int64)


def check_symbols(wanted: Sequence[str], known: Mapping[str, object], table: str) -> None:
    """BadData naming the first unknown symbol, and near ones."""
    import difflib

    for symbol in wanted:
        if symbol not in known:
            near = difflib.get_close_matches(str(symbol), list(known), n=3)
            hint = f"; did you mean {', '.join(near)}?" if near else f"; {len(known)} symbols are stored"
            raise BadData(f"{table} has no symbol {symbol!r}{hint}")
