"""The provider of EC2 instances, on an EC2 that behaves as documented, and on its bad days.

The inspector of the server counts the instances behind the provider's back.
"""

from __future__ import annotations

from typing import Any

from buildbot_drydock import Spot
from buildbot_drydock.abilities import Closes, Prices
from buildbot_drydock.errors import RetryLater
from buildbot_drydock.interfaces import HostSpec, Provider
from buildbot_drydock.latent.ec2.provider import EC2Provider
from buildbot_drydock.testing.parking_contract import ParksContract
from buildbot_drydock.testing.provider_contract import TwinContract, VacatesContract
from tests.ec2 import faults
from tests.ec2_pools import InSimulatedEC2

_PATIENCE = 12  # how often the loop would ask again


class Insisting:
    """A provider as the loop uses it: what is to be done later is asked for again, later."""

    def __init__(self, provider: EC2Provider, test: OnEC2) -> None:
        self._provider, self._test = provider, test
        self.connect, self.close = provider.connect, provider.close

    async def inventory(self) -> Any:
        return await self._insist(self._provider.inventory)

    async def create(self, token: str, spec: HostSpec) -> None:
        await self._insist(self._provider.create, token, spec)

    async def destroy(self, token: str, identity: str = "") -> None:
        await self._insist(self._provider.destroy, token, identity)

    async def park(self, token: str, identity: str) -> None:
        await self._insist(self._provider.park, token, identity)

    async def wake(self, token: str, identity: str) -> None:
        await self._insist(self._provider.wake, token, identity)

    async def vacate(self, resource: Any, lease: Any) -> None:
        await self._insist(self._provider.vacate, resource, lease)

    async def _insist(self, verb: Any, *arguments: Any) -> Any:
        for _ in range(_PATIENCE):
            try:
                return await verb(*arguments)
            except RetryLater as error:
                self._test.pass_time(max(error.after, 1.0))
        return await verb(*arguments)


class OnEC2(VacatesContract, TwinContract, InSimulatedEC2):
    """The suites, on a fault that a subclass plants."""

    __test__ = False  # its subclasses are
    options: dict[str, Any] = {}
    seconds_to_settle = 1.0

    def make_provider(self) -> Provider:
        self.begin()
        self.plant()
        self.real = self.new_provider(**self.options)
        return Insisting(self.real, self)

    def plant(self) -> None:
        """Let something go wrong."""

    def living(self) -> int:
        return len(self.server.inspector.living)

    async def settle(self) -> None:
        for _ in range(2):
            await self.provider.inventory()
            self.pass_time(self.seconds_to_settle)
            self.assertFalse(self.real.is_working)

    async def make_twin(self, token: str) -> None:
        (first,) = self.server.inspector.living
        tags = [
            {"Key": key, "Value": value}
            for key, value in first.tags.items()
            if not key.startswith("aws:")
        ]
        with self.server.faults.paused():
            self.server.client().run_instances(
                ImageId=self.server.catalogue.newest_image,
                InstanceType="r7i.large",
                MinCount=1,
                MaxCount=1,
                TagSpecifications=[{"ResourceType": "instance", "Tags": tags}],
            )

    def tearDown(self) -> None:
        self.assertEqual(self.server.inspector.doubled_tokens(), {})
        super().tearDown()


class OnDemand(ParksContract, OnEC2):
    """The suites on instances that can be parked."""

    __test__ = False
    options: dict[str, Any] = {"park": "stop"}

    def running(self) -> int:
        return sum(each.state in ("pending", "running") for each in self.server.inspector.living)


class TestOnEC2(OnDemand):
    __test__ = True

    def test_it_closes(self) -> None:
        self.assertIsInstance(self.real, Closes)

    def test_it_knows_prices(self) -> None:
        self.assertIsInstance(self.real, Prices)


class TestByRunInstances(OnDemand):
    """There is nothing for EC2 to choose from."""

    __test__ = True

    def plant(self) -> None:
        self.options = {"instance_types": ["m7i.large"], "subnets": [], "park": "stop"}


class TestByRunInstancesWithLostReplies(TestByRunInstances):
    def plant(self) -> None:
        super().plant()
        self.server.faults.sometimes("*", faults.reply_lost(), probability=0.3)


class TestOnSpot(OnEC2):
    __test__ = True

    def plant(self) -> None:
        self.options = {"spot": Spot()}


class TestOnSpotWithLostReplies(OnEC2):
    __test__ = True

    def plant(self) -> None:
        self.options = {"spot": Spot()}
        self.server.faults.sometimes("*", faults.reply_lost(), probability=0.3)


class TestThatTakesItsTime(OnDemand):
    """What is new shows late, its tags later still, and nothing changes at once."""

    __test__ = True

    seconds_to_settle = 30.0

    def plant(self) -> None:
        self.server.timings.pending = 20.0
        self.server.timings.shutting_down = 20.0
        self.server.timings.stopping = 20.0
        self.server.timings.listing_lag = 5.0
        self.server.timings.tag_lag = 10.0


class TestWithoutCapacityInMostPlaces(OnEC2):
    __test__ = True

    def plant(self) -> None:
        self.options = {"spot": Spot(), "instance_types": ["m7i.large", "c7i.large", "r7i.large"]}
        self.server.capacity.set(0, instance_type="m7i.*")
        self.server.capacity.set(0, market="spot")


class TestWithoutSpotCapacityNowAndThen(OnEC2):
    __test__ = True

    def plant(self) -> None:
        self.options = {"spot": Spot()}
        self.server.faults.sometimes("CreateFleet", faults.no_capacity(), probability=0.3)


class TestThatShowsTemplatesLate(OnEC2):
    __test__ = True

    def plant(self) -> None:
        self.options = {"spot": Spot(on_demand_base=1)}
        self.server.timings.template_lag = 3.0


class TestThrottled(OnDemand):
    __test__ = True

    def plant(self) -> None:
        self.server.faults.sometimes("*", faults.throttled(), probability=0.3)


class TestWithLostReplies(OnDemand):
    __test__ = True

    def plant(self) -> None:
        self.server.faults.sometimes("*", faults.reply_lost(), probability=0.3)


class TestWithInternalErrors(OnDemand):
    __test__ = True

    def plant(self) -> None:
        self.server.faults.sometimes("*", faults.internal_error(), probability=0.2)
        self.server.faults.sometimes("*", faults.internal_error(after_work=True), probability=0.2)


class TestWithConnectionsThatBreak(OnDemand):
    __test__ = True

    def plant(self) -> None:
        self.server.faults.sometimes("*", faults.connection_reset(), probability=0.3)


class TestWithGarbage(OnDemand):
    __test__ = True

    def plant(self) -> None:
        self.server.faults.sometimes("*", faults.garbage(after_work=True), probability=0.3)
