"""Orders that nobody answered: looked for, bound, given up, brought back; never sent again but to take risk away."""

from __future__ import annotations

import pytest

from quantkit.live.turn import Settings
from quantkit.trading.orders import NOT_FOUND, Side, Status
from quantkit.trading.ports import BrokerOrder, Capabilities
from tests.live.accounts import CASH, NAMES, Account, S, Want, at, line

COST = 700_000


def lost(*wants: Want, time: int = 0, settings: Settings | None = None) -> tuple[Account, str]:
    """An order whose answer never came, at 08:30 or where told."""
    account = Account(settings=Settings() if settings is None else settings)
    (name,) = account.sending(*wants or (Want(1),))
    if time:
        account.time = time
    account.answer(name, "unknown")
    assert account.order(name).unresolved_since == account.time
    return account, name


def hunt(account: Account, name: str, *lines: BrokerOrder, **answer: object) -> None:
    """The next look for it, and its answer."""
    account.timer(f"hunt:{name}")
    account.look(*lines, **answer)  # type: ignore[arg-type]


def seek(account: Account, name: str, until: int, **answer: object) -> None:
    """Looks until a time, all without a trace of it."""
    while name in account.engine.now.hunts and account.engine.now.timers[f"hunt:{name}"] <= until:
        hunt(account, name, **answer)


def test_looks_come_after_1_2_4_8_15_and_15_seconds() -> None:
    account, name = lost()
    begun, times = account.time, []
    for _ in range(7):
        account.timer(f"hunt:{name}")
        times.append((account.time - begun) // S)
        account.look(failed="timeout")
    assert times == [1, 3, 7, 15, 30, 45, 60]
    assert account.order(name).status is Status.SUBMITTED


def test_one_order_like_it_is_it() -> None:
    account, name = lost()
    hunt(account, name, line("5", filled=4, time=at("08:30")))
    order = account.order(name)
    assert (order.status, order.number, order.filled) == (Status.PARTIALLY_FILLED, "5", 4)
    assert name not in account.engine.now.hunts
    assert "OrderBound" in account.kinds()
    account.timer(f"hunt:{name}", account.time + 5 * S)
    assert account.looks == []


def test_what_the_stream_said_of_it_counts_once_it_is_found() -> None:
    account, name = lost()
    account.notice("5", "filled", 10, execution="a", time=at("09:00"))
    assert account.order(name).filled == 0
    hunt(account, name, line("5"))
    assert (account.order(name).status, account.order(name).filled) == (Status.FILLED, 10)


@pytest.mark.parametrize(
    "other",
    [
        line("5", quantity=11),
        line("5", price=70_100.0),
        line("5", price=None),
        line("5", side=Side.SELL),
        line("5", symbol=NAMES[1]),
        line(
            "5",
            time=at(
                "08:29",
            ),
        ),
        line("5", time=at("08:31")),
        line("5", original="4"),
    ],
    ids=["quantity", "price", "type", "side", "symbol", "before", "after", "a cancel"],
)
def test_an_order_unlike_it_is_somebody_elses(other: BrokerOrder) -> None:
    account, name = lost()
    hunt(account, name, other)
    assert account.order(name).status is Status.SUBMITTED
    assert account.order(name).numbers == ()


def test_two_orders_like_it_need_a_person() -> None:
    account, name = lost()
    hunt(account, name, line("5"), line("6"))
    assert "NEEDS_OPERATOR" in account.alarms()
    assert account.order(name).unresolved_since is not None
    hunt(account, name, line("5"), line("6"))
    assert account.alarms().count("NEEDS_OPERATOR") == 1
    account.command("adopt", order=name, number="6")
    assert account.order(name).number == "6"
    account.look(line("5"), line("6", filled=10))
    assert account.order(name).status is Status.FILLED
    assert "5" in account.engine.external


def test_the_callers_tag_tells_orders_apart_where_the_broker_carries_it() -> None:
    account, name = lost(settings=Settings(capabilities=Capabilities(name="b", caller_tag=True)))
    hunt(account, name, line("5", tag="another"), line("6", tag=name))
    assert account.order(name).number == "6"


# --- giving it up ---------------------------------------------------------------------------------------------------


def test_it_is_given_up_after_four_good_looks_and_two_minutes_near_the_open() -> None:
    account, name = lost(time=at("08:55"))
    seek(account, name, at("08:56:30"), orderable={name: CASH})
    assert account.order(name).status is Status.SUBMITTED
    seek(account, name, at("09:10"), orderable={name: CASH})
    assert (account.order(name).status, account.order(name).reason) == (Status.REJECTED, NOT_FOUND)
    assert at("08:57") <= account.time <= at("08:57:15")
    assert account.book.dropped == [[1, NOT_FOUND]]
    assert account.sent() == [name]


def test_elsewhere_one_minute_is_enough() -> None:
    account, name = lost(time=at("08:40"))
    seek(account, name, at("08:45"), orderable={name: CASH})
    assert account.order(name).status is Status.REJECTED
    assert at("08:41") <= account.time <= at("08:41:15")


def test_money_that_is_bound_keeps_the_question_open() -> None:
    account, name = lost(time=at("08:40"))
    seek(account, name, at("09:00"), orderable={name: CASH - COST})
    assert account.order(name).unresolved_since is not None
    seek(account, name, at("09:05"), orderable={name: CASH})
    assert account.order(name).status is Status.REJECTED


def test_a_witness_that_says_nothing_proves_nothing() -> None:
    account, name = lost(time=at("08:40"))
    seek(account, name, at("08:50"))
    assert account.order(name).unresolved_since is not None


def test_shares_that_are_bound_keep_the_question_open() -> None:
    account = Account()
    account.book.fill(order=-1, symbol=0, side=1, quantity=10, price=0.0, value=0, commission=0, tax=0, rule=None)
    (name,) = account.sending(Want(1, side=-1, quantity=10))
    account.time = at("08:40")
    account.answer(name, "unknown")
    seek(account, name, at("08:50"), sellable={name: 0})
    assert account.order(name).unresolved_since is not None
    assert account.sent() == [name]


def test_a_look_while_the_stream_was_broken_does_not_count() -> None:
    account, name = lost(time=at("08:40"))
    seek(account, name, at("08:40:50"), orderable={name: CASH})
    account.disconnect()
    seek(account, name, at("08:45"), orderable={name: CASH})
    assert account.order(name).unresolved_since is not None
    account.connect(generation=2)
    account.look(orderable={name: CASH})
    again = account.time
    seek(account, name, again + 55 * S, orderable={name: CASH})
    assert account.order(name).unresolved_since is not None
    seek(account, name, again + 90 * S, orderable={name: CASH})
    assert account.order(name).status is Status.REJECTED


def test_without_witnesses_it_takes_twice_the_looks_and_twice_the_lag() -> None:
    broker = Capabilities(name="b", witnesses=False, list_lag=90.0)
    account, name = lost(time=at("08:40"), settings=Settings(capabilities=broker))
    seek(account, name, at("08:42:55"))
    assert account.order(name).unresolved_since is not None
    seek(account, name, at("08:44"))
    assert account.order(name).status is Status.REJECTED
    assert all(not look.witnesses for look in account.effects if hasattr(look, "witnesses"))


def test_an_order_given_up_that_comes_late_is_bound_with_an_alarm_and_taken_back() -> None:
    account, name = lost(time=at("08:40"))
    seek(account, name, at("08:45"), orderable={name: CASH})
    account.timer("positions", at("08:50"))
    account.look(line("5", filled=3))
    assert "LATE_ORDER" in account.alarms()
    assert (account.order(name).filled, account.order(name).status) == (3, Status.PENDING_CANCEL)
    assert account.cancels()[-1].number == "5"
    assert account.engine.shares(NAMES[0]) == 3


def test_a_late_answer_brings_it_back_too() -> None:
    account, name = lost(time=at("08:40"))
    seek(account, name, at("08:45"), orderable={name: CASH})
    account.notice("5", "filled", 3, execution="a")
    account.answer(name, number="5")
    assert "LATE_ORDER" in account.alarms()
    assert account.order(name).filled == 3


def test_a_late_answer_before_it_is_given_up_is_an_answer() -> None:
    account, name = lost()
    account.answer(name, number="5")
    assert (account.order(name).status, account.order(name).unresolved_since) == (Status.ACCEPTED, None)
    account.timer(f"hunt:{name}", account.time + S)
    assert account.looks == []


def test_a_late_refusal_is_an_answer() -> None:
    account, name = lost()
    account.answer(name, "not_sent")  # something left, so this proves nothing
    assert account.order(name).unresolved_since is not None
    account.answer(name, "refused", code="NO_CASH")
    assert account.order(name).reason == "NO_CASH"


# --- what it holds up -----------------------------------------------------------------------------------------------


def test_a_lost_buy_holds_up_buys_of_its_name_alone() -> None:
    account = Account()
    first, second, other = account.sending(Want(1), Want(2), Want(3, symbol=1))
    assert account.sent() == [first, other]
    account.answer(first, "unknown")
    account.answer(other, number="9")
    assert second not in account.sent()
    hunt(account, first, line("5"), line("9", symbol=NAMES[1]))
    assert account.sent() == [first, other, second]


def selling(held: int = 10, unassigned: int = 0) -> tuple[Account, str]:
    """A lost sale that takes risk away."""
    account = Account()
    account.book.fill(order=-1, symbol=0, side=1, quantity=held, price=0.0, value=0, commission=0, tax=0, rule=None)
    account.decided(Want(1, side=-1, quantity=10))
    account.connect()
    account.look(shares={NAMES[0]: held + unassigned})
    account.feed_timer("windows", at("08:30"))
    (name,) = account.sent()
    account.time = at("08:40")
    account.answer(name, "unknown")
    return account, name


def test_a_sale_that_takes_risk_away_goes_again_for_what_can_be_sold() -> None:
    account, name = selling()
    hunt(account, name, sellable={name: 8})
    assert account.sent() == [name, f"{name}~1"]
    assert account.order(f"{name}~1").quantity == 8
    hunt(account, name, sellable={name: 0})
    assert len(account.sent()) == 2
    account.answer(f"{name}~1", number="6")
    account.notice("6", "filled", 8, side=Side.SELL, execution="a")
    seek(account, name, at("08:50"), sellable={name: 2})
    assert account.book.dropped == [[1, NOT_FOUND]]  # once, when nothing stands for it any more


def test_a_line_waits_for_the_answer_of_the_order_that_it_may_be() -> None:
    account, name = selling()
    hunt(account, name, sellable={name: 10})
    again = f"{name}~1"
    hunt(account, name, line("6", side=Side.SELL, filled=10, time=account.time), sellable={name: 0})
    assert (account.order(name).status, account.order(again).status) == (Status.SUBMITTED, Status.SUBMITTED)
    account.answer(again, number="6")
    hunt(account, name, line("6", side=Side.SELL, filled=10, time=account.time), sellable={name: 0})
    assert (account.order(name).filled, account.order(again).filled) == (0, 10)


def test_a_number_is_never_that_of_two_orders() -> None:
    account, name = selling()
    hunt(account, name, sellable={name: 10})
    again = f"{name}~1"
    account.answer(again, "unknown")
    hunt(account, name, line("6", side=Side.SELL, filled=10, time=account.time), sellable={name: 0})
    assert account.order(again).filled == 10
    account.answer(name, number="6")
    assert (account.order(name).status, account.order(name).filled) == (Status.SUBMITTED, 0)
    assert account.order(name).unresolved_since is not None


def test_shares_of_others_are_not_sold_again() -> None:
    account, name = selling(unassigned=10)
    hunt(account, name, sellable={name: 10})
    assert account.sent() == [name]


def test_a_purchase_never_goes_again() -> None:
    account, name = lost(time=at("08:40"))
    seek(account, name, at("08:50"), orderable={name: CASH}, sellable={name: 10})
    assert account.sent() == [name]


# --- cancels and replacements ---------------------------------------------------------------------------------------


def test_an_unanswered_cancel_is_asked_for_again_where_the_order_stands() -> None:
    account = Account()
    name = account.working()
    account.command("cancel", order=name)
    account.answer(name, "unknown", request="cancel")
    assert account.order(name).unresolved_since is not None
    hunt(account, name, line("1"))
    assert (account.order(name).status, len(account.cancels())) == (Status.PENDING_CANCEL, 2)
    account.answer(name, "unknown", request="cancel")
    hunt(account, name, line("1", leaves=0, status="canceled"))
    assert account.order(name).status is Status.CANCELED


def test_an_unanswered_cancel_holds_the_slot() -> None:
    account = Account()
    first, second = account.sending(Want(1), Want(2))
    account.answer(first, number="1")
    assert account.sent() == [first, second]
    account.answer(second, number="2")
    account.command("cancel", order=first)
    account.answer(first, "unknown", request="cancel")
    account.command("order", key="m", symbol=NAMES[0], side="buy", quantity=1, price=70_000.0, deployment="sma")
    assert account.order("manual:m").reason == "UNRESOLVED_SLOT"


@pytest.mark.parametrize("answered", [True, False])
def test_of_an_unanswered_replacement_the_brokers_numbers_count(answered: bool) -> None:
    from tests.live.test_life import replacing

    account, name = replacing()
    account.answer(name, "unknown", request="modify")
    hunt(account, name, *([line("1", leaves=0, status="canceled"), line("2", original="1", price=69_000.0, quantity=9)]
                          if answered else [line("1")]))  # fmt: skip
    order = account.order(name)
    expected = (9, 69_000.0, "2") if answered else (10, 70_000.0, "1")
    assert (order.quantity, order.price, order.number) == expected
    assert order.unresolved_since is None


# --- restarts and the end of the day --------------------------------------------------------------------------------


def test_what_was_in_flight_when_the_process_ended_is_looked_for() -> None:
    account = Account()
    (name,) = account.sending(Want(1))
    account.restart()
    account.connect(at("08:31"), generation=1)
    assert account.order(name).unresolved_since == at("08:31")
    account.look(line("5", time=at("08:30")))
    assert (account.order(name).status, account.order(name).number) == (Status.ACCEPTED, "5")
    assert account.sent() == [name]


def test_a_lost_order_stays_lost_over_a_restart() -> None:
    account, name = lost(time=at("08:40"))
    account.restart()
    account.connect(at("08:41"))
    assert account.order(name).unresolved_since == at("08:40")
    account.look(orderable={name: CASH})
    seek(account, name, at("08:45"), orderable={name: CASH})
    assert account.order(name).status is Status.REJECTED


def test_an_order_lost_at_the_end_of_the_session_shuts_the_account() -> None:
    account, name = lost(time=at("15:25"))
    account.timer("sweep", at("15:40"))
    account.look(shares={}, cash=CASH)
    assert "UNRESOLVED_AT_CLOSE" in account.alarms()
    assert account.engine.switches.modes(account="acc").account == "halted"
    account.command("adopt", order=name, outcome="not_found")
    account.command("resume", key="c2")
    assert account.order(name).status is Status.REJECTED
    assert account.engine.switches.modes(account="acc").account == "running"
