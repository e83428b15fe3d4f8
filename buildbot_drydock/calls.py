"""What one master remembers of its provider calls, so that the planner does not repeat itself.

Kept in memory only. After a crash each call is made once more, which is harmless: every verb is
idempotent by its token.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace

from buildbot_drydock.model import Call, CallKey
from buildbot_drydock.policy import backoff_seconds


class CallLog:
    def __init__(self, uniform: Callable[[], float]) -> None:
        self._uniform = uniform
        self._calls: dict[CallKey, Call] = {}

    def snapshot(self) -> Mapping[CallKey, Call]:
        return dict(self._calls)

    def begin(self, key: CallKey) -> bool:
        """Note that a call starts; ``False`` if one is under way already."""
        call = self._calls.get(key, Call())
        if call.running:
            return False
        self._calls[key] = replace(call, running=True)
        return True

    def succeed(self, key: CallKey, begun_at: float) -> None:
        self._calls[key] = Call(succeeded_at=begun_at)

    def fail(self, key: CallKey, error: str, *, now: float, after: float = 0.0) -> Call:
        """Note a failure; the call is to be put off for longer each time."""
        call = self._calls.get(key, Call())
        failures = call.failures + 1
        wait = backoff_seconds(failures, uniform=self._uniform(), at_least=after)
        failed = replace(call, running=False, failures=failures, retry_at=now + wait, error=error)
        self._calls[key] = failed
        return failed

    def ended(self) -> list[CallKey]:
        """Return the calls that are not under way, but those that are about a whole blueprint."""
        return [key for key, call in self._calls.items() if key.subject and not call.running]

    def forget(self, keys: Iterable[CallKey]) -> None:
        """Drop calls. One that was begun again is kept until it has ended."""
        for key in keys:
            call = self._calls.get(key)
            if call is not None and not call.running:
                del self._calls[key]
