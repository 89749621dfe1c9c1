"""Fill to cash and shares, and the closing mark of a bar.

Contract: pure steps over `State`; money is int64 minor units; nothing is allocated. `apply` books a fill whoever made
it: the simulator here, a broker live. The steps are those of `docs/execution.md`, under the same names.
"""

from __future__ import annotations

import numpy as np

from quantkit.core.state import (
    BARS,
    BLOCKED,
    CLOSE_ENTRY,
    DAILY_LOSS_LATCH,
    DAY_START,
    DRAWDOWN_LATCH,
    EQUITY,
    KIND_SAME_CLOSE,
    LATCH,
    N_ACTIVE,
    NEXT_1,
    NEXT_2,
    OPEN_ENTRY,
    PEAK_EQUITY,
    RECEIVABLE,
    RULE_CLOSE,
    RULE_CONDITIONAL,
    RULE_OPEN,
    RULE_SAME_CLOSE,
    RULE_STOP,
    RULE_TAKE_GAP,
    RULE_VWAP,
    SETTLED,
    SHORT_VALUE,
    UNMET,
    WAITING,
    Inputs,
    Log,
    Record,
    State,
    i64,
)
from quantkit.data.bars import TRADED
from quantkit.jit import njit_bare, njit_call

__all__ = [
    "activate",
    "apply",
    "cash_of",
    "commission_asked",
    "commission_of",
    "lots",
    "mark",
    "money",
    "more_commission",
    "owned",
    "tax_of",
]


@njit_bare
def money(price: float, quantity: int, unit: float) -> int:
    """Value in minor units, rounded to the nearest."""
    return i64(np.floor(price * quantity * unit + 0.5))


@njit_bare
def lots(plan: Record, market: int, quantity: int) -> int:
    """Shares cut to whole lots of their market."""
    lot = plan.lot[market]
    return quantity if lot == 1 else quantity - quantity % lot  # a division is dear, and nearly always idle


@njit_bare
def commission_of(plan: Record, market: int, value: int) -> int:
    """Commission on one fill worth `value`, minor units, cut as the broker cuts it."""
    if value == 0:
        return i64(0)
    raw = value * plan.commission[market] + plan.fixed
    if raw < plan.minimum:
        raw = plan.minimum
    return i64(np.floor((raw + 1e-6) / plan.truncate_to) * plan.truncate_to)


@njit_bare
def more_commission(plan: Record, working: Record, market: int, value: int) -> int:
    """Commission on a further fill of an order worth `value`: its own, or what it adds to that of the order's session.

    `working` is the order's record; whoever books the fill adds `value` and the answer to its `value` and `fee`.
    """
    if plan.per_order_day == 0:
        return commission_of(plan, market, value)
    return commission_of(plan, market, working.value + value) - working.fee


@njit_bare
def commission_asked(plan: Record, working: Record, market: int, value: int) -> int:
    """What a buy worth `value` must have ready: its commission as an order of its own, or what it adds, the larger."""
    own = commission_of(plan, market, value)
    return own if plan.per_order_day == 0 else max(own, more_commission(plan, working, market, value))


@njit_bare
def tax_of(plan: Record, market_rate: float, value: int) -> int:
    """Tax on a sale worth `value`, cut to the minor unit."""
    rate = plan.tax if plan.tax >= 0.0 else market_rate
    return i64(np.floor(value * rate + 1e-6))


@njit_bare
def cash_of(state: State) -> int:
    """All cash, settled or on its way: what can be spent."""
    return state.account[SETTLED] + state.account[NEXT_1] + state.account[NEXT_2]


@njit_bare
def owned(name: Record) -> int:
    """Shares held, with those on their way."""
    return name.shares + name.due


@njit_bare
def activate(state: State, s: int) -> None:
    """Put a name on the list that every bar looks at."""
    name = state.names[s]
    if name.slot < 0:
        place = state.account[N_ACTIVE]
        state.names[place].active = s
        name.slot = place
        state.account[N_ACTIVE] = place + 1


@njit_bare
def end_goal(state: State, s: int) -> None:
    """A stop has fired: nothing is wanted of the name until its target has been 0."""
    name = state.names[s]
    name.goal = 0
    if state.target[s] != 0.0:
        name.marks |= BLOCKED
    state.account[WAITING] = 1
    state.account[UNMET] = 1


@njit_call
def apply(
    state: State, s: int, side: int, quantity: int, price: float, value: int, commission: int, tax: int, rule: int
) -> None:
    """Book one fill, or a piece of one: cash to its settlement day, shares, entry price, a stop's end of the goal."""
    name = state.names[s]
    account = state.account
    account[NEXT_2] -= side * value + commission + tax
    account[UNMET] = 1
    before = owned(name)
    after = before + side * quantity
    if after * side > 0:
        activate(state, s)
        name.last_entry = price
        if before * side <= 0:
            name.entry_bar = account[BARS]
            name.entry_value = 0
            name.entry_qty = 0.0
            name.peak = price
            if rule in (RULE_CLOSE, RULE_SAME_CLOSE, RULE_VWAP, RULE_CONDITIONAL):
                name.marks |= CLOSE_ENTRY
            elif rule == RULE_OPEN:
                name.marks |= OPEN_ENTRY
        if before * side >= 0:
            name.entry_value += value
            name.entry_qty += quantity
        else:  # from short to long in one fill: the rest opens
            name.entry_qty = abs(after) * 1.0
            name.entry_value = i64(np.floor(value * (name.entry_qty / quantity) + 0.5))
        if (price - name.peak) * side > 0.0:
            name.peak = price
    name.shares += side * quantity
    if after == 0:
        name.exit_bar = account[BARS]
    if RULE_STOP <= rule <= RULE_TAKE_GAP:
        end_goal(state, s)


@njit_call
def write_fill(
    log: Log, bar: int, s: int, side: int, quantity: int, price: float, value: int, commission: int, tax: int,
    slippage: int, order: int, rule: int, proceeds: int, ambiguous: int,
) -> None:  # fmt: skip
    """One row of fills."""
    k = log.used[0]
    row = log.fills[k]
    row.bar = bar
    row.symbol = s
    row.side = side
    row.quantity = quantity
    row.price = price
    row.value = value
    row.commission = commission
    row.tax = tax
    row.slippage = slippage
    row.order_id = order
    row.rule = rule
    row.from_proceeds = proceeds
    row.ambiguous = ambiguous
    log.used[0] = k + 1


@njit_call
def write_order(
    log: Log, order: int, bar: int, s: int, side: int, quantity: int, filled: int, kind: int, status: int, reason: int,
    done: int, tag: int,
) -> None:  # fmt: skip
    """One row of orders, written when the order's life ends."""
    k = log.used[1]
    row = log.orders[k]
    row.order_id = order
    row.bar = bar
    row.symbol = s
    row.side = side
    row.quantity = quantity
    row.filled = filled
    row.kind = kind
    row.status = status
    row.reason = reason
    row.done_bar = done
    row.tag = tag
    log.used[1] = k + 1


@njit_bare
def previous_close(state: State, inputs: Inputs, t: int, s: int) -> float:
    """Close of the bar before, which may lie in the chunk before."""
    return inputs.close[t - 1, s] if t > 0 else state.names[s].last_close


@njit_bare
def mark(state: State, inputs: Inputs, plan: Record, t: int, again: int) -> None:
    """Step 7: equity at the close, the peaks of trailing stops, the loss limits. again: the bar's second mark."""
    account = state.account
    equity, shorts = cash_of(state) + account[RECEIVABLE], i64(0)
    for i in range(account[N_ACTIVE]):
        s = state.names[i].active
        name = state.names[s]
        held = owned(name)
        if held != 0:
            equity += money(inputs.close[t, s], held, plan.unit)
            followed = again == 1 or name.marks & CLOSE_ENTRY != 0
            if plan.trailing_stop > 0.0 and not followed and inputs.flags[t, s] & TRADED:
                name.peak = max(name.peak, inputs.high[t, s]) if held > 0 else min(name.peak, inputs.low[t, s])
            if name.shares < 0:
                shorts += money(inputs.close[t, s], -name.shares, plan.unit)
        if name.marks & (OPEN_ENTRY | CLOSE_ENTRY) != 0:
            name.marks &= ~(OPEN_ENTRY | CLOSE_ENTRY)
        if plan.participation < np.inf and plan.fill_kind != KIND_SAME_CLOSE:
            name.used = 0
    account[EQUITY] = equity
    account[SHORT_VALUE] = shorts
    if equity > account[PEAK_EQUITY]:
        account[PEAK_EQUITY] = equity
    if plan.max_daily_loss < np.inf and account[DAY_START] - equity > plan.max_daily_loss * account[DAY_START]:
        account[LATCH] |= DAILY_LOSS_LATCH
    if plan.max_drawdown < np.inf and account[PEAK_EQUITY] - equity > plan.max_drawdown * account[PEAK_EQUITY]:
        account[LATCH] |= DRAWDOWN_LATCH
