"""How long to wait before the next attempt to connect: 0.5 s, then twice as long each time up to 30 s, with jitter.

Contract: pure; chance comes in as numbers in [0, 1). There is no last attempt: inside a session a feed or a broker that
is gone is tried for as long as it takes.

>>> wait = Backoff(lambda: 0.5)
>>> [wait.next() for _ in range(8)]
[0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0]
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

FIRST: Final = 0.5
LONGEST: Final = 30.0


class Backoff:
    """Waits in seconds, each within 20 % of its step, so that many clients do not come back at once."""

    def __init__(self, chance: Callable[[], float]) -> None:
        self._chance, self._step = chance, FIRST

    def next(self) -> float:
        """The wait before the next attempt."""
        wait = self._step * (0.8 + 0.4 * self._chance())
        self._step = min(self._step * 2, LONGEST)
        return wait

    def reset(self) -> None:
        """It worked: begin again."""
        self._step = FIRST
