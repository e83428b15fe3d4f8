"""A master, or what it makes containers with, that is killed in any phase."""

from __future__ import annotations

from typing import ClassVar, Protocol

from twisted.trial.unittest import SynchronousTestCase

from tests.container_lab import SignLab
from tests.lab import Request


class Server(Protocol):
    """What can happen to an engine, or to the server of a cluster."""

    def kill(self) -> None: ...

    def start(self) -> None: ...

    def freeze(self) -> None: ...

    def thaw(self) -> None: ...


class Killed(SynchronousTestCase):
    """What is killed: the master, or ``server``, which makes and removes containers."""

    __test__ = False
    lab: ClassVar[SignLab]

    @property
    def server(self) -> Server:
        raise NotImplementedError

    def setUp(self) -> None:
        if self.lab.master.process is None:
            self.lab.start()
        self.lab.until(self.lab.is_at_rest, "nothing to be left")

    def killed_master(self) -> None:
        """Kill the master; start it again, and see that nothing is left over in the end."""
        self.lab.kill()
        self.lab.start()
        self.lab.until(lambda: not self.lab.strays(), f"no strays, but {self.lab.strays()}")

    def asking(self) -> Request:
        """Ask for a build; return the request once a container is asked for."""
        request = self.lab.request()
        self.lab.until(
            lambda: self.lab.query("SELECT id FROM drydock_resources WHERE status = 'pending'"),
            "a container to be asked for",
        )
        return request

    def settled(self, request: Request) -> None:
        """See a build succeed, and nothing left behind."""
        self.assertEqual(request.finished().results, 0)
        self.lab.until(self.lab.is_at_rest, "nothing to be left")

    def test_a_master_killed_while_it_asks_for_a_container(self) -> None:
        self.server.freeze()
        try:
            request = self.asking()
            self.lab.kill()
        finally:
            self.server.thaw()
        self.lab.start()
        self.settled(request)

    def test_a_master_killed_as_a_container_has_been_made(self) -> None:
        request = self.lab.request()
        self.lab.until(self.lab.found, "a container")
        self.killed_master()
        self.settled(request)

    def test_a_master_killed_while_a_build_runs(self) -> None:
        request = self.lab.held("build")
        self.lab.until(lambda: self.lab.has_begun("build"), "a build to run")
        self.killed_master()
        self.lab.let_go("build")
        self.settled(request)

    def test_a_master_killed_as_a_build_has_ended(self) -> None:
        self.assertEqual(self.lab.request().finished().results, 0)
        self.killed_master()
        self.settled(self.lab.request())

    def test_an_engine_killed_while_a_build_runs(self) -> None:
        request = self.lab.held("engine")
        self.lab.until(lambda: self.lab.has_begun("engine"), "a build to run")
        self.server.kill()
        self.server.start()
        self.lab.let_go("engine")
        # Whether its container survived or not: it is retried if not.
        self.settled(request)

    def test_an_engine_killed_while_it_is_asked_for_a_container(self) -> None:
        self.server.freeze()
        try:
            request = self.asking()
        finally:
            self.server.kill()
            self.server.start()
        self.settled(request)
