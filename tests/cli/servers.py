"""Servers beside a command or a page's code: they run in a thread of their own."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import AbstractAsyncContextManager, contextmanager
from typing import Any, TypeVar

from quantkit.emulator.exchange import Exchange
from quantkit.emulator.kis import KisEmulator

Made = TypeVar("Made")


@contextmanager
def beside(made: AbstractAsyncContextManager[Made]) -> Iterator[Made]:
    """What an asynchronous context gives, on a loop of its own from here to the end of the block."""
    ready, over, found = threading.Event(), threading.Event(), list[Made]()

    async def serve() -> None:
        async with made as served:
            found.append(served)
            ready.set()
            await asyncio.to_thread(over.wait)

    thread = threading.Thread(target=lambda: asyncio.run(serve()), name="servers")
    thread.start()
    try:
        assert ready.wait(20)
        yield found[0]
    finally:
        over.set()
        thread.join(20)


@contextmanager
def serving(exchange: Exchange, **options: Any) -> Iterator[KisEmulator]:
    """An emulated KIS over an exchange. options: of `KisEmulator`."""
    with beside(KisEmulator(exchange, **options)) as made:
        yield made


def environment(server: KisEmulator, who: int = 0) -> dict[str, str]:
    """What a shell would say of a customer's keys."""
    me = server.customers[who]
    return {
        "KIS_APP_KEY": me.appkey, "KIS_APP_SECRET": me.appsecret, "KIS_ACCOUNT_NO": me.account,
        "KIS_IS_PAPER": str(server.paper).lower(), "KIS_HTS_ID": me.hts_id, "KIS_EMULATOR": server.rest,
        "KIS_EMULATOR_STREAM": server.stream,
    }  # fmt: skip
