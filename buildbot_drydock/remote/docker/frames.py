"""The two outputs of a command, told apart in the one stream that an engine sends.

Each piece has a header of eight bytes: which output, three unused, and the length (Docker Engine API,
"Attach to a container", section "Stream format").
"""

from __future__ import annotations

import struct
from typing import Final

_HEADER: Final = struct.Struct(">BxxxL")
STDERR: Final = 2
_KNOWN: Final = (0, 1, STDERR)


class NotFramed(Exception):
    """What came is not a stream of frames, such as an error's text."""


class Frames:
    """Takes what arrives, in pieces of any size."""

    def __init__(self) -> None:
        self.stdout = bytearray()
        self.stderr = bytearray()
        self._rest = bytearray()  # of a frame's header, at its beginning
        self._left = 0  # bytes of the frame's content that are yet to come
        self._output = self.stdout

    def feed(self, data: bytes) -> None:
        """Take what arrived. Raises ``NotFramed``."""
        self._rest += data
        while self._rest:
            if not self._left and not self._begin():
                return
            piece = self._rest[: self._left]
            self._output += piece
            self._left -= len(piece)
            del self._rest[: len(piece)]

    def _begin(self) -> bool:
        """Read the header of the next frame, if it has arrived; one without content is left out."""
        if self._rest[0] not in _KNOWN:
            raise NotFramed(bytes(self._rest).decode(errors="replace"))
        if len(self._rest) < _HEADER.size:
            return False
        which, self._left = _HEADER.unpack_from(self._rest)
        del self._rest[: _HEADER.size]
        self._output = self.stderr if which == STDERR else self.stdout
        return True
