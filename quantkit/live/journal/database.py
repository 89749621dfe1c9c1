"""Connections to the database of a journal, and its errors in this house's words.

    SQLite       a file an account; write-ahead log; the journal commits with synchronous=FULL, the wire log with NORMAL
    PostgreSQL   by URL (psycopg 3); the accounts share the tables, an advisory lock an account orders its writers

Contract: no error of SQLAlchemy or of a driver leaves this package: `mapped` turns each into one of those of
`journal.base`. Waiting for a lock is bounded by `WAIT_S`. Secrets of a URL never stand in a message.
"""

from __future__ import annotations

import sqlite3
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import sqlalchemy as sa
from sqlalchemy import event, exc

from quantkit.errors import BadData, Bug, ConfigError, QuantkitError, Refused, RetryLater

if TYPE_CHECKING:
    from collections.abc import Iterator

WAIT_S: Final = 2.0
"""Seconds that a write waits for another process's turn."""
SUFFIXES: Final = (".sqlite", ".db")


def locate(where: str | Path, account: str) -> str:
    """URL of an account's database: of a file, of ACCOUNT.sqlite in a folder, or PostgreSQL's own."""
    text = str(where)
    if text.startswith(("postgresql://", "postgres://", "postgresql+psycopg://")):
        url = "postgresql+psycopg://" + text.partition("://")[2]
        try:
            sa.engine.make_url(url)
        except (exc.ArgumentError, ValueError):  # what they say quotes parts of it
            raise ConfigError(
                "a journal's URL cannot be read; expected postgresql://user:password@host:port/database, with signs "
                "such as @, : and / of a password as %40, %3A and %2F"
            ) from None
        return url
    if "://" in text:
        raise ConfigError(f"a journal is a file, a folder or postgresql://..., not {text.partition('://')[0]}://...")
    path = Path(text)
    if path.suffix not in SUFFIXES:
        if account != Path(account).name or account in ("", ".", ".."):
            raise ConfigError(f"account {account!r}: its name becomes the name of a file, so it must not hold a path")
        path = path / f"{account}.sqlite"
    return f"sqlite:///{path}"


def path_of(url: str) -> Path | None:
    """The file of a SQLite URL."""
    return Path(url.removeprefix("sqlite:///")) if url.startswith("sqlite:///") else None


def shown(url: str) -> str:
    """A database as people may see it: no password."""
    path = path_of(url)
    if path is not None:
        return str(path)
    made = sa.engine.make_url(url)
    secret = [name for name in made.query if "pass" in name.lower()]  # password=, sslpassword=, passfile=
    return made.difference_update_query(secret).render_as_string(hide_password=True)


def connect(url: str, *, synchronous: str = "FULL", readonly: bool = False) -> sa.Engine:
    """An engine for one thread's use. Nothing is opened until its first connection."""
    path = path_of(url)
    if path is None:
        try:
            import psycopg  # noqa: F401
        except ImportError as error:
            raise ConfigError("a journal in PostgreSQL needs psycopg: pip install 'quantkit[postgres]'") from error
        options = f"-c lock_timeout={int(WAIT_S * 1000)}"
        if synchronous != "FULL":
            options += " -c synchronous_commit=off"
        if readonly:
            options += " -c default_transaction_read_only=on"
        return sa.create_engine(
            url, pool_size=1, max_overflow=1, connect_args={"options": options, "connect_timeout": 10},
            json_serializer=str, json_deserializer=_as_text,
        )  # fmt: skip
    target: str = f"file:{_quoted(path)}?mode=ro" if readonly else str(path)
    engine = sa.create_engine(
        "sqlite://",
        creator=lambda: sqlite3.connect(
            target, timeout=WAIT_S, isolation_level=None, check_same_thread=False, uri=readonly
        ),
        poolclass=sa.pool.QueuePool, pool_size=1, max_overflow=1, json_serializer=str, json_deserializer=_as_text,
    )  # fmt: skip

    @event.listens_for(engine, "connect")
    def prepare(connection: sqlite3.Connection, _record: object) -> None:
        if not readonly:
            connection.execute("PRAGMA journal_mode=WAL").fetchone()
            connection.execute(f"PRAGMA synchronous={synchronous}")

    return engine


def _quoted(path: Path) -> str:
    from urllib.parse import quote

    return quote(str(path))


def _as_text(raw: Any) -> str:
    return raw if isinstance(raw, str) else bytes(raw).decode()


class Prepared:
    """A statement compiled once for one kind of database and run by the driver itself: a third of the time.

    Values are those of JSON's types and bytes, which need no conversion on their way in or out.
    """

    def __init__(self, statement: sa.ClauseElement, dialect: sa.Dialect) -> None:
        compiled = statement.compile(dialect=dialect)
        assert isinstance(compiled, sa.sql.compiler.SQLCompiler)
        self._text = compiled.string
        self._fixed = {name: value for name, value in compiled.params.items() if value is not None}
        self._order = None if compiled.positiontup is None else tuple(compiled.positiontup)

    def run(self, cursor: Any, rows: list[dict[str, Any]]) -> None:
        """Once for each row of named values."""
        if len(rows) == 1:
            cursor.execute(self._text, self._given(rows[0]))
        else:
            cursor.executemany(self._text, [self._given(row) for row in rows])

    def rows(self, cursor: Any, **values: Any) -> list[tuple[Any, ...]]:
        """What it finds."""
        cursor.execute(self._text, self._given(values))
        return cursor.fetchall()  # type: ignore[no-any-return]

    def _given(self, row: dict[str, Any]) -> Any:
        whole = {**self._fixed, **row} if self._fixed else row
        return whole if self._order is None else [whole[name] for name in self._order]


@contextmanager
def mapped(url: str) -> Iterator[None]:
    """Errors of the database, of whatever driver, as ours."""
    try:
        yield
    except QuantkitError:
        raise
    except (exc.SQLAlchemyError, sqlite3.Error) as error:
        raise _translated(error, url) from error
    except Exception as error:
        if type(error).__module__.partition(".")[0] != "psycopg":
            raise
        raise _translated(error, url) from error


@contextmanager
def reading(engine: sa.Engine, url: str) -> Iterator[sa.Connection]:
    """A connection for a few reads."""
    with mapped(url), engine.connect() as connection:
        yield connection


@contextmanager
def writing(engine: sa.Engine, url: str, *, account: str | None = None) -> Iterator[sa.Connection]:
    """One transaction that nobody else's comes between; committed at the end, rolled back after an error.

    In PostgreSQL that holds for writers of the same account (None: for makers of the tables).
    """
    with mapped(url), engine.connect() as connection:
        try:
            if engine.dialect.name == "sqlite":
                connection.exec_driver_sql("BEGIN IMMEDIATE")
            else:
                lock = f"quantkit journal {'' if account is None else account}"
                connection.execute(_LOCK, {"name": lock, "some": account is not None})
            yield connection
            connection.commit()
        except BaseException:
            _undo(connection)
            raise


_LOCK: Final = sa.text("SELECT pg_advisory_xact_lock(hashtext(:name), CAST(:some AS boolean)::int)")


def _undo(connection: sa.Connection) -> None:
    """Roll back; a connection that cannot even do that is thrown away."""
    try:
        connection.rollback()
    except exc.SQLAlchemyError:
        connection.invalidate()


_SQLITE: Final = {
    "SQLITE_BUSY": "locked",
    "SQLITE_LOCKED": "locked",
    "SQLITE_FULL": "full",
    "SQLITE_READONLY": "readonly",
    "SQLITE_PERM": "readonly",
    "SQLITE_CANTOPEN": "readonly",
    "SQLITE_CORRUPT": "corrupt",
    "SQLITE_NOTADB": "corrupt",
    "SQLITE_CONSTRAINT_PRIMARYKEY": "second",
    "SQLITE_CONSTRAINT_UNIQUE": "second",
    "SQLITE_CONSTRAINT_TRIGGER": "second",  # the guard against INSERT OR REPLACE
}
_POSTGRES: Final = {
    "55P03": "locked",  # lock_not_available
    "40001": "locked",  # serialization_failure
    "40P01": "locked",  # deadlock_detected
    "53100": "full",
    "53300": "lost",  # too_many_connections
    "57P01": "lost",  # admin_shutdown
    "57P02": "lost",
    "57P03": "lost",  # cannot_connect_now
    "25006": "readonly",
    "42501": "readonly",  # insufficient_privilege
    "23505": "second",
    "28P01": "denied",
    "28000": "denied",
    "3D000": "denied",  # no such database
}


_REFUSED_AT_THE_DOOR: Final = ("does not exist", "authentication failed", "pg_hba.conf")
"""Of a connection that was never made the driver knows no code, only what the server said."""


def _condition(error: BaseException) -> str:
    """What happened, in a word of our own; "" where nothing better is known."""
    name = getattr(error, "sqlite_errorname", None)
    if name is not None:
        return _SQLITE.get(name) or _SQLITE.get("_".join(name.split("_")[:2]), "")
    state = getattr(error, "sqlstate", None)
    if state is not None:
        return "lost" if state.startswith("08") else _POSTGRES.get(state, "")
    if isinstance(error, sqlite3.DatabaseError):
        return "corrupt" if "file is not a database" in str(error) else ""
    return "denied" if any(said in str(error) for said in _REFUSED_AT_THE_DOOR) else ""


def _translated(error: Exception, url: str) -> QuantkitError:
    """One error of a database as one of this house."""
    cause = getattr(error, "orig", None) or error
    what, where = _condition(cause), f"the journal in {shown(url)}"
    said = " ".join(str(cause).split())[:200]
    if not what and (getattr(error, "connection_invalidated", False) or type(cause).__name__ == "OperationalError"):
        what = "failed" if isinstance(cause, sqlite3.Error) else "lost"
    match what:
        case "locked":
            return RetryLater(f"{where} is locked by another process (waited {WAIT_S:g} s); nothing was written")
        case "lost":
            return RetryLater(f"the connection to {where} is lost: {said}")
        case "full":
            return Refused("JOURNAL_FULL", f"no room for {where}: {said}; nothing was written")
        case "readonly":
            return Refused("JOURNAL_READONLY", f"{where} cannot be written or opened: {said}")
        case "corrupt":
            return BadData(f"{where} is damaged or no journal: {said}; keep the file and restore a copy")
        case "second":
            return Refused("SECOND_OWNER", f"{where} was written by somebody else: {said}")
        case "denied":
            return ConfigError(f"{where} cannot be opened: {said}")
        case _ if not isinstance(cause, exc.SQLAlchemyError):
            return Refused("JOURNAL_FAILED", f"{where} failed: {said}; nothing was written")
        case _:
            return Bug(f"{where}: {said}")
