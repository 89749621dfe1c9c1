"""What becomes of own orders, heard by asking: where no stream of notices is at hand.

    connect    a first look: what stands already is no news
    notices    what each further look shows that the one before did not

Contract: asks every `every` seconds, and only while an order stands or one was sent that the list does not show yet
(for `PATIENCE`). A look that fails is asked again. Nothing is invented: a fill is the difference of two cumulative
quantities at the mean price of that difference, and its time is that of the look.
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Final

from quantkit.brokers.kis.limiter import SECOND
from quantkit.errors import RetryLater
from quantkit.trading.ports import Notice

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence

    from quantkit.brokers.kis.limiter import Clock
    from quantkit.trading.ports import BrokerOrder

PATIENCE: Final = 120 * SECOND  # for an order that was sent to show in the list
_ENDS: Final = {"canceled": "canceled", "expired": "expired", "rejected": "rejected"}


class PolledNotices:
    """Notices of one account, from its list of orders."""

    def __init__(
        self, look: Callable[[], Awaitable[Sequence[BrokerOrder]]], clock: Clock, *, every: float = 3.0
    ) -> None:
        self._look, self._clock, self._every = look, clock, round(every * SECOND)
        self._seen: dict[str, BrokerOrder] = {}
        self._until = 0  # an order that was sent may show until then
        self._work = asyncio.Event()
        self._connection = 0

    async def connect(self) -> None:
        """Look, so that only what follows is news."""
        self._seen = {line.number: line for line in await self._look()}
        self._connection += 1
        self.expect()

    async def close(self) -> None:
        """Whoever listens hears no more."""
        self._connection += 1
        self._work.set()

    def expect(self) -> None:
        """Something was sent: look for it."""
        self._until = self._clock.now_ns() + PATIENCE
        self._work.set()

    async def notices(self) -> AsyncIterator[Notice]:
        """What happens to orders, until `close`."""
        connection = self._connection
        while True:
            if not self._open():
                self._work.clear()
                await self._work.wait()
            await self._clock.sleep_until(self._clock.now_ns() + self._every)
            if connection != self._connection:
                return
            with contextlib.suppress(RetryLater):
                for line in await self._look():
                    before, self._seen[line.number] = self._seen.get(line.number), line
                    for notice in news(before, line, self._clock.now_ns()):
                        yield notice

    def _open(self) -> bool:
        return self._clock.now_ns() < self._until or any(line.leaves for line in self._seen.values())


def news(before: BrokerOrder | None, line: BrokerOrder, now: int) -> Iterator[Notice]:
    """What a line says that it did not say before."""

    def notice(kind: str, quantity: int, price: float | None = None) -> Notice:
        return Notice(
            number=line.number, kind=kind, symbol=line.symbol, side=line.side, quantity=quantity, time=now,
            original=line.original, price=price, reason=line.reason,
        )  # fmt: skip

    if before is None and line.status != "rejected":
        yield notice("accepted" if line.original is None else "replaced", line.quantity, line.price)
    filled, value = (0, 0) if before is None else (before.filled, before.value)
    if line.filled > filled:
        yield notice("filled", line.filled - filled, (line.value - value) / (line.filled - filled))
    if line.status in _ENDS and (before is None or before.status == "open"):
        yield notice(_ENDS[line.status], line.quantity - line.filled, line.price)
