"""How many there are of everything, counted from the rows that a turn has read anyhow.

Counting looks at each row, so it is done where the planning is done. What it leaves is small: a
number per blueprint and status, however many rows there are.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, TypeAlias

from buildbot_drydock.costs import hourly_spending, resource_cost
from buildbot_drydock.model import Lease, LeaseStatus, Power, Resource, ResourceStatus, World
from buildbot_drydock.reasons import Reason

PARKED: Final = "parked"  # counted apart from the active ones that run
NOWHERE = ""  # the blueprint of a lease that has no resource

Pair: TypeAlias = tuple[str, str]

_OF_RESOURCES: Final = tuple(
    each.value for each in ResourceStatus if each is not ResourceStatus.DESTROYED
)
# Those of leases that have a resource.
_OF_LEASES: Final = tuple(
    each.value for each in LeaseStatus if each not in (LeaseStatus.PENDING, LeaseStatus.DESTROYED)
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Census:
    """All counts of one moment. Rows of blueprints that are not configured here count, too."""

    limits: Mapping[str, int] = field(default_factory=dict)  # by blueprint
    resources: Mapping[Pair, int] = field(default_factory=dict)  # by blueprint and status
    leases: Mapping[Pair, int] = field(default_factory=dict)  # by blueprint and status
    waiting: Mapping[Pair, int] = field(default_factory=dict)  # by blueprint and kind of reason
    oldest_request: float | None = None  # of the leases that wait, when that was
    hourly_costs: Mapping[str, float] = field(default_factory=dict)  # by blueprint
    costs: Mapping[str, float] = field(default_factory=dict)  # so far, of what is living


def take_census(world: World, reasons: Mapping[int, Sequence[Reason]]) -> Census:
    """Count a world, and the *reasons* for which its leases wait."""
    waiting = [lease for lease in world.leases if lease.status is LeaseStatus.PENDING]
    of_blueprint = _sorted_by_blueprint(world)
    return Census(
        limits={blueprint.name: blueprint.limit for blueprint in world.blueprints},
        resources={
            **_zeros(world, _OF_RESOURCES),
            **{(each.name, PARKED): 0 for each in world.blueprints if each.parks},
            **_resources(world.resources),
        },
        leases={
            **_zeros(world, _OF_LEASES),
            (NOWHERE, LeaseStatus.PENDING.value): 0,
            **_leases(world.resources, world.leases),
        },
        waiting=Counter(
            (reason.blueprint, reason.kind) for some in reasons.values() for reason in some
        ),
        oldest_request=min((lease.requested_at for lease in waiting), default=None),
        hourly_costs={
            blueprint.name: hourly_spending(blueprint, of_blueprint[blueprint.name])
            for blueprint in world.blueprints
        },
        costs={
            name: sum(resource_cost(each, world.now) or 0.0 for each in some)
            for name, some in of_blueprint.items()
        },
    )


def _sorted_by_blueprint(world: World) -> Mapping[str, Sequence[Resource]]:
    found: dict[str, list[Resource]] = defaultdict(list)
    for resource in world.resources:
        found[resource.blueprint].append(resource)
    for blueprint in world.blueprints:
        found.setdefault(blueprint.name, [])
    return dict(found)


def _zeros(world: World, statuses: Iterable[str]) -> Mapping[Pair, int]:
    """Return what there is none of: a series that comes and goes is hard to draw."""
    return {(each.name, status): 0 for each in world.blueprints for status in statuses}


def _resources(resources: Iterable[Resource]) -> Mapping[Pair, int]:
    return Counter((each.blueprint, _status_of(each)) for each in resources)


def _status_of(resource: Resource) -> str:
    at_rest = resource.power in (Power.PARKING, Power.PARKED)
    return PARKED if at_rest and resource.status is ResourceStatus.ACTIVE else resource.status.value


def _leases(resources: Iterable[Resource], leases: Iterable[Lease]) -> Mapping[Pair, int]:
    blueprints: dict[int | None, str] = {each.id: each.blueprint for each in resources}
    return Counter(
        (blueprints.get(lease.resource, NOWHERE), lease.status.value) for lease in leases
    )
