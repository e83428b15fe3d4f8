"""How much of what there is, is in use: counted by the database, from living rows only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from buildbot_drydock.model import BlueprintState, HostState, LeaseStatus, Power, ResourceStatus
from buildbot_drydock.store import transactions
from buildbot_drydock.store.rows import blueprint_reader, host_reader
from buildbot_drydock.store.schema import blueprints, hosts, leases, resources

_LIVING: Final = tuple(
    status.value for status in ResourceStatus if status is not ResourceStatus.DESTROYED
)
_AT_REST: Final = resources.c.power.in_((Power.PARKING.value, Power.PARKED.value))
_COSTS: Final = resources.c.power != Power.PARKED.value
_HOLDING: Final = tuple(
    status.value
    for status in LeaseStatus
    if status not in (LeaseStatus.PENDING, LeaseStatus.DESTROYED)
)


@dataclass(frozen=True, slots=True, kw_only=True)
class BlueprintUsage:
    resources: Mapping[str, int] = field(default_factory=dict)  # living ones, by status
    leased: int = 0  # slots of its resources that leases hold
    idle: int = 0  # active resources without any lease that run, or are being woken
    parked: int = 0  # active resources that are parked, or being parked
    priced: float = 0.0  # what an hour costs of those whose price is known
    unpriced: int = 0  # and how many of the others there are


@dataclass(frozen=True, slots=True, kw_only=True)
class HostUsage:
    resource: int
    status: str
    leased: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """All of it, read at one moment."""

    states: Mapping[str, BlueprintState] = field(default_factory=dict)
    host_states: Mapping[str, HostState] = field(default_factory=dict)
    blueprints: Mapping[str, BlueprintUsage] = field(default_factory=dict)
    hosts: Mapping[str, HostUsage] = field(default_factory=dict)  # listed ones in use, by name


async def read_usage(pool: transactions.Pool) -> Usage:
    return await transactions.read(pool, find_usage)


def find_usage(connection: Connection) -> Usage:
    states = blueprint_reader().read_all(connection.execute(sa.select(*blueprints.c)))
    host_states = host_reader().read_all(connection.execute(sa.select(*hosts.c)))
    return Usage(
        states={state.name: state for state in states},
        host_states={state.name: state for state in host_states},
        blueprints=_blueprints(connection),
        hosts=_hosts(connection),
    )


def _blueprints(connection: Connection) -> dict[str, BlueprintUsage]:
    by_status: dict[str, dict[str, int]] = {}
    living = (
        sa.select(
            resources.c.blueprint,
            resources.c.status,
            sa.func.count(),
            sa.func.sum(sa.case((_COSTS, resources.c.hourly_price), else_=0.0)),
            sa.func.sum(sa.case((_COSTS & resources.c.hourly_price.is_(None), 1), else_=0)),
            sa.func.sum(sa.case((_AT_REST, 1), else_=0)),
        )
        .where(resources.c.status.in_(_LIVING))
        .group_by(resources.c.blueprint, resources.c.status)
    )
    priced: dict[str, float] = {}
    unpriced: dict[str, int] = {}
    parked: dict[str, int] = {}
    for blueprint, status, number, price, unknown, at_rest in connection.execute(living):
        by_status.setdefault(blueprint, {})[status] = number
        priced[blueprint] = priced.get(blueprint, 0.0) + (price or 0.0)
        unpriced[blueprint] = unpriced.get(blueprint, 0) + int(unknown)
        if status == ResourceStatus.ACTIVE.value:
            parked[blueprint] = int(at_rest)
    leased: dict[str, int] = {}
    in_use: dict[str, int] = {}
    for blueprint, status, slots, used in connection.execute(_HOLDING_BY_BLUEPRINT):
        leased[blueprint] = leased.get(blueprint, 0) + slots
        if status == ResourceStatus.ACTIVE.value:
            in_use[blueprint] = used
    return {
        name: BlueprintUsage(
            resources=counts,
            leased=leased.get(name, 0),
            idle=counts.get(ResourceStatus.ACTIVE.value, 0)
            - in_use.get(name, 0)
            - parked.get(name, 0),
            parked=parked.get(name, 0),
            priced=priced[name],
            unpriced=unpriced[name],
        )
        for name, counts in by_status.items()
    }


def _hosts(connection: Connection) -> dict[str, HostUsage]:
    found = (
        sa.select(resources.c.host, resources.c.id, resources.c.status, sa.func.count(leases.c.id))
        .select_from(resources.outerjoin(leases, _held_on_a_resource()))
        .where(resources.c.status.in_(_LIVING), resources.c.host != "")
        .group_by(resources.c.host, resources.c.id, resources.c.status)
    )
    return {
        host: HostUsage(resource=number, status=status, leased=leased)
        for host, number, status, leased in connection.execute(found)
    }


def _held_on_a_resource() -> sa.ColumnElement[bool]:
    on: Any = leases.c.resource == resources.c.id
    return sa.and_(on, leases.c.status.in_(_HOLDING))


_HOLDING_BY_BLUEPRINT: Final = (
    sa.select(
        resources.c.blueprint,
        resources.c.status,
        sa.func.count(leases.c.id),
        sa.func.count(sa.distinct(leases.c.resource)),
    )
    .select_from(leases.join(resources, leases.c.resource == resources.c.id))
    .where(leases.c.status.in_(_HOLDING))
    .group_by(resources.c.blueprint, resources.c.status)
)
