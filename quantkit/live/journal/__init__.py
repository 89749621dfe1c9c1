"""The journal: everything that happened to an account, written before anybody acts on it.

    open_journal     for the one who trades: takes the lease
    read_journal     for everybody else: writes nothing
    leave_command    for everybody else: a command for the engine, in its table
    verify           chain, numbers, epochs, projections and snapshots agree

`base` says what a journal promises, `tables` what stands where, `projections` how entries become tables, `store` how an
append goes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from quantkit.errors import ConfigError, Refused
from quantkit.live.journal.base import Journal, Recorded
from quantkit.live.journal.chain import GENESIS
from quantkit.live.journal.memory import MemoryJournal

if TYPE_CHECKING:
    from pathlib import Path

    from sqlalchemy import Engine

    from quantkit.live.journal.audit import Verdict
    from quantkit.live.journal.reader import Reader
    from quantkit.live.journal.store import StoredJournal
    from quantkit.live.messages import Command
    from quantkit.live.redact import Redactor

__all__ = [
    "GENESIS",
    "Journal",
    "MemoryJournal",
    "Recorded",
    "leave_command",
    "open_journal",
    "read_journal",
    "verify",
]


def open_journal(
    where: str | Path | None, account: str, *, owner: str, now: int, redactor: Redactor | None = None
) -> Journal:
    """The journal of an account, for its one writer; whoever had it open is refused from now on.

    where: a file (`.sqlite`, `.db`), a folder that holds ACCOUNT.sqlite, a `postgresql://` URL, or None: memory. What
    is not there is made. now: UTC nanoseconds. redactor: knows the secrets that must not get into the wire log.
    """
    if where is None:
        return MemoryJournal(account, redactor=redactor)
    return open_stored(where, account, owner=owner, now=now, redactor=redactor)


def open_stored(
    where: str | Path, account: str, *, owner: str, now: int, redactor: Redactor | None = None
) -> StoredJournal:
    """`open_journal` in a database."""
    from quantkit.live.journal.database import connect, locate, path_of
    from quantkit.live.journal.migrate import upgrade
    from quantkit.live.journal.store import StoredJournal, take_lease

    url = locate(where, account)
    path = path_of(url)
    if path is not None:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise Refused("JOURNAL_READONLY", f"no journal can be made in {path.parent}: {error.strerror}") from error
    engine = connect(url)
    try:
        upgrade(engine, url)
        if path is not None:
            _one_account(engine, url, account)
        epoch = take_lease(engine, url, account, owner=owner, now=now)
        journal = StoredJournal(engine, url, account, epoch=epoch, redactor=redactor)
        journal.forget_wire(now)
    except BaseException:
        engine.dispose()
        raise
    return journal


def _one_account(engine: Engine, url: str, account: str) -> None:
    """ConfigError where a file belongs to another account."""
    from quantkit.live.journal.database import shown

    others = [name for name in accounts_in(engine, url) if name != account]
    if others:
        raise ConfigError(f"{shown(url)} is the journal of {others[0]}, not of {account}: a file holds one account")


def accounts_in(engine: Engine, url: str) -> list[str]:
    """Accounts that a database holds, by name."""
    import sqlalchemy as sa

    from quantkit.live.journal.database import reading
    from quantkit.live.journal.tables import leases

    with reading(engine, url) as connection:
        return list(connection.execute(sa.select(leases.c.account_id).order_by(leases.c.account_id)).scalars())


def read_journal(where: str | Path, account: str | None = None) -> Reader:
    """A journal for reading, beside its owner. account: may be left out where a file says it.

    ConfigError where there is none.
    """
    from quantkit.live.journal.database import connect, locate, path_of
    from quantkit.live.journal.reader import Reader

    url = locate(where, account or "journal")
    path = path_of(url)
    if path is not None and not path.is_file():
        raise ConfigError(f"no journal at {path}")
    engine = connect(url, readonly=True)
    try:
        return Reader(engine, url, _held(engine, url, account))
    except BaseException:
        engine.dispose()
        raise


def _held(engine: Engine, url: str, account: str | None) -> str:
    """The account to read; ConfigError where the database holds no such one, or it is no journal."""
    from quantkit.live.journal.database import shown
    from quantkit.live.journal.migrate import HEAD, form_of

    form = form_of(engine, url)
    if form != HEAD:
        found = "is no journal" if form is None else f"has form {form}, this version of quantkit knows {HEAD}"
        raise ConfigError(f"{shown(url)} {found}")
    held = accounts_in(engine, url)
    if account is None and len(held) == 1:
        return held[0]
    if account is None or account not in held:
        named = "which account?" if account is None else f"no account {account};"
        raise ConfigError(f"{shown(url)}: {named} it holds {', '.join(held) or 'none'}")
    return account


def verify(journal: Reader, *, known: tuple[int, str] | None = None) -> Verdict:
    """Check chain, numbers, epochs, projections and snapshots of a journal (`journal.audit` says how).

    known: number and hash of an entry that somebody wrote down earlier.
    """
    from quantkit.live.journal.audit import verify as check
    from quantkit.live.recovery import orders_in

    return check(journal, known=known, orders_in=orders_in)


def leave_command(where: str | Path, account: str, command: Command) -> bool:
    """Leave a command for the engine of an account, from another process; False where its id was there before."""
    from quantkit.live.journal.database import connect, locate
    from quantkit.live.journal.store import send

    read_journal(where, account).close()  # says what is wrong, if anything is
    url = locate(where, account)
    engine = connect(url)
    try:
        return send(engine, url, account, command)
    finally:
        engine.dispose()
