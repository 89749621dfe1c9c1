"""Column names: what brokers, exchanges and libraries call a field, and what quantkit calls it.

Contract: pure tables and one lookup; no frame library is imported. Matching ignores case, spaces, underscores, dots and
hyphens, so `Adj Close`, `adj_close` and `AdjClose` are one name. An unknown column is ignored, never guessed at.
Used by `frames.from_pandas` and by the importers of the lake.

>>> canonical(["날짜", "종가", "메모"])
{'날짜': 'date', '종가': 'close'}
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from quantkit.errors import BadData

if TYPE_CHECKING:
    from collections.abc import Iterable

PRICES = ("open", "high", "low", "close")

# One line per field: our name, then the spellings met in pykrx, FinanceDataReader, yfinance, KRX downloads and brokers.
NAMES: dict[str, tuple[str, ...]] = {
    "date": ("date", "datetime", "timestamp", "time", "ts", "day", "trddd", "날짜", "일자", "일시", "거래일", "기준일"),
    "symbol": ("symbol", "code", "ticker", "stockcode", "shortcode", "종목코드", "단축코드", "티커", "종목"),
    "open": ("open", "o", "openprice", "시가"),
    "high": ("high", "h", "highprice", "고가"),
    "low": ("low", "l", "lowprice", "저가"),
    "close": ("close", "c", "closeprice", "종가", "현재가"),
    "volume": ("volume", "v", "vol", "거래량"),
    "value": ("value", "amount", "turnover", "tradingvalue", "거래대금"),
    "base": ("base", "baseprice", "기준가", "기준가격"),
    "adj_close": ("adjclose", "adjustedclose", "수정종가"),
    "change": ("change", "changes", "chg", "대비", "전일비"),
    "market": ("market", "marketid", "시장", "시장구분"),
    "name": ("name", "종목명"),
    "shares": ("shares", "stocks", "listedshares", "상장주식수"),
    "market_cap": ("marketcap", "marcap", "시가총액"),
    "status": ("status", "상태"),
}

_LOOKUP = {spelling: name for name, spellings in NAMES.items() for spelling in spellings}
_IGNORED = str.maketrans("", "", " _.-")


def canonical(columns: Iterable[object], *, source: str = "frame") -> dict[object, str]:
    """Map each column that is recognised to quantkit's name for it, in the given order.

    BadData when two columns mean the same field, since picking one would be a guess.
    """
    found: dict[object, str] = {}
    taken: dict[str, object] = {}
    for column in columns:
        name = _LOOKUP.get(str(column).strip().casefold().translate(_IGNORED))
        if name is None:
            continue
        if name in taken:
            raise BadData(f"{source}: columns {taken[name]!r} and {column!r} both mean {name!r}; keep one of them")
        taken[name] = column
        found[column] = name
    return found
