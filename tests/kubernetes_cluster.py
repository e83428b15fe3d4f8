"""The cluster of ``scripts/with_kubernetes.sh``: what it is, and what can happen to it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timezone
from functools import cached_property
from pathlib import Path
from threading import Event
from typing import Any
from uuid import uuid4

import kubernetes.client
import kubernetes.config
import psutil
import yaml
from kubernetes.client.exceptions import ApiException
from twisted.trial.unittest import SkipTest

_VARIABLE = "DRYDOCK_TEST_KUBERNETES"
_DOCS = Path(__file__).resolve().parents[1] / "docs" / "kubernetes.md"
_PAUSE = 0.1


@dataclass(frozen=True, kw_only=True)
class Cluster:
    """One cluster of one node, ``localhost``. Its methods block for a moment."""

    admin: str  # a kubeconfig of somebody who may do anything
    user: str  # one of ``buildbot``, who may do nothing
    image: str  # Debian, with Python, git and buildbot-worker
    small_image: str  # nothing but busybox
    master: str  # the address by which pods reach this machine
    apiserver: str  # the file with the number of its process
    start_apiserver: str
    kubelet: str
    start_kubelet: str

    @cached_property
    def api(self) -> Any:
        return kubernetes.client.CoreV1Api(self._client(self.admin))

    @cached_property
    def rights(self) -> Any:
        return kubernetes.client.RbacAuthorizationV1Api(self._client(self.admin))

    @cached_property
    def scheduling(self) -> Any:
        return kubernetes.client.SchedulingV1Api(self._client(self.admin))

    def _client(self, path: str) -> Any:
        configuration = kubernetes.client.Configuration()
        kubernetes.config.load_kube_config(path, client_configuration=configuration)
        configuration.retries = 3
        return kubernetes.client.ApiClient(configuration)

    # --- namespaces ---------------------------------------------------------------------------

    def new_namespace(self) -> str:
        """Make a namespace that is ready for pods; whoever has it removes it."""
        name = f"test-{uuid4().hex[:12]}"
        self.api.create_namespace({"metadata": {"name": name}})
        while not any(
            each.secrets for each in self.api.list_namespaced_service_account(name).items
        ):
            pause()
        # A node that was away bears a mark for a while, and lets no pod in.
        while any(each.spec.taints for each in self.api.list_node().items):
            pause()
        return name

    def remove_namespace(self, name: str) -> None:
        """Remove a namespace with all that is in it; it need not have ended when this returns."""
        for pod in self.pods(name):
            with suppress(ApiException):
                self.api.delete_namespaced_pod(
                    pod["metadata"]["name"], name, body={"gracePeriodSeconds": 0}
                )
        with suppress(ApiException):
            self.api.delete_namespace(name)

    def pods(self, namespace: str, **labels: str) -> list[dict[str, Any]]:
        """Return all pods with some labels, as the API has them."""
        selector = ",".join(f"{name}={value}" for name, value in labels.items())
        response = self.api.list_namespaced_pod(
            namespace, label_selector=selector, _preload_content=False
        )
        return list(json.loads(response.data)["items"])

    def run(self, namespace: str, *argv: str, image: str = "", **spec: Any) -> str:
        """Have a pod run of the test's own, for which somebody else cares; return its name."""
        name = f"drydock-test-{uuid4().hex[:12]}"
        container = {
            "name": "build",
            "image": image or self.image,
            "imagePullPolicy": "Never",
            "command": list(argv) or ["sleep", "3600"],
        }
        self.api.create_namespaced_pod(
            namespace,
            {"metadata": {"name": name}, "spec": {"containers": [container], **spec}},
        )
        while self.api.read_namespaced_pod(name, namespace).status.phase == "Pending":
            pause()
        return name

    # --- who may do what ------------------------------------------------------------------------

    def grant(self, namespace: str, rules: Sequence[Mapping[str, Any]]) -> None:
        """Let the user ``buildbot`` have just these rights in a namespace."""
        name = {"name": "drydock"}
        with suppress(ApiException):
            self.rights.delete_namespaced_role("drydock", namespace)
        self.rights.create_namespaced_role(namespace, {"metadata": name, "rules": list(rules)})
        binding = {
            "metadata": name,
            "roleRef": {
                "apiGroup": "rbac.authorization.k8s.io",
                "kind": "Role",
                "name": "drydock",
            },
            "subjects": [
                {"kind": "User", "name": "buildbot", "apiGroup": "rbac.authorization.k8s.io"}
            ],
        }
        with suppress(ApiException):
            self.rights.delete_namespaced_role_binding("drydock", namespace)
        self.rights.create_namespaced_role_binding(namespace, binding)

    # --- what happens to it -------------------------------------------------------------------

    def kill(self, part: str) -> None:
        """Kill a part, ``apiserver`` or ``kubelet``, with SIGKILL; returns once it has gone."""
        process = self._process(part)
        process.send_signal(signal.SIGKILL)
        with suppress(psutil.NoSuchProcess):
            # Nobody may bury it for a while.
            while process.status() != psutil.STATUS_ZOMBIE:
                pause()

    def start(self, part: str) -> None:
        """Start a part again; returns once it is ready."""
        began = datetime.now(timezone.utc)
        subprocess.run([getattr(self, f"start_{part}")], check=True, stdin=subprocess.DEVNULL)
        if part == "kubelet":
            self._until_it_tells(began)

    def freeze(self, part: str) -> None:
        """Let a part hang."""
        self._process(part).suspend()

    def thaw(self, part: str) -> None:
        """Let a part go on; returns once it does."""
        began = datetime.now(timezone.utc)
        self._process(part).resume()
        if part == "kubelet":
            self._until_it_tells(began)

    def _until_it_tells(self, began: datetime) -> None:
        """Wait until the kubelet has told that it is well: what is known is of before."""
        while True:
            (node,) = self.api.list_node().items
            (ready,) = [each for each in node.status.conditions if each.type == "Ready"]
            if ready.status == "True" and ready.last_heartbeat_time > began:
                return
            pause()

    def _process(self, part: str) -> psutil.Process:
        return psutil.Process(int(Path(getattr(self, part)).read_text()))


def pause() -> None:
    """Let a moment pass before one looks again."""
    Event().wait(_PAUSE)


def cluster() -> Cluster:
    """Return the cluster, or skip the test and say how to have one."""
    path = os.environ.get(_VARIABLE)
    if not path:
        raise SkipTest(
            f"no Kubernetes cluster: run it with scripts/with_kubernetes.sh ({_VARIABLE})"
        )
    return Cluster(**json.loads(Path(path).read_text()))


def documented_rules() -> list[dict[str, Any]]:
    """Return the rules of the Role that docs/kubernetes.md prints."""
    text = _DOCS.read_text()
    begin = text.index("kind: Role\n")
    block = text[text.rindex("```yaml\n", 0, begin) + len("```yaml\n") : text.index("```\n", begin)]
    (role,) = [each for each in yaml.safe_load_all(block) if each["kind"] == "Role"]
    return list(role["rules"])


def a_file(content: str, suffix: str) -> str:
    """Write a temporary file, in the directory of the test's own run; return its path."""
    handle, path = tempfile.mkstemp(suffix=suffix, dir=Path.cwd())
    with os.fdopen(handle, "w") as file:
        file.write(content)
    return path
