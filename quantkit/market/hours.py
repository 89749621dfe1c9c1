"""The Korea Exchange's days and hours as data: closed days, special days, phases of the day.

Contract: data only; all times are Seoul. `calendar` reads these rows, and the tests compare them with answer files.
The exchange closes on weekends (until 1998-12-05 on Sundays only), public holidays, Labour Day, the last weekday of the
year and days it names. `CLOSED` holds every such day that is not a weekend, so the days from 1990 to 2027 need no other
calendar.

Sources: "observed" days are those on which the KOSPI 200, KOSPI and KOSDAQ indices have no value, from 1990-01-03 to
2026-08-14; later days follow the holiday decree, and those of 2027 are as expected, not announced. Rules are the KOSPI
Business Regulation ("KB") and its Enforcement Rules ("KE"); "press" is newspapers and brokers' notices.
"""

from __future__ import annotations

from typing import Final, Literal, NamedTuple

FIRST_YEAR: Final = 1990
LAST_YEAR: Final = 2027
LAST_OBSERVED: Final = "2026-08-14"
LAST_SATURDAY: Final = "1998-12-05"

CLOSED: Final[dict[int, str]] = {
    1990: "0126 0127 0301 0310 0405 0502 0505 0606 0717 0815 1001 1002 1003 1004 1009 1225 1227 1228 1229 1231",
    1991: "0101 0102 0214 0215 0216 0301 0326 0405 0521 0606 0620 0717 0815 0921 0923 1003 1225 1227 1228 1230 1231",
    1992: "0101 0102 0203 0204 0205 0310 0324 0505 0606 0717 0815 0910 0911 0912 1003 1218 1225 1229 1230 1231",
    1993: "0101 0102 0122 0123 0301 0310 0405 0505 0528 0717 0929 0930 1001 1225 1229 1230 1231",
    1994: "0101 0209 0210 0211 0301 0405 0505 0518 0606 0815 0919 0920 0921 1003 1229 1230 1231",
    1995: "0102 0130 0131 0201 0202 0203 0301 0405 0501 0505 0606 0627 0717 0815 0908 0909 1003 1225 1228 1229 1230",
    1996: "0101 0102 0219 0220 0301 0405 0411 0501 0524 0606 0717 0815 0926 0927 0928 1003 1123 1225 1228 1230 1231",
    1997: "0101 0102 0207 0208 0301 0405 0501 0505 0514 0606 0717 0815 0915 0916 0917 1003 1218 1225 1229 1230 1231",
    1998: "0101 0102 0127 0128 0129 0501 0505 0604 0606 0717 0815 1003 1005 1006 1225 1229 1230 1231",
    1999: "0101 0215 0216 0217 0301 0405 0505 0923 0924 1229 1230 1231",
    2000: "0103 0204 0301 0405 0413 0501 0505 0511 0606 0717 0815 0911 0912 0913 1003 1225 1227 1228 1229",
    2001: "0101 0123 0124 0125 0301 0405 0501 0606 0717 0815 1001 1002 1003 1225 1231",
    2002: "0101 0211 0212 0213 0301 0405 0501 0606 0613 0701 0717 0815 0920 1003 1219 1225 1231",
    2003: "0101 0131 0501 0505 0508 0606 0717 0815 0910 0911 0912 1003 1225 1231",
    2004: "0101 0121 0122 0123 0301 0405 0415 0505 0526 0927 0928 0929 1231",
    2005: "0208 0209 0210 0301 0405 0505 0606 0815 0919 1003 1230",
    2006: "0130 0301 0501 0505 0531 0606 0717 0815 1003 1005 1006 1225 1229",
    2007: "0101 0219 0301 0501 0524 0606 0717 0815 0924 0925 0926 1003 1219 1225 1231",
    2008: "0101 0206 0207 0208 0409 0501 0505 0512 0606 0815 0915 1003 1225 1231",
    2009: "0101 0126 0127 0501 0505 1002 1225 1231",
    2010: "0101 0215 0301 0505 0521 0602 0921 0922 0923 1231",
    2011: "0202 0203 0204 0301 0505 0510 0606 0815 0912 0913 1003 1230",
    2012: "0123 0124 0301 0411 0501 0528 0606 0815 1001 1003 1219 1225 1231",
    2013: "0101 0211 0301 0501 0517 0606 0815 0918 0919 0920 1003 1009 1225 1231",
    2014: "0101 0130 0131 0501 0505 0506 0604 0606 0815 0908 0909 0910 1003 1009 1225 1231",
    2015: "0101 0218 0219 0220 0501 0505 0525 0814 0928 0929 1009 1225 1231",
    2016: "0101 0208 0209 0210 0301 0413 0505 0506 0606 0815 0914 0915 0916 1003 1230",
    2017: "0127 0130 0301 0501 0503 0505 0509 0606 0815 1002 1003 1004 1005 1006 1009 1225 1229",
    2018: "0101 0215 0216 0301 0501 0507 0522 0606 0613 0815 0924 0925 0926 1003 1009 1225 1231",
    2019: "0101 0204 0205 0206 0301 0501 0506 0606 0815 0912 0913 1003 1009 1225 1231",
    2020: "0101 0124 0127 0415 0430 0501 0505 0817 0930 1001 1002 1009 1225 1231",
    2021: "0101 0211 0212 0301 0505 0519 0816 0920 0921 0922 1004 1011 1231",
    2022: "0131 0201 0202 0301 0309 0505 0601 0606 0815 0909 0912 1003 1010 1230",
    2023: "0123 0124 0301 0501 0505 0529 0606 0815 0928 0929 1002 1003 1009 1225 1229",
    2024: "0101 0209 0212 0301 0410 0501 0506 0515 0606 0815 0916 0917 0918 1001 1003 1009 1225 1231",
    2025: "0101 0127 0128 0129 0130 0303 0501 0505 0506 0603 0606 0815 1003 1006 1007 1008 1009 1225 1231",
    2026: "0101 0216 0217 0218 0302 0501 0505 0525 0603 0717 0817 0924 0925 1005 1009 1225 1231",
    2027: "0101 0208 0209 0301 0503 0505 0513 0719 0816 0914 0915 0916 1004 1011 1227 1231",
}
"""Closed days that are not weekends, as MMDD. Up to 1998 Saturdays were sessions and are listed where closed.

Days that other calendars get wrong: 2026-06-03 (local elections) and 2026-07-17 (Constitution Day, a holiday again from
2026) are closed. 2027-05-03 and 2027-07-19 (substitutes of Labour Day and Constitution Day) are likely, not confirmed.
"""


class HoursRow(NamedTuple):
    """Regular hours from `since` on, in minutes after midnight."""

    since: str
    open: int
    close: int
    source: str


HOURS: Final = (
    HoursRow(
        "1956-03-03", 570, 900, "general knowledge; earlier hours differed, and Saturdays closed at noon or before"
    ),
    HoursRow("1998-12-07", 540, 900, "general knowledge; observed days from 1999 on"),
    HoursRow("2016-08-01", 540, 930, "KB 4(3); the date by general knowledge"),
)

EXAM_DAYS: Final = (
    "1999-11-17", "2000-11-15", "2001-11-07", "2002-11-06", "2003-11-05", "2004-11-17", "2005-11-23", "2006-11-16",
    "2007-11-15", "2008-11-13", "2009-11-12", "2010-11-18", "2011-11-10", "2012-11-08", "2013-11-07", "2014-11-13",
    "2015-11-12", "2016-11-17", "2017-11-16", "2017-11-23", "2018-11-15", "2019-11-14", "2020-12-03", "2021-11-18",
    "2022-11-17", "2023-11-16", "2024-11-14", "2025-11-13", "2026-11-19",
)  # fmt: skip
"""University entrance exam (수능): open and close an hour later. Press; 2026-11-19 is not confirmed.

In 2017 the exam was put off for a week after an earthquake on its eve; the late hours of 11-16 stayed.
"""

LATE_FIRST_SESSION_SINCE: Final = 1999
"""From this year the first session of a year opens an hour later and closes as always (KE 8(1)3; seen since 1999)."""


class PhaseRow(NamedTuple):
    """A phase of the day that holds from `since` to `until` (None: still).

    `start` and `end` are (anchor, seconds): seconds after the session's open ("open"), after its close ("close"), or
    after midnight ("day"), so that a late open moves the phases that move with it.
    `days`: on which sessions it takes place: all, only "ordinary" ones (no exam), or only on "exam" days.
    """

    venue: Literal["KRX", "NXT"]
    name: str
    since: str
    until: str | None
    start: tuple[str, int]
    end: tuple[str, int]
    confirmed: bool
    source: str
    days: Literal["all", "ordinary", "exam"] = "all"


_M: Final = 60
_H: Final = 3_600
_PRESS: Final = "press"
_HEARSAY: Final = "general knowledge"

PHASES: Final = (
    PhaseRow("KRX", "opening_orders", "1998-12-07", "2019-04-28", ("open", -60 * _M), ("open", 0), False, _HEARSAY),
    PhaseRow("KRX", "opening_orders", "2019-04-29", None, ("open", -30 * _M), ("open", 0), True, "KE 11(1)1"),
    PhaseRow("KRX", "at_last_close", "1998-12-07", "2019-04-28", ("open", -90 * _M), ("open", -30 * _M), False,
             _HEARSAY),
    PhaseRow("KRX", "at_last_close", "2019-04-29", None, ("open", -30 * _M), ("open", -20 * _M), True, "KE 11; press"),
    PhaseRow("KRX", "continuous", "1998-12-07", "2000-05-21", ("open", 0), ("day", 12 * _H), False, _HEARSAY),
    PhaseRow("KRX", "continuous", "1998-12-07", "2000-05-21", ("day", 13 * _H), ("close", -10 * _M), False,
             _HEARSAY),
    PhaseRow("KRX", "continuous", "2000-05-22", "2016-07-31", ("open", 0), ("close", -10 * _M), False, _HEARSAY),
    PhaseRow("KRX", "continuous", "2016-08-01", None, ("open", 0), ("close", -10 * _M), True, "KB 4(3), 23"),
    PhaseRow("KRX", "closing_auction", "1998-12-07", None, ("close", -10 * _M), ("close", 0), True, "KE 35(1)3"),
    PhaseRow("KRX", "at_close", "2016-08-01", None, ("close", 10 * _M), ("close", 30 * _M), True, "KE 11; KB 34"),
    PhaseRow("KRX", "single_price", "2016-08-01", "2026-09-13", ("close", 30 * _M), ("day", 18 * _H), True,
             "KE 51-2(1)2: from 2025-03-04 not for names that NXT trades; its end with the after-market not confirmed"),
    PhaseRow("KRX", "after_market", "2026-09-14", None, ("close", 30 * _M), ("day", 20 * _H), False,
             "press 2026: planned 16:00 to 20:00; the day it began is not confirmed"),
    PhaseRow("NXT", "pre_market", "2025-03-04", None, ("day", 8 * _H), ("open", -10 * _M), True, _PRESS, "ordinary"),
    PhaseRow("NXT", "continuous", "2025-03-04", None, ("open", 30), ("close", -10 * _M), True, "press"),
    PhaseRow("NXT", "closing_price", "2025-03-04", None, ("close", 0), ("close", 30 * _M), True,
             "press: orders from 15:00, matched at the KRX close"),
    PhaseRow("NXT", "after_orders", "2025-03-04", None, ("close", 0), ("close", 10 * _M), True, _PRESS, "ordinary"),
    PhaseRow("NXT", "after_market", "2025-03-04", None, ("close", 10 * _M), ("day", 20 * _H), True, _PRESS, "ordinary"),
    PhaseRow("NXT", "after_market", "2025-03-04", None, ("close", 0), ("day", 20 * _H), True,
             "press 2025: 16:30 to 20:00 on exam days", "exam"),
)  # fmt: skip
