"""The state table of orders, pair by pair, and what an order says of itself."""

from __future__ import annotations

from dataclasses import replace

import pytest

from quantkit.errors import BadData, Bug
from quantkit.trading.orders import (
    IN_FLIGHT,
    TERMINAL,
    TRANSITIONS,
    WORKING,
    Intent,
    Order,
    OrderType,
    Side,
    Status,
    Window,
    new_order,
)

# From the state on the left to those on the right; the letters are FIX's, i d t stand for what never got there.
LETTERS = {
    "i": Status.INITIALIZED, "d": Status.DENIED, "t": Status.TRIGGERED, "A": Status.SUBMITTED, "0": Status.ACCEPTED,
    "8": Status.REJECTED, "E": Status.PENDING_UPDATE, "6": Status.PENDING_CANCEL, "1": Status.PARTIALLY_FILLED,
    "2": Status.FILLED, "4": Status.CANCELED, "C": Status.EXPIRED,
}  # fmt: skip
ALLOWED = {
    "i": "d t A 4 C", "d": "", "t": "d A 4 C", "A": "0 1 2 4 8 C", "0": "1 2 4 6 8 C E", "8": "0 1 2",
    "E": "0 1 2 4 6 8 C E", "6": "0 1 2 4 6 8 C", "1": "1 2 4 6 C E", "2": "", "4": "2", "C": "2",
}  # fmt: skip


def intent(**changes: object) -> Intent:
    usual = Intent(id="d:1:0", deployment="d", symbol="005930", side=Side.BUY, quantity=10, type=OrderType.LIMIT,
                   window=Window("continuous", 0, 100), price=70_000.0)  # fmt: skip
    return replace(usual, **changes)  # type: ignore[arg-type]


def order_in(status: Status, **changes: object) -> Order:
    return replace(new_order(intent()), status=status, **changes)  # type: ignore[arg-type]


@pytest.mark.parametrize("after", Status)
@pytest.mark.parametrize("before", Status)
def test_every_pair_of_states_is_a_move_or_a_bug(before: Status, after: Status) -> None:
    letters = {status: letter for letter, status in LETTERS.items()}
    order = order_in(before, unresolved_since=5)
    if letters[after] not in ALLOWED[letters[before]].split():
        with pytest.raises(Bug, match=f"{before} -> {after} is no move"):
            order.to(after)
        return
    moved = order.to(after, reason="why")
    assert (moved.status, moved.reason, moved.intent) == (after, "why", order.intent)
    assert moved.unresolved_since == (5 if after in IN_FLIGHT else None)
    assert order.status is before  # a new order; the old one stays as it was


def test_sets_of_states_divide_them_as_the_table_does() -> None:
    assert set(TRANSITIONS) == set(LETTERS.values()) == set(Status)
    assert set(Status) == {Status.INITIALIZED, Status.TRIGGERED} | WORKING | TERMINAL
    assert not WORKING & TERMINAL
    assert IN_FLIGHT < WORKING


def test_changed_gives_what_replace_gives() -> None:
    order = replace(order_in(Status.ACCEPTED), numbers=("1",), trades=frozenset({"a"}), filled=3)
    changes = {"filled": 4, "reason": "x", "numbers": ("1", "2")}
    assert order.changed(**changes) == replace(order, **changes)  # type: ignore[arg-type]
    assert order.changed() == order
    with pytest.raises(KeyError):
        order.changed(colour="red")


def test_leaves_are_what_may_still_fill() -> None:
    assert order_in(Status.PARTIALLY_FILLED, filled=4).leaves == 6
    assert order_in(Status.ACCEPTED, filled=12).leaves == 0
    assert order_in(Status.CANCELED, filled=4).leaves == 0


def test_order_is_working_while_the_broker_may_hold_something_for_it() -> None:
    working = {status for status in Status if order_in(status).working}
    assert working == {LETTERS[letter] for letter in "A0E61"}


def test_number_is_the_latest_the_broker_gave() -> None:
    assert new_order(intent()).number is None
    assert order_in(Status.ACCEPTED, numbers=("1", "7")).number == "7"


def test_new_order_asks_for_what_the_intent_wants() -> None:
    order = new_order(intent(quantity=3, price=10.0))
    assert (order.id, order.quantity, order.price, order.status) == ("d:1:0", 3, 10.0, Status.INITIALIZED)
    assert [Side.BUY.sign, Side.SELL.sign] == [1, -1]


@pytest.mark.parametrize("quantity", [0, -1])
def test_intent_of_no_shares_is_refused(quantity: int) -> None:
    with pytest.raises(BadData, match="whole number of shares"):
        intent(quantity=quantity)


@pytest.mark.parametrize("kind", OrderType)
def test_only_limits_have_a_price_and_the_morning_may_give_it_later(kind: OrderType) -> None:
    assert intent(type=kind, price=None).type is kind
    if kind in (OrderType.LIMIT, OrderType.CONDITIONAL):
        assert intent(type=kind, price=1.0).price == 1.0
    else:
        with pytest.raises(BadData, match="with price"):
            intent(type=kind, price=1.0)
