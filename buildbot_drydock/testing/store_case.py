"""What the tests of all stores are made of: a store seen by two masters, and rows in it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from twisted.internet.task import Clock
from twisted.trial.unittest import TestCase

from buildbot_drydock import events, slotlocks
from buildbot_drydock.interfaces import Claim, Recorded, Store
from buildbot_drydock.lifecycle import LeaseEvent, ResourceEvent
from buildbot_drydock.model import Lease, LeaseRequest, Resource, ResourceRequest

if TYPE_CHECKING:
    _Base = TestCase
else:
    _Base = object

NOON = 1_700_000_000.123456

RELEASED = events.LeaseReleased(reason="done")
BROKEN = events.LeaseBroken(reason="lost")
VACATED = events.LeaseDestroyed()
RETURNED = events.LeaseReturned(reason="its host vanished")
RESOURCE_RELEASED = events.ResourceReleased(reason="idle")
RESOURCE_BROKEN = events.ResourceBroken(reason="lost")
RESOURCE_GONE = events.ResourceDestroyed()


class StoreCase(_Base):
    """A store with ``make_store``, and short ways to rows in every status."""

    async def make_store(self) -> Store:
        """Return a store without any row, whose clock is ``self.clock``."""
        raise NotImplementedError

    async def another_handle(self) -> Store:
        """Return a store on the same rows, as another master would have it."""
        return self.store

    async def setUp(self) -> None:  # type: ignore[override]
        self.clock = Clock()
        self.clock.advance(NOON)
        self.store = await self.make_store()
        self.other = await self.another_handle()

    async def added(self, place: int = 0, blueprint: str = "linux", **fields: Any) -> Resource:
        request = ResourceRequest(
            blueprint=blueprint,
            token=f"drydock-{blueprint}-{place}",
            place=place,
            labels={"os": "linux"},
            **{"locks": (slotlocks.place(blueprint, place),), **fields},
        )
        row = await self.store.add_resource(request, events.ResourceRequested(built_for=None))
        assert row is not None
        return row

    async def active(self, place: int = 0, **fields: Any) -> Resource:
        record = events.ResourceReady(address="10.0.0.1", seconds=2.5)
        added = await self.added(place, **fields)
        row = await self.store.move_resource(added, ResourceEvent.READY, record)
        assert row is not None
        return row

    async def requested(self, owner: str = "worker/linux-001", **fields: Any) -> Lease:
        request = LeaseRequest(owner=owner, nonce=f"nonce of {owner}", **fields)
        record = events.LeaseRequested(owner=owner, requires=dict(request.requires))
        return await self.store.request_lease(request, record)

    def claim(
        self, lease: Lease, resource: Resource, slot: int = 0, *, activate: bool = True
    ) -> Claim:
        record = events.LeaseAcquired(slot=slot, waited=0.5)
        return Claim(lease=lease, resource=resource, slot=slot, activate=activate, record=record)

    async def leased(
        self, resource: Resource, slot: int = 0, *, activate: bool = True
    ) -> tuple[Lease, Resource]:
        """Return a new lease on the resource, and the resource as it is then."""
        pending = await self.requested()
        (lease,) = await self.store.acquire(
            [self.claim(pending, resource, slot, activate=activate)]
        )
        now = await self.store.resource(resource.id)
        assert lease is not None
        assert now is not None
        return lease, now

    async def moved(self, seen: Resource, *moves: tuple[ResourceEvent, events.Event]) -> Resource:
        row: Resource | None = seen
        for event, record in moves:
            assert row is not None
            row = await self.store.move_resource(row, event, record)
        assert row is not None
        return row

    async def destroyed(self, seen: Resource) -> Resource:
        return await self.moved(
            seen,
            (ResourceEvent.BREAK, RESOURCE_BROKEN),
            (ResourceEvent.GONE, RESOURCE_GONE),
        )

    async def vacated(self, lease: Lease) -> Lease:
        released = await self.store.move_lease(lease, LeaseEvent.RELEASE, RELEASED)
        assert released is not None
        row = await self.store.move_lease(released, LeaseEvent.VACATE, VACATED)
        assert row is not None
        return row

    async def recorded(self, **of: int) -> list[events.Event]:
        return [entry.event for entry in await self.store.events(**of)]

    async def assert_unchanged_by(
        self, resources: Sequence[Resource], leases: Sequence[Lease], before: Sequence[Recorded]
    ) -> None:
        """Check that rows and events are exactly these."""
        for resource in resources:
            self.assertEqual(await self.store.resource(resource.id), resource)
        for lease in leases:
            self.assertEqual(await self.store.lease(lease.id), lease)
        self.assertEqual(list(await self.store.events()), list(before))
