"""Our Broker port straight on the exchange, without a wire, and with whatever goes wrong in between.

Contract: fills `trading.ports.Broker` for one account. Calls raise `Refused`, `RetryLater` or `OutcomeUnknown` and
nothing else, faults or none: what may stand at the exchange is unknown, what surely does not may be tried later.
Time is `now` (UTC nanoseconds) and `sleep` (seconds), the machine's or virtual. An order reaches the exchange after
half of `latency`, its answer comes after the other half; the latency of each request is drawn between the two given.
`timeout` seconds without an answer end a request. The order stream tells of an event half a latency after it.

429 on the order path is taken as unknown, as is right until a broker's own is known (`limited_is_unknown`).
"""

from __future__ import annotations

import asyncio
from dataclasses import replace
from heapq import heappop, heappush
from typing import TYPE_CHECKING, Final, TypeVar

from quantkit.emulator import crowd
from quantkit.emulator.faults import FaultKind, FaultPlan
from quantkit.emulator.pulse import Pulse
from quantkit.emulator.session import SECOND
from quantkit.errors import OutcomeUnknown, Refused, RetryLater
from quantkit.trading.ports import Capabilities, Ticket

if TYPE_CHECKING:
    from collections import deque
    from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence

    from quantkit.emulator.exchange import Exchange
    from quantkit.emulator.faults import Strike
    from quantkit.trading.approval import Approved
    from quantkit.trading.ports import BrokerOrder, Cash, Notice, Position

Answer = TypeVar("Answer")
_K = FaultKind
_ORDERS: Final = ("submit", "cancel", "modify")
_NEAR: Final = 0.02  # somebody races a cancel only where the order is this near to the last price

CAPABILITIES: Final = Capabilities(
    name="emulator", execution_numbers=True, cumulative_notices=True, list_lag=0.0, orders_per_second=1_000.0
)
"""A broker that tells everything. Give others to see less of what there is."""


class Line:
    """A way to the exchange on which things go wrong: what broker and feed share."""

    def __init__(
        self, exchange: Exchange, faults: FaultPlan | None, *, now: Callable[[], int],
        sleep: Callable[[float], Awaitable[None]], latency: tuple[float, float], timeout: float, step: float,
    ) -> None:  # fmt: skip
        self.exchange = exchange
        self.faults = FaultPlan() if faults is None else faults
        self.now, self.sleep = now, sleep
        self.latency, self.timeout, self.step = latency, timeout, step
        self.limited_is_unknown = True
        self.connected = False
        self.generation = 0
        self.broken = -1  # the latest connection that broke
        self.stalled = 0  # nothing is heard until then
        self.ready = asyncio.Event()
        self._asked = 0

    def delay(self) -> float:
        """Seconds that the next request takes there and back."""
        self._asked += 1
        low, high = self.latency
        return low + (high - low) * crowd.draw(self.exchange.seed, self._asked)

    async def ask(
        self, what: str, work: Callable[[Mapping[FaultKind, Strike]], Answer], symbol: str | None = None
    ) -> Answer:
        """One request: there, done, and back."""
        if not self.connected and what != "connect":
            raise RetryLater(f"{what}: not connected, nothing was sent")
        strikes = self.faults.strikes(what, self.now(), symbol)
        trip = self.delay()
        if _K.TOKEN_EXPIRED in strikes or _K.TOKEN_REVOKED in strikes:
            await self.sleep(trip)
            raise RetryLater(f"{what}: the token has expired; nothing was done")
        if _K.RATE_LIMITED in strikes:
            await self.sleep(trip)
            raise self._lost(what, "429", certain=not self.limited_is_unknown)
        error = strikes.get(_K.SERVER_ERROR)
        if _K.REQUEST_LOST in strikes or (error is not None and error.chance < 0.5):
            await self.sleep(trip if error is not None else self.timeout)
            raise self._lost(what, "no answer" if error is None else "HTTP 500")
        late = strikes.get(_K.REQUEST_LATE)
        there = trip / 2 + (0.0 if late is None else late.seconds)
        if there >= self.timeout:
            self.exchange.later(self.now() + round(there * SECOND), lambda: _quietly(work, strikes))
            await self.sleep(self.timeout)
            raise self._lost(what, "no answer")
        await self.sleep(there)
        return await self._done(what, work, strikes, there, trip / 2)

    async def _done(
        self, what: str, work: Callable[[Mapping[FaultKind, Strike]], Answer],
        strikes: Mapping[FaultKind, Strike], there: float, back: float,
    ) -> Answer:  # fmt: skip
        """The exchange does it; the answer comes back, or not."""
        self.exchange.advance(self.now())
        refusal = answer = None
        try:
            answer = work(strikes)
        except Refused as refused:
            refusal = refused
        self.ready.set()
        Pulse.of(self.exchange).hurry()
        held = max((strikes[kind].seconds for kind in (_K.ANSWER_LATE, _K.FILL_FIRST) if kind in strikes), default=0.0)
        if _K.ANSWER_LOST in strikes or there + held + back >= self.timeout:
            await self.sleep(max(0.0, self.timeout - there))
            raise self._lost(what, "no answer")
        await self.sleep(back + held)
        if _K.SERVER_ERROR in strikes:
            raise self._lost(what, "HTTP 500")
        if _K.GARBAGE in strikes:
            raise self._lost(what, "an answer that cannot be read")
        if refusal is not None:
            raise refusal
        return answer  # type: ignore[return-value]

    def _lost(self, what: str, why: str, *, certain: bool = False) -> OutcomeUnknown | RetryLater:
        if what in _ORDERS and not certain:
            return OutcomeUnknown(f"{what}: {why}")
        return RetryLater(f"{what}: {why}")

    async def open(self, stream: str) -> None:
        """Connect; a stream that a fault holds down cannot be."""
        await self.ask("connect", lambda _: None)
        if self.faults.concerns(stream) and _K.SOCKET_DROP in self.faults.strikes(stream, self.now()):
            raise RetryLater(f"{stream}: the connection was closed")
        self.generation += 1
        self.connected, self.stalled = True, 0
        self.ready.set()
        Pulse.of(self.exchange).join(self)

    def shut(self) -> None:
        """Disconnect."""
        if self.connected:
            self.gone()
            self.ready.set()
            Pulse.of(self.exchange).leave(self)

    def gone(self) -> None:
        """There is no connection any more."""
        self.connected = False

    def socket(self, stream: str, now: int) -> None:
        """Whether the stream stalls or breaks now."""
        if not self.connected or not self.faults.concerns(stream):
            return
        strikes = self.faults.strikes(stream, now)
        for kind in (_K.SOCKET_STALL, _K.SOCKET_SILENT):  # there are no heartbeats here that could tell them apart
            if kind in strikes:
                self.stalled = max(self.stalled, now + round(strikes[kind].seconds * SECOND))
        if _K.SOCKET_DROP in strikes:
            self.broken = self.generation
            self.shut()

    def over(self, generation: int) -> bool:
        """Whether a stream of that connection has ended; RetryLater where it broke."""
        Pulse.of(self.exchange).check()
        if self.connected and generation == self.generation:
            return False
        if self.broken >= generation:
            raise RetryLater("the connection broke")
        return True

    @property
    def eager(self) -> bool:
        """Whether something may happen any second."""
        return True

    def passed(self, now: int) -> None:
        """The exchange is at `now`."""

    def wake(self) -> None:
        """Look at the stream again."""
        self.ready.set()


def _quietly(work: Callable[[Mapping[FaultKind, Strike]], object], strikes: Mapping[FaultKind, Strike]) -> None:
    """Do what nobody waits for any more; a refusal reaches nobody."""
    try:
        work(strikes)
    except Refused:
        return


class EmulatedBroker(Line):
    """The Broker port for one account of an exchange."""

    def __init__(
        self, exchange: Exchange, account: str, faults: FaultPlan | None = None, *, now: Callable[[], int],
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep, capabilities: Capabilities = CAPABILITIES,
        latency: tuple[float, float] = (0.02, 0.06), timeout: float = 5.0, step: float = 1.0,
    ) -> None:  # fmt: skip
        super().__init__(exchange, faults, now=now, sleep=sleep, latency=latency, timeout=timeout, step=step)
        exchange.desk.account(account)
        self.account, self.capabilities = account, capabilities
        self._heard: deque[Notice] | None = None
        self._due: list[tuple[int, int, Notice]] = []
        self._count = self._behind = 0
        self._held: dict[str, int] = {}  # acknowledgements that come later

    async def connect(self) -> None:
        """Open the order stream. RetryLater where nobody answers."""
        if self.connected:
            return
        await self.open("notices")
        self._due, self._behind = [], 0
        self._heard = self.exchange.listen(self.account)

    async def close(self) -> None:
        """Leave; open orders stay."""
        self.shut()

    def gone(self) -> None:
        super().gone()
        if self._heard is not None:
            self.exchange.desk.deafen(self.account, self._heard)
            self._heard = None

    # --- orders ---------------------------------------------------------------------------------------------------

    async def submit(self, order: Approved) -> Ticket:
        """Send one approved order, once."""
        intent = order.order.intent

        def work(strikes: Mapping[FaultKind, Strike]) -> Ticket:
            placed = self.exchange.submit(
                self.account, intent.symbol, intent.side, order.quantity, type=intent.type, price=order.price,
                tif=intent.tif, tag=intent.id if self.capabilities.caller_tag else None,
            )  # fmt: skip
            first = strikes.get(_K.FILL_FIRST)
            if first is not None:
                self._held[placed.number] = self.now() + round(first.seconds * SECOND)
                self._race(placed.number, first.chance)
            return self._ticket(placed.number)

        return await self.ask("submit", work, intent.symbol)

    async def cancel(self, number: str, symbol: str, quantity: int) -> Ticket:
        """Ask to cancel `quantity` of what is left of an order. Refused where nothing is left."""

        def work(strikes: Mapping[FaultKind, Strike]) -> Ticket:
            self._check_taken(number, strikes)
            race = strikes.get(_K.CANCEL_RACES_FILL)
            if race is not None:
                self._race(number, race.chance)
            return self._ticket(self.exchange.cancel(self.account, number, quantity))

        return await self.ask("cancel", work, symbol)

    async def modify(self, number: str, symbol: str, quantity: int, price: float | None) -> Ticket:
        """Ask to replace what is left of an order; the ticket's number is the new one."""

        def work(strikes: Mapping[FaultKind, Strike]) -> Ticket:
            self._check_taken(number, strikes)
            return self._ticket(self.exchange.replace(self.account, number, quantity, price).number)

        return await self.ask("modify", work, symbol)

    def _ticket(self, number: str) -> Ticket:
        return Ticket(number=number, time=self.exchange.now + self.faults.skew(self.exchange.now))

    def _check_taken(self, number: str, strikes: Mapping[FaultKind, Strike]) -> None:
        early, order = strikes.get(_K.NOT_TAKEN_YET), self.exchange.desk.account(self.account).orders.get(number)
        if early is not None and order is not None and self.exchange.now < order.time + round(early.seconds * SECOND):
            raise RetryLater(f"order {number}: the exchange has not taken it yet")

    def _race(self, number: str, chance: float) -> None:
        """Somebody trades with part of an order, or all of it, where it is near the market."""
        order = self.exchange.desk.account(self.account).orders.get(number)
        if order is not None and order.leaves and order.price is not None:
            last = self.exchange.desk.issue(order.symbol).last
            if abs(order.price / last - 1.0) <= _NEAR:
                self.exchange.strike(self.account, number, max(1, round(order.leaves * min(1.0, 1.3 * chance))))

    # --- reads ----------------------------------------------------------------------------------------------------

    async def orders(self) -> Sequence[BrokerOrder]:
        """All orders of the account today. RetryLater where a page did not come."""

        def work(strikes: Mapping[FaultKind, Strike]) -> list[BrokerOrder]:
            off = self.faults.skew(self.exchange.now)
            return self.exchange.orders(self.account, at=self._then(strikes.get(_K.LIST_LAGS)), off=off)

        return await self._paged("orders", work)

    async def positions(self) -> Sequence[Position]:
        """All shares of the account. RetryLater where a page did not come."""
        return await self._paged(
            "positions",
            lambda strikes: self.exchange.positions(self.account, at=self._then(strikes.get(_K.STALE_SNAPSHOT))),
        )

    async def _paged(self, what: str, work: Callable[[Mapping[FaultKind, Strike]], list[Answer]]) -> list[Answer]:
        missing = False

        def whole(strikes: Mapping[FaultKind, Strike]) -> list[Answer]:
            nonlocal missing
            missing = _K.PAGE_MISSING in strikes
            return work(strikes)

        found = await self.ask(what, whole)
        if missing:
            raise RetryLater(f"{what}: a page is missing")
        return found

    async def cash(self) -> Cash:
        """Money of the account."""
        return await self.ask(
            "cash", lambda strikes: self.exchange.cash(self.account, at=self._then(strikes.get(_K.STALE_SNAPSHOT)))
        )

    async def orderable_cash(self, symbol: str, price: float | None) -> int:  # noqa: ARG002  no margin rates here
        """Money that a buy could bind now."""
        return await self.ask("orderable_cash", lambda _: self.exchange.cash(self.account).orderable, symbol)

    async def sellable(self, symbol: str) -> int:
        """Shares of a name that could be ordered away now."""
        return await self.ask("sellable", lambda _: self.exchange.desk.account(self.account).sellable(symbol), symbol)

    def _then(self, strike: Strike | None) -> int | None:
        """The time that an old answer shows; None: now."""
        return None if strike is None else self.exchange.now - round(strike.seconds * SECOND)

    # --- the order stream -----------------------------------------------------------------------------------------

    async def notices(self) -> AsyncIterator[Notice]:
        """The order stream of this connection; RetryLater when it breaks."""
        generation = self.generation
        while True:
            if self.over(generation):
                return
            self._collect()
            now = self.now()
            due = max(self._due[0][0], self.stalled) if self._due else None
            if due is None:
                self.ready.clear()
                await self.ready.wait()
            elif due > now:
                await self.sleep((due - now) / SECOND)
            else:
                yield heappop(self._due)[2]

    def passed(self, now: int) -> None:
        """Time has passed: the stream may stall or break, or there is something to tell."""
        self.socket("notices", now)
        if self._heard:
            self.ready.set()

    @property
    def eager(self) -> bool:
        """Whether an order is open, or the stream may break any second."""
        return bool(self.exchange.desk.account(self.account).open) or self.faults.concerns("notices")

    def _collect(self) -> None:
        """What the exchange said, as it will be heard."""
        while self._heard:
            notice = self._heard.popleft()
            strikes = self.faults.strikes("notice", notice.time, notice.symbol)
            if _K.NOTICE_MISSING in strikes or _K.FRAME_GARBAGE in strikes:
                continue
            due = max(notice.time + round(self.latency[0] / 2 * SECOND), self._held.get(notice.number, 0))
            if notice.kind != "accepted":
                due = notice.time + round(self.latency[0] / 2 * SECOND)
            if _K.NOTICE_LATE in strikes:
                self._behind = due + round(strikes[_K.NOTICE_LATE].seconds * SECOND)
            due = max(due, self._behind)
            if _K.NOTICE_REORDERED in strikes:
                due += round(strikes[_K.NOTICE_REORDERED].seconds * SECOND)
            told = self._told(notice)
            for _ in range(2 if _K.NOTICE_DUPLICATED in strikes else 1):
                self._count += 1
                heappush(self._due, (due, self._count, told))

    def _told(self, notice: Notice) -> Notice:
        """A notice as this broker words it."""
        can = self.capabilities
        return replace(
            notice,
            time=notice.time + self.faults.skew(notice.time),
            execution=notice.execution if can.execution_numbers else None,
            cumulative=notice.cumulative if can.cumulative_notices else None,
            generation=self.generation,
        )
