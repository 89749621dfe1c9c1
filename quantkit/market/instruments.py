"""Names of things: instrument codes, market labels, ISINs.

Contract: pure text work, standard library and numpy only. A code is always text, six characters of [0-9A-Z] on the
Korea Exchange; letters occur in listings since 2024 ("0009K0"). A number is refused, because 5930 has lost what it was.
Forms seen in the wild are reduced to the code: "A005930" (exchange and broker files), "039490_NX" and "_AL" (broker
routing), "005930.KS" and ".KQ" (portals). Used wherever a code or a market label enters the house.

>>> parse_code("A005930"), parse_code("039490_NX").venue, market_name("KOSDAQ GLOBAL"), market_name("유가증권")
(Code(symbol='005930', venue='KRX', market=None), 'NXT', 'KOSDAQ', 'KOSPI')
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np
import numpy.typing as npt

from quantkit.errors import BadData
from quantkit.market import MARKET_ID, MARKETS

if TYPE_CHECKING:
    from collections.abc import Iterable

_CODE = re.compile(r"[0-9A-Z]{6}")
_US_CODE = re.compile(r"[A-Z][A-Z0-9]*([.\-/][A-Z0-9]+)?")
_ISIN = re.compile(r"[A-Z]{2}[0-9A-Z]{9}[0-9]")

_SUFFIXES: Final[dict[str, tuple[str, str | None]]] = {
    "_NX": ("NXT", None),
    "_AL": ("SOR", None),  # the broker's smart order routing over both venues
    ".KS": ("KRX", "KOSPI"),
    ".KQ": ("KRX", "KOSDAQ"),
}

_LABELS: Final[dict[str, str]] = {
    **{name: name for name in MARKETS},
    "STK": "KOSPI",
    "KRX": "KOSPI",
    "코스피": "KOSPI",
    "유가": "KOSPI",
    "유가증권": "KOSPI",
    "유가증권시장": "KOSPI",
    "코스피시장": "KOSPI",
    "거래소": "KOSPI",
    "KSQ": "KOSDAQ",
    "KOSDAQ GLOBAL": "KOSDAQ",
    "코스닥": "KOSDAQ",
    "코스닥시장": "KOSDAQ",
    "코스닥 글로벌": "KOSDAQ",
    "코스닥글로벌": "KOSDAQ",
    "KNX": "KONEX",
    "코넥스": "KONEX",
    "코넥스시장": "KONEX",
    "상장지수펀드": "ETF",
    "상장지수증권": "ETN",
    "주식워런트증권": "ELW",
    "NYSE": "US",
    "NASDAQ": "US",
    "AMEX": "US",
}


class Code(NamedTuple):
    """An instrument code, the venue its spelling named (KRX, NXT or SOR), and the market, when the spelling told it."""

    symbol: str
    venue: str
    market: str | None


def parse_code(text: object) -> Code:
    """What a spelling of a Korean code says. BadData for numbers and anything that is no code."""
    if not isinstance(text, str):
        raise BadData(_not_text(text))
    cleaned = text.strip().upper()
    venue, market = "KRX", None
    for suffix, told in _SUFFIXES.items():
        if cleaned.endswith(suffix):
            cleaned, (venue, market) = cleaned.removesuffix(suffix), told
            break
    if len(cleaned) == 7 and cleaned[0].isascii() and cleaned[0].isalpha():
        cleaned = cleaned[1:]
    if not _CODE.fullmatch(cleaned):
        raise BadData(_not_a_code(text, cleaned))
    return Code(cleaned, venue, market)


def _not_text(value: object) -> str:
    if isinstance(value, int | np.integer) and not isinstance(value, bool) and 0 <= value < 10**6:
        return f"symbol={value!r} is a number and has lost its zeros: {value!r} must be '{value:06d}'"
    return f"symbol={value!r} ({type(value).__name__}): a code is text of six characters, such as '005930'"


def _not_a_code(text: str, cleaned: str) -> str:
    hint = f"; leading zeros lost? '{cleaned:0>6}'" if cleaned.isdigit() and len(cleaned) < 6 else ""
    return f"symbol={text!r}: a code has six characters of 0-9 and A-Z, such as '005930' or '0009K0'{hint}"


def symbol(text: object, *, market: str | None = None) -> str:
    """The plain code of a spelling: "A005930" is "005930". With market "US" or "NONE", the ticker in capitals.

    BadData for numbers and anything that is no code.
    """
    if market not in ("US", "NONE"):
        return parse_code(text).symbol
    if not isinstance(text, str):
        raise BadData(f"symbol={text!r} ({type(text).__name__}): a ticker is text, such as 'AAPL'")
    ticker = text.strip().upper()
    if not ticker or (market == "US" and not _US_CODE.fullmatch(ticker)):
        raise BadData(f"symbol={text!r}: expected a ticker such as 'AAPL' or 'BRK.B'")
    return ticker


def symbols(values: Iterable[object], *, market: str | None = None) -> list[str]:
    """`symbol` of each value, in order; each distinct spelling is read once."""
    known: dict[object, str] = {}
    return [known[v] if v in known else known.setdefault(v, symbol(v, market=market)) for v in values]


def market_name(label: object) -> str:
    """The short name (of `MARKETS`) of a market label in English or Korean. BadData for a label not known."""
    if isinstance(label, str):
        cleaned = " ".join(label.split())
        name = _LABELS.get(cleaned) or _LABELS.get(cleaned.upper())
        if name is not None:
            return name
    raise BadData(
        f"market={label!r}: expected one of {', '.join(MARKETS)}, or a label such as '코스피' or 'KOSDAQ GLOBAL'"
    )


def market_ids(labels: object) -> npt.NDArray[np.int64]:
    """Market ids (positions in `MARKETS`) of one label or many: int64 in the shape of `labels`.

    An integer array is taken as ids already. BadData for a label or id not known.
    """
    if isinstance(labels, str):
        return np.array(MARKET_ID[market_name(labels)], dtype=np.int64)
    array = np.asarray(labels)
    if np.issubdtype(array.dtype, np.integer):
        if array.size and (array.min() < 0 or array.max() >= len(MARKETS)):
            raise BadData(f"market ids from {array.min()} to {array.max()}: expected 0 to {len(MARKETS) - 1}")
        return array.astype(np.int64)
    known: dict[object, int] = {}
    ids = [known[v] if v in known else known.setdefault(v, MARKET_ID[market_name(v)]) for v in array.ravel().tolist()]
    return np.array(ids, dtype=np.int64).reshape(array.shape)


def is_isin(text: str) -> bool:
    """Whether `text` is a well-formed ISIN with the right check digit.

    >>> is_isin("KR7005930003"), is_isin("KR7005930004")
    (True, False)
    """
    return _ISIN.fullmatch(text) is not None and isin_check_digit(text[:11]) == int(text[11])


def isin_check_digit(body: str) -> int:
    """The last digit of the ISIN whose first eleven characters are `body` (ISO 6166: Luhn over letters as 10 to 35)."""
    digits = [int(d) for character in body for d in str(int(character, 36))]
    total = sum(digits[-2::-2]) + sum(sum(divmod(2 * d, 10)) for d in digits[-1::-2])
    return -total % 10
