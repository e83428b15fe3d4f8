"""Waiting that ends: within a limit, or when the one who waits is told to stop."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any, TypeVar

from twisted.internet.defer import Deferred, TimeoutError
from twisted.logger import Logger
from twisted.python.failure import Failure

from buildbot_drydock.errors import RetryLater

T = TypeVar("T")

_log = Logger()


class TookTooLong(RetryLater):
    """Something was not done within its limit. The message says what, and which limit."""


async def within(
    reactor: Any,  # IReactorTime
    seconds: float,
    work: Coroutine[Any, Any, T] | Deferred[T],
    what: str,
) -> T:
    """Wait for *work*, and cancel it after so long. Raises ``TookTooLong``."""
    waiting = work if isinstance(work, Deferred) else Deferred.fromCoroutine(work)
    try:
        return await waiting.addTimeout(seconds, reactor)
    except TimeoutError:
        raise TookTooLong(f"{what} took more than {seconds:.0f} s") from None


def uninterrupted(work: Coroutine[Any, Any, T]) -> Deferred[T]:
    """Run *work* to its end; cancelling what is returned only stops the waiting for it."""
    waiting: Deferred[T] = Deferred()

    def ended(result: Any) -> None:
        if not waiting.called:
            waiting.callback(result)
        elif isinstance(result, Failure):
            _log.failure("what nobody waited for any more failed", result)

    Deferred.fromCoroutine(work).addBoth(ended)
    return waiting
