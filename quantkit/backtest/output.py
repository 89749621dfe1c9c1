"""What a run leaves behind, as plain arrays: the only thing `Result` reads besides the bars.

Contract: T rows, one a bar from the run's start on (bars that only warmed up are cut); money is int64 minor units
(won; cents), prices are float64 in units of price of that day. `bar` is a row, `symbol` a column of the result's bars.
Filled by `backtest.run`; read by `backtest.result` and everything below it. Codes are those of `core.state`.

>>> out = RunOutput.empty(np.array([100, 110]), initial_cash=100)
>>> len(out), len(out.fills["bar"])
(2, 0)
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from quantkit.errors import Bug

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["ACTION_FIELDS", "FILL_FIELDS", "FLOW_FIELDS", "ORDER_FIELDS", "Columns", "RunOutput"]

Columns = dict[str, NDArray[Any]]
Ints = NDArray[np.int64]

FILL_FIELDS = {
    "bar": np.int64,  # row it happened on
    "symbol": np.int32,  # column
    "side": np.int8,  # +1 buy, -1 sell
    "quantity": np.int64,  # shares, positive
    "price": np.float64,  # in the won of the day
    "commission": np.int64,
    "tax": np.int64,
    "slippage": np.int64,  # signed cost against the unslipped price; already inside `price`
    "order_id": np.int64,
    "rule": np.int8,  # index in core.state.RULES
    "from_proceeds": np.bool_,  # paid with sales of the same bar
    "ambiguous": np.bool_,  # decided by the order of the bar's extremes, which is not known
}
ORDER_FIELDS = {
    "order_id": np.int64,
    "bar": np.int64,  # row it was decided on
    "symbol": np.int32,
    "side": np.int8,
    "quantity": np.int64,
    "filled": np.int64,
    "kind": np.int8,  # index in core.state.ORDER_KINDS
    "status": np.int8,  # index in core.state.ORDER_STATUS
    "reason": np.int8,  # index in core.state.REASONS
    "done_bar": np.int64,  # row it ended on; -1 while it works
    "tag": np.int64,  # the strategy's own number, or state.TAG_HELD_OUT
}
ACTION_FIELDS = {
    "bar": np.int64,
    "symbol": np.int32,
    "kind": np.int8,  # index in core.state.ENTRY_KINDS
    "share_delta": np.int64,  # shares added (split, bonus: also those listed later) or taken away (reduction)
    "cash": np.int64,  # dividends after tax, rights sold, paid-out fractions; from the ex-date on
    "tax": np.int64,  # withheld
    "assumed": np.int8,  # 1: what it was worth is assumed (unknown kind; a right sold at its theoretical value)
}
FLOW_FIELDS = {
    "bar": np.int64,
    "kind": np.int8,  # index in core.state.ENTRY_KINDS: interest, borrow
    "cash": np.int64,  # received; a cost is negative
}


def _columns(given: Mapping[str, ArrayLike] | None, fields: Mapping[str, type], what: str) -> Columns:
    """The named columns with their dtypes (no copy where they already fit); columns not given are zeros."""
    given = given or {}
    sizes = {name: len(np.asarray(values)) for name, values in given.items()}
    if len(set(sizes.values())) > 1:
        raise Bug(f"columns of {what} differ in length: {sizes}")
    size = next(iter(sizes.values()), 0)
    columns: Columns = {}
    for name, dtype in fields.items():
        columns[name] = np.asarray(given[name], dtype) if name in given else np.zeros(size, dtype)
    return columns


@dataclass(slots=True)
class RunOutput:
    """Arrays of one run.

    equity        (T,) int64: cash, dividends due and positions marked at each bar's close
    cash          (T,) int64: all cash, settled or not
    deposits      (T,) int64: money paid in before the bar trades; the initial cash is not among them
    initial_cash  money before the first bar
    fills, orders, actions   equal-length columns: FILL_FIELDS, ORDER_FIELDS, ACTION_FIELDS; rows in the order they
                  happened (an action of a bar comes before its fills). Other columns are kept out.
    last_close    (N,) float64 close of the last bar as traded; None: the bars of the result say it
    flows         interest and borrowing fees: FLOW_FIELDS
    state         the final state of the fold, for going on; never read here
    """

    equity: Ints
    cash: Ints
    deposits: Ints
    fills: Columns
    orders: Columns
    actions: Columns
    initial_cash: int
    last_close: NDArray[np.float64] | None = None
    flows: Columns = field(default_factory=dict)
    state: object | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        self.equity = np.ascontiguousarray(self.equity, np.int64)
        self.cash = np.ascontiguousarray(self.cash, np.int64)
        self.deposits = np.ascontiguousarray(self.deposits, np.int64)
        shapes = {array.shape for array in (self.equity, self.cash, self.deposits)}
        if len(shapes) != 1 or self.equity.ndim != 1:
            raise Bug(f"equity, cash and deposits must be (T,) arrays of one length; got {sorted(shapes)}")
        self.fills = _columns(self.fills, FILL_FIELDS, "fills")
        self.orders = _columns(self.orders, ORDER_FIELDS, "orders")
        self.actions = _columns(self.actions, ACTION_FIELDS, "actions")
        self.flows = _columns(self.flows, FLOW_FIELDS, "flows")

    @classmethod
    def empty(cls, equity: ArrayLike, *, initial_cash: int) -> RunOutput:
        """A run without orders, whose money is all cash."""
        money = np.asarray(equity, np.int64)
        return cls(money, money.copy(), np.zeros_like(money), {}, {}, {}, initial_cash)

    def __len__(self) -> int:
        return len(self.equity)
