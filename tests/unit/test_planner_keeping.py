"""Which idle resources are kept, and which are let go. What is leased is always kept."""

from dataclasses import replace

from buildbot_drydock.actions import AcquireLease, BuildResource, SettleResource
from buildbot_drydock.lifecycle import ResourceEvent
from buildbot_drydock.model import LeaseStatus, Mode, ResourceStatus
from buildbot_drydock.planner import plan
from buildbot_drydock.testing.builders import (
    NOW,
    blueprint,
    inventory,
    lease,
    pending,
    resource,
    state,
    world,
)
from tests.unit.planned import PlannerTestCase


def idle(number: int, seconds: float, **fields):
    return resource(number, last_used_at=NOW - seconds, since=NOW - 9_000, **fields)


class KeepingTestCase(PlannerTestCase):
    def released(self, world) -> list[int]:
        """Return the resources released, in order."""
        settled = self.planned(world, SettleResource)
        return [a.resource.id for a in settled if a.event is ResourceEvent.RELEASE]


class TestIdleTimeOut(KeepingTestCase):
    def world(self, *resources, leases=(), **fields):
        linux = blueprint(**{"limit": 9, "idle_timeout": 600.0, **fields})
        return world(linux, resources=resources, leases=leases)

    def test_what_is_idle_too_long_is_released(self) -> None:
        long = idle(1, 600)
        self.assert_plans(
            self.world(long),
            SettleResource(long, ResourceEvent.RELEASE, "it was idle for 600 s"),
        )

    def test_before_that_it_is_kept_and_the_loop_wakes_then(self) -> None:
        early = self.world(idle(1, 597))
        self.assert_plans(early)
        self.assert_wakes(early, NOW + 3)

    def test_one_that_was_never_used_is_idle_since_it_came(self) -> None:
        self.assertEqual(self.released(self.world(resource(since=NOW - 600))), [1])
        self.assertEqual(self.released(self.world(resource(since=NOW - 599))), [])

    def test_a_time_out_of_zero_releases_on_last_use(self) -> None:
        self.assertEqual(self.released(self.world(idle(1, 0), idle_timeout=0.0)), [1])

    def test_what_is_paid_for_in_any_case_is_kept_and_the_loop_wakes_then(self) -> None:
        for timeout in (0.0, 20.0):
            paid = replace(idle(1, 30), created_at=NOW - 57)
            early = self.world(paid, idle_timeout=timeout, minimum_billing=60.0)
            self.assert_plans(early)
            self.assert_wakes(early, NOW + 3)
            late = replace(paid, created_at=NOW - 60)
            self.assertEqual(
                self.released(self.world(late, idle_timeout=timeout, minimum_billing=60.0)), [1]
            )

    def test_without_a_time_out_it_is_kept_for_ever(self) -> None:
        self.assertEqual(self.released(self.world(idle(1, 10**9), idle_timeout=None)), [])

    def test_what_is_leased_is_kept(self) -> None:
        for status in (LeaseStatus.ACTIVE, LeaseStatus.ACQUIRED, LeaseStatus.RELEASED):
            held = lease(on=1, status=status)
            self.assertEqual(
                self.released(self.world(idle(1, 9_000), leases=[held], vacates=True)), []
            )

    def test_what_a_waiting_lease_gets_now_is_kept(self) -> None:
        given = plan(self.world(idle(1, 9_000), leases=[lease()], idle_timeout=0.0)).actions
        self.assertEqual([type(action) for action in given], [AcquireLease])

    def test_what_is_not_active_is_not_idle(self) -> None:
        others = [pending(1), resource(2, status=ResourceStatus.BROKEN)]
        self.assertEqual(self.released(self.world(*others, idle_timeout=0.0)), [])

    def test_warm_ones_are_kept_and_the_longest_idle_go_first(self) -> None:
        resources = [idle(1, 700), idle(2, 900), idle(3, 800), idle(4, 10)]
        self.assertEqual(self.released(self.world(*resources, min_ready=2)), [2, 3])
        self.assertEqual(self.released(self.world(*resources, min_ready=4)), [])

    def test_only_idle_ones_count_as_warm(self) -> None:
        resources = [idle(1, 700), idle(2, 700)]
        world = self.world(*resources, leases=[lease(on=2)], min_ready=1)
        self.assertEqual(self.released(world), [])


class TestWornOut(KeepingTestCase):
    def test_one_that_served_as_many_leases_as_it_may_is_released(self) -> None:
        old = resource(uses=3)
        self.assert_plans(
            world(blueprint(max_uses=3), resources=[old]),
            SettleResource(old, ResourceEvent.RELEASE, "it served 3 leases, as many as it may"),
        )
        self.assertEqual(self.released(world(blueprint(max_uses=4), resources=[old])), [])

    def test_not_before_its_last_lease_has_ended(self) -> None:
        in_use = world(blueprint(max_uses=3), resources=[resource(uses=3)], leases=[lease(on=1)])
        self.assertEqual(self.released(in_use), [])

    def test_one_that_is_too_old_is_released_and_the_loop_wakes_for_it(self) -> None:
        linux = blueprint(max_age=3600.0, idle_timeout=None)
        old = resource(created_at=NOW - 3600)
        self.assertEqual(self.released(world(linux, resources=[old])), [1])
        almost = world(linux, resources=[resource(created_at=NOW - 3599)])
        self.assert_plans(almost)
        self.assert_wakes(almost, NOW + 1)

    def test_it_is_replaced_if_it_was_to_be_kept_warm(self) -> None:
        linux = blueprint(limit=2, max_uses=1, min_ready=1)
        planned = plan(world(linux, resources=[resource(uses=1)])).actions
        self.assertEqual([type(action) for action in planned], [SettleResource, BuildResource])

    def test_the_limit_counts_it_until_its_host_is_gone(self) -> None:
        linux = blueprint(limit=1, max_uses=1, min_ready=1)
        planned = plan(world(linux, resources=[resource(uses=1)])).actions
        self.assertEqual([type(action) for action in planned], [SettleResource])


class TestModes(KeepingTestCase):
    def released_in(self, mode: Mode, **fields) -> list[int]:
        stopped = blueprint(limit=9, min_ready=9, state=state(mode=mode, **fields))
        resources = [resource(1), resource(2)]
        return self.released(world(stopped, resources=resources, leases=[lease(on=2)]))

    def test_draining_and_disabling_release_what_is_idle(self) -> None:
        self.assertEqual(self.released_in(Mode.DRAINING), [1])
        self.assertEqual(self.released_in(Mode.DISABLED), [1])

    def test_pausing_keeps_it(self) -> None:
        self.assertEqual(self.released_in(Mode.PAUSED), [])

    def test_a_mode_that_is_over_keeps_it(self) -> None:
        self.assertEqual(self.released_in(Mode.DRAINING, mode_until=NOW), [])

    def test_the_loop_wakes_when_a_mode_is_over(self) -> None:
        paused = world(blueprint(state=state(mode=Mode.PAUSED, mode_until=NOW + 3)))
        self.assert_wakes(paused, NOW + 3)

    def test_a_retired_blueprint_lets_go_of_what_is_idle(self) -> None:
        gone = blueprint(limit=9, min_ready=9, retired=True)
        resources = [resource(1), resource(2)]
        retired = world(gone, resources=resources, leases=[lease(on=2)])
        self.assert_plans(
            retired,
            SettleResource(
                resources[0], ResourceEvent.RELEASE, "its blueprint is no longer configured"
            ),
        )


class TestTheLimitLowered(KeepingTestCase):
    def test_the_longest_idle_are_released_until_the_limit_holds(self) -> None:
        resources = [idle(1, 10), idle(2, 30), idle(3, 20)]
        linux = blueprint(limit=1, min_ready=3)
        lowered = world(linux, resources=resources)
        self.assertEqual(self.released(lowered), [2, 3])
        reasons = {action.reason for action in plan(lowered).actions}
        self.assertEqual(reasons, {"there are more resources than the limit of 1 allows"})

    def test_leased_ones_count_and_are_kept(self) -> None:
        resources = [idle(1, 10), idle(2, 20)]
        linux = blueprint(limit=1)
        both = [lease(1, on=1), lease(2, on=2)]
        self.assertEqual(self.released(world(linux, resources=resources, leases=both)), [])
        one = world(linux, resources=resources, leases=both[:1])
        self.assertEqual(self.released(one), [2])

    def test_what_has_ended_or_ends_now_does_not_count(self) -> None:
        ended = resource(1, status=ResourceStatus.BROKEN)
        linux = blueprint(limit=1)
        self.assertEqual(self.released(world(linux, resources=[ended, idle(2, 10)])), [])
        lost = {"linux": inventory(idle(2, 10))}
        resources = [idle(1, 10), idle(2, 10)]
        breaking = world(linux, resources=resources, inventories=lost)
        self.assertEqual(self.released(breaking), [])
        worn_out = [idle(1, 10, uses=1), idle(2, 10)]
        self.assertEqual(
            self.released(world(blueprint(limit=1, max_uses=1), resources=worn_out)), [1]
        )

    def test_what_is_reclaimed_in_the_same_turn_counts_as_gone(self) -> None:
        images = {"image": ("bookworm", "trixie")}
        linux = blueprint(limit=1, choices=images)
        resources = [idle(number, 10, labels={"image": "bookworm"}) for number in (1, 2)]
        asking = lease(requires={"image": "trixie"})
        self.assertEqual(self.released(world(linux, resources=resources, leases=[asking])), [1])

    def test_what_is_coming_counts(self) -> None:
        resources = [pending(1), idle(2, 10)]
        self.assertEqual(self.released(world(blueprint(limit=1), resources=resources)), [2])
