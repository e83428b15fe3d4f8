"""The provider of containers, on real engines. Their own listings count what it has made."""

from __future__ import annotations

from typing import ClassVar
from uuid import uuid4

from buildbot_drydock.abilities import Closes, ListsInPart
from buildbot_drydock.interfaces import Provider
from buildbot_drydock.testing.provider_contract import VacatesContract
from tests.container_pools import InContainers
from tests.containers import engine


class _OnAnEngine(VacatesContract, InContainers):
    __test__ = False
    kind: ClassVar[str]

    def make_provider(self) -> Provider:
        self.begin(engine(self.kind))
        number = uuid4().hex[:12]  # an engine has a name once, whoever asks for it
        self.token, self.other_token = f"drydock-1-{number}", f"drydock-2-{number}"
        self.real = self.new_provider()
        return self.real

    def living(self) -> int:
        return len(self.all_containers())

    async def settle(self) -> None:
        while self.real.is_working:
            await self.pause()

    def test_it_closes_and_lists_in_part(self) -> None:
        self.assertIsInstance(self.real, Closes)
        self.assertIsInstance(self.real, ListsInPart)


class TestOnDocker(_OnAnEngine):
    __test__ = True
    kind = "docker"


class TestOnPodman(_OnAnEngine):
    __test__ = True
    kind = "podman"
