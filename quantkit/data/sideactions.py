"""The lake's `actions` table: what a user states, and what base or adjusted prices imply, in one place.

Contract: one row per symbol and ex-date and kind. A stated action takes the place of a derived one of the same symbol
and ex-date ("unknown" is then known); a derived one never touches a stated one. share_ratio is null where nobody said
it. `stored_actions` gives rows that `actions.make_actions` accepts.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from quantkit.data.actions import KINDS, make_actions
from quantkit.data.dates import NO_DAY, day_text
from quantkit.data.tables import Table, table_schema

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from quantkit.data.derive import Derived

GIVEN, FROM_BASE, FROM_ADJUSTED = "given", "base", "adjusted"


def stored_actions(table: Table, version: int | None = None) -> list[dict[str, Any]]:
    """Rows of a version as mappings with ISO dates, without the `source` column."""
    if version == -1:
        return []
    rows = []
    for row in table.read(version).to_pylist():
        row.pop("source")
        row["ex_date"] = row["ex_date"].isoformat()
        row["pay_date"] = row["pay_date"].isoformat() if row["pay_date"] is not None else None
        rows.append(row)
    return rows


def state_actions(table: Table, given: object) -> tuple[int, int]:
    """Take actions a user states; (added, replaced). BadData as `make_actions` says."""
    rows = []
    for action in make_actions(given):
        paid = int(action["pay_day"])
        rows.append({
            "symbol": str(action["symbol"]), "ex_date": day_text(int(action["ex_day"])), "kind": KINDS[action["kind"]],
            "price_factor": float(action["price_factor"]), "share_ratio": float(action["share_ratio"]),
            "cash_per_share": float(action["cash_per_share"]), "receivable": bool(action["receivable"]),
            "pay_date": None if paid == NO_DAY else day_text(paid), "source": GIVEN,
        })  # fmt: skip
    return _merge(table, rows, marks={})


def record_derived(table: Table, found: Iterable[Derived], *, bars_version: int) -> int:
    """Take derived actions, and that they were derived from this version of the bars; gives the number of new ones."""
    rows = [_derived(one, FROM_BASE) for one in found]
    known = {(row["symbol"], row["ex_date"]) for row in _rows(table) if row["source"] == GIVEN}
    fresh = [row for row in rows if (row["symbol"], row["ex_date"]) not in known]
    return _merge(table, fresh, marks={"derived": bars_version})[0]


def record_adjusted(table: Table, found: Iterable[Derived]) -> int:
    """Take actions read off adjusted prices, where nothing is known of that day yet; gives the number of new ones."""
    known = {(row["symbol"], row["ex_date"]) for row in _rows(table)}
    rows = [_derived(one, FROM_ADJUSTED) for one in found]
    return _merge(table, [row for row in rows if (row["symbol"], row["ex_date"]) not in known], marks={})[0]


def _derived(one: Derived, source: str) -> dict[str, Any]:
    return {
        "symbol": one.symbol, "ex_date": day_text(one.ex_day), "kind": "unknown", "price_factor": one.price_factor,
        "share_ratio": None, "cash_per_share": 0.0, "pay_date": None, "receivable": False, "source": source,
    }  # fmt: skip


def _rows(table: Table) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = table.read().to_pylist()
    for row in rows:
        row["ex_date"] = row["ex_date"].isoformat()
        row["pay_date"] = row["pay_date"].isoformat() if row["pay_date"] is not None else None
    return rows


def _merge(table: Table, new: Sequence[dict[str, Any]], *, marks: dict[str, int]) -> tuple[int, int]:
    """Write the table anew if anything changes; (added, replaced)."""
    old = _rows(table)
    content = {(row["symbol"], row["ex_date"], row["kind"]): row for row in old}
    added = replaced = 0
    for row in new:
        key = (row["symbol"], row["ex_date"], row["kind"])
        derived = (*key[:2], "unknown")
        if row["source"] == GIVEN and key != derived and content.get(derived, {}).get("source", GIVEN) != GIVEN:
            content.pop(derived)
            replaced += 1
        elif key not in content:
            added += 1
        elif not _same(content[key], row):
            replaced += 1
        else:
            continue
        content[key] = row
    if added + replaced or any(table.mark(name) != number for name, number in marks.items()):
        _write(table, sorted(content.values(), key=lambda row: (row["ex_date"], row["symbol"], row["kind"])), marks)
    return added, replaced


def _same(left: dict[str, Any], right: dict[str, Any]) -> bool:
    for name, value in left.items():
        other = right[name]
        if isinstance(value, float) and isinstance(other, float):
            if not math.isclose(value, other, rel_tol=1e-12):
                return False
        elif value != other:
            return False
    return True


def _write(table: Table, rows: Sequence[dict[str, Any]], marks: dict[str, int]) -> None:
    import pyarrow as pa

    schema = table_schema("actions")
    arrays = []
    for column in schema:
        values = [row[column.name] for row in rows]
        if pa.types.is_date32(column.type):
            days = [None if value is None else int(np.datetime64(value, "D").astype(np.int64)) for value in values]
            arrays.append(pa.array(days, pa.int32()).cast(pa.date32()))
        else:
            arrays.append(pa.array(values, column.type))
    table.replace(pa.Table.from_arrays(arrays, schema=schema), marks=marks, note="actions")
