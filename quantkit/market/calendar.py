"""Sessions of the Korea Exchange: which days, which hours, which phases of the day.

Contract: dates go in as text, date, Timestamp or datetime64, one or many; a *session* is a trading day. Times are
Seoul. No clock is read. Days from 1990 to 2027 come from our own table (`hours`), observed to 2026-08-14; only other
years, 1980 to 2040, load the package exchange-calendars, which takes more than a second. Hours before 1999 are
approximate.
Ad-hoc closings (elections, mourning) become known weeks ahead at best: a live system asks its broker every morning too.

>>> is_session("2026-06-03"), session("2025-11-13")
(False, Session(open=datetime.time(10, 0), close=datetime.time(16, 30)))
>>> next_session("2024-12-30"), next_session("2024-12-27", n=2)
(datetime.date(2025, 1, 2), datetime.date(2025, 1, 2))
"""

from __future__ import annotations

import datetime as dt
import warnings
from functools import cache, lru_cache
from typing import TYPE_CHECKING, Literal, NamedTuple, TypeAlias, overload

import numpy as np
import numpy.typing as npt

from quantkit.errors import BadData
from quantkit.market.days import Date, Dates, epoch_days
from quantkit.market.hours import (
    CLOSED,
    EXAM_DAYS,
    FIRST_YEAR,
    HOURS,
    LAST_OBSERVED,
    LAST_SATURDAY,
    LAST_YEAR,
    LATE_FIRST_SESSION_SINCE,
    PHASES,
    PhaseRow,
)
from quantkit.market.rules import IntArray, epoch_day

if TYPE_CHECKING:
    from exchange_calendars import ExchangeCalendar

DayArray: TypeAlias = npt.NDArray[np.datetime64]

EARLIEST_YEAR, LATEST_YEAR = 1980, 2040
_HOUR = 60
_EXAMS = np.array([epoch_day(day) for day in EXAM_DAYS], np.int64)
_SINCE = np.array([epoch_day(row.since) for row in HOURS], np.int64)
_OPENS, _CLOSES = np.array([row.open for row in HOURS]), np.array([row.close for row in HOURS])


class Session(NamedTuple):
    """Open and close of the regular session, Seoul time."""

    open: dt.time
    close: dt.time


class Phase(NamedTuple):
    """A phase of one day, Seoul time. `confirmed` is False where its hours rest on hearsay: do not trade on those."""

    name: str
    start: dt.time
    end: dt.time
    confirmed: bool


@cache
def _own_sessions() -> IntArray:
    """Epoch days of the sessions of FIRST_YEAR to LAST_YEAR."""
    first, stop = epoch_day(f"{FIRST_YEAR}-01-01"), epoch_day(f"{LAST_YEAR + 1}-01-01")
    days = np.arange(first, stop, dtype=np.int64)
    weekday = (days + 3) % 7  # 1970-01-01 was a Thursday
    closed = [epoch_day(f"{year}-{day[:2]}-{day[2:]}") for year, text in CLOSED.items() for day in text.split()]
    open_day = (weekday < 5) | ((weekday == 5) & (days <= epoch_day(LAST_SATURDAY)))
    trading: IntArray = days[open_day & ~np.isin(days, closed)]
    return trading


def public_calendar(name: str, *, start: str, end: str | None = None) -> ExchangeCalendar:
    """A calendar of the package exchange-calendars, by its code; slow to build, so callers keep it."""
    import exchange_calendars

    with warnings.catch_warnings():
        # Its version 4.13 reads pandas in a way that pandas 3.1 deprecates; the values are right.
        warnings.simplefilter("ignore", DeprecationWarning)
        return exchange_calendars.get_calendar(name, start=start, end=end)


@cache
def _all_sessions() -> IntArray:
    """Epoch days of the sessions of EARLIEST_YEAR to LATEST_YEAR: ours, and the public calendar's outside our years."""

    def public(first: int, last: int) -> IntArray:
        calendar = public_calendar("XKRX", start=f"{first}-01-01", end=f"{last}-12-31")
        days: IntArray = calendar.sessions.to_numpy().astype("datetime64[D]").astype(np.int64)
        return days

    return np.concatenate([public(EARLIEST_YEAR, FIRST_YEAR - 1), _own_sessions(), public(LAST_YEAR + 1, LATEST_YEAR)])


def _sessions_around(days: IntArray, *, reach: int = 0) -> IntArray:
    """All sessions known in one array that covers `days` and `reach` sessions to either side of them."""
    own = _own_sessions()
    if days.size == 0:
        return own
    first, last = int(days.min()), int(days.max())
    margin = 3 * reach + 20 if reach else 0  # calendar days that surely hold `reach` sessions
    if first - margin >= epoch_day(f"{FIRST_YEAR}-01-01") and last + margin < epoch_day(f"{LAST_YEAR + 1}-01-01"):
        return own
    if first - margin < epoch_day(f"{EARLIEST_YEAR}-01-01") or last + margin >= epoch_day(f"{LATEST_YEAR + 1}-01-01"):
        found = f"{np.datetime64(first, 'D')} to {np.datetime64(last, 'D')}"
        raise BadData(f"dates {found}: the calendar of the Korea Exchange covers {EARLIEST_YEAR} to {LATEST_YEAR}")
    return _all_sessions()


def sessions(start: Date, end: Date) -> DayArray:
    """Every session from `start` to `end`, both included: (K,) datetime64[D]. BadData when start is after end."""
    span = np.array([epoch_days(start), epoch_days(end)])
    if span[0] > span[1]:
        raise BadData(f"sessions(start={start!r}, end={end!r}): start is after end")
    known = _sessions_around(span)
    first, stop = np.searchsorted(known, span[0], side="left"), np.searchsorted(known, span[1], side="right")
    return known[first:stop].astype("datetime64[D]")


@overload
def is_session(dates: Date) -> bool: ...
@overload
def is_session(dates: Dates) -> npt.NDArray[np.bool_]: ...
def is_session(dates: Date | Dates) -> bool | npt.NDArray[np.bool_]:
    """Whether the exchange trades on that day."""
    days = epoch_days(dates)
    found = np.isin(days, _sessions_around(days))
    return bool(found) if found.ndim == 0 else found


@overload
def next_session(dates: Date, *, n: int = ...) -> dt.date: ...
@overload
def next_session(dates: Dates, *, n: int = ...) -> DayArray: ...
def next_session(dates: Date | Dates, *, n: int = 1) -> dt.date | DayArray:
    """The `n`-th session after each date, which need not be a session itself; with n = 2 the day a trade settles.

    A negative `n` goes back. One date gives a date, many give datetime64[D]. BadData when n is 0.
    """
    if n == 0:
        raise BadData("next_session(n=0): expected n above 0 for later sessions, below 0 for earlier ones")
    days = epoch_days(dates)
    known = _sessions_around(days, reach=abs(n))
    at = np.searchsorted(known, days, side="right") + n - 1 if n > 0 else np.searchsorted(known, days, side="left") + n
    found = known[at].astype("datetime64[D]")
    return found.item() if np.ndim(found) == 0 else found


def hours(dates: Date | Dates) -> tuple[IntArray, IntArray]:
    """(open, close) of the regular session in minutes after midnight, Seoul; -1 on days without a session.

    int64 in the shape of `dates`.
    """
    days = epoch_days(dates)
    opens, closes = ordinary_hours(days)
    exam = np.isin(days, _EXAMS)
    opens = opens + _HOUR * (exam | _is_late_first(days))
    closes = closes + _HOUR * exam
    trading = np.asarray(is_session(days.astype("datetime64[D]")))
    return np.where(trading, opens, -1), np.where(trading, closes, -1)


def ordinary_hours(days: IntArray) -> tuple[IntArray, IntArray]:
    """(open, close) in minutes after midnight, Seoul, of an ordinary session at the time of each epoch day."""
    era = np.searchsorted(_SINCE, days, side="right") - 1
    return _OPENS[era], _CLOSES[era]


def _is_late_first(days: IntArray) -> npt.NDArray[np.bool_]:
    """Whether each day is the first session of a year that opens it late."""
    years = days.astype("datetime64[D]").astype("datetime64[Y]")
    new_year = years.astype("datetime64[D]").astype(np.int64)
    known = _sessions_around(days)
    first = known[np.minimum(np.searchsorted(known, new_year), len(known) - 1)]
    late: npt.NDArray[np.bool_] = (days == first) & (years.astype(np.int64) + 1970 >= LATE_FIRST_SESSION_SINCE)
    return late


def session(date: Date) -> Session | None:
    """Open and close time of the regular session of `date`, or None when the exchange is closed."""
    return _session(int(epoch_days(date)))


@lru_cache(maxsize=1 << 14)
def _session(day: int) -> Session | None:
    """Of an epoch day; live trading asks for the same few again and again."""
    opens, closes = (int(value) for value in hours(np.datetime64(day, "D")))
    return None if opens < 0 else Session(_time(opens * 60), _time(closes * 60))


def phases(date: Date, *, venue: Literal["KRX", "NXT"] = "KRX") -> tuple[Phase, ...]:
    """The phases of `date` at a venue, in order of their start; empty when it is closed or did not exist yet.

    Auctions print within 30 seconds after their end, at a random moment.
    """
    day, (opens, closes) = int(epoch_days(date)), hours(date)
    if opens < 0:
        return ()
    anchors = {"open": int(opens) * 60, "close": int(closes) * 60, "day": 0}
    exam = str(np.datetime64(day, "D")) in EXAM_DAYS
    expected = exam and day > epoch_day(LAST_OBSERVED)  # exam hours are announced weeks before, not known by rule

    def moment(at: tuple[str, int]) -> dt.time:
        return _time(anchors[at[0]] + at[1])

    def holds(row: PhaseRow) -> bool:
        begun, ended = epoch_day(row.since) <= day, row.until is not None and epoch_day(row.until) < day
        return row.venue == venue and begun and not ended and row.days in ("all", "exam" if exam else "ordinary")

    found = [
        Phase(row.name, moment(row.start), moment(row.end), row.confirmed and not expected)
        for row in PHASES
        if holds(row)
    ]
    return tuple(sorted(found, key=lambda phase: (phase.start, phase.end)))


def _time(seconds: int) -> dt.time:
    return dt.time(seconds // 3600, seconds // 60 % 60, seconds % 60)
