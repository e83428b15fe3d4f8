"""A machine whose scripts run in threads, a few at once."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, Final

from twisted.internet.defer import Deferred, DeferredSemaphore
from twisted.internet.threads import deferToThreadPool
from twisted.python.failure import Failure
from twisted.python.threadpool import ThreadPool

from buildbot_drydock.errors import HostError
from buildbot_drydock.remote.shell.exchange import Answer, Request
from buildbot_drydock.remote.shell.streaming import Cancelled, StreamedExchange

# One machine must not take all threads for itself.
MOST_AT_ONCE: Final = 8


class ThreadedMachine(ABC):
    """Runs each script by an exchange of its own.

    A command that ends with 129 or more counts as ended by a signal, which container runtimes do not
    tell apart.
    """

    def __init__(
        self,
        reactor: Any,  # IReactorFromThreads and IReactorTime
        threads: ThreadPool,
        shown: str,
        under_way: set[StreamedExchange] | None = None,
    ) -> None:
        """*under_way* has what is being run, for whoever has to end it all."""
        self._reactor = reactor
        self._threads = threads
        self.shown = shown
        self._under_way = set() if under_way is None else under_way
        self._turns = DeferredSemaphore(MOST_AT_ONCE)

    @abstractmethod
    def new_exchange(self, request: Request) -> StreamedExchange: ...

    @abstractmethod
    def closed(self) -> HostError:
        """Return the error for a command that is given up, as the way to it is closed."""

    @abstractmethod
    def did_not_run(self, exit_code: int, said: bytes) -> HostError:
        """Return the error for a script that never began, with what was said instead."""

    def exchange(self, request: Request) -> Deferred[Answer]:
        """Run a script there. Raises ``CommandTimedOut`` and ``HostUnreachable``."""
        exchange = self.new_exchange(request)
        # The thread goes on until what it has begun has ended; whoever cancels need not wait.
        answer: Deferred[Answer] = Deferred(lambda _: exchange.cancel())

        def settle(outcome: Any) -> None:
            self._under_way.discard(exchange)
            if answer.called:
                return
            if isinstance(outcome, Failure):
                answer.errback(outcome)
            elif outcome is None:
                answer.errback(self.closed())
            else:
                answer.callback(outcome)

        self._under_way.add(exchange)
        running: Deferred[Any] = self._turns.run(
            deferToThreadPool, self._reactor, self._threads, exchange.run
        )
        running.addErrback(_unless_cancelled)
        running.addBoth(settle)
        return answer


def _unless_cancelled(failure: Failure) -> Failure | None:
    return None if isinstance(failure.value, Cancelled) else failure
