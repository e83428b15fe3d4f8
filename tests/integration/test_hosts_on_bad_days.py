"""Builds on leased machines while bad things happen to these: a real master, real OpenSSH servers."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any, ClassVar

from buildbot.process.results import RETRY, SUCCESS
from twisted.trial.unittest import SynchronousTestCase

from tests import ssh_hosts
from tests.lab import Lab


class OnHosts(SynchronousTestCase):
    """One master for all tests of a class; each leaves the machines as it found them."""

    timeout = 600
    settings: ClassVar[dict[str, Any]] = {}

    @classmethod
    def setUpClass(cls) -> None:
        cls.machines = ssh_hosts.machines()
        cls.lab = cls.new_lab()
        cls.addClassCleanup(cls.lab.end)
        cls.lab.start()

    @classmethod
    def new_lab(cls) -> Lab:
        directory = Path(tempfile.mkdtemp(prefix=f"{cls.__name__}-", dir=Path.cwd()))
        return Lab(directory, cls.machines, **cls.settings)


class FirstBuilds(OnHosts):
    def test_a_build_runs_as_an_ordinary_user(self) -> None:
        for host in self.lab.machines:
            self.lab.builds_on(host)
