"""The dated rules as arrays, for vectorised code and for the compiled core.

Contract: pure; numpy only. One *rule row* is a stretch of days in which no rule of any market changes; row 0 is the
time before the first change. Days are int64 epoch days of the trade date in Korea. Prices are won (US: dollars), rates
fractions of one. R rule rows, M = len(MARKETS), B bands of the longest tick table.
Built from `tables`, `orders` and `short`; read by `krx`, `us`, `conformity` and, through `rule_tables`, by `core`.

>>> tables = rule_tables(np.array([10_000, 20_000]))
>>> tables.limit_rate[tables.row, 0].tolist()
[0.15, 0.3]
"""

from __future__ import annotations

from functools import cache
from typing import NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

from quantkit.errors import BadData
from quantkit.market import MARKET_ID, MARKETS, orders, short
from quantkit.market.tables import BEGINNING, FIRST_DAY_RULES, FIRST_DAYS, LIMITS, LOT_SIZES, TAXES, TICKS

FloatArray: TypeAlias = npt.NDArray[np.float64]
IntArray: TypeAlias = npt.NDArray[np.int64]


class RuleTables(NamedTuple):
    """Which rules hold on each bar, and what they say. Every array is C-contiguous."""

    row: npt.NDArray[np.int32]
    """(T,) int32: the rule row of each bar."""
    tick_lower: FloatArray
    """(R, M, B): lower bound of each tick band; unused bands +inf."""
    tick: FloatArray
    """(R, M, B): tick of the band; 0 where there is no grid."""
    limit_rate: FloatArray
    """(R, M): daily price limit around the base price; NaN without one."""
    tax_rate: FloatArray
    """(R, M): tax on a sale by trade date, securities and rural part together."""
    first_day: npt.NDArray[np.uint8]
    """(R, M): index in `tables.FIRST_DAY_RULES`."""
    taken: IntArray
    """(R, M, S, P): bits of the order kinds the exchange takes, see `orders.order_rules`."""
    short: npt.NDArray[np.uint8]
    """(R, M): whether short sales are banned, see `short.short_table`."""


class _Rules(NamedTuple):
    changes: IntArray
    tick_lower: FloatArray
    tick: FloatArray
    limit_rate: FloatArray
    securities: FloatArray
    rural: FloatArray
    first_day: npt.NDArray[np.uint8]
    taken: IntArray
    short: npt.NDArray[np.uint8]


def epoch_day(text: str) -> int:
    """The epoch day of an ISO date."""
    return int(np.datetime64(text, "D").astype(np.int64))


@cache
def _rules() -> _Rules:
    first = min(row.since for row in TICKS)
    starts = {row.since for row in TICKS} | {row.since for row in LIMITS} | {row.since for row in TAXES}
    starts |= orders.change_dates() | short.change_dates() | {row.since for row in FIRST_DAYS}
    changes = np.array(sorted(epoch_day(day) for day in starts if day > first), dtype=np.int64)
    rows, markets, bands = len(changes) + 1, len(MARKETS), max(len(row.bands) for row in TICKS)
    lower = np.full((rows, markets, bands), np.inf)
    tick = np.zeros((rows, markets, bands))
    limit = np.full((rows, markets), np.nan)
    securities, rural = np.zeros((rows, markets)), np.zeros((rows, markets))
    first_day = np.zeros((rows, markets), np.uint8)

    def since(day: str) -> slice:
        return slice(int(np.searchsorted(changes, epoch_day(day), side="right")), None)

    # Later rows overwrite earlier ones, so each kind is written in the order of its dates.
    for ticks in sorted(TICKS, key=lambda row: row.since):
        for market in ticks.markets:
            here = (since(ticks.since), MARKET_ID[market])
            lower[here], tick[here] = np.inf, 0.0
            lower[(*here, slice(len(ticks.bands)))] = [bound for bound, _ in ticks.bands]
            tick[(*here, slice(len(ticks.bands)))] = [size for _, size in ticks.bands]
    for limits in sorted(LIMITS, key=lambda row: row.since):
        for market in limits.markets:
            limit[since(limits.since), MARKET_ID[market]] = np.nan if limits.rate is None else limits.rate
    for taxes in sorted(TAXES, key=lambda row: row.since):
        securities[since(taxes.since), MARKET_ID[taxes.market]] = taxes.securities
        rural[since(taxes.since), MARKET_ID[taxes.market]] = taxes.rural
    for begun in sorted(FIRST_DAYS, key=lambda row: row.since):
        for market in begun.markets:
            first_day[since(begun.since), MARKET_ID[market]] = FIRST_DAY_RULES.index(begun.rule)
    begins = np.append(epoch_day(BEGINNING), changes)
    taken, banned = orders.order_rules(begins), short.short_table(begins)
    return _Rules(changes, lower, tick, limit, securities, rural, first_day, taken, banned)


def rule_rows(days: IntArray) -> IntArray:
    """The rule row of each day: int64 in the shape of `days`."""
    return np.searchsorted(_rules().changes, days, side="right").astype(np.int64)


def change_days() -> IntArray:
    """Epoch days on which any rule of any market changed, ascending: (R - 1,) int64. A copy."""
    return _rules().changes.copy()


def tax_parts() -> tuple[FloatArray, FloatArray]:
    """Securities tax and rural tax: two (R, M) arrays. Copies."""
    rules = _rules()
    return rules.securities.copy(), rules.rural.copy()


def lot_sizes() -> IntArray:
    """Shares in a lot by market id, the same on every day: (M,) int64."""
    return np.array([LOT_SIZES.get(name, 1) for name in MARKETS], np.int64)


def rule_tables(days: IntArray, *, grid: bool = True) -> RuleTables:
    """The rules for bars on `days`, (T,) int64 epoch days in any order.

    `grid=False` is for adjusted prices, which stand on no grid: every tick is 0 and every limit NaN; taxes stay.
    The arrays are the caller's own. BadData when `days` is not a one-dimensional integer array.
    """
    days = np.asarray(days)
    if days.ndim != 1 or not np.issubdtype(days.dtype, np.integer):
        raise BadData(f"rule_tables(days): expected (T,) integer epoch days, got shape {days.shape} {days.dtype}")
    rules = _rules()
    tick = rules.tick.copy() if grid else np.zeros_like(rules.tick)
    limit = rules.limit_rate.copy() if grid else np.full_like(rules.limit_rate, np.nan)
    row = rule_rows(days.astype(np.int64)).astype(np.int32)
    # Summed in tenths of a basis point, so that 0.0005 + 0.0015 is the double that 0.002 is.
    tax = np.round((rules.securities + rules.rural) * 1e5) / 1e5
    own = (rules.first_day.copy(), rules.taken.copy(), rules.short.copy())
    return RuleTables(row, rules.tick_lower.copy(), tick, limit, tax, *own)
