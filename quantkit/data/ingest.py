"""Normalise a source: columns in any spelling, Korean or English, to `Rows` of plain numbers.

Contract: pure apart from the clock-free reading of `files`; nothing is stored. What cannot be understood as a whole
(a missing column, integer codes, dates that mix zones) is BadData for the source. What concerns one row stays in the
rows for `quality` to judge: a price that is no number is NaN, a date that cannot be read is `NO_TIME`.

Daily rows carry their date; intraday stamps need a zone and mean the bar's close (`stamp="open"` shifts by the bar's
length). A zone other than Seoul is converted for Korean markets; US daily bars keep their own date.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from quantkit.data.columns import canonical
from quantkit.data.dates import DAY_US
from quantkit.data.parts import labels
from quantkit.data.rows import ADJUSTED, FIELDS, NO_TIME, OPTIONAL, REQUIRED, UNKNOWN_MARKET, Labels, Rows
from quantkit.data.stamps import check_zone, local_us, localized, step_us
from quantkit.errors import BadData, ConfigError
from quantkit.market import MARKET_ID, MARKETS

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pyarrow as pa

    from quantkit.data.files import Source

IntArray = NDArray[np.int64]
FloatArray = NDArray[np.float64]
_SEOUL_US = 9 * 3_600_000_000
_KRX_CODE = re.compile(r"[0-9][0-9A-Z]{5}\Z")
_SUFFIX = re.compile(r"(\.(KS|KQ|KN)|_(NX|AL))\Z")
_MARKET_LABELS = {
    "KOSDAQ GLOBAL": "KOSDAQ", "STK": "KOSPI", "KSQ": "KOSDAQ", "KNX": "KONEX", "코스피": "KOSPI", "유가증권": "KOSPI",
    "코스닥": "KOSDAQ", "코스닥 글로벌": "KOSDAQ", "코넥스": "KONEX", "NASDAQ": "US", "NYSE": "US", "AMEX": "US",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Options:
    """How the rows of an ingest are to be read."""

    freq: str
    market: str | None = None
    prices: Literal["raw", "adjusted"] = "raw"
    symbol: str | None = None
    stamp: Literal["close", "open"] = "close"
    zone: str | None = None

    def __post_init__(self) -> None:
        if self.market is not None and self.market not in MARKETS:
            raise ConfigError(f"market {self.market!r} is not one of {', '.join(MARKETS)}")
        if self.prices not in ("raw", "adjusted"):
            raise ConfigError(f'prices={self.prices!r}: choose "raw" or "adjusted"')
        if self.stamp not in ("close", "open"):
            raise ConfigError(f'stamp={self.stamp!r}: choose "close" or "open"')
        if self.zone is not None:
            check_zone(self.zone)


def check_columns(source: Source, options: Options) -> dict[str, str]:
    """Our name -> the source's column. BadData lists what is missing and what was found."""
    found = {ours: str(theirs) for theirs, ours in canonical(source.columns, source=source.name).items()}
    missing = [name for name in ("date", *REQUIRED) if name not in found]
    if missing:
        have = ", ".join(map(str, source.columns)) or "none"
        raise BadData(
            f"{source.name}: no column for {', '.join(missing)}; found {have}. "
            "Needed: date, open, high, low, close, volume (Korean names are understood)"
        )
    if "symbol" not in found and options.symbol is None and source.symbol_from_name() is None:
        raise BadData(f'{source.name}: no symbol column; add one, or pass symbol="005930"')
    return found


def normalise(table: pa.Table, source: Source, line: int, options: Options) -> Rows:
    """Rows of one piece of a source, in its order."""
    columns = check_columns(source, options)
    length = table.num_rows
    symbol = read_symbols(table, columns, source, options)
    market = _markets(table, columns, symbol, source, options)
    flag = np.full(length, ADJUSTED if options.prices == "adjusted" else 0, np.int8)
    fields = {name: _numbers(table[columns[name]]) if name in columns else np.full(length, np.nan) for name in FIELDS}
    for name in OPTIONAL:  # sources write 0 where they know nothing
        fields[name] = np.where(fields[name] > 0, fields[name], np.nan) if name != "value" else fields[name]
    if options.prices == "adjusted":
        fields["base"] = np.full(length, np.nan)  # the exchange's base is in the won of the day: another scale
    return Rows(
        symbol=symbol,
        time=read_times(table[columns["date"]], source, options),
        fields=fields,
        market=market,
        flag=flag,
        status=_optional_text(table, columns, "status"),
        name=_optional_text(table, columns, "name"),
        line=np.arange(line, line + length, dtype=np.int64),
    )


def _optional_text(table: pa.Table, columns: dict[str, str], name: str) -> Labels:
    return labels(table[columns[name]]) if name in columns else Labels.constant(None, table.num_rows)


def clean_symbol(text: str) -> str:
    """A code as the exchange writes it: `A005930`, `005930.KS` and `039490_NX` lose what brokers and portals add."""
    code = _SUFFIX.sub("", text.strip().upper())
    if len(code) == 7 and code[0] in "AQ" and _KRX_CODE.match(code[1:]):
        return code[1:]
    return code


def market_label(text: str, where: str) -> str:
    """Our name of a market label, English or Korean. BadData when it is not known."""
    label = text.strip().upper()
    name = _MARKET_LABELS.get(label, label)
    if name not in MARKET_ID:
        raise BadData(f"{where}: market {text!r} is not one of {', '.join(MARKETS)}")
    return name


def read_symbols(table: pa.Table, columns: dict[str, str], source: Source, options: Options) -> Labels:
    """Codes of the rows. BadData for a column of numbers."""
    import pyarrow as pa

    if "symbol" not in columns or options.symbol is not None:
        name = options.symbol or source.symbol_from_name()
        return Labels.constant(clean_symbol(str(name)), table.num_rows)
    column = table[columns["symbol"]]
    kind = column.type.value_type if pa.types.is_dictionary(column.type) else column.type
    if not (pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind)):
        raise BadData(
            f"{source.name}: column {columns['symbol']!r} holds {kind}, so leading zeros of codes are lost; "
            "read it as text, for example pandas.read_csv(..., dtype={'symbol': str})"
        )
    coded = labels(column)
    return Labels.of([clean_symbol(name) for name in coded.names], coded.codes)


def _markets(
    table: pa.Table, columns: dict[str, str], symbol: Labels, source: Source, options: Options
) -> NDArray[np.int8]:
    """Market of each row: the argument, else the column, else unknown (Korean codes only)."""
    if options.market is not None:
        return np.full(table.num_rows, MARKET_ID[options.market], np.int8)
    ids = np.full(table.num_rows, UNKNOWN_MARKET, np.int8)
    if "market" in columns:
        coded = labels(table[columns["market"]])
        names = [market_label(name, source.name) for name in coded.names]
        ids = np.array([MARKET_ID[name] for name in names] + [UNKNOWN_MARKET], dtype=np.int8)[coded.codes]
    foreign = [place for place, name in enumerate(symbol.names) if not _KRX_CODE.match(name)]
    if foreign and bool((np.isin(symbol.codes, foreign) & (ids == UNKNOWN_MARKET)).any()):
        raise BadData(
            f"{source.name}: {symbol.names[foreign[0]]!r} is not a Korean six-character code; say which market it is "
            'on, for example market="US", or market="NONE" for no exchange rules'
        )
    return ids


def _numbers(column: Any) -> FloatArray:
    """float64; thousands separators are dropped, what is no number is NaN."""
    import pyarrow as pa
    import pyarrow.compute as pc

    kind = column.type
    if pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind):
        plain = column.cast(pa.string())
        try:
            return np.asarray(pc.cast(plain, pa.float64()).to_numpy(), np.float64)
        except pa.ArrowInvalid:
            import pandas as pd

            texts = pc.replace_substring(plain, ",", "").to_pandas()
            return np.asarray(pd.to_numeric(texts, errors="coerce"), dtype=np.float64)
    if pa.types.is_null(kind):
        return np.full(len(column), np.nan)
    if pa.types.is_boolean(kind) or not (
        pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind)
    ):
        raise BadData(f"a price or volume column holds {kind}; expected numbers")
    return np.asarray(pc.cast(column, pa.float64(), safe=False).to_numpy(), np.float64)


def read_times(column: Any, source: Source, options: Options) -> IntArray:
    """Epoch days, or UTC microseconds of the close, of a date column; NO_TIME where unreadable."""
    import pyarrow as pa

    kind = column.type
    if pa.types.is_date(kind):
        return _dates(column.cast(pa.date32()), options, source)
    if not pa.types.is_timestamp(kind):
        column = _parse_texts(column, source)
        kind = column.type
    zone = kind.tz
    stamps = column.cast(pa.timestamp("us", tz=zone))
    import pyarrow.compute as pc

    missing = np.asarray(pc.is_null(stamps).to_numpy(), dtype=bool)
    utc = np.asarray(pc.fill_null(pc.cast(stamps, pa.int64()), 0).to_numpy(), dtype=np.int64)
    if options.freq == "1d":
        local = utc if zone is None else _wall_clock(utc, zone, options)
        within = local % DAY_US
        if len(within[~missing]) and int(within[~missing].max()) != int(within[~missing].min()):
            raise BadData(f'{source.name}: rows have a time of day; daily bars carry dates only. Use table="bars_1m"')
        return np.where(missing, NO_TIME, local // DAY_US)
    if zone is None:
        utc = _in_utc(utc, missing, source, options)
    shift = step_us(options.freq) if options.stamp == "open" else 0
    if options.stamp == "open" and not shift:
        raise BadData(f"{source.name}: bars of {options.freq} have no fixed length; stamp them with their close")
    return np.where(missing, NO_TIME, utc + shift)


def _in_utc(local: IntArray, missing: NDArray[np.bool_], source: Source, options: Options) -> IntArray:
    """Wall-clock microseconds as UTC ones, by the zone that was named."""
    import pandas as pd

    if options.zone is None:
        raise BadData(
            f"{source.name}: intraday stamps need a time zone; write it into them, or say it: --zone Asia/Seoul on the "
            'command line, zone="Asia/Seoul" in Python'
        )
    index = pd.DatetimeIndex(np.where(missing, 0, local).astype("datetime64[us]"))
    return local_us(localized(index, options.zone, source.name).tz_convert("UTC"))


def _wall_clock(utc: IntArray, zone: str, options: Options) -> IntArray:
    """Local microseconds: Seoul for Korean markets, the stamp's own zone for others."""
    if options.market not in ("US", "NONE"):
        return utc + _SEOUL_US
    import pandas as pd

    stamps = pd.DatetimeIndex(utc.astype("datetime64[us]")).tz_localize("UTC").tz_convert(zone).tz_localize(None)
    return np.asarray(stamps.to_numpy().astype("datetime64[us]").astype(np.int64))


def _dates(column: Any, options: Options, source: Source) -> IntArray:
    import pyarrow as pa
    import pyarrow.compute as pc

    if options.freq != "1d":
        raise BadData(f'{source.name}: dates without a time of day cannot be {options.freq} bars; use table="bars_1d"')
    missing = np.asarray(pc.is_null(column).to_numpy(), dtype=bool)
    days = np.asarray(pc.fill_null(pc.cast(column, pa.int32()), 0).to_numpy(), dtype=np.int64)
    return np.where(missing, NO_TIME, days)


def _parse_texts(column: Any, source: Source) -> Any:
    """Text or eight-digit dates as timestamps, null where unreadable; one zone or none."""
    import pandas as pd
    import pyarrow as pa

    codes, unique = pd.factorize(column.to_pandas().astype("str").where(~column.is_null().to_pandas()))
    texts = pd.Series(unique.astype("str")).str.strip().str.replace(r"\.0\Z", "", regex=True)
    zones = set(texts.str.extract(r"\d:?\d\d(?:\.\d+)?\s*(Z|[+-]\d\d:?\d\d)\Z")[0].dropna())
    if len(zones) > 1:
        raise BadData(f"{source.name}: dates mix time zones ({', '.join(sorted(zones))}); convert all to one")
    dotted = texts.str.replace(r"\A(\d{4})[./](\d{1,2})[./](\d{1,2})", r"\1-\2-\3", regex=True)
    eight = dotted.str.replace(r"\A(\d{4})(\d\d)(\d\d)\Z", r"\1-\2-\3", regex=True)
    parsed = pd.to_datetime(eight, errors="coerce", format="ISO8601")
    if len(texts) and bool(parsed.isna().all()):
        raise BadData(f"{source.name}: dates such as {texts.iloc[0]!r} cannot be read; write them like 2024-01-31")
    whole = parsed.take(np.maximum(codes, 0)).reset_index(drop=True).where(pd.Series(codes >= 0))
    return pa.chunked_array([pa.Array.from_pandas(whole)])


def symbol_sources(sources: Sequence[Source], options: Options) -> None:
    """Check every source's columns before the first row is read."""
    for source in sources:
        check_columns(source, options)
