"""What KIS's rows are in the lake, and what the lake has already.

Contract: pure but for the lake.
"""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Final

from quantkit.data.landing import IngestReport
from quantkit.data.reference import DATES, Instrument, Instruments
from quantkit.data.tables import Table

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from quantkit.brokers.kis.masters import Listed
    from quantkit.brokers.kis.quotes import Day
    from quantkit.data.lake import Lake
    from quantkit.trading.ports import Candle

EPOCH: Final = dt.date(1970, 1, 1)
_SEOUL_US, _DAY_US = 9 * 3_600_000_000, 86_400_000_000


def minute_row(candle: Candle) -> dict[str, object]:
    """A bar of a minute as a row to land. A value that its shares cannot have cost is left out."""
    import pandas as pd

    value = candle.value
    fits = value is not None and candle.low * candle.volume <= value <= candle.high * candle.volume
    return {
        "symbol": candle.symbol, "date": pd.Timestamp(candle.close_time, unit="ns", tz="UTC"), "open": candle.open,
        "high": candle.high, "low": candle.low, "close": candle.close, "volume": float(candle.volume),
        "value": value if fits else None,
    }  # fmt: skip


def day_row(symbol: str, row: Day) -> dict[str, object]:
    """A row of the daily chart as a row to land."""
    return {
        "symbol": symbol, "date": row.date.isoformat(), "open": row.open, "high": row.high, "low": row.low,
        "close": row.close, "volume": float(row.volume), "value": float(row.value),
    }  # fmt: skip


def prices_of(row: Day) -> tuple[float, ...]:
    """Its four prices."""
    return row.open, row.high, row.low, row.close


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


def known_markets(lake: Lake, symbols: Sequence[str]) -> dict[str, str]:
    """Markets of names, as far as the lake knows them."""
    known = Instruments.load(Table(lake.path / "instruments"))
    return {symbol: said.market for symbol in symbols if (said := known.get(symbol)) is not None and said.market}


def state_names(lake: Lake, listed: Iterable[Listed], today: dt.date) -> IngestReport:
    """State what master files say of names, as far as the lake does not know it: what was otherwise before stays so."""
    import pandas as pd

    known = Instruments.load(Table(lake.path / "instruments"))
    rows: list[dict[str, object]] = []
    for one in listed:
        said = known.get(one.symbol)
        fresh: dict[str, object] = {
            name: value for name, value in _facts(one).items() if said is None or _known(said, name) != value
        }
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


def _facts(one: Listed) -> dict[str, object]:
    """What holds for all days of a name, as far as it is told. An ELW is not listed any more after its last day of
    trading; what it pays then is not known."""
    terms = one.warrant
    found: dict[str, object] = {"listing": one.listing}
    if terms is not None:
        found |= {
            "delisting": None if terms.last_day is None else terms.last_day + dt.timedelta(days=1),
            "underlying": ",".join(terms.underlyings), "warrant": terms.right, "strike": terms.strike,
            "barrier": terms.barrier,
        }  # fmt: skip
    return {
        name: value.isoformat() if isinstance(value, dt.date) else value
        for name, value in found.items()
        if value not in (None, "")
    }


def _known(said: Instrument, name: str) -> object:
    """The same as the lake has it."""
    value = getattr(said, name)
    return (EPOCH + dt.timedelta(days=value)).isoformat() if name in DATES and value is not None else value
