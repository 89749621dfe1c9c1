"""The journal in a database.

An append, in one transaction:

    1. wait for the turn (SQLite: BEGIN IMMEDIATE, PostgreSQL: an advisory lock of the account), WAIT_S at most
    2. look at the lease: another epoch there is a second owner
    3. chain the entries and insert them
    4. fold them (`projections`) and write the rows that changed
    5. mark commands that the entries speak of as received; keep the snapshot, drop old ones
    6. commit; only now is memory brought up to date

Contract: that of `journal.base`. A failure before 6 leaves database and memory as they were. A failure in 6 may have
been written or not: the next append looks, and where it was, the same entries return what stands, others are refused.
One thread.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from quantkit.errors import Bug, QuantkitError, Refused
from quantkit.live.journal import tables
from quantkit.live.journal.base import Recorded
from quantkit.live.journal.chain import canonical, encode, row_hash
from quantkit.live.journal.database import Prepared, connect, mapped, path_of, reading, writing
from quantkit.live.journal.projections import KEYS, Projections, order_of
from quantkit.live.journal.reader import RECEIVED, WAITING, Reader, digest_of
from quantkit.live.redact import Redactor
from quantkit.trading.events import Kind
from quantkit.trading.orders import TERMINAL

if TYPE_CHECKING:
    from collections.abc import Sequence

    from quantkit.live.journal.projections import Key, Row
    from quantkit.live.messages import Command
    from quantkit.trading.events import Entry

SNAPSHOTS_KEPT: Final = 3
WIRE_KEPT_NS: Final = 90 * 86_400 * 1_000_000_000
_WHOLE = (tables.positions, tables.cash, tables.risk_state, tables.strategy_state, tables.deployments)
_ON_DEMAND = {"orders": tables.orders, "fills": tables.fills, "external_orders": tables.external_orders}
_L, _C, _S = tables.leases.c, tables.commands.c, tables.snapshots.c


def _upsert(table: sa.Table, dialect: str) -> Any:
    """INSERT that replaces the row of the same key."""
    insert = (sqlite.insert if dialect == "sqlite" else postgresql.insert)(table)
    key = [column.name for column in table.primary_key.columns]
    given = {column.name: insert.excluded[column.name] for column in table.columns if column.name not in key}
    return insert.on_conflict_do_update(index_elements=key, set_=given)


def take_lease(engine: sa.Engine, url: str, account: str, *, owner: str, now: int) -> int:
    """Become the owner of an account; the epoch from now on."""
    with writing(engine, url, account=account) as connection:
        before = connection.execute(sa.select(_L.epoch).where(_L.account_id == account)).scalar()
        epoch = 1 if before is None else before + 1
        row = {"account_id": account, "owner": owner, "epoch": epoch, "since": now}
        connection.execute(_upsert(tables.leases, engine.dialect.name), row)
    return epoch


class StoredJournal(Reader):
    """A journal open for writing; `open_journal` makes it, with the lease taken and the tables in their form."""

    def __init__(
        self, engine: sa.Engine, url: str, account: str, *, epoch: int, redactor: Redactor | None = None
    ) -> None:
        super().__init__(engine, url, account)
        self.epoch = epoch
        self.wire_lost = 0
        """Messages that the wire log had no room for."""
        self._redactor = Redactor() if redactor is None else redactor
        self._wire = connect(url, synchronous="NORMAL")
        self._closed = False
        self._run = _Statements(engine.dialect)
        self._tables = self._loaded()
        self._seq, self._hash = super().head()
        self._doubt: tuple[Recorded, ...] = ()

    # --- appending ----------------------------------------------------------------------------------------------------

    def append(self, entries: Sequence[Entry], *, snapshot: bytes | None = None) -> tuple[Recorded, ...]:
        """Write entries, and the engine's state after them, in one transaction."""
        if self._closed:
            raise Bug(f"the journal of {self.account} is closed")
        if self._doubt and (stands := self._settled(entries)) is not None:
            return stands
        recorded, texts = self._chained(entries)
        try:
            with writing(self._engine, self.url, account=self.account) as connection:
                self._cursor = connection.connection.cursor()
                self._own()
                if recorded:
                    self._insert(recorded, texts)
                if snapshot is not None:
                    self._keep(recorded, snapshot)
                self._doubt = recorded  # from here on only the commit can fail
        except BaseException:
            self._tables.rollback()
            raise
        self._doubt = ()
        self._tables.commit(keep=False)
        if recorded:
            self._seq, self._hash = recorded[-1].seq, recorded[-1].hash
        return recorded

    def head(self) -> tuple[int, str]:
        """Number and hash of the last entry."""
        return self._seq, self._hash

    def _chained(self, entries: Sequence[Entry]) -> tuple[tuple[Recorded, ...], list[str]]:
        """Entries in their places, and their payloads as they will stand."""
        found, texts, before = [], [], self._hash
        for seq, entry in enumerate(entries, start=self._seq + 1):
            text = canonical(entry.payload)
            after = row_hash(self.account, seq, self.epoch, entry, text, before)
            found.append(Recorded(seq, self.epoch, entry, before, after))
            texts.append(text)
            before = after
        return tuple(found), texts

    def _own(self) -> None:
        """Refused where somebody else has opened the account since."""
        found = self._run.owner.rows(self._cursor, account=self.account)
        if not found or found[0][0] != self.epoch:
            who = "nobody" if not found else f"{found[0][1]} (epoch {found[0][0]})"
            raise Refused("SECOND_OWNER", f"account {self.account} belongs to {who}, this is epoch {self.epoch}")

    def _insert(self, recorded: tuple[Recorded, ...], texts: list[str]) -> None:
        """Entries, the projections' rows that they change, the commands that they answer."""
        self._run.insert.run(self._cursor, [
            {"account_id": self.account, "seq": one.seq, "epoch": one.epoch, "ts_ns": one.entry.time,
             "kind": one.entry.kind.value, "client_order_id": one.entry.order, "strategy_id": one.entry.deployment,
             "payload": text, "prev_hash": one.prev_hash, "hash": one.hash}
            for one, text in zip(recorded, texts, strict=True)
        ])  # fmt: skip
        self._tables.apply(recorded)
        for name, rows in self._tables.changed().items():
            self._run.upserts[name].run(self._cursor, [{"account_id": self.account, **row} for row in rows])
        for one in recorded:
            if one.entry.kind is Kind.COMMAND_RECEIVED and "id" in one.entry.payload:
                what = {"who": self.account, "which": str(one.entry.payload["id"]), "at": one.seq}
                self._run.receive.run(self._cursor, [what])

    def _keep(self, recorded: tuple[Recorded, ...], state: bytes) -> None:
        """The engine's state after these entries; the oldest snapshots go."""
        seq, hash_ = (recorded[-1].seq, recorded[-1].hash) if recorded else (self._seq, self._hash)
        time = recorded[-1].entry.time if recorded else 0
        row = {"account_id": self.account, "seq": seq, "time": time, "hash": hash_, "digest": digest_of(state),
               "state": state}  # fmt: skip
        self._run.keep.run(self._cursor, [row])
        self._run.forget.run(self._cursor, [{"account": self.account, "kept": SNAPSHOTS_KEPT - 1}])

    def _settled(self, entries: Sequence[Entry]) -> tuple[Recorded, ...] | None:
        """What stands of the append before this one, whose commit failed; None where nothing does."""
        seq, hash_ = super().head()
        doubt = self._doubt
        if (seq, hash_) == (self._seq, self._hash):  # it was not
            self._doubt = ()
            return None
        if hash_ != doubt[-1].hash:
            raise Refused("SECOND_OWNER", f"account {self.account} was written by another owner")
        if [one.entry for one in doubt] != list(entries):
            raise Refused("JOURNAL_MOVED", f"entries {doubt[0].seq} to {seq} of {self.account} were written by an "
                          "append that seemed to fail; open the journal again")  # fmt: skip
        self._tables = self._loaded()
        self._seq, self._hash, self._doubt = seq, hash_, ()
        return doubt

    # --- projections that the next entries need -----------------------------------------------------------------------

    def _loaded(self) -> Projections:
        """Projections as the tables tell them: all but ended orders, fills and signals, which are read when needed."""
        made = Projections(self._row)
        for table in _WHOLE:
            made.rows[table.name] = self.projection(table)
        ended = [status.value for status in TERMINAL]
        with reading(self._engine, self.url) as connection:
            chosen = sa.select(tables.orders).where(tables.orders.c.account_id == self.account,
                                                    tables.orders.c.status.not_in(ended))  # fmt: skip
            for found in connection.execute(chosen).mappings():
                row = {name: value for name, value in found.items() if name != "account_id"}
                made.rows["orders"][(row["id"],)] = row
                made.orders[row["id"]] = order_of(row)
        return made

    def _row(self, name: str, key: Key) -> Row | None:
        """A row that is not in memory, read in the transaction that is under way."""
        find = self._run.find.get(name)
        if find is None:
            return None
        found = find.rows(self._cursor, account=self.account, **dict(zip(KEYS[name], key, strict=True)))
        return dict(zip(self._run.columns[name], found[0], strict=True)) if found else None

    # --- beside the journal -------------------------------------------------------------------------------------------

    def log_wire(self, seq: int | None, direction: str, text: str, time: int) -> None:
        """Keep a message, secrets stripped. It survives the process, perhaps not a power cut, and costs no wait."""
        row = {"account_id": self.account, "seq": seq, "time": time, "direction": direction,
               "text": self._redactor.text(text)}  # fmt: skip
        try:
            with mapped(self.url), self._wire.begin() as connection:
                connection.execute(_WIRE, row)
        except QuantkitError:  # an answer of the broker must not be lost for want of room for its copy
            self.wire_lost += 1

    def forget_wire(self, now: int) -> int:
        """Drop messages older than 90 days; how many went."""
        with writing(self._engine, self.url, account=self.account) as connection:
            old = sa.delete(tables.wire_log).where(
                tables.wire_log.c.account_id == self.account, tables.wire_log.c.time < now - WIRE_KEPT_NS
            )
            return connection.execute(old).rowcount

    def send(self, command: Command) -> bool:
        """Leave a command for the engine."""
        return send(self._engine, self.url, self.account, command)

    def close(self) -> None:
        """Close the connections; the lease stays until somebody else opens the account."""
        self._closed = True
        self._wire.dispose()
        super().close()


def send(engine: sa.Engine, url: str, account: str, command: Command) -> bool:
    """Leave a command for the engine of an account; False where one with its id was left before."""
    row = {"account_id": account, "id": command.id, "time": command.time, "name": command.name,
           "arguments": encode(command.arguments), "by": command.by, "reason": command.reason, "state": WAITING,
           "seq": None}  # fmt: skip
    insert = (sqlite.insert if path_of(url) is not None else postgresql.insert)(tables.commands)
    with writing(engine, url, account=account) as connection:
        return connection.execute(insert.on_conflict_do_nothing().returning(_C.id), row).first() is not None


_WIRE = sa.insert(tables.wire_log)
_OWNER = sa.select(_L.epoch, _L.owner).where(_L.account_id == sa.bindparam("account"))
_RECEIVE = (
    sa.update(tables.commands)
    .where(_C.account_id == sa.bindparam("who"), _C.id == sa.bindparam("which"))
    .values(state=RECEIVED, seq=sa.bindparam("at"))
)
_OLDEST = (
    sa.select(_S.seq).where(_S.account_id == sa.bindparam("account")).order_by(_S.seq.desc())
    .limit(1).offset(sa.bindparam("kept")).scalar_subquery()
)  # fmt: skip
_FORGET = sa.delete(tables.snapshots).where(_S.account_id == sa.bindparam("account"), _S.seq < _OLDEST)


class _Statements:
    """What an append runs, compiled for a kind of database."""

    def __init__(self, dialect: sa.Dialect) -> None:
        self.owner = Prepared(_OWNER, dialect)
        self.insert = Prepared(sa.insert(tables.journal), dialect)
        self.upserts = {table.name: Prepared(_upsert(table, dialect.name), dialect) for table in tables.PROJECTIONS}
        self.receive = Prepared(_RECEIVE, dialect)
        self.keep = Prepared(_upsert(tables.snapshots, dialect.name), dialect)
        self.forget = Prepared(_FORGET, dialect)
        self.find = {name: Prepared(_one_row(table), dialect) for name, table in _ON_DEMAND.items()}
        self.columns = {name: _columns(table) for name, table in _ON_DEMAND.items()}


def _columns(table: sa.Table) -> list[str]:
    return [column.name for column in table.columns if column.name != "account_id"]


def _one_row(table: sa.Table) -> sa.Select[Any]:
    """A projection's row by its key."""
    same = [table.c[name] == sa.bindparam(name) for name in KEYS[table.name]]
    chosen = sa.select(*(table.c[name] for name in _columns(table)))
    return chosen.where(table.c.account_id == sa.bindparam("account"), *same)
