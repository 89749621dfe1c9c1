"""A rule with memory: a grid of 10 resting limit orders on one symbol, `on_bar` called on every bar.

Ten levels 0.4 % apart; each keeps one order resting: a buy at its price, or, once bought, its take profit one level
higher. Both sides fill a limit that is touched. backtesting.py runs fewer bars, because it takes
minutes for as many as ours; figures are bars a second. Both sides get the same prices; ours also checks ticks, price
limits, cash and settlement.

usage: python benchmarks/rules.py [--json]
"""

from __future__ import annotations

import numpy as np
from common import SEED, measure, run_sides

import quantkit as qk

BARS, THEIRS = 1_000_000, 40_000
LEVELS, STEP, SHARES = 10, 0.004, 10


class Grid(qk.Strategy):
    """One entry with its take profit rests at each of ten levels."""

    policy = qk.Policy(collar=None, limit_fill="touch")

    def on_bar(self, ctx: qk.Context) -> None:
        busy = 0
        for order in ctx.orders(0):
            busy |= 1 << order.tag
        for j in range(LEVELS):
            if busy & (1 << j) == 0:
                level = 50_000.0 * (1.0 + STEP * (j - LEVELS // 2))
                ctx.buy(0, SHARES, limit=level, take_profit=level * (1.0 + STEP), tif="gtc", tag=j)


def data(bars: int) -> tuple[np.ndarray, ...]:
    """(open, high, low, close) of a price that swings around 50,000 won."""
    random = np.random.default_rng(SEED)
    level, steps = np.empty(bars), random.normal(0, 60, bars)
    level[0] = 0.0
    for t in range(1, bars):
        level[t] = level[t - 1] * 0.999 + steps[t]
    close = np.floor((50_000 + level) / 50) * 50
    opens = np.append(close[:1], close[:-1])
    high = np.maximum(opens, close) + 50.0 * random.integers(0, 3, bars)
    low = np.minimum(opens, close) - 50.0 * random.integers(0, 3, bars)
    return opens, high, low, close


def quantkit() -> dict[str, float]:
    names = ("open", "high", "low", "close")
    fields = {name: column[:, None].copy() for name, column in zip(names, data(BARS), strict=True)}
    fields["volume"] = np.full((BARS, 1), 1e6)
    times = np.datetime64("2020-01-02T00:01", "us").astype(np.int64) + 60_000_000 * np.arange(BARS)
    bars = qk.Bars(times=times, symbols=("005930",), fields=fields, markets="KOSPI", freq="1m")
    fills = []

    def work() -> None:
        fills.append(len(qk.backtest(Grid(), bars, cash=1e9, costs=qk.Costs(0.00015)).run.fills["bar"]))

    figures = measure(work, runs=3)
    return figures | {"bars": BARS, "bars_a_second": BARS / figures["median_s"], "fills": fills[-1]}


def backtesting() -> dict[str, float]:
    import warnings

    import pandas as pd
    from backtesting import Backtest
    from backtesting import Strategy as TheirStrategy

    warnings.simplefilter("ignore")

    class TheirGrid(TheirStrategy):
        def init(self) -> None:
            pass

        def next(self) -> None:
            busy = {order.tag for order in self.orders} | {trade.tag for trade in self.trades}
            for j in range(LEVELS):
                if j not in busy:
                    level = 50_000.0 * (1.0 + STEP * (j - LEVELS // 2))
                    self.buy(size=SHARES, limit=level, tp=level * (1.0 + STEP), tag=j)

    columns = dict(zip(("Open", "High", "Low", "Close"), data(THEIRS), strict=True))
    frame = pd.DataFrame(columns | {"Volume": 1e6}, index=pd.date_range("2020-01-02", periods=THEIRS, freq="min"))
    fills = []

    def work() -> None:
        run = Backtest(frame, TheirGrid, cash=1e9, commission=0.00015, hedging=False).run()
        fills.append(2 * len(run["_trades"]))

    figures = measure(work, runs=1, warm=0)
    return figures | {"bars": THEIRS, "bars_a_second": THEIRS / figures["median_s"], "fills": fills[-1]}


if __name__ == "__main__":
    run_sides(
        __file__,
        {"quantkit": quantkit, "backtesting.py": backtesting},
        title="a grid of 10 resting orders, on_bar on every bar",
        packages=("numpy", "numba", "backtesting"),
        rate="bars_a_second",
    )
