"""Does a strategy know tomorrow? Hide it, change it, and see whether what was decided before moves (`checking/`).

    1. decide on all bars, twice, with fresh instances: equal, or the rest means nothing       decisions
    2. choose where to look and how often, by what one evaluation costs                         plan
    3. cut the future off; make up another one; leave out names nobody knew; go bar by bar      probes
    4. begin later: how much history do decisions need                                         probes
    5. rules with memory: end the backtest early and compare its orders                         orders
    6. where something moved: change single bars, read the text, name the cause                causes, hints

Contract: judges the decisions themselves, never the trades they happened to cause. Bars are not changed. The same
arguments, `cuts` among them, give the same report; left out, the number of cuts follows the time an evaluation takes.
Nothing can be said of data a strategy reads from elsewhere, nor of symbols a person chose knowing how they did.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import numpy as np

from quantkit.backtest.manifest import package_versions
from quantkit.core.prepare import has_universe
from quantkit.data.bars import Bars
from quantkit.errors import BadData, ConfigError
from quantkit.research.checking import plan
from quantkit.research.checking.base import base_of
from quantkit.research.checking.decisions import Copies
from quantkit.research.checking.findings import data_of, enough_for, judged, notes_of, warmup_of
from quantkit.research.checking.hints import hints_of
from quantkit.research.checking.orders import judge_orders
from quantkit.research.checking.probes import Probes
from quantkit.research.checking.report import CheckReport, Finding
from quantkit.strategy import Strategy
from quantkit.strategy.artifacts import afresh
from quantkit.strategy.blocks import history_of

if TYPE_CHECKING:
    from collections.abc import Callable

    Progress = Callable[[int, int], None]

BUDGET_S = 2.0
LEAST_BARS = 10


def check(
    strategy: Strategy,
    bars: Bars,
    *,
    seed: int = 0,
    cuts: int | None = None,
    cash: float = 100_000_000,
    budget: float = BUDGET_S,
    clock: Callable[[], float] = time.process_time,
    progress: Progress | None = None,
) -> CheckReport:
    """Whether a strategy's decisions depend on bars that come after them; a `CheckReport`.

    strategy   an instance, as for `backtest`; its class may use `targets` or `on_bar`.
    seed       of the places looked at and of the bars made up.
    cuts       how many cuts to make, other probes in proportion; None: as many as fit in about `budget` seconds.
    cash       money of the backtests in which a rule with memory shows its orders.
    clock      seconds by which an evaluation is measured, where `cuts` is None.
    progress   called with (steps done, steps in all).

    Raises ConfigError for arguments of the wrong kind, BadData when there are too few bars to hide any. An error of
    the strategy on all of the bars comes out as it is.
    """
    _checked(strategy, bars, cuts)
    with afresh():
        return _check(strategy, bars, seed=seed, cuts=cuts, cash=cash, budget=budget, clock=clock, progress=progress)


def _check(
    strategy: Strategy,
    bars: Bars,
    *,
    seed: int,
    cuts: int | None,
    cash: float,
    budget: float,
    clock: Callable[[], float],
    progress: Progress | None,
) -> CheckReport:
    """`check`, of arguments that fit."""
    copies, hints = Copies(strategy), hints_of(type(strategy))
    narrowed = strategy.universe is not None and has_universe(bars.flags)
    base = base_of(copies, bars, hints=hints, narrowed=narrowed, clock=clock)
    history = history_of(strategy, intraday=bars.intraday)
    pieces = history != "all" or strategy.is_fitted
    probes = Probes(copies, bars, base.whole, narrowed=narrowed, seed=seed, in_blocks=pieces)
    findings: list[Finding] = [] if base.finding is None else [base.finding]
    starts: list[tuple[int, int, int]] = []
    order_cuts = 0
    if base.finding is None:
        counts = plan.counts_for(base.cost, base.half, budget) if cuts is None else plan.counts_of(cuts)
        if base.whole:
            starts = _probe(probes, counts, strategy.warmup, progress)
            findings += judged(probes, hints)
        if strategy.is_rule:
            found, order_cuts = judge_orders(copies, bars, hints, cash=cash, seed=seed, cuts=counts.orders)
            findings += found if not findings else []
    warmup, said = warmup_of(starts, strategy.warmup)
    return CheckReport(
        strategy=strategy.name,
        params=strategy.params,
        source_hash=strategy.source_hash,
        data=data_of(bars),
        columns=(*base.whole, *(("orders",) if strategy.is_rule else ())),
        findings=tuple(findings),
        notes=(*notes_of(strategy, probes, hints), *([] if findings else said)),
        warmup=warmup,
        declared_warmup=strategy.warmup,
        history=history,
        cuts=probes.made.get("cut", 0) + probes.made.get("names", 0) + order_cuts,
        changes=probes.made.get("change", 0),
        live=probes.made.get("live", 0),
        starts=len(enough_for(starts, strategy.warmup)),
        seed=seed,
        packages=package_versions(),
    )


def _checked(strategy: object, bars: object, cuts: object) -> None:
    """ConfigError or BadData for what cannot be checked."""
    if not isinstance(strategy, Strategy):
        hint = f"{strategy.__name__}(...)" if isinstance(strategy, type) else "an instance of a Strategy class"
        raise ConfigError(f"check(strategy={strategy!r}): expected {hint}")
    if not isinstance(bars, Bars):
        raise ConfigError(
            f"check(bars={bars!r}): give Bars, from Bars.from_pandas(frame) or Lake(path).bars(...); of a stream, "
            "check a part that fits in memory"
        )
    if cuts is not None and (isinstance(cuts, bool) or not isinstance(cuts, int) or cuts < 1):
        raise ConfigError(f"check(cuts={cuts!r}): expected a whole number from 1, or None for what fits the time")
    if len(bars) < max(LEAST_BARS, strategy.warmup + LEAST_BARS):
        raise BadData(
            f"check: {len(bars)} bars, and {strategy.name} declares warmup = {strategy.warmup}: with fewer than "
            f"{strategy.warmup + LEAST_BARS} there is nothing to hide; give more bars"
        )


def _probe(probes: Probes, counts: plan.Counts, warmup: int, progress: Progress | None) -> list[tuple[int, int, int]]:
    """All probes of the columns; what the later starts showed."""
    bars, whole = probes.bars, probes.whole
    random = np.random.default_rng(probes.seed)
    stops = plan.cut_rows(bars, whole, counts.cuts, warmup=warmup, random=random)
    rows = plan.change_rows(bars, whole, counts.changes, warmup=warmup, random=random)
    runs = plan.live_runs(len(bars), whole, counts.live, warmup=warmup, random=random)
    first_rows = plan.start_rows(bars, counts.starts, warmup=warmup, random=random)
    total = len(stops) + len(rows) + sum(map(len, runs)) + len(first_rows)
    done = 0

    def step() -> None:
        nonlocal done
        done += 1
        if progress is not None:
            progress(done, total)

    probes.cuts(stops.tolist(), step)
    probes.changes(rows.tolist(), step)
    probes.live(runs, step)
    probes.names(stops[:: max(1, len(stops) // 4)].tolist())
    return probes.starts(first_rows.tolist(), step)
