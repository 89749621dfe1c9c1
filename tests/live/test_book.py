"""A book's bars are the fold's, to the last bit, with whatever broker makes the same fills."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from quantkit.core.state import State, to_bytes
from tests.core.markets import Case, cases, scripted_cases
from tests.core.runs import compiled
from tests.core.shapings import shaped, shorted
from tests.live.driving import driven

ANY_CASE = st.one_of(
    cases(), shaped(cases()), scripted_cases(), shaped(scripted_cases()), shorted(cases()), shorted(scripted_cases())
)


def fields(left: State, right: State) -> list[str]:
    """Where two states differ."""
    found = []
    for part, a, b in zip(State._fields, left, right, strict=True):
        if a.dtype.names is None:
            found += [f"{part}[{k}]: {a[k]} {b[k]}" for k in range(len(a)) if a[k] != b[k] and a[k] == a[k]]
            continue
        for k in range(len(a)):
            found += [
                f"{part}[{k}].{name}: {a[name][k]} {b[name][k]}"
                for name in a.dtype.names
                if a[name][k] != b[name][k] and not (a[name][k] != a[name][k] and b[name][k] != b[name][k])
            ]
    return found


def check(case: Case, **how: object) -> None:
    output, state = compiled(case)
    mine, mine_state, _ = driven(case, **how)  # type: ignore[arg-type]
    assert mine.cash.tolist() == output.cash.tolist()
    assert mine.equity.tolist() == output.equity.tolist()
    for table, same in zip(mine, output, strict=True):
        assert table.tobytes() == same.tobytes()
    assert not fields(mine_state, state)
    assert to_bytes(mine_state, ("x",)) == to_bytes(state, ("x",))


@given(ANY_CASE)
def test_morning_fills_and_evening_are_the_simulation_to_the_last_bit(case: Case) -> None:
    check(case)


@given(ANY_CASE)
def test_quiet_bars_in_one_call_are_the_same_bars(case: Case) -> None:
    check(case, quick=True)


@given(ANY_CASE, st.integers(1, 5))
def test_a_book_goes_on_from_its_bytes(case: Case, restart: int) -> None:
    check(case, restart=restart)
