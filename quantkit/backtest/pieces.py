"""A run in pieces: what is decided of some rows, and folding them. One piece in memory, one a chunk from a lake.

Contract: everything that looks back is evaluated in the blocks of `strategy.blocks`, so the numbers of a row do not
depend on where a piece begins. A column that is added here with `_looking_back` and the bars it needs is the same in
memory and in chunks without further ado. Called by `run` and `stream`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from quantkit.core.fold import Output, plan_of, simulate
from quantkit.core.policy import CAPS
from quantkit.core.prepare import events_of, has_universe, inputs_of
from quantkit.core.scale import scale_of
from quantkit.core.state import event_rows
from quantkit.data.dates import day_text
from quantkit.errors import BadData
from quantkit.strategy import as_targets
from quantkit.strategy.blocks import history_of, in_blocks
from quantkit.strategy.fitting import evaluate_blocks, takes_model
from quantkit.strategy.rules import rule_over, signals_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from quantkit.core.policy import Policy, RiskLimits
    from quantkit.core.state import Bytes, Floats, Inputs, Record, Records, State
    from quantkit.data.bars import Bars
    from quantkit.market.costs import Costs
    from quantkit.strategy import Strategy
    from quantkit.strategy.blocks import History
    from quantkit.strategy.fitting import Models
    from quantkit.strategy.rules import Signals

LIQUIDITY_BARS = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """What a run is made under; `strategy` is None where targets are given, `models` where it fits none."""

    strategy: Strategy | None
    policy: Policy
    costs: Costs
    limits: RiskLimits | None
    fill: str
    interpret: bool = False
    models: Models | None = None

    @property
    def warmup(self) -> int:
        """Bars of each name before its targets count."""
        return 0 if self.strategy is None else self.strategy.warmup

    def history(self, *, intraday: bool) -> History:
        """Bars that an evaluation starts from."""
        return "all" if self.strategy is None else history_of(self.strategy, intraday=intraday)

    @property
    def chooses(self) -> bool:
        """Whether names may have to be chosen among, by rank or traded value."""
        scarce = any(getattr(self.policy, name) is not None for name in ("max_names", *CAPS))
        return scarce or (self.limits is not None and self.limits.max_names is not None)

    @property
    def reads_volume(self) -> bool:
        """Whether fills depend on how much was traded."""
        return self.costs.impact > 0.0 or self.policy.participation is not None

    @property
    def reach(self) -> int:
        """Bars that a run looks back besides the strategy's own evaluation."""
        return max(LIQUIDITY_BARS if self.chooses else 0, self.volatility_bars, self.warmup)

    @property
    def volatility_bars(self) -> int:
        """Bars that a volatility is measured over; 0 where none is."""
        return 0 if self.policy.vol_target is None else self.policy.vol_window + 1


class Decided(NamedTuple):
    """What is decided of R rows before they are folded."""

    targets: Floats  # (R, N)
    weights: bool  # the targets are numbers, not in or out
    rank: Floats | None  # (R, N)
    liquidity: Floats | None  # (R, N) 20-bar traded value
    scale: Floats | None = None  # (R, N) factor of a volatility target

    def rows(self, start: int) -> Decided:
        """Rows `start` on."""
        rank, liquidity, scale = (
            None if column is None else column[start:] for column in (self.rank, self.liquidity, self.scale)
        )
        return Decided(self.targets[start:], self.weights, rank, liquidity, scale)


def decide_rows(
    terms: Terms,
    bars: Bars,
    *,
    first: int = 0,
    targets: object = None,
    rank: object = None,
    allow_empty: bool = False,
    needed: int = 0,
) -> Decided:
    """Targets (none for any name where `on_bar` acts), ranks and traded values of rows `first` on.

    The rows before `first` are history.

    targets, rank: given ones in place of the strategy's, of all rows. needed: rows before it are not folded.
    """
    strategy, policy = terms.strategy, terms.policy
    whole_is_bool = policy.weighting in ("equal", "equal_held")
    if strategy is None:
        values = as_targets(targets, bars, whole_is_bool=whole_is_bool)[first:]
    elif strategy.is_rule:
        values = np.empty((len(bars) - first, 0))
    else:
        values = strategy.evaluate(bars, first=first, allow_empty=allow_empty, needed=needed, models=terms.models)
    if policy.short is None and policy.threshold is None:  # a strength may be below 0
        refuse_short(values, bars, first)
    ranks = liquidity = scale = None
    if terms.chooses:
        from quantkit.indicators import sma

        ranks = _ranks(terms, bars, first, rank, needed)
        liquidity = _looking_back(terms, lambda part: sma(part.value, LIQUIDITY_BARS), LIQUIDITY_BARS, bars, first)
    if policy.vol_target is not None:
        scale = _looking_back(terms, lambda part: scale_of(part, policy), terms.volatility_bars, bars, first)
    return Decided(np.ascontiguousarray(values, np.float64), values.dtype != np.bool_, ranks, liquidity, scale)


def _looking_back(terms: Terms, compute: Callable[[Bars], Floats], need: int, bars: Bars, first: int) -> Floats:
    """A column that looks back `need` bars, (R, N), in blocks where the strategy is evaluated in blocks."""
    history = terms.history(intraday=bars.intraday)
    found = in_blocks(compute, bars, "all" if history == "all" else max(history, need), first=first)
    return np.empty((0, len(bars.symbols))) if found is None else np.ascontiguousarray(found, np.float64)


def refuse_short(values: np.ndarray[Any, Any], bars: Bars, first: int) -> None:
    """BadData naming a target below 0; `values` are rows `first` on."""
    if values.dtype != np.bool_ and bool((values < 0).any()):
        row, column = (int(place[0]) for place in np.nonzero(values < 0))
        raise BadData(
            f"target {values[row, column]:g} for {bars.symbols[column]} on {day_text(int(bars.days[first + row]))} is "
            'negative: no retail account in Korea may sell short; use weights from 0, or simulate it: short="simulate"'
        )


def _ranks(terms: Terms, bars: Bars, first: int, rank: object, needed: int) -> Floats | None:
    """Given ranks, else the strategy's; None where it has none."""
    strategy = terms.strategy

    def checked(values: object, part: Bars) -> Floats | None:
        if values is None:
            return None
        ranks = np.ascontiguousarray(values, np.float64)
        if ranks.shape != part.shape:
            raise BadData(f"rank has shape {ranks.shape}; expected {part.shape} (bars x symbols)")
        return ranks

    if rank is not None or strategy is None:
        given = checked(rank, bars)
        return None if given is None else given[first:]
    history = terms.history(intraday=bars.intraday)
    models = terms.models if terms.models is not None and takes_model(type(strategy).rank) else None
    return evaluate_blocks(
        lambda part, *model: checked(strategy.rank(part, *model), part), bars, history, models=models, first=first,
        needed=needed, owner=f"{strategy!r}.rank",
    )  # fmt: skip


class Folding(NamedTuple):
    """What `simulate` is given besides the state, and whose `on_bar` it calls."""

    inputs: Inputs
    plan: Record
    strategy: Strategy | None
    signals: Signals | None  # of the rows folded
    begins: int  # row of the bars before which a rule has no model


def rows_to_fold(
    terms: Terms,
    bars: Bars,
    decided: Decided,
    *,
    first: int,
    flags: Bytes,
    after: int | None = None,
    dates: Records | None = None,
    signals: Signals | None = None,
) -> Folding:
    """Rows `first` on as the fold reads them; arguments as for `fold_rows`."""
    own = bars.slice(first, len(bars)) if first else bars
    strategy, begins, targets = terms.strategy, 0, decided.targets
    if strategy is not None and strategy.is_rule and terms.models is not None:
        if signals is None:
            whole = signals_of(strategy, bars, needed=first, models=terms.models)
            signals = {name: values[first:] for name, values in whole.items()}
        begins = terms.models.begins(bars)
        if begins >= len(bars):  # no model in any of these rows: nobody acts
            strategy, targets = None, np.full(own.shape, np.nan)
    inputs = inputs_of(
        own, targets, policy=terms.policy, flags=flags, rank=decided.rank, liquidity=decided.liquidity,
        after=after, dates=dates, volume=terms.reads_volume, vwap=terms.fill == "next_bar_vwap",
        scale=decided.scale,
    )  # fmt: skip
    plan = plan_of(
        terms.policy,
        terms.costs,
        terms.limits,
        fill=terms.fill,
        minor_unit=bars.minor_unit,
        grid=bars.prices == "raw",
        float_targets=decided.weights,
        has_universe=has_universe(inputs.flags),
    )
    return Folding(inputs, plan, strategy, signals, begins)


def fold_rows(
    terms: Terms,
    state: State,
    bars: Bars,
    decided: Decided,
    *,
    first: int,
    flags: Bytes,
    events: Records,
    after: int | None = None,
    dates: Records | None = None,
    signals: Signals | None = None,
) -> Output:
    """Fold rows `first` on, the rows before being what `on_bar` may look back on; `state` is carried in place.

    decided, flags, dates, signals: of the rows folded. flags: names still warming up not valid. events: counted from
    `first`. dates: where the run has more rows than these. signals: `strategy.rules.signals_of`; None: computed here.
    """
    given = rows_to_fold(terms, bars, decided, first=first, flags=flags, after=after, dates=dates, signals=signals)
    with rule_over(
        given.strategy, bars, lead=first, state=state, inputs=given.inputs, plan=given.plan, signals=given.signals,
        interpret=terms.interpret, begins=given.begins,
    ) as rule:  # fmt: skip
        return simulate(state, given.inputs, events, given.plan, rule)


def events_from(bars: Bars, first: int, deposits: list[tuple[int, float]]) -> Records:
    """Events of rows `first` >= 1 on, when the rows before were folded already: counted from `first`, as `deposits`."""
    part = bars.slice(first - 1, len(bars))
    return event_rows(events_of(part, [(row + 1, amount) for row, amount in deposits]), 1, len(part))
