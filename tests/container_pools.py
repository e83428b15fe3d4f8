"""Pools of containers on real engines: one master's provider."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

from twisted.internet import reactor
from twisted.internet.defer import Deferred, DeferredQueue
from twisted.internet.task import deferLater
from twisted.python.threadpool import ThreadPool
from twisted.trial.unittest import TestCase

from buildbot_drydock import DockerPool, events
from buildbot_drydock.interfaces import HostSpec
from buildbot_drydock.latent.definition import Surroundings
from buildbot_drydock.latent.docker.fields import OUR_LABELS
from buildbot_drydock.latent.docker.provider import DockerProvider
from buildbot_drydock.model import Health, Observed, Resource
from buildbot_drydock.testing.provider_contract import the_resource
from tests.containers import Engine

_PAUSE = 0.05


class InContainers(TestCase):
    """Providers for some engines, each test with an installation of its own."""

    def begin(self, *engines: Engine) -> None:
        self.engines = engines
        self.installation = uuid4().hex[:16]
        self.wakes: DeferredQueue[None] = DeferredQueue()  # turns that were asked for
        self.told: list[events.Event] = []
        self.threads = ThreadPool(0, 10)
        self.threads.start()
        self.addCleanup(self.threads.stop)
        self.addCleanup(self._remove_all)

    def fields(self) -> dict[str, Any]:
        """Return the fields of a pool; a test changes them."""
        return {
            "hosts": [each.url for each in self.engines],
            "image": self.engines[0].image,
            "networks": ["host"],
            "pull": "never",
            "worker_version": "",
            "stop_grace": 1.0,
            "limit": 10,
        }

    def new_provider(self, name: str = "containers", **fields: Any) -> DockerProvider:
        pool = DockerPool(name, **{**self.fields(), **fields})
        self.assertEqual([each.sentence() for each in pool.problems], [])
        provider = pool.provider(
            Surroundings(
                reactor=reactor,
                basedir=".",
                thread_pool=self.threads,
                uniform=lambda: 0.5,
                installation=self.installation,
                wake=lambda: self.wakes.put(None),
                report=lambda blueprint, event: self.told.append(event),
            )
        )
        self.addCleanup(lambda: Deferred.fromCoroutine(provider.close()))
        return provider

    def all_containers(self) -> list[dict[str, Any]]:
        label = f"{OUR_LABELS}installation={self.installation}"
        return [found for each in self.engines for found in each.containers(label)]

    def _remove_all(self) -> None:
        label = f"{OUR_LABELS}installation={self.installation}"
        for engine in self.engines:
            for found in engine.containers(label):
                engine.remove(found["Id"])

    async def pause(self) -> None:
        await deferLater(reactor, _PAUSE)

    async def observed(self, provider: DockerProvider, token: str) -> Observed:
        (found,) = [each for each in await provider.inventory() if each.token == token]
        return found

    async def create(
        self, provider: DockerProvider, token: str = "drydock-1", place: int = 0
    ) -> Observed:
        """Have a container made, and return what the provider says of it."""
        await provider.create(self.token(token), HostSpec(place=place))
        return await self.observed(provider, self.token(token))

    async def ready(self, provider: DockerProvider, token: str = "drydock-1") -> Resource:
        """Have a container made that is ready; return its resource."""
        seen = await self.create(provider, token)
        self.assertEqual((seen.health, seen.reason), (Health.READY, ""))
        return the_resource(seen)

    async def until(self, provider: DockerProvider, health: Health) -> Observed:
        """Return what the provider says of its only container once that fares so."""
        while True:
            found = await provider.inventory()
            if len(found) == 1 and found[0].health is health:
                return found[0]
            await self.pause()

    def token(self, name: str) -> str:
        """Return a token that no other test on these engines has."""
        return f"{name}-{self.installation}"

    def resource(self, seen: Observed) -> Resource:
        return the_resource(seen)
