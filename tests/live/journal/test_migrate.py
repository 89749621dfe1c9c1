"""The form of a journal's tables: made, brought forward from every older one, refused where it is a newer one."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic.operations import Operations
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory

from quantkit.errors import ConfigError
from quantkit.live.journal import MemoryJournal, migrate, open_stored, read_journal, tables, verify
from quantkit.live.journal.chain import canonical
from quantkit.live.journal.database import connect, locate, writing
from quantkit.trading.events import Entry, Kind
from tests.live.journal.places import Place, alarm, life

SCRIPT = ScriptDirectory(str(migrate._FOLDER), version_locations=[str(migrate._FOLDER / "versions")])
REVISIONS = [one.revision for one in SCRIPT.walk_revisions()][::-1]


@pytest.fixture(params=["sqlite", "postgres"])
def empty(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    """A database of its own: the form of its tables is every account's."""
    if request.param == "sqlite":
        return Place("sqlite", tmp_path)
    make: Callable[[], str] = request.getfixturevalue("new_database")
    return Place("postgres", make())


def made_by(place: Place, revision: str) -> None:
    """What an older quantkit left: its tables, a lease, an order's life and a signal."""
    url = locate(place.where, place.account)
    engine = connect(url)

    def steps(heads: object, _context: MigrationContext) -> object:
        return SCRIPT._upgrade_revs(revision, heads)  # type: ignore[arg-type]

    with writing(engine, url) as connection:
        context = MigrationContext.configure(connection, opts={"fn": steps})
        with Operations.context(context):
            context.run_migrations()
    engine.dispose()


SIGNAL = Entry(Kind.SIGNAL_RAISED, 5, {"symbol": "005930", "bar": 4, "value": 1.0, "strength": 0.25}, None, "d")


def signal_of_the_first_form(place: Place) -> None:
    """The sixth entry, as the code of that form wrote it: the value in a column of JSON."""
    sixth = MemoryJournal(place.account).append([*life(), SIGNAL])[5]
    payload = canonical(SIGNAL.payload)
    place.run("INSERT INTO journal (account_id, seq, epoch, ts_ns, kind, strategy_id, payload, prev_hash, hash) "
              "VALUES (?, 6, 1, 5, 'SignalRaised', 'd', ?, ?, ?)",
              place.account, payload, sixth.prev_hash, sixth.hash)  # fmt: skip
    place.run("INSERT INTO signals VALUES (?, 'd', '005930', 4, '1.0', 0.25, 6, 5)", place.account)


@pytest.mark.parametrize("revision", REVISIONS)
def test_older_journal_is_brought_forward_with_all_it_holds(empty: Place, revision: str,
                                                            monkeypatch: pytest.MonkeyPatch) -> None:  # fmt: skip
    made_by(empty, revision)
    with monkeypatch.context() as older:
        older.setattr(migrate, "HEAD", revision)
        empty.open("older").append(life())
        empty.close()
    if revision == "0001":
        signal_of_the_first_form(empty)
    again = empty.open("newer")
    assert again.epoch == 2
    if revision != "0001":
        again.append([SIGNAL])
    assert [one.seq for one in again.append([alarm()])] == [7]
    reader = read_journal(empty.where, empty.account)
    assert (verify(reader).entries, verify(reader).problems) == (7, ())
    assert reader.projection(tables.signals)["d", "005930", 4]["value"] == "1.0"
    reader.close()
    empty.close()


def test_older_journal_is_not_read_but_says_which_form_it_has(empty: Place) -> None:
    made_by(empty, REVISIONS[0])
    with pytest.raises(ConfigError, match=rf"has form {REVISIONS[0]}, .* knows {migrate.HEAD}"):
        read_journal(empty.where, empty.account)


def test_newer_journal_is_refused_and_left_as_it_is(empty: Place) -> None:
    empty.open().append(life())
    empty.close()
    empty.run("UPDATE alembic_version SET version_num = '9999'")
    with pytest.raises(ConfigError, match=r"has form 9999, .*written by a newer one; install that"):
        empty.open("late")
    with pytest.raises(ConfigError, match="has form 9999"):
        read_journal(empty.where, empty.account)
    assert empty.run("SELECT epoch FROM leases") == [(1,)]
    assert empty.run("SELECT count(*) FROM journal") == [(5,)]


def test_newest_form_is_the_last_step() -> None:
    assert REVISIONS[-1] == migrate.HEAD


def test_migrations_make_the_tables_that_the_code_knows(empty: Place) -> None:
    """Names, types, nulls, keys and indexes, table by table."""
    empty.open().close()
    url = locate(empty.where, empty.account)
    engine = connect(url)
    found = sa.inspect(engine)
    dialect = engine.dialect
    assert set(found.get_table_names()) == {*tables.METADATA.tables, "alembic_version"}
    for name, table in tables.METADATA.tables.items():
        told = [(each["name"], each["type"].compile(dialect), each["nullable"]) for each in found.get_columns(name)]
        wanted = [(c.name, c.type.compile(dialect), bool(c.nullable)) for c in table.columns]
        assert told == wanted, name
        assert found.get_pk_constraint(name)["constrained_columns"] == [c.name for c in table.primary_key.columns]
        indexes = {each["name"]: each["column_names"] for each in found.get_indexes(name)}
        assert indexes == {str(index.name): [c.name for c in index.columns] for index in table.indexes}, name
    engine.dispose()


def test_indexes_that_dashboards_ask_by_are_there() -> None:
    """(account, status) of orders; (symbol, time) of what happens to a name."""
    known = {(table.name, tuple(c.name for c in index.columns))
             for table in tables.PROJECTIONS for index in table.indexes}  # fmt: skip
    assert {("orders", ("account_id", "status")), ("orders", ("symbol", "created")), ("fills", ("symbol", "time")),
            ("signals", ("symbol", "time"))} <= known  # fmt: skip


def test_index_of_status_is_used(tmp_path: Path) -> None:
    place = Place("sqlite", tmp_path)
    open_stored(tmp_path, place.account, owner="me", now=1).close()
    for query, index in (("account_id = 'a' AND status = 'accepted'", "orders_status"),
                         ("symbol = '005930' AND created > 5", "orders_symbol")):  # fmt: skip
        ((*_, plan),) = place.run(f"EXPLAIN QUERY PLAN SELECT * FROM orders WHERE {query}")
        assert index in plan
