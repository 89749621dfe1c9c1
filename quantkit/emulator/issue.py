"""One name's market through a day: calls, continuous trading, interruptions, and our orders among everybody else's.

Contract: moves only when told to, on the times it is given. Between our orders everybody else trades along the day's
flow (`SymbolDay.flow`), and nothing is computed for a name in which none of ours waits. Where one does:

1. Our order meets the crowd's levels as they stand after the last trade, by price and time; what it takes is gone until
   the next trade of the flow, when the crowd quotes anew.
2. What rests waits behind the crowd's shares at its price. They leave only by trading, or when the flow trades through.
3. A trade of the flow at our price or beyond comes to us first: better price, then who came first, up to its shares.
4. In a call our orders join those of everybody else, who came before.
5. A trade that would go too far sets off an interruption: it, and all that follow, wait for the call's end.

So flow and our orders together never break price-time priority, and flow alone prints exactly what it says.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Protocol

import numpy as np

from quantkit.emulator import crowd
from quantkit.emulator.auction import Day, Uncross, allocate, uncross
from quantkit.emulator.book import Book, Resting
from quantkit.emulator.grid import Grid
from quantkit.emulator.prints import Prints, Trade
from quantkit.emulator.volatility import Rates

if TYPE_CHECKING:
    from collections.abc import Sequence

    from quantkit.emulator.sources import SymbolDay

FINISHED = ("before", "after")
Level = tuple[float, int]
"""Price and shares."""
_EPOCH_BITS = 5  # the crowd's sizes are drawn anew every 32 trades


class Venue(Protocol):
    """What a name's market asks of its exchange."""

    position: int

    def execute(self, issue: Issue, time: int, price: float, legs: Sequence[tuple[Resting, int]]) -> None:
        """These orders traded."""

    def printed(self, issue: Issue, time: int, price: float, shares: int, *, auction: bool) -> None:
        """A trade to tell everybody of."""

    def interrupted(self, issue: Issue, time: int) -> None:
        """A volatility interruption began: end it by `end_call`."""

    def unfilled(self, order: Resting, time: int, reason: str) -> None:
        """What is left of an order was taken off."""


class Issue:
    """A name on a day."""

    __slots__ = (
        "_reference", "asks_from", "at", "bids_from", "book", "call", "calm", "clip", "done", "drawn", "extended",
        "facts", "generation", "grid", "held", "last", "loaded", "lower", "market", "mine", "number", "own", "phase",
        "prints", "quoted", "rates", "scale", "seed", "side", "symbol", "taken", "upper", "venue",
    )  # fmt: skip

    def __init__(
        self, facts: SymbolDay, number: int, date: str, venue: Venue, *, seed: int, depth: float, interrupts: bool
    ) -> None:
        self.facts, self.number, self.venue, self.seed = facts, number, venue, seed
        self.symbol, self.market = facts.symbol, facts.market
        self.grid = Grid(facts.market, date)
        limited = not facts.liquidation
        self.lower, self.upper = self.grid.tick(1.0), math.inf
        if limited:
            self.lower, self.upper = self.grid.limits(facts.base, leverage=facts.leverage, first_day=facts.first_day)
        exempt = not interrupts or facts.liquidation or facts.first_day
        self.rates = Rates(facts.market, date, calm=facts.calm, exempt=exempt)
        self.scale = max(1.0, facts.volume * depth) if depth else 0.0
        self.loaded: tuple[list[float], list[int], list[int]] | None = None  # the flow, once its trades come by
        self.at = np.zeros(0, np.int64)  # places of the flow in the exchange's tape
        self.calm = (0.0, 0.0, math.inf)  # steps and prices up to here surely interrupt nothing
        self.done = 0  # trades of the flow that took place or wait
        self.last = facts.base
        self.reference = facts.base
        self.side = 1
        self.phase = "before"
        self.book = Book()
        self.call: list[Resting] = []
        self.mine: dict[int, Resting] = {}  # ours in the book, by number
        self.bids_from, self.asks_from = -math.inf, math.inf  # the flow meets ours from these prices on
        self.held: list[tuple[float, int, int]] = []
        self.quoted = -1  # trades done when the crowd's levels were put into the book
        self.generation = 0  # of the running call: an older end of it does not count
        self.extended = False
        self.own: list[Trade] = []  # trades outside the flow
        self.clip: set[int] = set()  # trades of the flow that went otherwise
        self.prints, self.taken = Prints(self.symbol), 0  # what traded, and how much of the flow is in it
        self.drawn: tuple[int, dict[tuple[int, float], list[Level]]] = (-1, {})  # the crowd's levels of an epoch

    @property
    def reference(self) -> float:
        """What the static interruption is measured from: the last price of a call, before the opening the base."""
        return self._reference

    @reference.setter
    def reference(self, price: float) -> None:
        self._reference = price
        static = (self.rates.static or math.inf) - 1e-6
        self.calm = ((self.rates.dynamic or math.inf) - 1e-6, price * (1.0 - static), price * (1.0 + static))

    # --- what can be seen -----------------------------------------------------------------------------------------

    def sync(self) -> None:
        """Bring last price and side up to where the exchange's tape is, for a name nobody of ours waits in."""
        done = int(np.searchsorted(self.at, self.venue.position))
        if done > self.done:
            self.done = done
            self.last, self.side = float(self.facts.flow.prices[done - 1]), int(self.facts.flow.sides[done - 1])

    def touch(self) -> tuple[float | None, float | None]:
        """The crowd's best bid and ask."""
        if self.last >= self.upper:
            return self.upper, None
        if self.last <= self.lower:
            return None, self.lower
        if self.side > 0:
            ask = self.grid.ceil(self.last)
            bid = self.grid.down(ask)
        else:
            bid = self.grid.floor(self.last)
            ask = self.grid.up(bid)
        return (bid if bid >= self.lower else None), (ask if ask <= self.upper else None)

    def quote(self) -> Book:
        """The book with the crowd's levels in it."""
        if self.quoted == self.done:
            return self.book
        if not self.scale:
            return self.book
        self.unquote()
        for side, levels in zip((1, -1), self._crowd(), strict=True):
            other = self.book.best(-side)
            for price, shares in levels:
                crossed = other is not None and (price - other) * side >= 0
                if not crossed and not self.book.quantity(side, price):
                    self.book.add(Resting(0, crowd.NAME, side, price, shares))
        self.quoted = self.done
        return self.book

    def levels(self, count: int) -> tuple[list[Level], list[Level]]:
        """Bids and asks as anybody sees them, best first. Where none of ours rests no book is made for a look at it."""
        if self.mine or self.quoted == self.done or not self.scale:
            book = self.quote()
            return book.levels(1, count), book.levels(-1, count)
        bids, asks = self._crowd()
        return bids[:count], asks[:count]

    def _crowd(self) -> tuple[list[Level], list[Level]]:
        """The crowd's bids and asks after the last trade, best first."""
        bid, ask = self.touch()
        return self._levels(1, bid), self._levels(-1, ask)

    def _levels(self, side: int, best: float | None) -> list[Level]:
        """The crowd's levels from a price on, kept for as long as its sizes stay."""
        if best is None or not self.lower <= best <= self.upper:
            return []
        epoch = self.done >> _EPOCH_BITS
        if self.drawn[0] != epoch:
            self.drawn = (epoch, {})
        found = self.drawn[1].get((side, best))
        if found is None:
            found = []
            price = best
            while self.lower <= price <= self.upper and len(found) < crowd.LEVELS:
                found.append((price, crowd.depth(self.seed, self.scale, price, epoch, len(found))))
                price = self.grid.down(price) if side > 0 else self.grid.up(price)
            self.drawn[1][side, best] = found
        if best == self.last in (self.lower, self.upper):  # everybody waits at the limit
            return [(best, max(found[0][1], self.facts.volume * crowd.LOCKED)), *found[1:]]
        return found

    def unquote(self) -> None:
        """Take the crowd's levels off; what stands ahead of ours stays."""
        if self.quoted >= 0:
            if self.mine:
                self.book.thin(crowd.NAME)
            else:
                self.book = Book()
            self.quoted = -1

    def expected(self, time: int, start: int, stop: int) -> Uncross | None:
        """What the running call would make now. The crowd's own view settles towards the print as the call ages."""
        target = self.target()
        if target is not None:
            age = min(1.0, max(0.0, (time - start) / max(1, stop - start)))
            steps = round((1.0 - age) * 6 * (2 * crowd.draw(self.seed, time // 10**10, self.done) - 1))
            price = self.grid.up(target[0], steps) if steps > 0 else self.grid.down(target[0], -steps)
            target = (min(max(price, self.lower), self.upper), max(1, int(target[1] * age)))
        return uncross(self._together(target), self._day())

    def target(self) -> tuple[float, int] | None:
        """What everybody else would make of the call that is coming or running."""
        match self.phase:
            case "before" | "opening_orders":
                return self.facts.opening
            case "closing_auction":
                closing = self.facts.closing or ((self.held[-1][0], 0) if self.held else None)
                more = sum(shares for _, shares, _ in self.held)
                return None if closing is None else (closing[0], closing[1] + more)
            case "vi_auction" if self.held:
                return self.held[0][:2]
            case _:
                return (self.grid.floor(self.last), max(1, int(self.scale))) if self.scale else None

    @property
    def waits(self) -> bool:
        """Whether each trade of the flow must come by here."""
        return bool(self.mine) or self.phase not in ("continuous", *FINISHED)

    # --- orders ---------------------------------------------------------------------------------------------------

    def enter(self, order: Resting, time: int, *, keep: bool = True) -> None:
        """An order of ours comes in. keep: what does not trade at once rests; else it is taken off."""
        if self.phase != "continuous":
            self.call.append(order)
            return
        book, side = self.quote(), order.side
        limit = math.nan if order.market else order.price
        while order.leaves:
            price = book.best(-side)
            if price is None or (price - limit) * side > 0:
                break
            if self._interrupts(price, time):
                break
            for maker, at, shares in book.take(side, order.leaves, price):
                self._traded(order, maker, at, shares, time)
        if not order.leaves:
            return
        if not keep:
            self.venue.unfilled(order, time, "NOT_FILLED_AT_ONCE")
        elif self.phase == "continuous":
            self._rest(order)
        else:
            self.call.append(order)

    def _traded(self, order: Resting, maker: Resting, price: float, shares: int, time: int) -> None:
        order.leaves -= shares
        self.last = price
        self.side = order.side
        self._took_place(time, price, shares)
        if not maker.leaves and self.mine.pop(maker.number, None) is not None:
            self._watch()
        self.venue.execute(self, time, price, ((maker, shares), (order, shares)))
        self.venue.printed(self, time, price, shares, auction=False)

    def _rest(self, order: Resting) -> None:
        """Put an order into the book behind the crowd at its price."""
        side = order.side
        if order.market:  # one tick better than the best of its own side, or the last price (KB 24(2))
            best = self.book.best(side)
            price = self.last if best is None else self.grid.up(best) if side > 0 else self.grid.down(best)
            order.price = min(max(price, self.lower), self.upper)
        best = self.touch()[0 if side > 0 else 1]
        behind = best is not None and (best - order.price) * side > 0
        if behind and self.scale and not self.book.quantity(side, order.price):
            ahead = crowd.depth(self.seed, self.scale, order.price, self.done >> _EPOCH_BITS, crowd.LEVELS)
            self.book.add(Resting(0, crowd.NAME, side, order.price, ahead))
        self.book.add(order)
        self.mine[order.number] = order
        self._watch()

    def _watch(self) -> None:
        """From which prices on the flow meets orders of ours."""
        self.bids_from, self.asks_from = -math.inf, math.inf
        for order in self.mine.values():
            if order.side > 0:
                self.bids_from = max(self.bids_from, order.price)
            else:
                self.asks_from = min(self.asks_from, order.price)

    def remove(self, number: int, shares: int) -> Resting | None:
        """Take `shares` of an order of ours off, wherever it waits; what is left keeps its place."""
        order = self.mine.get(number)
        if order is not None:
            self.book.cancel(order, shares)
            if not order.leaves:
                del self.mine[number]
                self._watch()
            return order
        order = next((each for each in self.call if each.number == number), None)
        if order is not None:
            order.leaves -= shares
            self.call = [each for each in self.call if each.leaves]
        return order

    # --- everybody else's trades ----------------------------------------------------------------------------------

    def tick(self, time: int) -> None:
        """The next trade of the flow."""
        k = self.done
        self.done = k + 1
        if self.loaded is None:
            flow = self.facts.flow
            self.loaded = (flow.prices.tolist(), flow.volumes.tolist(), flow.sides.tolist())
        price, shares, side = self.loaded[0][k], self.loaded[1][k], self.loaded[2][k]
        step, low, high = self.calm
        quiet = low < price < high and abs(price - self.last) < step * self.last
        if self.phase != "continuous":
            self.clip.add(k)
            if self.phase not in FINISHED:
                self.held.append((price, shares, side))
        elif not quiet and self._interrupts(price, time):
            self.clip.add(k)
            self.held.append((price, shares, side))
        elif self.bids_from < price < self.asks_from:
            self.last, self.side = price, side
            self.venue.printed(self, time, price, shares, auction=False)
        else:
            self.clip.add(k)
            self.flow(time, price, shares, side)

    def flow(self, time: int, price: float, shares: int, side: int) -> None:
        """A trade of everybody else that may meet ours. Prices of ours beyond it go first."""
        self.unquote()
        if price <= self.bids_from:
            side = -1
        elif price >= self.asks_from:
            side = 1
        self.book.beyond(-side, price, crowd.NAME)
        taker = Resting(0, crowd.NAME, side, price, shares)
        for maker, at, part in self.book.take(side, shares, price):
            if maker.number:
                self._traded(taker, maker, at, part, time)
            else:
                taker.leaves -= part
                self._crowd_trade(time, at, part, side)
        if taker.leaves:
            self._crowd_trade(time, price, taker.leaves, side)

    def _crowd_trade(self, time: int, price: float, shares: int, side: int) -> None:
        self.last, self.side = price, side
        self._took_place(time, price, shares)
        self.venue.printed(self, time, price, shares, auction=False)

    # --- calls ----------------------------------------------------------------------------------------------------

    def next_interruption(self) -> int | None:
        """Place in the flow of the first trade to come that would set one off, where nobody of ours trades."""
        rates, k = self.rates, self.done
        if not (rates.static or rates.dynamic) or k >= len(self.facts.flow.prices):
            return None
        prices = self.facts.flow.prices[k:]
        before = np.concatenate(([self.last], prices[:-1]))
        far = np.zeros(len(prices), dtype=bool)
        if rates.dynamic:
            far |= np.abs(prices / before - 1.0) >= rates.dynamic - 1e-9
        if rates.static and self.reference > 0:
            far |= np.abs(prices / self.reference - 1.0) >= rates.static - 1e-9
        for place in np.flatnonzero(far).tolist():
            last = float(before[place])
            tick = self.grid.tick(last)
            if rates.breaks(float(prices[place]), last=last, reference=self.reference, tick=tick):
                return k + int(place)
        return None

    def _interrupts(self, price: float, time: int) -> bool:
        """Whether a trade at `price` sets off an interruption; if so it has begun."""
        why = self.rates.breaks(price, last=self.last, reference=self.reference, tick=self.grid.tick(self.last))
        if why:
            self.begin_call("vi_auction")
            self.venue.interrupted(self, time)
        return bool(why)

    def begin_call(self, phase: str) -> None:
        """Continuous trading stops; orders in the book wait for the call."""
        self.unquote()
        self.call = sorted([*self.call, *self.mine.values()], key=lambda order: order.number)
        self.mine, self.book, self.phase, self.quoted = {}, Book(), phase, -1
        self.generation += 1
        self.extended = False
        self._watch()

    def too_far(self) -> bool:
        """Whether the call that ends would make a price that asks for two minutes more."""
        if self.extended or self.phase == "vi_auction":
            return False
        result, _ = self._matched()
        if result is None:
            return False
        opening = self.phase == "opening_orders"
        last = 0.0 if opening else self.last  # there is no last trade before the opening
        why = self.rates.breaks(result.price, last=last, reference=self.reference, closing=not opening)
        self.extended = bool(why)
        return self.extended

    def end_call(self, time: int, phase: str) -> None:
        """Print the call; then what is left goes on in `phase`."""
        held, released = self.held, 0
        result, legs = self._matched()
        if result is not None:
            released = 1 if self.phase == "vi_auction" else 0
            for order, shares in legs:
                order.leaves -= shares
            self.last = result.price
            self.reference = result.price
            self.side = -1 if result.imbalance > 0 else 1
            self._took_place(time, result.price, result.volume)
            self.venue.execute(self, time, result.price, legs)
            self.venue.printed(self, time, result.price, result.volume, auction=True)
        waiting = [order for order in self.call if order.leaves]
        self.call, self.held, self.phase = [], [], phase
        self.generation += 1
        if phase != "continuous":
            self.call = waiting
            return
        self.quoted = -1
        for order in waiting:
            self.enter(order, time)
        for trade in held[released:]:
            if self.phase == "continuous" and not self._interrupts(trade[0], time):
                self.flow(time, *trade)
            else:
                self.held.append(trade)

    def _matched(self) -> tuple[Uncross | None, list[tuple[Resting, int]]]:
        """What the call makes, and who trades how much."""
        target = self.target()
        if self.facts.deep and target is not None and self.phase != "vi_auction":
            return self._deep(*target)
        result = uncross(orders := self._together(target), self._day())
        if result is None:
            return None, []
        return result, [*allocate(orders, 1, result, self._day()), *allocate(orders, -1, result, self._day())]

    def _deep(self, price: float, volume: int) -> tuple[Uncross, list[tuple[Resting, int]]]:
        """A call that takes any order of ours whose price is met; at a price limit nobody stands on the other side."""
        shut = {1: price >= self.upper, -1: price <= self.lower}
        legs = [
            (order, order.leaves) for order in self.call
            if order.leaves and not shut[order.side] and (order.market or (order.price - price) * order.side >= 0)
        ]  # fmt: skip
        bought = sum(shares for order, shares in legs if order.side > 0)
        sold = sum(shares for _, shares in legs) - bought
        if bought != sold:
            rest = abs(bought - sold)
            legs.append((Resting(0, crowd.NAME, 1 if sold > bought else -1, price, rest), rest))
        return Uncross(price, max(volume, bought, sold), 0), legs

    def _together(self, target: tuple[float, int] | None) -> list[Resting]:
        """Orders of the call, the crowd's first."""
        if target is None:
            return list(self.call)
        others = crowd.call_orders(
            target, grid=self.grid, lower=self.lower, upper=self.upper, scale=self.scale, seed=self.seed
        )
        return [*others, *self.call]

    def _day(self) -> Day:
        last = min(max(self.grid.floor(self.last), self.lower), self.upper)
        return Day(last, self.lower, self.upper, self.grid)

    # --- what traded ----------------------------------------------------------------------------------------------

    def traded(self) -> Prints:
        """Everything that traded so far today."""
        self.sync()
        self._follow()
        return self.prints

    def trades(self) -> list[Trade]:
        """(time, price, shares) of everything that traded so far today, in the order it did."""
        return self.traded().trades

    def _took_place(self, time: int, price: float, shares: int) -> None:
        """A trade outside the flow, or one of it that went otherwise."""
        self._follow()
        self.own.append((time, price, shares))
        self.prints.add(time, price, shares)

    def _follow(self) -> None:
        """Take in the trades of the flow that took place since."""
        if self.taken == self.done:
            return
        flow, part = self.facts.flow, slice(self.taken, self.done)
        rows = zip(flow.times[part].tolist(), flow.prices[part].tolist(), flow.volumes[part].tolist(), strict=True)
        for place, trade in enumerate(rows, self.taken):
            if place not in self.clip:
                self.prints.add(*trade)
        self.taken = self.done
