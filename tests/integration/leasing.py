"""A master whose builds run on plain workers, and lease by their steps what they need besides."""

from __future__ import annotations

from typing import Any

from buildbot.config import BuilderConfig
from buildbot.plugins import util
from buildbot.test.fake.step import BuildStepController
from buildbot.worker.local import LocalWorker

from buildbot_drydock.config import Drydock
from buildbot_drydock.latent.named_lock import NamedLock
from buildbot_drydock.latent.synthetic import SyntheticPool
from buildbot_drydock.model import Lease, LeaseStatus
from buildbot_drydock.steps import LeaseResource
from tests.integration.masters import DrydockMasterTestCase


class LeasingTestCase(DrydockMasterTestCase):
    """Each builder has a worker of its own, takes its steps, and then works until it is told.

    ``self.works[builder]`` is that last step. The builders are ``tests`` and ``others``, and both
    take the lock ``matlab``, of one slot, unless told otherwise.
    """

    def setUp(self) -> None:
        super().setUp()
        self.builders = ["tests", "others"]
        self.works = {name: BuildStepController() for name in self.builders}
        self.steps: dict[str, list[Any]] = {
            name: [LeaseResource("matlab"), self.works[name].step] for name in self.builders
        }
        self.slots = 1
        self.lock: dict[str, Any] = {}
        self.blueprints: list[Any] | None = None

    def finish_build(self) -> None:
        for work in self.works.values():
            work.auto_finish_step(0)

    def configuration(self) -> dict[str, Any]:
        drydock = Drydock(
            blueprints=[
                NamedLock("matlab", self.slots, **self.lock),
                SyntheticPool("linux", **self.blueprint),
            ]
            if self.blueprints is None
            else self.blueprints,
            **self.settings,
        )
        config: dict[str, Any] = {
            "protocols": {"null": {}},
            "multiMaster": True,
            "db_url": f"sqlite:///{self.basedir}/state.sqlite",
            "workers": [LocalWorker(f"{name}-worker") for name in self.builders],
            "builders": [
                BuilderConfig(
                    name=name,
                    workernames=[f"{name}-worker"],
                    factory=util.BuildFactory(self.steps[name]),
                    collapseRequests=False,
                )
                for name in self.builders
            ],
        }
        drydock.configure(config)
        return config

    def working(self) -> list[str]:
        """Return the builders whose builds have come to their last step."""
        return [name for name, work in self.works.items() if work.running]

    async def finish(self, result: int = 0, builder: str = "tests") -> None:
        self.works[builder].finish_step(result)
        await self.settle()

    async def stop_build(self, number: int | None = None) -> None:
        if number is None:
            await super().stop_build()
            return
        await self.master.data.control("stop", {"reason": "a test"}, ("builds", str(number)))
        await self.settle()

    def running(self, builder: str = "tests") -> Any:
        """Return the build that a builder runs."""
        (build,) = self.master.botmaster.builders[builder].building
        return build

    async def owners(self, status: LeaseStatus = LeaseStatus.ACTIVE) -> list[str]:
        return [lease.owner for lease in await self.leases() if lease.status is status]

    async def unclosed(self) -> list[Lease]:
        """Return the leases that still hold anything."""
        return list((await self.service.store.rows()).leases)

    async def step_row(self, build: int, name: str) -> dict[str, Any]:
        for step in await self.master.data.get(("builds", build, "steps")):
            if step["name"] == name:
                return dict(step)
        raise LookupError(name)

    async def log(self, build: int, step: str, name: str) -> str:
        number = (await self.step_row(build, step))["stepid"]
        content = await self.master.data.get(("steps", number, "logs", name, "contents"))
        return str(content["content"])

    async def properties(self, build: int) -> dict[str, Any]:
        """Return what Drydock told a build."""
        found = await self.master.data.get(("builds", build, "properties"))
        return {name: value for name, (value, source) in found.items() if source == "Drydock"}
