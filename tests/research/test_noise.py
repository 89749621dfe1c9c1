"""What changes when something that should not matter is changed."""

from __future__ import annotations

from dataclasses import replace
from itertools import permutations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quantkit import Bars, Costs, Strategy, backtest, param, runs, ta
from quantkit.backtest.result import Result
from quantkit.errors import BadData, ConfigError
from quantkit.research import noise
from tests.backtest.factories import random_bars, random_result
from tests.research.lakes import bars_in_memory, make_lake

SYMBOLS = ("005930", "000660", "035420")


class Rising(Strategy):
    """Hold a name that stands above its average."""

    window: int = param(10, low=2, high=60)
    slack: float = param(0.0, low=-0.1, high=0.1, step=0.01)
    mode: str = param("close", choices=["close", "open"])

    def targets(self, bars: Bars) -> np.ndarray:
        return bars.close > (1.0 + self.slack) * ta.sma(bars.close, self.window)


@pytest.fixture(scope="module")
def result() -> Result:
    return backtest(Rising(), bars_in_memory(symbols=SYMBOLS, count=240), cash=50_000_000)


# --- order of trades --------------------------------------------------------------------------------------------------


def test_orders_of_few_trades_are_those_written_out() -> None:
    moves = np.array([0.1, -0.2, 0.05, -0.1])
    every = np.array(list(permutations(moves)))
    drops = noise._deepest(every)
    for order, drop in zip(every, drops, strict=True):
        path = [1.0]
        for move in order:
            path.append(path[-1] * (1 + move))
        assert drop == pytest.approx(min(now / max(path[: k + 1]) - 1 for k, now in enumerate(path)))


def test_shuffled_trades_end_where_they_ended_and_drawn_ones_do_not() -> None:
    result = random_result(400, 3)
    found = noise.shuffle_trades(result, runs=500, seed=3)
    assert found.trades == int((~result.round_trips.open).sum())
    assert found.drawdowns.shape == found.finals.shape == (500,)
    assert found.drawdowns.min() < found.drawdown < found.drawdowns.max()
    assert np.std(found.finals) > 0.0
    assert np.log(found.finals).mean() == pytest.approx(
        np.log(found.final), abs=4 * np.log(found.finals).std() / 500**0.5
    )
    again = noise.shuffle_trades(result, runs=500, seed=3)
    assert np.array_equal(found.finals, again.finals)
    quantiles = found.quantiles(0.1, 0.9)
    assert quantiles["finals"][0] < quantiles["finals"][1]


def test_work_in_parts_gives_as_many_and_reports_them(monkeypatch: pytest.MonkeyPatch) -> None:
    result = random_result(300, 2)
    monkeypatch.setattr(noise, "_CELLS", 7 * int((~result.round_trips.open).sum()))
    steps: list[tuple[int, int]] = []
    found = noise.shuffle_trades(result, runs=20, progress=lambda done, total: steps.append((done, total)))
    assert found.finals.shape == (20,)
    assert steps == [(7, 20), (14, 20), (20, 20)]


@settings(deadline=None, max_examples=40)
@given(st.lists(st.floats(-1.0, 2.0), min_size=1, max_size=20), st.integers(0, 1000))
def test_no_order_loses_more_than_all_or_less_than_the_worst_trade(moves: list[float], seed: int) -> None:
    order = np.random.default_rng(seed).permutation(moves)
    drop = float(noise._deepest(order[None])[0])
    assert -1.0 <= drop <= min(0.0, min(moves)) + 1e-12


# --- other prices -----------------------------------------------------------------------------------------------------


@settings(deadline=None, max_examples=25)
@given(st.integers(0, 10**6), st.floats(1.0, 60.0), st.sampled_from(["1d", "5m"]))
def test_resampled_bars_are_bars_with_moves_that_happened(seed: int, block: float, freq: str) -> None:
    bars = random_bars(180, 3, freq=freq)
    found = noise.resample_bars(bars, block=block, seed=seed)
    assert found.shape == bars.shape
    assert np.array_equal(found.times, bars.times)
    top, bottom = np.maximum(found.open, found.close), np.minimum(found.open, found.close)
    assert (found.high >= top * (1 - 1e-12)).all()
    assert (found.low <= bottom * (1 + 1e-12)).all()
    assert (found.low > 0.0).all()
    happened = bars.close[1:] / bars.close[:-1]
    for moves in found.close[1:] / found.close[:-1]:  # all names of one bar come from one bar
        near = np.abs(happened - moves).max(axis=1).min()
        assert near < 1e-9
    same = noise.resample_bars(bars, block=block, seed=seed)
    assert np.array_equal(same.close, found.close)


def test_blocks_have_the_mean_length_asked_for() -> None:
    places = noise._stationary(200_000, 1_000, 8.0, np.random.default_rng(1))
    breaks = np.count_nonzero((places[1:] - places[:-1]) % 1_000 != 1)
    assert len(places) / breaks == pytest.approx(8.0, rel=0.02)


def test_names_that_were_not_listed_yet_stand_still_on_those_days() -> None:
    bars = random_bars(60, 2)
    fields = {name: bars.field(name).copy() for name in ("open", "high", "low", "close", "volume")}
    for values in fields.values():
        values[:40, 1] = np.nan
    late = Bars(times=bars.times, symbols=bars.symbols, fields=fields)
    found = noise.resample_bars(late, block=5, seed=2)
    assert np.isfinite(found.close).all()
    still = found.close[1:, 1] == found.close[:-1, 1]
    assert still.any()
    assert not found.traded[1:, 1][still].any()
    assert found.traded[1:, 0].all()


@pytest.mark.parametrize("freq", ["1d", "5m"])
def test_resampled_bars_know_the_features_of_the_session_drawn(freq: str) -> None:
    bars = random_bars(120, 2, seed=1, freq=freq)
    stamps = bars.index[3::7]
    rows = [(symbol, stamp, float(k)) for symbol in bars.symbols for k, stamp in enumerate(stamps)]
    known = bars.with_feature("x", pd.DataFrame(rows, columns=["symbol", "as_of", "value"]))
    other = noise.resample_bars(known, block=3.0, seed=2)
    found, expected = other.feature("x"), known.feature("x")
    moves = bars.close[1:, 0] / bars.close[:-1, 0]  # which row a row was drawn from shows in its move
    drawn = other.close[1:, 0] / other.close[:-1, 0]
    came = 1 + np.abs(drawn[:, None] - moves[None]).argmin(axis=1)
    np.testing.assert_array_equal(found[1:, 0], expected[came, 0])
    assert len(np.unique(found[:, 0])) > 5
    assert (np.diff(came) != 1).sum() > 5


def test_the_rule_over_other_panels_gives_a_row_each(result: Result) -> None:
    table = noise.bootstrap_bars(result, runs=4, block=10, seed=1)
    assert list(table.columns) == list(noise.FIGURES)
    assert len(table) == 4
    assert table["total_return"].nunique() == 4
    assert table.equals(noise.bootstrap_bars(result, runs=4, block=10, seed=1))


def test_bars_before_the_start_are_drawn_too() -> None:
    bars = bars_in_memory(symbols=SYMBOLS, count=120)
    late = backtest(Rising(window=30), bars, start=str(bars.days.astype("datetime64[D]")[40]))
    assert len(late.bars) == 80
    assert noise.bootstrap_bars(late, runs=2)["total_return"].notna().all()


# --- other parameters -------------------------------------------------------------------------------------------------


def test_neighbours_move_each_number_alone_and_all_together() -> None:
    sets = noise.near(Rising(window=20), spread=0.1, runs=10)
    assert sets[:4] == [
        {"window": 18, "slack": 0.0, "mode": "close"},
        {"window": 22, "slack": 0.0, "mode": "close"},
        {"window": 20, "slack": -0.01, "mode": "close"},
        {"window": 20, "slack": 0.01, "mode": "close"},
    ]
    assert len({tuple(one.items()) for one in sets}) == len(sets)
    edge = noise.near(Rising(window=2), runs=0)
    assert all(one["window"] >= 2 for one in edge)


@settings(deadline=None, max_examples=50)
@given(st.integers(2, 60), st.integers(-10, 10), st.floats(0.01, 1.0), st.integers(0, 100))
def test_neighbours_are_allowed_and_near(window: int, slack: int, spread: float, seed: int) -> None:
    own = Rising(window=window, slack=slack / 100)
    for one in noise.near(own, spread=spread, runs=5, seed=seed):
        assert own.replace(**one).params == one
        assert abs(one["window"] - window) <= max(1, window * spread) + 0.5
        assert one != own.params


def test_a_row_a_neighbour_equals_its_own_backtest(result: Result) -> None:
    table = noise.parameter_noise(result, runs=2)
    first = table.iloc[0]
    other = backtest(Rising(window=int(first["window"])), bars_in_memory(symbols=SYMBOLS, count=240), cash=50_000_000)
    assert first["total_return"] == other.figures["total_return"]
    assert first["sharpe"] == other.figures["sharpe"]


# --- other costs ------------------------------------------------------------------------------------------------------


def test_costs_once_as_large_are_the_run_and_larger_ones_are_runs_by_hand(result: Result) -> None:
    bars = bars_in_memory(symbols=SYMBOLS, count=240)
    table = noise.cost_stress(result, times=(0, 1, 5))
    assert table.loc[1.0, "total_return"] == result.figures["total_return"]
    assert table.loc[0.0, "costs"] < table.loc[1.0, "costs"] < table.loc[5.0, "costs"]
    by_hand = backtest(Rising(), bars, cash=50_000_000, costs=noise.scaled(Costs.kis(), 5.0))
    assert table.loc[5.0, "total_return"] == by_hand.figures["total_return"]
    assert table["total_return"].is_monotonic_decreasing


@given(st.floats(0.0, 50.0))
def test_scaled_costs_are_valid_costs(factor: float) -> None:
    given_costs = Costs(0.001, minimum=100, fixed=5.0, slippage_ticks=1.0, slippage_bps=10.0, impact=0.02)
    found = noise.scaled(given_costs, factor)
    assert found.slippage_bps == pytest.approx(10.0 * factor)
    assert found.tax == given_costs.tax
    assert noise.scaled(Costs.kis(), factor).rate("ETF") == pytest.approx(Costs.kis().rate("ETF") * factor)


@pytest.mark.parametrize("seed", [0, 1])
def test_at_break_even_the_profit_turns(seed: int) -> None:
    bars = bars_in_memory(symbols=SYMBOLS, count=240, seed=seed)
    result = backtest(Rising(), bars, cash=50_000_000)
    assert result.figures["profit"] > 0
    found = noise.break_even(result, tolerance=0.25)
    assert 0.5 < found < noise.MOST_BPS
    for bps, sign in ((found - 0.5, 1), (found + 0.5, -1)):
        run = backtest(Rising(), bars, cash=50_000_000, costs=noise.dearer(Costs.kis(), bps))
        assert np.sign(run.figures["profit"]) == sign


def test_what_loses_breaks_even_at_no_cost_and_what_never_trades_at_any() -> None:
    falling = bars_in_memory(symbols=SYMBOLS, count=240, seed=3)
    loses = backtest(Rising(), falling, cash=50_000_000, costs=noise.dearer(Costs.kis(), 300.0))
    assert loses.figures["profit"] < 0
    assert noise.break_even(loses) == 0.0
    kept = backtest(targets=falling.frame("close") < 0, bars=falling, costs=replace(Costs.free(), interest=0.02))
    assert kept.figures["profit"] > 0
    assert noise.break_even(kept) == float("inf")


# --- what it leaves alone, what it refuses ----------------------------------------------------------------------------


def test_none_of_it_is_a_try(tmp_path) -> None:
    lake = make_lake(tmp_path)
    result = backtest(Rising(), lake.bars())
    noise.cost_stress(result)
    noise.parameter_noise(result, runs=2)
    noise.bootstrap_bars(result, runs=2)
    assert len(runs.RunLog(lake.path).rows()) == 1


def test_what_cannot_be_done_says_so(result: Result) -> None:
    bars = bars_in_memory(symbols=SYMBOLS, count=60)
    given_targets = backtest(targets=bars.frame("close") > 0, bars=bars)
    by_hand = random_result(60, 2)

    class Plain(Strategy):
        """No parameters."""

        def targets(self, bars: Bars) -> np.ndarray:
            return bars.close > 0

    cases = [
        (lambda: noise.bootstrap_bars(given_targets), ConfigError, "targets were given"),
        (lambda: noise.parameter_noise(given_targets), ConfigError, "targets were given"),
        (lambda: noise.cost_stress(by_hand), ConfigError, "not made by backtest"),
        (lambda: noise.parameter_noise(backtest(Plain(), bars)), ConfigError, "no number"),
        (lambda: noise.parameter_noise(result, spread=0.0), ConfigError, "spread=0"),
        (lambda: noise.bootstrap_bars(result, runs=0), ConfigError, "runs=0"),
        (lambda: noise.resample_bars(bars, block=0.5), ConfigError, "block=0.5"),
        (lambda: noise.resample_bars(bars.slice(0, 2)), BadData, "2 sessions"),
        (lambda: noise.cost_stress(result, times=(-1,)), ConfigError, "times=-1"),
        (lambda: noise.shuffle_trades(backtest(Plain(), bars)), BadData, "closed round trips"),
    ]
    for call, error, words in cases:
        with pytest.raises(error, match=words):
            call()
