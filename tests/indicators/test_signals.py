"""Holding between an entry and an exit."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from quantkit import indicators as ta
from quantkit.errors import BadData


def test_a_name_is_held_from_its_entry_until_its_exit_and_again() -> None:
    enter = np.array([0, 1, 1, 0, 0, 0, 1, 0], bool)
    leave = np.array([1, 0, 0, 0, 1, 0, 0, 0], bool)
    assert ta.hold(enter, leave).tolist() == [False, True, True, True, False, False, True, True]


def test_entry_and_exit_on_one_row_mean_out() -> None:
    assert ta.hold([True, True], [False, True]).tolist() == [True, False]


@given(st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=40), st.integers(1, 40))
def test_holding_is_the_obvious_loop_and_knows_only_the_past(rows: list[tuple[bool, bool]], cut: int) -> None:
    enter, leave = (np.array(column, bool)[:, None] for column in zip(*rows, strict=True))
    inside, expected = False, []
    for come, go in rows:
        inside = (inside or come) and not go
        expected.append(inside)
    held = ta.hold(enter, leave)
    assert held[:, 0].tolist() == expected
    np.testing.assert_array_equal(ta.hold(enter[:cut], leave[:cut]), held[:cut])


@pytest.mark.parametrize(("enter", "leave"), [([1.0], [True]), ([True], [[True]]), ([True, False], [True])])
def test_what_is_not_two_bool_arrays_of_one_shape_is_refused(enter: object, leave: object) -> None:
    with pytest.raises(BadData, match=r"ta\.hold"):
        ta.hold(enter, leave)  # type: ignore[arg-type]
