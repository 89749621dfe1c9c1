"""Finished bars of an exchange, as a broker's chart shows them: everything that traded, ours too.

Contract: a bar of length d that ends at t holds the trades of [t - d, t). The last bar of a session, and the daily one,
end with its close, hold the closing print, which comes up to half a minute later, and are finished by it. Only finished
bars with a trade are told. Days before the source's first come from the source's own history.
"""

from __future__ import annotations

from bisect import bisect_right
from typing import TYPE_CHECKING, Final

from quantkit.data.stamps import step_us
from quantkit.emulator.prints import ends_at
from quantkit.emulator.session import DAY, session_clock

if TYPE_CHECKING:
    from quantkit.emulator.exchange import Exchange
    from quantkit.trading.ports import Candle

_WHOLE: Final = 1 << 62  # a length that no day ends before


def candles(exchange: Exchange, symbol: str, freq: str, since: int, until: int) -> list[Candle]:
    """Bars of one name that end in (since, until], by now; "1d" or a length within the day such as "1m"."""
    days = exchange.source.days()
    before = min(until, session_clock(days[0]).orders - 1)
    found = list(exchange.source.history(symbol, freq, since, before)) if since < before else []
    step = _WHOLE if freq == "1d" else step_us(freq) * 1_000
    for day in days:
        clock = session_clock(day)
        if clock.orders <= min(until, exchange.now) and clock.close + DAY > since:
            last = clock.close if freq == "1d" else -(-clock.close // step) * step
            bars = _ended(exchange, symbol, day, step, last)
            found += bars[bisect_right(bars, since, key=ends_at) : bisect_right(bars, until, key=ends_at)]
    return found


def _ended(exchange: Exchange, symbol: str, day: int, step: int, last: int) -> list[Candle]:
    """A day's bars that have ended by now; the last one by its print."""
    if day != exchange.day:
        return exchange.past.bars(symbol, day, step, last)
    issue = exchange.issues.get(symbol)
    if issue is None:
        return []
    now = exchange.now
    return issue.traded().bars(step, last, until=now if issue.phase == "after" else min(now, last - 1))
