"""Order against bar: which orders fill, at what price, and why the others do not.

Contract: `release`, `match_open`, `match_stops`, `match_close` and `expire` are steps 2 to 6 of `docs/execution.md`;
they read one bar, book fills through `account.apply` and write what they did to the log. Live replaces them by a
broker. Nothing here depends on the order of columns.
"""

from __future__ import annotations

import numpy as np

from quantkit.core.account import apply, cash_of, commission_of, money, previous_close, tax_of, write_fill, write_order
from quantkit.core.state import (
    BARS,
    BEYOND_COLLAR,
    BUY,
    CASH_BEFORE,
    CUT,
    DAY,
    DROPPED,
    FILLED,
    GONE,
    HALTED,
    KIND_OPEN,
    KIND_SAME_CLOSE,
    KIND_STOP,
    KIND_TAKE,
    KIND_TRAIL,
    LOCKED,
    N_ACTIVE,
    N_ORDERS,
    NEW_SESSION,
    NEXT_ID,
    NO_CASH,
    NO_REASON,
    NO_SHARES,
    OPEN_ENTRY,
    PREV_ROW,
    RULE_STOP,
    RULE_STOP_GAP,
    RULE_TAKE,
    RULE_TAKE_GAP,
    RULE_TRAIL,
    RULE_TRAIL_GAP,
    SELL,
    STOPPED,
    Inputs,
    Log,
    Record,
    State,
    i64,
)
from quantkit.data.bars import LIQUIDATION, LISTED, TRADED
from quantkit.jit import njit_bare, njit_call
from quantkit.market.kernels import ceil_tick, floor_tick, limits_at, tick_at

SCALE, SEQUENCE = 0, 1  # indices in core.policy.SHORTFALLS; the third, reject, is what is left


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


@njit_bare
def day_limits(state: State, inputs: Inputs, plan: Record, t: int, s: int) -> tuple[float, float]:
    """(lower, upper) price limit of the bar's session; (0, inf) where there is none."""
    name = state.names[s]
    if inputs.flags[t, s] & LIQUIDATION:
        return 0.0, np.inf
    base = base_price(state, inputs, plan, t, s)
    if not base > 0.0:
        return 0.0, np.inf
    return limits_at(plan, inputs.dates[t].row, name.market, base, name.leverage)


@njit_bare
def reference_price(state: State, inputs: Inputs, plan: Record, t: int, s: int) -> float:
    """What a collar is measured from: the day's base on a session's first bar, then the close of the bar before."""
    if state.account[NEW_SESSION]:
        return base_price(state, inputs, plan, t, s)
    return previous_close(state, inputs, t, s)


@njit_bare
def order_limit(state: State, inputs: Inputs, plan: Record, t: int, s: int, side: int, kind: int) -> float:
    """Limit price of an order at open or close: the collar around the reference; inf or 0 for a market order."""
    if plan.collar < 0.0 or kind == KIND_SAME_CLOSE:
        return np.inf if side > 0 else 0.0
    reference = reference_price(state, inputs, plan, t, s)
    market, row = state.names[s].market, inputs.dates[t].row
    if side > 0:
        return floor_tick(plan, row, market, reference * (1.0 + plan.collar))
    return ceil_tick(plan, row, market, reference * (1.0 - plan.collar))


@njit_bare
def slipped(inputs: Inputs, plan: Record, t: int, s: int, market: int, side: int, price: float, limit: float) -> float:
    """`price` after slippage, on the grid against the trader, inside the bar and inside the order's limit."""
    if (plan.slip_ticks == 0.0 and plan.slip_bps == 0.0) or (side < 0 and plan.slip_entry_only):
        return price
    row = inputs.dates[t].row
    move = plan.slip_ticks * tick_at(plan, row, market, price) + price * (plan.slip_bps / 10000.0)
    if side > 0:
        worse = min(ceil_tick(plan, row, market, price + move), inputs.high[t, s], limit)
        return max(worse, price)
    worse = max(floor_tick(plan, row, market, price - move), inputs.low[t, s], limit)
    return min(worse, price)


@njit_bare
def _fill(
    state: State, inputs: Inputs, plan: Record, log: Log, t: int, s: int, side: int, quantity: int,
    price: float, unslipped: float, order: int, rule: int, proceeds: int, ambiguous: int,
) -> None:  # fmt: skip
    """Book a fill of the simulator with its costs."""
    market = state.names[s].market
    value = money(price, quantity, plan.unit)
    commission = commission_of(plan, market, value)
    tax = tax_of(plan, plan.tax_rate[inputs.dates[t].row, market], value) if side < 0 else i64(0)
    slippage = side * (value - money(unslipped, quantity, plan.unit))
    apply(state, s, side, quantity, price, value, commission, tax, rule)
    write_fill(
        log, state.account[BARS], s, side, quantity, price, value, commission, tax, slippage, order, rule, proceeds,
        ambiguous,
    )


@njit_bare
def _affordable(plan: Record, market: int, price: float, cash: int) -> int:
    """Most shares whose value and commission fit `cash`."""
    if cash <= 0:
        return i64(0)
    quantity = i64(np.floor(cash / (price * plan.unit * (1.0 + plan.commission[market])))) + 1
    while quantity > 0:
        value = money(price, quantity, plan.unit)
        if value + commission_of(plan, market, value) <= cash:
            return quantity
        over = value + commission_of(plan, market, value) - cash
        quantity -= max(i64(1), i64(np.floor(over / (price * plan.unit * (1.0 + plan.commission[market])))))
    return i64(0)


@njit_bare
def _cost_of_buys(state: State, plan: Record, log: Log, buys: int, ratio: float) -> int:
    """Value and commission of the waiting buys when each quantity is cut by `ratio` to whole shares."""
    total = i64(0)
    for b in range(buys):
        k = log.work[b].i
        working = state.orders[k]
        quantity = i64(np.floor(working.qty * ratio)) if ratio < 1.0 else working.qty
        value = money(log.work[b].f, quantity, plan.unit)
        total += value + commission_of(plan, state.names[working.symbol].market, value)
    return total


@njit_call
def _fit_by_ratio(state: State, plan: Record, log: Log, buys: int, available: int) -> None:
    """Cut all waiting buys by one ratio until their cost fits `available`."""
    needed = _cost_of_buys(state, plan, log, buys, 1.0)
    if needed <= available:
        return
    ratio = max(0.0, available / needed)
    while ratio > 0.0 and _cost_of_buys(state, plan, log, buys, ratio) > available:
        ratio = ratio * 0.999 if ratio > 1e-12 else 0.0
    for b in range(buys):
        k = log.work[b].i
        working = state.orders[k]
        quantity = i64(np.floor(working.qty * ratio))
        if quantity < working.qty:
            working.qty = quantity
            working.reason = NO_CASH


@njit_call
def _fit_one_by_one(state: State, plan: Record, log: Log, buys: int, available: int) -> None:
    """ "sequence": rising value, each takes what is left; "reject": by symbol, whole or not at all."""
    for b in range(1, buys):
        k, price = log.work[b].i, log.work[b].f
        working = state.orders[k]
        value = money(price, working.qty, plan.unit) if plan.shortfall == SEQUENCE else i64(0)
        place = b
        while place > 0:
            other = log.work[place - 1].i
            theirs = i64(0)
            if plan.shortfall == SEQUENCE:
                theirs = money(log.work[place - 1].f, state.orders[other].qty, plan.unit)
            tie = state.names[state.orders[other].symbol].tie > state.names[working.symbol].tie
            if not (theirs > value or (theirs == value and tie)):
                break
            log.work[place].i = other
            log.work[place].f = log.work[place - 1].f
            place -= 1
        log.work[place].i = k
        log.work[place].f = price
    for b in range(buys):
        k, price = log.work[b].i, log.work[b].f
        working = state.orders[k]
        market = state.names[working.symbol].market
        value = money(price, working.qty, plan.unit)
        cost = value + commission_of(plan, market, value)
        if cost > available:
            quantity = _affordable(plan, market, price, available) if plan.shortfall == SEQUENCE else i64(0)
            working.qty = min(quantity, working.qty)
            working.reason = NO_CASH
            value = money(price, working.qty, plan.unit)
            cost = value + commission_of(plan, market, value)
        available -= cost


@njit_bare
def _fit(state: State, plan: Record, log: Log, buys: int, available: int, rare: int | None) -> None:
    if plan.shortfall == SCALE:
        _fit_by_ratio(state, plan, log, buys, available)
    if rare is not None and plan.shortfall != SCALE:
        _fit_one_by_one(state, plan, log, buys, available)


@njit_bare
def _spendable(plan: Record, cash: int) -> int:
    return cash - i64(np.floor(plan.min_cash * plan.unit + 0.5))


@njit_call
def release(state: State, inputs: Inputs, plan: Record, log: Log, t: int) -> None:
    """Step 2: with `funding="cash"`, cut buys to the cash held now, each reserved at its limit price."""
    if plan.funding_cash == 0 or state.account[N_ORDERS] == 0:
        return
    buys = i64(0)
    for k in range(state.account[N_ORDERS]):
        working = state.orders[k]
        s = working.symbol
        if working.side > 0 and inputs.flags[t, s] & LISTED:
            price = order_limit(state, inputs, plan, t, s, i64(BUY), working.kind)
            if price == np.inf:
                price = day_limits(state, inputs, plan, t, s)[1]
            if price == np.inf:
                price = reference_price(state, inputs, plan, t, s)
            log.work[buys].i = k
            log.work[buys].f = price
            buys += 1
    _fit(state, plan, log, buys, _spendable(plan, cash_of(state)), i64(1))


@njit_call
def _match(state: State, inputs: Inputs, plan: Record, log: Log, t: int, kind: int, rare: int | None) -> None:
    """Fill the orders of one kind at the bar's open or close: sells, then buys."""
    account = state.account
    if account[N_ORDERS] == 0:
        return
    buys = i64(0)
    for k in range(account[N_ORDERS]):
        working = state.orders[k]
        if working.kind != kind or working.qty == 0:
            continue
        s, side = working.symbol, working.side
        name = state.names[s]
        if inputs.flags[t, s] & TRADED == 0:
            working.reason = HALTED if inputs.flags[t, s] & LISTED else GONE
            continue
        print_price = inputs.open[t, s] if kind == KIND_OPEN else inputs.close[t, s]
        lower, upper = day_limits(state, inputs, plan, t, s)
        limit = order_limit(state, inputs, plan, t, s, side, kind)
        if (side > 0 and print_price >= upper) or (side < 0 and print_price <= lower):
            working.reason = LOCKED
            continue
        if (side > 0 and print_price > limit) or (side < 0 and print_price < limit):
            working.reason = BEYOND_COLLAR
            continue
        price = slipped(inputs, plan, t, s, name.market, side, print_price, limit)
        if side > 0:
            log.work[buys].i = k
            log.work[buys].f = price
            buys += 1
            continue
        if working.qty > name.shares:
            working.qty = name.shares
            working.reason = NO_SHARES
        if working.qty > 0:
            quantity = working.qty
            _fill(
                state,
                inputs,
                plan,
                log,
                t,
                s,
                i64(SELL),
                quantity,
                price,
                print_price,
                working.id,
                kind,
                i64(0),
                i64(0),
            )
            working.filled = quantity
    if buys > 0:
        _match_buys(state, inputs, plan, log, t, kind, buys, rare)


@njit_call
def _match_buys(
    state: State, inputs: Inputs, plan: Record, log: Log, t: int, kind: int, buys: int, rare: int | None
) -> None:
    """Cut the buys listed in the work space to the cash and fill them."""
    cash = min(cash_of(state), state.account[CASH_BEFORE]) if plan.funding_cash else cash_of(state)
    _fit(state, plan, log, buys, _spendable(plan, cash), rare)
    spent = _cost_of_buys(state, plan, log, buys, 1.0)
    proceeds = i64(1) if spent > state.account[CASH_BEFORE] else i64(0)
    for b in range(buys):
        k = log.work[b].i
        working = state.orders[k]
        quantity = working.qty
        if quantity > 0:
            s = working.symbol
            print_price = inputs.open[t, s] if kind == KIND_OPEN else inputs.close[t, s]
            order = working.id
            _fill(state, inputs, plan, log, t, s, i64(BUY), quantity, log.work[b].f, print_price, order, kind, proceeds, i64(0))
            working.filled = quantity
    state.account[CASH_BEFORE] -= min(spent, state.account[CASH_BEFORE])


@njit_bare
def match_open(state: State, inputs: Inputs, plan: Record, log: Log, t: int, rare: int | None) -> None:
    """Step 3: orders "at open"."""
    _match(state, inputs, plan, log, t, i64(KIND_OPEN), rare)


@njit_bare
def match_close(state: State, inputs: Inputs, plan: Record, log: Log, t: int, rare: int | None) -> None:
    """Step 5: orders "at close", and those of `fill="close"` on the bar they were decided on."""
    if plan.fill_kind != KIND_OPEN:
        _match(state, inputs, plan, log, t, plan.fill_kind, rare)


@njit_bare
def _stop_price(state: State, inputs: Inputs, plan: Record, t: int, s: int, at_open: int) -> tuple[float, int]:
    """(price before slippage, rule) of the held order that fires on this bar, or (0, -1).

    at_open: the position was there before the bar opened, so a gap counts.
    """
    name = state.names[s]
    open_, high, low = inputs.open[t, s], inputs.high[t, s], inputs.low[t, s]
    row, market = inputs.dates[t].row, name.market
    entry = name.entry_value / plan.unit / name.entry_qty
    stop = entry * (1.0 - plan.stop_loss) if plan.stop_loss > 0.0 else 0.0
    take = ceil_tick(plan, row, market, entry * (1.0 + plan.take_profit)) if plan.take_profit > 0.0 else np.inf
    keep = 1.0 - plan.trailing_stop
    trail = name.peak * keep if plan.trailing_stop > 0.0 else 0.0
    if at_open:
        if open_ <= max(stop, trail):
            return open_, RULE_TRAIL_GAP if trail > stop else RULE_STOP_GAP
        if open_ >= take:
            return open_, RULE_TAKE_GAP
    peak = max(name.peak, open_)
    high_first = high - open_ < open_ - low
    if plan.trailing_stop > 0.0:
        trail = (max(peak, high) if high_first else peak) * keep
    level = max(stop, trail)
    if low <= level:
        price = max(floor_tick(plan, row, market, level), low)
        return min(price, high), RULE_TRAIL if trail > stop else RULE_STOP
    if high >= take:
        return min(max(take, low), high), RULE_TAKE
    if plan.trailing_stop > 0.0 and not high_first:
        trail = max(peak, high) * keep
        if inputs.close[t, s] <= trail:
            price = max(floor_tick(plan, row, market, trail), low)
            return min(price, high), RULE_TRAIL
    return 0.0, i64(-1)


@njit_call
def _fire_stop(state: State, inputs: Inputs, plan: Record, log: Log, t: int, s: int, price: float, rule: int) -> None:
    """Sell what is held of a name at a stop's price, unless that is at the lower price limit."""
    account = state.account
    name = state.names[s]
    held = name.shares
    kind = KIND_STOP
    if rule >= RULE_TAKE:
        kind = KIND_TAKE
    elif rule >= RULE_TRAIL:
        kind = KIND_TRAIL
    order = account[NEXT_ID]
    account[NEXT_ID] += 1
    filled, status, reason = held, FILLED, NO_REASON
    if price <= day_limits(state, inputs, plan, t, s)[0]:
        filled, status, reason = i64(0), DROPPED, LOCKED
    else:
        worse = slipped(inputs, plan, t, s, name.market, i64(SELL), price, 0.0)
        _fill(state, inputs, plan, log, t, s, i64(SELL), held, worse, price, order, rule, i64(0), i64(0))
        for k in range(account[N_ORDERS]):
            working = state.orders[k]
            if working.symbol == s and working.side > 0 and working.kind != KIND_OPEN and working.qty > 0:
                working.qty = 0
                working.reason = STOPPED
    write_order(log, order, account[BARS], s, i64(SELL), held, filled, kind, status, reason, account[BARS], i64(0))


@njit_bare
def match_stops(state: State, inputs: Inputs, plan: Record, log: Log, t: int) -> None:
    """Step 4: stop loss, take profit and trailing stop of what is held, along the bar's path."""
    if plan.stop_loss == 0.0 and plan.take_profit == 0.0 and plan.trailing_stop == 0.0:
        return
    account = state.account
    for i in range(account[N_ACTIVE]):
        s = state.names[i].active
        name = state.names[s]
        if name.shares <= 0 or inputs.flags[t, s] & TRADED == 0:
            continue
        at_open = 0 if name.marks & OPEN_ENTRY else 1
        price, rule = _stop_price(state, inputs, plan, t, s, at_open)
        if rule >= 0:
            _fire_stop(state, inputs, plan, log, t, s, price, rule)


@njit_call
def expire(state: State, log: Log) -> None:
    """Step 6: the day's orders end; each becomes a row with what it filled and why not more."""
    account = state.account
    for k in range(account[N_ORDERS]):
        working = state.orders[k]
        filled, want = working.filled, working.want
        status = FILLED if filled >= want else (CUT if filled > 0 else DROPPED)
        reason = NO_REASON if filled >= want else working.reason
        if reason != NO_REASON and working.side > 0:
            state.names[working.symbol].noted = reason
        write_order(
            log, working.id, working.bar, working.symbol, working.side, want, filled,
            working.kind, status, reason, account[BARS], working.tag,
        )  # fmt: skip
    account[N_ORDERS] = 0
