"""Merge: bring a batch of checked rows into a bars table, in one commit.

1. Split the batch by partition (year or month).
2. Per partition, find the files whose symbols and times overlap the batch, and small files worth folding in.
3. Drop rows that are there already, replace rows that differ, add the rest.
4. Write the new files (at most `FILE_ROWS` rows each), then commit: new files in, replaced files out.

Contract: nothing of the table changes before step 4, and step 4 is one log entry. A batch that holds nothing new writes
nothing. Mixing raw and adjusted prices of one symbol is BadData. Called by `lake.ingest`; calls `parts` and `tables`.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from quantkit.data.parts import PartIndex, build_index, read_index, read_rows, write_days, write_part
from quantkit.data.rows import ADJUSTED, BEYOND_LIMIT, FIELDS, OPTIONAL, Labels, Rows, concat, concat_labels, time_text
from quantkit.data.tables import DataFile, Table, frequency, mapped_errors
from quantkit.errors import BadData

if TYPE_CHECKING:
    from collections.abc import Mapping

IntArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]

FILE_ROWS = 1_000_000
SMALL_FILE = 200_000


@dataclass(frozen=True, slots=True)
class Merged:
    """What a batch did: rows added and replaced, and the version afterwards."""

    added: int
    replaced: int
    version: int


def merge(
    table: Table, rows: Rows, *, days_folder: Path | None, marks: Mapping[str, int], note: Mapping[str, str]
) -> Merged:
    """Bring sorted, unique `rows` into the table. `marks` are committed with them (names of finished sources)."""
    table.create()
    base = table.delta()
    version = base.version()
    files = table.files(version)
    check_price_kind(table, files, rows)
    freq = frequency(table.name)
    written: list[tuple[str, str, PartIndex]] = []
    removed: list[DataFile] = []
    added = replaced = 0
    try:
        for partition, part in split(rows, freq):
            mine = [file for file in files if file.partition == partition]
            plan = merge_partition(table, mine, part, freq)
            if plan is None:
                continue
            content, old, new_rows, changed_rows = plan
            added, replaced = added + new_rows, replaced + changed_rows
            removed += old
            for piece in pieces(content):
                path = table.new_path(partition)
                with mapped_errors(table.folder):
                    written.append((path, partition, write_part(piece, table.folder / path, freq=freq)))
                    if days_folder is not None:
                        write_days(piece, days_folder / Path(path).name)
        if not written:
            return Merged(0, 0, version)
        marks = {**marks, **({"replaced": version + 1} if replaced else {})}
        version = table.commit(
            [(path, partition, statistics(index, freq)) for path, partition, index in written],
            removed, marks=marks, note=note, base=base,
        )  # fmt: skip
    except BaseException:
        # Files without a commit are not part of the table; leave no litter where the process still can.
        for path, _, _ in written:
            (table.folder / path).unlink(missing_ok=True)
            if days_folder is not None:
                (days_folder / Path(path).name).unlink(missing_ok=True)
        raise
    if days_folder is not None:
        for file in removed:
            (days_folder / Path(file.path).name).unlink(missing_ok=True)
    return Merged(added, replaced, version)


def split(rows: Rows, freq: str) -> list[tuple[str, Rows]]:
    """Rows by partition value, in order."""
    if freq == "1d":
        keys = rows.time.astype("datetime64[D]").astype("datetime64[Y]")
    else:
        keys = (rows.time + 9 * 3_600_000_000).astype("datetime64[us]").astype("datetime64[M]")
    unique = np.unique(keys)
    if len(unique) == 1:
        return [(str(unique[0]), rows)]
    return [(str(key), rows.take(keys == key)) for key in unique]


def merge_partition(
    table: Table, files: list[DataFile], rows: Rows, freq: str
) -> tuple[Rows, list[DataFile], int, int] | None:
    """(content to write, files it stands for, rows added, rows replaced); None when nothing is new."""
    old: list[DataFile] = []
    for file in files:
        index = read_index(str(table.folder / file.path))
        if overlaps(index, rows):
            old.append(file)
    stored = concat([read_rows(table.folder / file.path, freq=freq) for file in old]) if old else None
    if stored is not None:
        keep, fresh, added, replaced, rows = compare(stored, rows)
        if not added + replaced:
            return None
        content = concat([stored.take(keep), rows.take(fresh)])
    else:
        content, added, replaced = rows, len(rows), 0
    small = [file for file in files if file not in old and read_index(str(table.folder / file.path)).rows < SMALL_FILE]
    if small:
        content = concat([content, *(read_rows(table.folder / file.path, freq=freq) for file in small)])
    return content.sorted(), old + small, added, replaced


def overlaps(index: PartIndex, rows: Rows) -> bool:
    """Whether the file may hold one of the rows' keys: a shared symbol whose times touch."""
    first, last = index.span
    if rows.time.min() > last or rows.time.max() < first:
        return False
    code = rows.symbol.codes
    starts = np.flatnonzero(np.diff(code, prepend=-1))
    firsts, lasts = rows.time[starts], rows.time[np.append(starts[1:], len(code)) - 1]
    for place, begin, end in zip(code[starts].tolist(), firsts.tolist(), lasts.tolist(), strict=True):
        known = index.position.get(rows.symbol.names[place])
        if known is not None and begin <= index.last[known] and end >= index.first[known]:
            return True
    return False


def compare(stored: Rows, rows: Rows) -> tuple[BoolArray, BoolArray, int, int, Rows]:
    """(stored rows to keep, new rows to write, number added, number replaced, the new rows completed).

    What a new row leaves open (an optional field, market, status) it takes over from the stored row of its key.
    """
    both = concat_labels([stored.symbol, rows.symbol])
    origin = min(int(stored.time.min()), int(rows.time.min()))
    width = max(int(stored.time.max()), int(rows.time.max())) - origin + 1
    keys = both.codes.astype(np.int64) * width
    old = keys[: len(stored)] + stored.time - origin
    new = keys[len(stored) :] + rows.time - origin
    order = np.argsort(old, kind="stable")
    match = order[np.minimum(np.searchsorted(old[order], new), len(old) - 1)]
    known = old[match] == new
    there, here = match[known], np.flatnonzero(known)
    rows = _completed(stored, there, rows, here)
    same = known.copy()
    same[here] = _equal(stored, there, rows, here)
    keep = np.ones(len(stored), dtype=bool)
    keep[match[known & ~same]] = False
    return keep, ~same, int((~known).sum()), int((known & ~same).sum()), rows


def _completed(stored: Rows, there: IntArray, rows: Rows, here: IntArray) -> Rows:
    fields = dict(rows.fields)
    for name in OPTIONAL:
        known, given = stored.fields[name][there], fields[name][here]
        if np.isnan(given).any():
            fields[name] = fields[name].copy()
            fields[name][here] = np.where(np.isnan(given), known, given)
    market = rows.market.copy()
    market[here] = np.where(market[here] < 0, stored.market[there], market[here])
    status = concat_labels([stored.status, rows.status])
    codes = status.codes[len(stored) :].copy()
    codes[here] = np.where(codes[here] < 0, status.codes[there], codes[here])
    return replace(rows, fields=fields, market=market, status=Labels(status.names, codes))


def _equal(left: Rows, there: IntArray, right: Rows, here: IntArray) -> BoolArray:
    """Whether stored rows say the same as new ones; the doubt about limits depends on neighbours and does not count."""
    same = np.ones(len(here), dtype=bool)
    for name in FIELDS:
        a, b = left.fields[name][there], right.fields[name][here]
        same &= (a == b) | ((a != a) & (b != b))
    same &= (left.market[there] == right.market[here]) & (
        (left.flag[there] | BEYOND_LIMIT) == (right.flag[here] | BEYOND_LIMIT)
    )
    texts = concat_labels([left.status.take(there), right.status.take(here)]).codes
    return np.asarray(same & (texts[: len(here)] == texts[len(here) :]))


def pieces(rows: Rows) -> list[Rows]:
    """Cut at symbol borders into files of about `FILE_ROWS` rows."""
    if len(rows) <= FILE_ROWS:
        return [rows]
    borders = np.flatnonzero(np.diff(rows.symbol.codes)) + 1
    cuts, begin = [0], 0
    for border in borders.tolist():
        if border - begin >= FILE_ROWS:
            cuts.append(border)
            begin = border
    cuts.append(len(rows))
    return [rows.take(slice(start, stop)) for start, stop in itertools.pairwise(cuts) if stop > start]


def statistics(index: PartIndex, freq: str) -> dict[str, object]:
    """File statistics of the log, with which any Delta reader prunes files."""
    first, last = index.span
    name = "date" if freq == "1d" else "time"
    text = [time_text(moment, freq) for moment in (first, last)]
    return {
        "numRecords": index.rows,
        "minValues": {"symbol": index.symbols[0], name: text[0]},
        "maxValues": {"symbol": index.symbols[-1], name: text[1]},
        "nullCount": {"symbol": 0, name: 0},
    }


def check_price_kind(table: Table, files: tuple[DataFile, ...], rows: Rows) -> None:
    """Raw and adjusted prices of one symbol must not meet in one table."""
    mine = build_index(rows)
    adjusted = {symbol: bool(marks & ADJUSTED) for symbol, marks in zip(mine.symbols, mine.marks.tolist(), strict=True)}
    for file in files:
        index = read_index(str(table.folder / file.path))
        for symbol, marks in zip(index.symbols, index.marks.tolist(), strict=True):
            if symbol in adjusted and bool(marks & ADJUSTED) != adjusted[symbol]:
                here, there = ("adjusted", "raw") if adjusted[symbol] else ("raw", "adjusted")
                raise BadData(
                    f"{table.name} holds {there} prices of {symbol}; these are {here}. One symbol is one or the other: "
                    f'ingest with prices="{there}", or keep the {here} ones in another lake'
                )


__all__ = ["FILE_ROWS", "Merged", "merge"]
