"""The emulator's time: the machine's own, moved to a session and sped up.

>>> ticks = iter([0.0, 2.0])
>>> pace = Pace(1_000_000_000, speed=60.0, machine=lambda: next(ticks))
>>> pace.now()
121000000000
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from quantkit.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable


class Pace:
    """UTC nanoseconds from `start` on, `speed` of them for one of the machine's; 0: time stands until `skip`."""

    def __init__(self, start: int, *, speed: float = 1.0, machine: Callable[[], float] = time.monotonic) -> None:
        if not 0 <= speed < 1e6:
            raise ConfigError(f"speed={speed!r}: a number from 0 (time stands) to a million is needed")
        self.speed, self.machine = speed, machine
        self._start, self._begun = start, machine()

    def now(self) -> int:
        """UTC nanoseconds."""
        return self._start + round((self.machine() - self._begun) * self.speed * 1e9)

    def skip(self, seconds: float) -> None:
        """Let time pass at once."""
        self._start += round(seconds * 1e9)

    def seconds(self, emulated: float) -> float:
        """How long the machine takes for so many emulated seconds."""
        return emulated / self.speed if self.speed else 0.0
