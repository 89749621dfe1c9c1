"""The judge of a simulated session: reads the exchange's own books and what was written into the journal, nothing else.

The invariants, as they are checked:

    I1 bought     an order of ours stands at the exchange at most once, and never trades more than was approved for it;
                  OrderSubmitting is in the journal before the order leaves                         at once, always
    I2 positions  shares and money that the journal adds up to are those of the exchange            at rest
    I3 owners     every order of the account is bound to the one that sent it, or is external       at rest
    I4 replay     what a restart would find is what memory holds, and the tables of the journal     at rest
    I5 halted     nothing is sent while HALTED, nothing is bought while REDUCING                    at once, always
    I6 money      money and shares at the exchange are never below nothing                          each minute
    I7 unresolved no order is left open or unanswered, save what was given to an operator           at rest
    I8 cancels    a cancel that is asked for leaves within five seconds, whatever else waits        each minute
    I9 seed       the same seed writes the same journal                                             two runs

At rest: after the close, when the faults have ended. `broken` holds what was found, in words; `lost` and `doubled` the
orders it concerns (I1 to I3, I7), `unknowns` every outcome that nobody knew and what became of it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from quantkit.emulator.exchange import Exchange
from quantkit.emulator.session import day_of
from quantkit.trading.approval import Approved
from quantkit.trading.events import Entry, Kind
from tests.simulation.unknowns import Unknowns

SECOND = 1_000_000_000
ENDS = {
    Kind.ORDER_DENIED: "denied", Kind.ORDER_REJECTED: "rejected", Kind.ORDER_CANCELED: "canceled",
    Kind.ORDER_EXPIRED: "expired", Kind.ORDER_FILLED: "filled",
}  # fmt: skip
FILLS = (Kind.ORDER_FILLED, Kind.ORDER_PARTIALLY_FILLED, Kind.FILL_CORRECTED)
ROUNDING = 100  # won
NEVER = ("BUG", "BROKER_BUG", "EFFECT_FAILED", "STRATEGY_FAILED", "SERVICE_FAILED", "OVERFILL", "FILL_OF_REJECTED",
         "COST_DIFFERENCE", "BAR_MISSING", "CAPITAL_TOO_LARGE")  # fmt: skip
"""Alarms that no fault of a broker or a network may bring about."""


@dataclass
class Known:
    """An order as the journal tells it."""

    id: str
    symbol: str
    side: int
    deployment: str
    approved: int = 0
    filled: int = 0
    value: int = 0
    end: str = ""
    numbers: list[str] = field(default_factory=list)
    cancel_asked: int | None = None


class Judge:
    """Follows one account from its first entry. cash: money at the start; rounding: won that a broker which tells no
    costs may be apart; shown: the number under which the broker knows an order of the exchange today."""

    def __init__(
        self, exchange: Exchange, account: str, cash: int, *, rounding: int = 0, shown: Callable[[str], str] = str
    ) -> None:
        self.exchange, self.account, self.cash, self.rounding, self._shown = exchange, account, cash, rounding, shown
        self.broken: list[str] = []
        self.lost: set[str] = set()  # orders of ours that the journal lacks, or whose end it does not know
        self.doubled: set[str] = set()  # orders that the exchange has, or was sent, more of than was approved
        self.unknowns = Unknowns()
        self.orders: dict[str, Known] = {}
        self.shares: Counter[str] = Counter()
        self.external: dict[tuple[int, str], tuple[int, int]] = {}  # filled, value by day and number
        self.modes: dict[tuple[str, str], str] = {}
        self.operator: set[str] = set()  # orders that a person was asked about
        self.alarms: Counter[str] = Counter()
        self.kinds: Counter[str] = Counter()
        self.sent: set[str] = set()
        self.paid = 0  # deposits
        self.given = 0  # those that nobody has told us of
        self._rest: set[str] = set()  # orders of days before

    def say(self, invariant: str, what: str) -> None:
        """Something is broken."""
        if len(self.broken) < 20:
            self.broken.append(f"{invariant}: {what}")

    def deposit(self, amount: int) -> None:
        """Money was paid in, and nobody was told."""
        self.paid += amount
        self.given += amount

    def _lost(self, invariant: str, name: str, what: str) -> None:
        self.lost.add(name)
        self.say(invariant, what)

    def _doubled(self, name: str, what: str) -> None:
        self.doubled.add(name)
        self.say("I1", what)

    # --- the journal --------------------------------------------------------------------------------------------------

    def heard(self, entries: Sequence[Entry]) -> None:
        """Entries were written."""
        for entry in entries:
            self.kinds[entry.kind.value] += 1
            self.unknowns.heard(entry)
            if entry.order is not None and (entry.kind is Kind.ORDER_INITIALIZED or entry.order in self.orders):
                self._order(entry)
            else:
                self._other(entry)

    def _order(self, entry: Entry) -> None:
        kind, given, name = entry.kind, entry.payload, str(entry.order)
        if kind is Kind.ORDER_INITIALIZED:
            intent = given["intent"]
            side = 1 if intent["side"] == "buy" else -1
            self.orders[name] = Known(name, intent["symbol"], side, intent["deployment"])
            return
        known = self.orders[name]
        if kind in ENDS:
            known.end, known.cancel_asked = ENDS[kind], None
        if kind in FILLS:
            self._fill(known, given)
        elif kind is Kind.ORDER_SUBMITTING:
            self._submitting(known, given)
        elif kind in (Kind.ORDER_ACCEPTED, Kind.ORDER_BOUND, Kind.ORDER_UPDATED, Kind.ORDER_CANCELED):
            if given.get("number"):
                known.numbers.append(given["number"])
            if kind is Kind.ORDER_BOUND:
                known.end = ""
        elif kind is Kind.ORDER_PENDING_CANCEL:
            known.cancel_asked = entry.time
        elif kind in (Kind.ORDER_CANCEL_REJECTED, Kind.ORDER_UPDATE_REJECTED):
            known.cancel_asked = None
        elif kind is Kind.COST_CORRECTED:
            self.cash -= given["amount"]
        elif kind is Kind.ALARM:
            self._alarm(entry)

    def _fill(self, known: Known, given: dict[str, Any]) -> None:
        known.filled += given["quantity"]
        known.value += given["value"]
        self.shares[known.symbol] += known.side * given["quantity"]
        self.cash -= known.side * given["value"] + given["commission"] + given["tax"]

    def _submitting(self, known: Known, given: dict[str, Any]) -> None:
        if known.approved:
            self._doubled(known.id, f"{known.id} was submitted twice")
        known.approved = given["quantity"]
        if given.get("claimed"):
            return
        stand = [self.modes.get(key, "running") for key in
                 (("account", self.account), ("deployment", known.deployment), ("symbol", known.symbol))]  # fmt: skip
        if "halted" in stand:
            self.say("I5", f"{known.id} was submitted while halted")
        if known.side > 0 and {"reducing", "flatten"} & set(stand):
            self.say("I5", f"{known.id} buys while reducing")

    def _other(self, entry: Entry) -> None:
        given = entry.payload
        match entry.kind:
            case Kind.EXTERNAL_ORDER_ADOPTED:
                place = day_of(entry.time), given["number"]
                before = self.external.get(place, (0, 0))
                sign = 1 if given["side"] == "buy" else -1
                self.external[place] = given["filled"], given["value"]
                if given["moves"]:
                    self.shares[given["symbol"]] += sign * (given["filled"] - before[0])
                    self.cash -= sign * (given["value"] - before[1]) + given["costs"]
            case Kind.ACCOUNT_STATE if given.get("first"):
                self.cash, self.shares = given["cash"][2], Counter(given["positions"])
                since = self.exchange.desk.accounts[self.account].total - self.cash  # it was asked; others traded, too
                self.given = min((0, self.paid), key=lambda amount: abs(since - amount))
            case Kind.COST_CORRECTED:
                self.cash -= given["amount"]
            case Kind.RISK_STATE_CHANGED:
                self.modes[given["scope"], given.get("name", self.account)] = given["mode"]
            case Kind.ACCOUNT_STATE if given.get("adopted"):
                self.given = 0
                self.cash = given["amount"]
            case Kind.POSITION_ADOPTED:
                self.shares[given["symbol"]] += given["after"] - given["before"]
            case Kind.ALARM:
                self._alarm(entry)
            case _:
                pass

    def _alarm(self, entry: Entry) -> None:
        code = entry.payload["code"]
        self.alarms[code] += 1
        if code in NEVER:
            self.say("alarm", f"{code}: {entry.payload['detail']}")
        if code == "NEEDS_OPERATOR":
            self.operator.add(str(entry.order))
        if code == "UNRESOLVED_AT_CLOSE":
            self.operator |= set(self.unknowns.open)

    def outcomes(self) -> Counter[str]:
        """Unknown outcomes and what became of them, orders lost and doubled."""
        found = self.unknowns.figures(self.operator)
        found.update({"lost": len(self.lost), "doubled": len(self.doubled)})
        return found

    # --- the wire -----------------------------------------------------------------------------------------------------

    def leaves(self, approved: Approved) -> None:
        """An order is about to leave."""
        name = approved.order.id
        known = self.orders.get(name)
        if known is None or not known.approved:
            self.say("I1", f"{name} leaves before the journal says so")
        elif approved.quantity > known.approved:
            self.say("I1", f"{name}: {approved.quantity} shares leave, {known.approved} were journalled")
        if name in self.sent:
            self._doubled(name, f"{name} leaves a second time")
        self.sent.add(name)

    def cancels(self, number: str) -> None:
        """A cancel is about to leave."""
        for known in self.orders.values():
            if number in known.numbers:
                known.cancel_asked = None

    def restarted(self) -> None:
        """A process died: what it was about to send went with it; the next one looks instead."""
        for known in self.orders.values():
            known.cancel_asked = None

    # --- the exchange's books -----------------------------------------------------------------------------------------

    def look(self, now: int) -> None:
        """Once a minute."""
        account = self.exchange.desk.accounts[self.account]
        if account.total < 0 or account.orderable() < 0:
            self.say("I6", f"money {account.total}, orderable {account.orderable()}")
        for symbol, held in account.shares.items():
            if held < 0 or account.sellable(symbol) < 0:
                self.say("I6", f"{symbol}: {held} shares, {account.sellable(symbol)} sellable")
        self._bought()
        for known in self.orders.values():
            if known.cancel_asked is not None and now > known.cancel_asked + 5 * SECOND:
                self.say("I8", f"the cancel of {known.id} has not left")
                known.cancel_asked = None

    def _bought(self) -> None:
        filled: Counter[str] = Counter()
        roots: Counter[str] = Counter()
        for placed in self.exchange.desk.accounts[self.account].orders.values():
            if placed.tag is not None:
                filled[placed.tag] += placed.filled
                roots[placed.tag] += placed.original is None
        for name, shares in filled.items():
            known = self.orders.get(name)
            if known is None or shares > known.approved:
                self._doubled(name, f"{name}: {shares} shares traded, {known.approved if known else 0} approved")
            if roots[name] > 1:
                self._doubled(name, f"{name} stands {roots[name]} times at the exchange")

    def at_rest(self, *, over: bool = True) -> None:
        """Nothing is under way. over: the session is."""
        account = self.exchange.desk.accounts[self.account]
        theirs = {symbol: held for symbol, held in account.shares.items() if held}
        ours = {symbol: held for symbol, held in self.shares.items() if held}
        if theirs != ours:
            wrong = {s: (ours.get(s, 0), theirs.get(s, 0)) for s in sorted({*ours, *theirs})
                     if ours.get(s, 0) != theirs.get(s, 0)}  # fmt: skip
            self.say("I2", f"shares in the journal and at the exchange: {wrong}")
        rounding = ROUNDING if self.given else self.rounding  # what brokers round is booked once the rest agrees
        if abs(self.cash + self.given - account.total) > rounding:
            self.say("I2", f"money in the journal {self.cash} (+{self.given}), at the exchange {account.total}")
        self._owners(over=over)
        for name, asked in self.unknowns.open.items():
            if name not in self.operator:
                self._lost("I7", name, f"{name}: its {asked} is unresolved, and nobody was told")

    def _owners(self, *, over: bool) -> None:
        """I3, I7, and order for order I2. A sale that was sent again is one with the first: which of the two the broker
        took, nobody can tell."""
        filled: Counter[str] = Counter()
        numbers: dict[str, set[str]] = {}
        for known in self.orders.values():
            numbers.setdefault(_family(known.id), set()).update(known.numbers)
        for placed in self.exchange.desk.accounts[self.account].orders.values():
            family = _family(placed.tag or "")
            filled[family] += placed.filled
            number = self._shown(placed.number)
            external = (day_of(placed.time), number) in self.external
            if placed.tag is None:
                if not external:
                    self.say("I3", f"order {number} of others is nobody's")
            elif external:
                self._lost("I3", placed.tag, f"order {number} of {placed.tag} is held for one of others")
            elif placed.original is None and number not in numbers[family]:
                self._lost("I3", placed.tag, f"order {number} of {placed.tag} is not bound to it")
        here: Counter[str] = Counter()
        for known in self.orders.values():
            if known.id in self._rest:
                continue
            here[_family(known.id)] += known.filled
            if over and known.approved and not known.end and known.id not in self.operator:
                self._lost("I7", known.id, f"{known.id} has no end")
            if known.end and known.approved:
                self._rest.add(known.id)
        for family, shares in here.items():
            if shares != filled[family]:
                self._lost("I2", family, f"{family}: {shares} in the journal, {filled[family]} at the exchange")


def _family(name: str) -> str:
    return name.partition("~")[0]
