"""Run a real Buildbot master as a child process, and talk to it over REST.

Shared by the demonstration and by the tests that kill masters.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

T = TypeVar("T")

_BUILDBOT = "import sys; from buildbot.scripts.runner import run; sys.argv[0] = 'buildbot'; run()"
_POLL_SECONDS = 0.1


class Master:
    """A master in *directory*, whose web server is at *url*."""

    def __init__(self, directory: Path, config: Path, url: str) -> None:
        self.directory = directory
        self.config = config
        self.url = url
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def log(self) -> Path:
        return self.directory / "master.log"

    def create(self) -> None:
        """Make the directory and its database, unless they are there from an earlier run."""
        if not (self.directory / "buildbot.tac").exists():
            self.directory.mkdir(parents=True, exist_ok=True)
            self._run("create-master", "--config=master.cfg", ".")
        shutil.copyfile(self.config, self.directory / "master.cfg")

    def start(self) -> None:
        """Start it. Raises ``SystemExit`` if another master answers for it, which would fool us."""
        address = urlsplit(self.url)
        with socket.socket() as asking:
            if asking.connect_ex((address.hostname or "", address.port or 80)) == 0:
                raise SystemExit(f"something else answers at {self.url}: end it first")
        (self.directory / "twistd.pid").unlink(missing_ok=True)  # left by one that was killed
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-c", _BUILDBOT, "start", "--nodaemon", "."],
                cwd=self.directory,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def wait_until_up(self, seconds: float = 120.0) -> None:
        self.wait_for(lambda: self.rows("builders"), seconds, "the master to answer")

    def kill(self) -> None:
        """End the master as a crash would."""
        assert self.process is not None
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        self.process = None

    def stop(self, seconds: float = 240.0) -> None:
        """Stop the master politely, and return when it has ended."""
        if self.process is None:
            return
        self.process.terminate()
        try:
            self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.kill()
            raise SystemExit(
                f"the master did not stop in {seconds:.0f} s: see {self.log}"
            ) from None
        self.process = None

    def rows(self, path: str) -> list[dict[str, Any]]:
        """Return what a GET of the data API answers; nothing while the master is not up."""
        try:
            with urllib.request.urlopen(f"{self.url}api/v2/{path}", timeout=30) as response:
                content = json.load(response)
        except (OSError, ValueError):
            return []
        return next(value for key, value in content.items() if key != "meta")

    def force(self, **properties: str) -> int:
        """Ask for a build; return the number of its build request."""
        parameters = {"builderid": "1", **properties}
        call = {"id": 1, "jsonrpc": "2.0", "method": "force", "params": parameters}
        request = urllib.request.Request(
            f"{self.url}api/v2/forceschedulers/force",
            json.dumps(call).encode(),
            {"Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=60) as response:
            _, requests = json.load(response)["result"]
        return next(iter(requests.values()))

    def query(self, statement: str, *values: object) -> list[tuple[Any, ...]]:
        """Read the master's database from outside."""
        connection = sqlite3.connect(self.directory / "state.sqlite", timeout=60)
        try:
            return connection.execute(statement, values).fetchall()
        finally:
            connection.close()

    def wait_for(self, condition: Callable[[], T], seconds: float, what: str) -> T:
        """Ask until *condition* is true; end the program if the master ends or it takes too long."""
        pause = threading.Event()
        for _ in range(int(seconds / _POLL_SECONDS)):
            if found := condition():
                return found
            if self.process is not None and self.process.poll() is not None:
                raise SystemExit(f"the master ended while waiting for {what}: see {self.log}")
            pause.wait(_POLL_SECONDS)
        raise SystemExit(f"waited {seconds:.0f} s in vain for {what}: see {self.log}")

    def _run(self, *arguments: str) -> None:
        done = subprocess.run(
            [sys.executable, "-c", _BUILDBOT, *arguments],
            cwd=self.directory,
            capture_output=True,
            check=False,
        )
        if done.returncode:
            raise SystemExit(f"buildbot {arguments[0]} failed:\n{done.stdout.decode()}")
