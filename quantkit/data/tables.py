"""Delta tables of a lake: names, columns, versions and commits, with the errors of the file system mapped in one place.

Contract: a table is a folder of Parquet files with a transaction log. `commit` writes nothing but the log entry that
makes files part of the table, so a process killed at any point leaves the version before. Data files never change;
replaced ones stay on disk for readers of older versions. Every table carries the property `quantkit.format`; a lake
written by a newer format is refused, not guessed at.

Used by `lake`, `merge` and `panel`. `latest_version` reads only file names, so that a cache hit loads no library.
"""

from __future__ import annotations

import contextlib
import errno
import json
import re
import time
import uuid
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, cast

from quantkit.errors import BadData, ConfigError, Refused, RetryLater

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    import pyarrow as pa
    from deltalake import DeltaTable

FORMAT = 1
FORMAT_KEY = "quantkit.format"
BARS = re.compile(r"bars_(1d|[1-9]\d*[smt])\Z")  # t: bars of so many ticks
SIDE_TABLES = ("instruments", "actions", "calendar", "quarantine")
# Old versions must stay readable: a result names the version it was computed from.
_KEEP = {
    "delta.logRetentionDuration": "interval 36500 days",
    "delta.deletedFileRetentionDuration": "interval 36500 days",
}
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


@dataclass(frozen=True, slots=True)
class DataFile:
    """A file of one version: its path inside the table, its partition value, its size in bytes."""

    path: str
    partition: str | None
    size: int


def frequency(table: str) -> str:
    """`bars_1d` -> "1d". ConfigError for a name that is no bars table."""
    found = BARS.match(table)
    if found is None:
        sides = ", ".join(SIDE_TABLES[:2]) + " or features"
        raise ConfigError(f"table {table!r} does not exist; choose bars_1d, bars_1m (also 30s, 100t), {sides}")
    return found.group(1)


def partition_column(table: str) -> str | None:
    """Daily bars by year, intraday bars by month, the rest in one piece."""
    if BARS.match(table) is None:
        return None
    return "year" if frequency(table) == "1d" else "month"


def latest_version(folder: Path) -> int | None:
    """Newest version by the names of the log; None where there is no table. Loads no library."""
    log = folder / "_delta_log"
    if not log.is_dir():
        return None
    # Checkpoints are named like versions, and are all that is left where old log entries were cleaned away.
    numbers = [int(name[:20]) for name in _names(log) if name[:20].isdigit()]
    return max(numbers, default=None)


def _names(folder: Path) -> list[str]:
    return [entry.name for entry in folder.iterdir()]


def table_schema(table: str) -> pa.Schema:
    """Arrow schema with the partition column."""
    import pyarrow as pa

    text, number, day, moment = pa.string(), pa.float64(), pa.date32(), pa.timestamp("us", tz="UTC")
    if BARS.match(table):
        from quantkit.data.parts import arrow_schema

        column = pa.field("year", pa.int32()) if frequency(table) == "1d" else pa.field("month", text)
        return arrow_schema(frequency(table)).append(column)
    columns: dict[str, list[tuple[str, pa.DataType]]] = {
        "instruments": [
            ("symbol", text), ("market", text), ("name", text), ("from", day), ("to", day), ("listing", day),
            ("delisting", day), ("liquidation_from", day), ("liquidation_to", day), ("leverage", number),
            ("underlying", text), ("warrant", text), ("strike", number), ("barrier", number),
        ],
        "actions": [
            ("symbol", text), ("ex_date", day), ("kind", text), ("price_factor", number), ("share_ratio", number),
            ("cash_per_share", number), ("pay_date", day), ("receivable", pa.bool_()), ("source", text),
        ],
        "calendar": [("market", text), ("date", day), ("open", moment), ("close", moment)],
        "quarantine": [
            ("table", text), ("reason", text), ("symbol", text), ("time", text), ("open", number), ("high", number),
            ("low", number), ("close", number), ("volume", number), ("source", text), ("line", pa.int64()), ("id",
            text),
        ],
        "features": [
            ("name", text), ("symbol", text), ("as_of", day), ("moment", moment), ("period", day), ("value", number),
            ("text", text),
        ],
    }  # fmt: skip
    return pa.schema(columns[table])


class Table:
    """One Delta table of a lake; opening it checks the format."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.name = folder.name

    @property
    def version(self) -> int | None:
        """Newest version, None before the first ingest."""
        return latest_version(self.folder)

    def delta(self, version: int | None = None) -> DeltaTable:
        """The table as `deltalake` sees it. BadData for a version that does not exist or a newer format."""
        from deltalake import DeltaTable
        from deltalake.exceptions import DeltaError

        newest = self.version
        if newest is None:
            raise BadData(f"{self.folder} holds no table yet; fill it with lake.ingest")
        if version is not None and not 0 <= version <= newest:
            raise BadData(f"{self.name} has versions 0 to {newest}; {version} does not exist")
        try:
            table = DeltaTable(str(self.folder), version=version)
        except DeltaError as error:
            raise BadData(f"{self.folder}: the transaction log cannot be read: {error}") from error
        found = table.metadata().configuration.get(FORMAT_KEY, "0")
        if not found.isdigit() or int(found) > FORMAT:
            raise BadData(
                f"{self.folder} was written by a newer quantkit (lake format {found}, this one reads up to {FORMAT}); "
                "upgrade quantkit to use it"
            )
        return table

    def files(self, version: int) -> tuple[DataFile, ...]:
        """Files of a version, by path."""
        return _files(str(self.folder), version)

    def read(self, version: int | None = None) -> pa.Table:
        """A side table in memory; empty when it does not exist."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        schema = table_schema(self.name)
        newest = self.version if version is None else version
        if newest is None or newest < 0:
            return schema.empty_table()
        paths = [str(self.folder / file.path) for file in self.files(newest)]
        # Old files may lack a column that was added later: it reads as null.
        parts = [pq.ParquetFile(path).read() for path in paths]
        return pa.concat_tables([part.select(_shared(part, schema)) for part in parts] + [schema.empty_table()],
                                promote_options="default").select(schema.names)  # fmt: skip

    def create(self) -> None:
        """Make the empty table, version 0, unless it is there."""
        from deltalake import DeltaTable

        if self.version is not None:
            return
        column = partition_column(self.name)
        with mapped_errors(self.folder):
            self.folder.mkdir(parents=True, exist_ok=True)
            DeltaTable.create(
                str(self.folder),
                table_schema(self.name),
                mode="ignore",
                partition_by=None if column is None else [column],
                configuration={FORMAT_KEY: str(FORMAT), **_KEEP},
                raise_if_key_not_exists=False,
            )

    def new_path(self, partition: str | None) -> str:
        """A path no file has yet, inside the table."""
        name = f"{uuid.uuid4().hex}.parquet"
        return name if partition is None else f"{partition_column(self.name)}={partition}/{name}"

    def commit(
        self,
        added: Sequence[tuple[str, str | None, Mapping[str, object]]],
        removed: Sequence[DataFile] = (),
        *,
        marks: Mapping[str, int] | None = None,
        note: Mapping[str, str] | None = None,
        base: DeltaTable | None = None,
    ) -> int:
        """Make files part of the table, and others not, in one step; gives the new version.

        `added`: (path, partition, statistics) of files already on disk. `marks`: numbers kept with the table under a
        name (`mark` reads them). `base`: the table as read before; a writer that came in between makes this fail with
        RetryLater instead of losing its rows.
        """
        from deltalake import CommitProperties, Transaction
        from deltalake.transaction import AddAction, RemoveAction

        table = base or self.delta()
        column, now = partition_column(self.name), int(time.time() * 1000)

        def value(partition: str | None) -> dict[str, str | None]:
            return {} if column is None else {column: partition}

        actions: list[AddAction | RemoveAction] = [
            AddAction(path, (self.folder / path).stat().st_size, value(partition), now, True, json.dumps(statistics))
            for path, partition, statistics in added
        ]
        actions += [RemoveAction(file.path, True, now, file.size, value(file.partition)) for file in removed]
        properties = CommitProperties(
            custom_metadata=dict(note or {}),
            app_transactions=[Transaction(name, number) for name, number in (marks or {}).items()],
            max_commit_retries=0,  # a commit in between may hold the same rows: never go on without comparing
        )
        with mapped_errors(self.folder):
            table.create_write_transaction(
                actions, "append", table_schema(self.name), [column] if column else None, commit_properties=properties
            )
        return cast("int", self.version)

    def replace(self, content: pa.Table, *, marks: Mapping[str, int] | None = None, note: str = "") -> int:
        """Write a side table anew, in one commit."""
        import pyarrow.parquet as pq

        self.create()
        table = self._widened()
        path = self.new_path(None)
        with mapped_errors(self.folder, self.folder / path):
            pq.write_table(content.cast(table_schema(self.name)), self.folder / path, compression="zstd")
        old = self.files(table.version())
        statistics = {"numRecords": content.num_rows}
        return self.commit([(path, None, statistics)], old, marks=marks, note={"quantkit": note}, base=table)

    def _widened(self) -> DeltaTable:
        """The table, with the columns that it did not have yet when it was made, so that other readers see them."""
        from deltalake import Schema

        table = self.delta()
        known = {field.name for field in table.schema().fields}
        added = [field for field in Schema.from_arrow(table_schema(self.name)).fields if field.name not in known]
        if added:
            with mapped_errors(self.folder):
                table.alter.add_columns(added)
            table = self.delta()
        return table

    def append(self, content: pa.Table) -> int:
        """Add rows to a side table, in one commit."""
        import pyarrow.parquet as pq

        self.create()
        path = self.new_path(None)
        with mapped_errors(self.folder, self.folder / path):
            pq.write_table(content.cast(table_schema(self.name)), self.folder / path, compression="zstd")
        return self.commit([(path, None, {"numRecords": content.num_rows})])

    def mark(self, name: str) -> int | None:
        """The number last committed under `name`."""
        return None if self.version is None else self.delta().transaction_version(name)


@lru_cache(maxsize=256)
def _files(folder: str, version: int) -> tuple[DataFile, ...]:
    """A version never changes, so its list of files is kept."""
    import pyarrow as pa

    table = Table(Path(folder))
    adds = pa.table(table.delta(version).get_add_actions(flatten=True))
    column = partition_column(table.name)
    partitions = adds[f"partition.{column}"].to_pylist() if column else [None] * adds.num_rows
    files = [
        DataFile(path, None if partition is None else str(partition), size)
        for path, partition, size in zip(
            adds["path"].to_pylist(), partitions, adds["size_bytes"].to_pylist(), strict=True
        )
    ]
    return tuple(sorted(files, key=lambda file: file.path))


def _shared(part: pa.Table, schema: pa.Schema) -> list[str]:
    return [name for name in part.column_names if name in schema.names]


@contextlib.contextmanager
def mapped_errors(folder: Path, *unfinished: Path) -> Iterator[None]:
    """Turn a full disk and a lost race into one clear error each; half-written files are removed."""
    from deltalake.exceptions import CommitFailedError, DeltaError

    try:
        yield
    except CommitFailedError as error:
        raise RetryLater(
            f"{folder}: another process wrote to the table meanwhile; run the same ingest again"
        ) from error
    except (OSError, DeltaError) as error:
        for path in unfinished:
            path.unlink(missing_ok=True)
        number = error.errno if isinstance(error, OSError) else None
        if number in _FULL or "No space left" in str(error) or "File too large" in str(error):
            raise Refused("LAKE_DISK_FULL", f"no room left to write {folder}; free some space and run it again. "
                          "The lake is as it was before this batch") from error  # fmt: skip
        if isinstance(error, PermissionError):
            raise ConfigError(f"{folder} cannot be written: {error.strerror}; choose another folder") from error
        raise
