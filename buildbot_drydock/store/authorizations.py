"""The table of who may use which blueprint, as a part of the store in a database."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from buildbot_drydock.events import Event
from buildbot_drydock.interfaces import Clock
from buildbot_drydock.model import Authorization, Authorizations, AuthorizationStatus
from buildbot_drydock.store import transactions
from buildbot_drydock.store.changes import decided_authorization, new_authorization
from buildbot_drydock.store.rows import authorization_reader, authorization_values, cleaned
from buildbot_drydock.store.schema import authorizations
from buildbot_drydock.store.statements import (
    insert,
    raise_blueprint,
    stream,
    swap,
    write_event,
)


class AuthorizationTable:
    """Requests are noted once, whoever asks; decisions are made by compare-and-set."""

    def __init__(self, pool: transactions.Pool, clock: Clock) -> None:
        self._pool = pool
        self._clock = clock
        self._authorizations = authorization_reader()

    def authorizations_of(
        self, connection: Connection, blueprints: Collection[str]
    ) -> Authorizations:
        """Return what is known of these blueprints; without any, nothing is asked."""
        if not blueprints:
            return {}
        query = (
            sa.select(*authorizations.c)
            .where(authorizations.c.blueprint.in_(blueprints))
            .order_by(authorizations.c.id)
        )
        found = self._authorizations.read_all(stream(connection, query))
        return {(row.blueprint, row.subject): row for row in found}

    async def request_authorization(
        self, blueprint: str, subject: str, record: Event, *, lease: int | None = None
    ) -> Authorization | None:
        now = self._clock.seconds()
        wanted = new_authorization(blueprint, subject, lease, now)

        def work(connection: Connection) -> Authorization:
            number = insert(connection, authorizations, authorization_values(wanted))
            write_event(connection, record, now, blueprint=blueprint, lease=lease)
            return replace(wanted, id=number)

        return await transactions.write(self._pool, work)

    async def decide_authorization(
        self,
        seen: Authorization,
        status: AuthorizationStatus,
        record: Event,
        *,
        author: str,
        reason: str = "",
    ) -> Authorization | None:
        now = self._clock.seconds()
        decided = decided_authorization(seen, status, now, author=author, reason=reason)
        row = cleaned(decided, "author", "reason")

        def work(connection: Connection) -> Authorization | None:
            # First, as whoever acquires holds the blueprint's state before anything else.
            raise_blueprint(connection, row.blueprint)
            number = row.id
            if seen.version == 0:
                number = insert(connection, authorizations, authorization_values(row))
            elif not swap(
                connection, authorizations, row.id, seen.version, authorization_values(row)
            ):
                return None
            write_event(connection, record, now, blueprint=row.blueprint)
            return replace(row, id=number)

        return await transactions.write(self._pool, work)
