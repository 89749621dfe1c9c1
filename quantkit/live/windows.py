"""When orders may be sent: the windows of a session, from that day's own hours.

Contract: pure; hours come from `market` and nowhere else, so an exam day, the first session of a year, a holiday and a
half day move or remove their windows by themselves. Times are UTC nanoseconds, dates are the exchange's.

    opening_auction   from the first orders (08:30) to a minute before the print (08:59)
    continuous        from the open (09:00) to the closing auction (15:20)
    closing_auction   from there to a minute before the print (15:29)

NXT has "pre_market", "continuous" and "after_market" instead of the auctions. A minute is kept free before a print:
an order that leaves then may arrive after it. New York: opening orders until two minutes before the open, closing
orders from 30 to 10 minutes before the close. Market "NONE" knows no hours: it trades from midnight to midnight, Seoul,
with an auction in its first and in its last minutes.

>>> [f"{w.phase} {clock_text(w.opens)}-{clock_text(w.closes)}" for w in windows_of("2025-11-13")]
['opening_auction 09:30-09:59', 'continuous 10:00-16:20', 'closing_auction 16:20-16:29']
>>> windows_of("2026-06-03")
()
"""

from __future__ import annotations

import datetime as dt
from functools import lru_cache
from typing import TYPE_CHECKING, Final, Literal, NamedTuple, TypeAlias
from zoneinfo import ZoneInfo

import numpy as np

from quantkit.errors import BadData, ConfigError
from quantkit.market import calendar, sessions
from quantkit.market.days import date_of as _date
from quantkit.market.days import epoch_days
from quantkit.trading.orders import Window

if TYPE_CHECKING:
    from quantkit.market.days import Date

Venue: TypeAlias = Literal["KRX", "NXT"]

_SECOND: Final = 1_000_000_000
_MINUTE: Final = 60 * _SECOND
_DAY: Final = 86_400 * _SECOND
_SEOUL: Final = 9 * 60 * _MINUTE
_NEW_YORK: Final = ZoneInfo("America/New_York")
_REGULAR: Final = {
    "opening_orders": "opening_auction",
    "continuous": "continuous",
    "closing_auction": "closing_auction",
}
_SENT_IN: Final[dict[str, frozenset[str]]] = {
    "KRX": frozenset(_REGULAR.values()),
    "NXT": frozenset({"pre_market", "continuous", "after_market"}),
}
_AUCTIONS: Final = frozenset({"opening_auction", "closing_auction"})
_FAR: Final = 30  # days without a session that no calendar has


class Span(NamedTuple):
    """A session's regular hours, UTC nanoseconds. The closing auction prints within 30 seconds after `closes`."""

    date: dt.date
    opens: int
    closes: int


class _Day(NamedTuple):
    """What one day of a venue holds."""

    span: Span | None
    phases: tuple[Window, ...]  # whole phases, regular ones first
    windows: tuple[Window, ...]  # those in which orders are sent, by time
    unconfirmed: tuple[str, ...]


def session_of(date: Date, *, market: str = "KOSPI") -> Span | None:
    """Open and close of a date's session; None when the exchange is closed."""
    return _day(int(epoch_days(date)), market, "KRX").span


def windows_of(date: Date, *, market: str = "KOSPI", venue: Venue = "KRX") -> tuple[Window, ...]:
    """The windows of a date, by time; empty on a day without a session."""
    return _day(int(epoch_days(date)), market, venue).windows


def ordinary_windows(date: Date) -> tuple[Window, ...]:
    """Korean windows of a day that the calendar does not know as a session though bars say it was one (replay)."""
    day = int(epoch_days(date))
    found = _day(day, "KOSPI", "KRX")
    if found.span is not None:
        return found.windows
    opens, closes = (int(us[0]) * 1000 for us in sessions.opens_and_closes(np.array([day]), "KOSPI"))
    return _cut(_plain(opens, closes))


def next_window(kind: str, after: int, *, market: str = "KOSPI", venue: Venue = "KRX") -> Window:
    """The first window of that kind that has not closed at `after`; it may be open already.

    ConfigError for a kind that the venue lacks; BadData where no session follows within a month.
    """
    if kind not in (_SENT_IN["KRX"] if market in ("US", "NONE") else _SENT_IN[venue]):
        raise ConfigError(f"window {kind!r}: {venue} has {', '.join(sorted(_SENT_IN[venue]))}")
    first = _local_day(after, market)
    for day in range(first, first + _FAR):
        for window in _day(day, market, venue).windows:
            if window.phase == kind and window.closes > after:
                return window
    raise BadData(f"no {kind} of {venue} within {_FAR} days after {np.datetime64(first, 'D')}")


def next_span(after: int, *, market: str = "KOSPI") -> Span:
    """The first session that has not closed at `after`; it may be open already. BadData as `next_window`."""
    first = _local_day(after, market)
    for day in range(first, first + _FAR):
        span = _day(day, market, "KRX").span
        if span is not None and span.closes > after:
            return span
    raise BadData(f"no session within {_FAR} days after {np.datetime64(first, 'D')}")


def phase_at(time: int, *, market: str = "KOSPI", venue: Venue = "KRX") -> str | None:
    """The phase at a moment, None outside all of them. An auction runs to its end here, not to its last safe minute.

    Phases outside the regular session count only where their hours are confirmed.
    """
    for phase in _day(_local_day(time, market), market, venue).phases:
        if phase.opens <= time < phase.closes:
            return phase.phase
    return None


def unconfirmed(date: Date, *, venue: Venue = "KRX") -> tuple[str, ...]:
    """Phases of a date whose hours rest on hearsay or a rule of thumb: the morning's check tells a person of them."""
    return _day(int(epoch_days(date)), "KOSPI", venue).unconfirmed


def date_of(time: int, *, market: str = "KOSPI") -> dt.date:
    """The exchange's date at a moment."""
    return _date(_local_day(time, market))


def clock_text(time: int) -> str:
    """Seoul's time of day, "09:30" or "09:30:05"."""
    seconds = (time + _SEOUL) % _DAY // _SECOND
    text = f"{seconds // 3600:02}:{seconds // 60 % 60:02}"
    return text if seconds % 60 == 0 else f"{text}:{seconds % 60:02}"


def _local_day(time: int, market: str) -> int:
    """Epoch day at a moment, where the exchange stands."""
    if market == "US":
        local = dt.datetime.fromtimestamp(time // _SECOND, _NEW_YORK).date()
        return int(epoch_days(local))
    return (time + _SEOUL) // _DAY


@lru_cache(maxsize=16_384)
def _day(day: int, market: str, venue: Venue) -> _Day:
    """Everything about one epoch day."""
    if market == "NONE":
        midnight = day * _DAY - _SEOUL
        span = Span(_date(day), midnight, midnight + _DAY)
        phases: tuple[Window, ...] = (
            Window("opening_auction", midnight, midnight + 2 * _MINUTE),
            Window("closing_auction", midnight + _DAY - 2 * _MINUTE, midnight + _DAY),
            Window("continuous", midnight, midnight + _DAY),
        )
        return _Day(span, phases, _cut(phases), ())
    if market == "US":
        opens, closes = (int(us[0]) * 1000 for us in sessions.opens_and_closes(np.array([day]), "US"))
        if opens < 0:
            return _Day(None, (), (), ())
        phases = (
            Window("opening_auction", opens - 60 * _MINUTE, opens - _MINUTE),
            Window("closing_auction", closes - 30 * _MINUTE, closes - 9 * _MINUTE),
            Window("continuous", opens, closes),
        )
        return _Day(Span(_date(day), opens, closes), phases, _cut(phases), ())
    return _korean(day, venue)


def _korean(day: int, venue: Venue) -> _Day:
    """A day at the Korea Exchange or NXT."""
    date = np.datetime64(day, "D")
    if not calendar.is_session(date):
        return _Day(None, (), (), ())
    midnight = day * _DAY - _SEOUL
    opens, closes = (midnight + int(minutes) * _MINUTE for minutes in calendar.hours(date))
    known = calendar.phases(date, venue=venue)
    shaky = tuple(sorted({_REGULAR.get(phase.name, phase.name) for phase in known if not phase.confirmed}))
    phases: list[Window] = []
    others: list[Window] = []
    for phase in known:
        start, end = (midnight + _nanoseconds(moment) for moment in (phase.start, phase.end))
        name = _REGULAR.get(phase.name) if venue == "KRX" else phase.name
        if name is not None:
            phases.append(Window(name, start, end))
        elif phase.confirmed:
            others.append(Window(phase.name, start, end))
    if not phases and venue == "KRX":  # before the table of phases begins
        phases, shaky = list(_plain(opens, closes)), ("closing_auction", "continuous", "opening_auction")
    sent = tuple(window for window in phases if window.phase in _SENT_IN[venue])
    return _Day(Span(_date(day), opens, closes), (*phases, *others), _cut(sent), shaky)


def _plain(opens: int, closes: int) -> tuple[Window, ...]:
    """The phases of a session of which only its hours are known."""
    return (
        Window("opening_auction", opens - 30 * _MINUTE, opens),
        Window("continuous", opens, closes - 10 * _MINUTE),
        Window("closing_auction", closes - 10 * _MINUTE, closes),
    )


def _cut(phases: tuple[Window, ...]) -> tuple[Window, ...]:
    """Phases as windows: auctions lose their last minute, all in order of time."""
    cut = (Window(p.phase, p.opens, p.closes - _MINUTE) if p.phase in _AUCTIONS else p for p in phases)
    return tuple(sorted(cut, key=lambda window: (window.opens, window.closes)))


def _nanoseconds(moment: dt.time) -> int:
    return ((moment.hour * 60 + moment.minute) * 60 + moment.second) * _SECOND
