"""Being told to stop: Ctrl-C, SIGTERM, or the terminal going away.

A signal raises ``Interrupted`` wherever the program is, but for a part that is *held*: there it is
raised at the end of it. So a reply that tells of a new lease is never lost to a signal.
"""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from buildbot_drydock.cli.exits import Exit

SIGNALS: Final = {
    signal.SIGINT: Exit.INTERRUPTED,
    signal.SIGTERM: Exit.TERMINATED,
    signal.SIGHUP: Exit.HUNG_UP,
}


class Interrupted(BaseException):
    """Not an ``Exception``, so that nobody takes it for a failure of what he does."""

    def __init__(self, number: int) -> None:
        super().__init__(signal.strsignal(number) or f"signal {number}")
        self.exit = SIGNALS[signal.Signals(number)]


class Interruptions:
    """What signals do while the program runs."""

    def __init__(self) -> None:
        self._holds = 0
        self._noted: int | None = None

    def install(self) -> None:
        for number in SIGNALS:
            if signal.getsignal(number) != signal.SIG_IGN:  # nohup has its way
                signal.signal(number, self.arrive)

    def arrive(self, number: int, frame: object = None) -> None:
        if self._holds and self._noted is None:
            self._noted = number
            return
        # Whoever asks a second time does not want to wait for an answer.
        self._noted = None
        raise Interrupted(number)

    @contextmanager
    def held(self) -> Iterator[None]:
        """Put off what arrives within, once."""
        self._holds += 1
        try:
            yield
        finally:
            self._holds -= 1
        if not self._holds and self._noted is not None:
            number, self._noted = self._noted, None
            raise Interrupted(number)
