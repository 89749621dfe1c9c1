"""What the journal holds: one entry for everything that happened to an account, and how entries make orders.

Contract: an entry is what was true when it was written; it never changes. `fold_orders` is the only place where entries
become orders: the engine, the journal's tables and a replay of the journal all call it, so they cannot differ.
Payloads hold JSON's own types only; times are UTC nanoseconds, money is minor units. What each kind carries stands in
`PAYLOADS`; an entry that lacks a field is refused when it is made.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final

from quantkit.errors import Bug
from quantkit.trading.orders import (
    IN_FLIGHT,
    NOT_FOUND,
    Intent,
    Order,
    OrderType,
    Side,
    Status,
    TimeInForce,
    Window,
    new_order,
)

if TYPE_CHECKING:
    from collections.abc import Callable


class Kind(StrEnum):
    """Kinds of entries. Those that begin with Order carry the id of one."""

    RUN_STARTED = "RunStarted"
    RUN_ENDED = "RunEnded"
    SESSION_OPENED = "SessionOpened"  # the morning: calendar, actions and base prices as applied
    BAR_FOLDED = "BarFolded"  # a bar went through the fold; digest of the state after it
    PRICE_WATCHED = "PriceWatched"  # a price that moved a peak or a trailing order that we keep
    SIGNAL_RAISED = "SignalRaised"
    ORDER_INITIALIZED = "OrderInitialized"
    ORDER_DENIED = "OrderDenied"
    ORDER_TRIGGERED = "OrderTriggered"
    ORDER_SUBMITTING = "OrderSubmitting"  # committed before the first byte leaves
    ORDER_ACCEPTED = "OrderAccepted"
    ORDER_REJECTED = "OrderRejected"
    ORDER_UNRESOLVED = "OrderUnresolved"
    ORDER_BOUND = "OrderBound"  # an unanswered order was found in the broker's list
    ORDER_PARTIALLY_FILLED = "OrderPartiallyFilled"
    ORDER_FILLED = "OrderFilled"
    FILL_CORRECTED = "FillCorrected"
    COST_CORRECTED = "CostCorrected"
    ORDER_PENDING_CANCEL = "OrderPendingCancel"
    ORDER_CANCELED = "OrderCanceled"
    ORDER_CANCEL_REJECTED = "OrderCancelRejected"
    ORDER_PENDING_UPDATE = "OrderPendingUpdate"
    ORDER_UPDATED = "OrderUpdated"
    ORDER_UPDATE_REJECTED = "OrderUpdateRejected"
    ORDER_EXPIRED = "OrderExpired"
    EXTERNAL_ORDER_ADOPTED = "ExternalOrderAdopted"
    POSITION_ADOPTED = "PositionAdopted"
    ACCOUNT_STATE = "AccountState"
    RISK_STATE_CHANGED = "RiskStateChanged"
    CONNECTION_CHANGED = "ConnectionChanged"
    GAP_DETECTED = "GapDetected"
    GAP_FILLED = "GapFilled"
    COMMAND_RECEIVED = "CommandReceived"
    ALARM = "Alarm"


PAYLOADS: Final[dict[Kind, tuple[str, ...]]] = {
    Kind.RUN_STARTED: ("mode", "artifact", "params", "version"),
    Kind.RUN_ENDED: ("reason",),
    Kind.SESSION_OPENED: ("date", "actions", "bases"),
    Kind.BAR_FOLDED: ("bar", "equity", "cash", "digest"),
    Kind.PRICE_WATCHED: ("symbol", "price"),
    Kind.SIGNAL_RAISED: ("symbol", "bar", "value", "strength"),
    Kind.ORDER_INITIALIZED: ("intent",),
    Kind.ORDER_DENIED: ("code", "detail"),
    Kind.ORDER_TRIGGERED: ("price",),
    Kind.ORDER_SUBMITTING: ("quantity", "price"),
    Kind.ORDER_ACCEPTED: ("number",),
    Kind.ORDER_REJECTED: ("code", "detail"),
    Kind.ORDER_UNRESOLVED: ("detail",),
    Kind.ORDER_BOUND: ("number", "filled", "value"),
    Kind.ORDER_PARTIALLY_FILLED: (
        "trade",
        "quantity",
        "price",
        "value",
        "commission",
        "tax",
        "provisional",
        "inferred",
    ),
    Kind.ORDER_FILLED: ("trade", "quantity", "price", "value", "commission", "tax", "provisional", "inferred"),
    # what it changes: signed differences of quantity, value, commission and tax
    Kind.FILL_CORRECTED: ("trade", "quantity", "price", "value", "commission", "tax", "detail"),
    Kind.COST_CORRECTED: ("amount", "detail"),  # amount: what it cost more, so cash is less by it
    Kind.ORDER_PENDING_CANCEL: ("reason",),
    Kind.ORDER_CANCELED: ("number", "reason"),
    Kind.ORDER_CANCEL_REJECTED: ("code", "detail"),
    Kind.ORDER_PENDING_UPDATE: ("quantity", "price"),
    Kind.ORDER_UPDATED: ("number", "quantity", "price"),  # quantity: filled before, and what the broker says is left
    Kind.ORDER_UPDATE_REJECTED: ("code", "detail"),
    Kind.ORDER_EXPIRED: ("reason",),
    Kind.EXTERNAL_ORDER_ADOPTED: ("number", "symbol", "side", "quantity", "filled", "value", "policy"),
    Kind.POSITION_ADOPTED: ("symbol", "before", "after", "reason", "by"),
    # as the broker says: shares by symbol; [today, next_1, next_2, orderable]; {} and None: nobody asked
    Kind.ACCOUNT_STATE: ("positions", "cash"),
    Kind.RISK_STATE_CHANGED: ("scope", "mode", "reason", "by"),
    Kind.CONNECTION_CHANGED: ("what", "up", "generation", "detail"),
    Kind.GAP_DETECTED: ("symbols", "since", "until"),
    Kind.GAP_FILLED: ("symbols", "since", "until"),
    Kind.COMMAND_RECEIVED: ("command", "arguments", "by", "reason"),
    Kind.ALARM: ("code", "detail"),
}
"""The fields each kind must carry; more may stand beside them."""

OF_ORDERS: Final = frozenset(kind for kind in Kind if kind.startswith("Order") or kind is Kind.FILL_CORRECTED)
"""Kinds that change an order."""
_NEEDED: Final = {kind: frozenset(names) for kind, names in PAYLOADS.items()}


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of the journal before it has a place in it."""

    kind: Kind
    time: int  # UTC nanoseconds
    payload: dict[str, Any] = field(default_factory=dict)
    order: str | None = None  # Intent.id
    deployment: str | None = None

    def __post_init__(self) -> None:
        if not _NEEDED[self.kind] <= self.payload.keys():
            lacking = [name for name in PAYLOADS[self.kind] if name not in self.payload]
            raise Bug(f"a journal entry {self.kind} lacks {', '.join(lacking)}")
        if self.order is None and self.kind in OF_ORDERS:
            raise Bug(f"a journal entry {self.kind} names no order")


_PLAIN: Final = tuple(
    each.name for each in fields(Intent) if each.name not in ("side", "type", "tif", "window")
)  # fields that are JSON's own
_SIDES: Final = {each.value: each for each in Side}
_TYPES: Final = {each.value: each for each in OrderType}
_TIFS: Final = {each.value: each for each in TimeInForce}


def intent_to_json(intent: Intent) -> dict[str, Any]:
    """An intent as JSON's own types."""
    made: dict[str, Any] = {name: getattr(intent, name) for name in _PLAIN}
    window = intent.window
    made["side"], made["type"], made["tif"] = intent.side.value, intent.type.value, intent.tif.value
    made["window"] = {"phase": window.phase, "opens": window.opens, "closes": window.closes}
    return made


def intent_from_json(data: dict[str, Any]) -> Intent:
    """The intent that `intent_to_json` wrote."""
    given = dict(data)
    given["side"], given["type"], given["tif"] = _SIDES[data["side"]], _TYPES[data["type"]], _TIFS[data["tif"]]
    given["window"] = Window(**data["window"])
    return Intent(**given)


def fold_orders(orders: dict[str, Order], entry: Entry) -> Order | None:
    """Bring `orders` (by id, changed in place) up to an entry; the order it concerns, None where it concerns none.

    Bug for an order nobody initialised, for a move that the state table lacks and for a trade booked before.
    """
    kind, id_ = entry.kind, entry.order
    if id_ is None or kind not in OF_ORDERS:
        return None
    before = orders.get(id_)
    if kind is Kind.ORDER_INITIALIZED:
        if before is not None:
            raise Bug(f"order {id_} was initialised before")
        order = new_order(intent_from_json(entry.payload["intent"]))
    elif before is None:
        raise Bug(f"{kind} of an order that was never initialised: {id_}")
    else:
        order = _STEPS[kind](before, entry)
    orders[id_] = order
    return order


_ENDED: Final = frozenset({Status.CANCELED, Status.EXPIRED})
_ASKED: Final = frozenset({Status.PENDING_CANCEL, Status.PENDING_UPDATE})
_STANDS: Final = frozenset({Status.ACCEPTED, Status.PARTIALLY_FILLED})
_UNSENT: Final = frozenset({Status.INITIALIZED, Status.TRIGGERED, Status.DENIED})


def _submitting(order: Order, entry: Entry) -> Order:
    given = entry.payload
    return order.to(Status.SUBMITTED, submitted=entry.time, quantity=given["quantity"], price=given["price"])


def _denied(order: Order, entry: Entry) -> Order:
    return order.to(Status.DENIED, reason=entry.payload["code"], ended=entry.time)


def _rejected(order: Order, entry: Entry) -> Order:
    return order.to(Status.REJECTED, reason=entry.payload["code"], ended=entry.time)


def _over(order: Order, entry: Entry) -> Order:
    """Canceled or expired; a second word of the same end adds at most a number."""
    status = Status.CANCELED if entry.kind is Kind.ORDER_CANCELED else Status.EXPIRED
    numbers = _longer(order, entry.payload.get("number"))
    if order.status is status:
        return order.changed(numbers=numbers)
    return order.to(status, reason=entry.payload["reason"], ended=entry.time, numbers=numbers)


def _asked(order: Order, entry: Entry) -> Order:
    return order.to(Status.PENDING_CANCEL if entry.kind is Kind.ORDER_PENDING_CANCEL else Status.PENDING_UPDATE)


def _triggered(order: Order, _entry: Entry) -> Order:
    return order.to(Status.TRIGGERED)


def _unresolved(order: Order, entry: Entry) -> Order:
    if order.status not in IN_FLIGHT:
        raise Bug(f"order {order.id} is {order.status}: only an order in flight can be unresolved")
    return order if order.unresolved_since is not None else order.changed(unresolved_since=entry.time)


def _known(order: Order, entry: Entry) -> Order:
    """The broker has it, under a number. What has been asked of it since is still asked."""
    numbers = _longer(order, entry.payload["number"])
    if order.status in _STANDS or order.status in _ASKED:  # a second word, or a late one
        return order.changed(numbers=numbers)
    if order.status is Status.REJECTED and (entry.kind is not Kind.ORDER_BOUND or order.reason != NOT_FOUND):
        raise Bug(f"order {order.id} was rejected ({order.reason}): only one that was not found can be bound later")
    return order.to(_standing(order), numbers=numbers, reason="", ended=None)


def _updated(order: Order, entry: Entry) -> Order:
    """Replaced, by whomever, as the broker says."""
    given = entry.payload
    changes = {"numbers": _longer(order, given["number"]), "quantity": given["quantity"], "price": given["price"]}
    heard = given["number"] in order.numbers and order.status is Status.PENDING_UPDATE  # not what was asked for
    if order.status in _STANDS or order.status is Status.PENDING_CANCEL or heard:
        return order.changed(**changes)
    if order.status not in IN_FLIGHT:
        raise Bug(f"order {order.id} is {order.status}: nothing of it stands that could be replaced")
    return order.to(_standing(order), **changes)


def _refused(order: Order, entry: Entry) -> Order:
    """What was asked of it was refused: it stands as before. A refusal of what is not asked any more says nothing."""
    asked = Status.PENDING_CANCEL if entry.kind is Kind.ORDER_CANCEL_REJECTED else Status.PENDING_UPDATE
    return order.to(_standing(order)) if order.status is asked else order


def _filled(order: Order, entry: Entry) -> Order:
    """A fill. One that comes after the end, or while something is asked, leaves the status unless nothing is left."""
    given = entry.payload
    trade = given["trade"]
    if trade in order.trades:
        raise Bug(f"order {order.id}: trade {trade} was booked before")
    changes = _booked(order, given)
    if entry.kind is Kind.ORDER_FILLED:
        return order.to(Status.FILLED, ended=entry.time, **changes)
    if order.status in _ASKED or order.status in _ENDED:
        return order.changed(**changes)
    return order.to(Status.PARTIALLY_FILLED, ended=None, **changes)


def _corrected(order: Order, entry: Entry) -> Order:
    """Other figures for what was booked; the status does not follow from them."""
    if order.status in _UNSENT:
        raise Bug(f"order {order.id} is {order.status}: it has no fill to be corrected")
    return order.changed(**_booked(order, entry.payload))


def _booked(order: Order, given: dict[str, Any]) -> dict[str, Any]:
    return {
        "filled": order.filled + given["quantity"],
        "value": order.value + given["value"],
        "commission": order.commission + given["commission"],
        "tax": order.tax + given["tax"],
        "trades": order.trades | {given["trade"]},
    }


def _standing(order: Order) -> Status:
    return Status.PARTIALLY_FILLED if order.filled else Status.ACCEPTED


def _longer(order: Order, number: str | None) -> tuple[str, ...]:
    """The chain of the broker's numbers with one more, unless it is known."""
    return order.numbers if not number or number in order.numbers else (*order.numbers, number)


_STEPS: Final[dict[Kind, Callable[[Order, Entry], Order]]] = {
    Kind.ORDER_DENIED: _denied,
    Kind.ORDER_TRIGGERED: _triggered,
    Kind.ORDER_SUBMITTING: _submitting,
    Kind.ORDER_ACCEPTED: _known,
    Kind.ORDER_BOUND: _known,
    Kind.ORDER_REJECTED: _rejected,
    Kind.ORDER_UNRESOLVED: _unresolved,
    Kind.ORDER_PARTIALLY_FILLED: _filled,
    Kind.ORDER_FILLED: _filled,
    Kind.FILL_CORRECTED: _corrected,
    Kind.ORDER_PENDING_CANCEL: _asked,
    Kind.ORDER_CANCELED: _over,
    Kind.ORDER_CANCEL_REJECTED: _refused,
    Kind.ORDER_PENDING_UPDATE: _asked,
    Kind.ORDER_UPDATED: _updated,
    Kind.ORDER_UPDATE_REJECTED: _refused,
    Kind.ORDER_EXPIRED: _over,
}
