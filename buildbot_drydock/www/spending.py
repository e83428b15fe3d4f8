"""The paths of the data API about money: what was charged, and its sums."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from buildbot.data import base
from buildbot.data.exceptions import InvalidPathError, InvalidQueryParameter
from buildbot.data.resultspec import ResultSpec

from buildbot_drydock.queries import (
    MOST_INTEGER,
    Condition,
    Query,
    QueryProblem,
    check,
    select,
)
from buildbot_drydock.store.spending import (
    COSTS,
    SPENDING_KINDS,
    builder_condition,
    read_by_index,
)
from buildbot_drydock.www import overview
from buildbot_drydock.www.asking import query_of
from buildbot_drydock.www.endpoints import DrydockEndpoint, DrydockRowEndpoint, DrydockRowsEndpoint
from buildbot_drydock.www.entities import entity

if TYPE_CHECKING:
    from buildbot_drydock.service import DrydockService

COST: Final = entity(
    "drydock_cost",
    COSTS.kinds,
    known=("costid", "at", "blueprint", "resourceid"),
    lists={},
)
SPENDING: Final = entity(
    "drydock_spending",
    SPENDING_KINDS,
    known=("blueprint", "unpriced", "builds", "leases", "at"),
    lists={},
)


async def _conditions(master: Any, path: Mapping[str, Any]) -> list[Condition]:
    """Return what a path says of the costs wanted. Raises ``InvalidPathError``."""
    if "builderid" not in path:
        return [Condition(name, "eq", (value,)) for name, value in path.items()]
    number = path["builderid"]
    known = 0 < number <= MOST_INTEGER  # what no database holds is not asked for
    builder = await master.data.get(("builders", number)) if known else None
    if builder is None:
        raise InvalidPathError("there is no such builder")
    return [builder_condition(builder["name"])]


class _OfCosts:
    listing = COSTS

    def finished(self, service: DrydockService, rows: Sequence[dict[str, Any]]) -> overview.Shown:
        return list(rows)


class DrydockCostsEndpoint(_OfCosts, DrydockRowsEndpoint):
    pathPatterns = [
        "/drydock_costs",
        "/builds/n:buildid/drydock_costs",
        "/builders/n:builderid/drydock_costs",
        "/drydock_leases/n:leaseid/drydock_costs",
        "/drydock_resources/n:resourceid/drydock_costs",
    ]
    rootLinkName = "drydock_costs"
    kinds = COST.kinds

    async def narrowed(self, path: Mapping[str, Any]) -> list[Condition]:
        return await _conditions(self.master, path)


class DrydockCostEndpoint(_OfCosts, DrydockRowEndpoint):
    pathPatterns = ["/drydock_costs/n:costid"]


class DrydockCost(base.ResourceType):
    name = "drydock_cost"
    plural = "drydock_costs"
    endpoints = [DrydockCostsEndpoint, DrydockCostEndpoint]
    entityType = COST


class DrydockSpendingEndpoint(DrydockEndpoint):
    kind = base.EndpointKind.COLLECTION
    pathPatterns = [
        "/drydock_spending",
        "/builds/n:buildid/drydock_spending",
        "/builders/n:builderid/drydock_spending",
    ]
    rootLinkName = "drydock_spending"

    async def read(self, asked: ResultSpec, path: dict[str, Any]) -> base.ListResult:
        service = self.service
        query, _ = query_of(asked, SPENDING_KINDS)
        try:
            costs_of, sums_of = read_by_index(query.conditions)
            narrowed = await _conditions(self.master, path)
            check(Query(conditions=tuple(narrowed)), COSTS.kinds)
            costs_of += narrowed
            rows = await service.spending(costs_of)
            page = select(rows, replace(query, conditions=tuple(sums_of)), SPENDING_KINDS)
        except QueryProblem as problem:
            raise InvalidQueryParameter(str(problem)) from None
        return base.ListResult(page.rows, offset=query.offset, total=page.total, limit=query.limit)


class DrydockSpending(base.ResourceType):
    name = "drydock_spending"
    plural = "drydock_spending"
    endpoints = [DrydockSpendingEndpoint]
    entityType = SPENDING


SPENDING_TYPES: Final = (DrydockCost, DrydockSpending)
