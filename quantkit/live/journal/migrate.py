"""Bring a database's tables to the form this version knows.

Contract: one transaction; a database that is up to date costs one query. A form that this version does not know (a
newer quantkit wrote it) is refused, and nothing is changed.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import sqlalchemy as sa

from quantkit.errors import ConfigError
from quantkit.live.journal.database import reading, shown, writing

if TYPE_CHECKING:
    from collections.abc import Iterable

HEAD: Final = "0002"
"""The form this version writes."""
_FOLDER = Path(__file__).parent / "migrations"


def form_of(engine: sa.Engine, url: str) -> str | None:
    """The form of the tables; None where there are none."""
    with reading(engine, url) as connection:
        return _form(connection)


def _form(connection: sa.Connection) -> str | None:
    if not sa.inspect(connection).has_table("alembic_version"):
        return None
    return connection.execute(sa.text("SELECT version_num FROM alembic_version")).scalar()


def upgrade(engine: sa.Engine, url: str) -> None:
    """Make or renew the tables. ConfigError where their form is not known here."""
    if form_of(engine, url) == HEAD:
        return
    from alembic.runtime.migration import MigrationContext
    from alembic.script import ScriptDirectory

    script = ScriptDirectory(str(_FOLDER), version_locations=[str(_FOLDER / "versions")])

    def steps(_heads: object, _context: MigrationContext) -> Iterable[Any]:
        return script._upgrade_revs("head", _heads)  # type: ignore[arg-type]

    with writing(engine, url) as connection:
        found = _form(connection)  # again: somebody else may have been here
        if found is not None and found not in {one.revision for one in script.walk_revisions()}:
            raise ConfigError(
                f"the journal in {shown(url)} has form {found}, this version of quantkit knows {HEAD}: "
                "it was written by a newer one; install that"
            )
        context = MigrationContext.configure(connection, opts={"fn": steps})
        from alembic.operations import Operations

        with Operations.context(context):
            context.run_migrations()
