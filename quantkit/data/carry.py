"""Carried rows: what a panel shows on bars where a listed symbol did not trade.

Contract: works in place on (T, N) float64 matrices, time first, NaN where no row was given. Afterwards, for every
listed cell without a trade, open = high = low = close = the last close and volume = 0; outside its listing a symbol
is NaN. Every answer at bar t depends on rows up to t only, so a panel cut short is the beginning of the longer one.

A row counts as a trade when its open is above 0 and its volume is above 0 or its range is not empty (indices and
currencies come without volume). A row given with open = high = low = 0 is a halted one: it is valid, but not traded.
A missing row of a listed symbol is neither. Where an ex-date falls inside a gap, the carried close is put on the new
price basis, so that shares x close does not jump.

Used by `frames.from_pandas` and by the lake, in this order: `row_flags`, `carry_close`, `fill_untraded`. A panel that
goes on where another ended is given that one's `Carry`; together they are the panel read at once.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from collections.abc import Callable

LISTED, TRADED, VALID, MEMBER, LIQUIDATION, FIRST_DAY = 1, 2, 4, 8, 16, 32  # bits of Bars.flags

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
FlagArray = NDArray[np.uint8]


class Carry(NamedTuple):
    """What a panel knows of the rows before it, by symbol: arrays (N,)."""

    close: FloatArray  # close of the last row that had one of its own
    factor: FloatArray  # price factor of that row
    listed: NDArray[np.bool_]  # listed on the row before


def row_flags(
    opens: FloatArray,
    highs: FloatArray,
    lows: FloatArray,
    closes: FloatArray,
    volumes: FloatArray,
    *,
    stop_rows: IntArray | None = None,
) -> FlagArray:
    """Flags (T, N) uint8 of matrices holding the rows as given, NaN where there was none.

    A symbol is listed from its first row with a price until `stop_rows[n]` (exclusive), or the end of the panel; it
    is a member while listed. A row given after `stop_rows` keeps the symbol listed through that row.
    """
    given = ~np.isnan(opens)
    traded = (opens > 0) & ((volumes > 0) | (highs > lows))
    priced = given & (closes > 0)
    if priced.all():
        listed = priced
    else:
        listed = np.logical_or.accumulate(priced, axis=0)
        if stop_rows is not None:
            rows = np.arange(len(opens))[:, None]
            last_given = len(opens) - np.argmax(given[::-1], axis=0)
            listed &= rows < np.maximum(stop_rows, np.where(given.any(axis=0), last_given, 0))
    flags = listed.astype(np.uint8) * np.uint8(LISTED | MEMBER)
    flags |= (traded & listed).astype(np.uint8) * np.uint8(TRADED)
    flags |= (given & listed).astype(np.uint8) * np.uint8(VALID)
    return flags


def carry_close(
    closes: FloatArray, flags: FlagArray, *, factor: FloatArray | None = None, before: Carry | None = None
) -> None:
    """Overwrite `closes` in place with the carried close where nothing traded; NaN outside the listing.

    `factor` (T, N) is the forward price factor; None when no action changes a price. `before`: the panel goes on.
    """
    listed = (flags & LISTED) != 0
    hole = listed & ((flags & TRADED) == 0)
    closes[~listed] = np.nan
    cells = np.flatnonzero(hole)
    if not len(cells):
        return
    names = closes.shape[1]
    source = listed & ~hole
    source[0] |= listed[0]
    source[1:] |= listed[1:] & ~listed[:-1]  # the first row shows the close it was given
    rows = np.arange(len(closes), dtype=np.int32)[:, None]
    last = np.maximum.accumulate(np.where(source, rows, np.int32(0)), axis=0)
    origin = last.ravel()[cells].astype(np.int64) * names + cells % names
    flat = closes.reshape(-1)
    carried = flat[origin]
    if factor is not None:
        then, now = factor.reshape(-1)[origin], factor.reshape(-1)[cells]
        moved = then != now
        carried[moved] *= then[moved] / now[moved]
    flat[cells] = carried
    if before is not None:
        _carry_on(closes, hole, factor, before)


def _carry_on(closes: FloatArray, hole: NDArray[np.bool_], factor: FloatArray | None, before: Carry) -> None:
    """The holes at the top, which nothing in this panel fills."""
    columns = np.flatnonzero(hole[0] & before.listed)
    rows, place = np.nonzero(np.logical_and.accumulate(hole[:, columns], axis=0))
    column = columns[place]
    carried = before.close[column]
    if factor is not None:
        then, now = before.factor[column], factor[rows, column]
        moved = then != now
        carried[moved] *= then[moved] / now[moved]
    closes[rows, column] = carried


def carry_after(
    closes: FloatArray, flags: FlagArray, factor_of: Callable[[IntArray], FloatArray], before: Carry | None
) -> Carry:
    """What the panel after this one is to know. `closes` as `carry_close` left them; `factor_of(rows)` gives (N,) price
    factors, each column's at its own row."""
    listed = (flags & LISTED) != 0
    source = listed & ((flags & TRADED) != 0)
    source[0] |= listed[0] & (True if before is None else ~before.listed)
    source[1:] |= listed[1:] & ~listed[:-1]
    last = len(source) - 1 - np.argmax(source[::-1], axis=0)
    columns = np.arange(source.shape[1])
    close, factor = closes[last, columns], factor_of(last)
    if before is not None:
        own = source[last, columns]
        close, factor = np.where(own, close, before.close), np.where(own, factor, before.factor)
    return Carry(close, factor, listed[-1])


def fill_untraded(values: FloatArray, flags: FlagArray, *, closes: FloatArray | None = None) -> None:
    """Overwrite `values` in place where nothing traded: open, high and low with `closes`, volume and value with 0."""
    listed = (flags & LISTED) != 0
    hole = listed & ((flags & TRADED) == 0)
    values[~listed] = np.nan
    if hole.any():
        values[hole] = 0.0 if closes is None else closes[hole]
