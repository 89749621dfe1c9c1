"""The record of a run: plain bytes, versioned, refused when it is not one."""

from __future__ import annotations

import numpy as np
import pytest

from quantkit.core.state import (
    DAY,
    EVENT_ROW,
    SETTLED,
    Mirror,
    State,
    copied,
    copy_state,
    event_rows,
    from_bytes,
    new_state,
    no_events,
    no_records,
    to_bytes,
)
from quantkit.errors import BadData

SYMBOLS = ("005930", "0009K0")


def used_state() -> State:
    state = new_state(2, cash=5_000_000, market=np.array([0, 1]))
    state.names["shares"] = (10, 0)
    state.names["peak"] = (71_300.5, 0.0)
    state.target[:] = (0.5, 0.0)
    state.account[DAY] = 19_000
    state.orders["stop"][0] = np.nan
    return state


def test_a_state_survives_the_way_through_bytes_bit_for_bit() -> None:
    state = used_state()
    data = to_bytes(state, SYMBOLS)
    restored, symbols = from_bytes(data)
    assert symbols == SYMBOLS
    assert to_bytes(restored, symbols) == data
    assert restored.names[0].shares == 10
    assert restored.names[0].peak == 71_300.5


def test_a_restored_state_can_be_changed_without_touching_the_bytes_it_came_from() -> None:
    data = to_bytes(used_state(), SYMBOLS)
    restored, _ = from_bytes(data)
    restored.account[SETTLED] = 1
    assert from_bytes(data)[0].account[SETTLED] == 5_000_000


def test_a_copied_state_goes_its_own_way() -> None:
    state = used_state()
    copied = copy_state(state)
    copied.names["shares"][0] = 99
    assert state.names[0].shares == 10
    assert copied.names[0].shares == 99


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda data: b"something else entirely", "not a quantkit state"),
        (lambda data: data[:-8], "ends inside"),
        (lambda data: data.replace(b'"version": 3', b'"version": 9'), "version 9"),
        (lambda data: data[:22] + b"}" + data[23:], "cannot be read"),
    ],
)
def test_bytes_that_are_not_a_whole_state_are_refused(damage: object, message: str) -> None:
    data = to_bytes(used_state(), SYMBOLS)
    with pytest.raises(BadData, match=message):
        from_bytes(damage(data))  # type: ignore[operator]


def test_events_of_a_chunk_count_from_its_first_row() -> None:
    events = no_records(4, EVENT_ROW)
    events["bar"] = (1, 3, 3, 7)
    assert event_rows(events, 3, 7)["bar"].tolist() == [0, 0]
    assert event_rows(no_events(), 0, 9)["bar"].tolist() == []
    assert events["bar"].tolist() == [1, 3, 3, 7]


def test_a_copied_table_goes_its_own_way() -> None:
    table = no_records(2, EVENT_ROW)
    table["bar"] = (1, 2)
    other = copied(table)
    other["bar"] = 9
    assert table["bar"].tolist() == [1, 2]
    assert other[1].bar == 9  # rows have their columns as attributes


def test_a_mirror_is_what_it_copied_table_by_table() -> None:
    state, other, third = (new_state(2, cash=money) for money in (1, 2, 3))
    other.orders["id"][0], other.names["shares"][1] = 7, 5
    mirror = Mirror(state)
    mirror.copy(other, "orders")
    assert (state.orders["id"][0], state.names["shares"][1], state.account[SETTLED]) == (7, 0, 1)
    mirror.copy(third)
    assert to_bytes(state, SYMBOLS) == to_bytes(third, SYMBOLS)
    third.account[SETTLED] = 8
    mirror.copy(third)
    assert state.account[SETTLED] == 8
