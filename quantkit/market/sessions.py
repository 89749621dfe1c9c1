"""Opening and closing moments of a market's regular sessions, as UTC microseconds: for code that reads stamped bars.

Contract: days are int64 epoch days of the session in the market's own date. Korean markets keep the Korea Exchange's
hours (`calendar`), a day that the calendar does not know as a session the ordinary hours of its time, since the bars
say that it was one. "US" keeps New York's. "NONE" keeps none.

>>> opens, closes = opens_and_closes(np.array([20404, 20405]), "KOSPI")  # 2025-11-12 and the exam day after it
>>> ((opens // 60_000_000 + 540) % 1440).tolist(), ((closes // 60_000_000 + 540) % 1440).tolist()
([540, 600], [930, 990])
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from quantkit.errors import BadData
from quantkit.market import calendar

if TYPE_CHECKING:
    from quantkit.market.rules import IntArray

NO_TIME = -1
_MINUTE, _DAY, _SEOUL = 60_000_000, 86_400_000_000, 9 * 3_600_000_000


def opens_and_closes(days: IntArray, market: str) -> tuple[IntArray, IntArray]:
    """(opens, closes) of the regular session of each day, UTC microseconds in the shape of `days`; NO_TIME: none."""
    if market == "NONE":
        return np.full(len(days), NO_TIME), np.full(len(days), NO_TIME)
    if market == "US":
        from quantkit.market import us

        return us.opens_and_closes(days)
    try:
        opens, closes = calendar.hours(days.astype("datetime64[D]"))
    except BadData:  # before 1980 or after 2040: no calendar
        return np.full(len(days), NO_TIME), np.full(len(days), NO_TIME)
    ordinary = calendar.ordinary_hours(days)
    midnight = days * _DAY - _SEOUL
    found = (np.where(own < 0, usual, own) for own, usual in zip((opens, closes), ordinary, strict=True))
    start, stop = (midnight + minutes * _MINUTE for minutes in found)
    return start, stop
