"""The SQL that several changes of rows have in common, within the transaction of a change."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from buildbot_drydock.events import Event
from buildbot_drydock.model import (
    LIVING_LEASES,
    BlueprintState,
    HostState,
    Lease,
    LeaseStatus,
    ResourceStatus,
)
from buildbot_drydock.store.rows import Values, blueprint_values, event_values, host_values
from buildbot_drydock.store.schema import blueprints, events, hosts, leases, resources, slot_locks

ROWS_AT_A_TIME: Final = 100

LIVING: Final = tuple(status.value for status in LIVING_LEASES)
_HOLDING = tuple(
    status.value
    for status in LeaseStatus
    if status not in (LeaseStatus.PENDING, LeaseStatus.DESTROYED)
)


def stream(connection: Connection, query: sa.Select[Any]) -> Iterator[sa.Row[Any]]:
    """Yield the rows found, few of them at a time.

    All of a large table at once are so many objects that the garbage collector would look through
    the whole process, while the reactor waits.
    """
    with connection.execute(query) as result:
        for some in result.partitions(ROWS_AT_A_TIME):
            yield from some


def insert(connection: Connection, table: sa.Table, values: Values) -> int:
    """Insert a row and return the id that it got."""
    (number,) = connection.execute(table.insert().values(values)).inserted_primary_key or (0,)
    return int(number)


def swap(
    connection: Connection, table: sa.Table, number: int, version: int, changes: Values
) -> bool:
    """Change a row, if it still has that version."""
    same = (table.c.id == number) & (table.c.version == version)
    return connection.execute(table.update().where(same).values(changes)).rowcount == 1


def put_blueprint(connection: Connection, seen: BlueprintState, row: BlueprintState) -> bool:
    """Replace a blueprint's state, if it is as seen. Raises ``IntegrityError`` if it is new no more."""
    if seen.version == 0:
        connection.execute(blueprints.insert(), blueprint_values(row))
        return True
    same = (blueprints.c.name == row.name) & (blueprints.c.version == seen.version)
    change = blueprints.update().where(same).values(blueprint_values(row))
    return connection.execute(change).rowcount == 1


def raise_blueprint(connection: Connection, name: str) -> None:
    """Give a blueprint's state a new version. Raises ``IntegrityError`` if it is new no more."""
    change = blueprints.update().where(blueprints.c.name == name)
    found = connection.execute(change.values(version=blueprints.c.version + 1)).rowcount
    if not found:
        state = BlueprintState(name=name, version=1)
        connection.execute(blueprints.insert(), blueprint_values(state))


def put_host(connection: Connection, seen: HostState, row: HostState) -> bool:
    """Replace a listed host's state. Likewise."""
    if seen.version == 0:
        connection.execute(hosts.insert(), host_values(row))
        return True
    same = (hosts.c.name == row.name) & (hosts.c.version == seen.version)
    return connection.execute(hosts.update().where(same).values(host_values(row))).rowcount == 1


def outdate(connection: Connection, host: str) -> None:
    """Give the living resource that is a listed host a new version."""
    living = (resources.c.host == host) & (resources.c.status != ResourceStatus.DESTROYED.value)
    change = resources.update().where(living).values(version=resources.c.version + 1)
    connection.execute(change)


def lock(connection: Connection, keys: Iterable[str], owner: str) -> None:
    """Take slot locks. Raises ``IntegrityError`` if one is held."""
    if rows := [{"lock_key": key, "owner": owner} for key in sorted(keys)]:
        connection.execute(slot_locks.insert(), rows)


def unlock(connection: Connection, keys: Collection[str]) -> None:
    """Give slot locks back, by their keys: by owner would be a scan."""
    if keys:
        connection.execute(slot_locks.delete().where(slot_locks.c.lock_key.in_(sorted(keys))))


def is_leased(connection: Connection, resource: int) -> bool:
    query = sa.select(leases.c.id).where(
        leases.c.resource == resource, leases.c.status.in_(_HOLDING)
    )
    return connection.execute(query.limit(1)).first() is not None


def find_requested(connection: Connection, wanted: Lease) -> int | None:
    """Return the lease that an earlier run of the same request may have written."""
    query = sa.select(leases.c.id).where(
        leases.c.nonce == wanted.nonce,
        leases.c.owner == wanted.owner,
        leases.c.requested_at == wanted.requested_at,
    )
    return connection.execute(query.order_by(leases.c.id.desc()).limit(1)).scalar()


def write_event(
    connection: Connection,
    event: Event,
    now: float,
    *,
    blueprint: str | None = None,
    resource: int | None = None,
    lease: int | None = None,
) -> None:
    values = event_values(event, now, blueprint=blueprint, resource=resource, lease=lease)
    connection.execute(events.insert(), values)


def record_of_lease(connection: Connection, event: Event, now: float, seen: Lease) -> None:
    """Record an event of a lease beside the resource it holds, and that one's blueprint."""
    values: Values = event_values(event, now, resource=seen.resource, lease=seen.id)
    if seen.resource is not None:
        of = sa.select(resources.c.blueprint).where(resources.c.id == seen.resource)
        values["blueprint"] = of.scalar_subquery()
    connection.execute(events.insert().values(values))


def leases_on(connection: Connection, resource: int) -> list[int]:
    """Return the leases that may use a resource, or come to use it."""
    query = sa.select(leases.c.id).where(leases.c.resource == resource, leases.c.status.in_(LIVING))
    return list(connection.execute(query.order_by(leases.c.id)).scalars())
