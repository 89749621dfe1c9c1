"""What many runs over the same bars share: the panel as a universe sees it, and the numbers of each policy.

Contract: made when first asked for and kept, a bounded number of each; nothing here depends on a run's parameters but
through its universe and its policy. Called by `research.trial`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from quantkit.backtest.batch import Stage
from quantkit.backtest.tally import new_sheet
from quantkit.backtest.universe import in_universe
from quantkit.core.fold import kernel_of, plan_of
from quantkit.core.prepare import dates_in, events_of, first_state, has_universe, inputs_of, valid_after_warmup
from quantkit.data.bars import LISTED
from quantkit.jit import frozen

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

    from quantkit.backtest.pieces import Decided, Terms
    from quantkit.core.policy import Policy, RiskLimits
    from quantkit.core.state import Bytes, Records, State
    from quantkit.data.bars import Bars
    from quantkit.indicators.memo import Memo
    from quantkit.market.costs import Costs
    from quantkit.strategy import Strategy

KEPT = 64  # of each kind


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What all runs of a runner are made under."""

    initial: int  # minor units
    costs: Costs
    fill: str
    limits: RiskLimits | None
    periods: float
    risk_free: float
    first: int  # row of the first bar that is traded
    after: int | None  # epoch day of the session after the last bar, where the bars were cut
    paid: tuple[tuple[int, float], ...]  # deposits: row, amount


class Panel:
    """The bars as one universe sees them."""

    def __init__(self, seen: Bars, settings: Settings) -> None:
        self.seen, self.settings = seen, settings
        first = settings.first
        self.bars = seen.slice(first, len(seen)) if first else seen
        self.events: Records = events_of(self.bars, settings.paid)
        self.narrowed = has_universe(self.bars.flags)
        self.sheet = new_sheet(
            self.bars.days, deposits=settings.paid, last_price=self.bars.raw.close[-1], initial=settings.initial,
            unit=seen.minor_unit, periods=settings.periods, risk_free=settings.risk_free,
        )  # fmt: skip
        self._listed = ((seen.flags[:first] & LISTED) != 0).sum(axis=0, dtype=np.int64)
        self._kept: dict[Hashable, Any] = {}

    def flags(self, warmup: int) -> Bytes:
        """Flags of the rows that are traded, names that still warm up not valid."""
        return valid_after_warmup(self.seen.flags, warmup)[self.settings.first :]

    def dates(self, policy: Policy) -> Records:
        """The DATE rows of a run."""
        return self._once(("dates", policy.rebalance), lambda: dates_in(self.bars, policy, after=self.settings.after))

    def first_state(self, policy: Policy) -> State:
        """The state before the first bar."""
        return first_state(self.bars, cash=self.settings.initial, policy=policy)

    def stage(self, terms: Terms, *, weights: bool) -> Stage:
        """What runs of a policy share that neither ranks nor scales."""
        return self._once((terms.policy, weights), lambda: self.stage_of(terms, weights=weights))  # type: ignore[no-any-return]

    def stage_of(self, terms: Terms, *, weights: bool, decided: Decided | None = None) -> Stage:
        """A stage for these ranks, traded values and scales, and for targets that the batch brings."""
        bars, policy = self.bars, terms.policy
        inputs = inputs_of(
            bars, np.empty((0, 0)) if decided is None else decided.targets, policy=policy,
            flags=bars.flags, rank=None if decided is None else decided.rank,
            liquidity=None if decided is None else decided.liquidity, dates=self.dates(policy),
            volume=terms.reads_volume, vwap=terms.fill == "next_bar_vwap",
            scale=None if decided is None else decided.scale,
        )  # fmt: skip
        plan = plan_of(
            policy, terms.costs, terms.limits, fill=terms.fill, minor_unit=bars.minor_unit,
            grid=bars.prices == "raw", float_targets=weights, has_universe=self.narrowed,
        )  # fmt: skip
        first = self.first_state(policy)
        kernel = kernel_of(first, self.events, plan)
        return Stage(frozen(inputs), first, self._listed, self.events, plan, self.sheet, kernel)

    def _once(self, name: Hashable, build: Callable[[], Any]) -> Any:
        found = self._kept.get(name)
        if found is None:
            while len(self._kept) >= KEPT:
                self._kept.pop(next(iter(self._kept)), None)
            found = self._kept[name] = build()
        return found


class Panels:
    """The panels of the universes that strategies ask for."""

    def __init__(self, bars: Bars, settings: Settings, memo: Memo | None) -> None:
        self._bars, self._settings, self._memo = bars, settings, memo
        self._kept: dict[object, Panel] = {}

    def of(self, strategy: Strategy) -> Panel:
        """The panel a strategy sees; one of a universe that is computed from the bars is made for each run."""
        universe = strategy.universe
        if universe is not None and callable(universe):
            return Panel(in_universe(self._bars, strategy), self._settings)
        key = universe if universe is None or isinstance(universe, str) else tuple(universe)
        found = self._kept.get(key)
        if found is None:
            while len(self._kept) >= KEPT:
                self._kept.pop(next(iter(self._kept)), None)
            found = self._kept[key] = Panel(in_universe(self._bars, strategy), self._settings)
            if self._memo is not None:
                self._memo.watch(found.seen)
        return found
