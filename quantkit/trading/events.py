"""What the journal holds: one entry for everything that happened to an account, and how entries make orders.

Contract: an entry is what was true when it was written; it never changes. `fold_orders` is the only place where entries
become orders: the engine, the journal's tables and a replay of the journal all call it, so they cannot differ.
Payloads hold JSON's own types only; times are UTC nanoseconds, money is minor units. What each kind carries stands in
`PAYLOADS`; an entry that lacks a field is refused when it is made.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any, Final

from quantkit.errors import Bug
from quantkit.trading.orders import (
    IN_FLIGHT,
    Intent,
    Order,
    OrderType,
    Side,
    Status,
    TimeInForce,
    Window,
    new_order,
)


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
    Kind.FILL_CORRECTED: ("trade", "quantity", "price", "value", "commission", "tax", "detail"),
    Kind.COST_CORRECTED: ("amount", "detail"),
    Kind.ORDER_PENDING_CANCEL: ("reason",),
    Kind.ORDER_CANCELED: ("number", "reason"),
    Kind.ORDER_CANCEL_REJECTED: ("code", "detail"),
    Kind.ORDER_PENDING_UPDATE: ("quantity", "price"),
    Kind.ORDER_UPDATED: ("number", "quantity", "price"),
    Kind.ORDER_UPDATE_REJECTED: ("code", "detail"),
    Kind.ORDER_EXPIRED: ("reason",),
    Kind.EXTERNAL_ORDER_ADOPTED: ("number", "symbol", "side", "quantity", "filled", "value", "policy"),
    Kind.POSITION_ADOPTED: ("symbol", "before", "after", "reason", "by"),
    Kind.ACCOUNT_STATE: ("positions", "cash"),
    Kind.RISK_STATE_CHANGED: ("scope", "mode", "reason", "by"),
    Kind.CONNECTION_CHANGED: ("what", "up", "generation", "detail"),
    Kind.GAP_DETECTED: ("symbols", "since", "until"),
    Kind.GAP_FILLED: ("symbols", "since", "until"),
    Kind.COMMAND_RECEIVED: ("command", "arguments", "by", "reason"),
    Kind.ALARM: ("code", "detail"),
}
"""The fields each kind must carry; more may stand beside them."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of the journal before it has a place in it."""

    kind: Kind
    time: int  # UTC nanoseconds
    payload: dict[str, Any] = field(default_factory=dict)
    order: str | None = None  # Intent.id
    deployment: str | None = None

    def __post_init__(self) -> None:
        lacking = [name for name in PAYLOADS[self.kind] if name not in self.payload]
        if lacking:
            raise Bug(f"a journal entry {self.kind} lacks {', '.join(lacking)}")


def intent_to_json(intent: Intent) -> dict[str, Any]:
    """An intent as JSON's own types."""
    return asdict(intent)


def intent_from_json(data: dict[str, Any]) -> Intent:
    """The intent that `intent_to_json` wrote."""
    given = dict(data)
    given["side"], given["type"], given["tif"] = Side(data["side"]), OrderType(data["type"]), TimeInForce(data["tif"])
    given["window"] = Window(**data["window"])
    return Intent(**given)


_NEXT: Final = {
    Kind.ORDER_DENIED: Status.DENIED,
    Kind.ORDER_TRIGGERED: Status.TRIGGERED,
    Kind.ORDER_SUBMITTING: Status.SUBMITTED,
    Kind.ORDER_REJECTED: Status.REJECTED,
    Kind.ORDER_PENDING_CANCEL: Status.PENDING_CANCEL,
    Kind.ORDER_CANCELED: Status.CANCELED,
    Kind.ORDER_PENDING_UPDATE: Status.PENDING_UPDATE,
    Kind.ORDER_EXPIRED: Status.EXPIRED,
}
_ENDING: Final = frozenset({Status.DENIED, Status.REJECTED, Status.CANCELED, Status.EXPIRED, Status.FILLED})


def fold_orders(orders: dict[str, Order], entry: Entry) -> Order | None:
    """Bring `orders` (by id, changed in place) up to an entry; the order it concerns, None where it concerns none.

    Bug for an order nobody initialised and for a move that the state table lacks.
    """
    kind, given = entry.kind, entry.payload
    if entry.order is None or not kind.startswith(("Order", "Fill")):
        return None
    if kind is Kind.ORDER_INITIALIZED:
        if entry.order in orders:
            raise Bug(f"order {entry.order} was initialised before")
        order = new_order(intent_from_json(given["intent"]))
    else:
        before = orders.get(entry.order)
        if before is None:
            raise Bug(f"{kind} of an order that was never initialised: {entry.order}")
        order = _after(before, entry)
    orders[entry.order] = order
    return order


def _after(order: Order, entry: Entry) -> Order:
    """An order after one entry of its own."""
    kind, given = entry.kind, entry.payload
    changes: dict[str, Any] = {}
    match kind:
        case Kind.ORDER_SUBMITTING:
            changes = {"submitted": entry.time, "quantity": given["quantity"], "price": given["price"]}
        case Kind.ORDER_DENIED | Kind.ORDER_REJECTED:
            changes = {"reason": given["code"]}
        case Kind.ORDER_CANCELED | Kind.ORDER_EXPIRED:
            changes = {"reason": given["reason"], "numbers": _longer(order, given.get("number"))}
        case Kind.ORDER_PENDING_CANCEL | Kind.ORDER_PENDING_UPDATE | Kind.ORDER_TRIGGERED:
            changes = {}
        case Kind.ORDER_UNRESOLVED:
            if order.status not in IN_FLIGHT:
                raise Bug(f"order {order.id} is {order.status}: only an order in flight can be unresolved")
            return Order(**{**_fields(order), "unresolved_since": order.unresolved_since or entry.time})
        case Kind.ORDER_PARTIALLY_FILLED | Kind.ORDER_FILLED | Kind.FILL_CORRECTED:
            return _filled(order, entry)
        case _:
            return _standing(order, entry)
    status = _NEXT[kind]
    if status in _ENDING:
        changes["ended"] = entry.time
    return order.to(status, **changes)


def _standing(order: Order, entry: Entry) -> Order:
    """An order that stands at the broker: accepted, bound, replaced, or left as it was by a refusal."""
    given = entry.payload
    changes: dict[str, Any] = {"numbers": _longer(order, given.get("number"))}
    if entry.kind is Kind.ORDER_UPDATED:
        changes |= {"quantity": given["quantity"], "price": given["price"]}
    if entry.kind is Kind.ORDER_BOUND:
        changes |= {"reason": "", "ended": None}
    status = Status.PARTIALLY_FILLED if order.filled else Status.ACCEPTED
    if order.status is status:  # a second word of what is known
        return Order(**{**_fields(order), **changes})
    return order.to(status, **changes)


def _filled(order: Order, entry: Entry) -> Order:
    """An order after a fill, or after the correction of its last one."""
    given = entry.payload
    if entry.kind is not Kind.FILL_CORRECTED and given["trade"] in order.trades:
        raise Bug(f"order {order.id}: trade {given['trade']} was booked before")
    changes: dict[str, Any] = {
        "filled": order.filled + given["quantity"],
        "value": order.value + given["value"],
        "commission": order.commission + given["commission"],
        "tax": order.tax + given["tax"],
        "trades": order.trades | {given["trade"]},
    }
    if entry.kind is Kind.FILL_CORRECTED:
        return Order(**{**_fields(order), **changes})
    done = entry.kind is Kind.ORDER_FILLED
    if done:
        changes["ended"] = entry.time
    if not done and order.status in (Status.PENDING_CANCEL, Status.PENDING_UPDATE):  # it is still asked for
        return Order(**{**_fields(order), **changes})
    return order.to(Status.FILLED if done else Status.PARTIALLY_FILLED, **changes)


def _longer(order: Order, number: str | None) -> tuple[str, ...]:
    """The chain of the broker's numbers with one more, unless it is known."""
    return order.numbers if not number or number in order.numbers else (*order.numbers, number)


def _fields(order: Order) -> dict[str, Any]:
    return {name: getattr(order, name) for name in Order.__slots__}
