"""A decider's rows are the rows of a backtest over the same bars, to the last bit."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from quantkit import Bars, Costs, Policy, Strategy, ta
from quantkit.backtest.pieces import Terms, decide_rows
from quantkit.backtest.universe import in_universe
from quantkit.core.bench import Seen
from quantkit.core.prepare import inputs_of, valid_after_warmup
from quantkit.core.state import Inputs
from quantkit.data.bars import TRADED, VALID
from quantkit.errors import BadData
from quantkit.live.deciding import Decider
from quantkit.strategy.fitting import models_of
from quantkit.strategy.rules import signals_of
from quantkit.trading.ports import Candle, InstrumentDay
from tests.core.markets import make_bars

NANO = 1000


class Cross(Strategy):
    """In while the fast average is above the slow one."""

    def targets(self, bars: Bars) -> object:
        return ta.sma(bars.close, 2) > ta.sma(bars.close, 5)


class Blocks(Cross):
    """The same, evaluated from ten bars before each session."""

    history = 10
    warmup = 3


class Chosen(Cross):
    """Two names by momentum, from a query, sized by volatility, on week ends."""

    universe = "close > 5000"
    policy = Policy(weighting="weight", max_names=2, rebalance="week", vol_target=0.3, vol_window=3)

    def targets(self, bars: Bars) -> object:
        return np.where(np.isnan(ta.sma(bars.close, 3)), np.nan, 0.4)

    def rank(self, bars: Bars) -> object:
        return bars.close / ta.sma(bars.close, 4)


class Fitted(Strategy):
    """In above the mean of what it was shown."""

    refit = 6
    warmup = 4

    def fit(self, bars: Bars) -> object:
        return float(np.nanmean(bars.close))

    def targets(self, bars: Bars, model: Any) -> object:
        return bars.close > model


class Ruled(Strategy):
    """A rule with a signal."""

    warmup = 2

    def prepare(self, bars: Bars) -> dict[str, object]:
        return {"mean": ta.sma(bars.close, 3)}

    def on_bar(self, ctx: Any) -> None:
        ctx.target(0, 1.0)


def some_bars(per_day: int = 1, rows: int = 30) -> Bars:
    random = np.random.default_rng(5)
    bytes_ = random.integers(0, 180, (rows, 3, 5)).astype(np.uint8)
    return make_bars(
        "2024-03-26", bytes_, listed=[(0, rows - 1)] * 3, markets=["KOSPI"] * 3, actions=[], per_day=per_day,
        freq="1h", to_close=True,
    )  # fmt: skip


def whole_rows(strategy: Strategy, bars: Bars, first: int) -> tuple[Terms, Inputs]:
    """What `backtest` folds from row `first` on."""
    terms = Terms(strategy=strategy, policy=strategy.policy, costs=Costs.kis(), limits=None, fill="next_open")
    seen = in_universe(bars, strategy)
    terms = replace(terms, models=models_of(strategy, seen.times, seen.days))
    found = decide_rows(terms, seen, needed=first).rows(first)
    flags = valid_after_warmup(seen.flags, terms.warmup)[first:]
    inputs = inputs_of(
        seen.slice(first, len(seen)), found.targets, policy=terms.policy, flags=flags, rank=found.rank,
        liquidity=found.liquidity, scale=found.scale,
    )  # fmt: skip
    return terms, inputs


def same_row(row: Inputs, whole: Inputs, t: int) -> None:
    for name, mine, theirs in zip(Inputs._fields, row, whole.rows(t, t + 1), strict=True):
        assert mine.tobytes() == np.ascontiguousarray(theirs).tobytes(), name


@pytest.mark.parametrize("per_day", [1, 3])
@pytest.mark.parametrize("cls", [Cross, Blocks, Chosen, Fitted, Ruled])
def test_every_row_is_the_backtests(cls: type[Strategy], per_day: int) -> None:
    bars, first, strategy = some_bars(per_day), 6, cls()
    terms, whole = whole_rows(strategy, bars, first)
    decider = Decider(terms, bars, first=first)
    for t in range(first, len(bars)):
        ends = t + 1 == len(bars) or bars.days[t + 1] != bars.days[t]
        after = int(bars.days[t + 1]) if t + 1 < len(bars) else None
        row, seen = decider.row_of(bars.slice(0, t + 1), last=ends, after=after)
        same_row(row, whole, t - first)
        if strategy.is_rule:
            assert isinstance(seen, Seen)
            signal = signals_of(strategy, bars)["mean"]
            assert seen.signals["mean"].tobytes() == signal[t : t + 1].tobytes()
            assert seen.past.close[seen.row].tolist() == bars.raw.close[t].tolist()
            assert seen.row == min(t, strategy.warmup)


@pytest.mark.parametrize("cls", [Cross, Chosen, Ruled])
def test_bars_that_come_one_by_one_are_decided_as_the_whole(cls: type[Strategy]) -> None:
    bars, first, strategy = some_bars(), 12, cls()
    terms, whole = whole_rows(strategy, bars, first)
    decider = Decider(terms, bars.slice(0, first), deployment="d")
    for t in range(first, len(bars)):
        day = int(bars.days[t])
        told = [InstrumentDay(symbol=symbol, base=0.0, previous_close=0.0) for symbol in bars.symbols]
        opened = decider.opens(day, told, 1)
        assert (opened.day, opened.deployment, len(opened.events)) == (day, "d", 0)
        candles = [
            Candle(
                symbol, int(bars.times[t]) * NANO, bars.raw.open[t, s].item(), bars.raw.high[t, s].item(),
                bars.raw.low[t, s].item(), bars.raw.close[t, s].item(), int(bars.volume[t, s]),
            )
            for s, symbol in enumerate(bars.symbols)
        ]  # fmt: skip
        after = int(bars.days[t + 1]) if t + 1 < len(bars) else None
        missing = [symbol for s, symbol in enumerate(bars.symbols) if not bars.flags[t, s] & VALID]
        closed = decider.closes(candles, int(bars.times[t]) * NANO, 2, missing=missing, day=day, after=after)
        assert closed.row.close.tobytes() == whole.close[t - first : t - first + 1].tobytes()
        if cls is not Chosen:
            assert closed.row.targets.tobytes() == whole.targets[t - first : t - first + 1].tobytes()


def test_a_name_without_a_candle_is_carried_and_not_judged() -> None:
    bars = some_bars()
    terms, _ = whole_rows(Cross(), bars, 6)
    decider = Decider(terms, bars)
    day = int(bars.days[-1]) + 3
    last = bars.raw.close[-1].tolist()
    candle = Candle(bars.symbols[0], 0, last[0], last[0], last[0], last[0], 5)
    closed = decider.closes([candle], (day * 86_400 - 9 * 3600) * 10**9, 2, complete=False)
    assert closed.row.close[0].tolist() == last
    assert [bool(flag & TRADED) for flag in closed.row.flags[0]] == [True, False, False]
    assert [bool(flag & VALID) for flag in closed.row.flags[0]] == [True, False, False]
    assert not closed.complete
    with pytest.raises(BadData, match="after the one at"):
        decider.closes([candle], (day * 86_400 - 9 * 3600) * 10**9, 3)


def test_a_deposit_comes_with_the_morning_of_its_session() -> None:
    bars = some_bars()
    terms, _ = whole_rows(Cross(), bars, 6)
    day = int(bars.days[-1]) + 3
    decider = Decider(terms, bars, deposits={day: 1_000.0})
    opened = decider.opens(day, [InstrumentDay(symbol=bars.symbols[0], base=10_000.0, previous_close=9_990.0)], 1)
    assert [(int(e.bar), float(e.cash)) for e in opened.events] == [(0, 1_000.0)]
    assert opened.row.base[0, 0] == 10_000.0
    assert np.isnan(opened.row.base[0, 1])
