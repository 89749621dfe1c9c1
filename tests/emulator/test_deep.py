"""Calls that take any order at the bar's own price, for comparisons with a backtest."""

from __future__ import annotations

import pytest

from quantkit.emulator.exchange import BarSource, Exchange
from quantkit.emulator.session import SECOND, session_clock
from quantkit.market.costs import Costs
from quantkit.trading.orders import OrderType, Side
from tests.emulator.markets import DAY, SYMBOL, daily

HELD = 5_000_000


def market(row: tuple[float, float, float, float, int], *, deep: bool = True) -> Exchange:
    made = Exchange(BarSource(daily(row), tick_seconds=600.0, deep=deep), costs=Costs.free())
    made.open_account("a", 10**12, shares={SYMBOL: HELD})
    made.advance(session_clock(DAY).orders)
    return made


@pytest.mark.parametrize(
    ("side", "type_", "price", "filled"),
    [
        (Side.BUY, OrderType.MARKET, None, HELD),
        (Side.SELL, OrderType.MARKET, None, HELD),
        (Side.BUY, OrderType.LIMIT, 10_100.0, HELD),  # the limit is the print: it counts as met
        (Side.SELL, OrderType.LIMIT, 10_100.0, HELD),
        (Side.BUY, OrderType.LIMIT, 10_090.0, 0),
        (Side.SELL, OrderType.LIMIT, 10_110.0, 0),
    ],
)
def test_an_order_of_any_size_fills_at_the_open_of_the_bar(
    side: Side, type_: OrderType, price: float | None, filled: int
) -> None:
    made = market((10_100, 10_200, 9_900, 10_000, 1_000_000))
    order = made.submit("a", SYMBOL, side, HELD, type=type_, price=price)
    made.advance(session_clock(DAY).open + 31 * SECOND)
    assert (order.filled, order.value) == (filled, filled * 10_100)
    assert made.desk.crowd.shares.get(SYMBOL, 0) == -side.sign * filled
    assert made.issues[SYMBOL].own[0][1] == 10_100


def test_without_it_a_large_order_moves_the_price_or_waits() -> None:
    made = market((10_100, 10_200, 9_900, 10_000, 1_000_000), deep=False)
    order = made.submit("a", SYMBOL, Side.BUY, HELD, type=OrderType.MARKET)
    made.advance(session_clock(DAY).open + 31 * SECOND)
    assert order.value > order.filled * 10_100 or order.filled < HELD


@pytest.mark.parametrize(("side", "filled"), [(Side.BUY, 0), (Side.SELL, 10)])
def test_at_the_upper_limit_nobody_sells_to_us(side: Side, filled: int) -> None:
    made = market((13_000, 13_000, 13_000, 13_000, 1_000_000))
    order = made.submit("a", SYMBOL, side, 10, type=OrderType.LIMIT, price=13_000.0)
    made.advance(session_clock(DAY).open + 200 * SECOND)  # such a price asks for two minutes more
    assert order.filled == filled


def test_the_day_prints_its_bar_all_the_same() -> None:
    made = market((10_100, 10_200, 9_900, 10_000, 1_000_000))
    made.submit("a", SYMBOL, Side.BUY, 1_000, type=OrderType.MARKET)
    made.advance(session_clock(DAY).close + 60 * SECOND)
    prices = [price for _, price, _ in made.issues[SYMBOL].trades()]
    shares = sum(part for _, _, part in made.issues[SYMBOL].trades())
    assert (prices[0], max(prices), min(prices), prices[-1], shares) == (10_100, 10_200, 9_900, 10_000, 1_000_000)
