"""Master files (종목 마스터): every name of KOSPI, KOSDAQ and KONEX, with its market, name and first day.

    found = await masters.download(server)          {symbol: Listed}; no keys are needed, none are sent

Contract: `read` is pure, bytes of a ZIP to records. A line is code, ISIN and name, then a tail of fixed width: the head
is cut from the left and the tail from the right, for names have varying lengths once decoded. A file that is not what
it should be is BadData with the line; a server that does not answer is RetryLater after `TRIES`. Codes are ours: an ETN
without its Q. KONEX publishes no places of its tail, so of its names only code, ISIN, name and group are read.
"""

from __future__ import annotations

import io
import zipfile
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NamedTuple

from quantkit.brokers.kis.figures import plain_date
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Listed:
    """One name of a master file. market: KOSPI, KOSDAQ, KONEX, ETF, ETN or ELW. base: base price, 0: unknown."""

    symbol: str
    isin: str
    name: str
    market: str
    group: str  # 증권그룹: ST, EF, EN, EW, RT, ...
    base: int = 0
    halted: bool = False
    liquidation: bool = False  # 정리매매
    managed: bool = False  # 관리종목
    warning: str = ""  # 00 none, 01 caution, 02 warning, 03 danger
    listing: dt.date | None = None


async def download(server: Server) -> dict[str, Listed]:
    """All names of all three files."""
    transport = HttpTransport(server.masters, trust_environment=not server.is_emulated)
    found: dict[str, Listed] = {}
    try:
        for name in _FILES:
            found |= {one.symbol: one for one in read(name, await _fetched(transport, name))}
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
    layout = _FILES[name]
    try:
        with zipfile.ZipFile(io.BytesIO(packed)) as archive:
            member = archive.infolist()[0]
            if member.file_size > LARGEST or member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
                raise BadData(f"{name}.zip: {member.file_size:,} bytes, expected {LARGEST:,} at most, deflated")
            text = archive.read(member).decode("cp949")
    except (zipfile.BadZipFile, zlib.error, IndexError, ValueError, EOFError, OSError, RuntimeError) as problem:
        raise BadData(f"{name}.zip is no master file of KIS: {type(problem).__name__}") from None
    lines = [line.rstrip("\r") for line in text.split("\n")]
    return [_listed(line, layout, f"{name} line {at}") for at, line in enumerate(lines, 1) if line.strip()]


def _listed(line: str, layout: _Layout, where: str) -> Listed:
    if len(line) < _HEAD + layout.width:
        raise BadData(f"{where}: {len(line)} characters, expected {_HEAD + layout.width} or more")
    head, tail = line[: -layout.width], line[-layout.width :]
    code, isin, name, group = head[:9].strip(), head[9:_HEAD].strip(), head[_HEAD:].strip(), tail[:2].strip()
    if not code or not group.isalpha():
        raise BadData(f"{where}: code {code!r}, group {group!r}; expected both to be there")
    market = _GROUPS.get(group, layout.market)
    symbol = code[1:] if market == "ETN" and code.startswith("Q") else code
    if layout.base is None or layout.halted is None or layout.listing is None:
        return Listed(symbol=symbol, isin=isin, name=name, market=market, group=group)
    flags = tail[layout.halted : layout.halted + 3]
    return Listed(
        symbol=symbol, isin=isin, name=name, market=market, group=group,
        base=_whole(tail[layout.base : layout.base + 9], f"{where}: base price"), halted=flags[0] == "Y",
        liquidation=flags[1] == "Y", managed=flags[2] == "Y",
        warning=tail[layout.halted + 3 : layout.halted + 5].strip(),
        listing=_date(tail[layout.listing : layout.listing + 8], f"{where}: listing date"),
    )  # fmt: skip


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
