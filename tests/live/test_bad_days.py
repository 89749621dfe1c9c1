"""Days on which something is wrong, from end to end: a whole host over the emulated exchange on virtual time.

Full disk, locked journal, a second owner (two processes), a clock that was set, the exam day, a holiday, half a feed.
"""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import quantkit as qk
import quantkit.host
from quantkit.data.bars import Bars
from quantkit.emulator.exchange import BarSource, Exchange, random_bars, session_clock
from quantkit.emulator.feed import EmulatedFeed
from quantkit.emulator.port import EmulatedBroker
from quantkit.errors import RetryLater
from quantkit.host import Deployment, Host, Hosted
from quantkit.live.clock import SECOND, SystemClock, VirtualClock, run_virtual, seeded_random
from quantkit.live.hub import HubSettings, MarketHub
from quantkit.live.journal import database, open_stored, read_journal, verify
from quantkit.live.journal.store import StoredJournal
from quantkit.live.runner import RunnerSettings
from quantkit.trading.events import Entry, Kind
from quantkit.trading.ports import Candle, Quote, Tick
from tests.live.nights import ACCOUNT, DEPLOYMENT, HOUR

CASH = 50_000_000
KNOWN = 6
MINUTE = 60 * SECOND
Script = Callable[["Day", VirtualClock], Any]


class Hold(qk.Strategy):
    """Everything, always: it buys on the first day, and has no reason ever to sell."""

    policy = qk.Policy(weighting="equal", funding="cash")

    def targets(self, bars: Bars) -> Any:
        return np.ones((len(bars), len(bars.symbols)), bool)


class Half(EmulatedFeed):
    """A feed that knows nothing of half of the names."""

    silent: frozenset[str] = frozenset()

    async def stream(self) -> AsyncIterator[Tick | Quote]:
        async for item in super().stream():
            if item.symbol not in self.silent:
                yield item

    async def candles(self, symbol: str, freq: str, since: int, until: int) -> Sequence[Candle]:
        if symbol in self.silent:
            raise RetryLater("candles: no answer")
        return await super().candles(symbol, freq, since, until)


class Day:
    """A host over one exchange, for as many days as its bars have."""

    def __init__(self, folder: Path, bars: Bars) -> None:
        self.bars, self.place = bars, folder / f"{ACCOUNT}.sqlite"
        source = BarSource(bars, start=int(bars.days[KNOWN]), tick_seconds=1800.0, deep=True)
        self.exchange = Exchange(source, seed=1, interrupts=False)
        self.exchange.open_account(ACCOUNT, CASH)
        self.silent: frozenset[str] = frozenset()
        self.host: Host | None = None

    def run(self, *, start: int, until: int, script: Script | None = None, known: int = KNOWN) -> Host:
        """One process, from `start` to `until`; `script` runs beside it."""

        async def main(clock: VirtualClock) -> Host:
            feed = Half(self.exchange, now=clock.now_ns, step=5.0)
            feed.silent = self.silent
            hub = MarketHub(feed, clock, chance=seeded_random(1), settings=HubSettings(silence=1e9))
            rule = Deployment(name=DEPLOYMENT, strategy=Hold(), bars=self.bars.slice(0, known), capital=float(CASH))
            account = Hosted(
                name=ACCOUNT, deployments=[rule], journal=self.place,
                broker=lambda _: EmulatedBroker(self.exchange, ACCOUNT, now=clock.now_ns, step=5.0),
            )  # fmt: skip
            services = {} if script is None else {"script": lambda: script(self, clock)}
            self.host = Host(
                [account], hub, clock, chance=seeded_random(2), owner="test", services=services,
                settings=RunnerSettings(intake=60.0),
            )  # fmt: skip
            await self.host.run(until=until)
            return self.host

        return run_virtual(main, start=start)

    @property
    def entries(self) -> list[Entry]:
        reader = read_journal(self.place)
        assert verify(reader).good
        found = [recorded.entry for recorded in reader.read()]
        reader.close()
        return found

    def kinds(self) -> list[Kind]:
        return [entry.kind for entry in self.entries]

    def held(self) -> dict[str, int]:
        return {symbol: held for symbol, held in self.exchange.desk.accounts[ACCOUNT].shares.items() if held}

    def orders(self) -> int:
        """How many orders the exchange has taken today."""
        return len(self.exchange.desk.accounts[ACCOUNT].orders)


def market(start: str = "2025-06-02", *, count: int = KNOWN + 2) -> Bars:
    return random_bars(seed=3, symbols=4, start=start, sessions_count=count)


def opening(bars: Bars, row: int = KNOWN) -> int:
    return session_clock(int(bars.days[row])).open


def test_on_a_full_disk_nothing_is_sent_and_with_room_again_the_account_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bars = market()
    day = Day(tmp_path, bars)
    opens = opening(bars)
    no_room = [False]

    def opened(*given: Any, **options: Any) -> StoredJournal:
        """The journal; it finds no room on the disk while `no_room`."""
        journal = open_stored(*given, **options)
        append = journal.append

        def bounded(entries: Sequence[Entry], **more: Any) -> Any:
            if no_room[0]:
                with journal._engine.connect() as connection:
                    pages = connection.exec_driver_sql("PRAGMA page_count").scalar_one()
                    connection.exec_driver_sql(f"PRAGMA max_page_count={pages}")
                big = Entry(Kind.ALARM, entries[0].time, {"code": "BIG", "detail": "x" * 200_000, "key": "big"})
                return append([*entries, big], **more)  # more than free pages inside the file can take
            return append(entries, **more)

        journal.append = bounded  # type: ignore[method-assign]
        return journal

    monkeypatch.setattr(quantkit.host, "open_journal", opened)

    async def fill_the_disk(_: Day, clock: VirtualClock) -> None:
        await clock.sleep_until(opens - 31 * MINUTE)
        no_room[0] = True

    host = day.run(start=opens - HOUR, until=opens - 10 * MINUTE, script=fill_the_disk)
    assert "JOURNAL_FULL" in host.supervisor.given_up[ACCOUNT]
    assert (day.orders(), day.kinds().count(Kind.ORDER_SUBMITTING)) == (0, 0)
    no_room[0] = False
    day.run(start=opens - 8 * MINUTE, until=opens + HOUR)
    sent = [entry.order for entry in day.entries if entry.kind is Kind.ORDER_SUBMITTING]
    assert len(set(sent)) == len(sent) == day.orders() == len(day.held()) == 4


def test_a_locked_journal_is_waited_for_and_then_the_account_starts_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database, "WAIT_S", 0.05)  # the machine's seconds; the lock stands for one of the clock's
    bars = market()
    day = Day(tmp_path, bars)
    opens = opening(bars)
    while_locked: list[int] = []

    async def lock(day: Day, clock: VirtualClock) -> None:
        await clock.sleep_until(opens - 31 * MINUTE)
        other = sqlite3.connect(day.place, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        await clock.sleep_until(opens - 30 * MINUTE + 2 * SECOND)
        while_locked.append(day.orders())
        other.execute("ROLLBACK")
        other.close()

    host = day.run(start=opens - HOUR, until=opens + HOUR, script=lock)
    assert while_locked == [0]
    assert host.supervisor.given_up == {}
    sent = [entry.order for entry in day.entries if entry.kind is Kind.ORDER_SUBMITTING]
    assert len(set(sent)) == len(sent) == day.orders() == 4
    assert len(day.held()) == 4


def test_a_second_process_takes_the_account_and_the_first_stays_down(tmp_path: Path) -> None:
    """Two real processes: the other one opens the journal while this one runs."""
    bars = market()
    day = Day(tmp_path, bars)
    opens = opening(bars)
    taking = (
        "import sys; from quantkit.live.journal import open_journal; "
        "open_journal(sys.argv[1], sys.argv[2], owner='another process', now=int(sys.argv[3])).close()"
    )

    async def take(day: Day, clock: VirtualClock) -> None:
        await clock.sleep_until(opens - 45 * MINUTE)
        subprocess.run(
            [sys.executable, "-c", taking, str(day.place), ACCOUNT, str(clock.now_ns())],
            check=True, timeout=120, env=os.environ,
        )  # fmt: skip

    host = day.run(start=opens - HOUR, until=opens + HOUR, script=take)
    assert list(host.supervisor.given_up) == [ACCOUNT]
    assert host.supervisor.given_up[ACCOUNT].startswith("SECOND_OWNER")
    assert (day.orders(), day.kinds().count(Kind.ORDER_SUBMITTING)) == (0, 0)


@pytest.mark.parametrize("moved", [3 * 3_600 * SECOND, -3 * 3_600 * SECOND])
def test_a_clock_that_is_set_moves_no_time_and_sends_nothing(tmp_path: Path, moved: int) -> None:
    """The machine's clock jumps over the open, or back before it: an alarm, and nothing else."""
    bars = market()
    day = Day(tmp_path, bars)
    opens = opening(bars)
    wall = [0]

    async def main(virtual: VirtualClock) -> Host:
        wall[0] = 0
        clock = SystemClock(wall=lambda: virtual.now_ns() + wall[0], monotonic=virtual.now_ns)
        feed = EmulatedFeed(day.exchange, now=virtual.now_ns, step=5.0)
        hub = MarketHub(feed, clock, chance=seeded_random(1), settings=HubSettings(silence=1e9))
        rule = Deployment(name=DEPLOYMENT, strategy=Hold(), bars=bars.slice(0, KNOWN), capital=float(CASH))
        account = Hosted(
            name=ACCOUNT, deployments=[rule], journal=day.place,
            broker=lambda _: EmulatedBroker(day.exchange, ACCOUNT, now=virtual.now_ns, step=5.0),
        )  # fmt: skip
        host = Host([account], hub, clock, chance=seeded_random(2), owner="test", settings=RunnerSettings(intake=60.0))
        running = virtual.call_at(opens - 50 * MINUTE, lambda: wall.__setitem__(0, moved))
        stopping = virtual.call_at(opens - 35 * MINUTE, lambda: host.stop(by="test"))
        await host.run()
        running.cancel()
        stopping.cancel()
        return host

    host = run_virtual(main, start=opens - HOUR)
    assert host.supervisor.runners[ACCOUNT].failure is None
    alarms = [entry.payload["code"] for entry in day.entries if entry.kind is Kind.ALARM]
    assert "CLOCK_JUMP" in alarms
    times = [entry.time for entry in day.entries]
    assert times == sorted(times)
    assert day.orders() == 0


def test_on_the_exam_day_orders_wait_for_half_past_nine(tmp_path: Path) -> None:
    """2025-11-13: everything is an hour later."""
    bars = market("2025-11-05")
    assert str(np.datetime64(int(bars.days[KNOWN]), "D")) == "2025-11-13"
    day = Day(tmp_path, bars)
    opens = opening(bars)
    day.run(start=opens - 2 * HOUR, until=opens + HOUR)
    at_ten = np.datetime64("2025-11-13T01:00:00", "ns").astype(np.int64)
    assert opens == at_ten
    sent = [entry.time for entry in day.entries if entry.kind is Kind.ORDER_SUBMITTING]
    filled = [entry.time for entry in day.entries if entry.kind is Kind.ORDER_FILLED]
    assert len(sent) == len(filled) == 4
    assert opens - 30 * MINUTE <= min(sent) <= max(sent) < opens - 29 * MINUTE
    assert opens <= min(filled) <= max(filled) <= opens + 40 * SECOND


def test_on_a_holiday_nothing_is_decided_and_nothing_sent(tmp_path: Path) -> None:
    """2025-06-06 is one, the weekend follows: the orders of Thursday's close go on Monday."""
    bars = market("2025-05-28")
    days = [str(np.datetime64(day, "D")) for day in bars.days.tolist()]
    assert (days[KNOWN - 1], days[KNOWN]) == ("2025-06-05", "2025-06-09")
    day = Day(tmp_path, bars)
    friday = opening(bars) - 3 * 24 * HOUR
    day.run(start=friday - HOUR, until=friday + 8 * HOUR)
    assert (day.orders(), day.held()) == (0, {})
    kinds = day.kinds()
    assert (kinds.count(Kind.SESSION_OPENED), kinds.count(Kind.BAR_FOLDED)) == (0, 1)  # Thursday's bar, read on Friday
    day.run(start=opening(bars) - HOUR, until=opening(bars) + HOUR)
    assert len(day.held()) == 4


def test_names_that_the_feed_lacks_are_not_valid_and_are_not_sold(tmp_path: Path) -> None:
    bars = market(count=KNOWN + 3)
    day = Day(tmp_path, bars)
    opens = opening(bars)
    day.run(start=opens - HOUR, until=opens + 8 * HOUR + 30 * MINUTE)
    before = day.held()
    assert len(before) == 4
    day.silent = frozenset(bars.symbols[:2])
    following = opening(bars, KNOWN + 1)
    day.run(start=following - HOUR, until=following + 9 * HOUR, known=KNOWN + 1)
    third = opening(bars, KNOWN + 2)
    day.run(start=third - HOUR, until=third + HOUR, known=KNOWN + 1)
    assert {symbol: day.held().get(symbol, 0) >= shares for symbol, shares in before.items()} == dict.fromkeys(
        before, True
    )
    folded = [entry.payload for entry in day.entries if entry.kind is Kind.BAR_FOLDED]
    assert [payload["complete"] for payload in folded][-1] is False
    sides = [entry.payload["intent"]["side"] for entry in day.entries if entry.kind is Kind.ORDER_INITIALIZED]
    assert set(sides) == {"buy"}
