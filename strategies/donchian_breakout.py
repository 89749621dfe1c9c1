"""Donchian breakout: buy a new high of many weeks, leave on a new low of few, with a stop that follows the price.

Hypothesis   A price nobody has paid for weeks says that something has changed, and those who sold must buy back
             higher. A few long runs pay for many small losses.
Universe     Many different names, sectors or ETFs: the few winners cannot be known before. Ranked by how far the
             breakout stands above the old high.
Data         Daily highs, lows and closes, adjusted; `entry` bars before the first signal.
Fails when   Highs are sold, as in ranges and bear-market rallies: seven trades in ten lose even in good times.
             A gap through the trailing stop fills at the open, below the stop.
Costs        A round trip takes one to three months: five to ten a year and slot, 1.2 % to 2.3 % a year in commission
             and sale tax at 2026 rates. It buys strength, so slippage is worse than average.
"""

from quantkit import Bars, Policy, Strategy, param, ta


class DonchianBreakout(Strategy):
    """Enter above the highest high of `entry` bars, leave below the lowest low of `leave` or at the stop."""

    entry: int = param(55, low=5, high=250, doc="bars whose high must be passed")
    leave: int = param(20, low=2, high=120, doc="bars whose low must be broken")
    trail: float = param(0.12, low=0.02, high=0.5, doc="fall from the peak since entry that ends a position")
    names: int = param(10, low=1, high=100, doc="positions at most")

    @property
    def policy(self) -> Policy:
        return Policy(weighting="equal", max_names=self.names, trailing_stop=self.trail)

    @property
    def warmup(self) -> int:
        return self.entry + 1

    def targets(self, bars: Bars):
        # The channel includes its own bar, so compare with the one that stood before it.
        ceiling = ta.lag(ta.donchian(bars.high, bars.low, self.entry).upper, 1)
        floor = ta.lag(ta.donchian(bars.high, bars.low, self.leave).lower, 1)
        return ta.hold(bars.close > ceiling, bars.close < floor)

    def rank(self, bars: Bars):
        return bars.close / ta.lag(ta.donchian(bars.high, bars.low, self.entry).upper, 1)
