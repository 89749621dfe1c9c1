"""A book's bars are the fold's, to the last bit, with whatever broker makes the same fills."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

import quantkit as qk
from quantkit import ta
from quantkit.core.state import State, to_bytes
from quantkit.emulator.sources import random_bars
from quantkit.host import Deployment, new_sleeve
from quantkit.live.book import Book
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


class Above(qk.Strategy):
    def targets(self, bars: qk.Bars) -> np.ndarray:
        return bars.close > ta.sma(bars.close, 3)


def test_a_book_takes_fills_before_any_bar_also_after_its_bytes_were_read() -> None:
    """A restart books what happened since its snapshot; the row of the bar that runs comes later."""
    bars = random_bars(seed=1, symbols=2, sessions_count=8)
    sleeve = new_sleeve(Deployment(name="d", strategy=Above(), bars=bars, capital=10_000_000))
    fill = {"order": -1, "symbol": 1, "side": 1, "quantity": 3, "price": 1000.0, "value": 3000, "commission": 1,
            "tax": 0, "rule": 0}  # fmt: skip
    sleeve.book.fill(**fill)
    sleeve.take_book(sleeve.book.to_bytes())
    sleeve.book.fill(**fill)
    sleeve.book.drop(7, "CANCELED")
    assert sleeve.positions() == {bars.symbols[1]: 6}
    assert sleeve.cash() == 10_000_000 - 2 * 3001


def test_any_number_of_fills_may_come_between_two_bars() -> None:
    """The rows that the steps write have buffers of some thousand; more fills than that wrote behind their end."""
    bars = random_bars(seed=1, symbols=2, sessions_count=8)
    book = new_sleeve(Deployment(name="much", strategy=Above(), bars=bars, capital=1e12)).book
    assert isinstance(book, Book)
    for number in range(12_000):
        side = 1 if number % 2 == 0 else -1
        book.fill(order=-1, symbol=0, side=side, quantity=1, price=70_000.0, value=70_000, commission=1, tax=0, rule=0)
    written = book.bench.drained()
    assert len(written.fills) == 12_000
    assert written.fills["side"].tolist() == [1, -1] * 6_000
    assert (book.cash, int(book.state.names["shares"][0])) == (10**12 - 12_000, 0)
    assert len(book.bench.drained().fills) == 0
