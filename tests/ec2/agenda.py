"""What is due when: the server's own list of things to come."""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Callable


class Agenda:
    """Actions by the time they are due; those of one time in the order they were entered."""

    def __init__(self) -> None:
        self._entries: list[tuple[float, int, Callable[[], None]]] = []
        self._numbers = itertools.count()

    def at(self, seconds: float, action: Callable[[], None]) -> None:
        """Enter an action, to be run at that time or as soon after it as anybody looks."""
        heapq.heappush(self._entries, (seconds, next(self._numbers), action))

    def next_time(self) -> float | None:
        """When the first action is due; None if there is none."""
        return self._entries[0][0] if self._entries else None

    def take_due(self, now: float) -> Callable[[], None] | None:
        """Take out the first action if it is due."""
        if self._entries and self._entries[0][0] <= now:
            return heapq.heappop(self._entries)[2]
        return None
