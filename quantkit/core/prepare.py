"""From bars and a policy to what the fold reads: inputs, events, rebalance dates, the first state.

Contract: views where they serve, no copy of a price. Nothing here looks at a price after the bar it prepares; rebalance
dates come from the calendar, which is known in advance.
Called by `backtest.run` and, one session at a time, by the live engine.
"""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

import numpy as np

from quantkit.core.fold import dates_of
from quantkit.core.phases import phases_of
from quantkit.core.scale import scale_of
from quantkit.core.state import (
    EVENT_ACTION,
    EVENT_DELISTED,
    EVENT_DEPOSIT,
    EVENT_MARKET,
    EVENT_ROW,
    Bytes,
    Floats,
    Inputs,
    Ints,
    Records,
    State,
    new_state,
    records,
)
from quantkit.data.actions import KIND_ID, locate
from quantkit.data.bars import LISTED, MEMBER, VALID, Bars
from quantkit.errors import ConfigError
from quantkit.market import MARKET_ID
from quantkit.market.orders import accepted

if TYPE_CHECKING:
    from collections.abc import Iterable

    from quantkit.core.policy import Policy

_NONE = np.empty((0, 0))
_MONDAY = 4  # 1970-01-05, the first Monday, is epoch day 4


def periods_of(days: Ints, every: str) -> Ints:
    """The week ("week") or month ("month") each epoch day lies in, as a number that rises with time."""
    if every == "week":
        return (days - _MONDAY) // 7
    return days.astype("datetime64[D]").astype("datetime64[M]").astype(np.int64)


def rebalance_dates(days: Ints, policy: Policy, *, after: int | None = None, market: str = "KOSPI") -> Bytes:
    """(T,) 1 on the bars whose decision re-sizes: every n-th bar, or the last bar of the last session of a week or
    month.

    after: epoch day of the session that follows the last bar; looked up in the market's calendar when it matters.
    """
    every = policy.rebalance
    if every == "change" or len(days) == 0:
        return np.zeros(len(days), np.uint8)
    if isinstance(every, int):
        return np.asarray(np.arange(len(days)) % every == 0, np.uint8)
    following = _session_after(int(days[-1]), market) if after is None else after
    period = periods_of(np.append(days, following), every)
    return np.asarray(period[1:] != period[:-1], np.uint8)


def _session_after(day: int, market: str) -> int:
    """The next session's epoch day: the exchange's calendar for Korean names, the next weekday elsewhere."""
    if market in ("US", "NONE"):
        return day + {4: 3, 5: 2}.get((day - _MONDAY) % 7, 1)
    from quantkit.market import calendar

    today = dt.date(1970, 1, 1) + dt.timedelta(days=day)
    return (calendar.next_session(today) - dt.date(1970, 1, 1)).days


def valid_after_warmup(flags: Bytes, warmup: int, *, listed_before: Ints | None = None) -> Bytes:
    """Flags with VALID off on each name's first `warmup` listed bars.

    listed_before: (N,) listed bars of each name before these rows; None: these are the first.
    """
    if warmup <= 0 or (listed_before is not None and (listed_before >= warmup).all()):
        return flags
    warmed = flags.copy()
    listed = (flags & LISTED) != 0
    if listed_before is None and listed.all():
        warmed[:warmup] &= np.uint8(255 - VALID)
        return warmed
    before = np.zeros(flags.shape[1], np.int64) if listed_before is None else listed_before
    young = np.flatnonzero(before < warmup)  # the others may have gone, but not come back to warm up again
    seen = np.cumsum(listed[:, young], axis=0, dtype=np.int64) + before[young]
    warmed[:, young] &= np.where(seen <= warmup, np.uint8(255 - VALID), np.uint8(255))
    return warmed


def inputs_of(
    bars: Bars,
    targets: Floats,
    *,
    policy: Policy,
    flags: Bytes | None = None,
    rank: Floats | None = None,
    liquidity: Floats | None = None,
    after: int | None = None,
    volume: bool = False,
    vwap: bool = False,
    dates: Records | None = None,
    scale: Floats | None = None,
) -> Inputs:
    """What the fold reads of these bars. `targets`, `rank` and `liquidity` are (T, N) float64.

    With a `threshold` the targets become 1 and 0 here, and are the rank where none is given.

    flags: in place of the bars' own, for example after warm-up. after: see `rebalance_dates`.
    scale: see `scale_of`, over more history than these bars have.
    volume, vwap: whether the run reads these: a participation cap or impact, fills at the next bar's average price.
    dates: these rows of `dates_in`, where the bars are a piece of a run; None: the bars are all of it.
    """
    if policy.threshold is not None:
        rank = targets if rank is None and targets.shape == bars.shape else rank
        targets = np.where(np.isnan(targets), np.nan, targets >= policy.threshold)
    return Inputs(
        open=bars.raw.open,
        high=bars.raw.high,
        low=bars.raw.low,
        close=bars.raw.close,
        base=bars.field("base") if bars.has("base") else _NONE,
        flags=np.ascontiguousarray(bars.flags if flags is None else flags),
        targets=targets,
        rank=_NONE if rank is None else rank,
        liquidity=_NONE if liquidity is None else liquidity,
        volume=bars.field("volume") if volume else _NONE,
        vwap=average_prices(bars) if vwap else _NONE,
        scale=scale_of(bars, policy) if scale is None else scale,
        dates=dates_in(bars, policy, after=after) if dates is None else dates,
    )


def dates_in(bars: Bars, policy: Policy, *, after: int | None = None) -> Records:
    """The (T,) DATE rows of a run over all of these bars. after: see `rebalance_dates`."""
    market = (*bars.markets, "KOSPI")[0]
    return dates_of(bars.days, rebalance_dates(bars.days, policy, after=after, market=market), phases_of(bars))


def average_prices(bars: Bars) -> Floats:
    """(T, N) average price of each bar: money over shares where the data has the money, else the middle of open, high,
    low and close; inside the bar's range, its close where nothing traded.
    """
    opens, highs, lows, closes = (bars.field(name) for name in ("open", "high", "low", "close"))
    if bars.has("value"):
        volume = bars.field("volume")
        with np.errstate(divide="ignore", invalid="ignore"):
            average = bars.value / volume
        average = np.where(volume > 0, average, closes)
    else:
        average = (opens + highs + lows + closes) / 4.0
    return np.ascontiguousarray(np.minimum(np.maximum(average, lows), highs))


def has_universe(flags: Bytes) -> bool:
    """Whether any listed name is ever outside the universe."""
    both = np.uint8(LISTED | MEMBER)
    return bool(np.any((flags & both) == LISTED))


def events_of(bars: Bars, deposits: Iterable[tuple[int, float]] = ()) -> Records:
    """Corporate actions, market transfers, delistings and (row, amount) deposits of these bars, sorted by row."""
    rows: list[tuple[float, ...]] = []  # EVENT_ROW
    rows.extend((row, -1, EVENT_DEPOSIT, 1.0, 1.0, amount, 0, 0, 0) for row, amount in deposits)
    column_of = {symbol: column for column, symbol in enumerate(bars.symbols)}
    for day, symbol, market in bars.market_changes:
        row = int(np.searchsorted(bars.days, day))
        if symbol in column_of and 0 < row < len(bars):
            rows.append((row, column_of[symbol], EVENT_MARKET, 1.0, 1.0, 0.0, 0, MARKET_ID[market], 0))
    placed = locate(bars.actions, bars.days, bars.symbols)
    for row, column, action in zip(placed.row, placed.column, placed.table, strict=True):
        kind = int(action["kind"])
        ratio = np.nan if kind == KIND_ID["unknown"] else float(action["share_ratio"])
        rows.append(
            (int(row), int(column), EVENT_ACTION, float(action["price_factor"]), ratio,
             float(action["cash_per_share"]), int(action["pay_day"]), kind, int(action["receivable"]))
        )  # fmt: skip
    gone = (bars.flags & LISTED) == 0
    gone[1:] &= ~gone[:-1]  # the first bar outside the listing; row 0: whoever is outside
    for row, column in np.argwhere(gone) if gone.any() else ():
        rows.append((int(row), int(column), EVENT_DELISTED, 1.0, 1.0, 0.0, 0, 0, 0))
    paying = (KIND_ID["rights"], KIND_ID["spinoff"])
    # Money is due on the shares before a split of the same day.
    rows.sort(key=lambda row: (row[0], row[2], row[2] == EVENT_ACTION and row[5] == 0.0 and row[7] not in paying))
    return records(np.array(rows, EVENT_ROW))


def first_state(bars: Bars, *, cash: int, policy: Policy | None = None) -> State:
    """The state before the first of these bars; each name is in the market it was listed on then, and in its group.

    ConfigError for a policy of market orders (`collar=None`) and names of which the exchange takes none (ELW).
    """
    if policy is not None and policy.collar is None:
        _check_limits(bars)
    markets = [MARKET_ID[market] for market in bars.markets]
    column_of = {symbol: column for column, symbol in enumerate(bars.symbols)}
    first = int(bars.days[0]) if len(bars) else 0
    for day, symbol, market in bars.market_changes:
        if symbol in column_of and day <= first:
            markets[column_of[symbol]] = MARKET_ID[market]
    order = np.argsort(np.array(bars.symbols), kind="stable")
    tie = np.empty(len(order), np.int64)
    tie[order] = np.arange(len(order))
    state = new_state(len(bars.symbols), cash=cash, market=np.array(markets, np.int64), tie=tie, leverage=bars.leverage)
    group_of = {} if policy is None or policy.groups is None else policy.groups
    number = {group: k for k, group in enumerate(sorted({group_of[s] for s in bars.symbols if s in group_of}))}
    state.names["group"] = [number[group_of[s]] if s in group_of else -1 for s in bars.symbols]
    return state


def _check_limits(bars: Bars) -> None:
    """ConfigError where market orders of a name are taken by nobody."""
    if not len(bars):
        return
    date = np.datetime64(int(bars.days[-1]), "D").item()
    for market in set(bars.markets):
        if accepted("market", date=date, market=market):
            symbol = bars.symbols[bars.markets.index(market)]
            raise ConfigError(
                f"Policy(collar=None): {symbol} is of {market}, of which the exchange takes no market orders; "
                "give a collar, such as collar=0.1"
            )
