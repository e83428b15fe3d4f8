"""One engine: calls to it, in threads of its own, and when to leave it alone.

An engine that hangs takes nobody's threads but its own; one that does not answer is left alone for
longer each time. The client library blocks, and its client serves many threads.
"""

from __future__ import annotations

import threading
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any, Final, TypeVar

import docker
import docker.errors
import docker.tls
from twisted.internet.defer import Deferred
from twisted.internet.threads import deferToThreadPool
from twisted.python.threadpool import ThreadPool

from buildbot_drydock.latent.docker.failures import CallFailed, Cause, refused, silent
from buildbot_drydock.latent.docker.fields import DockerEngineFields
from buildbot_drydock.remote.docker.failures import NO_ANSWER, said_by
from buildbot_drydock.remote.docker.machine import DockerMachine
from buildbot_drydock.remote.shell.streaming import StreamedExchange

T = TypeVar("T")

CALL_SECONDS: Final = 30
_CALL_THREADS: Final = 8
_COMMAND_THREADS: Final = 50
_FIRST_PAUSE_SECONDS: Final = 1.0  # after a failure, doubled to the last
_LONGEST_PAUSE_SECONDS: Final = 60.0
_MOST_DOUBLINGS: Final = 10
_ENDING_SECONDS: Final = 10.0


class _Client(docker.APIClient):
    """An engine is not behind the proxies of the environment, nor known by its authorities: those
    would count more than the ``ca`` that its certificate is to be verified by."""

    trust_env = property(lambda self: False, lambda self, value: None)


class Engine:
    """Makes calls, each once. Raises ``CallFailed`` for what the engine says, or does not say."""

    def __init__(
        self,
        fields: DockerEngineFields,
        blueprint: str,
        reactor: Any,  # IReactorFromThreads and IReactorTime
        uniform: Callable[[], float],
    ) -> None:
        self.url = fields.url
        self.limit = fields.limit
        self._fields = fields
        self._reactor = reactor
        self._uniform = uniform
        self._lock = threading.Lock()
        self._client: Any = None
        self._calls = ThreadPool(0, _CALL_THREADS, f"drydock-docker-{blueprint}")
        self._commands = ThreadPool(0, _COMMAND_THREADS, f"drydock-exec-{blueprint}")
        for each in (self._calls, self._commands):
            each.start()
        self._exchanges: set[StreamedExchange] = set()
        self._failures = 0
        self._rests_until = 0.0
        self.trouble: CallFailed | None = None  # why it rests, or why it last did not answer
        self.silent_since: float | None = None  # when it last began not to answer
        self.back_at: float | None = None  # when it last answered after that

    # --- calls -------------------------------------------------------------------------------

    async def call(self, doing: str, function: Callable[[Any], T]) -> T:
        """Call a function with the client in a thread; *doing* completes "cannot"."""
        if self._reactor.seconds() < self._rests_until and self.trouble is not None:
            raise self.trouble
        try:
            found = await self._in_thread(lambda: self._answered(doing, function))
        except CallFailed as failed:
            if failed.cause in (Cause.UNREACHABLE, Cause.BARRED):
                self.fell_silent(failed)
            else:
                self._answers()
            raise
        self._answers()
        return found

    def in_thread(self, doing: str, function: Callable[[Any], T]) -> Awaitable[T]:
        """Likewise, for what may take long: it is made in a thread for commands, and not counted."""
        return deferToThreadPool(
            self._reactor, self._commands, lambda: self._answered(doing, function)
        )

    def _in_thread(self, function: Callable[[], T]) -> Deferred[T]:
        return deferToThreadPool(self._reactor, self._calls, function)

    def _answered(self, doing: str, function: Callable[[Any], T]) -> T:
        try:
            return function(self.client())
        except docker.errors.APIError as error:
            status = error.status_code or 0
            raise refused(self.url, doing, status, said_by(error)) from error
        except (docker.errors.DockerException, *NO_ANSWER) as error:
            raise silent(self.url, doing, said_by(error)) from error

    def client(self) -> Any:
        """Return the client. Blocks at first, as it asks the engine for its version."""
        with self._lock:
            if self._client is None:
                self._client = self.new_client(CALL_SECONDS)
            return self._client

    def new_client(self, timeout: float | None) -> Any:
        """Return a client of its own, for what stays open. Blocks."""
        fields = self._fields
        tls: Any = False
        if fields.ca is not None or fields.cert is not None:
            pair = None if fields.cert is None else (fields.cert, fields.key)
            tls = docker.tls.TLSConfig(client_cert=pair, ca_cert=fields.ca, verify=True)
        return _Client(base_url=fields.url, version="auto", timeout=timeout, tls=tls)

    # --- commands ----------------------------------------------------------------------------

    def machine(self, container: str, shown: str) -> DockerMachine:
        """Return the way into a container."""
        return DockerMachine(
            self._reactor, self._commands, self.client, container, shown, self._exchanges
        )

    # --- how it fares ------------------------------------------------------------------------

    @property
    def rests(self) -> bool:
        """Whether it is left alone for now, as it did not answer."""
        return bool(self._reactor.seconds() < self._rests_until)

    def fell_silent(self, failed: CallFailed) -> None:
        """Take note that it did not answer, and leave it alone for a while."""
        now = self._reactor.seconds()
        if self.trouble is None:
            self.silent_since = now
        self.trouble = failed
        if now < self._rests_until:
            return  # another call that was under way has been counted
        doubled = _FIRST_PAUSE_SECONDS * 2.0 ** min(self._failures, _MOST_DOUBLINGS)
        self._failures += 1
        pause = min(doubled, _LONGEST_PAUSE_SECONDS) * (0.5 + 0.5 * self._uniform())
        self._rests_until = now + pause

    def lost_contact(self) -> None:
        """Take note that a connection to it broke: it may have ended, and be back already."""
        if self.trouble is None:
            self.silent_since = self.back_at = self._reactor.seconds()

    def _answers(self) -> None:
        if self.trouble is not None:
            self.back_at = self._reactor.seconds()
        self.trouble, self._failures, self._rests_until = None, 0, 0.0

    async def close(self, threads: ThreadPool) -> None:
        """Make no more calls; *threads* waits for those that are under way."""
        for each in list(self._exchanges):
            each.cancel()
        for pool in (self._calls, self._commands):
            ending: Deferred[None] = deferToThreadPool(self._reactor, threads, pool.stop)
            ending.addTimeout(_ENDING_SECONDS, self._reactor)
            ending.addErrback(lambda _: None)  # a call hangs; it ends by its own limit
            await ending
        if self._client is not None:
            with suppress(Exception):
                self._client.close()
