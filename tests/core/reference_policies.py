"""The policies that shape sizes and orders, in the plain fold. See `reference`.

Contract: pure but for the account it changes; called by `reference_decide` in the order of the page's list.
"""

from __future__ import annotations

from math import floor, inf, isnan, nan, sqrt
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.core.reference import Run
    from tests.core.reference_state import Order

VALID = 4


def time_out(run: Run, t: int) -> None:
    """`max_holding`: goals of what was held too long end."""
    account, most = run.account, run.policy.max_holding
    for s in range(len(account.shares)):
        if most is not None and account.owned(s) and account.goals[s] and t - account.entered[s] >= most:
            account.goals[s], account.said[s] = 0, ""
            account.fresh.add(s)
            account.held_out.add(s)
            account.stopped[s] = account.counted[s] not in (None, 0.0)
            account.places.discard(s)


def earned(run: Run, t: int, values: list[float | None]) -> set[int]:
    """`pyramid`: names that take one more unit."""
    account, policy = run.account, run.policy
    return {
        s
        for s, value in enumerate(values)
        if value is not None
        and (account.counted[s] or 0.0) > 0
        and 0 < account.goals[s] == account.owned(s)
        and account.units[s] < policy.pyramid
        and run.panel.close[t][s] >= account.last_buy[s] * (1 + policy.pyramid_step)
    }


def cools(run: Run, t: int, s: int) -> bool:
    """Whether an order decided now could open a position too soon after the last one ended."""
    account, bars = run.account, run.policy.cooldown
    soonest = t + (0 if run.fill == "close" else 1)
    return bars is not None and not account.owned(s) and not account.goals[s] and soonest - account.left[s] <= bars


def volatility_factor(run: Run, t: int, s: int) -> float:
    """min(`vol_cap`, `vol_target` / volatility); NaN where the volatility is not known."""
    policy, window = run.policy, run.policy.vol_window
    if policy.vol_target is None:
        return 1.0
    if t < window:
        return nan
    returns = [return_of(run, k, s) for k in range(t - window + 1, t + 1)]
    total = 0.0
    for each in returns:
        total += each
    mean, spread = total / window, 0.0
    for each in returns:
        spread += (each - mean) * (each - mean)
    volatility = sqrt(spread / (window - 1) * run.panel.bars_a_year)
    if isnan(volatility):
        return nan
    return min(policy.vol_cap, policy.vol_target / volatility if volatility else inf)


def return_of(run: Run, t: int, s: int) -> float:
    result = run.panel.close[t][s] / run.panel.close[t - 1][s]
    for event in run.panel.events:
        if event.bar == t and event.column == s:
            result *= event.price_factor
    return result - 1


class Caps:
    """The room that caps leave: goals that stand first, then the names that are sized, one by one."""

    def __init__(self, run: Run, t: int, sized: list[int]) -> None:
        self.run, self.t = run, t
        self.all = 0.0
        self.groups: dict[str, float] = {}
        for s in range(len(run.account.goals)):
            if s not in sized:
                self.take(s)

    def group(self, s: int) -> str | None:
        return (self.run.policy.groups or {}).get(self.run.panel.symbols[s])

    def take(self, s: int) -> None:
        goal = self.run.account.goals[s]
        value = self.run.money(self.run.panel.close[self.t][s], abs(goal)) if goal else 0
        self.all += value
        group = self.group(s)
        if group is not None:
            self.groups[group] = self.groups.get(group, 0.0) + value

    def most(self, s: int) -> float:
        """Shares that a name may have at most."""
        policy, equity, rooms = self.run.policy, self.run.account.equity, [inf]
        if policy.cap_name is not None:
            rooms.append(policy.cap_name * equity)
        group = self.group(s)
        if policy.cap_group is not None and group is not None:
            rooms.append(policy.cap_group * equity - self.groups.get(group, 0.0))
        if policy.cap_gross is not None:
            rooms.append(policy.cap_gross * equity - self.all)
        return max(0.0, min(rooms)) / (self.run.panel.close[self.t][s] * self.run.panel.unit)


def worth_little(run: Run, t: int, s: int, want: int) -> bool:
    """`min_trade_value`: no order for so small a gap, unless it is the end."""
    least = run.policy.min_trade_value or 0.0
    return run.account.goals[s] != 0 and run.money(run.panel.close[t][s], abs(want)) < least * run.panel.unit


def cut_to_turnover(run: Run, t: int, orders: list[Order]) -> None:
    """`max_turnover`: what the orders may fill, all that are no exits alike."""
    if run.policy.max_turnover is None:
        return
    room, rest = run.policy.max_turnover * run.account.equity, 0
    values: dict[int, int] = {}
    for order in orders:
        values[order.column] = values.get(order.column, 0) + order.quantity
    for s, quantity in values.items():
        value = run.money(run.panel.close[t][s], quantity)
        if run.account.goals[s] == 0:
            room -= value
        else:
            rest += value
    if rest <= max(room, 0.0):
        return
    part = max(0.0, room / rest)
    left = {s: run.in_lots(s, floor(n * part)) for s, n in values.items() if run.account.goals[s] != 0}
    for order in orders:  # what closes comes before what opens
        if order.column in left:
            order.open = min(order.quantity, left[order.column])
            left[order.column] -= order.open
            if order.open < order.quantity:
                order.reason = "TURNOVER"
