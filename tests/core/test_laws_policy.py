"""Laws of the policies on random markets: columns, chunks, exits, caps; and what does not bind changes nothing."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import Phase, assume, given, seed, settings
from hypothesis import strategies as st

from quantkit.core import fold
from quantkit.core.fold import simulate
from quantkit.core.policy import Policy
from quantkit.core.state import REASONS, TAG_HELD_OUT, event_rows, from_bytes, to_bytes
from tests.core.markets import Case, cases
from tests.core.runs import compiled, fill_rows, prepare
from tests.core.shapings import IDLE, VALUES, shaped


@given(shaped(cases()), st.randoms(use_true_random=False))
def test_reordered_columns_change_nothing(case: Case, random: object) -> None:
    order = list(range(len(case.bars.symbols)))
    random.shuffle(order)  # type: ignore[attr-defined]
    moved = case.but(
        bars=case.bars.select([case.bars.symbols[k] for k in order]),
        targets=np.ascontiguousarray(case.targets[:, order]),
        rank=None if case.rank is None else np.ascontiguousarray(case.rank[:, order]),
    )
    here, there = compiled(case)[0], compiled(moved)[0]
    assert here.equity.tolist() == there.equity.tolist()
    renamed = [(bar, order[int(str(s))], *rest) for bar, s, *rest in fill_rows(there)]
    assert sorted(renamed) == [tuple(row) for row in fill_rows(here)]


@given(shaped(cases()), st.lists(st.integers(1, 39), max_size=4))
def test_in_chunks_and_bar_by_bar_the_run_is_the_same_to_the_last_bit(case: Case, cuts: list[int]) -> None:
    rows = len(case.bars)
    whole_output, whole_state = compiled(case)
    for edges in (sorted({0, rows, *(cut for cut in cuts if cut < rows)}), range(rows + 1)):
        start = prepare(case)
        state, parts = start.state, []
        for low, high in zip(edges, list(edges)[1:], strict=False):
            state, _ = from_bytes(to_bytes(state, case.bars.symbols))
            parts.append(simulate(state, start.inputs.rows(low, high), event_rows(start.events, low, high), start.plan))
        assert to_bytes(state, ("x",)) == to_bytes(whole_state, ("x",))
        for k, table in enumerate(whole_output):
            assert np.concatenate([part[k] for part in parts]).tobytes() == table.tobytes()


@given(shaped(cases()), st.integers(1, 39))
def test_what_happened_until_a_bar_does_not_depend_on_the_bars_after_it(case: Case, stop: int) -> None:
    stop = min(stop, len(case.bars) - 1)
    whole, cut = compiled(case)[0], compiled(case.rows(stop))[0]
    assert cut.equity.tolist() == whole.equity[:stop].tolist()
    assert cut.fills.tobytes() == whole.fills[whole.fills["bar"] < stop].tobytes()


@given(cases())
def test_policies_that_do_not_bind_change_nothing(case: Case) -> None:
    assume(case.policy.weighting not in ("cash", "shares"))  # an amount is no part of an equity that a run may lose
    idle = case.but(policy=replace(case.policy, **IDLE))
    for table, same in zip(compiled(case)[0], compiled(idle)[0], strict=True):
        assert table.tobytes() == same.tobytes()


@given(cases(calm=True))
def test_the_kernel_with_policies_and_the_small_one_agree(case: Case) -> None:
    plain = case.but(policy=replace(case.policy, max_names=None, funding="proceeds", shortfall="scale"))
    small = compiled(plain)
    chosen = fold.is_rare
    fold.is_rare = lambda *_: True
    try:
        large = compiled(plain)
    finally:
        fold.is_rare = chosen
    for table, same in zip(small[0], large[0], strict=True):
        assert table.tobytes() == same.tobytes()
    assert small[1].names["goal"].tolist() == large[1].names["goal"].tolist()


@given(cases(calm=True), st.sampled_from((0.1, 0.3)), st.sampled_from((0.4, 0.8)))
def test_goals_set_on_a_bar_are_within_the_caps(case: Case, most: float, gross: float) -> None:
    """With every bar a rebalance date all goals are sized on every bar on which a name has a value."""
    policy = replace(case.policy, cap_name=most, cap_gross=gross, rebalance=1, trade_on="change", rounding="goal")
    assume(policy.weighting != "buying_power")
    case = case.but(policy=policy)
    bars = case.bars
    for stop in range(1, len(bars) + 1, 5):
        output, state = compiled(case.rows(stop))
        told = (bars.flags[stop - 1] & 12) == 12
        if not told.all() or np.isnan(case.targets[stop - 1].astype(float)).any() or case.fill == "close":
            continue
        worth = np.floor(bars.raw.close[stop - 1] * state.names["goal"] * bars.minor_unit + 0.5)
        assert (worth <= most * output.equity[-1] + 1).all()
        assert worth.sum() <= gross * output.equity[-1] + len(worth)


@pytest.mark.parametrize("name", sorted(VALUES))
def test_random_markets_make_each_policy_bind(name: str) -> None:
    """The laws above mean little where nothing binds: each policy changes the fills of some market."""
    changed: Counter[bool] = Counter()

    @seed(20240326)
    @settings(max_examples=150, database=None, derandomize=False, phases=[Phase.generate])
    @given(shaped(cases(calm=True), name))
    def look(case: Case) -> None:
        off = Policy.__dataclass_fields__[name].default
        without = case.but(policy=replace(case.policy, **{name: off}))
        changed.update([fill_rows(compiled(without)[0]) != fill_rows(compiled(case)[0])])

    look()
    assert changed[True] > 0


def test_random_markets_reach_the_reason_and_the_tag_of_policies() -> None:
    seen: Counter[object] = Counter()

    @seed(7)
    @settings(max_examples=200, database=None, derandomize=False, phases=[Phase.generate])
    @given(shaped(cases()))
    def look(case: Case) -> None:
        orders = compiled(case)[0].orders
        seen.update({REASONS[reason] for reason in orders["reason"]})
        seen.update({int(tag) for tag in orders["tag"]})

    look()
    assert {"TURNOVER", TAG_HELD_OUT} <= set(seen)
