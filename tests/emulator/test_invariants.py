"""What holds whatever is ordered: nothing appears or vanishes, no price is impossible, no promise is broken."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from quantkit.data.bars import Bars
from quantkit.emulator.exchange import BarSource, Exchange, random_bars
from quantkit.emulator.session import SECOND, session_clock
from quantkit.emulator.sources import TickSource
from quantkit.errors import Refused
from quantkit.market.costs import Costs
from quantkit.trading.orders import OrderType, Side, TimeInForce
from quantkit.trading.ports import Tick
from tests.emulator.markets import DAY, MINUTE, SYMBOL, daily, minutes

ACCOUNTS = ("a", "b")
SHARES = 5_000

orders = st.tuples(
    st.just("order"),
    st.sampled_from(ACCOUNTS),
    st.integers(0, 1),
    st.sampled_from(list(Side)),
    st.integers(1, 3_000),
    st.sampled_from(list(OrderType)),
    st.sampled_from(list(TimeInForce)),
    st.integers(-20, 20),
)
cancels = st.tuples(st.just("cancel"), st.sampled_from(ACCOUNTS), st.integers(0, 20), st.integers(0, 500))
replaced = st.tuples(
    st.just("replace"), st.sampled_from(ACCOUNTS), st.integers(0, 20), st.integers(1, 500), st.integers(-20, 20)
)
waits = st.tuples(st.just("wait"), st.sampled_from([0, 1, 20, 60, 200, 3_600]))
stops = st.tuples(st.just("halt"), st.integers(0, 1))
scripts = st.lists(st.one_of(orders, orders, orders, waits, waits, cancels, replaced, stops), max_size=40)


def market(seed: int) -> Exchange:
    bars = random_bars(seed=seed, symbols=2, sessions_count=2, volatility=0.04)
    made = Exchange(BarSource(bars, seed=seed, tick_seconds=60), costs=Costs.kiwoom(), seed=seed)
    for name in ACCOUNTS:
        made.open_account(name, 50_000_000, shares=dict.fromkeys(bars.symbols, SHARES))
    return made


def play(made: Exchange, script: Sequence[tuple], pieces: int = 1) -> list[tuple[int, float, int]]:
    """Carry a script out over two days, checking after every step; all trades."""
    days = made.source.days()
    now = session_clock(days[0]).orders
    made.advance(now)
    numbers: dict[str, list[str]] = {name: [] for name in ACCOUNTS}
    halted: set[str] = set()
    for what, *step in script:
        if what == "wait":
            for piece in range(1, pieces + 1):
                made.advance(now + step[0] * SECOND * piece // pieces)
            now += step[0] * SECOND
        elif what == "halt":
            symbol = made.source.symbols[step[0]]
            (made.resume if symbol in halted else made.halt)(symbol)
            halted ^= {symbol}
        else:
            with suppress(Refused):
                act(made, what, step, numbers)
        check(made)
    trades = []
    for day in days:
        for end in (session_clock(day).closing, session_clock(day).close + 5 * MINUTE):
            for piece in range(1, pieces + 1):
                made.advance(now + (end - now) * piece // pieces)
            now = max(now, end)
            check(made)
        trades += [trade for issue in made.issues.values() for trade in issue.trades()]
        assert all(order.leaves == 0 for order in made.desk.placed.values())
    assert all(account.bound_cash == 0 for account in made.desk.accounts.values())
    return trades


def act(made: Exchange, what: str, step: list, numbers: dict[str, list[str]]) -> None:
    account = step[0]
    if what == "order":
        _, which, side, quantity, type_, tif, away = step
        symbol = made.source.symbols[which]
        issue = made.issues[symbol]
        price = None
        if type_ in (OrderType.LIMIT, OrderType.CONDITIONAL):
            last = issue.grid.floor(issue.last)
            price = issue.grid.up(last, away) if away > 0 else issue.grid.down(last, -away)
        order = made.submit(account, symbol, side, quantity, type=type_, price=price, tif=tif)
        numbers[account].append(order.number)
        return
    known = [number for number in numbers[account] if number in made.desk.account(account).orders]
    if not known:
        return
    number = known[step[1] % len(known)]
    if what == "cancel":
        made.cancel(account, number, step[2] or None)
    else:
        issue = made.issues[made.desk.account(account).orders[number].symbol]
        last = issue.grid.floor(issue.last)
        away = step[3]
        numbers[account].append(
            made.replace(
                account, number, step[2], issue.grid.up(last, away) if away > 0 else issue.grid.down(last, -away)
            ).number
        )


def check(made: Exchange) -> None:
    accounts = [*made.desk.accounts.values()]
    money = sum(account.total + account.fees + account.taxes for account in accounts) + made.desk.crowd.total
    assert money == 50_000_000 * len(ACCOUNTS)
    for symbol in made.source.symbols:
        held = sum(account.shares[symbol] for account in accounts) + made.desk.crowd.shares.get(symbol, 0)
        assert held == SHARES * len(ACCOUNTS)
    for account in accounts:
        assert account.bound_cash == sum(o.bound for o in account.orders.values() if o.side is Side.BUY)
        assert 0 <= account.bound_cash <= account.total
        for symbol in made.source.symbols:
            bound = sum(o.leaves for o in account.orders.values() if o.symbol == symbol and o.side is Side.SELL)
            assert bound == account.bound_shares.get(symbol, 0)
            assert 0 <= bound <= account.shares[symbol]
    for issue in made.issues.values():
        bid, ask = issue.book.best(1), issue.book.best(-1)
        assert bid is None or ask is None or bid < ask
        for _, price, shares in issue.own:
            assert issue.lower <= price <= issue.upper
            assert issue.grid.holds(price)
            assert shares > 0
    for order in made.desk.placed.values():
        assert order.filled + order.leaves <= order.quantity
        limit = order.price
        if limit is not None and order.filled and order.type is not OrderType.CONDITIONAL:
            average = order.value / order.filled
            assert (average - limit) * order.side.sign <= 0
        assert (order.status == "open") == (order.leaves > 0)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(script=scripts, seed=st.integers(0, 5))
def test_money_and_shares_are_conserved_and_no_rule_is_broken(script: list[tuple], seed: int) -> None:
    play(market(seed), script)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(script=scripts, seed=st.integers(0, 5), pieces=st.integers(2, 9))
def test_the_same_orders_make_the_same_trades_however_time_is_cut(script: list[tuple], seed: int, pieces: int) -> None:
    once, again = market(seed), market(seed)
    watched = again.watch(again.source.symbols, levels=3)  # looking changes nothing
    assert play(once, script) == play(again, script, pieces)
    assert watched.items
    for name in ACCOUNTS:
        assert once.cash(name) == again.cash(name)
        assert once.positions(name) == again.positions(name)


def candle(trades: list[tuple[int, float, int]]) -> tuple[float, float, float, float, int]:
    prices = [price for _, price, _ in trades]
    return prices[0], max(prices), min(prices), prices[-1], sum(shares for _, _, shares in trades)


@st.composite
def bar(draw: st.DrawFn, spread: int = 40) -> tuple[float, float, float, float, int]:
    steps = [draw(st.integers(-spread, spread)) for _ in range(4)]
    low, one, two, high = sorted(10_000.0 + 10 * step for step in steps)
    first, last = draw(st.permutations([one, two]))
    return first, high, low, last, draw(st.integers(10, 1_000_000))


@settings(max_examples=150, deadline=None)
@given(row=bar(), seed=st.integers(0, 1_000))
def test_a_day_that_nobody_of_ours_trades_in_prints_its_daily_bar(
    row: tuple[float, float, float, float, int], seed: int
) -> None:
    made = Exchange(BarSource(daily(row), seed=seed, tick_seconds=30), seed=seed)
    heard = made.watch([SYMBOL])
    clock = session_clock(DAY)
    made.advance(clock.close + 5 * MINUTE)
    trades = made.issues[SYMBOL].trades()
    assert candle(trades) == row
    assert [(tick.time, tick.price, tick.volume) for tick in heard.items] == trades
    assert heard.items[0].auction
    assert heard.items[-1].auction


@settings(max_examples=100, deadline=None)
@given(rows=st.dictionaries(st.integers(1, 380), bar(spread=12), min_size=1, max_size=12), close=bar(spread=5),
       seed=st.integers(0, 1_000))  # fmt: skip
def test_minutes_that_nobody_of_ours_trades_in_print_their_minute_bars(
    rows: dict[int, tuple[float, float, float, float, int]], close: tuple[float, float, float, float, int], seed: int
) -> None:
    price, shares = close[3], close[4]
    rows = {**rows, 391: (price, price, price, price, shares)}  # the closing print
    made = Exchange(BarSource(minutes(rows), seed=seed, tick_seconds=2), interrupts=False, seed=seed)
    clock = session_clock(DAY)
    made.advance(clock.close + 5 * MINUTE)
    found: dict[int, list[tuple[int, float, int]]] = {}
    for trade in made.issues[SYMBOL].trades():
        found.setdefault((trade[0] - clock.open) // MINUTE + 1, []).append(trade)
    assert {minute: candle(trades) for minute, trades in found.items()} == rows


def test_a_bar_that_comes_back_to_its_open_ends_there() -> None:
    """Of ten trades the last was once among those left out."""
    rows = {2: (10_000.0, 10_000.0, 9_990.0, 10_000.0, 10)}
    made = Exchange(BarSource(minutes(rows), tick_seconds=2), interrupts=False)
    made.advance(session_clock(DAY).close)
    assert candle(made.issues[SYMBOL].trades()) == rows[2]


def test_a_day_of_one_share_prints_once() -> None:
    row = (10_000.0, 10_000.0, 10_000.0, 10_000.0, 1)
    made = Exchange(BarSource(daily(row)))
    made.advance(session_clock(DAY).close + 5 * MINUTE)
    assert candle(made.issues[SYMBOL].trades()) == row


def test_prices_off_the_grid_are_printed_as_they_were() -> None:
    """Mid-price trades since 2025; orders of ours stay on the grid."""
    row = (10_005.0, 10_205.0, 9_995.0, 10_001.0, 5_000)
    made = Exchange(BarSource(daily(row), tick_seconds=30))
    made.open_account("a", 10_000_000)
    clock = session_clock(DAY)
    made.advance(clock.open + 30 * MINUTE)
    bid, ask = made.quote(SYMBOL).bids[0][0], made.quote(SYMBOL).asks[0][0]
    assert made.issues[SYMBOL].grid.holds(bid)
    assert made.issues[SYMBOL].grid.holds(ask)
    made.advance(clock.close + 5 * MINUTE)
    assert candle(made.issues[SYMBOL].trades()) == row


def test_recorded_ticks_are_replayed_as_they_were() -> None:
    clock = session_clock(DAY)
    ticks = [
        Tick(SYMBOL, clock.open + 5 * SECOND, 10_000.0, 100, 0, True),
        *[Tick(SYMBOL, clock.open + k * MINUTE, 10_000.0 + 10 * (k % 7), k, 0) for k in range(1, 300)],
        Tick(SYMBOL, clock.close + 5 * SECOND, 10_050.0, 300, 0, True),
    ]
    source = TickSource(ticks, bases={(SYMBOL, made_day()): 10_000.0})
    made = Exchange(source, random_end=False)
    made.advance(clock.close + 5 * MINUTE)
    trades = made.issues[SYMBOL].trades()
    assert [trade[1:] for trade in trades] == [(tick.price, tick.volume) for tick in ticks]
    assert trades[1:-1] == [(tick.time, tick.price, tick.volume) for tick in ticks[1:-1]]


def made_day() -> int:
    return int(np.datetime64(DAY, "D").astype(np.int64))


@pytest.mark.parametrize("seed", range(3))
def test_a_made_up_market_stays_on_the_grid_and_inside_the_limits(seed: int) -> None:
    bars: Bars = random_bars(seed=seed, symbols=3, sessions_count=4, volatility=0.2)
    made = Exchange(BarSource(bars, seed=seed, tick_seconds=30), seed=seed)
    for day in made.source.days():
        made.advance(session_clock(day).close + 5 * MINUTE)
        for issue in made.issues.values():
            for _, price, _ in issue.trades():
                assert issue.lower <= price <= issue.upper
                assert issue.grid.holds(price)
