"""Dates and times of a frame's rows, as integers: which bar each row belongs to, and whether the bars are daily.

Contract: `Stamps.times` are UTC microseconds of the bars' close (daily: the date at 00:00 Seoul), increasing and
unique; `Stamps.codes` gives each row's position in them. A daily frame may be naive; stamps within the day need one
zone, the same in every row. Only unique stamps are parsed, so text dates cost little.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from quantkit.data.dates import DAY_US, SEOUL_US, midnights
from quantkit.errors import BadData, ConfigError

if TYPE_CHECKING:
    import pandas as pd

IntArray = NDArray[np.int64]
_COMPACT = r"^(\d{4})(\d{2})(\d{2})$"
_SLASHED = r"^(\d{4})[/.](\d{2})[/.](\d{2})"


class Stamps(NamedTuple):
    """Bars of a frame: `times` and `days` (T,), `codes` (rows,) into them, and the frequency."""

    times: IntArray
    days: IntArray
    codes: IntArray
    freq: str

    def text(self, bar: int) -> str:
        """How a message calls a bar: its date, or date and time in Seoul."""
        unit: Literal["D", "s"] = "D" if self.freq == "1d" else "s"
        return str((self.times[bar] + SEOUL_US).astype("datetime64[us]").astype(f"datetime64[{unit}]"))


def read_stamps(
    column: pd.Series,
    *,
    freq: str | None = None,
    stamp: Literal["close", "open"] = "close",
    us: bool = False,
    zone: str | None = None,
    source: str,
) -> Stamps:
    """Read a date column. BadData names the row.

    us: sessions are dated in New York instead of Seoul. zone: where the clock of stamps without a zone hangs.
    """
    import pandas as pd

    codes, unique = pd.factorize(column)
    if (codes < 0).any():
        raise BadData(f"{source} row {int(np.argmax(codes < 0))}: the date is missing")
    parsed = _parsed(unique, source)
    local = local_us(parsed)
    daily = bool((local % DAY_US == 0).all())
    if not daily and parsed.tz is not None:  # a Korean date written in another zone, as databases do
        seoul = local_us(parsed.tz_convert("Asia/Seoul"))
        daily = bool((seoul % DAY_US == 0).all())
        local = seoul if daily else local
    if daily and freq in (None, "1d"):
        order, ranks = _ranked(local // DAY_US)
        return Stamps(midnights(order), order, ranks[codes], "1d")
    if parsed.tz is None and zone is not None:
        check_zone(zone)
        parsed = localized(parsed, zone, source)
    if parsed.tz is None:
        first = parsed[int(np.argmax(local % DAY_US != 0))]
        raise BadData(
            f"{source}: {first} has a time of day but no time zone; say which, for example "
            f'zone="Asia/Seoul" (`quantkit data ingest --zone Asia/Seoul`), or pass dates only for daily bars'
        )
    order, ranks = _ranked(local_us(parsed.tz_convert("UTC")))
    freq = freq or _usual_step(order)
    if stamp == "open":
        order = order + step_us(freq)
    home = "America/New_York" if us else "Asia/Seoul"
    days = local_us(pd.DatetimeIndex(order.astype("datetime64[us]")).tz_localize("UTC").tz_convert(home)) // DAY_US
    return Stamps(order, days, ranks[codes], freq)


def check_zone(zone: str) -> None:
    """ConfigError for a time zone that is none."""
    from zoneinfo import ZoneInfo

    try:
        ZoneInfo(zone)
    except (KeyError, ValueError, OSError):
        raise ConfigError(f'zone={zone!r}: no time zone is called so; write for example "Asia/Seoul"') from None


def localized(index: pd.DatetimeIndex, zone: str, source: str) -> pd.DatetimeIndex:
    """Wall-clock stamps in their zone. BadData for a time that the zone's clock showed twice or never."""
    try:
        return index.tz_localize(zone)
    except ValueError as error:
        raise BadData(f"{source}: {_first_sentence(error)} in {zone}; write the stamps with their offset") from None


def step_us(freq: str) -> int:
    """Microseconds of an intraday frequency such as "30s", "5m", "1h"; 0 for "1d" and coarser, and for bars of ticks
    ("100t"), which have no length."""
    unit = {"s": 1_000_000, "m": 60_000_000, "h": 3_600_000_000}.get(freq[-1:], 0)
    if not freq[:-1].isdigit() or int(freq[:-1]) < 1 or (unit == 0 and freq[-1:] not in ("d", "w", "M", "t")):
        raise BadData(f'frequency {freq!r} is not known; write "30s", "5m", "1h", "100t", "1d", "1w" or "1M"')
    return int(freq[:-1]) * unit


def _parsed(unique: object, source: str) -> pd.DatetimeIndex:
    """Unique stamps as datetimes, naive or of one zone."""
    import pandas as pd

    index = pd.Index(unique)  # type: ignore[call-overload]
    if isinstance(index, pd.DatetimeIndex):
        return index
    if pd.api.types.is_integer_dtype(index.dtype):
        index = index.astype("str")
    zones = {str(value.tzinfo) for value in index if getattr(value, "tzinfo", None) is not None}
    if len(zones) > 1 or (zones and any(getattr(value, "tzinfo", None) is None for value in index)):
        raise BadData(
            f"{source}: dates mix time zones ({', '.join(sorted(zones))}); convert all to one with tz_convert"
        )
    texts = index.dtype != object
    if texts:
        plain = pd.Series(index.astype("str"))
        plain = plain.str.replace(_COMPACT, r"\1-\2-\3", regex=True).str.replace(_SLASHED, r"\1-\2-\3", regex=True)
        index = pd.Index(plain)
    try:
        return pd.DatetimeIndex(pd.to_datetime(index, format="ISO8601" if texts else None))
    except (ValueError, TypeError, OverflowError) as error:
        if "utc" in str(error).lower() or "mixed timezones" in str(error).lower():
            raise BadData(f"{source}: dates mix time zones; convert all to one with tz_convert") from None
        raise BadData(
            f"{source}: dates cannot be read ({_first_sentence(error)}); write them like 2024-01-31"
        ) from None


def _first_sentence(error: Exception) -> str:
    return str(error).partition("\n")[0].partition(". ")[0].rstrip(".")


def local_us(index: pd.DatetimeIndex) -> IntArray:
    """Microseconds since 1970 of the wall clock."""
    naive = index.tz_localize(None) if index.tz is not None else index
    return naive.to_numpy().astype("datetime64[us]").astype(np.int64)


def _ranked(values: IntArray) -> tuple[IntArray, IntArray]:
    """Sorted unique values, and the position in them of each given one."""
    order, ranks = np.unique(values, return_inverse=True)
    return order, ranks.astype(np.int64)


def _usual_step(times: IntArray) -> str:
    """The most frequent distance of neighbouring bars, as text."""
    if len(times) < 2:
        return "1m"
    steps, counts = np.unique(np.diff(times), return_counts=True)
    seconds = max(1, int(steps[np.argmax(counts)]) // 1_000_000)
    for size, unit in ((3600, "h"), (60, "m")):
        if seconds % size == 0 and seconds < 86_400:
            return f"{seconds // size}{unit}"
    return f"{min(seconds, 86_399)}s"
