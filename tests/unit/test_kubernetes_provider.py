"""The provider of pods on a cluster in memory: what a real one does not show at will."""

from __future__ import annotations

from typing import Any

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from buildbot_drydock.errors import HostUnreachable
from buildbot_drydock.latent.fitness import Interpreters
from buildbot_drydock.latent.kubernetes.explaining import Explanations
from buildbot_drydock.latent.kubernetes.fields import labels_of
from buildbot_drydock.latent.kubernetes.nodes import Nodes
from buildbot_drydock.latent.kubernetes.provider import KubernetesProvider, Rules
from buildbot_drydock.model import Health

INSTALLATION, BLUEPRINT = "0123456789abcdef", "linux"
_FAR_TIME = 60.0
_RUNNING = {
    "metadata": {
        "name": "drydock-1",
        "uid": "uid-1",
        "labels": dict(labels_of(INSTALLATION, BLUEPRINT, "drydock-1")),
        "creationTimestamp": "2020-09-13T12:26:30Z",
    },
    "spec": {"nodeName": "node1"},
    "status": {
        "phase": "Running",
        "containerStatuses": [
            {"name": "build", "imageID": "sha256:1", "state": {"running": {"startedAt": "x"}}}
        ],
    },
}


class OneThatRuns:
    """A cluster with one pod, in which nothing can be run."""

    where, namespace = "here", "builds"
    shown = "pod drydock-1"
    attempts = 0

    async def pods(self, selector: str) -> list[Any]:
        return [_RUNNING]

    def machine(self, pod: str, container: str) -> Any:
        return self

    async def exchange(self, request: Any) -> Any:
        self.attempts += 1
        raise HostUnreachable("its node does not answer")

    async def close(self, threads: Any) -> None:
        pass


class Launcher:
    container = "build"


class TestAPodOfAnEarlierMaster(SynchronousTestCase):
    """One that was made before this master began."""

    def setUp(self) -> None:
        self.cluster: Any = OneThatRuns()
        self.clock = Clock()
        self.wakes = 0
        launcher: Any = Launcher()
        no_threads: Any = None

        async def no_python(host: Any) -> str:
            raise AssertionError("nothing can be run")

        def wake() -> None:
            self.wakes += 1

        self.provider = KubernetesProvider(
            self.cluster,
            launcher,
            Interpreters(no_python, "drydock"),
            Explanations(self.cluster),
            Nodes(lambda event: None),
            Rules(
                installation=INSTALLATION, blueprint=BLUEPRINT, directory="drydock", stop_grace=1.0
            ),
            reactor=self.clock,
            threads=no_threads,
            wake=wake,
        )

    def list(self) -> Health:
        found = self.successResultOf(self.provider.inventory())
        (seen,) = found
        return seen.health

    def test_one_whose_node_does_not_answer_is_not_asked_again_and_again(self) -> None:
        for _ in range(5):
            self.assertIs(self.list(), Health.STARTING)
        self.assertEqual((self.cluster.attempts, self.wakes), (1, 0))
        self.clock.advance(_FAR_TIME)
        self.assertEqual(self.wakes, 1)
        self.list()
        self.assertEqual(self.cluster.attempts, 2)

    def test_nothing_is_waited_for_once_it_is_closed(self) -> None:
        self.list()
        self.successResultOf(self.provider.close())
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.assertEqual(self.wakes, 0)
