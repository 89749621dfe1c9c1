"""An account under the engine, driven input by input: `Account` feeds a real engine, keeps its journal, and answers
nothing by itself. `Scripted` is a book whose decisions the test writes; its money and shares are the fold's own."""

from __future__ import annotations

import datetime as dt
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from quantkit.core.account import apply
from quantkit.core.fold import dates_of, plan_of
from quantkit.core.policy import Policy
from quantkit.core.state import EQUITY, RULE_OPEN, Inputs, from_bytes, new_state, no_events, to_bytes
from quantkit.jit import njit_entry
from quantkit.live.engine import Engine, Settings, reduce
from quantkit.live.journal.memory import MemoryJournal
from quantkit.live.messages import (
    Answered,
    BarClosed,
    CancelOrder,
    Command,
    ConnectionChanged,
    Effect,
    Input,
    Look,
    Looked,
    MarketData,
    ModifyOrder,
    Noticed,
    SessionOpens,
    Submit,
    TimerFired,
)
from quantkit.live.recovery import recover
from quantkit.live.risk import GateLimits
from quantkit.live.sleeves import Sleeve
from quantkit.market.costs import Costs
from quantkit.market.days import epoch_days
from quantkit.trading.events import Entry, Kind
from quantkit.trading.orders import Order, OrderType, Side, Status
from quantkit.trading.ports import BrokerOrder, Capabilities, Cash, InstrumentDay, Notice, Position, Tick

S = 1_000_000_000
SEOUL = dt.timezone(dt.timedelta(hours=9))
NAMES = ("005930", "000660")
CASH = 100_000_000
FRIDAY, MONDAY = dt.date(2026, 9, 18), dt.date(2026, 9, 21)


def at(clock: str, day: dt.date = MONDAY) -> int:
    """UTC nanoseconds of a Seoul time of day."""
    hour, minute, second = (*map(int, clock.split(":")), 0)[:3]
    return int(dt.datetime(day.year, day.month, day.day, hour, minute, second, tzinfo=SEOUL).timestamp()) * S


@njit_entry
def booked(
    state: Any, s: int, side: int, quantity: int, price: float, value: int, commission: int, tax: int, rule: int
) -> None:
    """One fill into a state, by the fold's own step."""
    apply(state, s, side, quantity, price, value, commission, tax, rule)


class Want(NamedTuple):
    """What the fold wants, as a test writes it."""

    order: int
    symbol: int = 0
    side: int = 1
    quantity: int = 10
    limit: float = 70_000.0
    kind: str = "open"
    tif: str = "day"
    rule: str = "target"
    tag: int = 0


class Over(NamedTuple):
    order: int
    reason: str = "EXPIRED"
    filled: int = 0


class Said(NamedTuple):
    wanted: tuple[Want, ...] = ()
    ended: tuple[Over, ...] = ()
    decided: tuple[Want, ...] = ()
    equity: int = CASH
    cash: int = CASH


class Scripted:
    """A book that says what the test wrote: `mornings`, `evenings` and `watches`, each used once, in order."""

    def __init__(self, *, intraday: bool = False, cash: int = CASH, costs: Costs | None = None) -> None:
        self.symbols, self.intraday = NAMES, intraday
        self.state = new_state(len(NAMES), cash=cash)
        self.state.names["last_close"] = 70_000.0
        self.plan = plan_of(Policy(), Costs.free() if costs is None else costs)
        self.mornings: list[list[Any]] = []
        self.evenings: list[list[Any]] = []
        self.watches: list[list[Any]] = []
        self.dropped: list[list[Any]] = []
        self.filled: list[list[Any]] = []

    def says(
        self, *, morning: Sequence[Want | Over] = (), evening: Sequence[Want] = (), ended: Sequence[Over] = ()
    ) -> None:
        """What the next morning wants and ends, what the next evening decides and ends."""
        if morning:
            self.mornings.append([list(each) for each in morning])
        if evening or ended:
            self.evenings.append([[list(each) for each in evening], [list(each) for each in ended]])

    def morning(self, row: Inputs, events: Any) -> Said:
        said = self.mornings.pop(0) if self.mornings else ()
        return Said(wanted=tuple(Want(*each) for each in said if len(each) > 3),
                    ended=tuple(Over(*each) for each in said if len(each) == 3))  # fmt: skip

    def evening(self, row: Inputs, *, signals: tuple[Any, ...] = ()) -> Said:
        decided, ended = self.evenings.pop(0) if self.evenings else ((), ())
        return Said(decided=tuple(Want(*each) for each in decided), ended=tuple(Over(*each) for each in ended))

    def fill(
        self, *, order: int, symbol: int, side: int, quantity: int, price: float, value: int, commission: int,
        tax: int, rule: int | None,
    ) -> None:  # fmt: skip
        self.filled.append([order, side * quantity, value, commission, tax])
        of = RULE_OPEN if rule is None else rule
        booked(self.state, symbol, side, quantity, float(price), value, commission, tax, of)

    def drop(self, order: int, reason: str) -> None:
        self.dropped.append([order, reason])

    def watch(self, symbol: int, price: float, row: Inputs) -> tuple[Want, ...] | None:
        name = self.state.names[symbol]
        if not name["shares"]:
            return None
        if self.watches and price <= self.watches[0][0]:
            return tuple(Want(*each) for each in self.watches.pop(0)[1])
        if price > name["peak"]:
            name["peak"] = price
            return ()
        return None

    def available(self) -> int:
        return int(self.state.account[EQUITY])

    def to_bytes(self) -> bytes:
        script = [self.mornings, self.evenings, self.watches, self.dropped, self.filled, self.intraday]
        head = json.dumps(script).encode()
        return len(head).to_bytes(8, "little") + head + to_bytes(self.state, self.symbols)

    @classmethod
    def read(cls, data: bytes) -> Scripted:
        size = int.from_bytes(data[:8], "little")
        book = cls()
        book.mornings, book.evenings, book.watches, book.dropped, book.filled, book.intraday = json.loads(
            data[8 : 8 + size]
        )
        book.state, _ = from_bytes(data[8 + size :])
        return book


def row_of(day: dt.date, close: float = 70_000.0) -> Inputs:
    """One bar of both names at one price."""
    prices, none = np.full((1, len(NAMES)), close), np.zeros((0, 0))
    flags = np.full((1, len(NAMES)), 255, np.uint8)
    return Inputs(prices, prices, prices, prices, prices, flags, np.zeros((1, len(NAMES))), none, none, none, none,
                  none, dates_of(np.array([int(epoch_days(day))])))  # fmt: skip


@dataclass
class Account:
    """One account, its journal, and what the engine wants done. `lawful`: after every input, recovery is checked."""

    book: Scripted = field(default_factory=Scripted)
    settings: Settings = field(default_factory=Settings)
    lawful: bool = True
    limits: GateLimits = field(default_factory=lambda: GateLimits(stale_ms=10**9))
    deployment: str = "sma"
    markets: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        self.journal = MemoryJournal("acc")
        self.engine = Engine("acc", [self.sleeve(self.book)], settings=self.settings)
        self.effects: list[Effect] = []
        self.entries: list[Entry] = []
        self.time = at("08:00")
        self.looks: list[Look] = []

    def sleeve(self, book: Scripted) -> Sleeve:
        return Sleeve(name=self.deployment, book=book, capital=CASH, load=Scripted.read, limits=self.limits,
                      markets=self.markets)  # fmt: skip

    # --- inputs ---

    def feed(self, given: Input) -> list[Entry]:
        """One input through the engine and into the journal."""
        assert given.time >= self.time, "inputs come in order of their times"
        self.time = given.time
        self.engine, entries, effects = reduce(self.engine, given)
        submitting = {entry.order for entry in entries if entry.kind is Kind.ORDER_SUBMITTING}
        sent = [effect.approved.order.id for effect in effects if isinstance(effect, Submit)]
        assert set(sent) <= submitting
        assert len(sent) == len(set(sent))
        if entries or self.engine.due:
            self.journal.append(entries, snapshot=self.engine.snapshot() if self.engine.due else None)
        self.entries += entries
        self.effects += effects
        self.looks += [effect for effect in effects if isinstance(effect, Look)]
        if self.lawful:
            assert self.recovered().snapshot() == self.engine.snapshot()
        self.book = self.engine.sleeves[self.deployment].book  # type: ignore[assignment]
        return entries

    def recovered(self) -> Engine:
        """What a restart would find."""
        fresh = Scripted(intraday=self.book.intraday)
        return recover(self.journal, [self.sleeve(fresh)], settings=self.settings)

    def restart(self) -> None:
        """Kill the process and start it again."""
        self.journal = self.journal.reopen()
        self.engine = self.recovered()
        self.looks = []
        self.book = self.engine.sleeves[self.deployment].book  # type: ignore[assignment]

    def connect(self, time: int | None = None, *, generation: int = 1) -> None:
        self.feed(ConnectionChanged(self.time if time is None else time, "orders", True, generation))

    def disconnect(self, time: int | None = None) -> None:
        self.feed(ConnectionChanged(self.time if time is None else time, "orders", False, 0, "reset"))

    def look(
        self, *lines: BrokerOrder, time: int | None = None, shares: dict[str, int] | None = None,
        cash: int | None = None, orderable: dict[str, int] | None = None, sellable: dict[str, int] | None = None,
        failed: str = "", asked: int | None = None, spare: int | None = None,
    ) -> list[Entry]:  # fmt: skip
        """Answer the oldest open look; by default shares and cash are as the engine has them."""
        ask = self.looks.pop(0)
        self.time = self.time if time is None else time
        held = {name: self.engine.shares(name) for name in NAMES} if shares is None else shares
        money = self.engine.cash() if cash is None else cash
        return self.feed(Looked(
            self.time, ask.look, self.time if asked is None else asked, orders=None if failed else tuple(lines),
            positions=tuple(Position(symbol=name, quantity=count, sellable=count) for name, count in held.items()
                            if count) if ask.positions and not failed else None,
            cash=Cash(today=money, next_1=money, next_2=money, orderable=money if spare is None else spare)
            if ask.cash and not failed else None,
            orderable=orderable or {}, sellable=sellable or {}, failed=failed,
        ))  # fmt: skip

    def ready(self, *lines: BrokerOrder) -> None:
        """Connect and agree with the broker."""
        self.connect()
        self.look(*lines)
        assert self.engine.now.phase == "ready"

    def opens(self, time: int, *, halted: Sequence[str] = (), base: float = 70_000.0, previous: float = 70_000.0,
              day: dt.date = MONDAY) -> list[Entry]:  # fmt: skip
        days = tuple(InstrumentDay(symbol=name, base=base, previous_close=previous, halted=name in halted)
                     for name in NAMES)  # fmt: skip
        return self.feed(SessionOpens(time, self.deployment, int(epoch_days(day)), days, row_of(day), no_events()))

    def closes(self, time: int, close: int | None = None, *, day: dt.date = MONDAY, backfill: bool = False,
               price: float = 70_000.0) -> list[Entry]:  # fmt: skip
        return self.feed(
            BarClosed(time, self.deployment, time if close is None else close, row_of(day, price), no_events(),
                      backfill=backfill)
        )  # fmt: skip

    def answer(self, order: str, outcome: str = "accepted", *, number: str | None = None, time: int | None = None,
               request: str = "submit", code: str = "") -> list[Entry]:  # fmt: skip
        return self.feed(Answered(self.time if time is None else time, request, order, outcome, number, code))

    def notice(self, number: str, kind: str, quantity: int, *, time: int | None = None, side: Side = Side.BUY,
               symbol: str = NAMES[0], price: float | None = 70_000.0, **more: Any) -> list[Entry]:  # fmt: skip
        moment = self.time if time is None else time
        more.setdefault("generation", self.engine.now.up.get("orders", 0))
        said = Notice(number=number, kind=kind, symbol=symbol, side=side, quantity=quantity, time=moment, price=price,
                      **more)  # fmt: skip
        return self.feed(Noticed(moment, said))

    def timer(self, name: str, time: int | None = None) -> list[Entry]:
        """Let a timer fire, at its own time unless told."""
        moment = self.engine.now.timers[name] if time is None else time
        return self.feed(TimerFired(max(moment, self.time), name))

    def feed_timer(self, name: str, time: int) -> list[Entry]:
        """Let a timer fire that may not have been asked for."""
        return self.feed(TimerFired(time, name))

    def tick(self, price: float, *, time: int | None = None, symbol: str = NAMES[0], auction: bool = False) -> None:
        moment = self.time if time is None else time
        self.feed(MarketData(moment, (Tick(symbol, moment, price, 1, auction=auction),)))

    def command(
        self, name: str, /, *, key: str = "c1", by: str = "min", reason: str = "because", time: int | None = None,
        **arguments: Any,
    ) -> list[Entry]:  # fmt: skip
        return self.feed(Command(self.time if time is None else time, key, name, by, reason, arguments))

    # --- what came of it ---

    def kinds(self, entries: Sequence[Entry] | None = None) -> list[str]:
        return [entry.kind.value for entry in (self.entries if entries is None else entries)]

    def alarms(self) -> list[str]:
        return [entry.payload["code"] for entry in self.entries if entry.kind is Kind.ALARM]

    def order(self, name: str | None = None) -> Order:
        """An order by id, or the only one."""
        if name is not None:
            return self.engine.orders[name]
        (order,) = self.engine.orders.values()
        return order

    def sent(self) -> list[str]:
        return [effect.approved.order.id for effect in self.effects if isinstance(effect, Submit)]

    def cancels(self) -> list[CancelOrder]:
        return [effect for effect in self.effects if isinstance(effect, CancelOrder)]

    def modifies(self) -> list[ModifyOrder]:
        return [effect for effect in self.effects if isinstance(effect, ModifyOrder)]

    def decided(self, *wants: Want) -> list[str]:
        """A Friday evening's decisions, and the Monday morning that agrees with them; ids of the intents."""
        self.book.mornings.append([])  # of Friday's bar, which comes without a session
        self.book.says(evening=wants, morning=wants)
        self.time = at("15:40", FRIDAY)
        self.closes(at("15:40", FRIDAY), at("15:30", FRIDAY), day=FRIDAY)
        self.time = at("08:00")
        self.opens(at("08:05"))
        return list(self.engine.orders)

    def sending(self, *wants: Want) -> list[str]:
        """The same, sent in Monday's opening auction."""
        names = self.decided(*wants)
        self.ready()
        self.feed(TimerFired(at("08:30"), "windows"))
        return names

    def working(self, *wants: Want) -> str:
        """One order that stands at the broker as number 1."""
        (name,) = self.sending(*wants or (Want(1),))
        self.answer(name, number="1")
        return name


def line(number: str, *, filled: int = 0, quantity: int = 10, price: float | None = 70_000.0, value: int | None = None,
         side: Side = Side.BUY, leaves: int | None = None, status: str | None = None, time: int | None = None,
         symbol: str = NAMES[0], original: str | None = None, **more: Any) -> BrokerOrder:  # fmt: skip
    """A line of the broker's list."""
    left = quantity - filled if leaves is None else leaves
    return BrokerOrder(
        number=number, symbol=symbol, side=side, quantity=quantity, filled=filled,
        value=int(filled * (price or 0.0)) if value is None else value, leaves=left,
        type=OrderType.MARKET if price is None else OrderType.LIMIT, price=price,
        time=at("08:30") if time is None else time, original=original,
        status=status or ("open" if left else "filled"), **more,
    )  # fmt: skip


__all__ = ["CASH", "FRIDAY", "MONDAY", "NAMES", "Account", "Capabilities", "Over", "Scripted", "Status", "Want", "at",
           "line", "math", "row_of"]  # fmt: skip
