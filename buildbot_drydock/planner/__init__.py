"""Decide what to do next: ``plan(world)``. No I/O, no clock, no randomness, no logging.

* ``survey`` indexes the world,
* ``upkeep`` brings rows and hosts closer together, and sweeps what nobody accounts for,
* ``placement``, with ``stock``, finds slots for waiting leases and says why others wait,
* ``permission`` says which blueprints they may use, and ``quotas`` what is left for them,
* ``order`` says whose turn it is,
* ``keeping`` lets go of what nothing keeps,
* ``listing`` says when to ask the providers what exists.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from buildbot_drydock.actions import Action
from buildbot_drydock.model import World
from buildbot_drydock.planner.keeping import let_go
from buildbot_drydock.planner.listing import refresh_listings
from buildbot_drydock.planner.placement import Placement
from buildbot_drydock.planner.survey import Survey
from buildbot_drydock.planner.upkeep import see_to_leases, see_to_resources, sweep
from buildbot_drydock.reasons import Reason


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    actions: tuple[Action, ...] = ()
    reasons: Mapping[int, tuple[Reason, ...]] = field(default_factory=dict)  # by waiting lease
    wake_at: float | None = None  # when the next turn is due, if nothing happens before


def plan(world: World) -> Plan:
    """Return what to do now, most urgent first, and why each waiting lease still waits.

    What has ended is given back before what waits is placed; what waits is placed before what is
    idle is let go.
    """
    survey = Survey(world)
    upkeep = [*see_to_leases(survey), *see_to_resources(survey)]
    placement = Placement(survey)
    actions = (
        *upkeep,
        *placement.place(),
        *let_go(survey),
        *placement.keep_warm(),
        *sweep(survey),
        *refresh_listings(survey),
    )
    return Plan(actions=actions, reasons=placement.reasons(), wake_at=survey.wake_at)
