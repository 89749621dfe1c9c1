"""Many runs in one compiled call: the fold and its figures, again and again over the same arrays.

    Stage    what runs share: bars, events, the plan, the sheet of figures
    Lane     what one thread writes to: a state, a log, equity, targets in use; for run after run
    fold     targets of R runs in, R rows of figures out (and growth, when asked for)

Contract: each run is what `core.fold.simulate` makes of it, and its figures what `backtest.figures` makes of that, to
the last bit. Releases the GIL. A lane belongs to one thread at a time. Memory: a lane is about as large as one run's
inputs; nothing grows with R but the answers.
Called by `research.trial`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from quantkit.backtest.tally import NAMES, Desk, Sheet, new_desk, tally
from quantkit.core.copying import copy_record
from quantkit.core.fold import address_of_run
from quantkit.core.repeat import call_fold
from quantkit.core.state import (
    Bytes,
    Inputs,
    Log,
    Record,
    Records,
    State,
    copy_state,
    i64,
    new_log,
    room_for_bar,
)
from quantkit.data.bars import LISTED, VALID
from quantkit.jit import frozen, njit_call, njit_entry

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from quantkit.backtest.sums import Floats, Ints
    from quantkit.core.context import Address

ROWS = 1024  # of fills that a lane has room for at first


class Stage(NamedTuple):
    """What the runs of a batch have in common."""

    inputs: Inputs  # of the rows of a run; its targets and flags are replaced by the lane's
    first: State  # the state before the first bar
    listed: Ints  # (N,) listed bars of each name before the first row
    events: Records
    plan: Record
    sheet: Sheet
    kernel: tuple[int | None, int | None, int | None]  # `fold.kernel_of` all that


@njit_call
def _reset(state: State, first: State, log: Log) -> None:
    """Before the first bar again; the tables of orders and of pay dates are empty where their counts are 0."""
    for k in range(len(first.account)):
        state.account[k] = first.account[k]
    for s in range(len(first.names)):
        copy_record(state.names, s, first.names, s)
        state.target[s] = first.target[s]
    log.used[:] = 0


@njit_call
def _warm(flags: Bytes, base: Bytes, listed: Ints, warmup: int) -> None:
    """`core.prepare.valid_after_warmup`: VALID off on the first listed bars of each name, in flags that are `base`."""
    for s in range(base.shape[1]):
        count = listed[s]
        for t in range(base.shape[0]):
            if base[t, s] & LISTED:
                count += 1
            if count > warmup:
                break
            flags[t, s] &= 255 - VALID


@njit_entry
def _fold_many(
    address: Address, state: State, first: State, inputs: Inputs, flat_targets: Floats, flags: Bytes,
    flat_flags: Bytes, base: Bytes, flat_base: Bytes, listed: Ints, events: Records, plan: Record, log: Log,
    equity: Ints, cash: Ints, room: int, rare: int | None, extra: int | None, chosen: NDArray[Any], warmups: Ints,
    sheet: Sheet, desk: Desk, start: int, rows: Floats, growth: Floats, done: Bytes,
) -> int:  # fmt: skip
    """Fold and tally runs from `start` on; returns the next one: all, or fewer when the log is too small for it."""
    warm = i64(-1)
    for r in range(start, len(warmups)):
        _reset(state, first, log)
        if warmups[r] != warm:
            warm = warmups[r]
            for k in range(len(flat_flags)):
                flat_flags[k] = flat_base[k]
            if warm > 0:
                _warm(flags, base, listed, warm)
        for k in range(len(flat_targets)):
            flat_targets[k] = chosen[r, k]
        t = call_fold(
            address, state, inputs, events, plan, log, equity, cash, i64(0), room, rare, extra, None, i64(1)
        )  # fmt: skip
        if t < len(equity):
            return r
        done[r] = tally(sheet, desk, log, equity, cash, rows[r])
        if len(growth) > 0:
            for t in range(len(equity)):
                growth[r, t] = desk.growth[t]
    return len(warmups)


class Read(NamedTuple):
    """A lane's targets and flags as the fold reads them."""

    targets: Floats
    flags: Bytes


class Lane:
    """One thread's arrays for runs of as many bars and names as a stage has, whatever else differs."""

    def __init__(self, stage: Stage) -> None:
        self.shape = bars, names = stage.inputs.close.shape
        self.state = copy_state(stage.first)
        self.equity, self.cash = np.empty(bars, np.int64), np.empty(bars, np.int64)
        self.targets = np.empty((bars, names))
        self.flags = np.empty((bars, names), np.uint8)
        self._read = frozen(Read(self.targets, self.flags))
        self.room = room_for_bar(names)
        self._sheet = stage.sheet
        self._addresses: dict[tuple[int | None, ...], Address] = {}
        self.grow(ROWS)

    def grow(self, rows: int) -> None:
        """Make room for `rows` fills."""
        self.rows = rows
        self.log: Log = new_log(len(self.state.names), rows=rows)
        self.desk: Desk = new_desk(self._sheet, self.log)

    def call(
        self, stage: Stage, chosen: NDArray[Any], warmups: Ints, at: int, rows: Floats, growth: Floats, done: Bytes
    ) -> int:
        """`_fold_many` from run `at` on, over the arrays of this lane."""
        rare, extra, plain = stage.kernel
        base = stage.inputs.flags
        inputs = stage.inputs._replace(targets=self._read[0], flags=self._read[1])
        if stage.kernel not in self._addresses:
            shared = (self.state, inputs, stage.events, stage.plan, self.log, self.equity, self.cash)
            self._addresses[stage.kernel] = address_of_run(*shared, 0, self.room, rare, extra, None, plain)
        return _fold_many(
            self._addresses[stage.kernel], self.state, stage.first, inputs, self.targets.reshape(-1), self.flags,
            self.flags.reshape(-1), base, base.reshape(-1), stage.listed, stage.events, stage.plan, self.log,
            self.equity, self.cash, self.room, rare, extra, chosen, warmups, stage.sheet, self.desk, at, rows, growth,
            done,
        )  # fmt: skip


def fold(
    stage: Stage, lane: Lane, chosen: NDArray[Any], warmups: Ints, *, growth: bool
) -> tuple[Floats, Floats, Bytes]:
    """Run R sets of targets: rows (R, F) in the order of `tally.NAMES`, growth (R, T) or (0, 0), done (R,) 0 or 1.

    chosen   (R, T, N) bool or float64, C-contiguous
    warmups  (R,) bars of each name before its targets count
    """
    runs, bars = chosen.shape[:2]
    rows, done = np.empty((runs, len(NAMES))), np.zeros(runs, np.uint8)
    grown = np.empty((runs, bars)) if growth else np.empty((0, 0))
    flat = chosen.reshape(runs, -1)
    at = 0
    while at < runs:
        at = lane.call(stage, flat, warmups, at, rows, grown, done)
        if at < runs:
            lane.grow(4 * lane.rows)
    return rows, grown, done
