"""What the plain fold keeps, and the exchange's rules as it asks for them, one price at a time.

Contract: plain records of floats, ints, lists and dicts. `Panel` holds what a run reads (rows of lists, prices as
traded), `Account` what it leaves. Used by `reference` and `reference_decide`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cache

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

    def has(self, t: int, s: int, flag: int) -> bool:
        return bool(self.flags[t][s] & flag)


@dataclass
class Order:
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

    def end(self, t: int, reason: str = "") -> None:
        """No more fills: filled whole, cut short, or dropped with nothing."""
        self.reason = reason or self.reason
        self.status = "filled" if self.filled == self.quantity else "cut" if self.filled else "dropped"
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


class Account:
    """Cash, shares and everything that is remembered from bar to bar."""

    def __init__(self, panel: Panel, cash: int) -> None:
        names = len(panel.symbols)
        self.cash = cash
        self.unsettled = [0, 0]  # due at the next session, and the one after
        self.shares = [0] * names
        self.goals = [0] * names
        self.paid = [0.0] * names  # for all buys since the position was opened
        self.bought = [0.0] * names  # their shares
        self.peak = [0.0] * names
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
        self.cash_before = cash
        self.waiting: list[Order] = []
        self.orders: list[Order] = []
        self.fills: list[Fill] = []
        self.cash_by_bar: list[int] = []
        self.equity_by_bar: list[int] = []

    def owned(self, s: int) -> int:
        """Shares held, with those that come later."""
        return self.shares[s] + sum(shares for _, column, shares in self.shares_due if column == s)

    def apply(self, fill: Fill) -> None:
        """Book one fill, whoever made it."""
        s = fill.column
        if fill.side > 0:
            flow = -(fill.value + fill.commission)
            if self.owned(s) == 0:
                self.paid[s] = self.bought[s] = self.peak[s] = 0.0
            self.peak[s] = max(self.peak[s], fill.price)
            self.paid[s] += fill.value
            self.bought[s] += fill.quantity
        else:
            flow = fill.value - fill.commission - fill.tax
        self.cash += flow
        self.unsettled[1] += flow
        self.shares[s] += fill.side * fill.quantity
        self.fills.append(fill)


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
