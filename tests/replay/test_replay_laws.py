"""Whatever the strategy, the market and the policy: the live engine makes the backtest, to the last won and share.

Of rules with orders of their own it is said for daily bars without short sales. On bars within the day, and beside
`short="simulate"`, such orders may end otherwise; `docs/live.md` says so, and a replay that differs tells where.
"""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from quantkit.core.policy import RiskLimits
from quantkit.core.state import to_bytes
from tests.core.markets import Case, cases, scripted_cases
from tests.core.shapings import shaped, shorted
from tests.replay.running import replayed, simulated

TARGETS = st.one_of(cases(max_bars=30, max_names=4), shaped(cases(max_bars=30, max_names=4)), shorted(cases()))
RULES = st.one_of(scripted_cases(), shaped(scripted_cases())).filter(
    lambda case: not case.bars.intraday and case.fill != "close"  # which replay refuses of a rule
)
SOME = settings(max_examples=30)


def check(case: Case, *, wide: bool = False, stopped: tuple[str, ...] = ()) -> None:
    """The same tables and the same state; or a gate stopped an order, for one of these reasons."""
    output, state = simulated(case)
    mine, driver = replayed(case, wide=wide)
    codes = {denial.code for denial in driver.denials}
    assert codes <= set(stopped), driver.denials
    if codes:
        return
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
    check(case.but(limits=RiskLimits()), wide=True, stopped=("PRICE_LIMIT", "PRICE_COLLAR"))


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
