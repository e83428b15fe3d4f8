"""Resources that a lease could not use: held back for a while, last in line, given up in the end."""

from buildbot_drydock.actions import AcquireLease, BuildResource, SettleResource
from buildbot_drydock.lifecycle import ResourceEvent
from buildbot_drydock.offers import Offers, demand_of
from buildbot_drydock.policy import LONGEST_HOLD_SECONDS, held_back_until
from buildbot_drydock.reasons import HeldBack
from buildbot_drydock.testing.builders import (
    NOW,
    blueprint,
    host_list,
    lease,
    on_host,
    resource,
    world,
)
from tests.unit.planned import PlannerTestCase


def faulty(number: int = 1, faults: int = 1, ago: float = 0.0, **fields):
    """A resource that so many leases could not use, the last one *ago* seconds before now."""
    return resource(number, faults=faults, fault_at=NOW - ago, fault="no disk", **fields)


class TestHeldBack(PlannerTestCase):
    def test_it_is_held_back_for_longer_each_time(self) -> None:
        holds = [held_back_until(faulty(faults=faults)) for faults in (0, 1, 2, 5, 50)]
        self.assertEqual(holds, [None, NOW + 2, NOW + 4, NOW + 32, NOW + LONGEST_HOLD_SECONDS])

    def test_another_one_is_built_rather_than_the_same_offered_again(self) -> None:
        given = world(blueprint(limit=2), resources=[faulty()], leases=[lease()])
        self.assert_plans(given, BuildResource("linux", 1, {}, 1))

    def test_without_room_for_another_a_lease_waits_and_is_told_until_when(self) -> None:
        given = world(blueprint(), resources=[faulty()], leases=[lease()])
        self.assert_plans(given)
        told = HeldBack(blueprint="linux", resource=1, faults=1, retry_at=NOW + 2, error="no disk")
        self.assert_reasons(given, 1, told)
        self.assert_wakes(given, NOW + 2)

    def test_its_time_over_it_is_tried_again_after_all_others(self) -> None:
        again, other = faulty(1, ago=2.0), resource(2)
        given = world(blueprint(limit=2), resources=[again, other], leases=[lease(1), lease(2)])
        self.assert_plans(
            given, AcquireLease(lease(1), other, 0, True), AcquireLease(lease(2), again, 0, True)
        )

    def test_a_slot_beside_another_lease_is_held_back_as_well(self) -> None:
        given = world(
            blueprint(leases_per_resource=2),
            resources=[faulty()],
            leases=[lease(1, on=1), lease(2)],
        )
        self.assert_plans(given)

    def test_it_is_no_capacity_meanwhile(self) -> None:
        for ago, room in ((1.0, 0), (2.0, 1)):
            given = world(blueprint(), resources=[faulty(ago=ago)])
            demand = demand_of("host", None, ())
            self.assertEqual(Offers(given).room(demand, idle=(), backlog=0), room)


class TestGivenUp(PlannerTestCase):
    def test_after_five_in_a_row_it_is_replaced(self) -> None:
        useless = faulty(faults=5)
        given = world(blueprint(), resources=[useless])
        reason = "5 leases in a row could not use it: no disk"
        self.assert_plans(given, SettleResource(useless, ResourceEvent.BREAK, reason))
        self.assert_plans(world(blueprint(), resources=[faulty(faults=4)]))

    def test_not_under_a_lease_that_lives(self) -> None:
        given = world(
            blueprint(leases_per_resource=2), resources=[faulty(faults=5)], leases=[lease(1, on=1)]
        )
        self.assert_plans(given)

    def test_a_listed_host_is_held_back_instead(self) -> None:
        useless = on_host("a", faults=9, fault_at=NOW - 200, fault="no disk")
        given = world(host_list("a"), resources=[useless], leases=[lease()])
        self.assert_plans(given)
        self.assert_wakes(given, NOW + 60)
