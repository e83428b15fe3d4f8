"""What becomes of each action, and of one that comes too late."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from twisted.internet.defer import Deferred

from buildbot_drydock import events
from buildbot_drydock.actions import (
    AcquireLease,
    Action,
    BreakLease,
    BuildResource,
    CloseLease,
    CreateHost,
    DestroyHost,
    DestroyStray,
    GiveNotice,
    ListHosts,
    PrepareLease,
    ReleaseLease,
    ReturnLease,
    SetPrice,
    SettleResource,
    VacateLease,
)
from buildbot_drydock.interfaces import HostSpec
from buildbot_drydock.lifecycle import ResourceEvent
from buildbot_drydock.model import LeaseStatus, Notice, Observed, Resource, ResourceStatus
from buildbot_drydock.testing.builders import NOW, blueprint
from tests.unit.core import CoreTestCase

READY = Observed(token="token-1", identity="i-1", address="10.0.0.7", data={"zone": "a"})


class ExecutorTestCase(CoreTestCase):
    def run_actions(self, *actions: Action) -> bool:
        return self.now(self.executor.run(actions, self.blueprints))

    def pending(self, place: int = 0) -> Resource:
        self.run_actions(BuildResource("linux", place, {"os": "linux"}, None))
        return self.resources()[-1]

    def active(self, place: int = 0) -> Resource:
        row = self.pending(place)
        self.run_actions(SettleResource(row, ResourceEvent.READY, "its host answers", READY))
        return self.resource(row.id)

    def settled(self, row: Resource, event: ResourceEvent, **fields: Any) -> Resource:
        self.run_actions(SettleResource(row, event, "because", **fields))
        return self.resource(row.id)


class TestMoney(ExecutorTestCase):
    def test_a_host_is_said_to_cost_what_it_costs(self) -> None:
        row = self.pending()
        host = replace(READY, hourly_price=2.0)
        self.run_actions(SettleResource(row, ResourceEvent.READY, "its host answers", host))
        self.assertEqual((self.resource().hourly_price, self.resource().priced_at), (2.0, NOW))
        (event,) = self.recorded(events.ResourceReady)
        self.assertEqual(event.data()["hourly_price"], 2.0)

    def test_a_price_is_written_down_with_the_one_before(self) -> None:
        row = self.active()
        self.run_actions(SetPrice(row, 2.0))
        self.run_actions(SetPrice(self.resource(), 3.0))
        self.assertEqual(self.resource().hourly_price, 3.0)
        self.assertEqual(
            self.recorded(events.ResourcePriced),
            [
                events.ResourcePriced(hourly_price=2.0, before=None),
                events.ResourcePriced(hourly_price=3.0, before=2.0),
            ],
        )

    def test_a_resource_is_told_in_the_end_what_it_cost(self) -> None:
        self.run_actions(SetPrice(self.active(), 2.0))
        self.clock.advance(1800)
        ended = self.settled(self.resource(), ResourceEvent.BREAK)
        self.settled(ended, ResourceEvent.GONE)
        self.assertEqual(
            self.recorded(events.ResourceDestroyed),
            [events.ResourceDestroyed(cost=1.0, unattributed=1.0)],
        )

    def test_a_lease_is_told_in_the_end_what_it_cost(self) -> None:
        self.request()
        self.run_actions(AcquireLease(self.lease(), self.active(), 0, True))
        self.clock.advance(1800)
        self.run_actions(ReleaseLease(self.lease(), "done"))
        self.run_actions(CloseLease(self.lease(), 2.0))
        self.assertEqual(self.recorded(events.LeaseDestroyed), [events.LeaseDestroyed(cost=1.0)])

    def test_also_if_something_had_to_be_ended_first(self) -> None:
        self.request()
        self.run_actions(AcquireLease(self.lease(), self.active(), 0, True))
        self.clock.advance(1800)
        self.run_actions(ReleaseLease(self.lease(), "done"))
        self.run_actions(VacateLease(self.lease(), self.resource(), 2.0))
        self.assertEqual(self.recorded(events.LeaseDestroyed), [events.LeaseDestroyed(cost=1.0)])

    def test_a_launch_that_another_master_may_have_paid_for_is_not_made(self) -> None:
        self.configure(blueprint(limit=9, max_hourly_cost=2.0, expected_price=1.0))
        seen = self.blueprints
        build = [BuildResource("linux", place, {}, None) for place in range(3)]
        self.now(self.executor.run(build[:1], seen))
        self.now(self.executor.run(build[1:2], seen))
        self.assertEqual([row.place for row in self.resources()], [0], "the plan was stale")

    def test_nor_one_that_it_may_have_paid_for_with_the_money_of_the_day(self) -> None:
        self.configure(blueprint(limit=9, max_daily_cost=2.0, expected_price=1.0))
        seen = self.blueprints
        build = [BuildResource("linux", place, {}, None) for place in range(2)]
        for action in build:
            self.now(self.executor.run([action], seen))
        self.assertEqual([row.place for row in self.resources()], [0], "the plan was stale")

    def test_one_plan_may_launch_several(self) -> None:
        self.configure(blueprint(limit=9, max_hourly_cost=2.0, expected_price=1.0))
        self.run_actions(*(BuildResource("linux", place, {}, None) for place in range(2)))
        self.assertEqual([row.place for row in self.resources()], [0, 1])

    def test_without_a_budget_masters_launch_side_by_side(self) -> None:
        self.configure(blueprint(limit=9))
        for place in range(2):
            self.run_actions(BuildResource("linux", place, {}, None))
        self.assertEqual((len(self.resources()), self.state().version), (2, 0))


class TestNotice(ExecutorTestCase):
    def test_it_is_written_down_with_the_time_left(self) -> None:
        notice = Notice(reason="interrupted", ends_at=NOW + 120)
        row = self.active()
        self.assertTrue(self.run_actions(GiveNotice(row, notice, 2.0)))
        self.assertEqual(self.resource().notice, notice)
        given = events.ResourceGivenNotice.of(notice, NOW, host=row.identity, hourly_price=2.0)
        self.assertEqual(self.recorded(events.ResourceGivenNotice), [given])
        self.assertEqual((given.seconds, given.host), (120, self.resource().identity))

    def test_one_for_a_resource_that_has_changed_is_forgotten(self) -> None:
        row = self.active()
        self.settled(row, ResourceEvent.BREAK)
        self.run_actions(GiveNotice(row, Notice(reason="interrupted")))
        self.assertIsNone(self.resource().notice)


class TestBuilding(ExecutorTestCase):
    def test_the_row_is_written_before_the_host_is_asked_for(self) -> None:
        rows: list[Resource | None] = []

        async def create(token: str, spec: HostSpec) -> None:
            rows.append(await self.store.resource(1))

        self.providers["linux"].create = create
        lease = self.request()
        moved = self.run_actions(BuildResource("linux", 3, {"os": "linux"}, lease.id))
        self.assertTrue(moved)
        self.assertEqual(rows, [self.resource()])
        row = self.resource()
        self.assertEqual(
            (row.token, row.place, row.labels, row.built_for),
            ("token-1", 3, {"os": "linux"}, lease.id),
        )
        self.assertEqual(self.store.slot_locks, {"blueprint(linux).resource(3)": "resource/1"})
        self.assertEqual(
            self.recorded(events.ResourceRequested), [events.ResourceRequested(built_for=lease.id)]
        )

    def test_a_listed_host_is_locked_and_the_token_says_which_it_is(self) -> None:
        self.run_actions(BuildResource("linux", 0, {"host": "a"}, None, host="a"))
        row = self.resource()
        self.assertEqual((row.host, row.token), ("a", "token-1@a"))
        self.assertEqual(set(self.store.slot_locks), {"blueprint(linux).resource(0)", "host(a)"})
        self.run_actions(BuildResource("linux", 1, {"host": "a"}, None, host="a"))
        self.assertEqual(self.resources(), (row,))

    def test_a_place_that_another_master_took_first_makes_no_host(self) -> None:
        self.pending()
        self.assertTrue(self.run_actions(BuildResource("linux", 0, {}, None)))
        self.assertEqual(len(self.resources()), 1)
        self.assertEqual(self.cloud.tokens(), ["token-1"])


class TestSettling(ExecutorTestCase):
    def test_the_row_remembers_the_host_that_answers(self) -> None:
        row = self.pending()
        self.clock.advance(12.0)
        row = self.settled(row, ResourceEvent.READY, observed=READY)
        self.assertIs(row.status, ResourceStatus.ACTIVE)
        self.assertEqual((row.identity, row.address, row.data), ("i-1", "10.0.0.7", {"zone": "a"}))
        self.assertEqual(
            self.recorded(events.ResourceReady),
            [events.ResourceReady(address="10.0.0.7", seconds=12.0)],
        )

    def test_a_host_that_comes_up_ends_the_failures(self) -> None:
        row = self.pending()
        self.blueprints = (blueprint(state=self.change_state(failures=3, retry_at=NOW + 9)),)
        self.settled(row, ResourceEvent.READY, observed=READY)
        self.assertEqual((self.state().failures, self.state().retry_at), (0, None))

    def test_a_failed_launch_counts_and_any_other_failure_does_not(self) -> None:
        self.settled(self.active(), ResourceEvent.BREAK)
        self.assertEqual(self.state().failures, 0)
        self.settled(self.pending(place=1), ResourceEvent.BREAK, launch_failed=True)
        self.assertEqual((self.state().failures, self.state().last_error), (1, "because"))

    def test_a_launch_that_somebody_else_saw_fail_counts_once(self) -> None:
        row = self.pending()
        for _ in range(2):
            self.settled(row, ResourceEvent.BREAK, launch_failed=True)
        self.assertEqual(self.state().failures, 1)

    def test_each_end_is_told_with_its_reason(self) -> None:
        released = self.settled(self.active(), ResourceEvent.RELEASE)
        broken = self.settled(released, ResourceEvent.BREAK)
        gone = self.settled(broken, ResourceEvent.GONE)
        self.assertIs(gone.status, ResourceStatus.DESTROYED)
        self.assertEqual(self.store.slot_locks, {})
        self.assertEqual(
            self.recorded(events.ResourceReleased, events.ResourceBroken, events.ResourceDestroyed),
            [
                events.ResourceReleased(reason="because"),
                events.ResourceBroken(reason="because"),
                events.ResourceDestroyed(),
            ],
        )

    def test_a_row_that_changed_since_is_left_alone_and_another_turn_is_due(self) -> None:
        stale = self.pending()
        self.settled(stale, ResourceEvent.READY, observed=READY)
        moved = self.run_actions(SettleResource(stale, ResourceEvent.RELEASE, "too late"))
        self.assertTrue(moved, "the world is not the one that was planned for")
        self.assertIs(self.resource().status, ResourceStatus.ACTIVE)
        self.assertEqual(self.recorded(events.ResourceReleased), [])


class TestLeases(ExecutorTestCase):
    def acquired(self, *, activate: bool = True) -> Resource:
        row = self.active()
        self.lease_asked = self.request()
        self.run_actions(AcquireLease(self.lease_asked, row, 0, activate))
        return self.resource()

    def test_an_acquired_lease_is_told_of_at_once(self) -> None:
        for activate, status in ((True, LeaseStatus.ACTIVE), (False, LeaseStatus.ACQUIRED)):
            self.setUp()
            self.acquired(activate=activate)
            self.assertEqual(self.changes, [self.lease()])
            self.assertIs(self.lease().status, status)

    def test_how_long_it_waited_is_written_down(self) -> None:
        row = self.active()
        lease = self.request()
        self.clock.advance(7.0)
        self.run_actions(AcquireLease(lease, row, 0, True))
        self.assertEqual(
            self.recorded(events.LeaseAcquired),
            [events.LeaseAcquired(slot=0, waited=7.0, active=True)],
        )

    def test_of_two_leases_for_one_slot_the_first_gets_it(self) -> None:
        row = self.active()
        first, second = self.request("a"), self.request("b")
        moved = self.run_actions(
            AcquireLease(first, row, 0, True), AcquireLease(second, row, 0, True)
        )
        self.assertTrue(moved)
        self.assertIs(self.lease(1).status, LeaseStatus.ACTIVE)
        self.assertIs(self.lease(2).status, LeaseStatus.PENDING)
        self.assertEqual([each.id for each in self.changes], [1])

    def test_leases_that_follow_each_other_are_acquired_in_one_call(self) -> None:
        rows = [self.active(place) for place in range(3)]
        leases = [self.request(name) for name in "abc"]
        sizes = []
        acquire = self.store.acquire

        async def counting(claims: Any) -> Any:
            sizes.append(len(claims))
            return await acquire(claims)

        self.patch(self.store, "acquire", counting)
        pairs = zip(leases, rows, strict=True)
        self.run_actions(*(AcquireLease(lease, row, 0, True) for lease, row in pairs))
        self.assertEqual(sizes, [3])

    def test_each_end_is_written_and_told(self) -> None:
        ends: tuple[tuple[Callable[..., Action], bool, LeaseStatus, type[events.Event]], ...] = (
            (ReleaseLease, True, LeaseStatus.RELEASED, events.LeaseReleased),
            (BreakLease, True, LeaseStatus.BROKEN, events.LeaseBroken),
            (ReturnLease, False, LeaseStatus.PENDING, events.LeaseReturned),
        )
        for action, activate, status, kind in ends:
            self.setUp()
            self.acquired(activate=activate)
            self.assertTrue(self.run_actions(action(self.lease(), "because")))
            self.assertIs(self.lease().status, status)
            self.assertEqual(self.changes[-1], self.lease())
            (told,) = self.recorded(kind)
            self.assertIn("because", told.sentence())

    def test_a_closed_lease_gives_its_slot_back(self) -> None:
        self.acquired()
        self.run_actions(ReleaseLease(self.lease(), "done"))
        self.run_actions(CloseLease(self.lease()))
        self.assertIs(self.lease().status, LeaseStatus.DESTROYED)
        self.assertEqual(self.lease().reason, "done")
        self.assertNotIn("resource(1).lease(0)", self.store.slot_locks)

    def test_a_lease_that_changed_since_is_left_alone_and_nobody_is_told(self) -> None:
        self.acquired()
        told = len(self.changes)
        self.assertTrue(self.run_actions(BreakLease(self.lease_asked, "too late")))
        self.assertIs(self.lease().status, LeaseStatus.ACTIVE)
        self.assertEqual(len(self.changes), told)


class TestCalls(ExecutorTestCase):
    """Provider calls are begun and not waited for; that alone changes no rows."""

    def test_each_action_makes_its_call(self) -> None:
        row, lease = self.active(), self.request()
        called: list[tuple[object, ...]] = []
        for verb in ("list_hosts", "create", "destroy", "destroy_stray", "prepare", "vacate"):
            self.patch(self.calls, verb, lambda *a, verb=verb: called.append((verb, *a)))
        moved = self.run_actions(
            ListHosts("linux"),
            CreateHost(row),
            DestroyHost(row),
            DestroyStray("linux", "stray", "i-9", "nobody's"),
            PrepareLease(lease, row),
            VacateLease(lease, row, 0.5),
        )
        self.assertFalse(moved)
        self.assertEqual(
            called,
            [
                ("list_hosts", "linux"),
                ("create", row),
                ("destroy", row),
                ("destroy_stray", "linux", "stray", "i-9", "nobody's"),
                ("prepare", lease, row),
                ("vacate", lease, row, 0.5),
            ],
        )

    def test_a_provider_that_hangs_holds_nothing_up(self) -> None:
        async def hang(*arguments: object) -> None:
            await Deferred()

        self.providers["linux"].inventory = hang
        lease = self.request()
        self.run_actions(ListHosts("linux"), BreakLease(lease, "because"))
        self.assertIs(self.lease().status, LeaseStatus.BROKEN)

    def test_a_change_before_a_call_is_not_forgotten(self) -> None:
        lease = self.request()
        self.assertTrue(self.run_actions(BreakLease(lease, "because"), ListHosts("linux")))

    def test_doing_nothing_changes_nothing(self) -> None:
        self.assertFalse(self.run_actions())
