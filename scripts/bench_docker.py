"""How soon a build starts in a container: with Drydock, and with Buildbot's own DockerLatentWorker.

All on one Docker engine, by one master, in turn: from the request of a build to its first step.

* ``docker.cold_ratio``: in a container that is made for the build, ours divided by Buildbot's;
* ``docker.warm_ratio``: in a container that is ready, divided by the same of Buildbot's, which has
  none that are.

The engine is that of ``scripts/with_docker.sh``; without it there are no rows.
"""

from __future__ import annotations

import os
import statistics
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from bench_results import Measured, measured
from buildbot.config import BuilderConfig
from buildbot.config.master import MasterConfig
from buildbot.master import BuildMaster
from buildbot.plugins import util
from buildbot.process.buildstep import BuildStep
from buildbot.process.results import SUCCESS
from buildbot.worker.docker import DockerLatentWorker
from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.task import deferLater

ROOT = Path(__file__).resolve().parents[1]
sys.path.append(str(ROOT))  # for what tests share

from buildbot_drydock import DockerPool, Drydock, WorkerPool  # noqa: E402
from buildbot_drydock.latent.docker.fields import OUR_LABELS  # noqa: E402
from buildbot_drydock.model import ResourceStatus  # noqa: E402
from tests.containers import Engine, engine  # noqa: E402

VARIABLE = "DRYDOCK_TEST_ENGINES"
ROUNDS = 6  # the first one warms up
POLL_SECONDS = 0.05
PATIENCE_SECONDS = 120.0
_SOURCE = {"codebase": "", "repository": "", "branch": None, "revision": None, "project": ""}
# As the manual of Buildbot has it for an image without a start script of its own.
_THEIR_COMMAND = (
    'buildbot-worker create-worker /tmp/w "$BUILDMASTER:$BUILDMASTER_PORT" "$WORKERNAME" '
    '"$WORKERPASS" && exec buildbot-worker start --nodaemon /tmp/w'
)


class Mark(BuildStep):
    """Notes when the first step of a build runs."""

    marked: Deferred[float] | None = None

    async def run(self) -> int:
        if Mark.marked is not None:
            marked, Mark.marked = Mark.marked, None
            marked.callback(time.time())
        return SUCCESS


class ConfigurationInMemory:
    """Loads what is given, as ``FileLoader`` does a file."""

    def __init__(self, content: dict[str, Any]) -> None:
        self._content = content

    def loadConfig(self) -> MasterConfig:
        return MasterConfig.loadFromDict(self._content, "the benchmark's")


class Beside:
    """A master with a builder for each way of having a container."""

    def __init__(self, on: Engine, directory: str) -> None:
        self.engine = on
        self._url = f"sqlite:///{directory}/state.sqlite"
        self.master = BuildMaster(
            directory, reactor=reactor, config_loader=ConfigurationInMemory(self._configuration())
        )

    def _configuration(self) -> dict[str, Any]:
        usual = {
            "hosts": [self.engine.url],
            "image": self.engine.image,
            "networks": ["host"],
            "pull": "never",
            "worker_version": "",
            "limit": 2,
        }
        drydock = Drydock(
            blueprints=[
                DockerPool("cold", **usual, labels={"kind": "cold"}),
                DockerPool("warm", **usual, labels={"kind": "warm"}, min_ready=1),
            ],
            workers=[
                WorkerPool(
                    name,
                    size=1,
                    requires={"kind": name},
                    masterFQDN="127.0.0.1",
                    build_wait_timeout=0,
                    keep_on_shutdown=False,
                )
                for name in ("cold", "warm")
            ],
        )
        theirs = DockerLatentWorker(
            "theirs",
            None,
            docker_host=self.engine.url,
            image=self.engine.image,
            command=["/bin/sh", "-c", _THEIR_COMMAND],
            hostconfig={"network_mode": "host", "init": True},
            masterFQDN="127.0.0.1",
        )
        workers = {
            "cold": drydock.workernames("cold"),
            "warm": drydock.workernames("warm"),
            "theirs": ["theirs"],
        }
        configuration: dict[str, Any] = {
            "configurators": [],
            "workers": [theirs],
            "db_url": self._url,
            "protocols": {"pb": {"port": "tcp:0:interface=127.0.0.1"}},
            "buildbotNetUsageData": None,
            "multiMaster": True,  # so that builders need no schedulers
            "builders": [
                BuilderConfig(name=name, workernames=names, factory=util.BuildFactory([Mark()]))
                for name, names in workers.items()
            ],
        }
        drydock.configure(configuration)
        return configuration

    async def start(self) -> None:
        self.master.config.db.db_url = self._url
        await self.master.db.setup(check_version=False)
        await self.master.db.model.upgrade()
        self.master.db.setup = lambda: None
        await self.master.startService()

    async def stop(self) -> None:
        await self.master.stopService()
        await self.master.db.pool.stop()
        for name in ("cold", "warm"):
            for each in self.engine.containers(f"{OUR_LABELS}blueprint={name}"):
                self.engine.remove(each["Id"])

    async def start_of_build(self, builder: str) -> float:
        """Request a build; return the seconds until its first step, once it has ended."""
        marked: Deferred[float] = Deferred()
        Mark.marked = marked
        number = await self.master.data.updates.findBuilderId(builder)
        began = time.time()
        _, requests = await self.master.data.updates.addBuildset(
            waited_for=False, builderids=[number], sourcestamps=[_SOURCE]
        )
        seconds = await marked.addTimeout(PATIENCE_SECONDS, reactor) - began

        async def is_complete() -> bool:
            row = await self.master.data.get(("buildrequests", requests[number]))
            return bool(row["complete"])

        await until(is_complete, "the build to end")
        return float(seconds)

    async def is_at_rest(self) -> bool:
        """Tell whether nothing is left but a container that is ready."""
        service = self.master.service_manager.namedServices["drydock"]
        rows = await service.store.rows()
        return not rows.leases and [each.status for each in rows.resources] == [
            ResourceStatus.ACTIVE
        ]

    async def theirs_are_gone(self) -> bool:
        found = self.engine.client.containers(all=True, filters={"name": "buildbot-theirs"})
        return not found


async def until(condition: Callable[[], Awaitable[bool]], what: str) -> None:
    for _ in range(int(PATIENCE_SECONDS / POLL_SECONDS)):
        if await condition():
            return
        await deferLater(reactor, POLL_SECONDS)
    raise SystemExit(f"waited {PATIENCE_SECONDS:.0f} s in vain for {what}")


async def containers(directory: str) -> list[Measured]:
    """Return how builds start in containers, with Drydock and without."""
    if not os.environ.get(VARIABLE):
        return []
    place = os.path.join(directory, "containers")
    os.makedirs(place)
    beside = Beside(engine("docker"), place)
    seconds: dict[str, list[float]] = {"cold": [], "warm": [], "theirs": []}
    await beside.start()
    try:
        for number in range(ROUNDS):
            for builder, found in seconds.items():
                await until(beside.is_at_rest, "the engine to be at rest")
                await until(beside.theirs_are_gone, "Buildbot's container to be gone")
                took = await beside.start_of_build(builder)
                if number:
                    found.append(took)
    finally:
        await beside.stop()
    median = {name: statistics.median(found) for name, found in seconds.items()}
    return [
        measured("docker.cold_seconds", median["cold"], "s to the first step"),
        measured("docker.warm_seconds", median["warm"], "s to the first step"),
        measured("docker.buildbot_seconds", median["theirs"], "s to the first step"),
        measured("docker.cold_ratio", median["cold"] / median["theirs"], "of Buildbot's"),
        measured("docker.warm_ratio", median["warm"] / median["theirs"], "of Buildbot's"),
    ]
