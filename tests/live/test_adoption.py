"""What a person says became of a difference: shares, cash, orders; and which latches that opens."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from quantkit.live.journal import open_journal, read_journal, verify
from quantkit.live.switch import Mode
from quantkit.trading.orders import NOT_FOUND, Status
from tests.live.accounts import CASH, MONDAY, NAMES, Account, S, Want, at, line
from tests.live.test_outcomes import lost

NOON = at("12:00")
DAY = 86_400 * S


def running() -> Account:
    account = Account()
    account.ready()
    account.opens(at("08:05"))
    account.look()
    account.time = NOON
    return account


def mode(account: Account, symbol: str = "") -> Mode:
    return account.engine.switches.modes(account="acc", symbol=symbol).strictest


def twice(account: Account, **answer: Any) -> None:
    for _ in range(2):
        account.timer("positions")
        account.look(**answer)


def test_a_deposit_stops_new_risk_until_a_person_says_whose_it_is() -> None:
    account = running()
    twice(account, cash=CASH + 1_000_000)
    assert mode(account) is Mode.REDUCING
    account.command("adopt", cash=True, amount=CASH + 1_000_000)
    assert (account.engine.unassigned_cash, mode(account)) == (1_000_000, Mode.RUNNING)
    account.timer("positions")
    account.look(cash=CASH + 1_000_000)
    assert account.alarms() == ["CASH_DIFFERENCE"]


@pytest.mark.parametrize("looked", [False, True])
def test_what_was_traded_since_the_alarm_comes_on_top_of_its_figures(*, looked: bool) -> None:
    account = Account()
    name = account.working()
    for _ in range(2):
        account.timer("positions")
        account.look(line("1"), cash=CASH + 1_000_000)
    account.notice("1", "filled", 10, execution="a", time=account.time)
    spent = CASH - account.engine.cash()
    if looked:  # between what the person read and what was made of it
        account.timer("positions")
        account.look(line("1", filled=10), cash=CASH + 1_000_000 - spent)
    assert (account.order(name).status, spent > 0) == (Status.FILLED, True)
    account.command("adopt", cash=True, amount=CASH + 1_000_000)
    assert account.engine.cash() == CASH + 1_000_000 - spent


def test_adopting_cash_does_not_open_what_a_person_closed() -> None:
    account = running()
    account.command("halt")
    account.command("adopt", key="c2", cash=True, amount=CASH + 5)
    assert account.engine.unassigned_cash == 5
    assert mode(account) is Mode.HALTED


def test_adopted_cash_can_be_kept_in_a_database(tmp_path: Path) -> None:
    account = running()
    account.command("adopt", cash=True, amount=CASH + 5)
    stored = open_journal(tmp_path / "acc.sqlite", "acc", owner="test", now=0)
    stored.append(account.entries)
    stored.close()
    reader = read_journal(tmp_path / "acc.sqlite")
    assert verify(reader).good
    reader.close()


def test_adopting_shares_does_not_open_what_a_person_closed() -> None:
    account = running()
    account.command("halt", scope="symbol", name=NAMES[0])
    account.command("adopt", key="c2", symbol=NAMES[0], quantity=3)
    assert account.engine.unassigned == {NAMES[0]: 3}
    assert mode(account, NAMES[0]) is Mode.HALTED
    twice(account, shares={NAMES[0]: 3, NAMES[1]: 2})
    assert mode(account, NAMES[1]) is Mode.REDUCING
    account.command("adopt", key="c3", symbol=NAMES[1], quantity=2)
    assert mode(account, NAMES[1]) is Mode.RUNNING


def test_adopting_what_is_here_already_moves_nothing() -> None:
    account = running()
    account.command("adopt", symbol=NAMES[0], quantity=0, deployment="sma")
    assert (account.book.filled, account.engine.unassigned) == ([], {})


def test_a_number_belongs_to_one_order() -> None:
    account = Account()
    first, second = account.sending(Want(1), Want(2))
    account.answer(first, number="1")
    account.answer(second, "unknown")
    account.command("adopt", order=second, number="1")
    assert account.alarms() == ["COMMAND_REFUSED"]
    assert account.order(second).numbers == ()


def test_an_order_given_up_may_be_adopted_too() -> None:
    account, name = lost()
    account.command("adopt", order=name, outcome="not_found")
    assert account.order(name).reason == NOT_FOUND
    account.command("adopt", key="c2", order=name, outcome="not_found")
    assert account.alarms() == ["COMMAND_REFUSED"]
    account.command("adopt", key="c3", order=name, number="5")
    assert account.order(name).status is Status.PENDING_CANCEL  # the fold has gone on without it
    account.look(line("5", leaves=0, status="canceled"))
    assert account.order(name).status is Status.CANCELED


@pytest.mark.parametrize("outcome", ["not_found", "maybe", None])
def test_of_a_cancel_that_nobody_answered_only_its_end_can_be_said(outcome: str | None) -> None:
    account = Account()
    name = account.working()
    account.command("cancel", order=name)
    account.answer(name, "unknown", request="cancel")
    account.command("adopt", key="c2", order=name, outcome=outcome, number="9")
    assert account.order(name).status is Status.PENDING_CANCEL
    account.command("adopt", key="c3", order=name, outcome="ended")
    assert account.order(name).status is Status.EXPIRED
    assert account.order(name).unresolved_since is None


def test_an_account_shut_by_an_order_of_the_day_before_opens_again() -> None:
    account = Account()
    name = account.working()
    account.command("cancel", order=name, time=at("15:20"))
    account.answer(name, "unknown", request="cancel")
    account.opens(at("08:05") + DAY, day=MONDAY.replace(day=22))
    assert mode(account) is Mode.HALTED
    account.command("adopt", key="c2", order=name, outcome="ended")
    account.command("resume", key="c3")
    assert account.engine.unresolved() == []
    assert mode(account) is Mode.RUNNING
