#!/usr/bin/env python
"""Kill a real master with SIGKILL in each phase of its work on a real machine reached over SSH.

``scripts/with_ssh_hosts.sh python scripts/kill_on_hosts.py``. Each phase is entered for certain:
the machine is made to wait in it, and the master is killed once the machine shows that it does.
Then the master is started again, and once the grace time is over no process may be left there that
no living lease accounts for, and a build has to succeed.

Writes ``build/kill_on_hosts.json``; exits with 1 unless nothing was left over.
"""

from __future__ import annotations

import fcntl
import json
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from tests.lab import Lab, Request, there  # noqa: E402 - the tests are found from here on
from tests.ssh_hosts import Machine, machines  # noqa: E402

HOST = "build1"
DIRECTORY = "drydock-kills"
# A lease that nobody takes up expires after 20 s; what it left is then asked to end, and killed.
GRACE_SECONDS = 60.0
HOLD_WORKER = "/run/hold-worker"

# Stands for the Python of the environment, which starts when it is let.
_HELD_PYTHON = f"""#!/bin/sh
case "$*" in
*twistd*) while [ -e {HOLD_WORKER} ]; do sleep 0.1; done ;;
esac
exec "${{0}}3" "$@"
"""
# What a build leaves behind, in a session of its own: it does not end when it is asked to.
_STUBBORN = 'trap "touch /tmp/asked-to-end" TERM; touch /tmp/stubborn; while :; do sleep 0.2; done'


class Kills:
    """A master with one machine, and the phases to kill it in."""

    def __init__(self, directory: Path, machine: Machine) -> None:
        self.machine = machine
        self.lab = Lab(
            directory, [machine], pool={"directory": DIRECTORY, "stop_grace": 5.0, "lost_after": 60}
        )
        self.leftovers: dict[str, list[str]] = {}  # by phase

    @property
    def phases(self) -> dict[str, Callable[[], None]]:
        return {
            "making the environment": self.while_making_the_environment,
            "connecting": self.while_connecting,
            "starting the worker": self.while_starting_the_worker,
            "waiting for the worker to log in": self.while_the_worker_starts,
            "running a build": self.while_a_build_runs,
            "stopping the worker": self.while_stopping_the_worker,
        }

    def run(self) -> dict[str, object]:
        """Go through all phases; return the figures."""
        try:
            for name, phase in self.phases.items():
                phase()
                print(f"killed while {name}: {self.leftovers[name] or 'nothing left'}", flush=True)
        finally:
            self.end()
        return {
            "kills": len(self.leftovers),
            "leftovers": sum(map(len, self.leftovers.values())),
            "phases": {name: len(found) for name, found in self.leftovers.items()},
        }

    def end(self) -> None:
        self.lab.end()

    # --- the phases --------------------------------------------------------------------------

    def while_making_the_environment(self) -> None:
        self.ready(start=False)
        shutil.rmtree(self._path("venv"), ignore_errors=True)
        self.lab.start()
        self._until_there("-m pip install")
        self._kill_and_check("making the environment")

    def while_connecting(self) -> None:
        self.ready()
        request = self.lab.request_held(HOST)
        request.running()
        began = self.lab.moment()
        self.machine.freeze()
        try:
            self.lab.told("host-lost", began, host=HOST)
            self.lab.until(self._is_connecting, "the master to connect anew")
            self.lab.kill()
        finally:
            self.machine.thaw()
        request.let_go()
        self._check("connecting", request)

    def while_starting_the_worker(self) -> None:
        self.ready()
        with self._starts_held_up():
            request = self.lab.request(HOST)
            self._until_there("drydock-start.lock")
            self.lab.kill()
        self._check("starting the worker", request)

    def while_the_worker_starts(self) -> None:
        self.ready()
        with self._worker_held_up():
            request = self.lab.request(HOST)
            self._until_there("twistd")
            self.lab.kill()
        self._check("waiting for the worker to log in", request)

    def while_a_build_runs(self) -> None:
        self.ready()
        request = self.lab.request_held(HOST)
        request.running()
        self.lab.kill()
        request.let_go()
        self._check("running a build", request)

    def while_stopping_the_worker(self) -> None:
        self.ready()
        signs = [self.machine.path(f"/tmp/{name}") for name in ("stubborn", "asked-to-end")]
        for sign in signs:
            sign.unlink(missing_ok=True)
        command = f"setsid sh -c '{_STUBBORN}' > /dev/null 2>&1 < /dev/null & "
        command += "until [ -e /tmp/stubborn ]; do sleep 0.1; done"
        request = self.lab.request(HOST, command)
        self.lab.until(signs[1].exists, "what a build left to be asked to end")
        self._kill_and_check("stopping the worker", request)

    # --- entering them -----------------------------------------------------------------------

    def ready(self, *, start: bool = True) -> None:
        """Have the master up, and nothing of it at work on the machine; or have it down."""
        up = self.lab.master.process is not None
        if start and not up:
            self.lab.start()
        if up:
            self.lab.until(lambda: not there(self.machine), "the machine to be at rest")
        if up and not start:
            self.lab.kill()
        if start:
            self.lab.builds_on(HOST)
            self.lab.until(lambda: not there(self.machine), "the machine to be at rest")

    def _until_there(self, text: str) -> None:
        def runs() -> bool:
            return any(text in command for command in self.machine.commands())

        self.lab.until(runs, f"{text} to run on the machine")

    def _is_connecting(self) -> bool:
        assert self.lab.master.process is not None
        process = psutil.Process(self.lab.master.process.pid)
        ports = [c.raddr.port for c in process.net_connections() if c.raddr]
        return self.machine.port in ports

    @contextmanager
    def _starts_held_up(self) -> Iterator[None]:
        with self._path(".drydock-start.lock").open("a") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    @contextmanager
    def _worker_held_up(self) -> Iterator[None]:
        (python,) = self._path("venv").glob("*/bin/python")
        kept = python.with_name("python.kept")
        python.rename(kept)
        python.write_text(_HELD_PYTHON)
        python.chmod(0o755)
        hold = self.machine.path(HOLD_WORKER)
        hold.touch()
        try:
            yield
        finally:
            kept.rename(python)
            hold.unlink()

    def _path(self, name: str) -> Path:
        return self.machine.path(f"{self.machine.home}/{DIRECTORY}/{name}")

    # --- what must hold afterwards -----------------------------------------------------------

    def _kill_and_check(self, phase: str, request: Request | None = None) -> None:
        self.lab.kill()
        self._check(phase, request)

    def _check(self, phase: str, request: Request | None = None) -> None:
        """Start the master again, and see that builds succeed and that nothing is left over."""
        self.lab.start()
        if request is not None and request.finished().results != 0:
            raise AssertionError(f"killed while {phase}: the build failed: {request.finished()}")
        self.lab.builds_on(HOST)  # what had to be made for it is made by then
        with suppress(AssertionError):
            self.lab.until(lambda: not self.lab.leftovers(), "no leftovers", GRACE_SECONDS)
        self.leftovers[phase] = self.those_that_stay()

    def those_that_stay(self) -> list[str]:
        """Leave out of what is left over what comes and goes: the looks of the master itself."""
        stay = set(self.lab.leftovers())
        if stay:
            with suppress(AssertionError):
                self.lab.until(lambda: not stay.intersection(self.lab.leftovers()), "", 5.0)
        return sorted(stay.intersection(self.lab.leftovers()))


def main() -> int:
    with tempfile.TemporaryDirectory(prefix="drydock-kills-") as directory:
        figures = Kills(Path(directory), machines()[0]).run()
    (ROOT / "build").mkdir(exist_ok=True)
    (ROOT / "build" / "kill_on_hosts.json").write_text(json.dumps(figures, indent=2) + "\n")
    print(json.dumps(figures))
    return 1 if figures["leftovers"] else 0


if __name__ == "__main__":
    sys.exit(main())
