"""Ticks and limits for whole arrays: what `kernels` says one price at a time.

Contract: pure; arrays broadcast against each other and give float64 of the common shape. `rows` are rule rows
(`rules.rule_rows`), `markets` market ids, prices won (US: dollars). The same operations in the same order as `kernels`,
so the results agree to the last bit. Never raises: NaN in, NaN out.
Called by `krx`, `us` and `conformity`, which speak in dates and market names.
"""

from __future__ import annotations

import numpy as np

from quantkit.market.rules import FloatArray, IntArray, rule_tables

TOLERANCE = 1e-6
"""In ticks: see `kernels`, whose constant this repeats so that numba stays out of this module."""

_TABLES = rule_tables(np.zeros(0, dtype=np.int64))
_MARKETS = _TABLES.limit_rate.shape[1]


def ticks(rows: IntArray, markets: IntArray, prices: FloatArray) -> FloatArray:
    """The tick of the band each price is in; 0 where there is no grid."""
    table = rows * _MARKETS + markets
    bounds = _TABLES.tick_lower.reshape(-1, _TABLES.tick_lower.shape[2])
    sizes = _TABLES.tick.reshape(bounds.shape)
    first, prices = np.broadcast_arrays(sizes[table, 0], prices)
    found = np.where(np.isnan(prices), np.nan, first)
    for band in range(1, bounds.shape[1]):
        found = np.where(prices >= bounds[table, band], sizes[table, band], found)
    return found


def grid_prices(steps: FloatArray, tick: FloatArray) -> FloatArray:
    """`steps` ticks as prices, exact for ticks below one."""
    whole = steps * tick
    if not (tick < 1.0).any():
        return whole
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(tick < 1.0, steps / np.floor(1.0 / tick + 0.5), whole)


def floor_prices(rows: IntArray, markets: IntArray, prices: FloatArray) -> FloatArray:
    """The nearest grid price at or below each price; the price itself where there is no grid."""
    tick = ticks(rows, markets, prices)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(tick > 0.0, grid_prices(np.floor(prices / tick + TOLERANCE), tick), prices)


def ceil_prices(rows: IntArray, markets: IntArray, prices: FloatArray) -> FloatArray:
    """The nearest grid price at or above each price; the price itself where there is no grid."""
    tick = ticks(rows, markets, prices)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(tick > 0.0, grid_prices(-np.floor(TOLERANCE - prices / tick), tick), prices)


def limit_prices(
    rows: IntArray, markets: IntArray, base: FloatArray, leverage: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """(lower, upper) limit prices around `base`; (0, inf) without a limit, NaN where `base` is not positive."""
    table = rows * _MARKETS + markets
    rate, smallest = _TABLES.limit_rate.ravel()[table], _TABLES.tick[..., 0].ravel()[table]
    base = np.where((base > 0.0) & (base < np.inf), base, np.nan)
    multiple = np.where(np.abs(leverage) > 1.0, np.abs(leverage), 1.0)
    tick = ticks(rows, markets, base)
    with np.errstate(divide="ignore", invalid="ignore"):
        width = np.maximum(np.floor(base * rate * multiple / tick + TOLERANCE) * tick, tick)
    lower = np.maximum(ceil_prices(rows, markets, base - width), smallest)
    upper = floor_prices(rows, markets, base + width)
    limited = rate > 0.0
    return np.where(limited, lower, 0.0), np.where(limited, upper, np.inf)
