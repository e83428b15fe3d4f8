"""The exit codes of ``drydock``, and the errors that lead to them."""

from __future__ import annotations

import signal
from enum import IntEnum
from typing import Any, ClassVar, Final


class Exit(IntEnum):
    """How a call ended. The numbers are kept from version to version."""

    OK = 0
    PROBLEMS = 1
    USAGE = 2
    UNREACHABLE = 3
    NOT_LOGGED_IN = 4
    NOT_ALLOWED = 5
    NOT_FOUND = 6
    REFUSED = 7
    LEASE_ENDED = 8
    TIMED_OUT = 9
    MASTER_FAILED = 10
    HUNG_UP = 128 + signal.SIGHUP
    INTERRUPTED = 128 + signal.SIGINT
    PIPE_CLOSED = 128 + signal.SIGPIPE
    TERMINATED = 128 + signal.SIGTERM


MEANINGS: Final[dict[Exit, str]] = {
    Exit.OK: "It was done.",
    Exit.PROBLEMS: "`doctor` found problems; or something unforeseen went wrong.",
    Exit.USAGE: "The command line or the settings are wrong.",
    Exit.UNREACHABLE: "The master can't be reached, or was not heard of again in time.",
    Exit.NOT_LOGGED_IN: "Nobody is logged in and somebody has to be, or the password is wrong.",
    Exit.NOT_ALLOWED: "The rules of the master don't let this person do it.",
    Exit.NOT_FOUND: "There is no such lease, resource, blueprint, authorization, host, build or "
    "builder; or Drydock does not run on the master.",
    Exit.REFUSED: "The master refuses what was asked, and says why.",
    Exit.LEASE_ENDED: "A lease broke, expired or was released by others before its time.",
    Exit.TIMED_OUT: "What was waited for did not come in the time given.",
    Exit.MASTER_FAILED: "The master failed, or answers as no Buildbot with Drydock does.",
    Exit.HUNG_UP: "The terminal went away (SIGHUP).",
    Exit.INTERRUPTED: "Ctrl-C (SIGINT); the usual end of what goes on until it is ended.",
    Exit.PIPE_CLOSED: "Whoever read the output has gone.",
    Exit.TERMINATED: "SIGTERM.",
}


class CommandError(Exception):
    """What went wrong, in words for whoever called, and the exit code that says so."""

    kind: ClassVar[str] = "problem"
    exit: ClassVar[Exit] = Exit.PROBLEMS

    def __init__(self, message: str, remedy: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.remedy = remedy

    def data(self) -> dict[str, Any]:
        """Return it as ``--json`` shows it."""
        return {
            "error": self.kind,
            "message": self.message,
            "remedy": self.remedy,
            "exit": int(self.exit),
        }


class WrongSettings(CommandError):
    kind = "wrong-settings"
    exit = Exit.USAGE


class Unreachable(CommandError):
    """No answer came. *may_be_done* tells whether what was asked may have been done all the same."""

    kind = "unreachable"
    exit = Exit.UNREACHABLE

    def __init__(self, message: str, remedy: str = "", *, may_be_done: bool = True) -> None:
        super().__init__(message, remedy)
        self.may_be_done = may_be_done


class NotLoggedIn(CommandError):
    kind = "not-logged-in"
    exit = Exit.NOT_LOGGED_IN


class NotAllowed(CommandError):
    kind = "not-allowed"
    exit = Exit.NOT_ALLOWED


class NotFound(CommandError):
    kind = "not-found"
    exit = Exit.NOT_FOUND


class NotReady(NotFound):
    """Drydock does not run on the master, or not yet: it may be starting."""

    kind = "not-ready"


class Refused(CommandError):
    kind = "refused"
    exit = Exit.REFUSED


class LeaseEnded(CommandError):
    kind = "lease-ended"
    exit = Exit.LEASE_ENDED


class TimedOut(CommandError):
    kind = "timed-out"
    exit = Exit.TIMED_OUT


class MasterFailed(CommandError):
    kind = "master-failed"
    exit = Exit.MASTER_FAILED


class ProblemsFound(CommandError):
    """Problems were found, and have been shown already."""

    kind = "problems-found"


# What may be otherwise at the next try, once a master has answered well.
PASSING: Final = (Unreachable, MasterFailed, NotReady)
