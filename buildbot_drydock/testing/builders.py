"""Values with sensible defaults, so that a test names only what it is about.

Everything is as it mostly is: at ``NOW`` all hosts that should be listed are listed, active
resources answer, nothing has failed and nothing is under way. So a world in which nothing is to be
done plans nothing, and one changed field changes the plan by what follows from that field alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from buildbot_drydock import slotlocks
from buildbot_drydock.model import (
    Authorization,
    AuthorizationStatus,
    Blueprint,
    BlueprintState,
    Call,
    CallKey,
    Health,
    HostState,
    Inventory,
    Lease,
    LeaseStatus,
    ListedHost,
    Mode,
    Observed,
    Power,
    Resource,
    ResourceStatus,
    World,
)
from buildbot_drydock.sharing import USUAL, Sharing

_PENDING, _ACTIVE = ResourceStatus.PENDING, ResourceStatus.ACTIVE
NOW = 100_000.0
A_WHILE_AGO = NOW - 100.0
MASTER = 1

_LISTED = {
    Power.RUNNING: Health.READY,
    Power.PARKING: Health.PARKING,
    Power.PARKED: Health.PARKED,
    Power.WAKING: Health.STARTING,
}


def blueprint(name: str = "linux", **fields: Any) -> Blueprint:
    """A blueprint with a limit of 1; a *state* needs no name."""
    state = replace(fields.pop("state", BlueprintState(name=name)), name=name)
    return Blueprint(name=name, state=state, **{"kind": "synthetic", **fields})


def state(**fields: Any) -> BlueprintState:
    """The run-time state for a ``blueprint``."""
    return BlueprintState(**{"name": "", "version": 1, **fields})


def host_list(*hosts: ListedHost | str, name: str = "lab", **fields: Any) -> Blueprint:
    """A blueprint that lists hosts, and may use them all; a text is a host's name."""
    listed = tuple(listed_host(each) if isinstance(each, str) else each for each in hosts)
    return blueprint(name, **{"limit": len(listed), "hosts": listed, **fields})


def listed_host(name: str = "build1", **fields: Any) -> ListedHost:
    """A listed host in service, with its name among its labels."""
    labels = {"host": name, **fields.pop("labels", {})}
    return ListedHost(name=name, labels=labels, **fields)


def host_state(name: str = "build1", **fields: Any) -> HostState:
    """The state of a listed host that an operator has disabled."""
    disabled = {"version": 1, "mode": Mode.DISABLED, "mode_author": "ana"}
    return HostState(name=name, **{**disabled, **fields})


def on_host(
    host: ListedHost | str, number: int = 1, of: Blueprint | str = "lab", **fields: Any
) -> Resource:
    """An active resource that is a listed host."""
    listed = listed_host(host) if isinstance(host, str) else host
    name = of if isinstance(of, str) else of.name
    defaults = {
        "host": listed.name,
        "labels": dict(listed.labels),
        "locks": (slotlocks.place(name, number - 1), slotlocks.host(listed.name)),
    }
    return resource(number, of, **{**defaults, **fields})


def resource(number: int = 1, of: Blueprint | str = "linux", **fields: Any) -> Resource:
    """An active resource, idle for a while, with the labels that its blueprint gives it."""
    name = of if isinstance(of, str) else of.name
    place = fields.get("place", number - 1)
    defaults = {
        "token": f"token-{number}",
        "place": place,
        "status": ResourceStatus.ACTIVE,
        "version": 1,
        "since": A_WHILE_AGO,
        "created_at": A_WHILE_AGO,
        "labels": {} if isinstance(of, str) else dict(of.labels),
        "identity": f"host-{number}",
        "locks": (slotlocks.place(name, place),),
    }
    return Resource(id=number, blueprint=name, **{**defaults, **fields})


def parked(number: int = 1, of: Blueprint | str = "linux", **fields: Any) -> Resource:
    """A resource that was parked a while ago."""
    return resource(number, of, **{"power": Power.PARKED, "power_since": A_WHILE_AGO, **fields})


def pending(number: int = 1, of: Blueprint | str = "linux", **fields: Any) -> Resource:
    """A resource whose host has not been seen yet."""
    return resource(number, of, **{"status": ResourceStatus.PENDING, "identity": "", **fields})


def lease(number: int = 1, *, on: Resource | int | None = None, **fields: Any) -> Lease:
    """A waiting lease, or an active one *on* slot 0 of a resource; not about to expire."""
    defaults: dict[str, Any] = {
        "owner": f"worker/linux-{number:03}",
        "nonce": f"nonce-of-lease-{number}",
        "version": 1,
        "requested_at": A_WHILE_AGO,
        "since": A_WHILE_AGO,
        "renewed_at": A_WHILE_AGO,
    }
    if on is not None:
        where = on if isinstance(on, int) else on.id
        slot = fields.get("slot", 0)
        locks = (slotlocks.slot(where, slot),)
        status = LeaseStatus.ACTIVE
        defaults |= {"status": status, "resource": where, "slot": slot, "locks": locks}
    return Lease(id=number, **{**defaults, **fields})


def authorization(
    subject: str, status: AuthorizationStatus, blueprint: str = "linux", **fields: Any
) -> Authorization:
    """An authorization that was requested a while ago, and decided by ana if it was."""
    defaults: dict[str, Any] = {"id": 1, "version": 1, "requested_at": A_WHILE_AGO}
    if status is not AuthorizationStatus.REQUESTED:
        defaults |= {"version": 2, "author": "ana", "decided_at": A_WHILE_AGO}
    return Authorization(
        blueprint=blueprint, subject=subject, status=status, **{**defaults, **fields}
    )


def observed(of: Resource | str = "token-1", **fields: Any) -> Observed:
    """A ready host: that of a resource, or one with a token."""
    if isinstance(of, str):
        return Observed(token=of, **fields)
    return Observed(token=of.token, **{"identity": of.identity, **fields})


def inventory(*hosts: Observed | Resource, **fields: Any) -> Inventory:
    """A listing asked for just now; a resource stands for its ready host."""
    by_token: dict[str, tuple[Observed, ...]] = {}
    for each in hosts:
        host = observed(each) if isinstance(each, Resource) else each
        by_token[host.token] = (*by_token.get(host.token, ()), host)
    return Inventory(**{"asked_at": NOW, "hosts": by_token, **fields})


def expected_inventory(of: str, resources: Iterable[Resource], asked_at: float = NOW) -> Inventory:
    """What a provider lists if all is well: starting and ready hosts, and none that has ended."""
    of_it = [each for each in resources if each.blueprint == of]
    hosts = [observed(r, health=Health.STARTING) for r in of_it if r.status is _PENDING]
    hosts += [
        observed(r, health=_LISTED[r.power], parkable=True) for r in of_it if r.status is _ACTIVE
    ]
    return inventory(*hosts, asked_at=asked_at)


def succeeded(seconds_ago: float = 0.0) -> Call:
    """A call that was begun so long ago, and succeeded."""
    return Call(succeeded_at=NOW - seconds_ago)


def world(
    *blueprints: Blueprint,
    resources: Iterable[Resource] = (),
    leases: Iterable[Lease] = (),
    inventories: Mapping[str, Inventory] | None = None,
    calls: Mapping[CallKey, Call] | None = None,
    hosts: Iterable[HostState] = (),
    authorizations: Iterable[Authorization] = (),
    now: float = NOW,
    master: int | None = MASTER,
    sharing: Sharing = USUAL,
    spent: Mapping[str, float] | None = None,
) -> World:
    """The world at ``NOW``. Blueprints without an inventory get the expected one."""
    resources = tuple(resources)
    expected = {each.name: expected_inventory(each.name, resources, now) for each in blueprints}
    return World(
        now=now,
        blueprints=blueprints,
        hosts={each.name: each for each in hosts},
        resources=resources,
        leases=tuple(leases),
        inventories={**expected, **(inventories or {})},
        calls=calls or {},
        master=master,
        authorizations={(each.blueprint, each.subject): each for each in authorizations},
        sharing=sharing,
        spent=spent or {},
    )
