"""Accounts at the emulated broker: money by settlement day, shares, what open orders bind, commission and tax.

Contract: whole won and whole shares; times are UTC nanoseconds, days epoch days. Bought and sold shares count at once,
their money settles two sessions later (T+2) and may be used for orders before. An open buy binds its price times what
is left of it, plus the commission of the whole order (a market buy: at the upper limit); an open sale binds its shares.
Commission and tax are worked out on an order's executions of the day together, as brokers do, whatever `Costs.per`
says. Every change is kept for the day, so that yesterday's look at it can be had (`at`).
"""

from __future__ import annotations

import math
from bisect import bisect_right
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from quantkit.errors import Bug
from quantkit.trading.ports import BrokerOrder, Cash, Position

if TYPE_CHECKING:
    from quantkit.market.costs import Costs
    from quantkit.trading.orders import OrderType, Side, TimeInForce


class Mark(NamedTuple):
    """What an order looked like from `time` on."""

    time: int
    filled: int
    value: int
    leaves: int
    status: str
    reason: str
    commission: int
    tax: int


@dataclass(slots=True, kw_only=True)
class Placed:
    """An order that the exchange took, and what became of it. `marks` is its life, oldest first."""

    number: str
    account: str
    symbol: str
    side: Side
    quantity: int
    type: OrderType
    tif: TimeInForce
    price: float | None
    time: int
    original: str | None = None
    tag: str | None = None
    filled: int = 0
    value: int = 0
    leaves: int = 0
    status: str = "open"
    reason: str = ""
    commission: int = 0
    tax: int = 0
    bound: int = 0  # won, for a buy
    reserve: float = 0.0  # won a share that it may cost at most
    marks: list[Mark] = field(default_factory=list)
    lines: dict[tuple[int, int], BrokerOrder] = field(default_factory=dict)  # by number of marks and `off`: made once

    def mark(self, time: int) -> None:
        """Keep how it stands now."""
        now = Mark(time, self.filled, self.value, self.leaves, self.status, self.reason, self.commission, self.tax)
        self.marks.append(now)

    def line(self, time: int | None = None, *, off: int = 0) -> BrokerOrder | None:
        """Its line in the list as the list stood at `time` (None: now); None where it was not there yet. off: added to
        its time."""
        count = len(self.marks)
        if time is not None:
            count = bisect_right(self.marks, time, key=lambda mark: mark.time)
            if not count:
                return None
        found = self.lines.get((count, off))
        if found is None:
            found = self.lines[count, off] = self._line(self.marks[count - 1], off)
        return found

    def _line(self, mark: Mark, off: int) -> BrokerOrder:
        return BrokerOrder(
            number=self.number, symbol=self.symbol, side=self.side, quantity=self.quantity, filled=mark.filled,
            value=mark.value, leaves=mark.leaves, type=self.type, time=self.time + off, original=self.original,
            price=self.price, status=mark.status, reason=mark.reason, commission=mark.commission, tax=mark.tax,
            tag=self.tag,
        )  # fmt: skip


class _Change(NamedTuple):
    time: int
    symbol: str
    shares: int
    bound_shares: int
    cash: int
    bound_cash: int


class Account:
    """Money and shares of one account. `free`: nothing is checked (everybody else on the exchange)."""

    def __init__(self, name: str, cash: int, shares: dict[str, int], costs: Costs, *, free: bool = False) -> None:
        self.name, self.costs, self.free = name, costs, free
        self.settled = cash
        self.pending: dict[int, int] = {}  # by settlement day
        self.shares = dict(shares)
        self.bound_shares: dict[str, int] = {}
        self.bound_cash = 0
        self.spent: dict[str, float] = {}  # won paid for the shares held
        self.orders: dict[str, Placed] = {}  # of the day
        self.open: set[str] = set()  # numbers of those that may still trade
        self.fees = self.taxes = 0
        self.tomorrow = 0  # the next session, epoch day
        self._changes: list[_Change] = []

    # --- what there is ---------------------------------------------------------------------------------------------

    @property
    def total(self) -> int:
        """All money, settled or not."""
        return self.settled + sum(self.pending.values())

    def orderable(self, time: int | None = None) -> int:
        """Money that a buy may still bind."""
        cash, bound = self.total, self.bound_cash
        for change in self._after(time):
            cash, bound = cash - change.cash, bound - change.bound_cash
        return cash - bound

    def sellable(self, symbol: str) -> int:
        """Shares that a sale may still bind."""
        return self.shares.get(symbol, 0) - self.bound_shares.get(symbol, 0)

    def cash(self, time: int | None = None) -> Cash:
        """Money by settlement day, as it stood at `time` (None: now)."""
        tomorrow = self.settled + sum(cash for due, cash in self.pending.items() if due <= self.tomorrow)
        back = sum(change.cash for change in self._after(time))  # trades of today settle last
        return Cash(today=self.settled, next_1=tomorrow, next_2=self.total - back, orderable=self.orderable(time))

    def positions(self, time: int | None = None) -> list[Position]:
        """Shares held, as they stood at `time` (None: now), by code."""
        shares, bound = dict(self.shares), dict(self.bound_shares)
        for change in self._after(time):
            shares[change.symbol] = shares.get(change.symbol, 0) - change.shares
            bound[change.symbol] = bound.get(change.symbol, 0) - change.bound_shares
        return [
            Position(symbol=symbol, quantity=held, sellable=held - bound.get(symbol, 0), average=self._average(symbol))
            for symbol, held in sorted(shares.items())
            if held
        ]

    def _average(self, symbol: str) -> float:
        held = self.shares.get(symbol, 0)
        return self.spent.get(symbol, 0.0) / held if held > 0 else 0.0

    def _after(self, time: int | None) -> list[_Change]:
        return [] if time is None else [change for change in self._changes if change.time > time]

    # --- what changes it -------------------------------------------------------------------------------------------

    def cost_of(self, order: Placed, market: str) -> int:
        """Won that a buy binds for what is left of it."""
        left = math.ceil(order.reserve * order.leaves)
        if not order.leaves:
            return 0
        return left + self.costs.commission_on(order.value + left, market=market) - order.commission

    def bind(self, order: Placed, market: str, time: int) -> None:
        """Bind what the order may still need, after it was placed, filled or shortened."""
        (self.open.add if order.leaves else self.open.discard)(order.number)
        if order.side.sign > 0:
            cost = self.cost_of(order, market)
            more, order.bound = cost - order.bound, cost
            self.bound_cash += more
            self._changes.append(_Change(time, order.symbol, 0, 0, 0, more))
        else:
            more, order.bound = order.leaves - order.bound, order.leaves
            self.bound_shares[order.symbol] = self.bound_shares.get(order.symbol, 0) + more
            self._changes.append(_Change(time, order.symbol, 0, more, 0, 0))

    def fill(
        self, order: Placed, shares: int, price: float, *, market: str, tax_rate: float, time: int, settles: int
    ) -> tuple[int, int]:
        """Book an execution of one of its orders; (commission, tax) of it. Bug where more fills than is left."""
        if shares > order.leaves:
            raise Bug(f"order {order.number}: {shares} of {order.leaves} shares left would fill")
        value = round(price * shares)
        order.filled, order.leaves, order.value = order.filled + shares, order.leaves - shares, order.value + value
        commission = self.costs.commission_on(order.value, market=market) - order.commission
        tax = 0
        if order.side.sign < 0:
            tax = self.costs.tax_on(order.value, market_rate=tax_rate) - order.tax
        order.commission, order.tax = order.commission + commission, order.tax + tax
        if not order.leaves:
            order.status = "filled"
        self.move(order.symbol, order.side.sign * shares, value, commission + tax, time=time, settles=settles)
        self.fees, self.taxes = self.fees + commission, self.taxes + tax
        self.bind(order, market, time)
        return commission, tax

    def move(self, symbol: str, shares: int, value: int, costs: int, *, time: int, settles: int) -> None:
        """Shares came (or, below 0, went) for `value`; costs are paid beside it."""
        cash = (-value if shares > 0 else value) - costs
        held = self.shares.get(symbol, 0)
        if not self.free:
            paid = self.spent.get(symbol, 0.0)
            self.spent[symbol] = paid + value if shares > 0 else paid * (held + shares) / held if held else 0.0
            self._changes.append(_Change(time, symbol, shares, 0, cash, 0))
        self.shares[symbol] = held + shares
        self.pending[settles] = self.pending.get(settles, 0) + cash

    def begin(self, day: int, tomorrow: int) -> None:
        """A new session: money due today is settled, yesterday's orders are gone."""
        self.tomorrow = tomorrow
        for due in [due for due in self.pending if due <= day]:
            self.settled += self.pending.pop(due)
        self.orders, self._changes = {}, []

    def convert(self, symbol: str, ratio: float) -> None:
        """A split or a bonus issue: shares held times `ratio`, fractions gone."""
        held = self.shares.get(symbol, 0)
        if held:
            self.shares[symbol] = math.floor(held * ratio + 1e-9)
