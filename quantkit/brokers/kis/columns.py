"""Columns of a frame as values: dates, times, codes, numbers, words. What was read before is remembered.

Contract: pure. A text that is not what its column should be is `BadFrame`; nothing is guessed. Numbers are plain ASCII
digits with zeros in front, signs and decimals as KIS writes them.

>>> wholes["0000000015"], prices["70000.50"], clocks["000001"]
(15, 70000.5, 1000000000)
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, TypeVar

from quantkit.brokers.kis.figures import SECOND, moment, plain_date, plain_number, shown
from quantkit.brokers.kis.ledger import plain_symbol
from quantkit.errors import BadData

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

Value = TypeVar("Value")
MANY: Final = 1 << 16
LONG: Final = 32  # characters of a number; far fewer than of one that Python refuses


class BadFrame(BadData):
    """A frame that cannot be read. `code` says why, to count by: SHAPE, WIDTH, FEED, VALUE, SEALED, CONTROL."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code


class Seen(dict[str, Value]):
    """By its text, what a column says: the next frame of a name repeats most of the last. `read` raises BadFrame for a
    text that is wrong, and such are not kept; with `MANY` texts it begins anew."""

    def __init__(self, read: Callable[[str], Value]) -> None:
        super().__init__()
        self._read = read

    def __missing__(self, said: str) -> Value:
        found = self._read(said)
        if len(self) >= MANY:
            self.clear()
        self[said] = found
        return found


def midnight(said: str) -> int:
    """Of a date YYYYMMDD."""
    day = plain_date(said.strip())
    if day is None:
        raise BadFrame("VALUE", f"KIS: BSOP_DATE={shown(said.strip())}, expected a date YYYYMMDD")
    return moment(day, "000000")


def since(clock: str) -> int:
    """Nanoseconds since midnight of HHMMSS."""
    known = len(clock) == 6 and clock.isascii() and clock.isdigit()
    if not known or clock[:2] > "23" or clock[2:4] > "59" or clock[4:] > "59":
        raise BadFrame("VALUE", f"time {shown(clock)}, expected HHMMSS")
    return (int(clock[:2]) * 3600 + int(clock[2:4]) * 60 + int(clock[4:])) * SECOND


def symbol(code: str) -> str:
    """Our code of a record's."""
    if not (6 <= len(code) <= 9 and code.isascii() and code.isalnum()):
        raise BadFrame("VALUE", f"a name {shown(code)}, expected a code of six to nine letters and digits")
    return plain_symbol(code)


def plain(said: str) -> str:
    """A number as Python reads it."""
    if said.isascii() and said.isdigit() and len(said) <= LONG:
        return said
    found = plain_number(said)
    if found is None or len(found) > LONG:
        raise BadFrame("VALUE", f"{shown(said)}, expected a number")
    return found


def price(said: str) -> float:
    """What a trade was made at."""
    found = float(plain(said))
    if not found > 0.0:
        raise BadFrame("VALUE", f"a trade at {shown(said)}")
    return found


def whole(said: str) -> int:
    """Shares, or whole won."""
    found = plain(said)
    if "." in found or found.startswith("-"):
        raise BadFrame("VALUE", f"{shown(said)}, expected a quantity")
    return int(found)


def whole_or_none(said: str) -> int:
    """The same; a blank is 0."""
    return whole(said) if said.strip() else 0


def one_of(known: Mapping[str, Value], name: str) -> Seen[Value]:
    """A column that says one of a few things."""

    def read(said: str) -> Value:
        if said.strip() not in known:
            expected = ", ".join(filter(None, known))
            raise BadFrame("VALUE", f"a notice: {name}={shown(said.strip())}, expected one of {expected}")
        return known[said.strip()]

    return Seen(read)


midnights: Final = Seen(midnight)
clocks: Final = Seen(since)
symbols: Final = Seen(symbol)
prices: Final = Seen(price)
wholes: Final = Seen(whole)
wholes_or_none: Final = Seen(whole_or_none)
