"""Taking hosts out of service: idle, busy, waited for, and in a race with a lease."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred

from buildbot_drydock import events
from buildbot_drydock.maintenance import Maintenance
from buildbot_drydock.model import (
    BlueprintState,
    HostState,
    Lease,
    LeaseStatus,
    Mode,
    ResourceStatus,
)
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


class BlueprintCase(CoreTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.maintenance = Maintenance(self.store, self.clock, self.wake)

    def set(self, mode: Mode, **arguments: Any) -> BlueprintState:
        return self.now(self.maintenance.set_mode("linux", mode, actor="ana", **arguments))

    def leased(self) -> Lease:
        lease = self.request()
        self.settle()
        self.later(1)
        self.assertIs(self.lease(lease.id).status, ACTIVE)
        return lease


class ModeTests(BlueprintCase):
    def test_a_paused_blueprint_lets_leases_wait_until_it_is_resumed(self) -> None:
        self.set(Mode.PAUSED, reason="a new kernel")
        lease = self.request()
        self.settle()
        self.assertIs(self.lease(lease.id).status, PENDING)
        self.set(Mode.ENABLED)
        self.settle()
        self.later(1)
        self.assertIs(self.lease(lease.id).status, ACTIVE)

    def test_it_is_resumed_by_itself_when_its_time_is_over(self) -> None:
        self.set(Mode.DISABLED, until=self.clock.seconds() + 60)
        lease = self.request()
        self.settle()
        self.later(61)
        self.later(1)
        self.assertIs(self.lease(lease.id).status, ACTIVE)

    def test_what_is_remembered_of_its_launches_stays(self) -> None:
        self.change_state(failures=3, last_error="no image")
        changed = self.set(Mode.PAUSED)
        self.assertEqual((changed.failures, changed.last_error), (3, "no image"))

    def test_each_change_is_an_event_and_resuming_what_is_in_service_is_none(self) -> None:
        self.set(Mode.ENABLED)
        self.set(Mode.DRAINING, reason="moving")
        self.set(Mode.ENABLED)
        self.assertEqual(
            [each.sentence() for each in self.recorded(events.ModeChanged)],
            ["ana made the blueprint draining: moving.", "ana made the blueprint enabled."],
        )

    def test_an_end_that_has_passed_is_refused(self) -> None:
        asked = Deferred.fromCoroutine(
            self.maintenance.set_mode("linux", Mode.PAUSED, actor="ana", until=1.0)
        )
        self.assertIn("until", str(self.failureResultOf(asked, ValueError).value))
        self.assertEqual(self.recorded(events.ModeChanged), [])

    def test_a_turn_is_asked_for(self) -> None:
        before = self.wakes
        self.set(Mode.PAUSED)
        self.assertGreater(self.wakes, before)

    def test_of_two_who_change_it_at_once_both_are_heard(self) -> None:
        change_blueprint = self.store.change_blueprint
        others = [Mode.PAUSED]

        async def beaten(*arguments: Any) -> Any:
            if others:
                self.change_state(failures=1, mode=others.pop())
            return await change_blueprint(*arguments)

        self.patch(self.store, "change_blueprint", beaten)
        changed = self.set(Mode.DISABLED)
        self.assertEqual((changed.mode, changed.failures), (Mode.DISABLED, 1))


class ReclaimTests(BlueprintCase):
    def reclaim(self, number: int = 1, **arguments: Any) -> Any:
        return Deferred.fromCoroutine(
            self.maintenance.reclaim(number, actor="ana", reason="odd", **arguments)
        )

    def test_an_idle_resource_is_released(self) -> None:
        lease = self.leased()
        self.now(self.leases.release(lease.id, "done"))
        self.settle()
        found = self.successResultOf(self.reclaim())
        self.assertEqual(
            (found.status, found.reason), (ResourceStatus.RELEASED, "reclaimed by ana: odd")
        )
        (event,) = self.recorded(events.ResourceReleased)
        self.assertEqual(event.actor, "ana")

    def test_a_turn_is_asked_for(self) -> None:
        lease = self.leased()
        self.now(self.leases.release(lease.id, "done"))
        self.settle()
        before = self.wakes
        self.successResultOf(self.reclaim())
        self.assertGreater(self.wakes, before)

    def test_a_leased_one_is_left_alone_and_its_leases_are_named(self) -> None:
        lease = self.leased()
        problem = self.failureResultOf(self.reclaim(), ValueError)
        self.assertIn(
            f"break_leases: resource 1 is not idle, leases hold it: {lease.id}", str(problem)
        )
        self.assertIs(self.resource().status, ResourceStatus.ACTIVE)

    def test_a_leased_one_breaks_its_leases_if_so_asked(self) -> None:
        lease = self.leased()
        found = self.successResultOf(self.reclaim(break_leases=True))
        self.assertIs(found.status, ResourceStatus.BROKEN)
        self.settle()
        self.assertIn(
            (lease.id, LeaseStatus.BROKEN), [(each.id, each.status) for each in self.changes]
        )

    def test_one_that_goes_already_is_left_alone_and_one_that_never_was_is_none(self) -> None:
        lease = self.leased()
        self.now(self.leases.release(lease.id, "done"))
        self.settle()
        self.successResultOf(self.reclaim())
        self.successResultOf(self.reclaim(break_leases=True))
        self.assertEqual(len(self.recorded(events.ResourceReleased, events.ResourceBroken)), 1)
        self.assertIsNone(self.successResultOf(self.reclaim(99)))

    def test_a_lease_that_came_first_wins(self) -> None:
        lease = self.leased()
        self.now(self.leases.release(lease.id, "done"))
        self.settle()
        move_resource = self.store.move_resource
        late = [self.request("worker/linux-002")]

        async def beaten(*arguments: Any, **options: Any) -> Any:
            if late:
                late.pop()
                self.settle()
            return await move_resource(*arguments, **options)

        self.patch(self.store, "move_resource", beaten)
        self.failureResultOf(self.reclaim(), ValueError)
        self.assertIs(self.resource().status, ResourceStatus.ACTIVE)
