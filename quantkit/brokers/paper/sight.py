"""What trades against a paper order: the book as last quoted, and the trades that go by.

Contract: pure; a function of the order, of what was seen, and of what was taken from it before. Nothing that the paper
account does moves the market, so it may not have more than what was there:

    an order that arrives and crosses the book   takes what the quote shows, level by level, at the levels' prices
    an order that rests                          fills at its own price when others trade beyond it (a trade at its
                                                 price may have been somebody's who stood before it), and takes from a
                                                 quote that crosses it
    an auction                                   fills at its print, if the order is priced better than the print
    without a quote                              what would take from the book takes from the next trades

Trades give at most `share` of their volume. A buy at the upper, a sale at the lower price limit finds nobody.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from quantkit.trading.orders import Side, TimeInForce

if TYPE_CHECKING:
    from quantkit.brokers.paper.ledger import Held
    from quantkit.trading.ports import InstrumentDay, Quote, Tick


class Execution(NamedTuple):
    """Shares that trade at a price."""

    shares: int
    price: float


@dataclass(slots=True)
class Sight:
    """What is known of one name today."""

    facts: InstrumentDay
    lower: float
    upper: float
    quote: Quote | None = None
    last: float | None = None
    opened: bool = False  # its opening auction has printed
    taken: dict[tuple[Side, float], int] = field(default_factory=dict)  # from this quote

    def see(self, quote: Quote) -> None:
        """A new quote takes the place of the old one. While an auction runs there is no book to take from."""
        self.quote = None if quote.expected is not None else quote
        self.taken.clear()

    def shown(self, side: Side) -> tuple[tuple[float, int], ...]:
        """What an order of a side would take from, nearest first."""
        if self.quote is None:
            return ()
        return self.quote.asks if side is Side.BUY else self.quote.bids

    def nearest(self, side: Side) -> float | None:
        """The best price on the side that an order of `side` stands on."""
        if self.quote is None:
            return None
        levels = self.quote.bids if side is Side.BUY else self.quote.asks
        return levels[0][0] if levels else None

    def available(self, order: Held) -> list[Execution]:
        """What the book gives an order now, at most what is left of it."""
        found, left = [], order.leaves
        for price, shares in self.shown(order.side):
            if not self._accepts(order, price):
                break
            free = min(left, shares - self.taken.get((order.side, price), 0))
            if free > 0:
                found.append(Execution(free, price))
                left -= free
        return found

    def take(self, order: Held) -> list[Execution]:
        """Take it: nobody else of the account takes it again. A resting order trades at its own price."""
        found = self.available(order)
        for shares, price in found:
            self.taken[order.side, price] = self.taken.get((order.side, price), 0) + shares
        if order.passive and order.price is not None:
            return [Execution(shares, order.price) for shares, _ in found]
        return found

    def hit(self, order: Held, tick: Tick, pool: int) -> Execution | None:
        """What a trade in continuous trading gives an order: at most `pool` shares."""
        if not self._accepts(order, tick.price):
            return None
        if not order.passive and self.quote is not None:
            return None  # it takes from the book
        shares = min(pool, order.leaves)
        if order.tif is TimeInForce.FOK and shares < order.leaves:
            return None
        price = order.price if order.passive and order.price is not None else tick.price
        return Execution(shares, price) if shares > 0 else None

    def printed(self, order: Held, price: float, pool: int) -> Execution | None:
        """What the print of an auction gives an order: at most `pool` shares."""
        better = order.price is None or (order.price - price) * order.side.sign > 0
        if not better or self.locked(order.side, price):
            return None
        shares = min(pool, order.leaves)
        return Execution(shares, price) if shares > 0 else None

    def crosses(self, order: Held) -> bool:
        """Whether an order that arrives would trade at once, by the book, else by the last trade."""
        if order.price is None:
            return True
        levels = self.shown(order.side)
        against = levels[0][0] if levels else self.last if self.quote is None else None
        return against is not None and (order.price - against) * order.side.sign >= 0

    def locked(self, side: Side, price: float) -> bool:
        """Whether nobody stands on the other side at that price: it is the limit of the day."""
        return price >= self.upper if side is Side.BUY else price <= self.lower

    def _accepts(self, order: Held, price: float) -> bool:
        """Whether an order trades at a price: one that rests only beyond its own."""
        if self.locked(order.side, price) and not self.shown(order.side):
            return False
        if order.price is None:
            return True
        better = (order.price - price) * order.side.sign
        return better > 0 if order.passive else better >= 0


def pool_of(volume: int, share: float) -> int:
    """Shares of a trade that the account may have."""
    return math.floor(volume * share + 1e-9)
