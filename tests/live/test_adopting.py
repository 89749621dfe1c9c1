"""Shares and money of nobody become a deployment's when a person says so; the account as a whole stays as it was."""

from __future__ import annotations

from typing import Any

import pytest

from quantkit.core.state import PEAK_EQUITY, SETTLED
from quantkit.live.journal.projections import Projections
from tests.live.accounts import CASH, NAMES, Account, at

NAME = NAMES[0]


def spared(*, shares: int = 0, cash: int = 0) -> Account:
    """An account that is ready, with shares and money that no deployment owns."""
    account = Account()
    account.ready()
    account.opens(at("08:05"))
    account.tick(70_000.0, time=at("12:00"))
    if shares:
        account.command("adopt", key="shares", symbol=NAME, quantity=shares)
    account.command("adopt", key="cash", cash=True, amount=CASH + cash)
    return account


def tables(account: Account) -> Projections:
    made = Projections()
    made.apply(account.journal.read())
    return made


def test_shares_of_nobody_become_a_deployments_and_back() -> None:
    account = spared(shares=5)
    account.command("adopt", key="c1", symbol=NAME, assign=3, deployment="sma")
    assert (account.engine.unassigned, account.engine.sleeves["sma"].shares(NAME)) == ({NAME: 2}, 3)
    rows = tables(account).rows["positions"]
    assert (rows["", NAME]["quantity"], rows["sma", NAME]["quantity"]) == (2, 3)
    account.command("adopt", key="c2", symbol=NAME, assign=-3, deployment="sma")
    assert (account.engine.unassigned, account.engine.sleeves["sma"].shares(NAME)) == ({NAME: 5}, 0)
    assert account.engine.shares(NAME) == 5
    assert account.alarms() == []


def test_money_of_nobody_becomes_a_deployments_without_being_a_profit() -> None:
    account = spared(cash=500_000)
    sleeve = account.engine.sleeves["sma"]
    before, peak, start = sleeve.cash(), sleeve.peak(), sleeve.day_start
    account.command("adopt", key="c1", cash=True, assign=400_000, deployment="sma")
    sleeve = account.engine.sleeves["sma"]
    assert (account.engine.unassigned_cash, sleeve.cash()) == (100_000, before + 400_000)
    assert (int(sleeve.book.state.account[SETTLED]), int(sleeve.book.state.account[PEAK_EQUITY])) == (
        before + 400_000, peak + 400_000,
    )  # fmt: skip
    assert start is not None
    assert sleeve.day_start == start + 400_000
    rows = tables(account).rows["cash"]
    assert (rows["",]["cash"], rows["sma",]["cash"]) == (100_000, 400_000)
    account.command("adopt", key="c2", cash=True, assign=-400_000, deployment="sma")
    assert (account.engine.unassigned_cash, account.engine.cash()) == (500_000, CASH + 500_000)


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        ({"symbol": NAME, "assign": 6, "deployment": "sma"}, "NOT_THERE"),
        ({"symbol": NAME, "assign": -1, "deployment": "sma"}, "NOT_THERE"),
        ({"symbol": NAME, "assign": 0, "deployment": "sma"}, "NOT_THERE"),
        ({"cash": True, "assign": 600_000, "deployment": "sma"}, "NOT_THERE"),
        ({"cash": True, "assign": -2 * CASH, "deployment": "sma"}, "NOT_THERE"),
        ({"symbol": "035720", "assign": 1, "deployment": "sma"}, "UNKNOWN_DEPLOYMENT"),
        ({"cash": True, "assign": 1, "deployment": "other"}, "UNKNOWN_DEPLOYMENT"),
        ({"cash": True, "assign": 1}, "BAD_COMMAND"),
    ],
)
def test_what_is_not_there_is_not_given(arguments: dict[str, Any], why: str) -> None:
    account = spared(shares=5, cash=500_000)
    before = account.engine.snapshot()
    account.command("adopt", key="c1", **arguments)
    assert account.alarms() == ["COMMAND_REFUSED"]
    assert why in account.entries[-1].payload["detail"]
    account.engine.commands.pop("c1")
    account.engine.alarms.discard("COMMAND_REFUSED:c1")
    assert account.engine.snapshot() == before
