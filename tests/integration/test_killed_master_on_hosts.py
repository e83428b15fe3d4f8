"""A master killed in any phase of its work on a machine leaves nothing there in the end."""

from __future__ import annotations

import tempfile
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from tests import ssh_hosts
from tests.lab import there  # this also lets the scripts be found

from kill_on_hosts import Kills  # isort: skip


class TestKilledMaster(SynchronousTestCase):
    @classmethod
    def setUpClass(cls) -> None:
        machine = ssh_hosts.machines()[0]
        cls.kills = Kills(Path(tempfile.mkdtemp(prefix="kills-", dir=Path.cwd())), machine)
        cls.addClassCleanup(cls.kills.end)

    def check(self, phase: str) -> None:
        self.kills.phases[phase]()
        self.assertEqual(self.kills.leftovers[phase], [])

    def test_while_making_the_environment(self) -> None:
        self.check("making the environment")

    def test_while_connecting(self) -> None:
        self.check("connecting")

    def test_while_starting_the_worker(self) -> None:
        self.check("starting the worker")

    def test_while_waiting_for_the_worker_to_log_in(self) -> None:
        self.check("waiting for the worker to log in")

    def test_while_running_a_build(self) -> None:
        self.check("running a build")

    def test_while_stopping_the_worker(self) -> None:
        self.check("stopping the worker")

    def test_what_no_lease_accounts_for_is_counted(self) -> None:
        self.kills.ready()
        machine = self.kills.machine
        sleeping = "DRYDOCK_TAG=drydock-lease-0-none setsid sleep 600 > /dev/null 2>&1 &"
        machine.shell(f"su -s /bin/sh -c '{sleeping}' {machine.user}")
        self.assertEqual(len(self.kills.those_that_stay()), 1)
        self.assertIn("sleep 600", self.kills.those_that_stay()[0])
        for process in there(machine):
            process.kill()
