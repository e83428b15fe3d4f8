"""How long work holds the reactor: the longest gap between two beats of a heart in its thread.

The heart beats every millisecond. A gap is as long as whatever kept the next beat from coming: a
callback that computes, a garbage collection, or a wait for the interpreter's lock that another
thread holds. All of that counts, and up to one beat of sleep with it.

What does not count is the time in which the reactor's thread was ready to run and the kernel ran
somebody else: that is the machine's business, and says nothing of the program. Linux tells it for
each thread, in the second field of ``/proc/self/task/TID/schedstat``, in nanoseconds; it is
subtracted from each gap. Where there is no such file, the gaps are what the clock shows.
"""

from __future__ import annotations

import ctypes
import os
import threading
from collections.abc import Awaitable, Callable
from contextlib import suppress
from time import perf_counter
from types import TracebackType
from typing import Any

BEAT_SECONDS = 0.001


class RunQueue:
    """How long the calling thread has waited for a processor so far."""

    def __init__(self) -> None:
        self._file: int | None = None
        self._text = ctypes.create_string_buffer(128)
        # Unlike ``os.pread``, this keeps the interpreter's lock. To give it up in each beat, and
        # wait for it again, would be a hold of the measure's own making.
        self._pread: Any = ctypes.PyDLL(None).pread
        self._pread.argtypes = [ctypes.c_int, ctypes.c_char_p, ctypes.c_size_t, ctypes.c_long]

    def __enter__(self) -> RunQueue:
        path = f"/proc/self/task/{threading.get_native_id()}/schedstat"
        with suppress(OSError):
            self._file = os.open(path, os.O_RDONLY)
        return self

    def __exit__(self, *_: object) -> None:
        if self._file is not None:
            os.close(self._file)
            self._file = None

    def seconds(self) -> float:
        """Return the time so far; always 0 where the kernel does not tell."""
        if self._file is None or self._pread(self._file, self._text, len(self._text), 0) <= 0:
            return 0.0
        return int(self._text.value.split()[1]) / 1e9


class Heart:
    """Beats in the reactor's thread while the ``with`` block is under way."""

    def __init__(self, clock: Any) -> None:
        self._clock = clock  # the reactor
        self._queue = RunQueue()
        self._next: Any = None  # an IDelayedCall
        self.longest_ms = 0.0

    def __enter__(self) -> Heart:
        self._queue.__enter__()
        self._last, self._waited = perf_counter(), self._queue.seconds()
        self._next = self._clock.callLater(BEAT_SECONDS, self._beat)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._note()
        self._next.cancel()
        self._queue.__exit__(kind, error, traceback)

    def _beat(self) -> None:
        self._note()
        self._next = self._clock.callLater(BEAT_SECONDS, self._beat)

    def _note(self) -> None:
        now, waited = perf_counter(), self._queue.seconds()
        held = (now - self._last) - (waited - self._waited)
        self._last, self._waited = now, waited
        self.longest_ms = max(self.longest_ms, held * 1000)


async def longest_hold_ms(clock: Any, work: Callable[[], Awaitable[object]]) -> float:
    """Return the longest hold of the reactor *clock* while *work* was under way."""
    with Heart(clock) as heart:
        await work()
    return heart.longest_ms
