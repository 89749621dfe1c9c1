"""Fitted strategies over a lake in chunks: the same models, the same fills as on bars in memory."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quantkit import Bars, Lake, Policy, Strategy, backtest, ta
from quantkit.errors import BadData, ConfigError
from quantkit.strategy import artifacts
from tests.backtest.test_stream import same
from tests.data.lake_data import prices
from tests.data.test_stream import filled, markets


class Level(Strategy):
    """In while the close is above what its model calls the level."""

    policy = Policy(weighting="equal", max_names=2)
    history = 5
    refit = "1M"
    warmup = 3

    def fit(self, bars: Bars) -> Any:
        return np.nan_to_num(bars.close).mean(axis=0) + np.random.normal()  # noqa: NPY002 - seeded around a fit

    def targets(self, bars: Bars, model: Any) -> Any:
        return ta.sma(bars.close, 3) > model

    def rank(self, bars: Bars, model: Any) -> Any:
        return np.nan_to_num(bars.close - model)


class Minutes(Level):
    """Fits every seven bars, in the middle of sessions too, and has no model now and then."""

    refit = 7
    history = 4
    fit_history = 9

    def fit(self, bars: Bars) -> Any:
        return None if len(bars) % 3 == 0 else super().fit(bars)


class Ruled(Level):
    """Its model makes the columns of a rule."""

    def prepare(self, bars: Bars, model: Any) -> Any:
        return {"above": bars.close - model}

    targets = Strategy.targets

    def on_bar(self, ctx) -> None:
        for s in range(ctx.n):
            ctx.target(s, 0.3 if ctx.signals["above"][s] > 0.0 else 0.0)


@pytest.mark.parametrize("rule", [Level, Ruled])
@pytest.mark.parametrize("start", [None, "2024-03-15"])
def test_days_in_chunks_give_the_result_of_the_whole(rule, start, tmp_path: Path):
    artifacts.forget()
    lake = Lake(tmp_path)
    lake.ingest(prices(("000010", "000020", "000030"), count=150), market="KOSPI")
    options: dict[str, Any] = {"start": start, "interpret": rule is Ruled}
    whole = backtest(rule(), lake.bars(), **options)
    assert len(whole.fills) > 10
    assert len(whole.manifest["models"]) >= 5
    assert list(tmp_path.glob("models/*/*.model"))
    for chunk in (1, 60):
        same(backtest(rule(), lake.stream(freq="1d", chunk=chunk), **options), whole)


@given(market=markets(), chunk=st.integers(1, 4), start=st.sampled_from([None, "2024-02-27"]))
@settings(max_examples=15, deadline=None)
def test_minutes_in_chunks_give_the_result_of_the_whole(market, chunk, start):
    with tempfile.TemporaryDirectory() as folder:
        lake = filled(folder, market)
        try:
            whole = backtest(Minutes(), lake.bars(freq="1m"), start=start)
        except (BadData, ConfigError) as problem:
            with pytest.raises(type(problem)):
                backtest(Minutes(), lake.stream(chunk=chunk), start=start)
            return
        same(backtest(Minutes(), lake.stream(chunk=chunk), start=start), whole)


def test_a_stream_asks_how_much_a_fit_is_shown(tmp_path: Path):
    lake = Lake(tmp_path)
    lake.ingest(prices(count=40), market="KOSPI")
    endless = type("Endless", (Level,), {"fit_history": "all"})
    with pytest.raises(ConfigError, match=r"Endless fits its models on all of the history.*fit_history = 5000"):
        backtest(endless(), lake.stream(freq="1d"))
