"""What sessions hear of prices: trades and books of the names they registered, each written once for all who hear it.

Contract: `hear` is told who is there and what they registered; `pump` takes what the exchange said since and puts
frames of up to 20 records into outboxes. A session hears from its registration on; the day's figures in a record
(volume, highest price) know what traded before it too. A registration for a feed that never speaks is nothing here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from quantkit.emulator.faults import FaultKind
from quantkit.emulator.kis import codes
from quantkit.emulator.kis.frames import Running, book_record, frame
from quantkit.emulator.session import day_of
from quantkit.trading.ports import Quote, Tick

if TYPE_CHECKING:
    from collections.abc import Iterable

    from quantkit.emulator.exchange import Exchange
    from quantkit.emulator.faults import FaultPlan, Strike
    from quantkit.emulator.kis.stream import Session

TRADES: Final = ("H0STCNT0", "H0UNCNT0")
BOOKS: Final = ("H0STASP0", "H0UNASP0")
ELW_TRADES: Final = ("H0EWCNT0",)
ELW_BOOKS: Final = ("H0EWASP0",)
SPEAKING: Final = frozenset((*TRADES, *BOOKS, *ELW_TRADES, *ELW_BOOKS))
MOST_RECORDS: Final = 20
_LEVELS: Final = 10


class Prices:
    """The price feeds of one profile. columns: of `frames.COLUMNS`."""

    def __init__(self, exchange: Exchange, *, columns: str) -> None:
        self.exchange, self.columns = exchange, columns
        self._watch = exchange.watch((), levels=_LEVELS)
        self._hearers: dict[tuple[str, str], list[Session]] = {}  # by feed and KIS's code
        self._running: dict[str, Running] = {}

    def hear(self, sessions: Iterable[Session]) -> None:
        """From now on these are there, with what they have registered."""
        self._hearers = {}
        for session in sessions:
            for feed, code in session.registered:
                if feed in SPEAKING:
                    self._hearers.setdefault((feed, code), []).append(session)
        names = {codes.bare(code) for _, code in self._hearers}
        for name in names - self._watch.symbols:
            running = self._of(name, self.exchange.now)
            if running is not None:
                running.follow()
        self.exchange.follow(self._watch, names)

    def pump(self, faults: FaultPlan) -> None:
        """Send what was said since the last time."""
        items, said = self._watch.items, _Said()
        lossy = faults if faults.concerns("tick") else None
        while items:
            tick, quote = items.popleft(), items.popleft()
            assert isinstance(tick, Tick)
            assert isinstance(quote, Quote)
            running = self._of(tick.symbol, tick.time)
            if running is None:
                continue  # of a day that is over, and nobody heard of the name then
            running.add(tick.time, tick.price, tick.volume)
            trades, books = (ELW_TRADES, ELW_BOOKS) if running.is_elw else (TRADES, BOOKS)
            for feed in trades:
                if hearers := self._hearers.get((feed, running.code)):
                    said.add(hearers, feed, running.record(tick, quote, columns=self.columns), tick, lossy)
            for feed in books:
                if hearers := self._hearers.get((feed, running.code)):
                    unified = feed == "H0UNASP0"
                    said.add(hearers, feed, book_record(quote, running, columns=self.columns, unified=unified))
        said.send()

    def _of(self, name: str, time: int) -> Running | None:
        """A name's day."""
        found, day = self._running.get(name), day_of(time)
        if found is None or found.day != day:
            issue = self.exchange.issues.get(name)
            if issue is None or self.exchange.day != day:
                return None
            found = self._running[name] = Running(issue, day)
        return found


class _Said:
    """Records on their way, by session and feed."""

    def __init__(self) -> None:
        self._records: dict[tuple[Session, str], list[str]] = {}
        self._broken: dict[tuple[Session, str], Strike] = {}

    def add(
        self, hearers: Iterable[Session], feed: str, record: str, tick: Tick | None = None,
        lossy: FaultPlan | None = None,
    ) -> None:  # fmt: skip
        """One record, for each of them. lossy: the plan that is asked what becomes of the trade."""
        for session in hearers:
            if lossy is not None and tick is not None:
                strikes = lossy.strikes("tick", tick.time, tick.symbol)
                if FaultKind.NOTICE_MISSING in strikes:
                    continue
                if FaultKind.FRAME_GARBAGE in strikes:
                    self._broken[session, feed] = strikes[FaultKind.FRAME_GARBAGE]
            self._records.setdefault((session, feed), []).append(record)

    def send(self) -> None:
        """Put them into frames; what is broken breaks one."""
        for (session, feed), rows in self._records.items():
            for first in range(0, len(rows), MOST_RECORDS):
                text = frame(feed, rows[first : first + MOST_RECORDS])
                session.say(text, self._broken.pop((session, feed), None))
