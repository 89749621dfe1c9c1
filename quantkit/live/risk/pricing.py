"""Gates 7 and 8: a price the exchange knows, within the day's limits, and not far beyond the market.

Contract: as `standing`. Orders without a price pass what asks for one; what they may cost is bounded by the upper limit
price, at which they bind money (gates 9 to 11).
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

from quantkit.live.risk import exchange
from quantkit.live.risk.judged import positive
from quantkit.live.risk.view import Denied
from quantkit.trading.orders import OrderType

if TYPE_CHECKING:
    from quantkit.live.risk.judged import Judged
    from quantkit.live.risk.view import View
    from quantkit.trading.orders import Order

_SLACK: Final = 1e-9  # of the price: what binary rounding may add to a collar worked out elsewhere


def tick(order: Order, view: View, facts: Judged) -> Denied | None:
    """7. On the grid of the day."""
    price = order.price
    if price is None:
        return None
    if not positive(price):
        return Denied("PRICE_TICK", f"price={price}")
    if view.raw and not exchange.on_grid(price, view.date, view.market):
        size = exchange.tick_at(price, view.date, view.market)
        return Denied("PRICE_TICK", f"price={price:g} tick={size:g} market={view.market}")
    return None


def limit(order: Order, view: View, facts: Judged) -> Denied | None:
    """7. Within the day's limits. A conditional order may not stand at the limit it would be filled at last."""
    lower, upper = facts.lower, facts.upper
    if math.isnan(lower) or math.isnan(upper):
        return Denied("PRICE_LIMIT", f"base={view.base} market={view.market}: the day's limits are not known")
    price = order.price
    if price is None:
        return None
    if not lower <= price <= upper:
        return Denied("PRICE_LIMIT", f"price={price:g} limits={lower:g}..{upper:g}")
    if order.intent.type is OrderType.CONDITIONAL and price == (upper if facts.buy else lower):
        return Denied("PRICE_LIMIT", f"price={price:g}: no conditional order at the limit")
    return None


def collar(order: Order, view: View, facts: Judged) -> Denied | None:
    """8. Not far beyond the market: a buy above, a sale below the reference. An order that waits on the other side of
    the market harms nobody.

    In auctions the reference is the day's base price (in the closing one the last price, too: an order passes that one
    of them lets pass) and the room the policy's own collar. In continuous trading the
    reference is the last price: a person's order may go `collar` beyond it, one that the fold priced as far beyond the
    policy's collar. Exits have `exit_collar`.
    """
    price, limits = order.price, view.limits
    if price is None:
        return None
    if not positive(facts.reference):
        return Denied("PRICE_COLLAR", f"price={price:g} reference={facts.reference}: nothing to measure it against")
    references = [facts.reference]
    if facts.into_call and view.phase == "closing_auction" and positive(view.last_price):
        references.append(view.last_price)
    beyond = min((price / reference - 1.0) * (1.0 if facts.buy else -1.0) for reference in references)
    if facts.exit:
        room = limits.exit_collar
    elif facts.into_call:
        room = limits.policy_collar
    elif order.intent.fold_order < 0:
        room = limits.collar
    elif facts.buy:
        room = (1.0 + limits.policy_collar) * (1.0 + limits.collar) - 1.0
    else:
        room = 1.0 - (1.0 - limits.policy_collar) * (1.0 - limits.collar)
    if beyond <= room + _SLACK:
        return None
    return Denied("PRICE_COLLAR", f"price={price:g} reference={facts.reference:g} collar={room:g}")
