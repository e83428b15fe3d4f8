"""How many more workers may be offered builds: what keeps a master from false promises.

Pure, and cheap enough to be asked for each worker whenever a build looks for one. It is a forecast
from the last world that was planned; the planner alone gives out slots.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Final, TypeAlias

from buildbot_drydock.authorization import (
    Grant,
    Refusal,
    Subjects,
    is_restricted,
    judge,
    subjects_of,
)
from buildbot_drydock.costs import hourly_spending, launches_left
from buildbot_drydock.daily_costs import daily_spending, launches_left_in_a_day
from buildbot_drydock.model import (
    Blueprint,
    Labels,
    LeaseStatus,
    ListedHost,
    Power,
    Resource,
    ResourceStatus,
    World,
)
from buildbot_drydock.policy import (
    held_back_until,
    meets,
    misfit,
    no_launch,
    out_of_service,
    slots_of,
    unusable_host,
    worn_out,
)
from buildbot_drydock.quota_room import QuotaRoom
from buildbot_drydock.reasons import AwaitingApproval, Declined

_NOTHING: Final[Labels] = {}


@dataclass(frozen=True, slots=True)
class Demand:
    """What workers of one kind ask for. ``requires`` is ``None`` if only the build decides."""

    type: str
    requires: tuple[tuple[str, str], ...] | None
    blueprints: tuple[str, ...]


# What is asked for, and in whose name; by nobody in particular if that makes no difference.
Ask: TypeAlias = tuple[Demand, Subjects]


@dataclass(frozen=True, slots=True)
class Forecast:
    """What could serve a demand."""

    serving: frozenset[str]  # the blueprints
    capacity: int  # slots of theirs that are free, coming, or could be built
    waiting: int  # leases that wait for the same
    # For each kind of those, how many there are, and how many of these slots could serve them.
    rivals: tuple[tuple[int, int], ...] = ()

    def taken(self, reclaimable: int) -> int:
        """Return how many slots those that wait would take, and of so many that come free."""
        return sum(min(number, fitting + reclaimable) for number, fitting in self.rivals)


class Offers:
    def __init__(self, world: World) -> None:
        # The rows are counted here, and not kept until the next forecast.
        self._world = replace(world, resources=(), leases=(), inventories={}, calls={})
        self._leases = Counter(
            lease.resource for lease in world.leases if lease.resource is not None
        )
        self.quotas = QuotaRoom(world)
        restricted = any(is_restricted(blueprint) for blueprint in world.blueprints)
        self.by_subject = restricted or self.quotas.matters
        self._judged: dict[Subjects, dict[str, Refusal]] = {}  # the refusals, by blueprint
        self._waiting = Counter(
            self._ask(
                Demand(lease.type, tuple(sorted(lease.requires.items())), lease.blueprints),
                subjects_of(lease),
            )
            for lease in world.leases
            if lease.status is LeaseStatus.PENDING and lease.id not in self.quotas.kept_waiting
        )
        self._forecasts: dict[Ask, Forecast | None] = {}
        self._living: dict[str, list[Resource]] = {}
        for resource in world.resources:
            self._living.setdefault(resource.blueprint, []).append(resource)
        self._usable = {each.name: self._usable_hosts(each) for each in world.blueprints}
        self._hosts_in_use = {resource.host for resource in world.resources}
        self._capacities = {each.name: self._capacity(each) for each in world.blueprints}

    def room(
        self, demand: Demand, subjects: Subjects = (), *, idle: Iterable[str], backlog: int
    ) -> int:
        """Return how many more leases of this kind may be asked for, in the name of *subjects*.

        *idle* are the blueprints of resources whose holders would make way. *backlog* leases may
        wait even if there is nothing to be had: they are what idle resources are reclaimed for.
        """
        ask = self._ask(demand, subjects)
        if ask not in self._forecasts:
            self._forecasts[ask] = self._forecast(ask)
        forecast = self._forecasts[ask]
        if forecast is None:
            return 0
        reclaimable = sum(blueprint in forecast.serving for blueprint in idle)
        left = forecast.capacity + reclaimable - forecast.taken(reclaimable)
        return int(min(max(left, backlog - forecast.waiting), self.quotas.left(subjects)))

    def is_hopeless(self, demand: Demand, subjects: Subjects = ()) -> bool:
        """Tell whether no configured blueprint can ever satisfy this."""
        ask = self._ask(demand, subjects)
        refusals = self._refusals(ask)
        return not self._candidates(ask) and all(isinstance(r, Declined) for r in refusals)

    def refused_by(self, subjects: Subjects) -> frozenset[str]:
        """Return the blueprints that these subjects may not use."""
        return frozenset(self._refused(subjects)) if self.by_subject else frozenset()

    def hindrances(self, subjects: Subjects) -> frozenset[str]:
        """Return what keeps these subjects from capacity that others have, by names."""
        return self.refused_by(subjects) | self.quotas.exhausted(subjects)

    def _ask(self, demand: Demand, subjects: Subjects) -> Ask:
        return (demand, subjects if self.by_subject else ())

    def _refused(self, subjects: Subjects) -> dict[str, Refusal]:
        if not subjects:
            return {}
        if subjects not in self._judged:
            known = self._world.authorizations
            answers = ((b.name, judge(b, subjects, known)) for b in self._world.blueprints)
            self._judged[subjects] = {
                name: answer for name, answer in answers if not isinstance(answer, Grant)
            }
        return self._judged[subjects]

    def _refusals(self, ask: Ask) -> list[Refusal]:
        """Return why what fits may not be used, as far as that is so."""
        demand, subjects = ask
        refused = self._refused(subjects)
        return [refused[b.name] for b in self._fitting_blueprints(demand) if b.name in refused]

    def _forecast(self, ask: Ask) -> Forecast | None:
        """Look at what could serve a demand; ``None`` if nothing will for the time being."""
        candidates = self._candidates(ask)
        if not candidates:
            return self._forecast_of_refused(ask)
        demand, _ = ask
        serving = [blueprint for blueprint in candidates if self._serves(blueprint)]
        if not serving:
            return None
        rivals = {
            other: number
            for other, number in self._waiting.items()
            if self._compete(candidates, ask, other)
        }
        return Forecast(
            serving=frozenset(blueprint.name for blueprint in serving),
            capacity=sum(self._capacity_for(blueprint, demand) for blueprint in serving),
            waiting=sum(rivals.values()),
            rivals=tuple(
                (number, self._fitting(candidates, demand, other, number))
                for other, number in rivals.items()
            ),
        )

    def _forecast_of_refused(self, ask: Ask) -> Forecast | None:
        if self.is_hopeless(*ask):
            # Such a lease is refused at once, and its build told why.
            return Forecast(serving=frozenset(), capacity=1, waiting=0)
        if not any(isinstance(each, AwaitingApproval) for each in self._refusals(ask)):
            return None
        # One lease may wait for approval, so that it is asked for, and everybody sees who waits.
        asker = ask[1][0]
        waiting = sum(
            number
            for other, number in self._waiting.items()
            if asker in other[1] and not self._candidates(other)
        )
        return Forecast(
            serving=frozenset(), capacity=1, waiting=waiting, rivals=((waiting, waiting),)
        )

    def _fitting(self, candidates: list[Blueprint], demand: Demand, other: Ask, number: int) -> int:
        """Return how many slots that this demand could get would serve that many others, at least.

        Who waits for a certain host that is in use, or out of service, takes nothing of others.
        """
        names = {blueprint.name for blueprint in self._candidates(other)}
        shared = [blueprint for blueprint in candidates if blueprint.name in names]
        if any(blueprint.hosts is None for blueprint in shared):
            return number
        both = [dict(each.requires or ()) for each in (demand, other[0])]
        return sum(self._slots(blueprint, *both) for blueprint in shared)

    def _slots(self, blueprint: Blueprint, *required: Labels) -> int:
        """Count the free slots of listed hosts that offer all that is required, in use or not."""
        free = sum(
            self._free_slots(blueprint, resource)
            for resource in self._living.get(blueprint.name, [])
            if all(meets(resource.labels, each) for each in required)
        )
        return free + sum(host.slots for host in self._unused(blueprint, *required))

    def _unused(self, blueprint: Blueprint, *required: Labels) -> list[ListedHost]:
        return [
            host
            for host in self._usable[blueprint.name].values()
            if host.name not in self._hosts_in_use
            and all(meets(host.labels, each) for each in required)
        ]

    def _capacity_for(self, blueprint: Blueprint, demand: Demand) -> int:
        """Listed hosts differ in what they offer; what is built becomes what is asked for."""
        if blueprint.hosts is None or demand.requires is None:
            return self._capacities[blueprint.name]
        return self._capacity(blueprint, dict(demand.requires))

    def _compete(self, candidates: list[Blueprint], ask: Ask, other: Ask) -> bool:
        """Tell whether leases of another kind could take what this demand could get."""
        names = {blueprint.name for blueprint in self._candidates(other)}
        return any(
            blueprint.name in names and _could_share(blueprint, ask[0], other[0])
            for blueprint in candidates
        )

    def _candidates(self, ask: Ask) -> list[Blueprint]:
        demand, subjects = ask
        refused = self._refused(subjects)
        return [each for each in self._fitting_blueprints(demand) if each.name not in refused]

    def _fitting_blueprints(self, demand: Demand) -> list[Blueprint]:
        return [
            blueprint
            for blueprint in self._world.blueprints
            if not blueprint.retired
            and blueprint.provides == demand.type
            and (not demand.blueprints or blueprint.name in demand.blueprints)
            and (demand.requires is None or misfit(blueprint, dict(demand.requires)) is None)
        ]

    def _serves(self, blueprint: Blueprint) -> bool:
        """Tell whether waiting for this blueprint makes sense."""
        state = blueprint.state
        put_off = state.retry_at is not None and state.retry_at > self._world.now
        if state.misconfigured and put_off:
            return False
        return out_of_service(blueprint, self._world.now) is None

    def _capacity(self, blueprint: Blueprint, requires: Labels = _NOTHING) -> int:
        """Count the slots that are free, that are coming, and that there is room to build.

        Of listed hosts only those that offer what is required.
        """
        living = self._living.get(blueprint.name, [])
        slots = sum(
            self._free_slots(blueprint, resource)
            for resource in living
            if meets(resource.labels, requires)
        )
        booting = sum(_is_coming(resource) for resource in living)
        if no_launch(blueprint, booting=booting, now=self._world.now) is not None:
            return slots
        parked = sum(_is_parked(resource) for resource in living)
        room = max(0, blueprint.limit - len(living) + parked)
        if blueprint.max_hourly_cost is not None:
            spent = hourly_spending(blueprint, living)
            room = int(min(room, launches_left(blueprint, spent)))
        if blueprint.max_daily_cost is not None:
            ended, now = self._world.spent.get(blueprint.name, 0.0), self._world.now
            spent = daily_spending(blueprint, living, ended, now)
            room = int(min(room, launches_left_in_a_day(blueprint, spent)))
        if blueprint.hosts is None:
            return slots + room * blueprint.leases_per_resource
        return slots + sum(host.slots for host in self._unused(blueprint, requires)[:room])

    def _free_slots(self, blueprint: Blueprint, resource: Resource) -> int:
        if resource.status not in (ResourceStatus.PENDING, ResourceStatus.ACTIVE):
            return 0
        if resource.power in (Power.PARKING, Power.PARKED):
            return 0  # it counts as room, as long as it may be woken
        if resource.end_reason or worn_out(blueprint, resource, self._world.now) is not None:
            return 0
        held_back = held_back_until(resource)
        if held_back is not None and held_back > self._world.now:
            return 0
        host = None
        if blueprint.hosts is not None:
            host = self._usable[blueprint.name].get(resource.host)
            if host is None:
                return 0
        return max(0, slots_of(blueprint, host) - self._leases[resource.id])

    def _usable_hosts(self, blueprint: Blueprint) -> dict[str, ListedHost]:
        states, now = self._world.hosts, self._world.now
        return {
            host.name: host
            for host in blueprint.hosts or ()
            if unusable_host(host, states.get(host.name), now) is None
        }


def _is_coming(resource: Resource) -> bool:
    return resource.status is ResourceStatus.PENDING or resource.power is Power.WAKING


def _is_parked(resource: Resource) -> bool:
    at_rest = resource.power in (Power.PARKING, Power.PARKED)
    return resource.status is ResourceStatus.ACTIVE and at_rest and not resource.end_reason


def demand_of(type: str, requires: Labels | None, blueprints: tuple[str, ...]) -> Demand:
    fixed = None if requires is None else tuple(sorted(requires.items()))
    return Demand(type, fixed, blueprints)


def _could_share(blueprint: Blueprint, one: Demand, other: Demand) -> bool:
    """Tell whether one resource of a blueprint could serve both."""
    if blueprint.hosts is None:
        return True
    both = [dict(demand.requires or ()) for demand in (one, other)]
    return any(all(meets(host.labels, each) for each in both) for host in blueprint.hosts)
