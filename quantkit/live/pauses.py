"""Pauses of the process itself: the collector's walk over everything that was ever loaded."""

from __future__ import annotations

import gc
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def frozen() -> Iterator[None]:
    """Around a run: what is loaded by now is left out of the collector's full walks, each of which stops the loop for
    about 0.2 s with pandas and numba loaded, on a busy machine for a second. Called by `quantkit paper` and `live`."""
    gc.collect()
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()
