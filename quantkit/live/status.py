"""How an account stands right now, as plain values: for the terminal, and for whoever else shows it.

Contract: reads an engine and changes nothing; money is minor units, times are UTC nanoseconds. What somebody else
knows (the age of bars, whether prices come) is handed in.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from quantkit.live.windows import phase_at

if TYPE_CHECKING:
    from quantkit.live.sleeves import Sleeve
    from quantkit.live.turn import Engine


@dataclass(frozen=True, slots=True)
class PositionLine:
    """One name that is held. `price` is the last one heard, or the last close."""

    deployment: str
    symbol: str
    shares: int
    entry: float
    price: float
    value: int
    profit: int


@dataclass(frozen=True, slots=True)
class OrderLine:
    """One order that is not over. age: nanoseconds since it was sent, or None while it waits."""

    id: str
    symbol: str
    side: str
    quantity: int
    filled: int
    price: float | None
    status: str
    age: int | None
    unresolved: bool
    window: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    """An account at `time`. day_start: equity the session began with, None before; connections: what -> up; feed: what
    came over the prices' connection and what was wrong with it, counted."""

    account: str
    time: int
    phase: str
    link: str
    modes: dict[str, str]
    equity: int
    cash: int
    day_start: int | None
    positions: tuple[PositionLine, ...]
    orders: tuple[OrderLine, ...]
    bar_ages: dict[str, int | None]
    connections: dict[str, bool] = field(default_factory=dict)
    alarms: tuple[str, ...] = ()
    feed: dict[str, int] = field(default_factory=dict)

    @property
    def profit(self) -> int | None:
        """Won since the session began, minor units; None before it did."""
        return None if self.day_start is None else self.equity - self.day_start

    def to_dict(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self) | {"profit": self.profit}


def status_of(
    engine: Engine, time: int, *, connections: dict[str, bool] | None = None, feed: dict[str, int] | None = None,
    market: str = "KOSPI",
) -> Status:  # fmt: skip
    """The account of an engine at a time."""
    up = {"orders": "orders" in engine.now.up, "prices": "prices" in engine.now.up}
    starts = [sleeve.day_start for sleeve in engine.sleeves.values()]
    positions = [line for sleeve in engine.sleeves.values() for line in _positions(engine, sleeve)]
    held = {name: _worth(engine, sleeve) for name, sleeve in engine.sleeves.items()}
    return Status(
        account=engine.account,
        time=time,
        phase=phase_at(time, market=market) or "closed",
        link=engine.now.phase,
        modes={name: engine.switches.modes(account=engine.account, deployment=name).strictest.value
               for name in engine.sleeves},
        equity=sum(held.values()) + engine.unassigned_cash,
        cash=engine.cash(),
        day_start=None if any(start is None for start in starts) or not starts
        else sum(start or 0 for start in starts) + engine.unassigned_cash,
        positions=tuple(positions),
        orders=tuple(_orders(engine, time)),
        bar_ages={name: time - sleeve.bar if sleeve.bar else None for name, sleeve in engine.sleeves.items()},
        connections=up | (connections or {}),
        alarms=tuple(sorted(engine.alarms)),
        feed=feed or {},
    )  # fmt: skip


def _price(engine: Engine, sleeve: Sleeve, symbol: str) -> float:
    heard = engine.now.prices.get(symbol)
    return sleeve.last_close(symbol) if heard is None else heard[0]


def _worth(engine: Engine, sleeve: Sleeve) -> int:
    """Cash and holdings of a sleeve at the prices heard last."""
    held = sum(
        round(shares * _price(engine, sleeve, symbol) * sleeve.unit) for symbol, shares in sleeve.positions().items()
    )
    return sleeve.cash() + held


def _positions(engine: Engine, sleeve: Sleeve) -> list[PositionLine]:
    lines = []
    for symbol, shares in sorted(sleeve.positions().items()):
        name = sleeve.book.state.names[sleeve.columns[symbol]]
        entry = float(name["entry_value"]) / sleeve.unit / max(float(name["entry_qty"]), 1e-9)
        price = _price(engine, sleeve, symbol)
        profit = round((price - entry) * shares * sleeve.unit)
        value = round(shares * price * sleeve.unit)
        lines.append(PositionLine(sleeve.name, symbol, shares, entry, price, value, profit))
    return lines


def _orders(engine: Engine, time: int) -> list[OrderLine]:
    lines = []
    for order_id in (*engine.working, *engine.waiting):
        order = engine.orders[order_id]
        age = None if order.submitted is None else time - order.submitted
        lines.append(
            OrderLine(
                order.id,
                order.intent.symbol,
                order.intent.side.value,
                order.quantity,
                order.filled,
                order.price,
                order.status.value,
                age,
                order.unresolved_since is not None,
                order.intent.window.phase,
            )
        )
    return lines
