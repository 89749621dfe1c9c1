"""Finished bars of an exchange, as a broker's chart shows them: everything that traded, ours too.

Contract: a bar of length d that ends at t holds the trades of [t - d, t). The last bar of a session, and the daily one,
end with its close, hold the closing print, which comes up to half a minute later, and are finished by it. Only finished
bars with a trade are told. Days before the source's first come from the source's own history.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from quantkit.data.stamps import step_us
from quantkit.emulator.session import day_of, session_clock
from quantkit.trading.ports import Candle

if TYPE_CHECKING:
    from collections.abc import Iterable

    from quantkit.emulator.exchange import Exchange

Trade = tuple[int, float, int]


def candles(exchange: Exchange, symbol: str, freq: str, since: int, until: int) -> list[Candle]:
    """Bars of one name that end in (since, until], by now; "1d" or a length within the day such as "1m"."""
    days = exchange.source.days()
    found = list(exchange.source.history(symbol, freq, since, min(until, session_clock(days[0]).orders - 1)))
    for day in days:
        clock = session_clock(day)
        late = clock.close + 86_400 * 10**9
        if clock.orders > min(until, exchange.now) or late <= since:
            continue
        trades = _trades(exchange, symbol, day)
        done = day != exchange.day or exchange.issues[symbol].phase == "after" if trades else False
        if freq == "1d":
            if done and since < clock.close <= until:
                found.append(candle_of(symbol, clock.close, trades))
            continue
        step = step_us(freq) * 1_000
        last = -(-clock.close // step) * step
        found += _cut(
            symbol, trades, step, since, min(until, exchange.now if done else min(exchange.now, last - 1)), last
        )
    return found


def _cut(symbol: str, trades: Iterable[Trade], step: int, since: int, until: int, last: int) -> list[Candle]:
    bars: dict[int, list[Trade]] = {}
    for trade in trades:
        end = min((trade[0] // step + 1) * step, last)
        if since < end <= until:
            bars.setdefault(end, []).append(trade)
    return [candle_of(symbol, end, inside) for end, inside in sorted(bars.items())]


def candle_of(symbol: str, end: int, trades: list[Trade]) -> Candle:
    """Trades of one name, at least one, as a bar."""
    prices = [price for _, price, _ in trades]
    shares = sum(part for _, _, part in trades)
    value = sum(price * part for _, price, part in trades)
    return Candle(symbol, end, prices[0], max(prices), min(prices), prices[-1], shares, value)


def _trades(exchange: Exchange, symbol: str, day: int) -> list[Trade]:
    """What traded on a day that has begun."""
    if day == exchange.day:
        issue = exchange.issues.get(symbol)
        return [] if issue is None else issue.trades()
    if day_of(exchange.now) <= day or (symbol, day) not in exchange.past:
        return []
    own, clip = exchange.past[symbol, day]
    flow = exchange.source.day(day)[symbol].flow
    rows = zip(flow.times.tolist(), flow.prices.tolist(), flow.volumes.tolist(), strict=True)
    kept = [row for place, row in enumerate(rows) if place not in clip]
    return sorted([*kept, *own], key=lambda trade: trade[0])
