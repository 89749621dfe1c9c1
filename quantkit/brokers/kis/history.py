"""History from KIS into the lake: daily bars, minute bars, and the names of the master files.

    report = await fill(client, lake, ["005930", "000660"], freq="1m", start=dt.date(2025, 1, 2))

    1. names      master files say market, name and first day; a code that they lack must have a chart      `_names`
    2. what lacks sessions of the calendar from start to end, from a name's first day on, without a row     `_lacking`
    3. days       raw and adjusted charts, backwards by a hundred rows; actions from one beside the other   `_daily`
    4. minutes    day by day, newest first, until KIS has none any more                                     `_minutes`
    5. landing    every BATCH_ROWS rows or EVERY, and when it ends or breaks off: actions, then bars        `_land`

Contract: only sessions that the lake lacks are asked for, so a second run goes on where the first one ended, whatever
ended it: whole sessions land, in whole batches. The running session is left out until `READY` minutes after its close.
Prices are raw. KIS labels a minute with its start and the closing print with the close; ours are stamped with their
end, and what prints at or after the close belongs to the last bar. All of it goes through the limiter's history lane.

Errors: ConfigError for dates and lengths, BadData for a code that KIS does not know, Refused (PAPER_UNSUPPORTED) for
minutes of earlier days on 모의투자, and those of the client. What came before an error has landed.
"""

from __future__ import annotations

import datetime as dt
import re
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final

from quantkit.brokers.kis import adjusted
from quantkit.brokers.kis.answers import Refusal
from quantkit.brokers.kis.charts import LATE, MINUTE, label, minute_candles, session_close, session_open
from quantkit.brokers.kis.codes import supports
from quantkit.brokers.kis.landing import (
    EPOCH,
    day_row,
    known_markets,
    minute_row,
    prices_of,
    state_names,
    stored_days,
    stretches,
)
from quantkit.brokers.kis.limiter import SECOND, Lane
from quantkit.data.derive import Derived
from quantkit.data.sideactions import record_adjusted
from quantkit.data.tables import Table
from quantkit.errors import BadData, ConfigError, Refused, RetryLater
from quantkit.market.calendar import sessions

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from quantkit.brokers.kis.client import KisClient
    from quantkit.brokers.kis.masters import Listed
    from quantkit.brokers.kis.quotes import Day
    from quantkit.data.lake import Lake
    from quantkit.data.landing import IngestReport

BATCH_ROWS: Final = 20_000
EVERY: Final = 60 * SECOND  # so that a kill costs no more; on 모의투자 so many rows take minutes
READY: Final = 30  # minutes after the close from which on charts of a session are whole
REACH: Final = 100  # sessions: one request has as many, so what lies closer together is asked for at once
FREQUENCIES: Final = ("1d", "1m")

_CODE = re.compile(r"[0-9][0-9A-Z]{5}")


@dataclass(slots=True, kw_only=True)
class NameReport:
    """One name. asked: sessions that the lake lacked. came: those that KIS had. empty: stretches of those it had not,
    first and last day. begins: KIS has no minutes before this day (None: nothing older was asked for). refused: why KIS
    does not give this name's charts; the others went on."""

    symbol: str
    name: str = ""
    market: str = ""
    stored: int = 0
    asked: int = 0
    came: int = 0
    rows: int = 0
    empty: list[tuple[dt.date, dt.date]] = field(default_factory=list)
    begins: dt.date | None = None
    refused: str = ""


@dataclass(slots=True, kw_only=True)
class HistoryReport:
    """What a run did, name by name. added, replaced, quarantined: rows of the lake; actions: new ones."""

    freq: str
    start: dt.date
    end: dt.date
    names: list[NameReport] = field(default_factory=list)
    added: int = 0
    replaced: int = 0
    quarantined: int = 0
    actions: int = 0
    notes: list[str] = field(default_factory=list)


async def fill(
    client: KisClient, lake: Lake, symbols: Sequence[str], *, freq: str = "1d", start: dt.date,
    end: dt.date | None = None, progress: Callable[[int, int], None] | None = None,
) -> HistoryReport:  # fmt: skip
    """Bring into the lake what it lacks of these names from `start` to `end` (default: the last session that is over).
    progress: told of sessions done and asked for."""
    return await _Filling(client, lake, freq, progress or _silent).run(symbols, start, end)


async def fill_instruments(client: KisClient, lake: Lake, symbols: Sequence[str] | None = None) -> IngestReport:
    """State market, name, first day and terms of these names (None: of all) as the master files have them."""
    listed = await client.names()
    missing = [symbol for symbol in symbols or () if symbol not in listed]
    if missing:
        raise BadData(f"KIS's master files have no {', '.join(missing)}")
    wanted = listed.values() if symbols is None else [listed[symbol] for symbol in symbols]
    report = state_names(lake, wanted, client.today())
    return replace(report, notes=(*report.notes, listed.unread)) if listed.unread else report


class _Filling:
    """One run."""

    def __init__(self, client: KisClient, lake: Lake, freq: str, progress: Callable[[int, int], None]) -> None:
        if freq not in FREQUENCIES:
            raise ConfigError(f"freq={freq!r}: KIS's charts are had by {' and '.join(FREQUENCIES)}")
        self.client, self.lake, self.freq, self.progress = client, lake, freq, progress
        self.table = f"bars_{freq}"
        self.rows: list[dict[str, object]] = []
        self.actions: list[Derived] = []
        self.done = self.total = 0
        self.landed = client.clock.now_ns()
        self.has_past_minutes = supports("minutes_past", client.environment)

    async def run(self, symbols: Sequence[str], start: dt.date, end: dt.date | None) -> HistoryReport:
        days, last = self._days(start, end)
        self.report = HistoryReport(freq=self.freq, start=start, end=last)
        if end is not None and last < end:
            self.report.notes.append(f"{end} is not over: sessions up to {last} were asked for")
        wanted = list(dict.fromkeys(symbols))
        strange = [symbol for symbol in wanted if not _CODE.fullmatch(symbol)]
        if strange or not wanted:
            raise ConfigError(f"symbols {strange}: expected codes of six characters, such as 005930")
        if self.freq == "1m" and days[0] < self.client.today() and not self.has_past_minutes:
            raise Refused(
                "PAPER_UNSUPPORTED", "모의투자 (paper) has minute charts of the running day only; earlier ones need "
                "keys of 실전 (real), or a start of today",
            )  # fmt: skip
        self.client.learn(known_markets(self.lake, wanted))
        listed = await self._names(wanted, days)
        stored = stored_days(self.lake, self.freq, wanted)
        lacking = {symbol: self._lacking(symbol, days, stored[symbol], listed.get(symbol)) for symbol in wanted}
        self.total = sum(map(len, lacking.values()))
        try:
            for symbol in wanted:
                await self._name(symbol, days, lacking[symbol], listed.get(symbol))
        finally:
            self._land()
        return self.report

    # --- what is asked for ------------------------------------------------------------------------------------------

    def _days(self, start: dt.date, end: dt.date | None) -> tuple[list[dt.date], dt.date]:
        """Sessions that are over from start to end, and the last date that may be asked for."""
        last = today = self.client.today()
        close = session_close(today)
        if close is not None and self.client.clock.now_ns() < close + READY * MINUTE:
            last = today - dt.timedelta(days=1)
        last = last if end is None else min(end, last)
        if start > last:
            raise ConfigError(f"start {start} is after {last}, the last day that is over or was asked for")
        found: list[dt.date] = sessions(start, last).tolist()
        if not found:
            raise ConfigError(f"the exchange has no session from {start} to {last}")
        return found, last

    async def _names(self, symbols: Sequence[str], days: Sequence[dt.date]) -> dict[str, Listed]:
        """What the master files say of these names. BadData for a code that has no chart either."""
        try:
            listed = await self.client.names()
        except (RetryLater, BadData) as problem:
            self.report.notes.append(f"{problem}; markets, names and first days are those that the lake has")
            return {}
        if listed.unread:
            self.report.notes.append(listed.unread)
        found = {symbol: listed[symbol] for symbol in symbols if symbol in listed}
        for symbol in symbols:
            if symbol not in found and not await self._has_chart(symbol, days[0], days[-1]):
                raise BadData(
                    f"KIS knows no {symbol!r}: it is in no master file (KOSPI, KOSDAQ, KONEX) and has no chart from "
                    f"{days[0]} to {days[-1]}; codes are six characters, such as 005930"
                )
        state_names(self.lake, found.values(), self.client.today())
        return found

    async def _has_chart(self, symbol: str, start: dt.date, end: dt.date) -> bool:
        """Whether a name that is not listed any more was."""
        try:
            return bool(await self.client.days(symbol, start, end, period="Y"))
        except Refusal:
            return False

    def _lacking(
        self, symbol: str, days: Sequence[dt.date], stored: set[dt.date], listed: Listed | None
    ) -> list[dt.date]:
        """Sessions without a row, from a name's first day on."""
        first = days[0] if listed is None or listed.listing is None else listed.listing
        due = [day for day in days if day >= first]
        lacking = [day for day in due if day not in stored]
        name, market = ("", "") if listed is None else (listed.name, listed.market)
        self.report.names.append(
            NameReport(symbol=symbol, name=name, market=market, stored=len(due) - len(lacking), asked=len(lacking))
        )
        return lacking

    # --- one name ---------------------------------------------------------------------------------------------------

    async def _name(self, symbol: str, days: Sequence[dt.date], lacking: list[dt.date], listed: Listed | None) -> None:
        told = next(one for one in self.report.names if one.symbol == symbol)
        before = self.done
        came: set[dt.date] = set()
        try:
            came = await (self._daily if self.freq == "1d" else self._minutes)(symbol, days, lacking, told)
        except Refusal as problem:
            told.refused = str(problem)
        told.came = len(came)
        told.empty = stretches([day for day in lacking if day not in came], days)
        self._advance(before + len(lacking) - self.done)
        if not came and lacking and listed is None:
            self.report.notes.append(f"{symbol}: KIS has nothing of it, and its master files do not list it")

    async def _daily(
        self, symbol: str, days: Sequence[dt.date], lacking: list[dt.date], told: NameReport
    ) -> set[dt.date]:
        """Days that came. Each stretch is asked for with the session before and after it, so that no action between
        two runs is overlooked."""
        came: set[dt.date] = set()
        wanted = set(lacking)
        for first, last in stretches(lacking, days, reach=REACH):
            start, end = self._around(first, last)
            raw = await self.client.days(symbol, start, end)
            changed = await self.client.days(symbol, start, end, adjusted=True)
            fresh = [row for row in raw if row.date in wanted]
            told.rows += len(fresh)
            came |= {row.date for row in fresh}
            self.actions += self._actions(symbol, raw, changed)
            self._take([day_row(symbol, row) for row in fresh])
            self._advance(sum(first <= day <= last for day in lacking))
        return came

    def _around(self, first: dt.date, last: dt.date) -> tuple[dt.date, dt.date]:
        """The sessions beside a stretch, as far as they are over."""
        near = sessions(first - dt.timedelta(days=15), last + dt.timedelta(days=15)).tolist()
        start = max((day for day in near if day < first), default=first)
        end = min((day for day in near if day > last), default=last)
        return start, min(end, max(last, self.report.end))

    def _actions(self, symbol: str, raw: Sequence[Day], changed: Sequence[Day]) -> list[Derived]:
        """Actions among some days; none, and a note, where the two charts do not fit each other."""
        others = {row.date: row for row in changed}
        pairs = [(row, others[row.date]) for row in raw if row.date in others]
        try:
            found = adjusted.steps(((one.date - EPOCH).days, prices_of(one), prices_of(other)) for one, other in pairs)
        except BadData as problem:
            self.report.notes.append(f"{symbol}: no actions derived: {problem}")
            return []
        return [Derived(symbol, step.day, step.price_factor) for step in found]

    async def _minutes(
        self, symbol: str, _days: Sequence[dt.date], lacking: list[dt.date], told: NameReport
    ) -> set[dt.date]:
        """Days that came, asked for newest first. Where a day has none KIS is asked for the last one that has."""
        came: set[dt.date] = set()
        left = list(lacking)
        while left:
            day = left.pop()
            until = (session_close(day) or 0) + LATE * MINUTE
            rows = await self.client.minutes(
                symbol, day, since=label(session_open(day)), until=label(until), lane=Lane.HISTORY
            )
            bars = [bar for bar in minute_candles(symbol, rows, whole=True) if bar.volume]
            self._advance(1)
            if bars:
                told.rows += len(bars)
                came.add(day)
                self._take([minute_row(bar) for bar in bars])
                continue
            older = None
            if left and self.has_past_minutes:
                older = await self.client.day_with_minutes(symbol, day)
                if older is None:
                    told.begins = min(came, default=None)
                    self.report.notes.append(f"{symbol}: KIS has no minutes on {day} and none before")
                    break
            while left and older is not None and left[-1] > older:
                left.pop()
                self._advance(1)
        return came

    # --- into the lake ----------------------------------------------------------------------------------------------

    def _advance(self, sessions_done: int) -> None:
        self.done += sessions_done
        self.progress(self.done, self.total)

    def _take(self, rows: list[dict[str, object]]) -> None:
        self.rows += rows
        if len(self.rows) >= BATCH_ROWS or self.client.clock.now_ns() >= self.landed + EVERY:
            self._land()

    def _land(self) -> None:
        """Actions first: a run that ends in between asks for the bars again, and with them for the actions."""
        import pandas as pd

        self.landed = self.client.clock.now_ns()
        actions, self.actions = self.actions, []
        if actions:
            self.report.actions += record_adjusted(Table(self.lake.path / "actions"), actions)
        rows, self.rows = self.rows, []
        if not rows:
            return
        found = self.lake.ingest(pd.DataFrame(rows).astype({"symbol": "str"}), self.table)
        self.report.added += found.added
        self.report.replaced += found.replaced
        self.report.quarantined += found.quarantined
        self.report.notes += [note for note in found.notes if note not in self.report.notes]


def _silent(_done: int, _total: int, /) -> None:
    """Progress that nobody watches."""
