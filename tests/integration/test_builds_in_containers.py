"""Builds in leased containers: a real master, a real database, real engines, real workers."""

from __future__ import annotations

import os
from typing import Any, ClassVar
from uuid import uuid4

from buildbot.config import BuilderConfig
from buildbot.plugins import schedulers, steps, util
from buildbot.process.results import SUCCESS
from buildbot.test.util.integration import RunMasterBase
from twisted.internet import reactor
from twisted.internet.task import deferLater

from buildbot_drydock import DockerPool, Drydock, WorkerPool
from buildbot_drydock.latent.docker.fields import OUR_LABELS
from buildbot_drydock.model import ResourceStatus
from tests import containers
from tests.containers import Engine

_PAUSE = 0.05


class _BuildsInContainers(RunMasterBase):
    __test__ = False
    kind: ClassVar[str]

    def setUp(self) -> Any:
        self.engine: Engine = containers.engine(self.kind)
        self.blueprint = f"b{uuid4().hex[:12]}"  # so no other test's containers are counted
        self.addCleanup(self._remove_all)
        return super().setUp()

    def _remove_all(self) -> None:
        for each in self.all_containers():
            self.engine.remove(each["Id"])

    def all_containers(self) -> list[dict[str, Any]]:
        return self.engine.containers(f"{OUR_LABELS}blueprint={self.blueprint}")

    def configuration(self, directory: str, **fields: Any) -> dict[str, Any]:
        usual = {
            "hosts": [self.engine.url],
            "image": self.engine.image,
            "networks": ["host"],
            "pull": "never",
            "worker_version": "",
            "stop_grace": 1.0,
        }
        drydock = Drydock(
            blueprints=[DockerPool(self.blueprint, **{**usual, **fields})],
            workers=[
                WorkerPool(
                    "containers",
                    size=2,
                    masterFQDN="127.0.0.1",
                    keep_on_shutdown=False,
                    build_wait_timeout=0,
                )
            ],
        )
        where = "cat /proc/sys/kernel/hostname; id -u; cat /etc/os-release; pwd; env"
        config: dict[str, Any] = {
            "db_url": f"sqlite:///{directory}/state.sqlite",
            "protocols": {"pb": {"port": "tcp:0:interface=127.0.0.1"}},
            "multiMaster": True,
            "schedulers": [schedulers.ForceScheduler(name="force", builderNames=["tests"])],
            "builders": [
                BuilderConfig(
                    name="tests",
                    workernames=drydock.workernames("containers"),
                    factory=util.BuildFactory([steps.ShellCommand(command=where, name="where")]),
                )
            ],
            "workers": [],
            "configurators": [],
        }
        drydock.configure(config)
        return config

    async def start(self, **fields: Any) -> None:
        directory = os.path.abspath(self.mktemp())
        os.makedirs(directory)
        await self.setup_master(self.configuration(directory, **fields), startWorker=False)
        self.service = self.master.service_manager.namedServices["drydock"]

    async def build(self) -> str:
        """Let a build succeed in a container; return what it said of where it was."""
        build = await self.doForceBuild(wantSteps=True, wantProperties=True, wantLogs=True)
        self.assertEqual(build["results"], SUCCESS, build)
        (where,) = [each for each in build["steps"] if each["name"] == "where"]
        return "".join(log["contents"]["content"] for log in where["logs"])

    async def until_no_container_is_left(self) -> None:
        while self.all_containers():
            await deferLater(reactor, _PAUSE)

    async def test_each_build_has_a_container_of_its_own(self) -> None:
        await self.start()
        first = await self.build()
        self.assertIn("Debian", first)
        self.assertIn("/root/drydock/", first)
        await self.until_no_container_is_left()
        second = await self.build()
        await self.until_no_container_is_left()

        def bearer(text: str) -> str:
            (found,) = [each for each in text.split() if each.startswith("DRYDOCK_RESOURCE=")]
            return found

        self.assertNotEqual(bearer(first), bearer(second))
        await self.tested_master.shutdown()

    async def test_a_container_may_serve_one_build_after_another(self) -> None:
        await self.start(max_uses=None, min_ready=1)
        while not self.all_containers():
            await deferLater(reactor, _PAUSE)
        await self.build()
        await self.build()
        self.assertEqual(len(self.all_containers()), 1)
        await self.tested_master.shutdown()

    async def test_a_container_that_is_killed_is_replaced_at_once(self) -> None:
        """The engine tells, as nobody asks it for longer than this test may take."""
        await self.start(max_uses=None, min_ready=1, sweep_interval=2 * float(self.timeout))
        rows = await self.service.store.rows()
        while not any(each.status is ResourceStatus.ACTIVE for each in rows.resources):
            await deferLater(reactor, _PAUSE)
            rows = await self.service.store.rows()
        (first,) = self.all_containers()
        self.engine.client.kill(first["Id"])
        while first["Id"] in {each["Id"] for each in self.all_containers()}:
            await deferLater(reactor, _PAUSE)
        while not self.all_containers():
            await deferLater(reactor, _PAUSE)
        await self.tested_master.shutdown()

    async def test_a_build_runs_as_another_user_without_rights_in_little_memory(self) -> None:
        await self.start(
            user="nobody",
            env={"HOME": "/work"},
            tmpfs={"/work": "mode=1777,exec", "/tmp": "mode=1777"},
            read_only=True,
            cap_drop=["ALL"],
            memory="400m",
            pids=200,
            cpus=0.9,
        )
        text = await self.build()
        self.assertIn("65534", text)
        self.assertIn("/work/drydock/", text)
        await self.tested_master.shutdown()


class TestInDocker(_BuildsInContainers):
    __test__ = True
    kind = "docker"


class TestInPodman(_BuildsInContainers):
    __test__ = True
    kind = "podman"
