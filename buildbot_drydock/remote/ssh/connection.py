"""One SSH connection per machine, opened when needed and shared by all that is done there."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Awaitable, Callable
from typing import Any, Final, TypeVar

from twisted.internet.defer import Deferred

from buildbot_drydock.errors import HostUnreachable
from buildbot_drydock.remote.shell.exchange import Answer, Request
from buildbot_drydock.remote.ssh import failures
from buildbot_drydock.remote.ssh.access import Access
from buildbot_drydock.remote.ssh.exchange import exchange
from buildbot_drydock.remote.ssh.library import asyncssh
from buildbot_drydock.remote.ssh.login import key_types, known_hosts, load_keys, trusted_keys
from buildbot_drydock.remote.ssh.loop import SSHLoop

T = TypeVar("T")

# A server that is told of a closed session and of the next at once counts both. So one that is
# refused is asked for again, after some seconds in all.
_SESSION_PAUSES: Final = (0.02, 0.05, 0.1, 0.2, 0.5, 1.0)
_CLOSING_SECONDS: Final = 2.0  # how long a machine may take to say goodbye


class Connection:
    """The connection to one machine. All methods are for the reactor's thread."""

    def __init__(
        self, loop: SSHLoop, access: Access, lost: Callable[[HostUnreachable], object] | None = None
    ) -> None:
        """*lost* is called in the reactor's thread, once for each open connection that is lost."""
        self.access = access
        self._loop = loop
        self._lost = lost
        self._opening: asyncio.Task[asyncssh.SSHClientConnection] | None = None
        self._open: _Route | None = None
        self._channels = asyncio.Semaphore(access.most_channels)
        self._forwards: dict[tuple[int, str, int], int] = {}
        self._forwarding = asyncio.Lock()
        self._fingerprint = ""

    @property
    def shown(self) -> str:
        """Return what a message calls the machine."""
        return self.access.shown

    @property
    def is_open(self) -> bool:
        """Tell whether there is a connection, as far as is known."""
        return self._open is not None

    @property
    def fingerprint(self) -> str:
        """Return that of the host key last verified, ``SHA256:...``; empty before the first."""
        return self._fingerprint

    def open(self) -> Deferred[None]:
        """Open the connection unless it is open. Raises ``HostUnreachable``."""
        return self._loop.call(self._opened_for_nothing)

    def exchange(self, request: Request) -> Deferred[Answer]:
        """Run a script there; it waits for its turn if there are too many already.

        Raises ``HostUnreachable`` and ``CommandTimedOut``.
        """
        return self._loop.call(self._exchange, request)

    def did_not_run(self, exit_code: int, said: bytes) -> HostUnreachable:
        """Return the error for a script that the login shell did not run."""
        return failures.shell_did_not_run(self.access, exit_code, said)

    def forward(self, port: int, to_host: str, to_port: int) -> Deferred[int]:
        """Let the machine's own *port* lead to an address as seen from here; return the port.

        With port 0 the machine chooses one. Only programs on the machine itself can use it. It
        goes with the connection: ask again after a loss. Asking twice changes nothing.
        """
        return self._loop.call(self._forward, port, to_host, to_port)

    def close(self) -> Deferred[None]:
        """Close it; what goes on over it fails. The next use opens it again."""
        return self._loop.call(self._close)

    # --- in the loop's thread -----------------------------------------------------------------

    async def _opened_for_nothing(self) -> None:
        await self._opened()

    async def _exchange(self, request: Request) -> Answer:
        async with self._channels:
            for pause in _SESSION_PAUSES:
                try:
                    return await exchange(await self._opened(), self.access, request)
                except HostUnreachable as error:
                    if error.phase != failures.OPENING:
                        raise
                await asyncio.sleep(pause)
            return await exchange(await self._opened(), self.access, request)

    async def _opened(self) -> asyncssh.SSHClientConnection:
        if self._open is not None:
            return self._open.end
        if self._opening is None:
            self._opening = asyncio.create_task(self._make())
            self._opening.add_done_callback(self._made)
        try:
            # Shared, so it goes on if one of those who wait for it is cancelled.
            return await asyncio.shield(self._opening)
        except asyncio.CancelledError:
            if self._opening is None or not self._opening.cancelled():
                raise
            raise HostUnreachable(f"{self.access.shown}: the connection was closed") from None

    async def _make(self) -> asyncssh.SSHClientConnection:
        route = await open_route(self._loop, self.access, self._ended)
        if route.end.is_closed():  # before anybody was there to be told
            raise failures.connection_lost(self.access, None)
        self._open = route
        self._fingerprint = route.fingerprint
        self._loop.add_closer(self._close)
        return route.end

    def _made(self, opening: asyncio.Task[asyncssh.SSHClientConnection]) -> None:
        self._opening = None
        if not opening.cancelled():
            opening.exception()  # whoever waited has been told

    def _ended(self, error: Exception | None) -> None:
        """The connection has ended, and nobody here has closed it."""
        route, self._open = self._open, None
        if route is None:
            return
        self._forwards.clear()
        self._loop.remove_closer(self._close)
        route.abort()
        if self._lost is not None:
            self._loop.in_reactor(self._lost, failures.connection_lost(self.access, error))

    async def _forward(self, port: int, to_host: str, to_port: int) -> int:
        async with self._forwarding:
            connection = await self._opened()
            wanted = (port, to_host, to_port)
            if wanted not in self._forwards:
                try:
                    listener = await connection.forward_remote_port(
                        "localhost", port, to_host, to_port
                    )
                except asyncssh.ChannelListenError as error:
                    remedy = (
                        "see whether the port is taken there, and whether its sshd_config allows "
                        "it (AllowTcpForwarding, PermitListen)"
                    )
                    reason = f"it refuses to listen on port {port} for the way back ({error})"
                    raise failures.unreachable(
                        self.access, failures.CONNECTED, reason, remedy
                    ) from error
                except (asyncssh.Error, OSError) as error:
                    raise failures.connection_lost(self.access, error) from error
                self._forwards[wanted] = listener.get_port()
            return self._forwards[wanted]

    async def _close(self) -> None:
        opening, self._opening = self._opening, None
        if opening is not None:
            opening.cancel()
            await asyncio.wait([opening])
        route, self._open = self._open, None
        if route is not None:
            self._forwards.clear()
            self._loop.remove_closer(self._close)
            await route.close()


class _Route:
    """An open connection, with those to the jump hosts that it goes through."""

    def __init__(self) -> None:
        self.legs: list[asyncssh.SSHClientConnection] = []

    @property
    def end(self) -> asyncssh.SSHClientConnection:
        return self.legs[-1]

    @property
    def fingerprint(self) -> str:
        key = self.end.get_server_host_key()
        return "" if key is None else key.get_fingerprint()

    async def close(self) -> None:
        for leg in reversed(self.legs):
            leg.close()
            try:
                await asyncio.wait_for(leg.wait_closed(), _CLOSING_SECONDS)
            except asyncio.TimeoutError:
                leg.abort()

    def abort(self) -> None:
        for leg in reversed(self.legs):
            leg.abort()


async def open_route(
    loop: SSHLoop, access: Access, ended: Callable[[Exception | None], None]
) -> _Route:
    """Connect and log in, through the jump hosts. Raises ``HostUnreachable``."""
    route = _Route()
    try:
        for each in (*access.jump, access):
            client = _Client(ended if each is access else None)
            route.legs.append(await _Attempt(loop, each, client).connect(route))
    except BaseException:
        route.abort()
        raise
    return route


class _Attempt:
    """One attempt to connect to one machine and to log in; it knows how far it got."""

    def __init__(self, loop: SSHLoop, access: Access, client: _Client) -> None:
        self._loop = loop
        self._access = access
        self._client = client
        self._phase = failures.RESOLVING

    async def connect(self, route: _Route) -> asyncssh.SSHClientConnection:
        try:
            return await self._connect(route)
        except (OSError, ValueError, asyncssh.Error, asyncio.TimeoutError) as error:
            raise self._translated(error) from error

    async def _connect(self, route: _Route) -> asyncssh.SSHClientConnection:
        self._phase = failures.LOGGING_IN
        keys = await load_keys(self._access)
        self._client.offered = keys.shown
        try:
            self._phase = failures.VERIFYING
            options: dict[str, Any] = {
                "username": self._access.user,
                "client_keys": keys.pairs,
                "known_hosts": known_hosts(self._access),
                "keepalive_interval": self._access.keepalive_interval,
                "keepalive_count_max": self._access.keepalive_count,
            }
            if route.legs:
                self._phase = failures.CONNECTING
                options["server_host_key_algs"] = key_types(self._access, "")
                return await self._shake_hands(tunnel=route.end, **options)
            sock = await self._reach()
            try:
                options["server_host_key_algs"] = key_types(self._access, sock.getpeername()[0])
                return await self._shake_hands(sock=sock, **options)
            except BaseException:
                sock.close()
                raise
        finally:
            await keys.close()

    async def _reach(self) -> socket.socket:
        """Connect, and wait until the server says something: only then is it worth a handshake."""
        event_loop = asyncio.get_running_loop()
        self._phase = failures.RESOLVING
        found = await self._in_time(
            event_loop.getaddrinfo(self._access.address, self._access.port, type=socket.SOCK_STREAM)
        )
        self._phase = failures.CONNECTING
        sock = await self._in_time(_first_connected(found))
        self._phase = failures.GREETING
        try:
            await self._in_time(_readable(sock))
        except BaseException:
            sock.close()
            raise
        return sock

    async def _shake_hands(self, **options: Any) -> asyncssh.SSHClientConnection:
        async with self._loop.handshakes:
            return await self._in_time(
                asyncssh.connect(
                    self._access.address,
                    self._access.port,
                    client_factory=lambda: self._client,
                    config=None,
                    agent_path=None,
                    x509_trusted_certs=None,
                    preferred_auth="publickey",
                    gss_host=None,
                    **options,
                )
            )

    async def _in_time(self, waited_for: Awaitable[T]) -> T:
        return await asyncio.wait_for(waited_for, self._access.connect_timeout)

    def _translated(self, error: BaseException) -> HostUnreachable:
        client, access = self._client, self._access
        phase = client.phase or self._phase
        if isinstance(error, asyncssh.HostKeyNotVerifiable):
            return failures.host_key_refused(
                access,
                seen=client.seen_key or "of a certificate",
                expected=client.expected(access),
                reason=str(error),
            )
        if isinstance(error, asyncssh.PermissionDenied) or (
            phase == failures.LOGGING_IN
            and isinstance(error, asyncssh.DisconnectError)
            and not isinstance(error, asyncssh.ConnectionLost)
        ):
            return failures.login_refused(
                access, offered=client.offered, banner=client.banner or str(error)
            )
        return failures.not_connected(access, phase, error)


class _Client(asyncssh.SSHClient):
    """What the library tells while it connects, and when the connection ends."""

    def __init__(self, ended: Callable[[Exception | None], None] | None) -> None:
        self._connection: asyncssh.SSHClientConnection | None = None
        self._ended = ended
        self._peer: str | None = None
        self.seen_key = ""
        self.offered: tuple[str, ...] = ()
        self.banner = ""

    @property
    def phase(self) -> str:
        """Return how far it got; empty if the library has not begun."""
        if self._connection is None:
            return ""
        verified = self._connection.get_server_host_key() is not None
        return failures.LOGGING_IN if verified else failures.VERIFYING

    def connection_made(self, conn: asyncssh.SSHClientConnection) -> None:
        self._connection = conn

    def connection_lost(self, exc: Exception | None) -> None:
        if self._ended is not None:
            self._ended(exc)

    def validate_host_public_key(
        self, host: str, addr: str, port: int, key: asyncssh.SSHKey
    ) -> bool:
        self.seen_key, self._peer = _shown_key(key), addr
        return False

    def validate_host_ca_key(self, host: str, addr: str, port: int, key: asyncssh.SSHKey) -> bool:
        self.seen_key, self._peer = f"certified by {_shown_key(key)}", addr
        return False

    def auth_banner_received(self, msg: str, lang: str) -> None:
        self.banner += msg

    def expected(self, access: Access) -> tuple[str, ...]:
        """Return the host keys that were asked for, as shown in messages."""
        if self._peer is None:
            return ()
        keys, _ = trusted_keys(access, self._peer)
        return tuple(dict.fromkeys(_shown_key(key) for key in keys))  # by name and by address


def _shown_key(key: asyncssh.SSHKey) -> str:
    return f"{key.get_algorithm()} {key.get_fingerprint()}"


async def _first_connected(found: list[tuple[Any, ...]]) -> socket.socket:
    """Connect to the first address of a name that answers."""
    refusal: OSError = OSError("the name has no address")
    for family, kind, protocol, _, address in found:
        sock = socket.socket(family, kind, protocol)
        sock.setblocking(False)
        try:
            await asyncio.get_running_loop().sock_connect(sock, address)
            return sock
        except OSError as error:
            sock.close()
            refusal = OSError(error.errno, os.strerror(error.errno or 0))
        except BaseException:
            sock.close()
            raise
    raise refusal


async def _readable(sock: socket.socket) -> None:
    event_loop = asyncio.get_running_loop()
    readable = asyncio.Event()
    event_loop.add_reader(sock, readable.set)
    try:
        await readable.wait()
    finally:
        event_loop.remove_reader(sock)
