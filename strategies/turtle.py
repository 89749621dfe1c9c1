"""Turtle: buy a new high, add to what goes well, and let a stop follow it (after Dennis and Eckhardt, 1983).

Hypothesis   A few long trends pay for many false starts, the more so if most of the money is in them by then: a
             position starts small and grows only while it is right.
Universe     Many different names; the trends that pay cannot be known before.
Data         Daily prices; `entry` bars before the first order.
Fails when   Breakouts fail, as in ranges: two trades in three lose, and the units added last lose most. A gap through
             the stop fills at the open, and in one bar several units may be bought and sold.
Costs        A unit is held two to three weeks: some twenty round trips a year of the money at work, near 5 % in
             commission and sale tax at 2026 rates. All orders are stops, so slippage is worse than average.
"""

from quantkit import Bars, Context, Strategy, param, ta


class Turtle(Strategy):
    """Buy up to `units` at stops above the high of `entry` bars; sell each at a stop that trails the highest price."""

    entry: int = param(20, low=5, high=250, doc="bars whose high must be passed")
    window: int = param(20, low=5, high=100, doc="bars of the average true range (ATR)")
    units: int = param(4, low=1, high=10, doc="units at most")
    step: float = param(0.5, low=0.1, high=3.0, doc="ATR from one unit to the next")
    trail: float = param(2.0, low=0.5, high=10.0, doc="ATR from the highest price down to the stop")
    risk: float = param(0.0025, low=0.0001, high=0.02, doc="part of equity that one unit loses at its first stop")
    symbol_state = {"ceiling": float, "atr": float}  # what the units that wait or are held were placed by

    @property
    def warmup(self) -> int:
        return max(self.entry, self.window + 1)

    def prepare(self, bars: Bars):
        ceiling = ta.donchian(bars.high, bars.low, self.entry).upper
        return {"ceiling": ceiling, "atr": ta.atr(bars.high, bars.low, bars.close, self.window)}

    def on_bar(self, ctx: Context) -> None:
        for s in range(ctx.n):
            if not ctx.valid[s]:
                continue
            memory, ceiling, atr = ctx.symbol_state[s], ctx.signals["ceiling"][s], ctx.signals["atr"][s]
            factor = ctx.factor[s]  # prepare's prices have splits worked in; over the factor they are today's
            if ctx.position[s] > 0:
                memory.ceiling = 0.0  # once it is sold, units are placed anew
                stop = ctx.high[0, s] - self.trail * memory.atr / factor
                for order in ctx.orders(s):
                    if order.side < 0 and order.stop < stop:
                        ctx.replace(order.id, stop=stop)
            elif ceiling != memory.ceiling:
                ctx.cancel_all(s)
                memory.ceiling, memory.atr = ceiling, atr
                first_loss = self.trail * atr / factor
                quantity = self.risk * ctx.equity / first_loss
                for unit in range(self.units if quantity >= 1 else 0):
                    price = (ceiling + unit * self.step * atr) / factor
                    ctx.buy(s, quantity, stop=price, stop_loss=price - first_loss)
