"""How long work holds the reactor: the longest gap between two beats of a heart in its thread.

The heart beats every millisecond. A gap is as long as whatever kept the next beat from coming: a
callback that computes, a garbage collection, or a wait for the interpreter's lock that another
thread holds. All of that counts, and up to one beat of sleep with it.

What does not count is the time in which the kernel ran somebody else: that is the machine's
business, and says nothing of the program. Linux tells for each thread how long it was ready to run
and did not, in the second field of ``/proc/self/task/TID/schedstat``, in nanoseconds. From each gap
is subtracted

* the time in which the reactor's own thread was so kept waiting, or, if that is more,
* the time in which any thread was, as far as no thread of the process ran meanwhile: a thread that
  holds the interpreter's lock and is not let run holds up the others.

Where there is no such file, the gaps are what the clock shows.
"""

from __future__ import annotations

import ctypes
import os
import threading
from collections.abc import Awaitable, Callable
from time import perf_counter, process_time
from typing import Any

BEAT_SECONDS = 0.001


class RunQueues:
    """How long each thread of this process has been kept from a processor so far."""

    def __init__(self) -> None:
        self._files: dict[int, int] = {}  # by the kernel's number of the thread
        self._text = ctypes.create_string_buffer(128)
        # Unlike ``os.pread``, this keeps the interpreter's lock. To give it up in each beat, and
        # wait for it again, would be a hold of the measure's own making.
        self._pread: Any = ctypes.PyDLL(None).pread
        self._pread.argtypes = [ctypes.c_int, ctypes.c_char_p, ctypes.c_size_t, ctypes.c_long]

    def close(self) -> None:
        while self._files:
            os.close(self._files.popitem()[1])

    def seconds(self) -> dict[int, float]:
        """Return the time so far of each thread there is; nothing if the kernel does not tell."""
        waited = {}
        for thread in threading.enumerate():
            number = thread.native_id
            if number is not None and (text := self._read(number)):
                waited[number] = int(text.split()[1]) / 1e9
        return waited

    def _read(self, number: int) -> bytes:
        if number not in self._files:
            try:
                path = f"/proc/self/task/{number}/schedstat"
                self._files[number] = os.open(path, os.O_RDONLY)
            except OSError:
                return b""
        length: int = self._pread(self._files[number], self._text, len(self._text), 0)
        return self._text.raw[:length] if length > 0 else b""


class Heart:
    """Beats in the reactor's thread while the ``with`` block is under way."""

    def __init__(self, clock: Any) -> None:
        self._clock = clock  # the reactor
        self._queues = RunQueues()
        self._next: Any = None  # an IDelayedCall
        self._thread = threading.get_native_id()
        self.longest_ms = 0.0

    def __enter__(self) -> Heart:
        self._last, self._ran, self._waited = self._look()
        self._next = self._clock.callLater(BEAT_SECONDS, self._beat)
        return self

    def __exit__(self, *_: object) -> None:
        self._note()
        self._next.cancel()
        self._queues.close()

    def _look(self) -> tuple[float, float, dict[int, float]]:
        return perf_counter(), process_time(), self._queues.seconds()

    def _beat(self) -> None:
        self._note()
        self._next = self._clock.callLater(BEAT_SECONDS, self._beat)

    def _note(self) -> None:
        now, ran, waited = self._look()
        kept = {each: time - self._waited.get(each, time) for each, time in waited.items()}
        gap, nobody_ran = now - self._last, (now - self._last) - (ran - self._ran)
        machine = max(kept.get(self._thread, 0.0), min(sum(kept.values()), nobody_ran))
        self._last, self._ran, self._waited = now, ran, waited
        self.longest_ms = max(self.longest_ms, (gap - machine) * 1000)


async def longest_hold_ms(clock: Any, work: Callable[[], Awaitable[object]]) -> float:
    """Return the longest hold of the reactor *clock* while *work* was under way."""
    with Heart(clock) as heart:
        await work()
    return heart.longest_ms
