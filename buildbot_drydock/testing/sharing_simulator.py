"""Storms in which many ask for little: quotas that change, priorities, a share for each."""

from __future__ import annotations

from random import Random
from typing import Any, Final

from buildbot_drydock.actions import AcquireLease
from buildbot_drydock.model import Blueprint, Rows, World
from buildbot_drydock.planner import Plan
from buildbot_drydock.quota import Quota
from buildbot_drydock.reasons import QuotaReached
from buildbot_drydock.sharing import Sharing
from buildbot_drydock.testing.checks import Unsafe
from buildbot_drydock.testing.sharing_checks import (
    no_lease_begins_over_a_quota,
    nobody_is_passed_over,
)
from buildbot_drydock.testing.simulator import Simulation

_PATTERNS: Final = (
    {"kind": "builder", "pattern": "tests"},
    {"kind": "builder", "pattern": "*"},
    {"kind": "builder", "pattern": "*", "each": True},
    {"kind": "project", "pattern": "lab"},
    {"kind": "owner", "pattern": "worker/1-*"},
    {"kind": "owner", "pattern": "worker/*", "each": True},
)


def some_sharing(random: Random, *, least: int) -> Sharing:
    """Return rules whose quotas allow *least* leases, or more."""
    patterns = random.sample(_PATTERNS, random.choice([0, 1, 1, 2, 3]))
    return Sharing(
        quotas=tuple(
            Quota(leases=random.randint(least, 3), **pattern)  # type: ignore[arg-type]
            for pattern in patterns
        ),
        fair_share=random.choice([None, "builder", "project", "owner"]),
        ageing_seconds=random.choice([30.0, 300.0, 3600.0]),
    )


class SharingSimulation(Simulation):
    """A simulation with room for more leases than quotas allow."""

    def __init__(self, seed: int, *, steps: int = 500) -> None:
        self._drawn = Random(f"sharing {seed}")
        self.sharing = some_sharing(self._drawn, least=0)
        self.counted = 0  # leases that were to begin, and that a quota counts
        self.kept_waiting = 0  # how often a plan left one waiting for its quota
        super().__init__(seed, steps=steps)

    def _some_blueprint(self, name: str) -> Blueprint:
        blueprint = super()._some_blueprint(name)
        while blueprint.hosts is not None or blueprint.limit * blueprint.leases_per_resource < 3:
            blueprint = super()._some_blueprint(name)
        return blueprint

    def _habits(self) -> dict[str, Any]:
        return {
            "holders": self._drawn.randint(2, 5),
            "sharing": lambda: self.sharing,
            "priority": lambda: self._drawn.choice([0, 0, 0, 1, 5]),
            "examine": self._examine,
        }

    def _examine(self, world: World, plan: Plan) -> None:
        self.kept_waiting += sum(
            isinstance(reason, QuotaReached) for some in plan.reasons.values() for reason in some
        )
        self.counted += sum(
            bool(each.quotas) for each in plan.actions if isinstance(each, AcquireLease)
        )
        try:
            nobody_is_passed_over(world, plan)
        except Unsafe as broken:
            self.broken_rules.append(broken)  # raised here it would be a turn that failed

    def _mishap(self) -> None:
        super()._mishap()
        if self._drawn.random() < 0.02:
            self.sharing = some_sharing(self._drawn, least=0)

    def _end_the_storm(self) -> None:
        self.sharing = some_sharing(self._drawn, least=1)
        super()._end_the_storm()

    def _check(self) -> None:
        self._check_quotas(self._rows())
        super()._check()

    def _check_quotas(self, rows: Rows) -> None:
        """Masters go by what was configured when their turn began."""
        worlds = [master.controller.world for master in self.masters.values()]
        sharings = [world.sharing for world in worlds if world.blueprints]
        no_lease_begins_over_a_quota(rows, sharings, self.open_leases)
