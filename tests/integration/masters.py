"""A whole Buildbot master on a fake clock, with synthetic hosts and workers that log in on demand."""

from __future__ import annotations

import os
import warnings
from pathlib import Path
from typing import Any

from buildbot.config import BuilderConfig
from buildbot.plugins import util
from buildbot.process.properties import Properties
from buildbot.test.fake.step import BuildStepController
from buildbot.test.util.integration import RunFakeMasterTestCase, TestedMaster
from buildbot_worker.bot import LocalWorker
from twisted.internet import reactor as real_reactor
from twisted.internet.defer import maybeDeferred
from twisted.internet.task import deferLater

from buildbot_drydock import buildbot_hooks
from buildbot_drydock.config import Drydock
from buildbot_drydock.latent.synthetic import SyntheticCloud, SyntheticPool
from buildbot_drydock.latent.worker import DrydockWorker
from buildbot_drydock.model import Lease, LeaseStatus
from buildbot_drydock.service import DrydockService
from buildbot_drydock.workerpool import WorkerPool
from tests.prepared_database import copy_database

# Buildbot's tests turn all warnings into errors when they are imported, those of other packages too.
warnings.filterwarnings("default")

PORT = 9989
ROUNDS = 30  # of the reactor, in which what can happen now has happened


class DrydockMasterTestCase(RunFakeMasterTestCase):
    """Tests of one master with one blueprint, ``linux``, and one pool of the same name."""

    def setUp(self) -> None:
        super().setUp()
        self.patch(buildbot_hooks, "login_port", lambda worker: PORT)
        self.step = BuildStepController()
        self.basedir = os.path.abspath(self.mktemp())
        self.remotes: dict[str, LocalWorker] = {}
        self.blueprint_name = "linux"
        self.blueprint: dict[str, Any] = {"limit": 1}
        self.pool: dict[str, Any] = {"size": 1, "keep_on_shutdown": False}
        self.builders = ["tests"]
        self.builders_without_workers: set[str] = set()
        self.settings: dict[str, Any] = {}
        self.addCleanup(self.finish_build)

    # --- the master --------------------------------------------------------------------------

    def configuration(self) -> dict[str, Any]:
        drydock = Drydock(
            blueprints=[SyntheticPool(self.blueprint_name, **self.blueprint)],
            workers=[WorkerPool("linux", **self.pool), WorkerPool("other", size=1)],
            **self.settings,
        )
        names = {True: drydock.workernames("other"), False: drydock.workernames("linux")}
        config: dict[str, Any] = {
            "protocols": {"null": {}},
            "multiMaster": True,
            "db_url": f"sqlite:///{self.basedir}/state.sqlite",
            "builders": [
                BuilderConfig(
                    name=name,
                    workernames=names[name in self.builders_without_workers],
                    factory=util.BuildFactory([self.step.step]),
                    collapseRequests=False,
                )
                for name in self.builders
            ],
            "workers": [],
        }
        drydock.configure(config)
        return config

    async def start(self) -> None:
        await copy_database(Path(self.basedir, "state.sqlite"))
        self.tested_master = TestedMaster()
        self.master = await self.tested_master.create_master(
            self, self.reactor, self.configuration(), basedir=self.basedir
        )
        await self.settle()

    async def stop(self) -> None:
        for name in list(self.remotes):
            await self.log_out(name)
        stopping = self.tested_master.shutdown()
        while not stopping.called:
            await self.advance(1)
        await stopping

    async def reconfigure(self) -> None:
        self.master.config_loader.config_dict = self.configuration()
        await self.master.doReconfig()
        await self.settle()

    @property
    def service(self) -> DrydockService:
        service: DrydockService = self.master.service_manager.namedServices["drydock"]
        return service

    @property
    def cloud(self) -> SyntheticCloud:
        return self.service._providers["linux"]._cloud  # type: ignore[attr-defined, no-any-return]

    def worker(self, name: str = "linux-001") -> DrydockWorker:
        worker: DrydockWorker = self.master.workers.workers[name]
        return worker

    # --- time --------------------------------------------------------------------------------

    async def settle(self) -> None:
        """Let all happen that needs no time to pass."""
        for _ in range(ROUNDS):
            await deferLater(real_reactor, 0)
            self.reactor.advance(0)

    async def advance(self, seconds: float) -> None:
        """Let time pass, in steps short enough for whatever waits for what."""
        step = 1.0 if seconds < 20 else 15.0
        while seconds > 0:
            self.reactor.advance(min(step, seconds))
            seconds -= step
            await self.settle()

    # --- builds ------------------------------------------------------------------------------

    async def request_build(self, builder: str = "tests", **properties: str) -> int:
        """Ask for a build; return the id of the build request."""
        number = await self.master.data.updates.findBuilderId(builder)
        asked = Properties(**properties).asDict() if properties else None
        _, requests = await self.master.data.updates.addBuildset(
            waited_for=False, builderids=[number], sourcestamps=[_SOURCE], properties=asked
        )
        await self.advance(1)
        return int(requests[number])

    async def results(self) -> list[int | None]:
        """Return the results of all builds, oldest first."""
        builds = await self.master.data.get(("builds",))
        return [each["results"] for each in sorted(builds, key=lambda b: b["buildid"])]

    async def is_complete(self, request: int) -> bool:
        row = await self.master.data.get(("buildrequests", request))
        return bool(row["complete"])

    async def texts(self) -> str:
        """Return all that the builds' logs say."""
        found = []
        for build in await self.master.data.get(("builds",)):
            for step in await self.master.data.get(("builds", build["buildid"], "steps")):
                for log in await self.master.data.get(("steps", step["stepid"], "logs")):
                    content = await self.master.data.get(("logs", log["logid"], "contents"))
                    found.append(content["content"])
        return "\n".join(found)

    async def stop_build(self) -> None:
        builds = await self.master.data.get(("builds",))
        number = max(each["buildid"] for each in builds)
        await self.master.data.control("stop", {"reason": "a test"}, ("builds", str(number)))
        await self.settle()

    async def finish(self, result: int = 0) -> None:
        self.step.finish_step(result)
        await self.settle()

    def finish_build(self) -> None:
        self.step.auto_finish_step(0)

    # --- leases and processes ----------------------------------------------------------------

    async def leases(self) -> list[Lease]:
        """Return the leases that are living."""
        rows = await self.service.store.rows()
        living = (LeaseStatus.PENDING, LeaseStatus.ACQUIRED, LeaseStatus.ACTIVE)
        return [lease for lease in rows.leases if lease.status in living]

    async def lease(self, number: int) -> Lease:
        found = await self.service.store.lease(number)
        assert found is not None
        return found

    def processes(self) -> list[str]:
        """Return the tags of all worker processes that run."""
        return sorted(tag for tags in self.cloud.tags().values() for tag in tags)

    async def log_in(self, name: str = "linux-001") -> None:
        """Let a worker's process connect, as it does once it has been started."""
        worker = self.worker(name)
        await self.log_out(name)
        directory = self.mktemp()
        os.makedirs(directory)
        remote = LocalWorker(name, directory, False)
        self.remotes[name] = remote
        try:
            # As setServiceParent does, which would not tell how it ends.
            remote.parent = worker
            await maybeDeferred(worker.addService, remote)
        finally:
            await self.settle()

    async def log_out(self, name: str = "linux-001") -> None:
        """Let the connection of a worker's process break."""
        remote = self.remotes.pop(name, None)
        if remote is None:
            return
        worker = self.master.workers.workers.get(name)
        if worker is not None and worker.conn is not None and worker.conn.worker is remote:
            worker.conn.loseConnection()
        if remote.parent is not None:
            await maybeDeferred(remote.disownServiceParent)
        await self.settle()


_SOURCE = {"codebase": "", "repository": "", "branch": None, "revision": None, "project": ""}
