"""A sleeve: the part of an account that one deployment trades, with its Book.

Contract: plain state of the engine; everything here changes only while an input is reduced or an entry is folded. Money
is minor units, quantities are shares, times are UTC nanoseconds. An account is the sum of its sleeves and what is
unassigned; which sleeve a fill belongs to says the order's own `Intent.deployment`.

The engine needs no more of a Book than `Book` here asks for; `quantkit.live.book` gives it.
"""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from quantkit.core.amounts import commission_of, numbers_of, tax_of
from quantkit.core.state import (
    DAY_START,
    EQUITY,
    N_ORDERS,
    NEXT_1,
    NEXT_2,
    PEAK_EQUITY,
    RULE_CLOSE,
    RULE_CONDITIONAL,
    RULE_HELD,
    RULE_LIMIT,
    RULE_OPEN,
    RULE_SAME_CLOSE,
    RULE_STOP,
    RULE_TAKE,
    RULE_TRAIL,
    RULE_VWAP,
    SETTLED,
    STAGE_OVER,
)
from quantkit.live.risk.view import GateLimits
from quantkit.market import MARKET_ID
from quantkit.market.days import epoch_days
from quantkit.market.rules import rule_tables

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Callable

    from quantkit.core.state import Inputs, Record, Records, State
    from quantkit.trading.orders import Order, Side
    from quantkit.trading.ports import InstrumentDay


class Wanted(Protocol):
    """An order of the fold that should stand at the exchange, or will in the next window."""

    @property
    def order(self) -> int: ...
    @property
    def symbol(self) -> int: ...
    @property
    def side(self) -> int: ...
    @property
    def quantity(self) -> int: ...
    @property
    def limit(self) -> float: ...
    @property
    def kind(self) -> str: ...
    @property
    def tif(self) -> str: ...
    @property
    def rule(self) -> str: ...


class Ended(Protocol):
    """An order that the fold itself has ended."""

    @property
    def order(self) -> int: ...
    @property
    def reason(self) -> str: ...


class Morning(Protocol):
    """What a Book says before a bar."""

    @property
    def wanted(self) -> tuple[Any, ...]: ...
    @property
    def ended(self) -> tuple[Any, ...]: ...


class Evening(Protocol):
    """What a Book says after a bar."""

    @property
    def decided(self) -> tuple[Any, ...]: ...
    @property
    def ended(self) -> tuple[Any, ...]: ...
    @property
    def equity(self) -> int: ...
    @property
    def cash(self) -> int: ...


class Book(Protocol):
    """The fold's own steps over one sleeve; see `quantkit.live.book`."""

    symbols: tuple[str, ...]
    plan: Record
    intraday: bool

    @property
    def state(self) -> State: ...
    def morning(self, row: Inputs, events: Records) -> Morning: ...
    def fill(
        self, *, order: int, symbol: int, side: int, quantity: int, price: float, value: int, commission: int, tax: int,
        rule: int | None, slippage: int = 0, from_proceeds: int = 0, ambiguous: int = 0,
    ) -> None: ...  # fmt: skip
    def drop(self, order: int, reason: str) -> None: ...
    def watch(self, symbol: int, price: float, row: Inputs) -> tuple[Any, ...] | None: ...
    def evening(self, row: Inputs, *, signals: tuple[Any, ...] = ()) -> Evening: ...
    def available(self) -> int: ...
    def to_bytes(self) -> bytes: ...


_RULES = {
    "stop_loss": RULE_STOP, "trailing_stop": RULE_TRAIL, "take_profit": RULE_TAKE,
    "open": RULE_OPEN, "at_open": RULE_OPEN, "close": RULE_CLOSE, "at_close": RULE_CLOSE,
    "same_close": RULE_SAME_CLOSE, "vwap": RULE_VWAP, "limit": RULE_LIMIT, "conditional": RULE_CONDITIONAL,
    "stop": RULE_HELD, "stop_limit": RULE_HELD, "trailing": RULE_HELD,
}  # fmt: skip


@dataclass(slots=True, kw_only=True)
class Sleeve:
    """One deployment's part of an account.

    capital   what it may have been given in all          granted  what it has been given
    markets   market of each column of the book      limits   numbers of its gates
    load      reads a book from the bytes it wrote   venue    where its orders go
    row       of the coming bar, as the morning had it        day  epoch day of the session it was opened for
    bar       close of the last bar that was folded  step     length of a bar, 0 while unknown
    opened    the coming bar's morning has been      wanted   the fold's orders by id, as they should stand
    ids       live intents of each order of the fold
    """

    name: str
    book: Book
    capital: int
    load: Callable[[bytes], Book]
    markets: tuple[str, ...] = ()
    limits: GateLimits = field(default_factory=GateLimits)
    venue: str = "KRX"
    costs: Any = None
    adv: dict[str, float] = field(default_factory=dict)
    raw: bool = True
    unit: int = 1

    granted: int = 0
    row: Inputs | None = None
    day: int | None = None
    bar: int = 0
    step: int = 0
    opened: bool = False
    instruments: dict[str, InstrumentDay] = field(default_factory=dict)
    wanted: dict[int, tuple[int, float | None]] = field(default_factory=dict)
    ids: dict[int, list[str]] = field(default_factory=dict)
    day_start: int | None = None
    losses: int = 0
    realized: dict[int, int] = field(default_factory=dict)
    columns: dict[str, int] = field(default_factory=dict)
    plan: Any = None  # of the book, in plain numbers

    def __post_init__(self) -> None:
        self.plan = numbers_of(self.book.plan)
        self.granted = self.capital
        self.columns = {symbol: place for place, symbol in enumerate(self.book.symbols)}
        if not self.markets:
            self.markets = ("KOSPI",) * len(self.book.symbols)

    def shares(self, symbol: str) -> int:
        """Shares of a name that are there."""
        place = self.columns.get(symbol)
        return 0 if place is None else int(self.book.state.names["shares"].item(place))

    def positions(self) -> dict[str, int]:
        """Shares by symbol, those that are held alone."""
        shares = self.book.state.names["shares"]
        return {self.book.symbols[place]: int(shares[place]) for place in shares.nonzero()[0].tolist()}

    def cash(self) -> int:
        """All money, settled or on its way, minor units."""
        return sum(self.cash_parts())

    def cash_by_day(self) -> tuple[int, int, int]:
        """Money there will be today, after the next settlement and after the one that follows, minor units."""
        today, next_1, next_2 = self.cash_parts()
        return today, today + next_1, today + next_1 + next_2

    def cash_parts(self) -> tuple[int, int, int]:
        """Settled money, and what the next two settlements bring, minor units."""
        account = self.book.state.account
        return int(account[SETTLED]), int(account[NEXT_1]), int(account[NEXT_2])

    def equity(self) -> int:
        """At the last mark, minor units."""
        return int(self.book.state.account[EQUITY])

    def peak(self) -> int:
        """The highest equity at a mark, minor units."""
        return int(self.book.state.account[PEAK_EQUITY])

    def last_close(self, symbol: str) -> float:
        """Close of the last bar folded; NaN before the first."""
        return float(self.book.state.names["last_close"][self.columns[symbol]])

    def market(self, symbol: str) -> str:
        """Market of a name."""
        return self.markets[self.columns[symbol]]

    def digest(self) -> str:
        """Of the account and the names after a bar: two runs that agree here agree in every figure."""
        state = self.book.state
        return hashlib.blake2b(state.account.tobytes() + state.names.tobytes(), digest_size=12).hexdigest()

    def take_book(self, data: bytes) -> None:
        """Put the book that was written in the place of the new one."""
        self.book = self.load(data)

    def wants(self, wanted: Wanted) -> float | None:
        """Note how an order of the fold should stand from now on; its limit, None where it has none."""
        limit = None if math.isnan(wanted.limit) else float(wanted.limit)
        self.wanted[wanted.order] = (int(wanted.quantity), limit)
        return limit

    # --- what fills change -------------------------------------------------------------------------------------------

    def book_fill(
        self, order: Order, *, quantity: int, price: float, value: int, commission: int, tax: int,
        simulated: dict[str, int] | None = None,
    ) -> None:  # fmt: skip
        """Book a fill of one of its orders, or a correction: then figures may be 0 or below.

        simulated: what a simulator knows besides: the fold's rule, slippage, from_proceeds, ambiguous.
        """
        place, sign = self.columns[order.intent.symbol], order.intent.side.sign
        if quantity == 0:
            self.book_cash(-sign * value - commission - tax)
            return
        if quantity < 0:  # shares that were booked and never came: the other way round
            sign, quantity, value = -sign, -quantity, -value
        self._count_trade(place, sign, quantity, value, commission + tax)
        self.book.fill(
            order=order.intent.fold_order, symbol=place, side=sign, quantity=quantity, price=price, value=value,
            commission=commission, tax=tax, **({"rule": self._rule(order)} if simulated is None else simulated),
        )  # fmt: skip

    def _rule(self, order: Order) -> int | None:
        """None where the book itself knows what a fill of this order is booked as."""
        state, intent = self.book.state, order.intent
        table = state.orders[: int(state.account[N_ORDERS])]
        known = bool(((table["id"] == intent.fold_order) & (table["stage"] != STAGE_OVER)).any())
        return None if known and intent.rule not in _RULES else rule_of(order)

    def book_cash(self, amount: int) -> None:
        """Money that came or went beside a fill: it settles as the fill does."""
        self.book.state.account[NEXT_2] += amount

    def deposit(self, amount: int) -> None:
        """Money that a person gave or took, as the fold books a deposit: no profit, no loss."""
        account = self.book.state.account
        for place in (SETTLED, DAY_START, PEAK_EQUITY):
            account[place] += amount
        if self.day_start is not None:
            self.day_start += amount

    def _count_trade(self, place: int, sign: int, quantity: int, value: int, costs: int) -> None:
        """Follow what trades won or lost, for the gate that counts losses in a row."""
        name = self.book.state.names[place]
        held = int(name["shares"])
        won = self.realized.get(place, 0) - costs
        if held * sign < 0:
            entry = float(name["entry_value"]) / max(float(name["entry_qty"]), 1.0)
            won += int((value - entry * quantity) * -sign)
        if held + sign * quantity == 0:
            self.realized.pop(place, None)
            self.losses = self.losses + 1 if won < 0 else 0
        else:
            self.realized[place] = won


def rule_of(order: Order) -> int:
    """The fold's word for what made a fill of this order."""
    intent = order.intent
    return _RULES.get(intent.rule, _RULES.get(intent.kind, RULE_OPEN))


def costs_of(sleeve: Sleeve, order: Order, value: int, date: dt.date) -> tuple[int, int]:
    """(commission, tax) of a further fill of `value` minor units, as the plan of the sleeve has it."""
    plan, market = sleeve.plan, MARKET_ID[sleeve.market(order.intent.symbol)]
    if plan.per_order_day:
        commission = int(commission_of(plan, market, order.value + value)) - order.commission
    else:
        commission = int(commission_of(plan, market, value))
    if order.intent.side.sign > 0:
        return commission, 0
    return commission, int(tax_of(plan, _tax_rate(date, market), value))


def costs_on(sleeve: Sleeve, market: str, side: Side, value: int, date: dt.date) -> tuple[int, int]:
    """(commission, tax) of a whole order of others, as the plan of a sleeve has it."""
    plan, place = sleeve.plan, MARKET_ID[market]
    tax = int(tax_of(plan, _tax_rate(date, place), value)) if side.sign < 0 else 0
    return int(commission_of(plan, place, value)), tax


_TAX: dict[tuple[dt.date, int], float] = {}


def _tax_rate(date: dt.date, market: int) -> float:
    found = _TAX.get((date, market))
    if found is None:
        days = epoch_days(date).reshape(1)
        tables = rule_tables(days)
        found = _TAX[date, market] = float(tables.tax_rate[tables.row[0], market])
    return found
