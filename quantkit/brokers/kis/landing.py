"""What KIS's rows are in the lake, and what the lake has already.

Contract: pure but for the lake. Bars of the lake are stamped with their end, KIS's minutes with their start.
"""

from __future__ import annotations

import datetime as dt
from itertools import groupby
from typing import TYPE_CHECKING, Final

from quantkit.brokers.kis.charts import MINUTE
from quantkit.data.landing import IngestReport
from quantkit.data.reference import Instruments
from quantkit.data.tables import Table

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from quantkit.brokers.kis.masters import Listed
    from quantkit.brokers.kis.quotes import Day, Minute
    from quantkit.data.lake import Lake

EPOCH: Final = dt.date(1970, 1, 1)
_SEOUL_US, _DAY_US = 9 * 3_600_000_000, 86_400_000_000


def minute_bars(rows: Iterable[Minute], close: int) -> list[dict[str, object]]:
    """Minutes of one session as bars of ours: stamped with their end, none after `close` (UTC nanoseconds), those that
    share an end put together; minutes without a trade left out. `value` is what the running total grew by, None where
    that cannot be what the bar's shares cost."""
    import pandas as pd

    bars: list[dict[str, object]] = []
    before = 0
    ordered = sorted(rows, key=lambda row: row.time)
    for end, group in groupby(ordered, key=lambda row: min(row.time // MINUTE * MINUTE + MINUTE, close)):
        inside = list(group)
        total = inside[-1].value_so_far
        traded = [row for row in inside if row.volume > 0]
        if traded:
            low, high = min(row.low for row in traded), max(row.high for row in traded)
            volume = sum(row.volume for row in traded)
            bars.append({
                "date": pd.Timestamp(end, unit="ns", tz="UTC"), "open": traded[0].open, "high": high, "low": low,
                "close": traded[-1].close, "volume": float(volume),
                "value": float(total - before) if low * volume <= total - before <= high * volume else None,
            })  # fmt: skip
        before = total
    return bars


def day_row(symbol: str, row: Day) -> dict[str, object]:
    return {
        "symbol": symbol, "date": row.date.isoformat(), "open": row.open, "high": row.high, "low": row.low,
        "close": row.close, "volume": float(row.volume), "value": float(row.value),
    }  # fmt: skip


def prices_of(row: Day) -> tuple[float, ...]:
    return row.open, row.high, row.low, row.close


def label(minutes: int) -> str:
    return f"{minutes // 60:02d}{minutes % 60:02d}00"


def stretches(
    lacking: Sequence[dt.date], days: Sequence[dt.date], *, reach: int = 1
) -> list[tuple[dt.date, dt.date]]:  # fmt: skip
    """First and last of each run of days in `days`; runs less than `reach` sessions long, holes included, are one."""
    place = {day: number for number, day in enumerate(days)}
    found: list[tuple[dt.date, dt.date]] = []
    for day in lacking:
        beside = found and place[day] - place[found[-1][1]] == 1
        if found and (beside or place[day] - place[found[-1][0]] < reach):
            found[-1] = (found[-1][0], day)
        else:
            found.append((day, day))
    return found


def stored_days(lake: Lake, freq: str, symbols: Sequence[str]) -> dict[str, set[dt.date]]:
    """Dates in Seoul on which the lake has a row, by name."""
    found: dict[str, set[dt.date]] = {symbol: set() for symbol in symbols}
    if f"bars_{freq}" in lake.tables():
        day = "date - date '1970-01-01'" if freq == "1d" else f"(epoch_us(time) + {_SEOUL_US}) // {_DAY_US}"
        named = ", ".join(f"'{symbol}'" for symbol in symbols)
        query = f"select symbol, {day} from bars_{freq} where symbol in ({named}) group by all"
        for symbol, number in lake.query(query).fetchall():
            found[symbol].add(EPOCH + dt.timedelta(days=number))
    return found


def state_names(lake: Lake, listed: Iterable[Listed], today: dt.date) -> IngestReport:
    """State what master files say of names, as far as the lake does not know it: what was otherwise before stays so."""
    import pandas as pd

    known = Instruments.load(Table(lake.path / "instruments"))
    rows: list[dict[str, object]] = []
    for one in listed:
        said = known.get(one.symbol)
        fresh: dict[str, object] = {}
        if one.listing is not None and (said is None or said.listing != (one.listing - EPOCH).days):
            fresh["listing"] = one.listing.isoformat()
        now = {name: getattr(one, name) for name in ("market", "name")}
        old = {name: None if said is None else getattr(said, name) for name in now}
        fresh |= {name: value for name, value in now.items() if old[name] != value}
        if any(old[name] is not None for name in fresh if name in old):
            fresh["from"] = today.isoformat()
        if fresh:
            rows.append({"symbol": one.symbol, **fresh})
    if not rows:
        return IngestReport()
    return lake.ingest(pd.DataFrame(rows).astype({"symbol": "str"}), "instruments")
