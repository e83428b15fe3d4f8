"""The way into one pod by exec, for a ``ShellHost``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.python.threadpool import ThreadPool

from buildbot_drydock.errors import HostError
from buildbot_drydock.remote.kubernetes.exchange import Exchange, Place
from buildbot_drydock.remote.kubernetes.failures import closed, no_shell
from buildbot_drydock.remote.shell.exchange import Request
from buildbot_drydock.remote.shell.failures import said_text
from buildbot_drydock.remote.shell.streaming import StreamedExchange
from buildbot_drydock.remote.shell.threaded import ThreadedMachine


class PodMachine(ThreadedMachine):
    """Runs scripts in one container of a pod, as its user."""

    def __init__(
        self,
        reactor: Any,  # IReactorFromThreads and IReactorTime
        threads: ThreadPool,
        configuration: Callable[[], Any],
        place: Place,
        under_way: set[StreamedExchange] | None = None,
    ) -> None:
        """*configuration*, called in a thread, returns a ``kubernetes.client.Configuration``."""
        super().__init__(reactor, threads, f"pod {place.pod}", under_way)
        self._configuration = configuration
        self._place = place

    def new_exchange(self, request: Request) -> Exchange:
        return Exchange(
            self._configuration, self._place, self.shown, request, seconds=self._reactor.seconds
        )

    def closed(self) -> HostError:
        return closed(self.shown)

    def did_not_run(self, exit_code: int, said: bytes) -> HostError:
        return no_shell(self.shown, exit_code, said_text(said))
