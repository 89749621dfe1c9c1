"""Features: numbers and labels that became known at some date, and what of them was known at each bar.

A row says: from `as_of` on, the feature of this symbol (for this period) is `value`. At bar t a feature is

    the last row as of t of the latest period known at t         a restatement of an older period changes nothing
    the last row as of t                                         where rows have no period

Known is, strictly, what came before the bar's close:

    as_of has a time of day    bars within the day: closes after it; daily bars: from the session at whose close it was
                               out (Korea: the session's own close; US: 13:00 New York, as some sessions end then)
    as_of is a date            from the first session after that date: filings come in until after the close
    lag=n                      n sessions later than that, from the session's first bar

A stamp at midnight carries no time of day. A row without a value ends the one before it: NaN from then on. Rows of the
symbol "*" hold for every symbol until one of its own is known. Text is a code: its place in `labels`, which are in the
order in which they first became known, so that a code never changes with what comes later.

Contract: arrays only, (T, N) float64; a value at t does not depend on rows that became known after t, nor on which bars
are loaded. One pass over the rows in their stored order; memory is that of the rows and of the result.
Called by `Bars.feature` and by universe queries.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

from quantkit.data.dates import DAY_US, SEOUL_US
from quantkit.errors import BadData, ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from quantkit.data.bars import Bars

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

NO_MOMENT = np.iinfo(np.int64).min
NO_PERIOD = np.iinfo(np.int32).min
EVERY = "*"
"""The symbol of rows that hold for every symbol."""
_MINUTE_US = 60_000_000
_US_CUT = 13 * 60  # minutes after midnight in New York
_US_DAY_END_US = 5 * 3_600_000_000  # UTC; after every US session of the day, before every one of the next
_KEPT = 4  # features of a lake that stay in memory
_BLOCK = 64  # columns laid at a time


@dataclass(frozen=True)
class FeatureRows:
    """Rows of one feature, sorted by symbol, moment and period.

    symbols  unique codes      code    (R,) int32 index in them
    day      (R,) int32 epoch day of `as_of` as it was written
    moment   (R,) int64 UTC microseconds where `as_of` has a time of day, else NO_MOMENT
    period   (R,) int32 last epoch day of the period, NO_PERIOD in every row or in none
    value    (R,) float64, NaN: none from here on; of text the place in `labels`
    """

    symbols: tuple[str, ...]
    code: NDArray[np.int32]
    day: NDArray[np.int32]
    moment: IntArray
    period: NDArray[np.int32]
    value: FloatArray
    labels: tuple[str, ...] | None = None

    def __len__(self) -> int:
        return len(self.code)

    @property
    def has_periods(self) -> bool:
        """Whether rows name the period they speak of."""
        return bool(len(self.period)) and int(self.period[0]) != NO_PERIOD

    def part(self, start: int, stop: int) -> FeatureRows:
        """Rows start..stop, views of these."""
        return self.chosen(slice(start, stop))

    def chosen(self, rows: NDArray[np.bool_] | slice) -> FeatureRows:
        """Some of the rows."""
        return FeatureRows(
            self.symbols, self.code[rows], self.day[rows], self.moment[rows], self.period[rows], self.value[rows],
            self.labels,
        )  # fmt: skip

    def digest(self) -> str:
        """SHA-256 of everything."""
        total = hashlib.sha256("\n".join((*self.symbols, "", *(self.labels or ()))).encode())
        for array in (self.code, self.day, self.moment, self.period, self.value):
            total.update(np.ascontiguousarray(array).view(np.uint8).data if len(array) else b"")
        return total.hexdigest()


class Stored(Protocol):
    """Features that lie somewhere else, as in a lake: see `featurestore`."""

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the features."""

    def read(self, name: str, symbols: Sequence[str] | None) -> FeatureRows:
        """Rows of one feature for these symbols (None: all), and of "*"."""


@dataclass
class Features:
    """The features of a panel by name: those of its lake, and those given with it, which come first."""

    given: Mapping[str, FeatureRows] = field(default_factory=dict)
    stored: Stored | None = None
    _read: OrderedDict[tuple[str, tuple[str, ...]], FeatureRows] = field(default_factory=OrderedDict, repr=False)

    @property
    def names(self) -> tuple[str, ...]:
        """Every name, sorted."""
        return tuple(sorted({*self.given, *(() if self.stored is None else self.stored.names)}))

    def __contains__(self, name: object) -> bool:
        return name in self.given or (self.stored is not None and name in self.stored.names)

    def rows(self, name: str, symbols: Sequence[str]) -> FeatureRows:
        """Rows of a feature, at least those of `symbols`. ConfigError names what there is."""
        if name in self.given:
            return self.given[name]
        if self.stored is None or name not in self.stored.names:
            raise ConfigError(f"no feature {name!r}; {self.told()}")
        key = (name, tuple(symbols))
        found = self._read.pop(key, None) or self.stored.read(name, symbols)
        self._read[key] = found
        while len(self._read) > _KEPT:
            self._read.popitem(last=False)
        return found

    def told(self) -> str:
        """What there is, for messages."""
        if self.names:
            return f"there are {', '.join(self.names)}"
        return "there are none: give them with lake.ingest_features(...), or bars.with_feature(name, frame)"

    def having(self, rows: Mapping[str, FeatureRows]) -> Features:
        """These and `rows`, which take the place of those of the same name."""
        return Features({**self.given, **rows}, self.stored)

    def carried(self, symbols: Sequence[str]) -> Features:
        """The same for these symbols with nothing left to read, for another process."""
        return self if self.stored is None else Features(self.given, _Held.of(self.stored, symbols))

    def digest(self) -> str:
        """Hash of what was given with the panel, "" for nothing; a lake's is told by its version."""
        parts = [f"{name} {rows.digest()}" for name, rows in sorted(self.given.items())]
        return hashlib.sha256("\n".join(parts).encode()).hexdigest() if parts else ""

    def __getstate__(self) -> dict[str, object]:
        return {"given": dict(self.given), "stored": self.stored, "_read": OrderedDict()}


@dataclass(frozen=True)
class _Held:
    """Features of a lake, read."""

    kept: dict[str, FeatureRows]

    @classmethod
    def of(cls, stored: Stored, symbols: Sequence[str]) -> _Held:
        """All that are stored, for these symbols."""
        return cls({name: stored.read(name, symbols) for name in stored.names})

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the features."""
        return tuple(self.kept)

    def read(self, name: str, symbols: Sequence[str] | None) -> FeatureRows:  # noqa: ARG002  # as `Stored`
        """Rows of one feature."""
        return self.kept[name]


def feature_of(bars: Bars, name: str, *, lag: int = 0, fill: float | None = None) -> FloatArray:
    """See `Bars.feature`."""
    if isinstance(lag, bool) or not isinstance(lag, int | np.integer) or lag < 0:
        raise ConfigError(f"feature({name!r}, lag={lag!r}): a number of sessions, 0 or more")
    if fill is not None:
        known = feature_of(bars, name, lag=lag)
        return bars._once(f"feature {name} {lag} {fill}", lambda: np.where(np.isnan(known), float(fill), known))
    return bars._once(f"feature {name} {lag}", lambda: _computed(bars, name, int(lag)))


def _computed(bars: Bars, name: str, lag: int) -> FloatArray:
    whole = bars._whole
    if whole is not None and whole.features is bars.features and len(bars):
        first = int(np.searchsorted(whole.times, bars.times[0]))
        return feature_of(whole, name, lag=lag)[first : first + len(bars)]
    out = known_matrix(
        bars.features.rows(name, bars.symbols),
        symbols=bars.symbols,
        markets=bars.markets,
        days=bars.days,
        times=bars.times if bars.intraday else None,
        lag=lag,
    )
    if not bars.listed.all():
        out[~bars.listed] = np.nan
    return out


def known_matrix(
    rows: FeatureRows,
    *,
    symbols: Sequence[str],
    markets: Sequence[str],
    days: IntArray,
    times: IntArray | None,
    lag: int = 0,
) -> FloatArray:
    """(T, N): what was known at each bar, by the rule of this module.

    days   (T,) epoch days of the bars' sessions, rising.
    times  (T,) UTC microseconds of the bars' closes, where several make a session; None: one or less.
    """
    out = np.full((len(days), len(symbols)), np.nan)
    place = {symbol: number for number, symbol in enumerate(rows.symbols)}
    every = place.get(EVERY, -1)
    code = np.array([place.get(symbol, -1) for symbol in symbols], dtype=np.int64)
    calendars = np.array([market if market in ("US", "NONE") else "KRX" for market in markets])
    start = np.searchsorted(rows.code, np.arange(len(rows.symbols) + 1, dtype=np.int32))
    for calendar in np.unique(calendars).tolist() if len(days) else ():
        clock = _Clock(calendar, days, times, lag)
        common = np.full(len(days), np.nan)
        if every >= 0:
            _lay(common, *_steps(rows.part(int(start[every]), int(start[every + 1])), clock))
        columns = np.flatnonzero(calendars == calendar)
        columns = columns[np.argsort(code[columns], kind="stable")]
        for begin in range(0, len(columns), _BLOCK):
            here = columns[begin : begin + _BLOCK]
            block = np.tile(common, (len(here), 1))
            for line, own in zip(block, code[here].tolist(), strict=True):
                if own >= 0:
                    _lay(line, *_steps(rows.part(int(start[own]), int(start[own + 1])), clock))
            if bool((np.diff(here) == 1).all()):
                out[:, here[0] : here[-1] + 1] = block.T
            else:
                out[:, here] = block.T
    return out


class _Clock:
    """When a row counts: the bars, their calendar, the sessions to wait."""

    def __init__(self, calendar: str, days: IntArray, times: IntArray | None, lag: int) -> None:
        self.calendar, self.days, self.times, self.lag = calendar, days, times, lag
        self._first, self._last = int(days[0]) - 1, int(days[-1])
        dates = np.arange(self._first, self._last + 1)
        self._rows: IntArray = np.searchsorted(days, dates, side="right").astype(np.int64)  # by date: one look a row

    def first_bar(self, day: IntArray, moment: IntArray) -> IntArray:
        """The first bar at which each row is known; the number of bars where that is after the last."""
        if self.times is not None and not self.lag:
            known = _moments(day, moment, self.calendar)
            return np.searchsorted(self.times, known, side="right").astype(np.int64)
        session = _shifted(_session_before(day, moment, self.calendar), self.calendar, self.lag)
        return self._rows[np.clip(session, self._first, self._last) - self._first]


def _steps(rows: FeatureRows, clock: _Clock) -> tuple[IntArray, FloatArray]:
    """(bars at which the value of one symbol changes, rising; the values)."""
    row = clock.first_bar(rows.day.astype(np.int64), rows.moment)
    counts = row < len(clock.days)
    if rows.has_periods:
        counts &= rows.period >= np.maximum.accumulate(rows.period)  # else of an older period than one known already
    row, value = row[counts], rows.value[counts]
    last = np.append(np.diff(row) != 0, True)[: len(row)]
    return row[last], value[last]


def _lay(line: FloatArray, row: IntArray, value: FloatArray) -> None:
    """Write values from the bars on at which they count."""
    if len(row):
        line[row[0] :] = np.repeat(value, np.diff(row, append=len(line)))


def _moments(day: IntArray, moment: IntArray, calendar: str) -> IntArray:
    """UTC microseconds after which each row is known: a date counts as its end."""
    end = _US_DAY_END_US if calendar == "US" else -SEOUL_US
    return np.where(moment == NO_MOMENT, (day + 1) * DAY_US + end - 1, moment)


def stored_order(day: NDArray[np.int32], moment: IntArray) -> IntArray:
    """What rows of a symbol are sorted by: their moment, dates as the end of the day in Seoul."""
    return _moments(day.astype(np.int64), moment, "KRX")


def _session_before(day: IntArray, moment: IntArray, calendar: str) -> IntArray:
    """Epoch days: each row is known at the close of the first session after its day."""
    timed = np.flatnonzero(moment != NO_MOMENT)
    if not len(timed):
        return day
    local = moment[timed] + SEOUL_US if calendar != "US" else _new_york(moment[timed])
    date, minute = local // DAY_US, local % DAY_US / _MINUTE_US
    if calendar == "KRX":
        from quantkit.market.calendar import hours

        close = hours(np.clip(date, -7_000, 25_500).astype("datetime64[D]"))[1]  # within the calendar's years
        date = date - (minute < close)
    elif calendar == "US":
        date = date - (minute < _US_CUT)
    out = day.copy()
    out[timed] = date
    return out


def _new_york(moment: IntArray) -> IntArray:
    """Wall clock of New York in microseconds."""
    import pandas as pd

    stamps = pd.DatetimeIndex(moment.astype("datetime64[us]")).tz_localize("UTC").tz_convert("America/New_York")
    return np.asarray(stamps.tz_localize(None).to_numpy().astype("datetime64[us]").astype(np.int64))


def _shifted(day: IntArray, calendar: str, lag: int) -> IntArray:
    """`lag` sessions later; in a market without a calendar every day is one."""
    if not lag or not len(day):
        return day
    if calendar == "NONE":
        return day + lag
    known = _sessions(calendar)
    at = np.searchsorted(known, day, side="right") + lag - 1
    if int(at.max()) >= len(known):
        at = np.minimum(at, len(known) - 1)
    return known[at]


@cache
def _sessions(calendar: str) -> IntArray:
    """Epoch days of sessions: Korea from 1990 to 2027, US as far as the public calendar goes."""
    from quantkit.market.calendar import public_calendar, sessions

    if calendar == "KRX":
        return sessions("1990-01-01", "2027-12-31").astype(np.int64)
    days = public_calendar("XNYS", start="1980-01-01").sessions.to_numpy()
    return np.asarray(days.astype("datetime64[D]").astype(np.int64))


def check_name(name: str) -> str:
    """A name as features carry it: lower case, `_` for spaces and hyphens. BadData for one that cannot be asked for."""
    plain = "_".join(str(name).strip().casefold().replace("-", " ").split())
    if not plain.isidentifier():
        raise BadData(
            f"feature name {name!r}: write letters, digits and _, not a digit first, so that queries can use it"
        )
    if plain in RESERVED:
        raise BadData(f"feature name {name!r} is that of a column of the bars; rename it, for example {plain}_reported")
    return plain


RESERVED = ("symbol", "name", "market", "listed_days", "open", "high", "low", "close", "volume", "value")
