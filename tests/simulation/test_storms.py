"""A few storms in every run of the tests. ``make sim`` runs ten thousand."""

import os
from dataclasses import replace

from twisted.trial.unittest import SynchronousTestCase as TestCase

from buildbot_drydock import events, slotlocks
from buildbot_drydock.actions import AcquireLease
from buildbot_drydock.interfaces import HostSpec
from buildbot_drydock.model import AuthorizationStatus, Lease, Notice, Power, ResourceStatus, Rows
from buildbot_drydock.planner import Plan
from buildbot_drydock.quota import Quota
from buildbot_drydock.sharing import Sharing
from buildbot_drydock.testing import checks
from buildbot_drydock.testing.builders import (
    A_WHILE_AGO,
    authorization,
    blueprint,
    lease,
    pending,
    resource,
    world,
)
from buildbot_drydock.testing.parking_simulator import ParkingSimulation
from buildbot_drydock.testing.sharing_checks import (
    no_lease_begins_over_a_quota,
    nobody_is_passed_over,
)
from buildbot_drydock.testing.sharing_simulator import SharingSimulation
from buildbot_drydock.testing.simulator import Simulation, finish


class TestStorms(TestCase):
    def test_storms_pass(self) -> None:
        # Those that the test of storminess runs are not run twice.
        first = int(os.environ.get("DRYDOCK_SEED", "80"))
        for seed in range(first, first + int(os.environ.get("DRYDOCK_RUNS", "40"))):
            with self.subTest(seed=seed):
                Simulation(seed).run()

    def test_storms_pass_in_which_much_is_parked_and_woken_and_some_can_not_be(self) -> None:
        powers: set[str] = set()
        calls: set[str] = set()
        for seed in range(0, 125, 5):  # those that ``simulate.py`` repeats
            simulation = ParkingSimulation(seed)
            simulation.run()
            for entry in finish(simulation.store.events(limit=10_000)):
                if isinstance(entry.event, events.ResourcePowerChanged):
                    powers.add(entry.event.power)
                elif isinstance(entry.event, events.CallFailed):
                    calls.add(entry.event.verb)
        self.assertEqual(powers, {each.value for each in Power})
        self.assertLess({"wake"}, calls)

    def test_storms_pass_in_which_quotas_keep_leases_waiting_and_change(self) -> None:
        first = int(os.environ.get("DRYDOCK_SEED", "0"))
        begun = waited = 0
        for seed in range(first, first + int(os.environ.get("DRYDOCK_RUNS", "40")) // 2):
            simulation = SharingSimulation(seed)
            simulation.run()
            begun += simulation.counted
            waited += simulation.kept_waiting
        self.assertGreater(begun, 20)
        self.assertGreater(waited, 20)

    def test_a_seed_repeats_itself(self) -> None:
        stories = []
        for _ in range(2):
            simulation = Simulation(11)
            simulation.run()
            events = finish(simulation.store.events(limit=10_000))
            stories.append([(entry.at, entry.event) for entry in events])
        self.assertGreater(len(stories[0]), 20)
        self.assertEqual(*stories)

    def test_storms_are_stormy(self) -> None:
        """Among a handful of seeds all that can happen does happen, or the storms prove little."""
        kinds: set[str] = set()
        deaths = 0
        for seed in range(80):
            simulation = Simulation(seed)
            simulation.run()
            deaths += len(simulation.dead)
            kinds.update(e.event.kind for e in finish(simulation.store.events(limit=10_000)))
        self.assertGreater(deaths, 10)
        missing = {
            "resource-broken",
            "lease-broken",
            "lease-returned",
            "launch-failed",
            "blueprint-misconfigured",
            "launches-recovered",
            "stray-destroyed",
            "call-failed",
            "mode-changed",
            "host-mode-changed",
            "resource-faulty",
            "resource-given-notice",
            "resource-priced",
            "authorization-requested",
            "authorization-decided",
        } - kinds
        self.assertEqual(missing, set())


class TestCheckers(TestCase):
    """A checker that never complains proves nothing."""

    def broken(self, breakage) -> str:
        simulation = Simulation(3, steps=200)
        for _ in range(simulation.steps):
            simulation._mishap()
            simulation._step()
            if simulation._rows().leases and any(r.uses for r in simulation._rows().resources):
                break
        breakage(simulation)
        with self.assertRaises(checks.Unsafe) as caught:
            simulation._check()
        return str(caught.exception)

    def test_a_lock_without_its_row_is_noticed(self) -> None:
        text = self.broken(lambda s: s.store._owners.update({"resource(99).lease(0)": "lease/99"}))
        self.assertIn("resource(99).lease(0)", text)

    def test_a_lease_that_begins_before_an_end_is_noticed(self) -> None:
        rows = Rows(resources=(resource(),), leases=(lease(on=1),))
        check = checks.no_lease_begins_before_an_end
        for given_notice, before in ((set(), {1: None}), ({1}, {1: 1})):
            check(rows, given_notice, before)
        for begun in ({}, {1: None}):
            self.assertRaises(checks.Unsafe, check, rows, {1}, begun)

    def test_a_lease_that_begins_unauthorized_is_noticed(self) -> None:
        guarded = blueprint(needs_approval=True)
        known = {
            (row.blueprint, row.subject): row
            for row in (
                authorization("builder/tests", AuthorizationStatus.APPROVED),
                authorization("builder/docs", AuthorizationStatus.DECLINED),
            )
        }

        def check(builder: str, by: str, before: dict, *configured) -> None:
            begun = lease(on=1, subjects=(f"builder/{builder}",), authorized_by=by)
            rows = Rows(resources=(resource(),), leases=(begun,))
            checks.no_lease_begins_unauthorized(rows, known, configured, before)

        by = "approval of builder/tests by ana"
        check("tests", by, {1: None}, guarded)
        check("docs", "", {1: 1}, guarded)
        check("docs", "", {1: None}, guarded, blueprint())
        for builder, why in (("docs", ""), ("docs", by), ("tests", ""), ("others", "")):
            self.assertRaises(checks.Unsafe, check, builder, why, {1: None}, guarded)

    def test_a_lease_that_begins_over_a_quota_is_noticed(self) -> None:
        def rules(*limits: int) -> list[Sharing]:
            return [Sharing(quotas=(Quota(kind="owner", pattern="*", leases=n),)) for n in limits]

        def held(number: int, *locks: str) -> Lease:
            return replace(lease(number, on=number), locks=locks)

        locks = [slotlocks.quota("*", number) for number in range(2)]
        first, second = held(1, locks[0]), held(2, locks[1])
        both = Rows(resources=(resource(1), resource(2)), leases=(first, second, lease(3)))
        check = no_lease_begins_over_a_quota
        for sharings, before in (
            (rules(2), {1: 1, 2: None}),
            (rules(1, 2), {1: 1, 2: None}),  # one master has not heard that it was lowered
            (rules(1), {1: 1, 2: 2}),  # both were there before it was
            ([*rules(1), Sharing()], {1: 1}),
            ([], {}),
        ):
            check(both, sharings, before)
        for before in ({1: 1, 2: None}, {1: 1}, {}):
            self.assertRaises(checks.Unsafe, check, both, rules(1, 1), before)
        unlocked = replace(both, leases=(first, held(2, slotlocks.slot(2, 0)), lease(3)))
        check(unlocked, rules(2), {1: 1, 2: 2})
        self.assertRaises(checks.Unsafe, check, unlocked, rules(2), {1: 1})

    def test_a_lease_that_is_passed_over_is_noticed(self) -> None:
        def check(waits: Lease, served: Lease) -> None:
            given = world(blueprint(), leases=[waits, served], sharing=Sharing(ageing_seconds=60))
            acquired = AcquireLease(served, resource(), 0, True)
            nobody_is_passed_over(given, Plan(actions=(acquired,), reasons={waits.id: ()}))

        waits, late = lease(1), lease(2, requested_at=A_WHILE_AGO + 61)
        check(late, waits)
        check(waits, replace(late, priority=1))
        check(waits, replace(late, requires={"image": "new"}))
        check(waits, replace(late, requested_at=A_WHILE_AGO + 60))
        self.assertRaises(checks.Unsafe, check, waits, late)
        self.assertRaises(
            checks.Unsafe, check, replace(waits, priority=1), lease(2, requested_at=A_WHILE_AGO + 1)
        )

    def test_a_lease_on_what_is_not_to_run_is_noticed(self) -> None:
        check = checks.leases_hold_what_their_status_says
        check(Rows(resources=(resource(),), leases=(lease(on=1),)))
        for power in (Power.PARKING, Power.PARKED, Power.WAKING):
            rows = Rows(resources=(resource(power=power),), leases=(lease(on=1),))
            self.assertIn("not to run", str(self.assertRaises(checks.Unsafe, check, rows)))

    def test_a_blueprint_that_costs_too_much_is_noticed(self) -> None:
        rows = Rows(resources=(resource(1, hourly_price=1.5), pending(2)))
        for most, expected in ((None, 9.0), (2.0, 0.5), (1.5, None)):
            linux = blueprint(max_hourly_cost=most, expected_price=expected)
            checks.budgets_are_kept(rows, [linux])
        dear = blueprint(max_hourly_cost=2.0, expected_price=1.0)
        self.assertRaises(checks.Unsafe, checks.budgets_are_kept, rows, [dear])

    def test_a_warning_given_twice_is_noticed(self) -> None:
        soon, later = Notice(reason="x", ends_at=5.0), Notice(reason="x", ends_at=6.0)
        checks.nothing_is_told_twice([(1, Notice(reason="x")), (1, soon), (2, later)])
        for told in ([(1, soon), (1, soon)], [(1, soon), (1, later)]):
            self.assertRaises(checks.Unsafe, checks.nothing_is_told_twice, told)

    def test_the_host_of_a_living_resource_is_missed_and_its_twin_is_not(self) -> None:
        def destroy(destroyed: str, left: str, **fields) -> None:
            rows = Rows(resources=(resource(1, token="t", **{"identity": "", **fields}),))
            checks.hosts_may_be_destroyed(rows, "t", set(destroyed), set(left))

        destroy("b", "a", identity="a")
        destroy("b", "", identity="a")  # it has ended by itself, and the twin stayed
        destroy("b", "a")
        destroy("a", "", identity="a", status=ResourceStatus.RELEASED)
        destroy("", "")
        self.assertRaises(checks.Unsafe, destroy, "a", "b", identity="a")
        self.assertRaises(checks.Unsafe, destroy, "a", "")

    def test_a_host_without_a_row_is_noticed(self) -> None:
        def build_unasked(simulation: Simulation) -> None:
            cloud = simulation.clouds["linux"]
            cloud.script = replace(cloud.script, capacity=1_000)
            cloud.create("linux", "nobody-knows-me", HostSpec())

        text = self.broken(build_unasked)
        self.assertIn("nobody-knows-me", text)
