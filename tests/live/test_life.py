"""An order after it was sent: answers, the order stream, the broker's list; late, twice, or in any order."""

from __future__ import annotations

import pytest

from quantkit.live.turn import Settings
from quantkit.market.costs import Costs
from quantkit.trading.orders import Side, Status
from quantkit.trading.ports import Capabilities
from tests.live.accounts import CASH, NAMES, Account, Over, S, Scripted, Want, at, line

OPEN = at("09:00")


def settled(account: Account, name: str) -> tuple[Status, int, int]:
    order = account.order(name)
    return order.status, order.filled, order.value


# --- answers --------------------------------------------------------------------------------------------------------


def test_an_accepted_order_has_the_brokers_number() -> None:
    account = Account()
    name = account.working()
    assert (account.order(name).status, account.order(name).number) == (Status.ACCEPTED, "1")
    account.answer(name, number="1")  # twice is once
    assert account.order(name).numbers == ("1",)


@pytest.mark.parametrize(
    ("outcome", "code", "reason"),
    [("refused", "NO_CASH", "NO_CASH"), ("refused", "", "REFUSED"), ("not_sent", "", "NOT_SENT")],
)
def test_a_refusal_ends_the_order_and_tells_the_book(outcome: str, code: str, reason: str) -> None:
    account = Account()
    (name,) = account.sending(Want(1))
    account.answer(name, outcome, code=code)
    assert (account.order(name).status, account.order(name).reason) == (Status.REJECTED, reason)
    assert account.book.dropped == [[1, reason]]


def test_an_answer_for_an_order_of_another_day_means_nothing() -> None:
    account = Account()
    account.ready()
    assert account.answer("nobody", number="1") == []


@pytest.mark.parametrize("outcome", ["refused", "unknown", "not_sent"])
def test_the_stream_may_be_faster_than_a_bad_answer(outcome: str) -> None:
    account = Account()
    (name,) = account.sending(Want(1))
    account.answer(name, number="1")
    account.notice("1", "filled", 4, time=OPEN, execution="a")
    account.answer(name, outcome)
    assert settled(account, name) == (Status.PARTIALLY_FILLED, 4, 280_000)


def test_a_fill_before_the_answer_waits_for_it() -> None:
    account = Account()
    (name,) = account.sending(Want(1))
    account.notice("1", "accepted", 10)
    account.notice("1", "filled", 10, execution="a")
    assert account.order(name).filled == 0
    account.answer(name, number="1")
    assert settled(account, name) == (Status.FILLED, 10, 700_000)


# --- the stream -----------------------------------------------------------------------------------------------------

KINDS = {"execution": "execution numbers", "cumulative": "cumulative quantities", "neither": "neither"}


def told(account: Account, kind: str, count: int, total: int, time: int, price: float = 70_000.0) -> None:
    more = {"execution": f"x{total}"} if kind == "execution" else {"cumulative": total} if kind == "cumulative" else {}
    said = dict(more)
    account.notice("1", "filled", count, time=account.time, price=price + 0 * time, **said)


@pytest.mark.parametrize("kind", KINDS)
def test_a_repeated_fill_is_booked_once(kind: str) -> None:
    account = Account()
    name = account.working()
    account.time = OPEN
    told(account, kind, 4, 4, OPEN)
    told(account, kind, 4, 4, OPEN)
    assert account.order(name).filled == 4


@pytest.mark.parametrize("kind", ["execution", "cumulative"])
def test_fills_may_come_in_any_order(kind: str) -> None:
    account = Account()
    name = account.working()
    account.time = OPEN
    told(account, kind, 6, 10, OPEN, 69_000.0)
    told(account, kind, 4, 4, OPEN)
    assert settled(account, name) == (Status.FILLED, 10, 6 * 69_000 + 4 * 70_000)


def test_fills_without_numbers_differ_by_time_price_and_quantity() -> None:
    account = Account()
    name = account.working()
    account.notice("1", "filled", 4, time=OPEN)
    account.notice("1", "filled", 4, time=OPEN + S)
    account.notice("1", "filled", 4, time=OPEN + 2 * S)  # more than was ordered: two shares of it count
    assert account.order(name).filled == 10


@pytest.mark.parametrize("kind", KINDS)
def test_a_fill_that_the_list_showed_first_is_not_booked_again(kind: str) -> None:
    account = Account()
    name = account.working()
    account.timer("ask", OPEN)
    account.look(line("1", filled=4))
    assert settled(account, name) == (Status.PARTIALLY_FILLED, 4, 280_000)
    told(account, kind, 4, 4, OPEN)
    assert account.order(name).filled == 4
    told(account, kind, 3, 7, OPEN)
    assert account.order(name).filled == 7


def test_a_fill_without_a_price_waits_for_the_list() -> None:
    account = Account()
    name = account.working()
    account.notice("1", "filled", 10, time=OPEN, price=None, execution="a")
    assert account.order(name).filled == 0
    account.timer("ask")
    account.look(line("1", filled=10))
    assert settled(account, name) == (Status.FILLED, 10, 700_000)


def test_a_notice_of_a_dead_connection_is_dropped() -> None:
    account = Account()
    name = account.working()
    account.notice("1", "filled", 10, time=OPEN, execution="a", generation=0)
    assert account.order(name).filled == 0


def test_a_second_look_says_what_a_notice_of_nobody_was() -> None:
    account = Account()
    account.ready()
    account.notice("77", "filled", 5, time=OPEN, execution="a")
    account.timer("ask")
    account.look(line("77", filled=5, quantity=5, time=OPEN))
    assert account.engine.external["77"].filled == 5
    assert account.engine.unassigned == {NAMES[0]: 5}
    assert account.engine.unassigned_cash == -350_000
    assert "EXTERNAL_ORDER" in account.alarms()
    account.notice("77", "filled", 5, execution="b")
    assert account.engine.now.orphans == {}


def test_a_refusal_on_the_stream_ends_the_order() -> None:
    account = Account()
    name = account.working()
    account.notice("1", "rejected", 10, reason="PRICE")
    assert (account.order(name).status, account.order(name).reason) == (Status.REJECTED, "PRICE")
    account.notice("1", "rejected", 10, reason="PRICE")
    account.notice("1", "filled", 10, execution="a", time=OPEN)
    assert account.order(name).status is Status.FILLED
    assert "FILL_OF_REJECTED" in account.alarms()


def test_a_session_end_on_the_stream_expires_the_order_once() -> None:
    account = Account()
    name = account.working()
    account.notice("1", "expired", 10, time=at("15:31"))
    account.notice("1", "expired", 10)
    assert (account.order(name).status, account.order(name).reason) == (Status.EXPIRED, "SESSION_END")


# --- cancels --------------------------------------------------------------------------------------------------------


def cancelling() -> tuple[Account, str]:
    account = Account()
    name = account.working()
    account.time = OPEN
    account.command("cancel", order=name)
    assert account.order(name).status is Status.PENDING_CANCEL
    assert account.cancels()[-1].number == "1"
    return account, name


def test_a_cancel_is_asked_for_once() -> None:
    account, name = cancelling()
    account.command("cancel", key="c2", order=name)
    assert len(account.cancels()) == 1
    account.answer(name, request="cancel", number="2")
    account.notice("2", "canceled", 10, original="1")
    assert (account.order(name).status, account.order(name).reason) == (Status.CANCELED, "MANUAL")
    assert account.order(name).numbers == ("1", "2")
    assert account.book.dropped == [[1, "MANUAL"]]
    account.notice("2", "canceled", 10, original="1")
    account.answer(name, request="cancel", number="2")
    account.command("cancel", key="c3", order=name)
    assert len(account.cancels()) == 1


def test_a_fill_that_the_cancel_overtook_is_booked_and_the_order_stays_over() -> None:
    account, name = cancelling()
    account.notice("1", "canceled", 6)
    account.notice("1", "filled", 4, execution="a")
    assert settled(account, name) == (Status.CANCELED, 4, 280_000)
    account.notice("1", "filled", 6, execution="b")
    assert settled(account, name) == (Status.FILLED, 10, 700_000)


def test_a_fill_while_a_cancel_is_asked_for() -> None:
    account, name = cancelling()
    account.notice("1", "filled", 4, execution="a")
    assert settled(account, name) == (Status.PENDING_CANCEL, 4, 280_000)
    account.notice("1", "filled", 6, execution="b")
    assert account.order(name).status is Status.FILLED
    account.answer(name, "refused", request="cancel", code="NOTHING_LEFT")
    assert account.order(name).status is Status.FILLED


@pytest.mark.parametrize(("outcome", "code"), [("refused", "TOO_LATE"), ("refused", ""), ("not_sent", "")])
def test_a_refused_cancel_is_asked_for_again_where_the_list_shows_that_it_stands(outcome: str, code: str) -> None:
    account, name = cancelling()
    account.answer(name, outcome, request="cancel", code=code)
    assert account.order(name).status is Status.ACCEPTED
    account.timer("ask")
    account.look(line("1"))
    assert len(account.cancels()) == 2
    account.notice("2", "rejected", 10, original="1", reason="TOO_LATE")
    assert account.order(name).status is Status.ACCEPTED
    account.timer("ask")
    account.look(line("1", filled=10))
    assert account.order(name).status is Status.FILLED


def test_a_cancel_that_nobody_confirms_is_settled_by_the_list() -> None:
    account, name = cancelling()
    account.answer(name, request="cancel", number="2")
    account.timer("ask")
    account.look(line("1", leaves=0, status="canceled"), line("2", original="1", leaves=0, status="canceled"))
    assert account.order(name).status is Status.CANCELED


def test_a_cancel_taken_and_forgotten_is_asked_for_again() -> None:
    account, name = cancelling()
    account.answer(name, request="cancel", number="2")
    account.timer("ask")
    account.look(line("1"), asked=OPEN + S)  # too early to say
    assert len(account.cancels()) == 1
    account.timer("ask")
    account.look(line("1"))
    assert len(account.cancels()) == 2


def test_an_order_that_waits_ends_without_the_broker() -> None:
    account = Account()
    (name,) = account.decided(Want(1))
    account.command("cancel", order=name)
    assert account.order(name).status is Status.CANCELED
    assert account.cancels() == []
    assert account.book.dropped == [[1, "MANUAL"]]


def test_an_order_without_a_number_is_cancelled_as_soon_as_it_has_one() -> None:
    account = Account()
    (name,) = account.sending(Want(1))
    account.command("cancel", order=name)
    assert account.cancels() == []
    account.answer(name, number="1")
    assert account.cancels()[-1].number == "1"


def test_somebody_else_takes_the_order_back() -> None:
    account = Account()
    name = account.working()
    account.notice("9", "canceled", 10, original="1")
    assert (account.order(name).status, account.order(name).reason) == (Status.CANCELED, "CANCELED_ELSEWHERE")


def test_somebody_else_takes_a_part_back_and_the_list_says_what_is_left() -> None:
    account = Account()
    name = account.working()
    account.notice("9", "canceled", 4, original="1", time=OPEN)
    assert account.order(name).status is Status.ACCEPTED
    account.timer("ask")
    account.look(line("1", leaves=6), line("9", original="1", quantity=4, leaves=0, status="canceled"))
    assert (account.order(name).quantity, account.order(name).leaves) == (6, 6)


# --- replacements ---------------------------------------------------------------------------------------------------


def replacing(lawful: bool = True) -> tuple[Account, str]:
    """A resting order of an intraday book whose limit has moved."""
    account = Account(Scripted(intraday=True), lawful=lawful)
    account.ready()
    account.book.says(morning=[Want(1, kind="limit", rule="own")])
    account.opens(at("08:05"))
    account.feed_timer("windows", at("08:30"))
    (name,) = account.sent()
    account.answer(name, number="1")
    account.tick(70_000.0, time=at("09:01"))
    account.book.says(morning=[Want(1, kind="limit", rule="own", limit=69_000.0)])
    account.closes(at("09:01"))
    order = account.order(name)
    assert (order.status, account.modifies()[-1].price) == (Status.PENDING_UPDATE, 69_000.0)
    return account, name


def test_a_replacement_takes_the_brokers_quantity() -> None:
    account, name = replacing()
    account.notice("1", "filled", 3, execution="a")
    account.answer(name, request="modify", number="2")
    account.notice("2", "replaced", 7, original="1", price=69_000.0)
    order = account.order(name)
    assert (order.status, order.quantity, order.leaves, order.price) == (Status.PARTIALLY_FILLED, 10, 7, 69_000.0)
    assert order.numbers == ("1", "2")
    account.notice("2", "replaced", 7, original="1", price=69_000.0)
    account.notice("2", "filled", 7, price=69_000.0, execution="b")
    assert account.order(name).status is Status.FILLED


def test_a_replacement_whose_notice_never_comes_is_settled_by_the_list() -> None:
    account, name = replacing()
    account.answer(name, request="modify", number="2")
    account.timer("ask")
    account.look(line("1", leaves=0, status="canceled"), line("2", original="1", price=69_000.0))
    order = account.order(name)
    assert (order.status, order.quantity, order.price, order.number) == (Status.ACCEPTED, 10, 69_000.0, "2")


@pytest.mark.parametrize(("outcome", "code"), [("refused", "TOO_LATE"), ("refused", ""), ("not_sent", "")])
def test_a_refused_replacement_leaves_the_order_as_it_was(outcome: str, code: str) -> None:
    account, name = replacing()
    account.answer(name, outcome, request="modify", code=code)
    assert (account.order(name).status, account.order(name).price) == (Status.ACCEPTED, 70_000.0)
    account.answer(name, outcome, request="modify", code=code)  # twice is once
    assert account.kinds().count("OrderUpdateRejected") == 1


def test_a_replacement_refused_on_the_stream() -> None:
    account, name = replacing()
    account.notice("2", "rejected", 10, original="1")
    assert account.order(name).status is Status.ACCEPTED


def test_a_replacement_that_never_arrived_is_refused_by_the_list() -> None:
    account, name = replacing()
    account.answer(name, request="modify", number="2")
    account.timer("ask")
    account.look(line("1"), asked=account.time)
    assert account.order(name).status is Status.PENDING_UPDATE
    account.timer("ask")
    account.look(line("1"))
    assert (account.order(name).status, account.order(name).price) == (Status.ACCEPTED, 70_000.0)


def test_somebody_else_replaces_an_order() -> None:
    account = Account()
    name = account.working()
    account.notice("9", "replaced", 5, original="1", price=71_000.0, time=OPEN)
    assert (account.order(name).quantity, account.order(name).price) == (5, 71_000.0)
    account.notice("9", "canceled", 5)
    account.notice("10", "replaced", 5, original="9", price=71_500.0)
    assert account.order(name).status is Status.CANCELED


def test_an_order_that_is_to_end_is_cancelled_after_its_replacement() -> None:
    account, name = replacing()
    account.command("cancel", order=name)
    assert account.order(name).status is Status.PENDING_CANCEL
    account.notice("2", "replaced", 10, original="1", price=69_000.0)
    assert account.order(name).status is Status.PENDING_CANCEL
    assert [each.number for each in account.cancels()] == ["1", "2"]


# --- the list -------------------------------------------------------------------------------------------------------


def test_the_list_confirms_and_corrects_what_the_stream_said() -> None:
    account = Account()
    name = account.working()
    account.notice("1", "filled", 10, time=OPEN, price=70_000.0)
    account.timer("ask")
    account.look(line("1", filled=10, value=690_000))
    assert settled(account, name) == (Status.FILLED, 10, 690_000)
    assert account.engine.cash() == CASH - 690_000
    assert account.engine.unconfirmed == {}


def test_a_list_that_lags_is_waited_for_and_a_fill_it_never_shows_is_taken_back() -> None:
    account = Account(settings=Settings(capabilities=Capabilities(name="b", list_lag=30.0)))
    name = account.working()
    account.notice("1", "filled", 4, time=OPEN)
    account.timer("ask")
    account.look(line("1"))
    assert account.order(name).filled == 4
    account.timer("ask", OPEN + 31 * S)
    account.look(line("1"))
    assert settled(account, name) == (Status.PARTIALLY_FILLED, 0, 0)
    assert account.engine.cash() == CASH
    assert account.engine.shares(NAMES[0]) == 0
    assert "FILL_TAKEN_BACK" in account.alarms()


def test_a_broker_below_what_it_has_shown_alarms_once_it_says_so_twice() -> None:
    account = Account()
    account.working()
    account.timer("ask", OPEN)
    account.look(line("1", filled=6))
    account.timer("ask")
    account.look(line("1", filled=4))  # an old list
    assert "BROKER_BELOW_LOCAL" not in account.alarms()
    account.timer("ask")
    account.look(line("1", filled=4))
    assert "BROKER_BELOW_LOCAL" in account.alarms()
    assert account.engine.switches.modes(account="acc").account == "reducing"


@pytest.mark.parametrize(
    ("status", "reason", "expected"),
    [("rejected", "PRICE", Status.REJECTED), ("rejected", "", Status.REJECTED), ("expired", "", Status.EXPIRED),
     ("canceled", "", Status.CANCELED)],
)  # fmt: skip
def test_the_list_ends_what_does_not_stand(status: str, reason: str, expected: Status) -> None:
    account = Account()
    name = account.working()
    account.timer("ask", OPEN)
    account.look(line("1", leaves=0, status=status, reason=reason))
    assert account.order(name).status is expected


def test_an_order_that_ended_here_and_stands_there_is_cancelled_with_an_alarm() -> None:
    account = Account()
    name = account.working()
    account.notice("1", "canceled", 10, time=OPEN)
    account.timer("ask")
    account.look(line("1"))
    assert account.cancels() == []
    account.timer("ask", OPEN + 120 * S)
    account.look(line("1"))
    assert "STILL_OPEN" in account.alarms()
    assert account.cancels()[-1].number == "1"
    assert account.order(name).status is Status.CANCELED


def test_costs_are_the_models_until_the_broker_says_otherwise() -> None:
    account = Account(Scripted(costs=Costs.kiwoom()))
    name = account.working()
    account.notice("1", "filled", 4, time=OPEN, execution="a")
    account.notice("1", "filled", 6, execution="b")
    assert account.order(name).commission == 100  # of 700,000 together, cut to 10 won
    account.timer("ask")
    account.look(line("1", filled=10, commission=105, tax=0))
    assert account.engine.cash() == CASH - 700_000 - 105
    account.feed_timer("ask", account.time + 10 * S)
    assert account.kinds().count("CostCorrected") == 1
    assert account.alarms() == []


def test_costs_far_from_the_model_stop_new_risk() -> None:
    account = Account()
    name = account.working()
    account.notice("1", "filled", 10, time=OPEN, execution="a")
    account.timer("ask")
    account.look(line("1", filled=10, commission=5_000, tax=0))
    assert "COST_DIFFERENCE" in account.alarms()
    assert account.engine.switches.modes(account="acc").account == "reducing"
    assert account.order(name).status is Status.FILLED
    assert account.engine.cash() == CASH - 705_000


def test_tax_is_due_on_sales() -> None:
    account = Account(Scripted(costs=Costs.kis()))
    account.book.fill(order=-1, symbol=0, side=1, quantity=10, price=70_000.0, value=0, commission=0, tax=0, rule=None)
    name = account.working(Want(2, side=-1))
    account.notice("1", "filled", 10, time=OPEN, side=Side.SELL, execution="a")
    assert account.order(name).tax == 1_400  # 0.2 % in 2026
    account.book.says(ended=[Over(2)])
    account.closes(at("15:40"), at("15:30"))


def test_shares_beyond_the_order_are_booked_with_an_alarm_when_the_list_says_so() -> None:
    account = Account()
    name = account.working()
    account.timer("ask", OPEN)
    account.look(line("1", filled=12, quantity=12))
    assert account.order(name).filled == 12
    assert "OVERFILL" in account.alarms()
    account.timer("positions")
    account.look(line("1", filled=13, quantity=13))
    assert account.order(name).filled == 13
