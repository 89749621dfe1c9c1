"""The Korea Exchange's rules for a price on a day: tick, limits, base price, sale tax, session.

Contract: pure; numpy only. Every argument may be one value or many: prices as numbers, arrays or pandas Series; dates
as text, date, Timestamp or datetime64; markets as names, labels ("KOSDAQ GLOBAL", "코스닥") or market ids. They
broadcast. One value in, a float out; arrays in, a float64 array out. Prices are won, rates fractions, dates trade dates
in Korea. BadData names a date, price or market that cannot be read. NaN is not an error: NaN comes out, and both
limits are NaN around a base that is not positive.
Facts and sources: `tables`; the same rules compiled: `kernels`.

>>> tick_size(2_000, "2023-01-24"), tick_size(2_000, "2023-01-25"), tick_size(1_999, "2023-01-25")
(5.0, 5.0, 1.0)
>>> price_limits(239_000, "2024-01-02")
(167500.0, 310500.0)
>>> sale_tax_rate(["2025-12-26", "2025-12-29"], market="KOSDAQ").tolist()
[0.0015, 0.002]
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from quantkit.errors import BadData
from quantkit.market import KRX_MARKETS, MARKET_ID, grid
from quantkit.market.calendar import Session, session
from quantkit.market.days import epoch_days
from quantkit.market.instruments import market_ids
from quantkit.market.rules import epoch_day, rule_rows, rule_tables, tax_parts
from quantkit.market.signatures import (
    band_rule,
    limit_rule,
    numbers,
    plain,
    price_rule,
    rate_parts_rule,
    rate_rule,
)
from quantkit.market.tables import IPO_BAND_SINCE, LOT_SIZES

if TYPE_CHECKING:
    from quantkit.market.days import Date, Dates
    from quantkit.market.rules import FloatArray, IntArray
    from quantkit.market.signatures import Labels, Number, Numbers

__all__ = [
    "Session", "base_price", "ceil_tick", "floor_tick", "ipo_band", "lot_size", "price_limits",
    "sale_tax_parts", "sale_tax_rate", "session", "tick_size",
]  # fmt: skip

_KRX_IDS = [MARKET_ID[name] for name in KRX_MARKETS]
_TAX_RATE = rule_tables(np.zeros(0, dtype=np.int64)).tax_rate
_SECURITIES, _RURAL = tax_parts()


def _where(date: Date | Dates, market: str | Labels) -> tuple[IntArray, IntArray]:
    """(rule rows, market ids), checked to be Korean."""
    ids = market_ids(market)
    if not np.isin(ids, _KRX_IDS).all():
        raise BadData(f"market={market!r:.60}: expected one of {', '.join(KRX_MARKETS)}")
    return rule_rows(epoch_days(date)), ids


@price_rule
def tick_size(price: Number | Numbers, date: Date | Dates, market: str | Labels = "KOSPI") -> float | FloatArray:
    """The tick of the band that `price` is in. A band starts at its lower bound: from 2010 on, 5,000 moves in tens."""
    rows, ids = _where(date, market)
    return plain(grid.ticks(rows, ids, numbers("price", price)))


@price_rule
def floor_tick(price: Number | Numbers, date: Date | Dates, market: str | Labels = "KOSPI") -> float | FloatArray:
    """The nearest price of the grid at or below `price`."""
    rows, ids = _where(date, market)
    return plain(grid.floor_prices(rows, ids, numbers("price", price)))


@price_rule
def ceil_tick(price: Number | Numbers, date: Date | Dates, market: str | Labels = "KOSPI") -> float | FloatArray:
    """The nearest price of the grid at or above `price`."""
    rows, ids = _where(date, market)
    return plain(grid.ceil_prices(rows, ids, numbers("price", price)))


@price_rule
def base_price(price: Number | Numbers, date: Date | Dates, market: str | Labels = "KOSPI") -> float | FloatArray:
    """`price` as the exchange's base price (기준가) of `date`: cut to the won, then raised to the grid.

    For an ordinary day `price` is the last close; only a mid-price close (since 2025-03-04) is off the grid. For an
    ex-rights day it is the formula's price, (cum price x old shares + issue price x new shares) / all shares; for a
    split, close x ratio. A cash dividend does not change the base. (KOSPI rules 30(1), 30(3); KOSDAQ rules 17(1))
    """
    rows, ids = _where(date, market)
    return plain(grid.ceil_prices(rows, ids, np.floor(numbers("price", price) + grid.TOLERANCE)))


@limit_rule
def price_limits(
    base: Number | Numbers,
    date: Date | Dates,
    market: str | Labels = "KOSPI",
    *,
    leverage: Number | Numbers = 1.0,
) -> tuple[float | FloatArray, float | FloatArray]:
    """(lower, upper) limit price of the day around its base price; (0, inf) where there is no limit (ELW).

    width = base x rate, cut to the tick of the base, at least one tick; upper = base + width, cut to the grid where it
    lands; lower = base - width, raised to the grid, at least the smallest tick. `leverage` is a fund's multiple: its
    size multiplies the rate, below 1 it counts as 1. First days and liquidation trading have other limits: `ipo_band`,
    and none. (KOSPI rules 20(2) and 31; KOSDAQ rules 14(2) and 17-2)
    """
    rows, ids = _where(date, market)
    lower, upper = grid.limit_prices(rows, ids, numbers("base", base), numbers("leverage", leverage))
    return plain(lower), plain(upper)


@band_rule
def ipo_band(
    offer: Number | Numbers, date: Date | Dates, market: str | Labels = "KOSPI"
) -> tuple[float | FloatArray, float | FloatArray]:
    """(lowest, highest) price of a first trading day with offer price `offer`.

    From 2023-06-26: 60 % to 400 % of the offer (KOSPI rules 31(3); observed). Before: the opening price lay between
    90 % and 200 % and the day's limits stood around that opening price (general knowledge), so the answer is the
    lower limit around 90 % and the upper limit around 200 %.
    """
    rows, ids = _where(date, market)
    price = numbers("offer", offer)
    ones = np.ones(())
    low_open, high_open = grid.ceil_prices(rows, ids, price * 0.9), grid.floor_prices(rows, ids, price * 2.0)
    lower = grid.limit_prices(rows, ids, low_open, ones)[0]
    upper = grid.limit_prices(rows, ids, high_open, ones)[1]
    wide = epoch_days(date) >= epoch_day(IPO_BAND_SINCE)
    lower = np.where(wide, grid.ceil_prices(rows, ids, price * 0.6), lower)
    upper = np.where(wide, grid.floor_prices(rows, ids, price * 4.0), upper)
    return plain(lower), plain(upper)


@rate_rule
def sale_tax_rate(date: Date | Dates, market: str | Labels = "KOSPI") -> float | FloatArray:
    """Tax on a sale, as a fraction of its value, by trade date: securities transaction tax and rural tax together.

    The law dates a rate by the transfer, two trading days after the trade; the dates here are those of the trades.
    """
    rows, ids = _where(date, market)
    return plain(_TAX_RATE[rows, ids])


@rate_parts_rule
def sale_tax_parts(date: Date | Dates, market: str | Labels = "KOSPI") -> tuple[float | FloatArray, float | FloatArray]:
    """(securities transaction tax, special rural tax) of `sale_tax_rate`."""
    rows, ids = _where(date, market)
    return plain(_SECURITIES[rows, ids]), plain(_RURAL[rows, ids])


def lot_size(market: str = "KOSPI") -> int:
    """Shares in a lot: 1, and 10 for ELWs. KOSPI's lots of ten shares before 2014-06-02 are not modelled."""
    name = KRX_MARKETS[int(_where("2024-01-02", market)[1])]
    return LOT_SIZES.get(name, 1)
