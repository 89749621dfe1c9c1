"""Ticks and limits for compiled code.

Contract: scalar in, scalar out; `rules` is a `RuleTables`, `row` its `rules.row[t]` already looked up, `market` an id
of `MARKET_ID`. Prices are won (US: dollars). Only `+ - * / floor` and comparisons, so that compiled and uncompiled runs
give the same bits, and the same bits as the vectorised functions of `krx`. Never raises: NaN in, NaN out.
Called by `core`, and by Python, all but `accepts`, which has no way in when compiled.

A price that differs from a grid price by less than a millionth of a tick is that grid price: 70,000 x 1.1 is
77000.00000000001 in binary and must not become the next tick up.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from quantkit.jit import njit, njit_bare
from quantkit.market.tables import FIRST_DAY_RULES

if TYPE_CHECKING:
    from quantkit.market.rules import RuleTables

TOLERANCE = 1e-6
FIRST_DAY_OPENING, FIRST_DAY_BAND = FIRST_DAY_RULES.index("opening"), FIRST_DAY_RULES.index("band")


@njit
def tick_at(rules: RuleTables, row: int, market: int, price: float) -> float:
    """The tick of the band that `price` is in; 0.0 when there is no grid."""
    if math.isnan(price):
        return price
    bands = rules.tick_lower.shape[2]
    band = 0
    while band + 1 < bands and rules.tick_lower[row, market, band + 1] <= price:
        band += 1
    return float(rules.tick[row, market, band])


@njit
def grid_price(steps: float, tick: float) -> float:
    """`steps` ticks as a price; for ticks below one by their inverse: 50001 / 100 is 500.01, 50001 x 0.01 is not."""
    if tick < 1.0:
        return float(steps / np.floor(1.0 / tick + 0.5))
    return steps * tick


@njit
def floor_tick(rules: RuleTables, row: int, market: int, price: float) -> float:
    """The nearest grid price at or below `price`; `price` itself when there is no grid."""
    tick = tick_at(rules, row, market, price)
    if not tick > 0.0:
        return price
    return grid_price(np.floor(price / tick + TOLERANCE), tick)


@njit
def ceil_tick(rules: RuleTables, row: int, market: int, price: float) -> float:
    """The nearest grid price at or above `price`; `price` itself when there is no grid."""
    tick = tick_at(rules, row, market, price)
    if not tick > 0.0:
        return price
    return grid_price(-np.floor(TOLERANCE - price / tick), tick)


@njit
def session_limits(
    rules: RuleTables, row: int, market: int, base: float, leverage: float, band: bool
) -> tuple[float, float]:
    """`limits_at`, or with `band` the wide band of a first trading day around its offer price, which is the `base`."""
    rate = rules.limit_rate[row, market]
    if not rate > 0.0:
        return 0.0, math.inf
    if not 0.0 < base < math.inf:
        return math.nan, math.nan
    multiple = abs(leverage)
    if not multiple > 1.0:
        multiple = 1.0
    tick = tick_at(rules, row, market, base)
    width = np.floor(base * rate * multiple / tick + TOLERANCE) * tick
    width = max(width, tick)
    lower, upper = base - width, base + width
    if band:
        lower, upper = base * 0.6, base * 4.0
    lower = max(ceil_tick(rules, row, market, lower), rules.tick[row, market, 0])
    return lower, floor_tick(rules, row, market, upper)


@njit
def limits_at(rules: RuleTables, row: int, market: int, base: float, leverage: float) -> tuple[float, float]:
    """(lower, upper) limit price around `base`; (0.0, inf) without a limit, NaN where `base` is not a positive number.

    `leverage` is the multiple of a fund; its size multiplies the rate, and less than 1 (or NaN) counts as 1.
    The width is cut to the tick of the base, at least one tick; then each end is brought inside, onto its own grid.
    """
    return session_limits(rules, row, market, base, leverage, False)


@njit_bare
def accepts(rules: RuleTables, row: int, market: int, kind: int, phase: int, status: int) -> bool:
    """Whether the exchange takes an order: kind, phase and status are places in `orders.KINDS`, `FOLD_PHASES` and
    `FOLD_STATUSES`."""
    return bool((rules.taken[row, market, status, phase] >> kind) & 1)
