"""The gates in their order: what every order passes before it may leave, and where `Approved` is made.

Contract: `check` is pure and the only caller of `trading.approval.approve`. The first gate that says no decides. A
cancel takes risk away and passes whatever stands.

    1  TRADING_HALTED, TRADING_REDUCING        7  PRICE_TICK, PRICE_LIMIT (and BAD_ORDER: no whole lots)
    2  UNRESOLVED_SLOT                         8  PRICE_COLLAR
    3  STREAM_RECONCILING, STALE_QUOTE         9  ORDER_TOO_LARGE
    4  SESSION_PHASE                          10  MAX_POSITIONS, MAX_WEIGHT, MAX_EXPOSURE
    5  INSTRUMENT_BLOCKED                     11  INSUFFICIENT_CASH, INSUFFICIENT_SHARES
    6  DUPLICATE_SIGNAL                       12  SELF_CROSS
                                              13  ORDER_RATE
                                              14  DRAWDOWN, DAILY_LOSS, LOSS_STREAK: the deployment is to be REDUCING

What reduces a position (see `judged`) skips 9, 10 and 14; what also says so of itself, an exit, skips 13 and has a
wider collar at 8. Called by the engine for every order it sends or replaces.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from quantkit.live.risk import crossing, money, pricing, standing
from quantkit.live.risk.judged import judged
from quantkit.trading.approval import approve

if TYPE_CHECKING:
    from collections.abc import Callable

    from quantkit.live.risk.judged import Judged
    from quantkit.live.risk.view import Denied, View
    from quantkit.trading.approval import Approved
    from quantkit.trading.orders import Order

GATES: Final[tuple[Callable[[Order, View, Judged], Denied | None], ...]] = (
    standing.trading, standing.slot, standing.stream, standing.quote, standing.phase, standing.instrument,
    standing.duplicate, money.quantity, pricing.tick, pricing.limit, pricing.collar, money.size, money.names,
    money.weight, money.exposure, money.cash, money.shares, crossing.crossing, money.rate, money.losses,
)  # fmt: skip


def check(order: Order, view: View) -> Approved | Denied:
    """Whether an order may be sent (`view.ask` "new"), replaced by what it says now ("modify"), or cancelled."""
    if view.ask == "cancel":
        return approve(order)
    facts = judged(order, view)
    for gate in GATES:
        denied = gate(order, view, facts)
        if denied is not None:
            return denied
    return approve(order)
