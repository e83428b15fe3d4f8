"""The way into one container by exec, for a ``ShellHost``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from twisted.internet.defer import Deferred, DeferredSemaphore
from twisted.internet.threads import deferToThreadPool
from twisted.python.failure import Failure
from twisted.python.threadpool import ThreadPool

from buildbot_drydock.errors import HostError
from buildbot_drydock.remote.docker.exchange import Cancelled, Exchange
from buildbot_drydock.remote.docker.failures import closed, no_shell
from buildbot_drydock.remote.shell.exchange import Answer, Request
from buildbot_drydock.remote.shell.failures import said_text

# One container must not take all threads for itself.
MOST_AT_ONCE: Final = 8


class DockerMachine:
    """Runs scripts in one container as its user.

    A command that ends with 129 or more counts as ended by a signal, which an engine does not tell
    apart.
    """

    def __init__(
        self,
        reactor: Any,  # IReactorFromThreads and IReactorTime
        threads: ThreadPool,
        client: Callable[[], Any],
        container: str,
        shown: str,
        under_way: set[Exchange] | None = None,
    ) -> None:
        """*client*, called in a thread, returns the engine's ``docker.APIClient``.

        *under_way* has what is being run, for whoever has to end it all.
        """
        self._reactor = reactor
        self._threads = threads
        self._client = client
        self._container = container
        self.shown = shown
        self._under_way = set() if under_way is None else under_way
        self._turns = DeferredSemaphore(MOST_AT_ONCE)

    def exchange(self, request: Request) -> Deferred[Answer]:
        """Run a script there. Raises ``CommandTimedOut`` and ``HostUnreachable``."""
        exchange = Exchange(
            self._client, self._container, self.shown, request, seconds=self._reactor.seconds
        )
        # The thread goes on until what it has begun has ended; whoever cancels need not wait.
        answer: Deferred[Answer] = Deferred(lambda _: exchange.cancel())

        def settle(outcome: Any) -> None:
            self._under_way.discard(exchange)
            if answer.called:
                return
            if isinstance(outcome, Failure):
                answer.errback(outcome)
            elif outcome is None:
                answer.errback(closed(self.shown))
            else:
                answer.callback(outcome)

        self._under_way.add(exchange)
        running: Deferred[Any] = self._turns.run(
            deferToThreadPool, self._reactor, self._threads, exchange.run
        )
        running.addErrback(_unless_cancelled)
        running.addBoth(settle)
        return answer

    def did_not_run(self, exit_code: int, said: bytes) -> HostError:
        return no_shell(self.shown, exit_code, said_text(said))


def _unless_cancelled(failure: Failure) -> Failure | None:
    return None if isinstance(failure.value, Cancelled) else failure
