"""A real master, a real database file, real worker processes."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from typing import Any

from buildbot.config import BuilderConfig
from buildbot.plugins import schedulers, steps, util
from buildbot.process.results import SUCCESS
from buildbot.test.util.integration import RunMasterBase

from buildbot_drydock.config import Drydock
from buildbot_drydock.latent.local import LocalProcesses
from buildbot_drydock.model import Lease, LeaseStatus
from buildbot_drydock.remote.processes import TAG_MARK, marked
from buildbot_drydock.workerpool import WorkerPool


def configuration(directory: str, **pool: Any) -> dict[str, Any]:
    drydock = Drydock(
        blueprints=[LocalProcesses("local", limit=2, directory=directory)],
        workers=[WorkerPool("local", **{"size": 1, **pool})],
    )
    config: dict[str, Any] = {
        "db_url": f"sqlite:///{directory}/state.sqlite",
        "protocols": {"pb": {"port": "tcp:0:interface=127.0.0.1"}},
        "multiMaster": True,
        "schedulers": [schedulers.ForceScheduler(name="force", builderNames=["tests"])],
        "builders": [
            BuilderConfig(
                name="tests",
                workernames=drydock.workernames("local"),
                factory=util.BuildFactory([steps.ShellCommand(command=["echo", "hello"])]),
            )
        ],
        "workers": [],
        "configurators": [],
    }
    drydock.configure(config)
    return config


def directory_of(case: RunMasterBase) -> str:
    directory = os.path.abspath(case.mktemp())
    os.makedirs(directory)
    return directory


class WorkerProcessTests(RunMasterBase):
    async def start(self, directory: str, **pool: Any) -> None:
        await self.setup_master(configuration(directory, **pool), startWorker=False)
        self.service = self.master.service_manager.namedServices["drydock"]

    async def build(self) -> Lease:
        """Let a build succeed; return the lease that its worker has."""
        build = await self.doForceBuild(wantSteps=True, wantProperties=True, wantLogs=True)
        self.assertEqual(build["results"], SUCCESS, build)
        (lease,) = (await self.service.store.rows()).leases
        self.assertEqual(lease.status, LeaseStatus.ACTIVE)
        return lease

    async def test_a_build_succeeds_on_a_leased_worker_that_leaves_nothing_behind(self) -> None:
        directory = directory_of(self)
        await self.start(directory, keep_on_shutdown=False)
        lease = await self.build()
        self.assertTrue(marked(TAG_MARK, lease.tag))
        (worker,) = await self.master.data.get(("workers",))
        self.assertEqual(worker["workerinfo"]["admin"], "Buildbot Drydock\n")
        await self.tested_master.shutdown()
        self.assertFalse(marked(TAG_MARK, lease.tag))
        with closing(sqlite3.connect(f"{directory}/state.sqlite")) as connection:
            (status,) = connection.execute("SELECT status FROM drydock_leases").fetchone()
        self.assertIn(status, ("released", "destroyed"))

    async def test_a_worker_that_loses_its_connection_comes_back_by_itself(self) -> None:
        directory = directory_of(self)
        await self.start(directory, keep_on_shutdown=False)
        lease = await self.build()
        worker = self.master.workers.workers[lease.owner.partition("/")[2]]
        worker.conn.loseConnection()
        self.assertEqual((await self.build()).id, lease.id)
        await self.tested_master.shutdown()

    async def test_a_process_that_dies_is_replaced(self) -> None:
        directory = directory_of(self)
        await self.start(directory, keep_on_shutdown=False)
        lease = await self.build()
        for process in marked(TAG_MARK, lease.tag):
            process.kill()
        build = await self.doForceBuild(wantSteps=True, wantProperties=True, wantLogs=True)
        self.assertEqual(build["results"], SUCCESS, build)
        await self.tested_master.shutdown()
