"""What a journal says one deployment did: bars folded, orders asked for, fills, what came from outside.

    read_record   journal -> Record

Contract: pure reading; nothing is stored, so nothing has to be kept in step. What happened belongs to the bar that was
folded next, as it does in the fold. Money is minor units, times are UTC nanoseconds, dates are the exchange's. An order
of the fold may have been sent as several orders (repriced, sent again): `Asked` is one of these, `fold_order` joins
them. Called by `live.sessions`, which lays a backtest beside it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from quantkit.errors import BadData
from quantkit.live.windows import date_of, session_of
from quantkit.trading.events import Kind, fold_orders

if TYPE_CHECKING:
    from collections.abc import Iterable

    from quantkit.live.journal import Recorded
    from quantkit.trading.events import Entry
    from quantkit.trading.orders import Order

__all__ = ["Asked", "Folded", "Outside", "Record", "Session", "Traded", "read_record"]

_FILLS: Final = frozenset({Kind.ORDER_PARTIALLY_FILLED, Kind.ORDER_FILLED, Kind.FILL_CORRECTED})
_KNOWN: Final = frozenset({Kind.ORDER_ACCEPTED, Kind.ORDER_BOUND})
_LOSSES: Final = frozenset({
    "POSITION_DIFFERENCE", "CASH_DIFFERENCE", "UNRESOLVED_AT_CLOSE", "NEEDS_OPERATOR", "OVERFILL", "FILL_TAKEN_BACK",
    "BROKER_BELOW_LOCAL",
})  # fmt: skip


@dataclass(frozen=True, slots=True)
class Folded:
    """One bar. held: [shares, open, high, low, close] by name; seen, aims: prints, "" where the journal is older."""

    end: int
    equity: int
    cash: int
    held: dict[str, list[float | None]]
    seen: str
    aims: str
    backfill: bool


@dataclass(slots=True)
class Asked:
    """One order as it left, or did not. row: bar it was decided on. decision: price; bid, ask: when it was sent."""

    order: Order
    row: int
    date: str
    decision: float | None
    accepted: int | None = None
    bid: float | None = None
    ask: float | None = None


@dataclass(slots=True)
class Traded:
    """One fill; corrections of the same bar are in it. number: the key of its order in `Record.asked`."""

    row: int
    number: str
    quantity: int
    price: float
    value: int
    commission: int
    tax: int
    time: int


@dataclass(frozen=True, slots=True)
class Outside:
    """Shares or money that no order of ours moved."""

    row: int
    symbol: str
    kind: str
    shares: int
    cash: int


@dataclass(slots=True)
class Session:
    """What else a session saw. unresolved: orders whose outcome was not known when it was over; adopted: what a person
    had to take over; restarts: inside its hours, after which nothing was missing."""

    date: str
    mode: str
    artifact: str
    denials: dict[str, int] = field(default_factory=dict)
    alarms: dict[str, int] = field(default_factory=dict)
    unresolved: int = 0
    adopted: int = 0
    begun_again: int = 0

    @property
    def restarts(self) -> int:
        """Restarts that lost nothing."""
        return 0 if _LOSSES & self.alarms.keys() or self.unresolved else self.begun_again


@dataclass(slots=True)
class Record:
    """A deployment's days as its journal has them, oldest first."""

    account: str
    deployment: str
    market: str
    alone: bool = True  # the account has no other deployment
    folded: list[Folded] = field(default_factory=list)
    asked: dict[str, Asked] = field(default_factory=dict)
    fills: list[Traded] = field(default_factory=list)
    outside: list[Outside] = field(default_factory=list)
    sessions: dict[str, Session] = field(default_factory=dict)

    def date(self, row: int) -> str:
        """The session of a folded bar."""
        return date_of(self.folded[row].end - 1, market=self.market).isoformat()


def read_record(entries: Iterable[Recorded], account: str, *, deployment: str | None = None, market: str = "KOSPI",
                until: int | None = None) -> Record:  # fmt: skip
    """Read the record of one deployment out of a journal's entries.

    deployment: may be left out where the account has one. until: leave out entries after that time. BadData where
    there is none of that name, or several and none is named.
    """
    lines = [each.entry for each in entries if until is None or each.entry.time <= until]
    names = dict.fromkeys(entry.deployment for entry in lines if entry.kind is Kind.BAR_FOLDED and entry.deployment)
    if deployment is None:
        if len(names) > 1:
            raise BadData(f"account {account} has several deployments: {', '.join(names)}; name one")
        deployment = next(iter(names), "")
    if deployment not in names:
        raise BadData(f"the journal of {account} has no bar of {deployment or 'any deployment'} yet")
    reading = _Reading(Record(account, deployment, market, len(names) == 1))
    for entry in lines:
        reading.take(entry)
    reading.close()
    return reading.record


class _Reading:
    """Goes through the entries once."""

    def __init__(self, record: Record) -> None:
        self.record = record
        self.orders: dict[str, Order] = {}
        self.ends: dict[int, int] = {}
        self.today: Session | None = None
        self.mode, self.artifact, self.runs = "", "", 0

    def take(self, entry: Entry) -> None:
        """One entry."""
        record, given = self.record, entry.payload
        mine = entry.deployment == record.deployment
        if entry.order is not None:
            self._order(entry)
        match entry.kind:
            case Kind.RUN_STARTED:
                self._run(entry)
            case Kind.SESSION_OPENED if mine:
                self._begin(given["date"])
            case Kind.BAR_FOLDED if mine:
                self._bar(given)
            case Kind.POSITION_ADOPTED if given.get("deployment") == record.deployment:
                more = given["after"] - given["before"]
                if more:
                    record.outside.append(Outside(len(record.folded), given["symbol"], "adopted", more, 0))
            case Kind.COMMAND_RECEIVED if given["command"] == "adopt" and self.today is not None:
                self.today.adopted += 1
            case Kind.COST_CORRECTED if entry.order in record.asked:
                row = len(record.folded)
                record.outside.append(Outside(row, "", "correction", 0, -int(given["amount"])))
            case Kind.ALARM if self.today is not None:
                self.today.alarms[given["code"]] = self.today.alarms.get(given["code"], 0) + 1
            case _:
                pass

    def close(self) -> None:
        """After the last entry."""
        self._count_open()

    # --- sessions -----------------------------------------------------------------------------------------------------

    def _run(self, entry: Entry) -> None:
        given = entry.payload
        self.mode, self.artifact = given["mode"], given["artifact"]
        self.runs += 1
        today = self.today
        if today is None or self.runs == 1:
            return
        session = session_of(today.date, market=self.record.market)
        if session is not None and session.opens <= entry.time < session.closes:
            today.begun_again += 1

    def _begin(self, date: str) -> None:
        if self.today is not None and date > self.today.date:
            self._count_open()
        self.today = self.record.sessions.setdefault(date, Session(date, self.mode, self.artifact))

    def _count_open(self) -> None:
        """Orders that nobody had an answer for when the session was over."""
        if self.today is not None:
            self.today.unresolved = sum(order.unresolved_since is not None for order in self.orders.values())

    def _bar(self, given: dict[str, Any]) -> None:
        record = self.record
        self.ends[given["bar"]] = len(record.folded)
        record.folded.append(
            Folded(given["bar"], given["equity"], given["cash"], given.get("held", {}), given.get("seen", ""),
                   given.get("aims", ""), bool(given.get("backfill")))
        )  # fmt: skip

    # --- orders -------------------------------------------------------------------------------------------------------

    def _order(self, entry: Entry) -> None:
        record, given = self.record, entry.payload
        order = fold_orders(self.orders, entry)
        if order is None or order.intent.deployment != record.deployment:
            return
        if entry.kind is Kind.ORDER_INITIALIZED:
            intent = order.intent
            row = self.ends.get(intent.bar, len(record.folded))
            date = date_of(intent.window.opens, market=record.market).isoformat()
            record.asked[order.id] = Asked(order, row, date, intent.decision_price)
            return
        asked = record.asked[order.id]
        asked.order = order
        match entry.kind:
            case Kind.ORDER_TRIGGERED:
                asked.decision = given["price"]
            case Kind.ORDER_SUBMITTING:
                asked.bid, asked.ask = given.get("bid"), given.get("ask")
            case Kind.ORDER_DENIED if self.today is not None:
                self.today.denials[given["code"]] = self.today.denials.get(given["code"], 0) + 1
            case kind if kind in _KNOWN and asked.accepted is None:
                asked.accepted = entry.time
            case kind if kind in _FILLS:
                self._fill(entry)
            case _:
                pass

    def _fill(self, entry: Entry) -> None:
        """Book a fill, or correct one."""
        record, given, number = self.record, entry.payload, entry.order or ""
        row = len(record.folded)
        if entry.kind is not Kind.FILL_CORRECTED:
            record.fills.append(
                Traded(row, number, given["quantity"], float(given["price"]), given["value"], given["commission"],
                       given["tax"], entry.time)
            )  # fmt: skip
            return
        before = next((each for each in reversed(record.fills) if each.number == number and each.row == row), None)
        if before is None or before.quantity + given["quantity"] <= 0:
            order = record.asked[number].order
            sign = order.intent.side.sign
            cash = -sign * given["value"] - given["commission"] - given["tax"]
            shares = sign * given["quantity"]
            symbol = order.intent.symbol if shares else ""
            record.outside.append(Outside(row, symbol, "correction", shares, cash))
            return
        for name in ("quantity", "value", "commission", "tax"):
            setattr(before, name, getattr(before, name) + given[name])
