"""Step 8 of the reference: row values become goals, goals become orders. See `reference`.

Contract: pure but for the account it changes. `run` is a `reference.Run`.
"""

from __future__ import annotations

from functools import cache
from math import floor, isnan, nan
from typing import TYPE_CHECKING

import numpy as np

from quantkit.market import krx
from tests.core import reference_short
from tests.core.reference_policies import (
    Caps,
    cools,
    cut_to_turnover,
    earned,
    time_out,
    volatility_factor,
    worth_little,
)

if TYPE_CHECKING:
    from tests.core.reference import Run
    from tests.core.reference_state import Order

VALID, MEMBER = 4, 8


@cache
def next_session(day: int) -> int:
    day += 1
    while krx.session(np.datetime64(day, "D").astype(object)) is None:
        day += 1
    return day


def is_rebalance_date(run: Run, t: int) -> bool:
    every = run.policy.rebalance
    if isinstance(every, int):
        return t % every == 0
    if every == "change":
        return False
    day = run.panel.days[t]
    if t + 1 < len(run.panel.days) and run.panel.days[t + 1] == day:
        return False
    after = next_session(day)
    if every == "month":
        return np.datetime64(day, "D").astype("M8[M]") != np.datetime64(after, "D").astype("M8[M]")
    return (day + 3) // 7 != (after + 3) // 7  # epoch day 0 is a Thursday; weeks start on Monday


def row_value(run: Run, t: int, s: int) -> float | None:
    """The target that counts for this name on this bar; None: leave it."""
    if run.script or not run.panel.has(t, s, VALID):
        return None  # a rule's goals are not row values
    if not run.panel.has(t, s, MEMBER):
        return 0.0
    value = run.targets[t][s]
    if isnan(value):
        return None
    return value if run.policy.threshold is None else float(value >= run.policy.threshold)


def in_or_out(run: Run) -> bool:
    """Whether a value says no more than in or out."""
    return run.boolean or run.policy.threshold is not None


def gives_places(run: Run) -> bool:
    shared = run.policy.weighting in ("equal", "equal_held") and in_or_out(run)
    return shared or run.policy.max_names is not None


def decide(run: Run, t: int, kind: str) -> list[Order]:
    """New goals, then the orders that lead to them."""
    names = range(len(run.panel.symbols))
    date = is_rebalance_date(run, t)
    values = [row_value(run, t, s) for s in names]
    changed = count_values(run, t, values, date)
    time_out(run, t)
    before = set(run.account.places)
    units = earned(run, t, values)
    give_places(run, t, values, date)
    fresh = set_goals(run, t, values, changed, before, units)
    run.account.places_before = set(run.account.places)
    return make_orders(run, t, values, fresh, kind)


def count_values(run: Run, t: int, values: list[float | None], date: bool) -> dict[int, bool]:
    """Names whose value counts on this bar; True where it differs from the last that counted."""
    account, counted = run.account, {}
    for s, value in enumerate(values):
        if value is None:
            continue
        outside = not run.panel.has(t, s, MEMBER)
        if run.policy.trade_on == "rebalance" and not date and not outside:
            continue
        if value != account.counted[s] or date:
            counted[s] = value != account.counted[s]
            account.counted[s] = value
            if value == 0:
                account.stopped[s] = False
    return counted


def rank_key(run: Run, t: int, s: int) -> tuple[float | str, ...]:
    """Best first when sorted: rank, then 20-bar traded value, then symbol."""
    rank = run.rank[t][s] if run.rank else 0.0
    if run.rank is None and run.policy.threshold is not None:
        rank = run.targets[t][s]
    past = [run.panel.traded_value[k][s] for k in range(max(0, t - 19), t + 1)]
    traded = sum(past) / 20 if len(past) == 20 else nan
    return *(float("inf") if isnan(x) else -x for x in (rank, traded)), run.panel.symbols[s]


def give_places(run: Run, t: int, values: list[float | None], date: bool) -> None:
    """Which names are in."""
    account, most = run.account, run.policy.max_names
    wanting = {s for s, v in enumerate(account.counted) if v is not None and v != 0 and not account.stopped[s]}
    here = {s for s in wanting if values[s] is not None}
    keep = account.places & wanting
    if most is not None and date:
        keep -= here
    if gives_places(run):
        here = {s for s in here if s in keep or not cools(run, t, s)}
    if most is None:
        account.places = keep | here
        return
    free = max(0, most - len(keep))
    account.places = keep | set(sorted(here - keep, key=lambda s: rank_key(run, t, s))[:free])


def set_goals(
    run: Run, t: int, values: list[float | None], changed: dict[int, bool], before: set[int], units: set[int]
) -> set[int]:
    """Size what came in, changed, or is due; the names whose goal was set on this bar."""
    account, policy = run.account, run.policy
    held_equally = policy.weighting == "equal_held" and in_or_out(run)
    regroup = held_equally and policy.rebalance == "change" and account.places != account.places_before
    fresh, due = set(), {}
    account.waiting_names &= account.places
    for s, value in enumerate(values):
        if s in account.places:
            again = value is not None and (s in changed or regroup) and policy.weighting != "buying_power"
            again = again and (regroup or is_rebalance_date(run, t))
            anew = value is not None and (s not in before or changed.get(s, False) or again)
            anew = anew or s in account.waiting_names
            if anew and (not run.panel.has(t, s, VALID) or cools(run, t, s) or isnan(volatility_factor(run, t, s))):
                account.waiting_names.add(s)
            elif anew or (s in units and not isnan(volatility_factor(run, t, s))):
                due[s] = (anew, again)
                account.waiting_names.discard(s)
        elif value is not None and (s in before or (s in changed and account.counted[s] == 0)):
            account.goals[s] = 0
            account.held_out.discard(s)
            fresh.add(s)
    caps = Caps(run, t, list(due))
    for s in sorted(due, key=lambda k: rank_key(run, t, k)):
        anew, again = due[s]
        goal = shaped_goal(run, t, s, anew, again, s in units, caps)
        if goal is not None:
            account.goals[s] = goal
            account.held_out.discard(s)
            fresh.add(s)
        caps.take(s)
    for s in fresh:
        account.said[s] = ""
    return fresh


def shaped_goal(run: Run, t: int, s: int, anew: bool, again: bool, unit: bool, caps: Caps) -> int | None:
    """The goal of a name that is due; None: as it is. anew: due for more than a unit; again: re-sized."""
    account, policy, goal = run.account, run.policy, run.account.goals[s]
    if goal * (account.counted[s] or 0.0) <= 0:
        account.units[s] = 1
    elif unit:
        account.units[s] += 1
    size = shares_of(run, t, s)
    if policy.weighting != "buying_power":
        size = size * account.units[s] if anew else goal + size
    size = max(-caps.most(s), min(size, caps.most(s)))
    if not anew:
        size = max(size, goal)
    if policy.drift is not None and again and goal and not unit and abs(goal - size) <= policy.drift * abs(size):
        return None
    return run.goal_of(s, size)


def shares_of(run: Run, t: int, s: int) -> float:
    """Shares, not yet whole, that a name in should have: one unit of it."""
    account, policy, panel = run.account, run.policy, run.panel
    value, factor = account.counted[s], volatility_factor(run, t, s)
    assert value is not None
    close = panel.close[t][s]
    if policy.weighting == "buying_power":
        return account.owned(s) + value * policy.amount * (max(account.cash, 0) / panel.unit) / close * factor
    if policy.weighting == "cash":
        return value * policy.amount / close * factor
    if policy.weighting == "shares":
        return value * policy.amount * factor
    weight = value
    if in_or_out(run) and policy.weighting == "equal":
        members = sum(panel.has(t, k, VALID) and panel.has(t, k, MEMBER) for k in range(len(panel.symbols)))
        weight = policy.gross / (policy.max_names or members)
    elif in_or_out(run) and policy.weighting == "equal_held":
        weight = policy.gross / len(account.places)
    return weight * (max(account.equity, 0) / panel.unit) * (1 - policy.cash_buffer) / close * factor


def make_orders(run: Run, t: int, values: list[float | None], fresh: set[int], kind: str) -> list[Order]:
    account = run.account
    fresh = fresh | account.fresh
    account.fresh = set()
    orders = []
    for s in sorted(range(len(values)), key=lambda k: run.panel.symbols[k]):
        small = worth_little(run, t, s, account.goals[s] - account.owned(s))
        if run.panel.has(t, s, VALID) and not small and (run.policy.retry or s in fresh):
            orders += orders_of(run, t, s, kind)
    cut_to_turnover(run, t, orders)
    for order in orders:
        if order.open == 0:
            deny(run, t, order, "TURNOVER")
    closing = [order for order in orders if closes(order) and order.open]
    opening = [order for order in orders if not closes(order) and order.open]
    opening = affordable(run, t, within_limits(run, t, opening), closing)
    return closing + within_all_limits(run, t, opening, closing)


def closes(order: Order) -> bool:
    """Whether it makes a position smaller; the others open one, or add to it."""
    return order.role == "covers" or (order.side < 0 and order.role == "")


def orders_of(run: Run, t: int, s: int, kind: str) -> list[Order]:
    """The orders that lead from what is held to the goal: what closes, then what opens."""
    from tests.core.reference_state import Order

    account = run.account
    goal, owned = account.goals[s], account.owned(s)
    tag = -1 if s in account.held_out and goal == 0 else 0
    orders = []
    if owned > max(goal, 0):
        quantity = min(owned - max(goal, 0), account.shares[s])
        orders.append(Order(t, s, -1, quantity, kind, open=quantity, tag=tag))
    elif owned < min(goal, 0):
        quantity = min(goal, 0) - owned
        orders.append(Order(t, s, 1, quantity, kind, open=quantity, tag=tag, role="covers"))
    if goal > max(owned, 0):
        quantity = goal - max(owned, 0)
        orders.append(Order(t, s, 1, quantity, kind, open=quantity, tag=tag))
    elif goal < min(owned, 0) and owned == account.shares[s]:  # nothing is due
        quantity = min(owned, 0) - goal
        orders.append(Order(t, s, -1, quantity, kind, open=quantity, tag=tag, role="opens"))
    return [order for order in orders if order.quantity]


def deny(run: Run, t: int, order: Order, reason: str) -> None:
    """An order that is not made is a row, unless the last row of the same goal said so."""
    if run.account.said[order.column] != reason:
        run.account.said[order.column] = reason
        order.end(t, reason)
        run.account.orders.append(order)


def affordable(run: Run, t: int, opening: list[Order], closing: list[Order]) -> list[Order]:
    """Without the buys of which not even one share can be paid, and the short sales of which none can be made."""
    cash = reference_short.buying_power(run, run.account.cash) - run.unspendable()
    if run.policy.funding == "proceeds":
        for order in closing:
            value = order_value(run, t, order)
            cash += value if order.side < 0 else reference_short.tied_up(run, value) - value
    made = []
    for order in opening:
        s, reason = order.column, ""
        if order.side < 0:
            reason = reference_short.refused(run, t, s, cash)
        elif run.buy_cost(t, s, run.panel.close[t][s], run.lot(s)) > cash:
            reason = "INSUFFICIENT_CASH"
        if reason:
            deny(run, t, order, reason)
        else:
            made.append(order)
    return made


def order_value(run: Run, t: int, order: Order) -> int:
    return run.money(run.panel.close[t][order.column], order.open)


def position(run: Run, t: int, s: int) -> int:
    """The size of a position, held or short."""
    return run.money(run.panel.close[t][s], abs(run.account.owned(s))) if run.account.owned(s) else 0


def within_limits(run: Run, t: int, buys: list[Order]) -> list[Order]:
    """The buys that pass the limits on one order."""
    account, limits, unit = run.account, run.limits, run.panel.unit
    passed = []
    for order in buys:
        reason, value = "", order_value(run, t, order)
        adds = account.owned(order.column) * order.side > 0
        weight = value + (position(run, t, order.column) if adds else 0)
        if account.no_buys:
            reason = "DRAWDOWN"
        elif account.no_buys_today:
            reason = "DAILY_LOSS"
        elif (limits.max_order_value is not None and value > limits.max_order_value * unit) or (
            limits.max_order_shares is not None and order.open > limits.max_order_shares
        ):
            reason = "ORDER_TOO_LARGE"
        elif limits.max_weight is not None and weight > limits.max_weight * account.equity:
            reason = "MAX_WEIGHT"
        if reason:
            deny(run, t, order, reason)
        else:
            passed.append(order)
    return passed


def within_all_limits(run: Run, t: int, buys: list[Order], sells: list[Order]) -> list[Order]:
    """The buys that pass the limits on all of them together."""
    account, limits, passed = run.account, run.limits, list(buys)
    if limits.max_names is not None:
        newcomers = sorted((o for o in passed if not account.owned(o.column)), key=lambda o: rank_key(run, t, o.column))
        room = max(0, limits.max_names - sum(1 for s in range(len(account.shares)) if account.owned(s)))
        for order in newcomers[room:]:
            deny(run, t, order, "MAX_POSITIONS")
            passed.remove(order)
    if limits.max_exposure is not None:
        bought = sum(order_value(run, t, order) for order in passed)
        held = sum(position(run, t, s) for s in range(len(account.shares)))
        held -= sum(order_value(run, t, order) for order in sells)
        cap = limits.max_exposure * account.equity
        if passed and held + bought > cap:
            ratio = max(0.0, (cap - held) / bought)
            passed = cut_to_exposure(run, t, passed, ratio)
    return passed


def cut_to_exposure(run: Run, t: int, buys: list[Order], ratio: float) -> list[Order]:
    made = []
    for order in buys:
        allowed = run.in_lots(order.column, floor(order.open * ratio))
        if allowed == 0:
            deny(run, t, order, "MAX_EXPOSURE")
        else:
            if allowed < order.open:
                order.reason = "MAX_EXPOSURE"
            order.open = allowed
            made.append(order)
    return made
