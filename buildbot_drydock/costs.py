"""What resources and leases cost, and what a blueprint may still spend.

Pure functions of values. Prices are by the hour, in whichever currency the provider counts.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from buildbot_drydock.model import (
    Blueprint,
    Charge,
    Lease,
    LeaseStatus,
    Observed,
    Power,
    Resource,
    ResourceStatus,
    Use,
)

HOUR_SECONDS: Final = 3600.0
# The owners of leases that are for a build: a worker, which may serve others later, or the build.
WORKER: Final = "worker/"
BUILD: Final = "build/"
# A price that changes is written down no sooner than so long after the last one: masters whose
# providers do not agree on it would otherwise contradict each other in every turn.
PRICE_AGAIN_SECONDS: Final = 300.0
# Sums of prices are compared no more exactly than this: three times 0.1 is more than 0.3.
_EXACT: Final = 1e-9


def money(amount: float) -> str:
    """Return an amount as people read it: to the hundredth of a cent, if it has any."""
    return f"{amount:.4f}".rstrip("0").rstrip(".")


def resource_cost(resource: Resource, now: float) -> float | None:
    """Return what a resource has cost from its request on, until it was destroyed or *now*.

    All of that time but what it was parked for is counted at its last known price; ``None`` if it
    has none. What the disks of a parked host cost is not counted. A provider's own bill begins and
    ends some seconds later.
    """
    if resource.hourly_price is None:
        return None
    end = resource.since if resource.status is ResourceStatus.DESTROYED else now
    lived = end - resource.created_at - resource.parked_until(end)
    return resource.hourly_price * max(0.0, lived) / HOUR_SECONDS


def hourly_share(resource: Resource, slots: int) -> float | None:
    """Return what an hour of one of a resource's slots costs, used or not."""
    return None if resource.hourly_price is None else resource.hourly_price / slots


def lease_cost(lease: Lease, share: float | None, now: float) -> float | None:
    """Return what a lease has cost while it had its slot, an hour of which costs *share*.

    ``None`` if nobody knows, or it never had one.
    """
    if share is None or lease.held_since is None:
        return None
    end = lease.since if lease.status is LeaseStatus.DESTROYED else now
    return share * max(0.0, end - lease.held_since) / HOUR_SECONDS


def charges_of_lease(lease: Lease, cost: float | None, uses: Sequence[Use]) -> list[Charge]:
    """Share out what a lease has cost, all of it, among the builds that ran on it.

    Each is charged in proportion to how long it ran; so start-up, the wait for a next build and the
    clean-up are shared in that proportion, too. A build that was still running when the lease ended
    ran until then. If none ran, the one that a worker took the lease for is charged with it; what
    anybody else took, no build. A lease that has no slot has cost nothing.
    """
    if lease.held_since is None or lease.resource is None:
        return []
    uses = uses or _asked_for(lease)
    if not uses:
        return [Charge(resource=lease.resource, lease=lease.id, cost=cost)]
    seconds = [_seconds(use, lease.held_since, lease.since) for use in uses]
    return [
        Charge(
            resource=lease.resource,
            lease=lease.id,
            build=use.build,
            builder=use.builder,
            seconds=ran,
            cost=part,
        )
        for use, ran, part in zip(uses, seconds, _parts(cost, seconds), strict=True)
    ]


def _asked_for(lease: Lease) -> list[Use]:
    """Return the build that a lease was taken for. Of other holders, attributes prove nothing."""
    number, builder = lease.attributes.get("buildid", ""), lease.attributes.get("builder")
    if not lease.owner.startswith((WORKER, BUILD)) or not builder or not number.isdecimal():
        return []
    return [
        Use(
            lease=lease.id,
            build=int(number),
            builder=builder,
            began_at=lease.since,
            ended_at=lease.since,
        )
    ]


def _seconds(use: Use, begin: float, end: float) -> float:
    ended_at = end if use.ended_at is None else min(use.ended_at, end)
    return max(0.0, ended_at - max(use.began_at, begin))


def _parts(cost: float | None, seconds: Sequence[float]) -> list[float | None]:
    """Divide a cost in proportion to *seconds*; the last part is what makes the sum exact."""
    if cost is None:
        return [None] * len(seconds)
    weights = seconds if sum(seconds) > 0 else [1.0] * len(seconds)
    parts: list[float] = [cost * weight / sum(weights) for weight in weights[:-1]]
    return [*parts, cost - sum(parts)]


def rest_of_resource(resource: Resource, cost: float | None, charged: float) -> Charge:
    """Return what of a resource's cost no lease had: it was coming, idle, or had slots to spare.

    It is negative if the price fell after leases had been charged at the one before.
    """
    return Charge(resource=resource.id, cost=None if cost is None else cost - charged)


def news_of_price(resource: Resource, host: Observed, now: float) -> float | None:
    """Return the price that a listing tells of a host, if it is to be written down."""
    price, known = host.hourly_price, resource.hourly_price
    if price is None or (known is not None and abs(price - known) < _EXACT):
        return None
    if resource.priced_at is not None and now < resource.priced_at + PRICE_AGAIN_SECONDS:
        return None
    return price


def hourly_spending(blueprint: Blueprint, resources: Iterable[Resource]) -> float:
    """Return what living resources of a blueprint cost an hour.

    Those that are being torn down still do, those that are parked do not. One whose price is not
    known yet counts as much as the next one is expected to, and nothing if nobody expects anything.
    """
    expected = blueprint.expected_price or 0.0
    return sum(
        expected if each.hourly_price is None else each.hourly_price
        for each in resources
        if each.power is not Power.PARKED
    )


def launches_left(blueprint: Blueprint, spent: float) -> float:
    """Return how many more resources may be launched while *spent* is spent an hour."""
    return launches_within(blueprint.max_hourly_cost, blueprint.expected_price, spent)


def launches_within(most: float | None, price: float | None, spent: float) -> float:
    """Return how many more of one *price* there may be within *most*, of which *spent* is spent.

    Infinitely many without a limit, or if what they cost is not known and there is money left.
    """
    if most is None:
        return float("inf")
    left = most - spent
    if not price:
        return float("inf") if left > _EXACT else 0
    return max(0, (left + _EXACT) // price)


def is_limited(blueprint: Blueprint) -> bool:
    """Tell whether launches need money, which another launch may have spent."""
    return blueprint.max_hourly_cost is not None or blueprint.max_daily_cost is not None
