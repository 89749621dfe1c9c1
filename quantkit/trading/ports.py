"""The two ports of live trading: a Broker, who takes orders, and a Feed, which tells prices.

They ask for no more than 한국투자증권, 키움증권 (REST and OpenAPI+) and LS증권 can honestly give: no order id of ours,
cumulative quantities in a list of the day, chains of the broker's order numbers, fills heard on a stream that the list
confirms later. `Capabilities` says what one of them has besides.

Errors of a broker's calls, and nothing else: `Refused` (it said no: nothing stands), `RetryLater` (nothing left this
machine, or an idempotent read failed), `OutcomeUnknown` (an order may stand: ask, never resend).
A read that is not complete (a page missing, an old generation) raises `RetryLater`: a failed look is not a look.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple, Protocol, runtime_checkable

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping, Sequence

    from quantkit.trading.approval import Approved
    from quantkit.trading.orders import OrderType, Side


@dataclass(frozen=True, slots=True, kw_only=True)
class Capabilities:
    """What a broker has. Where one lacks something the engine takes the longer way."""

    name: str
    execution_numbers: bool = False  # stream fills carry a number of their own
    cumulative_notices: bool = False  # stream fills carry the cumulative or the leaves quantity
    caller_tag: bool = False  # an order carries something of ours back (OpenAPI+: the screen number)
    modify: bool = True
    witnesses: bool = True  # orderable cash and sellable shares can be asked for
    cuts: bool = False  # it takes every order, and cuts what there is nothing for when it fills (a replay's)
    venues: tuple[str, ...] = ("KRX",)
    list_lag: float = 90.0  # seconds that the order list may lag behind the exchange
    orders_per_second: float = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Ticket:
    """The broker's word that an order, a cancel or a replacement was taken: its number, and when."""

    number: str
    time: int


@dataclass(frozen=True, slots=True, kw_only=True)
class BrokerOrder:
    """One line of the broker's list of today's orders. Quantities and amounts are cumulative."""

    number: str
    symbol: str
    side: Side
    quantity: int
    filled: int
    value: int  # of all its fills, minor units
    leaves: int
    type: OrderType
    time: int  # when the broker took it
    original: str | None = None  # the number it cancels or replaces
    price: float | None = None
    status: str = "open"  # "open", "filled", "canceled", "rejected", "expired"
    reason: str = ""
    commission: int | None = None  # where the broker says so today
    tax: int | None = None
    tag: str | None = None  # where `Capabilities.caller_tag`


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """What the broker's stream says about an order of the account."""

    number: str
    kind: str  # "accepted", "rejected", "filled", "canceled", "replaced", "expired"
    symbol: str
    side: Side
    quantity: int  # of this notice
    time: int
    original: str | None = None
    price: float | None = None
    execution: str | None = None  # where `Capabilities.execution_numbers`
    cumulative: int | None = None  # where `Capabilities.cumulative_notices`
    reason: str = ""
    commission: int | None = None
    tax: int | None = None
    generation: int = 0  # of the connection it came over
    simulated: dict[str, int] | None = None  # what else a simulator knows of a fill: value, rule, slippage, ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Position:
    """Shares of one name at the broker. `sellable` leaves out what open sales bind."""

    symbol: str
    quantity: int
    sellable: int
    average: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Cash:
    """Money at the broker, minor units: what there is today, and what there will be after the next settlement and the
    one that follows, trades of today included. `orderable` is what buys may bind now."""

    today: int
    next_1: int
    next_2: int
    orderable: int


@runtime_checkable
class Broker(Protocol):
    """Who takes orders for one account."""

    capabilities: Capabilities

    async def connect(self) -> None:
        """Open the order stream and be ready. Refused for wrong keys, RetryLater where nobody answers."""

    async def close(self) -> None:
        """Leave; open orders stay."""

    async def submit(self, order: Approved) -> Ticket:
        """Send one approved order, once. Refused, RetryLater (nothing left) or OutcomeUnknown."""

    async def cancel(self, number: str, symbol: str, quantity: int) -> Ticket:
        """Ask to cancel what is left of an order; may be repeated. Refused where nothing is left."""

    async def modify(self, number: str, symbol: str, quantity: int, price: float | None) -> Ticket:
        """Ask to replace what is left of an order; the ticket's number is the new one."""

    async def orders(self) -> Sequence[BrokerOrder]:
        """All orders of the account today, ended ones too, every page."""

    async def positions(self) -> Sequence[Position]:
        """All shares of the account, every page."""

    async def cash(self) -> Cash:
        """Money of the account."""

    async def orderable_cash(self, symbol: str, price: float | None) -> int:
        """Money that a buy of this name could bind now, reservations of open orders taken off."""

    async def sellable(self, symbol: str) -> int:
        """Shares of a name that could be ordered away now, those of open sales taken off."""

    def notices(self) -> AsyncIterator[Notice]:
        """The order stream, from `connect` on; it ends when the connection does (`RetryLater` where it broke)."""


@runtime_checkable
class LogsWire(Protocol):
    """A broker with a wire whose messages the journal keeps."""

    def log_to(self, keep: Callable[[str, str, int], None]) -> None:
        """From now on: keep(direction "out" or "in", text without secrets, UTC nanoseconds)."""


@dataclass(frozen=True, slots=True)
class Tick:
    """One trade. `time` is the exchange's, UTC nanoseconds; `volume` shares of this trade."""

    symbol: str
    time: int
    price: float
    volume: int
    generation: int = 0
    auction: bool = False  # the single print of a call auction


@dataclass(frozen=True, slots=True)
class Quote:
    """Best prices and quantities, or more levels, nearest first."""

    symbol: str
    time: int
    bids: tuple[tuple[float, int], ...]
    asks: tuple[tuple[float, int], ...]
    generation: int = 0
    expected: float | None = None  # the print that a running auction would make


@dataclass(frozen=True, slots=True)
class Candle:
    """One finished bar as somebody else counts it. `close_time` is its end; `value` won traded, where known."""

    symbol: str
    close_time: int
    open: float
    high: float
    low: float
    close: float
    volume: int
    value: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class InstrumentDay:
    """What is known of a name before its session: base price, status, the ratio of an action."""

    symbol: str
    base: float
    previous_close: float
    halted: bool = False
    managed: bool = False
    liquidation: bool = False
    single_price: bool = False
    first_day: bool = False  # of its listing: other price limits
    leverage: float = 1.0  # a fund's multiple, which widens its price limits


class Lost(NamedTuple):
    """Trades that a feed knows it has not told. symbols None: of any name. since, until: UTC nanoseconds."""

    symbols: tuple[str, ...] | None
    since: int
    until: int


@runtime_checkable
class Beating(Protocol):
    """A feed whose connection gives signs of life besides prices, such as PINGPONG frames, or whose prices do not all
    come over it, such as snapshots."""

    def heard(self) -> int:
        """When anything last came over the connection, prices included, UTC nanoseconds; 0: nothing yet."""

    def lost(self) -> Sequence[Lost]:
        """What was missed since this was last asked, although the connection stands."""

    def counts(self) -> Mapping[str, int]:
        """What came so far, and what was wrong with it, by a word each: frames, dials, what could not be read."""


@runtime_checkable
class Feed(Protocol):
    """Where prices come from."""

    async def connect(self) -> None:
        """Open the stream."""

    async def close(self) -> None:
        """Leave."""

    async def subscribe(self, symbols: Sequence[str]) -> None:
        """Ask for these names, all that is wanted. ConfigError where that is more than it can serve."""

    def stream(self) -> AsyncIterator[Tick | Quote]:
        """Ticks and quotes as they come; ends (`RetryLater`) when the connection does."""

    async def candles(self, symbol: str, freq: str, since: int, until: int) -> Sequence[Candle]:
        """Finished bars of one name, "1m" or "1d", (since, until] by their end. For gaps and for the day's close."""

    async def day(self, symbols: Sequence[str]) -> Sequence[InstrumentDay]:
        """What is known of today's session before it opens."""
