"""Whatever the strategy, the market and the policy: the live engine makes the backtest, to the last won and share.

Of a rule with orders of its own it is said with gates that let every price pass: a limit that the rule itself sets far
from the market is stopped at the gates, as it would be live. Then, and where `RiskLimits` stop at the gates what the
backtest sends, every difference has the gate as its cause.
"""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from quantkit.core.policy import RiskLimits
from quantkit.core.state import to_bytes
from tests.core.markets import Case, cases, scripted_cases
from tests.core.shapings import shaped, shorted
from tests.replay.running import explained, replayed, simulated

TARGETS = st.one_of(cases(max_bars=30, max_names=4), shaped(cases(max_bars=30, max_names=4)), shorted(cases()))
RULES = st.one_of(
    scripted_cases(), shaped(scripted_cases()), shorted(scripted_cases()), shorted(shaped(scripted_cases()))
)
SOME = settings(max_examples=30, deadline=None)


def check(case: Case, *, wide: bool = False) -> None:
    """The same tables and the same state, and no gate stopped an order."""
    output, state = simulated(case)
    mine, driver = replayed(case, wide=wide)
    assert driver.denials == []
    assert mine.cash.tolist() == output.cash.tolist()
    assert mine.equity.tolist() == output.equity.tolist()
    for table, same in zip(mine, output, strict=True):
        assert table.tobytes() == same.tobytes()
    assert to_bytes(driver.book.state, ("x",)) == to_bytes(state, ("x",))


@SOME
@given(TARGETS)
def test_targets_are_replayed_as_they_are_simulated(case: Case) -> None:
    check(case)


@SOME
@given(RULES)
def test_rules_are_replayed_as_they_are_simulated(case: Case) -> None:
    check(case.but(limits=RiskLimits()), wide=True)


@SOME
@given(RULES)
def test_what_differs_of_a_rule_was_stopped_at_a_gate(case: Case) -> None:
    differs, denials, ledger = explained(case)
    assert not differs or denials
    assert ledger.explained
    assert {row.cause for row in ledger.rows} <= {"gate"}
    assert bool(ledger.rows) == bool(denials)


@SOME
@given(st.one_of(TARGETS, RULES))
def test_quiet_bars_in_one_call_leave_the_same_engine(case: Case) -> None:
    quick, first = replayed(case, wide=True)
    slow, second = replayed(case, wide=True, quick=False)
    for table, same in zip(quick, slow, strict=True):
        assert table.tobytes() == same.tobytes()
    assert first.engine.snapshot() == second.engine.snapshot()
    assert first.denials == second.denials
    assert first.entries <= second.entries
