"""That EC2 takes spot instances back, and what instances cost."""

from __future__ import annotations

import json
import threading
from dataclasses import replace
from typing import Any
from unittest import mock

from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.threads import deferToThread
from twisted.logger import capturedLogs, globalLogPublisher

from buildbot_drydock import EC2Pool, Spot
from buildbot_drydock.calls import CallLog
from buildbot_drydock.controller import Controller
from buildbot_drydock.events import LeaseRequested, ResourceGivenNotice
from buildbot_drydock.executor import Executor
from buildbot_drydock.interfaces import HostSpec
from buildbot_drydock.latent.ec2 import interruption_queue
from buildbot_drydock.latent.ec2.interruptions import INTERRUPTION, REBALANCE
from buildbot_drydock.latent.ec2.provider import EC2Provider
from buildbot_drydock.launches import Launches
from buildbot_drydock.model import LeaseRequest, LeaseStatus, Observed, ResourceStatus
from buildbot_drydock.planner import plan
from buildbot_drydock.provider_calls import ProviderCalls
from buildbot_drydock.store.memory import MemoryStore
from tests.ec2 import Instance, faults
from tests.ec2_pools import OTHER, TOKEN, OnEC2

_SECONDS = 60.0  # for what happens in a thread


class OnSpot(OnEC2):
    __test__ = False  # its subclasses are

    def setUp(self) -> None:
        super().setUp()
        self.server.prices.set_spot(0.03125)

    async def woken(self) -> None:
        waiting = self.wakes.get()
        waiting.addTimeout(_SECONDS, reactor)  # type: ignore[arg-type]
        await waiting

    def calls(self, action: str) -> int:
        return int(self.server.inspector.count_calls(action))


class TestPolling(OnSpot):
    __test__ = True

    async def test_a_warning_is_seen_with_the_next_listing_and_last_of_all_at_the_end(self) -> None:
        provider = self.new_provider(spot=Spot())
        observed = await self.ready(provider)
        self.assertEqual((observed.ends_at, observed.end_reason), (None, ""))
        self.server.interrupt(observed.identity)
        warned_at = self.clock.seconds()
        self.pass_time(7)
        for _ in range(2):
            seen = await self.only(provider)
            self.assertEqual(seen.ends_at, warned_at + 120)
            self.assertEqual(seen.end_reason, self.told_of(INTERRUPTION, observed))
            self.assertEqual((seen.health, seen.hourly_price), (observed.health, 0.03125))
        self.pass_time(113)
        (gone,) = await provider.inventory()
        self.assertEqual((gone.token, gone.has_ended), (TOKEN, True))
        self.assertEqual((gone.ends_at, gone.end_reason), (seen.ends_at, seen.end_reason))
        self.assertEqual(await provider.inventory(), [])

    async def test_a_restarted_master_sees_it_too(self) -> None:
        observed = await self.ready(self.new_provider(spot=Spot()))
        self.server.interrupt(observed.identity)
        ends_at = self.clock.seconds() + 120
        self.pass_time(60)
        self.assertEqual((await self.only(self.new_provider(spot=Spot()))).ends_at, ends_at)

    async def test_one_that_was_taken_without_notice_is_told_with_the_cause(self) -> None:
        provider = self.new_provider(spot=Spot())
        observed = await self.ready(provider)
        self.server.interrupt(observed.identity, notice=0, status="instance-terminated-by-price")
        self.server.settle()
        with capturedLogs() as logs:
            (gone,) = await provider.inventory()
        self.assertEqual(
            (gone.token, gone.identity, gone.has_ended), (TOKEN, observed.identity, True)
        )
        self.assertIn("without notice: the spot price rose", gone.end_reason)
        self.assertEqual(gone.hourly_price, 0.03125)
        self.assertIn(gone.identity, [each.get("id") for each in logs])
        self.assertEqual(await provider.inventory(), [], "it is listed once")

    async def test_what_we_terminate_ourselves_is_no_interruption(self) -> None:
        provider = self.new_provider(spot=Spot())
        await self.ready(provider)
        self.server.timings.shutting_down = 30.0
        await provider.destroy(TOKEN)
        await provider.inventory()
        self.pass_time(31)
        self.assertEqual(await provider.inventory(), [])

    async def test_it_costs_one_call_however_many_run_and_none_on_demand(self) -> None:
        provider = self.new_provider(spot=Spot(on_demand_base=1))
        await provider.create(TOKEN, HostSpec(place=0))
        await provider.inventory()
        self.assertEqual(self.calls("DescribeSpotInstanceRequests"), 0)
        for place in range(1, 9):
            await provider.create(f"drydock-{place + 1}", HostSpec(place=place))
        await provider.inventory()
        self.server.inspector.forget_calls()
        await provider.inventory()
        self.assertEqual(self.calls("DescribeSpotInstanceRequests"), 1)

    async def test_others_interruptions_are_none_of_ours(self) -> None:
        other = self.new_provider("other", spot=Spot())
        theirs = await self.ready(other, OTHER)
        provider = self.new_provider(spot=Spot())
        await self.ready(provider)
        self.server.interrupt(theirs.identity)
        self.assertIsNone((await self.only(provider)).ends_at)
        self.assertIsNotNone((await self.only(other)).ends_at)

    async def test_the_listing_counts_if_nothing_is_heard_of_interruptions(self) -> None:
        provider = self.new_provider(spot=Spot())
        observed = await self.ready(provider)
        self.server.permissions.denied = {"DescribeSpotInstanceRequests"}
        self.assertEqual((await self.only(provider)).identity, observed.identity)
        self.server.permissions.denied = set()
        self.server.interrupt(observed.identity)
        self.server.faults.next("DescribeSpotInstanceRequests", faults.throttled())
        await provider.inventory()
        self.pass_time(10)
        self.assertIsNotNone((await self.only(provider)).ends_at)


class Master:
    """The loop of one master. Its turns are run by hand, so that two can plan for the same rows."""

    def __init__(self, test: TestTwoMasters, number: int) -> None:
        self.calls = ProviderCalls(
            test.store,
            {"cloud": test.new_provider(spot=Spot())},
            CallLog(lambda: 0.0),
            launches := Launches(test.store, test.clock, lambda: 0.0),
            clock=test.clock,
            wake=lambda: test.wakes.put(None),
            lease_changed=lambda lease: None,
        )
        self.executor = Executor(
            test.store,
            self.calls,
            launches,
            clock=test.clock,
            new_token=lambda: f"{TOKEN}-{number}",
            lease_changed=lambda lease: None,
        )
        blueprint = EC2Pool("cloud", **test.fields(), spot=Spot()).blueprint(0.0)
        self.controller = Controller(
            test.store,
            self.calls,
            self.executor,
            # Listed in each turn, and kept.
            lambda now, states: [replace(blueprint, sweep_interval=0.0, min_ready=1, limit=1)],
            clock=test.clock,
            master=number,
        )

    @property
    def is_waiting(self) -> bool:
        return any(call.running for call in self.calls.snapshot().values())


class TestTwoMasters(OnSpot):
    """Both list the same instances, and neither knows what the other has recorded."""

    __test__ = True

    def setUp(self) -> None:
        super().setUp()
        self.store = MemoryStore(self.clock)
        self.masters = [Master(self, number) for number in (1, 2)]

    async def turns(self, number: int = 4) -> None:
        """Run turns of both masters, each planned for the rows before the other's."""
        for _ in range(number):
            worlds = [await master.controller.observe() for master in self.masters]
            for master, world in zip(self.masters, worlds, strict=True):
                await master.executor.run(plan(world).actions, world.blueprints)
            for master in self.masters:
                while master.is_waiting:
                    await self.woken()
            self.pass_time(1)

    async def only_instance(self) -> Instance:
        await self.turns()
        (resource,) = (await self.store.rows()).resources
        self.assertIs(resource.status, ResourceStatus.ACTIVE)
        return self.server.instance(resource.identity)

    async def told_in_all(self) -> list[ResourceGivenNotice]:
        """Return what is recorded of the ends of hosts; providers tell of none beside it."""
        self.assertEqual(self.told, [])
        recorded = await self.store.events(limit=1000)
        hosts = [each.event for each in recorded if each.resource is not None]
        return [each for each in hosts if isinstance(each, ResourceGivenNotice)]

    async def test_an_interruption_is_one_record_with_price_and_deadline(self) -> None:
        instance = await self.only_instance()
        self.server.interrupt(instance.id)
        ends_at = self.clock.seconds() + 120
        await self.turns()
        self.pass_time(150)
        await self.turns()
        (event,) = await self.told_in_all()
        self.assertEqual((event.host, event.hourly_price), (instance.id, 0.03125))
        self.assertEqual(event.ends_at, ends_at)
        self.assertEqual(
            event.reason, f"{INTERRUPTION} ({instance.instance_type} in {instance.zone})"
        )

    async def test_one_without_notice_is_one_too_and_its_lease_breaks_for_it(self) -> None:
        wanted = LeaseRequest(owner="person/ana", nonce="nonce")
        record = LeaseRequested(owner="person/ana", requires={})
        lease = await self.store.request_lease(wanted, record)
        instance = await self.only_instance()
        self.pass_time(300)  # so that one that is missing is not just listed late
        self.server.interrupt(instance.id, notice=0, status="instance-terminated-by-price")
        self.server.settle()
        await self.turns()
        (event,) = await self.told_in_all()
        self.assertEqual((event.host, event.hourly_price), (instance.id, 0.03125))
        self.assertIn("without notice: the spot price rose", event.reason)
        ended = await self.store.lease(lease.id)
        assert ended is not None
        reason = f"resource 1 was lost: its host has gone: {event.reason}"
        self.assertEqual((ended.status, ended.reason), (LeaseStatus.BROKEN, reason))


class TestTheQueue(OnSpot):
    __test__ = True

    def setUp(self) -> None:
        super().setUp()
        for name, seconds in (
            ("WAIT_SECONDS", 1),
            ("HIDDEN_SECONDS", 1),
            ("ASIDE_SECONDS", 2.5),
            ("_FIRST_PAUSE_SECONDS", 0.2),
        ):
            patched = mock.patch.object(interruption_queue, name, seconds)
            patched.start()
            self.addCleanup(patched.stop)
        self.server.catalogue.add_queue("warnings")
        self.sqs = self.server.client("sqs")
        self.url = self.sqs.get_queue_url(QueueName="warnings")["QueueUrl"]

    def heeding(self, name: str = "cloud", **spot: Any) -> EC2Provider:
        return self.new_provider(name, spot=Spot(interruption_queue=self.url, **spot))

    async def emptied(self) -> None:
        """Return once no message is left."""

        def wait() -> None:
            names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
            for _ in range(1200):
                told = self.sqs.get_queue_attributes(QueueUrl=self.url, AttributeNames=names)
                if not any(int(told["Attributes"][name]) for name in names):
                    return
                threading.Event().wait(0.05)
            raise AssertionError("messages are left")

        await deferToThread(wait)

    async def test_a_warning_wakes_the_loop_and_is_deleted(self) -> None:
        provider = self.heeding()
        observed = await self.ready(provider)
        # So that nothing but the queue tells of it.
        self.server.permissions.denied = {"DescribeSpotInstanceRequests"}
        self.server.interrupt(observed.identity)
        await self.woken()
        seen = await self.only(provider)
        self.assertEqual(seen.ends_at, self.clock.seconds() + 120)
        self.assertEqual(seen.end_reason, self.told_of(INTERRUPTION, observed))
        await self.emptied()

    async def test_each_pool_hears_its_own_and_leaves_the_others_to_them(self) -> None:
        pools = {name: self.heeding(name) for name in ("one", "two")}
        ready = {name: await self.ready(pool, name) for name, pool in pools.items()}
        self.server.permissions.denied = {"DescribeSpotInstanceRequests"}
        for each in ready.values():
            self.server.interrupt(each.identity)
        for _ in ready:
            await self.woken()
        for pool in pools.values():
            self.assertIsNotNone((await self.only(pool)).ends_at)
        await self.emptied()

    async def test_a_recommendation_to_rebalance_is_heeded_by_choice(self) -> None:
        for rebalance, reason in (("ignore", ""), ("drain", REBALANCE)):
            provider = self.heeding(f"cloud-{rebalance}", rebalance=rebalance)
            observed = await self.ready(provider, rebalance)
            self.server.recommend_rebalance(observed.identity)
            await self.emptied()
            seen = await self.only(provider)
            told = reason and self.told_of(reason, observed)
            self.assertEqual((seen.ends_at, seen.end_reason), (None, told))
            await provider.close()
        self.server.interrupt(observed.identity)
        self.assertIsNotNone((await self.only(provider)).ends_at)

    async def test_what_is_no_warning_or_too_old_is_deleted(self) -> None:
        self.heeding()
        stranger = {
            "detail-type": "EC2 Spot Instance Interruption Warning",
            "detail": {"instance-id": "i-0123456789abcdef0"},
            "time": "2020-01-01T00:00:00Z",
        }
        for body in ("hello", "[]", json.dumps(stranger), json.dumps({"detail-type": "x"})):
            self.sqs.send_message(QueueUrl=self.url, MessageBody=body)
        await self.emptied()
        self.assertEqual(self.told, [])

    async def test_a_queue_that_is_not_there_is_told_of_and_polling_goes_on(self) -> None:
        told: Deferred[dict[str, Any]] = Deferred()
        told.addTimeout(_SECONDS, reactor)  # type: ignore[arg-type]

        def observe(event: dict[str, Any]) -> None:
            if event.get("log_namespace", "").endswith(".InterruptionQueue"):
                reactor.callFromThread(hear, event)  # type: ignore[attr-defined]

        def hear(event: dict[str, Any]) -> None:
            if not told.called:
                told.callback(event)

        globalLogPublisher.addObserver(observe)
        self.addCleanup(globalLogPublisher.removeObserver, observe)
        self.url += "-gone"
        provider = self.heeding()
        values = await told
        self.assertIn("give interruption_queue", str(values["told"]))
        observed = await self.ready(provider)
        self.server.interrupt(observed.identity)
        self.assertIsNotNone((await self.only(provider)).ends_at)

    async def test_it_is_read_in_a_thread_with_a_name_until_the_pool_closes(self) -> None:
        provider = self.heeding("one-of-its-own")
        (thread,) = [
            each
            for each in threading.enumerate()
            if each.name == "drydock-interruptions-one-of-its-own"
        ]
        await provider.close()
        await deferToThread(thread.join, _SECONDS)
        self.assertFalse(thread.is_alive())


class TestPrices(OnSpot):
    __test__ = True

    async def only_price(self, provider: EC2Provider) -> float | None:
        observed: Observed = await self.only(provider)
        return observed.hourly_price

    async def test_a_spot_instance_has_the_price_at_its_start_for_all_its_life(self) -> None:
        self.server.prices.set_spot(0.01, instance_type="m7i.large")
        self.server.prices.set_spot(
            0.09, instance_type="m7i.large", at=self.server.clock.seconds() + 300
        )
        provider = self.new_provider(spot=Spot())
        await provider.create(TOKEN, HostSpec())
        self.assertEqual(await self.only_price(provider), 0.01)
        self.pass_time(1000)
        self.assertEqual(await self.only_price(provider), 0.01)
        self.assertEqual(await self.only_price(self.new_provider(spot=Spot())), 0.01)

    async def test_prices_are_asked_for_once_in_some_minutes(self) -> None:
        provider = self.new_provider(spot=Spot())
        for number in range(5):
            await provider.create(f"drydock-{number}", HostSpec(place=number))
            await provider.inventory()
            self.pass_time(60)
        self.assertEqual(self.calls("DescribeSpotPriceHistory"), 1)
        self.pass_time(600)
        await provider.inventory()
        self.assertEqual(self.calls("DescribeSpotPriceHistory"), 1)
        await provider.create("drydock-9", HostSpec(place=9))
        for each in await provider.inventory():
            self.assertEqual(each.hourly_price, 0.03125)
        self.assertEqual(self.calls("DescribeSpotPriceHistory"), 2)

    async def test_without_prices_there_is_none_and_nothing_fails(self) -> None:
        self.server.permissions.denied = {"DescribeSpotPriceHistory"}
        provider = self.new_provider(spot=Spot())
        await provider.create(TOKEN, HostSpec())
        self.assertIsNone(await self.only_price(provider))
        await provider.inventory()
        self.assertEqual(self.calls("DescribeSpotPriceHistory"), 1)
        self.server.permissions.denied = set()
        self.pass_time(601)
        self.assertEqual(await self.only_price(provider), 0.03125)

    async def test_an_on_demand_instance_has_the_price_of_the_table(self) -> None:
        provider = self.new_provider(prices={"m7i.large": 0.1008})
        await provider.create(TOKEN, HostSpec())
        self.assertEqual(await self.only_price(provider), 0.1008)
        self.assertEqual(self.calls("DescribeSpotPriceHistory"), 0)

    async def test_the_price_to_be_expected_is_that_of_the_dearest_candidate(self) -> None:
        table = {"m7i.large": 0.1008, "c7i.large": 0.0893}
        for fields, expected in (
            ({"prices": table}, 0.1008),
            ({"prices": {"m7i.large": 0.1008}}, None),
            ({"spot": Spot()}, None),
            ({"spot": Spot(on_demand_fallback=False, max_price=0.05)}, 0.05),
            ({"spot": Spot(max_price=0.05), "prices": table}, 0.1008),
            ({"spot": Spot(on_demand_fallback=False), "prices": table}, 0.1008),
        ):
            provider = self.new_provider(**fields)
            self.assertEqual(provider.expected_price(), expected, fields)
        await provider.create(TOKEN, HostSpec())
        await provider.inventory()
        self.assertEqual(provider.expected_price(), 0.03125)
