"""Which bars hold the prints of the opening and the closing auction.

Contract: `phases_of(bars)` is (T,) uint8 of OPENING | CLOSING, from the exchange's hours and the stamps alone, so a
bar's answer never changes when later bars are added. A daily or coarser bar has both. An intraday bar is OPENING when
it is its session's first that ends at or after the open, and not later than one bar after it. It is CLOSING when its
stamp is the close or up to a bar (at least a minute) after it: the print comes within 30 seconds after the close, and
sources put it in the bar that ends there or in the next. In Korea a closing bar of ten minutes or less holds nothing
but the auction (AUCTION_ONLY). Where both exist, a name's print is in the first one it traded
in. Late opens, early closes and exam days are the calendar's; a session whose data begins late has no opening bar, one
whose data stops early no closing bar. Market "NONE" keeps no hours: a day's first bar opens it, none closes it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from quantkit.core.state import AUCTION_ONLY, CLOSING, OPENING, Bytes, Ints
from quantkit.data.dates import DAY_US
from quantkit.data.stamps import step_us
from quantkit.market import KRX_MARKETS
from quantkit.market.sessions import NO_TIME, opens_and_closes

if TYPE_CHECKING:
    from quantkit.data.bars import Bars

_AUCTION_US = 600_000_000  # length of the closing auction (KE 35(1)3)
_PRINT_US = 60_000_000  # the longest a closing print may be after the close


def phases_of(bars: Bars) -> Bytes:
    """(T,) uint8 bits of each bar: OPENING, CLOSING."""
    if not bars.intraday:
        return np.full(len(bars), OPENING | CLOSING, np.uint8)
    return intraday_phases(bars.times, bars.days, step=step_us(bars.freq), market=(*bars.markets, "KOSPI")[0])


def intraday_phases(times: Ints, days: Ints, *, step: int, market: str) -> Bytes:
    """As `phases_of`, from stamps (UTC microseconds of the close), session days, and a bar's length (0: bars of
    ticks, of which the first one holds the opening whenever it ends)."""
    phases = np.zeros(len(times), np.uint8)
    if not len(times):
        return phases
    first = np.flatnonzero(np.diff(days, prepend=days[0] - 1))
    if market == "NONE":
        phases[first] = OPENING
        return phases
    opens, closes = opens_and_closes(days[first], market)
    bars = np.diff(first, append=len(days))
    begun = times >= np.repeat(opens, bars)
    before = np.append(False, begun[:-1])
    before[first] = False
    opening = begun & ~before & (times <= np.repeat(opens, bars) + (step or DAY_US))
    end = np.repeat(closes, bars)
    closing = (times >= end) & (times <= end + max(step, _PRINT_US)) & (end != NO_TIME)
    phases[opening & (end != NO_TIME)] = OPENING
    phases[closing] |= CLOSING | (AUCTION_ONLY if 0 < step <= _AUCTION_US and market in KRX_MARKETS else 0)
    return phases
