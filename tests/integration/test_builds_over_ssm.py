"""A build on an instance reached over SSM: a real master, a real worker, commands that really run."""

from __future__ import annotations

import getpass
import os
import sys
import tempfile
from pathlib import Path
from typing import Any
from unittest import mock

from buildbot.config import BuilderConfig
from buildbot.plugins import schedulers, steps, util
from buildbot.process.results import SUCCESS
from buildbot.test.util.integration import RunMasterBase

from buildbot_drydock import SSM, Drydock, EC2Pool, WorkerPool
from tests.contract.test_ec2_over_ssm import boot
from tests.ec2 import real_time_server


class BuildsOverSSM(RunMasterBase):
    def setUp(self) -> Any:
        self.server = real_time_server().start()
        self.addCleanup(self.server.stop)
        patched = mock.patch.dict(os.environ, self.server.environment())
        patched.start()
        self.addCleanup(patched.stop)
        home = tempfile.TemporaryDirectory()
        self.addCleanup(home.cleanup)
        self.manager = self.server.systems_manager
        self.manager.home = Path(home.name)
        self.manager.on_boot = boot
        self.addCleanup(self.manager.kill_all)
        return super().setUp()

    def configuration(self, directory: str) -> dict[str, Any]:
        drydock = Drydock(
            blueprints=[
                EC2Pool(
                    "cloud",
                    region=self.server.region,
                    endpoint_url=self.server.url,
                    image=self.server.catalogue.newest_image,
                    instance_types=["m7i.large"],
                    instance_profile=self.server.catalogue.add_instance_profile("managed"),
                    reach="ssm",
                    ssm=SSM(user=getpass.getuser()),
                    python=sys.executable,
                    make_venv="never",
                    dead_man_hours=None,
                    min_free_disk=0,
                    stop_grace=1.0,
                )
            ],
            workers=[WorkerPool("cloud", size=1, masterFQDN="127.0.0.1", keep_on_shutdown=False)],
        )
        config: dict[str, Any] = {
            "db_url": f"sqlite:///{directory}/state.sqlite",
            "protocols": {"pb": {"port": "tcp:0:interface=127.0.0.1"}},
            "multiMaster": True,
            "schedulers": [schedulers.ForceScheduler(name="force", builderNames=["tests"])],
            "builders": [
                BuilderConfig(
                    name="tests",
                    workernames=drydock.workernames("cloud"),
                    factory=util.BuildFactory([steps.ShellCommand(command="pwd", name="where")]),
                )
            ],
            "workers": [],
            "configurators": [],
        }
        drydock.configure(config)
        return config

    async def test_a_build_runs_there_and_no_password_is_in_the_history(self) -> None:
        directory = os.path.abspath(self.mktemp())
        os.makedirs(directory)
        await self.setup_master(self.configuration(directory), startWorker=False)
        build = await self.doForceBuild(wantSteps=True, wantProperties=True, wantLogs=True)
        self.assertEqual(build["results"], SUCCESS, build)
        (instance,) = self.server.inspector.living
        root = self.manager.root(instance.id)
        (where,) = [each for each in build["steps"] if each["name"] == "where"]
        said = "".join(log["contents"]["content"] for log in where["logs"])
        self.assertIn(f"{root}/home/drydock/", said)
        service = self.master.service_manager.namedServices["drydock"]
        (lease,) = (await service.store.rows()).leases
        password = service.password(lease)
        written = [path.read_bytes() for path in (root / "home").rglob("*") if path.is_file()]
        self.assertTrue(any(password.encode() in each for each in written))
        for text in (self.manager.parameters(), self.manager.outputs()):
            self.assertNotIn(password, text)
        await self.tested_master.shutdown()
        paths = [Path(f"/proc/{number}/cmdline") for number in self.manager.running()]
        commands = [path.read_bytes() for path in paths if path.exists()]
        self.assertEqual([each for each in commands if b"buildbot" in each], [])
