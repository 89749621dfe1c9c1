"""`BarBroker`: a broker that fills from bars, for replays.

Contract: it keeps the orders that were handed to it and its own cash and shares, and fills with the simulator's own
steps on a copy of the account, so with every order handed over it fills as a backtest does. Held orders and the
policy's stops are nobody's until their price comes: it watches the path for them, as the engine does on ticks, and says
which ones acted. An order that was not handed over does not fill. No clock, no randomness.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from quantkit.core.amounts import cash_of
from quantkit.core.bench import Bench, Outcome
from quantkit.core.context import no_rule
from quantkit.core.orders import PARKED
from quantkit.core.state import (
    KIND_CONDITIONAL,
    KIND_LIMIT,
    KIND_SAME_CLOSE,
    KIND_STOP_LIMIT,
    KIND_VWAP,
    N_ORDERS,
    STAGE_LIVE,
    STAGE_OVER,
    STAGE_TRIGGERED,
    Inputs,
    Record,
    State,
    copy_state,
)
from quantkit.core.steps import MARKET, MARKET_AGAIN, MORNING
from quantkit.errors import Bug

if TYPE_CHECKING:
    from collections.abc import Collection

    from numpy.typing import NDArray

    from quantkit.core.state import Records


class BarBroker:
    """Fills from bars. state, plan: of the run, at its start; rule: whether a strategy's own orders are among them."""

    def __init__(self, state: State, plan: Record, *, rule: bool) -> None:
        self._bench = Bench(copy_state(state), plan, rule=no_rule(len(state.names)) if rule else None)
        self.cash = int(cash_of(state))
        self.shares: NDArray[np.int64] = state.names["shares"].copy()
        self.orders: set[int] = set()

    def submit(self, order: int) -> None:
        """Take an order."""
        self.orders.add(order)

    def cancel(self, order: int) -> None:
        """Give an order up."""
        self.orders.discard(order)

    def settle(self, state: State) -> None:
        """A morning's deposits, dividends, splits and interest, as both sides know them."""
        self.cash = int(cash_of(state))
        self.shares[:] = state.names["shares"]

    def bases(self, row: Inputs, events: Records | None, state: State) -> NDArray[np.float64]:
        """(N,) base prices of a session.

        row, events: its first bar, as the morning knows it; state: the engine's of the evening before. Later in the
        session there are no events.
        """
        bench = self._bench
        bench.copy_from(state)
        bench.lay(row, events)
        if events is not None:
            bench.take(MORNING)
            bench.drained()
        return bench.bases()

    def match(self, row: Inputs, state: State, *, again: bool = False, refused: Collection[int] = ()) -> Outcome:
        """What a bar fills. state: the engine's after its morning (again: after its evening, with `fill="close"`).

        refused: orders and stops that may not act. The outcome's state is overwritten by the next call. Bug where the
        engine's money or shares are not the broker's.
        """
        self._compare(state)
        bench = self._bench
        bench.copy_from(state)
        bench.lay(row)
        _drop_others(bench.state, self.orders, refused, again=again)
        bench.take(MARKET_AGAIN if again else MARKET)
        tables = bench.drained()
        return Outcome(tables.fills, tables.orders, bench.state)

    def book(self, fills: Records) -> None:
        """Let fills of `match` be done."""
        for s, side, quantity, value, commission, tax in zip(*(fills[name].tolist() for name in _BOOKED), strict=True):
            self.cash -= side * value + commission + tax
            self.shares[s] += side * quantity

    def _compare(self, state: State) -> None:
        """Bug where the engine and the broker do not have the same money and shares."""
        if cash_of(state) != self.cash:
            raise Bug(f"the engine has {cash_of(state):,} in cash, the broker {self.cash:,}")
        if state.names["shares"].tobytes() != self.shares.tobytes():
            s = int(np.flatnonzero(state.names["shares"] != self.shares)[0])
            raise Bug(f"the engine has {state.names['shares'][s]} shares of name {s}, the broker {self.shares[s]}")


_BOOKED = ("symbol", "side", "quantity", "value", "commission", "tax")


def _drop_others(state: State, orders: set[int], refused: Collection[int], *, again: bool) -> None:
    """Keep orders that were not handed over from filling. again: at the close they were decided on."""
    table = state.orders[: int(state.account[N_ORDERS])]
    if not refused and orders.issuperset(table["id"].tolist()):
        return
    for order in table:
        handed = order.id in orders and order.id not in refused
        if handed or (order.own and order.stage == STAGE_OVER) or (again and order.kind != KIND_SAME_CLOSE):
            continue
        rests = order.kind <= KIND_VWAP or order.kind in (KIND_LIMIT, KIND_CONDITIONAL)
        rests = rests or (order.stage == STAGE_TRIGGERED and order.kind == KIND_STOP_LIMIT)
        live = order.own == 0 or STAGE_LIVE <= order.stage <= STAGE_TRIGGERED
        if order.id in refused or (rests and live and order.mute != PARKED):
            order.qty = order.filled
