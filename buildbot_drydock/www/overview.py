"""Rows as visitors see them, put together from what the service knows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

from buildbot_drydock.model import Override
from buildbot_drydock.store.usage import Usage
from buildbot_drydock.www.discretion import public_lease
from buildbot_drydock.www.rows import (
    blueprint_rows,
    event_row,
    host_rows,
    lease_row,
    resource_row,
)

if TYPE_CHECKING:
    from buildbot_drydock.service import DrydockService

Shown: TypeAlias = list[dict[str, Any]]


def leases(service: DrydockService, rows: Sequence[dict[str, Any]]) -> Shown:
    """Return leases as everybody may see them, in lists and messages."""
    return [public_lease(row) for row in whole_leases(service, rows)]


def whole_leases(service: DrydockService, rows: Sequence[dict[str, Any]]) -> Shown:
    now = service.now()
    return [lease_row(row, service.leases.reasons, now) for row in rows]


def resources(service: DrydockService, rows: Sequence[dict[str, Any]]) -> Shown:
    now = service.now()
    return [resource_row(row, now) for row in rows]


def events(rows: Sequence[dict[str, Any]]) -> Shown:
    return [event_row(row) for row in rows]


async def blueprints(service: DrydockService) -> Shown:
    now, usage = service.now(), await service.usage()
    definitions = {
        name: (definition, service.edited(definition, _overrides(usage, name)))
        for name, definition in service.definitions().items()
    }
    inventories = service.controller.world.inventories
    return blueprint_rows(
        service.blueprints(now, usage.states),
        definitions,
        usage,
        service.controller.plan.reasons,
        {name: inventory.error for name, inventory in inventories.items()},
        now,
    )


def _overrides(usage: Usage, name: str) -> Mapping[str, Override]:
    return usage.states[name].overrides if name in usage.states else {}


async def hosts(service: DrydockService) -> Shown:
    now, usage = service.now(), await service.usage()
    return host_rows(service.blueprints(now, usage.states), usage, now)


def named(rows: Shown, name: str) -> dict[str, Any] | None:
    return next((row for row in rows if row["name"] == name), None)
