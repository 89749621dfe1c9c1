"""Connections of others, timers nobody knows, stops that fire, mornings and ends of bars, and orders in corners."""

from __future__ import annotations

import pytest

from quantkit.live.messages import ConnectionChanged, MarketData, TimerFired
from quantkit.live.risk import GateLimits
from quantkit.live.windows import session_of
from quantkit.trading.approval import Approved, approve
from quantkit.trading.orders import OrderType, Side, Status
from quantkit.trading.ports import Tick
from tests.live.accounts import CASH, MONDAY, NAMES, Account, Over, S, Scripted, Want, at, line
from tests.live.test_life import replacing
from tests.live.test_outcomes import hunt, lost

NAN = float("nan")


def holding(*, intraday: bool = False) -> Account:
    """Ten shares, bought this morning and in the list."""
    account = Account(Scripted(intraday=intraday))
    account.book.watches.append([69_000.0, [list(Want(7, side=-1, limit=NAN, kind="market", rule="stop_loss"))]])
    account.working()
    account.notice("1", "filled", 10, time=at("09:00"), execution="a")
    account.timer("ask")
    account.look(line("1", filled=10))
    return account


def test_the_connection_of_prices_begins_no_reconciliation() -> None:
    account = Account()
    account.ready()
    (entry,) = account.feed(ConnectionChanged(account.time, "prices", True, 3))
    assert entry.payload["what"] == "prices"
    assert (account.engine.now.phase, account.engine.now.up["prices"]) == ("ready", 3)
    account.feed(ConnectionChanged(account.time, "prices", False))
    assert (account.engine.now.phase, account.looks) == ("ready", [])


def test_a_timer_that_nobody_knows_does_nothing() -> None:
    account = Account()
    assert account.feed(TimerFired(account.time, "tea")) == []


# --- stops that we hold ourselves -----------------------------------------------------------------------------------


def test_a_price_that_meets_a_stop_sells_at_once() -> None:
    account = holding()
    account.tick(69_500.0, time=at("09:30"))
    assert len(account.sent()) == 1
    account.tick(68_900.0, time=at("09:31"))
    order = account.engine.orders[account.sent()[-1]]
    assert (order.intent.rule, order.intent.side, order.intent.reduces) == ("stop_loss", Side.SELL, True)
    assert (order.status, order.intent.type, order.quantity) == (Status.SUBMITTED, OrderType.MARKET, 10)
    assert "OrderTriggered" in account.kinds()
    account.answer(order.id, number="2")
    account.notice("2", "filled", 10, side=Side.SELL, price=68_900.0, execution="b")
    assert account.engine.shares(NAMES[0]) == 0


def test_a_price_is_written_where_it_moved_something_and_recovery_lets_it_do_so_again() -> None:
    account = holding()
    account.tick(69_500.0, time=at("09:30"))  # below the peak: nothing
    assert "PriceWatched" not in account.kinds()
    account.tick(71_000.0)  # a new peak
    account.tick(68_900.0)  # the stop
    assert account.kinds().count("PriceWatched") == 2
    assert not account.engine.due  # no snapshot: the entries say all
    account.restart()
    assert account.engine.sleeves["sma"].wanted[7] == (10, None)


def test_a_stop_that_was_denied_is_denied_once_until_the_reason_may_have_changed() -> None:
    account = holding()
    for _ in range(3):  # the book gives up a stop that was denied, and meets the same price again
        account.book.watches.append(account.book.watches[0])
    account.journal.append((), snapshot=account.engine.snapshot())
    account.command("halt", reason="a drill")
    for second in range(10, 40, 5):
        account.tick(68_900.0, time=at(f"09:31:{second}"))
    assert account.kinds().count("OrderDenied") == 1
    account.command("resume", key="c2")
    account.tick(68_900.0)
    assert len(account.sent()) == 2


def test_a_stop_denied_for_a_reason_that_passes_is_tried_again_after_a_pause() -> None:
    account = holding()
    for _ in range(3):
        account.book.watches.append(account.book.watches[0])
    account.journal.append((), snapshot=account.engine.snapshot())
    account.engine.sleeves["sma"].limits = GateLimits(stale_ms=1)
    for second in range(10, 32):
        account.feed(MarketData(at(f"09:31:{second}"), (Tick(NAMES[0], at(f"09:31:{second}") - S, 68_900.0, 1),)))
    assert account.kinds().count("OrderDenied") == 3  # at once, and after each 10 s


def test_a_stop_that_could_not_go_for_a_minute_is_dead() -> None:
    account = holding()
    account.disconnect()
    account.tick(68_900.0, time=at("09:31"))
    account.feed_timer("windows", at("09:32"))
    assert account.book.dropped == [[7, "WINDOW_CLOSED"]]
    assert len(account.sent()) == 1


def test_a_stop_that_has_fired_is_not_dropped_by_a_morning_that_does_not_know_it() -> None:
    account = holding(intraday=True)
    account.disconnect()
    account.tick(68_900.0, time=at("09:31"))
    account.closes(at("09:31:01"))
    stop = next(order for order in account.engine.orders.values() if order.intent.rule == "stop_loss")
    assert stop.status is Status.TRIGGERED


def test_prints_of_auctions_and_names_of_others_meet_no_stop() -> None:
    account = holding()
    account.tick(68_000.0, time=at("09:31"), auction=True)
    account.tick(68_000.0, symbol="035720")
    assert len(account.sent()) == 1
    assert account.engine.now.prices["035720"][0] == 68_000.0


def test_a_limit_of_a_stop_is_sent_as_a_limit() -> None:
    account = Account()
    account.book.watches.append([69_000.0, [list(Want(7, limit=69_500.0, kind="limit", rule="own"))]])
    account.book.fill(order=-1, symbol=0, side=1, quantity=1, price=0.0, value=0, commission=0, tax=0, rule=None)
    account.journal.append((), snapshot=account.engine.snapshot())
    account.ready()
    account.opens(at("08:05"))
    account.tick(69_000.0, time=at("09:31"))
    order = account.order(account.sent()[0])
    assert (order.intent.type, order.price) == (OrderType.LIMIT, 69_500.0)


# --- mornings and evenings ------------------------------------------------------------------------------------------


def test_what_the_morning_ends_is_taken_back() -> None:
    account = Account()
    account.book.mornings.append([])
    account.book.says(evening=[Want(1)], morning=[Over(1, "DELISTED")])
    account.time = at("15:40", MONDAY.replace(day=18))
    account.closes(account.time, at("15:30", MONDAY.replace(day=18)), day=MONDAY.replace(day=18))
    account.opens(at("08:05"))
    assert (account.order().status, account.order().reason) == (Status.CANCELED, "DELISTED")
    assert account.book.dropped == []


def test_an_order_that_stands_as_it_should_is_left_alone() -> None:
    account = Account(Scripted(intraday=True))
    account.ready()
    account.book.says(morning=[Want(1, kind="limit", rule="own")])
    account.book.says(morning=[Want(1, kind="limit", rule="own")])
    account.opens(at("08:05"))
    account.feed_timer("windows", at("08:30"))
    account.answer(account.sent()[0], number="1")
    account.tick(70_000.0, time=at("09:01"))
    account.closes(at("09:01"))
    assert (account.modifies(), account.cancels(), account.engine.now.standing) == ([], [], {})


def test_a_conditional_order_is_asked_for_as_one() -> None:
    account = Account()
    account.sending(Want(1, kind="conditional"))
    assert account.order().intent.type is OrderType.CONDITIONAL


def test_the_last_bar_of_a_session_has_no_morning_after_it() -> None:
    account = Account(Scripted(intraday=True))
    account.opens(at("08:05"))
    span = session_of(MONDAY)
    assert span is not None
    account.closes(span.closes + S, span.closes)
    assert not account.engine.sleeves["sma"].opened
    sunday = MONDAY.replace(day=20)
    quiet = Account(Scripted(intraday=True))
    quiet.time = at("10:00", sunday)
    quiet.closes(at("10:00", sunday), day=sunday)
    assert not quiet.engine.sleeves["sma"].opened


def test_a_morning_after_the_close_sweeps_at_once() -> None:
    account = Account()
    account.opens(at("16:00"))
    assert account.engine.now.timers["sweep"] == at("16:00:01")


def test_a_morning_finishes_what_waited_for_a_close() -> None:
    """An evening that ended in orders for its own close is finished before the next morning."""

    class Waiting(Scripted):
        closing = True

        def finish(self) -> None:
            self.closing = False

    account = Account(Waiting(), lawful=False)
    account.opens(at("08:05"))
    assert account.book.closing is False  # type: ignore[attr-defined]


# --- orders, in corners ---------------------------------------------------------------------------------------------


def test_after_the_close_nothing_is_cancelled_any_more_the_list_is_asked() -> None:
    account = Account()
    name = account.working()
    account.command("cancel", order=name, time=at("15:35"))
    assert account.cancels() == []
    assert account.engine.leaving == {name: "MANUAL"}
    account.timer("ask")
    account.look(line("1", leaves=0, status="expired"))
    assert account.order(name).status is Status.EXPIRED


@pytest.mark.parametrize("request_", ["cancel", "modify"])
def test_a_request_that_was_taken_without_a_number_waits_for_the_list(request_: str) -> None:
    account, name = replacing()
    if request_ == "cancel":
        account.command("cancel", order=name)
    status = account.order(name).status
    assert account.answer(name, request=request_) == []
    assert account.order(name).status is status
    assert "ask" in account.engine.now.timers


def test_a_word_of_acceptance_after_the_answer_says_nothing_new() -> None:
    account = Account()
    account.working()
    assert account.notice("1", "accepted", 10) == []


def test_an_order_that_is_taken_back_is_followed_to_the_number_that_the_list_shows() -> None:
    account, name = replacing()
    account.command("cancel", order=name)
    account.timer("ask")
    account.look(line("1", leaves=0, status="canceled"), line("2", original="1", price=69_000.0))
    assert [each.number for each in account.cancels()] == ["1", "2"]
    assert account.order(name).status is Status.PENDING_CANCEL


def test_costs_as_the_model_has_them_are_not_corrected() -> None:
    account = Account()
    name = account.working()
    account.notice("1", "filled", 10, time=at("09:00"), execution="a")
    account.timer("ask")
    account.look(line("1", filled=10, commission=0, tax=0))
    assert "CostCorrected" not in account.kinds()
    assert account.order(name).status is Status.FILLED


def test_the_replacement_of_a_foreign_order_is_told_once() -> None:
    account = Account()
    account.ready()
    account.timer("positions", at("09:30"))
    account.look(line("7", time=at("09:29")), line("8", time=at("09:30"), original="7"))
    assert account.alarms() == ["EXTERNAL_ORDER"]
    assert set(account.engine.external) == {"7", "8"}


def test_an_order_given_up_that_no_list_shows_stays_given_up() -> None:
    account, name = lost()
    account.command("adopt", order=name, outcome="not_found")
    account.feed_timer("ask", at("09:00"))
    account.look()
    assert account.order(name).status is Status.REJECTED


def test_a_witness_of_shares_that_says_nothing_proves_nothing() -> None:
    account = Account(lawful=False)
    account.book.fill(order=-1, symbol=0, side=1, quantity=10, price=0.0, value=0, commission=0, tax=0, rule=None)
    (name,) = account.decided(Want(1, side=-1))
    account.connect()
    account.look()
    account.feed_timer("windows", at("08:30"))
    account.answer(name, "unknown")
    while account.time < at("08:45"):
        hunt(account, name)
    assert account.order(name).unresolved_since is not None


def test_what_a_lost_order_without_a_price_may_cost() -> None:
    account = Account()
    account.tick(70_000.0, time=at("08:10"))
    (name,) = account.sending(Want(1, limit=NAN, kind="market"))
    account.answer(name, "unknown")
    account.time = at("08:33")
    for _ in range(12):
        hunt(account, name, orderable={name: CASH - 455_001})  # half of 10 x 1.3 x 70,000 is bound by somebody
    assert account.order(name).unresolved_since is not None
    while account.order(name).unresolved_since is not None:
        hunt(account, name, orderable={name: CASH - 454_999})
    assert account.order(name).status is Status.REJECTED


def test_what_the_broker_lets_us_order_is_not_taken_from_before_the_last_send() -> None:
    account = Account()
    account.decided(Want(1))
    account.ready()
    account.timer("positions", at("08:29:59"))
    account.feed_timer("windows", at("08:30"))
    left = account.engine.now.orderable
    account.look(asked=at("08:29:59"), spare=CASH)
    assert account.engine.now.orderable == left == CASH - 700_000


def test_stop_may_leave_what_stands() -> None:
    account = Account()
    account.working()
    account.command("stop")
    assert account.cancels() == []
    account.tick(70_000.0, time=at("09:30"))
    account.command("order", key="c2", symbol=NAMES[0], side="buy", quantity=1, price=70_000.0, deployment="sma")
    assert len(account.sent()) == 1


def test_many_prices_come_at_once() -> None:
    account = holding()
    account.feed(
        MarketData(at("09:31"), tuple(Tick(NAMES[0], at("09:31"), price, 1) for price in (69_100.0, 68_900.0)))
    )
    assert len(account.sent()) == 2


def test_an_approval_says_what_it_allows() -> None:
    account = Account()
    account.working()
    assert repr(approve(account.order(), quantity=3, price=69_000.0)) == f"Approved({account.order().id}, 3 at 69000.0)"
    assert isinstance(approve(account.order()), Approved)
