"""`Book`: the fold's state of one deployment, bar by bar, with a broker in the place of the simulator.

    morning(row, events)   steps 1 and 2: the session's actions and base prices; which orders should stand now
    fill(...), drop(...)   what the broker did, as it happens
    watch(...)             what a price brings to act of the orders and stops that we hold ourselves
    evening(row)           steps 6 to 8: orders end, the account is marked, the strategy decides

Contract: the state is the fold's own record and every number in it is computed by the fold's own steps; with the
simulator's fills a book ends in the same state, to the last bit, as `core.fold.simulate`. No clock, no randomness, no
I/O. Names are columns, money is minor units.

In a replay of bars somebody else watches the path (`brokers.sim.BarBroker`) and says so with an `Outcome`, which
`adopt` takes over after the fills are booked. On ticks `watch` is asked instead.
"""

from __future__ import annotations

import json
import math
from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING

import numpy as np

from quantkit.core.amounts import cash_of, numbers_of
from quantkit.core.bench import Bench, Fill, Panel, Seen, Tables
from quantkit.core.context import NOW_FROM, NOW_LEAD, NOW_REACH, NOW_SIZE, no_rule
from quantkit.core.state import (
    BARS,
    EQUITY,
    KIND_SAME_CLOSE,
    N_ORDERS,
    STAGE_OVER,
    Inputs,
    Record,
    Records,
    State,
    from_bytes,
    to_bytes,
)
from quantkit.core.steps import END, EVENING, EVENING_AGAIN, MORNING
from quantkit.errors import BadData, Bug
from quantkit.live.wanted import (
    Advanced,
    Ended,
    Evening,
    Morning,
    Wanted,
    ended_of,
    reason_code,
    rule_of_kind,
    wanted_of,
)
from quantkit.live.watching import Watcher
from quantkit.strategy.rules import is_python, ready_rule

if TYPE_CHECKING:
    from collections.abc import Iterator

    from quantkit.core.bench import Outcome
    from quantkit.strategy.base import Strategy
    from quantkit.strategy.rules import ReadyRule

__all__ = ["Advanced", "Book", "Ended", "Evening", "Morning", "Wanted"]

_MAGIC = b"quantkit-book"


class Book:
    """One deployment's account, goals and orders.

    symbols   the columns
    state     as `core.prepare.first_state` makes it, with `strategy.rules.with_room` where `on_bar` orders
    plan      `core.fold.plan_of`
    intraday  the next morning follows at once after an evening; daily bars wait for their session
    strategy  where it has an `on_bar`, which evenings call
    tables    rows the steps wrote (fills, orders, actions), kept only with `record=True`
    """

    def __init__(
        self,
        symbols: tuple[str, ...],
        state: State,
        plan: Record,
        *,
        intraday: bool = False,
        strategy: Strategy | None = None,
        interpret: bool = False,
        record: bool = False,
    ) -> None:
        self.symbols, self.plan, self.intraday = symbols, plan, intraday
        self.strategy = strategy if strategy is not None and strategy.is_rule else None
        self.interpret, self.record = interpret, record
        self._numbers = numbers_of(plan)
        self.bench = Bench(state, plan, rule=None if self.strategy is None else no_rule(len(symbols)))
        self.watcher = Watcher(self.bench)
        self.tables: list[Tables] = []
        self.closing = False  # fill="close": orders of this evening wait for the bar's own close
        self._ready: ReadyRule | None = None

    @property
    def state(self) -> State:
        """The fold's record; it changes in place."""
        return self.bench.state

    # --- a bar -------------------------------------------------------------------------------------------------------

    def morning(self, row: Inputs, events: Records | None = None) -> Morning:
        """Steps 1 and 2 of the coming bar. row: of which base, flags and dates count; events: of bar 0."""
        if self.closing:
            raise Bug("a morning before the evening was finished")
        self.bench.lay(row, events)
        self.watcher.forget_levels()
        self.bench.take(MORNING)
        ended = self._written()
        phase = int(row.dates["phase"][0])
        standing = self.bench.standing(known=True) if self.state.account[N_ORDERS] else ()
        return Morning(tuple(wanted_of(order, phase) for order in standing), ended)

    def evening(self, row: Inputs, *, signals: Seen | tuple[()] = ()) -> Evening:
        """Steps 6 to 8. signals: what `on_bar` may look at.

        With `fill="close"` `closing` may then be True: fills of this close follow, and `finish`.
        """
        self.bench.lay(row)
        self.watcher.forget_levels()
        with self._rule(signals):
            again = self.bench.take(EVENING)
        decided: tuple[Wanted, ...] = ()
        if self.state.account[N_ORDERS]:
            now = int(self.state.account[BARS])
            phase = int(row.dates["phase"][0]) if self._numbers.fill_kind == KIND_SAME_CLOSE else None
            standing = self.bench.standing(known=phase is not None)
            decided = tuple(wanted_of(order, phase) for order in standing if order.bar == now)
        if again:
            self.closing = True
            return Evening(decided, self._written(), self.equity, self.cash)
        self.bench.take(END)
        return Evening(decided, self._written(), self.equity, self.cash)

    def finish(self) -> Evening:
        """End an evening with `fill="close"`, once the fills of its close are booked."""
        if not self.closing:
            raise Bug("there is no evening to finish")
        self.closing = False
        self.bench.take(EVENING_AGAIN)
        self.bench.take(END)
        return Evening((), self._written(), self.equity, self.cash)

    def panel(self, inputs: Inputs, events: Records, ready: ReadyRule | None = None) -> Panel:
        """Rows to `advance` over."""
        return Panel(self.bench, inputs, events, ready)

    def advance(self, panel: Panel, start: int, *, path: Outcome | None = None) -> Advanced:
        """Fold bars of a panel, from row `start` on, for as long as nobody could fill an order on them.

        path: of the row before, whose fills are booked and whose evening comes first. A decision is the last of a
        stretch.
        """
        self.watcher.forget_levels()
        first, quiet, targets = start, True, self.state.target
        if path is not None:
            first, before = start - 1, targets.tobytes()
            self.bench.adopt(path)
            self.bench.close(panel, first)
            quiet = targets.tobytes() == before
        with nullcontext() if panel.ready is None else panel.ready.reported():
            row = self.bench.run(panel, start) if quiet else start
        decided: tuple[Wanted, ...] = ()
        if row > first and self.state.account[N_ORDERS]:
            last = int(self.state.account[BARS]) - 1
            self.bench.lay(panel.row(row - 1))
            decided = tuple(wanted_of(order, None) for order in self.bench.standing(known=False) if order.bar == last)
        return Advanced(row, decided, self._written())

    # --- what the broker did ------------------------------------------------------------------------------------------

    def fill(
        self, *, order: int, symbol: int, side: int, quantity: int, price: float, value: int, commission: int, tax: int,
        rule: int | None = None, slippage: int = 0, from_proceeds: int = 0, ambiguous: int = 0,
    ) -> None:  # fmt: skip
        """Book a fill, or a piece of one. rule: index in `core.state.RULES`; None: what the order's kind says."""
        self.watcher.forget_levels()
        stop = self.watcher.stops.get(order)
        if rule is None:
            rule = stop.rule if stop is not None else self._rule_of(order)
        self.bench.fill(
            Fill(order, symbol, side, quantity, price, value, commission, tax, rule, slippage, from_proceeds, ambiguous)
        )
        if stop is not None:
            self.watcher.filled(order, quantity)

    def drop(self, order: int, reason: str) -> None:
        """The exchange, a gate or a person ended what was left of an order. Nothing happens where it has ended."""
        self.watcher.forget_levels()
        if not self.watcher.dropped(order, reason_code(reason)):
            self.bench.end(order, reason_code(reason))

    def watch(self, symbol: int, price: float, row: Inputs) -> tuple[Wanted, ...] | None:
        """What this price brings to act of held orders and the policy's stops: orders to send now. Each comes once.

        None: it changed nothing. Without an order: it moved a peak or a trailing order. row: the bar that is running
        (`morning`'s).
        """
        return self.watcher.watch(symbol, price, row)

    def adopt(self, outcome: Outcome) -> None:
        """After the fills of a bar whose path somebody watched: the table of orders and the peaks as they stand."""
        self.watcher.forget_levels()
        self.bench.adopt(outcome)

    # --- what it is worth ---------------------------------------------------------------------------------------------

    @property
    def equity(self) -> int:
        """At the last mark."""
        return int(self.state.account[EQUITY])

    @property
    def cash(self) -> int:
        """Settled or not."""
        return int(cash_of(self.state))

    def available(self) -> int:
        """Cash that buys may bind, before what open orders bind already."""
        plan, names = self._numbers, self.state.names
        unit, shares = plan.unit, names["shares"]
        kept = math.floor(plan.min_cash * unit + 0.5)
        if (shares < 0).any():
            short = np.flatnonzero(shares < 0)
            close = np.nan_to_num(names["last_close"][short])
            worth = np.floor(close * -shares[short] * unit + 0.5).sum()
            kept += math.floor(worth * (1.0 + plan.short_margin) + 0.5)
        return self.cash - int(kept)

    # --- bytes --------------------------------------------------------------------------------------------------------

    def to_bytes(self) -> bytes:
        """Everything that a restart needs."""
        head = json.dumps({"closing": self.closing, "watcher": self.watcher.to_json()}).encode()
        return b"".join([_MAGIC, len(head).to_bytes(8, "little"), head, to_bytes(self.state, self.symbols)])

    @classmethod
    def from_bytes(
        cls,
        data: bytes,
        plan: Record,
        *,
        intraday: bool = False,
        strategy: Strategy | None = None,
        interpret: bool = False,
        record: bool = False,
    ) -> Book:
        """The book that `to_bytes` wrote. BadData for anything else."""
        start = len(_MAGIC) + 8
        if data[: len(_MAGIC)] != _MAGIC or len(data) < start:
            raise BadData("these bytes are not a quantkit book (the magic word is missing)")
        size = int.from_bytes(data[len(_MAGIC) : start], "little")
        try:
            head = json.loads(data[start : start + size])
        except ValueError as error:
            raise BadData(f"the header of this quantkit book cannot be read: {error}") from None
        state, symbols = from_bytes(data[start + size :])
        book = cls(symbols, state, plan, intraday=intraday, strategy=strategy, interpret=interpret, record=record)
        book.closing = bool(head["closing"])
        book.watcher.from_json(head["watcher"])
        return book

    # --- inside -------------------------------------------------------------------------------------------------------

    def _written(self) -> tuple[Ended, ...]:
        """Take the rows that the steps wrote; the orders among them that ended."""
        tables = self.bench.drained()
        if self.record and any(map(len, tables)):
            self.tables.append(tables)
        return ended_of(tables.orders) if len(tables.orders) else ()

    def _rule_of(self, order: int) -> int:
        table = self.state.orders[: int(self.state.account[N_ORDERS])]
        found = np.flatnonzero((table["id"] == order) & (table["stage"] != STAGE_OVER))
        if not len(found):
            raise Bug(f"a fill of order {order}, which the book does not know; say by which rule it was made")
        return rule_of_kind(int(table["kind"][found[0]]))

    @contextmanager
    def _rule(self, seen: Seen | tuple[()]) -> Iterator[None]:
        """Around a step that calls `on_bar`, with what it may look at."""
        strategy = self.strategy
        if strategy is None:
            yield
            return
        if not isinstance(seen, Seen):
            raise Bug(f"{strategy!r} acts on what it sees, and was shown nothing")
        if self._ready is None or is_python(interpret=self.interpret) or len(seen.signals) != len(self._ready.signals):
            self._ready = self._made_ready(strategy, seen)
            self.bench.see(self._ready.rule)
        else:
            self.bench.look(seen)
        with self._ready.reported():
            yield

    def _made_ready(self, strategy: Strategy, seen: Seen) -> ReadyRule:
        now = np.zeros(NOW_SIZE, np.int64)
        now[NOW_LEAD], now[NOW_REACH], now[NOW_FROM] = seen.row, strategy.warmup, seen.start
        columns = {name: values[seen.at : seen.at + 1] for name, values in seen.signals.items()}
        row = self.bench.row
        if row is None:
            raise Bug("a rule before any row")
        return ready_rule(
            strategy, self.symbols, seen.past, columns, now, state=self.state, inputs=row, plan=self.plan,
            interpret=self.interpret, intraday=self.intraday,
        )  # fmt: skip
