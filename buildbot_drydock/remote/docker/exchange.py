"""One script in a container, within limits. Blocks; for use in a thread."""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import Any, ClassVar, Final

import docker.errors

from buildbot_drydock.errors import HostError, HostUnreachable
from buildbot_drydock.remote.docker.channel import Channel
from buildbot_drydock.remote.docker.failures import NO_ANSWER, ended, unreachable
from buildbot_drydock.remote.docker.frames import Frames, NotFramed
from buildbot_drydock.remote.shell.exchange import Request
from buildbot_drydock.remote.shell.streaming import (
    ENDING_SECONDS,
    Cancelled,
    Stream,
    StreamedExchange,
)

_LOOK_SECONDS: Final = 0.02  # between two looks at whether a command has ended
_SURVIVAL_SECONDS: Final = 0.5
_KILLED: Final = 137


class _Execution:
    """A script that was started, and the connection to it."""

    def __init__(self, shown: str, number: str, channel: Channel) -> None:
        self.number = number
        self._shown = shown
        self._channel = channel
        self._frames = Frames()
        self.write = channel.write
        self.close = channel.close

    @property
    def is_at_end(self) -> bool:
        return self._channel.is_at_end

    @property
    def stdout(self) -> bytearray:
        return self._frames.stdout

    @property
    def stderr(self) -> bytearray:
        return self._frames.stderr

    def wait(self, seconds: float, wakened_by: socket.socket) -> bool:
        data = self._channel.wait(seconds, wakened_by)
        try:
            self._frames.feed(data)
        except NotFramed as error:
            raise HostError(f"{self._shown}: the engine said: {error}") from error
        return bool(data)


class Exchange(StreamedExchange):
    """Runs one script in a container."""

    no_answer: ClassVar = (docker.errors.DockerException, *NO_ANSWER)

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
        super().__init__(shown, request, seconds=seconds)
        self._client = client
        self._container = container

    def begin(self, script: str) -> _Execution:
        """Start a script. The library's own ``exec_start`` may lose what comes with the headers."""
        client = self._client()
        argv = ["/bin/sh", "-c", script, "drydock"]
        number = client.exec_create(self._container, argv, stdin=True)["Id"]
        response = client._post_json(
            client._url("/exec/{0}/start", number),
            headers={"Connection": "Upgrade", "Upgrade": "tcp"},
            data={"Tty": False, "Detach": False},
            stream=True,
        )
        client._raise_for_status(response)
        return _Execution(self.shown, str(number), Channel(response))

    def exit_code(self, stream: Stream) -> int:
        assert isinstance(stream, _Execution)
        client = self._client()
        code = self._exit_code(client, stream.number)
        if code == _KILLED:
            self._require_survival(client)
        return code

    def unreachable(self, error: BaseException) -> HostUnreachable:
        return unreachable(self.shown, error)

    def _exit_code(self, client: Any, number: str) -> int:
        """Return how the script ended. The engine may learn of it later than of its last output."""
        until = self.seconds() + ENDING_SECONDS
        while True:
            found = client.exec_inspect(number)
            code = found.get("ExitCode")
            if not found.get("Running") and code is not None:
                return int(code)
            self._require_running(client)
            if self.is_cancelled:
                raise Cancelled
            if self.seconds() > until:
                raise unreachable(self.shown, OSError("the connection to the engine was lost"))
            self.pause(_LOOK_SECONDS)

    def _require_survival(self, client: Any) -> None:
        """Tell a command that was killed from a container that has ended with all that is in it.

        The engine may learn of the container's end a little later than of the command's.
        """
        until = self.seconds() + _SURVIVAL_SECONDS
        while self.seconds() < until and not self.is_cancelled:
            self._require_running(client)
            self.pause(_LOOK_SECONDS)

    def _require_running(self, client: Any) -> None:
        state = client.inspect_container(self._container)["State"]
        if not state.get("Running"):
            raise ended(self.shown, state)
