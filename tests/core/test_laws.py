"""Laws that hold for every run, whatever the market, the policy and the costs: checked on the compiled fold.

The markets are those of `tests.core.markets`; the fold is called through `tests.core.runs` and, for what a person would
call, through `backtest`.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from quantkit.core.bench import Bench, Fill
from quantkit.core.fold import Output, simulate
from quantkit.core.policy import Policy
from quantkit.core.state import (
    EQUITY,
    NEXT_1,
    NEXT_2,
    RULES,
    SETTLED,
    State,
    copy_state,
    event_rows,
    from_bytes,
    to_bytes,
)
from quantkit.core.steps import END, EVENING, EVENING_AGAIN, MORNING
from quantkit.data.actions import ACTION_DTYPE, KIND_ID
from quantkit.data.bars import MEMBER, TRADED, VALID, Bars
from quantkit.market.costs import Costs
from tests.core.markets import Case, cases, panel_of
from tests.core.reference import Run
from tests.core.runs import by_reference, compiled, fill_rows, prepare

ROOT = Path(__file__).resolve().parents[2]
WHOLE_SHARES = Policy(weighting="shares", amount=40.0)


def remade(bars: Bars, **changes: object) -> Bars:
    """The same panel with some parts replaced."""
    names = ("open", "high", "low", "close", "volume", *(("base",) if bars.has("base") else ()))
    parts: dict[str, object] = {
        "times": bars.times, "days": bars.days, "symbols": bars.symbols, "fields": {n: bars.field(n) for n in names},
        "flags": bars.flags, "actions": bars.actions, "markets": bars.markets, "market_changes": bars.market_changes,
        "prices": bars.prices, "freq": bars.freq, "leverage": bars.leverage, "minor_unit": bars.minor_unit,
    }  # fmt: skip
    return Bars(**(parts | changes))  # type: ignore[arg-type]


def same_state(left: State, right: State) -> bool:
    return to_bytes(left, ("x",)) == to_bytes(right, ("x",))


def holdings(case: Case, output: Output) -> np.ndarray:
    """(T, N) shares at each bar's end, also those listed later, from the fills and what actions did."""
    change = np.zeros(case.bars.shape, np.int64)
    np.add.at(change, (output.fills["bar"], output.fills["symbol"]), output.fills["side"] * output.fills["quantity"])
    of_names = output.actions[output.actions["symbol"] >= 0]
    np.add.at(change, (of_names["bar"], of_names["symbol"]), of_names["share_delta"])
    return change.cumsum(axis=0)


def money_due(case: Case, output: Output) -> list[tuple[int, int, int]]:
    """(bar of the ex-date, first bar on or after the pay date, amount) of actions that are not paid at once."""
    events = panel_of(case.bars).events
    due = []
    for row in output.actions[output.actions["symbol"] >= 0]:
        for event in events:
            same = event.bar == row["bar"] and event.column == row["symbol"] and KIND_ID[event.kind] == row["kind"]
            if same and event.pay_day is not None and event.pay_day > case.bars.days[event.bar]:
                due.append((event.bar, int(np.searchsorted(case.bars.days, event.pay_day)), int(row["cash"])))
    return due


# --- conservation ---------------------------------------------------------------------------------------------------


@given(cases())
def test_cash_and_shares_follow_from_the_fills_to_the_won(case: Case) -> None:
    output, state = compiled(case)
    fills, actions = output.fills, output.actions
    flow = -fills["side"] * fills["value"] - fills["commission"] - fills["tax"]
    cash = np.full(len(case.bars), case.cash)
    for bar, amount in [*zip(fills["bar"], flow, strict=True), *case.deposits.items()]:
        cash[bar:] += amount
    for bar, amount in zip(actions["bar"], actions["cash"], strict=True):
        cash[bar:] += amount
    for bar, paid, amount in money_due(case, output):
        cash[bar:paid] -= amount  # an action's row has the money from the ex-date on
    assert cash.tolist() == output.cash.tolist()
    shares = holdings(case, output)[-1]
    assert shares.tolist() == (state.names["shares"] + state.names["due"]).tolist()
    assert (shares >= 0).all()
    assert (state.names["due"] >= 0).all()


@given(cases())
def test_equity_is_cash_plus_money_due_plus_positions_at_the_close(case: Case) -> None:
    output, _ = compiled(case)
    rows = len(case.bars)
    held = holdings(case, output)
    worth = (
        np.floor(np.nan_to_num(case.bars.raw.close) * held * case.bars.minor_unit + 0.5).astype(np.int64).sum(axis=1)
    )
    owed = np.zeros(rows, np.int64)
    for bar, paid, amount in money_due(case, output):
        owed[bar:paid] += amount
    assert (output.cash + owed + worth).tolist() == output.equity.tolist()


# --- prices ---------------------------------------------------------------------------------------------------------


@given(cases())
def test_no_fill_is_outside_the_bars_range_or_the_days_limits(case: Case) -> None:
    output, _ = compiled(case)
    panel = panel_of(case.bars)
    rules = Run(panel, [], policy=case.policy, costs=case.costs, limits=case.limits, cash=case.cash)
    for bar, s, _, _, price, *_, rule in fill_rows(output):
        if rule == "delisting":
            continue
        assert isinstance(bar, int)
        assert isinstance(s, int)
        assert isinstance(price, float)
        lower, upper = rules.price_limits(bar, s)
        assert panel.low[bar][s] <= price <= panel.high[bar][s]
        assert lower <= price <= upper
        assert panel.has(bar, s, TRADED)


@given(cases(), st.integers(1, 39))
def test_what_happened_until_a_bar_does_not_depend_on_the_bars_after_it(case: Case, stop: int) -> None:
    stop = int(np.searchsorted(case.bars.days, case.bars.days[min(stop, len(case.bars) - 1)]))
    assume(stop > 0)  # whole sessions: the last bar of the data ends one, for rebalance dates
    whole, _ = compiled(case)
    cut, _ = compiled(case.rows(stop))
    assert cut.equity.tolist() == whole.equity[:stop].tolist()
    assert cut.cash.tolist() == whole.cash[:stop].tolist()
    assert cut.fills.tobytes() == whole.fills[whole.fills["bar"] < stop].tobytes()
    ended = whole.orders[whole.orders["done_bar"] < stop]
    assert cut.orders.tobytes() == ended.tobytes()


@given(cases(), st.integers(1, 39), st.floats(0.5, 2.0))
def test_other_prices_tomorrow_leave_today_as_it_was(case: Case, stop: int, factor: float) -> None:
    stop = min(stop, len(case.bars) - 1)
    whole, _ = compiled(case)
    fields = {}
    for name in ("open", "high", "low", "close", "volume"):
        fields[name] = case.bars.field(name).copy()
        fields[name][stop:] *= factor
    other, _ = compiled(case.but(bars=remade(case.bars, fields=fields)))
    base_free, _ = compiled(case.but(bars=remade(case.bars, fields={n: case.bars.field(n) for n in fields})))
    assert other.equity[:stop].tolist() == base_free.equity[:stop].tolist()
    assert len(whole.equity) == len(other.equity)


# --- costs ----------------------------------------------------------------------------------------------------------


@given(
    cases(calm=True),
    st.sampled_from(("commission", "tax", "slippage_bps", "slippage_ticks", "fixed", "minimum", "impact")),
)
def test_more_cost_never_helps(case: Case, what: str) -> None:
    """A theorem only where costs cannot change what is traded.

    With goals in shares, no stops, no limits, market orders and far more cash than is ever needed, every order fills
    whole whatever it costs. Then each fill's price is no better and its costs no lower, bar by bar, and so is equity.
    (With weights a poorer account buys less of what may fall, and may end richer.)
    """
    policy = replace(WHOLE_SHARES, collar=None, max_names=case.policy.max_names, rebalance=case.policy.rebalance)
    cheap = case.but(policy=policy, costs=Costs(0.0001, tax=0.001, truncate_to=1), cash=10**13)
    more = {
        "commission": 0.002,
        "tax": 0.01,
        "slippage_bps": 20.0,
        "slippage_ticks": 2.0,
        "fixed": 700.0,
        "minimum": 5000,
        "impact": 0.05,
    }
    dear = cheap.but(costs=replace(cheap.costs, **{what: more[what]}))
    low, high = compiled(cheap)[0], compiled(dear)[0]
    assert low.fills["quantity"].tolist() == high.fills["quantity"].tolist()
    assert (high.equity <= low.equity).all()


# --- the panel's shape ----------------------------------------------------------------------------------------------


@given(cases(), st.randoms(use_true_random=False))
def test_reordered_columns_change_nothing(case: Case, random: object) -> None:
    names = len(case.bars.symbols)
    order = list(range(names))
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
def test_an_extra_column_nobody_wants_changes_nothing(case: Case) -> None:
    assume(case.policy.weighting != "equal" or case.policy.max_names is not None)  # "equal" divides by all members
    bars, rows = case.bars, len(case.bars)
    names = ("open", "high", "low", "close", "volume", *(("base",) if bars.has("base") else ()))
    fields = {n: np.hstack([np.full((rows, 1), 10_000.0), bars.field(n)]) for n in names}
    flags = np.hstack([np.full((rows, 1), 15, np.uint8), bars.flags])
    wider = remade(
        bars, symbols=("000020", *bars.symbols), fields=fields, flags=flags, markets=("KOSPI", *bars.markets),
        leverage=np.append(1.0, bars.leverage),
    )  # fmt: skip
    no = np.zeros((rows, 1), case.targets.dtype)
    rank = None if case.rank is None else np.hstack([np.full((rows, 1), 99.0), case.rank])
    more = case.but(bars=wider, targets=np.hstack([no, case.targets]), rank=rank)
    here, there = compiled(case)[0], compiled(more)[0]
    assert here.equity.tolist() == there.equity.tolist()
    assert [(b, int(str(s)) - 1, *rest) for b, s, *rest in fill_rows(there)] == fill_rows(here)


@given(cases(calm=True))
def test_removing_rows_of_a_listed_name_never_sells_it(case: Case) -> None:
    """From some bar on all rows of the first name are missing: no fill of it, and it is still held at the end."""
    policy = replace(WHOLE_SHARES, collar=None)
    targets = np.ones(case.targets.shape, np.bool_)
    rows = len(case.bars)
    flags, fields = (
        case.bars.flags.copy(),
        {n: case.bars.field(n).copy() for n in ("open", "high", "low", "close", "volume")},
    )
    flags[:, 0] |= TRADED | VALID | MEMBER
    stop = rows // 2
    flags[stop:, 0] &= 255 - TRADED - VALID
    for name in ("open", "high", "low", "close"):
        fields[name][stop:, 0] = fields["close"][stop - 1, 0]
    fields["volume"][stop:, 0] = 0.0
    targets[stop:, 0] = False
    missing = case.but(bars=remade(case.bars, fields=fields, flags=flags), targets=targets, policy=policy, cash=10**12)
    output, state = compiled(missing)
    late = output.fills[(output.fills["symbol"] == 0) & (output.fills["bar"] >= stop)]
    assert len(late) == 0
    bought = output.fills[output.fills["symbol"] == 0]["quantity"].sum()
    assert state.names["shares"][0] == bought


@given(cases(calm=True), st.sampled_from((2, 5)))
def test_a_split_changes_nothing_but_the_unit(case: Case, ratio: int) -> None:
    """Prices divided and shares multiplied from a bar on: the same money, when goals are multiplied with them.

    Exact for whole ratios, no grid, no limits, market orders and no costs: every product is the same number.
    """
    at = len(case.bars) // 2
    flags = np.where(case.bars.flags > 0, 15, 0).astype(np.uint8)
    targets = (np.nan_to_num(np.asarray(case.targets, np.float64)) > 0).astype(np.float64)
    plain = remade(case.bars, prices="adjusted", flags=flags, fields={
        n: case.bars.field(n) * (1.0 if n == "volume" else 100.0) for n in ("open", "high", "low", "close", "volume")
    })  # fmt: skip
    case = case.but(
        policy=replace(WHOLE_SHARES, collar=None), costs=Costs.free(), cash=10**12, bars=plain, fill="next_open"
    )
    fields = {n: plain.field(n).copy() for n in ("open", "high", "low", "close", "volume")}
    at -= at % max(1, int(np.sum(plain.days == plain.days[0])))
    assume(at > 0)
    for name in ("open", "high", "low", "close"):
        fields[name][at:] /= ratio
    more = targets.copy()
    more[at:] *= ratio
    day = int(plain.days[at])
    splits = np.array(
        [(s, day, 0, float(ratio), float(ratio), 0.0, -1_000_000, False) for s in plain.symbols], ACTION_DTYPE
    )
    split = case.but(bars=remade(plain, fields=fields, actions=splits), targets=more)
    assert compiled(split)[0].equity.tolist() == compiled(case.but(targets=targets))[0].equity.tolist()


# --- one fold -------------------------------------------------------------------------------------------------------


@given(cases(), st.lists(st.integers(1, 39), max_size=4))
def test_in_chunks_and_bar_by_bar_the_run_is_the_same_to_the_last_bit(case: Case, cuts: list[int]) -> None:
    rows = len(case.bars)
    whole_output, whole_state = compiled(case)
    for edges in (sorted({0, rows, *(cut for cut in cuts if cut < rows)}), range(rows + 1)):
        start = prepare(case)
        state, parts = start.state, []
        for low, high in zip(edges, list(edges)[1:], strict=False):
            state, _ = from_bytes(to_bytes(state, case.bars.symbols))  # a chunk knows only what the bytes say
            parts.append(simulate(state, start.inputs.rows(low, high), event_rows(start.events, low, high), start.plan))
        assert same_state(state, whole_state)
        for k, table in enumerate(whole_output):
            assert np.concatenate([part[k] for part in parts]).tobytes() == table.tobytes()


def pieces(row: np.void, parts: int) -> list[Fill]:
    """One fill as up to `parts` partial fills whose money adds up to it."""
    quantity = int(row["quantity"])
    sizes = [quantity // parts] * (parts - 1) if quantity >= parts else []
    sizes.append(quantity - sum(sizes))
    made = []
    for k, size in enumerate(sizes):
        last = k == len(sizes) - 1
        money = [
            int(row[n]) - sum(getattr(m, n) for m in made) if last else int(row[n]) * size // quantity
            for n in ("value", "commission", "tax")
        ]
        made.append(Fill(int(row["order_id"]), int(row["symbol"]), int(row["side"]), size, float(row["price"]), *money,
                         int(row["rule"])))  # fmt: skip
    return made


@given(cases(), st.integers(1, 4))
def test_a_runs_own_fills_fed_back_in_pieces_give_the_same_account(case: Case, parts: int) -> None:
    output, simulated = compiled(case)
    start = prepare(case)
    state, fed = start.state, []
    bench, same_close = Bench(state, start.plan), RULES.index("same_close")
    for t in range(len(case.bars)):
        rows = output.fills[(output.fills["bar"] == t) & (output.fills["rule"] != RULES.index("delisting"))]
        fills = [piece for row in rows for piece in pieces(row, parts)]
        bench.lay(start.inputs.rows(t, t + 1), event_rows(start.events, t, t + 1))
        bench.take(MORNING)
        for fill in fills:
            if fill.rule != same_close:
                bench.fill(fill)
        if bench.take(EVENING):
            for fill in fills:
                if fill.rule == same_close:
                    bench.fill(fill)
            bench.take(EVENING_AGAIN)
        bench.take(END)
        bench.drained()
        fed.append((int(state.account[[SETTLED, NEXT_1, NEXT_2]].sum()), int(state.account[EQUITY])))
    assert [cash for cash, _ in fed] == output.cash.tolist()
    assert [equity for _, equity in fed] == output.equity.tolist()
    for name in ("shares", "goal", "entry_value", "entry_qty", "peak"):
        assert state.names[name].tolist() == simulated.names[name].tolist()


@given(cases())
def test_state_bytes_come_back_as_they_went(case: Case) -> None:
    _, state = compiled(case)
    restored, symbols = from_bytes(to_bytes(state, case.bars.symbols))
    assert same_state(restored, state)
    assert symbols == case.bars.symbols
    assert same_state(copy_state(state), state)


DIGEST = """
import hashlib, sys
from tests.core.test_laws import digest
print(digest(int(sys.argv[1])))
"""


def digest(examples: int) -> str:
    """A hash of all tables and states of a fixed series of random runs."""
    from hypothesis import Phase, seed, settings

    total = hashlib.sha256()

    @seed(99)
    @settings(max_examples=examples, database=None, deadline=None, phases=[Phase.generate], derandomize=False)
    @given(cases(max_bars=20, max_names=4))
    def add(case: Case) -> None:
        output, state = compiled(case)
        for table in output:
            total.update(table.tobytes())
        total.update(to_bytes(state, case.bars.symbols))

    add()
    return total.hexdigest()


@pytest.mark.parametrize("examples", [40, pytest.param(400, marks=pytest.mark.slow)])
def test_uncompiled_kernels_give_the_same_bits(examples: int) -> None:
    env = os.environ | {"NUMBA_DISABLE_JIT": "1", "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", DIGEST, str(examples)]
    answer = subprocess.run(command, env=env, cwd=ROOT, capture_output=True, text=True, check=False)
    assert answer.returncode == 0, answer.stderr
    assert answer.stdout.strip() == digest(examples)


def test_the_reference_knows_the_same_example() -> None:
    account = by_reference(Case.example())
    assert account.equity_by_bar == compiled(Case.example())[0].equity.tolist()
