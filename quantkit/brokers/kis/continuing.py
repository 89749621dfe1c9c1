"""Lists whose next page hangs on the last row of the one before, not on KIS's keys of paging.

    KEYB and NEXT       minutes of overseas stocks: NEXT "1", KEYB a bar before the oldest row, local time
    KEYB and BYMD       days of overseas stocks: BYMD the day before the oldest row
    INDEX_KEY, QRY_TP   charts of overseas futures and options: QRY_TP "P", INDEX_KEY as it came

Contract: they run backwards and have no beginning that is asked for, so a caller says how many pages there are to be;
without a word it is one, and `more` says whether there are others. A page that has nothing new is BadData: the list
would never end.
"""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Any, Final

from quantkit.brokers.kis.figures import date, plain_number, text
from quantkit.errors import BadData

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from quantkit.brokers.kis.answers import Envelope
    from quantkit.brokers.kis.catalogue import Call

DAYS: Final = 100  # rows of a full page of days
_FIRST: Final = {"KEYB": "", "NEXT": "", "INDEX_KEY": "", "QRY_TP": "Q"}


def runs_backwards(call: Call) -> bool:
    """Whether a call is one of these."""
    names = _names(call)
    return {"KEYB", "NEXT"} <= names or {"KEYB", "BYMD"} <= names or {"INDEX_KEY", "QRY_TP"} <= names


def first_page(call: Call, given: Mapping[str, object]) -> dict[str, object]:
    """Arguments with the fields of paging as the first page has them, where they were not given."""
    if not runs_backwards(call):
        return dict(given)
    said = {name.lower() for name in given}
    left = {field.wire for field in call.request if not {field.wire.lower(), field.name} & said}
    return {**given, **{name: value for name, value in _FIRST.items() if name in left}}


async def pages(
    ask: Callable[[Mapping[str, str]], Awaitable[Envelope]], call: Call, params: Mapping[str, str], most: int
) -> tuple[list[Envelope], bool]:
    """So many pages, newest first, and whether there are more."""
    found = [await ask(params)]
    following = next_page(call, params, found[-1])
    while following is not None and len(found) < most:
        found.append(await ask(following))
        if _rows(found[-1]) and _rows(found[-1])[-1] == _rows(found[-2])[-1]:
            raise BadData(f"KIS {call.name}: page {len(found)} came twice; the list does not end")
        following = next_page(call, following, found[-1])
    return found, following is not None


def next_page(call: Call, params: Mapping[str, str], page: Envelope) -> dict[str, str] | None:
    """What asks for the page after this one; None where it was the last."""
    names, rows = _names(call), _rows(page)
    if not rows:
        return None
    if {"KEYB", "NEXT"} <= names:
        if len(rows) < _number(params.get("NREC", "")):
            return None
        oldest = min(rows, key=lambda row: text(row, "xymd") + text(row, "xhms"))
        step = dt.timedelta(minutes=max(1, _number(params.get("NMIN", ""))))
        begun = _moment(text(oldest, "xymd") + text(oldest, "xhms"))
        return {**params, "NEXT": "1", "KEYB": f"{begun - step:%Y%m%d%H%M%S}"}
    if {"KEYB", "BYMD"} <= names:
        oldest_day = min(date(row, "xymd") for row in rows)
        return {**params, "BYMD": f"{oldest_day - dt.timedelta(days=1):%Y%m%d}"} if len(rows) >= DAYS else None
    keys = [text(row, "index_key", "") for name in ("output1", "output2") for row in page.rows(name)]
    key = next((each for each in keys if each), "")
    full = len(rows) >= _number(params.get("QRY_CNT", ""))
    return {**params, "QRY_TP": "P", "INDEX_KEY": key} if key and full else None


def _names(call: Call) -> set[str]:
    return {field.wire.upper() for field in call.request}


def _rows(page: Envelope) -> list[dict[str, Any]]:
    """The block that is a list; which of the two that is differs from call to call."""
    lists = [page.rows(name) for name in ("output1", "output2") if isinstance(page.block(name), list)]
    return max(lists, key=len, default=[])


def _moment(said: str) -> dt.datetime:
    try:
        return dt.datetime.strptime(said, "%Y%m%d%H%M%S")  # noqa: DTZ007 - local, wherever that is
    except ValueError:
        raise BadData(f"KIS: {said!r}, expected a date and a time") from None


def _number(said: str) -> int:
    plain = plain_number(said or "1")
    return int(plain) if plain is not None and "." not in plain else 1
