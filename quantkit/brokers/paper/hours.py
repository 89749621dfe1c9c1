"""The session a paper order stands in: which phase it is, from the market's own hours.

Contract: pure; UTC nanoseconds in, a phase as `market.orders` names it out, or "closed". Korean names have two calls;
New York's are taken to trade without; "NONE" is always open, its day ends at midnight, Seoul.
"""

from __future__ import annotations

import datetime as dt
from functools import lru_cache
from typing import Final, NamedTuple
from zoneinfo import ZoneInfo

import numpy as np

from quantkit.market import calendar, sessions

SECOND: Final = 1_000_000_000
MINUTE: Final = 60 * SECOND
DAY: Final = 86_400 * SECOND
PRINTS_WITHIN: Final = 60 * SECOND  # an auction prints at a random moment within 30 seconds of its end
_SEOUL: Final = 9 * 60 * MINUTE
_NEW_YORK: Final = ZoneInfo("America/New_York")


class Hours(NamedTuple):
    """A day's regular session; opens == closes on a day without one. `calls`: it opens and closes by auction."""

    day: int  # epoch day where the exchange stands
    opens: int
    closes: int
    calls: bool

    def phase(self, now: int) -> str:
        """What the exchange does at a moment of this day."""
        if self.opens == self.closes or now >= self.closes:
            return "closed"
        if now < self.opens:
            early = 30 * MINUTE if self.calls else 60 * MINUTE
            return "opening_orders" if now >= self.opens - early else "closed"
        return "closing_auction" if self.calls and now >= self.closes - 10 * MINUTE else "continuous"

    @property
    def ends(self) -> int:
        """From then on no order of the day stands any more."""
        return self.closes + PRINTS_WITHIN if self.calls else self.closes


def day_at(now: int, market: str) -> int:
    """Epoch day at a moment, where the exchange stands."""
    if market == "US":
        local = dt.datetime.fromtimestamp(now // SECOND, _NEW_YORK).date()
        return int(np.datetime64(local, "D").astype(np.int64))
    return (now + _SEOUL) // DAY


@lru_cache(64)
def hours_of(day: int, market: str) -> Hours:
    """The session of a day."""
    if market == "NONE":
        midnight = day * DAY - _SEOUL
        return Hours(day, midnight, midnight + DAY, calls=False)
    opens, closes = (int(each[0]) * 1_000 for each in sessions.opens_and_closes(np.array([day]), market))
    if opens < 0 or (market != "US" and not calendar.is_session(np.datetime64(day, "D"))):
        return Hours(day, 0, 0, calls=False)
    return Hours(day, opens, closes, calls=market != "US")
