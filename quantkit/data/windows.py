"""Parts of a panel: rows, dates, symbols, another universe; and what a part knows of the bars before it.

Contract: a part shows what the whole shows there, to the last bit: factors count from the symbol's first stored bar,
the reference price of its first session is the close before it. Rows share memory with the whole; columns are copied
when a field is first read. Called by the methods of `Bars` of the same names; `known_at` and `with_fields` by research.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from quantkit.data.actions import changes
from quantkit.data.bars import MEMBER, Bars
from quantkit.data.dates import epoch_day, last_day
from quantkit.errors import BadData, ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from quantkit.data.bars import BoolArray, FlagArray, FloatArray, IntArray

_DERIVED = ("open", "high", "low", "close", "volume", "value", "base", "factor", "share_factor")


def slice_rows(bars: Bars, start_row: int, stop_row: int) -> Bars:
    """Rows start_row..stop_row (exclusive); negative numbers count from the end, as in Python."""
    rows = slice(start_row, stop_row)
    part = _part(
        bars,
        times=bars.times[rows],
        days=bars.days[rows],
        symbols=bars.symbols,
        fields={name: partial(_rows, bars, name, rows) for name in bars._fields},
        flags=bars.flags[rows],
        markets=bars.markets,
        leverage=bars.leverage,
    )
    part._whole = bars
    for name in _DERIVED:
        if name in bars._cache:
            part._cache[name] = cast("FloatArray", bars._cache[name])[rows]
    return part


def known_at(bars: Bars, stop_row: int) -> Bars:
    """Rows before `stop_row` as they were known at the close of the last one, and no way from them to the rest.

    Actions and changes of market on later days are not there; a name is in the market it was in then.
    """
    part = slice_rows(bars, 0, stop_row)
    last = int(part.days[-1]) if len(part) else -1
    part.actions = part.actions[part.actions["ex_day"] <= last]
    part.market_changes = [change for change in part.market_changes if change[0] <= last]
    then = {symbol: market for _, symbol, market in part.market_changes}
    part.markets = tuple(then.get(symbol, market) for symbol, market in zip(bars.symbols, bars.markets, strict=True))
    part._whole, part.version = None, None
    part._cache["prior_close"] = bars.prior_close
    return part


def with_fields(bars: Bars, fields: Mapping[str, FloatArray], flags: FlagArray) -> Bars:
    """The same rows and names with other numbers in these stored fields, and other flags."""
    part = slice_rows(bars, 0, len(bars))
    part._fields |= fields
    part._cache = {"prior_close": bars.prior_close}
    part._whole, part.version = None, None
    part.flags = flags
    return part


def window(bars: Bars, start: object = None, end: object = None) -> Bars:
    """Bars from the session `start` to the session `end`, both included; None is open. Text, dates or days.

    `2024` or `2024-03` stand for the whole year or month. ConfigError when start is after end.
    """
    first = None if start is None else epoch_day(start, what="start")
    last = None if end is None else last_day(end, what="end")
    if first is not None and last is not None and first > last:
        raise ConfigError(f"start {start} is after end {end}; swap them")
    start_row = 0 if first is None else int(np.searchsorted(bars.days, first))
    stop_row = len(bars) if last is None else int(np.searchsorted(bars.days, last, side="right"))
    return slice_rows(bars, start_row, max(start_row, stop_row))


def select(bars: Bars, symbols: Sequence[str]) -> Bars:
    """These symbols in this order. ConfigError names a symbol the panel does not have."""
    wanted = (symbols,) if isinstance(symbols, str) else tuple(symbols)
    column_of = {symbol: column for column, symbol in enumerate(bars.symbols)}
    unknown = [symbol for symbol in wanted if symbol not in column_of]
    if unknown:
        have = ", ".join(bars.symbols[:8]) + (", ..." if len(bars.symbols) > 8 else "")
        raise ConfigError(f"no bars for {', '.join(map(repr, unknown))}; the panel has {have}")
    columns = np.array([column_of[symbol] for symbol in wanted], dtype=np.int64)
    part = _part(
        bars,
        times=bars.times,
        days=bars.days,
        symbols=wanted,
        fields={name: partial(_columns, bars, name, columns) for name in bars._fields},
        flags=bars.flags[:, columns],
        markets=[bars.markets[column] for column in columns],
        leverage=bars.leverage[columns],
    )
    part._cache["prior_close"] = bars.prior_close[columns]
    return part


def with_member(bars: Bars, member: BoolArray) -> Bars:
    """The same panel with `member` (T, N) bool as its universe, counted only where listed."""
    if member.shape != bars.shape or member.dtype != np.bool_:
        raise BadData(f"member is {member.dtype} {member.shape}; expected bool {bars.shape}")
    part = slice_rows(bars, 0, len(bars))
    kept = bars.flags & np.uint8(255 - MEMBER)
    part.flags = kept | (member & bars.listed).astype(np.uint8) * np.uint8(MEMBER)
    part._cache["prior_close"] = bars.prior_close
    return part


def reference_prices(bars: Bars) -> FloatArray:
    """Reference price of each bar's session (T, N), as traded: see `Bars.base`."""
    first = np.searchsorted(bars.days, bars.days, side="left")  # first bar of each bar's session
    base = bars.close[np.maximum(first - 1, 0)]
    base[first == 0] = bars.prior_close
    if changes(bars.actions, bars.symbols):
        base /= bars.factor
    if bars.has("base"):
        given = bars.field("base")
        base = np.where(given > 0, given, base)
    return base


def close_before(bars: Bars) -> FloatArray:
    """(N,) adjusted close of the last bar before the first session of `bars` in the panel it was cut from; else NaN."""
    whole = bars._whole
    row = -1 if whole is None or not len(bars) else int(np.searchsorted(whole.days, bars.days[0])) - 1
    if whole is None:
        return np.full(len(bars.symbols), np.nan)
    return whole.prior_close if row < 0 else slice_rows(whole, row, row + 1).close[0]


def _part(bars: Bars, **axes: Any) -> Bars:
    return Bars(
        actions=bars.actions,
        market_changes=bars.market_changes,
        names=bars.names,
        prices=bars.prices,
        freq=bars.freq,
        version=bars.version,
        source=bars.source,
        minor_unit=bars.minor_unit,
        features=bars.features,
        **axes,
    )


def _rows(whole: Bars, name: str, rows: slice) -> FloatArray:
    return whole.field(name)[rows]


def _columns(whole: Bars, name: str, columns: IntArray) -> FloatArray:
    return whole.field(name)[:, columns]
