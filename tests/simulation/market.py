"""What a simulated session is played on: a made-up market, and three strategies that between them use every kind of
order: auction orders of a daily rule, exits on stops of an intraday rule, resting orders of a rule with memory."""

from __future__ import annotations

import functools

import numpy as np

import quantkit as qk
from quantkit import ta
from quantkit.data.bars import Bars
from quantkit.emulator.grid import Grid
from quantkit.emulator.session import session_clock
from quantkit.emulator.sources import random_bars

SYMBOLS = 20
DAYS = 12
STEP = 300_000_000  # microseconds of an intraday bar


class Daily(qk.Strategy):
    """Hold what closed above its mean; a stop, and orders in the opening auction."""

    policy = qk.Policy(weighting="equal", max_names=6, stop_loss=0.02, funding="cash")

    def targets(self, bars: Bars) -> np.ndarray:
        return bars.close > ta.sma(bars.close, 3)


class Few(Daily):
    """The same with little of the money, and a stop that is met soon."""

    policy = qk.Policy(weighting="equal", max_names=3, gross=0.3, stop_loss=0.0011, funding="cash")


class Minute(qk.Strategy):
    """In and out within the session, with stops on both sides."""

    policy = qk.Policy(weighting="equal", max_names=4, stop_loss=0.004, take_profit=0.008, funding="cash")

    def targets(self, bars: Bars) -> np.ndarray:
        return ta.sma(bars.close, 2) > ta.sma(bars.close, 4)


class Resting(qk.Strategy):
    """Bids below the price and offers above it, moved or taken back when they grow old."""

    policy = qk.Policy(funding="cash")
    warmup = 2

    def on_bar(self, ctx: qk.Context) -> None:
        for s in range(ctx.n):
            if not ctx.valid[s]:
                continue
            close, bids, offers = ctx.close[0, s], 0, 0
            for order in ctx.orders(s):
                bids += order.side > 0
                offers += order.side < 0
                if order.age >= 4:
                    ctx.cancel(order.id)
                elif order.age == 2 and order.side > 0:
                    ctx.replace(order.id, limit=close * 0.998)
            room = 0.1 * ctx.equity / close
            if bids == 0 and ctx.position[s] == 0 and room >= 1:
                ctx.buy(s, room, limit=close * 0.997, tif="gtc")
                ctx.buy(s, room / 2, limit=close * 0.992, tif="day")
            if offers == 0 and ctx.position[s] > 0:
                ctx.sell(s, ctx.position[s], limit=close * 1.003, tif="gtc", stop_loss=None)


@functools.lru_cache(maxsize=4)
def daily_bars(seed: int, days: int) -> Bars:
    """The market: the last `days` sessions are played, those before are history."""
    return random_bars(seed=seed, symbols=SYMBOLS, sessions_count=DAYS + days, volatility=0.012)


def minutes_before(bars: Bars, row: int, columns: tuple[int, ...]) -> Bars:
    """The last hour and a half of the session before `row`, as intraday bars of some names: a path to its close."""
    closes = bars.raw.close[row - 1, list(columns)]
    rng = np.random.default_rng([int(bars.days[row]), 5])
    path = closes * np.exp(np.cumsum(0.002 * rng.standard_normal((18, len(columns))), axis=0)[::-1])
    grid = Grid("KOSPI", str(np.datetime64(int(bars.days[row]), "D")))
    path = np.vectorize(grid.floor)(path)
    path[-1] = closes
    ends = session_clock(int(bars.days[row - 1])).close // 1_000 - STEP * np.arange(18)[::-1]
    before = np.vstack([path[:1], path[:-1]])
    fields = {
        "open": before, "high": np.maximum(before, path), "low": np.minimum(before, path), "close": path,
        "volume": np.full(path.shape, 10_000.0), "base": np.tile(closes, (18, 1)),
    }  # fmt: skip
    symbols = tuple(bars.symbols[column] for column in columns)
    return Bars(times=ends, symbols=symbols, fields=dict(fields), markets="KOSPI", freq=f"{STEP // 60_000_000}m")
