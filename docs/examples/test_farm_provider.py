"""The test that the tutorial begins with."""

from __future__ import annotations

from pathlib import Path

from farm_provider import FarmPool
from twisted.internet import reactor
from twisted.python.threadpool import ThreadPool
from twisted.trial.unittest import TestCase

from buildbot_drydock.errors import Misconfigured, NoCapacity
from buildbot_drydock.interfaces import HostSpec, Provider
from buildbot_drydock.latent.definition import Surroundings
from buildbot_drydock.testing.provider_contract import VacatesContract


class TestFarm(VacatesContract, TestCase):
    def make_provider(self) -> Provider:
        self.path = Path(self.mktemp())
        self.path.mkdir(parents=True)
        return self.provider_of(FarmPool("farm", path=str(self.path.absolute()), capacity=2))

    def provider_of(self, definition: FarmPool) -> Provider:
        threads = ThreadPool(1, 4)
        threads.start()
        self.addCleanup(threads.stop)
        surroundings = Surroundings(
            reactor=reactor, basedir=".", thread_pool=threads, uniform=lambda: 0.5
        )
        return definition.provider(surroundings)

    def living(self) -> int:
        return len(list(self.path.iterdir()))

    async def test_a_farm_in_use_has_no_capacity(self) -> None:
        await self.provider.create(self.token, HostSpec())
        await self.provider.create(self.other_token, HostSpec())
        with self.assertRaises(NoCapacity):
            await self.provider.create("drydock-linux-3", HostSpec())

    async def test_a_machine_that_the_farm_wants_back_says_when(self) -> None:
        await self.provider.create(self.token, HostSpec())
        (self.path / self.token / "wanted-back-at").write_text("1800000000")
        (observed,) = await self.provider.inventory()
        self.assertEqual(observed.ends_at, 1_800_000_000.0)
        self.assertEqual(observed.end_reason, "the farm wants it back")

    async def test_a_path_without_a_farm_is_misconfigured(self) -> None:
        nowhere = self.provider_of(FarmPool("farm", path=str(self.path.absolute() / "nowhere")))
        with self.assertRaises(Misconfigured):
            await nowhere.create(self.token, HostSpec())
