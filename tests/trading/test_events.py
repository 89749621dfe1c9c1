"""Entries, and how they make orders: every kind in every state."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from quantkit.errors import Bug
from quantkit.trading.events import (
    OF_ORDERS,
    PAYLOADS,
    Entry,
    Kind,
    fold_orders,
    intent_from_json,
    intent_to_json,
)
from quantkit.trading.orders import NOT_FOUND, Order, OrderType, Side, Status, TimeInForce, new_order
from tests.trading.test_orders import LETTERS, intent

ID = "d:1:0"
GIVEN: dict[Kind, dict[str, Any]] = {
    Kind.ORDER_DENIED: {"code": "NO", "detail": ""},
    Kind.ORDER_TRIGGERED: {"price": 1.0},
    Kind.ORDER_SUBMITTING: {"quantity": 9, "price": 69_000.0},
    Kind.ORDER_ACCEPTED: {"number": "0001"},
    Kind.ORDER_REJECTED: {"code": "NO", "detail": ""},
    Kind.ORDER_UNRESOLVED: {"detail": ""},
    Kind.ORDER_BOUND: {"number": "0001", "filled": 0, "value": 0},
    Kind.ORDER_PENDING_CANCEL: {"reason": "why"},
    Kind.ORDER_CANCELED: {"number": "0002", "reason": "why"},
    Kind.ORDER_CANCEL_REJECTED: {"code": "NO", "detail": ""},
    Kind.ORDER_PENDING_UPDATE: {"quantity": 9, "price": 69_000.0},
    Kind.ORDER_UPDATED: {"number": "0002", "quantity": 9, "price": 69_000.0},
    Kind.ORDER_UPDATE_REJECTED: {"code": "NO", "detail": ""},
    Kind.ORDER_EXPIRED: {"reason": "why"},
}
# What becomes of an order with 4 of 10 shares filled (none where it cannot have any) by one entry of each kind; the
# letters of test_orders, a dot for a bug, one column a state.
GRID = """
                       i d t A 0 8 E 6 1 2 4 C
OrderDenied            d . d . . . . . . . . .
OrderTriggered         t . . . . . . . . . . .
OrderSubmitting        A . A . . . . . . . . .
OrderAccepted          . . . 0 0 . E 6 1 . . .
OrderRejected          . . . 8 8 . 8 8 . . . .
OrderUnresolved        . . . A . . E 6 . . . .
OrderBound             . . . 0 0 . E 6 1 . . .
OrderPartiallyFilled   . . . 1 1 1 E 6 1 . 4 C
OrderFilled            . . . 2 2 2 2 2 2 . 2 2
FillCorrected          . . . A 0 8 E 6 1 2 4 C
OrderPendingCancel     . . . . 6 . 6 6 6 . . .
OrderCanceled          4 . 4 4 4 . 4 4 4 . 4 .
OrderCancelRejected    i d t A 0 8 E 1 1 2 4 C
OrderPendingUpdate     . . . . E . E . E . . .
OrderUpdated           . . . 0 0 . 1 6 1 . . .
OrderUpdateRejected    i d t A 0 8 1 6 1 2 4 C
OrderExpired           C . C C C . C C C . . C
"""
ROWS = [line.split() for line in GRID.strip().splitlines()]
CASES = [
    (Kind(row[0]), LETTERS[before], None if after == "." else LETTERS[after])
    for row in ROWS[1:]
    for before, after in zip(ROWS[0], row[1:], strict=True)
]
EMPTY = (Status.INITIALIZED, Status.TRIGGERED, Status.DENIED, Status.SUBMITTED, Status.ACCEPTED, Status.REJECTED)


def entry(kind: Kind, time: int = 50, **changes: Any) -> Entry:
    return Entry(kind, time, {**GIVEN.get(kind, {}), **changes}, ID, "d")


def fill(kind: Kind, trade: str = "a", quantity: int = 3, time: int = 50) -> Entry:
    return entry(kind, time, trade=trade, quantity=quantity, price=70_000.0, value=quantity * 70_000, commission=5,
                 tax=2, provisional=False, inferred=False, detail="")  # fmt: skip


def any_entry(kind: Kind) -> Entry:
    fills = (Kind.ORDER_PARTIALLY_FILLED, Kind.ORDER_FILLED, Kind.FILL_CORRECTED)
    return fill(kind) if kind in fills else entry(kind)


def order_in(status: Status, **changes: Any) -> Order:
    filled = 0 if status in EMPTY else 4
    made = replace(new_order(intent()), status=status, filled=filled, value=filled * 70_000,
                   trades=frozenset({"first"} if filled else ()))  # fmt: skip
    return replace(made, **changes)


def fold(order: Order, *entries: Entry) -> Order:
    orders = {order.id: order}
    for one in entries:
        assert fold_orders(orders, one) is orders[order.id]
    return orders[order.id]


@pytest.mark.parametrize(("kind", "before", "after"), CASES)
def test_every_kind_in_every_state(kind: Kind, before: Status, after: Status | None) -> None:
    order = order_in(before)
    orders = {ID: order}
    if after is None:
        with pytest.raises(Bug, match=ID):
            fold_orders(orders, any_entry(kind))
        assert orders == {ID: order}
        return
    made = fold_orders(orders, any_entry(kind))
    assert made is not None
    assert made is orders[ID]
    assert made.status is after


def test_grid_has_every_kind_of_orders() -> None:
    assert {kind for kind, _, _ in CASES} == OF_ORDERS - {Kind.ORDER_INITIALIZED}


def test_life_of_an_order_from_the_first_entry_to_the_last() -> None:
    orders: dict[str, Order] = {}
    fold_orders(orders, entry(Kind.ORDER_INITIALIZED, 1, intent=intent_to_json(intent())))
    assert orders == {ID: new_order(intent())}
    made = fold(orders[ID], entry(Kind.ORDER_SUBMITTING, 2), entry(Kind.ORDER_ACCEPTED, 3),
                fill(Kind.ORDER_PARTIALLY_FILLED, "a", 3, 4), entry(Kind.ORDER_PENDING_UPDATE, 5),
                entry(Kind.ORDER_UPDATED, 6), fill(Kind.ORDER_FILLED, "b", 6, 7))  # fmt: skip
    assert made == Order(
        intent=intent(), status=Status.FILLED, quantity=9, price=69_000.0, filled=9, value=630_000, commission=10,
        tax=4, numbers=("0001", "0002"), submitted=2, ended=7, trades=frozenset({"a", "b"}),
    )  # fmt: skip


def test_order_is_initialised_once() -> None:
    with pytest.raises(Bug, match="initialised before"):
        fold(order_in(Status.INITIALIZED), entry(Kind.ORDER_INITIALIZED, intent=intent_to_json(intent())))


@pytest.mark.parametrize("kind", sorted(OF_ORDERS - {Kind.ORDER_INITIALIZED}))
def test_entry_of_an_unknown_order_is_a_bug(kind: Kind) -> None:
    orders: dict[str, Order] = {}
    with pytest.raises(Bug, match="never initialised"):
        fold_orders(orders, any_entry(kind))
    assert orders == {}


@pytest.mark.parametrize("kind", sorted(set(Kind) - OF_ORDERS))
def test_other_kinds_concern_no_order(kind: Kind) -> None:
    orders = {ID: order_in(Status.ACCEPTED)}
    payload = dict.fromkeys(PAYLOADS[kind])
    assert fold_orders(orders, Entry(kind, 1, payload, ID)) is None
    assert fold_orders(orders, Entry(kind, 1, payload)) is None
    assert orders == {ID: order_in(Status.ACCEPTED)}


# --- an answer that never came ----------------------------------------------------------------------------------------


def test_unresolved_keeps_the_first_time_and_ends_with_an_answer() -> None:
    order = fold(order_in(Status.SUBMITTED), entry(Kind.ORDER_UNRESOLVED, 60), entry(Kind.ORDER_UNRESOLVED, 70))
    assert order.unresolved_since == 60
    assert fold(order, entry(Kind.ORDER_BOUND)).unresolved_since is None
    assert fold(order, fill(Kind.ORDER_PARTIALLY_FILLED)).unresolved_since is None
    assert fold(order, entry(Kind.ORDER_REJECTED, code=NOT_FOUND)).unresolved_since is None


def test_unresolved_cancel_stays_so_through_fills_and_late_words() -> None:
    order = fold(order_in(Status.ACCEPTED, numbers=("0001",)), entry(Kind.ORDER_PENDING_CANCEL),
                 entry(Kind.ORDER_UNRESOLVED, 60))  # fmt: skip
    after = fold(order, fill(Kind.ORDER_PARTIALLY_FILLED), entry(Kind.ORDER_ACCEPTED), entry(Kind.ORDER_BOUND),
                 entry(Kind.ORDER_PENDING_CANCEL))  # fmt: skip
    assert (after.status, after.unresolved_since, after.filled) == (Status.PENDING_CANCEL, 60, 3)
    assert fold(after, entry(Kind.ORDER_CANCEL_REJECTED)).unresolved_since is None


def test_bound_after_not_found_opens_it_again() -> None:
    gone = fold(order_in(Status.SUBMITTED), entry(Kind.ORDER_UNRESOLVED, 60),
                entry(Kind.ORDER_REJECTED, 70, code=NOT_FOUND))  # fmt: skip
    assert (gone.reason, gone.ended) == (NOT_FOUND, 70)
    found = fold(gone, entry(Kind.ORDER_BOUND, 80, number="0007"))
    assert (found.status, found.numbers, found.reason, found.ended) == (Status.ACCEPTED, ("0007",), "", None)
    assert fold(found, fill(Kind.ORDER_FILLED, quantity=10)).status is Status.FILLED


@pytest.mark.parametrize(("kind", "code"), [(Kind.ORDER_BOUND, "NO_MONEY"), (Kind.ORDER_ACCEPTED, NOT_FOUND)])
def test_only_binding_opens_a_rejected_order_and_only_one_that_was_not_found(kind: Kind, code: str) -> None:
    with pytest.raises(Bug, match="only one that was not found"):
        fold(order_in(Status.REJECTED, reason=code), entry(kind))


def test_fill_of_a_rejected_order_is_booked_and_it_lives() -> None:
    order = fold(order_in(Status.REJECTED, reason="NO", ended=40), fill(Kind.ORDER_PARTIALLY_FILLED))
    assert (order.status, order.filled, order.ended) == (Status.PARTIALLY_FILLED, 3, None)


# --- fills ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [Kind.ORDER_PARTIALLY_FILLED, Kind.ORDER_FILLED])
def test_trade_is_booked_once(kind: Kind) -> None:
    order = fold(order_in(Status.ACCEPTED), fill(Kind.ORDER_PARTIALLY_FILLED, "a"))
    with pytest.raises(Bug, match="trade a was booked before"):
        fold(order, fill(kind, "a"))


@pytest.mark.parametrize(
    ("end", "status"), [(Kind.ORDER_CANCELED, Status.CANCELED), (Kind.ORDER_EXPIRED, Status.EXPIRED)]
)
def test_fill_after_the_end_is_booked_without_bringing_it_back(end: Kind, status: Status) -> None:
    order = fold(order_in(Status.ACCEPTED), entry(end, 60), fill(Kind.ORDER_PARTIALLY_FILLED, time=70))
    assert (order.status, order.filled, order.leaves, order.working, order.ended) == (status, 3, 0, False, 60)
    again = fold(order, entry(end, 80, reason="once more"))
    assert (again.status, again.reason, again.ended) == (status, "why", 60)
    assert fold(order, fill(Kind.ORDER_FILLED, "b", 7, 90)).ended == 90


def test_correction_changes_figures_and_not_the_status() -> None:
    order = fold(order_in(Status.ACCEPTED), fill(Kind.ORDER_FILLED, "a", 10))
    after = fold(order, fill(Kind.FILL_CORRECTED, "a", -2))
    assert (after.status, after.filled, after.value, after.commission, after.tax) == (Status.FILLED, 8, 560_000, 10, 4)
    assert after.trades == {"a"}


def test_word_of_acceptance_after_a_fill_was_taken_back_changes_no_state() -> None:
    order = fold(order_in(Status.ACCEPTED), fill(Kind.ORDER_PARTIALLY_FILLED, "a", 3),
                 fill(Kind.FILL_CORRECTED, "a", -3), entry(Kind.ORDER_ACCEPTED))  # fmt: skip
    assert (order.status, order.filled) == (Status.PARTIALLY_FILLED, 0)


# --- cancels and replacements -----------------------------------------------------------------------------------------


def test_refusal_brings_back_what_stood_before() -> None:
    for asked, refused in ((Kind.ORDER_PENDING_CANCEL, Kind.ORDER_CANCEL_REJECTED),
                           (Kind.ORDER_PENDING_UPDATE, Kind.ORDER_UPDATE_REJECTED)):  # fmt: skip
        assert fold(order_in(Status.ACCEPTED), entry(asked), entry(refused)).status is Status.ACCEPTED
        assert fold(order_in(Status.PARTIALLY_FILLED), entry(asked), entry(refused)).status is Status.PARTIALLY_FILLED


def test_fill_that_ends_the_order_before_its_cancel_is_refused_stays() -> None:
    order = fold(order_in(Status.ACCEPTED), entry(Kind.ORDER_PENDING_CANCEL), fill(Kind.ORDER_FILLED, "a", 10))
    assert fold(order, entry(Kind.ORDER_CANCEL_REJECTED)) == order


def test_canceled_order_is_not_replaced_back_to_life() -> None:
    with pytest.raises(Bug, match="nothing of it stands"):
        fold(order_in(Status.CANCELED), entry(Kind.ORDER_UPDATED))


def test_broker_numbers_form_a_chain_each_once() -> None:
    order = fold(order_in(Status.SUBMITTED), entry(Kind.ORDER_ACCEPTED), entry(Kind.ORDER_ACCEPTED),
                 entry(Kind.ORDER_UPDATED), entry(Kind.ORDER_CANCELED, number=None))  # fmt: skip
    assert order.numbers == ("0001", "0002")


# --- entries ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", Kind)
def test_entry_must_carry_every_field_of_its_kind(kind: Kind) -> None:
    whole = dict.fromkeys(PAYLOADS[kind], 0)
    order = ID if kind in OF_ORDERS else None
    assert Entry(kind, 1, {**whole, "more": 1}, order).payload["more"] == 1
    for name in whole:
        lacking = {key: value for key, value in whole.items() if key != name}
        with pytest.raises(Bug, match=f"{kind} lacks {name}"):
            Entry(kind, 1, lacking, order)


@pytest.mark.parametrize("kind", sorted(OF_ORDERS))
def test_entry_of_an_order_names_it(kind: Kind) -> None:
    with pytest.raises(Bug, match="names no order"):
        Entry(kind, 1, dict.fromkeys(PAYLOADS[kind]))


def test_intent_survives_json() -> None:
    for made in (intent(), intent(side=Side.SELL, type=OrderType.MARKET, price=None, tif=TimeInForce.IOC, bar=7,
                                  strength=0.5, reduces=True, source="manual")):  # fmt: skip
        data = json.loads(json.dumps(intent_to_json(made)))
        assert intent_from_json(data) == made
        assert all(type(value) in (str, int, float, bool, dict, type(None)) for value in intent_to_json(made).values())
