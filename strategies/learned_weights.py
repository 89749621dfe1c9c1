"""Learned weights: hold the names a ridge regression expects most of, refitted every year on the past alone.

Hypothesis   Past returns over a week, a month and half a year say a little about the next week; how much, and with what
             sign, drifts slowly, so it is measured again each year rather than believed.
Universe     Many liquid names: a regression over the cross-section needs hundreds of rows a date to say anything.
Data         Daily closes, adjusted; a year and a half before the first model.
Fails when   The sign of the effect turns inside a year (momentum crashes), or costs are larger than what is predicted,
             which is most of the time with few names.
Costs        About one turn of the portfolio a month: some 4 % a year in commission and sale tax at 2026 rates.
"""

import numpy as np

from quantkit import Bars, Policy, Strategy, param


class LearnedWeights(Strategy):
    """Buy what the year's regression ranks highest, at the start of each week."""

    names: int = param(10, low=1, high=100, doc="names held")
    ridge: float = param(10.0, low=0.0, doc="strength of the penalty, in rows of the regression")
    ahead: int = param(5, low=1, high=60, doc="bars ahead that are predicted")

    refit = "1Y"
    warmup = 375

    @property
    def policy(self) -> Policy:
        return Policy(weighting="equal_held", max_names=self.names, rebalance="week", trade_on="rebalance")

    def features(self, bars: Bars):
        """(T, N, 3): returns over 5, 21 and 126 bars, less each day's mean."""
        found = np.full((*bars.shape, 3), np.nan)
        for place, window in enumerate((5, 21, 126)):
            found[window:, :, place] = bars.close[window:] / bars.close[:-window] - 1.0
        known = np.isfinite(found)
        mean = np.where(known, found, 0.0).sum(axis=1, keepdims=True) / np.maximum(known.sum(axis=1, keepdims=True), 1)
        return found - mean

    def fit(self, bars: Bars):
        """Slopes of the return over the next bars. The last `ahead` bars have no such return yet and are left out."""
        past = self.features(bars)[: -self.ahead]
        later = bars.close[self.ahead :] / bars.close[: -self.ahead] - 1.0
        use = np.isfinite(past).all(axis=2) & np.isfinite(later) & bars.member[: -self.ahead]
        x, y = past[use], later[use]
        y = y - y.mean()
        return np.linalg.solve(x.T @ x + self.ridge * np.eye(3) * x.var(), x.T @ y)

    def rank(self, bars: Bars, model):
        return self.features(bars) @ model

    def targets(self, bars: Bars, model):
        expected = self.features(bars) @ model
        return np.nan_to_num(expected) > 0.0
