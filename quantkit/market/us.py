"""US stocks, with the functions of `krx`: cent ticks, no daily limits, no sale tax, New York sessions.

Contract: as `krx`, with one market. Prices are dollars. Times are New York. Quotes finer than a cent (below one dollar,
and the fractions before 2001) are not modelled, nor are the fees of the SEC and FINRA. `session` loads
exchange-calendars on its first call, which takes more than a second; nothing else here does.

>>> tick_size(180.5, "2012-01-03"), floor_tick(180.509, "2012-01-03"), sale_tax_rate("2012-01-03")
(0.01, 180.5, 0.0)
>>> price_limits(180.5, "2012-01-03")
(0.0, inf)
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

import numpy as np

from quantkit.errors import BadData
from quantkit.market import MARKET_ID, grid
from quantkit.market.calendar import Session, public_calendar
from quantkit.market.days import epoch_days
from quantkit.market.instruments import market_ids
from quantkit.market.rules import rule_rows
from quantkit.market.signatures import limit_rule, numbers, plain, price_rule, rate_rule

if TYPE_CHECKING:
    from exchange_calendars import ExchangeCalendar

    from quantkit.market.days import Date, Dates
    from quantkit.market.rules import FloatArray, IntArray
    from quantkit.market.signatures import Labels, Number, Numbers

__all__ = [
    "Session", "ceil_tick", "floor_tick", "lot_size", "price_limits", "sale_tax_rate", "session", "tick_size",
]  # fmt: skip


def _where(date: Date | Dates, market: str | Labels) -> tuple[IntArray, IntArray]:
    ids = market_ids(market)
    if (ids != MARKET_ID["US"]).any():
        raise BadData(f"market={market!r:.60}: expected US")
    return rule_rows(epoch_days(date)), ids


@price_rule
def tick_size(price: Number | Numbers, date: Date | Dates, market: str | Labels = "US") -> float | FloatArray:
    """One cent."""
    return plain(grid.ticks(*_where(date, market), numbers("price", price)))


@price_rule
def floor_tick(price: Number | Numbers, date: Date | Dates, market: str | Labels = "US") -> float | FloatArray:
    """The nearest cent at or below `price`."""
    return plain(grid.floor_prices(*_where(date, market), numbers("price", price)))


@price_rule
def ceil_tick(price: Number | Numbers, date: Date | Dates, market: str | Labels = "US") -> float | FloatArray:
    """The nearest cent at or above `price`."""
    return plain(grid.ceil_prices(*_where(date, market), numbers("price", price)))


@limit_rule
def price_limits(
    base: Number | Numbers, date: Date | Dates, market: str | Labels = "US", *, leverage: Number | Numbers = 1.0
) -> tuple[float | FloatArray, float | FloatArray]:
    """(0, inf): there is no daily limit."""
    lower, upper = grid.limit_prices(*_where(date, market), numbers("base", base), numbers("leverage", leverage))
    return plain(lower), plain(upper)


@rate_rule
def sale_tax_rate(date: Date | Dates, market: str | Labels = "US") -> float | FloatArray:
    """0: sales are not taxed."""
    rows, ids = _where(date, market)
    return plain(np.zeros(np.broadcast_shapes(rows.shape, ids.shape)))


def lot_size(market: str = "US") -> int:
    """Shares in a lot: 1."""
    _where("2024-01-02", market)
    return 1


@cache
def _calendar() -> ExchangeCalendar:
    return public_calendar("XNYS", start="1980-01-01")


def session(date: Date) -> Session | None:
    """Open and close time of the regular New York session of `date`, or None when the exchange is closed.

    BadData before 1980 and more than a year ahead.
    """
    day, calendar = str(epoch_days(date).astype("datetime64[D]")), _calendar()
    if not str(calendar.first_session)[:10] <= day <= str(calendar.last_session)[:10]:
        known = f"{calendar.first_session:%Y-%m-%d} to {calendar.last_session:%Y-%m-%d}"
        raise BadData(f"date={date!r}: the calendar of the New York exchange covers {known}")
    if not calendar.is_session(day):
        return None
    opens, closes = calendar.session_open(day), calendar.session_close(day)
    return Session(*(moment.tz_convert("America/New_York").time() for moment in (opens, closes)))


def opens_and_closes(days: IntArray) -> tuple[IntArray, IntArray]:
    """(opens, closes) of the New York session of each epoch day, UTC microseconds; -1 where there is none or the
    calendar does not reach."""
    calendar = _calendar()
    known = calendar.sessions.to_numpy().astype("datetime64[D]").astype(np.int64)
    place = np.minimum(np.searchsorted(known, days), len(known) - 1)
    found = known[place] == days
    moments = (
        column.dt.tz_localize(None).to_numpy().astype("datetime64[us]").astype(np.int64)
        for column in (calendar.opens, calendar.closes)
    )
    opens, closes = (np.where(found, moment[place], -1) for moment in moments)
    return opens, closes
