"""What traded is counted once: totals, bars and books are what counting everything again would give."""

from __future__ import annotations

from contextlib import suppress

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from quantkit.emulator.candles import candles
from quantkit.emulator.exchange import Exchange
from quantkit.emulator.prints import candle_of
from quantkit.emulator.session import SECOND, session_clock
from quantkit.errors import Refused
from quantkit.trading.orders import OrderType, Side
from quantkit.trading.ports import Candle
from tests.emulator.markets import MINUTE
from tests.emulator.test_invariants import market, play, scripts

LENGTHS = {"1m": 1, "7m": 7, "30m": 30}


def charts(on: Exchange) -> dict[tuple[str, str], list[Candle]]:
    """Every chart of every name so far."""
    asked = [(symbol, freq) for symbol in on.source.symbols for freq in (*LENGTHS, "1d")]
    return {(symbol, freq): candles(on, symbol, freq, 0, on.now) for symbol, freq in asked}


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(script=scripts, seed=st.integers(0, 5), every=st.integers(3, 90))
def test_charts_asked_for_along_the_way_are_those_of_the_end(script: list[tuple], seed: int, every: int) -> None:
    once, again = market(seed), market(seed)
    first, last = (session_clock(day) for day in once.source.days())
    for time in range(first.open, last.close + 5 * MINUTE, every * MINUTE):
        again.later(time, lambda: charts(again))
    play(once, script)
    play(again, script)
    found = charts(again)
    assert found == charts(once)
    for issue in again.issues.values():
        prints, trades = issue.traded(), issue.trades()
        assert trades == sorted(trades, key=lambda trade: trade[0])
        assert prints.volume == sum(shares for _, _, shares in trades)
        assert prints.value == sum(price * shares for _, price, shares in trades)
        if trades:
            prices = [price for _, price, _ in trades]
            assert prints.prices == (prices[0], max(prices), min(prices))
            assert found[issue.symbol, "1d"][-1] == candle_of(issue.symbol, last.close, trades)
        for freq, minutes in LENGTHS.items():
            assert [bar for bar in found[issue.symbol, freq] if bar.close_time > last.orders] == by_hand(
                issue.symbol, trades, minutes * MINUTE, -(-last.close // (minutes * MINUTE)) * minutes * MINUTE
            )


def by_hand(symbol: str, trades: list[tuple[int, float, int]], length: int, last: int) -> list[Candle]:
    groups: dict[int, list[tuple[int, float, int]]] = {}
    for trade in trades:
        groups.setdefault(min((trade[0] // length + 1) * length, last), []).append(trade)
    return [candle_of(symbol, end, inside) for end, inside in groups.items()]


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 5), at=st.integers(1, 380), step=st.integers(-3, 3), shares=st.integers(0, 400))
def test_a_book_is_seen_as_an_order_would_meet_it(seed: int, at: int, step: int, shares: int) -> None:
    made = market(seed)
    made.advance(session_clock(made.source.days()[0]).open + at * MINUTE + SECOND)
    issue = made.issues[made.source.symbols[0]]
    if shares:
        price = issue.grid.floor(issue.last) + step * issue.grid.tick(issue.last)
        with suppress(Refused):
            made.submit("a", issue.symbol, Side.BUY, shares, type=OrderType.LIMIT, price=price)
    made.advance(made.now + 90 * SECOND)
    seen, again = made.quote(issue.symbol, levels=5), made.quote(issue.symbol, levels=5)
    assert seen == again
    if issue.phase == "continuous":
        book = issue.quote()
        assert (list(seen.bids), list(seen.asks)) == (book.levels(1, 5), book.levels(-1, 5))
        assert seen.bids or seen.asks


def test_a_day_that_is_over_keeps_what_we_traded_in_it() -> None:
    made = market(1)
    days = made.source.days()
    made.advance(session_clock(days[0]).open + 60 * MINUTE)
    symbol = made.source.symbols[0]
    made.submit("a", symbol, Side.BUY, 777, type=OrderType.MARKET)
    made.advance(session_clock(days[0]).close + 5 * MINUTE)
    before = charts(made)
    made.advance(session_clock(days[1]).orders)
    assert charts(made) == before
    assert before[symbol, "1d"][-1].volume == sum(bar.volume for bar in before[symbol, "1m"])
