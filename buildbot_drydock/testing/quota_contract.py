"""What every store must do about the locks of quotas that a lease takes with its slot."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from buildbot_drydock import slotlocks
from buildbot_drydock.interfaces import Claim
from buildbot_drydock.lifecycle import LeaseEvent
from buildbot_drydock.model import Lease, LeaseStatus, Resource
from buildbot_drydock.testing.store_case import BROKEN, RELEASED, RETURNED, VACATED, StoreCase

TESTS = slotlocks.quota("builder/tésts", 0)
LAB = slotlocks.quota("project/lab", 3)


class QuotaContract(StoreCase):
    """A part of ``StoreContract``."""

    async def counted(self, place: int, *quotas: str) -> tuple[Lease, Resource, Claim]:
        """Return a claim that takes these locks, on a resource of its own."""
        resource = await self.active(place)
        lease = await self.requested(f"worker/{place}")
        return lease, resource, replace(self.claim(lease, resource), quotas=quotas)

    async def acquired(self, *claims: Claim) -> Sequence[Lease | None]:
        return await self.store.acquire(claims)

    async def test_a_lease_holds_the_locks_of_its_quotas_beside_that_of_its_slot(self) -> None:
        _, resource, claim = await self.counted(0, TESTS, LAB)
        (row,) = await self.acquired(claim)
        assert row is not None
        self.assertEqual(row.locks, (slotlocks.slot(resource.id, 0), TESTS, LAB))
        self.assertEqual((await self.other.rows()).leases, (row,))

    async def test_nobody_else_gets_a_lock_that_is_held(self) -> None:
        _, _, first = await self.counted(0, TESTS)
        lease, resource, second = await self.counted(1, LAB, TESTS)
        await self.acquired(first)
        before = await self.store.events()
        self.assertEqual(await self.other.acquire([second]), [None])
        await self.assert_unchanged_by([resource], [lease], before)
        free = replace(second, quotas=(LAB, slotlocks.quota("builder/tésts", 1)))
        (row,) = await self.other.acquire([free])
        self.assertIsNotNone(row, "what was refused has left a lock behind")

    async def test_of_two_claims_of_one_call_the_first_gets_it(self) -> None:
        claims = [(await self.counted(place, TESTS))[2] for place in range(3)]
        claims[2] = replace(claims[2], quotas=(LAB,))
        answers = await self.acquired(*claims)
        self.assertEqual([row is not None for row in answers], [True, False, True])

    async def test_keys_that_differ_in_anything_are_different_locks(self) -> None:
        names = ("builder/a", "builder/A", "builder/á", "builder/a ", "each builder/a")
        claims = [
            (await self.counted(place, slotlocks.quota(name, 0)))[2]
            for place, name in enumerate(names)
        ]
        self.assertNotIn(None, await self.acquired(*claims))

    async def test_they_are_given_back_with_the_slot_and_not_before(self) -> None:
        _, _, claim = await self.counted(0, TESTS)
        (lease,) = await self.acquired(claim)
        assert lease is not None
        _, _, waiting = await self.counted(1, TESTS)
        released = await self.store.move_lease(lease, LeaseEvent.RELEASE, RELEASED)
        assert released is not None
        self.assertEqual(await self.acquired(waiting), [None])
        await self.store.move_lease(released, LeaseEvent.VACATE, VACATED)
        (row,) = await self.acquired(waiting)
        self.assertIsNotNone(row)

    async def test_a_lease_that_goes_back_to_the_pool_gives_them_back(self) -> None:
        _, _, claim = await self.counted(0, TESTS, LAB)
        (lease,) = await self.acquired(replace(claim, activate=False))
        assert lease is not None
        returned = await self.store.move_lease(lease, LeaseEvent.RETURN, RETURNED, reason="lost")
        assert returned is not None
        self.assertEqual((returned.status, returned.locks), (LeaseStatus.PENDING, ()))
        _, _, next_one = await self.counted(1, TESTS, LAB)
        (row,) = await self.acquired(next_one)
        self.assertIsNotNone(row)

    async def test_a_lease_that_breaks_keeps_them_until_it_is_closed(self) -> None:
        _, _, claim = await self.counted(0, TESTS)
        (lease,) = await self.acquired(claim)
        assert lease is not None
        broken = await self.store.move_lease(lease, LeaseEvent.BREAK, BROKEN)
        assert broken is not None
        self.assertEqual(broken.locks, lease.locks)
