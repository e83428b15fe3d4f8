"""Bring each lease, each resource and each host one step closer together."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from buildbot_drydock.actions import (
    Action,
    BreakLease,
    CloseLease,
    CreateHost,
    DestroyHost,
    DestroyStray,
    GiveNotice,
    PrepareLease,
    ReleaseLease,
    ReturnLease,
    SetPrice,
    SettleResource,
    VacateLease,
)
from buildbot_drydock.costs import hourly_share, news_of_price
from buildbot_drydock.lifecycle import MOST_RETURNS, ResourceEvent
from buildbot_drydock.model import (
    LIVING_LEASES,
    Blueprint,
    Health,
    Inventory,
    Lease,
    LeaseStatus,
    Observed,
    Power,
    Resource,
    ResourceStatus,
)
from buildbot_drydock.planner import parking
from buildbot_drydock.planner.survey import ENDED, Survey
from buildbot_drydock.policy import (
    CLOCK_TOLERANCE_SECONDS,
    DESTROY_AGAIN_SECONDS,
    MOST_CALL_FAILURES,
    MOST_FAULTS,
    keeper,
    notice_to_give,
    slots_of,
)

_LEAVING = (ResourceEvent.BREAK, ResourceEvent.RELEASE)


def see_to_leases(survey: Survey) -> Iterator[Action]:
    """End leases whose time is over or whose resource is lost; clean up after ended ones."""
    for lease in survey.world.leases:
        if lease.status in LIVING_LEASES:
            action = _overdue(survey, lease) or _on_its_resource(survey, lease)
            if isinstance(action, BreakLease | ReleaseLease | ReturnLease):
                survey.ending.add(lease.id)
        else:
            action = _after_its_end(survey, lease)
        if action is not None:
            yield action


def _overdue(survey: Survey, lease: Lease) -> Action | None:
    if lease.expires_at is not None:
        if lease.expires_at <= survey.now:
            return BreakLease(lease, "its holder stopped renewing it")
        survey.wake(lease.expires_at)
    if lease.until is not None:
        if lease.until <= survey.now:
            return ReleaseLease(lease, "its time is over")
        survey.wake(lease.until)
    return None


def _on_its_resource(survey: Survey, lease: Lease) -> Action | None:
    if lease.resource is None:
        return None
    resource = survey.resources.get(lease.resource)
    if resource is None or resource.status in ENDED:
        why = resource.reason if resource is not None else "it was destroyed"
        return _lost(lease, f"resource {lease.resource} was lost: {why}")
    if survey.evicts(resource):
        return _lost(lease, f"resource {lease.resource}: {survey.disabled(resource)}")
    if lease.status is LeaseStatus.ACQUIRED and survey.blueprint_of(resource) is not None:
        preparing = survey.call("prepare", resource.blueprint, lease.tag)
        if preparing.failures >= MOST_CALL_FAILURES:
            return BreakLease(lease, f"it could not be prepared: {preparing.error}")
        if survey.may_call("prepare", resource.blueprint, lease.tag):
            return PrepareLease(lease, resource)
    return None


def _lost(lease: Lease, reason: str) -> Action:
    """A lease goes back to the pool as long as its holder never had the resource."""
    if lease.status is LeaseStatus.ACTIVE:
        return BreakLease(lease, reason)
    if len(lease.returns) + 1 >= MOST_RETURNS:
        return BreakLease(lease, "; ".join([*lease.returns, reason]))
    return ReturnLease(lease, reason)


def _after_its_end(survey: Survey, lease: Lease) -> Action | None:
    resource = survey.resources.get(lease.resource) if lease.resource is not None else None
    if resource is None:
        return CloseLease(lease)
    blueprint = survey.blueprint_of(resource)
    if blueprint is None:
        return None  # the master that has this blueprint sees to it
    share = hourly_share(resource, slots_of(blueprint, survey.listed_host(resource)))
    if resource.status in ENDED:
        return CloseLease(lease, share) if survey.host_is_gone(resource) else None
    if not blueprint.vacates:
        return CloseLease(lease, share)
    if survey.may_call("vacate", blueprint.name, lease.tag):
        return VacateLease(lease, resource, share)
    return None


def see_to_resources(survey: Survey) -> Iterator[Action]:
    """Follow what the providers say of each host."""
    for resource in survey.world.resources:
        blueprint = survey.blueprint_of(resource)
        if blueprint is None:
            continue
        match resource.status:
            case ResourceStatus.PENDING:
                action = _pending(survey, blueprint, resource)
            case ResourceStatus.ACTIVE:
                action = _active(survey, blueprint, resource)
            case _:
                action = _ended(survey, blueprint, resource)
        if action is not None:
            survey.moving.add(resource.id)
            _note(survey, action)
            yield action


def _note(survey: Survey, action: Action) -> None:
    """Keep a resource that is about to end from being given to anybody in this plan."""
    match action:
        case SettleResource(resource, event) if event in _LEAVING:
            survey.leaving.add(resource.id)
        case GiveNotice(resource):
            survey.leaving.add(resource.id)
            survey.given_notice.add(resource.id)


def _pending(survey: Survey, blueprint: Blueprint, resource: Resource) -> Action | None:
    if (disabled := survey.disabled(resource)) is not None:
        return SettleResource(resource, ResourceEvent.RELEASE, disabled)
    inventory = survey.inventory(blueprint.name)
    host = keeper(inventory.hosts.get(resource.token, ()), resource)
    if (told := _notice(blueprint, resource, host or _last_seen(inventory, resource))) is not None:
        reason = f"its host is to end before it was used: {told.notice.reason}"
        return _launch_failed(resource, reason)
    if host is not None:
        if host.health is Health.READY:
            return SettleResource(resource, ResourceEvent.READY, "its host answers", host)
        if host.health is Health.FAILING or host.health in parking.STOPPED:
            reason = f"its host failed to start: {host.reason or 'no reason given'}"
            if blueprint.hosts is not None:  # its provider puts off this one host, and no other
                return SettleResource(resource, ResourceEvent.BREAK, reason)
            return _launch_failed(resource, reason)
    deadline = resource.since + blueprint.boot_timeout
    if deadline <= survey.now and inventory.known:
        return _launch_failed(
            resource, f"its host took over {blueprint.boot_timeout:.0f} s to boot"
        )
    survey.wake(deadline)
    if host is not None:
        return _priced(survey, resource, host)
    return _ask_for_host(survey, blueprint, resource)


def _launch_failed(resource: Resource, reason: str) -> Action:
    return SettleResource(resource, ResourceEvent.BREAK, reason, launch_failed=True)


def _ask_for_host(survey: Survey, blueprint: Blueprint, resource: Resource) -> Action | None:
    """Ask for a host that is not listed, unless it was asked for and could not be listed yet."""
    asked = survey.call("create", blueprint.name, resource.token)
    inventory = survey.inventory(blueprint.name)
    if asked.succeeded_at is not None:
        listed_from = asked.succeeded_at + blueprint.listing_delay
        if not inventory.known or inventory.hides(resource) or inventory.asked_at <= listed_from:
            return None
    if survey.may_call("create", blueprint.name, resource.token):
        return CreateHost(resource)
    return None


def _active(survey: Survey, blueprint: Blueprint, resource: Resource) -> Action | None:
    inventory = survey.inventory(blueprint.name)
    if not inventory.known:
        return None
    host = keeper(inventory.hosts.get(resource.token, ()), resource)
    if host is None and survey.listed_host(resource) is not None:
        # It can't have gone. After a restart the provider has to be told what it is used for.
        return _ask_for_host(survey, blueprint, resource)
    if host is None and inventory.hides(resource):
        return None
    if host is None:
        return _without_host(survey, blueprint, resource)
    if resource.power is not Power.RUNNING:
        return parking.follow(survey, blueprint, resource, host)
    if not parking.is_current(survey, resource):
        return None  # it tells how the host was before it was woken
    if host.health is Health.FAILING or host.health in parking.STOPPED:
        return SettleResource(resource, ResourceEvent.BREAK, host.reason or "its host is failing")
    return (
        _notice(blueprint, resource, host)
        or _useless(survey, blueprint, resource)
        or _unvacated(survey, blueprint, resource)
        or _priced(survey, resource, host)
    )


def _without_host(survey: Survey, blueprint: Blueprint, resource: Resource) -> Action | None:
    """Write down first why its host has gone, if its provider tells: whoever does so is the one."""
    inventory = survey.inventory(blueprint.name)
    if (told := _notice(blueprint, resource, _last_seen(inventory, resource))) is not None:
        return told
    seen_from = resource.since + blueprint.listing_delay + CLOCK_TOLERANCE_SECONDS
    if inventory.asked_at > seen_from:
        why = f": {resource.end_reason}" if resource.end_reason else ""
        return SettleResource(resource, ResourceEvent.BREAK, f"its host has gone{why}")
    survey.wake(seen_from)
    return None


def _last_seen(inventory: Inventory, resource: Resource) -> Observed | None:
    """Return what is told of a resource's host that has ended."""
    return keeper(inventory.ended.get(resource.token, ()), resource)


def _notice(blueprint: Blueprint, resource: Resource, host: Observed | None) -> GiveNotice | None:
    notice = None if host is None else notice_to_give(blueprint, resource, host)
    if host is None or notice is None:
        return None
    price = resource.hourly_price if host.hourly_price is None else host.hourly_price
    return GiveNotice(resource, notice, price)


def _priced(survey: Survey, resource: Resource, host: Observed) -> Action | None:
    price = news_of_price(resource, host, survey.now)
    return None if price is None else SetPrice(resource, price)


def _useless(survey: Survey, blueprint: Blueprint, resource: Resource) -> Action | None:
    """Give up a resource that no lease can use. A listed host has no better one to make way for."""
    if blueprint.hosts is not None or resource.faults < MOST_FAULTS:
        return None
    leases = survey.on_resource.get(resource.id, ())
    if any(lease.status in LIVING_LEASES for lease in leases):
        return None
    reason = f"{resource.faults} leases in a row could not use it: {resource.fault}"
    return SettleResource(resource, ResourceEvent.BREAK, reason)


def _unvacated(survey: Survey, blueprint: Blueprint, resource: Resource) -> Action | None:
    """Give up a resource that cannot be cleaned up, once no living lease would suffer."""
    leases = survey.on_resource.get(resource.id, ())
    if any(lease.status in LIVING_LEASES for lease in leases):
        return None
    for lease in leases:
        vacating = survey.call("vacate", blueprint.name, lease.tag)
        if vacating.failures >= MOST_CALL_FAILURES:
            reason = f"what lease {lease.id} left on it could not be ended: {vacating.error}"
            return SettleResource(resource, ResourceEvent.BREAK, reason)
    return None


def _ended(survey: Survey, blueprint: Blueprint, resource: Resource) -> Action | None:
    if survey.host_is_gone(resource):
        if resource.id in survey.on_resource:
            return None  # its leases are closed first
        return SettleResource(resource, ResourceEvent.GONE, "its provider has nothing left of it")
    destroyed = survey.call("destroy", blueprint.name, resource.token)
    again = (destroyed.succeeded_at or 0.0) + DESTROY_AGAIN_SECONDS
    if destroyed.succeeded_at is not None and again > survey.now:
        survey.wake(again)
        return None
    if survey.may_call("destroy", blueprint.name, resource.token):
        return DestroyHost(resource)
    return None


def sweep(survey: Survey) -> Iterator[Action]:
    """Destroy hosts that no living row accounts for, and twins of those that one does."""
    living = {resource.token: resource for resource in survey.world.resources}
    for blueprint in survey.world.blueprints:
        inventory = survey.inventory(blueprint.name)
        if not inventory.known:
            continue
        for token, hosts in sorted(inventory.hosts.items()):
            resource = living.get(token)
            if resource is None:
                reason = "no living resource accounts for it"
                yield from _destroy_stray(survey, blueprint, token, "", reason)
            elif len(hosts) > 1 and resource.status is ResourceStatus.ACTIVE:
                yield from _destroy_twins(survey, blueprint, resource, hosts)


def _destroy_twins(
    survey: Survey, blueprint: Blueprint, resource: Resource, hosts: Sequence[Observed]
) -> Iterator[Action]:
    """Keep the host that the row remembers.

    While the row remembers none, two masters with different listings could keep one each, and
    destroy both; when it is not listed any more, the resource is about to break.
    """
    kept = keeper(hosts, resource)
    for host in hosts:
        if kept is not None and host.identity != kept.identity:
            reason = f"it is a twin of resource {resource.id}"
            yield from _destroy_stray(survey, blueprint, resource.token, host.identity, reason)


def _destroy_stray(
    survey: Survey, blueprint: Blueprint, token: str, identity: str, reason: str
) -> Iterator[Action]:
    subject = f"{token} {identity}".rstrip()
    destroyed = survey.call("destroy-stray", blueprint.name, subject)
    again = (destroyed.succeeded_at or 0.0) + DESTROY_AGAIN_SECONDS
    if destroyed.succeeded_at is not None and again > survey.now:
        survey.wake(again)
    elif survey.may_call("destroy-stray", blueprint.name, subject):
        yield DestroyStray(blueprint.name, token, identity, reason)
