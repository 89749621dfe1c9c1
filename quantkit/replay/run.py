"""`replay(strategy, bars)`: through the live engine bar by bar, and beside it the backtest of the same.

Contract: pure apart from the journal; the same inputs give the same bytes. What differs, if anything does, stands in
the parity ledger with its first cause.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from quantkit.backtest.run import Span, checked, prepared, terms_of
from quantkit.compiling import with_deep_stack
from quantkit.data.bars import Bars
from quantkit.errors import ConfigError
from quantkit.live.clock import SystemClock
from quantkit.live.journal import open_journal
from quantkit.live.parity import compare, tables_of
from quantkit.plain import plain
from quantkit.progress import Shown, shown
from quantkit.replay.driver import NAME, Driver
from quantkit.replay.ready import Ready

if TYPE_CHECKING:
    from pathlib import Path

    import pandas as pd

    from quantkit.backtest.output import RunOutput
    from quantkit.backtest.result import Result
    from quantkit.core.policy import Policy, RiskLimits
    from quantkit.live.journal import Journal
    from quantkit.live.parity import Ledger
    from quantkit.live.risk import GateLimits
    from quantkit.market.costs import Costs
    from quantkit.strategy import Strategy

__all__ = ["Replayed", "replay"]


@dataclass(frozen=True, kw_only=True)
class Replayed:
    """A replay, its backtest, and what differs between them.

    result    of the replay: `.fills`, `.equity`, `.orders`, as of a backtest
    backtest  what it was compared with
    ledger    every minor unit between the two, first cause first
    journal   everything the engine wrote
    seconds   of the replay alone; entries, inputs, sent, denied: what went through the engine
    """

    result: Result
    backtest: Result
    ledger: Ledger
    journal: Journal = field(repr=False)
    seconds: float
    entries: int
    inputs: int
    sent: int
    denied: int
    honest: bool
    differs: tuple[str, ...]

    @property
    def same(self) -> bool:
        """Whether fills, orders, cash, equity and actions are the same, to the last minor unit and share."""
        return not self.differs and self.ledger.same

    @property
    def bars(self) -> Bars:
        """The bars of the run."""
        return self.result.bars

    @property
    def run(self) -> RunOutput:
        """The replay as columns."""
        return self.result.run

    @property
    def fills(self) -> pd.DataFrame:
        """Of the replay."""
        return self.result.fills

    @property
    def orders(self) -> pd.DataFrame:
        """Of the replay."""
        return self.result.orders

    @property
    def actions(self) -> pd.DataFrame:
        """Of the replay."""
        return self.result.actions

    @property
    def cash_flows(self) -> pd.DataFrame:
        """Of the replay."""
        return self.result.cash_flows

    @property
    def equity(self) -> pd.Series[float]:
        """Of the replay."""
        return self.result.equity

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        bars = len(self.bars)
        difference = np.abs(self.result.run.equity - self.backtest.run.equity).max() if bars else 0
        return {
            "same": self.same,
            "differs": list(self.differs),
            "bars": bars,
            "symbols": len(self.bars.symbols),
            "fills": {"backtest": len(self.backtest.run.fills["bar"]), "replay": len(self.run.fills["bar"])},
            "orders": {"backtest": len(self.backtest.run.orders["bar"]), "replay": len(self.run.orders["bar"])},
            "equity_difference": plain(int(difference) / self.bars.minor_unit),
            "sent": self.sent,
            "denied": self.denied,
            "journal_entries": self.entries,
            "honest": self.honest,
            "seconds": round(self.seconds, 3),
            "bars_per_second": round(bars / self.seconds) if self.seconds else None,
            "ledger": self.ledger.to_dict(),
        }

    def __repr__(self) -> str:
        word = "the same" if self.same else f"differs in {', '.join(self.differs) or 'its ledger'}"
        return f"<Replayed {len(self.bars):,} bars: {word}, {len(self.run.fills['bar']):,} fills>"


@with_deep_stack
def replay(
    strategy: Strategy | None = None,
    bars: Bars | None = None,
    *,
    targets: object = None,
    policy: Policy | None = None,
    cash: float = 100_000_000,
    start: object = None,
    end: object = None,
    costs: Costs | None = None,
    fill: str = "next_open",
    limits: RiskLimits | None = None,
    benchmark: object = None,
    deposits: object = None,
    rank: object = None,
    short: Literal["simulate"] | None = None,
    interpret: bool = False,
    honest: bool = False,
    checked_before: bool = False,
    quick: bool = True,
    gates: GateLimits | None = None,
    journal: str | Path | None = None,
    progress: Shown = False,
) -> Replayed:
    """Run a strategy through the live engine, its gates, a journal and a simulated broker, and compare with `backtest`.

    The arguments up to `interpret` are those of `backtest`. Targets are computed once for all bars, which is only right
    for a strategy that does not look ahead: so `check` is run first, and a strategy that fails it has to be replayed
    with `honest`.

    honest          compute what the strategy decides anew on every bar, from the bars up to it.
    checked_before  it has passed `check`; do not run it again.
    quick           fold bars on which no order could fill in one go; False: each on its own. The result is the same.
    gates           numbers of the gates; default: the run's own limits and collar.
    journal         a file, or a PostgreSQL URL, that must not hold an account yet; None: in memory.
    progress        a bar on the terminal, or a function called with (done, total).

    Raises ConfigError and BadData as `backtest` does, and ConfigError for a strategy that fails its check.
    """
    bars = checked(strategy, bars, targets=targets, cash=cash, fill=fill)  # type: ignore[assignment]
    if not isinstance(bars, Bars):
        raise ConfigError("replay: a stream is folded in chunks; give Bars, as Lake.bars(...) reads them")
    if strategy is not None and not honest and not checked_before:
        _refuse_unchecked(strategy, bars)
    terms = terms_of(
        strategy, policy, costs, limits, intraday=bars.intraday, fill=fill, short=short, interpret=interpret
    )
    span = Span(cash=float(cash), start=start, end=end, benchmark=benchmark, deposits=deposits, again=_again)
    run = prepared(terms, span, bars, targets=targets, rank=rank)
    state = run.first_state()
    expected = run.result(run.fold(state), state, told=False)
    ready = Ready(run, honest)
    keeping = open_journal(journal, NAME, owner="replay", now=0)
    try:
        if keeping.head()[0]:
            raise ConfigError(f"replay(journal={str(journal)!r}): it holds a journal already; give another path")
        clock = SystemClock()
        begun = clock.machine_ns()
        driver = Driver(ready, keeping, quick=quick and not honest, gates=gates)
        with shown(progress, "replay") as tell:
            output = driver.run(tell)
        seconds = (clock.machine_ns() - begun) / 1e9
        actual = run.result(output, driver.book.state, told=False)
    finally:
        keeping.close()
    return Replayed(
        result=actual, backtest=expected, ledger=ledger_of(expected, actual, driver), journal=keeping,
        seconds=seconds, entries=driver.entries, inputs=driver.inputs_made, sent=driver.sent, denied=driver.denied,
        honest=honest, differs=differs(expected.run, actual.run),
    )  # fmt: skip


def ledger_of(expected: Result, actual: Result, driver: Driver) -> Ledger:
    """What differs, with the orders that a gate stopped marked as such."""
    tables = tables_of(actual)
    stopped = {denial.fold_order: denial.code for denial in driver.denials}
    if stopped:
        orders = tables.orders.copy()
        mine = orders["order_id"].isin(list(stopped))
        orders.loc[mine, "status"] = "denied"
        orders.loc[mine, "reason"] = orders.loc[mine, "order_id"].map(stopped)
        tables = replace(tables, orders=orders)
    return compare(tables_of(expected), tables, replayed=True)


def _refuse_unchecked(strategy: Strategy, bars: Bars) -> None:
    from quantkit.research.lookahead import check

    report = check(strategy, bars)
    if not report.ok:
        raise ConfigError(
            f"replay: {strategy!r} does not pass `quantkit check`: what it decides of all bars at once may know the "
            "future. Give honest=True (--honest), which decides every bar from the bars up to it"
        )


def _again(*_: object, **__: object) -> Result:
    raise ConfigError("the result of a replay is not run again with other settings; use backtest")


def differs(expected: RunOutput, actual: RunOutput) -> tuple[str, ...]:
    """Which tables are not the same to the last bit."""
    found = [name for name in ("equity", "cash") if not np.array_equal(getattr(expected, name), getattr(actual, name))]
    for name in ("fills", "orders", "actions", "flows"):
        left, right = getattr(expected, name), getattr(actual, name)
        if any(not np.array_equal(left[key], right[key], equal_nan=left[key].dtype.kind == "f") for key in left):
            found.append(name)
    return tuple(found)
