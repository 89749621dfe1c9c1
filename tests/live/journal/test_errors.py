"""What a journal says when the disk is full, somebody else holds it, it may not be written, the server goes away.

Every case ends the same way: nothing of the append stands, and the journal goes on where it was once the cause is gone.
"""

from __future__ import annotations

import contextlib
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from quantkit.errors import BadData, ConfigError, QuantkitError, Refused, RetryLater
from quantkit.live.journal import database, leave_command, open_journal, open_stored, read_journal, verify
from quantkit.live.journal.store import StoredJournal
from quantkit.live.messages import Command
from tests.live.journal.places import Place, accepted, alarm, began, intent, life, sent

ROOT = Path(__file__).parents[3]


def goes_on(place: Place, journal: StoredJournal, *, entries: int = 5) -> None:
    """Nothing was written meanwhile, the same journal takes the next append, and all of it is right."""
    assert journal.head()[0] == entries
    (written,) = journal.append([alarm("after")])
    assert written.seq == entries + 1
    reader = read_journal(place.where, place.account)
    assert (verify(reader).entries, verify(reader).problems) == (entries + 1, ())
    reader.close()


@pytest.fixture
def server(postgres: str) -> Iterator[Place]:
    """What only a server knows: roles, and connections that end."""
    made = Place("postgres", postgres)
    yield made
    made.close()


# --- locked -----------------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def held(place: Place) -> Iterator[None]:
    """Somebody else in the middle of a write."""
    if place.kind == "sqlite":
        with contextlib.closing(
            sqlite3.connect(Path(place.where) / f"{place.account}.sqlite", isolation_level=None)
        ) as other:
            other.execute("BEGIN IMMEDIATE")
            yield
            other.execute("ROLLBACK")
    else:
        import psycopg

        with psycopg.connect(str(place.where)) as other:
            other.execute("SELECT pg_advisory_xact_lock(hashtext(%s), 1)", (f"quantkit journal {place.account}",))
            yield
            other.rollback()


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Waits for a lock 50 ms."""
    monkeypatch.setattr(database, "WAIT_S", 0.05)


@pytest.mark.usefixtures("impatient")
def test_locked_journal_may_be_tried_again_with_the_same_entries(place: Place) -> None:
    journal = place.open()
    journal.append(life(0))
    with held(place):
        with pytest.raises(RetryLater, match="locked by another process"):
            journal.append(life(1), snapshot=b"state")
        assert [one.seq for one in journal.read()] == [1, 2, 3, 4, 5]  # reading goes on
        with pytest.raises(RetryLater, match="locked"):
            leave_command(place.where, place.account, Command(1, "c", "halt", "kim", "why"))
    assert journal.commands() == []
    assert [one.seq for one in journal.append(life(1))] == [6, 7, 8, 9, 10]
    goes_on(place, journal, entries=10)


@pytest.mark.usefixtures("impatient")
def test_lease_of_a_locked_journal_is_not_taken(place: Place) -> None:
    journal = place.open("first")
    journal.append(life(0))
    with held(place), pytest.raises(RetryLater, match="locked"):
        place.open("second")
    goes_on(place, journal)


@pytest.mark.usefixtures("impatient")
def test_wire_log_of_a_locked_file_is_counted_as_lost(tmp_path: Path) -> None:
    place = Place("sqlite", tmp_path)
    journal = place.open()
    with held(place):
        journal.log_wire(None, "out", "text", 1)
    assert journal.wire_lost == 1
    journal.log_wire(None, "out", "text", 2)
    assert place.run("SELECT time FROM wire_log") == [(2,)]
    place.close()


def test_lock_of_another_process_keeps_the_journal_and_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A real second process, holding the file in the middle of a transaction."""
    monkeypatch.setattr(database, "WAIT_S", 0.05)
    place = Place("sqlite", tmp_path)
    journal = place.open()
    journal.append(life(0))
    code = (
        "import sqlite3, sys; c = sqlite3.connect(sys.argv[1], isolation_level=None); c.execute('BEGIN IMMEDIATE')\n"
        "print('held', flush=True); sys.stdin.readline(); c.execute('ROLLBACK')"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path / f"{place.account}.sqlite")],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    ) as other:  # fmt: skip
        assert other.stdout is not None
        assert other.stdout.readline() == "held\n"
        with pytest.raises(RetryLater, match="locked by another process"):
            journal.append(life(1))
        other.communicate("go\n")
    goes_on(place, journal)
    place.close()


# --- full, failing, read-only -----------------------------------------------------------------------------------------


def test_full_disk_writes_nothing_and_says_so(place: Place) -> None:
    journal = place.open()
    journal.append(life(0))
    big = alarm("x" * 200_000)
    with full(place, journal), pytest.raises(Refused, match="no room for the journal") as refusal:
        journal.append([*life(1), big])
    assert refusal.value.code == "JOURNAL_FULL"
    goes_on(place, journal)


@contextlib.contextmanager
def full(place: Place, journal: StoredJournal) -> Iterator[None]:
    """SQLite: the file may not grow. PostgreSQL: the server's own error of a full disk."""
    if place.kind == "sqlite":
        with journal._engine.connect() as connection:
            pages = connection.exec_driver_sql("PRAGMA page_count").scalar_one()
            connection.exec_driver_sql(f"PRAGMA max_page_count={pages}")
        yield
        with journal._engine.connect() as connection:
            connection.exec_driver_sql("PRAGMA max_page_count=1000000")
        return
    place.run("CREATE FUNCTION no_room() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION "
              "'could not extend file: No space left on device' USING ERRCODE = 'disk_full'; END $$")  # fmt: skip
    place.run("CREATE TRIGGER no_room AFTER INSERT ON journal EXECUTE FUNCTION no_room()")
    yield
    place.run("DROP FUNCTION no_room CASCADE")


LIMITED = """
import resource, sys
from quantkit.errors import Refused
from quantkit.live.journal import open_stored
from tests.live.journal.places import alarm, life
journal = open_stored(sys.argv[1], "a", owner="limited", now=5)
journal.append(life(0))
resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, resource.RLIM_INFINITY))
try:
    journal.append([*life(1), alarm("x" * 1_000_000)])
except Refused as error:
    print(error.code)
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
print(journal.head()[0], [one.seq for one in journal.append([alarm("after")])])
"""


def test_write_that_the_operating_system_refuses_leaves_nothing_half_written(tmp_path: Path) -> None:
    """The kernel ends the write in the middle: a limit on the size of files, in a process of its own."""
    done = subprocess.run([sys.executable, "-c", LIMITED, str(tmp_path)], cwd=ROOT, check=False, capture_output=True,
                          text=True)  # fmt: skip
    assert done.returncode == 0, done.stderr
    first, second = done.stdout.splitlines()
    assert first in ("JOURNAL_FAILED", "JOURNAL_FULL")
    assert second == "5 [6]"
    reader = read_journal(tmp_path, "a")
    assert (verify(reader).entries, verify(reader).problems) == (6, ())
    reader.close()


def test_journal_that_may_not_be_written_is_refused(place: Place) -> None:
    journal = place.open()
    journal.append(life(0))
    on, off = {
        "sqlite": ("PRAGMA query_only=ON", "PRAGMA query_only=OFF"),
        "postgres": ("SET default_transaction_read_only=on", "SET default_transaction_read_only=off"),
    }[place.kind]
    for statement, refused in ((on, True), (off, False)):
        with journal._engine.connect() as connection:
            connection.exec_driver_sql(statement)
            connection.commit()
        if refused:
            with pytest.raises(Refused, match="cannot be written") as refusal:
                journal.append(life(1))
            assert refusal.value.code == "JOURNAL_READONLY"
    goes_on(place, journal)


def test_folder_that_cannot_be_made_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(Refused, match="no journal can be made") as refusal:
        open_journal(tmp_path / "file" / "folder", "a", owner="me", now=1)
    assert refusal.value.code == "JOURNAL_READONLY"


def test_role_without_rights_is_refused(server: Place) -> None:
    place = server
    journal = place.open()
    journal.append(life(0))
    place.run("CREATE ROLE looker LOGIN")
    place.run("GRANT SELECT ON ALL TABLES IN SCHEMA public TO looker")
    try:
        with pytest.raises(Refused, match="permission denied") as refusal:
            open_stored(_as_role(str(place.where), "looker"), place.account, owner="looker", now=2)
        assert refusal.value.code == "JOURNAL_READONLY"
    finally:
        place.run("DROP OWNED BY looker")
        place.run("DROP ROLE looker")
    goes_on(place, journal)


def _as_role(url: str, role: str) -> str:
    import sqlalchemy as sa

    made = sa.engine.make_url(url).set(username=role, password=None)
    return made.render_as_string(hide_password=False)


# --- damaged ----------------------------------------------------------------------------------------------------------


def test_file_that_is_no_database_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.sqlite").write_bytes(b"not a database" * 1_000)
    for opened in (lambda: open_stored(tmp_path, "a", owner="me", now=1), lambda: read_journal(tmp_path, "a")):
        with pytest.raises(BadData, match="is damaged or no journal"):
            opened()


def test_damaged_page_is_bad_data_not_an_accident(tmp_path: Path) -> None:
    place = Place("sqlite", tmp_path)
    journal = place.open()
    for number in range(200):
        journal.append(life(number))
    place.close()
    file = tmp_path / f"{place.account}.sqlite"
    place.run("PRAGMA wal_checkpoint(TRUNCATE)")
    data = bytearray(file.read_bytes())
    for page in range(2, len(data) // 4096):
        data[page * 4096 : page * 4096 + 64] = b"\xff" * 64
    file.write_bytes(data)
    with pytest.raises(BadData, match=r"damaged|journal of"):
        list(place.open().read())
    place.close()


@pytest.mark.parametrize("cut", [1, 24, 3_000, 4_120, 9_000])
def test_torn_last_write_takes_the_last_append_and_nothing_else(tmp_path: Path, cut: int) -> None:
    """Power fails in the middle of a write: the end of the write-ahead log is missing."""
    place = Place("sqlite", tmp_path)
    journal = place.open()
    journal.append(life(0))
    wal = tmp_path / f"{place.account}.sqlite-wal"
    before = wal.stat().st_size
    journal.append([*life(1), alarm("x" * 20_000)])
    file, log = (tmp_path / f"{place.account}.sqlite").read_bytes(), wal.read_bytes()
    assert len(log) - before > cut
    after = tmp_path / "after"
    after.mkdir()
    (after / f"{place.account}.sqlite").write_bytes(file)
    (after / f"{place.account}.sqlite-wal").write_bytes(log[:-cut])
    place.close()
    torn = Place("sqlite", after, account=place.account)
    again = torn.open()
    assert [one.seq for one in again.read()] == [1, 2, 3, 4, 5]
    goes_on(torn, again)
    torn.close()


# --- gone and back ----------------------------------------------------------------------------------------------------


def test_lost_connection_may_be_tried_again(server: Place) -> None:
    place = server
    journal = place.open()
    journal.append(life(0))
    place.run("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND datname = "
              "current_database()")  # fmt: skip
    with pytest.raises(RetryLater, match=r"the connection to .* is lost"):
        journal.append(life(1))
    assert [one.seq for one in journal.append(life(1))] == [6, 7, 8, 9, 10]
    goes_on(place, journal, entries=10)


@pytest.mark.parametrize("written", [True, False])
def test_commit_whose_answer_is_lost_is_settled_by_looking(
    place: Place, monkeypatch: pytest.MonkeyPatch, *, written: bool
) -> None:
    journal = place.open()
    journal.append(life(0))
    lose_commit(monkeypatch, journal, written=written)
    with pytest.raises(RetryLater):
        journal.append(life(1))
    again = journal.append(life(1))
    assert [one.seq for one in again] == [6, 7, 8, 9, 10]
    assert list(journal.read(after=5)) == list(again)
    goes_on(place, journal, entries=10)


def test_other_entries_after_a_commit_that_stands_are_refused(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    journal = place.open()
    journal.append(life(0))
    lose_commit(monkeypatch, journal, written=True)
    with pytest.raises(RetryLater):
        journal.append(life(1))
    with pytest.raises(Refused, match="open the journal again") as refusal:
        journal.append([alarm()])
    assert refusal.value.code == "JOURNAL_MOVED"
    goes_on(place, place.open(), entries=10)


def lose_commit(monkeypatch: pytest.MonkeyPatch, journal: StoredJournal, *, written: bool) -> None:
    """The next commit of this journal fails, before or after it was done."""
    dialect = journal._engine.dialect
    real: Callable[..., None] = dialect.do_commit

    def commit(connection: object) -> None:
        monkeypatch.setattr(dialect, "do_commit", real)
        if written:
            real(connection)
        raise _lost(journal)

    monkeypatch.setattr(dialect, "do_commit", commit)


def _lost(journal: StoredJournal) -> Exception:
    """The driver's own error."""
    if journal._engine.dialect.name == "sqlite":
        error = sqlite3.OperationalError("database is locked")
        error.sqlite_errorname = "SQLITE_BUSY"
        return error
    import psycopg

    return psycopg.OperationalError("server closed the connection unexpectedly")


def test_server_that_is_not_there_is_said_without_the_password() -> None:
    with pytest.raises(QuantkitError) as failure:
        open_journal("postgresql://kim:verysecret@127.0.0.1:1/db", "a", owner="me", now=1)
    assert "verysecret" not in str(failure.value)
    assert "lost" in str(failure.value)


def test_unknown_database_or_role_is_wrong_settings(postgres: str) -> None:
    for url in (postgres.replace("/postgres?", "/nowhere?"), _as_role(postgres, "nobody")):
        with pytest.raises(ConfigError, match="cannot be opened"):
            open_journal(url, "a", owner="me", now=1)


def test_order_that_another_owner_finished_is_not_finished_twice(place: Place) -> None:
    """Two owners, one order: what the first did not see cannot be written over."""
    wanted = intent()
    first = place.open("first")
    first.append([began(wanted), sent(wanted)])
    second = place.open("second")
    second.append([accepted(wanted)])
    with pytest.raises(Refused, match="SECOND_OWNER"):
        first.append([accepted(wanted, "0009")])
    assert place.run("SELECT number FROM orders WHERE account_id = ?", place.account) == [("0001",)]
