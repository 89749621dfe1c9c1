"""What several gates need to know of an order, worked out once: `Judged`.

Contract: pure. An order *reduces* when it can only bring the position nearer to nothing: a sale of no more than is held
and not on sale already, a purchase of no more than is short. That is a fact of the position, whatever the order says of
itself; an *exit* is an order that says so and does.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple, TypeGuard

from quantkit.live.risk import exchange
from quantkit.trading.orders import Side

if TYPE_CHECKING:
    from quantkit.live.risk.view import View
    from quantkit.trading.orders import Order


class Judged(NamedTuple):
    """Facts of one order. Prices that are not known are NaN."""

    buy: bool
    quantity: int  # shares that may still fill
    held: int  # of the deployment; below 0: short
    reduces: bool
    exit: bool
    into_call: bool  # it goes into an auction
    reference: float  # what its price is measured against: the last price, in auctions the day's base price
    lower: float  # limits of the day
    upper: float
    worst: float  # price at which it binds money
    same: tuple[Order, ...]  # other orders of the name that stand or may stand


def known(value: float | None) -> TypeGuard[float]:
    """Whether a number is there: neither missing, NaN nor infinite."""
    return value is not None and math.isfinite(value)


def positive(value: float | None) -> TypeGuard[float]:
    """Whether a number is there and above 0."""
    return value is not None and 0.0 < value < math.inf


def amount(price: float, quantity: int, unit: int) -> int:
    """Value in minor units, rounded to the nearest, as the account counts it."""
    return math.floor(price * quantity * unit + 0.5)


def cost(value: int, view: View) -> int:
    """What a buy of that value needs: the value and its commission."""
    if view.costs is None:
        return value
    return value + view.costs.commission_on(value, market=view.market)


def judged(order: Order, view: View) -> Judged:
    """The facts of an order."""
    intent = order.intent
    symbol, buy = intent.symbol, intent.side is Side.BUY
    quantity = order.quantity - order.filled
    same = tuple(other for other in view.working if other.intent.symbol == symbol and other.leaves)
    held = view.positions.get(symbol, 0)
    on_its_way = sum(
        other.leaves for other in same
        if other.intent.side is intent.side and other.intent.deployment == intent.deployment
    )  # fmt: skip
    room = (-held if buy else held) - on_its_way
    reduces = 0 < quantity <= room
    into_call = view.phase in exchange.CALLS or (view.ask == "new" and intent.window.phase in exchange.CALLS)
    reference = view.base if into_call else view.last_price
    lower, upper = _limits(view)
    worst = order.price
    if worst is None:
        worst = upper if math.isfinite(upper) else reference
    return Judged(
        buy, quantity, held, reduces, reduces and intent.reduces, into_call,
        math.nan if reference is None else reference, lower, upper, math.nan if worst is None else worst, same,
    )  # fmt: skip


def _limits(view: View) -> tuple[float, float]:
    """(lower, upper) limit price of the day; NaN where the base price is missing."""
    if not view.raw:
        return 0.0, math.inf
    today = view.instrument
    leverage, first, liquidation = (
        (1.0, False, False) if today is None else (today.leverage, today.first_day, today.liquidation)
    )
    base = math.nan if view.base is None else view.base
    return exchange.limits(base, view.date, view.market, leverage, first, liquidation)
