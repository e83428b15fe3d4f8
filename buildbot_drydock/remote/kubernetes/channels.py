"""The channels of one command in a pod, told apart in what a cluster sends (``v4.channel.k8s.io``).

Each message begins with the number of its channel: 0 is the standard input, 1 and 2 are the outputs,
and 3 is a ``Status`` in JSON that tells how the command ended. Pure.
"""

from __future__ import annotations

import json
from typing import Any, Final

PROTOCOL: Final = "v4.channel.k8s.io"

_STDIN: Final = b"\0"
_STDOUT: Final = 1
_STDERR: Final = 2
_STATUS: Final = 3
_PIECE: Final = 16_384


class Channels:
    """Takes the messages that arrive."""

    def __init__(self) -> None:
        self.stdout = bytearray()
        self.stderr = bytearray()
        self._status = bytearray()

    def feed(self, message: bytes) -> bool:
        """Take a message; tell whether it had any content."""
        if len(message) < 2:
            return False  # a channel is opened by a message that is empty
        content = {_STDOUT: self.stdout, _STDERR: self.stderr, _STATUS: self._status}
        into = content.get(message[0])
        if into is not None:
            into += message[1:]
        return into is not None

    @property
    def exit_code(self) -> int | None:
        """How the command ended; None if that is not known, as when the connection broke."""
        status = self._read()
        if status.get("status") == "Success":
            return 0
        causes = (status.get("details") or {}).get("causes") or ()
        codes = [each.get("message") for each in causes if each.get("reason") == "ExitCode"]
        return int(codes[0]) if codes and str(codes[0]).isdigit() else None

    @property
    def complaint(self) -> str:
        """What is said of a command that did not run to its end."""
        return str(self._read().get("message") or "").strip()

    def _read(self) -> dict[str, Any]:
        try:
            status = json.loads(bytes(self._status))
        except ValueError:
            return {}
        return status if isinstance(status, dict) else {}


def messages(data: bytes) -> list[bytes]:
    """Return what is for the standard input, in messages that a socket takes at once."""
    return [_STDIN + data[at : at + _PIECE] for at in range(0, len(data), _PIECE)]
