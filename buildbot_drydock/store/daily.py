"""What resources that are destroyed have cost in the last day."""

from __future__ import annotations

from collections.abc import Collection, Mapping

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from buildbot_drydock.costs import HOUR_SECONDS
from buildbot_drydock.daily_costs import DAY_SECONDS
from buildbot_drydock.model import Power, ResourceStatus
from buildbot_drydock.store.schema import resources


def spent_by_ended(
    connection: Connection, blueprints: Collection[str], now: float
) -> Mapping[str, float]:
    """Return what the destroyed resources of some blueprints cost in the last day, by blueprint."""
    if not blueprints:
        return {}
    c, begins = resources.c, now - DAY_SECONDS
    at_rest = (c.power == Power.PARKED.value) & c.power_since.is_not(None)
    parked = c.parked_seconds + sa.case((at_rest, c.since - c.power_since), else_=0.0)
    lived = c.since - c.created_at - parked
    within = sa.case((lived < c.since - begins, lived), else_=c.since - begins)
    query = (
        sa.select(c.blueprint, sa.func.sum(c.hourly_price * within) / HOUR_SECONDS)
        .where(c.blueprint.in_(sorted(blueprints)))
        .where(c.status == ResourceStatus.DESTROYED.value)
        .where(c.since > begins)
        .group_by(c.blueprint)
    )
    return {name: float(cost) for name, cost in connection.execute(query) if cost is not None}
