"""What went over the wire, for the account's journal; and what o'clock KIS says it is, for the clock.

Contract: `WireLog` is a client's listener. Texts come without secrets; prices are not kept, orders are whole, and of an
answer to a question no more than `LONGEST` characters. A clock that measures itself against servers is told each `Date`
header.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Final, Protocol, runtime_checkable

from quantkit.errors import BadData

if TYPE_CHECKING:
    from collections.abc import Callable

    from quantkit.brokers.kis.limiter import Clock
    from quantkit.brokers.kis.wire import Exchange

LONGEST: Final = 4_000


@runtime_checkable
class Measuring(Protocol):
    """A clock of a machine, which may be wrong."""

    def machine_ns(self) -> int:
        """The machine's own time, UTC nanoseconds."""

    def measure(self, header: str, *, sent: int, received: int) -> str:
        """Take in a `Date` header."""


class WireLog:
    """Told of each request and answer. keep(direction, text, time): where they are written; None: nowhere yet."""

    def __init__(self, clock: Clock) -> None:
        self.keep: Callable[[str, str, int], None] | None = None
        self._clock = clock

    def __call__(self, told: Exchange) -> None:
        """One exchange."""
        if told.date and isinstance(self._clock, Measuring):
            received = self._clock.machine_ns()
            with contextlib.suppress(BadData):  # a header that is no date says nothing of the time
                self._clock.measure(told.date, sent=received - (told.received - told.sent), received=received)
        if self.keep is None or "/quotations/" in told.path:
            return
        answer = told.answer if told.method == "POST" else told.answer[:LONGEST]
        self.keep("out", f"{told.method} {told.path} {told.transaction} {told.request}", told.sent)
        self.keep("in", "no answer" if told.status is None else f"{told.status} {answer}", told.received)
