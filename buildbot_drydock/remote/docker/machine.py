"""The way into one container by exec, for a ``ShellHost``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.python.threadpool import ThreadPool

from buildbot_drydock.errors import HostError
from buildbot_drydock.remote.docker.exchange import Exchange
from buildbot_drydock.remote.docker.failures import closed, no_shell
from buildbot_drydock.remote.shell.exchange import Request
from buildbot_drydock.remote.shell.failures import said_text
from buildbot_drydock.remote.shell.streaming import StreamedExchange
from buildbot_drydock.remote.shell.threaded import ThreadedMachine


class DockerMachine(ThreadedMachine):
    """Runs scripts in one container as its user."""

    def __init__(
        self,
        reactor: Any,  # IReactorFromThreads and IReactorTime
        threads: ThreadPool,
        client: Callable[[], Any],
        container: str,
        shown: str,
        under_way: set[StreamedExchange] | None = None,
    ) -> None:
        """*client*, called in a thread, returns the engine's ``docker.APIClient``."""
        super().__init__(reactor, threads, shown, under_way)
        self._client = client
        self._container = container

    def new_exchange(self, request: Request) -> Exchange:
        return Exchange(
            self._client, self._container, self.shown, request, seconds=self._reactor.seconds
        )

    def closed(self) -> HostError:
        return closed(self.shown)

    def did_not_run(self, exit_code: int, said: bytes) -> HostError:
        return no_shell(self.shown, exit_code, said_text(said))
