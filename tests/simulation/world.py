"""The world of a simulated session: an exchange, one account with three strategies on it, people, and bad luck.

    world = World(drawn(7)); world.play(); world.judge.broken

Contract: everything runs on one virtual loop; `run_until` lets time pass, `do` makes something happen. The exchange,
the wire and the journal outlive a crash, the rest is made anew as a process makes it: hub, host, recovery.
The same scenario gives the same journal. Times are UTC nanoseconds.
"""

from __future__ import annotations

import asyncio
import contextvars
import zlib
from collections import Counter
from collections.abc import Callable, Coroutine, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from unittest import mock

from quantkit.data.bars import Bars
from quantkit.emulator.crowd import draw
from quantkit.emulator.exchange import Exchange
from quantkit.emulator.faults import FaultPlan
from quantkit.emulator.feed import EmulatedFeed
from quantkit.emulator.port import EmulatedBroker
from quantkit.emulator.session import midnight
from quantkit.emulator.sources import BarSource
from quantkit.errors import Refused
from quantkit.host import Deployment, Host, Hosted, new_sleeve
from quantkit.live.clock import VirtualClock, VirtualLoop, seeded_random
from quantkit.live.effects import Effects
from quantkit.live.hub import HubSettings, MarketHub
from quantkit.live.journal import MemoryJournal, leave_command, open_journal, read_journal, verify
from quantkit.live.messages import Command, Effect
from quantkit.live.recovery import recover
from quantkit.live.runner import RunnerSettings
from quantkit.trading.orders import OrderType, Side
from tests.simulation import market
from tests.simulation.judge import ROUNDING, Judge
from tests.simulation.process import OWNER, Fenced, Linked, LinkedFeed, Process, Wire, own_tasks
from tests.simulation.scenario import Act, Scenario

SECOND = 1_000_000_000
ACCOUNT = "sim"
CAPITAL = 30_000_000
CASH = 3 * CAPITAL + 20_000_000
TICKS = 120.0  # seconds between two trades of a name
STEP = 10.0  # seconds between two looks of the ports at the exchange
CALLS = 60.0  # seconds between two looks at what a call would print
LOOK = 60 * SECOND
INTRADAY = (0, 3, 6, 9)
BOOKED = (3, 5)
OPERATOR = 300 * SECOND


class World:
    """One scenario. folder: of the journal's file, where the scenario wants one; every: counts all points of the
    process, also those around effects."""

    loop_type: type[VirtualLoop] = VirtualLoop
    runner = RunnerSettings()

    def __init__(self, scenario: Scenario, *, folder: Path | None = None, every: bool = False) -> None:
        self.scenario, self.folder, self.every = scenario, folder, every
        self.bars = market.daily_bars(scenario.seed % 4, scenario.days)
        self.days = [int(day) for day in self.bars.days[-scenario.days :]]
        source = BarSource(self.bars, seed=scenario.seed, start=self.days[0], tick_seconds=TICKS)
        self.exchange = Exchange(source, seed=scenario.seed)
        self.exchange.open_account(ACCOUNT, CASH)
        self.faults = FaultPlan(scenario.faults, seed=scenario.seed)
        self.judge = self._judge()
        self.loop = self.loop_type(midnight(self.days[0]) + round(scenario.begin * SECOND))
        own_tasks(self.loop)
        self.clock = VirtualClock(self.loop)
        self.process: Process | None = None
        self.host: Host | None = None
        self.counts: Counter[str] = Counter()
        self.points = 0
        self.next_start: int | None = None
        self.trace: list[str] = []
        self._root: asyncio.Task[None] | None = None
        self._flying: dict[asyncio.Task[Any], None] = {}
        self._memory: MemoryJournal | None = None
        self._died = asyncio.Event()
        self._down = 0.0
        self._asked = 0
        self._patch = mock.patch.object(Effects, "run", _counted(Effects.run))
        self._looked = self._acted = self.loop.now_ns()

    def _judge(self) -> Judge:
        return Judge(self.exchange, ACCOUNT, CASH)

    def __enter__(self) -> Self:
        asyncio.set_event_loop(self.loop)
        if self.every:
            self._patch.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.every:
            self._patch.stop()
        if self.process is not None:
            self.process.kill()
        for task in asyncio.all_tasks(self.loop):
            task.cancel()
        for _ in range(20):
            left = sorted(asyncio.all_tasks(self.loop), key=lambda task: task.get_name())
            if not left:
                break
            for task in left:
                task.cancel()
            self.loop.run_until_complete(asyncio.wait(left, timeout=1.0))
        self.loop.run_until_complete(self.loop.shutdown_asyncgens())
        asyncio.set_event_loop(None)
        self.loop.close()

    # --- the whole ----------------------------------------------------------------------------------------------------

    def play(self) -> Judge:
        """The scenario from its first to its last moment."""
        with self:
            for number, day in enumerate(self.days):
                acts = [act for act in self.scenario.acts if number == 0 or act.what == "crash"]
                self._day(day, acts)
        return self.judge

    def _day(self, day: int, acts: Sequence[Act]) -> None:
        begins = midnight(day) + round(self.scenario.begin * SECOND)
        self.run_until(begins)
        if self.process is None:
            self.start()
        for act in acts:
            self.run_until(midnight(day) + round(act.at * SECOND))
            self.do(act)
        self.run_until(midnight(day) + round(self.scenario.end * SECOND))
        self.rest()
        self.stop()

    def stop(self) -> None:
        """The evening: leave in good order."""
        self.next_start = None
        if self.host is not None:
            self.host.stop(by="simulation", reason="evening")
            self._run_for(120 * SECOND)

    def rest(self) -> None:
        """The session is over: hold everything together."""
        if self.process is None:
            self.start()
            self._run_for(300 * SECOND)
        self.judge.at_rest(over=self.scenario.end > 15.5 * 3600)
        if self.host is None or ACCOUNT not in self.host.supervisor.runners:
            self.judge.say("down", "the account does not run")
            return
        self._replay()

    def _replay(self) -> None:
        """I4: what a restart would find."""
        assert self.host is not None
        engine: Any = self.host.supervisor.runners[ACCOUNT].engine
        sleeves = [new_sleeve(deployment) for deployment in self._deployments()]
        found = recover(self._reader(), sleeves, settings=engine.settings)
        if found.snapshot() != engine.snapshot():
            self.judge.say("I4", "memory differs from what the journal gives back")
        if self.scenario.stored:
            reader = read_journal(self._file, ACCOUNT)
            verdict = verify(reader)
            if not verdict.good:
                self.judge.say("I4", f"verify: {verdict.problems[:3]}")
            reader.close()

    # --- time ---------------------------------------------------------------------------------------------------------

    def run_until(self, at: int) -> None:
        """Let time pass, with restarts and looks on the way."""
        while self.loop.now_ns() < at:
            marks = [at]
            if self.next_start is not None:
                marks.append(self.next_start)
            if self.process is not None or self.next_start is not None:  # else nobody does anything
                marks.append(self._looked + LOOK)
            self._wait(min(marks))
            now = self.loop.now_ns()
            if self.process is not None and (self.process.dead or (self._root is not None and self._root.done())):
                self._reap()
            if self.next_start is not None and now >= self.next_start:
                self.next_start = None
                self.start()
            if now >= self._looked + LOOK:
                self._looked = now
                self.exchange.advance(now)
                self.judge.look(now)
                self._operate(now)

    def _run_for(self, nanoseconds: int) -> None:
        self.run_until(self.loop.now_ns() + nanoseconds)

    def _wait(self, at: int) -> None:
        async def wait() -> None:
            handle = self.clock.call_at(at, self._died.set)
            await self._died.wait()
            handle.cancel()
            self._died.clear()

        self.loop.run_until_complete(wait())

    # --- processes ----------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """A process begins."""
        self.counts["starts"] += 1
        number = self.counts["starts"]
        self.process = process = Process(number)
        chance = seeded_random(zlib.crc32(f"{self.scenario.seed} {number}".encode()))
        feed, settings = self._prices()
        process.links.append(feed)
        hub = MarketHub(feed, self.clock, chance=chance, settings=settings)
        self.host = Host(
            [self._hosted(process)], hub, self.clock, chance=chance, owner=f"process {number}", settings=self.runner
        )
        context = contextvars.copy_context()
        context.run(OWNER.set, process)
        self._root = self.loop.create_task(self.host.run(), context=context, name=f"process {number}")
        self._root.add_done_callback(lambda _: self._died.set())

    def _hosted(self, process: Process) -> Hosted:
        return Hosted(
            name=ACCOUNT, deployments=self._deployments(), broker=lambda engine: self._broker(process, engine),
            journal=lambda now: self._journal(process, now), external="tolerate",
        )  # fmt: skip

    def _deployments(self) -> list[Deployment]:
        row = len(self.bars) - len(self.days) + sum(midnight(day) + 16 * 3600 * SECOND < self.loop.now_ns()
                                                      for day in self.days)  # fmt: skip
        first = len(self.bars) - len(self.days)
        minute = market.minutes_before(self.bars, first, INTRADAY)
        booked = market.minutes_before(self.bars, first, BOOKED)
        daily: Bars = self.bars.slice(0, min(row, len(self.bars) - 1)) if row > first else self.bars.slice(0, first)
        if self.scenario.alone:
            return [Deployment(name="daily", strategy=market.Few(), bars=daily, capital=3 * CAPITAL)]
        return [
            Deployment(name="daily", strategy=market.Daily(), bars=daily, capital=CAPITAL),
            Deployment(name="minute", strategy=market.Minute(), bars=minute, capital=CAPITAL),
            Deployment(name="resting", strategy=market.Resting(), bars=booked, capital=CAPITAL, interpret=True),
        ]

    @property
    def _file(self) -> Path:
        assert self.folder is not None
        return self.folder / f"{ACCOUNT}.sqlite"

    def _journal(self, process: Process, now: int) -> Any:
        inner: Any
        if self.scenario.stored:
            inner = open_journal(self._file, ACCOUNT, owner=f"process {process.number}", now=now)
        else:
            self._memory = inner = MemoryJournal(ACCOUNT) if self._memory is None else self._memory.reopen()
        return Fenced(inner, process, self.judge.heard, lambda name: self.point(process, name))

    def records(self) -> list[Any]:
        """The journal, with its hashes."""
        return list(self._reader().read())

    def head(self) -> str:
        """Hash of the last entry of the journal: of all of it."""
        reader = self._reader()
        return str(reader.head()[1])

    def _reader(self) -> Any:
        return read_journal(self._file, ACCOUNT) if self.scenario.stored else self._memory

    def _broker(self, process: Process, engine: Any) -> Any:
        for sleeve in engine.sleeves.values():  # trades are rare here, so prices are older
            sleeve.limits = replace(sleeve.limits, stale_ms=400_000)
        inner = self._inner()
        process.links.append(inner)
        return Wire(
            inner, process, spawn=self.spawn, sent=self._sent, canceled=self._canceled,
            point=lambda name: self.point(process, name),
        )  # fmt: skip

    def _prices(self) -> tuple[LinkedFeed, HubSettings]:
        """The feed of the process that begins, and how its hub reads it."""
        feed = EmulatedFeed(
            self.exchange, self.faults, call_seconds=CALLS, now=self.clock.now_ns, step=STEP, timeout=5.0
        )
        return feed, HubSettings(requests_per_second=50.0, silence=600.0)

    def _inner(self) -> Linked:
        """The broker of the process that runs."""
        capabilities = replace(EmulatedBroker.__init__.__kwdefaults__["capabilities"], caller_tag=True, list_lag=90.0)
        return EmulatedBroker(
            self.exchange, ACCOUNT, self.faults, now=self.clock.now_ns, step=STEP, capabilities=capabilities
        )

    def spawn(self, work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        """Something on the wire, which no process owns."""
        context = contextvars.copy_context()
        context.run(OWNER.set, None)
        task = self.loop.create_task(work, context=context)
        self._flying[task] = None

        def ended(done: asyncio.Task[Any]) -> None:
            self._flying.pop(done, None)
            if not done.cancelled():
                done.exception()

        task.add_done_callback(ended)
        return task

    def _sent(self, approved: Any) -> None:
        self.counts["orders"] += 1
        self.judge.leaves(approved)

    def _canceled(self, number: str) -> None:
        self.counts["cancels"] += 1
        self.judge.cancels(number)

    def point(self, process: Process, name: str) -> bool:
        """A moment at which the process may die; whether it lives."""
        if process is not self.process or process.dead:
            return False
        self.points += 1
        if self.every:
            self.trace.append(name)
        if self.points in self.scenario.points:
            self.crash(down=1.0 + self.points % 7)
            return False
        return True

    def crash(self, *, down: float) -> None:
        """The process dies; another one begins `down` seconds later."""
        process = self.process
        if process is None or process.dead:
            return
        self.counts["crashes"] += 1
        self._down = down
        process.kill()
        for number, task in enumerate(list(self._flying)):
            if draw(self.scenario.seed, self.counts["crashes"], number) >= self.scenario.delivered:
                task.cancel()
        self._died.set()

    def _reap(self) -> None:
        """What is left of a process ends."""
        process, root, host = self.process, self._root, self.host
        assert process is not None
        assert root is not None
        for _ in range(50):
            if not process.left:
                break
            for task in process.left:
                task.cancel()
            self.loop.run_until_complete(asyncio.sleep(0))
        if process.left:
            self.judge.say("process", f"tasks that do not end: {process.left[:3]}")
        if not process.dead:
            if root.exception() is not None:
                self.judge.say("process", f"it ended by {root.exception()!r}")
            if host is not None and host.supervisor.given_up:
                self.judge.say("down", str(host.supervisor.given_up))
        elif root.done() and not root.cancelled():
            root.exception()
        crashed = process.dead
        process.kill()
        self.process = self.host = self._root = None
        self.judge.restarted()
        if crashed:
            self.next_start = self.loop.now_ns() + round(self._down * SECOND)

    # --- what happens -------------------------------------------------------------------------------------------------

    def do(self, act: Act) -> None:
        """Let something happen now."""
        self.exchange.advance(self.loop.now_ns())
        given = act.given
        match act.what:
            case "crash":
                self.crash(down=given["down"])
            case "restart":
                if self.process is None and self.next_start is None:
                    self.start()
            case "trade":
                self._trade(given["draw"])
            case "deposit":
                self.exchange.desk.accounts[ACCOUNT].settled += given["amount"]
                self.judge.deposit(given["amount"])
            case "command":
                self._command(given)

    def _trade(self, number: float) -> None:
        """The owner trades by hand, on another program."""
        names = self.exchange.source.symbols
        symbol = names[int(number * 997) % len(names)]
        side = Side.BUY if number < 0.7 else Side.SELL
        with suppress(Refused):
            limit = self.exchange.desk.issue(symbol).last if number * 10 % 1 < 0.5 else None
            self.exchange.submit(
                ACCOUNT, symbol, side, 1 + int(number * 100) % 9, price=limit,
                type=OrderType.MARKET if limit is None else OrderType.LIMIT,
            )  # fmt: skip
            self.counts["trades of others"] += 1

    def _command(self, given: dict[str, Any]) -> None:
        arguments = dict(given["arguments"])
        number = given["draw"]
        if given["name"] == "order" and "column" in arguments:
            issue = self.exchange.desk.issue(self.exchange.source.symbols[arguments["column"]])
            price = issue.grid.floor(issue.last * arguments["part"])
            quantity = arguments["money"] // int(price)
            arguments = {"symbol": issue.symbol, "side": "buy", "quantity": quantity, "price": price}
            arguments["deployment"] = "daily"
        elif given["name"] == "order":
            names = self.exchange.source.symbols
            symbol = names[int(number * 991) % len(names)]
            issue = self.exchange.issues.get(symbol)
            price = None if number < 0.3 or issue is None else issue.last
            side = "buy" if number * 7 % 1 < 0.7 else "sell"
            arguments = {"symbol": symbol, "side": side, "quantity": 1 + int(number * 50), "price": price}
            arguments["deployment"] = "daily" if number < 0.8 else ""
        elif given["name"] == "cancel" and not arguments:
            live = sorted(known.id for known in self.judge.orders.values() if not known.end)
            if not live:
                return
            arguments = {"order": live[int(number * len(live))]}
        self.command(given["name"], given["id"], arguments)

    def command(self, name: str, id_: str, arguments: dict[str, Any]) -> None:
        """A person leaves a command where other processes do."""
        self.counts["commands"] += 1
        command = Command(self.loop.now_ns(), id_, name, "min", "simulated", arguments)
        if self.scenario.stored:
            if self._file.exists():
                leave_command(self._file, ACCOUNT, command)
        elif self._memory is not None:
            self._memory.send(command)

    def _operate(self, now: int) -> None:
        """What a person does when alarmed, after five minutes: tell what became of orders that only a person can tell,
        book a deposit, and let what a rule has tightened run again."""
        if now < self._acted + OPERATOR or self.host is None or ACCOUNT not in self.host.supervisor.runners:
            return
        self._acted = now
        engine: Any = self.host.supervisor.runners[ACCOUNT].engine
        account = self.exchange.desk.accounts[ACCOUNT]
        for order in engine.unresolved():
            if order.id in self.judge.operator:
                number = next((p.number for p in account.orders.values() if p.tag == order.id), None)
                told = {"number": number} if number else {"outcome": "not_found"}
                self._tell("adopt", {"order": order.id, **told})
        shown = engine.now.differed.get("cash", {}).items()
        right = [there for there, here in shown if abs(here + self.judge.given - there) <= ROUNDING]
        if self.judge.given and right:
            self._tell("adopt", {"cash": True, "amount": right[-1]})
        for (scope, name), latch in engine.switches.latches.items():
            if latch.by.startswith("rule") and not self.judge.given:
                self._tell("resume", {"scope": scope.value, "name": name})

    def _tell(self, name: str, arguments: dict[str, Any]) -> None:
        self._asked += 1
        self.command(name, f"operator {self._asked}", arguments)


def _counted(run: Callable[[Effects, Effect], None]) -> Callable[[Effects, Effect], None]:
    """`Effects.run` with a point before and after it."""

    def counted(effects: Effects, effect: Effect) -> None:
        wire: Any = effects.broker
        name = type(effect).__name__
        if wire._point(f"before {name}"):
            run(effects, effect)
            wire._point(f"after {name}")

    return counted
