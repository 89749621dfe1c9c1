"""`Approved`: an order that has passed the gates. Only the gates can make one, and a broker takes nothing else.

Contract: `quantkit.live.risk` is the only caller of `approve`; a test reads the sources and holds that.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from quantkit.errors import Bug

if TYPE_CHECKING:
    from quantkit.trading.orders import Order

_SEAL: Final = object()


@dataclass(frozen=True, slots=True)
class Approved:
    """One order that may be sent. `quantity` and `price` are what was approved."""

    order: Order
    quantity: int
    price: float | None
    seal: object

    def __post_init__(self) -> None:
        if self.seal is not _SEAL:
            raise Bug(f"order {self.order.id} did not pass the gates: Approved is made by quantkit.live.risk alone")

    def __repr__(self) -> str:
        return f"Approved({self.order.id}, {self.quantity} at {self.price})"


def approve(order: Order, *, quantity: int | None = None, price: float | None = None) -> Approved:
    """For the gates alone."""
    return Approved(order, order.quantity if quantity is None else quantity, order.price if price is None else price,
                    _SEAL)  # fmt: skip
