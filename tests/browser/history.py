"""A master whose clock begins hours ago, and catches up: so its database has a past within minutes.

All else is as ever: what happens, happens, but in the eyes of the master it takes longer. The file
``buildbot.tac`` calls ``hurry`` before the reactor runs.
"""

from __future__ import annotations

import time
from typing import Any


def hurry(reactor: Any, behind: float, speed: float) -> None:
    """Let *reactor* begin *behind* seconds ago, and go *speed* times as fast until it is now."""
    began = time.time()

    def seconds() -> float:
        now = time.time()
        return min(now, now - behind + (now - began) * (speed - 1))

    slow = reactor.timeout

    def timeout() -> float | None:
        """Return how long the reactor may sleep, which it does at the real pace."""
        left: float | None = slow()
        hurries = seconds() < time.time() - 1
        return left / speed if left is not None and hurries else left

    reactor.seconds = seconds
    reactor.timeout = timeout
