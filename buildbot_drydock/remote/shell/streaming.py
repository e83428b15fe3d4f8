"""One script over a stream that is open both ways, within limits. Blocks; for use in a thread."""

from __future__ import annotations

import socket
from abc import ABC, abstractmethod
from collections.abc import Callable
from contextlib import suppress
from typing import ClassVar, Final, Protocol

from buildbot_drydock.errors import HostError, HostUnreachable
from buildbot_drydock.interfaces import Completed
from buildbot_drydock.remote.shell.exchange import (
    Answer,
    Request,
    answered,
    idle_limit,
    time_limit,
    timed_out,
)
from buildbot_drydock.remote.shell.scripts import END_GROUP, READY, given

ENDING_SECONDS: Final = 5.0  # how long a killed command may take to end
_LONGEST_WAIT: Final = 30.0
# Container runtimes report a signal as a shell does.
_SIGNAL: Final = 128
_MOST_SIGNALS: Final = 64


class Cancelled(Exception):
    """Nobody waits for the answer any more."""


class Stream(Protocol):
    """What a script is sent and what it writes, until it ends."""

    @property
    def is_at_end(self) -> bool: ...

    @property
    def stdout(self) -> bytes | bytearray: ...

    @property
    def stderr(self) -> bytes | bytearray: ...

    def write(self, data: bytes) -> None:
        """Have data sent, as soon as the other side takes it."""
        ...

    def wait(self, seconds: float, wakened_by: socket.socket) -> bool:
        """Send and receive what can be, for *seconds* at most; tell whether anything arrived.

        Returns early if there is anything to be read from *wakened_by*.
        """
        ...

    def close(self) -> None: ...


class StreamedExchange(ABC):
    """Runs one script in a thread; ``cancel`` may be called in any other."""

    no_answer: ClassVar[tuple[type[BaseException], ...]]  # what is raised for want of an answer

    def __init__(self, shown: str, request: Request, *, seconds: Callable[[], float]) -> None:
        self.shown = shown
        self.request = request
        self.seconds = seconds
        self.is_cancelled = False
        self._waking, self.woken = socket.socketpair()

    # --- what differs from one to another ------------------------------------------------------

    @abstractmethod
    def begin(self, script: str) -> Stream:
        """Start a script."""

    @abstractmethod
    def exit_code(self, stream: Stream) -> int:
        """Return how the script ended whose stream is at its end, as a shell reports it."""

    @abstractmethod
    def unreachable(self, error: BaseException) -> HostUnreachable:
        """Translate one of ``no_answer``."""

    # --- what does not -------------------------------------------------------------------------

    def cancel(self) -> None:
        """End what was begun, soon."""
        self.is_cancelled = True
        with suppress(OSError):
            self._waking.send(b"\n")

    def run(self) -> Answer:
        """Raises ``CommandTimedOut``, ``HostUnreachable`` and ``Cancelled``."""
        try:
            if self.is_cancelled:
                raise Cancelled
            return self._run()
        except self.no_answer as error:
            raise self.unreachable(error) from error
        finally:
            self._waking.close()
            self.woken.close()

    def pause(self, seconds: float) -> None:
        """Wait, but not once this is cancelled."""
        self.woken.settimeout(seconds)
        with suppress(OSError):
            self.woken.recv(1)

    def _run(self) -> Answer:
        stream = self.begin(self.request.script)
        try:
            stream.write(self.request.content)
            self._follow(stream)
        finally:
            stream.close()
        code = self.exit_code(stream)
        if _SIGNAL < code <= _SIGNAL + _MOST_SIGNALS:
            code = _SIGNAL - code
        return self._answer(stream, code)

    def _answer(self, stream: Stream, exit_code: int) -> Answer:
        return answered(
            Completed(exit_code=exit_code, stdout=bytes(stream.stdout), stderr=bytes(stream.stderr))
        )

    def _follow(self, stream: Stream) -> None:
        """Take all that the script writes, until it ends or has to be ended."""
        request, now = self.request, self.seconds()
        deadline = now + request.timeout
        idle = None if request.idle_timeout is None else now + request.idle_timeout
        while not stream.is_at_end:
            until = deadline if idle is None else min(deadline, idle)
            has_come = stream.wait(min(until - self.seconds(), _LONGEST_WAIT), self.woken)
            now = self.seconds()
            if has_come:
                idle = None if request.idle_timeout is None else now + request.idle_timeout
            elif stream.is_at_end:
                return
            limit = None
            if now >= deadline:
                limit = time_limit(request)
            elif idle is not None and now >= idle:
                limit = idle_limit(request)
            if limit is None and not self.is_cancelled:
                continue
            self._end(stream)
            if limit is None:
                raise Cancelled
            written = self._answer(stream, 0).completed
            raise timed_out(request, self.shown, limit, written.stderr + written.stdout)

    def _end(self, stream: Stream) -> None:
        """Have the script end what it has started, and end what is left of its group then."""
        if not self.request.farewell:
            return
        with suppress(OSError):
            self.woken.setblocking(False)
            self.woken.recv(1)
        stream.write(self.request.farewell)
        self._await_end(stream)
        leader = READY.search(bytes(stream.stdout))
        if not stream.is_at_end and leader is not None:
            # It has ended by itself, and what it has left behind holds its outputs.
            ending = self.begin(END_GROUP)
            ending.write(given({"directory": "/"}, [leader[1].decode()]))
            self._await_end(ending)
            ending.close()

    def _await_end(self, stream: Stream) -> None:
        until = self.seconds() + ENDING_SECONDS
        while not stream.is_at_end and self.seconds() < until:
            with suppress(HostError):
                stream.wait(until - self.seconds(), self.woken)
