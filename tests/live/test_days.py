"""Mornings, prices and evenings: what becomes of orders of the fold, and of what people ordered the day before."""

from __future__ import annotations

import pytest

from quantkit.live.messages import MarketData
from quantkit.live.switch import Mode
from quantkit.trading.events import Kind
from quantkit.trading.orders import Side, Status
from quantkit.trading.ports import Quote
from tests.live.accounts import CASH, MONDAY, NAMES, Account, S, Scripted, Want, at, line

TUESDAY = MONDAY.replace(day=22)
DAY = 86_400 * S


def quote(time: int, bid: float | None, ask: float | None, expected: float | None = None) -> MarketData:
    bids = () if bid is None else ((bid, 10),)
    asks = () if ask is None else ((ask, 10),)
    return MarketData(time, (Quote(NAMES[0], time, bids, asks, expected=expected),))


# --- resting orders of daily bars -----------------------------------------------------------------------------------


def resting(kind: str = "limit") -> tuple[Account, str]:
    """A limit order of the fold that rests for several days, standing on the first."""
    account = Account()
    (name,) = account.sending(Want(1, kind=kind, rule="own"))
    account.answer(name, number="1")
    return account, name


def test_an_order_for_the_whole_session_is_sent_when_orders_are_first_taken() -> None:
    account, name = resting()
    assert (account.order(name).intent.window.phase, account.order(name).status) == ("session", Status.ACCEPTED)


def test_it_may_be_sent_in_continuous_trading_too_but_not_in_the_closing_call() -> None:
    account = Account()
    (name,) = account.decided(Want(1, kind="limit", rule="own"))
    account.tick(70_000.0, time=at("10:00"))
    account.ready()
    assert account.sent() == [name]
    late = Account()
    (name,) = late.decided(Want(1, kind="limit", rule="own"))
    late.tick(70_000.0, time=at("15:21"))
    late.ready()
    assert (late.sent(), late.order(name).reason) == ([], "WINDOW_CLOSED")


@pytest.mark.parametrize("said", ["stream", "sweep", "morning"])
def test_the_fold_says_how_long_an_order_rests_not_the_exchange(said: str) -> None:
    account, name = resting()
    account.closes(at("15:31"), at("15:30"))
    if said == "stream":
        account.notice("1", "expired", 10, time=at("15:32"))
    elif said == "sweep":
        account.timer("sweep")
        while account.looks:
            account.look(line("1"))
    account.time = at("08:05") + DAY
    account.book.says(morning=[Want(1, kind="limit", rule="own")])
    account.opens(at("08:05") + DAY, day=TUESDAY)
    assert account.book.dropped == []
    again = [order for order in account.engine.orders.values() if order.id != name]
    assert [(order.status, order.intent.fold_order) for order in again] == [(Status.INITIALIZED, 1)]
    account.look()
    account.feed_timer("windows", at("08:30") + DAY)
    assert account.sent() == [name, again[0].id]


def test_an_order_that_is_not_to_rest_ends_in_the_book_with_its_window() -> None:
    account = Account()
    account.decided(Want(1))
    account.feed_timer("windows", at("08:59"))
    assert account.book.dropped == [[1, "WINDOW_CLOSED"]]


def test_a_resting_order_that_the_broker_refuses_ends_in_the_book() -> None:
    account = Account()
    (name,) = account.sending(Want(1, kind="limit", rule="own"))
    account.answer(name, "refused", code="NO_CASH")
    assert account.book.dropped == [[1, "NO_CASH"]]


def test_the_fold_wants_nothing_of_an_order_any_more() -> None:
    account = Account()
    (name,) = account.decided(Want(1))
    account.engine.sleeves["sma"].wanted[1] = (0, 70_000.0)
    account.lawful = False
    account.ready()
    account.feed_timer("windows", at("08:30"))
    assert (account.sent(), account.order(name).reason) == ([], "NOT_WANTED")


# --- replacements ---------------------------------------------------------------------------------------------------


def repricing(limit: float, *, quantity: int = 10, tick: float | None = 70_000.0) -> tuple[Account, str]:
    """A resting order of an intraday book whose next morning wants something else."""
    account = Account(Scripted(intraday=True))
    account.ready()
    account.book.says(morning=[Want(1, kind="limit", rule="own")])
    account.book.says(morning=[Want(1, kind="limit", rule="own", limit=limit, quantity=quantity)])
    account.opens(at("08:05"))
    account.feed_timer("windows", at("08:30"))
    (name,) = account.sent()
    account.answer(name, number="1")
    if tick is not None:
        account.tick(tick, time=at("09:01"))
    return account, name


def test_a_replacement_passes_the_gates() -> None:
    account, name = repricing(69_000.0)
    account.closes(at("09:01"))
    assert [(each.quantity, each.price) for each in account.modifies()] == [(10, 69_000.0)]
    assert account.order(name).status is Status.PENDING_UPDATE


@pytest.mark.parametrize("limit", [69_050.0, 95_000.0])
def test_what_the_gates_deny_of_it_takes_the_order_back(limit: float) -> None:
    account, name = repricing(limit)
    account.closes(at("09:01"))
    assert account.modifies() == []
    assert [each.number for each in account.cancels()] == ["1"]
    assert account.order(name).status is Status.PENDING_CANCEL


def test_nothing_is_replaced_in_a_halted_account() -> None:
    account, _ = repricing(69_000.0)
    account.command("halt")
    account.closes(at("09:01"))
    assert account.modifies() == []
    assert [each.number for each in account.cancels()] == ["1"]


def test_a_replacement_waits_for_a_price_that_is_fresh() -> None:
    account, name = repricing(69_000.0, tick=None)
    account.closes(at("09:01"))
    assert (account.modifies(), account.cancels()) == ([], [])
    account.tick(70_000.0, time=at("09:02"))
    assert [each.price for each in account.modifies()] == [69_000.0]
    assert account.order(name).status is Status.PENDING_UPDATE


def test_a_replacement_waits_for_the_order_stream() -> None:
    account, _ = repricing(69_000.0)
    account.disconnect()
    account.closes(at("09:01"))
    assert (account.modifies(), account.cancels()) == ([], [])
    account.looks.clear()
    account.connect(generation=2)
    account.look(line("1"))
    assert [each.price for each in account.modifies()] == [69_000.0]


def test_a_replacement_waits_for_the_answer_of_the_order() -> None:
    account = Account(Scripted(intraday=True))
    account.ready()
    account.book.says(morning=[Want(1, kind="limit", rule="own")])
    account.opens(at("08:05"))
    account.feed_timer("windows", at("08:30"))
    (name,) = account.sent()
    account.tick(70_000.0, time=at("09:01"))
    account.book.says(morning=[Want(1, kind="limit", rule="own", limit=69_000.0)])
    account.closes(at("09:01"))
    assert account.modifies() == []
    account.answer(name, number="1")
    assert [(each.number, each.price) for each in account.modifies()] == [("1", 69_000.0)]


def test_what_fills_meanwhile_is_not_bought_again() -> None:
    account, _ = repricing(69_000.0, quantity=6, tick=None)
    account.closes(at("09:01"))
    account.notice("1", "filled", 4, execution="a")
    account.tick(70_000.0, time=at("09:02"))
    assert [(each.quantity, each.price) for each in account.modifies()] == [(2, 69_000.0)]


def test_an_order_of_which_enough_has_filled_is_taken_back() -> None:
    account, name = repricing(69_000.0, quantity=3, tick=None)
    account.closes(at("09:01"))
    account.notice("1", "filled", 4, execution="a")
    assert (account.modifies(), [each.number for each in account.cancels()]) == ([], ["1"])
    assert account.order(name).status is Status.PENDING_CANCEL


def test_an_order_that_ends_meanwhile_is_not_replaced() -> None:
    account, _ = repricing(69_000.0, tick=None)
    account.closes(at("09:01"))
    account.notice("1", "filled", 10, execution="a")
    account.tick(70_000.0, time=at("09:02"))
    assert (account.modifies(), account.cancels()) == ([], [])
    assert account.engine.now.standing == {}


def test_a_price_that_came_back_replaces_nothing() -> None:
    account, _ = repricing(69_000.0, tick=None)
    account.closes(at("09:01"))
    account.engine.now.standing = dict.fromkeys(account.engine.now.standing, (10, 70000.0))
    account.tick(70_000.0, time=at("09:02"))
    assert (account.modifies(), account.engine.now.standing) == ([], {})


# --- prices ---------------------------------------------------------------------------------------------------------


def price(account: Account) -> tuple[float, int]:
    return account.engine.now.prices[NAMES[0]]


@pytest.mark.parametrize(
    ("bid", "ask", "expected"),
    [
        (69_900.0, 70_100.0, 70_000.0),  # it makes the last price fresh
        (70_100.0, 70_200.0, 70_100.0),  # and moves it where nobody would trade at it any more
        (69_800.0, 69_900.0, 69_900.0),
        (None, 69_500.0, 69_500.0),
    ],
)
def test_a_quote_makes_the_last_price_fresh(bid: float | None, ask: float, expected: float) -> None:
    account = Account()
    account.tick(70_000.0, time=at("09:10"))
    account.feed(quote(at("09:11"), bid, ask))
    assert price(account) == (expected, at("09:11"))


def test_quotes_that_tell_no_price() -> None:
    account = Account()
    account.feed(quote(at("09:09"), 69_900.0, 70_100.0))
    assert account.engine.now.prices == {}
    account.tick(70_000.0, time=at("09:10"))
    account.feed(quote(at("09:11"), 69_900.0, 70_100.0, expected=69_000.0))  # a call is on
    account.feed(quote(at("09:11"), None, None))
    assert price(account) == (70_000.0, at("09:10"))
    account.feed(MarketData(at("09:12"), (Quote(NAMES[0], at("09:09"), ((1.0, 1),), ((2.0, 1),)),)))
    assert price(account) == (70_000.0, at("09:10"))


# --- actions --------------------------------------------------------------------------------------------------------


def test_an_intent_over_the_night_of_a_split_goes_out_in_the_new_shares() -> None:
    account = Account()
    account.book.mornings.append([])
    account.book.says(evening=[Want(1)], morning=[Want(1, quantity=50, limit=14_000.0)])
    account.time = at("15:40", MONDAY.replace(day=18))
    account.closes(account.time, at("15:30", MONDAY.replace(day=18)), day=MONDAY.replace(day=18))
    account.opens(at("08:05"), base=14_000.0, previous=70_000.0)
    account.ready()
    account.feed_timer("windows", at("08:30"))
    assert (account.order().quantity, account.order().price) == (50, 14_000.0)


def test_what_a_person_ordered_before_an_action_is_dropped() -> None:
    account = Account()
    account.ready()
    account.opens(at("08:05"))
    account.look()
    account.command("order", symbol=NAMES[0], side="buy", quantity=3, price=70_000.0, phase="opening_auction",
                    deployment="sma", time=at("15:45"))  # fmt: skip
    account.closes(at("15:50"), at("15:30"))
    account.opens(at("08:05") + DAY, base=14_000.0, previous=70_000.0, day=TUESDAY)
    assert account.order("manual:c1").reason == "CORPORATE_ACTION"


def test_a_name_with_an_action_to_confirm_only_shrinks() -> None:
    account = Account()
    account.working()
    account.notice("1", "filled", 10, time=at("09:00"), execution="a")
    account.timer("ask")
    account.look(line("1", filled=10))
    account.closes(at("15:40"), at("15:30"))
    account.opens(at("08:05") + DAY, base=35_000.0, previous=70_000.0, day=TUESDAY)
    account.look()
    account.lawful = False
    account.engine.provisional = {NAMES[0]: 10}
    account.command("order", symbol=NAMES[0], side="buy", quantity=3, price=35_000.0, phase="opening_auction",
                    deployment="sma", time=at("08:31") + DAY)  # fmt: skip
    assert account.order("manual:c1").reason == "TRADING_REDUCING"
    account.command("order", key="c2", symbol=NAMES[0], side="sell", quantity=3, price=35_000.0,
                    phase="opening_auction", deployment="sma")  # fmt: skip
    assert account.order("manual:c2").status is Status.SUBMITTED


def test_a_bar_that_never_came_is_told_and_the_morning_is_not_repeated() -> None:
    account = Account()
    account.working()
    account.opens(at("08:05") + DAY, day=TUESDAY)
    assert "BAR_MISSING" in account.alarms()


def test_the_same_morning_twice_is_one() -> None:
    account = Account()
    account.ready()
    first = account.opens(at("08:05"))
    assert Kind.SESSION_OPENED in [entry.kind for entry in first]
    assert account.opens(at("08:06")) == []
    assert account.engine.switches.modes(account="acc").strictest is Mode.RUNNING


def test_a_bar_folded_before_is_not_folded_again() -> None:
    account = Account()
    account.closes(at("15:40"), at("15:30"))
    assert account.closes(at("15:41"), at("15:30"), backfill=True) == []
    assert account.closes(at("15:41"), at("15:20"), backfill=True) == []


def test_a_side_effect_of_a_sale_is_no_purchase() -> None:
    """A resting sale that is replaced counts its own shares as free."""
    account = Account(Scripted(intraday=True), lawful=False)
    account.book.fill(order=-1, symbol=0, side=1, quantity=10, price=0.0, value=0, commission=0, tax=0, rule=None)
    account.connect()
    account.look(cash=account.engine.cash())
    account.book.says(morning=[Want(1, side=-1, kind="limit", rule="own", limit=71_000.0)])
    account.opens(at("08:05"))
    account.feed_timer("windows", at("08:30"))
    (name,) = account.sent()
    account.answer(name, number="1")
    account.tick(70_000.0, time=at("09:01"))
    account.book.says(morning=[Want(1, side=-1, kind="limit", rule="own", limit=70_500.0)])
    account.closes(at("09:01"))
    assert [(each.quantity, each.price) for each in account.modifies()] == [(10, 70_500.0)]
    assert account.order(name).intent.side is Side.SELL


# --- what a promotion allows ----------------------------------------------------------------------------------------


def allowed(more: int, *, spare: int) -> Account:
    """An account whose deployment may use more than it was given; `spare` is nobody's."""
    account = Account()
    account.connect()
    account.look(cash=CASH + spare)
    account.opens(at("08:05"))
    account.command("capital", deployment="sma", amount=CASH + more, time=at("10:00"))
    return account


def test_money_that_a_promotion_allows_comes_with_the_next_morning() -> None:
    account = allowed(400, spare=1_000)
    account.opens(account.time)  # a restart within the day
    assert account.engine.sleeves["sma"].cash() == CASH
    entries = account.opens(at("08:05", TUESDAY), day=TUESDAY)
    (given,) = [entry.payload for entry in entries if entry.kind is Kind.ACCOUNT_STATE]
    assert (given["assigned"], given["granted"]) == ({"sma": 400}, True)
    assert account.engine.sleeves["sma"].cash() == CASH + 400
    assert account.engine.unassigned_cash == 600
    account.closes(at("15:40", TUESDAY), at("15:30", TUESDAY), day=TUESDAY)
    account.opens(at("08:05", TUESDAY.replace(day=23)), day=TUESDAY.replace(day=23))
    assert account.engine.sleeves["sma"].cash() == CASH + 400  # once


def test_what_is_not_there_is_told_and_given_when_it_is() -> None:
    account = allowed(400, spare=100)
    account.opens(at("08:05", TUESDAY), day=TUESDAY)
    assert account.engine.sleeves["sma"].granted == CASH + 100
    assert "CAPITAL_SHORT" in account.alarms()


def test_a_smaller_part_takes_nothing_away_and_a_stranger_is_refused() -> None:
    account = allowed(-400, spare=0)
    account.opens(at("08:05", TUESDAY), day=TUESDAY)
    assert account.engine.sleeves["sma"].cash() == CASH
    account.command("capital", key="c2", deployment="other", amount=1)
    assert "COMMAND_REFUSED" in account.alarms()
