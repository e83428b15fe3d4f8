"""A directory on a machine as a host, reached over SSH."""

from __future__ import annotations

from collections.abc import Mapping

from buildbot_drydock.remote.shell.host import ShellHost
from buildbot_drydock.remote.ssh.connection import Connection


class SSHHost(ShellHost):
    """Runs commands and moves files in a directory of a machine; see ``ShellHost``.

    The machine ends a command by itself, too, if it loses the connection. A signal that SSH has no
    name for is reported as -255.
    """

    def __init__(
        self,
        connection: Connection,
        directory: str,
        *,
        marks: Mapping[str, str] | None = None,
        grace_seconds: float = 5.0,
    ) -> None:
        super().__init__(connection, directory, marks=marks, grace_seconds=grace_seconds)
