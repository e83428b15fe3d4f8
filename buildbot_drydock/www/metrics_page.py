"""``/drydock/metrics`` on Buildbot's own port, for Prometheus.

Who may read the blueprints in the data API may read this: the rules of ``c['www']['authz']`` are
asked for that path.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from buildbot.www.resource import Resource
from twisted.internet.defer import Deferred
from twisted.internet.threads import deferToThreadPool
from twisted.web.error import Error

from buildbot_drydock import buildbot_hooks as hooks

if TYPE_CHECKING:
    from buildbot_drydock.service import DrydockService

NAME: Final = b"metrics"
_STANDS_FOR: Final = ("drydock_blueprints",)


class MetricsPage(Resource):
    isLeaf = True

    def render_GET(self, request: Any) -> int:
        answered: int = self.asyncRenderHelper(
            request, lambda request: Deferred.fromCoroutine(self._render(request))
        )
        return answered

    async def _render(self, request: Any) -> bytes:
        await self.master.www.assertUserAllowed(request, _STANDS_FOR, "GET", {})
        service: DrydockService | None = hooks.service_named(self.master, "drydock")
        if service is None:
            raise Error(404, b"Drydock is not in the configuration of this master")
        if not service.is_ready:
            raise Error(503, b"Drydock is starting, or stopping")
        accept = request.getHeader("accept") or ""
        # Not in a thread of the providers, all of which may hang.
        reactor = self.master.reactor
        text, content_type = await deferToThreadPool(
            reactor, reactor.getThreadPool(), service.metrics.exposition, accept
        )
        request.setHeader(b"content-type", content_type.encode())
        request.setHeader(b"cache-control", b"no-store")
        written: bytes = text
        return written
