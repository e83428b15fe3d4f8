"""The Python that stands by in a container, on real engines."""

from __future__ import annotations

from typing import ClassVar

from buildbot_drydock.interfaces import HostSpec
from tests.container_pools import InContainers
from tests.containers import engine
from tests.prestarting import Prestarting


class _InContainers(InContainers, Prestarting):
    __test__ = False
    kind: ClassVar[str]

    def setUp(self) -> None:
        self.begin(engine(self.kind))

    async def test_the_second_container_of_an_image_has_one_too(self) -> None:
        provider = self.new_provider()
        await self.ready(provider, "drydock-1")
        await provider.create(self.token("drydock-2"), HostSpec(place=1))
        second = self.resource(await self.observed(provider, self.token("drydock-2")))
        await self.standing_by(provider, second)


class TestInDocker(_InContainers):
    __test__ = True
    kind = "docker"


class TestInPodman(_InContainers):
    __test__ = True
    kind = "podman"
