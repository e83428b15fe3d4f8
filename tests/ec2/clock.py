"""Time as the test server sees it: scripted by the test, or real."""

from __future__ import annotations

import time
from datetime import datetime, timezone
from typing import Protocol


class Clock(Protocol):
    """What the server needs of a clock; a Twisted reactor or `Clock` will do."""

    def seconds(self) -> float:
        """Seconds since 1970."""


class ScriptedClock:
    """Time that stands still until `EC2Server.advance` moves it."""

    def __init__(self, start: datetime = datetime(2026, 1, 1, tzinfo=timezone.utc)) -> None:
        self._seconds = start.timestamp()

    def seconds(self) -> float:
        return self._seconds

    def move_to(self, seconds: float) -> None:
        """Set the time, which never goes back."""
        self._seconds = max(self._seconds, seconds)


class RealClock:
    """The time of day."""

    def seconds(self) -> float:
        return time.time()


def date_of(seconds: float) -> datetime:
    """A moment as EC2 writes it."""
    return datetime.fromtimestamp(seconds, timezone.utc)
