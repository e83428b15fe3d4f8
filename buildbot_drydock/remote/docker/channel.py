"""The open stream of one command in a container, both ways. Blocks; for use in a thread."""

from __future__ import annotations

import select
import socket
import ssl
from contextlib import suppress
from typing import Any, Final

_CHUNK: Final = 65_536
_WOULD_BLOCK: Final = (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError)


class Channel:
    """Takes the connection over from the HTTP reply that began it."""

    def __init__(self, response: Any) -> None:
        """*response* is of ``requests``, with its body not read."""
        self._response = response  # it closes the socket when it is collected
        reader = response.raw._fp.fp
        self._socket: socket.socket = reader.raw._sock
        self._socket.setblocking(False)
        self._early = _read_ahead(reader)
        self._unsent = memoryview(b"")
        self.is_at_end = False

    def write(self, data: bytes) -> None:
        """Have data sent, as soon as the other side takes it."""
        self._unsent = memoryview(bytes(self._unsent) + data)

    def wait(self, seconds: float, wakened_by: socket.socket) -> bytes:
        """Send and receive what can be. Returns what arrived; empty after *seconds* at most.

        Returns early if there is anything to be read from *wakened_by*.
        """
        if self._early:
            data, self._early = self._early, b""
            return data
        pending = isinstance(self._socket, ssl.SSLSocket) and self._socket.pending()
        writers = [self._socket] if self._unsent else []
        readable, writable, _ = select.select(
            [self._socket, wakened_by], writers, [], 0 if pending else max(0.0, seconds)
        )
        if writable:
            self._send()
        return self._receive() if pending or self._socket in readable else b""

    def close(self) -> None:
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        self._response.close()

    def _send(self) -> None:
        try:
            self._unsent = self._unsent[self._socket.send(self._unsent[:_CHUNK]) :]
        except _WOULD_BLOCK:
            pass
        except OSError:
            self._unsent = memoryview(b"")  # nobody takes it any more; the reading tells why

    def _receive(self) -> bytes:
        try:
            data = self._socket.recv(_CHUNK)
        except _WOULD_BLOCK:
            return b""
        except OSError:
            data = b""
        self.is_at_end = not data
        return data


def _read_ahead(reader: Any) -> bytes:
    """Return what came with the headers of the reply, and was read with them."""
    try:
        arrived = len(reader.peek())
        return bytes(reader.read1(arrived)) if arrived else b""
    except (*_WOULD_BLOCK, ssl.SSLError):
        return b""
