"""Strategies that look back only, in ways that have raised false alarms elsewhere. `CLEAN` lists them.

Long and undeclared warm-ups, filters that remember the start a little, statistics over all bars so far, sums that round
differently on fewer rows, calendar dates, coarser bars, blocks of history, members, rules with memory.
"""

from __future__ import annotations

import numpy as np

from quantkit import Bars, Context, Policy, Strategy, param, ta

CLEAN: list[type[Strategy]] = []
MINUTES: list[type[Strategy]] = []


def clean(cls: type[Strategy]) -> type[Strategy]:
    CLEAN.append(cls)
    return cls


def on_minutes(cls: type[Strategy]) -> type[Strategy]:
    MINUTES.append(cls)
    return cls


# --- averages and filters -----------------------------------------------------------------------------------------


@clean
class Cross(Strategy):
    """No warm-up declared: nothing but a note."""

    def targets(self, bars: Bars):
        return ta.sma(bars.close, 10) > ta.sma(bars.close, 50)


@clean
class LongWarmUp(Strategy):
    warmup = 400

    def targets(self, bars: Bars):
        return ta.roc(bars.close, 399) > 0


@clean
class Exponential(Strategy):
    def targets(self, bars: Bars):
        return ta.ema(bars.close, 12) > ta.ema(bars.close, 26)


@clean
class PandasEwm(Strategy):
    def targets(self, bars: Bars):
        close = bars.frame("close")
        return close.ewm(span=10).mean() > close.ewm(span=40, adjust=False).mean()


@clean
class Adaptive(Strategy):
    """Kaufman's average, row by row."""

    warmup = 30

    def targets(self, bars: Bars):
        close = np.nan_to_num(bars.close)
        mean = close.copy()
        for t in range(10, len(close)):
            way = np.abs(close[t] - close[t - 10])
            path = np.abs(np.diff(close[t - 10 : t + 1], axis=0)).sum(axis=0)
            speed = np.divide(way, path, out=np.zeros_like(way), where=path > 0) * 0.6 + 0.06
            mean[t] = mean[t - 1] + speed**2 * (close[t] - mean[t - 1])
        return close > mean


@clean
class LocalLevel(Strategy):
    """A Kalman filter of the level."""

    def targets(self, bars: Bars):
        close = np.nan_to_num(np.log(bars.close))
        level, variance = close[0], 1.0
        out = np.zeros(bars.shape)
        for t in range(len(close)):
            variance += 1e-4
            gain = variance / (variance + 1e-2)
            level = level + gain * (close[t] - level)
            variance *= 1 - gain
            out[t] = level
        return close > out


@clean
class Reversion(Strategy):
    warmup = 20

    def targets(self, bars: Bars):
        return ta.hold(ta.rsi(bars.close, 14) < 30, ta.rsi(bars.close, 14) > 60)


@clean
class FastConvolution(Strategy):
    """An average through a Fourier transform: the last bits depend on how many rows there are."""

    def targets(self, bars: Bars):
        close = np.nan_to_num(bars.close)
        size = 2 * len(close) + 20
        kernel = np.fft.rfft(np.r_[np.ones(20) / 20, np.zeros(size - 20)])
        mean = np.fft.irfft(np.fft.rfft(close, n=size, axis=0) * kernel[:, None], n=size, axis=0)[: len(close)]
        return np.clip(np.where(close > 0, mean / np.maximum(close, 1.0), 0.0), 0.0, 2.0) / 20


@clean
class MatrixProduct(Strategy):
    """A product over names, whose rounding may change with the number of rows."""

    def targets(self, bars: Bars):
        move = np.nan_to_num(ta.roc(bars.close, 1))
        loading = np.array([int(symbol) / 50 - 1 for symbol in bars.symbols])[:, None]
        return np.clip(0.1 - (move @ loading) @ loading.T, 0.0, 0.2)


# --- all bars so far ----------------------------------------------------------------------------------------------


@clean
class ExpandingQuantile(Strategy):
    def targets(self, bars: Bars):
        volume = bars.frame("volume")
        return volume > volume.expanding(50).quantile(0.9)


@clean
class ExpandingScore(Strategy):
    def targets(self, bars: Bars):
        close = bars.frame("close")
        score = (close - close.expanding(20).mean()) / close.expanding(20).std()
        return score.clip(-1, 1) * -0.05 + 0.05


@clean
class RunningDrawdown(Strategy):
    def targets(self, bars: Bars):
        close = np.nan_to_num(bars.close)
        peak = np.maximum.accumulate(close, axis=0)
        return close < 0.8 * peak


@clean
class OnBalance(Strategy):
    def targets(self, bars: Bars):
        total = ta.obv(bars.close, bars.volume)
        return total > ta.sma(total, 20)


@clean
class Refitted(Strategy):
    """A regression of tomorrow's return on today's, fitted anew every 50 bars on what is over."""

    def targets(self, bars: Bars):
        move = np.nan_to_num(ta.roc(bars.close, 1))
        out = np.zeros(bars.shape)
        for start in range(100, len(bars), 50):
            x, y = move[: start - 1], move[1:start]
            slope = (x * y).sum(axis=0) / np.maximum((x * x).sum(axis=0), 1e-12)
            out[start : start + 50] = np.clip(move[start : start + 50] * slope * 10 + 0.05, 0.0, 0.1)
        return out


@clean
class Fitted(Strategy):
    """A regression fitted every quarter on what is over by then."""

    refit = "3M"
    warmup = 60

    def fit(self, bars: Bars):
        move = np.nan_to_num(ta.roc(bars.close, 1))
        return float((move[:-1] * move[1:]).sum() / max((move[:-1] ** 2).sum(), 1e-12))

    def targets(self, bars: Bars, model: float):
        return ta.roc(bars.close, 1) * model > 0


# --- across names -------------------------------------------------------------------------------------------------


@clean
class CrossRank(Strategy):
    policy = Policy(weighting="equal_held", rebalance="month", trade_on="rebalance")
    warmup = 61

    def targets(self, bars: Bars):
        return ta.rank(ta.roc(bars.close, 60), where=bars.member & bars.valid) > 0.6


@clean
class PandasRank(Strategy):
    def targets(self, bars: Bars):
        return bars.frame("close").pct_change(20, fill_method=None).rank(axis=1, pct=True) > 0.5


@clean
class ListedParts(Strategy):
    """Equal parts among those that are there."""

    def targets(self, bars: Bars):
        return bars.listed / np.maximum(bars.listed.sum(axis=1, keepdims=True), 1)


@clean
class TradedUniverse(Strategy):
    """Members by what was traded before the bar."""

    def universe(self, bars: Bars):
        value = ta.lag(ta.sma(bars.value, 20), 1)
        return ta.rank(value, ascending=False, pct=False) <= 3

    def targets(self, bars: Bars):
        return (bars.close > ta.sma(bars.close, 20)) & bars.member


@clean
class QueriedUniverse(Strategy):
    universe = "value_20d > 2e9 and listed_days > 20"

    def targets(self, bars: Bars):
        return (bars.close > ta.sma(bars.close, 20)) & bars.member


@clean
class NamedUniverse(Strategy):
    universe = ("000020", "000050")

    def targets(self, bars: Bars):
        return (bars.close > ta.sma(bars.close, 20)) & bars.member


@clean
class Ranked(Strategy):
    policy = Policy(max_names=2)

    def targets(self, bars: Bars):
        return bars.close > ta.sma(bars.close, 30)

    def rank(self, bars: Bars):
        return ta.roc(bars.close, 30)


# --- dates, gaps, coarser bars ------------------------------------------------------------------------------------


@clean
class FirstOfMonth(Strategy):
    """Weights on the first bar of a month, NaN (leave) on all others."""

    def targets(self, bars: Bars):
        month = bars.days.astype("datetime64[D]").astype("datetime64[M]").astype(int)
        first = np.diff(month, prepend=month[0] - 1) != 0
        up = np.where(ta.roc(bars.close, 60) > 0, 0.15, 0.0)
        return np.where(first[:, None], up, np.nan)


@clean
class LateInTheMonth(Strategy):
    """By the calendar alone."""

    def targets(self, bars: Bars):
        dates = bars.days.astype("datetime64[D]")
        day = (dates - dates.astype("datetime64[M]")).astype(int) + 1
        return np.repeat(((day >= 26) | (day <= 3))[:, None], bars.shape[1], axis=1)


@clean
class WeeklyBars(Strategy):
    """Completed weeks only."""

    def targets(self, bars: Bars):
        week = bars.at("1w")
        return bars.align(ta.sma(week.close, 4), week) < bars.close


@clean
class PandasWeeks(Strategy):
    """Weeks stamped with their Friday, known from then on."""

    def targets(self, bars: Bars):
        close = bars.frame("close").tz_localize(None)
        week = close.resample("W-FRI").last().shift(1).reindex(close.index, method="ffill")
        return (close > week).to_numpy()


@clean
class ForwardFilled(Strategy):
    def targets(self, bars: Bars):
        volume = bars.frame("volume").replace(0.0, np.nan).ffill()
        return volume > 1.5 * volume.rolling(20).mean()


@clean
class NumbersAndNone(Strategy):
    """Mostly NaN: leave."""

    def targets(self, bars: Bars):
        move = ta.roc(bars.close, 1)
        return np.where(move < -0.04, 0.2, np.where(move > 0.04, 0.0, np.nan))


@clean
class Blocks(Strategy):
    """Evaluated month by month on 60 bars of history."""

    warmup = 60
    history = 60

    def targets(self, bars: Bars):
        return bars.close > ta.sma(bars.close, 60)


@clean
class AgainstTheSplit(Strategy):
    """Reads the actions that have happened."""

    def targets(self, bars: Bars):
        wanted = np.zeros(bars.shape, bool)
        for action in bars.actions:
            row = int(np.searchsorted(bars.days, action["ex_day"]))
            if str(action["symbol"]) in bars.symbols:
                wanted[row : row + 20, bars.symbols.index(str(action["symbol"]))] = True
        return wanted


@clean
class Always(Strategy):
    def targets(self, bars: Bars):
        return np.full(bars.shape, 0.1)


@clean
class SeededDice(Strategy):
    """Random, but the same numbers for the same bars however many follow."""

    seed: int = param(7)

    def targets(self, bars: Bars):
        return np.random.default_rng(self.seed).random((len(bars), 1)).repeat(bars.shape[1], axis=1) > 0.9


@clean
class OwnCache(Strategy):
    """Keeps what it computed, for the bars it was computed of."""

    def targets(self, bars: Bars):
        kept = self.__dict__.setdefault("kept", {})
        key = (len(bars), float(np.nansum(bars.close)))
        if key not in kept:
            kept[key] = bars.close > ta.sma(bars.close, 20)
        return kept[key]


# --- rules with memory --------------------------------------------------------------------------------------------


@clean
class Ladder(Strategy):
    """Rests limit orders below an average."""

    warmup = 20
    symbol_state = {"made": int}

    def prepare(self, bars: Bars):
        return {"mean": ta.sma(bars.close, 20)}

    def on_bar(self, ctx: Context) -> None:
        for s in range(ctx.n):
            if ctx.valid[s] and ctx.position[s] == 0 and len(ctx.orders(s)) == 0:
                price = ctx.signals["mean"][s] / ctx.factor[s] * 0.98
                ctx.buy(s, 0.05 * ctx.equity / price, limit=price, tif="gtc", take_profit=price * 1.03)
                ctx.symbol_state[s].made += 1


@clean
class Counting(Strategy):
    """No signals at all."""

    warmup = 1
    state = {"bars": int}

    def on_bar(self, ctx: Context) -> None:
        ctx.state.bars += 1
        if ctx.state.bars % 20 == 0:
            for s in range(ctx.n):
                if ctx.valid[s]:
                    ctx.target(s, 0.1 if ctx.close[0, s] > ctx.close[1, s] else 0.0)


# --- inside the day -----------------------------------------------------------------------------------------------


@on_minutes
class SessionRange(Strategy):
    """Above the session's running mean of high and low; each session is decided on its own."""

    def targets(self, bars: Bars):
        session = bars.session
        return bars.close > (session.high + session.low) / 2


@on_minutes
class Yesterday(Strategy):
    """Above yesterday's high, from completed days."""

    warmup = 40

    def targets(self, bars: Bars):
        day = bars.at("1d")
        return bars.close > bars.align(day.high, day)


@on_minutes
class FiveMinutes(Strategy):
    warmup = 80

    def targets(self, bars: Bars):
        coarse = bars.at("5m")
        return bars.align(ta.sma(coarse.close, 3), coarse) < bars.close
