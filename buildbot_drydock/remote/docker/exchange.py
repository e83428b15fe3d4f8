"""One script in a container, within limits. Blocks; for use in a thread."""

from __future__ import annotations

import socket
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final

import docker.errors

from buildbot_drydock.errors import HostError
from buildbot_drydock.interfaces import Completed
from buildbot_drydock.remote.docker.channel import Channel
from buildbot_drydock.remote.docker.failures import NO_ANSWER, ended, unreachable
from buildbot_drydock.remote.docker.frames import Frames, NotFramed
from buildbot_drydock.remote.shell.exchange import (
    Answer,
    Request,
    answered,
    idle_limit,
    time_limit,
    timed_out,
)
from buildbot_drydock.remote.shell.scripts import END_GROUP, READY, given

_ENDING_SECONDS: Final = 5.0  # how long a killed command may take to end
_LOOK_SECONDS: Final = 0.02  # between two looks at whether a command has ended
_SURVIVAL_SECONDS: Final = 0.5
_LONGEST_WAIT: Final = 30.0
# An engine reports a signal as a shell does.
_SIGNAL: Final = 128
_MOST_SIGNALS: Final = 64
_KILLED: Final = 137


class Cancelled(Exception):
    """Nobody waits for the answer any more."""


class Exchange:
    """Runs one script in a thread; ``cancel`` may be called in any other."""

    def __init__(
        self,
        client: Callable[[], Any],
        container: str,
        shown: str,
        request: Request,
        *,
        seconds: Callable[[], float],
    ) -> None:
        """*client* returns the engine's ``docker.APIClient``, and may block for that."""
        self._client_of = client
        self._container = container
        self._shown = shown
        self._request = request
        self._seconds = seconds
        self._cancelled = False
        self._waking, self._woken = socket.socketpair()
        self._frames = Frames()

    def cancel(self) -> None:
        """End what was begun, soon."""
        self._cancelled = True
        with suppress(OSError):
            self._waking.send(b"\n")

    def run(self) -> Answer:
        """Raises ``CommandTimedOut``, ``HostUnreachable`` and ``Cancelled``."""
        try:
            if self._cancelled:
                raise Cancelled
            return self._run(self._client_of())
        except (docker.errors.DockerException, *NO_ANSWER) as error:
            raise unreachable(self._shown, error) from error
        finally:
            self._waking.close()
            self._woken.close()

    def _run(self, client: Any) -> Answer:
        request = self._request
        number, channel = _begun(client, self._container, request.script)
        try:
            channel.write(request.content)
            self._follow(client, channel)
        finally:
            channel.close()
        code = self._exit_code(client, number)
        if code == _KILLED:
            self._require_survival(client)
        if _SIGNAL < code <= _SIGNAL + _MOST_SIGNALS:
            code = _SIGNAL - code
        return self._answer(code)

    def _answer(self, exit_code: int) -> Answer:
        frames = self._frames
        return answered(
            Completed(exit_code=exit_code, stdout=bytes(frames.stdout), stderr=bytes(frames.stderr))
        )

    def _follow(self, client: Any, channel: Channel) -> None:
        """Take all that the script writes, until it ends or has to be ended."""
        request, now = self._request, self._seconds()
        deadline = now + request.timeout
        idle = None if request.idle_timeout is None else now + request.idle_timeout
        while not channel.is_at_end:
            until = deadline if idle is None else min(deadline, idle)
            data = channel.wait(min(until - self._seconds(), _LONGEST_WAIT), self._woken)
            now = self._seconds()
            if data:
                self._feed(data)
                idle = None if request.idle_timeout is None else now + request.idle_timeout
            elif channel.is_at_end:
                return
            limit = None
            if now >= deadline:
                limit = time_limit(request)
            elif idle is not None and now >= idle:
                limit = idle_limit(request)
            if limit is None and not self._cancelled:
                continue
            self._end(client, channel)
            if limit is None:
                raise Cancelled
            written = self._answer(0).completed
            raise timed_out(request, self._shown, limit, written.stderr + written.stdout)

    def _feed(self, data: bytes) -> None:
        try:
            self._frames.feed(data)
        except NotFramed as error:
            raise HostError(f"{self._shown}: the engine said: {error}") from error

    def _end(self, client: Any, channel: Channel) -> None:
        """Have the script end what it has started, and end what is left of its group then."""
        if not self._request.farewell:
            return
        with suppress(OSError):
            self._woken.setblocking(False)
            self._woken.recv(1)
        channel.write(self._request.farewell)
        until = self._seconds() + _ENDING_SECONDS
        while not channel.is_at_end and self._seconds() < until:
            with suppress(HostError):
                self._feed(channel.wait(until - self._seconds(), self._woken))
        leader = READY.search(bytes(self._frames.stdout))
        if not channel.is_at_end and leader is not None:
            # It has ended by itself, and what it has left behind holds its outputs.
            content = given({"directory": "/"}, [leader[1].decode()])
            _, ending = _begun(client, self._container, END_GROUP)
            ending.write(content)
            until = self._seconds() + _ENDING_SECONDS
            while not ending.is_at_end and self._seconds() < until:
                ending.wait(until - self._seconds(), self._woken)
            ending.close()

    def _exit_code(self, client: Any, number: str) -> int:
        """Return how the script ended. The engine may learn of it later than of its last output."""
        until = self._seconds() + _ENDING_SECONDS
        while True:
            found = client.exec_inspect(number)
            code = found.get("ExitCode")
            if not found.get("Running") and code is not None:
                return int(code)
            self._require_running(client)
            if self._cancelled:
                raise Cancelled
            if self._seconds() > until:
                raise unreachable(self._shown, OSError("the connection to the engine was lost"))
            self._pause()

    def _require_survival(self, client: Any) -> None:
        """Tell a command that was killed from a container that has ended with all that is in it.

        The engine may learn of the container's end a little later than of the command's.
        """
        until = self._seconds() + _SURVIVAL_SECONDS
        while self._seconds() < until and not self._cancelled:
            self._require_running(client)
            self._pause()

    def _pause(self) -> None:
        self._woken.settimeout(_LOOK_SECONDS)
        with suppress(OSError):
            self._woken.recv(1)

    def _require_running(self, client: Any) -> None:
        state = client.inspect_container(self._container)["State"]
        if not state.get("Running"):
            raise ended(self._shown, state)


def _begun(client: Any, container: str, script: str) -> tuple[str, Channel]:
    """Start a script. The library's own ``exec_start`` may lose what comes with the headers."""
    argv = ["/bin/sh", "-c", script, "drydock"]
    number = client.exec_create(container, argv, stdin=True)["Id"]
    response = client._post_json(
        client._url("/exec/{0}/start", number),
        headers={"Connection": "Upgrade", "Upgrade": "tcp"},
        data={"Tty": False, "Detach": False},
        stream=True,
    )
    client._raise_for_status(response)
    return str(number), Channel(response)
