"""What a replay is made of: the rows a backtest folds, and the account that the engine holds.

Contract: state, plan, rows and events come from `backtest.run.prepared`, which `backtest` itself calls. With `honest`
every row is decided when it comes, by `live.deciding.Decider`, from bars up to it and no further; else all rows are
decided at once, as in the backtest.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

from quantkit.backtest.pieces import rows_to_fold
from quantkit.brokers.sim import BarBroker
from quantkit.core.bench import Seen
from quantkit.core.state import KIND_SAME_CLOSE
from quantkit.live.book import Book
from quantkit.live.deciding import Decider
from quantkit.live.sleeves import Sleeve
from quantkit.strategy.rules import past_of, rule_of, signals_of

if TYPE_CHECKING:
    from quantkit.backtest.pieces import Folding, Terms
    from quantkit.backtest.run import Prepared
    from quantkit.core.context import Past
    from quantkit.core.state import Inputs, Records, State
    from quantkit.data.bars import Bars
    from quantkit.live.risk import GateLimits
    from quantkit.strategy.rules import ReadyRule, Signals


@dataclass
class Ready:
    """One replay before its first bar."""

    run: Prepared
    honest: bool
    folding: Folding = field(init=False)
    events: Records = field(init=False)

    def __post_init__(self) -> None:
        run = self.run
        self.events = run.events
        self.folding = rows_to_fold(
            run.terms, run.seen, run.found.rows(run.first), first=run.first, flags=run.flags, after=run.after
        )
        self._past: Past | None = None
        self._signals: Signals = {}
        strategy = self.folding.strategy
        if strategy is not None and strategy.is_rule and not self.honest:
            found = self.folding.signals
            if found is None:
                whole = signals_of(strategy, run.seen, models=run.terms.models)
                found = {name: values[run.first :] for name, values in whole.items()}
            self._signals = found
            self._past = past_of(run.seen)
        self._decider = None
        if self.honest and run.terms.strategy is not None:
            self._decider = Decider(run.terms, run.seen, first=run.first)

    @property
    def terms(self) -> Terms:
        """What it is made under."""
        return self.run.terms

    @property
    def bars(self) -> Bars:
        """The bars that are folded."""
        return self.run.bars

    @property
    def inputs(self) -> Inputs:
        """Their rows."""
        return self.folding.inputs

    @property
    def binds_cash(self) -> bool:
        """Whether all buys are cut to the cash before their bar and have a price, so that a gate may ask for it."""
        plan, strategy = self.folding.plan, self.folding.strategy
        cut = bool(plan.funding_cash) and not plan.shorting and plan.fill_kind != KIND_SAME_CLOSE
        return cut and plan.collar >= 0.0 and (strategy is None or not strategy.is_rule)

    def sleeve(self, name: str, limits: GateLimits) -> Sleeve:
        """The account under the engine."""
        run, bars = self.run, self.bars
        options: dict[str, Any] = {
            "intraday": bars.intraday, "strategy": self.folding.strategy, "interpret": run.terms.interpret,
            "record": True,
        }  # fmt: skip
        state = run.first_state()
        return Sleeve(
            name=name, book=Book(bars.symbols, state, self.folding.plan, **options),
            capital=round(run.span.cash * bars.minor_unit), markets=bars.markets, limits=limits,
            load=partial(Book.from_bytes, plan=self.folding.plan, **options), costs=run.terms.costs,
            raw=bars.prices == "raw", unit=bars.minor_unit,
        )  # fmt: skip

    def broker(self, state: State) -> BarBroker:
        """Who fills."""
        strategy = self.folding.strategy
        return BarBroker(state, self.folding.plan, rule=strategy is not None and strategy.is_rule)

    def rule(self, book: Book) -> ReadyRule | None:
        """A strategy's `on_bar` over all rows, for quiet stretches."""
        strategy, run = self.folding.strategy, self.run
        if strategy is None or not strategy.is_rule or self.honest:
            return None
        return rule_of(
            strategy, run.seen, lead=run.first, state=book.state, inputs=self.inputs, plan=self.folding.plan,
            signals=self._signals, interpret=run.terms.interpret, begins=self.folding.begins,
        )  # fmt: skip

    def row(self, row: int) -> tuple[Inputs, Seen | tuple[()]]:
        """A bar as its evening has it, and what `on_bar` may look at."""
        run = self.run
        if self._decider is not None:
            return self._honest(row, self._decider)
        laid = self.inputs.rows(row, row + 1)
        if self._past is None:
            return laid, ()
        strategy = self.folding.strategy
        warmup = 0 if strategy is None else strategy.warmup
        return laid, Seen(self._past, run.first + row, self._signals, row, max(warmup, self.folding.begins))

    def _honest(self, row: int, decider: Decider) -> tuple[Inputs, Seen | tuple[()]]:
        """The same, decided now."""
        days, now = self.run.seen.days, self.run.first + row
        following = int(days[now + 1]) if now + 1 < len(days) else self.run.after
        ends = following is None or following != days[now]
        return decider.row_of(self.run.seen.slice(0, now + 1), last=ends, after=following)
