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
quantkit.brokers.kis.columns.BadFrame: FEED: KIS's feed 'H0STXXX0' is not known
"""

from __future__ import annotations

import functools
import json
from dataclasses import dataclass, field
from operator import gt, lt
from typing import TYPE_CHECKING, Final, NamedTuple, TypeAlias

from quantkit.brokers.kis.calling import record_of
from quantkit.brokers.kis.catalogue import calls
from quantkit.brokers.kis.columns import (
    LONG,
    BadFrame,
    Seen,
    clocks,
    midnights,
    one_of,
    plain,
    prices,
    symbols,
    whole,
    whole_or_none,
    wholes,
    wholes_or_none,
)
from quantkit.brokers.kis.figures import day_of, moment, shown
from quantkit.brokers.kis.ledger import number_of
from quantkit.brokers.kis.sealed import opened
from quantkit.errors import BadData
from quantkit.trading.orders import Side
from quantkit.trading.ports import Notice, Quote, Tick

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from quantkit.brokers.kis.calling import Record

TRADES: Final = {"KRX": "H0STCNT0", "NXT": "H0NXCNT0", "SOR": "H0UNCNT0"}  # by venue; SOR: both together
BOOKS: Final = {"KRX": "H0STASP0", "NXT": "H0NXASP0", "SOR": "H0UNASP0"}
ELW_TRADES: Final = "H0EWCNT0"  # the same columns as far as they are read, but for what a call would print
NOTICES: Final = ("H0STCNI0", "H0STCNI9")  # of orders: real, paper
PINGPONG: Final = "PINGPONG"
LONGEST: Final = 1 << 20  # characters of a frame
MOST: Final = 999  # records of a frame
ELW_BOOKS: Final = "H0EWASP0"  # the same up to the quantities
_TRADE, _BOOK, _NOTICE, _OLD_NOTICE = 46, 59, 26, 23  # columns of a record as first published; before 2026-02


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


class OrderNotice(NamedTuple):
    """주식체결통보: what became of an order. Quantities are of this notice alone; there is no execution number.

    `quantity` and `price` are those of the fill (`executed`), else of the order. Its repr has no account.
    """

    account: str  # ten digits, product included
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

    def __repr__(self) -> str:
        return f"OrderNotice({self.kind} {self.number} {self.symbol} {self.side} {self.quantity} at {self.price})"

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


def _rows(feed: str, count: int, payload: str, least: int) -> list[list[str]]:
    """The columns of each record. `least`: how many a record has at least."""
    columns = payload.split("^")
    width = _width(feed, count, len(columns), least)
    return [columns] if count == 1 else [columns[at : at + width] for at in range(0, len(columns), width)]


def _width(feed: str, count: int, columns: int, least: int) -> int:
    """Columns of a record."""
    width, left = divmod(columns, count)
    if left or not least <= width < 2 * least:
        raise BadFrame("WIDTH", f"{feed}: {columns} columns for {count} records of {least} or a few more")
    return width


# --- trades -----------------------------------------------------------------------------------------------------------

_TRADE_FEEDS: Final = frozenset((*TRADES.values(), ELW_TRADES))
_BOOK_FEEDS: Final = frozenset((*BOOKS.values(), ELW_BOOKS))
_IN_SESSION: Final = ("0", "")
_new = object.__new__  # a frozen dataclass's own __init__ takes twice the time
_SYMBOL, _TIME, _PRICE, _VOLUME, _GENERATION, _AUCTION = (
    Tick.__dict__[name].__set__ for name in ("symbol", "time", "price", "volume", "generation", "auction")
)


def _trades(feed: str, count: int, payload: str, day: Day, generation: int) -> Trades:
    columns = payload.split("^")
    width = _width(feed, count, len(columns), _TRADE)
    ascii_, calls_told = payload.isascii(), feed != ELW_TRADES
    ticks: list[Tick] = []
    totals: list[int] = []
    expected: list[bool] = []
    for at in range(0, len(columns), width):
        told, total = columns[at + 33], columns[at + 13]  # a total is another each time: it is not kept
        midnight = day.midnight if told == day.text else midnights[told]
        tick: Tick = _new(Tick)
        _SYMBOL(tick, symbols[columns[at]])
        _TIME(tick, midnight + clocks[columns[at + 1]])
        _PRICE(tick, prices[columns[at + 2]])
        _VOLUME(tick, wholes[columns[at + 12]])
        _GENERATION(tick, generation)
        _AUCTION(tick, columns[at + 21] == "3")
        ticks.append(tick)
        totals.append(int(total) if ascii_ and total.isdigit() and len(total) <= LONG else whole(total))
        expected.append(calls_told and columns[at + 43] not in _IN_SESSION)
    return Trades(feed, ticks, totals, expected)


# --- books ------------------------------------------------------------------------------------------------------------

_SIGNS: Final = frozenset(("", "0", "1", "2", "3", "4", "5"))  # ANTC_CNTG_VRSS_SIGN
_ELW_BOOK: Final = 73  # columns of a record
_LONG_BOOK: Final = 20 * 15  # digits of all quantities of a book


def _books(feed: str, count: int, payload: str, day: Day, generation: int) -> Books:
    least, called, sign = (_ELW_BOOK, 45, 47) if feed == ELW_BOOKS else (_BOOK, 47, 51)
    quotes = []
    for row in _rows(feed, count, payload, least):
        asks, bids, shares = _asks["^".join(row[3:13])], _bids["^".join(row[13:23])], _quantities(row[23:43])
        if row[sign] not in _SIGNS:
            raise BadFrame("VALUE", f"{feed}: columns of a book that are not where they belong")
        print_ = float(plain(row[called])) if row[2] not in _IN_SESSION and row[called].strip() else 0.0
        quotes.append(
            Quote(
                symbols[row[0]], day.midnight + clocks[row[1]], _side(bids, shares[10:]), _side(asks, shares[:10]),
                generation, print_ if print_ > 0.0 else None,
            )
        )  # fmt: skip
    return Books(feed, quotes)


def _ladder(said: str, away: Callable[[float, float], bool]) -> tuple[float, ...]:
    """Ten prices of one side, nearest first, 0.0 where there is none. They lead `away` from the market."""
    found = tuple(float(whole_or_none(each)) for each in said.split("^"))
    there = [price for price in found if price > 0.0]
    if not all(map(away, there, there[1:])):
        raise BadFrame("VALUE", "prices of a book that are not in their order")
    return found


_asks: Final = Seen(functools.partial(_ladder, away=lt))
_bids: Final = Seen(functools.partial(_ladder, away=gt))


def _quantities(said: list[str]) -> list[int]:
    """Of all levels; they are others each time, and are not kept."""
    digits = "".join(said)
    if digits.isdigit() and digits.isascii() and len(digits) <= _LONG_BOOK and "" not in said:
        return list(map(int, said))
    return list(map(whole_or_none, said))


def _side(ladder: tuple[float, ...], shares: list[int]) -> tuple[tuple[float, int], ...]:
    """Levels of one side; those without a price are none."""
    found = tuple(zip(ladder, shares, strict=True))
    return tuple(level for level in found if level[0] > 0.0) if 0.0 in ladder else found


# --- notices ----------------------------------------------------------------------------------------------------------


_changes: Final = one_of({"0": "new", "1": "modify", "2": "cancel"}, "RCTF_CLS")
_sides: Final = one_of({"01": Side.SELL, "02": Side.BUY}, "SELN_BYOV_CLS")
_refused: Final = one_of({"0": False, "1": True, "N": False, "Y": True}, "RFUS_YN")
_executed: Final = one_of({"1": False, "2": True}, "CNTG_YN")
_states: Final = one_of({"1": "1", "2": "2", "3": "3"}, "ACPT_YN")
_venues: Final = one_of({"": "KRX", "1": "KRX", "2": "NXT", "3": "KRX", "4": "NXT"}, "ORD_EXG_GB")  # 3, 4: by SOR


def _notice(row: list[str], day: Day) -> OrderNotice:
    """One record: 26 columns, or 23 as until February 2026. What an order is known by must be whole."""
    if not (len(row) == _OLD_NOTICE or len(row) >= _NOTICE):
        raise BadFrame("WIDTH", f"a notice of {len(row)} columns, expected {_OLD_NOTICE}, or {_NOTICE} and more")
    old = len(row) == _OLD_NOTICE
    account, original = row[1].strip(), row[3].strip()
    try:
        number, original_number = number_of(row[2].strip()), number_of(original) if original.strip("0") else None
    except BadData as problem:
        raise BadFrame("VALUE", f"a notice: {problem}") from None
    if not (len(account) == 10 and account.isascii() and account.isdigit()):
        raise BadFrame("VALUE", "a notice whose account is not of ten digits")
    return OrderNotice(
        account=account, number=number, original=original_number, side=_sides[row[4]], change=_changes[row[5]],
        code=row[6].strip(), symbol=symbols[row[8].strip()], quantity=wholes[row[9]],
        price=float(wholes_or_none[row[10]]), time=day.midnight + clocks[row[11].strip()], rejected=_refused[row[12]],
        executed=_executed[row[13]], state=_states[row[14]], branch=row[15].strip(),
        order_quantity=wholes_or_none[row[16]], order_price=float(wholes_or_none[row[22 if old else 25]]),
        venue="KRX" if old else _venues[row[19]],
    )  # fmt: skip


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
