"""Deleting history: a little at a time, by one master at a time, and nothing that is still needed.

Old events go, and resources and leases that ended long ago. What stays, however old it is:

* what lives, and the events about it;
* a lease that a living resource or an authorization names, and a resource that a lease names;
* a resource whose price is known, for a day, as what it cost counts in `max_daily_cost` until then;
* what was charged: it names builder and blueprint itself, so that sums stay what they are;
* the newest row of each table, as some databases would give its number to the next one;
* what is younger than ``RECENT_SECONDS``, as somebody may be about to read it.

Each batch is one transaction, in which the master also says that it is on duty. Another one that
comes meanwhile is told so by a read, and neither waits nor deletes.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from buildbot_drydock import slotlocks
from buildbot_drydock.daily_costs import DAY_SECONDS
from buildbot_drydock.model import LeaseStatus, ResourceStatus
from buildbot_drydock.store import transactions
from buildbot_drydock.store.schema import authorizations, events, leases, resources, slot_locks

BATCH_ROWS: Final = 500
RECENT_SECONDS: Final = 3_600.0
DUTY_SECONDS: Final = 600.0  # after its last batch, a master that was killed is on duty no more

_DUTY: Final = slotlocks.chore("retention")
_ENDED: Final = {leases: LeaseStatus.DESTROYED.value, resources: ResourceStatus.DESTROYED.value}


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How much history is kept; ``None`` sets no limit."""

    seconds: float | None = None
    events: int | None = None  # the newest, counted by their ids
    ended: int | None = None  # the newest rows of each, of resources and leases


@dataclass(frozen=True, slots=True)
class Bounds:
    """Up to where each table is to be looked through, as of one moment."""

    now: float
    before: float  # events of an earlier time go
    event: int  # and so do those with this id, or a lower one
    lease: float  # what ended then, or earlier, goes
    resource: float


@dataclass(frozen=True, slots=True)
class Position:
    """The last row that was looked at: rows are in order of *value*, then of their ids."""

    value: float
    id: int


START: Final = Position(-1.0, 0)  # before all times: not every database knows infinity


@dataclass(frozen=True, slots=True)
class Batch:
    deleted: int
    after: Position | None  # where to go on; None at the end of the table


async def find_bounds(pool: transactions.Pool, limits: Limits, now: float) -> Bounds:
    def work(connection: Connection) -> Bounds:
        before = START.value if limits.seconds is None else now - limits.seconds
        newest = connection.execute(sa.select(sa.func.max(events.c.id))).scalar() or 0
        return Bounds(
            now=now,
            before=before,
            event=0 if limits.events is None else newest - limits.events,
            lease=max(before, _surplus(connection, leases, limits.ended)),
            resource=max(before, _surplus(connection, resources, limits.ended)),
        )

    return await transactions.read(pool, work)


def _surplus(connection: Connection, table: sa.Table, most: int | None) -> float:
    """Return since when the newest row that is one too many is as it is."""
    if most is None:
        return START.value
    newest_first = sa.select(table.c.since).order_by(table.c.since.desc(), table.c.id.desc())
    found: float | None = connection.execute(newest_first.offset(most).limit(1)).scalar()
    return START.value if found is None else found


async def delete_some(
    pool: transactions.Pool,
    table: sa.Table,
    bounds: Bounds,
    after: Position,
    *,
    master: int,
    now: float,
) -> Batch | None:
    """Look at the next rows, and delete those that may go; ``None`` if another master is on duty.

    Raises ``RetryLater``.
    """

    def work(connection: Connection) -> Batch | None:
        if not _take_duty(connection, f"master/{master}", now):
            return None
        found = _next_rows(connection, table, bounds, after)
        doomed = _may_go(connection, table, found, bounds)
        if doomed:
            connection.execute(table.delete().where(table.c.id.in_(sorted(doomed))))
        last = found[-1] if len(found) == BATCH_ROWS else None
        return Batch(len(doomed), None if last is None else Position(last.value, last.id))

    return await transactions.write(pool, work)


def _next_rows(
    connection: Connection, table: sa.Table, bounds: Bounds, after: Position
) -> Sequence[Any]:
    c = table.c
    if table is events:
        # In order of their ids, that is nearly of their times: the first that stays ends it.
        query = sa.select(c.id, c.id.label("value"), c.at, c.lease, c.resource)
        query = query.where(c.id > after.id).order_by(c.id).limit(BATCH_ROWS)
        found = connection.execute(query).all()
        old = [row for row in found if row.at < bounds.before or row.id <= bounds.event]
        return found if len(old) == len(found) else old
    bound = bounds.lease if table is leases else bounds.resource
    ended = sa.select(c.id, c.since.label("value")).where(c.since <= bound)
    if after != START:
        later = (c.since > after.value) | ((c.since == after.value) & (c.id > after.id))
        ended = ended.where(c.since >= after.value, later)
    return connection.execute(ended.order_by(c.since, c.id).limit(BATCH_ROWS)).all()


def _may_go(
    connection: Connection, table: sa.Table, found: Sequence[Any], bounds: Bounds
) -> set[int]:
    numbers = {row.id for row in found}
    if not numbers:
        return numbers
    numbers.discard(connection.execute(sa.select(sa.func.max(table.c.id))).scalar_one())
    recent = bounds.now - RECENT_SECONDS
    if table is events:
        lease = _living(connection, leases, {row.lease for row in found})
        resource = _living(connection, resources, {row.resource for row in found})
        kept = {row.id for row in found if row.lease in lease or row.resource in resource}
        return numbers - kept - {row.id for row in found if row.at >= recent}
    ended = sa.and_(table.c.status == _ENDED[table], table.c.since < recent)
    if table is resources:
        costs_nothing = resources.c.hourly_price.is_(None)
        ended &= costs_nothing | (resources.c.since < bounds.now - DAY_SECONDS)
    going = _among(connection, table.c.id, numbers, ended)
    return going - _named(connection, table, going)


def _living(connection: Connection, table: sa.Table, numbers: Collection[int | None]) -> set[int]:
    given = {number for number in numbers if number is not None}
    return _among(connection, table.c.id, given, table.c.status != _ENDED[table])


def _named(connection: Connection, table: sa.Table, numbers: Collection[int]) -> set[int]:
    """Return which rows others name that stay."""
    if table is resources:
        return _among(connection, leases.c.resource, numbers)
    living = resources.c.status != ResourceStatus.DESTROYED.value
    return {
        *_among(connection, resources.c.built_for, numbers, living),
        *_among(connection, resources.c.parent_lease, numbers, living),
        *_among(connection, authorizations.c.lease, numbers),
    }


def _among(
    connection: Connection,
    column: sa.Column[Any],
    numbers: Collection[int],
    *conditions: sa.ColumnElement[bool],
) -> set[int]:
    """Return which of the numbers a column has, in rows that meet the conditions."""
    query = sa.select(column).where(column.in_(sorted(numbers)), *conditions)
    return set(connection.execute(query).scalars())


# --- on duty ---------------------------------------------------------------------------------


def _take_duty(connection: Connection, who: str, now: float) -> bool:
    """Be on duty from now on; raises ``IntegrityError`` if another master is, since a moment ago."""
    here = slot_locks.c.lock_key == _DUTY
    owner = f"{who}/{now + DUTY_SECONDS:.0f}"
    held = connection.execute(sa.select(slot_locks.c.owner).where(here)).scalar()
    if held is None:
        connection.execute(slot_locks.insert(), {"lock_key": _DUTY, "owner": owner})
        return True
    other, _, until = held.rpartition("/")
    if other != who and float(until) > now:
        return False
    seen = here & (slot_locks.c.owner == held)
    return connection.execute(slot_locks.update().where(seen).values(owner=owner)).rowcount == 1


async def end_duty(pool: transactions.Pool, *, master: int) -> None:
    """Let others be on duty, if this master is."""
    mine = slot_locks.c.owner.like(f"master/{master}/%")

    def work(connection: Connection) -> bool:
        connection.execute(slot_locks.delete().where(slot_locks.c.lock_key == _DUTY, mine))
        return True

    await transactions.write(pool, work)


TABLES: Final = (leases, resources, events)  # leases first: resources stay while leases name them
