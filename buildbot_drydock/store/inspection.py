"""Looking at a database from outside of a master: is it there, and are Drydock's tables current?"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import sqlalchemy as sa
from alembic.runtime.migration import MigrationContext
from sqlalchemy.engine import Engine

from buildbot_drydock.store.migrations import VERSION_TABLE, known_revisions


@dataclass(frozen=True, slots=True, kw_only=True)
class Inspected:
    """How the tables are, and what to do about it if *is_fine* is false."""

    is_fine: bool
    message: str
    remedy: str = ""


def look_for_file(url: str, basedir: str) -> Inspected | None:
    """Return what is wrong if the file of a database is not there, which to connect would make."""
    parsed = sa.engine.make_url(url)
    file = parsed.database
    if parsed.get_backend_name() != "sqlite" or not file or file == ":memory:":
        return None
    if Path(basedir, file).exists():
        return None
    return Inspected(
        is_fine=False,
        message=f"there is no database {Path(basedir, file)}",
        remedy=f"buildbot upgrade-master {basedir} makes it; if there was one, restore its backup",
    )


def inspect(engine: Engine) -> Inspected:
    """Look at the tables, and change nothing."""
    name = engine.url.render_as_string(hide_password=True)
    try:
        with engine.connect() as connection:
            context = MigrationContext.configure(connection, opts={"version_table": VERSION_TABLE})
            current = context.get_current_heads()
    except sa.exc.SQLAlchemyError as problem:
        told = str(getattr(problem, "orig", None) or problem)
        return Inspected(
            is_fine=False,
            message=f"{name} can't be read: {told}",
            remedy="see that the server runs, and that c['db'] names it with its user",
        )
    return _judged(name, current)


def _judged(name: str, current: tuple[str, ...]) -> Inspected:
    known = known_revisions()
    newest = known[0]
    if not current:
        return Inspected(
            is_fine=True,
            message=f"{name} has no tables of Drydock yet; the master makes them when it starts",
        )
    unknown = [each for each in current if each not in known]
    if unknown:
        return Inspected(
            is_fine=False,
            message=f"a later version has upgraded {name}, to {', '.join(unknown)}; this one knows "
            f"revisions up to {newest}",
            remedy="install that version of buildbot-drydock, or restore the backup from before",
        )
    if newest not in current:
        return Inspected(
            is_fine=True,
            message=f"{name} is at {', '.join(current)}; the master upgrades it to {newest} when "
            "it starts: make a backup before",
        )
    return Inspected(is_fine=True, message=f"{name} is current, at {newest}")
