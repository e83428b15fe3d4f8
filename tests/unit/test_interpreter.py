"""What is wanted of an interpreter, and what is told when a host can't give it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from importlib import metadata
from typing import Any

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from buildbot_drydock.errors import CommandTimedOut, HostError
from buildbot_drydock.interfaces import Completed
from buildbot_drydock.latent.interpreter import Interpreter, fits, interpreter

FOUND = {
    "python": [3, 11, 2],
    "executable": "/usr/bin/python3",
    "problem": "No module named 'buildbot_worker'",
    "directory": "/home/bb/venv/4.3.0-cpython-311-x86_64",
}


class FakeHost:
    """Answers each command with the next of some results."""

    def __init__(self, *results: Completed | HostError) -> None:
        self._results = list(results)
        self.calls: list[tuple[Sequence[str], Mapping[str, Any]]] = []

    async def run(self, argv: Sequence[str], **options: Any) -> Completed:
        self.calls.append((argv, options))
        result = self._results.pop(0)
        if isinstance(result, HostError):
            raise result
        return result


def told(*lines: str | Mapping[str, Any], exit_code: int = 0, stderr: bytes = b"") -> Completed:
    texts = [each if isinstance(each, str) else json.dumps(each) for each in lines]
    return Completed(
        exit_code=exit_code, stdout="".join(f"{each}\n" for each in texts).encode(), stderr=stderr
    )


class FitsTests(SynchronousTestCase):
    def test_the_major_version_decides(self) -> None:
        for found in ("4.3.0", "4.0.0", "4.9.1", "4.3.1.dev5", "4"):
            self.assertTrue(fits(found, "4.3.0"), found)
        for found in ("3.11.9", "5.0.0", "43.0", "2.6", "", "unknown", "2024.01.01"):
            self.assertFalse(fits(found, "4.3.0"), found)

    def test_any_fits_if_none_is_wanted(self) -> None:
        self.assertTrue(fits("0.9.0", ""))


class WantedTests(SynchronousTestCase):
    def test_the_version_of_the_master_is_wanted(self) -> None:
        self.assertEqual(Interpreter().worker_version, metadata.version("buildbot"))
        self.assertEqual(Interpreter(worker_version="4.2.0").requirement, "buildbot-worker==4.2.0")
        self.assertEqual(Interpreter(worker_version="").requirement, "buildbot-worker")

    def test_what_makes_no_sense_is_refused_by_name(self) -> None:
        for name, value in {
            "python": "",
            "worker_version": "../4.3.0",
            "make_venv": "sometimes",
            "pip_arguments": "--no-index",
            "make_timeout": 0.0,
            "idle_timeout": float("nan"),
        }.items():
            wrong: Any = {name: value}
            error = self.assertRaises(ValueError, Interpreter, **wrong)
            self.assertIn(name, str(error))


class TellingTests(SynchronousTestCase):
    def find(self, *results: Completed | HostError, **wanted: Any) -> Deferred[str]:
        self.host: Any = FakeHost(*results)
        options = {"worker_version": "4.3.0", **wanted}
        return Deferred.fromCoroutine(interpreter(self.host, Interpreter(**options)))

    def error(self, *results: Completed | HostError, **wanted: Any) -> str:
        return str(
            self.failureResultOf(self.find(told(FOUND), *results, **wanted), HostError).value
        )

    def failed(self, phase: str, problem: str, *said: str) -> str:
        return self.error(told(*said, {"phase": phase, "problem": problem}))

    def test_the_limits_are_those_that_are_wanted(self) -> None:
        made = told({"python": "/made/bin/python"})
        finding = self.find(told(FOUND), made, make_timeout=7.0, idle_timeout=3.0)
        self.assertEqual(self.successResultOf(finding), "/made/bin/python")
        _, options = self.host.calls[1]
        self.assertEqual((options["timeout"], options["idle_timeout"]), (7.0, 3.0))

    def test_what_pip_is_told_is_in_no_list_of_processes(self) -> None:
        secret = "https://user:secret@pypi.example.org"
        made = told({"python": "/made/bin/python"})
        self.successResultOf(self.find(told(FOUND), made, pip_arguments=("--index-url", secret)))
        for argv, options in self.host.calls:
            self.assertEqual(argv[1:], ["-"])
            self.assertNotIn("env", options)
        self.assertIn(secret.encode(), self.host.calls[1][1]["stdin"])

    def test_a_full_disk(self) -> None:
        for phase, problem, said in (
            ("files", "ENOSPC: [Errno 28] No space left on device: '/x'", ""),
            ("files", "EDQUOT: [Errno 122] Disk quota exceeded", ""),
            ("venv", "exit code 1", "Error: [Errno 28] No space left on device"),
            ("pip", "exit code 1", "ERROR: [Errno 28] No space left on device"),
        ):
            text = self.failed(phase, problem, said)
            self.assertIn("Free some space", text)
            self.assertIn(FOUND["directory"], text)

    def test_a_home_that_may_not_be_written(self) -> None:
        for problem in ("EACCES: [Errno 13] Permission denied: 'venv'", "EROFS: [Errno 30] x"):
            self.assertIn("may write to", self.failed("files", problem))

    def test_the_last_lines_of_pip_are_shown_and_not_all(self) -> None:
        text = self.failed("pip", "exit code 1", *(f"line {number}" for number in range(100)))
        self.assertIn("line 99", text)
        self.assertNotIn("line 50", text)
        self.assertIn("--index-url", text)

    def test_other_failures_have_their_remedies(self) -> None:
        self.assertIn("by hand", self.failed("venv", "exit code 1"))
        self.assertIn("home directory", self.failed("files", "EIO: [Errno 5] x"))
        self.assertIn("constraints", self.failed("import", "exit code 1"))

    def test_a_program_that_was_killed(self) -> None:
        text = self.error(told("Collecting buildbot-worker", exit_code=-9))
        self.assertIn("was ended by signal 9", text)
        self.assertIn("Collecting", text)

    def test_what_is_no_answer_is_shown(self) -> None:
        for answer in (told("5"), told('"4.3.0"'), told(FOUND, exit_code=1), told()):
            text = str(self.failureResultOf(self.find(answer), HostError).value)
            self.assertIn("instead of telling its version", text)

    def test_a_limit_stays_a_limit(self) -> None:
        finding = self.find(told(FOUND), CommandTimedOut("it took longer than 7 s"))
        text = str(self.failureResultOf(finding, CommandTimedOut).value)
        self.assertIn("it took longer than 7 s", text)
        self.assertIn("make_timeout", text)

    def test_other_errors_of_the_host_come_through(self) -> None:
        gone = HostError("the host is gone")
        self.assertIs(self.failureResultOf(self.find(gone), HostError).value, gone)
