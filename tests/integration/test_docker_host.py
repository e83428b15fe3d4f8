"""A container as a host, by exec, on real engines."""

from __future__ import annotations

from typing import ClassVar
from uuid import uuid4

from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.python.threadpool import ThreadPool
from twisted.trial.unittest import TestCase

from buildbot_drydock.errors import HostUnreachable
from buildbot_drydock.interfaces import Host
from buildbot_drydock.remote.docker.machine import DockerMachine
from buildbot_drydock.remote.shell.host import ShellHost
from buildbot_drydock.testing.host_contract import HostContract
from tests.containers import Engine, engine

_LONG = 60.0


class _InContainers(HostContract):
    """The suite, each test in a directory of its own in a container that they share."""

    __test__ = False
    kind: ClassVar[str]
    image: ClassVar[str] = "image"
    container: ClassVar[str] = ""
    engine: ClassVar[Engine]

    @classmethod
    def setUpClass(cls) -> None:
        super().setUpClass()
        cls.engine = engine(cls.kind)
        cls.container = cls.engine.run(image=getattr(cls.engine, cls.image))

    @classmethod
    def tearDownClass(cls) -> None:
        cls.engine.remove(cls.container)
        super().tearDownClass()

    def machine(self, container: str = "") -> DockerMachine:
        threads = ThreadPool(0, 20)
        threads.start()
        self.addCleanup(threads.stop)
        return DockerMachine(
            reactor, threads, lambda: self.engine.client, container or self.container, "it"
        )

    def make_host(self) -> Host:
        directory = f"/tmp/host {uuid4().hex}"
        self.engine_run("mkdir", directory)
        return ShellHost(self.machine(), directory, grace_seconds=1.0)

    def engine_run(self, *argv: str) -> None:
        client = self.engine.client
        number = client.exec_create(self.container, list(argv))["Id"]
        client.exec_start(number)
        self.assertEqual(client.exec_inspect(number)["ExitCode"], 0)

    async def test_a_directory_of_its_own_is_made(self) -> None:
        host = ShellHost(self.machine(), f"drydock-{uuid4().hex}/below")
        await host.make_directory()
        completed = await host.run(["pwd"], timeout=_LONG)
        self.assertIn(b"/below", completed.stdout)

    async def test_a_container_that_is_not_there_is_unreachable(self) -> None:
        host = ShellHost(self.machine("no-such-container"), "/")
        call = Deferred.fromCoroutine(host.run(["true"], timeout=_LONG))
        self.assertIn("no-such-container", await self.fails(call, HostUnreachable))

    async def test_a_container_that_ends_ends_its_commands(self) -> None:
        container = self.engine.run()
        self.addCleanup(self.engine.remove, container)
        host = ShellHost(self.machine(container), "/tmp")
        script = "echo here > begun; sleep 600"
        running = Deferred.fromCoroutine(host.run(["sh", "-c", script], timeout=_LONG))
        while not await host.exists("begun"):
            await self.pause()
        self.engine.client.kill(container)
        self.assertIn("ended", await self.fails(running, HostUnreachable))
        call = Deferred.fromCoroutine(host.run(["true"], timeout=_LONG))
        await self.fails(call, HostUnreachable)


class TestInDocker(_InContainers, TestCase):
    __test__ = True
    kind = "docker"


class TestInPodman(_InContainers, TestCase):
    __test__ = True
    kind = "podman"


class TestInBusybox(_InContainers, TestCase):
    """An image with nothing but busybox, as small as Alpine's."""

    __test__ = True
    kind = "docker"
    image = "small_image"
