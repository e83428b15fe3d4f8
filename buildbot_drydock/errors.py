"""What can go wrong, sorted by what we do about it.

A provider translates its client library's failures into these, and the executor reads nothing but
``disposition``. An exception that is not a ``DrydockError`` is a bug: it is logged with its
traceback and breaks only the row it concerns.
"""

from __future__ import annotations

from enum import Enum
from typing import ClassVar


class Disposition(Enum):
    RETRY = "retry"  # the same again, later
    ELSEWHERE = "elsewhere"  # no capacity here: back off, and try the next candidate
    STOP = "stop"  # misconfigured: stop using this blueprint, keep waiting leases waiting
    REJECT = "reject"  # this one request can never succeed: break what asked for it
    CRASH = "crash"  # our own bug: stop before making it worse


class DrydockError(Exception):
    """The base of all failures that Drydock knows what to do about."""

    disposition: ClassVar[Disposition]


class RetryLater(DrydockError):
    """The provider is throttling or unwell, and may answer later.

    ``after`` is the least number of seconds to wait, if the provider said so.
    """

    disposition = Disposition.RETRY

    def __init__(self, message: str, *, after: float = 0.0) -> None:
        super().__init__(message)
        self.after = after


class NoCapacity(DrydockError):
    """The provider has none of these hosts to give at the moment."""

    disposition = Disposition.ELSEWHERE


class Misconfigured(DrydockError):
    """No request of this blueprint can succeed until somebody changes something."""

    disposition = Disposition.STOP


class RequestRejected(DrydockError):
    """The provider will never accept this one request."""

    disposition = Disposition.REJECT


class IllegalMove(DrydockError):
    """A status change that ``lifecycle`` forbids."""

    disposition = Disposition.CRASH


class HostError(DrydockError):
    """A command or a file operation on a host could not be carried out."""

    disposition = Disposition.RETRY


class HostUnreachable(HostError):
    """The host does not answer, or not as it should.

    ``phase`` is how far it got, such as "logging in"; ``reason`` and ``remedy`` are the parts of the
    message. Each is empty if that is not known. ``lasting`` is what does not pass by itself.
    """

    def __init__(
        self,
        message: str,
        *,
        phase: str = "",
        reason: str = "",
        remedy: str = "",
        lasting: bool = False,
    ) -> None:
        super().__init__(message)
        self.phase, self.reason, self.remedy = phase, reason, remedy
        self.lasting = lasting


class CommandTimedOut(HostError):
    """A command ran into its limit. The message says which limit, and its last output."""


class LeaseBroken(DrydockError):
    """The lease that was waited for, or used, has broken. The message says why."""

    disposition = Disposition.REJECT


class DatabaseTooNew(DrydockError):
    """The database was upgraded by a later version of this package."""

    disposition = Disposition.STOP


class UnreadableRow(DrydockError):
    """A row of our tables holds what no version of this package that we know of wrote there.

    Nothing is planned until it is repaired: to leave the row out would give its host to the sweep.
    """

    disposition = Disposition.STOP

    def __init__(self, table: str, row: str, column: str, problem: str) -> None:
        super().__init__(
            f"{table}, row {row}, column {column}: {problem}."
            f" It was changed by hand, or by a later version of this package."
            f" Repair that column in the database, restore it from a backup,"
            f" or install the later version; until then nothing is planned and nothing is lost."
        )
        self.table, self.row, self.column = table, row, column
