"""``/drydock/permissions``: which actions a visitor may do, for pages that offer no others.

``?on=drydock_leases/7&on=drydock_leases`` is answered with the actions by path. Buildbot's rules are
asked as they are when something is done; they have the last word then. An action that is allowed for
some blueprints only, as a request for a lease may be, counts as allowed.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, Final

from buildbot.data.exceptions import InvalidPathError
from buildbot.www.authz import Forbidden
from buildbot.www.resource import Resource
from twisted.internet.defer import Deferred

from buildbot_drydock.www.endpoints import DrydockEndpoint

NAME: Final = b"permissions"
MOST_PATHS: Final = 20


class PermissionsPage(Resource):
    isLeaf = True

    def render_GET(self, request: Any) -> int:
        answered: int = self.asyncRenderHelper(
            request, lambda request: Deferred.fromCoroutine(self._render(request))
        )
        return answered

    async def _render(self, request: Any) -> bytes:
        paths = [each.decode("utf-8", "replace") for each in request.args.get(b"on", [])]
        allowed = {path: await self._allowed(request, path) for path in paths[:MOST_PATHS]}
        request.setHeader(b"content-type", b"application/json")
        request.setHeader(b"cache-control", b"no-store")
        return json.dumps(allowed).encode()

    async def _allowed(self, request: Any, path: str) -> list[str]:
        parts = tuple(path.split("/"))
        try:
            endpoint, values = self.master.data.getEndpoint(parts)
            if not isinstance(endpoint, DrydockEndpoint):
                return []
            return [
                action
                for action in endpoint.offered(values)
                if await self._is_allowed(request, parts, action, endpoint)
            ]
        except InvalidPathError:
            return []

    async def _is_allowed(
        self, request: Any, path: tuple[str, ...], action: str, endpoint: DrydockEndpoint
    ) -> bool:
        for options in _ways_to_ask(action, endpoint):
            try:
                await self.master.www.assertUserAllowed(request, path, action, options)
            except Forbidden:
                continue
            return True
        return False


def _ways_to_ask(action: str, endpoint: DrydockEndpoint) -> Iterator[dict[str, Any]]:
    yield {}
    if action == "request":
        for name in endpoint.service.definitions():
            yield {"blueprints": [name]}
