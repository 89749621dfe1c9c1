"""Scored rule: every name gets a strength from 0 to 1 each day; buy at 0.7, with a tenth of the cash at hand.

Hypothesis   Two weak signs together say more than either alone: a price near the top of its range of the last months,
             and more trading than usual. Strength is a number, so the sure cases can be told from the doubtful ones.
Universe     Any liquid shares; each name is scored alone, so one is enough and thousands are fine.
Data         Daily prices and volumes, adjusted; `window` bars before the first score.
Fails when   The market turns at once: every name is near its top together, so all the money is in when it falls. The
             score knows nothing of news, and heavy trading at a top may be others getting out.
Costs        One or two round trips a year and name, 0.23 % each in commission and sale tax at 2026 rates. Between
             `leave` and `enter` nothing is done, or it would be several times that.
"""

import numpy as np

from quantkit import Bars, Policy, Strategy, param, ta


class ScoredRule(Strategy):
    """Enter a name whose strength reaches `enter`, leave it when the strength falls below `leave`."""

    window: int = param(120, low=20, high=250, doc="bars of the range, and of usual trading")
    recent: int = param(5, low=1, high=20, doc="bars of recent trading")
    weight: float = param(0.7, low=0.0, high=1.0, doc="part of the strength that is the place in the range")
    enter: float = param(0.7, low=0.1, high=1.0, doc="strength at which a name is bought")
    leave: float = param(0.4, low=0.0, high=1.0, doc="strength below which it is sold")
    size: float = param(0.10, low=0.01, high=1.0, doc="part of the buying power that goes into one name")

    @property
    def policy(self) -> Policy:
        return Policy(weighting="buying_power", amount=self.size, threshold=self.enter)

    @property
    def warmup(self) -> int:
        return self.window

    def targets(self, bars: Bars):
        strength = self.strength(bars)
        # Too weak to buy, too strong to sell: NaN leaves the name as it is.
        return np.where((strength >= self.leave) & (strength < self.enter), np.nan, strength)

    def strength(self, bars: Bars):
        """(T, N) from 0 to 1: where the close stands in its range, and recent trading (1 is twice the usual)."""
        range_ = ta.donchian(bars.high, bars.low, self.window)
        place = (bars.close - range_.lower) / (range_.upper - range_.lower)
        trading = ta.sma(bars.volume, self.recent) / ta.sma(bars.volume, self.window)
        return self.weight * place + (1.0 - self.weight) * np.clip(trading / 2.0, 0.0, 1.0)

    def rank(self, bars: Bars):
        return self.strength(bars)
