"""Reading: from a pinned version and a query to `Bars`, by way of the panel, the side tables and the cache.

Contract: nothing here writes a table. The answer depends on the pinned versions and the query alone. Called by `lake`
when the column cache has no answer.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, lru_cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from quantkit.data.bars import Bars, midnights
from quantkit.data.carry import FIRST_DAY, LIQUIDATION, LISTED, MEMBER
from quantkit.data.dates import day_text, is_intraday
from quantkit.data.features import known_matrix
from quantkit.data.lake import TableInfo, cached_bars, features_at, version_text
from quantkit.data.panel import Panel
from quantkit.data.reference import Instrument, Instruments
from quantkit.data.rows import DAY_US, OPTIONAL, REQUIRED, SEOUL_US, session_days
from quantkit.data.sideactions import stored_actions
from quantkit.data.tables import BARS, Table, frequency, partition_column
from quantkit.data.versions import Parts, SymbolSpan, check_symbols, open_parts
from quantkit.errors import BadData
from quantkit.market import MARKETS

if TYPE_CHECKING:
    from collections.abc import Sequence

    import duckdb

    from quantkit.data.cache import ColumnCache
    from quantkit.data.carry import Carry
    from quantkit.data.features import Features

IntArray = NDArray[np.int64]


class Query(NamedTuple):
    """What was asked; days are epoch days, both included."""

    symbols: tuple[str, ...] | None
    first: int
    last: int
    table: str
    pinned: dict[str, int]
    universe: str | list[str] | None


class Facts(NamedTuple):
    """What a panel says of a symbol beside its prices; `runs` (first day, market) only where the market changed."""

    market: str
    name: str | None
    leverage: float
    adjusted: bool
    calendar: str
    runs: tuple[tuple[int, str], ...]


@dataclass
class Context:
    """The pinned tables, opened."""

    parts: Parts
    spans: dict[str, SymbolSpan]
    instruments: Instruments
    actions: list[dict[str, Any]]

    @property
    def freq(self) -> str:
        """Frequency of the bars table."""
        return self.parts.freq

    @cached_property
    def facts(self) -> dict[str, Facts]:
        """Facts of every symbol."""
        found = {}
        for symbol, span in self.spans.items():
            known = self.instruments.get(symbol) or Instrument()
            runs = tuple((run.first, run.market) for run in known.runs if run.market)
            found[symbol] = Facts(
                known.market or _stored_market(self, symbol),
                known.name,
                known.leverage or 1.0,
                span.adjusted,
                span.calendar,
                runs if len({market for _, market in runs}) > 1 else (),
            )
        return found


def open_context(root: Path, query: Query) -> Context:
    """Open what a query pins."""
    pinned = query.pinned
    return _context(str(root), query.table, pinned[query.table], pinned["instruments"], pinned["actions"])


@lru_cache(maxsize=4)
def _context(root: str, table: str, bars: int, instruments: int, actions: int) -> Context:
    """Kept: versions never change."""
    lake = Path(root)
    parts = open_parts(str(lake / table), bars, str(lake / "cache" / "days" / table))
    known = Instruments.load(Table(lake / "instruments"), instruments)
    return Context(parts, parts.summary(), known, stored_actions(Table(lake / "actions"), actions))


def read(root: Path, query: Query, cache: ColumnCache, key: str) -> Bars:
    """Answer a query from the tables, and leave the answer in the cache."""
    context = open_context(root, query)
    symbols, times = axes(context, query)
    actions = actions_of(context, symbols)
    panel = make_panel(context, symbols, times, actions)
    if not (panel.flags & LISTED).any():
        raise BadData(f"{', '.join(symbols[:3])}: no bar between {_day(query.first)} and {_day(query.last)}")
    if query.universe is not None:
        set_members(context, panel, query)
    meta = facts_of(context, panel.symbols, times, query, actions)
    days = session_days(times, context.freq)
    stamps = midnights(times) if context.freq == "1d" else times
    cache.store(key, meta, {"times": stamps, "days": days, "flags": panel.flags})
    if cache.meta(key) is None:  # the cache cannot be written: answer from memory
        return _uncached(meta, panel, stamps, days, features_at(root, query.pinned))
    return cached_bars(cache, key, meta, query.pinned, panel.field)


def axes(context: Context, query: Query) -> tuple[tuple[str, ...], IntArray]:
    """Symbols and times of an answer; BadData when there is nothing."""
    start, stop = bounds(query.first, query.last, context.freq)
    symbols = query.symbols or _all_symbols(context.parts, start, stop)
    check_symbols(symbols, context.spans, query.table)
    times = context.parts.times({context.spans[symbol].group for symbol in symbols}, start, stop)
    if not len(symbols) or not len(times):
        raise BadData(f"{query.table} has no bar between {_day(query.first)} and {_day(query.last)}{_holds(context)}")
    return symbols, times


def _uncached(meta: dict[str, Any], panel: Panel, stamps: IntArray, days: IntArray, features: Features) -> Bars:
    given = {
        name: meta[name]
        for name in ("actions", "markets", "names", "prices", "freq", "version", "source", "minor_unit")
    }
    return Bars(
        times=stamps, days=days, symbols=panel.symbols, flags=panel.flags, leverage=np.array(meta["leverage"]),
        fields={name: partial(panel.field, name) for name in meta["fields"]},
        market_changes=[tuple(row) for row in meta["market_changes"]], features=features, **given,
    )  # fmt: skip


def bounds(first: int, last: int, freq: str) -> tuple[int, int]:
    """First and last time of the table that lie on these Seoul days."""
    if freq == "1d":
        return first, last
    return first * DAY_US - SEOUL_US, (last + 1) * DAY_US - SEOUL_US - 1


def make_panel(
    context: Context,
    symbols: Sequence[str],
    times: IntArray,
    actions: list[dict[str, Any]],
    before: Carry | None = None,
    *,
    kind: type[Panel] = Panel,
) -> Panel:
    """The matrices of these symbols and times, with what instruments say of listings, delistings and liquidations."""
    from quantkit.data.actions import make_actions

    stops, liquidations, first_days = {}, {}, {}
    for symbol in symbols:
        known = context.instruments.get(symbol)
        if known is None:
            continue
        first = int(session_days(np.array([context.spans[symbol].first]), context.freq)[0])
        if known.delisting is not None and known.delisting > first:
            stops[symbol] = bounds(known.delisting, known.delisting, context.freq)[0]
        if known.listing == first:  # a later one is that of another market, to which an old name has moved
            first_days[symbol] = bounds(first, first, context.freq)
        if known.liquidation_from is not None and known.liquidation_to is not None:
            liquidations[symbol] = bounds(known.liquidation_from, known.liquidation_to, context.freq)
    return kind(
        context.parts,
        symbols,
        times,
        context.spans,
        stop_times=stops,
        marks={LIQUIDATION: liquidations, FIRST_DAY: first_days},
        actions=make_actions(actions),
        before=before,
    )


def actions_of(context: Context, symbols: Sequence[str]) -> list[dict[str, Any]]:
    """Actions after each symbol's first stored bar; none for adjusted prices, which carry them already."""
    wanted = set(symbols)
    kept = []
    for action in context.actions:
        symbol = action["symbol"]
        if symbol in wanted and not context.spans[symbol].adjusted:
            first = session_days(np.array([context.spans[symbol].first]), context.freq)[0]
            if action["ex_date"] > day_text(int(first)):
                kept.append(action)
    return kept


def set_members(context: Context, panel: Panel, query: Query) -> None:
    """Step MEMBER of the flags: a list of symbols, or a condition judged bar by bar on what was known before."""
    from quantkit.data.universe import columns_of, members

    listed = (panel.flags & LISTED) != 0
    if isinstance(query.universe, list):
        check_symbols(query.universe, context.spans, query.table)
        member = listed & np.isin(np.array(panel.symbols), query.universe)
    else:
        condition = str(query.universe)
        features = features_at(context.parts.table.folder.parent, query.pinned)
        _, reach = columns_of(condition, features)
        groups = {context.spans[symbol].group for symbol in panel.symbols}
        every = context.parts.times(groups, np.iinfo(np.int64).min, int(panel.times[-1]))
        begin = int(np.searchsorted(every, panel.times[0]))
        times = every[max(0, begin - reach) :]
        wide = make_panel(context, panel.symbols, times, actions_of(context, panel.symbols))
        firsts = np.array([context.spans[symbol].first for symbol in panel.symbols])
        met = members(
            condition,
            symbols=panel.symbols,
            days=session_days(times, context.freq),
            flags=wide.flags,
            field=lambda name: _number(wide, context, name, features),
            features=features,
            feature=lambda name: _feature(wide, context, features, name),
            listed_before=np.maximum(np.searchsorted(every, times[0]) - np.searchsorted(every, firsts), 0),
            names={symbol: one.name for symbol, one in context.instruments.items() if one.name},
            markets=lambda symbol, days: market_by_day(context, symbol, days),
        )
        member = met[len(times) - len(panel.times) :]
    panel.flags = (panel.flags & np.uint8(255 - MEMBER)) | (member & listed).astype(np.uint8) * np.uint8(MEMBER)


def _feature(panel: Panel, context: Context, features: Features, name: str) -> NDArray[np.float64]:
    """A feature as known at each time of a panel."""
    return known_matrix(
        features.rows(name, panel.symbols),
        symbols=panel.symbols,
        markets=[context.facts[symbol].market for symbol in panel.symbols],
        days=session_days(panel.times, context.freq),
        times=panel.times if is_intraday(context.freq) else None,
    )


def _number(panel: Panel, context: Context, name: str, features: Features) -> NDArray[np.float64]:
    """A numeric column of the universe; value falls back to close x volume, the others must be stored."""
    if name == "value" and "value" not in context.parts.present:
        return panel.close() * panel.field("volume")
    if name not in REQUIRED and name not in context.parts.present:
        if name in features:
            return _feature(panel, context, features, name)
        raise BadData(f"universe: {name} is not stored; ingest data that has it, or leave it out of the condition")
    return panel.field(name)


def market_by_day(context: Context, symbol: str, days: IntArray) -> list[str | None]:
    """Market of a symbol on each day."""
    known = context.instruments.get(symbol)
    if known is None or not known.market:
        return [_stored_market(context, symbol)] * len(days)
    if len({run.market for run in known.runs}) == 1:
        return [known.market] * len(days)
    return [known.market_on(int(day)) for day in days.tolist()]


def _stored_market(context: Context, symbol: str) -> str:
    market = context.spans[symbol].market
    return MARKETS[market] if market >= 0 else "KOSPI"


def _all_symbols(parts: Parts, start: int, stop: int) -> tuple[str, ...]:
    """Every symbol that has a row in the window, as far as the indexes tell."""
    found: set[str] = set()
    for part in parts.within(start, stop):
        index = part.index
        inside = (index.first <= stop) & (index.last >= start)
        found.update(index.symbols[place] for place in np.flatnonzero(inside).tolist())
    return tuple(sorted(found))


def facts_of(
    context: Context, symbols: Sequence[str], times: IntArray, query: Query, actions: list[dict[str, Any]]
) -> dict[str, Any]:
    """The small facts of an answer, as the cache keeps them."""
    facts = [context.facts[symbol] for symbol in symbols]
    adjusted = {one.adjusted for one in facts}
    if len(adjusted) == 2:
        raise BadData("some of these symbols have raw prices and some adjusted ones; ask for them separately")
    day = int(session_days(times[-1:], context.freq)[0])
    markets = [one.market for one in facts]
    changes = []
    for place, (symbol, one) in enumerate(zip(symbols, facts, strict=True)):
        if one.runs:
            begun = [(first, symbol, market) for first, market in one.runs if first <= day]
            changes += begun
            markets[place] = begun[-1][2] if begun else one.runs[0][1]
    stored = [name for name in (*REQUIRED, *OPTIONAL) if name in context.parts.present or name in REQUIRED]
    return {
        "symbols": list(symbols), "fields": stored, "actions": actions, "markets": markets,
        "market_changes": changes, "leverage": [one.leverage for one in facts],
        "names": {symbol: one.name for symbol, one in zip(symbols, facts, strict=True) if one.name},
        "prices": "adjusted" if adjusted == {True} else "raw", "freq": context.freq,
        "version": version_text(query.pinned), "source": str(context.parts.table.folder.parent),
        "minor_unit": 100 if {one.calendar for one in facts} == {"US"} else 1,
    }  # fmt: skip


def _day(day: int) -> str:
    return "the beginning" if day < -1_000_000 else "the end" if day > 1_000_000 else day_text(day)


def _holds(context: Context) -> str:
    if not context.spans:
        return "; it is empty"
    first = min(span.first for span in context.spans.values())
    last = max(span.last for span in context.spans.values())
    days = session_days(np.array([first, last]), context.freq)
    return f"; it holds {day_text(int(days[0]))} to {day_text(int(days[1]))}"


def table_info(root: Path, name: str) -> TableInfo:
    """Size and span of a table's newest version."""
    table = Table(root / name)
    version = table.version or 0
    size = sum(file.size for file in table.files(version))
    if not BARS.match(name):
        content = table.read(version)
        symbols = len(set(content["symbol"].to_pylist())) if "symbol" in content.column_names else 0
        return TableInfo(name, version, content.num_rows, symbols, None, None, size)
    spans = Parts(table, version).summary()
    if not spans:
        return TableInfo(name, version, 0, 0, None, None, size)
    ends = np.array([min(one.first for one in spans.values()), max(one.last for one in spans.values())])
    days = session_days(ends, frequency(name)).tolist()
    rows = sum(one.rows for one in spans.values())
    return TableInfo(name, version, rows, len(spans), day_text(days[0]), day_text(days[1]), size)


def connect(root: Path, tables: Sequence[str], version: int | None) -> duckdb.DuckDBPyConnection:
    """A DuckDB connection with one view a table, over exactly the files of the version."""
    import duckdb

    connection = duckdb.connect()
    for name in tables:
        table = Table(root / name)
        number = version if version is not None and BARS.match(name) else table.version
        if number is None:
            continue
        paths = [str(table.folder / file.path).replace("'", "''") for file in table.files(number)]
        hive = "true" if partition_column(name) else "false"
        if paths:
            listed = ", ".join(f"'{path}'" for path in paths)
            reader = f"read_parquet([{listed}], hive_partitioning={hive}, union_by_name=true)"
            connection.sql(f'create view "{name}" as select * from {reader}')
        else:
            connection.register(name, table.read(number))
    return connection
