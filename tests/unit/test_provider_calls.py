"""What becomes of each outcome of each verb."""

from collections.abc import Sequence

from twisted.internet.defer import Deferred

from buildbot_drydock import events
from buildbot_drydock.actions import BuildResource
from buildbot_drydock.errors import (
    HostUnreachable,
    IllegalMove,
    Misconfigured,
    NoCapacity,
    RequestRejected,
    RetryLater,
)
from buildbot_drydock.interfaces import HostSpec
from buildbot_drydock.latent.synthetic import Failure, Stage
from buildbot_drydock.lifecycle import LeaseEvent
from buildbot_drydock.model import (
    Call,
    CallKey,
    Lease,
    LeaseStatus,
    Observed,
    Resource,
    ResourceStatus,
)
from buildbot_drydock.reasons import BackingOff
from buildbot_drydock.reasons import Misconfigured as IsMisconfigured
from buildbot_drydock.testing.builders import NOW, blueprint
from tests.unit.core import LIMIT_SECONDS, CoreTestCase, hanging, raising

P, A = ResourceStatus.PENDING, ResourceStatus.ACTIVE
CREATE = CallKey("create", "linux", "token-1")
LIST = CallKey("inventory", "linux")


class TestCreate(CoreTestCase):
    def call(self) -> Call:
        return self.calls.snapshot()[CREATE]

    def test_a_provider_is_told_which_listed_host_it_is_to_be(self) -> None:
        self.now(self.executor.run([BuildResource("linux", 0, {}, None, host="a")], []))
        (machine,) = self.cloud.hosts()
        self.assertEqual(machine.spec.host, "a")

    def test_a_host_is_stamped_with_its_token_and_knows_its_place(self) -> None:
        self.configure(blueprint(choices={"image": ("bookworm", "trixie")}))
        self.request(requires={"image": "trixie"})
        self.turn()
        (machine,) = self.cloud.hosts()
        self.assertEqual(machine.token, "token-1")
        self.assertEqual(machine.spec.labels, {"image": "trixie"})
        self.assertEqual(machine.spec.place, 0)
        self.assertEqual(self.call(), Call(succeeded_at=NOW))

    def test_retry_later_leaves_the_row_and_asks_again(self) -> None:
        self.script(Failure(verb="create", error=RetryLater, message="throttled", times=1))
        self.request()
        self.settle()
        self.assertEqual(self.statuses()[0], [P])
        self.assertEqual((self.state().failures, self.state().last_error), (1, "throttled"))
        self.assertEqual(self.call().retry_at, NOW + 1.0)
        self.assertEqual(self.cloud.living(), 0)
        self.later(1.0)
        self.assertEqual(self.cloud.tokens(), ["token-1"])
        self.later(10.0)
        self.assertEqual(self.statuses(), ([A], [LeaseStatus.ACTIVE]))
        self.assertEqual(self.state().failures, 0)

    def test_a_lost_reply_makes_no_second_host(self) -> None:
        self.script(Failure(verb="create", stage=Stage.AFTER, times=1))
        self.request()
        self.settle()
        self.later(1.0)
        self.later(10.0)
        self.assertEqual(self.cloud.tokens(), ["token-1"])
        self.assertEqual(self.statuses()[1], [LeaseStatus.ACTIVE])

    def test_the_wait_that_a_provider_asks_for_is_kept(self) -> None:
        self.providers["linux"].create = raising(RetryLater("throttled", after=50.0))
        self.request()
        self.settle()
        self.assertEqual(self.call().retry_at, NOW + 50.0)
        self.assertEqual(self.state().retry_at, NOW + 50.0)

    def test_no_capacity_gives_the_row_up_and_goes_to_the_next_candidate(self) -> None:
        self.configure(blueprint("linux"), blueprint("spare"))
        self.providers["linux"].create = raising(NoCapacity("sold out"))
        self.request()
        self.turn()
        self.assertIs(self.resource(1).status, ResourceStatus.RELEASED)
        self.assertEqual(self.resource(1).reason, "sold out")
        self.settle()
        self.assertEqual(self.resource(2).blueprint, "spare")
        self.assertEqual(self.state("linux").failures, 1)
        self.later(10.0)
        self.assertEqual(self.lease().resource, 2)

    def test_no_capacity_alone_backs_off_and_the_lease_waits(self) -> None:
        self.providers["linux"].create = raising(NoCapacity("sold out"))
        self.request()
        self.settle()
        (reason,) = self.controller.plan.reasons[1]
        self.assertEqual(
            reason,
            BackingOff(blueprint="linux", failures=1, retry_at=NOW + 1.0, error="sold out"),
        )
        self.assertIs(self.lease().status, LeaseStatus.PENDING)

    def test_misconfigured_stops_the_blueprint_and_the_lease_keeps_waiting(self) -> None:
        self.providers["linux"].create = raising(Misconfigured("no such image"))
        self.configure(blueprint(limit=5))
        self.request()
        self.turn()
        self.assertIs(self.resource(1).status, ResourceStatus.BROKEN)
        self.settle()
        self.assertEqual(len(self.recorded(events.ResourceRequested)), 1)
        self.assertIs(self.lease().status, LeaseStatus.PENDING)
        (reason,) = self.controller.plan.reasons[1]
        self.assertEqual(
            reason,
            IsMisconfigured(blueprint="linux", error="no such image", retry_at=NOW + 600.0),
        )

    def test_a_rejected_request_breaks_the_lease_it_was_for_and_nothing_else(self) -> None:
        self.configure(blueprint(limit=5))
        self.providers["linux"].create = raising(RequestRejected("no such branch"))
        self.request()
        self.turn()
        self.assertIs(self.resource(1).status, ResourceStatus.BROKEN)
        self.assertIs(self.lease().status, LeaseStatus.BROKEN)
        self.assertEqual(self.lease().reason, "no such branch")
        self.assertEqual(self.state().failures, 0)
        self.assertEqual([each.id for each in self.changes], [1], "its holder is told at once")

    def test_a_rejected_warm_resource_counts_as_a_failed_launch(self) -> None:
        self.configure(blueprint(min_ready=1))
        self.providers["linux"].create = raising(RequestRejected("too large"))
        self.turn()
        self.assertIs(self.resource(1).status, ResourceStatus.BROKEN)
        self.assertEqual(self.state().failures, 1)

    def test_a_rejection_leaves_alone_a_lease_that_was_served_meanwhile(self) -> None:
        self.configure(blueprint(limit=2))
        answer: Deferred[None] = Deferred()

        async def create(*arguments: object) -> None:
            await answer

        self.providers["linux"].create = create
        lease = self.request()
        self.turn()
        self.now(self.store.move_lease(lease, LeaseEvent.RELEASE, events.LeaseReleased(reason="")))
        answer.errback(RequestRejected("no such branch"))
        self.assertIs(self.lease().status, LeaseStatus.RELEASED)
        self.assertIs(self.resource(1).status, ResourceStatus.BROKEN)
        self.assertEqual(self.state().failures, 1)

    def test_a_bug_is_logged_and_breaks_only_its_row(self) -> None:
        self.configure(blueprint("linux"), blueprint("spare"))
        self.providers["linux"].create = raising(ZeroDivisionError("oh"))
        self.request("worker/1", blueprints=("linux",))
        self.request("worker/2", blueprints=("spare",))
        self.turn()
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        self.assertIs(self.resource(1).status, ResourceStatus.BROKEN)
        self.assertIn("ZeroDivisionError", self.resource(1).reason)
        self.assertIs(self.lease(1).status, LeaseStatus.PENDING)
        self.assertEqual(self.state().failures, 1)
        self.settle()
        self.later(0.5)
        self.assertIs(self.lease(2).status, LeaseStatus.ACTIVE)

    def test_a_move_that_is_forbidden_is_logged_and_changes_nothing(self) -> None:
        self.providers["linux"].create = raising(IllegalMove("GONE while ACTIVE"))
        self.request()
        self.turn()
        self.assertEqual(len(self.flushLoggedErrors(IllegalMove)), 1)
        self.assertEqual(self.statuses()[0], [P])
        self.assertFalse(self.call().running)

    def test_one_that_hangs_is_bounded_and_asked_again(self) -> None:
        good = self.providers["linux"].create
        self.providers["linux"].create = hanging()
        self.request()
        self.turn()
        self.assertTrue(self.call().running)
        self.clock.advance(LIMIT_SECONDS - 1)
        self.assertTrue(self.call().running)
        self.clock.advance(1)
        self.assertFalse(self.call().running)
        self.assertEqual(self.call().error, "the provider gave no answer within 300 s")
        self.assertEqual(self.statuses()[0], [P])
        self.providers["linux"].create = good
        self.settle()
        self.later(2.0)
        self.later(10.0)
        self.assertIs(self.lease().status, LeaseStatus.ACTIVE)

    def test_a_slow_success_is_as_old_as_its_beginning(self) -> None:
        """A listing from meanwhile may show the host, and then nothing is to be waited for."""
        self.script(latency_seconds={"create": 30.0})
        self.request()
        self.turn()
        self.clock.advance(30.0)
        self.assertEqual(self.call(), Call(succeeded_at=NOW))

    def test_it_is_not_asked_twice_at_once(self) -> None:
        asked = []

        async def create(token: str, spec: object) -> None:
            asked.append(token)
            await Deferred()

        self.providers["linux"].create = create
        self.request()
        self.settle()
        self.calls.create(self.resource())
        self.assertEqual(asked, ["token-1"])


class TestInventory(CoreTestCase):
    def test_hosts_are_known_by_their_tokens_as_of_when_they_were_asked_for(self) -> None:
        self.cloud.create("linux", "a", HostSpec())
        self.cloud.make_twin("a")
        self.cloud.create("linux", "b", HostSpec())
        self.script(latency_seconds={"inventory": 5.0})
        self.calls.list_hosts("linux")
        self.assertEqual(self.calls.inventories(), {})
        self.clock.advance(5.0)
        inventory = self.calls.inventories()["linux"]
        self.assertEqual(inventory.asked_at, NOW)
        self.assertEqual(
            {name: len(each) for name, each in inventory.hosts.items()}, {"a": 2, "b": 1}
        )
        self.assertTrue(inventory.known)
        self.assertEqual(self.calls.snapshot()[LIST], Call(succeeded_at=NOW))

    def test_what_is_told_of_one_that_has_ended_makes_it_no_host(self) -> None:
        living, ended = Observed(token="a"), Observed(token="b", has_ended=True)

        async def inventory() -> list[Observed]:
            return [living, ended]

        self.providers["linux"].inventory = inventory
        self.calls.list_hosts("linux")
        found = self.calls.inventories()["linux"]
        self.assertEqual((found.hosts, found.ended), ({"a": (living,)}, {"b": (ended,)}))

    def test_one_that_fails_makes_the_hosts_unknown_and_keeps_the_last_ones(self) -> None:
        self.cloud.create("linux", "a", HostSpec())
        self.calls.list_hosts("linux")
        for error in (RetryLater("throttled"), ValueError("oh")):
            self.providers["linux"].inventory = raising(error)
            self.clock.advance(9.0)
            self.calls.list_hosts("linux")
            inventory = self.calls.inventories()["linux"]
            self.assertFalse(inventory.known)
            self.assertEqual(inventory.asked_at, NOW)
            self.assertEqual(set(inventory.hosts), {"a"})
        self.assertEqual(len(self.flushLoggedErrors(ValueError)), 1)
        self.assertEqual(self.calls.snapshot()[LIST].failures, 2)

    def test_one_that_fails_at_first_is_unknown_too(self) -> None:
        self.providers["linux"].inventory = raising(RetryLater("throttled"))
        self.calls.list_hosts("linux")
        inventory = self.calls.inventories()["linux"]
        self.assertEqual((inventory.error, inventory.asked_at), ("throttled", float("-inf")))

    def test_the_next_success_makes_them_known_again(self) -> None:
        self.script(Failure(verb="inventory", times=1))
        self.calls.list_hosts("linux")
        self.calls.list_hosts("linux")
        self.assertTrue(self.calls.inventories()["linux"].known)

    def test_one_that_fails_or_hangs_leaves_the_other_blueprints_alone(self) -> None:
        for verb in (raising(RetryLater("down")), hanging()):
            self.setUp()
            self.configure(blueprint("bad"), blueprint("good"))
            self.providers["bad"].inventory = verb
            self.cloud.create("good", "stray", HostSpec())
            self.cloud.create("bad", "other", HostSpec())
            self.request(blueprints=("good",))
            self.settle()
            self.later(10.0)
            self.assertIs(self.lease().status, LeaseStatus.ACTIVE)
            self.assertEqual(self.cloud.tokens(), ["other", "token-1"], "only strays of good go")

    def test_one_that_hangs_is_bounded(self) -> None:
        self.providers["linux"].inventory = hanging()
        self.calls.list_hosts("linux")
        self.clock.advance(LIMIT_SECONDS)
        self.assertIn("no answer within 300 s", self.calls.inventories()["linux"].error)


class TestDestroy(CoreTestCase):
    def lose_interest(self) -> None:
        """Let a resource come up and be released."""
        self.configure(blueprint(idle_timeout=0.0))
        self.request(until=NOW + 20)
        self.settle()
        self.later(10.0)
        self.assertEqual(self.statuses()[0], [A])

    def test_a_released_host_is_destroyed_and_its_row_closed(self) -> None:
        self.lose_interest()
        self.later(10.0)
        self.assertEqual(self.cloud.living(), 0)
        self.later(10.0)
        self.assertEqual(self.statuses(), ([], []))
        self.assertEqual(self.store.slot_locks, {})

    def test_every_failure_means_again_later(self) -> None:
        for error in (NoCapacity("?"), Misconfigured("?"), RequestRejected("?"), KeyError("?")):
            self.setUp()
            self.lose_interest()
            good = self.providers["linux"].destroy
            self.providers["linux"].destroy = raising(error)
            self.later(10.0)
            self.assertIs(self.resource().status, ResourceStatus.RELEASED)
            self.providers["linux"].destroy = good
            self.later(2.0)
            self.assertEqual(self.cloud.living(), 0)
            self.later(10.0)
            self.assertIs(self.resource().status, ResourceStatus.DESTROYED)
        self.assertEqual(len(self.flushLoggedErrors(KeyError)), 1)

    def test_the_first_second_fourth_and_eighth_failure_are_told(self) -> None:
        self.lose_interest()
        self.providers["linux"].destroy = raising(RetryLater("throttled"))
        for _ in range(12):
            self.later(400.0)
        told = [each.failures for each in self.recorded(events.CallFailed)]
        self.assertEqual(told, [1, 2, 4, 8])

    def test_a_stray_is_destroyed_and_told_of(self) -> None:
        self.cloud.create("linux", "stray", HostSpec())
        self.settle()
        self.assertEqual(self.cloud.living(), 0)
        (told,) = self.recorded(events.StrayDestroyed)
        self.assertEqual((told.token, told.identity), ("stray", ""))

    def test_of_twins_only_the_one_that_the_row_does_not_remember_goes(self) -> None:
        self.request()
        self.settle()
        self.later(10.0)
        self.cloud.make_twin("token-1")
        self.later(60.0)
        self.assertEqual([each.identity for each in self.cloud.hosts()], ["synthetic-1"])
        self.assertEqual(self.statuses(), ([A], [LeaseStatus.ACTIVE]))


class TestPrepare(CoreTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.configure(blueprint(prepares=True))

    def acquire(self, verb=None) -> None:
        if verb is not None:
            self.providers["linux"].prepare = verb
        self.request()
        self.settle()
        self.later(10.0)

    def test_a_prepared_lease_becomes_active_and_its_holder_is_told(self) -> None:
        self.acquire()
        self.assertIs(self.lease().status, LeaseStatus.ACTIVE)
        self.assertEqual(
            [each.status for each in self.changes], [LeaseStatus.ACQUIRED, LeaseStatus.ACTIVE]
        )

    def test_while_it_is_prepared_it_is_not_active(self) -> None:
        self.acquire(hanging())
        self.assertIs(self.lease().status, LeaseStatus.ACQUIRED)

    def test_a_lease_that_was_renewed_meanwhile_becomes_active_all_the_same(self) -> None:
        prepared: Deferred[None] = Deferred()

        async def prepare(*arguments: object) -> None:
            await prepared

        self.acquire(prepare)
        self.now(self.store.renew([1], expires_at=NOW + 900))
        prepared.callback(None)
        self.assertIs(self.lease().status, LeaseStatus.ACTIVE)
        self.assertEqual(self.changes[-1], self.lease())

    def test_a_lease_that_ended_meanwhile_stays_ended(self) -> None:
        prepared: Deferred[None] = Deferred()

        async def prepare(*arguments: object) -> None:
            await prepared

        self.acquire(prepare)
        self.now(
            self.store.move_lease(
                self.lease(), LeaseEvent.RELEASE, events.LeaseReleased(reason="done")
            )
        )
        prepared.callback(None)
        self.assertIs(self.lease().status, LeaseStatus.RELEASED)

    def test_what_was_prepared_elsewhere_does_not_make_a_lease_active(self) -> None:
        """It went back to the pool meanwhile, and has got another resource since."""
        prepared: Deferred[None] = Deferred()

        async def prepare(resource: Resource, lease: object) -> None:
            await (prepared if resource.id == 1 else Deferred())

        self.configure(blueprint(limit=2, prepares=True))
        self.acquire(prepare)
        self.cloud.lose("token-1")
        self.later(60.0)
        self.later(10.0)
        self.assertEqual(self.lease().resource, 2)
        prepared.callback(None)
        self.assertIs(self.lease().status, LeaseStatus.ACQUIRED)

    def test_a_failure_is_tried_again(self) -> None:
        self.script(Failure(verb="prepare", error=HostUnreachable, times=2))
        self.acquire()
        self.assertIs(self.lease().status, LeaseStatus.ACQUIRED)
        self.later(1.0)
        self.later(2.0)
        self.assertIs(self.lease().status, LeaseStatus.ACTIVE)

    def test_five_failures_break_the_lease_with_the_reason(self) -> None:
        self.script(Failure(verb="prepare", message="no space"))
        self.acquire()
        for wait in (1.0, 2.0, 4.0, 8.0):
            self.assertIs(self.lease().status, LeaseStatus.ACQUIRED)
            self.later(wait)
        self.assertEqual(self.lease().reason, "it could not be prepared: no space")
        self.later(0.0)
        self.assertIs(self.lease().status, LeaseStatus.DESTROYED)

    def test_a_rejection_breaks_the_lease_at_once(self) -> None:
        self.acquire(raising(RequestRejected("no such branch")))
        self.assertEqual(self.lease().reason, "no such branch")
        self.assertIn(LeaseStatus.BROKEN, [each.status for each in self.changes])
        self.assertEqual(self.statuses()[0], [A])

    def test_a_bug_is_logged_and_breaks_only_its_lease(self) -> None:
        self.acquire(raising(ZeroDivisionError("oh")))
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        self.assertIn("ZeroDivisionError", self.lease().reason)
        self.assertEqual(self.statuses()[0], [A])


class TestVacate(CoreTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.configure(blueprint(vacates=True))
        self.request(until=NOW + 20)
        self.settle()
        self.later(10.0)
        host = self.providers["linux"].connect(self.resource())
        self.now(host.start(["worker"], tag=self.lease().tag))

    def test_what_the_lease_left_is_ended_before_its_slot_is_free(self) -> None:
        self.later(10.0)
        self.assertEqual(self.cloud.running(self.lease().tag), frozenset())
        self.assertIs(self.lease().status, LeaseStatus.DESTROYED)
        self.assertIs(self.changes[-1].status, LeaseStatus.DESTROYED)
        self.assertNotIn("resource(1).lease(0)", self.store.slot_locks)

    def test_while_it_can_not_be_ended_the_slot_stays_taken(self) -> None:
        self.script(Failure(verb="vacate", times=1))
        self.request("worker/2")
        self.later(10.0)
        self.assertIs(self.lease(1).status, LeaseStatus.RELEASED)
        self.assertIs(self.lease(2).status, LeaseStatus.PENDING)
        self.later(1.0)
        self.assertIs(self.lease(2).status, LeaseStatus.ACTIVE)

    def test_after_five_failures_the_resource_is_given_up(self) -> None:
        self.script(Failure(verb="vacate", message="it hangs"))
        self.later(10.0)
        for wait in (1.0, 2.0, 4.0, 8.0):
            self.assertIs(self.resource().status, A)
            self.later(wait)
        (told,) = self.recorded(events.ResourceBroken)
        self.assertEqual(told.reason, "what lease 1 left on it could not be ended: it hangs")
        self.later(10.0)
        self.assertEqual(self.cloud.living(), 0)
        self.assertIs(self.lease().status, LeaseStatus.DESTROYED)


class TestAllCalls(CoreTestCase):
    def test_each_end_of_a_call_wakes_the_loop(self) -> None:
        self.calls.list_hosts("linux")
        self.assertEqual(self.wakes, 1)
        self.providers["linux"].inventory = raising(RetryLater("down"))
        self.calls.list_hosts("linux")
        self.assertEqual(self.wakes, 2)

    def test_a_blueprint_without_a_provider_is_not_called(self) -> None:
        self.calls.list_hosts("gone")
        self.assertEqual(dict(self.calls.snapshot()), {})

    def test_calls_about_what_is_no_more_are_forgotten_and_listed_strays_are_not(self) -> None:
        self.cloud.create("linux", "stray", HostSpec())
        self.cloud.create("linux", "token-1", HostSpec())
        self.calls.list_hosts("linux")
        for token in ("stray", "gone"):
            self.calls.destroy_stray("linux", token, "", "nobody's")
        self.calls.forget_all_but((), ())
        kept = {key.subject for key in self.calls.snapshot()}
        self.assertEqual(kept, {"", "stray"})

    def test_calls_are_remembered_while_they_may_have_to_be_made_again(self) -> None:
        self.configure(blueprint(limit=3, prepares=True, vacates=True))
        self.providers["linux"].prepare = raising(RetryLater("busy"))
        self.script(boot_seconds=60.0)
        self.request("worker/1", until=NOW + 100)
        self.settle()
        self.assertEqual(self.remembered(), {"create"})
        self.later(61.0)
        self.settle()
        self.assertEqual(self.remembered(), {"prepare"}, "the host is there")

        del self.providers["linux"].prepare
        self.later(5.0)
        self.turn()
        self.assertEqual(self.remembered(), set(), "the lease is active")

        self.providers["linux"].vacate = raising(RetryLater("busy"))
        self.later(50.0)
        self.assertEqual(self.remembered(), {"vacate"})

    def remembered(self) -> set[str]:
        self.calls.forget_all_but(tuple(self.resources()), tuple(self.leases_now()))
        return {key.verb for key in self.calls.snapshot()} - {"inventory"}

    def leases_now(self) -> Sequence[Lease]:
        return self.now(self.store.rows()).leases

    def test_a_master_that_stops_breaks_nothing(self) -> None:
        """What it began is found by the next master as work not done yet."""
        self.configure(blueprint(limit=3, prepares=True, vacates=True))
        self.request("worker/1", until=NOW + 20)
        self.settle()
        self.providers["linux"].vacate = hanging()
        self.later(10.0)
        self.later(20.0)
        self.providers["linux"].prepare = hanging()
        self.providers["linux"].inventory = hanging()
        self.providers["linux"].create = hanging()
        self.request("worker/2")
        self.turn()
        self.calls.list_hosts("linux")
        running = {key.verb for key, call in self.calls.snapshot().items() if call.running}
        self.assertEqual(running, {"vacate", "create", "inventory"})
        before = self.statuses()
        told = self.recorded(events.Event)
        self.calls.abandon()
        self.assertEqual(self.statuses(), before)
        self.assertEqual(self.recorded(events.Event), told)
        self.assertTrue(all(not call.running for call in self.calls.snapshot().values()))
        self.assertTrue(self.calls.inventories()["linux"].known)

    def test_nor_does_it_break_a_lease_that_is_being_prepared(self) -> None:
        self.configure(blueprint(prepares=True))
        self.providers["linux"].prepare = hanging()
        self.request()
        self.settle()
        self.later(10.0)
        self.calls.abandon()
        self.assertIs(self.lease().status, LeaseStatus.ACQUIRED)

    def test_a_bug_of_ours_is_logged_and_the_call_made_again_later(self) -> None:
        async def refuse(*arguments: object, **fields: object) -> None:
            raise RuntimeError("the database is away")

        self.patch(self.store, "record", refuse)
        self.calls.destroy_stray("linux", "stray", "", "nobody's")
        self.assertEqual(len(self.flushLoggedErrors(RuntimeError)), 1)
        call = self.calls.snapshot()[CallKey("destroy-stray", "linux", "stray")]
        self.assertEqual((call.running, call.failures), (False, 1))
