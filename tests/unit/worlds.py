"""Any world: consistent rows, and providers that say whatever they like about them.

A world is drawn from one number, which is much faster than to draw each of its fields.
"""

from __future__ import annotations

from dataclasses import replace
from random import Random
from typing import Any, TypeVar

from hypothesis import strategies as st

from buildbot_drydock.model import (
    Authorizations,
    AuthorizationStatus,
    Blueprint,
    Call,
    CallKey,
    Health,
    Inventory,
    Lease,
    LeaseStatus,
    ListedHost,
    Mode,
    Observed,
    Placement,
    Power,
    Resource,
    ResourceStatus,
    World,
)
from buildbot_drydock.quota import Quota
from buildbot_drydock.sharing import Sharing
from buildbot_drydock.testing.builders import (
    NOW,
    authorization,
    blueprint,
    host_state,
    inventory,
    lease,
    listed_host,
    observed,
    resource,
    state,
    world,
)

T = TypeVar("T")

IMAGES = ("bookworm", "trixie")
HOSTS = ("h1", "h2", "h3", "h4")
HOST_STATES = (
    host_state(),
    host_state(at_once=True),
    host_state(mode_until=NOW + 5),
    host_state(mode_until=NOW - 1),
    host_state(mode=Mode.ENABLED),
)
CALLS = (
    None,
    None,
    Call(running=True),
    Call(succeeded_at=NOW - 1),
    Call(succeeded_at=NOW - 70),
    Call(failures=1, retry_at=NOW + 5),
    Call(failures=5, retry_at=NOW, error="it is stuck"),
)
NOTICES: tuple[dict[str, Any], ...] = (
    *({}, {}, {}, {}, {}, {}),
    {"end_reason": "it is interrupted", "ends_at": NOW + 60},
    {"end_reason": "it may be interrupted"},
)
RULES: tuple[dict[str, Any], ...] = (
    *({}, {}, {}),
    {"allow": ("builder/tests",)},
    {"allow": ("project/*",), "needs_approval": True},
    {"needs_approval": True},
)
QUOTAS: tuple[dict[str, Any], ...] = (
    {"kind": "builder", "pattern": "tests"},
    {"kind": "builder", "pattern": "*", "each": True},
    {"kind": "project", "pattern": "*"},
    {"kind": "owner", "pattern": "worker/linux-00[1-5]"},
)
SUBJECTS = (("builder/tests",), ("builder/tests", "project/lab"), ("builder/docs",))
POWERS: tuple[dict[str, Any], ...] = (
    *({}, {}, {}, {}),
    *({"power": power, "power_since": NOW - ago} for power in Power for ago in (0.0, 20.0, 700.0)),
)
STATES = (
    state(),
    state(),
    state(),
    state(failures=1, retry_at=NOW + 5),
    state(failures=5),
    state(misconfigured=True, failures=1, retry_at=NOW + 5),
    state(mode=Mode.PAUSED),
    state(mode=Mode.DRAINING),
    state(mode=Mode.DISABLED, mode_until=NOW - 1),
)


class _Draw:
    def __init__(self, seed: int) -> None:
        self._random = Random(seed)

    def one_of(self, *values: T) -> T:
        return self._random.choice(values)

    def whole(self, least: int, most: int) -> int:
        return self._random.randint(least, most)


def worlds() -> st.SearchStrategy[World]:
    return st.integers(0, 2**64 - 1).map(world_of)


def world_of(seed: int) -> World:
    pick = _Draw(seed)
    blueprints = [_blueprint(pick, name) for name in "abc"[: pick.whole(1, 3)]]
    resources = _resources(pick, blueprints)
    leases = _leases_on(pick, blueprints, resources)
    leases += [_waiting(pick, len(leases) + number) for number in range(1, pick.whole(1, 6))]
    given = world(*blueprints, resources=resources, leases=leases, master=1)
    inventories = {
        each.name: _inventory(pick, each, resources) for each in blueprints if pick.whole(0, 9)
    }
    states = {name: pick.one_of(*HOST_STATES) for name in HOSTS if pick.whole(0, 1)}
    return replace(
        given,
        inventories=inventories,
        calls=_calls(pick, given),
        hosts={name: replace(each, name=name) for name, each in states.items()},
        authorizations=_authorizations(pick, blueprints),
        sharing=_sharing(pick),
        spent={each.name: pick.one_of(0.5, 7.0) for each in blueprints if pick.whole(0, 1)},
    )


def _sharing(pick: _Draw) -> Sharing:
    quotas = [Quota(leases=pick.whole(0, 4), **fields) for fields in QUOTAS if not pick.whole(0, 4)]
    return Sharing(
        quotas=tuple(quotas),
        fair_share=pick.one_of(None, "builder", "project", "owner"),
        ageing_seconds=pick.one_of(1.0, 3600.0),
    )


def _authorizations(pick: _Draw, blueprints: list[Blueprint]) -> Authorizations:
    return {
        (each.name, subject): authorization(subject, pick.one_of(*AuthorizationStatus), each.name)
        for each in blueprints
        for subject in ("builder/tests", "builder/docs", "project/lab")
        if each.needs_approval and pick.whole(0, 1)
    }


def _host(pick: _Draw, name: str) -> ListedHost:
    return listed_host(
        name,
        labels=pick.one_of({}, {"image": pick.one_of(*IMAGES)}),
        slots=pick.whole(1, 3),
        disabled=pick.one_of("", "", "", "its fan is loud"),
        unavailable=pick.one_of("", "", "", "does not answer"),
    )


def _blueprint(pick: _Draw, name: str) -> Blueprint:
    hosts = None if pick.whole(0, 2) else [_host(pick, each) for each in HOSTS]
    return blueprint(
        name,
        hosts=None if hosts is None else tuple(hosts[: pick.whole(1, len(HOSTS))]),
        limit=pick.whole(1, 4),
        leases_per_resource=pick.whole(1, 3),
        choices=pick.one_of({}, {"image": IMAGES}),
        placement=pick.one_of(*Placement),
        min_ready=pick.one_of(0, 0, 1, 2),
        idle_timeout=pick.one_of(0.0, 50.0, 600.0, None),
        max_uses=pick.one_of(None, None, 1, 3),
        max_age=pick.one_of(None, None, 500.0),
        listing_delay=pick.one_of(0.0, 30.0),
        prepares=pick.one_of(False, True),
        vacates=pick.one_of(False, True),
        retired=pick.one_of(False, False, False, True),
        state=pick.one_of(*STATES),
        max_hourly_cost=pick.one_of(None, None, 1.0, 2.5),
        max_daily_cost=pick.one_of(None, None, None, 2.0, 9.0),
        expected_price=pick.one_of(None, 0.5, 1.0),
        **pick.one_of(*RULES),
        parks=hosts is None and pick.one_of(False, True, True),
        park_for=pick.one_of(None, 500.0),
        max_parked=pick.one_of(None, None, 1),
    )


def _resources(pick: _Draw, blueprints: list[Blueprint]) -> list[Resource]:
    """No two resources are one listed host, and some are one that is listed no longer."""
    resources: list[Resource] = []
    unused = [*HOSTS, "unlisted"]
    for number in range(1, pick.whole(1, 7)):
        of = pick.one_of(*blueprints)
        row = _resource(pick, number, of)
        if of.hosts is not None and unused:
            name = unused.pop(pick.whole(0, len(unused) - 1))
            labels = next((each.labels for each in of.hosts if each.name == name), {})
            row = replace(row, host=name, labels=labels)
        elif of.hosts is not None:
            continue
        resources.append(row)
    return resources


def _resource(pick: _Draw, number: int, of: Blueprint) -> Resource:
    active = ResourceStatus.ACTIVE
    status = pick.one_of(active, active, ResourceStatus.PENDING, *_ENDED)
    ago = pick.one_of(0.0, 10.0, 100.0, 1_000.0)
    return resource(
        number,
        of,
        status=status,
        since=NOW - ago,
        created_at=NOW - ago - pick.one_of(0.0, 600.0),
        labels={"image": pick.one_of(*IMAGES)} if of.choices else {},
        uses=pick.whole(0, 3),
        last_used_at=pick.one_of(None, NOW - 5, NOW - 700),
        identity="" if status is ResourceStatus.PENDING else f"host-{number}",
        hourly_price=pick.one_of(None, 0.25, 1.0),
        **(pick.one_of(*NOTICES) if status is active and of.hosts is None else {}),
        **(pick.one_of(*POWERS) if status is active and of.hosts is None else {}),
    )


_ENDED = (ResourceStatus.RELEASED, ResourceStatus.BROKEN)


def _leases_on(pick: _Draw, blueprints: list[Blueprint], resources: list[Resource]) -> list[Lease]:
    slots = {each.name: each.leases_per_resource for each in blueprints}
    leases: list[Lease] = []
    for each in resources:
        if each.status is ResourceStatus.PENDING or each.power is not Power.RUNNING:
            continue
        for slot in range(slots[each.blueprint]):
            if pick.whole(0, 1):
                status = pick.one_of(*_WITH_A_SLOT)
                leases.append(_lease(pick, len(leases) + 1, on=each, slot=slot, status=status))
    return leases


_WITH_A_SLOT = tuple(LeaseStatus)[1:-1]


def _waiting(pick: _Draw, number: int) -> Lease:
    return _lease(
        pick,
        number,
        type=pick.one_of("host", "host", "host", "host", "windows"),
        requires=pick.one_of({}, {}, *({"image": each} for each in (*IMAGES, "sid"))),
        blueprints=pick.one_of((), (), ("b",)),
        priority=pick.whole(0, 1),
        requested_at=NOW - pick.whole(0, 3),
    )


def _lease(pick: _Draw, number: int, **fields: Any) -> Lease:
    return lease(
        number,
        **{
            "master": pick.one_of(1, 2, None),
            "expires_at": pick.one_of(None, NOW + 5, NOW + 5, NOW - 1),
            "until": pick.one_of(None, None, None, NOW),
            "returns": pick.one_of((), ("a",) * 4),
            "subjects": pick.one_of(*SUBJECTS),
            **fields,
        },
    )


def _inventory(pick: _Draw, of: Blueprint, resources: list[Resource]) -> Inventory:
    hosts: list[Observed] = []
    for each in resources:
        if each.blueprint == of.name and pick.whole(0, 3):
            host = observed(
                each,
                health=pick.one_of(Health.READY, Health.PARKED, *Health),
                parkable=pick.one_of(True, True, False),
                hourly_price=pick.one_of(None, None, 0.25, 1.0),
                **pick.one_of(*NOTICES),
            )
            hosts.append(host)
            if not pick.whole(0, 3):
                hosts.append(replace(host, identity=f"twin-of-{each.id}"))
    if not pick.whole(0, 2):
        hosts.append(observed("stray", identity="host-0"))
    return inventory(
        *hosts,
        asked_at=NOW - pick.one_of(0.0, 0.0, 2.0, 80.0),
        error=pick.one_of("", "", "", "it does not answer"),
    )


def _calls(pick: _Draw, given: World) -> dict[CallKey, Call]:
    keys = [CallKey("inventory", each.name) for each in given.blueprints]
    keys += [
        CallKey(verb, each.blueprint, each.token)
        for each in given.resources
        for verb in ("create", "destroy", "park", "wake")
    ]
    blueprint_of = {each.id: each.blueprint for each in given.resources}
    keys += [
        CallKey(verb, blueprint_of[each.resource], each.tag)
        for each in given.leases
        if each.resource is not None
        for verb in ("prepare", "vacate")
    ]
    calls = {key: pick.one_of(*CALLS) for key in keys}
    return {key: call for key, call in calls.items() if call is not None}
