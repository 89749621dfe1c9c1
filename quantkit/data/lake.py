"""The lake: price history in Delta tables, checked on the way in, read as `Bars`.

    data/lake/bars_1d/       daily bars, partitioned by year       bars_1m/   minute bars, by month
    data/lake/instruments/   market, name, listing by date         actions/   splits, dividends, ...
    data/lake/features/      what became known at some date: fundamentals, flows, index membership
    data/lake/quarantine/    rows set aside, with the reason       calendar/  sessions
    data/lake/cache/         derived, may be deleted: matrices of answered queries, and by-time copies of the files

Contract: everything stored is raw, as traded, unless ingested as `prices="adjusted"`. Every write is one Delta
commit; a version, once read, reads the same for ever. `bars` pins the versions of the tables it reads and says them
in `Bars.version`, which `bars(version=...)` takes back. A repeated query is answered from the cache and loads neither
DuckDB nor deltalake nor pyarrow. Calls `landing` to write and `panel` to read.

>>> lake = Lake("data/lake")                                               # doctest: +SKIP
>>> lake.ingest("prices/*.csv", market="KOSPI")                            # doctest: +SKIP
>>> bars = lake.bars(["005930", "000660"], start="2015")                   # doctest: +SKIP
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from quantkit.data.bars import Bars
from quantkit.data.cache import LIMIT_BYTES, ColumnCache
from quantkit.data.dates import epoch_day, is_intraday, last_day
from quantkit.data.features import Features
from quantkit.data.stamps import step_us
from quantkit.errors import BadData, ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import duckdb

    from quantkit.data.featurestore import FeatureInfo
    from quantkit.data.landing import IngestReport, Progress
    from quantkit.data.sources import PriceSource
    from quantkit.data.stream import BarStream
    from quantkit.data.survey import Survey

_VERSION = re.compile(r"(\w+)@(-?\d+)")
_FREQ = re.compile(r"[1-9]\d*[smhtdwM]\Z")
_FAR = 4_000_000  # an epoch day after every date


@dataclass(frozen=True, slots=True)
class TableInfo:
    """A line of `quantkit data list`; days are ISO dates, None in side tables."""

    table: str
    version: int
    rows: int
    symbols: int
    first: str | None
    last: str | None
    bytes: int


class Lake:
    """Price history under a folder, created when first written to. `cache_limit` bounds the column cache in bytes."""

    def __init__(self, path: str | Path, *, cache_limit: int = LIMIT_BYTES) -> None:
        self.path = Path(path).expanduser().absolute()  # a later chdir must not move it
        if self.path.exists() and not self.path.is_dir():
            raise ConfigError(f"{self.path} is a file; a lake is a folder")
        self.cache = ColumnCache(self.path / "cache" / "columns", limit_bytes=cache_limit)

    def __repr__(self) -> str:
        return f"Lake({str(self.path)!r})"

    # --- writing --------------------------------------------------------------------------------------------------

    def ingest(
        self,
        source: object,
        table: str = "bars_1d",
        *,
        market: str | None = None,
        prices: Literal["raw", "adjusted"] = "raw",
        symbol: str | None = None,
        stamp: Literal["close", "open"] = "close",
        zone: str | None = None,
        derive_actions: bool = True,
        by_date: bool = True,
        progress: Progress | None = None,
    ) -> IngestReport:
        """Check rows and bring them into a table; see `landing` for the steps and `quality` for the checks.

        source          a path, glob or folder of CSV or Parquet, a DataFrame, an Arrow table, or a list of these;
                        long, or one symbol a file (the code is in the file's name) or frame (`symbol=`).
        market          market of every row, where no column or earlier row says it; needed for other than Korean codes.
        prices          "adjusted" if splits are already worked into the prices; not to be mixed with raw ones.
        stamp           what intraday stamps mean: the bar's "close" or its "open".
        zone            time zone of intraday stamps that carry none, such as "Asia/Seoul".
        derive_actions  read corporate actions off a column of base prices; kind "unknown", to be named by you.
        by_date         keep a copy sorted by time, which makes the cross-section of a day cheap and doubles the disk.

        Tables "instruments" and "actions" take what you state, "features" is `ingest_features`.
        """
        from quantkit.data import landing
        from quantkit.data.ingest import Options
        from quantkit.data.tables import SIDE_TABLES, frequency

        if table == "features":
            return self.ingest_features(source, symbol=symbol, progress=progress)
        if table in SIDE_TABLES:
            return landing.land_side_table(self.path, table, source)
        options = Options(frequency(table), market, prices, symbol, stamp, zone)
        folder = self._days_folder(table) if by_date else None
        report = landing.Landing(self.path, table, options, days_folder=folder, progress=progress).run(source)
        if table == "bars_1d":
            landing.write_calendar(self.path)
        if derive_actions and table == "bars_1d" and prices == "raw":
            report = replace(report, actions=landing.derive_actions(self.path))
        return report

    def ingest_features(
        self,
        source: object,
        *,
        name: str | None = None,
        symbol: str | None = None,
        as_of: str | None = None,
        blank: Literal["clear", "skip"] = "clear",
        progress: Progress | None = None,
    ) -> IngestReport:
        """Bring in what became known at some date, for `bars.feature(name)` and universe queries; see `features`.

        source  as of `ingest`. Long: symbol, as_of, [period], name, value. Wide: symbol, as_of, [period] and a column
                for each feature. `as_of` is the day, or the moment with a zone, on which a number became known; a table
                without it is refused. Several rows of one period are its restatements; all are kept.
        name    of the feature, where the table has one and does not name it.
        symbol  of every row, where no column says it; "*": it holds for every symbol.
        as_of   the column that says it, where its name does not: `as_of="date"`.
        blank   an empty cell says that there is no value any more ("clear"), or says nothing ("skip").
        """
        from quantkit.data.featurerows import How
        from quantkit.data.featurestore import land_features

        return land_features(self.path, source, How(name, symbol, as_of, blank), progress=progress)

    def download(
        self, source: PriceSource, symbols: Sequence[str], *, start: object, end: object, **options: Any
    ) -> IngestReport:
        """Fetch symbols through a download port (`sources`) and ingest them; options as for `ingest`."""
        from quantkit.data.sources import fetch_frames

        return self.ingest(fetch_frames(source, symbols, start=start, end=end), prices=source.prices, **options)

    # --- reading --------------------------------------------------------------------------------------------------

    def bars(
        self,
        symbols: Sequence[str] | str | None = None,
        start: object = None,
        end: object = None,
        freq: str = "1d",
        version: int | str | None = None,
        *,
        universe: str | Sequence[str] | None = None,
    ) -> Bars:
        """Bars of symbols (None: every symbol with a row in the window), from `start` to `end`, both included.

        freq      "1d", "5m", ...: a stored table, or the coarser bars of a finer one.
        version   a number pins the bars table, the text of an earlier `Bars.version` pins every table; None: newest.
                  Features of the lake come with the bars: `bars.feature(name)`.
        universe  symbols, or a query (see `universe`): fills `bars.member`; everything listed is a member without one.

        BadData: unknown symbol or version, start after end, nothing in the window, no such table.
        """
        wanted, first, last = _window(symbols, start, end, freq)
        table = self._table_for(freq)
        if table != f"bars_{freq}":
            fine = self.bars(symbols, start, end, table.removeprefix("bars_"), version, universe=universe)
            return fine.resample(freq)
        pinned = self._pin(table, version)
        members = universe if universe is None or isinstance(universe, str) else sorted(map(str, universe))
        query = {"symbols": wanted, "first": first, "last": last, "table": table, "pinned": pinned, "universe": members}
        # Prices stand as they are when features change; only a universe query may look at those.
        matters = {name: number for name, number in pinned.items() if name != "features" or isinstance(members, str)}
        key = self.cache.key({**query, "pinned": matters, "layout": 2})
        meta = self.cache.meta(key)
        if meta is None:
            from quantkit.data.reading import Query, read

            return read(self.path, Query(wanted, first, last, table, pinned, members), self.cache, key)
        return cached_bars(self.cache, key, meta, pinned, lambda name: self._missing_field(query, key, name))

    def stream(
        self,
        symbols: Sequence[str] | str | None = None,
        start: object = None,
        end: object = None,
        freq: str = "1m",
        version: int | str | None = None,
        *,
        chunk: int | None = None,
    ) -> BarStream:
        """The same bars in chunks of whole sessions, for ranges that do not fit into memory: see `data.stream`.

        chunk   sessions a chunk; None: as many as a panel of about 128 MiB holds.

        ConfigError for a frequency that is not stored: read the finer one, `bars.at(freq)` makes the coarser bars.
        """
        from quantkit.data.reading import Query
        from quantkit.data.stream import BarStream

        wanted, first, last = _window(symbols, start, end, freq)
        table = self._table_for(freq)
        if table != f"bars_{freq}":
            stored = table.removeprefix("bars_")
            raise ConfigError(
                f"stream(freq={freq!r}): {self.path} stores {stored}; stream that, and use bars.at({freq!r})"
            )
        return BarStream(self.path, Query(wanted, first, last, table, self._pin(table, version), None), chunk=chunk)

    def _missing_field(self, query: dict[str, Any], key: str, name: str) -> Any:
        """A matrix that the cache entry lacks, read from the tables."""
        from quantkit.data.reading import Query, read

        spec = Query(*(query[part] for part in ("symbols", "first", "last", "table", "pinned", "universe")))
        return read(self.path, spec, self.cache, key).field(name)

    def _table_for(self, freq: str) -> str:
        """The stored table that answers a frequency: itself, or the coarsest finer one."""
        stored = self.tables()
        if f"bars_{freq}" in stored:
            return f"bars_{freq}"
        length = step_us(freq)  # 0 for days and coarser
        finer = {name: step_us(name[5:]) for name in stored if name.startswith("bars_") and name != "bars_1d"}
        fitting = {
            name: step for name, step in finer.items() if not length or (step < length and not (step and length % step))
        }
        if not is_intraday(freq) and freq != "1d" and "bars_1d" in stored:
            return "bars_1d"
        if fitting and not freq.endswith("t"):
            return max(fitting, key=lambda name: fitting[name])
        have = ", ".join(name for name in stored if name.startswith("bars_")) or "none"
        cure = "fill it with lake.ingest(source), `quantkit data ingest`"
        raise BadData(f"{self.path} has no {freq} bars (tables: {have}); {cure}")

    def _pin(self, table: str, version: int | str | None) -> dict[str, int]:
        """Versions to read: newest, one of the bars table, or all as an earlier answer named them."""
        from quantkit.data.tables import latest_version

        pinned = {name: latest_version(self.path / name) for name in (table, "actions", "instruments", "features")}
        found = {name: -1 if number is None else number for name, number in pinned.items()}
        if isinstance(version, str):
            said = {name: int(number) for name, number in _VERSION.findall(version)}
            if table not in said or set(said) - set(found):
                raise BadData(
                    f"version {version!r} does not pin {table}; expected text such as {version_text(found)!r}"
                )
            asked = {**dict.fromkeys(found, -1), **said}
        else:
            asked = found if version is None else {**found, table: version}
        for name, number in asked.items():
            if not (-1 if name != table else 0) <= number <= found[name]:
                raise BadData(f"{name} has versions 0 to {found[name]}; {number} does not exist")
        return asked

    # --- looking around -------------------------------------------------------------------------------------------

    def tables(self) -> tuple[str, ...]:
        """Names of the tables that exist."""
        if not self.path.is_dir():
            return ()
        return tuple(sorted(entry.name for entry in self.path.iterdir() if (entry / "_delta_log").is_dir()))

    def info(self) -> list[TableInfo]:
        """One line a table: newest version, rows, symbols, dates, bytes on disk of that version."""
        from quantkit.data.reading import table_info

        return [table_info(self.path, name) for name in self.tables()]

    def features(self) -> list[FeatureInfo]:
        """One line a feature: rows, symbols, first and last as-of date."""
        from quantkit.data.featurestore import feature_info

        return feature_info(self.path)

    def check(self, *, version: int | None = None) -> Survey:
        """Hold the daily bars against the exchange's rules and calendar; see `survey`."""
        from quantkit.data.survey import survey

        return survey(self.path, version=version)

    def query(self, sql: str, *, version: int | None = None) -> duckdb.DuckDBPyRelation:
        """Run SQL over the tables by name (bars_1d, instruments, ...); `version` pins the bars tables. A DuckDB
        relation."""
        from quantkit.data.reading import connect

        return connect(self.path, self.tables(), version).sql(sql)

    def _days_folder(self, table: str) -> Path:
        return self.path / "cache" / "days" / table


def _window(
    symbols: Sequence[str] | str | None, start: object, end: object, freq: str
) -> tuple[tuple[str, ...] | None, int, int]:
    """Symbols, first and last day of what was asked for, checked."""
    wanted = (symbols,) if isinstance(symbols, str) else None if symbols is None else tuple(map(str, symbols))
    if wanted is not None and (not wanted or len(set(wanted)) != len(wanted)):
        raise BadData("symbols: give at least one, each once; None means all")
    first = -_FAR if start is None else epoch_day(start, what="start")
    last = _FAR if end is None else last_day(end, what="end")
    if first > last:
        raise BadData(f"start {start} is after end {end}; swap them")
    if not _FREQ.match(freq):
        raise ConfigError(f'freq={freq!r}: write "1d", "1m", "5m", "1h", "100t", "1w" or "1M"')
    return wanted, first, last


def version_text(pinned: dict[str, int]) -> str:
    """`bars_1d@3 actions@1`: the tables that exist and their versions."""
    return " ".join(f"{name}@{number}" for name, number in pinned.items() if number >= 0)


def features_at(root: str | Path, pinned: dict[str, int]) -> Features:
    """The features of a lake at the pinned version; loads no library until one is asked for."""
    if pinned.get("features", -1) < 0:
        return Features()
    from quantkit.data.featurestore import lake_features

    return lake_features(Path(root), pinned["features"])


def cached_bars(
    cache: ColumnCache, key: str, meta: dict[str, Any], pinned: dict[str, int], missing: Callable[[str], Any]
) -> Bars:
    """Bars of a cache entry: small facts from its meta file, matrices mapped when first asked for."""

    def loader(name: str) -> Callable[[], Any]:
        return lambda: cache.field(key, name, lambda: missing(name))

    times, flags, days = (cache.array(key, name) for name in ("times", "flags", "days"))
    if times is None or flags is None or days is None:
        raise BadData(f"{cache.folder / key}: the cache entry is incomplete; delete the folder {cache.folder}")
    return Bars(
        times=times,
        days=days,
        symbols=meta["symbols"],
        fields={name: loader(name) for name in meta["fields"]},
        flags=flags,
        actions=meta["actions"],
        markets=meta["markets"],
        market_changes=[(day, symbol, market) for day, symbol, market in meta["market_changes"]],
        names=meta["names"],
        prices=meta["prices"],
        freq=meta["freq"],
        version=version_text(pinned),
        features=features_at(meta["source"], pinned),
        leverage=np.array(meta["leverage"], dtype=np.float64),
        source=meta["source"],
        minor_unit=meta["minor_unit"],
    )
