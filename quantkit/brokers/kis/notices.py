"""Own orders as a stream tells of them, of one account: what our Broker port calls its order stream.

Contract: KIS tells an HTS id of all its accounts and of orders from anywhere; here one account is heard, the others are
counted (`notices of others`). Nothing that was missed is told again: who listens asks for the list after `connect`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from quantkit.errors import RetryLater

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from quantkit.brokers.kis.frames import OrderNotice
    from quantkit.brokers.kis.stream import Ear, KisStream
    from quantkit.trading.ports import Notice


class KisOrders:
    """Notices of one account's orders on a stream: what our Broker port calls its order stream."""

    def __init__(self, stream: KisStream, account: str) -> None:
        self._stream, self._account = stream, account
        self._ear: Ear | None = None

    async def connect(self) -> None:
        """Open it. RetryLater, Refused or ConfigError where it cannot be."""
        await self.close()
        self._ear = await self._stream.open("orders")

    async def close(self) -> None:
        """Leave; the connection stays for others."""
        ear, self._ear = self._ear, None
        if ear is not None:
            await self._stream.leave(ear)

    async def heard(self) -> AsyncIterator[OrderNotice]:
        """What KIS says of orders of this account, whoever sent them, from `connect` on."""
        if self._ear is None:
            raise RetryLater("KIS's stream: not connected")
        notice: OrderNotice
        async for notice in self._ear:
            if notice.account == self._account:
                yield notice
            else:
                self._stream.counts["notices of others"] += 1

    async def notices(self) -> AsyncIterator[Notice]:
        """The same in the words of `trading.ports`; RetryLater when the connection ends."""
        async for notice in self.heard():
            yield notice.notice()
