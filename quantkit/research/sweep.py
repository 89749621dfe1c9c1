"""`quantkit.sweep`: one strategy, many parameters, the same bars.

    1. the space of values, and which points of it are run                  space, search
    2. the job, sent once to each worker: bars, settings, the class         work
    3. portions of points, wherever they are done: figures and errors       trial, backtest.batch
    4. results to a folder as they come, where one is given                 sweep_store
    5. one row in the run log: how many were tried, how they spread         runs
    6. the result: best, pictures, how far to believe it                    sweep_result

Contract: each run has the figures of `quantkit.backtest` with the same arguments, to the last bit, whoever made it. A
run that raises is marked with its error and the others go on. Memory is bounded: figures a run (and its growth, with
keep="equity"), indicators inside `memory`.

>>> sweep(None, None)
Traceback (most recent call last):
quantkit.errors.ConfigError: sweep(None): expected a Strategy class, such as SmaCross
"""

from __future__ import annotations

import math
from time import monotonic
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from quantkit.backtest.tally import NAMES
from quantkit.compiling import with_deep_stack
from quantkit.errors import ConfigError
from quantkit.progress import Shown, Tell, shown
from quantkit.research.search import search_of
from quantkit.research.space import Space
from quantkit.research.sweep_result import SweepResult
from quantkit.research.sweep_store import Store
from quantkit.research.trial import Runner
from quantkit.research.work import Job, crew_of, results
from quantkit.strategy import Strategy

if TYPE_CHECKING:
    from collections.abc import Callable
    from concurrent.futures import Executor
    from pathlib import Path

    from quantkit.core.policy import Policy, RiskLimits
    from quantkit.core.state import Floats
    from quantkit.data.bars import Bars
    from quantkit.market.costs import Costs
    from quantkit.research.search import Search
    from quantkit.research.space import Point
    from quantkit.research.work import Crew

MEMORY = 256 << 20
PORTION_CELLS = 1_250_000  # bars x names x runs of a portion
PORTION_RUNS = 256


@with_deep_stack
def sweep(
    strategy: type[Strategy],
    bars: Bars,
    *,
    where: Callable[[Any], object] | None = None,
    metric: str = "sharpe",
    keep: Literal["metrics", "equity"] = "metrics",
    search: Literal["grid", "random", "adaptive"] = "grid",
    runs: int | None = None,
    seed: int = 0,
    executor: Executor | None = None,
    jobs: int | None = None,
    progress: Shown = True,
    resume: str | Path | None = None,
    memory: int = MEMORY,
    cash: float = 100_000_000,
    start: object = None,
    end: object = None,
    costs: Costs | None = None,
    fill: str = "next_open",
    limits: RiskLimits | None = None,
    policy: Policy | None = None,
    **space: Any,
) -> SweepResult:
    """Run a strategy with every combination of the values given, or with some of them.

    space      values by name: of parameters of the strategy, or else of fields of its `Policy`
    where      which combinations are run: `lambda p: p.fast < p.slow`
    metric     a figure of `Result.figures`, larger is better; "-volatility": smaller is better
    keep       "metrics": figures only; "equity": the worth at each bar of each run too
    search     "grid": all; "random": `runs` of them; "adaptive": Optuna looks where earlier runs were good
               (without values, these two draw from the ranges that the parameters declare)
    executor   any `concurrent.futures.Executor`: processes, `dask.distributed.Client(...).get_executor()`, ...;
               None: `jobs` threads, one a core
    progress   a bar with runs a second and the time left; or a function that is told (done, in all)
    resume     a folder: results are kept there as they come, and a sweep that was killed goes on from them
    memory     bytes for indicators that runs share
    policy     in place of the strategy's own; the other arguments are those of `quantkit.backtest`

    A run that raises is marked "failed" in `.frame` with its error; the others go on.
    Raises ConfigError for an empty or contradictory space, names that nobody has, and arguments out of range.
    """
    _checked(strategy, metric=metric, keep=keep, jobs=jobs, memory=memory)
    runner = Runner(
        bars, cash=cash, start=start, end=end, costs=costs, fill=fill, limits=limits, memory=memory
    )  # fmt: skip
    asked = Space.of(strategy, space, where=where, drawn=search in ("random", "adaptive"))
    points, most = search_of(search, asked, runs=runs, seed=seed)
    job = Job(runner, strategy, asked.names, asked.of_policy, policy, growth=keep == "equity")
    how = {"metric": metric, "search": search, "runs": runs, "seed": seed, "keep": keep}
    store = None if resume is None else Store(resume, _identity(job, asked, how), asked.names, monotonic)
    made = _Made(job, metric, store, most)
    title = f"sweep {strategy.__name__}"
    with shown(progress, title) as advance, crew_of(job, executor, jobs) as crew:
        made.all_of(points, crew, advance)
    result = SweepResult(
        strategy_class=strategy, bars=bars, space=asked, metric=metric, points=made.points, rows=made.rows,
        errors=made.errors, growth=made.growth, job=job, search=search,
        settings={"cash": cash, "start": start, "end": end, "costs": costs, "fill": fill, "limits": limits},
    )  # fmt: skip
    _log(result, how, None if store is None else store.token)
    return result


def _checked(strategy: object, *, metric: object, keep: object, jobs: object, memory: object) -> None:
    """ConfigError for an argument that cannot be."""
    if not isinstance(strategy, type) or not issubclass(strategy, Strategy):
        hint = f"{type(strategy).__name__}, the class itself" if isinstance(strategy, Strategy) else "a Strategy class"
        raise ConfigError(f"sweep({strategy!r}): expected {hint}, such as SmaCross")
    if not isinstance(metric, str) or metric.removeprefix("-") not in NAMES:
        raise ConfigError(
            f"sweep(metric={metric!r}): choose one of {', '.join(NAMES)}; with a - in front, less is better"
        )
    if keep not in ("metrics", "equity"):
        raise ConfigError(f"sweep(keep={keep!r}): choose metrics or equity")
    if jobs is not None and (isinstance(jobs, bool) or not isinstance(jobs, int) or jobs < 1):
        raise ConfigError(f"sweep(jobs={jobs!r}): expected a number of threads, 1 or more")
    if isinstance(memory, bool) or not isinstance(memory, int) or memory < 0:
        raise ConfigError(f"sweep(memory={memory!r}): expected a number of bytes, 0 or more")


class _Made:
    """The runs made so far, in the order of the search."""

    def __init__(self, job: Job, metric: str, store: Store | None, most: int) -> None:
        self.job, self.store, self.most = job, store, most
        self.column, self.sign = NAMES.index(metric.removeprefix("-")), -1.0 if metric.startswith("-") else 1.0
        self.points: list[Point] = []
        self.errors: list[str] = []
        self._rows: list[Floats] = []
        self._growth: list[Floats] = []
        self._before = (
            {} if store is None else {point: (row, error, grown) for point, row, error, grown in store.done()}
        )

    @property
    def rows(self) -> Floats:
        """(R, F) figures."""
        return np.concatenate(self._rows) if self._rows else np.empty((0, len(NAMES)))

    @property
    def growth(self) -> Floats | None:
        """(R, T) worth of 1, where it was kept."""
        return np.concatenate(self._growth) if self.job.growth and self._growth else None

    def all_of(self, search: Search, crew: Crew | None, advance: Tell) -> None:
        """Run what the search asks for, and tell it."""
        try:
            asked = next(search)
            while True:
                self._run(asked, crew, advance)
                values = self._rows[-1][:, self.column] * self.sign
                asked = search.send(values.tolist())
        except StopIteration:
            pass
        finally:
            if self.store is not None:
                self.store.flush()

    def _run(self, asked: list[Point], crew: Crew | None, advance: Tell) -> None:
        """One list of points: those known from before, then the others."""
        job, offset = self.job, len(self.points)
        rows = np.full((len(asked), len(NAMES)), np.nan)
        growth = np.full((len(asked) if job.growth else 0, len(job.runner)), np.nan)
        errors = [""] * len(asked)
        self.points += asked
        self.errors += errors
        self._rows.append(rows)
        self._growth.append(growth)
        new = []
        for place, point in enumerate(asked):
            known = self._before.get(point)
            if known is None:
                new.append(place)
                continue
            rows[place], self.errors[offset + place] = known[0], known[1]
            if len(growth) and known[2] is not None:
                growth[place] = known[2]
        done = offset + len(asked) - len(new)
        advance(done, self.most)
        left = [asked[place] for place in new]
        for places, found in results(crew, job, left, portion_size(job, len(left), crew)):
            at = [new[place] for place in places]
            rows[at] = found.rows
            if len(growth):
                growth[at] = found.growth
            for place, error in zip(at, found.errors, strict=True):
                self.errors[offset + place] = error
            if self.store is not None:
                self.store.add([asked[place] for place in at], found)
            done += len(at)
            advance(done, self.most)


def portion_size(job: Job, runs: int, crew: Crew | None) -> int:
    """Runs of a portion: enough to be worth sending, few enough that all workers have some."""
    cells = max(1, len(job.runner.seen) * len(job.runner.seen.symbols))
    workers = 1 if crew is None else crew.workers
    return max(1, min(PORTION_RUNS, PORTION_CELLS // cells, math.ceil(runs / (2 * workers))))


def _identity(job: Job, space: Space, how: dict[str, Any]) -> dict[str, Any]:
    """What makes two sweeps the same, as plain data."""
    from quantkit.backtest.manifest import rows_digest, rules_digest

    settings, runner = job.runner.settings, job.runner
    return {
        "strategy": job.strategy.__name__,
        "code": _code(job.strategy),
        "space": space.plain(),
        "policy": None if job.policy is None else job.policy.to_dict(),
        "costs": settings.costs.to_dict(),
        "limits": None if settings.limits is None else settings.limits.to_dict(),
        "fill": settings.fill,
        "cash": settings.initial,
        "rows": [settings.first, len(runner.seen)],
        "bars": rows_digest([runner.seen], runner.seen.actions),
        "symbols": list(runner.seen.symbols),
        "rules": rules_digest(),
        **{name: value for name, value in how.items() if name != "metric" or how["search"] == "adaptive"},
    }


def _code(strategy: type[Strategy]) -> str:
    from quantkit.strategy.sources import source_of

    return source_of(strategy).sha256


def _log(result: SweepResult, how: dict[str, Any], token: str | None) -> None:
    """One row of the run log for all runs."""
    from quantkit.research import runs

    if runs.place_of(result.bars) is None:
        return
    periods = result.job.runner.settings.periods
    sharpes = result.rows[:, NAMES.index("sharpe")] / math.sqrt(periods)
    best = result.place_of_best
    runs.record(
        kind="sweep", strategy=result.strategy_class, bars=result.bars, parameters=result.space.plain(),
        metrics={} if best is None else dict(zip(NAMES, result.rows[best].tolist(), strict=True)),
        sharpes=sharpes, trials=len(result.rows), periods=periods, token=token,
        settings={
            **how, "cash": result.settings["cash"], "fill": result.settings["fill"],
            "start": None if result.settings["start"] is None else str(result.settings["start"]),
            "end": None if result.settings["end"] is None else str(result.settings["end"]),
            "best": result.best if best is not None else None,
        },
    )  # fmt: skip
