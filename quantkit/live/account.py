"""The state of one account.

    Engine     what a restart finds again: orders, sleeves, switches, what is unassigned
    Fleeting   what a restart begins anew: connections, prices, looks, timers

Contract: plain state; entries change it (`quantkit.live.entries`), and within a turn what is fleeting. Times are UTC
nanoseconds, money minor units.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Protocol

from quantkit.live import windows
from quantkit.live.switch import Switches
from quantkit.trading.orders import NOT_FOUND, WORKING, Order, Side, Status
from quantkit.trading.ports import Capabilities

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from quantkit.live.risk.view import Denied, View
    from quantkit.live.sleeves import Sleeve
    from quantkit.trading.approval import Approved
    from quantkit.trading.orders import Window
    from quantkit.trading.ports import BrokerOrder, Notice, Quote

SECOND: Final = 1_000_000_000
SEOUL: Final = dt.timezone(dt.timedelta(hours=9))
WAITING: Final = frozenset({Status.INITIALIZED, Status.TRIGGERED})


class Hours(Protocol):
    """When orders may be sent: `live.windows`, from the calendar; in a replay the bars say it."""

    def session_of(self, date: Any, *, market: str = ...) -> windows.Span | None: ...
    def next_window(self, kind: str, after: int, *, market: str = ..., venue: Any = ...) -> Window: ...
    def phase_at(self, time: int, *, market: str = ..., venue: Any = ...) -> str | None: ...
    def date_of(self, time: int, *, market: str = ...) -> dt.date: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Of one account. external: what an order that is not ours means: "tolerate" (its shares stay unassigned), "claim"
    (the sleeve of its name takes it) or "halt". hours: when orders may be sent."""

    external: str = "tolerate"
    capabilities: Capabilities = field(default_factory=lambda: Capabilities(name="broker"))
    user: str = ""
    market: str = "KOSPI"
    skew: int = 3 * SECOND  # between the broker's clock and ours
    hours: Hours = windows


@dataclass(slots=True)
class External:
    """An order at the broker that nobody here made, as it was last seen."""

    number: str
    symbol: str
    side: Side
    quantity: int
    filled: int
    value: int
    policy: str
    costs: int = 0
    date: str = ""  # of the exchange: its number means another order on another day


@dataclass(slots=True)
class Hunt:
    """The search for one unanswered order. `first`: time of the first look that counts; `seen`: good looks since."""

    looks: int = 0
    good: int = 0
    first: int | None = None
    free: bool = False  # the witnesses agree: nothing is bound for it


@dataclass(slots=True)
class Purpose:
    """Why a look was asked for."""

    why: str  # "start", "poll", "hunt", "sweep", "morning"
    orders: frozenset[str] = frozenset()


@dataclass(slots=True)
class Fleeting:
    """What a restart begins anew."""

    up: dict[str, int] = field(default_factory=dict)  # generation of each connection that stands
    stream_since: int | None = None
    phase: str = "down"  # "down", "reconciling", "ready"
    tries: int = 0
    buffer: list[Notice] = field(default_factory=list)
    orphans: dict[str, list[Notice]] = field(default_factory=dict)  # by broker's number, nobody's yet
    heard: set[tuple[str, str]] = field(default_factory=set)  # order and trade of every fill that the stream told
    inferred: dict[str, int] = field(default_factory=dict)  # shares that the list showed before the stream told of them
    prices: dict[str, tuple[float, int]] = field(default_factory=dict)
    quotes: dict[str, Quote] = field(default_factory=dict)
    timers: dict[str, int] = field(default_factory=dict)
    look: int = 0
    looks: dict[int, Purpose] = field(default_factory=dict)
    hunts: dict[str, Hunt] = field(default_factory=dict)
    asked_at: dict[str, int] = field(default_factory=dict)  # when a cancel or a replacement was asked for
    requests: dict[str, str] = field(default_factory=dict)  # number of a cancel or a replacement -> order
    opening: dict[str, tuple[int, int | None]] = field(default_factory=dict)  # name -> the open, first trade after it
    last_sent: int = 0
    denied: dict[tuple[str, str], int] = field(default_factory=dict)  # deployment and name -> when a stop may try again
    bound: dict[str, tuple[Order, int]] = field(default_factory=dict)  # money that a buy needs, as the order stands
    orderable: int = 0  # what the broker said last, less what was sent since
    mismatch: dict[str, int] = field(default_factory=dict)  # looks in a row that showed a difference
    differed: dict[str, dict[int, int]] = field(default_factory=dict)  # what they showed: there -> here, by then
    standing: dict[str, tuple[int, float | None]] = field(default_factory=dict)  # shares in all and price to come
    shown: dict[str, list[BrokerOrder]] = field(default_factory=dict)  # lines of orders that have ended, as settled
    settled: int = 0  # when the latest list that counted was asked for
    stopped: bool = False
    awake: bool = False


class Engine:
    """One account. `gate` is `quantkit.live.risk.check`; tests may put another in its place."""

    def __init__(
        self, account: str, sleeves: Iterable[Sleeve], *, settings: Settings | None = None,
        gate: Callable[[Order, View], Approved | Denied] | None = None,
    ) -> None:  # fmt: skip
        if gate is None:
            from quantkit.live.risk import check

            gate = check
        self.account = account
        self.settings = Settings() if settings is None else settings
        self.gate = gate
        self.sleeves: dict[str, Sleeve] = {sleeve.name: sleeve for sleeve in sleeves}
        self.orders: dict[str, Order] = {}
        self.switches = Switches()
        self.external: dict[str, External] = {}
        self.opened = False  # the account was compared with the broker once
        self.unassigned_cash = 0
        self.unassigned: dict[str, int] = {}
        self.commands: dict[str, None] = {}
        self.alarms: set[str] = set()
        self.confirmed: dict[str, tuple[int, int]] = {}  # shares and value of an order that the list has shown
        self.filled_at: dict[str, int] = {}
        self.cost_of: dict[str, int] = {}  # commission and tax of an order as the broker says
        self.leaving: dict[str, str] = {}  # orders that are to end, and why
        self.provisional: dict[str, int] = {}  # names with an action to confirm -> shares expected
        self.day: str | None = None
        self.swept: str | None = None
        self.settled_cash: tuple[int, int] = (0, 0)  # fills and value since cash was last equal to the broker's
        self.packs: list[tuple[list[Order], list[Any], bytes]] = []  # orders as they stand in the latest snapshot
        self.due = False  # the last turn changed what entries do not hold
        self.now = Fleeting()
        self.derive()

    def derive(self) -> None:
        """Build what follows from the orders."""
        todays = [o for o in self.orders.values() if self.day is None or self.since(o, self.day)]
        self.number: dict[str, str] = {n: o.id for o in todays for n in o.numbers}
        self.waiting: dict[str, None] = {o.id: None for o in self.orders.values() if o.status in WAITING}
        self.working: dict[str, None] = {o.id: None for o in self.orders.values() if o.status in WORKING}
        self.sent: dict[str, list[int]] = {}
        self.seen: set[str] = set()
        self.unconfirmed: dict[str, None] = {  # orders with fills that the broker's list has not shown yet
            i: None for i in self.filled_at if self.confirmed.get(i, (0, 0))[0] != self.orders[i].filled
        }
        for order in sorted(self.orders.values(), key=lambda o: (o.submitted or 0, o.id)):
            if order.submitted is not None:
                self.seen.add(order.id)
                if self.day is None or self.since(order, self.day):
                    self.sent.setdefault(order.intent.deployment, []).append(order.submitted)

    def since(self, order: Order, day: str) -> bool:
        """Whether an order was sent on a day or after it; False for one that was not sent."""
        return order.submitted is not None and self.date_of(order.submitted) >= day

    def date_of(self, time: int) -> str:
        """The exchange's day of a moment."""
        return self.settings.hours.date_of(time, market=self.settings.market).isoformat()

    # --- what others ask -------------------------------------------------------------------------------------------

    def snapshot(self) -> bytes:
        """The state that recovery begins with."""
        from quantkit.live.recovery import to_bytes

        return to_bytes(self)

    def sleeve_of(self, order: Order) -> Sleeve | None:
        """The sleeve that made an order; None where a person did for the account."""
        return self.sleeves.get(order.intent.deployment)

    def shares(self, symbol: str) -> int:
        """Shares of a name that the account should hold."""
        return self.unassigned.get(symbol, 0) + sum(sleeve.shares(symbol) for sleeve in self.sleeves.values())

    def cash(self) -> int:
        """Money that the account should hold, settled or on its way."""
        return self.unassigned_cash + sum(sleeve.cash() for sleeve in self.sleeves.values())

    def unresolved(self) -> list[Order]:
        """Orders whose outcome nobody knows."""
        return [self.orders[i] for i in self.working if self.orders[i].unresolved_since is not None]

    def tombstones(self) -> list[Order]:
        """Orders given up as never found, which a late line of the list may still bring back."""
        return [o for o in self.orders.values() if o.status is Status.REJECTED and o.reason == NOT_FOUND]
