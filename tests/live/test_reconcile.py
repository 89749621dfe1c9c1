"""Agreeing with the broker: at start, while running, at the end of a session."""

from __future__ import annotations

import pytest

from quantkit.live.messages import Backfill
from quantkit.live.switch import Mode
from quantkit.live.turn import Settings
from quantkit.trading.orders import Status
from tests.live.accounts import CASH, FRIDAY, NAMES, Account, S, Want, at, line

OPEN = at("09:00")


def mode(account: Account, symbol: str = "") -> Mode:
    return account.engine.switches.modes(account="acc", symbol=symbol).strictest


# --- the start ------------------------------------------------------------------------------------------------------


def test_nothing_is_sent_before_the_broker_has_told_everything() -> None:
    account = Account()
    (name,) = account.decided(Want(1))
    account.feed_timer("windows", at("08:30"))
    assert account.sent() == []
    account.connect()
    account.look(failed="timeout")
    assert account.sent() == []
    account.timer("reconcile")
    assert account.time == at("08:30:01")
    account.look()
    assert account.sent() == [name]


def test_a_start_that_fails_is_tried_again_for_ever_ever_more_slowly() -> None:
    account = Account()
    account.connect(at("08:00"))
    times = []
    for _ in range(7):
        account.look(failed="timeout")
        account.timer("reconcile")
        times.append((account.time - at("08:00")) // S)
    assert times == [1, 3, 7, 15, 30, 45, 60]


def test_a_start_that_goes_on_failing_is_an_alarm_with_the_reason() -> None:
    account = Account()
    account.connect(at("08:00"))
    for failed in range(8):
        assert account.alarms() == ([] if failed < 6 else ["NOT_RECONCILED"])
        account.look(failed="EGW00201")
        account.timer("reconcile")


def test_a_look_from_before_the_stream_stood_does_not_start_it() -> None:
    account = Account()
    account.connect(at("08:00"))
    account.look(asked=at("07:59"))
    assert account.engine.now.phase == "reconciling"


def test_answers_of_a_start_that_was_interrupted_mean_nothing() -> None:
    account = Account()
    account.connect(at("08:00"))
    account.disconnect()
    account.look()
    assert account.engine.now.phase == "down"
    account.feed_timer("reconcile", at("08:01"))
    assert account.looks == []


def test_what_the_stream_said_while_reconciling_is_heard_after_it() -> None:
    account = Account()
    name = account.working()
    account.disconnect(OPEN)
    account.connect(generation=2)
    account.notice("1", "filled", 4, execution="a")
    account.notice("1", "filled", 3, execution="b")
    assert account.order(name).filled == 0
    account.look(line("1", filled=4), shares={NAMES[0]: 4}, cash=CASH - 280_000)
    assert account.order(name).filled == 7


def test_the_first_look_says_what_is_unassigned() -> None:
    account = Account()
    account.connect()
    account.look(shares={NAMES[1]: 7}, cash=CASH + 5_000_000)
    assert account.engine.unassigned == {NAMES[1]: 7}
    assert account.engine.unassigned_cash == 5_000_000
    assert (account.engine.shares(NAMES[1]), account.engine.cash()) == (7, CASH + 5_000_000)


def test_sleeves_larger_than_the_account_take_no_new_risk() -> None:
    account = Account()
    account.connect()
    account.look(cash=CASH - 1)
    assert "CAPITAL_TOO_LARGE" in account.alarms()
    assert mode(account) is Mode.REDUCING


def test_missing_bars_are_asked_for_once_all_agrees() -> None:
    account = Account()
    account.decided(Want(1))
    account.ready()
    asked = [effect for effect in account.effects if isinstance(effect, Backfill)]
    assert asked == [Backfill(NAMES, at("15:30", FRIDAY), at("08:05"))]


def test_fills_while_the_process_was_down_are_booked() -> None:
    account = Account()
    name = account.working()
    account.restart()
    account.connect(OPEN)
    account.look(line("1", filled=10), shares={NAMES[0]: 10}, cash=CASH - 700_000)
    assert account.order(name).status is Status.FILLED
    assert account.engine.shares(NAMES[0]) == 10
    assert account.engine.now.phase == "ready"


def test_orders_of_a_day_that_is_over_have_expired() -> None:
    account = Account()
    name = account.working()
    account.restart()
    account.connect(at("08:00") + 86_400 * S)
    account.look()
    assert account.order(name).status is Status.EXPIRED


def test_a_difference_at_start_is_looked_at_twice_before_it_counts() -> None:
    account = Account()
    account.ready()
    account.disconnect(OPEN)
    account.connect(generation=2)
    account.look(shares={NAMES[0]: 5})
    assert account.engine.now.phase == "reconciling"
    account.timer("reconcile")
    account.look(shares={})
    assert account.engine.now.phase == "ready"
    assert account.alarms() == []


def test_a_difference_that_stays_lets_the_name_only_shrink() -> None:
    account = Account()
    account.ready()
    account.disconnect(OPEN)
    account.connect(generation=2)
    for _ in range(2):
        account.look(shares={NAMES[0]: 5})
        account.timer("reconcile", account.time + 5 * S)
    account.look(shares={NAMES[0]: 5})
    assert account.engine.now.phase == "ready"
    assert "POSITION_DIFFERENCE" in account.alarms()
    assert (mode(account, NAMES[0]), mode(account, NAMES[1])) == (Mode.REDUCING, Mode.RUNNING)


# --- running --------------------------------------------------------------------------------------------------------


def test_open_orders_are_asked_about_every_ten_seconds_and_shares_every_minute() -> None:
    account = Account()
    account.ready()
    assert "ask" not in account.engine.now.timers
    account.feed_timer("nothing", at("08:00:30"))
    assert account.engine.now.timers["positions"] == at("08:01")
    account = Account()
    account.working()
    begun = account.time
    account.timer("ask")
    assert account.time - begun == 10 * S
    account.look(line("1"))
    account.timer("ask")
    assert account.time - begun == 20 * S


def test_a_failed_look_is_asked_again() -> None:
    account = Account()
    account.working()
    account.timer("ask")
    account.look(failed="page missing")
    account.timer("ask")
    assert len(account.looks) == 1


def test_shares_that_differ_in_two_looks_alarm_until_a_person_adopts_them() -> None:
    account = Account()
    account.ready()
    account.timer("positions")
    account.look(shares={NAMES[0]: 5})
    assert mode(account, NAMES[0]) is Mode.RUNNING
    account.timer("positions")
    account.look(shares={NAMES[0]: 5})
    assert mode(account, NAMES[0]) is Mode.REDUCING
    account.timer("positions")
    account.look(shares={})  # agreeing again opens nothing
    assert mode(account, NAMES[0]) is Mode.REDUCING
    account.command("adopt", symbol=NAMES[0], quantity=5)
    assert mode(account, NAMES[0]) is Mode.RUNNING
    assert account.engine.unassigned == {NAMES[0]: 5}


def test_names_whose_fills_are_on_their_way_are_not_compared() -> None:
    account = Account()
    account.working()
    account.notice("1", "filled", 10, time=OPEN, execution="a")
    for _ in range(3):
        account.timer("positions")
        account.look(line("1"), shares={}, cash=CASH)
    assert "POSITION_DIFFERENCE" not in account.alarms()


def test_cash_within_the_rounding_of_fills_is_booked() -> None:
    account = Account()
    account.working()
    account.timer("ask", OPEN)
    account.look(line("1", filled=10))
    account.timer("positions", OPEN + 20 * S)
    account.look(line("1", filled=10), cash=CASH - 700_017)
    assert account.engine.cash() == CASH - 700_017
    assert account.engine.unassigned_cash == -17
    assert account.engine.settled_cash == (0, 0)


def test_equal_cash_closes_the_account_of_roundings() -> None:
    account = Account()
    account.working()
    account.timer("ask", OPEN)
    account.look(line("1", filled=10))
    account.timer("positions", OPEN + 20 * S)
    account.look(line("1", filled=10))
    assert account.engine.settled_cash == (0, 0)
    account.timer("positions")
    account.look(line("1", filled=10), cash=CASH - 700_017)
    account.timer("positions")
    account.look(line("1", filled=10), cash=CASH - 700_017)
    assert "CASH_DIFFERENCE" in account.alarms()
    assert mode(account) is Mode.REDUCING
    account.command("adopt", cash=True, amount=CASH - 700_017)
    assert mode(account) is Mode.RUNNING
    assert account.engine.cash() == CASH - 700_017


def test_cash_is_not_compared_while_an_order_is_lost() -> None:
    account = Account()
    (name,) = account.sending(Want(1))
    account.answer(name, "unknown")
    for _ in range(3):
        account.timer("positions")
        account.look(cash=CASH - 700_000)
    assert "CASH_DIFFERENCE" not in account.alarms()


def test_the_same_money_on_another_day_is_told() -> None:
    from quantkit.live.messages import Looked
    from quantkit.trading.ports import Cash

    account = Account()
    account.ready()
    account.timer("positions", at("16:00"))
    ask = account.looks.pop(0)
    account.feed(Looked(account.time, ask.look, account.time, orders=(), positions=(),
                        cash=Cash(today=CASH - 5, next_1=CASH, next_2=CASH, orderable=CASH)))  # fmt: skip
    assert account.alarms() == ["CASH_BY_DAY"]
    assert mode(account) is Mode.RUNNING


# --- orders of others -----------------------------------------------------------------------------------------------


def test_orders_of_others_are_tolerated_and_their_shares_stay_unassigned() -> None:
    account = Account()
    account.ready()
    account.timer("positions", OPEN)
    account.look(line("7", filled=4, time=OPEN), shares={NAMES[0]: 4}, cash=CASH - 280_000)
    assert account.engine.external["7"].policy == "tolerate"
    assert account.engine.unassigned == {NAMES[0]: 4}
    account.timer("ask")
    account.look(line("7", filled=10, time=OPEN))
    assert (account.engine.unassigned, account.engine.unassigned_cash) == ({NAMES[0]: 10}, -700_000)
    assert mode(account) is Mode.RUNNING
    assert account.alarms() == ["EXTERNAL_ORDER"]


def test_orders_of_others_may_halt_the_account() -> None:
    account = Account(settings=Settings(external="halt"))
    account.ready()
    account.timer("positions", OPEN)
    account.look(line("7", time=OPEN))
    assert mode(account) is Mode.HALTED


@pytest.mark.parametrize("price", [70_000.0, None])
def test_a_sleeve_may_claim_the_orders_of_others(price: float | None) -> None:
    account = Account(settings=Settings(external="claim"))
    account.ready()
    account.notice("7", "filled", 4, time=OPEN, execution="a")
    account.timer("positions", OPEN)
    account.look(line("7", time=OPEN, price=price), shares={NAMES[0]: 4}, cash=CASH - 280_000)
    (order,) = account.engine.orders.values()
    assert (order.intent.source, order.number, order.filled) == ("manual", "7", 4)
    assert account.engine.unassigned == {}
    assert account.book.filled == [[-1, 4, 280_000, 0, 0]]
    assert account.sent() == []


def test_fills_before_the_first_look_are_in_its_shares_already() -> None:
    account = Account()
    account.connect()
    account.look(line("7", filled=10), shares={NAMES[0]: 10}, cash=CASH - 700_000)
    assert account.engine.unassigned == {NAMES[0]: 10}
    assert account.engine.cash() == CASH - 700_000


def test_an_order_whose_answer_is_on_its_way_is_not_somebody_elses() -> None:
    account = Account()
    (name,) = account.sending(Want(1))
    account.timer("positions", at("08:30:30"))
    account.look(line("5"))
    assert account.engine.external == {}
    account.answer(name, number="5")
    assert account.order(name).number == "5"


# --- the end --------------------------------------------------------------------------------------------------------


def test_the_sweep_leaves_no_order_working() -> None:
    account = Account()
    name = account.working()
    assert account.engine.now.timers["sweep"] == at("15:40")
    account.timer("sweep")
    account.look(line("1", filled=4, leaves=6))
    assert (account.order(name).status, account.order(name).filled) == (Status.EXPIRED, 4)
    assert account.engine.swept == "2026-09-21"
    assert mode(account) is Mode.RUNNING


def test_a_sweep_that_fails_is_tried_again() -> None:
    account = Account()
    account.working()
    account.timer("sweep")
    account.look(failed="timeout")
    account.timer("sweep")
    assert account.time == at("15:40:30")
    account.disconnect()
    account.looks.clear()
    account.feed_timer("sweep", at("15:41"))
    assert account.looks == []
    assert account.engine.now.timers["sweep"] == at("15:41:30")


def test_looks_that_come_when_the_stream_is_gone_mean_nothing() -> None:
    account = Account()
    account.working()
    account.timer("positions")
    account.disconnect()
    account.look(line("1", filled=10))
    assert account.engine.shares(NAMES[0]) == 0
    account.feed_timer("positions", account.time + S)
    account.feed_timer("ask", account.time + S)
    assert account.looks == []


def test_a_look_that_nobody_asked_for_is_ignored() -> None:
    from quantkit.live.messages import Looked

    account = Account()
    account.ready()
    assert account.feed(Looked(account.time, 99, account.time, orders=(line("7"),))) == []


# --- actions --------------------------------------------------------------------------------------------------------


def test_an_action_of_the_morning_is_confirmed_by_the_count_of_shares() -> None:
    account = Account(lawful=False)  # the test itself puts shares into the book
    account.book.fill(order=-1, symbol=0, side=1, quantity=10, price=0.0, value=0, commission=0, tax=0, rule=None)
    account.ready()
    account.opens(at("08:05"), base=35_000.0)
    assert account.engine.provisional == {NAMES[0]: 10}
    assert account.alarms() == ["ACTION_TO_CONFIRM"]
    account.book.fill(order=-1, symbol=0, side=1, quantity=10, price=0.0, value=0, commission=0, tax=0, rule=None)
    account.look(shares={NAMES[0]: 10})
    assert account.engine.provisional == {NAMES[0]: 10}
    account.command("order", symbol=NAMES[0], side="buy", quantity=1, price=35_000.0, deployment="sma", key="m1")
    account.feed_timer("windows", at("08:30"))
    assert account.order("manual:m1").reason == "TRADING_REDUCING"
    account.timer("positions")
    account.look(shares={NAMES[0]: 20})
    assert account.engine.provisional == {}
