"""Cross-sectional momentum: every month hold the tenth of the market that rose most over the past year.

Hypothesis   Shares that beat the others for a year go on doing so for some months (Jegadeesh and Titman, 1993); the
             last month is left out because very recent winners tend to fall back.
Universe     The whole market, names delisted since included, or a query such as the 500 most traded. Ranks are taken
             among the members of that date; a hundred names or more, else a tenth is too few.
Data         Daily closes, adjusted for splits and rights (not for dividends); 253 bars before the first rank.
Fails when   Markets turn: after a crash the past losers rebound hardest, and momentum can lose in a month what it made
             in two years (2009). In Korea it has been weaker than elsewhere, and strongest among large names.
Costs        About a quarter of the names change each month: three round trips a year, 0.7 % in commission and sale
             tax at 2026 rates, plus re-sizing and slippage, which decide for small names.
"""

from quantkit import Bars, Policy, Strategy, param, ta


class Momentum(Strategy):
    """Hold the best `share` of the members by their return from `window` to `skip` bars ago, equally weighted."""

    window: int = param(252, low=40, high=504, doc="bars back to where the return starts")
    skip: int = param(21, low=0, high=42, doc="bars back to where it ends")
    share: float = param(0.1, low=0.01, high=0.5, doc="part of the members that is held")
    policy = Policy(weighting="equal_held", rebalance="month", trade_on="rebalance")

    @property
    def warmup(self) -> int:
        return self.window + 1

    def targets(self, bars: Bars):
        past = ta.roc(ta.lag(bars.close, self.skip), self.window - self.skip)
        return ta.rank(past, where=bars.member & bars.valid) > 1.0 - self.share
