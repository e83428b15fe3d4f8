"""Commands over Systems Manager without any: what is sent, when it is looked at, what is made of it."""

from __future__ import annotations

import base64
import getpass
import os
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hypothesis import given as for_all
from hypothesis import settings
from hypothesis import strategies as st
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from buildbot_drydock.errors import HostUnreachable
from buildbot_drydock.remote.ssm import delivery
from buildbot_drydock.remote.ssm.calls import CallRefused, Refusal
from buildbot_drydock.remote.ssm.delivery import Limits
from buildbot_drydock.remote.ssm.invocation import Ended, Instance
from buildbot_drydock.remote.ssm.sealing import CIPHER, Seal, WrongKey

SENT = {"Command": {"CommandId": "c" * 36}}
DONE = {"Status": "Success", "StatusDetails": "Success", "StandardOutputContent": "hello"}
PASSPHRASE = "5ec2e7" * 10


class ScriptedCalls:
    """Answers as told, each operation from its own list; the last answer stays."""

    def __init__(self, clock: Clock, **answers: Any) -> None:
        self._clock = clock
        self._answers = {"SendCommand": [SENT], "CancelCommand": [{}], **answers}
        self.made: list[tuple[float, str]] = []
        self.requests: list[Mapping[str, Any]] = []

    async def call(self, operation: str, request: Mapping[str, Any]) -> Mapping[str, Any]:
        self.made.append((round(self._clock.seconds(), 3), operation))
        self.requests.append(request)
        left = self._answers[operation]
        answer = left.pop(0) if len(left) > 1 else left[0]
        if isinstance(answer, Exception):
            raise answer
        return answer  # type: ignore[no-any-return]

    async def in_thread(self, function: Any, *arguments: Any) -> Any:
        return function(*arguments)

    def at(self, operation: str) -> list[float]:
        return [when for when, made in self.made if made == operation]


class InvocationTests(SynchronousTestCase):
    def begin(self, seconds: float = 60.0, **answers: Any) -> Deferred[Ended]:
        self.clock = Clock()
        self.calls = ScriptedCalls(self.clock, **answers)
        instance = Instance(self.calls, "i-1", clock=self.clock)
        running = instance.run("true\n", comment="a test", seconds=seconds)
        return Deferred.fromCoroutine(running)

    def pass_time(self, seconds: float) -> None:
        self.clock.pump([0.1] * round(seconds * 10))

    def test_looks_become_rarer_up_to_two_seconds(self) -> None:
        self.begin(GetCommandInvocation=[{"Status": "InProgress"}])
        self.pass_time(10)
        looks = self.calls.at("GetCommandInvocation")
        pauses = [round(b - a, 1) for a, b in zip([0.0, *looks], looks, strict=False)]
        for pause, least in zip(pauses, [0.2, 0.4, 0.8, 1.6, 2.0, 2.0, 2.0], strict=False):
            self.assertTrue(least - 0.01 <= pause < least + 0.25, pauses)
        self.assertEqual(len(looks), 7)

    def test_what_was_printed_is_returned(self) -> None:
        ended = self.begin(GetCommandInvocation=[{"Status": "Pending"}, DONE])
        self.pass_time(1)
        self.assertEqual(self.successResultOf(ended).stdout, "hello")

    def test_a_request_has_the_limits_that_ssm_knows(self) -> None:
        self.begin(seconds=100.2, GetCommandInvocation=[DONE])
        (request,) = self.calls.requests
        self.assertEqual(request["TimeoutSeconds"], 30)
        self.assertEqual(request["Parameters"]["executionTimeout"], ["131"])
        self.begin(seconds=1e9, GetCommandInvocation=[DONE])
        self.assertEqual(self.calls.requests[0]["Parameters"]["executionTimeout"], ["172800"])

    def test_one_that_no_agent_takes_up_is_given_up_and_cancelled(self) -> None:
        for status in ("Pending", "Delayed"):
            running = self.begin(GetCommandInvocation=[{"Status": status}])
            self.pass_time(31)
            self.assertNoResult(running)
            self.pass_time(5)
            error = self.failureResultOf(running, HostUnreachable).value
            self.assertIn("takes up", error.phase)
            self.assertEqual(len(self.calls.at("CancelCommand")), 1)

    def test_one_that_does_not_end_is_given_up_and_cancelled(self) -> None:
        running = self.begin(seconds=60, GetCommandInvocation=[{"Status": "InProgress"}])
        self.pass_time(89)
        self.assertNoResult(running)
        self.pass_time(5)
        self.failureResultOf(running, HostUnreachable)
        self.assertEqual(len(self.calls.at("CancelCommand")), 1)

    def test_what_ssm_gives_up_is_unreachable(self) -> None:
        for details in ("DeliveryTimedOut", "Undeliverable", "ExecutionTimedOut", "Terminated"):
            seen = {"Status": "Failed", "StatusDetails": details}
            running = self.begin(GetCommandInvocation=[seen])
            self.pass_time(1)
            error = self.failureResultOf(running, HostUnreachable).value
            self.assertIn(details, str(error))

    def test_a_failed_script_is_an_answer(self) -> None:
        seen = {"Status": "Failed", "StatusDetails": "Failed", "StandardErrorContent": "oh"}
        running = self.begin(GetCommandInvocation=[seen])
        self.pass_time(1)
        self.assertEqual(
            self.successResultOf(running), Ended(status="Failed", stdout="", stderr="oh")
        )

    def test_throttled_calls_wait_as_long_as_is_asked(self) -> None:
        throttled = CallRefused(Refusal.THROTTLED, "slow down", after=7.0)
        running = self.begin(SendCommand=[throttled, SENT], GetCommandInvocation=[throttled, DONE])
        self.pass_time(20)
        self.successResultOf(running)
        first, second = self.calls.at("SendCommand")
        self.assertGreaterEqual(second - first, 7.0)
        first, second = self.calls.at("GetCommandInvocation")
        self.assertGreaterEqual(second - first, 7.0)

    def test_throttling_without_end_has_an_end(self) -> None:
        throttled = CallRefused(Refusal.THROTTLED, "slow down", after=7.0)
        running = self.begin(SendCommand=[throttled])
        self.pass_time(61)
        self.assertIn("slow down", str(self.failureResultOf(running, HostUnreachable).value))

    def test_a_command_is_sent_again_if_it_is_not_known_whether_it_was(self) -> None:
        unknown = CallRefused(Refusal.UNKNOWN, "no answer")
        running = self.begin(SendCommand=[unknown, unknown, SENT], GetCommandInvocation=[DONE])
        self.pass_time(5)
        self.successResultOf(running)
        self.assertEqual(len(self.calls.at("SendCommand")), 3)

    def test_an_invocation_that_is_not_known_yet_is_looked_for_again(self) -> None:
        absent = CallRefused(Refusal.ABSENT, "InvocationDoesNotExist")
        running = self.begin(GetCommandInvocation=[absent, absent, DONE])
        self.pass_time(3)
        self.successResultOf(running)

    def test_what_does_not_pass_by_itself_is_told_at_once(self) -> None:
        lasting = CallRefused(Refusal.LASTING, "not allowed")
        for answers in ({"SendCommand": [lasting]}, {"GetCommandInvocation": [lasting]}):
            running = self.begin(**answers)
            self.pass_time(1)
            error = self.failureResultOf(running, HostUnreachable).value
            self.assertIn("not allowed", str(error))
            self.assertFalse(error.lasting)  # the instance may be well

    def test_a_call_that_is_given_up_cancels_its_command(self) -> None:
        failing = CallRefused(Refusal.UNKNOWN, "no answer")
        running = self.begin(
            GetCommandInvocation=[{"Status": "InProgress"}], CancelCommand=[failing, {}]
        )
        self.pass_time(3)
        running.cancel()
        self.failureResultOf(running, CancelledError)
        self.pass_time(3)
        self.assertEqual(
            len(self.calls.at("CancelCommand")), 2
        )  # again, as the first had no answer
        self.pass_time(60)
        self.assertEqual(self.clock.getDelayedCalls(), [])


class SealTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.seal = Seal(PASSPHRASE, os.urandom)

    def openssl(self, mode: str, content: bytes, passphrase: str = PASSPHRASE) -> bytes:
        command = ["openssl", "enc", mode, *f"-{CIPHER}".split(), "-pass", "env:KEY"]
        environment = {**os.environ, "KEY": passphrase}
        done = subprocess.run(
            command, input=content, capture_output=True, env=environment, check=True, timeout=60
        )
        return done.stdout

    @for_all(st.binary(max_size=300))
    @settings(max_examples=30)
    def test_what_was_closed_is_opened(self, content: bytes) -> None:
        seal = Seal(PASSPHRASE, os.urandom)
        self.assertEqual(seal.open(seal.close(content)), content)

    def test_openssl_reads_what_was_closed_and_writes_what_is_opened(self) -> None:
        packed = self.openssl("-d", self.seal.close(b"hello\n"))
        done = subprocess.run(["gzip", "-dc"], input=packed, capture_output=True, check=True)
        self.assertEqual(done.stdout, b"drydock\nhello\n")
        self.assertEqual(self.seal.open(self.openssl("-e", packed)), b"hello\n")

    def test_the_same_looks_different_each_time(self) -> None:
        self.assertNotEqual(self.seal.close(b"hello"), self.seal.close(b"hello"))

    def test_another_key_and_what_is_cut_off_are_noticed(self) -> None:
        closed = self.seal.close(b"hello" * 100)
        for sealed in (b"", b"Salted__", closed[:-3], b"hello", closed[:20]):
            with self.assertRaises(WrongKey):
                self.seal.open(sealed)
        with self.assertRaises(WrongKey):
            Seal("another", os.urandom).open(closed)

    def test_the_key_is_not_shown(self) -> None:
        self.assertNotIn(PASSPHRASE, repr(self.seal))


class DeliveryTests(SynchronousTestCase):
    LIMITS = Limits(timeout=60.0, idle_timeout=None)

    def test_what_is_sent_has_nothing_that_ssm_would_replace_and_fits_into_a_document(self) -> None:
        parts = delivery.parts("A" * 100_000)
        self.assertEqual("".join(parts).replace("\n", ""), "A" * 100_000)
        texts = [delivery.store("f" * 32, n, part) for n, part in enumerate(parts)]
        texts.append(delivery.run("f" * 32, parts[0], "admin", self.LIMITS))
        texts.append(delivery.more("f" * 32, 7))
        for text in texts:
            self.assertNotIn("{{", text)
            self.assertNotIn("}}", text)
            self.assertLess(len(text) + 3 * text.count("\n"), 60_000)

    def test_it_is_what_a_posix_shell_reads(self) -> None:
        text = delivery.run("f" * 32, "A", "admin", self.LIMITS)
        for shell in ("sh", "dash", "bash", "busybox"):
            if shutil.which(shell):
                command = [shell, "sh", "-n"] if shell == "busybox" else [shell, "-n"]
                done = subprocess.run(command, input=text.encode(), capture_output=True)
                self.assertEqual((done.returncode, done.stderr), (0, b""), shell)

    def test_it_runs_in_any_posix_shell(self) -> None:
        """/bin/sh is bash on some systems, and that in turn is not alone."""
        script = "echo ready to go; head -n 1; echo oh >&2; exit 7"
        for shell in self.shells():
            found = self.run_in(shell, script, Limits(timeout=60.0, idle_timeout=None))
            self.assertEqual(
                (found.stdout, found.stderr, found.exit_code, found.limit),
                (b"ready to go\ninput\n", b"oh\n", 7, ""),
                shell,
            )

    def test_a_limit_ends_it_in_any_posix_shell(self) -> None:
        for shell in self.shells():
            found = self.run_in(shell, "sleep 3600", Limits(timeout=0.5, idle_timeout=None))
            self.assertEqual(found.limit, "timeout", shell)

    def shells(self) -> list[str]:
        return [each for each in ("sh", "dash", "bash", "busybox") if shutil.which(each)]

    def run_in(self, shell: str, script: str, limits: Limits) -> delivery.Outcome:
        """Run the script, with a line of input that nobody ends, as the agent's shell does."""
        seal = Seal(PASSPHRASE, os.urandom)
        sealed = base64.b64encode(seal.close(delivery.payload(script, b"input\n"))).decode()
        root = Path(self.mktemp()).absolute()
        (root / delivery.PLACE).mkdir(parents=True)
        (root / delivery.PLACE / "key").write_text(f"{PASSPHRASE}\n")
        script_file = root / "_script.sh"
        script_file.write_text(delivery.run("1" * 32, sealed, getpass.getuser(), limits))
        applet = ["sh"] if shell == "busybox" else []
        done = subprocess.run(
            [shell, *applet, str(script_file)],
            cwd=root,
            capture_output=True,
            start_new_session=True,
            timeout=120,
        )
        printed = delivery.printed(done.stdout.decode())
        assert printed is not None, (shell, done)
        return delivery.outcome(seal.open(base64.b64decode(printed[1])))

    def test_limits_are_looked_at_often_enough_and_not_too_often(self) -> None:
        for timeout, idle in ((2.0, None), (3600.0, 120.0), (120.0, 2.0), (0.5, None)):
            limits = Limits(timeout=timeout, idle_timeout=idle)
            self.assertTrue(0.05 <= limits.tick <= 1.0)
            self.assertGreaterEqual(limits.ticks(timeout) * limits.tick, timeout)
            if idle is not None:
                self.assertGreaterEqual(limits.ticks(idle) * limits.tick, idle)
        self.assertEqual(self.LIMITS.ticks(None), 0)

    def test_without_what_it_needs_it_says_so(self) -> None:
        text = delivery.run("f" * 32, "A", "admin", self.LIMITS)
        root = Path(self.mktemp())
        (root / delivery.PLACE).mkdir(parents=True)
        done = subprocess.run(["sh", "-c", text], cwd=root, capture_output=True, timeout=60)
        self.assertEqual(done.stdout, b"drydock-no-key\n")
        (root / delivery.PLACE / "key").write_text("x\n")
        (root / "bin").mkdir()
        shell = shutil.which("sh")
        assert shell is not None
        done = subprocess.run(
            [shell, "-c", text],
            cwd=root,
            capture_output=True,
            timeout=60,
            env={"PATH": "/bin-of-none"},
        )
        self.assertEqual(done.stdout, b"drydock-no-tools\n")
        self.assertNotEqual(done.returncode, 0)

    def test_a_piece_and_how_much_there_is_are_read_whatever_is_printed_before(self) -> None:
        self.assertEqual(delivery.printed("noise\ndrydock-reply 12\nABCDEF\n"), (12, "ABCDEF"))
        self.assertIsNone(delivery.printed("sh: not found"))
