"""How often the start of a worker failed for each build request, on one master.

Without a budget Buildbot would try again for ever. Kept in memory: a restarted master begins to
count anew, which costs a few attempts and nothing else.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable
from typing import Final

MOST_REQUESTS: Final = 10_000


class Attempts:
    def __init__(self) -> None:
        self._failures: OrderedDict[int, list[str]] = OrderedDict()  # by build request

    def fail(self, requests: Iterable[int], reason: str) -> int:
        """Count a failure for each build request; return the most that one of them has."""
        most = 0
        for request in requests:
            reasons = self._failures.setdefault(request, [])
            reasons.append(reason)
            self._failures.move_to_end(request)
            most = max(most, len(reasons))
        # A request that was cancelled is never heard of again: the oldest make room.
        while len(self._failures) > MOST_REQUESTS:
            self._failures.popitem(last=False)
        return most

    def reasons(self, request: int) -> tuple[str, ...]:
        return tuple(self._failures.get(request, ()))

    def forget(self, requests: Iterable[int]) -> None:
        for request in requests:
            self._failures.pop(request, None)
