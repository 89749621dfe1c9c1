"""What was held, from fills and share actions alone: no (T, N) matrix unless one is asked for.

Contract: pure NumPy; positions are those at each bar's close. Read by `Result` for its positions and their number.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from quantkit.backtest.output import RunOutput

__all__ = ["names_held", "position_matrix", "short_names"]

Ints = NDArray[np.int64]


def _changes(run: RunOutput) -> tuple[Ints, Ints, Ints]:
    """Row, column and signed change of shares of every fill and action."""
    fills, actions = run.fills, run.actions
    return (
        np.concatenate((actions["bar"], fills["bar"])).astype(np.int64),
        np.concatenate((actions["symbol"], fills["symbol"])).astype(np.int64),
        np.concatenate((actions["share_delta"], fills["side"] * fills["quantity"])).astype(np.int64),
    )


def position_matrix(run: RunOutput, names: int) -> Ints:
    """Shares at each close, (T, names) int64."""
    bar, symbol, change = _changes(run)
    shares = np.zeros((len(run), names), np.int64)
    np.add.at(shares, (bar, symbol), change)
    return np.cumsum(shares, axis=0, out=shares)


def short_names(run: RunOutput) -> Ints:
    """Columns of the names that were ever held below nothing at the end of an event, (S,) int64."""
    bar, symbol, change = _changes(run)
    order = np.lexsort((bar, symbol))  # stable: within a bar as they happened
    symbol, total = symbol[order], np.cumsum(change[order])
    first = np.flatnonzero(np.concatenate(([True], symbol[1:] != symbol[:-1])))
    before = np.repeat(np.concatenate(([0], total))[first], np.diff(np.append(first, len(symbol))))
    return np.unique(symbol[total - before < 0]) if len(symbol) else symbol


def names_held(run: RunOutput) -> Ints:
    """Number of names with shares at each close, (T,) int64."""
    bar, symbol, change = _changes(run)
    if not len(bar):
        return np.zeros(len(run), np.int64)
    order = np.lexsort((bar, symbol))
    bar, symbol, total = bar[order], symbol[order], np.cumsum(change[order])
    first = np.concatenate(([True], symbol[1:] != symbol[:-1]))  # first event of its name
    start = np.maximum.accumulate(np.where(first, np.arange(len(first)), 0))
    held = total - np.where(start > 0, total[start - 1], 0)
    last = np.concatenate((first[1:] | (bar[1:] != bar[:-1]), [True]))  # last event of its name on its bar
    held, bar, symbol = held[last], bar[last], symbol[last]
    before = np.concatenate(([0], held[:-1]))
    before[np.concatenate(([True], symbol[1:] != symbol[:-1]))] = 0
    flips = (held != 0).astype(np.int64) - (before != 0)
    return np.cumsum(np.bincount(bar, weights=flips, minlength=len(run))).astype(np.int64)
