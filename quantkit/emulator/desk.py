"""Where orders come in: what the exchange and the broker before it check, and what they book.

Contract: synchronous, on the exchange's own time. `Refused` carries a code and nothing stands:

    UNKNOWN_ACCOUNT  UNKNOWN_SYMBOL  QUANTITY  INSTRUMENT_BLOCKED  SESSION_PHASE
    ORDER_KIND, ORDER_NOT_YET, ORDER_MARKET, ORDER_PHASE, ORDER_STATUS     as `market.orders.accepted` says
    PRICE_TICK  PRICE_LIMIT  NO_PRICE  CONDITIONAL_AT_LIMIT  INSUFFICIENT_CASH  INSUFFICIENT_SHARES
    UNKNOWN_ORDER  NOTHING_LEFT

A cancel has a number of its own and leaves the order's; a replacement is a new order with a new number that names the
old one, without its place in the queue. Not confirmed: a 최유리 or 최우선 order where there is no price to take is
refused (NO_PRICE).
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from quantkit.emulator import crowd
from quantkit.emulator.accounts import Account, Placed
from quantkit.emulator.book import Resting
from quantkit.errors import ConfigError, Refused
from quantkit.market import krx, orders
from quantkit.market.costs import Costs
from quantkit.trading.orders import OrderType, Side, TimeInForce
from quantkit.trading.ports import Notice

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from quantkit.emulator.issue import Issue

_KINDS = {
    OrderType.LIMIT: "limit",
    OrderType.MARKET: "market",
    OrderType.CONDITIONAL: "conditional",
    OrderType.BEST: "best",
    OrderType.FIRST: "best_own",
}
_PRICED = (OrderType.LIMIT, OrderType.CONDITIONAL)


def kind_of(type: OrderType, tif: TimeInForce) -> str:  # noqa: A002  the field's own name
    """The word of `market.orders.KINDS` for an order."""
    if tif is TimeInForce.DAY:
        return _KINDS[type]
    return str(tif) if type is OrderType.LIMIT else f"{_KINDS[type]}_{tif}"


class Desk:
    """Accounts, the orders of the day, and who listens to them."""

    def __init__(self, costs: Costs) -> None:
        self.costs = costs
        self.accounts: dict[str, Account] = {}
        self.crowd = Account(crowd.NAME, 0, {}, Costs.free(), free=True)
        self.placed: dict[int, Placed] = {}  # of the day
        self.issues: Mapping[str, Issue] = {}
        self.date, self.settles = "", 0
        self._number = self._execution = 0
        self._taken: dict[tuple[str, str, str, str], str] = {}
        self._tax: dict[str, float] = {}
        self._listeners: dict[str, list[deque[Notice]]] = {}

    # --- the day --------------------------------------------------------------------------------------------------

    def open(self, name: str, cash: int, shares: Mapping[str, int] | None, costs: Costs | None) -> Account:
        """A new account. ConfigError where there is one of that name."""
        if name in self.accounts or name == crowd.NAME:
            raise ConfigError(f"account {name!r} exists on this exchange")
        self.accounts[name] = Account(name, cash, dict(shares or {}), costs or self.costs)
        return self.accounts[name]

    def begin(self, day: int, date: str, issues: Mapping[str, Issue], sessions: tuple[int, int]) -> None:
        """A new session; `sessions` are the next two."""
        self.date, self.issues, self.settles = date, issues, sessions[1]
        self.placed, self._taken, self._tax = {}, {}, {}
        for account in (*self.accounts.values(), self.crowd):
            account.begin(day, sessions[0])
            for issue in issues.values():
                if issue.facts.share_ratio != 1.0 and not account.free:
                    before = account.shares.get(issue.symbol, 0)
                    account.convert(issue.symbol, issue.facts.share_ratio)
                    self.crowd.shares[issue.symbol] = (
                        self.crowd.shares.get(issue.symbol, 0) + before - account.shares.get(issue.symbol, 0)
                    )

    def listen(self, account: str) -> deque[Notice]:
        """Everything that happens to an account's orders from now on, oldest first. Take from the left."""
        self.account(account)
        heard: deque[Notice] = deque()
        self._listeners.setdefault(account, []).append(heard)
        return heard

    def deafen(self, account: str, heard: deque[Notice]) -> None:
        """Stop listening."""
        self._listeners[account] = [each for each in self._listeners.get(account, []) if each is not heard]

    def account(self, name: str) -> Account:
        """An account by name; Refused where there is none."""
        found = self.accounts.get(name)
        if found is None:
            raise Refused("UNKNOWN_ACCOUNT", f"there is no account {name!r}")
        return found

    def _tell(self, order: Placed, kind: str, quantity: int, time: int, **more: object) -> None:
        listeners = self._listeners.get(order.account)
        if not listeners:
            return
        notice = Notice(
            number=order.number, kind=kind, symbol=order.symbol, side=order.side, quantity=quantity, time=time,
            original=order.original, cumulative=order.filled, **more,  # type: ignore[arg-type]
        )  # fmt: skip
        for heard in listeners:
            heard.append(notice)

    @property
    def last_number(self) -> int:
        """The latest number given to an order or a cancel."""
        return self._number

    # --- orders in ------------------------------------------------------------------------------------------------

    def submit(
        self, account: str, symbol: str, side: Side, quantity: int, *, type: OrderType, price: float | None,  # noqa: A002
        tif: TimeInForce, tag: str | None, time: int,
    ) -> Placed:  # fmt: skip
        """Take an order, or refuse it."""
        owner, issue = self.account(account), self.issue(symbol)
        self._accepts(issue, type, tif, quantity)
        price = self._price(issue, side, type, price)
        order = Placed(
            number="", account=account, symbol=symbol, side=side, quantity=quantity, type=type, tif=tif, price=price,
            time=time, tag=tag, leaves=quantity, reserve=issue.upper if price is None else price,
        )  # fmt: skip
        self._affordable(owner, order, issue)
        return self._place(owner, order, issue, time)

    def _place(self, owner: Account, order: Placed, issue: Issue, time: int, word: str = "accepted") -> Placed:
        self._number += 1
        order.number = f"{self._number:010d}"
        owner.orders[order.number] = self.placed[self._number] = order
        owner.bind(order, issue.market, time)
        order.mark(time)
        self._tell(order, word, order.quantity, time, price=order.price)
        resting = Resting(
            self._number, order.account, order.side.sign, order.price or 0.0, order.quantity,
            market=order.type is OrderType.MARKET,
        )  # fmt: skip
        if order.tif is TimeInForce.FOK:
            limit = issue.upper if order.side is Side.BUY else issue.lower
            if issue.quote().available(order.side.sign, order.price or limit) < order.quantity:
                self.end(order, time, "canceled", "NOT_FILLED_AT_ONCE")
                return order
        issue.enter(resting, time, keep=order.tif is TimeInForce.DAY)
        return order

    def issue(self, symbol: str) -> Issue:
        """A name's market of today; Refused where there is none."""
        found = self.issues.get(symbol)
        if found is None:
            raise Refused("UNKNOWN_SYMBOL", f"{symbol} is not traded today")
        found.sync()
        return found

    def _accepts(self, issue: Issue, type: OrderType, tif: TimeInForce, quantity: int) -> None:  # noqa: A002
        if quantity < 1:
            raise Refused("QUANTITY", f"{issue.symbol}: {quantity} shares; 1 or more are needed")
        if odd := orders.odd_lot(quantity, issue.market):
            raise Refused("QUANTITY", f"{issue.symbol}: {odd}")
        phase, status = issue.phase, issue.facts.status
        if phase == "halted" or status == "halted":
            raise Refused("INSTRUMENT_BLOCKED", f"{issue.symbol} is halted")
        if phase in ("before", "after"):
            raise Refused("SESSION_PHASE", f"{issue.symbol}: no orders are taken {phase} the session")
        key = (kind_of(type, tif), phase, issue.market, status)
        if key not in self._taken:
            known = orders.KINDS if key[0] in orders.KINDS else ()
            self._taken[key] = (
                orders.accepted(key[0], date=self.date, phase=phase, market=issue.market, status=status)
                if known
                else f"ORDER_KIND kind={key[0]}: there is no such order"
            )
        if self._taken[key]:
            code, _, why = self._taken[key].partition(" ")
            raise Refused(code, f"{issue.symbol}: {why}")

    def _price(self, issue: Issue, side: Side, type: OrderType, price: float | None) -> float | None:  # noqa: A002
        """The limit an order gets, None for a market order."""
        if type is OrderType.MARKET:
            return None
        if type not in _PRICED:
            book = issue.quote()
            found = book.best(-side.sign if type is OrderType.BEST else side.sign)
            if found is None:
                raise Refused("NO_PRICE", f"{issue.symbol}: nobody stands on the side that a {type} order asks")
            return found
        if price is None or not price > 0:
            raise Refused("PRICE_TICK", f"{issue.symbol}: a {type} order with price {price}")
        if not issue.grid.holds(price):
            tick = issue.grid.tick(price)
            raise Refused("PRICE_TICK", f"{issue.symbol}: {price:g} is off the grid, the tick is {tick:g}")
        if not issue.lower <= price <= issue.upper:
            raise Refused("PRICE_LIMIT", f"{issue.symbol}: {price:g} is outside {issue.lower:g} to {issue.upper:g}")
        if type is OrderType.CONDITIONAL and price == (issue.upper if side is Side.BUY else issue.lower):
            raise Refused("CONDITIONAL_AT_LIMIT", f"{issue.symbol}: a conditional {side} at the limit price {price:g}")
        return issue.grid.floor(price)

    def _affordable(self, owner: Account, order: Placed, issue: Issue) -> None:
        if order.side is Side.BUY:
            cost, left = owner.cost_of(order, issue.market), owner.orderable()
            if cost > left:
                raise Refused("INSUFFICIENT_CASH", f"{issue.symbol}: {cost} won are needed, {left} can be bound")
        elif order.quantity > owner.sellable(order.symbol):
            held = owner.sellable(order.symbol)
            raise Refused("INSUFFICIENT_SHARES", f"{issue.symbol}: {order.quantity} to sell, {held} can be bound")

    def _working(self, account: str, number: str) -> Placed:
        order = self.account(account).orders.get(number)
        if order is None:
            raise Refused("UNKNOWN_ORDER", f"there is no order {number} today")
        if not order.leaves:
            raise Refused("NOTHING_LEFT", f"order {number} is {order.status}: nothing is left of it")
        return order

    def cancel(self, account: str, number: str, quantity: int | None, time: int) -> str:
        """Take what is left of an order off, or `quantity` of it; the number of the cancel."""
        order = self._working(account, number)
        shares = order.leaves if not quantity else min(quantity, order.leaves)
        self.issue(order.symbol).remove(int(number), shares)
        self._number += 1
        self.end(order, time, "canceled", "CANCELED", shares)
        return f"{self._number:010d}"

    def replace(self, account: str, number: str, quantity: int, price: float | None, time: int) -> Placed:
        """Replace what is left of an order by `quantity` of it, or less, at another price."""
        old = self._working(account, number)
        owner, issue = self.account(account), self.issue(old.symbol)
        kind = OrderType.MARKET if price is None else old.type if old.type in _PRICED else OrderType.LIMIT
        shares = min(quantity, old.leaves)
        self._accepts(issue, kind, TimeInForce.DAY, shares)
        price = self._price(issue, old.side, kind, price)
        new = Placed(
            number="", account=account, symbol=old.symbol, side=old.side, quantity=shares, type=kind,
            tif=TimeInForce.DAY, price=price, time=time, original=number, tag=old.tag, leaves=shares,
            reserve=issue.upper if price is None else price,
        )  # fmt: skip
        if old.side is Side.BUY and (cost := owner.cost_of(new, issue.market)) > owner.orderable() + old.bound:
            raise Refused("INSUFFICIENT_CASH", f"{issue.symbol}: {cost} won are needed for the replacement")
        issue.remove(int(number), old.leaves)
        self.end(old, time, "canceled", "REPLACED", quiet=True)
        return self._place(owner, new, issue, time, "replaced")

    # --- what becomes of them -------------------------------------------------------------------------------------

    def end(
        self, order: Placed, time: int, status: str, reason: str, shares: int | None = None, *, quiet: bool = False
    ) -> None:
        """What is left of an order, or `shares` of it, will not trade."""
        gone = order.leaves if shares is None else shares
        order.leaves -= gone
        if not order.leaves:
            order.status, order.reason = status, reason
        self.accounts[order.account].bind(order, self.issues[order.symbol].market, time)
        order.mark(time)
        if not quiet:
            self._tell(order, status, gone, time, reason=reason)

    def execute(self, issue: Issue, time: int, price: float, legs: Sequence[tuple[Resting, int]]) -> None:
        """Book a trade for everybody in it."""
        others = 0
        for order, shares in legs:
            if not order.number:
                others += order.side * shares
                continue
            placed = self.placed[order.number]
            commission, tax = self.accounts[placed.account].fill(
                placed, shares, price, market=issue.market, tax_rate=self._tax_rate(issue.market), time=time,
                settles=self.settles,
            )  # fmt: skip
            placed.mark(time)
            self._execution += 1
            self._tell(
                placed, "filled", shares, time, price=price, execution=f"{self._execution:08d}", commission=commission,
                tax=tax,
            )  # fmt: skip
        if others:
            value = round(price * abs(others))
            self.crowd.move(issue.symbol, others, value, 0, time=time, settles=self.settles)

    def _tax_rate(self, market: str) -> float:
        if market not in self._tax:
            self._tax[market] = float(krx.sale_tax_rate(self.date, market))
        return self._tax[market]
