"""The way to a listed machine over SSH."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from buildbot_drydock.errors import HostError
from buildbot_drydock.interfaces import Host
from buildbot_drydock.remote.ssh.access import Access
from buildbot_drydock.remote.ssh.connection import Connection
from buildbot_drydock.remote.ssh.host import SSHHost
from buildbot_drydock.remote.ssh.loop import SSHLoop

_HOME: Final = "."


class SSHLink:
    """A ``Link`` to one machine."""

    def __init__(
        self,
        loop: SSHLoop,
        access: Access,
        lost: Callable[[HostError], None],
        *,
        directory: str,
        tunnel_to: tuple[str, int] | None,
        grace_seconds: float,
    ) -> None:
        """*directory* is the machine's for all that is started there; *tunnel_to* is where a
        tunnel leads, as seen from the master."""
        self._directory = directory
        self._connection = Connection(loop, access, lost=lost)
        self._tunnel_to = tunnel_to
        self._grace_seconds = grace_seconds

    async def open(self) -> None:
        await self._connection.open()

    def host(self, directory: str, marks: Mapping[str, str]) -> Host:
        return self._host(directory or _HOME, marks)

    async def end(self, mark: str, value: str) -> None:
        await self._host(self._directory, {}).end_marked(mark, value)

    async def tunnel(self, port: int) -> int:
        assert self._tunnel_to is not None
        return await self._connection.forward(port, *self._tunnel_to)

    async def close(self) -> None:
        await self._connection.close()

    def _host(self, directory: str, marks: Mapping[str, str]) -> SSHHost:
        return SSHHost(self._connection, directory, marks=marks, grace_seconds=self._grace_seconds)
