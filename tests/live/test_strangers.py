"""What is not ours, not of today, or not in the list yet: foreign orders, former days, numbers that come again, lists
and looks that are old."""

from __future__ import annotations

import pytest

from quantkit.live.switch import Mode
from quantkit.live.turn import Settings
from quantkit.market.costs import Costs
from quantkit.trading.orders import NOT_FOUND, Side, Status
from tests.live.accounts import CASH, FRIDAY, MONDAY, NAMES, Account, S, Scripted, Want, at, line
from tests.live.test_life import replacing
from tests.live.test_outcomes import hunt, lost, seek

OPEN = at("09:30")
DAY = 86_400 * S


def mode(account: Account) -> Mode:
    return account.engine.switches.modes(account="acc", symbol=NAMES[0]).strictest


# --- orders of others -----------------------------------------------------------------------------------------------


def test_an_order_of_others_that_was_known_before_ours_is_not_taken_for_ours() -> None:
    account = Account()
    (name,) = account.decided(Want(1))
    account.connect()
    account.look(line("7", time=at("08:29:59")))
    assert "7" in account.engine.external
    account.feed_timer("windows", at("08:30"))
    account.answer(name, "unknown")
    hunt(account, name, line("7", time=at("08:29:59")))
    assert account.order(name).unresolved_since is not None
    hunt(account, name, line("7", time=at("08:29:59")), line("8", time=at("08:30")))
    assert account.order(name).number == "8"


def test_what_others_trade_costs_what_ours_would() -> None:
    account = Account(Scripted(costs=Costs.kiwoom()))
    account.ready()
    fee = Costs.kiwoom().commission_on(700_000)
    bought, sold = line("7", filled=10, time=OPEN), line("8", side=Side.SELL, filled=10, time=OPEN)
    account.timer("positions", OPEN)
    account.look(bought, shares={NAMES[0]: 10}, cash=CASH - 700_000 - fee)
    assert account.engine.unassigned_cash == -700_000 - fee
    account.feed_timer("ask", at("09:31"))
    account.look(bought, sold)
    tax = 1_400  # 0.20 % in 2026
    assert account.engine.unassigned_cash == -2 * fee - tax
    account.feed_timer("ask", at("09:32"))
    account.look(bought, line("8", side=Side.SELL, filled=10, time=OPEN, commission=90, tax=1_410))
    assert account.engine.unassigned_cash == -fee - 1_500  # the broker's word, once it says so
    assert (mode(account), account.alarms()) == (Mode.RUNNING, ["EXTERNAL_ORDER"] * 2)


def test_an_order_of_others_is_booked_once_where_the_session_is_told_late() -> None:
    account = Account()
    account.ready()
    bought = line("7", filled=10, time=OPEN)
    account.timer("positions", OPEN)
    account.look(bought, shares={NAMES[0]: 10}, cash=CASH - 700_000)
    account.opens(at("09:40"))
    account.feed_timer("ask", at("09:41"))
    account.look(bought)
    assert (account.engine.shares(NAMES[0]), account.engine.cash()) == (10, CASH - 700_000)
    assert account.engine.external["7"].filled == 10
    account.opens(at("08:05") + DAY, day=MONDAY.replace(day=22))
    assert account.engine.external == {}  # the broker's numbers begin anew


@pytest.mark.parametrize("side", list(Side))
def test_what_orders_of_others_bind_is_not_bound_for_a_lost_one(side: Side) -> None:
    account = Account(lawful=False)
    account.book.fill(order=-1, symbol=0, side=1, quantity=20, price=0.0, value=0, commission=0, tax=0, rule=None)
    (name,) = account.decided(Want(1, side=side.sign, quantity=7))
    account.connect()
    account.look()
    account.feed_timer("windows", at("08:40"))
    account.answer(name, "unknown")
    other = line("7", side=side, quantity=9, time=at("08:39"))
    free = {name: CASH - 630_000} if side is Side.BUY else {name: 11}
    while account.order(name).unresolved_since is not None and account.time < at("08:50"):
        hunt(account, name, other, orderable=free, sellable=free)
    assert account.order(name).reason == NOT_FOUND


def test_an_order_that_was_taken_for_somebody_elses_is_ours_after_all() -> None:
    account, name = lost(time=at("08:40"))
    seek(account, name, at("08:50"), orderable={name: CASH})
    assert account.order(name).reason == NOT_FOUND
    twins = line("5", filled=10, time=at("08:30")), line("6", time=at("08:30"))
    account.timer("positions", at("09:10"))
    account.look(*twins, shares={NAMES[0]: 10}, cash=CASH - 700_000)
    assert set(account.engine.external) == {"5", "6"}  # nobody can tell which is ours
    assert "NEEDS_OPERATOR" in account.alarms()
    assert (account.engine.unassigned, account.engine.unassigned_cash) == ({NAMES[0]: 10}, -700_000)
    account.command("adopt", order=name, number="5")
    account.look(*twins)
    assert (account.order(name).status, account.order(name).filled) == (Status.FILLED, 10)
    assert (account.engine.unassigned, account.engine.unassigned_cash) == ({}, 0)
    assert account.engine.sleeves["sma"].shares(NAMES[0]) == 10
    assert set(account.engine.external) == {"6"}


def test_fills_from_before_the_account_was_first_seen_move_over_too() -> None:
    account = Account()
    (name,) = account.decided(Want(1))
    account.connect()
    account.look(line("7", filled=10, time=at("08:29")), shares={NAMES[0]: 10}, cash=CASH)
    held = account.engine.cash(), account.engine.shares(NAMES[0])
    account.feed_timer("windows", at("08:30"))
    account.answer(name, "unknown")
    account.command("adopt", order=name, number="7")
    account.look(line("7", filled=10, time=at("08:29")))
    assert account.order(name).status is Status.FILLED
    assert (account.engine.cash(), account.engine.shares(NAMES[0])) == held
    assert account.engine.unassigned == {}


def test_a_second_number_of_an_order_needs_a_person() -> None:
    account, name = lost()
    hunt(account, name, line("5", time=at("08:30")))
    account.answer(name, number="6")
    assert account.order(name).numbers == ("5",)
    assert "NEEDS_OPERATOR" in account.alarms()
    account.answer(name, number="5")
    assert account.alarms().count("NEEDS_OPERATOR") == 1


# --- other days -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("policy", ["tolerate", "claim", "halt"])
def test_a_list_that_still_shows_the_day_before_says_nothing_of_today(policy: str) -> None:
    account = Account(settings=Settings(external=policy))
    account.ready()
    account.opens(at("08:05"))
    account.look(line("7", filled=10, time=at("10:00", FRIDAY)))
    assert account.engine.external == {}
    assert account.engine.orders == {}
    assert account.engine.unassigned == {}
    assert mode(account) is Mode.RUNNING


def test_a_notice_of_a_former_day_is_dropped_though_its_number_came_again() -> None:
    account = Account()
    name = account.working()
    told = account.notice("1", "filled", 4, execution="a", time=account.time)
    assert told
    assert account.order(name).filled == 4
    from quantkit.live.messages import Noticed
    from quantkit.trading.ports import Notice

    old = Notice(number="1", kind="filled", symbol=NAMES[0], side=Side.BUY, quantity=6, time=at("15:29", FRIDAY),
                 price=70_000.0, execution="z", generation=1)  # fmt: skip
    assert account.feed(Noticed(account.time, old)) == []
    assert account.order(name).filled == 4


def test_a_number_that_comes_again_is_not_the_order_of_the_day_before() -> None:
    account = Account()
    name = account.working()
    account.command("cancel", order=name, time=at("15:20"))
    account.answer(name, "unknown", request="cancel")
    account.time = at("08:20") + DAY
    account.restart()
    account.connect(at("08:20") + DAY)
    fresh = line("1", filled=5, time=at("08:20") + DAY, quantity=5)
    account.look(fresh, shares={NAMES[0]: 5}, cash=CASH - 350_000)
    assert account.order(name).filled == 0
    account.notice("1", "filled", 5, execution="q")
    assert account.order(name).filled == 0


def test_an_order_lost_the_day_before_is_not_given_up_because_todays_list_lacks_it() -> None:
    account, name = lost(time=at("15:25"))
    account.restart()
    account.time = at("07:00") + DAY
    account.connect(at("07:00") + DAY)
    account.look(orderable={name: CASH})
    seek(account, name, at("07:20") + DAY, orderable={name: CASH})
    assert account.order(name).unresolved_since is not None
    account.opens(at("08:05") + DAY, day=MONDAY.replace(day=22))
    assert "UNRESOLVED_AT_CLOSE" in account.alarms()
    assert mode(account) is Mode.HALTED
    assert name in account.engine.orders  # it is kept until a person has said what became of it


def test_orders_of_the_day_before_do_not_count_in_todays_rate() -> None:
    account, _ = lost(time=at("15:25"))
    account.opens(at("08:05") + DAY, day=MONDAY.replace(day=22))
    assert account.engine.sent == {}
    assert account.recovered().sent == {}
    assert account.recovered().seen == account.engine.seen


# --- old lists, old looks -------------------------------------------------------------------------------------------


def test_a_look_that_a_later_one_has_overtaken_changes_nothing() -> None:
    account = Account()
    name = account.working()
    account.timer("ask", at("09:00"))
    account.timer("positions", at("09:00:01"))
    older, newer = account.looks
    account.looks = [newer, older]
    account.look(line("1", filled=6), time=at("09:00:02"), asked=at("09:00:01"))
    assert account.order(name).filled == 6
    account.look(line("1", filled=2), time=at("09:00:03"), asked=at("09:00:00"))
    assert (account.order(name).filled, account.engine.now.mismatch) == (6, {})


def test_a_replacement_that_the_list_does_not_show_yet_is_waited_for() -> None:
    """The first number has nothing left, and the second is not in the list."""
    account, name = replacing()
    account.answer(name, request="modify", number="2")
    account.timer("ask")
    gone = line("1", leaves=0, status="canceled")
    account.look(gone)
    assert account.order(name).status is Status.PENDING_UPDATE
    account.timer("ask")
    account.look(gone, line("2", original="1", price=69_000.0))
    assert (account.order(name).status, account.order(name).numbers) == (Status.ACCEPTED, ("1", "2"))
    account.timer("ask")
    account.look(gone)  # an old page again
    assert account.order(name).status is Status.ACCEPTED


def test_a_replacement_that_no_list_ever_shows_is_over() -> None:
    account, name = replacing()
    account.answer(name, request="modify", number="2")
    while account.order(name).status is Status.PENDING_UPDATE and account.time < at("09:10"):
        account.timer("ask")
        account.look(line("1", leaves=0, status="canceled"))
    assert account.order(name).status is Status.CANCELED
    assert account.time >= at("09:02:30")  # not before the list had its 90 seconds


def test_a_fill_of_the_first_number_that_comes_after_the_replacement() -> None:
    """3 of 10 fill while 7 are replaced; the notice of the 3 comes last: the order is full with 10, not with 7."""
    account, name = replacing()
    account.notice("2", "replaced", 7, original="1", price=69_000.0)
    account.notice("1", "filled", 3, execution="a")
    order = account.order(name)
    assert (order.quantity, order.filled, order.leaves) == (10, 3, 7)
    account.notice("2", "filled", 4, price=69_000.0, execution="b")
    assert account.order(name).status is Status.PARTIALLY_FILLED
    account.notice("2", "filled", 3, price=69_000.0, execution="c")
    assert (account.order(name).status, account.order(name).filled) == (Status.FILLED, 10)
    assert account.alarms() == []


def test_a_late_fill_of_the_first_number_is_no_answer_to_the_next_replacement() -> None:
    account, name = replacing()
    account.notice("2", "replaced", 7, original="1", price=69_000.0)
    account.lawful = False
    account.book.mornings.append([list(Want(1, kind="limit", rule="own", limit=68_000.0, quantity=7))])
    account.tick(70_000.0, time=at("09:02"))
    account.closes(at("09:02"))
    assert account.order(name).status is Status.PENDING_UPDATE
    account.notice("1", "filled", 3, execution="a")
    assert (account.order(name).status, account.order(name).quantity) == (Status.PENDING_UPDATE, 10)


def test_a_late_fill_that_the_list_never_shows_is_taken_back_though_the_order_has_ended() -> None:
    account = Account()
    name = account.working()
    over = line("1", filled=4, leaves=0, status="canceled")
    account.feed_timer("ask", at("09:00"))
    account.look(over)
    assert account.order(name).status is Status.CANCELED
    account.notice("1", "filled", 4, execution="y", time=at("09:01"))
    account.notice("1", "filled", 2, execution="z")
    assert account.order(name).filled == 6
    while account.order(name).filled == 6 and account.time < at("09:10"):
        account.timer("ask")
        account.look(over)
    assert account.order(name).filled == 4
    assert "FILL_TAKEN_BACK" in account.alarms()


def test_the_days_last_list_lacks_an_order() -> None:
    account = Account()
    name = account.working()
    account.timer("sweep")
    account.look()
    assert account.order(name).status is Status.EXPIRED
    assert account.alarms() == ["NOT_IN_LIST"]
    assert mode(account) is Mode.REDUCING


def test_a_sweep_that_was_missed_is_made_up_for_once() -> None:
    account = Account()
    name = account.working()
    account.time = at("16:30")
    account.restart()
    account.connect(at("16:30"))
    account.look(line("1", filled=10), shares={NAMES[0]: 10}, cash=CASH - 700_000)
    assert account.engine.now.timers["sweep"] == at("16:30:01")
    account.timer("sweep")
    account.look(line("1", filled=10))
    assert (account.order(name).status, account.engine.swept) == (Status.FILLED, "2026-09-21")
    account.restart()
    account.connect(at("16:40"))
    account.look(line("1", filled=10))
    assert "sweep" not in account.engine.now.timers


# --- sales that go again --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("held", "sold", "sellable", "again"),
    [
        (10, 10, 10, 10),  # the broker refuses the second where the first stands
        (10, 10, 4, 4),
        (10, 6, 10, 6),
        (10, 6, 4, 0),  # the first binds its six
        (20, 10, 20, 0),  # the broker could take both: it waits until the first is known to be gone
        (20, 11, 20, 11),
    ],
)
def test_a_sale_goes_again_only_where_the_broker_could_not_take_both(
    held: int, sold: int, sellable: int, again: int
) -> None:
    account = Account(lawful=False)
    account.book.fill(order=-1, symbol=0, side=1, quantity=held, price=0.0, value=0, commission=0, tax=0, rule=None)
    (name,) = account.decided(Want(1, side=-1, quantity=sold))
    account.connect()
    account.look()
    account.feed_timer("windows", at("08:30"))
    account.answer(name, "unknown")
    hunt(account, name, sellable={name: sellable})
    assert account.sent() == ([name, f"{name}~1"] if again else [name])
    if again:
        assert account.order(f"{name}~1").quantity == again
