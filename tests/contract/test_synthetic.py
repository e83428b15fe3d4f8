"""The synthetic provider and its hosts pass the suites that real ones pass."""

from __future__ import annotations

from twisted.internet.task import Clock
from twisted.trial.unittest import TestCase

from buildbot_drydock.interfaces import Host, HostSpec, Provider
from buildbot_drydock.latent.synthetic import (
    Script,
    SyntheticCloud,
    SyntheticHost,
    SyntheticProvider,
)
from buildbot_drydock.testing.host_contract import FilesContract, TagsContract
from buildbot_drydock.testing.provider_contract import TwinContract, VacatesContract


class TestSyntheticProvider(TwinContract, VacatesContract, TestCase):
    def make_provider(self) -> Provider:
        self.clock = Clock()
        script = Script(boot_seconds=30, listing_delay_seconds=10, teardown_seconds=5)
        self.cloud = SyntheticCloud(self.clock, script)
        return SyntheticProvider(self.cloud, "linux")

    def living(self) -> int:
        return self.cloud.living()

    async def settle(self) -> None:
        self.clock.advance(60)

    async def make_twin(self, token: str) -> None:
        self.cloud.make_twin(token)


class _OnSyntheticHost:
    def make_host(self) -> Host:
        cloud = SyntheticCloud(Clock())
        cloud.create("linux", "drydock-linux-1", HostSpec())
        return SyntheticHost(cloud, "drydock-linux-1")


class TestSyntheticFiles(_OnSyntheticHost, FilesContract, TestCase):
    pass


class TestSyntheticTags(_OnSyntheticHost, TagsContract, TestCase):
    pass
