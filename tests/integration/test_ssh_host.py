"""Machines as hosts over SSH: real OpenSSH servers, and days on which things go wrong."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from uuid import uuid4

from twisted.internet import reactor
from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.protocol import Protocol, ServerFactory
from twisted.internet.threads import deferToThread
from twisted.trial.unittest import TestCase

from buildbot_drydock.errors import CommandTimedOut, HostError, HostUnreachable
from buildbot_drydock.interfaces import Host
from buildbot_drydock.remote.processes import RESOURCE_MARK, TAG_MARK
from buildbot_drydock.remote.ssh.access import Access
from buildbot_drydock.remote.ssh.connection import Connection
from buildbot_drydock.remote.ssh.host import SSHHost
from buildbot_drydock.remote.ssh.loop import SSHLoop
from buildbot_drydock.testing.host_contract import HostContract
from tests.ssh_hosts import Machine, machines

ROOT = Path(__file__).resolve().parents[2]

# A master in a process of its own, which runs a command on the machine and waits.
MASTER = """
import sys
from twisted.internet import reactor
from twisted.internet.defer import Deferred
from buildbot_drydock.remote.ssh.access import Access
from buildbot_drydock.remote.ssh.connection import Connection
from buildbot_drydock.remote.ssh.host import SSHHost
from buildbot_drydock.remote.ssh.loop import SSHLoop

address, user, key, known_hosts, directory = sys.argv[1:]
access = Access(address=address, user=user, identity_files=(key,), known_hosts=known_hosts)
loop = SSHLoop(reactor)
loop.start()
host = SSHHost(Connection(loop, access), directory)
script = 'sleep 600 & echo $$ $! > pids.new; mv pids.new pids; wait'
call = lambda: Deferred.fromCoroutine(host.run(["sh", "-c", script], timeout=600))
reactor.callWhenRunning(call)
reactor.run()
"""


class _OnAMachine(TestCase):
    """Tests with one machine, a loop, and a host's directory on it."""

    def connect_to(self, access: Access, lost: object = None) -> Connection:
        return Connection(self.loop, access, lost)  # type: ignore[arg-type]

    def start_loop(self) -> None:
        self.machine, *self.others = machines()
        self.loop = SSHLoop(reactor)
        self.loop.start()
        self.addCleanup(self.loop.stop)

    def on_disk(self, path: str) -> Path:
        """Return where a path in the host's directory is on this machine."""
        return self.machine.path(f"{self.machine.home}/{self.directory}/{path}")

    async def until(self, condition: object) -> None:
        """Return once a condition holds, which is looked at in a thread."""
        while not await deferToThread(condition):  # type: ignore[arg-type]
            pass

    async def until_nothing_runs(self) -> None:
        await self.until(lambda: self.machine.commands() == [])

    async def refused(self, call: object, *words: str) -> HostUnreachable:
        error = await self.assertFailure(Deferred.fromCoroutine(_awaited(call)), HostUnreachable)
        assert isinstance(error, HostUnreachable)
        for word in words:
            self.assertIn(word, str(error))
        return error


async def _awaited(call):  # type: ignore[no-untyped-def]
    return await call


class TestSSHHost(HostContract, _OnAMachine):
    def make_host(self) -> Host:
        self.start_loop()
        self.directory = f"contract {uuid4().hex}"
        self.connection = self.connect_to(self.machine.access())
        return SSHHost(self.connection, self.directory, grace_seconds=1.0)

    async def setUp(self) -> None:  # type: ignore[override]
        super().setUp()
        await self.host.make_directory()

    # --- what runs ----------------------------------------------------------------------------

    async def test_nothing_is_left_of_what_has_ended(self) -> None:
        for script in ("true", "exit 3", "kill -TERM $$", "sleep 0.1"):
            await self.sh(script, stdin=b"some input")
        await self.until_nothing_runs()
        self.assertEqual(list(self.on_disk("").iterdir()), [])

    async def test_a_command_has_no_children_but_its_own(self) -> None:
        script = "import os\ntry: os.wait()\nexcept ChildProcessError: print('none')"
        completed = await self.host.run(["/usr/bin/env", "python3", "-c", script], timeout=60)
        self.assertEqual(completed.stdout, b"none\n")

    async def test_a_command_that_signals_its_group_ends_by_that_signal(self) -> None:
        self.assertEqual((await self.sh("kill -TERM 0; sleep 600")).exit_code, -15)
        await self.until_nothing_runs()

    async def test_exit_codes_of_ssh_itself_are_the_commands(self) -> None:
        for code in (255, 96, 97, 98):
            self.assertEqual((await self.sh(f"exit {code}")).exit_code, code)
        self.assertEqual((await self.sh("kill -HUP $$")).exit_code, -1)

    async def test_a_command_ends_although_its_child_holds_its_output(self) -> None:
        script = "setsid sleep 600 & echo $! > child.new; mv child.new child"
        call = self.host.run(["sh", "-c", script], timeout=3.0, env={TAG_MARK: self.tag})
        await self.fails(Deferred.fromCoroutine(call), CommandTimedOut)
        self.assertTrue(await self.host.running(self.tag))

    async def test_a_limit_ends_what_a_command_has_left_in_its_group(self) -> None:
        call = self.host.run(["sh", "-c", "sleep 600 & exit 3"], timeout=3.0)
        await self.fails(Deferred.fromCoroutine(call), CommandTimedOut)
        await self.until_nothing_runs()

    async def test_what_a_command_has_left_without_its_output_stays(self) -> None:
        script = "sleep 600 >/dev/null 2>&1 & echo $!"
        completed = await self.sh(script, env={TAG_MARK: self.tag})
        await self.until(lambda: self.machine.commands() == ["sleep 600"])
        self.assertTrue(completed.stdout)

    async def test_the_environment_is_on_no_command_line(self) -> None:
        script = "ps -eo args > listing; sleep 0.2; ps -eo args >> listing; env > environment"
        await self.sh(script, env={"PASSWORD": "not for others"})
        self.assertIn(b"PASSWORD=not for others", await self.host.read("environment"))
        self.assertNotIn(b"not for others", await self.host.read("listing"))

    async def test_the_environment_may_be_any_text(self) -> None:
        odd = "a 'b' \"c\" $d `e` \\ \\n !f\n\ng\t%s\r \N{SNOWMAN} "
        completed = await self.sh('printf %s "$ODD"', env={"ODD": odd})
        self.assertEqual(completed.stdout.decode(), odd)

    async def test_an_environment_that_no_shell_can_set_is_an_error_that_names_it(self) -> None:
        for name in ("a.b", "1", "", "a b"):
            said = await self.fails(Deferred.fromCoroutine(self.sh("true", env={name: "x"})))
            self.assertIn(repr(name), said)
        said = await self.fails(Deferred.fromCoroutine(self.sh("true", "a\0b")))
        self.assertIn("null character", said)

    async def test_many_and_long_arguments_are_taken(self) -> None:
        words = ["x" * 50_000] * 20
        completed = await self.sh('echo "$#"; printf %s "$1" | wc -c', *words)
        self.assertEqual(completed.stdout.split(), [b"20", b"50000"])

    async def test_a_login_that_talks_is_not_taken_for_the_command(self) -> None:
        profile = self.machine.path(f"{self.machine.home}/.bashrc")
        before = profile.read_text()
        self.addCleanup(profile.write_text, before)
        profile.write_text("echo hello; echo beware >&2\n" + before)
        completed = await self.sh("echo out; echo err >&2")
        self.assertEqual((completed.stdout, completed.stderr), (b"out\n", b"err\n"))
        await self.host.write("notes", b"here")
        self.assertEqual(await self.host.read("notes"), b"here")

    async def test_marks_are_borne_by_all_that_runs(self) -> None:
        marks = {RESOURCE_MARK: self.tag}
        host = SSHHost(self.connection, self.directory, marks=marks, grace_seconds=1.0)
        await host.start(["sleep", "600"], tag=self.tag)
        call = Deferred.fromCoroutine(host.run(["sh", "-c", "touch up; sleep 600"], timeout=60))
        while not await self.host.exists("up"):
            await self.pause()
        await self.host.end_marked(RESOURCE_MARK, self.tag)
        self.assertFalse(await self.host.running(self.tag))
        self.assertLess((await call).exit_code, 0)

    async def test_a_command_does_not_bear_the_marks_of_others(self) -> None:
        completed = await self.sh(f'echo "${{{RESOURCE_MARK}-none}},${{{TAG_MARK}-none}}"')
        self.assertEqual(completed.stdout, b"none,none\n")

    async def test_what_was_started_leads_a_session_and_is_not_the_servers_child(self) -> None:
        await self.host.start(["sh", "-c", "echo $$ > pid; exec sleep 600"], tag=self.tag)
        while not await self.host.exists("pid"):
            await self.pause()
        pid = (await self.host.read("pid")).decode().strip()
        completed = await self.host.run(["ps", "-o", "sid=,ppid=", "-p", pid], timeout=60)
        self.assertEqual(completed.stdout.decode().split(), [pid, "1"])

    async def test_what_has_cleared_its_environment_is_found_by_its_parent_or_session(self) -> None:
        script = "(env -i sleep 600 & echo $! > pid.new; mv pid.new pid); env -i sleep 601"
        await self.host.start(["sh", "-c", script + "; true"], tag=self.tag)
        while not await self.host.exists("pid"):
            await self.pause()
        await self.host.stop(self.tag)
        await self.until_nothing_runs()

    async def test_what_was_ended_by_any_of_its_marks_is_not_started_late(self) -> None:
        host = SSHHost(self.connection, self.directory, marks={RESOURCE_MARK: self.tag})
        await self.host.end_marked(RESOURCE_MARK, self.tag)
        late = host.start(["sleep", "600"], tag=f"{self.tag}-late")
        self.assertIn("was stopped before", await self.fails(Deferred.fromCoroutine(late)))
        self.assertFalse(await self.host.running(f"{self.tag}-late"))

    async def test_a_process_that_forks_as_it_dies_is_ended_all_the_same(self) -> None:
        script = "trap 'setsid sh -c \"trap : TERM; sleep 600; sleep 600\" &' TERM; touch up; "
        script += "while :; do sleep 0.1; done"
        await self.host.start(["sh", "-c", script], tag=self.tag)
        while not await self.host.exists("up"):
            await self.pause()
        await self.host.stop(self.tag)
        await self.until_nothing_runs()

    async def test_two_masters_that_start_at_once_start_one_process(self) -> None:
        hosts = [SSHHost(self.connect_to(self.machine.access()), self.directory) for _ in range(4)]
        script = "echo once >> started; exec sleep 600"
        calls = [
            Deferred.fromCoroutine(host.start(["sh", "-c", script], tag=self.tag))
            for host in hosts
            for _ in range(3)
        ]
        await gatherResults(calls, consumeErrors=True)
        self.assertTrue(await self.host.running(self.tag))
        await self._counted()
        self.assertEqual(await self.host.read("started"), b"once\n")

    async def test_what_was_started_outlives_its_connection(self) -> None:
        await self.host.start(["sleep", "600"], tag=self.tag)
        await self.connection.close()
        self.assertFalse(self.connection.is_open)
        self.assertTrue(await self.host.running(self.tag))
        self.assertTrue(self.connection.is_open)

    async def test_a_log_that_cannot_be_written_is_an_error_that_names_it(self) -> None:
        await self.host.write("taken", b"")
        call = self.host.start(["sleep", "600"], tag=self.tag, log="taken/log")
        self.assertIn("taken", await self.fails(Deferred.fromCoroutine(call)))
        self.assertFalse(await self.host.running(self.tag))

    # --- files --------------------------------------------------------------------------------

    async def test_nothing_outside_the_directory_is_removed(self) -> None:
        outside = f"{self.machine.home}/outside"
        await self.sh(f"mkdir -p {outside}/tree; ln -s {outside} link")
        for path in ("../outside", outside, "link/tree", ".", "..", "a/..", "../outside/tree", ""):
            said = await self.fails(Deferred.fromCoroutine(self.host.remove(path)))
            self.assertIn("not inside", said)
        self.assertTrue(self.machine.path(f"{outside}/tree").is_dir())
        await self.host.remove("link")
        self.assertTrue(self.machine.path(f"{outside}/tree").is_dir())

    async def test_what_a_build_has_made_read_only_is_removed(self) -> None:
        await self.sh("mkdir -p tree/a/b; touch tree/a/b/c; chmod -R a-w tree; chmod 0 tree/a/b")
        await self.host.remove("tree")
        self.assertFalse(await self.host.exists("tree"))

    async def test_a_failed_write_leaves_nothing_behind(self) -> None:
        await self.sh("mkdir -p taken/inside")
        said = await self.fails(Deferred.fromCoroutine(self.host.write("taken", b"text")))
        self.assertIn("taken", said)
        self.assertEqual((await self.sh("ls -A")).stdout, b"taken\n")

    async def test_a_written_file_has_the_mode_asked_for(self) -> None:
        await self.host.write("secret", b"")
        await self.host.write("public", b"", mode=0o755)
        modes = [self.on_disk(name).stat().st_mode & 0o777 for name in ("secret", "public")]
        self.assertEqual(modes, [0o600, 0o755])

    async def test_a_host_whose_directory_is_gone_cannot_be_reached(self) -> None:
        await self.host.start(["sleep", "600"], tag=self.tag)
        self.on_disk("").rename(self.on_disk("").with_name(f"aside {self.tag}"))
        for call in (
            self.host.run(["true"], timeout=60),
            self.host.start(["true"], tag=self.tag + "-other"),
            self.host.read("notes"),
            self.host.write("notes", b""),
            self.host.exists("notes"),
            self.host.remove("notes"),
        ):
            await self.refused(call, "is gone")
        self.assertFalse(self.on_disk("").exists())
        await self.host.stop(self.tag)
        self.assertFalse(await self.host.running(self.tag))

    async def test_an_error_is_never_a_bare_one_of_the_library(self) -> None:
        await self.host.write("notes", b"")
        for call in (
            self.host.read("notes/deeper"),
            self.host.write("notes/deeper", b""),
            self.host.read("a" * 300),
            self.host.read(""),
            self.host.write("", b""),
            self.host.stop("two\nlines"),
        ):
            await self.fails(Deferred.fromCoroutine(call), HostError)

    async def test_a_full_disk_is_an_error_that_says_so(self) -> None:
        where = f"{self.machine.home}/{self.directory}/small"
        await deferToThread(
            self.machine.shell,
            f"mkdir '{where}'; mount -t tmpfs -o size=64k,mode=777 tmpfs '{where}'",
        )
        self.addCleanup(self.machine.shell, f"umount '{where}'")
        small = SSHHost(self.connection, f"{self.directory}/small")
        for call in (
            small.write("notes", bytes(200_000)),
            small.run(["cat"], timeout=60, stdin=bytes(200_000)),
        ):
            said = await self.fails(Deferred.fromCoroutine(call))
            self.assertIn("No space left on device; free some space there", said)
        self.assertEqual((await small.run(["ls", "-A"], timeout=60)).stdout, b"")

    # --- masters and machines that die --------------------------------------------------------

    async def _family_runs(self) -> Deferred[object]:
        call: Deferred[object] = Deferred.fromCoroutine(self._family(timeout=600.0))
        while not await self.host.exists("pids"):
            await self.pause()
        return call

    async def test_what_ran_ends_with_a_master_that_is_killed(self) -> None:
        machine = self.machine
        arguments = [machine.address, machine.user, machine.identity_file, machine.known_hosts]
        master = subprocess.Popen(
            [sys.executable, "-c", MASTER, *arguments, self.directory], cwd=ROOT, env=os.environ
        )
        while not await self.host.exists("pids"):
            await self.pause()
        master.send_signal(signal.SIGKILL)
        await deferToThread(master.wait)
        await self._family_has_ended()

    async def test_what_ran_ends_with_its_connection(self) -> None:
        call = await self._family_runs()
        await deferToThread(self.machine.hang_up)
        await self.refused(call, "connected: ", "SSH server")
        await self._family_has_ended()

    async def test_closing_the_connection_ends_what_runs_over_it(self) -> None:
        call = await self._family_runs()
        await self.connection.close()
        await self.refused(call)
        await self._family_has_ended()

    async def test_stopping_the_loop_ends_what_runs(self) -> None:
        other = SSHLoop(reactor)
        other.start()
        host = SSHHost(Connection(other, self.machine.access()), self.directory)
        call = Deferred.fromCoroutine(host.run(["sh", "-c", "touch up; sleep 600"], timeout=60))
        while not await self.host.exists("up"):
            await self.pause()
        await other.stop()
        await self.assertFailure(call, Exception)
        await self.until_nothing_runs()
        await self.refused(host.run(["true"], timeout=60), "stopped")

    async def test_what_was_started_outlives_the_server(self) -> None:
        await self.host.start(["sleep", "600"], tag=self.tag)
        await deferToThread(self.machine.stop_server)
        await deferToThread(self.machine.start_server)
        while not await self._running_again():
            await self.pause()

    async def _running_again(self) -> bool:
        try:
            return await self.host.running(self.tag)
        except HostUnreachable:
            return False  # the old connection; the next call opens another

    async def test_a_reboot_ends_what_ran_and_keeps_the_files(self) -> None:
        await self.host.start(["sleep", "600"], tag=self.tag)
        await self.host.write("notes", b"here")
        await deferToThread(self.machine.reboot)
        await self.connection.close()
        self.assertFalse(await self.host.running(self.tag))
        self.assertEqual(await self.host.read("notes"), b"here")


class TestBadNetworks(_OnAMachine):
    """What is lost without a word, and what is noticed."""

    async def setUp(self) -> None:  # type: ignore[override]
        self.start_loop()
        self.directory = f"network-{uuid4().hex}"
        self.lost: list[HostUnreachable] = []
        quick = self.machine.access(keepalive_interval=0.5, keepalive_count=1, connect_timeout=2.0)
        self.connection = self.connect_to(quick, self.lost.append)
        self.host = SSHHost(self.connection, self.directory, grace_seconds=1.0)
        await self.host.make_directory()

    async def test_a_cut_link_is_noticed_and_the_command_ends_after_its_limit(self) -> None:
        script = "sleep 600 & touch up; wait"
        call = Deferred.fromCoroutine(self.host.run(["sh", "-c", script], timeout=8.0))
        await self.until(self.on_disk("up").exists)
        self.machine.cut()
        self.addCleanup(self.machine.restore)
        error = await self.refused(call, self.machine.address, "no sign of life for 1 s")
        self.assertEqual(error.phase, "connected")
        self.assertEqual([str(each) for each in self.lost], [str(error)])
        self.assertFalse(self.connection.is_open)
        self.assertTrue(any("sleep 600" in each for each in self.machine.commands()))
        await self.until_nothing_runs()

    async def test_a_host_returns_by_itself(self) -> None:
        self.machine.cut()
        error = await self.refused(self.host.exists("notes"))
        error = await self.refused(self.host.exists("notes"))
        self.assertEqual(error.phase, "connecting")
        self.machine.restore()
        self.assertFalse(await self.host.exists("notes"))

    async def test_a_frozen_machine_is_noticed_and_returns(self) -> None:
        call = Deferred.fromCoroutine(self.host.run(["sleep", "600"], timeout=600.0))
        await self.until(lambda: self.machine.commands() != [])
        await deferToThread(self.machine.freeze)
        self.addCleanup(self.machine.thaw)
        await self.refused(call, "no sign of life")
        error = await self.refused(self.connection.open(), "2 s", "hangs")
        self.assertEqual(error.phase, "waiting for its SSH server to answer")
        await deferToThread(self.machine.thaw)
        self.assertFalse(await self.host.exists("notes"))
        await self.until_nothing_runs()

    async def test_the_reactor_goes_on_meanwhile(self) -> None:
        await self.connection.close()
        await deferToThread(self.machine.freeze)
        self.addCleanup(self.machine.thaw)
        turns: list[int] = []
        opening = self.connection.open()
        opening.addBoth(lambda failure: turns.append(0) or failure.trap(HostUnreachable))
        while 0 not in turns:
            turns.append(1)
            await deferToThread(lambda: None)
        self.assertGreater(len(turns), 50)

    async def test_a_loss_is_told_once_and_a_close_never(self) -> None:
        await deferToThread(self.machine.hang_up)
        while not self.lost:
            await deferToThread(lambda: None)
        self.assertFalse(await self.host.exists("notes"))
        await self.connection.close()
        await self.connection.close()
        self.assertFalse(await self.host.exists("notes"))
        self.assertEqual(len(self.lost), 1)

    async def test_those_who_open_at_once_share_an_attempt(self) -> None:
        await self.connection.close()
        calls = [self.connection.open() for _ in range(20)]
        calls[0].cancel()
        await self.assertFailure(calls[0], Exception)
        await gatherResults(calls[1:])
        log = await deferToThread(Path(self.machine.disk, "sshd.log").read_text)
        self.assertTrue(self.connection.is_open)
        ports = [line for line in log.splitlines() if line.startswith("Accepted publickey")]
        opened = len(ports)
        await self.connection.close()
        await gatherResults([self.connection.open() for _ in range(20)])
        log = await deferToThread(Path(self.machine.disk, "sshd.log").read_text)
        self.assertEqual(log.count("Accepted publickey"), opened + 1)

    async def test_sessions_wait_for_their_turn(self) -> None:
        calls = [Deferred.fromCoroutine(self.host.run(["true"], timeout=60)) for _ in range(50)]
        ended = await gatherResults(calls)
        self.assertEqual({each.exit_code for each in ended}, {0})

    async def test_more_sessions_than_the_server_allows_are_an_error_that_says_so(self) -> None:
        many = SSHHost(self.connect_to(self.machine.access(most_channels=30)), self.directory)
        calls = [Deferred.fromCoroutine(many.run(["sleep", "600"], timeout=60)) for _ in range(11)]
        await self.until(lambda: any(call.called for call in calls))
        (refused,) = [call for call in calls if call.called]
        error = await self.refused(refused, "MaxSessions", "30", "most_channels")
        self.assertEqual(error.phase, "opening a session")
        for call in calls:
            if call is not refused:
                call.cancel()
                call.addErrback(lambda _: None)
        await self.until_nothing_runs()

    async def test_a_full_process_table_is_an_error_that_says_so(self) -> None:
        await self.connection.close()
        (listener,) = [each for each in self.machine.servers() if self.machine.listens(each)]
        listener.rlimit(6, (2, listener.rlimit(6)[1]))  # RLIMIT_NPROC
        self.addCleanup(listener.rlimit, 6, listener.rlimit(6)[1:] * 2)
        call = self.host.run(["sh", "-c", "exit 3"], timeout=60, stdin=b"input")
        error = await self.assertFailure(Deferred.fromCoroutine(call), HostError)
        self.assertIn("process table", str(error))


class TestWaysThere(_OnAMachine):
    """Keys, host keys, names, jump hosts and tunnels."""

    def setUp(self) -> None:
        self.start_loop()
        self.directory = f"ways-{uuid4().hex}"

    def file(self, content: str) -> str:
        path = Path(self.mktemp())
        path.write_text(content)
        return str(path)

    async def opens(self, access: Access) -> Connection:
        connection = self.connect_to(access)
        await connection.open()
        return connection

    async def refuses(self, access: Access, phase: str, *words: str) -> None:
        connection = self.connect_to(access)
        error = await self.refused(connection.open(), access.shown, phase, *words)
        self.assertEqual(error.phase, phase)
        self.assertFalse(connection.is_open)

    def fingerprint(self, machine: Machine) -> str:
        shown = subprocess.run(
            ["ssh-keygen", "-lf", f"{machine.host_key}.pub"], capture_output=True, check=True
        )
        return shown.stdout.decode().split()[1]

    async def test_a_known_host_key_is_accepted_and_shown(self) -> None:
        connection = await self.opens(self.machine.access())
        self.assertEqual(connection.fingerprint, self.fingerprint(self.machine))

    async def test_a_pinned_host_key_is_accepted_and_another_is_not(self) -> None:
        await self.opens(self.machine.access(host_key=self.machine.public_host_key))
        await self.refuses(
            self.machine.access(host_key=self.others[0].public_host_key),
            "verifying its host key",
            "the field host_key",
            self.fingerprint(self.machine),
            self.fingerprint(self.others[0]),
        )

    async def test_an_authority_is_accepted_and_another_is_not(self) -> None:
        authority = Path(f"{self.machine.authority}.pub").read_text()
        await self.opens(self.machine.access(host_authority=authority))
        another = Path(f"{self.machine.identity_file}.pub").read_text()
        await self.refuses(
            self.machine.access(host_authority=another),
            "verifying its host key",
            "the field host_authority",
            "signed",
        )

    async def test_an_authority_in_known_hosts_is_accepted(self) -> None:
        authority = Path(f"{self.machine.authority}.pub").read_text()
        known = self.file(f"@cert-authority 10.213.* {authority}")
        await self.opens(self.machine.access(known_hosts=known))

    async def test_an_unknown_host_key_is_refused_and_the_file_named(self) -> None:
        known = self.file("")
        await self.refuses(
            self.machine.access(known_hosts=known),
            "verifying its host key",
            "unknown",
            known,
            self.fingerprint(self.machine),
            "add it",
        )

    async def test_a_changed_host_key_is_refused_until_the_file_is_mended(self) -> None:
        known = self.file(f"{self.machine.address} {self.others[0].public_host_key}")
        access = self.machine.access(known_hosts=known)
        connection = self.connect_to(access)
        await self.refused(
            connection.open(),
            known,
            self.fingerprint(self.machine),
            self.fingerprint(self.others[0]),
            "installed anew",
        )
        Path(known).write_text(f"{self.machine.address} {self.machine.public_host_key}")
        await connection.open()

    async def test_what_is_no_key_and_no_file_is_named(self) -> None:
        verifying = "verifying its host key"
        await self.refuses(self.machine.access(host_key="ssh-ed25519 x"), verifying, "host_key")
        missing = self.machine.access(known_hosts="/no/such/file")
        await self.refuses(missing, verifying, "/no/such/file")
        missing = self.machine.access(identity_files=("/no/such/key",))
        await self.refuses(missing, "logging in", "/no/such/key")
        broken = self.file("nonsense")
        await self.refuses(
            self.machine.access(identity_files=(broken,)), "logging in", broken, "private key"
        )

    async def test_a_user_who_is_not_let_in_is_named_with_the_keys_offered(self) -> None:
        access = self.machine.access(user="nobody-here")
        await self.refuses(
            access, "logging in", "nobody-here", self.machine.identity_file, "authorized_keys"
        )

    async def test_a_locked_account_is_said_to_be_possible(self) -> None:
        await deferToThread(self.change_user, "--lock")
        self.addCleanup(self.change_user, "--password", "*")
        await self.refuses(self.machine.access(), "logging in", "locked")

    async def test_an_account_without_a_shell_is_an_error_that_says_so(self) -> None:
        await deferToThread(self.change_user, "--shell", "/usr/sbin/nologin")
        self.addCleanup(self.change_user, "--shell", "/bin/bash")
        host = SSHHost(self.connect_to(self.machine.access()), self.directory)
        error = await self.refused(host.run(["true"], timeout=60), "not available", "/bin/sh")
        self.assertEqual(error.phase, "opening a session")

    def change_user(self, *options: str) -> None:
        subprocess.run(["usermod", *options, self.machine.user], check=True)

    async def test_no_key_at_all_is_an_error_that_says_so(self) -> None:
        access = self.machine.access(identity_files=())
        await self.refuses(access, "logging in", "no key", "identity_files", "use_agent is off")
        self.patch(os, "environ", {k: v for k, v in os.environ.items() if k != "SSH_AUTH_SOCK"})
        access = self.machine.access(identity_files=(), use_agent=True)
        await self.refuses(access, "logging in", "SSH_AUTH_SOCK names no agent")

    async def test_a_locked_key_is_an_error_that_says_so_and_an_agent_helps(self) -> None:
        key = self.file(Path(self.machine.identity_file).read_text())
        os.chmod(key, 0o600)
        change = ["ssh-keygen", "-q", "-p", "-N", "secret", "-f", key]
        await deferToThread(subprocess.run, change, check=True, stdout=subprocess.DEVNULL)
        access = self.machine.access(identity_files=(key,))
        await self.refuses(access, "logging in", key, "passphrase", "agent")

        socket = f"{self.machine.path('/tmp')}/agent-{uuid4().hex}"
        agent = subprocess.Popen(["ssh-agent", "-D", "-a", socket], stdout=subprocess.DEVNULL)
        self.addCleanup(agent.wait)
        self.addCleanup(agent.terminate)
        await self.until(lambda: os.path.exists(socket))
        self.patch(os, "environ", {**os.environ, "SSH_AUTH_SOCK": socket})
        both = self.machine.access(identity_files=(key,), use_agent=True)
        await self.refuses(both, "logging in", "agent", "none")
        add = ["ssh-add", "-q", self.machine.identity_file]
        environment = {**os.environ, "SSH_AUTH_SOCK": socket}
        await deferToThread(subprocess.run, add, check=True, env=environment)
        await self.opens(both)

    async def test_a_closed_port_a_dead_address_and_an_unknown_name_are_told_apart(self) -> None:
        access = self.machine.access(port=23)
        await self.refuses(access, "connecting", "Connection refused", "which port")
        dead = self.machine.access(address=self.machine.address.rpartition(".")[0] + ".250")
        await self.refuses(dead, "connecting", "switched on")
        unknown = self.machine.access(address="no-such-machine.invalid")
        await self.refuses(unknown, "resolving its name", "no-such-machine.invalid")

    async def test_a_machine_is_reached_through_others(self) -> None:
        first, second = self.others
        access = self.machine.access(jump=(first.access(), second.access()))
        connection = await self.opens(access)
        host = SSHHost(connection, ".")
        completed = await host.run(["sh", "-c", "hostname; echo $SSH_CLIENT"], timeout=60)
        name, client, *_ = completed.stdout.decode().split()
        self.assertEqual((name, client), (self.machine.name, second.address))
        await connection.close()

    async def test_a_jump_host_that_refuses_is_named(self) -> None:
        first = self.others[0].access(user="nobody-here")
        connection = self.connect_to(self.machine.access(jump=(first,)))
        await self.refused(connection.open(), first.shown, "logging in")
        closed = self.machine.access(jump=(self.others[0].access(),), port=23)
        await self.refuses(closed, "connecting", "jump host")

    async def test_a_lost_jump_host_is_a_lost_connection(self) -> None:
        lost: list[HostUnreachable] = []
        access = self.machine.access(jump=(self.others[0].access(),))
        connection = self.connect_to(access, lost.append)
        await connection.open()
        await deferToThread(self.others[0].hang_up)
        while not lost:
            await deferToThread(lambda: None)
        self.assertFalse(connection.is_open)
        await connection.open()

    async def test_a_machine_reaches_the_master_through_a_tunnel(self) -> None:
        server = reactor.listenTCP(0, _Greeter(), interface="127.0.0.1")  # type: ignore[attr-defined]
        self.addCleanup(server.stopListening)
        connection = await self.opens(self.machine.access())
        here = server.getHost().port
        port = await connection.forward(0, "127.0.0.1", here)
        self.assertEqual(await connection.forward(0, "127.0.0.1", here), port)
        host = SSHHost(connection, ".")
        script = f"exec 3<>/dev/tcp/127.0.0.1/{port}; cat <&3"
        completed = await host.run(["bash", "-c", script], timeout=60)
        self.assertEqual(completed.stdout, b"this is the master\n", completed.stderr)
        # Only for what runs there: another machine gets no answer at its address.
        other = SSHHost(await self.opens(self.others[0].access()), ".")
        script = f"exec 3<>/dev/tcp/{self.machine.address}/{port}"
        self.assertNotEqual((await other.run(["bash", "-c", script], timeout=60)).exit_code, 0)

    async def test_a_tunnel_on_a_port_that_is_taken_is_an_error_that_says_so(self) -> None:
        connection = await self.opens(self.machine.access())
        await self.refused(connection.forward(22, "127.0.0.1", 1), "port 22", "taken")


class _Greeter(ServerFactory):
    """A server that says who it is."""

    class protocol(Protocol):
        def connectionMade(self) -> None:
            self.transport.write(b"this is the master\n")
            self.transport.loseConnection()
