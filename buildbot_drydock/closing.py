"""Closing leases and resources, and charging what they cost to whoever had it.

A row and what is charged of it are one transaction. A resource is closed after all of its leases,
so what is left of its cost then is what no lease had: in the end all charges of a resource add up
to its cost.
"""

from __future__ import annotations

from buildbot_drydock.costs import charges_of_lease, lease_cost, resource_cost, rest_of_resource
from buildbot_drydock.events import LeaseDestroyed, ResourceDestroyed
from buildbot_drydock.interfaces import Store
from buildbot_drydock.lifecycle import LeaseEvent, ResourceEvent
from buildbot_drydock.model import Lease, Resource


async def close_lease(
    store: Store, lease: Lease, hourly_share: float | None, now: float
) -> Lease | None:
    """Close a lease that nothing is left of; an hour of its slot cost *hourly_share*."""
    uses = [] if lease.held_since is None else await store.uses(lease.id)
    cost = lease_cost(lease, hourly_share, now)
    charges = charges_of_lease(lease, cost, uses)
    builds = [
        {"builder": each.builder, "build": each.build, "seconds": each.seconds, "cost": each.cost}
        for each in charges
        if each.build is not None
    ]
    record = LeaseDestroyed(cost=cost, builds=builds or None)
    return await store.move_lease(lease, LeaseEvent.VACATE, record, charges=charges)


async def close_resource(
    store: Store, resource: Resource, now: float, *, reason: str
) -> Resource | None:
    """Close a resource that its provider has nothing left of."""
    cost = resource_cost(resource, now)
    rest = rest_of_resource(resource, cost, await store.charged(resource.id))
    record = ResourceDestroyed(cost=cost, unattributed=rest.cost)
    return await store.move_resource(
        resource, ResourceEvent.GONE, record, reason=reason, charges=[rest]
    )
