"""Master files, as KIS lays them out for download: what names there are, of each market.

Contract: a ZIP with one member; a name a line, in CP949: short code (9 bytes), ISIN (12), Korean name (40), then a tail
of fixed width, whose fields start at the places below. ELWs have a second file, of their terms, in fields one behind
the other. What an exchange of prices does not know of a name is blank or zero. No keys are needed to get them.
"""

from __future__ import annotations

import io
import zipfile
from typing import TYPE_CHECKING, Final

from quantkit.data.bars import FIRST_DAY
from quantkit.emulator.kis import codes
from quantkit.emulator.kis.http import Reply
from quantkit.emulator.sources import Warrant
from quantkit.market.days import date_of
from quantkit.market.krx import lot_size

if TYPE_CHECKING:
    from quantkit.emulator.exchange import Exchange
    from quantkit.emulator.kis.quotes import Quotes
    from quantkit.emulator.sources import SymbolDay

FOLDER: Final = "/common/master/"
_MARKETS: Final = {
    "kospi": ("KOSPI", "ETF", "ETN", "ELW"), "kosdaq": ("KOSDAQ",), "konex": ("KONEX",), "elw": ("ELW",)
}  # fmt: skip
_WIDTHS: Final = {"kospi": 227, "kosdaq": 221, "konex": 184}
_RIGHTS: Final = {"call": "C", "put": "P", "other": "E"}
GROUPS: Final = {"ETF": "EF", "ETN": "EN", "ELW": "EW"}
_PLACES: Final = {
    "kospi": {"base": (41, 9), "lot": (50, 5), "halted": (60, 1), "liquidation": (61, 1), "managed": (62, 1),
              "warning": (63, 2), "par": (93, 12), "listed": (105, 8), "shares": (113, 15)},
    "kosdaq": {"base": (36, 9), "lot": (45, 5), "halted": (55, 1), "liquidation": (56, 1), "managed": (57, 1),
               "warning": (58, 2), "par": (88, 12), "listed": (100, 8), "shares": (108, 15)},
    "konex": {},
}  # fmt: skip


def file(quotes: Quotes, name: str) -> Reply:
    """The file of a market, such as kospi_code.mst.zip."""
    kind = name.removesuffix("_code.mst.zip")
    if name != f"{kind}_code.mst.zip" or kind not in _MARKETS:
        return Reply(404, b"not found", type="text/plain")
    exchange, lines = quotes.exchange, []
    for symbol, issue in sorted(exchange.issues.items()):
        if issue.facts.market not in _MARKETS[kind]:
            continue
        head = _head(symbol, issue.facts.market, quotes.title(symbol))
        if kind == "elw":
            terms = getattr(exchange.source, "warrants", {}).get(symbol, Warrant())
            lines.append(head + _terms(terms, exchange.day or 0))
        else:
            lines.append(head + _tail(kind, issue.facts, _listed(exchange, symbol)))
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(f"{kind}_code.mst", b"".join(line + b"\n" for line in lines))
    return Reply(200, packed.getvalue(), type="application/zip")


def _listed(exchange: Exchange, symbol: str) -> str:
    """The date of the first day, where the prices begin with it."""
    bars = getattr(exchange.source, "bars", None)
    if bars is None or symbol not in bars.symbols:
        return "0" * 8
    first = (bars.flags[:, bars.symbols.index(symbol)] & FIRST_DAY).nonzero()[0]
    return f"{date_of(int(bars.days[first[0]])):%Y%m%d}" if len(first) else "0" * 8


def _head(symbol: str, market: str, name: str) -> bytes:
    """What all lines begin with: code, ISIN and name."""
    return f"{codes.coded(symbol, market):<9}{'KR7' + symbol + '000':<12}".encode("cp949") + _cut(name, 40)


def _tail(kind: str, facts: SymbolDay, listed: str) -> bytes:
    """The rest of a line of a market's file."""
    tail = bytearray(b" " * _WIDTHS[kind])
    told = {
        "base": f"{round(facts.base):09d}", "lot": f"{lot_size(facts.market):05d}",
        "halted": "Y" if facts.halted else "N", "liquidation": "Y" if facts.liquidation else "N", "managed": "N",
        "warning": "00", "par": "0" * 12, "listed": listed, "shares": "0" * 15,
    }  # fmt: skip
    tail[0:2] = GROUPS.get(facts.market, "ST").encode()
    for field, (start, length) in _PLACES[kind].items():
        tail[start : start + length] = told[field].encode()
    return bytes(tail)


def _terms(told: Warrant, today: int) -> bytes:
    """The rest of a line of the ELWs' file, field by field; market makers and issuers are not known here."""
    last = told.last_day
    left = 0 if last is None else max(0, (last - date_of(today)).days)
    early = told.barrier is not None
    fields = [
        ("2" if early else "0", 1), (f"{told.barrier or 0:013.2f}", 13),
        ("Y" if len(told.underlyings) > 1 else "N", 1), *((code, 9) for code in _five(told.underlyings)), ("", 40),
        ("", 5), (f"{told.strike or 0:09g}", 9), ("0" * 8 if last is None else f"{last:%Y%m%d}", 8), (f"{left:04d}", 4),
        (_RIGHTS.get(told.right, " "), 1), ("0" * 8, 8), ("0" * 9, 9), ("0" * 15, 15), ("", 50),
    ]  # fmt: skip
    return b"".join(_cut(text, width) for text, width in fields)


def _five(underlyings: tuple[str, ...]) -> tuple[str, ...]:
    return (*underlyings, "", "", "", "", "")[:5]


def _cut(name: str, width: int) -> bytes:
    """A name in so many bytes of CP949, blanks behind; no half of a letter."""
    said = name.encode("cp949", "replace")
    if len(said) > width:
        said = said[:width].decode("cp949", "ignore").encode("cp949")
    return said.ljust(width)
