"""Feed and broker of one account, over one client and one stream: KIS gives an app key one session."""

from __future__ import annotations

from typing import TYPE_CHECKING

from quantkit.brokers.kis.broker import KisBroker
from quantkit.brokers.kis.feed import KisFeed
from quantkit.brokers.kis.notices import KisOrders
from quantkit.brokers.kis.stream import KisStream, StreamSettings

if TYPE_CHECKING:
    from collections.abc import Callable

    from quantkit.brokers.kis.client import KisClient
    from quantkit.brokers.kis.wirelog import WireLog


class KisDesk:
    """What a run of one account needs of KIS. log: the client's listener; chance: of the stream's back-off, in [0, 1);
    pace: seconds of the clock for one of the machine's."""

    def __init__(self, client: KisClient, *, log: WireLog, chance: Callable[[], float], pace: float = 1.0) -> None:
        account, settings = client.account, StreamSettings().times(max(1.0, pace))
        self.client, self.stream = client, KisStream(client, chance=chance, settings=settings)
        self.feed = KisFeed(client, self.stream)
        heard = KisOrders(self.stream, account.number + account.product) if self.stream.hears_orders else None
        self.broker = KisBroker(client, stream=heard, log=log)

    async def close(self) -> None:
        """Let the connections go."""
        await self.stream.close()
        await self.client.close()
