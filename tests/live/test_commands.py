"""What people ask for."""

from __future__ import annotations

import pytest

from quantkit.live.switch import Mode
from quantkit.market.costs import Costs
from quantkit.trading.orders import OrderType, Side, Status
from tests.live.accounts import NAMES, Account, S, Scripted, Want, at, line

NOON = at("12:00")


def running() -> Account:
    account = Account()
    account.ready()
    account.opens(at("08:05"))
    account.look()
    account.tick(70_000.0, time=NOON)
    return account


def mode(account: Account, deployment: str = "") -> Mode:
    return account.engine.switches.modes(account="acc", deployment=deployment).strictest


def test_a_command_is_done_once() -> None:
    account = running()
    account.command("halt")
    account.command("resume", key="c2")
    assert account.command("halt") == []
    assert mode(account) is Mode.RUNNING


def test_resuming_takes_a_reason() -> None:
    account = running()
    account.command("halt", reason="")
    assert mode(account) is Mode.HALTED
    account.command("resume", key="c2", reason="")
    assert (mode(account), account.alarms()) == (Mode.HALTED, ["COMMAND_REFUSED"])


@pytest.mark.parametrize(
    ("name", "arguments", "why"),
    [
        ("dance", {}, "UNKNOWN_COMMAND"),
        ("halt", {"scope": "deployment"}, "NEEDS_NAME"),
        ("halt", {"scope": "moon"}, "BAD_COMMAND"),
        ("halt", {"mode": "sleepy"}, "BAD_COMMAND"),
        ("flatten", {"scope": "symbol", "name": "005930"}, "BAD_SCOPE"),
        ("cancel", {"order": "nobody"}, "UNKNOWN_ORDER"),
        ("cancel", {}, "BAD_COMMAND"),
        ("order", {"symbol": "005930", "side": "buy", "quantity": 0}, "BAD_COMMAND"),
        ("order", {"symbol": "005930", "side": "buy", "quantity": 1, "deployment": "other"}, "UNKNOWN_DEPLOYMENT"),
        ("order", {"symbol": "035720", "side": "buy", "quantity": 1, "deployment": "sma"}, "UNKNOWN_DEPLOYMENT"),
        ("order", {"symbol": "005930", "side": "buy", "quantity": 1, "phase": "lunch"}, "BAD_COMMAND"),
        ("adopt", {"order": "nobody"}, "BAD_COMMAND"),
        ("adopt", {"cash": True}, "NEEDS_AMOUNT"),
        ("adopt", {"symbol": "035720", "quantity": 1, "deployment": "sma"}, "UNKNOWN_DEPLOYMENT"),
    ],
)
def test_what_cannot_be_done_is_refused_and_told(name: str, arguments: dict[str, object], why: str) -> None:
    account = running()
    account.command(name, **arguments)
    (alarm,) = [entry for entry in account.entries if entry.kind.value == "Alarm"]
    assert why in alarm.payload["detail"]
    assert account.engine.orders == {}
    assert mode(account) is Mode.RUNNING


def test_adopting_takes_a_reason() -> None:
    account = running()
    account.command("adopt", reason=" ", symbol=NAMES[0], quantity=5)
    assert account.engine.unassigned == {}


def test_a_halt_may_take_orders_back_and_names_what_it_halts() -> None:
    account = Account()
    name = account.working()
    account.command("halt", scope="deployment", name="sma", cancel=True)
    assert mode(account) is Mode.RUNNING
    assert mode(account, "sma") is Mode.HALTED
    assert account.order(name).status is Status.PENDING_CANCEL


def test_a_halt_of_one_name_takes_its_orders_back() -> None:
    account = Account()
    first, second = account.sending(Want(1), Want(2, symbol=1))
    account.answer(first, number="1")
    account.answer(second, number="2")
    account.command("halt", scope="symbol", name=NAMES[1], cancel=True)
    assert [each.number for each in account.cancels()] == ["2"]


def test_panic_takes_everything_back_and_halts() -> None:
    account = Account()
    first, second = account.decided(Want(1), Want(2))
    account.ready()
    account.feed_timer("windows", at("08:30"))
    account.answer(first, number="1")
    account.command("panic")
    assert [each.number for each in account.cancels()] == ["1"]
    account.answer(second, number="2")
    assert [each.number for each in account.cancels()] == ["1", "2"]
    assert mode(account) is Mode.HALTED
    assert account.sent() == [first, second]


@pytest.mark.parametrize("scope", ["account", "deployment"])
def test_flatten_sells_what_is_held_once_nothing_stands(scope: str) -> None:
    account = Account()
    name = account.working()
    account.notice("1", "filled", 4, time=at("09:00"), execution="a")
    account.timer("ask")
    account.look(line("1", filled=4))
    account.tick(70_000.0, time=at("09:30"))
    account.command("flatten", scope=scope, name="sma" if scope == "deployment" else None)
    assert account.order(name).status is Status.PENDING_CANCEL
    sale = account.order(f"c1:sma:{NAMES[0]}")
    assert (sale.intent.side, sale.quantity, sale.intent.type) == (Side.SELL, 4, OrderType.MARKET)
    assert sale.status is Status.INITIALIZED  # it could meet the purchase that is being taken back
    account.notice("1", "filled", 2, execution="b")
    account.notice("1", "canceled", 4)
    assert (account.order(sale.id).status, account.order(sale.id).quantity) == (Status.SUBMITTED, 6)
    account.answer(sale.id, number="2")
    account.notice("2", "filled", 6, side=Side.SELL, execution="c")
    assert account.engine.shares(NAMES[0]) == 0


def test_flatten_sells_what_a_purchase_brings_before_it_is_taken_back() -> None:
    account = Account()
    name = account.working()
    account.tick(70_000.0, time=at("09:30"))
    account.command("flatten")
    account.notice("1", "filled", 3, execution="a")
    account.notice("1", "canceled", 7)
    sale = account.order(f"c1:sma:{NAMES[0]}")
    assert (account.order(name).status, sale.status, sale.quantity) == (Status.CANCELED, Status.SUBMITTED, 3)


def test_flatten_has_nothing_to_sell_of_a_purchase_that_brought_nothing() -> None:
    account = Account()
    account.working()
    account.tick(70_000.0, time=at("09:30"))
    account.command("flatten")
    account.notice("1", "canceled", 10)
    sale = account.order(f"c1:sma:{NAMES[0]}")
    assert (sale.status, sale.reason) == (Status.CANCELED, "NOTHING_HELD")


def test_flatten_waits_for_sales_that_are_taken_back_and_sells_the_rest() -> None:
    account = Account(lawful=False)
    account.book.fill(order=-1, symbol=0, side=1, quantity=10, price=0.0, value=0, commission=0, tax=0, rule=None)
    (name,) = account.decided(Want(1, side=-1, quantity=6))
    account.connect()
    account.look()
    account.tick(70_000.0, time=at("08:30"))
    account.feed_timer("windows", at("08:30"))
    account.answer(name, number="1")
    account.command("flatten")
    sale = account.order(f"c1:sma:{NAMES[0]}")
    assert sale.status is Status.INITIALIZED
    account.notice("1", "filled", 2, side=Side.SELL, execution="a")
    account.notice("1", "canceled", 4, side=Side.SELL)
    assert (account.order(sale.id).status, account.order(sale.id).quantity) == (Status.SUBMITTED, 8)


def test_an_order_of_a_person_goes_through_the_same_gates() -> None:
    account = running()
    account.command("order", symbol=NAMES[0], side="buy", quantity=3, price=70_000.0, deployment="sma")
    order = account.order("manual:c1")
    assert (order.intent.source, order.status) == ("manual", Status.SUBMITTED)
    account.answer(order.id, number="1")
    account.notice("1", "filled", 3, execution="a")
    assert account.book.filled == [[-1, 3, 210_000, 0, 0]]
    account.command("order", key="c2", symbol=NAMES[0], side="buy", quantity=3, price=99_000.0, deployment="sma")
    assert account.order("manual:c2").reason in ("PRICE_LIMIT", "PRICE_COLLAR")


def test_an_order_of_nobody_moves_what_is_unassigned() -> None:
    account = Account()
    account.connect()
    account.look(cash=150_000_000, shares={NAMES[0]: 5})
    account.opens(at("08:05"))
    account.looks.pop(0)
    account.tick(70_000.0, time=NOON)
    account.command("order", symbol=NAMES[0], side="sell", quantity=5, price=70_000.0, phase="closing_auction")
    order = account.order("manual:c1")
    assert order.status is Status.INITIALIZED
    account.tick(70_000.0, time=at("15:20"))
    account.feed_timer("windows", at("15:20"))
    assert account.order("manual:c1").status is Status.SUBMITTED
    account.answer(order.id, number="1")
    account.notice("1", "filled", 5, side=Side.SELL, execution="a")
    assert (account.engine.unassigned, account.engine.unassigned_cash) == ({}, 50_350_000)
    account.timer("ask")
    account.look(line("1", filled=5, quantity=5, side=Side.SELL, commission=50, tax=9))
    assert account.engine.unassigned_cash == 50_350_000 - 59
    assert account.alarms() == []  # it has no model to differ from


def test_an_order_of_nobody_costs_what_the_broker_takes_of_ours() -> None:
    account = Account(Scripted(costs=Costs.kis()))
    account.connect()
    account.look(cash=150_000_000)
    account.opens(at("08:05"))
    account.looks.pop(0)
    account.tick(70_000.0, time=NOON)
    account.command("order", symbol=NAMES[0], side="buy", quantity=50, price=70_000.0)
    account.answer("manual:c1", number="1")
    account.notice("1", "filled", 20, execution="a")
    account.notice("1", "filled", 30, execution="b")
    order = account.order("manual:c1")
    assert (order.commission, order.tax) == (int(3_500_000 * 0.000140527), 0)  # of both fills together
    assert account.engine.unassigned_cash == 50_000_000 - 3_500_000 - order.commission


def test_stop_sends_no_more() -> None:
    account = Account()
    first, second = account.sending(Want(1), Want(2))
    account.command("stop", cancel=True)
    account.answer(first, number="1")
    assert account.sent() == [first]
    assert account.order(second).status is Status.CANCELED
    assert account.kinds().count("RunEnded") == 1
    assert account.cancels()[-1].number == "1"


def test_shares_may_be_adopted_into_a_deployment() -> None:
    account = running()
    account.command("adopt", symbol=NAMES[0], quantity=5, deployment="sma")
    assert account.engine.sleeves["sma"].shares(NAMES[0]) == 5
    account.command("adopt", key="c2", symbol=NAMES[0], quantity=2, deployment="sma")
    assert account.engine.shares(NAMES[0]) == 2
    assert account.engine.unassigned == {}


def test_only_a_lost_order_can_be_adopted_and_only_with_its_outcome() -> None:
    account = Account()
    (name,) = account.sending(Want(1))
    account.command("adopt", order=name, number="1")
    assert account.order(name).status is Status.SUBMITTED
    account.answer(name, "unknown")
    account.command("adopt", key="c2", order=name)
    assert account.order(name).unresolved_since is not None
    account.time += S
    account.command("adopt", key="c3", order=name, outcome="not_found")
    assert account.order(name).status is Status.REJECTED
    assert account.alarms() == ["COMMAND_REFUSED", "COMMAND_REFUSED"]
