"""From a decision to the broker: windows, the queue, the cut, the gates."""

from __future__ import annotations

import math

import pytest

from quantkit.live.dispatch import window_of
from quantkit.live.risk import GateLimits
from quantkit.live.switch import Mode
from quantkit.live.turn import Settings
from quantkit.trading.events import Kind
from quantkit.trading.orders import OrderType, Status
from tests.live.accounts import CASH, FRIDAY, MONDAY, NAMES, Account, Over, Scripted, Want, at, line


def test_a_decision_of_the_evening_goes_into_the_next_opening_auction() -> None:
    account = Account()
    (name,) = account.decided(Want(1))
    order = account.order(name)
    assert name == f"sma:{at('15:30', FRIDAY)}:1"
    assert (order.intent.window.phase, order.intent.window.opens) == ("opening_auction", at("08:30"))
    account.ready()
    assert account.sent() == []
    account.feed_timer("windows", at("08:30"))
    assert account.sent() == [name]
    account.answer(name, number="1")
    account.notice("1", "filled", 10, time=at("09:00"), execution="1")
    account.timer("ask")
    account.look(line("1", filled=10))
    assert account.order(name).status is Status.FILLED
    assert account.engine.shares(NAMES[0]) == 10
    assert account.engine.cash() == CASH - 700_000
    account.book.says(ended=[Over(1, "", 10)])
    account.closes(at("15:40"), at("15:30"))
    assert account.order(name).status is Status.FILLED
    assert account.book.dropped == []


def test_intents_survive_the_night_and_the_restart() -> None:
    account = Account()
    account.book.mornings.append([])
    account.book.says(evening=[Want(1)], morning=[Want(1)])
    account.time = at("15:40", FRIDAY)
    account.closes(at("15:40", FRIDAY), at("15:30", FRIDAY), day=FRIDAY)
    account.restart()
    account.ready()
    account.opens(at("08:05"))
    account.feed_timer("windows", at("08:30"))
    assert len(account.sent()) == 1
    account.restart()
    account.connect(at("08:31"))
    account.look(line("1"))
    account.feed_timer("windows", at("08:32"))
    assert len(account.sent()) == 1


def test_nothing_of_the_fold_is_sent_before_the_morning() -> None:
    account = Account()
    account.book.mornings.append([])
    account.book.says(evening=[Want(1)])
    account.time = at("15:40", FRIDAY)
    account.closes(at("15:40", FRIDAY), at("15:30", FRIDAY), day=FRIDAY)
    account.ready()
    account.feed_timer("windows", at("08:30"))
    assert account.sent() == []
    account.feed_timer("windows", at("08:59"))
    (order,) = account.engine.orders.values()
    assert (order.status, order.reason) == (Status.EXPIRED, "WINDOW_CLOSED")
    assert account.book.dropped == [[1, "WINDOW_CLOSED"]]


def test_the_morning_cuts_quantities_and_sets_limits_anew() -> None:
    account = Account()
    account.book.mornings.append([])
    account.book.says(evening=[Want(1, limit=float("nan"))], morning=[Want(1, quantity=7, limit=77_000.0)])
    account.time = at("15:40", FRIDAY)
    account.closes(at("15:40", FRIDAY), at("15:30", FRIDAY), day=FRIDAY)
    (order,) = account.engine.orders.values()
    assert (order.intent.type, order.intent.price) == (OrderType.LIMIT, None)
    account.opens(at("08:05"), day=MONDAY)
    account.ready()
    account.feed_timer("windows", at("08:30"))
    (order,) = account.engine.orders.values()
    assert (order.status, order.quantity, order.price) == (Status.SUBMITTED, 7, 77_000.0)


def test_a_morning_that_prices_otherwise_makes_another_intent() -> None:
    account = Account()
    account.book.mornings.append([])
    account.book.says(evening=[Want(1)], morning=[Want(1, limit=float("nan"))])
    account.time = at("15:40", FRIDAY)
    account.closes(at("15:40", FRIDAY), at("15:30", FRIDAY), day=FRIDAY)
    account.opens(at("08:05"))
    first, second = account.engine.orders.values()
    assert (first.status, first.reason) == (Status.CANCELED, "REPRICED")
    assert (second.intent.type, second.intent.window) == (OrderType.MARKET, first.intent.window)
    assert account.book.dropped == []


def test_an_order_that_needs_a_limit_is_not_sent_without_one() -> None:
    account = Account()
    account.sending(Want(1, limit=float("nan"), kind="conditional"))
    assert (account.sent(), account.order().reason) == ([], "NO_PRICE")
    assert account.book.dropped == [[1, "NO_PRICE"]]


def test_what_the_morning_does_not_want_is_dropped() -> None:
    account = Account()
    account.book.mornings.append([])
    account.book.says(evening=[Want(1), Want(2, symbol=1)], morning=[Want(1)])
    account.time = at("15:40", FRIDAY)
    account.closes(at("15:40", FRIDAY), at("15:30", FRIDAY), day=FRIDAY)
    account.opens(at("08:05"))
    states = {order.intent.fold_order: order.status for order in account.engine.orders.values()}
    assert states == {1: Status.INITIALIZED, 2: Status.CANCELED}


def test_halted_names_are_dropped_with_a_reason() -> None:
    account = Account()
    account.book.mornings.append([])
    account.book.says(evening=[Want(1), Want(2, symbol=1)], morning=[Want(1), Want(2, symbol=1)])
    account.time = at("15:40", FRIDAY)
    account.closes(at("15:40", FRIDAY), at("15:30", FRIDAY), day=FRIDAY)
    account.opens(at("08:05"), halted=[NAMES[1]])
    assert account.book.dropped == [[2, "HALTED"]]
    assert {order.reason for order in account.engine.orders.values()} == {"", "HALTED"}


# --- the queue ------------------------------------------------------------------------------------------------------


def test_one_unacknowledged_order_at_a_time_for_a_name_and_side() -> None:
    account = Account()
    first, second, other = account.sending(Want(1), Want(2), Want(3, symbol=1))
    assert account.sent() == [first, other]
    account.answer(first, number="1")
    assert account.sent() == [first, other, second]


def test_sales_go_before_purchases() -> None:
    account = Account()
    account.book.fill(order=-1, symbol=1, side=1, quantity=10, price=0.0, value=0, commission=0, tax=0, rule=None)
    buy, sell = account.decided(Want(1), Want(2, symbol=1, side=-1))
    account.connect()
    account.look()
    account.feed_timer("windows", at("08:30"))
    assert account.sent() == [sell, buy]


def test_sends_are_cut_to_what_the_broker_lets_us_order() -> None:
    account = Account()
    account.decided(Want(1), Want(2, symbol=1))
    account.connect()
    account.look(spare=1_000_000)
    account.feed_timer("windows", at("08:30"))
    first, second = account.engine.orders.values()
    assert (first.quantity, second.quantity) == (10, 4)
    cut = [entry.payload for entry in account.entries if entry.kind is Kind.ORDER_SUBMITTING][-1]
    assert (cut["wanted"], cut["cut"]) == (10, "ORDERABLE_CASH")


def test_what_is_cut_is_cut_to_lots() -> None:
    account = Account(markets=("ELW", "ELW"))
    account.decided(Want(1, quantity=20), Want(2, symbol=1, quantity=20))
    account.connect()
    account.look(spare=35 * 70_000)
    account.feed_timer("windows", at("08:30"))
    assert [order.quantity for order in account.engine.orders.values()] == [20, 10]


def test_without_any_orderable_cash_the_gate_denies_and_the_book_is_told() -> None:
    account = Account()
    account.decided(Want(1))
    account.connect()
    account.look(spare=0)
    account.feed_timer("windows", at("08:30"))
    assert (account.order().status, account.order().reason) == (Status.DENIED, "INSUFFICIENT_CASH")
    assert account.book.dropped == [[1, "INSUFFICIENT_CASH"]]


def test_a_daily_loss_lets_the_deployment_only_shrink_until_the_next_session() -> None:
    account = Account(limits=GateLimits(stale_ms=10**9, max_daily_loss=0.01))
    account.book.fill(order=-1, symbol=1, side=1, quantity=100, price=0.0, value=0, commission=0, tax=0, rule=None)
    account.book.state.account[5] += 7_000_000  # equity at the last mark
    account.decided(Want(1))
    account.connect()
    account.look()
    account.tick(50_000.0, symbol=NAMES[1], time=at("08:20"))
    account.feed_timer("windows", at("08:30"))
    assert account.order().reason == "DAILY_LOSS"
    assert account.engine.switches.modes(account="acc", deployment="sma").deployment is Mode.REDUCING
    account.closes(at("15:40"), at("15:30"))
    account.opens(at("08:05") + 86_400_000_000_000, day=MONDAY.replace(day=22))
    assert account.engine.switches.modes(account="acc", deployment="sma").deployment is Mode.RUNNING


def test_nothing_leaves_a_halted_account() -> None:
    account = Account()
    account.decided(Want(1))
    account.ready()
    account.command("halt")
    account.feed_timer("windows", at("08:30"))
    assert account.sent() == []
    assert account.order().reason == "TRADING_HALTED"


def test_a_new_day_forgets_what_ended() -> None:
    account = Account()
    name = account.working()
    account.notice("1", "filled", 10, time=at("09:00"), execution="a")
    account.closes(at("15:40"), at("15:30"))
    account.opens(at("08:05") + 86_400_000_000_000, day=MONDAY.replace(day=22))
    assert name not in account.engine.orders
    assert account.engine.sent == {}


# --- windows --------------------------------------------------------------------------------------------------------

DAILY = {
    "open": ("opening_auction", "08:30", "08:59"),
    "close": ("closing_auction", "15:20", "15:29"),
    "at_open": ("opening_auction", "08:30", "08:59"),
    "at_close": ("closing_auction", "15:20", "15:29"),
    "limit": ("session", "08:30", "15:20"),
    "conditional": ("session", "08:30", "15:20"),
}


@pytest.mark.parametrize("kind", DAILY)
def test_windows_of_daily_bars_are_the_next_sessions(kind: str) -> None:
    sleeve = Account().engine.sleeves["sma"]
    phase, opens, closes = DAILY[kind]
    window = window_of(sleeve, kind, at("15:30", FRIDAY), Settings())
    assert window == (type(window))(phase, at(opens), at(closes))


@pytest.mark.parametrize(
    ("kind", "close", "phase", "opens", "closes"),
    [
        ("market", "10:00", "continuous", "10:00", "10:05"),
        ("limit", "15:15", "continuous", "15:15", "15:20"),
        ("market", "15:20", "closing_auction", "15:20", "15:25"),
        ("close", "10:00", "continuous", "10:00", "10:05"),
        ("at_close", "10:00", "closing_auction", "15:20", "15:29"),
        ("same_close", "10:00", "closing_auction", "10:00", "11:00"),
    ],
)
def test_windows_of_intraday_bars_are_the_next_bar(kind: str, close: str, phase: str, opens: str, closes: str) -> None:
    sleeve = Account(Scripted(intraday=True)).engine.sleeves["sma"]
    sleeve.step = 300 * 1_000_000_000
    window = window_of(sleeve, kind, at(close), Settings())
    assert (window.phase, window.opens, window.closes) == (phase, at(opens), at(closes))


def test_the_first_bar_of_the_next_session_is_its_opening_auction() -> None:
    sleeve = Account(Scripted(intraday=True)).engine.sleeves["sma"]
    window = window_of(sleeve, "open", at("15:30", FRIDAY), Settings())
    assert (window.phase, window.opens, window.closes) == ("opening_auction", at("08:30"), at("08:59"))


def test_an_order_at_the_open_waits_for_tomorrows_auction() -> None:
    sleeve = Account(Scripted(intraday=True)).engine.sleeves["sma"]
    sleeve.step = 300 * 1_000_000_000
    window = window_of(sleeve, "at_open", at("10:00", FRIDAY), Settings())
    assert (window.phase, window.opens, window.closes) == ("opening_auction", at("08:30"), at("08:59"))


def test_a_market_buy_binds_the_upper_limit_price_as_the_broker_does() -> None:
    """The base of 70,000 has the limit 91,000; a last price above the base must not make it more."""
    account = Account(limits=GateLimits(stale_ms=10**9))
    account.decided(Want(1, limit=math.nan))
    account.connect()
    account.look(spare=910_000 + 200)
    account.tick(75_000.0, time=at("08:20"))
    account.feed_timer("windows", at("08:30"))
    sent = [entry.payload for entry in account.entries if entry.kind is Kind.ORDER_SUBMITTING]
    assert sent == [{"quantity": 10, "price": None}]
