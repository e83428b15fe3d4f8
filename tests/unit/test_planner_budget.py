"""A blueprint whose resources may cost only so much an hour."""

from __future__ import annotations

from typing import Any

from buildbot_drydock.actions import (
    AcquireLease,
    BuildResource,
    CloseLease,
    SetPower,
    SetPrice,
    SettleResource,
    VacateLease,
)
from buildbot_drydock.lifecycle import ResourceEvent
from buildbot_drydock.model import Blueprint, Health, LeaseStatus, Power, Resource, ResourceStatus
from buildbot_drydock.offers import Offers, demand_of
from buildbot_drydock.reasons import Booting, OverBudget, Reclaiming
from buildbot_drydock.testing.builders import (
    NOW,
    blueprint,
    inventory,
    lease,
    observed,
    pending,
    resource,
    world,
)
from tests.unit.planned import PlannerTestCase

BOTH = {"image": ("old", "new")}
NEW = {"image": "new"}


def linux(**fields: Any) -> Blueprint:
    return blueprint(**{"limit": 9, "max_hourly_cost": 2.0, "expected_price": 1.0, **fields})


def priced(number: int = 1, price: float = 1.0, **fields: Any) -> Resource:
    return resource(number, hourly_price=price, **fields)


def over(spent: float, **fields: Any) -> OverBudget:
    return OverBudget(
        **{"blueprint": "linux", "spent": spent, "limit": 2.0, "price": 1.0, **fields}
    )


class TestLimit(PlannerTestCase):
    def test_no_more_is_launched_than_the_money_is_enough_for(self) -> None:
        given = world(linux(), leases=[lease(1), lease(2), lease(3)])
        self.assert_plans(given, BuildResource("linux", 0, {}, 1), BuildResource("linux", 1, {}, 2))
        self.assert_reasons(given, 3, over(2.0))

    def test_what_it_costs_really_counts_once_that_is_known(self) -> None:
        busy = lease(1, on=1)
        cheap = world(linux(), resources=[priced(price=0.5)], leases=[busy, lease(2)])
        self.assertEqual(len(self.planned(cheap, BuildResource)), 1)
        dear = world(linux(), resources=[priced(price=1.5)], leases=[busy, lease(2)])
        self.assert_plans(dear)
        self.assert_reasons(dear, 2, over(1.5))

    def test_one_on_its_way_counts_as_expected(self) -> None:
        coming = [pending(1), pending(2)]
        given = world(linux(), resources=coming, leases=[lease(n) for n in (1, 2, 3)])
        self.assert_plans(given)
        self.assert_reasons(given, 3, over(2.0))

    def test_one_that_is_being_torn_down_still_costs(self) -> None:
        ended = [priced(n, status=ResourceStatus.BROKEN) for n in (1, 2)]
        given = world(linux(), resources=ended, leases=[lease()])
        self.assertEqual(self.planned(given, BuildResource), [])
        self.assert_reasons(given, 1, Reclaiming(blueprint="linux", resource=1))

    def test_warm_ones_are_kept_only_while_there_is_money(self) -> None:
        given = world(linux(min_ready=3))
        self.assertEqual(len(self.planned(given, BuildResource)), 2)

    def test_a_free_slot_costs_nothing_more(self) -> None:
        given = world(linux(), resources=[priced(1), priced(2)], leases=[lease(1, on=1), lease(2)])
        self.assert_plans(given, AcquireLease(lease(2), priced(2), 0, True))

    def test_the_next_blueprint_is_tried(self) -> None:
        spare = blueprint("spare")
        given = world(
            linux(max_hourly_cost=1.0),
            spare,
            resources=[priced()],
            leases=[lease(1, on=1), lease(2)],
        )
        self.assert_plans(given, BuildResource("spare", 0, {}, 2))
        booting = Booting(blueprint="spare", resource=None, since=NOW, boot_timeout=900.0)
        self.assert_reasons(given, 2, over(1.0, limit=1.0), booting)

    def test_without_an_expected_price_it_ends_when_the_money_is_spent(self) -> None:
        unknown = linux(expected_price=None)
        self.assertEqual(len(self.planned(world(unknown, leases=[lease()]), BuildResource)), 1)
        spent = world(unknown, resources=[priced(price=2.0)], leases=[lease(1, on=1), lease(2)])
        self.assert_plans(spent)
        self.assert_reasons(spent, 2, over(2.0, price=None))

    def test_no_more_is_offered_than_the_money_is_enough_for(self) -> None:
        demand = demand_of("host", None, ())
        for resources, room in (([], 4), ([priced()], 4), ([priced(price=1.5)], 2)):
            given = world(linux(leases_per_resource=2), resources=resources)
            self.assertEqual(Offers(given).room(demand, idle=(), backlog=0), room)


class TestDay(PlannerTestCase):
    """Limits of what is spent in a day, each resource that runs counted for an hour at least."""

    def daily(self, **fields: Any) -> Blueprint:
        return linux(**{"max_hourly_cost": None, "max_daily_cost": 10.0, **fields})

    def over(self, spent: float, limit: float = 10.0) -> OverBudget:
        return over(spent, limit=limit, period="day")

    def test_no_more_is_launched_than_the_first_hours_of_can_be_paid(self) -> None:
        given = world(
            self.daily(max_daily_cost=2.0), leases=[lease(1), lease(2), lease(3)], spent={}
        )
        self.assertEqual(len(self.planned(given, BuildResource)), 2)
        self.assert_reasons(given, 3, self.over(2.0, 2.0))

    def test_what_was_just_launched_counts_for_its_first_hour(self) -> None:
        rows = [pending(1), priced(2, created_at=NOW - 60)]
        given = world(
            self.daily(max_daily_cost=2.0),
            resources=rows,
            leases=[lease(1, on=2), lease(2), lease(3)],
        )
        self.assertEqual(self.planned(given, BuildResource), [])

    def test_what_lived_longer_counts_for_what_it_cost(self) -> None:
        row = priced(1, price=2.0, created_at=NOW - 4.25 * 3600)
        given = world(self.daily(), resources=[row], leases=[lease(1, on=1), lease(2)])
        self.assertEqual(len(self.planned(given, BuildResource)), 1, "it had cost 8.5")
        older = priced(1, price=2.0, created_at=NOW - 4.75 * 3600)
        given = world(self.daily(), resources=[older], leases=[lease(1, on=1), lease(2)])
        self.assert_plans(given)
        self.assert_reasons(given, 2, self.over(9.5))

    def test_of_a_long_life_only_the_last_day_counts(self) -> None:
        row = priced(1, price=0.25, created_at=NOW - 30 * 24 * 3600)
        for limit, built in ((7.0, 1), (6.5, 0)):
            given = world(
                self.daily(max_daily_cost=limit), resources=[row], leases=[lease(1, on=1), lease(2)]
            )
            self.assertEqual(len(self.planned(given, BuildResource)), built)

    def test_what_is_destroyed_counts_too(self) -> None:
        for spent, built in ((9.0, 1), (9.25, 0)):
            given = world(self.daily(), leases=[lease()], spent={"linux": spent, "other": 99.0})
            self.assertEqual(len(self.planned(given, BuildResource)), built)

    def test_what_was_parked_for_hours_cost_nothing_then_and_costs_again_once_woken(self) -> None:
        since = {"created_at": NOW - 9 * 3600, "power_since": NOW - 8 * 3600}
        at_rest = priced(1, 4.0, power=Power.PARKED, **since)
        given = world(self.daily(parks=True), resources=[at_rest], leases=[lease()], spent={})
        (woken,) = self.planned(given, SetPower)
        self.assertEqual(woken.power, Power.WAKING)
        given = world(
            self.daily(parks=True, expected_price=4.0),
            resources=[at_rest],
            leases=[lease()],
            spent={"linux": 3.0},
        )
        self.assertEqual(self.planned(given, SetPower), [])
        self.assert_reasons(given, 1, over(7.0, limit=10.0, price=4.0, period="day"))
        waking = priced(
            1,
            4.0,
            power=Power.WAKING,
            **(since | {"power_since": NOW, "parked_seconds": 8 * 3600.0}),
        )
        given = world(
            self.daily(parks=True, limit=9),
            resources=[waking],
            leases=[lease(1), lease(2), lease(3), lease(4)],
        )
        self.assertEqual(len(self.planned(given, BuildResource)), 2, "it counts as 8")

    def test_nothing_is_reclaimed_for_money_that_is_gone(self) -> None:
        idle = priced(1, labels={"image": "old"}, created_at=NOW - 9.5 * 3600)
        given = world(
            self.daily(choices=BOTH, idle_timeout=None),
            resources=[idle],
            leases=[lease(requires=NEW)],
        )
        self.assert_plans(given)
        self.assert_reasons(given, 1, self.over(9.5))

    def test_the_day_is_named_if_the_hour_is_spent_as_well(self) -> None:
        row = priced(1, price=2.0, created_at=NOW - 4.75 * 3600)
        both = self.daily(max_hourly_cost=2.0)
        given = world(both, resources=[row], leases=[lease(1, on=1), lease(2)])
        self.assert_reasons(given, 2, self.over(9.5))
        given = world(
            self.daily(max_hourly_cost=2.0, max_daily_cost=99.0),
            resources=[row],
            leases=[lease(1, on=1), lease(2)],
        )
        self.assert_reasons(given, 2, over(2.0))

    def test_no_more_is_offered_than_the_day_has_money_for(self) -> None:
        demand = demand_of("host", None, ())
        for spent, room in ((0.0, 9), (7.0, 3), (9.5, 0)):
            given = world(self.daily(), spent={"linux": spent})
            self.assertEqual(Offers(given).room(demand, idle=(), backlog=0), room)


class TestReclaiming(PlannerTestCase):
    """Money that is spent on idle resources can be had back, as room under a limit can."""

    def old(self, number: int, price: float = 1.0, **fields: Any) -> Resource:
        return priced(number, price, labels={"image": "old"}, **fields)

    def test_an_idle_one_makes_room(self) -> None:
        given = world(
            linux(choices=BOTH),
            resources=[self.old(1, last_used_at=NOW - 5), self.old(2, last_used_at=NOW - 50)],
            leases=[lease(requires=NEW)],
        )
        self.assert_plans(
            given,
            SettleResource(
                given.resources[1], ResourceEvent.RELEASE, "it is reclaimed for lease 1"
            ),
        )
        self.assert_reasons(given, 1, Reclaiming(blueprint="linux", resource=2))

    def test_each_lease_has_one_of_its_own_to_wait_for(self) -> None:
        given = world(
            linux(choices=BOTH),
            resources=[self.old(1), self.old(2)],
            leases=[lease(n, requires=NEW) for n in (1, 2, 3)],
        )
        released = [each.resource.id for each in self.planned(given, SettleResource)]
        self.assertEqual(released, [1, 2])
        self.assert_reasons(given, 3, over(2.0))

    def test_no_more_leases_are_promised_money_than_it_is_enough_for(self) -> None:
        """It takes two that are so cheap to pay for another one."""
        given = world(
            linux(choices=BOTH),
            resources=[self.old(n, 0.5) for n in (1, 2, 3, 4)],
            leases=[lease(n, requires=NEW) for n in (1, 2, 3)],
        )
        self.assertEqual(len(self.planned(given, SettleResource)), 2)
        self.assert_reasons(given, 3, over(2.0))

    def test_none_is_reclaimed_in_vain(self) -> None:
        """The idle one's money would not be enough."""
        busy, idle = self.old(1, 1.8), self.old(2, 0.2)
        given = world(
            linux(choices=BOTH),
            resources=[busy, idle],
            leases=[lease(1, on=1), lease(2, requires=NEW)],
        )
        self.assert_plans(given)
        self.assert_reasons(given, 2, over(2.0))

    def test_several_are_if_it_takes_several(self) -> None:
        given = world(
            linux(choices=BOTH, expected_price=2.0),
            resources=[self.old(1), self.old(2)],
            leases=[lease(requires=NEW)],
        )
        self.assertEqual(len(self.planned(given, SettleResource)), 1)

    def test_nothing_is_for_one_that_could_never_be_paid(self) -> None:
        given = world(
            linux(choices=BOTH, expected_price=3.0),
            resources=[self.old(1)],
            leases=[lease(requires=NEW)],
        )
        self.assert_plans(given)
        self.assert_reasons(given, 1, over(1.0, price=3.0))


class TestPrices(PlannerTestCase):
    def test_a_price_is_written_down_once_it_is_listed(self) -> None:
        for row, health in ((resource(), Health.READY), (pending(), Health.STARTING)):
            host = observed(row, hourly_price=0.5, health=health)
            given = world(blueprint(), resources=[row], inventories={"linux": inventory(host)})
            self.assert_plans(given, SetPrice(row, 0.5))

    def test_one_that_is_known_is_not(self) -> None:
        host = observed(priced(), hourly_price=1.0)
        given = world(blueprint(), resources=[priced()], inventories={"linux": inventory(host)})
        self.assert_plans(given)

    def test_an_ended_lease_is_told_what_its_slot_cost(self) -> None:
        ended = lease(1, on=1, status=LeaseStatus.RELEASED)
        for fields, action in (
            ({}, CloseLease(ended, 0.25)),
            ({"vacates": True}, VacateLease(ended, priced(), 0.25)),
        ):
            given = world(
                blueprint(leases_per_resource=4, **fields), resources=[priced()], leases=[ended]
            )
            self.assert_plans(given, action)
