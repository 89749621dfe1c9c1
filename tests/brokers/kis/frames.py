"""Frames as KIS writes them, for tests: records by column, sealed or plain."""

from __future__ import annotations

import base64
from collections.abc import Sequence

from cryptography.hazmat.primitives import padding
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

KEY, IV = "0123456789abcdef" * 2, "fedcba9876543210"
DATE = "20260105"


def frame(feed: str, *records: Sequence[str], sealed: bool = False) -> str:
    """A data frame of these records."""
    payload = "^".join("^".join(record) for record in records)
    head = f"{int(sealed)}|{feed}|{len(records):03d}|"
    return head + (seal(payload) if sealed else payload)


def seal(text: str | bytes, key: str = KEY, iv: str = IV) -> str:
    """AES-256-CBC with PKCS7, in Base64."""
    data = text.encode() if isinstance(text, str) else text
    pad = padding.PKCS7(128).padder()
    cipher = Cipher(algorithms.AES(key.encode()), modes.CBC(iv.encode())).encryptor()
    return base64.b64encode(cipher.update(pad.update(data) + pad.finalize()) + cipher.finalize()).decode()


def trade(
    *, symbol: str = "005930", clock: str = "093015", price: str = "70000", volume: str = "15", total: str = "1234567",
    initiator: str = "1", date: str = DATE, hour: str = "0", more: Sequence[str] = ("2",),
) -> list[str]:  # fmt: skip
    """A record of H0STCNT0: 46 columns and those that came later."""
    return [
        symbol, clock, price, "2", "500", "0.72", "69950.12", "69500", "70200", "69400", "70100", "70000", volume,
        total, "86000000000", "1000", "1200", "200", "120.50", "500000", "600000", initiator, "0.55", "98.10",
        "090000", "2", "500", "091000", "5", "-200", "092000", "2", "600", date, "20", "N", "1000", "1500", "100000",
        "120000", "0.02", "1000000", "123.45", hour, "", "69500", *more,
    ]  # fmt: skip


def book(
    *, symbol: str = "005930", clock: str = "093015", hour: str = "0", asks: Sequence[tuple[int, int]] | None = None,
    bids: Sequence[tuple[int, int]] | None = None, expected: str = "0", sign: str = "3", more: int = 4,
) -> list[str]:  # fmt: skip
    """A record of H0STASP0: 59 columns and as many as came later."""
    far = [(0, 0)] * 10
    up = [*([(70_100 + 100 * k, 10 + k) for k in range(10)] if asks is None else asks), *far][:10]
    down = [*([(70_000 - 100 * k, 20 + k) for k in range(10)] if bids is None else bids), *far][:10]
    return [
        symbol, clock, hour, *(str(p) for p, _ in up), *(str(p) for p, _ in down), *(str(q) for _, q in up),
        *(str(q) for _, q in down), "145", "245", "0", "0", expected, "0", "0", "-500", sign, "-0.71", "1234567",
        *["0"] * (5 + more),
    ]  # fmt: skip


def notice(
    *, number: str = "0000117057", original: str = "", side: str = "02", change: str = "0", code: str = "00",
    symbol: str = "005930", quantity: str = "0000000010", price: str = "000070000", clock: str = "093015",
    refused: str = "0", executed: str = "2", state: str = "2", account: str = "1234567801", venue: str = "1",
    name: str = "삼성전자", old: bool = False,
) -> list[str]:  # fmt: skip
    """A record of H0STCNI0: 26 columns, or 23 as in 2025."""
    first = ["planted-hts-id", account, number, original, side, change, code, "0", symbol, quantity, price, clock,
             refused, executed, state, "91252", "000000010", "홍길동"]  # fmt: skip
    last = ["10", "", name, "000070000"]
    return [*first, *([name] if old else ["000000000", venue, "Y", ""]), *last]
