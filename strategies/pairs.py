"""Pairs: two names that move together; when they part, hold the one that has become cheap until they meet again.

Hypothesis   Two shares of one business (common and preferred, holding and subsidiary, two banks) keep much the same
             ratio for months. A sudden difference is often a large order, not news.
Universe     Exactly two names, with a reason why they belong together; found by search, most pairs are chance.
Data         Daily closes, adjusted; `window` bars before the first order.
Fails when   The difference is news: it grows, and the hedge ratio follows it, so that the loss looks like a new normal.
             Holding the cheap one alone also keeps the market's risk: then it is a way to choose, not a hedge.
Costs        Five to ten round trips a year, 0.23 % each at 2026 rates, and as much again for the second leg. `short` is
             a simulation: hardly a private account in Korea can borrow shares, and the fee for it is left out.
"""

import numpy as np

from quantkit import Bars, ConfigError, Context, Policy, Strategy, param, ta


class Pairs(Strategy):
    """Enter where the first name is `enter` deviations off what the second one says, leave within `leave` of it."""

    window: int = param(60, low=10, high=250, doc="bars of the hedge ratio and the deviation")
    enter: float = param(2.0, low=0.5, high=6.0, doc="deviations at which they have parted")
    leave: float = param(0.5, low=0.0, high=3.0, doc="deviations at which they have met")
    together: float = param(0.5, low=0.0, high=0.99, doc="correlation below which nothing is bought")
    short: bool = param(False, doc="sell the dear one short as well, in simulation")
    state = {"side": int}  # 1: the first name is the cheap one, -1: the second, 0: neither

    @property
    def policy(self) -> Policy:
        return Policy(cash_buffer=0.02, short="simulate" if self.short else None)

    @property
    def warmup(self) -> int:
        return self.window

    def prepare(self, bars: Bars):
        if bars.shape[1] != 2:
            raise ConfigError(f"Pairs trades two names, and was given {bars.shape[1]}")
        first, second = np.log(bars.close[:, 0]), np.log(bars.close[:, 1])
        r = ta.rolling_corr(first, second, self.window)
        # The regression of the first on the second: its slope, and today's residual in deviations of residuals.
        hedge = r * ta.rolling_std(first, self.window) / ta.rolling_std(second, self.window)
        parted = ta.rolling_zscore(first, self.window) - r * ta.rolling_zscore(second, self.window)
        return {"r": r, "hedge": hedge, "z": parted / np.sqrt(1 - r * r)}

    def on_bar(self, ctx: Context) -> None:
        if not (ctx.valid[0] and ctx.valid[1]):
            return
        z, hedge, side = ctx.signals["z"][0], ctx.signals["hedge"][0], ctx.state.side
        if side * z > -self.leave:
            side = 0
        if ctx.signals["r"][0] > self.together and abs(z) > self.enter:
            side = -1 if z > 0 else 1
        if side == ctx.state.side:
            return
        ctx.state.side = side
        if self.short:  # for each won in the first name, `hedge` won in the second
            ctx.target(0, side / (1 + hedge))
            ctx.target(1, -side * hedge / (1 + hedge))
        else:
            ctx.target(0, 1.0 if side > 0 else 0.0)
            ctx.target(1, 1.0 if side < 0 else 0.0)
