"""The call auction: one price for everybody (단일가매매).

Contract: pure. Prices are float won; a market order has the price None. `uncross` finds the price, `allocate` says who
trades. Rules (KB 22, 23(3)-(5), KE 34, 36):

1. A market order counts as a limit at the most aggressive of: one tick better than the best limit of its own side, the
   worst limit of the other side, the last price; inside the day's limits.
2. The price is that at which most shares trade; of several, where least is left over; of several, the last price if it
   is one of them, else the nearest to it, and if it lies between two of them the nearest above.
3. Where only market orders meet: the last price, or one tick from it towards the heavier side.
4. Who trades: market orders, then better prices, then first come. At the upper limit for buys, at the lower for sales,
   size replaces time: a round of 100 lots each, a round of half of what each has left, then the rest, in each round
   the largest order first.

"Least is left over" is general knowledge; the rest is KRX's text. A lot is one share.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence

    from quantkit.emulator.book import Resting
    from quantkit.emulator.grid import Grid

FIRST_ROUND = 100


class Uncross(NamedTuple):
    """What a call makes: its price, the shares that trade, and buys less sales that could trade there."""

    price: float
    volume: int
    imbalance: int


class Day(NamedTuple):
    """What a call must know of its day: the last price (first of a day: the base) on the grid, limits, the grid."""

    last: float
    lower: float
    upper: float
    grid: Grid


def effective(orders: Sequence[Resting], day: Day) -> list[tuple[int, float, int]] | None:
    """(side, price, shares) with prices for market orders; None where there are market orders only."""
    bids = [order.price for order in orders if order.side > 0 and not order.market]
    asks = [order.price for order in orders if order.side < 0 and not order.market]
    if not bids and not asks:
        return None
    buy, sell = [day.last], [day.last]
    if bids:
        buy.append(day.grid.up(max(bids)))
        sell.append(min(bids))
    if asks:
        buy.append(max(asks))
        sell.append(day.grid.down(min(asks)))
    at = {1: min(max(buy), day.upper), -1: max(min(sell), day.lower)}
    return [(order.side, at[order.side] if order.market else order.price, order.leaves) for order in orders]


def uncross(orders: Sequence[Resting], day: Day) -> Uncross | None:
    """The price of a call over `orders`, or None where nothing trades."""
    live = [order for order in orders if order.leaves > 0]
    if not any(order.side > 0 for order in live) or not any(order.side < 0 for order in live):
        return None
    priced = effective(live, day)
    if priced is None:
        return _only_market(live, day)
    bids, asks = _summed(priced, 1), _summed(priced, -1)
    if max(bids) < min(asks):
        return None
    best: list[tuple[float, int]] = []
    key = (0, 0)
    for price, demand, supply in _ladder(bids, asks, day):
        volume, imbalance = min(demand, supply), demand - supply
        found = (volume, -abs(imbalance))
        if found > key and volume:
            best, key = [(price, imbalance)], found
        elif found == key and volume:
            best.append((price, imbalance))
    if not best:
        return None
    price, imbalance = _nearest(best, day.last)
    return Uncross(price, key[0], imbalance)


def _summed(priced: list[tuple[int, float, int]], side: int) -> dict[float, int]:
    """Shares of a side by price."""
    total: dict[float, int] = {}
    for own, price, shares in priced:
        if own == side:
            total[price] = total.get(price, 0) + shares
    return total


def _ladder(bids: dict[float, int], asks: dict[float, int], day: Day) -> list[tuple[float, int, int]]:
    """(price, demand, supply) at every price where either may change, and beside it, ascending.

    Between two such prices nothing changes, so the best price nearest to the last one is among them.
    """
    own = set(bids) | set(asks)
    low, high = max(day.lower, min(asks)), min(day.upper, max(bids))
    prices = {p for q in own for p in (q, day.grid.up(q), day.grid.down(q))} | {day.last}
    ladder = sorted(p for p in prices if low <= p <= high)
    demand, supply, cuts, offers = sum(bids.values()), 0, sorted(bids), sorted(asks)
    b = a = 0
    found = []
    for price in ladder:
        while b < len(cuts) and cuts[b] < price:
            demand -= bids[cuts[b]]
            b += 1
        while a < len(offers) and offers[a] <= price:
            supply += asks[offers[a]]
            a += 1
        found.append((price, demand, supply))
    return found


def _nearest(best: list[tuple[float, int]], last: float) -> tuple[float, int]:
    """Of the prices that qualify, ascending: the last price, the nearest, or the nearest above."""
    above = [found for found in best if found[0] >= last]
    return above[0] if above else best[-1]


def _only_market(orders: Sequence[Resting], day: Day) -> Uncross:
    demand = sum(order.leaves for order in orders if order.side > 0)
    supply = sum(order.leaves for order in orders if order.side < 0)
    price = day.last
    if demand > supply:
        price = min(day.grid.up(day.last), day.upper)
    elif supply > demand:
        price = max(day.grid.down(day.last), day.lower)
    return Uncross(price, min(demand, supply), demand - supply)


def allocate(orders: Sequence[Resting], side: int, result: Uncross, day: Day) -> list[tuple[Resting, int]]:
    """Who of `side` trades how much at the price, in the order of priority. `orders` in the order they came."""
    inside = [
        order
        for order in orders
        if order.side == side and order.leaves and (order.market or (order.price - result.price) * side >= 0)
    ]
    at_limit = result.price == (day.upper if side > 0 else day.lower)
    if at_limit:  # market orders have the limit's own priority there
        return _rounds(inside, result.volume)
    inside.sort(key=lambda order: (not order.market, -side * order.price))
    left, found = result.volume, []
    for order in inside:
        shares = min(left, order.leaves)
        if shares:
            found.append((order, shares))
            left -= shares
    return found


def _rounds(orders: list[Resting], volume: int) -> list[tuple[Resting, int]]:
    """Shares at a limit price by rounds, the largest first; equals keep the order they came in."""
    ranked = sorted(orders, key=lambda order: -order.leaves)
    given = dict.fromkeys(range(len(ranked)), 0)
    for turn in range(3):
        for place, order in enumerate(ranked):
            left = order.leaves - given[place]
            shares = min(volume, left, (FIRST_ROUND, (left + 1) // 2, left)[turn])
            given[place] += shares
            volume -= shares
    return [(order, given[place]) for place, order in enumerate(ranked) if given[place]]
