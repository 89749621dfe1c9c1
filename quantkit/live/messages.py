"""Inputs of the engine, which anybody may send, and its effects, which the runner carries out.

Contract: plain values, made from outside facts only; an input holds everything `engine.reduce` needs to know, so a
recorded list of inputs replays a day. Times are UTC nanoseconds.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np
    from numpy.typing import NDArray

    from quantkit.core.bench import Outcome, Panel
    from quantkit.core.state import Inputs, Records
    from quantkit.live.wanted import Wanted
    from quantkit.trading.approval import Approved
    from quantkit.trading.orders import Side
    from quantkit.trading.ports import BrokerOrder, Cash, InstrumentDay, Notice, Position, Quote, Tick


# --- inputs -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class SessionOpens:
    """The morning of a session: what is known of each name, and the fold's events of the day (actions, deposits)."""

    time: int
    deployment: str
    day: int  # epoch day
    instruments: tuple[InstrumentDay, ...]
    row: Inputs  # one row, of which only base, flags and dates count yet
    events: Records


@dataclass(frozen=True, slots=True)
class BarClosed:
    """A bar of every name of a deployment, with what the strategy makes of it (`row.targets`, ranks, scales).

    complete: False where the feed had holes; the names concerned are then not valid in `row`. backfill: it was read
    later than it closed; what it decides lives only if its window does.
    """

    time: int  # when it was handed over
    deployment: str
    close: int  # end of the bar
    row: Inputs
    events: Records
    signals: tuple[Any, ...] = ()  # addresses or arrays of an on_bar rule's columns
    complete: bool = True
    backfill: bool = False
    alone: bool = False  # the next bar's morning is not to follow at once: another input will say when (`BarsAhead`)


@dataclass(frozen=True, slots=True)
class MarketData:
    """A batch of ticks and quotes, in the order they came."""

    time: int
    items: tuple[Tick | Quote, ...]


@dataclass(frozen=True, slots=True)
class Answered:
    """What became of a request of ours: `outcome` is "accepted", "refused", "not_sent" or "unknown"."""

    time: int
    request: str  # "submit", "cancel", "modify"
    order: str  # Intent.id
    outcome: str
    number: str | None = None
    code: str = ""
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Noticed:
    """Something the order stream said."""

    time: int
    notice: Notice


@dataclass(frozen=True, slots=True)
class Looked:
    """The answer of one look at the broker; what was not asked for, or failed, is None."""

    time: int
    look: int  # number of the look it answers
    asked: int  # when it was asked for: what it shows is at least that old
    orders: tuple[BrokerOrder, ...] | None = None
    positions: tuple[Position, ...] | None = None
    cash: Cash | None = None
    orderable: dict[str, int] = field(default_factory=dict)  # by order id: cash that could be bound
    sellable: dict[str, int] = field(default_factory=dict)  # by order id
    failed: str = ""


@dataclass(frozen=True, slots=True)
class TimerFired:
    """A moment the engine asked for has come."""

    time: int
    name: str


@dataclass(frozen=True, slots=True)
class Command:
    """What a person (or another program) asks for: "halt", "resume", "flatten", "panic", "adopt", "order", "cancel",
    "stop". `id` is the caller's; one that was seen before does nothing."""

    time: int
    id: str
    name: str
    by: str
    reason: str = ""
    arguments: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ConnectionChanged:
    """A connection came or went: "orders" (the order stream), "prices", "broker" (requests)."""

    time: int
    what: str
    up: bool
    generation: int = 0
    detail: str = ""


# --- inputs of a replay, whose bars and fills are there already -----------------------------------------------------


@dataclass(frozen=True, slots=True)
class BarsAhead:
    """Rows that follow: to be folded in one go for as long as nobody could fill an order on them, and then the morning
    of the first that is left, where it is of the session that is open; its orders go at once.

    quick: False folds none, so that every bar is gone through part by part. path: of the bar before, when that has had
    no evening yet; `PathSeen` and `BarClosed` in one. session: what the morning of a row's session says, for the last
    one that begins on the way. trading: when orders of a row may go. shortest: the shortest distance between two ends.
    """

    time: int
    deployment: str
    panel: Panel
    start: int
    ends: NDArray[np.int64]  # (T,) of the rows, UTC nanoseconds
    session: Callable[[int], SessionOpens]
    trading: Callable[[int], int]
    shortest: int
    quick: bool = True
    path: Outcome | None = None


@dataclass(frozen=True, slots=True)
class Acted:
    """Orders and stops that we hold ourselves were met on a bar's path, says a broker that has seen all of it:
    `wanted` are `live.wanted.Wanted`, `prices` what each was met at, `held` the shares there were by then."""

    time: int
    deployment: str
    wanted: tuple[Wanted, ...]
    prices: tuple[float, ...]
    held: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class PathSeen:
    """What a bar's path was, after its fills were booked. again: its close, with `fill="close"`."""

    time: int
    deployment: str
    outcome: Outcome
    again: bool = False


Input = (
    SessionOpens | BarClosed | MarketData | Answered | Noticed | Looked | TimerFired | Command | ConnectionChanged
    | BarsAhead | Acted | PathSeen
)  # fmt: skip


# --- effects ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Submit:
    """Send it, once, and answer with `Answered`."""

    approved: Approved


@dataclass(frozen=True, slots=True)
class CancelOrder:
    """Ask the broker to cancel what is left."""

    order: str
    number: str
    symbol: str
    quantity: int


@dataclass(frozen=True, slots=True)
class ModifyOrder:
    """Ask the broker to replace what is left."""

    order: str
    number: str
    symbol: str
    quantity: int
    price: float | None


@dataclass(frozen=True, slots=True)
class Look:
    """Look at the broker and answer with `Looked`. witnesses: (order id, side, symbol, price) to ask about."""

    look: int
    orders: bool = True
    positions: bool = False
    cash: bool = False
    witnesses: tuple[tuple[str, Side, str, float | None], ...] = ()


@dataclass(frozen=True, slots=True)
class Wake:
    """Send `TimerFired(name)` at that time; a later Wake of the same name replaces it."""

    name: str
    at: int


@dataclass(frozen=True, slots=True)
class Backfill:
    """Read what the feed missed, (since, until], and hand it over as bars marked backfill."""

    symbols: tuple[str, ...]
    since: int
    until: int


Effect = Submit | CancelOrder | ModifyOrder | Look | Wake | Backfill
"""Alerts are not effects: whoever sends them reads the journal, so that none tells of what was never written."""
