"""Reading a journal's tables: entries with their chain checked, projections, snapshots, commands.

Contract: takes no lease and writes nothing, so it may run beside the owner. Entries are read a page at a time; no
transaction stays open between pages, except inside `at_once`, where all that is read is of one moment.
"""

from __future__ import annotations

import hashlib
import json
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

import sqlalchemy as sa

from quantkit.errors import BadData, Bug
from quantkit.live.journal import tables
from quantkit.live.journal.base import Recorded
from quantkit.live.journal.chain import GENESIS, row_hash
from quantkit.live.journal.database import mapped, reading
from quantkit.live.messages import Command
from quantkit.trading.events import Entry, Kind

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from quantkit.live.journal.projections import Key, Row

PAGE: Final = 5_000  # entries read at once
WAITING, RECEIVED = "waiting", "received"  # states of a command

_J = tables.journal.c
_COLUMNS = (_J.seq, _J.epoch, _J.ts_ns, _J.kind, _J.client_order_id, _J.strategy_id, _J.payload, _J.prev_hash, _J.hash)
_PAGE = (
    sa.select(*_COLUMNS).where(_J.account_id == sa.bindparam("account"), _J.seq > sa.bindparam("after"))
    .order_by(_J.seq).limit(sa.bindparam("count"))
)  # fmt: skip
_HEAD = (
    sa.select(_J.seq, _J.hash).where(_J.account_id == sa.bindparam("account")).order_by(_J.seq.desc()).limit(1)
)  # fmt: skip
_HASH = sa.select(_J.hash).where(_J.account_id == sa.bindparam("account"), _J.seq == sa.bindparam("seq"))
_S = tables.snapshots.c
_SNAPSHOTS = (
    sa.select(_S.seq, _S.hash, _S.digest, _S.state, _J.hash.label("row_hash"))
    .select_from(tables.snapshots.outerjoin(tables.journal, (_J.account_id == _S.account_id) & (_J.seq == _S.seq)))
    .where(_S.account_id == sa.bindparam("account")).order_by(_S.seq.desc())
)  # fmt: skip
_C = tables.commands.c
_COMMANDS = (
    sa.select(_C.time, _C.id, _C.name, _C.by, _C.reason, _C.arguments)
    .where(_C.account_id == sa.bindparam("account"), _C.state == WAITING).order_by(_C.time, _C.id)
)  # fmt: skip


def digest_of(state: bytes) -> str:
    """What a snapshot is checked by."""
    return hashlib.sha256(state).hexdigest()


class Reader:
    """One account's tables in a database."""

    def __init__(self, engine: sa.Engine, url: str, account: str) -> None:
        self.account = account
        self.url = url
        self._engine = engine
        self._who = {"account": account}
        self._held: sa.Connection | None = None

    @contextmanager
    def at_once(self) -> Iterator[None]:
        """Everything read inside stood there at one moment, whatever the owner writes meanwhile."""
        with mapped(self.url), self._engine.connect() as connection:
            if self._engine.dialect.name == "sqlite":
                connection.exec_driver_sql("BEGIN")
            else:
                connection.execution_options(isolation_level="REPEATABLE READ")
            self._held = connection
            try:
                yield
            finally:
                self._held = None
                connection.rollback()

    @contextmanager
    def reading(self) -> Iterator[sa.Connection]:
        """A connection for a few reads."""
        if self._held is None:
            with reading(self._engine, self.url) as connection:
                yield connection
        else:
            with mapped(self.url):
                yield self._held

    def head(self) -> tuple[int, str]:
        """Number and hash of the last entry; (0, GENESIS) where there is none."""
        with self.reading() as connection:
            row = connection.execute(_HEAD, self._who).first()
        return (0, GENESIS) if row is None else (row[0], row[1])

    def read(self, after: int = 0) -> Iterator[Recorded]:
        """Entries after that number, oldest first, those written meanwhile too. BadData where the chain is broken."""
        before = GENESIS
        if after:
            with self.reading() as connection:
                before = connection.execute(_HASH, {**self._who, "seq": after}).scalar() or ""
            if not before:
                raise BadData(f"the journal of {self.account} has no entry {after}")
        while rows := self.rows(after):
            payloads = _payloads(self.account, rows)
            for row, payload in zip(rows, payloads, strict=True):
                recorded = _recorded(self.account, row, payload, after, before)
                after, before = recorded.seq, recorded.hash
                yield recorded

    def rows(self, after: int, count: int = PAGE) -> Sequence[Any]:
        """Rows as they stand, unchecked."""
        with self.reading() as connection:
            return connection.execute(_PAGE, {**self._who, "after": after, "count": count}).fetchall()

    def snapshot(self) -> tuple[int, bytes] | None:
        """The latest state whose digest fits; the journal is the truth, so one that is damaged is passed over."""
        with self.reading() as connection:
            for seq, hash_, digest, state, row_hash_ in connection.execute(_SNAPSHOTS, self._who):
                fits = hash_ == (row_hash_ if seq else GENESIS)
                if fits and digest == digest_of(state):
                    return seq, state
        return None

    def commands(self) -> list[Command]:
        """Commands that no entry speaks of, oldest first."""
        with self.reading() as connection:
            rows = connection.execute(_COMMANDS, self._who).fetchall()
        return [Command(*row[:5], arguments=json.loads(row[5])) for row in rows]

    def received(self, id_: str) -> int | None:
        """Number of the entry that answers a command; None while it waits."""
        chosen = sa.select(_C.seq).where(_C.account_id == self.account, _C.id == id_, _C.state == RECEIVED)
        with self.reading() as connection:
            found: int | None = connection.execute(chosen).scalar()
        return found

    def projection(self, table: sa.Table) -> dict[Key, Row]:
        """All rows of a projection by their key."""
        names = [column.name for column in table.columns if column.name != "account_id"]
        key = tables.key_of(table)
        chosen = sa.select(*(table.c[name] for name in names)).where(table.c.account_id == self.account)
        with self.reading() as connection:
            found = [dict(zip(names, row, strict=True)) for row in connection.execute(chosen)]
        return {tuple(row[name] for name in key): row for row in found}

    def close(self) -> None:
        """Close the connections."""
        self._engine.dispose()


def _payloads(account: str, rows: Sequence[Any]) -> Iterable[dict[str, Any]]:
    """Payloads of a page, parsed at one go where that can be: it takes a third of the time of one by one."""
    texts = [row[6] for row in rows]
    try:
        found = json.loads(f"[{','.join(texts)}]")
    except ValueError:
        found = ()
    return found if len(found) == len(texts) else _one_by_one(account, rows)


def _one_by_one(account: str, rows: Sequence[Any]) -> Iterator[dict[str, Any]]:
    for row in rows:
        try:
            yield json.loads(row[6])
        except ValueError as error:
            raise BadData(f"journal of {account}, entry {row[0]}: its payload is no JSON: {error}") from error


def _recorded(account: str, row: Any, payload: dict[str, Any], after: int, before: str) -> Recorded:
    """A row as an entry in its place; BadData where it does not follow the one before it."""
    seq, epoch, time, kind, order, deployment, text, prev_hash, hash_ = row
    if seq != after + 1:
        raise BadData(f"journal of {account}: entry {after + 1} is missing; the next one there is {seq}")
    if prev_hash != before:
        raise BadData(f"journal of {account}, entry {seq}: it does not follow the entry before it (prev_hash differs)")
    try:
        entry = Entry(Kind(kind), time, payload, order, deployment)
    except (ValueError, Bug, TypeError, AttributeError) as error:
        raise BadData(f"journal of {account}, entry {seq}: {error}") from error
    if row_hash(account, seq, epoch, entry, text, before) != hash_:
        raise BadData(f"journal of {account}, entry {seq}: it was changed after it was written (its hash differs)")
    return Recorded(seq, epoch, entry, prev_hash, hash_)
