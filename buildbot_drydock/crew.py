"""The workers of one master: which are offered builds, and which make way for others.

Buildbot gives a build to any worker that says it can start one. So only as many say so as there is
capacity for, warm workers before cold ones; builders are woken when capacity returns; and a worker
that holds a slot which a waiting lease needs gives it back between two builds.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeAlias

from buildbot_drydock.authorization import Subjects
from buildbot_drydock.costs import WORKER
from buildbot_drydock.model import Labels, Resource, World
from buildbot_drydock.offers import Demand, Offers
from buildbot_drydock.planner import Plan
from buildbot_drydock.policy import meets
from buildbot_drydock.reasons import (
    Booting,
    Full,
    OverBudget,
    QuotaReached,
    Reason,
    Reclaiming,
)


class Holder(Protocol):
    """A worker, as its crew sees it."""

    name: str

    @property
    def demand(self) -> Demand: ...

    @property
    def builders(self) -> frozenset[str]:
        """The names of the builders that it serves."""
        ...

    @property
    def askers(self) -> Sequence[Subjects]:
        """In whose name it would ask for a lease, for each of these builders."""
        ...

    @property
    def has_lease(self) -> bool:
        """Whether it has a lease, or has asked for one."""
        ...

    @property
    def idle_on(self) -> Resource | None:
        """The resource that it is connected on while it has no build."""
        ...

    def is_willing(self) -> bool:
        """Tell whether it could ask for a lease, and take a build."""
        ...

    def is_warm(self) -> bool:
        """Tell whether it could take a build at once, without another lease."""
        ...

    def make_way(self) -> None:
        """Give the lease back: it has no build."""
        ...


@dataclass(slots=True)
class Promise:
    """A build was given to a worker whose lease the loop has not seen yet."""

    demand: Demand
    lease: int | None = None


Kind: TypeAlias = tuple[Demand, frozenset[str]]  # what is asked for, and for which builders


class Crew:
    def __init__(
        self,
        wake_builders: Callable[[Holder], None],
        soon: Callable[[Callable[[], None]], object] | None = None,
    ) -> None:
        """*soon* calls what it is given once the reactor has done what it is doing now.

        A builder that looks for workers asks each of them, and the answer for one is found by
        looking at all. So that many workers don't hold the reactor, what was found is kept until
        then, or until something is said to have changed.
        """
        self._wake_builders = wake_builders
        self._soon = soon
        self._found: dict[Kind, frozenset[str]] = {}  # the names of those that are offered
        self._workers: dict[str, Holder] = {}
        self._promises: dict[str, Promise] = {}  # by worker
        self._refused: set[str] = set()  # workers that would have taken a build
        # Whose builds were kept from a worker by who they are, and which blueprints and quotas did;
        # ``None`` if that was not known yet.
        self._barred: dict[Subjects, tuple[Holder, frozenset[str] | None]] = {}
        self._offers: Offers | None = None  # None until the first turn
        # Of each lease that waits, the blueprints that are full or the quotas that are reached.
        self._wanting: list[frozenset[str]] = []
        self.closed = False  # offers nothing more

    def __len__(self) -> int:
        return len(self._workers)

    def names(self) -> list[str]:
        return sorted(self._workers)

    def enlist(self, worker: Holder) -> None:
        self._workers[worker.name] = worker
        self._found.clear()

    def discharge(self, worker: Holder) -> None:
        """Forget a worker: it has stopped for good, and given back what it had."""
        self._workers.pop(worker.name, None)
        self.forget_promise(worker)
        self._refused.discard(worker.name)

    # --- who is offered ------------------------------------------------------------------------

    def offers(self, worker: Holder) -> bool:
        """Tell whether a worker may be given a build that it has to take a lease for.

        Of the workers that ask for the same, for the same builders, the first few are offered: as
        many as there is capacity for, so that no build is sent to wait for what cannot be had.
        """
        offered = not self.closed and worker.name in self._offered_now(worker)
        if offered:
            self._refused.discard(worker.name)
        else:
            self._refused.add(worker.name)
        return offered

    def may_start(
        self, worker: Holder, requires: Labels, demand: Demand, subjects: Subjects = ()
    ) -> bool:
        """Tell whether a worker may take a lease for one build, which *demand* is for.

        It may not while a warm worker of its kind would do.
        """
        refused = self._refused_by(subjects)
        for other in self._alike(worker):
            resource = other.idle_on
            if resource is None or resource.blueprint in refused:
                continue
            if not self._counts(other, subjects):
                continue
            if meets(resource.labels, requires) and other.is_warm():
                return False
        may = self._room(self._alike(worker), demand, [subjects]) > 0
        if not may and (hindrances := self._hindrances(subjects)):
            self._barred[subjects] = (worker, hindrances)
        return may

    def may_use(self, worker: Holder, resource: Resource, subjects: Subjects) -> bool:
        """Tell whether a build may run on what its worker has, as far as it is about who asks.

        A lease that counts in fewer quotas than the build would let more builds run than they
        allow. If there is no other way, its worker makes way for one that counts.
        """
        if self._offers is None:
            self._barred[subjects] = (worker, None)
            return False
        counts = self._counts(worker, subjects)
        if counts and resource.blueprint not in self._refused_by(subjects):
            return True
        hindrances = self._hindrances(subjects)
        self._barred[subjects] = (worker, hindrances)
        at_odds = worker.idle_on is not None and not counts and not hindrances
        if at_odds and not self._may_be_had(worker, subjects):
            self._refused.add(worker.name)
            worker.make_way()
        return False

    def _may_be_had(self, worker: Holder, subjects: Subjects) -> bool:
        """Tell whether another worker of its kind could take a lease for these subjects."""
        alike = self._alike(worker)
        willing = any(each.is_willing() for each in alike if each is not worker)
        return willing and self._room(alike, worker.demand, [subjects]) > 0

    def _counts(self, worker: Holder, subjects: Subjects) -> bool:
        """Tell whether a worker's lease counts in all quotas that these subjects do."""
        return self._offers is None or self._offers.quotas.counts(
            f"{WORKER}{worker.name}", subjects
        )

    def _hindrances(self, subjects: Subjects) -> frozenset[str]:
        return frozenset() if self._offers is None else self._offers.hindrances(subjects)

    def _refused_by(self, subjects: Subjects) -> frozenset[str]:
        return frozenset() if self._offers is None else self._offers.refused_by(subjects)

    def promise(self, worker: Holder) -> None:
        """A build was given to a worker that will ask for a lease."""
        self._promises[worker.name] = Promise(worker.demand)
        self._found.clear()

    def keep_promise(self, worker: Holder, lease: int) -> None:
        """The worker has asked: the promise counts until the loop has seen the lease."""
        if worker.name in self._promises:
            self._promises[worker.name].lease = lease

    def forget_promise(self, worker: Holder) -> None:
        self._promises.pop(worker.name, None)
        self._found.clear()

    def _alike(self, worker: Holder) -> list[Holder]:
        kind = _kind(worker)
        return [each for each in self._workers.values() if _kind(each) == kind]

    def _offered_now(self, worker: Holder) -> frozenset[str]:
        kind = _kind(worker)
        if kind in self._found:
            return self._found[kind]
        offered = frozenset(each.name for each in self._offered(self._alike(worker)))
        if self._soon is not None:
            if not self._found:
                self._soon(self._found.clear)
            self._found[kind] = offered
        return offered

    def _offered(self, alike: Sequence[Holder]) -> list[Holder]:
        """Return which of all workers of one kind are offered."""
        left = self._room(alike, alike[0].demand, alike[0].askers) if alike else 0
        offered: list[Holder] = []
        for each in alike:
            if len(offered) >= left:
                break
            if each.is_willing():
                offered.append(each)
        return offered

    def _room(self, alike: Sequence[Holder], demand: Demand, askers: Sequence[Subjects]) -> int:
        """Return for how many more leases there is, or could be made, capacity, for any of those.

        That is, for more leases of these workers, which are all there are of their kind.
        A kind of worker that has no lease at all may have one that waits, so that others see it
        and make way. One that has some waits for these to become free: that costs no start.
        """
        if not alike or self._offers is None or self.closed:
            return 0  # whoever was discharged is offered nothing
        varied = alike[0].demand.requires is None
        backlog = 1 if varied or not any(each.has_lease for each in alike) else 0
        same = {each.name for each in alike}
        idle = {
            each.name: each.idle_on.blueprint
            for each in self._workers.values()
            if each.idle_on is not None and (varied or each.name not in same)
        }
        promised = sum(promise.demand == demand for promise in self._promises.values())
        rooms = [
            self._offers.room(demand, subjects, idle=idle.values(), backlog=backlog)
            for subjects in (askers if self._offers.by_subject and askers else [()])
        ]
        return max(rooms) - promised

    # --- after each turn -----------------------------------------------------------------------

    def see(self, world: World, plan: Plan, offers: Offers) -> None:
        """Take note of what was planned for: who waits, and what capacity there is."""
        self._offers = offers
        self._found.clear()
        seen = {lease.id for lease in world.leases} if self._promises else set()
        for name, promise in list(self._promises.items()):
            if promise.lease in seen:
                del self._promises[name]
        self._wanting = [found for some in plan.reasons.values() if (found := _wanted(some))]
        for worker in list(self._workers.values()):
            if not self._wanting:
                break
            resource = worker.idle_on
            if resource is not None and self.is_wanted(worker, resource):
                worker.make_way()
        self._wake()
        self._wake_barred()

    def is_wanted(self, worker: Holder, resource: Resource) -> bool:
        """Tell whether a lease waits for what a worker has, and note it served.

        That is a slot of this resource's blueprint, or a share of a quota. One lease that waits
        makes one worker give way, not all of them.
        """
        had = {resource.blueprint}
        if self._offers is not None:
            had |= {_of_quota(name) for name in self._offers.quotas.held_by(WORKER + worker.name)}
        for wanted in self._wanting:
            if not wanted.isdisjoint(had):
                self._wanting.remove(wanted)
                return True
        return False

    def _wake(self) -> None:
        """Let builders look again for workers that were refused, now that there is capacity.

        Workers of one kind are woken for once, however many they are: looking costs the database
        several queries for each builder.
        """
        refused = {name for name in self._refused if name in self._workers}
        kinds: dict[Kind, list[Holder]] = {}
        for worker in self._workers.values() if refused else ():
            kinds.setdefault(_kind(worker), []).append(worker)
        for alike in kinds.values():
            named = refused.intersection(each.name for each in alike)
            if named and (offered := self._offered(alike)):
                self._refused -= named
                self._wake_builders(offered[0])

    def _wake_barred(self) -> None:
        """Let builders look again whose builds may be given what they were kept from."""
        for subjects, (worker, hindrances) in list(self._barred.items()):
            if self._hindrances(subjects) != hindrances:
                del self._barred[subjects]
                if worker.name in self._workers:
                    self._wake_builders(worker)


def _kind(worker: Holder) -> Kind:
    return worker.demand, worker.builders


def _wanted(reasons: tuple[Reason, ...]) -> frozenset[str]:
    """Return what a lease waits for that others have, unless something is on its way to it."""
    if any(isinstance(reason, Booting | Reclaiming) for reason in reasons):
        return frozenset()
    return frozenset(
        _of_quota(reason.quota) if isinstance(reason, QuotaReached) else reason.blueprint
        for reason in reasons
        if isinstance(reason, Full | OverBudget | QuotaReached)
    )


def _of_quota(name: str) -> str:
    """Return what stands for a quota where blueprints stand by their names."""
    return f"quota of {name}"
