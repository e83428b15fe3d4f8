"""The paths of the data API, and the resource types they belong to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar, Final

from buildbot.data import base
from buildbot.data.exceptions import InvalidPathError, InvalidQueryParameter
from buildbot.data.resultspec import ResultSpec
from twisted.internet.defer import Deferred

from buildbot_drydock import buildbot_hooks as hooks
from buildbot_drydock.queries import MOST_INTEGER, Condition, Kind, Page, QueryProblem, select
from buildbot_drydock.store.listings import EVENTS, LEASES, RESOURCES, Listing
from buildbot_drydock.www import actions, entities, ledger, overview
from buildbot_drydock.www.actions import Action
from buildbot_drydock.www.asking import fields_to_read, query_of

if TYPE_CHECKING:
    from buildbot_drydock.service import DrydockService

SERVICE: Final = "drydock"


class DrydockEndpoint(base.Endpoint):
    """What all our paths have in common: rules of who may find them by this class."""

    actions: ClassVar[Mapping[str, Action]] = {}

    @property
    def service(self) -> DrydockService:
        """The service. Paths stay after a reconfig that takes it away: then nothing is found."""
        found = hooks.service_named(self.master, SERVICE)
        if found is None or not found.is_ready:
            raise InvalidPathError("Drydock does not run on this master")
        service: DrydockService = found
        return service

    def get(self, resultSpec: ResultSpec, kwargs: dict[str, Any]) -> Deferred[Any]:
        return Deferred.fromCoroutine(self.read(resultSpec, kwargs))

    def control(self, action: str, args: dict[str, Any], kwargs: dict[str, Any]) -> Deferred[Any]:
        return Deferred.fromCoroutine(self._control(action, args, kwargs))

    async def read(self, asked: ResultSpec, path: dict[str, Any]) -> Any:
        raise NotImplementedError

    async def _control(self, action: str, args: dict[str, Any], path: dict[str, Any]) -> Any:
        service = self.service
        offered = self.offered(path)
        found = offered.get(action)
        if found is None:
            known = ", ".join(offered)
            remedy = f"there are: {known}" if known else "this is only to be read"
            actions.refuse(
                f"method: there is no action {action!r} here; {remedy}", "method_not_found"
            )
        changed = await found.perform(service, path, args)
        return await self.shown(service, changed)

    def offered(self, path: Mapping[str, Any]) -> Mapping[str, Action]:
        """Return the actions there are on a path."""
        return self.actions

    async def shown(self, service: DrydockService, changed: Any) -> Any:
        """Return the row that an action changed, by its id or name."""
        raise NotImplementedError


class DrydockRowsEndpoint(DrydockEndpoint):
    """A collection of rows in the database."""

    kind = base.EndpointKind.COLLECTION
    listing: ClassVar[Listing]
    kinds: ClassVar[Mapping[str, Kind]]
    needed: ClassVar[Sequence[str]] = ()  # for what is worked out
    always: ClassVar[Sequence[str]] = ()  # for what is left out

    async def read(self, asked: ResultSpec, path: dict[str, Any]) -> base.ListResult:
        service, more = self.service, await self.narrowed(path)
        query, cut = query_of(asked, self.kinds, more)
        fields = fields_to_read(query, self.listing.kinds, self.needed)
        if fields is not None:
            fields = tuple(dict.fromkeys([*fields, *self.always]))
        own = replace(query, fields=fields)
        try:
            page = await service.listings.page(self.listing, own)
        except QueryProblem as problem:
            raise InvalidQueryParameter(str(problem)) from None
        rows = [cut(row) for row in self.finished(service, page.rows)]
        return base.ListResult(rows, offset=query.offset, total=page.total, limit=query.limit)

    def offered(self, path: Mapping[str, Any]) -> Mapping[str, Action]:
        """Nothing is done to a part of a collection, which would be of rules of its own."""
        return {} if path else self.actions

    async def narrowed(self, path: Mapping[str, Any]) -> list[Condition]:
        """Return what the path says of the rows wanted; others may have to be asked for that."""
        return self.conditions(path)

    def conditions(self, path: Mapping[str, Any]) -> list[Condition]:
        """Return what the path itself says of the rows wanted."""
        return [Condition(name, "eq", (value,)) for name, value in path.items()]

    def finished(self, service: DrydockService, rows: Sequence[dict[str, Any]]) -> overview.Shown:
        raise NotImplementedError


class _One(DrydockEndpoint):
    """One thing, by the id or name that is all its path says."""

    kind = base.EndpointKind.SINGLE

    async def read(self, asked: ResultSpec, path: dict[str, Any]) -> Any:
        (key,) = path.values()
        return await self.shown(self.service, key)


class DrydockRowEndpoint(_One):
    """One row in the database."""

    listing: ClassVar[Listing]

    async def shown(self, service: DrydockService, changed: Any) -> Any:
        if not 0 < changed <= MOST_INTEGER:
            return None
        found = await service.listings.rows(self.listing, [changed])
        return next(iter(self.finished(service, found)), None)

    def finished(self, service: DrydockService, rows: Sequence[dict[str, Any]]) -> overview.Shown:
        raise NotImplementedError


class _Few(DrydockEndpoint):
    """A collection of things that are few, and put together in memory."""

    kind = base.EndpointKind.COLLECTION
    kinds: ClassVar[Mapping[str, Kind]]

    async def read(self, asked: ResultSpec, path: dict[str, Any]) -> base.ListResult:
        wanted = set(asked.fields or ())
        query, _ = query_of(asked, self.kinds)
        rows = await self.rows(self.service, path, wanted)
        try:
            page: Page = select(rows, query, self.kinds)
        except QueryProblem as problem:
            raise InvalidQueryParameter(str(problem)) from None
        return base.ListResult(page.rows, offset=query.offset, total=page.total, limit=query.limit)

    async def rows(
        self, service: DrydockService, path: Mapping[str, Any], wanted: set[str]
    ) -> overview.Shown:
        raise NotImplementedError


# --- leases ----------------------------------------------------------------------------------


class _OfLeases:
    listing = LEASES

    def finished(self, service: DrydockService, rows: Sequence[dict[str, Any]]) -> overview.Shown:
        return overview.leases(service, rows)


class DrydockLeasesEndpoint(_OfLeases, DrydockRowsEndpoint):
    pathPatterns = [
        "/drydock_leases",
        "/drydock_blueprints/i:blueprint/drydock_leases",
        "/drydock_resources/n:resourceid/drydock_leases",
        "/workers/i:workername/drydock_leases",
        "/builds/n:buildid/drydock_leases",
    ]
    rootLinkName = "drydock_leases"
    actions = actions.ON_LEASES
    kinds = entities.LEASE.kinds
    needed = ("leaseid", "owner", "status")
    always = ("owner",)  # decides who may see the rest

    def conditions(self, path: Mapping[str, Any]) -> list[Condition]:
        if "workername" in path:
            return [Condition("owner", "eq", (f"worker/{path['workername']}",))]
        if "buildid" in path:
            return [Condition("buildid", "eq", (str(path["buildid"]),))]
        return super().conditions(path)

    async def shown(self, service: DrydockService, changed: Any) -> Any:
        (row,) = overview.whole_leases(service, await service.listings.rows(LEASES, [changed]))
        return row


class DrydockLeaseEndpoint(_OfLeases, DrydockRowEndpoint):
    pathPatterns = ["/drydock_leases/n:leaseid"]
    actions = actions.ON_LEASE

    def finished(self, service: DrydockService, rows: Sequence[dict[str, Any]]) -> overview.Shown:
        """Rules can tell who reads this path."""
        return overview.whole_leases(service, rows)


class DrydockLease(base.ResourceType):
    name = "drydock_lease"
    plural = "drydock_leases"
    endpoints = [DrydockLeasesEndpoint, DrydockLeaseEndpoint]
    eventPathPatterns = [
        "/drydock_leases/:leaseid",
        "/drydock_resources/:resourceid/drydock_leases/:leaseid",
        "/drydock_blueprints/:blueprint/drydock_leases/:leaseid",
    ]
    entityType = entities.LEASE


# --- resources -------------------------------------------------------------------------------


class _OfResources:
    listing = RESOURCES

    def finished(self, service: DrydockService, rows: Sequence[dict[str, Any]]) -> overview.Shown:
        return overview.resources(service, rows)


class DrydockResourcesEndpoint(_OfResources, DrydockRowsEndpoint):
    pathPatterns = [
        "/drydock_resources",
        "/drydock_blueprints/i:blueprint/drydock_resources",
        "/drydock_hosts/s:host/drydock_resources",
    ]
    rootLinkName = "drydock_resources"
    kinds = entities.RESOURCE.kinds
    needed = (
        *("status", "since", "created_at", "hourly_price"),
        *("power", "power_since", "parked_seconds"),
    )


class DrydockResourceEndpoint(_OfResources, DrydockRowEndpoint):
    pathPatterns = ["/drydock_resources/n:resourceid"]
    actions = actions.ON_RESOURCE


class DrydockResource(base.ResourceType):
    name = "drydock_resource"
    plural = "drydock_resources"
    endpoints = [DrydockResourcesEndpoint, DrydockResourceEndpoint]
    eventPathPatterns = [
        "/drydock_resources/:resourceid",
        "/drydock_blueprints/:blueprint/drydock_resources/:resourceid",
    ]
    entityType = entities.RESOURCE


# --- events ----------------------------------------------------------------------------------


class _OfEvents:
    listing = EVENTS

    def finished(self, service: DrydockService, rows: Sequence[dict[str, Any]]) -> overview.Shown:
        return overview.events(rows)


class DrydockEventsEndpoint(_OfEvents, DrydockRowsEndpoint):
    pathPatterns = [
        "/drydock_events",
        "/drydock_blueprints/i:blueprint/drydock_events",
        "/drydock_resources/n:resourceid/drydock_events",
        "/drydock_leases/n:leaseid/drydock_events",
    ]
    rootLinkName = "drydock_events"
    kinds = entities.EVENT.kinds
    needed = ("kind", "actor", "data")


class DrydockEventEndpoint(_OfEvents, DrydockRowEndpoint):
    pathPatterns = ["/drydock_events/n:eventid"]


class DrydockEvent(base.ResourceType):
    name = "drydock_event"
    plural = "drydock_events"
    endpoints = [DrydockEventsEndpoint, DrydockEventEndpoint]
    eventPathPatterns = [
        "/drydock_events/:eventid",
        "/drydock_blueprints/:blueprint/drydock_events/:eventid",
        "/drydock_resources/:resourceid/drydock_events/:eventid",
        "/drydock_leases/:leaseid/drydock_events/:eventid",
    ]
    entityType = entities.EVENT


# --- blueprints ------------------------------------------------------------------------------


class DrydockBlueprintsEndpoint(_Few):
    pathPatterns = ["/drydock_blueprints"]
    rootLinkName = "drydock_blueprints"
    kinds = entities.BLUEPRINT.kinds

    async def rows(
        self, service: DrydockService, path: Mapping[str, Any], wanted: set[str]
    ) -> overview.Shown:
        found = await overview.blueprints(service)
        # A schema is long, and the same for all of a kind: it is there for those who ask for it.
        return found if "schema" in wanted else [{**row, "schema": None} for row in found]


class DrydockBlueprintEndpoint(_One):
    pathPatterns = ["/drydock_blueprints/i:blueprint"]
    actions = actions.ON_BLUEPRINT

    async def shown(self, service: DrydockService, changed: Any) -> Any:
        return overview.named(await overview.blueprints(service), changed)


class DrydockBlueprint(base.ResourceType):
    name = "drydock_blueprint"
    plural = "drydock_blueprints"
    endpoints = [DrydockBlueprintsEndpoint, DrydockBlueprintEndpoint]
    eventPathPatterns = ["/drydock_blueprints/:name"]
    entityType = entities.BLUEPRINT


# --- listed hosts ----------------------------------------------------------------------------


class DrydockHostsEndpoint(_Few):
    pathPatterns = ["/drydock_hosts", "/drydock_blueprints/i:blueprint/drydock_hosts"]
    rootLinkName = "drydock_hosts"
    kinds = entities.HOST.kinds

    async def rows(
        self, service: DrydockService, path: Mapping[str, Any], wanted: set[str]
    ) -> overview.Shown:
        found = await overview.hosts(service)
        blueprint = path.get("blueprint")
        return [row for row in found if blueprint is None or blueprint in row["blueprints"]]


class DrydockHostEndpoint(_One):
    pathPatterns = ["/drydock_hosts/s:host"]
    actions = actions.ON_HOST

    async def shown(self, service: DrydockService, changed: Any) -> Any:
        return overview.named(await overview.hosts(service), changed)


class DrydockHost(base.ResourceType):
    name = "drydock_host"
    plural = "drydock_hosts"
    endpoints = [DrydockHostsEndpoint, DrydockHostEndpoint]
    eventPathPatterns = ["/drydock_hosts/:hostid"]
    entityType = entities.HOST


# --- the ledger ------------------------------------------------------------------------------


class DrydockLedgerEndpoint(DrydockEndpoint):
    """It is compared, filtered and cut in one piece of work, as there may be many hosts."""

    kind = base.EndpointKind.COLLECTION
    pathPatterns = ["/drydock_ledger", "/drydock_blueprints/i:blueprint/drydock_ledger"]
    rootLinkName = "drydock_ledger"

    async def read(self, asked: ResultSpec, path: dict[str, Any]) -> base.ListResult:
        query, _ = query_of(asked, entities.LEDGER.kinds)
        try:
            page = await ledger.page(self.service, query, path.get("blueprint"))
        except QueryProblem as problem:
            raise InvalidQueryParameter(str(problem)) from None
        return base.ListResult(page.rows, offset=query.offset, total=page.total, limit=query.limit)


class DrydockLedgerEntryEndpoint(_One):
    pathPatterns = ["/drydock_ledger/s:ledgerid"]
    actions = actions.ON_LEDGER

    async def shown(self, service: DrydockService, changed: Any) -> Any:
        found = await ledger.find(service, changed)
        return None if found is None else found[1]


class DrydockLedger(base.ResourceType):
    name = "drydock_ledger_entry"
    plural = "drydock_ledger"
    endpoints = [DrydockLedgerEndpoint, DrydockLedgerEntryEndpoint]
    entityType = entities.LEDGER
