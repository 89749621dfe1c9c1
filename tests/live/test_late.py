"""A session that is told late: what was booked, sent or heard that day before it is neither lost nor counted twice.

A feed that has no base prices yet tells the morning late, while people order by hand and others trade on the account.
"""

from __future__ import annotations

import pytest

from quantkit.live.switch import Mode
from quantkit.live.turn import Settings
from quantkit.trading.events import Kind
from quantkit.trading.orders import Status
from quantkit.trading.ports import BrokerOrder
from tests.live.accounts import MONDAY, NAMES, Account, S, at, line

DAY = 86_400 * S
TUESDAY = MONDAY.replace(day=22)
LATE = at("09:40") + DAY
ONE, TWO = NAMES


def tuesday(clock: str) -> int:
    return at(clock) + DAY


def next_day(*, settings: Settings | None = None, others: str = "") -> Account:
    """An account with ten shares, bought on Monday as number 1, and ready on Tuesday before its morning is told.
    others: number under which somebody bought of the second name on Monday."""
    account = Account(settings=settings or Settings())
    account.working()
    account.notice("1", "filled", 10, execution="a", time=at("09:00"))
    account.timer("ask")
    account.look(line("1", filled=10, time=at("08:30")))
    assert account.order().status is Status.FILLED
    if others:
        account.feed_timer("ask", at("09:30"))
        account.look(line("1", filled=10, time=at("08:30")), line(others, filled=10, symbol=TWO, time=at("09:29")))
        assert account.engine.external[others].filled == 10
    account.book.says(evening=())
    account.closes(at("15:31"), at("15:30"))
    account.disconnect(at("16:00"))
    account.connect(tuesday("08:20"), generation=2)
    account.look()
    assert account.engine.now.phase == "ready"
    return account


def by_hand(account: Account, *, number: str | None = "5", clock: str = "09:10") -> str:
    """A person buys ten of the second name; the broker takes it under a number."""
    account.tick(70_000.0, time=tuesday(clock), symbol=TWO)
    account.command("order", key=clock, symbol=TWO, side="buy", quantity=10, price=70_000.0, deployment="sma")
    name = f"manual:{clock}"
    assert account.sent()[-1] == name
    if number is not None:
        account.answer(name, number=number)
        assert account.order(name).status is Status.ACCEPTED
    return name


def bought(number: str, *, filled: int = 0, clock: str = "09:10") -> BrokerOrder:
    return line(number, filled=filled, symbol=TWO, time=tuesday(clock))


def holds(account: Account, *, shares: int, cash: int) -> None:
    """What the account has of the second name, all of it in its sleeve."""
    assert (account.engine.shares(TWO), account.engine.unassigned.get(TWO, 0)) == (shares, 0)
    assert account.engine.cash() == cash
    assert account.engine.external == {}
    assert account.alarms() == []


def test_an_order_of_today_that_stands_goes_on_standing() -> None:
    account = next_day()
    name, before = by_hand(account), account.engine.cash()
    account.opens(LATE, day=TUESDAY)
    assert account.order(name).status is Status.ACCEPTED
    account.look(bought("5", filled=4), time=LATE + S)
    for shares, execution in ((4, "b"), (6, "c")):
        account.notice("5", "filled", shares, symbol=TWO, execution=execution, time=LATE + 2 * S)
    assert account.order(name).status is Status.FILLED
    account.feed_timer("ask", LATE + 3 * S)
    account.look(bought("5", filled=10))
    holds(account, shares=10, cash=before - 700_000)


def test_an_order_of_today_that_has_filled_is_not_booked_again() -> None:
    account = next_day()
    name, before = by_hand(account), account.engine.cash()
    account.notice("5", "filled", 10, symbol=TWO, execution="b")
    account.opens(LATE, day=TUESDAY)
    account.notice("5", "filled", 10, symbol=TWO, execution="b", time=LATE + S)
    account.look(bought("5", filled=10), time=LATE + 2 * S)
    assert account.order(name).status is Status.FILLED
    account.restart()
    account.connect(LATE + 3 * S)
    account.look(bought("5", filled=10))
    holds(account, shares=10, cash=before - 700_000)


def test_a_fill_that_only_the_list_shows_after_the_late_morning_is_booked_once() -> None:
    account = next_day()
    name, before = by_hand(account), account.engine.cash()
    account.notice("5", "canceled", 10, symbol=TWO)
    assert account.order(name).status is Status.CANCELED
    account.opens(LATE, day=TUESDAY)
    account.look(line("5", filled=3, leaves=0, status="canceled", symbol=TWO, time=tuesday("09:10")), time=LATE + S)
    assert account.order(name).filled == 3
    holds(account, shares=3, cash=before - 210_000)


def test_an_order_whose_answer_is_on_its_way_keeps_what_the_stream_said_of_it() -> None:
    account = next_day()
    name, before = by_hand(account, number=None), account.engine.cash()
    account.notice("5", "filled", 10, symbol=TWO, execution="b")
    account.opens(LATE, day=TUESDAY)
    account.answer(name, number="5", time=LATE + S)
    assert account.order(name).status is Status.FILLED
    account.look(bought("5", filled=10))
    holds(account, shares=10, cash=before - 700_000)


def test_an_unanswered_order_of_today_is_sought_and_shuts_nothing() -> None:
    account = next_day()
    name = by_hand(account, number=None)
    account.answer(name, "unknown")
    account.opens(LATE, day=TUESDAY)
    assert account.order(name).unresolved_since is not None
    assert account.engine.switches.modes(account="acc", symbol=TWO).strictest is Mode.RUNNING
    assert "UNRESOLVED_AT_CLOSE" not in account.alarms()
    account.feed_timer(f"hunt:{name}", LATE + S)
    for _ in list(account.looks):
        account.look(bought("5", filled=10))
    assert (account.order(name).status, account.order(name).number) == (Status.FILLED, "5")


def test_what_was_sent_today_counts_for_the_limits_of_the_day() -> None:
    account = next_day()
    by_hand(account)
    account.opens(LATE, day=TUESDAY)
    assert account.engine.sent == {"sma": [tuesday("09:10")]}  # Monday's does not
    assert account.recovered().sent == account.engine.sent
    assert account.recovered().number == account.engine.number == {"5": "manual:09:10"}


def test_an_order_of_others_that_a_sleeve_took_is_booked_once() -> None:
    account = next_day(settings=Settings(external="claim"))
    before = account.engine.cash()
    account.timer("positions", tuesday("09:20"))
    account.look(bought("7", filled=10), shares={ONE: 10, TWO: 10}, cash=before - 700_000)
    account.opens(LATE, day=TUESDAY)
    account.look(bought("7", filled=10), time=LATE + S)
    account.restart()
    account.connect(LATE + 2 * S)
    account.look(bought("7", filled=10))
    holds(account, shares=10, cash=before - 700_000)


def test_numbers_of_the_day_before_that_come_again_are_other_orders() -> None:
    account = Account()
    account.ready()
    account.opens(at("08:05"))
    account.look()
    account.feed_timer("ask", at("09:31"))
    account.look(line("5", filled=10, symbol=TWO, time=at("09:30")))  # of others, on Monday
    assert account.engine.external["5"].filled == 10
    account.disconnect(at("16:00"))
    account.connect(tuesday("08:20"), generation=2)
    account.look()
    before = account.engine.cash()
    account.feed_timer("ask", tuesday("08:30"))
    account.look(line("5", filled=4, quantity=4, symbol=TWO, time=tuesday("08:29")))  # and on Tuesday
    assert (account.engine.shares(TWO), account.engine.cash()) == (14, before - 280_000)
    account.feed_timer("ask", tuesday("08:31"))
    account.look(line("5", filled=4, quantity=4, symbol=TWO, time=tuesday("08:29")))
    account.opens(LATE, day=TUESDAY)
    account.look(line("5", filled=4, quantity=4, symbol=TWO, time=tuesday("08:29")), time=LATE + S)
    assert (account.engine.shares(TWO), account.engine.cash()) == (14, before - 280_000)


@pytest.mark.parametrize("others", [False, True], ids=["ours", "others"])
def test_an_order_may_get_a_number_of_the_day_before(others: bool) -> None:
    account = next_day(others="3" if others else "")
    name, before = by_hand(account, number=None), account.engine.cash()
    held, number = account.engine.shares(TWO), "3" if others else "1"
    account.notice(number, "filled", 10, symbol=TWO, execution="b")  # before the answer
    account.answer(name, number=number)
    assert (account.order(name).status, account.order(name).unresolved_since) == (Status.FILLED, None)
    account.opens(LATE, day=TUESDAY)
    account.look(line(number, filled=10, symbol=TWO, time=tuesday("09:10")), time=LATE + S)
    assert (account.engine.shares(TWO) - held, account.engine.cash()) == (10, before - 700_000)


@pytest.mark.parametrize("what", ["shares", "cash"])
def test_a_difference_that_the_morning_explains_opens_again(what: str) -> None:
    """An action, or money whose day has come, is booked with the morning; the broker may show it before."""
    account = next_day()
    held, cash = {ONE: 20 if what == "shares" else 10}, account.engine.cash() + (5_000 if what == "cash" else 0)
    for minute in (21, 22):
        account.feed_timer("positions", tuesday(f"08:{minute}"))
        account.look(shares=held, cash=cash)
    mode = account.engine.switches.modes(account="acc", symbol=ONE)
    assert mode.strictest is Mode.REDUCING
    if what == "shares":
        account.book.fill(
            order=-1, symbol=0, side=1, quantity=10, price=0.0, value=0, commission=0, tax=0, rule=None
        )  # fmt: skip
    else:
        account.engine.sleeves["sma"].deposit(5_000)
    account.opens(LATE, day=TUESDAY)
    assert account.engine.switches.modes(account="acc", symbol=ONE).strictest is Mode.REDUCING
    account.look(shares=held, cash=cash, time=LATE + S)
    assert account.engine.switches.modes(account="acc", symbol=ONE).strictest is Mode.RUNNING
    lifted = [entry.payload for entry in account.entries if entry.kind is Kind.RISK_STATE_CHANGED][-1]
    assert lifted["mode"] == "running"
    assert lifted["by"] == f"rule {'POSITION' if what == 'shares' else 'CASH'}_DIFFERENCE"


@pytest.mark.parametrize("what", ["shares", "cash"])
def test_a_difference_that_the_morning_does_not_explain_needs_a_person(what: str) -> None:
    account = next_day()
    held, cash = {ONE: 20 if what == "shares" else 10}, account.engine.cash() + (5_000 if what == "cash" else 0)
    for minute in (21, 22):
        account.feed_timer("positions", tuesday(f"08:{minute}"))
        account.look(shares=held, cash=cash)
    account.opens(LATE, day=TUESDAY)
    account.look(shares=held, cash=cash, time=LATE + S)
    account.feed_timer("positions", LATE + 60 * S)
    account.look(shares=held, cash=cash)
    account.feed_timer("positions", LATE + 120 * S)
    account.look()  # it agrees later: nobody knows why
    assert account.engine.switches.modes(account="acc", symbol=ONE).strictest is Mode.REDUCING
