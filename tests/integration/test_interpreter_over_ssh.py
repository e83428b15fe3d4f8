"""A Python with buildbot_worker, made on a machine over SSH, by masters that are cut off."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from uuid import uuid4

from twisted.internet import reactor
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.threads import deferToThread
from twisted.trial.unittest import TestCase
from twisted.web.server import Site

from buildbot_drydock.latent.interpreter import Interpreter, interpreter
from buildbot_drydock.remote.ssh.connection import Connection
from buildbot_drydock.remote.ssh.host import SSHHost
from buildbot_drydock.remote.ssh.loop import SSHLoop
from tests.integration.test_interpreter import VERSION, Index
from tests.integration.wheels import fake_worker
from tests.ssh_hosts import machines

ROOT = Path(__file__).resolve().parents[2]

# A master in a process of its own.
MASTER = """
import sys
from twisted.internet import reactor
from twisted.internet.defer import Deferred
from buildbot_drydock.latent.interpreter import Interpreter, interpreter
from buildbot_drydock.remote.ssh.access import Access
from buildbot_drydock.remote.ssh.connection import Connection
from buildbot_drydock.remote.ssh.host import SSHHost
from buildbot_drydock.remote.ssh.loop import SSHLoop

address, user, key, known_hosts, directory, version, *arguments = sys.argv[1:]
access = Access(address=address, user=user, identity_files=(key,), known_hosts=known_hosts)
loop = SSHLoop(reactor)
loop.start()
host = SSHHost(Connection(loop, access), directory)
wanted = Interpreter(worker_version=version, pip_arguments=tuple(arguments))
reactor.callWhenRunning(lambda: Deferred.fromCoroutine(interpreter(host, wanted)))
reactor.run()
"""


class InterpreterOverSSHTests(TestCase):
    async def setUp(self) -> None:  # type: ignore[override]
        self.machine = machines()[0]
        self.loop = SSHLoop(reactor)
        self.loop.start()
        self.addCleanup(self.loop.stop)
        self.directory = f"interpreter-{uuid4().hex}"
        self.host = SSHHost(
            Connection(self.loop, self.machine.access()), self.directory, grace_seconds=1.0
        )
        await self.host.make_directory()
        wheels = Path(self.mktemp())
        wheels.mkdir()
        fake_worker(wheels, VERSION)
        (wheel,) = wheels.iterdir()
        self.index = Index(wheel)
        gateway = self.machine.gateway
        port = reactor.listenTCP(0, Site(self.index), interface=gateway)  # type: ignore[attr-defined]
        self.addCleanup(port.stopListening)
        url = f"http://{gateway}:{port.getHost().port}/simple/"
        self.arguments = ("--isolated", "--trusted-host", gateway, "--index-url", url)

    def find(self) -> Deferred[str]:
        wanted = Interpreter(worker_version=VERSION, pip_arguments=self.arguments)
        return Deferred.fromCoroutine(interpreter(self.host, wanted))

    def pips(self) -> list[str]:
        return [each for each in self.machine.commands() if "pip" in each]

    async def until_nothing_runs(self) -> None:
        while await deferToThread(self.pips):
            pass

    async def assert_it_can_be_made(self) -> None:
        self.index.answer()
        python = await self.find()
        program = "import buildbot_worker; print(buildbot_worker.version)"
        completed = await self.host.run([python, "-I", "-c", program], timeout=120.0)
        self.assertEqual(completed.stdout.decode().strip(), VERSION)
        self.assertTrue(python.startswith(f"{self.machine.home}/{self.directory}/venv/"), python)

    async def test_it_is_made_as_an_ordinary_user(self) -> None:
        await self.assert_it_can_be_made()

    async def test_a_call_that_is_cancelled_leaves_nothing_running(self) -> None:
        making = self.find()
        await self.index.asked
        self.assertTrue(await deferToThread(self.pips))
        making.cancel()
        await self.assertFailure(making, CancelledError)
        await self.until_nothing_runs()
        await self.assert_it_can_be_made()

    async def test_a_master_killed_in_the_middle_leaves_nothing_running(self) -> None:
        machine = self.machine
        master = subprocess.Popen(
            [
                *(sys.executable, "-c", MASTER, machine.address, machine.user),
                *(machine.identity_file, machine.known_hosts, self.directory, VERSION),
                *self.arguments,
            ],
            cwd=ROOT,
        )
        self.addCleanup(master.wait)
        self.addCleanup(master.kill)
        await self.index.asked
        self.assertTrue(await deferToThread(self.pips))
        master.kill()
        await self.until_nothing_runs()
        await self.assert_it_can_be_made()
