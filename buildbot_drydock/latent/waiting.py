"""Waiting that ends: within a limit, or when the one who waits is told to stop."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any, TypeVar

from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure

T = TypeVar("T")

_log = Logger()


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
