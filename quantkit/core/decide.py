"""Targets to goals, goals to orders: step 8 of `docs/execution.md`.

Contract: reads bar t and one row of targets, changes goals and the list of working orders, books nothing. After one
look at the row its cost grows with the names that are held or wanted, not with all names. Ties are broken by liquidity
and symbol, never by column order.
"""

from __future__ import annotations

import numpy as np

from quantkit.core.account import activate, cash_of, commission_of, lots, money, owned, write_order
from quantkit.core.places import best, set_goal
from quantkit.core.short import refused_short, tied_up
from quantkit.core.sizing import look, size
from quantkit.core.state import (
    BARS,
    BLOCKED,
    BUY,
    COVERS,
    DAILY_LOSS_LATCH,
    DRAWDOWN_LATCH,
    DRAWN_DOWN,
    DROPPED,
    EQUITY,
    FRESH_GOAL,
    FRESH_VALUE,
    HELD_OUT,
    IN,
    LATCH,
    LOST_TODAY,
    N_ACTIVE,
    N_ORDERS,
    NEXT_ID,
    NO_CASH,
    NO_REASON,
    OPENS,
    OVER_EXPOSURE,
    OVER_TURNOVER,
    OVER_WEIGHT,
    SCRATCH,
    SELL,
    SET_CHANGED,
    SHORT_VALUE,
    TAG_HELD_OUT,
    TOO_LARGE,
    TOO_MANY_NAMES,
    UNMET,
    WAITING,
    Inputs,
    Log,
    Record,
    State,
    i64,
)
from quantkit.data.bars import MEMBER, VALID
from quantkit.jit import njit_bare, njit_call


@njit_bare
def _take_value(state: State, s: int, value: float) -> None:
    """Let one row value count: 0 clears the goal and the block, the rest waits for its size."""
    name = state.names[s]
    if value != state.target[s]:
        state.target[s] = value
        name.marks |= FRESH_VALUE
        state.account[WAITING] = 1
    if value == 0.0:
        if name.marks & IN:
            state.account[SET_CHANGED] = 1
        name.marks &= ~(BLOCKED | IN)
        if name.goal != 0 or owned(name) != 0:
            set_goal(state, s, i64(0))
    else:
        activate(state, s)


@njit_bare
def _read_row(state: State, inputs: Inputs, plan: Record, t: int, dated: int) -> None:
    """Let the row's values count where they may."""
    if plan.has_universe:
        for i in range(state.account[N_ACTIVE]):
            s = state.names[i].active
            if state.target[s] != 0.0 and inputs.flags[t, s] & (VALID | MEMBER) == VALID:
                _take_value(state, s, 0.0)
    if plan.read_on_dates and not dated:
        return
    targets = inputs.targets
    for s in range(targets.shape[1]):
        value = targets[t, s]
        if value != value or (value == state.target[s] and not (dated and state.names[s].slot >= 0)):
            continue
        flags = inputs.flags[t, s]
        if flags & (VALID | MEMBER) == VALID | MEMBER:
            _take_value(state, s, value)
        elif flags & VALID and (dated or state.target[s] != 0.0):
            _take_value(state, s, 0.0)


@njit_bare
def _note(state: State, plan: Record, log: Log, s: int, side: int, quantity: int, reason: int) -> None:
    """Write an order that was never made, once for a goal and reason."""
    name = state.names[s]
    if name.noted == reason:
        return
    name.noted = reason
    account = state.account
    order, bar = account[NEXT_ID], account[BARS]
    account[NEXT_ID] += 1
    write_order(log, order, bar, s, side, quantity, i64(0), plan.fill_kind, i64(DROPPED), reason, bar, i64(0))


@njit_bare
def _make_order(state: State, plan: Record, s: int, side: int, want: int, quantity: int, reason: int) -> None:
    account = state.account
    name = state.names[s]
    k = account[N_ORDERS]
    working = state.orders[k]
    working.id = account[NEXT_ID]
    working.symbol = s
    working.side = side
    working.want = want
    working.qty = quantity
    working.filled = 0
    working.kind = plan.fill_kind
    working.reason = reason
    working.bar = account[BARS]
    working.stage = 0
    working.group = 0
    working.parent = -1
    working.tag = TAG_HELD_OUT if name.marks & HELD_OUT and name.goal == 0 else 0
    working.own = 0
    working.value = 0
    working.fee = 0
    working.short = 0
    account[NEXT_ID] += 1
    account[N_ORDERS] = k + 1


@njit_bare
def denied(state: State, plan: Record, s: int, side: int, quantity: int, price: float, close: float) -> int:
    """The reason a buy (a short sale) at `price` is refused by a limit on itself, or 0."""
    account = state.account
    if account[LATCH] & DRAWDOWN_LATCH:
        return DRAWN_DOWN
    if account[LATCH] & DAILY_LOSS_LATCH:
        return LOST_TODAY
    value = money(price, quantity, plan.unit)
    if value > plan.max_order_value * plan.unit or quantity > plan.max_order_shares:
        return TOO_LARGE
    held = max(side * owned(state.names[s]), i64(0))
    if plan.max_weight < np.inf and value + money(close, held, plan.unit) > plan.max_weight * account[EQUITY]:
        return OVER_WEIGHT
    return NO_REASON


@njit_bare
def _closing(name: Record) -> int:
    """Shares to trade toward the goal that close a position; what is still on its way cannot be sold."""
    held = owned(name)
    if held > 0:
        return min(max(i64(0), held - max(name.goal, i64(0))), max(name.shares, i64(0)))
    return max(i64(0), min(name.goal, i64(0)) - held)


@njit_bare
def _opening(name: Record) -> int:
    """Shares that open a position, or add to it; none is sold short while shares are on their way."""
    held = owned(name)
    if name.goal >= 0:
        return max(i64(0), name.goal - max(held, i64(0)))
    return max(i64(0), min(held, i64(0)) - name.goal) if name.due == 0 else i64(0)


@njit_bare
def _cut(plan: Record, name: Record, part: float) -> int:
    """What is to be traded, cut to the part that may be, in whole lots; exits go whole."""
    want = _closing(name) + _opening(name)
    return want if part >= 1.0 or name.goal == 0 else lots(plan, name.market, i64(np.floor(want * part)))


@njit_bare
def _split(plan: Record, name: Record, part: float) -> tuple[int, int]:
    """What is to be traded, cut to `part`: (shares that close a position, shares that open one or add to it)."""
    allowed = _cut(plan, name, part)
    done = min(_closing(name), allowed)
    return done, allowed - done


@njit_call
def _short_orders(
    state: State, inputs: Inputs, plan: Record, log: Log, t: int, s: int, part: float, buys: int
) -> tuple[int, int]:
    """Orders of a name that is short or shall be: what closes is ordered, what opens is listed.

    Returns (entries in the list, what the former leaves to be spent at this close).
    """
    name = state.names[s]
    closing, freed = _closing(name), i64(0)
    if closing > 0:
        side, quantity = i64(SELL) if name.shares > 0 else i64(BUY), _split(plan, name, part)[0]
        if quantity > 0:
            reason = i64(NO_REASON) if quantity == closing else i64(OVER_TURNOVER)
            _make_order(state, plan, s, side, closing, quantity, reason)
            freed = money(inputs.close[t, s], quantity, plan.unit)
            if side > 0:
                state.orders[state.account[N_ORDERS] - 1].short = COVERS
                freed = tied_up(plan, freed) - freed
        else:
            _note(state, plan, log, s, side, closing, i64(OVER_TURNOVER))
    if _opening(name) > 0:
        log.work[buys].i = s
        buys += 1
    return buys, freed


@njit_bare
def _small(state: State, inputs: Inputs, plan: Record, t: int, s: int) -> bool:
    """Whether a gap to the goal is worth too little to be traded."""
    name = state.names[s]
    value = money(inputs.close[t, s], abs(name.goal - owned(name)), plan.unit)
    return name.goal != 0 and value < plan.min_trade_value * plan.unit


@njit_call
def _turnover_part(state: State, inputs: Inputs, plan: Record, t: int) -> float:
    """The part of all orders but exits that `max_turnover` leaves room for."""
    room = plan.max_turnover * state.account[EQUITY]
    rest = i64(0)
    for i in range(state.account[N_ACTIVE]):
        s = state.names[i].active
        name = state.names[s]
        want = _closing(name) + _opening(name)
        silent = inputs.flags[t, s] & VALID == 0 or (plan.retry == 0 and name.marks & FRESH_GOAL == 0)
        if want == 0 or silent or _small(state, inputs, plan, t, s):
            continue
        value = money(inputs.close[t, s], want, plan.unit)
        if name.goal == 0:
            room -= value
        else:
            rest += value
    return 1.0 if rest <= max(room, 0.0) else max(0.0, room / rest)


@njit_bare
def _make_sells(
    state: State, inputs: Inputs, plan: Record, log: Log, t: int, part: float, extra: int | None
) -> tuple[int, int]:
    """Order what is held beyond its goal; list the names to buy in the work space.

    part: of every order but exits, what may be traded.
    Returns (number of buys, value of the sells at this close). Names with nothing left to do leave the active list.
    """
    account = state.account
    buys, expected = i64(0), i64(0)
    account[UNMET] = 0
    i = 0
    while i < account[N_ACTIVE]:
        s = state.names[i].active
        name = state.names[s]
        want = name.goal - owned(name)
        if want == 0 and name.goal == 0 and state.target[s] == 0.0 and name.resting == 0:
            name.marks &= ~FRESH_GOAL
            last = account[N_ACTIVE] - 1
            moved = state.names[last].active
            state.names[i].active = moved
            state.names[moved].slot = i
            state.names[last].active = 0
            name.slot = -1
            account[N_ACTIVE] = last
            continue
        i += 1
        fresh = name.marks & FRESH_GOAL
        name.marks &= ~FRESH_GOAL
        if want == 0:
            continue
        account[UNMET] = 1
        if inputs.flags[t, s] & VALID == 0 or (plan.retry == 0 and fresh == 0):
            continue
        if extra is not None and _small(state, inputs, plan, t, s):
            continue
        if extra is not None and (name.goal < 0 or name.shares < 0):
            buys, freed = _short_orders(state, inputs, plan, log, t, s, part, buys)
            expected += freed
        elif want < 0:
            sellable = _closing(name)
            quantity = sellable
            if extra is not None:
                quantity = _cut(plan, name, part)
            if quantity > 0:
                reason = i64(NO_REASON) if quantity == sellable else i64(OVER_TURNOVER)
                _make_order(state, plan, s, i64(SELL), sellable, quantity, reason)
                expected += money(inputs.close[t, s], quantity, plan.unit)
            elif extra is not None and sellable > 0:
                _note(state, plan, log, s, i64(SELL), sellable, i64(OVER_TURNOVER))
        else:
            log.work[buys].i = s
            buys += 1
    return buys, expected


@njit_bare
def _make_buys(
    state: State, inputs: Inputs, plan: Record, log: Log, t: int, buys: int, expected: int, part: float,
    extra: int | None,
) -> None:  # fmt: skip
    """Pass the buys listed in work_i through the limits and order them."""
    cash = cash_of(state) - i64(np.floor(plan.min_cash * plan.unit + 0.5))
    if plan.funding_cash == 0:
        cash += expected
    if extra is not None:
        cash -= tied_up(plan, state.account[SHORT_VALUE])
    kept = i64(0)
    for b in range(buys):
        s = log.work[b].i
        name = state.names[s]
        side, reason = i64(BUY) if name.goal >= 0 else i64(SELL), i64(NO_REASON)
        if extra is not None:
            quantity = _split(plan, name, part)[1]
            reason = i64(OVER_TURNOVER)
            if quantity > 0:
                reason = denied(state, plan, s, side, quantity, inputs.close[t, s], inputs.close[t, s])
            if reason == NO_REASON and side < 0:
                reason = refused_short(state, inputs, plan, t, s, cash)
        if reason == NO_REASON and side > 0:
            share = money(inputs.close[t, s], plan.lot[name.market], plan.unit)
            if share + commission_of(plan, name.market, share) > cash:
                reason = NO_CASH
        if reason == NO_REASON:
            log.work[kept].i = s
            kept += 1
        else:
            _note(state, plan, log, s, side, _opening(name), reason)
    ratio = 1.0
    if extra is not None:
        if plan.max_positions < np.inf:
            kept = _limit_names(state, inputs, plan, log, t, kept)
        if plan.max_exposure < np.inf:
            ratio = _exposure_ratio(state, inputs, plan, log, t, kept, part)
    for b in range(kept):
        s = log.work[b].i
        name = state.names[s]
        want = _opening(name)
        quantity, reason = want, i64(NO_REASON)
        side = i64(BUY) if name.goal >= 0 else i64(SELL)
        if extra is not None:
            allowed = _split(plan, name, part)[1]
            quantity = allowed if ratio >= 1.0 else lots(plan, name.market, i64(np.floor(allowed * ratio)))
            if quantity < want:
                reason = i64(OVER_TURNOVER) if quantity == allowed else i64(OVER_EXPOSURE)
        if quantity > 0:
            _make_order(state, plan, s, side, want, quantity, reason)
            if extra is not None and side < 0:
                state.orders[state.account[N_ORDERS] - 1].short = OPENS
        else:
            _note(state, plan, log, s, side, want, i64(OVER_EXPOSURE))


@njit_call
def _limit_names(state: State, inputs: Inputs, plan: Record, log: Log, t: int, buys: int) -> int:
    """Keep buys of names already held and the best-ranked newcomers that `max_positions` leaves room for."""
    held = i64(0)
    for i in range(state.account[N_ACTIVE]):
        if owned(state.names[state.names[i].active]) != 0:
            held += 1
    holders, newcomers = i64(0), i64(0)
    for b in range(buys):  # newcomers to the front of work_i, holders aside
        s = log.work[b].i
        name = state.names[s]
        if owned(name) != 0:
            log.work[holders].j = s
            holders += 1
        else:
            log.work[newcomers].i = s
            newcomers += 1
    room = min(newcomers, max(0, int(plan.max_positions) - held))
    for c in range(newcomers):
        state.names[log.work[c].i].marks |= SCRATCH
    for c in range(newcomers):  # all newcomers, so that those not kept can be noted
        log.work[holders + c].j = log.work[c].i
    kept = best(state, inputs, log, t, newcomers, room) if room > 0 else 0
    for c in range(kept):
        state.names[log.work[c].i].marks &= ~SCRATCH
    for c in range(newcomers):
        s = log.work[holders + c].j
        name = state.names[s]
        if name.marks & SCRATCH:
            name.marks &= ~SCRATCH
            side = i64(BUY) if name.goal >= 0 else i64(SELL)
            _note(state, plan, log, s, side, _opening(name), i64(TOO_MANY_NAMES))
    for h in range(holders):
        log.work[kept + h].i = log.work[h].j
    return kept + holders


@njit_call
def _exposure_ratio(state: State, inputs: Inputs, plan: Record, log: Log, t: int, buys: int, part: float) -> float:
    """The part of all that opens positions that `max_exposure` leaves room for."""
    account = state.account
    room = plan.max_exposure * account[EQUITY]
    for k in range(account[N_ORDERS]):  # so far, what closes positions
        order = state.orders[k]
        if order.own == 0 and order.bar == account[BARS]:
            room += money(inputs.close[t, order.symbol], order.qty, plan.unit)
    for i in range(account[N_ACTIVE]):
        s = state.names[i].active
        held = abs(owned(state.names[s]))
        if held != 0:
            room -= money(inputs.close[t, s], held, plan.unit)
    wanted = i64(0)
    for b in range(buys):
        s = log.work[b].i
        wanted += money(inputs.close[t, s], _split(plan, state.names[s], part)[1], plan.unit)
    return 1.0 if wanted <= max(room, 0.0) else max(0.0, room / wanted)


@njit_bare
def decide(state: State, inputs: Inputs, plan: Record, log: Log, t: int, extra: int | None, plain: int | None) -> None:
    """Step 8: row values become goals, goals become working orders. plain: None where a rule sets the goals."""
    account = state.account
    dated = 1 if inputs.dates[t].rebalance else 0
    before = account[N_ACTIVE]
    _read_row(state, inputs, plan, t, dated)
    if account[N_ACTIVE] == 0 and before == 0:
        return
    if extra is not None and (plan.max_holding > 0 or plan.pyramid > 1):
        look(state, inputs, plan, t)
    if plain is not None and (dated or account[WAITING]):
        size(state, inputs, plan, log, t, dated, extra)
    if account[UNMET]:
        part = 1.0
        if extra is not None and plan.max_turnover < np.inf:
            part = _turnover_part(state, inputs, plan, t)
        buys, expected = _make_sells(state, inputs, plan, log, t, part, extra)
        if buys > 0:
            _make_buys(state, inputs, plan, log, t, buys, expected, part, extra)
