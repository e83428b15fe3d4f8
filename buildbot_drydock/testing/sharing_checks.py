"""The rules of sharing that no storm may break: small checkers, as in ``checks``."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from buildbot_drydock.actions import AcquireLease
from buildbot_drydock.authorization import subjects_of
from buildbot_drydock.model import Lease, LeaseStatus, Rows, World
from buildbot_drydock.planner import Plan
from buildbot_drydock.planner.permission import Permission
from buildbot_drydock.quota import limits_of
from buildbot_drydock.sharing import Sharing
from buildbot_drydock.slotlocks import quota_of
from buildbot_drydock.testing.checks import Unsafe


def no_lease_begins_over_a_quota(
    rows: Rows, sharings: Iterable[Sharing], before: Mapping[int, int | None]
) -> None:
    """However many masters give leases at once, one that begins exceeds no quota, and has its lock.

    *sharings* are all that a master may be going by; *before* are the resources of the leases
    there were a moment ago. Leases that began before a quota was lowered may be more.
    """
    sharings = list(sharings)
    held = [lease for lease in rows.leases if lease.resource is not None]
    for lease in held:
        if before.get(lease.id) is not None or not sharings:
            continue
        limits = [_limits(sharing, lease) for sharing in sharings]
        for name in set.intersection(*(set(each) for each in limits)):
            if name not in {found[0] for key in lease.locks if (found := quota_of(key))}:
                raise Unsafe(f"a lease begins without a lock of {name}: {lease}")
            most = max(each[name] for each in limits)
            counted = sum(name in _limits(sharings[0], other) for other in held)
            if counted > most:
                raise Unsafe(f"{counted} leases count in {name}, which allows {most}: {lease}")


def _limits(sharing: Sharing, lease: Lease) -> dict[str, int]:
    return limits_of(sharing.quotas, lease.owner, subjects_of(lease))


def nobody_is_passed_over(world: World, plan: Plan) -> None:
    """No lease is served before one that is so much older that no priority makes up for it.

    That is among leases which could be served by the same.
    """
    served = [action.lease for action in plan.actions if isinstance(action, AcquireLease)]
    for waits in world.leases if served else ():
        if waits.status is not LeaseStatus.PENDING or waits.id not in plan.reasons:
            continue
        for lease in served:
            ahead = lease.requested_at - waits.requested_at
            enough = (lease.priority - waits.priority + 1) * world.sharing.ageing_seconds
            if _kind(world, lease) == _kind(world, waits) and ahead > max(0.0, enough):
                raise Unsafe(f"{lease} is served before {waits}")


def _kind(world: World, lease: Lease) -> tuple[object, ...]:
    wanted = (lease.type, dict(lease.requires), lease.blueprints)
    return (*wanted, Permission(world).subjects(lease), _limits(world.sharing, lease))
