"""The table `features` of a lake: one Parquet file a feature, every ingest one commit.

    lake/features/<name>/....parquet      name, symbol, as_of, moment, period, value, text; sorted by symbol and moment

1. Open every source and look at its columns; nothing is written if one is wrong. 2. Read each source: rows by feature,
and those that cannot be used. 3. Merge with what the lake holds, sources in order: the later one holds. 4. Rejected
rows into quarantine, then the changed features in one commit. Nothing changed: no commit, no new version.

Contract: a version, once read, reads the same for ever. Rows of one key (symbol, period, as-of date) that differ within
a source are rejected, both; a key that the lake holds with another value is replaced, which a new version says. Held in
memory: the features that an ingest names, whole. `moment` is empty where `as_of` is a date.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from quantkit.data.dates import day_text
from quantkit.data.featuremerge import merged
from quantkit.data.featurerows import How, read_source, roles_of
from quantkit.data.features import EVERY, NO_MOMENT, NO_PERIOD, FeatureRows, Features
from quantkit.data.files import open_sources
from quantkit.data.landing import IngestReport
from quantkit.data.tables import Table, mapped_errors
from quantkit.errors import BadData

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import pyarrow as pa

    from quantkit.data.featurerows import Rejects
    from quantkit.data.landing import Progress

TABLE = "features"
_FACTS = b"quantkit.feature"
_ROW_GROUP = 65_536
_READ = ["symbol", "as_of", "moment", "period", "value"]


@dataclass(frozen=True, slots=True)
class FeatureInfo:
    """A feature of a lake: rows, symbols, first and last as-of date, whether rows have periods, number or text."""

    name: str
    kind: str
    rows: int
    symbols: int
    first: str | None
    last: str | None
    periods: bool


@dataclass(frozen=True)
class LakeFeatures:
    """The features of one version of a lake's table; reads nothing until asked."""

    folder: str
    version: int

    @cached_property
    def _paths(self) -> dict[str, str]:
        files = Table(Path(self.folder)).files(self.version)
        return {_name_of(file.path): str(Path(self.folder) / file.path) for file in files}

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the features."""
        return tuple(self._paths)

    def read(self, name: str, symbols: Sequence[str] | None) -> FeatureRows:
        """Rows of one feature for these symbols (None: all), and of "*"."""
        import pyarrow.parquet as pq

        path, facts = self._paths[name], _facts(self._paths[name])
        wanted = None if symbols is None else {*symbols, EVERY}
        few = wanted is not None and 4 * len(wanted) < facts["symbols"]  # else sorting out costs more than reading
        chosen = [("symbol", "in", sorted(wanted))] if few and wanted is not None else None
        coded = None if few else ["symbol"]  # of a few rows, codes would cost more than texts
        content = pq.read_table(path, filters=chosen, columns=_READ, read_dictionary=coded)
        return _rows_of(content, facts["labels"])


def lake_features(root: Path, version: int) -> Features:
    """The features of a version of the lake; none for version -1."""
    return Features() if version < 0 else Features(stored=LakeFeatures(str(root / TABLE), version))


def feature_info(root: Path, version: int | None = None) -> list[FeatureInfo]:
    """A line a feature, by name."""
    table = Table(root / TABLE)
    number = table.version if version is None else version
    if number is None:
        return []
    found = []
    for name, path in sorted(LakeFeatures(str(table.folder), number)._paths.items()):
        facts = _facts(path)
        found.append(
            FeatureInfo(
                name, "number" if facts["labels"] is None else "text", facts["rows"], facts["symbols"], facts["first"],
                facts["last"], facts["periods"],
            )
        )  # fmt: skip
    return found


def land_features(root: Path, source: object, how: How, *, progress: Progress | None = None) -> IngestReport:
    """Bring everything that `source` names into the table; see the module."""
    sources = open_sources(source)
    for one in sources:
        roles_of(one, how)
    table = Table(root / TABLE)
    table.create()
    base = table.delta()
    held = LakeFeatures(str(table.folder), base.version())
    texts = {name: _facts(path)["labels"] is not None for name, path in held._paths.items()}
    changed: dict[str, FeatureRows] = {}
    added = replaced = 0
    rejects: list[tuple[str, Rejects]] = []
    ignored: dict[str, None] = {}
    for number, one in enumerate(sources):
        if progress is not None:
            progress(number, len(sources), one.name)
        reading = read_source(one, how, texts)
        rejects.append((one.name, reading.rejects))
        ignored.update(dict.fromkeys(reading.ignored))
        for name, rows in reading.features.items():
            texts.setdefault(name, rows.labels is not None)
            old = changed[name] if name in changed else held.read(name, None) if name in held.names else None
            both, more, other = merged(old, rows, name=name)
            if more or other:
                changed[name], added, replaced = both, added + more, replaced + other
    reasons = _quarantine(root, rejects)
    version = base.version() if not changed else _write(table, held, changed, base)
    if progress is not None:
        progress(len(sources), len(sources), "done")
    notes = (f"columns taken for no feature: {', '.join(ignored)}",) if ignored else ()
    return IngestReport(
        added, replaced, sum(reasons.values()), 0, version, len(sources), reasons=reasons, notes=notes
    )  # fmt: skip


def _write(table: Table, held: LakeFeatures, changed: Mapping[str, FeatureRows], base: Any) -> int:
    """Steps 4: a new file for each changed feature, and one commit."""
    import pyarrow.parquet as pq

    added, old = [], {file.path: file for file in table.files(held.version)}
    removed = [file for path, file in old.items() if _name_of(path) in changed]
    for name, rows in changed.items():
        path = f"{_folder_of(name)}/{table.new_path(None)}"
        full = table.folder / path
        full.parent.mkdir(parents=True, exist_ok=True)
        with mapped_errors(table.folder, full):
            pq.write_table(_content(name, rows), full, compression="zstd", row_group_size=_ROW_GROUP)
        added.append((path, None, {"numRecords": len(rows)}))
    return table.commit(added, removed, note={"quantkit": "features", "names": " ".join(changed)}, base=base)


def _content(name: str, rows: FeatureRows) -> pa.Table:
    """A feature as it is stored, with what is asked about it most in the file's footer."""
    import pyarrow as pa

    from quantkit.data.tables import table_schema

    timed, none = rows.moment != NO_MOMENT, rows.period == NO_PERIOD
    moment = pa.array(np.where(timed, rows.moment, 0), pa.int64(), mask=~timed)
    text: Any = pa.nulls(len(rows), pa.string())
    if rows.labels is not None:
        blank = np.isnan(rows.value)
        codes = pa.array(np.where(blank, 0, rows.value).astype(np.int32), mask=blank)
        text = pa.DictionaryArray.from_arrays(codes, pa.array(rows.labels, pa.string()))
    content = pa.table({
        "name": pa.DictionaryArray.from_arrays(pa.array(np.zeros(len(rows), np.int32)), pa.array([name])),
        "symbol": pa.DictionaryArray.from_arrays(pa.array(rows.code), pa.array(rows.symbols, pa.string())),
        "as_of": pa.array(rows.day).view(pa.date32()),
        "moment": moment.view(pa.timestamp("us", tz="UTC")),
        "period": pa.array(np.where(none, 0, rows.period).astype(np.int32), mask=none).view(pa.date32()),
        "value": pa.array(rows.value, from_pandas=True),
        "text": text,
    })  # fmt: skip
    facts = {
        "rows": len(rows), "symbols": len(rows.symbols), "periods": rows.has_periods,
        "first": day_text(int(rows.day.min())) if len(rows) else None,
        "last": day_text(int(rows.day.max())) if len(rows) else None,
        "labels": None if rows.labels is None else list(rows.labels),
    }  # fmt: skip
    return content.cast(table_schema(TABLE)).replace_schema_metadata({_FACTS: json.dumps(facts).encode()})


def _rows_of(content: pa.Table, words: list[str] | None) -> FeatureRows:
    from quantkit.data.parts import labels

    symbol = labels(content["symbol"])

    def numbers(name: str, kind: Any, none: int) -> Any:
        import pyarrow as pa
        import pyarrow.compute as pc

        column = pc.cast(content[name], pa.int32() if kind is np.int32 else pa.int64())
        return np.asarray(pc.fill_null(column, none).to_numpy(), kind)

    return FeatureRows(
        symbol.names,
        symbol.codes,
        numbers("as_of", np.int32, 0),
        numbers("moment", np.int64, NO_MOMENT),
        numbers("period", np.int32, NO_PERIOD),
        np.asarray(content["value"].to_numpy(), np.float64),
        None if words is None else tuple(words),
    )


@lru_cache(maxsize=1024)
def _facts(path: str) -> dict[str, Any]:
    """What a file's footer says of its feature; files never change."""
    import pyarrow.parquet as pq

    found = (pq.read_schema(path).metadata or {}).get(_FACTS)
    if found is None:
        raise BadData(f"{path}: written by something else than quantkit; its footer does not describe a feature")
    facts: dict[str, Any] = json.loads(found)
    return facts


def _folder_of(name: str) -> str:
    """A feature's folder: its name, or the bytes of one that is not plain ASCII."""
    return name if name.isascii() else f"utf8-{name.encode().hex()}"


def _name_of(path: str) -> str:
    folder = path.split("/", 1)[0]
    return bytes.fromhex(folder[5:]).decode() if folder.startswith("utf8-") else folder


def _quarantine(root: Path, rejects: Sequence[tuple[str, Rejects]]) -> dict[str, int]:
    """Put rejected rows into quarantine unless they are there; gives how many for which reason."""
    import pyarrow as pa

    rows: list[dict[str, Any]] = []
    for source, found in rejects:
        for line, symbol, time, reason in found.rows:
            name = hashlib.sha1(f"{TABLE}|{source}|{line}|{symbol}|{time}|{reason}".encode(), usedforsecurity=False)
            rows.append({
                "table": TABLE, "reason": reason, "symbol": symbol, "time": time, "source": source, "line": line,
                "id": name.hexdigest(),
            })  # fmt: skip
    if rows:
        table = Table(root / "quarantine")
        known = set(table.read()["id"].to_pylist())
        fresh = [row for row in rows if row["id"] not in known]
        if fresh:
            from quantkit.data.tables import table_schema

            table.append(pa.Table.from_pylist(fresh, schema=table_schema("quarantine")))
    return dict(Counter(row["reason"] for row in rows))
