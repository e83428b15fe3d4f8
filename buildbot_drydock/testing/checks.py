"""The rules that no storm may break: one small checker each, over rows and the real cloud."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import TypeVar

from buildbot_drydock import slotlocks
from buildbot_drydock.authorization import Grant, judge, subjects_of
from buildbot_drydock.costs import hourly_spending
from buildbot_drydock.latent.synthetic import SyntheticCloud
from buildbot_drydock.model import (
    Authorizations,
    Blueprint,
    Lease,
    LeaseStatus,
    Notice,
    Power,
    Resource,
    ResourceStatus,
    Rows,
)

K = TypeVar("K")


class Unsafe(AssertionError):
    """A rule was broken."""


def nothing_is_taken_twice(rows: Rows) -> None:
    """One lease a slot, one resource a place and a listed host, one living row a token."""
    _unique("slot", ((i.resource, i.slot) for i in rows.leases if i.resource is not None))
    _unique("place", ((r.blueprint, r.place) for r in rows.resources))
    _unique("host", (r.host for r in rows.resources if r.host))
    _unique("token", (r.token for r in rows.resources))


def locks_say_what_rows_say(rows: Rows, locks: Mapping[str, str]) -> None:
    """Whatever is held has its slot lock, and no slot lock outlives its owner."""
    expected = {slotlocks.place(r.blueprint, r.place): f"resource/{r.id}" for r in rows.resources}
    expected |= {slotlocks.host(r.host): f"resource/{r.id}" for r in rows.resources if r.host}
    for lease in rows.leases:
        if lease.resource is not None and lease.slot is not None:
            expected[slotlocks.slot(lease.resource, lease.slot)] = f"lease/{lease.id}"
            expected |= {k: f"lease/{lease.id}" for k in lease.locks if slotlocks.quota_of(k)}
    if expected != dict(locks):
        raise Unsafe(f"slot locks {dict(locks)}, but rows call for {expected}")


def limits_are_kept(rows: Rows, highest_limits: Mapping[str, int]) -> None:
    """A limit that was lowered may be exceeded until what is in use is given back."""
    for name, count in Counter(r.blueprint for r in rows.resources).items():
        if count > highest_limits[name]:
            raise Unsafe(
                f"{name} has {count} resources, and never more than {highest_limits[name]}"
            )


def budgets_are_kept(rows: Rows, blueprints: Iterable[Blueprint]) -> None:
    """However many masters launch at once, all that lives together costs no more than it may.

    What is being parked is not asked for: somebody else may have started it.
    """
    for blueprint in blueprints:
        living = [
            row
            for row in rows.resources
            if row.blueprint == blueprint.name and row.power is not Power.PARKING
        ]
        spent, most = hourly_spending(blueprint, living), blueprint.max_hourly_cost
        if most is not None and spent > most:
            raise Unsafe(f"{blueprint.name} costs {spent} an hour, and may cost {most}")


def leases_hold_what_their_status_says(rows: Rows) -> None:
    resources = {r.id: r for r in rows.resources}
    for lease in rows.leases:
        if lease.status is LeaseStatus.PENDING and lease.resource is not None:
            raise Unsafe(f"a pending lease holds a slot: {lease}")
        if lease.status in (LeaseStatus.ACQUIRED, LeaseStatus.ACTIVE):
            if lease.resource is None or lease.resource not in resources:
                raise Unsafe(f"a lease holds a slot on nothing: {lease}")
            if resources[lease.resource].power is not Power.RUNNING:
                raise Unsafe(f"a lease holds a slot on what is not to run: {lease}")
            if resources[lease.resource].status is ResourceStatus.PENDING:
                raise Unsafe(f"a lease holds a slot on a host that does not answer yet: {lease}")


def no_lease_begins_on(
    rows: Rows, disabled: Collection[str], before: Mapping[int, int | None]
) -> None:
    """From the moment a listed host is disabled, no lease gets a slot on it.

    *before* are the resources of the leases there were a moment ago.
    """
    resources = {r.id: r for r in rows.resources}
    for lease in rows.leases:
        resource = resources.get(lease.resource or 0)
        begins = lease.resource is not None and before.get(lease.id) is None
        if begins and resource is not None and resource.host in disabled:
            raise Unsafe(f"a lease begins on a disabled host: {lease}")


def no_lease_begins_before_an_end(
    rows: Rows, given_notice: Collection[int], before: Mapping[int, int | None]
) -> None:
    """From the moment a resource's row says that its host is to end, no lease gets a slot of it."""
    for lease in rows.leases:
        begins = lease.resource is not None and before.get(lease.id) is None
        if begins and lease.resource in given_notice:
            raise Unsafe(f"a lease begins on a host that is to end: {lease}")


def no_lease_begins_unauthorized(
    rows: Rows,
    authorizations: Authorizations,
    blueprints: Iterable[Blueprint],
    before: Mapping[int, int | None],
) -> None:
    """A lease gets a slot only where its subjects may use the blueprint at that moment.

    *blueprints* are all configurations that a master may be going by, several of a name among them;
    but *authorizations* are what is written down by now.
    """
    resources = {r.id: r for r in rows.resources}
    versions: dict[str, list[Blueprint]] = {}
    for blueprint in blueprints:
        versions.setdefault(blueprint.name, []).append(blueprint)
    for lease in rows.leases:
        resource = resources.get(lease.resource or 0)
        if resource is None or before.get(lease.id) is not None:
            continue
        answers = [
            judge(version, subjects_of(lease), authorizations)
            for version in versions[resource.blueprint]
        ]
        if Grant(lease.authorized_by) not in answers:
            raise Unsafe(f"a lease begins unauthorized: {lease}: {answers}")


def nothing_is_told_twice(warnings: Sequence[tuple[int, Notice]]) -> None:
    """A holder hears of each notice once, and of a further one only if it says more."""
    _unique("warning", warnings)
    when: dict[int, float] = {}
    for lease, notice in warnings:
        if lease in when and (notice.ends_at is None or notice.ends_at >= when[lease]):
            raise Unsafe(f"the holder of lease {lease} is told of a later end: {notice}")
        when[lease] = float("inf") if notice.ends_at is None else notice.ends_at


def hosts_were_written_down_first(cloud: SyntheticCloud, ever_seen: Iterable[str]) -> None:
    if strays := set(cloud.tokens()) - set(ever_seen):
        raise Unsafe(f"these hosts were asked for before they were written down: {strays}")


def hosts_may_be_destroyed(
    rows: Rows, token: str, destroyed: Collection[str], left: Collection[str]
) -> None:
    """The host of a living resource is not torn down; its twins may be.

    As long as nobody knows which of them it is, one is left. *destroyed* and *left* are identities.
    """
    for resource in rows.resources:
        alive = resource.status in (ResourceStatus.PENDING, ResourceStatus.ACTIVE)
        if resource.token != token or not alive or not destroyed:
            continue
        if resource.identity in destroyed or not (resource.identity or left):
            raise Unsafe(f"the host of a living resource is torn down: {resource}")


def slot_is_vacant(cloud: SyntheticCloud, lease: Lease, resource: Resource | None) -> None:
    """When a slot is given back, nothing of its lease runs there any more."""
    if resource is None:
        return
    hosts = {machine.identity for machine in cloud.named(resource.token)}
    if left := hosts & cloud.running(lease.tag):
        raise Unsafe(f"the slot of {lease} was given back while it still runs on {left}")


def _unique(what: str, taken: Iterable[K]) -> None:
    twice = [value for value, count in Counter(taken).items() if count > 1]
    if twice:
        raise Unsafe(f"one {what} is taken twice: {twice}")
