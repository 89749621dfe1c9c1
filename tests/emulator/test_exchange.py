"""A name's day with orders of ours in it."""

from __future__ import annotations

import pytest

from quantkit.emulator.exchange import BarSource, Exchange
from quantkit.emulator.session import SECOND, midnight, session_clock
from quantkit.errors import ConfigError, Refused
from quantkit.trading.orders import OrderType, Side, TimeInForce
from tests.emulator.markets import DAY, MINUTE, SYMBOL, daily, exchange

LIMIT, MARKET = OrderType.LIMIT, OrderType.MARKET
AFTER = 5 * MINUTE  # by then every call has printed


def refused(code: str, made: Exchange, side: Side = Side.BUY, quantity: int = 1, **order: object) -> None:
    with pytest.raises(Refused) as caught:
        made.submit("a", SYMBOL, side, quantity, **{"price": 10_000.0, **order})  # type: ignore[arg-type]
    assert caught.value.code == code


def test_market_orders_in_the_calls_trade_at_the_bars_open_and_close() -> None:
    made, clock = exchange()
    made.advance(clock.orders)
    bought = made.submit("a", SYMBOL, Side.BUY, 500, type=MARKET)
    made.advance(clock.open + MINUTE)
    assert (bought.status, bought.value) == ("filled", 500 * 10_000)
    made.advance(clock.closing)
    sold = made.submit("a", SYMBOL, Side.SELL, 500, type=MARKET)
    made.advance(clock.close + AFTER)
    assert (sold.status, sold.value) == ("filled", 500 * 10_100)


def test_a_market_order_takes_the_book_level_by_level() -> None:
    made, clock = exchange(tick_seconds=60)
    made.advance(clock.open + 30 * MINUTE)
    asks = made.quote(SYMBOL).asks
    order = made.submit("a", SYMBOL, Side.BUY, asks[0][1] + 5, type=MARKET)
    assert order.status == "filled"
    assert order.value == asks[0][0] * asks[0][1] + asks[1][0] * 5
    assert made.quote(SYMBOL).asks[0] == (asks[1][0], asks[1][1] - 5)  # until the next trade, the shares are gone


def test_a_resting_limit_waits_behind_the_crowd_and_fills_when_the_flow_trades_through() -> None:
    made, clock = exchange((10_000, 10_000, 9_000, 9_500, 1_000_000), interrupts=False)
    made.advance(clock.open + MINUTE)
    best = made.quote(SYMBOL).bids[0]
    order = made.submit("a", SYMBOL, Side.BUY, 10, price=best[0])
    waiting = list(made.issues[SYMBOL].book.queue(1, best[0]))
    assert [each.number for each in waiting] == [0, int(order.number)]
    assert waiting[0].leaves == best[1]
    made.advance(clock.close + AFTER)
    assert (order.status, order.value) == ("filled", 10 * best[0])  # at its own price: it was there first


def test_a_buy_below_the_days_low_never_fills_and_expires() -> None:
    made, clock = exchange()
    heard = made.listen("a")
    made.advance(clock.orders)
    order = made.submit("a", SYMBOL, Side.BUY, 10, price=9_890.0)
    made.advance(clock.close + AFTER)
    assert (order.status, order.reason, order.filled) == ("expired", "SESSION_END", 0)
    assert [notice.kind for notice in heard] == ["accepted", "expired"]
    assert made.cash("a").orderable == 100_000_000


def test_an_order_at_the_price_of_our_bid_meets_older_bids_of_other_accounts_first() -> None:
    made, clock = exchange(tick_seconds=600)
    made.open_account("b", 0, shares={SYMBOL: 100})
    made.advance(clock.open + 30 * MINUTE)
    ask = made.quote(SYMBOL).asks[0]
    bid = made.quote(SYMBOL).bids[0]
    while made.quote(SYMBOL).asks and made.quote(SYMBOL).asks[0][0] == ask[0]:
        made.submit("a", SYMBOL, Side.BUY, ask[1], price=ask[0])
    first = made.submit("a", SYMBOL, Side.BUY, 7, price=ask[0])  # inside the spread now: nobody before it
    sold = made.submit("b", SYMBOL, Side.SELL, 10, price=bid[0])
    assert (first.filled, sold.filled) == (7, 10)
    assert sold.value == 7 * ask[0] + 3 * bid[0]


@pytest.mark.parametrize("tif", [TimeInForce.IOC, TimeInForce.FOK])
def test_immediate_orders_never_rest(tif: TimeInForce) -> None:
    made, clock = exchange(tick_seconds=600)
    made.advance(clock.open + 30 * MINUTE)
    ask = made.quote(SYMBOL).asks[0]
    order = made.submit("a", SYMBOL, Side.BUY, ask[1] + 1, price=ask[0], tif=tif)
    assert order.filled == (ask[1] if tif is TimeInForce.IOC else 0)
    assert (order.status, order.reason, order.leaves) == ("canceled", "NOT_FILLED_AT_ONCE", 0)
    assert made.desk.account("a").bound_cash == 0
    small = made.submit("a", SYMBOL, Side.BUY, 1, price=made.quote(SYMBOL).asks[0][0], tif=tif)
    assert small.status == "filled"


def test_best_and_first_take_their_price_from_the_book() -> None:
    made, clock = exchange(tick_seconds=600)
    made.advance(clock.open + 30 * MINUTE)
    quote = made.quote(SYMBOL)
    best = made.submit("a", SYMBOL, Side.BUY, 1, type=OrderType.BEST)
    first = made.submit("a", SYMBOL, Side.BUY, 1, type=OrderType.FIRST)
    assert (best.price, best.status) == (quote.asks[0][0], "filled")
    assert (first.price, first.status) == (quote.bids[0][0], "open")


def test_a_conditional_order_becomes_a_market_order_in_the_closing_call() -> None:
    made, clock = exchange()
    made.advance(clock.open + MINUTE)
    order = made.submit("a", SYMBOL, Side.BUY, 10, price=9_500.0, type=OrderType.CONDITIONAL)
    made.advance(clock.close - SECOND)
    assert order.filled == 0
    made.advance(clock.close + AFTER)
    assert (order.status, order.value) == ("filled", 10 * 10_100)


def test_refusals_have_codes() -> None:
    made, clock = exchange()
    refused("UNKNOWN_SYMBOL", made)
    made.advance(clock.orders - SECOND)
    refused("SESSION_PHASE", made)
    made.advance(clock.orders)
    refused("ORDER_PHASE", made, tif=TimeInForce.IOC)
    refused("ORDER_KIND", made, tif=TimeInForce.IOC, type=OrderType.CONDITIONAL)
    refused("PRICE_TICK", made, price=10_005.0)
    refused("PRICE_TICK", made, price=None)
    refused("PRICE_LIMIT", made, price=13_050.0)
    refused("CONDITIONAL_AT_LIMIT", made, price=13_000.0, type=OrderType.CONDITIONAL)
    refused("QUANTITY", made, quantity=0)
    refused("INSUFFICIENT_CASH", made, quantity=10_001)
    refused("INSUFFICIENT_SHARES", made, Side.SELL)
    with pytest.raises(Refused) as caught:
        made.cancel("a", "0000000009")
    assert caught.value.code == "UNKNOWN_ORDER"
    with pytest.raises(Refused) as caught:
        made.submit("nobody", SYMBOL, Side.BUY, 1, price=10_000.0)
    assert caught.value.code == "UNKNOWN_ACCOUNT"
    made.advance(clock.close + AFTER)
    refused("SESSION_PHASE", made)
    with pytest.raises(ConfigError, match="exists"):
        made.open_account("a", 1)


def test_an_order_that_ended_cannot_be_cancelled() -> None:
    made, clock = exchange()
    made.advance(clock.orders)
    order = made.submit("a", SYMBOL, Side.BUY, 1, type=MARKET)
    made.advance(clock.open + MINUTE)
    with pytest.raises(Refused) as caught:
        made.cancel("a", order.number)
    assert caught.value.code == "NOTHING_LEFT"


def test_a_partial_cancel_leaves_the_rest_and_frees_its_cash() -> None:
    made, clock = exchange()
    made.advance(clock.orders)
    order = made.submit("a", SYMBOL, Side.BUY, 10, price=9_000.0)
    number = made.cancel("a", order.number, 4)
    assert number != order.number
    assert (order.leaves, order.status, made.desk.account("a").bound_cash) == (6, "open", 6 * 9_000)
    made.advance(clock.open + MINUTE)
    made.cancel("a", order.number)
    assert (order.leaves, order.status, made.desk.account("a").bound_cash) == (0, "canceled", 0)
    assert not made.issues[SYMBOL].waits


def test_a_replacement_has_a_new_number_that_names_the_old_one() -> None:
    made, clock = exchange()
    made.advance(clock.open + MINUTE)
    heard = made.listen("a")
    old = made.submit("a", SYMBOL, Side.BUY, 10, price=9_000.0)
    new = made.replace("a", old.number, 99, 9_010.0)
    assert (new.original, new.quantity, new.price) == (old.number, 10, 9_010.0)
    assert (old.status, old.reason, old.leaves) == ("canceled", "REPLACED", 0)
    assert made.desk.account("a").bound_cash == 10 * 9_010
    assert [notice.kind for notice in heard] == ["accepted", "replaced"]
    with pytest.raises(Refused) as caught:
        made.replace("a", new.number, 10, 20_000.0)
    assert caught.value.code == "PRICE_LIMIT"
    assert new.leaves == 10  # the refused replacement changed nothing
    market = made.replace("a", new.number, 10, None)
    assert (market.type, market.status) == (MARKET, "filled")


def test_money_settles_two_sessions_later_and_may_be_used_before() -> None:
    row = (10_000, 10_200, 9_900, 10_000, 1_000_000)
    made, clock = exchange(row, row, row, row, shares=100, cash=0)
    made.advance(clock.orders)
    made.submit("a", SYMBOL, Side.SELL, 100, type=MARKET)
    made.advance(clock.open + MINUTE)
    assert (made.cash("a").today, made.cash("a").next_1, made.cash("a").next_2) == (0, 0, 1_000_000)
    assert made.cash("a").orderable == 1_000_000
    days = made.source.days()
    made.advance(session_clock(days[1]).orders)
    assert (made.cash("a").today, made.cash("a").next_1) == (0, 1_000_000)
    made.advance(session_clock(days[2]).orders)
    assert made.cash("a").today == 1_000_000


def test_commission_and_tax_are_cut_once_for_all_executions_of_an_order() -> None:
    made, clock = exchange(free=False, shares=3_000, tick_seconds=600)
    made.advance(clock.open + 30 * MINUTE)
    order = made.submit("a", SYMBOL, Side.SELL, 3_000, type=MARKET)
    account = made.desk.account("a")
    assert len(order.marks) > 2  # several executions
    assert order.commission == account.costs.commission_on(order.value)
    assert order.tax == account.costs.tax_on(order.value, market_rate=0.0015)
    assert account.total == 100_000_000 + order.value - order.commission - order.tax


def test_a_halted_name_takes_no_orders_keeps_those_it_has_and_comes_back_with_a_call() -> None:
    made, clock = exchange()
    made.advance(clock.open + MINUTE)
    order = made.submit("a", SYMBOL, Side.BUY, 1, price=9_000.0)
    made.halt(SYMBOL)
    refused("INSTRUMENT_BLOCKED", made)
    assert made.cancel("a", order.number)
    made.advance(made.now + 10 * MINUTE)
    made.resume(SYMBOL)
    assert made.phase(SYMBOL) == "vi_auction"
    made.advance(made.now + 11 * MINUTE)
    assert made.phase(SYMBOL) == "continuous"
    made.advance(clock.close + AFTER)
    traded = sum(shares for _, _, shares in made.issues[SYMBOL].trades())
    assert traded == 1_000_000  # what the halt held back trades when it ends


def test_a_day_of_zeros_is_a_halt() -> None:
    bars = daily((10_000, 10_000, 10_000, 10_000, 100), (0, 0, 0, 10_000, 0))
    made = Exchange(BarSource(bars))
    made.open_account("a", 1_000_000)
    made.advance(session_clock(made.source.days()[1]).orders)
    assert made.instruments([SYMBOL])[0].halted
    refused("INSTRUMENT_BLOCKED", made)


def test_our_own_sweep_sets_off_an_interruption_and_waits_in_its_call() -> None:
    made, clock = exchange((10_000, 10_010, 9_990, 10_000, 1_000), cash=10**12)
    made.advance(clock.open + 30 * MINUTE)
    order = made.submit("a", SYMBOL, Side.BUY, 10, price=10_700.0)
    lone = made.submit("a", SYMBOL, Side.BUY, 1_000, price=10_700.0)  # more than stands in the book
    made.open_account("b", 0, shares={SYMBOL: 10})
    assert order.status == "filled"
    assert 0 < lone.filled < 1_000  # the rest bids 10,700, more than six per cent above the last trade
    made.submit("b", SYMBOL, Side.SELL, 5, price=10_700.0)
    assert made.phase(SYMBOL) == "vi_auction"
    began = made.now
    made.advance(began + 120 * SECOND - 1)
    assert made.phase(SYMBOL) == "vi_auction"
    assert not [trade for trade in made.issues[SYMBOL].own if trade[0] > began]
    made.advance(began + 150 * SECOND)
    printed = [trade for trade in made.issues[SYMBOL].own if trade[0] > began]
    assert began + 120 * SECOND <= printed[0][0] <= began + 150 * SECOND


def test_an_opening_far_from_the_base_waits_two_minutes_more() -> None:
    made, clock = exchange((11_500, 11_600, 11_400, 11_500, 1_000_000))
    made.advance(clock.open + 119 * SECOND)
    assert made.phase(SYMBOL) == "opening_orders"
    made.advance(clock.open + 181 * SECOND)
    assert made.phase(SYMBOL) == "continuous"
    assert made.issues[SYMBOL].own[0][1] == 11_500


def test_a_locked_limit_has_no_asks_and_a_long_queue() -> None:
    made, clock = exchange((13_000, 13_000, 13_000, 13_000, 1_000), interrupts=False)
    made.advance(clock.open + 30 * MINUTE)
    assert made.quote(SYMBOL).asks == ()
    order = made.submit("a", SYMBOL, Side.BUY, 10, type=MARKET)
    made.advance(clock.closing - 1)
    assert order.filled == 0


def test_exam_days_open_and_close_an_hour_later() -> None:
    made, clock = exchange(day="2025-11-13")
    assert clock.open == midnight(made.source.days()[0]) + 10 * 3600 * SECOND
    made.advance(clock.open - 1)
    assert made.phase(SYMBOL) == "opening_orders"
    made.advance(clock.open + MINUTE)
    assert made.phase(SYMBOL) == "continuous"


def test_the_expected_price_settles_on_the_print() -> None:
    made, clock = exchange(random_end=False)
    made.advance(clock.open - 1)
    assert made.quote(SYMBOL).expected == 10_000.0
    made.advance(clock.close - 1)
    assert made.quote(SYMBOL).expected == 10_100.0


def test_a_list_can_be_had_as_it_stood_before() -> None:
    made, clock = exchange()
    made.advance(clock.orders)
    order = made.submit("a", SYMBOL, Side.BUY, 10, type=MARKET)
    made.advance(clock.open + MINUTE)
    assert made.orders("a", at=clock.orders - 1) == []
    assert made.orders("a", at=clock.open - 1)[0].filled == 0
    assert made.orders("a")[0].filled == order.filled == 10
    assert made.positions("a", at=clock.open - 1) == []
    assert made.positions("a")[0].quantity == 10
    before, now = made.cash("a", at=clock.open - 1), made.cash("a")
    assert (before.next_2, before.orderable) == (100_000_000, 100_000_000 - 130_000)
    assert (now.next_2, now.orderable) == (99_900_000, 99_900_000)


def test_without_depth_only_orders_of_accounts_make_a_book() -> None:
    made = Exchange(BarSource(daily((10_000, 10_200, 9_900, 10_100, 1_000_000))), depth=0.0)
    made.open_account("a", 10_000_000)
    made.open_account("b", 0, shares={SYMBOL: 10})
    made.advance(session_clock(DAY).open + 30 * MINUTE)
    assert made.quote(SYMBOL).bids == made.quote(SYMBOL).asks == ()
    price = made.issues[SYMBOL].grid.floor(made.issues[SYMBOL].last * 0.99)
    low = made.submit("a", SYMBOL, Side.BUY, 5, price=price)
    assert made.quote(SYMBOL).bids == ((price, 5),)
    made.submit("b", SYMBOL, Side.SELL, 3, price=price)
    assert low.filled == 3
