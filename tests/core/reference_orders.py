"""A strategy's own orders in the plain fold: made, changed, placed, grouped, ended. See `reference`.

Contract: pure but for the account it changes. `run` is a `reference.Run`. A script is a list of `Command`s a bar;
`on_bar` carries out those of one. An order's id is what the command that made it leaves in `Account.made`.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from math import inf, isnan, nan
from typing import TYPE_CHECKING, Any

import numpy as np

from quantkit.market.orders import accepted
from tests.core import reference_short
from tests.core.reference_state import LIQUIDATION, LISTED, MEMBER, TRADED, VALID, Order

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.core.reference import Run

PRINTS = ("at_open", "at_close", "same_close", "vwap")
HELD = ("stop", "stop_limit", "trailing", "from_open")
TIFS = ("day", "gtc", "conditional", "ioc", "fok")


@dataclass(frozen=True)
class Command:
    """One call on `ctx`: `name` of the method, column, quantity, keywords. `order`, `other`: the k-th order made."""

    name: str  # buy, sell, cancel, cancel_all, replace, oco, target
    column: int = 0
    quantity: int = 0
    keywords: dict[str, Any] = field(default_factory=dict)
    order: int = 0
    other: int = 0
    weight: float = 0.0


# --- making, changing -----------------------------------------------------------------------------------------------


def on_bar(run: Run, t: int, commands: Sequence[Command], market: str) -> None:
    """Carry out a bar's commands; `market` is the kind of a plain market order."""
    account = run.account
    for c in commands:
        old, other = (by_id(run, account.made[k]) if k < len(account.made) else None for k in (c.order, c.other))
        if c.name in ("buy", "sell"):
            account.made.append(make(run, t, 1 if c.name == "buy" else -1, c, market))
        elif c.name == "replace" and old is not None:
            account.made.append(substitute(run, t, old, **c.keywords))
        elif c.name == "cancel" and old is not None:
            old.end(t, "CANCELLED")
        elif c.name == "cancel_all":
            for order in run.live_orders():
                if order.own and order.column == c.column and order.status == "working":
                    order.end(t, "CANCELLED")
                    end_orphans(run, t)
        elif c.name == "oco" and old is not None and other is not None and old is not other:
            if old.column == other.column:
                join(run, old, other)
        elif c.name in ("target", "target_shares"):
            set_goal(run, t, c)
        end_orphans(run, t)


def set_goal(run: Run, t: int, c: Command) -> None:
    """A goal straight from the rule: a weight of equity, or shares."""
    account, s = run.account, c.column
    if not run.panel.has(t, s, VALID):
        return
    goal = 0
    if run.panel.has(t, s, MEMBER):
        equity = max(account.equity, 0) / run.panel.unit
        weight = c.weight * equity * (1 - run.policy.cash_buffer) / run.panel.close[t][s]
        goal = run.goal_of(s, weight if c.name == "target" else c.weight)
    if goal != account.goals[s]:
        account.goals[s], account.said[s] = goal, ""
        account.held_out.discard(s)
        account.fresh.add(s)


def by_id(run: Run, id_: int) -> Order | None:
    return next((order for order in run.live_orders() if order.id == id_), None)


def number(run: Run, order: Order) -> Order:
    order.id, run.account.next_id = run.account.next_id, run.account.next_id + 1
    run.account.orders.append(order)
    return order


def kind_of(market: str, limit: float | None, given: dict[str, Any]) -> str:
    if given["trail"] is not None:
        return "trailing"
    if given["from_open"] is not None:
        return "from_open"
    if given["stop"] is not None:
        return "stop" if limit is None else "stop_limit"
    if given["at"] is not None:
        return f"at_{given['at']}"
    if given["tif"] == "conditional":
        return "conditional"
    return market if limit is None and given["tif"] not in ("ioc", "fok") else "limit"


def is_bad(quantity: int, limit: float | None, take: float | None, loss: float | None, given: dict[str, Any]) -> bool:
    """What the page's first row refuses."""
    special = [given[name] for name in ("stop", "trail", "from_open", "at") if given[name] is not None]
    immediate = given["tif"] in ("conditional", "ioc", "fok")
    prices = [price for price in (limit, take, loss, given["stop"]) if price is not None]
    return (
        quantity < 1
        or any(not price > 0 for price in prices)
        or len(special) > 1
        or (given["trail"] is not None and not 0 < given["trail"] < 1)
        or (given["days"] is not None and given["days"] < 1)
        or (limit is not None and (given["trail"] is not None or given["from_open"] is not None))
        or given["tif"] not in (None, *TIFS)
        or given["at"] not in (None, "open", "close")
        or (given["tif"] == "conditional" and limit is None)
        or (immediate and (bool(special) or given["days"] is not None))
    )


def make(run: Run, t: int, side: int, c: Command, market: str) -> int:
    """Make an order and its children, or a row that says why not; its id."""
    given = {name: c.keywords.get(name) for name in ("stop", "trail", "from_open", "at", "tif", "days")}
    limit, take, loss = (c.keywords.get(name) for name in ("limit", "take_profit", "stop_loss"))
    bad = is_bad(c.quantity, limit, take, loss, given) or not run.panel.has(t, c.column, LISTED)
    bad = bad or c.quantity % run.lot(c.column) != 0
    kind = market if bad else kind_of(market, limit, given)
    tif = given["tif"] or ("gtc" if kind in ("stop", "stop_limit", "trailing") else "day")
    order = number(run, Order(t, c.column, side, c.quantity, kind, open=c.quantity, own=True))
    order.tag, order.born, order.tif = c.keywords.get("tag", 0), run.session, tif
    order.limit, order.stop, order.trail, order.from_open = (
        nan if x is None else x for x in (limit, given["stop"], given["trail"], given["from_open"])
    )
    order.at = given["at"] or ""
    order.until = life(run, t, order, given["days"])
    if given["days"] is not None and kind not in PRINTS:
        order.tif = "gtc"
    order.extreme = run.panel.close[t][c.column]
    refuse(run, t, order, bad, 1 + (take is not None) + (loss is not None))
    if order.status == "working":
        run.account.waiting.append(order)
        hang(run, t, order, take, loss)
    return order.id


def life(run: Run, t: int, order: Order, days: int | None) -> float:
    """Number of the last session it lives in."""
    today = run.session + (1 if run.last_of_session(t) else 0)
    if order.kind in PRINTS or order.tif in ("ioc", "fok"):
        return run.session + 1 if order.at == "open" else today
    if days is not None:
        return run.session + days
    if order.kind == "from_open" and order.tif == "day":
        return run.session + 1
    return inf if order.tif == "gtc" else today


def refuse(run: Run, t: int, order: Order, bad: bool, places: int) -> None:
    """End an order that is not made, with the first reason."""
    account, limits, unit, s = run.account, run.limits, run.panel.unit, order.column
    working = sum(other.own for other in run.live_orders())
    if bad:
        order.end(t, "BAD_ORDER")
        return
    price = order.limit if not isnan(order.limit) else order.stop
    value = run.money(run.panel.close[t][s] if isnan(price) else price, order.quantity)
    held = run.money(run.panel.close[t][s], account.owned(s)) if account.owned(s) > 0 else 0
    reason = ""
    if working + places > run.max_orders:
        reason = "TOO_MANY_ORDERS"
    elif order.side < 0 or reference_short.closes(run, order):
        return
    elif account.no_buys:
        reason = "DRAWDOWN"
    elif account.no_buys_today:
        reason = "DAILY_LOSS"
    elif (limits.max_order_value is not None and value > limits.max_order_value * unit) or (
        limits.max_order_shares is not None and order.quantity > limits.max_order_shares
    ):
        reason = "ORDER_TOO_LARGE"
    elif limits.max_weight is not None and value + held > limits.max_weight * account.equity:
        reason = "MAX_WEIGHT"
    if reason:
        order.end(t, reason)


def hang(run: Run, t: int, entry: Order, take: float | None, loss: float | None) -> None:
    """A bracket's children: they wait for the entry's fills."""
    children = []
    for kind, price in (("limit", take), ("stop", loss)):
        if price is not None:
            child = Order(t, entry.column, -entry.side, entry.quantity, kind, open=entry.quantity, own=True)
            child.limit, child.stop = (price, nan) if kind == "limit" else (nan, price)
            child.tif, child.stage, child.parent, child.tag, child.born = (
                "gtc", "child", entry.id, entry.tag, run.session,
            )  # fmt: skip
            children.append(number(run, child))
    run.account.waiting += children
    if len(children) == 2:
        join(run, *children)


def join(run: Run, left: Order, right: Order) -> None:
    """Put two orders, and the groups they are in, into one group."""
    run.account.groups += 1
    groups = {order.group for order in (left, right)} - {0}
    for order in run.live_orders():
        if order is left or order is right or order.group in groups:
            order.group = run.account.groups


def substitute(run: Run, t: int, old: Order, **changes: Any) -> int:
    """A new order in the place of an old one."""
    quantity = changes.get("quantity", old.open)
    prices = {name: changes[name] for name in ("limit", "stop") if changes.get(name) is not None}
    new = replace(
        old,
        bar=t,
        quantity=quantity,
        open=quantity,
        filled=0,
        reason="",
        reserve_price=nan,
        day_value=0,
        day_fee=0,
        **prices,
    )
    new.stage = "child" if old.stage == "child" else "new"
    new.triggered, new.parked = old.triggered and "stop" not in prices, False
    lacks = any(isnan(getattr(old, name)) for name in prices) or (old.kind == "from_open" and "stop" in prices)
    bad = quantity < 1 or lacks or any(not price > 0 for price in prices.values())
    bad = bad or quantity % run.lot(old.column) != 0
    number(run, new)
    refuse(run, t, new, bad, 0)
    if new.status != "working":
        return new.id
    run.account.waiting.append(new)
    for child in run.live_orders():
        if child.parent == old.id:
            child.parent = new.id
    old.end(t, "REPLACED")
    return new.id


# --- taking effect, reserving ---------------------------------------------------------------------------------------


def take_effect(run: Run, t: int) -> None:
    """What was made on the bar before goes live; each morning all that rests is placed again."""
    for order in run.live_orders():
        order.muted = False
        first = order.own and order.stage == "new"
        if run.new_session(t):
            order.parked, order.reserve_price = False, nan
            order.day_value = order.day_fee = 0
        if order.own and order.stage != "child":
            order.stage = "live"
            if (first or run.new_session(t)) and is_placed(run, t, order):
                place(run, t, order)
    end_orphans(run, t)


def is_placed(run: Run, t: int, order: Order) -> bool:
    """An order for an opening auction is placed on its morning."""
    return order.at != "open" or run.session > order.born


def place(run: Run, t: int, order: Order) -> None:
    """What the exchange says to an order in the morning, or when it comes: park it or refuse it."""
    s, panel = order.column, run.panel
    at_once = order.tif in ("ioc", "fok")
    if at_once or order.kind == "conditional":
        kind = ("market_" if isnan(order.limit) else "") + order.tif if at_once else "conditional"
        day = np.datetime64(panel.days[t], "D")
        status = "liquidation" if panel.has(t, s, LIQUIDATION) else "trading"
        if accepted(kind, date=day, market=panel.market[t][s], status=status) or (at_once and panel.auction_only[t]):
            order.end(t, "NOT_ACCEPTED")
            return
    waits = order.kind in HELD and not (order.kind == "stop_limit" and order.triggered)
    if isnan(order.limit) or waits:
        return
    limit, (lower, upper) = run.rounded_limit(t, order), run.price_limits(t, s)
    if order.kind == "conditional" and (limit >= upper if order.side > 0 else limit <= lower):
        order.end(t, "NOT_ACCEPTED")
    elif not lower <= limit <= upper:
        if order.tif == "gtc" and order.kind not in PRINTS:
            order.parked = True
        else:
            order.end(t, "OUT_OF_LIMITS")


def reserves(order: Order) -> bool:
    """Whether cash is set aside for it: buys that rest at the exchange or go there at once."""
    resting = order.kind in ("limit", "conditional") or (order.kind == "stop_limit" and order.triggered)
    return order.own and order.side > 0 and order.stage == "live" and resting and not order.parked


def reserve_limits(run: Run, t: int) -> None:
    """funding="cash": older before newer, what does not fit is cut."""
    for order in sorted(run.live_orders(), key=lambda o: o.id):
        if reserves(order) and isnan(order.reserve_price):
            reserve(run, t, order)


def reserve(run: Run, t: int, order: Order) -> None:
    price = run.reserve_price(t, order)
    quantity = order.open
    if not reference_short.closes(run, order):
        quantity = affordable(run, t, order, price, order.open, 0)
    if order.tif == "fok" and quantity < order.open:
        quantity = 0
    run.cut_to(t, order, quantity)
    order.reserve_price = price


def reserved(run: Run, t: int, *but: Order) -> int:
    """Cash set aside for placed buys."""
    return sum(
        run.buy_cost(t, order.column, order.reserve_price, order.open)
        for order in run.live_orders()
        if not isnan(order.reserve_price) and not any(order is other for other in but)
    )


def affordable(run: Run, t: int, order: Order, price: float, quantity: int, extra: int) -> int:
    """The most shares that cost no more than there is to spend. `extra`: sales of the same name on the path."""
    money = run.spendable(t, order) + extra - run.unspendable()
    low, high = 0, quantity + 1
    while high - low > 1:
        middle = (low + high) // 2
        value = run.money(price, middle)
        alone = run.commission(t, order.column, value)
        fits = value + max(run.charge(t, order, value), alone) <= money
        low, high = (middle, high) if fits else (low, middle)
    return low if low == quantity else run.in_lots(order.column, low)


# --- fills and ends -------------------------------------------------------------------------------------------------


def due(run: Run, t: int, order: Order, kinds: tuple[str, ...]) -> bool:
    """Whether an order meets its print in the step that serves these kinds."""
    if order.kind not in kinds or order.stage == "child":
        return False
    if order.own and order.stage == "new" and order.kind != "same_close":
        return False
    if order.kind == "conditional":
        return run.panel.closing[t]
    if order.at == "close" and run.panel.closing[t] and not run.panel.has(t, order.column, TRADED):
        return run.panel.opening[t]  # else the session may have another bar with the auction
    return {"open": run.panel.opening[t], "close": run.panel.closing[t]}.get(order.at, True)


def filled(run: Run, t: int, order: Order, quantity: int) -> None:
    """What a fill of an own order moves: the goal, its group, its children."""
    account, s = run.account, order.column
    if order.side > 0 or account.goals[s] > 0:
        goal = account.goals[s] + order.side * quantity
        account.goals[s] = goal if order.side > 0 else max(goal, 0)
    for other in run.live_orders():
        if order.group and other.group == order.group and other is not order:
            other.open -= min(quantity, other.open)
            other.reason = "OCO"
            if other.open == 0:
                other.end(t, "OCO")
        elif other.parent == order.id:
            if other.stage == "child":
                other.stage, other.quantity, other.open = "live", quantity, quantity
                place(run, t, other)
            else:
                other.quantity, other.open = other.quantity + quantity, other.open + quantity


def end_orphans(run: Run, t: int) -> None:
    """Children whose entry ended without a fill."""
    alive = {order.id for order in run.live_orders()}
    for order in run.live_orders():
        if order.stage == "child" and order.parent not in alive:
            order.end(t, "PARENT")


def expire_own(run: Run, t: int) -> None:
    """What its life ends on this bar: a session is over with its closing auction."""
    over = run.panel.closing[t]
    for order in run.live_orders():
        if not order.own or order.stage != "live" or order.kind == "at_close" or due(run, t, order, PRINTS):
            continue
        at_once = order.tif in ("ioc", "fok") and order.kind == "limit"
        if at_once or (over and order.until <= run.session):
            order.end(t, "EXPIRED" if run.panel.has(t, order.column, TRADED) else "HALTED")
    end_orphans(run, t)


def end_of_yesterday(run: Run, t: int) -> None:
    """What should have ended with a session of which the data has no closing auction."""
    for order in run.live_orders():
        if order.own and order.until < run.session:
            bars = range(order.bar + 1, t) if order.kind == "at_close" else [t - 1]
            halted = [
                not run.panel.has(k, order.column, TRADED)
                for k in bars
                if order.kind != "at_close" or run.panel.closing[k]
            ]
            order.end(t, "HALTED" if any(halted) else "EXPIRED")
    end_orphans(run, t)
