"""A trial is a backtest without its tables: the same figures, to the last bit."""

from __future__ import annotations

import pickle
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import quantkit as qk
from quantkit.backtest.tally import NAMES
from quantkit.research.trial import Runner
from tests.backtest.factories import random_bars
from tests.core.markets import Case, cases
from tests.core.shapings import shaped

FOLDER = Path(__file__).parents[2] / "strategies"


class SmaCross(qk.Strategy):
    fast: int = qk.param(5, low=2, high=60)
    slow: int = qk.param(20, low=3, high=240)

    @property
    def warmup(self) -> int:
        return self.slow - 1

    def targets(self, bars: qk.Bars) -> Any:
        return qk.ta.sma(bars.close, self.fast) > qk.ta.sma(bars.close, self.slow)


class Given(qk.Strategy):
    """Targets and ranks of a drawn case."""

    case: Case

    def targets(self, bars: qk.Bars) -> Any:
        return self.case.targets

    def rank(self, bars: qk.Bars) -> Any:
        return self.case.rank


def same(trial: dict[str, float], result: qk.Result) -> None:
    assert list(trial) == list(result.figures)
    for name, value in result.figures.items():
        assert np.float64(trial[name]).tobytes() == np.float64(value).tobytes(), (name, trial[name], value)


@settings(max_examples=120, deadline=None)
@given(case=st.one_of(cases(), shaped(cases())))
def test_a_trial_has_the_figures_of_a_backtest_under_any_policy(case: Case) -> None:
    strategy = Given()
    object.__setattr__(strategy, "case", case)
    paid = {int(case.bars.days[t]): money / case.bars.minor_unit for t, money in case.deposits.items()}
    terms: dict[str, Any] = {
        "cash": case.cash / case.bars.minor_unit, "costs": case.costs, "fill": case.fill, "limits": case.limits,
        "deposits": paid,
    }  # fmt: skip
    try:
        result = qk.backtest(strategy, case.bars, policy=case.policy, **terms)
    except qk.QuantkitError as error:
        with pytest.raises(type(error)):
            Runner(case.bars, **terms).run(strategy, case.policy)
        return
    runner = Runner(case.bars, **terms)
    for _ in range(2):  # what the first run left behind changes nothing in the second
        trial = runner.run(strategy, case.policy)
        same(trial.figures, result)
        assert np.array_equal(trial.growth, result.growth)


@pytest.mark.parametrize(("start", "end"), [(None, None), ("2018-09-03", None), (None, "2019-11"), ("2019", "2020-03")])
def test_dates_and_warm_up_are_those_of_a_backtest(start: str | None, end: str | None) -> None:
    bars = random_bars()
    runner = Runner(bars, start=start, end=end)
    policy = qk.Policy(weighting="equal_held", rebalance="month", max_names=2)
    for fast, slow in ((2, 10), (5, 20), (20, 60)):
        strategy = SmaCross(fast=fast, slow=slow)
        same(runner.run(strategy).figures, qk.backtest(strategy, bars, start=start, end=end))
        same(runner.run(strategy, policy).figures, qk.backtest(strategy, bars, policy=policy, start=start, end=end))


@pytest.mark.parametrize("name", ["turtle", "volatility_breakout"])
def test_a_rule_with_memory_has_the_figures_of_a_backtest(name: str) -> None:
    strategy = qk.load_strategy(FOLDER / f"{name}.py")()
    bars = random_bars(names=2)
    runner = Runner(bars, cash=50_000_000)
    for _ in range(2):
        same(runner.run(strategy).figures, qk.backtest(strategy, bars, cash=50_000_000))


def test_bars_inside_the_day_have_the_figures_of_a_backtest() -> None:
    bars = random_bars(600, names=2, freq="5m")
    strategy = SmaCross()
    same(Runner(bars).run(strategy).figures, qk.backtest(strategy, bars))


def test_a_universe_is_kept_for_the_next_run() -> None:
    class Two(SmaCross):
        universe = ["005930", "000660"]

    class Computed(SmaCross):
        def universe(self, bars: qk.Bars) -> Any:
            return np.asarray(bars.close > 40_000.0 + 1_000.0 * self.fast)

    bars = random_bars()
    runner = Runner(bars)
    for strategy in (Two(), Two(fast=3), Computed(), Computed(fast=12), SmaCross()):
        same(runner.run(strategy).figures, qk.backtest(strategy, bars))


def test_many_threads_may_share_a_runner() -> None:
    bars = random_bars()
    runner = Runner(bars)
    strategies = [SmaCross(fast=fast, slow=fast + 7) for fast in range(2, 26)]
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(runner.run, strategies))
    for strategy, trial in zip(strategies, found, strict=True):
        same(trial.figures, qk.backtest(strategy, bars))


def test_a_runner_can_be_sent_to_another_process() -> None:
    bars = random_bars()
    runner = Runner(bars, start="2019")
    before = runner.run(SmaCross()).figures
    assert pickle.loads(pickle.dumps(runner)).run(SmaCross()).figures == before


@pytest.mark.parametrize(
    ("changed", "said"),
    [({"cash": 0}, "cash=0"), ({"fill": "yesterday"}, "yesterday"), ({"start": "2099"}, "after the last bar")],
)
def test_wrong_settings_are_named(changed: dict[str, Any], said: str) -> None:
    with pytest.raises(qk.ConfigError, match=said):
        Runner(random_bars(), **changed)


def test_a_class_is_not_a_strategy() -> None:
    with pytest.raises(qk.ConfigError, match="instance"):
        Runner(random_bars()).run(SmaCross)  # type: ignore[arg-type]


def test_shared_indicators_change_nothing() -> None:
    bars = random_bars()
    runner = Runner(bars, memory=1 << 24)
    pairs = [(fast, slow) for fast in (2, 5, 9) for slow in (12, 20, 40)]
    found = runner.run_many(len(pairs), lambda place: (SmaCross(fast=pairs[place][0], slow=pairs[place][1]), None))
    assert runner.memo is not None
    assert (runner.memo.misses, runner.memo.hits) == (6, 12)
    for (fast, slow), row in zip(pairs, found.rows.tolist(), strict=True):
        same(dict(zip(NAMES, row, strict=True)), qk.backtest(SmaCross(fast=fast, slow=slow), bars))


def test_a_strategy_that_writes_into_an_indicator_runs_as_in_a_backtest() -> None:
    class Filled(SmaCross):
        def targets(self, bars: qk.Bars) -> Any:
            slow = qk.ta.sma(bars.close, self.slow)
            slow[np.isnan(slow)] = 1e9
            return bars.close > slow

    bars = random_bars()
    runner = Runner(bars, memory=1 << 24)
    found = runner.run_many(4, lambda place: (Filled(slow=10 + place % 2), None))
    assert found.errors == [None] * 4
    for place, row in enumerate(found.rows.tolist()):
        same(dict(zip(NAMES, row, strict=True)), qk.backtest(Filled(slow=10 + place % 2), bars))


def test_one_run_that_raises_leaves_the_others_alone() -> None:
    class Sometimes(SmaCross):
        def targets(self, bars: qk.Bars) -> Any:
            if self.fast == 3:
                raise ZeroDivisionError("no third")
            return super().targets(bars)

    bars = random_bars(300, names=1)
    found = Runner(bars).run_many(5, lambda place: (Sometimes(fast=2 + place), None), growth=True)
    assert [type(error) for error in found.errors] == [type(None), ZeroDivisionError, *[type(None)] * 3]
    assert np.isnan(found.rows[1]).all()
    assert np.isnan(found.growth[1]).all()
    same(dict(zip(NAMES, found.rows[4].tolist(), strict=True)), qk.backtest(Sometimes(fast=6), bars))


def test_a_run_with_more_fills_than_the_log_had_room_for_is_whole() -> None:
    class Flip(qk.Strategy):
        every: int = qk.param(1, low=1, high=9)

        def targets(self, bars: qk.Bars) -> Any:
            return np.repeat((np.arange(len(bars)) // self.every % 2 == 0)[:, None], len(bars.symbols), axis=1)

    bars = random_bars(2_000, names=3)
    found = Runner(bars).run_many(3, lambda place: (Flip(every=(7, 1, 2)[place]), None))
    for place, row in enumerate(found.rows.tolist()):
        same(dict(zip(NAMES, row, strict=True)), qk.backtest(Flip(every=(7, 1, 2)[place]), bars))
