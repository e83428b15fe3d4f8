"""A real master process, with a blueprint of pods on a real cluster."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from buildbot_drydock.latent.kubernetes.fields import OUR_LABELS
from tests.container_lab import SIGNS, SignLab
from tests.kubernetes_cluster import Cluster, documented_rules
from tests.lab import Ports


class Part:
    """A part of a cluster that can be killed."""

    def __init__(self, cluster: Cluster, name: str) -> None:
        self._cluster = cluster
        self._name = name

    def kill(self) -> None:
        self._cluster.kill(self._name)

    def start(self) -> None:
        self._cluster.start(self._name)

    def freeze(self) -> None:
        self._cluster.freeze(self._name)

    def thaw(self) -> None:
        self._cluster.thaw(self._name)


class KubernetesLab(SignLab):
    """A master in *directory*. *settings* go to ``tests/container_lab.cfg``, group by group."""

    def __init__(self, directory: Path, cluster: Cluster, **settings: Any) -> None:
        self.cluster = cluster
        self.namespace = cluster.new_namespace()
        cluster.grant(self.namespace, documented_rules())
        usual = self.prepare(
            directory,
            Ports(cluster.master),
            {
                "kind": "KubernetesPods",
                "pool": {
                    "namespace": self.namespace,
                    "kubeconfig": cluster.user,
                    "image": cluster.image,
                    "image_pull_policy": "Never",
                    "worker_version": "",
                    "limit": 4,
                    "poll_interval": 2.0,
                    "sweep_interval": 5.0,
                    "stop_grace": 1.0,
                },
            },
        )
        usual["pool"]["volumes"] = {SIGNS: {"hostPath": {"path": str(self.signs)}}}
        self.begin(directory, usual, settings)

    def found(self) -> dict[str, str]:
        return {
            each["metadata"]["labels"][f"{OUR_LABELS}token"]: each["status"].get("phase", "")
            for each in self.cluster.pods(self.namespace, **{f"{OUR_LABELS}blueprint": self.name})
        }

    def end(self) -> None:
        """Stop the master, if it runs, and remove what it left."""
        if self.master.process is not None:
            self.master.kill()
        self.cluster.remove_namespace(self.namespace)
