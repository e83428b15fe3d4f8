"""A real master process, and ``drydock`` as processes that talk to it.

``MasterTestCase`` has one master for all tests of a class; each leaves no lease behind.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, ClassVar, Final, TypeVar
from urllib.request import urlopen

from twisted.trial.unittest import SynchronousTestCase

ROOT: Final = Path(__file__).resolve().parents[1]
sys.path.append(str(ROOT / "scripts"))

from demo_master import Master  # noqa: E402 - it lies among the scripts, which are no package

T = TypeVar("T")

ANA, BOB, EVE = "ana@example.org", "bob@example.org", "eve@example.org"
PASSWORDS: Final = {ANA: "a", BOB: "b", EVE: "wrong"}
# Far more than anything takes: what takes longer does not come any more.
PATIENCE: Final = 120.0
_PROGRAM: Final = (sys.executable, "-m", "buildbot_drydock.cli")


class Ended:
    """A call of ``drydock`` that has ended."""

    def __init__(self, code: int, out: str, errors: str) -> None:
        self.code = code
        self.out = out
        self.errors = errors

    def __repr__(self) -> str:
        return f"it ended with {self.code}\n{self.out}\n{self.errors}"

    @property
    def json(self) -> Any:
        return json.loads(self.out)

    @property
    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.out.splitlines()]


def _heed_signals() -> None:
    """Begin as in a terminal: whoever runs the tests in the background may ignore signals."""
    for number in (signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)


class Running:
    """A call of ``drydock`` that goes on, whose lines are read as they come."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self.out = ""
        self.errors = ""
        self._changed = threading.Condition()
        self._readers = [
            threading.Thread(target=self._read, args=(name,), daemon=True)
            for name in ("out", "errors")
        ]
        for each in self._readers:
            each.start()

    def _read(self, name: str) -> None:
        stream = self.process.stdout if name == "out" else self.process.stderr
        assert stream is not None
        for line in stream:
            with self._changed:
                setattr(self, name, getattr(self, name) + line)
                self._changed.notify_all()

    def wait_for(self, text: str) -> None:
        """Wait until a text is written."""

        def is_there() -> bool:
            return text in self.out or text in self.errors

        with self._changed:
            if not self._changed.wait_for(is_there, PATIENCE):
                raise AssertionError(f"{text!r} was never written:\n{self.out}\n{self.errors}")

    def ended(self) -> Ended:
        code = self.process.wait(PATIENCE)
        for each in self._readers:
            each.join(PATIENCE)
        for stream in (self.process.stdout, self.process.stderr):
            assert stream is not None
            stream.close()
        return Ended(code, self.out, self.errors)

    def end(self) -> None:
        """Make sure that it is over."""
        if self.process.poll() is None:
            self.process.kill()
        self.ended()

    def send(self, number: signal.Signals) -> Ended:
        self.process.send_signal(number)
        return self.ended()


class MasterTestCase(SynchronousTestCase):
    """Ana is an admin, Bob may lease from ``linux``, nobody has Eve's password."""

    config: ClassVar[Path] = ROOT / "tests" / "cli_master.cfg"
    master: ClassVar[Master]
    directory: ClassVar[Path]

    @classmethod
    def setUpClass(cls) -> None:
        cls.directory = Path(tempfile.mkdtemp(prefix="cli-master-", dir=Path.cwd()))
        port = _free_port()
        key, known_hosts = cls.directory / "key", cls.directory / "known_hosts"
        key.touch(0o600)  # with which nobody ever gets in
        known_hosts.touch()
        settings = {"port": port, "key": str(key), "known_hosts": str(known_hosts)}
        (cls.directory / "settings.json").write_text(json.dumps(settings))
        for name, password in PASSWORDS.items():
            (cls.directory / name).write_text(password + "\n")
            (cls.directory / name).chmod(0o600)
        cls.master = Master(cls.directory, cls.config, f"http://127.0.0.1:{port}/")
        cls.master.create()
        cls.start_master()

    @classmethod
    def start_master(cls) -> None:
        cls.master.start()
        cls.master.wait_until_up(PATIENCE)
        cls.master.wait_for(
            lambda: cls.master.rows("drydock_blueprints"), PATIENCE, "Drydock to be ready"
        )

    @classmethod
    def tearDownClass(cls) -> None:
        if cls.master.process is not None:
            cls.master.kill()

    # --- the command -------------------------------------------------------------------------

    def environment(self, **more: str) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if "DRYDOCK" not in name}
        return {**kept, "HOME": str(self.directory), "PYTHONUNBUFFERED": "1", **more}

    def call(
        self, *arguments: str, user: str = ANA, more: Mapping[str, str] | None = None
    ) -> Ended:
        """Call ``drydock``, and wait for its end."""
        return self.begin(*arguments, user=user, more=more).ended()

    def begin(
        self,
        *arguments: str,
        user: str = ANA,
        more: Mapping[str, str] | None = None,
        master: str | None = None,
    ) -> Running:
        options = ["--master", master or self.master.url]
        if user:
            options += ["--user", user, "--password-file", str(self.directory / user)]
        process = subprocess.Popen(
            [*_PROGRAM, *options, *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=self.environment(**(more or {})),
            preexec_fn=_heed_signals,
        )
        running = Running(process)
        self.addCleanup(running.end)
        return running

    def succeeds(self, *arguments: str, **options: Any) -> Ended:
        ended = self.call(*arguments, **options)
        self.assertEqual(ended.code, 0, ended)
        return ended

    # --- the master --------------------------------------------------------------------------

    def until(self, condition: Callable[[], T], what: str) -> T:
        return self.master.wait_for(condition, PATIENCE, what)

    def lease(self, number: int) -> dict[str, Any]:
        with urlopen(f"{self.master.url}api/v2/drydock_leases/{number}", timeout=30) as answer:
            (row,) = json.load(answer)["drydock_leases"]
        found: dict[str, Any] = row
        return found

    def lease_becomes(self, number: int, *statuses: str) -> None:
        self.until(lambda: self.lease(number)["status"] in statuses, f"lease {number} to end")

    def newest_lease(self) -> int:
        rows = self.master.rows("drydock_leases?order=-leaseid&limit=1")
        return int(rows[0]["leaseid"]) if rows else 0


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port: int = listening.getsockname()[1]
        return port
