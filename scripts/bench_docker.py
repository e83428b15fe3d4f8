"""How soon a build starts in a container, beside Buildbot's own DockerLatentWorker on the same engine.

The engine is that of ``scripts/with_docker.sh``; without it there are no rows.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

from bench_results import Measured
from bench_starts import OURS, THEIRS, Beside, compared, seconds_of_starts
from buildbot.worker.docker import DockerLatentWorker

ROOT = Path(__file__).resolve().parents[1]
sys.path.append(str(ROOT))  # for what tests share

from buildbot_drydock import DockerPool  # noqa: E402
from buildbot_drydock.latent.docker.fields import OUR_LABELS  # noqa: E402
from tests.containers import Engine, engine  # noqa: E402

VARIABLE = "DRYDOCK_TEST_ENGINES"
_ADDRESS = "127.0.0.1"
# As the manual of Buildbot has it for an image without a start script of its own.
_THEIR_COMMAND = (
    'buildbot-worker create-worker /tmp/w "$BUILDMASTER:$BUILDMASTER_PORT" "$WORKERNAME" '
    '"$WORKERPASS" && exec buildbot-worker start --nodaemon /tmp/w'
)


class OnAnEngine(Beside):
    def __init__(self, on: Engine, directory: str) -> None:
        self.engine = on
        theirs = DockerLatentWorker(
            THEIRS,
            None,
            docker_host=on.url,
            image=on.image,
            command=["/bin/sh", "-c", _THEIR_COMMAND],
            hostconfig={"network_mode": "host", "init": True},
            masterFQDN=_ADDRESS,
        )
        super().__init__(directory, _ADDRESS, theirs)

    def blueprint(self, name: str, **keeping: Any) -> DockerPool:
        return DockerPool(
            name,
            labels={"kind": name},
            hosts=[self.engine.url],
            image=self.engine.image,
            networks=["host"],
            pull="never",
            worker_version="",
            limit=2,
            **keeping,
        )

    async def theirs_are_gone(self) -> bool:
        found = self.engine.client.containers(all=True, filters={"name": f"buildbot-{THEIRS}"})
        return not found

    def remove_ours(self) -> None:
        for name in OURS:
            for each in self.engine.containers(f"{OUR_LABELS}blueprint={name}"):
                self.engine.remove(each["Id"])


async def containers(directory: str) -> list[Measured]:
    """Return how builds start in containers, with Drydock and without."""
    if not os.environ.get(VARIABLE):
        print("containers: left out: as root on Debian, run it with scripts/with_docker.sh")
        return []
    beside = OnAnEngine(engine("docker"), os.path.join(directory, "containers"))
    return compared("docker", await seconds_of_starts(beside), cold=None, warm=None)
