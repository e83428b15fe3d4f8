"""One script on the machine, over one channel: what is sent, what comes back, within limits."""

from __future__ import annotations

import asyncio
import signal
from contextlib import suppress
from typing import Any, Final

from buildbot_drydock.interfaces import Completed
from buildbot_drydock.remote.shell.exchange import (
    Answer,
    Request,
    idle_limit,
    time_limit,
    timed_out,
)
from buildbot_drydock.remote.shell.scripts import END_GROUP, READY, command_line, given
from buildbot_drydock.remote.ssh.access import Access
from buildbot_drydock.remote.ssh.failures import connection_lost, no_session
from buildbot_drydock.remote.ssh.library import asyncssh

_SHOWN_BYTES: Final = 500  # of the last output, in an error
_ENDING_SECONDS: Final = 5.0  # how long a killed command may take to end
UNNAMED_SIGNAL: Final = 255  # SSH has names for a few signals only


async def exchange(
    connection: asyncssh.SSHClientConnection, access: Access, request: Request
) -> Answer:
    """Run a script over a channel of its own.

    Raises ``CommandTimedOut``, and ``HostUnreachable`` for a script whose end is not known.
    """
    session = _Exchange(connection, access, request)
    opening = asyncio.ensure_future(
        connection.create_session(lambda: session, command_line(request.script), encoding=None)
    )
    # Not cancelled with the call: a channel that opens later has to be closed again.
    opening.add_done_callback(session.opened)
    try:
        return await session.answer
    finally:
        await session.end()


class _Stream:
    """One output of the script."""

    def __init__(self) -> None:
        self.before = b""
        self.leader = b""  # the number of the script's process, once it is ready
        self.after: list[bytes] = []

    def feed(self, data: bytes) -> bytes:
        """Take output; return what of it came after the script was ready."""
        if not self.leader:
            self.before += data
            data = b""
            if (mark := READY.search(self.before)) is not None:
                self.leader, data = mark[1], self.before[mark.end() :]
                self.before = self.before[: mark.start()]
        if data:
            self.after.append(data)
        return data


class _Exchange(asyncssh.SSHClientSession[bytes]):
    """The script while it runs."""

    def __init__(
        self, connection: asyncssh.SSHClientConnection, access: Access, request: Request
    ) -> None:
        loop = asyncio.get_running_loop()
        self.answer: asyncio.Future[Answer] = loop.create_future()
        self._connection = connection
        self._access = access
        self._request = request
        self._channel: Any = None
        self._exited = asyncio.Event()
        self._closed = asyncio.Event()
        self._out, self._err = _Stream(), _Stream()
        self._last_output = b""
        self._exit_code: int | None = None
        self._timer = loop.call_later(
            request.timeout,
            self._run_into,
            time_limit(request),
        )
        self._idle_timer: asyncio.TimerHandle | None = None
        self._wait_for_output()

    # --- called by the library ---------------------------------------------------------------

    def data_received(self, data: bytes, datatype: int | None) -> None:
        self._wait_for_output()
        data = (self._out if datatype is None else self._err).feed(data)
        self._last_output = (self._last_output + data)[-_SHOWN_BYTES:]

    def exit_status_received(self, status: int) -> None:
        self._exit_code = status
        self._exited.set()

    def exit_signal_received(self, signal: str, core_dumped: bool, msg: str, lang: str) -> None:
        self._exit_code = -_signal_number(signal)
        self._exited.set()

    def connection_lost(self, exc: Exception | None) -> None:
        self._exited.set()
        self._closed.set()
        if self.answer.done():
            return
        if exc is not None or self._exit_code is None:
            self.answer.set_exception(connection_lost(self._access, exc))
        else:
            self.answer.set_result(self._answer(self._exit_code))

    def opened(self, opening: asyncio.Future[tuple[Any, Any]]) -> None:
        """Send what is to be sent; or close the channel, if nobody waits for it any more."""
        if opening.cancelled():
            self._closed.set()
        elif (error := opening.exception()) is not None:
            self._closed.set()
            if not self.answer.done():
                self.answer.set_exception(no_session(self._access, error))
        else:
            self._channel, _ = opening.result()
            if self.answer.done():
                self._channel.close()
            else:
                self._channel.write(self._request.content)

    # --- limits ------------------------------------------------------------------------------

    async def end(self) -> None:
        """Leave nothing running: for a call that is over, however it came to that."""
        self._stop_timers()
        if not self.answer.done():
            self.answer.cancel()
        if self._channel is None or self._closed.is_set():
            return
        if self._request.farewell and self._exited.is_set():
            await self._end_what_it_left()
        elif self._request.farewell:
            self._channel.write(self._request.farewell)
            self._channel.write_eof()
            # Not until the channel is closed: what has left the group may hold its outputs.
            await _at_most(_ENDING_SECONDS, self._exited)
        self._channel.close()
        await _at_most(_ENDING_SECONDS, self._closed)

    async def _end_what_it_left(self) -> None:
        """End the group of a command that has ended, by which its input has been closed."""
        if self._out.leader:
            content = given({"directory": "/"}, [self._out.leader.decode()])
            with suppress(asyncssh.Error, OSError, asyncio.TimeoutError):
                await self._connection.run(
                    command_line(END_GROUP),
                    input=content,
                    encoding=None,
                    timeout=_ENDING_SECONDS,
                )

    def _run_into(self, limit: str) -> None:
        self._stop_timers()
        if self.answer.done():
            return
        self.answer.set_exception(
            timed_out(self._request, self._access.shown, limit, self._last_output)
        )

    def _wait_for_output(self) -> None:
        limit = self._request.idle_timeout
        if limit is None or self.answer.done():
            return
        if self._idle_timer is not None:
            self._idle_timer.cancel()
        self._idle_timer = asyncio.get_running_loop().call_later(
            limit, self._run_into, idle_limit(self._request)
        )

    def _stop_timers(self) -> None:
        self._timer.cancel()
        if self._idle_timer is not None:
            self._idle_timer.cancel()

    def _answer(self, exit_code: int) -> Answer:
        return Answer(
            ready=bool(self._out.leader),
            completed=Completed(
                exit_code=exit_code,
                stdout=b"".join(self._out.after),
                stderr=b"".join(self._err.after),
            ),
            complaint=b"".join([self._err.before, *self._err.after]) or self._out.before,
        )


async def _at_most(seconds: float, event: asyncio.Event) -> None:
    with suppress(asyncio.TimeoutError):
        await asyncio.wait_for(event.wait(), seconds)


def _signal_number(name: str) -> int:
    try:
        return int(signal.Signals[f"SIG{name}"])
    except KeyError:
        return UNNAMED_SIGNAL
