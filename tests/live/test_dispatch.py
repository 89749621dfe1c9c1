"""From a decision to the broker: windows, the queue, the cut, the gates."""

from __future__ import annotations

from quantkit.live.messages import TimerFired
from quantkit.trading.orders import Status
from tests.live.accounts import CASH, FRIDAY, NAMES, Account, Over, Want, at, line


def test_a_decision_of_the_evening_goes_into_the_next_opening_auction() -> None:
    account = Account()
    (name,) = account.decided(Want(1))
    order = account.order(name)
    assert name == f"sma:{at('15:30', FRIDAY)}:1"
    assert (order.intent.window.phase, order.intent.window.opens) == ("opening_auction", at("08:30"))
    account.ready()
    assert account.sent() == []
    account.feed(TimerFired(at("08:30"), "windows"))
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
