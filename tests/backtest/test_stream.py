"""Backtests over a lake in chunks: the same result to the last bit as on bars in memory."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quantkit import Bars, Costs, Lake, Policy, Result, RiskLimits, Strategy, backtest, ta
from quantkit.core.policy import FILLS
from quantkit.errors import BadData, ConfigError
from tests.data.lake_data import prices
from tests.data.test_stream import filled, markets, minute_rows


class Cross(Strategy):
    """In while the close stands above its mean, both of minutes that reach into the session before."""

    policy = Policy(weighting="equal", max_names=2, stop_loss=0.02)
    warmup = 4

    def targets(self, bars: Bars):
        return bars.close > ta.sma(bars.close, 3)


class Ranked(Strategy):
    """Weights by yesterday's range; leaves names alone between rebalance dates."""

    policy = Policy(weighting="weight", rebalance="week", max_names=1)
    history = 6
    warmup = 2

    def targets(self, bars: Bars):
        day = bars.at("1d")
        return np.where(bars.align(day.high / day.low, day) > 1.0, 0.4, np.nan)

    def rank(self, bars: Bars):
        return -bars.session.volume


class Chosen(Cross):
    """A query judged bar by bar."""

    universe = "close_2d > 10000 and listed_days > 3"
    policy = Policy(weighting="equal_held", rebalance=5)


class Called(Cross):
    """Members by what the bars were before."""

    def universe(self, bars: Bars):
        above = np.nan_to_num(bars.close) > 10_100
        return np.concatenate([np.zeros_like(above[:1]), above[:-1]])


class Shaped(Strategy):
    """Strengths sized by a volatility that reaches further back than the strategy itself."""

    policy = Policy(
        weighting="equal", threshold=0.6, vol_target=0.3, vol_window=7, vol_cap=3.0, cap_gross=0.5, max_turnover=0.4,
        cap_group=0.3, groups={"000010": "one", "000020": "one"}, max_holding=9, cooldown=2,
    )  # fmt: skip
    history = 3
    warmup = 3

    def targets(self, bars: Bars):
        return bars.close / ta.sma(bars.close, 3) - 0.4


class Resting(Strategy):
    """A rule with memory: rests a limit order below the close of two bars back, sells after three bars."""

    warmup = 2
    symbol_state = {"bought": int}

    def prepare(self, bars: Bars):
        return {"mean": ta.sma(bars.close, 2)}

    def on_bar(self, ctx):
        for s in range(ctx.n):
            kept = ctx.symbol_state[s]
            if ctx.position[s] > 0:
                kept.bought += 1
                if kept.bought >= 3:
                    ctx.sell(s, ctx.position[s])
                    kept.bought = 0
            elif ctx.close[0, s] >= ctx.signals["mean"][s]:
                ctx.buy(s, 5, limit=ctx.close[2, s])


STRATEGIES = (Cross, Ranked, Chosen, Called, Shaped, Resting)
DEAR = replace(Costs.kis(), impact=0.2, interest=0.05, per="order_day", slippage_ticks=1.0)


def same(left: Result, right: Result) -> None:
    """Two results with the same figures, curves and tables, and the same manifest."""
    for name in ("equity", "cash", "deposits"):
        assert getattr(left.run, name).tolist() == getattr(right.run, name).tolist(), name
    for name in ("fills", "orders", "actions"):
        ours, theirs = getattr(left.run, name), getattr(right.run, name)
        for column in theirs:
            assert ours[column].tobytes() == theirs[column].tobytes(), (name, column)
    assert left.bars.times.tolist() == right.bars.times.tolist()
    pd.testing.assert_series_equal(left.stats, right.stats, check_exact=True)
    pd.testing.assert_frame_equal(left.fills, right.fills, check_exact=True)
    pd.testing.assert_frame_equal(left.trades, right.trades, check_exact=True)
    pd.testing.assert_frame_equal(left.positions, right.positions, check_exact=True)
    if right.benchmark is not None:
        pd.testing.assert_series_equal(left.benchmark, right.benchmark, check_exact=True)
    assert left.manifest == right.manifest
    assert left.warnings == right.warnings


@given(
    market=markets(),
    rule=st.sampled_from(STRATEGIES),
    chunk=st.integers(1, 4),
    fill=st.sampled_from(FILLS),
    costs=st.sampled_from([None, DEAR]),
    start=st.sampled_from([None, "2024-02-27"]),
    end=st.sampled_from([None, "2024-03-01"]),
    benchmark=st.sampled_from([None, "hold", "000010"]),
)
@settings(max_examples=40, deadline=None)
def test_chunks_give_the_result_of_the_whole(market, rule, chunk, fill, costs, start, end, benchmark):
    options: dict[str, Any] = {
        "cash": 1_000_000,
        "fill": fill,
        "costs": costs,
        "start": start,
        "end": end,
        "benchmark": benchmark,
    }
    options["deposits"] = 50_000
    with tempfile.TemporaryDirectory() as folder:
        lake = filled(folder, market)
        try:
            whole = backtest(rule(), lake.bars(freq="1m"), **options)
        except (BadData, ConfigError) as problem:
            with pytest.raises(type(problem)):
                backtest(rule(), lake.stream(chunk=chunk), **options)
            return
        same(backtest(rule(), lake.stream(chunk=chunk), **options), whole)


class Days(Cross):
    """The same rule on days, evaluated month by month."""

    history = 5


def test_days_in_chunks_give_the_result_of_the_whole(tmp_path):
    lake = Lake(tmp_path)
    lake.ingest(prices(("000010", "000020", "000030"), count=150), market="KOSPI")
    limits = RiskLimits(max_weight=0.6, min_cash=10_000)
    options: dict[str, Any] = {"start": "2024-03-15", "limits": limits, "costs": Costs.kiwoom(), "benchmark": "hold"}
    whole = backtest(Days(), lake.bars(), **options)
    assert len(whole.fills) > 20
    for chunk in (1, 25, 60, 200):
        same(backtest(Days(), lake.stream(freq="1d", chunk=chunk), **options), whole)


def test_a_report_and_a_picture_need_no_panel(tmp_path):
    plan = [[2] * 30, [2] * 30]
    lake = filled(str(tmp_path / "lake"), _market(plan))
    whole, parts = backtest(Cross(), lake.bars(freq="1m")), backtest(Cross(), lake.stream(chunk=2))
    loaded = parts.bars.loaded()
    figure = parts.plot(symbol="000020")
    assert figure.axes
    page = parts.report(tmp_path / "parts.html").read_text(encoding="utf-8")
    assert page == whole.report(tmp_path / "whole.html").read_text(encoding="utf-8")
    assert parts.bars.loaded() == loaded == ()
    costs = replace(Costs.kis(), impact=0.05)
    steep = backtest(Cross(), lake.stream(chunk=2), costs=costs)
    table = steep.capacity([1e6, 1e8])
    assert table.index.tolist() == [1e6, 1e8]
    assert (table["cost_of_traded"] > 0.003).all()
    assert "Slippage, with impact" in steep.report(tmp_path / "parts.html").read_text(encoding="utf-8")
    assert steep.bars.loaded() == ()


def _market(plan: list[list[int]]) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    known = pd.DataFrame([("000010", "KOSPI"), ("000020", "KOSPI")], columns=["symbol", "market"])
    return minute_rows(plan, bars=3), known, pd.DataFrame()


def test_all_of_the_history_is_refused_by_name(tmp_path):
    lake = Lake(tmp_path)
    lake.ingest(prices(count=40), market="KOSPI")
    with pytest.raises(ConfigError, match=r"Cross asks for all of the history.*`history = 250`"):
        backtest(Cross(), lake.stream(freq="1d"))


def test_arrays_of_all_rows_are_refused(tmp_path):
    lake = filled(str(tmp_path), _market([[2] * 6, [2] * 6]))
    with pytest.raises(ConfigError, match="a stream is run with a strategy"):
        backtest(targets=np.ones((6, 2)), bars=lake.stream())
    with pytest.raises(ConfigError, match="a stream is run with a strategy"):
        backtest(Cross(), lake.stream(), rank=np.ones((6, 2)))


def test_a_range_without_bars_says_so(tmp_path):
    lake = filled(str(tmp_path), _market([[2] * 6, [2] * 6]))
    with pytest.raises(BadData, match="no bars to run on"):
        backtest(Cross(), lake.stream(), end="2024-01-31")
    with pytest.raises(ConfigError, match="is after the last bar"):
        backtest(Cross(), lake.stream(), start="2025")


def test_a_strategy_that_never_says_anything_is_refused(tmp_path):
    class Silent(Cross):
        policy = Policy(weighting="weight")

        def targets(self, bars: Bars):
            return np.full(bars.shape, np.nan)

    lake = filled(str(tmp_path), _market([[2] * 6, [2] * 6]))
    with pytest.raises(BadData, match="no value at all"):
        backtest(Silent(), lake.stream(chunk=1))


class Held(Strategy):
    """In, always."""

    policy = Policy(weighting="equal")

    def targets(self, bars: Bars):
        return np.ones(bars.shape, np.bool_)


def test_minutes_lose_a_tick_unless_told(tmp_path: Path):
    lake = filled(str(tmp_path), _market([[2] * 6, [2] * 6]))
    bars = lake.bars(freq="1m")
    ticked = backtest(Held(), bars, cash=1_000_000)
    assert ticked.manifest["run"]["costs"]["slippage_ticks"] == 1.0
    assert ticked.fills["price"].iloc[0] == bars.raw.open[1, 0] + 10  # the grid at 10,000 won
    assert any("slippage" in said for said in ticked.warnings)
    free = backtest(Held(), bars, cash=1_000_000, costs=replace(Costs.kis(), slippage_ticks=0.0))
    assert free.fills["slippage"].sum() == 0
    assert any("without slippage" in said for said in free.warnings)
    daily = Bars.from_pandas(prices(count=40), market="KOSPI")
    assert backtest(Held(), daily).manifest["run"]["costs"]["slippage_ticks"] == 0.0


def test_a_rule_that_sees_its_session_only_is_named(tmp_path: Path):
    lake = filled(str(tmp_path), _market([[2] * 6, [2] * 6]))
    said = "sees its own session only"
    assert any(said in line for line in backtest(Held(), lake.bars(freq="1m")).warnings)
    assert not any(said in line for line in backtest(Cross(), lake.bars(freq="1m")).warnings)


def test_bars_of_ticks_stream_as_they_lie(tmp_path: Path):
    """Stamps of no fixed distance, a few names at moments of their own."""
    random = np.random.default_rng(3)
    rows = []
    for day in pd.bdate_range("2024-02-26", periods=6, tz="Asia/Seoul"):
        for symbol in ("000010", "000020"):
            moments = np.sort(random.choice(np.arange(1, 23_400_000), 40, replace=False))
            closes = 10_000 + 10 * random.integers(-9, 10, 40).cumsum()
            for moment, close in zip(moments.tolist(), closes.tolist(), strict=True):
                stamp = day + pd.Timedelta(hours=9, milliseconds=moment)
                rows.append((symbol, stamp, close, close + 10, close - 10, close, 100))
    lake = Lake(tmp_path)
    frame = pd.DataFrame(rows, columns=["symbol", "time", "open", "high", "low", "close", "volume"])
    lake.ingest(frame, "bars_100t", market="KOSPI")
    bars = lake.bars(freq="100t")
    assert bars.intraday
    assert len(bars.at("5m")) > 100
    assert lake.bars(freq="10m").freq == "10m"
    whole = backtest(Cross(), bars)
    assert len(whole.fills) > 20
    same(backtest(Cross(), lake.stream(freq="100t", chunk=2)), whole)
    with pytest.raises(BadData, match="no fixed length"):
        lake.ingest(frame, "bars_100t", stamp="open")
    with pytest.raises(BadData, match="has no 200t bars"):
        lake.bars(freq="200t")
