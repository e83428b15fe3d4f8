from dataclasses import replace

from twisted.internet.defer import Deferred

from buildbot_drydock import events
from buildbot_drydock.actions import ListHosts
from buildbot_drydock.controller import Controller
from buildbot_drydock.interfaces import HostSpec
from buildbot_drydock.model import LeaseStatus, ResourceStatus, Rows, World
from buildbot_drydock.planner import Plan
from buildbot_drydock.testing.builders import NOW, blueprint, resource
from tests.unit.core import CoreTestCase


class TestObserving(CoreTestCase):
    def test_the_world_is_what_is_configured_written_and_listed(self) -> None:
        self.configure(blueprint(limit=3))
        self.change_state(failures=2)
        lease = self.request()
        self.calls.list_hosts("linux")
        world = self.now(self.controller.observe())
        self.assertEqual((world.now, world.master), (NOW, 1))
        self.assertEqual([(b.limit, b.state.failures) for b in world.blueprints], [(3, 2)])
        self.assertEqual(world.leases, (lease,))
        self.assertEqual(set(world.inventories), {"linux"})
        self.assertEqual(set(world.calls), {key for key in self.calls.snapshot()})

    def test_hosts_listed_while_the_rows_are_read_wait_for_the_next_turn(self) -> None:
        """Their rows may be too new for what was read, and they would look like nobody's."""
        self.calls.list_hosts("linux")
        read: Deferred[None] = Deferred()
        rows = self.store.rows

        async def slow() -> Rows:
            before = await rows()
            await read
            return before

        self.patch(self.store, "rows", slow)
        observing = Deferred.fromCoroutine(self.controller.observe())
        self.cloud.create("linux", "new", HostSpec())
        self.calls.list_hosts("linux")
        self.assertIn("new", self.calls.inventories()["linux"].hosts)
        read.callback(None)
        world = self.successResultOf(observing)
        self.assertNotIn("new", world.inventories["linux"].hosts)

    def test_what_was_spent_in_a_day_is_read_where_that_is_limited(self) -> None:
        self.configure(blueprint(limit=3, max_daily_cost=9.0, expected_price=1.0))
        ended = replace(resource(7), hourly_price=2.0, created_at=NOW - 3600, since=NOW)
        self.store._ended_resources[7] = replace(ended, status=ResourceStatus.DESTROYED)
        self.assertEqual(self.now(self.controller.observe()).spent, {"linux": 2.0})
        self.configure(blueprint(limit=3))
        self.turn()
        self.assertEqual(self.now(self.controller.observe()).spent, {})

    def test_what_another_master_did_reaches_the_holders(self) -> None:
        lease = self.now(self.leases.request(owner="worker/1"))
        waiting = self.leases.when_active(lease.id)
        self.settle()
        self.clock.advance(1.0)
        self.settle()
        self.assertIs(self.successResultOf(waiting).status, LeaseStatus.ACTIVE)
        seen: list[Rows] = []
        self.controller._observed = seen.append
        self.turn()
        self.assertEqual([row.id for row in seen[0].leases], [lease.id])

    def test_calls_about_what_is_no_more_are_forgotten(self) -> None:
        self.calls.list_hosts("linux")
        self.calls.destroy_stray("linux", "gone", "", "nobody's")
        self.now(self.controller.observe())
        self.assertEqual([key.verb for key in self.calls.snapshot()], ["inventory"])


class TestTurns(CoreTestCase):
    def test_a_turn_without_changes_asks_for_no_other(self) -> None:
        self.settle()
        self.assertFalse(self.turn())

    def test_a_turn_that_changes_rows_asks_for_another(self) -> None:
        self.request()
        self.assertTrue(self.turn())

    def test_the_last_plan_stays_to_be_read(self) -> None:
        self.request()
        self.turn()
        self.assertEqual(self.controller.plan.reasons[1][0].blueprint, "linux")
        self.assertEqual(self.controller.world.now, NOW)

    def test_a_planner_of_ones_own_is_asked_and_obeyed(self) -> None:
        asked: list[World] = []

        async def planner(world: World) -> Plan:
            asked.append(world)
            return Plan(actions=(ListHosts("linux"),), wake_at=NOW + 5)

        controller = Controller(
            self.store,
            self.calls,
            self.executor,
            lambda now, states: self.blueprints,
            clock=self.clock,
            planner=planner,
        )
        self.now(controller.turn())
        self.assertEqual(asked, [controller.world])
        self.assertEqual(controller.plan.wake_at, NOW + 5)
        self.assertIn("linux", self.calls.inventories())


class TestFailureBudget(CoreTestCase):
    """From many launches at once to one at a time, and back."""

    def setUp(self) -> None:
        super().setUp()
        self.configure(blueprint(limit=4, failure_budget=2))
        self.script(failing_boots=3)
        for number in range(4):
            self.request(f"worker/{number}")

    def test_it_probes_when_the_budget_is_spent_and_recovers_with_the_first_success(self) -> None:
        self.settle()
        self.assertEqual(len(self.resources()), 4, "all at once, as nothing has failed yet")
        self.later(1.0)
        self.assertEqual(self.state().failures, 0, "the fourth host came up")
        self.assertEqual(self.recorded(events.LaunchesRecovered)[0].failures, 3)

    def test_it_tries_one_host_at_a_time_until_one_comes_up(self) -> None:
        self.script(failing_boots=6)
        self.settle()
        self.later(1.0)
        self.assertEqual(self.state().failures, 4)
        for _ in range(200):
            self.later(1.0)
            if not self.state().failures:
                break
        self.assertEqual(self.most_at_once(), [4, 1, 1, 1])
        self.later(10.0)
        self.later(10.0)
        self.assertEqual({self.lease(n).status for n in range(1, 5)}, {LeaseStatus.ACTIVE})

    def most_at_once(self) -> list[int]:
        """Return how many hosts were tried between one time of none and the next, until one came."""
        tried, on_their_way = [0], 0
        for each in self.recorded(
            events.ResourceRequested, events.ResourceBroken, events.ResourceReady
        ):
            if isinstance(each, events.ResourceRequested):
                on_their_way += 1
                tried[-1] = max(tried[-1], on_their_way)
            elif isinstance(each, events.ResourceReady):
                break
            else:
                on_their_way -= 1
                if not on_their_way:
                    tried.append(0)
        return tried
