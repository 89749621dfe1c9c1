"""Prices an order is judged by: the day's base and limits, the collar, slippage.

Contract: pure readers of one bar; the rules of the exchange come by date out of `plan`. Nothing is booked here.
"""

from __future__ import annotations

import numpy as np

from quantkit.core.account import apply, commission_of, money, more_commission, previous_close, tax_of, write_fill
from quantkit.core.state import BARS, DAY, KIND_SAME_CLOSE, NEW_SESSION, PREV_ROW, Inputs, Log, Record, State, i64
from quantkit.data.bars import FIRST_DAY, LIQUIDATION
from quantkit.jit import njit_bare, njit_call
from quantkit.market.kernels import (
    FIRST_DAY_BAND,
    FIRST_DAY_OPENING,
    ceil_tick,
    floor_tick,
    session_limits,
    tick_at,
)


@njit_bare
def base_price(state: State, inputs: Inputs, plan: Record, t: int, s: int) -> float:
    """The day's reference price: the exchange's own, else yesterday's close over today's factors, raised to the
    grid."""
    name = state.names[s]
    account = state.account
    if len(inputs.base) > 0 and inputs.base[t, s] > 0.0:
        return inputs.base[t, s]
    row = account[PREV_ROW]
    price = inputs.close[row, s] if row >= 0 else name.session_close
    if name.base_day == account[DAY]:
        price /= name.base_factor
    return ceil_tick(plan, inputs.dates[t].row, name.market, price)


@njit_call
def day_limits(state: State, inputs: Inputs, plan: Record, t: int, s: int) -> tuple[float, float]:
    """(lower, upper) price limit of the bar's session; (0, inf) where there is none."""
    name = state.names[s]
    if inputs.flags[t, s] & LIQUIDATION:
        return 0.0, np.inf
    base = base_price(state, inputs, plan, t, s)
    row, band = inputs.dates[t].row, False
    if inputs.flags[t, s] & FIRST_DAY:
        band = plan.first_day[row, name.market] == FIRST_DAY_BAND
        if plan.first_day[row, name.market] == FIRST_DAY_OPENING and state.account[NEW_SESSION]:
            base = inputs.open[t, s]
    if not base > 0.0:
        return 0.0, np.inf
    return session_limits(plan, row, name.market, base, name.leverage, band)


@njit_bare
def reference_price(state: State, inputs: Inputs, plan: Record, t: int, s: int) -> float:
    """What a collar is measured from: the day's base on a session's first bar, then the close of the bar before."""
    if state.account[NEW_SESSION]:
        return base_price(state, inputs, plan, t, s)
    return previous_close(state, inputs, t, s)


@njit_call
def order_limit(state: State, inputs: Inputs, plan: Record, t: int, s: int, side: int, kind: int) -> float:
    """Limit price of an order at open or close: the collar around the reference; inf or 0 for a market order."""
    if plan.collar < 0.0 or kind == KIND_SAME_CLOSE:
        return np.inf if side > 0 else 0.0
    reference = reference_price(state, inputs, plan, t, s)
    market, row = state.names[s].market, inputs.dates[t].row
    if side > 0:
        return floor_tick(plan, row, market, reference * (1.0 + plan.collar))
    return ceil_tick(plan, row, market, reference * (1.0 - plan.collar))


@njit_call
def slipped(
    inputs: Inputs, plan: Record, t: int, s: int, market: int, side: int, quantity: int, price: float, limit: float
) -> float:
    """`price` after slippage, on the grid against the trader, inside the bar and inside the order's limit.

    quantity: what the order asks for at that moment; the price moves by the square root of its part in the volume.
    """
    if (plan.slip_ticks == 0.0 and plan.slip_bps == 0.0 and plan.impact == 0.0) or (side < 0 and plan.slip_entry_only):
        return price
    row = inputs.dates[t].row
    move = plan.slip_ticks * tick_at(plan, row, market, price) + price * (plan.slip_bps / 10000.0)
    if plan.impact > 0.0 and len(inputs.volume) > 0 and inputs.volume[t, s] > 0.0:
        move += plan.impact * price * np.sqrt(quantity / inputs.volume[t, s])
    if side > 0:
        worse = min(ceil_tick(plan, row, market, price + move), inputs.high[t, s], limit)
        return max(worse, price)
    worse = max(floor_tick(plan, row, market, price - move), inputs.low[t, s], limit)
    return min(worse, price)


@njit_call
def book_fill(
    state: State, inputs: Inputs, plan: Record, log: Log, t: int, s: int, side: int, quantity: int,
    price: float, unslipped: float, order: int, k: int, rule: int, proceeds: int,
) -> None:  # fmt: skip
    """Book a fill of the simulator with its costs. k: the order's place in the table, -1 where it has none."""
    market = state.names[s].market
    value = money(price, quantity, plan.unit)
    if k >= 0:
        working = state.orders[k]
        commission = more_commission(plan, working, market, value)
        working.value += value
        working.fee += commission
    else:
        commission = commission_of(plan, market, value)
    tax = tax_of(plan, plan.tax_rate[inputs.dates[t].row, market], value) if side < 0 else i64(0)
    slippage = side * (value - money(unslipped, quantity, plan.unit))
    if plan.participation < np.inf:
        state.names[s].used += quantity
    apply(state, s, side, quantity, price, value, commission, tax, rule)
    write_fill(
        log,
        state.account[BARS],
        s,
        side,
        quantity,
        price,
        value,
        commission,
        tax,
        slippage,
        order,
        rule,
        proceeds,
        i64(0),
    )
