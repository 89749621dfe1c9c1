"""Instruments by date: market and name of a symbol on each day, listing, delisting, liquidation, leverage, and what an
ELW is a right to.

Contract: in memory one `Instrument` a symbol; on disk one row per stretch of equal market and name, `from` and `to`
being the first and last day it was seen. Days are epoch days, None where unknown. What bars say (market and name
columns) and what a user states (`lake.ingest(frame, table="instruments")`) meet here; a later statement replaces an
earlier one of the same days. Called by `landing` and `lake`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from quantkit.data.dates import epoch_day
from quantkit.data.rows import Rows, session_days
from quantkit.data.tables import Table, table_schema
from quantkit.errors import BadData
from quantkit.market import MARKETS

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    import pyarrow as pa

DATES = ("listing", "delisting", "liquidation_from", "liquidation_to")
NUMBERS = ("leverage", "strike", "barrier")
TEXTS = ("underlying", "warrant")
_SAME = (*DATES, *NUMBERS, *TEXTS)  # one value a symbol, whatever the day
_ALIASES = {
    "listing_date": "listing", "상장일": "listing", "delisting_date": "delisting", "상장폐지일": "delisting",
    "폐지일": "delisting", "liquidation_start": "liquidation_from", "liquidation_end": "liquidation_to",
    "start": "from", "end": "to", "listingdate": "listing", "delistingdate": "delisting",
}  # fmt: skip


@dataclass(slots=True)
class Run:
    """A stretch of days with one market and name."""

    first: int
    last: int
    market: str | None
    name: str | None


@dataclass(slots=True)
class Instrument:
    """What is known of a symbol."""

    runs: list[Run] = field(default_factory=list)
    listing: int | None = None
    delisting: int | None = None
    liquidation_from: int | None = None
    liquidation_to: int | None = None
    leverage: float | None = None
    strike: float | None = None  # as are the four below: of an ELW
    barrier: float | None = None  # of the underlying, where it ends early
    underlying: str | None = None  # its code; several joined by commas
    warrant: str | None = None  # call, put or other

    def observe(self, first: int, last: int, market: str | None, name: str | None) -> None:
        """From `first` to `last` the symbol had this market and name; None: not said."""
        around = [run for run in self.runs if run.first <= first <= run.last] or self.runs[-1:]
        if around:
            market, name = market or around[0].market, name or around[0].name
        kept: list[Run] = []
        for run in self.runs:
            if run.last < first or run.first > last:
                kept.append(run)
                continue
            if run.first < first:
                kept.append(Run(run.first, first - 1, run.market, run.name))
            if run.last > last:
                kept.append(Run(last + 1, run.last, run.market, run.name))
        kept.append(Run(first, last, market, name))
        kept.sort(key=lambda run: run.first)
        self.runs = kept[:1]
        for run in kept[1:]:
            before = self.runs[-1]
            if (run.market, run.name) == (before.market, before.name):
                before.last = run.last
            else:
                self.runs.append(run)

    @property
    def market(self) -> str | None:
        """The latest market said."""
        return next((run.market for run in reversed(self.runs) if run.market), None)

    @property
    def name(self) -> str | None:
        """The latest name said."""
        return next((run.name for run in reversed(self.runs) if run.name), None)

    def market_on(self, day: int) -> str | None:
        """Market on a day: of the last run begun by then, else of the first."""
        begun = [run.market for run in self.runs if run.first <= day and run.market]
        return begun[-1] if begun else next((run.market for run in self.runs if run.market), None)


class Instruments(dict[str, Instrument]):
    """Symbol to what is known of it."""

    @classmethod
    def load(cls, table: Table, version: int | None = None) -> Instruments:
        """Read the side table."""
        import pyarrow as pa

        found = cls()
        content = table.read(version)
        for place, column in enumerate(content.schema):
            if pa.types.is_date32(column.type):  # as epoch days: quicker than dates
                content = content.set_column(place, column.name, content[column.name].cast(pa.int32()))
        for row in content.to_pylist():
            one = found.setdefault(row["symbol"], Instrument())
            if row["from"] is not None:
                last = row["from"] if row["to"] is None else row["to"]
                one.runs.append(Run(row["from"], last, row["market"], row["name"]))
            for name in _SAME:
                if row[name] is not None:
                    setattr(one, name, row[name])
        for one in found.values():
            one.runs.sort(key=lambda run: run.first)
        return found

    def content(self) -> pa.Table:
        """As the side table stores it, sorted."""
        import pyarrow as pa

        schema = table_schema("instruments")
        columns: dict[str, list[Any]] = {name: [] for name in schema.names}
        for symbol in sorted(self):
            one = self[symbol]
            same = {"symbol": symbol, **{name: getattr(one, name) for name in _SAME}}
            runs = [{"from": run.first, "to": run.last, "market": run.market, "name": run.name} for run in one.runs]
            for stretch in runs or [dict.fromkeys(("from", "to", "market", "name"))]:
                values = {**same, **stretch}
                for name, value in values.items():
                    columns[name].append(value)
        arrays = []
        for column in schema:
            if pa.types.is_date32(column.type):
                arrays.append(pa.array(columns[column.name], pa.int32()).cast(pa.date32()))
            else:
                arrays.append(pa.array(columns[column.name], column.type))
        return pa.Table.from_arrays(arrays, schema=schema)

    def observe(self, rows: Rows, freq: str) -> None:
        """Take market and name from sorted bars."""
        if not len(rows):
            return
        code, market, name = rows.symbol.codes, rows.market, rows.name.codes
        changed = np.ones(len(rows), dtype=bool)
        changed[1:] = (code[1:] != code[:-1]) | (market[1:] != market[:-1]) | (name[1:] != name[:-1])
        starts = np.flatnonzero(changed)
        stops = np.append(starts[1:], len(rows)) - 1
        days = session_days(rows.time, freq)
        for begin, end in zip(starts.tolist(), stops.tolist(), strict=True):
            said_market = MARKETS[market[begin]] if market[begin] >= 0 else None
            said_name = rows.name.names[name[begin]] if name[begin] >= 0 else None
            if said_market or said_name:
                one = self.setdefault(rows.symbol.names[code[begin]], Instrument())
                one.observe(int(days[begin]), int(days[end]), said_market, said_name)

    def state(self, rows: Iterable[Mapping[str, object]]) -> int:
        """Take rows a user states: symbol, and any of market, name, from, to, listing, delisting, ... Gives their
        number."""
        from quantkit.data.ingest import clean_symbol, market_label

        count = 0
        for number, given in enumerate(rows, start=1):
            row = {
                _ALIASES.get(str(key).strip().lower(), str(key).strip().lower()): value for key, value in given.items()
            }
            symbol = row.get("symbol")
            if not isinstance(symbol, str) or not symbol:
                raise BadData(f"instruments row {number}: symbol {symbol!r} is not a code such as '005930' (text)")
            one = self.setdefault(clean_symbol(symbol), Instrument())
            where = f"instruments row {number} ({symbol})"
            for name in DATES:
                if not _blank(row.get(name)):
                    setattr(one, name, epoch_day(row[name], what=f"{where}: {name}"))
            for name in NUMBERS:
                if not _blank(row.get(name)):
                    setattr(one, name, _number(row[name], f"{where}: {name}"))
            for name in TEXTS:
                if not _blank(row.get(name)):
                    setattr(one, name, str(row[name]))
            market = None if _blank(row.get("market")) else market_label(str(row["market"]), where)
            name_said = None if _blank(row.get("name")) else str(row["name"])
            if market or name_said:
                self._state_run(one, row, market, name_said, where)
            count += 1
        return count

    @staticmethod
    def _state_run(
        one: Instrument, row: Mapping[str, object], market: str | None, name: str | None, where: str
    ) -> None:
        """Without dates a statement holds for every day already seen, else from the listing on."""
        first = one.runs[0].first if one.runs else one.listing or 0
        last = one.runs[-1].last if one.runs else first
        if not _blank(row.get("from")):
            first = epoch_day(row["from"], what=f"{where}: from")
            last = max(first, last)
        if not _blank(row.get("to")):
            last = epoch_day(row["to"], what=f"{where}: to")
        if last < first:
            raise BadData(f"{where}: to is before from")
        one.observe(first, last, market, name)


def _number(value: object, what: str) -> float:
    try:
        return float(str(value))
    except ValueError:
        raise BadData(f"{what} {value!r} is no number") from None


def _blank(value: object) -> bool:
    return value is None or value != value or str(value) in ("", "NaT", "<NA>", "None")
