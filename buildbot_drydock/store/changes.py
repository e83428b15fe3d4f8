"""What a row becomes when it changes, as pure functions that all stores share."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace

from buildbot_drydock import slotlocks
from buildbot_drydock.interfaces import Claim
from buildbot_drydock.lifecycle import LEASE_MOVES, LeaseEvent, advance
from buildbot_drydock.model import (
    Authorization,
    AuthorizationStatus,
    BlueprintState,
    Lease,
    LeaseRequest,
    LeaseStatus,
    Notice,
    Observed,
    Power,
    Resource,
    ResourceRequest,
    ResourceStatus,
)


def new_resource(number: int, request: ResourceRequest, now: float) -> Resource:
    return Resource(
        id=number,
        blueprint=request.blueprint,
        token=request.token,
        place=request.place,
        version=1,
        since=now,
        created_at=now,
        labels=dict(request.labels),
        host=request.host,
        built_for=request.built_for,
        locks=tuple(request.locks),
    )


def new_lease(number: int, request: LeaseRequest, now: float) -> Lease:
    return Lease(
        id=number,
        owner=request.owner,
        nonce=request.nonce,
        master=request.master,
        type=request.type,
        requires=dict(request.requires),
        blueprints=tuple(request.blueprints),
        priority=request.priority,
        attributes=dict(request.attributes),
        authorized_by=request.authorized_by,
        version=1,
        requested_at=now,
        since=now,
        renewed_at=now,
        expires_at=request.expires_at,
        until=request.until,
        subjects=tuple(request.subjects),
    )


def moved_resource(
    seen: Resource,
    status: ResourceStatus,
    now: float,
    *,
    reason: str = "",
    observed: Observed | None = None,
) -> Resource:
    """Return the resource in its new status.

    What was known of the host and why it ended stays known if the news does not say otherwise.
    """
    row = replace(
        seen,
        status=status,
        version=seen.version + 1,
        since=now,
        reason=reason or seen.reason,
        locks=() if status is ResourceStatus.DESTROYED else seen.locks,
    )
    if observed is None:
        return row
    row = _as_observed(row, observed)
    if observed.hourly_price is None:
        return row
    return replace(row, hourly_price=observed.hourly_price, priced_at=now)


def judged_resource(seen: Resource, faults: int, now: float, *, reason: str) -> Resource:
    """Return the resource after one lease more could not use it, or, with no faults, could."""
    return replace(
        seen,
        version=seen.version + 1,
        faults=faults,
        fault_at=now if faults else None,
        fault=reason if faults else "",
    )


def raised(state: BlueprintState) -> BlueprintState:
    """Return the state with a new version, and nothing else changed."""
    return replace(state, version=state.version + 1)


def noticed_resource(seen: Resource, notice: Notice) -> Resource:
    """Return the resource once its host was given notice."""
    return replace(seen, version=seen.version + 1, ends_at=notice.ends_at, end_reason=notice.reason)


def priced_resource(seen: Resource, hourly_price: float, now: float) -> Resource:
    """Return the resource once it is known what an hour of it costs."""
    return replace(seen, version=seen.version + 1, hourly_price=hourly_price, priced_at=now)


def powered_resource(
    seen: Resource, power: Power, now: float, *, observed: Observed | None = None
) -> Resource:
    """Return the resource once it is to run or to stop, or was seen to do so."""
    row = replace(
        seen,
        version=seen.version + 1,
        power=power,
        power_since=now,
        parked_seconds=seen.parked_until(now),
    )
    return row if observed is None else _as_observed(row, observed)


def _as_observed(row: Resource, observed: Observed) -> Resource:
    return replace(
        row,
        identity=observed.identity or row.identity,
        address=observed.address or row.address,
        data=dict(observed.data) or row.data,
    )


def moved_lease(
    seen: Lease, event: LeaseEvent, status: LeaseStatus, now: float, *, reason: str = ""
) -> Lease:
    """Return the lease in its new status, for every event but ACQUIRE."""
    row = replace(seen, status=status, version=seen.version + 1, since=now)
    if event is LeaseEvent.RETURN:
        return replace(
            row,
            resource=None,
            slot=None,
            locks=(),
            returns=(*seen.returns, reason),
            held_since=None,
            authorized_by="",
        )
    if event is LeaseEvent.VACATE:
        return replace(row, locks=(), reason=reason or seen.reason)
    return replace(row, reason=reason or seen.reason)


def takes_leases(resource: Resource) -> bool:
    """Tell whether a slot of a resource may be claimed, as far as its own row tells."""
    return resource.status is ResourceStatus.ACTIVE and resource.power is Power.RUNNING


def acquired_lease(claim: Claim, now: float) -> Lease:
    """Return the lease of a claim that succeeds. Raises ``IllegalMove`` unless it is pending."""
    status = advance(LEASE_MOVES, claim.lease.status, LeaseEvent.ACQUIRE)
    if claim.activate:
        status = advance(LEASE_MOVES, status, LeaseEvent.ACTIVATE)
    return replace(
        claim.lease,
        status=status,
        version=claim.lease.version + 1,
        since=now,
        resource=claim.resource.id,
        slot=claim.slot,
        held_since=now,
        authorized_by=claim.authorized_by or claim.lease.authorized_by,
        locks=(*claim.lease.locks, *locks_of(claim)),
    )


def locks_of(claim: Claim) -> tuple[str, ...]:
    """Return the slot locks that a claim takes."""
    return (slotlocks.slot(claim.resource.id, claim.slot), *claim.quotas)


def winners(
    claims: Sequence[Claim],
    *,
    leases: Mapping[int, int],
    resources: Mapping[int, int],
    held: Collection[str],
    states: Mapping[str, int],
) -> list[bool]:
    """Tell which claims succeed, each alone, earlier ones first.

    *leases* and *resources* are the versions of the rows as they are now: of the resources, only
    the active ones, less what earlier claims of the same call added. *held* are the slot locks
    that somebody has. *states* are the versions of blueprints' states, as far as claims name them.
    """
    given: set[int] = set()
    taken: set[str] = set()
    answers = []
    for claim in claims:
        keys = locks_of(claim)
        won = (
            leases.get(claim.lease.id) == claim.lease.version
            and claim.lease.id not in given
            and resources.get(claim.resource.id) == claim.resource.version
            and not any(key in held or key in taken for key in keys)
            and _may_be_used(claim, states)
        )
        if won:
            given.add(claim.lease.id)
            taken.update(keys)
        answers.append(won)
    return answers


def _may_be_used(claim: Claim, states: Mapping[str, int]) -> bool:
    """Tell whether nothing was decided about the blueprint since the claim was made."""
    within = claim.within
    return within is None or states.get(within.name, 0) == within.version


def new_authorization(blueprint: str, subject: str, lease: int | None, now: float) -> Authorization:
    return Authorization(
        blueprint=blueprint, subject=subject, version=1, requested_at=now, lease=lease
    )


def decided_authorization(
    seen: Authorization, status: AuthorizationStatus, now: float, *, author: str, reason: str
) -> Authorization:
    """Return the authorization after a decision; one about which nobody had asked begins with it."""
    return replace(
        seen,
        status=status,
        version=seen.version + 1,
        requested_at=seen.requested_at if seen.version else now,
        author=author,
        decided_at=now,
        reason=reason,
    )
