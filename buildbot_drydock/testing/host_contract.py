"""What every host must do, as tests that anyone may subclass::

    class TestMyHost(HostContract, TestCase):
        def make_host(self) -> Host: ...

The host is a Unix machine with a shell, ``/proc`` and the command ``setsid``. What only pretends to
run commands passes ``FilesContract`` and ``TagsContract``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from uuid import uuid4

from twisted.internet import reactor
from twisted.internet.defer import CancelledError, Deferred, DeferredList, gatherResults
from twisted.internet.task import deferLater
from twisted.trial.unittest import TestCase

from buildbot_drydock.errors import CommandTimedOut, HostError
from buildbot_drydock.interfaces import Completed, Host

if TYPE_CHECKING:
    _Base = TestCase
else:
    _Base = object

_LONG = 120.0  # a limit that is generous on the slowest machine
_PAUSE = 0.05


class _HostContract(_Base):
    timeout = 300  # a test that waits for what never happens fails after so many seconds

    def make_host(self) -> Host:
        """Return a host whose files and processes nobody else uses."""
        raise NotImplementedError

    def setUp(self) -> None:
        super().setUp()
        self.host = self.make_host()
        self.tag = f"contract-{uuid4().hex}"
        self.addCleanup(lambda: Deferred.fromCoroutine(self.host.stop(self.tag)))

    async def pause(self) -> None:
        """Let the host get on, before it is looked at again."""
        await deferLater(reactor, _PAUSE)

    async def fails(self, call: Deferred[object], error: type[Exception] = HostError) -> str:
        """Return what a call that must fail says."""
        failed = await self.assertFailure(call, error)
        return str(failed)


class FilesContract(_HostContract):
    """Reading, writing and removing."""

    async def test_what_was_written_is_read(self) -> None:
        content = bytes(range(256)) * 1_000
        await self.host.write("notes", content)
        self.assertEqual(await self.host.read("notes"), content)

    async def test_an_empty_file_is_read_as_empty(self) -> None:
        await self.host.write("empty", b"")
        self.assertTrue(await self.host.exists("empty"))
        self.assertEqual(await self.host.read("empty"), b"")

    async def test_writing_replaces_what_was_there(self) -> None:
        await self.host.write("notes", b"a long first text")
        await self.host.write("notes", b"short")
        self.assertEqual(await self.host.read("notes"), b"short")

    async def test_writing_makes_the_directories(self) -> None:
        await self.host.write("some/deep directory/notes", b"here")
        self.assertEqual(await self.host.read("some/deep directory/notes"), b"here")
        self.assertTrue(await self.host.exists("some/deep directory"))

    async def test_names_are_taken_as_they_are(self) -> None:
        name = 'it\'s $HOME; a "name" *'
        await self.host.write(name, b"odd")
        self.assertEqual(await self.host.read(name), b"odd")
        await self.host.remove(name)
        self.assertFalse(await self.host.exists(name))

    async def test_reading_what_is_missing_fails_and_names_it(self) -> None:
        said = await self.fails(Deferred.fromCoroutine(self.host.read("no/such/file")))
        self.assertIn("no/such/file", said)

    async def test_what_is_missing_does_not_exist(self) -> None:
        self.assertFalse(await self.host.exists("no/such/file"))

    async def test_a_removed_file_is_gone_and_its_neighbour_stays(self) -> None:
        await self.host.write("notes", b"1")
        await self.host.write("notes-2", b"2")
        await self.host.remove("notes")
        self.assertFalse(await self.host.exists("notes"))
        self.assertTrue(await self.host.exists("notes-2"))

    async def test_a_directory_is_removed_with_all_that_is_in_it(self) -> None:
        await self.host.write("tree/a/b", b"1")
        await self.host.write("tree/c", b"2")
        await self.host.remove("tree")
        self.assertFalse(await self.host.exists("tree"))
        self.assertFalse(await self.host.exists("tree/c"))

    async def test_removing_nothing_succeeds(self) -> None:
        await self.host.remove("no/such/file")


class TagsContract(_HostContract):
    """What outlives a call is found again by its tag."""

    async def test_nothing_runs_at_first(self) -> None:
        self.assertFalse(await self.host.running(self.tag))

    async def test_what_was_started_runs_until_it_is_stopped(self) -> None:
        await self.host.start(["sleep", "600"], tag=self.tag)
        self.assertTrue(await self.host.running(self.tag))
        await self.host.stop(self.tag)
        self.assertFalse(await self.host.running(self.tag))

    async def test_one_tag_is_not_taken_for_another(self) -> None:
        await self.host.start(["sleep", "600"], tag=self.tag)
        self.assertFalse(await self.host.running(self.tag + "0"))
        self.assertFalse(await self.host.running(self.tag[:-1]))
        await self.host.stop(self.tag[:-1])
        self.assertTrue(await self.host.running(self.tag))

    async def test_stopping_what_does_not_run_succeeds(self) -> None:
        await self.host.stop(self.tag)

    async def test_a_start_that_comes_after_the_stop_is_refused(self) -> None:
        for begun in (False, True):
            with self.subTest(begun=begun):
                tag = f"{self.tag}-{begun}"
                if begun:
                    await self.host.start(["sleep", "600"], tag=tag)
                await self.host.stop(tag)
                late = self.host.start(["sleep", "600"], tag=tag)
                self.assertIn(tag, await self.fails(Deferred.fromCoroutine(late)))
                self.assertFalse(await self.host.running(tag))
        await self.host.start(["sleep", "600"], tag=self.tag)
        self.assertTrue(await self.host.running(self.tag))

    async def test_a_file_is_written_with_a_start(self) -> None:
        given = ("some where/given", bytes(range(256)) * 100)
        await self.host.start(["sleep", "600"], tag=self.tag, file=given)
        self.assertEqual(await self.host.read(given[0]), given[1])

    async def test_a_start_that_starts_nothing_writes_no_file(self) -> None:
        await self.host.start(["sleep", "600"], tag=self.tag, file=("given", b"first"))
        await self.host.start(["sleep", "600"], tag=self.tag, file=("given", b"second"))
        self.assertEqual(await self.host.read("given"), b"first")
        await self.host.stop(self.tag)
        late = self.host.start(["sleep", "600"], tag=self.tag, file=("given", b"third"))
        await self.fails(Deferred.fromCoroutine(late))
        self.assertEqual(await self.host.read("given"), b"first")

    async def test_a_start_and_a_stop_at_once_leave_nothing(self) -> None:
        for number in range(5):
            tag = f"{self.tag}-{number}"
            starting = Deferred.fromCoroutine(self.host.start(["sleep", "600"], tag=tag))
            stopping = Deferred.fromCoroutine(self.host.stop(tag))
            await DeferredList([starting, stopping], consumeErrors=True)
            self.assertFalse(await self.host.running(tag))


class CommandsContract(_HostContract):
    """Commands that run to their end, or into a limit."""

    async def sh(self, script: str, *arguments: str, **options: object) -> Completed:
        argv = ["sh", "-c", script, "sh", *arguments]
        return await self.host.run(argv, **{"timeout": _LONG, **options})  # type: ignore[arg-type]

    async def test_the_exit_code_is_the_commands(self) -> None:
        self.assertEqual((await self.sh("exit 0")).exit_code, 0)
        self.assertEqual((await self.sh("exit 7")).exit_code, 7)

    async def test_a_signal_is_a_negative_exit_code(self) -> None:
        self.assertEqual((await self.sh("kill -KILL $$")).exit_code, -9)

    async def test_a_command_that_does_not_exist_exits_with_127(self) -> None:
        completed = await self.host.run(["no-such-command-at-all"], timeout=_LONG)
        self.assertEqual(completed.exit_code, 127)
        self.assertIn(b"no-such-command-at-all", completed.stderr)

    async def test_the_two_outputs_are_kept_apart(self) -> None:
        completed = await self.sh("echo out; echo err >&2")
        self.assertEqual((completed.stdout, completed.stderr), (b"out\n", b"err\n"))

    async def test_a_large_output_arrives_whole(self) -> None:
        completed = await self.sh("head -c 1000000 /dev/zero")
        self.assertEqual(completed.stdout, bytes(1_000_000))

    async def test_what_is_given_is_on_standard_input(self) -> None:
        content = bytes(range(256)) * 1_000
        completed = await self.host.run(["cat"], timeout=_LONG, stdin=content)
        self.assertEqual(completed.stdout, content)

    async def test_standard_input_is_empty_if_nothing_is_given(self) -> None:
        completed = await self.host.run(["cat"], timeout=_LONG)
        self.assertEqual(completed.stdout, b"")

    async def test_a_command_need_not_read_its_input(self) -> None:
        completed = await self.host.run(["true"], timeout=_LONG, stdin=bytes(1_000_000))
        self.assertEqual(completed.exit_code, 0)

    async def test_arguments_are_taken_as_they_are(self) -> None:
        odd = ["it's", "$HOME", 'a "b" *', "", "a;b", "line\nbreak"]
        completed = await self.sh('for each; do printf "[%s]" "$each"; done', *odd)
        self.assertEqual(completed.stdout.decode(), "".join(f"[{each}]" for each in odd))

    async def test_the_environment_is_added_to(self) -> None:
        env = {"FLAVOUR": "it's $HOME", "OTHER": "2"}
        completed = await self.sh('printf "%s,%s,%s" "$FLAVOUR" "$OTHER" "${PATH:+path}"', env=env)
        self.assertEqual(completed.stdout.decode(), "it's $HOME,2,path")

    async def test_a_command_runs_in_the_directory_asked_for(self) -> None:
        await self.host.write("some where/notes", b"here")
        completed = await self.host.run(["cat", "notes"], timeout=_LONG, cwd="some where")
        self.assertEqual(completed.stdout, b"here")

    async def test_a_command_runs_where_relative_names_begin(self) -> None:
        await self.host.write("notes", b"here")
        completed = await self.host.run(["cat", "notes"], timeout=_LONG)
        self.assertEqual(completed.stdout, b"here")

    async def test_a_missing_working_directory_is_an_error_that_names_it(self) -> None:
        call = self.host.run(["true"], timeout=_LONG, cwd="no/such/directory")
        self.assertIn("no/such/directory", await self.fails(Deferred.fromCoroutine(call)))

    async def test_an_error_names_the_timeout_and_the_last_output(self) -> None:
        call = self.sh("echo nearly there; sleep 600", timeout=2.0)
        said = await self.fails(Deferred.fromCoroutine(call), CommandTimedOut)
        self.assertIn("2 s (its timeout)", said)
        self.assertIn("nearly there", said)

    async def test_an_error_names_the_limit_without_output(self) -> None:
        call = self.sh("echo nearly there; sleep 600", timeout=_LONG, idle_timeout=2.0)
        said = await self.fails(Deferred.fromCoroutine(call), CommandTimedOut)
        self.assertIn("2 s (its idle_timeout)", said)
        self.assertIn("nearly there", said)

    async def test_output_puts_off_the_limit_without_output(self) -> None:
        script = "for each in 1 2 3 4 5 6; do echo $each; sleep 1; done"
        completed = await self.sh(script, idle_timeout=5.0)
        self.assertEqual(completed.exit_code, 0)

    async def test_a_limit_ends_the_whole_process_group(self) -> None:
        await self.fails(Deferred.fromCoroutine(self._family(timeout=3.0)), CommandTimedOut)
        await self._family_has_ended()

    async def test_the_limit_without_output_ends_the_whole_process_group(self) -> None:
        call = self._family(timeout=_LONG, idle_timeout=3.0)
        await self.fails(Deferred.fromCoroutine(call), CommandTimedOut)
        await self._family_has_ended()

    async def test_cancelling_ends_the_whole_process_group(self) -> None:
        call: Deferred[object] = Deferred.fromCoroutine(self._family(timeout=_LONG))
        while not await self.host.exists("pids"):
            await self.pause()
        call.cancel()
        await self.fails(call, CancelledError)
        await self._family_has_ended()

    async def _family(self, *, timeout: float, idle_timeout: float | None = None) -> Completed:
        """Run a command with a child; both ignore a polite request to end."""
        script = 'trap "" TERM HUP; sleep 600 & echo $$ $! > pids.new; mv pids.new pids; wait'
        return await self.sh(script, timeout=timeout, idle_timeout=idle_timeout)

    async def _family_has_ended(self) -> None:
        pids = (await self.host.read("pids")).decode().split()
        self.assertEqual(len(pids), 2)
        for pid in pids:
            await self.eventually_ended(pid)

    async def eventually_ended(self, pid: str) -> None:
        """Return once a process is gone, or waits to be buried by its parent."""
        script = 'test -d "/proc/$1" && ! grep -q "^State:.*Z" "/proc/$1/status"'
        while (await self.sh(script, pid)).exit_code == 0:
            await self.pause()


class HostContract(FilesContract, TagsContract, CommandsContract):
    """The whole suite, for a host that really runs things."""

    async def test_a_process_is_started_once_for_a_tag(self) -> None:
        await self._start_counting()
        await self._counted()
        await self._start_counting()
        await self.host.stop(self.tag)
        self.assertEqual(await self.host.read("started"), b"once\n")

    async def test_a_process_is_started_once_even_if_asked_twice_at_once(self) -> None:
        calls = [Deferred.fromCoroutine(self._start_counting()) for _ in range(4)]
        await gatherResults(calls, consumeErrors=True)
        await self._counted()
        await self.host.stop(self.tag)
        self.assertEqual(await self.host.read("started"), b"once\n")

    async def test_output_goes_to_the_log(self) -> None:
        await self.host.start(["sh", "-c", "echo out; echo err >&2"], tag=self.tag, log="log")
        while len(await self._log()) < 2:
            await self.pause()
        self.assertEqual(await self._log(), ["err", "out"])

    async def test_a_later_process_adds_to_the_log(self) -> None:
        for word in ("first", "second"):
            await self.host.start(["echo", word], tag=f"{self.tag}-{word}", log="log")
            while word not in await self._log():
                await self.pause()
        self.assertEqual(await self._log(), ["first", "second"])

    async def test_a_started_process_has_its_environment_directory_and_no_input(self) -> None:
        await self.host.write("place/marker", b"")
        script = 'echo "$FLAVOUR" > said; ls >> said; cat >> said; mv said answer'
        await self.host.start(
            ["sh", "-c", script], tag=self.tag, env={"FLAVOUR": "it's $HOME"}, cwd="place"
        )
        while not await self.host.exists("place/answer"):
            await self.pause()
        self.assertEqual(await self.host.read("place/answer"), b"it's $HOME\nmarker\nsaid\n")

    async def test_a_started_process_finds_its_file_which_others_may_not_read(self) -> None:
        await self.host.start(
            ["sh", "-c", "{ cat given; ls -l given; } > said; mv said answer"],
            tag=self.tag,
            cwd="place",
            file=("place/given", b"secret\n"),
        )
        while not await self.host.exists("place/answer"):
            await self.pause()
        answer = (await self.host.read("place/answer")).decode()
        self.assertRegex(answer, r"^secret\n-rw-------")

    async def test_starting_what_does_not_exist_fails_or_ends(self) -> None:
        call = Deferred.fromCoroutine(self.host.start(["no-such-command-at-all"], tag=self.tag))
        try:
            await call
        except HostError as error:
            self.assertIn("no-such-command-at-all", str(error))
        while await self.host.running(self.tag):
            await self.pause()

    async def test_what_has_ended_by_itself_does_not_run(self) -> None:
        await self.host.start(["true"], tag=self.tag)
        while await self.host.running(self.tag):
            await self.pause()

    async def test_stopping_finds_what_hides_in_a_session_of_its_own_and_ignores_a_request(
        self,
    ) -> None:
        hidden = (
            'trap "" TERM HUP; echo $$ > hidden.new; mv hidden.new hidden; sleep 600; sleep 600'
        )
        script = "setsid sh -c '" + hidden + "' & exit 0"
        await self.host.start(["sh", "-c", script], tag=self.tag)
        while not await self.host.exists("hidden"):
            await self.pause()
        self.assertTrue(await self.host.running(self.tag))
        await self.host.stop(self.tag)
        self.assertFalse(await self.host.running(self.tag))
        await self.eventually_ended((await self.host.read("hidden")).decode().strip())

    async def test_stopping_lets_a_process_end_in_order(self) -> None:
        script = 'trap "echo bye > farewell; exit" TERM; echo > up; while :; do sleep 0.1; done'
        await self.host.start(["sh", "-c", script], tag=self.tag)
        while not await self.host.exists("up"):
            await self.pause()
        await self.host.stop(self.tag)
        self.assertEqual(await self.host.read("farewell"), b"bye\n")

    async def _start_counting(self) -> None:
        script = "echo once >> started; exec sleep 600"
        await self.host.start(["sh", "-c", script], tag=self.tag)

    async def _counted(self) -> None:
        while not await self.host.exists("started"):
            await self.pause()

    async def _log(self) -> list[str]:
        if not await self.host.exists("log"):
            return []
        return sorted((await self.host.read("log")).decode().split())
