"""Gates 9 to 11, 13 and 14: size, concentration, cash and shares, rate, losses.

Contract: as `standing`. The money limits are the fold's own (`RiskLimits`), looked at again with what is known now, at
the price the fold used: the limit that a rule gave its order, else the close the order was decided on, else the price
it binds money at. As in the fold they stop risk from growing, never from shrinking: a rule's own sale opens no short.
Working orders count as if they had filled.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from quantkit.live.risk.judged import amount, cost, known, positive
from quantkit.live.risk.view import Denied
from quantkit.market.orders import odd_lot
from quantkit.trading.orders import Side, Status

if TYPE_CHECKING:
    from quantkit.live.risk.judged import Judged
    from quantkit.live.risk.view import View
    from quantkit.trading.orders import Order

_SLACK = 1.0 + 1e-9
_LIMITED = frozenset({"limit", "conditional"})


def quantity(order: Order, view: View, facts: Judged) -> Denied | None:
    """7. A whole number of shares, one or more, and of lots (ELW: ten)."""
    if type(order.quantity) is not int or facts.quantity < 1:
        return Denied("BAD_ORDER", f"quantity={order.quantity} filled={order.filled}")
    odd = odd_lot(facts.quantity, view.market)
    return Denied("BAD_ORDER", odd) if odd else None


def size(order: Order, view: View, facts: Judged) -> Denied | None:
    """9. One order's money, shares, and part of equity and of the name's volume."""
    if not _grows(order, facts):
        return None
    limits, shares = view.limits, facts.quantity
    if limits.max_order_shares is not None and shares > limits.max_order_shares:
        return Denied("ORDER_TOO_LARGE", f"shares={shares} limit={limits.max_order_shares}")
    if limits.max_order_adv is not None and (not positive(view.adv) or shares > limits.max_order_adv * view.adv):
        return Denied("ORDER_TOO_LARGE", f"shares={shares} adv={view.adv} limit={limits.max_order_adv:g}")
    if limits.max_order_value is None and limits.max_order_weight is None:
        return None
    value = _value(order, view, facts)
    if value is None:
        return Denied("ORDER_TOO_LARGE", "its price is not known")
    if limits.max_order_value is not None and value > limits.max_order_value * view.unit:
        return Denied("ORDER_TOO_LARGE", f"value={value} limit={limits.max_order_value:g}")
    if limits.max_order_weight is not None and not value <= limits.max_order_weight * view.equity * _SLACK:
        return Denied("ORDER_TOO_LARGE", f"value={value} equity={view.equity} limit={limits.max_order_weight:g}")
    return None


def names(order: Order, view: View, facts: Judged) -> Denied | None:
    """10. Names held or being bought."""
    most, symbol = view.limits.max_names, order.intent.symbol
    if most is None or facts.held or not _grows(order, facts):
        return None
    taken = {name for name, shares in view.positions.items() if shares}
    taken |= {each.intent.symbol for each in _own(order, view) if _adds(each, view)}
    if symbol in taken or len(taken) < most:
        return None
    return Denied("MAX_POSITIONS", f"names={len(taken)} limit={most}")


def weight(order: Order, view: View, facts: Judged) -> Denied | None:
    """10. One name's share of equity after the order."""
    most = view.limits.max_weight
    if most is None or not _grows(order, facts):
        return None
    mark = view.prices.get(order.intent.symbol) if facts.held else 0.0
    alike = [each for each in _own(order, view) if each.intent.symbol == order.intent.symbol and _adds(each, view)]
    value, waiting = _value(order, view, facts), _worth(alike, view)
    if value is None or waiting is None or not known(mark):
        return Denied("MAX_WEIGHT", f"mark={mark}: a price is missing")
    side = 1 if facts.buy else -1
    after = value + waiting + amount(mark or 0.0, max(0, side * facts.held), view.unit)
    if not after <= most * view.equity * _SLACK:
        return Denied("MAX_WEIGHT", f"value={after} equity={view.equity} limit={most:g}")
    return None


def exposure(order: Order, view: View, facts: Judged) -> Denied | None:
    """10. All positions over equity, with what is being bought and sold."""
    most = view.limits.max_exposure
    if most is None or not _grows(order, facts):
        return None
    total = _value(order, view, facts)
    for symbol, shares in view.positions.items():
        mark = view.prices.get(symbol) if shares else 0.0
        if total is None or not known(mark):
            return Denied("MAX_EXPOSURE", f"symbol={symbol} mark={mark}: a price is missing")
        total += amount(mark or 0.0, abs(shares), view.unit)
    own = _own(order, view)
    bought = _worth([each for each in own if _adds(each, view)], view)
    sold = _worth([each for each in own if _takes(each, view)], view)
    if total is None or bought is None or sold is None:
        return Denied("MAX_EXPOSURE", "the price of an order is missing")
    after = total + bought - sold
    if not after <= most * view.equity * _SLACK:
        return Denied("MAX_EXPOSURE", f"value={after} equity={view.equity} limit={most:g}")
    return None


def cash(order: Order, view: View, facts: Judged) -> Denied | None:
    """11. A buy binds its price, at worst the upper limit, and its commission; `min_cash` stays free."""
    if not facts.buy or (facts.reduces and view.limits.short):  # what is bought back is paid for by its own sale
        return None
    if not positive(facts.worst):
        return Denied("INSUFFICIENT_CASH", f"price={facts.worst}: what it may cost is not known")
    needed = cost(amount(facts.worst, facts.quantity, view.unit), view)
    room = view.available - (view.limits.min_cash or 0.0) * view.unit
    if not needed <= room:
        return Denied("INSUFFICIENT_CASH", f"needed={needed} available={room:.0f}")
    return None


def shares(order: Order, view: View, facts: Judged) -> Denied | None:
    """11. Nothing is sold that is not there."""
    if facts.buy or view.limits.short or (facts.reduces and facts.quantity <= view.sellable):
        return None
    return Denied("INSUFFICIENT_SHARES", f"quantity={facts.quantity} held={facts.held} sellable={view.sellable}")


def rate(order: Order, view: View, facts: Judged) -> Denied | None:
    """13. Orders of a deployment in a minute and in a day."""
    limits = view.limits
    if facts.exit:
        return None
    if not view.sent_last_minute < limits.per_minute:
        return Denied("ORDER_RATE", f"minute={view.sent_last_minute} limit={limits.per_minute}")
    if not view.sent_today < limits.per_day:
        return Denied("ORDER_RATE", f"day={view.sent_today} limit={limits.per_day}")
    return None


def losses(order: Order, view: View, facts: Judged) -> Denied | None:
    """14. Too much lost today, since the best day, or too often in a row: nothing that adds risk."""
    limits = view.limits
    if not _grows(order, facts):
        return None
    for code, most, start in (
        ("DRAWDOWN", limits.max_drawdown, view.peak_equity),
        ("DAILY_LOSS", limits.max_daily_loss, view.day_start_equity),
    ):
        if most is not None and (start is None or not start - view.equity <= most * start):
            return Denied(code, f"equity={view.equity} before={start} limit={most:g}")
    most = limits.max_loss_streak
    if most is not None and (view.losses_in_row is None or not view.losses_in_row < most):
        return Denied("LOSS_STREAK", f"losses={view.losses_in_row} limit={most}")
    return None


def _grows(order: Order, facts: Judged) -> bool:
    """Whether a position may grow by an order."""
    return not facts.reduces and not _own_sale(order)


def _own_sale(order: Order) -> bool:
    """Whether a rule sells by itself: the fold cuts that to the shares held, whatever it says."""
    return order.intent.rule == "own" and order.intent.side is Side.SELL


def _value(order: Order, view: View, facts: Judged) -> int | None:
    """What an order is worth for the limits; None where no price is known."""
    price = _decided_at(order)
    if price is None:
        price = facts.worst
    return amount(price, facts.quantity, view.unit) if positive(price) else None


def _decided_at(order: Order) -> float | None:
    """The price at which the fold looked at an order."""
    intent = order.intent
    given = intent.rule == "own" and intent.kind in _LIMITED and order.status is not Status.TRIGGERED
    return order.price if given else intent.decision_price


def _own(order: Order, view: View) -> list[Order]:
    """Other working orders of the same deployment."""
    return [each for each in view.working if each.intent.deployment == order.intent.deployment and each.leaves]


def _adds(order: Order, view: View) -> bool:
    """Whether a working order makes a position larger."""
    return not _takes(order, view) and not _own_sale(order)


def _takes(order: Order, view: View) -> bool:
    """Whether a working order makes a position smaller."""
    return view.positions.get(order.intent.symbol, 0) * order.intent.side.sign < 0


def _worth(orders: list[Order], view: View) -> int | None:
    """What working orders are worth; None where the price of one is missing."""
    total = 0
    for each in orders:
        price = _decided_at(each)
        if price is None:
            price = each.price if each.price is not None else view.prices.get(each.intent.symbol)
        if not positive(price):
            return None
        total += amount(price, each.leaves, view.unit)
    return total
