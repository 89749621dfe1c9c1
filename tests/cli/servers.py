"""An emulated KIS beside a command: its servers run in a thread of their own, at a pace."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from quantkit.emulator.exchange import Exchange
from quantkit.emulator.kis import KisEmulator


@contextmanager
def serving(exchange: Exchange, **options: Any) -> Iterator[KisEmulator]:
    """Servers over an exchange, from here to the end of the block. options: of `KisEmulator`."""
    ready, over, made = threading.Event(), threading.Event(), list[KisEmulator]()

    async def serve() -> None:
        async with KisEmulator(exchange, **options) as server:
            made.append(server)
            ready.set()
            await asyncio.to_thread(over.wait)

    thread = threading.Thread(target=lambda: asyncio.run(serve()), name="emulated kis")
    thread.start()
    try:
        assert ready.wait(20)
        yield made[0]
    finally:
        over.set()
        thread.join(20)


def environment(server: KisEmulator, who: int = 0) -> dict[str, str]:
    """What a shell would say of a customer's keys."""
    me = server.customers[who]
    return {
        "KIS_APP_KEY": me.appkey, "KIS_APP_SECRET": me.appsecret, "KIS_ACCOUNT_NO": me.account,
        "KIS_IS_PAPER": str(server.paper).lower(), "KIS_HTS_ID": me.hts_id, "KIS_EMULATOR": server.rest,
        "KIS_EMULATOR_STREAM": server.stream,
    }  # fmt: skip
