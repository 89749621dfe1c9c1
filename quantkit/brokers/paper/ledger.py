"""Money and shares of a paper account: settlement, what open orders bind, commission and tax.

Contract: whole minor units and whole shares; days are epoch days. Bought and sold shares count at once; their money
settles two sessions later (T+2) and may be used for orders before. An open buy binds what it may cost at most with its
commission, an open sale its shares. Pure: changed by calls alone, written and read as JSON's own types.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from quantkit.errors import Bug
from quantkit.market import KRX_MARKETS, calendar
from quantkit.trading.orders import OrderType, Side, TimeInForce
from quantkit.trading.ports import BrokerOrder, Cash, Position

if TYPE_CHECKING:
    from quantkit.market.costs import Costs


@dataclass(slots=True, kw_only=True)
class Held:
    """An order that the broker took, and what became of it. `limit` is what it may cost a share at most."""

    number: str
    symbol: str
    market: str
    side: Side
    quantity: int
    leaves: int
    type: OrderType
    tif: TimeInForce
    price: float | None  # None: a market order, or one that has become one
    limit: float
    time: int
    original: str | None = None
    filled: int = 0
    value: int = 0
    commission: int = 0
    tax: int = 0
    status: str = "open"
    reason: str = ""
    passive: bool = False  # it rests at its price; others come to it

    def line(self) -> BrokerOrder:
        """Its line in the broker's list."""
        return BrokerOrder(
            number=self.number, symbol=self.symbol, side=self.side, quantity=self.quantity, filled=self.filled,
            value=self.value, leaves=self.leaves, type=self.type, time=self.time, original=self.original,
            price=self.price, status=self.status, reason=self.reason, commission=self.commission, tax=self.tax,
        )  # fmt: skip

    def to_json(self) -> dict[str, Any]:
        """JSON's own types."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Held:
        """What `to_json` wrote."""
        given = dict(data)
        given["side"], given["type"], given["tif"] = (
            Side(data["side"]),
            OrderType(data["type"]),
            TimeInForce(data["tif"]),
        )
        return cls(**given)


def money(price: float, shares: int, unit: int) -> int:
    """Value in minor units, rounded to the nearest."""
    return math.floor(price * shares * unit + 0.5)


def session_after(day: int, n: int, market: str) -> int:
    """The n-th session after a day; outside Korea weekdays stand for sessions."""
    if market in KRX_MARKETS:
        found = calendar.next_session(np.datetime64(day, "D"), n=n)
        return int(np.datetime64(found, "D").astype(np.int64))
    return int(np.busday_offset(np.datetime64(day, "D"), n, roll="backward").astype(np.int64))


@dataclass(slots=True)
class Ledger:
    """Cash by settlement day, and shares with what was paid for them."""

    settled: int
    costs: Costs
    unit: int = 1
    pending: dict[int, int] = field(default_factory=dict)  # by settlement day
    shares: dict[str, int] = field(default_factory=dict)
    spent: dict[str, float] = field(default_factory=dict)

    @property
    def total(self) -> int:
        """All money, settled or not."""
        return self.settled + sum(self.pending.values())

    def bound(self, order: Held) -> int:
        """Money that an open buy may still need."""
        if order.side is Side.SELL or not order.leaves:
            return 0
        left = math.ceil(order.limit * order.leaves * self.unit - 1e-6)
        return left + self.costs.commission_on(order.value + left, market=order.market) - order.commission

    def orderable(self, orders: list[Held]) -> int:
        """Money that another buy may bind."""
        return self.total - sum(self.bound(order) for order in orders)

    def sellable(self, symbol: str, orders: list[Held]) -> int:
        """Shares that another sale may bind."""
        on_sale = sum(order.leaves for order in orders if order.symbol == symbol and order.side is Side.SELL)
        return self.shares.get(symbol, 0) - on_sale

    def fill(self, order: Held, shares: int, price: float, *, tax_rate: float, settles: int) -> tuple[int, int]:
        """Book an execution; (commission, tax) of it, worked out on the whole order's. Bug: more than is left."""
        if not 0 < shares <= order.leaves:
            raise Bug(f"paper order {order.number}: {shares} of {order.leaves} shares would fill")
        value, held = money(price, shares, self.unit), self.shares.get(order.symbol, 0)
        order.filled, order.leaves, order.value = order.filled + shares, order.leaves - shares, order.value + value
        commission = self.costs.commission_on(order.value, market=order.market) - order.commission
        tax = 0
        if order.side is Side.SELL:
            tax = self.costs.tax_on(order.value, market_rate=tax_rate) - order.tax
        order.commission, order.tax = order.commission + commission, order.tax + tax
        if not order.leaves:
            order.status = "filled"
        cash = -order.side.sign * value - commission - tax
        self.pending[settles] = self.pending.get(settles, 0) + cash
        paid = self.spent.pop(order.symbol, 0.0)
        left = held + order.side.sign * shares
        self.shares.pop(order.symbol, None)
        if left:
            self.shares[order.symbol] = left
            self.spent[order.symbol] = paid + value if order.side is Side.BUY else paid * left / held
        return commission, tax

    def settle(self, day: int) -> None:
        """Money that is due by a day counts as settled."""
        for due in [each for each in self.pending if each <= day]:
            self.settled += self.pending.pop(due)

    def cash(self, orders: list[Held], tomorrow: int) -> Cash:
        """Money by settlement day."""
        next_1 = self.settled + sum(amount for due, amount in self.pending.items() if due <= tomorrow)
        return Cash(today=self.settled, next_1=next_1, next_2=self.total, orderable=self.orderable(orders))

    def positions(self, orders: list[Held]) -> list[Position]:
        """Shares held, by code."""
        return [
            Position(symbol=symbol, quantity=held, sellable=self.sellable(symbol, orders),
                     average=self.spent[symbol] / held / self.unit)
            for symbol, held in sorted(self.shares.items())
        ]  # fmt: skip

    def to_json(self) -> dict[str, Any]:
        """JSON's own types, costs left out: those are a setting."""
        pending = {str(due): amount for due, amount in sorted(self.pending.items())}
        return {"settled": self.settled, "pending": pending, "shares": dict(self.shares), "spent": dict(self.spent)}

    def read(self, data: dict[str, Any]) -> None:
        """Take over what `to_json` wrote."""
        self.settled, self.shares, self.spent = data["settled"], dict(data["shares"]), dict(data["spent"])
        self.pending = {int(due): amount for due, amount in data["pending"].items()}
