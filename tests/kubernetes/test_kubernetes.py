"""The provider of pods, on a real cluster. The cluster's own listing counts what it has made."""

from __future__ import annotations

from twisted.internet.defer import Deferred

from buildbot_drydock.abilities import Closes, TellsNews
from buildbot_drydock.interfaces import Provider
from buildbot_drydock.testing.provider_contract import VacatesContract
from tests.kubernetes_pods import InPods


class TestOnKubernetes(VacatesContract, InPods):
    token, other_token = "drydock-1", "drydock-2"  # each test has a namespace of its own

    def make_provider(self) -> Provider:
        self.begin()
        self.real = self.new_provider()
        return self.real

    def living(self) -> int:
        return len(self.all_pods())

    async def settle(self) -> None:
        while self.real.is_working:
            await self.pause()

    def test_it_closes_and_tells_news(self) -> None:
        self.assertIsInstance(self.real, Closes)
        self.assertIsInstance(self.real, TellsNews)

    def _clean(self) -> Deferred[None]:
        """The namespace is removed with all that is in it."""
        return Deferred.fromCoroutine(self.real.close())
