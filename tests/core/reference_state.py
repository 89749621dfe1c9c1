"""What the plain fold keeps, and the exchange's rules as it asks for them, one price at a time.

Contract: plain records of floats, ints, lists and dicts. `Panel` holds what a run reads (rows of lists, prices as
traded), `Account` what it leaves. Used by `reference` and `reference_decide`.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass, field, replace
from functools import cache
from math import floor, inf, nan

import numpy as np

from quantkit.market import krx

LISTED, TRADED, VALID, MEMBER, LIQUIDATION, FIRST_DAY = 1, 2, 4, 8, 16, 32


@dataclass
class Event:
    """A corporate action placed on the panel: the first bar on or after its ex-date."""

    bar: int
    column: int
    price_factor: float
    share_ratio: float  # NaN: unknown
    cash_per_share: float
    pay_day: int | None
    kind: str = ""
    receivable: bool = False


@dataclass
class Panel:
    """Everything a run reads. Matrices are lists of rows, [bar][column]."""

    days: list[int]
    symbols: tuple[str, ...]
    open: list[list[float]]
    high: list[list[float]]
    low: list[list[float]]
    close: list[list[float]]
    flags: list[list[int]]
    traded_value: list[list[float]]
    market: list[list[str]]
    events: list[Event] = field(default_factory=list)
    base: list[list[float]] | None = None
    leverage: list[float] = field(default_factory=list)
    unit: int = 1
    grid: bool = True
    volume: list[list[float]] = field(default_factory=list)
    average: list[list[float]] = field(default_factory=list)  # average price of each bar
    opening: list[bool] = field(default_factory=list)  # the bar holds the opening auction
    closing: list[bool] = field(default_factory=list)  # the closing auction
    auction_only: list[bool] = field(default_factory=list)  # and nothing else
    bars_a_year: float = 252.0

    def has(self, t: int, s: int, flag: int) -> bool:
        return bool(self.flags[t][s] & flag)


@dataclass
class Order:
    """One order, a policy's or a strategy's own; what only own orders have stands below `own`."""

    bar: int  # decided on
    column: int
    side: int
    quantity: int  # as decided
    kind: str
    open: int = 0  # still allowed to fill
    filled: int = 0
    status: str = "working"
    reason: str = ""
    done: int = -1
    id: int = -1
    own: bool = False
    limit: float = nan  # prices as given, in the won of today
    stop: float = nan
    trail: float = nan
    from_open: float = nan
    tif: str = "day"
    at: str = ""  # the auction it waits for
    until: float = inf  # number of the last session it lives in
    born: int = 0  # number of the session it was made in
    stage: str = "new"  # new, child (waits for its entry), live
    triggered: bool = False
    opened: bool = False  # from_open: its session has had its first trade
    parked: bool = False
    muted: bool = False  # not looked at again on this bar
    extreme: float = nan
    group: int = 0
    parent: int = -1
    tag: int = 0
    day_value: int = 0  # money filled in this session, and the commission on it
    day_fee: int = 0
    reserve_price: float = nan  # what a placed buy's open shares are reserved at
    role: str = ""  # of a goal's order: it "covers" a short position, or "opens" one

    def end(self, t: int, reason: str = "") -> None:
        """No more fills: filled whole, cut short, or dropped with nothing."""
        whole = self.filled == self.quantity and (self.filled > 0 or not self.own)
        self.reason = "" if whole else reason or self.reason
        self.status = "filled" if whole else "cut" if self.filled else "dropped"
        self.open, self.done = 0, t


@dataclass
class Fill:
    bar: int
    column: int
    side: int
    quantity: int
    price: float
    value: int
    commission: int
    tax: int
    slippage: int
    rule: str
    from_proceeds: bool = False
    ambiguous: bool = False
    order: int = -1
    tag: int = 0


class Account:
    """Cash, shares and everything that is remembered from bar to bar."""

    def __init__(self, panel: Panel, cash: int) -> None:
        names = len(panel.symbols)
        self.cash = cash
        self.unsettled = [0, 0]  # due at the next session, and the one after
        self.shares = [0] * names
        self.goals = [0] * names
        self.paid = [0.0] * names  # for all buys (short: sales) since the position was opened
        self.bought = [0.0] * names  # their shares
        self.peak = [0.0] * names  # short: the lowest price
        self.entered = [0] * names  # bar of the position's first fill
        self.left = [-(10**9)] * names  # bar on which the last position ended
        self.last_buy = [nan] * names  # its price
        self.units = [0] * names
        self.waiting_names: set[int] = set()  # due, but cooling down or without a volatility
        self.held_out: set[int] = set()  # names whose goal `max_holding` has ended
        self.stopped = [False] * names
        self.said = [""] * names  # the last reason written for the present goal
        self.counted: list[float | None] = [None] * names  # the last row value that counted
        self.places: set[int] = set()  # names in
        self.places_before: set[int] = set()  # as the last decision left them
        self.receivable: list[tuple[int, int]] = []  # (pay day, amount)
        self.shares_due: list[tuple[int, int, int]] = []  # (pay day, column, shares)
        self.equity = cash
        self.day_equity = cash
        self.highest_equity = cash
        self.no_buys_today = self.no_buys = False
        self.cash_before = cash  # held before the bar, and not yet spent by its buys
        self.used = [0] * names  # shares filled on this bar, for the participation cap
        self.path_sales = 0  # what sales on the path have brought on this bar
        self.path_freed = 0  # what was bought back on the path has left free on this bar
        self.mark_price = [nan] * names  # close of the last mark, in the won of today
        self.short_value = 0  # at the last mark
        self.next_id = self.groups = 0
        self.fresh: set[int] = set()  # names whose goal the rule has set on this bar
        self.made: list[int] = []  # ids of what the script made
        self.waiting: list[Order] = []
        self.orders: list[Order] = []
        self.fills: list[Fill] = []
        self.cash_by_bar: list[int] = []
        self.equity_by_bar: list[int] = []

    def owned(self, s: int) -> int:
        """Shares held, with those that come later."""
        return self.shares[s] + sum(shares for _, column, shares in self.shares_due if column == s)

    def fork(self) -> Account:
        """An account that goes its own way for a bar's path, without the rows written so far."""
        other = copy.copy(self)
        for name, value in vars(self).items():
            if isinstance(value, list | set):
                setattr(other, name, copy.copy(value))
        other.waiting = [replace(order) for order in self.waiting]
        other.fills, other.orders = [], []
        return other

    def apply(self, fill: Fill) -> None:
        """Book one fill, whoever made it."""
        s, side, before = fill.column, fill.side, self.owned(fill.column)
        self.cash -= side * fill.value + fill.commission + fill.tax
        self.unsettled[1] -= side * fill.value + fill.commission + fill.tax
        self.shares[s] += side * fill.quantity
        after, opened, value = self.owned(s), fill.quantity, float(fill.value)
        if before * after < 0:  # from short to long: what is left after the close opens
            opened = abs(after)
            value = float(floor(value * (opened / fill.quantity) + 0.5))
        if before == 0 or before * after < 0:
            self.paid[s] = self.bought[s] = 0.0
            self.peak[s] = fill.price
            self.entered[s] = fill.bar
        if after * side > 0:
            self.peak[s] = max(self.peak[s] * side, fill.price * side) * side
            self.last_buy[s] = fill.price
            self.paid[s] += value
            self.bought[s] += opened
        if after == 0:
            self.left[s] = fill.bar
        self.fills.append(fill)


def whole(shares: float) -> int:
    """Cut to whole shares, toward none."""
    size = floor(abs(shares) + 1e-9)
    return size if shares >= 0 else -size


@cache
def tick(price: float, day: int, market: str) -> float:
    return float(krx.tick_size(price, np.datetime64(day, "D"), market=market))


@cache
def grid_floor(price: float, day: int, market: str) -> float:
    return float(krx.floor_tick(price, np.datetime64(day, "D"), market=market))


@cache
def grid_ceil(price: float, day: int, market: str) -> float:
    return float(krx.ceil_tick(price, np.datetime64(day, "D"), market=market))


@cache
def tax_rate(day: int, market: str) -> float:
    return float(krx.sale_tax_rate(np.datetime64(day, "D"), market=market))


@cache
def limit_prices(base: float, day: int, market: str, leverage: float) -> tuple[float, float]:
    lower, upper = krx.price_limits(base, np.datetime64(day, "D"), market=market, leverage=leverage)
    return float(lower), float(upper)
