"""Questions to a journal's tables that need no replay: entries, projections and the wire log, filtered.

Contract: reads what stands there, unchecked (`audit.verify` checks); rows are dicts of a table's columns but the
account, oldest first. Times are UTC nanoseconds. A filter that a table has no column for is a ConfigError.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import sqlalchemy as sa

from quantkit.errors import ConfigError
from quantkit.live.journal import tables

if TYPE_CHECKING:
    from collections.abc import Iterator

    from quantkit.live.journal.projections import Row
    from quantkit.live.journal.reader import Reader
    from quantkit.trading.events import Kind

PAGE: Final = 5_000
_NAMES: Final = {
    "order": ("client_order_id", "order_id"), "deployment": ("strategy_id", "deployment"), "symbol": ("symbol",),
    "kinds": ("kind",), "since": ("ts_ns", "time"), "until": ("ts_ns", "time"),
}  # fmt: skip
"""The columns a filter may look at, by what it is called."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Filters:
    """What is wanted; None and () mean everything. since, until: both included."""

    order: str | None = None
    deployment: str | None = None
    symbol: str | None = None
    kinds: tuple[Kind, ...] = ()
    since: int | None = None
    until: int | None = None


def count(journal: Reader, table: sa.Table, filters: Filters) -> int:
    """Rows that there are."""
    chosen = sa.select(sa.func.count()).select_from(table).where(*_where(journal, table, filters))
    with journal.reading() as connection:
        return int(connection.execute(chosen).scalar_one())


def last(journal: Reader, table: sa.Table, filters: Filters, most: int) -> list[Row]:
    """The newest rows, the oldest of them first. most: 0 means all."""
    chosen = _select(table).where(*_where(journal, table, filters)).order_by(*(c.desc() for c in _order(table)))
    if most:
        chosen = chosen.limit(most)
    with journal.reading() as connection:
        return [dict(row) for row in connection.execute(chosen).mappings()][::-1]


def pages(journal: Reader, table: sa.Table, filters: Filters) -> Iterator[list[Row]]:
    """All rows, as they stood at one moment."""
    chosen = _select(table).where(*_where(journal, table, filters)).order_by(*_order(table))
    with journal.at_once(), journal.reading() as connection:
        found = connection.execution_options(yield_per=PAGE).execute(chosen).mappings()
        for page in found.partitions():
            yield [dict(row) for row in page]


def _select(table: sa.Table) -> sa.Select[Any]:
    return sa.select(*(column for column in table.columns if column.name != "account_id"))


def _order(table: sa.Table) -> list[sa.Column[Any]]:
    """What the rows are sorted by."""
    if table is tables.journal:
        return [table.c.seq]
    if table is tables.wire_log:
        return [table.c.id]
    return [table.c.time, table.c.seq, *(table.c[name] for name in tables.key_of(table))]


def _where(journal: Reader, table: sa.Table, filters: Filters) -> Iterator[sa.ColumnElement[bool]]:
    yield table.c.account_id == journal.account
    for name, columns in _NAMES.items():
        wanted = getattr(filters, name)
        if wanted is None or wanted == ():
            continue
        if name == "order" and table is tables.orders:
            columns = ("id",)
        column = next((table.c[each] for each in columns if each in table.c), None)
        if column is None:
            raise ConfigError(f"--{name.removesuffix('s')}: {table.name} knows no {name.removesuffix('s')}")
        match name:
            case "kinds":
                yield column.in_([kind.value for kind in wanted])
            case "since":
                yield column >= wanted
            case "until":
                yield column <= wanted
            case _:
                yield column == wanted
