"""How long the reactor is held by one piece of work: the longest hold of each interval.

A timer beats a few times a second. As late as a beat comes, as long something else was being done
when it was due. A hold may have begun before that, so its length is known up to the time between
two beats.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from buildbot_drydock.interfaces import ReactorTime

BEAT_SECONDS: Final = 0.1
INTERVAL_SECONDS: Final = 5.0


class Holds:
    """Calls *observe* with the longest hold of each interval, in seconds, at its end."""

    def __init__(self, clock: ReactorTime, observe: Callable[[float], None]) -> None:
        self._clock = clock
        self._observe = observe
        self._next: Any = None  # an IDelayedCall
        self._due = 0.0
        self._began = 0.0
        self._longest = 0.0

    def start(self) -> None:
        self._began = self._clock.seconds()
        self._wait()

    def stop(self) -> None:
        """Beat no more. Harmless when repeated."""
        if self._next is not None:
            self._next.cancel()
            self._next = None

    def _wait(self) -> None:
        self._due = self._clock.seconds() + BEAT_SECONDS
        self._next = self._clock.callLater(BEAT_SECONDS, self._beat)

    def _beat(self) -> None:
        now = self._clock.seconds()
        self._longest = max(self._longest, now - self._due)
        if now - self._began >= INTERVAL_SECONDS:
            self._observe(self._longest)
            self._began, self._longest = now, 0.0
        self._wait()
