"""Windows of a walk-forward: which bars parameters are chosen on, and which they are then traded on.

    rolling     train |----------|test|                anchored    train |----------|test|
                           |----------|test|                             |---------------|test|

Contract: a length is a period of the calendar ("3Y", "6M", "2W"), sessions ("250D") or a number of bars. Test windows
follow each other without a gap and do not overlap; the last one may be shorter. Calendar windows begin on the first of
a month where the bars begin in its first week (a year then is a year), else on the date of the first bar. `embargo`
sessions at the end of each training window are left out of it.

>>> add_period(19_388, "1M"), add_period(19_387, "1M")  # 2023-01-31 and 2023-01-30, plus a month
(19416, 19416)
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from quantkit.data.dates import day_text
from quantkit.errors import ConfigError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Ints = NDArray[np.int64]

__all__ = ["Window", "add_period", "back_from_end", "windows_of"]

_PERIOD = re.compile(r"([1-9]\d*)([YMWD])")
_FIRST_WEEK = 7


class Window(NamedTuple):
    """Rows of one window: trained on train..train_stop, traded from test to stop (exclusive ends)."""

    train: int
    train_stop: int
    test: int
    stop: int


def add_period(day: int, period: str) -> int:
    """The epoch day a period of the calendar later; the last of a month where the month has no such day."""
    return _shifted(day, *_read(period, "period"))


def _shifted(day: int, count: int, unit: str) -> int:
    """The day so many weeks, months or years later; earlier where the count is negative."""
    if unit == "W":
        return day + 7 * count
    date = np.datetime64(day, "D")
    begun = date.astype("datetime64[M]")
    later = begun + count * (12 if unit == "Y" else 1)
    last = (later + 1).astype("datetime64[D]") - np.timedelta64(1, "D")
    found = min(later.astype("datetime64[D]") + (date - begun.astype("datetime64[D]")), last)
    return int(found.astype(np.int64))


def windows_of(
    days: Ints, *, train: str | int, test: str | int, anchored: bool = False, embargo: int = 0, first: int = 0
) -> list[Window]:
    """The windows over bars whose sessions are `days` (T,), from row `first` on. A leftover of less than
    a tenth of a test window belongs to the window before it.

    ConfigError for lengths that cannot be read, and where train and one bar of test do not fit into the bars.
    """
    if isinstance(embargo, bool) or not isinstance(embargo, int | np.integer) or embargo < 0:
        raise ConfigError(f"embargo={embargo!r}: give a number of sessions, 0 or more")
    if len(days) == first:
        raise ConfigError("walk_forward: no bars in the range asked for")
    begin = int(days[first])
    month = int(np.datetime64(begin, "D").astype("datetime64[M]").astype("datetime64[D]").astype(np.int64))
    origin = month if begin - month < _FIRST_WEEK else begin
    row, day = _step(days, first, origin, train, "train")
    if row >= len(days):
        raise ConfigError(
            f"walk_forward(train={train!r}, test={test!r}): the windows are longer than the data, which has "
            f"{len(days) - first} bars from {day_text(begin)} to {day_text(int(days[-1]))}; give shorter windows or "
            "more bars"
        )
    found, start = [], first
    while row < len(days):
        stop, day = _step(days, row, day, test, "test")
        if stop <= row:
            raise ConfigError(f"test={test!r}: a window from {day_text(int(days[row]))} holds no bar; make it longer")
        train_stop = _before(days, row, embargo)
        if train_stop <= start:
            raise ConfigError(
                f"embargo={embargo}: nothing is left of the training bars before {day_text(int(days[row]))}"
            )
        found.append(Window(start, train_stop, row, stop))
        row = stop
        if not anchored and row < len(days):
            start = max(first, _back(days, row, day, train))
    if len(found) > 1 and 10 * (found[-1].stop - found[-1].test) < found[-2].stop - found[-2].test:
        found[-2:] = [found[-2]._replace(stop=found[-1].stop)]
    return found


def back_from_end(days: Ints, size: str | int) -> int:
    """Row at which the last `size` of the bars begins: 0 or less where they are fewer."""
    if not isinstance(size, str):
        return int(np.searchsorted(days, days[len(days) - int(size)])) if size < len(days) else 0
    count, unit = _read(size, "size")
    if unit == "D":
        return _before(days, len(days), count)
    return int(np.searchsorted(days, _shifted(int(days[-1]) + 1, -count, unit)))


def _back(days: Ints, row: int, day: int, train: str | int) -> int:
    """Row at which the training bars of a test window at `row`, whose date is `day`, begin."""
    if not isinstance(train, str):
        return row - int(train)
    count, unit = _read(train, "train")
    return _before(days, row, count) if unit == "D" else int(np.searchsorted(days, _shifted(day, -count, unit)))


def _step(days: Ints, row: int, day: int, length: str | int, name: str) -> tuple[int, int]:
    """Row and day one length later."""
    if isinstance(length, str):
        count, unit = _read(length, name)
        if unit != "D":
            later = add_period(day, length)
            return int(np.searchsorted(days, later)), later
        while count and row < len(days):
            row, count = int(np.searchsorted(days, days[row], side="right")), count - 1
    elif isinstance(length, int | np.integer) and not isinstance(length, bool) and length >= 1:
        row = min(row + int(length), len(days))
    else:
        raise ConfigError(f'{name}={length!r}: give a period such as "3Y", "6M", "2W", "250D", or a number of bars')
    return row, int(days[row]) if row < len(days) else int(days[-1]) + 1


def _read(period: str, name: str) -> tuple[int, str]:
    found = _PERIOD.fullmatch(period)
    if found is None:
        raise ConfigError(f'{name}={period!r}: give a period such as "3Y", "6M", "2W", "250D", or a number of bars')
    return int(found[1]), found[2]


def _before(days: Ints, row: int, sessions: int) -> int:
    """Row at which the session begins that lies so many sessions before `row`."""
    if not sessions:
        return row
    while sessions and row > 0:
        row, sessions = int(np.searchsorted(days, days[row - 1])), sessions - 1
    return row
