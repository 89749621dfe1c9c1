"""Cross-validation over parameters: choices judged on sessions they were not made on."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from quantkit import Bars, Strategy, backtest, param, ta
from quantkit.backtest import metrics
from quantkit.errors import BadData, ConfigError
from quantkit.research.crossvalidation import cross_validate
from quantkit.research.splits import CombinatorialPurgedCV, PurgedKFold
from tests.backtest.factories import random_bars

QUIET: dict[str, Any] = {"progress": False}


class Above(Strategy):
    """In while the close is above its mean; 13 raises, 14 never trades."""

    window: int = param(10, low=2, high=60)

    def targets(self, bars: Bars) -> Any:
        if self.window == 13:
            raise ZeroDivisionError("thirteen")
        return (bars.close > ta.sma(bars.close, self.window)) & (self.window != 14)


def test_each_split_chooses_on_its_training_sessions_and_is_judged_on_the_others():
    bars, windows = random_bars(400, seed=3), (5, 10, 20, 40)
    found = cross_validate(Above, bars, window=windows, **QUIET)
    returns = {window: backtest(Above(window=window), bars).returns.to_numpy() for window in windows}
    assert len(found.folds) == 15
    for (train, test), row in zip(found.splits, found.folds.to_dict("records"), strict=True):
        inside = {window: metrics.sharpe(values[train]) for window, values in returns.items()}
        best = max(inside, key=lambda window: inside[window])
        assert (row["window"], row["parameters"]) == (best, {"window": best})
        assert row["in_sample"] == inside[best]
        outside = {window: metrics.sharpe(values[test]) for window, values in returns.items()}
        assert row["out_of_sample"] == outside[best]
        assert row["rank"] == np.mean([outside[best] > outside[w] for w in windows if w != best])
    assert found.overfit == (found.folds["rank"] < 0.5).mean()
    assert found.stability().loc["window", "tried"] == 4


@pytest.mark.parametrize("cv", [PurgedKFold(5, span=1), CombinatorialPurgedCV(6, 2, span=1, embargo=5)])
def test_paths_trade_each_session_with_a_set_chosen_without_it(cv):
    bars = random_bars(400, seed=4)
    found = cross_validate(Above, bars, cv=cv, window=(5, 20), **QUIET)
    paths = found.paths
    assert paths.shape == (400, 5 if isinstance(cv, CombinatorialPurgedCV) else 1)
    returns = {window: backtest(Above(window=window), bars).returns.to_numpy() for window in (5, 20)}
    own = paths.div(paths.shift(1).fillna(1.0)).to_numpy() - 1.0
    used = np.zeros((len(found.splits), 400), int)
    for path in range(paths.shape[1]):
        for row in range(400):
            fits = [
                number
                for number, (_, test) in enumerate(found.splits)
                if row in test and abs(returns[found.folds["window"][number]][row] - own[row, path]) < 1e-12
            ]
            assert fits
            used[fits, row] += 1
    assert all(used[number, test].min() >= 1 for number, (_, test) in enumerate(found.splits))


def test_one_set_gives_its_own_history_on_every_path():
    bars = random_bars(300, seed=5)
    paths = cross_validate(Above, bars, window=[10], **QUIET).paths
    growth = backtest(Above(window=10), bars).growth
    for name in paths:
        assert paths[name].to_numpy() == pytest.approx(growth, rel=1e-12)


def test_failed_and_silent_sets_are_counted_and_marked():
    bars = random_bars(300, seed=6)
    found = cross_validate(Above, bars, window=(13, 14, 20), **QUIET)
    assert (found.failed, found.errors[0].endswith("thirteen")) == (1, True)
    assert set(found.folds["window"]) == {20}
    silent = cross_validate(Above, bars, window=[14], **QUIET)
    assert set(silent.folds["mark"]) == {"no figure in sample"}
    assert silent.paths.eq(1.0).all().all()
    assert silent.stability().empty
    with pytest.raises(BadData, match="every parameter set failed"):
        cross_validate(Above, bars, window=[13], **QUIET)


@pytest.mark.parametrize("metric", ["sortino", "total_return", "volatility", "max_drawdown"])
def test_other_metrics_choose_too(metric):
    found = cross_validate(Above, random_bars(300, seed=7), metric=metric, window=(5, 20, 40), **QUIET)
    inside = found.scores[:, :, 0]
    best = np.nanmin(inside, axis=0) if metric == "volatility" else np.nanmax(inside, axis=0)
    assert found.folds["in_sample"].tolist() == best.tolist()


def test_a_metric_that_is_not_of_returns_is_refused():
    with pytest.raises(ConfigError, match="cross-validation compares sharpe"):
        cross_validate(Above, random_bars(300), metric="win_rate", window=(5, 20))
