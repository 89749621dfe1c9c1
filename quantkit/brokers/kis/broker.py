"""`KisBroker`: our Broker port over KIS, for one account of 실전 or 모의투자.

Contract: errors are the port's three. Refused carries a code of the house where KIS's code and text mean one
(`codes.reason_of`), else KIS's own; both stand in its text, with what to do. An order leaves once. It leaves a second
time only where KIS's answer proves that the first was not taken: the token was dead, or (`trust_throttle`) too many
requests came at once. Everything else without a clear answer is OutcomeUnknown.

KIS's numbers begin anew each day, and a change makes a new one that names the old. A change needs the branch that took
the order and its kind: both are kept from the answer, or read from the list. Quantities are those of the list of orders
(주식일별주문체결조회), cumulative; its lag is in `Capabilities.list_lag`. What is left of an order when its session has
ended is "expired", whatever the list still shows.

Own orders are heard on the stream where there is one, else by asking (`polled`).
"""

from __future__ import annotations

import contextlib
import datetime as dt
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import TYPE_CHECKING, Final, Protocol, TypeVar

from quantkit.brokers.kis.answers import Refusal, Throttled, TokenDead
from quantkit.brokers.kis.codes import VENUES, Environment, reason_of
from quantkit.brokers.kis.figures import day_of, moment
from quantkit.brokers.kis.limiter import SECOND, Lane
from quantkit.brokers.kis.polled import PolledNotices
from quantkit.brokers.kis.shared import Shared
from quantkit.errors import BadData, ConfigError, Refused, RetryLater
from quantkit.market import calendar
from quantkit.trading.orders import OrderType, TimeInForce
from quantkit.trading.ports import BrokerOrder, Capabilities, Cash, Position, Ticket

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence

    from quantkit.brokers.kis.client import KisClient
    from quantkit.brokers.kis.ledger import Accepted, OrderLine
    from quantkit.brokers.kis.wirelog import WireLog
    from quantkit.trading.approval import Approved
    from quantkit.trading.ports import Notice

Answer = TypeVar("Answer")
_PRICED: Final = (OrderType.LIMIT, OrderType.CONDITIONAL)
_LAST_PRINT: Final = 60 * SECOND  # after the close, until when the closing print is in the list
_NIGHT: Final = dt.time(20, 0)  # NXT closes, and whatever KRX takes after its close has ended


class OrderStream(Protocol):
    """Where notices of own orders come from."""

    async def connect(self) -> None:
        """Open it. RetryLater where it cannot be."""

    async def close(self) -> None:
        """Leave."""

    def notices(self) -> AsyncIterator[Notice]:
        """What happens to orders, until `close`; RetryLater where the connection breaks."""


@dataclass(slots=True)
class _Known:
    """What a change of an order has to say of it."""

    branch: str
    symbol: str
    type: OrderType
    tif: TimeInForce
    venue: str
    leaves: int


class KisBroker:
    """One account at KIS. stream: of notices; None: its orders are asked for every `poll` seconds while one stands.
    log: the client's listener, where what went over the wire is to be kept."""

    def __init__(
        self, client: KisClient, *, stream: OrderStream | None = None, poll: float = 3.0, log: WireLog | None = None
    ) -> None:
        paper = client.environment is Environment.PAPER
        self.client = client
        self.capabilities = Capabilities(
            name="kis paper" if paper else "kis", venues=("KRX",) if paper else VENUES,
            orders_per_second=1.0 if paper else 5.0,
        )  # fmt: skip
        self.generation = 0
        self._log = log
        self._list = Shared(self._lines)
        self._polled = PolledNotices(self._list.ask, client.clock, every=poll) if stream is None else None
        self._stream: OrderStream = self._polled if stream is None else stream  # type: ignore[assignment]
        self._known: dict[str, _Known] = {}
        self._day: dt.date | None = None
        self._connected = False

    # --- the connection ---------------------------------------------------------------------------------------------

    async def connect(self) -> None:
        """A token, the account, the stream. Refused (BROKER_CONFIG) where keys or account are wrong."""
        if self._connected:
            await self.close()
        with _reads():
            await self.client.wire.tokens.token()
            await self.client.buyable()
            await self._stream.connect()
        self.generation += 1
        self._connected = True

    async def close(self) -> None:
        """Leave; open orders stay. The client stays usable, so that `connect` may follow."""
        if self._connected:
            self._connected = False
            await self._stream.close()

    def log_to(self, keep: Callable[[str, str, int], None]) -> None:
        """Keep what goes over the wire from now on: `trading.ports.LogsWire`."""
        if self._log is not None:
            self._log.keep = keep

    async def notices(self) -> AsyncIterator[Notice]:
        """What happens to orders, from `connect` on; ends with `close`, RetryLater where the stream breaks."""
        self._there()
        generation = self.generation
        async for notice in self._stream.notices():
            yield replace(notice, generation=generation)

    def _there(self) -> None:
        if not self._connected:
            raise RetryLater("KIS: not connected; nothing was sent")

    # --- orders -----------------------------------------------------------------------------------------------------

    async def submit(self, order: Approved) -> Ticket:
        """Send one approved order."""
        self._there()
        intent = order.order.intent
        taken = await self._sent(
            lambda: self.client.submit(
                intent.symbol, intent.side, order.quantity, price=order.price, type=intent.type, tif=intent.tif,
                venue=intent.venue, lane=Lane.REDUCE if intent.reduces else Lane.ORDER,
            )
        )  # fmt: skip
        return self._keep(taken, intent.symbol, intent.type, intent.tif, intent.venue, order.quantity)

    async def cancel(self, number: str, symbol: str, quantity: int) -> Ticket:
        """Cancel `quantity` of what is left of an order. RetryLater where the exchange has not taken it yet."""
        self._there()
        known = await self._find(number, symbol)
        if quantity < 1:
            raise Refused("QUANTITY", f"order {number}: a cancel of {quantity} shares")
        part = None if quantity >= known.leaves else quantity
        taken = await self._sent(
            lambda: self.client.cancel(
                number, known.branch, part, type=known.type, tif=known.tif, venue=known.venue, lane=Lane.CANCEL
            )
        )
        known.leaves -= min(quantity, known.leaves)
        return Ticket(number=taken.number, time=taken.time)

    async def modify(self, number: str, symbol: str, quantity: int, price: float | None) -> Ticket:
        """Replace what is left of an order. KIS changes a part by leaving the rest as it was: where less is wanted than
        is left, the difference is cancelled first."""
        self._there()
        known = await self._find(number, symbol)
        if quantity < 1:
            raise Refused("QUANTITY", f"order {number}: a replacement of {quantity} shares")
        if quantity < known.leaves:
            await self.cancel(number, symbol, known.leaves - quantity)
        kind = OrderType.MARKET if price is None else known.type if known.type in _PRICED else OrderType.LIMIT
        taken = await self._sent(
            lambda: self.client.modify(
                number, known.branch, None, price, type=kind, tif=TimeInForce.DAY, venue=known.venue
            )
        )
        left, known.leaves = known.leaves, 0
        return self._keep(taken, symbol, kind, TimeInForce.DAY, known.venue, left)

    async def _sent(self, send: Callable[[], Awaitable[Accepted]]) -> Accepted:
        """One request of the order path; again, once, where KIS proved that it did not take it."""
        with _orders():
            try:
                return await send()
            except (TokenDead, Throttled):  # the latter only where the settings trust it
                return await send()

    def _keep(self, taken: Accepted, symbol: str, kind: OrderType, tif: TimeInForce, venue: str, leaves: int) -> Ticket:
        self._today()[taken.number] = _Known(taken.branch, symbol, kind, tif, venue, leaves)
        if self._polled is not None:
            self._polled.expect()
        return Ticket(number=taken.number, time=taken.time)

    async def _find(self, number: str, symbol: str) -> _Known:
        """What is known of an order of today; the list is asked for one that is not. Refused: UNKNOWN_ORDER."""
        if number not in self._today():
            await self.orders()
        found = self._today().get(number)
        if found is None:
            raise Refused("UNKNOWN_ORDER", f"order {number} of {symbol} is not in KIS's list of today")
        return found

    def _today(self) -> dict[str, _Known]:
        """What is known of today's orders: tomorrow the same numbers are others'."""
        today = self.client.today()
        if today != self._day:
            self._day, self._known = today, {}
        return self._known

    # --- reads ------------------------------------------------------------------------------------------------------

    async def orders(self) -> Sequence[BrokerOrder]:
        """All orders of today, as they were at some time after the call."""
        self._there()
        with _reads():
            return await self._list.ask()

    async def positions(self) -> Sequence[Position]:
        """All shares. A name bought in several ways (cash, loans) has several rows at KIS and one here."""
        self._there()
        with _reads():
            balance = await self.client.balance()
        found: dict[str, Position] = {}
        for each in balance.holdings:
            if each.quantity:
                held = found.get(each.symbol) or Position(symbol=each.symbol, quantity=0, sellable=0)
                quantity = held.quantity + each.quantity
                average = (held.average * held.quantity + each.average * each.quantity) / quantity
                found[each.symbol] = Position(
                    symbol=each.symbol, quantity=quantity, sellable=held.sellable + each.sellable, average=average
                )
        return list(found.values())

    async def cash(self) -> Cash:
        """Money by settlement day, and what buys may bind without borrowing (미수없는매수금액)."""
        self._there()
        with _reads():
            balance, free = await self.client.balance(), await self.client.buyable()
        return Cash(today=balance.cash, next_1=balance.cash_1, next_2=balance.cash_2, orderable=free.amount)

    async def orderable_cash(self, symbol: str, price: float | None) -> int:
        """매수가능조회."""
        self._there()
        with _reads():
            return (await self.client.buyable(symbol, price)).amount

    async def sellable(self, symbol: str) -> int:
        """매도가능수량조회."""
        self._there()
        with _reads():
            return (await self.client.sellable(symbol)).sellable

    async def _lines(self) -> list[BrokerOrder]:
        now, known, found = self.client.clock.now_ns(), self._today(), []
        for line in await self.client.orders():
            told = told_of(line, now)
            kind, tif = line.kind or (OrderType.LIMIT, TimeInForce.DAY)
            known[line.number] = _Known(line.branch, line.symbol, kind, tif, line.venue, told.leaves)
            found.append(told)
        return found


# --- what KIS says, in the port's words -------------------------------------------------------------------------------


def told_of(line: OrderLine, now: int) -> BrokerOrder:
    """A line of KIS's list as it stands at `now`."""
    kind, tif = line.kind or (OrderType.LIMIT, TimeInForce.DAY)
    over, leaves = has_ended(line, now), line.leaves
    if line.filled >= line.quantity:
        status, leaves = "filled", 0
    elif line.rejected and not leaves:
        status = "rejected"
    elif leaves and not over:
        status = "open"
    elif leaves or (over and not line.canceled and tif is TimeInForce.DAY):
        status, leaves = "expired", 0
    else:
        status = "canceled"
    return BrokerOrder(
        number=line.number, symbol=line.symbol, side=line.side, quantity=line.quantity, filled=line.filled,
        value=line.value, leaves=leaves, type=kind, time=line.time, original=line.original, price=line.price or None,
        status=status,
    )  # fmt: skip


def has_ended(line: OrderLine, now: int) -> bool:
    """Whether the session that an order was for is over."""
    date = day_of(line.time)
    end = _end_of(date, regular=line.venue == "KRX" and line.kind is not None)
    return end is None or date != day_of(now) or now >= end


@lru_cache(maxsize=16)
def _end_of(date: dt.date, *, regular: bool) -> int | None:
    """When nothing of a session can trade any more; None on a day without one."""
    hours = calendar.session(date)
    if hours is None:
        return None
    closes = hours.close if regular else max(hours.close, _NIGHT)
    return moment(date, f"{closes:%H%M%S}") + _LAST_PRINT


def refused(problem: Refusal) -> Refused:
    """A refusal in the house's codes, with KIS's own code and text."""
    code, _ = reason_of(problem.code, problem.text)
    said = problem.text if problem.code == code else f"{problem.code} {problem.text}"
    return Refused(code, f"KIS {problem.transaction}: {said}{'; ' if problem.advice else ''}{problem.advice}")


@contextlib.contextmanager
def _orders() -> Iterator[None]:
    """Errors of an order: what is wrong with keys or values was seen before a byte of it left, or was refused."""
    try:
        yield
    except Refusal as problem:
        raise refused(problem) from None
    except ConfigError as problem:
        raise Refused("BROKER_CONFIG", f"{problem}; nothing was sent") from None
    except BadData as problem:
        raise Refused("BAD_ORDER", f"{problem}; nothing was sent") from None


@contextlib.contextmanager
def _reads() -> Iterator[None]:
    """Errors of a question: an answer that cannot be read is none."""
    try:
        yield
    except Refusal as problem:
        raise refused(problem) from None
    except ConfigError as problem:
        raise Refused("BROKER_CONFIG", str(problem)) from None
    except BadData as problem:
        raise RetryLater(str(problem)) from None
