"""One reading at a time of what takes long to read: who asks while one is under way shares the next.

Contract: an answer was asked for after whoever gets it had asked. Readings never run beside each other, so that more
questions than a broker's rate allows make answers older, and do not keep all of them from ever coming: a list of 100
orders is eight pages on 모의투자, which gives one a second.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

Found = TypeVar("Found")


class Shared(Generic[Found]):
    """`await shared.ask()`: what `read` finds, or its error."""

    def __init__(self, read: Callable[[], Awaitable[Found]]) -> None:
        self._read = read
        self._under_way: asyncio.Task[Found] | None = None
        self._next: asyncio.Task[Found] | None = None

    async def ask(self) -> Found:
        """Wait for the first reading that begins after this. It goes on where whoever asked gives up."""
        if self._next is None:
            self._next = asyncio.create_task(self._turn(self._under_way), name="kis shared reading")
            self._next.add_done_callback(_heard)
        return await asyncio.shield(self._next)

    async def _turn(self, before: asyncio.Task[Found] | None) -> Found:
        if before is not None and not before.done():
            await asyncio.wait([before])
        self._under_way, self._next = self._next, None
        return await self._read()


def _heard(task: asyncio.Task[Found]) -> None:
    """An error of which everybody has stopped waiting is nobody's."""
    if not task.cancelled():
        task.exception()
