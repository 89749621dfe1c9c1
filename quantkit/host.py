"""Puts accounts together and keeps them running: journal, engine, broker, prices, strategies.

    Deployment   one strategy with its history and its capital
    Hosted       one account: its deployments, where its journal lies, how its broker is made
    Host         accounts and the hub they get prices from, in one process

Contract: everything that decides lives in `quantkit.live`; here parts are only connected, so `paper`, `live`, tests and
notebooks run the same thing. An account that is made again (after a crash, or the next day) goes on from its journal:
bars of the history that it has not folded come first, as backfill, and decide what their windows still allow.
Times are UTC nanoseconds.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from quantkit.backtest.pieces import Terms, decide_rows
from quantkit.backtest.run import default_costs
from quantkit.core.fold import plan_of
from quantkit.core.prepare import first_state, has_universe
from quantkit.data.bars import TRADED
from quantkit.data.dates import day_text
from quantkit.errors import BadData
from quantkit.live.book import Book
from quantkit.live.clock import VirtualClock
from quantkit.live.deciding import Decider
from quantkit.live.desk import Desk
from quantkit.live.engine import reduce
from quantkit.live.journal import open_journal
from quantkit.live.recovery import recover
from quantkit.live.risk.view import GateLimits
from quantkit.live.runner import AccountRunner, RunnerSettings
from quantkit.live.sleeves import Sleeve
from quantkit.live.status import status_of
from quantkit.live.supervisor import Supervisor
from quantkit.live.turn import Settings, fold
from quantkit.live.windows import session_of
from quantkit.strategy.rules import with_room
from quantkit.trading.events import Kind
from quantkit.trading.ports import Candle, LogsWire

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence
    from pathlib import Path

    from quantkit.core.policy import Policy, RiskLimits
    from quantkit.data.bars import Bars
    from quantkit.live.clock import Clock
    from quantkit.live.hub import MarketHub
    from quantkit.live.journal import Journal
    from quantkit.live.status import Status
    from quantkit.market.costs import Costs
    from quantkit.strategy import Strategy
    from quantkit.trading.ports import Broker

__all__ = ["Deployment", "Host", "Hosted", "bar_ends", "new_sleeve"]

_ADV_BARS = 20


@dataclass(frozen=True, kw_only=True)
class Deployment:
    """One strategy on one account. `bars`: the history that is known, at least two bars; `capital`: money of its
    sleeve at its start, in the market's unit."""

    name: str
    strategy: Strategy
    bars: Bars
    capital: float
    costs: Costs | None = None
    policy: Policy | None = None
    limits: RiskLimits | None = None
    interpret: bool = False

    @property
    def terms(self) -> Terms:
        """What it runs under, as a backtest of it would."""
        return Terms(
            strategy=self.strategy,
            policy=self.policy or self.strategy.policy,
            costs=default_costs(self.bars.intraday) if self.costs is None else self.costs,
            limits=self.limits,
            fill="next_open",
            interpret=self.interpret,
        )


@dataclass(kw_only=True)
class Hosted:
    """One account. journal: a path, a folder, a URL, None: memory, or what opens one at a time given. broker: makes its
    broker, once, from the engine as recovered. external: what orders of others mean (`live.turn.Settings`). keep:
    folder for inputs of failures. halt_file: halts the account by being there (`live.haltfile`)."""

    name: str
    deployments: Sequence[Deployment]
    broker: Callable[[Any], Broker]
    journal: str | Path | Callable[[int], Journal] | None = None
    mode: str = "paper"
    external: str = "halt"
    artifact: str = ""
    promotion: Mapping[str, Any] | None = None
    keep: Path | None = None
    halt_file: Path | None = None
    made: Broker | None = field(default=None, repr=False)


class Host:
    """Accounts over one hub. services: other work that runs beside them, by name. settings: of each account's runner;
    on virtual time commands of other processes are looked for every 5 s only."""

    def __init__(
        self, accounts: Sequence[Hosted], hub: MarketHub, clock: Clock, *, chance: Callable[[], float], owner: str,
        services: Mapping[str, Callable[[], Awaitable[None]]] | None = None, settings: RunnerSettings | None = None,
    ) -> None:  # fmt: skip
        virtual = isinstance(clock, VirtualClock)
        self._settings = settings or (RunnerSettings(intake=5.0) if virtual else RunnerSettings())
        names = [deployment.name for account in accounts for deployment in account.deployments]
        if len(set(names)) < len(names):
            raise BadData(f"two deployments of one name among {', '.join(names)}")
        self.hub, self.clock, self.owner, self._chance = hub, clock, owner, chance
        self._desks: dict[str, asyncio.Task[None]] = {}
        self.deciders: dict[str, Decider] = {}  # by deployment: what it decides under, and the bars it has seen
        self.supervisor = Supervisor(
            clock,
            {account.name: partial(self._make, account) for account in accounts},
            chance=chance,
            services={"prices": hub.run, **(services or {})},
            beat=None if virtual else 0.1,
        )

    async def run(self, *, until: int | None = None) -> None:
        """Until every account has stopped; all are asked to at `until`."""
        handle = None if until is None else self.clock.call_at(until, partial(self.stop, by="schedule", reason="over"))
        try:
            await self.supervisor.run()
        finally:
            if handle is not None:
                handle.cancel()
            for task in self._desks.values():
                task.cancel()
            await asyncio.gather(*self._desks.values(), return_exceptions=True)

    def stop(self, *, by: str, reason: str = "") -> None:
        """Ask every account to leave in good order."""
        self.supervisor.stop(by=by, reason=reason)

    def statuses(self) -> list[Status]:
        """How each account stands."""
        now, hub = self.clock.now_ns(), self.hub
        known: dict[str, Any] = {"connections": {"prices": hub.up}, "feed": hub.counts(), "market": hub.market}
        return [
            status_of(runner.engine, now, **known)  # type: ignore[arg-type]
            for runner in self.supervisor.runners.values()
        ]

    # --- making an account --------------------------------------------------------------------------------------------

    async def _make(self, account: Hosted) -> AccountRunner:
        where, now = account.journal, self.clock.now_ns()
        journal = where(now) if callable(where) else open_journal(where, account.name, owner=self.owner, now=now)
        try:
            engine = recover(journal, [new_sleeve(each) for each in account.deployments])
            if account.made is None:
                account.made = account.broker(engine)
            if isinstance(account.made, LogsWire):
                account.made.log_to(partial(journal.log_wire, None))
            engine.settings = Settings(
                external=account.external, capabilities=account.made.capabilities, market=self.hub.market
            )
            runner = AccountRunner(
                engine, journal, account.made, self.clock, reduce=reduce, chance=self._chance, fold=fold,
                keep=account.keep, started=_started(account), settings=self._settings,
                halt_file=account.halt_file,
            )  # fmt: skip
            for deployment in account.deployments:
                self._attach(deployment, runner, engine.sleeves[deployment.name], journal)
        except BaseException:
            journal.close()
            raise
        return runner

    def _attach(self, deployment: Deployment, runner: AccountRunner, sleeve: Sleeve, journal: Journal) -> None:
        """Give a deployment what it has missed of its history, then a desk at the hub."""
        bars, now = deployment.bars, self.clock.now_ns()
        ends = bar_ends(bars, market=self.hub.market)
        known = int(np.searchsorted(ends, sleeve.bar, side="right")) if sleeve.bar else len(bars) - 1
        begun = _first_bar(journal, deployment.name) or int(ends[known] if known < len(ends) else sleeve.bar)
        first = int(np.searchsorted(ends, begun))
        decider = Decider(deployment.terms, bars.slice(0, known), deployment=deployment.name, first=first)
        for row in range(known, len(bars)):
            runner.post(decider.closes(_candles(bars, row, int(ends[row])), int(ends[row]), now, backfill=True))
        desk = Desk(
            deployment.name, decider, self.clock, symbols=bars.symbols, freq=bars.freq, post=runner.post,
            note=runner.note, after=int(max(ends[-1], 0)), priority=dict.fromkeys(sleeve.positions(), 0),
        )  # fmt: skip
        before = self._desks.pop(deployment.name, None)
        if before is not None:
            before.cancel()
            self.hub.leave(deployment.name)
        self.hub.subscribe(desk.subscription)
        task = asyncio.get_running_loop().create_task(desk.run(), name=f"{deployment.name} desk")
        task.add_done_callback(partial(_tell, runner, deployment.name))
        self._desks[deployment.name], self.deciders[deployment.name] = task, decider


def _tell(runner: AccountRunner, name: str, task: asyncio.Task[None]) -> None:
    """A strategy that fails must not fail in silence."""
    if not task.cancelled() and (error := task.exception()) is not None:
        runner.alarm("STRATEGY_FAILED", f"{name}: {type(error).__name__}: {error}")


def bar_ends(bars: Bars, *, market: str = "KOSPI") -> np.ndarray[Any, np.dtype[np.int64]]:
    """(T,) end of each bar, UTC nanoseconds; a daily bar ends with its session.

    BadData for fewer than two bars, and for a daily bar of a day without a session.
    """
    if len(bars) < 2:
        raise BadData(f"{len(bars)} bars are no history: at least two are needed before trading begins")
    if bars.intraday:
        return np.asarray(bars.times * 1_000, np.int64)
    found = np.empty(len(bars), np.int64)
    for row, day in enumerate(bars.days.tolist()):
        session = session_of(day_text(day), market=market)
        if session is None:
            raise BadData(f"a bar of {day_text(day)}, on which the exchange of {market} was closed")
        found[row] = session.closes
    return found


def _candles(bars: Bars, row: int, end: int) -> list[Candle]:
    """A row of the history as the feed would have told it."""
    raw, traded = bars.raw, bars.flags[row] & TRADED
    volume = bars.field("volume")[row]
    return [
        Candle(symbol, end, float(raw.open[row, s]), float(raw.high[row, s]), float(raw.low[row, s]),
               float(raw.close[row, s]), int(volume[s]) if traded[s] else 0)
        for s, symbol in enumerate(bars.symbols)
        if np.isfinite(raw.close[row, s])
    ]  # fmt: skip


def new_sleeve(deployment: Deployment) -> Sleeve:
    """A sleeve as it begins; recovery puts what it has become in its place."""
    bars, terms, strategy = deployment.bars, deployment.terms, deployment.strategy
    money = round(deployment.capital * bars.minor_unit)
    state = with_room(strategy, first_state(bars, cash=money, policy=terms.policy))
    last = len(bars) - 1
    weights = decide_rows(terms, bars, first=last, needed=last, allow_empty=True).weights
    plan = plan_of(
        terms.policy, terms.costs, terms.limits, fill=terms.fill, minor_unit=bars.minor_unit,
        grid=bars.prices == "raw", float_targets=weights, has_universe=has_universe(bars.flags),
    )  # fmt: skip
    options: dict[str, Any] = {
        "intraday": bars.intraday, "strategy": strategy, "interpret": deployment.interpret,
    }  # fmt: skip
    volume = bars.field("volume")[-_ADV_BARS:]
    return Sleeve(
        name=deployment.name,
        book=Book(bars.symbols, state, plan, **options),
        capital=money,
        markets=bars.markets,
        limits=GateLimits.of(terms.limits, terms.policy),
        load=partial(Book.from_bytes, plan=plan, **options),
        costs=terms.costs,
        adv={} if bars.intraday else {s: float(volume[:, k].mean()) for k, s in enumerate(bars.symbols)},
        raw=bars.prices == "raw",
        unit=bars.minor_unit,
    )


def _started(account: Hosted) -> dict[str, Any]:
    from quantkit import __version__

    params = {deployment.name: deployment.strategy.params for deployment in account.deployments}
    return {
        "mode": account.mode, "artifact": account.artifact, "params": params, "version": __version__,
        "promotion": None if account.promotion is None else dict(account.promotion),
    }  # fmt: skip


def _first_bar(journal: Journal, deployment: str) -> int | None:
    """End of the first bar that a deployment folded, from its journal; None where it has folded none."""
    for recorded in journal.read():
        entry = recorded.entry
        if entry.kind is Kind.BAR_FOLDED and entry.deployment == deployment:
            return int(entry.payload["bar"])
    return None
