"""Frames of the stream: ticks, books and order notices in KIS's order of columns, and how notices are encrypted.

Contract: pure. A profile of columns: "2025" (46 of a tick, 59 of a book, 23 of a notice), "2026-02" (46, 59, 26) or
"2026-09" (47, 63, 26). A data frame is `F|TR|NNN|a^b^...`, the columns of NNN records one after another.
"""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Final

from cryptography.hazmat.primitives import padding
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from quantkit.emulator.kis import codes
from quantkit.emulator.kis.envelope import number, signed
from quantkit.emulator.session import hhmmss
from quantkit.market.days import date_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from quantkit.emulator.issue import Issue
    from quantkit.trading.ports import Quote, Tick

UNIFIED_BOOK: Final = 65
COLUMNS: Final = {"2025": (46, 59, 23), "2026-02": (46, 59, 26), "2026-09": (47, 63, 26)}
ELW_TRADE, ELW_BOOK = 63, 73


def frame(tr: str, records: Sequence[str], *, encrypt: tuple[str, str] | None = None) -> str:
    """Records as one frame. encrypt: key and iv of its registration."""
    payload = "^".join(records)
    if encrypt is None:
        return f"0|{tr}|{len(records):03d}|{payload}"
    return f"1|{tr}|{len(records):03d}|{encrypted(payload, *encrypt)}"


def encrypted(payload: str, key: str, iv: str) -> str:
    """AES-256-CBC with PKCS7, base64; key of 32 and iv of 16 ASCII characters."""
    pad = padding.PKCS7(128).padder()
    padded = pad.update(payload.encode()) + pad.finalize()
    cipher = Cipher(algorithms.AES(key.encode()), modes.CBC(iv.encode())).encryptor()
    return base64.b64encode(cipher.update(padded) + cipher.finalize()).decode()


class Running:
    """What a name did so far on a day, trade by trade."""

    def __init__(self, issue: Issue, day: int) -> None:
        self.issue, self.day = issue, day
        self.code, self.is_elw = codes.coded(issue.symbol, issue.market), issue.market == "ELW"
        self.date = f"{date_of(day):%Y%m%d}"
        self.count = 0
        self.opened = self.high = self.low = 0.0
        self.times = ["", "", ""]
        self.volume = self.value = 0
        self.bought = self.sold = 0
        self.trades = [0, 0]
        self._last = issue.facts.base

    def follow(self) -> None:
        """Take in what traded while nobody heard of it."""
        for trade in self.issue.trades()[self.count :]:
            self.add(*trade)

    def add(self, time: int, price: float, shares: int) -> None:
        """One trade more."""
        clock = hhmmss(time)
        self.count += 1
        if not self.opened:
            self.opened = self.high = self.low = price
            self.times = [clock] * 3
        if price > self.high:
            self.high, self.times[1] = price, clock
        if price < self.low:
            self.low, self.times[2] = price, clock
        self.volume += shares
        self.value += round(price * shares)
        up = price >= self._last
        self.trades[0 if up else 1] += 1
        if up:
            self.bought += shares
        else:
            self.sold += shares
        self._last = price

    def record(self, tick: Tick, quote: Quote, *, columns: str) -> str:
        """A tick as the record of H0STCNT0, an ELW's as that of H0EWCNT0; it was added before."""
        base = self.issue.facts.base
        change = tick.price - base
        sign = "1" if tick.price >= self.issue.upper else "4" if tick.price <= self.issue.lower else signed(change)
        ask, bid = quote.asks[0] if quote.asks else (0.0, 0), quote.bids[0] if quote.bids else (0.0, 0)
        asks, bids = sum(shares for _, shares in quote.asks), sum(shares for _, shares in quote.bids)
        total = self.bought + self.sold
        marks = [(self.times[k], price) for k, price in enumerate((self.opened, self.high, self.low))]
        fields = [
            self.code, hhmmss(tick.time), number(tick.price), sign, number(change),
            number(change / base * 100, 2), number(self.value / self.volume, 2), number(self.opened),
            number(self.high), number(self.low), number(ask[0]), number(bid[0]), number(tick.volume),
            number(self.volume), number(self.value), number(self.trades[1]), number(self.trades[0]),
            number(self.trades[0] - self.trades[1]), number(self.bought / self.sold * 100 if self.sold else 0, 2),
            number(self.sold), number(self.bought), "3" if tick.auction else "1" if tick.price >= ask[0] > 0 else "5",
            number(self.bought / total if total else 0, 2), "0.00",
            *(word for clock, price in marks
              for word in (clock, signed(tick.price - price), number(tick.price - price))),
            self.date, "20", "N", number(ask[1]), number(bid[1]), number(asks), number(bids), "0.00", "0", "0.00", "0",
            "", number(base),
        ]  # fmt: skip
        if self.is_elw:
            return "^".join([*fields[:40], *["0"] * (ELW_TRADE - 40)])
        if COLUMNS[columns][0] > len(fields):
            fields.append("2")
        return "^".join(fields)


def book_record(quote: Quote, running: Running, *, columns: str, unified: bool = False) -> str:
    """A book as the record of H0STASP0, an ELW's as that of H0EWASP0; of H0UNASP0 with six columns more behind."""
    asks = [*quote.asks[:10], *[(0.0, 0)] * (10 - len(quote.asks[:10]))]
    bids = [*quote.bids[:10], *[(0.0, 0)] * (10 - len(quote.bids[:10]))]
    expected = quote.expected or 0.0
    change = expected - running.issue.facts.base if expected else 0.0
    fields = [
        running.code, hhmmss(quote.time), "C" if expected else "0",
        *(number(price) for price, _ in asks), *(number(price) for price, _ in bids),
        *(number(shares) for _, shares in asks), *(number(shares) for _, shares in bids),
        number(sum(shares for _, shares in asks)), number(sum(shares for _, shares in bids)), "0", "0",
        number(expected), "0", "0", number(change), signed(change), number(change / running.issue.facts.base * 100, 2),
        number(running.volume), "0", "0", "0", "0", "0",
    ]  # fmt: skip
    if running.is_elw:
        called = [fields[47], fields[48], fields[51], fields[50], fields[52]]
        return "^".join([*fields[:45], *called, *["0"] * (ELW_BOOK - 51), fields[49]])
    width = UNIFIED_BOOK if unified else COLUMNS[columns][1]
    fields += ["0"] * (width - len(fields))
    if width == 63:
        fields[-1] = "2"  # MARKET_CLS_CODE: in session
    return "^".join(fields)


def notice_record(given: dict[str, str], *, columns: str) -> str:
    """An order notice as the record of H0STCNI0: 26 columns, 23 before February 2026."""
    names: tuple[str, ...]
    first = ("CUST_ID", "ACNT_NO", "ODER_NO", "OODER_NO", "SELN_BYOV_CLS", "RCTF_CLS", "ODER_KIND", "ODER_COND",
             "STCK_SHRN_ISCD", "CNTG_QTY", "CNTG_UNPR", "STCK_CNTG_HOUR", "RFUS_YN", "CNTG_YN", "ACPT_YN", "BRNC_NO",
             "ODER_QTY", "ACNT_NAME")  # fmt: skip
    if COLUMNS[columns][2] == 23:
        names = (*first, "CNTG_ISNM", "CRDT_CLS", "CRDT_LOAN_DATE", "CNTG_ISNM40", "ODER_PRC")
    else:
        names = (*first, "ORD_COND_PRC", "ORD_EXG_GB", "POPUP_YN", "FILLER", "CRDT_CLS", "CRDT_LOAN_DATE",
                 "CNTG_ISNM40", "ODER_PRC")  # fmt: skip
    return "^".join(given.get(name, "") for name in names)
