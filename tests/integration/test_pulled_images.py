"""Images that Docker pulls from a registry on this machine. Podman would want it to have TLS."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

from twisted.internet.defer import Deferred, gatherResults

from buildbot_drydock.errors import Misconfigured
from buildbot_drydock.interfaces import HostSpec
from buildbot_drydock.latent.docker.provider import DockerProvider
from tests.container_pools import InContainers
from tests.containers import engine
from tests.registry import Registry


class TestPulledImages(InContainers):
    def setUp(self) -> None:
        super().setUp()
        self.engine = engine("docker")
        self.begin(self.engine)
        self.registry = Registry()
        self.addCleanup(self.registry.stop)
        self.image = f"ci/{uuid4().hex[:12]}"
        self.addCleanup(self.remove_image)

    def remove_image(self) -> None:
        self.engine.remove_image(self.registry.name(self.image))

    def provider(self, pull: str, **fields: Any) -> DockerProvider:
        # There is no Python in it: what counts is whether there is a container.
        return self.new_provider(image=self.registry.name(self.image), pull=pull, **fields)

    def put(self) -> None:
        saved = b"".join(self.engine.client.get_image(self.engine.small_image))
        self.registry.put(self.image, saved)

    async def said(self, provider: DockerProvider, token: str = "drydock-1") -> str:
        call = Deferred.fromCoroutine(provider.create(self.token(token), HostSpec()))
        return str(await self.assertFailure(call, Misconfigured))

    async def test_an_image_that_is_missing_is_pulled_once_for_all_who_wait(self) -> None:
        self.put()
        provider = self.provider("missing")
        tokens = [f"drydock-{number}" for number in range(3)]
        said = await gatherResults(
            [Deferred.fromCoroutine(self.said(provider, token)) for token in tokens]
        )
        for each in said:
            self.assertIn("there is no program 'python3'", each)  # so far it has come
        self.assertEqual(len(self.all_containers()), 3)
        self.assertEqual(self.registry.asked, [self.image])

    async def test_it_is_asked_for_before_each_container_if_always_pulled(self) -> None:
        self.put()
        provider = self.provider("always")
        for number in range(2):
            await self.said(provider, f"drydock-{number}")
        self.assertEqual(self.registry.asked, [self.image] * 2)

    async def test_an_image_that_the_registry_does_not_have(self) -> None:
        said = await self.said(self.provider("missing"))
        self.assertIn(f"cannot pull {self.registry.name(self.image)}", said)
        self.assertIn("manifest unknown", said)
        self.assertIn("docker login", said)

    async def test_an_image_that_only_others_may_have(self) -> None:
        self.put()
        self.registry.forbidden.add(self.image)
        said = await self.said(self.provider("missing"))
        self.assertIn("denied", said)
        self.assertIn("docker login", said)
