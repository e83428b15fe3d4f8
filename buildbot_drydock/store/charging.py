"""Which builds use a lease, and what is charged for it, in SQL."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from buildbot_drydock.interfaces import Clock
from buildbot_drydock.model import Charge, Use
from buildbot_drydock.store import transactions
from buildbot_drydock.store.rows import clean
from buildbot_drydock.store.schema import MOST_INDEXED, costs, leases, resources, uses
from buildbot_drydock.store.statements import LIVING


def as_kept(builder: str) -> str:
    """Return a builder's name as it is kept: what can be indexed of it."""
    return clean(builder)[:MOST_INDEXED]


def forget_uses(connection: Connection, lease: int) -> None:
    connection.execute(uses.delete().where(uses.c.lease == lease))


def charge(connection: Connection, charges: Sequence[Charge], now: float) -> None:
    """Write charges down, each with the blueprint of its resource."""
    for each in charges:
        of = sa.select(resources.c.blueprint).where(resources.c.id == each.resource)
        values = {
            "at": now,
            "blueprint": of.scalar_subquery(),
            "resource": each.resource,
            "lease": each.lease,
            "build": each.build,
            "builder": None if each.builder is None else as_kept(each.builder),
            "seconds": each.seconds,
            "cost": each.cost,
        }
        connection.execute(costs.insert().values(values))


class SqlUses:
    """The part of the store that is about uses and charges."""

    _pool: transactions.Pool
    _clock: Clock

    async def begin_use(self, lease: int, build: int, builder: str) -> None:
        now = self._clock.seconds()

        def work(connection: Connection) -> bool | None:
            # Locked, so that the lease is not closed, and its uses forgotten, before this one is
            # there.
            living = sa.select(leases.c.id).where(leases.c.id == lease, leases.c.status.in_(LIVING))
            if connection.execute(living.with_for_update()).first() is None:
                return None
            values = {"lease": lease, "build": build, "builder": as_kept(builder)}
            connection.execute(uses.insert().values(**values, began_at=now))
            return True

        await transactions.write(self._pool, work)

    async def end_use(self, lease: int, build: int) -> None:
        await self._end_uses(sa.and_(uses.c.lease == lease, uses.c.build == build))

    async def end_uses(self, lease: int) -> None:
        await self._end_uses(uses.c.lease == lease)

    async def _end_uses(self, which: sa.ColumnElement[bool]) -> None:
        change = uses.update().where(which, uses.c.ended_at.is_(None))
        change = change.values(ended_at=self._clock.seconds())

        def work(connection: Connection) -> bool:
            connection.execute(change)
            return True

        await transactions.write(self._pool, work)

    async def uses(self, lease: int) -> Sequence[Use]:
        query = sa.select(*uses.c).where(uses.c.lease == lease).order_by(uses.c.build)

        def work(connection: Connection) -> list[Use]:
            return [_use(raw) for raw in connection.execute(query).mappings()]

        return await transactions.read(self._pool, work)

    async def charged(self, resource: int) -> float:
        query = sa.select(sa.func.sum(costs.c.cost)).where(costs.c.resource == resource)
        return await transactions.read(
            self._pool, lambda connection: connection.execute(query).scalar() or 0.0
        )


def _use(raw: Any) -> Use:
    return Use(**raw)
