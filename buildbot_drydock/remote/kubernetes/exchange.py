"""One script in a pod, within limits. Blocks; for use in a thread."""

from __future__ import annotations

import select
import socket
import ssl
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, ClassVar, Final
from urllib.parse import quote, urlencode, urlsplit

import websocket

from buildbot_drydock.errors import HostUnreachable
from buildbot_drydock.remote.kubernetes import failures
from buildbot_drydock.remote.kubernetes.channels import PROTOCOL, Channels, messages
from buildbot_drydock.remote.shell.exchange import Request
from buildbot_drydock.remote.shell.streaming import Stream, StreamedExchange

_CONNECTING_SECONDS: Final = 20.0
_STALLED_SECONDS: Final = 10.0  # in the middle of a message
_LIFE_SECONDS: Final = 15.0  # to tell whether a pod still runs
_KILLED: Final = 137
_DATA: Final = (websocket.ABNF.OPCODE_BINARY, websocket.ABNF.OPCODE_TEXT)


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A container of a pod."""

    namespace: str
    pod: str
    container: str


class _Execution:
    """A script that was started, and the connection to it."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection
        self._channels = Channels()
        self._unsent: deque[bytes] = deque()
        self.is_at_end = False

    @property
    def stdout(self) -> bytearray:
        return self._channels.stdout

    @property
    def stderr(self) -> bytearray:
        return self._channels.stderr

    @property
    def exit_code(self) -> int | None:
        return self._channels.exit_code

    @property
    def complaint(self) -> str:
        return self._channels.complaint

    def write(self, data: bytes) -> None:
        self._unsent.extend(messages(data))

    def wait(self, seconds: float, wakened_by: socket.socket) -> bool:
        its = self._connection.sock
        pending = isinstance(its, ssl.SSLSocket) and its.pending()
        readable, writable, _ = select.select(
            [its, wakened_by],
            [its] if self._unsent else [],
            [],
            0 if pending else max(0.0, seconds),
        )
        if writable:
            self._send()
        return self._receive() if pending or its in readable else False

    def close(self) -> None:
        """Close it at once: nobody waits until the other side agrees."""
        self._connection.shutdown()

    def _send(self) -> None:
        try:
            self._connection.send_binary(self._unsent.popleft())
        except (websocket.WebSocketException, OSError):
            self._unsent.clear()  # nobody takes it any more; the reading tells why

    def _receive(self) -> bool:
        """Take one message; it may be one that stalls in the middle, of which the rest comes later."""
        try:
            opcode, frame = self._connection.recv_data_frame(True)
        except websocket.WebSocketTimeoutException:
            return False
        except (websocket.WebSocketException, OSError):
            self.is_at_end = True
            return False
        if opcode == websocket.ABNF.OPCODE_CLOSE:
            self.is_at_end = True
        return opcode in _DATA and self._channels.feed(frame.data)


class Exchange(StreamedExchange):
    """Runs one script in a pod.

    The library's own ``stream`` exchanges a method of the client for a moment, which other threads
    may be using, and has no limit for connecting.
    """

    no_answer: ClassVar = (websocket.WebSocketException, OSError)

    def __init__(
        self,
        configuration: Callable[[], Any],
        place: Place,
        shown: str,
        request: Request,
        *,
        seconds: Callable[[], float],
    ) -> None:
        """*configuration* returns a ``kubernetes.client.Configuration``, and may block for that."""
        super().__init__(shown, request, seconds=seconds)
        self._configuration = configuration
        self._place = place

    def begin(self, script: str) -> _Execution:
        argv = ["/bin/sh", "-c", script, "drydock"]
        return _Execution(connected(self._configuration(), self._place, argv))

    def exit_code(self, stream: Stream) -> int:
        assert isinstance(stream, _Execution)
        code = stream.exit_code
        if code is None:
            said = stream.complaint or "the connection was closed"
            raise failures.ended(self.shown, said)
        if code == _KILLED:
            self._require_survival()
        return code

    def unreachable(self, error: BaseException) -> HostUnreachable:
        if isinstance(error, websocket.WebSocketBadStatusException):
            said = failures.said_in(error.resp_body) or str(error)
            return failures.refused(self.shown, int(error.status_code), said)
        return failures.lost(self.shown, str(error) or type(error).__name__)

    def _require_survival(self) -> None:
        """Tell a command that was killed from a pod that has ended with all that is in it.

        The API server learns of a pod's end seconds later; in one that has ended nothing can be run.
        """
        looking = _Execution(
            connected(self._configuration(), self._place, ["/bin/sh", "-c", ":", "drydock"])
        )
        try:
            until = self.seconds() + _LIFE_SECONDS
            while not looking.is_at_end and self.seconds() < until and not self.is_cancelled:
                looking.wait(until - self.seconds(), self.woken)
        finally:
            looking.close()
        if not self.is_cancelled and looking.exit_code != 0:
            raise failures.ended(self.shown, looking.complaint or "nothing can be run in it")


def connected(configuration: Any, place: Place, argv: list[str]) -> Any:
    """Have a command begin; return the ``WebSocket`` to it. Raises what ``no_answer`` names."""
    query = [("command", each) for each in argv] + [("container", place.container)]
    query += [(name, "true") for name in ("stdin", "stdout", "stderr")]
    path = f"/api/v1/namespaces/{quote(place.namespace)}/pods/{quote(place.pod)}/exec"
    url = f"{configuration.host.rstrip('/')}{path}?{urlencode(query)}"
    connection = websocket.WebSocket(sslopt=_tls(configuration), skip_utf8_validation=True)
    connection.connect(
        "ws" + url.removeprefix("http"),
        timeout=_CONNECTING_SECONDS,
        header=_headers(configuration),
        subprotocols=[PROTOCOL],
        **_proxy(configuration),
    )
    connection.settimeout(_STALLED_SECONDS)
    with suppress(OSError):
        connection.sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    return connection


def _headers(configuration: Any) -> list[str]:
    """Return the credentials; those that expire are made anew by asking for them."""
    settings = configuration.auth_settings().values()
    return [f"{each['key']}: {each['value']}" for each in settings if each.get("in") == "header"]


def _tls(configuration: Any) -> dict[str, Any]:
    if not configuration.verify_ssl:
        return {"cert_reqs": ssl.CERT_NONE, "check_hostname": False, **_certificate(configuration)}
    options: dict[str, Any] = {"cert_reqs": ssl.CERT_REQUIRED, **_certificate(configuration)}
    if configuration.ssl_ca_cert:
        options["ca_certs"] = configuration.ssl_ca_cert
    if configuration.assert_hostname is not None:
        options["check_hostname"] = configuration.assert_hostname
    if getattr(configuration, "tls_server_name", None):
        options["server_hostname"] = configuration.tls_server_name
    return options


def _certificate(configuration: Any) -> dict[str, Any]:
    pair = {"certfile": configuration.cert_file, "keyfile": configuration.key_file}
    return {name: value for name, value in pair.items() if value}


def _proxy(configuration: Any) -> dict[str, Any]:
    """Return the proxy that is configured; the environment may have another, for all calls."""
    if not configuration.proxy:
        return {}
    proxy = urlsplit(configuration.proxy)
    options: dict[str, Any] = {
        "http_proxy_host": proxy.hostname,
        "http_proxy_port": proxy.port,
        "proxy_type": proxy.scheme if proxy.scheme.startswith("socks") else "http",
    }
    if proxy.username:
        options["http_proxy_auth"] = (proxy.username, proxy.password or "")
    if getattr(configuration, "no_proxy", None):
        options["http_no_proxy"] = configuration.no_proxy.split(",")
    return options
