"""Walk-forward: parameters from the past, one account over what follows."""

from __future__ import annotations

import json
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quantkit import Bars, Costs, Policy, Strategy, backtest, load_strategy, param, ta
from quantkit.errors import BadData, ConfigError
from quantkit.research.walkforward import walk_forward
from tests.backtest.factories import random_bars

FOLDER = Path(__file__).parents[2] / "strategies"
WALK: dict[str, Any] = {"train": 200, "test": 60, "progress": False}


class Cross(Strategy):
    """In while a fast mean is above a slow one."""

    fast: int = param(3, low=2, high=50)
    slow: int = param(10, low=3, high=90)
    policy = Policy(weighting="equal", stop_loss=0.05)

    @property
    def warmup(self) -> int:
        return self.slow

    def targets(self, bars: Bars) -> Any:
        return ta.sma(bars.close, self.fast) > ta.sma(bars.close, self.slow)


class Weighted(Cross):
    """The same as weights, rebalanced by month, names chosen by rank."""

    policy = Policy(weighting="weight", rebalance="month", max_names=2)

    def targets(self, bars: Bars) -> Any:
        return np.where(super().targets(bars), 0.4, 0.0)

    def rank(self, bars: Bars) -> Any:
        return bars.volume * bars.close


class Ruled(Cross):
    """A rule that rests orders below the market."""

    targets = Strategy.targets

    def prepare(self, bars: Bars) -> Any:
        return {"mean": ta.sma(bars.close, self.fast)}

    def on_bar(self, ctx) -> None:
        for s in range(ctx.n):
            if ctx.position[s] > 0 and ctx.close[0, s] < ctx.signals["mean"][s]:
                ctx.sell(s, ctx.position[s])
            elif ctx.position[s] == 0 and len(ctx.orders(s)) == 0:
                ctx.buy(s, 10, limit=ctx.close[0, s] * 0.99)


class Fitted(Cross):
    """Its level is fitted each quarter."""

    refit = "3M"

    def fit(self, bars: Bars) -> Any:
        return bars.close[-120:].mean(axis=0)

    def targets(self, bars: Bars, model: Any) -> Any:
        return ta.sma(bars.close, self.fast) > model


@pytest.mark.parametrize("cls", [Cross, Weighted, Ruled, Fitted])
def test_one_parameter_set_gives_the_backtest_from_the_first_test_bar(cls):
    bars = random_bars(500, seed=3)
    found = walk_forward(cls, bars, fast=[4], slow=[12], **WALK, costs=Costs.kiwoom(), deposits=1_000_000)
    plain = backtest(
        cls(fast=4, slow=12), bars, start=str(bars.index[200].date()), costs=Costs.kiwoom(), deposits=1_000_000
    )
    assert len(found.windows) == 5
    assert len(plain.fills) > 20
    assert found.equity.equals(plain.equity)
    for name, column in plain.run.fills.items():
        assert column.tobytes() == found.result.run.fills[name].tobytes(), name
    for name, value in plain.figures.items():
        assert found.stats[name] == value or np.isnan(value)


def test_each_window_takes_the_best_of_its_training_bars():
    bars = random_bars(460, seed=4)
    found = walk_forward(Cross, bars, **WALK, fast=range(2, 10, 2), slow=(10, 20), where=lambda p: p.fast < p.slow)
    for window, choice in zip(found.places, found.choices, strict=True):
        scores = {
            (fast, slow): backtest(
                Cross(fast=fast, slow=slow),
                bars.slice(0, window.train_stop),
                start=str(bars.index[window.train].date()),
            ).figures["sharpe"]
            for fast in range(2, 10, 2)
            for slow in (10, 20)
        }
        best = max(scores, key=lambda key: scores[key])
        assert (choice.parameters["fast"], choice.parameters["slow"]) == best
        assert choice.score == scores[best]
        assert choice.median == sorted(scores.values())[len(scores) // 2]
    table = found.windows
    assert table["parameters"].tolist() == [choice.parameters for choice in found.choices]
    growth = np.prod(1.0 + table["total_return"])
    assert growth == pytest.approx(1.0 + found.stats["total_return"], rel=1e-12)
    assert table["fills"].sum() == len(found.result.fills)
    assert table["sets"].tolist() == [8] * len(table)


@settings(max_examples=12, deadline=None)
@given(
    seed=st.integers(0, 50), window=st.integers(0, 3), anchored=st.booleans(), embargo=st.sampled_from([0, 5]),
    cls=st.sampled_from([Cross, Weighted, Fitted]),
)  # fmt: skip
def test_what_comes_after_a_window_changes_nothing_in_it(seed, window, anchored, embargo, cls):
    bars, other = random_bars(460, names=3, seed=seed), random_bars(460, names=3, seed=seed)
    options: dict[str, Any] = {**WALK, "anchored": anchored, "embargo": embargo, "fast": (2, 5), "slow": (8, 15)}
    one = walk_forward(cls, bars, **options)
    place = one.places[window]
    for name in ("open", "high", "low", "close", "volume"):
        other._fields[name][place.stop :] *= 1.0 + 0.3 * np.random.default_rng(seed).random(3).round(2)
    two = walk_forward(cls, other, **options)
    for mine, theirs in zip(one.choices[: window + 1], two.choices[: window + 1], strict=True):
        assert repr(mine) == repr(theirs)
    rows = place.stop - one.places[0].test
    assert one.equity.iloc[:rows].equals(two.equity.iloc[:rows])
    assert not one.equity.equals(two.equity)


def test_policies_and_the_lower_metrics_can_be_searched():
    bars = random_bars(400, seed=6)
    found = walk_forward(Cross, bars, **WALK, metric="volatility", stop_loss=(None, 0.02), fast=(3, 8))
    assert found.windows.columns[5:7].tolist() == ["stop_loss", "fast"]
    assert all(choice.score <= choice.median for choice in found.choices)
    trades = walk_forward(Cross, bars, **WALK, metric="win_rate", fast=(3, 8))
    assert np.isfinite(trades.windows["out_of_sample"]).all()


def test_threads_processes_and_files_give_the_same(tmp_path: Path):
    cls = load_strategy(FOLDER / "sma_cross.py")
    bars = random_bars(400, seed=7)
    options: dict[str, Any] = {**WALK, "fast": (2, 5, 10), "slow": (15, 30)}
    own = walk_forward(cls, bars, **options)
    with ProcessPoolExecutor(2) as pool:
        other = walk_forward(cls, bars, executor=pool, **options)
    assert own.equity.equals(other.equity)
    assert own.windows.equals(other.windows)


class Stop(Exception):
    """Somebody pulls the plug."""


def test_a_walk_that_was_stopped_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    bars, path = random_bars(460, seed=8), tmp_path / "deep" / "walk.jsonl"
    options: dict[str, Any] = {**WALK, "fast": (2, 5), "slow": (15, 30)}
    whole = walk_forward(Cross, bars, **options)

    def pull(done: int, total: int) -> None:
        assert total == 4 * len(whole.places)
        if done > 9:
            raise Stop

    with pytest.raises(Stop):
        walk_forward(Cross, bars, **{**options, "progress": pull}, resume=path)
    assert len(path.read_text().splitlines()) == 2
    path.write_text(path.read_text()[:-20])  # the crash cut the second line short
    told: list[int] = []
    again = walk_forward(Cross, bars, **{**options, "progress": lambda done, total: told.append(done)}, resume=path)
    assert again.windows.equals(whole.windows)
    assert again.equity.equals(whole.equity)
    assert told[0] == 4  # the first window was read
    made = len(path.read_text().splitlines())
    assert walk_forward(Cross, bars, **options, resume=path).windows.equals(whole.windows)
    assert len(path.read_text().splitlines()) == made
    changed = walk_forward(Cross, random_bars(460, seed=9), **options, resume=path)
    assert not changed.windows.equals(whole.windows)


class Fragile(Cross):
    """Cannot live with some parameters."""

    def targets(self, bars: Bars) -> Any:
        if self.fast == 5:
            raise ZeroDivisionError("five")
        if self.fast == 7:
            return np.zeros(bars.shape, bool)
        return super().targets(bars)


def test_a_set_that_fails_is_counted_and_a_window_where_all_fail_stops():
    bars = random_bars(400, seed=10)
    found = walk_forward(Fragile, bars, **WALK, fast=(3, 5), slow=(15, 30))
    assert found.windows["failed"].tolist() == [2] * len(found.windows)
    assert found.windows["error"][0].endswith("ZeroDivisionError: five")
    assert "2 of 4" in found.summary() or "raised" in found.summary()
    with pytest.raises(BadData, match=r"every parameter set failed from 2018-01-02 to .*: five"):
        walk_forward(Fragile, bars, **WALK, fast=(5,))


def test_windows_without_trades_are_marked():
    bars = random_bars(400, seed=11)
    found = walk_forward(Fragile, bars, **WALK, fast=(7,))
    assert set(found.windows["mark"][:-1]) == {"no trades, no in-sample figure"}
    assert found.windows["total_return"].eq(0.0).all()
    assert np.isnan(found.efficiency)
    assert "have no trade at all" in found.summary()
    assert found.to_dict()["stats"]["efficiency"] is None


def test_stability_says_how_much_parameters_move():
    bars = random_bars(700, seed=12)
    found = walk_forward(Cross, bars, **WALK, fast=(2, 5, 8), slow=[20])
    table = found.stability()
    chosen = found.windows["fast"]
    assert table.loc["slow", ["values", "share", "changes"]].tolist() == [1, 1.0, 0.0]
    assert table.loc["fast", "step"] == pytest.approx(chosen.diff().abs().mean() / 6)
    assert table.loc["fast", "share"] == chosen.value_counts(normalize=True).iloc[0]


@pytest.mark.parametrize(
    ("space", "options", "words"),
    [
        ({"quick": (1, 2)}, {}, r"'quick' is neither a parameter of Cross \(fast, slow\) nor a field of Policy"),
        ({"fast": ()}, {}, "fast has no values"),
        ({"fast": (3, 999)}, {}, "Cross\\(fast=999\\)"),
        ({"fast": (3, 5)}, {"where": lambda p: p.fast > 9}, "where leaves none of 2 parameter sets"),
        ({"fast": (3, 5)}, {"metric": "sharp"}, "metric='sharp': choose one of"),
        ({"fast": (3, 5)}, {"train": "9Y"}, "longer than the data"),
        ({"fast": (3, 5)}, {"start": "2031"}, "start 2031 is after the last bar"),
    ],
)
def test_what_cannot_be_walked_is_refused(space, options, words):
    with pytest.raises(ConfigError, match=words):
        walk_forward(Cross, random_bars(300), **{**WALK, **options}, **space)


def test_a_result_can_be_looked_at(tmp_path: Path):
    bars = random_bars(460, seed=13)
    found = walk_forward(Cross, bars, **WALK, fast=(2, 5), slow=(15, 30), benchmark="hold")
    assert repr(found).startswith("<WalkForwardResult Cross 2018-10-09..")
    assert len(found.plot().axes) == 4
    page = found.report(tmp_path / "walk.html").read_text(encoding="utf-8")
    assert "What each window chose" in page
    json.dumps(found.to_dict())
    assert found.result.manifest["walk_forward"]["windows"][0]["parameters"] == found.windows["parameters"][0]


def test_bars_before_the_start_warm_up_only():
    bars = random_bars(460, seed=14)
    found = walk_forward(Cross, bars, **WALK, fast=(2, 5), start=str(bars.index[50].date()))
    assert found.places[0][:3] == (50, 250, 250)
