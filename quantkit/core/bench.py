"""A state with everything a step needs beside it, for those who take bars one part at a time from Python.

Contract: a `Bench` holds one state (changed in place, its arrays never exchanged), one row of inputs and the tables
that the steps write. `lay` puts a row on it, `take` does one part of the bar (`core.steps`), `drained` hands out what
was written. Between two bars the state is as `simulate` leaves it after a chunk: it knows no rows. `run` folds quiet
bars of a whole `Panel` in one call.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Protocol

import numpy as np

from quantkit.core.amounts import cash_of
from quantkit.core.context import NOW_FROM, NOW_LEAD, Frame, Rule, no_rule
from quantkit.core.fold import emptied
from quantkit.core.outside import (
    STANDING,
    Standing,
    alert_levels,
    collar_price,
    day_bases,
    list_standing,
    new_id,
    stop_ended,
    take_end,
    take_fill,
)
from quantkit.core.state import (
    AT_PRINTS,
    CASH_BEFORE,
    DATE,
    ENDED,
    EQUITY,
    KIND_STOP,
    KIND_TAKE,
    KIND_TRAIL,
    NEXT_GROUP,
    NEXT_ID,
    OWN_WORKING,
    QUIET,
    UNMET,
    WAITING,
    Floats,
    Inputs,
    Ints,
    Log,
    Mirror,
    Record,
    Records,
    State,
    event_rows,
    new_log,
    no_events,
    no_records,
    room_for_bar,
)
from quantkit.core.steps import END, EVENING, RUN, Desk, packed, step
from quantkit.data.bars import FIRST_DAY, MEMBER, TRADED, VALID
from quantkit.jit import frozen

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from contextlib import AbstractContextManager

    from numpy.typing import NDArray

    from quantkit.core.context import Address, Past


NO_EVENTS = no_events()


class Fill(NamedTuple):
    """A fill from outside, or a piece of one. `value`, `commission`, `tax` and `slippage` are minor units."""

    order: int
    symbol: int
    side: int
    quantity: int
    price: float
    value: int
    commission: int
    tax: int
    rule: int
    slippage: int = 0
    from_proceeds: int = 0
    ambiguous: int = 0


class Tables(NamedTuple):
    """Rows that the steps have written."""

    fills: Records  # FILL_ROW
    orders: Records  # ORDER_ROW
    actions: Records  # ACTION_ROW


def joined(tables: Sequence[Tables]) -> Tables:
    """All rows of some tables, in their order."""
    parts = zip(*tables, strict=True) if tables else ((empty,) for empty in _NOTHING)
    return Tables(*(np.concatenate([rows.view(np.uint8) for rows in part]).view(part[0].dtype) for part in parts))


class Outcome(NamedTuple):
    """What watching a bar's path has shown: who filled, which orders ended, and the state as the watcher has it."""

    fills: Records  # FILL_ROW, in the order they happened
    orders: Records  # ORDER_ROW
    state: State


class Seen(NamedTuple):
    """What a strategy's `on_bar` may look at on one bar: `past` up to its row `row`, and row `at` of its signals."""

    past: Past
    row: int
    signals: Mapping[str, NDArray[np.float64]]  # (T, N) each, C-contiguous
    at: int = 0
    start: int = 0  # row of `past` before which it is not called


def before(rows: Inputs) -> Inputs:
    """Rows as each is known before its first trade: dates, base prices, which names are listed and how.

    The open of a name's first session stays: by the rules of old its limits hung on it.
    """

    def unknown(column: Floats) -> Floats:
        return np.broadcast_to(np.nan, column.shape)

    flags = rows.flags & np.uint8(255 - (TRADED | VALID | MEMBER))
    nothing = unknown(rows.close)
    return rows._replace(
        open=np.where(flags & FIRST_DAY, rows.open, np.nan), high=nothing, low=nothing, close=nothing, flags=flags,
        volume=unknown(rows.volume), vwap=unknown(rows.vwap), targets=unknown(rows.targets),
    )  # fmt: skip


class ReadyRule(Protocol):
    """A rule, and what says where it failed."""

    @property
    def rule(self) -> Rule: ...
    def reported(self) -> AbstractContextManager[None]: ...


class Panel:
    """Many rows, for one bench to run over. ready: the rule over these rows, with what lies before them as its past."""

    def __init__(self, bench: Bench, inputs: Inputs, events: Records, ready: ReadyRule | None = None) -> None:
        rule = None if ready is None else ready.rule
        self.inputs, self.events, self.ready, self.rule = inputs, events, ready, rule
        self._ahead = before(inputs)
        self._there = [k for k, column in enumerate(inputs) if len(column)]
        self._row = -1, inputs
        rows = len(inputs.dates)
        self.equity: Ints = np.zeros(rows, np.int64)
        self.cash: Ints = np.zeros(rows, np.int64)
        self.kept = packed(Desk(bench.frame(inputs, rule), events, self.equity, self.cash))

    def row(self, row: int) -> Inputs:
        """One of them; the same as long as it is asked for."""
        if self._row[0] != row:
            self._row = row, self._one(self.inputs, row)
        return self._row[1]

    def morning(self, row: int) -> tuple[Inputs, Records]:
        """A row as its morning knows it, and the row's events."""
        return self._one(self._ahead, row), event_rows(self.events, row, row + 1)

    def _one(self, inputs: Inputs, row: int) -> Inputs:
        """`Inputs.rows`, without a look at columns that are empty."""
        columns = list(inputs)
        for k in self._there:
            columns[k] = columns[k][row : row + 1]
        return Inputs._make(columns)


class Bench:
    """One state and one row. rule: a strategy's `on_bar`, or None."""

    def __init__(self, state: State, plan: Record, *, rule: Rule | None = None) -> None:
        self.state, self.plan, self.rule = state, plan, rule
        self._mirror = Mirror(state)
        self.log: Log = new_log(len(state.names), orders=len(state.orders))
        self._room = len(self.log.fills) - room_for_bar(len(state.names), len(state.orders))
        self._full: list[Tables] = []
        self.row: Inputs | None = None
        self._shapes: list[tuple[int, ...]] = []
        self._there: list[int] = []  # columns that hold anything
        self._events = NO_EVENTS
        self._kept: tuple[Address, object] = self._packed(_no_row(len(state.names)))  # fills may come before any row
        self._out = no_records(len(state.orders), STANDING)
        self._two = np.zeros(2)

    def frame(self, inputs: Inputs, rule: Rule | None) -> Frame:
        """What a rule, and every step, is shown of these rows."""
        ruled = no_rule(len(self.state.names)) if rule is None else rule
        return Frame(self.state, frozen(inputs), self.plan, self.log, frozen(ruled.past), ruled.signals, ruled.now)

    def lay(self, row: Inputs, events: Records | None = None) -> None:
        """Put one row on the bench; `events` (of bar 0) are those of its morning."""
        given = NO_EVENTS if events is None or not len(events) else events
        shapes = [column.shape for column in row]
        if self.row is None or shapes != self._shapes:
            self.row, self._shapes, self._events = Inputs._make(np.array(column) for column in row), shapes, given
            self._there = [k for k, column in enumerate(row) if column.size]
            self._pack()
            return
        for k in self._there:
            self.row[k][...] = row[k]
        if given is not self._events:
            self._events = given
            self._pack()

    def see(self, rule: Rule | None) -> None:
        """Exchange the rule, for one over other rows."""
        self.rule = rule
        if self.row is not None:
            self._pack()

    def look(self, seen: Seen) -> None:
        """Let the (compiled) rule look at another bar."""
        rule = self.rule
        if rule is None:
            return
        rule.now[NOW_LEAD], rule.now[NOW_FROM] = seen.row, seen.start
        for k, column in enumerate(seen.signals.values()):
            rule.signals[k] = column.ctypes.data + column.strides[0] * seen.at
        if rule.past is not seen.past:
            self.see(rule._replace(past=seen.past))

    def take(self, what: int) -> int:
        """One part of the bar that was laid."""
        return self._step(self._kept[0], 0, what, self.rule)

    def run(self, panel: Panel, start: int) -> int:
        """Fold quiet bars of a panel of this bench from row `start` on, where the state is; the first that is not
        quiet, or T."""
        return self._step(panel.kept[0], start, RUN, panel.rule)

    def close(self, panel: Panel, row: int) -> None:
        """The evening of a row of a panel whose fills were booked."""
        for what in (EVENING, END):
            self._step(panel.kept[0], row, what, panel.rule)
        panel.equity[row], panel.cash[row] = self.state.account[EQUITY], cash_of(self.state)

    def fill(self, fill: Fill) -> int:
        """Book a fill; see `outside.take_fill`. Any number may come between two bars."""
        self._make_room()
        return int(
            take_fill(
                self._kept[0], fill.order, fill.symbol, fill.side, fill.quantity, fill.price, fill.value,
                fill.commission, fill.tax, fill.slippage, fill.rule, fill.from_proceeds, fill.ambiguous,
            )
        )  # fmt: skip

    def end(self, order: int, reason: int) -> bool:
        """End what is left of an order; False where there is none."""
        self._make_room()
        return bool(take_end(self._kept[0], order, reason))

    def new_id(self) -> int:
        """An id for an order of the policy's stops."""
        return int(new_id(self._kept[0]))

    def stop_ended(self, order: int, s: int, side: int, quantity: int, filled: int, rule: int, reason: int) -> None:
        """Write the row of a policy's stop that is over."""
        self._make_room()
        stop_ended(self._kept[0], order, s, side, quantity, filled, rule, reason)

    def standing(self, *, known: bool) -> list[Standing]:
        """The orders that should stand at the exchange."""
        count = list_standing(self._kept[0], 0, int(known), self._out)
        return [Standing._make(row) for row in self._out[:count].tolist()]

    def levels(self, s: int) -> tuple[float, float]:
        """(below, above): prices from which on something of a name that we watch may act."""
        alert_levels(self._kept[0], s, self._two)
        return float(self._two[0]), float(self._two[1])

    def collar(self, s: int, side: int, price: float) -> float:
        """The worst price an order may be sent with that acts at `price`; nan: a market order."""
        return float(collar_price(self._kept[0], s, side, price))

    def bases(self) -> NDArray[np.float64]:
        """(N,) the day's base prices, after a morning."""
        found = np.zeros(len(self.state.names))
        day_bases(self._kept[0], found)
        return found

    def adopt(self, outcome: Outcome) -> None:
        """Take over what fills alone do not tell: the table of orders, peaks, triggers, which orders ended."""
        theirs, state = outcome.state, self.state
        self._mirror.copy(theirs, "orders")
        names, other = state.names, theirs.names
        for name in _OF_PATHS:
            names[name][:] = other[name]
        state.account[_OF_ORDERS] = theirs.account[_OF_ORDERS]
        ended = outcome.orders
        for kind, s, filled in zip(*(ended[name].tolist() for name in ("kind", "symbol", "filled")), strict=True):
            if kind in _STOPS and filled == 0:  # it ends the goal although it sold nothing
                names["goal"][s], names["marks"][s] = other["goal"][s], other["marks"][s]
        used = int(self.log.used[1])
        if used:  # others have ended before the path
            written = self.log.orders[:used]
            ended = np.concatenate([written[~np.isin(written["order_id"], ended["order_id"])], ended])
        self.log.orders[: len(ended)] = ended
        self.log.used[1] = len(ended)

    def drained(self) -> Tables:
        """What was written since the last call."""
        last = Tables(*emptied(self.log)) if any(self.log.used.tolist()) else _NOTHING
        if not self._full:
            return last
        whole = [*self._full, last]
        self._full = []
        return joined(whole)

    def _make_room(self) -> None:
        """The buffers hold a bar and some thousand fills more; compiled code does not look whether they are full."""
        if max(self.log.used.tolist()) >= self._room:
            self._full.append(Tables(*emptied(self.log)))

    def copy_from(self, state: State) -> None:
        """Be as another state of the same shape."""
        self._mirror.copy(state)

    def _pack(self) -> None:
        if self.row is not None:
            self._kept = self._packed(self.row)

    def _packed(self, row: Inputs) -> tuple[Address, object]:
        return packed(Desk(self.frame(row, self.rule), self._events, _NO_MONEY, _NO_MONEY))

    @staticmethod
    def _step(address: Address, t: int, what: int, rule: Rule | None) -> int:
        if rule is None:
            return int(step(address, 0, 0, t, what, None, 1))
        return int(step(address, rule.call, rule.params, t, what, 1, None))


def _no_row(names: int) -> Inputs:
    """A row of which nothing is known."""
    nothing = np.full((1, names), np.nan)
    dates = no_records(1, DATE)
    return Inputs._make(dates if name == "dates" else nothing for name in Inputs._fields)._replace(
        flags=np.zeros((1, names), np.uint8)
    )


_STOPS = frozenset({KIND_STOP, KIND_TRAIL, KIND_TAKE})
_OF_PATHS = ("peak", "used", "resting", "first", "high", "low", "range", "above", "below")
_OF_ORDERS = [CASH_BEFORE, NEXT_ID, NEXT_GROUP, OWN_WORKING, AT_PRINTS, ENDED, QUIET, WAITING, UNMET]
_NO_MONEY = np.empty(0, np.int64)
_NOTHING = Tables(*emptied(new_log(1)))
