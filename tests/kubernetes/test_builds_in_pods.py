"""Builds in leased pods: a real master, a real database, a real cluster, real workers."""

from __future__ import annotations

import os
from typing import Any
from uuid import uuid4

from buildbot.config import BuilderConfig
from buildbot.plugins import schedulers, steps, util
from buildbot.process.results import SUCCESS
from buildbot.test.util.integration import RunMasterBase
from twisted.internet import reactor
from twisted.internet.task import deferLater

from buildbot_drydock import Drydock, KubernetesPods, WorkerPool
from buildbot_drydock.latent.kubernetes.fields import OUR_LABELS
from tests.kubernetes_cluster import cluster, documented_rules

_PAUSE = 0.05


def bearer(text: str) -> str:
    """Return which resource a build ran on, by what it said of its environment."""
    (found,) = [each for each in text.split() if each.startswith("DRYDOCK_RESOURCE=")]
    return found


class TestBuildsInPods(RunMasterBase):
    def setUp(self) -> Any:
        self.cluster = cluster()
        self.namespace = self.cluster.new_namespace()
        self.addCleanup(self.cluster.remove_namespace, self.namespace)
        self.cluster.grant(self.namespace, documented_rules())
        self.blueprint = f"b{uuid4().hex[:12]}"
        return super().setUp()

    def all_pods(self) -> list[dict[str, Any]]:
        return self.cluster.pods(self.namespace, **{f"{OUR_LABELS}blueprint": self.blueprint})

    def configuration(self, directory: str, **fields: Any) -> dict[str, Any]:
        usual = {
            "namespace": self.namespace,
            "kubeconfig": self.cluster.user,
            "image": self.cluster.image,
            "image_pull_policy": "Never",
            "worker_version": "",
            "stop_grace": 1.0,
        }
        drydock = Drydock(
            blueprints=[KubernetesPods(self.blueprint, **{**usual, **fields})],
            workers=[
                WorkerPool(
                    "pods",
                    size=2,
                    masterFQDN=self.cluster.master,
                    keep_on_shutdown=False,
                    build_wait_timeout=0,
                )
            ],
        )
        where = "id -u; cat /etc/os-release; pwd; env"
        config: dict[str, Any] = {
            "db_url": f"sqlite:///{directory}/state.sqlite",
            "protocols": {"pb": {"port": f"tcp:0:interface={self.cluster.master}"}},
            "multiMaster": True,
            "schedulers": [schedulers.ForceScheduler(name="force", builderNames=["tests"])],
            "builders": [
                BuilderConfig(
                    name="tests",
                    workernames=drydock.workernames("pods"),
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

    async def build(self) -> str:
        """Let a build succeed in a pod; return what it said of where it was."""
        build = await self.doForceBuild(wantSteps=True, wantProperties=True, wantLogs=True)
        self.assertEqual(build["results"], SUCCESS, build)
        (where,) = [each for each in build["steps"] if each["name"] == "where"]
        return "".join(log["contents"]["content"] for log in where["logs"])

    async def until_no_pod_is_left(self) -> None:
        while self.all_pods():
            await deferLater(reactor, _PAUSE)

    async def test_each_build_has_a_pod_of_its_own(self) -> None:
        await self.start()
        first = await self.build()
        self.assertIn("Debian", first)
        self.assertIn("/root/drydock/", first)
        await self.until_no_pod_is_left()
        second = await self.build()
        await self.until_no_pod_is_left()
        self.assertNotEqual(bearer(first), bearer(second))
        await self.tested_master.shutdown()

    async def test_a_pod_may_serve_one_build_after_another(self) -> None:
        await self.start(max_uses=None, min_ready=1)
        while not self.all_pods():
            await deferLater(reactor, _PAUSE)
        first = await self.build()
        second = await self.build()
        self.assertEqual(bearer(first), bearer(second))
        self.assertEqual(len(self.all_pods()), 1)
        await self.tested_master.shutdown()

    async def test_a_build_runs_as_another_user_without_rights_in_little_memory(self) -> None:
        await self.start(
            run_as_user=65534,
            run_as_group=65534,
            run_as_non_root=True,
            env={"HOME": "/work"},
            volumes={"/work": {"emptyDir": {}}, "/tmp": {"emptyDir": {}}},
            read_only=True,
            cap_drop=["ALL"],
            limits={"memory": "400Mi", "cpu": 1},
        )
        text = await self.build()
        self.assertIn("65534", text)
        self.assertIn("/work/drydock/", text)
        await self.tested_master.shutdown()
