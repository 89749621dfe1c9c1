"""The phases of one day as moments, and the days an exchange runs.

Contract: phases come from `market.calendar`, so exam days and the first session of a year move as they do in truth.
Moments are UTC nanoseconds, days epoch days. Only the regular session is run: the calls for the open and the close and
continuous trading between them; a call ends at random within 30 seconds after its time. BadData for a day without a
session, or before 2000-05-22, when trading stopped for lunch.

>>> clock = session_clock("2025-11-13")  # the exam day
>>> [seoul(moment) for moment in clock]
['09:30:00', '10:00:00', '16:20:00', '16:30:00']
"""

from __future__ import annotations

import datetime as dt
from functools import cache, lru_cache
from typing import TYPE_CHECKING, Final, NamedTuple

from quantkit.errors import BadData
from quantkit.market.calendar import phases
from quantkit.market.days import date_of, epoch_days

if TYPE_CHECKING:
    from quantkit.market.days import Date

SECOND: Final = 1_000_000_000
DAY: Final = 86_400 * SECOND
SEOUL: Final = 9 * 3600 * SECOND
RANDOM_END: Final = 30 * SECOND
BEGINS: Final = 6 * 3600 * SECOND  # after Seoul's midnight: yesterday's lists are gone, money due is settled
SINCE: Final = "2000-05-22"

CALLS: Final = ("opening_orders", "vi_auction", "closing_auction")


class Clock(NamedTuple):
    """Orders for the open are taken, the open, orders for the close only, the close."""

    orders: int
    open: int
    closing: int
    close: int


def midnight(day: int) -> int:
    """Midnight in Seoul."""
    return day * DAY - SEOUL


def day_of(time: int) -> int:
    """The epoch day in Seoul."""
    return (time + SEOUL) // DAY


def seoul(time: int) -> str:
    """The time of day in Seoul, HH:MM:SS."""
    return str(dt.timedelta(seconds=(time + SEOUL) % DAY // SECOND)).rjust(8, "0")


def hhmmss(time: int) -> str:
    """The time of day in Seoul as six digits."""
    return _digits((time + SEOUL) % DAY // SECOND)


@lru_cache(maxsize=8_192)
def _digits(second: int) -> str:
    return f"{second // 3600:02d}{second // 60 % 60:02d}{second % 60:02d}"


def session_clock(date: Date | int) -> Clock:
    """The moments of a day."""
    return _clock_of(date if isinstance(date, int) else int(epoch_days(date)))


@cache
def _clock_of(day: int) -> Clock:
    when = date_of(day)
    if day < int(epoch_days(SINCE)):
        raise BadData(f"{when}: the emulator runs sessions since {SINCE}; before, trading stopped for lunch")
    found = {phase.name: phase for phase in phases(when)}
    if not found:
        raise BadData(f"{when} is no session of the Korea Exchange")

    def moment(time: dt.time) -> int:
        return midnight(day) + (time.hour * 3600 + time.minute * 60 + time.second) * SECOND

    call = found["closing_auction"]
    opening = found["opening_orders"]
    return Clock(moment(opening.start), moment(opening.end), moment(call.start), moment(call.end))
