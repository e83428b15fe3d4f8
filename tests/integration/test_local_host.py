"""The master's machine as a host: real processes, real files, and masters that are killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import psutil
from twisted.internet import reactor
from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.threads import deferToThread
from twisted.python.threadpool import ThreadPool
from twisted.trial.unittest import TestCase

from buildbot_drydock.errors import HostError, HostUnreachable
from buildbot_drydock.interfaces import Host
from buildbot_drydock.remote.local import LocalHost, remove_tree
from buildbot_drydock.remote.processes import RESOURCE_MARK, TAG_MARK, marked
from buildbot_drydock.testing.host_contract import HostContract

ROOT = Path(__file__).resolve().parents[2]

# A master in a process of its own: it starts something on the host, and then does as told.
MASTER = """
import os, signal, subprocess, sys
from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.python.threadpool import ThreadPool
from buildbot_drydock.remote import local

directory, tag = sys.argv[1:]
threads = ThreadPool(1, 2)
threads.start()
host = local.LocalHost(reactor, threads, directory, grace_seconds=1.0)

async def main():
{body}

def run():
    Deferred.fromCoroutine(main()).addErrback(fail).addBoth(lambda _: reactor.stop())

def fail(failure):
    failure.printTraceback()
    os._exit(1)

reactor.callWhenRunning(run)
reactor.addSystemEventTrigger("during", "shutdown", threads.stop)
reactor.run()
"""
START = """
script = "echo once >> started; exec sleep 600"
await host.start(["sh", "-c", script], tag=tag)
"""
KILL_SELF = "os.kill(os.getpid(), signal.SIGKILL)\n"


class TestLocalHost(HostContract, TestCase):
    def make_host(self) -> Host:
        self.threads = ThreadPool(1, 4, name="local host")
        self.threads.start()
        self.addCleanup(self.threads.stop)
        self.directory = Path(self.mktemp()).absolute()
        self.directory.mkdir(parents=True)
        return LocalHost(reactor, self.threads, str(self.directory), grace_seconds=1.0)

    # --- masters that die ---------------------------------------------------------------------

    def _master(self, body: str, **env: str) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            self._master_command(body), cwd=ROOT, env={**os.environ, **env}, start_new_session=True
        )

    def _master_command(self, body: str) -> list[str]:
        code = MASTER.format(body=textwrap.indent(body, "    "))
        return [sys.executable, "-c", code, str(self.directory), self.tag]

    async def _ran(self, body: str, **env: str) -> int:
        return await deferToThread(self._master(body, **env).wait)

    async def _started_once(self) -> None:
        while not (self.directory / "started").exists():
            await self.pause()
        self.assertTrue(await self.host.running(self.tag))
        await self._start_counting()
        await self.host.stop(self.tag)
        self.assertEqual((self.directory / "started").read_text(), "once\n")

    async def test_what_was_started_outlives_a_master_that_is_killed(self) -> None:
        self.assertEqual(await self._ran(START + KILL_SELF), -signal.SIGKILL)
        await self._started_once()

    async def test_a_master_killed_between_start_and_return_leaves_no_second_process(self) -> None:
        body = (
            "spawn = subprocess.Popen\n"
            "def spawn_and_die(*args, **kwargs):\n"
            "    spawn(*args, **kwargs)\n"
            "    os.kill(os.getpid(), signal.SIGKILL)\n"
            "local.subprocess.Popen = spawn_and_die\n"
        )
        self.assertEqual(await self._ran(body + START), -signal.SIGKILL)
        await self._started_once()

    async def test_what_was_started_outlives_the_process_group_of_its_master(self) -> None:
        up = "open(os.path.join(directory, 'up'), 'w').close()\n"
        master = self._master(START + up + "await Deferred()\n")
        while not (self.directory / "up").exists():
            await self.pause()
        os.killpg(master.pid, signal.SIGKILL)
        await deferToThread(master.wait)
        await self._started_once()

    async def test_masters_that_start_at_once_start_one_process(self) -> None:
        masters = [self._ran(START) for _ in range(3)]
        codes = await gatherResults([Deferred.fromCoroutine(each) for each in masters])
        self.assertEqual(codes, [0, 0, 0])
        await self._started_once()

    async def test_a_master_that_bears_the_mark_itself_survives_stopping_it(self) -> None:
        body = "await host.stop(tag)\nopen(os.path.join(directory, 'survived'), 'w').close()\n"
        self.assertEqual(await self._ran(body, **{TAG_MARK: self.tag}), 0)
        self.assertTrue((self.directory / "survived").exists())

    async def test_a_process_that_bears_the_mark_spares_what_it_descends_from(self) -> None:
        script = "import subprocess, sys; sys.exit(subprocess.run(sys.argv[1:]).returncode)"
        parent = subprocess.Popen(
            [sys.executable, "-c", script, *self._master_command("await host.stop(tag)")],
            cwd=ROOT,
            env={**os.environ, TAG_MARK: self.tag},
        )
        self.assertEqual(await deferToThread(parent.wait), 0)

    # --- what runs ----------------------------------------------------------------------------

    async def test_what_has_cleared_its_environment_is_found_by_its_parent(self) -> None:
        script = "env -i sleep 600 & echo $! > child.new; mv child.new child; wait"
        await self.host.start(["sh", "-c", script], tag=self.tag)
        while not await self.host.exists("child"):
            await self.pause()
        pid = (await self.host.read("child")).decode().strip()
        while Path(f"/proc/{pid}/environ").read_bytes():
            await self.pause()
        await self.host.stop(self.tag)
        await self.eventually_ended(pid)

    async def test_a_process_that_forks_as_it_dies_is_ended_all_the_same(self) -> None:
        script = (
            "import os, signal, time\n"
            "def again(*_):\n"
            "    if os.fork() == 0: os.setsid()\n"
            "signal.signal(signal.SIGTERM, again)\n"
            "open('up', 'w').close()\n"
            "while True: time.sleep(1)\n"
        )
        await self.host.start([sys.executable, "-c", script], tag=self.tag)
        while not await self.host.exists("up"):
            await self.pause()
        await self.host.stop(self.tag)
        self.assertEqual(marked(TAG_MARK, self.tag), [])

    async def test_one_that_is_becoming_another_program_is_ended(self) -> None:
        await self.host.start(["sleep", "600"], tag=self.tag)
        (process,) = marked(TAG_MARK, self.tag)
        shown, looks = psutil.Process.environ, []

        def shows_none_at_first(asked: psutil.Process) -> dict[str, str]:
            if asked == process:
                looks.append(asked)
            return {} if asked == process and len(looks) == 1 else shown(asked)

        self.patch(psutil.Process, "environ", shows_none_at_first)
        await self.host.stop(self.tag)
        self.assertFalse(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)

    async def test_what_has_ended_is_not_left_as_a_zombie(self) -> None:
        await self.host.start(["sleep", "600"], tag=self.tag)
        (process,) = marked(TAG_MARK, self.tag)
        await self.host.stop(self.tag)
        self.assertFalse(psutil.pid_exists(process.pid))

    async def test_a_started_process_leads_a_session_of_its_own(self) -> None:
        await self.host.start(["sleep", "600"], tag=self.tag)
        (process,) = marked(TAG_MARK, self.tag)
        self.assertEqual(os.getsid(process.pid), process.pid)
        self.assertNotEqual(os.getsid(process.pid), os.getsid(0))

    async def test_marks_are_the_hosts_own_and_not_the_masters(self) -> None:
        self.patch(os, "environ", {**os.environ, TAG_MARK: "outer", RESOURCE_MARK: "outer"})
        marks = {RESOURCE_MARK: str(self.directory)}
        host = LocalHost(reactor, self.threads, str(self.directory), marks=marks)
        script = f'echo "${{{RESOURCE_MARK}}},${{{TAG_MARK}-none}}"'
        completed = await host.run(["sh", "-c", script], timeout=60)
        self.assertEqual(completed.stdout.decode(), f"{self.directory},none\n")

    async def test_a_command_gets_the_signals_and_the_locale_of_its_environment(self) -> None:
        self.patch(os, "environ", {"PATH": os.environ["PATH"]})
        script = "grep SigIgn /proc/self/status; env"
        completed = await self.host.run(["sh", "-c", script], timeout=60)
        first, _, _ = completed.stdout.partition(b"\n")
        ignored = int(first.split()[1], 16)
        # Only signals 1 to 31 have meanings; make leaves one of the C library's own ignored.
        self.assertEqual(ignored & 0x7FFFFFFF, 0, completed.stdout)
        self.assertNotIn(b"LC_CTYPE", completed.stdout)

    async def test_a_command_ends_although_its_child_holds_its_output(self) -> None:
        script = "setsid sleep 600 & echo $! > child.new; mv child.new child"
        call = self.host.run(["sh", "-c", script], timeout=3.0, env={TAG_MARK: self.tag})
        await self.fails(Deferred.fromCoroutine(call))
        self.assertTrue(await self.host.running(self.tag))

    # --- files --------------------------------------------------------------------------------

    async def test_nothing_outside_the_directory_is_removed(self) -> None:
        outside = self.directory.parent / "outside"
        (outside / "tree").mkdir(parents=True, exist_ok=True)
        (self.directory / "link").symlink_to(outside)
        for path in (
            "../outside",
            str(outside),
            "link/tree",
            ".",
            "..",
            "a/..",
            "../outside/tree",
            "",
        ):
            await self.fails(Deferred.fromCoroutine(self.host.remove(path)))
        self.assertTrue((outside / "tree").is_dir())
        self.assertTrue(self.directory.is_dir())

    async def test_a_link_is_removed_and_not_what_it_leads_to(self) -> None:
        outside = self.directory.parent / "elsewhere"
        (outside / "tree").mkdir(parents=True, exist_ok=True)
        (self.directory / "link").symlink_to(outside)
        await self.host.remove("link")
        self.assertFalse((self.directory / "link").is_symlink())
        self.assertTrue((outside / "tree").is_dir())

    async def test_a_failed_write_leaves_nothing_behind(self) -> None:
        (self.directory / "taken" / "inside").mkdir(parents=True)
        said = await self.fails(Deferred.fromCoroutine(self.host.write("taken", b"text")))
        self.assertIn("taken", said)
        self.assertEqual([each.name for each in self.directory.iterdir()], ["taken"])

    async def test_a_written_file_has_the_mode_asked_for(self) -> None:
        await self.host.write("secret", b"")
        await self.host.write("public", b"", mode=0o644)
        modes = [(self.directory / name).stat().st_mode & 0o777 for name in ("secret", "public")]
        self.assertEqual(modes, [0o600, 0o644])

    async def test_a_host_whose_directory_is_gone_cannot_be_reached(self) -> None:
        await self.host.start(["sleep", "600"], tag=self.tag)
        self.directory.rename(self.directory.with_name("aside"))
        for call in (
            self.host.run(["true"], timeout=60),
            self.host.start(["true"], tag=self.tag + "-other"),
            self.host.read("notes"),
            self.host.write("notes", b""),
            self.host.exists("notes"),
            self.host.remove("notes"),
        ):
            await self.fails(Deferred.fromCoroutine(call), HostUnreachable)
        self.assertFalse(self.directory.exists())
        await self.host.stop(self.tag)
        self.assertFalse(await self.host.running(self.tag))

    async def test_an_error_is_never_a_bare_one_of_the_system(self) -> None:
        await self.host.write("notes", b"")
        for call in (
            self.host.read("notes/deeper"),
            self.host.write("notes/deeper", b""),
            self.host.read("a" * 300),
        ):
            await self.fails(Deferred.fromCoroutine(call), HostError)


class TestRemoveTree(TestCase):
    def test_a_directory_that_comes_while_nothing_is_found_is_removed(self) -> None:
        target = Path(self.mktemp())
        is_dir = Path.is_dir

        def too_early(path: Path) -> bool:
            if path == target and not target.exists():
                (target / "deep").mkdir(parents=True)  # another removal moves it there
                return False
            return is_dir(path)

        self.patch(Path, "is_dir", too_early)
        remove_tree(target)
        self.assertFalse(target.exists())
