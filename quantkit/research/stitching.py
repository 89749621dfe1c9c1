"""One account over many windows, each traded with its own parameters.

    for each window:  targets of its parameters over all bars so far -> fold its rows -> the state goes on

Contract: the fold is that of a backtest; only the parameters change at a window's first bar. Positions, cash, goals,
stops and resting orders are carried over the edge: what both parameter sets hold is not traded there, what only the old
one held is sold when the new one says so, at the open after the window's first close. Nothing is valued, taxed or paid
twice. A window sees no bar after its end. Called by `walkforward`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from quantkit.backtest.benchmark import benchmark_levels
from quantkit.backtest.manifest import Record
from quantkit.backtest.pieces import Terms, decide_rows, events_from, fold_rows
from quantkit.backtest.result import Result
from quantkit.backtest.run import default_costs, deposit_rows, run_output
from quantkit.backtest.universe import in_universe
from quantkit.core.fold import Output
from quantkit.core.prepare import dates_in, events_of, first_state, valid_after_warmup
from quantkit.data.dates import day_text
from quantkit.strategy.fitting import models_of
from quantkit.strategy.rules import with_room

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from quantkit.core.policy import Policy, RiskLimits
    from quantkit.core.state import State
    from quantkit.data.bars import Bars
    from quantkit.market.costs import Costs
    from quantkit.research.windows import Window
    from quantkit.strategy import Strategy

__all__ = ["Account", "Chosen", "stitched"]


@dataclass(frozen=True, slots=True)
class Chosen:
    """What one window trades with."""

    strategy: Strategy
    policy: Policy


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """Money and terms of all windows; as the arguments of `quantkit.backtest`."""

    cash: float
    costs: Costs | None
    fill: str
    limits: RiskLimits | None
    benchmark: object
    deposits: object


def stitched(
    bars: Bars, windows: Sequence[Window], chosen: Sequence[Chosen], account: Account, facts: Mapping[str, Any]
) -> Result:
    """The result from the first window's first test bar to the last one's last. facts: added to the manifest."""
    first, stop = windows[0].test, windows[-1].stop
    run_bars = bars.slice(first, stop)
    paid = deposit_rows(run_bars.days, account.deposits)
    after = int(bars.days[stop]) if stop < len(bars) else None
    costs = default_costs(bars.intraday) if account.costs is None else account.costs
    cash = round(account.cash * bars.minor_unit)
    state: State | None = None
    parts: list[Output] = []
    models: list[dict[str, Any]] = []
    for window, one in zip(windows, chosen, strict=True):
        seen = in_universe(bars.slice(0, window.stop), one.strategy)
        terms = Terms(
            strategy=one.strategy, policy=one.policy, costs=costs, limits=account.limits, fill=account.fill,
            models=models_of(one.strategy, seen.times, seen.days),
        )  # fmt: skip
        found = decide_rows(terms, seen, needed=window.test, allow_empty=True)
        piece = seen.slice(window.test, window.stop)
        begin = first_state(piece, cash=cash, policy=one.policy)
        due = [(row - (window.test - first), amount) for row, amount in paid if first + row in range(*window[2:])]
        if state is None:
            state, events = with_room(one.strategy, begin), events_of(piece, due)
        else:
            state.names["group"] = begin.names["group"]
            events = events_from(seen, window.test, due)
        dates = dates_in(run_bars, one.policy, after=after)[window.test - first : window.stop - first]
        parts.append(
            fold_rows(
                terms, state, seen, found.rows(window.test), first=window.test, events=events, dates=dates,
                flags=valid_after_warmup(seen.flags, terms.warmup)[window.test :],
            )
        )  # fmt: skip
        models += [] if terms.models is None else terms.models.fitted
    assert state is not None  # there is at least one window
    output = Output._make(np.concatenate(columns) for columns in zip(*parts, strict=True))
    run = run_output(output, state, paid, cash, bars.minor_unit, len(run_bars))
    levels = benchmark_levels(account.benchmark, run_bars)
    last = chosen[-1]
    settings = {
        "cash": account.cash, "history": day_text(int(bars.days[0])), "start": day_text(int(run_bars.days[0])),
        "end": day_text(int(run_bars.days[-1])), "fill": account.fill, "benchmark": levels[0],
        "deposits": [[day_text(int(run_bars.days[row])), amount] for row, amount in paid],
        "policy": last.policy.to_dict(), "costs": costs.to_dict(),
        "limits": account.limits and account.limits.to_dict(),
    }  # fmt: skip
    record = Record(last.strategy, run_bars, None, settings, run, models=models or None)
    return Result(
        bars=run_bars, run=run, manifest=lambda: {**record(), "walk_forward": dict(facts)}, benchmark=levels[1],
        benchmark_name=levels[0], strategy=last.strategy, policy=last.policy, fill=account.fill, cost_model=costs,
    )  # fmt: skip


def with_policy(strategy: Strategy, changes: Mapping[str, object]) -> Chosen:
    """A strategy with its own policy, some fields of it changed."""
    return Chosen(strategy, replace(strategy.policy, **changes) if changes else strategy.policy)  # type: ignore[arg-type]
