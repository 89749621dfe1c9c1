"""Coarser bars out of finer ones, completed ones only, and their values brought back to the finer rows.

Contract: nothing here sees tomorrow. A coarse bar exists once it is over: within the day when its nominal end has
been reached, a day, week or month when a bar of the next one has come (the last day of a panel is therefore missing,
also when its close is in it: only a calendar could tell). So the coarse panel of a panel cut short is the beginning
of the whole's.

`resample` groups rows by the bar they close in: stamps are closes, so 09:05 belongs to the five minutes 09:00-09:05.
Open, high and low are those of trades; a coarse bar without a trade is a carried row. Prices are on the basis of the
group's last row, where an ex-date falls inside a week or month. Frequencies: "30s", "5m", "1h" (dividing a day),
"1d", "1w", "1M".
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from quantkit.data.actions import changes
from quantkit.data.bars import LISTED, MEMBER, Bars, midnights
from quantkit.data.dates import DAY_US
from quantkit.data.stamps import step_us
from quantkit.errors import ConfigError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from quantkit.data.bars import FlagArray, FloatArray, IntArray

_CALENDAR = ("1d", "1w", "1M")


def resample(bars: Bars, freq: str) -> Bars:
    """Completed bars of `freq` (T', N); fields load lazily. ConfigError when `freq` is not coarser or does not fit."""
    groups, times, open_end = _groups(bars, freq)
    starts = np.flatnonzero(np.diff(groups, prepend=groups[:1] - 1))
    stops = np.append(starts[1:], len(groups))
    if len(starts) and open_end:
        starts, stops = starts[:-1], stops[:-1]
    lasts = stops - 1
    rows = slice(0, int(stops[-1]) if len(stops) else 0)
    fields = {name: partial(_gather, bars, name, rows, starts, lasts) for name in ("open", "high", "low", "close")}
    fields["volume"] = partial(_gather, bars, "volume", rows, starts, lasts)
    fields["value"] = partial(_gather, bars, "value", rows, starts, lasts)
    if bars.has("base"):
        fields["base"] = partial(_gather, bars, "base", rows, starts, lasts)
    days = bars.days[lasts]
    return Bars(
        times=midnights(days) if freq in _CALENDAR else times[lasts],
        days=days,
        symbols=bars.symbols,
        fields=fields,
        flags=_group_flags(bars.flags[rows], starts, lasts),
        actions=bars.actions,
        markets=bars.markets,
        market_changes=bars.market_changes,
        names=bars.names,
        prices=bars.prices,
        freq=freq,
        version=bars.version,
        leverage=bars.leverage,
        source=bars.source,
        minor_unit=bars.minor_unit,
        features=bars.features,
    )


def align(bars: Bars, values: NDArray[Any], coarse: Bars) -> NDArray[Any]:
    """Rows of `values` (T', N) or (T',) as known at each bar of `bars`: (T, N) or (T,), NaN before the first.

    Known is a coarse bar that was over: within the day one whose close is not after this bar's; a day, week or month
    that ended before this bar's session. On daily bars, a daily value counts from its own day on. Bool becomes float.
    """
    values = np.asarray(values)
    if values.shape[:1] != (len(coarse),):
        raise ConfigError(
            f"align: values have {values.shape[:1]} rows, the coarse bars {len(coarse)}; pass values of those bars"
        )
    if coarse.intraday:
        if not bars.intraday:
            raise ConfigError(f"align: {coarse.freq} bars do not fit into {bars.freq} ones; resample them")
        known = np.searchsorted(coarse.times, bars.times, side="right") - 1
    else:
        same = not bars.intraday and coarse.freq == bars.freq
        known = np.searchsorted(coarse.days, bars.days, side="right" if same else "left") - 1
    if values.dtype.kind in "bui":
        values = values.astype(np.float64)
    aligned = values[np.maximum(known, 0)] if len(values) else np.full((len(bars), *values.shape[1:]), np.nan)
    aligned[known < 0] = np.nan
    return aligned


def _groups(bars: Bars, freq: str) -> tuple[IntArray, IntArray, bool]:
    """Each row's coarse bar: its number and nominal close (UTC us); and whether the last one is still open."""
    step = step_us(freq)
    if freq in _CALENDAR:
        if freq == bars.freq or (bars.freq in _CALENDAR and _CALENDAR.index(freq) < _CALENDAR.index(bars.freq)):
            raise ConfigError(f"resample: {freq!r} is not coarser than the bars' own {bars.freq!r}")
        days = bars.days
        if freq == "1w":
            groups = (days + 3) // 7  # 1970-01-01 was a Thursday: weeks start on Monday
        elif freq == "1M":
            groups = days.astype("datetime64[D]").astype("datetime64[M]").astype(np.int64)
        else:
            groups = days
        return groups, bars.times, True
    own = step_us(bars.freq)
    if not bars.intraday or step <= own or DAY_US % step or (own and step % own):
        raise ConfigError(
            f"resample: {freq!r} must be longer than the bars' own {bars.freq!r}, a multiple of it, and divide a day"
        )
    offset = midnights(np.zeros(1, dtype=np.int64))[0]  # whole steps counted from midnight in Seoul
    groups = -((offset - bars.times) // step)  # rounded up: a stamp on the boundary closes the bar before it
    ends = groups * step + offset
    return groups, ends, bool(len(ends)) and bool(bars.times[-1] < ends[-1])


def _gather(bars: Bars, name: str, rows: slice, starts: IntArray, lasts: IntArray) -> FloatArray:
    """One field of the coarse panel (T', N), as traded on the basis of each group's last row."""
    values = (bars.value if name == "value" else bars.field(name))[rows]
    if not len(starts):
        return np.empty((0, values.shape[1]))
    if name == "close":
        return values[lasts]
    if name == "value":
        return np.add.reduceat(np.nan_to_num(values), starts, axis=0)
    size = np.diff(np.append(starts, rows.stop))
    shares = name == "volume"
    if changes(bars.actions, bars.symbols, field="share_ratio" if shares else "price_factor"):
        factor = (bars.share_factor if shares else bars.factor)[rows]
        ratio = factor / np.repeat(factor[lasts], size, axis=0)
        values = values / ratio if shares else values * ratio
    if shares:
        return np.add.reduceat(np.nan_to_num(values), starts, axis=0)
    if name == "base":
        return values[starts]
    return _of_trades(bars, name, values, rows, starts, lasts)


def _of_trades(bars: Bars, name: str, values: FloatArray, rows: slice, starts: IntArray, lasts: IntArray) -> FloatArray:
    """Open, high or low of the trades in each group; the close where there was none."""
    traded = bars.traded[rows]
    if name == "open":
        number = np.where(traded, np.arange(len(values), dtype=np.int64)[:, None], len(values))
        first = np.minimum.reduceat(number, starts, axis=0)
        some = first < len(values)
        found = np.take_along_axis(values, np.where(some, first, 0), axis=0)
    else:
        extreme, none = (np.maximum, -np.inf) if name == "high" else (np.minimum, np.inf)
        found = extreme.reduceat(np.where(traded, values, none), starts, axis=0)
        some = np.isfinite(found)
    return np.where(some, found, bars.field("close")[lasts])


def _group_flags(flags: FlagArray, starts: IntArray, lasts: IntArray) -> FlagArray:
    """LISTED and MEMBER as on the last row; the others where any row has them while listed."""
    if not len(starts):
        return flags[:0]
    some = np.bitwise_or.reduceat(flags, starts, axis=0) & np.uint8(255 - LISTED - MEMBER)
    last = flags[lasts] & np.uint8(LISTED | MEMBER)
    return np.where(last & LISTED, last | some, 0).astype(np.uint8)
