"""Orders of live trading: what is asked for, what has become of it, and which state may follow which.

    Intent    what a strategy or a person wants, with the window in which it may be sent; nothing has left yet
    Order     an intent's life: status, broker's numbers, cumulative quantity and amount
    Fill      one execution, or the part of one that a look at the broker's list revealed

Contract: values, no clocks and no I/O; times are UTC nanoseconds; quantities are shares, amounts are int64 minor units
(won, cents), prices are in the money of the day. States are named as in the FIX protocol's OrdStatus (the letter beside
each). Korean brokers take no order id of ours: `Intent.id` stays here, and an order is known to the broker by the
numbers it gave, a chain, since a partial cancel and a replacement make a new one each.

>>> Status.FILLED in TRANSITIONS[Status.ACCEPTED], Status.ACCEPTED in TRANSITIONS[Status.FILLED]
(True, False)
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from enum import StrEnum
from operator import attrgetter
from typing import Any, Final

from quantkit.errors import BadData, Bug


class Side(StrEnum):
    """Which way shares go."""

    BUY = "buy"
    SELL = "sell"

    @property
    def sign(self) -> int:
        """+1 for a buy, -1 for a sale."""
        return 1 if self is Side.BUY else -1


class OrderType(StrEnum):
    """How the exchange is asked to price an order."""

    LIMIT = "limit"  # 지정가
    MARKET = "market"  # 시장가
    CONDITIONAL = "conditional"  # 조건부지정가: becomes a market order in the closing auction
    BEST = "best"  # 최유리지정가
    FIRST = "first"  # 최우선지정가


class TimeInForce(StrEnum):
    """How long the exchange keeps what does not fill at once. All Korean orders end with their session."""

    DAY = "day"
    IOC = "ioc"
    FOK = "fok"


class Status(StrEnum):
    """Where an order stands."""

    INITIALIZED = "initialized"
    DENIED = "denied"
    TRIGGERED = "triggered"  # only what we watch ourselves: a stop whose price has been met
    SUBMITTED = "submitted"  # A
    ACCEPTED = "accepted"  # 0
    REJECTED = "rejected"  # 8
    PENDING_UPDATE = "pending_update"  # E
    PENDING_CANCEL = "pending_cancel"  # 6
    PARTIALLY_FILLED = "partially_filled"  # 1
    FILLED = "filled"  # 2
    CANCELED = "canceled"  # 4
    EXPIRED = "expired"  # C


_S = Status
_KINDS: Final = {
    OrderType.LIMIT: "limit",
    OrderType.MARKET: "market",
    OrderType.CONDITIONAL: "conditional",
    OrderType.BEST: "best",
    OrderType.FIRST: "best_own",
}


def kind_of(type: OrderType, tif: TimeInForce) -> str:  # noqa: A002 - the field's own name
    """The word of `market.orders.KINDS`; one that is not there for a combination that nobody takes."""
    if tif is TimeInForce.DAY:
        return _KINDS[type]
    return str(tif) if type is OrderType.LIMIT else f"{_KINDS[type]}_{tif}"


_ENDS = frozenset({_S.FILLED, _S.CANCELED, _S.EXPIRED})
TERMINAL: Final = _ENDS | {_S.DENIED, _S.REJECTED}
IN_FLIGHT: Final = frozenset({_S.SUBMITTED, _S.PENDING_UPDATE, _S.PENDING_CANCEL})
WORKING: Final = frozenset({_S.SUBMITTED, _S.ACCEPTED, _S.PARTIALLY_FILLED, _S.PENDING_UPDATE, _S.PENDING_CANCEL})
_LIVE = frozenset({_S.ACCEPTED, _S.PARTIALLY_FILLED})
TRANSITIONS: Final[dict[Status, frozenset[Status]]] = {
    _S.INITIALIZED: frozenset({_S.DENIED, _S.TRIGGERED, _S.SUBMITTED, _S.CANCELED, _S.EXPIRED}),
    _S.TRIGGERED: frozenset({_S.DENIED, _S.SUBMITTED, _S.CANCELED, _S.EXPIRED}),
    _S.SUBMITTED: _LIVE | _ENDS | {_S.REJECTED},
    _S.ACCEPTED: _ENDS | {_S.PARTIALLY_FILLED, _S.PENDING_UPDATE, _S.PENDING_CANCEL, _S.REJECTED},
    _S.PARTIALLY_FILLED: _ENDS | {_S.PARTIALLY_FILLED, _S.PENDING_UPDATE, _S.PENDING_CANCEL},
    _S.PENDING_UPDATE: _LIVE | _ENDS | {_S.PENDING_UPDATE, _S.PENDING_CANCEL, _S.REJECTED},
    _S.PENDING_CANCEL: _LIVE | _ENDS | {_S.PENDING_CANCEL, _S.REJECTED},
    _S.REJECTED: frozenset({_S.ACCEPTED, _S.PARTIALLY_FILLED, _S.FILLED}),  # a tombstone, until the session has ended
    _S.DENIED: frozenset(),
    _S.FILLED: frozenset(),
    _S.CANCELED: frozenset({_S.FILLED}),  # by a fill that the notice of the cancel overtook; a part leaves it canceled
    _S.EXPIRED: frozenset({_S.FILLED}),
}
"""From each state, the states that may follow. A pair that is not here is a Bug."""

NOT_FOUND: Final = "NOT_FOUND"  # the reason of a REJECTED order that no look at the broker's list ever showed


@dataclass(frozen=True, slots=True)
class Window:
    """When an intent may be sent: [opens, closes), UTC nanoseconds, and what part of the session that is."""

    phase: str  # "opening_auction", "continuous", "closing_auction", "session": all but the closing auction
    opens: int
    closes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Intent:
    """What is wanted. `id` is `deployment:bar:seq` with the fold's own count, so a replayed bar makes the same."""

    id: str
    deployment: str
    symbol: str
    side: Side
    quantity: int
    type: OrderType
    window: Window
    price: float | None = None  # limit; None for a market order, and for a limit that the morning will set
    tif: TimeInForce = TimeInForce.DAY
    venue: str = "KRX"
    bar: int = 0  # UTC nanoseconds: close of the bar it was decided on
    fold_order: int = -1  # id in the fold's table of orders; -1: made by a person
    kind: str = ""  # the fold's word for how it fills: "open", "close", "limit", ...
    rule: str = "target"  # what made it: "target", "own", "stop_loss", "take_profit", "trailing_stop", "manual", ...
    source: str = "strategy"  # or "manual"
    reduces: bool = False  # it only takes risk away
    decision_price: float | None = None  # close it was decided on
    strength: float | None = None

    def __post_init__(self) -> None:
        if self.quantity < 1:
            raise BadData(f"intent {self.id}: quantity {self.quantity}; a whole number of shares, 1 or more, is needed")
        if self.price is not None and self.type in (OrderType.MARKET, OrderType.BEST, OrderType.FIRST):
            raise BadData(f"intent {self.id}: a {self.type} order with price {self.price}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Fill:
    """One execution. `provisional`: heard on the stream and not yet in the broker's list. `inferred`: computed from two
    looks at cumulative figures. `trade` identifies it: the broker's execution number where there is one."""

    order: str  # Intent.id
    trade: str
    symbol: str
    side: Side
    quantity: int
    price: float
    value: int
    commission: int = 0
    tax: int = 0
    time: int = 0
    provisional: bool = False
    inferred: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """The life of one intent. `quantity` is what stands at the broker: after a replacement, what the broker says."""

    intent: Intent
    status: Status = Status.INITIALIZED
    quantity: int = 0
    price: float | None = None
    filled: int = 0
    value: int = 0  # of all fills
    commission: int = 0
    tax: int = 0
    numbers: tuple[str, ...] = ()  # the broker's, oldest first
    submitted: int | None = None  # UTC nanoseconds
    ended: int | None = None
    unresolved_since: int | None = None  # an answer that never came; only while in flight
    reason: str = ""  # code of a denial, a rejection, an end
    trades: frozenset[str] = field(default=frozenset(), repr=False)

    @property
    def id(self) -> str:
        """`Intent.id`."""
        return self.intent.id

    @property
    def leaves(self) -> int:
        """Shares that may still fill; 0 once it has ended."""
        return 0 if self.status in TERMINAL else max(0, self.quantity - self.filled)

    @property
    def working(self) -> bool:
        """Whether shares or money are bound by it at the broker, or may be."""
        return self.status in WORKING

    @property
    def number(self) -> str | None:
        """The broker's latest number of it."""
        return self.numbers[-1] if self.numbers else None

    def to(self, status: Status, **changes: Any) -> Order:
        """The order in its next state. Bug where `TRANSITIONS` lacks the pair."""
        if status not in TRANSITIONS[self.status]:
            raise Bug(f"order {self.id}: {self.status} -> {status} is no move of the state table")
        if status not in IN_FLIGHT:
            changes.setdefault("unresolved_since", None)
        changes["status"] = status
        return _changed(self, changes)

    def changed(self, **changes: Any) -> Order:
        """The order with other values in some fields: what `dataclasses.replace` gives, in half the time."""
        return _changed(self, changes)


_READ: Final = attrgetter(*(each.name for each in fields(Order)))
_WRITE: Final = {each.name: getattr(Order, each.name).__set__ for each in fields(Order)}
_WRITES: Final = tuple(_WRITE.values())


def _changed(order: Order, changes: dict[str, Any]) -> Order:
    made = object.__new__(Order)
    for write, value in zip(_WRITES, _READ(order), strict=False):
        write(made, value)
    for name, value in changes.items():
        _WRITE[name](made, value)
    return made


def new_order(intent: Intent) -> Order:
    """An order at the start of its life."""
    return Order(intent=intent, quantity=intent.quantity, price=intent.price)
