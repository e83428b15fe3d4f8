"""A real master, a real database file, real worker processes."""

from __future__ import annotations

import os
from typing import Any

from buildbot.config import BuilderConfig
from buildbot.plugins import schedulers, steps, util
from buildbot.process.results import SUCCESS
from buildbot.test.util.integration import RunMasterBase

from buildbot_drydock.config import Drydock
from buildbot_drydock.latent.local import LocalProcesses
from buildbot_drydock.model import LeaseStatus
from buildbot_drydock.workerpool import WorkerPool


def configuration(directory: str, **pool: Any) -> dict[str, Any]:
    drydock = Drydock(
        blueprints=[LocalProcesses("local", limit=2, directory=directory)],
        workers=[WorkerPool("local", size=2, **pool)],
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


class WorkerProcessTests(RunMasterBase):
    async def test_a_build_succeeds_on_a_leased_worker_that_leaves_nothing_behind(self) -> None:
        directory = os.path.abspath(self.mktemp())
        os.makedirs(directory)
        await self.setup_master(configuration(directory, keep_on_shutdown=False), startWorker=False)
        build = await self.doForceBuild(wantSteps=True, wantProperties=True, wantLogs=True)
        self.assertEqual(build["results"], SUCCESS, build)
        service = self.master.service_manager.namedServices["drydock"]
        rows = await service.store.rows()
        self.assertEqual([lease.status for lease in rows.leases], [LeaseStatus.ACTIVE])
        await self.tested_master.shutdown()
