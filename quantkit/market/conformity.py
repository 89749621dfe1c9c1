"""Real daily prices held against the rules: on the tick grid, inside the price limits, and if not, why.

Contract: pure; arrays in, counts and one reason a bar out. Prices are raw won; `day` is int64 epoch days; every array
has shape (n,), sorted by symbol and then day. Nothing is repaired or dropped.
Called by the data check, which prints the regimes and lists the defects.

    1  a bar is judged when it traded: volume and prices above zero. A halt (all zero) or a carried row is "no_trade".
    2  a price is on the grid when it is a price of its market's tick table of that day.
    3  the reference of a bar is its base price; where none is given, the symbol's last close raised to the grid.
    4  a bar is inside when lower limit <= low and high <= upper limit around that reference.
    5  what fails 2 or 4 gets the first reason that explains it:
       mid_price    off the grid, since mid-price orders exist (2025-03-04)
       first_day    beyond the limits on the symbol's first day, inside the band around the offer price (2023-06-26 on)
       liquidation  beyond the limits during liquidation trading, which has none
       new_base     no base is given and the bar follows a suspension, after which the exchange may set a new one
       defect       nothing explains it: a wrong price, or an ex-rights day for which no base is given

An ex-rights day whose base is given is no exception: its limits stand around that base. A caller that knows the day's
actions but no base gives close x factor as the base.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import numpy.typing as npt

from quantkit.errors import BadData
from quantkit.market import MARKETS, grid
from quantkit.market.days import date_of
from quantkit.market.rules import FloatArray, IntArray, change_days, epoch_day, rule_rows, rule_tables
from quantkit.market.tables import IPO_BAND_SINCE, MID_PRICE_SINCE

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Mapping

BoolArray = npt.NDArray[np.bool_]

REASONS = ("", "no_trade", "mid_price", "first_day", "liquidation", "new_base", "defect")
"""What `Conformity.reason` indexes. "" is a bar that keeps every rule."""

PRICES = ("open", "high", "low", "close")


class Regime(NamedTuple):
    """Counts of one market while its rules stood still. `until` is the last day, None for the rules of today."""

    market: str
    since: dt.date | None
    until: dt.date | None
    bars: int
    """Bars that traded."""
    on_grid: tuple[int, int, int, int]
    """Of these, how many open, high, low and close prices are on the tick grid."""
    judged: int
    """Bars with a reference price and a limit."""
    inside: int
    """Of these, how many stay inside the limits."""
    touched: tuple[int, int]
    """Bars whose low is the lower limit, and whose high is the upper limit."""
    reasons: Mapping[str, int]
    """Bars by reason, "" left out."""


class Conformity(NamedTuple):
    """What `conformity` found."""

    regimes: tuple[Regime, ...]
    reason: npt.NDArray[np.int8]
    """(n,) index into REASONS."""

    @property
    def defects(self) -> IntArray:
        """Positions of the bars that nothing explains."""
        return np.flatnonzero(self.reason == REASONS.index("defect"))


class _Judged(NamedTuple):
    traded: BoolArray
    on_grid: dict[str, BoolArray]
    judged: BoolArray
    inside: BoolArray
    at_lower: BoolArray
    at_upper: BoolArray


def conformity(
    symbol: IntArray,
    day: IntArray,
    market: IntArray,
    prices: Mapping[str, FloatArray],
    volume: FloatArray,
    *,
    base: FloatArray | None = None,
    leverage: FloatArray | float = 1.0,
    listed_on: IntArray | None = None,
    liquidation: BoolArray | None = None,
    session: IntArray | None = None,
) -> Conformity:
    """Judge (n,) bars sorted by symbol and day.

    symbol       any integer code of the instrument
    day, market  epoch days; market ids
    prices       "open", "high", "low", "close" in won
    base         the exchange's base price, NaN where unknown
    leverage     a fund's multiple
    listed_on    epoch day of the symbol's first trading day, -1 unknown; when left out, a symbol's first bar counts as
                 that day, unless it is of the first day of all
    liquidation  whether the bar is of liquidation trading
    session      running number of the bar's session; with it a symbol whose rows are missing counts as suspended

    BadData when shapes differ, a price is missing, or rows are not sorted.
    """
    columns = {name: _column(name, prices.get(name), len(day)) for name in PRICES}
    volume = _column("volume", volume, len(day))
    symbol, day, market = (np.asarray(values, dtype=np.int64) for values in (symbol, day, market))
    follows = _follows(symbol, day)
    base = np.full(len(day), np.nan) if base is None else _column("base", base, len(day))
    row = rule_rows(day)
    last = _shifted(columns["close"], follows)
    expected = grid.ceil_prices(row, market, np.where(last > 0.0, last, np.nan))
    given = base > 0.0
    judged = _judge(
        row, market, columns, volume, np.where(given, base, expected), np.asarray(leverage, dtype=np.float64)
    )
    suspended = _suspended(judged.traded, follows, session)
    start = int(day.min()) if day.size else 0
    first = ~follows & (day > start) if listed_on is None else day == np.asarray(listed_on)

    reason = _explain(
        judged,
        judged.traded & (day >= epoch_day(MID_PRICE_SINCE)),
        first_day=first & given & _inside_ipo_band(row, market, day, columns, base),
        liquidation=np.zeros(len(day), dtype=bool) if liquidation is None else np.asarray(liquidation, dtype=bool),
        new_base=~given & suspended,
    )
    return Conformity(_regimes(market, day, judged, reason), reason)


def _explain(judged: _Judged, mid_prices: BoolArray, **explained: BoolArray) -> npt.NDArray[np.int8]:
    """Step 5: one reason a bar. `explained` says, by reason, which bars may be beyond their limits; the first holds."""
    defect = REASONS.index("defect")
    outside = np.full(len(mid_prices), defect, dtype=np.int8)
    for name, bars in reversed(explained.items()):
        outside[bars] = REASONS.index(name)
    off_grid = judged.traded & ~np.logical_and.reduce(list(judged.on_grid.values()))
    reason = np.where(judged.judged & ~judged.inside, outside, np.int8(0))
    reason[off_grid & mid_prices & (reason == 0)] = REASONS.index("mid_price")
    reason[off_grid & ~mid_prices] = defect
    reason[~judged.traded] = REASONS.index("no_trade")
    return reason


def _column(name: str, values: FloatArray | None, length: int) -> FloatArray:
    if values is None:
        raise BadData(f"conformity: no {name!r} among the prices; expected {', '.join(PRICES)}")
    array = np.asarray(values, dtype=np.float64)
    if array.shape != (length,):
        raise BadData(f"conformity: {name} has shape {array.shape}, expected ({length},) as the days")
    return array


def _follows(symbol: IntArray, day: IntArray) -> BoolArray:
    """Whether the bar before is of the same symbol. BadData when the rows are not sorted by symbol and day."""
    same = symbol[1:] == symbol[:-1]
    wrong = np.flatnonzero((symbol[1:] < symbol[:-1]) | (same & (day[1:] <= day[:-1])))
    if wrong.size:
        raise BadData(f"conformity: rows are not sorted by symbol and day, or repeat, at position {int(wrong[0]) + 1}")
    return np.append(np.zeros(min(len(day), 1), dtype=bool), same)


def _shifted(values: FloatArray, follows: BoolArray) -> FloatArray:
    """The value of the symbol's bar before, NaN on its first."""
    shifted = np.full(len(values), np.nan)
    shifted[1:] = values[:-1]
    return np.where(follows, shifted, np.nan)


def _judge(
    row: IntArray,
    market: IntArray,
    prices: dict[str, FloatArray],
    volume: FloatArray,
    base: FloatArray,
    leverage: FloatArray,
) -> _Judged:
    traded = (volume > 0.0) & (prices["open"] > 0.0) & (prices["low"] > 0.0)
    on_grid = {name: grid.floor_prices(row, market, prices[name]) == prices[name] for name in PRICES}
    lower, upper = grid.limit_prices(row, market, base, leverage)
    judged = traded & np.isfinite(upper)
    inside = (prices["low"] >= lower) & (prices["high"] <= upper)
    return _Judged(traded, on_grid, judged, inside, prices["low"] == lower, prices["high"] == upper)


def _suspended(traded: BoolArray, follows: BoolArray, session: IntArray | None) -> BoolArray:
    """Whether the symbol did not trade just before: its last row is without a trade, or sessions have no row."""
    idle = np.append(np.zeros(min(len(traded), 1), dtype=bool), ~traded[:-1])
    if session is not None:
        number = np.asarray(session, dtype=np.int64)
        idle[1:] |= number[1:] - number[:-1] != 1
    return idle & follows


def _inside_ipo_band(
    row: IntArray, market: IntArray, day: IntArray, prices: dict[str, FloatArray], offer: FloatArray
) -> BoolArray:
    lower = grid.ceil_prices(row, market, offer * 0.6)
    upper = grid.floor_prices(row, market, offer * 4.0)
    return (day >= epoch_day(IPO_BAND_SINCE)) & (prices["low"] >= lower) & (prices["high"] <= upper)


def regime_starts(market: int) -> IntArray:
    """Epoch days on which the tick table, the limit or the meaning of the grid changed for a market, ascending."""
    tables = rule_tables(np.zeros(0, dtype=np.int64))
    rules = np.concatenate(
        [tables.tick_lower[:, market], tables.tick[:, market], tables.limit_rate[:, market, None]], axis=1
    )
    before, after = np.nan_to_num(rules[:-1], nan=-1.0), np.nan_to_num(rules[1:], nan=-1.0)
    changed = change_days()[(before != after).any(axis=1)]
    return np.unique(np.append(changed, epoch_day(MID_PRICE_SINCE)))


def _regimes(market: IntArray, day: IntArray, found: _Judged, reason: npt.NDArray[np.int8]) -> tuple[Regime, ...]:
    flags = {
        "rows": np.ones(len(day), dtype=bool),
        "bars": found.traded,
        "judged": found.judged,
        "inside": found.judged & found.inside,
        "at_lower": found.judged & found.at_lower,
        "at_upper": found.judged & found.at_upper,
        **{name: found.traded & found.on_grid[name] for name in PRICES},
        **{name: reason == index for index, name in enumerate(REASONS) if index},
    }
    regimes: list[Regime] = []
    for number in np.unique(market).tolist():
        starts = regime_starts(number)
        here = np.flatnonzero(market == number)
        regime = np.searchsorted(starts, day[here], side="right")
        counts = {name: np.bincount(regime[flag[here]], minlength=len(starts) + 1) for name, flag in flags.items()}
        regimes += [
            _regime(MARKETS[number], starts, k, {name: int(count[k]) for name, count in counts.items()})
            for k in np.flatnonzero(counts["rows"]).tolist()
        ]
    return tuple(regimes)


def _regime(market: str, starts: IntArray, k: int, counts: Mapping[str, int]) -> Regime:
    return Regime(
        market=market,
        since=None if k == 0 else date_of(starts[k - 1]),
        until=None if k == len(starts) else date_of(starts[k] - 1),
        bars=counts["bars"],
        on_grid=(counts["open"], counts["high"], counts["low"], counts["close"]),
        judged=counts["judged"],
        inside=counts["inside"],
        touched=(counts["at_lower"], counts["at_upper"]),
        reasons={name: counts[name] for name in REASONS[1:] if counts[name]},
    )
