"""What each blueprint has to give: free slots, slots that are coming, and room to build."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from heapq import heapify, heappop, heappush
from typing import Final, TypeAlias

from buildbot_drydock.model import (
    LOCK,
    Blueprint,
    Labels,
    Placement,
    Power,
    Resource,
    ResourceStatus,
)
from buildbot_drydock.planner.budget import Budget
from buildbot_drydock.planner.hostlist import HostList
from buildbot_drydock.planner.labels import LabelKey, label_key
from buildbot_drydock.planner.parking import can_be_woken
from buildbot_drydock.planner.survey import ENDED, Survey
from buildbot_drydock.policy import (
    held_back_until,
    labels_to_build,
    meets,
    no_launch,
    out_of_service,
    slots_of,
    worn_out,
)
from buildbot_drydock.reasons import Full, HeldBack, NoHostInService, Reason

_LAST: Final = 1_000_000  # more than a resource has slots

Rank = tuple[int, int]  # how good a resource is for the next lease, and its id


@dataclass(frozen=True, slots=True)
class Site:
    """Room for one more resource: what it will offer, and which listed host it will be, if any."""

    labels: Labels
    slots: int
    host: str = ""


@dataclass(slots=True)
class Coming:
    """A resource on its way, and how many leases it can still be promised to."""

    resource: Resource | None  # None if this plan asks for it
    labels: Labels
    since: float
    spare: int
    promised: int = 0


@dataclass(slots=True, order=False, eq=False)
class FreeSlots:
    """The free slots of resources with equal labels, best resource first."""

    labels: Labels
    heap: list[tuple[int, int, Resource, list[int]]] = field(default_factory=list)
    queues: list[SlotQueue] = field(default_factory=list)  # those that it is in

    @property
    def best(self) -> Rank:
        return self.heap[0][:2]


# All free slots that meet one requirement, the best first. An entry counts only while it says
# what its group's best is: each change of that adds another one.
SlotQueue: TypeAlias = "list[tuple[Rank, FreeSlots]]"


class Stock:
    """One blueprint's capacity, used up while the planner places leases."""

    def __init__(self, survey: Survey, blueprint: Blueprint) -> None:
        self.survey = survey
        self.blueprint = blueprint
        self.out_of_service = out_of_service(blueprint, survey.now)
        self.free: dict[LabelKey, FreeSlots] = {}
        self.coming: dict[LabelKey, deque[Coming]] = {}
        self.hosts = None if blueprint.hosts is None else HostList(survey, blueprint)
        self._budget = Budget(survey, blueprint)
        self._most = blueprint.limit if blueprint.hosts is None else len(blueprint.hosts)
        self.idle: dict[int, Resource] = {}  # could be reclaimed
        self.parked: dict[int, Resource] = {}  # could be woken or reclaimed
        self.ending: deque[Resource] = deque()  # their places will come free, each for one lease
        self.leased = 0
        self.slots = 0
        self._taken_places: set[int] = set()
        self._next_place = 0
        self._living = 0
        self._booting = 0
        self._ended = 0
        self._given_notice = 0
        self._held_back: list[HeldBack] = []
        self._by_last_use: Iterator[Resource] | None = None
        self._wakeable: list[Resource] | None = None  # the one parked last comes last
        self._queues: dict[LabelKey, SlotQueue] = {}  # by what is required
        self._promising: dict[LabelKey, tuple[Labels, deque[deque[Coming]]]] = {}  # likewise
        for resource in survey.of_blueprint[blueprint.name]:
            self._count(resource)
        for group in self.free.values():
            heapify(group.heap)
        self.launches_blocked = no_launch(blueprint, booting=self._booting, now=survey.now)
        if blueprint.state.retry_at is not None:
            survey.wake(blueprint.state.retry_at)
        if blueprint.state.mode_until is not None:
            survey.wake(blueprint.state.mode_until)

    def _count(self, resource: Resource) -> None:
        self._taken_places.add(resource.place)
        self._living += 1
        if resource.status in ENDED:
            self.ending.append(resource)
            self._ended += 1
        elif resource.status is ResourceStatus.PENDING:
            self._booting += 1
            if resource.id not in self.survey.leaving and self.survey.takes_leases(resource):
                self._add_coming(
                    resource, resource.labels, resource.since, self._slots_of(resource)
                )
        elif resource.power is Power.WAKING:
            self._booting += 1
            self._count_waking(resource)
        elif resource.power is not Power.RUNNING:
            self._count_parked(resource)
        else:
            self._count_active(resource)

    def _count_waking(self, resource: Resource) -> None:
        if self.survey.has_notice(resource):
            self._count_given_notice(resource, idle=True)
        elif resource.id not in self.survey.leaving:
            since = resource.power_since or resource.since
            self._add_coming(resource, resource.labels, since, self._slots_of(resource))

    def _count_parked(self, resource: Resource) -> None:
        if self.survey.has_notice(resource):
            self._count_given_notice(resource, idle=True)
        elif resource.id not in self.survey.leaving:
            self.parked[resource.id] = resource

    def _slots_of(self, resource: Resource) -> int:
        return slots_of(self.blueprint, self.survey.listed_host(resource))

    def _add_coming(
        self, resource: Resource | None, labels: Labels, since: float, slots: int
    ) -> None:
        spare = slots
        if self.blueprint.max_uses is not None:
            spare = min(spare, self.blueprint.max_uses)
        group = self.coming.setdefault(label_key(labels), deque())
        if not group:
            for requires, groups in self._promising.values():
                if meets(labels, requires):
                    groups.append(group)
        group.append(Coming(resource, labels, since, spare))

    def _count_active(self, resource: Resource) -> None:
        per_resource = self._slots_of(resource)
        leases = self.survey.on_resource.get(resource.id, ())
        self.leased += len(leases)
        self.slots += per_resource
        if self.survey.has_notice(resource):
            self._count_given_notice(resource, idle=not leases)
            return
        if resource.id in self.survey.leaving:
            return
        if not leases and not self.survey.held_back(resource):
            self.idle[resource.id] = resource
        taken = {lease.slot for lease in leases}
        free = [number for number in range(per_resource) if number not in taken]
        free = free[: max(0, per_resource - len(leases))]  # it may have had more slots before
        if not free or worn_out(self.blueprint, resource, self.survey.now) is not None:
            return
        if not self.survey.takes_leases(resource):
            self._note_held_back(resource)
            return
        if self.blueprint.max_uses is not None:
            free = free[: self.blueprint.max_uses - resource.uses]
        key = label_key(resource.labels)
        group = self.free.setdefault(key, FreeSlots(resource.labels))
        group.heap.append((self._rank(resource, free), resource.id, resource, free))

    def _count_given_notice(self, resource: Resource, *, idle: bool) -> None:
        """It is let go of once it is idle; if it is, its place comes free."""
        self._given_notice += 1
        if idle:
            self.ending.append(resource)

    def _rank(self, resource: Resource, free: list[int]) -> int:
        """Any resource goes before one that could not be used the last time."""
        rank = len(free) if self.blueprint.placement is Placement.PACK else -len(free)
        return rank + resource.faults * _LAST

    def _note_held_back(self, resource: Resource) -> None:
        until = held_back_until(resource)
        if until is None or until <= self.survey.now:
            return
        self._held_back.append(
            HeldBack(
                blueprint=self.blueprint.name,
                resource=resource.id,
                faults=resource.faults,
                retry_at=until,
                error=resource.fault,
            )
        )

    def take_slot(self, requires: Labels) -> tuple[Resource, int] | None:
        """Use up the best free slot that fits, if there is one."""
        group = self._best_group(self._queue(requires))
        if group is None:
            return None
        _, number, resource, free = heappop(group.heap)
        slot = free[0]
        if rest := free[1:]:
            heappush(group.heap, (self._rank(resource, rest), number, resource, rest))
        self._requeue(group)
        self.idle.pop(number, None)
        self.leased += 1
        return resource, slot

    def _queue(self, requires: Labels) -> SlotQueue:
        key = label_key(requires)
        if key not in self._queues:
            fitting = [g for g in self.free.values() if meets(g.labels, requires) and self._any(g)]
            queue: SlotQueue = [(group.best, group) for group in fitting]
            heapify(queue)
            for group in fitting:
                group.queues.append(queue)
            self._queues[key] = queue
        return self._queues[key]

    def _best_group(self, queue: SlotQueue) -> FreeSlots | None:
        while queue:
            best, group = queue[0]
            if self._any(group) and group.best == best:
                return group
            heappop(queue)
            if group.heap and group.best > best:  # what was best is being reclaimed
                heappush(queue, (group.best, group))
        return None

    def _requeue(self, group: FreeSlots) -> None:
        if self._any(group):
            for queue in group.queues:
                heappush(queue, (group.best, group))

    def _any(self, group: FreeSlots) -> bool:
        """Tell whether a slot is left, once what has been reclaimed is out of the way."""
        while group.heap and group.heap[0][1] in self.survey.leaving:
            heappop(group.heap)
        return bool(group.heap)

    def promise(self, requires: Labels) -> Coming | None:
        """Promise a slot of a resource that is coming and will fit, if one has a slot to spare."""
        groups = self._promising_groups(requires)
        while groups and not groups[0]:
            groups.popleft()
        if not groups:
            return None
        coming = groups[0][0]
        coming.spare -= 1
        coming.promised += 1
        if not coming.spare:
            groups[0].popleft()
        return coming

    def _promising_groups(self, requires: Labels) -> deque[deque[Coming]]:
        key = label_key(requires)
        if key not in self._promising:
            fitting = deque(
                group
                for group in self.coming.values()
                if group and meets(group[0].labels, requires)
            )
            self._promising[key] = (requires, fitting)
        return self._promising[key][1]

    @property
    def _may_build(self) -> bool:
        return self.out_of_service is None and self.launches_blocked is None

    @property
    def at_its_limit(self) -> bool:
        return self._living >= self.blueprint.limit

    @property
    def _has_room(self) -> bool:
        return not self.at_its_limit and not self._budget.is_spent

    def site(self, requires: Labels) -> Site | None:
        """Return room for one more resource that would meet *requires*, if there is any now."""
        if not self._may_build or not self._has_room:
            return None
        if self.hosts is None:
            labels = labels_to_build(self.blueprint, requires)
            return Site(labels, self.blueprint.leases_per_resource)
        host = self.hosts.free(requires)
        return None if host is None else Site(host.labels, host.slots, host.name)

    def wake(self, requires: Labels) -> Resource | None:
        """Wake a parked resource that meets *requires*, the one parked last; count it as coming."""
        if not self.parked or not self._may_build or self._budget.is_spent:
            return None
        if self._living > self.blueprint.limit:
            return None
        for resource in reversed(self._can_be_woken()):
            if resource.id in self.parked and meets(resource.labels, requires):
                del self.parked[resource.id]
                self._booting += 1
                self._budget.take()
                self._add_coming(
                    resource, resource.labels, self.survey.now, self._slots_of(resource)
                )
                self.launches_blocked = no_launch(
                    self.blueprint, booting=self._booting, now=self.survey.now
                )
                return resource
        return None

    def stopping(self, requires: Labels) -> Resource | None:
        """Keep a resource that fits, and that nothing but time keeps from being woken."""
        for resource in self.parked.values() if self.at_its_limit else ():
            woken = self.survey.call("wake", self.blueprint.name, resource.token)
            if woken.retry_at <= self.survey.now and meets(resource.labels, requires):
                return self.parked.pop(resource.id)
        return None

    def _can_be_woken(self) -> list[Resource]:
        if self._wakeable is None:  # asked for only when something is to be woken
            found = [
                each
                for each in self.parked.values()
                if can_be_woken(self.survey, self.blueprint, each)
            ]
            self._wakeable = sorted(found, key=lambda r: (r.idle_since, r.id))
        return self._wakeable

    def is_full(self, requires: Labels) -> bool:
        """Tell whether only what others have keeps this blueprint from building."""
        if not self._may_build:
            return False
        if self.hosts is None:
            return not self._has_room and self._budget.could_be_freed(self._could_go())
        if self.hosts.free(requires) is not None:
            return self.at_its_limit
        return any(True for _ in self.hosts.in_use(requires))

    def _could_go(self) -> Iterator[Resource]:
        yield from self.idle.values()
        yield from self.ending

    def lacks_a_host(self, requires: Labels) -> bool:
        """Tell whether it takes another listed host, and not only room under the limit."""
        return self.hosts is not None and self.hosts.free(requires) is None

    def reserve(self, requires: Labels) -> None:
        """Keep what a lease already has of what it needs, while the rest is being made free.

        It takes room under the limit, money and perhaps a listed host. Were the one given to a younger lease
        whenever the other comes free, an older one could wait for ever.
        """
        if self.hosts is None:
            self._budget.reserve()
            return
        host = self.hosts.free(requires)
        if host is not None:
            self.hosts.take(host.name)
        elif not self.at_its_limit:
            self._living += 1

    def take(self, site: Site) -> int:
        """Use up room for one resource, whose slots can then be promised; return its place."""
        while self._next_place in self._taken_places:
            self._next_place += 1
        self._taken_places.add(self._next_place)
        self._living += 1
        self._booting += 1
        self._budget.take()
        if self.hosts is not None:
            self.hosts.take(site.host)
        self._add_coming(None, site.labels, self.survey.now, site.slots)
        self.launches_blocked = no_launch(
            self.blueprint, booting=self._booting, now=self.survey.now
        )
        return self._next_place

    def unpromised(self) -> int:
        """Count the resources that no waiting lease will use: idle, or coming."""
        coming = sum(not c.promised for queue in self.coming.values() for c in queue)
        return coming + sum(1 for r in self.idle.values() if self._is_offered(r))

    def _is_offered(self, resource: Resource) -> bool:
        return worn_out(self.blueprint, resource, self.survey.now) is None

    def reclaim(self) -> Resource | None:
        """Give up the least recently used idle resource, if there is one.

        A parked one goes first, unless money is what is missing: that costs none.
        """
        if self.parked and not self._budget.is_spent:
            number = min(self.parked, key=lambda n: (self.parked[n].idle_since, n))
            return self.parked.pop(number)
        if self._by_last_use is None:  # sorted once, as only few of many are reclaimed
            by_last_use = sorted(self.idle.values(), key=lambda r: (r.idle_since, r.id))
            self._by_last_use = iter(by_last_use)
        for resource in self._by_last_use:
            if self.idle.pop(resource.id, None) is not None:
                return resource
        return None

    def reason(self, requires: Labels) -> Reason | None:
        """Return why this blueprint gives no more to leases that require so, if it does not."""
        if self.out_of_service is not None:
            return self.out_of_service
        if self.launches_blocked is not None:
            return self.launches_blocked
        unusable = () if self.hosts is None else self.hosts.unusable(requires)
        if self.hosts is not None and not self.hosts.has_service(requires):
            return NoHostInService(blueprint=self.blueprint.name, hosts=unusable)
        if self._held_back:
            return min(self._held_back, key=lambda held: (held.retry_at, held.resource))
        is_lock = self.blueprint.provides == LOCK
        if self.at_its_limit or (self.hosts is not None and self.hosts.free(requires) is None):
            return Full(
                blueprint=self.blueprint.name,
                limit=None if is_lock else min(self.blueprint.limit, self._most),
                leased=self.leased,
                slots=self.slots,
                ending=self._ended,
                out_of_service=len(unusable),
                given_notice=self._given_notice,
            )
        if self._budget.is_spent:
            return self._budget.reason()
        return None
