"""Landing: the steps of `lake.ingest` for bars, from sources to commits.

1. Open every source and check its columns; nothing is written if one is wrong. 2. Per source, in pieces: normalise,
judge (`quality`). A file whose content already landed is passed over. 3. Per batch of about `BATCH_ROWS` good rows:
instruments, then quarantine, then one commit of bars that also records which
   files are now complete. Killed before that commit, the batch is simply not there; run again, finished files are
   skipped.
4. Derive actions from base prices where the table holds them.

Contract: within a source, rows of one key that differ are rejected; between sources, the later one holds. Instruments
and quarantine come before the bars because they may be repeated without harm, and a finished file is not read again.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from quantkit.data.files import Source, open_sources
from quantkit.data.ingest import Options, check_columns, normalise
from quantkit.data.merge import check_price_kind, merge
from quantkit.data.quality import REASONS, Checked, Known, check
from quantkit.data.reference import Instruments
from quantkit.data.rows import DAY_US, SEOUL_US, Rows, concat, time_text
from quantkit.data.tables import Table
from quantkit.errors import ConfigError
from quantkit.market import MARKET_ID

if TYPE_CHECKING:
    import pyarrow as pa

IntArray = NDArray[np.int64]
Progress = Callable[[int, int, str], None]
BATCH_ROWS = 1_000_000


@dataclass(frozen=True, slots=True)
class IngestReport:
    """What an ingest did.

    added, replaced   rows of the table; a row that was there with equal values counts nowhere.
    quarantined       rows set aside, `reasons` says why; flagged: rows that landed with a doubt.
    version           version of the table afterwards. sources, skipped: files read, and passed over as already landed.
    actions           corporate actions derived from base prices, kind unknown.
    notes             what the user should know.
    """

    added: int = 0
    replaced: int = 0
    quarantined: int = 0
    flagged: int = 0
    version: int = 0
    sources: int = 0
    skipped: int = 0
    actions: int = 0
    reasons: Mapping[str, int] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


class Landing:
    """One ingest into one bars table; `run` does it."""

    def __init__(
        self, root: Path, table: str, options: Options, *, days_folder: Path | None, progress: Progress | None = None
    ) -> None:
        self.table = Table(root / table)
        self.side = {name: Table(root / name) for name in ("instruments", "quarantine")}
        self.options, self.days_folder = options, days_folder
        self.progress = progress or _silent
        self.instruments = Instruments.load(self.side["instruments"])
        self._known = self._knowledge()
        self._pending: list[Rows] = []
        self._rejected: list[tuple[str, Checked]] = []
        self._finished: dict[str, int] = {}
        self._reasons: Counter[str] = Counter()
        self._unknown_market: set[str] = set()
        self.added = self.replaced = self.flagged = 0

    def run(self, source: object) -> IngestReport:
        """Bring everything that `source` names into the table."""
        sources = open_sources(source)
        for one in sources:
            check_columns(one, self.options)
        self.table.create()
        skipped = 0
        for number, one in enumerate(sources):
            self.progress(number, len(sources), one.name)
            mark = self._mark(one)
            if mark is not None and self._landed(mark):
                skipped += 1
                continue
            self._take(one)
            if mark is not None:
                self._finished[mark] = 1
            if sum(map(len, self._pending)) >= BATCH_ROWS:
                self._flush()
        self._flush()
        self.progress(len(sources), len(sources), "done")
        return IngestReport(
            self.added, self.replaced, sum(self._reasons.values()), self.flagged, self.table.version or 0,
            len(sources), skipped, 0, dict(self._reasons), self._notes(),
        )  # fmt: skip

    def _take(self, source: Source) -> None:
        """Normalise and judge one source, landing full batches on the way."""
        pieces = source.pieces()
        for content, line in pieces:
            rows = self._with_known_markets(normalise(content, source, line, self.options))
            checked = check(rows, self._known, freq=self.options.freq)
            self._pending.append(checked.rows)
            self.flagged += checked.flagged
            if len(checked.rejected):
                self._rejected.append((source.name, checked))
                names, counts = np.unique(checked.reason, return_counts=True)
                self._reasons.update(
                    {REASONS[name]: count for name, count in zip(names.tolist(), counts.tolist(), strict=True)}
                )
            if sum(map(len, self._pending)) >= BATCH_ROWS:
                self._flush()

    def _flush(self) -> None:
        """Step 3."""
        if self._rejected:
            self._quarantine()
        pending = [rows for rows in self._pending if len(rows)]
        finished, self._pending, self._finished = self._finished, [], {}
        if not pending:
            return
        rows = _last_of_each(concat(pending))
        check_price_kind(self.table, self.table.files(self.table.version or 0), rows)
        before = self.instruments.content()
        self.instruments.observe(rows, self.options.freq)
        after = self.instruments.content()
        if not after.equals(before):
            self.side["instruments"].replace(after, note=f"seen in {self.table.name}")
        version = (self.table.version or 0) + 1
        marks = dict.fromkeys(finished, version)
        note = {"quantkit": "ingest", "rows": str(len(rows)), "prices": self.options.prices}
        merged = merge(self.table, rows, days_folder=self.days_folder, marks=marks, note=note)
        self.added += merged.added
        self.replaced += merged.replaced

    # --- what is already known ------------------------------------------------------------------------------------

    def _mark(self, source: Source) -> str | None:
        """Name under which a file's landing is recorded: its content and how it was read."""
        digest = source.digest()
        if digest is None:
            return None
        name = source.symbol_from_name() if "symbol" not in check_columns(source, self.options) else ""
        how = "|".join(
            map(str, (self.options.market, self.options.prices, self.options.symbol or name, self.options.stamp))
        )
        how += f"|{self.options.zone}" if self.options.zone else ""
        return f"{digest}|{how}"

    def _landed(self, mark: str) -> bool:
        """Whether this file landed, and nothing was replaced since (its rows could be the ones replaced)."""
        delta = self.table.delta()
        landed, replaced = delta.transaction_version(mark), delta.transaction_version("replaced")
        return landed is not None and landed >= (replaced or 0)

    def _knowledge(self) -> Known:
        from quantkit.market.calendar import sessions

        days = sessions("1990-01-01", "2027-12-31").astype(np.int64)
        one = self.instruments.items()
        return Known(
            sessions=days,
            listing={symbol: known.listing for symbol, known in one if known.listing is not None},
            liquidation={
                symbol: (known.liquidation_from, known.liquidation_to)
                for symbol, known in one
                if known.liquidation_from is not None and known.liquidation_to is not None
            },
            leverage={symbol: known.leverage for symbol, known in one if known.leverage is not None},
        )

    def _with_known_markets(self, rows: Rows) -> Rows:
        """Fill unknown markets from the instruments table; Korean codes without any stay unknown."""
        if not (rows.market < 0).any():
            return rows
        known = [self.instruments[name].market if name in self.instruments else None for name in rows.symbol.names]
        ids = np.array([-1 if market is None else MARKET_ID[market] for market in known] + [-1], np.int8)
        market = np.where(rows.market < 0, ids[rows.symbol.codes], rows.market).astype(np.int8)
        missing = np.unique(rows.symbol.codes[(market < 0) & (rows.symbol.codes >= 0)])
        self._unknown_market.update(rows.symbol.names[code] for code in missing.tolist())
        return replace(rows, market=market)

    def _notes(self) -> tuple[str, ...]:
        notes = []
        if self._unknown_market:
            some = ", ".join(sorted(self._unknown_market)[:3])
            notes.append(
                f"{len(self._unknown_market)} symbols without a market ({some}): taken as KOSPI, grid and limits "
                'unchecked; give market=, a market column, or table="instruments" first'
            )
        return tuple(notes)

    # --- quarantine -----------------------------------------------------------------------------------------------

    def _quarantine(self) -> None:
        """Append the rejected rows that are not in quarantine yet."""
        import pyarrow as pa

        content = pa.concat_tables([self._quarantine_rows(name, checked) for name, checked in self._rejected])
        self._rejected = []
        known = set(self.side["quarantine"].read()["id"].to_pylist())
        fresh = [place for place, name in enumerate(content["id"].to_pylist()) if name not in known]
        if fresh:
            self.side["quarantine"].append(content.take(pa.array(fresh)))

    def _quarantine_rows(self, source: str, checked: Checked) -> pa.Table:
        import pyarrow as pa

        rows = checked.rejected
        times = [time_text(time, self.options.freq) for time in rows.time.tolist()]
        symbols = [text or "" for text in rows.symbol.texts().tolist()]
        reasons = [REASONS[code] for code in checked.reason.tolist()]
        lines = rows.line.tolist()
        prices = {name: rows.fields[name] for name in ("open", "high", "low", "close", "volume")}
        keys = zip(reasons, symbols, times, lines, *(values.tolist() for values in prices.values()), strict=True)
        ids = [
            hashlib.sha1(f"{self.table.name}|{source}|{key}".encode(), usedforsecurity=False).hexdigest()
            for key in keys
        ]
        return pa.table({
            "table": [self.table.name] * len(rows), "reason": reasons, "symbol": symbols, "time": times,
            **{name: pa.array(values, from_pandas=True) for name, values in prices.items()},
            "source": [source] * len(rows), "line": lines, "id": ids,
        })  # fmt: skip


def _silent(_done: int, _total: int, _text: str, /) -> None:
    """Progress that nobody watches."""


def _last_of_each(rows: Rows) -> Rows:
    """Sorted rows; of several with one key (from different sources) the last given."""
    order = rows.order()
    code, time = rows.symbol.codes[order], rows.time[order]
    last = np.ones(len(order), dtype=bool)
    last[:-1] = (code[1:] != code[:-1]) | (time[1:] != time[:-1])
    return rows.take(order[last])


def derive_actions(root: Path) -> int:
    """Step 4: actions that base prices imply and nobody stated; gives the number of new ones."""
    from quantkit.data.derive import from_base
    from quantkit.data.sideactions import record_derived
    from quantkit.data.versions import Parts
    from quantkit.market.calendar import sessions

    bars, actions = Table(root / "bars_1d"), Table(root / "actions")
    version = bars.version
    if version is None or actions.mark("derived") == version:
        return 0
    parts = Parts(bars, version)
    if "base" not in parts.present:
        return 0
    found = from_base(parts, sessions("1990-01-01", "2027-12-31").astype(np.int64))
    return record_derived(actions, found, bars_version=version)


def land_side_table(root: Path, table: str, source: object) -> IngestReport:
    """Instruments or actions that a user states."""
    from quantkit.data.sideactions import state_actions

    if table not in ("instruments", "actions"):
        raise ConfigError(
            f"table {table!r} is kept by the lake itself; ingest into bars_1d, bars_1m, instruments or actions"
        )
    target = Table(root / table)
    if table == "actions":
        is_rows = isinstance(source, list | tuple | np.ndarray) and not any(
            isinstance(one, str | Path) for one in source
        )
        added, replaced = state_actions(target, source if is_rows else _records(source))
        return IngestReport(added, replaced, version=-1 if target.version is None else target.version, sources=1)
    instruments = Instruments.load(target)
    before, known = instruments.content(), set(instruments)
    instruments.state(_records(source))
    after = instruments.content()
    if after.equals(before):
        return IngestReport(version=-1 if target.version is None else target.version, sources=1)
    version = target.replace(after, note="stated")
    old = {row["symbol"]: row for row in before.to_pylist()}
    changed = {row["symbol"] for row in after.to_pylist() if row["symbol"] in known and row != old[row["symbol"]]}
    return IngestReport(len(set(instruments) - known), len(changed), version=version, sources=1)


def _records(source: object) -> list[dict[str, object]]:
    """A small table from any source as mappings, codes as text."""
    return [row for one in open_sources(source) for content, _ in one.pieces() for row in content.to_pylist()]


def write_calendar(root: Path) -> None:
    """Keep the sessions of the years that the daily table covers, for SQL; written when the span grows."""
    import pyarrow as pa

    from quantkit.data.versions import Parts
    from quantkit.market.calendar import hours, sessions

    bars, target = Table(root / "bars_1d"), Table(root / "calendar")
    spans = [part.index.span for part in Parts(bars, bars.version or 0).parts if (part.index.group == 0).any()]
    if not spans:
        return
    first, last = (str(np.datetime64(day, "D"))[:4] for day in (min(s[0] for s in spans), max(s[1] for s in spans)))
    days = sessions(f"{max(int(first), 1990)}-01-01", f"{min(int(last), 2027)}-12-31")
    if target.read().num_rows == len(days):
        return
    number = days.astype(np.int64)
    moments = [
        pa.array(number * DAY_US - SEOUL_US + minute * 60_000_000).view(pa.timestamp("us", tz="UTC"))
        for minute in hours(days)
    ]
    dates = pa.array(number.astype(np.int32)).view(pa.date32())
    content = {"market": ["KRX"] * len(days), "date": dates, "open": moments[0], "close": moments[1]}
    target.replace(pa.table(content), note="sessions")
