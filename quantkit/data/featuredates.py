"""Dates of feature tables: when a number became known, and the period it speaks of.

Contract: `read_as_of` gives a date for every row, and a moment where the stamp has a time of day. A stamp at midnight,
in its own zone or in Seoul, is a date: databases write dates so, and taking it for a moment would be early by a day. A
time of day without a zone is BadData, as everywhere. Periods end on the last day they name: `2024Q1`, `2024-03`,
`202403`, `2024년 1분기` and `2024-03-31` are one period, `2024` is the year.
"""

from __future__ import annotations

import re
from typing import Any

import numpy as np
from numpy.typing import NDArray

from quantkit.data.dates import DAY_US, SEOUL_US, last_day
from quantkit.data.features import NO_MOMENT, NO_PERIOD
from quantkit.data.parts import labels
from quantkit.errors import BadData

Days = NDArray[np.int32]
Moments = NDArray[np.int64]

NO_DAY32 = np.iinfo(np.int32).min
_MIDNIGHT = re.compile(r"[T ]00:00(:00(\.0+)?)?\s*(Z|[+-]\d\d:?\d\d)?\Z")
_ZONE = re.compile(r"\d:?\d\d(\.\d+)?\s*(Z|[+-]\d\d:?\d\d)\Z")
_COMPACT = re.compile(r"\A(\d{4})(\d\d)(\d\d)(?=\Z|[T ])")
_DOTTED = re.compile(r"\A(\d{4})[./](\d{1,2})[./](\d{1,2})")
_QUARTER = re.compile(r"(\d{4})년?\s*[-./ ]?\s*(?:Q([1-4])|([1-4])\s*(?:Q|분기))\Z", re.IGNORECASE)
_MONTH = re.compile(r"(\d{4})(?:[-./]|년\s*)?(\d{1,2})월?\Z")


def read_as_of(column: Any, source: str) -> tuple[Days, Moments]:
    """(epoch day of each row, NO_DAY32 where there is none; UTC microseconds where it has a time of day)."""
    import pyarrow as pa
    import pyarrow.compute as pc

    kind = column.type
    if pa.types.is_date(kind):
        days = pc.fill_null(pc.cast(column.cast(pa.date32()), pa.int32()), NO_DAY32)
        return np.asarray(days.to_numpy(), np.int32), np.full(len(column), NO_MOMENT)
    if pa.types.is_timestamp(kind):
        missing = np.asarray(column.is_null().to_numpy(), np.bool_)
        stamps = pc.fill_null(pc.cast(column.cast(pa.timestamp("us", tz=kind.tz)), pa.int64()), 0)
        return _of_stamps(np.asarray(stamps.to_numpy(), np.int64), missing, kind.tz, source)
    if pa.types.is_null(kind):
        return np.full(len(column), NO_DAY32, np.int32), np.full(len(column), NO_MOMENT)
    if not (pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind)
            or pa.types.is_integer(kind) or pa.types.is_dictionary(kind)):  # fmt: skip
        raise BadData(f"{source}: the as-of column holds {kind}; expected dates")
    coded = labels(column)
    found = [_of_text(text, source) for text in coded.names]
    days = np.array([*(day for day, _ in found), NO_DAY32], np.int32)
    moments = np.array([*(moment for _, moment in found), NO_MOMENT], np.int64)
    if len(coded.names) and (days[:-1] == NO_DAY32).all():
        raise BadData(f"{source}: as-of dates such as {coded.names[0]!r} cannot be read; write them like 2024-01-31")
    return days[coded.codes], moments[coded.codes]


def _of_stamps(stamps: Moments, missing: NDArray[np.bool_], zone: str | None, source: str) -> tuple[Days, Moments]:
    if zone is None:
        timed = (stamps % DAY_US != 0) & ~missing
        if timed.any():
            raise _zoneless(str(stamps[np.argmax(timed)].astype("datetime64[us]").astype("datetime64[s]")), source)
        day = np.where(missing, NO_DAY32, stamps // DAY_US).astype(np.int32)
        return day, np.full(len(stamps), NO_MOMENT)
    import pandas as pd

    index = pd.DatetimeIndex(stamps.astype("datetime64[us]")).tz_localize("UTC").tz_convert(zone)
    own = index.tz_localize(None).to_numpy().astype("datetime64[us]").astype(np.int64)
    seoul = stamps + SEOUL_US
    own_date, seoul_date = own % DAY_US == 0, seoul % DAY_US == 0
    day = np.where(own_date & ~seoul_date, own // DAY_US, seoul // DAY_US)
    moment = np.where(own_date | seoul_date | missing, NO_MOMENT, stamps)
    return np.where(missing, NO_DAY32, day).astype(np.int32), moment


def _of_text(text: str, source: str) -> tuple[int, int]:
    """(epoch day, moment) of one text."""
    plain = text.strip()
    plain = _COMPACT.sub(r"\1-\2-\3", plain.removesuffix(".0"))
    plain = _DOTTED.sub(lambda found: "-".join((found[1], found[2].zfill(2), found[3].zfill(2))), plain)
    date_only = _MIDNIGHT.sub("", plain)
    if re.fullmatch(r"\d{4}-\d\d-\d\d", date_only):
        try:
            return int(np.datetime64(date_only, "D").astype(np.int64)), int(NO_MOMENT)
        except ValueError:
            return int(NO_DAY32), int(NO_MOMENT)
    import pandas as pd

    try:
        stamp = pd.Timestamp(plain)
    except (ValueError, OverflowError):
        return int(NO_DAY32), int(NO_MOMENT)
    if not re.match(r"\d{4}-\d\d-\d\d", plain):
        return int(NO_DAY32), int(NO_MOMENT)
    if not _ZONE.search(plain):
        raise _zoneless(text, source)
    moment = int(stamp.tz_convert("UTC").tz_localize(None).to_numpy().astype("datetime64[us]").astype(np.int64))
    seoul = moment + SEOUL_US
    return seoul // DAY_US, int(NO_MOMENT) if seoul % DAY_US == 0 else moment


def _zoneless(text: str, source: str) -> BadData:
    return BadData(
        f"{source}: as-of {text!r} has a time of day but no time zone; for example "
        "frame['as_of'].dt.tz_localize('Asia/Seoul'), or give dates"
    )


def read_periods(column: Any) -> Days:
    """Last epoch day of each period, NO_PERIOD where there is none or it cannot be read."""
    import pyarrow as pa
    import pyarrow.compute as pc

    kind = column.type
    if pa.types.is_date(kind) or pa.types.is_timestamp(kind):
        days = pc.cast(pc.cast(column, pa.timestamp("us")), pa.date32()) if pa.types.is_timestamp(kind) else column
        numbers = pc.fill_null(pc.cast(days.cast(pa.date32()), pa.int32()), NO_PERIOD)
        return np.asarray(numbers.to_numpy(), np.int32)
    if pa.types.is_null(kind):
        return np.full(len(column), NO_PERIOD, np.int32)
    coded = labels(column.cast(pa.string()) if not pa.types.is_dictionary(kind) else column)
    ends = np.array([*map(period_end, coded.names), NO_PERIOD], np.int32)
    return ends[coded.codes]


def period_end(text: str) -> int:
    """Last epoch day of a period as text; NO_PERIOD for one that cannot be read.

    >>> period_end("2024Q1") == period_end("2024-03-31") == period_end("2024년 1분기")
    True
    """
    plain = text.strip().removesuffix(".0").removesuffix("년")
    quarter, month = _QUARTER.match(plain), _MONTH.match(plain)
    if quarter:
        plain = f"{quarter[1]}-{3 * int(quarter[2] or quarter[3]):02d}"
    elif month and not (len(plain) == 8 and plain.isdigit()):
        plain = f"{month[1]}-{int(month[2]):02d}"
    else:
        plain = _DOTTED.sub(lambda found: "-".join((found[1], found[2].zfill(2), found[3].zfill(2))), plain)
    try:
        return last_day(plain, what="period")
    except BadData:
        return int(NO_PERIOD)
