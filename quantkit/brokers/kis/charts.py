"""Charts, whole: KIS gives the newest hundred days or thirty minutes of what is asked for and says nothing of the rest.

Contract: pages are asked for backwards until the beginning, or until one brings nothing new; oldest first. BadData
where that does not end. Rows outside of what was asked for are left out.
"""

from __future__ import annotations

import datetime as dt
import functools
from itertools import groupby
from typing import TYPE_CHECKING, Final, Protocol

from quantkit.brokers.kis import quotes
from quantkit.brokers.kis.figures import SECOND, day_of, moment
from quantkit.errors import BadData
from quantkit.market.calendar import hours, sessions
from quantkit.market.days import SEOUL
from quantkit.trading.ports import Candle

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from quantkit.brokers.kis.answers import Envelope
    from quantkit.brokers.kis.limiter import Lane

DAY_PAGES: Final = 400  # a hundred rows each
MINUTE_PAGES: Final = 60
MINUTE: Final = 60 * SECOND
LATE: Final = 5  # minutes after the close within which its print comes; off-hours trading begins later


class Ask(Protocol):
    """How a question about prices is sent."""

    async def __call__(self, what: str, path: str, params: Mapping[str, str], lane: Lane) -> Envelope:
        """Its answer."""


async def days(ask: Ask, named: Mapping[str, str], start: dt.date, end: dt.date, lane: Lane) -> list[quotes.Day]:
    """Days, weeks, months or years from start to end, both included."""
    found: dict[dt.date, quotes.Day] = {}
    last = end
    for _ in range(DAY_PAGES):
        params = {**named, "FID_INPUT_DATE_1": f"{start:%Y%m%d}", "FID_INPUT_DATE_2": f"{last:%Y%m%d}"}
        answer = await ask("daily", "inquire-daily-itemchartprice", params, lane)
        page = {row.date: row for row in map(quotes.day_row_of, answer.rows("output2")) if start <= row.date <= last}
        found |= page
        if page:
            last = min(page) - dt.timedelta(days=1)
        if not page or last < start:
            return [found[at] for at in sorted(found)]
    raise BadData(f"KIS: the chart of {named['FID_INPUT_ISCD']} does not end")


async def minutes(
    ask: Ask, named: Mapping[str, str], day: dt.date, since: str, until: str, now: int, lane: Lane
) -> list[quotes.Minute]:
    """Minutes of one day whose labels, HHMMSS, are from since to until, both included."""
    today = day == day_of(now)
    if today:
        until = min(until, label(now))  # a label in the future would come back with the price of now
    first, last = moment(day, since), moment(day, until)
    found: dict[int, quotes.Minute] = {}
    for _ in range(MINUTE_PAGES):
        params = {**named, "FID_INPUT_HOUR_1": until, "FID_PW_DATA_INCU_YN": "N"}
        if today:
            answer = await ask("minutes", "inquire-time-itemchartprice", params | {"FID_ETC_CLS_CODE": ""}, lane)
        else:
            past = {"FID_INPUT_DATE_1": f"{day:%Y%m%d}", "FID_FAKE_TICK_INCU_YN": ""}
            answer = await ask("minutes_past", "inquire-time-dailychartprice", params | past, lane)
        rows = {quotes.minute_label(row): row for row in answer.rows("output2")}
        fresh = {at: quotes.minute_of(row) for at, row in rows.items() if first <= at <= last and at not in found}
        found |= fresh
        oldest = min(rows, default=0)
        if not fresh or oldest <= first:
            return [found[at] for at in sorted(found)]
        until = label(oldest - SECOND)
    raise BadData(f"KIS: the minute chart of {named['FID_INPUT_ISCD']} on {day} does not end")


async def newest_minute(ask: Ask, named: Mapping[str, str], day: dt.date, lane: Lane) -> int | None:
    """The label of the last minute that KIS has on a day or on any before it; None where there is none any more."""
    params = {
        **named, "FID_INPUT_HOUR_1": "235959", "FID_PW_DATA_INCU_YN": "Y", "FID_INPUT_DATE_1": f"{day:%Y%m%d}",
        "FID_FAKE_TICK_INCU_YN": "",
    }  # fmt: skip
    answer = await ask("minutes_past", "inquire-time-dailychartprice", params, lane)
    return max(map(quotes.minute_label, answer.rows("output2")), default=None)


def label(at: int) -> str:
    """HHMMSS in Seoul."""
    return dt.datetime.fromtimestamp(at // SECOND, SEOUL).strftime("%H%M%S")


# --- as bars of ours --------------------------------------------------------------------------------------------------


def session_open(day: dt.date) -> int:
    """When a session begins, UTC nanoseconds; of a day that has one."""
    return moment(day, "000000") + hours(day)[0].item() * MINUTE


@functools.lru_cache(maxsize=64)
def session_close(day: dt.date) -> int | None:
    """When a session ends, UTC nanoseconds; None on a day without one."""
    if not len(sessions(day, day)):
        return None
    return moment(day, "000000") + hours(day)[1].item() * MINUTE


def minute_candles(
    symbol: str, rows: Iterable[quotes.Minute], *, after_hours: bool = False, whole: bool = False
) -> list[Candle]:
    """Minutes stamped with their end. What prints at the close or up to `LATE` minutes after it ends with the session,
    in one bar with its last minute, unless the venue trades on (`after_hours`).

    value is what the day's total grew by; of the first row it is known only where the day is `whole`.
    """
    found: list[Candle] = []
    before: int | None = 0 if whole else None
    for end, group in groupby(sorted(rows, key=lambda row: row.time), key=lambda row: _ends(row.time, after_hours)):
        inside = list(group)
        told = [row for row in inside if row.volume > 0] or inside
        low, high = min(row.low for row in told), max(row.high for row in told)
        total = inside[-1].value_so_far
        value = None if before is None or total < before else float(total - before)
        found.append(
            Candle(symbol, end, told[0].open, high, low, told[-1].close, sum(row.volume for row in told), value)
        )
        before = total
    return found


def _ends(begun: int, after_hours: bool) -> int:
    """When the minute with a label ends, as bars of ours do."""
    end = begun // MINUTE * MINUTE + MINUTE
    close = None if after_hours else session_close(day_of(begun))
    return min(end, close) if close is not None and begun <= close + LATE * MINUTE else end


def day_candle(symbol: str, row: quotes.Day) -> Candle:
    """A day stamped with its session's end."""
    end = session_close(row.date) or moment(row.date, "153000")
    return Candle(symbol, end, row.open, row.high, row.low, row.close, row.volume, float(row.value))
