"""Strategies that look ahead, each in one way, with what the check must say of it.

`PLANTED` lists (class, kind of finding, column, beginning of the cause). Most of them are lines seen in published
notebooks; none of them shows in a backtest but by being too good.
"""

from __future__ import annotations

from typing import ClassVar, NamedTuple

import numpy as np
import pandas as pd

from quantkit import Bars, Context, Strategy, param, ta


class Planted(NamedTuple):
    """A biased strategy and what is to be found."""

    cls: type[Strategy]
    kind: str
    cause: str
    column: str


PLANTED: list[Planted] = []


def planted(kind: str, cause: str, column: str = "targets"):
    def keep(cls: type[Strategy]) -> type[Strategy]:
        PLANTED.append(Planted(cls, kind, cause, column))
        return cls

    return keep


# --- tomorrow's bar -----------------------------------------------------------------------------------------------


@planted("lookahead", "negative shift of 1 bar")
class TomorrowIsUp(Strategy):
    def targets(self, bars: Bars):
        close = bars.frame("close")
        return (close.shift(-1) > close).fillna(False)


@planted("lookahead", "negative shift of 5 bars")
class NextWeeksReturn(Strategy):
    days: int = param(5)

    def targets(self, bars: Bars):
        return bars.frame("close").pct_change(self.days).shift(-self.days) > 0.02


@planted("lookahead", "negative shift of 1 bar")
class Rolled(Strategy):
    def targets(self, bars: Bars):
        return np.roll(bars.close, -1, axis=0) > bars.close


@planted("lookahead", "negative shift of 3 bars")
class Sliced(Strategy):
    def targets(self, bars: Bars):
        later = bars.close.copy()
        later[:-3] = bars.close[3:]
        return later > bars.close


@planted("lookahead", "negative shift of 1 bar")
class TomorrowsOpen(Strategy):
    """Buys today what gaps up tomorrow."""

    def targets(self, bars: Bars):
        gap = np.full(bars.shape, np.nan)
        gap[:-1] = bars.open[1:] / bars.close[:-1] - 1
        return gap > 0.004


@planted("lookahead", "negative shift of 1 bar")
class TomorrowsVolume(Strategy):
    def targets(self, bars: Bars):
        volume = bars.frame("volume")
        return volume.shift(-1) > 2 * volume.rolling(20).mean()


@planted("lookahead", "negative shift of 1 bar")
class Guarded(Strategy):
    """Reads the next row only where there is one."""

    def targets(self, bars: Bars):
        rows = np.minimum(np.arange(len(bars)) + 1, len(bars) - 1)
        return bars.close[rows] >= bars.close


@planted("lookahead", "negative shift of 20 bars")
class RareLabel(Strategy):
    """In before the few months that rise by a quarter."""

    def targets(self, bars: Bars):
        close = bars.frame("close")
        return close.shift(-20) / close > 1.25


# --- windows ------------------------------------------------------------------------------------------------------


@planted("lookahead", "centred window of 21 bars")
class CentredMean(Strategy):
    def targets(self, bars: Bars):
        close = bars.frame("close")
        return close < 0.98 * close.rolling(21, center=True).mean()


@planted("lookahead", "centred window of 9 bars")
class Smoothed(Strategy):
    """`mode="same"` puts the window around its bar."""

    def targets(self, bars: Bars):
        kernel = np.ones(9) / 9
        close = np.nan_to_num(bars.close)
        smooth = np.stack([np.convolve(column, kernel, mode="same") for column in close.T], axis=1)
        return np.clip(smooth / np.maximum(close, 1.0) - 0.9, 0.0, 0.2)


@planted("lookahead", "centred window of 11 bars")
class SwingLow(Strategy):
    def targets(self, bars: Bars):
        low = bars.frame("low")
        return ta.hold((low == low.rolling(11, center=True).min()).to_numpy(), ta.rsi(bars.close, 14) > 60)


@planted("lookahead", "a window over reversed bars")
class Reversed(Strategy):
    def targets(self, bars: Bars):
        close = bars.frame("close")
        return close[::-1].rolling(10).min()[::-1] > 0.97 * close


@planted("lookahead", "a filter that runs in both directions")
class LowPass(Strategy):
    """Throws away fast frequencies, of all bars at once."""

    def targets(self, bars: Bars):
        spectrum = np.fft.rfft(np.nan_to_num(np.log(bars.close)), axis=0)
        spectrum[60:] = 0
        slow = np.fft.irfft(spectrum, n=len(bars), axis=0)
        return np.diff(slow, axis=0, prepend=slow[:1]) > 0


# --- all bars at once ---------------------------------------------------------------------------------------------


@planted("lookahead", "full-sample normalisation")
class ZScored(Strategy):
    def targets(self, bars: Bars):
        close = bars.frame("close")
        return ((close - close.mean()) / close.std()).clip(-1, 1) * -0.05 + 0.05


@planted("lookahead", "full-sample normalisation")
class Quantile(Strategy):
    def targets(self, bars: Bars):
        move = ta.roc(bars.close, 5)
        return move < np.nanquantile(move, 0.05, axis=0)


@planted("lookahead", "full-sample normalisation")
class MinMax(Strategy):
    def targets(self, bars: Bars):
        low, high = np.nanmin(bars.close, axis=0), np.nanmax(bars.close, axis=0)
        return (bars.close - low) / (high - low) < 0.2


@planted("lookahead", "full-sample normalisation")
class RankedOverTime(Strategy):
    """`rank` of a frame goes down the column, not across it."""

    def targets(self, bars: Bars):
        return bars.frame("volume").rank(pct=True) > 0.9


@planted("lookahead", "full-sample normalisation")
class InverseRisk(Strategy):
    """Parts by the volatility of the whole test."""

    def targets(self, bars: Bars):
        risk = bars.frame("close").pct_change().std()
        parts = (1 / risk) / (1 / risk).sum()
        return bars.listed * parts.to_numpy()


@planted("lookahead", "a fit on all bars")
class TrendLine(Strategy):
    def targets(self, bars: Bars):
        level = np.log(pd.DataFrame(bars.close).ffill().fillna(1.0).to_numpy())
        rows = np.arange(len(bars))
        slope, start = np.polyfit(rows, level, 1)
        return level < np.outer(rows, slope) + start


@planted("lookahead", "full-sample normalisation")
class BeforeThePeak(Strategy):
    """Holds while a higher price is still to come."""

    def targets(self, bars: Bars):
        close = np.nan_to_num(bars.close)
        return np.maximum.accumulate(close[::-1], axis=0)[::-1] > 1.3 * close


@planted("lookahead", "full-sample normalisation")
class FittedThenScaled(Strategy):
    """The model is of the past; what it is applied to was scaled by its own quarter."""

    refit = "6M"
    warmup = 60
    fit_history = 60

    def fit(self, bars: Bars):
        return float(np.nanmean(bars.volume))

    def targets(self, bars: Bars, model: float):
        return np.nan_to_num(bars.volume / model / np.nanmax(bars.volume) / 10)


@planted("random", "randomness without a seed")
class FittedByChance(Strategy):
    """A fit that draws from a generator of its own."""

    refit = "6M"
    warmup = 60

    def fit(self, bars: Bars):
        return float(np.random.default_rng().random())

    def targets(self, bars: Bars, model: float):
        return ta.roc(bars.close, 1) > model * 0.04 - 0.02


# --- gaps and coarser bars ----------------------------------------------------------------------------------------


@planted("lookahead", "backfill")
class BackFilled(Strategy):
    """Days without a trade get the next day's volume."""

    def targets(self, bars: Bars):
        volume = bars.frame("volume").replace(0.0, np.nan).bfill()
        return volume.pct_change(fill_method=None) > 1.0


@planted("lookahead", "backfill")
class FilledStart(Strategy):
    """The average's empty beginning is filled with its first value."""

    def targets(self, bars: Bars):
        close = bars.frame("close")
        return (close / close.rolling(100).mean().bfill()).clip(0, 2) / 20


@planted("lookahead", "interpolation between earlier and later values")
class Interpolated(Strategy):
    def targets(self, bars: Bars):
        close = bars.frame("close").copy()
        close[np.arange(len(close)) % 5 != 0] = np.nan
        return close.interpolate() > bars.frame("close")


@planted("lookahead", "forward-looking resample (week)")
class WeekOfTheDay(Strategy):
    """Every day of a week knows the week's close."""

    def targets(self, bars: Bars):
        close = bars.frame("close")
        week = close.groupby(pd.Index((bars.days + 3) // 7)).transform("last")
        return week > close * 1.01


@planted("lookahead", "forward-looking resample (month)")
class MonthStartLabel(Strategy):
    """`resample("MS")` stamps a month with its first day, `ffill` then knows its last."""

    def targets(self, bars: Bars):
        close = bars.frame("close").tz_localize(None)
        month = close.resample("MS").last().reindex(close.index, method="ffill")
        return (month > 1.02 * close).to_numpy()


# --- which names --------------------------------------------------------------------------------------------------


@planted("lookahead", "universe chosen with hindsight")
class Survivors(Strategy):
    """Only names that are still listed at the end."""

    def targets(self, bars: Bars):
        return (bars.close > ta.sma(bars.close, 20)) & bars.listed[-1]


@planted("lookahead", "universe chosen with hindsight")
class NeverMissing(Strategy):
    def targets(self, bars: Bars):
        close = bars.frame("close")
        return (close > close.rolling(10).mean()) & close.notna().all()


@planted("universe", "universe chosen with hindsight", "member")
class BestNames(Strategy):
    """A universe of the three names that rose most."""

    def universe(self, bars: Bars):
        rise = bars.close[-1] / bars.close[0]
        best = np.argsort(-np.nan_to_num(rise))[:3]
        member = np.zeros(bars.shape, bool)
        member[:, best] = True
        return member

    def targets(self, bars: Bars):
        return bars.close > ta.sma(bars.close, 20)


@planted("universe", "universe chosen with hindsight")
class EqualParts(Strategy):
    """Leaves a part for names nobody has heard of yet."""

    def targets(self, bars: Bars):
        return bars.listed * np.full(bars.shape, 0.9 / len(bars.symbols))


@planted("lookahead", "negative shift of 1 bar", "rank")
class RankedByTomorrow(Strategy):
    def targets(self, bars: Bars):
        return bars.close > ta.sma(bars.close, 20)

    def rank(self, bars: Bars):
        return bars.frame("close").pct_change().shift(-1)


# --- what is no price ---------------------------------------------------------------------------------------------


@planted("lookahead", "dates of later bars")
class LastDayOfMonth(Strategy):
    """The last day of a month is the one before the first: known from the bars only a day later."""

    def targets(self, bars: Bars):
        month = bars.days.astype("datetime64[D]").astype("datetime64[M]")
        last = np.append(month[1:] != month[:-1], False)
        return np.repeat(last[:, None], bars.shape[1], axis=1)


@planted("lookahead", "counts from the last bar")
class LastHundred(Strategy):
    def targets(self, bars: Bars):
        wanted = np.zeros(bars.shape, bool)
        wanted[-100:] = True
        return wanted


@planted("lookahead", "counts from the last bar")
class ByLength(Strategy):
    """Grows its bet with the part of the test that is over."""

    def targets(self, bars: Bars):
        part = np.arange(len(bars)) / len(bars)
        return np.repeat(part[:, None], bars.shape[1], axis=1) / 10


@planted("lookahead", "corporate actions before their date")
class BeforeTheSplit(Strategy):
    def targets(self, bars: Bars):
        wanted = np.zeros(bars.shape, bool)
        for action in bars.actions:
            row = int(np.searchsorted(bars.days, action["ex_day"]))
            wanted[max(row - 20, 0) : row, bars.symbols.index(str(action["symbol"]))] = True
        return wanted


@planted("error", "a fixed number of bars")
class FixedSize(Strategy):
    def targets(self, bars: Bars):
        weights = np.zeros((700, bars.shape[1]))
        weights[:, 0] = np.linspace(0, 1, 700)
        return weights * (bars.close > 0)


# --- not the same twice -------------------------------------------------------------------------------------------


@planted("random", "randomness without a seed")
class Dice(Strategy):
    def targets(self, bars: Bars):
        return np.random.default_rng().random(bars.shape) > 0.5


@planted("random", "randomness without a seed")
class OldDice(Strategy):
    def targets(self, bars: Bars):
        return bars.close * (1 + 0.001 * np.random.normal(size=bars.shape)) > ta.sma(bars.close, 20)  # noqa: NPY002


@planted("state", "state kept between calls")
class Toggles(Strategy):
    """Changes its mind whenever it is asked."""

    def targets(self, bars: Bars):
        self.__dict__["calls"] = self.__dict__.get("calls", 0) + 1
        return np.full(bars.shape, self.__dict__["calls"] % 2 == 0)


@planted("state", "state kept between calls")
class Remembers(Strategy):
    """Waits for its third call: twice on the same bars that is harmless, bar by bar it is not."""

    def targets(self, bars: Bars):
        self.__dict__["calls"] = self.__dict__.get("calls", 0) + 1
        return (bars.close > ta.sma(bars.close, 20)) & (self.__dict__["calls"] > 3)


@planted("state", "state kept between calls")
class SharedCache(Strategy):
    """Normalises by what it saw first, kept on the class."""

    kept: ClassVar[dict[str, float]] = {}

    def targets(self, bars: Bars):
        level = max(self.kept.get("level", 0.0), float(np.nanmax(bars.close)))
        self.kept["level"] = level
        return bars.close / level / 10


@planted("state", "writes into the bars it is given")
class Overwrites(Strategy):
    def targets(self, bars: Bars):
        volume = bars.field("volume")
        volume[np.isnan(volume)] = 0.0
        return volume > 1e5


# --- rules with memory --------------------------------------------------------------------------------------------


@planted("lookahead", "negative shift of 1 bar", "signals['rise']")
class SignalFromTomorrow(Strategy):
    """`on_bar` cannot look ahead, but what it is handed can."""

    def prepare(self, bars: Bars):
        close = bars.frame("close")
        return {"rise": close.shift(-1) / close - 1}

    def on_bar(self, ctx: Context) -> None:
        for s in range(ctx.n):
            if ctx.valid[s]:
                ctx.target(s, 0.1 if ctx.signals["rise"][s] > 0 else 0.0)


# --- inside the day -----------------------------------------------------------------------------------------------


MINUTES: list[Planted] = []
"""The same on one-minute bars."""


class DaysHigh(Strategy):
    """Sells at the day's high, which is known at the day's end."""

    warmup = 40

    def targets(self, bars: Bars):
        high = pd.DataFrame(bars.high).groupby(bars.days).transform("max").to_numpy()
        return bars.close < 0.998 * high


class NextMinute(Strategy):
    warmup = 40

    def targets(self, bars: Bars):
        close = pd.DataFrame(bars.close)
        return close.shift(-1) > close


MINUTES += [
    Planted(DaysHigh, "lookahead", "forward-looking resample (session)", "targets"),
    Planted(NextMinute, "lookahead", "negative shift of 1 bar", "targets"),
]
