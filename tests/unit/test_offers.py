"""How many more leases there is capacity for."""

from __future__ import annotations

from collections.abc import Iterable

from twisted.trial.unittest import SynchronousTestCase

from buildbot_drydock.model import Labels, Mode, ResourceStatus, World
from buildbot_drydock.offers import Offers, demand_of
from buildbot_drydock.testing.builders import (
    NOW,
    blueprint,
    host_list,
    host_state,
    lease,
    on_host,
    pending,
    resource,
    state,
    world,
)


def room(
    of: World,
    *,
    requires: Labels | None = None,
    blueprints: tuple[str, ...] = (),
    idle: Iterable[str] = (),
    backlog: int = 0,
) -> int:
    demand = demand_of("host", requires, blueprints)
    return Offers(of).room(demand, idle=idle, backlog=backlog)


class CapacityTests(SynchronousTestCase):
    def test_what_could_be_built_counts_by_its_slots(self) -> None:
        self.assertEqual(room(world(blueprint(limit=3, leases_per_resource=2))), 6)

    def test_free_and_coming_slots_count_and_leased_ones_do_not(self) -> None:
        linux = blueprint(limit=3, leases_per_resource=2)
        resources = [resource(1), pending(2), resource(3, status=ResourceStatus.BROKEN)]
        self.assertEqual(room(world(linux, resources=resources, leases=[lease(1, on=1)])), 3)

    def test_a_worn_out_resource_has_nothing_to_give(self) -> None:
        linux = blueprint(limit=1, max_uses=1)
        self.assertEqual(room(world(linux, resources=[resource(1, uses=1)])), 0)

    def test_leases_that_wait_for_the_same_come_first(self) -> None:
        self.assertEqual(room(world(blueprint(limit=3), leases=[lease(1), lease(2)])), 1)

    def test_leases_that_wait_for_something_else_do_not_count(self) -> None:
        linux, windows = blueprint("linux", limit=1), blueprint("windows", labels={"os": "windows"})
        waiting = [lease(1, requires={"os": "windows"})]
        there = world(linux, windows, leases=waiting)
        self.assertEqual(room(there, blueprints=("linux",)), 1)
        self.assertEqual(room(there, blueprints=("windows",)), 0)

    def test_only_what_fits_and_is_allowed_counts(self) -> None:
        there = world(
            blueprint("debian", limit=2, labels={"os": "debian"}),
            blueprint("any", limit=4, choices={"os": ("debian", "fedora")}),
        )
        self.assertEqual(room(there, requires={"os": "fedora"}), 4)
        self.assertEqual(room(there, requires={"os": "debian"}), 6)
        self.assertEqual(room(there, requires={"os": "debian"}, blueprints=("debian",)), 2)
        self.assertEqual(room(there, requires=None), 6, "the build decides")

    def test_while_launches_are_put_off_only_what_is_there_counts(self) -> None:
        linux = blueprint(limit=3, state=state(failures=1, retry_at=NOW + 9))
        self.assertEqual(room(world(linux, resources=[resource(1)])), 1)

    def test_who_waits_for_one_host_takes_nothing_of_others(self) -> None:
        lab, busy = host_list("a", "b"), on_host("a")
        waiting = [lease(1, on=busy), lease(2, requires={"host": "a"})]
        there = world(lab, resources=[busy], leases=waiting)
        for requires in (None, {}, {"host": "b"}):
            self.assertEqual(room(there, requires=requires, backlog=1), 1, requires)
        self.assertEqual(room(there, requires={"host": "a"}, backlog=1), 0)
        out = world(
            lab,
            resources=[on_host("b")],
            leases=waiting[1:],
            hosts=[host_state("a", mode=Mode.DISABLED)],
        )
        self.assertEqual(room(out, backlog=1), 1)

    def test_who_waits_for_one_host_gets_it_first(self) -> None:
        there = world(host_list("a", "b"), leases=[lease(1, requires={"host": "a"})])
        self.assertEqual(room(there), 1)
        self.assertEqual(room(there, requires={"host": "a"}), 0)

    def test_many_who_wait_for_one_host_leave_the_others_free(self) -> None:
        waiting = [lease(n, requires={"host": "a"}) for n in (1, 2, 3)]
        there = world(host_list("a", "b", "c"), leases=waiting)
        self.assertEqual(room(there), 2)
        self.assertEqual(room(there, requires={"host": "a"}, backlog=1), 0)


class ServiceTests(SynchronousTestCase):
    def test_nothing_is_offered_of_what_is_out_of_service_not_even_a_place_to_wait(self) -> None:
        for mode in (Mode.PAUSED, Mode.DRAINING, Mode.DISABLED):
            linux = blueprint(limit=3, state=state(mode=mode))
            self.assertEqual(room(world(linux), idle=["linux"], backlog=1), 0)

    def test_a_misconfigured_blueprint_is_not_worth_waiting_for_until_it_is_tried_again(
        self,
    ) -> None:
        for retry_at, expected in ((NOW + 9, 0), (NOW - 9, 3)):
            broken = state(misconfigured=True, failures=1, retry_at=retry_at)
            self.assertEqual(room(world(blueprint(limit=3, state=broken)), backlog=1), expected)

    def test_where_nothing_is_to_be_had_so_many_may_wait(self) -> None:
        full = world(blueprint(), resources=[resource(1)], leases=[lease(1, on=1)])
        self.assertEqual(room(full), 0)
        self.assertEqual(room(full, backlog=1), 1)
        queue = world(blueprint(), resources=[resource(1)], leases=[lease(1, on=1), lease(2)])
        self.assertEqual(room(queue, backlog=1), 0)

    def test_what_idle_workers_would_give_back_counts_where_it_would_serve(self) -> None:
        full = world(blueprint(), resources=[resource(1)], leases=[lease(1, on=1)])
        self.assertEqual(room(full, idle=["linux", "windows"]), 1)

    def test_what_nothing_can_ever_serve_is_offered_so_that_its_build_is_told(self) -> None:
        there = world(blueprint(labels={"os": "debian"}))
        self.assertEqual(room(there, requires={"os": "plan9"}), 1)
        self.assertTrue(Offers(there).is_hopeless(demand_of("host", {"os": "plan9"}, ())))
        self.assertTrue(Offers(there).is_hopeless(demand_of("workspace", {}, ())))
        self.assertFalse(Offers(there).is_hopeless(demand_of("host", {"os": "debian"}, ())))

    def test_what_was_retired_can_serve_nothing(self) -> None:
        there = world(blueprint(retired=True))
        self.assertTrue(Offers(there).is_hopeless(demand_of("host", {}, ())))
