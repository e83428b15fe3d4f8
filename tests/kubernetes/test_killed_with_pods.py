"""A master, an API server or a kubelet that is killed in any phase leaves no pod without a living row."""

from __future__ import annotations

import tempfile
from pathlib import Path

from tests.killed import Killed
from tests.kubernetes_cluster import cluster
from tests.kubernetes_lab import KubernetesLab, Part


class TestKilledWithPods(Killed):
    __test__ = True

    @classmethod
    def setUpClass(cls) -> None:
        directory = Path(tempfile.mkdtemp(prefix="pods-", dir=Path.cwd()))
        cls.lab = KubernetesLab(directory, cluster())
        cls.addClassCleanup(cls.lab.end)

    def part(self, name: str) -> Part:
        assert isinstance(self.lab, KubernetesLab)
        return Part(self.lab.cluster, name)

    @property
    def server(self) -> Part:
        return self.part("apiserver")

    def test_a_kubelet_killed_while_a_build_runs(self) -> None:
        request = self.lab.held("kubelet")
        self.lab.until(lambda: self.lab.has_begun("kubelet"), "a build to run")
        self.part("kubelet").kill()
        self.lab.let_go("kubelet")
        self.part("kubelet").start()
        self.settled(request)

    def test_a_kubelet_killed_while_a_pod_is_made(self) -> None:
        request = self.lab.request()
        self.lab.until(self.lab.found, "a pod")
        self.part("kubelet").kill()
        self.part("kubelet").start()
        self.settled(request)
