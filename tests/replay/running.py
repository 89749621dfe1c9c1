"""A `Case` through the replay's driver, as `tests.core.runs` takes one through the fold."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from quantkit.backtest.pieces import Decided, Terms
from quantkit.backtest.run import Prepared, Span
from quantkit.indicators import sma
from quantkit.live.journal import open_journal
from quantkit.replay.driver import NAME, Denial, Driver, gate_limits
from quantkit.replay.ready import Ready
from quantkit.replay.run import differs, ledger_of
from tests.core.scripts import scripted

if TYPE_CHECKING:
    from quantkit.core.fold import Output
    from quantkit.core.state import State
    from quantkit.live.parity import Ledger
    from tests.core.markets import Case


def prepared(case: Case) -> Prepared:
    """What `backtest.run.prepared` makes of such arguments."""
    bars = case.bars
    strategy = None if case.script is None else scripted(case.script, case.max_orders)
    terms = Terms(
        strategy=strategy, policy=case.policy, costs=case.costs, limits=case.limits, fill=case.fill, interpret=True
    )
    targets = np.ascontiguousarray(case.targets, np.float64)
    found = Decided(
        np.empty((len(bars), 0)) if strategy is not None else targets, case.targets.dtype != np.bool_, case.rank,
        sma(bars.value, 20), scale(case),
    )  # fmt: skip
    span = Span(cash=case.cash / bars.minor_unit, start=None, end=None, benchmark=None, deposits=None, again=never)
    paid = [(t, amount / bars.minor_unit) for t, amount in sorted(case.deposits.items())]
    return Prepared(
        terms=terms, span=span, seen=bars, bars=bars, first=0, found=found, paid=paid, after=None,
        history=int(bars.days[0]),
    )  # fmt: skip


def scale(case: Case) -> np.ndarray | None:
    """Factors of a volatility target."""
    from quantkit.core.scale import scale_of

    return None if case.policy.vol_target is None else scale_of(case.bars, case.policy)


def never(*_: object, **__: object) -> Any:
    raise AssertionError("nobody asks for another run")


def simulated(case: Case) -> tuple[Output, State]:
    """By the fold alone."""
    run = prepared(case)
    state = run.first_state()
    return run.fold(state), state


def replayed(case: Case, *, quick: bool = True, wide: bool = False) -> tuple[Output, Driver]:
    """Through the engine. wide: collars of the gates let every price pass."""
    run = prepared(case)
    gates = replace(gate_limits(run.terms), collar=1.0, policy_collar=1e9, exit_collar=1e9) if wide else None
    journal = open_journal(None, NAME, owner="test", now=0)
    driver = Driver(Ready(run, honest=False), journal, quick=quick, gates=gates)
    return driver.run(lambda done, total: None), driver


def explained(case: Case) -> tuple[tuple[str, ...], list[Denial], Ledger]:
    """(tables that differ, orders that a gate stopped, the ledger) of a replay with the run's own gates."""
    run = prepared(case)
    state = run.first_state()
    expected = run.result(run.fold(state), state, told=False)
    output, driver = replayed(case)
    actual = run.result(output, driver.book.state, told=False)
    return differs(expected.run, actual.run), driver.denials, ledger_of(expected, actual, driver)
