"""What the quotas leave for builds that have no lease yet: a forecast, as ``offers`` is.

Who will ask for them is not known, only in whose name: so quotas of owners don't count here.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from buildbot_drydock.authorization import Subjects, subjects_of
from buildbot_drydock.model import Lease, LeaseStatus, World
from buildbot_drydock.quota import Counting, of_subjects


class QuotaRoom:
    def __init__(self, world: World) -> None:
        self._quotas = of_subjects(world.sharing.quotas)
        self._counting = Counting(self._quotas)
        self._counted: Counter[str] = Counter()  # by quota, the leases that wait included
        self._waiting: Counter[str] = Counter()
        self._of_owner: dict[str, frozenset[str]] = {}  # the quotas that its leases count in
        if self._quotas:
            for lease in world.leases:
                self._count(lease)

        self.kept_waiting = _kept_waiting(world)

    @property
    def matters(self) -> bool:
        return bool(self._quotas)

    def _count(self, lease: Lease) -> None:
        names = self._limits_of(subjects_of(lease)).keys()
        self._counted.update(names)
        if lease.status is LeaseStatus.PENDING:
            self._waiting.update(names)
        elif names:
            known = self._of_owner.get(lease.owner, frozenset())
            self._of_owner[lease.owner] = known.union(names)

    def _limits_of(self, subjects: Subjects) -> Mapping[str, int]:
        return self._counting.limits("", subjects)

    def left(self, subjects: Subjects) -> float:
        """Return how many more leases may be asked for: one may wait, so that all see it wait."""
        return min(
            (
                max(limit - self._counted[name], 1 - self._waiting[name], 0)
                for name, limit in self._limits_of(subjects).items()
            ),
            default=float("inf"),
        )

    def exhausted(self, subjects: Subjects) -> frozenset[str]:
        """Return the quotas that leave nothing more for these subjects."""
        limits = self._limits_of(subjects) if self._quotas else {}
        return frozenset(name for name, limit in limits.items() if self._counted[name] >= limit)

    def held_by(self, owner: str) -> frozenset[str]:
        """Return the quotas that the leases of an owner count in."""
        return self._of_owner.get(owner, frozenset())

    def counts(self, owner: str, subjects: Subjects) -> bool:
        """Tell whether what an owner has counts wherever what is done for these subjects does."""
        if not self._quotas:
            return True
        return self.held_by(owner) >= self._limits_of(subjects).keys()


def _kept_waiting(world: World) -> frozenset[int]:
    """Return the waiting leases that quotas leave nothing for, whatever capacity there is."""
    quotas = world.sharing.quotas
    if not quotas:
        return frozenset()
    counting, taken = Counting(quotas), Counter[str]()
    kept = set()
    # Whoever has a slot is counted before those who wait.
    for lease in sorted(world.leases, key=lambda lease: (lease.resource is None, lease.id)):
        limits = counting.limits(lease.owner, subjects_of(lease))
        reached = any(taken[name] >= limit for name, limit in limits.items())
        if lease.status is LeaseStatus.PENDING and reached:
            kept.add(lease.id)
        else:
            taken.update(limits.keys())
    return frozenset(kept)
