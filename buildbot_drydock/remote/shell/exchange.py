"""One script on a machine: what is sent, and what comes back."""

from __future__ import annotations

from collections.abc import Awaitable
from dataclasses import dataclass
from typing import Final, Protocol

from buildbot_drydock.errors import CommandTimedOut, HostError
from buildbot_drydock.interfaces import Completed
from buildbot_drydock.remote.shell.scripts import READY

_SHOWN_BYTES: Final = 500  # of the last output, in an error


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


def answered(completed: Completed) -> Answer:
    """Return the answer in all that a script wrote."""
    out, err = READY.search(completed.stdout), READY.search(completed.stderr)
    before_out = completed.stdout if out is None else completed.stdout[: out.start()]
    after_out = b"" if out is None else completed.stdout[out.end() :]
    after_err = b"" if err is None else completed.stderr[err.end() :]
    before_err = completed.stderr if err is None else completed.stderr[: err.start()]
    return Answer(
        ready=out is not None,
        completed=Completed(exit_code=completed.exit_code, stdout=after_out, stderr=after_err),
        complaint=before_err + after_err or before_out,
    )


def time_limit(request: Request) -> str:
    """Say that a script ran into its whole limit."""
    return f"it took longer than {request.timeout:g} s (its timeout)"


def idle_limit(request: Request) -> str:
    """Say that a script wrote nothing for too long."""
    return f"it wrote nothing for {request.idle_timeout:g} s (its idle_timeout)"


def timed_out(request: Request, shown: str, limit: str, last_output: bytes) -> CommandTimedOut:
    """Return the error for a script that ran into a limit on the machine that is called *shown*."""
    text = last_output[-_SHOWN_BYTES:].decode(errors="replace").strip()
    said = f"its last output was: {text}" if text else "it had written nothing"
    return CommandTimedOut(f"the command {request.shown} on {shown} was ended, as {limit}; {said}")
