"""RSI mean reversion: buy a sharp dip inside an uptrend, sell into the recovery.

Hypothesis   Over days, not months, falls overshoot: sellers in a hurry pay for liquidity, whoever provides it is paid.
             The filter (close above its long average) keeps to dips and leaves collapses alone.
Universe     Liquid shares; thin ones dip for want of buyers, which is not the effect. Up to `names` are held.
Data         Daily closes, adjusted; `trend` bars before the first signal.
Fails when   Bad news is real and the fall goes on: the stop takes the loss. In a crash many names dip at once, so
             losses come together just when the rule is fully invested.
Costs        Trades often: a round trip takes one to three weeks. At 0.20 % sale tax and 0.03 % commission a round trip,
             twenty of them a year cost over 4 % of the money at work, so the edge per trade must be well above 0.3 %.
"""

from quantkit import Bars, Policy, Strategy, param, ta


class RsiReversion(Strategy):
    """Enter when RSI falls below `low` in an uptrend; leave when it is back above `high`, or at a stop."""

    window: int = param(5, low=2, high=30, doc="bars of the RSI")
    low: float = param(25.0, low=5.0, high=45.0, doc="RSI that counts as a dip")
    high: float = param(60.0, low=50.0, high=90.0, doc="RSI that counts as recovered")
    trend: int = param(120, low=20, high=240, doc="bars of the average that tells an uptrend")
    stop: float = param(0.07, low=0.01, high=0.5, doc="loss at which a position is given up")
    gain: float = param(0.15, low=0.01, high=2.0, doc="profit that is taken at once")
    names: int = param(10, low=1, high=100, doc="positions at most")

    @property
    def policy(self) -> Policy:
        return Policy(weighting="equal", max_names=self.names, stop_loss=self.stop, take_profit=self.gain)

    @property
    def warmup(self) -> int:
        return self.trend

    def targets(self, bars: Bars):
        rsi = ta.rsi(bars.close, self.window)
        dip = (rsi < self.low) & (bars.close > ta.sma(bars.close, self.trend))
        return ta.hold(dip, rsi > self.high)

    def rank(self, bars: Bars):
        return -ta.rsi(bars.close, self.window)  # the deepest dips first
