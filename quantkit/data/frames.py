"""Bars from a pandas DataFrame: the checks, the scatter into matrices, the carried rows.

Contract: a frame is long (date, symbol, open, high, low, close, volume, optionally value, base, market, name; any
order of columns, English or Korean names, see `columns`) or holds one symbol under a date column or DatetimeIndex.
The rows of a symbol must be in time order; the symbols may stand in any order. The frame is not changed and not kept.

Daily dates may be naive; stamps within the day need a time zone and mean the bar's close (`stamp="open"` shifts
them). A row with open = high = low = 0 is a halted one, a row without any price is as good as absent. Everything else
that cannot be a bar is a BadData naming the row, the value and what would be right.

Numbered: 1 find columns, 2 read dates and codes as integers, 3 check rows, 4 scatter into (T, N), 5 flags and carried
rows. Dictionary codes and one scatter per field: no pivot, no sort of the rows.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Literal, cast

import numpy as np
from numpy.typing import NDArray

from quantkit.data.actions import changes, factor_matrix, make_actions
from quantkit.data.bars import Bars
from quantkit.data.carry import carry_close, fill_untraded, row_flags
from quantkit.data.columns import canonical
from quantkit.data.given import NEEDED, Given, check_order, check_rows
from quantkit.data.listing import Listing, read_listing
from quantkit.data.stamps import read_stamps
from quantkit.errors import BadData, ConfigError

if TYPE_CHECKING:
    import pandas as pd

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

_OPTIONAL = ("value", "base")
# Vendors round adjusted prices, so a high may fall short of the close by one unit of the last digit.
_ROUNDING = {"US": 0.01}


def from_pandas(
    frame: pd.DataFrame,
    *,
    market: str | Mapping[str, str] | None = None,
    prices: Literal["raw", "adjusted"] = "raw",
    actions: object = None,
    instruments: pd.DataFrame | None = None,
    symbol: str | None = None,
    freq: str | None = None,
    stamp: Literal["close", "open"] = "close",
    zone: str | None = None,
    minor_unit: int | None = None,
    source: str = "frame",
) -> Bars:
    """Bars (T, N) of a long frame or of a frame of one symbol.

    market       one market for all, or by symbol; default the frame's own market column, else KOSPI.
    prices       "raw" as traded, or "adjusted" when only adjusted prices are at hand.
    actions      what `actions.make_actions` accepts; those on or before a symbol's first row are left out.
    instruments  rows of symbol and any of market, name, leverage, listing_date, delisting_date, liquidation_start,
                 liquidation_end.
                 Without it a symbol is listed from its first row to the end of the panel.
    symbol       the code of a frame without a symbol column (default `frame.attrs["symbol"]`, else "ASSET").
    freq         "1d", "5m", "1h", "30s"; default: seen from the stamps.
    stamp        whether stamps within the day name a bar's close or its open.
    zone         time zone of stamps within the day that carry none, such as "Asia/Seoul".
    minor_unit   account units in one unit of price; default 100 for the US, else 1.

    Raises BadData for rows that cannot be bars, ConfigError for options that cannot be.
    """
    import pandas as pd

    if prices not in ("raw", "adjusted") or stamp not in ("close", "open"):
        raise ConfigError(f'prices={prices!r}, stamp={stamp!r}: choose "raw" or "adjusted", and "close" or "open"')
    if not isinstance(frame, pd.DataFrame):
        raise BadData(f"{source}: expected a pandas DataFrame, got {type(frame).__name__}")
    columns = _columns(frame, source)
    columns = _drop_empty(columns, source)
    symbols, codes = _symbols(columns, symbol or str(frame.attrs.get("symbol", "ASSET")), source)
    stamps = read_stamps(columns["date"], freq=freq, stamp=stamp, us=_is_us(market), zone=zone, source=source)
    rows = Given(stamps, symbols, codes, {name: _numbers(columns[name], name, source) for name in NEEDED}, source)
    tolerance = _ROUNDING.get(str(market), 1.0) if prices == "adjusted" else 0.0
    check_order(rows)
    check_rows(rows, tolerance)
    listing = read_listing(rows, market=market, columns=columns, instruments=instruments)
    extra = {name: _numbers(columns[name], name, source) for name in _OPTIONAL if name in columns}
    table = _after_first_rows(make_actions(actions), rows)
    return _panel(rows, extra, listing, table, prices=prices, minor_unit=minor_unit)


def _columns(frame: pd.DataFrame, source: str) -> dict[str, pd.Series]:
    """The recognised columns by quantkit's names; the date may come from the index."""
    import pandas as pd

    if isinstance(frame.index, pd.MultiIndex) or (frame.index.name is not None and frame.columns.nlevels == 1):
        named = canonical([name for name in frame.index.names if name is not None], source=f"{source} index")
        if named and not set(named.values()) & set(canonical(frame.columns, source=source).values()):
            frame = frame.reset_index()
    if frame.columns.nlevels == 2:
        frame = _stacked(frame, source)
    found = {name: frame[column] for column, name in canonical(frame.columns, source=source).items()}
    if "date" not in found and isinstance(frame.index, pd.DatetimeIndex):
        found["date"] = frame.index.to_series().reset_index(drop=True)
    missing = [name for name in ("date", *NEEDED) if name not in found]
    if missing:
        have = ", ".join(map(str, frame.columns))
        raise BadData(
            f"{source}: no column for {', '.join(missing)}; it has {have or 'none'} (date may be a DatetimeIndex)"
        )
    if not len(frame):
        raise BadData(f"{source}: the frame has no rows")
    return found


def _stacked(frame: pd.DataFrame, source: str) -> pd.DataFrame:
    """Long form of a frame with two levels of columns (field and symbol), as downloads of several symbols come."""
    import pandas as pd

    levels = [canonical(frame.columns.unique(level), source=source) for level in (0, 1)]
    fields = 0 if len(levels[0]) >= len(levels[1]) else 1
    parts = []
    for code in frame.columns.unique(1 - fields):
        part = cast("pd.DataFrame", frame.xs(code, axis=1, level=1 - fields)).reset_index(names="date")
        parts.append(part.assign(symbol=code))
    return pd.concat(parts, ignore_index=True)


def _drop_empty(columns: dict[str, pd.Series], source: str) -> dict[str, pd.Series]:
    """Leave out rows without any price: downloads of several symbols fill them in before a listing."""
    empty = columns["open"].isna().to_numpy()
    if not empty.any():
        return columns
    for name in ("high", "low", "close"):
        empty = empty & columns[name].isna().to_numpy()
    if empty.all():
        raise BadData(f"{source}: no row has a price")
    return columns if not empty.any() else {name: column[~empty] for name, column in columns.items()}


def _symbols(columns: dict[str, pd.Series], default: str, source: str) -> tuple[tuple[str, ...], IntArray]:
    """Codes in order of first appearance, and each row's position in them."""
    import pandas as pd

    if "symbol" not in columns:
        return (default,), np.zeros(len(columns["date"]), dtype=np.int64)
    codes, unique = pd.factorize(columns["symbol"])
    symbols = tuple(unique)
    if (codes < 0).any():
        raise BadData(f"{source} row {int(np.argmax(codes < 0))}: symbol is missing; every row needs its code")
    for code, text in enumerate(symbols):
        if not isinstance(text, str) or not text.strip():
            row = int(np.argmax(codes == code))
            raise BadData(
                f"{source} row {row}: symbol {text!r} ({type(text).__name__}) is not text; codes are text such as "
                f"'005930': read the file with dtype={{'symbol': str}}"
            )
    return symbols, codes.astype(np.int64)


def _numbers(column: pd.Series, name: str, source: str) -> FloatArray:
    """A column as float64; BadData names the first value that is no number."""
    import pandas as pd

    try:
        return column.to_numpy(dtype=np.float64, na_value=np.nan)
    except (TypeError, ValueError):
        bad = pd.to_numeric(column, errors="coerce").isna() & column.notna()
        row = int(np.argmax(bad.to_numpy()))
        raise BadData(f"{source} row {row}: {name} {column.iloc[row]!r} is not a number") from None


def _is_us(market: str | Mapping[str, str] | None) -> bool:
    return market == "US" or (isinstance(market, Mapping) and set(market.values()) == {"US"})


def _after_first_rows(table: NDArray[np.void], rows: Given) -> NDArray[np.void]:
    """Leave out actions on or before a symbol's first row: adjusted prices start at 1 there."""
    if not len(table):
        return table
    first = np.full(len(rows.symbols), len(rows.stamps.days) - 1, dtype=np.int64)
    np.minimum.at(first, rows.codes, rows.stamps.codes)
    first_day = dict(zip(rows.symbols, rows.stamps.days[first].tolist(), strict=True))
    late = [day > first_day.get(str(code), day) for code, day in zip(table["symbol"], table["ex_day"], strict=True)]
    kept: NDArray[np.void] = table[np.array(late, dtype=bool)]
    return kept


def _panel(
    rows: Given,
    extra: Mapping[str, FloatArray],
    listing: Listing,
    actions: NDArray[np.void],
    *,
    prices: Literal["raw", "adjusted"],
    minor_unit: int | None,
) -> Bars:
    """Scatter the rows into matrices, then flags and carried rows."""
    stamps, names = rows.stamps, len(rows.symbols)
    shape = len(stamps.times), names
    cells = stamps.codes * names + rows.codes
    dense = len(cells) == shape[0] * names and bool((np.diff(cells) == 1).all())

    def scatter(values: FloatArray) -> FloatArray:
        if dense:
            return values.reshape(shape).copy()
        matrix = np.full(shape[0] * names, np.nan)
        matrix[cells] = values
        return matrix.reshape(shape)

    fields = {name: scatter(values) for name, values in (*rows.values.items(), *extra.items())}
    flags = row_flags(*(fields[name] for name in NEEDED), stop_rows=np.searchsorted(stamps.days, listing.stop_days))
    listing.mark(flags, stamps.days)
    moves = changes(actions, rows.symbols)
    factor = factor_matrix(actions, stamps.days, rows.symbols) if moves else None
    carry_close(fields["close"], flags, factor=factor)
    for name in ("open", "high", "low"):
        fill_untraded(fields[name], flags, closes=fields["close"])
    for name in ("volume", "value"):
        if name in fields:
            fill_untraded(fields[name], flags)
    us = set(listing.markets) == {"US"}
    return Bars(
        times=stamps.times,
        days=stamps.days,
        symbols=rows.symbols,
        fields=fields,
        flags=flags,
        actions=actions,
        markets=listing.markets,
        market_changes=listing.changes,
        names=listing.names,
        prices=prices,
        freq=stamps.freq,
        leverage=listing.leverage,
        source=rows.source,
        minor_unit=minor_unit if minor_unit is not None else (100 if us else 1),
    )
