"""Round trips: what was bought, when it was sold, and what it earned.

Contract: first in, first out within each name; one row for every piece of a buy that one sale closed, and one for
what is still open, valued at the last close. Quantities are shares of the exit day and `entry_price` is in their won,
so a split between the two changes neither value nor profit. `pnl` = exit value - entry value - commission - tax +
dividends received meanwhile (slippage is already in the prices). The profits of all trades add up to what the account
gained, but for cash of actions that came when nothing was held. Read by `Result.trades`, its figures, the plots and
the report.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from quantkit.backtest.output import RunOutput

__all__ = ["Trades", "round_trips"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Trades:
    """Columns of R round trips, ordered by exit (open ones last), then entry, then column.

    symbol    column in the bars
    quantity  shares, negative for a short
    cost      commission and tax of both sides
    ret       pnl over the entry value
    rule      rule of the exit, an index in core.state.RULES; -1 where no order closed it
    open      still held at the end
    ambiguous entry or exit hung on the order of the bar's high and low, which no bar tells
    """

    symbol: Ints
    entry_bar: Ints
    exit_bar: Ints
    quantity: Ints
    entry_price: Floats
    exit_price: Floats
    cost: Floats
    dividend: Floats
    pnl: Floats
    ret: Floats
    rule: Ints
    open: NDArray[np.bool_]
    ambiguous: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.symbol)


def _events(run: RunOutput, unit: float) -> tuple[Ints, Ints, Ints, Ints, Floats, Floats, Ints]:
    """Fills and actions in one sequence: by name, bar, actions first, then as they happened."""
    fills, actions = run.fills, run.actions
    size, extra = len(fills["bar"]), len(actions["bar"])
    symbol = np.concatenate((actions["symbol"], fills["symbol"])).astype(np.int64)
    bar = np.concatenate((actions["bar"], fills["bar"]))
    is_fill = np.repeat(np.array([0, 1], np.int64), (extra, size))
    shares = np.concatenate((actions["share_delta"], fills["side"] * fills["quantity"]))
    price = np.concatenate((np.zeros(extra), fills["price"]))
    cash = np.concatenate((actions["cash"], fills["commission"] + fills["tax"])) / unit
    rule = np.concatenate((np.full(extra, -1), fills["rule"])).astype(np.int64)
    order = np.lexsort((is_fill, bar, symbol))  # stable: equal keys keep their sequence
    return symbol[order], bar[order], is_fill[order], shares[order], price[order], cash[order], rule[order]


def _unsure(run: RunOutput, symbol: Ints, *bars: Ints) -> NDArray[np.bool_]:
    """Whether a trade began or ended with an ambiguous fill of its name on that bar."""
    fills = run.fills
    marked = fills["ambiguous"]
    found = np.zeros(len(symbol), np.bool_)
    if marked.any():
        places = fills["symbol"][marked].astype(np.int64) * len(run) + fills["bar"][marked]
        for bar in bars:
            found |= np.isin(symbol * len(run) + bar, places)
    return found


def round_trips(run: RunOutput, *, last_price: Floats, minor_unit: int = 1) -> Trades:
    """The trades of a run.

    last_price   (N,) raw close of the last bar, at which open shares are valued
    minor_unit   minor units of money in one unit of price
    """
    from quantkit.backtest.lots import match_lots  # loads the compiler

    size = len(run.fills["bar"])
    whole, money = np.empty((2 * size, 6), np.int64), np.empty((2 * size, 4))
    lots, worth = np.empty((size, 2), np.int64), np.empty((size, 3))
    rows = 0
    if size:
        marks = np.ascontiguousarray(last_price, np.float64)
        rows = match_lots(*_events(run, float(minor_unit)), marks, len(run) - 1, lots, worth, whole, money)
    # Sorted by exit: a name's trades come out together, and people read by date.
    symbol, entry_bar, exit_bar, quantity, rule, still_open = whole[:rows].T
    order = np.lexsort((symbol, entry_bar, exit_bar, still_open))
    entry, exit_, cost, dividend = money[:rows][order].T
    shares = quantity[order]
    pnl = exit_ - entry - cost + dividend
    return Trades(
        symbol=symbol[order],
        entry_bar=entry_bar[order],
        exit_bar=exit_bar[order],
        quantity=shares,
        entry_price=entry / shares,
        exit_price=exit_ / shares,
        cost=cost,
        dividend=dividend,
        pnl=pnl,
        ret=pnl / np.abs(entry),
        rule=rule[order],
        open=still_open[order] != 0,
        ambiguous=_unsure(run, symbol[order], entry_bar[order], exit_bar[order]),
    )
