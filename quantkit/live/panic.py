"""Cancel everything by the broker port alone: for when the engine is dead.

Contract: asks the broker for its list, cancels whatever has something left, and asks again until nothing is left or
`rounds` are over: a cancel may be repeated, its answer is not believed before the list agrees. It places no order and
reads no journal. Every request has a limit of time.
Called by `quantkit panic`.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING

from quantkit.errors import OutcomeUnknown, Refused, RetryLater

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from quantkit.trading.ports import Broker, BrokerOrder


@dataclass(frozen=True, slots=True)
class Panicked:
    """What came of it. left: orders that stand still, as last seen; None: the list could not be had."""

    cancelled: tuple[str, ...]
    left: tuple[BrokerOrder, ...] | None
    problems: tuple[str, ...]

    @property
    def done(self) -> bool:
        """Whether the broker's own list shows nothing open."""
        return self.left == ()


async def cancel_all(
    broker: Broker, *, rounds: int = 8, pause: float = 1.0, patience: float = 10.0,
    sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
) -> Panicked:  # fmt: skip
    """Cancel every open order of the account. Refused where the broker does not let us in; seconds throughout."""
    asked: dict[str, None] = {}
    problems: list[str] = []
    left: tuple[BrokerOrder, ...] | None = None
    connected = False
    for turn in range(rounds):
        if turn:
            await sleep(pause)
        try:
            if not connected:
                await asyncio.wait_for(broker.connect(), patience)
                connected = True
            left = _open(await asyncio.wait_for(broker.orders(), patience))
        except (RetryLater, OutcomeUnknown, TimeoutError) as problem:
            problems.append(_said("orders", problem))
            continue
        if not left:
            break
        for order in left:
            try:
                await asyncio.wait_for(broker.cancel(order.number, order.symbol, order.leaves), patience)
                asked[order.number] = None
            except (Refused, RetryLater, OutcomeUnknown, TimeoutError) as problem:
                problems.append(_said(f"cancel {order.number} {order.symbol}", problem))
    await broker.close()
    standing = {order.number for order in left or ()}
    return Panicked(tuple(number for number in asked if number not in standing), left, tuple(problems))


def _open(orders: Sequence[BrokerOrder]) -> tuple[BrokerOrder, ...]:
    return tuple(order for order in orders if order.leaves)


def _said(what: str, problem: BaseException) -> str:
    return f"{what}: {str(problem) or type(problem).__name__}"
