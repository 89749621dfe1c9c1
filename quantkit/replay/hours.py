"""When orders may be sent in a replay: the bars say it, not the calendar.

Contract: pure; fills the place of `live.windows` in `Settings.hours`. Times are UTC nanoseconds. Data may have sessions
that no calendar knows, and bars of any length; each bar has its own moments, in this order:

    opening      the session's first bar alone: orders for it go into the opening call
    trading      orders of continuous trading go
    closing      a bar with the closing auction: orders for its print go
    told         the bar is over but for its end: what its path filled, and brought to act, is booked, as of continuous
                 trading
    ends[row]    the bar's end: the evening; and, with `fill="close"`, orders for the close that was just seen
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np

from quantkit.core.state import CLOSING
from quantkit.live.windows import Span
from quantkit.market.days import date_of, epoch_days
from quantkit.market.sessions import NO_TIME, opens_and_closes
from quantkit.trading.orders import Window

if TYPE_CHECKING:
    import datetime as dt

    from quantkit.core.state import Bytes
    from quantkit.data.bars import Bars
    from quantkit.market.days import Date

MINUTE: Final = 60_000_000_000
_DAY: Final = 1440 * MINUTE
_SEOUL: Final = 540 * MINUTE
_NEVER: Final = 1 << 62


class Moments(NamedTuple):
    """When things happen on one bar; `morning` is when its session is opened."""

    morning: int
    opening: int
    trading: int
    closing: int
    told: int
    end: int


class BarHours:
    """The hours of some bars. phases: `DATE.phase` of each."""

    def __init__(self, bars: Bars, phases: Bytes) -> None:
        self.days: list[int] = bars.days.tolist()
        starts, ends = _spans(bars)
        self.begins: list[int] = starts.tolist()
        self.ends: list[int] = ends.tolist()
        self.array = ends
        self.shortest = int(np.diff(ends).min()) if len(ends) > 1 else 0
        self._gap = MINUTE if not bars.intraday else 100  # between two moments of a bar
        self._first = np.flatnonzero(np.diff(bars.days, prepend=bars.days[0] - 1)).tolist()
        self._closing = np.flatnonzero(phases & CLOSING).tolist()
        self._last = {day: row for row, day in enumerate(self.days)}
        self.of = lru_cache(16)(self._moments)  # the moments of a bar
        self._window = lru_cache(16)(self._window_of)

    def opens_session(self, row: int) -> bool:
        """Whether a bar is the first of its session."""
        return row == 0 or self.days[row] != self.days[row - 1]

    def ends_session(self, row: int) -> bool:
        """Whether a bar is the last of its session."""
        return self._last[self.days[row]] == row

    def trading(self, row: int) -> int:
        """When a bar's orders of continuous trading go."""
        return self.of(row).trading

    def row_at(self, time: int) -> int:
        """The bar that a moment belongs to; after the last bar, how many there are."""
        return bisect_left(self.ends, time)

    def _moments(self, row: int) -> Moments:
        begin, end, gap = self.begins[row], self.ends[row], self._gap
        before = self.ends[row - 1] if row else begin - 60 * MINUTE
        morning = max(before + 1, begin - 40 * MINUTE)
        opening = max(before + 2, begin - 20 * MINUTE)
        return Moments(morning, opening, begin + gap // 10, end - 3 * gap, end - gap, end)

    # --- in the place of `live.windows`, whose markets and venues do not matter here ----------------------------------

    def session_of(self, date: Date, *, market: str = "") -> Span | None:  # noqa: ARG002
        """Open and close of a date's session, from the bars."""
        day = int(epoch_days(date))
        last = self._last.get(day)
        if last is None:
            return None
        first = self._first[bisect_right(self._first, last) - 1]
        return Span(date_of(day), self.begins[first], self.ends[last])

    def date_of(self, time: int, *, market: str = "") -> dt.date:  # noqa: ARG002
        """The session's date at a moment: that of the bar that ends next."""
        return date_of(self.days[min(self.row_at(time), len(self.ends) - 1)])

    def next_window(self, kind: str, after: int, *, market: str = "", venue: Any = "") -> Window:  # noqa: ARG002
        """The first window of that kind that has not closed at `after`; where no bar is left, one that never opens."""
        row = bisect_right(self.ends, after)
        found: int | None = row if row < len(self.ends) else None
        if kind != "continuous" and found is not None:
            rows = self._first if kind == "opening_auction" else self._closing
            place = bisect_left(rows, row)
            if kind == "opening_auction" and place < len(rows) and rows[place] == row and self.of(row).trading <= after:
                place += 1
            found = rows[place] if place < len(rows) else None
        return self._window(kind, found)

    def _window_of(self, kind: str, row: int | None) -> Window:
        if row is None:
            return Window(kind, _NEVER, _NEVER + 1)
        at = self.of(row)
        if kind == "opening_auction":
            return Window(kind, at.opening, at.trading)
        return Window(kind, at.trading if kind == "continuous" else at.closing, at.end)

    def phase_at(self, time: int, *, market: str = "", venue: Any = "") -> str | None:  # noqa: ARG002
        """The phase at a moment."""
        row = self.row_at(time)
        if row == len(self.ends):
            return None
        at = self.of(row)
        if time < at.trading:
            return "opening_auction" if self.opens_session(row) else "continuous"
        return "closing_auction" if at.closing <= time < at.told or time == at.end else "continuous"


def _spans(bars: Bars) -> tuple[np.ndarray[Any, np.dtype[np.int64]], np.ndarray[Any, np.dtype[np.int64]]]:
    """(begins, ends) of each bar. A daily bar has its session's hours, by the market's table or of nine to half past
    three; another begins where the one before it ended."""
    days = bars.days.astype(np.int64)
    if not bars.intraday:
        market = (*bars.markets, "KOSPI")[0]
        opens, closes = (found.astype(np.int64) for found in opens_and_closes(days, market))
        unknown = (opens == NO_TIME) | (closes == NO_TIME)
        midnight = days * _DAY - _SEOUL
        opens = np.where(unknown, midnight + 540 * MINUTE, opens * 1000)
        return opens, np.where(unknown, midnight + 930 * MINUTE, closes * 1000)
    ends = bars.times.astype(np.int64) * 1000
    new = np.diff(days, prepend=days[0] - 1) != 0
    gaps = np.diff(ends)
    within = gaps[~new[1:]]
    step = int(within.min()) if len(within) else MINUTE
    begins = np.append(ends[0] - step, ends[:-1])
    begins[new] = np.maximum(ends[new] - step, begins[new])
    return begins, ends
