"""Opening-range breakout: buy above the high of the session's first minutes, sell in the closing auction.

Hypothesis   What happened overnight is traded out in the first minutes. A price that then leaves their range has the
             day's larger orders behind it and tends to keep its direction until the close.
Universe     The most traded shares and ETFs; elsewhere spread and slippage are wider than the edge.
Data         One-minute bars (on longer ones the order comes one bar late); no history.
Fails when   The breakout is false and turns back through the range, most of all on quiet days; the stop below the range
             takes the loss. A move that is over by ten o'clock is bought at its end.
Costs        Up to one round trip a day and name: 0.23 % at 2026 rates (ETFs: 0.03 %), and a tick or more of slippage on
             each side. On shares that is more than most such rules earn.
"""

import numpy as np

from quantkit import Context, Strategy, param

MINUTE = 60_000_000  # ctx.time counts microseconds


class OpeningRange(Strategy):
    """Once a session and name: a stop above the range to get in, one below it to get out, the close at the latest."""

    minutes: int = param(30, low=1, high=180, doc="minutes that make the range")
    until: int = param(330, low=10, high=380, doc="minutes after the open when entries end and leaving is prepared")
    above: float = param(0.001, low=0.0, high=0.02, doc="part of the price above the range that is a breakout")
    share: float = param(0.2, low=0.01, high=1.0, doc="part of equity that goes into one name")
    state = {"opened": int}
    symbol_state = {"high": float, "low": float, "stage": int}  # stage 0: range forms, 1: in the market, 2: leaving

    def on_bar(self, ctx: Context) -> None:
        if ctx.new_session:
            ctx.state.opened = ctx.time - MINUTE  # a bar's time is its close
        minutes = (ctx.time - ctx.state.opened) // MINUTE
        for s in range(ctx.n):
            memory = ctx.symbol_state[s]
            if ctx.new_session:
                ctx.cancel_all(s)
                memory.high, memory.low, memory.stage = 0.0, np.inf, 0
                if ctx.position[s] > 0:  # no trade in the last auction
                    ctx.sell(s, ctx.position[s])
            if ctx.traded[s] and minutes <= self.minutes:
                memory.high, memory.low = max(memory.high, ctx.high[0, s]), min(memory.low, ctx.low[0, s])
            if memory.stage == 0 and minutes >= self.minutes and memory.high > 0.0:
                memory.stage = 1
                quantity = self.share * ctx.equity / memory.high
                if quantity >= 1:
                    ctx.buy(s, quantity, stop=memory.high * (1 + self.above), tif="day", stop_loss=memory.low)
            if memory.stage == 1 and minutes >= self.until:
                memory.stage = 2
                leave = ctx.sell(s, ctx.position[s], at="close") if ctx.position[s] > 0 else -1
                for order in ctx.orders(s):
                    if order.side > 0:
                        ctx.cancel(order.id)
                    elif order.id != leave:
                        ctx.oco(order.id, leave)  # the stop below the range, or the close
