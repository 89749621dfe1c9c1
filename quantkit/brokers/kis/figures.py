"""KIS's texts as numbers, dates and moments; nothing guessed.

KIS writes every value as text: zeros in front, a sign or none, decimals, blanks around. Contract: pure. A text that is
not exactly one plain decimal number is BadData that names its field; a blank is BadData too, unless a default is given.
Digits are ASCII's, no exponents, no thousands marks: what int() and float() take besides is not KIS's. A whole number
with decimals other than zeros is BadData, never rounded.

>>> whole({"q": " 0000000010"}, "q"), decimal({"p": "-1200.50"}, "p"), text({"c": "005930 "}, "c")
(10, -1200.5, '005930')
"""

from __future__ import annotations

import datetime as dt
import re
from typing import TYPE_CHECKING, Any, Final

from quantkit.errors import BadData
from quantkit.market.days import SEOUL

if TYPE_CHECKING:
    from collections.abc import Mapping

SECOND: Final = 1_000_000_000
_NUMBER: Final = re.compile(r"([+-]?)([0-9]+)(?:\.([0-9]*))?|([+-]?)\.([0-9]+)")
_DATE: Final = re.compile(r"[0-9]{8}")
_CLOCK: Final = re.compile(r"[0-9]{6}")
LONGEST: Final = 64  # characters of a number; what is longer is none of money or shares
_WHOLE, _PART = 7, 4


def shown(value: object) -> str:
    """A value for a message: short ones as they are, of others the beginning, since nobody knows what they are."""
    said = str(value)
    return repr(said) if len(said) <= _WHOLE else f"{said[:_PART]!r}... ({len(said)} characters)"


def text(row: Mapping[str, Any], name: str, default: str | None = None) -> str:
    """A text without the blanks around it. BadData where the field is missing and there is no default."""
    value = row.get(name, default)
    if value is None:
        raise BadData(f"KIS: no field {name}")
    if isinstance(value, str):
        return value.strip()
    if isinstance(value, int | float) and not isinstance(value, bool):
        return str(value)
    raise BadData(f"KIS: {name}={shown(value)} ({type(value).__name__}), expected a text")


def plain_number(value: str) -> str | None:
    """The number in a text as Python writes it, without needless zeros and plus; None where it is not one number."""
    found = _NUMBER.fullmatch(value.strip()) if len(value) <= LONGEST else None
    if found is None:
        return None
    sign, front, back = found[1] or found[4] or "", found[2] or "0", found[3] or found[5] or ""
    shown = (front.lstrip("0") or "0") + (f".{back}" if back.strip("0") else "")
    return f"-{shown}" if sign == "-" and shown != "0" else shown


def whole(row: Mapping[str, Any], name: str, default: int | None = None) -> int:
    """A whole number."""
    said = text(row, name, None if default is None else "")
    if not said and default is not None:
        return default
    plain = plain_number(said)
    if plain is None or "." in plain:
        raise BadData(f"KIS: {name}={shown(said)}, expected a whole number")
    return int(plain)


def decimal(row: Mapping[str, Any], name: str, default: float | None = None) -> float:
    """A number."""
    said = text(row, name, None if default is None else "")
    if not said and default is not None:
        return default
    plain = plain_number(said)
    if plain is None:
        raise BadData(f"KIS: {name}={shown(said)}, expected a number")
    found = float(plain)
    if abs(found) > 1e300:
        raise BadData(f"KIS: {name}={shown(said)} is no number of money or shares")
    return found


def flag(row: Mapping[str, Any], name: str) -> bool:
    """Y or N; a blank or no field is N. BadData for anything else."""
    said = text(row, name, "").upper()
    if said not in ("Y", "N", ""):
        raise BadData(f"KIS: {name}={shown(said)}, expected Y or N")
    return said == "Y"


def plain_date(said: str) -> dt.date | None:
    """The date in a text YYYYMMDD; None where it is none."""
    try:
        return dt.date(int(said[:4]), int(said[4:6]), int(said[6:])) if _DATE.fullmatch(said) else None
    except ValueError:  # a thirteenth month
        return None


def date(row: Mapping[str, Any], name: str) -> dt.date:
    """A date, YYYYMMDD."""
    said = text(row, name)
    found = plain_date(said)
    if found is None:
        raise BadData(f"KIS: {name}={shown(said)}, expected a date YYYYMMDD")
    return found


def moment(day: dt.date, clock: str) -> int:
    """UTC nanoseconds of a date and HHMMSS in Seoul. BadData for a time that no clock shows."""
    try:
        if _CLOCK.fullmatch(clock):
            hour, minute, second = int(clock[:2]), int(clock[2:4]), int(clock[4:])
            local = dt.datetime.combine(day, dt.time(hour, minute, second), SEOUL)
            return round(local.timestamp()) * SECOND
    except ValueError as problem:
        raise BadData(f"KIS: time {shown(clock)}: {problem}") from None
    raise BadData(f"KIS: time {shown(clock)}, expected HHMMSS")


def day_of(now_ns: int) -> dt.date:
    """The date in Seoul of UTC nanoseconds."""
    return dt.datetime.fromtimestamp(now_ns // SECOND, SEOUL).date()


def wire_price(price: float | None) -> str:
    """A price as orders carry it: "0" for none, no exponent, no needless decimals. BadData for what is no price."""
    if price is None:
        return "0"
    if not 0.0 < price < 1e12:
        raise BadData(f"price={price!r}: expected a price above 0, or None for an order without one")
    shown = f"{price:.4f}".rstrip("0").rstrip(".")
    if float(shown) != price:
        raise BadData(f"price={price!r}: expected at most four decimals")
    return shown
