"""Frames of KIS's stream, taken apart: ticks, books, notices of orders, acknowledgements, everything else by a table.

    0|H0STCNT0|003|a^b^...   a data frame: plain or sealed (1), feed, number of records, their columns one after another
    {"header": ...}          a control frame: the answer to a registration, or PINGPONG

Contract: pure. `parse` gives what a frame says, whole, or raises `BadFrame` with a code to count by; nothing of a frame
that is wrong in any part passes. Columns per record follow from the number of records. KIS adds columns at the end
without notice, so more than known are passed over, but never as many as a second record would need. Numbers are plain
ASCII digits with zeros in front, signs and decimals as KIS writes them; a blank where a number must be is an error.
Times are UTC nanoseconds: HHMMSS of the date that a record tells, of `Day` where it tells none. Prices are won,
quantities shares. Where a column is missing in the middle the others would mean something else: a trade's date, a
book's order of prices and its sign must be where they belong. Secrets and what a sealed frame held are in no message
and no repr.

>>> parse("0|H0STXXX0|001|1^2", day_at(0))
Traceback (most recent call last):
quantkit.brokers.kis.frames.BadFrame: FEED: KIS's feed 'H0STXXX0' is not known
"""

from __future__ import annotations

import functools
import json
from dataclasses import dataclass, field
from operator import gt, lt
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeAlias

from quantkit.brokers.kis.calling import record_of
from quantkit.brokers.kis.catalogue import calls
from quantkit.brokers.kis.figures import SECOND, date, day_of, moment, plain_number, shown
from quantkit.brokers.kis.ledger import number_of, plain_symbol
from quantkit.brokers.kis.sealed import opened
from quantkit.errors import BadData
from quantkit.trading.orders import Side
from quantkit.trading.ports import Notice, Quote, Tick

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from quantkit.brokers.kis.calling import Record

TRADES: Final = {"KRX": "H0STCNT0", "NXT": "H0NXCNT0", "SOR": "H0UNCNT0"}  # by venue; SOR: both together
BOOKS: Final = {"KRX": "H0STASP0", "NXT": "H0NXASP0", "SOR": "H0UNASP0"}
ELW_TRADES: Final = "H0EWCNT0"  # the same columns as far as they are read, but for what a call would print
NOTICES: Final = ("H0STCNI0", "H0STCNI9")  # of orders: real, paper
PINGPONG: Final = "PINGPONG"
LONGEST: Final = 1 << 20  # characters of a frame
MOST: Final = 999  # records of a frame
_TRADE, _BOOK, _NOTICE, _OLD_NOTICE = 46, 59, 26, 23  # columns of a record as first published; before 2026-02


class BadFrame(BadData):
    """A frame that cannot be read. `code` says why, to count by: SHAPE, WIDTH, FEED, VALUE, SEALED, CONTROL."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code


class Day(NamedTuple):
    """The day whose times a stream tells: KIS's text for it, and its midnight in Seoul, UTC nanoseconds."""

    text: str
    midnight: int


def day_at(now_ns: int) -> Day:
    """The day in Seoul."""
    today = day_of(now_ns)
    return Day(f"{today:%Y%m%d}", moment(today, "000000"))


class Trades(NamedTuple):
    """Trades of one feed. Beside each: the name's volume of the day with it, and whether KIS says that it is only what
    a call auction would print (HOUR_CLS_CODE)."""

    feed: str
    ticks: list[Tick]
    totals: list[int]
    expected: list[bool]


class Books(NamedTuple):
    """Order books of one feed."""

    feed: str
    quotes: list[Quote]


class Records(NamedTuple):
    """Records of any other feed, under our names. `unread`: fields that are not what the catalogue says, as text."""

    feed: str
    rows: list[Record]
    unread: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderNotice:
    """주식체결통보: what became of an order. Quantities are of this notice alone; there is no execution number.

    `quantity` and `price` are those of the fill (`executed`), else of the order.
    """

    account: str = field(repr=False)  # ten digits, product included
    number: str
    original: str | None  # the order that it changes or cancels
    side: Side
    change: str  # "new", "modify", "cancel"
    code: str  # ORD_DVSN
    symbol: str
    quantity: int
    price: float
    time: int
    rejected: bool
    executed: bool
    state: str  # ACPT_YN: "1" received, "2" confirmed, "3" the rest of an IOC or FOK order is cancelled
    branch: str  # what a change of the order must carry
    order_quantity: int
    order_price: float
    venue: str = "KRX"

    @property
    def kind(self) -> str:
        """In the words of `trading.ports.Notice`."""
        if self.rejected:
            return "rejected"
        if self.executed:
            return "filled"
        if self.state == "3":
            return "canceled"
        if self.change == "new" or self.state != "2":
            return "accepted"
        return "canceled" if self.change == "cancel" else "replaced"

    def notice(self, generation: int = 0) -> Notice:
        """As our engine takes it."""
        kind = self.kind
        return Notice(
            number=self.number, kind=kind, symbol=self.symbol, side=self.side, quantity=self.quantity, time=self.time,
            original=self.original, price=self.price if self.price > 0.0 else None, generation=generation,
            reason="NOT_FILLED_AT_ONCE" if self.state == "3" and kind == "canceled" else "",
        )  # fmt: skip


class Orders(NamedTuple):
    """Notices of orders."""

    feed: str
    notices: list[OrderNotice]


@dataclass(frozen=True, slots=True)
class Ack:
    """The answer to a registration. secret: key and iv for the feed's sealed frames."""

    feed: str
    key: str = field(repr=False)  # of a notice's feed it is the HTS id
    ok: bool
    code: str
    text: str
    secret: tuple[str, str] | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Ping:
    """PINGPONG: to be sent back as it came."""

    text: str


Said: TypeAlias = Trades | Books | Orders | Records | Ack | Ping
_SECRETS: Final[Mapping[str, tuple[str, str]]] = {}


def parse(
    frame: str | bytes, day: Day, *, secrets: Mapping[str, tuple[str, str]] = _SECRETS, generation: int = 0
) -> Said:
    """What one frame says. secrets: (key, iv) by feed, of the acknowledgements. generation: put on ticks and books."""
    if isinstance(frame, bytes):
        frame = _text(frame)
    if len(frame) > LONGEST:
        raise BadFrame("SHAPE", f"a frame of {len(frame)} characters")
    parts = frame.split("|", 3)
    if len(parts) != 4:
        return _control(frame)
    sealed, feed, number, payload = parts
    count = 1 if number == "001" else _count(number)
    if sealed == "1":
        payload = _opened(feed, payload, secrets)
    elif sealed != "0":
        raise BadFrame("SHAPE", f"a frame that begins with {shown(sealed)}, expected 0, 1 or {{")
    if feed in _TRADE_FEEDS:
        return _trades(feed, count, payload, day, generation)
    if feed in _BOOK_FEEDS:
        return _books(feed, count, payload, day, generation)
    if feed not in NOTICES:
        return _records(feed, count, payload)
    if sealed == "0":
        raise BadFrame("SEALED", f"a notice of {feed} that is not sealed")
    return Orders(feed, [_notice(row, day) for row in _rows(feed, count, payload, _OLD_NOTICE)])


def _text(frame: bytes) -> str:
    try:
        return frame.decode()
    except UnicodeDecodeError as problem:
        raise BadFrame("SHAPE", f"bytes that are no text (at {problem.start} of {len(frame)})") from None


def _count(number: str) -> int:
    if len(number) == 3 and number.isascii() and number.isdigit() and number != "000":
        return int(number)
    raise BadFrame("SHAPE", f"{shown(number)} records, expected 001 to {MOST}")


def _opened(feed: str, payload: str, secrets: Mapping[str, tuple[str, str]]) -> str:
    if feed not in secrets:
        raise BadFrame("SEALED", f"a sealed frame of {shown(feed)}, whose key no acknowledgement brought")
    try:
        return opened(payload, *secrets[feed])
    except BadData as problem:
        raise BadFrame("SEALED", f"{feed}: {problem}") from None


def _rows(feed: str, count: int, payload: str, least: int) -> Iterator[list[str]]:
    """The columns of each record. `least`: how many a record has at least."""
    columns = payload.split("^")
    width, left = divmod(len(columns), count)
    if left or not least <= width < 2 * least:
        raise BadFrame("WIDTH", f"{feed}: {len(columns)} columns for {count} records of {least} or a few more")
    return (columns[at : at + width] for at in range(0, len(columns), width))


# --- trades -----------------------------------------------------------------------------------------------------------

_TRADE_FEEDS: Final = frozenset((*TRADES.values(), ELW_TRADES))
_BOOK_FEEDS: Final = frozenset(BOOKS.values())
_IN_SESSION: Final = ("0", "")
_new = object.__new__  # a frozen dataclass's own __init__ takes twice the time
_SYMBOL, _TIME, _PRICE, _VOLUME, _GENERATION, _AUCTION = (
    Tick.__dict__[name].__set__ for name in ("symbol", "time", "price", "volume", "generation", "auction")
)
_clock: dict[str, int] = {}  # nanoseconds since midnight by HHMMSS, as they come


def _trades(feed: str, count: int, payload: str, day: Day, generation: int) -> Trades:
    columns = payload.split("^")
    width = len(columns) // count
    if width * count != len(columns) or not _TRADE <= width < 2 * _TRADE:
        raise BadFrame("WIDTH", f"{feed}: {len(columns)} columns for {count} records of {_TRADE} or a few more")
    ascii_, calls_told = payload.isascii(), feed != ELW_TRADES
    ticks: list[Tick] = []
    totals: list[int] = []
    expected: list[bool] = []
    for at in range(0, len(columns), width):
        price, volume, total = columns[at + 2], columns[at + 12], columns[at + 13]
        clock = columns[at + 1]
        since = _clock[clock] if clock in _clock else _since(clock)
        midnight = day.midnight if columns[at + 33] == day.text else _midnight(columns[at + 33])
        fast = ascii_ and price and volume and total
        if not fast or not (digits := price + volume + total).isdigit() or len(digits) > _LONG:
            price, volume, total = _plain(price), _whole(volume), _whole(total)
        tick: Tick = _new(Tick)
        _SYMBOL(tick, columns[at] if columns[at] in _symbols else _symbol(columns[at]))
        _TIME(tick, midnight + since)
        _PRICE(tick, float(price))
        _VOLUME(tick, int(volume))
        _GENERATION(tick, generation)
        _AUCTION(tick, columns[at + 21] == "3")
        if not tick.price > 0.0:
            raise BadFrame("VALUE", f"{feed}: a trade at {shown(price)}")
        ticks.append(tick)
        totals.append(int(total))
        expected.append(calls_told and columns[at + 43] not in _IN_SESSION)
    return Trades(feed, ticks, totals, expected)


_MANY: Final = 1 << 16
_symbols: set[str] = set()  # codes that were seen to be ours as they are


@functools.lru_cache(maxsize=8)
def _midnight(said: str) -> int:
    """Of a date YYYYMMDD."""
    try:
        return moment(date({"BSOP_DATE": said}, "BSOP_DATE"), "000000")
    except BadData as problem:
        raise BadFrame("VALUE", str(problem)) from None


def _symbol(code: str) -> str:
    """Our code of a record's. BadFrame where it is none."""
    if not (6 <= len(code) <= 9 and code.isascii() and code.isalnum()):
        raise BadFrame("VALUE", f"a name {shown(code)}, expected a code of six to nine letters and digits")
    found = plain_symbol(code)
    if found == code and len(_symbols) < _MANY:
        _symbols.add(code)
    return found


def _since(clock: str) -> int:
    """Nanoseconds since midnight of HHMMSS."""
    if clock in _clock:
        return _clock[clock]
    known = len(clock) == 6 and clock.isascii() and clock.isdigit()
    if not known or clock[:2] > "23" or clock[2:4] > "59" or clock[4:] > "59":
        raise BadFrame("VALUE", f"time {shown(clock)}, expected HHMMSS")
    found = (int(clock[:2]) * 3600 + int(clock[2:4]) * 60 + int(clock[4:])) * SECOND
    _clock[clock] = found
    return found


def _plain(said: str) -> str:
    """A number as Python writes it. BadFrame where it is none, or none of money."""
    plain = plain_number(said)
    if plain is None or len(plain) > _LONG:
        raise BadFrame("VALUE", f"{shown(said)}, expected a number")
    return plain


def _whole(said: str) -> str:
    plain = _plain(said)
    if "." in plain or plain.startswith("-"):
        raise BadFrame("VALUE", f"{shown(said)}, expected a quantity")
    return plain


_LONG: Final = 32  # digits of all that is read of a trade; far less than a number that Python refuses


# --- books ------------------------------------------------------------------------------------------------------------


def _books(feed: str, count: int, payload: str, day: Day, generation: int) -> Books:
    quotes = []
    for row in _rows(feed, count, payload, _BOOK):
        levels = row[3:43]
        digits = "".join(levels)
        if "" in levels or not digits.isdigit() or not digits.isascii() or len(digits) > _LONG_BOOK:
            levels = list(map(_whole_or_none, levels))
        prices, shares = list(map(float, levels[:20])), list(map(int, levels[20:]))
        asks, bids = _side(prices[:10], shares[:10], lt), _side(prices[10:], shares[10:], gt)
        if asks is None or bids is None or row[51] not in _SIGNS:
            raise BadFrame("VALUE", f"{feed}: columns of a book that are not where they belong")
        print_ = float(_plain(row[47])) if row[2] not in _IN_SESSION and row[47].strip() else 0.0
        symbol = row[0] if row[0] in _symbols else _symbol(row[0])
        expected = print_ if print_ > 0.0 else None
        quotes.append(Quote(symbol, day.midnight + _since(row[1]), bids, asks, generation, expected))
    return Books(feed, quotes)


def _side(
    prices: list[float], shares: list[int], away: Callable[[float, float], bool]
) -> tuple[tuple[float, int], ...] | None:
    """Levels of one side, nearest first; those without a price are none. None where prices do not lead `away` from the
    market."""
    found = tuple(zip(prices, shares, strict=True))
    if 0.0 in prices:
        found = tuple(level for level in found if level[0] > 0.0)
        prices = [price for price, _ in found]
    return found if all(map(away, prices, prices[1:])) else None


_LONG_BOOK: Final = 40 * 15
_SIGNS: Final = frozenset(("", "0", "1", "2", "3", "4", "5"))  # ANTC_CNTG_VRSS_SIGN


def _whole_or_none(said: str) -> str:
    """A blank is 0."""
    return _whole(said) if said.strip() else "0"


# --- notices ----------------------------------------------------------------------------------------------------------

_CHANGES: Final = {"0": "new", "1": "modify", "2": "cancel"}
_SIDES: Final = {"01": Side.SELL, "02": Side.BUY}
_VENUES: Final = {"": "KRX", "1": "KRX", "2": "NXT", "3": "KRX", "4": "NXT"}  # 3, 4: where SOR has sent it


def _notice(row: list[str], day: Day) -> OrderNotice:
    """One record: 26 columns, or 23 as until February 2026. What an order is known by must be whole."""
    if not (len(row) == _OLD_NOTICE or len(row) >= _NOTICE):
        raise BadFrame("WIDTH", f"a notice of {len(row)} columns, expected {_OLD_NOTICE}, or {_NOTICE} and more")
    old = len(row) == _OLD_NOTICE
    said = [column.strip() for column in row]
    try:
        number, original = number_of(said[2]), number_of(said[3]) if said[3].strip("0") else None
    except BadData as problem:
        raise BadFrame("VALUE", f"a notice: {problem}") from None
    if not (len(said[1]) == 10 and said[1].isascii() and said[1].isdigit()):
        raise BadFrame("VALUE", "a notice whose account is not of ten digits")
    return OrderNotice(
        account=said[1], number=number, original=original, side=_one_of(_SIDES, said[4], "SELN_BYOV_CLS"),
        change=_one_of(_CHANGES, said[5], "RCTF_CLS"), code=said[6], symbol=_symbol(said[8]),
        quantity=int(_whole(said[9])), price=float(_whole(said[10])) if said[10] else 0.0,
        time=day.midnight + _since(said[11]), rejected=_one_of(_YES, said[12], "RFUS_YN"),
        executed=_one_of(_EXECUTED, said[13], "CNTG_YN"), state=_one_of(_STATES, said[14], "ACPT_YN"),
        branch=said[15], order_quantity=int(_whole_or_none(said[16])),
        order_price=float(_whole_or_none(said[22 if old else 25])),
        venue="KRX" if old else _one_of(_VENUES, said[19], "ORD_EXG_GB"),
    )  # fmt: skip


_YES: Final = {"0": False, "1": True, "N": False, "Y": True}
_EXECUTED: Final = {"1": False, "2": True}
_STATES: Final = {"1": "1", "2": "2", "3": "3"}


def _one_of(known: Mapping[str, Any], said: str, name: str) -> Any:
    if said not in known:
        raise BadFrame("VALUE", f"a notice: {name}={shown(said)}, expected one of {', '.join(filter(None, known))}")
    return known[said]


# --- everything else --------------------------------------------------------------------------------------------------


@functools.cache
def feeds() -> Mapping[str, str]:
    """Names of all streams of the catalogue by their transaction ids."""
    return {
        told: call.name for call in calls().values() if call.kind == "stream"
        for told in (*call.real.values(), *call.paper.values())
    }  # fmt: skip


def _records(feed: str, count: int, payload: str) -> Records:
    """By the order of the catalogue's columns; columns behind them are left out."""
    name = feeds().get(feed)
    if name is None:
        raise BadFrame("FEED", f"KIS's feed {shown(feed) if len(feed) > 16 else repr(feed)} is not known")
    call = calls()[name]
    names = [each.wire for each in call.blocks[""]]
    unread: dict[str, None] = {}
    rows = [
        record_of(call, dict(zip(names, row, strict=False)), unread)
        for row in _rows(feed, count, payload, len(names))
    ]  # fmt: skip
    return Records(feed, rows, tuple(unread))


# --- control frames ---------------------------------------------------------------------------------------------------


def _control(frame: str) -> Ack | Ping:
    try:
        told = json.loads(frame)
    except (ValueError, RecursionError):
        told = None
    header = told.get("header") if isinstance(told, dict) else None
    if not isinstance(told, dict) or not isinstance(header, dict):
        raise BadFrame("CONTROL", f"{len(frame)} characters that are neither records nor a control frame")
    feed = header.get("tr_id")
    if feed == PINGPONG:
        return Ping(frame)
    body = told.get("body")
    if not isinstance(feed, str) or not isinstance(body, dict) or not isinstance(body.get("rt_cd"), str):
        raise BadFrame("CONTROL", "an answer without tr_id, body or rt_cd")
    output = body.get("output")
    secret = (output.get("key"), output.get("iv")) if isinstance(output, dict) else (None, None)
    key, iv = secret
    whole = isinstance(key, str) and isinstance(iv, str) and bool(key) and bool(iv)
    return Ack(
        feed, str(header.get("tr_key", "")), body["rt_cd"].strip() == "0", str(body.get("msg_cd", "")).strip(),
        str(body.get("msg1", "")).strip(), (str(key), str(iv)) if whole else None,
    )  # fmt: skip
