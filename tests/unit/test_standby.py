"""A Python that stands by, on this machine and without a server: handed over, once, to one lease."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, TypeVar
from uuid import uuid4

import psutil
from twisted.internet.defer import Deferred, succeed
from twisted.trial.unittest import SynchronousTestCase

from buildbot_drydock.errors import HostError
from buildbot_drydock.interfaces import Completed
from buildbot_drydock.latent.process import LOG, TACTICS_FILE, command, standby_command
from buildbot_drydock.remote.processes import RESOURCE_MARK, TAG_MARK, marked
from buildbot_drydock.remote.shell.exchange import Answer, Request, answered
from buildbot_drydock.remote.shell.host import LONGEST_TAG, ShellHost
from buildbot_drydock.remote.shell.scripts import command_line

T = TypeVar("T")

PATIENCE_SECONDS = 60.0
# Tells which process runs it, and does not end by itself.
TACTICS = b"""
import json, os, subprocess, sys
from twisted.application import service
print("here is", os.getpid())
print_tag = [sys.executable, "-c", "import os; print(os.environ['DRYDOCK_TAG'])"]
child = subprocess.check_output(print_tag, env=dict(os.environ))
with open("environment", "w") as environment:
    json.dump(dict(os.environ), environment)
with open("began.new", "w") as began:
    began.write("{} {} {}".format(os.getpid(), os.getcwd(), child.decode()))
os.replace("began.new", "began")
application = service.Application("nothing")
"""


class ThisMachine:
    """Runs scripts here, one after another."""

    shown = "this machine"

    def exchange(self, request: Request) -> Deferred[Answer]:
        done = subprocess.run(
            ["sh", "-c", command_line(request.script)],
            input=request.content,
            capture_output=True,
            start_new_session=True,
            check=False,
            timeout=PATIENCE_SECONDS,
        )
        return succeed(
            answered(Completed(exit_code=done.returncode, stdout=done.stdout, stderr=done.stderr))
        )

    def did_not_run(self, exit_code: int, said: bytes) -> HostError:
        return HostError(f"{exit_code}: {said!r}")


class StandbyTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.directory = Path(self.mktemp()).absolute()  # the host makes it
        number = uuid4().hex
        self.tag, self.token = f"lease-{number}", f"resource-{number}"
        self.host = ShellHost(
            ThisMachine(), str(self.directory), marks={RESOURCE_MARK: self.token}, grace_seconds=1.0
        )
        self.addCleanup(self.end_all)

    def now(self, coroutine: Coroutine[Any, Any, T]) -> T:
        return self.successResultOf(Deferred.fromCoroutine(coroutine))

    def end_all(self) -> None:
        for each in self.processes():
            each.kill()

    def processes(self) -> list[psutil.Process]:
        return marked(RESOURCE_MARK, self.token)

    def stand_by(self) -> psutil.Process:
        """Have a process stand by; return it once it can be told from others."""
        self.now(
            self.host.stand_by(standby_command(sys.executable), instead_of=command(sys.executable))
        )
        _until(lambda: bool(self.orders()))
        (process,) = self.processes()
        return process

    def orders(self) -> list[Path]:
        """Return the pipes that a process waits at."""
        pipes = self.directory.glob(".drydock-standby-*")
        return [each for each in pipes if each.suffix != ".new"]

    def start(self, tag: str = "", python: str = sys.executable) -> None:
        self.now(
            self.host.start(
                command(python),
                tag=tag or self.tag,
                cwd="worker",
                log=LOG,
                file=(f"worker/{TACTICS_FILE}", TACTICS),
            )
        )

    def began(self) -> tuple[int, str, str]:
        """Return which process has begun, where, and which tag its children bear."""
        path = self.directory / "worker" / "began"
        _until(path.exists)
        number, directory, tag = path.read_text().split()
        path.unlink()
        return int(number), directory, tag

    def runs(self, tag: str = "") -> bool:
        return self.now(self.host.running(tag or self.tag))

    # --- what is handed over -------------------------------------------------------------------

    def test_it_becomes_what_is_started_next_with_its_directory_its_log_and_its_tag(self) -> None:
        waiting = self.stand_by()
        self.assertFalse(self.runs())
        self.start()
        self.assertTrue(self.runs())
        place = str(self.directory / "worker")
        self.assertEqual(self.began(), (waiting.pid, place, self.tag))
        log = (self.directory / "worker" / LOG).read_text()
        self.assertIn(f"here is {waiting.pid}", log)
        self.assertEqual([each.pid for each in marked(TAG_MARK, self.tag)], [waiting.pid])

    def test_it_has_the_environment_that_any_other_would_have(self) -> None:
        environments = []
        for tag in (self.tag, f"{self.tag}-other"):
            if not environments:
                self.stand_by()
            self.start(tag)
            self.began()
            found = json.loads((self.directory / "worker" / "environment").read_text())
            self.assertEqual(found.pop(TAG_MARK), tag)
            environments.append({k: v for k, v in found.items() if k not in ("_", "OLDPWD")})
        self.assertEqual(*environments)

    def test_what_it_has_become_is_stopped_as_any_other(self) -> None:
        waiting = self.stand_by()
        self.start()
        self.began()
        self.now(self.host.stop(self.tag))
        self.assertFalse(self.runs())
        self.assertEqual(self.processes(), [])
        self.assertFalse(_lives(waiting))
        log = (self.directory / "worker" / LOG).read_text()
        self.assertIn("Server Shut Down", log)

    def test_it_is_used_once(self) -> None:
        waiting = self.stand_by()
        self.start()
        self.assertEqual(self.began()[0], waiting.pid)
        self.start(f"{self.tag}-other")
        self.assertNotEqual(self.began()[0], waiting.pid)
        self.assertTrue(self.runs())

    def test_it_is_the_process_of_a_tag_that_is_started_twice(self) -> None:
        waiting = self.stand_by()
        self.start()
        self.start()
        self.assertEqual(self.began()[0], waiting.pid)
        self.assertEqual(len(marked(TAG_MARK, self.tag)), 1)

    def test_no_other_command_is_given_to_it(self) -> None:
        waiting = self.stand_by()
        self.now(self.host.start(["sleep", "600"], tag=self.tag))
        self.assertEqual(len(self.processes()), 2)
        self.assertTrue(self.runs())
        self.start(f"{self.tag}-other")
        self.assertEqual(self.began()[0], waiting.pid)

    def test_what_was_stopped_before_is_not_given_to_it(self) -> None:
        waiting = self.stand_by()
        self.now(self.host.stop(self.tag))
        failed = self.failureResultOf(
            Deferred.fromCoroutine(self.host.start(command(sys.executable), tag=self.tag))
        )
        self.assertIn("was stopped before", str(failed.value))
        self.start(f"{self.tag}-other")
        self.assertEqual(self.began()[0], waiting.pid)

    # --- how many there are --------------------------------------------------------------------

    def test_there_is_one_at_a_time(self) -> None:
        waiting = self.stand_by()
        self.assertEqual(self.stand_by(), waiting)

    def test_another_one_stands_by_after_the_first_was_used(self) -> None:
        self.stand_by()
        self.start()
        self.began()
        self.now(
            self.host.stand_by(standby_command(sys.executable), instead_of=command(sys.executable))
        )
        _until(lambda: bool(self.orders()))
        self.start(f"{self.tag}-other")
        first, second = marked(TAG_MARK, self.tag), marked(TAG_MARK, f"{self.tag}-other")
        self.assertEqual((len(first), len(second), len(self.processes())), (1, 1, 2))

    def test_one_that_nobody_can_reach_any_more_is_replaced(self) -> None:
        waiting = self.stand_by()
        (orders,) = self.orders()
        orders.unlink()  # as by a start that was killed half way
        self.assertNotEqual(self.stand_by(), waiting)

    def test_it_ends_with_all_that_is_marked_as_its_resource(self) -> None:
        waiting = self.stand_by()
        self.now(self.host.end_marked(RESOURCE_MARK, self.token))
        self.assertFalse(_lives(waiting))
        late = self.host.stand_by(["sleep", "600"], instead_of=command(sys.executable))
        failed = self.failureResultOf(Deferred.fromCoroutine(late))
        self.assertIn("was stopped before", str(failed.value))
        self.assertEqual(self.processes(), [])

    # --- what does not obey --------------------------------------------------------------------

    def test_one_that_has_died_is_not_waited_for(self) -> None:
        waiting = self.stand_by()
        waiting.kill()
        _until(lambda: not _lives(waiting))
        self.start()
        self.assertNotEqual(self.began()[0], waiting.pid)

    def test_one_that_hangs_is_ended_and_another_process_started(self) -> None:
        waiting = self.stand_by()
        os.kill(waiting.pid, signal.SIGSTOP)
        self.start()
        self.assertNotEqual(self.began()[0], waiting.pid)
        self.assertEqual(len(self.processes()), 1)

    def test_one_that_has_no_room_for_the_tag_ends_and_another_process_is_started(self) -> None:
        waiting = self.stand_by()
        tag = self.tag.ljust(LONGEST_TAG + 1, "x")
        self.start(tag)
        number, _, told = self.began()
        self.assertNotEqual(number, waiting.pid)
        self.assertEqual(told, tag)
        self.assertEqual(len(self.processes()), 1)

    def test_one_of_another_resource_is_left_alone(self) -> None:
        waiting = self.stand_by()
        other = ShellHost(
            ThisMachine(), str(self.directory), marks={RESOURCE_MARK: f"{self.token}-other"}
        )
        self.now(other.stand_by(standby_command(sys.executable), instead_of=["other"]))
        self.addCleanup(
            lambda: [each.kill() for each in marked(RESOURCE_MARK, f"{self.token}-other")]
        )
        self.now(other.start(command(sys.executable), tag=self.tag, file=(TACTICS_FILE, TACTICS)))
        self.assertEqual(self.processes(), [waiting])
        self.assertFalse(marked(TAG_MARK, self.tag) == [waiting])

    def test_where_none_can_stand_by_all_is_started_as_ever(self) -> None:
        self.now(self.host.stand_by(["false"], instead_of=command(sys.executable)))
        self.start()
        self.assertEqual(len(marked(TAG_MARK, self.tag)), 1)


def _lives(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.Error:
        return False


def _until(condition: Callable[[], bool]) -> None:
    """Return once a condition holds; an error if it does not for very long."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError("it does not come true")
        time.sleep(0.01)
