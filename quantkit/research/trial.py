"""One run of many on the same bars: what `backtest` computes, without the tables a person looks at.

    1. once: cut the bars, place events, rebalance dates, valid bars            Runner, _Panel
    2. each run: targets, numbers of the policy, a first state                  backtest.pieces
    3. the fold                                                                 core.fold (releases the GIL)
    4. the figures, by the same functions as `Result.figures`                   backtest.figures

Contract: `Runner.run(...)` gives the figures of `quantkit.backtest(...)` with the same arguments to the last bit, for
`targets` and for `on_bar`; a test says so. A runner may be used by many threads at once and sent to other processes.
Called by sweeps, walk-forward, Monte Carlo.

>>> Runner(None)
Traceback (most recent call last):
quantkit.errors.ConfigError: Runner(bars=None): give Bars, from Bars.from_pandas(frame) or Lake(path).bars(...)
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from quantkit.backtest import figures as _figures
from quantkit.backtest import metrics
from quantkit.backtest.pieces import Terms, decide_rows, fold_rows
from quantkit.backtest.run import default_costs, deposit_rows, first_row, money_of, run_output
from quantkit.backtest.trades import round_trips
from quantkit.backtest.universe import in_universe
from quantkit.core.policy import FILLS
from quantkit.core.prepare import dates_in, events_of, first_state, valid_after_warmup
from quantkit.data.bars import Bars
from quantkit.errors import ConfigError
from quantkit.strategy import Strategy
from quantkit.strategy.fitting import models_of
from quantkit.strategy.rules import with_room

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable
    from typing import Any

    from quantkit.backtest.output import RunOutput
    from quantkit.core.policy import Policy, RiskLimits
    from quantkit.core.state import Bytes, Floats, Ints, Records
    from quantkit.market.costs import Costs


class Trial(NamedTuple):
    """What one run left."""

    figures: dict[str, float]  # the names and values of `Result.figures`
    growth: Floats  # (T,) worth of 1 put in before the first bar, deposits taken out


class _Panel:
    """The bars as one universe sees them, and what of a run depends on them alone; made when first asked for."""

    def __init__(self, seen: Bars, first: int, paid: list[tuple[int, float]], after: int | None) -> None:
        self.seen, self.first, self.after = seen, first, after
        self.bars = seen.slice(first, len(seen)) if first else seen
        self.events: Records = events_of(self.bars, paid)
        self._kept: dict[Hashable, Any] = {}

    def flags(self, warmup: int) -> Bytes:
        """Flags of the rows of the run, names that still warm up not valid."""
        found: Bytes = self._once(("flags", warmup), lambda: valid_after_warmup(self.seen.flags, warmup)[self.first :])
        return found

    def dates(self, policy: Policy) -> Records:
        """The DATE rows of the run."""
        return self._once(("dates", policy.rebalance), lambda: dates_in(self.bars, policy, after=self.after))

    def _once(self, name: Hashable, build: Callable[[], Any]) -> Any:
        if name not in self._kept:
            self._kept[name] = build()
        return self._kept[name]


class Runner:
    """Bars and settings that many runs share; the arguments are those of `quantkit.backtest`.

    bars      the panel; those before `start` are only history
    days      (T,) epoch days of the rows that are traded

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
    ) -> None:
        if not isinstance(bars, Bars):
            raise ConfigError(f"Runner(bars={bars!r}): give Bars, from Bars.from_pandas(frame) or Lake(path).bars(...)")
        if fill not in FILLS:
            raise ConfigError(f"Runner(fill={fill!r}): choose one of {', '.join(FILLS)}")
        self.cash = money_of(cash, owner="Runner")
        self.costs = default_costs(bars.intraday) if costs is None else costs
        self.fill, self.limits, self.risk_free = fill, limits, risk_free
        self.seen = bars.window(None, end) if end is not None else bars
        self.first = first_row(self.seen, start)
        self.days: Ints = self.seen.days[self.first :]
        self.periods = metrics.periods_per_year(bars.freq)
        self._paid = deposit_rows(self.days, deposits)
        self._after = int(bars.days[len(self.seen)]) if len(self.seen) < len(bars) else None
        self._panels: dict[object, _Panel] = {}

    def __len__(self) -> int:
        """Bars that are traded."""
        return len(self.days)

    def run(self, strategy: Strategy, policy: Policy | None = None) -> Trial:
        """Figures and growth of one run; `policy` overrides the strategy's own."""
        run, last_close = self._fold(strategy, policy)
        growth = _figures.growth_of(run)
        unit = self.seen.minor_unit
        found = _figures.figures(
            run,
            days=self.days,
            growth=growth,
            trades=round_trips(run, last_price=last_close, minor_unit=unit),
            benchmark=None,
            minor_unit=unit,
            periods=self.periods,
            risk_free=self.risk_free,
        )
        return Trial(found, growth)

    def _fold(self, strategy: Strategy, policy: Policy | None) -> tuple[RunOutput, Floats]:
        """The arrays of a run, and the closes that open trades are valued at."""
        if not isinstance(strategy, Strategy):
            raise ConfigError(f"Runner.run({strategy!r}): expected an instance of a Strategy class")
        panel = self._panel(strategy)
        terms = Terms(
            strategy=strategy, policy=policy or strategy.policy, costs=self.costs, limits=self.limits, fill=self.fill,
            models=models_of(strategy, panel.seen.times, panel.seen.days),
        )  # fmt: skip
        unit = self.seen.minor_unit
        initial = round(self.cash * unit)
        found = decide_rows(terms, panel.seen, needed=self.first)
        state = with_room(strategy, first_state(panel.bars, cash=initial, policy=terms.policy))
        output = fold_rows(
            terms, state, panel.seen, found.rows(self.first), first=self.first, flags=panel.flags(terms.warmup),
            events=panel.events, after=self._after, dates=panel.dates(terms.policy),
        )  # fmt: skip
        run = run_output(output, state, self._paid, initial, unit, len(self))
        return run, panel.bars.raw.close[-1] if run.last_close is None else run.last_close

    def _panel(self, strategy: Strategy) -> _Panel:
        """The panel of the strategy's universe; one that is computed from the bars is computed for each run."""
        universe = strategy.universe
        key = tuple(universe) if isinstance(universe, list) else universe
        if callable(key):
            return self._made(strategy)
        if key not in self._panels:
            self._panels[key] = self._made(strategy)
        return self._panels[key]

    def _made(self, strategy: Strategy) -> _Panel:
        return _Panel(in_universe(self.seen, strategy), self.first, self._paid, self._after)
