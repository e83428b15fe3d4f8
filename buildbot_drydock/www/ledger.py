"""The ledger as visitors see it: a page of what providers say beside what the rows say."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from buildbot_drydock.ledger import Entry, entries
from buildbot_drydock.model import World
from buildbot_drydock.planner.survey import Survey
from buildbot_drydock.queries import Kind, Page, Query, select
from buildbot_drydock.www.discretion import discreet

if TYPE_CHECKING:
    from buildbot_drydock.service import DrydockService

_DIGITS: Final = 16  # of what tells the hosts of a blueprint apart

KINDS: Final[Mapping[str, Kind]] = {
    "ledgerid": Kind.TEXT,
    "blueprint": Kind.TEXT,
    "verdict": Kind.TEXT,
    "why": Kind.TEXT,
    "due_at": Kind.NUMBER,
    "leaving": Kind.BOOLEAN,
    "actions": Kind.OBJECT,
    "token": Kind.TEXT,
    "identity": Kind.TEXT,
    "address": Kind.TEXT,
    "listed": Kind.BOOLEAN,
    "health": Kind.TEXT,
    "health_reason": Kind.TEXT,
    "host": Kind.TEXT,
    "resourceid": Kind.INTEGER,
    "status": Kind.TEXT,
    "created_at": Kind.NUMBER,
    "age": Kind.NUMBER,
    "hourly_price": Kind.NUMBER,
    "cost": Kind.NUMBER,
    "ends_at": Kind.NUMBER,
    "masterid": Kind.INTEGER,
    "listed_at": Kind.NUMBER,
    "listing_error": Kind.TEXT,
}


def entry_id(entry: Entry) -> str:
    """Return what stands for an entry in a path: the same on all masters, while it is one host."""
    named = f"{entry.blueprint}\0{entry.token}\0{entry.identity}"
    return f"{entry.blueprint}-{hashlib.sha256(named.encode()).hexdigest()[:_DIGITS]}"


def blueprint_of(ledgerid: str) -> str:
    """Return the blueprint that an entry's id names."""
    return ledgerid.rpartition("-")[0]


async def page(service: DrydockService, query: Query, blueprint: str | None = None) -> Page:
    """Answer a question about the ledger. Raises ``QueryProblem``."""
    world = await service.strays.world()
    found: Page = await service.work_out(_size(world), _page, world, query, blueprint)
    return found


async def find(service: DrydockService, ledgerid: str) -> tuple[Entry, dict[str, Any]] | None:
    """Return one entry, and how it is shown."""
    world = await service.strays.world()
    found: tuple[Entry, dict[str, Any]] | None = await service.work_out(
        _size(world), _find, world, ledgerid
    )
    return found


def _size(world: World) -> int:
    return len(world.resources) + sum(len(each.hosts) for each in world.inventories.values())


def _page(world: World, query: Query, blueprint: str | None) -> Page:
    found = entries(Survey(world))
    wanted = (each for each in found if blueprint in (None, each.blueprint))
    return select((_row(each, world) for each in wanted), query, KINDS)


def _find(world: World, ledgerid: str) -> tuple[Entry, dict[str, Any]] | None:
    blueprint = blueprint_of(ledgerid)
    for each in entries(Survey(world)):
        if each.blueprint == blueprint and entry_id(each) == ledgerid:
            return each, _row(each, world)
    return None


def _row(entry: Entry, world: World) -> dict[str, Any]:
    host, resource, listing = entry.host, entry.resource, entry.listing
    never_listed = listing is None or listing.asked_at == float("-inf")
    shown: dict[str, Any] = discreet(
        {
            "ledgerid": entry_id(entry),
            "blueprint": entry.blueprint,
            "verdict": entry.verdict.value,
            "why": entry.why,
            "due_at": entry.due_at,
            "leaving": entry.leaving,
            "actions": ["destroy"] if entry.is_nobodys else [],
            "token": entry.token,
            "identity": entry.identity,
            "address": _address(entry),
            "listed": host is not None,
            "health": None if host is None else host.health.value,
            "health_reason": "" if host is None else host.reason,
            "host": "" if resource is None else resource.host,
            "resourceid": None if resource is None else resource.id,
            "status": None if resource is None else resource.status.value,
            "created_at": entry.created_at,
            "age": entry.age(world.now),
            "hourly_price": entry.hourly_price,
            "cost": entry.cost(world.now),
            "ends_at": None if host is None else host.ends_at,
            "masterid": world.master,
            "listed_at": None if never_listed or listing is None else listing.asked_at,
            "listing_error": "" if listing is None else listing.error,
        }
    )
    return shown


def _address(entry: Entry) -> str:
    if entry.host is not None:
        return entry.host.address
    return "" if entry.resource is None else entry.resource.address
