"""What becomes of leases that have a resource, had one, or have run out of time."""

from dataclasses import replace

from buildbot_drydock.actions import (
    BreakLease,
    CloseLease,
    DestroyHost,
    PrepareLease,
    ReleaseLease,
    ReturnLease,
    SettleResource,
    VacateLease,
)
from buildbot_drydock.lifecycle import ResourceEvent
from buildbot_drydock.model import Call, CallKey, LeaseStatus, ResourceStatus
from buildbot_drydock.planner import plan
from buildbot_drydock.testing.builders import (
    A_WHILE_AGO,
    NOW,
    blueprint,
    inventory,
    lease,
    pending,
    resource,
    succeeded,
    world,
)
from tests.unit.planned import PlannerTestCase

ACQUIRED, ACTIVE = LeaseStatus.ACQUIRED, LeaseStatus.ACTIVE
ENDED = (LeaseStatus.RELEASED, LeaseStatus.BROKEN)


class TestTime(PlannerTestCase):
    def test_a_lease_that_nobody_renews_breaks_in_whichever_status(self) -> None:
        for expired in (
            lease(1, on=1, expires_at=NOW),
            lease(1, on=1, expires_at=NOW, status=ACQUIRED),
        ):
            self.assert_plans(
                world(blueprint(prepares=True), resources=[resource()], leases=[expired]),
                BreakLease(expired, "its holder stopped renewing it"),
            )
        waiting = lease(1, expires_at=NOW)
        self.assert_plans(
            world(blueprint(), leases=[waiting]),
            BreakLease(waiting, "its holder stopped renewing it"),
        )

    def test_a_renewed_one_goes_on_and_the_loop_wakes_when_it_would_expire(self) -> None:
        renewed = lease(1, on=1, expires_at=NOW + 7)
        going_on = world(blueprint(), resources=[resource()], leases=[renewed])
        self.assert_plans(going_on)
        self.assert_wakes(going_on, NOW + 7)

    def test_a_lease_is_released_at_its_until_renewed_or_not(self) -> None:
        over = lease(1, on=1, until=NOW, expires_at=NOW + 60)
        self.assert_plans(
            world(blueprint(), resources=[resource()], leases=[over]),
            ReleaseLease(over, "its time is over"),
        )

    def test_before_that_it_goes_on_and_the_loop_wakes_then(self) -> None:
        going_on = world(
            blueprint(), resources=[resource()], leases=[lease(1, on=1, until=NOW + 9)]
        )
        self.assert_plans(going_on)
        self.assert_wakes(going_on, NOW + 9)

    def test_a_lease_of_another_masters_blueprint_ends_in_time_too(self) -> None:
        expired = lease(1, on=1, expires_at=NOW)
        elsewhere = world(resources=[resource(1, "elsewhere")], leases=[expired])
        self.assert_plans(elsewhere, BreakLease(expired, "its holder stopped renewing it"))


def lost(*leases, status=ResourceStatus.BROKEN, reason="its host has gone"):
    """A world in which resource 1 has ended, and is being destroyed."""
    gone = resource(status=status, reason=reason)
    destroying = {CallKey("destroy", "linux", gone.token): Call(running=True)}
    return world(blueprint(), resources=[gone], leases=leases, calls=destroying)


class TestALostResource(PlannerTestCase):
    because = "resource 1 was lost: its host has gone"

    def test_an_active_lease_breaks(self) -> None:
        active = lease(1, on=1)
        for status in (ResourceStatus.BROKEN, ResourceStatus.RELEASED):
            self.assert_plans(lost(active, status=status), BreakLease(active, self.because))

    def test_one_that_was_not_active_yet_goes_back_to_the_pool(self) -> None:
        acquired = lease(1, on=1, status=ACQUIRED)
        self.assert_plans(lost(acquired), ReturnLease(acquired, self.because))

    def test_the_fifth_time_it_breaks_with_all_the_reasons(self) -> None:
        fourth = lease(1, on=1, status=ACQUIRED, returns=("a", "b", "c"))
        self.assert_plans(lost(fourth), ReturnLease(fourth, self.because))
        fifth = lease(1, on=1, status=ACQUIRED, returns=("a", "b", "c", "d"))
        self.assert_plans(lost(fifth), BreakLease(fifth, f"a; b; c; d; {self.because}"))

    def test_a_resource_without_a_row_is_lost(self) -> None:
        active = lease(1, on=9)
        self.assert_plans(
            world(blueprint(), leases=[active]),
            BreakLease(active, "resource 9 was lost: it was destroyed"),
        )

    def test_expiry_goes_before_loss(self) -> None:
        expired = lease(1, on=1, status=ACQUIRED, expires_at=NOW)
        self.assert_plans(lost(expired), BreakLease(expired, "its holder stopped renewing it"))


class TestPreparing(PlannerTestCase):
    acquired = lease(1, on=1, status=ACQUIRED)

    def world(self, call: Call | None = None):
        calls = {CallKey("prepare", "linux", self.acquired.tag): call} if call else {}
        linux = blueprint(prepares=True)
        return world(linux, resources=[resource()], leases=[self.acquired], calls=calls)

    def test_an_acquired_lease_is_prepared(self) -> None:
        self.assert_plans(self.world(), PrepareLease(self.acquired, resource()))

    def test_not_twice_at_once(self) -> None:
        self.assert_plans(self.world(Call(running=True)))

    def test_after_a_failure_it_is_put_off(self) -> None:
        failed = self.world(Call(failures=1, retry_at=NOW + 2))
        self.assert_plans(failed)
        self.assert_wakes(failed, NOW + 2)
        self.assert_plans(
            self.world(Call(failures=4, retry_at=NOW)), PrepareLease(self.acquired, resource())
        )

    def test_after_five_failures_the_lease_breaks(self) -> None:
        self.assert_plans(
            self.world(Call(failures=5, retry_at=NOW + 60, error="no such branch")),
            BreakLease(self.acquired, "it could not be prepared: no such branch"),
        )

    def test_the_master_that_has_the_blueprint_sees_to_it(self) -> None:
        elsewhere = resource(1, "elsewhere")
        self.assert_plans(world(blueprint(), resources=[elsewhere], leases=[self.acquired]))


class TestVacating(PlannerTestCase):
    def ended(self, status=LeaseStatus.RELEASED, call: Call | None = None, **fields):
        over = lease(1, on=1, status=status)
        calls = {CallKey("vacate", "linux", over.tag): call} if call else {}
        linux = blueprint(**{"vacates": True, **fields})
        return over, world(linux, resources=[resource()], leases=[over], calls=calls)

    def test_what_a_lease_left_is_ended_before_its_slot_comes_free(self) -> None:
        for status in ENDED:
            over, ended = self.ended(status)
            self.assert_plans(ended, VacateLease(over, resource()))

    def test_not_twice_at_once_nor_too_soon_after_a_failure(self) -> None:
        self.assert_plans(self.ended(call=Call(running=True))[1])
        over, failed = self.ended(call=Call(failures=1, retry_at=NOW + 2))
        self.assert_plans(failed)
        self.assert_wakes(failed, NOW + 2)
        over, again = self.ended(call=Call(failures=1, retry_at=NOW))
        self.assert_plans(again, VacateLease(over, resource()))

    def test_where_nothing_can_be_left_the_slot_comes_free_at_once(self) -> None:
        over, ended = self.ended(vacates=False)
        self.assert_plans(ended, CloseLease(over))

    def test_a_lease_that_never_had_a_slot_is_closed_at_once(self) -> None:
        for status in ENDED:
            never = lease(1, status=status)
            self.assert_plans(world(blueprint(vacates=True), leases=[never]), CloseLease(never))

    def test_a_lease_whose_resource_has_no_row_is_closed(self) -> None:
        over = lease(1, on=9, status=LeaseStatus.BROKEN)
        self.assert_plans(world(blueprint(), leases=[over]), CloseLease(over))

    def test_the_master_that_has_the_blueprint_sees_to_it(self) -> None:
        over = lease(1, on=1, status=LeaseStatus.BROKEN)
        elsewhere = resource(1, "elsewhere")
        self.assert_plans(world(blueprint(), resources=[elsewhere], leases=[over]))

    def test_on_a_resource_that_is_going_its_slot_is_free_once_the_host_is_gone(self) -> None:
        over = lease(1, on=1, status=LeaseStatus.BROKEN)
        self.assert_plans(lost(over))
        gone = resource(status=ResourceStatus.BROKEN)
        destroyed = {CallKey("destroy", "linux", gone.token): succeeded(5)}
        self.assert_plans(
            world(blueprint(), resources=[gone], leases=[over], calls=destroyed),
            CloseLease(over),
            because="the row of the resource is closed in the next turn",
        )


class TestWhatCannotBeVacated(PlannerTestCase):
    def world(self, *others, failures: int = 5, **fields):
        over = lease(1, on=1, status=LeaseStatus.RELEASED)
        stuck = Call(failures=failures, retry_at=NOW + 60, error="it is in uninterruptible sleep")
        return world(
            blueprint(leases_per_resource=3, vacates=True),
            resources=[resource(**fields)],
            leases=[over, *others],
            calls={CallKey("vacate", "linux", over.tag): stuck},
        )

    def test_after_five_failures_the_resource_is_given_up(self) -> None:
        self.assert_plans(self.world(failures=4))
        self.assert_plans(
            self.world(),
            SettleResource(
                resource(),
                ResourceEvent.BREAK,
                "what lease 1 left on it could not be ended: it is in uninterruptible sleep",
            ),
        )

    def test_not_while_a_living_lease_would_suffer(self) -> None:
        self.assert_plans(self.world(lease(2, on=1, slot=1)))
        other = lease(2, on=1, slot=1, status=LeaseStatus.BROKEN)
        planned = self.planned(self.world(other), SettleResource)
        self.assertEqual([action.event for action in planned], [ResourceEvent.BREAK])

    def test_its_other_slots_are_not_given_to_those_who_wait_once_it_is_given_up(self) -> None:
        planned = plan(self.world(lease(2))).actions
        self.assertEqual([type(action) for action in planned], [SettleResource])


class TestTheEndOfAll(PlannerTestCase):
    def test_leases_are_closed_before_the_row_of_their_resource(self) -> None:
        gone = resource(status=ResourceStatus.BROKEN, since=A_WHILE_AGO)
        destroyed = {CallKey("destroy", "linux", gone.token): succeeded(5)}
        leases = [lease(1, on=1, status=LeaseStatus.BROKEN), lease(2, on=1, slot=1)]
        both = world(
            blueprint(leases_per_resource=2), resources=[gone], leases=leases, calls=destroyed
        )
        self.assert_plans(
            both,
            CloseLease(leases[0]),
            BreakLease(leases[1], "resource 1 was lost: "),
        )
        none = replace(both, leases=())
        self.assert_plans(
            none,
            SettleResource(gone, ResourceEvent.GONE, "its provider has nothing left of it"),
        )

    def test_a_pending_resource_is_no_loss(self) -> None:
        # No lease is ever on one; if a row says so, it is left alone.
        odd = lease(1, on=1, status=ACQUIRED)
        planned = self.planned(
            world(blueprint(), resources=[pending()], leases=[odd]), BreakLease, ReturnLease
        )
        self.assertEqual(planned, [])

    def test_a_host_is_destroyed_although_leases_are_still_to_be_closed(self) -> None:
        gone = resource(status=ResourceStatus.BROKEN)
        over = lease(1, on=1, status=LeaseStatus.BROKEN)
        listed = {"linux": inventory(gone)}
        self.assert_plans(
            world(blueprint(), resources=[gone], leases=[over], inventories=listed),
            DestroyHost(gone),
        )
