"""What goes wrong with containers, produced on real engines, and what is made of it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, ClassVar
from uuid import uuid4

from twisted.internet.defer import Deferred

from buildbot_drydock import DockerEngine, events
from buildbot_drydock.errors import (
    DrydockError,
    HostUnreachable,
    Misconfigured,
    NoCapacity,
    RetryLater,
)
from buildbot_drydock.interfaces import HostSpec
from buildbot_drydock.latent.docker.fields import labels_of
from buildbot_drydock.latent.docker.listing import RUNNING, Container
from buildbot_drydock.latent.docker.provider import DockerProvider
from buildbot_drydock.model import Health
from tests.container_pools import InContainers
from tests.containers import Engine, engine

_LONG = 60.0


class _OnAnEngine(InContainers):
    __test__ = False
    kind: ClassVar[str]

    def setUp(self) -> None:
        super().setUp()
        self.engine = engine(self.kind)
        self.begin(self.engine)

    async def refused(
        self, error: type[DrydockError], provider: DockerProvider, token: str = "drydock-1"
    ) -> str:
        """Return what is said as a container cannot be made."""
        call = Deferred.fromCoroutine(provider.create(self.token(token), HostSpec()))
        return str(await self.assertFailure(call, error))


class _WhatIsWrong(_OnAnEngine):
    """With the blueprint, or its image."""

    async def test_an_image_that_is_missing_and_never_pulled(self) -> None:
        said = await self.refused(
            Misconfigured, self.new_provider(image="drydock/none:1", pull="never")
        )
        self.assertIn("drydock/none:1", said)
        self.assertIn("pull is 'never'", said)
        self.assertEqual(self.all_containers(), [])

    async def test_a_registry_that_does_not_answer(self) -> None:
        provider = self.new_provider(image="127.0.0.1:1/none:1", pull="missing")
        said = await self.refused(RetryLater, provider)
        self.assertIn("cannot pull 127.0.0.1:1/none:1", said)
        self.assertIn("refused", said)

    async def test_what_an_engine_does_not_take(self) -> None:
        for fields, word in (
            ({"cap_add": ["NONSENSE"]}, "cap_add"),
            ({"networks": ["no-such-network"]}, "networks"),
            ({"user": "no-such-user"}, "user"),
            ({"command": ["no-such-command"]}, "command"),
            ({"runtime": "no-such-runtime"}, "runtime"),
        ):
            if self.kind == "podman" and "runtime" in fields:
                continue  # it takes any, and uses its own
            with self.subTest(**fields):
                provider = self.new_provider(**fields)
                said = await self.refused(Misconfigured, provider, f"drydock-{word}")
                self.assertRegex(said, f"Remedy: give .*{word}")
                await provider.destroy(self.token(f"drydock-{word}"))
                self.assertEqual(self.all_containers(), [])

    async def test_an_image_without_a_python(self) -> None:
        said = await self.refused(Misconfigured, self.new_provider(image=self.engine.small_image))
        self.assertIn("there is no program 'python3'", said)

    async def test_a_home_that_cannot_be_written_to(self) -> None:
        provider = self.new_provider(read_only=True, tmpfs={"/tmp": ""})
        said = await self.refused(Misconfigured, provider)
        self.assertIn("cannot make the directory", said)

    async def test_a_name_that_somebody_else_has(self) -> None:
        created = self.engine.client.create_container(
            self.engine.image, command=["true"], name=self.token("drydock-1")
        )
        self.addCleanup(self.engine.remove, created["Id"])
        said = await self.refused(Misconfigured, self.new_provider())
        self.assertIn(self.token("drydock-1"), said)
        self.assertIn("not of this blueprint", said)
        self.assertEqual(await self.new_provider().inventory(), [])
        await self.new_provider().destroy(self.token("drydock-1"))
        self.engine.client.inspect_container(created["Id"])  # it is still there


class _WhatHappens(_OnAnEngine):
    """To a container, and its engine."""

    async def test_a_container_that_is_killed_is_told_of_at_once_with_its_reason(self) -> None:
        provider = self.new_provider(sweep_interval=600.0)
        resource = await self.ready(provider)
        waking = self.wakes.get()
        self.engine.client.kill(resource.identity)
        await waking
        seen = await self.until(provider, Health.FAILING)
        self.assertIn("was killed from outside", seen.reason)

    async def test_a_container_that_ends_by_itself_leaves_its_last_words(self) -> None:
        script = "sleep 5; echo the last words; exit 3"
        provider = self.new_provider(command=["sh", "-c", script])
        await self.ready(provider)
        seen = await self.until(provider, Health.FAILING)
        self.assertIn("exit code 3", seen.reason)
        self.assertIn("the last words", seen.reason)

    async def test_a_container_that_ends_at_once_is_no_mystery(self) -> None:
        script = "echo cannot start >&2; exit 4"
        provider = self.new_provider(command=["sh", "-c", script])
        said = await self.refused(Misconfigured, provider)
        self.assertIn("exit code 4", said)
        self.assertIn("cannot start", said)
        self.assertIn("give command", said)

    async def test_an_engine_may_learn_later_that_a_container_has_ended(self) -> None:
        provider = self.new_provider(command=["sh", "-c", "exit 4"])
        ask, looks = provider._engines.ask, []

        async def late(*asked: Any) -> list[Container]:
            found = await ask(*asked)
            looks.append(found)
            return [replace(each, state=RUNNING) if len(looks) < 3 else each for each in found]

        self.patch(provider._engines, "ask", late)
        self.assertIn("exit code 4", await self.refused(Misconfigured, provider))

    async def test_a_container_that_runs_out_of_memory_says_so(self) -> None:
        script = "sleep 3; exec tail /dev/zero"
        provider = self.new_provider(command=["sh", "-c", script], memory="128m")
        await self.ready(provider)
        seen = await self.until(provider, Health.FAILING)
        self.assertRegex(seen.reason, "ran out of (its 128 MiB of )?memory")
        self.assertIn("give memory more", seen.reason)

    async def test_a_container_that_was_made_and_not_started_is_found_and_started(self) -> None:
        other = self.new_provider()
        resource = await self.ready(other)
        self.engine.remove(resource.identity)
        self.engine.client.create_container(
            self.engine.image,
            command=["sleep", "600"],
            name=resource.token,
            labels=dict(labels_of(self.installation, "containers", resource.token)),
            host_config=self.engine.client.create_host_config(network_mode="host"),
        )
        restarted = self.new_provider()
        seen = await self.until(restarted, Health.READY)
        self.assertEqual(seen.token, resource.token)
        await restarted.create(resource.token, HostSpec())
        self.assertEqual(len(self.all_containers()), 1)

    async def test_a_container_that_another_master_has_just_made_is_taken_for_ours(self) -> None:
        first, second = self.new_provider(), self.new_provider()
        await second.inventory()
        resource = await self.ready(first)
        await second.create(resource.token, HostSpec())  # it has not listed it yet
        self.assertEqual(len(self.all_containers()), 1)

    async def test_containers_of_others_are_neither_listed_nor_removed(self) -> None:
        mine = self.new_provider()
        await self.ready(mine)
        self.installation, before = uuid4().hex[:16], self.installation
        other = self.new_provider()
        self.installation = before
        another_blueprint = self.new_provider("others")
        for each in (other, another_blueprint):
            self.assertEqual(await each.inventory(), [])
            await each.destroy(self.token("drydock-1"))
        self.assertEqual(len(self.all_containers()), 1)

    async def test_what_is_run_is_given_up_as_the_provider_is_closed(self) -> None:
        provider = self.new_provider()
        host = provider.connect(await self.ready(provider))
        script = "touch begun; sleep 600"
        running = Deferred.fromCoroutine(host.run(["sh", "-c", script], timeout=_LONG))
        while not await host.exists("begun"):
            await self.pause()
        await provider.close()
        self.assertIn("closed", str(await self.assertFailure(running, HostUnreachable)))

    async def test_a_cache_outlives_the_containers_of_its_place(self) -> None:
        provider = self.new_provider(caches={"/cache": "place"})
        first = await self.ready(provider)
        await provider.connect(first).write("/cache/notes", b"kept")
        await provider.destroy(first.token)
        second = await self.ready(provider, "drydock-2")
        self.assertEqual(await provider.connect(second).read("/cache/notes"), b"kept")
        seen = await self.create(provider, "drydock-3", place=1)
        third = provider.connect(self.resource(seen))
        self.assertFalse(await third.exists("/cache/notes"))
        for each in self.all_containers():
            self.engine.remove(each["Id"])
        for each in self.engine.client.volumes()["Volumes"]:
            if self.installation in each["Name"]:
                self.engine.client.remove_volume(each["Name"])


class _WithAnotherEngine(_OnAnEngine):
    """One of two engines does not answer."""

    def two(self, **fields: Any) -> DockerProvider:
        return self.new_provider(hosts=["unix:///no/such/socket", self.engine.url], **fields)

    async def test_the_other_one_is_used_and_the_silent_one_is_reported(self) -> None:
        provider = self.two()
        await self.ready(provider)
        self.assertEqual(set(provider.unlisted()), {"unix:///no/such/socket"})
        (lost,) = [each for each in self.told if isinstance(each, events.HostLost)]
        self.assertEqual(lost.host, "unix:///no/such/socket")

    async def test_nothing_is_gone_for_sure_while_it_may_be_on_a_silent_engine(self) -> None:
        provider = self.two()
        resource = await self.ready(provider)
        await provider.destroy(resource.token)  # it is known where that is
        call = Deferred.fromCoroutine(provider.destroy(self.token("drydock-unknown")))
        self.assertIn("/no/such/socket", str(await self.assertFailure(call, RetryLater)))

    async def test_without_any_engine_nothing_is_known(self) -> None:
        provider = self.new_provider(hosts=["unix:///no/such/socket"])
        call = Deferred.fromCoroutine(provider.inventory())
        self.assertIn("/no/such/socket", str(await self.assertFailure(call, RetryLater)))
        await self.refused(RetryLater, provider)

    async def test_an_engine_that_hangs_does_not_hold_up_the_other(self) -> None:
        other = engine("podman" if self.kind == "docker" else "docker")
        provider = self.new_provider(hosts=[self.engine.url, other.url], image=other.image)
        await provider.inventory()
        other.freeze()
        try:
            await provider.inventory()
            self.assertEqual(set(provider.unlisted()), {other.url})
            resource = await self.ready(provider)
            self.assertEqual(resource.address, self.engine.url)
        finally:
            other.thaw()

    async def test_a_full_engine_gets_no_more(self) -> None:
        provider = self.new_provider(hosts=[DockerEngine(self.engine.url, limit=1)])
        await self.ready(provider)
        said = await self.refused(NoCapacity, provider, "drydock-2")
        self.assertIn("as many containers as they may", said)


class TestWhatIsWrongInDocker(_WhatIsWrong):
    __test__ = True
    kind = "docker"


class TestWhatIsWrongInPodman(_WhatIsWrong):
    __test__ = True
    kind = "podman"


class TestWhatHappensInDocker(_WhatHappens):
    __test__ = True
    kind = "docker"

    async def test_containers_end_with_an_engine_that_is_killed_and_it_is_told_why(self) -> None:
        provider = self.new_provider()
        await self.ready(provider)
        kill_and_start(self.engine)
        seen = await self.until(provider, Health.FAILING)
        self.assertIn("its engine was stopped or restarted", seen.reason)
        await provider.destroy(seen.token)
        self.assertEqual(self.all_containers(), [])
        await self.ready(provider, "drydock-2")

    async def test_a_container_is_in_all_of_its_networks(self) -> None:
        client, names = self.engine.client, [f"{self.installation}-{n}" for n in range(2)]
        for name in names:
            client.create_network(name, driver="bridge", internal=True)
            self.addCleanup(client.remove_network, name)
        provider = self.new_provider(networks=names)
        resource = await self.ready(provider)
        found = client.inspect_container(resource.identity)["NetworkSettings"]["Networks"]
        self.assertEqual(set(found), set(names))
        await provider.destroy(resource.token)


class TestWhatHappensInPodman(_WhatHappens):
    __test__ = True
    kind = "podman"

    async def test_containers_survive_a_service_that_is_killed(self) -> None:
        provider = self.new_provider()
        resource = await self.ready(provider)
        host = provider.connect(resource)
        await host.start(["sleep", "600"], tag="it")
        kill_and_start(self.engine)
        seen = await self.until(provider, Health.READY)
        self.assertEqual(seen.identity, resource.identity)
        self.assertTrue(await host.running("it"))


class TestDockerWithAnotherEngine(_WithAnotherEngine):
    __test__ = True
    kind = "docker"


class TestPodmanWithAnotherEngine(_WithAnotherEngine):
    __test__ = True
    kind = "podman"


class TestOverTLS(_OnAnEngine):
    """An engine over TCP, which shows a certificate and asks for one."""

    __test__ = True
    kind = "docker"

    def over_tls(self, **files: str) -> DockerProvider:
        usual = {"ca": "ca.pem", "cert": "cert.pem", "key": "key.pem"}
        named = {k: f"{self.engine.certificates}/{v}" for k, v in {**usual, **files}.items()}
        return self.new_provider(hosts=[DockerEngine(self.engine.tls_url, **named)])

    async def test_containers_are_made_and_commands_run(self) -> None:
        provider = self.over_tls()
        resource = await self.ready(provider)
        host = provider.connect(resource)
        content = bytes(range(256)) * 4_000
        completed = await host.run(["cat"], timeout=_LONG, stdin=content)
        self.assertEqual(completed.stdout, content)

    async def test_an_engine_that_cannot_be_verified_is_not_used(self) -> None:
        provider = self.over_tls(ca="cert.pem")
        call = Deferred.fromCoroutine(provider.inventory())
        said = str(await self.assertFailure(call, Misconfigured))
        self.assertIn("certificate", said.lower())


def kill_and_start(killed: Engine) -> None:
    killed.kill()
    killed.start()
