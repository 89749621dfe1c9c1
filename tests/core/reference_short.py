"""Short positions in the plain fold: what they tie up, what may be sold short, what closes one. See `reference`.

Contract: pure but for the account it changes. `run` is a `reference.Run`. Everything here is nothing where
`Policy.short` is None: no share is ever below none then.
"""

from __future__ import annotations

from functools import cache
from math import floor
from typing import TYPE_CHECKING

import numpy as np

from quantkit.market.short import short_allowed

if TYPE_CHECKING:
    from tests.core.reference import Run
    from tests.core.reference_state import Fill, Order


@cache
def allowed(day: int, market: str) -> bool:
    """Whether a name of this market could be sold short on a day, its membership of an index not being known."""
    return short_allowed(np.datetime64(day, "D"), market=market)


def short_value(run: Run) -> int:
    """Shares below none at the close of the last mark."""
    account = run.account
    return sum(run.money(price, -n) for price, n in zip(account.mark_price, account.shares, strict=True) if n < 0)


def tied_up(run: Run, value: int) -> int:
    return floor(value * (1 + run.policy.short_margin) + 0.5)


def buying_power(run: Run, cash: int) -> int:
    """What the short positions leave of some cash, `min_cash` aside."""
    return cash - tied_up(run, short_value(run)) - run.account.path_freed


def closes(run: Run, order: Order) -> bool:
    """Whether a buy only closes a short position: a goal's, or a strategy's own of no more than is short."""
    short = -run.account.shares[order.column]
    return order.side > 0 and (order.role == "covers" or (order.own and order.open <= short))


def room(run: Run) -> int:
    """What is free for buys on the path before they count what is set aside."""
    cash = run.account.cash
    return buying_power(run, cash if run.policy.funding == "proceeds" else min(cash, run.account.cash_before))


def bought_back(run: Run, fill: Fill, before: int) -> None:
    """After a fill on the path that closes: what it leaves free serves no other buy before the bar is over."""
    run.spend(fill.value + fill.commission)
    run.account.path_freed += max(0, room(run) - before)


def margin(run: Run, t: int, s: int, price: float, quantity: int) -> int:
    """What a short sale takes off the buying power."""
    value = run.money(price, quantity)
    return floor(value * run.policy.short_margin + 0.5) + run.commission(t, s, value) + run.tax(t, s, value)


def refused(run: Run, t: int, s: int, room: int) -> str:
    """Why not even one share is sold short; "" if nothing speaks against it."""
    if not allowed(run.panel.days[t], run.panel.market[t][s]):
        return "SHORT_BANNED"
    return "MARGIN" if margin(run, t, s, run.panel.close[t][s], 1) > room else ""


def sell_short(run: Run, t: int, orders: list[Order], room: int) -> int:
    """Short sales of one matching step, by symbol, each as far as the buying power goes; what is left of that."""
    room -= run.unspendable()
    for order in sorted(orders, key=lambda o: run.panel.symbols[o.column]):
        s, printed = order.column, run.print_of(t, order)
        price = run.slipped(t, s, -1, order.open, printed, run.order_limit(t, order))
        if not allowed(run.panel.days[t], run.panel.market[t][s]):
            run.cut_to(t, order, 0, "SHORT_BANNED")
            continue
        low, high = 0, order.open + 1
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (middle, high) if margin(run, t, s, price, middle) <= room else (low, middle)
        run.cut_to(t, order, low, "MARGIN")
        if order.open:
            room -= margin(run, t, s, price, order.open)
            run.make_fill(t, order, order.open, price, printed, run.print_rule(order))
        if order.status == "working":
            order.end(t)
    return room + run.unspendable()
