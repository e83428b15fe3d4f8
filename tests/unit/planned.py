"""How the tests of the planner state what they expect: in this world, do exactly this."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from buildbot_drydock.actions import Action
from buildbot_drydock.model import World
from buildbot_drydock.planner import plan
from buildbot_drydock.reasons import Reason


class PlannerTestCase(SynchronousTestCase):
    def assert_plans(self, world: World, *actions: Action, because: str = "") -> None:
        """The plan for *world* is exactly these actions, in this order."""
        self.assertEqual(plan(world).actions, actions, because)

    def assert_reasons(self, world: World, lease: int, *reasons: Reason) -> None:
        self.assertEqual(plan(world).reasons[lease], reasons)

    def planned(self, world: World, *kinds: type[Any]) -> Sequence[Any]:
        """Return the planned actions of these kinds."""
        return [action for action in plan(world).actions if isinstance(action, kinds)]

    def assert_wakes(self, world: World, at: float | None) -> None:
        self.assertEqual(plan(world).wake_at, at)
