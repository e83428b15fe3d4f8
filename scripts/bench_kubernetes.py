"""How soon a build starts in a pod, beside Buildbot's own KubeLatentWorker on the same cluster.

The cluster is that of ``scripts/with_kubernetes.sh``; without it there are no rows. It is no part of
``bench.py`` yet: after most runs its master does not stop, as Buildbot's own worker has come back.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from bench_results import Measured
from bench_starts import THEIRS, Beside, compared, seconds_of_starts
from buildbot.util.kubeclientservice import KubeHardcodedConfig
from buildbot.worker.kubernetes import KubeLatentWorker

ROOT = Path(__file__).resolve().parents[1]
sys.path.append(str(ROOT))  # for what tests share

from buildbot_drydock import KubernetesPods  # noqa: E402
from tests.kubernetes_cluster import Cluster, cluster, documented_rules  # noqa: E402

VARIABLE = "DRYDOCK_TEST_KUBERNETES"
_TRUSTED = "SSL_CERT_FILE"  # a variable of OpenSSL
# What an image for Buildbot's worker has for its command; pods of ours need none that has one.
_THEIR_COMMAND = (
    'buildbot-worker create-worker /tmp/w "$BUILDMASTER:$BUILDMASTER_PORT" "$WORKERNAME" '
    '"$WORKERPASS" && exec buildbot-worker start --nodaemon /tmp/w'
)


class TheirPods(KubeLatentWorker):
    """Buildbot's own, with a command, as its manual has it: by a pod of one's own."""

    async def getPodSpec(self, build: Any) -> dict[str, Any]:
        pod: dict[str, Any] = await super().getPodSpec(build)
        (container,) = pod["spec"]["containers"]
        container["command"] = ["/bin/sh", "-c", _THEIR_COMMAND]
        return pod


class OnACluster(Beside):
    def __init__(self, on: Cluster, directory: str) -> None:
        self.cluster = on
        self.namespace = on.new_namespace()
        on.grant(self.namespace, documented_rules())
        access = on.api.api_client.configuration
        (token,) = [each["value"] for each in access.auth_settings().values()]
        theirs = TheirPods(
            THEIRS,
            image=on.image,
            namespace=self.namespace,
            masterFQDN=on.master,
            kube_config=KubeHardcodedConfig(
                master_url=access.host,
                bearerToken=token.removeprefix("Bearer "),
                namespace=self.namespace,
            ),
        )
        super().__init__(directory, on.master, theirs)

    def blueprint(self, name: str, **keeping: Any) -> KubernetesPods:
        return KubernetesPods(
            name,
            labels={"kind": name},
            namespace=self.namespace,
            kubeconfig=self.cluster.user,
            image=self.cluster.image,
            image_pull_policy="Never",
            worker_version="",
            limit=2,
            **keeping,
        )

    async def theirs_are_gone(self) -> bool:
        names = [each["metadata"]["name"] for each in self.cluster.pods(self.namespace)]
        return not any(each.startswith(f"buildbot-{THEIRS}") for each in names)

    def remove_ours(self) -> None:
        self.cluster.remove_namespace(self.namespace)


@contextmanager
def trusting(certificate: str) -> Iterator[None]:
    """Let Buildbot's own HTTPS client trust a server: it takes no certificate from anywhere else."""
    before = os.environ.get(_TRUSTED)
    os.environ[_TRUSTED] = certificate
    try:
        yield
    finally:
        if before is None:
            del os.environ[_TRUSTED]
        else:
            os.environ[_TRUSTED] = before


async def pods(directory: str) -> list[Measured]:
    """Return how builds start in pods, with Drydock and without."""
    if not os.environ.get(VARIABLE):
        print("pods: left out: as root on Debian, run it with scripts/with_kubernetes.sh")
        return []
    on = cluster()
    beside = OnACluster(on, os.path.join(directory, "pods"))
    with trusting(on.api.api_client.configuration.ssl_ca_cert):
        seconds = await seconds_of_starts(beside)
    return compared("kubernetes", seconds, cold=None, warm=None)
