"""Whatever the targets, the market and the policy: the live engine makes the backtest, to the last won and share.

Not said of rules with orders of their own, which may end otherwise in some markets; `docs/live.md` says so, and a
replay that differs tells where.
"""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from quantkit.core.state import to_bytes
from tests.core.markets import Case, cases
from tests.core.shapings import shaped, shorted
from tests.replay.running import replayed, simulated

TARGETS = st.one_of(cases(max_bars=30, max_names=4), shaped(cases(max_bars=30, max_names=4)), shorted(cases()))
SOME = settings(max_examples=30)


def check(case: Case) -> None:
    """The same tables and the same state, and no gate stopped an order."""
    output, state = simulated(case)
    mine, driver = replayed(case)
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
@given(TARGETS)
def test_quiet_bars_in_one_call_leave_the_same_engine(case: Case) -> None:
    quick, first = replayed(case, wide=True)
    slow, second = replayed(case, wide=True, quick=False)
    for table, same in zip(quick, slow, strict=True):
        assert table.tobytes() == same.tobytes()
    assert first.engine.snapshot() == second.engine.snapshot()
    assert first.denials == second.denials
    assert first.entries <= second.entries
