"""Quality: judge rows before they enter a bars table. Bad rows are set aside with a reason, doubtful ones get a flag.

Contract: pure; rows in, rows out. In this order:

1. keys and numbers   no date, no code, NaN, infinite, negative, close of zero                      -> rejected
2. halted rows        open = high = low = 0 (or absent): the close is carried, volume 0            -> lands, NO_TRADE
3. order              high below, or low above, another price                                       -> rejected
                      by no more than the rounding of an adjusted price (1 won, 1 cent): widened    -> lands, WIDENED
4. sessions           a Korean row on a day without a session                                       -> rejected
5. duplicates         the same row again: one is kept; the same key with other values: none is kept -> rejected
6. grid               a price off the tick grid (legal since 2025-03-04)                            -> lands, OFF_GRID
7. limits             beyond the limits around the base price (else the last close), and neither a
                      first trading day nor a liquidation                                           -> BEYOND_LIMIT

6 and 7 apply to raw prices of markets that have ticks and limits. Prices are never altered but in 2 (no trade) and 3
(widened), and both say so in `flag`. Called by `lake.ingest`.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from quantkit.data.rows import (
    ADJUSTED,
    BEYOND_LIMIT,
    FIELDS,
    NO_TIME,
    NO_TRADE,
    OFF_GRID,
    OFF_HOURS,
    PRICES,
    WIDENED,
    Rows,
    session_days,
)
from quantkit.market import MARKET_ID

if TYPE_CHECKING:
    from collections.abc import Mapping

IntArray = NDArray[np.int64]
FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]

REASONS = (
    "DATE_UNREADABLE",
    "SYMBOL_MISSING",
    "PRICE_MISSING",
    "PRICE_NOT_POSITIVE",
    "VOLUME_MISSING",
    "VOLUME_NEGATIVE",
    "OHLC_ORDER",
    "NO_SESSION",
    "DUPLICATE_CONFLICT",
)
_RECENT_DAYS = 10  # a last close older than this is no base price


@dataclass(frozen=True, slots=True)
class Known:
    """What the lake knows beside the rows: epoch days by symbol."""

    sessions: IntArray | None = None  # days with a Korean session, sorted; None: not checked
    listing: Mapping[str, int] = field(default_factory=dict)
    liquidation: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    leverage: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Checked:
    """`rows` are good, sorted and unique; `rejected` go to quarantine, with `reason` (index in REASONS) each."""

    rows: Rows
    rejected: Rows
    reason: NDArray[np.int8]
    flagged: int


def check(rows: Rows, known: Known, *, freq: str) -> Checked:
    """Judge rows of one source; see the module."""
    reason = np.full(len(rows), -1, np.int8)
    rows = _carry_halted(rows)
    _check_keys(rows, reason)
    _check_numbers(rows, reason)
    rows = _check_order(rows, reason)
    days = session_days(rows.time, freq)
    if known.sessions is not None:
        _reject(reason, _off_session(rows, days, known.sessions), "NO_SESSION")
    keep = _unique(rows, reason)
    good = rows.take(keep)
    good = good.take(good.order())
    good = flag_prices(good, session_days(good.time, freq), known, daily=freq == "1d")
    bad = reason >= 0
    flagged = int((good.flag & (OFF_GRID | BEYOND_LIMIT | OFF_HOURS | WIDENED) != 0).sum())
    return Checked(good, rows.take(bad), reason[bad], flagged)


def _reject(reason: NDArray[np.int8], where: BoolArray, name: str) -> None:
    """The first reason found stays."""
    reason[where & (reason < 0)] = REASONS.index(name)


def _carry_halted(rows: Rows) -> Rows:
    """Step 2: rows without a price of the session show the close they were given, and no volume."""
    opens, highs, lows, close = (rows.fields[name] for name in PRICES)
    volume = rows.fields["volume"]
    blank = np.ones(len(rows), dtype=bool)
    for price in (opens, highs, lows):
        blank &= (price == 0) | np.isnan(price)
    blank &= close > 0
    halted = blank | ((close > 0) & (volume == 0) & (opens == highs) & (highs == lows) & (lows == close))
    if not halted.any():
        return rows
    fields = dict(rows.fields)
    for name in ("open", "high", "low"):
        fields[name] = np.where(blank, close, fields[name])
    fields["volume"] = np.where(halted, 0.0, volume)
    fields["value"] = np.where(halted & ~np.isnan(fields["value"]), 0.0, fields["value"])
    return replace(rows, fields=fields).with_flag(NO_TRADE, halted).with_flag(OFF_HOURS, blank & (volume > 0))


def _check_keys(rows: Rows, reason: NDArray[np.int8]) -> None:
    _reject(reason, rows.time == NO_TIME, "DATE_UNREADABLE")
    _reject(reason, rows.symbol.codes < 0, "SYMBOL_MISSING")


def _check_numbers(rows: Rows, reason: NDArray[np.int8]) -> None:
    missing, low = np.zeros(len(rows), dtype=bool), np.zeros(len(rows), dtype=bool)
    for name in PRICES:
        price = rows.fields[name]
        missing |= ~np.isfinite(price)
        low |= price <= 0
    _reject(reason, missing, "PRICE_MISSING")
    _reject(reason, low, "PRICE_NOT_POSITIVE")
    _reject(reason, ~np.isfinite(rows.fields["volume"]), "VOLUME_MISSING")
    _reject(reason, rows.fields["volume"] < 0, "VOLUME_NEGATIVE")


def _check_order(rows: Rows, reason: NDArray[np.int8]) -> Rows:
    """Step 3."""
    opens, highs, lows, close = (rows.fields[name] for name in PRICES)
    top, bottom = np.maximum(opens, close), np.minimum(opens, close)
    over = np.maximum(np.maximum(top - highs, lows - bottom), lows - highs)
    wrong = over > 0
    if not wrong.any():
        return rows
    unit = np.where(rows.market == MARKET_ID["US"], 0.01, 1.0)
    rounding = wrong & ((rows.flag & ADJUSTED) != 0) & (over <= unit * (1 + 1e-9)) & (reason < 0)
    _reject(reason, wrong & ~rounding, "OHLC_ORDER")
    if not rounding.any():
        return rows
    fields = dict(rows.fields)
    fields["high"] = np.where(rounding, np.maximum(highs, top), highs)
    fields["low"] = np.where(rounding, np.minimum(lows, bottom), lows)
    return replace(rows, fields=fields).with_flag(WIDENED, rounding)


def _off_session(rows: Rows, days: IntArray, sessions: IntArray) -> BoolArray:
    """Korean rows on days inside the known calendar that had no session."""
    if not len(sessions):
        return np.zeros(len(rows), dtype=bool)
    inside = (days >= sessions[0]) & (days <= sessions[-1]) & (rows.groups() == 0)
    place = np.minimum(np.searchsorted(sessions, days), len(sessions) - 1)
    return np.asarray(inside & (sessions[place] != days))


def _unique(rows: Rows, reason: NDArray[np.int8]) -> IntArray:
    """Positions of the rows to keep, in source order; step 5."""
    fine = np.flatnonzero(reason < 0)
    order = fine[np.lexsort((rows.time[fine], rows.symbol.codes[fine]))]
    code, time = rows.symbol.codes[order], rows.time[order]
    again = np.zeros(len(order), dtype=bool)
    again[1:] = (code[1:] == code[:-1]) & (time[1:] == time[:-1])
    if not again.any():
        return fine
    differs = np.zeros(len(order), dtype=bool)
    for name in FIELDS:
        value = rows.fields[name][order]
        differs[1:] |= (value[1:] != value[:-1]) & ~(np.isnan(value[1:]) & np.isnan(value[:-1]))
    group = np.cumsum(~again) - 1  # equal keys share a number
    conflict = np.zeros(len(order), dtype=bool)
    conflict[np.isin(group, group[again & differs])] = True
    reason[order[conflict]] = REASONS.index("DUPLICATE_CONFLICT")
    return np.sort(order[~again & ~conflict])


def flag_prices(rows: Rows, days: IntArray, known: Known, *, daily: bool) -> Rows:
    """Steps 6 and 7 for rows sorted by symbol and time."""
    from quantkit.market import grid
    from quantkit.market.rules import rule_rows

    subject = ((rows.flag & (ADJUSTED | NO_TRADE)) == 0) & (rows.market >= 0)
    if not subject.any():
        return rows
    cells = np.flatnonzero(subject)
    row, market = rule_rows(days[cells]), rows.market[cells].astype(np.int64)
    off = np.zeros(len(cells), dtype=bool)
    for name in PRICES:
        price = rows.fields[name][cells]
        off |= grid.floor_prices(row, market, price) != price
    # Before 2001 American prices were fractions, and below a dollar they are finer still: not worth a flag.
    off &= market != MARKET_ID["US"]
    rows = rows.with_flag(OFF_GRID, _scatter(cells[off], len(rows)))
    if not daily:
        return rows
    lower, upper = grid.limit_prices(row, market, base_prices(rows, days)[cells], _leverage(rows, known)[cells])
    beyond = (rows.fields["high"][cells] > upper) | (rows.fields["low"][cells] < lower)
    suspects = cells[beyond]
    suspects = suspects[~explained(rows, days, suspects, known)]
    return rows.with_flag(BEYOND_LIMIT, _scatter(suspects, len(rows)))


def base_prices(rows: Rows, days: IntArray) -> FloatArray:
    """The exchange's base price where given, else the last close of the batch if recent; NaN if neither."""
    prior = np.full(len(rows), np.nan)
    code = rows.symbol.codes
    near = (code[1:] == code[:-1]) & (days[1:] - days[:-1] <= _RECENT_DAYS)
    prior[1:][near] = rows.fields["close"][:-1][near]
    base = rows.fields["base"]
    return np.where(base > 0, base, prior)


def explained(rows: Rows, days: IntArray, cells: IntArray, known: Known) -> BoolArray:
    """Whether a rule explains a price beyond the limits: a first trading day, or a liquidation."""
    code = rows.symbol.codes
    first_of_all = int(days.min())
    found = np.zeros(len(cells), dtype=bool)
    for place, cell in enumerate(cells.tolist()):
        symbol, day = rows.symbol.names[code[cell]], int(days[cell])
        opening = cell == 0 or code[cell - 1] != code[cell]
        listed = known.listing.get(symbol, day if opening and day > first_of_all else -1)
        begin, end = known.liquidation.get(symbol, (0, -1))
        found[place] = listed == day or begin <= day <= end
    return found


def _leverage(rows: Rows, known: Known) -> FloatArray:
    by_symbol = np.array([known.leverage.get(name, 1.0) for name in rows.symbol.names] + [1.0])
    return np.asarray(by_symbol[rows.symbol.codes])


def _scatter(cells: IntArray, length: int) -> BoolArray:
    where = np.zeros(length, dtype=bool)
    where[cells] = True
    return where
