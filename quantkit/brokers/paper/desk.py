"""The paper broker without its wire: takes orders, watches prices, fills, and keeps the day's list.

Contract: synchronous, on the time it is given; no clock, no chance, no file. `Refused` carries a code and nothing
stands: UNKNOWN_SYMBOL, QUANTITY, INSTRUMENT_BLOCKED, SESSION_PHASE, ORDER_KIND and its kin (`market.orders.accepted`),
NO_PRICE, PRICE_TICK, PRICE_LIMIT, CONDITIONAL_AT_LIMIT, INSUFFICIENT_CASH, INSUFFICIENT_SHARES, UNKNOWN_ORDER,
NOTHING_LEFT. A cancel has a number of its own; a replacement is a new order with a new number that names the old one.
What happened to orders waits in `events`, oldest first. How orders fill: `sight`.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

from quantkit.brokers.paper.hours import PRINTS_WITHIN, Hours, day_at, hours_of
from quantkit.brokers.paper.ledger import Held, Ledger, session_after
from quantkit.brokers.paper.sight import Execution, Sight, pool_of
from quantkit.errors import BadData, ConfigError, Refused
from quantkit.market import KRX_MARKETS, MARKETS, krx, us
from quantkit.market.orders import accepted, odd_lot
from quantkit.trading.orders import OrderType, Side, TimeInForce, kind_of
from quantkit.trading.ports import InstrumentDay, Notice, Quote, Tick

if TYPE_CHECKING:
    from collections.abc import Mapping

    from quantkit.market.costs import Costs
    from quantkit.trading.ports import BrokerOrder, Cash, Position

_PRICED = (OrderType.LIMIT, OrderType.CONDITIONAL)


class Desk:
    """One paper account. markets: symbol -> market, where it is not `market`; share: the part of the volume of the
    trades that go by which orders may have."""

    def __init__(
        self, cash: int, costs: Costs, *, market: str = "KOSPI", markets: Mapping[str, str] | None = None,
        share: float = 0.25,
    ) -> None:  # fmt: skip
        unknown = {market, *(markets or {}).values()} - set(MARKETS)
        if unknown or not 0.0 < share <= 1.0:
            raise ConfigError(
                f"paper: market {sorted(unknown) or market}, share={share}: expected a known market, 0 to 1"
            )
        self.ledger = Ledger(cash, costs, unit=100 if market == "US" else 1)
        self.market, self.markets, self.share = market, dict(markets or {}), share
        self.now, self.hours = 0, Hours(-1, 0, 0, calls=False)
        self.held: dict[str, Held] = {}  # of the day
        self.sights: dict[str, Sight] = {}
        self.events: list[Notice] = []
        self.changes = 0  # of what must survive: orders, money, shares, the day
        self._number = self._execution = 0

    # --- time and prices ------------------------------------------------------------------------------------------

    def advance(self, now: int) -> None:
        """Let time pass: money settles, conditional orders turn, the orders of an ended session end."""
        self.now = max(self.now, now)
        day = day_at(self.now, self.market)
        if day != self.hours.day:
            self._expire()
            self.held, self.sights, self.hours = {}, {}, hours_of(day, self.market)
            self.ledger.settle(day)
            self.changes += 1
        if self.now >= self.hours.ends:
            self._expire()
        elif self.hours.phase(self.now) in ("closing_auction", "closed"):
            for order in self.open_orders():
                if order.type is OrderType.CONDITIONAL and order.price is not None and self.now >= self.hours.opens:
                    order.price, order.passive = None, False
                    self.changes += 1

    def learn(self, facts: InstrumentDay) -> None:
        """What is known of a name today. Without it, and without a base price, the name takes no orders."""
        if not 0.0 < facts.base < np.inf:
            return
        market = self.market_of(facts.symbol)
        if facts.symbol in self.sights and self.sights[facts.symbol].facts == facts:
            return
        lower, upper = _limits(facts, market, _date(self.hours.day))
        if facts.symbol in self.sights:
            sight = self.sights[facts.symbol]
            sight.facts, sight.lower, sight.upper = facts, lower, upper
        else:
            self.sights[facts.symbol] = Sight(facts, lower, upper)

    def observe(self, item: Tick | Quote, now: int) -> None:
        """A trade or a quote went by."""
        self.advance(now)
        sight = self.sights.get(item.symbol)
        if sight is None:
            return
        if isinstance(item, Quote):
            sight.see(item)
            if self._trades(sight):
                for order in self.open_orders(item.symbol):
                    self._work(order, sight)
        elif item.volume > 0:
            self._trade(item, sight)

    def _trade(self, tick: Tick, sight: Sight) -> None:
        hours = self.hours
        first = hours.calls and not sight.opened and 0 <= tick.time - hours.opens < PRINTS_WITHIN
        if tick.auction or first or (hours.calls and tick.time >= hours.closes):
            sight.opened = True
            self._print(tick, sight)
        elif self._trades(sight):
            pool, sight.last = pool_of(tick.volume, self.share), tick.price
            for order in self.open_orders(tick.symbol):
                found = sight.hit(order, tick, pool)
                if found is not None:
                    pool -= self._fill(order, found)
                if not order.passive and sight.quote is None:
                    self._had_its_chance(order, rests=not sight.crosses(order))
        sight.last = tick.price

    def _print(self, tick: Tick, sight: Sight) -> None:
        """The single price of an auction: market orders first, then as they came."""
        pool = pool_of(tick.volume, self.share)
        for order in sorted(self.open_orders(tick.symbol), key=lambda each: (each.price is not None, each.number)):
            found = sight.printed(order, tick.price, pool)
            if found is not None:
                pool -= self._fill(order, found)
            order.passive = False  # what is left looks at the book anew

    def _trades(self, sight: Sight) -> bool:
        """Whether a name trades continuously now."""
        hours = self.hours
        if hours.phase(self.now) != "continuous":
            return False
        return not hours.calls or sight.opened or self.now >= hours.opens + PRINTS_WITHIN

    def _work(self, order: Held, sight: Sight) -> None:
        """Let an order take from the book; where nobody has quoted one, it waits for the next trade."""
        immediate = order.tif is not TimeInForce.DAY
        if sight.quote is None:
            order.passive = not immediate and not sight.crosses(order)
            return
        short = sum(found.shares for found in sight.available(order)) < order.leaves
        if not (order.tif is TimeInForce.FOK and short):
            for found in sight.take(order):
                self._fill(order, found)
        self._had_its_chance(order)

    def _had_its_chance(self, order: Held, *, rests: bool = True) -> None:
        """What is left of an order that could trade: it ends, rests at its price, or takes from the next trade."""
        if order.tif is not TimeInForce.DAY:
            self._end(order, "canceled", "NOT_FILLED_AT_ONCE")
        else:
            order.passive = rests and order.price is not None

    # --- orders ---------------------------------------------------------------------------------------------------

    def submit(
        self, symbol: str, side: Side, quantity: int, *, type: OrderType, price: float | None, tif: TimeInForce  # noqa: A002
    ) -> Held:  # fmt: skip
        """Take an order, or refuse it."""
        sight = self._sight(symbol)
        self._accepts(sight, type, tif, quantity)
        price = self._price(sight, side, type, price)
        order = self._made(symbol, side, quantity, type, tif, price, sight)
        self._affordable(order, room=0)
        return self._enter(order, sight, "accepted")

    def cancel(self, number: str, symbol: str, quantity: int) -> str:
        """Take what is left of an order off, or `quantity` of it (0: all); the number of the cancel."""
        order = self._working(number, symbol)
        shares = min(quantity, order.leaves) if quantity > 0 else order.leaves
        self._number += 1
        self._end(order, "canceled", "CANCELED", shares)
        return f"{self._number:010d}"

    def replace(self, number: str, symbol: str, quantity: int, price: float | None) -> Held:
        """Replace what is left of an order by `quantity` of it, or less, at another price (None: at the market)."""
        old, sight = self._working(number, symbol), self._sight(symbol)
        kind = OrderType.MARKET if price is None else old.type if old.type in _PRICED else OrderType.LIMIT
        shares = min(quantity, old.leaves)
        self._accepts(sight, kind, TimeInForce.DAY, shares)
        price = self._price(sight, old.side, kind, price)
        new = self._made(symbol, old.side, shares, kind, TimeInForce.DAY, price, sight)
        self._affordable(new, room=self.ledger.bound(old) if old.side is Side.BUY else old.leaves)
        new.original = number
        self._end(old, "canceled", "REPLACED", quiet=True)
        return self._enter(new, sight, "replaced")

    def _made(
        self, symbol: str, side: Side, quantity: int, type: OrderType, tif: TimeInForce, price: float | None,  # noqa: A002
        sight: Sight,
    ) -> Held:  # fmt: skip
        limit = price
        if limit is None:
            limit = sight.upper if sight.upper < np.inf else sight.last or sight.facts.base
        return Held(
            number="", symbol=symbol, market=self.market_of(symbol), side=side, quantity=quantity, leaves=quantity,
            type=type, tif=tif, price=price, limit=limit, time=self.now,
        )  # fmt: skip

    def _enter(self, order: Held, sight: Sight, word: str) -> Held:
        self._number += 1
        order.number = f"{self._number:010d}"
        self.held[order.number] = order
        self.changes += 1
        self._tell(order, word, order.quantity, price=order.price)
        if self._trades(sight):
            self._work(order, sight)
        return order

    def _sight(self, symbol: str) -> Sight:
        if symbol not in self.sights:
            raise Refused("UNKNOWN_SYMBOL", f"nothing is known of {symbol} today")
        return self.sights[symbol]

    def _accepts(self, sight: Sight, type: OrderType, tif: TimeInForce, quantity: int) -> None:  # noqa: A002
        symbol, facts = sight.facts.symbol, sight.facts
        if quantity < 1:
            raise Refused("QUANTITY", f"{symbol}: {quantity} shares; 1 or more are needed")
        if odd := odd_lot(quantity, self.market_of(symbol)):
            raise Refused("QUANTITY", f"{symbol}: {odd}")
        if facts.halted:
            raise Refused("INSTRUMENT_BLOCKED", f"{symbol} is halted")
        phase = self.hours.phase(self.now)
        if phase == "closed":
            raise Refused("SESSION_PHASE", f"{symbol}: the exchange is closed")
        status = "liquidation" if facts.liquidation else "administrative" if facts.managed else "trading"
        status = "overheated" if status == "trading" and facts.single_price else status
        why = _taken(kind_of(type, tif), self.hours.day, phase, self.market_of(symbol), status)
        if why:
            code, _, words = why.partition(" ")
            raise Refused(code, f"{symbol}: {words}")

    def _price(self, sight: Sight, side: Side, type: OrderType, price: float | None) -> float | None:  # noqa: A002
        """The limit an order gets, None for a market order."""
        symbol = sight.facts.symbol
        if type is OrderType.MARKET:
            return None
        if type not in _PRICED:
            other = Side.SELL if side is Side.BUY else Side.BUY
            found = sight.nearest(other if type is OrderType.BEST else side)
            if found is None:
                raise Refused("NO_PRICE", f"{symbol}: nobody stands on the side that a {type} order asks")
            return found
        if price is None or not 0 < price < np.inf:
            raise Refused("PRICE_TICK", f"{symbol}: a {type} order with price {price}")
        if _floored(price, self.hours.day, self.market_of(symbol)) != price:
            raise Refused("PRICE_TICK", f"{symbol}: {price:g} is off the grid")
        if not sight.lower <= price <= sight.upper:
            raise Refused("PRICE_LIMIT", f"{symbol}: {price:g} is outside {sight.lower:g} to {sight.upper:g}")
        if type is OrderType.CONDITIONAL and sight.locked(side, price):
            raise Refused("CONDITIONAL_AT_LIMIT", f"{symbol}: a conditional {side} at the limit price {price:g}")
        return price

    def _affordable(self, order: Held, *, room: int) -> None:
        """Refuse what the account cannot bear; `room` is what a replaced order gives back."""
        if order.side is Side.BUY:
            cost, left = self.ledger.bound(order), self.ledger.orderable(self.open_orders()) + room
            if cost > left:
                raise Refused("INSUFFICIENT_CASH", f"{order.symbol}: {cost} are needed, {left} can be bound")
        else:
            held = self.sellable(order.symbol) + room
            if order.quantity > held:
                raise Refused("INSUFFICIENT_SHARES", f"{order.symbol}: {order.quantity} to sell, {held} can be bound")

    def _working(self, number: str, symbol: str) -> Held:
        order = self.held.get(number)
        if order is None or order.symbol != symbol:
            raise Refused("UNKNOWN_ORDER", f"there is no order {number} of {symbol} today")
        if not order.leaves:
            raise Refused("NOTHING_LEFT", f"order {number} is {order.status}: nothing is left of it")
        return order

    # --- what becomes of them -------------------------------------------------------------------------------------

    def _fill(self, order: Held, found: Execution) -> int:
        """Book an execution, cut to what the money bears (a market order may cost more than it bound); the shares."""
        shares, ledger = min(found.shares, order.leaves), self.ledger
        if order.side is Side.BUY and found.price > order.limit:
            room = ledger.orderable(self.open_orders()) + ledger.bound(order)
            shares = min(shares, int(room / (found.price * ledger.unit * 1.01)))
        if shares < 1:
            return 0
        day = self.hours.day
        commission, tax = ledger.fill(
            order, shares, found.price, tax_rate=_tax_rate(day, order.market),
            settles=session_after(day, 2, order.market),
        )  # fmt: skip
        self._execution += 1
        self.changes += 1
        self._tell(order, "filled", shares, price=found.price, execution=f"{self._execution:08d}",
                   commission=commission, tax=tax)  # fmt: skip
        return shares

    def _end(self, order: Held, status: str, reason: str, shares: int | None = None, *, quiet: bool = False) -> None:
        """What is left of an order, or `shares` of it, will not trade."""
        gone = order.leaves if shares is None else shares
        if gone < 1:
            return
        order.leaves -= gone
        self.changes += 1
        if not order.leaves:
            order.status, order.reason = status, reason
        if not quiet:
            self._tell(order, status, gone, reason=reason)

    def _expire(self) -> None:
        for order in self.open_orders():
            self._end(order, "expired", "SESSION_ENDED")

    def _tell(self, order: Held, kind: str, quantity: int, **more: Any) -> None:
        self.events.append(
            Notice(number=order.number, kind=kind, symbol=order.symbol, side=order.side, quantity=quantity,
                   time=self.now, original=order.original, cumulative=order.filled, **more)
        )  # fmt: skip

    def act(
        self, symbol: str, *, share_ratio: float = 1.0, cash_per_share: float = 0.0, tax_rate: float = 0.154
    ) -> None:
        """Book a corporate action of the morning: shares times the ratio, cut to whole ones, and a dividend paid at
        once less its tax."""
        held, ledger = self.ledger.shares.get(symbol, 0), self.ledger
        ledger.settled += int(held * cash_per_share * ledger.unit * (1.0 - tax_rate))
        if held and share_ratio != 1.0:
            left = int(held * share_ratio + 1e-9)
            ledger.shares.pop(symbol)
            spent = ledger.spent.pop(symbol)
            if left:
                ledger.shares[symbol], ledger.spent[symbol] = left, spent
        self.changes += 1

    # --- questions ------------------------------------------------------------------------------------------------

    def market_of(self, symbol: str) -> str:
        """The market of a name."""
        return self.markets.get(symbol, self.market)

    def open_orders(self, symbol: str | None = None) -> list[Held]:
        """Orders of which something is left, oldest first."""
        return [each for each in self.held.values() if each.leaves and symbol in (None, each.symbol)]

    def lines(self) -> list[BrokerOrder]:
        """The list of the day."""
        return [order.line() for order in self.held.values()]

    def positions(self) -> list[Position]:
        """Shares held."""
        return self.ledger.positions(self.open_orders())

    def cash(self) -> Cash:
        """Money by settlement day."""
        return self.ledger.cash(self.open_orders(), session_after(self.hours.day, 1, self.market))

    def orderable(self) -> int:
        """What another buy may bind."""
        return max(0, self.ledger.orderable(self.open_orders()))

    def sellable(self, symbol: str) -> int:
        """What another sale may bind."""
        return self.ledger.sellable(symbol, self.open_orders())

    # --- memory ---------------------------------------------------------------------------------------------------

    def to_json(self) -> dict[str, Any]:
        """Everything that must survive, as JSON's own types."""
        needed = {order.symbol for order in self.open_orders()}
        facts = [_fields(sight.facts) for symbol, sight in self.sights.items() if symbol in needed]
        return {
            "now": self.now, "day": self.hours.day, "number": self._number, "execution": self._execution,
            "ledger": self.ledger.to_json(), "orders": [order.to_json() for order in self.held.values()],
            "facts": facts,
        }  # fmt: skip

    def read(self, data: dict[str, Any]) -> None:
        """Take over what `to_json` wrote."""
        self.now, self._number, self._execution = data["now"], data["number"], data["execution"]
        self.hours = hours_of(data["day"], self.market) if data["day"] >= 0 else self.hours
        self.ledger.read(data["ledger"])
        self.held = {each["number"]: Held.from_json(each) for each in data["orders"]}
        for facts in data["facts"]:
            self.learn(InstrumentDay(**facts))


def _fields(facts: InstrumentDay) -> dict[str, Any]:
    return {name: getattr(facts, name) for name in InstrumentDay.__slots__}


def _date(day: int) -> np.datetime64:
    return np.datetime64(day, "D")


def _limits(facts: InstrumentDay, market: str, date: np.datetime64) -> tuple[float, float]:
    """(lower, upper) limit price of a name's day."""
    if market not in KRX_MARKETS or facts.liquidation:
        return 0.0, float("inf")
    if facts.first_day:
        lower, upper = krx.ipo_band(facts.base, date, market)
    else:
        lower, upper = krx.price_limits(facts.base, date, market, leverage=facts.leverage)
    return float(lower), float(upper)


@lru_cache(4096)
def _taken(kind: str, day: int, phase: str, market: str, status: str) -> str:
    """ "" where the exchange takes such an order, else a code and words."""
    try:
        return accepted(kind, date=_date(day), phase=phase, market=market, status=status)
    except BadData as unknown:
        return f"ORDER_KIND {unknown}"


@lru_cache(8192)
def _floored(price: float, day: int, market: str) -> float:
    """The price of the grid at or below a price."""
    if market == "NONE":
        return price
    return float((us if market == "US" else krx).floor_tick(price, _date(day), market))


@lru_cache(256)
def _tax_rate(day: int, market: str) -> float:
    return float(krx.sale_tax_rate(_date(day), market)) if market in KRX_MARKETS else 0.0
