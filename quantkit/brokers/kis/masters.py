"""Master files (종목 마스터): every name of KOSPI, KOSDAQ and KONEX, market, name, first day, and an ELW's terms.

    found = await masters.download(server)          {symbol: Listed}; no keys are needed, none are sent

Contract: `read` is pure, bytes of a ZIP to records. A line is code, ISIN and name, then a tail of fixed width: the head
is cut from the left and the tail from the right, for names have varying lengths once decoded. A file that is not what
it should be is BadData with the line (of ELWs' terms: `Names.unread`); a server that does not answer is RetryLater
after `TRIES`. Codes are ours: an ETN without its Q. KONEX publishes no places of its tail, so of its names only code,
ISIN, name and group are read.

ELWs have a file of their own beside their lines of the KOSPI file; what both say is taken from the latter. It has a
second name in the middle, so its lines are cut in bytes, from the left. KIS's structure of the file and its sample
agree on all widths but the names', which the sample cuts by letters or not at all. Assumed, since neither says: names
have 40 bytes, as in the other files; a strike is a number with its decimal point where it has one (the doctor holds it
against the price service); zeros and blanks are not known. The ratio of shares to a warrant (전환비율) is not told.
"""

from __future__ import annotations

import io
import zipfile
import zlib
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final, NamedTuple

from quantkit.brokers.kis.figures import plain_date, plain_number
from quantkit.brokers.kis.ledger import plain_symbol
from quantkit.brokers.kis.transport import HttpTransport, Lost, NotSent, Request
from quantkit.errors import BadData, RetryLater

if TYPE_CHECKING:
    import datetime as dt

    from quantkit.brokers.kis.server import Server

FOLDER: Final = "/common/master"
TRIES: Final = 3
LARGEST: Final = 64 << 20  # bytes of a file, unpacked
_HEAD = 21  # code and ISIN
_GROUPS: Final = {"EF": "ETF", "FE": "ETF", "EN": "ETN", "EW": "ELW"}


class _Layout(NamedTuple):
    """Width of the tail, and where its fields start; None: not published."""

    market: str
    width: int
    base: int | None = None
    halted: int | None = None  # then liquidation and administrative issue, one letter each, and the warning, two
    listing: int | None = None


_FILES: Final = {
    "kospi_code.mst": _Layout("KOSPI", 227, base=41, halted=60, listing=105),
    "kosdaq_code.mst": _Layout("KOSDAQ", 221, base=36, halted=55, listing=100),
    "konex_code.mst": _Layout("KONEX", 184),
}
WARRANTS: Final = "elw_code.mst"

_PLACES: Final = {  # of the ELWs' file: start and width in bytes
    "code": (0, 9), "ISIN": (9, 12), "name": (21, 40), "form": (61, 1), "barrier": (62, 13), "basket": (75, 1),
    "issuer": (121, 40), "strike": (166, 9), "last trading day": (175, 8), "right": (187, 1),
}  # fmt: skip
_UNDERLYINGS: Final = tuple((76 + 9 * place, 9) for place in range(5))
_TERMS_END: Final = 188  # days left, payment day, shares and market makers follow; what stands there is not read
_FORMS: Final = {"0": "standard", "1": "digital", "2": "knock_out", "": ""}
_RIGHTS: Final = {"C": "call", "P": "put", "E": "other", "": ""}


@dataclass(frozen=True, slots=True, kw_only=True)
class Warrant:
    """The terms of an ELW, what is not told "" or None. underlyings: codes, several for a basket. right: call, put or
    other. form: standard, digital or knock_out (조기종료, which ends where the underlying meets `barrier`). strike and
    barrier: in the underlying's won or points. last_day: of trading."""

    underlyings: tuple[str, ...] = ()
    right: str = ""
    form: str = ""
    strike: float | None = None
    barrier: float | None = None
    last_day: dt.date | None = None
    issuer: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Listed:
    """One name of a master file. market: KOSPI, KOSDAQ, KONEX, ETF, ETN or ELW. base: base price, 0: unknown. lot: the
    fewest shares of an order, 0: unknown. warrant: of an ELW."""

    symbol: str
    isin: str
    name: str
    market: str
    group: str  # 증권그룹: ST, EF, EN, EW, RT, ...
    base: int = 0
    lot: int = 0
    halted: bool = False
    liquidation: bool = False  # 정리매매
    managed: bool = False  # 관리종목
    warning: str = ""  # 00 none, 01 caution, 02 warning, 03 danger
    listing: dt.date | None = None
    warrant: Warrant | None = None


class Names(dict[str, Listed]):
    """Names by their codes. unread: why the terms of ELWs are missing, "" where they are not. Nobody here has seen a
    real file of them, so what is in it must not stand in the way of other names."""

    unread = ""


async def download(server: Server) -> Names:
    """All names of all files."""
    transport = HttpTransport(server.masters, trust_environment=not server.is_emulated)
    found = Names()
    try:
        for name in _FILES:
            found |= {one.symbol: one for one in read(name, await _fetched(transport, name))}
        try:
            warrants = read(WARRANTS, await _fetched(transport, WARRANTS))
        except BadData as problem:
            warrants, found.unread = [], f"the terms of ELWs cannot be read: {problem}"
        for one in warrants:
            known = found.get(one.symbol)
            found[one.symbol] = one if known is None else replace(known, warrant=one.warrant)
    finally:
        await transport.close()
    return found


async def _fetched(transport: HttpTransport, name: str) -> bytes:
    said = ""
    for _ in range(TRIES):
        try:
            answer = await transport.send(Request("GET", f"{FOLDER}/{name}.zip", {}))
        except (NotSent, Lost) as problem:
            said = str(problem)
            continue
        if answer.status == 200:
            return answer.body
        said = f"HTTP {answer.status}"
    raise RetryLater(f"KIS's master file {name}.zip could not be had: {said}")


def read(name: str, packed: bytes) -> list[Listed]:
    """The names of one file, packed as it comes."""
    whole = _unpacked(name, packed)
    if name == WARRANTS:
        rows = enumerate(whole.split(b"\n"), 1)
        return [_warrant(row.rstrip(b"\r"), f"{name} line {at}") for at, row in rows if row.strip()]
    try:
        text = whole.decode("cp949")
    except ValueError as problem:
        raise BadData(f"{name}.zip is no master file of KIS: {type(problem).__name__}") from None
    layout, lines = _FILES[name], (line.rstrip("\r") for line in text.split("\n"))
    return [_listed(line, layout, f"{name} line {at}") for at, line in enumerate(lines, 1) if line.strip()]


def _unpacked(name: str, packed: bytes) -> bytes:
    try:
        with zipfile.ZipFile(io.BytesIO(packed)) as archive:
            member = archive.infolist()[0]
            if member.file_size > LARGEST or member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
                raise BadData(f"{name}.zip: {member.file_size:,} bytes, expected {LARGEST:,} at most, deflated")
            return archive.read(member)
    except (zipfile.BadZipFile, zlib.error, IndexError, ValueError, EOFError, OSError, RuntimeError) as problem:
        raise BadData(f"{name}.zip is no master file of KIS: {type(problem).__name__}") from None


def _listed(line: str, layout: _Layout, where: str) -> Listed:
    if len(line) < _HEAD + layout.width:
        raise BadData(f"{where}: {len(line)} characters, expected {_HEAD + layout.width} or more")
    head, tail = line[: -layout.width], line[-layout.width :]
    code, isin, name, group = head[:9].strip(), head[9:_HEAD].strip(), head[_HEAD:].strip(), tail[:2].strip()
    if not code or not group.isalpha():
        raise BadData(f"{where}: code {code!r}, group {group!r}; expected both to be there")
    market = _GROUPS.get(group, layout.market)
    symbol = plain_symbol(code)
    if layout.base is None or layout.halted is None or layout.listing is None:
        return Listed(symbol=symbol, isin=isin, name=name, market=market, group=group)
    flags = tail[layout.halted : layout.halted + 3]
    return Listed(
        symbol=symbol, isin=isin, name=name, market=market, group=group,
        base=_whole(tail[layout.base : layout.base + 9], f"{where}: base price"),
        lot=_whole(tail[layout.base + 9 : layout.base + 14], f"{where}: lot"), halted=flags[0] == "Y",
        liquidation=flags[1] == "Y", managed=flags[2] == "Y",
        warning=tail[layout.halted + 3 : layout.halted + 5].strip(),
        listing=_date(tail[layout.listing : layout.listing + 8], f"{where}: listing date"),
    )  # fmt: skip


def _warrant(row: bytes, where: str) -> Listed:
    """A line of the ELWs' file."""
    if len(row) < _TERMS_END:
        raise BadData(f"{where}: {len(row)} bytes, expected {_TERMS_END} or more")

    said = {what: _letters(row, place, f"{where}: {what}") for what, place in _PLACES.items()}
    if not said["code"]:
        raise BadData(f"{where}: no code")
    if said["form"] not in _FORMS or said["right"] not in _RIGHTS or said["basket"] not in ("Y", "N", ""):
        found = ", ".join(f"{what} {said[what]!r}" for what in ("form", "right", "basket"))
        raise BadData(f"{where}: {found}; expected one of 0 1 2, of C P E, and of Y N")
    codes = (plain_symbol(_letters(row, place, f"{where}: underlying")) for place in _UNDERLYINGS)
    terms = Warrant(
        underlyings=tuple(code for code in codes if code.strip("0")), right=_RIGHTS[said["right"]],
        form=_FORMS[said["form"]], strike=_amount(said["strike"], f"{where}: strike"),
        barrier=_amount(said["barrier"], f"{where}: barrier"),
        last_day=_date(said["last trading day"], f"{where}: last trading day"), issuer=said["issuer"],
    )  # fmt: skip
    return Listed(symbol=said["code"], isin=said["ISIN"], name=said["name"], market="ELW", group="EW", warrant=terms)


def _letters(row: bytes, place: tuple[int, int], what: str) -> str:
    """Text of a field. A letter that its end cuts in half is left out."""
    raw = row[place[0] : sum(place)]
    try:
        return raw.decode("cp949").strip()
    except UnicodeDecodeError as problem:
        if problem.start == len(raw) - 1:
            return raw[:-1].decode("cp949").strip()
        raise BadData(f"{what} {raw!r}, expected text in CP949") from None


def _amount(said: str, what: str) -> float | None:
    """A number above 0; None where it is 0 or not told."""
    plain = plain_number(said or "0")
    if plain is None or plain.startswith("-"):
        raise BadData(f"{what} {said!r}, expected a number")
    return float(plain) or None


def _whole(text: str, what: str) -> int:
    said = text.strip()
    if said and not (said.isascii() and said.isdigit()):
        raise BadData(f"{what} {said!r}, expected a whole number")
    return int(said or "0")


def _date(text: str, what: str) -> dt.date | None:
    said = text.strip()
    found = plain_date(said)
    if found is None and said.strip("0"):
        raise BadData(f"{what} {said!r}, expected YYYYMMDD")
    return found
