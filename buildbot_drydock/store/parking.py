"""Parking and waking a resource, within the transaction that records it."""

from __future__ import annotations

from typing import Final

from sqlalchemy.engine import Connection

from buildbot_drydock.model import BlueprintState, Resource, ResourceStatus
from buildbot_drydock.store.changes import raised
from buildbot_drydock.store.rows import resource_values
from buildbot_drydock.store.schema import resources
from buildbot_drydock.store.statements import is_leased, put_blueprint, swap

_COLUMNS: Final = (
    "version",
    "power",
    "power_since",
    "parked_seconds",
    "identity",
    "address",
    "data",
)


def put_power(
    connection: Connection, seen: Resource, row: Resource, within: BlueprintState | None
) -> bool:
    """Write down whether a resource is to run, if it is as seen, active and leased by nobody."""
    if seen.status is not ResourceStatus.ACTIVE:
        return False
    if within is not None and not put_blueprint(connection, within, raised(within)):
        return False
    values = resource_values(row)
    changes = {name: values[name] for name in _COLUMNS}
    return swap(connection, resources, seen.id, seen.version, changes) and not is_leased(
        connection, seen.id
    )
