"""Writing down which builds run on a worker's lease, so that they can be charged with it.

A worker that stays connected serves one build after the other on one lease, or several at once.
Nothing waits for what is written here, and if it fails no build does: it is charged otherwise.
"""

from __future__ import annotations

from collections.abc import Coroutine
from typing import TYPE_CHECKING, Any

from twisted.internet.defer import Deferred, DeferredLock
from twisted.logger import Logger

if TYPE_CHECKING:
    from buildbot_drydock.leases import Leases


class Uses:
    """The builds on one worker, by what Buildbot keeps of the worker for each builder."""

    log = Logger()

    def __init__(self) -> None:
        self._running: dict[Any, tuple[int, int]] = {}  # lease and build
        self._in_order = DeferredLock()  # the end of a build is written after its beginning

    def begin(
        self, leases: Leases, place: Any, lease: int, build: int, builder: str
    ) -> Deferred[Any]:
        self._running[place] = (lease, build)
        return self._write(leases.build_begins(lease, build, builder))

    def end(self, leases: Leases, place: Any) -> Deferred[Any] | None:
        """Write down that what ran there has ended, if anything did."""
        running = self._running.pop(place, None)
        return None if running is None else self._write(leases.build_ends(*running))

    def _write(self, work: Coroutine[Any, Any, None]) -> Deferred[Any]:
        writing: Deferred[Any] = self._in_order.run(Deferred.fromCoroutine, work)
        return writing.addErrback(
            lambda failure: self.log.failure("which build uses a lease was not noted", failure)
        )
