"""How soon a build starts: with Drydock, and with a latent worker of Buildbot's own.

All in one place, by one master, in turn: from the request of a build to its first step. For a place
that is called *kind*:

* ``kind.cold_ratio``: on a host that is made for the build, ours divided by Buildbot's;
* ``kind.warm_ratio``: on a host that is ready, divided by the same of Buildbot's, which has none that
  are.
"""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from bench_configuration import ConfigurationInMemory
from bench_results import Measured, measured
from buildbot.config import BuilderConfig
from buildbot.master import BuildMaster
from buildbot.plugins import util
from buildbot.process.buildstep import BuildStep
from buildbot.process.results import SUCCESS
from buildbot.worker.latent import AbstractLatentWorker
from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.task import deferLater

from buildbot_drydock import Drydock, WorkerPool
from buildbot_drydock.latent.definition import Definition
from buildbot_drydock.model import ResourceStatus

OURS = ("cold", "warm")  # the names of blueprints, of pools of workers, and of builders
THEIRS = "theirs"
ROUNDS = 6  # the first one warms up
POLL_SECONDS = 0.05
PATIENCE_SECONDS = 120.0
_SOURCE = {"codebase": "", "repository": "", "branch": None, "revision": None, "project": ""}


class Mark(BuildStep):
    """Notes when the first step of a build runs."""

    marked: Deferred[float] | None = None

    async def run(self) -> int:
        if Mark.marked is not None:
            marked, Mark.marked = Mark.marked, None
            marked.callback(time.time())
        return SUCCESS


class Beside:
    """A master with a builder for each way of having a host."""

    def __init__(self, directory: str, address: str, theirs: AbstractLatentWorker) -> None:
        """Workers reach the master by *address*."""
        os.makedirs(directory)
        self._address = address
        self._theirs = theirs
        self._url = f"sqlite:///{directory}/state.sqlite"
        self.master = BuildMaster(
            directory, reactor=reactor, config_loader=ConfigurationInMemory(self._configuration())
        )

    def blueprint(self, name: str, **keeping: Any) -> Definition:
        """Return a blueprint that keeps hosts so, and has its name for the label ``kind``."""
        raise NotImplementedError

    async def theirs_are_gone(self) -> bool:
        """Tell whether Buildbot's own worker has left nothing."""
        raise NotImplementedError

    def remove_ours(self) -> None:
        """Remove what is left as the master has stopped."""
        raise NotImplementedError

    def _configuration(self) -> dict[str, Any]:
        drydock = Drydock(
            blueprints=[self.blueprint("cold"), self.blueprint("warm", min_ready=1)],
            workers=[
                WorkerPool(
                    name,
                    size=1,
                    requires={"kind": name},
                    masterFQDN=self._address,
                    build_wait_timeout=0,
                    keep_on_shutdown=False,
                )
                for name in OURS
            ],
        )
        workers = {name: drydock.workernames(name) for name in OURS}
        workers[THEIRS] = [self._theirs.name]
        configuration: dict[str, Any] = {
            "configurators": [],
            "workers": [self._theirs],
            "db_url": self._url,
            "protocols": {"pb": {"port": f"tcp:0:interface={self._address}"}},
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
        self.remove_ours()

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

        await _until(is_complete, "the build to end")
        return float(seconds)

    async def is_at_rest(self) -> bool:
        """Tell whether nothing is left but a host that is ready."""
        service = self.master.service_manager.namedServices["drydock"]
        rows = await service.store.rows()
        return not rows.leases and [each.status for each in rows.resources] == [
            ResourceStatus.ACTIVE
        ]


async def _until(condition: Callable[[], Awaitable[bool]], what: str) -> None:
    for _ in range(int(PATIENCE_SECONDS / POLL_SECONDS)):
        if await condition():
            return
        await deferLater(reactor, POLL_SECONDS)
    raise SystemExit(f"waited {PATIENCE_SECONDS:.0f} s in vain for {what}")


async def seconds_of_starts(beside: Beside) -> dict[str, list[float]]:
    """Return how long each builder took, build by build."""
    seconds: dict[str, list[float]] = {name: [] for name in (*OURS, THEIRS)}
    await beside.start()
    try:
        for number in range(ROUNDS):
            for builder, found in seconds.items():
                await _until(beside.is_at_rest, "nothing to be left but a host that is ready")
                await _until(beside.theirs_are_gone, "Buildbot's own host to be gone")
                took = await beside.start_of_build(builder)
                if number:
                    found.append(took)
    finally:
        await beside.stop()
    return seconds


def compared(
    kind: str, seconds: dict[str, Sequence[float]], *, cold: str | None, warm: str | None
) -> list[Measured]:
    """Return the rows; *cold* and *warm* are the targets of the ratios."""
    median = {name: statistics.median(found) for name, found in seconds.items()}
    theirs = median[THEIRS]
    return [
        measured(f"{kind}.cold_seconds", median["cold"], "s to the first step"),
        measured(f"{kind}.warm_seconds", median["warm"], "s to the first step"),
        measured(f"{kind}.buildbot_seconds", theirs, "s to the first step"),
        measured(f"{kind}.cold_ratio", median["cold"] / theirs, "of Buildbot's", cold),
        measured(f"{kind}.warm_ratio", median["warm"] / theirs, "of Buildbot's", warm),
    ]
