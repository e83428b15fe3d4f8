"""Builds on leased machines: a real master, a real database, real SSH, real workers as any user."""

from __future__ import annotations

import os
import shutil
import socket
from typing import Any

from buildbot.config import BuilderConfig
from buildbot.plugins import schedulers, steps, util
from buildbot.process.results import SUCCESS
from buildbot.test.util.integration import RunMasterBase

from buildbot_drydock.config import Drydock
from buildbot_drydock.latent.hosts import SSH, Host, HostPool
from buildbot_drydock.model import Lease, LeaseStatus
from buildbot_drydock.workerpool import WorkerPool
from tests import ssh_hosts
from tests.integration.wheels import installed_wheels

DIRECTORY = "drydock-builds"


class BuildsOnHosts(RunMasterBase):
    def setUp(self) -> Any:
        self.machine = ssh_hosts.machines()[0]
        self.wheels = self.machine.path(f"{self.machine.home}/wheels")
        if not self.wheels.exists():
            self.wheels.mkdir()
            installed_wheels(self.wheels, "buildbot-worker")
        home = self.machine.path(f"{self.machine.home}/{DIRECTORY}")
        self.addCleanup(shutil.rmtree, home, ignore_errors=True)
        return super().setUp()

    def configuration(self, directory: str, pb_port: str, **ssh: Any) -> dict[str, Any]:
        machine = self.machine
        drydock = Drydock(
            blueprints=[
                HostPool(
                    "lab",
                    hosts=[Host("build1", address=machine.address, user=machine.user, slots=2)],
                    ssh=SSH(
                        **{
                            "keys": [machine.identity_file],
                            "agent": False,
                            "known_hosts": machine.known_hosts,
                            **ssh,
                        }
                    ),
                    directory=DIRECTORY,
                    min_free_disk=0,
                    stop_grace=1.0,
                    pip_arguments=[
                        *("--isolated", "--no-index"),
                        *("--find-links", f"{machine.home}/wheels"),
                    ],
                )
            ],
            workers=[WorkerPool("lab", size=2, masterFQDN=machine.gateway, keep_on_shutdown=False)],
        )
        config: dict[str, Any] = {
            "db_url": f"sqlite:///{directory}/state.sqlite",
            "protocols": {"pb": {"port": pb_port}},
            "multiMaster": True,
            "schedulers": [schedulers.ForceScheduler(name="force", builderNames=["tests"])],
            "builders": [
                BuilderConfig(
                    name="tests",
                    workernames=drydock.workernames("lab"),
                    factory=util.BuildFactory(
                        [steps.ShellCommand(command="hostname; id -un; pwd", name="where")]
                    ),
                )
            ],
            "workers": [],
            "configurators": [],
        }
        drydock.configure(config)
        return config

    async def start(self, pb_port: str = "tcp:0", **ssh: Any) -> None:
        directory = os.path.abspath(self.mktemp())
        os.makedirs(directory)
        await self.setup_master(self.configuration(directory, pb_port, **ssh), startWorker=False)
        self.service = self.master.service_manager.namedServices["drydock"]

    async def build(self) -> Lease:
        """Let a build succeed on the machine; return the lease that its worker has."""
        build = await self.doForceBuild(wantSteps=True, wantProperties=True, wantLogs=True)
        self.assertEqual(build["results"], SUCCESS, build)
        (where,) = [each for each in build["steps"] if each["name"] == "where"]
        text = "".join(log["contents"]["content"] for log in where["logs"])
        self.assertIn(self.machine.name, text)
        self.assertIn(self.machine.user, text)
        (lease,) = (await self.service.store.rows()).leases
        self.assertEqual(lease.status, LeaseStatus.ACTIVE)
        return lease

    def workers(self) -> list[str]:
        return [each for each in self.machine.commands() if "buildbot.tac" in each]

    async def test_a_build_runs_there_as_an_ordinary_user_and_leaves_nothing_running(self) -> None:
        await self.start()
        first = await self.build()
        self.assertEqual(len(self.workers()), 1)
        self.assertEqual((await self.build()).id, first.id)
        await self.tested_master.shutdown()
        self.assertEqual(self.workers(), [])

    async def test_a_build_runs_where_only_a_tunnel_leads_to_the_master(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as server:
            port = server.getsockname()[1]
        await self.start(f"tcp:{port}:interface=127.0.0.1", tunnel_to=f"localhost:{port}")
        await self.build()
        await self.tested_master.shutdown()
        self.assertEqual(self.workers(), [])
