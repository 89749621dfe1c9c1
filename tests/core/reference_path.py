"""Step 4 of the plain fold: a bar's path, walked once for each name. See `reference`.

Contract: pure but for the account it changes. The path is a list of prices (open, one extreme, the other, close);
on every leg what is met first acts first. `Walk.here` is where the price is.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import inf, isnan, nan
from typing import TYPE_CHECKING

from tests.core import reference_orders, reference_short
from tests.core.reference_state import Fill, Order

if TYPE_CHECKING:
    from tests.core.reference import Run

STOP, LIMIT = 0, 1  # at one price stops come first
LIMITS = ("limit", "conditional")


@dataclass(frozen=True)
class Meeting:
    """Something that acts at a price of the path: an own order, or (order None) the policy under `rule`."""

    price: float
    place: float  # where on the path it is met
    kind: int
    side: int
    order: Order | None = None
    rule: str = ""
    taker: bool = True  # takes a price that is there already, and so pays slippage

    def key(self, here: float) -> tuple[float, bool, int, int, float]:
        age = float("inf") if self.order is None else self.order.id
        reached = not self.taker and self.place == here  # has to be traded through: what is beyond goes first
        return abs(self.place - here), reached, self.kind, self.side, age


def walk(run: Run, t: int, s: int, short: bool = False) -> None:
    """Walk the path of one traded name, and mark its fills where the order of the extremes matters.

    short: only the policy's stops of a short position, which come before the own orders of the name.
    """
    account, kept, low_first = run.account, run.account.fork(), is_low_first(run, t, s)
    first = len(account.fills)
    opened = Walk(run, t, s, low_first, run.policy.path == "optimistic", short).go()
    if opened == len(account.fills):
        return
    made = outcome(account.fills[first:])
    for order in (True, False):
        run.account = kept.fork()
        Walk(run, t, s, order, True, short).go()
        if outcome(run.account.fills) != made:
            for fill in account.fills[opened:]:
                fill.ambiguous = True
    run.account = account


def outcome(fills: list[Fill]) -> list[tuple[object, ...]]:
    """What filled, whatever came first."""
    return sorted((f.order, f.side * f.quantity, f.price) for f in fills)


def is_low_first(run: Run, t: int, s: int) -> bool:
    o, h, low = run.panel.open[t][s], run.panel.high[t][s], run.panel.low[t][s]
    if run.policy.path == "nearer":
        return o - low <= h - o
    held = run.account.shares[s]
    return (held > 0) == (run.policy.path == "pessimistic")


class Walk:
    """One name's path on one bar."""

    def __init__(self, run: Run, t: int, s: int, low_first: bool, literal: bool, short: bool) -> None:
        self.run, self.t, self.s, self.short = run, t, s, short
        panel = run.panel
        self.o, self.h, self.low, self.c = (rows[t][s] for rows in (panel.open, panel.high, panel.low, panel.close))
        self.low_first, self.literal = low_first, literal
        self.here, self.opening = self.o, True
        self.policy_muted = False
        self.held_before = run.account.shares[s] != 0 and run.account.entered[s] < t
        self.falling = False  # the leg leads from the open to the low, or from the high
        self.other = nan  # the extreme that the second leg goes to
        self.waiting: set[int] = set()  # limits that let the stop of their group go first
        self.sales = 0  # what sales of this name have brought on this path

    def go(self) -> int:
        """Walk it all; how many fills the account had when the open was over."""
        for order in [] if self.short else self.own_orders():
            order.muted = False
            if order.kind == "from_open" and not order.opened and self.run.session > order.born:
                order.opened = True
                order.stop = self.o + order.side * order.from_open * self.run.last_range[self.s]
        self.leg(self.o, first=False)
        self.opening = False
        opened = len(self.run.account.fills)
        first, second = (self.low, self.h) if self.low_first else (self.h, self.low)
        self.other = second
        self.falling = self.low_first
        self.leg(first, first=True)
        self.falling = not self.low_first
        self.leg(second, first=False)
        self.waiting.clear()
        self.falling = self.low_first
        self.leg(self.c, first=False)
        return opened

    def own_orders(self) -> list[Order]:
        return [o for o in self.run.live_orders() if o.own and o.column == self.s and o.stage == "live"]

    def leg(self, end: float, first: bool) -> None:
        """From here to `end`: the first met acts, until nothing more is met."""
        while True:
            own = [] if self.short else self.own_orders()
            met = [m for o in own if self.stands(o) for m in [self.meeting(o, end)] if m]
            if first and not self.literal:
                late = [m for m in met if m.order is not None and self.stop_comes(m.order)]
                self.waiting |= {m.order.id for m in late if m.order is not None}
                met = [m for m in met if m not in late]
            met += self.policy_meetings(end, first)
            if not met:
                break
            now = min(met, key=lambda m: m.key(self.here))
            self.move(now.place)
            if now.order is None:
                self.policy_exit(now)
            else:
                self.act(now, now.order)
            self.held_before = self.held_before and self.run.account.shares[self.s] != 0
        self.move(end)

    def move(self, price: float) -> None:
        """The price gets there; extremes follow."""
        self.here = price
        account = self.run.account
        if account.owned(self.s):
            far = max if account.owned(self.s) > 0 else min
            account.peak[self.s] = far(account.peak[self.s], price)
        for order in [] if self.short else self.own_orders():
            if order.kind == "trailing":
                order.extreme = (max if order.side < 0 else min)(order.extreme, price)

    def stands(self, order: Order) -> bool:
        return not (order.muted or order.parked or order.id in self.waiting)

    def stop_comes(self, order: Order) -> bool:
        """Whether a limit's group has a stop that the other extreme still brings."""
        if not order.group or not (order.kind in LIMITS or order.triggered):
            return False
        mates = [o for o in self.own_orders() if o.group == order.group and o.kind in reference_orders.HELD]
        stops = [o for o in mates if not (o.triggered or o.muted)]
        return any((self.other - self.trigger(stop)) * stop.side >= 0 for stop in stops)

    # --- own orders -------------------------------------------------------------------------------------------------

    def trigger(self, order: Order) -> float:
        price = order.stop
        if order.kind == "trailing":
            price = order.extreme * (1 + order.side * order.trail)
        if isnan(price):
            return nan
        return (self.run.ceil_tick if order.side > 0 else self.run.floor_tick)(self.t, self.s, price)

    def meeting(self, order: Order, end: float) -> Meeting | None:
        """Where the order acts on the way from here to `end`, if it does."""
        if order.tif in ("ioc", "fok") and order.kind == "limit":
            return Meeting(self.here, self.here, LIMIT, order.side, order, "limit") if self.opening else None
        if order.kind in LIMITS or (order.kind == "stop_limit" and order.triggered):
            return self.limit_meeting(order, end)
        if order.kind in reference_orders.HELD:
            return self.stop_meeting(order, end)
        return None

    def limit_meeting(self, order: Order, end: float) -> Meeting | None:
        limit, side = self.run.rounded_limit(self.t, order), order.side
        better, past = (limit - self.here) * side, (limit - end) * side
        touch = self.run.policy.limit_fill == "touch" and not self.run.locked(self.t, self.s, side, limit)
        if better > 0 or (better == 0 and touch):
            return Meeting(self.here, self.here, LIMIT, side, order, "limit")
        if past > 0 or (past == 0 and touch):
            return Meeting(limit, limit, LIMIT, side, order, "limit", taker=False)
        return None

    def stop_meeting(self, order: Order, end: float) -> Meeting | None:
        if order.triggered:  # the rest of a stop that the participation cap left
            return Meeting(self.here, self.here, STOP, order.side, order, "stop") if self.opening else None
        trigger = self.trigger(order)
        if (self.here - trigger) * order.side >= 0:
            return Meeting(self.here, self.here, STOP, order.side, order, "stop")
        if (end - trigger) * order.side >= 0:
            return Meeting(trigger, trigger, STOP, order.side, order, "stop")
        return None

    def act(self, met: Meeting, order: Order) -> None:
        """An own order whose moment has come."""
        run, t = self.run, self.t
        if order.kind == "stop_limit" and not order.triggered:
            if run.locked(t, self.s, order.side, met.price):
                order.muted = True
                return
            order.triggered = True
            reference_orders.place(run, t, order)
            limit = run.rounded_limit(t, order)
            waits = order.parked or (met.price - limit) * order.side > 0
            if order.status != "working":
                return
            if not waits:
                self.fill(met, order, "limit", limit)
        elif order.tif in ("ioc", "fok") and order.kind == "limit":
            self.at_once(met, order)
        elif met.rule == "stop":
            if run.locked(t, self.s, order.side, met.price):
                order.muted = True
            else:
                self.fill(met, order, "stop", run.collar(t, self.s, order.side, met.price))
        else:
            self.fill(met, order, "limit", run.rounded_limit(t, order))

    def at_once(self, met: Meeting, order: Order) -> None:
        """An IOC or FOK order at the open: what does not fill dies."""
        run, t = self.run, self.t
        limit = run.order_limit(t, order)
        beyond = not isnan(limit) and (met.price - limit) * order.side > 0
        if beyond and not isnan(order.limit):
            order.end(t, "EXPIRED")
        elif run.locked(t, self.s, order.side, met.price):
            order.end(t, "LIMIT_LOCKED")
        elif beyond:
            order.end(t, "COLLAR")
        else:
            self.fill(met, order, "limit", limit)

    def fill(self, met: Meeting, order: Order, rule: str, limit: float) -> None:
        """Fill what shares, cap and cash allow."""
        run, t, s = self.run, self.t, self.s
        whole, child = order.tif == "fok", order.parent >= 0
        left = run.cap_left(t, s)
        quantity = order.open
        if order.side < 0 and quantity > max(0, run.account.shares[s]):
            quantity = max(0, run.account.shares[s])
            if whole or (quantity == 0 and not child):
                order.end(t, "INSUFFICIENT_SHARES")
                return
            if not child:
                run.cut_to(t, order, quantity, "INSUFFICIENT_SHARES")
        capped = quantity > left
        if capped and whole:
            order.end(t, "PARTICIPATION")
            return
        quantity = min(quantity, left)
        price = run.slipped(t, s, order.side, quantity, met.price, limit) if met.taker else met.price
        closing = reference_short.closes(run, order)
        if order.side > 0 and quantity and not closing:
            paid = reference_orders.affordable(run, t, order, price, quantity, self.usable_sales())
            if paid < quantity:
                if whole:
                    paid = 0
                run.cut_to(t, order, paid, "INSUFFICIENT_CASH")
                quantity = paid
        if quantity:
            self.book(met, order, rule, quantity, price, closing)
        if order.status == "working":
            order.muted = True
            order.triggered = order.triggered or (capped and order.kind in reference_orders.HELD)
            if order.tif == "ioc":
                order.end(t, "PARTICIPATION")

    def book(self, met: Meeting, order: Order, rule: str, quantity: int, price: float, closing: bool) -> None:
        run = self.run
        room, tied = reference_short.room(run), reference_short.tied_up(run, reference_short.short_value(run))
        name = f"{rule}_open" if self.opening else rule
        fill = run.make_fill(self.t, order, quantity, price, met.price, name)
        if order.side < 0:
            self.sold(fill.value - fill.commission - fill.tax)
        elif closing:
            reference_short.bought_back(run, fill, room)
        else:
            cost = fill.value + fill.commission
            from_sales = min(cost, self.usable_sales())
            self.sales -= from_sales
            run.account.path_sales -= from_sales
            fill.from_proceeds = run.spend(cost) and run.policy.funding == "proceeds"
            run.account.path_freed += tied - reference_short.tied_up(run, reference_short.short_value(run))

    def usable_sales(self) -> int:
        return self.sales if self.run.policy.funding == "proceeds" else 0

    def sold(self, proceeds: int) -> None:
        self.sales += proceeds
        self.run.account.path_sales += proceeds

    # --- the policy's levels ----------------------------------------------------------------------------------------

    def entry(self) -> float:
        account = self.run.account
        return account.paid[self.s] / self.run.panel.unit / account.bought[self.s]

    def level(self, peak: float, way: int) -> tuple[float, str]:
        """The nearer of stop and trail, and its name; way: 1 for shares held, -1 for a short position."""
        policy, level, name = self.run.policy, -inf * way, ""
        if policy.stop_loss is not None:
            level, name = self.entry() * (1 - way * policy.stop_loss), "stop_loss"
        if policy.trailing_stop is not None:
            trail = peak * (1 - way * policy.trailing_stop)
            if (trail - level) * way > 0:
                level, name = trail, "trailing_stop"
        return level, name

    def policy_meetings(self, end: float, first: bool) -> list[Meeting]:
        """Where the policy ends the position: way is 1 for shares held, -1 for a short position, all mirrored."""
        run, t, s, account = self.run, self.t, self.s, self.run.account
        if not account.shares[s] or self.policy_muted or (account.shares[s] < 0) != self.short:
            return []
        way = -1 if self.short else 1
        against, forth = (run.ceil_tick, run.floor_tick) if self.short else (run.floor_tick, run.ceil_tick)
        bad, good = (self.h, self.low) if self.short else (self.low, self.h)
        peak = account.peak[s]
        level, name = self.level(peak, way)
        take = inf * way
        if run.policy.take_profit is not None:
            take = forth(t, s, self.entry() * (1 + way * run.policy.take_profit))
        if self.opening:
            if self.held_before and (self.o - level) * way <= 0:
                return [Meeting(self.o, self.o, STOP, -way, rule=f"{name}_gap")]
            if self.held_before and (self.o - take) * way >= 0:
                return [Meeting(self.o, self.o, LIMIT, -way, rule="take_profit_gap")]
            return []
        met = []
        losing = self.falling != self.short
        lesser, greater = (max, min) if self.short else (min, max)
        if losing and (end - level) * way <= 0:
            price = lesser(greater(against(t, s, level), bad), self.here)
            met.append(Meeting(price, greater(price, end), STOP, -way, rule=name))
        bad_later = first and not losing and not self.literal
        stop_comes = bad_later and (bad - self.level(greater(peak, good), way)[0]) * way <= 0
        if not losing and (end - take) * way >= 0 and not stop_comes:
            price = greater(take, self.here)
            met.append(Meeting(price, price, LIMIT, -way, rule="take_profit"))
        return met

    def policy_exit(self, met: Meeting) -> None:
        """The policy's stop or take: end the position, stay out."""
        run, t, s, account = self.run, self.t, self.s, self.run.account
        held, room = abs(account.shares[s]), reference_short.room(run)
        order = Order(t, s, met.side, held, met.rule.removesuffix("_gap"), open=held)
        account.orders.append(order)
        if run.locked(t, s, met.side, met.price):
            order.end(t, "LIMIT_LOCKED")
            self.policy_muted = True
            return
        run.cut_to(t, order, min(held, run.cap_left(t, s)), "PARTICIPATION")
        if order.open:
            price = run.slipped(t, s, met.side, order.open, met.price)
            fill = run.make_fill(t, order, order.open, price, met.price, met.rule)
            if met.side < 0:
                self.sold(fill.value - fill.commission - fill.tax)
            else:
                reference_short.bought_back(run, fill, room)
        if order.status == "working":
            order.end(t)
        self.policy_muted = account.shares[s] != 0
        account.goals[s], account.stopped[s] = 0, account.counted[s] not in (None, 0.0)
        account.places.discard(s)
        for other in run.live_orders():
            opens = other.role == "opens" or (other.side > 0 and other.role != "covers")
            if other.column == s and opens and not other.own:
                other.end(t, "STOPPED")
