"""How many more workers may be offered builds: what keeps a master from false promises.

Pure, and cheap enough to be asked for each worker whenever a build looks for one. It is a forecast
from the last world that was planned; the planner alone gives out slots.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from buildbot_drydock.model import Blueprint, Labels, LeaseStatus, Resource, ResourceStatus, World
from buildbot_drydock.policy import no_launch, offered_values, out_of_service, worn_out


@dataclass(frozen=True, slots=True)
class Demand:
    """What workers of one kind ask for. ``requires`` is ``None`` if only the build decides."""

    type: str
    requires: tuple[tuple[str, str], ...] | None
    blueprints: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Forecast:
    """What could serve a demand."""

    serving: frozenset[str]  # the blueprints
    capacity: int  # slots of theirs that are free, coming, or could be built
    waiting: int  # leases that would take them


class Offers:
    def __init__(self, world: World) -> None:
        self._world = world
        self._leases = Counter(
            lease.resource for lease in world.leases if lease.resource is not None
        )
        self._waiting = Counter(
            Demand(lease.type, tuple(sorted(lease.requires.items())), lease.blueprints)
            for lease in world.leases
            if lease.status is LeaseStatus.PENDING
        )
        self._forecasts: dict[Demand, Forecast | None] = {}
        self._living: dict[str, list[Resource]] = {}
        for resource in world.resources:
            self._living.setdefault(resource.blueprint, []).append(resource)
        self._capacities = {each.name: self._capacity(each) for each in world.blueprints}

    def room(self, demand: Demand, *, idle: Iterable[str], backlog: int) -> int:
        """Return how many more leases of this kind may be asked for.

        *idle* are the blueprints of resources whose holders would make way. *backlog* leases may
        wait even if there is nothing to be had: they are what idle resources are reclaimed for.
        """
        if demand not in self._forecasts:
            self._forecasts[demand] = self._forecast(demand)
        forecast = self._forecasts[demand]
        if forecast is None:
            return 0
        reclaimable = sum(blueprint in forecast.serving for blueprint in idle)
        return max(forecast.capacity + reclaimable, backlog) - forecast.waiting

    def is_hopeless(self, demand: Demand) -> bool:
        """Tell whether no configured blueprint can ever satisfy this."""
        return not self._candidates(demand)

    def _forecast(self, demand: Demand) -> Forecast | None:
        """Look at what could serve a demand; ``None`` if nothing will for the time being."""
        candidates = self._candidates(demand)
        if not candidates:
            # Such a lease is refused at once, and its build told why.
            return Forecast(serving=frozenset(), capacity=1, waiting=0)
        serving = [blueprint for blueprint in candidates if self._serves(blueprint)]
        if not serving:
            return None
        names = {blueprint.name for blueprint in candidates}
        return Forecast(
            serving=frozenset(blueprint.name for blueprint in serving),
            capacity=sum(self._capacities[blueprint.name] for blueprint in serving),
            waiting=sum(
                number
                for other, number in self._waiting.items()
                if any(blueprint.name in names for blueprint in self._candidates(other))
            ),
        )

    def _candidates(self, demand: Demand) -> list[Blueprint]:
        return [
            blueprint
            for blueprint in self._world.blueprints
            if not blueprint.retired
            and blueprint.provides == demand.type
            and (not demand.blueprints or blueprint.name in demand.blueprints)
            and _could_fit(blueprint, demand.requires)
        ]

    def _serves(self, blueprint: Blueprint) -> bool:
        """Tell whether waiting for this blueprint makes sense."""
        state = blueprint.state
        put_off = state.retry_at is not None and state.retry_at > self._world.now
        if state.misconfigured and put_off:
            return False
        return out_of_service(blueprint, self._world.now) is None

    def _capacity(self, blueprint: Blueprint) -> int:
        """Count the slots that are free, that are coming, and that there is room to build."""
        living = self._living.get(blueprint.name, [])
        slots = sum(self._free_slots(blueprint, resource) for resource in living)
        booting = sum(resource.status is ResourceStatus.PENDING for resource in living)
        if no_launch(blueprint, booting=booting, now=self._world.now) is not None:
            return slots
        return slots + max(0, blueprint.limit - len(living)) * blueprint.leases_per_resource

    def _free_slots(self, blueprint: Blueprint, resource: Resource) -> int:
        if resource.status not in (ResourceStatus.PENDING, ResourceStatus.ACTIVE):
            return 0
        if worn_out(blueprint, resource, self._world.now) is not None:
            return 0
        return max(0, blueprint.leases_per_resource - self._leases[resource.id])


def _could_fit(blueprint: Blueprint, requires: tuple[tuple[str, str], ...] | None) -> bool:
    return requires is None or all(
        wanted in offered_values(blueprint, label) for label, wanted in requires
    )


def demand_of(type: str, requires: Labels | None, blueprints: tuple[str, ...]) -> Demand:
    fixed = None if requires is None else tuple(sorted(requires.items()))
    return Demand(type, fixed, blueprints)
