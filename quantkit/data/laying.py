"""Laying the rows of a by-time copy into a panel, compiled: what a stream reads millions of rows a second with.

Contract: the same matrices as `panel.Panel` gives, to the last bit. A part's copy holds its rows by time, so they are
written almost in the order of memory; where there is no copy, or few symbols are asked for, the plain way is taken.
Called by `stream`; loads the compiler, which `panel` does not.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from quantkit.data.actions import changes, factor_matrix
from quantkit.data.carry import LISTED, TRADED, Carry
from quantkit.data.panel import Panel
from quantkit.data.parts import day_groups, read_columns
from quantkit.jit import njit

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from quantkit.data.panel import BoolArray, FlagArray, FloatArray, IntArray
    from quantkit.data.versions import Part

_TOGETHER = ("flag", "close", "open", "high", "low")  # read at once, by several threads: a run needs them all

_FILLED = ("open", "high", "low", "close", "volume", "value")


@njit
def find_cells(
    moments: IntArray, places: NDArray[np.int32], times: IntArray, columns: IntArray, names: int, cells: IntArray
) -> int:
    """Flat cell of each row, -1 outside the panel; gives the number inside. `moments` mostly rise, `times` do."""
    size, row, inside = len(times), 0, 0
    for i in range(len(moments)):
        moment = moments[i]
        if row > 0 and times[row - 1] >= moment:
            row = np.searchsorted(times[:row], moment)
        while row < size and times[row] < moment:
            row += 1
        column = columns[places[i]]
        if row < size and times[row] == moment and column >= 0:
            cells[i] = row * names + column
            inside += 1
        else:
            cells[i] = -1
    return inside


@njit
def scatter(flat: NDArray[Any], cells: IntArray, stored: NDArray[Any]) -> None:
    """flat[cells] = stored, where the cell is not -1."""
    for i in range(len(cells)):
        cell = cells[i]
        if cell >= 0:
            flat[cell] = stored[i]


@njit
def carry_rows(
    closes: FloatArray, flags: FlagArray, factors: FloatArray, day: IntArray,
    last: FloatArray, at_factor: FloatArray, was: BoolArray,
) -> None:  # fmt: skip
    """`carry.carry_close` row by row. last, at_factor, was: `Carry` of the rows before, left as that of these.

    factors: (D, N) by day, `day` (T,) each row's place in them; (0, 0) where no price moves.
    """
    moved = len(factors) > 0
    for t in range(closes.shape[0]):
        for s in range(closes.shape[1]):
            flag = flags[t, s]
            if not flag & LISTED:
                closes[t, s] = np.nan
                was[s] = False
                continue
            now = factors[day[t], s] if moved else 1.0
            if flag & TRADED or not was[s]:
                last[s] = closes[t, s]
                at_factor[s] = now
            else:
                carried = last[s]
                if at_factor[s] != now:
                    carried *= at_factor[s] / now
                closes[t, s] = carried
            was[s] = True


@njit
def fill_rows(values: FloatArray, flags: FlagArray, closes: FloatArray) -> None:
    """`carry.fill_untraded`: `closes` (T, N), or (0, 0) for zeros."""
    priced = len(closes) > 0
    for t in range(values.shape[0]):
        for s in range(values.shape[1]):
            flag = flags[t, s]
            if not flag & LISTED:
                values[t, s] = np.nan
            elif not flag & TRADED:
                values[t, s] = closes[t, s] if priced else 0.0


class StreamPanel(Panel):
    """A panel of many rows of many symbols, read from the by-time copies."""

    def __init__(self, *axes: Any, **options: Any) -> None:
        self._decoded_ahead: dict[str, dict[str, NDArray[Any]]] = {}
        self._by_time: dict[str, tuple[IntArray, int]] = {}
        super().__init__(*axes, **options)  # reads the flags

    def _few_days(self, part: Part) -> bool:
        wide = len(self.symbols) * 8 > len(part.index.symbols)
        return wide and part.days_path is not None and part.days_path.exists()

    def _put(self, part: Part, name: str, matrix: NDArray[Any], convert: Callable[[Any], Any] | None = None) -> int:
        if not self._few_days(part):
            return super()._put(part, name, matrix, convert)
        cells, inside = self._cells(part)
        stored = self._decoded_ahead[str(part.days_path)].pop(name, None)
        if stored is None:
            stored = self._decoded(part, (name,))[name]
        values = stored if convert is None else convert(stored)
        scatter(matrix.reshape(-1), cells, np.ascontiguousarray(values, matrix.dtype))
        return inside

    def _cells(self, part: Part) -> tuple[IntArray, int]:
        """Where the copy's rows go, and how many are inside; the usual columns are decoded on the way."""
        path = str(part.days_path)
        known = self._by_time.get(path)
        if known is None:
            read = self._decoded(part, ("place", "moment", *_TOGETHER))
            moments = read.pop("moment")
            cells = np.empty(len(moments), np.int64)
            columns = self._columns_of(part.index)
            inside = find_cells(moments, read.pop("place"), self.times, columns, self.shape[1], cells)
            self._decoded_ahead[path] = read
            known = self._by_time[path] = (cells, inside)
        return known

    def _decoded(self, part: Part, names: tuple[str, ...]) -> dict[str, NDArray[Any]]:
        path = str(part.days_path)
        groups = day_groups(path, int(self.times[0]), int(self.times[-1]))
        table = read_columns(path, names, groups, threads=True)
        return {name: table[name].to_numpy() for name in names}

    def _scattered(self, name: str, out: FloatArray | None = None) -> FloatArray:
        if name not in _FILLED:
            return super()._scattered(name, out)
        matrix = np.empty(self.shape) if out is None else out  # every cell without a row is written afterwards
        for part in self._used():
            self._put(part, name, matrix)
        return matrix

    # --- carrying -------------------------------------------------------------------------------------------------

    def _carry_close(self, matrix: FloatArray) -> None:
        self._carry_top(matrix)
        names = self.shape[1]
        before = self._before or Carry(np.full(names, np.nan), np.ones(names), np.zeros(names, np.bool_))
        self._after = Carry(before.close.copy(), before.factor.copy(), before.listed.copy())
        days, day = np.unique(self.days, return_inverse=True)
        moved = changes(self._actions, self.symbols)
        factors = factor_matrix(self._actions, days, self.symbols) if moved else np.empty((0, 0))
        carry_rows(matrix, self.flags, factors, day, *self._after)

    def carry_after(self) -> Carry:
        """What a panel of the rows after these is to know of them."""
        self.close()
        return self._after

    def field(self, name: str, out: FloatArray | None = None) -> FloatArray:
        """The field as `Panel.field` gives it, written into `out` where that is given."""
        if name == "close":
            return self.close(out)
        matrix = self._scattered(name, out)
        if name in ("open", "high", "low"):
            fill_rows(matrix, self.flags, self.close())
        elif name in ("volume", "value"):
            fill_rows(matrix, self.flags, np.empty((0, 0)))
        return matrix
