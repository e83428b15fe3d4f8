"""One script on a machine: what is sent, and what comes back."""

from __future__ import annotations

from collections.abc import Awaitable
from dataclasses import dataclass
from typing import Protocol

from buildbot_drydock.errors import HostError
from buildbot_drydock.interfaces import Completed


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """A script to be run.

    *farewell* is what the script is sent to end what it has started, when the call is cancelled or
    runs into a limit.
    """

    shown: str  # for messages
    script: str
    content: bytes  # for the script's standard input
    timeout: float  # seconds
    idle_timeout: float | None = None
    farewell: bytes = b""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """How a script ended. What it wrote before it was ready is complaints, or a login's noise."""

    ready: bool
    completed: Completed
    complaint: bytes


class Machine(Protocol):
    """The way to one machine."""

    @property
    def shown(self) -> str:
        """What a message calls it."""
        ...

    def exchange(self, request: Request) -> Awaitable[Answer]:
        """Run a script there; it waits for its turn if there are too many already.

        Cancelling the call ends what was begun. Raises ``CommandTimedOut``, and
        ``HostUnreachable`` for a script whose end is not known.
        """
        ...

    def did_not_run(self, exit_code: int, said: bytes) -> HostError:
        """Return the error for a script that never began, with what was said instead."""
        ...
