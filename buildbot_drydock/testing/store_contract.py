"""What every store must do, as tests that anyone may subclass::

    class TestMemoryStore(StoreContract, TestCase):
        async def make_store(self) -> Store:
            return MemoryStore(self.clock)

The in-memory store and the SQL store on each database pass the same tests. That is what makes the
former a fake worth trusting.
"""

from __future__ import annotations

from dataclasses import replace

from buildbot_drydock import events, slotlocks
from buildbot_drydock.errors import IllegalMove
from buildbot_drydock.lifecycle import LeaseEvent, ResourceEvent
from buildbot_drydock.model import (
    BlueprintState,
    Health,
    Lease,
    LeaseRequest,
    LeaseStatus,
    Mode,
    Observed,
    Override,
    Resource,
    ResourceRequest,
    ResourceStatus,
)
from buildbot_drydock.testing.access_contract import AccessContract
from buildbot_drydock.testing.charging_contract import ChargingContract
from buildbot_drydock.testing.power_contract import PowerContract
from buildbot_drydock.testing.quota_contract import QuotaContract
from buildbot_drydock.testing.store_case import (
    BROKEN,
    NOON,
    RELEASED,
    RESOURCE_BROKEN,
    RESOURCE_GONE,
    RESOURCE_RELEASED,
    RETURNED,
    VACATED,
)


class StoreContract(AccessContract, ChargingContract, PowerContract, QuotaContract):
    """Subclass it with ``make_store``, together with ``twisted.trial.unittest.TestCase``."""

    # --- resources ---------------------------------------------------------------------------

    async def test_a_new_store_is_empty(self) -> None:
        rows = await self.store.rows()
        self.assertEqual((dict(rows.blueprints), rows.resources, rows.leases), ({}, (), ()))
        self.assertEqual(list(await self.store.events()), [])

    async def test_what_does_not_exist_is_not_found(self) -> None:
        self.assertIsNone(await self.store.resource(1))
        self.assertIsNone(await self.store.lease(1))

    async def test_an_added_resource_is_pending_and_holds_its_locks(self) -> None:
        request = ResourceRequest(
            blueprint="linux",
            token="drydock-1",
            place=3,
            labels={"os": "linux", "gpu": "no"},
            built_for=17,
            locks=("blueprint(linux).resource(3)", "host(anvil)"),
        )
        row = await self.store.add_resource(request, events.ResourceRequested(built_for=17))
        assert row is not None
        expected = Resource(
            id=row.id,
            blueprint="linux",
            token="drydock-1",
            place=3,
            status=ResourceStatus.PENDING,
            version=row.version,
            since=NOON,
            created_at=NOON,
            labels={"os": "linux", "gpu": "no"},
            built_for=17,
            locks=("blueprint(linux).resource(3)", "host(anvil)"),
        )
        self.assertEqual(row, expected)
        self.assertEqual(await self.store.resource(row.id), expected)
        self.assertEqual((await self.other.rows()).resources, (expected,))

    async def test_a_place_is_given_once(self) -> None:
        first = await self.added(0)
        before = await self.store.events()
        request = ResourceRequest(
            blueprint="linux", token="b", place=0, locks=(slotlocks.place("linux", 0),)
        )
        record = events.ResourceRequested(built_for=None)
        self.assertIsNone(await self.other.add_resource(request, record))
        self.assertEqual((await self.store.rows()).resources, (first,))
        await self.assert_unchanged_by([first], [], before)

    async def test_a_resource_gets_all_its_locks_or_none(self) -> None:
        await self.added(1)
        record = events.ResourceRequested(built_for=None)
        both = ResourceRequest(
            blueprint="linux",
            token="b",
            place=0,
            locks=(slotlocks.place("linux", 0), slotlocks.place("linux", 1)),
        )
        self.assertIsNone(await self.store.add_resource(both, record))
        one = replace(both, locks=(slotlocks.place("linux", 0),))
        self.assertIsNotNone(await self.store.add_resource(one, record))

    async def test_names_in_lock_keys_differ_by_case_blanks_and_accents(self) -> None:
        for place, name in enumerate(("linux", "Linux", "linux ", "línux")):
            await self.added(place, blueprint=name)
            request = ResourceRequest(
                blueprint=name, token="t", place=place, locks=(f"host({name})",)
            )
            record = events.ResourceRequested(built_for=None)
            self.assertIsNotNone(await self.store.add_resource(request, record), name)

    async def test_a_destroyed_resource_gives_its_place_back(self) -> None:
        first = await self.destroyed(await self.added(0))
        self.assertEqual((first.status, first.locks), (ResourceStatus.DESTROYED, ()))
        second = await self.added(0)
        self.assertNotEqual(second.id, first.id)
        self.assertEqual((await self.store.rows()).resources, (second,))
        self.assertEqual(await self.store.resource(first.id), first)

    async def test_the_resources_of_a_blueprint_are_those_that_are_not_destroyed(self) -> None:
        await self.destroyed(await self.added(0))
        left = [
            await self.added(0),
            await self.moved(await self.added(1), (ResourceEvent.BREAK, RESOURCE_BROKEN)),
        ]
        other = ResourceRequest(blueprint="other", token="o", place=0)
        await self.store.add_resource(other, events.ResourceRequested(built_for=None))
        self.assertEqual(list(await self.store.resources_of("linux")), left)
        self.assertEqual(list(await self.store.resources_of("nothing")), [])

    async def test_a_resource_that_has_ended_keeps_its_place_until_it_is_gone(self) -> None:
        broken = await self.moved(await self.added(0), (ResourceEvent.BREAK, RESOURCE_BROKEN))
        request = ResourceRequest(blueprint="linux", token="b", place=0, locks=broken.locks)
        record = events.ResourceRequested(built_for=None)
        self.assertIsNone(await self.store.add_resource(request, record))

    async def test_a_moved_resource_has_a_new_status_time_and_version(self) -> None:
        pending = await self.added()
        self.clock.advance(2.000001)
        observed = Observed(
            token=pending.token,
            identity="i-0123",
            health=Health.READY,
            address="10.0.0.7",
            data={"zone": "a"},
        )
        record = events.ResourceReady(address="10.0.0.7", seconds=2.000001)
        active = await self.store.move_resource(
            pending, ResourceEvent.READY, record, observed=observed
        )
        expected = replace(
            pending,
            status=ResourceStatus.ACTIVE,
            version=pending.version + 1,
            since=self.clock.seconds(),
            identity="i-0123",
            address="10.0.0.7",
            data={"zone": "a"},
        )
        self.assertEqual(active, expected)
        self.assertEqual(await self.other.resource(pending.id), expected)

    async def test_a_reason_stays_until_there_is_a_newer_one(self) -> None:
        broken = await self.store.move_resource(
            await self.active(), ResourceEvent.BREAK, RESOURCE_BROKEN, reason="vanished"
        )
        assert broken is not None
        gone = await self.moved(broken, (ResourceEvent.GONE, RESOURCE_GONE))
        self.assertEqual(gone.reason, "vanished")
        self.assertEqual(await self.store.resource(gone.id), gone)

    async def test_a_move_from_a_stale_resource_changes_nothing(self) -> None:
        pending = await self.added()
        broken = await self.moved(pending, (ResourceEvent.BREAK, RESOURCE_BROKEN))
        before = await self.store.events()
        observed = Observed(token=pending.token, address="10.6.6.6")
        record = events.ResourceReady(address="", seconds=1.0)
        answer = await self.other.move_resource(
            pending, ResourceEvent.READY, record, observed=observed
        )
        self.assertIsNone(answer)
        await self.assert_unchanged_by([broken], [], before)

    async def test_a_destroyed_resource_cannot_be_moved_by_who_saw_it_living(self) -> None:
        broken = await self.moved(await self.added(), (ResourceEvent.BREAK, RESOURCE_BROKEN))
        gone = await self.moved(broken, (ResourceEvent.GONE, RESOURCE_GONE))
        successor = await self.added()
        before = await self.store.events()
        answer = await self.store.move_resource(broken, ResourceEvent.GONE, RESOURCE_GONE)
        self.assertIsNone(answer)
        await self.assert_unchanged_by([gone, successor], [], before)
        request = ResourceRequest(blueprint="linux", token="c", place=0, locks=successor.locks)
        record = events.ResourceRequested(built_for=None)
        self.assertIsNone(await self.store.add_resource(request, record))

    async def test_late_news_of_a_resource_changes_nothing(self) -> None:
        active = await self.active()
        before = await self.store.events()
        self.clock.advance(1)
        record = events.ResourceReady(address="", seconds=1.0)
        self.assertEqual(
            await self.store.move_resource(active, ResourceEvent.READY, record), active
        )
        await self.assert_unchanged_by([active], [], before)

    async def test_a_forbidden_move_of_a_resource_is_refused_loudly(self) -> None:
        active = await self.active()
        before = await self.store.events()
        with self.assertRaises(IllegalMove):
            await self.store.move_resource(active, ResourceEvent.GONE, RESOURCE_GONE)
        await self.assert_unchanged_by([active], [], before)

    async def test_a_resource_is_not_released_while_a_lease_holds_a_slot(self) -> None:
        active = await self.active()
        lease, leased = await self.leased(active)
        before = await self.store.events()
        self.assertIsNone(await self.release(leased))
        await self.assert_unchanged_by([leased], [lease], before)

    async def test_a_resource_is_not_released_before_an_ended_lease_is_vacated(self) -> None:
        lease, leased = await self.leased(await self.active())
        ended = await self.store.move_lease(lease, LeaseEvent.RELEASE, RELEASED)
        assert ended is not None
        self.assertIsNone(await self.release(leased))
        await self.store.move_lease(ended, LeaseEvent.VACATE, VACATED)
        now = await self.store.resource(leased.id)
        assert now is not None
        released = await self.release(now)
        assert released is not None
        self.assertIs(released.status, ResourceStatus.RELEASED)

    async def test_a_resource_is_released_after_its_lease_went_back_to_the_pool(self) -> None:
        lease, leased = await self.leased(await self.active(), activate=False)
        await self.store.move_lease(lease, LeaseEvent.RETURN, RETURNED, reason="vanished")
        self.assertIsNotNone(await self.release(leased))

    async def test_a_lease_that_comes_first_prevents_the_release(self) -> None:
        active = await self.active()
        lease, leased = await self.leased(active)
        await self.vacated(lease)
        self.assertIsNone(await self.release(active))
        self.assertIs((await self.now(leased)).status, ResourceStatus.ACTIVE)

    async def test_the_other_resources_leases_do_not_matter_to_a_release(self) -> None:
        first, second = await self.active(0), await self.active(1)
        await self.leased(first)
        self.assertIsNotNone(await self.release(second))

    async def test_a_resource_may_break_while_leased(self) -> None:
        _, leased = await self.leased(await self.active())
        broken = await self.moved(leased, (ResourceEvent.BREAK, RESOURCE_BROKEN))
        self.assertIs(broken.status, ResourceStatus.BROKEN)

    async def release(self, seen: Resource) -> Resource | None:
        return await self.store.move_resource(
            seen, ResourceEvent.RELEASE, RESOURCE_RELEASED, reason="idle"
        )

    async def now(self, seen: Resource) -> Resource:
        row = await self.store.resource(seen.id)
        assert row is not None
        return row

    # --- leases ------------------------------------------------------------------------------

    async def test_faults_are_written_down_and_forgiven(self) -> None:
        resource = await self.active()
        record = events.ResourceFaulty(reason="no disk", faults=2)
        faulty = await self.store.set_faults(resource, 2, record, reason="no disk\0")
        expected = replace(
            resource,
            version=resource.version + 1,
            faults=2,
            fault_at=NOON,
            fault="no disk\ufffd",
        )
        assert faulty is not None
        self.assertIn(faulty.fault, ("no disk\0", "no disk\ufffd"))
        self.assertEqual(replace(faulty, fault=expected.fault), expected)
        self.assertEqual((await self.other.rows()).resources, (faulty,))
        trusted = await self.other.set_faults(faulty, 0, events.ResourceTrusted(faults=2))
        self.assertEqual(trusted, replace(resource, version=resource.version + 2))
        self.assertEqual(
            (await self.recorded(resource=resource.id))[-2:],
            [record, events.ResourceTrusted(faults=2)],
        )

    async def test_a_claim_made_before_a_fault_was_seen_is_refused(self) -> None:
        resource = await self.active()
        pending = await self.requested()
        record = events.ResourceFaulty(reason="no disk", faults=1)
        await self.store.set_faults(resource, 1, record, reason="no disk")
        self.assertEqual(list(await self.store.acquire([self.claim(pending, resource)])), [None])
        self.assertIsNone(await self.other.set_faults(resource, 5, record, reason="late"))

    async def test_a_requested_lease_is_pending(self) -> None:
        request = LeaseRequest(
            owner="worker/linux-007",
            nonce="c0ffee",
            master=3,
            type="working-copy",
            requires={"os": "linux"},
            blueprints=("linux", "spot"),
            priority=-5,
            attributes={"builder": "tests"},
            authorized_by="alice",
            expires_at=NOON + 60.25,
            until=NOON + 3600.000001,
        )
        record = events.LeaseRequested(owner=request.owner, requires={"os": "linux"})
        row = await self.store.request_lease(request, record)
        expected = Lease(
            id=row.id,
            owner="worker/linux-007",
            nonce="c0ffee",
            master=3,
            type="working-copy",
            requires={"os": "linux"},
            blueprints=("linux", "spot"),
            priority=-5,
            attributes={"builder": "tests"},
            authorized_by="alice",
            version=row.version,
            requested_at=NOON,
            since=NOON,
            renewed_at=NOON,
            expires_at=NOON + 60.25,
            until=NOON + 3600.000001,
        )
        self.assertEqual(row, expected)
        self.assertEqual(await self.store.lease(row.id), expected)
        self.assertEqual((await self.other.rows()).leases, (expected,))

    async def test_the_same_request_twice_makes_two_leases(self) -> None:
        first, second = await self.requested(), await self.requested()
        self.assertLess(first.id, second.id)

    async def test_an_acquired_lease_holds_its_slot(self) -> None:
        resource, lease = await self.active(), await self.requested()
        self.clock.advance(1.5)
        claim = self.claim(lease, resource, 2, activate=False)
        (answer,) = await self.store.acquire([claim])
        expected = replace(
            lease,
            status=LeaseStatus.ACQUIRED,
            version=lease.version + 1,
            since=self.clock.seconds(),
            resource=resource.id,
            slot=2,
            held_since=self.clock.seconds(),
            locks=(slotlocks.slot(resource.id, 2),),
        )
        self.assertEqual(answer, expected)
        self.assertEqual(await self.other.lease(lease.id), expected)

    async def test_a_lease_that_needs_no_preparation_is_active_at_once(self) -> None:
        resource, lease = await self.active(), await self.requested()
        (answer,) = await self.store.acquire([self.claim(lease, resource, activate=True)])
        assert answer is not None
        self.assertEqual((answer.status, answer.version), (LeaseStatus.ACTIVE, lease.version + 1))
        self.assertEqual(await self.store.lease(lease.id), answer)

    async def test_an_acquired_resource_has_one_use_more(self) -> None:
        resource = await self.active()
        self.clock.advance(7)
        _, now = await self.leased(resource)
        self.assertEqual((now.uses, now.last_used_at), (1, self.clock.seconds()))
        self.assertGreater(now.version, resource.version)
        unchanged = replace(now, uses=0, last_used_at=None, version=resource.version)
        self.assertEqual(unchanged, resource)

    async def test_acquiring_nothing_is_no_work(self) -> None:
        self.assertEqual(list(await self.store.acquire([])), [])

    async def test_a_taken_slot_is_refused(self) -> None:
        first, resource = await self.leased(await self.active())
        second = await self.requested("second")
        before = await self.store.events()
        (answer,) = await self.other.acquire([self.claim(second, resource, 0)])
        self.assertIsNone(answer)
        await self.assert_unchanged_by([resource], [first, second], before)

    async def test_a_stale_resource_is_refused_and_leaves_no_lock(self) -> None:
        stale = await self.active()
        first, resource = await self.leased(stale, 0)
        second = await self.requested("second")
        before = await self.store.events()
        (answer,) = await self.other.acquire([self.claim(second, stale, 1)])
        self.assertIsNone(answer)
        await self.assert_unchanged_by([resource], [first, second], before)
        (answer,) = await self.store.acquire([self.claim(second, resource, 1)])
        self.assertIsNotNone(answer)

    async def test_a_stale_lease_is_refused_and_leaves_no_lock(self) -> None:
        resource, stale = await self.active(), await self.requested()
        await self.store.renew([stale.id], expires_at=NOON + 60)
        renewed = await self.store.lease(stale.id)
        assert renewed is not None
        before = await self.store.events()
        (answer,) = await self.store.acquire([self.claim(stale, resource)])
        self.assertIsNone(answer)
        await self.assert_unchanged_by([resource], [renewed], before)
        (answer,) = await self.store.acquire([self.claim(renewed, resource)])
        self.assertIsNotNone(answer)

    async def test_a_resource_that_is_not_active_is_refused(self) -> None:
        lease = await self.requested()
        pending = await self.added(0)
        released = await self.moved(
            await self.active(1), (ResourceEvent.RELEASE, RESOURCE_RELEASED)
        )
        destroyed = await self.destroyed(await self.active(2))
        before = await self.store.events()
        for resource in (pending, released, destroyed):
            (answer,) = await self.store.acquire([self.claim(lease, resource)])
            self.assertIsNone(answer)
        await self.assert_unchanged_by([pending, released, destroyed], [lease], before)

    async def test_a_lease_that_is_not_pending_cannot_be_acquired(self) -> None:
        lease, resource = await self.leased(await self.active())
        before = await self.store.events()
        with self.assertRaises(IllegalMove):
            await self.store.acquire([self.claim(lease, resource, 1)])
        await self.assert_unchanged_by([resource], [lease], before)

    async def test_each_claim_of_a_batch_succeeds_or_fails_alone(self) -> None:
        good, other = await self.active(0), await self.active(1)
        released = await self.moved(
            await self.active(2), (ResourceEvent.RELEASE, RESOURCE_RELEASED)
        )
        stale = await self.active(3)
        holder, taken = await self.leased(await self.active(4))
        _, _ = await self.leased(stale, 5)
        leases = [await self.requested(f"owner {n}") for n in range(8)]
        await self.store.renew([leases[3].id], expires_at=NOON + 60)
        before = len(await self.store.events())
        answers = await self.other.acquire(
            [
                self.claim(leases[0], good, 0),
                self.claim(leases[1], taken, 0),
                self.claim(leases[2], released, 0),
                self.claim(leases[3], good, 1),
                self.claim(leases[4], good, 2),
                self.claim(leases[5], stale, 0),
                self.claim(leases[6], taken, 1, activate=False),
                self.claim(leases[7], other, 0),
            ]
        )
        got = [answer is not None for answer in answers]
        self.assertEqual(got, [True, False, False, False, True, False, True, True])
        rows = {lease.id: lease for lease in (await self.store.rows()).leases}
        for lease, answer in zip(leases, answers, strict=True):
            if answer is not None:
                self.assertEqual(rows[lease.id], answer)
            else:
                self.assertIs(rows[lease.id].status, LeaseStatus.PENDING)
        uses = [(await self.now(row)).uses for row in (good, taken, released, other)]
        self.assertEqual(uses, [2, 2, 0, 1])
        self.assertEqual(await self.store.lease(holder.id), holder)
        self.assertEqual(len(await self.store.events()) - before, 4)
        # What was refused left no lock behind.
        retried = await self.now(good)
        renewed = rows[leases[3].id]
        (answer,) = await self.store.acquire([self.claim(renewed, retried, 1)])
        self.assertIsNotNone(answer)

    async def test_two_claims_on_one_resource_both_succeed(self) -> None:
        resource = await self.active()
        leases = [await self.requested(f"owner {n}") for n in range(2)]
        claims = [self.claim(lease, resource, slot) for slot, lease in enumerate(leases)]
        answers = await self.store.acquire(claims)
        self.assertEqual([answer and answer.slot for answer in answers], [0, 1])
        self.assertEqual((await self.now(resource)).uses, 2)

    async def test_one_slot_twice_in_a_batch_is_given_once(self) -> None:
        resource = await self.active()
        first, second = await self.requested("first"), await self.requested("second")
        answers = await self.store.acquire(
            [self.claim(first, resource, 0), self.claim(second, resource, 0)]
        )
        self.assertEqual([answer is not None for answer in answers], [True, False])
        self.assertEqual(await self.store.lease(second.id), second)
        self.assertEqual((await self.now(resource)).uses, 1)

    async def test_one_lease_twice_in_a_batch_gets_one_slot(self) -> None:
        resource, lease = await self.active(), await self.requested()
        answers = await self.store.acquire(
            [self.claim(lease, resource, 0), self.claim(lease, resource, 1)]
        )
        self.assertEqual([answer is not None for answer in answers], [True, False])
        now = await self.now(resource)
        self.assertEqual(now.uses, 1)
        second = await self.requested("second")
        (answer,) = await self.store.acquire([self.claim(second, now, 1)])
        self.assertIsNotNone(answer)

    async def test_a_large_batch_is_acquired_whole(self) -> None:
        resources = [await self.active(place) for place in range(3)]
        leases = [await self.requested(f"owner {n}") for n in range(240)]
        claims = [
            self.claim(lease, resources[n % 3], n // 3, activate=n % 2 == 0)
            for n, lease in enumerate(leases)
        ]
        answers = await self.store.acquire(claims)
        self.assertEqual([answer is not None for answer in answers], [True] * 240)
        rows = await self.store.rows()
        self.assertEqual(list(rows.leases), list(answers))
        self.assertEqual([row.uses for row in rows.resources], [80, 80, 80])
        slots = {(lease.resource, lease.slot) for lease in rows.leases}
        self.assertEqual(len(slots), 240)

    async def test_a_prepared_lease_becomes_active(self) -> None:
        lease, _ = await self.leased(await self.active(), activate=False)
        self.clock.advance(3)
        record = events.LeaseActivated()
        active = await self.store.move_lease(lease, LeaseEvent.ACTIVATE, record)
        expected = replace(
            lease,
            status=LeaseStatus.ACTIVE,
            version=lease.version + 1,
            since=self.clock.seconds(),
        )
        self.assertEqual(active, expected)
        self.assertEqual(await self.store.lease(lease.id), expected)

    async def test_a_returned_lease_is_pending_again_without_its_slot(self) -> None:
        resource = await self.active()
        lease, leased = await self.leased(resource, activate=False)
        self.clock.advance(1)
        for number, reason in enumerate(("its host vanished", "its host broke"), start=1):
            returned = await self.store.move_lease(
                lease, LeaseEvent.RETURN, RETURNED, reason=reason
            )
            assert returned is not None
            self.assertEqual(
                (returned.status, returned.resource, returned.slot, returned.locks),
                (LeaseStatus.PENDING, None, None, ()),
            )
            self.assertEqual(len(returned.returns), number)
            self.assertEqual(returned.returns[-1], reason)
            self.assertEqual(await self.store.lease(lease.id), returned)
            leased = await self.now(leased)
            (again,) = await self.store.acquire([self.claim(returned, leased, activate=False)])
            assert again is not None
            lease = again

    async def test_an_ended_lease_keeps_its_slot_until_it_is_vacated(self) -> None:
        for slot, (event, record) in enumerate(
            ((LeaseEvent.RELEASE, RELEASED), (LeaseEvent.BREAK, BROKEN))
        ):
            lease, resource = await self.leased(await self.active(slot), 0)
            ended = await self.store.move_lease(lease, event, record, reason="over")
            assert ended is not None
            self.assertEqual((ended.reason, ended.locks), ("over", lease.locks))
            self.assertEqual(await self.store.lease(lease.id), ended)
            second = await self.requested("second")
            (answer,) = await self.store.acquire([self.claim(second, resource, 0)])
            self.assertIsNone(answer)
            gone = await self.store.move_lease(ended, LeaseEvent.VACATE, VACATED)
            assert gone is not None
            self.assertEqual(
                (gone.status, gone.locks, gone.reason), (LeaseStatus.DESTROYED, (), "over")
            )
            (answer,) = await self.store.acquire([self.claim(second, resource, 0)])
            self.assertIsNotNone(answer)

    async def test_a_vacated_resource_was_last_used_now(self) -> None:
        lease, resource = await self.leased(await self.active())
        self.clock.advance(100.5)
        gone = await self.vacated(lease)
        now = await self.now(resource)
        self.assertEqual(now, replace(resource, last_used_at=self.clock.seconds()))
        self.assertEqual(await self.store.lease(lease.id), gone)
        self.assertEqual((await self.other.rows()).resources, (now,))

    async def test_vacating_one_slot_does_not_refuse_claims_on_the_others(self) -> None:
        lease, resource = await self.leased(await self.active(), 0)
        second = await self.requested("second")
        await self.vacated(lease)
        (answer,) = await self.store.acquire([self.claim(second, resource, 1)])
        self.assertIsNotNone(answer)

    async def test_a_pending_lease_ends_without_a_resource(self) -> None:
        gone = await self.vacated(await self.requested())
        self.assertEqual((gone.status, gone.resource), (LeaseStatus.DESTROYED, None))
        self.assertEqual((await self.store.rows()).leases, ())
        self.assertEqual(await self.store.lease(gone.id), gone)

    async def test_a_lease_can_be_vacated_after_its_resource_is_gone(self) -> None:
        lease, resource = await self.leased(await self.active())
        await self.destroyed(resource)
        gone = await self.vacated(lease)
        self.assertIs(gone.status, LeaseStatus.DESTROYED)

    async def test_a_move_from_a_stale_lease_changes_nothing(self) -> None:
        lease, resource = await self.leased(await self.active(), activate=False)
        ended = await self.store.move_lease(lease, LeaseEvent.RELEASE, RELEASED)
        assert ended is not None
        before = await self.store.events()
        self.clock.advance(1)
        activated = events.LeaseActivated()
        for event, record in (
            (LeaseEvent.ACTIVATE, activated),
            (LeaseEvent.RETURN, RETURNED),
            (LeaseEvent.BREAK, BROKEN),
        ):
            self.assertIsNone(await self.other.move_lease(lease, event, record, reason="late"))
        await self.assert_unchanged_by([resource], [ended], before)
        second = await self.requested("second")
        (answer,) = await self.store.acquire([self.claim(second, resource, 0)])
        self.assertIsNone(answer)

    async def test_a_lease_is_vacated_once(self) -> None:
        lease, resource = await self.leased(await self.active())
        ended = await self.store.move_lease(lease, LeaseEvent.RELEASE, RELEASED)
        assert ended is not None
        self.assertIsNotNone(await self.store.move_lease(ended, LeaseEvent.VACATE, VACATED))
        second = await self.requested("second")
        (answer,) = await self.store.acquire([self.claim(second, resource, 0)])
        assert answer is not None
        before, used = await self.store.events(), await self.now(resource)
        self.clock.advance(50)
        self.assertIsNone(await self.store.move_lease(ended, LeaseEvent.VACATE, VACATED))
        await self.assert_unchanged_by([used], [answer], before)
        third = await self.requested("third")
        (answer,) = await self.store.acquire([self.claim(third, used, 0)])
        self.assertIsNone(answer)

    async def test_late_news_of_a_lease_changes_nothing(self) -> None:
        lease, resource = await self.leased(await self.active())
        before = await self.store.events()
        self.clock.advance(1)
        record = events.LeaseActivated()
        self.assertEqual(await self.store.move_lease(lease, LeaseEvent.ACTIVATE, record), lease)
        await self.assert_unchanged_by([resource], [lease], before)

    async def test_a_forbidden_move_of_a_lease_is_refused_loudly(self) -> None:
        lease, resource = await self.leased(await self.active())
        before = await self.store.events()
        with self.assertRaises(IllegalMove):
            await self.store.move_lease(lease, LeaseEvent.VACATE, VACATED)
        with self.assertRaises(IllegalMove):
            await self.store.move_lease(lease, LeaseEvent.RETURN, RETURNED)
        await self.assert_unchanged_by([resource], [lease], before)

    # --- renewal -----------------------------------------------------------------------------

    async def test_renewal_puts_off_the_expiry_of_living_leases_only(self) -> None:
        resource = await self.active()
        pending = await self.requested("pending", expires_at=NOON + 60)
        active, resource = await self.leased(resource, 0)
        acquired, resource = await self.leased(resource, 1, activate=False)
        released, resource = await self.leased(resource, 2)
        ended = await self.store.move_lease(released, LeaseEvent.RELEASE, RELEASED)
        broken = await self.store.move_lease(
            await self.requested("broken"), LeaseEvent.BREAK, BROKEN
        )
        destroyed = await self.vacated(await self.requested("destroyed"))
        untouched = await self.requested("untouched", expires_at=NOON + 60)
        assert ended is not None
        assert broken is not None
        self.clock.advance(30.000001)
        before = await self.store.events()
        numbers = [row.id for row in (pending, active, acquired, ended, broken, destroyed)]
        answer = await self.store.renew([*numbers, 999_999], expires_at=NOON + 90.75)
        self.assertEqual(answer, frozenset({pending.id, active.id, acquired.id}))
        for row in (pending, active, acquired):
            expected = replace(
                row,
                version=row.version + 1,
                renewed_at=self.clock.seconds(),
                expires_at=NOON + 90.75,
            )
            self.assertEqual(await self.other.lease(row.id), expected)
        await self.assert_unchanged_by([resource], [ended, broken, destroyed, untouched], before)

    async def test_renewing_nothing_is_no_work(self) -> None:
        self.assertEqual(await self.store.renew([], expires_at=NOON), frozenset())

    async def test_a_renewed_lease_is_not_moved_by_who_saw_it_before(self) -> None:
        stale, _ = await self.leased(await self.active())
        await self.store.renew({stale.id}, expires_at=NOON + 60)
        answer = await self.other.move_lease(stale, LeaseEvent.RELEASE, RELEASED, reason="expired")
        self.assertIsNone(answer)

    # --- all rows ----------------------------------------------------------------------------

    async def test_rows_are_ordered_by_id_and_leave_the_destroyed_out(self) -> None:
        resources = [await self.added(place) for place in range(4)]
        leases = [await self.requested(f"owner {n}") for n in range(4)]
        await self.destroyed(resources[1])
        await self.vacated(leases[2])
        # Rows that change keep their place in the order.
        self.clock.advance(1)
        resources[0] = await self.moved(resources[0], (ResourceEvent.BREAK, RESOURCE_BROKEN))
        await self.store.renew([leases[0].id], expires_at=NOON + 60)
        rows = await self.other.rows()
        expected = [resources[n].id for n in (0, 2, 3)]
        self.assertEqual([row.id for row in rows.resources], expected)
        self.assertEqual([row.id for row in rows.leases], [leases[n].id for n in (0, 1, 3)])
        self.assertEqual(rows.resources[0], resources[0])

    async def test_rows_already_read_do_not_change(self) -> None:
        pending = await self.added()
        before = await self.store.rows()
        await self.destroyed(pending)
        await self.requested()
        self.assertEqual((before.resources, before.leases), ((pending,), ()))

    # --- blueprints --------------------------------------------------------------------------

    async def test_a_blueprint_changes_by_version(self) -> None:
        seen = BlueprintState(name="linux")
        wanted = BlueprintState(
            name="linux",
            mode=Mode.PAUSED,
            mode_reason="the power is being worked on",
            mode_author="alice",
            mode_until=NOON + 0.5,
            failures=3,
            retry_at=NOON + 8.000001,
            last_error="no capacity",
            misconfigured=True,
            overrides={
                "limit": Override(value=6, author="álice", reason="a\0 rush 🔥", at=NOON + 0.25),
                "idle_timeout": Override(value=None),
                "placement": Override(value="spread", at=NOON),
            },
        )
        first = await self.store.change_blueprint(seen, wanted, self.paused("linux"))
        self.assertEqual(first, replace(wanted, version=1))
        assert first is not None
        self.assertEqual(dict((await self.other.rows()).blueprints), {"linux": first})
        second = await self.other.change_blueprint(first, seen, self.paused("linux"))
        self.assertEqual(second, replace(seen, version=2))
        self.assertEqual(dict((await self.store.rows()).blueprints), {"linux": second})

    async def test_of_two_masters_with_a_first_state_one_wins(self) -> None:
        seen = BlueprintState(name="linux")
        wanted = replace(seen, mode=Mode.DRAINING)
        first = await self.store.change_blueprint(seen, wanted, self.paused("linux"))
        before = await self.store.events()
        lost = replace(seen, failures=1)
        self.assertIsNone(await self.other.change_blueprint(seen, lost, self.paused("linux")))
        self.assertEqual(dict((await self.store.rows()).blueprints), {"linux": first})
        self.assertEqual(list(await self.store.events()), list(before))

    async def test_a_stale_blueprint_changes_nothing(self) -> None:
        seen = BlueprintState(name="linux")
        first = await self.store.change_blueprint(seen, seen, self.paused("linux"))
        assert first is not None
        second = await self.store.change_blueprint(
            first, replace(first, failures=1), self.paused("linux")
        )
        before = await self.store.events()
        lost = replace(first, failures=9)
        self.assertIsNone(await self.store.change_blueprint(first, lost, self.paused("linux")))
        unborn = replace(seen, name="other", version=4)
        self.assertIsNone(await self.store.change_blueprint(unborn, unborn, self.paused("other")))
        self.assertEqual(dict((await self.store.rows()).blueprints), {"linux": second})
        self.assertEqual(list(await self.store.events()), list(before))

    def paused(self, name: str) -> events.Event:
        return events.ModeChanged(actor="alice", mode="paused", reason=name, until=None)

    # --- events ------------------------------------------------------------------------------

    async def test_each_change_records_its_event_with_what_it_is_about(self) -> None:
        resource = await self.active()
        lease, _ = await self.leased(resource, activate=False)
        returned = await self.store.move_lease(lease, LeaseEvent.RETURN, RETURNED, reason="x")
        assert returned is not None
        again, _ = await self.leased(await self.now(resource), 1)
        await self.vacated(again)
        await self.store.change_blueprint(
            BlueprintState(name="linux"), BlueprintState(name="linux"), self.paused("linux")
        )
        failed = events.CallFailed(actor="bob", verb="destroy", error="no", failures=2)
        await self.store.record(failed, blueprint="linux", resource=resource.id)
        await self.store.record(failed, lease=lease.id)
        number, first, second = resource.id, lease.id, again.id
        found = [
            (entry.event.kind, entry.blueprint, entry.resource, entry.lease)
            for entry in await self.store.events()
        ]
        self.assertEqual(
            found,
            [
                ("resource-requested", "linux", number, None),
                ("resource-ready", "linux", number, None),
                ("lease-requested", None, None, first),
                ("lease-acquired", "linux", number, first),
                ("lease-returned", "linux", number, first),
                ("lease-requested", None, None, second),
                ("lease-acquired", "linux", number, second),
                ("lease-released", "linux", number, second),
                ("lease-destroyed", "linux", number, second),
                ("mode-changed", "linux", None, None),
                ("call-failed", "linux", number, None),
                ("call-failed", None, None, first),
            ],
        )

    async def test_events_of_every_kind_are_read_as_they_were_written(self) -> None:
        written = [
            events.ResourceRequested(built_for=None),
            events.ResourceReady(address="10.0.0.1", seconds=1.25),
            events.LeaseRequested(actor="álice", owner="w", requires={"os": "línux"}),
            events.LeaseAcquired(slot=3, waited=0.1),
            events.LaunchFailed(error="🔥", failures=2, retry_at=NOON, budget_spent=True),
            events.StrayDestroyed(token="t", identity="i-1", reason="no row"),
        ]
        for event in written:
            self.clock.advance(1)
            await self.store.record(event)
        found = await self.other.events()
        self.assertEqual([entry.event for entry in found], written)
        self.assertEqual([entry.at for entry in found], [NOON + 1 + n for n in range(6)])
        self.assertEqual([entry.id for entry in found], sorted({entry.id for entry in found}))

    async def test_events_are_the_latest_oldest_first(self) -> None:
        for number in range(5):
            await self.store.record(events.ResourceRequested(built_for=number))
        found = await self.store.events(limit=2)
        self.assertEqual(
            [entry.event for entry in found],
            [events.ResourceRequested(built_for=3), events.ResourceRequested(built_for=4)],
        )

    async def test_events_can_be_those_of_one_resource_or_lease(self) -> None:
        first, second = await self.active(0), await self.added(1)
        lease, _ = await self.leased(first)
        kinds = [event.kind for event in await self.recorded(resource=first.id)]
        self.assertEqual(kinds, ["resource-requested", "resource-ready", "lease-acquired"])
        kinds = [event.kind for event in await self.recorded(resource=second.id)]
        self.assertEqual(kinds, ["resource-requested"])
        kinds = [event.kind for event in await self.recorded(lease=lease.id)]
        self.assertEqual(kinds, ["lease-requested", "lease-acquired"])
        self.assertEqual(len(await self.recorded(resource=first.id, lease=lease.id)), 1)

    # --- values ------------------------------------------------------------------------------

    async def test_long_and_foreign_texts_survive(self) -> None:
        reason = "🚢 Ünïcödé ‮ 中文 \\ ' \" % :name \n" * 300
        self.assertGreater(len(reason), 8_000)
        resource = await self.store.move_resource(
            await self.added(),
            ResourceEvent.BREAK,
            events.ResourceBroken(reason=reason),
            reason=reason + "x" * 10_000,
            observed=Observed(token="t", identity="🚢", address="fe80::1%eth0", data={"ä": "🔥"}),
        )
        lease = await self.store.move_lease(
            await self.requested("worker/🚢", requires={"ö": "🔥"}, attributes={"k": reason}),
            LeaseEvent.BREAK,
            events.LeaseBroken(reason=reason),
            reason=reason,
        )
        assert resource is not None
        assert lease is not None
        self.assertEqual(resource.reason, reason + "x" * 10_000)
        rows = await self.other.rows()
        self.assertEqual((rows.resources, rows.leases), ((resource,), (lease,)))
        self.assertEqual(lease.attributes, {"k": reason})
        found = await self.recorded(lease=lease.id)
        self.assertEqual(found[-1], events.LeaseBroken(reason=reason))

    async def test_a_text_that_no_database_can_hold_does_not_prevent_the_change(self) -> None:
        """What a host printed may hold NUL characters and undecodable bytes."""
        reason = "it said \0\udcff and died"
        record = events.ResourceBroken(reason=reason)
        row = await self.store.move_resource(
            await self.added(), ResourceEvent.BREAK, record, reason=reason
        )
        assert row is not None
        self.assertIs(row.status, ResourceStatus.BROKEN)
        self.assertTrue(row.reason.startswith("it said ") and row.reason.endswith(" and died"))
        self.assertEqual((await self.other.rows()).resources, (row,))
        kinds = [event.kind for event in await self.recorded(resource=row.id)]
        self.assertEqual(kinds[-1], "resource-broken")

    async def test_times_keep_their_microseconds(self) -> None:
        for step in (0.000001, 0.1, 1 / 3, 12345.678901):
            self.clock.advance(step)
            lease = await self.requested(expires_at=self.clock.seconds() + 1 / 7)
            found = await self.other.lease(lease.id)
            assert found is not None
            self.assertEqual(found.requested_at, self.clock.seconds())
            self.assertEqual(found.expires_at, self.clock.seconds() + 1 / 7)
