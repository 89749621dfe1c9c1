"""The rows a frame gives, checked: prices that can be prices, and an order that can be a history.

Contract: `Given` holds, for each row, its bar, its column and its prices; the checks refuse with a BadData naming the
row, the value and what would be right, and change nothing but ranges that rounding broke. Used by
`frames.from_pandas`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from quantkit.errors import BadData

if TYPE_CHECKING:
    from quantkit.data.stamps import Stamps

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

NEEDED = ("open", "high", "low", "close", "volume")


@dataclass(slots=True)
class Given:
    """Rows as given: for each its bar (`stamps.codes`), its column (`codes`) and its prices."""

    stamps: Stamps
    symbols: tuple[str, ...]
    codes: IntArray
    values: dict[str, FloatArray]
    source: str

    def name(self, row: int) -> str:
        """How a message calls a row."""
        when = self.stamps.text(int(self.stamps.codes[row]))
        return f"{self.source} row {row} ({self.symbols[self.codes[row]]}, {when})"


def check_order(rows: Given) -> None:
    """Refuse a row that is not later than the row before it of the same symbol, saying whether it is a repeat."""
    bars, columns = rows.stamps.codes, rows.codes
    if (len(rows.symbols) == 1 and bool((np.diff(bars) > 0).all())) or len(bars) < 2:
        return
    grouped = bool((np.diff(columns) >= 0).all())  # symbol after symbol, as most files come
    order = np.arange(len(bars)) if grouped else np.argsort(columns.astype(np.int32), kind="stable")
    early = (np.diff(bars[order]) <= 0) & (np.diff(columns[order]) == 0)
    if early.any():
        place = int(np.argmax(early))
        before, row = int(order[place]), int(order[place + 1])
        if bars[before] == bars[row]:
            raise BadData(f"{rows.name(row)} repeats row {before}: one row per symbol and bar; drop one of them")
        when = rows.stamps.text(int(bars[before]))
        raise BadData(f"{rows.name(row)} comes after {when} in row {before}: sort the rows by date")


def check_rows(rows: Given, tolerance: float = 0.0) -> None:
    """Refuse prices and volumes that cannot be; widen the range by what rounding broke (at most `tolerance`).

    A halted row (open = high = low = 0) has only its close and volume checked.
    """
    opens, highs, lows, closes, volumes = (rows.values[name] for name in NEEDED)
    halted = (opens == 0) & (highs == 0) & (lows == 0)
    if np.isnan(volumes).any():
        volumes = rows.values["volume"] = np.where(np.isnan(volumes) & halted, 0.0, volumes)
    _refuse(rows, "volume", ~((volumes >= 0) & (volumes < np.inf)), "expected a number of shares, 0 or more")
    for name, values in (("open", opens), ("high", highs), ("low", lows), ("close", closes)):
        bad = ~((values > 0) & (values < np.inf))
        if bad.any():
            bad &= ~halted if name != "close" else ~(halted & ~(values < 0))
            _refuse(rows, name, bad, "expected a price above 0 (a halted row has open = high = low = 0)")
    highest, lowest = np.maximum(opens, closes), np.minimum(opens, closes)
    short, deep = (highs < highest) & ~halted, (lows > lowest) & ~halted
    if not (short.any() or deep.any()):
        return
    noise = np.maximum(tolerance, 1e-9 * closes)
    _refuse(
        rows, "high", short & (highs < highest - noise), "below the open or close; the high is the highest of the bar"
    )
    _refuse(rows, "low", deep & (lows > lowest + noise), "above the open or close; the low is the lowest of the bar")
    rows.values["high"] = np.where(short, highest, highs)
    rows.values["low"] = np.where(deep, lowest, lows)


def _refuse(rows: Given, name: str, bad: NDArray[np.bool_], wanted: str) -> None:
    if bad.any():
        row = int(np.argmax(bad))
        shown = ", ".join(f"{key} {rows.values[key][row]:g}" for key in NEEDED)
        raise BadData(
            f"{rows.name(row)}: {name} {rows.values[name][row]:g}: {wanted} [{shown}]; {int(bad.sum())} such row(s). "
            "Correct or drop them, or ingest into a lake, which sets bad rows aside"
        )
