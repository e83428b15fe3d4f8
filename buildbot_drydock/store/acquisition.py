"""Giving many leases their slots in one transaction."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from buildbot_drydock.interfaces import Claim
from buildbot_drydock.model import BlueprintState, Lease, Power, ResourceStatus
from buildbot_drydock.store.changes import locks_of, raised, winners
from buildbot_drydock.store.rows import blueprint_values, clean, dump_list, event_values
from buildbot_drydock.store.schema import blueprints, events, leases, resources, slot_locks

_GIVE = (
    leases.update()
    .where(leases.c.id == sa.bindparam("number"))
    .values({name: sa.bindparam(f"new_{name}") for name in ("status", "version", "since")})
    .values({name: sa.bindparam(f"new_{name}") for name in ("resource", "slot", "locks")})
    .values({name: sa.bindparam(f"new_{name}") for name in ("held_since", "authorized_by")})
)


def acquire_together(
    connection: Connection,
    claims: Sequence[Claim],
    wanted: Sequence[Lease],
    added: Mapping[int, int],
    now: float,
) -> list[bool]:
    """Write down the claims that succeed, and tell which those are.

    *wanted* are the leases as they become. *added* is by how much earlier claims of the same call
    have raised the version of a resource.
    """
    # The rows are locked before they are judged, resources before leases: nobody else acquires,
    # releases or renews any of them until the end of the transaction.
    states = _hold_states(connection, claims)
    versions = _lock_resources(connection, claims)
    won = winners(
        claims,
        leases=_lock_leases(connection, claims),
        resources={number: version - added.get(number, 0) for number, version in versions.items()},
        held=_held(connection, claims),
        states=states,
    )
    _write(
        connection,
        [
            pair
            for pair, succeeds in zip(zip(claims, wanted, strict=True), won, strict=True)
            if succeeds
        ],
        now,
    )
    return won


def _hold_states(connection: Connection, claims: Sequence[Claim]) -> dict[str, int]:
    """Keep the states of blueprints that need approval as they are, and return their versions.

    Others may hold them so as well: only a decision has to wait for the end of the transaction. A
    blueprint without a state gets one, as what is not there cannot be held. Raises
    ``IntegrityError`` if it has got one meanwhile.
    """
    names = {claim.within.name for claim in claims if claim.within is not None}
    if not names:
        return {}
    query = (
        sa.select(blueprints.c.name, blueprints.c.version)
        .where(blueprints.c.name.in_(names))
        .order_by(blueprints.c.name)
        .with_for_update(read=True)
    )
    states = {name: version for name, version in connection.execute(query)}
    for name in sorted(names - states.keys()):
        first = raised(BlueprintState(name=name))
        connection.execute(blueprints.insert(), blueprint_values(first))
    return states


def _lock_resources(connection: Connection, claims: Sequence[Claim]) -> dict[int, int]:
    """Lock the active resources that run among those claimed, and return their versions."""
    query = (
        sa.select(resources.c.id, resources.c.version)
        .where(resources.c.id.in_({claim.resource.id for claim in claims}))
        .where(resources.c.status == ResourceStatus.ACTIVE.value)
        .where(resources.c.power == Power.RUNNING.value)
        .order_by(resources.c.id)
        .with_for_update()
    )
    return {number: version for number, version in connection.execute(query)}


def _lock_leases(connection: Connection, claims: Sequence[Claim]) -> dict[int, int]:
    query = (
        sa.select(leases.c.id, leases.c.version)
        .where(leases.c.id.in_({claim.lease.id for claim in claims}))
        .order_by(leases.c.id)
        .with_for_update()
    )
    return {number: version for number, version in connection.execute(query)}


def _held(connection: Connection, claims: Sequence[Claim]) -> set[str]:
    keys = {key for claim in claims for key in locks_of(claim)}
    query = sa.select(slot_locks.c.lock_key).where(slot_locks.c.lock_key.in_(keys))
    return set(connection.execute(query).scalars())


def _write(connection: Connection, given: Sequence[tuple[Claim, Lease]], now: float) -> None:
    if not given:
        return
    _count_uses(connection, Counter(claim.resource.id for claim, _ in given), now)
    connection.execute(
        _GIVE,
        [
            {
                "number": row.id,
                "new_status": row.status.value,
                "new_version": row.version,
                "new_since": row.since,
                "new_resource": row.resource,
                "new_slot": row.slot,
                "new_locks": dump_list(row.locks),
                "new_held_since": row.held_since,
                "new_authorized_by": clean(row.authorized_by),
            }
            for _, row in given
        ],
    )
    locks = [
        {"lock_key": key, "owner": f"lease/{row.id}"}
        for claim, row in given
        for key in locks_of(claim)
    ]
    connection.execute(slot_locks.insert(), sorted(locks, key=lambda lock: lock["lock_key"]))
    connection.execute(
        events.insert(),
        [
            event_values(
                claim.record,
                now,
                blueprint=claim.resource.blueprint,
                resource=row.resource,
                lease=row.id,
            )
            for claim, row in given
        ],
    )


def _count_uses(connection: Connection, uses: Mapping[int, int], now: float) -> None:
    by_count: dict[int, list[int]] = defaultdict(list)
    for number, count in uses.items():
        by_count[count].append(number)
    for count, numbers in by_count.items():
        connection.execute(
            resources.update()
            .where(resources.c.id.in_(numbers))
            .values(
                version=resources.c.version + count,
                uses=resources.c.uses + count,
                last_used_at=now,
            )
        )
