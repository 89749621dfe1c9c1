"""Compile every kernel ahead, so that no first call has to.

Contract: runs each entry of the fold, each indicator and the trade list once, on a few made-up bars, with the types
they are always called with; Numba keeps what it compiles on disk. Changes nothing else: the lake it makes goes at once.
Called by `quantkit warmup`.

    1. the fold in its sizes: plain, with money limits, with a rule's own orders   core.fold.simulate
    2. one bar in parts, with a fill from outside, as live trading goes through it core.bench
    3. the trades of a result                                                      backtest.lots
    4. many runs in one call, as sweeps make them                                  backtest.batch
    5. the indicators                                                              indicators
    6. a stream of a lake                                                          data.laying
"""

from __future__ import annotations

import os
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from quantkit.backtest.run import backtest
from quantkit.compiling import with_deep_stack
from quantkit.core.bench import Bench, Fill
from quantkit.core.context import no_rule
from quantkit.core.fold import plan_of
from quantkit.core.policy import Policy, RiskLimits
from quantkit.core.prepare import events_of, first_state, inputs_of
from quantkit.core.state import BUY, RULE_OPEN
from quantkit.core.steps import MORNING
from quantkit.data.bars import Bars, midnights
from quantkit.hooks import silently
from quantkit.jit import stored_kernels
from quantkit.market.costs import Costs
from quantkit.market.kernels import limits_at
from quantkit.market.rules import rule_tables
from quantkit.research.trial import Runner
from quantkit.strategy import Strategy

if TYPE_CHECKING:
    from quantkit.core.interface import Context


class Warmed(NamedTuple):
    """What `warm_up` did."""

    compiled: int  # kernels (by types) that had to be compiled
    loaded: int  # kernels that were there already
    folder: str  # where they are kept; empty where nothing is compiled


@with_deep_stack
def warm_up() -> Warmed:
    """Compile, or find compiled, every kernel."""
    bars = _bars()
    with silently():
        _fold(bars)
    _batch(bars)
    _indicators(bars)
    _lake(bars)
    kernels = stored_kernels()
    folders = sorted({kernel.stats.cache_path for kernel in kernels})
    return Warmed(
        compiled=sum(sum(kernel.stats.cache_misses.values()) for kernel in kernels),
        loaded=sum(sum(kernel.stats.cache_hits.values()) for kernel in kernels),
        folder=os.path.commonpath(folders) if folders else "",
    )


class _Targets(Strategy):
    """In on two bars of three."""

    history = 1

    def targets(self, bars: Bars) -> object:
        return np.arange(bars.close.size).reshape(bars.shape) % 3 != 0


class _Rule(Strategy):
    """Has an order waiting below the market."""

    def on_bar(self, ctx: Context) -> None:
        if len(ctx.orders(0)) == 0:
            ctx.buy(0, 1, limit=ctx.close[0, 0] - 100.0)


def _bars() -> Bars:
    """Forty sessions of two names."""
    close = np.add.outer(np.arange(40.0) % 7, [1_000.0, 2_000.0])
    fields = {"open": close, "high": close + 5.0, "low": close - 5.0, "close": close, "volume": np.full((40, 2), 9.0)}
    return Bars(times=midnights(np.arange(19_724, 19_764)), symbols=("000001", "000002"), fields=fields)


def _fold(bars: Bars) -> None:
    """The fold's entries, and the list of trades."""
    targets = np.arange(80).reshape(40, 2) % 3 == 0
    _ = backtest(targets=targets, bars=bars).trades
    backtest(targets=targets, bars=bars, limits=RiskLimits(max_weight=0.5), policy=Policy(vol_target=0.1, vol_window=5))
    backtest(_Rule(), bars)
    policy = Policy()
    plan = plan_of(policy, Costs.kis())
    inputs = inputs_of(bars, targets.astype(np.float64), policy=policy)
    events = events_of(bars)
    limits_at(rule_tables(bars.days[:1].astype(np.int64)), 0, 0, 1e3, 1.0)  # what the gates ask of every name
    for rule in (None, no_rule(2)):
        bench = Bench(first_state(bars, cash=1_000_000), plan, rule=rule)
        bench.lay(inputs.rows(0, 1), events)
        bench.take(MORNING)
        bench.bases()
        bench.fill(Fill(0, 0, BUY, 1, 1e3, 1_000, 0, 0, RULE_OPEN))
        bench.end(0, 0)
        bench.stop_ended(bench.new_id(), 0, BUY, 1, 0, 0, 0)
        bench.standing(known=True)
        bench.levels(0)
        bench.collar(0, BUY, 1e3)


def _batch(bars: Bars) -> None:
    """The fold as sweeps call it."""
    Runner(bars).run(_Targets())
    Runner(bars, limits=RiskLimits(max_weight=0.5)).run(_Targets())


def _lake(bars: Bars) -> None:
    """A stream of the bars out of a lake, with a day on which one name has no row."""
    import pandas as pd

    from quantkit.data.lake import Lake

    columns = {name: bars.field(name)[:, 0] for name in ("open", "high", "low", "close", "volume")}
    days = bars.index.tz_localize(None)
    frames = [pd.DataFrame({"date": days, "symbol": symbol, **columns}) for symbol in bars.symbols]
    frames[1] = frames[1].drop(index=20)
    with TemporaryDirectory() as folder:
        lake = Lake(folder)
        lake.ingest(pd.concat(frames), market="KOSPI")
        with silently():
            backtest(_Targets(), lake.stream(list(bars.symbols), freq="1d"))


def _indicators(bars: Bars) -> None:
    """Every indicator, some in two ways."""
    from quantkit import indicators as ta

    high, low, close, volume = (bars.field(name) for name in ("high", "low", "close", "volume"))
    for one in (ta.sma, ta.wma, ta.ema, ta.rsi, ta.bollinger, ta.rolling_sum, ta.rolling_min, ta.rolling_max,
                ta.rolling_std, ta.rolling_zscore):  # fmt: skip
        one(close, 5)
    for ranged in (ta.atr, ta.adx, ta.stochastic):
        ranged(high, low, close, 5)
    for across in (ta.rank, ta.demean, ta.zscore):
        across(close)
    ta.macd(close)
    ta.rolling_corr(close, volume, 5)
    ta.donchian(high, low, 5)
    ta.obv(close, volume)
    ta.vwap(close, volume, 5)
    ta.vwap(close, volume, session=bars.days)
