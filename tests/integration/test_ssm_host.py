"""Instances as hosts over Systems Manager, whose scripts really run, and its bad days."""

from __future__ import annotations

import base64
import getpass
import os
import signal
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest import mock

from twisted.internet import reactor
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import deferLater
from twisted.internet.threads import deferToThread
from twisted.python.threadpool import ThreadPool
from twisted.trial.unittest import TestCase

from buildbot_drydock.errors import CommandTimedOut, HostUnreachable
from buildbot_drydock.interfaces import Host
from buildbot_drydock.latent.ec2 import account
from buildbot_drydock.latent.ec2.account import Account, Credentials, Pace
from buildbot_drydock.latent.ec2.ssm import SSMCalls
from buildbot_drydock.remote.shell import scripts
from buildbot_drydock.remote.shell.exchange import Request
from buildbot_drydock.remote.shell.host import ShellHost
from buildbot_drydock.remote.ssm import delivery, invocation
from buildbot_drydock.remote.ssm.invocation import Instance, Pauses
from buildbot_drydock.remote.ssm.machine import SSMMachine
from buildbot_drydock.remote.ssm.sealing import Seal
from buildbot_drydock.testing.host_contract import HostContract
from tests.ec2 import EC2Server, faults, real_time_server
from tests.ec2.faults import Fault
from tests.ec2.systems_manager import Command

PASSPHRASE = "0123456789abcdef" * 4


class OnAnInstance(TestCase):
    """A server that all tests share, and an instance for each that has booted."""

    server: EC2Server
    profile: str

    @classmethod
    def setUpClass(cls) -> None:
        super().setUpClass()
        cls.server = real_time_server().start()
        cls.addClassCleanup(cls.server.stop)
        patched = mock.patch.dict(os.environ, cls.server.environment())
        patched.start()
        cls.addClassCleanup(patched.stop)
        home = tempfile.TemporaryDirectory()
        cls.addClassCleanup(home.cleanup)
        cls.manager = cls.server.systems_manager
        cls.manager.home = Path(home.name)
        cls.profile = cls.server.catalogue.add_instance_profile("managed")
        cls.client = cls.server.client()
        cls.threads = ThreadPool(0, 10)
        cls.threads.start()
        cls.addClassCleanup(cls.threads.stop)
        credentials = Credentials(region=cls.server.region, endpoint_url=cls.server.url)
        cls.account = Account(
            reactor, cls.threads, credentials, Pace(), clock=reactor, uniform=lambda: 0.5
        )

    def begin(self) -> None:
        self.manager.on_boot = lambda instance, root: self.give_key(root)
        self.addCleanup(self.manager.kill_all)
        self.addCleanup(self.server.faults.clear)
        self.number = self.launch()
        self.lost: list[Exception] = []

    def launch(self) -> str:
        answer = self.client.run_instances(
            ImageId=self.server.catalogue.newest_image,
            InstanceType="m7i.large",
            MinCount=1,
            MaxCount=1,
            IamInstanceProfile={"Arn": self.profile},
        )
        return str(answer["Instances"][0]["InstanceId"])

    def give_key(self, root: Path) -> None:
        (root / "var/lib/drydock-ssm").mkdir(parents=True)
        (root / "var/lib/drydock-ssm/key").write_text(f"{PASSPHRASE}\n")

    def machine(self, passphrase: str = PASSPHRASE, user: str = "") -> SSMMachine:
        calls = SSMCalls(self.account)
        instance = Instance(calls, self.number, clock=reactor, pauses=Pauses(first=0.08))
        seal = Seal(passphrase, os.urandom)
        return SSMMachine(calls, instance, seal, user or getpass.getuser(), lost=self.lost.append)

    def new_host(self, **options: Any) -> ShellHost:
        return ShellHost(self.machine(**options), ".", grace_seconds=1.0)


class TestSSMHost(HostContract, OnAnInstance):
    def make_host(self) -> Host:
        self.begin()
        return self.new_host()


class TestOnBadDays(OnAnInstance):
    def setUp(self) -> None:
        super().setUp()
        self.begin()
        self.host = self.new_host()

    async def fails(self, awaitable: Any, *words: str) -> HostUnreachable:
        error = await self.assertFailure(Deferred.fromCoroutine(awaitable), HostUnreachable)
        assert isinstance(error, HostUnreachable)
        for word in (self.number, *words):
            self.assertIn(word, str(error))
        return error

    async def until(self, condition: Callable[[], object]) -> None:
        while not condition():
            await deferLater(reactor, 0.02)  # type: ignore[arg-type]

    def own_commands(self) -> list[Command]:
        return [each for each in self.manager.commands if each.instance.id == self.number]

    def with_faults(self, action: str, fault: Fault, calls: int) -> None:
        self.server.faults.next(action, fault, calls=calls)

    # --- what is kept from whoever reads the history -------------------------------------------

    async def test_no_secret_is_in_a_parameter_or_an_output(self) -> None:
        secret = "hunter2-hunter2-hunter2"
        await self.host.write("buildbot.tac", secret.encode())
        self.assertEqual(await self.host.read("buildbot.tac"), secret.encode())
        completed = await self.host.run(
            ["sh", "-c", 'echo "$1 $PASSWORD"; cat >&2', "sh", secret],
            timeout=60,
            env={"PASSWORD": secret},
            stdin=secret.encode(),
        )
        self.assertIn(secret.encode(), completed.stdout + completed.stderr)
        await self.host.start(["sleep", "600"], tag="a", env={"PASSWORD": secret})
        await self.host.stop("a")
        history = self.manager.parameters() + self.manager.outputs()
        shown = self.server.inspector.calls
        self.assertIn(PASSPHRASE, (self.place / "key").read_text())
        for hidden in (secret, base64.b64encode(secret.encode()).decode(), PASSPHRASE):
            self.assertNotIn(hidden, history)
            self.assertFalse(any(hidden in call.body for call in shown))

    async def test_nothing_readable_stays_in_its_place_and_others_cannot_enter_it(self) -> None:
        await self.host.write("notes", b"hunter2")
        await self.host.run(["echo", "hunter2"], timeout=60)
        left = sorted(self.place.iterdir())
        self.assertEqual({each.suffix for each in left if each.name != "key"}, {".reply"})
        for each in left:
            self.assertNotIn(b"hunter2", each.read_bytes())
            if each.name != "key":
                self.assertEqual(each.stat().st_mode & 0o077, 0)

    async def test_what_is_old_is_removed_and_what_is_new_stays(self) -> None:
        await self.host.write("notes", b"x")
        old = [self.place / "0.reply", self.place / "new-0-1", self.place / "parts-0"]
        old[0].touch()
        old[1].touch()
        old[2].mkdir()
        for each in (*old, self.place / "key"):
            os.utime(each, (0, 0))
        kept = set(self.place.iterdir()) - set(old)
        await self.new_host().exists("notes")
        left = set(self.place.iterdir())
        self.assertLessEqual(kept, left)
        self.assertFalse(left & set(old))

    async def test_a_command_has_the_usual_permissions_for_its_files(self) -> None:
        usual = Path("/proc/self/status").read_text().partition("Umask:")[2].split()[0]
        completed = await self.host.run(["sh", "-c", "umask"], timeout=60)
        self.assertEqual(completed.stdout.decode().strip(), usual)

    async def test_a_wrong_key_is_told_and_nothing_is_run(self) -> None:
        self.host = self.new_host(passphrase="another")
        await self.fails(self.host.write("notes", b"x"), "decrypt", "cloud-init")
        self.assertFalse((self.manager.booted_root(self.number) / "home/notes").exists())

    async def test_an_instance_without_its_key_yet_is_told(self) -> None:
        (self.place / "key").unlink()
        await self.fails(self.host.exists("notes"), "key", "cloud-init")

    # --- what is too long ----------------------------------------------------------------------

    async def test_what_is_longer_than_a_command_and_an_output_arrives_whole(self) -> None:
        content = os.urandom(60_000)  # nothing that could be compressed
        await self.host.write("notes", content)
        self.assertEqual(await self.host.read("notes"), content)
        for each in self.own_commands():
            self.assertLess(len(each.text), 64 * 1024)
        self.assertGreater(len(self.own_commands()), 5)

    async def test_a_part_that_comes_twice_counts_once(self) -> None:
        content = os.urandom(60_000)
        self.server.faults.next("SendCommand", faults.internal_error(after_work=True), calls=1)
        await self.host.write("notes", content)
        self.assertEqual(await self.host.read("notes"), content)

    # --- what AWS does -------------------------------------------------------------------------

    async def test_a_command_that_was_sent_twice_as_the_reply_was_lost_is_run_once(self) -> None:
        self.with_faults("SendCommand", faults.reply_lost(), 1)
        script = "echo once >> counted; echo said; sleep 1"
        completed = await self.host.run(["sh", "-c", script], timeout=60)
        self.assertEqual(completed.stdout, b"said\n")
        self.assertEqual(len(self.own_commands()), 2)
        self.assertEqual(await self.host.read("counted"), b"once\n")

    async def test_a_command_that_comes_long_after_it_has_ended_is_not_run_again(self) -> None:
        await self.host.run(["sh", "-c", "echo once >> counted"], timeout=60)
        text = self.own_commands()[-1].text
        root = self.manager.booted_root(self.number)
        environment = {"PATH": os.environ["PATH"], "HOME": str(root / "home")}
        command = ["sh", "-c", text]
        again = await deferToThread(
            subprocess.run, command, cwd=root, env=environment, capture_output=True, timeout=60
        )
        self.assertIn(b"drydock-reply", again.stdout)
        self.assertEqual(await self.host.read("counted"), b"once\n")

    async def test_an_invocation_that_does_not_show_yet_is_waited_for(self) -> None:
        with mock.patch.object(self.manager.timings, "invisible_calls", 3):
            await self.host.write("notes", b"x")
        self.assertIn("InvocationDoesNotExist", self.server.inspector.errors_by_code())

    async def test_throttling_and_failing_calls_are_made_again(self) -> None:
        self.patch(account, "FIRST_PAUSE_SECONDS", 0.05)
        self.patch(invocation, "_UNKNOWN_PAUSE_SECONDS", 0.05)
        for fault in (faults.throttling(), faults.internal_error(), faults.connection_reset()):
            self.with_faults("SendCommand", fault, 1)
            self.with_faults("GetCommandInvocation", fault, 1)
        await self.host.write("notes", b"x")
        self.assertEqual(await self.host.read("notes"), b"x")

    async def test_an_instance_that_ssm_does_not_know_is_told_with_a_remedy(self) -> None:
        self.patch(self.manager, "unregistered", {self.number})
        error = await self.fails(self.host.exists("x"), "SSM does not know it", "SSM agent runs")
        self.assertEqual(self.lost, [error])

    async def test_a_command_that_cannot_be_delivered_is_told(self) -> None:
        self.patch(self.manager, "undeliverable", {self.number})
        error = await self.fails(self.host.exists("x"), "Undeliverable")
        self.assertEqual(error.phase, "waiting until its agent takes up a command")

    async def test_a_permission_that_is_missing_is_named(self) -> None:
        self.server.permissions.denied.add("SendCommand")
        self.addCleanup(self.server.permissions.denied.clear)
        await self.fails(self.host.exists("x"), "ssm:SendCommand", "allow")

    async def test_a_command_that_somebody_cancels_is_told_and_has_ended(self) -> None:
        running = Deferred.fromCoroutine(self.host.run(["sleep", "600"], timeout=600))
        await self.until(lambda: b"600" in self.commands_that_run())
        (command,) = self.own_commands()
        self.client_of("ssm").cancel_command(CommandId=command.id)
        error = await self.assertFailure(running, HostUnreachable)
        self.assertIn("Cancelled", str(error))
        await self.until(lambda: b"600" not in self.commands_that_run())

    async def test_a_call_cancelled_while_it_is_sent_leaves_nothing_running(self) -> None:
        gate = faults.Gate()
        self.with_faults("SendCommand", faults.held(gate), 1)
        running = Deferred.fromCoroutine(self.host.run(["sleep", "600"], timeout=600))
        await deferToThread(gate.wait_until_reached)
        running.cancel()
        await self.assertFailure(running, CancelledError)
        gate.open()
        await self.until(lambda: [each.cancelled for each in self.own_commands()] == [True])
        await self.until(lambda: self.manager.running() == [])

    async def test_a_command_ends_if_its_agent_is_killed(self) -> None:
        running = Deferred.fromCoroutine(self.host.run(["sleep", "600"], timeout=600))
        await self.until(lambda: b"600" in self.commands_that_run())
        (command,) = self.own_commands()
        assert command.process is not None
        os.killpg(command.process.pid, signal.SIGKILL)
        await self.until(lambda: self.manager.running() == [])
        await self.assertFailure(running, HostUnreachable)

    async def test_a_script_without_a_watch_of_its_own_is_ended_by_its_limit(self) -> None:
        fifo = self.manager.booted_root(self.number) / "home/fifo"
        os.mkfifo(fifo)
        content = scripts.given({"directory": "."}, ["./fifo"])
        request = Request(shown="to read it", script=scripts.READ, content=content, timeout=1.0)
        error = await self.assertFailure(self.machine().exchange(request), CommandTimedOut)
        self.assertIn("1 s (its timeout)", str(error))
        await self.until(lambda: self.manager.running() == [])

    async def test_a_user_that_is_not_there_is_told(self) -> None:
        self.host = self.new_host(user="nobody-of-that-name")
        await self.fails(self.host.exists("x"), "account nobody-of-that-name")

    async def test_commands_run_as_the_user(self) -> None:
        """A stand-in for su shows how it is called: as a login of that user, with a shell."""
        root = self.manager.booted_root(self.number)
        said = root / "home/said"
        (root / "su").write_text(
            f'#!/bin/sh\necho "$1 $2 $3 $4 $6" > {said}\nexec "$3" "$4" "$5"\n'
        )
        (root / "su").chmod(0o755)
        with mock.patch.dict(os.environ, PATH=f"{root}:{os.environ['PATH']}"):
            self.host = self.new_host(user="builder")
            completed = await self.host.run(["echo", "hello"], timeout=60)
        self.assertEqual(completed.stdout, b"hello\n")
        self.assertEqual(said.read_text(), "-l -s /bin/sh -c builder\n")

    @property
    def place(self) -> Path:
        return self.manager.booted_root(self.number) / delivery.PLACE

    def commands_that_run(self) -> bytes:
        return b"".join(
            Path(f"/proc/{number}/cmdline").read_bytes()
            for number in self.manager.running()
            if Path(f"/proc/{number}").exists()
        )

    def client_of(self, service: str) -> Any:
        return self.server.client(service)
