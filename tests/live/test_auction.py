"""Orders "at open": what the opening auction leaves of them is taken back."""

from __future__ import annotations

import pytest

from quantkit.live.auction import GRACE, LONGEST
from quantkit.trading.orders import Status
from tests.live.accounts import NAMES, Account, Want, at, line


@pytest.mark.parametrize("kind", ["open", "at_open"])
def test_what_the_call_left_is_cancelled_a_second_after_the_name_has_printed(kind: str) -> None:
    account = Account()
    name = account.working(Want(1, kind=kind))
    account.tick(70_500.0, time=at("09:00") + 7 * GRACE, auction=True)
    assert account.cancels() == []
    account.timer("opening", at("09:00") + 8 * GRACE)
    assert [(each.order, each.quantity) for each in account.cancels()] == [(name, 10)]
    account.answer(name, number="2", request="cancel")
    account.notice("1", "canceled", 10)
    assert (account.order(name).status, account.book.dropped) == (Status.CANCELED, [[1, "COLLAR"]])


def test_what_the_call_filled_is_left_alone() -> None:
    account = Account()
    account.working()
    account.tick(70_000.0, time=at("09:00") + GRACE, auction=True)
    account.notice("1", "filled", 10, time=at("09:00") + GRACE, execution="1")
    account.timer("opening", at("09:00") + 3 * GRACE)
    assert account.cancels() == []
    assert account.order().status is Status.FILLED


def test_a_trade_before_the_open_tells_nothing_of_the_call() -> None:
    account = Account()
    account.working()
    account.tick(70_500.0, time=at("08:40"))
    account.timer("opening", at("08:40") + 2 * GRACE)
    assert account.cancels() == []


def test_where_nobody_trades_the_longest_call_is_waited_for() -> None:
    account = Account()
    name = account.working()
    assert account.engine.now.timers["opening"] == at("09:00") + LONGEST
    account.timer("opening", at("09:00") + LONGEST)
    assert [each.order for each in account.cancels()] == [name]


def test_after_a_restart_in_the_day_the_rest_is_still_taken_back() -> None:
    account = Account()
    name = account.working()
    account.restart()
    account.connect(at("09:10"))
    account.look(line("1"))
    assert [each.order for each in account.cancels()] == [name]


def test_limits_that_rest_stay() -> None:
    account = Account()
    account.working(Want(1, kind="limit"))
    account.tick(70_500.0, time=at("09:00") + GRACE, symbol=NAMES[0], auction=True)
    account.timer("ask", at("09:00") + LONGEST + GRACE)
    assert account.cancels() == []
