"""Blueprints of pods on a real cluster: one master's provider."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

from twisted.internet import reactor
from twisted.internet.defer import Deferred, DeferredQueue
from twisted.internet.task import deferLater
from twisted.python.threadpool import ThreadPool
from twisted.trial.unittest import TestCase

from buildbot_drydock import KubernetesPods, events
from buildbot_drydock.interfaces import HostSpec
from buildbot_drydock.latent.definition import Surroundings
from buildbot_drydock.latent.kubernetes.fields import OUR_LABELS
from buildbot_drydock.latent.kubernetes.provider import KubernetesProvider
from buildbot_drydock.model import Health, Observed, Resource
from buildbot_drydock.testing.provider_contract import the_resource
from tests.kubernetes_cluster import Cluster, cluster

_PAUSE = 0.05


class InPods(TestCase):
    """Providers for a cluster, each test with a namespace of its own."""

    def begin(self) -> None:
        self.cluster: Cluster = cluster()
        self.namespace = self.cluster.new_namespace()
        self.addCleanup(self.cluster.remove_namespace, self.namespace)
        self.installation = uuid4().hex[:16]
        self.wakes: DeferredQueue[None] = DeferredQueue()  # turns that were asked for
        self.told: list[events.Event] = []
        self.threads = ThreadPool(0, 10)
        self.threads.start()
        self.addCleanup(self.threads.stop)

    def fields(self) -> dict[str, Any]:
        """Return the fields of a blueprint; a test changes them."""
        return {
            "namespace": self.namespace,
            "kubeconfig": self.cluster.admin,
            "image": self.cluster.image,
            "image_pull_policy": "Never",
            "worker_version": "",
            "stop_grace": 1.0,
            "limit": 10,
        }

    def new_provider(self, name: str = "pods", **fields: Any) -> KubernetesProvider:
        pool = KubernetesPods(name, **{**self.fields(), **fields})
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

    def all_pods(self) -> list[dict[str, Any]]:
        return self.cluster.pods(self.namespace, **{f"{OUR_LABELS}installation": self.installation})

    async def pause(self) -> None:
        await deferLater(reactor, _PAUSE)

    async def observed(self, provider: KubernetesProvider, token: str) -> Observed:
        (found,) = [each for each in await provider.inventory() if each.token == token]
        return found

    async def create(self, provider: KubernetesProvider, token: str = "drydock-1") -> Observed:
        """Have a pod made, and return what the provider says of it."""
        await provider.create(token, HostSpec())
        while provider.is_working:
            await self.pause()
        return await self.observed(provider, token)

    async def ready(self, provider: KubernetesProvider, token: str = "drydock-1") -> Resource:
        """Have a pod made that is ready; return its resource."""
        seen = await self.create(provider, token)
        self.assertEqual((seen.health, seen.reason), (Health.READY, ""))
        return the_resource(seen)

    async def until(self, provider: KubernetesProvider, health: Health) -> Observed:
        """Return what the provider says of its only pod once that fares so."""
        while True:
            found = await provider.inventory()
            if len(found) == 1 and found[0].health is health and not found[0].has_ended:
                return found[0]
            await self.pause()
