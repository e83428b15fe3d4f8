"""A Python with buildbot_worker, found or made on a host with real commands.

A package index that the tests hold still stands for the moment when something else happens.
"""

from __future__ import annotations

import ast
import fcntl
import os
import shlex
import shutil
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

import psutil
from twisted.internet import reactor
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import deferLater
from twisted.python.threadpool import ThreadPool
from twisted.trial.unittest import SynchronousTestCase, TestCase
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET, Site

from buildbot_drydock.errors import CommandTimedOut, HostError
from buildbot_drydock.interfaces import Completed
from buildbot_drydock.latent import interpreter as module
from buildbot_drydock.latent import venv_maker
from buildbot_drydock.latent.interpreter import Interpreter, interpreter
from buildbot_drydock.remote.local import LocalHost
from buildbot_drydock.remote.processes import RESOURCE_MARK, marked
from tests.integration.wheels import fake_worker, installed_wheels

ROOT = Path(__file__).resolve().parents[2]
VERSION = "99.1.0"  # no installed worker is of that major version

# A master in a process of its own.
MASTER = """
import sys
from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.python.threadpool import ThreadPool
from buildbot_drydock.latent.interpreter import Interpreter, interpreter
from buildbot_drydock.remote.local import LocalHost

directory, mark, version, *arguments = sys.argv[1:]
threads = ThreadPool(1, 2)
threads.start()
host = LocalHost(reactor, threads, directory, marks={"DRYDOCK_RESOURCE": mark})
wanted = Interpreter(
    python=sys.executable, worker_version=version, pip_arguments=tuple(arguments)
)
reactor.callWhenRunning(lambda: Deferred.fromCoroutine(interpreter(host, wanted)))
reactor.run()
"""


class CountingHost(LocalHost):
    """Notes what is run on it."""

    commands: list[Sequence[str]]

    async def run(self, argv: Sequence[str], **options: Any) -> Completed:
        self.commands.append(argv)
        return await super().run(argv, **options)


class Index(Resource):
    """A package index that answers when it is told to."""

    isLeaf = True

    def __init__(self, wheel: Path) -> None:
        super().__init__()
        self.asked: Deferred[None] = Deferred()
        self.questions = 0
        self._wheel = wheel
        self._open = False
        self._waiting: list[Any] = []

    def render_GET(self, request: Any) -> Any:
        if request.path.endswith(b".whl"):
            return self._wheel.read_bytes()
        self.questions += 1
        if self._open:
            return self._page
        self._waiting.append(request)
        request.notifyFinish().addErrback(lambda _: self._waiting.remove(request))
        if not self.asked.called:
            self.asked.callback(None)
        return NOT_DONE_YET

    @property
    def _page(self) -> bytes:
        return f'<!DOCTYPE html><html><body><a href="/{self._wheel.name}">w</a></body>'.encode()

    def answer(self) -> None:
        self._open = True
        for request in list(self._waiting):
            request.setHeader(b"content-type", b"text/html")
            request.write(self._page)
            request.finish()


class OnHost(TestCase):
    def setUp(self) -> None:
        around = Path(self.mktemp()).resolve()
        self.home = around / "home"
        self.wheels = around / "wheels"
        self.scripts = around / "scripts"
        for each in (self.home, self.wheels, self.scripts):
            each.mkdir(parents=True)
        fake_worker(self.wheels, VERSION)
        self.mark = str(self.home)
        self.host = self.make_host()

    def make_host(self, **environment: str) -> CountingHost:
        threads = ThreadPool(1, 4)
        threads.start()
        self.addCleanup(threads.stop)
        marks: Mapping[str, str] = {
            RESOURCE_MARK: self.mark,
            "NO_PROXY": "127.0.0.1",
            "no_proxy": "127.0.0.1",
            **environment,
        }
        host = CountingHost(reactor, threads, str(self.home), marks=marks, grace_seconds=1.0)
        host.commands = []
        return host

    @property
    def from_wheels(self) -> tuple[str, ...]:
        return ("--isolated", "--no-index", "--find-links", str(self.wheels))

    def wanted(self, **changes: Any) -> Interpreter:
        return Interpreter(
            **{
                "python": sys.executable,
                "worker_version": VERSION,
                "pip_arguments": self.from_wheels,
                **changes,
            }
        )

    def find(self, **changes: Any) -> Deferred[str]:
        return Deferred.fromCoroutine(interpreter(self.host, self.wanted(**changes)))

    async def error(self, kind: type[Exception] = HostError, **changes: Any) -> str:
        return str(await self.assertFailure(self.find(**changes), kind))

    def version_of(self, python: str) -> str:
        """Return the version of the worker that a Python has."""
        program = "import buildbot_worker; print(buildbot_worker.version)"
        return subprocess.check_output([python, "-I", "-c", program], text=True).strip()

    @property
    def environments(self) -> list[Path]:
        return sorted(each for each in self.home.glob("venv/*") if each.is_dir())

    def script(self, name: str, text: str) -> str:
        path = self.scripts / name
        path.write_text(f"#!/bin/sh\n{text}\n")
        path.chmod(0o755)
        return str(path)

    def python_that(self, begins_with: str) -> str:
        """Return a Python that runs something first."""
        (self.scripts / "sitecustomize.py").write_text(begins_with)
        path = shlex.quote(str(self.scripts))
        return self.script("python", f'PYTHONPATH={path} exec {sys.executable} "$@"')

    def serve_index(self) -> tuple[Index, tuple[str, ...]]:
        """Return an index, and what tells pip to use it."""
        (wheel,) = self.wheels.iterdir()
        index = Index(wheel)
        port = reactor.listenTCP(0, Site(index), interface="127.0.0.1")  # type: ignore[attr-defined]
        self.addCleanup(port.stopListening)
        url = f"http://127.0.0.1:{port.getHost().port}/simple/"
        return index, ("--isolated", "--index-url", url)

    async def until_nothing_runs(self) -> None:
        """Wait until all that was run on the host has ended: by itself, as nobody ends it here."""
        while marked(RESOURCE_MARK, self.mark):
            await deferLater(reactor, 0.05)


class TestFinding(OnHost):
    async def test_an_installed_worker_is_found_with_one_command(self) -> None:
        python = await self.find(worker_version=metadata.version("buildbot-worker"))
        self.assertEqual(python, sys.executable)
        self.assertEqual(len(self.host.commands), 1)
        self.assertEqual(list(self.home.iterdir()), [])

    async def test_a_program_is_told_by_its_absolute_path(self) -> None:
        where, name = os.path.split(sys.executable)
        self.host = self.make_host(PATH=f"{where}:{os.environ['PATH']}")
        python = await self.find(python=name, worker_version="")
        self.assertTrue(os.path.isabs(python), python)
        self.assertEqual(self.version_of(python), metadata.version("buildbot-worker"))

    async def test_what_lies_in_the_home_directory_is_not_taken_for_a_module(self) -> None:
        for name in ("json", "buildbot_worker", "platform"):
            (self.home / f"{name}.py").write_text("raise SystemExit('wrong module')")
        self.assertEqual(await self.find(worker_version=""), sys.executable)
        self.assertEqual(self.version_of(await self.find()), VERSION)

    async def test_what_a_python_writes_before_does_not_matter(self) -> None:
        python = self.python_that("print('{\"welcome\": 1}')")
        self.assertEqual(await self.find(python=python, worker_version=""), python)

    async def test_if_none_may_be_made_what_is_installed_must_do(self) -> None:
        text = await self.error(make_venv="never")
        self.assertIn(sys.executable, text)
        self.assertIn(f"another major version than {VERSION}", text)
        self.assertIn(f"Install buildbot-worker=={VERSION}", text)
        self.assertEqual(list(self.home.iterdir()), [])

    async def test_if_none_may_be_made_one_made_before_is_not_used(self) -> None:
        await self.find()
        await self.error(make_venv="never")

    async def test_a_worker_without_what_it_needs_is_none(self) -> None:
        python = self.python_that("import sys; sys.modules['autobahn'] = None")
        text = await self.error(python=python, worker_version="", make_venv="never")
        self.assertIn("No module named autobahn", text)


class TestMaking(OnHost):
    async def test_it_is_made_once_and_then_found_with_one_command(self) -> None:
        python = await self.find()
        (environment,) = self.environments
        self.assertEqual(python, str(environment / "bin" / "python"))
        self.assertIn(VERSION, environment.name)
        self.assertEqual(self.version_of(python), VERSION)
        made = environment.stat().st_ino
        self.host.commands.clear()
        self.assertEqual(await self.find(), python)
        self.assertEqual(len(self.host.commands), 1)
        self.assertEqual(environment.stat().st_ino, made)
        self.assertFalse(marked(RESOURCE_MARK, self.mark))

    async def test_its_scripts_work(self) -> None:
        python = Path(await self.find())
        subprocess.check_output([python.with_name("pip"), "--version"])

    async def test_one_can_be_asked_for_although_a_worker_is_installed(self) -> None:
        python = await self.find(make_venv="always", worker_version="")
        self.assertNotEqual(python, sys.executable)
        self.assertEqual(self.version_of(python), VERSION)

    async def test_each_version_has_its_own_and_others_are_left_alone(self) -> None:
        fake_worker(self.wheels, "98.0")
        one, other = await self.find(), await self.find(worker_version="98.0")
        self.assertEqual((self.version_of(one), self.version_of(other)), (VERSION, "98.0"))

    async def test_the_leftovers_of_a_dead_attempt_are_removed(self) -> None:
        await self.find()
        (environment,) = self.environments
        (environment / venv_maker.COMPLETE).unlink()
        (environment / "left").write_text("")
        self.assertEqual(self.version_of(await self.find()), VERSION)
        self.assertFalse((environment / "left").exists())

    async def test_one_whose_python_is_gone_is_made_anew(self) -> None:
        python = Path(await self.find())
        for each in python.parent.glob("python*"):
            each.unlink()
        python.symlink_to("/nowhere/python")
        self.assertEqual(await self.find(), str(python))
        self.assertEqual(self.version_of(str(python)), VERSION)

    async def test_one_whose_worker_is_gone_is_made_anew(self) -> None:
        python = await self.find()
        (package,) = self.home.glob("venv/*/lib/python*/site-packages/buildbot_worker")
        shutil.rmtree(package)
        self.assertEqual(await self.find(), python)
        self.assertEqual(self.version_of(python), VERSION)

    async def test_the_real_worker_is_installed(self) -> None:
        installed_wheels(self.wheels, "buildbot-worker")
        version = metadata.version("buildbot-worker")
        python = await self.find(worker_version=version, make_venv="always")
        self.assertEqual(self.version_of(python), version)
        program = "import buildbot_worker.bot, twisted; print(twisted.__version__)"
        said = subprocess.check_output([python, "-I", "-c", program], text=True)
        self.assertEqual(said.strip(), metadata.version("twisted"))


class TestAtTheSameTime(OnHost):
    async def test_two_masters_make_it_once(self) -> None:
        index, arguments = self.serve_index()
        first = self.find(pip_arguments=arguments)
        await index.asked
        second = self.find(pip_arguments=arguments)
        while len(self.host.commands) < 4:  # a look, and an attempt, by each of them
            await deferLater(reactor, 0.05)
        index.answer()
        self.assertEqual(await first, await second)
        self.assertEqual(index.questions, 1)

    async def test_one_who_waits_for_the_other_says_so_when_its_limit_is_hit(self) -> None:
        index, arguments = self.serve_index()
        first = self.find(pip_arguments=arguments)
        await index.asked
        text = await self.error(CommandTimedOut, make_timeout=3.0)
        self.assertIn("waiting for another attempt", text)
        self.assertIn("make_timeout is 3 s", text)
        index.answer()
        self.assertEqual(self.version_of(await first), VERSION)

    async def test_a_call_that_is_cancelled_leaves_nothing_running(self) -> None:
        index, arguments = self.serve_index()
        making = self.find(pip_arguments=arguments)
        await index.asked
        making.cancel()
        await self.assertFailure(making, CancelledError)
        await self.until_nothing_runs()
        self.assertEqual(self.version_of(await self.find()), VERSION)

    async def test_a_master_killed_in_the_middle_leaves_nothing_running(self) -> None:
        index, arguments = self.serve_index()
        master = subprocess.Popen(
            [sys.executable, "-c", MASTER, str(self.home), self.mark, VERSION, *arguments],
            cwd=ROOT,
        )
        self.addCleanup(master.wait)
        self.addCleanup(master.kill)
        await index.asked
        self.assertTrue(marked(RESOURCE_MARK, self.mark))
        master.kill()
        await self.until_nothing_runs()
        self.assertEqual(self.version_of(await self.find()), VERSION)

    async def test_what_a_killed_attempt_still_runs_holds_the_lock(self) -> None:
        index, arguments = self.serve_index()
        making = self.find(pip_arguments=arguments)
        await index.asked
        (lock,) = self.home.glob("venv/*.lock")
        family = marked(RESOURCE_MARK, self.mark)
        (maker,) = [each for each in family if os.getpgid(each.pid) == each.pid]
        maker.send_signal(signal.SIGKILL)
        psutil.wait_procs([maker], timeout=0)
        with lock.open("r+") as file:
            self.assertRaises(BlockingIOError, fcntl.flock, file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        making.cancel()
        await self.assertFailure(making, CancelledError)
        await self.until_nothing_runs()
        self.assertEqual(self.version_of(await self.find()), VERSION)


class TestFailures(OnHost):
    """Each says what failed, and what to do about it."""

    async def test_there_is_no_such_python(self) -> None:
        text = await self.error(python="python-of-nobody")
        self.assertIn("no program 'python-of-nobody'", text)
        self.assertIn("apt-get install python3", text)

    async def test_it_may_not_be_executed(self) -> None:
        (self.scripts / "file").write_text("")
        text = await self.error(python=str(self.scripts / "file"))
        self.assertIn("may not be executed", text)

    async def test_it_is_no_python(self) -> None:
        text = await self.error(python=self.script("liar", "echo I am a parrot; exit 3"))
        self.assertIn("ended with exit code 3", text)
        self.assertIn("I am a parrot", text)

    async def test_it_hangs(self) -> None:
        self.patch(module, "LOOKING_SECONDS", 1.0)
        text = await self.error(CommandTimedOut, python=self.script("hang", "exec sleep 600"))
        self.assertIn("looking for Python", text)
        self.assertIn("file server", text)

    async def test_it_is_too_old(self) -> None:
        python = self.python_that("import sys; sys.version_info = (3, 6, 15, 'final', 0)")
        text = await self.error(python=python)
        self.assertIn("Python 3.6.15", text)
        self.assertIn("Install Python 3.7 or later", text)

    async def test_an_old_python_that_has_a_worker_serves(self) -> None:
        python = self.python_that("import sys; sys.version_info = (3, 6, 15, 'final', 0)")
        self.assertEqual(await self.find(python=python, worker_version=""), python)

    async def test_it_cannot_make_environments(self) -> None:
        for name in ("venv", "ensurepip"):
            python = self.python_that(f"import sys; sys.modules[{name!r}] = None")
            text = await self.error(python=python)
            self.assertIn(f"has no module {name}", text)
            self.assertIn("apt-get install python3-venv", text)
            self.assertEqual(self.environments, [])

    async def test_pip_does_not_find_the_worker(self) -> None:
        text = await self.error(worker_version="98.7")
        self.assertIn("No matching distribution found for buildbot-worker==98.7", text)
        self.assertIn("pip_arguments", text)
        self.assertEqual(self.environments, [])

    async def test_pip_does_not_reach_its_index(self) -> None:
        port = reactor.listenTCP(0, Site(Resource()), interface="127.0.0.1")  # type: ignore[attr-defined]
        url = f"http://127.0.0.1:{port.getHost().port}/simple"
        await port.stopListening()
        arguments = ("--isolated", "--retries", "0", "--index-url", url)
        text = await self.error(pip_arguments=arguments)
        self.assertIn("making the environment", text)
        self.assertIn("proxy", text)

    async def test_what_pip_installed_does_not_work(self) -> None:
        fake_worker(self.wheels, "97.0", works=False)
        text = await self.error(worker_version="97.0")
        self.assertIn("nothing_of_that_name", text)
        self.assertEqual(self.environments, [])

    async def test_something_is_in_the_way(self) -> None:
        (self.home / "venv").write_text("")
        text = await self.error()
        self.assertIn("Move away", text)

    async def test_a_broken_program_is_told(self) -> None:
        self.patch(module, "_PROGRAM", "raise SystemExit('out of order')\n")
        text = await self.error()
        self.assertIn("ended with exit code 1", text)
        self.assertIn("out of order", text)


class TestPrograms(SynchronousTestCase):
    """What runs on the host is written for the oldest Python there."""

    def test_the_one_that_looks_is_understood_by_any_python(self) -> None:
        tree = ast.parse(module._LOOK, feature_version=(3, 4))
        self.assertFalse([each for each in ast.walk(tree) if isinstance(each, ast.JoinedStr)])

    def test_the_one_that_makes_is_understood_by_the_oldest_python(self) -> None:
        source = Path(venv_maker.__file__).read_text("utf-8")
        ast.parse(source, feature_version=module.OLDEST_PYTHON)


del OnHost  # or it would be collected, without tests
