"""When to run a turn: at once when woken, at the latest when the plan or the safety net says so.

Wake-ups are hints, never messages. Many of them make one turn; one that comes during a turn makes
another after it; a lost one costs the safety interval.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Final

from twisted.internet.defer import Deferred, succeed
from twisted.logger import Logger

from buildbot_drydock.interfaces import ReactorTime

# A turn that failed, for want of a database for one, is not tried again sooner unless woken.
AFTER_A_FAILURE_SECONDS: Final = 5.0

# A wait shorter than the clock can tell apart would end before it began, again and again.
_SHORTEST_SECONDS = 0.001


class Loop:
    """Calls *turn* whenever it is due. *wake_at* tells when the last plan wants the next one."""

    log = Logger()

    def __init__(
        self,
        turn: Callable[[], Awaitable[bool]],
        wake_at: Callable[[], float | None],
        clock: ReactorTime,
        *,
        safety_seconds: float = 30.0,
    ) -> None:
        self._turn = turn
        self._wake_at = wake_at
        self._clock = clock
        self._safety_seconds = safety_seconds
        self._timer: Any = None  # an IDelayedCall
        self._running: Deferred[None] | None = None
        self._woken = False
        self._failed = False
        self._started = False

    def start(self) -> None:
        self._started = True
        self.wake()

    def stop(self) -> Deferred[None]:
        """Run no more turns; fires when the one under way has ended."""
        self._started = False
        self._cancel_timer()
        if self._running is None:
            return succeed(None)
        ended: Deferred[None] = Deferred()
        self._running.addBoth(lambda _: ended.callback(None))
        return ended

    def wake(self) -> None:
        """Ask for a turn. Returns before it runs, so it may be called from anywhere."""
        self._woken = True
        if self._started and self._running is None:
            self._schedule(0.0)

    def _schedule(self, seconds: float) -> None:
        self._cancel_timer()
        self._timer = self._clock.callLater(seconds, self._run)

    def _cancel_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = None

    def _run(self) -> None:
        self._timer = None
        self._woken = False
        self._failed = False
        self._running = Deferred.fromCoroutine(self._one_turn())
        self._running.addBoth(self._ended)

    async def _one_turn(self) -> None:
        try:
            again = await self._turn()
        except Exception:  # noqa: BLE001 - one turn's failure must not end the loop
            self.log.failure("a turn failed; the next one comes anyway")
            self._failed = True
            return
        self._woken = self._woken or again

    def _ended(self, outcome: object) -> object:
        self._running = None
        if self._started:
            self._schedule(0.0 if self._woken else self._until_next())
        return outcome

    def _until_next(self) -> float:
        if self._failed:
            return min(self._safety_seconds, AFTER_A_FAILURE_SECONDS)
        at = self._wake_at()
        if at is None:
            return self._safety_seconds
        return min(self._safety_seconds, max(_SHORTEST_SECONDS, at - self._clock.seconds()))
