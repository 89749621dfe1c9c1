"""Rows of a journal's table as a file: Parquet, CSV or JSON lines.

Contract: the file is there whole or not at all: it is written beside its place under another name, made durable, and
moved there. Columns are the table's, but the account, and `seoul`: the row's time for people. Payloads are the text
over which the hashes were made; in JSON lines they are objects. What was there is replaced.
"""

from __future__ import annotations

import csv
import datetime as dt
import json
import os
from typing import TYPE_CHECKING, Any, Final
from zoneinfo import ZoneInfo

import sqlalchemy as sa

from quantkit.errors import ConfigError, Refused

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

    import pyarrow as pa

    from quantkit.live.journal.projections import Row

    Pages = Iterable[list[Row]]

FORMS: Final = {".parquet": "parquet", ".csv": "csv", ".jsonl": "jsonl", ".ndjson": "jsonl"}
_SEOUL: Final = ZoneInfo("Asia/Seoul")


def form_of(path: Path) -> str:
    """What a file's name says it is; ConfigError for names that say nothing."""
    try:
        return FORMS[path.suffix.lower()]
    except KeyError:
        raise ConfigError(f"{path}: a name that ends in {', '.join(FORMS)} is needed") from None


def seoul(time: int) -> str:
    """A moment in Seoul, to the microsecond, as ISO 8601."""
    seconds, rest = divmod(time, 10**9)
    return dt.datetime.fromtimestamp(seconds, _SEOUL).replace(microsecond=rest // 1_000).isoformat()


def write(pages: Pages, table: sa.Table, path: Path) -> int:
    """Write rows of a table; how many."""
    writer = _WRITERS[form_of(path)]
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    time = "ts_ns" if "ts_ns" in table.c else "time"
    try:
        count = writer(_told(pages, time), table, part)
        with part.open("rb+") as file:
            os.fsync(file.fileno())
        part.replace(path)
    except OSError as error:
        raise Refused("EXPORT_FAILED", f"{path} cannot be written: {error.strerror}; nothing was changed") from error
    finally:
        part.unlink(missing_ok=True)
    return count


def _told(pages: Pages, time: str) -> Iterator[list[Row]]:
    for page in pages:
        yield [{"seoul": seoul(row[time]), **row} for row in page]


def _columns(table: sa.Table) -> list[str]:
    return ["seoul", *(column.name for column in table.columns if column.name != "account_id")]


def _csv(pages: Pages, table: sa.Table, path: Path) -> int:
    count = 0
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, _columns(table))
        writer.writeheader()
        for page in pages:
            writer.writerows(page)
            count += len(page)
    return count


def _jsonl(pages: Pages, table: sa.Table, path: Path) -> int:
    count = 0
    whole = [column.name for column in table.columns if isinstance(column.type, sa.JSON)]
    with path.open("w", encoding="utf-8") as file:
        for page in pages:
            for row in page:
                row.update((name, json.loads(row[name])) for name in whole)
                file.write(json.dumps(row, ensure_ascii=False, separators=(",", ":")) + "\n")
            count += len(page)
    return count


def _parquet(pages: Pages, table: sa.Table, path: Path) -> int:
    import pyarrow as pa
    import pyarrow.parquet as pq

    schema, count = _schema(table), 0
    with pq.ParquetWriter(path, schema, compression="zstd") as writer:
        for page in pages:
            writer.write_table(pa.Table.from_pylist(page, schema=schema))
            count += len(page)
    return count


def _schema(table: sa.Table) -> pa.Schema:
    import pyarrow as pa

    kinds: dict[type, Any] = {sa.BigInteger: pa.int64(), sa.Double: pa.float64(), sa.Boolean: pa.bool_()}
    return pa.schema([
        ("seoul", pa.string()),
        *((column.name, kinds.get(type(column.type), pa.string())) for column in table.columns
          if column.name != "account_id"),
    ])  # fmt: skip


_WRITERS: Final[dict[str, Callable[[Pages, sa.Table, Path], int]]] = {"csv": _csv, "jsonl": _jsonl, "parquet": _parquet}
