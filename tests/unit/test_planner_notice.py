"""Resources whose provider has announced the end of their hosts: nobody gets them any more."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from buildbot_drydock.actions import (
    AcquireLease,
    BuildResource,
    GiveNotice,
    ListHosts,
    ReturnLease,
    SettleResource,
)
from buildbot_drydock.lifecycle import ResourceEvent
from buildbot_drydock.model import Health, LeaseStatus, Notice, Resource
from buildbot_drydock.offers import Offers, demand_of
from buildbot_drydock.planner import plan
from buildbot_drydock.policy import notice_to_give
from buildbot_drydock.reasons import Booting, Full, Reclaiming
from buildbot_drydock.testing.builders import (
    NOW,
    blueprint,
    host_list,
    inventory,
    lease,
    observed,
    on_host,
    pending,
    resource,
    world,
)
from tests.unit.planned import PlannerTestCase

WHY = "it is interrupted"
NOTICE = Notice(reason=WHY, ends_at=NOW + 120)


def listed(of: Resource, ends_at: float | None = NOW + 120, reason: str = WHY, **fields: Any):
    """The inventory in which the host of a resource is announced to end."""
    return {of.blueprint: inventory(observed(of, ends_at=ends_at, end_reason=reason, **fields))}


def noticed(number: int = 1, ends_at: float | None = NOW + 120, **fields: Any) -> Resource:
    return resource(number, end_reason=WHY, ends_at=ends_at, **fields)


class TestHearing(PlannerTestCase):
    def test_what_a_listing_announces_is_written_down(self) -> None:
        busy = world(blueprint(), resources=[resource()], leases=[lease(on=1)])
        given = replace(busy, inventories=listed(resource()))
        self.assert_plans(given, GiveNotice(resource(), NOTICE))

    def test_it_need_not_say_when_nor_why(self) -> None:
        when = {"ends_at": NOW + 9, "reason": ""}
        for said, notice in (
            ({"ends_at": None}, Notice(reason=WHY)),
            (when, Notice(reason="its provider ends it", ends_at=NOW + 9)),
        ):
            given = world(
                blueprint(), resources=[resource()], inventories=listed(resource(), **said)
            )
            self.assert_plans(given, GiveNotice(resource(), notice))

    def test_a_lease_gets_another_host_in_the_same_turn(self) -> None:
        given = world(
            blueprint(limit=2),
            resources=[resource()],
            leases=[lease()],
            inventories=listed(resource()),
        )
        self.assert_plans(given, GiveNotice(resource(), NOTICE), BuildResource("linux", 1, {}, 1))

    def test_one_that_has_not_been_used_yet_counts_as_a_failed_launch(self) -> None:
        for health in (Health.STARTING, Health.READY):
            given = world(
                blueprint(), resources=[pending()], inventories=listed(pending(), health=health)
            )
            reason = f"its host is to end before it was used: {WHY}"
            broken = SettleResource(pending(), ResourceEvent.BREAK, reason, launch_failed=True)
            self.assert_plans(given, broken)

    def test_one_that_failed_is_broken_all_the_same(self) -> None:
        given = world(
            blueprint(),
            resources=[resource()],
            inventories=listed(resource(), health=Health.FAILING),
        )
        (action,) = self.planned(given, SettleResource)
        self.assertEqual(action.event, ResourceEvent.BREAK)

    def test_a_listed_host_is_given_none(self) -> None:
        host = on_host("build1")
        self.assert_plans(world(host_list("build1"), resources=[host], inventories=listed(host)))


class TestNews(PlannerTestCase):
    """What may replace a notice, so that masters which know different things agree in the end."""

    def news(self, known: Resource, **said: Any) -> Notice | None:
        return notice_to_give(blueprint(), known, observed(known, **said))

    def test_a_sooner_end_does(self) -> None:
        self.assertEqual(
            self.news(noticed(), ends_at=NOW + 60, end_reason="now really"),
            Notice(reason="now really", ends_at=NOW + 60),
        )

    def test_the_first_that_says_when_does(self) -> None:
        self.assertEqual(
            self.news(noticed(ends_at=None), ends_at=NOW + 60, end_reason="now really"),
            Notice(reason="now really", ends_at=NOW + 60),
        )

    def test_a_later_one_does_not(self) -> None:
        self.assertIsNone(self.news(noticed(), ends_at=NOW + 600, end_reason="later"))
        self.assertIsNone(self.news(noticed(), ends_at=NOW + 119.5, end_reason="rounded"))

    def test_nor_does_one_that_no_longer_says_when(self) -> None:
        self.assertIsNone(self.news(noticed(), end_reason="soon"))
        self.assertIsNone(self.news(noticed(ends_at=None), end_reason="another reason"))

    def test_nothing_takes_it_back(self) -> None:
        self.assertIsNone(self.news(noticed()))
        self.assert_plans(
            world(blueprint(), resources=[noticed()], leases=[lease(on=1)]),
        )


class TestDraining(PlannerTestCase):
    def test_an_idle_one_is_released_at_once(self) -> None:
        released = SettleResource(noticed(), ResourceEvent.RELEASE, f"its host is to end: {WHY}")
        self.assert_plans(world(blueprint(idle_timeout=None), resources=[noticed()]), released)

    def test_even_if_its_listing_fails(self) -> None:
        unknown = {"linux": inventory(error="it does not answer")}
        given = world(blueprint(), resources=[noticed()], inventories=unknown)
        self.assertEqual(len(self.planned(given, SettleResource)), 1)

    def test_a_leased_one_serves_its_leases_to_their_end(self) -> None:
        for status in (LeaseStatus.ACQUIRED, LeaseStatus.ACTIVE):
            held = lease(on=1, status=status)
            given = world(blueprint(), resources=[noticed()], leases=[held])
            self.assertEqual(self.planned(given, SettleResource, ReturnLease), [])

    def test_it_takes_no_further_lease(self) -> None:
        for ends_at in (NOW + 120, None):
            given = world(
                blueprint(leases_per_resource=2),
                resources=[noticed(ends_at=ends_at)],
                leases=[lease(1, on=1), lease(2)],
            )
            self.assertEqual(self.planned(given, AcquireLease), [])

    def test_a_lease_gets_another_host_while_it_still_runs(self) -> None:
        given = world(blueprint(limit=2), resources=[noticed()], leases=[lease(1, on=1), lease(2)])
        self.assert_plans(given, BuildResource("linux", 1, {}, 2))
        (reason,) = plan(given).reasons[2]
        self.assertIsInstance(reason, Booting)

    def test_without_room_for_another_a_lease_is_told_why_it_waits(self) -> None:
        given = world(blueprint(), resources=[noticed()], leases=[lease(1, on=1), lease(2)])
        self.assert_plans(given)
        full = Full(blueprint="linux", limit=1, leased=1, slots=1, ending=0, given_notice=1)
        self.assert_reasons(given, 2, full)

    def test_an_idle_ones_place_is_waited_for_rather_than_another_reclaimed(self) -> None:
        """Also in the turn in which the notice comes."""
        for one, inventories in ((noticed(), {}), (resource(), listed(resource()))):
            old = resource(2, labels={"image": "old"})
            both = blueprint(limit=2, choices={"image": ("old", "new")})
            inventories = {
                name: replace(each, hosts={**each.hosts, old.token: (observed(old),)})
                for name, each in inventories.items()
            }
            given = world(
                both,
                resources=[one, old],
                leases=[lease(requires={"image": "new"})],
                inventories=inventories,
            )
            self.assert_reasons(given, 1, Reclaiming(blueprint="linux", resource=1))
            released = [each.resource.id for each in self.planned(given, SettleResource)]
            self.assertNotIn(2, released)

    def test_it_is_not_one_of_those_kept_warm(self) -> None:
        given = world(blueprint(limit=2, min_ready=1), resources=[noticed()], leases=[lease(on=1)])
        self.assert_plans(given, BuildResource("linux", 1, {}, None))
        idle = world(blueprint(limit=2, min_ready=1), resources=[noticed()])
        self.assertIn(BuildResource("linux", 1, {}, None), self.planned(idle, BuildResource))

    def test_it_is_no_capacity(self) -> None:
        given = world(blueprint(leases_per_resource=2), resources=[noticed()])
        self.assertEqual(Offers(given).room(demand_of("host", None, ()), idle=(), backlog=0), 0)


class TestTheEnd(PlannerTestCase):
    def test_one_that_has_gone_is_said_to_have_been_announced(self) -> None:
        given = world(
            blueprint(),
            resources=[noticed()],
            leases=[lease(on=1)],
            inventories={"linux": inventory()},
        )
        reason = f"its host has gone: {WHY}"
        self.assert_plans(given, SettleResource(noticed(), ResourceEvent.BREAK, reason))

    def test_of_one_taken_without_notice_it_is_written_down_first_why(self) -> None:
        """By compare-and-set, so that of several masters that hear of it one does."""
        young = resource(since=NOW, hourly_price=2.0)
        patient = blueprint(listing_delay=30.0)
        for told, price in ((None, 2.0), (3.0, 3.0)):
            gone = observed(young, ends_at=NOW, end_reason=WHY, has_ended=True, hourly_price=told)
            listing = inventory(ended={young.token: (gone,)})
            given = world(
                patient,
                resources=[young],
                leases=[lease(on=1)],
                inventories={"linux": listing},
            )
            notice = Notice(reason=WHY, ends_at=NOW)
            self.assert_plans(given, GiveNotice(young, notice, price))

    def test_one_that_was_taken_before_it_was_used_is_a_failed_launch(self) -> None:
        coming = pending()
        gone = observed(coming, end_reason=WHY, has_ended=True)
        given = world(
            blueprint(),
            resources=[coming],
            leases=[lease()],
            inventories={"linux": inventory(ended={coming.token: (gone,)})},
        )
        (action,) = self.planned(given, SettleResource)
        self.assertEqual((action.event, action.launch_failed), (ResourceEvent.BREAK, True))
        self.assertIn(WHY, action.reason)

    def test_when_the_time_has_come_the_provider_is_asked_often(self) -> None:
        patient = blueprint(poll_interval=5.0, sweep_interval=60.0)
        for ends_at, asks in ((NOW, True), (NOW + 1, False), (None, False)):
            one = noticed(ends_at=ends_at)
            inventories = {"linux": inventory(one, asked_at=NOW - 6)}
            given = world(patient, resources=[one], leases=[lease(on=1)], inventories=inventories)
            self.assertEqual(bool(self.planned(given, ListHosts)), asks, ends_at)
        soon = world(patient, resources=[noticed(ends_at=NOW + 1)], leases=[lease(on=1)])
        self.assert_wakes(soon, NOW + 1)
