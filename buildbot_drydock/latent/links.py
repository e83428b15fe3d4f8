"""The way to a listed machine, as its keeper needs it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Protocol, TypeAlias

from buildbot_drydock.errors import HostError
from buildbot_drydock.interfaces import Host


class Link(Protocol):
    """A connection to one machine, that can be opened again after it was lost or closed.

    All methods raise ``HostError``; those of its hosts as well, while it is not open.
    """

    async def open(self) -> None:
        """Connect and log in; nothing if that is done."""
        ...

    def host(self, directory: str, marks: Mapping[str, str]) -> Host:
        """Return what runs commands in a directory, relative to the login's own."""
        ...

    async def end(self, mark: str, value: str) -> None:
        """End all processes that bear a mark, and return once none is left."""
        ...

    async def tunnel(self, port: int) -> int:
        """Let what connects to a port of the machine itself reach the master; 0 is any port.

        Returns the port. It lasts as long as the connection.
        """
        ...

    async def close(self) -> None:
        """Let go of the connection. What runs goes on."""
        ...


# Called with what is to be told when the connection is lost; returns the link.
Dial: TypeAlias = Callable[[Callable[[HostError], None]], Link]
# Finds, or makes, an interpreter that has buildbot_worker; returns its path on the host.
FindInterpreter: TypeAlias = Callable[[Host], Awaitable[str]]
