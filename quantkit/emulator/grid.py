"""Ticks and price limits of one market on one day, for plain Python that asks a million times.

Contract: the same rows, operations and tolerance as `market.kernels`, without the compiler; prices are won, float64.
A price that differs from a grid price by less than a millionth of a tick is that grid price; `up` and `down` want exact
ones, for won are whole.

>>> grid = Grid("KOSPI", "2024-01-02")
>>> grid.tick(70_000), grid.up(199_900), grid.down(200_000), grid.limits(239_000)
(100.0, 200000.0, 199900.0, (167500.0, 310500.0))
"""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from typing import TYPE_CHECKING

import numpy as np

from quantkit.errors import BadData
from quantkit.market import KRX_MARKETS, MARKET_ID, krx
from quantkit.market.days import epoch_days
from quantkit.market.rules import rule_tables

if TYPE_CHECKING:
    from quantkit.market.days import Date

TOLERANCE = 1e-6


class Grid:
    """The prices that orders may have. BadData for a market that the Korea Exchange does not run."""

    __slots__ = ("bounds", "date", "market", "ticks")

    def __init__(self, market: str, date: Date) -> None:
        if market not in KRX_MARKETS:
            raise BadData(f"market={market!r}: the emulator runs {', '.join(KRX_MARKETS)}")
        rules = rule_tables(np.array([int(epoch_days(date))]))
        row, column = int(rules.row[0]), MARKET_ID[market]
        used = np.isfinite(rules.tick_lower[row, column])
        self.market, self.date = market, date
        self.bounds: list[float] = rules.tick_lower[row, column][used].tolist()
        self.ticks: list[float] = rules.tick[row, column][used].tolist()

    def tick(self, price: float) -> float:
        """The tick of the band that `price` is in."""
        return self.ticks[max(0, bisect_right(self.bounds, price) - 1)]

    def floor(self, price: float) -> float:
        """The nearest grid price at or below."""
        tick = self.tick(price)
        return math.floor(price / tick + TOLERANCE) * tick

    def ceil(self, price: float) -> float:
        """The nearest grid price at or above."""
        tick = self.tick(price)
        return -math.floor(TOLERANCE - price / tick) * tick

    def holds(self, price: float) -> bool:
        """Whether an order may have this price."""
        return price > 0 and abs(self.floor(price) - price) <= TOLERANCE * self.tick(price)

    def up(self, price: float, steps: int = 1) -> float:
        """The grid price `steps` ticks above; the first step from a price off the grid is to the next grid price."""
        bounds, ticks = self.bounds, self.ticks
        for _ in range(steps):
            tick = ticks[max(0, bisect_right(bounds, price) - 1)]
            price = price + tick if price % tick == 0.0 else math.ceil(price / tick) * tick
        return price

    def down(self, price: float, steps: int = 1) -> float:
        """The grid price `steps` ticks below: at the foot of a band the lower band's tick counts."""
        bounds, ticks = self.bounds, self.ticks
        for _ in range(steps):
            tick = ticks[max(0, bisect_left(bounds, price) - 1)]
            price = price - tick if price % tick == 0.0 else math.floor(price / tick) * tick
        return price

    def limits(self, base: float, *, leverage: float = 1.0, first_day: bool = False) -> tuple[float, float]:
        """(lower, upper) limit of a day with this base price; of a first day around its offer price."""
        if first_day:
            low, high = krx.ipo_band(base, self.date, self.market)
        else:
            low, high = krx.price_limits(base, self.date, self.market, leverage=leverage)
        return float(low), float(high)
