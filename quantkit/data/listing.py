"""What is known of the symbols of a frame beside their prices: market, name, leverage, end of listing.

Contract: markets are the names of `quantkit.market.MARKETS`; a KOSDAQ segment counts as KOSDAQ. Without any word on
it a symbol is of KOSPI, unleveraged, and listed to the end of the panel. BadData names the value and what would be
right. Used by `frames.from_pandas`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from quantkit.data.carry import FIRST_DAY, LIQUIDATION, LISTED
from quantkit.data.columns import canonical
from quantkit.data.dates import epoch_day
from quantkit.errors import BadData, ConfigError
from quantkit.market import MARKETS

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pandas as pd

    from quantkit.data.given import Given

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

_STILL_LISTED = 4_000_000  # an epoch day far after any panel
_SEGMENTS = {"KOSDAQ GLOBAL": "KOSDAQ"}
_OWN_COLUMNS = ("leverage", "listing_date", "delisting_date", "liquidation_start", "liquidation_end")


@dataclass(slots=True)
class Listing:
    """Per symbol, in the order of the panel's columns."""

    markets: list[str]
    changes: list[tuple[int, str, str]]  # (epoch day, symbol, market from then on)
    names: dict[str, str]
    leverage: FloatArray
    stop_days: IntArray  # the first day that a symbol is no longer listed
    first_days: dict[int, int]  # column to the epoch day of its listing
    liquidation: list[tuple[int, int, int]]  # column, first and last epoch day of liquidation trading

    def mark(self, flags: NDArray[np.uint8], days: IntArray) -> None:
        """Set LIQUIDATION and FIRST_DAY in `flags` (T, N), in place; a first day holds a symbol's first row."""
        for column, day in self.first_days.items():
            start, stop = np.searchsorted(days, day), np.searchsorted(days, day, side="right")
            if start == 0 or not flags[start - 1, column] & LISTED:  # else an old name that has moved here
                part = flags[start:stop, column]
                part |= np.where(part & LISTED, FIRST_DAY, 0).astype(np.uint8)
        for column, first, last in self.liquidation:
            part = flags[np.searchsorted(days, first) : np.searchsorted(days, last, side="right"), column]
            part |= np.where(part & LISTED, LIQUIDATION, 0).astype(np.uint8)


def read_listing(
    rows: Given,
    *,
    market: str | Mapping[str, str] | None,
    columns: Mapping[str, pd.Series],
    instruments: pd.DataFrame | None,
) -> Listing:
    """Gather from the `market` argument, the frame's market and name columns and the instruments, first named first."""
    listing = Listing(
        markets=["KOSPI"] * len(rows.symbols),
        changes=[],
        names={},
        leverage=np.ones(len(rows.symbols)),
        stop_days=np.full(len(rows.symbols), _STILL_LISTED, dtype=np.int64),
        first_days={},
        liquidation=[],
    )
    if "name" in columns:
        listing.names.update(_last_texts(rows, columns["name"]))
    if market is None and "market" in columns:
        _read_market_column(listing, rows, columns["market"])
    if instruments is not None:
        _read_instruments(listing, rows.symbols, instruments, with_market=market is None)
    if isinstance(market, str):
        listing.markets = [_market(market, "market")] * len(rows.symbols)
    elif market is not None:
        listing.markets = [_market(market.get(code, "KOSPI"), f"market of {code}") for code in rows.symbols]
    if "US" in listing.markets and set(listing.markets) - {"US", "NONE"}:
        raise ConfigError("a panel holds one currency: split US symbols from Korean ones")
    return listing


def _market(value: object, what: str) -> str:
    name = _SEGMENTS.get(str(value).strip().upper(), str(value).strip().upper())
    if name not in MARKETS:
        raise ConfigError(f"{what}: {value!r} is not one of {', '.join(MARKETS)}")
    return name


def _read_market_column(listing: Listing, rows: Given, column: pd.Series) -> None:
    """Market of each symbol at its last row, and the days it changed; rows without a market say nothing."""
    import pandas as pd

    codes, labels = pd.factorize(column)
    ids = np.array([MARKETS.index(_market(label, f"{rows.source} market")) for label in labels] + [-1])[codes]
    order = np.lexsort((rows.stamps.codes, rows.codes))
    order = order[ids[order] >= 0]
    columns, ids = rows.codes[order], ids[order]
    last = np.append(np.diff(columns) != 0, True)[: len(order)]
    for code, name in zip(columns[last].tolist(), ids[last].tolist(), strict=True):
        listing.markets[code] = MARKETS[name]
    moved = np.flatnonzero((np.diff(columns) == 0) & (np.diff(ids) != 0)) + 1
    first = np.concatenate(([True], np.diff(columns) != 0))[: len(order)]
    movers = np.isin(columns, columns[moved])
    for place in sorted({*moved.tolist(), *np.flatnonzero(first & movers).tolist()}):
        day = int(rows.stamps.days[rows.stamps.codes[order[place]]])
        listing.changes.append((day, rows.symbols[columns[place]], MARKETS[ids[place]]))


def _last_texts(rows: Given, column: pd.Series) -> dict[str, str]:
    """The text of each symbol's last row that has one."""
    place = np.full(len(rows.symbols), -1, dtype=np.int64)
    known = np.flatnonzero(column.notna().to_numpy())
    place[rows.codes[known]] = known  # rows of a symbol are in time order: the last one stays
    return {rows.symbols[code]: str(column.iloc[row]) for code, row in enumerate(place.tolist()) if row >= 0}


def _read_instruments(listing: Listing, symbols: tuple[str, ...], frame: pd.DataFrame, *, with_market: bool) -> None:
    found = {name: column for column, name in canonical(frame.columns, source="instruments").items()}
    found.update({name: name for name in _OWN_COLUMNS if name in frame.columns})
    if "symbol" not in found:
        raise BadData(f"instruments: no column for symbol; it has {', '.join(map(str, frame.columns))}")
    column_of = {code: column for column, code in enumerate(symbols)}
    for number, record in enumerate(frame[[found[name] for name in found]].to_dict("records")):
        column = column_of.get(record[found["symbol"]])
        if column is None:
            continue
        given = {name: record[found[name]] for name in found if record[found[name]] == record[found[name]]}
        given = {
            name: value for name, value in given.items() if value is not None and str(value) not in ("NaT", "<NA>")
        }
        where = f"instruments row {number} ({symbols[column]})"
        if "name" in given:
            listing.names[symbols[column]] = str(given["name"])
        if "market" in given and with_market:
            listing.markets[column] = _market(given["market"], where)
        if "leverage" in given:
            listing.leverage[column] = float(str(given["leverage"]))
        if "listing_date" in given:
            listing.first_days[column] = epoch_day(given["listing_date"], what=where)
        if "delisting_date" in given:
            listing.stop_days[column] = epoch_day(given["delisting_date"], what=where)
        if "liquidation_start" in given:
            last = given.get("liquidation_end", given.get("delisting_date", given["liquidation_start"]))
            first_day, last_day = (epoch_day(day, what=where) for day in (given["liquidation_start"], last))
            listing.liquidation.append((column, first_day, last_day))
