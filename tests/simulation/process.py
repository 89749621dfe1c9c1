"""A process of ours inside a simulation: what it may touch, and how it dies.

Every task that a process starts belongs to it, by a context variable; `Process.kill` ends them all where they stand,
and from that moment on nothing that it still does reaches its journal or the wire. Requests that are on the wire are
the world's: they arrive, or they do not, whoever sent them.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Generator, Iterator, Sequence
from contextvars import ContextVar
from dataclasses import replace
from typing import Any, Protocol

from quantkit.errors import Refused, RetryLater
from quantkit.live.clock import VirtualLoop
from quantkit.live.messages import Command
from quantkit.trading.approval import Approved
from quantkit.trading.events import Entry
from quantkit.trading.ports import Broker, BrokerOrder, Cash, Feed, Notice, Position, Ticket

OWNER: ContextVar[Process | None] = ContextVar("owner", default=None)


class Shut(Protocol):
    """A connection that ends at once when its process does."""

    def shut(self) -> None:
        """Hear and send no more; what is on its way stays there."""


class Linked(Broker, Shut, Protocol):
    """A broker's."""


class LinkedFeed(Feed, Shut, Protocol):
    """A feed's."""


class Process:
    """One run of the machine's process, from its start to its end."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.dead = False
        self.tasks: dict[asyncio.Task[Any], None] = {}
        self.links: list[Shut] = []

    def kill(self) -> None:
        """The end, at once. What was on the wire stays there."""
        if self.dead:
            return
        self.dead = True
        for link in self.links:
            link.shut()
        for task in list(self.tasks):
            task.cancel()

    @property
    def left(self) -> list[asyncio.Task[Any]]:
        """Tasks that have not ended."""
        return [task for task in self.tasks if not task.done()]


def own_tasks(loop: VirtualLoop) -> None:
    """Let every task on a loop belong to the process that starts it; a dead one starts none."""

    def made(_loop: asyncio.AbstractEventLoop, coro: Any, **options: Any) -> asyncio.Task[Any]:
        context = options.get("context")
        owner = OWNER.get() if context is None else context.get(OWNER)
        task = loop.numbered(loop, coro, **options)
        if owner is not None and coro.__qualname__ != "Pulse._beat":  # the exchange's own heart
            owner.tasks[task] = None
            task.add_done_callback(lambda done: owner.tasks.pop(done, None))
            if owner.dead:
                task.cancel()
        return task

    loop.set_task_factory(made)


class Asked:
    """The answer to a request that is on the wire; nobody has to wait for it."""

    def __init__(self, task: asyncio.Task[Any] | None) -> None:
        self._task = task

    def __await__(self) -> Generator[Any, None, Any]:
        if self._task is None:
            raise RetryLater("the process has ended")
        return asyncio.shield(self._task).__await__()


class Fenced:
    """A journal that a dead process cannot write, and that tells a judge what was written."""

    def __init__(
        self, inner: Any, process: Process, heard: Callable[[Sequence[Entry]], None], point: Callable[[str], bool]
    ) -> None:
        self.inner, self._process, self._heard, self._point = inner, process, heard, point
        self.account, self.epoch = inner.account, inner.epoch

    def append(self, entries: Sequence[Entry], *, snapshot: bytes | None = None) -> object:
        if self._process.dead:
            raise Refused("SECOND_OWNER", "the process has ended")
        if not self._point("before an append"):
            raise Refused("SECOND_OWNER", "the process has ended")
        made = self.inner.append(entries, snapshot=snapshot)
        self._heard(entries)
        self._point("after an append")
        return made

    def commands(self) -> list[Command]:
        return [] if self._process.dead else self.inner.commands()

    def read(self, after: int = 0) -> Iterator[Any]:
        return self.inner.read(after)

    def head(self) -> tuple[int, str]:
        return self.inner.head()

    def snapshot(self) -> tuple[int, bytes] | None:
        return self.inner.snapshot()

    def send(self, command: Command) -> bool:
        return self.inner.send(command)

    def log_wire(self, seq: int | None, direction: str, text: str, time: int) -> None:
        self.inner.log_wire(seq, direction, text, time)

    def close(self) -> None:
        self.inner.close()


class Wire:
    """A broker as a process sees it: requests are handed to the wire and live on there; a list's
    tags are for the judge, for the capabilities deny them.

    sent: hears each order before it leaves; canceled: the number of each cancel.
    """

    def __init__(
        self, inner: Linked, process: Process, *, spawn: Callable[[Coroutine[Any, Any, Any]], Any],
        sent: Callable[[Approved], None], canceled: Callable[[str], None], point: Callable[[str], bool],
    ) -> None:  # fmt: skip
        self.inner, self._process = inner, process
        self._spawn, self._sent, self._canceled, self._point = spawn, sent, canceled, point
        self.capabilities = replace(inner.capabilities, caller_tag=False)

    async def connect(self) -> None:
        self._alive()
        await self.inner.connect()

    async def close(self) -> None:
        self.inner.shut()

    def submit(self, order: Approved) -> Asked:
        if self._process.dead:
            return Asked(None)
        self._sent(order)
        return Asked(self._spawn(self._told("submit", self.inner.submit(order))))

    def cancel(self, number: str, symbol: str, quantity: int) -> Asked:
        if self._process.dead:
            return Asked(None)
        self._canceled(number)
        return Asked(self._spawn(self._told("cancel", self.inner.cancel(number, symbol, quantity))))

    def modify(self, number: str, symbol: str, quantity: int, price: float | None) -> Asked:
        if self._process.dead:
            return Asked(None)
        return Asked(self._spawn(self._told("modify", self.inner.modify(number, symbol, quantity, price))))

    async def _told(self, what: str, request: Coroutine[Any, Any, Ticket]) -> Ticket:
        try:
            return await request
        finally:
            self._point(f"the answer of a {what}")

    async def orders(self) -> Sequence[BrokerOrder]:
        self._alive()
        return await self.inner.orders()

    async def positions(self) -> Sequence[Position]:
        self._alive()
        return await self.inner.positions()

    async def cash(self) -> Cash:
        self._alive()
        return await self.inner.cash()

    async def orderable_cash(self, symbol: str, price: float | None) -> int:
        self._alive()
        return await self.inner.orderable_cash(symbol, price)

    async def sellable(self, symbol: str) -> int:
        self._alive()
        return await self.inner.sellable(symbol)

    async def notices(self) -> AsyncIterator[Notice]:
        async for notice in self.inner.notices():
            yield notice

    def _alive(self) -> None:
        if self._process.dead:
            raise RetryLater("the process has ended")
