"""What holders of leases call, and what they hear."""

from dataclasses import replace

from buildbot_drydock import events
from buildbot_drydock.errors import LeaseBroken
from buildbot_drydock.interfaces import Claim
from buildbot_drydock.leases import Leases
from buildbot_drydock.lifecycle import LeaseEvent, ResourceEvent
from buildbot_drydock.model import Lease, LeaseStatus, Notice, Resource, ResourceRequest
from buildbot_drydock.reasons import Full, Reason
from buildbot_drydock.testing.builders import NOW
from tests.unit.core import CoreTestCase, hanging

LEASE_SECONDS = 100.0


class LeasesTestCase(CoreTestCase):
    def asked(self, owner: str = "worker/1", **fields) -> Lease:
        return self.now(self.leases.request(owner=owner, **fields))

    def given(self, lease: Lease, *, activate: bool = True, told: bool = True) -> Lease:
        """What the loop does for a lease: a resource of its own."""
        claim = Claim(
            lease=self.lease(lease.id),
            resource=self.new_resource(),
            slot=0,
            activate=activate,
            record=events.LeaseAcquired(slot=0, waited=0.0),
        )
        (row,) = self.now(self.store.acquire([claim]))
        assert row is not None
        if told:
            self.leases.lease_changed(row)
        return row

    def new_resource(self) -> Resource:
        wanted = ResourceRequest(blueprint="linux", token=self.new_token(), place=0)
        row = self.now(self.store.add_resource(wanted, events.ResourceRequested(built_for=None)))
        assert row is not None
        record = events.ResourceReady(address="", seconds=0.0)
        active = self.now(self.store.move_resource(row, ResourceEvent.READY, record))
        assert active is not None
        return active

    def broken(self, number: int, reason: str = "its host has gone", *, told: bool = True) -> Lease:
        record = events.LeaseBroken(reason=reason)
        row = self.now(
            self.store.move_lease(self.lease(number), LeaseEvent.BREAK, record, reason=reason)
        )
        assert row is not None
        if told:
            self.leases.lease_changed(row)
        return row

    def other_master(self, number: int = 2) -> Leases:
        return Leases(
            self.store,
            self.clock,
            master=number,
            lease_seconds=LEASE_SECONDS,
            new_nonce=lambda: "another",
            wake=lambda: None,
        )


class TestRequesting(LeasesTestCase):
    def test_all_that_is_asked_for_is_written_down(self) -> None:
        lease = self.asked(
            "worker/1",
            type="vm",
            requires={"image": "trixie"},
            blueprints=["linux"],
            priority=3,
            attributes={"builder": "docs"},
            authorized_by="ana",
            until=NOW + 900,
        )
        self.assertEqual(self.lease(), lease)
        self.assertEqual((lease.owner, lease.master, lease.nonce), ("worker/1", 1, "a nonce"))
        self.assertEqual((lease.type, lease.requires), ("vm", {"image": "trixie"}))
        self.assertEqual((lease.blueprints, lease.priority), (("linux",), 3))
        self.assertEqual((lease.attributes, lease.authorized_by), ({"builder": "docs"}, "ana"))
        self.assertEqual((lease.until, lease.expires_at), (NOW + 900, NOW + LEASE_SECONDS))
        (told,) = self.recorded(events.LeaseRequested)
        self.assertEqual((told.actor, told.requires), ("worker/1", {"image": "trixie"}))

    def test_it_wakes_the_loop(self) -> None:
        self.asked()
        self.assertEqual(self.wakes, 1)

    def test_it_is_held_from_then_on(self) -> None:
        self.asked()
        self.assertEqual(self.leases.held(), {1})

    def test_why_it_waits_is_told_from_the_last_plan(self) -> None:
        full = Full(blueprint="linux", limit=1, leased=1, slots=1, ending=0)
        leases = Leases(
            self.store,
            self.clock,
            master=1,
            lease_seconds=LEASE_SECONDS,
            new_nonce=lambda: "",
            wake=self.wake,
            reasons={7: (full,)}.__getitem__,
        )
        self.assertEqual(leases.reasons(7), (full,))


class TestWaiting(LeasesTestCase):
    def test_all_who_wait_get_the_active_lease(self) -> None:
        lease = self.asked()
        waiting = [self.leases.when_active(lease.id) for _ in range(2)]
        for each in waiting:
            self.assertNoResult(each)
        active = self.given(lease)
        self.assertEqual([self.successResultOf(each) for each in waiting], [active, active])

    def test_an_acquired_lease_is_not_active_yet(self) -> None:
        lease = self.asked()
        waiting = self.leases.when_active(lease.id)
        self.given(lease, activate=False)
        self.assertNoResult(waiting)

    def test_who_comes_later_gets_it_at_once(self) -> None:
        active = self.given(self.asked())
        self.assertEqual(self.successResultOf(self.leases.when_active(1)), active)

    def test_one_that_breaks_fails_with_the_reason(self) -> None:
        lease = self.asked()
        waiting = self.leases.when_active(lease.id)
        self.broken(1, "nothing provides a vm")
        failure = self.failureResultOf(waiting, LeaseBroken)
        self.assertEqual(str(failure.value), "lease 1: nothing provides a vm")
        self.failureResultOf(self.leases.when_active(1), LeaseBroken)

    def test_one_that_is_not_held_fails_at_once(self) -> None:
        self.failureResultOf(self.leases.when_active(99), LeaseBroken)

    def test_cancelling_stops_the_waiting_alone(self) -> None:
        lease = self.asked()
        first, second = (self.leases.when_active(lease.id) for _ in range(2))
        first.addErrback(lambda failure: None)
        first.cancel()
        active = self.given(lease)
        self.assertEqual(self.successResultOf(second), active)
        self.assertEqual(self.leases.held(), {1})

    def test_what_another_master_did_is_seen_in_the_rows(self) -> None:
        waiting = self.leases.when_active(self.asked().id)
        active = self.given(self.lease(), told=False)
        self.leases.observed(self.now(self.store.rows()))
        self.assertEqual(self.successResultOf(waiting), active)

    def test_leases_of_others_do_not_matter(self) -> None:
        stranger = self.request("worker/9")
        self.leases.observed(self.now(self.store.rows()))
        self.leases.lease_changed(replace(stranger, status=LeaseStatus.ACTIVE))
        self.assertEqual(self.leases.held(), frozenset())


class TestHolding(LeasesTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.lost: list[Lease] = []
        self.given(self.asked())

    def test_the_holder_is_told_once_that_it_was_lost(self) -> None:
        self.leases.hold(1, self.lost.append)
        row = self.broken(1)
        self.leases.lease_changed(row)
        self.assertEqual(self.lost, [row])
        self.assertEqual(self.leases.held(), frozenset())

    def test_also_if_another_master_ended_it(self) -> None:
        self.leases.hold(1, self.lost.append)
        row = self.broken(1, told=False)
        self.leases.observed(self.now(self.store.rows()))
        self.assertEqual(self.lost, [row])

    def test_a_loss_before_the_holder_could_use_it_is_raised(self) -> None:
        self.broken(1)
        error = self.assertRaises(LeaseBroken, self.leases.hold, 1, self.lost.append)
        self.assertIn("lease 1 was lost", str(error))

    def test_who_releases_it_is_not_told(self) -> None:
        self.leases.hold(1, self.lost.append)
        self.now(self.leases.release(1, "done"))
        self.leases.lease_changed(self.lease())
        self.assertEqual(self.lost, [])

    def test_its_holder_hears_once_that_its_host_is_to_end(self) -> None:
        told: list[tuple[Lease, Notice]] = []
        self.leases.hold(1, self.lost.append, lambda *news: told.append(news))
        self.given(self.asked("worker/2"))
        soon, now = Notice(reason="interrupted"), Notice(reason="interrupted", ends_at=NOW + 120)
        for notice in (soon, now):
            record = events.ResourceGivenNotice.of(notice, NOW)
            self.now(self.store.give_notice(self.resource(1), notice, record))
            for _ in range(2):
                self.leases.observed(self.now(self.store.rows()))
        self.assertEqual(told, [(self.lease(1), soon), (self.lease(1), now)])
        self.assertEqual(self.lost, [])

    def test_a_holder_that_cannot_stand_the_news_keeps_its_lease(self) -> None:
        def fail(lease: Lease, notice: Notice) -> None:
            raise ZeroDivisionError("oh")

        self.leases.hold(1, self.lost.append, fail)
        notice = Notice(reason="interrupted")
        record = events.ResourceGivenNotice.of(notice, NOW)
        self.now(self.store.give_notice(self.resource(1), notice, record))
        self.leases.observed(self.now(self.store.rows()))
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        self.assertEqual(self.leases.held(), frozenset([1]))

    def test_a_holder_that_takes_its_lease_up_again_hears_it_again(self) -> None:
        told: list[Notice] = []
        notice = Notice(reason="interrupted", ends_at=NOW + 120)
        record = events.ResourceGivenNotice.of(notice, NOW)
        self.now(self.store.give_notice(self.resource(1), notice, record))
        after = self.other_master(1)
        self.assertIsNotNone(self.now(after.adopt("worker/1")))
        after.hold(1, self.lost.append, lambda lease, notice: told.append(notice))
        after.observed(self.now(self.store.rows()))
        self.assertEqual(told, [notice])

    def test_a_bug_of_one_holder_does_not_hurt_the_others(self) -> None:
        def fail(lease: Lease) -> None:
            raise ZeroDivisionError("oh")

        self.leases.hold(1, fail)
        self.broken(1)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        self.assertEqual(self.leases.held(), frozenset())

    def test_a_dropped_lease_stays_as_it_is(self) -> None:
        self.leases.drop(1)
        self.leases.drop(1)
        self.assertEqual(self.leases.held(), frozenset())
        self.assertIs(self.lease().status, LeaseStatus.ACTIVE)


class TestReleasing(LeasesTestCase):
    def test_a_lease_is_released_in_any_status(self) -> None:
        self.asked()
        self.given(self.asked(), activate=False)
        self.given(self.asked())
        for number in (1, 2, 3):
            self.wakes = 0
            self.now(self.leases.release(number, "done", actor="ana"))
            row = self.lease(number)
            self.assertEqual((row.status, row.reason), (LeaseStatus.RELEASED, "done"))
            self.assertEqual(self.wakes, 1)
        self.assertEqual(self.leases.held(), frozenset())
        self.assertEqual({each.actor for each in self.recorded(events.LeaseReleased)}, {"ana"})

    def test_who_waits_for_it_is_told(self) -> None:
        waiting = self.leases.when_active(self.asked().id)
        self.now(self.leases.release(1, "the build was cancelled"))
        failure = self.failureResultOf(waiting, LeaseBroken)
        self.assertIn("the build was cancelled", str(failure.value))

    def test_it_can_not_be_waited_for_any_more(self) -> None:
        self.given(self.asked())
        self.now(self.leases.release(1, "done"))
        self.failureResultOf(self.leases.when_active(1), LeaseBroken)

    def test_one_that_has_ended_or_never_was_is_no_matter(self) -> None:
        self.asked()
        self.broken(1)
        self.now(self.leases.release(1, "done"))
        self.now(self.leases.release(99, "done"))
        self.assertIs(self.lease().status, LeaseStatus.BROKEN)

    def test_a_renewal_in_between_does_not_prevent_it(self) -> None:
        self.given(self.asked())
        move, renewals = self.store.move_lease, []

        async def too_late(seen: Lease, *arguments, **fields):
            if not renewals:
                renewals.append(await self.store.renew([1], expires_at=NOW + 900))
            return await move(seen, *arguments, **fields)

        self.patch(self.store, "move_lease", too_late)
        self.now(self.leases.release(1, "done"))
        self.assertEqual(renewals, [{1}])
        self.assertIs(self.lease().status, LeaseStatus.RELEASED)


class TestRenewing(LeasesTestCase):
    def test_held_leases_live_on(self) -> None:
        self.asked()
        self.given(self.asked())
        self.request("worker/of-nobody", expires_at=NOW + 1)
        self.clock.advance(50.0)
        self.now(self.leases.renew_held())
        expiries = [self.lease(number).expires_at for number in (1, 2, 3)]
        self.assertEqual(expiries, [NOW + 150.0, NOW + 150.0, NOW + 1])

    def test_a_changed_length_counts_from_the_next_renewal_on(self) -> None:
        self.asked()
        self.leases.lease_seconds = 7.0
        self.now(self.leases.renew_held())
        self.assertEqual(self.lease().expires_at, NOW + 7.0)

    def test_released_and_dropped_leases_are_not_renewed(self) -> None:
        for _ in range(2):
            self.asked()
        self.now(self.leases.release(1, "done"))
        self.leases.drop(2)
        self.clock.advance(50.0)
        self.now(self.leases.renew_held())
        self.assertEqual(self.lease(1).expires_at, NOW + LEASE_SECONDS)
        self.assertEqual(self.lease(2).expires_at, NOW + LEASE_SECONDS)

    def test_the_holders_of_lost_ones_are_told(self) -> None:
        lost: list[Lease] = []
        for _ in range(2):
            self.given_one = self.asked()
        self.leases.hold(1, lost.append)
        waiting = self.leases.when_active(2)
        rows = [self.broken(number, told=False) for number in (1, 2)]
        self.now(self.leases.renew_held())
        self.assertEqual(lost, rows[:1])
        self.failureResultOf(waiting, LeaseBroken)
        self.assertEqual(self.leases.held(), frozenset())

    def test_holding_nothing_is_no_work(self) -> None:
        async def refuse(*arguments: object, **fields: object) -> None:
            raise AssertionError("asked the store")

        self.patch(self.store, "renew", refuse)
        self.now(self.leases.renew_held())


class TestAfterARestart(LeasesTestCase):
    def restart(self) -> None:
        self.leases = self.other_master(1)

    def test_all_leases_of_this_master_live_until_their_holders_come(self) -> None:
        self.asked()
        self.now(self.other_master().request(owner="worker/other"))
        self.restart()
        self.clock.advance(50.0)
        self.now(self.leases.await_holders())
        self.assertEqual(self.lease(1).expires_at, NOW + 150.0)
        self.assertEqual(self.lease(2).expires_at, NOW + 100.0)
        self.assertEqual(self.leases.held(), frozenset(), "nobody holds it yet")

    def test_leases_whose_owners_are_gone_for_good_are_released_at_once(self) -> None:
        self.asked("build/7")
        self.asked("worker/1")
        self.now(self.other_master().request(owner="build/7"))
        self.restart()
        self.now(self.leases.await_holders(lambda owner: owner == "build/7"))
        self.assertEqual(self.lease(1).status, LeaseStatus.RELEASED)
        self.assertEqual(self.lease(2).status, LeaseStatus.PENDING)
        self.assertEqual(self.lease(3).status, LeaseStatus.PENDING, "it is another master's")

    def test_who_watches_hears_of_each_change_of_the_reasons_until_the_lease_is_active(
        self,
    ) -> None:
        reasons: dict[int, tuple[Full, ...]] = {}
        self.patch(self.leases, "_reasons", lambda number: reasons.get(number, ()))
        heard: list[tuple[Reason, ...]] = []
        lease = self.asked()
        self.leases.watch(lease.id, heard.append)
        self.leases.planned()
        for leased in (2, 2, 3):
            full = Full(blueprint="linux", limit=3, leased=leased, slots=3, ending=0)
            reasons[lease.id] = (full,)
            self.leases.planned()
        self.assertEqual([each[0].leased for each in heard], [2, 3])  # type: ignore[attr-defined]
        self.leases.lease_changed(replace(lease, status=LeaseStatus.ACTIVE))
        reasons.clear()
        reasons[lease.id] = (Full(blueprint="linux", limit=3, leased=1, slots=3, ending=0),)
        self.leases.planned()
        self.assertEqual(len(heard), 2)

    def test_the_newest_active_lease_is_adopted_and_the_others_are_released(self) -> None:
        resources_apart = iter(range(9))
        for activate in (True, True, False):
            lease = self.asked()
            claim = Claim(
                lease=lease,
                resource=self.new_resource(),
                slot=next(resources_apart),
                activate=activate,
                record=events.LeaseAcquired(slot=0, waited=0.0),
            )
            self.now(self.store.acquire([claim]))
        self.asked()
        self.asked("worker/another")
        self.restart()
        self.clock.advance(50.0)
        adopted = self.now(self.leases.adopt("worker/1"))
        assert adopted is not None
        self.assertEqual(adopted.id, 2)
        self.assertEqual(self.leases.held(), {2})
        released, active = LeaseStatus.RELEASED, LeaseStatus.ACTIVE
        self.assertEqual(
            [self.lease(number).status for number in (1, 2, 3, 4, 5)],
            [released, active, released, released, LeaseStatus.PENDING],
        )
        self.assertEqual(self.lease(2).expires_at, NOW + 150.0)
        self.assertEqual(self.lease(1).reason, "its holder was restarted")
        self.assertEqual(self.successResultOf(self.leases.when_active(2)).id, 2)

    def test_the_holder_of_an_adopted_lease_is_told_of_its_loss(self) -> None:
        lost: list[Lease] = []
        self.given(self.asked())
        self.restart()
        self.now(self.leases.adopt("worker/1"))
        self.leases.hold(1, lost.append)
        self.assertEqual(lost, [])
        row = self.broken(1)
        self.assertEqual(lost, [row])

    def test_without_an_active_lease_nothing_is_adopted(self) -> None:
        self.asked()
        self.restart()
        self.assertIsNone(self.now(self.leases.adopt("worker/1")))
        self.assertIs(self.lease().status, LeaseStatus.RELEASED)

    def test_the_leases_of_another_master_are_its_own(self) -> None:
        self.given(self.asked())
        self.assertIsNone(self.now(self.other_master().adopt("worker/1")))
        self.assertIs(self.lease().status, LeaseStatus.ACTIVE)

    def test_at_the_start_the_rows_are_read_once_for_all_holders(self) -> None:
        for number in range(3):
            self.asked(f"worker/{number}")
        self.given(self.lease(3))
        self.restart()
        self.now(self.leases.await_holders())
        self.patch(self.store, "rows", hanging())
        adopted = [self.now(self.leases.adopt(f"worker/{number}")) for number in range(4)]
        self.assertEqual([each and each.id for each in adopted], [None, None, 3, None])
        self.assertIs(self.lease(1).status, LeaseStatus.RELEASED)

    def test_what_has_ended_since_the_start_is_not_adopted(self) -> None:
        self.given(self.asked())
        self.restart()
        self.now(self.leases.await_holders())
        self.broken(1)
        self.assertIsNone(self.now(self.leases.adopt("worker/1")))

    def test_who_comes_again_finds_what_was_asked_for_meanwhile(self) -> None:
        self.restart()
        self.now(self.leases.await_holders())
        self.assertIsNone(self.now(self.leases.adopt("worker/1")))
        self.given(self.asked())
        again = self.now(self.leases.adopt("worker/1"))
        self.assertEqual(again and again.id, 1)

    def test_one_that_is_lost_at_that_moment_is_not_adopted(self) -> None:
        self.given(self.asked())
        self.restart()
        renew = self.store.renew

        async def too_late(*arguments, **fields):
            self.broken(1, told=False)
            return await renew(*arguments, **fields)

        self.patch(self.store, "renew", too_late)
        self.assertIsNone(self.now(self.leases.adopt("worker/1")))
        self.assertEqual(self.leases.held(), frozenset())


class TestFaults(LeasesTestCase):
    def test_a_resource_is_blamed_once_for_each_lease_that_could_not_use_it(self) -> None:
        number = self.new_resource().id
        self.now(self.leases.blame(number, "no disk"))
        self.now(self.leases.blame(number, "no net"))
        row = self.resource(number)
        self.assertEqual((row.faults, row.fault, row.fault_at), (2, "no net", NOW))
        self.assertEqual(
            [each.faults for each in self.recorded(events.ResourceFaulty)],  # type: ignore[attr-defined]
            [1, 2],
        )

    def test_one_that_could_use_it_settles_the_matter(self) -> None:
        number = self.new_resource().id
        self.now(self.leases.blame(number, "no disk"))
        self.now(self.leases.trust(number))
        row = self.resource(number)
        self.assertEqual((row.faults, row.fault, row.fault_at), (0, "", None))
        self.now(self.leases.trust(number))
        self.assertEqual(len(self.recorded(events.ResourceTrusted)), 1)

    def test_a_change_in_between_loses_no_blame(self) -> None:
        number = self.new_resource().id
        set_faults = self.store.set_faults
        rivals = [2]

        async def second(seen, faults, record, *, reason=""):
            if rivals:
                rivals.pop()
                await set_faults(seen, 1, record, reason="another lease")
            return await set_faults(seen, faults, record, reason=reason)

        self.patch(self.store, "set_faults", second)
        self.now(self.leases.blame(number, "no disk"))
        self.assertEqual(self.resource(number).faults, 2)

    def test_what_has_ended_is_not_blamed(self) -> None:
        row = self.new_resource()
        record = events.ResourceBroken(reason="its host has gone")
        self.now(self.store.move_resource(row, ResourceEvent.BREAK, record))
        self.now(self.leases.blame(row.id, "no disk"))
        self.now(self.leases.blame(99, "no disk"))
        self.assertEqual(self.recorded(events.ResourceFaulty), [])
