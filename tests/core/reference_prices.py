"""Prices, limits and costs of the plain fold, one at a time. See `reference`.

Contract: pure. `Prices` holds what does not change in a run: the panel, the policy and the costs.
"""

from __future__ import annotations

from math import floor, isnan, nan, sqrt

from quantkit.core.policy import Policy
from quantkit.market.costs import Costs
from tests.core.reference_state import (
    FIRST_DAY,
    LIQUIDATION,
    Order,
    Panel,
    grid_ceil,
    grid_floor,
    limit_prices,
    tax_rate,
    tick,
)

WIDE_SINCE = 19534  # 2023-06-26: first days from then on move between 60 % and 400 % of the offer price


class Prices:
    """What a price is on a bar: rounded, limited, slipped, and what trading at it costs."""

    panel: Panel
    policy: Policy
    costs: Costs

    def floor_tick(self, t: int, s: int, price: float) -> float:
        return grid_floor(price, self.panel.days[t], self.panel.market[t][s]) if self.panel.grid else price

    def ceil_tick(self, t: int, s: int, price: float) -> float:
        return grid_ceil(price, self.panel.days[t], self.panel.market[t][s]) if self.panel.grid else price

    def money(self, price: float, quantity: float) -> int:
        return floor(price * quantity * self.panel.unit + 0.5)

    def new_session(self, t: int) -> bool:
        return t == 0 or self.panel.days[t] != self.panel.days[t - 1]

    def base_price(self, t: int, s: int) -> float:
        """The exchange's base price of the session that bar t belongs to."""
        first = t
        while not self.new_session(first):
            first -= 1
        given = self.panel.base[t][s] if self.panel.base else nan
        if not isnan(given) and given > 0:
            return given
        if first == 0:
            return nan
        price = self.panel.close[first - 1][s]
        for event in self.panel.events:
            if event.bar == first and event.column == s:
                price /= event.price_factor
        return price if isnan(price) else self.ceil_tick(t, s, price)

    def reference_price(self, t: int, s: int) -> float:
        """What the collar is measured from."""
        return self.base_price(t, s) if self.new_session(t) else self.panel.close[t - 1][s]

    def price_limits(self, t: int, s: int) -> tuple[float, float]:
        base, market = self.base_price(t, s), self.panel.market[t][s]
        first_day = self.panel.has(t, s, FIRST_DAY)
        wide = self.panel.days[t] >= WIDE_SINCE and market in ("KOSPI", "KOSDAQ")
        if first_day and not wide and market in ("KOSPI", "KOSDAQ", "KONEX") and self.new_session(t):
            base = self.panel.open[t][s]
        if not self.panel.grid or isnan(base) or self.panel.has(t, s, LIQUIDATION):
            return 0.0, float("inf")
        if first_day and wide:
            return self.ceil_tick(t, s, base * 0.6), self.floor_tick(t, s, base * 4.0)
        return limit_prices(base, self.panel.days[t], market, self.panel.leverage[s])

    def locked(self, t: int, s: int, side: int, price: float) -> bool:
        """Nobody buys at the upper limit or sells at the lower."""
        lower, upper = self.price_limits(t, s)
        return price >= upper if side > 0 else price <= lower

    def rounded_limit(self, t: int, order: Order) -> float:
        """The limit as given, to the grid of the day inward."""
        return (self.floor_tick if order.side > 0 else self.ceil_tick)(t, order.column, order.limit)

    def collar(self, t: int, s: int, side: int, price: float) -> float:
        """A limit this far from a price; NaN without a collar."""
        if self.policy.collar is None:
            return nan
        if side > 0:
            return self.floor_tick(t, s, price * (1 + self.policy.collar))
        return self.ceil_tick(t, s, price * (1 - self.policy.collar))

    def order_limit(self, t: int, order: Order) -> float:
        """The limit price of an order for one print; NaN for a market order."""
        if order.kind in ("same_close", "conditional"):
            return nan
        if not isnan(order.limit):
            return self.rounded_limit(t, order)
        return self.collar(t, order.column, order.side, self.reference_price(t, order.column))

    def slipped(self, t: int, s: int, side: int, quantity: int, price: float, limit: float = nan) -> float:
        """The price after slippage: to the grid against the trader, inside the bar, not past the order's limit."""
        if side < 0 and self.policy.slippage_on == "entry":
            return price
        step = tick(price, self.panel.days[t], self.panel.market[t][s]) if self.panel.grid else 0.0
        loss = self.costs.slippage_ticks * step + price * (self.costs.slippage_bps / 10_000)
        if self.costs.impact and self.panel.volume[t][s] > 0:
            loss += self.costs.impact * price * sqrt(quantity / self.panel.volume[t][s])
        if loss == 0:
            return price
        if side > 0:
            result = min(self.ceil_tick(t, s, price + loss), self.panel.high[t][s])
            return result if isnan(limit) else min(result, limit)
        result = max(self.floor_tick(t, s, price - loss), self.panel.low[t][s])
        return result if isnan(limit) else max(result, limit)

    def commission(self, t: int, s: int, value: int) -> int:
        amount = value * self.costs.rate(self.panel.market[t][s]) + self.costs.fixed
        cut = self.costs.truncate_to
        return floor((max(amount, float(self.costs.minimum)) + 1e-6) / cut) * cut

    def charge(self, t: int, order: Order, value: int) -> int:
        """The commission of one more fill of an order: its own, or what it adds to that of the order's session."""
        if self.costs.per == "fill":
            return self.commission(t, order.column, value)
        return self.commission(t, order.column, order.day_value + value) - order.day_fee

    def tax(self, t: int, s: int, value: int) -> int:
        rate = self.costs.tax
        if rate is None:
            rate = tax_rate(self.panel.days[t], self.panel.market[t][s])
        return floor(value * rate + 1e-6)

    def buy_cost(self, t: int, s: int, price: float, quantity: int) -> int:
        value = self.money(price, quantity)
        return value + self.commission(t, s, value) if quantity else 0
