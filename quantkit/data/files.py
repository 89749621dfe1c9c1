"""Sources of bars: files, folders, globs, DataFrames and Arrow tables, read in pieces of bounded size.

Contract: `open_sources` looks at every source (missing files, readable columns) before any row is read, so that a
mistake in the last of a thousand files is reported first. Reading gives Arrow tables in which symbols, dates and
prices of a CSV are still text: leading zeros of a code survive, and a stray word in a price column costs one row, not
the file. CSV may be UTF-8 or CP949 (the exchange's downloads), plain or gzipped. Called by `ingest`.
"""

from __future__ import annotations

import glob
import gzip
import hashlib
import io
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, cast

from quantkit.errors import BadData

if TYPE_CHECKING:
    import pyarrow as pa

PIECE_ROWS = 1_000_000
_SUFFIXES = (".csv", ".csv.gz", ".txt", ".parquet", ".pq")
_CODE = re.compile(r"(?<![0-9A-Za-z])([AQ]?[0-9][0-9A-Z]{5})(?![0-9A-Za-z])")


@dataclass(frozen=True)
class Source:
    """One file, or one table in memory."""

    name: str
    columns: tuple[str, ...]
    path: Path | None = None
    content: Any = None  # pyarrow.Table when there is no path
    encoding: str = "utf-8"

    @property
    def is_csv(self) -> bool:
        """Whether lines are numbered as in a text file."""
        return self.path is not None and ".parquet" not in self.path.name and self.path.suffix != ".pq"

    def digest(self) -> str | None:
        """SHA-256 of a file's bytes; None for a table in memory."""
        if self.path is None:
            return None
        with self.path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()

    def symbol_from_name(self) -> str | None:
        """The code in the file's name: `005930.csv`, `A005930.KS.csv`, `삼성전자_005930.csv`, `AAPL.csv`."""
        if self.path is None:
            return None
        stem = self.path.name.split(".")[0]
        found = _CODE.search(stem)
        return found.group(1) if found else stem

    def pieces(self) -> Iterator[tuple[pa.Table, int]]:
        """(rows, line of the first one) in pieces of at most about `PIECE_ROWS` rows."""
        reader = self._csv() if self.is_csv else self._parquet() if self.path is not None else self._memory()
        line = 2 if self.is_csv else 1
        for table in reader:
            yield table, line
            line += table.num_rows

    def _memory(self) -> Iterator[pa.Table]:
        table = cast("pa.Table", self.content)
        for start in range(0, table.num_rows, PIECE_ROWS):
            yield table.slice(start, PIECE_ROWS)

    def _parquet(self) -> Iterator[pa.Table]:
        import pyarrow as pa
        import pyarrow.parquet as pq

        for batch in pq.ParquetFile(cast("Path", self.path)).iter_batches(PIECE_ROWS):
            yield pa.Table.from_batches([batch])

    def _csv(self) -> Iterator[pa.Table]:
        import pyarrow as pa
        from pyarrow import csv

        read = csv.ReadOptions(block_size=32 << 20, encoding=self.encoding)
        convert = csv.ConvertOptions(
            column_types={name: pa.string() for name in self.columns}, strings_can_be_null=True, null_values=["",
            "NA", "NaN", "nan", "null", "None"]
        )  # fmt: skip
        try:
            with _open_bytes(cast("Path", self.path)) as file:
                for batch in csv.open_csv(file, read_options=read, convert_options=convert):
                    yield pa.Table.from_batches([batch])
        except pa.ArrowInvalid as error:
            raise BadData(f"{self.name}: not readable as CSV: {error}") from error


def open_sources(source: object) -> list[Source]:
    """Everything that `source` names, in order; see the module. BadData names what is missing or not understood."""
    if isinstance(source, str | Path):
        return [_open_file(path) for path in _expand(source)]
    if isinstance(source, Sequence) and not hasattr(source, "__arrow_c_stream__"):
        return [one for part in source for one in open_sources(part)]
    table = as_arrow(source)
    return [Source("frame", tuple(table.column_names), content=table)]


def as_arrow(source: object) -> pa.Table:
    """A DataFrame (pandas, polars), Arrow table, batch or reader as an Arrow table."""
    import pyarrow as pa

    if isinstance(source, pa.Table):
        return source
    if hasattr(source, "reset_index") and hasattr(source, "columns"):
        return _from_pandas(source)
    if isinstance(source, pa.RecordBatch):
        return pa.Table.from_batches([source])
    if hasattr(source, "__arrow_c_stream__"):
        return pa.table(source)
    raise BadData(
        f"cannot ingest {type(source).__name__}; give a path, a glob, a folder, a DataFrame or an Arrow table, "
        "or a list of them"
    )


def _from_pandas(frame: Any) -> pa.Table:
    import pandas as pd
    import pyarrow as pa

    named = [name for name in frame.index.names if name is not None]
    if isinstance(frame.index, pd.DatetimeIndex) and not named:
        frame = frame.rename_axis("date")
        named = ["date"]
    if named or isinstance(frame.index, pd.MultiIndex):
        frame = frame.reset_index()
    frame = frame.rename(columns=str)
    for column in frame.columns:
        if frame[column].dtype == object:
            zones = {str(value.tzinfo) for value in frame[column].dropna() if hasattr(value, "tzinfo")}
            if len(zones) > 1:
                raise BadData(
                    f"frame: column {column!r} mixes time zones ({', '.join(sorted(zones))}); convert all to one"
                )
    try:
        return pa.Table.from_pandas(frame, preserve_index=False)
    except (pa.ArrowInvalid, pa.ArrowTypeError) as error:
        raise BadData(f"frame: a column holds values of several kinds: {error}") from error


def _expand(source: str | Path) -> list[Path]:
    path = Path(source).expanduser()
    if path.is_dir():
        found = sorted(file for file in path.rglob("*") if file.name.endswith(_SUFFIXES) and file.is_file())
        if not found:
            raise BadData(f"{path}: no {', '.join(_SUFFIXES)} file in this folder")
        return found
    if path.is_file():
        return [path]
    if glob.has_magic(str(path)):
        found = sorted(Path(name) for name in glob.iglob(str(path), recursive=True) if Path(name).is_file())  # noqa: PTH207
        if found:
            return found
        raise BadData(f"{path}: no file matches")
    raise BadData(f"{path}: no such file or folder")


def _open_file(path: Path) -> Source:
    import pyarrow as pa
    import pyarrow.parquet as pq

    if not path.name.endswith(_SUFFIXES):
        raise BadData(f"{path}: expected one of {', '.join(_SUFFIXES)}")
    if path.suffix in (".parquet", ".pq"):
        try:
            return Source(str(path), tuple(pq.ParquetFile(path).schema_arrow.names), path=path)
        except (pa.ArrowInvalid, OSError) as error:
            raise BadData(f"{path}: not readable as Parquet: {error}") from error
    with _open_bytes(path) as file:
        try:
            head = file.read(1 << 16)
        except OSError as error:
            raise BadData(f"{path}: not readable: {error}") from error
    if not head.strip():
        raise BadData(f"{path}: the file is empty")
    encoding = _encoding(head, path)
    header = head.decode(encoding, errors="ignore").lstrip("\ufeff").splitlines()[0]
    import csv

    return Source(str(path), tuple(next(csv.reader(io.StringIO(header)))), path=path, encoding=encoding)


def _open_bytes(path: Path) -> IO[bytes]:
    return cast("IO[bytes]", gzip.open(path, "rb")) if path.suffix == ".gz" else path.open("rb")


def _encoding(head: bytes, path: Path) -> str:
    """UTF-8 unless the bytes are not; then CP949, as the exchange and Korean Excel write."""
    for encoding in ("utf-8", "cp949"):
        try:
            head.decode(encoding)
        except UnicodeDecodeError as error:
            if error.start >= len(head) - 4:  # a character cut by the end of the sample
                return encoding
        else:
            return encoding
    raise BadData(f"{path}: neither UTF-8 nor CP949 text")
