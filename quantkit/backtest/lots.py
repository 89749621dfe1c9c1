"""First in, first out: which shares a sale sold. The compiled half of `trades`.

Contract: pure; events come sorted by name, then in the order they happened. Money is float64 in units of price.
1. A fill on the side of the position opens a lot; one against it closes the oldest lots and opens one with the rest.
2. A share action scales the open lots so that their sum is the new position exactly (running sums are floored).
3. Cash of an action goes to the open lots by their shares; with none open it goes to no trade.
4. An action that takes all shares closes all lots for its cash.
5. What is still open at the end is valued at `last_price` of its name.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from quantkit.core.state import i64
from quantkit.jit import njit_call, njit_entry

__all__ = ["match_lots", "matched"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

# Columns of the results: whole numbers, then money.
SYMBOL, ENTRY_BAR, EXIT_BAR, QUANTITY, RULE, OPEN = range(6)
ENTRY_VALUE, EXIT_VALUE, COST, DIVIDEND = range(4)


@njit_call
def _close(
    whole: Ints, money: Floats, row: int, lot: int, lots: Ints, worth: Floats, quantity: int, bar: int,
    exit_value: float, exit_cost: float, rule: int, still_open: int,
) -> None:  # fmt: skip
    """Write `quantity` shares of a lot as one trade and take their part of its money out of it."""
    part = quantity / lots[lot, 1]
    whole[row, ENTRY_BAR] = lots[lot, 0]
    whole[row, EXIT_BAR] = bar
    whole[row, QUANTITY] = quantity
    whole[row, RULE] = rule
    whole[row, OPEN] = still_open
    money[row, ENTRY_VALUE] = worth[lot, 0] * part
    money[row, EXIT_VALUE] = exit_value
    money[row, COST] = worth[lot, 1] * part + exit_cost
    money[row, DIVIDEND] = worth[lot, 2] * part
    lots[lot, 1] -= quantity
    for k in range(3):
        worth[lot, k] -= worth[lot, k] * part


@njit_call
def _scale(lots: Ints, worth: Floats, head: int, tail: int, old: int, new: int) -> None:
    """Share action: old shares in all become new ones; a lot too small for one share joins the next (the last: the
    one before)."""
    running, given, carry_to = 0, 0, -1
    for lot in range(head, tail):
        running += lots[lot, 1]
        upto = running * new // old
        lots[lot, 1] = upto - given
        given = upto
        if lots[lot, 1] != 0:
            carry_to = lot
        else:
            goal = lot + 1 if lot + 1 < tail else carry_to
            for k in range(3):
                worth[goal, k] += worth[lot, k]
                worth[lot, k] = 0.0


@njit_call
def _close_all(
    whole: Ints, money: Floats, rows: int, symbol: int, head: int, tail: int, lots: Ints, worth: Floats, bar: int,
    price: float, still_open: int,
) -> int:  # fmt: skip
    """Close every lot at one price, by no order; returns the next row."""
    for lot in range(head, tail):
        quantity = lots[lot, 1]
        if quantity != 0:
            whole[rows, SYMBOL] = symbol
            _close(whole, money, rows, lot, lots, worth, quantity, bar, price * quantity, 0.0, i64(-1), still_open)
            rows += 1
    return rows


@njit_call
def matched(
    symbol: Ints, bar: Ints, is_fill: Ints, shares: Ints, price: Floats, cash: Floats, rule: Ints, count: int,
    last_price: Floats, last_bar: int, lots: Ints, worth: Floats, whole: Ints, money: Floats,
) -> int:  # fmt: skip
    """Fill `whole` and `money` with one row a trade; returns the number of rows.

    count         so many of the events count, E
    shares (E,)   signed shares of the event: a fill's quantity with its side, an action's change
    cash (E,)     a fill's commission and tax (cost), an action's cash paid to us
    last_price    (N,) price of open shares
    lots, worth   work space, (F, 2) and (F, 3), F fills;  whole, money  results, (2F, 6) and (2F, 4)
    """
    rows, head, tail, position = i64(0), i64(0), i64(0), i64(0)
    for e in range(count):
        s, left = symbol[e], shares[e]
        if is_fill[e] == 0:
            after = position + left
            if position != 0 and after == 0:
                rows = _close_all(whole, money, rows, s, head, tail, lots, worth, bar[e], cash[e] / position, i64(0))
                head = tail
            elif position != 0:
                for lot in range(head, tail):
                    worth[lot, 2] += cash[e] * lots[lot, 1] / position
                if left != 0:
                    _scale(lots, worth, head, tail, position, after)
            position = after if position != 0 else i64(0)
        else:
            size = abs(left)
            sign = i64(1) if position > 0 else i64(-1)
            while left * sign < 0 and head < tail:
                taken = min(abs(lots[head, 1]), abs(left))
                if taken != 0:
                    whole[rows, SYMBOL] = s
                    _close(whole, money, rows, head, lots, worth, sign * taken, bar[e], sign * price[e] * taken,
                           cash[e] * taken / size, rule[e], i64(0))  # fmt: skip
                    rows += 1
                    position -= sign * taken
                    left += sign * taken
                if lots[head, 1] == 0:
                    head += 1
            if left != 0:
                lots[tail, 0], lots[tail, 1] = bar[e], left
                worth[tail, 0], worth[tail, 1], worth[tail, 2] = price[e] * left, cash[e] * abs(left) / size, 0.0
                tail += 1
                position += left
        if e + 1 == count or symbol[e + 1] != s:
            rows = _close_all(whole, money, rows, s, head, tail, lots, worth, last_bar, last_price[s], i64(1))
            head, position = tail, 0
    return rows


@njit_entry
def match_lots(
    symbol: Ints, bar: Ints, is_fill: Ints, shares: Ints, price: Floats, cash: Floats, rule: Ints, last_price: Floats,
    last_bar: int, lots: Ints, worth: Floats, whole: Ints, money: Floats,
) -> int:  # fmt: skip
    """`matched`, callable from Python, over all events."""
    return matched(
        symbol, bar, is_fill, shares, price, cash, rule, len(symbol), last_price, last_bar, lots, worth, whole, money
    )
