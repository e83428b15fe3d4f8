"""What becomes of each outcome of parking and of waking a host, on one master and on two."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred

from buildbot_drydock import events
from buildbot_drydock.actions import SetPower
from buildbot_drydock.calls import CallLog
from buildbot_drydock.errors import Misconfigured, NoCapacity, RequestRejected, RetryLater
from buildbot_drydock.latent.synthetic import Failure, Stage
from buildbot_drydock.lifecycle import LeaseEvent
from buildbot_drydock.model import CallKey, Lease, LeaseStatus, Power, ResourceStatus
from buildbot_drydock.provider_calls import ProviderCalls
from buildbot_drydock.testing.builders import NOW, blueprint
from tests.unit.core import LIMIT_SECONDS, CoreTestCase, raising

A, B = ResourceStatus.ACTIVE, ResourceStatus.BROKEN
PARK, WAKE = CallKey("park", "linux", "token-1"), CallKey("wake", "linux", "token-1")
IDLE = 10.0


class ParkingTestCase(CoreTestCase):
    limit = 1

    def setUp(self) -> None:
        super().setUp()
        self.configure(
            blueprint(
                limit=self.limit,
                parks=True,
                idle_timeout=IDLE,
                poll_interval=1.0,
                vacates=True,
                boot_timeout=100.0,
            )
        )

    def passing(self, seconds: float) -> None:
        for _ in range(round(seconds)):
            self.later(1.0)

    def served(self) -> Lease:
        """Return a lease that has a running host."""
        lease = self.request()
        self.settle()
        self.passing(10)
        return self.lease(lease.id)

    def ended(self, lease: Lease) -> None:
        done = events.LeaseReleased(reason="done")
        self.now(self.store.move_lease(lease, LeaseEvent.RELEASE, done))
        self.settle()

    def parked(self) -> None:
        """Have one parked host."""
        lease = self.served()
        self.assertIs(lease.status, LeaseStatus.ACTIVE)
        self.ended(lease)
        self.passing(IDLE + 15)
        self.assertIs(self.resource().power, Power.PARKED)

    def powers(self) -> list[str]:
        return [each.power for each in self.recorded(events.ResourcePowerChanged)]  # type: ignore[attr-defined]

    def asked(self, verb: str) -> list[tuple[Any, ...]]:
        """Let a verb of the provider tell how it was called."""
        told: list[tuple[Any, ...]] = []
        real = getattr(self.providers["linux"], verb)

        async def telling(*arguments: Any) -> None:
            told.append(arguments)
            await real(*arguments)

        setattr(self.providers["linux"], verb, telling)
        return told


class TestTheWholeWay(ParkingTestCase):
    def test_an_idle_host_is_parked_and_the_same_one_is_woken_for_the_next_lease(self) -> None:
        self.parked()
        before = self.resource()
        self.assertEqual((self.cloud.living(), self.cloud.parked()), (1, 1))
        lease = self.request("worker/linux-002")
        self.settle()
        self.assertIs(self.resource().power, Power.WAKING)
        self.passing(10)
        self.assertIs(self.lease(lease.id).status, LeaseStatus.ACTIVE)
        self.assertEqual(self.resource().identity, before.identity)
        self.assertEqual((self.cloud.living(), self.cloud.parked()), (1, 0))
        self.assertEqual(self.powers(), ["parking", "parked", "waking", "running"])
        self.assertGreater(self.resource().parked_seconds, 0.0)

    def test_the_identity_that_the_row_remembers_is_what_is_parked_and_woken(self) -> None:
        parked, woken = self.asked("park"), self.asked("wake")
        self.parked()
        self.request("worker/linux-002")
        self.settle()
        identity = self.resource().identity
        self.assertEqual((parked, woken), ([("token-1", identity)], [("token-1", identity)]))

    def test_what_a_lease_still_holds_a_slot_of_is_not_parked(self) -> None:
        self.script(Failure(verb="vacate"))
        lease = self.served()
        self.ended(lease)
        self.passing(IDLE + 5)
        self.assertIs(self.resource().power, Power.RUNNING)
        self.assertEqual(self.powers(), [])

    def test_a_master_that_dies_before_it_has_told_the_provider_leaves_that_to_the_next(
        self,
    ) -> None:
        self.served()
        self.ended(self.lease())
        row = self.resource()
        record = events.ResourcePowerChanged(power="parking", reason="it was idle")
        self.now(self.store.set_power(row, Power.PARKING, record))
        self.passing(15)
        self.assertIs(self.resource().power, Power.PARKED)


class TestParking(ParkingTestCase):
    def test_a_failure_is_no_more_than_again_later(self) -> None:
        self.script(Failure(verb="park", error=RetryLater, times=2))
        self.parked()
        self.assertEqual(len(self.recorded(events.CallFailed)), 2)

    def test_a_lost_reply_does_no_harm(self) -> None:
        self.script(Failure(verb="park", stage=Stage.AFTER, times=1))
        self.parked()

    def test_what_can_never_be_parked_is_released_with_the_reason(self) -> None:
        self.script(Failure(verb="park", error=RequestRejected, message="it is a spot instance"))
        self.ended(self.served())
        self.passing(IDLE + 5)
        self.assertEqual(self.cloud.living(), 0)
        (released,) = self.recorded(events.ResourceReleased)
        self.assertEqual(
            released, events.ResourceReleased(reason="it can't be parked: it is a spot instance")
        )

    def test_what_could_not_be_parked_often_is_released(self) -> None:
        self.script(Failure(verb="park", error=Misconfigured, message="not allowed"))
        self.ended(self.served())
        self.passing(IDLE + 90)
        self.assertEqual(self.cloud.living(), 0)
        (released,) = self.recorded(events.ResourceReleased)
        self.assertIn("it could not be parked: not allowed", str(released))

    def test_a_bug_of_the_provider_is_logged_and_holds_nothing_up(self) -> None:
        self.providers["linux"].park = raising(ZeroDivisionError("oops"))
        self.ended(self.served())
        self.passing(IDLE + 90)
        self.assertEqual(self.cloud.living(), 0)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 5)


class TestWaking(ParkingTestCase):
    limit = 2

    def test_without_capacity_it_stays_parked_and_the_lease_gets_a_new_host(self) -> None:
        self.parked()
        self.script(Failure(verb="wake", error=NoCapacity, message="there is none"))
        lease = self.request("worker/linux-002")
        self.settle()
        self.passing(10)
        self.assertIs(self.lease(lease.id).status, LeaseStatus.ACTIVE)
        self.assertEqual(self.lease(lease.id).resource, 2)
        self.assertIs(self.resource(1).power, Power.PARKED)
        self.assertEqual(self.powers(), ["parking", "parked", "waking", "parked"])
        self.assertEqual(self.state().failures, 0, "launches go on")

    def test_it_is_tried_again_after_a_while(self) -> None:
        self.configure(blueprint(parks=True, idle_timeout=IDLE, poll_interval=1.0, vacates=True))
        self.parked()
        self.script(Failure(verb="wake", error=NoCapacity, times=1), capacity=0)
        lease = self.request("worker/linux-002", requires={})
        self.settle()
        self.script()
        self.passing(20)
        self.assertIs(self.lease(lease.id).status, LeaseStatus.ACTIVE)

    def test_one_that_must_not_be_woken_stops_the_blueprint_and_stays_parked(self) -> None:
        self.parked()
        self.script(Failure(verb="wake", error=Misconfigured, message="not allowed"))
        self.request("worker/linux-002")
        self.settle()
        self.passing(10)
        self.assertIs(self.resource().power, Power.PARKED)
        self.assertTrue(self.state().misconfigured)
        self.assertEqual(self.cloud.living(), 1)

    def test_one_that_can_never_be_woken_breaks(self) -> None:
        self.parked()
        self.script(Failure(verb="wake", error=RequestRejected, message="it is damaged"))
        lease = self.request("worker/linux-002")
        self.settle()
        self.passing(15)
        self.assertEqual(
            [e.reason for e in self.recorded(events.ResourceBroken)], ["it is damaged"]
        )  # type: ignore[attr-defined]
        self.assertEqual(self.lease(lease.id).resource, 2)

    def test_one_that_does_not_come_up_breaks_in_time(self) -> None:
        self.parked()
        self.script(boot_seconds=1_000.0)
        self.request("worker/linux-002")
        self.settle()
        self.passing(105)
        (broken,) = self.recorded(events.ResourceBroken)
        self.assertIn("took over 100 s to be woken", str(broken))

    def test_a_lost_reply_does_no_harm(self) -> None:
        self.parked()
        self.script(Failure(verb="wake", stage=Stage.AFTER, times=1))
        lease = self.request("worker/linux-002")
        self.settle()
        self.passing(10)
        self.assertEqual(self.lease(lease.id).resource, 1)

    def test_a_reply_of_no_capacity_to_a_call_that_woke_it_all_the_same_does_no_harm(self) -> None:
        """As when two masters call: then it runs, and nothing wishes for that."""
        self.parked()
        self.script(Failure(verb="wake", error=NoCapacity, stage=Stage.AFTER, times=1))
        self.request("worker/linux-002")
        self.settle()
        self.passing(90)
        self.assertIs(self.resource(1).power, Power.PARKED)
        self.assertEqual(self.cloud.parked(), 1)


class TestCallsThatComeLate(ParkingTestCase):
    """A call of a master that was slow, or stopped, while others went on."""

    def slow_master(self) -> ProviderCalls:
        return ProviderCalls(
            self.store,
            self.providers,
            CallLog(lambda: 0.0),
            self.launches,
            clock=self.clock,
            wake=lambda: None,
            lease_changed=lambda lease: None,
            limit_seconds=LIMIT_SECONDS,
        )

    def test_to_park_what_was_woken_since_is_not_even_called(self) -> None:
        self.ended(self.served())
        self.passing(IDLE)
        wished = self.resource()
        self.assertIs(wished.power, Power.PARKING)
        self.passing(15)
        lease = self.request("worker/linux-002")
        self.settle()
        self.passing(10)
        told = self.asked("park")
        self.slow_master().park_host(wished)
        self.passing(10)
        self.assertEqual(told, [])
        self.assertIs(self.lease(lease.id).status, LeaseStatus.ACTIVE)

    def test_so_it_is_if_it_was_parked_and_woken_and_is_being_parked_again(self) -> None:
        self.ended(self.served())
        self.passing(IDLE)
        wished = self.resource()
        self.passing(15)
        self.ended(self.leased_again())
        self.passing(IDLE)
        self.assertIs(self.resource().power, Power.PARKING)
        told = self.asked("park")
        self.slow_master().park_host(wished)
        self.assertEqual(told, [])

    def leased_again(self) -> Lease:
        lease = self.request("worker/linux-002")
        self.settle()
        self.passing(10)
        return self.lease(lease.id)

    def test_one_that_arrives_all_the_same_breaks_the_lease_and_is_no_double_use(self) -> None:
        """It had left its master before, and took its time on the way."""
        self.parked()
        lease = self.leased_again()
        self.cloud.park("token-1")
        self.passing(65)
        self.assertIs(self.lease(lease.id).status, LeaseStatus.DESTROYED)
        self.assertIs(self.resource(1).status, ResourceStatus.DESTROYED)
        self.assertEqual(self.cloud.living(), 0)

    def test_to_wake_what_has_been_parked_again_since_is_not_even_called(self) -> None:
        self.parked()
        lease = self.request("worker/linux-002")
        self.settle()
        wished = self.resource()
        self.passing(10)
        self.ended(self.lease(lease.id))
        self.passing(IDLE + 15)
        told = self.asked("wake")
        self.slow_master().wake_host(wished)
        self.assertEqual((told, self.resource().power), ([], Power.PARKED))

    def test_one_that_arrives_all_the_same_is_parked_again(self) -> None:
        self.parked()
        self.cloud.wake("token-1")
        self.passing(90)
        self.assertIs(self.resource().power, Power.PARKED)
        self.assertEqual(self.cloud.parked(), 1)

    def test_no_host_is_woken_while_a_call_to_park_it_is_under_way_here(self) -> None:
        self.ended(self.served())
        hangs: Deferred[None] = Deferred()
        park = self.providers["linux"].park

        async def stops_and_hangs(token: str, identity: str) -> None:
            await park(token, identity)
            await hangs

        self.providers["linux"].park = stops_and_hangs
        self.passing(IDLE + 15)
        self.assertIs(self.resource().power, Power.PARKED)
        self.request("worker/linux-002")
        self.settle()
        self.passing(10)
        self.assertIs(self.resource().power, Power.PARKED)
        hangs.callback(None)
        self.passing(10)
        self.assertIs(self.resource().power, Power.RUNNING)


class TestMoney(ParkingTestCase):
    def test_of_two_masters_that_saw_the_same_money_left_one_wakes(self) -> None:
        self.parked()
        costly = blueprint(parks=True, max_hourly_cost=1.0, expected_price=1.0)
        self.configure(costly)
        self.change_state(last_error="somebody launched meanwhile")
        parked = self.resource()
        stale = blueprint(parks=True, max_hourly_cost=1.0, expected_price=1.0)
        self.now(self.executor.run([SetPower(parked, Power.WAKING, "a test")], [stale]))
        self.assertIs(self.resource().power, Power.PARKED)
        fresh = [blueprint(parks=True, max_hourly_cost=1.0, state=self.state())]
        self.now(self.executor.run([SetPower(parked, Power.WAKING, "a test")], fresh))
        self.assertIs(self.resource().power, Power.WAKING)

    def test_a_call_is_remembered_while_it_matters_and_forgotten_when_the_host_runs(self) -> None:
        self.parked()
        self.assertIn(PARK, self.calls.snapshot())
        self.request("worker/linux-002")
        self.settle()
        self.assertIn(WAKE, self.calls.snapshot())
        self.passing(10)
        self.assertNotIn(PARK, self.calls.snapshot())
        self.assertNotIn(WAKE, self.calls.snapshot())
        self.assertGreater(self.clock.seconds(), NOW)
