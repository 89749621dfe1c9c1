"""Dates of any common kind as epoch days.

Contract: pure; numpy only, pandas objects are read through what they share with numpy. A date without a zone is the
trade date itself; a moment with a zone is the date it falls on in Seoul. Integers are refused: 20240102 and 19724 look
alike.

>>> epoch_days("2024-01-02").item(), epoch_days(["2024-01-02", "2024-01-03"]).tolist()
(19724, [19724, 19725])
"""

from __future__ import annotations

import datetime as dt
from functools import lru_cache
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from quantkit.errors import BadData

if TYPE_CHECKING:
    import numpy.typing as npt
    import pandas as pd

    from quantkit.market.rules import IntArray

Date: TypeAlias = str | dt.date | np.datetime64
Dates: TypeAlias = "list[str] | list[dt.date] | tuple[Date, ...] | npt.NDArray[Any] | pd.Series[Any] | pd.Index[Any]"

SEOUL = dt.timezone(dt.timedelta(hours=9), "KST")
"""Korea's offset since 1988; no daylight saving time falls inside the history of prices."""

_EPOCH = dt.date(1970, 1, 1)
_NOT_A_DATE = "expected a date such as '2024-01-02', datetime.date or datetime64"


def _one(value: object) -> int:
    if isinstance(value, str):
        text = value.strip()
        try:
            return (dt.date.fromisoformat(text[:10]) - _EPOCH).days if _is_date_text(text) else _refuse(value)
        except ValueError:
            return _refuse(value)
    if isinstance(value, dt.datetime) and value == value:  # NaT is a datetime that is not equal to itself
        local = value if value.tzinfo is None else value.astimezone(SEOUL)
        return (local.date() - _EPOCH).days
    if isinstance(value, dt.date) and not isinstance(value, dt.datetime):
        return (value - _EPOCH).days
    if isinstance(value, np.datetime64) and not np.isnat(value):
        return int(value.astype("datetime64[D]").astype(np.int64))
    return _refuse(value)


def _is_date_text(text: str) -> bool:
    # A moment such as "2024-01-02 09:00" is accepted for its date; a zone after it would have to be worked out, so not.
    return len(text) in (8, 10) or (len(text) > 10 and text[10] in "T " and "+" not in text and not text.endswith("Z"))


def _refuse(value: object) -> int:
    raise BadData(f"date={value!r} ({type(value).__name__}): {_NOT_A_DATE}")


@lru_cache(maxsize=1_024)
def date_of(day: int) -> dt.date:
    """The date of an epoch day."""
    return _EPOCH + dt.timedelta(days=int(day))


def epoch_days(dates: Date | Dates) -> IntArray:
    """Epoch days (days since 1970-01-01) of trade dates: int64, in the shape of `dates`, so () for one date.

    BadData for integers, empty values (NaT, None) and text that is no date.
    """
    if isinstance(dates, str | dt.date | np.datetime64):
        return np.array(_one(dates), dtype=np.int64)
    if getattr(getattr(dates, "dtype", None), "tz", None) is not None:
        # pandas with a zone: numpy sees UTC.
        moments = np.asarray(dates.to_numpy(dtype="datetime64[us]"))  # type: ignore[union-attr]
        return epoch_days(moments + np.timedelta64(9, "h"))
    array = np.asarray(dates)
    if np.issubdtype(array.dtype, np.datetime64):
        if np.isnat(array).any():
            raise BadData(f"date=NaT at position {int(np.flatnonzero(np.isnat(array))[0])}: {_NOT_A_DATE}")
        return array.astype("datetime64[D]").astype(np.int64)
    if array.dtype.kind not in "OUT":
        raise BadData(f"dates of type {array.dtype} ({dates!r:.60}): {_NOT_A_DATE}")
    known: dict[object, int] = {}
    days = [
        known[value] if value in known else known.setdefault(value, _one(value)) for value in array.ravel().tolist()
    ]
    return np.array(days, dtype=np.int64).reshape(array.shape)
