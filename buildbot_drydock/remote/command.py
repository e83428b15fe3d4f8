"""Run one command on this machine to its end, in a session of its own and within limits."""

from __future__ import annotations

import os
import shlex
import signal
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any, Final

from twisted.internet.defer import Deferred
from twisted.internet.error import ProcessDone, ProcessTerminated
from twisted.internet.protocol import ProcessProtocol
from twisted.python.failure import Failure

from buildbot_drydock.errors import CommandTimedOut
from buildbot_drydock.interfaces import Completed

_SHOWN_BYTES: Final = 500  # of the last output, in an error
_KILL_SECONDS: Final = 5.0  # how long a killed command may take to end

# A reactor starts a process in its own process group. This makes the session, and gives way to the
# command; a command that can't be executed ends as it does in a shell. Python changes two signals
# when it starts, and LC_CTYPE if there is no locale; the command must get them as they were.
_LAUNCHER: Final = """
import os, signal, sys
os.setsid()
for name in ("SIGPIPE", "SIGXFSZ"):
    signal.signal(getattr(signal, name), signal.SIG_DFL)
os.environ.pop("LC_CTYPE", None)
if sys.argv[1]:
    os.environ["LC_CTYPE"] = sys.argv[1]
try:
    os.execvp(sys.argv[2], sys.argv[2:])
except OSError as error:
    print(f"{sys.argv[2]}: {error.strerror}", file=sys.stderr)
    os._exit(127 if isinstance(error, FileNotFoundError) else 126)
"""


async def run_command(
    reactor: Any,  # IReactorProcess and IReactorTime
    argv: Sequence[str],
    *,
    timeout: float,
    idle_timeout: float | None,
    env: Mapping[str, str],
    cwd: str,
    stdin: bytes,
) -> Completed:
    """Run a command, at most *timeout* seconds, and *idle_timeout* seconds without output.

    Raises ``CommandTimedOut``. Cancelling the call, or running into a limit, kills the whole
    process group.
    """
    running = _Running(reactor, argv, timeout, idle_timeout)
    arguments = [sys.executable, "-I", "-S", "-c", _LAUNCHER, env.get("LC_CTYPE", ""), *argv]
    transport = reactor.spawnProcess(running, sys.executable, arguments, env=dict(env), path=cwd)
    transport.write(stdin)
    transport.closeStdin()
    return await running.finished


class _Running(ProcessProtocol):
    """The command while it runs."""

    transport: Any  # IProcessTransport

    def __init__(
        self, reactor: Any, argv: Sequence[str], timeout: float, idle_timeout: float | None
    ) -> None:
        self.finished: Deferred[Completed] = Deferred(lambda _: self._end())
        self._reactor = reactor
        self._line = shlex.join(argv)
        self._idle_timeout = idle_timeout
        self._stdout: list[bytes] = []
        self._stderr: list[bytes] = []
        self._last_output = b""
        self._limit = ""  # the one that it ran into
        self._pid = 0
        self._exited = False
        self._timers = {
            "timeout": reactor.callLater(
                timeout, self._run_into, f"it took longer than {timeout:g} s (its timeout)"
            )
        }
        if idle_timeout is not None:
            self._timers["idle_timeout"] = reactor.callLater(
                idle_timeout,
                self._run_into,
                f"it wrote nothing for {idle_timeout:g} s (its idle_timeout)",
            )

    def connectionMade(self) -> None:
        self._pid = self.transport.pid

    def outReceived(self, data: bytes) -> None:
        self._received(self._stdout, data)

    def errReceived(self, data: bytes) -> None:
        self._received(self._stderr, data)

    def _received(self, stream: list[bytes], data: bytes) -> None:
        stream.append(data)
        self._last_output = (self._last_output + data)[-_SHOWN_BYTES:]
        idle = self._timers.get("idle_timeout")
        if idle is not None and idle.active():
            idle.reset(self._idle_timeout)

    def _run_into(self, limit: str) -> None:
        self._limit = limit
        self._stop_timers()
        # Killing can't fail, but what waits in the kernel may take its time to die.
        self._timers["killing"] = self._reactor.callLater(_KILL_SECONDS, self._report_limit)
        self._kill()
        if self._exited:
            # What it left holds the pipes open, and may have left the group as well.
            self._report_limit()

    def processExited(self, reason: Failure) -> None:
        self._exited = True
        if self._limit:
            self._report_limit()

    def processEnded(self, reason: Failure) -> None:
        self._stop_timers()
        if self.finished.called:
            return
        error = reason.value
        assert isinstance(error, ProcessDone | ProcessTerminated), error
        self.finished.callback(
            Completed(
                exit_code=-error.signal if error.signal else error.exitCode or 0,
                stdout=b"".join(self._stdout),
                stderr=b"".join(self._stderr),
            )
        )

    def _report_limit(self) -> None:
        self._stop_timers()
        if self.finished.called:
            return
        self.transport.loseConnection()
        shown = self._last_output.decode(errors="replace").strip()
        said = f"its last output was: {shown}" if shown else "it had written nothing"
        self.finished.errback(
            CommandTimedOut(f"the command {self._line} was ended, as {self._limit}; {said}")
        )

    def _end(self) -> None:
        """Give up on the command, for a caller that no longer wants to know."""
        self._stop_timers()
        self._kill()
        self.transport.loseConnection()

    def _kill(self) -> None:
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self._pid, signal.SIGKILL)
        if not self._exited:
            # Before it has made its session there is no such group, only the process.
            with suppress(ProcessLookupError):
                os.kill(self._pid, signal.SIGKILL)

    def _stop_timers(self) -> None:
        for timer in self._timers.values():
            if timer.active():
                timer.cancel()
