"""The engines of ``scripts/with_docker.sh``: what they are, and what can happen to them."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any
from uuid import uuid4

import docker
import psutil
from twisted.trial.unittest import SkipTest

_VARIABLE = "DRYDOCK_TEST_ENGINES"


@dataclass(frozen=True, kw_only=True)
class Engine:
    """One engine. Its methods block for a moment."""

    kind: str  # docker or podman
    url: str
    image: str  # Debian, with Python, git and buildbot-worker
    small_image: str  # nothing but busybox
    server: str  # the file with the number of its process
    start_script: str
    tls_url: str = ""
    certificates: str = ""  # the directory with ca.pem, cert.pem and key.pem

    @cached_property
    def client(self) -> Any:
        return docker.APIClient(base_url=self.url, version="auto", timeout=60)

    def containers(self, *labels: str) -> list[dict[str, Any]]:
        """Return all containers with some labels, whatever state they are in."""
        found: list[dict[str, Any]] = self.client.containers(
            all=True, filters={"label": list(labels)}
        )
        return found

    def run(self, *argv: str, image: str = "", **options: Any) -> str:
        """Start a container of the test's own, for which somebody else cares; return its id."""
        created = self.client.create_container(
            image or self.image,
            command=list(argv) or ["sleep", "3600"],
            name=f"drydock-test-{uuid4().hex[:12]}",
            host_config=self.client.create_host_config(network_mode="host", init=True),
            **options,
        )
        self.client.start(created["Id"])
        return str(created["Id"])

    def remove(self, container: str) -> None:
        with suppress(docker.errors.NotFound):
            self.client.remove_container(container, force=True, v=True)

    def remove_image(self, image: str) -> None:
        with suppress(docker.errors.NotFound):
            self.client.remove_image(image, force=True)

    # --- what happens to it -------------------------------------------------------------------

    def kill(self) -> None:
        """Kill the engine's server with SIGKILL; returns once it has gone."""
        self.client.close()
        process = psutil.Process(int(Path(self.server).read_text()))
        process.send_signal(signal.SIGKILL)
        with suppress(psutil.Error):
            process.wait(30)

    def start(self) -> None:
        """Start the engine's server again; returns once it answers."""
        subprocess.run([self.start_script], check=True, stdin=subprocess.DEVNULL)

    def freeze(self) -> None:
        """Let the server hang: it accepts connections and says nothing."""
        psutil.Process(int(Path(self.server).read_text())).suspend()

    def thaw(self) -> None:
        psutil.Process(int(Path(self.server).read_text())).resume()


def engines() -> list[Engine]:
    """Return the engines there are, or skip the test and say how to have some."""
    path = os.environ.get(_VARIABLE)
    if not path:
        raise SkipTest(f"no container engines: run it with scripts/with_docker.sh ({_VARIABLE})")
    return [Engine(**each) for each in json.loads(Path(path).read_text())]


def engine(kind: str) -> Engine:
    """Return the engine of a kind."""
    (found,) = [each for each in engines() if each.kind == kind]
    return found
