"""Grid: ten limit orders resting around an anchor price, each sold a step higher and then placed again.

Hypothesis   Prices that go nowhere still move: whoever always bids a little lower and offers a little higher is paid
             for it by those who cannot wait.
Universe     Names that stay in a range: broad ETFs, large slow shares, preferred shares.
Data         Bars of any length; no history. Minutes are better: on daily bars half of the trades hang on whether the
             high or the low came first (`result.paths()`).
Fails when   The price leaves the range. Below it the grid is full and the loss runs; above it all is sold, and the
             grid is laid anew. A grid is a bet against trends, with a loss that is not bounded.
Costs        A round trip earns one step and pays 0.23 % at 2026 rates (ETFs: 0.03 %): steps below 1 % work for others.
"""

import numpy as np

from quantkit import Context, Strategy, param

LEVELS = 10


class Grid(Strategy):
    """Keep a bid on every level that is not held; what a level buys is offered one step higher."""

    step: float = param(0.02, low=0.002, high=0.05, doc="distance of two levels, as a part of the anchor")
    share: float = param(0.2, low=0.01, high=1.0, doc="part of equity that a full grid of one name takes")
    symbol_state = {"anchor": float}  # times the price factor, so that a split does not move it

    def on_bar(self, ctx: Context) -> None:
        for s in range(ctx.n):
            if not ctx.valid[s]:
                continue
            memory, close = ctx.symbol_state[s], ctx.close[0, s]
            anchor = memory.anchor / ctx.factor[s]
            above = close > anchor * (1 + (LEVELS // 2) * self.step)
            if anchor == 0.0 or (above and ctx.position[s] == 0):
                ctx.cancel_all(s)
                anchor = close
                memory.anchor = anchor * ctx.factor[s]

            waiting = np.zeros(LEVELS, np.bool_)  # levels that have a bid, or an offer for what they bought
            for order in ctx.orders(s):
                waiting[order.tag] = True
            for level in range(LEVELS):
                # Levels above the price buy at once: half a grid is held to begin with, and sold on the way up.
                price = anchor * (1 + (level - LEVELS // 2) * self.step)
                quantity = self.share * ctx.equity / LEVELS / price
                if not waiting[level] and quantity >= 1:
                    ctx.buy(s, quantity, limit=price, take_profit=price + anchor * self.step, tif="gtc", tag=level)
