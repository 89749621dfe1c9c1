"""Volatility breakout (변동성 돌파, Larry Williams): buy k ranges above today's open, sell at tomorrow's.

Hypothesis   A day that moves a good part of yesterday's range away from its open tends to go on until the close and
             into the next open. Cash overnight on all other days keeps out of most gaps.
Universe     Liquid shares and index ETFs (which pay no sale tax); each name is traded alone.
Data         Daily prices; `trend` bars before the first order.
Fails when   Days break out and come back: it buys above the open and sells at an open that knows better.
Costs        About 60 round trips a year and name: with 0.20 % sale tax and 0.03 % commission each, 14 % a year of the
             money they are made with, before slippage. Without sale tax (ETFs) it is 2 %.

Honest       Scripts in public ask whether the day's high passed the trigger, and book a fill at exactly that price:
             they peek at a high that nobody knows while the order could be sent, and pay no tick. Many also filter by
             the day's own close. Here the order is made the evening before, with `from_open=k`: its trigger is known
             at tomorrow's first trade, and the bar's path says whether it fills and at what price.
"""

from quantkit import Bars, Context, Strategy, param, ta


class VolatilityBreakout(Strategy):
    """Buy at the coming open + `k` ranges of today, in names above their average; sell at the open after that."""

    k: float = param(0.5, low=0.1, high=2.0, doc="part of the last range above the open that is a breakout")
    trend: int = param(20, low=2, high=240, doc="bars of the average that the close must be above")
    share: float = param(0.2, low=0.01, high=1.0, doc="part of equity that goes into one name")

    @property
    def warmup(self) -> int:
        return self.trend

    def prepare(self, bars: Bars):
        return {"rising": bars.close > ta.sma(bars.close, self.trend)}

    def on_bar(self, ctx: Context) -> None:
        for s in range(ctx.n):
            if ctx.position[s] > 0:
                ctx.sell(s, ctx.position[s], at="open")
            if ctx.valid[s] and ctx.signals["rising"][s]:
                quantity = self.share * ctx.equity / ctx.close[0, s]
                if quantity >= 1:
                    ctx.buy(s, quantity, from_open=self.k)  # lives for the coming session only
