"""What the quotas leave for the waiting leases of one world."""

from __future__ import annotations

from collections.abc import Mapping

from buildbot_drydock import slotlocks
from buildbot_drydock.authorization import subjects_of
from buildbot_drydock.model import Lease, World
from buildbot_drydock.quota import Counting
from buildbot_drydock.reasons import QuotaReached


class Quotas:
    """Used up while the planner places leases, as ``Stock`` is.

    Of the locks of a quota the lowest free one is taken, and only while fewer leases than it allows
    hold it: decision 0026 says why that keeps even a limit that was lowered.
    """

    def __init__(self, world: World) -> None:
        self._counting = Counting(world.sharing.quotas)
        self._quotas = world.sharing.quotas
        self._reasons: dict[tuple[str, int], QuotaReached] = {}  # by quota, and to how many given
        self._locked: dict[str, set[int]] = {}  # by quota: which of its locks are held
        self._holders: dict[str, list[Lease]] = {}  # by quota, whether by its locks or without
        self._given: dict[str, int] = {}  # by quota, to how many this plan gives one
        if self._quotas:
            for lease in world.leases:
                self._count(lease)

    def _count(self, lease: Lease) -> None:
        """Count a lease that has a slot, which it may have got before there was the quota."""
        locked = [found for key in lease.locks if (found := slotlocks.quota_of(key)) is not None]
        for name, number in locked:
            self._locked.setdefault(name, set()).add(number)
        counted = {name for name, _ in locked}
        if lease.resource is not None:
            counted |= self._limits_of(lease).keys()
        for name in counted:
            self._holders.setdefault(name, []).append(lease)

    def _limits_of(self, lease: Lease) -> Mapping[str, int]:
        return self._counting.limits(lease.owner, subjects_of(lease))

    def reached(self, lease: Lease) -> QuotaReached | None:
        """Return the first quota that leaves nothing for a lease, if there is one."""
        if not self._quotas:
            return None
        for name, limit in self._limits_of(lease).items():
            holders, given = self._holders.get(name, []), self._given.get(name, 0)
            if len(holders) + given >= limit:
                return self._reason(name, limit, given)
        return None

    def _reason(self, name: str, limit: int, given: int) -> QuotaReached:
        """All leases that one quota keeps waiting share one value."""
        if (name, given) not in self._reasons:
            holders = self._holders.get(name, [])
            self._reasons[name, given] = QuotaReached(
                quota=name,
                limit=limit,
                held=len(holders),
                holders=tuple(f"lease {each.id} of {_asker(each)}" for each in holders),
                awaited=given,
            )
        return self._reasons[name, given]

    def take(self, lease: Lease) -> tuple[str, ...]:
        """Use up what a lease needs, which it gets now or will get; return its slot locks."""
        if not self._quotas:
            return ()
        keys = []
        for name in self._limits_of(lease):
            locked = self._locked.setdefault(name, set())
            number = next(n for n in range(len(locked) + 1) if n not in locked)
            locked.add(number)
            self._given[name] = self._given.get(name, 0) + 1
            keys.append(slotlocks.quota(name, number))
        return tuple(keys)


def _asker(lease: Lease) -> str:
    """Say who holds a lease; of a worker, whom it asked for."""
    asked_for = subjects_of(lease)[0]
    return lease.owner if asked_for == lease.owner else f"{lease.owner} for {asked_for}"
