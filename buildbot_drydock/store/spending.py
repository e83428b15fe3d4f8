"""What was charged, row by row and added up by builder and blueprint.

To add up, a call reads no more rows than any other: those of a time that has more are refused, and
the refusal says that a shorter time is to be asked for.
"""

from __future__ import annotations

import operator
from collections.abc import Sequence
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from buildbot_drydock.queries import MOST_READ, Condition, Kind, QueryProblem
from buildbot_drydock.store import transactions
from buildbot_drydock.store.charging import as_kept
from buildbot_drydock.store.listings import Field, Listing
from buildbot_drydock.store.schema import costs

COSTS: Final = Listing(
    table=costs,
    key="costid",
    fields={
        "costid": Field("id", Kind.INTEGER),
        "at": Field("at", Kind.NUMBER),
        "blueprint": Field("blueprint", Kind.TEXT),
        "resourceid": Field("resource", Kind.INTEGER),
        "leaseid": Field("lease", Kind.INTEGER),
        "buildid": Field("build", Kind.INTEGER),
        "builder": Field("builder", Kind.TEXT),
        "seconds": Field("seconds", Kind.NUMBER),
        "cost": Field("cost", Kind.NUMBER),
    },
    indices={
        "costid": ("buildid", "leaseid", "resourceid", "builder"),
        "at": ("builder",),
    },
)
SPENDING_KINDS: Final = {
    "builder": Kind.TEXT,
    "blueprint": Kind.TEXT,
    "cost": Kind.NUMBER,
    "unpriced": Kind.INTEGER,
    "builds": Kind.INTEGER,
    "leases": Kind.INTEGER,
    "seconds": Kind.NUMBER,
    "at": Kind.NUMBER,
}
_TIMES: Final = ("lt", "le", "gt", "ge")
_GROUPS: Final = ("builder", "blueprint")


def builder_condition(name: str) -> Condition:
    """Return what finds the costs of a builder, whose name may be kept in part."""
    return Condition("builder", "eq", (as_kept(name),))


def read_by_index(conditions: Sequence[Condition]) -> tuple[list[Condition], list[Condition]]:
    """Return which conditions restrict the costs that are added up, and which the sums.

    Raises ``QueryProblem`` for a time that is no range.
    """
    costs_of: list[Condition] = []
    sums_of: list[Condition] = []
    for condition in conditions:
        if condition.field == "at" and condition.operator not in _TIMES:
            raise QueryProblem("at: sums are of a time; give at__ge and at__lt")
        single = condition.operator in ("eq", "in") and len(condition.values) == 1
        narrows = condition.field == "at" or (single and condition.field in ("builder", "buildid"))
        (costs_of if narrows else sums_of).append(condition)
    return costs_of, sums_of


async def read_spending(
    pool: transactions.Pool, conditions: Sequence[Condition]
) -> list[dict[str, Any]]:
    """Add up the costs that meet *conditions*. Raises ``QueryProblem`` if they are too many."""
    found = await transactions.read(pool, lambda connection: find_spending(connection, conditions))
    if found is None:
        raise QueryProblem(
            f"at: more than {MOST_READ} costs would have to be added up; give a shorter time, by "
            "at__ge and at__lt, or one builder"
        )
    return found


def find_spending(
    connection: Connection, conditions: Sequence[Condition]
) -> list[dict[str, Any]] | None:
    """Return the sums; ``None`` if there are more costs than one call looks through."""
    some = sa.select(*costs.c)
    for condition in conditions:
        some = some.where(_compared(condition))
    window = some.limit(MOST_READ + 1).subquery()
    counted = sa.select(sa.func.count()).select_from(window)
    if connection.execute(counted).scalar_one() > MOST_READ:
        return None
    c = window.c
    groups = [c[name] for name in _GROUPS]
    sums = sa.select(
        *groups,
        sa.func.sum(c.cost).label("cost"),
        (sa.func.count() - sa.func.count(c.cost)).label("unpriced"),
        sa.func.count(sa.distinct(c.build)).label("builds"),
        sa.func.count(sa.distinct(c.lease)).label("leases"),
        sa.func.sum(c.seconds).label("seconds"),
        sa.func.max(c.at).label("at"),
    )
    found = connection.execute(sums.group_by(*groups)).mappings()
    # Databases do not agree on where null is; nobody's comes first.
    return sorted(
        (dict(row) for row in found), key=lambda row: (row["builder"] or "", row["blueprint"])
    )


def _compared(condition: Condition) -> sa.ColumnElement[bool]:
    column: Any = costs.c[COSTS.fields[condition.field].column]
    compare = operator.eq if condition.operator == "in" else getattr(operator, condition.operator)
    compared: sa.ColumnElement[bool] = compare(column, condition.values[0])
    return compared
