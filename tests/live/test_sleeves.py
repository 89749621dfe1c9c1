"""Two deployments on one account: what is whose, and what holds for both."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest

from quantkit.core.state import no_events
from quantkit.live.engine import Engine
from quantkit.live.messages import SessionOpens
from quantkit.live.sleeves import Sleeve
from quantkit.live.switch import Mode, Scope
from quantkit.market.days import epoch_days
from quantkit.trading.events import Entry, Kind
from quantkit.trading.orders import Side, Status
from quantkit.trading.ports import InstrumentDay
from tests.live.accounts import CASH, MONDAY, NAMES, Account, S, Scripted, Want, at, row_of

DAY = 86_400 * S
TUESDAY = MONDAY.replace(day=22)


@dataclass
class Two(Account):
    """A second deployment beside the one that `Account` drives."""

    other: Scripted = field(default_factory=Scripted)

    def __post_init__(self) -> None:
        super().__post_init__()
        self.engine = Engine("acc", self.sleeves(self.book, self.other), settings=self.settings)

    def sleeves(self, first: Scripted, second: Scripted) -> list[Sleeve]:
        beside = Sleeve(name="beside", book=second, capital=CASH, load=Scripted.read, limits=self.limits,
                        markets=("KOSDAQ", "KOSPI"))  # fmt: skip
        return [self.sleeve(first), beside]

    def recovered(self) -> Engine:
        from quantkit.live.recovery import recover

        return recover(self.journal, self.sleeves(Scripted(), Scripted()), settings=self.settings)

    def opens_beside(self, time: int) -> list[Entry]:
        days = tuple(InstrumentDay(symbol=name, base=70_000.0, previous_close=70_000.0) for name in NAMES)
        day = MONDAY if time < at("00:00", TUESDAY) else TUESDAY
        return self.feed(SessionOpens(time, "beside", int(epoch_days(day)), days, row_of(day), no_events()))


def both() -> Two:
    account = Two()
    account.book.says(morning=[Want(1)])
    account.other.says(morning=[Want(1, side=-1)])
    account.journal.append((), snapshot=account.engine.snapshot())
    account.connect()
    account.look(cash=2 * CASH)
    return account


def test_a_day_begins_once_though_each_deployment_has_its_morning() -> None:
    account = both()
    account.opens(at("08:05"))
    account.command("halt", scope="deployment", name="sma", mode="reducing")
    latch = account.engine.switches.latches[Scope.DEPLOYMENT, "sma"]
    account.opens_beside(at("08:06"))
    assert account.engine.switches.latches[Scope.DEPLOYMENT, "sma"] == latch
    assert [order.intent.deployment for order in account.engine.orders.values()] == ["sma", "beside"]
    assert [sleeve.day_start for sleeve in account.engine.sleeves.values()] == [CASH, CASH]


def test_fills_belong_to_who_ordered_and_the_account_is_their_sum() -> None:
    account = both()
    account.opens(at("08:05"))
    account.feed_timer("windows", at("08:30"))
    (name,) = account.sent()
    account.answer(name, number="1")
    account.notice("1", "filled", 10, execution="a")
    first, second = account.engine.sleeves.values()
    assert (first.shares(NAMES[0]), second.shares(NAMES[0]), account.engine.shares(NAMES[0])) == (10, 0, 10)
    assert (first.cash(), second.cash(), account.engine.cash()) == (CASH - 700_000, CASH, 2 * CASH - 700_000)


def test_a_deployment_does_not_sell_what_another_holds() -> None:
    account = both()
    account.opens(at("08:05"))
    account.feed_timer("windows", at("08:30"))
    account.answer(account.sent()[0], number="1")
    account.notice("1", "filled", 10, execution="a")
    account.opens_beside(at("08:31"))
    sale = next(order for order in account.engine.orders.values() if order.intent.deployment == "beside")
    assert (sale.status, sale.reason) == (Status.DENIED, "INSUFFICIENT_SHARES")


def test_flatten_of_one_deployment_leaves_the_other_as_it_is() -> None:
    account = both()
    account.lawful = False
    for book in (account.book, account.other):
        book.fill(order=-1, symbol=1, side=1, quantity=10, price=0.0, value=0, commission=0, tax=0, rule=None)
    account.tick(70_000.0, symbol=NAMES[1], time=at("10:00"))
    account.command("flatten", scope="deployment", name="beside")
    assert [order.intent.deployment for order in account.engine.orders.values()] == ["beside"]
    assert account.engine.switches.modes(account="acc", deployment="sma").strictest is Mode.RUNNING


def test_shares_of_a_name_are_the_accounts_when_they_are_compared() -> None:
    account = both()
    account.lawful = False
    for book in (account.book, account.other):
        book.fill(order=-1, symbol=1, side=1, quantity=10, price=0.0, value=0, commission=0, tax=0, rule=None)
    account.timer("positions")
    account.look(shares={NAMES[1]: 20})
    assert account.alarms() == []


def test_markets_are_those_of_each_deployment() -> None:
    account = both()
    assert account.engine.sleeves["beside"].market(NAMES[0]) == "KOSDAQ"
    assert account.engine.sleeves["sma"].market(NAMES[0]) == "KOSPI"


@pytest.mark.parametrize("name", [NAMES[0], "035720"])
def test_a_person_may_trade_a_name_that_no_deployment_has(name: str) -> None:
    account = both()
    account.opens(at("08:05"))
    account.tick(70_000.0, symbol=name, time=at("10:00"))
    account.command("order", symbol=name, side="buy", quantity=1, price=70_000.0)
    reason = account.order("manual:c1").reason
    assert reason == ("INSUFFICIENT_CASH" if name == NAMES[0] else "INSTRUMENT_BLOCKED")


def test_a_name_without_any_price_has_none_for_the_gates() -> None:
    account = both()
    account.opens(at("08:05"))
    account.time = at("10:00")
    account.command("order", symbol="035720", side="buy", quantity=1)
    assert account.order("manual:c1").reason == "STALE_QUOTE"


def test_an_order_beyond_the_cash_is_cut_until_its_commission_fits_too() -> None:
    from quantkit.market.costs import Costs

    account = Account(Scripted(costs=Costs(0.0, minimum=5_000)))
    account.decided(Want(1, quantity=10))
    account.connect()
    account.look(spare=10 * 70_000)
    account.feed_timer("windows", at("08:30"))
    assert account.order().quantity == 9
    tight = Account(Scripted(costs=Costs(0.0, minimum=65_000)))
    tight.decided(Want(1, quantity=10))
    tight.connect()
    tight.look(spare=155_000)  # two shares at what one of ten costs; one once its own commission is paid
    tight.feed_timer("windows", at("08:30"))
    assert tight.order().quantity == 1


def test_a_lost_order_holds_up_nobody_else() -> None:
    account = both()
    account.opens(at("08:05"))
    account.feed_timer("windows", at("08:30"))
    (name,) = account.sent()
    account.answer(name, "unknown")
    account.command("order", symbol=NAMES[1], side="buy", quantity=1, price=70_000.0, deployment="beside")
    assert account.order("manual:c1").status is Status.SUBMITTED
    assert account.order(name).intent.side is Side.BUY


def test_the_day_of_each_deployment_is_journalled() -> None:
    account = both()
    account.opens(at("08:05"))
    account.opens_beside(at("08:06"))
    told = [entry.deployment for entry in account.entries if entry.kind is Kind.SESSION_OPENED]
    assert told == ["sma", "beside"]
