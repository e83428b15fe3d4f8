"""What every store must do about the builds that use leases, and what they are charged."""

from __future__ import annotations

from buildbot_drydock import events
from buildbot_drydock.lifecycle import LeaseEvent, ResourceEvent
from buildbot_drydock.model import Charge, Lease, Use
from buildbot_drydock.testing.money_contract import MoneyContract
from buildbot_drydock.testing.store_case import (
    NOON,
    RELEASED,
    RESOURCE_BROKEN,
    RESOURCE_GONE,
    RETURNED,
    VACATED,
)


def charges(lease: Lease) -> list[Charge]:
    """Charge two builds with a lease, 0.75 in all."""
    assert lease.resource is not None
    return [
        Charge(
            resource=lease.resource,
            lease=lease.id,
            build=build,
            builder=builder,
            seconds=20.0,
            cost=cost,
        )
        for build, builder, cost in ((7, "tests", 0.25), (8, "docs", 0.5))
    ]


class ChargingContract(MoneyContract):
    """A part of ``StoreContract``."""

    async def test_the_builds_on_a_lease_are_known_with_their_times(self) -> None:
        lease, _ = await self.leased(await self.active())
        await self.store.begin_use(lease.id, 8, "docs")
        self.clock.advance(5)
        await self.other.begin_use(lease.id, 7, "tests")
        await self.store.end_use(lease.id, 8)
        self.clock.advance(5)
        await self.store.end_use(lease.id, 8)
        expected = [
            Use(lease=lease.id, build=7, builder="tests", began_at=NOON + 5),
            Use(lease=lease.id, build=8, builder="docs", began_at=NOON, ended_at=NOON + 5),
        ]
        self.assertEqual(list(await self.other.uses(lease.id)), expected)

    async def test_a_build_begins_once(self) -> None:
        lease, _ = await self.leased(await self.active())
        await self.store.begin_use(lease.id, 7, "tests")
        self.clock.advance(5)
        await self.other.begin_use(lease.id, 7, "tests")
        (use,) = await self.store.uses(lease.id)
        self.assertEqual(use.began_at, NOON)

    async def test_all_builds_of_one_lease_can_be_ended_together(self) -> None:
        resource = await self.active()
        lease, resource = await self.leased(resource)
        other, _ = await self.leased(resource, 1)
        await self.store.begin_use(lease.id, 7, "tests")
        await self.store.end_use(lease.id, 7)
        for number, build in ((lease.id, 8), (other.id, 9)):
            await self.store.begin_use(number, build, "tests")
        self.clock.advance(5)
        await self.store.end_uses(lease.id)
        ends = [use.ended_at for use in await self.store.uses(lease.id)]
        self.assertEqual(ends, [NOON, NOON + 5])
        self.assertEqual([use.ended_at for use in await self.store.uses(other.id)], [None])

    async def test_no_build_begins_on_a_lease_that_has_ended(self) -> None:
        lease, _ = await self.leased(await self.active())
        await self.store.move_lease(lease, LeaseEvent.RELEASE, RELEASED)
        for number in (lease.id, lease.id + 1):
            await self.store.begin_use(number, 7, "tests")
            self.assertEqual(list(await self.store.uses(number)), [])

    async def test_a_lease_that_is_given_up_or_closed_has_no_uses(self) -> None:
        back, resource = await self.leased(await self.active(), activate=False)
        closed, _ = await self.leased(resource, 1)
        for lease in (back, closed):
            await self.store.begin_use(lease.id, 7, "tests")
        await self.store.move_lease(back, LeaseEvent.RETURN, RETURNED, reason="lost")
        self.assertEqual(list(await self.store.uses(back.id)), [])
        self.assertEqual(len(await self.store.uses(closed.id)), 1)
        await self.vacated(closed)
        self.assertEqual(list(await self.store.uses(closed.id)), [])

    async def test_charges_of_a_resource_add_up(self) -> None:
        lease, resource = await self.leased(await self.active())
        self.assertEqual(await self.store.charged(resource.id), 0.0)
        released = await self.store.move_lease(lease, LeaseEvent.RELEASE, RELEASED)
        assert released is not None
        unknown = Charge(resource=resource.id, lease=lease.id)
        await self.store.move_lease(
            released, LeaseEvent.VACATE, VACATED, charges=[*charges(lease), unknown]
        )
        self.assertEqual(await self.other.charged(resource.id), 0.75)
        self.assertEqual(await self.store.charged(resource.id + 1), 0.0)
        current = await self.store.resource(resource.id)
        assert current is not None
        broken = await self.moved(current, (ResourceEvent.BREAK, RESOURCE_BROKEN))
        rest = Charge(resource=resource.id, cost=1.25)
        await self.store.move_resource(broken, ResourceEvent.GONE, RESOURCE_GONE, charges=[rest])
        self.assertEqual(await self.other.charged(resource.id), 2.0)

    async def test_who_loses_a_race_charges_nobody(self) -> None:
        lease, resource = await self.leased(await self.active())
        released = await self.store.move_lease(lease, LeaseEvent.RELEASE, RELEASED)
        assert released is not None
        for _ in range(2):
            await self.other.move_lease(
                released, LeaseEvent.VACATE, VACATED, charges=charges(lease)
            )
        self.assertEqual(await self.store.charged(resource.id), 0.75)
        stale = resource
        broken = await self.store.resource(resource.id)
        assert broken is not None
        await self.moved(broken, (ResourceEvent.BREAK, RESOURCE_BROKEN))
        record = events.ResourceBroken(reason="late")
        await self.store.move_resource(stale, ResourceEvent.BREAK, record, charges=charges(lease))
        self.assertEqual(await self.store.charged(resource.id), 0.75)

    async def test_a_builder_may_have_a_name_of_any_length(self) -> None:
        lease, _ = await self.leased(await self.active())
        await self.store.begin_use(lease.id, 7, "é" * 1000)
        (use,) = await self.store.uses(lease.id)
        self.assertTrue(use.builder.startswith("é" * 100))
