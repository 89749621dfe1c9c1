"""Parquet files of a bars table: how one is written, and the index in its footer that makes every question cheap.

Contract: a file holds rows sorted by symbol and time, in small row groups, and never changes. Its footer carries an
index (symbols, first row of each, first and last time of each, calendar group, the distinct times), so that

    one symbol            reads the one or two row groups that hold it,
    a matrix of a field   decodes that field and the time, not the symbols,
    `data list`           reads no rows at all.

A copy of the same rows sorted by time (`write_days`) answers the cross-section of a day; it is derived, may be
deleted at any time, and costs about as much disk as the table. Row times are epoch days (daily) or UTC microseconds.
Called by `merge` (writing) and `panel` (reading).
"""

from __future__ import annotations

import base64
import json
import os
import zlib
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from quantkit.data.rows import FIELDS, GROUPS, REQUIRED, Labels, Rows
from quantkit.errors import BadData

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import pyarrow as pa
    import pyarrow.parquet as pq

IntArray = NDArray[np.int64]
FloatArray = NDArray[np.float64]

ROW_GROUP = 4096
COMPRESSION = "lz4"  # twice the speed of zstd for half as much more disk
_INDEX_KEY = b"quantkit.index"


@dataclass(frozen=True)
class PartIndex:
    """What a file's footer says: arrays over its symbols, and the distinct times of each calendar group."""

    symbols: tuple[str, ...]
    start: IntArray  # (S + 1,) first row of each symbol, then the number of rows
    first: IntArray  # (S,) first time
    last: IntArray  # (S,) last time
    group: IntArray  # (S,) index in rows.GROUPS
    market: IntArray  # (S,) market id at the symbol's last row, -1 unknown
    marks: IntArray  # (S,) every flag bit that any row of the symbol carries
    times: tuple[IntArray, ...]  # by group
    present: tuple[str, ...]  # optional fields with a value
    row_group: int = ROW_GROUP  # rows of every row group but the last

    @property
    def rows(self) -> int:
        """Number of rows."""
        return int(self.start[-1])

    @cached_property
    def position(self) -> dict[str, int]:
        """Symbol to its place."""
        return {symbol: place for place, symbol in enumerate(self.symbols)}

    @property
    def span(self) -> tuple[int, int]:
        """First and last time of any row."""
        return int(self.first.min()), int(self.last.max())


def time_field(freq: str) -> str:
    """Name of the time column: `date` in daily tables, `time` in intraday ones."""
    return "date" if freq == "1d" else "time"


def arrow_schema(freq: str) -> pa.Schema:
    """Columns of a data file, without the partition column."""
    import pyarrow as pa

    stamp = pa.date32() if freq == "1d" else pa.timestamp("us", tz="UTC")
    columns = [pa.field("symbol", pa.string()), pa.field(time_field(freq), stamp)]
    columns += [pa.field(name, pa.float64()) for name in FIELDS]
    columns += [pa.field("market", pa.string()), pa.field("status", pa.string()), pa.field("flag", pa.int8())]
    return pa.schema(columns)


def write_part(rows: Rows, path: Path, *, freq: str) -> PartIndex:
    """Write sorted, unique rows as one file, flushed to disk. OSError leaves no file behind."""
    import pyarrow as pa

    index = build_index(rows)
    columns: dict[str, pa.Array] = {"symbol": _text(rows.symbol), time_field(freq): time_column(rows.time, freq)}
    columns |= {name: pa.array(rows.fields[name], from_pandas=name not in REQUIRED) for name in FIELDS}
    columns |= {"market": _market_text(rows.market), "status": _text(rows.status), "flag": pa.array(rows.flag)}
    table = pa.table(columns).replace_schema_metadata({_INDEX_KEY: pack_index(index)})
    _write(table, path, row_group=ROW_GROUP)
    return index


def write_days(rows: Rows, path: Path) -> None:
    """Write the by-time copy: the same rows sorted by time, symbols as places in the part's index."""
    import pyarrow as pa

    order = np.lexsort((rows.symbol.codes, rows.time))
    _, place = np.unique(rows.symbol.codes, return_inverse=True)  # as in the part's index: only symbols that occur
    columns = {"place": pa.array(place[order].astype(np.int32)), "moment": pa.array(rows.time[order])}
    columns |= {name: pa.array(rows.fields[name][order], from_pandas=True) for name in FIELDS}
    columns["flag"] = pa.array(rows.flag[order])
    _write(pa.table(columns), path, row_group=ROW_GROUP)


def _write(table: pa.Table, path: Path, *, row_group: int) -> None:
    import pyarrow.parquet as pq

    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with temporary.open("wb") as sink:
            pq.write_table(
                table,
                sink,
                row_group_size=row_group,
                compression=COMPRESSION,
                use_dictionary=[name for name in table.column_names if name not in ("volume", "value", "market_cap")],
                write_statistics=["symbol", "date", "time", "moment"],
            )
            sink.flush()
            os.fsync(sink.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def read_rows(path: Path, *, freq: str) -> Rows:
    """Every row of a part, lines and names absent."""
    table = _open(str(path)).read()
    length = table.num_rows
    market = labels(table["market"])
    from quantkit.market import MARKET_ID

    ids = np.array([MARKET_ID[name] for name in market.names] + [-1], dtype=np.int8)
    return Rows(
        labels(table["symbol"]),
        time_values(table[time_field(freq)]),
        {name: values(table[name]) for name in FIELDS},
        ids[market.codes],
        table["flag"].to_numpy().astype(np.int8),
        labels(table["status"]),
        Labels.constant(None, length),
        np.zeros(length, np.int64),
    )


def values(column: Any) -> FloatArray:
    """A numeric column as float64, null as NaN."""
    return np.asarray(column.to_numpy(), dtype=np.float64)


def time_values(column: Any) -> IntArray:
    """A date or timestamp column as int64 days or microseconds."""
    import pyarrow as pa

    whole = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    if isinstance(whole, pa.ChunkedArray):
        whole = pa.concat_arrays(whole.chunks)
    if pa.types.is_date32(whole.type):
        return np.asarray(whole.view(pa.int32()).to_numpy(), dtype=np.int64)
    return np.asarray(whole.view(pa.int64()).to_numpy(), dtype=np.int64)


def time_column(time: IntArray, freq: str) -> pa.Array:
    """int64 days or microseconds as the stored type."""
    import pyarrow as pa

    if freq == "1d":
        return pa.array(time.astype(np.int32)).view(pa.date32())
    return pa.array(time).view(pa.timestamp("us", tz="UTC"))


def labels(column: Any) -> Labels:
    """A text column as sorted codes."""
    import pyarrow as pa

    plain = column.cast(pa.string()) if not pa.types.is_dictionary(column.type) else column
    coded = plain if pa.types.is_dictionary(plain.type) else plain.dictionary_encode()
    whole = coded.combine_chunks() if isinstance(coded, pa.ChunkedArray) else coded
    if isinstance(whole, pa.ChunkedArray):
        whole = whole.unify_dictionaries().combine_chunks()
    codes = whole.indices.fill_null(-1).to_numpy(zero_copy_only=False).astype(np.int32)
    return Labels.of(whole.dictionary.to_pylist(), codes)


def _text(column: Labels) -> pa.Array:
    import pyarrow as pa

    codes = pa.array(column.codes, mask=column.codes < 0)
    return pa.DictionaryArray.from_arrays(codes, pa.array(column.names, pa.string()))


def _market_text(market: NDArray[np.int8]) -> pa.Array:
    import pyarrow as pa

    from quantkit.market import MARKETS

    return pa.DictionaryArray.from_arrays(pa.array(market, mask=market < 0), pa.array(MARKETS, pa.string()))


def build_index(rows: Rows) -> PartIndex:
    """The footer's index of sorted rows."""
    code = rows.symbol.codes
    starts = np.flatnonzero(np.diff(code, prepend=-1)).astype(np.int64)
    stops = np.append(starts[1:], len(code))
    groups = rows.groups()
    return PartIndex(
        symbols=tuple(rows.symbol.names[place] for place in code[starts].tolist()),
        start=np.append(starts, len(code)).astype(np.int64),
        first=rows.time[starts],
        last=rows.time[stops - 1],
        group=groups[stops - 1],
        market=rows.market[stops - 1].astype(np.int64),
        marks=np.bitwise_or.reduceat(rows.flag.astype(np.int64), starts),
        times=tuple(np.unique(rows.time[groups == group]) for group in range(len(GROUPS))),
        present=tuple(name for name in FIELDS if name in REQUIRED or bool((~np.isnan(rows.fields[name])).any())),
    )


_ARRAYS = ("start", "first", "last", "group", "market", "marks")


def pack_index(index: PartIndex) -> bytes:
    """The index as JSON with compressed arrays."""
    arrays = {name: getattr(index, name) for name in _ARRAYS}
    arrays |= {f"times{group}": times for group, times in enumerate(index.times)}
    packed = {
        name: base64.b64encode(zlib.compress(np.diff(array, prepend=0).astype("<i8").tobytes(), 1)).decode()
        for name, array in arrays.items()
    }
    return json.dumps(
        {"symbols": "\n".join(index.symbols), "present": index.present, "row_group": index.row_group, **packed}
    ).encode()


def unpack_index(blob: bytes) -> PartIndex:
    """The opposite of `pack_index`."""
    content = json.loads(blob)
    arrays = {
        name: np.cumsum(np.frombuffer(zlib.decompress(base64.b64decode(text)), "<i8"))
        for name, text in content.items()
        if name not in ("symbols", "present", "row_group")
    }
    times = tuple(arrays[f"times{group}"] for group in range(len(GROUPS)))
    symbols = tuple(content["symbols"].split("\n"))
    return PartIndex(
        symbols=symbols,
        times=times,
        present=tuple(content["present"]),
        row_group=content["row_group"],
        **{name: arrays[name] for name in _ARRAYS},
    )


@lru_cache(maxsize=512)
def _footer(path: str) -> tuple[pq.FileMetaData, PartIndex | None]:
    """Footer of a file, kept: files never change. The index is None in a by-time copy."""
    import pyarrow.parquet as pq

    metadata = pq.ParquetFile(path, memory_map=True).metadata
    blob = (metadata.metadata or {}).get(_INDEX_KEY)
    return metadata, None if blob is None else unpack_index(blob)


def read_index(path: str) -> PartIndex:
    """Index of a part. BadData when the file was not written by quantkit."""
    index = _footer(path)[1]
    if index is None:
        raise BadData(f"{path}: this Parquet file has no quantkit index; put data into a lake with lake.ingest")
    return index


def _open(path: str) -> pq.ParquetFile:
    import pyarrow.parquet as pq

    return pq.ParquetFile(path, metadata=_footer(path)[0], memory_map=True)


def read_columns(path: str, columns: Sequence[str], groups: Sequence[int] | None, *, threads: bool = False) -> pa.Table:
    """Columns of a part: all row groups, or the given ones, these with several threads if they are many."""
    file = _open(path)
    if groups is None:
        return file.read(list(columns))
    return file.read_row_groups(list(groups), list(columns), use_threads=threads)


@lru_cache(maxsize=1024)
def day_groups(path: str, start: int, stop: int) -> list[int]:
    """Row groups of a by-time copy that may hold times in [start, stop]."""
    metadata = _footer(path)[0]
    place = metadata.schema.names.index("moment")
    found = []
    for number in range(metadata.num_row_groups):
        statistics = metadata.row_group(number).column(place).statistics
        if statistics.max >= start and statistics.min <= stop:
            found.append(number)
    return found
