"""Instances of EC2 that are stopped or hibernated, and started again, by one master's provider."""

from __future__ import annotations

import json
from typing import Any

from buildbot_drydock import Spot, Volume
from buildbot_drydock.abilities import Parks
from buildbot_drydock.errors import (
    HostUnreachable,
    Misconfigured,
    NoCapacity,
    RequestRejected,
    RetryLater,
)
from buildbot_drydock.interfaces import HostSpec
from buildbot_drydock.latent.ec2.provider import EC2Provider
from buildbot_drydock.model import Health, Observed
from buildbot_drydock.testing.provider_contract import a_lease, the_resource
from tests.ec2 import faults
from tests.ec2_pools import OTHER, TOKEN, OnEC2


class Parking(OnEC2):
    options: dict[str, Any] = {"park": "stop"}

    def setUp(self) -> None:
        super().setUp()
        self.server.timings.stopping = 20.0
        self.provider = self.new_provider(**self.options)

    async def parked(self, provider: EC2Provider | None = None) -> Observed:
        provider = provider or self.provider
        observed = await self.ready(provider)
        await provider.park(TOKEN, observed.identity)
        self.pass_time(20)
        seen = await self.only(provider)
        self.assertIs(seen.health, Health.PARKED)
        return seen

    async def woken(self, provider: EC2Provider | None = None) -> Observed:
        provider = provider or self.provider
        for _ in range(3):
            self.pass_time(10)
            await provider.inventory()
        return await self.only(provider)

    def last(self, action: str) -> str:
        return str(self.server.inspector.calls_of(action)[-1].body)


class TestStopping(Parking):
    async def test_the_states_on_the_way_are_told_of(self) -> None:
        self.assertIsInstance(self.provider, Parks)
        self.server.timings.pending = 30.0
        await self.provider.create(TOKEN, HostSpec())
        self.pass_time(30)
        seen = await self.only(self.provider)
        self.assertTrue(seen.parkable)
        await self.provider.park(TOKEN, seen.identity)
        stopping = await self.only(self.provider)
        self.assertIs(stopping.health, Health.PARKING)
        self.assertIn("is stopping (Client.UserInitiatedShutdown", stopping.reason)
        self.pass_time(20)
        self.assertIs((await self.only(self.provider)).health, Health.PARKED)
        await self.provider.wake(TOKEN, seen.identity)
        starting = await self.only(self.provider)
        self.assertEqual(
            (starting.health, starting.reason), (Health.STARTING, f"{seen.identity} is pending")
        )

    async def test_it_stops_and_does_not_hibernate(self) -> None:
        await self.parked()
        self.assertNotIn("Hibernate=", self.last("StopInstances"))
        self.assertNotIn("HibernationOptions", json.dumps(self.living()[0].request))

    async def test_a_stopped_instance_is_not_connected_to(self) -> None:
        observed = await self.parked()
        self.assertFalse(self.provider._kept)
        host = self.provider.connect(the_resource(observed))
        with self.assertRaises(HostUnreachable):
            await host.run(["true"], timeout=5)

    async def test_nor_is_one_that_another_master_has_stopped(self) -> None:
        observed = await self.ready(self.provider)
        self.assertTrue(self.provider._kept)
        await self.new_provider(**self.options).inventory()
        self.server.client().stop_instances(InstanceIds=[observed.identity])
        self.assertIs((await self.only(self.provider)).health, Health.PARKING)
        self.assertFalse(self.provider._kept)

    async def test_a_woken_one_is_reached_where_it_is_now(self) -> None:
        provider = self.new_provider(park="stop", reach="public")
        before = await self.parked(provider)
        self.assertEqual(before.address, "")
        number = before.identity
        await provider.wake(TOKEN, number)
        self.server.instance(number).public_ip = "203.0.113.77"
        seen = await self.woken(provider)
        self.assertEqual((seen.health, seen.address), (Health.READY, "203.0.113.77"))

    async def test_another_master_that_never_saw_it_stopped_begins_anew_with_it(self) -> None:
        other = self.new_provider(**self.options)
        await self.ready(self.provider)
        for _ in range(3):
            self.pass_time(1)
            await other.inventory()
        before = await self.only(other)
        self.assertIs(before.health, Health.READY)
        await self.provider.park(TOKEN, before.identity)
        self.server.advance(20)
        self.machines[before.identity].restart()
        await self.provider.inventory()
        await self.provider.wake(TOKEN, before.identity)
        self.server.advance(1)
        self.unreachable.add(before.identity)  # it is still booting
        starting = await self.only(other)
        self.assertIs(starting.health, Health.STARTING)
        self.unreachable.clear()
        self.assertIs((await self.woken(other)).health, Health.READY)

    async def test_one_that_does_not_come_up_again_is_given_up_in_its_time(self) -> None:
        provider = self.new_provider(park="stop", boot_timeout=100.0)
        observed = await self.parked(provider)
        self.unreachable.add(observed.identity)
        await provider.wake(TOKEN, observed.identity)
        self.pass_time(1)
        self.assertIs((await self.only(provider)).health, Health.STARTING)
        self.pass_time(91)
        seen = await self.only(provider)
        self.assertIs(seen.health, Health.FAILING)
        self.assertIn("did not become usable within", seen.reason)

    async def test_spot_instances_are_not_parkable(self) -> None:
        provider = self.new_provider("spot", park="stop", spot=Spot())
        observed = await self.ready(provider)
        self.assertFalse(observed.parkable)
        error = await self.error_of(provider.park(TOKEN, observed.identity))
        self.assertIsInstance(error, RequestRejected)
        self.assertIn("one-time Spot Instance request", str(error))

    async def test_on_demand_ones_of_such_a_pool_are(self) -> None:
        provider = self.new_provider("mixed", park="stop", spot=Spot(on_demand_base=1))
        self.assertTrue((await self.ready(provider)).parkable)

    async def test_without_the_permission_it_is_rejected_with_the_remedy(self) -> None:
        observed = await self.ready(self.provider)
        text = "You are not authorized to perform this operation."
        self.server.faults.next("StopInstances", faults.error("UnauthorizedOperation", text))
        error = await self.error_of(self.provider.park(TOKEN, observed.identity))
        self.assertIsInstance(error, RequestRejected)
        self.assertIn("ec2:StopInstances", str(error))

    async def test_expired_credentials_are_waited_for(self) -> None:
        observed = await self.ready(self.provider)
        self.server.faults.next("StopInstances", faults.request_expired())
        error = await self.error_of(self.provider.park(TOKEN, observed.identity))
        self.assertIsInstance(error, Misconfigured)

    async def test_what_is_starting_is_stopped_later_and_what_is_stopping_started_later(
        self,
    ) -> None:
        self.server.timings.pending = 30.0
        await self.provider.create(TOKEN, HostSpec())
        number = (await self.only(self.provider)).identity
        error = await self.error_of(self.provider.park(TOKEN, number))
        self.assertIsInstance(error, RetryLater)
        self.pass_time(30)
        await self.provider.inventory()
        await self.provider.park(TOKEN, number)
        error = await self.error_of(self.provider.wake(TOKEN, number))
        self.assertIsInstance(error, RetryLater)

    async def test_a_call_to_stop_that_comes_late_ends_what_runs_and_the_listing_says_so(
        self,
    ) -> None:
        """It was sent long ago; nobody can call it back. Then the lease breaks, and no more."""
        observed = await self.parked()
        await self.provider.wake(TOKEN, observed.identity)
        resource = the_resource(await self.woken())
        lease = a_lease(0, resource)
        await self.provider.connect(resource).start(["sleep", "600"], tag=lease.tag)
        self.server.client().stop_instances(InstanceIds=[observed.identity])
        seen = await self.only(self.provider)
        self.assertIs(seen.health, Health.PARKING)
        self.pass_time(20)
        await self.provider.inventory()
        await self.provider.vacate(resource, lease)  # all of it has ended with the instance

    async def test_a_parked_instance_is_terminated_with_its_volumes(self) -> None:
        await self.parked()
        await self.provider.destroy(TOKEN)
        self.pass_time(1)
        self.assertEqual(await self.provider.inventory(), [])
        self.assertEqual((self.living(), self.server.inspector.orphan_volumes()), ([], []))


class TestCapacity(Parking):
    async def test_without_capacity_its_kind_is_left_out_where_it_is_and_nowhere_else(self) -> None:
        observed = await self.parked()
        instance = self.server.instance(observed.identity)
        self.server.capacity.set(0, instance_type=instance.instance_type, zone=instance.zone)
        error = await self.error_of(self.provider.wake(TOKEN, observed.identity))
        self.assertIsInstance(error, NoCapacity)
        self.assertIn("InsufficientInstanceCapacity", str(error))
        asked = len(self.server.inspector.calls_of("StartInstances"))
        error = await self.error_of(self.provider.wake(TOKEN, observed.identity))
        self.assertIsInstance(error, NoCapacity)
        self.assertEqual(len(self.server.inspector.calls_of("StartInstances")), asked)
        await self.provider.create(OTHER, HostSpec(place=1))
        (other,) = [each for each in self.living() if each.id != observed.identity]
        self.assertNotEqual(
            (other.instance_type, other.zone), (instance.instance_type, instance.zone)
        )

    async def test_it_is_asked_for_again_after_a_while(self) -> None:
        observed = await self.parked()
        self.server.faults.next("StartInstances", faults.no_capacity())
        self.assertIsInstance(
            await self.error_of(self.provider.wake(TOKEN, observed.identity)), NoCapacity
        )
        self.pass_time(60)
        await self.provider.inventory()
        await self.provider.wake(TOKEN, observed.identity)
        self.assertIs((await self.woken()).health, Health.READY)

    async def test_a_used_up_quota_is_named(self) -> None:
        observed = await self.parked()
        text = "You have requested more vCPU capacity than your current vCPU limit of 8 allows."
        self.server.faults.next("StartInstances", faults.error("VcpuLimitExceeded", text))
        error = await self.error_of(self.provider.wake(TOKEN, observed.identity))
        self.assertIsInstance(error, NoCapacity)
        self.assertIn("vCPU quota", str(error))


class TestHibernating(Parking):
    options = {"park": "hibernate", "volumes": [Volume("root", size=40)]}

    async def test_it_is_launched_for_that_and_hibernates(self) -> None:
        await self.parked()
        self.assertIn("Hibernate=true", self.last("StopInstances"))

    async def test_so_it_is_by_run_instances(self) -> None:
        provider = self.new_provider(
            "one", **self.options, instance_types=["m7i.large"], subnets=[]
        )
        await self.parked(provider)
        self.assertIn("HibernationOptions.Configured=true", self.last("RunInstances"))
        self.assertIn("Hibernate=true", self.last("StopInstances"))

    async def test_one_that_was_launched_before_that_is_stopped(self) -> None:
        before = self.new_provider(park="stop")
        observed = await self.ready(before)
        await self.woken()
        await self.provider.park(TOKEN, observed.identity)
        self.assertNotIn("Hibernate=", self.last("StopInstances"))

    async def test_what_hibernates_has_not_ended_so_it_can_not_be_vacated(self) -> None:
        resource = the_resource(await self.ready(self.provider))
        lease = a_lease(0, resource)
        await self.provider.connect(resource).start(["sleep", "600"], tag=lease.tag)
        self.server.client().stop_instances(InstanceIds=[resource.identity], Hibernate=True)
        self.pass_time(20)
        await self.provider.inventory()
        with self.assertRaises(HostUnreachable):
            await self.provider.vacate(resource, lease)
