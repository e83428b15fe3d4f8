"""Machines for a ``HostPool``: SSH servers on addresses of 127.0.0.0/8, without root."""

from __future__ import annotations

import asyncio
import os
import shutil
import threading
from collections.abc import Coroutine, Iterable
from pathlib import Path
from typing import Any

import asyncssh
from ssh_server import SSHServer

_PATIENCE = 180.0


class Machines:
    """One for each address that answers, as long as this is entered."""

    def __init__(self, directory: Path, port: int, addresses: Iterable[str]) -> None:
        self.directory = directory
        self.port = port
        self.addresses = list(addresses)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._servers: dict[str, SSHServer] = {}

    def __enter__(self) -> Machines:
        self.directory.mkdir(parents=True, exist_ok=True)
        self._thread.start()
        self._key("id")
        self._host_key = self._key("host_key")
        public = (self.directory / "host_key.pub").read_text().strip()
        (self.directory / "known_hosts").write_text(
            "".join(f"[{each}]:{self.port} {public}\n" for each in self.addresses)
        )
        for address in self.addresses:
            self._run(self._listen(address))
        return self

    def __exit__(self, *raised: object) -> None:
        for server in self._servers.values():
            self._run(server.close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()
        shutil.rmtree(self.directory)

    @property
    def ssh(self) -> dict[str, Any]:
        """What a ``SSH`` of a pool is told."""
        return {
            "user": "ci",
            "port": self.port,
            "keys": [str(self.directory / "id")],
            "known_hosts": str(self.directory / "known_hosts"),
        }

    def _key(self, name: str) -> str:
        key = asyncssh.generate_private_key("ssh-ed25519")
        path = self.directory / name
        path.write_bytes(key.export_private_key())
        path.chmod(0o600)
        path.with_suffix(".pub").write_bytes(key.export_public_key())
        return key.export_private_key().decode()

    async def _listen(self, address: str) -> None:
        home = self.directory / address
        home.mkdir()
        self._servers[address] = SSHServer({**os.environ, "HOME": str(home)})
        await self._servers[address].listen(
            address,
            self.port,
            host_key=self._host_key,
            authorized_keys=[(self.directory / "id.pub").read_text()],
        )

    def _run(self, work: Coroutine[Any, Any, None]) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result(_PATIENCE)
