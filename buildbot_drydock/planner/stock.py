"""What each blueprint has to give: free slots, slots that are coming, and room to build."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from heapq import heapify, heappop, heappush

from buildbot_drydock.model import Blueprint, Labels, Placement, Resource, ResourceStatus
from buildbot_drydock.planner.survey import ENDED, Survey
from buildbot_drydock.policy import meets, no_launch, out_of_service, worn_out
from buildbot_drydock.reasons import Full, Reason

LabelKey = tuple[tuple[str, str], ...]


def label_key(labels: Labels) -> LabelKey:
    return tuple(sorted(labels.items()))


@dataclass(slots=True)
class Coming:
    """A resource on its way, and how many leases it can still be promised to."""

    resource: Resource | None  # None if this plan asks for it
    labels: Labels
    since: float
    spare: int
    promised: int = 0


@dataclass(slots=True)
class FreeSlots:
    """The free slots of resources with equal labels, best resource first."""

    labels: Labels
    heap: list[tuple[int, int, Resource, list[int]]] = field(default_factory=list)


class Stock:
    """One blueprint's capacity, used up while the planner places leases."""

    def __init__(self, survey: Survey, blueprint: Blueprint) -> None:
        self.survey = survey
        self.blueprint = blueprint
        self.out_of_service = out_of_service(blueprint, survey.now)
        self.free: dict[LabelKey, FreeSlots] = {}
        self.coming: dict[LabelKey, deque[Coming]] = {}
        self.idle: dict[int, Resource] = {}  # could be reclaimed
        self.ending: deque[Resource] = deque()  # their places will come free, each for one lease
        self.leased = 0
        self.slots = 0
        self._taken_places: set[int] = set()
        self._next_place = 0
        self._living = 0
        self._booting = 0
        self._ended = 0
        self._by_last_use: Iterator[Resource] | None = None
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
            if resource.id not in self.survey.leaving:
                self._add_coming(resource, resource.labels, resource.since)
        else:
            self._count_active(resource)

    def _add_coming(self, resource: Resource | None, labels: Labels, since: float) -> None:
        spare = self.blueprint.leases_per_resource
        if self.blueprint.max_uses is not None:
            spare = min(spare, self.blueprint.max_uses)
        coming = Coming(resource, labels, since, spare)
        self.coming.setdefault(label_key(labels), deque()).append(coming)

    def _count_active(self, resource: Resource) -> None:
        per_resource = self.blueprint.leases_per_resource
        leases = self.survey.on_resource.get(resource.id, ())
        self.leased += len(leases)
        self.slots += per_resource
        if resource.id in self.survey.leaving:
            return
        if not leases:
            self.idle[resource.id] = resource
        taken = {lease.slot for lease in leases}
        free = [number for number in range(per_resource) if number not in taken]
        if not free or worn_out(self.blueprint, resource, self.survey.now) is not None:
            return
        if self.blueprint.max_uses is not None:
            free = free[: self.blueprint.max_uses - resource.uses]
        key = label_key(resource.labels)
        group = self.free.setdefault(key, FreeSlots(resource.labels))
        group.heap.append((self._rank(free), resource.id, resource, free))

    def _rank(self, free: list[int]) -> int:
        return len(free) if self.blueprint.placement is Placement.PACK else -len(free)

    def take_slot(self, requires: Labels) -> tuple[Resource, int] | None:
        """Use up the best free slot that fits, if there is one."""
        fitting = [g for g in self.free.values() if meets(g.labels, requires) and self._any(g)]
        if not fitting:
            return None
        group = min(fitting, key=lambda group: group.heap[0][:2])
        _, number, resource, free = heappop(group.heap)
        slot = free[0]
        if rest := free[1:]:
            heappush(group.heap, (self._rank(rest), number, resource, rest))
        self.idle.pop(number, None)
        self.leased += 1
        return resource, slot

    def _any(self, group: FreeSlots) -> bool:
        """Tell whether a slot is left, once what has been reclaimed is out of the way."""
        while group.heap and group.heap[0][1] in self.survey.leaving:
            heappop(group.heap)
        return bool(group.heap)

    def promise(self, requires: Labels) -> Coming | None:
        """Promise a slot of a resource that is coming and will fit, if one has a slot to spare."""
        for queue in self.coming.values():
            if queue and meets(queue[0].labels, requires):
                coming = queue[0]
                coming.spare -= 1
                coming.promised += 1
                if not coming.spare:
                    queue.popleft()
                return coming
        return None

    @property
    def has_room(self) -> bool:
        """Tell whether one more resource may be built now."""
        return (
            self.out_of_service is None
            and self.launches_blocked is None
            and self._living < self.blueprint.limit
        )

    @property
    def is_full(self) -> bool:
        """Tell whether only the limit keeps this blueprint from building."""
        return (
            self.out_of_service is None
            and self.launches_blocked is None
            and self._living >= self.blueprint.limit
        )

    def take_place(self, labels: Labels) -> int:
        """Use up room for one resource, whose slots can then be promised."""
        while self._next_place in self._taken_places:
            self._next_place += 1
        self._taken_places.add(self._next_place)
        self._living += 1
        self._booting += 1
        self._add_coming(None, labels, self.survey.now)
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
        """Give up the least recently used idle resource, if there is one."""
        if self._by_last_use is None:  # sorted once, as only few of many are reclaimed
            by_last_use = sorted(self.idle.values(), key=lambda r: (r.idle_since, r.id))
            self._by_last_use = iter(by_last_use)
        for resource in self._by_last_use:
            if self.idle.pop(resource.id, None) is not None:
                return resource
        return None

    def reason(self) -> Reason | None:
        """Return why this blueprint gives no more, if it does not."""
        if self.out_of_service is not None:
            return self.out_of_service
        if self.launches_blocked is not None:
            return self.launches_blocked
        if self._living >= self.blueprint.limit:
            return Full(
                blueprint=self.blueprint.name,
                limit=self.blueprint.limit,
                leased=self.leased,
                slots=self.slots,
                ending=self._ended,
            )
        return None
