"""Laws of runs that may sell short: random markets of `tests.core.markets` with some targets turned negative."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
from hypothesis import Phase, given, seed, settings
from hypothesis import strategies as st

from quantkit.core.fold import Output, simulate
from quantkit.core.policy import RiskLimits
from quantkit.core.state import ORDER_STATUS, REASONS, RULES, event_rows, from_bytes, to_bytes
from tests.core.markets import Case, cases
from tests.core.runs import compiled, fill_rows, prepare
from tests.core.shapings import shorted

ROOT = Path(__file__).resolve().parents[2]


def holdings(case: Case, output: Output) -> np.ndarray:
    change = np.zeros(case.bars.shape, np.int64)
    np.add.at(change, (output.fills["bar"], output.fills["symbol"]), output.fills["side"] * output.fills["quantity"])
    of_names = output.actions[output.actions["symbol"] >= 0]
    np.add.at(change, (of_names["bar"], of_names["symbol"]), of_names["share_delta"])
    return change.cumsum(axis=0)


@given(shorted(cases()))
def test_equity_moves_by_prices_costs_and_what_actions_bring(case: Case) -> None:
    """Equity less cash and what is receivable is the positions at the close, and nothing else moves cash."""
    output, state = compiled(case)
    held = holdings(case, output)
    assert held[-1].tolist() == (state.names["shares"] + state.names["due"]).tolist()
    unit = case.bars.minor_unit
    worth = np.floor(np.nan_to_num(case.bars.raw.close) * held * unit + 0.5).astype(np.int64).sum(axis=1)
    flow = -output.fills["side"] * output.fills["value"] - output.fills["commission"] - output.fills["tax"]
    money = np.full(len(case.bars), case.cash)
    for bar, amount in [
        *zip(output.fills["bar"], flow, strict=True),
        *zip(output.actions["bar"], output.actions["cash"], strict=True),
        *case.deposits.items(),
    ]:
        money[bar:] += amount
    assert (money + worth).tolist() == output.equity.tolist()


@given(shorted(cases()), st.lists(st.integers(1, 39), max_size=3))
def test_in_chunks_and_bar_by_bar_a_short_run_is_the_same(case: Case, cuts: list[int]) -> None:
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


@given(shorted(cases()), st.randoms(use_true_random=False))
def test_reordered_columns_change_no_short_run(case: Case, random: object) -> None:
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


@given(cases())
def test_to_allow_shorts_changes_no_run_without_them(case: Case) -> None:
    allowed = case.but(policy=replace(case.policy, short="simulate"))
    one, other = compiled(case), compiled(allowed)
    for left, right in zip(one[0], other[0], strict=True):
        assert left.tobytes() == right.tobytes()
    for name in ("shares", "goal", "entry_value", "peak", "marks"):
        assert one[1].names[name].tolist() == other[1].names[name].tolist()


@given(shorted(cases(calm=True)))
def test_a_mirror_earns_what_the_position_loses(case: Case) -> None:
    """Goals in shares, no costs, no limits, free prices: short shares lose to the won what long ones earn."""
    plain = replace(case.policy, weighting="shares", amount=40.0, collar=None, stop_loss=None, take_profit=None,
                    trailing_stop=None, slippage_on="both", participation=None, max_names=None)  # fmt: skip
    costs = replace(case.costs, commission=0.0, minimum=0, fixed=0.0, tax=0.0, slippage_ticks=0.0, slippage_bps=0.0,
                    impact=0.0, interest=0.0, borrow=0.0)  # fmt: skip
    flags = np.where(case.bars.flags > 0, 15 | 16, 0).astype(np.uint8)  # liquidation trading: no price limits
    bars = type(case.bars)(
        times=case.bars.times, symbols=case.bars.symbols, flags=flags, markets=["NONE"] * len(case.bars.symbols),
        fields={name: np.round(case.bars.field(name)) for name in ("open", "high", "low", "close", "volume")},
        freq=case.bars.freq, prices="adjusted",
    )  # fmt: skip
    targets = np.where(np.nan_to_num(case.targets) != 0.0, 1.0, 0.0)
    long = case.but(bars=bars, targets=targets, policy=plain, costs=costs, cash=10**12, limits=RiskLimits())
    gains, losses = compiled(long)[0].equity, compiled(long.but(targets=-targets))[0].equity
    assert (gains - 10**12).tolist() == (10**12 - losses).tolist()


def digest(examples: int) -> str:
    """A hash of all tables and states of a fixed series of random runs."""
    total = hashlib.sha256()

    @seed(20250331)
    @settings(max_examples=examples, database=None, deadline=None, phases=[Phase.generate], derandomize=False)
    @given(shorted(cases()))
    def add(case: Case) -> None:
        output, state = compiled(case)
        for table in output:
            total.update(table.tobytes())
        total.update(to_bytes(state, case.bars.symbols))

    add()
    return total.hexdigest()


def test_uncompiled_kernels_give_the_same_bits() -> None:
    env = os.environ | {"NUMBA_DISABLE_JIT": "1", "PYTHONPATH": str(ROOT), "PYTHONWARNINGS": "error"}
    program = "from tests.core.test_laws_short import digest; print(digest(60))"
    answer = subprocess.run(
        [sys.executable, "-c", program], env=env, cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert answer.returncode == 0, answer.stderr
    assert answer.stdout.strip() == digest(60)


def test_random_markets_reach_the_reasons_of_short_sales() -> None:
    seen: set[str] = set()

    @seed(20250401)
    @settings(max_examples=300, database=None, derandomize=False)
    @given(shorted(cases()))
    def look(case: Case) -> None:
        output, _ = compiled(case)
        seen.update(REASONS[code] for code in output.orders["reason"])
        short = holdings(case, output) < 0
        seen.update({"short"} if short.any() else set())
        for bar, symbol, rule in zip(output.fills["bar"], output.fills["symbol"], output.fills["rule"], strict=True):
            if RULES[rule] in ("stop_loss", "take_profit", "trailing_stop", "delisting") and short[bar - 1, symbol]:
                seen.add(f"short {RULES[rule]}")
        assert set(output.orders["status"]) <= set(range(len(ORDER_STATUS)))

    look()
    assert {"short", "MARGIN", "SHORT_BANNED", "short stop_loss", "short take_profit", "short trailing_stop"} <= seen
