"""Taking hosts out of service: idle, busy, waited for, and in a race with a lease."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred

from buildbot_drydock import events
from buildbot_drydock.maintenance import Maintenance
from buildbot_drydock.model import HostState, Lease, LeaseStatus, Mode, ResourceStatus
from buildbot_drydock.planner import plan
from buildbot_drydock.reasons import NoHostInService
from buildbot_drydock.testing.builders import NOW, host_list, listed_host
from tests.unit.core import CoreTestCase

ACTIVE, PENDING = LeaseStatus.ACTIVE, LeaseStatus.PENDING


class Case(CoreTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.configure(host_list(listed_host("a", slots=2), idle_timeout=None, vacates=True))
        self.maintenance = Maintenance(self.store, self.clock, self.wake)

    def disable(self, name: str = "a", **arguments: Any) -> HostState:
        return self.now(self.maintenance.disable_host(name, actor="ana", **arguments))

    def enable(self, name: str = "a") -> HostState:
        return self.now(self.maintenance.enable_host(name, actor="bo"))

    def ready(self) -> None:
        """Have the host in use, and idle."""
        lease = self.request()
        self.settle()
        self.later(1)
        self.now(self.leases.release(lease.id, "done"))
        self.later(1)
        self.assertEqual(self.statuses(), ([ResourceStatus.ACTIVE], []))

    def busy(self) -> Lease:
        self.ready()
        lease = self.request()
        self.settle()
        self.assertIs(self.lease(lease.id).status, ACTIVE)
        return lease

    def reasons(self, lease: Lease) -> tuple[Any, ...]:
        return tuple(self.controller.plan.reasons[lease.id])


class DisableTests(Case):
    def test_an_idle_host_is_released_at_once(self) -> None:
        self.ready()
        self.disable(reason="disk swap")
        self.settle()
        self.later(10)
        self.assertEqual(self.statuses(), ([], []))
        (released,) = self.recorded(events.ResourceReleased)
        self.assertIn("its host a is disabled by ana (disk swap)", released.sentence())
        self.assertEqual(self.store.slot_locks, {})

    def test_a_busy_host_goes_after_its_last_lease_and_takes_no_other(self) -> None:
        lease = self.busy()
        self.disable()
        other = self.request("worker/linux-002")
        self.settle()
        self.assertIs(self.lease(lease.id).status, ACTIVE)
        self.assertIs(self.lease(other.id).status, PENDING)
        self.assertIsInstance(self.reasons(other)[0], NoHostInService)
        self.now(self.leases.release(lease.id, "done"))
        self.later(10)
        self.assertEqual(self.statuses(), ([], [PENDING]))

    def test_a_busy_host_goes_at_once_if_so_asked_and_its_holder_is_told(self) -> None:
        lease = self.busy()
        self.disable(at_once=True, reason="smoke")
        self.settle()
        self.later(10)
        self.assertIn(
            (lease.id, LeaseStatus.BROKEN), [(each.id, each.status) for each in self.changes]
        )
        self.assertEqual(
            self.lease(lease.id).reason, "resource 1: its host a is disabled by ana (smoke)"
        )
        self.assertEqual(self.statuses(), ([], []))

    def test_a_lease_waits_until_the_host_is_back(self) -> None:
        self.disable()
        lease = self.request()
        self.settle()
        self.assertEqual(self.statuses(), ([], [PENDING]))
        self.enable()
        self.settle()
        self.later(10)
        self.assertIs(self.lease(lease.id).status, ACTIVE)

    def test_a_host_comes_back_by_itself_when_its_time_is_over(self) -> None:
        self.disable(until=self.clock.seconds() + 60)
        lease = self.request()
        self.settle()
        self.later(59)
        self.assertIs(self.lease(lease.id).status, PENDING)
        self.assertEqual(self.controller.plan.wake_at, NOW + 60)
        self.later(2)
        self.later(1)
        self.assertIs(self.lease(lease.id).status, ACTIVE)

    def test_each_change_is_an_event_with_who_did_it(self) -> None:
        self.disable(reason="disk swap", at_once=True)
        self.enable()
        self.assertEqual(
            [each.sentence() for each in self.recorded(events.HostModeChanged)],
            [
                "ana made host a disabled, and ended its leases: disk swap.",
                "bo made host a enabled.",
            ],
        )

    def test_enabling_what_is_enabled_changes_nothing(self) -> None:
        self.assertEqual(self.enable(), HostState(name="a"))
        self.disable(until=self.clock.seconds() + 1)
        self.clock.advance(1)
        self.assertEqual(self.enable().version, 1)
        self.assertEqual(len(self.recorded(events.HostModeChanged)), 1)

    def test_the_later_of_two_operators_counts(self) -> None:
        first = self.disable(reason="disk swap")
        self.assertEqual(self.disable(reason="new fan").version, first.version + 1)
        (state,) = self.now(self.store.rows()).hosts.values()
        self.assertEqual((state.mode, state.mode_reason), (Mode.DISABLED, "new fan"))

    def test_what_cannot_be_right_is_refused_and_named(self) -> None:
        for field, arguments in (("name", {"name": ""}), ("until", {"until": NOW})):
            call = self.maintenance.disable_host(**{"name": "a", "actor": "ana", **arguments})
            refused = self.failureResultOf(Deferred.fromCoroutine(call), ValueError)
            self.assertTrue(str(refused.value).startswith(f"{field}: "))
        self.assertEqual(self.now(self.store.rows()).hosts, {})

    def test_a_turn_is_asked_for(self) -> None:
        before = self.wakes
        self.disable()
        self.assertGreater(self.wakes, before)


class RaceTests(Case):
    """A turn has planned to give the host to a lease. Who writes first, wins."""

    def setUp(self) -> None:
        super().setUp()
        self.ready()
        self.waiting = self.request("worker/linux-002")
        world = self.now(self.controller.observe())
        self.give = self.executor.run(plan(world).actions, world.blueprints)

    def test_disabled_first_the_lease_does_not_get_it(self) -> None:
        self.disable()
        self.now(self.give)
        self.assertIs(self.lease(self.waiting.id).status, PENDING)
        self.settle()
        self.later(10)
        self.assertEqual(self.statuses(), ([], [PENDING]))

    def test_leased_first_the_lease_keeps_it_to_its_end(self) -> None:
        self.now(self.give)
        self.disable()
        self.settle()
        self.later(10)
        self.assertEqual(self.statuses(), ([ResourceStatus.ACTIVE], [ACTIVE]))
        self.now(self.leases.release(self.waiting.id, "done"))
        self.later(10)
        self.assertEqual(self.statuses(), ([], []))


class TakingIntoUseRaceTests(Case):
    """A turn has planned to take the host into use."""

    def setUp(self) -> None:
        super().setUp()
        self.waiting = self.request()
        world = self.now(self.controller.observe())
        self.build = self.executor.run(plan(world).actions, world.blueprints)

    def test_disabled_first_it_is_let_go_of_before_anybody_gets_it(self) -> None:
        self.disable()
        self.now(self.build)
        self.settle()
        self.later(10)
        self.assertEqual(self.statuses(), ([], [PENDING]))
        self.assertEqual(self.resource().uses, 0)

    def test_disabled_second_likewise(self) -> None:
        self.now(self.build)
        self.disable()
        self.settle()
        self.later(10)
        self.assertEqual(self.statuses(), ([], [PENDING]))
        self.assertEqual(self.resource().uses, 0)
