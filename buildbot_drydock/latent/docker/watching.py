"""What an engine tells by itself, heard in a thread of its own: that a container has ended."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any, Final

import docker.errors
from twisted.logger import Logger

from buildbot_drydock.latent.docker.engine import Engine
from buildbot_drydock.latent.docker.fields import as_filter
from buildbot_drydock.remote.docker.failures import NO_ANSWER

_TELLING: Final = ("die", "died", "oom", "destroy", "remove")
_PAUSE_SECONDS: Final = 2.0  # after a failure, doubled to the last
_LONGEST_PAUSE_SECONDS: Final = 60.0


class Watch:
    """Listens to one engine until it is stopped. Nothing depends on it: it only spares waiting."""

    log = Logger()

    def __init__(
        self,
        engine: Engine,
        labels: Mapping[str, str],
        hear: Callable[[Engine, bool], None],
        call_in_reactor: Callable[..., Any],
    ) -> None:
        """*hear* is called in the reactor with whether contact was lost."""
        self._engine = engine
        self._labels = labels
        self._hear = hear
        self._call_in_reactor = call_in_reactor
        self._stopped = threading.Event()
        self._stream: Any = None
        # Nothing waits for its end.
        self._thread = threading.Thread(
            target=self._listen, name=f"drydock-docker-events-{engine.url}", daemon=True
        )

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Listen no more."""
        self._stopped.set()
        stream = self._stream
        if stream is not None:
            with suppress(Exception):
                stream.close()

    # --- in the thread -----------------------------------------------------------------------

    def _listen(self) -> None:
        pause = 0.0
        while not self._stopped.wait(pause):
            was_connected = False
            try:
                was_connected = self._listen_once()
            except (docker.errors.DockerException, *NO_ANSWER) as error:
                self.log.debug("{url} tells nothing: {e}", url=self._engine.url, e=error)
            except Exception:  # noqa: BLE001 - a bug must not end the listening
                self.log.failure("listening to {url}", url=self._engine.url)
            pause = (
                _PAUSE_SECONDS
                if was_connected
                else min(max(pause, _PAUSE_SECONDS / 2) * 2, _LONGEST_PAUSE_SECONDS)
            )

    def _listen_once(self) -> bool:
        """Listen until the connection ends; tell whether there was one."""
        client = self._engine.new_client(None)
        try:
            self._stream = client.events(
                decode=True, filters={"type": ["container"], "label": as_filter(self._labels)}
            )
            try:
                for event in self._stream:
                    if self._stopped.is_set():
                        return True
                    if (event.get("Action") or event.get("status")) in _TELLING:
                        self._tell(False)
            except (docker.errors.DockerException, *NO_ANSWER, ValueError):
                pass  # it broke
            self._tell(True)
            return True
        finally:
            self._stream = None
            client.close()

    def _tell(self, is_contact_lost: bool) -> None:
        if not self._stopped.is_set():
            self._call_in_reactor(self._hear, self._engine, is_contact_lost)
