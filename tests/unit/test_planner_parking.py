"""Resources that are parked when they are idle, and woken when they are needed."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from buildbot_drydock.actions import (
    AcquireLease,
    BuildResource,
    GiveNotice,
    ListHosts,
    ParkHost,
    SetPower,
    SettleResource,
    WakeHost,
)
from buildbot_drydock.costs import hourly_spending, resource_cost
from buildbot_drydock.lifecycle import ResourceEvent
from buildbot_drydock.model import (
    Blueprint,
    Call,
    CallKey,
    Health,
    Mode,
    Notice,
    Power,
    Resource,
    ResourceStatus,
    World,
)
from buildbot_drydock.offers import Offers, demand_of
from buildbot_drydock.planner import plan
from buildbot_drydock.policy import LONGEST_PARKING_SECONDS, POWER_AGAIN_SECONDS
from buildbot_drydock.reasons import BackingOff, Booting, Full, Parking, Reclaiming
from buildbot_drydock.testing.builders import (
    NOW,
    blueprint,
    inventory,
    lease,
    observed,
    parked,
    pending,
    resource,
    state,
    succeeded,
    world,
)
from tests.unit.planned import PlannerTestCase

RELEASE, BREAK = ResourceEvent.RELEASE, ResourceEvent.BREAK
LATELY = NOW - 3  # within what clocks may differ by


def linux(**fields: Any) -> Blueprint:
    return blueprint(**{"limit": 3, "parks": True, "idle_timeout": 50.0, **fields})


def changing(power: Power, number: int = 1, since: float = NOW - 30, **fields: Any) -> Resource:
    return resource(number, power=power, power_since=since, **fields)


def listed(of: Resource, health: Health, **fields: Any) -> dict[str, Any]:
    asked_at = fields.pop("asked_at", NOW)
    host = observed(of, health=health, **{"parkable": True, **fields})
    return {"linux": inventory(host, asked_at=asked_at)}


class ParkingTestCase(PlannerTestCase):
    def powers(self, given: World) -> list[tuple[int, Power]]:
        return [(each.resource.id, each.power) for each in self.planned(given, SetPower)]

    def ended(self, given: World) -> list[tuple[int, ResourceEvent]]:
        return [(each.resource.id, each.event) for each in self.planned(given, SettleResource)]


class TestIdleness(ParkingTestCase):
    def test_what_was_idle_too_long_is_parked_rather_than_released(self) -> None:
        self.assert_plans(
            world(linux(), resources=[resource()]),
            SetPower(resource(), Power.PARKING, "it was idle for 50 s"),
        )

    def test_before_that_it_is_left_alone(self) -> None:
        early = world(linux(idle_timeout=101.0), resources=[resource()])
        self.assert_plans(early)
        self.assert_wakes(early, NOW + 1)

    def test_what_is_leased_is_not(self) -> None:
        self.assert_plans(world(linux(), resources=[resource()], leases=[lease(on=1)]))

    def test_what_is_kept_warm_is_not(self) -> None:
        given = world(
            linux(min_ready=1), resources=[resource(), resource(2, last_used_at=NOW - 70)]
        )
        self.assertEqual(self.powers(given), [(1, Power.PARKING)])

    def test_what_is_parked_is_not_kept_warm_in_its_place(self) -> None:
        self.assert_plans(world(linux(min_ready=1), resources=[parked(1), resource(2)]))

    def test_what_can_not_be_parked_is_released(self) -> None:
        host = resource()
        for given in (
            listed(host, Health.READY, parkable=False),
            listed(host, Health.STARTING),
        ):
            there = world(linux(), resources=[host], inventories=given)
            self.assertEqual((self.powers(there), self.ended(there)), ([], [(1, RELEASE)]))

    def test_without_a_listing_since_it_was_woken_nobody_knows_that_yet(self) -> None:
        woken = changing(Power.RUNNING, since=LATELY)
        for row, given in (
            (woken, listed(woken, Health.PARKED)),
            (resource(), {"linux": inventory(resource(), error="throttled")}),
        ):
            there = world(linux(idle_timeout=0.0), resources=[row], inventories=given)
            self.assertEqual((self.powers(there), self.ended(there)), ([], []))

    def test_nor_is_what_a_lease_could_not_use(self) -> None:
        faulty = resource(faults=1, fault_at=NOW - 400, fault="no space left")
        given = world(linux(), resources=[faulty])
        self.assertEqual((self.powers(given), self.ended(given)), ([], [(1, RELEASE)]))

    def test_nor_is_anything_of_a_blueprint_that_does_not_park(self) -> None:
        given = world(linux(parks=False), resources=[resource()])
        self.assertEqual((self.powers(given), self.ended(given)), ([], [(1, RELEASE)]))

    def test_no_more_are_parked_than_may_be(self) -> None:
        given = world(linux(max_parked=2), resources=[parked(1), resource(2), resource(3)])
        self.assertEqual(self.powers(given), [(2, Power.PARKING)])
        self.assertEqual(self.ended(given), [(3, RELEASE)])

    def test_those_that_are_too_many_are_released_the_longest_parked_first(self) -> None:
        given = world(linux(max_parked=1), resources=[parked(1, power_since=NOW - 40), parked(2)])
        self.assertEqual(self.ended(given), [(2, RELEASE)])

    def test_what_was_parked_long_enough_is_released(self) -> None:
        self.assert_plans(
            world(linux(park_for=100.0), resources=[parked()]),
            SettleResource(parked(), RELEASE, "it was parked for 100 s"),
        )
        early = world(linux(park_for=101.0), resources=[parked()])
        self.assert_plans(early)
        self.assert_wakes(early, NOW + 1)

    def test_so_is_what_is_over_the_limit_before_what_runs(self) -> None:
        given = world(linux(limit=1, idle_timeout=None), resources=[resource(1), parked(2)])
        self.assertEqual(self.ended(given), [(2, RELEASE)])

    def test_so_is_what_is_worn_out_drained_disabled_or_no_longer_wanted(self) -> None:
        for fields in (
            {"max_age": 100.0},
            {"state": state(mode=Mode.DRAINING)},
            {"state": state(mode=Mode.DISABLED)},
            {"retired": True},
            {"parks": False},
        ):
            given = world(linux(**fields), resources=[parked()])
            self.assertEqual(self.ended(given), [(1, RELEASE)], fields)

    def test_what_runs_again_is_idle_from_then_on(self) -> None:
        woken = resource(power=Power.RUNNING, power_since=NOW - 49, last_used_at=NOW - 90)
        early = world(linux(), resources=[woken])
        self.assert_plans(early)
        self.assert_wakes(early, NOW + 1)

    def test_what_is_paid_for_since_it_was_woken_is_kept(self) -> None:
        woken = resource(power=Power.RUNNING, power_since=NOW - 57)
        self.assert_plans(world(linux(minimum_billing=60.0), resources=[woken]))


class TestParking(ParkingTestCase):
    def test_what_has_stopped_is_parked(self) -> None:
        row = changing(Power.PARKING)
        given = world(linux(), resources=[row], inventories=listed(row, Health.PARKED))
        self.assert_plans(given, SetPower(row, Power.PARKED, "it has stopped"))

    def test_a_listing_of_before_says_nothing(self) -> None:
        row = changing(Power.PARKING, since=LATELY)
        for health in Health:
            given = world(linux(), resources=[row], inventories=listed(row, health))
            self.assertEqual((self.powers(given), self.ended(given)), ([], []), health)
            self.assertEqual(self.planned(given, ParkHost), [])

    def test_what_runs_still_is_told_again(self) -> None:
        row = changing(Power.PARKING)
        running = world(linux(), resources=[row], inventories=listed(row, Health.READY))
        self.assertEqual(self.planned(running, ParkHost), [ParkHost(row)])

    def test_but_not_while_it_is_stopping_or_was_told_a_moment_ago(self) -> None:
        row, key = changing(Power.PARKING), CallKey("park", "linux", "token-1")
        stopping = world(linux(), resources=[row], inventories=listed(row, Health.PARKING))
        running = world(linux(), resources=[row], inventories=listed(row, Health.READY))
        for given in (
            stopping,
            replace(running, calls={key: Call(running=True)}),
            replace(running, calls={key: Call(failures=1, retry_at=NOW + 1)}),
            replace(running, calls={key: succeeded(POWER_AGAIN_SECONDS - 1)}),
        ):
            self.assertEqual(self.planned(given, ParkHost), [])
        later = replace(running, calls={key: succeeded(POWER_AGAIN_SECONDS)})
        self.assertEqual(self.planned(later, ParkHost), [ParkHost(row)])

    def test_what_can_not_be_stopped_is_released_after_some_attempts(self) -> None:
        row, key = changing(Power.PARKING), CallKey("park", "linux", "token-1")
        calls = {key: Call(failures=5, error="it is busy")}
        given = world(linux(), resources=[row], inventories=listed(row, Health.READY), calls=calls)
        self.assert_plans(given, SettleResource(row, RELEASE, "it could not be parked: it is busy"))

    def test_so_is_what_takes_too_long(self) -> None:
        row = changing(Power.PARKING, since=NOW - LONGEST_PARKING_SECONDS)
        given = world(linux(), resources=[row], inventories=listed(row, Health.PARKING))
        self.assertEqual(self.ended(given), [(1, RELEASE)])

    def test_what_fails_or_goes_breaks(self) -> None:
        for power in (Power.PARKING, Power.PARKED):
            row = changing(power)
            gone = {"linux": inventory()}
            for inventories in (listed(row, Health.FAILING), gone):
                given = world(linux(), resources=[row], inventories=inventories)
                self.assertEqual(self.ended(given), [(1, BREAK)])

    def test_nothing_is_judged_by_a_listing_that_failed(self) -> None:
        for power in Power:
            row = changing(power, since=NOW - 2_000)
            for health in Health:
                known = listed(row, health)["linux"]
                failed = {"linux": replace(known, error="throttled")}
                given = world(linux(idle_timeout=None), resources=[row], inventories=failed)
                self.assertEqual((self.powers(given), self.ended(given)), ([], []))

    def test_a_parked_one_that_somebody_else_has_started_is_parked_again(self) -> None:
        for health in (Health.READY, Health.STARTING):
            given = world(linux(), resources=[parked()], inventories=listed(parked(), health))
            self.assertEqual(self.powers(given), [(1, Power.PARKING)])
        stopping = world(
            linux(), resources=[parked()], inventories=listed(parked(), Health.PARKING)
        )
        self.assert_plans(stopping)

    def test_a_parked_one_that_is_given_notice_is_released(self) -> None:
        inventories = listed(parked(), Health.PARKED, end_reason="retirement")
        given = world(linux(), resources=[parked()], inventories=inventories)
        self.assertEqual(
            self.planned(given, GiveNotice), [GiveNotice(parked(), Notice(reason="retirement"))]
        )
        noticed = parked(end_reason="retirement")
        self.assertEqual(self.ended(world(linux(), resources=[noticed])), [(1, RELEASE)])

    def test_its_provider_is_asked_often_until_it_has_stopped_or_runs(self) -> None:
        for power, expected in (
            (Power.PARKING, 1),
            (Power.WAKING, 1),
            (Power.PARKED, 0),
            (Power.RUNNING, 0),
        ):
            row = changing(power, since=NOW - 50)
            inventories = listed(row, Health.READY, asked_at=NOW - 6)
            given = world(linux(idle_timeout=None), resources=[row], inventories=inventories)
            self.assertEqual(len(self.planned(given, ListHosts)), expected, power)


class TestStoppedFromOutside(ParkingTestCase):
    """A host that is stopped although its row says that it runs: by somebody, or too late by us."""

    def test_it_breaks_and_so_does_its_lease(self) -> None:
        for health in (Health.PARKING, Health.PARKED):
            inventories = listed(resource(), health, reason="i-1 is stopped")
            leases = [lease(on=1)]
            given = world(linux(), resources=[resource()], leases=leases, inventories=inventories)
            self.assert_plans(given, SettleResource(resource(), BREAK, "i-1 is stopped"))

    def test_one_that_was_woken_is_not_judged_by_a_listing_of_before(self) -> None:
        for since, broken in ((LATELY, []), (NOW - 30, [(1, BREAK)])):
            woken = changing(Power.RUNNING, since=since)
            for health in (Health.PARKING, Health.PARKED, Health.FAILING):
                given = world(
                    linux(),
                    resources=[woken],
                    leases=[lease(on=1)],
                    inventories=listed(woken, health),
                )
                self.assertEqual(self.ended(given), broken)

    def test_one_that_boots_has_failed(self) -> None:
        row = pending()
        given = world(linux(), resources=[row], inventories=listed(row, Health.PARKED))
        (action,) = self.planned(given, SettleResource)
        self.assertEqual((action.event, action.launch_failed), (BREAK, True))


class TestWaking(ParkingTestCase):
    def test_a_lease_gets_what_runs_before_what_is_parked(self) -> None:
        given = world(linux(), resources=[parked(1), resource(2)], leases=[lease(1)])
        self.assertEqual(len(self.planned(given, AcquireLease)), 1)
        self.assertEqual(self.powers(given), [])

    def test_it_waits_for_what_is_coming_before_what_is_parked_is_woken(self) -> None:
        given = world(linux(), resources=[parked(1), pending(2)], leases=[lease(1)])
        self.assertEqual(self.powers(given), [])

    def test_what_is_parked_is_woken_before_another_is_built(self) -> None:
        given = world(linux(), resources=[parked()], leases=[lease(7)])
        self.assert_plans(given, SetPower(parked(), Power.WAKING, "lease 7 needs it"))
        self.assert_reasons(
            given,
            7,
            Booting(blueprint="linux", resource=1, since=NOW, boot_timeout=900.0),
        )

    def test_one_for_each_lease_the_one_parked_last_first_and_then_more_are_built(self) -> None:
        resources = [parked(1), parked(2, power_since=NOW - 40)]
        given = world(linux(), resources=resources, leases=[lease(n) for n in (1, 2, 3)])
        self.assertEqual(self.powers(given), [(2, Power.WAKING), (1, Power.WAKING)])
        self.assertEqual(len(self.planned(given, BuildResource)), 1)

    def test_one_with_several_slots_is_woken_for_several(self) -> None:
        both = [lease(1), lease(2)]
        given = world(linux(leases_per_resource=2), resources=[parked(1), parked(2)], leases=both)
        self.assertEqual(self.powers(given), [(2, Power.WAKING)])

    def test_only_one_that_fits_is(self) -> None:
        choices = {"image": ("old", "new")}
        resources = [parked(1, labels={"image": "old"}), parked(2, labels={"image": "new"})]
        given = world(
            linux(choices=choices), resources=resources, leases=[lease(requires={"image": "old"})]
        )
        self.assertEqual(self.powers(given), [(1, Power.WAKING)])

    def test_one_that_was_not_seen_stopped_since_it_was_parked_is_not(self) -> None:
        for row, health in (
            (changing(Power.PARKING), Health.PARKING),
            (parked(), Health.PARKING),
            (parked(power_since=LATELY), Health.READY),
        ):
            given = world(
                linux(), resources=[row], leases=[lease()], inventories=listed(row, health)
            )
            self.assertEqual(self.powers(given), [])
            self.assertEqual(len(self.planned(given, BuildResource)), 1)

    def test_nor_one_that_is_worn_out_or_to_end(self) -> None:
        for row in (parked(uses=3), parked(end_reason="retirement")):
            given = world(linux(max_uses=3), resources=[row], leases=[lease()])
            self.assertEqual(self.powers(given), [])

    def test_nor_while_it_could_still_be_told_to_stop_or_could_not_be_woken_lately(self) -> None:
        for verb, call in (
            ("park", Call(running=True)),
            ("wake", Call(running=True)),
            ("wake", Call(failures=1, retry_at=NOW + 9, error="no capacity")),
        ):
            calls = {CallKey(verb, "linux", "token-1"): call}
            given = world(linux(), resources=[parked()], leases=[lease()], calls=calls)
            self.assertEqual(self.powers(given), [])
            self.assertEqual(len(self.planned(given, BuildResource)), 1, "it goes elsewhere")

    def test_nor_while_its_blueprint_may_not_launch(self) -> None:
        off = state(failures=1, retry_at=NOW + 9, last_error="throttled")
        given = world(linux(state=off), resources=[parked()], leases=[lease()])
        self.assertEqual(self.powers(given), [])
        (reason,) = plan(given).reasons[1]
        self.assertIsInstance(reason, BackingOff)
        paused = world(linux(state=state(mode=Mode.PAUSED)), resources=[parked()], leases=[lease()])
        self.assert_plans(paused)

    def test_it_takes_money_as_a_launch_does(self) -> None:
        for most, powers in ((2.0, [(2, Power.WAKING)]), (1.5, [])):
            resources = [resource(1, hourly_price=1.0), parked(2, hourly_price=1.0)]
            given = world(
                linux(max_hourly_cost=most, expected_price=1.0),
                resources=resources,
                leases=[lease(1, on=1), lease(2)],
            )
            self.assertEqual(self.powers(given), powers)

    def test_two_are_not_woken_for_the_money_of_one(self) -> None:
        given = world(
            linux(max_hourly_cost=1.0, expected_price=1.0),
            resources=[parked(1), parked(2)],
            leases=[lease(1), lease(2)],
        )
        self.assertEqual(len(self.powers(given)), 1)

    def test_what_runs_is_reclaimed_for_money_and_what_is_parked_is_not(self) -> None:
        choices = {"image": ("old", "new")}
        resources = [
            parked(1, labels={"image": "new"}, hourly_price=1.0),
            resource(2, labels={"image": "old"}, hourly_price=1.0),
        ]
        given = world(
            linux(choices=choices, max_hourly_cost=1.0, expected_price=1.0, idle_timeout=None),
            resources=resources,
            leases=[lease(requires={"image": "new"})],
        )
        self.assertEqual((self.powers(given), self.ended(given)), ([], [(2, RELEASE)]))

    def test_what_is_parked_is_reclaimed_before_what_runs_if_a_place_is_needed(self) -> None:
        labels = {"image": "old"}
        resources = [resource(1, labels=labels, last_used_at=NOW - 400), parked(2, labels=labels)]
        given = world(
            linux(limit=2, choices={"image": ("old", "new")}, idle_timeout=None),
            resources=resources,
            leases=[lease(requires={"image": "new"})],
        )
        self.assertEqual(self.ended(given), [(2, RELEASE)])
        self.assert_reasons(given, 1, Reclaiming(blueprint="linux", resource=2))

    def test_at_the_limit_what_is_stopping_is_waited_for_and_not_ended(self) -> None:
        given = world(
            linux(limit=1), resources=[changing(Power.PARKING)], leases=[lease(1), lease(2)]
        )
        self.assert_plans(given)
        self.assert_reasons(given, 1, Parking(blueprint="linux", resource=1))
        self.assertIsInstance(plan(given).reasons[2][0], Full)

    def test_what_can_not_be_woken_or_does_not_fit_is_reclaimed_at_the_limit(self) -> None:
        backing_off = {CallKey("wake", "linux", "token-1"): Call(failures=1, retry_at=NOW + 9)}
        choices = {"image": ("old", "new")}
        old = {"image": "old"}
        for requires, calls in ((old, backing_off), ({"image": "new"}, {})):
            given = world(
                linux(limit=1, choices=choices),
                resources=[parked(labels=old)],
                leases=[lease(requires=requires)],
                calls=calls,
            )
            self.assertEqual(self.ended(given), [(1, RELEASE)])

    def test_it_is_woken_to_be_kept_warm(self) -> None:
        given = world(linux(min_ready=2), resources=[parked(1), resource(2)])
        self.assert_plans(given, SetPower(parked(1), Power.WAKING, "to keep one warm"))

    def test_it_is_coming_while_it_wakes(self) -> None:
        waking = changing(Power.WAKING)
        given = world(linux(min_ready=1), resources=[waking], leases=[lease()])
        self.assert_reasons(
            given,
            1,
            Booting(blueprint="linux", resource=1, since=NOW - 30, boot_timeout=900.0),
        )
        self.assertEqual(len(self.planned(given, BuildResource)), 1, "to keep one warm beside it")

    def test_when_it_answers_it_runs(self) -> None:
        waking = changing(Power.WAKING)
        host = observed(waking, address="10.0.0.9", parkable=True)
        given = world(linux(), resources=[waking], inventories={"linux": inventory(host)})
        self.assert_plans(given, SetPower(waking, Power.RUNNING, "its host answers", host))

    def test_but_not_if_it_answered_before_it_was_woken(self) -> None:
        waking = changing(Power.WAKING, since=LATELY)
        given = world(linux(), resources=[waking], inventories=listed(waking, Health.READY))
        self.assert_plans(given)

    def test_what_is_parked_still_is_told_again_but_not_while_it_is_stopping(self) -> None:
        waking, key = changing(Power.WAKING), CallKey("wake", "linux", "token-1")
        still = world(linux(), resources=[waking], inventories=listed(waking, Health.PARKED))
        self.assertEqual(self.planned(still, WakeHost), [WakeHost(waking)])
        asked = replace(still, calls={key: succeeded(POWER_AGAIN_SECONDS - 1)})
        self.assertEqual(self.planned(asked, WakeHost), [])
        stopping = replace(still, inventories=listed(waking, Health.PARKING))
        self.assertEqual(self.planned(stopping, WakeHost), [])

    def test_what_fails_or_takes_too_long_breaks_and_counts_as_a_failed_launch(self) -> None:
        slow, failed = changing(Power.WAKING, since=NOW - 900), changing(Power.WAKING)
        for row, health in (
            (slow, Health.STARTING),
            (slow, Health.PARKED),
            (failed, Health.FAILING),
        ):
            given = world(linux(), resources=[row], inventories=listed(row, health))
            (action,) = self.planned(given, SettleResource)
            self.assertEqual((action.event, action.launch_failed), (BREAK, True))


class TestMoneyAndOffers(ParkingTestCase):
    def test_what_is_parked_costs_nothing_an_hour(self) -> None:
        for power, cost in (
            (Power.RUNNING, 2.0),
            (Power.PARKING, 2.0),
            (Power.PARKED, 0.0),
            (Power.WAKING, 2.0),
        ):
            rows = [changing(power, hourly_price=2.0)]
            self.assertEqual(hourly_spending(linux(), rows), cost)

    def test_the_time_that_it_was_parked_costs_nothing(self) -> None:
        hour = 3600.0
        row = resource(hourly_price=2.0, created_at=NOW - 3 * hour, parked_seconds=hour)
        self.assertEqual(resource_cost(row, NOW), 4.0)
        again = replace(row, power=Power.PARKED, power_since=NOW - hour)
        self.assertEqual(resource_cost(again, NOW), 2.0)
        ended = replace(again, status=ResourceStatus.DESTROYED, since=NOW - hour / 2)
        self.assertEqual(resource_cost(ended, NOW), 2.0)

    def test_what_is_parked_is_capacity_as_long_as_it_may_be_woken(self) -> None:
        demand = demand_of("host", {}, ())
        for given, room in (
            (world(linux(limit=2), resources=[parked(1), parked(2)]), 2),
            (world(linux(limit=2), resources=[parked(1), resource(2)], leases=[lease(on=2)]), 1),
            (
                world(
                    linux(limit=1, max_hourly_cost=1.0, expected_price=2.0), resources=[parked(1)]
                ),
                0,
            ),
            (world(linux(limit=1), resources=[changing(Power.WAKING)]), 1),
            (world(linux(limit=1), resources=[parked(end_reason="retirement")]), 0),
        ):
            self.assertEqual(Offers(given).room(demand, idle=(), backlog=0), room)
