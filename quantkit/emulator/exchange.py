"""The exchange: names, accounts and a day's events, on the time it is given.

Contract: synchronous; `advance(now)` lets everything happen up to `now` (UTC nanoseconds), in the order of time, and
orders come in at the time it last advanced to. However `now` is cut into pieces, the same seed and the same orders at
the same times make the same trades. No clock is read. Codes of refusals: `desk`. What is run: the regular session of
the source's days (`session`).

    1. 06:00 of a session  money due is settled, shares are split, names get base, limits and flow      `_begin`
    2. orders for the open, the opening call, continuous trading, the closing call, the end              `_handle`
    3. between those, trades of the flow by time; only those somebody watches, or waits in the way of    `_run`

>>> exchange = Exchange(BarSource(random_bars(seed=1, symbols=2)))
>>> account = exchange.open_account("a", 10_000_000)
>>> clock = session_clock("2025-06-02")
>>> exchange.advance(clock.orders)
>>> order = exchange.submit("a", "000010", Side.BUY, 3, type=OrderType.MARKET)
>>> exchange.advance(clock.close + 60 * SECOND)
>>> order.status, account.shares
('filled', {'000010': 3})
"""

from __future__ import annotations

import zlib
from collections import deque
from dataclasses import dataclass, field
from heapq import heappop, heappush
from typing import TYPE_CHECKING, Final

import numpy as np

from quantkit.emulator import crowd
from quantkit.emulator.desk import Desk
from quantkit.emulator.issue import FINISHED, Issue
from quantkit.emulator.prints import Past
from quantkit.emulator.session import BEGINS, CALLS, RANDOM_END, SECOND, Clock, midnight, session_clock
from quantkit.emulator.sources import BarSource, random_bars
from quantkit.emulator.volatility import CALL_SECONDS
from quantkit.errors import BadData
from quantkit.market.calendar import next_session
from quantkit.market.costs import Costs
from quantkit.market.days import date_of
from quantkit.trading.orders import OrderType, Side, TimeInForce
from quantkit.trading.ports import InstrumentDay, Quote, Tick

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from quantkit.emulator.accounts import Account, Placed
    from quantkit.emulator.book import Resting
    from quantkit.emulator.pulse import Pulse
    from quantkit.emulator.sources import Source
    from quantkit.trading.ports import BrokerOrder, Cash, Notice, Position

__all__ = ["BarSource", "Clock", "Exchange", "Watch", "random_bars", "session_clock"]

DEPTH: Final = 1 / 500
"""Shares at one price, as a part of the day's volume: an assumption, for books are not in bars."""

RESUMES_AFTER: Final = 600
"""Seconds of the call with which a halted name comes back. General knowledge, not confirmed."""

_WATCHED, _WAITS = 1, 2


@dataclass(slots=True, eq=False)
class Watch:
    """What somebody hears of prices. Take from the left of `items`. levels: of the book after each trade; 0: none."""

    symbols: set[str]
    levels: int = 0
    generation: int = 0  # of the connection it goes over
    items: deque[Tick | Quote] = field(default_factory=deque)


class Exchange:
    """An exchange over a source of days.

    costs       of accounts that have none of their own; default: KIS's online rates
    seed        of the crowd's sizes and the moments at which calls end
    interrupts  whether names have volatility interruptions
    random_end  whether calls end at random within 30 seconds
    depth       shares the crowd rests at a price, as a part of the day's volume; 0: only our orders make a book
    """

    def __init__(
        self, source: Source, *, costs: Costs | None = None, seed: int = 0, interrupts: bool = True,
        random_end: bool = True, depth: float = DEPTH,
    ) -> None:  # fmt: skip
        self.source, self.seed = source, seed
        self.interrupts, self.random_end, self.depth = interrupts, random_end, depth
        self.desk = Desk(Costs.kis() if costs is None else costs)
        self.day: int | None = None
        self.clock: Clock | None = None
        self.issues: dict[str, Issue] = {}
        self.position = 0  # trades of the tape that took place
        self.past = Past(source)
        self._names: list[Issue] = []
        self._flags: list[int] = []
        self._tape = (np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0), np.zeros(0, np.int64))
        self._watches: list[Watch] = []
        self._hears: list[list[Watch]] = []
        self._events: list[tuple[int, int, str, str, int]] = []
        self._later: dict[int, Callable[[], None]] = {}
        self._count = 0
        self.pulse: Pulse | None = None
        days = source.days()
        if not days:
            raise BadData("the source of an exchange has no days")
        self.now = midnight(days[0]) + BEGINS - 1
        for day in days:
            self._push(midnight(day) + BEGINS, "day", detail=day)

    # --- time -----------------------------------------------------------------------------------------------------

    def advance(self, now: int) -> None:
        """Let everything happen up to `now`, that moment included. A time that has passed does nothing."""
        if now < self.now:
            return
        while True:
            due = self._events[0][0] if self._events else now + 1
            if not self._run(min(due, now + 1)):
                continue
            if due > now:
                break
            time, _, name, symbol, detail = heappop(self._events)
            self.now = max(self.now, time)
            self._handle(name, symbol, detail, time)
        self.now = now

    @property
    def next_event(self) -> int | None:
        """When a phase begins or ends next; None: no more days."""
        return self._events[0][0] if self._events else None

    def later(self, time: int, action: Callable[[], None]) -> None:
        """Let something happen at a time to come, such as a request that is still on its way."""
        self._later[self._count + 1] = action
        self._push(time, "later", detail=self._count + 1)

    def _push(self, time: int, name: str, symbol: str = "", detail: int = 0) -> None:
        self._count += 1
        heappush(self._events, (time, self._count, name, symbol, detail))

    def _run(self, bound: int) -> bool:
        """Trades of the flow before `bound`; False where an event came up that goes first."""
        stop = int(np.searchsorted(self._tape[0], bound))
        if stop <= self.position:
            return True
        if not any(self._flags):
            self.position = stop
            return True
        flags, place = self._flags, self.position
        rows = [column[place:stop].tolist() for column in self._tape]
        for time, number, price, shares in zip(*rows, strict=True):
            place += 1
            flag = flags[number]
            if not flag:
                continue
            self.position = place
            if flag & _WAITS:
                issue = self._names[number]
                self.now = time
                issue.tick(time)
                if not issue.waits:
                    self._settle(issue)
                if self._events and self._events[0][0] < bound:
                    return False
            else:
                self._tell(number, time, price, shares)
        self.position = stop
        return True

    def _random(self, issue: Issue, what: str) -> int:
        """By how much a call goes on."""
        if not self.random_end:
            return 0
        words = zlib.crc32(f"{issue.symbol} {what}".encode())
        return crowd.mix(self.seed, self.day or 0, words) % RANDOM_END

    # --- the day --------------------------------------------------------------------------------------------------

    def _begin(self, day: int) -> None:
        """A new session: names, tape, accounts."""
        if self.day is not None:
            self.past.keep(self.day, self._names)
        date = date_of(day)
        self.day, self.clock = day, session_clock(day)
        facts = self.source.day(day)
        self._names = [
            Issue(
                each, number, str(date), self, seed=crowd.mix(self.seed, day, zlib.crc32(symbol.encode())),
                depth=self.depth, interrupts=self.interrupts,
            )
            for number, (symbol, each) in enumerate(facts.items())
        ]  # fmt: skip
        self.issues = {issue.symbol: issue for issue in self._names}
        self._lay_tape()
        upcoming = [int(np.datetime64(next_session(date, n=n), "D").astype(np.int64)) for n in (1, 2)]
        self.desk.begin(day, str(date), self.issues, (upcoming[0], upcoming[1]))
        self._flags = [_WAITS] * len(self._names)
        self._hears = [[] for _ in self._names]
        for watch in self._watches:
            self._attach(watch, watch.symbols)
        self._push(self.clock.orders, "orders")
        self._push(self.clock.closing, "closing")
        for issue in self._names:
            later = self._random(issue, "open")
            times = issue.facts.flow.times
            if len(times) and times[0] > self.clock.open:
                later = min(later, int(times[0]) - self.clock.open - 1)
            self._push(self.clock.open + later, "open", issue.symbol)
            self._push(self.clock.close + self._random(issue, "close"), "close", issue.symbol)

    def _lay_tape(self) -> None:
        """Trades of all names in the order of time; of one moment, in the order of names."""
        flows = [issue.facts.flow for issue in self._names]
        times = np.concatenate([flow.times for flow in flows]) if flows else np.zeros(0, np.int64)
        who = np.repeat(np.arange(len(flows)), [len(flow.times) for flow in flows])
        order = np.argsort(times, kind="stable")
        ranks = np.empty(len(order), np.int64)
        ranks[order] = np.arange(len(order))
        prices = np.concatenate([flow.prices for flow in flows]) if flows else np.zeros(0)
        volumes = np.concatenate([flow.volumes for flow in flows]) if flows else np.zeros(0, np.int64)
        self._tape = (times[order], who[order], prices[order], volumes[order])
        start = 0
        for issue, flow in zip(self._names, flows, strict=True):
            issue.at = ranks[start : start + len(flow.times)]
            start += len(flow.times)
        self.position = 0

    def _handle(self, name: str, symbol: str, detail: int, time: int) -> None:
        """One event. A call that would make too wild a price goes on once."""
        if name == "day":
            self._begin(detail)
        elif name == "later":
            self._later.pop(detail)()
        elif name == "orders":
            for issue in self._names:
                issue.phase = "halted" if issue.facts.halted else "opening_orders"
        elif name == "closing":
            self._close_only()
        else:
            issue = self.issues[symbol]
            issue.sync()
            if name == "open" and issue.phase == "opening_orders":
                self._end_call(issue, "open", "continuous", time)
            elif name == "close":
                if issue.phase == "closing_auction" and not self._end_call(issue, "close", "after", time):
                    return
                self._expire(issue, time)
            elif name == "call" and issue.phase == "vi_auction" and issue.generation == detail:
                issue.end_call(time, "continuous")
            elif name == "wild" and not issue.waits and issue.phase == "continuous":
                if issue.next_interruption() != issue.done:
                    return
                issue.begin_call("vi_auction")
                self.interrupted(issue, time)
            self._settle(issue)

    def _end_call(self, issue: Issue, name: str, phase: str, time: int) -> bool:
        """Print a call, or let it go on; whether it ended."""
        if issue.too_far():
            later = CALL_SECONDS * SECOND + self._random(issue, f"{name} again")
            self._push(time + later, name, issue.symbol)
            return False
        issue.end_call(time, phase)
        return True

    def _close_only(self) -> None:
        """The closing call begins: conditional orders become market orders."""
        for issue in self._names:
            issue.sync()
            if issue.phase in ("halted", *FINISHED):
                continue
            issue.begin_call("closing_auction")
            for order in issue.call:
                order.market |= self.desk.placed[order.number].type is OrderType.CONDITIONAL
            self._settle(issue)

    def _expire(self, issue: Issue, time: int) -> None:
        for order in sorted([*issue.call, *issue.mine.values()], key=lambda each: each.number):
            self.desk.end(self.desk.placed[order.number], time, "expired", "SESSION_END")
        issue.call, issue.mine, issue.phase, issue.held = [], {}, "after", []

    def _settle(self, issue: Issue) -> None:
        """After something happened to a name: whether trades of its flow must come by, and its next interruption."""
        before = self._flags[issue.number]
        waits = issue.waits
        self._flags[issue.number] = (before & _WATCHED) | (_WAITS if waits else 0)
        if not waits and issue.phase == "continuous":
            place = issue.next_interruption()
            if place is not None:
                self._push(int(issue.facts.flow.times[place]), "wild", issue.symbol)

    # --- what a name's market asks ------------------------------------------------------------------------------------

    def execute(self, issue: Issue, time: int, price: float, legs: Sequence[tuple[Resting, int]]) -> None:
        self.desk.execute(issue, time, price, legs)

    def printed(self, issue: Issue, time: int, price: float, shares: int, *, auction: bool) -> None:
        if self._flags[issue.number] & _WATCHED:
            self._tell(issue.number, time, price, shares, auction=auction)

    def interrupted(self, issue: Issue, time: int) -> None:
        later = CALL_SECONDS * SECOND + self._random(issue, f"call {issue.generation}")
        self._push(time + later, "call", issue.symbol, issue.generation)

    def unfilled(self, order: Resting, time: int, reason: str) -> None:
        self.desk.end(self.desk.placed[order.number], time, "canceled", reason)

    # --- prices -------------------------------------------------------------------------------------------------------

    def watch(self, symbols: Iterable[str], *, levels: int = 0, generation: int = 0) -> Watch:
        """Hear every trade of these names from now on, and `levels` prices of the book after each."""
        watch = Watch(set(symbols), levels, generation)
        self._watches.append(watch)
        self._attach(watch, watch.symbols)
        return watch

    def follow(self, watch: Watch, symbols: set[str]) -> None:
        """Hear these names from now on, and no others."""
        gone, new = watch.symbols - symbols, symbols - watch.symbols
        watch.symbols = symbols
        self._detach(watch, gone)
        self._attach(watch, new)

    def unwatch(self, watch: Watch) -> None:
        """Hear no more."""
        self._watches = [each for each in self._watches if each is not watch]
        self._detach(watch, watch.symbols)

    def _attach(self, watch: Watch, symbols: Iterable[str]) -> None:
        for symbol in symbols:
            issue = self.issues.get(symbol)
            if issue is not None:
                self._hears[issue.number].append(watch)
                self._flags[issue.number] |= _WATCHED

    def _detach(self, watch: Watch, symbols: Iterable[str]) -> None:
        for symbol in symbols:
            issue = self.issues.get(symbol)
            if issue is not None and watch in self._hears[issue.number]:
                self._hears[issue.number].remove(watch)
                if not self._hears[issue.number]:
                    self._flags[issue.number] &= ~_WATCHED

    def _tell(self, number: int, time: int, price: float, shares: int, *, auction: bool = False) -> None:
        symbol = self._names[number].symbol
        for watch in self._hears[number]:
            watch.items.append(Tick(symbol, time, price, shares, watch.generation, auction))
            if watch.levels:
                watch.items.append(self.quote(symbol, levels=watch.levels, time=time, generation=watch.generation))

    def quote(self, symbol: str, *, levels: int = 10, time: int | None = None, generation: int = 0) -> Quote:
        """Best prices and shares of a name; in a call, what it would print."""
        issue, time = self.desk.issue(symbol), self.now if time is None else time
        if issue.phase == "continuous":
            bids, asks = issue.levels(levels)
            return Quote(symbol, time, tuple(bids), tuple(asks), generation)
        expected = None
        if issue.phase in CALLS and self.clock is not None:
            span = {
                "opening_orders": (self.clock.orders, self.clock.open),
                "closing_auction": (self.clock.closing, self.clock.close),
            }
            found = issue.expected(time, *span.get(issue.phase, (time, time)))
            expected = None if found is None else found.price
        return Quote(symbol, time, (), (), generation, expected)

    def phase(self, symbol: str) -> str:
        """ "before", "opening_orders", "continuous", "vi_auction", "closing_auction", "halted" or "after"."""
        return self.desk.issue(symbol).phase

    def instruments(self, symbols: Iterable[str]) -> list[InstrumentDay]:
        """What is known of today's names; those not traded today are left out."""
        found = (self.issues[symbol].facts for symbol in symbols if symbol in self.issues)
        return [
            InstrumentDay(
                symbol=facts.symbol, base=facts.base, previous_close=facts.previous_close, halted=facts.halted,
                liquidation=facts.liquidation, single_price=facts.liquidation, first_day=facts.first_day,
                leverage=facts.leverage,
            )
            for facts in found
        ]  # fmt: skip

    def halt(self, symbol: str) -> None:
        """Stop a name now; its orders wait, and may be cancelled."""
        issue = self.desk.issue(symbol)
        if issue.phase not in FINISHED:
            issue.begin_call("halted")
            self._settle(issue)

    def resume(self, symbol: str) -> None:
        """Let a halted name trade again, after a call."""
        issue = self.desk.issue(symbol)
        if issue.phase != "halted" or issue.facts.halted:
            return
        closing = self.clock is not None and self.now >= self.clock.closing
        issue.phase = "closing_auction" if closing else "vi_auction"
        if not closing:
            self._push(self.now + RESUMES_AFTER * SECOND, "call", symbol, issue.generation)

    # --- orders and accounts ------------------------------------------------------------------------------------------

    def open_account(
        self, name: str, cash: int, *, shares: Mapping[str, int] | None = None, costs: Costs | None = None
    ) -> Account:
        """A new account with settled money and shares."""
        return self.desk.open(name, cash, shares, costs)

    def submit(
        self, account: str, symbol: str, side: Side, quantity: int, *, type: OrderType = OrderType.LIMIT,  # noqa: A002
        price: float | None = None, tif: TimeInForce = TimeInForce.DAY, tag: str | None = None,
    ) -> Placed:  # fmt: skip
        """Send an order now. Refused with a code."""
        order = self.desk.submit(
            account, symbol, side, quantity, type=type, price=price, tif=tif, tag=tag, time=self.now
        )
        self._settle(self.issues[symbol])
        return order

    def cancel(self, account: str, number: str, quantity: int | None = None) -> str:
        """Cancel what is left of an order, or `quantity` of it; the number of the cancel. Refused: nothing is left."""
        cancel = self.desk.cancel(account, number, quantity, self.now)
        self._settle(self.issues[self.desk.account(account).orders[number].symbol])
        return cancel

    def replace(self, account: str, number: str, quantity: int, price: float | None) -> Placed:
        """Replace what is left of an order; the new one. Refused with a code, and the old one stands."""
        order = self.desk.replace(account, number, quantity, price, self.now)
        self._settle(self.issues[order.symbol])
        return order

    def strike(self, account: str, number: str, shares: int) -> None:
        """Somebody trades with an order of ours that rests, after all who wait before it: for races in tests."""
        order = self.desk.account(account).orders.get(number)
        issue = None if order is None else self.desk.issue(order.symbol)
        resting = None if issue is None else issue.mine.get(int(number))
        if issue is None or resting is None or issue.phase != "continuous":
            return
        issue.unquote()
        book = issue.book
        ahead = sum(each.leaves for each in book.queue(resting.side, resting.price) if each.number < resting.number)
        better = sum(total for at, total in book.levels(resting.side, 10**6) if (at - resting.price) * resting.side > 0)
        issue.flow(self.now, resting.price, ahead + better + shares, -resting.side)
        self._settle(issue)

    def listen(self, account: str) -> deque[Notice]:
        """Notices of an account from now on; take from the left."""
        return self.desk.listen(account)

    def orders(self, account: str, *, at: int | None = None, off: int = 0) -> list[BrokerOrder]:
        """Today's orders of an account, as the list stood at a time; off: nanoseconds by which its clock is wrong."""
        lines = (order.line(at, off=off) for order in self.desk.account(account).orders.values())
        return [line for line in lines if line is not None]

    def positions(self, account: str, *, at: int | None = None) -> list[Position]:
        """Shares of an account."""
        return self.desk.account(account).positions(at)

    def cash(self, account: str, *, at: int | None = None) -> Cash:
        """Money of an account."""
        return self.desk.account(account).cash(at)
