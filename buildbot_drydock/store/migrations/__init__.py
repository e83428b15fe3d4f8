"""Bringing the tables up to date, when the service starts.

An Alembic chain of our own, with a version table of our own, on Buildbot's connection. Buildbot's
``upgrade-master`` looks at its own version table alone, so neither chain knows of the other.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

import sqlalchemy as sa
from alembic.operations import Operations
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy.engine import Connection

from buildbot_drydock.errors import DatabaseTooNew
from buildbot_drydock.store.transactions import Pool

VERSION_TABLE: Final = "drydock_alembic_version"

_LOCK_NUMBER: Final = 0x6472_7964_6F63_6B  # "drydock", for PostgreSQL, whose locks are numbered
_LOCK_TIMEOUT: Final = 600  # seconds that MySQL lets us wait for another master's upgrade
_HERE = Path(__file__).parent


async def upgrade(pool: Pool) -> None:
    """Create or upgrade the tables; nothing if they are up to date.

    Safe with several masters starting at once: one does it while the others wait. Raises
    ``DatabaseTooNew`` if a later version of this package has upgraded the database.
    """
    problem = await pool.do(_upgrade)
    if problem is not None:
        raise problem


def newest_revision() -> str:
    """Return the revision of the schema that this package works with."""
    newest = _chain().get_current_head()
    assert newest is not None, "the chain of migrations has one end"
    return newest


def known_revisions() -> list[str]:
    """Return the revisions of the schema that this package knows, newest first."""
    return [script.revision for script in _chain().walk_revisions()]


def _chain() -> ScriptDirectory:
    return ScriptDirectory(str(_HERE), version_locations=[str(_HERE / "versions")])


def _upgrade(connection: Connection) -> DatabaseTooNew | None:
    """Upgrade, or return why not: what leaves a pool's function as an exception is logged."""
    chain = _chain()
    if connection.dialect.name in ("mysql", "mariadb"):
        return _upgrade_on_mysql(connection, chain)
    with connection.begin():
        if connection.dialect.name == "sqlite":
            connection.exec_driver_sql("BEGIN IMMEDIATE")
        elif connection.dialect.name == "postgresql":
            lock = sa.select(sa.func.pg_advisory_xact_lock(_LOCK_NUMBER))
            connection.execute(lock).close()
        return _migrate(connection, chain)


def _upgrade_on_mysql(connection: Connection, chain: ScriptDirectory) -> DatabaseTooNew | None:
    """Upgrade under a named lock: MySQL commits at each change of a table."""
    # The names of locks are common to all databases of a server, and end at 64 characters.
    database = connection.execute(sa.select(sa.func.database())).scalar()
    name = f"drydock.{database}"[:64]
    taken = connection.execute(sa.select(sa.func.get_lock(name, _LOCK_TIMEOUT))).scalar()
    connection.commit()
    if taken != 1:
        raise TimeoutError(f"another master has held the lock {name!r} for {_LOCK_TIMEOUT} s")
    try:
        with connection.begin():
            return _migrate(connection, chain)
    finally:
        connection.execute(sa.select(sa.func.release_lock(name))).close()
        connection.commit()


def _migrate(connection: Connection, chain: ScriptDirectory) -> DatabaseTooNew | None:
    context = MigrationContext.configure(
        connection,
        opts={
            "version_table": VERSION_TABLE,
            "transactional_ddl": True,
            "fn": lambda revision, context: chain._upgrade_revs("head", revision),
        },
    )
    if (problem := _too_new(context, chain)) is not None:
        return problem
    with Operations.context(context), context.begin_transaction():
        context.run_migrations()
    return None


def _too_new(context: MigrationContext, chain: ScriptDirectory) -> DatabaseTooNew | None:
    known = known_revisions()
    unknown = [revision for revision in context.get_current_heads() if revision not in known]
    if not unknown:
        return None
    return DatabaseTooNew(
        f"the Drydock tables of this database are at revision {', '.join(unknown)}, and this"
        f" version of buildbot-drydock knows revisions up to {chain.get_current_head()} only."
        f" Install the version of buildbot-drydock that upgraded the database, or a later one,"
        f" or restore the database from a backup made before that upgrade."
    )
