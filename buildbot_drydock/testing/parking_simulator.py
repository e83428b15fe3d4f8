"""Storms in which all that is idle is parked: far more is parked and woken than in others."""

from __future__ import annotations

from dataclasses import replace

from buildbot_drydock.errors import NoCapacity
from buildbot_drydock.latent.synthetic import Moment, Stage, SyntheticCloud
from buildbot_drydock.model import Blueprint
from buildbot_drydock.testing.simulator import Simulation


class ParkingSimulation(Simulation):
    """A simulation whose blueprints park, and whose hosts live long enough for that."""

    haste = 0.97  # or hosts would end before much is done with them

    def __init__(self, seed: int, *, steps: int = 2000) -> None:
        super().__init__(seed, steps=steps)
        self.scarcity = self.random.choice([0.0, 0.2, 0.7])  # how often none can be woken

    def _some_blueprint(self, name: str) -> Blueprint:
        pick = self.random.choice
        blueprint = super()._some_blueprint(name)
        while blueprint.hosts is not None:
            blueprint = super()._some_blueprint(name)
        return replace(
            blueprint,
            limit=pick([1, 2, 4]),
            parks=True,
            park_for=pick([None, 200.0, 1000.0]),
            idle_timeout=pick([0.0, 0.0, 5.0]),
            min_ready=pick([0, 0, 0, 1]),
            max_uses=pick([None, None, 5]),
            max_age=pick([None, None, 1000.0]),
            poll_interval=1.0,
        )

    def _some_cloud(self, blueprint: Blueprint) -> SyntheticCloud:
        cloud = super()._some_cloud(blueprint)
        lifetime = self.random.choice([None, None, None, 500.0])
        cloud.script = replace(cloud.script, lifetime_seconds=lifetime)
        return cloud

    async def _hook(self, name: str, moment: Moment) -> None:
        await super()._hook(name, moment)
        # What runs elsewhere takes the capacity while a host is parked.
        asked = moment.verb == "wake" and moment.stage is Stage.BEFORE and not self.calm
        if asked and self.random.random() < self.scarcity:
            raise NoCapacity("there is none for what was parked")
