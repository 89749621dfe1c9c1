"""Fitted models: made on the past only, at the dates `refit` names, the same in one piece, in chunks and from disk."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quantkit import Bars, Policy, Strategy, backtest, load_strategy, param
from quantkit.errors import BadData, ConfigError
from quantkit.research.trial import Runner
from quantkit.strategy import artifacts
from quantkit.strategy.fitting import refit_rows
from tests.backtest.factories import random_bars, weekdays


@pytest.fixture(autouse=True)
def none_in_memory():
    artifacts.forget()
    Slope.fits.clear()


class Slope(Strategy):
    """Holds names whose next return the slope of returns on the return before says is up."""

    ridge: float = param(0.1, low=0.0)
    refit = "3M"
    warmup = 20
    fits: ClassVar[list[tuple[int, int]]] = []

    def fit(self, bars: Bars) -> Any:
        self.fits.append((int(bars.days[0]), int(bars.days[-1])))
        returns = np.diff(np.log(bars.close), axis=0)
        before, after = returns[:-1], returns[1:]
        return (before * after).sum(axis=0) / (before**2).sum(axis=0) + self.ridge * np.random.normal()  # noqa: NPY002

    def targets(self, bars: Bars, model: Any) -> Any:
        returns = np.vstack([np.zeros((1, bars.shape[1])), np.diff(np.log(bars.close), axis=0)])
        return returns * model > 0


@pytest.mark.parametrize(
    ("refit", "dates"),
    [
        ("1Y", ["2019-01-01", "2020-01-01"]),
        ("6M", ["2018-07-02", "2019-01-01", "2019-07-01", "2020-01-01"]),
        ("2Y", ["2020-01-01"]),
        (200, ["2018-10-09", "2019-07-16"]),
    ],
)
def test_a_model_is_fitted_for_the_first_bar_of_each_period(refit, dates):
    days = weekdays(525)
    rows = refit_rows(refit, days, 0)
    assert days[rows].astype("datetime64[D]").astype(str).tolist() == dates


def test_weeks_sessions_and_warm_up():
    days = weekdays(15)  # from a Tuesday
    assert refit_rows("1W", days, 0).tolist() == [4, 9, 14]
    assert refit_rows("5D", days, 0).tolist() == [5, 10]
    assert refit_rows("1W", days, 5).tolist() == [9, 14]
    assert refit_rows(4, days, 6).tolist() == [6, 10, 14]


@pytest.mark.parametrize("refit", ["1y", "", "Y", "0M", "1.5Y", 0, -3, True, 2.5, "1H"])
def test_a_period_nobody_can_read_is_refused(refit):
    with pytest.raises(ConfigError, match="refit="):
        refit_rows(refit, weekdays(5), 0)


def test_a_fit_sees_the_bars_before_its_period_and_no_others():
    bars = random_bars(400)
    Slope().evaluate(bars)
    rows = refit_rows("3M", bars.days, 20)
    assert Slope.fits == [(int(bars.days[0]), int(bars.days[row - 1])) for row in rows]


def test_targets_before_the_first_model_are_out():
    bars = random_bars(400)
    values = Slope().evaluate(bars)
    first = refit_rows("3M", bars.days, 20)[0]
    assert values.dtype == np.bool_
    assert not values[:first].any()
    assert 0.3 < values[first:].mean() < 0.7


def test_the_same_fit_is_made_once_and_read_after(own_cache: Path):
    bars = random_bars(300, seed=11)
    one = backtest(Slope(), bars)
    made = len(Slope.fits)
    assert made > 3
    artifacts.forget()  # the second run reads from disk
    two = backtest(Slope(), bars)
    assert len(Slope.fits) == made
    assert two.manifest == one.manifest
    assert [fact["date"] for fact in one.manifest["models"]] == sorted(fact["date"] for fact in one.manifest["models"])
    assert all(list(own_cache.glob(f"models/*/{fact['key']}.model")) for fact in one.manifest["models"])


class Seeded(Slope):
    """Starts from a seed of its own, which is a parameter."""

    seed: int = param(0)


@pytest.mark.parametrize("change", ["parameter", "seed", "price", "flag"])
def test_another_parameter_seed_or_price_is_another_model(change):
    number = 120 + ["parameter", "seed", "price", "flag"].index(change)
    bars, strategy = random_bars(200, seed=number), Seeded()
    strategy.evaluate(bars)
    made = len(Slope.fits)
    assert made == 3
    other = random_bars(200, seed=number)
    if change == "parameter":
        strategy = Seeded(ridge=0.2)
    elif change == "seed":
        strategy = Seeded(seed=3)
    elif change == "price":
        other._fields["low"][3, 1] -= 1.0
    else:
        other.flags = np.where(np.arange(200)[:, None] == 7, 0, other.flags).astype(np.uint8)
    strategy.evaluate(other)
    assert len(Slope.fits) == 2 * made


def test_data_after_a_date_leaves_the_models_before_it_alone():
    bars, later = random_bars(300, seed=13), random_bars(300, seed=13)
    for name in ("open", "high", "low", "close"):
        later._fields[name][200:] *= 1.5
    one = Slope().evaluate(bars)
    made = len(Slope.fits)
    two = Slope().evaluate(later)
    assert np.array_equal(one[:200], two[:200])
    assert len(Slope.fits) - made == (refit_rows("3M", bars.days, 20) > 200).sum()


def test_a_fit_draws_the_same_numbers_and_leaves_the_generators_as_they_were():
    bars = random_bars(200, seed=14)
    random.seed(5)
    np.random.seed(5)  # noqa: NPY002
    expected = random.random(), np.random.random()  # noqa: NPY002
    values = []
    for _ in range(2):
        random.seed(5)
        np.random.seed(5)  # noqa: NPY002
        artifacts.forget()
        values.append(Slope(ridge=0.3).evaluate(bars))
        assert (random.random(), np.random.random()) == expected  # noqa: NPY002
    assert np.array_equal(*values)


class Unkept(Slope):
    """Its model cannot be pickled."""

    def fit(self, bars: Bars) -> Any:
        slope = super().fit(bars)
        return lambda returns: returns * slope

    def targets(self, bars: Bars, model: Any) -> Any:
        returns = np.vstack([np.zeros((1, bars.shape[1])), np.diff(np.log(bars.close), axis=0)])
        return model(returns) > 0


def test_a_model_that_cannot_be_pickled_works_and_is_not_kept():
    bars = random_bars(200, seed=15)
    one, two = Unkept(ridge=0.0).evaluate(bars), Slope(ridge=0.0).evaluate(bars)
    assert np.array_equal(one, two)
    made = len(Slope.fits)
    Unkept(ridge=0.0).evaluate(bars)
    assert len(Slope.fits) == made + len(refit_rows("3M", bars.days, 20))


def test_a_file_somebody_else_wrote_is_not_loaded(own_cache: Path):
    bars = random_bars(200, seed=16)
    Slope().evaluate(bars)
    made = len(Slope.fits)
    files = list(own_cache.glob("models/*/*.model"))
    for path in files:
        head, line, payload = path.read_bytes().split(b"\n", 2)
        path.write_bytes(b"\n".join([head, line, payload[:-1] + b"x"]))
    artifacts.forget()
    Slope().evaluate(bars)
    assert len(Slope.fits) == 2 * made


def test_the_folder_is_kept_below_its_size(own_cache: Path):
    for seed in (17, 18):
        Slope().evaluate(random_bars(200, seed=seed))
    sizes = [path.stat().st_size for path in own_cache.glob("models/*/*.model")]
    assert artifacts.prune(own_cache / "models", most=sum(sizes)) == 0
    assert artifacts.prune(own_cache / "models", most=max(sizes)) >= len(sizes) - 1
    assert sum(path.stat().st_size for path in own_cache.glob("models/*/*.model")) <= max(sizes)


def test_models_can_be_kept_elsewhere_or_nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    bars = random_bars(200, seed=19)
    monkeypatch.setenv("QUANTKIT_MODELS", str(tmp_path / "mine"))
    Slope().evaluate(bars)
    assert list((tmp_path / "mine").glob("*/*.model"))
    monkeypatch.setenv("QUANTKIT_MODELS", "off")
    assert artifacts.folder_of(bars) is None


class Late(Slope):
    """Has no model before a date, and keeps the one it has where a fit gives none."""

    def fit(self, bars: Bars) -> Any:
        return None if len(bars) < 100 or 150 < len(bars) < 250 else super().fit(bars)


def test_a_fit_that_gives_none_keeps_the_model_before_it():
    bars = random_bars(300, seed=20)
    values = Late(ridge=0.0).evaluate(bars)
    rows = refit_rows("3M", bars.days, 20)
    begun = rows[rows >= 100]
    assert not values[: begun[0]].any()
    assert len(Slope.fits) == ((rows >= 100) & ((rows <= 150) | (rows >= 250))).sum()
    held = begun[begun > 150][0]
    assert values[held : held + 20].any()


def test_a_start_inside_a_period_uses_the_period_s_model():
    bars = random_bars(400, seed=21)
    start = str(np.datetime64(int(bars.days[300]), "D"))
    whole = Slope().evaluate(bars)
    Slope.fits.clear()
    artifacts.forget()
    run = backtest(Slope(), bars, start=start)
    assert len(run.manifest["models"]) == 1 + (refit_rows("3M", bars.days, 20) > 300).sum()
    again = backtest(targets=whole[300:], bars=bars.slice(300, 400), policy=Policy())
    assert run.run.equity.tolist() == again.run.equity.tolist()


class Finite(Slope):
    """Sees sixty bars at a time, and fits on eighty."""

    history = 60
    fit_history = 80


def test_a_finite_history_is_what_fits_and_targets_are_shown():
    bars = random_bars(400, seed=22)
    Finite().evaluate(bars)
    rows = refit_rows("3M", bars.days, 20)
    assert Slope.fits == [(int(bars.days[max(0, row - 80)]), int(bars.days[row - 1])) for row in rows]


@settings(max_examples=15, deadline=None)
@given(
    cut=st.integers(60, 299), refit=st.sampled_from(["1M", "3M", "2W", 17]), history=st.sampled_from(["all", 30]),
    seed=st.integers(0, 3),
)  # fmt: skip
def test_targets_never_depend_on_later_bars(cut, refit, history, seed):
    bars = random_bars(300, names=2, seed=seed)
    strategy = type("Any", (Slope,), {"refit": refit, "history": history, "fits": []})()
    whole = strategy.evaluate(bars)
    assert np.array_equal(strategy.evaluate(bars.slice(0, cut), allow_empty=True), whole[:cut])


class Ranked(Slope):
    """Chooses one name by what its model expects."""

    policy = Policy(weighting="equal", max_names=1)

    def rank(self, bars: Bars, model: Any) -> Any:
        return super().targets(bars, model) * np.abs(model)


class Ruled(Strategy):
    """A rule with memory that reads columns made with its model."""

    refit = "1M"
    warmup = 20

    def fit(self, bars: Bars) -> Any:
        return bars.close.mean(axis=0)

    def prepare(self, bars: Bars, model: Any) -> Any:
        return {"cheap": bars.close < model}

    def on_bar(self, ctx) -> None:
        for s in range(ctx.n):
            if ctx.signals["cheap"][s] > 0.5:
                ctx.target(s, 0.2)
            else:
                ctx.target(s, 0.0)


def test_ranks_and_rules_read_the_model_too():
    bars = random_bars(250, seed=23)
    ranked = backtest(Ranked(), bars)
    assert 0 < ranked.names_held.max() <= 1
    run = backtest(Ruled(), bars, interpret=True)
    assert len(run.fills) > 3
    assert len(run.manifest["models"]) == len(refit_rows("1M", bars.days, 20))


def test_a_trial_gives_the_figures_of_the_backtest():
    bars = random_bars(300, seed=25)
    for strategy in (Slope(), Ranked()):
        for start in (None, "2018-09-10"):
            trial, result = Runner(bars, start=start).run(strategy), backtest(strategy, bars, start=start)
            assert trial.growth.tolist() == result.growth.tolist()


class Forest(Strategy):
    """A model of scikit-learn that draws random numbers from the global generator."""

    refit = "6M"
    warmup = 60

    def fit(self, bars: Bars) -> Any:
        from sklearn.ensemble import RandomForestClassifier

        returns = np.diff(np.log(bars.close[:, 0]))
        return RandomForestClassifier(n_estimators=5, max_depth=3).fit(returns[:-1, None], returns[1:] > 0)

    def targets(self, bars: Bars, model: Any) -> Any:
        returns = np.diff(np.log(bars.close), axis=0, prepend=np.nan)
        known = np.isfinite(returns[:, 0])
        held = np.zeros(bars.shape, bool)
        held[known, 0] = model.predict(returns[known])
        return held


def test_a_model_of_scikit_learn_repeats_from_its_fit_and_from_its_file(own_cache: Path, monkeypatch):
    pytest.importorskip("sklearn", reason="the extra [models] brings scikit-learn")
    bars = random_bars(300, names=1, seed=26)
    fresh = Forest().evaluate(bars)
    artifacts.forget()
    assert np.array_equal(Forest().evaluate(bars), fresh)
    monkeypatch.setenv("QUANTKIT_MODELS", "off")
    artifacts.forget()
    assert np.array_equal(Forest().evaluate(bars), fresh)
    assert 0 < fresh.sum() < fresh.size


def test_what_does_not_go_together_is_refused():
    bars = random_bars(100)
    wrong = {
        "says not when": ({"refit": None}, ConfigError),
        "takes no model": ({"targets": lambda self, bars: bars.close > 0}, ConfigError),
        "names no first bar": ({"refit": "5Y"}, BadData),
        "gave None at every date": ({"fit": lambda self, bars: None}, BadData),
        "fit_history": ({"fit_history": 0}, ConfigError),
    }
    for words, (changes, kind) in wrong.items():
        with pytest.raises(kind, match=words.replace("says not when", "does not say when")):
            backtest(type("Wrong", (Slope,), changes)(), bars)
    plain = type("Plain", (Strategy,), {"refit": "1Y", "targets": lambda self, bars: bars.close > 0})
    with pytest.raises(ConfigError, match="defines no fit"):
        backtest(plain(), bars)


def test_what_a_fit_raises_says_where():
    def fit(self, bars):
        raise ValueError("singular")

    with pytest.raises(ValueError, match="singular") as caught:
        backtest(type("Breaks", (Slope,), {"fit": fit})(), random_bars(200))
    assert "for 2018-04-02 ran on <Bars" in caught.value.__notes__[0]


def test_a_changed_helper_file_is_another_model(tmp_path: Path):
    (tmp_path / "helper.py").write_text("FACTOR = 1.0\n")
    (tmp_path / "rule.py").write_text(
        "from helper import FACTOR\nfrom quantkit import Strategy\n\n\nclass Rule(Strategy):\n    refit = '3M'\n\n"
        "    def fit(self, bars):\n        return FACTOR * bars.close.mean(axis=0)\n\n"
        "    def targets(self, bars, model):\n        return bars.close > model\n"
    )
    bars = random_bars(200, seed=24)
    one = load_strategy(tmp_path / "rule.py")().evaluate(bars)
    (tmp_path / "helper.py").write_text("FACTOR = 99.0\n")
    two = load_strategy(tmp_path / "rule.py")().evaluate(bars)
    assert one.any()
    assert not two.any()
