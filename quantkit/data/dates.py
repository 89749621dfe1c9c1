"""Dates as epoch days, without importing pandas.

Contract: an epoch day is the int64 count of days since 1970-01-01 of a calendar date as the exchange writes it; it
has no zone. Text is ISO (`2024-01-02`, `2024-01`, `2024`) or eight digits (`20240102`).

>>> epoch_day("2018-05-04")
17655
>>> last_day("2024-02")
19782
"""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Any

import numpy as np

from quantkit.errors import BadData

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

NO_DAY = -1_000_000  # "no such date": about 768 BC, before any market
DAY_US = 86_400_000_000
SEOUL_US = 9 * 3_600_000_000  # Asia/Seoul is UTC+9 without summer time since 1989


def epoch_day(value: object, *, what: str = "date") -> int:
    """The first day that `value` names. A time of day or zone on a datetime is dropped: its own date counts."""
    return int(_parsed(value, what).astype("datetime64[D]").astype(np.int64))


def last_day(value: object, *, what: str = "date") -> int:
    """The last day that `value` names: `2024-02` ends on the 29th, `2024` on 31 December."""
    return int((_parsed(value, what) + 1).astype("datetime64[D]").astype(np.int64)) - 1


def midnights(days: Iterable[int] | NDArray[np.int64]) -> NDArray[np.int64]:
    """Stamps (UTC microseconds) of daily bars on these epoch days: 00:00 in Seoul."""
    return np.asarray(days, dtype=np.int64) * DAY_US - SEOUL_US


def is_intraday(freq: str) -> bool:
    """Whether several bars make a session: seconds, minutes, hours, and bars of n ticks ("100t")."""
    return freq[-1:] in ("s", "m", "h", "t")


def anchors(days: NDArray[np.int64], freq: str) -> NDArray[np.int64]:
    """(T,) number that rises where a bar may begin a block: its session, month (daily bars) or year (weeks, months).

    Blocks are what a strategy with a finite history is evaluated in, so a stream's chunks end where they end.
    """
    if is_intraday(freq):
        return days
    unit = "datetime64[M]" if freq.endswith("d") else "datetime64[Y]"
    return days.astype("datetime64[D]").astype(unit).astype(np.int64)


def day_text(day: int) -> str:
    """ISO text of an epoch day, for messages."""
    return str(np.datetime64(int(day), "D"))


def time_text(time: int) -> str:
    """A UTC microsecond as Seoul's clock shows it, for messages.

    >>> time_text(1_711_414_800_000_000)
    '2024-03-26 10:00:00+09:00'
    """
    local = np.datetime64(int(time) + SEOUL_US, "us")
    return str(local.astype("datetime64[s]") if time % 1_000_000 == 0 else local).replace("T", " ") + "+09:00"


def _parsed(value: object, what: str) -> Any:
    """As datetime64 in the unit the text gives: year, month or day."""
    if isinstance(value, dt.date):  # datetime and pandas.Timestamp too
        return np.datetime64(dt.date(value.year, value.month, value.day), "D")
    if isinstance(value, np.datetime64) and not np.isnat(value):
        return value.astype("datetime64[D]")
    if isinstance(value, int | np.integer) and not isinstance(value, bool):
        number = int(value)
        if abs(number) < 10_000_101:
            return np.datetime64(number, "D")
        value = str(number)
    if isinstance(value, str) and value.strip()[:4].isdigit():
        text = value.strip()
        if len(text) == 8 and text.isdigit():
            text = f"{text[:4]}-{text[4:6]}-{text[6:]}"
        try:
            parsed = np.datetime64(text)
        except ValueError:
            raise _unreadable(value, what) from None
        return parsed if np.datetime_data(parsed)[0] in ("Y", "M") else parsed.astype("datetime64[D]")
    raise _unreadable(value, what)


def _unreadable(value: object, what: str) -> BadData:
    return BadData(f"{what}: {value!r} is not a date; write it like '2024-01-31'")
