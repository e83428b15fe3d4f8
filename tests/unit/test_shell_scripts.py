"""The scripts of a host, run by the shells that this machine has, without a server."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from uuid import uuid4

from hypothesis import given as for_all
from hypothesis import settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from buildbot_drydock.remote.processes import TAG_MARK, marked
from buildbot_drydock.remote.shell import processes, scripts
from buildbot_drydock.remote.shell.scripts import READY, command_line, exports, given, quoted

SHELLS = [shell for shell in ("sh", "dash", "bash", "zsh", "fish", "tcsh") if shutil.which(shell)]

# Lines of the scripts, and what they are on a machine that lacks something.
WITHOUT_PROC = ("[ -r /proc/self/environ ]", "false")
WITHOUT_FLOCK = ("command -v flock", "command -v no-such-flock")
WITHOUT_SETSID = ("command -v setsid", "command -v no-such-setsid")

# What a start is given that asks for nothing special.
_NOTHING = {
    **{"cwd": "", "log": "", "log_directory": "", "mark": "a=b", "notes": "x", "environment": ""},
    **{"file": "", "file_directory": "", "size": "0", "standby": "", "standby_mark": ""},
}

# What a process can be given: any text but null characters.
texts = st.text(
    st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=30
) | st.text(st.sampled_from("'\"\\\n !$`%;#~*-."), max_size=12)


class ScriptsCase(SynchronousTestCase):
    """Runs scripts in a directory, as a login shell would."""

    def setUp(self) -> None:
        self.directory = Path(self.mktemp()).absolute()
        self.directory.mkdir(parents=True)

    def ask(
        self,
        script: str,
        *argv: str,
        content: bytes = b"",
        shell: str = "sh",
        **values: str,
    ) -> subprocess.CompletedProcess[bytes]:
        head = given({"directory": str(self.directory), **values}, argv)
        return subprocess.run(
            [shell, "-c", command_line(script)],
            input=head + content,
            capture_output=True,
            start_new_session=True,
            check=False,
            timeout=120,
        )

    def succeeds(self, script: str, *argv: str, **options: object) -> bytes:
        """Run a script that must end well; return what it wrote once it was ready."""
        done = self.ask(script, *argv, **options)  # type: ignore[arg-type]
        self.assertEqual(done.returncode, 0, done)
        return self.after_ready(done.stdout)

    def after_ready(self, said: bytes) -> bytes:
        ready = READY.search(said)
        assert ready is not None, said
        return said[ready.end() :]

    def run_command(
        self, *argv: str, content: bytes = b"", shell: str = "sh", **values: str
    ) -> bytes:
        """Run a command to its end; its input stays open, as a connection would keep it."""
        usual = {"cwd": "", "size": str(len(content)), "seconds": "600", "environment": ""}
        values = {"directory": str(self.directory), **usual, **values}
        with subprocess.Popen(
            [shell, "-c", command_line(scripts.RUN)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,
        ) as process:
            assert process.stdin is not None
            assert process.stdout is not None
            process.stdin.write(given(values, argv) + content)
            process.stdin.flush()
            said = process.stdout.read()
            self.assertEqual(process.wait(60), 0, shell)
        return self.after_ready(said)


class QuotingTests(ScriptsCase):
    def test_every_login_shell_hands_a_script_on_as_it_is(self) -> None:
        script = 'printf "%s|" \'it is\' "a\\\\b" "!x" "$(echo {1,2})" "~" "#" `echo "*"`\nexit 3\n'
        expected = "it is|a\\b|!x|{1,2}|~|#|*|"
        self.assertGreater(len(SHELLS), 1)
        for shell in SHELLS:
            done = subprocess.run(
                [shell, "-c", command_line("set -f\n" + script)], capture_output=True, check=False
            )
            self.assertEqual((done.returncode, done.stdout.decode()), (3, expected), shell)

    def test_a_command_line_is_one_line_without_what_shells_read_in_quotes(self) -> None:
        for script in (scripts.RUN, scripts.WRITE, processes.START, processes.STOP, "!'\n\\"):
            line = command_line(script)
            self.assertNotIn("\n", line)
            self.assertNotIn("!", line)
            self.assertNotIn("\\\\", line)
            self.assertNotIn("\\'", line)
            self.assertEqual(line.count("'"), 4)

    @settings(max_examples=60)
    @for_all(st.lists(texts, max_size=5))
    def test_any_arguments_arrive_as_they_are(self, words: list[str]) -> None:
        # Not by hypothesis's setUp: it is called once for all examples.
        script = scripts.BEGIN + "for each; do printf '%s\\0' \"$each\"; done"
        done = subprocess.run(
            ["sh", "-c", command_line(script)],
            input=given({"directory": "/"}, words),
            capture_output=True,
            check=True,
        )
        self.assertEqual(done.stdout.decode(), "".join(f"{word}\0" for word in words))

    @settings(max_examples=60)
    @for_all(st.dictionaries(st.from_regex(r"[A-Z][A-Z_]{5,9}", fullmatch=True), texts, max_size=4))
    def test_any_environment_arrives_as_it_is(self, environment: dict[str, str]) -> None:
        script = scripts.BEGIN + 'eval "$drydock_environment"; exec env -0'
        done = subprocess.run(
            ["sh", "-c", command_line(script)],
            input=given({"directory": "/", "environment": exports(environment)}),
            capture_output=True,
            check=True,
        )
        found = dict(each.split("=", 1) for each in done.stdout.decode().split("\0") if each)
        self.assertEqual({name: found[name] for name in environment}, environment)

    def test_what_no_process_can_be_given_is_refused(self) -> None:
        with self.assertRaisesRegex(ValueError, "null character"):
            quoted("a\0b")
        with self.assertRaisesRegex(ValueError, "'a-b'.*letters"):
            exports({"a-b": "x"})
        with self.assertRaisesRegex(ValueError, "null character"):
            exports({"a": "\0"})

    def test_all_shells_run_a_command(self) -> None:
        for shell in SHELLS:
            said = self.run_command("cat", "-", content=b"a\0b\n", shell=shell)
            self.assertEqual(said, b"a\0b\n", shell)


class RunTests(ScriptsCase):
    def test_a_script_whose_first_line_was_cut_off_does_nothing(self) -> None:
        for sent in (b"", b"touch done"):
            done = subprocess.run(
                ["sh", "-c", command_line(scripts.RUN)],
                input=sent,
                capture_output=True,
                cwd=self.directory,
                check=False,
            )
            self.assertEqual(done.returncode, scripts.CUT_OFF)
        self.assertEqual(list(self.directory.iterdir()), [])

    def test_a_command_whose_input_was_cut_off_is_not_run(self) -> None:
        done = self.ask(
            scripts.RUN,
            *("touch", "done"),
            content=b"half",
            **{"cwd": "", "size": "8", "seconds": "600", "environment": ""},
        )
        self.assertEqual(done.returncode, scripts.CUT_OFF)
        self.assertEqual(done.stdout, b"")
        self.assertEqual(list(self.directory.iterdir()), [])

    def test_what_is_missing_is_named(self) -> None:
        code, said = self._refused(cwd="./no/such")
        self.assertEqual(code, scripts.FAILED)
        self.assertIn(b"./no/such does not exist", said)
        self.directory.rmdir()
        code, said = self._refused(cwd="")
        self.assertEqual(code, scripts.GONE)
        self.assertIn(str(self.directory).encode(), said)

    def _refused(self, cwd: str) -> tuple[int, bytes]:
        """Run a command whose input stays open: the end of its input would end it."""
        values = {"cwd": cwd, "size": "0", "seconds": "600", "environment": ""}
        with subprocess.Popen(
            ["sh", "-c", command_line(scripts.RUN)],
            stdin=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        ) as process:
            assert process.stdin is not None
            assert process.stderr is not None
            process.stdin.write(given({"directory": str(self.directory), **values}, ["true"]))
            process.stdin.flush()
            return process.wait(120), process.stderr.read()

    def test_a_relative_directory_begins_at_home(self) -> None:
        before = os.environ.get("HOME", "/")
        self.addCleanup(os.environ.__setitem__, "HOME", before)
        os.environ["HOME"] = str(self.directory.parent)
        said = self.run_command("pwd", directory=self.directory.name)
        self.assertEqual(said.decode().strip(), str(self.directory))

    def _begun(self, script: str, seconds: str = "600") -> subprocess.Popen[bytes]:
        """Start a command, and return once it is up; its input stays open."""
        process = subprocess.Popen(
            ["sh", "-c", command_line(scripts.RUN)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
        values = {"cwd": "", "size": "0", "seconds": seconds, "environment": ""}
        assert process.stdin is not None
        assert process.stdout is not None
        head = given({"directory": str(self.directory), **values}, ["sh", "-c", script])
        process.stdin.write(head)
        process.stdin.flush()
        said = b""
        while b"up\n" not in said:
            said += os.read(process.stdout.fileno(), 100)
        return process

    def test_the_end_of_the_input_ends_a_command(self) -> None:
        process = self._begun("trap '' TERM HUP; sleep 600 & echo up; wait")
        assert process.stdin is not None
        process.stdin.close()
        process.stdin = None
        process.wait(60)
        self.assertEqual(process.returncode, -signal.SIGKILL)
        _until(lambda: not _group_lives(process.pid))

    def test_a_line_ends_a_command_and_what_it_left(self) -> None:
        process = self._begun("trap '' TERM HUP; sleep 600 & echo up")
        self.assertEqual(process.wait(60), 0)
        self.assertTrue(_group_lives(process.pid))
        assert process.stdin is not None
        process.stdin.write(b"\n")
        process.stdin.flush()
        _until(lambda: not _group_lives(process.pid))

    def test_the_machine_ends_a_command_by_itself_in_time(self) -> None:
        process = self._begun("trap '' TERM HUP; sleep 600 & echo up; wait", seconds="1")
        process.wait(60)
        self.assertEqual(process.returncode, -signal.SIGKILL)
        _until(lambda: not _group_lives(process.pid))

    def test_what_a_command_left_running_outlives_the_end_of_the_input(self) -> None:
        process = self._begun("sleep 600 >/dev/null 2>&1 & echo $! >pid; echo up")
        self.assertEqual(process.wait(60), 0)
        pid = int((self.directory / "pid").read_text())
        self.addCleanup(os.kill, pid, signal.SIGKILL)
        process.communicate()
        _until(lambda: not _group(process.pid) - {pid})
        self.assertEqual(_group(process.pid), {pid})


class ProcessScriptsTests(ScriptsCase):
    """Starting, finding and ending, also where something is missing that Linux has."""

    def setUp(self) -> None:
        super().setUp()
        self.tag = f"scripts-{uuid4().hex}"
        self.addCleanup(self.stop)

    def start(self, script: str, **values: str) -> bytes:
        usual = {**_NOTHING, "mark": f"{TAG_MARK}={self.tag}"}
        usual["environment"] = exports({TAG_MARK: self.tag})
        return self.succeeds(processes.START, "sh", "-c", script, **{**usual, **values})

    def stop(self, **values: str) -> None:
        values = {"mark": f"{TAG_MARK}={self.tag}", "note": "", "grace": "20", **values}
        self.succeeds(processes.STOP, **values)

    def runs(self, tag: str = "", **values: str) -> bool:
        values = {"mark": f"{TAG_MARK}={tag or self.tag}", **values}
        return self.succeeds(processes.RUNNING, **values) == b"yes\n"

    def lacking(self, *lines: tuple[str, str]) -> None:
        """Change the scripts, as if the machine had not all that they look for."""
        for name in ("START", "RUNNING", "STOP"):
            script = getattr(processes, name)
            for line, other in lines:
                self.assertTrue(name != "START" or line in script)
                script = script.replace(line, other)
            self.patch(processes, name, script)

    def check_all(self, **values: str) -> None:
        self.assertFalse(self.runs(**values))
        for _ in range(2):
            self.start("echo once >>started; exec sleep 600", **values)
            self.assertTrue(self.runs(**values))
        self.assertFalse(self.runs(self.tag[:-1], **values))
        self.assertFalse(self.runs(self.tag + "0", **values))
        self.stop(mark=f"{TAG_MARK}={self.tag[:-1]}", **values)
        self.assertTrue(self.runs(**values))
        self.stop(**values)
        self.assertFalse(self.runs(**values))
        self.assertEqual((self.directory / "started").read_text(), "once\n")
        self.stop(note="x", **values)
        with self.assertRaisesRegex(self.failureException, "was stopped before"):
            self.start("exec sleep 600", **values)
        self.assertFalse(self.runs(**values))

    def test_with_all_that_linux_has(self) -> None:
        self.check_all()

    def test_without_proc(self) -> None:
        self.lacking(WITHOUT_PROC)
        self.check_all()

    def test_without_flock(self) -> None:
        self.lacking(WITHOUT_FLOCK)
        self.check_all()
        self.assertFalse((self.directory / ".drydock-start.link").is_symlink())

    def test_without_setsid(self) -> None:
        self.lacking(WITHOUT_SETSID)
        self.check_all()

    def test_without_all_of_these(self) -> None:
        self.lacking(WITHOUT_PROC, WITHOUT_FLOCK, WITHOUT_SETSID)
        self.check_all()

    def test_with_a_grep_that_knows_no_null_characters(self) -> None:
        self.lacking(("grep -slzxF", "grep --wrong -slzxF"), ("grep -qzxF", "grep --wrong -qzxF"))
        self.start("exec sleep 600")
        self.assertTrue(self.runs())
        self.assertFalse(self.runs(self.tag[:-1]))

    def test_one_that_is_becoming_another_program_is_found(self) -> None:
        blind = self.directory / "shows-no-environment"
        every_other_look = (
            f"grep() {{ case $1 in -slzxF) if mkdir {blind}; then return 1; else rmdir {blind}; fi ;;"
            ' esac; command grep "$@"; }\ndrydock_proc() {'
        )
        self.start("exec sleep 600")
        self.lacking(("drydock_proc() {", every_other_look))
        self.assertTrue(self.runs())
        self.start("echo twice >twice")
        self.assertFalse((self.directory / "twice").exists())
        self.stop()
        self.assertEqual(marked(TAG_MARK, self.tag), [])

    def test_without_proc_descendants_are_found(self) -> None:
        child = "env -i sleep 600 & echo $! >pid; wait"
        self.lacking(WITHOUT_PROC)
        self.start(child)
        written = self.directory / "pid"
        _until(lambda: written.exists() and written.read_text().endswith("\n"))
        pid = int(written.read_text())
        self.stop()
        self.assertFalse(_lives(pid))

    def test_a_lock_whose_holder_is_gone_is_taken_away(self) -> None:
        dead = subprocess.Popen(["true"])
        dead.wait()
        (self.directory / ".drydock-start.link").symlink_to(str(dead.pid))
        self.lacking(WITHOUT_FLOCK)
        self.start("exec sleep 600")
        self.assertTrue(self.runs())

    def test_a_lock_that_is_held_is_waited_for_and_its_name_told(self) -> None:
        (self.directory / ".drydock-start.link").symlink_to(str(os.getpid()))
        self.lacking(WITHOUT_FLOCK, ("-lt 200", "-lt 3"))
        done = self.ask(processes.START, "true", **_NOTHING)
        self.assertEqual(done.returncode, scripts.FAILED)
        self.assertIn(str(self.directory).encode(), done.stderr)

    def test_what_cannot_be_found_is_told(self) -> None:
        done = self.ask(processes.START, "no-such-command", **_NOTHING)
        self.assertEqual(done.returncode, scripts.FAILED)
        self.assertIn(b"no-such-command: not found", done.stderr)

    def test_a_script_whose_caller_has_gone_starts_nothing(self) -> None:
        reading, writing = os.pipe()
        os.close(reading)
        usual = {**_NOTHING, "mark": f"{TAG_MARK}={self.tag}"}
        usual["environment"] = exports({TAG_MARK: self.tag})
        values = {"directory": str(self.directory), **usual}
        done = subprocess.run(
            ["sh", "-c", command_line(processes.START)],
            input=given(values, ["sleep", "600"]),
            stdout=writing,
            stderr=subprocess.DEVNULL,
            check=False,
        )
        os.close(writing)
        self.assertNotEqual(done.returncode, 0)
        self.assertFalse(self.runs())

    def test_a_start_whose_file_was_cut_off_starts_nothing(self) -> None:
        mark = f"{TAG_MARK}={self.tag}"
        values = {**_NOTHING, "mark": mark, "file": "./a/b", "file_directory": "./a", "size": "8"}
        done = self.ask(processes.START, "sleep", "600", content=b"half", **values)
        self.assertEqual(done.returncode, scripts.CUT_OFF)
        self.assertEqual(list((self.directory / "a").iterdir()), [])
        self.assertFalse(self.runs())

    def test_who_looks_bears_the_mark_and_survives(self) -> None:
        script = "import subprocess, sys; sys.exit(subprocess.run(['sh', '-c', sys.argv[1]], "
        script += "input=bytes.fromhex(sys.argv[2])).returncode)"
        values = {"directory": "/", "mark": f"{TAG_MARK}={self.tag}", "note": "", "grace": "1"}
        line = command_line(processes.STOP)
        done = subprocess.run(
            [sys.executable, "-c", script, line, given(values).hex()],
            env={**os.environ, TAG_MARK: self.tag},
            stdout=subprocess.DEVNULL,
            check=False,
        )
        self.assertEqual(done.returncode, 0)


def _until(condition: Callable[[], bool]) -> None:
    """Return once a condition holds; an error if it does not for very long."""
    deadline = time.monotonic() + 60
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError("it does not come true")


def _stat(pid: int) -> list[str]:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()
    except OSError:
        return ["X"]


def _lives(pid: int) -> bool:
    return _stat(pid)[0] not in ("Z", "X")


def _group(leader: int) -> set[int]:
    pids = [int(name) for name in os.listdir("/proc") if name.isdigit()]
    return {pid for pid in pids if _lives(pid) and _stat(pid)[2:3] == [str(leader)]}


def _group_lives(leader: int) -> bool:
    return bool(_group(leader))
