"""The parity ledger: every won of a difference is booked, and to its first cause."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import quantkit as qk
from quantkit.errors import BadData
from quantkit.live.parity import Ledger, Tables, compare, tables_of
from tests.backtest.factories import random_bars

CASH = 10_000_000
COUNT, NAMES = 90, 3


def wishes(seed: int = 1) -> np.ndarray:
    """In or out by name, in stretches of five bars."""
    drawn = np.random.default_rng(seed).random((COUNT, NAMES)) < 0.5
    return np.repeat(drawn[::5], 5, axis=0)[:COUNT]


@cache
def run(seed: int = 1) -> Tables:
    """A backtest with some thirty fills."""
    bars = random_bars(COUNT, NAMES)
    return tables_of(qk.backtest(targets=wishes(seed), bars=bars, cash=CASH))


def recounted(tables: Tables) -> Tables:
    """The same with the equity that its own fills, deposits and external changes give, in slow and obvious Python."""
    cash, shares = tables.start_cash, dict.fromkeys(tables.symbols, 0) | dict(tables.start_shares)
    equity = []
    for row, time in enumerate(tables.index):
        cash += 0 if tables.deposits is None else int(tables.deposits[row])
        if tables.external is not None:
            for move in tables.external[tables.external["time"] == time].itertuples():
                cash += int(move.cash)
                if move.symbol:
                    shares[move.symbol] += move.shares
        for fill in tables.fills[tables.fills["time"] == time].itertuples():
            sign = 1 if fill.side == "buy" else -1
            cash -= sign * round(fill.price * fill.quantity) + int(fill.commission) + int(fill.tax)
            shares[fill.symbol] += sign * fill.quantity
        close = dict(zip(tables.symbols, tables.close[row], strict=True))
        equity.append(cash + sum(round(shares[name] * close[name]) for name in shares if shares[name]))
    return replace(tables, equity=np.array(equity, np.int64))


def booked(expected: Tables, actual: Tables) -> Ledger:
    """The ledger, once it is sure that it sums to the difference at every bar with nothing left over."""
    ledger = compare(expected, actual)
    np.testing.assert_array_equal(ledger.effects.sum(axis=0), actual.equity - expected.equity)
    assert ledger.explained, ledger.frame().to_string()
    assert sum(row.amount for row in ledger.rows) == ledger.total == sum(ledger.by_cause().values())
    return ledger


# --- disturbances of recorded tables ----------------------------------------------------------------------------------


def drop_fill(tables: Tables, pick: int, size: int) -> tuple[Tables, str]:
    fills = tables.fills
    return replace(tables, fills=fills.drop(index=fills.index[pick % len(fills)])), "fill"


def change_price(tables: Tables, pick: int, size: int) -> tuple[Tables, str]:
    fills = tables.fills.copy()
    fills.loc[fills.index[pick % len(fills)], "price"] += float(size)
    return replace(tables, fills=fills), "fill"


def cut_quantity(tables: Tables, pick: int, size: int) -> tuple[Tables, str]:
    fills = tables.fills.copy()
    row = fills.index[pick % len(fills)]
    fills.loc[row, "quantity"] = max(1, int(fills.loc[row, "quantity"]) - size)
    return replace(tables, fills=fills), "fill"


def delay_fill(tables: Tables, pick: int, size: int) -> tuple[Tables, str]:
    fills = tables.fills.copy()
    row = fills.index[pick % len(fills)]
    place = tables.index.get_loc(fills.loc[row, "time"])
    later = tables.index[min(place + 1 + size % 5, len(tables.index) - 1)]
    if later == fills.loc[row, "time"]:
        return tables, ""
    fills.loc[row, "time"] = later
    return replace(tables, fills=fills), "timing"


def change_commission(tables: Tables, pick: int, size: int) -> tuple[Tables, str]:
    fills = tables.fills.copy()
    fills.loc[fills.index[pick % len(fills)], "commission"] += float(size)
    return replace(tables, fills=fills), "cost"


def change_tax(tables: Tables, pick: int, size: int) -> tuple[Tables, str]:
    fills = tables.fills.copy()
    fills.loc[fills.index[pick % len(fills)], "tax"] -= float(size)
    return replace(tables, fills=fills), "cost"


def change_close(tables: Tables, pick: int, size: int) -> tuple[Tables, str]:
    close = tables.close.copy()
    close[pick % COUNT, pick % NAMES] += size
    return replace(tables, close=close), "data"


def deny_order(tables: Tables, pick: int, size: int) -> tuple[Tables, str]:
    fills, orders = tables.fills, tables.orders.copy()
    number = fills["order_id"].iloc[pick % len(fills)]
    mine = orders["order_id"] == number
    orders.loc[mine, ["status", "reason", "filled"]] = ["denied", "STALE_QUOTE", 0]
    return replace(tables, fills=fills[fills["order_id"] != number], orders=orders), "gate"


def forget_order(tables: Tables, pick: int, size: int) -> tuple[Tables, str]:
    fills, orders = tables.fills, tables.orders
    number = fills["order_id"].iloc[pick % len(fills)]
    return replace(
        tables, fills=fills[fills["order_id"] != number], orders=orders[orders["order_id"] != number]
    ), "decision"


def foreign_fill(tables: Tables, pick: int, size: int) -> tuple[Tables, str]:
    row, column = pick % COUNT, pick % NAMES
    price = float(tables.close[row, column])
    new = {"time": tables.index[row], "symbol": tables.symbols[column], "side": "buy" if size % 2 else "sell",
           "quantity": size, "price": price, "commission": 3.0, "tax": 0.0, "order_id": -1}  # fmt: skip
    return replace(tables, fills=pd.concat([tables.fills, pd.DataFrame([new])], ignore_index=True)), "external"


def deposit(tables: Tables, pick: int, size: int) -> tuple[Tables, str]:
    paid = np.zeros(COUNT, np.int64) if tables.deposits is None else tables.deposits.copy()
    paid[pick % COUNT] += 1_000 * size
    return replace(tables, deposits=paid), "external"


def adoption(tables: Tables, pick: int, size: int) -> tuple[Tables, str]:
    move = {"time": tables.index[pick % COUNT], "symbol": tables.symbols[pick % NAMES], "kind": "adopted",
            "shares": size, "cash": 0.0}  # fmt: skip
    before = [] if tables.external is None else [tables.external]
    return replace(tables, external=pd.concat([*before, pd.DataFrame([move])], ignore_index=True)), "external"


DISTURBANCES = (drop_fill, change_price, cut_quantity, delay_fill, change_commission, change_tax, change_close,
                deny_order, forget_order, foreign_fill, deposit, adoption)  # fmt: skip


def test_the_test_s_own_count_is_the_backtest_s() -> None:
    np.testing.assert_array_equal(recounted(run()).equity, run().equity)
    assert len(run().fills) > 25


@pytest.mark.parametrize("disturb", DISTURBANCES, ids=lambda function: function.__name__)
def test_one_disturbance_is_one_row_of_its_own_cause(disturb: Any) -> None:
    changed, cause = disturb(run(), 7, 13)
    ledger = booked(run(), recounted(changed))
    found = [row.cause for row in ledger.rows]
    assert found == [cause] or (cause == "data" and found == [])  # a close of a name that nobody held moves nothing
    if cause == "gate":
        assert ledger.rows[0].detail.startswith("STALE_QUOTE")


@settings(max_examples=40, deadline=None)
@given(
    st.lists(
        st.tuples(st.sampled_from(DISTURBANCES), st.integers(0, 10_000), st.integers(1, 40)), min_size=1, max_size=6
    ),
    st.booleans(),
)
def test_every_won_of_a_disturbed_run_is_booked(steps: list[tuple[Any, int, int]], swapped: bool) -> None:
    changed = run()
    for disturb, pick, size in steps:
        if len(changed.fills):
            changed, _ = disturb(changed, pick, size)
    changed = recounted(changed)
    ledger = booked(changed, run()) if swapped else booked(run(), changed)
    assert ledger.same or ledger.rows


def test_equity_that_no_table_explains_is_said_to_be_unexplained() -> None:
    equity = run().equity.copy()
    equity[40:] += 1
    ledger = compare(run(), replace(run(), equity=equity))
    assert [(row.cause, row.amount, row.time) for row in ledger.rows] == [("unexplained", 1, str(run().index[40])[:10])]
    assert not ledger.explained


# --- runs that went another way ---------------------------------------------------------------------------------------


def simulated(*, seed: int = 1, bars: Any = None, targets: np.ndarray | None = None, **given: Any) -> Tables:
    bars = random_bars(COUNT, NAMES) if bars is None else bars
    chosen = wishes(seed) if targets is None else targets
    result = qk.backtest(targets=chosen, bars=bars, **({"cash": CASH} | given))
    return tables_of(result, targets=chosen.astype(np.float64))


def test_what_follows_from_costs_is_a_cost() -> None:
    ledger = booked(simulated(), simulated(costs=qk.Costs.kiwoom()))
    assert set(ledger.by_cause()) == {"cost"}
    assert ledger.total < 0


def test_sizes_that_differ_by_other_money_follow_from_the_money() -> None:
    ledger = booked(simulated(), simulated(cash=CASH + 3_000_000))
    assert [row.cause for row in ledger.rows] == ["external"]
    assert ledger.rows[0].follows > 10
    assert ledger.decision_parity < 0.9


def test_another_target_is_a_decision_and_what_it_brings_about_is_booked_under_it() -> None:
    other = wishes().copy()
    other[40:45, 1] ^= True
    ledger = booked(simulated(), simulated(targets=other))
    assert {row.cause for row in ledger.rows} == {"decision"}
    assert all(row.time == ledger.times[39 + 1] for row in ledger.rows)
    assert "target" in ledger.rows[0].detail


def test_slippage_is_a_fill_at_another_price() -> None:
    ledger = booked(simulated(), simulated(costs=replace(qk.Costs.kis(), slippage_ticks=1.0)))
    assert ledger.rows[0].cause == "fill"
    assert ledger.total < 0


def test_decisions_on_another_bar_are_the_bar_s() -> None:
    bars = random_bars(COUNT, NAMES)
    fields = {name: getattr(bars.raw, name).copy() for name in ("open", "high", "low", "close", "volume")}
    fields["close"][50, 0] *= 1.1
    fields["high"][50, 0] = fields["close"][50, 0] = np.round(fields["close"][50, 0])
    changed = qk.Bars(times=bars.times, symbols=bars.symbols, fields=fields, names=bars.names, freq="1d")

    def trend(given: qk.Bars) -> np.ndarray:
        return given.raw.close > np.roll(given.raw.close, 1, axis=0)

    ledger = booked(simulated(targets=trend(bars)), simulated(targets=trend(changed), bars=changed))
    assert ledger.rows
    assert {row.cause for row in ledger.rows} == {"data"}
    assert {row.symbol for row in ledger.rows} == {bars.symbols[0]}


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 5), other=st.integers(0, 5), stop=st.sampled_from([None, 0.03]),
    funding=st.sampled_from(["proceeds", "cash"]), cash=st.sampled_from([CASH, CASH - 77_777]),
    fill=st.sampled_from(["next_open", "next_close"]), deposits=st.sampled_from([None, 100_000]),
)  # fmt: skip
def test_any_two_runs_of_the_simulator_are_explained_to_the_won(
    seed: int, other: int, stop: float | None, funding: Any, cash: int, fill: str, deposits: float | None
) -> None:
    changed = simulated(seed=other, policy=qk.Policy(stop_loss=stop, funding=funding), cash=cash, fill=fill,
                        deposits=deposits)  # fmt: skip
    booked(simulated(seed=seed), changed)


def test_shares_that_one_run_lacks_take_their_split_and_dividend_with_them() -> None:
    """A missed buy of 10, a split 5 for 1 and a dividend of 100 a share later: all of it is the missed fill's."""
    index = pd.date_range("2024-01-02", periods=6, freq="B", tz="Asia/Seoul")
    orders = pd.DataFrame({"order_id": [0, 1], "decided": index[[0, 1]], "symbol": "A", "side": "buy",
                           "quantity": [20, 10], "status": "filled", "reason": ""})  # fmt: skip
    fills = pd.DataFrame({"time": index[[1, 2]], "symbol": "A", "side": "buy", "quantity": [20, 10],
                          "price": [1000.0, 1010.0], "commission": 0.0, "tax": 0.0, "order_id": [0, 1]})  # fmt: skip
    close = np.array([1000.0, 1000.0, 1010.0, 205.0, 200.0, 210.0])[:, None]

    def of(kept: int, held: int, cash: list[int]) -> Tables:
        moves = pd.DataFrame({"time": index[[3, 4]], "symbol": "A", "kind": ["split", "dividend"],
                              "shares": [4 * held, 0], "cash": [0.0, 100.0 * 5 * held]})  # fmt: skip
        shares = np.array([0, 20, held, 5 * held, 5 * held, 5 * held])
        equity = (np.array(cash) + shares * close[:, 0]).astype(np.int64)
        return Tables(index=index, symbols=("A",), equity=equity, close=close, fills=fills.iloc[:kept],
                      orders=orders, actions=moves, start_cash=100_000)  # fmt: skip

    whole = of(2, 30, [100_000, 80_000, 69_900, 69_900, 84_900, 84_900])
    missed = of(1, 20, [100_000, 80_000, 80_000, 80_000, 90_000, 90_000])
    ledger = booked(whole, missed)
    assert [(row.cause, row.amount) for row in ledger.rows] == [("fill", 10_100 - 5_000 - 50 * 210)]
    assert ledger.effects[0].tolist() == [0, 0, 0, 10_100 - 50 * 205, 10_100 - 5_000 - 10_000, 10_100 - 5_000 - 10_500]


def test_a_minor_unit_lost_to_fractional_prices_is_rounding_and_only_there() -> None:
    """Two fills missed of 1 share at a close of 10.005: each is worth 1001 cents, both together 2001."""
    index = pd.date_range("2024-01-02", periods=3, freq="B", tz="Asia/Seoul")
    orders = pd.DataFrame({"order_id": [0, 1], "decided": index[0], "symbol": "A", "side": "buy", "quantity": 1,
                           "status": "filled", "reason": "", "tag": [1, 2]})  # fmt: skip
    fills = pd.DataFrame({"time": index[1], "symbol": "A", "side": "buy", "quantity": 1, "price": 10.0,
                          "commission": 0.0, "tax": 0.0, "order_id": [0, 1]})  # fmt: skip
    close = np.array([10.0, 10.0, 10.005])[:, None]
    both = Tables(index=index, symbols=("A",), equity=np.array([10_000, 10_000, 10_001]), close=close, fills=fills,
                  orders=orders, start_cash=10_000, unit=100)  # fmt: skip
    none = replace(both, fills=fills.iloc[:0], equity=np.full(3, 10_000))
    assert booked(both, none).by_cause() == {"fill": -2, "rounding": 1}
    whole = replace(both, close=np.array([10.0, 10.0, 10.0])[:, None])
    assert not compare(whole, replace(whole, fills=fills.iloc[:0], equity=np.full(3, 10_000))).explained


# --- shapes and complaints --------------------------------------------------------------------------------------------


def test_equal_runs_have_an_empty_ledger() -> None:
    ledger = compare(run(), run())
    assert ledger.same
    assert ledger.decision_parity == 1.0
    assert ledger.to_dict()["causes"] == {}
    assert "the same" in repr(ledger)


def test_a_ledger_is_a_table_a_document_and_lines() -> None:
    changed, _ = drop_fill(run(), 3, 1)
    ledger = booked(run(), recounted(changed))
    assert ledger.frame()["amount"].sum() == ledger.total
    by_bar = ledger.by_bar()
    np.testing.assert_allclose(by_bar["fill"], by_bar["difference"])
    assert ledger.to_dict()["difference"] == ledger.total
    (line,) = ledger.cells()
    assert line[1] == "fill"
    assert line[4] == f"{ledger.total:+,}"
    assert list(ledger.cells(most=0)) == []


def test_runs_over_other_bars_are_refused() -> None:
    other = replace(run(), index=run().index + pd.Timedelta(days=1))
    with pytest.raises(BadData, match="different bars"):
        compare(run(), other)
    with pytest.raises(BadData, match="minor units"):
        compare(run(), replace(run(), unit=100))


def test_fills_of_unknown_names_times_and_sides_are_refused() -> None:
    for column, value, words in (("symbol", "999999", "999999"), ("side", "hold", "buy or sell"),
                                 ("time", pd.Timestamp("2000-01-01", tz="Asia/Seoul"), "no bar")):  # fmt: skip
        fills = run().fills.copy()
        fills[column] = value
        with pytest.raises(BadData, match=words):
            compare(run(), replace(run(), fills=fills))
