"""An SSH server on an address of this machine, whose commands run in a directory of it.

It stands for a machine of its own where no root is to be had: many of them, on addresses of
127.0.0.0/8, share the processes, files and user of this one.
"""

from __future__ import annotations

import asyncio
import signal
import subprocess
import warnings
from typing import Any

import asyncssh

# asyncssh makes it when a command's pipes end in a certain order, and has no more use for it.
warnings.filterwarnings("ignore", "coroutine 'Queue.join' was never awaited")


class SSHServer:
    """Commands run by this process's user, in this environment and its ``HOME``."""

    def __init__(self, environment: dict[str, str]) -> None:
        self._environment = environment
        self._listening: Any = None
        self._connections: set[Any] = set()

    async def listen(
        self, address: str, port: int, *, host_key: str, authorized_keys: list[str]
    ) -> None:
        self._listening = await asyncssh.listen(
            address,
            port,
            server_factory=lambda: _Session(self._connections),
            server_host_keys=[asyncssh.import_private_key(host_key)],
            authorized_client_keys=asyncssh.import_authorized_keys("\n".join(authorized_keys)),
            process_factory=self._serve,
            encoding=None,
        )

    async def close(self) -> None:
        self._listening.close()
        for connection in list(self._connections):
            connection.abort()
        await self._listening.wait_closed()

    async def _serve(self, process: asyncssh.SSHServerProcess[bytes]) -> None:
        command = await asyncio.create_subprocess_shell(
            process.command or "true",
            cwd=self._environment["HOME"],
            env=self._environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
        await process.redirect(command.stdin, command.stdout, command.stderr)
        code = await command.wait()
        await process.stdout.drain()
        await process.stderr.drain()
        if code >= 0:
            process.exit(code)
        else:
            process.exit_with_signal(signal.Signals(-code).name.removeprefix("SIG"))


class _Session(asyncssh.SSHServer):
    """One connection, which is among *connections* while it is there."""

    def __init__(self, connections: set[Any]) -> None:
        self._connections = connections
        self._connection: Any = None

    def connection_made(self, conn: Any) -> None:
        self._connection = conn
        self._connections.add(conn)

    def connection_lost(self, exc: Exception | None) -> None:
        self._connections.discard(self._connection)
