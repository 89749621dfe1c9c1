"""Panel: rows of a pinned version, as (T, N) matrices with carried rows and flags.

1. `versions.Parts`: the indexes of the version's files; nothing else is read yet.
2. `Panel`: the axes (times of the chosen symbols' calendar groups; symbols in the caller's order).
3. `Panel.flags`: one scatter of the stored `flag` column; listed from the first stored row to the delisting.
4. `Panel.field(name)`: decode that column, scatter by integer ids, carry the close over bars without a trade.

Contract: no symbol text is decoded: a file's index says which rows belong to whom. Files are read one after another,
so the memory above the answer is that of one file's column. A question about a few symbols reads their row groups
only; a question about few days of many symbols reads the by-time copy. Called by `lake` and `derive`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from numpy.typing import NDArray

from quantkit.data.actions import changes, factor_matrix, no_actions
from quantkit.data.carry import LISTED, MEMBER, TRADED, VALID, Carry, carry_after, carry_close, fill_untraded
from quantkit.data.parts import (
    PartIndex,
    day_groups,
    read_columns,
    time_field,
    time_values,
    values,
)
from quantkit.data.rows import NO_TRADE, REQUIRED, session_days

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    import pyarrow as pa

    from quantkit.data.versions import Part, Parts, SymbolSpan

IntArray = NDArray[np.int64]
FloatArray = NDArray[np.float64]
FlagArray = NDArray[np.uint8]
BoolArray = NDArray[np.bool_]

_SMALL_ROWS = 100_000  # a read up to this size is kept with all its usual columns
_KEEP_POSITIONS = 32_000_000  # rows whose places are remembered between fields: 128 MB at most


@dataclass(frozen=True, slots=True)
class Place:
    """Where the rows of a part go: flat `cells` of the matrix, or a block of `rows` times `columns`.

    `groups` are the row groups to read (None: all), `local` the rows to keep of what was read (None: all).
    """

    cells: NDArray[np.int32] | IntArray | None
    groups: list[int] | None
    local: IntArray | None
    rows: tuple[int, int] = (0, 0)
    columns: IntArray | None = None

    @property
    def size(self) -> int:
        """Numbers held in memory."""
        return 0 if self.cells is None else len(self.cells)

    def put(self, matrix: NDArray[Any], stored: Any) -> int:
        """Write values (one a row, or one for all) where they belong; gives the number of cells."""
        single = np.ndim(stored) == 0
        if self.cells is not None:
            matrix.reshape(-1)[self.cells] = stored if single or self.local is None else stored[self.local]
            return len(self.cells)
        columns = cast("IntArray", self.columns)
        height = self.rows[1] - self.rows[0]
        block = stored if single else stored.reshape(len(columns), height).T
        if bool((np.diff(columns) == 1).all()):
            matrix[slice(*self.rows), columns[0] : columns[-1] + 1] = block
        else:
            matrix[slice(*self.rows), columns] = block
        return height * len(columns)


class Panel:
    """Matrices of chosen symbols over chosen times; see the module.

    stop_times: time after the last listed one, by symbol, for delisted names. marks: by flag (LIQUIDATION, FIRST_DAY)
    the first and last time that a symbol has it.
    before: the rows go on where another panel of these symbols ended (`carry_after` of that one).
    """

    def __init__(
        self,
        parts: Parts,
        symbols: Sequence[str],
        times: IntArray,
        spans: Mapping[str, SymbolSpan],
        *,
        stop_times: Mapping[str, int] | None = None,
        marks: Mapping[int, Mapping[str, tuple[int, int]]] | None = None,
        actions: NDArray[np.void] | None = None,
        before: Carry | None = None,
    ) -> None:
        self.parts, self.symbols, self.times = parts, tuple(symbols), times
        self._column = {symbol: place for place, symbol in enumerate(self.symbols)}
        self._places: dict[str, Place] = {}
        self._small: dict[str, pa.Table] = {}
        self._day_cells: dict[str, tuple[IntArray, IntArray]] = {}
        self._near: list[Part] | None = None
        self._covered = False  # every cell has a row
        self.shape = (len(times), len(self.symbols))
        stops = stop_times or {}
        far = np.iinfo(np.int64).max
        first = np.array([spans[symbol].first for symbol in self.symbols], np.int64)
        stop = np.array(
            [max(stops.get(s, far), spans[s].last + 1) if s in stops else far for s in self.symbols], np.int64
        )
        self._begin, self._end = np.searchsorted(times, first), np.searchsorted(times, stop)
        self._spans, self._marks = spans, marks or {}
        self._actions = no_actions() if actions is None else actions
        self._before = before
        self.flags = self._build_flags()
        self._close: FloatArray | None = None

    # --- flags ----------------------------------------------------------------------------------------------------

    def _build_flags(self) -> FlagArray:
        flags = np.zeros(self.shape, np.uint8)
        table = np.full(128, LISTED | VALID | MEMBER | TRADED, np.uint8)
        table[[code for code in range(128) if code & NO_TRADE]] = LISTED | VALID | MEMBER
        covered = 0
        for part in self._used():
            if (part.index.marks & NO_TRADE).any() or self._few_days(part):
                covered += self._put(part, "flag", flags, lambda stored: table[stored])
            else:  # every row traded: no need to read what the index says
                covered += self._place_of(part).put(flags, table[0])
        self._covered = covered == flags.size
        if not self._covered:
            rows = np.arange(self.shape[0])[:, None]
            listed = (rows >= self._begin) & (rows < self._end)
            flags |= listed.astype(np.uint8) * np.uint8(LISTED | MEMBER)
        for flag, symbol, (begin, end) in ((f, *item) for f, named in self._marks.items() for item in named.items()):
            column = self._column.get(symbol)
            if column is not None:
                start, stop = np.searchsorted(self.times, begin), np.searchsorted(self.times, end, side="right")
                column_flags = flags[start:stop, column]
                column_flags |= np.where(column_flags & LISTED, flag, 0).astype(np.uint8)
        return flags

    # --- fields ---------------------------------------------------------------------------------------------------

    def field(self, name: str, out: FloatArray | None = None) -> FloatArray:
        """The field as traded, carried over bars without a trade; NaN outside the listing. (T, N) float64.

        out: where to write it; a new matrix without.
        """
        if name == "close":
            return self.close(out)
        matrix = self._scattered(name, out)
        if name == "base":
            return matrix
        if (self.flags & TRADED).all():
            return matrix
        if name in ("open", "high", "low"):
            fill_untraded(matrix, self.flags, closes=self.close())
        elif name in ("volume", "value"):
            fill_untraded(matrix, self.flags)
        return matrix

    def close(self, out: FloatArray | None = None) -> FloatArray:
        """The close, kept: other fields are filled with it."""
        if self._close is None:
            matrix = self._scattered("close", out)
            self._carry_close(matrix)
            self._close = matrix
        elif out is not None:
            out[:] = self._close
        return self._close if out is None else out

    def _scattered(self, name: str, out: FloatArray | None = None) -> FloatArray:
        matrix = np.empty(self.shape) if out is None else out
        if not self._covered:
            matrix.fill(np.nan)
        for part in self._used():
            self._put(part, name, matrix)
        return matrix

    def _carry_close(self, matrix: FloatArray) -> None:
        """Bars without a trade show the last close; at the top of the panel, that of an earlier row of the table."""
        if not ((self.flags & (LISTED | TRADED)) == LISTED).any():
            return
        self._carry_top(matrix)
        moved = changes(self._actions, self.symbols)
        factor = factor_matrix(self._actions, self.days, self.symbols) if moved else None
        carry_close(matrix, self.flags, factor=factor, before=self._before)

    def _carry_top(self, matrix: FloatArray) -> None:
        """Closes of the first bar for the names that have no row there, where no panel before this one says them."""
        columns = np.flatnonzero((self.flags[0] & (LISTED | TRADED | VALID)) == LISTED)
        if self._before is not None or not len(columns):
            return
        closes, when = self._last_closes(columns)
        if changes(self._actions, self.symbols):  # an ex-date between that row and the panel moves the price basis
            now = factor_matrix(self._actions, self.days[:1], self.symbols)[0, columns]
            before = np.array([
                factor_matrix(self._actions, np.array([day]), [self.symbols[column]])[0, 0]
                for column, day in zip(columns.tolist(), when.tolist(), strict=True)
            ])  # fmt: skip
            closes *= before / now
        matrix[0, columns] = closes

    def carry_after(self) -> Carry:
        """What a panel of the rows after these is to know of them."""
        days, place = np.unique(self.days, return_inverse=True)
        factors = factor_matrix(self._actions, days, self.symbols)
        columns = np.arange(len(self.symbols))
        return carry_after(self.close(), self.flags, lambda rows: factors[place[rows], columns], self._before)

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
            places = np.array(sorted(here), np.int64)
            groups = _row_groups(index, places)
            table = read_columns(part.path, [name, "close"], groups)
            times, closes = time_values(table[name]), values(table["close"])
            for known in places.tolist():
                rows = _local_rows(index, np.array([known]), groups)
                before = rows[times[rows] < top]
                place = wanted[index.symbols[known]]
                if len(before) and times[before[-1]] > when[place]:
                    found[place], when[place] = closes[before[-1]], times[before[-1]]
        return found, session_days(when, self.parts.freq)

    # --- reading --------------------------------------------------------------------------------------------------

    def _used(self) -> list[Part]:
        """Parts with a row of these symbols and times, as far as the indexes tell."""
        if self._near is None:
            near = self.parts.within(int(self.times[0]), int(self.times[-1])) if len(self.times) else []
            self._near = [part for part in near if any(symbol in part.index.position for symbol in self.symbols)]
        return self._near

    def _columns_of(self, index: PartIndex) -> IntArray:
        """Column of each of the part's symbols, -1 where it was not asked for."""
        columns = np.full(len(index.symbols), -1, np.int64)
        if len(self.symbols) < len(index.symbols):
            for symbol, column in self._column.items():
                place = index.position.get(symbol)
                if place is not None:
                    columns[place] = column
            return columns
        columns[:] = [self._column.get(symbol, -1) for symbol in index.symbols]
        return columns

    def _put(self, part: Part, name: str, matrix: NDArray[Any], convert: Callable[[Any], Any] | None = None) -> int:
        """Write one stored column of a part into the matrix; gives the number of cells written."""
        if self._few_days(part):
            cells, stored = self._read_days(part, name)
            matrix.reshape(-1)[cells] = stored if convert is None else convert(stored)
            return len(stored)
        place = self._place_of(part)
        if place.groups is None:
            stored = read_columns(part.path, [name], None)[name].to_numpy()
        else:
            stored = self._few_rows(part.path, name, place.groups, ())[name].to_numpy()
        return place.put(matrix, stored if convert is None else convert(stored))

    def _few_rows(self, path: str, name: str, groups: list[int], keys: tuple[str, ...]) -> pa.Table:
        """A handful of row groups: the usual columns are read at once, since opening costs more than decoding."""
        kept = self._small.get(path)
        if kept is None or name not in kept.column_names:
            columns = [*keys, *REQUIRED, "flag"] if kept is None else list(keys)
            kept = read_columns(path, [*columns, *([] if name in columns else [name])], groups)
            if len(kept) <= _SMALL_ROWS:
                self._small.setdefault(path, kept)
        return kept

    def _place_of(self, part: Part) -> Place:
        """Where the rows of a part go; worked out once while few enough are remembered."""
        place = self._places.get(part.path)
        if place is None:
            place = self._work_out(part)
            if sum(known.size for known in self._places.values()) + place.size <= _KEEP_POSITIONS:
                self._places[part.path] = place
        return place

    def _work_out(self, part: Part) -> Place:
        index = part.index
        columns = self._columns_of(index)
        chosen = np.flatnonzero(columns >= 0)
        counts = np.diff(index.start)
        groups: list[int] | None = None
        if int(counts[chosen].sum()) * 3 < index.rows:
            groups = _row_groups(index, chosen)
        starts, regular = self._regular(index)
        if groups is None and regular.all() and len(chosen) == len(columns):
            block = self._block(index, columns, starts)
            if block is not None:
                return block
        if regular[chosen].all():  # no symbol misses a time: its rows follow from its first
            row = self._rows_of_regular(index, chosen, starts)
            column = np.repeat(columns[chosen], counts[chosen])
            local = _local_rows(index, chosen, groups)
        else:
            name = time_field(self.parts.freq)
            local = _local_rows(index, chosen, groups)
            if groups is None:
                stored = read_columns(part.path, [name], None)
            else:
                stored = self._few_rows(part.path, name, groups, (name,))
            row = self._rows_of(time_values(stored[name])[local])
            column = np.repeat(columns[chosen], counts[chosen])
        inside = row >= 0
        if not inside.all():
            row, column, local = row[inside], column[inside], local[inside]
        cells = row * self.shape[1] + column
        everything = groups is None and len(local) == index.rows
        small = self.shape[0] * self.shape[1] < 2**31
        return Place(cells.astype(np.int32) if small else cells, groups, None if everything else local)

    def _regular(self, index: PartIndex) -> tuple[IntArray, BoolArray]:
        """Place of each symbol's first time among its group's times, and whether it misses none up to its last."""
        starts, stops = np.zeros(len(index.symbols), np.int64), np.zeros(len(index.symbols), np.int64)
        for group, times in enumerate(index.times):
            here = index.group == group
            starts[here] = np.searchsorted(times, index.first[here])
            stops[here] = np.searchsorted(times, index.last[here])
        return starts, np.diff(index.start) == stops - starts + 1

    def _block(self, index: PartIndex, columns: IntArray, starts: IntArray) -> Place | None:
        """A file in which every symbol has every time is a matrix already."""
        if len(set(index.group.tolist())) != 1:
            return None
        times = index.times[int(index.group[0])]
        rows = self._rows_of(times)
        whole = len(rows) * len(columns) == index.rows and not starts.any()
        if not whole or rows[0] < 0 or rows[-1] - rows[0] + 1 != len(rows) or (rows < 0).any():
            return None
        return Place(None, None, None, (int(rows[0]), int(rows[-1]) + 1), columns)

    def _rows_of_regular(self, index: PartIndex, chosen: IntArray, starts: IntArray) -> IntArray:
        counts = np.diff(index.start)[chosen]
        ends = np.cumsum(counts)
        within = np.arange(int(ends[-1]), dtype=np.int64) - np.repeat(ends - counts, counts)
        offsets, tables = [], []
        total = 0
        for times in index.times:  # one table of rows after another; each symbol looks into its group's
            offsets.append(total)
            tables.append(self._rows_of(times))
            total += len(times)
        first = starts[chosen] + np.array(offsets, np.int64)[index.group[chosen]]
        return np.asarray(np.concatenate(tables)[np.repeat(first, counts) + within])

    def _rows_of(self, times: IntArray) -> IntArray:
        """Row of each time, -1 outside the panel."""
        if not len(times):
            return times
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

    def _read_days(self, part: Part, name: str) -> tuple[IntArray, NDArray[Any]]:
        path = str(part.days_path)
        groups = day_groups(path, int(self.times[0]), int(self.times[-1]))
        table = self._few_rows(path, name, groups, ("place", "moment"))
        if path not in self._day_cells:
            column = self._columns_of(part.index)[table["place"].to_numpy()]
            row = self._rows_of(table["moment"].to_numpy())
            keep = np.flatnonzero((row >= 0) & (column >= 0))
            self._day_cells[path] = (row[keep] * self.shape[1] + column[keep], keep)
        cells, keep = self._day_cells[path]
        return cells, table[name].to_numpy()[keep]


def _row_groups(index: PartIndex, places: IntArray) -> list[int]:
    """Row groups that hold these symbols."""
    wanted: set[int] = set()
    for place in places.tolist():
        first, last = int(index.start[place]), int(index.start[place + 1]) - 1
        wanted.update(range(first // index.row_group, last // index.row_group + 1))
    return sorted(wanted)


def _local_rows(index: PartIndex, places: IntArray, groups: Sequence[int] | None) -> IntArray:
    """Rows of these symbols, one symbol after another, within what was read (the row groups, or everything)."""
    starts, counts = index.start[places], np.diff(index.start)[places]
    if groups is not None:  # row groups lie one after another in what was read; a symbol's are neighbours
        size, number = index.row_group, {group: place for place, group in enumerate(groups)}
        skipped = np.array([(group - number[group]) * size for group in (starts // size).tolist()], np.int64)
        starts = starts - skipped
    ends = np.cumsum(counts)
    within = np.arange(int(ends[-1]) if len(ends) else 0, dtype=np.int64)
    return np.asarray(within + np.repeat(starts - (ends - counts), counts))
