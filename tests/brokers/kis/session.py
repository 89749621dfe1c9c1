"""A session over real sockets: the emulated KIS, our stream, feed and hub, own orders, connections that keep breaking.

    python -m tests.brokers.kis.session [--names 41] [--minutes N] [--speed 60] [--json]

`play` runs it on any clock: on virtual time in tests (time stands while bytes are on their way), paced for the command.
Afterwards every minute of every name is laid beside the lake's and beside what the exchange traded, and what the client
knows of its orders beside what the exchange did with them.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import itertools
import json
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Final

import numpy as np

from quantkit.brokers.kis.client import KisClient, Options
from quantkit.brokers.kis.codes import SLOTS, Environment
from quantkit.brokers.kis.feed import KisFeed
from quantkit.brokers.kis.notices import KisOrders
from quantkit.brokers.kis.server import Server
from quantkit.brokers.kis.stream import KisStream, StreamSettings
from quantkit.brokers.kis.transport import Timeouts
from quantkit.data.bars import Bars
from quantkit.data.dates import epoch_day
from quantkit.emulator.candles import candles
from quantkit.emulator.exchange import BarSource, Exchange, session_clock
from quantkit.emulator.faults import FaultPlan
from quantkit.emulator.kis import KisEmulator
from quantkit.errors import QuantkitError
from quantkit.kis import hub_settings
from quantkit.live.bars import MINUTE, SECOND, Bar, Revision
from quantkit.live.clock import VirtualClock, run_paced, seeded_random
from quantkit.live.hub import Gap, MarketHub, Subscription
from quantkit.trading.orders import OrderType, Side
from tests.brokers.kis.benches import keys_of

DAYS = ("2025-06-02", "2025-06-04")  # the third was an election day
ACCOUNT = "kis1"
TICK = 50.0
BEGINS = session_clock(epoch_day(DAYS[1])).open - 30 * SECOND


def minute_panel(names: int, *, seed: int = 7) -> Bars:
    """Two sessions of minutes: prices of 20,000 to 50,000 won, some minutes without a trade."""
    chance = np.random.default_rng(seed)
    symbols = tuple(f"{number + 1:05d}0" for number in range(names))
    minutes = [*range(1, 381), 390]  # 09:01 to 15:20, and the closing print
    times = np.concatenate([
        session_clock(day).open // 1_000 + np.array(minutes) * 60_000_000 for day in map(epoch_day, DAYS)
    ])  # fmt: skip
    shape = (len(times), names)
    level = chance.integers(500, 900, names)
    steps = chance.integers(-2, 3, shape)
    steps[0] = 0
    close = np.clip(level + np.cumsum(steps, axis=0), 420, 980)
    opens = np.vstack([close[:1], close[:-1]])
    volume = chance.integers(50, 5_000, shape).astype(float)
    quiet = chance.random(shape) < 0.05
    quiet[[0, 380, 381, -1]] = False  # opening and closing prints
    close = np.where(quiet, opens, close)
    for row in range(1, len(times)):  # a quiet minute carries the price before it
        opens[row] = close[row - 1]
        close[row] = np.where(quiet[row], opens[row], close[row])
    wide = chance.integers(0, 2, (2, *shape)) * ~quiet
    single = np.zeros(len(times), dtype=bool)
    single[[380, -1]] = True  # one print
    close[single] = opens[single]
    high = np.where(single[:, None], close, np.maximum(opens, close) + wide[0])
    low = np.where(single[:, None], close, np.minimum(opens, close) - wide[1])
    base = np.repeat(np.vstack([opens[0], close[380]]), 381, axis=0)
    fields = {name: TICK * table for name, table in (
        ("open", opens), ("high", high), ("low", low), ("close", close), ("base", base),
    )}  # fmt: skip
    return Bars(times=times, symbols=symbols, fields=fields | {"volume": np.where(quiet, 0.0, volume)}, freq="1m",
                markets="KOSPI")  # fmt: skip


@dataclass
class Outcome:
    """What came of a session. `wrong`: (name, minute, ours, theirs)."""

    compared: int = 0
    wrong_lake: list[tuple[str, str, object, object]] = field(default_factory=list)
    wrong_exchange: list[tuple[str, str, object, object]] = field(default_factory=list)
    given: int = 0
    complete: int = 0
    late: dict[int, float] = field(default_factory=dict)  # by the end of a bar given with holes: seconds until filled
    revised: int = 0
    drops: int = 0
    connections: int = 0
    orders: int = 0
    executions: int = 0
    heard: int = 0
    missed: list[str] = field(default_factory=list)
    counts: dict[str, int] = field(default_factory=dict)
    requests: int = 0
    frames: int = 0
    seconds: float = 0.0
    plan: str = ""

    def bar(self, bar: Bar) -> None:
        """One was given."""
        self.given += 1
        self.complete += bar.complete
        if not bar.complete:
            self.late[bar.end] = float("inf")

    def gap(self, now: int, gap: Gap, *, filled: bool) -> None:
        """A gap is known, or filled: the bars it reaches into are whole then."""
        for end in [end for end, seconds in self.late.items() if seconds == float("inf") and gap.since < end]:
            if filled and end <= gap.until + MINUTE:
                self.late[end] = (now - end) / SECOND

    def revision(self, rows: tuple[Revision, ...]) -> None:
        """Rows of bars that had been given were corrected."""
        self.revised += len(rows)

    def summary(self) -> dict[str, object]:
        """For people and programs."""
        hidden = ("plan", "late", "wrong_lake", "wrong_exchange")
        shown = {name: value for name, value in vars(self).items() if name not in hidden}
        late = sorted(self.late.values()) or [0.0]
        shown |= {"late_median": late[len(late) // 2], "late_most": late[-1]}
        return shown | {"wrong_lake": len(self.wrong_lake), "wrong_exchange": len(self.wrong_exchange)}


class Buyer:
    """Sends small orders, hears of them, and asks the list whenever the stream has come back."""

    def __init__(self, client: KisClient, stream: KisStream, account: str) -> None:
        self.client, self.orders = client, KisOrders(stream, account)
        self.heard: Counter[str] = Counter()
        self.listed: dict[str, int] = {}
        self.sent: list[str] = []
        self.told: set[tuple[str, int, float, int]] = set()

    async def listen(self) -> None:
        while True:
            with contextlib.suppress(QuantkitError):
                await self.orders.connect()
                await self.look()
                async for notice in self.orders.heard():
                    told = (notice.number, notice.time, notice.price, notice.quantity)
                    if notice.executed and told not in self.told:  # KIS gives an execution no number
                        self.told.add(told)
                        self.heard[notice.number] += notice.quantity

    async def look(self) -> None:
        self.listed = {line.number: line.filled for line in await self.client.orders()}

    async def buy(self, clock: VirtualClock, symbols: Sequence[str], every: float) -> None:
        place = 0
        while True:
            await clock.sleep_until(clock.now_ns() + round(every * SECOND))
            with contextlib.suppress(QuantkitError):
                told = await self.client.submit(symbols[place % len(symbols)], Side.BUY, 7, type=OrderType.MARKET)
                self.sent.append(told.number)
            place += 1


async def breaking(server: KisEmulator, clock: VirtualClock, every: float, outcome: Outcome) -> None:
    """End all sessions again and again, with a word and without one."""
    while True:
        await clock.sleep_until(clock.now_ns() + round(every * SECOND))
        outcome.drops += 1
        if outcome.drops % 2:
            server.streams.forget()
            continue
        for session in list(server.streams.sessions):
            if session.socket.transport is not None:
                session.socket.transport.abort()


GARBAGE: Final = (
    "nonsense", "{", "0|H0STCNT0|001|000010^0930", "0|H0STXXX0|001|1^2^3", "2|H0STCNT0|001|x",
    "0|H0STCNT0|001|" + "^".join(["x"] * 47), "1|H0STCNI0|001|AAAA", "0|H0STCNT0|999|" + "^".join(["1"] * 47),
)  # fmt: skip


async def noise(server: KisEmulator, clock: VirtualClock, every: float) -> None:
    """Frames between the others that nobody can read."""
    for text in itertools.cycle(GARBAGE):
        await clock.sleep_until(clock.now_ns() + round(every * SECOND))
        for session in server.streams.sessions:
            session.outbox.put_nowait(text)


async def play(
    clock: VirtualClock, *, bars: Bars, minutes: int | None = None, drop_every: float | None = 60.0,
    order_every: float = 20.0, tick_seconds: float = 3.0, faults: FaultPlan | None = None, stretch: float = 1.0,
    beat: float = 1.0, slots: int = SLOTS, noise_every: float | None = None, names_with_orders: int = 3,
) -> Outcome:  # fmt: skip
    """One session, or its first minutes, and what came of it. Seconds are this clock's; stretch: how many of them pass
    in one of the machine's."""
    outcome, symbols = Outcome(), bars.symbols
    day = epoch_day(DAYS[1])
    times = session_clock(day)
    exchange = Exchange(BarSource(bars, start=day, tick_seconds=tick_seconds), interrupts=False, random_end=False)
    until = times.close if minutes is None else times.open + minutes * MINUTE
    loop = asyncio.get_running_loop()
    with tempfile.TemporaryDirectory() as folder:
        async with KisEmulator(
            exchange, paper=False, start=clock.now_ns(), calls=10**6, beat=beat, machine=loop.time, cash=10**10,
            faults=faults,
        ) as server:  # fmt: skip
            client = KisClient(
                keys_of(server, Environment.REAL), clock=clock, folder=Path(folder),
                server=Server.emulated(Environment.REAL, server.rest, server.stream),
                options=Options(timeouts=Timeouts(total=30.0 * stretch)),
            )  # fmt: skip
            stream = KisStream(
                client, chance=seeded_random(1), settings=replace(StreamSettings().times(stretch), slots=slots)
            )
            feed = KisFeed(client, stream)
            settings = hub_settings(feed, pace=stretch)
            hub = MarketHub(feed, clock, chance=seeded_random(2), settings=settings)

            wanted = Subscription(
                name="test",
                symbols=symbols,
                freq="1m",
                on_bar=outcome.bar,
                on_revised=outcome.revision,
                on_gap=lambda gap, filled: outcome.gap(clock.now_ns(), gap, filled=filled),
            )
            outcome.plan = hub.subscribe(wanted).text()
            buyer = Buyer(client, stream, server.customers[0].account)
            works = [hub.run(), buyer.listen(), buyer.buy(clock, symbols[:names_with_orders], order_every)]
            if drop_every is not None:
                works.append(breaking(server, clock, drop_every, outcome))
            if noise_every is not None:
                works.append(noise(server, clock, noise_every))
            tasks = [loop.create_task(work) for work in works]
            begun = time.perf_counter()
            await clock.sleep_until(until)
            for task in tasks[2:]:
                task.cancel()
            if await _settled(hub, clock, until):
                outcome.gap(clock.now_ns(), Gap(symbols, times.open, until), filled=True)
            outcome.seconds = time.perf_counter() - begun
            await buyer.look()
            _compare(outcome, hub, exchange, bars, until, traded=symbols[:names_with_orders])
            _orders(outcome, exchange, buyer)
            outcome.counts = dict(stream.counts)
            outcome.connections = stream.generation
            outcome.requests, outcome.frames = server.requests, server.streams.sent
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await stream.close()
            await client.close()
    return outcome


async def _settled(hub: MarketHub, clock: VirtualClock, until: int) -> bool:
    """Wait until all bars that are over are given and corrected, two hours at most; whether they are."""
    made = hub.served[0].bars
    assert made is not None
    for _ in range(1_440):
        await clock.sleep_until(clock.now_ns() + 5 * SECOND)
        open_ = [hole for hole in (*made.holes(until), *made.scars()) if hole.end <= until]
        if not open_ and made.next_begin() >= until:
            return True
    return False


def _compare(
    outcome: Outcome, hub: MarketHub, exchange: Exchange, bars: Bars, until: int, *, traded: Sequence[str]
) -> None:
    made = hub.served[0].bars
    assert made is not None
    opens = session_clock(epoch_day(DAYS[1])).open
    for symbol in bars.symbols:
        ours = {c.close_time: (c.open, c.high, c.low, c.close, c.volume) for c in made.rows(symbol)}
        theirs = {
            c.close_time: (c.open, c.high, c.low, c.close, c.volume)
            for c in candles(exchange, symbol, "1m", opens, until) if c.volume
        }  # fmt: skip
        lake = dict(_lake(bars, symbol, opens, until))
        outcome.compared += len(theirs)
        outcome.wrong_exchange += _differences(symbol, ours, theirs, until)
        if symbol not in traded:
            outcome.wrong_lake += _differences(symbol, ours, lake, until)


def _lake(bars: Bars, symbol: str, opens: int, until: int) -> Iterator[tuple[int, tuple[float, ...]]]:
    column = bars.symbols.index(symbol)
    raw = bars.raw
    for row, end in enumerate((bars.times * 1_000).tolist()):
        if opens < end <= until and bars.volume[row, column] > 0:
            cells = (raw.open, raw.high, raw.low, raw.close, bars.volume)
            yield end, tuple(float(cell[row, column]) for cell in cells)


def _differences(
    symbol: str, ours: dict[int, tuple[float, ...]], theirs: dict[int, tuple[float, ...]], until: int
) -> list[tuple[str, str, object, object]]:
    ends = sorted(end for end in ours.keys() | theirs.keys() if end <= until)
    return [
        (symbol, str(np.datetime64(end, "ns") + np.timedelta64(9, "h"))[11:19], ours.get(end), theirs.get(end))
        for end in ends if ours.get(end) != theirs.get(end)
    ]  # fmt: skip


def _orders(outcome: Outcome, exchange: Exchange, buyer: Buyer) -> None:
    """What the client knows of its orders beside what the exchange did."""
    placed = exchange.desk.account(ACCOUNT).orders
    outcome.orders, outcome.heard = len(placed), sum(buyer.heard.values())
    outcome.executions = sum(order.filled for order in placed.values())
    for number, order in placed.items():
        known = max(buyer.heard[number], buyer.listed.get(number, 0))
        if known != order.filled or buyer.heard[number] > order.filled:
            outcome.missed.append(f"{number}: {order.filled} filled, {known} known, {buyer.heard[number]} heard")


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--names", type=int, default=41)
    parser.add_argument("--minutes", type=int, default=None, help="of the session; default: all")
    parser.add_argument("--speed", type=float, default=60.0)
    parser.add_argument("--tick-seconds", type=float, default=3.0, help="about how far apart trades of a name are")
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args(arguments)
    start = BEGINS
    told = run_paced(
        partial(play, bars=minute_panel(given.names), minutes=given.minutes, tick_seconds=given.tick_seconds,
                stretch=given.speed, beat=0.004 * given.speed),
        start=start, speed=given.speed,
    )  # fmt: skip
    wrong = (*told.wrong_lake[:5], *told.wrong_exchange[:5], *told.missed[:5])
    lines = [f"{name:<16} {value}" for name, value in told.summary().items()]
    text = json.dumps(told.summary()) if given.json else "\n".join([*lines, *map(str, wrong)])
    sys.stdout.write(f"{text}\n")
    return 1 if told.missed or told.wrong_exchange or told.wrong_lake else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
