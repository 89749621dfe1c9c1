"""The order book of one name in continuous trading: best price first, then who came first.

Contract: pure bookkeeping; no rule of the exchange is checked here and no money moves. Prices are float won on the
grid, quantities whole shares above 0. An order is changed in place and belongs to one book. `take` never lets a taker
trade past its limit, and what is left of it rests only if the caller adds it: the book is therefore never crossed.

>>> book = Book()
>>> for number, price in ((1, 100.0), (2, 99.0), (3, 99.0)):
...     book.add(Resting(number, "a", -1, price, 5))
>>> [(maker.number, price, quantity) for maker, price, quantity in book.take(+1, 12, 100.0)]
[(2, 99.0, 5), (3, 99.0, 5), (1, 100.0, 2)]
"""

from __future__ import annotations

import math
from collections import deque
from heapq import heapify, heappop, heappush
from typing import TYPE_CHECKING

from quantkit.errors import Bug

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


class Resting:
    """An order in a book. number: the exchange's; 0 is the crowd. `leaves` shares may still trade."""

    __slots__ = ("account", "leaves", "market", "number", "price", "side")

    def __init__(
        self, number: int, account: str, side: int, price: float, leaves: int, *, market: bool = False
    ) -> None:
        self.number, self.account, self.side = number, account, side
        self.price, self.leaves, self.market = price, leaves, market

    def __repr__(self) -> str:
        return f"Resting({self.number}, {self.account!r}, {self.side:+d}, {self.leaves} at {self.price})"


class _Half:
    """One side: a queue for each price, and a heap of prices, the best on top."""

    __slots__ = ("heap", "levels", "sign", "totals")

    def __init__(self, sign: int) -> None:
        self.sign = sign  # +1: lowest first (asks); -1: highest first (bids)
        self.levels: dict[float, deque[Resting]] = {}
        self.totals: dict[float, int] = {}
        self.heap: list[float] = []

    def add(self, order: Resting) -> None:
        queue = self.levels.get(order.price)
        if queue is None:
            queue = self.levels[order.price] = deque()
            self.totals[order.price] = 0
            heappush(self.heap, self.sign * order.price)
        queue.append(order)
        self.totals[order.price] += order.leaves

    def best(self) -> float | None:
        heap, totals = self.heap, self.totals
        while heap:
            price = self.sign * heap[0]
            if totals.get(price, 0):
                return price
            heappop(heap)
            totals.pop(price, None)
            self.levels.pop(price, None)
        return None

    def shrink(self, order: Resting, quantity: int) -> None:
        """Take shares off an order; an empty one leaves its queue when it is met."""
        order.leaves -= quantity
        self.totals[order.price] -= quantity
        if not self.totals[order.price]:
            self.levels[order.price].clear()


class Book:
    """Bids and asks."""

    __slots__ = ("_asks", "_bids")

    def __init__(self) -> None:
        self._bids, self._asks = _Half(-1), _Half(+1)

    def _half(self, side: int) -> _Half:
        return self._bids if side > 0 else self._asks

    def add(self, order: Resting) -> None:
        """Rest an order behind all others at its price. Bug where it would cross."""
        best = self._half(-order.side).best()
        if best is not None and (order.price - best) * order.side >= 0:
            raise Bug(f"{order!r} would cross the book at {best}")
        self._half(order.side).add(order)

    def best(self, side: int) -> float | None:
        """Highest bid (+1) or lowest ask (-1); None: nobody is there."""
        return self._half(side).best()

    def quantity(self, side: int, price: float) -> int:
        """Shares that rest at a price."""
        return self._half(side).totals.get(price, 0)

    def queue(self, side: int, price: float) -> Iterator[Resting]:
        """Orders at a price, first come first."""
        return (order for order in self._half(side).levels.get(price, ()) if order.leaves)

    def prices(self, side: int) -> list[float]:
        """Prices with orders, best first."""
        half = self._half(side)
        return sorted((price for price, total in half.totals.items() if total), reverse=side > 0)

    def orders(self, side: int) -> Iterator[Resting]:
        """All orders of a side, best price and first come first."""
        for price in self.prices(side):
            yield from self.queue(side, price)

    def levels(self, side: int, count: int = 10) -> list[tuple[float, int]]:
        """(price, shares) of the best prices."""
        half = self._half(side)
        return [(price, half.totals[price]) for price in self.prices(side)[:count]]

    def cancel(self, order: Resting, quantity: int | None = None) -> int:
        """Take an order, or part of it, off the book; the shares taken off. The rest keeps its place."""
        taken = order.leaves if quantity is None else min(quantity, order.leaves)
        if taken:
            self._half(order.side).shrink(order, taken)
        return taken

    def available(self, side: int, limit: float) -> int:
        """Shares that a taker of `side` could have at `limit` or better."""
        half = self._half(-side)
        return sum(total for price, total in half.totals.items() if (limit - price) * side >= 0)

    def take(self, side: int, quantity: int, limit: float = math.nan) -> list[tuple[Resting, float, int]]:
        """Trade up to `quantity` against the other side, at `limit` or better (NaN: at any price).

        (maker, price, shares) in the order of the trades. What is left over is the caller's.
        """
        return list(self.taking(side, quantity, limit))

    def taking(self, side: int, quantity: int, limit: float = math.nan) -> Iterator[tuple[Resting, float, int]]:
        """`take`, one trade at a time; a caller who stops asking leaves the rest untouched."""
        half = self._half(-side)
        while quantity > 0:
            price = half.best()
            if price is None or (price - limit) * side > 0:
                return
            queue = half.levels[price]
            maker = queue[0]
            if not maker.leaves:
                queue.popleft()
                continue
            shares = min(quantity, maker.leaves)
            half.shrink(maker, shares)
            quantity -= shares
            yield maker, price, shares

    def thin(self, account: str) -> None:
        """Keep of an account's orders only those ahead of somebody else's at the same price."""
        self._filter(lambda queue: _ahead(queue, account))

    def beyond(self, side: int, price: float, account: str) -> None:
        """Take an account's orders off where they are better than `price`."""
        half = self._half(side)
        best = half.best()
        if best is not None and (best - price) * side > 0:
            self._filter(
                lambda queue: [o for o in queue if o.account != account or (o.price - price) * side <= 0], (half,)
            )

    def _filter(self, kept: Callable[[list[Resting]], list[Resting]], halves: tuple[_Half, ...] = ()) -> None:
        for half in halves or (self._bids, self._asks):
            queues = {
                price: deque(rest)
                for price, queue in half.levels.items()
                if (rest := kept([order for order in queue if order.leaves]))
            }
            half.levels = queues
            half.totals = {price: sum(order.leaves for order in queue) for price, queue in queues.items()}
            half.heap = [half.sign * price for price in queues]
            heapify(half.heap)


def _ahead(queue: list[Resting], account: str) -> list[Resting]:
    """The queue up to its last order of somebody else."""
    others = [place for place, order in enumerate(queue) if order.account != account]
    return queue[: others[-1] + 1] if others else []
