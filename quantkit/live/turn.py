"""The state of one account, how entries change it, and a turn: what one input makes of it.

    Engine     what a restart finds again: orders, sleeves, switches, what is unassigned
    Fleeting   what a restart begins anew: connections, prices, looks, timers
    fold       the only way an entry changes the Engine, in a turn and in recovery alike
    Turn       collects the entries and effects of one input; `write` folds an entry as it is made

Contract: pure; time comes from the input. An entry is folded when it is written, so memory and journal cannot differ.
What entries do not hold is what a morning, an evening or a watched price did to a Book: a turn that took such a step is
`due` a snapshot in the same transaction. Times are UTC nanoseconds, money minor units.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from quantkit.live.messages import CancelOrder, Effect, Look, Submit, Wake
from quantkit.live.switch import Mode, Scope, Switches, change, fold_switches, rule
from quantkit.live.windows import date_of, session_of
from quantkit.trading.events import Entry, Kind, fold_orders
from quantkit.trading.orders import NOT_FOUND, TERMINAL, WORKING, Order, Side, Status
from quantkit.trading.ports import Capabilities

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from quantkit.live.risk.view import Denied, View
    from quantkit.live.sleeves import Sleeve
    from quantkit.trading.approval import Approved
    from quantkit.trading.ports import Notice

SECOND: Final = 1_000_000_000
SEOUL: Final = dt.timezone(dt.timedelta(hours=9))
_WAITING: Final = frozenset({Status.INITIALIZED, Status.TRIGGERED})
_DROPS: Final = frozenset({Status.DENIED, Status.REJECTED, Status.CANCELED, Status.EXPIRED})


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Of one account. external: what an order that is not ours means: "tolerate" (its shares stay unassigned), "claim"
    (the sleeve of its name takes it) or "halt"."""

    external: str = "tolerate"
    capabilities: Capabilities = field(default_factory=lambda: Capabilities(name="broker"))
    user: str = ""
    market: str = "KOSPI"
    skew: int = 3 * SECOND  # between the broker's clock and ours


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
    timers: dict[str, int] = field(default_factory=dict)
    look: int = 0
    looks: dict[int, Purpose] = field(default_factory=dict)
    hunts: dict[str, Hunt] = field(default_factory=dict)
    asked_at: dict[str, int] = field(default_factory=dict)  # when a cancel or a replacement was asked for
    requests: dict[str, str] = field(default_factory=dict)  # number of a cancel or a replacement -> order
    last_sent: int = 0
    orderable: int | None = None  # what the broker said last, less what was sent since
    mismatch: dict[str, int] = field(default_factory=dict)  # looks in a row that showed a difference
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
        self.due = False  # the last turn changed what entries do not hold
        self.now = Fleeting()
        self.derive()

    def derive(self) -> None:
        """Build what follows from the orders."""
        self.number: dict[str, str] = {n: o.id for o in self.orders.values() for n in o.numbers}
        self.waiting: dict[str, None] = {o.id: None for o in self.orders.values() if o.status in _WAITING}
        self.working: dict[str, None] = {o.id: None for o in self.orders.values() if o.status in WORKING}
        self.sent: dict[str, list[int]] = {}
        self.seen: set[str] = set()
        self.unconfirmed: dict[str, None] = {  # orders with fills that the broker's list has not shown yet
            i: None for i in self.filled_at if self.confirmed.get(i, (0, 0))[0] != self.orders[i].filled
        }
        for order in sorted(self.orders.values(), key=lambda o: (o.submitted or 0, o.id)):
            if order.submitted is not None:
                self.sent.setdefault(order.intent.deployment, []).append(order.submitted)
                self.seen.add(order.id)

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


# --- entries --------------------------------------------------------------------------------------------------------


def fold(engine: Engine, entry: Entry) -> Order | None:
    """Change the engine as an entry says; the order concerned."""
    kind, given = entry.kind, entry.payload
    if entry.order is not None:
        before = engine.orders.get(entry.order)
        order = fold_orders(engine.orders, entry)
        if order is not None:
            _fold_order(engine, before, order, entry)
            return order
    match kind:
        case Kind.RISK_STATE_CHANGED:
            engine.switches = fold_switches(engine.switches, entry)
        case Kind.SESSION_OPENED:
            _new_day(engine, given)
        case Kind.EXTERNAL_ORDER_ADOPTED:
            _fold_external(engine, given)
        case Kind.POSITION_ADOPTED:
            _fold_adoption(engine, given)
        case Kind.ACCOUNT_STATE:
            _fold_account(engine, given)
        case Kind.PRICE_WATCHED:
            _watch_again(engine, entry)
        case Kind.COST_CORRECTED:
            _fold_costs(engine, entry)
        case Kind.COMMAND_RECEIVED:
            engine.commands[given.get("id", "")] = None
        case Kind.ALARM:
            engine.alarms.add(given.get("key", given["code"]))
        case _:
            pass  # tells of what happened; nothing follows from it
    return None


def _fold_order(engine: Engine, before: Order | None, order: Order, entry: Entry) -> None:
    """What an order's entry means to its sleeve and to the lists that follow from orders."""
    kind, sleeve, status = entry.kind, engine.sleeve_of(order), order.status
    for number in order.numbers if before is None else order.numbers[len(before.numbers) :]:
        engine.number[number] = order.id
    engine.waiting.pop(order.id, None)
    engine.working.pop(order.id, None)
    if status in _WAITING:
        engine.waiting[order.id] = None
    elif status in WORKING:
        engine.working[order.id] = None
    match kind:
        case Kind.ORDER_INITIALIZED:
            if sleeve is not None and order.intent.fold_order >= 0:
                sleeve.ids.setdefault(order.intent.fold_order, []).append(order.id)
        case Kind.ORDER_SUBMITTING:
            engine.sent.setdefault(order.intent.deployment, []).append(entry.time)
            engine.seen.add(order.id)
        case Kind.ORDER_PARTIALLY_FILLED | Kind.ORDER_FILLED | Kind.FILL_CORRECTED:
            _fold_fill(engine, sleeve, order, entry)
        case Kind.ORDER_PENDING_CANCEL:
            engine.leaving[order.id] = entry.payload["reason"]
        case _:
            pass  # the order itself says all
    if status in TERMINAL:
        engine.leaving.pop(order.id, None)
        if before is None or before.status not in TERMINAL:
            _end(sleeve, order, entry)


def _fold_fill(engine: Engine, sleeve: Sleeve | None, order: Order, entry: Entry) -> None:
    given = entry.payload
    quantity, value, costs = given["quantity"], given["value"], given["commission"] + given["tax"]
    if sleeve is not None:
        sleeve.book_fill(
            order, quantity=quantity, price=given["price"] or 0.0, value=value, commission=given["commission"],
            tax=given["tax"],
        )  # fmt: skip
    else:
        _move_unassigned(engine, order.intent.symbol, order.intent.side.sign, quantity, value)
        engine.unassigned_cash -= costs
    engine.filled_at[order.id] = entry.time
    if given.get("inferred"):
        engine.now.inferred[order.id] = engine.now.inferred.get(order.id, 0) + quantity
    if given.get("confirmed") is not None:
        engine.confirmed[order.id] = (given["confirmed"][0], given["confirmed"][1])
    engine.unconfirmed.pop(order.id, None)
    if engine.confirmed.get(order.id, (0, 0))[0] != order.filled:
        engine.unconfirmed[order.id] = None
    fills, traded = engine.settled_cash
    engine.settled_cash = fills + 1, traded + abs(value)


def _move_unassigned(engine: Engine, symbol: str, sign: int, quantity: int, value: int) -> None:
    held = engine.unassigned.pop(symbol, 0) + sign * quantity
    if held:
        engine.unassigned[symbol] = held
    engine.unassigned_cash -= sign * value


def _end(sleeve: Sleeve | None, order: Order, entry: Entry) -> None:
    """Tell the sleeve's book that an order of the fold has ended, unless the fold ended it or another stands for it."""
    fold_order = order.intent.fold_order
    if sleeve is None or fold_order < 0:
        return
    live = [each for each in sleeve.ids.get(fold_order, ()) if each != order.id]
    if live:
        sleeve.ids[fold_order] = live
        return
    sleeve.ids.pop(fold_order, None)
    if order.status in _DROPS and fold_order in sleeve.wanted:
        del sleeve.wanted[fold_order]
        sleeve.book.drop(fold_order, entry.payload.get("code") or entry.payload.get("reason") or order.status.value)


def _new_day(engine: Engine, given: dict[str, Any]) -> None:
    """Forget what ended on the days before."""
    sleeve = engine.sleeves.get(given.get("deployment", ""))
    if sleeve is not None:
        sleeve.day_start = given.get("equity")
    if engine.day is not None and given["date"] <= engine.day:
        return
    engine.day = given["date"]
    keep = {i: o for i, o in engine.orders.items() if o.status not in TERMINAL}
    engine.orders = keep
    for kept in (engine.confirmed, engine.filled_at, engine.cost_of):
        for gone in [each for each in kept if each not in keep]:
            del kept[gone]
    engine.external, engine.alarms = {}, set()
    engine.unconfirmed = {i: None for i in engine.unconfirmed if i in keep}
    engine.sent, engine.seen = {}, {i for i in engine.seen if i in keep}
    engine.number = {n: o.id for o in keep.values() for n in o.numbers}
    engine.now.heard, engine.now.orphans, engine.now.mismatch = set(), {}, {}


def _fold_external(engine: Engine, given: dict[str, Any]) -> None:
    """Keep an order that is not ours as it was seen, and what it moved since it was seen before."""
    before = engine.external.get(given["number"])
    now = External(
        given["number"], given["symbol"], Side(given["side"]), given["quantity"], given["filled"], given["value"],
        given["policy"],
    )  # fmt: skip
    if given.get("moves", True):
        filled, value = (0, 0) if before is None else (before.filled, before.value)
        _move_unassigned(engine, now.symbol, now.side.sign, now.filled - filled, now.value - value)
        engine.unassigned_cash -= given.get("costs", 0)
    engine.external[now.number] = now


def _fold_adoption(engine: Engine, given: dict[str, Any]) -> None:
    """A person says whose the difference is."""
    more = given["after"] - given["before"]
    sleeve = engine.sleeves.get(given.get("deployment") or "")
    if sleeve is None:
        _move_unassigned(engine, given["symbol"], 1, more, 0)
    elif more:
        place = sleeve.columns[given["symbol"]]
        price = given.get("price") or 0.0
        sleeve.book.fill(
            order=-1, symbol=place, side=1 if more > 0 else -1, quantity=abs(more), price=price, value=0,
            commission=0, tax=0, rule=0,
        )  # fmt: skip
        if given.get("from_unassigned"):
            _move_unassigned(engine, given["symbol"], -1, more, 0)
    engine.provisional.pop(given["symbol"], None)


def _fold_account(engine: Engine, given: dict[str, Any]) -> None:
    """The account as the broker had it: the first look says what is unassigned, later ones that all is equal."""
    if given.get("first") or given.get("adopted"):
        engine.unassigned_cash = given["unassigned_cash"]
    if given.get("first"):
        engine.unassigned = dict(given["unassigned"])
        engine.opened = True
    if given.get("swept"):
        engine.swept = given["swept"]
    for symbol in given.get("confirmed", ()):
        engine.provisional.pop(symbol, None)
    engine.provisional.update(given.get("expected", {}))
    if given.get("equal_cash"):
        engine.settled_cash = (0, 0)


def _watch_again(engine: Engine, entry: Entry) -> None:
    """A watched price moved a peak: in recovery it moves it again."""
    sleeve = engine.sleeves[entry.deployment or ""]
    if sleeve.row is not None:
        sleeve.book.watch(sleeve.columns[entry.payload["symbol"]], entry.payload["price"], sleeve.row)


def _fold_costs(engine: Engine, entry: Entry) -> None:
    """Costs as the broker has them: an order's go to its sleeve, the account's to what is unassigned."""
    given = entry.payload
    order = engine.orders.get(entry.order or "")
    if order is None:
        engine.unassigned_cash -= given["amount"]
        engine.settled_cash = (0, 0)
        return
    engine.cost_of[order.id] = given["total"]
    sleeve = engine.sleeve_of(order)
    if sleeve is None:
        engine.unassigned_cash -= given["amount"]
    else:
        sleeve.book_cash(-given["amount"])


# --- a turn ---------------------------------------------------------------------------------------------------------


class Turn:
    """What one input makes of an account."""

    __slots__ = ("effects", "engine", "entries", "time")

    def __init__(self, engine: Engine, time: int) -> None:
        self.engine, self.time = engine, time
        self.entries: list[Entry] = []
        self.effects: list[Effect] = []

    def write(
        self, kind: Kind, payload: dict[str, Any], *, order: str | None = None, deployment: str | None = None
    ) -> Order | None:
        """Make an entry, and what it says true."""
        entry = Entry(kind, self.time, payload, order=order, deployment=deployment)
        self.entries.append(entry)
        return fold(self.engine, entry)

    def order(self, kind: Kind, order: Order, payload: dict[str, Any]) -> Order:
        """An entry of an order; the order after it."""
        after = self.write(kind, payload, order=order.id, deployment=order.intent.deployment or None)
        return order if after is None else after

    def alarm(self, code: str, detail: str, *, key: str = "", order: str | None = None) -> None:
        """Something a person should know; once a day for each key."""
        key = f"{code}:{key}"
        if key not in self.engine.alarms:
            self.write(Kind.ALARM, {"code": code, "detail": detail, "key": key}, order=order)

    def restrict(self, scope: Scope, name: str, mode: Mode, *, reason: str, code: str, lifts: str = "") -> None:
        """Turn the switch tighter by rule."""
        _, entries = change(
            self.engine.switches, scope, name, mode, reason=reason, by=rule(code), time=self.time, lifts=lifts
        )
        for entry in entries:
            self.keep(entry)

    def keep(self, entry: Entry) -> None:
        """An entry that somebody else made."""
        self.entries.append(entry)
        fold(self.engine, entry)

    def send(self, effect: Submit | CancelOrder | Effect) -> None:
        """Something for the runner to do, once the entries are safe."""
        self.effects.append(effect)

    def wake(self, name: str, at: int) -> None:
        """Ask for a moment; a later one of the same name replaces it."""
        if self.engine.now.timers.get(name) != at:
            self.engine.now.timers[name] = at
            self.effects.append(Wake(name, at))

    def wake_by(self, name: str, at: int) -> None:
        """Ask for a moment unless an earlier one of that name comes anyway."""
        known = self.engine.now.timers.get(name)
        if known is None or known <= self.time or known > at:
            self.wake(name, at)

    def look(
        self, why: str, *, orders: bool = True, positions: bool = False, cash: bool = False,
        witnesses: tuple[tuple[str, Side, str, float | None], ...] = (), of: frozenset[str] = frozenset(),
    ) -> None:  # fmt: skip
        """Ask the broker."""
        now = self.engine.now
        now.look += 1
        now.looks[now.look] = Purpose(why, of)
        self.effects.append(Look(now.look, orders=orders, positions=positions, cash=cash, witnesses=witnesses))


def date_at(time: int) -> dt.date:
    """The day in Seoul."""
    return dt.datetime.fromtimestamp(time // SECOND, SEOUL).date()


def over(turn: Turn) -> bool:
    """Whether the day's session is over, or there is none."""
    market = turn.engine.settings.market
    session = session_of(date_of(turn.time, market=market), market=market)
    return session is None or turn.time >= session.closes
