"""Instances of the EC2 test server that are a directory and an SSH server on an address of 127.0.0.0/8.

What an instance runs bears its id in ``VARIABLE``, by which it is ended with the instance. Of its
user data the keys are heeded, and the scripts run; a boothook is not, as it would find this machine.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import socket
import subprocess
import sys
import threading
from collections.abc import Coroutine
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
from ssh_server import SSHServer

from tests.cloud_init import Boot, boot_of
from tests.ec2 import EC2Server, Instance

VARIABLE = "DRYDOCK_TORTURE_INSTANCE"
PATIENCE_SECONDS = 60.0
_TWISTD = "from twisted.scripts.twistd import run; run()"


class LocalInstances:
    """Stands behind a server's instances, as long as it is entered."""

    def __init__(self, server: EC2Server, directory: Path) -> None:
        self.server = server
        self.directory = directory
        self.port = free_port()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._servers: dict[str, SSHServer] = {}
        self._environment = {
            name: value for name, value in os.environ.items() if not name.startswith("AWS_")
        }

    def __enter__(self) -> LocalInstances:
        self.directory.mkdir(parents=True, exist_ok=True)
        self._thread.start()
        self.server.hooks.on_launch = self._give_address
        self.server.hooks.on_running = self._boot
        self.server.hooks.on_terminated = self._end
        return self

    def __exit__(self, *raised: object) -> None:
        for instance in self.server.inspector.instances:
            self._end(instance)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()

    def processes(self, number: str) -> list[psutil.Process]:
        """Return what an instance runs."""
        found = []
        for process in psutil.process_iter():
            with suppress(psutil.Error, OSError):
                if process.environ().get(VARIABLE) == number:
                    found.append(process)
        return found

    # --- what happens to an instance -----------------------------------------------------------

    def _give_address(self, instance: Instance) -> None:
        high, low = divmod(instance.number, 250)
        instance.private_ip = instance.public_ip = f"127.{77 + high // 250}.{high % 250}.{low + 1}"

    def _boot(self, instance: Instance) -> None:
        (self.directory / instance.id).mkdir()
        boot = boot_of(instance.user_data)
        if boot.host_key:
            self._run(self._listen(instance, boot))
        for number, script in enumerate(boot.scripts):
            path = self.directory / instance.id / f"script-{number}"
            path.write_text(script)
            path.chmod(0o700)
            subprocess.Popen(
                [str(path)],
                cwd=path.parent,
                env=self._environment_of(instance),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
            )

    def _end(self, instance: Instance) -> None:
        self._run(self._close(instance.id))
        while running := self.processes(instance.id):
            for process in running:
                with suppress(psutil.Error):
                    process.kill()
            psutil.wait_procs(running, timeout=1)
        shutil.rmtree(self.directory / instance.id, ignore_errors=True)

    def _environment_of(self, instance: Instance) -> dict[str, str]:
        home = str(self.directory / instance.id)
        return {**self._environment, "HOME": home, VARIABLE: instance.id}

    # --- its SSH server --------------------------------------------------------------------------

    def _run(self, work: Coroutine[Any, Any, None]) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result(PATIENCE_SECONDS)

    async def _listen(self, instance: Instance, boot: Boot) -> None:
        server = SSHServer(self._environment_of(instance))
        assert instance.private_ip is not None
        await server.listen(
            instance.private_ip,
            self.port,
            host_key=boot.host_key,
            authorized_keys=boot.authorized_keys,
        )
        self._servers[instance.id] = server

    async def _close(self, number: str) -> None:
        server = self._servers.pop(number, None)
        if server is not None:
            await server.close()


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port: int = listening.getsockname()[1]
        return port


def worker_script(name: str, password: str, port: int) -> str:
    """Return user data that starts an ordinary worker, as an image for ``EC2LatentWorker`` does."""
    tactics = (
        "from buildbot_worker.bot import Worker\n"
        "from twisted.application import service\n"
        "application = service.Application('worker')\n"
        f"Worker('127.0.0.1', {port}, {name!r}, {password!r}, '.', 60, umask=None)"
        ".setServiceParent(application)\n"
    )
    return (
        f"#!/bin/sh\nmkdir info\ncat > buildbot.tac <<'TACTICS'\n{tactics}TACTICS\n"
        f"exec {sys.executable} -c '{_TWISTD}' --nodaemon --pidfile= "
        "--python buildbot.tac > worker.log 2>&1\n"
    )
