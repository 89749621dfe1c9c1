"""SMA cross: hold a share while its fast average stands above its slow one.

Hypothesis   Trends last longer than chance would have them, because news is digested slowly and money follows money.
Universe     Any liquid shares or ETFs; the rule treats each name alone, so one name is enough.
Data         Daily closes, adjusted; `slow` bars before the first signal.
Fails when   Prices go sideways: the averages cross back and forth, and every crossing pays the spread and the sale tax.
             It also gives back the last part of every trend, since averages turn late.
Costs        Few trades: with 20 and 60 days about three round trips a year and name, so about 0.7 % a year in
             commission and sale tax at 2026 rates, before slippage.
"""

from quantkit import Bars, Policy, Strategy, param, ta


class SmaCross(Strategy):
    """Hold a symbol while its fast average stands above its slow one."""

    fast: int = param(20, low=2, high=120)
    slow: int = param(60, low=5, high=240)
    policy = Policy(weighting="equal", stop_loss=0.08)

    @property
    def warmup(self) -> int:
        return self.slow - 1

    def targets(self, bars: Bars):
        return ta.sma(bars.close, self.fast) > ta.sma(bars.close, self.slow)
