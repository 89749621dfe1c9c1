"""What the exchange says on a day, asked once and remembered: the gates' way to `market`.

Contract: pure; the same answers as `market.orders`, `market.krx` and `market.us`, fast enough to be asked for every
order. What the exchange does not know (a market, a phase) is an answer, not an error: the gates deny on it.
Called by the gates alone.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from functools import lru_cache
from typing import TYPE_CHECKING, Final

import numpy as np

from quantkit.errors import BadData
from quantkit.market import KRX_MARKETS, MARKET_ID, kernels, krx
from quantkit.market.days import epoch_days
from quantkit.market.orders import accepted
from quantkit.market.rules import rule_tables

if TYPE_CHECKING:
    import datetime as dt

    from quantkit.market.rules import RuleTables
    from quantkit.trading.ports import InstrumentDay

CALLS: Final = frozenset({"opening_orders", "opening_auction", "closing_auction", "vi_auction"})
PHASE_NAMES: Final = {"opening_auction": "opening_orders"}  # a window is named for its auction
TAKEN_IN: Final = {  # phases in which an order of a window is sent
    "opening_auction": ("opening_orders",),
    "continuous": ("continuous", "vi_auction"),
    "session": ("opening_orders", "continuous", "vi_auction"),
}
_TOLERANCE: Final = 1e-6  # of a tick, as the compiled rules have it


def status_of(instrument: InstrumentDay | None) -> str:
    """The state of a name as `market.orders` names it. A halt is a gate of its own."""
    if instrument is None:
        return "trading"
    if instrument.liquidation:
        return "liquidation"
    if instrument.managed:
        return "administrative"
    return "overheated" if instrument.single_price else "trading"


@lru_cache(8192)
def refusal(kind: str, date: dt.date, phase: str, venue: str, market: str, status: str) -> str:
    """ "" where the exchange takes such an order now, else why not."""
    try:
        return accepted(kind, date=date, phase=phase, venue=venue, market=market, status=status)
    except BadData as unknown:
        return str(unknown)


@lru_cache(64)
def _rules(date: dt.date) -> RuleTables:
    """The rules of a day."""
    return rule_tables(np.array([int(epoch_days(date))]))


@lru_cache(1024)
def _bands(date: dt.date, market: str) -> tuple[tuple[float, ...], tuple[float, ...]] | None:
    """Lower bounds and ticks of the price bands; None for a market nobody knows."""
    if market not in MARKET_ID:
        return None
    rules = _rules(date)
    row, place = int(rules.row[0]), MARKET_ID[market]
    bounds = rules.tick_lower[row, place]
    known = bounds < math.inf
    return tuple(bounds[known].tolist()), tuple(rules.tick[row, place][known].tolist())


def tick_at(price: float, date: dt.date, market: str) -> float:
    """The tick of the band that a price above 0 is in; 0.0 without a grid, NaN for a market nobody knows."""
    bands = _bands(date, market)
    if bands is None:
        return math.nan
    return bands[1][max(0, bisect_right(bands[0], price) - 1)]


def on_grid(price: float, date: dt.date, market: str) -> bool:
    """Whether the exchange knows such a price."""
    tick = tick_at(price, date, market)
    if tick == 0.0:
        return True
    steps = price / tick
    return not math.isnan(steps) and abs(steps - math.floor(steps + 0.5)) <= _TOLERANCE


@lru_cache(8192)
def limits(
    base: float, date: dt.date, market: str, leverage: float, first_day: bool, liquidation: bool
) -> tuple[float, float]:
    """(lower, upper) limit price of a day around a base price; NaN for what is not known."""
    if market not in MARKET_ID:
        return math.nan, math.nan
    if market not in KRX_MARKETS or liquidation:
        return 0.0, math.inf
    if first_day:
        low, high = krx.ipo_band(base, date, market)
    else:
        rules = _rules(date)
        low, high = kernels.limits_at(rules, int(rules.row[0]), MARKET_ID[market], float(base), float(leverage))
    return float(low), float(high)
