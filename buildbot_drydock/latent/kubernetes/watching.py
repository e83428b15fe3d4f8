"""What a cluster tells by itself of the pods of an installation: one watch for each namespace.

A watch goes on where it was after its connection has ended, by the version of what it heard last. A
bookmark tells a later version when nothing has happened to our pods. After 410 (Expired) the changes
since that version are not known any more, and the pods are listed anew.

Nothing but speed depends on it: what there is tells the listing that it gives rise to.
"""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from typing import Any, Final, Protocol

import urllib3.exceptions
from twisted.logger import Logger

from buildbot_drydock.latent.kubernetes.failures import CallFailed, Cause, refused
from buildbot_drydock.latent.kubernetes.listing import Pod, pod_of

_ROUND_SECONDS: Final = 300  # after which the server ends a watch that is well
_SILENT_SECONDS: Final = 100  # bookmarks come every minute
_CONNECTING_SECONDS: Final = 10
_PAUSE_SECONDS: Final = 0.5  # after a failure, doubled to the last
_LONGEST_PAUSE_SECONDS: Final = 30.0
_GONE: Final = 410


class Watched(Protocol):
    """The part of a ``Connection`` that a watch needs. All of it blocks."""

    where: str
    namespace: str

    def list_pods(self, selector: str) -> tuple[Any, str]: ...

    def response(self, doing: str, function: Callable[[Any], Any]) -> Any: ...


class Watch:
    """Listens to one namespace in a thread of its own, until it is stopped."""

    log = Logger()

    def __init__(
        self,
        cluster: Watched,
        selector: str,
        call_in_reactor: Callable[..., Any],
        pause_seconds: float = _PAUSE_SECONDS,
    ) -> None:
        self._cluster = cluster
        self._selector = selector
        self._call_in_reactor = call_in_reactor
        self._pause_seconds = pause_seconds
        self._hearers: dict[object, Callable[[Pod, bool], None]] = {}
        self._stopped = threading.Event()
        self._response: Any = None
        self.version = ""  # of the last that was heard; empty if all is to be listed
        self.trouble: CallFailed | None = None  # why it hears nothing
        # Nothing waits for its end.
        self._thread = threading.Thread(
            target=self._listen, name=f"drydock-watch-{cluster.namespace}", daemon=True
        )

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Listen no more."""
        self._stopped.set()
        response = self._response
        if response is not None:
            shut_down(response)

    def add(self, key: object, hear: Callable[[Pod, bool], None]) -> None:
        """Let *hear* be called in the reactor with each pod that changes."""
        self._hearers[key] = hear

    def remove(self, key: object) -> bool:
        """Let somebody hear nothing more; tell whether nobody is left."""
        self._hearers.pop(key, None)
        return not self._hearers

    # --- in the thread ------------------------------------------------------------------------

    def _listen(self) -> None:
        pause = 0.0
        while not self._stopped.wait(pause):
            try:
                self._listen_once()
                pause = 0.0
            except CallFailed as failed:
                if failed.cause is Cause.EXPIRED:
                    self.version = ""
                    pause = 0.0
                    continue
                self.trouble = failed
                self.log.debug("no watch: {failed}", failed=failed)
                pause = self._longer(pause)
            except (urllib3.exceptions.HTTPError, OSError, ValueError) as error:
                self.log.debug(
                    "the watch of {where} broke: {e}", where=self._cluster.where, e=error
                )
                pause = self._longer(pause)
            except Exception:  # noqa: BLE001 - a bug must not end the listening
                self.log.failure("watching {where}", where=self._cluster.where)
                pause = self._longer(pause)

    def _longer(self, pause: float) -> float:
        return min(max(pause * 2, self._pause_seconds), _LONGEST_PAUSE_SECONDS)

    def _listen_once(self) -> None:
        if not self.version:
            items, version = self._cluster.list_pods(self._selector)
            for each in items:
                self._tell("MODIFIED", each)
            self.version = version
        response = self._response = self._cluster.response(
            "watch the pods",
            lambda api: api.list_namespaced_pod(
                self._cluster.namespace,
                label_selector=self._selector,
                watch=True,
                allow_watch_bookmarks=True,
                resource_version=self.version,
                timeout_seconds=_ROUND_SECONDS,
                _preload_content=False,
                _request_timeout=(_CONNECTING_SECONDS, _SILENT_SECONDS),
            ),
        )
        self.trouble = None
        try:
            for line in lines_of(response):
                if self._stopped.is_set():
                    return
                self._take(json.loads(line))
        finally:
            self._response = None
            with suppress(Exception):
                response.close()

    def _take(self, event: Mapping[str, Any]) -> None:
        kind, found = str(event.get("type")), event.get("object") or {}
        if kind == "ERROR":
            said, code = str(found.get("message")), int(found.get("code") or 0)
            raise refused(self._cluster.where, "watch the pods", code, said)
        self.version = str((found.get("metadata") or {}).get("resourceVersion") or self.version)
        if kind != "BOOKMARK":
            self._tell(kind, found)

    def _tell(self, kind: str, found: Mapping[str, Any]) -> None:
        pod = pod_of(found)
        if pod.token and not self._stopped.is_set():
            self._call_in_reactor(self._hear, pod, kind == "DELETED")

    def _hear(self, pod: Pod, is_gone: bool) -> None:
        for hear in list(self._hearers.values()):
            hear(pod, is_gone)


def lines_of(response: Any) -> Iterator[bytes]:
    """Yield the lines of a reply as they arrive, of whatever length."""
    rest = b""
    for piece in response.stream(65_536, decode_content=False):
        *lines, rest = (rest + piece).split(b"\n")
        yield from filter(None, lines)
    if rest.strip():
        yield rest


def shut_down(response: Any) -> None:
    """End a connection that another thread is reading from: closing it would wait for that."""
    with suppress(Exception):
        connection = response.connection or response._connection
        connection.sock.shutdown(socket.SHUT_RDWR)


class Watches:
    """The watches of this process, each shared by the blueprints of one namespace."""

    def __init__(self) -> None:
        self._watches: dict[object, Watch] = {}

    def join(
        self,
        place: object,
        key: object,
        hear: Callable[[Pod, bool], None],
        new: Callable[[], Watch],
    ) -> Watch:
        """Let *hear* be called with what happens in a place; *new* makes its watch."""
        watch = self._watches.get(place)
        if watch is None:
            watch = self._watches[place] = new()
            watch.start()
        watch.add(key, hear)
        return watch

    def leave(self, place: object, key: object) -> None:
        """Hear nothing more; the last one to leave ends the watch."""
        watch = self._watches.get(place)
        if watch is not None and watch.remove(key):
            del self._watches[place]
            watch.stop()


WATCHES: Final = Watches()
