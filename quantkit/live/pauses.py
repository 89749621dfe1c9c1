"""Pauses of the process itself: the collector's walks over every object there is.

With pandas and numba loaded one stops the loop for about 0.2 s, on a busy machine for a second; of what an hour of
trading leaves, for 50 ms. An order that is to leave waits for that.
"""

from __future__ import annotations

import gc
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

_NEVER: Final = 2**31 - 1


@contextmanager
def frozen() -> Iterator[None]:
    """Around a run: the collector makes no full walk by itself. Young objects, nearly all that dies, are collected as
    ever. What lives long and then dies in a cycle waits for `collect`, in `quantkit paper` and `live` every night."""
    before = gc.get_threshold()
    collect()
    gc.set_threshold(before[0], before[1], _NEVER)
    try:
        yield
    finally:
        gc.set_threshold(*before)
        gc.unfreeze()


def collect() -> int:
    """A full walk, while nobody waits: how many objects were dead. What is alive is left out of younger walks."""
    gc.unfreeze()
    found = gc.collect()
    gc.freeze()
    return found
