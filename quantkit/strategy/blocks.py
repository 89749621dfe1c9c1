"""Evaluation blocks: from which row on a strategy sees the bars, the same in memory, in chunks, in replay and live.

A strategy with history "all" sees everything from the first bar. One with a finite history of n bars is shown, for each
session, that session and at least n bars before it, and only the answers for the session's own rows are kept:

    rows     begin ............ start ............ stop
             history, whole sessions  | the session: kept

Contract: `begin` is the start of the session that holds the row `start - n` (or the first row there is), so that
coarser bars and running values made inside a block are of whole sessions. Blocks depend on the bars' session days
alone, never on how many bars are loaded at once; a rule that looks back n bars or fewer answers the same in any of
them. Daily and coarser bars have one block a calendar month (coarser than daily: a year), with n bars before it.
Without a word from the strategy, daily and coarser bars have all of the history and intraday bars `warmup`.
Called by `Strategy.evaluate`, by backtests for ranks, universes and signals, and by the live engine.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from quantkit.data.actions import changes
from quantkit.data.dates import anchors
from quantkit.errors import BadData, ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable

    from quantkit.data.bars import Bars
    from quantkit.strategy.base import Strategy

Ints = NDArray[np.int64]
History = Literal["all"] | int


class Block(NamedTuple):
    """Rows begin..stop are shown, the answers for start..stop are kept."""

    begin: int
    start: int
    stop: int


def history_of(strategy: Strategy, *, intraday: bool) -> History:
    """Bars of history that an evaluation starts from. ConfigError for a value that is neither "all" nor 0 or more."""
    asked: object = strategy.history
    if asked is None:
        return max(0, strategy.warmup) if intraday else "all"
    if isinstance(asked, str) and asked == "all":
        return "all"
    if isinstance(asked, bool) or not isinstance(asked, int | np.integer) or asked < 0:
        raise ConfigError(
            f'{strategy.name}.history = {asked!r}: give "all", or the number of bars an evaluation starts from'
        )
    return int(asked)


def begin_of(days: Ints, start: int, history: int) -> int:
    """First row shown of a block whose own rows begin at `start`."""
    row = max(0, start - history)
    return int(np.searchsorted(days, days[row])) if row < len(days) else row


def blocks(days: Ints, history: int, freq: str, *, first: int = 0) -> list[Block]:
    """The blocks that cover rows `first` on; `first` must be where a block starts, and rows before it are history."""
    numbers = anchors(days[first:], freq)
    starts = np.flatnonzero(np.diff(numbers, prepend=numbers[:1] - 1)) + first
    stops = np.append(starts[1:], len(days))
    return [
        Block(begin_of(days, start, history), start, stop)
        for start, stop in zip(starts.tolist(), stops.tolist(), strict=True)
    ]


def in_blocks(
    compute: Callable[[Bars], NDArray[Any] | None], bars: Bars, history: History, *, first: int = 0, owner: str = ""
) -> NDArray[Any] | None:
    """`compute(bars)`, (T, N), for rows `first` on, evaluated block by block; None where it answers None.

    BadData when the answers of two blocks differ in dtype.
    """
    if history == "all":
        values = compute(bars)
        return values if values is None or not first else values[first:]
    if changes(bars.actions, bars.symbols):
        _ = bars.factor  # once, not once a block
    out: NDArray[Any] | None = None
    for begin, start, stop in blocks(bars.days, history, bars.freq, first=first):
        values = compute(bars.slice(begin, stop))
        if values is None:
            return None
        if out is None:
            out = np.empty((len(bars) - first, *values.shape[1:]), values.dtype)
        if values.dtype != out.dtype:
            raise BadData(
                f"{owner}: {out.dtype} up to {bars.index[start - 1]}, {values.dtype} after it; give one type always"
            )
        out[start - first : stop - first] = values[start - begin :]
    return out
