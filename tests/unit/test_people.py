"""Leases of people, and what people do to leases."""

from __future__ import annotations

from twisted.internet.defer import Deferred

from buildbot_drydock import events
from buildbot_drydock.model import Lease, LeaseStatus
from buildbot_drydock.people import People, owner_of, person_of
from tests.unit.core import CoreTestCase

ACTIVE, RELEASED = LeaseStatus.ACTIVE, LeaseStatus.RELEASED


class PeopleTests(CoreTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.people = People(
            self.store,
            self.clock,
            new_nonce=lambda: "a nonce",
            changed=self.lease_changed,
            wake=self.wake,
        )

    def ask(self, seconds: float = 60.0, until: float | None = None) -> Lease:
        return self.now(self.people.request("ana", seconds=seconds, until=until))

    def test_a_persons_lease_is_active_until_its_time_is_over(self) -> None:
        number = self.ask().id
        self.settle()
        self.later(10)
        self.assertIs(self.lease(number).status, ACTIVE)
        self.later(49)
        self.assertIs(self.lease(number).status, ACTIVE)
        self.later(2)
        self.assertIsNot(self.lease(number).status, ACTIVE)

    def test_no_master_takes_it_for_its_own(self) -> None:
        number = self.ask(seconds=20).id
        self.now(self.leases.await_holders())
        self.now(self.leases.renew_held())
        self.assertIsNone(self.lease(number).master)
        self.settle()
        self.later(21)
        self.assertIs(self.lease(number).status, LeaseStatus.DESTROYED)

    def test_it_ends_at_its_end_however_often_it_is_renewed(self) -> None:
        number = self.ask(seconds=500, until=self.clock.seconds() + 30).id
        self.settle()
        self.now(self.people.renew(number, actor="ana", seconds=1000))
        self.later(31)
        self.assertIsNot(self.lease(number).status, ACTIVE)

    def test_an_end_that_has_passed_is_refused(self) -> None:
        asked = Deferred.fromCoroutine(self.people.request("ana", seconds=5, until=1.0))
        self.assertIn("until", str(self.failureResultOf(asked, ValueError).value))
        self.assertEqual(self.statuses(), ([], []))

    def test_a_renewal_is_an_event_and_never_shortens(self) -> None:
        lease = self.ask()
        renewed = self.now(self.people.renew(lease.id, actor="bo", seconds=100))
        assert renewed is not None
        self.assertEqual(renewed.expires_at, self.clock.seconds() + 100)
        again = self.now(self.people.renew(lease.id, actor="bo", seconds=10))
        self.assertEqual(again, renewed)
        (event,) = self.recorded(events.LeaseRenewed)
        self.assertEqual(event.actor, "bo")

    def test_what_has_ended_or_never_was_cannot_be_renewed(self) -> None:
        lease = self.ask()
        self.now(self.people.release(lease.id, actor="ana"))
        self.assertIsNone(self.now(self.people.renew(lease.id, actor="ana", seconds=100)))
        self.assertIsNone(self.now(self.people.renew(99, actor="ana", seconds=100)))
        self.assertEqual(self.recorded(events.LeaseRenewed), [])

    def test_a_released_lease_says_who_released_it_and_its_holder_is_told(self) -> None:
        lease = self.now(self.leases.request(owner="worker/linux-001"))
        lost: list[Lease] = []
        self.leases.hold(lease.id, lost.append)
        released = self.now(self.people.release(lease.id, actor="ana", reason="too slow"))
        assert released is not None
        self.assertEqual(
            (released.status, released.reason), (RELEASED, "ana released it: too slow")
        )
        self.assertEqual(lost, [released])
        (event,) = self.recorded(events.LeaseReleased)
        self.assertEqual(event.actor, "ana")

    def test_releasing_what_has_ended_changes_nothing(self) -> None:
        lease = self.ask()
        self.now(self.people.release(lease.id, actor="ana"))
        again = self.now(self.people.release(lease.id, actor="bo"))
        assert again is not None
        self.assertEqual(again.reason, "ana released it")
        self.assertEqual(len(self.recorded(events.LeaseReleased)), 1)
        self.assertIsNone(self.now(self.people.release(99, actor="bo")))

    def test_a_person_is_told_from_a_worker(self) -> None:
        self.assertEqual(person_of(owner_of("ana")), "ana")
        self.assertIsNone(person_of("worker/linux-001"))
        self.assertEqual(person_of(owner_of("worker/linux-001")), "worker/linux-001")
