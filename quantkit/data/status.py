"""The state of every name on every bar: trading, halted, locked at a price limit, in liquidation trading, gone.

Contract: `status_of(bars)` is (T, N) uint8, an index in STATUS; the answer at bar t depends on rows up to t only. The
first that holds, in this order:

    unlisted     before the listing          delisted    after it
    halted       no trade in this bar (거래정지, or nobody traded)
    liquidation  liquidation trading (정리매매), which has no price limits
    locked_up    every print of the bar is the upper price limit (상한가): nobody sells
    locked_down  every print of the bar is the lower price limit (하한가): nobody buys
    trading      none of these

Limits are those of the fold: from the base price, or the last close raised to the grid, by the rules of the day and the
market of the day; a first trading day has its own. Adjusted prices have no limits, so nothing is ever locked.
Called by `Bars.status`; strategies see it as `bars.status` and in their rules.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from quantkit.data.carry import FIRST_DAY, LIQUIDATION, LISTED, TRADED
from quantkit.market import MARKET_ID, grid
from quantkit.market.rules import rule_rows, rule_tables
from quantkit.market.tables import FIRST_DAY_RULES

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from quantkit.data.bars import Bars as Panel
    from quantkit.data.bars import BoolArray, FloatArray, IntArray

STATUS: Final = ("unlisted", "trading", "halted", "locked_up", "locked_down", "liquidation", "delisted")
UNLISTED, TRADING, HALTED, LOCKED_UP, LOCKED_DOWN, IN_LIQUIDATION, DELISTED = range(7)


def status_of(bars: Panel) -> NDArray[np.uint8]:
    """(T, N) uint8, an index in STATUS."""
    flags = bars.flags
    listed, traded = (flags & LISTED) != 0, (flags & TRADED) != 0
    status = np.where(listed, np.uint8(HALTED), np.uint8(UNLISTED))
    status[listed & traded] = TRADING
    status[listed & traded & ((flags & LIQUIDATION) != 0)] = IN_LIQUIDATION
    if not listed.all():
        begun = np.logical_or.accumulate(listed, axis=0) | _listed_before(bars)
        status[begun & ~listed] = DELISTED
    if bars.prices == "raw":
        _mark_locks(bars, status)
    return status


def _listed_before(bars: Panel) -> BoolArray:
    """(N,) whether a name was listed on a bar before these, as far as the panel they were cut from knows."""
    before = np.zeros(len(bars.symbols), bool)
    part = bars
    while part._whole is not None and len(part):
        row = int(np.searchsorted(part._whole.times, part.times[0]))
        before |= ((part._whole.flags[:row] & LISTED) != 0).any(axis=0)
        part = part._whole
    return before


def _mark_locks(bars: Panel, status: NDArray[np.uint8]) -> None:
    """Set LOCKED_UP and LOCKED_DOWN, in place. Only bars of a single price can be locked, which are few."""
    high = bars.field("high")
    rows, columns = np.nonzero((status == TRADING) & (high == bars.field("low")))
    if not len(rows):
        return
    lower, upper = limits_of(bars, rows, columns)
    price = high[rows, columns]
    status[rows, columns] = np.where(price >= upper, LOCKED_UP, np.where(price <= lower, LOCKED_DOWN, TRADING))


def limits_of(bars: Panel, rows: IntArray, columns: IntArray) -> tuple[FloatArray, FloatArray]:
    """(lower, upper) price limit of cells (K,) of a raw panel; (0, inf) without one, NaN where the base is unknown."""
    rule, market = rule_rows(bars.days[rows]), _markets_of(bars, rows, columns)
    base = grid.ceil_prices(rule, market, bars.base[rows, columns])
    if bars.has("base"):
        given = bars.field("base")[rows, columns]
        base = np.where(given > 0.0, given, base)
    first = (bars.flags[rows, columns] & FIRST_DAY) != 0
    kind = np.where(first, rule_tables(np.zeros(0, np.int64)).first_day[rule, market], 0)
    start = np.searchsorted(bars.days, bars.days[rows])  # the session's first bar
    opening = (kind == FIRST_DAY_RULES.index("opening")) & (start == rows)
    base = np.where(opening, bars.field("open")[rows, columns], base)
    lower, upper = grid.limit_prices(rule, market, base, bars.leverage[columns])
    band = (kind == FIRST_DAY_RULES.index("band")) & np.isfinite(upper)
    lower = np.where(band, grid.ceil_prices(rule, market, base * 0.6), lower)
    return lower, np.where(band, grid.floor_prices(rule, market, base * 4.0), upper)


def _markets_of(bars: Panel, rows: IntArray, columns: IntArray) -> IntArray:
    """Market id of each cell on its day."""
    market = np.array([MARKET_ID[name] for name in bars.markets], np.int64)[columns]
    column_of = {symbol: column for column, symbol in enumerate(bars.symbols)}
    days = bars.days[rows]
    for day, symbol, name in bars.market_changes:  # in order of days
        if symbol in column_of:
            market[(columns == column_of[symbol]) & (days >= day)] = MARKET_ID[name]
    return market
