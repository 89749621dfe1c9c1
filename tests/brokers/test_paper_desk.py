"""What fills a paper order and what does not; money, days, refusals."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from quantkit.brokers.paper import Latency
from quantkit.brokers.paper.desk import Desk
from quantkit.brokers.paper.hours import day_at, hours_of
from quantkit.brokers.paper.ledger import Held, Ledger, session_after
from quantkit.errors import Bug, ConfigError, Refused
from quantkit.market.costs import Costs
from quantkit.trading.orders import OrderType, Side, TimeInForce
from quantkit.trading.ports import InstrumentDay, Quote, Tick
from tests.brokers.benches import MONEY, OTHER, PRICE, SECOND, SHARES, SYMBOL, TEN, facts

BUY, SELL = Side.BUY, Side.SELL
HOUR = 3_600 * SECOND
OPEN, CLOSE = TEN - HOUR, TEN + 5 * HOUR + HOUR // 2  # 09:00 and 15:30
DAY_NS = 24 * HOUR


def desk(now: int = TEN, *, share: float = 1.0, costs: Costs | None = None, **more: Any) -> Desk:
    """A desk at a moment, holding shares of one name."""
    made = Desk(MONEY, costs or Costs.free(), share=share, **more)
    made.advance(now)
    made.ledger.shares[SYMBOL], made.ledger.spent[SYMBOL] = SHARES, SHARES * PRICE
    for symbol in (SYMBOL, OTHER):
        made.learn(facts(symbol))
    return made


def send(to: Desk, side: Side = BUY, quantity: int = 10, price: float | None = PRICE, **more: Any) -> Held:
    kind = more.pop("type", OrderType.LIMIT if price is not None else OrderType.MARKET)
    return to.submit(SYMBOL, side, quantity, type=kind, price=price, tif=more.pop("tif", TimeInForce.DAY))


def tick(to: Desk, price: float, volume: int = 100, *, after: int = SECOND, auction: bool = False) -> None:
    at = to.now + after
    to.observe(Tick(SYMBOL, at, price, volume, auction=auction), at)


def quote(
    to: Desk, bids: tuple[tuple[float, int], ...], asks: tuple[tuple[float, int], ...], expected: float | None = None
) -> None:
    to.observe(Quote(SYMBOL, to.now + SECOND, bids, asks, expected=expected), to.now + SECOND)


# --- continuous trading -----------------------------------------------------------------------------------------------


def test_an_arriving_order_takes_the_book_level_by_level_and_no_more_than_is_there() -> None:
    on = desk()
    quote(on, (), ((70_000.0, 3), (70_100.0, 4), (70_300.0, 100)))
    order = send(on, quantity=20, price=70_200.0)
    assert (order.filled, order.value) == (7, 3 * 70_000 + 4 * 70_100)
    again = send(on, quantity=5, price=70_100.0)
    assert again.filled == 0  # taken from this quote already
    quote(on, (), ((70_100.0, 2),))
    assert (order.filled, order.value) == (9, 3 * 70_000 + 4 * 70_100 + 2 * 70_200)  # it rested; others came to it


def test_a_resting_order_needs_trades_beyond_its_price() -> None:
    on = desk(share=0.25)
    order = send(on, price=70_000.0)
    tick(on, 70_000.0, 1_000)
    assert order.filled == 0
    tick(on, 69_900.0, 7)
    assert (order.filled, order.value) == (1, 70_000)
    tick(on, 69_900.0, 3)
    assert order.filled == 1
    sale = send(on, SELL, 10, 70_200.0)
    tick(on, 70_300.0, 100)
    assert (sale.filled, sale.value) == (10, 702_000)


def test_a_trade_fills_all_orders_together_no_more_than_its_share() -> None:
    on = desk(share=0.5)
    first, second = send(on, quantity=6, price=70_000.0), send(on, quantity=6, price=70_000.0)
    tick(on, 69_000.0, 16)
    assert (first.filled, second.filled) == (6, 2)


def test_without_a_quote_an_order_takes_from_the_next_trade_at_its_price() -> None:
    on = desk()
    tick(on, 70_000.0)
    market, limit = send(on, quantity=4, price=None), send(on, quantity=4, price=71_000.0)
    tick(on, 70_100.0, 6)
    assert (market.value, limit.value) == (4 * 70_100, 2 * 70_100)
    tick(on, 70_900.0, 100)
    assert limit.value == 2 * 70_100 + 2 * 70_900  # trades still cross it: nobody pays 71,000 beside a market of 70,900


def test_without_a_quote_what_trades_have_left_behind_rests_at_its_price() -> None:
    on = desk()
    tick(on, 70_000.0)
    limit = send(on, quantity=6, price=71_000.0)
    tick(on, 70_900.0, 2)
    tick(on, 71_500.0, 100)  # away from it: from here on it rests
    assert (limit.filled, limit.passive) == (2, True)
    tick(on, 70_500.0, 100)
    assert limit.value == 2 * 70_900 + 4 * 71_000


def test_a_market_order_waits_for_what_the_book_shows_next() -> None:
    on = desk()
    quote(on, (), ((70_000.0, 3),))
    order = send(on, quantity=5, price=None)
    assert (order.filled, order.leaves) == (3, 2)
    tick(on, 69_000.0)
    assert order.filled == 3  # there is a book: it takes from that
    quote(on, (), ((70_500.0, 3),))
    assert (order.filled, order.status) == (5, "filled")


@pytest.mark.parametrize(
    ("tif", "price", "trades", "filled"),
    [
        (TimeInForce.IOC, 70_100.0, (70_000.0, 4), 4),
        (TimeInForce.IOC, 70_100.0, (70_200.0, 4), 0),
        (TimeInForce.FOK, 70_100.0, (70_000.0, 4), 0),
        (TimeInForce.FOK, 70_100.0, (70_000.0, 40), 10),
        (TimeInForce.IOC, None, (70_000.0, 4), 4),
    ],
)
def test_immediate_orders_without_a_quote_look_at_the_next_trade(
    tif: TimeInForce, price: float | None, trades: tuple[float, int], filled: int
) -> None:
    on = desk()
    order = send(on, price=price, tif=tif)
    assert order.status == "open"
    tick(on, *trades)
    assert (order.filled, order.leaves) == (filled, 0)


def test_fill_or_kill_is_all_or_nothing_on_the_book() -> None:
    on = desk()
    quote(on, (), ((70_000.0, 4), (70_100.0, 5)))
    order = send(on, quantity=10, price=70_100.0, tif=TimeInForce.FOK)
    assert (order.filled, order.status, order.reason) == (0, "canceled", "NOT_FILLED_AT_ONCE")
    assert send(on, quantity=9, price=70_100.0, tif=TimeInForce.FOK).status == "filled"


def test_best_and_first_orders_take_their_price_from_the_book() -> None:
    on = desk()
    for kind in (OrderType.BEST, OrderType.FIRST):
        with pytest.raises(Refused, match="NO_PRICE"):
            send(on, price=None, type=kind)
    quote(on, ((69_900.0, 5),), ((70_100.0, 5),))
    assert send(on, price=None, type=OrderType.BEST).price == 70_100.0
    assert send(on, price=None, type=OrderType.FIRST).price == 69_900.0
    quote(on, (), ((70_100.0, 5),))
    with pytest.raises(Refused, match="NO_PRICE"):
        send(on, price=None, type=OrderType.FIRST)


def test_nobody_sells_at_the_upper_limit_nor_buys_at_the_lower() -> None:
    on = desk()
    buy, sale = send(on, price=None), send(on, SELL, price=None)
    tick(on, 91_000.0)
    tick(on, 49_000.0)
    assert (buy.filled, sale.filled) == (10, 10)  # each at the other's limit
    assert (buy.value, sale.value) == (490_000, 910_000)


# --- auctions ---------------------------------------------------------------------------------------------------------


def test_the_opening_auction_fills_what_is_priced_better_than_its_print() -> None:
    on = desk(OPEN - 600 * SECOND)
    market, better, equal = send(on, quantity=2, price=None), send(on, price=70_200.0), send(on, price=70_100.0)
    quote(on, (), ((69_000.0, 100),), 70_100.0)
    tick(on, 69_000.0)  # somebody's trade before the open is no print
    assert (market.filled, better.filled) == (0, 0)
    tick(on, 70_100.0, 8, after=600 * SECOND)
    assert (market.filled, better.filled, equal.filled) == (2, 6, 0)
    assert better.value == 6 * 70_100
    quote(on, (), ((70_100.0, 3),))
    assert (better.value, equal.filled) == (9 * 70_100, 0)


def test_nothing_trades_between_the_open_and_its_print() -> None:
    on = desk(OPEN - 60 * SECOND)
    order = send(on, price=70_100.0)
    on.advance(OPEN + 5 * SECOND)
    quote(on, (), ((70_000.0, 100),))
    assert order.filled == 0
    on.advance(OPEN + 70 * SECOND)  # a name that did not trade in its auction
    quote(on, (), ((70_000.0, 100),))
    assert order.filled == 10


def test_the_closing_auction_prints_after_the_close_and_takes_conditional_orders() -> None:
    on = desk(CLOSE - 1_200 * SECOND)
    order = send(on, SELL, 10, 75_000.0, type=OrderType.CONDITIONAL)
    on.advance(CLOSE - 500 * SECOND)
    assert order.price is None
    quote(on, ((70_000.0, 100),), ())
    tick(on, 70_000.0)
    assert order.filled == 0  # the call runs
    on.advance(CLOSE + 5 * SECOND)
    tick(on, 69_500.0, 100)
    assert (order.filled, order.value) == (10, 695_000)


def test_a_conditional_buy_that_has_become_a_market_order_spends_no_more_than_there_is() -> None:
    on = desk(CLOSE - 1_200 * SECOND)
    order = send(on, BUY, MONEY // 60_000, 60_000.0, type=OrderType.CONDITIONAL)
    tick(on, 70_000.0, 10_000, after=1_205 * SECOND)
    assert 0 < order.filled < order.quantity
    assert on.cash().next_2 >= 0


def test_the_print_of_a_volatility_interruption_is_an_auction() -> None:
    on = desk()
    order = send(on, price=70_000.0)
    tick(on, 69_000.0, 100, auction=True)
    assert order.value == 690_000


@pytest.mark.parametrize(("price", "side"), [(91_000.0, BUY), (49_000.0, SELL)])
def test_a_print_at_the_limit_fills_nobody_on_its_side(price: float, side: Side) -> None:
    on = desk(OPEN - 60 * SECOND)
    order = send(on, side, price=None)
    tick(on, price, 100, after=65 * SECOND)
    assert order.filled == 0


# --- days, money, refusals --------------------------------------------------------------------------------------------


def test_money_settles_two_sessions_later_over_a_holiday() -> None:
    """Monday's sale settles on Wednesday; Wednesday's buy after the holidays of the week, on the next Tuesday."""
    on = desk(costs=Costs.kis())
    quote(on, ((70_000.0, 100),), ())
    sale = send(on, SELL, 10, 70_000.0)
    got = sale.value - sale.commission - sale.tax
    assert (sale.commission, sale.tax) == (98, 1_400)
    assert (on.cash().today, on.cash().next_1, on.cash().next_2) == (MONEY, MONEY, MONEY + got)
    assert on.cash().orderable == MONEY + got
    on.advance(TEN + DAY_NS)
    assert (on.cash().today, on.cash().next_1) == (MONEY, MONEY + got)
    on.advance(TEN + 2 * DAY_NS)
    assert on.cash().today == MONEY + got
    assert session_after(on.hours.day, 2, "KOSPI") == on.hours.day + 6
    assert session_after(on.hours.day, 2, "US") == on.hours.day + 2


def test_a_new_day_forgets_orders_and_what_was_known_of_names() -> None:
    on = desk()
    order = send(on)
    on.advance(TEN + DAY_NS)
    assert (order.status, order.reason, on.lines()) == ("expired", "SESSION_ENDED", [])
    with pytest.raises(Refused, match="UNKNOWN_SYMBOL"):
        send(on)
    assert [event.kind for event in on.events] == ["accepted", "expired"]


@pytest.mark.parametrize(
    ("code", "known", "asked"),
    [
        ("INSTRUMENT_BLOCKED", {"halted": True}, {}),
        ("QUANTITY", {}, {"quantity": 0}),
        ("ORDER_STATUS", {"managed": True}, {"tif": TimeInForce.IOC}),
        ("ORDER_STATUS", {"liquidation": True}, {"tif": TimeInForce.IOC}),
        ("ORDER_STATUS", {"single_price": True}, {"tif": TimeInForce.IOC}),
        ("ORDER_KIND", {}, {"tif": TimeInForce.IOC, "type": OrderType.CONDITIONAL}),
        ("CONDITIONAL_AT_LIMIT", {}, {"price": 91_000.0, "type": OrderType.CONDITIONAL}),
        ("PRICE_TICK", {}, {"price": math.nan}),
        ("PRICE_LIMIT", {}, {"price": 91_100.0}),
        ("", {"liquidation": True}, {"price": 91_100.0}),
        ("", {"first_day": True}, {"price": 280_000.0}),
        ("PRICE_LIMIT", {"first_day": True}, {"price": 280_500.0}),
        ("UNKNOWN_SYMBOL", {"base": math.nan}, {}),
    ],
)  # fmt: skip
def test_refusals(code: str, known: dict[str, Any], asked: dict[str, Any]) -> None:
    on = Desk(MONEY, Costs.free())
    on.advance(TEN)
    on.learn(InstrumentDay(**{"symbol": SYMBOL, "base": PRICE, "previous_close": PRICE, **known}))
    if code:
        with pytest.raises(Refused) as refusal:
            send(on, **asked)
        assert refusal.value.code == code
        assert on.lines() == []
    else:
        assert send(on, **asked).status == "open"


def test_an_elw_is_taken_at_a_limit_and_in_lots_of_ten() -> None:
    on = Desk(MONEY, Costs.free(), markets={SYMBOL: "ELW"})
    on.advance(TEN)
    on.learn(InstrumentDay(symbol=SYMBOL, base=PRICE, previous_close=PRICE))
    with pytest.raises(Refused, match=r"QUANTITY.*quantity=15.*such as 10 or 20"):
        send(on, quantity=15)
    with pytest.raises(Refused, match="ORDER_MARKET"):
        send(on, quantity=10, price=None, type=OrderType.MARKET)
    assert send(on, quantity=20, price=PRICE * 2).status == "open"  # no daily limits


@pytest.mark.parametrize("now", [OPEN - HOUR, CLOSE + SECOND, TEN + 5 * DAY_NS])
def test_no_orders_outside_the_session(now: int) -> None:
    with pytest.raises(Refused, match="SESSION_PHASE"):
        send(desk(now))


def test_what_is_learnt_later_in_the_day_holds() -> None:
    on = desk()
    on.learn(facts(SYMBOL))
    on.learn(InstrumentDay(symbol=SYMBOL, base=50_000.0, previous_close=50_000.0, halted=True))
    assert (on.sights[SYMBOL].lower, on.sights[SYMBOL].upper) == (35_000.0, 65_000.0)
    with pytest.raises(Refused, match="INSTRUMENT_BLOCKED"):
        send(on)
    on.observe(Tick("111111", TEN, 1.0, 1), TEN)  # a name nobody told of says nothing


def test_actions_of_the_morning_change_shares_and_pay_dividends() -> None:
    on = desk()
    on.act(SYMBOL, share_ratio=0.5, cash_per_share=1_000.0)
    assert on.ledger.shares[SYMBOL] == 50
    assert on.positions()[0].average == 2 * PRICE
    assert on.cash().today == MONEY + 84_600
    on.act(SYMBOL, share_ratio=0.001)
    assert on.positions() == []
    on.act(OTHER, share_ratio=2.0)
    assert on.positions() == []


def test_names_in_new_york_trade_in_cents_without_limits_or_calls() -> None:
    nine = int(np.datetime64("2026-09-21T14:00:00", "ns").astype(np.int64))  # ten in the morning there
    on = Desk(1_000_000, Costs.free(), market="US", share=1.0)
    on.advance(nine)
    on.learn(InstrumentDay(symbol="AAPL", base=200.0, previous_close=200.0))
    on.observe(Quote("AAPL", nine, (), ((200.01, 10),)), nine)
    order = on.submit("AAPL", BUY, 10, type=OrderType.MARKET, price=None, tif=TimeInForce.DAY)
    assert (order.value, on.cash().next_2) == (200_010, 799_990)
    with pytest.raises(Refused, match="PRICE_TICK"):
        on.submit("AAPL", BUY, 1, type=OrderType.LIMIT, price=200.005, tif=TimeInForce.DAY)
    assert hours_of(day_at(nine, "US"), "US").phase(nine - 2 * HOUR) == "closed"
    assert hours_of(day_at(nine, "US"), "US").phase(nine - HOUR) == "opening_orders"
    free = Desk(1_000_000, Costs.free(), market="NONE", share=1.0)
    free.advance(nine)
    free.learn(InstrumentDay(symbol="X", base=1.0, previous_close=1.0))
    free.observe(Tick("X", nine, 1.0, 10), nine)
    assert free.submit("X", BUY, 1, type=OrderType.LIMIT, price=1.005, tif=TimeInForce.DAY).status == "open"


def test_a_market_buy_without_limits_of_the_day_is_cut_to_what_there_is() -> None:
    on = Desk(1_000, Costs.free(), market="NONE", share=1.0)
    on.advance(TEN)
    on.learn(InstrumentDay(symbol="X", base=100.0, previous_close=100.0))
    order = on.submit("X", BUY, 10, type=OrderType.MARKET, price=None, tif=TimeInForce.DAY)
    on.observe(Tick("X", TEN, 5_000.0, 10), TEN)
    assert order.filled == 0
    on.observe(Tick("X", TEN, 200.0, 10), TEN)
    assert (order.filled, on.cash().next_2) == (4, 200)


def test_nonsense_is_refused_when_it_is_made() -> None:
    with pytest.raises(ConfigError, match="market"):
        Desk(1, Costs.free(), market="MOON")
    with pytest.raises(ConfigError, match="share"):
        Desk(1, Costs.free(), share=0.0)
    with pytest.raises(ConfigError, match="jitter"):
        Latency(10.0, 20.0)
    order = send(desk(), quantity=2)
    with pytest.raises(Bug, match="3 of 2"):
        Ledger(1, Costs.free()).fill(order, 3, PRICE, tax_rate=0.0, settles=0)
