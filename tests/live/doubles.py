"""Small stand-ins for the parts around the runner: a broker, a journal, and an engine that sends what it is told to."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from quantkit.errors import Refused
from quantkit.live.messages import Answered, Command, Effect, Input, Look, Submit
from quantkit.trading.approval import Approved, approve
from quantkit.trading.events import Entry, Kind, fold_orders, intent_to_json
from quantkit.trading.orders import Intent, Order, OrderType, Side, Window
from quantkit.trading.ports import BrokerOrder, Capabilities, Cash, Notice, Position, Ticket


def intent(number: int, *, symbol: str = "005930", quantity: int = 10) -> Intent:
    """A buy at 100 in a window that never closes."""
    return Intent(
        id=f"test:1:{number}", deployment="test", symbol=symbol, side=Side.BUY, quantity=quantity,
        type=OrderType.LIMIT, window=Window("continuous", 0, 2**62), price=100.0,
    )  # fmt: skip


class ListJournal:
    """A journal that is a list. `fails` is called before each append and may raise."""

    def __init__(self, fails: Callable[[int], None] | None = None) -> None:
        self.entries: list[Entry] = []
        self.appends: list[int] = []  # entries by transaction
        self.snapshots: list[bytes] = []
        self.left: list[Command] = []
        self.closed = False
        self._fails = fails

    def append(self, entries: Sequence[Entry], *, snapshot: bytes | None = None) -> object:
        if self._fails is not None:
            self._fails(len(self.appends))
        self.entries += entries
        self.appends.append(len(entries))
        if snapshot is not None:
            self.snapshots.append(snapshot)
        return ()

    def commands(self) -> list[Command]:
        return list(self.left)

    def close(self) -> None:
        self.closed = True

    def kinds(self) -> list[str]:
        return [entry.kind.value for entry in self.entries]

    def alarms(self) -> list[str]:
        return [entry.payload["code"] for entry in self.entries if entry.kind is Kind.ALARM]


@dataclass
class Script:
    """A broker that does what the test says. `answers`: by order id, what `submit` does (default: takes it)."""

    answers: dict[str, Callable[[], Any]] = field(default_factory=dict)
    refuses: int = 0  # connections refused before the first that stands
    capabilities: Capabilities = field(default_factory=lambda: Capabilities(name="script"))
    sent: list[str] = field(default_factory=list)
    connects: int = 0
    closes: int = 0
    look_error: Exception | None = None

    def __post_init__(self) -> None:
        self.stream: asyncio.Queue[Notice | Exception | None] = asyncio.Queue()

    async def connect(self) -> None:
        self.connects += 1
        if self.connects <= self.refuses:
            raise Refused("EGW00103", "wrong key")

    async def close(self) -> None:
        self.closes += 1

    async def submit(self, order: Approved) -> Ticket:
        self.sent.append(order.order.id)
        answer = self.answers.get(order.order.id)
        if answer is not None:
            found = answer()
            if asyncio.iscoroutine(found):
                found = await found
            if isinstance(found, Exception):
                raise found
            return found
        return Ticket(number=f"N{len(self.sent)}", time=0)

    async def cancel(self, number: str, symbol: str, quantity: int) -> Ticket:
        return Ticket(number=f"{number}c", time=0)

    async def modify(self, number: str, symbol: str, quantity: int, price: float | None) -> Ticket:
        return Ticket(number=f"{number}m", time=0)

    async def orders(self) -> Sequence[BrokerOrder]:
        if self.look_error is not None:
            raise self.look_error
        return []

    async def positions(self) -> Sequence[Position]:
        return [Position(symbol="005930", quantity=3, sellable=3)]

    async def cash(self) -> Cash:
        return Cash(today=1, next_1=2, next_2=3, orderable=4)

    async def orderable_cash(self, symbol: str, price: float | None) -> int:
        return 77

    async def sellable(self, symbol: str) -> int:
        return 7

    async def notices(self) -> AsyncIterator[Notice]:
        while True:
            found = await self.stream.get()
            if found is None:
                return
            if isinstance(found, Exception):
                raise found
            yield found


class TinyEngine:
    """Orders on command: "order" (arguments: number) submits, "look" looks, "raise" is a bug, others are noted."""

    def __init__(self, account: str = "acc") -> None:
        self.account = account
        self.orders: dict[str, Order] = {}
        self.due = False
        self.inputs: list[Input] = []

    def snapshot(self) -> bytes:
        return str(len(self.inputs)).encode()


def tiny_reduce(engine: TinyEngine, item: Input) -> tuple[TinyEngine, list[Entry], list[Effect]]:
    """A reduce as small as can be, through the real fold of orders."""
    engine.inputs.append(item)
    entries: list[Entry] = []
    effects: list[Effect] = []
    if isinstance(item, Command):
        match item.name:
            case "order":
                wanted = intent(item.arguments["number"])
                entries.append(Entry(Kind.ORDER_INITIALIZED, item.time, {"intent": intent_to_json(wanted)}, wanted.id))
                entries.append(Entry(Kind.ORDER_SUBMITTING, item.time, {"quantity": 10, "price": 100.0}, wanted.id))
            case "look":
                witnesses = (("x", Side.BUY, "005930", 1.0), ("y", Side.SELL, "005930", None))
                effects.append(Look(1, positions=True, cash=True, witnesses=witnesses))
            case "raise":
                raise ZeroDivisionError("a bug")
            case _:
                pass
        entries.append(Entry(Kind.COMMAND_RECEIVED, item.time, {"command": item.name, "arguments": item.arguments,
                                                                "by": item.by, "reason": item.reason}))  # fmt: skip
    elif isinstance(item, Answered) and item.request == "submit":
        kind, payload = {
            "accepted": (Kind.ORDER_ACCEPTED, {"number": item.number}),
            "unknown": (Kind.ORDER_UNRESOLVED, {"detail": item.detail}),
        }.get(item.outcome, (Kind.ORDER_REJECTED, {"code": item.code, "detail": item.detail}))
        entries.append(Entry(kind, item.time, payload, item.order))
    for entry in entries:
        order = fold_orders(engine.orders, entry)
        if entry.kind is Kind.ORDER_SUBMITTING and order is not None:
            effects.append(Submit(approve(order)))
    return engine, entries, effects
