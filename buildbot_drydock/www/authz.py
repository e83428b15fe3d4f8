"""Rules of who may do what with Drydock, for ``util.Authz(allowRules=[...])``."""

from __future__ import annotations

from typing import Any

from buildbot.data.exceptions import InvalidPathError
from buildbot.www.authz.endpointmatchers import EndpointMatcherBase, Match
from twisted.internet.defer import Deferred

from buildbot_drydock.people import person_of
from buildbot_drydock.queries import MOST_INTEGER
from buildbot_drydock.store.authorization_listing import AUTHORIZATIONS
from buildbot_drydock.store.listings import LEASES, RESOURCES, Listing
from buildbot_drydock.www import ledger
from buildbot_drydock.www.authorizations import DrydockAuthorizationsEndpoint
from buildbot_drydock.www.endpoints import DrydockEndpoint

_READ = "get"


class DrydockMatch(Match):
    """A rule applies; the owner of what it applies to is a person, or nobody."""

    def __init__(self, master: Any, owner: str | None) -> None:
        super().__init__(master)
        self._owner = owner

    def getOwner(self) -> Deferred[str | None]:
        owned: Deferred[str | None] = Deferred()
        owned.callback(self._owner)
        return owned


class DrydockEndpointMatcher(EndpointMatcherBase):
    """``DrydockEndpointMatcher(action='release', blueprint='linux', role='admins')``.

    Each of *action*, *blueprint* and *owner* is a pattern as Buildbot's rules have them, and
    ``None`` for any. *action* is the name of an action, or ``get`` for reading, which no rule is
    about that doesn't say so. *blueprint* is that of the resource, the authorization, or of a
    lease's resource; of a request, all that it may come from have to match. *owner* is that of a lease, such as
    ``worker/*`` or ``person/ana@example.org``; the resource of no lease has one.

    With ``RolesFromOwner``, the owner of a lease is the person who requested it.
    """

    def __init__(
        self,
        role: str,
        action: str | None = None,
        blueprint: str | None = None,
        owner: str | None = None,
        defaultDeny: bool = True,
    ) -> None:
        super().__init__(role=role, defaultDeny=defaultDeny)
        self.action = action
        self.blueprint = blueprint
        self.owner = owner

    def match(
        self, ep: Any, action: str = _READ, options: dict[str, Any] | None = None
    ) -> Deferred[Match | None]:
        return Deferred.fromCoroutine(self._match(ep, action, options or {}))

    async def _match(self, ep: Any, action: str, options: dict[str, Any]) -> Match | None:
        try:
            endpoint, path = self.master.data.getEndpoint(ep)
            if not isinstance(endpoint, DrydockEndpoint) or not self._is_about(action):
                return None
            subject = await self._subject(endpoint, path)
        except InvalidPathError:
            return None  # which is what the answer will be
        owner = None if subject is None else subject.get("owner")
        if not self._fits(self.owner, [owner]):
            return None
        if not self._fits(self.blueprint, self._blueprints(endpoint, path, subject, options)):
            return None
        return DrydockMatch(self.master, None if owner is None else person_of(owner))

    def _is_about(self, action: str) -> bool:
        name = _READ if action in ("GET", "HEAD") else action
        if self.action is None:
            return name != _READ
        return bool(self.authz.match(name, self.action))

    def _fits(self, pattern: str | None, values: list[str | None]) -> bool:
        if pattern is None:
            return True
        return bool(values) and all(
            each is not None and self.authz.match(each, pattern) for each in values
        )

    async def _subject(
        self, endpoint: DrydockEndpoint, path: dict[str, Any]
    ) -> dict[str, Any] | None:
        """Return the lease, resource or authorization that a path leads to, if it does."""
        of: list[tuple[str, Listing]] = [
            ("leaseid", LEASES),
            ("resourceid", RESOURCES),
            ("authorizationid", AUTHORIZATIONS),
        ]
        for name, listing in of:
            if name in path and 0 < path[name] <= MOST_INTEGER:
                rows = await endpoint.service.listings.rows(listing, [path[name]])
                return rows[0] if rows else None
        return None

    def _blueprints(
        self,
        endpoint: DrydockEndpoint,
        path: dict[str, Any],
        subject: dict[str, Any] | None,
        options: dict[str, Any],
    ) -> list[str | None]:
        if "blueprint" in path:
            return [path["blueprint"]]
        if "ledgerid" in path:
            return [ledger.blueprint_of(path["ledgerid"])]
        if subject is not None:
            return [subject["blueprint"]]
        if "host" in path:
            return [
                blueprint.name
                for blueprint in endpoint.service.blueprints(endpoint.service.now())
                if any(host.name == path["host"] for host in blueprint.hosts or ())
            ]
        named: Any = options.get("blueprints")
        if isinstance(endpoint, DrydockAuthorizationsEndpoint):
            named = [options.get("blueprint")]
        if isinstance(named, list) and named:
            return [each if isinstance(each, str) else None for each in named]
        return list(endpoint.service.definitions())
