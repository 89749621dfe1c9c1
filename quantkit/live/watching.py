"""What we hold ourselves, watched on ticks: stops, trailing stops and brackets of a rule, and the policy's own stops.

Contract: a price that may bring something to act is walked through as a bar of that one price, by the fold's own step
on a copy of the state; what the copy fills is what has to be sent, as a limit with the collar. Peaks and trailing
extremes follow the price in the book's own state; goals, shares and cash move with the broker's fills alone. Each order
comes once: from then on it is the broker's.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from quantkit.core.bench import Bench
from quantkit.core.state import (
    KIND_STOP_LIMIT,
    N_ORDERS,
    RULE_STOP,
    RULE_TAKE_GAP,
    STAGE_LIVE,
    STAGE_TRIGGERED,
    Inputs,
    copy_state,
)
from quantkit.core.steps import WATCH
from quantkit.data.bars import TRADED
from quantkit.live.wanted import STOP_RULES, Wanted

if TYPE_CHECKING:
    from quantkit.core.state import Records

_FOLLOWED = ("extreme", "level", "stop", "from_open")
_ENOUGH = 1e15  # shares that no cap on a bar's volume leaves wanting: how much fills is the exchange's to say


class Stop(NamedTuple):
    """A stop of the policy that was sent."""

    symbol: int
    side: int
    quantity: int
    rule: int
    filled: int


class Watcher:
    """Watches one bench. stops: the policy's that were sent and are not over, by id in the fold."""

    def __init__(self, bench: Bench) -> None:
        self.bench = bench
        self.stops: dict[int, Stop] = {}
        self.sent: set[int] = set()  # held orders that were sent
        self._levels: dict[int, tuple[float, float]] = {}
        self._copy: Bench | None = None

    def forget_levels(self) -> None:
        """Something has changed."""
        self._levels.clear()

    def watch(self, s: int, price: float, row: Inputs) -> tuple[Wanted, ...] | None:
        """See `Book.watch`."""
        if s not in self._levels:
            self.bench.lay(row)
            self._levels[s] = self.bench.levels(s)
        below, above = self._levels[s]
        if below < price < above:
            return None
        self._levels.pop(s)
        copy = self._walked(s, price, row)
        tables = copy.drained()
        moved = self._follow(s, copy)
        found = [self._stop(fill, price) for fill in tables.fills if RULE_STOP <= fill["rule"] <= RULE_TAKE_GAP]
        own = [self._held(fill, price) for fill in tables.fills if not RULE_STOP <= fill["rule"] <= RULE_TAKE_GAP]
        wanted = tuple(each for each in (*found, *own, *self._limits(s, copy)) if each is not None)
        return wanted if wanted or moved else None

    def filled(self, order: int, quantity: int) -> None:
        """A stop of the policy filled."""
        stop = self.stops[order]
        stop = self.stops[order] = stop._replace(filled=stop.filled + quantity)
        if stop.filled >= stop.quantity:
            self._end(order, 0)

    def dropped(self, order: int, reason: int) -> bool:
        """A stop of the policy was ended by others; False where the order is none."""
        self.sent.discard(order)
        if order not in self.stops:
            return False
        self._end(order, reason)
        return True

    def to_json(self) -> dict[str, Any]:
        """As JSON's own types."""
        return {"stops": [[order, *stop] for order, stop in self.stops.items()], "sent": sorted(self.sent)}

    def from_json(self, data: dict[str, Any]) -> None:
        """Be as `to_json` said."""
        self.stops = {order: Stop(*rest) for order, *rest in data["stops"]}
        self.sent = set(data["sent"])

    def _end(self, order: int, reason: int) -> None:
        stop = self.stops.pop(order)
        self.bench.stop_ended(order, stop.symbol, stop.side, stop.quantity, stop.filled, stop.rule, reason)

    def _walked(self, s: int, price: float, row: Inputs) -> Bench:
        """A copy of the bench after a bar of one price of one name."""
        if self._copy is None:
            self._copy = Bench(copy_state(self.bench.state), self.bench.plan, rule=self.bench.rule)
        copy = self._copy
        copy.copy_from(self.bench.state)
        copy.rule = self.bench.rule
        flags = row.flags & np.uint8(255 - TRADED)
        flags[0, s] |= TRADED
        prices = np.full(flags.shape, price)
        volume = np.full(row.volume.shape, _ENOUGH)
        copy.lay(row._replace(open=prices, high=prices, low=prices, close=prices, flags=flags, volume=volume))
        table = copy.state.orders[: int(copy.state.account[N_ORDERS])]
        table["mute"][np.isin(table["id"], list(self.sent))] = 1
        copy.take(WATCH)
        return copy

    def _follow(self, s: int, copy: Bench) -> bool:
        """Peaks and trailing extremes see the price; whether that moved one."""
        state = self.bench.state
        rows = int(state.account[N_ORDERS])
        mine = np.flatnonzero(state.orders["symbol"][:rows] == s)
        places: list[tuple[Any, Any, Any]] = [(state.names["peak"], copy.state.names["peak"], s)]
        places += [(state.orders[name], copy.state.orders[name], mine) for name in _FOLLOWED]
        moved = False
        for ours, theirs, where in places:
            moved |= ours[where].tobytes() != theirs[where].tobytes()
            ours[where] = theirs[where]
        return moved

    def _stop(self, fill: Records, price: float) -> Wanted | None:
        s, side, rule = int(fill["symbol"]), int(fill["side"]), int(fill["rule"])
        if any(stop.symbol == s for stop in self.stops.values()):
            return None
        order, quantity = self.bench.new_id(), abs(int(self.bench.state.names["shares"][s]))
        self.stops[order] = Stop(s, side, quantity, rule, 0)
        limit = self.bench.collar(s, side, price)
        return Wanted(order, s, side, quantity, limit, "market", "day", STOP_RULES[rule], 0)

    def _held(self, fill: Records, price: float) -> Wanted:
        order, s, side = int(fill["order_id"]), int(fill["symbol"]), int(fill["side"])
        state = self.bench.state
        k = int(np.flatnonzero(state.orders["id"][: int(state.account[N_ORDERS])] == order)[0])
        state.orders["stage"][k] = STAGE_TRIGGERED
        self.sent.add(order)
        limit = self.bench.collar(s, side, price)
        tag = int(state.orders["tag"][k])
        return Wanted(order, s, side, int(fill["quantity"]), limit, "market", "day", "own", tag)

    def _limits(self, s: int, copy: Bench) -> list[Wanted]:
        """Stop-limits whose trigger was met: limit orders from now on."""
        state, found = self.bench.state, []
        for k in range(int(state.account[N_ORDERS])):
            mine, theirs = state.orders[k], copy.state.orders[k]
            met = mine["kind"] == KIND_STOP_LIMIT and mine["symbol"] == s and mine["stage"] == STAGE_LIVE
            if met and theirs["stage"] == STAGE_TRIGGERED:
                mine["stage"], mine["fresh"], mine["level"] = STAGE_TRIGGERED, 2, theirs["level"]
                left = int(mine["qty"] - mine["filled"])
                found.append(
                    Wanted(int(mine["id"]), s, int(mine["side"]), left, float(mine["level"]), "limit", "day", "own",
                           int(mine["tag"]))
                )  # fmt: skip
        return found
