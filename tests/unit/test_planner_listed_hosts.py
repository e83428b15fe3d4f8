"""Listed hosts: who gets which, and what becomes of one that is taken out of service."""

from dataclasses import replace

from buildbot_drydock.actions import (
    AcquireLease,
    BreakLease,
    BuildResource,
    CreateHost,
    ReturnLease,
    SettleResource,
)
from buildbot_drydock.lifecycle import ResourceEvent
from buildbot_drydock.model import Health, LeaseStatus, Mode, ResourceStatus
from buildbot_drydock.offers import Offers, demand_of
from buildbot_drydock.planner import plan
from buildbot_drydock.reasons import Booting, DoesNotFit, Full, NoHostInService, Reclaiming
from buildbot_drydock.reasons import UnusableHost as Unusable
from buildbot_drydock.testing.builders import (
    A_WHILE_AGO,
    NOW,
    blueprint,
    host_list,
    host_state,
    inventory,
    lease,
    listed_host,
    observed,
    on_host,
    state,
    world,
)
from tests.unit.planned import PlannerTestCase

PENDING, RELEASED = ResourceStatus.PENDING, ResourceStatus.RELEASED


def built(host, built_for=1, place=0, of="lab"):
    return BuildResource(of, place, {"host": host}, built_for, host=host)


class TestWhichHost(PlannerTestCase):
    def test_a_lease_gets_the_first_listed_host_that_fits(self) -> None:
        lab = host_list(
            "a", listed_host("b", labels={"gpu": "yes"}), listed_host("c", labels={"gpu": "yes"})
        )
        self.assert_plans(world(lab, leases=[lease()]), built("a"))
        self.assertEqual(
            self.planned(world(lab, leases=[lease(requires={"gpu": "yes"})]), BuildResource),
            [BuildResource("lab", 0, {"host": "b", "gpu": "yes"}, 1, host="b")],
        )

    def test_each_lease_gets_a_host_of_its_own(self) -> None:
        lab = host_list("a", "b")
        for most in (2, 1_000):
            given = world(replace(lab, limit=most), leases=[lease(1), lease(2), lease(3)])
            self.assert_plans(given, built("a", 1, 0), built("b", 2, 1))
        self.assert_reasons(given, 3, Full(blueprint="lab", limit=2, leased=0, slots=0, ending=0))

    def test_the_slots_of_one_host_are_for_so_many_leases(self) -> None:
        lab = host_list(listed_host("a", slots=2), "b")
        given = world(lab, leases=[lease(1), lease(2), lease(3)])
        self.assert_plans(given, built("a", 1, 0), built("b", 3, 1))
        there = on_host("a")
        given = world(lab, resources=[there], leases=[lease(1), lease(2)])
        self.assert_plans(
            given, AcquireLease(lease(1), there, 0, True), AcquireLease(lease(2), there, 1, True)
        )

    def test_a_host_can_be_asked_for_by_its_name(self) -> None:
        lab = host_list("a", "b")
        given = world(lab, leases=[lease(requires={"host": "b"})])
        self.assert_plans(given, built("b"))

    def test_requirements_that_no_one_host_meets_are_never_met(self) -> None:
        lab = host_list(
            listed_host("a", labels={"os": "bsd"}), listed_host("b", labels={"gpu": "yes"})
        )
        given = world(lab, leases=[lease(requires={"gpu": "yes", "os": "bsd"})])
        (action,) = self.planned(given, BreakLease)
        self.assertIn("os=bsd is required, it offers nothing", action.reason)

    def test_a_host_that_two_blueprints_list_becomes_one_resource(self) -> None:
        lab, other = host_list("a"), host_list("a", name="other")
        given = world(lab, other, leases=[lease(1), lease(2)])
        self.assert_plans(given, built("a"), because="in this plan")
        given = world(lab, other, resources=[on_host("a")], leases=[lease(1, on=1), lease(2)])
        self.assert_plans(given)
        self.assert_reasons(
            given,
            2,
            Full(blueprint="lab", limit=1, leased=1, slots=1, ending=0),
            Full(blueprint="other", limit=1, leased=0, slots=0, ending=0),
        )

    def test_a_host_that_is_idle_for_another_blueprint_is_reclaimed(self) -> None:
        idle = on_host("a")
        lab, other = host_list("a"), host_list("a", name="other")
        given = world(lab, other, resources=[idle], leases=[lease(blueprints=("other",))])
        reason = "it is reclaimed for lease 1"
        self.assert_plans(given, SettleResource(idle, ResourceEvent.RELEASE, reason))
        self.assert_reasons(given, 1, Reclaiming(blueprint="other", resource=1))

    def test_a_host_that_comes_free_is_waited_for_and_no_other_reclaimed(self) -> None:
        going, idle = on_host("a", status=RELEASED), on_host("b", 2)
        lab, other = host_list("a", "b"), host_list("a", "b", name="other")
        waiting = lease(blueprints=("other",))
        given = world(lab, other, resources=[going, idle], leases=[waiting])
        self.assertEqual(self.planned(given, SettleResource), [])
        self.assert_reasons(given, 1, Reclaiming(blueprint="other", resource=1))

    def test_all_are_kept_ready_if_so_configured(self) -> None:
        lab = host_list("a", "b", min_ready=2)
        self.assert_plans(world(lab), built("a", None, 0), built("b", None, 1))
        given = world(lab, resources=[on_host("a")], leases=[lease(1, on=1)])
        self.assert_plans(given, built("b", None, 1))

    def test_fewer_hosts_than_listed_are_used_if_so_limited(self) -> None:
        idle = on_host("a")
        lab = host_list("a", "b", limit=1)
        given = world(lab, resources=[idle], leases=[lease(requires={"host": "b"})])
        reason = "it is reclaimed for lease 1"
        self.assert_plans(given, SettleResource(idle, ResourceEvent.RELEASE, reason))


class TestTwoThingsAtOnce(PlannerTestCase):
    """A lease needs room under the limit and a host. A younger one must not have them in turn."""

    def test_a_free_host_is_kept_for_who_waits_for_room(self) -> None:
        lab = host_list(listed_host("a", labels={"os": "bsd"}), "b", limit=1)
        other = host_list("a", name="other")
        idle = on_host("b")
        older, younger = lease(1, requires={"os": "bsd"}), lease(2, blueprints=("other",))
        given = world(lab, other, resources=[idle], leases=[older, younger])
        reason = "it is reclaimed for lease 1"
        self.assert_plans(given, SettleResource(idle, ResourceEvent.RELEASE, reason))
        going = replace(idle, status=RELEASED)
        given = world(lab, other, resources=[going], leases=[older, younger])
        self.assertEqual(self.planned(given, BuildResource), [])

    def test_room_is_kept_for_who_waits_for_a_host(self) -> None:
        lab = host_list(listed_host("a", labels={"os": "bsd"}), "b", limit=1)
        other = host_list("a", name="other")
        idle = on_host("a", of="other")
        older, younger = lease(1, requires={"os": "bsd"}), lease(2, requires={"host": "b"})
        given = world(lab, other, resources=[idle], leases=[older, younger])
        reason = "it is reclaimed for lease 1"
        self.assert_plans(given, SettleResource(idle, ResourceEvent.RELEASE, reason))

    def test_a_host_is_not_freed_in_vain_while_there_is_no_room(self) -> None:
        lab = host_list(listed_host("a", labels={"os": "bsd"}), "b", limit=1)
        other = host_list("a", name="other")
        idle, busy = on_host("a", 1, "other"), on_host("b", 2)
        older = lease(2, requires={"os": "bsd"})
        given = world(lab, other, resources=[idle, busy], leases=[lease(1, on=2), older])
        self.assert_plans(given)
        given = world(lab, other, resources=[idle, busy], leases=[older])
        reason = "it is reclaimed for lease 2"
        self.assert_plans(given, SettleResource(busy, ResourceEvent.RELEASE, reason))


class TestOutOfService(PlannerTestCase):
    def test_a_disabled_host_is_not_offered(self) -> None:
        lab = host_list("a", "b")
        given = world(lab, hosts=[host_state("a")], leases=[lease(1), lease(2)])
        self.assert_plans(given, built("b"))
        self.assert_reasons(
            given,
            2,
            Full(blueprint="lab", limit=2, leased=0, slots=0, ending=0, out_of_service=1),
        )

    def test_a_lease_waits_for_a_disabled_host_and_is_told_who_did_it(self) -> None:
        lab = host_list("a", listed_host("b", disabled="loud fan"))
        disabled = host_state("a", mode_reason="disk swap", mode_until=NOW + 60)
        given = world(lab, hosts=[disabled], leases=[lease()])
        self.assert_plans(given)
        self.assert_reasons(
            given,
            1,
            NoHostInService(
                blueprint="lab",
                hosts=(
                    Unusable(name="a", why="is disabled by ana (disk swap)", until=NOW + 60),
                    Unusable(name="b", why="is disabled in its list (loud fan)"),
                ),
            ),
        )

    def test_its_time_over_a_host_is_used_again(self) -> None:
        given = world(host_list("a"), hosts=[host_state("a", mode_until=NOW)], leases=[lease()])
        self.assert_plans(given, built("a"))

    def test_the_end_of_its_time_brings_a_turn(self) -> None:
        disabled = host_state("a", mode_until=NOW + 7)
        given = world(
            host_list("a"), hosts=[disabled], resources=[on_host("a")], leases=[lease(1, on=1)]
        )
        self.assert_wakes(given, NOW + 7)

    def test_idle_it_is_released_at_once(self) -> None:
        idle = on_host("a")
        given = world(host_list("a", idle_timeout=None), hosts=[host_state("a")], resources=[idle])
        reason = "its host a is disabled by ana"
        self.assert_plans(given, SettleResource(idle, ResourceEvent.RELEASE, reason))

    def test_coming_it_is_released_at_once_and_nobody_waits_for_it(self) -> None:
        coming = on_host("a", status=PENDING)
        given = world(host_list("a"), hosts=[host_state("a")], resources=[coming], leases=[lease()])
        reason = "its host a is disabled by ana"
        self.assert_plans(given, SettleResource(coming, ResourceEvent.RELEASE, reason))
        (told,) = given_reasons(given)
        self.assertIsInstance(told, NoHostInService)

    def test_busy_it_is_left_to_its_leases_and_takes_no_more(self) -> None:
        busy = on_host(listed_host("a", slots=2))
        lab = host_list(listed_host("a", slots=2))
        given = world(
            lab, hosts=[host_state("a")], resources=[busy], leases=[lease(1, on=1), lease(2)]
        )
        self.assert_plans(given)

    def test_busy_its_leases_end_at_once_if_so_asked(self) -> None:
        busy = on_host(listed_host("a", slots=2))
        lab = host_list(listed_host("a", slots=2), prepares=True)
        active = lease(1, on=1)
        acquired = lease(2, on=1, slot=1, status=LeaseStatus.ACQUIRED)
        given = world(
            lab, hosts=[host_state("a", at_once=True)], resources=[busy], leases=[active, acquired]
        )
        reason = "resource 1: its host a is disabled by ana"
        self.assert_plans(given, BreakLease(active, reason), ReturnLease(acquired, reason))

    def test_a_host_that_does_not_answer_takes_no_lease_and_keeps_those_it_has(self) -> None:
        silent = listed_host("a", slots=2, unavailable="does not answer")
        busy, idle = on_host(silent), on_host(listed_host("b", unavailable="dozes"), 2)
        lab = host_list(silent, listed_host("b", unavailable="dozes"))
        given = world(lab, resources=[busy, idle], leases=[lease(1, on=1), lease(2)])
        self.assert_plans(given)
        self.assert_reasons(
            given,
            2,
            NoHostInService(
                blueprint="lab",
                hosts=(Unusable(name="a", why="does not answer"), Unusable(name="b", why="dozes")),
            ),
        )

    def test_a_host_that_is_coming_back_is_not_promised(self) -> None:
        silent = listed_host("a", unavailable="does not answer")
        coming = on_host(silent, status=PENDING)
        given = world(host_list(silent, "b"), resources=[coming], leases=[lease()])
        self.assert_plans(given, built("b", place=1))

    def test_a_host_off_the_list_is_let_go_of_when_idle(self) -> None:
        idle, busy = on_host("old"), on_host("older", 2)
        given = world(host_list("a", limit=3), resources=[idle, busy], leases=[lease(1, on=2)])
        reason = "its host old is no longer listed"
        self.assert_plans(given, SettleResource(idle, ResourceEvent.RELEASE, reason))


class TestFailing(PlannerTestCase):
    def test_a_host_that_fails_is_broken_without_a_mark_against_the_others(self) -> None:
        coming = on_host("a", status=PENDING)
        listing = inventory(observed(coming, health=Health.FAILING, reason="no python"))
        given = world(host_list("a"), resources=[coming], inventories={"lab": listing})
        reason = "its host failed to start: no python"
        self.assert_plans(given, SettleResource(coming, ResourceEvent.BREAK, reason))

    def test_an_active_host_that_is_not_listed_is_taken_into_use_again(self) -> None:
        busy = on_host("a", since=A_WHILE_AGO)
        given = world(
            host_list("a"),
            resources=[busy],
            leases=[lease(1, on=1)],
            inventories={"lab": inventory()},
        )
        self.assert_plans(given, CreateHost(busy))

    def test_one_that_is_off_the_list_as_well_has_gone(self) -> None:
        busy = on_host("old")
        given = world(host_list("a"), resources=[busy], inventories={"lab": inventory()})
        self.assert_plans(given, SettleResource(busy, ResourceEvent.BREAK, "its host has gone"))

    def test_a_blueprint_that_backs_off_says_so_before_its_hosts_are_looked_at(self) -> None:
        lab = host_list("a", state=state(failures=1, retry_at=NOW + 9))
        given = world(lab, leases=[lease()])
        self.assert_plans(given)
        (told,) = given_reasons(given)
        self.assertEqual(told.kind, "backing-off")

    def test_a_lease_waits_for_a_host_that_is_coming(self) -> None:
        coming = on_host("a", status=PENDING)
        given = world(host_list("a"), resources=[coming], leases=[lease()])
        self.assert_reasons(
            given, 1, Booting(blueprint="lab", resource=1, since=A_WHILE_AGO, boot_timeout=900.0)
        )

    def test_what_does_not_fit_is_told_with_what_the_hosts_offer(self) -> None:
        lab = host_list("a", "b")
        linux = blueprint(labels={"host": "c"})
        given = world(lab, linux, leases=[lease(requires={"host": "c"})])
        self.assert_reasons(
            given,
            1,
            Booting(blueprint="linux", resource=None, since=NOW, boot_timeout=900.0),
            DoesNotFit(blueprint="lab", label="host", wanted="c", offered=("a", "b")),
        )


class TestForecast(PlannerTestCase):
    def room(self, given, requires=None) -> int:
        return Offers(given).room(demand_of("host", requires, ()), idle=(), backlog=0)

    def test_slots_of_unused_hosts_in_service_count(self) -> None:
        lab = host_list(listed_host("a", slots=3), "b", listed_host("c", unavailable="dozes"))
        self.assertEqual(self.room(world(lab)), 4)
        self.assertEqual(self.room(world(lab, hosts=[host_state("a")])), 1)
        self.assertEqual(self.room(world(lab, hosts=[host_state("a", mode=Mode.ENABLED)])), 4)

    def test_only_hosts_that_fit_count(self) -> None:
        lab = host_list(listed_host("a", slots=3), "b")
        self.assertEqual(self.room(world(lab), {"host": "a"}), 3)
        there = world(lab, resources=[on_host(listed_host("a", slots=3))], leases=[lease(1, on=1)])
        self.assertEqual(self.room(there, {"host": "a"}), 2)
        self.assertEqual(self.room(there, {"host": "b"}), 1)

    def test_leases_that_wait_for_other_hosts_do_not_count(self) -> None:
        lab = host_list("a", "b")
        there = world(lab, leases=[lease(1, requires={"host": "a"})])
        self.assertEqual(self.room(there, {"host": "b"}), 1)
        self.assertEqual(self.room(there, {"host": "a"}), 0)

    def test_nor_do_they_take_the_place_of_one_that_would_wait_for_a_host_in_use(self) -> None:
        there = world(
            host_list("a", "b"),
            resources=[on_host("b")],
            leases=[lease(1, on=1), lease(2, requires={"host": "a"})],
        )
        for_b = demand_of("host", {"host": "b"}, ())
        self.assertEqual(Offers(there).room(for_b, idle=(), backlog=1), 1)
        for_a = demand_of("host", {"host": "a"}, ())
        self.assertEqual(Offers(there).room(for_a, idle=(), backlog=1), 0)

    def test_a_host_that_another_blueprint_uses_does_not_count(self) -> None:
        lab, other = host_list("a"), host_list("a", name="other")
        there = world(lab, other, resources=[on_host("a")], leases=[lease(1, on=1)])
        self.assertEqual(self.room(there), 0)


def given_reasons(given):
    """What the one waiting lease is told."""
    (reasons,) = plan(given).reasons.values()
    return reasons
