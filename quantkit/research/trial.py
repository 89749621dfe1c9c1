"""One run of many on the same bars: what `backtest` computes, without the tables a person looks at.

    1. once: cut the bars, place events, rebalance dates, valid bars              Runner, research.panel
    2. each run: the strategy's targets                                           strategy
    3. runs that share a policy: fold and figures in one compiled call            backtest.batch (releases the GIL)
       a rule with memory: fold and figures by themselves                         backtest.pieces, backtest.figures

Contract: `Runner.run(...)` gives the figures of `quantkit.backtest(...)` with the same arguments to the last bit, for
`targets` and for `on_bar`; a test says so. A runner may be used by many threads at once and sent to other processes.
Called by sweeps, walk-forward, Monte Carlo.

>>> Runner(None)
Traceback (most recent call last):
quantkit.errors.ConfigError: Runner(bars=None): give Bars, from Bars.from_pandas(frame) or Lake(path).bars(...)
"""

from __future__ import annotations

import threading
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from quantkit.backtest import figures as _figures
from quantkit.backtest import metrics
from quantkit.backtest.batch import Lane, Stage, fold
from quantkit.backtest.pieces import Terms, decide_rows, fold_rows, refuse_short
from quantkit.backtest.run import default_costs, deposit_rows, first_row, money_of, run_output
from quantkit.backtest.tally import CAGR, CALMAR, MAX_DRAWDOWN, NAMES, TOTAL_RETURN
from quantkit.backtest.trades import round_trips
from quantkit.core.policy import FILLS
from quantkit.data.bars import Bars
from quantkit.errors import Bug, ConfigError
from quantkit.indicators.memo import Memo, sharing
from quantkit.research.panel import Panel, Panels, Settings
from quantkit.strategy import Strategy
from quantkit.strategy.fitting import models_of
from quantkit.strategy.rules import with_room

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from quantkit.core.policy import Policy, RiskLimits
    from quantkit.core.state import Floats, Ints
    from quantkit.market.costs import Costs

BATCH_BYTES = 1 << 20  # of targets that wait to be folded together
BATCH_RUNS = 256


class Trial(NamedTuple):
    """What one run left."""

    figures: dict[str, float]  # the names and values of `Result.figures`
    growth: Floats  # (T,) worth of 1 put in before the first bar, deposits taken out


@dataclass(slots=True)
class Trials:
    """What R runs left: a row each in the order of `tally.NAMES`, NaN where a run failed, and its error."""

    rows: Floats  # (R, F)
    errors: list[Exception | None]
    growth: Floats  # (R, T) where asked for, else (0, T)


class Runner:
    """Bars and settings that many runs share; the arguments are those of `quantkit.backtest`.

    bars      the panel; those before `start` are only history
    memory    bytes for indicators that runs share; 0: each run computes its own

    Raises ConfigError and BadData as `backtest` does.
    """

    def __init__(
        self,
        bars: Bars,
        *,
        cash: float = 100_000_000,
        start: object = None,
        end: object = None,
        costs: Costs | None = None,
        fill: str = "next_open",
        limits: RiskLimits | None = None,
        deposits: object = None,
        risk_free: float = 0.0,
        memory: int = 0,
    ) -> None:
        if not isinstance(bars, Bars):
            raise ConfigError(f"Runner(bars={bars!r}): give Bars, from Bars.from_pandas(frame) or Lake(path).bars(...)")
        if fill not in FILLS:
            raise ConfigError(f"Runner(fill={fill!r}): choose one of {', '.join(FILLS)}")
        self.seen = bars.window(None, end) if end is not None else bars
        first = first_row(self.seen, start)
        self.days: Ints = self.seen.days[first:]
        self.memory = memory
        self.settings = Settings(
            initial=round(money_of(cash, owner="Runner") * bars.minor_unit),
            costs=default_costs(bars.intraday) if costs is None else costs,
            fill=fill,
            limits=limits,
            periods=metrics.periods_per_year(bars.freq),
            risk_free=risk_free,
            first=first,
            after=int(bars.days[len(self.seen)]) if len(self.seen) < len(bars) else None,
            paid=tuple(deposit_rows(self.days, deposits)),
        )
        self._begin()

    def _begin(self) -> None:
        """What each process makes for itself."""
        self.memo = Memo(self.memory) if self.memory > 0 else None
        self._panels = Panels(self.seen, self.settings, self.memo)
        self._own = threading.local()

    def __len__(self) -> int:
        """Bars that are traded."""
        return len(self.days)

    def __getstate__(self) -> dict[str, object]:
        return {name: getattr(self, name) for name in ("seen", "days", "memory", "settings")}

    def __setstate__(self, state: dict[str, object]) -> None:
        self.__dict__.update(state)
        self._begin()

    def run(self, strategy: Strategy, policy: Policy | None = None) -> Trial:
        """Figures and growth of one run; `policy` overrides the strategy's own."""
        found = self.run_many(1, lambda _place: (strategy, policy), growth=True)
        if found.errors[0] is not None:
            raise found.errors[0]
        return Trial(dict(zip(NAMES, found.rows[0].tolist(), strict=True)), found.growth[0])

    def run_many(
        self, count: int, build: Callable[[int], tuple[Strategy, Policy | None]], *, growth: bool = False
    ) -> Trials:
        """Runs 0 to `count`, each of what `build` gives for it; one that raises fails alone, with its error."""
        book = _Book(self, count, growth=growth)
        with sharing(self.memo):
            for place in range(count):
                try:
                    self._add(book, place, build)
                except Exception as error:  # noqa: BLE001 - a user's code may raise anything; the others go on
                    book.errors[place] = self._alone(book, place, build, error)
        book.flush()
        return book.trials()

    def _alone(
        self, book: _Book, place: int, build: Callable[[int], tuple[Strategy, Policy | None]], error: Exception
    ) -> Exception | None:
        """Try again without shared indicators: a strategy may write into what it is given, as nobody else shares it."""
        if self.memo is None or self.memo.off:
            return error
        try:
            with sharing(None):
                self._add(book, place, build)
        except Exception as again:  # noqa: BLE001 - as above
            return again
        self.memo.off = True
        return None

    def _add(self, book: _Book, place: int, build: Callable[[int], tuple[Strategy, Policy | None]]) -> None:
        """Decide a run, and fold it or let it wait for others of its policy."""
        strategy, policy = build(place)
        if not isinstance(strategy, Strategy):
            raise ConfigError(f"Runner.run({strategy!r}): expected an instance of a Strategy class")
        panel = self._panels.of(strategy)
        desk = book.desk_for(panel, strategy.policy if policy is None else policy)
        first, warmup = self.settings.first, strategy.warmup
        if strategy.is_rule or desk.special:
            models = models_of(strategy, panel.seen.times, panel.seen.days)
            terms = replace(desk.terms, strategy=strategy, models=models)
        if strategy.is_rule:
            book.put(place, *self._long(panel, terms))
            return
        if desk.special:
            decided = decide_rows(terms, panel.seen, needed=first).rows(first)
            stage = panel.stage_of(desk.terms, weights=decided.weights, decided=decided)
            book.wait(place, stage, stage.inputs.targets, warmup)
            return
        values = strategy.evaluate(panel.seen, needed=first)
        weights = values.dtype != np.bool_
        if weights and desk.terms.policy.short is None:
            refuse_short(values, panel.seen, 0)
        book.wait(place, desk.stage(weights), values[first:] if first else values, warmup)

    def _long(self, panel: Panel, terms: Terms) -> tuple[list[float], Floats]:
        """Figures and growth of a rule's run."""
        settings, unit = self.settings, self.seen.minor_unit
        found = decide_rows(terms, panel.seen, needed=settings.first)
        state = with_room(terms.strategy, panel.first_state(terms.policy))
        output = fold_rows(
            terms, state, panel.seen, found.rows(settings.first), first=settings.first,
            flags=panel.flags(terms.warmup), events=panel.events, after=settings.after,
            dates=panel.dates(terms.policy),
        )  # fmt: skip
        run = run_output(output, state, list(settings.paid), settings.initial, unit, len(self))
        growth = _figures.growth_of(run)
        found_figures = _figures.figures(
            run, days=self.days, growth=growth, benchmark=None, minor_unit=unit, periods=settings.periods,
            trades=round_trips(run, last_price=panel.sheet.last_price, minor_unit=unit),
            risk_free=settings.risk_free,
        )  # fmt: skip
        return list(found_figures.values()), growth

    def lane(self, stage: Stage) -> Lane:
        """This thread's work space for runs of this shape."""
        lane: Lane | None = getattr(self._own, "lane", None)
        if lane is None or lane.shape != stage.inputs.close.shape:
            lane = self._own.lane = Lane(stage)
        return lane


class _Desk:
    """A policy on a panel: what all its runs share."""

    def __init__(self, panel: Panel, policy: Policy, settings: Settings) -> None:
        self.panel = panel
        self.terms = Terms(
            strategy=None, policy=policy, costs=settings.costs, limits=settings.limits, fill=settings.fill
        )
        self.special = self.terms.chooses or policy.threshold is not None or policy.vol_target is not None
        self._stages: dict[bool, Stage] = {}

    def stage(self, weights: bool) -> Stage:
        if weights not in self._stages:
            self._stages[weights] = self.panel.stage(self.terms, weights=weights)
        return self._stages[weights]


class _Book:
    """Runs of one call: those waiting to be folded together, and what the others left."""

    def __init__(self, runner: Runner, count: int, *, growth: bool) -> None:
        self.runner = runner
        self.rows = np.full((count, len(NAMES)), np.nan)
        self.errors: list[Exception | None] = [None] * count
        self.growth = np.full((count if growth else 0, len(runner)), np.nan)
        self._desk: _Desk | None = None
        self._stage: Stage | None = None
        self._chosen = np.empty((0, 0, 0))
        self._places: list[int] = []
        self._warmups: list[int] = []

    def desk_for(self, panel: Panel, policy: Policy) -> _Desk:
        desk = self._desk
        if desk is None or desk.panel is not panel or (desk.terms.policy is not policy and desk.terms.policy != policy):
            desk = self._desk = _Desk(panel, policy, self.runner.settings)
        return desk

    def put(self, place: int, row: list[float], growth: Floats) -> None:
        self.rows[place] = row
        if len(self.growth):
            self.growth[place] = growth

    def wait(self, place: int, stage: Stage, targets: NDArray[Any], warmup: int) -> None:
        waiting = len(self._places)
        if stage is not self._stage or targets.dtype != self._chosen.dtype or waiting == len(self._chosen):
            self.flush()
            self._stage, waiting = stage, 0
            if self._chosen.dtype != targets.dtype or self._chosen.shape[1:] != targets.shape:
                room = max(1, min(BATCH_RUNS, BATCH_BYTES // max(1, targets.nbytes)))
                self._chosen = np.empty((room, *targets.shape), targets.dtype)
        self._chosen[waiting] = targets
        self._places.append(place)
        self._warmups.append(warmup)

    def flush(self) -> None:
        """Fold the runs that wait."""
        places, stage = self._places, self._stage
        if not places or stage is None:
            return
        rows, growth, done = fold(
            stage, self.runner.lane(stage), self._chosen[: len(places)], np.array(self._warmups, np.int64),
            growth=len(self.growth) > 0,
        )  # fmt: skip
        if not done.all():
            raise Bug("a fold wrote its fills out of the order of time")
        for row, finished in enumerate(rows[:, TOTAL_RETURN].tolist()):
            rows[row, CAGR] = rate = metrics.compound_rate(finished, stage.sheet.years)
            rows[row, CALMAR] = metrics.calmar(rate, rows[row, MAX_DRAWDOWN])
        self.rows[places] = rows
        if len(self.growth):
            self.growth[places] = growth
        self._places, self._warmups = [], []

    def trials(self) -> Trials:
        return Trials(self.rows, self.errors, self.growth)
