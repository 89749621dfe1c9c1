"""Rows: one batch of bars in long form, as it travels from a source to a Parquet file.

Contract: arrays of equal length n, one entry a row. `time` is an epoch day (daily) or UTC microseconds of the bar's
close (intraday). Prices and volumes are float64, NaN where absent (stored as null). `flag` holds the bits below. Rows
are plain data: checks live in `quality`, sources in `ingest`, files in `parts`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from quantkit.market import MARKETS

if TYPE_CHECKING:
    from collections.abc import Sequence

IntArray = NDArray[np.int64]
FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]

# Bits of the stored column `flag`.
NO_TRADE = 1  # halted or without a trade: open = high = low = close, volume 0
OFF_GRID = 2  # a price off the tick grid: legal since 2025-03-04, doubtful before
BEYOND_LIMIT = 4  # beyond the day's price limits and not explained by a listing or a liquidation
ADJUSTED = 8  # adjusted prices: no tick and limit rules
OFF_HOURS = 16  # volume without a regular-session price (blocks, off-hours): landed as no trade
WIDENED = 32  # rounding of an adjustment left the close outside [low, high]; the range was widened to hold it

PRICES = ("open", "high", "low", "close")
REQUIRED = (*PRICES, "volume")
OPTIONAL = ("value", "base", "market_cap", "shares")
FIELDS = (*REQUIRED, *OPTIONAL)
UNKNOWN_MARKET = -1
SEOUL_US = 9 * 3_600_000_000
DAY_US = 86_400_000_000
NO_TIME = np.iinfo(np.int64).min  # a date that could not be read


@dataclass(frozen=True, slots=True)
class Labels:
    """A text column as codes: `names[codes[i]]`, code -1 for absent. `names` is sorted and unique."""

    names: tuple[str, ...]
    codes: NDArray[np.int32]

    @classmethod
    def constant(cls, name: str | None, length: int) -> Labels:
        """The same text (or none) in every row."""
        code = -1 if name is None else 0
        return cls(() if name is None else (name,), np.full(length, code, np.int32))

    @classmethod
    def of(cls, names: Sequence[str], codes: NDArray[np.int32]) -> Labels:
        """Sort and unify `names` (any order, repeats allowed)."""
        if not len(names):
            return cls((), codes)
        unique, inverse = np.unique(np.asarray(names, dtype=object).astype(str), return_inverse=True)
        known = np.append(inverse.astype(np.int32), np.int32(-1))  # index -1 stays -1
        return cls(tuple(unique.tolist()), known[codes])

    def take(self, index: IntArray | BoolArray | slice) -> Labels:
        """The chosen rows, names kept."""
        return Labels(self.names, self.codes[index])

    def texts(self) -> NDArray[np.object_]:
        """One text (or None) a row."""
        table = np.array([*self.names, None], dtype=object)
        return np.asarray(table[self.codes], dtype=object)


@dataclass(frozen=True, slots=True)
class Rows:
    """Bars in long form; see the module for units."""

    symbol: Labels
    time: IntArray
    fields: dict[str, FloatArray]
    market: NDArray[np.int8]  # index in MARKETS, UNKNOWN_MARKET when not given
    flag: NDArray[np.int8]
    status: Labels
    name: Labels
    line: IntArray  # of the source: CSV line (header is line 1) or row counted from 1

    def __len__(self) -> int:
        return len(self.time)

    def take(self, index: IntArray | BoolArray | slice) -> Rows:
        """The chosen rows."""
        return Rows(
            self.symbol.take(index),
            self.time[index],
            {name: values[index] for name, values in self.fields.items()},
            self.market[index],
            self.flag[index],
            self.status.take(index),
            self.name.take(index),
            self.line[index],
        )

    def with_flag(self, bit: int, where: BoolArray) -> Rows:
        """The same rows, `bit` set where asked."""
        flag = self.flag.copy()
        flag[where] |= np.int8(bit)
        return replace(self, flag=flag)

    def order(self) -> IntArray:
        """Positions that sort by symbol and time (stable)."""
        code, time = self.symbol.codes, self.time
        if len(code) < 2:
            return np.arange(len(code), dtype=np.int64)
        step = np.diff(code)
        if bool(np.all((step > 0) | ((step == 0) & (time[1:] >= time[:-1])))):
            return np.arange(len(code), dtype=np.int64)
        return np.lexsort((time, code)).astype(np.int64)

    def sorted(self) -> Rows:
        """By symbol and time, which is the order of the files."""
        order = self.order()
        return self if bool((np.diff(order) == 1).all()) else self.take(order)

    def groups(self) -> IntArray:
        """Calendar group of each row: 0 KRX, 1 US, 2 none; an unknown market counts as KRX."""
        return GROUP_OF_MARKET[self.market.astype(np.int64)]


# Index -1 (unknown market) reads the last entry.
GROUP_OF_MARKET: IntArray = np.array([{"US": 1, "NONE": 2}.get(market, 0) for market in MARKETS] + [0], dtype=np.int64)
GROUPS = ("KRX", "US", "NONE")


def session_days(time: IntArray, freq: str) -> IntArray:
    """Epoch day (Seoul) of each time."""
    return time if freq == "1d" else (time + SEOUL_US) // DAY_US


def time_text(time: int, freq: str) -> str:
    """ISO text of a time: a date, or a moment in UTC; nothing for an unreadable one."""
    if time == NO_TIME:
        return ""
    return str(np.datetime64(time, "D")) if freq == "1d" else f"{np.datetime64(time, 'us')}Z"


def concat(parts: Sequence[Rows]) -> Rows:
    """Rows one after another, text columns brought to common codes."""
    if len(parts) == 1:
        return parts[0]
    return Rows(
        concat_labels([part.symbol for part in parts]),
        np.concatenate([part.time for part in parts]),
        {name: np.concatenate([part.fields[name] for part in parts]) for name in FIELDS},
        np.concatenate([part.market for part in parts]),
        np.concatenate([part.flag for part in parts]),
        concat_labels([part.status for part in parts]),
        concat_labels([part.name for part in parts]),
        np.concatenate([part.line for part in parts]),
    )


def concat_labels(parts: Sequence[Labels]) -> Labels:
    """Text columns one after another."""
    names: list[str] = []
    codes: list[NDArray[np.int32]] = []
    offset = 0
    for part in parts:
        names.extend(part.names)
        codes.append(np.where(part.codes < 0, np.int32(-1), part.codes + np.int32(offset)).astype(np.int32))
        offset += len(part.names)
    return Labels.of(names, np.concatenate(codes))
