"""Gate 12: an account does not trade with itself.

Contract: as `standing`. An order crosses another of the account, of any deployment, when both could meet in the book:
a buy at or above the price of a sale; an order without a price meets everything. Exits are held to it, too: who wants
out cancels the order in the way first.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from quantkit.live.risk.view import Denied

if TYPE_CHECKING:
    from quantkit.live.risk.judged import Judged
    from quantkit.live.risk.view import View
    from quantkit.trading.orders import Order


def crossing(order: Order, view: View, facts: Judged) -> Denied | None:
    """12. No order of ours on the other side that it could fill."""
    for other in facts.same:
        if other.intent.side is order.intent.side:
            continue
        if order.price is None or other.price is None or _meet(order, other, buy=facts.buy):
            return Denied("SELF_CROSS", f"other={other.id} price={other.price}")
    return None


def _meet(order: Order, other: Order, *, buy: bool) -> bool:
    """Whether two priced orders of opposite sides could fill each other; with a price that is no number, yes."""
    low, high = (order.price, other.price) if buy else (other.price, order.price)
    return not (low < high)  # type: ignore[operator]  # both have prices
