"""The store in Buildbot's database.

Every change is one transaction that compares and sets: it names the version of the row that the
caller saw, and changes nothing if that is no longer so. Where a transaction takes several row
locks, it takes those of resources before those of leases, each in order of their ids, and slot
locks in order of their keys; where a database still finds a deadlock, the work is tried again.

After a connection dropped while a transaction was committed, nobody can tell whether it was. The
work then runs again, finds the row changed and answers ``None``: the caller sees the change, his
own, when he reads the rows next.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, TypeVar

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from buildbot_drydock.events import Event
from buildbot_drydock.interfaces import Claim, Clock, Recorded
from buildbot_drydock.lifecycle import (
    LEASE_MOVES,
    RESOURCE_MOVES,
    LeaseEvent,
    ResourceEvent,
    advance,
)
from buildbot_drydock.model import (
    BlueprintState,
    Charge,
    HostState,
    Lease,
    LeaseRequest,
    LeaseStatus,
    Notice,
    Observed,
    Power,
    Resource,
    ResourceRequest,
    ResourceStatus,
    Rows,
)
from buildbot_drydock.store import transactions
from buildbot_drydock.store.acquisition import acquire_together
from buildbot_drydock.store.authorizations import AuthorizationTable
from buildbot_drydock.store.changes import (
    acquired_lease,
    judged_resource,
    moved_lease,
    moved_resource,
    new_lease,
    new_resource,
    noticed_resource,
    powered_resource,
    priced_resource,
    raised,
)
from buildbot_drydock.store.charging import SqlUses, charge, forget_uses
from buildbot_drydock.store.daily import spent_by_ended
from buildbot_drydock.store.parking import put_power
from buildbot_drydock.store.rows import (
    Reader,
    Values,
    blueprint_reader,
    cleaned,
    host_reader,
    lease_reader,
    lease_values,
    read_event,
    resource_reader,
    resource_values,
)
from buildbot_drydock.store.schema import (
    events,
    leases,
    resources,
)
from buildbot_drydock.store.statements import (
    LIVING,
    find_requested,
    insert,
    is_leased,
    leases_on,
    lock,
    outdate,
    put_blueprint,
    put_host,
    record_of_lease,
    stream,
    swap,
    unlock,
    write_event,
)

T = TypeVar("T")

# Claims in one transaction: enough to share its cost, few enough to keep others waiting briefly.
MOST_TOGETHER = 100

# Ids in one statement; SQLite may refuse more than 999 parameters.
MOST_IDS = 900

_LEASE_TEXTS = ("owner", "nonce", "type", "authorized_by", "reason")
_RESOURCE_TEXTS = ("identity", "address", "reason")
_BLUEPRINT_TEXTS = ("mode_reason", "mode_author", "last_error")
_HOST_TEXTS = ("mode_reason", "mode_author")


class SqlStore(SqlUses, AuthorizationTable):
    """The Drydock tables behind *pool*, which ``migrations.upgrade`` must have made before."""

    def __init__(self, pool: transactions.Pool, clock: Clock) -> None:
        super().__init__(pool, clock)
        self._resources = resource_reader()
        self._leases = lease_reader()
        self._blueprints = blueprint_reader()
        self._hosts = host_reader()

    async def rows(
        self, *, authorizations_of: Collection[str] = (), spent_by: Collection[str] = ()
    ) -> Rows:
        now = self._clock.seconds()

        def work(connection: Connection) -> Rows:
            def read(reader: Reader[T], query: sa.Select[Any]) -> list[T]:
                return reader.read_all(stream(connection, query))

            states = read(self._blueprints, sa.select(*self._blueprints.columns))
            hosts = read(self._hosts, sa.select(*self._hosts.columns))
            return Rows(
                blueprints={state.name: state for state in states},
                hosts={host.name: host for host in hosts},
                resources=tuple(read(self._resources, _LIVING_RESOURCE_ROWS)),
                leases=tuple(read(self._leases, _LIVING_LEASE_ROWS)),
                authorizations=self.authorizations_of(connection, authorizations_of),
                spent=spent_by_ended(connection, spent_by, now),
            )

        return await self._read(work)

    async def add_resource(
        self, request: ResourceRequest, record: Event, *, within: BlueprintState | None = None
    ) -> Resource | None:
        now = self._clock.seconds()
        wanted = new_resource(0, request, now)

        def work(connection: Connection) -> Resource | None:
            if within is not None and not put_blueprint(connection, within, raised(within)):
                return None
            number = insert(connection, resources, resource_values(wanted))
            lock(connection, wanted.locks, f"resource/{number}")
            write_event(connection, record, now, blueprint=wanted.blueprint, resource=number)
            return replace(wanted, id=number)

        return await self._write(work)

    async def move_resource(
        self,
        seen: Resource,
        event: ResourceEvent,
        record: Event,
        *,
        reason: str = "",
        observed: Observed | None = None,
        charges: Sequence[Charge] = (),
    ) -> Resource | None:
        status = advance(RESOURCE_MOVES, seen.status, event)
        if status is seen.status:
            return seen
        now = self._clock.seconds()
        row = moved_resource(seen, status, now, reason=reason, observed=observed)
        values = resource_values(cleaned(row, *_RESOURCE_TEXTS))
        changes = {name: values[name] for name in _MOVED_RESOURCE_COLUMNS}

        def work(connection: Connection) -> Resource | None:
            if not swap(connection, resources, seen.id, seen.version, changes):
                return None
            if event is ResourceEvent.RELEASE and is_leased(connection, seen.id):
                return None
            if status is ResourceStatus.DESTROYED:
                unlock(connection, seen.locks)
            charge(connection, charges, now)
            write_event(connection, record, now, blueprint=seen.blueprint, resource=seen.id)
            return self._find_resource(connection, seen.id)

        return await self._write(work)

    async def set_faults(
        self, seen: Resource, faults: int, record: Event, *, reason: str = ""
    ) -> Resource | None:
        now = self._clock.seconds()
        row = cleaned(judged_resource(seen, faults, now, reason=reason), "fault")
        values = resource_values(row)
        return await self._change_resource(seen, values, _JUDGED_RESOURCE_COLUMNS, record, now)

    async def give_notice(self, seen: Resource, notice: Notice, record: Event) -> Resource | None:
        now = self._clock.seconds()
        values = resource_values(cleaned(noticed_resource(seen, notice), "end_reason"))
        changes = {name: values[name] for name in _NOTICED_RESOURCE_COLUMNS}

        def work(connection: Connection) -> Resource | None:
            if not swap(connection, resources, seen.id, seen.version, changes):
                return None
            write_event(connection, record, now, blueprint=seen.blueprint, resource=seen.id)
            for lease in leases_on(connection, seen.id):
                write_event(connection, record, now, blueprint=seen.blueprint, lease=lease)
            return self._find_resource(connection, seen.id)

        return await self._write(work)

    async def set_price(
        self, seen: Resource, hourly_price: float, record: Event
    ) -> Resource | None:
        now = self._clock.seconds()
        values = resource_values(priced_resource(seen, hourly_price, now))
        return await self._change_resource(seen, values, _PRICED_RESOURCE_COLUMNS, record, now)

    async def set_power(
        self,
        seen: Resource,
        power: Power,
        record: Event,
        *,
        observed: Observed | None = None,
        within: BlueprintState | None = None,
    ) -> Resource | None:
        now = self._clock.seconds()
        row = powered_resource(seen, power, now, observed=observed)

        def work(connection: Connection) -> Resource | None:
            if not put_power(connection, seen, cleaned(row, *_RESOURCE_TEXTS), within):
                return None
            write_event(connection, record, now, blueprint=seen.blueprint, resource=seen.id)
            return self._find_resource(connection, seen.id)

        return await self._write(work)

    async def _change_resource(
        self, seen: Resource, values: Values, columns: Sequence[str], record: Event, now: float
    ) -> Resource | None:
        """Change some columns of a resource that keeps its status."""
        changes = {name: values[name] for name in columns}

        def work(connection: Connection) -> Resource | None:
            if not swap(connection, resources, seen.id, seen.version, changes):
                return None
            write_event(connection, record, now, blueprint=seen.blueprint, resource=seen.id)
            return self._find_resource(connection, seen.id)

        return await self._write(work)

    async def request_lease(self, request: LeaseRequest, record: Event) -> Lease:
        now = self._clock.seconds()
        wanted = cleaned(new_lease(0, request, now), *_LEASE_TEXTS)
        begun = False

        def work(connection: Connection) -> Lease:
            nonlocal begun
            number = find_requested(connection, wanted) if begun else None
            begun = True
            if number is None:
                number = insert(connection, leases, lease_values(wanted))
                write_event(connection, record, now, lease=number)
            return replace(wanted, id=number)

        row = await self._write(work)
        assert row is not None, "no key of a new lease can be taken"
        return row

    async def acquire(self, claims: Sequence[Claim]) -> Sequence[Lease | None]:
        now = self._clock.seconds()
        wanted = [acquired_lease(claim, now) for claim in claims]
        added: Counter[int] = Counter()  # to the versions of resources, by this call
        answers: list[Lease | None] = []
        for start in range(0, len(claims), MOST_TOGETHER):
            end = start + MOST_TOGETHER
            answers += await self._acquire(claims[start:end], wanted[start:end], added, now)
        return answers

    async def _acquire(
        self, claims: Sequence[Claim], wanted: Sequence[Lease], added: Counter[int], now: float
    ) -> list[Lease | None]:
        """Try claims in one transaction; one by one, if what one of them inserts is refused."""
        before = dict(added)
        won = await self._write(
            lambda connection: acquire_together(connection, claims, wanted, before, now)
        )
        if won is None and len(claims) > 1:
            answers: list[Lease | None] = []
            for claim, row in zip(claims, wanted, strict=True):
                answers += await self._acquire([claim], [row], added, now)
            return answers
        if won is None:
            return [None]
        added.update(
            claim.resource.id for claim, succeeds in zip(claims, won, strict=True) if succeeds
        )
        return [row if succeeds else None for row, succeeds in zip(wanted, won, strict=True)]

    async def move_lease(
        self,
        seen: Lease,
        event: LeaseEvent,
        record: Event,
        *,
        reason: str = "",
        charges: Sequence[Charge] = (),
    ) -> Lease | None:
        status = advance(LEASE_MOVES, seen.status, event)
        if status is seen.status:
            return seen
        now = self._clock.seconds()
        row = cleaned(moved_lease(seen, event, status, now, reason=reason), *_LEASE_TEXTS)
        values = lease_values(row)
        changes = {name: values[name] for name in _MOVED_LEASE_COLUMNS}

        def work(connection: Connection) -> Lease | None:
            if event is LeaseEvent.VACATE and seen.resource is not None:
                # First, as whoever acquires locks resources before leases. The version stays:
                # claims on the other slots of the resource remain valid.
                used = resources.update().where(resources.c.id == seen.resource)
                connection.execute(used.values(last_used_at=now))
            if not swap(connection, leases, seen.id, seen.version, changes):
                return None
            if event in (LeaseEvent.RETURN, LeaseEvent.VACATE):
                unlock(connection, seen.locks)
                forget_uses(connection, seen.id)
            charge(connection, charges, now)
            record_of_lease(connection, record, now, seen)
            return row

        return await self._write(work)

    async def renew(self, leases: Collection[int], *, expires_at: float) -> frozenset[int]:
        now = self._clock.seconds()
        numbers = sorted(leases)
        renewed: set[int] = set()
        for start in range(0, len(numbers), MOST_IDS):
            some = numbers[start : start + MOST_IDS]
            renewed |= await self._write(partial(_renew, some, now, expires_at)) or set()
        return frozenset(renewed)

    async def lease(self, number: int) -> Lease | None:
        def work(connection: Connection) -> Lease | None:
            query = sa.select(*self._leases.columns).where(leases.c.id == number)
            found = connection.execute(query).first()
            return None if found is None else self._leases.read(found)

        return await self._read(work)

    async def resource(self, number: int) -> Resource | None:
        return await self._read(lambda connection: self._find_resource(connection, number))

    async def resources_of(self, blueprint: str) -> Sequence[Resource]:
        query = _LIVING_RESOURCE_ROWS.where(resources.c.blueprint == blueprint)
        return await self._read(
            lambda connection: self._resources.read_all(stream(connection, query))
        )

    async def change_blueprint(
        self, seen: BlueprintState, wanted: BlueprintState, record: Event
    ) -> BlueprintState | None:
        now = self._clock.seconds()
        row = replace(wanted, name=seen.name, version=seen.version + 1)
        row = cleaned(row, *_BLUEPRINT_TEXTS)

        def work(connection: Connection) -> BlueprintState | None:
            if not put_blueprint(connection, seen, row):
                return None
            write_event(connection, record, now, blueprint=row.name)
            return row

        return await self._write(work)

    async def change_host(
        self, seen: HostState, wanted: HostState, record: Event
    ) -> HostState | None:
        now = self._clock.seconds()
        row = cleaned(replace(wanted, name=seen.name, version=seen.version + 1), *_HOST_TEXTS)

        def work(connection: Connection) -> HostState | None:
            if not put_host(connection, seen, row):
                return None
            outdate(connection, row.name)
            write_event(connection, record, now)
            return row

        return await self._write(work)

    async def record(
        self,
        event: Event,
        *,
        blueprint: str | None = None,
        resource: int | None = None,
        lease: int | None = None,
    ) -> None:
        now = self._clock.seconds()

        def work(connection: Connection) -> bool:
            write_event(connection, event, now, blueprint=blueprint, resource=resource, lease=lease)
            return True

        await self._write(work)

    async def events(
        self, *, resource: int | None = None, lease: int | None = None, limit: int = 100
    ) -> Sequence[Recorded]:
        query = sa.select(*events.c).order_by(events.c.id.desc()).limit(limit)
        if resource is not None:
            query = query.where(events.c.resource == resource)
        if lease is not None:
            query = query.where(events.c.lease == lease)

        def work(connection: Connection) -> list[Recorded]:
            found = connection.execute(query).all()
            return [read_event(raw) for raw in reversed(found)]

        return await self._read(work)

    async def _read(self, work: Callable[[Connection], T]) -> T:
        return await transactions.read(self._pool, work)

    async def _write(self, work: Callable[[Connection], T | None]) -> T | None:
        return await transactions.write(self._pool, work)

    def _find_resource(self, connection: Connection, number: int) -> Resource | None:
        query = sa.select(*self._resources.columns).where(resources.c.id == number)
        found = connection.execute(query).first()
        return None if found is None else self._resources.read(found)


_LIVING_RESOURCE_ROWS = (
    sa.select(*resources.c)
    .where(resources.c.status != ResourceStatus.DESTROYED.value)
    .order_by(resources.c.id)
)
_LIVING_LEASE_ROWS = (
    sa.select(*leases.c).where(leases.c.status != LeaseStatus.DESTROYED.value).order_by(leases.c.id)
)

# What a move may change. Uses and last use are left out: others change them meanwhile.
_JUDGED_RESOURCE_COLUMNS = ("version", "faults", "fault_at", "fault")
_PRICED_RESOURCE_COLUMNS = ("version", "hourly_price", "priced_at")
_NOTICED_RESOURCE_COLUMNS = ("version", "ends_at", "end_reason")
_MOVED_RESOURCE_COLUMNS = (
    "status",
    "version",
    "since",
    "identity",
    "address",
    "data",
    "locks",
    "reason",
    "hourly_price",
    "priced_at",
)
_MOVED_LEASE_COLUMNS = (
    "status",
    "version",
    "since",
    "resource",
    "slot",
    "locks",
    "returns",
    "reason",
    "held_since",
    "authorized_by",
)


def _renew(
    numbers: Sequence[int], now: float, expires_at: float, connection: Connection
) -> set[int]:
    living = leases.c.id.in_(numbers) & leases.c.status.in_(LIVING)
    connection.execute(
        leases.update()
        .where(living)
        .values(version=leases.c.version + 1, renewed_at=now, expires_at=expires_at)
    )
    # The rows are locked by the update, so this finds exactly those.
    return set(connection.execute(sa.select(leases.c.id).where(living)).scalars())
